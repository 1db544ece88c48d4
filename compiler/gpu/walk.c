/* walk.c: where each row stands at a step, and which keys it sees itself.
 * in:  the plan, the windows' bounds, row coordinates
 * out: outer positions, for rows that walk on their own each row's; windows as row vectors, from shared
 * memory where it keeps them */
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

/* --- rows that walk on their own --- */

/* i plus what no row changes: 1; without i: 0; anything else: 2. */
static int slope(const expr *x, const sema_axis *query)
{
	int a, b;

	switch (x->op) {
	case EXPR_CONST_INT:
	case EXPR_PARAM:
	case EXPR_LENGTH:
		return 0;
	case EXPR_COORD:
		return x->axis == query ? 1 : 2;
	case EXPR_ADD:
	case EXPR_SUB:
		a = slope(x->arg[0], query);
		b = slope(x->arg[1], query);
		if (x->op == EXPR_SUB)
			return b == 0 ? a : 2;
		return a > 1 || b > 1 || a + b > 1 ? 2 : a + b;
	default:
		return 2;
	}
}

bool gpu_can_walk(const row_form *m)
{
	const sema_axis *query = m->spec->query;
	const sema_window *w;

	if (!m->outers || !query)
		return false;
	w = &m->outer[m->outers - 1]->window;
	return w->first && w->last && slope(w->first, query) == 1 && slope(w->last, query) == 1;
}

bool gpu_is_walked(const gpu_plan *p, int o)
{
	return p->own && o + 1 == p->form->outers;
}

void gpu_walk_to(gpu_cx *g, X step)
{
	int last = g->m->outers - 1;
	const sema_axis *key = g->m->outer[last];
	X end = sub(g, length_of(g, key), i32(g, 1)), first = sub(g, g->walk_first, g->i0);

	g->outer_step = step;
	g->outer_at = add(g, tx_frag(g->p, g->row_i), add(g, first, step));
	g->outer[last] = max_(g, i32(g, 0), min_(g, end, g->outer_at));
}

void gpu_outer_to(gpu_cx *g, X at)
{
	int last = g->m->outers - 1;

	g->outer_step = g->outer_at = at;
	g->outer[last] = min_(g, sub(g, length_of(g, g->m->outer[last]), i32(g, 1)), at);
}

/* --- rows in shared memory --- */

enum { WORD_POSITION = 2, WORDS_INNER = 4 };

/* Inner bounds, the position; then the bounds of each outer axis. */
int gpu_kept_words(const row_form *m)
{
	return (WORDS_INNER + 2 * m->outers + 3) / 4 * 4;
}

/* A bound of a window where `e` says; a missing one is the axis' end. */
static X clipped(gpu_cx *g, const sema_axis *key, gpu_env *e, bool last)
{
	const expr *x = last ? key->window.last : key->window.first;
	X end = sub(g, length_of(g, key), i32(g, 1)), v;

	v = x ? gpu_value(g, e, x) : last ? end : i32(g, 0);
	v = v->type == TILE_I32 ? v : tx_cvt(g->p, TILE_I32, v);
	return last ? min_(g, v, end) : max_(g, v, i32(g, 0));
}

static void keep_word(gpu_cx *g, int word, X v)
{
	tile_fill(g->p, g->s->at,
		tile_part(g->row_words, NULL, NULL, i32(g, word), g->plan->rows, 1),
		tx_bits(g->p, TILE_F32, v));
}

static void keep_window(gpu_cx *g, int word, const sema_axis *key, gpu_env *e)
{
	keep_word(g, word, clipped(g, key, e, false));
	keep_word(g, word + 1, clipped(g, key, e, true));
}

