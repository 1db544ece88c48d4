/* normal.c: expressions made ready for algebra.
 * in:  sema's expressions, which share nodes and refer to definitions
 * out: trees without DEF, with binders renamed apart and mixed sums over features in hoisted form
 * relies on: form_plain bounding the size, so that every other function may walk an expression as a
 * tree. */
#include "model/form.h"
#include <string.h>

bool form_fail(form_cx *cx, loc at, const char *fmt, ...)
{
	va_list ap;

	if (cx->why)
		return false;
	va_start(ap, fmt);
	cx->why = arena_vprintf(cx->spec->arena, fmt, ap);
	va_end(ap);
	cx->why_at = at;
	return false;
}

const char *form_quote(form_cx *cx, const expr *e)
{
	enum { LIMIT = 60 };
	const source *src = cx->spec->src;
	char buf[LIMIT + 4];
	int n = 0;

	if (e->at.begin >= e->at.end || e->at.end > src->len)
		return "an expression";
	for (uint32_t p = e->at.begin; p < e->at.end; p++) {
		char c = src->text[p];
		bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';

		if (blank && n > 0 && buf[n - 1] == ' ')
			continue;
		if (n == LIMIT) {
			memcpy(buf + n, "...", 3);
			n += 3;
			break;
		}
		buf[n++] = blank ? ' ' : c;
	}
	return arena_strndup(cx->spec->arena, buf, (size_t)n);
}

/* --- definitions --- */

/* Tree size of a node with definitions inlined. */
static uint32_t measure(form_cx *cx, const expr *e)
{
	expr *const *kid;
	uint32_t nodes = 1;
	int kids;

	if (e->id < cx->plain_count && cx->nodes[e->id])
		return cx->nodes[e->id];
	if (e->op == EXPR_DEF)
		nodes = measure(cx, e->def->value);
	kids = expr_kids(e, &kid);
	for (int i = 0; i < kids; i++) {
		nodes += measure(cx, kid[i]);
		if (nodes > FORM_MAX_NODES)
			nodes = FORM_MAX_NODES + 1;
	}
	if (e->id < cx->plain_count)
		cx->nodes[e->id] = nodes;
	return nodes;
}

void form_begin(form_cx *cx, sema_spec *spec, const sema_axis *inner)
{
	uint32_t n = spec->expr_count;

	*cx = (form_cx){.spec = spec, .inner = inner, .plain_count = n};
	cx->plain = ARENA_ARRAY(spec->arena, expr *, n);
	cx->nodes = ARENA_ARRAY(spec->arena, uint32_t, n);
}

static expr *inlined(form_cx *cx, expr *e)
{
	expr *const *own;
	expr *kid[SEMA_MAX_RANK], *r;
	int kids;

	if (e->id < cx->plain_count && cx->plain[e->id])
		return cx->plain[e->id];
	if (e->op == EXPR_DEF) {
		r = inlined(cx, e->def->value);
	} else {
		kids = expr_kids(e, &own);
		for (int i = 0; i < kids; i++)
			kid[i] = inlined(cx, own[i]);
		r = expr_rebuild(cx->spec, e, kid);
	}
	if (e->id < cx->plain_count)
		cx->plain[e->id] = r;
	return r;
}

expr *form_plain(form_cx *cx, const expr *e)
{
	if (measure(cx, e) > FORM_MAX_NODES) {
		form_fail(cx, e->at,
			"'%s' is too large: more than %d operations with definitions inlined",
			form_quote(cx, e), FORM_MAX_NODES);
		return NULL;
	}
	return inlined(cx, (expr *)e);
}

/* --- what a value reads --- */

unsigned form_reads(const form_cx *cx, const expr *e)
{
	const sema_spec *s = cx->spec;
	unsigned r = 0;

	for (int i = 0; i < s->key.count; i++)
		if (expr_depends(e, s->key.item[i]))
			r |= s->key.item[i] == cx->inner ? READS_INNER : READS_OUTER;
	if (s->query && expr_depends(e, s->query))
		r |= READS_QUERY;
	return r;
}

bool form_mixed(const form_cx *cx, const expr *e)
{
	unsigned r = form_reads(cx, e);

	return (r & READS_INNER) && r != READS_INNER;
}

