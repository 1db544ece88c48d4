/* tile.c: one tile of lanes against the keys that any of its lanes sees. Defines
 *   tile(args, coord, packed, scratch, lanes)
 * in:  lane coordinates, visible ranges and A rows in scratch; lanes from `lanes` on copy lane 0
 * out: each lane's partial result merged into its row's accumulator (m, l, O)
 *
 *   transpose A rows -> A[feature][lane]
 *   for each block of keys:
 *       S[key][lane] = B A + c             register-blocked product
 *       S = f(S), -inf outside window and mask; m' = max(m, S)
 *       P = 2^(S - m'); l, O rescaled; O += V P
 *   transpose O; merge lanes into rows with O scaled by Gv of the lane's outer position
 *
 * S is in the product's units, m and the exponents in log2 units (score_scale lies between). A lane
 * sees keys [first, last]; only blocks that reach outside some lane's range test each key, and
 * without masks only their edge keys. */
#include "host/host_internal.h"

typedef struct {
	V args, coord, packed, scratch, lanes;
	V b, v, bad;            /* packed operands */
	V full_first, full_end; /* keys that every lane sees: [full_first, full_end) */
	V seen_end;             /* one past the last key any lane sees */
	V kb, n;                /* first key and key count of the block */
	V m[8], l[8];           /* variables: running maximum and sum, one vector of lanes each */
	V block_max[8];
} tile_state;

static V at_scratch(host_cx *h, V scratch, int64_t offset)
{
	return hb_at_bytes(h, scratch, offset);
}

static V lane_vector(host_cx *h, tile_state *t, int64_t offset, int v, T type)
{
	return hb_load(h, type, at_scratch(h, t->scratch, offset + (int64_t)v * h->lay.w * 4), 64);
}

static V to_i64(host_cx *h, V x)
{
	return LLVMBuildSExt(h->b, x, h->i64, "");
}

/* Reduction of an i32 lane array to a scalar i64. */
static V lane_extreme(host_cx *h, tile_state *t, int64_t offset, bool maximum)
{
	T over = h->vi;
	V best = lane_vector(h, t, offset, 0, h->vi);

	for (int v = 1; v < h->lay.nv; v++) {
		V x = lane_vector(h, t, offset, v, h->vi);

		best = maximum ? hb_smax(h, best, x) : hb_smin(h, best, x);
	}
	return to_i64(
		h, hb_intrinsic(h, maximum ? "llvm.vector.reduce.smax" : "llvm.vector.reduce.smin",
			   &over, 1, &best, 1));
}

static void transpose_a(host_cx *h, tile_state *t)
{
	const host_layout *l = &h->lay;

	for (int v = 0; v < l->nv; v++) {
		hb_loop c =
			hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, l->a_words), hb_i64(h, l->w), "a");
		V src = at_scratch(
			h, t->scratch, h->scr.a_row + (int64_t)v * l->w * (l->a_words + l->w) * 4);
		V dst = at_scratch(h, t->scratch, h->scr.a + (int64_t)v * l->w * 4);

		hk_transpose(h, hb_at(h, src, c.i, h->i32), hb_i64(h, l->a_words + l->w),
			hb_at(h, dst, LLVMBuildMul(h->b, c.i, hb_i64(h, l->lanes), ""), h->i32),
			hb_i64(h, l->lanes));
		hb_loop_end(h, &c);
	}
}

static void clear_outputs(host_cx *h, tile_state *t)
{
	hb_loop e = hb_loop_begin(h, hb_i64(h, 0),
		hb_i64(h, (int64_t)h->lay.e_total * h->lay.lanes), hb_i64(h, h->lay.w), "clear");

	hb_store(h, LLVMConstNull(h->vf),
		hb_at(h, at_scratch(h, t->scratch, h->scr.o), e.i, h->f32), 64);
	hb_loop_end(h, &e);
}

/* --- scores --- */

