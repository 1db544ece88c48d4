/* ptx_build.c: a thin layer over the LLVM C API. Each pure value is computed once where it is
 * known already, so that addresses and masks of many elements share what they have in common, and
 * two equal values are one LLVM value: that is how the emitter sees that addresses are neighbours. */
#include "emit/ptx_internal.h"
#include <stdio.h>
#include <string.h>

/* --- known values --- */

/* First word of a key; LLVM opcodes are below. */
enum { KEY_COMPARE_INT = 1 << 8, KEY_COMPARE_FLOAT = 1 << 9, KEY_READ = 1 << 10, KEY_LASTS };

static uint32_t hash_key(const uintptr_t key[4])
{
	uint64_t x = 0;

	for (int i = 0; i < 4; i++)
		x = (x ^ key[i]) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(x >> 40) % PTX_BUCKETS;
}

static V find(const ptx_cx *h, const uintptr_t key[4])
{
	for (int i = h->bucket[hash_key(key)]; i >= 0; i = h->known.item[i].next)
		if (memcmp(h->known.item[i].key, key, sizeof h->known.item[i].key) == 0)
			return h->known.item[i].out;
	return NULL;
}

static void enter(ptx_cx *h, ptx_known k)
{
	k.bucket = hash_key(k.key);
	k.next = h->bucket[k.bucket];
	h->bucket[k.bucket] = h->known.count;
	ARENA_PUSH(h->arena, &h->known, k);
}

void ptx_set_lasting(ptx_cx *h, V v)
{
	enter(h, (ptx_known){.key = {KEY_LASTS, (uintptr_t)v}, .out = v, .lasts = true});
}

static bool lasts(const ptx_cx *h, uintptr_t operand)
{
	uintptr_t key[4] = {KEY_LASTS, operand};

	return operand == 0 || LLVMIsConstant((V)operand) || find(h, key);
}

static V enter_value(ptx_cx *h, const uintptr_t key[4], V out, bool lasting)
{
	ptx_known k = {.out = out, .lasts = lasting};

	memcpy(k.key, key, sizeof k.key);
	enter(h, k);
	if (lasting && !LLVMIsConstant(out))
		ptx_set_lasting(h, out);
	return out;
}

static V remember(ptx_cx *h, const uintptr_t key[4], V out)
{
	return enter_value(h, key, out, false);
}

int ptx_mark(const ptx_cx *h)
{
	return h->known.count;
}

static ptx_known leave(ptx_cx *h)
{
	ptx_known k = h->known.item[--h->known.count];

	h->bucket[k.bucket] = k.next;
	return k;
}

void ptx_release(ptx_cx *h, int mark)
{
	while (h->known.count > mark)
		leave(h);
	h->serial++;
}

void ptx_release_statement(ptx_cx *h, int mark)
{
	int n = h->known.count - mark, kept = 0;
	ptx_known *keep = h->kept;

	if (n > h->kept_size)
		h->kept = keep = ARENA_ARRAY(h->arena, ptx_known, h->kept_size = 2 * n);
	for (int i = 0; i < n; i++) {
		ptx_known k = leave(h);

		if (k.lasts)
			keep[kept++] = k;
	}
	while (kept > 0)
		enter(h, keep[--kept]);
	h->serial++;
}

void ptx_forget_reads(ptx_cx *h)
{
	h->epoch++;
}

/* --- operations --- */

V ptx_i32(ptx_cx *h, int64_t v)
{
	return LLVMConstInt(h->i32, (unsigned long long)v, 1);
}

V ptx_f32(ptx_cx *h, double v)
{
	return LLVMConstReal(h->f32, v);
}

V ptx_bool(ptx_cx *h, bool v)
{
	return LLVMConstInt(h->i1, v, 0);
}

V ptx_binary(ptx_cx *h, LLVMOpcode op, V a, V b)
{
	uintptr_t key[4] = {(uintptr_t)op, (uintptr_t)a, (uintptr_t)b, 0};
	V r = find(h, key);

	if (r)
		return r;
	r = LLVMBuildBinOp(h->b, op, a, b, "");
	return enter_value(h, key, r, lasts(h, key[1]) && lasts(h, key[2]));
}

