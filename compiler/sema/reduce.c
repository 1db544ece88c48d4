/* reduce.c: sum(d) x, softmax(j, k) s with z, ...
 * in:  a reduction as written
 * out: REDUCE and SOFTMAX nodes; feature indices get an axis, with the extent inferred from what
 * they subscript relies on: windows and masks being there already, since a reduction over keys
 * depends on what they read. */
#include "sema/check.h"
#include <string.h>

/* A reduction over keys around the expression being resolved. */
typedef struct reduction {
	const sema_axis *axis;
	const char *how;
	loc at;
	const struct reduction *outer;
} reduction;

typedef struct {
	const char *name;
	expr_op op;
	reduce_how how;
	bool keys_only;
} reducer;

static const reducer reducers[] = {
	{"sum", EXPR_REDUCE, REDUCE_SUM, false},
	{"max", EXPR_REDUCE, REDUCE_MAX, false},
	{"min", EXPR_REDUCE, REDUCE_MIN, false},
	{"prod", EXPR_REDUCE, REDUCE_PROD, false},
	{"logsumexp", EXPR_REDUCE, REDUCE_LSE, true},
	{"softmax", EXPR_SOFTMAX, REDUCE_SUM, true},
};

static const reducer *find_reducer(const char *name)
{
	for (size_t k = 0; k < sizeof reducers / sizeof *reducers; k++)
		if (strcmp(reducers[k].name, name) == 0)
			return &reducers[k];
	ice("reduction '%s'", name);
}

/* --- extents of feature indices --- */

int64_t reduce_feature_extent(const checker *cx, const ast_expr *operand)
{
	const symbol *sym = operand->kind == AST_NAME ? names_find(cx, operand->name.text) : NULL;

	if (sym && sym->kind == SYM_TENSOR && sym->tensor->rank > 0)
		return sym->tensor->dim[sym->tensor->rank - 1].extent;
	if (sym && sym->kind == SYM_VECTOR && sym->vector.params == 1)
		return sym->vector.param[0] ? sym->vector.param[0]->extent : 0;
	return 0;
}

/* The search for an index' extent. */
typedef struct {
	checker *cx;
	const char *name;
	int64_t extent; /* 0: nothing found yet */
	const char *of; /* what has that extent */
	loc at;
	bool failed;  /* reported */
	bool unclear; /* something subscripted is unknown or poison, which is reported elsewhere */
} inference;

static void infer(inference *in, const ast_expr *e);

/* The index subscripts something of that extent. */
static void found(inference *in, loc at, int64_t extent, const char *of)
{
	if (extent == 0 || in->failed)
		return;
	if (in->extent == 0) {
		in->extent = extent;
		in->of = of;
		in->at = at;
	} else if (in->extent != extent) {
		diag_error(in->cx->d, at,
			"'%s' subscripts %s of extent %lld, and %s of extent %lld", in->name, of,
			(long long)extent, in->of, (long long)in->extent);
		diag_hint(in->cx->d, "sum(%s : D) states the extent", in->name);
		diag_note(in->cx->d, in->at, "it subscripts %s here", in->of);
		in->failed = true;
	}
}

static void infer_tensor(inference *in, const ast_expr *e, const sema_tensor *t)
{
	int n = e->sub.args.count;

	for (int k = 0; k < n && n <= t->rank; k++) {
		const ast_expr *arg = e->sub.args.item[k];
		const sema_dim *dim = &t->dim[t->rank - n + k];

		if (arg->kind != AST_NAME || strcmp(arg->name.text, in->name) != 0)
			continue;
		if (!dim->length && !dim->extent) {
			in->unclear = true;
		} else if (dim->length && !in->failed) {
			diag_error(in->cx->d, arg->at,
				"'%s' subscripts '%s' of '%s', whose length is known at run time "
				"only",
				in->name, dim->name, t->name);
			diag_hint(in->cx->d, "declare it: index %s : %s", in->name,
				dim->length->name);
			in->failed = true;
		} else {
			found(in, e->at, dim->extent,
				arena_printf(
					in->cx->a, "dimension '%s' of '%s'", dim->name, t->name));
		}
	}
}

