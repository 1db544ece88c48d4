/* ptx_shared.c: statements that fill, copy to and load from shared memory. Addresses are u32;
 * what all elements of a thread have in common is one register, the rest is part of the
 * instruction. */
#include "emit/ptx_internal.h"

/* --- addresses --- */

/* (v + C) ^ x where x has only bits [4, 4 + s): C's bits above and below them stay constants if no
 * carry of v + C reaches or leaves them. */
static num swizzle_bytes(ptx_cx *h, num byte, num x, int swizzle)
{
	int64_t mask = (((int64_t)1 << swizzle) - 1) << 4, high = byte.add & ~(mask | 15);
	int64_t low = byte.add & 15, middle, v_low = byte.lo - byte.add,
		v_high = byte.hi - byte.add;
	num v = {.type = byte.type, .v = byte.v, .lo = v_low, .hi = v_high, .zeros = byte.zeros};
	num r;

	if (byte.v && byte.zeros < 4 && low >= 1 << byte.zeros)
		low = 0; /* may carry */
	middle = byte.add - high - low;
	if (!byte.v)
		r = num_xor(h, x, num_const(h->i32, middle));
	else if (middle && v_low >= 0 && v_high < (middle & -middle)) /* disjoint bits */
		r = num_xor(h, num_xor(h, v, x), num_const(h->i32, middle));
	else
		r = num_xor(h, num_plus(h, v, middle), x);
	return num_plus(h, r, high + low);
}

/* The permutation depends on the row modulo 8 only: a base that is a multiple of 8 takes no part. */
static num swizzle_bits(ptx_cx *h, int swizzle, num base, num row)
{
	num low =
		base.zeros >= 3 || !base.v ? num_plus(h, row, base.add & 7) : num_add(h, base, row);
	int64_t rest = low.add & ~(int64_t)7;
	num x;

	low = num_plus(h, low, -rest);
	if (low.v && low.zeros >= 3)
		low = num_const(h->i32, low.add);
	x = swizzle == 3
		    ? low
		    : num_of(h, ptx_binary(h, LLVMLShr, num_v(h, low), ptx_i32(h, 3 - swizzle)));
	if (x.v)
		x = num_of(h, ptx_binary(h, LLVMAnd, num_v(h, x), ptx_i32(h, (1 << swizzle) - 1)));
	else
		x = num_const(h->i32, x.add & ((1 << swizzle) - 1));
	x = num_range(x, 0, (1 << swizzle) - 1);
	return num_times(h, x, 16);
}

num ptx_shared_base(ptx_cx *h)
{
	num at = num_range(num_of(h, h->smem), 0, 1 << 18);

	at.zeros = 10;
	return at;
}

num ptx_shared_at(ptx_cx *h, const tile_buffer *b, num slot, num base, num row, num col)
{
	int size = tile_type_bytes(b->type), width = (b->panel ? b->panel : b->cols) * size;
	num at = ptx_shared_base(h), byte;

	if (b->panel && b->cols > b->panel) {
		num panel = num_const(h->i32, b->panel);

		at = num_add(h, at, num_times(h, num_div(h, col, panel), tile_panel_bytes(b)));
		col = num_mod(h, col, panel);
	}
	byte = num_times(h, col, size);
	if (b->swizzle)
		byte = swizzle_bytes(h, byte, swizzle_bits(h, b->swizzle, base, row), b->swizzle);
	at = num_add(h, at, num_times(h, slot, tile_slot_bytes(b)));
	at = num_add(h, at, num_times(h, base, width));
	at = num_add(h, at, num_add(h, num_times(h, row, width), byte));
	return num_plus(h, at, b->offset);
}

void ptx_shared_write(ptx_cx *h, num address, int bytes, V v)
{
	V arg[2] = {num_v(h, (num){address.type, address.v, 0, 0, 0, 0}), v};

	if (bytes == 2)
		arg[1] = ptx_cast(h, LLVMTrunc, v, h->i16);
	ptx_asm(h, h->vd, PTX_MEMORY, bytes == 2 ? "r,h" : "r,r", arg, 2,
		"st.shared.b%d [$0+%lld], $1;", 8 * bytes, (long long)address.add);
}

