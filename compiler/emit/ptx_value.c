/* ptx_value.c: values, one function for each operation of tile_expr.def.
 * in:  a value and the element it is evaluated for;  out: an LLVM value
 * f32 arithmetic has no fast-math flags: additions and products are rounded one by one, fused only
 * where the program says fma. */
#include "emit/ptx_internal.h"
#include <string.h>

typedef num (*value_fn)(ptx_cx *h, const place *at, const tile_expr *x);

T ptx_type(const ptx_cx *h, tile_type t)
{
	switch (t) {
	case TILE_B1:
		return h->i1;
	case TILE_I32:
		return h->i32;
	case TILE_I64:
		return h->i64;
	case TILE_F32:
		return h->f32;
	case TILE_BF16:
	case TILE_F16:
	case TILE_TF32:
		return h->i32;
	}
	ice("no such type");
}

/* --- places --- */

place ptx_nowhere(ptx_cx *h)
{
	return (place){.serial = ++h->serial};
}

place ptx_place_at(ptx_cx *h, num row, num col)
{
	return (place){.row = row, .col = col, .serial = ++h->serial};
}

/* Row and column of an element depend on the lane as group * a + quad * b. */
place ptx_place(ptx_cx *h, const tile_frag *f, int r, int e)
{
	place at = {.domain = f, .r = r, .e = e, .serial = ++h->serial};
	int row[3], col[3], lane[3] = {0, 4, 1};

	for (int i = 0; i < 3; i++)
		tile_element(h->p, f, lane[i], r, e, &row[i], &col[i]);
	at.row = num_add(
		h, num_times(h, h->group, row[1] - row[0]), num_times(h, h->quad, row[2] - row[0]));
	at.col = num_add(
		h, num_times(h, h->group, col[1] - col[0]), num_times(h, h->quad, col[2] - col[0]));
	if (f->layout != LAYOUT_OPB && f->layout != LAYOUT_COLV)
		at.row = num_add(h, at.row, num_times(h, h->warp, tile_warp_rows(h->p, f)));
	at.row = num_plus(h, at.row, row[0]);
	at.col = num_plus(h, at.col, col[0]);
	return at;
}

/* --- register tiles --- */

static int16_t *find_peers(ptx_cx *h, const tile_frag *src, const tile_frag *f)
{
	int each = tile_register_elements(f), n = tile_registers(h->p, f) * each;
	int16_t *peer = ARENA_ARRAY(h->arena, int16_t, n);

	for (int i = 0; i < n; i++) {
		int r, e;

		peer[i] = (int16_t)(tile_peer(h->p, src, f, i / each, i % each, &r, &e) ? 2 * r + e
											: -1);
	}
	return peer;
}

int ptx_peer(ptx_cx *h, const tile_frag *src, const tile_frag *f, int r, int e)
{
	int16_t **peer;
	int i;

	if (!f)
		ice("'%s' is read where there is no register tile", src->name);
	peer = &h->peer[src->id * h->p->frag.count + f->id];
	if (!*peer)
		*peer = find_peers(h, src, f);
	i = (*peer)[r * tile_register_elements(f) + e];
	if (i < 0)
		ice("element %d.%d of '%s' is another thread's in '%s'", r, e, f->name, src->name);
	return i;
}

/* --- leaves --- */

static num value_const(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)at;
	if (x->type == TILE_F32)
		return num_of(h, ptx_f32(h, x->f));
	if (x->type == TILE_B1)
		return num_of(h, ptx_bool(h, x->i != 0));
	return num_const(ptx_type(h, x->type), x->i);
}

static num value_var(ptx_cx *h, const place *at, const tile_expr *x)
{
	const ptx_var *v = &h->var[x->var->id];

	(void)at;
	if (v->mutable)
		return num_of(h, ptx_read(h, ptx_type(h, x->type), v->slot, v->version));
	if (!v->value.type)
		ice("variable '%s' is read before it is defined", x->var->name);
	return v->value;
}

static num value_arg(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)at;
	return num_of(h, LLVMGetParam(h->fn, (unsigned)x->arg_ref->id));
}

static num value_tid(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)at;
	(void)x;
	return h->tid;
}

static num value_lane(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)at;
	(void)x;
	return h->lane;
}

