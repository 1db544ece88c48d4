/* stream.c: operand streams.
 * in:  the row form's A, Gv and c
 * out: lay.stream: every maximal subexpression along features that only the row or only one outer
 * position decides, so that rope, normalisation, dtype conversion and odd strides are paid once per
 * position, not once per pair. */
#include "host/host_internal.h"

enum { ON_ROW = 1, ON_OUTER = 2 /* << position */, ON_FEATURE = 1 << 8, WORTH = 1 << 9 };

/* Which positions a value depends on, and whether it is worth storing. */
static int depends(const host_cx *h, const expr *x, const sema_axis *d)
{
	expr *const *kid;
	int kids, bits = 0;

	switch (x->op) {
	case EXPR_COORD:
		if (x->axis == d)
			return ON_FEATURE;
		if (x->axis->kind == AXIS_QUERY || x->axis == h->m->head)
			return ON_ROW;
		for (int i = 0; i < h->m->outers; i++)
			if (x->axis == h->m->outer[i])
				return ON_OUTER << i;
		return 0;
	case EXPR_DEF:
		return depends(h, x->def->value, d);
	case EXPR_LOAD:
	case EXPR_SIN:
	case EXPR_COS:
	case EXPR_POW:
	case EXPR_EXP:
	case EXPR_LOG:
	case EXPR_TANH:
	case EXPR_SQRT:
		bits = WORTH;
		break;
	default:
		break;
	}
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		bits |= depends(h, kid[i], d);
	return bits;
}

int hs_find(const host_layout *l, const expr *e)
{
	for (int i = 0; i < l->streams; i++)
		if (l->stream[i].e == e || expr_equal(l->stream[i].e, e))
			return i;
	return -1;
}

static bool add(host_cx *h, const expr *x, const sema_axis *d, int bits)
{
	host_layout *l = &h->lay;
	host_stream *s = &l->stream[l->streams];
	int w = l->w;

	if (hs_find(l, x) >= 0)
		return true;
	if (l->streams == HOST_MAX_STREAMS) {
		diag_error(h->d, x->at, "the score and values use more than %d operand vectors",
			HOST_MAX_STREAMS);
		return false;
	}
	*s = (host_stream){.e = x, .d = d, .outer = -1, .extent = (int)d->extent};
	for (int i = 0; i < h->m->outers; i++)
		if (bits & (ON_OUTER << i))
			s->outer = i;
	s->extent_pad = (s->extent + w - 1) / w * w;
	if (s->outer < 0) {
		s->row_offset = l->row_stream_floats;
		l->row_stream_floats += s->extent_pad;
	}
	l->streams++;
	return true;
}

static bool collect(host_cx *h, const expr *x, const sema_axis *d)
{
	int bits = depends(h, x, d), positions = bits & 0xff;
	expr *const *kid;
	int kids;

	if (x->op == EXPR_REDUCE && x->reduce.axes == 1 &&
		x->reduce.axis[0]->kind == AXIS_FEATURE && !(bits & ON_FEATURE))
		return collect(h, x->reduce.body, x->reduce.axis[0]);
	if ((bits & ON_FEATURE) && (bits & WORTH) && (positions & (positions - 1)) == 0)
		return add(h, x, d, bits);
	if (x->op == EXPR_DEF)
		return collect(h, x->def->value, d);
	if (x->op == EXPR_LOAD)
		return true;
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		if (!collect(h, kid[i], d))
			return false;
	return true;
}

bool hs_collect(host_cx *h)
{
	const row_form *m = h->m;
	bool ok = true;

	for (int i = 0; i < m->segments; i++)
		ok = ok && collect(h, m->segment[i].a, m->segment[i].d);
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].outer && m->output[i].e)
			ok = ok && collect(h, m->output[i].outer, m->output[i].e);
	if (m->c)
		ok = ok && collect(h, m->c, NULL);
	return ok;
}

void hs_for_features(host_env *e, const sema_axis *d, int extent, hs_feature_body *body, void *user)
{
	host_cx *h = e->h;
	int w = h->lay.w, whole = extent / w * w;

	e->unit = d;
	if (whole) {
		hb_loop l =
			hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, whole), hb_i64(h, w), "feature");

		hv_env_reset(e);
		e->unit_base = l.i;
		e->mask = NULL;
		e->vcoord[d->id] = LLVMBuildAdd(h->b,
			hb_splat(h, LLVMBuildTrunc(h->b, l.i, h->i32, ""), w), hb_iota(h, w), "");
		body(e, l.i, w, user);
		hb_loop_end(h, &l);
	}
	if (extent > whole) {
		V lane[64];

		for (int i = 0; i < w; i++)
			lane[i] = LLVMConstInt(h->i1, whole + i < extent, 0);
		hv_env_reset(e);
		e->unit_base = hb_i64(h, whole);
		e->mask = LLVMConstVector(lane, (unsigned)w);
		e->vcoord[d->id] =
			LLVMConstAdd(hb_const_splat(h, hb_i32(h, whole), w), hb_iota(h, w));
		body(e, e->unit_base, extent - whole, user);
	}
	hv_env_reset(e);
	e->vcoord[d->id] = NULL;
	e->unit = NULL;
	e->mask = NULL;
}

typedef struct {
	const host_stream *s;
	V dst;
} emit_state;

static void emit_vector(host_env *e, V base, int valid, void *user)
{
	emit_state *st = user;
	host_cx *h = e->h;
	V x = hv_float(e, st->s->e);

	(void)valid;
	if (e->mask)
		x = hb_select(h, e->mask, x, LLVMConstNull(h->vf));
	hb_store(h, x, hb_at(h, st->dst, base, h->f32), 4);
}

void hs_emit(host_env *e, const host_stream *s, V dst)
{
	emit_state st = {s, dst};

	hs_for_features(e, s->d, s->extent, emit_vector, &st);
}