static void infer_vector(inference *in, const ast_expr *e, const symbol *sym)
{
	for (int k = 0; k < e->sub.args.count && k < sym->vector.params; k++) {
		const ast_expr *arg = e->sub.args.item[k];

		if (arg->kind != AST_NAME || strcmp(arg->name.text, in->name) != 0)
			continue;
		if (sym->vector.value->type == TYPE_POISON)
			in->unclear = true;
		else
			found(in, e->at, sym->vector.param[k]->extent,
				arena_printf(in->cx->a, "definition '%s'", sym->name));
	}
}

static void infer_cross(inference *in, const ast_expr *e)
{
	const ast_exprs *args = &e->sub.base->call.args;

	if (e->sub.args.count != 1 || e->sub.args.item[0]->kind != AST_NAME ||
		strcmp(e->sub.args.item[0]->name.text, in->name) != 0)
		return;
	in->unclear = true; /* a wrong operand of cross is reported there */
	for (int k = 0; k < args->count && k < 2; k++)
		found(in, e->at, reduce_feature_extent(in->cx, args->item[k]), "a cross product");
}

static void infer_subscript(inference *in, const ast_expr *e)
{
	const symbol *sym;

	for (int k = 0; k < e->sub.args.count; k++)
		infer(in, e->sub.args.item[k]);
	if (e->sub.base->kind == AST_CALL)
		infer_cross(in, e);
	if (e->sub.base->kind != AST_NAME)
		return;
	sym = names_find(in->cx, e->sub.base->name.text);
	if (sym && sym->kind == SYM_TENSOR)
		infer_tensor(in, e, sym->tensor);
	else if (sym && sym->kind == SYM_VECTOR)
		infer_vector(in, e, sym);
	else
		in->unclear = true;
}

static void infer_reduce(inference *in, const ast_expr *e)
{
	for (int k = 0; k < e->reduce.over.count; k++)
		if (strcmp(e->reduce.over.item[k].name.text, in->name) == 0)
			return;
	infer(in, e->reduce.body);
	if (e->reduce.with)
		infer(in, e->reduce.with);
}

static void infer(inference *in, const ast_expr *e)
{
	switch (e->kind) {
	case AST_INT:
	case AST_FLOAT:
	case AST_NAME:
		return;
	case AST_UNARY:
	case AST_BINARY:
		infer(in, e->op.left);
		if (e->op.right)
			infer(in, e->op.right);
		return;
	case AST_CALL:
		for (int k = 0; k < e->call.args.count; k++)
			infer(in, e->call.args.item[k]);
		return;
	case AST_SUBSCRIPT:
		infer_subscript(in, e);
		return;
	case AST_REDUCE:
		infer_reduce(in, e);
		return;
	}
}

int64_t reduce_infer(checker *cx, ast_name name, const ast_expr *body)
{
	inference in = {.cx = cx, .name = name.text};

	infer(&in, body);
	if (in.failed)
		return -1;
	return in.extent ? in.extent : in.unclear ? -1 : 0;
}

static sema_axis *new_local(checker *cx, loc at, const char *name, int64_t extent)
{
	sema_axis *a = sema_feature(cx->s, at, name, extent);

	if (extent ==
		0) /* is substituted away where the definition is used: leaves the name to others */
		a->coord = "";
	return a;
}

sema_axis *reduce_local_axis(checker *cx, loc at, const char *name, int64_t extent)
{
	for (int k = 0; k < cx->s->axis.count; k++) {
		sema_axis *a = cx->s->axis.item[k];
		bool taken = a->kind != AXIS_FEATURE || a->extent != extent ||
			     strcmp(a->name, name) != 0;

		for (int f = 0; f < cx->fixed.count; f++)
			taken = taken || cx->fixed.item[f] == a;
		for (const binder *b = cx->scope; b; b = b->outer)
			taken = taken || b->axis == a;
		if (!taken)
			return a;
	}
	if (cx->s->axis.count < CHECK_MAX_AXES)
		return new_local(cx, at, name, extent);
	if (!cx->exhausted)
		diag_error(cx->d, at, "too many different indices: at most %d axes are possible",
			CHECK_MAX_AXES);
	cx->exhausted = true;
	return NULL;
}

/* --- what a reduction runs over --- */

