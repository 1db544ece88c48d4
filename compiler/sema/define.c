/* define.c: definitions, and what an output may depend on.
 * in:  AST_DEFINE statements in order
 * out: sema_spec.def; vectors (definitions with feature parameters) as symbols only
 * relies on: axes, windows and masks. */
#include "sema/check.h"
#include <string.h>

#define MAX_DEPTH 2000 /* of an expression, going on through definitions */

expr *define_within_limits(checker *cx, expr *e, loc at, const char *name)
{
	const char *what = NULL;

	if (e->type == TYPE_POISON || cx->exhausted)
		return expr_poison(cx->s, at);
	if (e->size > SEMA_MAX_SIZE || cx->s->expr_count > 2 * SEMA_MAX_SIZE)
		what = "is too large after substitution";
	else if (e->depth > MAX_DEPTH)
		what = "is nested too deeply after substitution";
	if (!what)
		return e;
	diag_error(cx->d, at, "'%s' %s", name, what);
	cx->exhausted = true;
	return expr_poison(cx->s, at);
}

/* --- what an output may depend on --- */

/* The first place in `e` that reads the coordinate of `a`; *mask is set when what reads it is a
 * mask of a reduction, maybe inside the definition that is used there. */
static loc first_reader(const checker *cx, const expr *e, const sema_axis *a, const expr **mask)
{
	loc at = e->at;
	bool through = false;

	for (;;) {
		expr *const *kid;
		int n = expr_kids(e, &kid), k = 0;

		if (!through)
			at = e->at;
		while (k < n && !expr_depends(kid[k], a))
			k++;
		if (k == n && e->op != EXPR_DEF)
			break;
		through = through || e->op == EXPR_DEF;
		e = e->op == EXPR_DEF ? e->def->value : kid[k];
	}
	for (int m = 0; m < cx->s->mask.count; m++)
		if (e->op == EXPR_REDUCE && expr_depends(cx->s->mask.item[m], a))
			*mask = cx->s->mask.item[m];
	return at;
}

static void free_key(checker *cx, const expr *value, const sema_axis *a, const char *name)
{
	const expr *mask = NULL;
	loc at = first_reader(cx, value, a, &mask);

	diag_error(cx->d, at,
		"output '%s' depends on the key index '%s' outside any reduction over it", name,
		a->name);
	if (mask)
		diag_note(cx->d, mask->at, "the mask makes this reduction depend on '%s'", a->name);
	else
		diag_hint(cx->d, "reduce over it: sum(%s) ...", a->name);
}

static bool has_dimension(const sema_tensor *t, const sema_axis *a)
{
	for (int r = 0; r < t->rank; r++)
		if (t->dim[r].axis == a)
			return true;
	return false;
}

static void check_dependence(checker *cx, const sema_tensor *t, const expr *value)
{
	for (int k = 0; k < cx->s->axis.count; k++) {
		const sema_axis *a = cx->s->axis.item[k];
		const expr *mask = NULL;
		loc at;

		if (!expr_depends(value, a))
			continue;
		if (a->kind == AXIS_KEY)
			free_key(cx, value, a, t->name);
		if (a->kind != AXIS_FEATURE || has_dimension(t, a))
			continue;
		at = first_reader(cx, value, a, &mask);
		diag_error(cx->d, at,
			"output '%s' has no feature dimension '%s', but depends on it", t->name,
			a->name);
		diag_hint(cx->d, "subscript it in a reduction, as in sum(d) q[d] * k[d]");
	}
}

static bool check_weights_summed(checker *cx, const weights *w)
{
	const expr *p;
	const char *list;

	if (w->count == 0)
		return true;
	p = w->item[0];
	list = p->reduce.axis[0]->name;
	for (int k = 1; k < p->reduce.axes; k++)
		list = arena_printf(cx->a, "%s, %s", list, p->reduce.axis[k]->name);
	diag_error(cx->d, p->at, "these softmax weights reach an output without a sum over (%s)",
		list);
	diag_hint(cx->d, "sum(%s) p * v is their weighted sum", list);
	return false;
}

/* --- one definition --- */

/* Adds a plain definition with its value. */
static sema_def *add_def(checker *cx, ast_name name, expr *value, sema_tensor *output)
{
	sema_def *def = ARENA_NEW(cx->a, sema_def);
	weights w = {0};

	*def = (sema_def){name.text, name.at, cx->s->def.count, value, output};
	ARENA_PUSH(cx->a, &cx->s->def, def);
	cx->pending =
		arena_grow(cx->a, cx->pending, sizeof *cx->pending, def->id, &cx->pending_cap);
	if (value->type != TYPE_POISON) {
		w = reduce_pending(cx, value);
		bounds_check(cx, value);
		cx->total_size += value->size;
	}
	cx->pending[def->id] = w;
	if (cx->total_size > SEMA_MAX_SIZE && !cx->exhausted) {
		diag_error(cx->d, name.at,
			"the definitions up to '%s' are too large after substitution", name.text);
		cx->exhausted = true;
	}
	return def;
}

static sema_axis *feature_of(const sema_tensor *t)
{
	for (int r = 0; r < t->rank; r++)
		if (t->dim[r].axis && t->dim[r].axis->kind == AXIS_FEATURE)
			return t->dim[r].axis;
	return NULL;
}

