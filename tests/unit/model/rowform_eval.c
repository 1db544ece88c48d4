/* rowform_eval.c: see rowform_eval.h. */
#include "rowform_eval.h"
#include <math.h>
#include <stdlib.h>

static double value(rowform_env *v, const expr *e);

static int64_t floor_div(int64_t a, int64_t b)
{
	return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t rowform_dim(const rowform_env *v, const sema_tensor *t, int dim)
{
	const sema_dim *d = &t->dim[dim];
	const sema_length *l = d->length ? d->length : d->axis ? d->axis->length : NULL;

	return l ? v->length[l->id] : d->extent ? d->extent : d->axis->extent;
}

int64_t rowform_elements(const rowform_env *v, const sema_tensor *t)
{
	int64_t n = 1;

	for (int i = 0; i < t->rank; i++)
		n *= rowform_dim(v, t, i);
	return n;
}

static void set_coord(rowform_env *v, const sema_axis *a, int64_t at)
{
	v->coord[a->id] = at;
	if (a->group) {
		int64_t per = v->length[a->length->id] / v->length[a->group->length->id];

		v->coord[a->group->id] = at / per;
	}
}

static double load(rowform_env *v, const expr *e)
{
	const sema_tensor *t = e->load.tensor;
	int64_t at = 0;

	for (int i = 0; i < t->rank; i++) {
		int64_t n = rowform_dim(v, t, i), k = (int64_t)value(v, e->load.sub[i]);

		if (k < 0 || k >= n)
			return NAN; /* only where() may hide it */
		at = at * n + k;
	}
	return v->tensor[t->id][at];
}

static double sum(rowform_env *v, const expr *e, int axis)
{
	double r = e->reduce.how == REDUCE_PROD  ? 1
		   : e->reduce.how == REDUCE_MAX ? -INFINITY
		   : e->reduce.how == REDUCE_MIN ? INFINITY
						 : 0;

	if (axis >= e->reduce.axes || axis >= SEMA_MAX_KEYS)
		return value(v, e->reduce.body);
	for (int64_t i = 0; i < e->reduce.axis[axis]->extent; i++) {
		double x;

		v->coord[e->reduce.axis[axis]->id] = i;
		x = sum(v, e, axis + 1);
		r = e->reduce.how == REDUCE_PROD  ? r * x
		    : e->reduce.how == REDUCE_MAX ? fmax(r, x)
		    : e->reduce.how == REDUCE_MIN ? fmin(r, x)
						  : r + x;
	}
	return r;
}

static double atom(rowform_env *v, const expr *e)
{
	switch (e->op) {
	case EXPR_CONST_INT:
		return (double)e->i;
	case EXPR_CONST_FLOAT:
		return e->f;
	case EXPR_COORD:
		return (double)v->coord[e->axis->id];
	case EXPR_LENGTH:
		return (double)v->length[e->length->id];
	case EXPR_PARAM:
		return e->type == TYPE_INT ? (double)v->param_int[e->param->id]
					   : v->param_float[e->param->id];
	case EXPR_LOAD:
		return load(v, e);
	case EXPR_DOT:
		return v->x;
	case EXPR_REDUCE:
		return sum(v, e, 0);
	default:
		abort(); /* DEF, SOFTMAX: no part of a row form */
	}
}

static double binary(expr_op op, double x, double y)
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
	case EXPR_IDIV:
		return (double)floor_div((int64_t)x, (int64_t)y);
	case EXPR_MOD:
		return y == 0 ? 0 : x - y * (double)floor_div((int64_t)x, (int64_t)y);
	case EXPR_MIN:
		return x < y ? x : y;
	case EXPR_MAX:
		return x > y ? x : y;
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
		abort();
	}
}

static double unary(expr_op op, double x)
{
	switch (op) {
	case EXPR_NEG:
		return -x;
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
	case EXPR_NOT:
		return x == 0;
	default:
		abort();
	}
}

static double value(rowform_env *v, const expr *e)
{
	double x;

	if (e->op == EXPR_WHERE)
		return value(v, e->arg[value(v, e->arg[0]) != 0 ? 1 : 2]);
	if (e->op == EXPR_REDUCE || expr_op_info[e->op].arity == 0)
		return atom(v, e);
	x = value(v, e->arg[0]);
	return expr_op_info[e->op].arity == 1 ? unary(e->op, x)
					      : binary(e->op, x, value(v, e->arg[1]));
}

/* --- the loops --- */

