/* builder.c: a thin layer over the LLVM C API, so that the files above it read like the code they
 * generate. Loop-carried values live in allocas of the entry block; the sroa pass turns them into
 * registers. */
#include "host/host_internal.h"
#include <stdio.h>
#include <string.h>

void hb_init(host_cx *h, const char *name)
{
	h->mod = LLVMModuleCreateWithNameInContext(name, h->cx);
	h->b = LLVMCreateBuilderInContext(h->cx);
	h->i1 = LLVMInt1TypeInContext(h->cx);
	h->i8 = LLVMInt8TypeInContext(h->cx);
	h->i16 = LLVMInt16TypeInContext(h->cx);
	h->i32 = LLVMInt32TypeInContext(h->cx);
	h->i64 = LLVMInt64TypeInContext(h->cx);
	h->f16 = LLVMHalfTypeInContext(h->cx);
	h->f32 = LLVMFloatTypeInContext(h->cx);
	h->f64 = LLVMDoubleTypeInContext(h->cx);
	h->vd = LLVMVoidTypeInContext(h->cx);
	h->ptr = LLVMPointerTypeInContext(h->cx, 0);
	h->vf = LLVMVectorType(h->f32, (unsigned)h->lay.w);
	h->vi = LLVMVectorType(h->i32, (unsigned)h->lay.w);
}

void hb_dispose(host_cx *h)
{
	if (h->b)
		LLVMDisposeBuilder(h->b);
	h->b = NULL;
}

void hb_attr(host_cx *h, V fn, unsigned at, const char *name)
{
	unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

	LLVMAddAttributeAtIndex(fn, at, LLVMCreateEnumAttribute(h->cx, kind, 0));
}

static void string_attr(host_cx *h, V fn, const char *key, const char *value)
{
	LLVMAttributeRef a = LLVMCreateStringAttribute(
		h->cx, key, (unsigned)strlen(key), value, (unsigned)strlen(value));

	LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, a);
}

void hb_symbol(const sema_spec *s, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s_%s", s->name, name);
}

V hb_function(host_cx *h, const char *name, int pointers, int integers, bool exported)
{
	T arg[16];
	char width[16], symbol[256];

	if (exported) {
		hb_symbol(h->s, name, symbol, sizeof symbol);
		name = symbol;
	}
	for (int i = 0; i < pointers + integers; i++)
		arg[i] = i < pointers ? h->ptr : h->i64;
	h->fn = LLVMAddFunction(
		h->mod, name, LLVMFunctionType(h->vd, arg, (unsigned)(pointers + integers), 0));
	for (int i = 0; i < pointers; i++)
		hb_attr(h, h->fn, (unsigned)i + 1, "noalias");
	hb_attr(h, h->fn, (unsigned)LLVMAttributeFunctionIndex, "nounwind");
	snprintf(width, sizeof width, "%d", h->lay.w * 32);
	string_attr(h, h->fn, "prefer-vector-width", width);
	string_attr(h, h->fn, "min-legal-vector-width", width);
	if (!exported) {
		LLVMSetLinkage(h->fn, LLVMInternalLinkage);
		hb_attr(h, h->fn, (unsigned)LLVMAttributeFunctionIndex, "noinline");
	}
	LLVMPositionBuilderAtEnd(h->b, hb_block(h, "entry"));
	return h->fn;
}

V hb_i64(host_cx *h, int64_t v)
{
	return LLVMConstInt(h->i64, (unsigned long long)v, 1);
}

V hb_i32(host_cx *h, int32_t v)
{
	return LLVMConstInt(h->i32, (unsigned long long)(long long)v, 1);
}

V hb_f32(host_cx *h, double v)
{
	return LLVMConstReal(h->f32, v);
}

T hb_vec(host_cx *h, T elem, int w)
{
	(void)h;
	return w == 1 ? elem : LLVMVectorType(elem, (unsigned)w);
}

int hb_width(V x)
{
	T t = LLVMTypeOf(x);

	return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(t) : 1;
}

V hb_const_splat(host_cx *h, V scalar_const, int w)
{
	V lane[64];

	(void)h;
	if (w == 1)
		return scalar_const;
	for (int i = 0; i < w; i++)
		lane[i] = scalar_const;
	return LLVMConstVector(lane, (unsigned)w);
}

V hb_splat(host_cx *h, V x, int w)
{
	T vt;
	V one;

	if (w == 1)
		return x;
	if (LLVMIsConstant(x) && !LLVMIsUndef(x))
		return hb_const_splat(h, x, w);
	vt = LLVMVectorType(LLVMTypeOf(x), (unsigned)w);
	one = LLVMBuildInsertElement(h->b, LLVMGetPoison(vt), x, hb_i64(h, 0), "");
	return LLVMBuildShuffleVector(h->b, one, LLVMGetPoison(vt),
		LLVMConstNull(LLVMVectorType(h->i32, (unsigned)w)), "");
}

V hb_iota(host_cx *h, int w)
{
	V lane[64];

	for (int i = 0; i < w; i++)
		lane[i] = hb_i32(h, i);
	return LLVMConstVector(lane, (unsigned)w);
}

V hb_intrinsic(host_cx *h, const char *name, T *over, int overs, V *arg, int args)
{
	unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
	V f;

	if (id == 0)
		ice("LLVM has no intrinsic %s", name);
	f = LLVMGetIntrinsicDeclaration(h->mod, id, over, (size_t)overs);
	return LLVMBuildCall2(h->b, LLVMIntrinsicGetType(h->cx, id, over, (size_t)overs), f, arg,
		(unsigned)args, "");
}

