/* access.c: tensors in memory. Addresses from the argument block, loads of every dtype as f32 (or
 * double), stores. Subscripts that are not the plain coordinate of their own dimension are clamped
 * to it, so no address leaves its tensor whatever a spec computes; the reference reports such
 * subscripts. */
#include "host/host_internal.h"

static V arg_word(host_env *e, int word, T type)
{
	return hb_load(e->h, type, hb_at(e->h, e->args, hb_i64(e->h, word), e->h->i64), 8);
}

V hv_length(host_env *e, const sema_length *l)
{
	return arg_word(e, e->h->lay.arg_length + l->id, e->h->i64);
}

V hv_data(host_env *e, const sema_tensor *t)
{
	return arg_word(e, t->id, e->h->ptr);
}

V hv_stride(host_env *e, const sema_tensor *t, int dim)
{
	return arg_word(e, e->h->lay.arg_stride[t->id] + dim, e->h->i64);
}

static T memory_type(host_cx *h, sema_dtype t)
{
	switch (t) {
	case DTYPE_BF16:
		return h->i16;
	case DTYPE_F16:
		return h->f16;
	case DTYPE_F32:
		return h->f32;
	case DTYPE_I32:
		return h->i32;
	case DTYPE_F64:
		return h->f64;
	}
	return h->f32;
}

