/* value.c: values of a tile program.
 * in:  operation and operands;  out: a node, or a simpler one of the same value
 * Folding is that of the operations' meaning in tile_expr.def: integers wrap, floats round to
 * float. The only liberty is the sign of a zero in x + 0. */
#include "tile/tile_internal.h"
#include <math.h>

const struct tile_expr_info tile_expr_info[TX_COUNT] = {
#define TILE_EXPR(name, text, arity, operands, result) {text, arity, operands, RESULT_##result},
#include "tile/tile_expr.def"
#undef TILE_EXPR
};

static tile_expr *node(tile_program *p, tile_expr_op op, tile_type type)
{
	tile_expr *x = ARENA_NEW(p->arena, tile_expr);

	x->op = op;
	x->type = type;
	x->id = p->expr_count++;
	return x;
}

/* --- leaves --- */

static tile_expr *integer(tile_program *p, tile_type t, int64_t v)
{
	tile_expr *x = node(p, TX_CONST, t);

	x->i = t == TILE_I32 ? (int32_t)(uint32_t)v : t == TILE_B1 ? v != 0 : v;
	return x;
}

tile_expr *tx_i32(tile_program *p, int64_t v)
{
	if (v < INT32_MIN || v > INT32_MAX)
		ice("%lld is no i32", (long long)v);
	return integer(p, TILE_I32, v);
}

tile_expr *tx_i64(tile_program *p, int64_t v)
{
	return integer(p, TILE_I64, v);
}

tile_expr *tx_f32(tile_program *p, double v)
{
	tile_expr *x = node(p, TX_CONST, TILE_F32);

	x->f = (float)v;
	return x;
}

tile_expr *tx_bool(tile_program *p, bool v)
{
	return integer(p, TILE_B1, v);
}

tile_expr *tx_var(tile_program *p, tile_var *v)
{
	tile_expr *x = node(p, TX_VAR, v->type);

	x->var = v;
	return x;
}

tile_expr *tx_arg(tile_program *p, tile_arg *a)
{
	tile_expr *x = node(p, TX_ARG, a->type);

	if (a->kind != ARG_SCALAR)
		ice("tensor '%s' is no value", a->name);
	x->arg_ref = a;
	return x;
}

tile_expr *tx_frag(tile_program *p, tile_frag *f)
{
	tile_expr *x = node(p, TX_FRAG, f->type == TILE_TF32 ? TILE_F32 : f->type);

	x->frag = f;
	return x;
}

tile_expr *tx_leaf(tile_program *p, tile_expr_op op)
{
	if (op < TX_TID || op > TX_COL || op == TX_BLOCK)
		ice("'%s' is no plain leaf", tile_expr_info[op].text);
	return node(p, op, TILE_I32);
}

tile_expr *tx_block(tile_program *p, int axis)
{
	tile_expr *x = node(p, TX_BLOCK, TILE_I32);

	x->i = axis;
	return x;
}

tile_expr *tx_global(tile_program *p, tile_arg *tensor, tile_expr *offset)
{
	tile_expr *x = node(p, TX_GLOBAL, tensor->type == TILE_I32 ? TILE_I32 : TILE_F32);

	if (tensor->kind != ARG_TENSOR)
		ice("'%s' is no tensor", tensor->name);
	x->arg_ref = tensor;
	x->arg[0] = offset->type == TILE_I32 ? tx_cvt(p, TILE_I64, offset) : offset;
	return x;
}

tile_expr *tx_shared(
	tile_program *p, tile_buffer *b, tile_expr *slot, tile_expr *row, tile_expr *col)
{
	tile_expr *x = node(p, TX_SHARED, TILE_F32);

	x->buffer = b;
	x->arg[0] = slot ? slot : tx_i32(p, 0);
	x->arg[1] = row ? row : tx_i32(p, 0);
	x->arg[2] = col ? col : tx_i32(p, 0);
	return x;
}

/* --- folding --- */

static bool depends_on_col(const tile_expr *x)
{
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (depends_on_col(x->arg[i]))
			return true;
	return x->op == TX_COL;
}

bool tx_is_stored_pair(const tile_expr *x)
{
	const tile_expr *from = x->arg[0];

	return x->op == TX_CVT && from->op == TX_SHARED && from->buffer->type == x->type &&
	       tile_type_bytes(x->type) == 2 && from->arg[2]->op == TX_COL &&
	       !depends_on_col(from->arg[0]) && !depends_on_col(from->arg[1]);
}

bool tx_is_const(const tile_expr *x, double v)
{
	if (x->op != TX_CONST)
		return false;
	return x->type == TILE_F32 ? x->f == v : (double)x->i == v;
}

