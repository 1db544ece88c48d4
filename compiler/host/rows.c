/* rows.c: the kernel proper. Defines
 *   rows(args, coord, packed, scratch, i0, i1, h0, h1)
 * which computes every output for query positions [i0, i1) and heads [h0, h1) of one group.
 *
 *   for i, for h: row streams; windows of this row
 *       for each outer tuple: append a lane (its A row, c, coordinates, visible keys);
 *           a full tile is computed at once
 *   compute the last tile; for each row: normalise, apply R, store outputs and lse
 *
 * Lanes of one tile may belong to different rows and outer positions; nothing is wasted where a
 * window or the number of heads is not a multiple of the vector width. */
#include "host/host_internal.h"
#include <math.h>

typedef struct {
	V args, coord, packed, scratch, i0, i1, h0, h1;
	V count; /* variable: lanes in the tile */
	V heads; /* h1 - h0 */
} rows_state;

/* Scale of a linear score, in log2 units when the weights are a softmax. */
static double linear_scale(const row_form *m)
{
	if (!m->f_linear)
		return 1;
	return m->normalised ? m->f_scale * 1.44269504088896340736 : m->f_scale;
}

double hr_a_scale(const row_form *m)
{
	return linear_scale(m) > 0 ? 1 : linear_scale(m);
}

double hr_score_scale(const row_form *m)
{
	return linear_scale(m) > 0 ? linear_scale(m) : 1;
}

static V lane_slot(host_cx *h, rows_state *r, int64_t offset, V lane)
{
	return hb_at(h, hb_at_bytes(h, r->scratch, offset), lane, h->i32);
}

static V to_i32(host_cx *h, V x)
{
	return LLVMBuildTrunc(h->b, x, h->i32, "");
}

static V row_number(host_cx *h, rows_state *r, V i, V head)
{
	V n = LLVMBuildMul(h->b, LLVMBuildSub(h->b, i, r->i0, ""), r->heads, "");

	return LLVMBuildAdd(h->b, n, LLVMBuildSub(h->b, head, r->h0, ""), "");
}

static V accumulator(host_cx *h, rows_state *r, V row)
{
	return hb_at(h, hb_at_bytes(h, r->scratch, h->scr.acc),
		LLVMBuildMul(h->b, row, hb_i64(h, h->scr.acc_stride), ""), h->f32);
}

static void clear_rows(host_cx *h, rows_state *r)
{
	V rows = LLVMBuildMul(h->b, LLVMBuildSub(h->b, r->i1, r->i0, ""), r->heads, "");
	hb_loop n = hb_loop_begin(h, hb_i64(h, 0), rows, hb_i64(h, 1), "clear");
	V acc = accumulator(h, r, n.i);
	hb_loop e =
		hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, h->scr.acc_stride), hb_i64(h, 1), "clear");

	hb_store(h, hb_f32(h, 0), hb_at(h, acc, e.i, h->f32), 4);
	hb_loop_end(h, &e);
	hb_store(h, hb_f32(h, -INFINITY), acc, 4);
	hb_loop_end(h, &n);
}

/* --- lanes --- */

typedef struct {
	const expr *a;
	V row;
	int offset;
} a_state;

static void a_vector(host_env *e, V base, int valid, void *user)
{
	a_state *st = user;
	host_cx *h = e->h;
	V x = hv_float(e, st->a), at = LLVMBuildAdd(h->b, base, hb_i64(h, st->offset), "");
	double scale = hr_a_scale(h->m);

	(void)valid;
	if (scale != 1)
		x = LLVMBuildFMul(h->b, x, hb_const_splat(h, hb_f32(h, scale), h->lay.w), "");
	if (e->mask)
		x = hb_select(h, e->mask, x, LLVMConstNull(h->vf));
	if (h->lay.dot == HOST_DOT_F32)
		hb_store(h, x, hb_at(h, st->row, at, h->f32), 4);
	else
		hb_store(h, hv_round_bf16(h, x), hb_at(h, st->row, at, h->i16), 2);
}

/* The A row of a lane. Words between the last feature and a_words are zero: a segment's masked tail
 * covers some. */
