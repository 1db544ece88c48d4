/* window.c: windows and masks.
 * in:  AST_WINDOW and AST_MASK statements
 * out: sema_axis.window of the keys, sema_spec.mask; what can never be visible is an error
 * relies on: axes and dimensions. Definitions come later and are not seen. */
#include "sema/check.h"
#include <string.h>

/* --- windows --- */

/* The key that a window is for; NULL when reported, or when the key is used nowhere. */
static sema_axis *window_axis(checker *cx, ast_name index)
{
	symbol *sym = names_find(cx, index.text);
	sema_axis *a;

	if (!sym) {
		diag_error(cx->d, index.at, "unknown index '%s'", index.text);
		names_hint(cx, index.text, 1u << SYM_INDEX, NULL);
		return NULL;
	}
	a = sym->kind == SYM_INDEX ? sym->index.axis : NULL;
	if (sym->kind == SYM_INDEX && (!a || a->kind == AXIS_KEY))
		return a;
	if (a && a->kind == AXIS_QUERY)
		diag_error(cx->d, index.at,
			"'%s' is the query index, a window restricts a key index", index.text);
	else if (a && a->kind == AXIS_FEATURE)
		diag_error(cx->d, index.at,
			"'%s' is a feature index, a window restricts a key index", index.text);
	else
		diag_error(cx->d, index.at, "'%s' is %s, a window restricts a key index",
			index.text, a ? "the index of a row" : names_noun(sym));
	diag_note(cx->d, sym->at, "declared here");
	return NULL;
}

/* A bound, moved inwards by `step` when it is exclusive. NULL when reported. */
static expr *resolve_bound(checker *cx, const ast_expr *e, bool open, expr_op step)
{
	expr *x = resolve_in_brackets(cx, e);

	if (x->type == TYPE_POISON)
		return NULL;
	if (x->type != TYPE_INT) {
		diag_error(cx->d, e->at, "the bound of a window is an int, this is %s",
			resolve_type_name(x));
		return NULL;
	}
	return open ? expr_binary(cx->s, e->at, step, x, expr_int(cx->s, e->at, 1)) : x;
}

/* The params that `e` reads, as " with W = 0"; *overridden when a -D set one: then an empty window
 * is what the user asked for. */
static const char *params_read(checker *cx, const expr *e, const char *list, bool *overridden)
{
	expr *const *kid;
	int n = expr_kids(e, &kid);

	if (e->op == EXPR_PARAM) {
		const char *item =
			arena_printf(cx->a, "%s = %lld", e->param->name, (long long)e->param->i);

		*overridden = *overridden || names_find(cx, e->param->name)->overridden;
		return strstr(list, item)
			       ? list
			       : arena_printf(cx->a, "%s%s%s", list, *list ? ", " : " with ", item);
	}
	for (int k = 0; k < n && strlen(list) < 80; k++)
		list = params_read(cx, kid[k], list, overridden);
	return list;
}

static const char *shown(checker *cx, const expr *e)
{
	text out = {0};
	const char *s;

	expr_print(e, &out);
	s = arena_strdup(cx->a, out.data ? out.data : "");
	text_free(&out);
	return s;
}

static void check_not_empty(checker *cx, const sema_axis *a, const sema_window *w, loc at)
{
	expr *first = w->first, *last = w->last, *zero = expr_int(cx->s, at, 0);
	expr *end = expr_length(cx->s, at, a->length);
	const char *why = NULL, *with;
	bool overridden = false;

	if (range_difference(cx->s, first, last, true).low > 0)
		why = arena_printf(cx->a, "its first position %s is behind its last, %s",
			shown(cx, first), shown(cx, last));
	else if (range_difference(cx->s, last, zero, true).high < 0)
		why = arena_printf(cx->a, "its last position %s is negative", shown(cx, last));
	else if (range_difference(cx->s, first, end, true).low >= 0)
		why = arena_printf(cx->a, "its first position %s is not below the length %s",
			shown(cx, first), a->length->name);
	if (!why)
		return;
	with = params_read(cx, last, params_read(cx, first, "", &overridden), &overridden);
	if (overridden)
		diag_warning(cx->d, at, "empty", "the window of '%s' is always empty%s: %s",
			a->name, with, why);
	else
		diag_error(
			cx->d, at, "the window of '%s' is always empty%s: %s", a->name, with, why);
}

static void check_window(checker *cx, const ast_stmt *stmt)
{
	sema_axis *a = window_axis(cx, stmt->window.index);
	expr *first = resolve_bound(cx, stmt->window.low, stmt->window.low_open, EXPR_ADD);
	expr *last = resolve_bound(cx, stmt->window.high, stmt->window.high_open, EXPR_SUB);

	if (!a || !first || !last)
		return;
	if (a->window.first) {
		diag_error(cx->d, stmt->at, "'%s' has a window already", a->name);
		diag_hint(cx->d, "intersect them with max and min in one window, or write a mask");
		diag_note(cx->d, a->window.at, "the first is here");
		return;
	}
	if (first->size + last->size > SEMA_MAX_SIZE / 4) {
		diag_error(cx->d, stmt->at, "this window is too large");
		return;
	}
	a->window = (sema_window){first, last, stmt->at};
	check_not_empty(cx, a, &a->window, stmt->at);
}

void window_check(checker *cx)
{
	cx->place = PLACE_WINDOW;
	for (int k = 0; k < cx->ast->body.count; k++)
		if (cx->ast->body.item[k].kind == AST_WINDOW)
			check_window(cx, &cx->ast->body.item[k]);
}

/* --- masks --- */

static void check_mask(checker *cx, const ast_expr *e)
{
	expr *m = resolve_expr(cx, e);

	if (m->type == TYPE_POISON)
		return;
	if (m->type != TYPE_BOOL) {
		diag_error(cx->d, e->at, "a mask is a condition, this is %s", resolve_type_name(m));
		diag_hint(cx->d, "compare it with something, for example != 0");
		return;
	}
	cx->total_size += m->size;
	if (cx->total_size > SEMA_MAX_SIZE / 4) {
		diag_error(cx->d, e->at, "the masks are too large");
		cx->exhausted = true;
		return;
	}
	bounds_check(cx, m);
	ARENA_PUSH(cx->a, &cx->s->mask, m);
}

void mask_check(checker *cx)
{
	bool never = false;

	cx->place = PLACE_MASK;
	for (int k = 0; k < cx->ast->body.count; k++)
		if (cx->ast->body.item[k].kind == AST_MASK)
			check_mask(cx, cx->ast->body.item[k].mask);
	for (int k = 0; k < cx->s->mask.count; k++) {
		expr *m = cx->s->mask.item[k];
		truth t = range_truth(cx->s, m);

		if (t == TRUTH_FALSE || range_contradiction(cx->s, &m, 1)) {
			diag_error(cx->d, m->at,
				"this mask is never true inside the windows, so nothing is "
				"visible");
			never = true;
		} else if (t == TRUTH_TRUE) {
			diag_warning(cx->d, m->at, "mask",
				"this mask is always true inside the windows");
		}
	}
	if (!never && cx->s->mask.count > 1 &&
		range_contradiction(cx->s, cx->s->mask.item, cx->s->mask.count))
		diag_error(cx->d, cx->s->mask.item[cx->s->mask.count - 1]->at,
			"the masks are never true together, so nothing is visible");
}
