/* cuda_local.c: values that occur more than once in a statement become named locals.
 * in:  the values of one statement
 * out: their use counts; declarations, in an order in which each uses earlier ones only */
#include "emit_cuda/cuda_internal.h"
#include <string.h>

static bool half_type(tile_type t)
{
	return t == TILE_BF16 || t == TILE_F16;
}

void cuda_values_begin(cuda_cx *cx, cuda_place place)
{
	cx->place = place;
	cx->now++;
	cx->locals = cx->kept;
	cx->needs_row = cx->needs_col = false;
}

/* Its use count of this statement, 0 when not seen before. */
static uint32_t *uses_of(cuda_cx *cx, const tile_expr *x)
{
	uint32_t id = cuda_same(cx, x)->id;

	if (cx->stamp[id] != cx->now) {
		cx->stamp[id] = cx->now;
		cx->uses[id] = 0;
		cx->local[id] = NULL;
	}
	return &cx->uses[id];
}

const char *cuda_local_of(cuda_cx *cx, const tile_expr *x)
{
	uses_of(cx, x);
	return cx->local[cuda_same(cx, x)->id];
}

void cuda_values_count(cuda_cx *cx, const tile_expr *x)
{
	if ((*uses_of(cx, x))++ > 0)
		return;
	cx->needs_row = cx->needs_row || x->op == TX_ROW;
	cx->needs_col = cx->needs_col || x->op == TX_COL;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		cuda_values_count(cx, x->arg[i]);
}

static bool leaf(const tile_expr *x)
{
	return tile_expr_info[x->op].arity == 0;
}

/* Reads better written twice than named. */
static bool brief(const tile_expr *x)
{
	switch (x->op) {
	case TX_CVT:
	case TX_NEG:
		return leaf(x->arg[0]);
	case TX_ADD:
	case TX_SUB:
		return x->type != TILE_F32 && leaf(x->arg[0]) && leaf(x->arg[1]) &&
		       (x->arg[0]->op == TX_CONST || x->arg[1]->op == TX_CONST);
	default:
		return leaf(x);
	}
}

static bool wants_local(cuda_cx *cx, const tile_expr *x)
{
	return *uses_of(cx, x) > 1 && !brief(x) && !half_type(x->type);
}

static bool any_local(cuda_cx *cx, const tile_expr *x, uint32_t *visited)
{
	uint32_t id = cuda_same(cx, x)->id;

	if (visited[id] == cx->walk)
		return false;
	visited[id] = cx->walk;
	if (wants_local(cx, x))
		return true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (any_local(cx, x->arg[i], visited))
			return true;
	return false;
}

bool cuda_values_need_locals(cuda_cx *cx, const tile_expr *x)
{
	cx->walk++;
	return any_local(cx, x, cx->visited);
}

bool cuda_values_need_lines(cuda_cx *cx, const tile_expr *x)
{
	return cx->needs_row || cx->needs_col || cuda_values_need_locals(cx, x);
}

/* A position: the name of the first one, key0, without its 0. */
static const char *position_noun(cuda_cx *cx, const tile_expr *x)
{
	const tile_expr *first = x->arg[0], *place = x->arg[1];
	const char *name;
	size_t n;

	if (x->type == TILE_I64)
		return "offset";
	if (place->op != TX_ROW && place->op != TX_COL)
		return "number";
	if (first->op != TX_VAR)
		return "position";
	name = cx->var[first->var->id];
	n = strcspn(name, "0123456789_");
	return n > 0 ? arena_strndup(cx->a, name, n) : "position";
}

static const char *noun_of(cuda_cx *cx, const tile_expr *x)
{
	while (x->op == TX_CVT)
		x = x->arg[0];
	if (x->op == TX_GLOBAL)
		return cuda_text(cx, "%s_value", cx->arg[x->arg_ref->id]);
	if (x->op == TX_SHARED)
		return cuda_text(cx, "%s_value", cx->buffer[x->buffer->id]);
	if (x->op == TX_ADD && x->type != TILE_F32)
		return position_noun(cx, x);
	if ((x->op == TX_MIN || x->op == TX_MAX) && x->type != TILE_F32)
		return "clamped";
	return cuda_noun(x->op);
}

static void local_lines(cuda_cx *cx, const tile_expr *x)
{
	const tile_expr *same = cuda_same(cx, x);
	const char *value;

	if (cx->visited[same->id] == cx->walk)
		return;
	cx->visited[same->id] = cx->walk;
	if (cx->local[same->id])
		return;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		local_lines(cx, x->arg[i]);
	if (!wants_local(cx, x))
		return;
	value = cuda_value(cx, x, LEVEL_ANY);
	cx->local[same->id] = cuda_local_name(cx, noun_of(cx, x));
	cuda_line(cx, "const %s %s = %s;", cuda_type(x->type), cx->local[same->id], value);
}

void cuda_values_lines(cuda_cx *cx, const tile_expr *x)
{
	uses_of(cx, x);
	cx->walk++;
	local_lines(cx, x);
}

static bool reads(cuda_cx *cx, const tile_expr *x, const tile_frag *f)
{
	uint32_t id = cuda_same(cx, x)->id;

	if (x->op == TX_FRAG && x->frag == f)
		return true;
	if (cx->visited[id] == cx->walk)
		return false;
	cx->visited[id] = cx->walk;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (reads(cx, x->arg[i], f))
			return true;
	return false;
}

bool cuda_reads(cuda_cx *cx, const tile_expr *x, const tile_frag *f)
{
	cx->walk++;
	return reads(cx, x, f);
}
