/* value.c: checked expressions -> tile values.
 * in:  an environment with the coordinates known here, scalars or register-tile elements
 * out: a tile value of type i32, i64, f32 or b1
 * Elementary functions become ex2, lg2 and polynomials, so that both emitters and the simulator
 * compute the same. Subscripts that are not the plain coordinate of their own dimension are
 * clamped to it: no address leaves its tensor, whatever a spec computes. */
#include "gpu/gpu_internal.h"
#include <math.h>

void gpu_env_init(gpu_cx *g, gpu_env *e)
{
	size_t axes = (size_t)g->s->axis.count + 1;

	*e = (gpu_env){.coord = ARENA_ARRAY(g->p->arena, X, axes)};
	for (int i = 0; g->base_coord && i < g->s->axis.count; i++)
		e->coord[i] = g->base_coord[i];
}

static X i64(gpu_cx *g, X x)
{
	return x->type == TILE_I64 ? x : tx_cvt(g->p, TILE_I64, x);
}

static bool plain(const expr *sub, const sema_dim *dim)
{
	if (sub->op != EXPR_COORD)
		return false;
	if (sub->axis->kind == AXIS_FEATURE)
		return dim->length == NULL && sub->axis->extent <= dim->extent;
	return sub->axis->length == dim->length ||
	       (dim->axis && dim->axis->length == sub->axis->length);
}

static X dim_size(gpu_cx *g, const sema_dim *d)
{
	const sema_length *l = d->length ? d->length : d->axis ? d->axis->length : NULL;

	return l ? tx_arg(g->p, g->length[l->id]) : tx_i32(g->p, d->extent);
}

X gpu_offset(gpu_cx *g, const sema_tensor *t, X *sub)
{
	X offset = tx_i64(g->p, 0);

	for (int d = 0; d < t->rank; d++) {
		X part;

		if (!sub[d])
			continue;
		part = i64(g, sub[d]);
		if (g->stride[t->id][d])
			part = tx_2(g->p, TX_MUL, part, tx_arg(g->p, g->stride[t->id][d]));
		offset = tx_2(g->p, TX_ADD, offset, part);
	}
	return offset;
}

static X value_load(gpu_cx *g, gpu_env *e, const expr *x)
{
	const sema_tensor *t = x->load.tensor;
	X sub[SEMA_MAX_RANK];

	for (int d = 0; d < t->rank; d++) {
		X last;

		sub[d] = gpu_value(g, e, x->load.sub[d]);
		if (plain(x->load.sub[d], &t->dim[d]))
			continue;
		last = tx_2(g->p, TX_SUB, dim_size(g, &t->dim[d]), tx_i32(g->p, 1));
		sub[d] = tx_2(g->p, TX_MAX, tx_2(g->p, TX_MIN, sub[d], last), tx_i32(g->p, 0));
	}
	return tx_global(g->p, g->tensor[t->id], gpu_offset(g, t, sub));
}

static X value_coord(gpu_cx *g, gpu_env *e, const sema_axis *a)
{
	X parent, per;

	if (e->coord[a->id])
		return e->coord[a->id];
	if (a->kind != AXIS_GROUP || !e->coord[a->of->id])
		ice("coordinate '%s' is not known here", a->name);
	parent = e->coord[a->of->id];
	per = tx_2(g->p, TX_DIV, tx_arg(g->p, g->length[a->of->length->id]),
		tx_arg(g->p, g->length[a->length->id]));
	return tx_2(g->p, TX_DIV, parent, per);
}

/* --- elementary functions --- */

static X f32(gpu_cx *g, double v)
{
	return tx_f32(g->p, v);
}

static X mul(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_MUL, a, b);
}

static X fma_(gpu_cx *g, X a, X b, X c)
{
	return tx_3(g->p, TX_FMA, a, b, c);
}

static X polynomial(gpu_cx *g, X x, const double *c, int n)
{
	X r = f32(g, c[0]);

	for (int i = 1; i < n; i++)
		r = fma_(g, r, x, f32(g, c[i]));
	return r;
}

static X value_exp(gpu_cx *g, X x)
{
	return tx_1(g->p, TX_EX2, mul(g, x, f32(g, 1.44269504088896340736)));
}

static X value_log(gpu_cx *g, X x)
{
	return mul(g, tx_1(g->p, TX_LG2, x), f32(g, 0.69314718055994530942));
}

