/* build.c: A, c and Gv at the current outer position.
 * in:  row streams in registers or shared memory, g->outer, staged outer vectors
 * out: statements that make A and c of them, and that add an outer step's sums to O by Gv */
#include "gpu/gpu_internal.h"
#include <math.h>

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X add(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_ADD, a, b);
}

static X mul(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_MUL, a, b);
}

static void outer_env(gpu_cx *g, gpu_env *e)
{
	gpu_env_init(g, e);
	for (int o = 0; o < g->m->outers; o++)
		e->coord[g->m->outer[o]->id] = g->outer[o];
}

static void row_env(gpu_cx *g, gpu_env *e)
{
	outer_env(g, e);
	if (g->s->query)
		e->coord[g->s->query->id] = tx_frag(g->p, g->row_i);
	if (g->m->head)
		e->coord[g->m->head->id] = tx_frag(g->p, g->row_h);
}

/* --- A --- */

/* Columns [k, k + cols) of an outer stream at the current position. */
static void load_outer_stream(gpu_cx *g, int s, X k, int cols)
{
	const model_stream *st = &g->plan->streams.item[s];
	X d = tx_leaf(g->p, TX_COL), v = gpu_staged(g, s, d);
	gpu_env e;

	if (!v) {
		outer_env(g, &e);
		e.coord[st->d->id] = gpu_feature_of(g, d, st->d->extent);
		v = gpu_padded(g, d, st->d->extent, gpu_float(g, &e, st->e));
	}
	tile_map(g->p, st->e->at, tile_columns(g->stream[s], k, cols),
		tx_cvt(g->p, g->stream[s]->type, v));
}

/* In the operands' own type: stream s, or its value where it has no register tile. */
static X packed_stream(gpu_cx *g, int s)
{
	if (g->stream[s])
		return tx_frag(g->p, g->stream[s]);
	return tx_cvt(g->p, g->plan->operand, g->stream_at(g, s, tx_leaf(g->p, TX_COL)));
}

static X packed_product(gpu_cx *g, const expr *x)
{
	int s = model_stream_find(&g->plan->streams, x);

	if (s >= 0)
		return packed_stream(g, s);
	return mul(g, packed_product(g, x->arg[0]), packed_product(g, x->arg[1]));
}

/* The most that rounding may do to the scale of all scores. */
#define SCALE_ERROR 0x1p-12

/* To the significant bits of a 16-bit type. */
static double round_operand(tile_type t, double v)
{
	int e, bits = t == TILE_F16 ? 11 : 8;

	v = frexp(v, &e);
	return ldexp(nearbyint(ldexp(v, bits)), e - bits);
}

static X operand_constant(gpu_cx *g, double v)
{
	return tx_cvt(g->p, g->plan->operand, tx_f32(g->p, v));
}

X gpu_scaled_product(gpu_cx *g, X row, X outer)
{
	double rest = gpu_product_scale(g) / gpu_row_scale(g) - 1, most, left;
	X part;

	if (rest == 0)
		return mul(g, row, outer);
	most = round_operand(g->plan->operand, rest);
	left = rest - most;
	part = mul(g, outer, operand_constant(g, most));
	if (fabs(left) > SCALE_ERROR)
		part = tx_3(g->p, TX_FMA, outer, operand_constant(g, most),
			mul(g, outer, operand_constant(g, left)));
	return tx_3(g->p, TX_FMA, row, outer, mul(g, row, part));
}

static X scaled_product(gpu_cx *g, const expr *a)
{
	int k = gpu_outer_factor(g->plan, a);
	int x = model_stream_find(&g->plan->streams, a->arg[0]);
	int q = x == k ? model_stream_find(&g->plan->streams, a->arg[1]) : x;

	return gpu_scaled_product(g, packed_stream(g, q), packed_stream(g, k));
}

/* Columns [k, k + cols) of A. A product of two 16-bit operands is computed on packed pairs, all else
 * in f32 and rounded once. */
