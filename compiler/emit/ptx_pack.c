/* ptx_pack.c: bf16 and f16 values, two neighbours in one 32-bit register, the first in the low
 * half. Where only one is wanted the high half holds anything.
 * bf16 add, sub and mul exist from sm_90 on; before, they are the fma with 1, -1 or -0, which
 * rounds the same. */
#include "emit/ptx_internal.h"
#include <string.h>

/* --- rounding --- */

static uint32_t float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	return u;
}

/* Nearest bf16, ties to even. */
static uint32_t bf16_bits(float f)
{
	uint32_t u = float_bits(f);

	if (f != f)
		return 0x7fff;
	return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

/* Nearest f16, ties to even. */
static uint32_t f16_bits(float f)
{
	uint32_t u = float_bits(f), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
	uint32_t shift, mantissa, kept, rest, half;

	if (f != f)
		return 0x7fff;
	if (magnitude >= 0x477ff000) /* rounds beyond 65504 */
		return sign | 0x7c00;
	if (magnitude >= 0x38800000) {
		magnitude -= 0x38000000; /* the exponent's bias 127 -> 15 */
		return sign | (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
	}
	if (magnitude < 0x33000000)
		return sign;
	shift = 126 - (magnitude >> 23); /* subnormal: units of 2^-24 */
	mantissa = (magnitude & 0x7fffff) | 0x800000;
	kept = mantissa >> shift;
	rest = mantissa & ((1u << shift) - 1);
	half = 1u << (shift - 1);
	return sign | (kept + (rest > half || (rest == half && (kept & 1))));
}

static bool constant(V v, tile_type t, uint32_t *bits)
{
	LLVMBool loses;

	if (!LLVMIsAConstantFP(v))
		return false;
	*bits = t == TILE_BF16 ? bf16_bits((float)LLVMConstRealGetDouble(v, &loses))
			       : f16_bits((float)LLVMConstRealGetDouble(v, &loses));
	return true;
}

/* Without the instruction: integer rounding; NaN is 0x7fff as in cvt. */
static V round_bf16(ptx_cx *h, V x)
{
	V u = ptx_cast(h, LLVMBitCast, x, h->i32), odd, up;

	odd = ptx_binary(h, LLVMAnd, ptx_binary(h, LLVMLShr, u, ptx_i32(h, 16)), ptx_i32(h, 1));
	up = ptx_binary(h, LLVMAdd, u, ptx_binary(h, LLVMAdd, odd, ptx_i32(h, 0x7fff)));
	return ptx_select(h, ptx_compare_float(h, LLVMRealUNO, x, x), ptx_i32(h, 0x7fff),
		ptx_binary(h, LLVMLShr, up, ptx_i32(h, 16)));
}

static V join(ptx_cx *h, V low, V high)
{
	return ptx_binary(h, LLVMOr, low, ptx_binary(h, LLVMShl, high, ptx_i32(h, 16)));
}

V ptx_round_pair(ptx_cx *h, tile_type t, V low, V high)
{
	V arg[2] = {high, low};
	uint32_t a, b;

	if (constant(low, t, &a) && constant(high, t, &b))
		return ptx_i32(h, (int32_t)(a | b << 16));
	if (t == TILE_BF16 && !arch_has(h->a, ARCH_MMA_BF16))
		return join(h, round_bf16(h, low), round_bf16(h, high));
	if (t == TILE_BF16)
		return ptx_asm(
			h, h->i32, PTX_PURE, "=r,f,f", arg, 2, "cvt.rn.bf16x2.f32 $0, $1, $2;");
	if (h->a->major >= 8)
		return ptx_asm(
			h, h->i32, PTX_PURE, "=r,f,f", arg, 2, "cvt.rn.f16x2.f32 $0, $1, $2;");
	return ptx_asm(h, h->i32, PTX_PURE, "=r,f,f", arg, 2,
		"{ .reg .b16 l, h; cvt.rn.f16.f32 h, $1; cvt.rn.f16.f32 l, $2; mov.b32 $0, {l, "
		"h}; }");
}

/* --- leaves --- */

/* Element `i` = 2 * register + element in the low half. */
static V low_half(ptx_cx *h, const tile_frag *f, int i)
{
	V v = ptx_read_register(h, f, i / 2);

	return i % 2 ? ptx_binary(h, LLVMLShr, v, ptx_i32(h, 16)) : v;
}

static V pair_frag(ptx_cx *h, const place *first, const place *second, const tile_expr *x)
{
	int a = ptx_peer(h, x->frag, first->domain, first->r, first->e), b;
	V low;

	if (!second)
		return low_half(h, x->frag, a);
	b = ptx_peer(h, x->frag, second->domain, second->r, second->e);
	if (a % 2 == 0 && b == a + 1)
		return ptx_read_register(h, x->frag, a / 2);
	low = ptx_binary(h, LLVMAnd, low_half(h, x->frag, a), ptx_i32(h, 0xffff));
	return join(h, low, low_half(h, x->frag, b));
}

/* Both elements of one register, which lie side by side in shared memory. */
static bool stored(const place *first, const place *second, const tile_expr *x)
{
	return second && first->domain && first->domain == second->domain &&
	       first->domain->layout != LAYOUT_OPB && first->r == second->r && first->e == 0 &&
	       second->e == 1 && tx_is_stored_pair(x);
}

static V pair_cvt(ptx_cx *h, const place *first, const place *second, const tile_expr *x)
{
	V low, high;

	if (stored(first, second, x))
		return ptx_shared_read(h, ptx_shared_place(h, first, x->arg[0]), 4);
	low = high = num_v(h, ptx_value(h, first, x->arg[0]));
	if (second)
		high = num_v(h, ptx_value(h, second, x->arg[0]));
	return ptx_round_pair(h, x->type, low, high);
}

/* --- arithmetic --- */

static V packed(ptx_cx *h, const char *op, V a, V b, V c)
{
	V arg[3] = {a, b, c};

	if (!c)
		return ptx_asm(h, h->i32, PTX_PURE, "=r,r,r", arg, 2, "%s $0, $1, $2;", op);
	return ptx_asm(h, h->i32, PTX_PURE, "=r,r,r,r", arg, 3, "%s $0, $1, $2, $3;", op);
}

static V bf16_both(ptx_cx *h, float v)
{
	uint32_t u = bf16_bits(v);

	return ptx_i32(h, (int32_t)(u | u << 16));
}

static V pair_bf16(ptx_cx *h, const tile_expr *x, const V arg[3])
{
	bool direct = arch_has(h->a, ARCH_MUL_BF16X2);
	static const char fma[] = "fma.rn.bf16x2";

	if (!arch_has(h->a, ARCH_FMA_BF16X2))
		ice("%s has no bf16 arithmetic", h->a->name);
	switch (x->op) {
	case TX_ADD:
		return direct ? packed(h, "add.rn.bf16x2", arg[0], arg[1], NULL)
			      : packed(h, fma, arg[0], bf16_both(h, 1), arg[1]);
	case TX_SUB:
		return direct ? packed(h, "sub.rn.bf16x2", arg[0], arg[1], NULL)
			      : packed(h, fma, arg[1], bf16_both(h, -1), arg[0]);
	case TX_MUL:
		return direct ? packed(h, "mul.rn.bf16x2", arg[0], arg[1], NULL)
			      : packed(h, fma, arg[0], arg[1], bf16_both(h, -0.0f));
	case TX_FMA:
		return packed(h, fma, arg[0], arg[1], arg[2]);
	default:
		ice("'%s' of bf16", tile_expr_info[x->op].text);
	}
}

static V pair_f16(ptx_cx *h, const tile_expr *x, const V arg[3])
{
	switch (x->op) {
	case TX_ADD:
		return packed(h, "add.rn.f16x2", arg[0], arg[1], NULL);
	case TX_SUB:
		return packed(h, "sub.rn.f16x2", arg[0], arg[1], NULL);
	case TX_MUL:
		return packed(h, "mul.rn.f16x2", arg[0], arg[1], NULL);
	case TX_FMA:
		return packed(h, "fma.rn.f16x2", arg[0], arg[1], arg[2]);
	default:
		ice("'%s' of f16", tile_expr_info[x->op].text);
	}
}

static V pair(ptx_cx *h, const place *first, const place *second, const tile_expr *x)
{
	V arg[3] = {0};

	if (x->op == TX_FRAG)
		return pair_frag(h, first, second, x);
	if (x->op == TX_CVT)
		return pair_cvt(h, first, second, x);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		arg[i] = ptx_pair(h, first, second, x->arg[i]);
	if (x->op == TX_NEG)
		return ptx_binary(h, LLVMXor, arg[0], ptx_i32(h, (int32_t)0x80008000));
	return x->type == TILE_BF16 ? pair_bf16(h, x, arg) : pair_f16(h, x, arg);
}

V ptx_pair(ptx_cx *h, const place *first, const place *second, const tile_expr *x)
{
	ptx_memo *m = &h->pair[x->id];
	uint32_t other = second ? second->serial : 0;

	if (m->serial != first->serial || m->second != other) {
		m->value.v = pair(h, first, second, x);
		m->serial = first->serial;
		m->second = other;
	}
	return m->value.v;
}
