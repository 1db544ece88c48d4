/* cuda_map.c: statements over the elements of a register tile.
 * Each is a nest of loops over the tile's cells and registers with one statement inside; values
 * that occur more than once are named before it. */
#include "emit_cuda/cuda_internal.h"

static const char *whole_register(cuda_cx *cx, const tile_frag *f)
{
	return cuda_register(cx, f, cx->place.at.r, cx->place.at.n, cx->place.at.i);
}

/* --- map --- */

/* "+" where x is the tile's own element plus something, NULL else. */
static const char *compound(const cuda_cx *cx, const tile_frag *f, const tile_expr *x)
{
	bool own = tile_expr_info[x->op].arity == 2 && x->arg[0]->op == TX_FRAG &&
		   x->arg[0]->frag == f && x->type == TILE_F32;

	if (!own || (x->op == TX_MUL && cx->facts.rounded[cuda_same(cx, x)->id]))
		return NULL;
	return x->op == TX_ADD ? "+" : x->op == TX_SUB ? "-" : x->op == TX_MUL ? "*" : NULL;
}

static void map_element(cuda_cx *cx, const tile_stmt *s)
{
	const tile_frag *f = s->arg[0].slice.frag;
	const tile_expr *x = s->arg[1].value;
	const char *op = compound(cx, f, x), *r = whole_register(cx, f);

	cuda_values_lines(cx, x);
	if (op)
		cuda_line(cx, "%s %s= %s;", r, op, cuda_value(cx, x->arg[1], LEVEL_ANY));
	else
		cuda_line(cx, "%s = %s;", r, cuda_value(cx, x, LEVEL_ANY));
}

static void map_pairs(cuda_cx *cx, const tile_slice *dst, const tile_expr *x)
{
	bool braces = cuda_pair_needs_lines(cx, x);
	text t = {0};

	cuda_loops(cx, dst, braces);
	cuda_pair_lines(cx);
	cuda_pair_put(cx, &t, x);
	cuda_line(cx, "%s = %s;", whole_register(cx, dst->frag), t.data);
	cuda_loops_end(cx, dst, braces);
	text_free(&t);
}

/* --- reduce, quad --- */

static void reduce_element(cuda_cx *cx, const tile_stmt *s)
{
	const char *element, *to = cuda_peer_register(cx, s->arg[0].slice.frag, &element);
	const char *from = whole_register(cx, s->arg[2].slice.frag);

	if (s->arg[1].word == WORD_SUM)
		cuda_line(cx, "%s += %s;", to, from);
	else
		cuda_line(cx, "%s = fmaxf(%s, %s);", to, to, from);
}

static void quad_element(cuda_cx *cx, const tile_stmt *s)
{
	const char *r = whole_register(cx, s->arg[0].slice.frag);

	cuda_line(cx, "%s = quad_%s(%s);", r, s->arg[1].word == WORD_SUM ? "sum" : "max", r);
}

/* --- loops that several statements share --- */

/* The slice whose elements a statement walks in loops of its own; NULL: none, or pairs. */
static const tile_slice *walked(const tile_stmt *s)
{
	const tile_slice *domain = s->op == TILE_REDUCE ? &s->arg[2].slice : &s->arg[0].slice;

	if (s->op != TILE_MAP && s->op != TILE_REDUCE && s->op != TILE_QUAD)
		return NULL;
	return tile_register_elements(domain->frag) == 1 ? domain : NULL;
}

static bool same_walk(const cuda_cx *cx, const tile_slice *a, const tile_slice *b)
{
	const tile_frag *f = a->frag, *g = b->frag;

	return f->layout == g->layout && f->rows == g->rows && f->cols == g->cols &&
	       tile_cell_of(f).cols == tile_cell_of(g).cols && f->of == g->of &&
	       a->rows == b->rows && a->cols == b->cols &&
	       cuda_same(cx, a->first) == cuda_same(cx, b->first) &&
	       cuda_same(cx, a->first_row) == cuda_same(cx, b->first_row);
}