static void append_a(host_cx *h, rows_state *r, host_env *e, V lane)
{
	V row = hb_at(h, hb_at_bytes(h, r->scratch, h->scr.a_row),
		LLVMBuildMul(h->b, lane, hb_i64(h, h->lay.a_words + h->lay.w), ""), h->i32);
	int offset = 0, per_word = h->lay.dot == HOST_DOT_F32 ? 1 : 2;

	for (int s = 0; s < h->m->segments; s++)
		offset += (int)h->m->segment[s].d->extent;
	for (int i = offset / per_word / h->lay.w * h->lay.w; i < h->lay.a_words; i += h->lay.w)
		hb_store(h, LLVMConstNull(h->vi), hb_at_bytes(h, row, (int64_t)i * 4), 4);
	offset = 0;
	for (int s = 0; s < h->m->segments; s++) {
		const model_segment *seg = &h->m->segment[s];
		a_state st = {seg->a, row, offset};

		hs_for_features(e, seg->d, (int)seg->d->extent, a_vector, &st);
		offset += (int)seg->d->extent;
	}
}

/* Streams of the current row and outer positions, for vectors along features and for sums inside c.
 */
static void bind_streams(host_cx *h, rows_state *r, host_env *e)
{
	for (int s = 0; s < h->lay.streams; s++) {
		const host_stream *st = &h->lay.stream[s];
		V base;

		if (st->outer < 0) {
			e->stream_at[s] = hb_at_bytes(
				h, r->scratch, h->scr.row_stream + (int64_t)st->row_offset * 4);
			continue;
		}
		if (!e->coord[h->m->outer[st->outer]->id])
			continue;
		base = hb_load(h, h->ptr,
			hb_at(h, r->packed, hb_i64(h, HOST_PACKED_STREAM + s), h->ptr), 8);
		e->stream_at[s] = hb_at(h, base,
			LLVMBuildMul(h->b, e->coord[h->m->outer[st->outer]->id],
				hb_i64(h, st->extent_pad), ""),
			h->f32);
	}
}

static void append_c(host_cx *h, rows_state *r, host_env *e, V lane)
{
	host_env scalar;
	V c;

	if (!h->m->c)
		return;
	hv_env_init(&scalar, h, r->args, 1);
	for (int i = 0; i < h->s->axis.count; i++)
		scalar.coord[i] = e->coord[i];
	for (int s = 0; s < h->lay.streams; s++)
		scalar.stream_at[s] = e->stream_at[s];
	c = hv_float(&scalar, h->m->c);
	if (hr_a_scale(h->m) != 1)
		c = LLVMBuildFMul(h->b, c, hb_f32(h, hr_a_scale(h->m)), "");
	hb_store(h, c, lane_slot(h, r, h->scr.c, lane), 4);
	hv_env_free(&scalar);
}

static void append_lane(host_cx *h, rows_state *r, host_env *e, V i, V head, V first, V last)
{
	V lane = hb_get(h, h->i64, r->count), next;
	hb_if full;

	hb_store(h, to_i32(h, i), lane_slot(h, r, h->scr.lane_coord[HOST_LANE_I], lane), 4);
	hb_store(h, to_i32(h, head), lane_slot(h, r, h->scr.lane_coord[HOST_LANE_H], lane), 4);
	for (int o = 0; o < h->m->outers; o++)
		hb_store(h, to_i32(h, e->coord[h->m->outer[o]->id]),
			lane_slot(h, r, h->scr.lane_coord[HOST_LANE_OUTER + o], lane), 4);
	hb_store(h, to_i32(h, first), lane_slot(h, r, h->scr.first, lane), 4);
	hb_store(h, to_i32(h, last), lane_slot(h, r, h->scr.last, lane), 4);
	hb_store(h, to_i32(h, row_number(h, r, i, head)), lane_slot(h, r, h->scr.row, lane), 4);
	bind_streams(h, r, e);
	append_a(h, r, e, lane);
	append_c(h, r, e, lane);
	next = LLVMBuildAdd(h->b, lane, hb_i64(h, 1), "");
	LLVMBuildStore(h->b, next, r->count);
	full = hb_if_begin(h, hb_icmp(h, LLVMIntEQ, next, hb_i64(h, h->lay.lanes)));
	ht_call_tile(h, r->args, r->coord, r->packed, r->scratch, hb_i64(h, h->lay.lanes));
	LLVMBuildStore(h->b, hb_i64(h, 0), r->count);
	hb_if_end(h, &full);
}