V ptx_shared_read(ptx_cx *h, num address, int bytes)
{
	V arg = num_v(h, (num){address.type, address.v, 0, 0, 0, 0}), v;

	v = ptx_asm(h, bytes == 2 ? h->i16 : h->i32, PTX_MEMORY, bytes == 2 ? "=h,r" : "=r,r", &arg,
		1, "ld.shared.b%d $0, [$1+%lld];", 8 * bytes, (long long)address.add);
	return bytes == 2 ? ptx_cast(h, LLVMZExt, v, h->i32) : v;
}

V ptx_shared_float(ptx_cx *h, num address, tile_type t)
{
	V arg = num_v(h, (num){address.type, address.v, 0, 0, 0, 0});
	long long at = address.add;

	if (tile_type_bytes(t) == 4)
		return ptx_asm(
			h, h->f32, PTX_MEMORY, "=f,r", &arg, 1, "ld.shared.f32 $0, [$1+%lld];", at);
	if (t == TILE_BF16)
		return ptx_asm(h, h->f32, PTX_MEMORY, "=f,r", &arg, 1,
			"{ .reg .b16 high; ld.shared.b16 high, [$1+%lld]; mov.b32 $0, {0, high}; }",
			at);
	return ptx_unpack(h, t, ptx_shared_read(h, address, 2));
}

/* --- work shared by the threads of the block --- */

#define MOST_TURNS 8

typedef struct turns turns;
/* Does pieces piece[0 .. n) of the work. */
typedef void (*turn_fn)(ptx_cx *h, const turns *t, const num *piece, int n);

struct turns {
	const tile_stmt *stmt;
	turn_fn fn;
	int each;           /* pieces of a thread at a time */
	int unit;           /* elements in a piece */
	int across;         /* pieces in a row */
	num slot, row, col; /* of the region */
};

static void take(ptx_cx *h, const turns *t, num first, int threads, int n)
{
	num piece[MOST_TURNS];

	for (int i = 0; i < n; i++)
		piece[i] = num_plus(h, first, (int64_t)i * threads);
	t->fn(h, t, piece, n);
}

/* Thread i takes pieces i, i + threads ...; `each` of them at a time, in a loop when there are
 * many. */
static void take_turns(ptx_cx *h, const turns *t, int pieces)
{
	int threads = 32 * h->p->warps, full = pieces / threads, rest = pieces % threads;
	int rounds = full / t->each;

	if (rounds > 2) {
		ptx_loop l;
		num i = ptx_loop_begin(h, &l, num_const(h->i32, 0), num_const(h->i32, rounds),
			num_const(h->i32, 1));

		/* ptxas would unroll it, for nothing: many pieces are in flight already */
		ptx_asm_long(h, h->vd, "", NULL, 0, ".pragma \"nounroll\";");
		take(h, t, num_add(h, h->tid, num_times(h, i, (int64_t)t->each * threads)), threads,
			t->each);
		ptx_loop_end(h, &l);
	} else {
		for (int i = 0; i < rounds; i++)
			take(h, t, num_plus(h, h->tid, (int64_t)i * t->each * threads), threads,
				t->each);
	}
	if (full % t->each)
		take(h, t, num_plus(h, h->tid, (int64_t)rounds * t->each * threads), threads,
			full % t->each);
	if (rest) {
		ptx_branch i =
			ptx_if(h, num_v(h, num_less(h, h->tid, num_const(h->i32, rest), false)));

		take(h, t, num_plus(h, h->tid, (int64_t)full * threads), threads, 1);
		ptx_if_end(h, &i);
	}
}

static turns share(ptx_cx *h, const tile_stmt *s, turn_fn fn, int each, int unit)
{
	const tile_region *r = &s->arg[0].region;

	return (turns){s, fn, each, unit, r->cols / unit, ptx_scalar(h, r->slot),
		ptx_scalar(h, r->row), ptx_scalar(h, r->col)};
}

static void split(ptx_cx *h, const turns *t, num piece, num *row, num *col)
{
	num across = num_const(h->i32, t->across);

	*row = num_div(h, piece, across);
	*col = num_times(h, num_mod(h, piece, across), t->unit);
}

static num turn_address(ptx_cx *h, const turns *t, num row, num col)
{
	return ptx_shared_at(
		h, t->stmt->arg[0].region.buffer, t->slot, t->row, row, num_add(h, t->col, col));
}