static bool touches(cuda_cx *cx, const tile_stmt *s, const tile_frag *f)
{
	return s->arg[0].slice.frag == f || (s->op == TILE_REDUCE && s->arg[2].slice.frag == f) ||
	       (s->op == TILE_MAP && cuda_reads(cx, s->arg[1].value, f));
}

/* A row vector that is reduced into is complete only after the loops. */
static bool independent(cuda_cx *cx, const tile_stmt *s, const tile_stmt *t)
{
	if (s->op == TILE_REDUCE && touches(cx, t, s->arg[0].slice.frag))
		return false;
	return t->op != TILE_REDUCE || !touches(cx, s, t->arg[0].slice.frag);
}

int cuda_fuse(cuda_cx *cx, const tile_block *b, int at)
{
	const tile_slice *first = walked(b->item[at]);
	int n = 1;

	if (!first)
		return 1;
	for (; at + n < b->count; n++) {
		const tile_stmt *t = b->item[at + n];
		const tile_slice *next = walked(t);

		if (cuda_dead(&cx->facts, t))
			continue;
		if (!next || t->note || cuda_unquoted(cx, t->line) || !same_walk(cx, first, next))
			break;
		for (int i = 0; i < n; i++)
			if (!cuda_dead(&cx->facts, b->item[at + i]) &&
				!independent(cx, b->item[at + i], t))
				return n;
	}
	return n;
}

static void count_values(cuda_cx *cx, const tile_stmt *s)
{
	if (s->op == TILE_MAP)
		cuda_values_count(cx, s->arg[1].value);
}

static void walk_elements(cuda_cx *cx, tile_stmt *const *s, int n)
{
	static void (*const element[TILE_OP_COUNT])(cuda_cx *, const tile_stmt *) = {
		[TILE_MAP] = map_element,
		[TILE_REDUCE] = reduce_element,
		[TILE_QUAD] = quad_element,
	};
	const tile_slice *domain = walked(s[0]);
	cuda_place place = cuda_place_of(cx, domain);
	bool braces;
	int kept = cx->kept, lines = 0;

	cuda_values_begin(cx, place);
	for (int i = 0; i < n; i++)
		if (!cuda_dead(&cx->facts, s[i])) {
			count_values(cx, s[i]);
			lines++;
		}
	braces = lines > 1 || cx->needs_row || cx->needs_col ||
		 (s[0]->op == TILE_MAP && cuda_values_need_locals(cx, s[0]->arg[1].value));
	cuda_loops(cx, domain, braces);
	cuda_place_lines(cx);
	for (int i = 0; i < n; i++) {
		if (cuda_dead(&cx->facts, s[i]))
			continue;
		cuda_values_begin(cx, place);
		count_values(cx, s[i]);
		element[s[i]->op](cx, s[i]);
		cx->kept = cx->locals;
	}
	cx->kept = kept;
	cuda_loops_end(cx, domain, braces);
}

void cuda_walk(cuda_cx *cx, tile_stmt *const *s, int n)
{
	const tile_slice *dst = &s[0]->arg[0].slice;

	if (walked(s[0])) {
		walk_elements(cx, s, n);
		return;
	}
	cuda_values_begin(cx, cuda_place_of(cx, dst));
	map_pairs(cx, dst, s[0]->arg[1].value);
}

/* --- any --- */

/* Domains of 16-bit tiles have two elements in a register. */
static bool two_elements(const tile_slice *s)
{
	return tile_register_elements(s->frag) == 2;
}

static void open_elements(cuda_cx *cx, const tile_slice *s, bool braces)
{
	bool two = two_elements(s);

	cuda_loops(cx, s, braces && !two);
	if (two)
		cuda_loop(cx, cx->e, 2, 1, braces);
}

static void close_elements(cuda_cx *cx, const tile_slice *s, bool braces)
{
	bool two = two_elements(s);

	if (two)
		cuda_loop_end(cx, braces);
	cuda_loops_end(cx, s, braces && !two);
}

