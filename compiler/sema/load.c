/* load.c: subscripts. Tensor elements, vectors (definitions with feature parameters), cross and
 * det. in:  names and subscripts out: loads with every subscript explicit; vectors substituted
 * relies on: dimensions of tensors; vectors resolved over their parameters' axes. */
#include "sema/check.h"
#include <string.h>

/* --- tensors --- */

static const char *subscripts_shown(checker *cx, const sema_dim *dim)
{
	for (int k = 0; k < cx->symbols.count; k++) {
		const symbol *sym = cx->symbols.item[k];

		if (sym->kind == SYM_INDEX && sym->index.axis && dim->length &&
			sym->index.axis->length == dim->length)
			return sym->name;
	}
	return dim->length ? "..." : "d";
}

static expr *implied(checker *cx, loc at, const sema_tensor *t, const sema_dim *dim)
{
	bool known = dim->length || dim->extent;

	if (dim->axis && (cx->place != PLACE_MASK || dim->axis->kind != AXIS_FEATURE))
		return expr_coord(cx->s, at, dim->axis);
	if (!known)
		return expr_poison(cx->s, at);
	diag_error(cx->d, at, "dimension '%s' of '%s' needs a subscript", dim->name, t->name);
	if (cx->place == PLACE_MASK && dim->axis)
		diag_hint(cx->d, "a mask is about positions, no feature is implied");
	else if (dim == &t->dim[t->rank - 1])
		diag_hint(cx->d,
			"no output has it, so nothing implies its coordinate: write %s[%s]",
			t->name, subscripts_shown(cx, dim));
	else
		diag_hint(
			cx->d, "no output has '%s', so nothing implies its coordinate", dim->name);
	return expr_poison(cx->s, at);
}

expr *load_tensor(checker *cx, loc at, const symbol *sym, int n, expr *const *sub)
{
	sema_tensor *t = sym->tensor;
	expr *all[SEMA_MAX_RANK];

	for (int r = 0; r < t->rank; r++)
		if (!t->dim[r].length && !t->dim[r].extent)
			return expr_poison(cx->s, at);
	if (n > t->rank) {
		diag_error(cx->d, at, "'%s' has %d dimension%s, not %d", t->name, t->rank,
			t->rank == 1 ? "" : "s", n);
		diag_note(cx->d, t->at, "declared here");
		return expr_poison(cx->s, at);
	}
	for (int r = 0; r < t->rank; r++) {
		all[r] = r < t->rank - n ? implied(cx, at, t, &t->dim[r]) : sub[r - (t->rank - n)];
		if (all[r]->type == TYPE_POISON)
			return expr_poison(cx->s, at);
	}
	return expr_load(cx->s, at, t, all);
}

/* --- vectors --- */

static expr *instantiate(checker *cx, loc at, const symbol *sym, int n, expr *const *sub)
{
	const vector_def *v = &sym->vector;
	expr *value;

	if (n != v->params) {
		diag_error(cx->d, at, "'%s' has %d parameter%s, not %d", sym->name, v->params,
			v->params == 1 ? "" : "s", n);
		diag_note(cx->d, sym->at, "defined here");
		return expr_poison(cx->s, at);
	}
	for (int k = 0; k < n; k++)
		if (sub[k]->type == TYPE_POISON)
			return expr_poison(cx->s, at);
	if (v->value->type == TYPE_POISON)
		return expr_poison(cx->s, at);
	value = expr_substitute_all(cx->s, v->value, n, v->param, sub);
	if (value->type == TYPE_POISON && !cx->exhausted) {
		cx->exhausted = true;
		diag_error(
			cx->d, at, "'%s' nests too many reductions after substitution", sym->name);
	}
	return define_within_limits(cx, value, at, sym->name);
}

static expr *element(checker *cx, loc at, const symbol *sym, int n, expr *const *sub)
{
	return sym->kind == SYM_TENSOR ? load_tensor(cx, at, sym, n, sub)
				       : instantiate(cx, at, sym, n, sub);
}

/* --- cross and det --- */

/* The tensor or vector that an argument of cross or det names; NULL (reported) when it names none.
 */