static void score_product(host_cx *h, tile_state *t)
{
	const host_layout *l = &h->lay;
	int64_t element = l->dot == HOST_DOT_F32 ? 4 : 2;
	V init[8], y = at_scratch(h, t->scratch, h->scr.a), s = at_scratch(h, t->scratch, h->scr.s);
	bool with_c = h->m->c && l->dot != HOST_DOT_AMX;
	hb_loop p;
	V x;

	for (int v = 0; v < l->nv && with_c; v++)
		init[v] = lane_vector(h, t, h->scr.c, v, h->vf);
	p = hb_loop_begin(h, hb_i64(h, 0), t->n, hb_i64(h, l->panel), "panel");
	x = hb_at(h, t->b,
		LLVMBuildMul(h->b, LLVMBuildAdd(h->b, t->kb, p.i, ""),
			hb_i64(h, l->d_total * element), ""),
		h->i8);
	hk_product(h, x, l->dot == HOST_DOT_AMX ? 512 : l->panel, y,
		hb_i64(h, l->d_total / l->depth_unit),
		hb_at(h, s, LLVMBuildMul(h->b, p.i, hb_i64(h, l->lanes), ""), h->f32),
		with_c ? init : NULL, false);
	hb_loop_end(h, &p);
}

static void bind_lanes(host_cx *h, host_env *e, tile_state *t, int v)
{
	if (h->s->query)
		e->vcoord[h->s->query->id] =
			lane_vector(h, t, h->scr.lane_coord[HOST_LANE_I], v, h->vi);
	if (h->m->head)
		e->vcoord[h->m->head->id] =
			lane_vector(h, t, h->scr.lane_coord[HOST_LANE_H], v, h->vi);
	for (int o = 0; o < h->m->outers; o++)
		e->vcoord[h->m->outer[o]->id] =
			lane_vector(h, t, h->scr.lane_coord[HOST_LANE_OUTER + o], v, h->vi);
}

static V inside_window(host_cx *h, tile_state *t, V key, int v)
{
	V k = hb_splat(h, LLVMBuildTrunc(h->b, key, h->i32, ""), h->lay.w);
	V first = lane_vector(h, t, h->scr.first, v, h->vi),
	  last = lane_vector(h, t, h->scr.last, v, h->vi);

	return LLVMBuildAnd(
		h->b, hb_icmp(h, LLVMIntSLE, first, k), hb_icmp(h, LLVMIntSLE, k, last), "");
}

/* f of one vector of scores; `visible` is narrowed by masks. */
static V epilogue(host_cx *h, tile_state *t, V x, V key, int v, V *visible)
{
	const row_form *m = h->m;
	host_env e;
	V s = x;

	if (m->f_linear && m->masks == 0)
		return s;
	hv_env_init(&e, h, t->args, h->lay.w);
	hp_bind_coords(&e, t->coord);
	bind_lanes(h, &e, t, v);
	e.coord[m->inner->id] = key;
	e.dot = x;
	for (int i = 0; i < m->masks; i++) {
		V ok = hv_bool(&e, m->mask[i]);

		*visible = *visible ? LLVMBuildAnd(h->b, *visible, ok, "") : ok;
	}
	if (!m->f_linear) {
		s = hv_float(&e, m->f);
		if (m->normalised)
			s = LLVMBuildFMul(h->b, s,
				hb_const_splat(h, hb_f32(h, 1.44269504088896341), h->lay.w), "");
	}
	hv_env_free(&e);
	return s;
}

/* f, window and mask over keys [lo, hi) of the block, all lanes; updates block_max. */
static void score_pass(host_cx *h, tile_state *t, V lo, V hi, bool windowed)
{
	const host_layout *l = &h->lay;
	bool add_c = h->m->c && l->dot == HOST_DOT_AMX;
	V hidden = hb_const_splat(h, hb_f32(h, h->m->normalised ? -__builtin_inff() : 0.0f), l->w);
	hb_loop k = hb_loop_begin(h, lo, hi, hb_i64(h, 1), "score");
	V key = LLVMBuildAdd(h->b, t->kb, k.i, "");
	V row = hb_at(h, at_scratch(h, t->scratch, h->scr.s),
		LLVMBuildMul(h->b, k.i, hb_i64(h, l->lanes), ""), h->f32);

	for (int v = 0; v < l->nv; v++) {
		V at = hb_at_bytes(h, row, (int64_t)v * l->w * 4);
		V x = hb_vload(h, at, 64), visible = windowed ? inside_window(h, t, key, v) : NULL,
		  s, top;

		if (add_c)
			x = LLVMBuildFAdd(h->b, x, lane_vector(h, t, h->scr.c, v, h->vf), "");
		s = epilogue(h, t, x, key, v, &visible);
		if (visible)
			s = hb_select(h, visible, s, hidden);
		if (s != x || add_c)
			hb_store(h, s, at, 64);
		if (h->m->normalised) {
			top = hb_get(h, h->vf, t->block_max[v]);
			top = hb_select(h, hb_fcmp(h, LLVMRealOGT, s, top), s, top);
			LLVMBuildStore(h->b, top, t->block_max[v]);
		} else {
			V one = hb_const_splat(h, hb_f32(h, 1), l->w),
			  sum = hb_get(h, h->vf, t->l[v]);

			if (visible)
				one = hb_select(h, visible, one, LLVMConstNull(h->vf));
			LLVMBuildStore(h->b, LLVMBuildFAdd(h->b, sum, one, ""), t->l[v]);
		}
	}
	hb_loop_end(h, &k);
}