/* Memory representation -> the value type of the environment. */
static V widen(host_env *e, sema_dtype t, V x)
{
	host_cx *h = e->h;
	int w = hb_width(x);

	if (t == DTYPE_I32)
		return w > 1 ? x : LLVMBuildSExt(h->b, x, h->i64, "");
	if (t == DTYPE_BF16) {
		x = LLVMBuildZExt(h->b, x, hb_vec(h, h->i32, w), "");
		x = LLVMBuildShl(h->b, x, hb_const_splat(h, hb_i32(h, 16), w), "");
		x = LLVMBuildBitCast(h->b, x, hb_vec(h, h->f32, w), "");
	} else if (t == DTYPE_F16) {
		x = LLVMBuildFPExt(h->b, x, hb_vec(h, h->f32, w), "");
	} else if (t == DTYPE_F64 && !e->in_double) {
		return LLVMBuildFPTrunc(h->b, x, hb_vec(h, h->f32, w), "");
	}
	return e->in_double && t != DTYPE_F64 ? LLVMBuildFPExt(h->b, x, hb_vec(h, h->f64, w), "")
					      : x;
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

static const sema_length *dim_length(const sema_dim *d)
{
	return d->length ? d->length : d->axis ? d->axis->length : NULL;
}

static V widen_index(host_env *e, V x, int w)
{
	host_cx *h = e->h;
	int have = hb_width(x);
	T elem = have > 1 ? LLVMGetElementType(LLVMTypeOf(x)) : LLVMTypeOf(x);

	if (elem != h->i64)
		x = LLVMBuildSExt(h->b, x, hb_vec(h, h->i64, have), "");
	return have < w ? hb_splat(h, x, w) : x;
}

/* The subscript as i64 (scalar or vector), clamped unless it is plain. */
static V subscript(host_env *e, const expr *x, int dim)
{
	host_cx *h = e->h;
	const sema_dim *d = &x->load.tensor->dim[dim];
	const expr *sub = x->load.sub[dim];
	V v = hv_generate(e, sub), top, zero;
	int w = hb_width(v);

	v = widen_index(e, v, w);
	if (plain(sub, d) && !(e->mask && w > 1))
		return v;
	top = dim_length(d) ? LLVMBuildSub(h->b, hv_length(e, dim_length(d)), hb_i64(h, 1), "")
			    : hb_i64(h, d->extent - 1);
	zero = hb_const_splat(h, hb_i64(h, 0), w);
	return hb_smax(h, hb_smin(h, v, hb_splat(h, top, w)), zero);
}

static V gather(host_env *e, const expr *x, V offset)
{
	host_cx *h = e->h;
	const sema_tensor *t = x->load.tensor;
	int w = hb_width(offset);
	T elem = memory_type(h, t->dtype);
	T over[] = {LLVMVectorType(elem, (unsigned)w), LLVMVectorType(h->ptr, (unsigned)w)};
	V at = hb_at(h, hv_data(e, t), offset, elem);
	V arg[] = {at, hb_i32(h, sema_dtype_size(t->dtype)),
		hb_const_splat(h, LLVMConstInt(h->i1, 1, 0), w), LLVMGetPoison(over[0])};

	return hb_intrinsic(h, "llvm.masked.gather", over, 2, arg, 4);
}

/* w features from `at` on, stride one. */
static V load_run(host_env *e, sema_dtype t, V at)
{
	host_cx *h = e->h;
	T elem = memory_type(h, t), type = hb_vec(h, elem, e->width);
	T over[] = {type, h->ptr};
	V arg[] = {at, hb_i32(h, sema_dtype_size(t)), e->mask, LLVMConstNull(type)};

	if (!e->mask)
		return hb_load(h, type, at, sema_dtype_size(t));
	return hb_intrinsic(h, "llvm.masked.load", over, 2, arg, 4);
}

/* Features along the vector through the dimension `unit`: one vector load when its stride is one,
 * else a gather. */
static V load_features(host_env *e, const expr *x, V base, int unit)
{
	host_cx *h = e->h;
	const sema_tensor *t = x->load.tensor;
	V stride = hv_stride(e, t, unit);
	T elem = memory_type(h, t->dtype), type = hb_vec(h, elem, e->width);
	V from, step, value[2], phi;
	BB block[2];
	hb_if i;

	from = LLVMBuildAdd(h->b, base, LLVMBuildMul(h->b, e->unit_base, stride, ""), "");
	i = hb_if_begin(h, hb_icmp(h, LLVMIntEQ, stride, hb_i64(h, 1)));
	value[0] = load_run(e, t->dtype, hb_at(h, hv_data(e, t), from, elem));
	block[0] = LLVMGetInsertBlock(h->b);
	hb_if_else(h, &i);
	step = subscript(e, x, unit);
	step = LLVMBuildMul(h->b, step, hb_splat(h, stride, e->width), "");
	value[1] = gather(e, x, LLVMBuildAdd(h->b, step, hb_splat(h, base, e->width), ""));
	block[1] = LLVMGetInsertBlock(h->b);
	hb_if_end(h, &i);
	phi = LLVMBuildPhi(h->b, type, "");
	LLVMAddIncoming(phi, value, block, 2);
	return phi;
}

V hv_load_element(host_env *e, const expr *x)
{
	host_cx *h = e->h;
	const sema_tensor *t = x->load.tensor;
	V sub[SEMA_MAX_RANK], offset = hb_i64(h, 0);
	int w = 1, unit = -1, vectors = 0;

	for (int d = 0; d < t->rank; d++) {
		const expr *s = x->load.sub[d];
		bool along = e->width > 1 && e->unit && s->op == EXPR_COORD && s->axis == e->unit &&
			     plain(s, &t->dim[d]);

		sub[d] = along ? NULL : subscript(e, x, d);
		unit = along ? d : unit;
		vectors += along || hb_width(sub[d]) > 1;
	}
	if (unit >= 0 && vectors > 1)
		sub[unit] = subscript(e, x, unit);
	for (int d = 0; d < t->rank; d++) {
		V part;

		if (!sub[d])
			continue;
		if (hb_width(sub[d]) > w) {
			w = hb_width(sub[d]);
			offset = hb_splat(h, offset, w);
		}
		part = LLVMBuildMul(
			h->b, sub[d], hb_splat(h, hv_stride(e, t, d), hb_width(sub[d])), "");
		offset = LLVMBuildAdd(
			h->b, offset, hb_width(part) < w ? hb_splat(h, part, w) : part, "");
	}
	if (vectors == 1 && unit >= 0)
		return widen(e, t->dtype, load_features(e, x, offset, unit));
	if (w > 1)
		return widen(e, t->dtype, gather(e, x, offset));
	return widen(e, t->dtype,
		hb_load(h, memory_type(h, t->dtype),
			hb_at(h, hv_data(e, t), offset, memory_type(h, t->dtype)),
			sema_dtype_size(t->dtype)));
}

/* --- stores --- */

V hv_round_bf16(host_cx *h, V x)
{
	int w = hb_width(x);
	T it = hb_vec(h, h->i32, w);
	V u = LLVMBuildBitCast(h->b, x, it, "");
	V odd = LLVMBuildAnd(h->b, LLVMBuildLShr(h->b, u, hb_const_splat(h, hb_i32(h, 16), w), ""),
		hb_const_splat(h, hb_i32(h, 1), w), "");
	V r = LLVMBuildAdd(
		h->b, u, LLVMBuildAdd(h->b, odd, hb_const_splat(h, hb_i32(h, 0x7fff), w), ""), "");
	V quiet = LLVMBuildOr(h->b, u, hb_const_splat(h, hb_i32(h, 0x400000), w), "");

	r = hb_select(h, hb_fcmp(h, LLVMRealUNO, x, x), quiet, r);
	return LLVMBuildTrunc(h->b, LLVMBuildLShr(h->b, r, hb_const_splat(h, hb_i32(h, 16), w), ""),
		hb_vec(h, h->i16, w), "");
}

static V narrow(host_cx *h, sema_dtype t, V x)
{
	int w = hb_width(x);

	switch (t) {
	case DTYPE_BF16:
		return hv_round_bf16(h, x);
	case DTYPE_F16:
		return LLVMBuildFPTrunc(h->b, x, hb_vec(h, h->f16, w), "");
	case DTYPE_F64:
		return LLVMBuildFPExt(h->b, x, hb_vec(h, h->f64, w), "");
	case DTYPE_F32:
	case DTYPE_I32:
		return x;
	}
	return x;
}

V hv_output_address(host_env *e, const sema_tensor *t, V *sub)
{
	host_cx *h = e->h;
	V offset = hb_i64(h, 0);

	for (int d = 0; d < t->rank; d++)
		if (sub[d])
			offset = LLVMBuildAdd(h->b, offset,
				LLVMBuildMul(h->b, sub[d], hv_stride(e, t, d), ""), "");
	return hb_at(h, hv_data(e, t), offset, memory_type(h, t->dtype));
}

void hv_output_store(host_env *e, const sema_tensor *t, V address, V stride, V x, int valid)
{
	host_cx *h = e->h;
	T elem = memory_type(h, t->dtype);
	int w = hb_width(x);
	V y = narrow(h, t->dtype, x);
	hb_if i;

	if (w == 1) {
		hb_store(h, y, address, sema_dtype_size(t->dtype));
		return;
	}
	i = hb_if_begin(h, hb_icmp(h, LLVMIntEQ, stride, hb_i64(h, 1)));
	if (valid == w) {
		hb_store(h, y, address, sema_dtype_size(t->dtype));
	} else {
		T over[] = {LLVMTypeOf(y), h->ptr};
		V lane[64];
		V arg[] = {y, address, hb_i32(h, sema_dtype_size(t->dtype)), NULL};

		for (int k = 0; k < w; k++)
			lane[k] = LLVMConstInt(h->i1, k < valid, 0);
		arg[3] = LLVMConstVector(lane, (unsigned)w);
		hb_intrinsic(h, "llvm.masked.store", over, 2, arg, 4);
	}
	hb_if_else(h, &i);
	for (int k = 0; k < valid; k++)
		hb_store(h, LLVMBuildExtractElement(h->b, y, hb_i64(h, k), ""),
			hb_at(h, address, LLVMBuildMul(h->b, stride, hb_i64(h, k), ""), elem),
			sema_dtype_size(t->dtype));
	hb_if_end(h, &i);
}
