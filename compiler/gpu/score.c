/* score.c: f, window and mask of one key tile's scores, and their weights.
 * A row's weights are 2^(scale * s - m). m is at most SLACK below the largest scale * s that the row
 * has seen, so weights stay below 2^SLACK; when any row of a warp finds a score beyond that, the
 * warp raises m to the largest and rescales l, O and W: rare, and most tiles need no exchange
 * between lanes. Keys that a row does not see score -inf. */
#include "gpu/gpu_internal.h"
#include <math.h>

#define SLACK 8

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X op2(gpu_cx *g, tile_expr_op op, X a, X b)
{
	return tx_2(g->p, op, a, b);
}

static X frag(gpu_cx *g, tile_frag *f)
{
	return tx_frag(g->p, f);
}

static X both(gpu_cx *g, X a, X b)
{
	return a ? b ? op2(g, TX_AND, a, b) : a : b;
}

/* --- f, window, mask --- */

static X between(gpu_cx *g, X low, X x, X high)
{
	return op2(g, TX_AND, op2(g, TX_LE, low, x), op2(g, TX_LE, x, high));
}

X gpu_keys_seen(gpu_cx *g, X key0, int keys)
{
	X end = op2(g, TX_ADD, key0, i32(g, keys - 1));
	X ok = op2(g, TX_AND, op2(g, TX_LE, g->full_low[0], key0),
		op2(g, TX_LE, end, g->full_high[0]));

	for (int o = 0; o < g->m->outers; o++)
		ok = op2(g, TX_AND, ok,
			between(g, g->full_low[1 + o],
				g->outer_step && o + 1 == g->m->outers ? g->outer_step
								       : g->outer[o],
				g->full_high[1 + o]));
	return ok;
}

X gpu_all_seen(gpu_cx *g, X key0)
{
	return gpu_keys_seen(g, key0, g->plan->key_tile);
}

static X in_windows(gpu_cx *g, X key)
{
	return between(g, frag(g, g->row_first), key, frag(g, g->row_last));
}

static void element_env(gpu_cx *g, gpu_env *e, X key, X x)
{
	X last = op2(g, TX_SUB, tx_arg(g->p, g->length[g->m->inner->length->id]), i32(g, 1));

	gpu_env_init(g, e);
	if (g->s->query)
		e->coord[g->s->query->id] = frag(g, g->row_i);
	if (g->m->head)
		e->coord[g->m->head->id] = frag(g, g->row_h);
	for (int o = 0; o < g->m->outers; o++)
		e->coord[g->m->outer[o]->id] = g->outer[o];
	if (g->plan->family == GPU_WGMMA) /* a block may reach below the first key */
		key = op2(g, TX_MAX, key, i32(g, 0));
	e->coord[g->m->inner->id] = op2(g, TX_MIN, key, last);
	e->dot = x;
}

static X visible_in(gpu_cx *g, gpu_env *e, X visible)
{
	for (int i = 0; i < g->m->masks; i++)
		visible = both(g, visible, gpu_value(g, e, g->m->mask[i]));
	return visible;
}

X gpu_visible(gpu_cx *g, X key)
{
	gpu_env e;

	element_env(g, &e, key, NULL);
	return visible_in(g, &e, in_windows(g, key));
}

static void score_map(gpu_cx *g, X key0, bool windowed)
{
	const row_form *m = g->m;
	X key = op2(g, TX_ADD, key0, tx_leaf(g->p, TX_COL)), x = frag(g, g->score), visible = NULL,
	  s;
	X hidden = tx_f32(g->p, m->normalised ? -INFINITY : 0);
	gpu_env e;

	if (m->c)
		x = op2(g, TX_ADD, x, frag(g, g->c));
	element_env(g, &e, key, x);
	if (windowed)
		gpu_row_windows(g);
	s = x;
	if (!m->f_linear) {
		s = gpu_float(g, &e, m->f);
		if (m->normalised)
			s = op2(g, TX_MUL, s, tx_f32(g->p, 1.44269504088896340736));
	}
	if (windowed)
		visible = in_windows(g, key);
	visible = visible_in(g, &e, visible);
	if (visible)
		s = tx_3(g->p, TX_SELECT, visible, s, hidden);
	if (s != x || m->c)
		tile_map(g->p, m->f->at, tile_whole(g->score), s);
}

bool gpu_scores_are_products(const gpu_cx *g)
{
	return g->m->f_linear && g->m->masks == 0 && !g->m->c;
}