V ptx_compare_int(ptx_cx *h, LLVMIntPredicate how, V a, V b)
{
	uintptr_t key[4] = {KEY_COMPARE_INT + (uintptr_t)how, (uintptr_t)a, (uintptr_t)b, 0};
	V r = find(h, key);

	return r ? r : remember(h, key, LLVMBuildICmp(h->b, how, a, b, ""));
}

V ptx_compare_float(ptx_cx *h, LLVMRealPredicate how, V a, V b)
{
	uintptr_t key[4] = {KEY_COMPARE_FLOAT + (uintptr_t)how, (uintptr_t)a, (uintptr_t)b, 0};
	V r = find(h, key);

	return r ? r : remember(h, key, LLVMBuildFCmp(h->b, how, a, b, ""));
}

V ptx_select(ptx_cx *h, V c, V a, V b)
{
	uintptr_t key[4] = {(uintptr_t)LLVMSelect, (uintptr_t)c, (uintptr_t)a, (uintptr_t)b};
	V r;

	if (LLVMIsConstant(c))
		return LLVMConstIntGetZExtValue(c) ? a : b;
	r = find(h, key);
	return r ? r : remember(h, key, LLVMBuildSelect(h->b, c, a, b, ""));
}

V ptx_cast(ptx_cx *h, LLVMOpcode op, V a, T to)
{
	uintptr_t key[4] = {(uintptr_t)op, (uintptr_t)a, (uintptr_t)to, 0};
	V r = find(h, key);

	return r ? r : remember(h, key, LLVMBuildCast(h->b, op, a, to, ""));
}

V ptx_intrinsic(ptx_cx *h, const char *name, T over, V *arg, int args)
{
	unsigned id = LLVMLookupIntrinsicID(name, strlen(name)), overs = over ? 1 : 0;
	uintptr_t key[4] = {(uintptr_t)LLVMCall, (uintptr_t)id};
	V f, r;

	if (id == 0)
		ice("LLVM has no intrinsic %s", name);
	f = LLVMGetIntrinsicDeclaration(h->mod, id, &over, overs);
	if (args <= 2) {
		for (int i = 0; i < args; i++)
			key[2 + i] = (uintptr_t)arg[i];
		r = find(h, key);
		if (r)
			return r;
	}
	r = LLVMBuildCall2(
		h->b, LLVMIntrinsicGetType(h->cx, id, &over, overs), f, arg, (unsigned)args, "");
	return args <= 2 ? remember(h, key, r) : r;
}

static V element(ptx_cx *h, T elem, V p, V index)
{
	uintptr_t key[4] = {
		(uintptr_t)LLVMGetElementPtr, (uintptr_t)elem, (uintptr_t)p, (uintptr_t)index};
	V r = find(h, key);

	return r ? r : remember(h, key, LLVMBuildGEP2(h->b, elem, p, &index, 1, ""));
}

/* The bytes that a widened i32 index moves on, by the one instruction for it; NULL: no such. */
static V wide_bytes(ptx_cx *h, T elem, V index)
{
	bool sign = LLVMIsASExtInst(index), zero = LLVMIsAZExtInst(index);
	V from = sign || zero ? LLVMGetOperand(index, 0) : NULL;

	if (!from || LLVMTypeOf(from) != h->i32)
		return NULL;
	return ptx_asm(h, h->i64, PTX_PURE, "=l,r", &from, 1, "mul.wide.%c32 $0, $1, %u;",
		sign ? 's' : 'u', LLVMGetIntTypeWidth(elem) / 8);
}

V ptx_element(ptx_cx *h, T elem, V p, num index)
{
	V wide = index.v ? wide_bytes(h, elem, index.v) : NULL;

	if (wide)
		p = element(h, LLVMInt8TypeInContext(h->cx), p, wide);
	else if (index.v)
		p = element(h, elem, p, index.v);
	if (index.add)
		p = element(h, elem, p, LLVMConstInt(h->i64, (unsigned long long)index.add, 1));
	return p;
}

V ptx_load_constant(ptx_cx *h, T type, V p, int align)
{
	uintptr_t key[4] = {(uintptr_t)LLVMLoad, (uintptr_t)p, (uintptr_t)type, 0};
	V r = find(h, key);

	if (r)
		return r;
	r = LLVMBuildLoad2(h->b, type, p, "");
	LLVMSetAlignment(r, (unsigned)align);
	return remember(h, key, r);
}