static num value_warpgroup(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)at;
	(void)x;
	return h->warpgroup;
}

static num value_warp(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)at;
	(void)x;
	return h->warp;
}

static num value_block(ptx_cx *h, const place *at, const tile_expr *x)
{
	static const char *const name[] = {"llvm.nvvm.read.ptx.sreg.ctaid.x",
		"llvm.nvvm.read.ptx.sreg.ctaid.y", "llvm.nvvm.read.ptx.sreg.ctaid.z"};

	(void)at;
	return num_range(num_of(h, ptx_intrinsic(h, name[x->i], NULL, NULL, 0)), 0, INT32_MAX - 1);
}

static num value_row(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)h;
	(void)x;
	return at->row;
}

static num value_col(ptx_cx *h, const place *at, const tile_expr *x)
{
	(void)h;
	(void)x;
	return at->col;
}

static num value_frag(ptx_cx *h, const place *at, const tile_expr *x)
{
	V v = ptx_read_register(h, x->frag, ptx_peer(h, x->frag, at->domain, at->r, at->e) / 2);

	if (x->frag->type == TILE_TF32)
		v = ptx_cast(h, LLVMBitCast, v, h->f32);
	return num_of(h, v);
}

static num value_global(ptx_cx *h, const place *at, const tile_expr *x)
{
	ptx_pointer p = ptx_global(h, at, x->arg_ref, x->arg[0], NULL);
	tile_type t = x->arg_ref->type;
	V v;

	if (tile_type_bytes(t) == 4) {
		T type = ptx_type(h, t);

		return num_of(h, ptx_load_constant(h, type, ptx_global_element(h, type, p), 4));
	}
	v = ptx_load_constant(h, h->i16, ptx_global_element(h, h->i16, p), 2);
	return num_of(h, ptx_unpack(h, t, ptx_cast(h, LLVMZExt, v, h->i32)));
}

num ptx_shared_place(ptx_cx *h, const place *at, const tile_expr *x)
{
	num slot = ptx_value(h, at, x->arg[0]), row = ptx_value(h, at, x->arg[1]);
	num col = ptx_value(h, at, x->arg[2]);

	return ptx_shared_at(h, x->buffer, slot, num_const(h->i32, 0), row, col);
}

static num value_shared(ptx_cx *h, const place *at, const tile_expr *x)
{
	return num_of(h, ptx_shared_float(h, ptx_shared_place(h, at, x), x->buffer->type));
}

/* --- arithmetic --- */

static num left(ptx_cx *h, const place *at, const tile_expr *x)
{
	return ptx_value(h, at, x->arg[0]);
}

static num right(ptx_cx *h, const place *at, const tile_expr *x)
{
	return ptx_value(h, at, x->arg[1]);
}

static V left_v(ptx_cx *h, const place *at, const tile_expr *x)
{
	return num_v(h, left(h, at, x));
}

static V right_v(ptx_cx *h, const place *at, const tile_expr *x)
{
	return num_v(h, right(h, at, x));
}

static num float_op(ptx_cx *h, const place *at, const tile_expr *x, LLVMOpcode op)
{
	return num_of(h, ptx_binary(h, op, left_v(h, at, x), right_v(h, at, x)));
}

static num float_call(ptx_cx *h, const place *at, const tile_expr *x, const char *name)
{
	V arg[2] = {left_v(h, at, x)};
	int args = tile_expr_info[x->op].arity;

	if (args > 1)
		arg[1] = right_v(h, at, x);
	return num_of(h, ptx_intrinsic(h, name, h->f32, arg, args));
}

static num value_add(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->type == TILE_F32)
		return float_op(h, at, x, LLVMFAdd);
	return num_add(h, left(h, at, x), right(h, at, x));
}

static num value_sub(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->type == TILE_F32)
		return float_op(h, at, x, LLVMFSub);
	return num_sub(h, left(h, at, x), right(h, at, x));
}

static num value_mul(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->type == TILE_F32)
		return float_op(h, at, x, LLVMFMul);
	return num_mul(h, left(h, at, x), right(h, at, x));
}

/* The rounded division calls a subroutine for subnormal numbers. Beside products of warpgroups a call
 * makes the driver's linker, which takes it for one to elsewhere, serialise them (C7509). */