/* tanh: an odd polynomial near 0, 1 - 2 / (e^2x + 1) elsewhere (ranges as in Cephes' tanhf). */
static X value_tanh(gpu_cx *g, X x)
{
	static const double c[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
		1.33314422036e-1, -3.33332819422e-1};
	X z = mul(g, x, x), size = tx_1(g->p, TX_ABS, x), e, big, small;

	small = fma_(g, mul(g, polynomial(g, z, c, 5), z), x, x);
	e = value_exp(g, mul(g, x, f32(g, 2)));
	big = fma_(g, f32(g, -2), tx_1(g->p, TX_RCP, tx_2(g->p, TX_ADD, e, f32(g, 1))), f32(g, 1));
	return tx_3(g->p, TX_SELECT, tx_2(g->p, TX_LT, size, f32(g, 0.625)), small, big);
}

/* sin (quadrant 0) or cos (1): reduction by pi/2 in three parts, then the two minimax polynomials
 * of Cephes. */
static X value_trig(gpu_cx *g, X x, int quadrant)
{
	static const double s[] = {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1};
	static const double c[] = {
		2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2};
	X n = tx_1(g->p, TX_FLOOR, fma_(g, x, f32(g, 0.63661977236758134308), f32(g, 0.5))), r, z,
	  sn, cs, k, odd, v;

	r = fma_(g, n, f32(g, -1.5703125), x);
	r = fma_(g, n, f32(g, -4.83751296997070312500e-4), r);
	r = fma_(g, n, f32(g, -7.54978995489188216e-8), r);
	z = mul(g, r, r);
	sn = fma_(g, mul(g, polynomial(g, z, s, 3), z), r, r);
	cs = fma_(g, mul(g, polynomial(g, z, c, 3), z), z, fma_(g, z, f32(g, -0.5), f32(g, 1)));
	k = tx_2(g->p, TX_ADD, tx_cvt(g->p, TILE_I32, n), tx_i32(g->p, quadrant));
	odd = tx_2(g->p, TX_EQ, tx_2(g->p, TX_AND, k, tx_i32(g->p, 1)), tx_i32(g->p, 1));
	v = tx_3(g->p, TX_SELECT, odd, cs, sn);
	odd = tx_2(g->p, TX_EQ, tx_2(g->p, TX_AND, k, tx_i32(g->p, 2)), tx_i32(g->p, 2));
	return tx_3(g->p, TX_SELECT, odd, tx_1(g->p, TX_NEG, v), v);
}

/* x^y: |x|^y by lg2 and ex2; a negative base keeps its sign for odd integral y, NaN for fractional
 * y. */
static X value_pow(gpu_cx *g, X x, X y)
{
	X size = tx_1(g->p, TX_ABS, x), r = tx_1(g->p, TX_EX2, mul(g, tx_1(g->p, TX_LG2, size), y)),
	  half, whole, odd;
	X zero = f32(g, 0), negative = tx_2(g->p, TX_LT, x, zero);

	whole = tx_2(g->p, TX_EQ, tx_1(g->p, TX_FLOOR, y), y);
	half = mul(g, y, f32(g, 0.5));
	odd = tx_2(g->p, TX_NE, tx_1(g->p, TX_FLOOR, half), half);
	r = tx_3(g->p, TX_SELECT, tx_2(g->p, TX_AND, negative, odd), tx_1(g->p, TX_NEG, r), r);
	r = tx_3(g->p, TX_SELECT, tx_2(g->p, TX_AND, negative, tx_1(g->p, TX_NOT, whole)),
		f32(g, NAN), r);
	return tx_3(g->p, TX_SELECT, tx_2(g->p, TX_EQ, y, zero), f32(g, 1), r);
}

/* --- the tree --- */

static tile_expr_op binary_op(expr_op op)
{
	switch (op) {
	case EXPR_ADD:
		return TX_ADD;
	case EXPR_SUB:
		return TX_SUB;
	case EXPR_MUL:
		return TX_MUL;
	case EXPR_DIV:
	case EXPR_IDIV:
		return TX_DIV;
	case EXPR_MOD:
		return TX_MOD;
	case EXPR_MIN:
		return TX_MIN;
	case EXPR_MAX:
		return TX_MAX;
	case EXPR_LT:
		return TX_LT;
	case EXPR_LE:
		return TX_LE;
	case EXPR_EQ:
		return TX_EQ;
	case EXPR_NE:
		return TX_NE;
	case EXPR_AND:
		return TX_AND;
	case EXPR_OR:
		return TX_OR;
	default:
		ice("'%s' is no binary tile operation", expr_op_info[op].text);
	}
}