/* Checks that a declared index may be reduced over here. */
static bool reducible(
	checker *cx, const ast_expr *e, const reducer *r, ast_name name, const sema_axis *a)
{
	switch (a->kind) {
	case AXIS_QUERY:
		diag_error(cx->d, name.at, "'%s' is the query index: %s runs over keys or features",
			name.text, r->name);
		diag_note(cx->d, a->at, "'%s' is an output dimension", name.text);
		return false;
	case AXIS_ROW:
	case AXIS_GROUP:
		diag_error(cx->d, name.at, "'%s' numbers rows: %s runs over keys or features",
			name.text, r->name);
		return false;
	case AXIS_FEATURE:
		if (!r->keys_only)
			return true;
		diag_error(cx->d, name.at, "%s runs over keys, '%s' is a feature index", r->name,
			name.text);
		return false;
	case AXIS_KEY:
		for (const reduction *out = cx->around; out; out = out->outer) {
			if (out->axis != a ||
				(r->op == EXPR_SOFTMAX && strcmp(out->how, "sum") == 0))
				continue;
			diag_error(cx->d, name.at,
				"'%s' is reduced over twice, one inside the other", name.text);
			diag_hint(cx->d, "define the inner value first: m = %s(%s) ...",
				e->reduce.how.text, name.text);
			diag_note(cx->d, out->at, "the outer %s is here", out->how);
			return false;
		}
		return true;
	}
	ice("axis kind %d", (int)a->kind);
}

/* The key index that a word may be meant for, NULL. */
static const char *nearest_key(const checker *cx, const char *word)
{
	const char *name[SEMA_MAX_KEYS];

	for (int k = 0; k < cx->s->key.count; k++)
		name[k] = cx->s->key.item[k]->name;
	return diag_nearest(word, name, cx->s->key.count);
}

/* The extent of a feature index that the reduction itself declares; 0 when it is reported. */
static int64_t local_extent(checker *cx, const ast_expr *e, const ast_binder *b)
{
	int64_t extent;

	if (b->extent) {
		if (!declare_int(cx, b->extent, "the extent of an index", &extent))
			return 0;
		return header_extent(cx, b->extent->at, "this extent", extent) ? extent : 0;
	}
	extent = reduce_infer(cx, b->name, e->reduce.body);
	if (extent == 0) {
		const char *near = nearest_key(cx, b->name.text);

		diag_error(cx->d, b->name.at,
			"the extent of '%s' cannot be inferred: it subscripts no dimension plainly",
			b->name.text);
		if (near)
			diag_hint(cx->d, "did you mean the index '%s'?", near);
		else
			diag_hint(cx->d, "%s(%s : D) states it", e->reduce.how.text, b->name.text);
	}
	return extent > 0 ? extent : 0;
}

/* The axis of one name in sum(...); NULL when reported. `local`: the name is bound by this
 * reduction alone. */
static sema_axis *over_axis(
	checker *cx, const ast_expr *e, const reducer *r, const ast_binder *b, bool *local)
{
	symbol *sym = names_find(cx, b->name.text);
	const binder *outer = resolve_binder(cx, b->name.text);
	int64_t extent;

	*local = false;
	if (outer) {
		diag_error(cx->d, b->name.at, "'%s' is already bound here", b->name.text);
		diag_hint(cx->d, "give the inner index another name");
		diag_note(cx->d, outer->at, "bound first here");
		return NULL;
	}
	if (sym && sym->kind == SYM_INDEX) {
		sym->used = true;
		if (b->extent && sym->index.axis)
			diag_error(cx->d, b->extent->at,
				"'%s' is a declared index, its extent cannot be stated again",
				b->name.text);
		if (!sym->index.axis || b->extent)
			return NULL;
		return reducible(cx, e, r, b->name, sym->index.axis) ? sym->index.axis : NULL;
	}
	if (sym) {
		diag_error(cx->d, b->name.at, "'%s' is %s, not an index", b->name.text,
			names_noun(sym));
		diag_note(cx->d, sym->at, "declared here");
		return NULL;
	}
	if (r->keys_only) {
		diag_error(cx->d, b->name.at,
			"unknown index '%s': %s runs over declared key indices", b->name.text,
			r->name);
		names_hint(cx, b->name.text, 1u << SYM_INDEX, NULL);
		return NULL;
	}
	*local = true;
	extent = local_extent(cx, e, b);
	return extent ? reduce_local_axis(cx, b->name.at, b->name.text, extent) : NULL;
}

/* --- softmax weights --- */

static bool reads_keys(const checker *cx, const expr *e)
{
	for (int k = 0; k < cx->s->key.count; k++)
		if (expr_depends(e, cx->s->key.item[k]))
			return true;
	return false;
}