void gpu_scores(gpu_cx *g, X key0)
{
	X seen = gpu_all_seen(g, key0);

	if (gpu_scores_are_products(g)) {
		tile_if_begin(g->p, g->s->at, tx_1(g->p, TX_NOT, seen));
		tile_note(g->p, "a tile that some row sees in part");
		score_map(g, key0, true);
		tile_end(g->p);
		return;
	}
	tile_if_begin(g->p, g->s->at, seen);
	score_map(g, key0, false);
	tile_else(g->p);
	score_map(g, key0, true);
	tile_end(g->p);
}

/* --- weights --- */

/* m rises to the row's largest score; l, O and W keep their value relative to it. `top` has the
 * largest of this thread's columns. */
static void rescale(gpu_cx *g, tile_frag *top, tile_frag *alpha)
{
	loc at = g->s->at;
	X old = frag(g, g->m_max), scaled;
	tile_var *any;

	scaled = op2(g, TX_MUL, frag(g, top), tx_f32(g->p, gpu_score_scale(g)));
	any = tile_any(g->p, at, "rises", tile_whole(top),
		op2(g, TX_LT, op2(g, TX_ADD, old, tx_f32(g->p, SLACK)), scaled));
	tile_if_begin(g->p, at, tx_var(g->p, any));
	tile_note(g->p, "some row of this warp found a much larger score");
	tile_quad(g->p, at, top, WORD_MAX);
	tile_map(g->p, at, tile_whole(top), op2(g, TX_MAX, old, scaled));
	/* a first finite maximum replaces -inf: 2^(-inf) = 0 clears nothing but zeros */
	tile_map(
		g->p, at, tile_whole(alpha), tx_1(g->p, TX_EX2, op2(g, TX_SUB, old, frag(g, top))));
	tile_map(g->p, at, tile_whole(alpha),
		tx_3(g->p, TX_SELECT, op2(g, TX_EQ, frag(g, top), tx_f32(g->p, -INFINITY)),
			tx_f32(g->p, 1), frag(g, alpha)));
	tile_map(g->p, at, tile_whole(g->m_max), frag(g, top));
	tile_map(g->p, at, tile_whole(g->l_sum), op2(g, TX_MUL, frag(g, g->l_sum), frag(g, alpha)));
	if (g->out)
		tile_map(g->p, at, tile_whole(g->out),
			op2(g, TX_MUL, frag(g, g->out), frag(g, alpha)));
	if (g->sum && g->sum != g->out)
		tile_map(g->p, at, tile_whole(g->sum),
			op2(g, TX_MUL, frag(g, g->sum), frag(g, alpha)));
	tile_end(g->p);
}

void gpu_raise(gpu_cx *g)
{
	loc at = g->s->at;
	tile_frag *top, *alpha;

	if (!g->m->normalised)
		return;
	top = tile_register(g->p, at, "top", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	alpha = tile_register(g->p, at, "alpha", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	tile_map(g->p, at, tile_whole(top), tx_f32(g->p, -INFINITY));
	tile_note(g->p, "the largest score among this thread's columns of each row");
	tile_reduce(g->p, at, top, WORD_MAX, tile_whole(g->score));
	rescale(g, top, alpha);
}

void gpu_weigh(gpu_cx *g)
{
	loc at = g->s->at;
	tile_frag *shift;
	X m;

	if (!g->m->normalised)
		return;
	shift = tile_register(g->p, at, "shift", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	/* a row that has seen nothing subtracts 0, so that 2^(-inf) is 0 and not NaN */
	m = tx_3(g->p, TX_SELECT, op2(g, TX_EQ, frag(g, g->m_max), tx_f32(g->p, -INFINITY)),
		tx_f32(g->p, 0), frag(g, g->m_max));
	tile_map(g->p, at, tile_whole(shift), tx_1(g->p, TX_NEG, m));
	tile_note(g->p, "weights, relative to m; each lane sums its own columns");
	tile_map(g->p, at, tile_whole(g->score),
		tx_1(g->p, TX_EX2,
			tx_3(g->p, TX_FMA, frag(g, g->score), tx_f32(g->p, gpu_score_scale(g)),
				frag(g, shift))));
	tile_reduce(g->p, at, g->l_sum, WORD_SUM, tile_whole(g->score));
}

void gpu_weights(gpu_cx *g)
{
	gpu_raise(g);
	gpu_weigh(g);
}
