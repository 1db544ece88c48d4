/* pack.c: functions that copy key operands into the layouts of the products, and the windows.
 *   pack_outer<a>(args, coord, packed, from, to)  outer streams as f32 [position][extent_pad]
 *   pack_inner(args, coord, packed, from, to)     B in panels, V, a flag per key: value not finite
 *   key_range(args, coord, out, i0, i1, h0, h1)   lowest first, highest last of every key axis
 * Positions at or beyond the length are zeros. `packed` pointers address position 0, packed or
 * not. */
#include "host/host_internal.h"
#include <stdio.h>

void hp_bind_coords(host_env *e, V coord)
{
	const sema_spec *s = e->h->s;

	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *a = s->axis.item[i];

		if (a->kind != AXIS_ROW && a->kind != AXIS_GROUP)
			continue;
		if (a == e->h->m->head || (a->kind == AXIS_GROUP && a->of != e->h->m->head))
			continue;
		e->coord[a->id] = hb_load(
			e->h, e->h->i64, hb_at(e->h, coord, hb_i64(e->h, a->id), e->h->i64), 8);
	}
}

void hp_window(host_env *e, const sema_axis *key, V *first, V *last)
{
	host_cx *h = e->h;
	V top = LLVMBuildSub(h->b, hv_length(e, key->length), hb_i64(h, 1), "");

	*first = hb_i64(h, 0);
	*last = top;
	if (key->window.first)
		*first = hb_smax(h, *first, hv_int64(e, key->window.first));
	if (key->window.last)
		*last = hb_smin(h, *last, hv_int64(e, key->window.last));
}

static V packed_pointer(host_cx *h, V packed, int slot)
{
	return hb_load(h, h->ptr, hb_at(h, packed, hb_i64(h, slot), h->ptr), 8);
}

void hp_define_pack_outer(host_cx *h, int outer)
{
	char name[32];
	V fn;
	host_env e;
	hb_loop p;

	snprintf(name, sizeof name, "pack_outer%d", outer);
	fn = hb_function(h, name, 3, 2, true);
	hv_env_init(&e, h, LLVMGetParam(fn, 0), h->lay.w);
	hp_bind_coords(&e, LLVMGetParam(fn, 1));
	p = hb_loop_begin(h, LLVMGetParam(fn, 3), LLVMGetParam(fn, 4), hb_i64(h, 1), "position");
	e.coord[h->m->outer[outer]->id] = p.i;
	for (int s = 0; s < h->lay.streams; s++) {
		const host_stream *st = &h->lay.stream[s];
		V base;

		if (st->outer != outer)
			continue;
		base = packed_pointer(h, LLVMGetParam(fn, 2), HOST_PACKED_STREAM + s);
		hs_emit(&e, st,
			hb_at(h, base, LLVMBuildMul(h->b, p.i, hb_i64(h, st->extent_pad), ""),
				h->f32));
	}
	hb_loop_end(h, &p);
	LLVMBuildRetVoid(h->b);
	hv_env_free(&e);
}

/* --- inner operands --- */

typedef struct {
	const expr *b;
	V row;      /* where this key's features go: f32 or bf16 words */
	int offset; /* first feature of the segment */
} segment_state;

static void pack_feature(host_env *e, V base, int valid, void *user)
{
	segment_state *st = user;
	host_cx *h = e->h;
	V x = hv_float(e, st->b);
	V at = LLVMBuildAdd(h->b, base, hb_i64(h, st->offset), "");

	(void)valid;
	if (e->mask)
		x = hb_select(h, e->mask, x, LLVMConstNull(h->vf));
	if (h->lay.dot == HOST_DOT_F32)
		hb_store(h, x, hb_at(h, st->row, at, h->f32), 4);
	else
		hb_store(h, hv_round_bf16(h, x), hb_at(h, st->row, at, h->i16), 2);
}

static void clear_row(host_cx *h, V row)
{
	hb_loop i = hb_loop_begin(
		h, hb_i64(h, 0), hb_i64(h, h->lay.a_words), hb_i64(h, h->lay.w), "clear");

	hb_store(h, LLVMConstNull(h->vi), hb_at(h, row, i.i, h->i32), 4);
	hb_loop_end(h, &i);
}

