/* expr_fold.c: constant folding and the identities that change no value (x + 0, x * 1, true and c).
 * in:  an operation and operands of one type
 * out: a simpler expression, or NULL
 * relies on: expr.c's builders calling it before they make a node. */
#include "sema/expr_fold.h"
#include <math.h>

static bool is_int(const expr *e, int64_t v)
{
	return e->op == EXPR_CONST_INT && e->i == v;
}

/* The number `v`, whatever its type. */
static bool is_number(const expr *e, int v)
{
	return is_int(e, v) || (e->op == EXPR_CONST_FLOAT && e->f == v);
}

static bool is_const(const expr *e)
{
	return e->op == EXPR_CONST_INT || e->op == EXPR_CONST_FLOAT;
}

/* --- conditions --- */

static bool compare(expr_op op, const expr *x, const expr *y)
{
	if (x->op == EXPR_CONST_INT && y->op == EXPR_CONST_INT)
		return op == EXPR_LT   ? x->i < y->i
		       : op == EXPR_LE ? x->i <= y->i
		       : op == EXPR_EQ ? x->i == y->i
				       : x->i != y->i;
	return op == EXPR_LT   ? x->f < y->f
	       : op == EXPR_LE ? x->f <= y->f
	       : op == EXPR_EQ ? x->f == y->f
			       : x->f != y->f;
}

bool expr_const_bool(const expr *e, bool *value)
{
	switch (e->op) {
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_EQ:
	case EXPR_NE:
		if (!is_const(e->arg[0]) || !is_const(e->arg[1]))
			return false;
		*value = compare(e->op, e->arg[0], e->arg[1]);
		return true;
	case EXPR_NOT:
		if (!expr_const_bool(e->arg[0], value))
			return false;
		*value = !*value;
		return true;
	default:
		return false;
	}
}

/* `and` (decides on false), `or` (decides on true) with a constant side. */
static expr *fold_logic(expr_op op, expr *x, expr *y)
{
	bool v;

	if (expr_const_bool(x, &v))
		return v == (op == EXPR_OR) ? x : y;
	if (expr_const_bool(y, &v))
		return v == (op == EXPR_OR) ? y : x;
	return NULL;
}

/* --- int --- */