/* All values before the first write: their loads are in flight together. */
static void fill_turn(ptx_cx *h, const turns *t, const num *piece, int n)
{
	tile_type type = t->stmt->arg[0].region.buffer->type;
	const tile_expr *x = t->stmt->arg[1].value;
	int size = tile_type_bytes(type);
	num address[MOST_TURNS];
	V v[MOST_TURNS];

	for (int i = 0; i < n; i++) {
		place first, second;
		num row, col;

		split(h, t, piece[i], &row, &col);
		address[i] = turn_address(h, t, row, col);
		first = ptx_place_at(h, row, col);
		second = ptx_place_at(h, row, num_plus(h, col, 1));
		if (size == 2)
			v[i] = ptx_pair(h, &first, t->unit == 2 ? &second : NULL, x);
		else
			v[i] = ptx_cast(h, LLVMBitCast, num_v(h, ptx_value(h, &first, x)), h->i32);
	}
	for (int i = 0; i < n; i++)
		ptx_shared_write(h, address[i], size * t->unit, v[i]);
}

void ptx_stmt_FILL(ptx_cx *h, const tile_stmt *s)
{
	const tile_region *r = &s->arg[0].region;
	bool pairs = tile_type_bytes(r->buffer->type) == 2 && r->cols % 2 == 0 &&
		     num_align(ptx_scalar(h, r->col)) > 0;
	turns t = share(h, s, fill_turn, 4, pairs ? 2 : 1);

	take_turns(h, &t, r->rows * t.across);
}

static void copy_chunk(ptx_cx *h, num address, V from, V pred)
{
	V arg[3] = {num_v(h, (num){address.type, address.v, 0, 0, 0, 0}), from};
	long long at = address.add;
	bool always = LLVMIsConstant(pred) && LLVMConstIntGetZExtValue(pred);

	if (!arch_has(h->a, ARCH_CP_ASYNC)) {
		arg[2] = pred;
		ptx_asm(h, h->vd, PTX_MEMORY, "r,l,b", arg, 3,
			"{ .reg .b32 a, b, c, d; mov.b32 a, 0; mov.b32 b, 0; mov.b32 c, 0; mov.b32 "
			"d, "
			"0; @$2 ld.global.v4.b32 {a, b, c, d}, [$1]; st.shared.v4.b32 [$0+%lld], "
			"{a, b, c, d}; }",
			at);
	} else if (always) {
		ptx_asm(h, h->vd, PTX_MEMORY, "r,l", arg, 2,
			"cp.async.cg.shared.global [$0+%lld], [$1], 16;", at);
	} else {
		arg[2] = ptx_select(h, pred, ptx_i32(h, 16), ptx_i32(h, 0));
		ptx_asm(h, h->vd, PTX_MEMORY, "r,l,r", arg, 3,
			"cp.async.cg.shared.global [$0+%lld], [$1], 16, $2;", at);
	}
}

static void copy_turn(ptx_cx *h, const turns *t, const num *piece, int n)
{
	const tile_arg *tensor = t->stmt->arg[1].tensor;
	T type = tile_type_bytes(tensor->type) == 2 ? h->i16 : h->i32;

	for (int i = 0; i < n; i++) {
		num row, col, address;
		place at;
		V pred, from;

		split(h, t, piece[i], &row, &col);
		at = ptx_place_at(h, row, col);
		pred = num_v(h, ptx_value(h, &at, t->stmt->arg[3].value));
		from = ptx_global_element(
			h, type, ptx_global(h, &at, tensor, t->stmt->arg[2].value, &col));
		address = turn_address(h, t, row, col);
		copy_chunk(h, address, from, pred);
	}
}

void ptx_stmt_COPY(ptx_cx *h, const tile_stmt *s)
{
	const tile_region *r = &s->arg[0].region;
	turns t = share(h, s, copy_turn, 8, 16 / tile_type_bytes(r->buffer->type));

	take_turns(h, &t, r->rows * t.across);
}

/* --- order --- */

void ptx_stmt_COMMIT(ptx_cx *h, const tile_stmt *s)
{
	(void)s;
	if (arch_has(h->a, ARCH_CP_ASYNC))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "cp.async.commit_group;");
}

void ptx_stmt_WAIT(ptx_cx *h, const tile_stmt *s)
{
	if (arch_has(h->a, ARCH_CP_ASYNC))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "cp.async.wait_group %lld;",
			(long long)s->arg[0].integer);
}

void ptx_stmt_BARRIER(ptx_cx *h, const tile_stmt *s)
{
	(void)s;
	ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "bar.sync 0;");
}