V hb_at(host_cx *h, V base, V index, T elem)
{
	return LLVMBuildGEP2(h->b, elem, base, &index, 1, "");
}

V hb_at_bytes(host_cx *h, V base, int64_t bytes)
{
	return bytes == 0 ? base : hb_at(h, base, hb_i64(h, bytes), h->i8);
}

V hb_load(host_cx *h, T type, V p, int align)
{
	V x = LLVMBuildLoad2(h->b, type, p, "");

	LLVMSetAlignment(x, (unsigned)align);
	return x;
}

void hb_store(host_cx *h, V x, V p, int align)
{
	LLVMSetAlignment(LLVMBuildStore(h->b, x, p), (unsigned)align);
}

V hb_vload(host_cx *h, V p, int align)
{
	return hb_load(h, h->vf, p, align);
}

V hb_var(host_cx *h, T type, V init)
{
	BB here = LLVMGetInsertBlock(h->b);
	BB entry = LLVMGetEntryBasicBlock(h->fn);
	V first = LLVMGetFirstInstruction(entry);
	V var;

	if (first)
		LLVMPositionBuilderBefore(h->b, first);
	else
		LLVMPositionBuilderAtEnd(h->b, entry);
	var = LLVMBuildAlloca(h->b, type, "");
	LLVMPositionBuilderAtEnd(h->b, here);
	if (init)
		LLVMBuildStore(h->b, init, var);
	return var;
}

V hb_get(host_cx *h, T type, V var)
{
	return LLVMBuildLoad2(h->b, type, var, "");
}

static bool is_float(V x)
{
	T t = LLVMTypeOf(x);
	LLVMTypeKind k;

	if (LLVMGetTypeKind(t) == LLVMVectorTypeKind)
		t = LLVMGetElementType(t);
	k = LLVMGetTypeKind(t);
	return k == LLVMFloatTypeKind || k == LLVMDoubleTypeKind;
}

V hb_add(host_cx *h, V a, V b)
{
	return is_float(a) ? LLVMBuildFAdd(h->b, a, b, "") : LLVMBuildAdd(h->b, a, b, "");
}

V hb_sub(host_cx *h, V a, V b)
{
	return is_float(a) ? LLVMBuildFSub(h->b, a, b, "") : LLVMBuildSub(h->b, a, b, "");
}

V hb_mul(host_cx *h, V a, V b)
{
	return is_float(a) ? LLVMBuildFMul(h->b, a, b, "") : LLVMBuildMul(h->b, a, b, "");
}

V hb_smin(host_cx *h, V a, V b)
{
	return hb_select(h, hb_icmp(h, LLVMIntSLT, a, b), a, b);
}

V hb_smax(host_cx *h, V a, V b)
{
	return hb_select(h, hb_icmp(h, LLVMIntSGT, a, b), a, b);
}

V hb_fma(host_cx *h, V a, V b, V c)
{
	T t = LLVMTypeOf(a);
	V arg[] = {a, b, c};

	return hb_intrinsic(h, "llvm.fmuladd", &t, 1, arg, 3);
}

V hb_select(host_cx *h, V c, V a, V b)
{
	return LLVMBuildSelect(h->b, c, a, b, "");
}

V hb_icmp(host_cx *h, LLVMIntPredicate p, V a, V b)
{
	return LLVMBuildICmp(h->b, p, a, b, "");
}

V hb_fcmp(host_cx *h, LLVMRealPredicate p, V a, V b)
{
	return LLVMBuildFCmp(h->b, p, a, b, "");
}

BB hb_block(host_cx *h, const char *name)
{
	return LLVMAppendBasicBlockInContext(h->cx, h->fn, name);
}

hb_loop hb_loop_begin(host_cx *h, V lo, V hi, V step, const char *name)
{
	hb_loop l = {.step = step};
	BB before = LLVMGetInsertBlock(h->b);
	BB body;

	l.head = hb_block(h, name);
	body = hb_block(h, "body");
	l.exit = hb_block(h, "done");
	LLVMBuildBr(h->b, l.head);
	LLVMPositionBuilderAtEnd(h->b, l.head);
	l.i = LLVMBuildPhi(h->b, h->i64, "");
	LLVMAddIncoming(l.i, &lo, &before, 1);
	LLVMBuildCondBr(h->b, hb_icmp(h, LLVMIntSLT, l.i, hi), body, l.exit);
	LLVMPositionBuilderAtEnd(h->b, body);
	return l;
}

void hb_loop_end(host_cx *h, hb_loop *l)
{
	BB latch = LLVMGetInsertBlock(h->b);
	V next = LLVMBuildNSWAdd(h->b, l->i, l->step, "");

	LLVMBuildBr(h->b, l->head);
	LLVMAddIncoming(l->i, &next, &latch, 1);
	LLVMPositionBuilderAtEnd(h->b, l->exit);
}

hb_if hb_if_begin(host_cx *h, V cond)
{
	hb_if i = {.other = hb_block(h, "else"), .end = hb_block(h, "endif")};
	BB then = hb_block(h, "then");

	LLVMBuildCondBr(h->b, cond, then, i.other);
	LLVMPositionBuilderAtEnd(h->b, then);
	return i;
}

void hb_if_else(host_cx *h, hb_if *i)
{
	LLVMBuildBr(h->b, i->end);
	LLVMPositionBuilderAtEnd(h->b, i->other);
	i->has_else = true;
}

void hb_if_end(host_cx *h, hb_if *i)
{
	LLVMBuildBr(h->b, i->end);
	if (!i->has_else) {
		LLVMPositionBuilderAtEnd(h->b, i->other);
		LLVMBuildBr(h->b, i->end);
	}
	LLVMPositionBuilderAtEnd(h->b, i->end);
}