static void hide_keys(host_cx *h, tile_state *t, V lo, V hi)
{
	const host_layout *l = &h->lay;
	V s = at_scratch(h, t->scratch, h->scr.s);
	V x = hb_const_splat(h, hb_f32(h, h->m->normalised ? -__builtin_inff() : 0.0f), l->w);
	hb_loop k = hb_loop_begin(h, lo, hi, hb_i64(h, 1), "hide");

	for (int v = 0; v < l->nv; v++)
		hb_store(h, x,
			hb_at(h, s,
				LLVMBuildAdd(h->b, LLVMBuildMul(h->b, k.i, hb_i64(h, l->lanes), ""),
					hb_i64(h, v * l->w), ""),
				h->f32),
			64);
	hb_loop_end(h, &k);
}

/* Edges of the block test the window, the middle does not. Returns where the tests end and begin
 * again. */
static void scores(host_cx *h, tile_state *t, V *edge_end, V *edge_begin)
{
	V zero = hb_i64(h, 0), real, a, b;

	real = hb_smin(h, t->n, LLVMBuildSub(h->b, t->seen_end, t->kb, ""));
	a = hb_smax(h, zero, hb_smin(h, real, LLVMBuildSub(h->b, t->full_first, t->kb, "")));
	b = hb_smax(h, a, hb_smin(h, real, LLVMBuildSub(h->b, t->full_end, t->kb, "")));
	for (int v = 0; v < h->lay.nv; v++)
		LLVMBuildStore(h->b, hb_const_splat(h, hb_f32(h, -__builtin_inff()), h->lay.w),
			t->block_max[v]);
	score_pass(h, t, zero, a, true);
	score_pass(h, t, a, b, false);
	score_pass(h, t, b, real, true);
	hide_keys(h, t, real, t->n);
	*edge_end = a;
	*edge_begin = b;
}

/* --- weights --- */

static V score_scale(host_cx *h)
{
	return hb_const_splat(h, hb_f32(h, hr_score_scale(h->m)), h->lay.w);
}

/* m' = max(m, block); O and l scaled by 2^(m - m'). Returns the finite offset to subtract. */
static void rescale(host_cx *h, tile_state *t, V *offset)
{
	const host_layout *l = &h->lay;
	V low = hb_const_splat(h, hb_f32(h, -__builtin_inff()), l->w), alpha[8], changed = NULL;
	T over = LLVMVectorType(h->i1, (unsigned)l->w);
	hb_if any;
	hb_loop e;

	for (int v = 0; v < l->nv; v++) {
		V old = hb_get(h, h->vf, t->m[v]), top = hb_get(h, h->vf, t->block_max[v]), m,
		  is_new;

		top = LLVMBuildFMul(h->b, top, score_scale(h), "");
		m = hb_select(h, hb_fcmp(h, LLVMRealOGT, top, old), top, old);

		is_new = hb_fcmp(h, LLVMRealUNE, m, old);
		is_new = hb_intrinsic(h, "llvm.vector.reduce.or", &over, 1, &is_new, 1);
		changed = changed ? LLVMBuildOr(h->b, changed, is_new, "") : is_new;
		offset[v] = hb_select(h, hb_fcmp(h, LLVMRealOEQ, m, low), LLVMConstNull(h->vf), m);
		alpha[v] = hm_exp2_neg(h, LLVMBuildFSub(h->b, old, offset[v], ""));
		LLVMBuildStore(h->b, m, t->m[v]);
	}
	any = hb_if_begin(h, changed);
	e = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, h->lay.e_total), hb_i64(h, 1), "rescale");
	for (int v = 0; v < l->nv; v++) {
		V at = hb_at(h, at_scratch(h, t->scratch, h->scr.o + (int64_t)v * l->w * 4),
			LLVMBuildMul(h->b, e.i, hb_i64(h, l->lanes), ""), h->f32);

		hb_store(h, LLVMBuildFMul(h->b, hb_vload(h, at, 64), alpha[v], ""), at, 64);
	}
	hb_loop_end(h, &e);
	for (int v = 0; v < l->nv; v++)
		LLVMBuildStore(h->b, LLVMBuildFMul(h->b, hb_get(h, h->vf, t->l[v]), alpha[v], ""),
			t->l[v]);
	hb_if_end(h, &any);
}

