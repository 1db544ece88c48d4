/* math.c: elementary functions as straight-line IR on f32 scalars or vectors.
 * Coefficients: exp2 and log from minimax fits (relative error below 2e-7 on the reduced range);
 * tanh from Cephes' tanhf ranges. NaN comes out as NaN everywhere; nothing here relies on fast-math
 * flags. */
#include "host/host_internal.h"
#include <math.h>
#include <string.h>

static V constant(host_cx *h, V like, double v)
{
	return hb_const_splat(h, hb_f32(h, v), hb_width(like));
}

static V int_constant(host_cx *h, V like, int32_t v)
{
	return hb_const_splat(h, hb_i32(h, v), hb_width(like));
}

static V as_int(host_cx *h, V x)
{
	return LLVMBuildBitCast(h->b, x, hb_vec(h, h->i32, hb_width(x)), "");
}

static V as_float(host_cx *h, V x)
{
	return LLVMBuildBitCast(h->b, x, hb_vec(h, h->f32, hb_width(x)), "");
}

static V polynomial(host_cx *h, V x, const double *c, int n)
{
	V p = constant(h, x, c[0]);

	for (int i = 1; i < n; i++)
		p = hb_fma(h, p, x, constant(h, x, c[i]));
	return p;
}

/* 2^t for t in [-127, 128). Adding 1.5 * 2^23 rounds t to an integer n in the low mantissa bits, so
 * no conversion (undefined for NaN in LLVM) is needed; n = -127 gives a zero exponent field and
 * with it exactly 0. */
static V exp2_core(host_cx *h, V t)
{
	static const double c[] = {1.5353362e-4, 1.3398874e-3, 9.6184373e-3, 5.5503324e-2,
		2.4022648e-1, 6.9314720e-1, 1.0};
	V magic = constant(h, t, 12582912.0);
	V y = hb_add(h, t, magic);
	V f = hb_sub(h, t, hb_sub(h, y, magic));
	V n = LLVMBuildAdd(h->b, as_int(h, y), int_constant(h, t, 127), "");
	V scale = as_float(h, LLVMBuildShl(h->b, n, int_constant(h, t, 23), ""));

	return hb_mul(h, polynomial(h, f, c, 7), scale);
}

V hm_exp2_neg(host_cx *h, V x)
{
	V low = constant(h, x, -127.0);

	return exp2_core(h, hb_select(h, hb_fcmp(h, LLVMRealOGT, low, x), low, x));
}

/* exp(x) = 2^n 2^f with the product x log2(e) split in two parts, so that large |x| keep full
 * accuracy. */
