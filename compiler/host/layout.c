/* layout.c: sizes of vectors, tiles, packed operands and scratch, from the row form and the CPU's
 * features. */
#include "host/host_internal.h"
#include <string.h>

static int round_up(int x, int unit)
{
	return (x + unit - 1) / unit * unit;
}

static bool has(const char *features, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = features; (p = strstr(p, name)) != NULL; p += n)
		if (p > features && p[-1] == '+' && (p[n] == ',' || p[n] == 0))
			return true;
	return false;
}

/* Whether every floating tensor below `x` is bf16. */
static bool all_bf16(const expr *x)
{
	expr *const *kid;
	int kids;

	if (!x)
		return true;
	if (x->op == EXPR_DEF)
		return all_bf16(x->def->value);
	if (x->op == EXPR_LOAD && x->load.tensor->dtype != DTYPE_BF16 &&
		x->load.tensor->dtype != DTYPE_I32)
		return false;
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		if (!all_bf16(kid[i]))
			return false;
	return true;
}

static bool loads_anything(const expr *x)
{
	expr *const *kid;
	int kids;

	if (!x)
		return false;
	if (x->op == EXPR_LOAD)
		return true;
	if (x->op == EXPR_DEF)
		return loads_anything(x->def->value);
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		if (loads_anything(kid[i]))
			return true;
	return false;
}

static bool bf16_operands(const row_form *m)
{
	bool any = false;

	for (int i = 0; i < m->segments; i++) {
		if (!all_bf16(m->segment[i].a) || !all_bf16(m->segment[i].b))
			return false;
		any = any || loads_anything(m->segment[i].b);
	}
	for (int i = 0; i < m->outputs; i++)
		if (!all_bf16(m->output[i].inner))
			return false;
	return any;
}

static host_dot choose_dot(const row_form *m, const host_options *o, const char *features)
{
	bool amx =
		has(features, "amx-bf16") && has(features, "avx512bw") && has(features, "amx-tile");
	bool dot = has(features, "avx512bf16") && has(features, "avx512f");

	if (!bf16_operands(m) || o->dot == HOST_DOT_F32)
		return HOST_DOT_F32;
	if (o->vector_bits && o->vector_bits < 512)
		return HOST_DOT_F32;
	if (amx && (o->dot == HOST_DOT_AUTO || o->dot == HOST_DOT_AMX))
		return HOST_DOT_AMX;
	return dot && o->dot != HOST_DOT_AMX ? HOST_DOT_AVX512BF16 : HOST_DOT_F32;
}

static void value_layout(host_layout *l, const row_form *m)
{
	for (int i = 0; i < m->outputs; i++) {
		if (m->output[i].kind != OUTPUT_SUM)
			continue;
		l->e_offset[i] = l->e_total;
		l->e_extent[i] = m->output[i].e ? (int)m->output[i].e->extent : 1;
		l->e_total += round_up(l->e_extent[i], l->w > l->mr ? l->w : l->mr);
	}
}

static void argument_layout(host_layout *l, const sema_spec *s)
{
	int word = s->tensor.count;

	for (int t = 0; t < s->tensor.count; t++) {
		l->arg_stride[t] = word;
		word += s->tensor.item[t]->rank;
	}
	l->arg_length = word;
	l->arg_param = word + s->length.count;
	l->arg_words = l->arg_param + s->param.count;
}

static int64_t place(int64_t *at, int64_t bytes)
{
	int64_t here = *at;

	*at += (bytes + 63) / 64 * 64;
	return here;
}

static void scratch_layout(host_scratch *s, const host_layout *l, int outers)
{
	int64_t at = 0, lane = (int64_t)l->lanes * 4;

	for (int i = 0; i < HOST_LANE_OUTER + outers; i++)
		s->lane_coord[i] = place(&at, lane);
	s->first = place(&at, lane);
	s->last = place(&at, lane);
	s->row = place(&at, lane);
	s->c = place(&at, lane);
	s->m = place(&at, lane);
	s->l = place(&at, lane);
	s->a_row = place(&at, (lane + 4) * (l->a_words + l->w));
	s->a = place(&at, lane * l->a_words);
	s->s = place(&at, lane * l->key_block);
	s->o = place(&at, lane * l->e_total);
	s->o_row = place(&at, lane * l->e_total);
	s->row_stream = place(&at, (int64_t)l->row_stream_floats * 4 + 64);
	s->acc = s->fixed_bytes = at;
	s->acc_o = 16;
	s->acc_stride = 16 + round_up(l->e_total, 16);
}

void hl_layout(host_cx *h, const host_options *o, const char *features)
{
	host_layout *l = &h->lay;
	int bits = o->vector_bits, features_total = 0;

	if (bits == 0)
		bits = has(features, "avx512f") && has(features, "avx512bw") &&
				       has(features, "avx512dq")
			       ? 512
		       : has(features, "avx2") ? 256
					       : 128;
	l->dot = choose_dot(h->m, o, features);
	l->w = bits / 32;
	l->nv = 2;
	l->lanes = l->w * l->nv;
	l->mr = l->dot == HOST_DOT_AMX ? 16 : bits == 512 ? 8 : 4;
	l->depth_unit = l->dot == HOST_DOT_AMX ? 32 : l->dot == HOST_DOT_AVX512BF16 ? 2 : 1;
	l->panel = l->mr;
	l->key_unit = l->dot == HOST_DOT_AMX ? 32 : l->mr;
	l->key_pad = l->key_unit > l->w ? l->key_unit : l->w;
	l->key_block = l->dot == HOST_DOT_AMX ? 160 : 144;
	for (int i = 0; i < h->m->segments; i++)
		features_total += (int)h->m->segment[i].d->extent;
	l->d_total = round_up(features_total, l->depth_unit);
	l->a_words = round_up(l->depth_unit > 1 ? l->d_total / 2 : l->d_total, l->w);
	value_layout(l, h->m);
	argument_layout(l, h->s);
	if (hs_collect(h))
		scratch_layout(&h->scr, l, h->m->outers);
}