static int64_t floor_div(int64_t x, int64_t y)
{
	return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

static int64_t floor_mod(int64_t x, int64_t y)
{
	return x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
}

/* False when the value does not fit. */
static bool int_value(expr_op op, int64_t x, int64_t y, int64_t *v)
{
	switch (op) {
	case EXPR_ADD:
		return !__builtin_add_overflow(x, y, v);
	case EXPR_SUB:
		return !__builtin_sub_overflow(x, y, v);
	case EXPR_MUL:
		return !__builtin_mul_overflow(x, y, v);
	case EXPR_IDIV:
		*v = y == 0 || (x == INT64_MIN && y == -1) ? 0 : floor_div(x, y);
		return x != INT64_MIN || y != -1;
	case EXPR_MOD:
		*v = y == 0 || y == -1 ? 0 : floor_mod(x, y);
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

/* (x + a) + b -> x + (a + b) for constants, with subtraction; the constant part is kept positive.
 */
static expr *fold_int_sum(sema_spec *s, loc at, expr_op op, expr *x, expr *y)
{
	int64_t inner, sum;

	if (y->op != EXPR_CONST_INT || y->i == INT64_MIN)
		return NULL;
	if ((x->op != EXPR_ADD && x->op != EXPR_SUB) || x->arg[1]->op != EXPR_CONST_INT ||
		x->arg[1]->i == INT64_MIN)
		return y->i < 0 ? expr_binary(s, at, op == EXPR_ADD ? EXPR_SUB : EXPR_ADD, x,
					  expr_int(s, y->at, -y->i))
				: NULL;
	inner = x->op == EXPR_ADD ? x->arg[1]->i : -x->arg[1]->i;
	if (__builtin_add_overflow(inner, op == EXPR_ADD ? y->i : -y->i, &sum) || sum == INT64_MIN)
		return NULL;
	return expr_binary(s, at, sum < 0 ? EXPR_SUB : EXPR_ADD, x->arg[0],
		expr_int(s, y->at, sum < 0 ? -sum : sum));
}

static expr *fold_int(sema_spec *s, loc at, expr_op op, expr *x, expr *y)
{
	int64_t v;

	if (x->op == EXPR_CONST_INT && y->op == EXPR_CONST_INT)
		return int_value(op, x->i, y->i, &v) ? expr_int(s, at, v) : NULL;
	if ((op == EXPR_MUL && (is_int(x, 0) || is_int(y, 0))) ||
		(op == EXPR_IDIV && is_int(x, 0)) ||
		(op == EXPR_MOD && (is_int(x, 0) || is_int(y, 1))))
		return expr_int(s, at, 0);
	if (op == EXPR_IDIV && is_int(y, 1))
		return x;
	if (op == EXPR_ADD || op == EXPR_SUB)
		return fold_int_sum(s, at, op, x, y);
	return NULL;
}

/* --- float --- */

static double float_value(expr_op op, double x, double y)
{
	switch (op) {
	case EXPR_ADD:
		return x + y;
	case EXPR_SUB:
		return x - y;
	case EXPR_MUL:
		return x * y;
	case EXPR_DIV:
		return x / y;
	case EXPR_MIN:
		return fmin(x, y);
	case EXPR_MAX:
		return fmax(x, y);
	case EXPR_POW:
		return pow(x, y);
	default:
		return NAN;
	}
}

static expr *fold_float(sema_spec *s, loc at, expr_op op, expr *x, expr *y)
{
	double v;

	if (x->op != EXPR_CONST_FLOAT || y->op != EXPR_CONST_FLOAT)
		return op == EXPR_DIV && is_number(y, 1) ? x : NULL;
	v = float_value(op, x->f, y->f);
	return isnan(v) ? NULL : expr_float(s, at, v);
}

expr *expr_fold_binary(sema_spec *s, loc at, expr_op op, expr *x, expr *y)
{
	if (op == EXPR_AND || op == EXPR_OR)
		return fold_logic(op, x, y);
	if (op == EXPR_LT || op == EXPR_LE || op == EXPR_EQ || op == EXPR_NE)
		return NULL;
	if ((op == EXPR_ADD && is_number(x, 0)) || (op == EXPR_MUL && is_number(x, 1)))
		return y;
	if (((op == EXPR_ADD || op == EXPR_SUB) && is_number(y, 0)) ||
		(op == EXPR_MUL && is_number(y, 1)))
		return x;
	return x->type == TYPE_INT ? fold_int(s, at, op, x, y) : fold_float(s, at, op, x, y);
}

/* --- unary --- */

static double unary_value(expr_op op, double x)
{
	switch (op) {
	case EXPR_NEG:
		return -x;
	case EXPR_ABS:
		return fabs(x);
	case EXPR_EXP:
		return exp(x);
	case EXPR_LOG:
		return log(x);
	case EXPR_TANH:
		return tanh(x);
	case EXPR_SQRT:
		return sqrt(x);
	case EXPR_SIN:
		return sin(x);
	case EXPR_COS:
		return cos(x);
	case EXPR_FLOOR:
		return floor(x);
	default:
		return NAN;
	}
}

expr *expr_fold_unary(sema_spec *s, loc at, expr_op op, expr *x)
{
	double v;

	if (x->op == op && (op == EXPR_NEG || op == EXPR_NOT))
		return x->arg[0];
	if (x->op == op && (op == EXPR_ABS || op == EXPR_FLOOR))
		return x;
	if (x->op == EXPR_CONST_INT && x->i != INT64_MIN)
		return expr_int(s, at, op == EXPR_ABS && x->i > 0 ? x->i : -x->i);
	if (x->op != EXPR_CONST_FLOAT)
		return NULL;
	v = unary_value(op, x->f);
	return isnan(v) ? NULL : expr_float(s, at, v);
}