/* --- ldmatrix --- */

/* lane % 8 + (lane / 8 % 2) * a + (lane / 16) * b, or without the first term. */
static num lane_part(ptx_cx *h, bool rows, int a, int b)
{
	num eighth = num_mod(h, num_div(h, h->lane, num_const(h->i32, 8)), num_const(h->i32, 2));
	num half = num_div(h, h->lane, num_const(h->i32, 16));
	num n = num_add(h, num_times(h, eighth, a), num_times(h, half, b));

	return rows ? num_add(h, num_mod(h, h->lane, num_const(h->i32, 8)), n) : n;
}

/* What the warp's part of the region begins at. */
static void warp_part(ptx_cx *h, const tile_slice *f, bool trans, num *row, num *col)
{
	num first = num_times(h, h->warp, tile_warp_rows(h->p, f->frag));

	if (f->frag->layout != LAYOUT_OPA)
		return;
	if (trans)
		*col = num_add(h, *col, first);
	else
		*row = num_add(h, *row, first);
}

/* Where this lane's row of the matrices lies. */
static num matrix_at(
	ptx_cx *h, const tile_buffer *b, num slot, num row, num col, const tile_ldmatrix *m)
{
	int half = m->matrices == 4; /* else the addresses of lanes from 16 on are not used */

	return ptx_shared_at(h, b, slot, num_plus(h, row, m->row),
		lane_part(h, true, m->row8, half * m->row16),
		num_plus(
			h, num_add(h, col, lane_part(h, false, m->col8, half * m->col16)), m->col));
}

/* The number of operand `v` of a piece of assembly, which it becomes when it is none yet. */
static int operand(V *arg, int *args, V v)
{
	for (int i = 0; i < *args; i++)
		if (arg[i] == v)
			return i;
	arg[*args] = v;
	return (*args)++;
}

static void load_matrices(ptx_cx *h, const tile_slice *f, bool trans, num at,
	const tile_ldmatrix *m, int address, text *body)
{
	ptx_cells c = ptx_slice(h, f);
	int first = ptx_register(&c, c.row0 + m->cell_row, c.col0 + m->cell_col, 0);

	text_printf(body, "%sldmatrix.sync.aligned.m8n8.x%d%s.shared.b16 ", body->len ? "\n\t" : "",
		m->matrices, trans ? ".trans" : "");
	ptx_put_registers(body, f->frag, first, m->matrices);
	text_printf(body, ", [$%d+%lld];", address, (long long)at.add);
	for (int i = 0; i < m->matrices; i++)
		ptx_touch_register(h, f->frag, first + i);
}

static void load_operand(ptx_cx *h, const tile_stmt *s, bool trans)
{
	const tile_slice *f = &s->arg[0].slice;
	const tile_region *r = &s->arg[1].region;
	int rows = f->frag->layout == LAYOUT_OPA ? tile_warp_rows(h->p, f->frag) : f->rows;
	num slot = ptx_scalar(h, r->slot), row = ptx_scalar(h, r->row);
	num col = ptx_scalar(h, r->col);
	int count = tile_ldmatrix_count(f->frag, rows, f->cols), args = 0;
	V *arg = ARENA_ARRAY(h->arena, V, count);
	text body = {0}, constraints = {0};

	warp_part(h, f, trans, &row, &col);
	for (int n = 0; n < count; n++) {
		tile_ldmatrix m = tile_ldmatrix_at(f->frag, rows, f->cols, trans, n);
		num at = matrix_at(h, r->buffer, slot, row, col, &m);
		V reg = num_v(h, (num){at.type, at.v, 0, 0, 0, 0});

		load_matrices(h, f, trans, at, &m, operand(arg, &args, reg), &body);
	}
	for (int i = 0; i < args; i++)
		text_put(&constraints, i ? ",r" : "r");
	text_put(&constraints, args ? ",~{memory}" : "~{memory}");
	ptx_asm_body(h, constraints.data, arg, args, &body);
	text_free(&constraints);
}

