/* range.c: bounds and divisibility of integer values.
 * in:  a program whose variables are defined before they are used
 * out: what holds of a value on every execution; the verifier shows with it that slices and regions
 * lie inside their tiles and that 16-byte accesses are aligned */
#include "tile/tile_internal.h"

static const tile_range unknown = {INT64_MIN, INT64_MAX, 1, 0};

static tile_range exactly(int64_t v)
{
	return (tile_range){v, v, 0, v};
}

static tile_range between(int64_t low, int64_t high)
{
	return low == high ? exactly(low) : (tile_range){low, high, 1, 0};
}

static int64_t gcd(int64_t a, int64_t b)
{
	a = a < 0 ? -a : a;
	b = b < 0 ? -b : b;
	while (b) {
		int64_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

static bool bounded(tile_range x)
{
	return x.low > INT64_MIN && x.high < INT64_MAX;
}

/* Small enough that sums and products of two cannot overflow. */
static bool small(tile_range x)
{
	const int64_t limit = (int64_t)1 << 31;

	return x.step <= limit && x.phase <= limit && x.phase >= -limit;
}

static int64_t remainder_of(int64_t a, int64_t n)
{
	return a % n < 0 ? a % n + n : a % n;
}

/* x = phase + n * step between `low` and `high`, which move to the nearest such x. */
static tile_range make(int64_t low, int64_t high, int64_t step, int64_t phase)
{
	if (step == 0)
		return exactly(phase);
	phase = remainder_of(phase, step);
	if (low > INT64_MIN / 2 && low < INT64_MAX / 2)
		low += remainder_of(phase - remainder_of(low, step), step);
	if (high > INT64_MIN / 2 && high < INT64_MAX / 2)
		high -= remainder_of(remainder_of(high, step) - phase, step);
	return (tile_range){low, high, step, phase};
}

/* A result of type `t`: where it may have wrapped, only powers of two still divide it. */
static tile_range wrapped(tile_type t, tile_range x)
{
	if (t != TILE_I32 || (x.low >= INT32_MIN && x.high <= INT32_MAX))
		return x;
	if (x.step == 0)
		return unknown;
	return make(INT64_MIN, INT64_MAX, x.step & -x.step, x.phase);
}

static tile_range add(tile_range a, tile_range b, int64_t sign)
{
	int64_t low = sign > 0 ? b.low : b.high, high = sign > 0 ? b.high : b.low;
	tile_range r;

	if (!small(a) || !small(b))
		return unknown;
	r = make(INT64_MIN, INT64_MAX, gcd(a.step, b.step), a.phase + sign * b.phase);
	if (!bounded(a) || !bounded(b) || r.step == 0)
		return r;
	if (__builtin_add_overflow(a.low, sign * low, &r.low) ||
		__builtin_add_overflow(a.high, sign * high, &r.high))
		return unknown;
	return r;
}

static tile_range multiply(tile_range a, tile_range b)
{
	tile_range r;
	int64_t corner[4];

	if (!small(a) || !small(b))
		return unknown;
	r = make(INT64_MIN, INT64_MAX,
		gcd(gcd(a.step * b.step, a.step * b.phase), b.step * a.phase), a.phase * b.phase);
	if (!bounded(a) || !bounded(b))
		return r;
	if (__builtin_mul_overflow(a.low, b.low, &corner[0]) ||
		__builtin_mul_overflow(a.low, b.high, &corner[1]) ||
		__builtin_mul_overflow(a.high, b.low, &corner[2]) ||
		__builtin_mul_overflow(a.high, b.high, &corner[3]))
		return r;
	r.low = r.high = corner[0];
	for (int i = 1; i < 4; i++) {
		r.low = corner[i] < r.low ? corner[i] : r.low;
		r.high = corner[i] > r.high ? corner[i] : r.high;
	}
	return r;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b != 0 && a < 0);
}

static tile_range divide(tile_range a, tile_range b)
{
	int64_t n = b.phase;
	tile_range r = unknown;

	if (b.step != 0 || n <= 0)
		return unknown;
	if (a.step % n == 0 && a.phase % n == 0)
		r = make(INT64_MIN, INT64_MAX, a.step / n, a.phase / n);
	if (bounded(a)) {
		r.low = floor_div(a.low, n);
		r.high = floor_div(a.high, n);
	}
	return r;
}

static tile_range modulo(tile_range a, tile_range b)
{
	int64_t n = b.phase;

	if (b.step != 0 || n <= 0)
		return unknown;
	if (a.low >= 0 && a.high < n)
		return a;
	return make(0, n - 1, gcd(a.step, n), a.phase);
}

/* One of the two. */
static tile_range either(tile_range a, tile_range b)
{
	if (!small(a) || !small(b))
		return unknown;
	return make(a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high,
		gcd(gcd(a.step, b.step), a.phase - b.phase), a.phase);
}

static tile_range least(tile_range a, tile_range b)
{
	tile_range r = either(a, b);

	r.high = a.high < b.high ? a.high : b.high;
	return r;
}

static tile_range most(tile_range a, tile_range b)
{
	tile_range r = either(a, b);

	r.low = a.low > b.low ? a.low : b.low;
	return r;
}

static tile_range operation(tile_ranges *r, const tile_expr *x)
{
	tile_range a, b, one;

	if (x->type != TILE_I32 && x->type != TILE_I64)
		return unknown;
	switch (x->op) {
	case TX_CONST:
		return exactly(x->i);
	case TX_VAR:
		return r->var[x->var->id];
	case TX_TID:
		return between(0, 32 * r->p->warps - 1);
	case TX_LANE:
		return between(0, 31);
	case TX_WARP:
		return between(0, r->p->warps - 1);
	case TX_WARPGROUP:
		return between(0, (r->p->warps - 1) / 4);
	case TX_BLOCK:
		return between(0, INT32_MAX);
	default:
		break;
	}
	a = tile_expr_info[x->op].arity > 0 ? tile_range_of(r, x->arg[0]) : unknown;
	b = tile_expr_info[x->op].arity > 1 ? tile_range_of(r, x->arg[1]) : unknown;
	switch (x->op) {
	case TX_ADD:
		return add(a, b, 1);
	case TX_SUB:
		return add(a, b, -1);
	case TX_NEG:
		return add(exactly(0), a, -1);
	case TX_MUL:
		return multiply(a, b);
	case TX_SHL:
		one = exactly(b.step == 0 && b.phase >= 0 && b.phase < 31 ? 1LL << b.phase : 0);
		return one.phase ? multiply(a, one) : unknown;
	case TX_DIV:
		return divide(a, b);
	case TX_MOD:
		return modulo(a, b);
	case TX_MIN:
		return least(a, b);
	case TX_MAX:
		return most(a, b);
	case TX_SELECT:
		return either(b, tile_range_of(r, x->arg[2]));
	case TX_CVT:
		return x->arg[0]->type == TILE_F32 ? unknown : a;
	default:
		return unknown;
	}
}

tile_range tile_range_of(tile_ranges *r, const tile_expr *x)
{
	if (!r->known[x->id]) {
		r->memo[x->id] = wrapped(x->type, operation(r, x));
		r->known[x->id] = true;
	}
	return r->memo[x->id];
}

bool tile_range_divisible(tile_range x, int64_t n)
{
	return x.step % n == 0 && x.phase % n == 0;
}

/* --- variables --- */

static void mark_assigned(const tile_block *b, bool *assigned)
{
	for (int i = 0; i < b->count; i++) {
		const tile_stmt *s = b->item[i];

		if (s->op == TILE_SET)
			assigned[s->arg[0].var->id] = true;
		mark_assigned(&s->body, assigned);
		mark_assigned(&s->other, assigned);
	}
}

static tile_range counter(tile_ranges *r, const tile_stmt *s)
{
	tile_range from, to, step, x;

	if (s->op == TILE_UNROLL) {
		int64_t low = s->arg[1].integer, high = s->arg[2].integer, by = s->arg[3].integer;

		if (high <= low)
			return exactly(low);
		high = low + (high - 1 - low) / by * by;
		return high == low ? exactly(low) : make(low, high, by, low);
	}
	from = tile_range_of(r, s->arg[1].value);
	to = tile_range_of(r, s->arg[2].value);
	step = tile_range_of(r, s->arg[3].value);
	x = step.step == 0 ? make(INT64_MIN, INT64_MAX, gcd(from.step, step.phase), from.phase)
			   : unknown;
	if (bounded(from) && bounded(to) && to.high > from.low) {
		x.low = from.low;
		x.high = to.high - 1;
	}
	return x.step == 0 ? unknown : x;
}

static void find(tile_ranges *r, const tile_block *b, const bool *assigned)
{
	for (int i = 0; i < b->count; i++) {
		const tile_stmt *s = b->item[i];

		if (s->op == TILE_LET && !assigned[s->arg[0].var->id])
			r->var[s->arg[0].var->id] = tile_range_of(r, s->arg[1].value);
		if (s->op == TILE_FOR || s->op == TILE_UNROLL)
			r->var[s->arg[0].var->id] = counter(r, s);
		find(r, &s->body, assigned);
		find(r, &s->other, assigned);
	}
}

tile_ranges tile_ranges_find(const tile_program *p, arena *scratch)
{
	tile_ranges r = {.p = p};
	bool *assigned = ARENA_ARRAY(scratch, bool, p->var.count + 1);

	r.var = ARENA_ARRAY(scratch, tile_range, p->var.count + 1);
	r.memo = ARENA_ARRAY(scratch, tile_range, (size_t)p->expr_count + 1);
	r.known = ARENA_ARRAY(scratch, bool, (size_t)p->expr_count + 1);
	for (int i = 0; i < p->var.count; i++)
		r.var[i] = unknown;
	mark_assigned(&p->body, assigned);
	find(&r, &p->body, assigned);
	return r;
}