static bool runs_over(const expr *e, const sema_axis *a)
{
	for (int k = 0; k < e->reduce.axes; k++)
		if (e->reduce.axis[k] == a)
			return true;
	return false;
}

static bool overlap(const expr *x, const expr *y)
{
	for (int k = 0; k < x->reduce.axes; k++)
		if (runs_over(y, x->reduce.axis[k]))
			return true;
	return false;
}

static void add_weight(checker *cx, weights *w, const expr *e)
{
	for (int k = 0; k < w->count; k++)
		if (w->item[k] == e)
			return;
	ARENA_PUSH(cx->a, w, e);
}

static void collect(checker *cx, const expr *e, weights *w)
{
	expr *const *kid;
	weights inner = {0};
	int n;

	if (!reads_keys(cx, e))
		return;
	if (e->op == EXPR_DEF) {
		for (int k = 0; k < cx->pending[e->def->id].count; k++)
			add_weight(cx, w, cx->pending[e->def->id].item[k]);
		return;
	}
	if (e->op == EXPR_SOFTMAX)
		add_weight(cx, w, e);
	n = expr_kids(e, &kid);
	for (int k = 0; k < n; k++)
		collect(cx, kid[k], e->op == EXPR_REDUCE ? &inner : w);
	for (int k = 0; k < inner.count; k++)
		if (!overlap(inner.item[k], e))
			add_weight(cx, w, inner.item[k]);
}

weights reduce_pending(checker *cx, const expr *e)
{
	weights w = {0};

	collect(cx, e, &w);
	return w;
}

static const char *axis_list(checker *cx, const expr *e)
{
	const char *list = e->reduce.axis[0]->name;

	for (int k = 1; k < e->reduce.axes; k++)
		list = arena_printf(cx->a, "%s, %s", list, e->reduce.axis[k]->name);
	return list;
}

/* Weights of a softmax can only be summed, over exactly the softmax's own keys. */
static bool check_weights(checker *cx, const expr *e, const reducer *r)
{
	weights w = reduce_pending(cx, e->reduce.body);

	for (int k = 0; k < w.count; k++) {
		const expr *p = w.item[k];
		bool same = p->reduce.axes == e->reduce.axes;

		if (!overlap(p, e))
			continue;
		for (int a = 0; a < e->reduce.axes; a++)
			same = same && runs_over(p, e->reduce.axis[a]);
		if (r->op == EXPR_REDUCE && r->how == REDUCE_SUM && same)
			continue;
		if (same)
			diag_error(cx->d, e->at,
				"weights of a softmax can be summed, not reduced by %s", r->name);
		else
			diag_error(cx->d, e->at, "weights of softmax(%s) are reduced over (%s)",
				axis_list(cx, p), axis_list(cx, e));
		if (!same)
			diag_hint(cx->d, "write sum(%s)", axis_list(cx, p));
		diag_note(cx->d, p->at, "the softmax is here");
		return false;
	}
	return true;
}

/* --- the whole reduction --- */

static bool check_place(checker *cx, const ast_expr *e, const reducer *r)
{
	static const char *const where[] = {"a constant", "the bound of a window", "a mask"};

	if (cx->place == PLACE_VALUE && !cx->brackets)
		return true;
	diag_error(cx->d, e->reduce.how.at, "%s cannot be used in %s", r->name,
		cx->place == PLACE_VALUE ? "a subscript" : where[cx->place]);
	return false;
}

static bool check_sink(checker *cx, const ast_expr *e, const reducer *r, const expr *sink,
	sema_axis *const *axis, int axes)
{
	if (!r->keys_only) {
		diag_error(cx->d, e->reduce.with->at,
			"'with' belongs to softmax and logsumexp, not to %s", r->name);
		return false;
	}
	if (!resolve_number(cx, e->reduce.with->at, sink, "the sink"))
		return false;
	for (int k = 0; k < axes; k++)
		if (expr_depends(sink, axis[k])) {
			diag_error(cx->d, e->reduce.with->at,
				"the sink depends on '%s', but it is one logit for all keys",
				axis[k]->name);
			return false;
		}
	return true;
}

