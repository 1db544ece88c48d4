/* value.c: checked expressions -> LLVM values.
 * in:  an environment that says which coordinates are scalars and which run along the vector
 * out: straight-line IR (loops only for sums over features)
 * A value that no vector coordinate reaches is computed once as a scalar and splat where it is
 * used. Integers are i64 as scalars and i32 in vectors, i64 where the range analysis cannot
 * exclude overflow. */
#include "host/host_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void hv_env_init(host_env *e, host_cx *h, V args, int width)
{
	size_t axes = (size_t)h->s->axis.count + 1, exprs = (size_t)h->s->expr_count + 1;

	*e = (host_env){.h = h, .width = width, .args = args};
	e->coord = calloc(axes, sizeof *e->coord);
	e->vcoord = calloc(axes, sizeof *e->vcoord);
	e->stream_at = calloc(HOST_MAX_STREAMS, sizeof *e->stream_at);
	e->memo = calloc(exprs, sizeof *e->memo);
	e->varies = calloc(exprs, 1);
	if (!e->coord || !e->vcoord || !e->stream_at || !e->memo || !e->varies)
		ice_memory("out of memory");
}

void hv_env_free(host_env *e)
{
	free(e->coord);
	free(e->vcoord);
	free(e->stream_at);
	free(e->memo);
	free(e->varies);
}

void hv_env_reset(host_env *e)
{
	size_t exprs = (size_t)e->h->s->expr_count + 1;

	memset(e->memo, 0, exprs * sizeof *e->memo);
	memset(e->varies, 0, exprs);
}

/* A copy with the same coordinates and nothing computed yet, for code that the parent does not
 * dominate. */
static void env_child(host_env *child, const host_env *parent, int width)
{
	size_t axes = (size_t)parent->h->s->axis.count + 1;

	hv_env_init(child, parent->h, parent->args, width);
	memcpy(child->coord, parent->coord, axes * sizeof *child->coord);
	if (width == parent->width)
		memcpy(child->vcoord, parent->vcoord, axes * sizeof *child->vcoord);
	memcpy(child->stream_at, parent->stream_at, HOST_MAX_STREAMS * sizeof *child->stream_at);
	child->dot = parent->dot;
	child->in_double = parent->in_double;
	child->unit = width == parent->width ? parent->unit : NULL;
	child->unit_base = parent->unit_base;
	child->mask = width == parent->width ? parent->mask : NULL;
}

/* Whether the value differs from element to element of a vector. */
static bool varies(host_env *e, const expr *x)
{
	expr *const *kid;
	int kids;
	bool v = false;

	if (e->width == 1)
		return false;
	if (e->varies[x->id])
		return e->varies[x->id] == 2;
	switch (x->op) {
	case EXPR_COORD:
		v = e->vcoord[x->axis->id] != NULL ||
		    (x->axis->kind == AXIS_GROUP && !e->coord[x->axis->id] &&
			    e->vcoord[x->axis->of->id]);
		break;
	case EXPR_DOT:
		v = true;
		break;
	case EXPR_DEF:
		v = varies(e, x->def->value);
		break;
	default:
		kids = expr_kids(x, &kid);
		for (int i = 0; i < kids && !v; i++)
			v = varies(e, kid[i]);
	}
	e->varies[x->id] = v ? 2 : 1;
	return v;
}

/* --- integers --- */

typedef struct {
	double lo, hi;
} range;