static void build_columns(gpu_cx *g, int seg, X k, int cols)
{
	const model_segment *sg = &g->m->segment[seg];
	gpu_env e;
	X v, d = tx_leaf(g->p, TX_COL);

	if (gpu_is_product(g->plan, sg->a) && gpu_a_scale(g) == 1) {
		tile_map(g->p, sg->a->at, tile_columns(g->a[seg], k, cols),
			gpu_product_scale(g) != 1 ? scaled_product(g, sg->a)
						  : packed_product(g, sg->a));
		return;
	}
	row_env(g, &e);
	e.coord[sg->d->id] = gpu_feature_of(g, d, sg->d->extent);
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->plan->streams.item[s].d != sg->d)
			continue;
		else if (g->stream[s])
			e.stream[s] = tx_cvt(g->p, TILE_F32, tx_frag(g->p, g->stream[s]));
		else if (g->stream_at)
			e.stream[s] = g->stream_at(g, s, e.coord[sg->d->id]);
	v = gpu_float(g, &e, sg->a);
	if (gpu_a_scale(g) != 1)
		v = mul(g, v, tx_f32(g->p, gpu_a_scale(g)));
	v = gpu_padded(g, d, sg->d->extent, v);
	tile_map(g->p, sg->a->at, tile_columns(g->a[seg], k, cols),
		tx_cvt(g->p, g->a[seg]->type, v));
	if (!g->rest[seg])
		return;
	v = tx_2(g->p, TX_SUB, v, tx_cvt(g->p, TILE_F32, tx_frag(g->p, g->a[seg])));
	tile_map(g->p, sg->a->at, tile_columns(g->rest[seg], k, cols),
		tx_cvt(g->p, g->a[seg]->type, v));
}

/* Whether A changes with the outer position, or is not yet in registers. */
static bool is_built(const gpu_cx *g, int seg)
{
	int s = model_stream_find(&g->plan->streams, g->m->segment[seg].a);

	return gpu_shared_a(g, seg) < 0 && (s < 0 || g->a[seg] != g->stream[s]);
}

static void build_segment(gpu_cx *g, int seg)
{
	if (is_built(g, seg))
		build_columns(g, seg, i32(g, 0), g->a[seg]->cols);
}

/* Whether a row stream is itself A of some segment: then registers hold it. */
static bool is_row_a(const gpu_cx *g, int s)
{
	for (int seg = 0; seg < g->m->segments; seg++)
		if (g->a[seg] == g->stream[s])
			return true;
	return false;
}

void gpu_build_columns(gpu_cx *g, int seg, X k, int cols)
{
	const model_segment *sg = &g->m->segment[seg];

	for (int s = 0; s < g->plan->streams.count; s++) {
		const model_stream *st = &g->plan->streams.item[s];

		if (!g->stream[s] || st->d != sg->d)
			continue;
		if (st->outer >= 0)
			load_outer_stream(g, s, k, cols);
		else if (!is_row_a(g, s))
			tile_ldsm(g->p, st->e->at, tile_columns(g->stream[s], k, cols),
				tile_part(g->rows[s], NULL, NULL, k, g->plan->rows, cols), false);
	}
	build_columns(g, seg, k, cols);
}

/* A of a segment from rows in shared memory, 16 columns at a time: few registers hold them. */
static void build_from_shared(gpu_cx *g, int seg)
{
	loc at = g->m->segment[seg].a->at;
	tile_var *kt;

	if (!is_built(g, seg) || g->plan->a_late)
		return;
	kt = tile_unroll_begin(g->p, at, "dt", 0, g->a[seg]->cols / 16, 1);
	gpu_build_columns(g, seg, mul(g, tx_var(g->p, kt), i32(g, 16)), 16);
	tile_end(g->p);
}

void gpu_build_segments(gpu_cx *g)
{
	for (int i = 0; i < g->m->segments; i++)
		if (g->plan->rows_shared)
			build_from_shared(g, i);
		else
			build_segment(g, i);
}

/* --- c --- */

