/* bounds.c: subscripts that are certainly out of range.
 * in:  a checked expression
 * out: errors
 *
 * A subscript of feature coordinates and constants is evaluated for every value of these, together
 * with the conditions of the `where`s around it: x[d + 1] is fine under where(d < 127, ...). Any
 * other subscript is an error only when its whole range is outside. What depends on run-time values
 * is the user's to guard. */
#include "sema/check.h"
#include <string.h>

#define MAX_STEPS 4000000 /* evaluations of nodes in one definition */

/* A condition that holds around a subscript. */
typedef struct guard {
	const expr *condition;
	bool holds;
	const struct guard *outer;
} guard;

/* Values of the feature coordinates that a subscript reads. */
typedef struct {
	int n;
	const sema_axis *axis[2];
	int64_t value[2];
	int steps;
} point;

/* --- evaluation at one point --- */

static bool value_at(point *p, const expr *e, int64_t *v);

static truth compare(expr_op op, int64_t x, int64_t y)
{
	bool holds = op == EXPR_LT   ? x < y
		     : op == EXPR_LE ? x <= y
		     : op == EXPR_EQ ? x == y
				     : x != y;

	return holds ? TRUTH_TRUE : TRUTH_FALSE;
}

static truth truth_at(point *p, const expr *e)
{
	truth x, y, decides = e->op == EXPR_OR ? TRUTH_TRUE : TRUTH_FALSE;
	int64_t a, b;

	if (--p->steps < 0)
		return TRUTH_UNKNOWN;
	switch (e->op) {
	case EXPR_NOT:
		x = truth_at(p, e->arg[0]);
		return x == TRUTH_UNKNOWN ? x : x == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
	case EXPR_AND:
	case EXPR_OR:
		x = truth_at(p, e->arg[0]);
		y = truth_at(p, e->arg[1]);
		return x == decides || y == decides ? decides : x == TRUTH_UNKNOWN ? x : y;
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_EQ:
	case EXPR_NE:
		if (!value_at(p, e->arg[0], &a) || !value_at(p, e->arg[1], &b))
			return TRUTH_UNKNOWN;
		return compare(e->op, a, b);
	default:
		return TRUTH_UNKNOWN;
	}
}

static bool arithmetic(expr_op op, int64_t x, int64_t y, int64_t *v)
{
	switch (op) {
	case EXPR_ADD:
		return !__builtin_add_overflow(x, y, v);
	case EXPR_SUB:
		return !__builtin_sub_overflow(x, y, v);
	case EXPR_MUL:
		return !__builtin_mul_overflow(x, y, v);
	case EXPR_IDIV:
	case EXPR_MOD:
		if (y == 0 || y == -1)
			return false;
		*v = op == EXPR_IDIV ? x / y - (x % y != 0 && (x < 0) != (y < 0))
				     : x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
		return true;
	case EXPR_MIN:
		*v = x < y ? x : y;
		return true;
	case EXPR_MAX:
		*v = x > y ? x : y;
		return true;
	default:
		return false;
	}
}

/* An INT expression of constants and the point's coordinates; false for any other. */
static bool value_at(point *p, const expr *e, int64_t *v)
{
	int64_t x, y;
	truth t;

	if (--p->steps < 0 || e->type != TYPE_INT)
		return false;
	switch (e->op) {
	case EXPR_CONST_INT:
		*v = e->i;
		return true;
	case EXPR_COORD:
		for (int k = 0; k < p->n; k++)
			if (p->axis[k] == e->axis) {
				*v = p->value[k];
				return true;
			}
		return false;
	case EXPR_NEG:
	case EXPR_ABS:
		if (!value_at(p, e->arg[0], &x) || x == INT64_MIN)
			return false;
		*v = e->op == EXPR_ABS && x > 0 ? x : -x;
		return true;
	case EXPR_WHERE:
		t = truth_at(p, e->arg[0]);
		return t != TRUTH_UNKNOWN && value_at(p, e->arg[t == TRUTH_TRUE ? 1 : 2], v);
	default:
		return expr_op_info[e->op].arity == 2 && value_at(p, e->arg[0], &x) &&
		       value_at(p, e->arg[1], &y) && arithmetic(e->op, x, y, v);
	}
}

/* --- one subscript --- */

typedef struct {
	checker *cx;
	const expr *load;
	int dim;
	const guard *guards;
	int *steps;
} subscript;