/* A product of two unknown integers can pass 2^31. */
static bool needs_i64(const expr *x)
{
	return x->op == EXPR_MUL && x->type == TYPE_INT && x->arg[0]->op != EXPR_CONST_INT &&
	       x->arg[1]->op != EXPR_CONST_INT;
}

static X value_arithmetic(gpu_cx *g, gpu_env *e, const expr *x)
{
	int arity = expr_op_info[x->op].arity;
	X a = gpu_value(g, e, x->arg[0]), b = arity > 1 ? gpu_value(g, e, x->arg[1]) : NULL;

	if (needs_i64(x))
		a = i64(g, a);
	switch (x->op) {
	case EXPR_NEG:
		return tx_1(g->p, TX_NEG, a);
	case EXPR_ABS:
		return tx_1(g->p, TX_ABS, a);
	case EXPR_NOT:
		return tx_1(g->p, TX_NOT, a);
	case EXPR_TO_FLOAT:
		return tx_cvt(g->p, TILE_F32, a);
	case EXPR_EXP:
		return value_exp(g, a);
	case EXPR_LOG:
		return value_log(g, a);
	case EXPR_TANH:
		return value_tanh(g, a);
	case EXPR_SQRT:
		return tx_1(g->p, TX_SQRT, a);
	case EXPR_SIN:
		return value_trig(g, a, 0);
	case EXPR_COS:
		return value_trig(g, a, 1);
	case EXPR_POW:
		return value_pow(g, a, b);
	case EXPR_FLOOR:
		return tx_1(g->p, TX_FLOOR, a);
	default:
		return tx_2(g->p, binary_op(x->op), a, b);
	}
}

/* A sum over features inside a value (c, normalisations): written out term by term. */
static X value_reduce(gpu_cx *g, gpu_env *e, const expr *x)
{
	const sema_axis *d = x->reduce.axis[0];
	X acc = NULL, before = e->coord[d->id];

	if (x->reduce.axes != 1 || d->kind != AXIS_FEATURE)
		ice("only sums over one feature axis are values");
	for (int64_t i = 0; i < d->extent; i++) {
		X v;

		e->coord[d->id] = tx_i32(g->p, i);
		v = gpu_float(g, e, x->reduce.body);
		if (!acc)
			acc = v;
		else
			acc = tx_2(g->p,
				x->reduce.how == REDUCE_SUM    ? TX_ADD
				: x->reduce.how == REDUCE_PROD ? TX_MUL
				: x->reduce.how == REDUCE_MAX  ? TX_MAX
							       : TX_MIN,
				acc, v);
	}
	e->coord[d->id] = before;
	return acc;
}

X gpu_value(gpu_cx *g, gpu_env *e, const expr *x)
{
	int s = model_stream_find(&g->plan->streams, x);

	if (s >= 0 && e->stream[s])
		return e->stream[s];
	switch (x->op) {
	case EXPR_CONST_INT:
		return x->i > INT32_MAX || x->i < INT32_MIN ? tx_i64(g->p, x->i)
							    : tx_i32(g->p, x->i);
	case EXPR_CONST_FLOAT:
		return tx_f32(g->p, x->f);
	case EXPR_COORD:
		return value_coord(g, e, x->axis);
	case EXPR_LENGTH:
		return tx_arg(g->p, g->length[x->length->id]);
	case EXPR_PARAM:
		return tx_arg(g->p, g->param[x->param->id]);
	case EXPR_LOAD:
		return value_load(g, e, x);
	case EXPR_DEF:
		return gpu_value(g, e, x->def->value);
	case EXPR_DOT:
		return e->dot;
	case EXPR_WHERE:
		return tx_3(g->p, TX_SELECT, gpu_value(g, e, x->arg[0]), gpu_value(g, e, x->arg[1]),
			gpu_value(g, e, x->arg[2]));
	case EXPR_REDUCE:
		for (int i = 0; i < e->sums; i++)
			if (e->sum[i] == x)
				return e->sum_value[i];
		return value_reduce(g, e, x);
	default:
		return value_arithmetic(g, e, x);
	}
}

X gpu_float(gpu_cx *g, gpu_env *e, const expr *x)
{
	X v = gpu_value(g, e, x);

	return v->type == TILE_F32 ? v : tx_cvt(g->p, TILE_F32, v);
}
