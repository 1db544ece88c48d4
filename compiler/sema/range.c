/* range.c: what values an int expression can take, by linear forms and intervals.
 * in:  INT expressions over coordinates, lengths and params; BOOL conditions over them
 * out: bounds that hold for every shape and every tuple inside the windows; infinite where nothing
 * is known
 *
 * A linear form is bounded by replacing its coordinates by their bounds, keys first, so that j - i
 * with j <= i gives at most 0. What is not linear counts as an unknown with a range of its own. All
 * of it is an approximation from outside; MAX_STEPS keeps deep expressions cheap. */
#include "sema/check.h"
#include <math.h>

#define MAX_TERMS 16
#define MAX_STEPS 20000
#define MAX_CONJUNCTS 32
#define EXACT                                                                                      \
	4503599627370496.0 /* 2^52: numbers beyond may be rounded, so they count as unknown        \
			    */

typedef struct {
	expr *atom;
	double times;
} term;

typedef struct {
	bool known;
	double constant;
	int n;
	term item[MAX_TERMS];
} linear;

typedef struct {
	const sema_spec *s;
	bool defaults;
	int steps;
} bounder;

static double upper(bounder *b, const linear *l);
static range range_of(bounder *b, expr *e);

/* --- linear forms --- */

static void add_term(linear *l, expr *atom, double times)
{
	for (int k = 0; k < l->n; k++)
		if (expr_equal(l->item[k].atom, atom)) {
			l->item[k].times += times;
			if (l->item[k].times == 0)
				l->item[k] = l->item[--l->n];
			return;
		}
	if (l->n == MAX_TERMS || times == 0)
		l->known = l->known && times == 0;
	else
		l->item[l->n++] = (term){atom, times};
}

/* l += times * e */
static void add_expr(const bounder *b, linear *l, expr *e, double times)
{
	if (fabs(times) > EXACT || fabs(l->constant) > EXACT)
		l->known = false;
	if (!l->known)
		return;
	switch (e->op) {
	case EXPR_CONST_INT:
		l->constant += times * (double)e->i;
		return;
	case EXPR_CONST_FLOAT:
		l->constant += times * e->f;
		return;
	case EXPR_TO_FLOAT:
		add_expr(b, l, e->arg[0], times);
		return;
	case EXPR_NEG:
		add_expr(b, l, e->arg[0], -times);
		return;
	case EXPR_ADD:
	case EXPR_SUB:
		add_expr(b, l, e->arg[0], times);
		add_expr(b, l, e->arg[1], e->op == EXPR_ADD ? times : -times);
		return;
	case EXPR_MUL:
		for (int k = 0; k < 2; k++)
			if (e->arg[k]->op == EXPR_CONST_INT) {
				add_expr(b, l, e->arg[1 - k], times * (double)e->arg[k]->i);
				return;
			}
		break;
	case EXPR_PARAM:
		if (b->defaults && e->type == TYPE_INT) {
			l->constant += times * (double)e->param->i;
			return;
		}
		break;
	default:
		break;
	}
	if (e->type == TYPE_INT)
		add_term(l, e, times);
	else
		l->known = false; /* a float may be NaN: x - x is not 0 */
}

static void add_length(bounder *b, linear *l, const sema_length *length, double times)
{
	expr *atom = ARENA_NEW(b->s->arena, expr);

	*atom = (expr){.op = EXPR_LENGTH, .type = TYPE_INT, .size = 1, .depth = 1};
	atom->length = (sema_length *)length;
	add_term(l, atom, times);
}

static void add_linear(linear *l, const linear *other, double sign)
{
	l->known = l->known && other->known;
	l->constant += sign * other->constant;
	for (int k = 0; k < other->n; k++)
		add_term(l, other->item[k].atom, sign * other->item[k].times);
}

static linear linear_difference(const bounder *b, expr *x, expr *y)
{
	linear l = {.known = true};

	add_expr(b, &l, x, 1);
	if (y)
		add_expr(b, &l, y, -1);
	return l;
}

/* --- bounds --- */

/* Removes term k. */
static term take(linear *l, int k)
{
	term t = l->item[k];

	l->item[k] = l->item[--l->n];
	return t;
}

