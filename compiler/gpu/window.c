/* window.c: which rows a block holds and which keys they see.
 * in:  the plan, kernel arguments
 * out: row coordinates; the union and the intersection of the rows' windows over the block, from the
 * block's first and last position where the bounds are monotone in it, else the whole axis. */
#include "gpu/gpu_internal.h"

static X add(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_ADD, a, b);
}

static X sub(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_SUB, a, b);
}

static X min_(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_MIN, a, b);
}

static X max_(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_MAX, a, b);
}

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X length_of(gpu_cx *g, const sema_axis *a)
{
	return tx_arg(g->p, g->length[a->length->id]);
}

static X keep(gpu_cx *g, const char *name, X v)
{
	return tx_var(g->p, tile_let(g->p, g->s->at, name, v));
}

/* A position on axis B is called b. */
static const char *position_name(gpu_cx *g, const sema_axis *a)
{
	char *name = arena_strdup(g->p->arena, a->name);

	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return name;
}

/* k_low: a bound of axis k. */
static const char *bound_name(gpu_cx *g, const sema_axis *a, const char *which)
{
	return arena_printf(g->p->arena, "%s_%s", a->name, which);
}

/* Coordinate `a` from the number `rest` of the remaining ones, of which it is the fastest. It is not
 * negative, and known not to be: offsets are then widened without a sign, which would otherwise
 * occupy a register each. */
static X split_off(gpu_cx *g, X rest, const sema_axis *a, bool last)
{
	X length = length_of(g, a), at = last ? rest : tx_2(g->p, TX_MOD, rest, length);

	g->base_coord[a->id] = keep(g, position_name(g, a), max_(g, at, i32(g, 0)));
	return last ? rest : keep(g, "rest", tx_2(g->p, TX_DIV, rest, length));
}

/* Batch coordinates and the key head from their common number, the head fastest. */
static void fix_coordinates(gpu_cx *g, X rest)
{
	const sema_axis *head = g->m->head;
	int left = head && head->group ? 1 : 0;

	for (int i = 0; i < g->s->axis.count; i++)
		left += g->s->axis.item[i]->kind == AXIS_ROW && g->s->axis.item[i] != head;
	if (head && head->group)
		rest = split_off(g, rest, head->group, --left == 0);
	for (int i = g->s->axis.count - 1; i >= 0; i--) {
		const sema_axis *a = g->s->axis.item[i];

		if (a->kind == AXIS_ROW && a != head)
			rest = split_off(g, rest, a, --left == 0);
	}
}

/* Blocks of the same batch coordinates and key head are neighbours, numbered from the last rows:
 * under a causal window those have the most keys and should start first. */
void gpu_block_rows(gpu_cx *g)
{
	const sema_axis *head = g->m->head, *query = g->s->query;
	int count = gpu_block_row_count(g->plan);
	X rows = i32(g, count), n = query ? length_of(g, query) : i32(g, 1), blocks, number;

	g->heads = i32(g, 1);
	g->first_head = i32(g, 0);
	if (head) {
		g->heads = length_of(g, head);
		if (head->group) {
			g->heads = keep(g, "heads",
				tx_2(g->p, TX_DIV, g->heads, length_of(g, head->group)));
			tile_note(g->p, "query heads that share a key head");
		}
	}
	g->rows_total = keep(g, "rows_total", tx_2(g->p, TX_MUL, n, g->heads));
	blocks = keep(
		g, "blocks", tx_2(g->p, TX_DIV, add(g, g->rows_total, i32(g, count - 1)), rows));
	fix_coordinates(g, keep(g, "rest", tx_2(g->p, TX_DIV, tx_block(g->p, 0), blocks)));
	if (head && head->group)
		g->first_head = keep(g, "first_head",
			tx_2(g->p, TX_MUL, g->base_coord[head->group->id], g->heads));
	number = sub(g, sub(g, blocks, i32(g, 1)), tx_2(g->p, TX_MOD, tx_block(g->p, 0), blocks));
	g->row0 = keep(g, "row0", tx_2(g->p, TX_MUL, number, rows));
	tile_note(g->p, "first row of this block; the longest windows start first");
	g->row_i = tile_register(g->p, g->s->at, "row_i", LAYOUT_ROWV, TILE_I32, g->plan->rows, 1);
	g->row_h = tile_register(g->p, g->s->at, "row_h", LAYOUT_ROWV, TILE_I32, g->plan->rows, 1);
	gpu_row_positions(g);
	gpu_row_heads(g);
}