static V weight(host_cx *h, tile_state *t, V at, int v, V *offset)
{
	V s = hb_vload(h, at, 64), p;

	if (!h->m->normalised)
		return s;
	/* not fused: the largest score must give exactly 2^0, however large it is */
	p = hm_exp2_neg(
		h, LLVMBuildFSub(h->b, LLVMBuildFMul(h->b, s, score_scale(h), ""), offset[v], ""));
	LLVMBuildStore(h->b, LLVMBuildFAdd(h->b, hb_get(h, h->vf, t->l[v]), p, ""), t->l[v]);
	return p;
}

/* Two weights of neighbouring keys as a bf16 pair. Softmax weights are never negative: adding half
 * rounds. */
static V pair_weights(host_cx *h, V even, V odd)
{
	int w = h->lay.w;
	V half = hb_const_splat(h, hb_i32(h, 0x8000), w),
	  sixteen = hb_const_splat(h, hb_i32(h, 16), w);
	V lo, hi;

	if (!h->m->normalised) {
		lo = LLVMBuildZExt(h->b, hv_round_bf16(h, even), h->vi, "");
		hi = LLVMBuildZExt(h->b, hv_round_bf16(h, odd), h->vi, "");
		return LLVMBuildOr(h->b, lo, LLVMBuildShl(h->b, hi, sixteen, ""), "");
	}
	lo = LLVMBuildAdd(h->b, LLVMBuildBitCast(h->b, even, h->vi, ""), half, "");
	hi = LLVMBuildAdd(h->b, LLVMBuildBitCast(h->b, odd, h->vi, ""), half, "");
	hi = LLVMBuildAnd(h->b, hi, hb_const_splat(h, hb_i32(h, (int32_t)0xffff0000), w), "");
	return LLVMBuildOr(h->b, LLVMBuildLShr(h->b, lo, sixteen, ""), hi, "");
}

/* S -> P in place; bf16 pairs of keys take half the rows. */
static void weights(host_cx *h, tile_state *t, V *offset)
{
	const host_layout *l = &h->lay;
	int step = l->dot == HOST_DOT_F32 ? 1 : 2;
	V s = at_scratch(h, t->scratch, h->scr.s);
	hb_loop k;

	if (!h->m->normalised && step == 1)
		return;
	k = hb_loop_begin(h, hb_i64(h, 0), t->n, hb_i64(h, step), "weight");
	for (int v = 0; v < l->nv; v++) {
		V at = hb_at(h, hb_at_bytes(h, s, (int64_t)v * l->w * 4),
			LLVMBuildMul(h->b, k.i, hb_i64(h, l->lanes), ""), h->f32);
		V p = weight(h, t, at, v, offset);

		if (step == 2) {
			V q = weight(h, t, hb_at_bytes(h, at, (int64_t)l->lanes * 4), v, offset);

			at = hb_at(h, hb_at_bytes(h, s, (int64_t)v * l->w * 4),
				LLVMBuildMul(h->b, LLVMBuildLShr(h->b, k.i, hb_i64(h, 1), ""),
					hb_i64(h, l->lanes), ""),
				h->f32);
			p = pair_weights(h, p, q);
		}
		hb_store(h, p, at, 64);
	}
	hb_loop_end(h, &k);
}

/* --- values --- */

