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

static void map_elements(cuda_cx *cx, const tile_slice *dst, const tile_expr *x)
{
	const char *op = compound(cx, dst->frag, x), *r = whole_register(cx, dst->frag);
	bool braces;

	cuda_values_count(cx, x);
	braces = cuda_values_need_lines(cx, x);
	cuda_loops(cx, dst, braces);
	cuda_place_lines(cx);
	cuda_values_lines(cx, x);
	if (op)
		cuda_line(cx, "%s %s= %s;", r, op, cuda_value(cx, x->arg[1], LEVEL_ANY));
	else
		cuda_line(cx, "%s = %s;", r, cuda_value(cx, x, LEVEL_ANY));
	cuda_loops_end(cx, dst, braces);
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

void cuda_map(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *dst = &s->arg[0].slice;

	cuda_values_begin(cx, cuda_place_of(cx, dst));
	if (tile_register_elements(dst->frag) == 2)
		map_pairs(cx, dst, s->arg[1].value);
	else
		map_elements(cx, dst, s->arg[1].value);
}

/* --- any, reduce, quad --- */

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
	cuda_line(cx, "%s = warp_any(%s);", var, var);
}

void cuda_reduce(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *src = &s->arg[2].slice;
	const char *element, *to, *from;

	cuda_values_begin(cx, cuda_place_of(cx, src));
	to = cuda_peer_register(cx, s->arg[0].slice.frag, &element);
	from = whole_register(cx, src->frag);
	cuda_loops(cx, src, false);
	if (s->arg[1].word == WORD_SUM)
		cuda_line(cx, "%s += %s;", to, from);
	else
		cuda_line(cx, "%s = fmaxf(%s, %s);", to, to, from);
	cuda_loops_end(cx, src, false);
}

void cuda_quad(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *dst = &s->arg[0].slice;
	const char *r;

	cuda_values_begin(cx, cuda_place_of(cx, dst));
	r = whole_register(cx, dst->frag);
	cuda_loops(cx, dst, false);
	cuda_line(cx, "%s = quad_%s(%s);", r, s->arg[1].word == WORD_SUM ? "sum" : "max", r);
	cuda_loops_end(cx, dst, false);
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
		braces = cuda_values_need_lines(cx, offset) || cuda_values_need_lines(cx, x);
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
