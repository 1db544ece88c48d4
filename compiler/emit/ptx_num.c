/* ptx_num.c: integers as register + constant. Constants gather at the end of a sum, where they
 * become part of an address; what is known of ranges decides comparisons (a column of a tile that
 * lies within the extent) and proves that nothing wraps when an i32 is widened. */
#include "emit/ptx_internal.h"

static bool wide(num n)
{
	return LLVMGetIntTypeWidth(n.type) == 64;
}

static bool integral(T t)
{
	return LLVMGetTypeKind(t) == LLVMIntegerTypeKind && LLVMGetIntTypeWidth(t) >= 32;
}

static int64_t least(T t)
{
	return LLVMGetIntTypeWidth(t) == 64 ? INT64_MIN : INT32_MIN;
}

static int64_t most(T t)
{
	return LLVMGetIntTypeWidth(t) == 64 ? INT64_MAX : INT32_MAX;
}

static int64_t wrap(T t, uint64_t v)
{
	return LLVMGetIntTypeWidth(t) == 64 ? (int64_t)v : (int32_t)(uint32_t)v;
}

static int trailing_zeros(int64_t v)
{
	return v ? __builtin_ctzll((unsigned long long)v) : 63;
}

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

num num_const(T type, int64_t v)
{
	v = wrap(type, (uint64_t)v);
	return (num){.type = type, .add = v, .lo = v, .hi = v, .zeros = 63};
}

num num_of(ptx_cx *h, V v)
{
	T t = LLVMTypeOf(v);
	num n = {.type = t, .v = v};

	(void)h;
	if (!integral(t))
		return n;
	if (LLVMIsConstant(v) && LLVMIsAConstantInt(v))
		return num_const(t, LLVMConstIntGetSExtValue(v));
	n.lo = least(t);
	n.hi = most(t);
	return n;
}

num num_range(num n, int64_t lo, int64_t hi)
{
	if (lo > n.lo)
		n.lo = lo;
	if (hi < n.hi)
		n.hi = hi;
	if (n.lo > n.hi)
		n.hi = n.lo; /* never reached */
	return n;
}

/* Bounds that a computation without wrapping would give: kept if it cannot wrap. */
static num bounded(num n, bool overflow, int64_t lo, int64_t hi)
{
	if (overflow || lo < least(n.type) || hi > most(n.type)) {
		n.lo = least(n.type);
		n.hi = most(n.type);
	} else {
		n.lo = lo;
		n.hi = hi;
	}
	return n;
}

bool num_is_const(num n, int64_t *v)
{
	*v = n.add;
	return n.v == NULL;
}

V num_v(ptx_cx *h, num n)
{
	V c;

	if (!integral(n.type))
		return n.v;
	c = LLVMConstInt(n.type, (unsigned long long)n.add, 1);
	if (!n.v)
		return c;
	return n.add ? ptx_binary(h, LLVMAdd, n.v, c) : n.v;
}

int num_align(num n)
{
	return min_int(n.zeros, trailing_zeros(n.add));
}

num num_add(ptx_cx *h, num a, num b)
{
	num r = {.type = a.type};
	int64_t lo, hi;
	bool overflow;

	r.v = a.v && b.v ? ptx_binary(h, LLVMAdd, a.v, b.v) : a.v ? a.v : b.v;
	r.add = wrap(r.type, (uint64_t)a.add + (uint64_t)b.add);
	r.zeros = min_int(a.zeros, b.zeros);
	overflow = __builtin_add_overflow(a.lo, b.lo, &lo);
	overflow = __builtin_add_overflow(a.hi, b.hi, &hi) || overflow;
	return bounded(r, overflow, lo, hi);
}

num num_sub(ptx_cx *h, num a, num b)
{
	num r = {.type = a.type};
	int64_t lo, hi;
	bool overflow;

	if (!b.v || a.v == b.v)
		r.v = b.v ? NULL : a.v;
	else
		r.v = ptx_binary(h, LLVMSub, a.v ? a.v : LLVMConstNull(a.type), b.v);
	r.add = wrap(r.type, (uint64_t)a.add - (uint64_t)b.add);
	if (!r.v)
		return num_const(r.type, r.add);
	r.zeros = min_int(a.zeros, b.zeros);
	overflow = __builtin_sub_overflow(a.lo, b.hi, &lo);
	overflow = __builtin_sub_overflow(a.hi, b.lo, &hi) || overflow;
	return bounded(r, overflow, lo, hi);
}

num num_plus(ptx_cx *h, num a, int64_t c)
{
	return num_add(h, a, num_const(a.type, c));
}

/* The bounds of a product are at its corners. */
static num product_bounds(num r, num a, num b)
{
	int64_t x[2] = {a.lo, a.hi}, y[2] = {b.lo, b.hi}, lo = INT64_MAX, hi = INT64_MIN, c;
	bool overflow = false;

	for (int i = 0; i < 4; i++) {
		overflow = __builtin_mul_overflow(x[i / 2], y[i % 2], &c) || overflow;
		lo = c < lo ? c : lo;
		hi = c > hi ? c : hi;
	}
	return bounded(r, overflow, lo, hi);
}