static void value_product(host_cx *h, tile_state *t)
{
	const host_layout *l = &h->lay;
	int64_t element = l->dot == HOST_DOT_F32 ? 4 : 2;
	int shift = l->dot == HOST_DOT_AMX ? 5 : l->dot == HOST_DOT_F32 ? 0 : 1;
	int64_t ldx = l->dot == HOST_DOT_AMX ? 32 * (int64_t)l->e_total : l->e_total;
	int64_t per_feature = l->dot == HOST_DOT_AMX ? 64 : l->dot == HOST_DOT_F32 ? 4 : 4;
	V steps = LLVMBuildLShr(h->b, t->n, hb_i64(h, shift), "");
	V block = hb_at(
		h, t->v, LLVMBuildMul(h->b, t->kb, hb_i64(h, l->e_total * element), ""), h->i8);

	for (int o = 0; o < h->m->outputs; o++) {
		hb_loop e;
		V f;

		if (h->m->output[o].kind != OUTPUT_SUM)
			continue;
		e = hb_loop_begin(
			h, hb_i64(h, 0), hb_i64(h, l->e_extent[o]), hb_i64(h, l->mr), "value");
		f = LLVMBuildAdd(h->b, e.i, hb_i64(h, l->e_offset[o]), "");
		hk_product(h,
			hb_at(h, block, LLVMBuildMul(h->b, f, hb_i64(h, per_feature), ""), h->i8),
			ldx, at_scratch(h, t->scratch, h->scr.s), steps,
			hb_at(h, at_scratch(h, t->scratch, h->scr.o),
				LLVMBuildMul(h->b, f, hb_i64(h, l->lanes), ""), h->f32),
			NULL, true);
		hb_loop_end(h, &e);
	}
}

/* Weight of one key as f32 lanes, from P as stored. */
static V stored_weight(host_cx *h, tile_state *t, V key, int v)
{
	const host_layout *l = &h->lay;
	V s = hb_at_bytes(h, at_scratch(h, t->scratch, h->scr.s), (int64_t)v * l->w * 4), word,
	  shift;

	if (l->dot == HOST_DOT_F32)
		return hb_vload(h,
			hb_at(h, s, LLVMBuildMul(h->b, key, hb_i64(h, l->lanes), ""), h->f32), 64);
	word = hb_load(h, h->vi,
		hb_at(h, s,
			LLVMBuildMul(h->b, LLVMBuildLShr(h->b, key, hb_i64(h, 1), ""),
				hb_i64(h, l->lanes), ""),
			h->i32),
		64);
	shift = LLVMBuildTrunc(h->b,
		LLVMBuildShl(h->b, LLVMBuildAnd(h->b, key, hb_i64(h, 1), ""), hb_i64(h, 4), ""),
		h->i32, "");
	word = LLVMBuildLShr(h->b, word, hb_splat(h, shift, l->w), "");
	return LLVMBuildBitCast(h->b,
		LLVMBuildShl(h->b, word, hb_const_splat(h, hb_i32(h, 16), l->w), ""), h->vf, "");
}

/* Blocks with a NaN or infinite value next to an invisible key: 0 * NaN must not reach lanes that
 * do not see it. */
static void careful_values(host_cx *h, tile_state *t)
{
	const host_layout *l = &h->lay;
	V from[2], o = at_scratch(h, t->scratch, h->scr.o);
	hb_loop k = hb_loop_begin(h, hb_i64(h, 0), t->n, hb_i64(h, 1), "careful"), e;
	V key = LLVMBuildAdd(h->b, t->kb, k.i, ""), x;

	e = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, l->e_total), hb_i64(h, 1), "feature");
	from[0] = hp_value_address(h, t->v, key, e.i);
	x = hb_load(h, l->dot == HOST_DOT_F32 ? h->f32 : h->i16, from[0], 2);
	if (l->dot != HOST_DOT_F32) {
		x = LLVMBuildShl(h->b, LLVMBuildZExt(h->b, x, h->i32, ""), hb_i32(h, 16), "");
		x = LLVMBuildBitCast(h->b, x, h->f32, "");
	}
	x = hb_splat(h, x, l->w);
	for (int v = 0; v < l->nv; v++) {
		V at = hb_at(h, hb_at_bytes(h, o, (int64_t)v * l->w * 4),
			LLVMBuildMul(h->b, e.i, hb_i64(h, l->lanes), ""), h->f32);
		V p = stored_weight(h, t, k.i, v), old = hb_vload(h, at, 64);
		V none = hb_fcmp(h, LLVMRealOEQ, p, LLVMConstNull(h->vf));

		hb_store(h, hb_select(h, none, old, hb_fma(h, p, x, old)), at, 64);
	}
	hb_loop_end(h, &e);
	hb_loop_end(h, &k);
}