void gpu_keep_rows(gpu_cx *g)
{
	X position = tx_2(g->p, TX_DIV, gpu_row_number(g), g->heads);
	gpu_env e;

	g->row_words = tile_shared(
		g->p, g->s->at, "row_words", TILE_F32, 1, g->plan->rows, gpu_kept_words(g->m));
	g->row_words->what = "the first and last key of each row, its position, its outer windows";
	gpu_env_init(g, &e);
	if (g->s->query)
		e.coord[g->s->query->id] = position;
	if (g->m->head)
		e.coord[g->m->head->id] =
			add(g, g->first_head, tx_2(g->p, TX_MOD, gpu_row_number(g), g->heads));
	keep_window(g, 0, g->m->inner, &e);
	keep_word(g, WORD_POSITION, position);
	for (int o = 0; o < g->m->outers; o++)
		keep_window(g, WORDS_INNER + 2 * o, g->m->outer[o], &e);
}

static void recall(gpu_cx *g, tile_frag *f, int word)
{
	tile_map(g->p, g->s->at, tile_whole(f),
		tx_bits(g->p, TILE_I32,
			tx_shared(g->p, g->row_words, i32(g, 0), tx_leaf(g->p, TX_ROW),
				i32(g, word))));
}

static void recall_rows(gpu_cx *g)
{
	recall(g, g->row_first, 0);
	recall(g, g->row_last, 1);
	recall(g, g->row_i, WORD_POSITION);
	for (int o = 0; o < g->m->outers; o++) {
		recall(g, g->outer_first[o], WORDS_INNER + 2 * o);
		recall(g, g->outer_last[o], WORDS_INNER + 2 * o + 1);
	}
}

/* --- windows of rows --- */

/* First and last key of each row as row vectors. */
static void row_window(gpu_cx *g, const sema_axis *key, tile_frag *first, tile_frag *last)
{
	loc at = key->window.at;
	gpu_env e;

	gpu_env_init(g, &e);
	if (g->s->query)
		e.coord[g->s->query->id] = tx_frag(g->p, g->row_i);
	if (g->m->head)
		e.coord[g->m->head->id] = tx_frag(g->p, g->row_h);
	tile_map(g->p, at, tile_whole(first), clipped(g, key, &e, false));
	tile_map(g->p, at, tile_whole(last), clipped(g, key, &e, true));
}

/* Whether a window of some key depends on the head. */
static bool by_head(const gpu_cx *g)
{
	const sema_axis *head = g->m->head;

	for (int o = -1; head && o < g->m->outers; o++) {
		const sema_window *w = o < 0 ? &g->m->inner->window : &g->m->outer[o]->window;

		if ((w->first && expr_depends(w->first, head)) ||
			(w->last && expr_depends(w->last, head)))
			return true;
	}
	return false;
}

/* Whether each row sees the current outer positions. */
static X outer_seen(gpu_cx *g)
{
	X ok = NULL;

	for (int o = 0; o < g->m->outers; o++) {
		X at = g->outer_at && o + 1 == g->m->outers ? g->outer_at : g->outer[o], in;

		in = tx_2(g->p, TX_AND, tx_2(g->p, TX_LE, tx_frag(g->p, g->outer_first[o]), at),
			tx_2(g->p, TX_LE, at, tx_frag(g->p, g->outer_last[o])));
		ok = ok ? tx_2(g->p, TX_AND, ok, in) : in;
	}
	return ok;
}

static void compute_rows(gpu_cx *g)
{
	gpu_row_positions(g);
	row_window(g, g->m->inner, g->row_first, g->row_last);
	for (int o = 0; o < g->m->outers; o++)
		row_window(g, g->m->outer[o], g->outer_first[o], g->outer_last[o]);
}

void gpu_row_windows(gpu_cx *g)
{
	if (by_head(g))
		gpu_row_heads(g);
	if (g->row_words)
		recall_rows(g);
	else
		compute_rows(g);
	if (g->m->outers)
		tile_map(g->p, g->s->at, tile_whole(g->row_first),
			tx_3(g->p, TX_SELECT, outer_seen(g), tx_frag(g->p, g->row_first),
				i32(g, INT32_MAX)));
}