static expr *finish(checker *cx, const ast_expr *e, const reducer *r, sema_axis *const *axis,
	int axes, expr *body, expr *sink)
{
	expr *v;

	for (int k = 0; k < axes; k++) {
		if (axis[k]->kind == AXIS_KEY)
			cx->reduced_over[axis[k]->id] = true;
		else if (!expr_depends(body, axis[k]))
			diag_warning(cx->d, e->reduce.over.item[k].name.at, "unused",
				"the body of this %s does not depend on '%s'", r->name,
				axis[k]->name);
	}
	v = expr_reduce(cx->s, e->at, r->op, r->how, axis, axes, body, sink);
	if (axis[0]->kind == AXIS_KEY && !check_weights(cx, v, r))
		return expr_poison(cx->s, e->at);
	return v;
}

/* Keys and features are not mixed. */
static bool check_kinds(checker *cx, const ast_expr *e, sema_axis *const *axis, int axes)
{
	for (int k = 1; k < axes; k++) {
		const sema_axis *key = axis[0]->kind == AXIS_KEY ? axis[0] : axis[k];
		const sema_axis *feature = key == axis[0] ? axis[k] : axis[0];

		if ((axis[k]->kind == AXIS_KEY) == (axis[0]->kind == AXIS_KEY))
			continue;
		diag_error(cx->d, e->reduce.over.item[k].name.at,
			"'%s' is a key index and '%s' a feature index: reduce over one after the "
			"other",
			key->name, feature->name);
		diag_hint(cx->d, "write %s(%s) (%s(%s) ...)", e->reduce.how.text, key->name,
			e->reduce.how.text, feature->name);
		return false;
	}
	return true;
}

/* At most SEMA_MAX_KEYS names, none twice. */
static bool check_names(checker *cx, const ast_expr *e)
{
	const ast_binders *over = &e->reduce.over;

	if (over->count > SEMA_MAX_KEYS) {
		diag_error(cx->d, over->item[SEMA_MAX_KEYS].name.at,
			"a reduction runs over at most %d indices", SEMA_MAX_KEYS);
		return false;
	}
	for (int k = 1; k < over->count; k++)
		for (int other = 0; other < k; other++)
			if (strcmp(over->item[k].name.text, over->item[other].name.text) == 0) {
				diag_error(cx->d, over->item[k].name.at, "'%s' is named twice",
					over->item[k].name.text);
				return false;
			}
	return true;
}

/* Resolves the body with the reduction's names bound; false when anything was reported. */
static bool resolve_body(
	checker *cx, const ast_expr *e, const reducer *r, sema_axis **axis, expr **body)
{
	const binder *scope = cx->scope;
	const reduction *around = cx->around;
	binder bound[SEMA_MAX_KEYS];
	reduction keys[SEMA_MAX_KEYS];
	bool fine = true, local;

	for (int k = 0; k < e->reduce.over.count; k++) {
		const ast_binder *b = &e->reduce.over.item[k];

		axis[k] = over_axis(cx, e, r, b, &local);
		fine = fine && axis[k];
		if (local || (axis[k] && axis[k]->kind == AXIS_FEATURE)) {
			bound[k] = (binder){b->name.text, b->name.at, axis[k], cx->scope};
			cx->scope = &bound[k];
		} else if (axis[k]) {
			keys[k] = (reduction){axis[k], r->name, e->reduce.how.at, cx->around};
			cx->around = &keys[k];
		}
	}
	*body = resolve_expr(cx, e->reduce.body);
	cx->scope = scope;
	cx->around = around;
	return fine && check_kinds(cx, e, axis, e->reduce.over.count) &&
	       (*body)->type != TYPE_POISON &&
	       resolve_number(cx, e->reduce.body->at, *body, "the body of a reduction");
}

expr *reduce_resolve(checker *cx, const ast_expr *e)
{
	const reducer *r = find_reducer(e->reduce.how.text);
	sema_axis *axis[SEMA_MAX_KEYS];
	expr *body, *sink = NULL;
	bool fine;

	if (!check_place(cx, e, r) || !check_names(cx, e))
		return expr_poison(cx->s, e->at);
	if (e->reduce.with)
		sink = resolve_expr(cx, e->reduce.with);
	fine = resolve_body(cx, e, r, axis, &body);
	if (sink && sink->type == TYPE_POISON)
		fine = false;
	if (sink && fine)
		fine = check_sink(cx, e, r, sink, axis, e->reduce.over.count);
	if (!fine)
		return expr_poison(cx->s, e->at);
	return finish(cx, e, r, axis, e->reduce.over.count, body, sink);
}