/* A sum over features into a row vector: the four lanes of a row take every fourth feature. */
static tile_frag *build_sum(gpu_cx *g, const expr *x)
{
	const sema_axis *axis = x->reduce.axis[0];
	tile_frag *acc = tile_register(g->p, x->at, "sum", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	X extent = i32(g, axis->extent), d, v;
	tile_var *step;
	gpu_env e;

	tile_map(g->p, x->at, tile_whole(acc), tx_f32(g->p, 0));
	step = tile_for_begin(g->p, x->at, axis->name, i32(g, 0), extent, i32(g, 4));
	d = add(g, tx_var(g->p, step), tx_2(g->p, TX_MOD, tx_leaf(g->p, TX_LANE), i32(g, 4)));
	row_env(g, &e);
	e.coord[axis->id] = axis->extent % 4 ? tx_2(g->p, TX_MIN, d, i32(g, axis->extent - 1)) : d;
	gpu_stage_env(g, &e, axis, e.coord[axis->id]);
	v = gpu_float(g, &e, x->reduce.body);
	if (axis->extent % 4)
		v = tx_3(g->p, TX_SELECT, tx_2(g->p, TX_LT, d, extent), v, tx_f32(g->p, 0));
	tile_map(g->p, x->at, tile_whole(acc), add(g, tx_frag(g->p, acc), v));
	tile_end(g->p);
	tile_quad(g->p, x->at, acc, WORD_SUM);
	return acc;
}

/* Sums over features inside c become loops that accumulate in a row vector. */
static void build_sums(gpu_cx *g, gpu_env *e, const expr *x)
{
	expr *const *kid;
	int kids;

	if (x->op == EXPR_REDUCE && x->reduce.axes == 1 && x->reduce.how == REDUCE_SUM &&
		e->sums < GPU_MAX_SUMS) {
		e->sum[e->sums] = x;
		e->sum_value[e->sums++] = tx_frag(g->p, build_sum(g, x));
		return;
	}
	kids = x->op == EXPR_DEF ? 0 : expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		build_sums(g, e, kid[i]);
}

void gpu_build_c(gpu_cx *g)
{
	gpu_env e;

	if (!g->m->c)
		return;
	row_env(g, &e);
	build_sums(g, &e, g->m->c);
	tile_map(g->p, g->m->c->at, tile_whole(g->c),
		mul(g, gpu_float(g, &e, g->m->c), tx_f32(g->p, gpu_c_scale(g))));
}

void gpu_build_a(gpu_cx *g)
{
	for (int s = 0; s < g->plan->streams.count && !g->plan->rows_shared; s++)
		if (g->stream[s] && g->plan->streams.item[s].outer >= 0)
			load_outer_stream(g, s, i32(g, 0), g->stream[s]->cols);
	gpu_build_segments(g);
	gpu_build_c(g);
}

/* --- Gv --- */

X gpu_outer_value(gpu_cx *g, int i)
{
	const model_output *o = &g->m->output[i];
	gpu_part part;
	gpu_env env;
	X e;

	if (!o->outer || !gpu_output_part(g, i, &part))
		return NULL;
	e = add(g, tx_leaf(g->p, TX_COL), i32(g, part.first - part.col));
	outer_env(g, &env);
	if (o->e) {
		env.coord[o->e->id] = gpu_feature_of(g, e, o->e->extent);
		gpu_stage_env(g, &env, o->e, env.coord[o->e->id]);
	}
	return gpu_float(g, &env, o->outer);
}

/* O[:, output] += Gv(outer) * W[:, output], then W = 0. */
void gpu_add_step(gpu_cx *g)
{
	for (int i = 0; i < g->m->outputs; i++) {
		const model_output *o = &g->m->output[i];
		X w = tx_frag(g->p, g->sum), acc = tx_frag(g->p, g->out), gv;
		tile_slice slice;
		gpu_part part;

		if (!gpu_output_part(g, i, &part))
			continue;
		slice = tile_columns(g->out, i32(g, part.col), part.cols);
		gv = gpu_outer_value(g, i);
		if (!gv) {
			tile_map(g->p, o->tensor->at, slice, add(g, w, acc));
			continue;
		}
		if (!g->gv[i])
			g->gv[i] = tile_columnv(
				g->p, o->outer->at, "v_outer", TILE_F32, LAYOUT_ACC, g->out->cols);
		tile_map(g->p, o->outer->at, tile_columns(g->gv[i], slice.first, slice.cols), gv);
		tile_map(g->p, o->tensor->at, slice,
			tx_3(g->p, TX_FMA, w, tx_frag(g->p, g->gv[i]), acc));
	}
	tile_map(g->p, g->s->at, tile_whole(g->sum), tx_f32(g->p, 0));
}