static symbol *operand(checker *cx, const ast_expr *arg, const char *function)
{
	symbol *sym = arg->kind == AST_NAME && !resolve_binder(cx, arg->name.text)
			      ? names_find(cx, arg->name.text)
			      : NULL;

	if (sym)
		sym->used = true;
	if (sym && !resolve_allowed(cx, arg->at, sym))
		return NULL;
	if (sym && sym->kind == SYM_TENSOR && !sym->tensor->output) {
		const sema_tensor *t = sym->tensor;

		if (t->rank > 0 && t->dim[t->rank - 1].extent)
			return sym;
		if (t->rank == 0 || t->dim[t->rank - 1].length)
			diag_error(cx->d, arg->at,
				"the last dimension of '%s' is not a feature, '%s' needs one",
				sym->name, function);
		return NULL;
	}
	if (sym && sym->kind == SYM_VECTOR && sym->vector.params == 1)
		return sym;
	if (arg->kind == AST_NAME && !sym && !resolve_binder(cx, arg->name.text)) {
		diag_error(cx->d, arg->at, "unknown name '%s'", arg->name.text);
		names_hint(cx, arg->name.text, 1u << SYM_TENSOR | 1u << SYM_VECTOR, NULL);
		return NULL;
	}
	diag_error(cx->d, arg->at,
		"'%s' takes the names of inputs or of definitions with one parameter", function);
	diag_hint(cx->d, "name the vector first: x[d] = ..., then %s(x, ...)", function);
	return NULL;
}

/* Arguments of cross and det: n names whose extents agree and are multiples of 3. */
static bool operands(checker *cx, const ast_expr *call, int n, symbol **sym, int64_t *extent)
{
	const char *name = call->call.callee.text;
	const ast_expr *first = NULL;
	bool fine = true;

	*extent = 0;
	if (call->call.args.count != n) {
		diag_error(cx->d, call->at, "'%s' takes %d arguments, not %d", name, n,
			call->call.args.count);
		return false;
	}
	for (int k = 0; k < n; k++) {
		const ast_expr *arg = call->call.args.item[k];
		int64_t x;

		sym[k] = operand(cx, arg, name);
		x = sym[k] ? reduce_feature_extent(cx, arg) : 0;
		fine = fine && sym[k];
		if (!x)
			continue;
		if (*extent && x != *extent) {
			diag_error(cx->d, arg->at, "'%s' has the extent %lld, but '%s' has %lld",
				arg->name.text, (long long)x, first->name.text, (long long)*extent);
			diag_note(cx->d, first->at, "'%s' is the first argument", first->name.text);
			return false;
		}
		first = *extent ? first : arg;
		*extent = x;
	}
	if (*extent % 3 == 0)
		return fine;
	diag_error(cx->d, first->at, "the extent of '%s' is %lld, '%s' needs a multiple of 3",
		first->name.text, (long long)*extent, name);
	if (*extent < 3)
		diag_hint(cx->d, "the nearest is 3");
	else
		diag_hint(cx->d, "the nearest are %lld and %lld", (long long)(*extent / 3 * 3),
			(long long)(*extent / 3 * 3 + 3));
	return false;
}

/* 3 * (d // 3) + (d + n) % 3 */
static expr *rotated(checker *cx, loc at, expr *d, int n)
{
	sema_spec *s = cx->s;
	expr *three = expr_int(s, at, 3);
	expr *chunk = expr_binary(s, at, EXPR_MUL, three, expr_binary(s, at, EXPR_IDIV, d, three));
	expr *next = expr_binary(s, at, EXPR_ADD, d, expr_int(s, at, n));

	return expr_binary(s, at, EXPR_ADD, chunk, expr_binary(s, at, EXPR_MOD, next, three));
}

static expr *cross_element(checker *cx, loc at, symbol *const *sym, expr *d)
{
	expr *r1 = rotated(cx, at, d, 1), *r2 = rotated(cx, at, d, 2), *v[4];
	expr *const sub[4] = {r1, r2, r2, r1};

	for (int k = 0; k < 4; k++) {
		v[k] = element(cx, at, sym[k % 2], 1, &sub[k]);
		if (v[k]->type == TYPE_POISON ||
			!resolve_number(cx, at, v[k], "operand of 'cross'"))
			return expr_poison(cx->s, at);
	}
	return expr_binary(cx->s, at, EXPR_SUB, expr_binary(cx->s, at, EXPR_MUL, v[0], v[1]),
		expr_binary(cx->s, at, EXPR_MUL, v[2], v[3]));
}