void cuda_any(cuda_cx *cx, const tile_stmt *s)
{
	const char *var = cx->var[s->arg[0].var->id];
	const tile_slice *over = &s->arg[1].slice;
	const tile_expr *x = s->arg[2].value;
	bool braces;

	cuda_values_begin(cx, cuda_place_of(cx, over));
	cuda_values_count(cx, x);
	braces = cuda_values_need_lines(cx, x);
	cuda_line(cx, "bool %s = false;", var);
	open_elements(cx, over, braces);
	cuda_place_lines(cx);
	cuda_values_lines(cx, x);
	cuda_line(cx, "%s |= %s;", var, cuda_value(cx, x, LEVEL_ANY));
	close_elements(cx, over, braces);
	cuda_line(cx, s->op == TILE_ANYB ? "%s = __syncthreads_or(%s);" : "%s = warp_any(%s);", var,
		var);
}

/* --- store --- */

static const char *stored(cuda_cx *cx, tile_type t, const tile_expr *x)
{
	const char *value = cuda_value(cx, x, LEVEL_ANY);

	if ((t == TILE_BF16 || t == TILE_F16) && x->type == TILE_F32)
		return cuda_text(cx, "%s(%s)", cuda_type(t), value);
	return value;
}

/* Nothing is evaluated where the predicate is false. */
static void store_element(cuda_cx *cx, const tile_stmt *s)
{
	const tile_arg *t = s->arg[0].tensor;
	const tile_expr *offset = s->arg[2].value, *x = s->arg[3].value, *pred = s->arg[4].value;
	bool always = tx_is_const(pred, 1), braces = false;

	cuda_values_lines(cx, pred);
	if (!always) {
		braces = cuda_values_need_locals(cx, offset) || cuda_values_need_locals(cx, x);
		cuda_line(cx, "if (%s)%s", cuda_value(cx, pred, LEVEL_ANY), braces ? " {" : "");
		cx->out->indent++;
	}
	cuda_values_lines(cx, offset);
	cuda_values_lines(cx, x);
	cuda_line(cx, "%s[%s] = %s;", cx->arg[t->id], cuda_value(cx, offset, LEVEL_ANY),
		stored(cx, t->type, x));
	if (!always)
		cuda_loop_end(cx, braces);
}

void cuda_store(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *over = &s->arg[1].slice;
	bool braces = false;

	cuda_values_begin(cx, cuda_place_of(cx, over));
	for (int i = 2; i <= 4; i++)
		cuda_values_count(cx, s->arg[i].value);
	for (int i = 2; i <= 4; i++)
		braces = cuda_values_need_lines(cx, s->arg[i].value) || braces;
	open_elements(cx, over, braces);
	cuda_place_lines(cx);
	store_element(cx, s);
	close_elements(cx, over, braces);
}

/* Element (row, col) of the slice goes to (row, col) of the region. */
void cuda_store_shared(cuda_cx *cx, const tile_stmt *s)
{
	const tile_region *to = &s->arg[0].region;
	const tile_slice *over = &s->arg[1].slice;
	const tile_expr *x = s->arg[2].value;
	const char *row = over->frag->layout == LAYOUT_COLV ? "0" : "row";
	const char *col = over->frag->layout == LAYOUT_ROWV ? "0" : "col";

	cuda_values_begin(cx, cuda_place_of(cx, over));
	cuda_values_count(cx, x);
	cx->needs_row = row[0] != '0';
	cx->needs_col = col[0] != '0';
	if (!tx_is_const(over->first_row, 0))
		row = cuda_text(cx, "row - %s", cuda_value(cx, over->first_row, LEVEL_PRODUCT));
	if (!tx_is_const(over->first, 0))
		col = cuda_text(cx, "col - %s", cuda_value(cx, over->first, LEVEL_PRODUCT));
	open_elements(cx, over, true);
	cuda_place_lines(cx);
	cuda_values_lines(cx, x);
	cuda_line(cx, "%s = %s;", cuda_shared_element(cx, to, row, col),
		stored(cx, to->buffer->type, x));
	close_elements(cx, over, true);
}