/* One row's running results: maximum, sum of exponentials, and each output's sums. */
typedef struct {
	const row_form *m;
	double max, total;
	double *out[MODEL_MAX_OUTPUTS];
	bool measure; /* first pass: only the maximum */
} row_state;

static int64_t extent(const model_output *o)
{
	return o->e ? o->e->extent : 1;
}

static double score(rowform_env *v, const row_form *m)
{
	double x = m->c ? value(v, m->c) : 0;

	for (int i = 0; i < m->segments; i++)
		for (int64_t d = 0; d < m->segment[i].d->extent; d++) {
			double a;

			v->coord[m->segment[i].d->id] = d;
			a = value(v, m->segment[i].a);
			v->coord[m->segment[i].d->id] = d;
			x += a * value(v, m->segment[i].b);
		}
	v->x = x;
	return value(v, m->f);
}

static double factor_at(rowform_env *v, const expr *e)
{
	return e ? value(v, e) : 1;
}

static void tuple(rowform_env *v, row_state *r)
{
	const row_form *m = r->m;
	double s, p;

	for (int i = 0; i < m->masks; i++)
		if (value(v, m->mask[i]) == 0)
			return;
	s = score(v, m);
	if (r->measure) {
		r->max = s > r->max ? s : r->max;
		return;
	}
	p = m->normalised ? exp(s - r->max) : s;
	r->total += p;
	for (int k = 0; k < m->outputs; k++) {
		const model_output *o = &m->output[k];

		for (int64_t e = 0; o->kind == OUTPUT_SUM && e < extent(o); e++) {
			if (o->e)
				v->coord[o->e->id] = e;
			r->out[k][e] += p * factor_at(v, o->outer) * factor_at(v, o->inner);
		}
	}
}

/* Visits the keys of outer axis `n` on, the inner axis last. */
static void keys(rowform_env *v, row_state *r, int n)
{
	const row_form *m = r->m;
	const sema_axis *key = n < m->outers && n < SEMA_MAX_KEYS - 1 ? m->outer[n] : m->inner;
	int64_t first = 0, last = v->length[key->length->id] - 1;

	if (n > m->outers) {
		tuple(v, r);
		return;
	}
	if (key->window.first && value(v, key->window.first) > (double)first)
		first = (int64_t)value(v, key->window.first);
	if (key->window.last && value(v, key->window.last) < (double)last)
		last = (int64_t)value(v, key->window.last);
	for (int64_t k = first; k <= last; k++) {
		set_coord(v, key, k);
		keys(v, r, n + 1);
	}
}

static void store(rowform_env *v, const model_output *o, double x)
{
	const sema_tensor *t = o->tensor;
	int64_t at = 0;

	for (int i = 0; i < t->rank; i++)
		at = at * rowform_dim(v, t, i) + v->coord[t->dim[i].axis->id];
	v->tensor[t->id][at] = x;
}

static void row(rowform_env *v, const row_form *m)
{
	row_state r = {.m = m, .max = -INFINITY, .measure = true};
	double sink = m->sink ? value(v, m->sink) : -INFINITY;

	for (int k = 0; k < m->outputs; k++)
		r.out[k] = calloc((size_t)extent(&m->output[k]), sizeof(double));
	keys(v, &r, 0);
	r.max = sink > r.max ? sink : r.max;
	r.measure = false;
	keys(v, &r, 0);
	r.total += m->sink ? exp(sink - r.max) : 0;
	for (int k = 0; k < m->outputs; k++) {
		const model_output *o = &m->output[k];

		for (int64_t e = 0; e < extent(o); e++) {
			double x = r.out[k][e];

			if (o->e)
				v->coord[o->e->id] = e;
			if (o->kind == OUTPUT_LSE)
				x = r.total == 0 ? -INFINITY : r.max + log(r.total);
			else if (m->normalised)
				x = r.total == 0 ? 0 : x / r.total;
			x *= factor_at(v, o->row);
			store(v, o, o->plus ? x + value(v, o->plus) : x);
		}
		free(r.out[k]);
	}
}

static void rows(rowform_env *v, const row_form *m, int axis)
{
	const sema_axis *a;

	if (axis == m->spec->axis.count) {
		row(v, m);
		return;
	}
	a = m->spec->axis.item[axis];
	if (a->kind != AXIS_ROW && a->kind != AXIS_QUERY) {
		rows(v, m, axis + 1);
		return;
	}
	for (int64_t i = 0; i < v->length[a->length->id]; i++) {
		set_coord(v, a, i);
		rows(v, m, axis + 1);
	}
}

void rowform_run(rowform_env *v, const row_form *m)
{
	rows(v, m, 0);
}