static void outer_loops(
	host_cx *h, rows_state *r, host_env *e, host_env *scalar, int o, V i, V head, V *range)
{
	const sema_axis *axis;
	hb_loop l;

	if (o >= h->m->outers || o >= SEMA_MAX_KEYS - 1) {
		append_lane(h, r, e, i, head, range[0], range[1]);
		return;
	}
	axis = h->m->outer[o];
	l = hb_loop_begin(h, range[2 + 2 * o],
		LLVMBuildAdd(h->b, range[3 + 2 * o], hb_i64(h, 1), ""), hb_i64(h, 1), axis->name);
	e->coord[axis->id] = l.i;
	outer_loops(h, r, e, scalar, o + 1, i, head, range);
	e->coord[axis->id] = NULL;
	hb_loop_end(h, &l);
}

static void bind_row(host_cx *h, host_env *e, V i, V head)
{
	if (h->s->query)
		e->coord[h->s->query->id] = i;
	if (h->m->head)
		e->coord[h->m->head->id] = head;
}

static void row_lanes(host_cx *h, rows_state *r, V i, V head)
{
	host_env e, scalar;
	V range[2 + 2 * SEMA_MAX_KEYS], seen;
	hb_if some;

	hv_env_init(&e, h, r->args, h->lay.w);
	hv_env_init(&scalar, h, r->args, 1);
	hp_bind_coords(&e, r->coord);
	hp_bind_coords(&scalar, r->coord);
	bind_row(h, &e, i, head);
	bind_row(h, &scalar, i, head);
	hp_window(&scalar, h->m->inner, &range[0], &range[1]);
	seen = hb_icmp(h, LLVMIntSLE, range[0], range[1]);
	for (int o = 0; o < h->m->outers; o++) {
		hp_window(&scalar, h->m->outer[o], &range[2 + 2 * o], &range[3 + 2 * o]);
		seen = LLVMBuildAnd(
			h->b, seen, hb_icmp(h, LLVMIntSLE, range[2 + 2 * o], range[3 + 2 * o]), "");
	}
	some = hb_if_begin(h, seen);
	for (int s = 0; s < h->lay.streams; s++)
		if (h->lay.stream[s].outer < 0)
			hs_emit(&e, &h->lay.stream[s],
				hb_at_bytes(h, r->scratch,
					h->scr.row_stream +
						(int64_t)h->lay.stream[s].row_offset * 4));
	outer_loops(h, r, &e, &scalar, 0, i, head, range);
	hb_if_end(h, &some);
	hv_env_free(&e);
	hv_env_free(&scalar);
}

/* Fills the rest of the last tile with copies of lane 0, which changes neither ranges nor results.
 */
static void flush(host_cx *h, rows_state *r)
{
	V count = hb_get(h, h->i64, r->count), zero = hb_i64(h, 0);
	int words = h->lay.a_words + h->lay.w;
	int64_t arrays[HOST_MAX_LANE_COORDS + 4];
	int n = 0;
	hb_if some = hb_if_begin(h, hb_icmp(h, LLVMIntNE, count, zero));
	hb_loop lane = hb_loop_begin(h, count, hb_i64(h, h->lay.lanes), hb_i64(h, 1), "pad"), w;
	V rows = hb_at_bytes(h, r->scratch, h->scr.a_row);

	for (int o = 0; o < HOST_LANE_OUTER + h->m->outers; o++)
		arrays[n++] = h->scr.lane_coord[o];
	arrays[n++] = h->scr.first;
	arrays[n++] = h->scr.last;
	arrays[n++] = h->scr.row;
	arrays[n++] = h->scr.c;
	for (int i = 0; i < n; i++)
		hb_store(h, hb_load(h, h->i32, lane_slot(h, r, arrays[i], zero), 4),
			lane_slot(h, r, arrays[i], lane.i), 4);
	w = hb_loop_begin(h, zero, hb_i64(h, h->lay.a_words), hb_i64(h, 1), "word");
	hb_store(h, hb_load(h, h->i32, hb_at(h, rows, w.i, h->i32), 4),
		hb_at(h, rows,
			LLVMBuildAdd(
				h->b, LLVMBuildMul(h->b, lane.i, hb_i64(h, words), ""), w.i, ""),
			h->i32),
		4);
	hb_loop_end(h, &w);
	hb_loop_end(h, &lane);
	ht_call_tile(h, r->args, r->coord, r->packed, r->scratch, count);
	hb_if_end(h, &some);
}