static range range_of(const expr *x, int depth)
{
	const double big = 2147483648.0, huge = 1e19;
	range a, b;
	double p[4];

	if (depth > 12)
		return (range){-huge, huge};
	switch (x->op) {
	case EXPR_CONST_INT:
		return (range){(double)x->i, (double)x->i};
	case EXPR_COORD:
		return (range){
			0, x->axis->kind == AXIS_FEATURE ? (double)x->axis->extent : big - 1};
	case EXPR_LENGTH:
		return (range){0, big - 1};
	case EXPR_LOAD:
		return (range){-big, big - 1};
	case EXPR_ADD:
	case EXPR_SUB:
	case EXPR_MUL:
	case EXPR_MIN:
	case EXPR_MAX:
		a = range_of(x->arg[0], depth + 1);
		b = range_of(x->arg[1], depth + 1);
		if (x->op == EXPR_ADD)
			return (range){a.lo + b.lo, a.hi + b.hi};
		if (x->op == EXPR_SUB)
			return (range){a.lo - b.hi, a.hi - b.lo};
		if (x->op == EXPR_MIN || x->op == EXPR_MAX)
			return (range){fmin(a.lo, b.lo), fmax(a.hi, b.hi)};
		p[0] = a.lo * b.lo, p[1] = a.lo * b.hi, p[2] = a.hi * b.lo, p[3] = a.hi * b.hi;
		return (range){fmin(fmin(p[0], p[1]), fmin(p[2], p[3])),
			fmax(fmax(p[0], p[1]), fmax(p[2], p[3]))};
	case EXPR_NEG:
		a = range_of(x->arg[0], depth + 1);
		return (range){-a.hi, -a.lo};
	case EXPR_ABS:
		a = range_of(x->arg[0], depth + 1);
		return (range){0, fmax(fabs(a.lo), fabs(a.hi))};
	case EXPR_IDIV:
	case EXPR_MOD:
		a = range_of(x->arg[0], depth + 1);
		b = range_of(x->arg[1], depth + 1);
		p[0] = fmax(fmax(fabs(a.lo), fabs(a.hi)), fmax(fabs(b.lo), fabs(b.hi)));
		return (range){-p[0] - 1, p[0] + 1};
	case EXPR_DEF:
		return range_of(x->def->value, depth + 1);
	default:
		return (range){-huge, huge};
	}
}

static bool fits_i32(const expr *x)
{
	range r = range_of(x, 0);

	return r.lo >= -2147483648.0 && r.hi <= 2147483647.0;
}

/* An integer as `width` elements of i32 or i64. */
static V int_as(host_env *e, V x, int width, T elem)
{
	host_cx *h = e->h;
	T have = LLVMTypeOf(x);
	int w = hb_width(x);

	if (w > 1)
		have = LLVMGetElementType(have);
	if (have != elem) {
		T to = hb_vec(h, elem, w);

		x = LLVMGetIntTypeWidth(have) < LLVMGetIntTypeWidth(elem)
			    ? LLVMBuildSExt(h->b, x, to, "")
			    : LLVMBuildTrunc(h->b, x, to, "");
	}
	return w == width ? x : hb_splat(h, x, width);
}

static V gen(host_env *e, const expr *x);

/* Floor quotient or modulus with the divisor's sign; a zero divisor gives 0. */
static V floor_divide(host_env *e, V a, V b, bool want_mod)
{
	host_cx *h = e->h;
	V zero = LLVMConstNull(LLVMTypeOf(a));
	V one = hb_const_splat(h,
		LLVMConstInt(
			hb_width(a) > 1 ? LLVMGetElementType(LLVMTypeOf(a)) : LLVMTypeOf(a), 1, 0),
		hb_width(a));
	V is_zero = hb_icmp(h, LLVMIntEQ, b, zero);
	V safe = hb_select(h, is_zero, one, b);
	V q = LLVMBuildSDiv(h->b, a, safe, "");
	V r = LLVMBuildSub(h->b, a, LLVMBuildMul(h->b, q, safe, ""), "");
	V signs = hb_icmp(h, LLVMIntSLT, LLVMBuildXor(h->b, r, safe, ""), zero);
	V fix = LLVMBuildAnd(h->b, hb_icmp(h, LLVMIntNE, r, zero), signs, "");

	if (want_mod)
		r = hb_select(h, fix, LLVMBuildAdd(h->b, r, safe, ""), r);
	else
		r = hb_select(h, fix, LLVMBuildSub(h->b, q, one, ""), q);
	return hb_select(h, is_zero, zero, r);
}