int gpu_block_row_count(const gpu_plan *p)
{
	return p->split > 1 ? p->rows / p->split : p->rows;
}

X gpu_row_in_block(gpu_cx *g)
{
	X row = tx_leaf(g->p, TX_ROW);

	return g->plan->split > 1 ? tx_2(g->p, TX_MOD, row, i32(g, gpu_block_row_count(g->plan)))
				  : row;
}

/* The block's row, or its last one for rows past the end. */
X gpu_row_number(gpu_cx *g)
{
	X r = add(g, g->row0, gpu_row_in_block(g));

	return min_(g, r, sub(g, g->rows_total, i32(g, 1)));
}

void gpu_row_positions(gpu_cx *g)
{
	tile_map(g->p, g->s->at, tile_whole(g->row_i),
		tx_2(g->p, TX_DIV, gpu_row_number(g), g->heads));
}

void gpu_row_heads(gpu_cx *g)
{
	tile_map(g->p, g->s->at, tile_whole(g->row_h),
		add(g, g->first_head, tx_2(g->p, TX_MOD, gpu_row_number(g), g->heads)));
}

/* --- monotone bounds --- */

/* 1 rising, -1 falling, 0 constant in the query position, 2 unknown. */
static int direction(const gpu_cx *g, const expr *x)
{
	int a, b;

	switch (x->op) {
	case EXPR_CONST_INT:
	case EXPR_LENGTH:
	case EXPR_PARAM:
		return 0;
	case EXPR_COORD:
		return x->axis == g->s->query ? 1 : x->axis == g->m->head ? 2 : 0;
	case EXPR_NEG:
		a = direction(g, x->arg[0]);
		return a == 2 ? 2 : -a;
	case EXPR_ADD:
	case EXPR_MIN:
	case EXPR_MAX:
	case EXPR_SUB:
		a = direction(g, x->arg[0]);
		b = direction(g, x->arg[1]);
		if (a == 2 || b == 2)
			return 2;
		if (x->op == EXPR_SUB)
			b = -b;
		return a == 0 ? b : b == 0 || a == b ? a : 2;
	case EXPR_MUL:
	case EXPR_IDIV:
		a = direction(g, x->arg[0]);
		if (x->arg[1]->op == EXPR_CONST_INT && a != 2)
			return x->arg[1]->i > 0 ? a : x->arg[1]->i < 0 ? -a : 0;
		if (x->op == EXPR_MUL && x->arg[0]->op == EXPR_CONST_INT) {
			b = direction(g, x->arg[1]);
			return b == 2 ? 2 : x->arg[0]->i > 0 ? b : x->arg[0]->i < 0 ? -b : 0;
		}
		return a == 0 && direction(g, x->arg[1]) == 0 ? 0 : 2;
	default:
		return 2;
	}
}

static X bound_at(gpu_cx *g, const expr *x, X i)
{
	gpu_env e;
	X v;

	gpu_env_init(g, &e);
	if (g->s->query)
		e.coord[g->s->query->id] = i;
	if (g->m->head)
		e.coord[g->m->head->id] = g->first_head;
	v = gpu_value(g, &e, x);
	return v->type == TILE_I32 ? v : tx_cvt(g->p, TILE_I32, v);
}

/* Least and greatest value of a bound over the block's positions [i0, i1]. */
static void bound_range(gpu_cx *g, const expr *x, X i0, X i1, X lo, X hi, X *least, X *most)
{
	int dir = direction(g, x);

	if (dir == 2) {
		*least = lo;
		*most = hi;
		return;
	}
	*least = bound_at(g, x, dir < 0 ? i1 : i0);
	*most = bound_at(g, x, dir < 0 ? i0 : i1);
}

/* --- windows of the block --- */

/* Union and intersection for one axis, clipped to [0, length). */
static void block_window(gpu_cx *g, const sema_axis *key, int n, X i0, X i1)
{
	const sema_window *w = &key->window;
	X zero = i32(g, 0), last = sub(g, length_of(g, key), i32(g, 1));
	X low = zero, full_low = zero, high = last, full_high = last;

	if (w->first)
		bound_range(g, w->first, i0, i1, zero, last, &low, &full_low);
	if (w->last)
		bound_range(g, w->last, i0, i1, zero, last, &full_high, &high);
	g->low[n] = keep(g, bound_name(g, key, "low"), max_(g, zero, low));
	g->high[n] = keep(g, bound_name(g, key, "high"), min_(g, last, high));
	g->full_low[n] = keep(g, bound_name(g, key, "full_low"), max_(g, zero, full_low));
	g->full_high[n] = keep(g, bound_name(g, key, "full_high"), min_(g, last, full_high));
}

