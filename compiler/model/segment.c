/* segment.c: from monomials to segments.
 * in:  the monomials of a linear score
 * out: scale * (sum over segments of A . B + c) + rest: monomials of equal B share a segment, also
 * when B becomes equal by re-indexing the sum (a determinant's other key); segments of equal A are
 * merged relies on: feature axes of one monomial being different (form_unshadow). */
#include "model/form.h"
#include <math.h>
#include <string.h>

/* One segment to be: sum over members of coef * A, times B. */
typedef struct {
	sema_axis *d;
	factors b;
	expr *b_sum; /* set when groups were merged */
	poly member; /* their `a` only */
} group;

/* A re-indexing d -> m(d), a bijection, with its values. */
typedef struct {
	expr *e;
	int64_t *value;
} map;

typedef struct {
	form_cx *cx;
	group item[FORM_MAX_GROUPS];
	int count;
	struct {
		sema_axis *d;
		map item[FORM_MAX_MAPS];
		int count;
	} maps[MODEL_MAX_SEGMENTS]; /* by axis */
	int axes;
} grouping;

/* --- sorting monomials --- */

/* Sums over the axes that only the factors in `x` use, and puts the sum in their place. */
static void sum_own_axes(form_cx *cx, monomial *m, factors *x, sema_axis *const *axis, int axes)
{
	factors out = {0};

	if (axes == 0)
		return;
	factors_collect(cx, form_sum_product(cx, m->at, axis, axes, x), false, &out, &m->coef);
	*x = out;
}

static void replace_axis(form_cx *cx, factors *x, const sema_axis *from, expr *with)
{
	factors out = {0};

	for (int i = 0; i < x->count; i++) {
		factor f = x->item[i];

		f.e = form_substitute(cx, f.e, from, with);
		ARENA_PUSH(cx->spec->arena, &out, f);
	}
	*x = out;
}

/* Makes one axis of the axes that both sides use: (d, e) -> t with d = t // E, e = t % E. */
static bool flatten(form_cx *cx, monomial *m)
{
	sema_spec *s = cx->spec;
	int64_t extent = 1, inner = 1;
	const char *name = "";
	sema_axis *t;
	expr *at_t;

	for (int k = 0; k < m->axes; k++) {
		extent *= m->axis[k]->extent;
		name = arena_printf(s->arena, "%s%s%s", name, k ? "." : "", m->axis[k]->name);
		if (extent > SEMA_MAX_FEATURE)
			return form_fail(cx, m->at, "the sum runs over more than %d features",
				SEMA_MAX_FEATURE);
	}
	t = form_axis(cx, m->at, name, extent);
	if (!t)
		return false;
	at_t = expr_coord(s, m->at, t);
	for (int k = m->axes - 1; k >= 0; k--) {
		expr *e = at_t;

		if (inner > 1)
			e = expr_binary(s, m->at, EXPR_IDIV, e, expr_int(s, m->at, inner));
		if (k > 0)
			e = expr_binary(
				s, m->at, EXPR_MOD, e, expr_int(s, m->at, m->axis[k]->extent));
		replace_axis(cx, &m->a, m->axis[k], e);
		replace_axis(cx, &m->b, m->axis[k], e);
		inner *= m->axis[k]->extent;
	}
	m->axis[0] = t;
	m->axes = 1;
	return true;
}

/* Leaves in m->axis what both sides use; the rest is summed inside its side. */
static void split_axes(form_cx *cx, monomial *m)
{
	sema_axis *a[FORM_MAX_AXES], *b[FORM_MAX_AXES];
	int na = 0, nb = 0, both = 0;

	for (int k = 0; k < m->axes; k++) {
		sema_axis *d = m->axis[k];
		bool in_a = factors_use(&m->a, d), in_b = factors_use(&m->b, d);

		if (in_a && in_b)
			m->axis[both++] = d;
		else if (in_a)
			a[na++] = d;
		else if (in_b)
			b[nb++] = d;
		else
			m->coef *= (double)d->extent;
	}
	m->axes = both;
	sum_own_axes(cx, m, &m->a, a, na);
	sum_own_axes(cx, m, &m->b, b, nb);
}

static bool reads_row(form_cx *cx, const factors *a)
{
	for (int i = 0; i < a->count; i++)
		if (form_reads(cx, a->item[i].e))
			return true;
	return false;
}