static V gen_int_op(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	int arity = expr_op_info[x->op].arity;
	V a = gen(e, x->arg[0]), b = arity > 1 ? gen(e, x->arg[1]) : NULL;
	int w = hb_width(a) > 1 || (b && hb_width(b) > 1) ? e->width : 1;
	bool narrow = w > 1 && fits_i32(x) && fits_i32(x->arg[0]) && (!b || fits_i32(x->arg[1]));
	T elem = narrow ? h->i32 : h->i64;

	a = int_as(e, a, w, elem);
	b = b ? int_as(e, b, w, elem) : NULL;
	switch (x->op) {
	case EXPR_ADD:
		return LLVMBuildAdd(h->b, a, b, "");
	case EXPR_SUB:
		return LLVMBuildSub(h->b, a, b, "");
	case EXPR_MUL:
		return LLVMBuildMul(h->b, a, b, "");
	case EXPR_IDIV:
	case EXPR_MOD:
		return floor_divide(e, a, b, x->op == EXPR_MOD);
	case EXPR_NEG:
		return LLVMBuildNeg(h->b, a, "");
	case EXPR_MIN:
		return hb_smin(h, a, b);
	case EXPR_MAX:
		return hb_smax(h, a, b);
	case EXPR_ABS:
		return hb_smax(h, a, LLVMBuildNeg(h->b, a, ""));
	default:
		ice("no integer operation '%s'", expr_op_info[x->op].text);
	}
}

/* --- floats --- */

static T float_type(const host_env *e)
{
	return e->in_double ? e->h->f64 : e->h->f32;
}

static V float_const(host_env *e, double v)
{
	return LLVMConstReal(float_type(e), v);
}

static V call_math(host_env *e, const expr *x, V a, V b)
{
	host_cx *h = e->h;
	T t = LLVMTypeOf(a);

	switch (x->op) {
	case EXPR_SQRT:
		return hb_intrinsic(h, "llvm.sqrt", &t, 1, &a, 1);
	case EXPR_FLOOR:
		return hb_intrinsic(h, "llvm.floor", &t, 1, &a, 1);
	case EXPR_EXP:
		return e->in_double ? hm_call(h, "exp", a, NULL) : hm_exp(h, a);
	case EXPR_LOG:
		return e->in_double ? hm_call(h, "log", a, NULL) : hm_log(h, a);
	case EXPR_TANH:
		return e->in_double ? hm_call(h, "tanh", a, NULL) : hm_tanh(h, a);
	case EXPR_SIN:
		return hm_call(h, "sin", a, NULL);
	case EXPR_COS:
		return hm_call(h, "cos", a, NULL);
	case EXPR_POW:
		return hm_call(h, "pow", a, b);
	default:
		ice("no function '%s'", expr_op_info[x->op].text);
	}
}

static V gen_float_op(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	int arity = expr_op_info[x->op].arity;
	V a = gen(e, x->arg[0]), b = arity > 1 ? gen(e, x->arg[1]) : NULL;
	int w = hb_width(a) > 1 || (b && hb_width(b) > 1) ? e->width : 1;
	T t;

	a = hb_splat(h, a, w > hb_width(a) ? w : 1);
	if (b)
		b = hb_splat(h, b, w > hb_width(b) ? w : 1);
	t = LLVMTypeOf(a);
	switch (x->op) {
	case EXPR_ADD:
		return LLVMBuildFAdd(h->b, a, b, "");
	case EXPR_SUB:
		return LLVMBuildFSub(h->b, a, b, "");
	case EXPR_MUL:
		return LLVMBuildFMul(h->b, a, b, "");
	case EXPR_DIV:
		return LLVMBuildFDiv(h->b, a, b, "");
	case EXPR_NEG:
		return LLVMBuildFNeg(h->b, a, "");
	case EXPR_MIN:
		return hb_select(h, hb_fcmp(h, LLVMRealOLT, b, a), b, a);
	case EXPR_MAX:
		return hb_select(h, hb_fcmp(h, LLVMRealOGT, b, a), b, a);
	case EXPR_ABS:
		return hb_intrinsic(h, "llvm.fabs", &t, 1, &a, 1);
	default:
		return call_math(e, x, a, b);
	}
}

/* --- booleans --- */