static num value_div(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->type == TILE_F32) {
		V arg[2] = {left_v(h, at, x), right_v(h, at, x)};

		return num_of(h,
			ptx_asm(h, h->f32, PTX_PURE, "=f,f,f", arg, 2, "div.full.f32 $0, $1, $2;"));
	}
	return num_div(h, left(h, at, x), right(h, at, x));
}

static num value_mod(ptx_cx *h, const place *at, const tile_expr *x)
{
	return num_mod(h, left(h, at, x), right(h, at, x));
}

static num value_min(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->type == TILE_F32)
		return float_call(h, at, x, "llvm.minnum");
	return num_min(h, left(h, at, x), right(h, at, x));
}

static num value_max(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->type == TILE_F32)
		return float_call(h, at, x, "llvm.maxnum");
	return num_max(h, left(h, at, x), right(h, at, x));
}

static num value_fma(ptx_cx *h, const place *at, const tile_expr *x)
{
	V arg[3] = {left_v(h, at, x), right_v(h, at, x), num_v(h, ptx_value(h, at, x->arg[2]))};

	return num_of(h, ptx_intrinsic(h, "llvm.fma", h->f32, arg, 3));
}

static num value_neg(ptx_cx *h, const place *at, const tile_expr *x)
{
	num a = left(h, at, x);

	if (x->type == TILE_F32)
		return num_of(h, LLVMBuildFNeg(h->b, a.v, ""));
	return num_sub(h, num_const(a.type, 0), a);
}

static num value_abs(ptx_cx *h, const place *at, const tile_expr *x)
{
	num a = left(h, at, x);

	if (x->type == TILE_F32)
		return float_call(h, at, x, "llvm.fabs");
	return a.lo >= 0 ? a : num_max(h, a, num_sub(h, num_const(a.type, 0), a));
}

/* --- bits --- */

static num bit_op(ptx_cx *h, const place *at, const tile_expr *x, LLVMOpcode op)
{
	return num_of(h, ptx_binary(h, op, left_v(h, at, x), right_v(h, at, x)));
}

/* b1 constants come from comparisons that ranges decide. */
static num logic(ptx_cx *h, const place *at, const tile_expr *x, LLVMOpcode op)
{
	V a = left_v(h, at, x), b = right_v(h, at, x);
	bool wins = op == LLVMOr; /* the constant that decides */

	if (LLVMIsConstant(a))
		return num_of(h, (LLVMConstIntGetZExtValue(a) != 0) == wins ? a : b);
	if (LLVMIsConstant(b))
		return num_of(h, (LLVMConstIntGetZExtValue(b) != 0) == wins ? b : a);
	return num_of(h, a == b ? a : ptx_binary(h, op, a, b));
}

static num value_and(ptx_cx *h, const place *at, const tile_expr *x)
{
	return x->type == TILE_B1 ? logic(h, at, x, LLVMAnd) : bit_op(h, at, x, LLVMAnd);
}

static num value_or(ptx_cx *h, const place *at, const tile_expr *x)
{
	return x->type == TILE_B1 ? logic(h, at, x, LLVMOr) : bit_op(h, at, x, LLVMOr);
}

static num value_xor(ptx_cx *h, const place *at, const tile_expr *x)
{
	return x->type == TILE_B1 ? bit_op(h, at, x, LLVMXor)
				  : num_xor(h, left(h, at, x), right(h, at, x));
}

static num value_not(ptx_cx *h, const place *at, const tile_expr *x)
{
	return num_of(h, ptx_binary(h, LLVMXor, left_v(h, at, x), ptx_bool(h, true)));
}

static num value_shl(ptx_cx *h, const place *at, const tile_expr *x)
{
	num by = right(h, at, x);
	int64_t c;

	if (num_is_const(by, &c) && c >= 0 && c < 31)
		return num_times(h, left(h, at, x), (int64_t)1 << c);
	return bit_op(h, at, x, LLVMShl);
}

static num value_shr(ptx_cx *h, const place *at, const tile_expr *x)
{
	num by = right(h, at, x);
	int64_t c;

	if (num_is_const(by, &c) && c >= 0 && c < 31)
		return num_div(h, left(h, at, x), num_const(by.type, (int64_t)1 << c));
	return bit_op(h, at, x, LLVMAShr);
}

