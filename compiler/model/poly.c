/* poly.c: sums of products.
 * in:  the body of a sum over features, in normal form
 * out: monomials whose factors each read the inner key or not, never both it and the query or an
 * outer key A factor that reads one side only stays whole, however large: (k2[d] + 1/D) is one
 * factor. */
#include "model/form.h"
#include <math.h>

/* --- factors --- */

static bool number(const expr *e, double *v)
{
	if (e->op == EXPR_CONST_INT)
		*v = (double)e->i;
	else if (e->op == EXPR_CONST_FLOAT)
		*v = e->f;
	else
		return false;
	return true;
}

void factors_collect(form_cx *cx, expr *e, bool under, factors *out, double *coef)
{
	double v;

	if (e->op == EXPR_MUL || e->op == EXPR_DIV) {
		factors_collect(cx, e->arg[0], under, out, coef);
		factors_collect(cx, e->arg[1], under != (e->op == EXPR_DIV), out, coef);
	} else if (e->op == EXPR_NEG) {
		*coef = -*coef;
		factors_collect(cx, e->arg[0], under, out, coef);
	} else if (number(e, &v) && isfinite(v) && v != 0) {
		*coef = under ? *coef / v : *coef * v;
	} else {
		ARENA_PUSH(cx->spec->arena, out, ((factor){e, under}));
	}
}

static expr *multiply(form_cx *cx, loc at, expr *product, const factors *list, bool under)
{
	for (int i = 0; list && i < list->count; i++) {
		expr *e = list->item[i].e;

		if (list->item[i].under != under)
			continue;
		if (under)
			product = expr_binary(cx->spec, at, EXPR_DIV,
				product ? product : expr_float(cx->spec, at, 1), e);
		else
			product = product ? expr_binary(cx->spec, at, EXPR_MUL, product, e) : e;
	}
	return product;
}

expr *factors_product(form_cx *cx, loc at, double coef, const factors *x, const factors *y)
{
	bool negative = coef == -1;
	expr *p = coef == 1 || negative ? NULL : expr_float(cx->spec, at, coef);

	p = multiply(cx, at, p, x, false);
	p = multiply(cx, at, p, y, false);
	p = multiply(cx, at, p, x, true);
	p = multiply(cx, at, p, y, true);
	if (!p)
		return expr_float(cx->spec, at, coef);
	p = expr_to_float(cx->spec, p);
	return negative ? expr_unary(cx->spec, at, EXPR_NEG, p) : p;
}

bool factors_equal(const factors *x, const factors *y)
{
	bool used[FORM_MAX_FACTORS] = {false};

	if (x->count != y->count || x->count > FORM_MAX_FACTORS)
		return false;
	for (int i = 0; i < x->count; i++) {
		int k = 0;

		while (k < y->count && (used[k] || x->item[i].under != y->item[k].under ||
					       !expr_equal(x->item[i].e, y->item[k].e)))
			k++;
		if (k == y->count)
			return false;
		used[k] = true;
	}
	return true;
}

void factors_append(form_cx *cx, factors *to, const factors *from)
{
	for (int i = 0; i < from->count; i++)
		ARENA_PUSH(cx->spec->arena, to, from->item[i]);
}

bool factors_use(const factors *x, const sema_axis *d)
{
	for (int i = 0; i < x->count; i++)
		if (expr_depends(x->item[i].e, d))
			return true;
	return false;
}

expr *poly_add(form_cx *cx, loc at, expr *sum, double coef, expr *e)
{
	sema_spec *s = cx->spec;
	double size = sum ? fabs(coef) : coef;
	expr *t = fabs(size) == 1 ? e : expr_binary(s, at, EXPR_MUL, expr_float(s, at, size), e);

	if (!sum)
		return coef == -1 ? expr_unary(s, at, EXPR_NEG, t) : t;
	return expr_binary(s, at, coef < 0 ? EXPR_SUB : EXPR_ADD, sum, t);
}

/* --- polynomials --- */

static bool too_many(form_cx *cx, loc at)
{
	return form_fail(cx, at, "the sum over features expands to more than %d products",
		FORM_MAX_MONOMIALS);
}

/* Appends a one-sided product as one monomial. */
static bool push_factors(form_cx *cx, expr *e, bool under, poly *out)
{
	arena *a = cx->spec->arena;
	monomial m = {.coef = 1, .at = e->at};
	factors all = {0};

	factors_collect(cx, e, under, &all, &m.coef);
	if (all.count > FORM_MAX_FACTORS)
		return form_fail(cx, e->at, "a product has more than %d factors", FORM_MAX_FACTORS);
	for (int i = 0; i < all.count; i++)
		ARENA_PUSH(
			a, form_reads(cx, all.item[i].e) & READS_INNER ? &m.b : &m.a, all.item[i]);
	ARENA_PUSH(a, out, m);
	return true;
}

static bool multiply_monomials(form_cx *cx, const monomial *x, const monomial *y, monomial *z)
{
	*z = (monomial){.coef = x->coef * y->coef, .at = loc_join(x->at, y->at)};
	factors_append(cx, &z->a, &x->a);
	factors_append(cx, &z->a, &y->a);
	factors_append(cx, &z->b, &x->b);
	factors_append(cx, &z->b, &y->b);
	if (z->a.count > FORM_MAX_FACTORS || z->b.count > FORM_MAX_FACTORS)
		return form_fail(cx, z->at, "a product has more than %d factors", FORM_MAX_FACTORS);
	if (x->axes + y->axes > FORM_MAX_AXES)
		return form_fail(
			cx, z->at, "a product is summed over more than %d axes", FORM_MAX_AXES);
	for (int i = 0; i < x->axes; i++)
		z->axis[z->axes++] = x->axis[i];
	for (int i = 0; i < y->axes; i++)
		z->axis[z->axes++] = y->axis[i];
	return true;
}