void terms_push(form_cx *cx, terms *t, double coef, expr *e)
{
	for (int i = 0; i < t->count; i++) {
		if (!expr_equal(t->item[i].e, e))
			continue;
		t->item[i].coef += coef;
		if (t->item[i].coef == 0)
			t->item[i] = t->item[--t->count];
		return;
	}
	ARENA_PUSH(cx->spec->arena, t, ((term){coef, e}));
}

static void push_monomial(form_cx *cx, terms *t, const monomial *m)
{
	factors all = {0};

	factors_append(cx, &all, &m->a);
	factors_append(cx, &all, &m->b);
	terms_push(cx, t, m->coef, form_sum_product(cx, m->at, m->axis, m->axes, &all));
}

bool segment_sort(form_cx *cx, const poly *p, linear *x)
{
	for (int i = 0; i < p->count; i++) {
		monomial m = p->item[i];

		if (m.b.count > 0 && reads_row(cx, &m.a)) {
			split_axes(cx, &m);
			if (m.axes > 1 && !flatten(cx, &m))
				return false;
			if (m.axes == 1) {
				ARENA_PUSH(cx->spec->arena, &x->dot, m);
				continue;
			}
		}
		push_monomial(cx, m.b.count ? &x->rest : &x->c, &m);
	}
	return true;
}

/* --- re-indexings --- */

static bool value_at(const expr *e, const sema_axis *d, int64_t i, int64_t *v)
{
	return form_int(e, &(int_env){d, i, -1}, v);
}

static int maps_index(grouping *g, const sema_axis *d)
{
	int n = 0;

	while (n < g->axes && g->maps[n].d != d)
		n++;
	return n;
}

/* The map of axis number `n` that has the values of `e`; NULL. */
static const map *map_of(const grouping *g, int n, const expr *e)
{
	const sema_axis *d = g->maps[n].d;
	bool out[FORM_MAX_MAPS] = {false};
	int left = g->maps[n].count;
	int64_t v;

	for (int64_t i = 0; i < d->extent && left > 0; i++) {
		if (!value_at(e, d, i, &v))
			return NULL;
		for (int k = 0; k < g->maps[n].count; k++)
			if (!out[k] && g->maps[n].item[k].value[i] != v) {
				out[k] = true;
				left--;
			}
	}
	for (int k = 0; k < g->maps[n].count; k++)
		if (!out[k])
			return &g->maps[n].item[k];
	return NULL;
}

/* Adds `e` as a map of axis number `n` when it is a bijection that is not there yet. */
static void map_add(grouping *g, int n, expr *e)
{
	const sema_axis *d = g->maps[n].d;
	int64_t value[SEMA_MAX_FEATURE];
	bool seen[SEMA_MAX_FEATURE] = {false};
	map *m = &g->maps[n].item[g->maps[n].count];

	if (g->maps[n].count == FORM_MAX_MAPS || d->extent > SEMA_MAX_FEATURE || map_of(g, n, e))
		return;
	for (int64_t i = 0; i < d->extent; i++) {
		if (!value_at(e, d, i, &value[i]) || value[i] < 0 || value[i] >= d->extent ||
			seen[value[i]])
			return;
		seen[value[i]] = true;
	}
	m->e = e;
	m->value = ARENA_ARRAY(g->cx->spec->arena, int64_t, d->extent);
	memcpy(m->value, value, sizeof *value * (size_t)d->extent);
	g->maps[n].count++;
}

/* Collects the subscripts that are bijections of the axis. */
static void maps_collect(grouping *g, int n, const expr *e)
{
	expr *const *kid;
	int kids;

	if (!expr_depends(e, g->maps[n].d))
		return;
	kids = expr_kids(e, &kid);
	for (int i = 0; i < kids; i++) {
		if (e->op == EXPR_LOAD && expr_depends(kid[i], g->maps[n].d))
			map_add(g, n, kid[i]);
		maps_collect(g, n, kid[i]);
	}
}