static V gen_compare(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	V a = gen(e, x->arg[0]), b = gen(e, x->arg[1]);
	int w = hb_width(a) > 1 || hb_width(b) > 1 ? e->width : 1;
	LLVMRealPredicate f = x->op == EXPR_LT   ? LLVMRealOLT
			      : x->op == EXPR_LE ? LLVMRealOLE
			      : x->op == EXPR_EQ ? LLVMRealOEQ
						 : LLVMRealUNE;
	LLVMIntPredicate i = x->op == EXPR_LT   ? LLVMIntSLT
			     : x->op == EXPR_LE ? LLVMIntSLE
			     : x->op == EXPR_EQ ? LLVMIntEQ
						: LLVMIntNE;

	if (x->arg[0]->type == TYPE_INT) {
		bool narrow = w > 1 && fits_i32(x->arg[0]) && fits_i32(x->arg[1]);
		T elem = narrow ? h->i32 : h->i64;

		return hb_icmp(h, i, int_as(e, a, w, elem), int_as(e, b, w, elem));
	}
	a = w > hb_width(a) ? hb_splat(h, a, w) : a;
	b = w > hb_width(b) ? hb_splat(h, b, w) : b;
	return x->arg[0]->type == TYPE_BOOL ? hb_icmp(h, i, a, b) : hb_fcmp(h, f, a, b);
}

static V gen_logic(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	V a = gen(e, x->arg[0]), b = x->op == EXPR_NOT ? NULL : gen(e, x->arg[1]);
	int w = hb_width(a) > 1 || (b && hb_width(b) > 1) ? e->width : 1;

	a = w > hb_width(a) ? hb_splat(h, a, w) : a;
	if (!b)
		return LLVMBuildNot(h->b, a, "");
	b = w > hb_width(b) ? hb_splat(h, b, w) : b;
	return x->op == EXPR_AND ? LLVMBuildAnd(h->b, a, b, "") : LLVMBuildOr(h->b, a, b, "");
}

static V gen_where(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	V c = gen(e, x->arg[0]), a = gen(e, x->arg[1]), b = gen(e, x->arg[2]);
	int w = hb_width(c) > 1 || hb_width(a) > 1 || hb_width(b) > 1 ? e->width : 1;

	if (x->type == TYPE_INT) {
		bool narrow = w > 1 && fits_i32(x->arg[1]) && fits_i32(x->arg[2]);
		T elem = narrow ? h->i32 : h->i64;

		a = int_as(e, a, w, elem);
		b = int_as(e, b, w, elem);
	} else {
		a = w > hb_width(a) ? hb_splat(h, a, w) : a;
		b = w > hb_width(b) ? hb_splat(h, b, w) : b;
	}
	return hb_select(h, w > hb_width(c) ? hb_splat(h, c, w) : c, a, b);
}

/* --- sums over features --- */

static V reduce_step(host_env *e, reduce_how how, V acc, V x)
{
	host_cx *h = e->h;

	switch (how) {
	case REDUCE_SUM:
		return LLVMBuildFAdd(h->b, acc, x, "");
	case REDUCE_PROD:
		return LLVMBuildFMul(h->b, acc, x, "");
	case REDUCE_MAX:
		return hb_select(h, hb_fcmp(h, LLVMRealOGT, x, acc), x, acc);
	case REDUCE_MIN:
		return hb_select(h, hb_fcmp(h, LLVMRealOLT, x, acc), x, acc);
	case REDUCE_LSE:
		break;
	}
	ice("reduction over features is not elementwise");
}

static double reduce_identity(reduce_how how)
{
	switch (how) {
	case REDUCE_PROD:
		return 1;
	case REDUCE_MAX:
		return -INFINITY;
	case REDUCE_MIN:
		return INFINITY;
	case REDUCE_SUM:
	case REDUCE_LSE:
		return 0;
	}
	return 0;
}

/* One axis after the other, the innermost element by element: for values that also run along the
 * vector. */
static void reduce_serial(host_env *e, const expr *x, int axis, V acc)
{
	host_cx *h = e->h;
	host_env in;
	hb_loop l;
	T type = hb_vec(h, float_type(e), e->width);

	if (axis == x->reduce.axes) {
		V v = gen(e, x->reduce.body);

		v = hb_width(v) < e->width ? hb_splat(h, v, e->width) : v;
		LLVMBuildStore(h->b, reduce_step(e, x->reduce.how, hb_get(h, type, acc), v), acc);
		return;
	}
	l = hb_loop_begin(
		h, hb_i64(h, 0), hb_i64(h, x->reduce.axis[axis]->extent), hb_i64(h, 1), "sum");
	env_child(&in, e, e->width);
	in.coord[x->reduce.axis[axis]->id] = l.i;
	reduce_serial(&in, x, axis + 1, acc);
	hv_env_free(&in);
	hb_loop_end(h, &l);
}