static bool is_int(tile_type t)
{
	return t == TILE_I32 || t == TILE_I64;
}

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

static bool fold_int(tile_expr_op op, tile_type t, int64_t a, int64_t b, int64_t *r)
{
	uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
	int width = t == TILE_I64 ? 64 : 32;

	switch (op) {
	case TX_ADD:
		*r = (int64_t)(ua + ub);
		return true;
	case TX_SUB:
		*r = (int64_t)(ua - ub);
		return true;
	case TX_MUL:
		*r = (int64_t)(ua * ub);
		return true;
	case TX_DIV:
		*r = floor_div(a, b);
		return true;
	case TX_MOD:
		*r = floor_mod(a, b);
		return true;
	case TX_MIN:
		*r = a < b ? a : b;
		return true;
	case TX_MAX:
		*r = a > b ? a : b;
		return true;
	case TX_AND:
		*r = a & b;
		return true;
	case TX_OR:
		*r = a | b;
		return true;
	case TX_XOR:
		*r = a ^ b;
		return true;
	case TX_SHL:
		*r = (int64_t)(ua << (ub & 63));
		return b >= 0 && b < width;
	case TX_SHR:
		*r = b >= 0 && b < width ? a >> b : 0;
		return b >= 0 && b < width;
	default:
		return false;
	}
}

static bool fold_float(tile_expr_op op, float a, float b, float *r)
{
	switch (op) {
	case TX_ADD:
		*r = a + b;
		return true;
	case TX_SUB:
		*r = a - b;
		return true;
	case TX_MUL:
		*r = a * b;
		return true;
	case TX_DIV:
		*r = a / b;
		return true;
	case TX_MIN:
		*r = fminf(a, b);
		return true;
	case TX_MAX:
		*r = fmaxf(a, b);
		return true;
	default:
		return false;
	}
}

static tile_expr *fold_compare(
	tile_program *p, tile_expr_op op, const tile_expr *x, const tile_expr *y)
{
	bool f = x->type == TILE_F32;

	switch (op) {
	case TX_LT:
		return tx_bool(p, f ? x->f < y->f : x->i < y->i);
	case TX_LE:
		return tx_bool(p, f ? x->f <= y->f : x->i <= y->i);
	case TX_EQ:
		return tx_bool(p, f ? x->f == y->f : x->i == y->i);
	case TX_NE:
		return tx_bool(p, f ? x->f != y->f : x->i != y->i);
	default:
		return NULL;
	}
}

static tile_expr *fold_constants(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y)
{
	int64_t i;
	float f;

	if (x->op != TX_CONST || y->op != TX_CONST)
		return NULL;
	if (tile_expr_info[op].result == RESULT_BOOL)
		return fold_compare(p, op, x, y);
	if (x->type == TILE_F32)
		return fold_float(op, (float)x->f, (float)y->f, &f) ? tx_f32(p, f) : NULL;
	return fold_int(op, x->type, x->i, y->i, &i) ? integer(p, x->type, i) : NULL;
}

/* x + 0, x * 1 and the like; (x + c) + d with integer constants. */
static tile_expr *fold_identity(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y)
{
	bool zero_x = tx_is_const(x, 0), zero_y = tx_is_const(y, 0), one_y = tx_is_const(y, 1);

	switch (op) {
	case TX_ADD:
		if (is_int(x->type) && y->op == TX_CONST && x->op == TX_ADD &&
			x->arg[1]->op == TX_CONST)
			return tx_2(p, TX_ADD, x->arg[0], tx_2(p, TX_ADD, x->arg[1], y));
		return zero_y ? x : zero_x ? y : NULL;
	case TX_SUB:
	case TX_SHL:
	case TX_SHR:
		return zero_y ? x : NULL;
	case TX_MUL:
		if (is_int(x->type) && (zero_x || zero_y))
			return zero_x ? x : y;
		return one_y ? x : tx_is_const(x, 1) ? y : NULL;
	case TX_DIV:
		return one_y ? x : NULL;
	case TX_MOD:
		return one_y ? integer(p, x->type, 0) : NULL;
	case TX_MIN:
	case TX_MAX:
		return x == y ? x : NULL;
	case TX_AND:
	case TX_OR:
		if (x->type != TILE_B1)
			return NULL;
		/* and: true vanishes and false wins; or: the other way round */
		if (x->op == TX_CONST)
			return x->i == (op == TX_AND) ? y : x;
		if (y->op == TX_CONST)
			return y->i == (op == TX_AND) ? x : y;
		return NULL;
	default:
		return NULL;
	}
}