/* The coordinate of a term at the end of its axis that makes the term large. */
static bool to_axis_end(bounder *b, linear *l, term t)
{
	const sema_axis *a = t.atom->axis;

	if (t.times < 0)
		return true;
	if (a->length) {
		add_length(b, l, a->length, t.times);
		l->constant -= t.times;
	} else {
		l->constant += t.times * (double)(a->extent - 1);
	}
	return a->length || a->extent > 0;
}

/* The upper bound with key coordinate k at the end of its axis, or of its window. */
static double upper_key(bounder *b, const linear *l, int k)
{
	linear axis = *l, window = *l;
	term t = take(&axis, k);
	expr *bound = t.times > 0 ? t.atom->axis->window.last : t.atom->axis->window.first;
	double best;

	to_axis_end(b, &axis, t);
	best = upper(b, &axis);
	if (!bound)
		return best;
	take(&window, k);
	add_expr(b, &window, bound, t.times);
	return fmin(best, upper(b, &window));
}

static bool is_axis_length(const sema_spec *s, const sema_length *l)
{
	for (int k = 0; k < s->axis.count; k++)
		if (s->axis.item[k]->length == l)
			return true;
	return false;
}

/* The largest value of what is no coordinate. */
static double upper_atom(bounder *b, term t)
{
	range r = {-INFINITY, INFINITY};

	if (t.atom->op == EXPR_LENGTH)
		r.low = is_axis_length(b->s, t.atom->length);
	else
		r = range_of(b, t.atom);
	return t.times > 0 ? t.times * r.high : t.times * r.low;
}

static int find_coord(const linear *l, bool key)
{
	for (int k = 0; k < l->n; k++)
		if (l->item[k].atom->op == EXPR_COORD &&
			(!key || l->item[k].atom->axis->kind == AXIS_KEY))
			return k;
	return -1;
}

static double upper(bounder *b, const linear *l)
{
	linear rest = *l;
	double sum;
	int k = find_coord(l, true);

	if (!l->known || ++b->steps > MAX_STEPS)
		return INFINITY;
	if (k >= 0)
		return upper_key(b, l, k);
	while ((k = find_coord(&rest, false)) >= 0)
		if (!to_axis_end(b, &rest, take(&rest, k)))
			return INFINITY;
	sum = rest.constant;
	for (k = 0; k < rest.n && sum < INFINITY; k++)
		sum += upper_atom(b, rest.item[k]);
	return rest.known && sum < EXACT ? sum : INFINITY;
}

static range range_linear(bounder *b, const linear *l)
{
	linear negative = {.known = true};
	range r;

	add_linear(&negative, l, -1);
	r.high = upper(b, l);
	r.low = -upper(b, &negative);
	return r;
}

/* --- what is not linear --- */

static range range_operand(bounder *b, expr *e)
{
	linear l = linear_difference(b, e, NULL);

	return range_linear(b, &l);
}

static range range_divided(range x, const expr *y)
{
	double c = y->op == EXPR_CONST_INT ? (double)y->i : 0;

	if (c > 0)
		return (range){floor(x.low / c), floor(x.high / c)};
	if (c == 0 && x.low >= 0 && y->op == EXPR_LENGTH)
		return (range){0, x.high};
	return (range){-INFINITY, INFINITY};
}

static range range_modulo(const expr *y)
{
	double c = y->op == EXPR_CONST_INT ? (double)y->i : 0;

	if (c > 0)
		return (range){0, c - 1};
	if (c < 0)
		return (range){c + 1, 0};
	return (range){-INFINITY, INFINITY};
}

/* The range of an atom: an INT expression that no linear form looks into. */
static range range_of(bounder *b, expr *e)
{
	range x, y;

	if (++b->steps > MAX_STEPS)
		return (range){-INFINITY, INFINITY};
	switch (e->op) {
	case EXPR_MIN:
		x = range_operand(b, e->arg[0]);
		y = range_operand(b, e->arg[1]);
		return (range){fmin(x.low, y.low), fmin(x.high, y.high)};
	case EXPR_MAX:
		x = range_operand(b, e->arg[0]);
		y = range_operand(b, e->arg[1]);
		return (range){fmax(x.low, y.low), fmax(x.high, y.high)};
	case EXPR_WHERE:
		x = range_operand(b, e->arg[1]);
		y = range_operand(b, e->arg[2]);
		return (range){fmin(x.low, y.low), fmax(x.high, y.high)};
	case EXPR_ABS:
		x = range_operand(b, e->arg[0]);
		return (range){fmax(0, fmax(x.low, -x.high)), fmax(-x.low, x.high)};
	case EXPR_IDIV:
		return range_divided(range_operand(b, e->arg[0]), e->arg[1]);
	case EXPR_MOD:
		return range_modulo(e->arg[1]);
	default:
		return (range){-INFINITY, INFINITY};
	}
}

