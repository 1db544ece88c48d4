/* score.c: s = f(A . B + c).
 * in:  a score (or weight) free of DEF
 * out: the row form's segments, c and f
 * The score is cut at its maximal linear subexpressions: above them is f; each of them is
 * scale * (segments + c) + rest, with the same segments in all. When the whole score is linear,
 * coefficients of the row and the outer keys go into A and c, those of the inner key into B, so
 * that f stays linear too. Otherwise they stay in f if that gives a form (`strict`). */
#include "model/form.h"

#define MAX_CUTS 16

/* A maximal linear subexpression, what it is, and what f has in its place. */
typedef struct {
	expr *e;
	linear is;
	expr *c;
	expr *with;
} cut;

typedef struct {
	form_cx *cx;
	bool strict;
	cut item[MAX_CUTS];
	int count;
	const expr *second; /* a linear subexpression with other segments than the first */
} cuts;

/* --- which subexpressions are linear in the mixed sums --- */

static bool constant(const expr *e)
{
	return e->op == EXPR_CONST_INT || e->op == EXPR_CONST_FLOAT;
}

static bool coefficient(const cuts *k, const expr *e)
{
	return k->strict ? constant(e) : !form_mixed(k->cx, e);
}

static bool has_dot(const cuts *k, const expr *e)
{
	return form_has(k->cx, e) & HAS_DOT;
}

static bool is_linear(const cuts *k, const expr *e)
{
	if (!has_dot(k, e))
		return true;
	switch (e->op) {
	case EXPR_REDUCE:
		return e->reduce.how == REDUCE_SUM;
	case EXPR_ADD:
	case EXPR_SUB:
		return is_linear(k, e->arg[0]) && is_linear(k, e->arg[1]);
	case EXPR_NEG:
		return is_linear(k, e->arg[0]);
	case EXPR_MUL:
		if (has_dot(k, e->arg[1]))
			return coefficient(k, e->arg[0]) && is_linear(k, e->arg[1]);
		return coefficient(k, e->arg[1]) && is_linear(k, e->arg[0]);
	case EXPR_DIV:
		return !has_dot(k, e->arg[1]) && coefficient(k, e->arg[1]) &&
		       is_linear(k, e->arg[0]);
	default:
		return false;
	}
}

/* --- taking a linear subexpression apart --- */

/* m scaled by one more factor of a product. */
static monomial scaled(form_cx *cx, const monomial *m, expr *by, bool under)
{
	arena *a = cx->spec->arena;
	monomial r = {.coef = m->coef, .at = m->at};
	factors all = {0};

	factors_append(cx, &r.a, &m->a);
	factors_append(cx, &r.b, &m->b);
	factors_collect(cx, by, under, &all, &r.coef);
	for (int i = 0; i < all.count; i++)
		ARENA_PUSH(
			a, form_reads(cx, all.item[i].e) & READS_INNER ? &r.b : &r.a, all.item[i]);
	return r;
}

/* Appends factors to those of a monomial whose axes are `scope`: their own sums get other axes. */
static bool append_apart(form_cx *cx, factors *to, const factors *from, const form_scope *scope)
{
	for (int i = 0; i < from->count; i++) {
		factor f = from->item[i];

		f.e = form_unshadow(cx, f.e, scope);
		if (!f.e)
			return false;
		ARENA_PUSH(cx->spec->arena, to, f);
	}
	return to->count <= FORM_MAX_FACTORS ||
	       form_fail(cx, from->item[0].e->at, "a product has more than %d factors",
		       FORM_MAX_FACTORS);
}

/* One mixed sum times `by`. */
static bool take_sum(form_cx *cx, expr *e, const monomial *by, linear *out)
{
	poly p = {0};

	if (!poly_expand(cx, e, &p))
		return false;
	for (int i = 0; i < p.count; i++) {
		monomial *m = &p.item[i];
		form_scope bound[FORM_MAX_AXES], *scope = NULL;

		for (int k = 0; k < m->axes; k++) {
			bound[k] = (form_scope){m->axis[k], scope};
			scope = &bound[k];
		}
		m->coef *= by->coef;
		if (!append_apart(cx, &m->a, &by->a, scope) ||
			!append_apart(cx, &m->b, &by->b, scope))
			return false;
	}
	return segment_sort(cx, &p, out);
}

