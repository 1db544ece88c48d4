/* compute.c: arithmetic of tile_expr.def on vectors of values. 16-bit floats are held as the floats
 * they equal and rounded after each operation. */
#include "sim/sim_float.h"
#include "sim/sim_internal.h"

#define EACH(assignment)                                                                           \
	for (int k = 0; k < n; k++)                                                                \
		assignment;                                                                        \
	return

static int64_t floor_div(int64_t a, int64_t b)
{
	if (b == 0)
		return 0;
	if (b == -1)
		return (int64_t)(0 - (uint64_t)a);
	return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_mod(int64_t a, int64_t b)
{
	return b == 0 || b == -1 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
}

static void compute_i32(tile_expr_op op, sim_vec *restrict v, const sim_vec *a, const sim_vec *b,
	const sim_vec *c, int n)
{
	switch (op) {
	case TX_ADD:
		EACH(v->u[k] = a->u[k] + b->u[k]);
	case TX_SUB:
		EACH(v->u[k] = a->u[k] - b->u[k]);
	case TX_MUL:
		EACH(v->u[k] = a->u[k] * b->u[k]);
	case TX_DIV:
		EACH(v->i[k] = (int32_t)floor_div(a->i[k], b->i[k]));
	case TX_MOD:
		EACH(v->i[k] = (int32_t)floor_mod(a->i[k], b->i[k]));
	case TX_MIN:
		EACH(v->i[k] = a->i[k] < b->i[k] ? a->i[k] : b->i[k]);
	case TX_MAX:
		EACH(v->i[k] = a->i[k] > b->i[k] ? a->i[k] : b->i[k]);
	case TX_NEG:
		EACH(v->u[k] = 0 - a->u[k]);
	case TX_ABS:
		EACH(v->u[k] = a->i[k] < 0 ? 0 - a->u[k] : a->u[k]);
	case TX_AND:
		EACH(v->u[k] = a->u[k] & b->u[k]);
	case TX_OR:
		EACH(v->u[k] = a->u[k] | b->u[k]);
	case TX_XOR:
		EACH(v->u[k] = a->u[k] ^ b->u[k]);
	case TX_SHL:
		EACH(v->u[k] = a->u[k] << (b->u[k] & 31));
	case TX_SHR:
		EACH(v->i[k] = a->i[k] >> (b->u[k] & 31));
	case TX_LT:
		EACH(v->b[k] = a->i[k] < b->i[k]);
	case TX_LE:
		EACH(v->b[k] = a->i[k] <= b->i[k]);
	case TX_EQ:
		EACH(v->b[k] = a->i[k] == b->i[k]);
	case TX_NE:
		EACH(v->b[k] = a->i[k] != b->i[k]);
	case TX_SELECT:
		EACH(v->i[k] = a->b[k] ? b->i[k] : c->i[k]);
	default:
		ice("'%s' of i32", tile_expr_info[op].text);
	}
}

static void compute_i64(tile_expr_op op, sim_vec *restrict v, const sim_vec *a, const sim_vec *b,
	const sim_vec *c, int n)
{
#define U(x) ((uint64_t)(x))
	switch (op) {
	case TX_ADD:
		EACH(v->l[k] = (int64_t)(U(a->l[k]) + U(b->l[k])));
	case TX_SUB:
		EACH(v->l[k] = (int64_t)(U(a->l[k]) - U(b->l[k])));
	case TX_MUL:
		EACH(v->l[k] = (int64_t)(U(a->l[k]) * U(b->l[k])));
	case TX_DIV:
		EACH(v->l[k] = floor_div(a->l[k], b->l[k]));
	case TX_MOD:
		EACH(v->l[k] = floor_mod(a->l[k], b->l[k]));
	case TX_MIN:
		EACH(v->l[k] = a->l[k] < b->l[k] ? a->l[k] : b->l[k]);
	case TX_MAX:
		EACH(v->l[k] = a->l[k] > b->l[k] ? a->l[k] : b->l[k]);
	case TX_NEG:
		EACH(v->l[k] = (int64_t)(0 - U(a->l[k])));
	case TX_ABS:
		EACH(v->l[k] = a->l[k] < 0 ? (int64_t)(0 - U(a->l[k])) : a->l[k]);
	case TX_AND:
		EACH(v->l[k] = a->l[k] & b->l[k]);
	case TX_OR:
		EACH(v->l[k] = a->l[k] | b->l[k]);
	case TX_XOR:
		EACH(v->l[k] = a->l[k] ^ b->l[k]);
	case TX_SHL:
		EACH(v->l[k] = (int64_t)(U(a->l[k]) << (b->l[k] & 63)));
	case TX_SHR:
		EACH(v->l[k] = a->l[k] >> (b->l[k] & 63));
	case TX_LT:
		EACH(v->b[k] = a->l[k] < b->l[k]);
	case TX_LE:
		EACH(v->b[k] = a->l[k] <= b->l[k]);
	case TX_EQ:
		EACH(v->b[k] = a->l[k] == b->l[k]);
	case TX_NE:
		EACH(v->b[k] = a->l[k] != b->l[k]);
	case TX_SELECT:
		EACH(v->l[k] = a->b[k] ? b->l[k] : c->l[k]);
	default:
		ice("'%s' of i64", tile_expr_info[op].text);
	}
#undef U
}

/* -0 is less than +0; a NaN gives way. */
static float least(float a, float b)
{
	if (a != a || b != b)
		return a != a ? b : a;
	return a < b || (a == b && signbit(a)) ? a : b;
}

static float most(float a, float b)
{
	if (a != a || b != b)
		return a != a ? b : a;
	return a > b || (a == b && !signbit(a)) ? a : b;
}

static void compute_f32(tile_expr_op op, sim_vec *restrict v, const sim_vec *a, const sim_vec *b,
	const sim_vec *c, int n)
{
	switch (op) {
	case TX_ADD:
		EACH(v->f[k] = a->f[k] + b->f[k]);
	case TX_SUB:
		EACH(v->f[k] = a->f[k] - b->f[k]);
	case TX_MUL:
		EACH(v->f[k] = a->f[k] * b->f[k]);
	case TX_DIV:
		EACH(v->f[k] = a->f[k] / b->f[k]);
	case TX_MIN:
		EACH(v->f[k] = least(a->f[k], b->f[k]));
	case TX_MAX:
		EACH(v->f[k] = most(a->f[k], b->f[k]));
	case TX_FMA:
		EACH(v->f[k] = fmaf(a->f[k], b->f[k], c->f[k]));
	case TX_NEG:
		EACH(v->f[k] = -a->f[k]);
	case TX_ABS:
		EACH(v->f[k] = fabsf(a->f[k]));
	case TX_LT:
		EACH(v->b[k] = a->f[k] < b->f[k]);
	case TX_LE:
		EACH(v->b[k] = a->f[k] <= b->f[k]);
	case TX_EQ:
		EACH(v->b[k] = a->f[k] == b->f[k]);
	case TX_NE:
		EACH(v->b[k] = a->f[k] != b->f[k]);
	case TX_SELECT:
		EACH(v->f[k] = a->b[k] ? b->f[k] : c->f[k]);
	case TX_EX2:
		EACH(v->f[k] = sim_flush(exp2f(sim_flush(a->f[k]))));
	case TX_LG2:
		EACH(v->f[k] = log2f(sim_flush(a->f[k])));
	case TX_RCP:
		EACH(v->f[k] = sim_flush(1.0f / sim_flush(a->f[k])));
	case TX_SQRT:
		EACH(v->f[k] = sqrtf(a->f[k]));
	case TX_FLOOR:
		EACH(v->f[k] = floorf(a->f[k]));
	default:
		ice("'%s' of f32", tile_expr_info[op].text);
	}
}

#define HALF(value)                                                                                \
	if (x->type == TILE_F16) {                                                                 \
		EACH(v->f[k] = sim_round_f16(value));                                              \
	}                                                                                          \
	EACH(v->f[k] = sim_round_bf16(value))

static void compute_half(const tile_expr *x, sim_vec *restrict v, const sim_vec *a,
	const sim_vec *b, const sim_vec *c, int n)
{
	switch (x->op) {
	case TX_ADD:
		HALF(a->f[k] + b->f[k]);
	case TX_SUB:
		HALF(a->f[k] - b->f[k]);
	case TX_MUL:
		HALF(a->f[k] * b->f[k]);
	case TX_FMA:
		HALF(sim_fma_odd(a->f[k], b->f[k], c->f[k]));
	case TX_NEG:
		EACH(v->f[k] = -a->f[k]);
	default:
		ice("'%s' of %s", tile_expr_info[x->op].text, tile_type_name(x->type));
	}
}

static void compute_bool(tile_expr_op op, sim_vec *restrict v, const sim_vec *a, const sim_vec *b,
	const sim_vec *c, int n)
{
	switch (op) {
	case TX_AND:
		EACH(v->b[k] = a->b[k] & b->b[k]);
	case TX_OR:
		EACH(v->b[k] = a->b[k] | b->b[k]);
	case TX_XOR:
	case TX_NE:
		EACH(v->b[k] = a->b[k] ^ b->b[k]);
	case TX_EQ:
		EACH(v->b[k] = a->b[k] == b->b[k]);
	case TX_NOT:
		EACH(v->b[k] = !a->b[k]);
	case TX_SELECT:
		EACH(v->b[k] = a->b[k] ? b->b[k] : c->b[k]);
	default:
		ice("'%s' of b1", tile_expr_info[op].text);
	}
}

/* --- conversions --- */

static int32_t to_i32(float f)
{
	if (f != f)
		return 0;
	return f >= 0x1p31f ? INT32_MAX : f < -0x1p31f ? INT32_MIN : (int32_t)f;
}

static void from_float(tile_type to, sim_vec *restrict v, const sim_vec *a, int n)
{
	switch (to) {
	case TILE_I32:
		EACH(v->i[k] = to_i32(a->f[k]));
	case TILE_BF16:
		EACH(v->f[k] = sim_round_bf16(a->f[k]));
	case TILE_F16:
		EACH(v->f[k] = sim_round_f16(a->f[k]));
	case TILE_TF32:
		EACH(v->f[k] = sim_to_tf32(a->f[k]));
	case TILE_F32:
		EACH(v->f[k] = a->f[k]);
	case TILE_B1:
	case TILE_I64:
		break;
	}
	ice("no conversion from f32 to %s", tile_type_name(to));
}

static void convert(tile_type from, tile_type to, sim_vec *restrict v, const sim_vec *a, int n)
{
	switch (from) {
	case TILE_B1:
		if (to == TILE_I32) {
			EACH(v->i[k] = a->b[k]);
		}
		EACH(v->l[k] = a->b[k]);
	case TILE_I32:
		if (to == TILE_I64) {
			EACH(v->l[k] = a->i[k]);
		}
		EACH(v->f[k] = (float)a->i[k]);
	case TILE_I64:
		if (to == TILE_I32) {
			EACH(v->u[k] = (uint32_t)a->l[k]);
		}
		EACH(v->f[k] = (float)a->l[k]);
	case TILE_F32:
	case TILE_BF16:
	case TILE_F16:
	case TILE_TF32:
		from_float(to, v, a, n);
		return;
	}
}

void sim_compute(const tile_expr *x, tile_type from, sim_vec *v, const sim_vec *a, const sim_vec *b,
	const sim_vec *c, int n)
{
	if (x->op == TX_CVT) {
		convert(from, x->type, v, a, n);
		return;
	}
	if (x->op == TX_BITS) {
		EACH(v->u[k] = a->u[k]);
	}
	if (x->op == TX_SELECT)
		from = x->type;
	switch (from) {
	case TILE_B1:
		compute_bool(x->op, v, a, b, c, n);
		return;
	case TILE_I32:
		compute_i32(x->op, v, a, b, c, n);
		return;
	case TILE_I64:
		compute_i64(x->op, v, a, b, c, n);
		return;
	case TILE_F32:
		compute_f32(x->op, v, a, b, c, n);
		return;
	case TILE_BF16:
	case TILE_F16:
		compute_half(x, v, a, b, c, n);
		return;
	case TILE_TF32:
		ice("'%s' of tf32", tile_expr_info[x->op].text);
	}
}

/* --- what integers lose --- */

static bool loses(tile_expr_op op, bool wide, int64_t a, int64_t b)
{
	int64_t r;
	bool lost = false;

	switch (op) {
	case TX_ADD:
		lost = __builtin_add_overflow(a, b, &r);
		break;
	case TX_SUB:
		lost = __builtin_sub_overflow(a, b, &r);
		break;
	case TX_MUL:
		lost = __builtin_mul_overflow(a, b, &r);
		break;
	case TX_NEG:
		lost = __builtin_sub_overflow((int64_t)0, a, &r);
		break;
	case TX_SHL:
		if (b < 0 || b > 31)
			return false;
		lost = __builtin_mul_overflow(a, (int64_t)1 << b, &r);
		break;
	case TX_CVT:
		r = a;
		break;
	default:
		return false;
	}
	return lost || (!wide && (r < INT32_MIN || r > INT32_MAX));
}

int sim_overflow(const tile_expr *x, const sim_vec *a, const sim_vec *b, int from, int n)
{
	bool wide = x->type == TILE_I64, from64 = x->arg[0]->type == TILE_I64;
	bool two = tile_expr_info[x->op].arity == 2;

	if (x->arg[0]->type != TILE_I32 && !from64)
		return n;
	for (int k = from; k < n; k++) {
		int64_t p = from64 ? a->l[k] : a->i[k], q = !two ? 0 : from64 ? b->l[k] : b->i[k];

		if (loses(x->op, wide, p, q))
			return k;
	}
	return n;
}