expr *load_det(checker *cx, const ast_expr *call)
{
	symbol *sym[3];
	int64_t extent;
	sema_axis *axis;
	expr *d, *cross, *z;

	if (cx->place != PLACE_VALUE) {
		diag_error(cx->d, call->at, "'det' cannot be used here");
		return expr_poison(cx->s, call->at);
	}
	if (!operands(cx, call, 3, sym, &extent))
		return expr_poison(cx->s, call->at);
	if (!extent) {
		diag_error(cx->d, call->at, "the extent of the vectors is not known");
		diag_hint(cx->d, "write it out: sum(d : D) cross(x, y)[d] * z[d]");
		return expr_poison(cx->s, call->at);
	}
	axis = reduce_local_axis(cx, call->at, "d", extent);
	if (!axis)
		return expr_poison(cx->s, call->at);
	d = expr_coord(cx->s, call->at, axis);
	cross = cross_element(cx, call->at, sym, d);
	z = element(cx, call->at, sym[2], 1, &d);
	if (cross->type == TYPE_POISON || z->type == TYPE_POISON ||
		!resolve_number(cx, call->at, z, "operand of 'det'"))
		return expr_poison(cx->s, call->at);
	return expr_reduce(cx->s, call->at, EXPR_REDUCE, REDUCE_SUM, &axis, 1,
		expr_binary(cx->s, call->at, EXPR_MUL, cross, z), NULL);
}

/* --- x[...] --- */

/* Resolves the subscripts; false when one is poison. */
static bool resolve_subscripts(checker *cx, const ast_exprs *args, expr **sub)
{
	bool fine = true;

	for (int k = 0; k < args->count; k++) {
		expr *x = resolve_in_brackets(cx, args->item[k]);

		if (x->type != TYPE_INT && x->type != TYPE_POISON) {
			diag_error(cx->d, args->item[k]->at, "a subscript is an int, this is %s",
				resolve_type_name(x));
			x = expr_poison(cx->s, x->at);
		}
		fine = fine && x->type != TYPE_POISON;
		sub[k] = x;
	}
	return fine;
}

static expr *subscript_cross(checker *cx, const ast_expr *e, expr *const *sub)
{
	symbol *sym[2];
	int64_t extent;

	if (!operands(cx, e->sub.base, 2, sym, &extent))
		return expr_poison(cx->s, e->at);
	if (e->sub.args.count != 1) {
		diag_error(cx->d, e->at, "'cross' takes one subscript, not %d", e->sub.args.count);
		return expr_poison(cx->s, e->at);
	}
	if (sub[0]->type == TYPE_POISON)
		return expr_poison(cx->s, e->at);
	return cross_element(cx, e->at, sym, sub[0]);
}

static expr *not_subscriptable(checker *cx, const ast_expr *e, const symbol *sym)
{
	const char *name = e->sub.base->name.text;

	if (!sym && resolve_binder(cx, name)) {
		diag_error(cx->d, e->sub.base->at, "'%s' is a feature index and has no elements",
			name);
	} else if (!sym) {
		return resolve_expr(cx, e->sub.base); /* unknown */
	} else if (sym->kind == SYM_DEF) {
		diag_error(cx->d, e->sub.base->at,
			"definition '%s' has no parameters, so it takes no subscripts", name);
		diag_hint(cx->d, "write '%s' alone, or define %s[d] = ...", name, name);
		diag_note(cx->d, sym->at, "defined here");
	} else if (sym->kind == SYM_TENSOR) {
		diag_error(
			cx->d, e->sub.base->at, "output '%s' cannot be read with subscripts", name);
	} else {
		diag_error(cx->d, e->sub.base->at, "'%s' is %s and has no elements", name,
			names_noun(sym));
		diag_note(cx->d, sym->at, "declared here");
	}
	return expr_poison(cx->s, e->at);
}

expr *load_subscript(checker *cx, const ast_expr *e)
{
	const ast_expr *base = e->sub.base;
	expr **sub = ARENA_ARRAY(cx->a, expr *, e->sub.args.count);
	bool fine = resolve_subscripts(cx, &e->sub.args, sub);
	symbol *sym;

	if (base->kind == AST_CALL && strcmp(base->call.callee.text, "cross") == 0)
		return subscript_cross(cx, e, sub);
	if (base->kind != AST_NAME) {
		diag_error(cx->d, base->at,
			"only inputs and definitions with parameters take subscripts");
		return expr_poison(cx->s, e->at);
	}
	sym = resolve_binder(cx, base->name.text) ? NULL : names_find(cx, base->name.text);
	if (sym)
		sym->used = true;
	if (sym && !resolve_allowed(cx, base->at, sym))
		return expr_poison(cx->s, e->at);
	if (!sym || (sym->kind != SYM_TENSOR && sym->kind != SYM_VECTOR) ||
		(sym->kind == SYM_TENSOR && sym->tensor->output))
		return not_subscriptable(cx, e, sym);
	if (!fine)
		return expr_poison(cx->s, e->at);
	return element(cx, e->at, sym, e->sub.args.count, sub);
}