range range_difference(const sema_spec *s, expr *x, expr *y, bool defaults)
{
	bounder b = {.s = s, .defaults = defaults};
	linear l = linear_difference(&b, x, y);

	return range_linear(&b, &l);
}

/* --- conditions --- */

static truth truth_of(bool is_true, bool is_false)
{
	return is_true ? TRUTH_TRUE : is_false ? TRUTH_FALSE : TRUTH_UNKNOWN;
}

static truth truth_not(truth t)
{
	return truth_of(t == TRUTH_FALSE, t == TRUTH_TRUE);
}

static truth compare(bounder *b, const expr *e)
{
	linear l = linear_difference(b, e->arg[0], e->arg[1]);
	range r = range_linear(b, &l);

	switch (e->op) {
	case EXPR_LT:
		return truth_of(r.high < 0, r.low >= 0);
	case EXPR_LE:
		return truth_of(r.high <= 0, r.low > 0);
	case EXPR_EQ:
		return truth_of(r.low == 0 && r.high == 0, r.low > 0 || r.high < 0);
	case EXPR_NE:
		return truth_of(r.low > 0 || r.high < 0, r.low == 0 && r.high == 0);
	default:
		return TRUTH_UNKNOWN;
	}
}

static truth truth_in(bounder *b, const expr *e)
{
	truth x, y;

	if (++b->steps > MAX_STEPS)
		return TRUTH_UNKNOWN;
	switch (e->op) {
	case EXPR_NOT:
		return truth_not(truth_in(b, e->arg[0]));
	case EXPR_AND:
		x = truth_in(b, e->arg[0]);
		y = truth_in(b, e->arg[1]);
		return truth_of(
			x == TRUTH_TRUE && y == TRUTH_TRUE, x == TRUTH_FALSE || y == TRUTH_FALSE);
	case EXPR_OR:
		x = truth_in(b, e->arg[0]);
		y = truth_in(b, e->arg[1]);
		return truth_of(
			x == TRUTH_TRUE || y == TRUTH_TRUE, x == TRUTH_FALSE && y == TRUTH_FALSE);
	case EXPR_DEF:
		return truth_in(b, e->def->value);
	default:
		return compare(b, e);
	}
}

truth range_truth(const sema_spec *s, expr *condition)
{
	bounder b = {.s = s};

	return truth_in(&b, condition);
}

/* Collects linear forms f with f <= 0 that a condition implies. */
static int conjuncts(bounder *b, expr *e, linear *out, int n)
{
	linear l;

	if (e->op == EXPR_AND) {
		n = conjuncts(b, e->arg[0], out, n);
		return conjuncts(b, e->arg[1], out, n);
	}
	if ((e->op != EXPR_LT && e->op != EXPR_LE && e->op != EXPR_EQ) || n + 2 > MAX_CONJUNCTS)
		return n;
	l = linear_difference(b, e->arg[0], e->arg[1]);
	if (!l.known)
		return n;
	if (e->op == EXPR_LT && e->arg[0]->type == TYPE_INT)
		l.constant += 1;
	out[n++] = l;
	if (e->op == EXPR_EQ) {
		out[n] = (linear){.known = true};
		add_linear(&out[n++], &l, -1);
	}
	return n;
}

bool range_contradiction(const sema_spec *s, expr *const *condition, int n)
{
	bounder b = {.s = s};
	linear *f = ARENA_ARRAY(s->arena, linear, MAX_CONJUNCTS);
	int count = 0;

	for (int k = 0; k < n; k++)
		count = conjuncts(&b, condition[k], f, count);
	for (int x = 0; x < count; x++)
		for (int y = 0; y < x; y++) {
			linear sum = f[x];

			add_linear(&sum, &f[y], 1);
			if (range_linear(&b, &sum).low > 0)
				return true;
		}
	return false;
}
