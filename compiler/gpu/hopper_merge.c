/* hopper_merge.c: sums of warps that share their rows.
 * in:  O, l and m of each warp over its part of the outer positions
 * out: the same over all positions, in every warp of a row
 * The sums meet in the values' shared memory: no key is used any more, every load has landed. What
 * follows loads keys again, by TMA, so plain reads and writes are fenced from it at the end. */
#include "gpu/hopper_internal.h"
#include <math.h>

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X op2(gpu_cx *g, tile_expr_op op, X a, X b)
{
	return tx_2(g->p, op, a, b);
}

enum { ROW_WORDS = 4, M_AT = 0, L_AT = 1 };

static int first_value(const gpu_plan *p)
{
	for (int i = 0; i < p->form->outputs; i++)
		if (p->form->output[i].kind == OUTPUT_SUM)
			return i;
	return -1;
}

int64_t hopper_merge_bytes(const gpu_plan *p)
{
	return p->split > 1 ? ((int64_t)p->rows * ROW_WORDS * 4 + 1023) / 1024 * 1024 : 0;
}

bool hopper_merge_fits(const gpu_plan *p)
{
	int n = first_value(p);
	int64_t panel = n < 0 ? 0 : (p->e_extent[n] + TILE_PANEL - 1) / TILE_PANEL * TILE_PANEL;

	return (int64_t)p->rows * p->e_total * 4 <= p->resident * panel * 2;
}

void hopper_merge_declare(hopper *h)
{
	gpu_cx *g = h->g;
	const gpu_plan *p = h->plan;

	if (p->split <= 1)
		return;
	h->sums = tile_shared_again(
		g->p, g->s->at, "sums", TILE_F32, 1, p->rows, p->e_total, h->value[first_value(p)]);
	h->sums->what = "output sums of all warps, to be added";
	h->row_sums = tile_shared(g->p, g->s->at, "row_sums", TILE_F32, 1, p->rows, ROW_WORDS);
	h->row_sums->what = "m and l of all warps";
}

/* What another group of warps has stored for this row. */
static X theirs(hopper *h, tile_buffer *b, int group, X col)
{
	gpu_cx *g = h->g;
	int rows = gpu_block_row_count(h->plan);
	X row = op2(g, TX_MOD, op2(g, TX_ADD, tx_leaf(g->p, TX_ROW), i32(g, group * rows)),
		i32(g, h->plan->rows));

	return tx_shared(g->p, b, i32(g, 0), row, col);
}

static void store_row_word(hopper *h, tile_frag *f, int word)
{
	gpu_cx *g = h->g;

	tile_store_shared(g->p, g->s->at,
		tile_part(h->row_sums, i32(g, 0), i32(g, 0), i32(g, word), h->plan->rows, 1),
		tile_whole(f), tx_frag(g->p, f));
}

/* m rises to the greatest of all; O and l with it. */
static void agree_on_maximum(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	tile_frag *top = tile_register(g->p, at, "top", LAYOUT_ROWV, TILE_F32, h->plan->rows, 1);
	tile_frag *alpha =
		tile_register(g->p, at, "alpha", LAYOUT_ROWV, TILE_F32, h->plan->rows, 1);
	X m = tx_frag(g->p, g->m_max), most = m, t = tx_frag(g->p, top);

	store_row_word(h, g->m_max, M_AT);
	tile_barrier(g->p, at);
	for (int k = 1; k < h->plan->split; k++)
		most = op2(g, TX_MAX, most, theirs(h, h->row_sums, k, i32(g, M_AT)));
	tile_map(g->p, at, tile_whole(top), most);
	tile_map(g->p, at, tile_whole(alpha),
		tx_3(g->p, TX_SELECT, op2(g, TX_EQ, m, t), tx_f32(g->p, 1),
			tx_1(g->p, TX_EX2, op2(g, TX_SUB, m, t))));
	tile_map(g->p, at, tile_whole(g->l_sum),
		op2(g, TX_MUL, tx_frag(g->p, g->l_sum), tx_frag(g->p, alpha)));
	tile_map(g->p, at, tile_whole(g->out),
		op2(g, TX_MUL, tx_frag(g->p, g->out), tx_frag(g->p, alpha)));
	tile_map(g->p, at, tile_whole(g->m_max), t);
}

/* Each lane holds the sum over its own columns of l: afterwards one lane holds the whole. */
static void gather_l(hopper *h)
{
	gpu_cx *g = h->g;
	X lane = op2(g, TX_MOD, tx_leaf(g->p, TX_LANE), i32(g, 4)), l = tx_frag(g->p, g->l_sum);

	tile_quad(g->p, g->s->at, g->l_sum, WORD_SUM);
	store_row_word(h, g->l_sum, L_AT);
	tile_map(g->p, g->s->at, tile_whole(g->l_sum),
		tx_3(g->p, TX_SELECT, op2(g, TX_EQ, lane, i32(g, 0)), l, tx_f32(g->p, 0)));
}

static void add_theirs(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	X lane = op2(g, TX_MOD, tx_leaf(g->p, TX_LANE), i32(g, 4));
	X l = tx_frag(g->p, g->l_sum), o = tx_frag(g->p, g->out), more = NULL;

	for (int k = 1; k < h->plan->split; k++) {
		X x = theirs(h, h->row_sums, k, i32(g, L_AT));

		more = more ? op2(g, TX_ADD, more, x) : x;
		o = op2(g, TX_ADD, o, theirs(h, h->sums, k, tx_leaf(g->p, TX_COL)));
	}
	tile_map(g->p, at, tile_whole(g->l_sum),
		op2(g, TX_ADD, l,
			tx_3(g->p, TX_SELECT, op2(g, TX_EQ, lane, i32(g, 0)), more,
				tx_f32(g->p, 0))));
	tile_map(g->p, at, tile_whole(g->out), o);
}

void hopper_merge(hopper *h, bool exact)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	if (!h->sums)
		return;
	tile_barrier(g->p, at);
	tile_note(g->p, "warps that share rows add their sums");
	if (exact && g->m->normalised)
		agree_on_maximum(h);
	if (g->m->normalised)
		gather_l(h);
	tile_store_shared(
		g->p, at, tile_all(h->sums, i32(g, 0)), tile_whole(g->out), tx_frag(g->p, g->out));
	tile_barrier(g->p, at);
	add_theirs(h);
	tile_fence_async(g->p, at);
	tile_barrier(g->p, at);
}