static bool take(const cuts *k, expr *e, const monomial *by, linear *out)
{
	form_cx *cx = k->cx;
	monomial m;

	switch (e->op) {
	case EXPR_ADD:
	case EXPR_SUB:
		m = *by;
		m.coef = e->op == EXPR_SUB ? -by->coef : by->coef;
		return take(k, e->arg[0], by, out) && take(k, e->arg[1], &m, out);
	case EXPR_NEG:
		m = *by;
		m.coef = -by->coef;
		return take(k, e->arg[0], &m, out);
	case EXPR_MUL:
	case EXPR_DIV: {
		bool right = e->op == EXPR_MUL && !constant(e->arg[1]) &&
			     (has_dot(k, e->arg[1]) || constant(e->arg[0]));

		if (!has_dot(k, e) && !constant(e->arg[0]) && !constant(e->arg[1]))
			break;
		if (!has_dot(k, e) && e->op == EXPR_DIV && !constant(e->arg[1]))
			break;
		m = scaled(cx, by, e->arg[!right], e->op == EXPR_DIV);
		return take(k, e->arg[right], &m, out);
	}
	default:
		break;
	}
	if (has_dot(k, e))
		return take_sum(cx, e, by, out);
	m = *by;
	m.at = e->at;
	m = scaled(cx, &m, expr_to_float(cx->spec, e), false);
	terms_push(cx, m.b.count ? &out->rest : &out->c, m.coef,
		factors_product(cx, e->at, 1, &m.a, &m.b));
	return true;
}

/* sum + the terms; sum may be NULL. Terms that are added come first: p - q rather than -q + p. */
static expr *terms_add(form_cx *cx, expr *sum, const terms *t)
{
	for (int sign = 0; sign < 2; sign++)
		for (int i = 0; i < t->count; i++)
			if ((t->item[i].coef < 0) == (sign == 1))
				sum = poly_add(
					cx, t->item[i].e->at, sum, t->item[i].coef, t->item[i].e);
	return sum;
}

/* --- cuts --- */

static bool same_segments(const linear *x, const linear *y)
{
	if (x->segments != y->segments)
		return false;
	for (int i = 0; i < x->segments; i++)
		if (x->segment[i].d != y->segment[i].d ||
			!expr_equal(x->segment[i].a, y->segment[i].a) ||
			!expr_equal(x->segment[i].b, y->segment[i].b))
			return false;
	return true;
}

static bool add_cut(cuts *k, expr *e)
{
	form_cx *cx = k->cx;
	cut *c = &k->item[k->count];

	for (int i = 0; i < k->count; i++)
		if (k->item[i].e == e)
			return true;
	if (k->count == MAX_CUTS)
		return form_fail(cx, e->at,
			"the score uses its product with the inner key '%s' in more than %d places",
			cx->inner->name, MAX_CUTS);
	*c = (cut){.e = e};
	if (!take(k, e, &(monomial){.coef = 1, .at = e->at}, &c->is) || !segment_build(cx, &c->is))
		return false;
	c->c = terms_add(cx, NULL, &c->is.c);
	k->count++;
	if (k->count > 1 && !same_segments(&k->item[0].is, &c->is))
		k->second = e;
	return true;
}

static bool find_cuts(cuts *k, expr *e)
{
	expr *const *kid;
	int kids;

	if (!has_dot(k, e))
		return true;
	if (is_linear(k, e))
		return add_cut(k, e);
	if (e->op == EXPR_REDUCE)
		return form_fail(k->cx, e->at,
			"'%s' reduces over features a value of both the inner key '%s' and the "
			"query or another key",
			form_quote(k->cx, e), k->cx->inner->name);
	kids = expr_kids(e, &kid);
	for (int i = 0; i < kids; i++)
		if (!find_cuts(k, kid[i]))
			return false;
	return true;
}

static bool same_c(const cuts *k)
{
	for (int i = 1; i < k->count; i++) {
		const expr *x = k->item[0].c, *y = k->item[i].c;

		if (!x != !y || (x && !expr_equal(x, y)))
			return false;
	}
	return true;
}