/* A parameter's name must not hide what the body could mean by it. */
static bool check_param_name(checker *cx, ast_name p)
{
	const symbol *sym = names_find(cx, p.text);
	const char *what;

	if (resolve_binder(cx, p.text)) {
		diag_error(cx->d, p.at, "'%s' is named twice", p.text);
		return false;
	}
	if (names_reserved(p.text, &what)) {
		diag_error(cx->d, p.at, "'%s' is %s and cannot name anything else", p.text, what);
		return false;
	}
	if (!sym || (sym->kind == SYM_INDEX && !sym->index.length.text))
		return true;
	diag_error(cx->d, p.at, "'%s' is %s: a parameter is a feature index with a name of its own",
		p.text, names_noun(sym));
	if (sym->kind == SYM_INDEX)
		diag_hint(cx->d, "positions are implied: leave '%s' out", p.text);
	diag_note(cx->d, sym->at, "declared here");
	return false;
}

/* o = ... or o[e] = ... */
static void define_output(checker *cx, const ast_stmt *stmt, symbol *sym)
{
	sema_tensor *t = sym->tensor;
	sema_axis *feature = feature_of(t);
	const ast_names *params = &stmt->define.params;
	binder bound;
	expr *value;

	if (t->def) {
		diag_error(cx->d, stmt->define.name.at, "output '%s' is defined twice", t->name);
		diag_note(cx->d, t->def->at, "first defined here");
		return;
	}
	if (params->count > 0 && check_param_name(cx, params->item[0])) {
		ast_name e = params->item[0];

		if (params->count > 1 || !feature)
			diag_error(cx->d, params->item[params->count - 1].at,
				"output '%s' has %s feature dimension", t->name,
				feature ? "only one" : "no");
		if (feature && feature->coord[0] == '\0' && !names_find(cx, e.text))
			feature->coord = e.text;
		bound = (binder){e.text, e.at, feature, NULL};
		cx->scope = &bound;
	}
	value = resolve_expr(cx, stmt->define.value);
	cx->scope = NULL;
	if (value->type == TYPE_BOOL &&
		!resolve_number(cx, stmt->define.value->at, value, "an output"))
		value = expr_poison(cx->s, value->at);
	value = define_within_limits(
		cx, expr_to_float(cx->s, value), stmt->define.name.at, t->name);
	t->def = add_def(cx, stmt->define.name, value, t);
	if (value->type != TYPE_POISON && check_weights_summed(cx, &cx->pending[t->def->id]))
		check_dependence(cx, t, value);
}

/* qr[d] = ... */
static void define_vector(checker *cx, const ast_stmt *stmt)
{
	const ast_names *params = &stmt->define.params;
	vector_def v = {.params = params->count};
	binder bound[SEMA_MAX_RANK];
	bool fine = true;

	if (params->count > SEMA_MAX_RANK) {
		diag_error(cx->d, params->item[SEMA_MAX_RANK].at,
			"'%s' has %d parameters, at most %d are possible", stmt->define.name.text,
			params->count, SEMA_MAX_RANK);
		v.params = SEMA_MAX_RANK;
		fine = false;
	}
	for (int k = 0; k < v.params; k++) {
		ast_name p = params->item[k];
		int64_t extent =
			check_param_name(cx, p) ? reduce_infer(cx, p, stmt->define.value) : -1;

		if (extent >= 0)
			v.param[k] = reduce_local_axis(cx, p.at, p.text, extent);
		fine = fine && v.param[k];
		bound[k] = (binder){p.text, p.at, v.param[k], cx->scope};
		cx->scope = &bound[k];
	}
	v.value = resolve_expr(cx, stmt->define.value);
	cx->scope = NULL;
	v.value = define_within_limits(cx, v.value, stmt->define.name.at, stmt->define.name.text);
	if (!fine)
		v.value = expr_poison(cx->s, stmt->at);
	names_add(cx, SYM_VECTOR, stmt->define.name)->vector = v;
}

static void define_plain(checker *cx, const ast_stmt *stmt)
{
	expr *value = resolve_expr(cx, stmt->define.value);
	sema_def *def;

	value = define_within_limits(cx, value, stmt->define.name.at, stmt->define.name.text);
	def = add_def(cx, stmt->define.name, value, NULL);
	names_add(cx, SYM_DEF, stmt->define.name)->def = def;
}

/* --- all of them --- */

static void check_all_defined(checker *cx)
{
	for (int k = cx->s->inputs; k < cx->s->tensor.count; k++) {
		const sema_tensor *t = cx->s->tensor.item[k];

		if (t->def)
			continue;
		diag_error(cx->d, t->at, "output '%s' has no definition", t->name);
		diag_hint(cx->d, "add a line '%s = ...'", t->name);
	}
}

static void check_keys_reduced(checker *cx)
{
	for (int k = 0; k < cx->s->key.count; k++) {
		const sema_axis *a = cx->s->key.item[k];

		if (!cx->reduced_over[a->id])
			diag_error(cx->d, a->at, "key index '%s' is never reduced over", a->name);
	}
}

void define_check(checker *cx)
{
	cx->place = PLACE_VALUE;
	for (int k = 0; k < cx->ast->body.count; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];
		symbol *sym;

		cx->next_stmt = k;
		if (stmt->kind != AST_DEFINE)
			continue;
		sym = names_find(cx, stmt->define.name.text);
		if (sym && sym->kind == SYM_TENSOR && sym->tensor->output)
			define_output(cx, stmt, sym);
		else if (stmt->define.params.count > 0)
			define_vector(cx, stmt);
		else
			define_plain(cx, stmt);
	}
	check_all_defined(cx);
	if (diag_error_count(cx->d) == cx->errors_before)
		check_keys_reduced(cx);
}