static V feature_mask(host_cx *h, V base, int64_t extent, int w)
{
	V lane = LLVMBuildSub(h->b, hb_i64(h, extent), base, "");

	lane = hb_splat(h, LLVMBuildTrunc(h->b, lane, h->i32, ""), w);
	return hb_icmp(h, LLVMIntSLT, hb_iota(h, w), lane);
}

/* Sum of one feature axis in vectors of w, for a value that is a scalar here. */
static V reduce_vector(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	const sema_axis *d = x->reduce.axis[0];
	int w = h->lay.w;
	T type = hb_vec(h, float_type(e), w);
	V none = hb_const_splat(h, float_const(e, reduce_identity(x->reduce.how)), w);
	V acc = hb_var(h, type, none), total;
	host_env in;
	hb_loop l = hb_loop_begin(h, hb_i64(h, 0), hb_i64(h, d->extent), hb_i64(h, w), "sum");
	V v;

	env_child(&in, e, w);
	in.unit = d;
	in.unit_base = l.i;
	in.mask = d->extent % w ? feature_mask(h, l.i, d->extent, w) : NULL;
	in.vcoord[d->id] = LLVMBuildAdd(
		h->b, hb_splat(h, LLVMBuildTrunc(h->b, l.i, h->i32, ""), w), hb_iota(h, w), "");
	v = gen(&in, x->reduce.body);
	v = hb_width(v) < w ? hb_splat(h, v, w) : v;
	if (in.mask)
		v = hb_select(h, in.mask, v, none);
	LLVMBuildStore(h->b, reduce_step(&in, x->reduce.how, hb_get(h, type, acc), v), acc);
	hv_env_free(&in);
	hb_loop_end(h, &l);
	v = hb_get(h, type, acc);
	total = LLVMBuildExtractElement(h->b, v, hb_i64(h, 0), "");
	for (int i = 1; i < w; i++)
		total = reduce_step(e, x->reduce.how, total,
			LLVMBuildExtractElement(h->b, v, hb_i64(h, i), ""));
	return total;
}

static V gen_reduce(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	host_env scalar;
	V acc, r;
	bool vary = varies(e, x);

	if (!vary && x->reduce.axes == 1) {
		env_child(&scalar, e, 1);
		r = reduce_vector(&scalar, x);
		hv_env_free(&scalar);
		return r;
	}
	acc = hb_var(h, hb_vec(h, float_type(e), vary ? e->width : 1), NULL);
	LLVMBuildStore(h->b,
		hb_const_splat(
			h, float_const(e, reduce_identity(x->reduce.how)), vary ? e->width : 1),
		acc);
	env_child(&scalar, e, vary ? e->width : 1);
	reduce_serial(&scalar, x, 0, acc);
	hv_env_free(&scalar);
	return hb_get(h, hb_vec(h, float_type(e), vary ? e->width : 1), acc);
}

/* --- leaves --- */

static V gen_coord(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	const sema_axis *a = x->axis;
	V parent, ratio;

	if (e->width > 1 && e->vcoord[a->id])
		return e->vcoord[a->id];
	if (e->coord[a->id])
		return e->coord[a->id];
	if (a->kind != AXIS_GROUP)
		ice("coordinate '%s' is not known here", a->name);
	ratio = LLVMBuildSDiv(h->b, hv_length(e, a->of->length), hv_length(e, a->length), "");
	parent = e->width > 1 && e->vcoord[a->of->id] ? e->vcoord[a->of->id] : e->coord[a->of->id];
	if (!parent)
		ice("coordinate '%s' is not known here", a->name);
	return LLVMBuildSDiv(h->b, parent,
		int_as(e, ratio, hb_width(parent), hb_width(parent) > 1 ? h->i32 : h->i64), "");
}

static V gen_param(host_env *e, const sema_param *p)
{
	host_cx *h = e->h;
	V at = hb_at(h, e->args, hb_i64(h, h->lay.arg_param + p->id), h->i64);

	if (p->type == TYPE_INT)
		return hb_load(h, h->i64, at, 8);
	at = hb_load(h, h->f64, at, 8);
	return e->in_double ? at : LLVMBuildFPTrunc(h->b, at, h->f32, "");
}

