/* visible.c: masks at single coordinates, for pictures of them. Numbers are doubles, which hold
 * every index exactly; integer division follows the language (floor). Results of kernels never
 * depend on this file. */
#include "cli/problem.h"
#include <math.h>

static double value(const eval_args *args, const expr *e, const int64_t *coord);

bool visible_supported(const problem *p, const expr *e)
{
	expr *const *kid;
	if (e->op == EXPR_REDUCE || e->op == EXPR_SOFTMAX || e->op == EXPR_DOT)
		return false;
	if (e->op == EXPR_LOAD && !p->tensor[e->load.tensor->id].data)
		return false;
	if (e->op == EXPR_DEF)
		return visible_supported(p, e->def->value);
	for (int n = expr_kids(e, &kid); n > 0; n--)
		if (!visible_supported(p, kid[n - 1]))
			return false;
	return true;
}

static double load(const eval_args *args, const expr *e, const int64_t *coord)
{
	const sema_tensor *t = e->load.tensor;
	const eval_tensor *data = &args->tensor[t->id];
	int64_t offset = 0;
	for (int d = 0; d < t->rank; d++) {
		int64_t n =
			t->dim[d].length ? args->length[t->dim[d].length->id] : t->dim[d].extent;
		double at = value(args, e->load.sub[d], coord);
		if (!(at >= 0 && at < (double)n))
			return NAN; /* hidden, as no comparison holds */
		offset += (int64_t)at * data->stride[d];
	}
	return dtype_get(data->data, data->dtype, offset);
}

static double coordinate(const eval_args *args, const sema_axis *a, const int64_t *coord)
{
	if (a->kind != AXIS_GROUP)
		return (double)coord[a->id];
	int64_t groups = args->length[a->length->id], heads = args->length[a->of->length->id];
	return groups && heads ? (double)(coord[a->of->id] / (heads / groups)) : 0;
}

static double binary(expr_op op, double x, double y)
{
	switch ((int)op) {
	case EXPR_ADD:
		return x + y;
	case EXPR_SUB:
		return x - y;
	case EXPR_MUL:
		return x * y;
	case EXPR_DIV:
		return x / y;
	case EXPR_IDIV:
		return y != 0 ? floor(x / y) : 0;
	case EXPR_MOD:
		return y != 0 ? x - y * floor(x / y) : 0;
	case EXPR_MIN:
		return fmin(x, y);
	case EXPR_MAX:
		return fmax(x, y);
	case EXPR_POW:
		return pow(x, y);
	case EXPR_LT:
		return x < y;
	case EXPR_LE:
		return x <= y;
	case EXPR_EQ:
		return x == y;
	case EXPR_NE:
		return x != y;
	case EXPR_AND:
		return x != 0 && y != 0;
	case EXPR_OR:
		return x != 0 || y != 0;
	default:
		ice("'%s' in a picture", expr_op_info[op].text);
	}
}

static double unary(expr_op op, double x)
{
	switch ((int)op) {
	case EXPR_NEG:
		return -x;
	case EXPR_NOT:
		return x == 0;
	case EXPR_ABS:
		return fabs(x);
	case EXPR_TO_FLOAT:
		return x;
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
		ice("'%s' in a picture", expr_op_info[op].text);
	}
}

static double value(const eval_args *args, const expr *e, const int64_t *coord)
{
	switch ((int)e->op) {
	case EXPR_CONST_INT:
		return (double)e->i;
	case EXPR_CONST_FLOAT:
		return e->f;
	case EXPR_COORD:
		return coordinate(args, e->axis, coord);
	case EXPR_LENGTH:
		return (double)args->length[e->length->id];
	case EXPR_PARAM:
		return e->type == TYPE_INT ? (double)args->param_int[e->param->id]
					   : args->param_float[e->param->id];
	case EXPR_LOAD:
		return load(args, e, coord);
	case EXPR_DEF:
		return value(args, e->def->value, coord);
	case EXPR_WHERE:
		return value(args, e->arg[value(args, e->arg[0], coord) != 0 ? 1 : 2], coord);
	default:
		return expr_op_info[e->op].arity == 1 ? unary(e->op, value(args, e->arg[0], coord))
						      : binary(e->op, value(args, e->arg[0], coord),
								value(args, e->arg[1], coord));
	}
}

bool visible_at(const eval_args *args, expr *const *mask, int masks, const int64_t *coord)
{
	for (int i = 0; i < masks; i++) {
		double v = value(args, mask[i], coord);
		if (v == 0 || isnan(v))
			return false;
	}
	return true;
}