static V any_bad(host_cx *h, tile_state *t)
{
	V sum = hb_var(h, h->i8, NULL);
	hb_loop k;

	LLVMBuildStore(h->b, LLVMConstInt(h->i8, 0, 0), sum);
	k = hb_loop_begin(h, hb_i64(h, 0), t->n, hb_i64(h, 1), "bad");
	LLVMBuildStore(h->b,
		LLVMBuildOr(h->b, hb_get(h, h->i8, sum),
			hb_load(h, h->i8,
				hb_at(h, t->bad, LLVMBuildAdd(h->b, t->kb, k.i, ""), h->i8), 1),
			""),
		sum);
	hb_loop_end(h, &k);
	return hb_icmp(h, LLVMIntNE, hb_get(h, h->i8, sum), LLVMConstInt(h->i8, 0, 0));
}

static void values(host_cx *h, tile_state *t, V edge_end, V edge_begin)
{
	V partial = LLVMBuildOr(h->b, hb_icmp(h, LLVMIntSGT, edge_end, hb_i64(h, 0)),
		hb_icmp(h, LLVMIntSLT, edge_begin, t->n), "");
	V careful = hb_var(h, h->i1, NULL);
	hb_if i;

	if (h->lay.e_total == 0)
		return;
	if (h->m->masks)
		partial = LLVMConstInt(h->i1, 1, 0);
	LLVMBuildStore(h->b, LLVMConstInt(h->i1, 0, 0), careful);
	i = hb_if_begin(h, partial);
	LLVMBuildStore(h->b, any_bad(h, t), careful);
	hb_if_end(h, &i);
	i = hb_if_begin(h, hb_get(h, h->i1, careful));
	careful_values(h, t);
	hb_if_else(h, &i);
	value_product(h, t);
	hb_if_end(h, &i);
}

/* --- merge --- */

typedef struct {
	const model_output *o;
	V acc, part, keep, take;
	int offset;
} merge_state;

static void merge_vector(host_env *e, V base, int valid, void *user)
{
	merge_state *st = user;
	host_cx *h = e->h;
	V f = LLVMBuildAdd(h->b, base, hb_i64(h, st->offset), "");
	V to = hb_at(h, st->acc, f, h->f32);
	V x = hb_vload(h, hb_at(h, st->part, f, h->f32), 4);

	(void)valid;
	if (st->o->outer)
		x = LLVMBuildFMul(h->b, x, hv_float(e, st->o->outer), "");
	x = LLVMBuildFMul(h->b, x, st->take, "");
	hb_store(h, hb_fma(h, hb_vload(h, to, 4), st->keep, x), to, 4);
}

static void merge_output(
	host_cx *h, tile_state *t, host_env *e, int o, V acc, V part, V keep, V take)
{
	const model_output *out = &h->m->output[o];
	merge_state st = {out, hb_at_bytes(h, acc, (int64_t)h->scr.acc_o * 4), part,
		hb_splat(h, keep, h->lay.w), hb_splat(h, take, h->lay.w), h->lay.e_offset[o]};
	host_env scalar;
	V x, to;

	if (out->e) {
		hs_for_features(e, out->e, (int)out->e->extent, merge_vector, &st);
		return;
	}
	hv_env_init(&scalar, h, t->args, 1);
	for (int i = 0; i < h->s->axis.count; i++)
		scalar.coord[i] = e->coord[i];
	to = hb_at_bytes(h, st.acc, (int64_t)st.offset * 4);
	x = hb_load(h, h->f32, hb_at_bytes(h, part, (int64_t)st.offset * 4), 4);
	if (out->outer)
		x = LLVMBuildFMul(h->b, x, hv_float(&scalar, out->outer), "");
	x = LLVMBuildFMul(h->b, x, take, "");
	hb_store(h, hb_fma(h, hb_load(h, h->f32, to, 4), keep, x), to, 4);
	hv_env_free(&scalar);
}

/* Factors for the row's old sums and for the lane's, and the row's new maximum. */
static void merge_factors(host_cx *h, V acc, V lane_m, V *keep, V *take)
{
	V old = hb_load(h, h->f32, acc, 4), low = hb_f32(h, -__builtin_inff()), m, off;

	*keep = *take = hb_f32(h, 1);
	if (!h->m->normalised)
		return;
	m = hb_select(h, hb_fcmp(h, LLVMRealOGT, lane_m, old), lane_m, old);
	off = hb_select(h, hb_fcmp(h, LLVMRealOEQ, m, low), hb_f32(h, 0), m);
	*keep = hm_exp2_neg(h, LLVMBuildFSub(h->b, old, off, ""));
	*take = hm_exp2_neg(h, LLVMBuildFSub(h->b, lane_m, off, ""));
	hb_store(h, m, acc, 4);
}