static V gen_stream(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	int s = e->width > 1 && !e->in_double ? hs_find(&h->lay, x) : -1;

	if (s < 0 || !e->stream_at[s] || h->lay.stream[s].d != e->unit)
		return NULL;
	return hb_vload(h, hb_at(h, e->stream_at[s], e->unit_base, h->f32), 4);
}

static V to_float(host_env *e, V x)
{
	return LLVMBuildSIToFP(e->h->b, x, hb_vec(e->h, float_type(e), hb_width(x)), "");
}

static V gen_new(host_env *e, const expr *x)
{
	switch (x->op) {
	case EXPR_CONST_INT:
		return hb_i64(e->h, x->i);
	case EXPR_CONST_FLOAT:
		return float_const(e, x->f);
	case EXPR_COORD:
		return gen_coord(e, x);
	case EXPR_LENGTH:
		return hv_length(e, x->length);
	case EXPR_PARAM:
		return gen_param(e, x->param);
	case EXPR_LOAD:
		return hv_load_element(e, x);
	case EXPR_DEF:
		return gen(e, x->def->value);
	case EXPR_DOT:
		return e->dot;
	case EXPR_TO_FLOAT:
		return to_float(e, gen(e, x->arg[0]));
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_EQ:
	case EXPR_NE:
		return gen_compare(e, x);
	case EXPR_AND:
	case EXPR_OR:
	case EXPR_NOT:
		return gen_logic(e, x);
	case EXPR_WHERE:
		return gen_where(e, x);
	case EXPR_REDUCE:
		return gen_reduce(e, x);
	default:
		return x->type == TYPE_INT ? gen_int_op(e, x) : gen_float_op(e, x);
	}
}

static V gen(host_env *e, const expr *x)
{
	V v = e->memo[x->id];

	if (v)
		return v;
	v = gen_stream(e, x);
	if (!v && e->width > 1 && !varies(e, x) && expr_op_info[x->op].arity > 0 &&
		x->op != EXPR_REDUCE) {
		int width = e->width;

		e->width = 1; /* uniform: compute once as a scalar */
		v = gen_new(e, x);
		e->width = width;
	} else if (!v) {
		v = gen_new(e, x);
	}
	e->memo[x->id] = v;
	return v;
}

V hv_generate(host_env *e, const expr *x)
{
	return gen(e, x);
}

/* Trigonometric arguments grow with the position; float32 would lose their fraction, so the
 * expression is double. */
static bool needs_double(const host_env *e, const expr *x, int depth)
{
	expr *const *kid;
	int kids, s = hs_find(&e->h->lay, x);

	if (s >= 0 && e->width > 1 && e->stream_at[s])
		return false;
	if (x->op == EXPR_SIN || x->op == EXPR_COS || x->op == EXPR_POW)
		return true;
	if (depth > 24)
		return false;
	if (x->op == EXPR_DEF)
		return needs_double(e, x->def->value, depth + 1);
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		if (needs_double(e, kid[i], depth + 1))
			return true;
	return false;
}

V hv_float(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	V v = gen_stream(e, x);

	if (!v && !e->in_double && needs_double(e, x, 0)) {
		host_env d;

		env_child(&d, e, e->width);
		d.in_double = true;
		if (e->dot)
			d.dot = LLVMBuildFPExt(
				h->b, e->dot, hb_vec(h, h->f64, hb_width(e->dot)), "");
		v = gen(&d, x);
		if (x->type == TYPE_INT)
			v = to_float(&d, v);
		v = LLVMBuildFPTrunc(h->b, v, hb_vec(h, h->f32, hb_width(v)), "");
		hv_env_free(&d);
	} else if (!v) {
		v = gen(e, x);
		if (x->type == TYPE_INT)
			v = to_float(e, v);
	}
	return hb_width(v) < e->width ? hb_splat(h, v, e->width) : v;
}

V hv_bool(host_env *e, const expr *x)
{
	V v = gen(e, x);

	return hb_width(v) < e->width ? hb_splat(e->h, v, e->width) : v;
}

V hv_int64(host_env *e, const expr *x)
{
	return int_as(e, gen(e, x), 1, e->h->i64);
}