/* Positions that are somebody's, and those that are everybody's, counted from each row's first one. */
static void walked_window(gpu_cx *g, const sema_axis *key, int n, X i1)
{
	X zero = i32(g, 0), end = length_of(g, key), first = bound_at(g, key->window.first, g->i0);
	X first1 = bound_at(g, key->window.first, i1), last1 = bound_at(g, key->window.last, i1);
	X width = keep(g, bound_name(g, key, "steps"), sub(g, last1, first1));

	g->walk_first = keep(g, bound_name(g, key, "walk"), first);
	first1 = keep(g, bound_name(g, key, "walk_end"), first1);
	g->low[n] = keep(g, bound_name(g, key, "low"), max_(g, zero, sub(g, zero, first1)));
	g->high[n] = keep(g, bound_name(g, key, "high"),
		min_(g, width, sub(g, sub(g, end, i32(g, 1)), g->walk_first)));
	g->full_low[n] =
		keep(g, bound_name(g, key, "full_low"), max_(g, zero, sub(g, zero, g->walk_first)));
	g->full_high[n] = keep(g, bound_name(g, key, "full_high"),
		min_(g, width, sub(g, sub(g, end, i32(g, 1)), first1)));
}

static tile_frag *declare_bound(gpu_cx *g, const sema_axis *key, const char *which)
{
	return tile_register(g->p, key->window.at, bound_name(g, key, which), LAYOUT_ROWV, TILE_I32,
		g->plan->rows, 1);
}

/* The position of the block's row `number`, or of its last one. */
static X position_of(gpu_cx *g, X number)
{
	return tx_2(g->p, TX_DIV, min_(g, number, sub(g, g->rows_total, i32(g, 1))), g->heads);
}

/* First and last position of this warp's rows: with outer axes a warp walks over what they see, not
 * over what the block sees. */
static void warp_positions(gpu_cx *g)
{
	int rows = g->plan->rows / g->plan->warps;
	X first = add(g, g->row0, tx_2(g->p, TX_MUL, tx_leaf(g->p, TX_WARP), i32(g, rows)));

	g->warp_i0 = keep(g, "warp_i0", position_of(g, first));
	g->warp_i1 = keep(g, "warp_i1", position_of(g, add(g, first, i32(g, rows - 1))));
}

void gpu_warp_window(gpu_cx *g, const sema_axis *key, X *low, X *high)
{
	const sema_window *w = &key->window;
	X zero = i32(g, 0), last = sub(g, length_of(g, key), i32(g, 1)), rest;

	*low = zero;
	*high = last;
	if (w->first)
		bound_range(g, w->first, g->warp_i0, g->warp_i1, zero, last, low, &rest);
	if (w->last)
		bound_range(g, w->last, g->warp_i0, g->warp_i1, zero, last, &rest, high);
	*low = max_(g, zero, *low);
	*high = min_(g, last, *high);
}

void gpu_windows(gpu_cx *g)
{
	X end = min_(g, add(g, g->row0, i32(g, gpu_block_row_count(g->plan))), g->rows_total);
	X i0 = keep(g, "i0", tx_2(g->p, TX_DIV, g->row0, g->heads));
	X i1 = keep(g, "i1", tx_2(g->p, TX_DIV, sub(g, end, i32(g, 1)), g->heads));

	g->i0 = i0;
	g->row_first = declare_bound(g, g->m->inner, "first");
	g->row_last = declare_bound(g, g->m->inner, "last");
	block_window(g, g->m->inner, 0, i0, i1);
	if (g->m->outers && g->plan->family == GPU_MMA)
		warp_positions(g);
	for (int o = 0; o < g->m->outers; o++) {
		g->outer_first[o] = declare_bound(g, g->m->outer[o], "first");
		g->outer_last[o] = declare_bound(g, g->m->outer[o], "last");
		if (g->plan->own && o + 1 == g->m->outers)
			walked_window(g, g->m->outer[o], 1 + o, i1);
		else
			block_window(g, g->m->outer[o], 1 + o, i0, i1);
	}
}