static void bind_lane(host_cx *h, tile_state *t, host_env *e, V lane)
{
	for (int o = 0; o < h->m->outers; o++) {
		V p = hb_load(h, h->i32,
			hb_at(h, at_scratch(h, t->scratch, h->scr.lane_coord[HOST_LANE_OUTER + o]),
				lane, h->i32),
			4);

		e->coord[h->m->outer[o]->id] = to_i64(h, p);
	}
	for (int s = 0; s < h->lay.streams; s++) {
		const host_stream *st = &h->lay.stream[s];
		V base;

		if (st->outer < 0)
			continue;
		base = hb_load(h, h->ptr,
			hb_at(h, t->packed, hb_i64(h, HOST_PACKED_STREAM + s), h->ptr), 8);
		e->stream_at[s] = hb_at(h, base,
			LLVMBuildMul(h->b, e->coord[h->m->outer[st->outer]->id],
				hb_i64(h, st->extent_pad), ""),
			h->f32);
	}
}

static void merge(host_cx *h, tile_state *t)
{
	const host_layout *l = &h->lay;
	hb_loop r = hb_loop_begin(h, hb_i64(h, 0), t->lanes, hb_i64(h, 1), "lane");
	V lane_l =
		hb_load(h, h->f32, hb_at(h, at_scratch(h, t->scratch, h->scr.l), r.i, h->f32), 4);
	V lane_m =
		hb_load(h, h->f32, hb_at(h, at_scratch(h, t->scratch, h->scr.m), r.i, h->f32), 4);
	V row = to_i64(h, hb_load(h, h->i32,
				  hb_at(h, at_scratch(h, t->scratch, h->scr.row), r.i, h->i32), 4));
	hb_if seen = hb_if_begin(h, hb_fcmp(h, LLVMRealUNE, lane_l, hb_f32(h, 0)));
	V acc = hb_at(h, at_scratch(h, t->scratch, h->scr.acc),
		LLVMBuildMul(h->b, row, hb_i64(h, h->scr.acc_stride), ""), h->f32);
	V part = hb_at(h, at_scratch(h, t->scratch, h->scr.o_row),
		LLVMBuildMul(h->b, r.i, hb_i64(h, l->e_total), ""), h->f32);
	V keep, take, sum_at = hb_at_bytes(h, acc, 4);
	host_env e;

	merge_factors(h, acc, lane_m, &keep, &take);
	hb_store(h,
		hb_fma(h, hb_load(h, h->f32, sum_at, 4), keep,
			LLVMBuildFMul(h->b, lane_l, take, "")),
		sum_at, 4);
	hv_env_init(&e, h, t->args, l->w);
	hp_bind_coords(&e, t->coord);
	bind_lane(h, t, &e, r.i);
	for (int o = 0; o < h->m->outputs; o++)
		if (h->m->output[o].kind == OUTPUT_SUM)
			merge_output(h, t, &e, o, acc, part, keep, take);
	hv_env_free(&e);
	hb_if_end(h, &seen);
	hb_loop_end(h, &r);
}

static void transpose_outputs(host_cx *h, tile_state *t)
{
	const host_layout *l = &h->lay;

	for (int v = 0; v < l->nv; v++) {
		hb_loop e =
			hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, l->e_total), hb_i64(h, l->w), "o");
		V src = at_scratch(h, t->scratch, h->scr.o + (int64_t)v * l->w * 4);
		V dst = at_scratch(
			h, t->scratch, h->scr.o_row + (int64_t)v * l->w * l->e_total * 4);

		hk_transpose(h,
			hb_at(h, src, LLVMBuildMul(h->b, e.i, hb_i64(h, l->lanes), ""), h->i32),
			hb_i64(h, l->lanes), hb_at(h, dst, e.i, h->i32), hb_i64(h, l->e_total));
		hb_loop_end(h, &e);
	}
}

/* Keys per block so that the blocks of a range are about equal: ceil(range / blocks), rounded to
 * key_unit. */