/* --- outputs --- */

typedef struct {
	const model_output *o;
	V acc, inverse, address, stride;
	int offset;
} store_state;

static V finish_value(host_env *e, const model_output *o, V x)
{
	host_cx *h = e->h;

	if (o->row)
		x = LLVMBuildFMul(h->b, x, hv_float(e, o->row), "");
	if (o->plus)
		x = LLVMBuildFAdd(h->b, x, hv_float(e, o->plus), "");
	return x;
}

static void store_vector(host_env *e, V base, int valid, void *user)
{
	store_state *st = user;
	host_cx *h = e->h;
	V f = LLVMBuildAdd(h->b, base, hb_i64(h, st->offset), "");
	V x = hb_vload(h, hb_at(h, st->acc, f, h->f32), 4);
	T elem = st->o->tensor->dtype == DTYPE_F32 ? h->f32 : h->i16;

	x = finish_value(e, st->o, LLVMBuildFMul(h->b, x, st->inverse, ""));
	hv_output_store(e, st->o->tensor,
		hb_at(h, st->address, LLVMBuildMul(h->b, base, st->stride, ""), elem), st->stride,
		x, valid);
}

/* Subscripts of an output from the row's coordinates; the feature dimension is left out (0). */
static int output_subscripts(host_env *e, const sema_tensor *t, V *sub)
{
	int feature = -1;

	for (int d = 0; d < t->rank; d++) {
		const sema_axis *a = t->dim[d].axis;

		sub[d] = a && a->kind != AXIS_FEATURE ? e->coord[a->id] : NULL;
		if (!a || a->kind == AXIS_FEATURE)
			feature = d;
	}
	return feature;
}

static void store_sum(
	host_cx *h, rows_state *r, host_env *e, host_env *scalar, int o, V acc, V inverse)
{
	const model_output *out = &h->m->output[o];
	V sub[SEMA_MAX_RANK];
	int feature = output_subscripts(scalar, out->tensor, sub);
	store_state st = {out, hb_at_bytes(h, acc, (int64_t)h->scr.acc_o * 4),
		hb_splat(h, inverse, h->lay.w), hv_output_address(scalar, out->tensor, sub), NULL,
		h->lay.e_offset[o]};
	V x;

	(void)r;
	if (out->e) {
		st.stride = hv_stride(scalar, out->tensor, feature);
		hs_for_features(e, out->e, (int)out->e->extent, store_vector, &st);
		return;
	}
	x = hb_load(h, h->f32, hb_at_bytes(h, st.acc, (int64_t)st.offset * 4), 4);
	hv_output_store(scalar, out->tensor, st.address, NULL,
		finish_value(scalar, out, LLVMBuildFMul(h->b, x, inverse, "")), 1);
}

static void store_lse(host_cx *h, host_env *scalar, int o, V m, V l)
{
	const model_output *out = &h->m->output[o];
	V sub[SEMA_MAX_RANK], x;

	output_subscripts(scalar, out->tensor, sub);
	x = hb_fma(h, m, hb_f32(h, 0.69314718055994530942), hm_log(h, l));
	x = hb_select(h, hb_fcmp(h, LLVMRealOEQ, l, hb_f32(h, 0)), hb_f32(h, -INFINITY), x);
	hv_output_store(scalar, out->tensor, hv_output_address(scalar, out->tensor, sub), NULL,
		finish_value(scalar, out, x), 1);
}