/* Into a vector, whose registers are values to LLVM. */
static void load_vector(ptx_cx *h, const tile_slice *f, num at, const tile_ldmatrix *m)
{
	ptx_cells c = ptx_slice(h, f);
	V arg = num_v(h, (num){at.type, at.v, 0, 0, 0, 0}), r, v[4];
	int reg[4];

	r = ptx_asm(h, ptx_struct(h, h->i32, m->matrices), PTX_MEMORY,
		m->matrices == 4 ? "=r,=r,=r,=r,r" : "=r,=r,r", &arg, 1,
		"ldmatrix.sync.aligned.m8n8.x%d.shared.b16 %s+%lld];", m->matrices,
		m->matrices == 4 ? "{$0,$1,$2,$3}, [$4" : "{$0,$1}, [$2", (long long)at.add);
	for (int i = 0; i < m->matrices; i++) {
		reg[i] = ptx_register(&c, c.row0, c.col0 + m->cell_col, i);
		v[i] = ptx_field(h, r, i);
	}
	ptx_write_registers(h, f->frag, reg, v, m->matrices);
}

/* Each lane names its row. */
void ptx_stmt_LDSMR(ptx_cx *h, const tile_stmt *s)
{
	const tile_slice *f = &s->arg[0].slice;
	const tile_region *r = &s->arg[1].region;
	num slot = ptx_scalar(h, r->slot), row = ptx_scalar(h, r->row), col = ptx_scalar(h, r->col);
	num zero = num_const(h->i32, 0);

	for (int n = 0; n < tile_ldmatrix_rows_count(f->frag, f->cols); n++) {
		tile_ldmatrix m = tile_ldmatrix_rows_at(f->frag, f->cols, n);
		num lanes = lane_part(h, false, m.col8, m.matrices == 4 ? m.col16 : 0);
		num at = ptx_shared_at(
			h, r->buffer, slot, row, zero, num_plus(h, num_add(h, col, lanes), m.col));
		V reg = num_v(h, (num){at.type, at.v, 0, 0, 0, 0});
		text body = {0};

		if (f->frag->layout == LAYOUT_COLV) {
			load_vector(h, f, at, &m);
			continue;
		}
		load_matrices(h, f, false, at, &m, 0, &body);
		ptx_asm_body(h, "r,~{memory}", &reg, 1, &body);
	}
}

void ptx_stmt_LDSM(ptx_cx *h, const tile_stmt *s)
{
	load_operand(h, s, false);
}

void ptx_stmt_LDSMT(ptx_cx *h, const tile_stmt *s)
{
	load_operand(h, s, true);
}

/* --- stmatrix --- */

void ptx_stmt_STSM(ptx_cx *h, const tile_stmt *s)
{
	const tile_region *r = &s->arg[0].region;
	const tile_slice *f = &s->arg[1].slice;
	ptx_cells c = ptx_slice(h, f);
	int rows = tile_warp_rows(h->p, f->frag);
	num slot = ptx_scalar(h, r->slot), row = ptx_scalar(h, r->row);
	num col = ptx_scalar(h, r->col);

	if (!ptx_needs(h, s, ARCH_STMATRIX))
		return;
	warp_part(h, f, false, &row, &col);
	for (int n = 0; n < tile_ldmatrix_count(f->frag, rows, f->cols); n++) {
		tile_ldmatrix m = tile_ldmatrix_at(f->frag, rows, f->cols, false, n);
		num at = matrix_at(h, r->buffer, slot, row, col, &m);
		V arg = num_v(h, (num){at.type, at.v, 0, 0, 0, 0});
		text body = {0};

		text_printf(&body, "stmatrix.sync.aligned.m8n8.x4.shared.b16 [$0+%lld], ",
			(long long)at.add);
		ptx_put_registers(&body, f->frag,
			ptx_register(&c, c.row0 + m.cell_row, c.col0 + m.cell_col, 0), 4);
		text_put(&body, ";");
		ptx_asm_body(h, "r,~{memory}", &arg, 1, &body);
	}
}

/* --- rows to global memory --- */

enum { AT_ONCE = 4 }; /* chunks of a lane in registers */

/* 16 bytes of a row: which lane knows where the row goes; the column; four registers. */
typedef struct {
	num lane, col;
	V word;
} row_chunk;

static void load_chunk(ptx_cx *h, const tile_region *r, num row0, num row, row_chunk *c)
{
	num at = ptx_shared_at(h, r->buffer, ptx_scalar(h, r->slot), row0, row,
		num_add(h, ptx_scalar(h, r->col), c->col));
	V arg = num_v(h, (num){at.type, at.v, 0, 0, 0, 0});

	c->word = ptx_asm(h, ptx_struct(h, h->i32, 4), PTX_MEMORY, "=r,=r,=r,=r,r", &arg, 1,
		"ld.shared.v4.b32 {$0,$1,$2,$3}, [$4+%lld];", (long long)at.add);
}