num num_times(ptx_cx *h, num a, int64_t c)
{
	num r = {.type = a.type};
	int shift = trailing_zeros(c);

	if (c == 0 || !a.v)
		return num_const(a.type, wrap(a.type, (uint64_t)a.add * (uint64_t)c));
	if (c == 1)
		return a;
	if (c == (int64_t)1 << shift && shift < 31)
		r.v = ptx_binary(h, LLVMShl, a.v, LLVMConstInt(a.type, (unsigned)shift, 0));
	else
		r.v = ptx_binary(h, LLVMMul, a.v, LLVMConstInt(a.type, (unsigned long long)c, 1));
	r.add = wrap(r.type, (uint64_t)a.add * (uint64_t)c);
	r.zeros = min_int(a.zeros + shift, wide(a) ? 63 : 31);
	return product_bounds(r, a, num_const(a.type, c));
}

num num_mul(ptx_cx *h, num a, num b)
{
	num r = {.type = a.type};
	int64_t c;

	if (num_is_const(b, &c))
		return num_times(h, a, c);
	if (num_is_const(a, &c))
		return num_times(h, b, c);
	r.v = ptx_binary(h, LLVMMul, num_v(h, a), num_v(h, b));
	r.zeros = min_int(num_align(a) + num_align(b), wide(a) ? 63 : 31);
	return product_bounds(r, a, b);
}

num num_min(ptx_cx *h, num a, num b)
{
	V arg[2];
	num r;

	if (a.hi <= b.lo)
		return a;
	if (b.hi <= a.lo)
		return b;
	arg[0] = num_v(h, a);
	arg[1] = num_v(h, b);
	r = num_of(h, ptx_intrinsic(h, "llvm.smin", a.type, arg, 2));
	r.zeros = min_int(num_align(a), num_align(b));
	return num_range(r, a.lo < b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi);
}

num num_max(ptx_cx *h, num a, num b)
{
	V arg[2];
	num r;

	if (a.lo >= b.hi)
		return a;
	if (b.lo >= a.hi)
		return b;
	arg[0] = num_v(h, a);
	arg[1] = num_v(h, b);
	r = num_of(h, ptx_intrinsic(h, "llvm.smax", a.type, arg, 2));
	r.zeros = min_int(num_align(a), num_align(b));
	return num_range(r, a.lo > b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi);
}

num num_xor(ptx_cx *h, num a, num b)
{
	num r;

	if (!a.v && !b.v)
		return num_const(a.type, a.add ^ b.add);
	if ((!a.v && a.add == 0) || (!b.v && b.add == 0))
		return a.v ? a : b;
	r = num_of(h, ptx_binary(h, LLVMXor, num_v(h, a), num_v(h, b)));
	r.zeros = min_int(num_align(a), num_align(b));
	return r;
}

/* --- division --- */

static V constant(T t, int64_t v)
{
	return LLVMConstInt(t, (unsigned long long)v, 1);
}

/* Quotient or remainder of a non-negative number by a positive one. */
static V unsigned_division(ptx_cx *h, bool remainder, V a, num b)
{
	return ptx_binary(h, remainder ? LLVMURem : LLVMUDiv, a, num_v(h, b));
}

/* Any operands: C's division of |.| by a divisor that traps nowhere, then floor. */
static V floor_division(ptx_cx *h, bool remainder, V a, V b)
{
	T t = LLVMTypeOf(a);
	V zero = constant(t, 0), one = constant(t, 1), none, negative, safe, q, r, down, neg;

	none = ptx_compare_int(h, LLVMIntEQ, b, zero);
	negative = ptx_compare_int(h, LLVMIntEQ, b, constant(t, -1));
	safe = ptx_select(h, ptx_binary(h, LLVMOr, none, negative), one, b);
	q = ptx_binary(h, LLVMSDiv, a, safe);
	r = ptx_binary(h, LLVMSub, a, ptx_binary(h, LLVMMul, q, safe));
	down = ptx_binary(h, LLVMAnd, ptx_compare_int(h, LLVMIntNE, r, zero),
		ptx_compare_int(h, LLVMIntSLT, ptx_binary(h, LLVMXor, r, safe), zero));
	if (remainder) /* safe is 1 by 0 and -1: r is 0 */
		return ptx_select(h, down, ptx_binary(h, LLVMAdd, r, safe), r);
	q = ptx_select(h, down, ptx_binary(h, LLVMSub, q, one), q);
	neg = ptx_binary(h, LLVMSub, zero, a);
	return ptx_select(h, none, zero, ptx_select(h, negative, neg, q));
}

/* By a divisor that may be zero, of non-negative numbers. */
static V checked_division(ptx_cx *h, bool remainder, V a, num b)
{
	T t = LLVMTypeOf(a);
	V d = num_v(h, b), none = ptx_compare_int(h, LLVMIntEQ, d, constant(t, 0)), r;

	r = unsigned_division(h, remainder, a, num_of(h, ptx_select(h, none, constant(t, 1), d)));
	return ptx_select(h, none, constant(t, 0), r);
}