/* --- comparisons --- */

static num float_compare(ptx_cx *h, const place *at, const tile_expr *x, LLVMRealPredicate how)
{
	return num_of(h, ptx_compare_float(h, how, left_v(h, at, x), right_v(h, at, x)));
}

static num value_lt(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->arg[0]->type == TILE_F32)
		return float_compare(h, at, x, LLVMRealOLT);
	return num_less(h, left(h, at, x), right(h, at, x), false);
}

static num value_le(ptx_cx *h, const place *at, const tile_expr *x)
{
	if (x->arg[0]->type == TILE_F32)
		return float_compare(h, at, x, LLVMRealOLE);
	return num_less(h, left(h, at, x), right(h, at, x), true);
}

static num equality(ptx_cx *h, const place *at, const tile_expr *x, bool negate)
{
	if (x->arg[0]->type == TILE_F32)
		return float_compare(h, at, x, negate ? LLVMRealUNE : LLVMRealOEQ);
	if (x->arg[0]->type == TILE_B1)
		return num_of(h, ptx_compare_int(h, negate ? LLVMIntNE : LLVMIntEQ,
					 left_v(h, at, x), right_v(h, at, x)));
	return num_equal(h, left(h, at, x), right(h, at, x), negate);
}

static num value_eq(ptx_cx *h, const place *at, const tile_expr *x)
{
	return equality(h, at, x, false);
}

static num value_ne(ptx_cx *h, const place *at, const tile_expr *x)
{
	return equality(h, at, x, true);
}

static num value_select(ptx_cx *h, const place *at, const tile_expr *x)
{
	V c = left_v(h, at, x);
	num a, b, r;

	if (LLVMIsConstant(c))
		return ptx_value(h, at, x->arg[LLVMConstIntGetZExtValue(c) ? 1 : 2]);
	a = ptx_value(h, at, x->arg[1]);
	b = ptx_value(h, at, x->arg[2]);
	r = num_of(h, ptx_select(h, c, num_v(h, a), num_v(h, b)));
	if (x->type == TILE_I32 || x->type == TILE_I64)
		r = num_range(r, a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi);
	return r;
}

/* --- conversions --- */

static V narrow_float(ptx_cx *h, const place *at, const tile_expr *x)
{
	V arg = left_v(h, at, x);

	if (x->type == TILE_TF32)
		return ptx_asm(h, h->i32, PTX_PURE, "=r,f", &arg, 1, "cvt.rna.tf32.f32 $0, $1;");
	return ptx_pair(h, at, NULL, x);
}

static num to_float(ptx_cx *h, const place *at, const tile_expr *x)
{
	tile_type from = x->arg[0]->type;

	if (from == TILE_BF16 || from == TILE_F16)
		return num_of(h, ptx_unpack(h, from, ptx_pair(h, at, NULL, x->arg[0])));
	if (from == TILE_TF32)
		return num_of(h, ptx_cast(h, LLVMBitCast, left_v(h, at, x), h->f32));
	return num_of(h, ptx_cast(h, LLVMSIToFP, left_v(h, at, x), h->f32));
}

static num to_int(ptx_cx *h, const place *at, const tile_expr *x)
{
	T to = ptx_type(h, x->type);
	num a = left(h, at, x);

	switch (x->arg[0]->type) {
	case TILE_B1:
		return num_range(num_of(h, ptx_cast(h, LLVMZExt, a.v, to)), 0, 1);
	case TILE_I32:
		return num_widen(h, a);
	case TILE_I64:
		return num_of(h, ptx_cast(h, LLVMTrunc, num_v(h, a), to));
	default:
		return num_of(
			h, ptx_asm(h, to, PTX_PURE, "=r,f", &a.v, 1, "cvt.rzi.s32.f32 $0, $1;"));
	}
}

static num value_cvt(ptx_cx *h, const place *at, const tile_expr *x)
{
	switch (x->type) {
	case TILE_F32:
		return to_float(h, at, x);
	case TILE_I32:
	case TILE_I64:
		return to_int(h, at, x);
	case TILE_B1:
	case TILE_BF16:
	case TILE_F16:
	case TILE_TF32:
		break;
	}
	return num_of(h, narrow_float(h, at, x));
}