static unsigned has_of(form_cx *cx, const expr *e)
{
	expr *const *kid;
	int kids = expr_kids(e, &kid);
	unsigned has = 0;

	for (int i = 0; i < kids; i++)
		has |= form_has(cx, kid[i]);
	if (e->op != EXPR_REDUCE && e->op != EXPR_SOFTMAX)
		return has;
	if (e->reduce.axis[0]->kind == AXIS_KEY)
		return has | HAS_KEYS;
	return form_mixed(cx, e) ? has | HAS_DOT : has;
}

unsigned form_has(form_cx *cx, const expr *e)
{
	if (e->id >= cx->has_cap) {
		uint32_t cap = 2 * (e->id + 64);
		uint8_t *grown = ARENA_ARRAY(cx->spec->arena, uint8_t, cap);

		if (cx->has_cap)
			memcpy(grown, cx->has, cx->has_cap);
		cx->has = grown;
		cx->has_cap = cap;
	}
	if (!cx->has[e->id]) {
		unsigned has = has_of(cx, e);

		cx->has[e->id] = (uint8_t)(has | HAS_KNOWN);
	}
	return cx->has[e->id] & ~(unsigned)HAS_KNOWN;
}

const sema_axis *form_free_feature(const form_cx *cx, const expr *e, const sema_axis *allowed)
{
	const sema_spec *s = cx->spec;

	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *d = s->axis.item[i];

		if (d->kind == AXIS_FEATURE && d != allowed && expr_depends(e, d))
			return d;
	}
	return NULL;
}

/* --- new nodes --- */

expr *form_x(form_cx *cx, loc at)
{
	expr *e = ARENA_NEW(cx->spec->arena, expr);

	e->op = EXPR_DOT;
	e->type = TYPE_FLOAT;
	e->at = at;
	e->id = cx->spec->expr_count++;
	e->size = 1;
	e->depth = 1;
	return e;
}

expr *form_sum(form_cx *cx, loc at, sema_axis *const *axis, int axes, expr *body)
{
	for (int done = 0; done < axes; done += SEMA_MAX_KEYS) {
		int n = axes - done < SEMA_MAX_KEYS ? axes - done : SEMA_MAX_KEYS;

		body = expr_reduce(
			cx->spec, at, EXPR_REDUCE, REDUCE_SUM, axis + done, n, body, NULL);
	}
	return body;
}

sema_axis *form_axis(form_cx *cx, loc at, const char *name, int64_t extent)
{
	sema_spec *s = cx->spec;

	for (int i = 0; i < s->axis.count; i++) {
		sema_axis *d = s->axis.item[i];

		if (d->kind == AXIS_FEATURE && d->extent == extent && strcmp(d->name, name) == 0)
			return d;
	}
	if (s->axis.count == SEMA_MAX_AXES) {
		form_fail(cx, at, "the spec needs more than %d axes", SEMA_MAX_AXES);
		return NULL;
	}
	return sema_feature(s, at, name, extent);
}

/* --- substitution --- */

static bool in_scope(const form_scope *s, const sema_axis *d)
{
	for (; s; s = s->up)
		if (s->axis == d)
			return true;
	return false;
}

static bool binds(const expr *e, const sema_axis *d)
{
	if (e->op != EXPR_REDUCE)
		return false;
	for (int i = 0; i < e->reduce.axes; i++)
		if (e->reduce.axis[i] == d)
			return true;
	return false;
}

expr *form_substitute(form_cx *cx, expr *e, const sema_axis *from, expr *with)
{
	expr *const *own;
	expr *kid[SEMA_MAX_RANK];
	int kids;

	if (!expr_depends(e, from) || binds(e, from))
		return e;
	if (e->op == EXPR_COORD)
		return with;
	kids = expr_kids(e, &own);
	for (int i = 0; i < kids; i++)
		kid[i] = form_substitute(cx, own[i], from, with);
	return expr_rebuild(cx->spec, e, kid);
}

/* d', d'', ...: the first that is not in scope. */
static sema_axis *primed(form_cx *cx, const sema_axis *d, const form_scope *scope)
{
	const char *name = d->name;
	sema_axis *p;

	do {
		name = arena_printf(cx->spec->arena, "%s'", name);
		p = form_axis(cx, d->at, name, d->extent);
	} while (p && in_scope(scope, p));
	return p;
}

