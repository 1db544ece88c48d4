/* product.c: the two matrix products around a key tile's weights, S = A B and W += P V.
 * in:  A in registers, keys and values in shared memory, scores
 * out: 16-bit operands: ldmatrix and mma. f32 operands: each number is the sum of two of tf32, its
 * leading bits and what is left, so three products of those give f32 accuracy; those of an infinity
 * give NaN (values: see exact.c). P is split where the scores are, in tiles over acc's columns, and
 * V's rows are loaded in that order. */
#include "gpu/gpu_internal.h"

#define TF32_LOST 13 /* bits of an f32's significand that tf32 has not */

enum { STEPS_UNROLLED = 16, STEPS_LOOPED = 4 }; /* of a score product */

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

static bool single(tile_type t)
{
	return t == TILE_F32;
}

/* Depth of one cell of a product of such operands. */
static int depth(tile_type t)
{
	return single(t) ? 8 : 16;
}

/* --- operands of f32 --- */

/* The leading bits of an operand and the rest. */
typedef struct {
	tile_frag *big, *small;
} halves;

static tile_frag *declare(
	gpu_cx *g, const char *name, tile_layout l, bool over_acc, tile_type t, int rows, int cols)
{
	return (over_acc ? tile_register_over_acc : tile_register)(
		g->p, g->s->at, name, l, t, rows, cols);
}

static halves declare_halves(
	gpu_cx *g, const char *name, tile_layout l, bool over_acc, int rows, int cols)
{
	halves h;

	h.big = declare(
		g, arena_printf(g->p->arena, "%s_big", name), l, over_acc, TILE_TF32, rows, cols);
	h.small = declare(
		g, arena_printf(g->p->arena, "%s_small", name), l, over_acc, TILE_TF32, rows, cols);
	return h;
}

/* Splits columns [first, first + cols) of x; an OPB whole. The leading bits are cut off, not rounded:
 * two cheap instructions, no conversion, and no finite number becomes infinite. What is left has 13
 * bits, of which the product takes 11. */
static void split(gpu_cx *g, const halves *h, tile_frag *x, X first, int cols)
{
	X v = tx_frag(g->p, x);

	X leading = tx_2(g->p, TX_AND, tx_bits(g->p, TILE_I32, v), i32(g, -(1 << TF32_LOST)));

	tile_map(g->p, g->s->at, tile_columns(h->big, first, cols),
		tx_bits(g->p, TILE_TF32, leading));
	tile_map(g->p, g->s->at, tile_columns(h->small, first, cols),
		tx_bits(g->p, TILE_TF32, tx_2(g->p, TX_SUB, v, tx_frag(g->p, h->big))));
}

/* acc += a[:, k:+8] b, smallest products first. */
static void triple(gpu_cx *g, tile_slice acc, const halves *a, X k, const halves *b)
{
	loc at = g->s->at;

	tile_mma(g->p, at, acc, tile_columns(a->small, k, 8), tile_whole(b->big));
	tile_mma(g->p, at, acc, tile_columns(a->big, k, 8), tile_whole(b->small));
	tile_mma(g->p, at, acc, tile_columns(a->big, k, 8), tile_whole(b->big));
}

/* --- S = A B --- */

typedef struct {
	tile_frag *b; /* one cell deep, the key tile wide */
	halves split;
} key_operand;

static key_operand declare_keys(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;
	int k = depth(pl->operand);
	key_operand o = {.b = declare(g, "kb", LAYOUT_OPB, false, pl->operand, k, pl->key_tile)};

	if (single(pl->operand))
		o.split = declare_halves(g, "kb", LAYOUT_OPB, false, k, pl->key_tile);
	return o;
}

/* Many steps are a loop of a few where no register tile is indexed by the step: the code stays
 * small. */
static int looped_steps(int steps, bool indexes)
{
	return !indexes && steps > STEPS_UNROLLED && steps % STEPS_LOOPED == 0 ? STEPS_LOOPED : 0;
}