V ptx_unpack(ptx_cx *h, tile_type t, V x)
{
	if (t == TILE_BF16)
		return ptx_cast(h, LLVMBitCast, ptx_binary(h, LLVMShl, x, ptx_i32(h, 16)), h->f32);
	x = ptx_cast(h, LLVMBitCast, ptx_cast(h, LLVMTrunc, x, h->i16), h->f16);
	return ptx_cast(h, LLVMFPExt, x, h->f32);
}

static num value_bits(ptx_cx *h, const place *at, const tile_expr *x)
{
	return num_of(h, ptx_cast(h, LLVMBitCast, left_v(h, at, x), ptx_type(h, x->type)));
}

/* --- functions --- */

static num approximate(ptx_cx *h, const place *at, const tile_expr *x, const char *name)
{
	V arg = left_v(h, at, x);

	return num_of(h, ptx_intrinsic(h, name, NULL, &arg, 1));
}

static num value_ex2(ptx_cx *h, const place *at, const tile_expr *x)
{
	return approximate(h, at, x, "llvm.nvvm.ex2.approx.ftz.f");
}

static num value_lg2(ptx_cx *h, const place *at, const tile_expr *x)
{
	return approximate(h, at, x, "llvm.nvvm.lg2.approx.ftz.f");
}

static num value_rcp(ptx_cx *h, const place *at, const tile_expr *x)
{
	return approximate(h, at, x, "llvm.nvvm.rcp.approx.ftz.f");
}

static num value_sqrt(ptx_cx *h, const place *at, const tile_expr *x)
{
	return approximate(h, at, x, "llvm.nvvm.sqrt.approx.f");
}

static num value_floor(ptx_cx *h, const place *at, const tile_expr *x)
{
	return float_call(h, at, x, "llvm.floor");
}

static const value_fn value_table[TX_COUNT] = {
	[TX_CONST] = value_const,
	[TX_VAR] = value_var,
	[TX_ARG] = value_arg,
	[TX_TID] = value_tid,
	[TX_LANE] = value_lane,
	[TX_WARP] = value_warp,
	[TX_WARPGROUP] = value_warpgroup,
	[TX_BLOCK] = value_block,
	[TX_ROW] = value_row,
	[TX_COL] = value_col,
	[TX_FRAG] = value_frag,
	[TX_GLOBAL] = value_global,
	[TX_SHARED] = value_shared,
	[TX_ADD] = value_add,
	[TX_SUB] = value_sub,
	[TX_MUL] = value_mul,
	[TX_DIV] = value_div,
	[TX_MOD] = value_mod,
	[TX_MIN] = value_min,
	[TX_MAX] = value_max,
	[TX_FMA] = value_fma,
	[TX_NEG] = value_neg,
	[TX_ABS] = value_abs,
	[TX_AND] = value_and,
	[TX_OR] = value_or,
	[TX_XOR] = value_xor,
	[TX_NOT] = value_not,
	[TX_SHL] = value_shl,
	[TX_SHR] = value_shr,
	[TX_LT] = value_lt,
	[TX_LE] = value_le,
	[TX_EQ] = value_eq,
	[TX_NE] = value_ne,
	[TX_SELECT] = value_select,
	[TX_CVT] = value_cvt,
	[TX_EX2] = value_ex2,
	[TX_LG2] = value_lg2,
	[TX_RCP] = value_rcp,
	[TX_SQRT] = value_sqrt,
	[TX_FLOOR] = value_floor,
	[TX_BITS] = value_bits,
};

num ptx_value(ptx_cx *h, const place *at, const tile_expr *x)
{
	ptx_memo *m = &h->memo[x->id];

	if (m->serial == at->serial)
		return m->value;
	m->value = value_table[x->op](h, at, x);
	m->serial = at->serial;
	return m->value;
}

num ptx_scalar(ptx_cx *h, const tile_expr *x)
{
	place at = ptx_nowhere(h);

	return ptx_value(h, &at, x);
}

int ptx_static(ptx_cx *h, const tile_expr *x)
{
	int64_t v;

	if (!num_is_const(ptx_scalar(h, x), &v))
		ice("a slice begins at a value that is not constant");
	return (int)v;
}