/* `e` with each subscript over the axis written as the first map of the same values. */
static expr *simplify(grouping *g, int n, expr *e)
{
	const sema_axis *d = g->maps[n].d;
	expr *const *own;
	expr *kid[SEMA_MAX_RANK];
	int kids;

	if (!expr_depends(e, d))
		return e;
	kids = expr_kids(e, &own);
	for (int i = 0; i < kids; i++) {
		const map *m = NULL;

		if (e->op == EXPR_LOAD && own[i]->op != EXPR_COORD && expr_depends(own[i], d))
			m = map_of(g, n, own[i]);
		kid[i] = m ? m->e : simplify(g, n, own[i]);
	}
	return expr_rebuild(g->cx->spec, e, kid);
}

/* The factors with the sum re-indexed by map number `k`. */
static factors mapped(grouping *g, int n, int k, const factors *x)
{
	const sema_axis *d = g->maps[n].d;
	factors out = {0};

	for (int i = 0; i < x->count; i++) {
		factor f = x->item[i];

		if (k > 0)
			f.e = form_substitute(g->cx, f.e, d, g->maps[n].item[k].e);
		f.e = simplify(g, n, f.e);
		ARENA_PUSH(g->cx->spec->arena, &out, f);
	}
	return out;
}

/* --- grouping --- */

static int64_t cost(const factors *x)
{
	int64_t n = 0;

	for (int i = 0; i < x->count; i++)
		n += x->item[i].e->size;
	return n;
}

static void join(grouping *g, group *to, const monomial *m, int n, int k)
{
	monomial member = *m;

	member.a = mapped(g, n, k, &m->a);
	for (int i = 0; i < to->member.count; i++)
		if (factors_equal(&to->member.item[i].a, &member.a)) {
			to->member.item[i].coef += m->coef;
			return;
		}
	ARENA_PUSH(g->cx->spec->arena, &to->member, member);
}

static bool place(grouping *g, const monomial *m)
{
	int n = maps_index(g, m->axis[0]), best = 0;
	factors b[FORM_MAX_MAPS];

	for (int k = 0; k < g->maps[n].count; k++) {
		b[k] = mapped(g, n, k, &m->b);
		if (cost(&b[k]) < cost(&b[best]))
			best = k;
	}
	for (int k = 0; k < g->maps[n].count; k++)
		for (int i = 0; i < g->count; i++)
			if (g->item[i].d == m->axis[0] && factors_equal(&g->item[i].b, &b[k])) {
				join(g, &g->item[i], m, n, k);
				return true;
			}
	if (g->count == FORM_MAX_GROUPS)
		return form_fail(g->cx, m->at,
			"the score has more than %d different factors of the inner key '%s'",
			FORM_MAX_GROUPS, g->cx->inner->name);
	g->item[g->count] = (group){.d = m->axis[0], .b = b[best]};
	join(g, &g->item[g->count++], m, n, best);
	return true;
}

static bool rename_axis(form_cx *cx, factors *x, const sema_axis *from, sema_axis *to)
{
	form_scope scope = {to, NULL};
	factors out = {0};

	for (int i = 0; i < x->count; i++) {
		factor f = x->item[i];

		f.e = form_unshadow(cx, f.e, &scope);
		if (!f.e)
			return false;
		ARENA_PUSH(cx->spec->arena, &out, f);
	}
	*x = out;
	replace_axis(cx, x, from, expr_coord(cx->spec, from->at, to));
	return true;
}

/* Sums over axes of one extent are written over the first such axis, so that they can share
 * segments. */
static bool unify_axis(grouping *g, monomial *m)
{
	sema_axis *d = m->axis[0];
	int n = 0;

	while (n < g->axes && g->maps[n].d->extent != d->extent)
		n++;
	if (n == MODEL_MAX_SEGMENTS)
		return form_fail(g->cx, m->at,
			"the score needs more than %d products with the inner key '%s'",
			MODEL_MAX_SEGMENTS, g->cx->inner->name);
	if (n == g->axes) {
		g->maps[g->axes++].d = d;
		map_add(g, n, expr_coord(g->cx->spec, m->at, d));
	}
	m->axis[0] = g->maps[n].d;
	return m->axis[0] == d || (rename_axis(g->cx, &m->a, d, m->axis[0]) &&
					  rename_axis(g->cx, &m->b, d, m->axis[0]));
}

static void collect_all(grouping *g, int n, const factors *x)
{
	for (int i = 0; i < x->count; i++)
		maps_collect(g, n, x->item[i].e);
}

