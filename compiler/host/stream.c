/* stream.c: operand streams of the row form (model/stream.c) as code: computed for one position
 * into f32 memory, and the loop over the features of an axis that all packing shares. */
#include "host/host_internal.h"

int hs_find(const host_layout *l, const expr *e)
{
	for (int i = 0; i < l->streams; i++)
		if (l->stream[i].e == e || expr_equal(l->stream[i].e, e))
			return i;
	return -1;
}

bool hs_collect(host_cx *h)
{
	host_layout *l = &h->lay;
	model_streams found;

	if (!model_streams_find(h->m, &found)) {
		diag_error(h->d, h->s->at, "the score and values use more than %d operand vectors",
			MODEL_MAX_STREAMS);
		return false;
	}
	for (int i = 0; i < found.count; i++) {
		const model_stream *f = &found.item[i];
		host_stream *s = &l->stream[l->streams++];
		int extent = (int)f->d->extent;

		*s = (host_stream){.e = f->e, .d = f->d, .outer = f->outer, .extent = extent};
		s->extent_pad = (extent + l->w - 1) / l->w * l->w;
		if (s->outer < 0) {
			s->row_offset = l->row_stream_floats;
			l->row_stream_floats += s->extent_pad;
		}
	}
	return true;
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