static void segment_product(gpu_cx *g, int seg, const key_operand *o, X slot, X key)
{
	const gpu_plan *pl = g->plan;
	loc at = g->m->segment[seg].b->at;
	int step = depth(pl->operand);
	int rows = gpu_shared_a(g, seg), extent = (int)g->m->segment[seg].d->extent;
	tile_frag *a = g->a[seg];
	int steps = (extent + 15) / 16 * (16 / step), looped = looped_steps(steps, rows < 0);
	halves split_a = {0};
	X from = i32(g, 0), k, col, ka;

	if (single(pl->operand))
		split_a = declare_halves(g, a->name, LAYOUT_OPA, false, a->rows, a->cols);
	if (looped)
		from = mul(g,
			tx_var(g->p, tile_for_begin(g->p, at, "dt0", from, i32(g, steps / looped),
					     i32(g, 1))),
			i32(g, looped));
	k = tx_var(g->p, tile_unroll_begin(g->p, at, "dt", 0, looped ? looped : steps, 1));
	k = mul(g, looped ? add(g, from, k) : k, i32(g, step));
	col = add(g, k, i32(g, pl->d_offset[seg]));
	ka = k;
	if (rows >= 0) {
		tile_ldsm(g->p, at, tile_whole(a),
			tile_part(g->rows[rows], NULL, NULL, k, pl->rows, step), false);
		ka = i32(g, 0);
	} else if (pl->a_late) {
		gpu_build_columns(g, seg, k, step);
	}
	tile_ldsm(g->p, at, tile_whole(o->b), tile_part(g->b, slot, key, col, pl->key_tile, step),
		false);
	if (single(pl->operand)) {
		split(g, &o->split, o->b, i32(g, 0), pl->key_tile);
		split(g, &split_a, a, ka, step);
		triple(g, tile_whole(g->score), &split_a, ka, &o->split);
	} else {
		if (g->rest[seg])
			tile_mma(g->p, at, tile_whole(g->score),
				tile_columns(g->rest[seg], ka, step), tile_whole(o->b));
		tile_mma(g->p, at, tile_whole(g->score), tile_columns(a, ka, step),
			tile_whole(o->b));
	}
	tile_end(g->p);
	if (looped)
		tile_end(g->p);
}

void gpu_score_product(gpu_cx *g, X slot, X tile)
{
	X key = mul(g, tile, i32(g, g->plan->key_tile));
	key_operand o;

	tile_map(g->p, g->s->at, tile_whole(g->score), tx_f32(g->p, 0));
	tile_note(g->p, "scores: S = A B");
	if (g->m->segments)
		o = declare_keys(g);
	for (int seg = 0; seg < g->m->segments; seg++)
		segment_product(g, seg, &o, slot, key);
}

/* --- W += P V --- */

/* Value columns of one load. */
static int chunk_of(const gpu_cx *g)
{
	int c = single(g->plan->value_operand) ? 32 : 64;

	while (g->columns % c)
		c /= 2;
	return c;
}

static void value_product(
	gpu_cx *g, X slot, X key0, X kt, X ec, tile_frag *b, const halves *w, const halves *split_b)
{
	int step = depth(g->plan->value_operand);
	X k = mul(g, kt, i32(g, step)), col = mul(g, ec, i32(g, b->cols));
	tile_region from = tile_part(g->v, slot, add(g, key0, k), col, step, b->cols);
	tile_slice sum = tile_columns(g->sum, col, b->cols);
	loc at = g->s->at;

	if (single(g->plan->value_operand)) {
		tile_lds(g->p, at, tile_whole(b), from, true);
		split(g, split_b, b, i32(g, 0), b->cols);
		triple(g, sum, w, k, split_b);
		return;
	}
	tile_ldsm(g->p, at, tile_whole(b), from, true);
	tile_mma(g->p, at, sum, tile_columns(g->weight, k, step), tile_whole(b));
}

void gpu_value_product(gpu_cx *g, X slot, X tile)
{
	const gpu_plan *pl = g->plan;
	loc at = g->s->at;
	bool f32 = single(pl->value_operand);
	int step = depth(pl->value_operand), chunk = chunk_of(g);
	X key0 = mul(g, tile, i32(g, pl->key_tile)), kt, ec;
	halves w = {0}, split_b = {0};
	tile_frag *b;

	if (!g->columns)
		return;
	b = declare(g, "vb", LAYOUT_OPB, f32, pl->value_operand, step, chunk);
	if (f32) {
		w = declare_halves(g, "w", LAYOUT_OPA, true, pl->rows, pl->key_tile);
		split_b = declare_halves(g, "vb", LAYOUT_OPB, true, step, chunk);
	} else {
		tile_map(g->p, at, tile_whole(g->weight),
			tx_cvt(g->p, pl->value_operand, tx_frag(g->p, g->score)));
		tile_note(g->p, "sums: += P V");
	}
	kt = tx_var(g->p, tile_unroll_begin(g->p, at, "kt", 0, pl->key_tile / step, 1));
	if (f32)
		split(g, &w, g->score, mul(g, kt, i32(g, step)), step);
	ec = tx_var(g->p, tile_unroll_begin(g->p, at, "ec", 0, g->columns / chunk, 1));
	value_product(g, slot, key0, kt, ec, b, &w, &split_b);
	tile_end(g->p);
	tile_end(g->p);
}