/* All features of one key at `row`; a_words + w words long, zero beyond the features. */
static void pack_key_row(host_cx *h, host_env *e, V row)
{
	int offset = 0;

	clear_row(h, row);
	for (int i = 0; i < h->m->segments; i++) {
		const model_segment *seg = &h->m->segment[i];
		segment_state st = {seg->b, row, offset};

		hs_for_features(e, seg->d, (int)seg->d->extent, pack_feature, &st);
		offset += (int)seg->d->extent;
	}
}

/* Key rows [w][stride words] -> panels of `panel` keys, features outermost. */
static void rows_to_panels(host_cx *h, V rows, int64_t stride, V square, V dst)
{
	const host_layout *l = &h->lay;
	int panels = l->w / l->panel, words = l->depth_unit > 1 ? l->d_total / 2 : l->d_total;
	T part = hb_vec(h, h->i32, l->panel);
	hb_loop c = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, words), hb_i64(h, l->w), "chunk"), d;
	V left = LLVMBuildSub(h->b, hb_i64(h, words), c.i, ""), from, to;

	hk_transpose(h, hb_at(h, rows, c.i, h->i32), hb_i64(h, stride), square, hb_i64(h, l->w));
	d = hb_loop_begin(
		h, hb_i64(h, 0), hb_smin(h, left, hb_i64(h, l->w)), hb_i64(h, 1), "feature");
	from = hb_at(h, square, hb_mul(h, d.i, hb_i64(h, l->w)), h->i32);
	to = hb_at(h, dst, hb_mul(h, hb_add(h, c.i, d.i), hb_i64(h, l->panel)), h->i32);
	for (int p = 0; p < panels; p++)
		hb_store(h, hb_load(h, part, hb_at_bytes(h, from, (int64_t)p * l->panel * 4), 4),
			hb_at_bytes(h, to, (int64_t)p * words * l->panel * 4), 4);
	hb_loop_end(h, &d);
	hb_loop_end(h, &c);
}

/* AMX: 16 key rows x 32 features are one tile, rows of 64 bytes. */
static void rows_to_tiles(host_cx *h, V rows, int64_t stride, V dst)
{
	const host_layout *l = &h->lay;
	T line = LLVMVectorType(h->i32, 16);
	hb_loop t = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, l->panel), hb_i64(h, 1), "key"), c;
	V row = hb_at(h, rows, hb_mul(h, t.i, hb_i64(h, stride)), h->i32);

	c = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, l->d_total / 32), hb_i64(h, 1), "chunk");
	hb_store(h, hb_load(h, line, hb_at(h, row, hb_mul(h, c.i, hb_i64(h, 16)), h->i32), 4),
		hb_at(h, dst,
			hb_mul(h, hb_add(h, hb_mul(h, c.i, hb_i64(h, 16)), t.i), hb_i64(h, 16)),
			h->i32),
		4);
	hb_loop_end(h, &c);
	hb_loop_end(h, &t);
}

static void pack_keys(host_cx *h, host_env *e, V key, V packed, V length, V rows, V square)
{
	const host_layout *l = &h->lay;
	int64_t stride = l->a_words + l->w, element = l->dot == HOST_DOT_F32 ? 4 : 2;
	V base = packed_pointer(h, packed, HOST_PACKED_B), dst;
	hb_loop t = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, l->w), hb_i64(h, 1), "key");
	V k = LLVMBuildAdd(h->b, key, t.i, "");
	V row = hb_at(h, rows, LLVMBuildMul(h->b, t.i, hb_i64(h, stride), ""), h->i32);
	hb_if inside = hb_if_begin(h, hb_icmp(h, LLVMIntSLT, k, length));

	e->coord[h->m->inner->id] = k;
	pack_key_row(h, e, row);
	hb_if_else(h, &inside);
	clear_row(h, row);
	hb_if_end(h, &inside);
	hb_loop_end(h, &t);
	dst = hb_at(h, base, LLVMBuildMul(h->b, key, hb_i64(h, l->d_total * element), ""), h->i8);
	if (l->dot == HOST_DOT_AMX)
		rows_to_tiles(h, rows, stride, dst);
	else
		rows_to_panels(h, rows, stride, square, dst);
}

/* --- values --- */

typedef struct {
	const expr *v; /* NULL: one */
	V key;         /* scalar i64 */
	V base;
	V finite; /* variable, i1 */
	int offset;
} value_state;

/* Element (key, feature) of V: f32 rows; bf16 pairs of keys; AMX 16 features x 32 keys. In bytes.
 */