V hm_exp(host_cx *h, V x)
{
	V l2e = constant(h, x, 1.44269504088896340736);
	V hi = constant(h, x, -0.693145751953125), lo = constant(h, x, -1.42860682030941723212e-6);
	static const double c[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
		4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
	V top = constant(h, x, 88.72283935546875), bottom = constant(h, x, -87.33654785156250);
	V t = hb_select(h, hb_fcmp(h, LLVMRealOGT, x, top), top, x);
	V magic = constant(h, x, 12582912.0);
	V y, n, r, p, half, z;

	t = hb_select(h, hb_fcmp(h, LLVMRealOLT, t, bottom), bottom, t);
	y = hb_fma(h, t, l2e, magic);
	n = hb_sub(h, y, magic);
	r = hb_fma(h, n, lo, hb_fma(h, n, hi, t));
	p = polynomial(h, r, c, 6);
	p = hb_add(h, hb_fma(h, p, hb_mul(h, r, r), r), constant(h, x, 1.0));
	/* two half-size scalings keep 2^128 and 2^-126 representable */
	half = LLVMBuildAShr(h->b,
		LLVMBuildSub(h->b, as_int(h, y), int_constant(h, x, 0x4b400000), ""),
		int_constant(h, x, 1), "");
	z = LLVMBuildSub(h->b, LLVMBuildSub(h->b, as_int(h, y), int_constant(h, x, 0x4b400000), ""),
		half, "");
	p = hb_mul(h, p,
		as_float(
			h, LLVMBuildShl(h->b, LLVMBuildAdd(h->b, half, int_constant(h, x, 127), ""),
				   int_constant(h, x, 23), "")));
	p = hb_mul(h, p,
		as_float(h, LLVMBuildShl(h->b, LLVMBuildAdd(h->b, z, int_constant(h, x, 127), ""),
				    int_constant(h, x, 23), "")));
	p = hb_select(
		h, hb_fcmp(h, LLVMRealOLT, x, constant(h, x, -103.97208)), constant(h, x, 0.0), p);
	return hb_select(h, hb_fcmp(h, LLVMRealOGT, x, top), constant(h, x, INFINITY), p);
}

/* log(x) = e log 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)). */
V hm_log(host_cx *h, V x)
{
	static const double c[] = {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1,
		-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
		-2.4999993993e-1, 3.3333331174e-1};
	V tiny = hb_fcmp(h, LLVMRealOLT, x, constant(h, x, 1.17549435e-38));
	V scaled = hb_select(h, tiny, hb_mul(h, x, constant(h, x, 8388608.0)), x);
	V bits = as_int(h, scaled);
	V shift = hb_select(h, tiny, int_constant(h, x, 23), int_constant(h, x, 0));
	V off = LLVMBuildSub(h->b, bits, int_constant(h, x, 0x3f3504f3), "");
	V n = LLVMBuildAShr(h->b, off, int_constant(h, x, 23), "");
	V mant = LLVMBuildAdd(h->b, LLVMBuildAnd(h->b, off, int_constant(h, x, 0x7fffff), ""),
		int_constant(h, x, 0x3f3504f3), "");
	V f = hb_sub(h, as_float(h, mant), constant(h, x, 1.0));
	V e = LLVMBuildSIToFP(h->b, LLVMBuildSub(h->b, n, shift, ""), LLVMTypeOf(x), "");
	V z = hb_mul(h, f, f);
	V y = hb_mul(h, hb_mul(h, polynomial(h, f, c, 9), f), z);
	V r;

	y = hb_fma(h, e, constant(h, x, -2.12194440e-4), y);
	y = hb_fma(h, z, constant(h, x, -0.5), y);
	r = hb_fma(h, e, constant(h, x, 0.693359375), hb_add(h, f, y));
	r = hb_select(
		h, hb_fcmp(h, LLVMRealOEQ, x, constant(h, x, 0.0)), constant(h, x, -INFINITY), r);
	r = hb_select(h, hb_fcmp(h, LLVMRealOEQ, x, constant(h, x, INFINITY)), x, r);
	/* negative or NaN */
	return hb_select(
		h, hb_fcmp(h, LLVMRealOGE, x, constant(h, x, 0.0)), r, constant(h, x, NAN));
}

V hm_tanh(host_cx *h, V x)
{
	static const double c[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
		1.33314422036e-1, -3.33332819422e-1};
	T t = LLVMTypeOf(x);
	V size = hb_intrinsic(h, "llvm.fabs", &t, 1, &x, 1);
	V z = hb_mul(h, x, x);
	V small = hb_fma(h, hb_mul(h, polynomial(h, z, c, 5), z), x, x);
	V e = hm_exp(h, hb_mul(h, size, constant(h, x, 2.0)));
	V big = hb_sub(h, constant(h, x, 1.0),
		LLVMBuildFDiv(h->b, constant(h, x, 2.0), hb_add(h, e, constant(h, x, 1.0)), ""));
	V sign[] = {big, x};
	V outer = hb_intrinsic(h, "llvm.copysign", &t, 1, sign, 2);

	return hb_select(h, hb_fcmp(h, LLVMRealOLT, size, constant(h, x, 0.625)), small, outer);
}

V hm_call(host_cx *h, const char *name, V x, V y)
{
	T arg[] = {h->f64, h->f64};
	unsigned args = y ? 2 : 1;
	T type = LLVMFunctionType(h->f64, arg, args, 0);
	V fn = LLVMGetNamedFunction(h->mod, name);
	int w = hb_width(x);
	bool single = LLVMGetTypeKind(w == 1 ? LLVMTypeOf(x) : LLVMGetElementType(LLVMTypeOf(x))) ==
		      LLVMFloatTypeKind;
	V out = w == 1 ? NULL : LLVMGetPoison(LLVMTypeOf(x));

	if (!fn)
		fn = LLVMAddFunction(h->mod, name, type);
	for (int i = 0; i < w; i++) {
		V lane[2] = {x, y};

		for (unsigned a = 0; a < args; a++) {
			if (w > 1)
				lane[a] = LLVMBuildExtractElement(h->b, lane[a], hb_i64(h, i), "");
			if (single)
				lane[a] = LLVMBuildFPExt(h->b, lane[a], h->f64, "");
		}
		V r = LLVMBuildCall2(h->b, type, fn, lane, args, "");

		if (single)
			r = LLVMBuildFPTrunc(h->b, r, h->f32, "");
		out = w == 1 ? r : LLVMBuildInsertElement(h->b, out, r, hb_i64(h, i), "");
	}
	return out;
}