/* --- inline assembly --- */

static void call_attribute(ptx_cx *h, V call, const char *name)
{
	unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

	LLVMAddCallSiteAttribute(
		call, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(h->cx, kind, 0));
}

static bool find_asm(ptx_cx *h, V f, const V *arg, int args, uintptr_t key[4], V *out)
{
	key[0] = (uintptr_t)LLVMCall;
	key[1] = (uintptr_t)f;
	for (int i = 0; i < args; i++)
		key[2 + i] = (uintptr_t)arg[i];
	*out = find(h, key);
	return *out != NULL;
}

/* The assembly as a callee; *type is the type of a call of it. */
static V asm_callee(ptx_cx *h, T result, bool effects, const char *constraints, const V *arg,
	int args, const char *body, T *type)
{
	T few[16], *list = args <= 16 ? few : ARENA_ARRAY(h->arena, T, args);

	for (int i = 0; i < args; i++)
		list[i] = LLVMTypeOf(arg[i]);
	*type = LLVMFunctionType(result, list, (unsigned)args, 0);
	return LLVMGetInlineAsm(*type, body, strlen(body), constraints, strlen(constraints),
		effects, 0, LLVMInlineAsmDialectATT, 0);
}

static V asm_call(ptx_cx *h, T type, V callee, V *arg, int args)
{
	V r = LLVMBuildCall2(h->b, type, callee, arg, (unsigned)args, "");

	call_attribute(h, r, "convergent");
	call_attribute(h, r, "nounwind");
	return r;
}

V ptx_asm(ptx_cx *h, T result, ptx_effect effect, const char *constraints, V *arg, int args,
	const char *fmt, ...)
{
	bool once = effect == PTX_PURE && args <= 2;
	uintptr_t key[4] = {0};
	char body[512], list[128];
	va_list ap;
	T type;
	V f, r;

	va_start(ap, fmt);
	if (vsnprintf(body, sizeof body, fmt, ap) >= (int)sizeof body)
		ice("inline assembly too long");
	va_end(ap);
	snprintf(list, sizeof list, "%s%s", constraints,
		effect == PTX_PURE ? ""
		: *constraints     ? ",~{memory}"
				   : "~{memory}");
	f = asm_callee(h, result, effect != PTX_PURE, list, arg, args, body, &type);
	if (once && find_asm(h, f, arg, args, key, &r))
		return r;
	r = asm_call(h, type, f, arg, args);
	if (effect == PTX_PURE) {
		call_attribute(h, r, "memory"); /* none */
		call_attribute(h, r, "willreturn");
	}
	return once ? remember(h, key, r) : r;
}

V ptx_asm_long(ptx_cx *h, T result, const char *constraints, V *arg, int args, const char *body)
{
	T type;
	V f = asm_callee(h, result, true, constraints, arg, args, body, &type);

	return asm_call(h, type, f, arg, args);
}

void ptx_asm_body(ptx_cx *h, const char *constraints, V *arg, int args, text *body)
{
	if (body->len)
		ptx_asm_long(h, h->vd, constraints, arg, args, body->data);
	text_free(body);
}

V ptx_field(ptx_cx *h, V aggregate, int i)
{
	return LLVMBuildExtractValue(h->b, aggregate, (unsigned)i, "");
}

T ptx_struct(ptx_cx *h, T type, int n)
{
	T field[8];

	for (int i = 0; i < n; i++)
		field[i] = type;
	return LLVMStructTypeInContext(h->cx, field, (unsigned)n, 0);
}

/* --- registers --- */

V ptx_alloca(ptx_cx *h, T type)
{
	BB here = LLVMGetInsertBlock(h->b), entry = LLVMGetEntryBasicBlock(h->fn);
	V first = LLVMGetFirstInstruction(entry), slot;

	if (first)
		LLVMPositionBuilderBefore(h->b, first);
	else
		LLVMPositionBuilderAtEnd(h->b, entry);
	slot = LLVMBuildAlloca(h->b, type, "");
	LLVMPositionBuilderAtEnd(h->b, here);
	return slot;
}

V ptx_recall(const ptx_cx *h, const void *key, uint32_t version)
{
	uintptr_t k[4] = {KEY_READ, (uintptr_t)key, version, h->epoch};

	return find(h, k);
}