static bool poly_multiply(form_cx *cx, loc at, const poly *x, const poly *y, poly *out)
{
	if ((int64_t)x->count * y->count + out->count > FORM_MAX_MONOMIALS)
		return too_many(cx, at);
	for (int i = 0; i < x->count; i++)
		for (int k = 0; k < y->count; k++) {
			monomial z;

			if (!multiply_monomials(cx, &x->item[i], &y->item[k], &z))
				return false;
			ARENA_PUSH(cx->spec->arena, out, z);
		}
	return true;
}

/* Sums of one monomial must have different axes: those of `e` are renamed where they occur in
 * `other`. */
static expr *apart(form_cx *cx, expr *e, const poly *other)
{
	form_scope scope[FORM_MAX_AXES * 8];
	int n = 0;

	for (int i = 0; i < other->count; i++)
		for (int k = 0; k < other->item[i].axes; k++) {
			const sema_axis *d = other->item[i].axis[k];
			bool seen = false;

			for (int m = 0; m < n; m++)
				seen = seen || scope[m].axis == d;
			if (seen)
				continue;
			if (n == FORM_MAX_AXES * 8) {
				form_fail(cx, e->at, "a product is summed over too many axes");
				return NULL;
			}
			scope[n] = (form_scope){d, n ? &scope[n - 1] : NULL};
			n++;
		}
	return n ? form_unshadow(cx, e, &scope[n - 1]) : e;
}

static bool expand_product(form_cx *cx, loc at, expr *l, expr *r, poly *out)
{
	poly x = {0}, y = {0};

	if (!poly_expand(cx, l, &x))
		return false;
	r = apart(cx, r, &x);
	return r && poly_expand(cx, r, &y) && poly_multiply(cx, at, &x, &y, out);
}

static bool expand_quotient(form_cx *cx, const expr *e, poly *out)
{
	factors under = {0};
	poly x = {0}, y = {0};
	double coef = 1;

	factors_collect(cx, e->arg[1], false, &under, &coef);
	for (int i = 0; i < under.count; i++)
		if (form_mixed(cx, under.item[i].e))
			return form_fail(cx, under.item[i].e->at,
				"the divisor '%s' mixes the inner key '%s' with the query or "
				"another key",
				form_quote(cx, under.item[i].e), cx->inner->name);
	return poly_expand(cx, e->arg[0], &x) && push_factors(cx, e->arg[1], true, &y) &&
	       poly_multiply(cx, e->at, &x, &y, out);
}

/* (mixed) ** n for a small whole n. */
static bool expand_power(form_cx *cx, expr *e, poly *out)
{
	expr *product = e->arg[0];

	for (int n = (int)e->arg[1]->f; n > 1; n--)
		product = expr_binary(cx->spec, e->at, EXPR_MUL, product, e->arg[0]);
	return poly_expand(cx, product, out);
}

static bool expand_sum(form_cx *cx, const expr *e, poly *out)
{
	poly p = {0};

	if (!poly_expand(cx, e->reduce.body, &p))
		return false;
	for (int i = 0; i < p.count; i++) {
		monomial *m = &p.item[i];

		if (m->axes + e->reduce.axes > FORM_MAX_AXES)
			return form_fail(cx, e->at, "a product is summed over more than %d axes",
				FORM_MAX_AXES);
		for (int k = 0; k < e->reduce.axes; k++)
			m->axis[m->axes++] = e->reduce.axis[k];
		m->at = e->at;
		ARENA_PUSH(cx->spec->arena, out, *m);
	}
	return out->count <= FORM_MAX_MONOMIALS || too_many(cx, e->at);
}

static bool whole_power(const expr *e)
{
	double n = e->arg[1]->op == EXPR_CONST_FLOAT ? e->arg[1]->f : 0;

	return n >= 1 && n <= 8 && n == floor(n);
}

static bool expand_mixed(form_cx *cx, expr *e, poly *out)
{
	int before = out->count;

	switch (e->op) {
	case EXPR_ADD:
	case EXPR_SUB:
	case EXPR_NEG:
		if (e->op != EXPR_NEG && !poly_expand(cx, e->arg[0], out))
			return false;
		if (e->op != EXPR_NEG)
			before = out->count;
		if (!poly_expand(cx, e->arg[e->op != EXPR_NEG], out))
			return false;
		for (int i = before; e->op != EXPR_ADD && i < out->count; i++)
			out->item[i].coef = -out->item[i].coef;
		return out->count <= FORM_MAX_MONOMIALS || too_many(cx, e->at);
	case EXPR_MUL:
		return expand_product(cx, e->at, e->arg[0], e->arg[1], out);
	case EXPR_DIV:
		return expand_quotient(cx, e, out);
	case EXPR_TO_FLOAT:
		return expand_mixed(cx, e->arg[0], out);
	case EXPR_POW:
		if (whole_power(e))
			return expand_power(cx, e, out);
		break;
	case EXPR_REDUCE:
		if (e->reduce.how == REDUCE_SUM)
			return expand_sum(cx, e, out);
		break;
	default:
		break;
	}
	return form_fail(cx, e->at,
		"'%s' mixes the inner key '%s' with the query or another key inside a sum over "
		"features",
		form_quote(cx, e), cx->inner->name);
}

bool poly_expand(form_cx *cx, expr *e, poly *out)
{
	return form_mixed(cx, e) ? expand_mixed(cx, e, out) : push_factors(cx, e, false, out);
}