static bool prepare(grouping *g, poly *dot)
{
	int64_t work = 0;

	for (int i = 0; i < dot->count; i++) {
		if (!unify_axis(g, &dot->item[i]))
			return false;
		work += cost(&dot->item[i].a) + cost(&dot->item[i].b);
	}
	if (work > FORM_MAX_WORK)
		return form_fail(g->cx, dot->item[0].at,
			"the score expands to more than %d operations", FORM_MAX_WORK);
	for (int i = 0; i < dot->count; i++) {
		int n = maps_index(g, dot->item[i].axis[0]);

		collect_all(g, n, &dot->item[i].b);
		collect_all(g, n, &dot->item[i].a);
	}
	return true;
}

/* --- segments --- */

/* x / y, a whole number when it is one but for rounding. */
static double ratio(double x, double y)
{
	double r = x / y, near = nearbyint(r);

	return fabs(r - near) <= 1e-15 * fabs(near) ? near : r;
}

/* The scale that leaves coefficients of at least 1: the smallest, with the sign of the first of
 * that size. */
static double common_scale(const grouping *g)
{
	double best = 0;

	for (int i = 0; i < g->count; i++)
		for (int k = 0; k < g->item[i].member.count; k++) {
			double c = g->item[i].member.item[k].coef;

			if (isfinite(c) && c != 0 && (best == 0 || fabs(ratio(c, best)) < 1))
				best = c;
		}
	return best == 0 ? 1 : best;
}

/* Whether y's A is x's times a constant. */
static bool proportional(const group *x, const group *y, double *factor_of_y)
{
	if (x->d != y->d || x->member.count != y->member.count)
		return false;
	for (int i = 0; i < x->member.count; i++) {
		const monomial *p = &x->member.item[i], *q = &y->member.item[i];
		double r = ratio(q->coef, p->coef);

		if (!factors_equal(&p->a, &q->a) || (i > 0 && r != *factor_of_y) || !isfinite(r))
			return false;
		*factor_of_y = r;
	}
	return true;
}

static expr *group_b(form_cx *cx, const group *g)
{
	return g->b_sum ? g->b_sum : factors_product(cx, g->member.item[0].at, 1, &g->b, NULL);
}

static void merge(grouping *g)
{
	for (int i = 0; i < g->count; i++)
		for (int k = i + 1; k < g->count; k++) {
			group *x = &g->item[i], *y = &g->item[k];
			double r = 1;

			if (!proportional(x, y, &r))
				continue;
			x->b_sum = poly_add(g->cx, x->member.item[0].at, group_b(g->cx, x), r,
				group_b(g->cx, y));
			memmove(y, y + 1, sizeof *y * (size_t)(g->count - k - 1));
			g->count--;
			k--;
		}
}

static expr *group_a(form_cx *cx, const group *g, double scale)
{
	expr *a = NULL;

	/* Terms that are added come first: p - q rather than -q + p. */
	for (int sign = 0; sign < 2; sign++)
		for (int i = 0; i < g->member.count; i++) {
			const monomial *m = &g->member.item[i];
			double c = ratio(m->coef, scale);

			if ((c < 0) == (sign == 1))
				a = poly_add(cx, m->at, a, c,
					factors_product(cx, m->at, 1, &m->a, NULL));
		}
	return a;
}

bool segment_build(form_cx *cx, linear *x)
{
	grouping *g = ARENA_NEW(cx->spec->arena, grouping);

	g->cx = cx;
	if (!prepare(g, &x->dot))
		return false;
	for (int i = 0; i < x->dot.count; i++)
		if (!place(g, &x->dot.item[i]))
			return false;
	merge(g);
	x->scale = common_scale(g);
	if (g->count > MODEL_MAX_SEGMENTS)
		return form_fail(cx, x->dot.item[0].at,
			"the score needs %d products with the inner key '%s', more than %d",
			g->count, cx->inner->name, MODEL_MAX_SEGMENTS);
	for (int i = 0; i < g->count; i++)
		x->segment[i] = (model_segment){
			g->item[i].d, group_a(cx, &g->item[i], x->scale), group_b(cx, &g->item[i])};
	x->segments = g->count;
	for (int i = 0; i < x->c.count; i++)
		x->c.item[i].coef = ratio(x->c.item[i].coef, x->scale);
	return true;
}