V hp_value_address(host_cx *h, V base, V key, V feature)
{
	const host_layout *l = &h->lay;
	V at;

	if (l->dot == HOST_DOT_F32) {
		at = LLVMBuildAdd(
			h->b, LLVMBuildMul(h->b, key, hb_i64(h, l->e_total), ""), feature, "");
		return hb_at(h, base, at, h->f32);
	}
	if (l->dot == HOST_DOT_AVX512BF16) {
		V pair = LLVMBuildLShr(h->b, key, hb_i64(h, 1), "");

		at = LLVMBuildAdd(
			h->b, LLVMBuildMul(h->b, pair, hb_i64(h, l->e_total), ""), feature, "");
		at = LLVMBuildAdd(h->b, LLVMBuildShl(h->b, at, hb_i64(h, 1), ""),
			LLVMBuildAnd(h->b, key, hb_i64(h, 1), ""), "");
		return hb_at(h, base, at, h->i16);
	}
	at = LLVMBuildMul(
		h->b, LLVMBuildLShr(h->b, key, hb_i64(h, 5), ""), hb_i64(h, 32 * l->e_total), "");
	at = LLVMBuildAdd(h->b, at, LLVMBuildShl(h->b, feature, hb_i64(h, 5), ""), "");
	return hb_at(h, base,
		LLVMBuildAdd(h->b, at, LLVMBuildAnd(h->b, key, hb_i64(h, 31), ""), ""), h->i16);
}

static void store_values(host_cx *h, V x, V base, V key, V feature)
{
	const host_layout *l = &h->lay;
	V at = hp_value_address(h, base, key, feature), bits;
	int step = l->dot == HOST_DOT_AMX ? 32 : 2;

	if (l->dot == HOST_DOT_F32) {
		hb_store(h, x, at, 4);
		return;
	}
	bits = hv_round_bf16(h, x);
	for (int i = 0; i < l->w; i++)
		hb_store(h, LLVMBuildExtractElement(h->b, bits, hb_i64(h, i), ""),
			hb_at_bytes(h, at, (int64_t)i * step * 2), 2);
}

static void pack_value(host_env *e, V base, int valid, void *user)
{
	value_state *st = user;
	host_cx *h = e->h;
	V x = st->v ? hv_float(e, st->v) : hb_const_splat(h, hb_f32(h, 1), h->lay.w);
	V zero, ok;
	T over;

	(void)valid;
	if (e->mask)
		x = hb_select(h, e->mask, x, LLVMConstNull(h->vf));
	zero = LLVMBuildFMul(h->b, x, LLVMConstNull(h->vf), ""); /* NaN for NaN and infinities */
	ok = hb_fcmp(h, LLVMRealORD, zero, zero);
	over = LLVMTypeOf(ok);
	ok = hb_intrinsic(h, "llvm.vector.reduce.and", &over, 1, &ok, 1);
	LLVMBuildStore(h->b, LLVMBuildAnd(h->b, ok, hb_get(h, h->i1, st->finite), ""), st->finite);
	store_values(h, x, st->base, st->key, LLVMBuildAdd(h->b, base, hb_i64(h, st->offset), ""));
}

/* A scalar value per key (an output without features) sits in the first feature of its slot. */
static void pack_scalar_value(host_env *e, value_state *st)
{
	host_cx *h = e->h;
	V one = hb_const_splat(h, hb_f32(h, 0), h->lay.w), x = hb_f32(h, 1);
	host_env scalar;

	if (st->v) {
		hv_env_init(&scalar, h, e->args, 1);
		for (int i = 0; i < h->s->axis.count; i++)
			scalar.coord[i] = e->coord[i];
		x = hv_float(&scalar, st->v);
		hv_env_free(&scalar);
	}
	one = LLVMBuildInsertElement(h->b, one, x, hb_i64(h, 0), "");
	store_values(h, one, st->base, st->key, hb_i64(h, st->offset));
	x = LLVMBuildFMul(h->b, x, hb_f32(h, 0), "");
	LLVMBuildStore(h->b,
		LLVMBuildAnd(h->b, hb_fcmp(h, LLVMRealORD, x, x), hb_get(h, h->i1, st->finite), ""),
		st->finite);
}

static void zero_values(host_cx *h, V base, V key)
{
	hb_loop f = hb_loop_begin(
		h, hb_i64(h, 0), hb_i64(h, h->lay.e_total), hb_i64(h, h->lay.w), "clear");

	store_values(h, LLVMConstNull(h->vf), base, key, f.i);
	hb_loop_end(h, &f);
}