V ptx_note(ptx_cx *h, const void *key, uint32_t version, V v)
{
	uintptr_t k[4] = {KEY_READ, (uintptr_t)key, version, h->epoch};

	return remember(h, k, v);
}

V ptx_read(ptx_cx *h, T type, V slot, uint32_t version)
{
	V r = ptx_recall(h, slot, version);

	return r ? r : ptx_note(h, slot, version, LLVMBuildLoad2(h->b, type, slot, ""));
}

void ptx_write(ptx_cx *h, V slot, uint32_t *version, V v)
{
	LLVMBuildStore(h->b, v, slot);
	ptx_note(h, slot, ++*version, v);
}

/* --- flow --- */

static BB block(ptx_cx *h, const char *name)
{
	return LLVMAppendBasicBlockInContext(h->cx, h->fn, name);
}

ptx_branch ptx_if(ptx_cx *h, V c)
{
	ptx_branch i = {.other = block(h, "else"), .end = block(h, "end"), .mark = ptx_mark(h)};
	BB then = block(h, "then");

	LLVMBuildCondBr(h->b, c, then, i.other);
	LLVMPositionBuilderAtEnd(h->b, then);
	return i;
}

void ptx_else(ptx_cx *h, ptx_branch *i)
{
	LLVMBuildBr(h->b, i->end);
	LLVMPositionBuilderAtEnd(h->b, i->other);
	ptx_release(h, i->mark);
	i->has_other = true;
}

void ptx_if_end(ptx_cx *h, ptx_branch *i)
{
	if (!i->has_other)
		ptx_else(h, i);
	LLVMBuildBr(h->b, i->end);
	LLVMPositionBuilderAtEnd(h->b, i->end);
	ptx_release(h, i->mark);
}

num ptx_loop_begin(ptx_cx *h, ptx_loop *l, num from, num to, num step)
{
	BB before;
	V first = num_v(h, from);
	num n;

	*l = (ptx_loop){.body = block(h, "loop"), .end = block(h, "done"), .step = step, .to = to};
	num_v(h, to); /* known before the loop, so that the end of its body has it too */
	num_v(h, step);
	LLVMBuildCondBr(h->b, num_less(h, from, to, false).v, l->body, l->end);
	before = LLVMGetInsertBlock(h->b);
	l->mark = ptx_mark(h);
	LLVMPositionBuilderAtEnd(h->b, l->body);
	l->counter = LLVMBuildPhi(h->b, h->i32, "");
	LLVMAddIncoming(l->counter, &first, &before, 1);
	ptx_forget_reads(h);
	n = num_range(num_of(h, l->counter), from.lo, to.hi - 1);
	n.zeros = num_align(from) < num_align(step) ? num_align(from) : num_align(step);
	return n;
}

void ptx_loop_break(ptx_cx *h, ptx_loop *l, V c)
{
	BB on = block(h, "on");

	LLVMBuildCondBr(h->b, c, l->end, on);
	LLVMPositionBuilderAtEnd(h->b, on);
}

/* v + step < to, without overflow: v < to here. A loop to the greatest number ends by a break only:
 * ptxas serialises products that are in flight over a back edge from which the loop is left too. */
void ptx_loop_end(ptx_cx *h, ptx_loop *l)
{
	V to = num_v(h, l->to), step = num_v(h, l->step), more, next;
	int64_t last;
	BB here;

	next = LLVMBuildAdd(h->b, l->counter, step, "");
	if (num_is_const(l->to, &last) && last == INT32_MAX)
		more = ptx_bool(h, true);
	else if (l->step.lo == 1 && l->step.hi == 1)
		more = LLVMBuildICmp(h->b, LLVMIntSLT, next, to, "");
	else
		more = LLVMBuildICmp(
			h->b, LLVMIntUGT, LLVMBuildSub(h->b, to, l->counter, ""), step, "");
	here = LLVMGetInsertBlock(h->b);
	LLVMAddIncoming(l->counter, &next, &here, 1);
	LLVMBuildCondBr(h->b, more, l->body, l->end);
	LLVMPositionBuilderAtEnd(h->b, l->end);
	ptx_release(h, l->mark);
	ptx_forget_reads(h);
}