/* `to`: where a row goes that this lane has found, or 0. */
static void store_chunk(ptx_cx *h, V to, const row_chunk *c, int size)
{
	num byte = num_times(h, c->col, size);
	V arg[7] = {to, num_v(h, c->lane), num_v(h, byte)};

	for (int i = 0; i < 4; i++)
		arg[3 + i] = ptx_field(h, c->word, i);
	ptx_asm(h, h->vd, PTX_MEMORY, "l,r,r,r,r,r,r", arg, 7,
		"{ .reg .pred p; .reg .b32 low, high; .reg .b64 to, byte; mov.b64 {low, high}, $0; "
		"shfl.sync.idx.b32 low, low, $1, 31, 0xffffffff; shfl.sync.idx.b32 high, high, $1, "
		"31, 0xffffffff; mov.b64 to, {low, high}; setp.ne.s64 p, to, 0; cvt.u64.u32 byte, "
		"$2; add.s64 to, to, byte; @p st.global.v4.b32 [to], {$3,$4,$5,$6}; }");
}

/* Where a row goes, or 0. */
static V row_pointer(ptx_cx *h, const tile_stmt *s, num row)
{
	const tile_arg *tensor = s->arg[0].tensor;
	place at = ptx_place_at(h, row, num_const(h->i32, 0));
	V pred = num_v(h, ptx_value(h, &at, s->arg[3].value));
	V to = ptx_global_element(h, tile_type_bytes(tensor->type) == 2 ? h->i16 : h->i32,
		ptx_global(h, &at, tensor, s->arg[2].value, NULL));

	return ptx_select(h, pred, to, LLVMConstNull(LLVMTypeOf(to)));
}

/* Every row of the warp's part is found by some lane. Of 16 rows a lane finds the two that it holds of a
 * register tile, as kernels have these numbers already, and keeps one of them. */
static V lane_pointer(ptx_cx *h, const tile_stmt *s, int rows)
{
	num first = num_times(h, h->warp, rows), own = num_mod(h, h->lane, num_const(h->i32, rows));
	num low = num_add(h, h->group, first), two = num_const(h->i32, 2);
	V even;

	if (rows != 16)
		return row_pointer(h, s, num_add(h, own, first));
	even = num_v(h, num_equal(h, num_mod(h, h->lane, two), num_const(h->i32, 0), false));
	return ptx_select(h, even, row_pointer(h, s, low), row_pointer(h, s, num_plus(h, low, 8)));
}

/* The lane that has found a row. */
static num lane_of_row(ptx_cx *h, num row, int rows)
{
	num eight = num_const(h->i32, 8);

	if (rows != 16)
		return row;
	return num_add(h, num_times(h, num_mod(h, row, eight), 4), num_div(h, row, eight));
}

/* Where the last turn has chunks for some lanes only, the others store the last chunk again. */
void ptx_stmt_STORER(ptx_cx *h, const tile_stmt *s)
{
	const tile_region *r = &s->arg[1].region;
	int size = tile_type_bytes(r->buffer->type), rows = r->rows / h->p->warps;
	int across = r->cols * size / 16, chunks = rows * across;
	num row0 = num_add(h, ptx_scalar(h, r->row), num_times(h, h->warp, rows));
	num width = num_const(h->i32, across), last = num_const(h->i32, chunks - 1);
	V to = lane_pointer(h, s, rows);

	ptx_sync_warp(h);
	for (int n = 0; n < chunks;) {
		row_chunk c[AT_ONCE];
		int count = 0;

		for (; n < chunks && count < AT_ONCE; n += 32) {
			num chunk = num_plus(h, h->lane, n), row;

			if (n + 32 > chunks)
				chunk = num_min(h, chunk, last);
			row = num_div(h, chunk, width);
			c[count].lane = lane_of_row(h, row, rows);
			c[count].col = num_times(h, num_mod(h, chunk, width), 16 / size);
			load_chunk(h, r, row0, row, &c[count++]);
		}
		for (int i = 0; i < count; i++)
			store_chunk(h, to, &c[i], size);
	}
	ptx_sync_warp(h);
}