/* scale * (x [+ c]) + rest */
static expr *replacement(form_cx *cx, const cut *k, bool with_c, expr *x)
{
	sema_spec *s = cx->spec;
	expr *e = x;

	if (k->is.rest.count > 0 && k->is.segments == 0 && !k->c)
		return terms_add(cx, NULL, &k->is.rest);
	if (with_c && k->c)
		e = expr_binary(s, k->e->at, EXPR_ADD, x, k->c);
	if (k->is.scale == -1)
		e = expr_unary(s, k->e->at, EXPR_NEG, e);
	else if (k->is.scale != 1)
		e = expr_binary(s, k->e->at, EXPR_MUL, expr_float(s, k->e->at, k->is.scale), e);
	return terms_add(cx, e, &k->is.rest);
}

static expr *replaced(const cuts *k, expr *e)
{
	expr *const *own;
	expr *kid[SEMA_MAX_RANK];
	int kids;

	for (int i = 0; i < k->count; i++)
		if (k->item[i].e == e)
			return k->item[i].with;
	if (!has_dot(k, e))
		return e;
	kids = expr_kids(e, &own);
	for (int i = 0; i < kids; i++)
		kid[i] = replaced(k, own[i]);
	return expr_rebuild(k->cx->spec, e, kid);
}

/* A score without any mixed sum: c, and the rest in f. */
static bool without_dot(cuts *k, row_form *m, expr *s)
{
	cut c = {.e = s, .is.scale = 1};

	if (!take(k, s, &(monomial){.coef = 1, .at = s->at}, &c.is))
		return false;
	c.c = terms_add(k->cx, NULL, &c.is.c);
	if (c.c && constant(c.c)) {
		m->f = terms_add(k->cx, c.c, &c.is.rest);
		return true;
	}
	m->c = c.c;
	m->f = replacement(k->cx, &c, false, form_x(k->cx, s->at));
	m->f_linear = c.is.rest.count == 0;
	m->f_scale = m->f_linear ? 1 : 0;
	return true;
}

static bool checked(form_cx *cx, const expr *s)
{
	const sema_axis *d = form_free_feature(cx, s, NULL);

	if (d)
		return form_fail(cx, s->at, "the score '%s' depends on the feature coordinate '%s'",
			form_quote(cx, s), d->name);
	if (form_has(cx, s) & HAS_KEYS)
		return form_fail(
			cx, s->at, "the score '%s' itself reduces over keys", form_quote(cx, s));
	return true;
}

static bool cut_score(cuts *k, expr *s)
{
	form_cx *cx = k->cx;

	k->strict = !is_linear(k, s);
	if (!find_cuts(k, s))
		return false;
	if (k->second && k->strict) {
		*k = (cuts){.cx = cx};
		if (!find_cuts(k, s))
			return false;
	}
	if (k->second)
		return form_fail(cx, k->second->at,
			"'%s' and '%s' are different products with the inner key '%s', and the "
			"score is not a sum of them",
			form_quote(cx, k->item[0].e), form_quote(cx, k->second), cx->inner->name);
	return true;
}

bool form_score(form_cx *cx, row_form *m, expr *s)
{
	cuts k = {.cx = cx};
	expr *x;
	bool shared_c;

	if (!checked(cx, s))
		return false;
	s = form_unshadow(cx, s, NULL);
	if (!s)
		return false;
	s = form_normal(cx, s);
	if (!has_dot(&k, s))
		return without_dot(&k, m, s);
	if (!cut_score(&k, s))
		return false;
	m->segments = k.item[0].is.segments;
	for (int i = 0; i < m->segments; i++)
		m->segment[i] = k.item[0].is.segment[i];
	shared_c = same_c(&k);
	m->c = shared_c ? k.item[0].c : NULL;
	x = form_x(cx, s->at);
	for (int i = 0; i < k.count; i++)
		k.item[i].with = replacement(cx, &k.item[i], !shared_c, x);
	m->f = replaced(&k, s);
	m->f_linear = k.count == 1 && k.item[0].e == s && k.item[0].is.rest.count == 0;
	m->f_scale = m->f_linear ? k.item[0].is.scale : 0;
	return true;
}