/* The sink is one more logit: m, l and the scale of O change as for a merged lane. Returns the
 * factor for O. */
static V apply_sink(host_cx *h, host_env *scalar, V *m, V *l)
{
	V z, top, off, keep;

	if (!h->m->sink)
		return NULL;
	z = LLVMBuildFMul(h->b, hv_float(scalar, h->m->sink), hb_f32(h, 1.44269504088896341), "");
	top = hb_select(h, hb_fcmp(h, LLVMRealOGT, z, *m), z, *m);
	off = hb_select(h, hb_fcmp(h, LLVMRealOEQ, top, hb_f32(h, -INFINITY)), hb_f32(h, 0), top);
	keep = hm_exp2_neg(h, LLVMBuildFSub(h->b, *m, off, ""));
	*l = hb_fma(h, *l, keep, hm_exp2_neg(h, LLVMBuildFSub(h->b, z, off, "")));
	*m = top;
	return keep;
}

static void finish_row(host_cx *h, rows_state *r, V i, V head)
{
	V acc = accumulator(h, r, row_number(h, r, i, head));
	V m = hb_load(h, h->f32, acc, 4), l = hb_load(h, h->f32, hb_at_bytes(h, acc, 4), 4),
	  inverse, keep;
	host_env e, scalar;

	hv_env_init(&e, h, r->args, h->lay.w);
	hv_env_init(&scalar, h, r->args, 1);
	hp_bind_coords(&e, r->coord);
	hp_bind_coords(&scalar, r->coord);
	bind_row(h, &e, i, head);
	bind_row(h, &scalar, i, head);
	keep = apply_sink(h, &scalar, &m, &l);
	inverse = LLVMBuildFDiv(h->b, keep ? keep : hb_f32(h, 1), l, "");
	inverse = hb_select(h, hb_fcmp(h, LLVMRealOEQ, l, hb_f32(h, 0)), hb_f32(h, 0), inverse);
	if (!h->m->normalised)
		inverse = hb_f32(h, hr_score_scale(h->m));
	for (int o = 0; o < h->m->outputs; o++) {
		const sema_tensor *t = h->m->output[o].tensor;
		hb_if wanted;

		hv_env_reset(&scalar);
		wanted = hb_if_begin(h, LLVMBuildIsNotNull(h->b, hv_data(&scalar, t), ""));
		if (h->m->output[o].kind == OUTPUT_SUM)
			store_sum(h, r, &e, &scalar, o, acc, inverse);
		else
			store_lse(h, &scalar, o, m, l);
		hb_if_end(h, &wanted);
	}
	hv_env_free(&e);
	hv_env_free(&scalar);
}

static void for_rows(host_cx *h, rows_state *r, void (*body)(host_cx *, rows_state *, V, V))
{
	hb_loop i = hb_loop_begin(h, r->i0, r->i1, hb_i64(h, 1), "query");
	hb_loop head = hb_loop_begin(h, r->h0, r->h1, hb_i64(h, 1), "head");

	body(h, r, i.i, head.i);
	hb_loop_end(h, &head);
	hb_loop_end(h, &i);
}

void hr_define_rows(host_cx *h)
{
	V fn = hb_function(h, "rows", 4, 4, true);
	rows_state r = {.args = LLVMGetParam(fn, 0),
		.coord = LLVMGetParam(fn, 1),
		.packed = LLVMGetParam(fn, 2),
		.scratch = LLVMGetParam(fn, 3),
		.i0 = LLVMGetParam(fn, 4),
		.i1 = LLVMGetParam(fn, 5),
		.h0 = LLVMGetParam(fn, 6),
		.h1 = LLVMGetParam(fn, 7)};

	r.heads = LLVMBuildSub(h->b, r.h1, r.h0, "");
	r.count = hb_var(h, h->i64, NULL);
	LLVMBuildStore(h->b, hb_i64(h, 0), r.count);
	hk_tiles_begin(h);
	clear_rows(h, &r);
	for_rows(h, &r, row_lanes);
	flush(h, &r);
	hk_tiles_end(h);
	for_rows(h, &r, finish_row);
	LLVMBuildRetVoid(h->b);
}
