/* exact.c: values that are NaN or infinite reach only the rows that see them.
 * A tile that some rows see in part has weight 0 where they do not, and 0 times a value that is not
 * finite is NaN. Checking every tile would cost all kernels, so the block looks at its sums once, at
 * the end: a NaN there means either a result or a hidden value, and the block computes everything
 * again. In this second pass a tile seen in part adds its keys one by one, each to the rows that see
 * it; tiles that all rows see go the usual way. Values of f32 are split for their product, and the
 * parts of an infinity sum up to NaN: the second pass adds all their tiles so. */
#include "gpu/gpu_internal.h"

static X op2(gpu_cx *g, tile_expr_op op, X a, X b)
{
	return tx_2(g->p, op, a, b);
}

static bool has_window(const sema_axis *key)
{
	return key->window.first || key->window.last;
}

bool gpu_hides(const row_form *m)
{
	bool some = m->masks > 0 || has_window(m->inner);

	for (int o = 0; o < m->outers; o++)
		some = some || has_window(m->outer[o]);
	return some;
}

void gpu_passes_begin(gpu_cx *g)
{
	g->pass = NULL;
	g->summed = NULL;
	if (!g->out || !(gpu_hides(g->m) || g->plan->value_operand == TILE_F32))
		return;
	g->pass = tx_var(g->p, tile_for_begin(g->p, g->s->at, "pass", tx_i32(g->p, 0),
				       tx_i32(g->p, 2), tx_i32(g->p, 1)));
	tile_note(g->p, "a second pass only where a sum became NaN");
}

void gpu_passes_end(gpu_cx *g)
{
	X sum = g->out ? tx_frag(g->p, g->out) : NULL;
	tile_var *wild;

	if (!g->pass)
		return;
	wild = tile_any_block(g->p, g->s->at, "wild", tile_whole(g->out), op2(g, TX_NE, sum, sum));
	tile_break(g->p, g->s->at,
		op2(g, TX_OR, tx_1(g->p, TX_NOT, tx_var(g->p, wild)),
			op2(g, TX_EQ, g->pass, tx_i32(g->p, 1))));
	gpu_start_sums(g);
	tile_end(g->p);
}

void gpu_step_begin(gpu_cx *g)
{
	if (g->pass && g->sum != g->out)
		g->summed =
			tile_let(g->p, g->s->at, "summed", op2(g, TX_EQ, g->pass, tx_i32(g->p, 0)));
}

void gpu_step_end(gpu_cx *g)
{
	if (g->sum == g->out)
		return;
	if (!g->summed) {
		gpu_add_step(g);
		return;
	}
	tile_if_begin(g->p, g->s->at, tx_var(g->p, g->summed));
	gpu_add_step(g);
	tile_end(g->p);
}

/* Of the key at `column` of the tile: its weight in each row, and whether the row sees it. */
static void one_key(gpu_cx *g, X key0, X column, tile_frag *p, tile_frag *seen)
{
	loc at = g->s->at;
	X zero = tx_f32(g->p, 0), col = tx_leaf(g->p, TX_COL), eight = tx_i32(g->p, 8), is;
	tile_frag *only = tile_register(
		g->p, at, "only", LAYOUT_ACC, TILE_F32, g->plan->rows, g->plan->key_tile);

	/* cell and place in the cell apart: registers for all columns would last through the hot loop */
	is = op2(g, TX_AND,
		op2(g, TX_EQ, op2(g, TX_DIV, col, eight), op2(g, TX_DIV, column, eight)),
		op2(g, TX_EQ, op2(g, TX_MOD, col, eight), op2(g, TX_MOD, column, eight)));
	tile_map(g->p, at, tile_whole(only),
		tx_3(g->p, TX_SELECT, is, tx_frag(g->p, g->score), zero));
	tile_map(g->p, at, tile_whole(p), zero);
	tile_reduce(g->p, at, p, WORD_SUM, tile_whole(only));
	tile_quad(g->p, at, p, WORD_SUM);
	tile_map(g->p, at, tile_whole(seen),
		tx_3(g->p, TX_SELECT, gpu_visible(g, op2(g, TX_ADD, key0, column)), tx_f32(g->p, 1),
			zero));
}

static void add_key(gpu_cx *g, const gpu_values *of, X column, tile_frag *p, tile_frag *seen)
{
	X sees = op2(g, TX_NE, tx_frag(g->p, seen), tx_f32(g->p, 0)), out = tx_frag(g->p, g->out);

	for (int i = 0; i < g->m->outputs; i++) {
		X weight = tx_frag(g->p, p), v;
		gpu_part part;

		if (!gpu_output_part(g, i, &part))
			continue;
		v = of->value(g, of, i, column);
		tile_map(g->p, g->m->output[i].tensor->at,
			tile_columns(g->out, tx_i32(g->p, part.col), part.cols),
			tx_3(g->p, TX_SELECT, sees, tx_3(g->p, TX_FMA, weight, v, out), out));
	}
}

void gpu_careful_sums(gpu_cx *g, X key0, const gpu_values *of)
{
	loc at = g->s->at;
	tile_frag *p = tile_register(g->p, at, "p", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	tile_frag *seen = tile_register(g->p, at, "seen", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	X column;

	gpu_row_windows(g);
	column = tx_var(g->p, tile_for_begin(g->p, at, "key", tx_i32(g->p, 0),
				      tx_i32(g->p, g->plan->key_tile), tx_i32(g->p, 1)));
	one_key(g, key0, column, p, seen);
	add_key(g, of, column, p, seen);
	tile_end(g->p);
}

/* The value times the outer one, from the slot's buffer. */
static X value_at(gpu_cx *g, const gpu_values *of, int output, X column)
{
	X row = op2(g, TX_ADD, of->row, column), gv = gpu_outer_value(g, output);
	X v = tx_shared(g->p, g->v, of->slot, row, tx_leaf(g->p, TX_COL));

	return gv ? op2(g, TX_MUL, v, gv) : v;
}

static void careful_tile(gpu_cx *g, X slot, X key0, X tile)
{
	gpu_weigh(g);
	gpu_careful_sums(g, key0,
		&(gpu_values){.value = value_at,
			.slot = slot,
			.row = op2(g, TX_MUL, tile, tx_i32(g->p, g->plan->key_tile))});
}

void gpu_tile_sums(gpu_cx *g, X slot, X key0, X tile)
{
	X careful;

	if (!g->pass) {
		gpu_weigh(g);
		gpu_value_product(g, slot, tile);
		return;
	}
	careful = op2(g, TX_EQ, g->pass, tx_i32(g->p, 1));
	if (g->m->masks == 0 && g->plan->value_operand != TILE_F32)
		careful = op2(g, TX_AND, careful, tx_1(g->p, TX_NOT, gpu_all_seen(g, key0)));
	tile_if_begin(g->p, g->s->at, careful);
	tile_note(g->p, "a hidden value may be NaN or infinite: key by key");
	careful_tile(g, slot, key0, tile);
	tile_else(g->p);
	gpu_weigh(g);
	gpu_value_product(g, slot, tile);
	if (g->summed)
		tile_set(g->p, g->s->at, g->summed, tx_bool(g->p, true));
	tile_end(g->p);
}