static expr *unshadow_sum(form_cx *cx, expr *e, const form_scope *scope)
{
	form_scope bound[SEMA_MAX_KEYS];
	sema_axis *axis[SEMA_MAX_KEYS];
	expr *body = e->reduce.body;
	bool renamed = false;

	for (int i = 0; i < e->reduce.axes; i++) {
		axis[i] = e->reduce.axis[i];
		if (in_scope(scope, axis[i])) {
			sema_axis *p = primed(cx, axis[i], scope);

			if (!p)
				return NULL;
			body = form_substitute(cx, body, axis[i], expr_coord(cx->spec, e->at, p));
			axis[i] = p;
			renamed = true;
		}
		bound[i] = (form_scope){axis[i], scope};
		scope = &bound[i];
	}
	body = form_unshadow(cx, body, scope);
	if (!body)
		return NULL;
	if (!renamed && body == e->reduce.body)
		return e;
	return expr_reduce(
		cx->spec, e->at, EXPR_REDUCE, e->reduce.how, axis, e->reduce.axes, body, NULL);
}

expr *form_unshadow(form_cx *cx, expr *e, const form_scope *scope)
{
	expr *const *own;
	expr *kid[SEMA_MAX_RANK];
	int kids;

	if (e->op == EXPR_REDUCE && e->reduce.axis[0]->kind == AXIS_FEATURE)
		return unshadow_sum(cx, e, scope);
	kids = expr_kids(e, &own);
	for (int i = 0; i < kids; i++) {
		kid[i] = form_unshadow(cx, own[i], scope);
		if (!kid[i])
			return NULL;
	}
	return expr_rebuild(cx->spec, e, kid);
}

/* --- hoisting --- */

expr *form_sum_product(form_cx *cx, loc at, sema_axis *const *axis, int axes, const factors *x)
{
	factors in = {0}, out = {0};
	double coef = 1;

	for (int i = 0; i < x->count; i++) {
		bool inside = false;

		for (int k = 0; k < axes; k++)
			inside = inside || expr_depends(x->item[i].e, axis[k]);
		ARENA_PUSH(cx->spec->arena, inside ? &in : &out, x->item[i]);
	}
	if (in.count > 0) {
		expr *sum = form_sum(cx, at, axis, axes, factors_product(cx, at, 1, &in, NULL));

		ARENA_PUSH(cx->spec->arena, &out, ((factor){sum, false}));
	}
	for (int k = 0; k < axes && in.count == 0; k++)
		coef *= (double)axis[k]->extent;
	return factors_product(cx, at, coef, &out, NULL);
}

/* sum(axes of `like`) body, for a body whose own sums are in normal form. */
static expr *hoist(form_cx *cx, const expr *like, expr *body)
{
	sema_spec *s = cx->spec;
	factors all = {0};
	double coef = 1;
	expr *sum;

	if (form_mixed(cx, body)) {
		if (body->op == EXPR_ADD || body->op == EXPR_SUB)
			return expr_binary(s, body->at, body->op, hoist(cx, like, body->arg[0]),
				hoist(cx, like, body->arg[1]));
		if (body->op == EXPR_NEG)
			return expr_unary(s, body->at, EXPR_NEG, hoist(cx, like, body->arg[0]));
	}
	factors_collect(cx, body, false, &all, &coef);
	sum = form_sum_product(cx, like->at, like->reduce.axis, like->reduce.axes, &all);
	return coef == 1 ? sum : poly_add(cx, like->at, NULL, coef, sum);
}

expr *form_normal(form_cx *cx, expr *e)
{
	expr *const *own;
	expr *kid[SEMA_MAX_RANK];
	int kids;

	if (!(form_has(cx, e) & HAS_DOT))
		return e;
	if (e->op == EXPR_REDUCE && e->reduce.how == REDUCE_SUM)
		return hoist(cx, e, form_normal(cx, e->reduce.body));
	kids = expr_kids(e, &own);
	for (int i = 0; i < kids; i++)
		kid[i] = form_normal(cx, own[i]);
	return expr_rebuild(cx->spec, e, kid);
}