static void pack_key_values(host_cx *h, host_env *e, V key, V packed, V length)
{
	V base = packed_pointer(h, packed, HOST_PACKED_V),
	  bad = packed_pointer(h, packed, HOST_PACKED_BAD);
	hb_loop t = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, h->lay.w), hb_i64(h, 1), "value");
	V k = LLVMBuildAdd(h->b, key, t.i, "");
	V finite = hb_var(h, h->i1, NULL);
	hb_if inside;

	LLVMBuildStore(h->b, LLVMConstInt(h->i1, 1, 0), finite);
	zero_values(h, base, k);
	inside = hb_if_begin(h, hb_icmp(h, LLVMIntSLT, k, length));
	e->coord[h->m->inner->id] = k;
	for (int i = 0; i < h->m->outputs; i++) {
		const model_output *o = &h->m->output[i];
		value_state st = {o->inner, k, base, finite, h->lay.e_offset[i]};

		if (o->kind != OUTPUT_SUM)
			continue;
		if (o->e)
			hs_for_features(e, o->e, (int)o->e->extent, pack_value, &st);
		else
			pack_scalar_value(e, &st);
	}
	hb_if_end(h, &inside);
	hb_store(h,
		hb_select(h, hb_get(h, h->i1, finite), LLVMConstInt(h->i8, 0, 0),
			LLVMConstInt(h->i8, 1, 0)),
		hb_at(h, bad, k, h->i8), 1);
	hb_loop_end(h, &t);
}

void hp_define_pack_inner(host_cx *h)
{
	const host_layout *l = &h->lay;
	V fn = hb_function(h, "pack_inner", 3, 2, true);
	V packed = LLVMGetParam(fn, 2), length;
	V rows = hb_var(
		h, LLVMArrayType2(h->i32, (uint64_t)l->w * (uint64_t)(l->a_words + l->w)), NULL);
	V square = hb_var(h, LLVMArrayType2(h->i32, (uint64_t)l->w * (uint64_t)l->w), NULL);
	host_env e;
	hb_loop p;

	LLVMSetAlignment(rows, 64);
	LLVMSetAlignment(square, 64);
	hv_env_init(&e, h, LLVMGetParam(fn, 0), l->w);
	hp_bind_coords(&e, LLVMGetParam(fn, 1));
	length = hv_length(&e, h->m->inner->length);
	p = hb_loop_begin(h, LLVMGetParam(fn, 3), LLVMGetParam(fn, 4), hb_i64(h, l->w), "keys");
	pack_keys(h, &e, p.i, packed, length, rows, square);
	pack_key_values(h, &e, p.i, packed, length);
	hb_loop_end(h, &p);
	LLVMBuildRetVoid(h->b);
	hv_env_free(&e);
}

/* --- windows --- */

static void widen_range(host_env *e, V out)
{
	host_cx *h = e->h;

	for (int a = 0; a < h->s->key.count; a++) {
		V first, last, low, high, lo, hi, some;

		hp_window(e, h->s->key.item[a], &first, &last);
		low = hb_at(h, out, hb_i64(h, 2 * a), h->i64);
		high = hb_at(h, out, hb_i64(h, 2 * a + 1), h->i64);
		lo = hb_load(h, h->i64, low, 8);
		hi = hb_load(h, h->i64, high, 8);
		some = hb_icmp(h, LLVMIntSLE, first, last);
		hb_store(h, hb_select(h, some, hb_smin(h, lo, first), lo), low, 8);
		hb_store(h, hb_select(h, some, hb_smax(h, hi, last), hi), high, 8);
	}
}

void hp_define_range(host_cx *h)
{
	V fn = hb_function(h, "key_range", 3, 4, true);
	host_env e;
	hb_loop i, head;

	hv_env_init(&e, h, LLVMGetParam(fn, 0), 1);
	hp_bind_coords(&e, LLVMGetParam(fn, 1));
	i = hb_loop_begin(h, LLVMGetParam(fn, 3), LLVMGetParam(fn, 4), hb_i64(h, 1), "query");
	head = hb_loop_begin(h, LLVMGetParam(fn, 5), LLVMGetParam(fn, 6), hb_i64(h, 1), "head");
	if (h->s->query)
		e.coord[h->s->query->id] = i.i;
	if (h->m->head)
		e.coord[h->m->head->id] = head.i;
	widen_range(&e, LLVMGetParam(fn, 2));
	hb_loop_end(h, &head);
	hb_loop_end(h, &i);
	LLVMBuildRetVoid(h->b);
	hv_env_free(&e);
}