static V block_size(host_cx *h, V range)
{
	V most = hb_i64(h, h->lay.key_block), unit = hb_i64(h, h->lay.key_unit);
	V less = hb_i64(h, h->lay.key_block - 1), round = hb_i64(h, h->lay.key_unit - 1);
	V blocks = LLVMBuildSDiv(h->b, LLVMBuildAdd(h->b, range, less, ""), most, "");
	V each;

	blocks = hb_smax(h, blocks, hb_i64(h, 1));
	each = LLVMBuildSDiv(h->b,
		LLVMBuildAdd(h->b, range, LLVMBuildSub(h->b, blocks, hb_i64(h, 1), ""), ""), blocks,
		"");
	each = LLVMBuildSDiv(h->b, LLVMBuildAdd(h->b, each, round, ""), unit, "");
	return LLVMBuildMul(h->b, each, unit, "");
}

static void key_blocks(host_cx *h, tile_state *t)
{
	V unit = hb_i64(h, -(int64_t)h->lay.key_unit), start, end, range, size, offset[8], a, b;
	hb_loop k;

	start = LLVMBuildAnd(h->b, lane_extreme(h, t, h->scr.first, false), unit, "");
	t->seen_end = LLVMBuildAdd(h->b, lane_extreme(h, t, h->scr.last, true), hb_i64(h, 1), "");
	t->full_first = lane_extreme(h, t, h->scr.first, true);
	t->full_end = LLVMBuildAdd(h->b, lane_extreme(h, t, h->scr.last, false), hb_i64(h, 1), "");
	end = LLVMBuildAdd(h->b, t->seen_end, hb_i64(h, h->lay.key_unit - 1), "");
	end = LLVMBuildAnd(h->b, end, unit, "");
	range = LLVMBuildSub(h->b, end, start, "");
	size = block_size(h, range);
	k = hb_loop_begin(h, start, end, size, "block");
	t->kb = k.i;
	t->n = hb_smin(h, size, LLVMBuildSub(h->b, end, k.i, ""));
	score_product(h, t);
	scores(h, t, &a, &b);
	if (h->m->normalised)
		rescale(h, t, offset);
	weights(h, t, offset);
	values(h, t, a, b);
	hb_loop_end(h, &k);
}

void ht_define_tile(host_cx *h)
{
	V fn = hb_function(h, "tile", 4, 1, false);
	tile_state t = {.args = LLVMGetParam(fn, 0),
		.coord = LLVMGetParam(fn, 1),
		.packed = LLVMGetParam(fn, 2),
		.scratch = LLVMGetParam(fn, 3),
		.lanes = LLVMGetParam(fn, 4)};

	t.b = hb_load(h, h->ptr, hb_at(h, t.packed, hb_i64(h, HOST_PACKED_B), h->ptr), 8);
	t.v = hb_load(h, h->ptr, hb_at(h, t.packed, hb_i64(h, HOST_PACKED_V), h->ptr), 8);
	t.bad = hb_load(h, h->ptr, hb_at(h, t.packed, hb_i64(h, HOST_PACKED_BAD), h->ptr), 8);
	for (int v = 0; v < h->lay.nv; v++) {
		t.m[v] = hb_var(h, h->vf, NULL);
		t.l[v] = hb_var(h, h->vf, NULL);
		t.block_max[v] = hb_var(h, h->vf, NULL);
		LLVMBuildStore(
			h->b, hb_const_splat(h, hb_f32(h, -__builtin_inff()), h->lay.w), t.m[v]);
		LLVMBuildStore(h->b, LLVMConstNull(h->vf), t.l[v]);
	}
	transpose_a(h, &t);
	clear_outputs(h, &t);
	key_blocks(h, &t);
	for (int v = 0; v < h->lay.nv; v++) {
		hb_store(h, hb_get(h, h->vf, t.m[v]),
			at_scratch(h, t.scratch, h->scr.m + (int64_t)v * h->lay.w * 4), 64);
		hb_store(h, hb_get(h, h->vf, t.l[v]),
			at_scratch(h, t.scratch, h->scr.l + (int64_t)v * h->lay.w * 4), 64);
	}
	transpose_outputs(h, &t);
	merge(h, &t);
	LLVMBuildRetVoid(h->b);
}

void ht_call_tile(host_cx *h, V args, V coord, V packed, V scratch, V lanes)
{
	V fn = LLVMGetNamedFunction(h->mod, "tile");
	V arg[] = {args, coord, packed, scratch, lanes};

	LLVMBuildCall2(h->b, LLVMGlobalGetValueType(fn), fn, arg, 5, "");
}