static bool reported(const checker *cx, loc at)
{
	for (int k = 0; k < cx->d->list.count; k++) {
		const diag *d = &cx->d->list.item[k];

		if (d->severity == DIAG_ERROR && d->at.begin == at.begin && d->at.end == at.end)
			return true;
	}
	return false;
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

static void report(const subscript *sub, const char *value)
{
	const sema_tensor *t = sub->load->load.tensor;
	const sema_dim *dim = &t->dim[sub->dim];
	loc at = sub->load->load.sub[sub->dim]->at;

	if (reported(sub->cx, at))
		return;
	if (dim->length)
		diag_error(sub->cx->d, at,
			"subscript %s is always out of range of dimension '%s' of '%s'", value,
			dim->name, t->name);
	else
		diag_error(sub->cx->d, at,
			"subscript %s is out of range of dimension '%s' of '%s', which is [0, "
			"%lld)",
			value, dim->name, t->name, (long long)dim->extent);
}

/* Whether some value of the point's coordinates is out of range for certain: at[] holds the first.
 */
static bool search(const subscript *sub, point *p, int64_t *v)
{
	const expr *e = sub->load->load.sub[sub->dim];
	int64_t extent = sub->load->load.tensor->dim[sub->dim].extent;
	int64_t end[2] = {p->n > 0 ? p->axis[0]->extent : 1, p->n > 1 ? p->axis[1]->extent : 1};

	for (p->value[0] = 0; p->value[0] < end[0]; p->value[0]++)
		for (p->value[1] = 0; p->value[1] < end[1]; p->value[1]++) {
			bool certain = true;

			if (!value_at(p, e, v))
				return false;
			if (*v >= 0 && *v < extent)
				continue;
			for (const guard *g = sub->guards; g; g = g->outer) {
				truth t = truth_at(p, g->condition);

				certain = certain && t != TRUTH_UNKNOWN &&
					  (t == TRUTH_TRUE) == g->holds;
			}
			if (certain && p->steps > 0)
				return true;
		}
	return false;
}

/* Collects the feature axes that the subscript reads; false when it reads more than two, or other
 * coordinates. */
static bool point_of(const subscript *sub, point *p)
{
	const sema_spec *s = sub->cx->s;
	const expr *e = sub->load->load.sub[sub->dim];

	*p = (point){.steps = *sub->steps};
	for (int k = 0; k < s->axis.count; k++) {
		if (!expr_depends(e, s->axis.item[k]))
			continue;
		if (p->n == 2 || s->axis.item[k]->kind != AXIS_FEATURE ||
			s->axis.item[k]->extent == 0)
			return false;
		p->axis[p->n++] = s->axis.item[k];
	}
	return true;
}

static void check_subscript(const subscript *sub)
{
	const sema_dim *dim = &sub->load->load.tensor->dim[sub->dim];
	expr *e = sub->load->load.sub[sub->dim];
	sema_spec *s = sub->cx->s;
	expr *end =
		dim->length ? expr_length(s, e->at, dim->length) : expr_int(s, e->at, dim->extent);
	range below = range_difference(s, e, expr_int(s, e->at, 0), false);
	range beyond = range_difference(s, e, end, false);
	const char *where = "";
	int64_t v;
	point p;

	if (below.low >= 0 && beyond.high < 0)
		return;
	if (below.high < 0 || beyond.low >= 0) {
		if (!sub->guards)
			report(sub, shown(sub->cx, e));
		else if (e->op == EXPR_CONST_INT && !dim->length)
			report(sub, shown(sub->cx, e));
		return;
	}
	if (dim->length || !point_of(sub, &p) || !search(sub, &p, &v))
		return;
	for (int k = 0; k < p.n; k++)
		where = arena_printf(sub->cx->a, "%s %s %s = %lld", where, k ? "and" : "for",
			p.axis[k]->name, (long long)p.value[k]);
	report(sub, arena_printf(sub->cx->a, "%lld%s", (long long)v, where));
}

/* --- the walk --- */

static void walk(checker *cx, expr *e, const guard *guards, int *steps)
{
	expr *const *kid;
	int n = expr_kids(e, &kid);

	if (e->op == EXPR_WHERE) {
		guard yes = {e->arg[0], true, guards}, no = {e->arg[0], false, guards};

		walk(cx, e->arg[0], guards, steps);
		walk(cx, e->arg[1], &yes, steps);
		walk(cx, e->arg[2], &no, steps);
		return;
	}
	for (int k = 0; k < n; k++) {
		subscript sub = {cx, e, k, guards, steps};

		if (e->op == EXPR_LOAD && *steps > 0)
			check_subscript(&sub);
		walk(cx, kid[k], guards, steps);
	}
}

void bounds_check(checker *cx, expr *e)
{
	int steps = MAX_STEPS;

	walk(cx, e, NULL, &steps);
}