static tile_expr *fold_cvt(tile_program *p, tile_type to, const tile_expr *x)
{
	if (x->op != TX_CONST)
		return NULL;
	if (is_int(to) && x->type != TILE_F32)
		return integer(p, to, x->i);
	if (to == TILE_F32 && is_int(x->type))
		return tx_f32(p, (float)x->i);
	return NULL;
}

static tile_expr *fold_one(tile_program *p, tile_expr_op op, tile_expr *x)
{
	if (op == TX_NOT && x->op == TX_NOT)
		return x->arg[0];
	if (x->op != TX_CONST)
		return NULL;
	if (op == TX_NOT)
		return tx_bool(p, !x->i);
	if (op == TX_NEG && x->type == TILE_F32)
		return tx_f32(p, -x->f);
	if (op == TX_ABS && x->type == TILE_F32)
		return tx_f32(p, fabs(x->f));
	if (op == TX_FLOOR)
		return tx_f32(p, floor(x->f));
	if (op == TX_NEG || (op == TX_ABS && x->i < 0))
		return integer(p, x->type, (int64_t)(0 - (uint64_t)x->i));
	return op == TX_ABS ? x : NULL;
}

static tile_expr *fold(
	tile_program *p, tile_expr_op op, tile_type to, tile_expr *x, tile_expr *y, tile_expr *z)
{
	tile_expr *r;

	switch (tile_expr_info[op].arity) {
	case 1:
		if (op == TX_CVT || op == TX_BITS)
			return x->type == to ? x : op == TX_CVT ? fold_cvt(p, to, x) : NULL;
		return fold_one(p, op, x);
	case 2:
		r = fold_constants(p, op, x, y);
		return r ? r : fold_identity(p, op, x, y);
	case 3:
		if (op == TX_SELECT && x->op == TX_CONST)
			return x->i ? y : z;
		if (op == TX_SELECT && y == z)
			return y;
		if (op == TX_FMA && x->op == TX_CONST && y->op == TX_CONST && z->op == TX_CONST)
			return tx_f32(p, fmaf((float)x->f, (float)y->f, (float)z->f));
		return NULL;
	default:
		return NULL;
	}
}

/* --- operations --- */

tile_expr *tx_make(
	tile_program *p, tile_expr_op op, tile_type to, tile_expr *x, tile_expr *y, tile_expr *z)
{
	tile_expr *r = fold(p, op, to, x, y, z);

	if (r)
		return r;
	switch (tile_expr_info[op].result) {
	case RESULT_SAME:
		to = x->type;
		break;
	case RESULT_BOOL:
		to = TILE_B1;
		break;
	case RESULT_NODE:
		to = op == TX_SELECT ? y->type : to;
		break;
	}
	r = node(p, op, to);
	r->arg[0] = x;
	r->arg[1] = y;
	r->arg[2] = z;
	return r;
}

static void widen_pair(tile_program *p, tile_expr **x, tile_expr **y)
{
	if ((*x)->type == TILE_I32 && (*y)->type == TILE_I64)
		*x = tx_cvt(p, TILE_I64, *x);
	else if ((*x)->type == TILE_I64 && (*y)->type == TILE_I32)
		*y = tx_cvt(p, TILE_I64, *y);
}

void tx_widen(tile_program *p, tile_expr_op op, tile_expr **x, tile_expr **y, tile_expr **z)
{
	if (op == TX_SELECT)
		widen_pair(p, y, z);
	else if (tile_expr_info[op].arity == 2)
		widen_pair(p, x, y);
}

static tile_expr *checked(
	tile_program *p, tile_expr_op op, tile_type to, tile_expr *x, tile_expr *y, tile_expr *z)
{
	text why = {0};

	tx_widen(p, op, &x, &y, &z);
	if (!tile_check_expr(op, to, x, y, z, &why))
		ice("%s", why.data);
	return tx_make(p, op, to, x, y, z);
}

tile_expr *tx_1(tile_program *p, tile_expr_op op, tile_expr *x)
{
	return checked(p, op, x->type, x, NULL, NULL);
}

tile_expr *tx_2(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y)
{
	return checked(p, op, x->type, x, y, NULL);
}

tile_expr *tx_3(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y, tile_expr *z)
{
	return checked(p, op, x->type, x, y, z);
}

tile_expr *tx_cvt(tile_program *p, tile_type to, tile_expr *x)
{
	return x->type == to ? x : checked(p, TX_CVT, to, x, NULL, NULL);
}

tile_expr *tx_bits(tile_program *p, tile_type to, tile_expr *x)
{
	return checked(p, TX_BITS, to, x, NULL, NULL);
}
