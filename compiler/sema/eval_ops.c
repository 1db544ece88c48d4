/* eval_ops: elementwise operations of the reference, on scalars and lanes.
 * in:  operand cells     out: the current lanes of the result
 *
 * Integers wrap; floats are IEEE doubles; min and max give NaN when either operand is NaN. where,
 * and, or evaluate an operand only for the lanes that need it, so that a guarded subscript is never
 * out of range. */
#include "sema/eval_cell.h"
#include <math.h>
#include <string.h>

int64_t eval_int_divide(int64_t x, int64_t y)
{
	if (y == 0)
		return 0;
	if (y == -1)
		return (int64_t)(0 - (uint64_t)x);
	return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

int64_t eval_int_modulo(int64_t x, int64_t y)
{
	if (y == 0 || y == -1)
		return 0;
	return x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
}

static double float_min(double x, double y)
{
	return isnan(x) || x < y ? x : y;
}

static double float_max(double x, double y)
{
	return isnan(x) || x > y ? x : y;
}

/* --- leaves --- */

static void give_constant(eval_worker *w, const eval_cell *c, eval_value *out)
{
	(void)w;
	if (c->e->op == EXPR_CONST_INT)
		out->i = c->e->i;
	else
		out->f = c->e->f;
}

static void give_coord(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const sema_axis *axis = c->e->axis;
	const int64_t *length = w->program->args->length;

	if (c->lanes) {
		for (int64_t l = w->low; l < w->high; l++)
			out[l].i = l;
	} else if (axis->kind == AXIS_GROUP) {
		int64_t groups = length[axis->length->id];

		out->i = groups ? w->coord[axis->of->id] / (length[axis->of->length->id] / groups)
				: 0;
	} else {
		out->i = w->coord[axis->id];
	}
}

static void give_length(eval_worker *w, const eval_cell *c, eval_value *out)
{
	out->i = w->program->args->length[c->e->length->id];
}

static void give_param(eval_worker *w, const eval_cell *c, eval_value *out)
{
	if (c->type == TYPE_INT)
		out->i = w->program->args->param_int[c->e->param->id];
	else
		out->f = w->program->args->param_float[c->e->param->id];
}

/* --- one operand --- */

#define MAP(OUT, X)                                                                                \
	for (int64_t l = low; l < high; l++) {                                                     \
		eval_value a = x[l];                                                               \
		out[l].OUT = X;                                                                    \
	}                                                                                          \
	break

static void map_float(expr_op op, eval_value *out, const eval_value *x, int64_t low, int64_t high)
{
	switch ((int)op) {
	case EXPR_NEG:
		MAP(f, -a.f);
	case EXPR_ABS:
		MAP(f, fabs(a.f));
	case EXPR_EXP:
		MAP(f, exp(a.f));
	case EXPR_LOG:
		MAP(f, log(a.f));
	case EXPR_TANH:
		MAP(f, tanh(a.f));
	case EXPR_SQRT:
		MAP(f, sqrt(a.f));
	case EXPR_SIN:
		MAP(f, sin(a.f));
	case EXPR_COS:
		MAP(f, cos(a.f));
	case EXPR_FLOOR:
		MAP(f, floor(a.f));
	default:
		ice("'%s' is no operation on one float", expr_op_info[op].text);
	}
}

static void map_other(expr_op op, eval_value *out, const eval_value *x, int64_t low, int64_t high)
{
	switch ((int)op) {
	case EXPR_NEG:
		MAP(i, (int64_t)(0 - (uint64_t)a.i));
	case EXPR_ABS:
		MAP(i, a.i < 0 ? (int64_t)(0 - (uint64_t)a.i) : a.i);
	case EXPR_TO_FLOAT:
		MAP(f, (double)a.i);
	case EXPR_NOT:
		MAP(i, !a.i);
	default:
		ice("'%s' is no operation on one int or bool", expr_op_info[op].text);
	}
}

static void apply_unary(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_value *x = eval_fetch(w, c->arg[0]);
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1;

	if (c->arg[0]->type == TYPE_FLOAT)
		map_float(c->e->op, out, x, low, high);
	else
		map_other(c->e->op, out, x, low, high);
}

/* --- two operands: a vector and a vector, a vector and a scalar, either way round, or two scalars
 * --- */

#define MAP2(OUT, X)                                                                               \
	if (dx && dy) {                                                                            \
		for (int64_t l = low; l < high; l++) {                                             \
			eval_value a = x[l], b = y[l];                                             \
			out[l].OUT = X;                                                            \
		}                                                                                  \
	} else if (dx) {                                                                           \
		eval_value b = y[0];                                                               \
		for (int64_t l = low; l < high; l++) {                                             \
			eval_value a = x[l];                                                       \
			out[l].OUT = X;                                                            \
		}                                                                                  \
	} else {                                                                                   \
		eval_value a = x[0];                                                               \
		for (int64_t l = low; l < high; l++) {                                             \
			eval_value b = y[dy ? l : 0];                                              \
			out[l].OUT = X;                                                            \
		}                                                                                  \
	}                                                                                          \
	break

typedef struct {
	const eval_value *x, *y;
	bool dx, dy; /* operand is a vector */
	int64_t low, high;
} pair;

static void map2_float(expr_op op, eval_value *out, pair p)
{
	const eval_value *x = p.x, *y = p.y;
	int64_t low = p.low, high = p.high;
	bool dx = p.dx, dy = p.dy;

	switch ((int)op) {
	case EXPR_ADD:
		MAP2(f, a.f + b.f);
	case EXPR_SUB:
		MAP2(f, a.f - b.f);
	case EXPR_MUL:
		MAP2(f, a.f * b.f);
	case EXPR_DIV:
		MAP2(f, a.f / b.f);
	case EXPR_MIN:
		MAP2(f, float_min(a.f, b.f));
	case EXPR_MAX:
		MAP2(f, float_max(a.f, b.f));
	case EXPR_POW:
		MAP2(f, pow(a.f, b.f));
	case EXPR_LT:
		MAP2(i, a.f < b.f);
	case EXPR_LE:
		MAP2(i, a.f <= b.f);
	case EXPR_EQ:
		MAP2(i, a.f == b.f);
	case EXPR_NE:
		MAP2(i, a.f != b.f);
	default:
		ice("'%s' is no operation on two floats", expr_op_info[op].text);
	}
}

static void map2_int(expr_op op, eval_value *out, pair p)
{
	const eval_value *x = p.x, *y = p.y;
	int64_t low = p.low, high = p.high;
	bool dx = p.dx, dy = p.dy;

	switch ((int)op) {
	case EXPR_ADD:
		MAP2(i, (int64_t)((uint64_t)a.i + (uint64_t)b.i));
	case EXPR_SUB:
		MAP2(i, (int64_t)((uint64_t)a.i - (uint64_t)b.i));
	case EXPR_MUL:
		MAP2(i, (int64_t)((uint64_t)a.i * (uint64_t)b.i));
	case EXPR_IDIV:
		MAP2(i, eval_int_divide(a.i, b.i));
	case EXPR_MOD:
		MAP2(i, eval_int_modulo(a.i, b.i));
	case EXPR_MIN:
		MAP2(i, a.i < b.i ? a.i : b.i);
	case EXPR_MAX:
		MAP2(i, a.i > b.i ? a.i : b.i);
	case EXPR_LT:
		MAP2(i, a.i < b.i);
	case EXPR_LE:
		MAP2(i, a.i <= b.i);
	case EXPR_EQ:
		MAP2(i, a.i == b.i);
	case EXPR_NE:
		MAP2(i, a.i != b.i);
	default:
		ice("'%s' is no operation on two ints", expr_op_info[op].text);
	}
}

static void apply_binary(eval_worker *w, const eval_cell *c, eval_value *out)
{
	pair p;

	eval_fetch_both(w, c->arg[0], c->arg[1], &p.x, &p.y);
	p.dx = c->arg[0]->lanes;
	p.dy = c->arg[1]->lanes;
	p.low = c->lanes ? w->low : 0;
	p.high = c->lanes ? w->high : 1;
	if (c->arg[0]->type == TYPE_FLOAT)
		map2_float(c->e->op, out, p);
	else
		map2_int(c->e->op, out, p);
}

/* --- choices --- */

/* The value of one branch on the current lanes; a branch without cell is the constant `otherwise`.
 */
static void take_branch(eval_worker *w, const eval_cell *c, const eval_cell *branch,
	int64_t otherwise, eval_value *out)
{
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1;
	const eval_value *x;

	if (!branch) {
		for (int64_t l = low; l < high; l++)
			out[l].i = otherwise;
		return;
	}
	x = eval_fetch(w, branch);
	for (int64_t l = low; l < high; l++)
		out[l] = x[branch->lanes ? l : 0];
}

/* A vector condition, copied: evaluating a branch may move what the condition reads. */
typedef struct {
	uint64_t word[SEMA_MAX_FEATURE / 64];
} lane_set;

static lane_set lanes_where(const eval_value *cond, int64_t low, int64_t high)
{
	lane_set set = {0};

	for (int64_t l = low; l < high; l++)
		set.word[l / 64] |= (uint64_t)(cond[l].i != 0) << l % 64;
	return set;
}

static bool has_lane(const lane_set *set, int64_t l)
{
	return set->word[l / 64] >> l % 64 & 1;
}

/* out = if ? yes : no, where a NULL branch stands for the constant true (yes) or false (no): one
 * maximal run of lanes with the same condition after the other. */
static void choose(eval_worker *w, const eval_cell *c, const eval_cell *yes, const eval_cell *no,
	eval_value *out)
{
	const eval_value *cond = eval_fetch(w, c->arg[0]);
	int64_t low = w->low, high = w->high;
	lane_set take;

	if (!c->arg[0]->lanes) {
		take_branch(w, c, cond->i ? yes : no, cond->i, out);
		return;
	}
	take = lanes_where(cond, low, high);
	for (int64_t l = low; l < high; l = w->high) {
		bool this = has_lane(&take, l);

		w->low = l;
		w->high = l + 1;
		while (w->high < high && has_lane(&take, w->high) == this)
			w->high++;
		take_branch(w, c, this ? yes : no, this, out);
	}
	w->low = low;
	w->high = high;
}

/* The same for branches that cannot fail: both on all lanes. */
static void blend(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_cell *yes = c->arg[1], *no = c->arg[2];
	lane_set take = lanes_where(eval_fetch(w, c->arg[0]), w->low, w->high);
	const eval_value *x, *y;

	eval_fetch_both(w, yes, no, &x, &y);
	for (int64_t l = w->low; l < w->high; l++)
		out[l] = has_lane(&take, l) ? x[yes->lanes ? l : 0] : y[no->lanes ? l : 0];
}

static void apply_where(eval_worker *w, const eval_cell *c, eval_value *out)
{
	if (c->arg[0]->lanes && c->arg[1]->total && c->arg[2]->total)
		blend(w, c, out);
	else
		choose(w, c, c->arg[1], c->arg[2], out);
}

static void apply_and(eval_worker *w, const eval_cell *c, eval_value *out)
{
	choose(w, c, c->arg[1], NULL, out);
}

static void apply_or(eval_worker *w, const eval_cell *c, eval_value *out)
{
	choose(w, c, NULL, c->arg[1], out);
}

eval_fn eval_op_function(const expr *e)
{
	switch ((int)e->op) {
	case EXPR_CONST_INT:
	case EXPR_CONST_FLOAT:
		return give_constant;
	case EXPR_COORD:
		return give_coord;
	case EXPR_LENGTH:
		return give_length;
	case EXPR_PARAM:
		return give_param;
	case EXPR_WHERE:
		return apply_where;
	case EXPR_AND:
		return apply_and;
	case EXPR_OR:
		return apply_or;
	default:
		return expr_op_info[e->op].arity == 1 ? apply_unary : apply_binary;
	}
}