static V divide(ptx_cx *h, bool remainder, num a, num b)
{
	V x = num_v(h, a);

	if (a.lo < 0 || b.lo < 0)
		return floor_division(h, remainder, x, num_v(h, b));
	if (b.lo < 1)
		return checked_division(h, remainder, x, b);
	return unsigned_division(h, remainder, x, b);
}

static int64_t floor_by(int64_t a, int64_t c)
{
	return a / c - (a % c < 0);
}

/* The multiple of c in a's constant can be divided on its own: then a.v + the rest is what remains
 * to be divided, if neither wraps. */
static bool take_multiple(num *a, int64_t c, int64_t *multiple)
{
	num rest = *a;

	*multiple = floor_by(a->add, c);
	if (*multiple == 0 || a->lo == least(a->type) || a->hi == most(a->type))
		return false;
	rest.add -= *multiple * c;
	if (__builtin_sub_overflow(a->lo, *multiple * c, &rest.lo) ||
		__builtin_sub_overflow(a->hi, *multiple * c, &rest.hi) ||
		rest.lo < least(a->type) || rest.hi > most(a->type))
		return false;
	*a = rest;
	return true;
}

static num divide_const(ptx_cx *h, num a, int64_t c)
{
	int shift = trailing_zeros(c);
	int64_t multiple;
	num r;

	if (!a.v)
		return num_const(a.type, floor_by(a.add, c));
	if (!take_multiple(&a, c, &multiple))
		multiple = 0;
	if (c == (int64_t)1 << shift)
		r = num_of(h, ptx_binary(h, LLVMAShr, num_v(h, a), constant(a.type, shift)));
	else
		r = num_of(h, divide(h, false, a, num_const(a.type, c)));
	r = num_range(r, floor_by(a.lo, c), floor_by(a.hi, c));
	if (c == (int64_t)1 << shift && num_align(a) > shift)
		r.zeros = num_align(a) - shift;
	return num_plus(h, r, multiple);
}

static num modulo_const(ptx_cx *h, num a, int64_t c)
{
	int64_t multiple;
	num r;

	if (!a.v)
		return num_const(a.type, a.add - floor_by(a.add, c) * c);
	if (a.lo >= 0 && a.hi < c)
		return a;
	take_multiple(&a, c, &multiple);
	if ((c & (c - 1)) == 0)
		r = num_of(h, ptx_binary(h, LLVMAnd, num_v(h, a), constant(a.type, c - 1)));
	else
		r = num_of(h, divide(h, true, a, num_const(a.type, c)));
	if ((c & (c - 1)) == 0)
		r.zeros = min_int(num_align(a), trailing_zeros(c));
	return num_range(r, 0, c - 1);
}

num num_div(ptx_cx *h, num a, num b)
{
	int64_t c;
	num r;

	if (num_is_const(b, &c) && c > 0)
		return divide_const(h, a, c);
	r = num_of(h, divide(h, false, a, b));
	if (a.lo >= 0 && b.lo >= 0)
		r = num_range(r, 0, a.hi);
	return r;
}

num num_mod(ptx_cx *h, num a, num b)
{
	int64_t c;
	num r;

	if (num_is_const(b, &c) && c > 0)
		return modulo_const(h, a, c);
	r = num_of(h, divide(h, true, a, b));
	if (b.lo >= 0)
		r = num_range(r, 0, b.hi);
	return r;
}

/* --- comparisons --- */

num num_less(ptx_cx *h, num a, num b, bool or_equal)
{
	if (or_equal ? a.hi <= b.lo : a.hi < b.lo)
		return num_of(h, ptx_bool(h, true));
	if (or_equal ? a.lo > b.hi : a.lo >= b.hi)
		return num_of(h, ptx_bool(h, false));
	return num_of(h,
		ptx_compare_int(h, or_equal ? LLVMIntSLE : LLVMIntSLT, num_v(h, a), num_v(h, b)));
}

num num_equal(ptx_cx *h, num a, num b, bool negate)
{
	if (a.hi < b.lo || b.hi < a.lo)
		return num_of(h, ptx_bool(h, negate));
	return num_of(
		h, ptx_compare_int(h, negate ? LLVMIntNE : LLVMIntEQ, num_v(h, a), num_v(h, b)));
}

/* --- width --- */

num num_widen(ptx_cx *h, num a)
{
	num r = {.type = h->i64, .lo = a.lo, .hi = a.hi};
	num v = {.type = a.type, .v = a.v, .zeros = a.zeros};

	if (!a.v)
		return num_const(h->i64, a.add);
	v = bounded(v, a.lo == INT32_MIN || a.hi == INT32_MAX, a.lo - a.add, a.hi - a.add);
	if (v.lo == INT32_MIN && a.add != 0) { /* v + add may wrap */
		v = a;
		v.v = num_v(h, a);
		v.zeros = num_align(a);
		a.add = 0;
	}
	r.v = ptx_cast(h, v.lo >= 0 ? LLVMZExt : LLVMSExt, v.v, h->i64);
	r.add = a.add;
	r.zeros = v.zeros;
	return r;
}
