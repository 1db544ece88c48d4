/* ptx_internal.h: the state that the files of the PTX emitter share. */
#pragma once
#include "emit/emit.h"
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

typedef LLVMValueRef V;
typedef LLVMTypeRef T;
typedef LLVMBasicBlockRef BB;

/* A value. An i32 or i64 is v + add, wrapping (v NULL: the constant `add`), lies in [lo, hi] as a
 * signed number, and the lowest `zeros` bits of v are zero. f32 and b1 are v alone. */
typedef struct {
	T type;
	V v;
	int64_t add, lo, hi;
	int zeros;
} num;

/* The element that values are evaluated for. In `domain`: element e of register r; NULL: the
 * element of a region at (row, col), or no element at all. */
typedef struct {
	const tile_frag *domain;
	int r, e;
	num row, col;
	uint32_t serial; /* of what is remembered for this element */
} place;

/* One computed value, under what it was computed from. Entries form a stack: leaving a block drops
 * those that were computed in it. */
typedef struct {
	uintptr_t key[4];
	V out;
	int next;
	uint32_t bucket;
	bool lasts; /* made of the thread's place and constants: known beyond its statement */
} ptx_known;

/* A register tile. Operands and sums of products are PTX registers of their own, %NAME_0 and so on,
 * that assembly names; they are no values of LLVM's, which are read from them and written to them.
 * Row and column vectors are an alloca a register, so that LLVM sees where all rows have the same.
 * A value read from either is good until `version` changes. */
typedef struct {
	V *slot; /* ROWV, COLV */
	T type;
	uint32_t *version;
} ptx_tile;

typedef struct {
	num value; /* of a variable that is never SET */
	V slot;    /* of one that is */
	uint32_t version;
	bool mutable;
} ptx_var;

typedef struct {
	num value;
	uint32_t serial, second; /* of the element, and of a pair's second one */
} ptx_memo;

#define PTX_BUCKETS 4096

typedef struct {
	const tile_program *p;
	const arch *a;
	diags *d;
	arena *arena; /* of this emission */
	LLVMContextRef cx;
	LLVMModuleRef mod;
	LLVMBuilderRef b;
	V fn, smem;
	T i1, i16, i32, i64, f16, f32, vd, global;
	num tid, lane, warp, warpgroup, group, quad; /* group = lane / 4, quad = lane % 4 */
	ptx_tile *frag;                              /* [frag.id] */
	ptx_var *var;                                /* [var.id] */
	int16_t **peer;        /* [src.id * frags + domain.id], see ptx_peer */
	ptx_memo *memo, *pair; /* [expr.id]: values, packed values */
	uint8_t *degree;       /* [expr.id]: see ptx_global.c */
	uint32_t serial, epoch;
	struct {
		ptx_known *item;
		int count, cap;
	} known;
	struct ptx_loop *loop; /* the innermost FOR */
	ptx_known *kept;       /* scratch of ptx_release_statement */
	int kept_size;
	int bucket[PTX_BUCKETS];
	int llvm_errors;
} ptx_cx;

/* --- ptx_build.c --- */

/* What the next values are computed in may be left: drops what is known since then. */
int ptx_mark(const ptx_cx *h);
void ptx_release(ptx_cx *h, int mark);
/* A statement is left. What it computed is dropped, so that a program that computes a value again
 * where it needs it does not hold it in a register in between; addresses inside shared memory and
 * the like are kept. */
void ptx_release_statement(ptx_cx *h, int mark);
/* `v` is the thread's place, or made of it. */
void ptx_set_lasting(ptx_cx *h, V v);
/* A new block of values read from registers and variables: what was read before may have changed. */
void ptx_forget_reads(ptx_cx *h);

V ptx_i32(ptx_cx *h, int64_t v);
V ptx_f32(ptx_cx *h, double v);
V ptx_bool(ptx_cx *h, bool v);
/* Operations; equal ones are computed once. */
V ptx_binary(ptx_cx *h, LLVMOpcode op, V a, V b);
V ptx_compare_int(ptx_cx *h, LLVMIntPredicate how, V a, V b);
V ptx_compare_float(ptx_cx *h, LLVMRealPredicate how, V a, V b);
V ptx_select(ptx_cx *h, V c, V a, V b);
V ptx_cast(ptx_cx *h, LLVMOpcode op, V a, T to);
/* LLVM or NVVM intrinsics without memory effects; `over` NULL or the one type that selects it. */
V ptx_intrinsic(ptx_cx *h, const char *name, T over, V *arg, int args);
/* arg[n] elements of `elem` behind p, and reading memory that nobody writes. */
V ptx_element(ptx_cx *h, T elem, V p, num index);
V ptx_load_constant(ptx_cx *h, T type, V p, int align);

typedef enum { PTX_PURE, PTX_MEMORY } ptx_effect;

/* Inline assembly; pure ones with equal operands are computed once. */
V ptx_asm(ptx_cx *h, T result, ptx_effect effect, const char *constraints, V *arg, int args,
	const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* With all of its constraints, and of any length; never removed, always in order. */
V ptx_asm_long(ptx_cx *h, T result, const char *constraints, V *arg, int args, const char *body);
/* The same without a result, unless it is empty; frees the text. */
void ptx_asm_body(ptx_cx *h, const char *constraints, V *arg, int args, text *body);
V ptx_field(ptx_cx *h, V aggregate, int i);
/* A struct of n times `type`. */
T ptx_struct(ptx_cx *h, T type, int n);

V ptx_alloca(ptx_cx *h, T type);
V ptx_read(ptx_cx *h, T type, V slot, uint32_t version);
/* What `key` names in that version, as far as it is known, and makes it known. */
V ptx_recall(const ptx_cx *h, const void *key, uint32_t version);
V ptx_note(ptx_cx *h, const void *key, uint32_t version, V v);
void ptx_write(ptx_cx *h, V slot, uint32_t *version, V v);

/* if (c) { ... } [ else { ... } ]; ptx_if_end closes. */
typedef struct {
	BB other, end;
	int mark;
	bool has_other;
} ptx_branch;

ptx_branch ptx_if(ptx_cx *h, V c);
void ptx_else(ptx_cx *h, ptx_branch *i);
void ptx_if_end(ptx_cx *h, ptx_branch *i);

/* for (v = from; v < to; v += step), i32. */
typedef struct ptx_loop {
	BB body, end;
	V counter;
	num step, to;
	int mark;
} ptx_loop;

num ptx_loop_begin(ptx_cx *h, ptx_loop *l, num from, num to, num step);
void ptx_loop_end(ptx_cx *h, ptx_loop *l);
/* Leaves the loop where `c` holds. */
void ptx_loop_break(ptx_cx *h, ptx_loop *l, V c);

/* --- ptx_global.c --- */

/* base[add], counted in elements. */
typedef struct {
	V base;
	int64_t add;
} ptx_pointer;

/* The element at `offset`, and at `column` from there; NULL: at the offset itself. */
ptx_pointer ptx_global(ptx_cx *h, const place *at, const tile_arg *tensor, const tile_expr *offset,
	const num *column);
V ptx_global_element(ptx_cx *h, T elem, ptx_pointer p);

/* --- ptx_num.c --- */

num num_const(T type, int64_t v);
num num_of(ptx_cx *h, V v); /* nothing known; any type */
num num_range(num n, int64_t lo, int64_t hi);
bool num_is_const(num n, int64_t *v);
V num_v(ptx_cx *h, num n);
/* Zero bits at the end of the whole number. */
int num_align(num n);
num num_add(ptx_cx *h, num a, num b);
num num_sub(ptx_cx *h, num a, num b);
num num_mul(ptx_cx *h, num a, num b);
num num_div(ptx_cx *h, num a, num b); /* floor; by zero gives 0 */
num num_mod(ptx_cx *h, num a, num b);
num num_min(ptx_cx *h, num a, num b);
num num_max(ptx_cx *h, num a, num b);
num num_xor(ptx_cx *h, num a, num b);
num num_less(ptx_cx *h, num a, num b, bool or_equal);
num num_equal(ptx_cx *h, num a, num b, bool negate);
num num_widen(ptx_cx *h, num a);
/* a + constant, a * constant. */
num num_plus(ptx_cx *h, num a, int64_t c);
num num_times(ptx_cx *h, num a, int64_t c);

/* --- ptx_value.c --- */

T ptx_type(const ptx_cx *h, tile_type t);
/* A place that remembers nothing yet: of no element, of element e of register r, of (row, col). */
place ptx_nowhere(ptx_cx *h);
place ptx_place(ptx_cx *h, const tile_frag *f, int r, int e);
place ptx_place_at(ptx_cx *h, num row, num col);
num ptx_value(ptx_cx *h, const place *at, const tile_expr *x);
/* Address of the shared element that a SHARED value reads. */
num ptx_shared_place(ptx_cx *h, const place *at, const tile_expr *x);
/* At no element. */
num ptx_scalar(ptx_cx *h, const tile_expr *x);
/* An UNROLL counter or constant. */
int ptx_static(ptx_cx *h, const tile_expr *x);
/* A b16 number in the low half of an i32 as f32. */
V ptx_unpack(ptx_cx *h, tile_type t, V x);
/* 2 * register + element of `src` that belongs to element (r, e) of `f`. */
int ptx_peer(ptx_cx *h, const tile_frag *src, const tile_frag *f, int r, int e);

/* --- ptx_tile.c --- */

/* Declares the registers of all tiles. */
void ptx_declare_tiles(ptx_cx *h);
V ptx_read_register(ptx_cx *h, const tile_frag *f, int r);
/* Reads registers r[n] in one piece of assembly. */
void ptx_read_tile(ptx_cx *h, const tile_frag *f, const int *r, int n);
/* Reads in one piece of assembly what `x` reads for the elements of registers r[n] of `domain`. */
void ptx_read_ahead(ptx_cx *h, const tile_expr *x, const tile_frag *domain, const int *r, int n);
/* Register r[i] = v[i]. */
void ptx_write_registers(ptx_cx *h, const tile_frag *f, const int *r, const V *v, int n);
/* The name of register r, for assembly, and n of them in braces. */
void ptx_put_register(text *out, const tile_frag *f, int r);
void ptx_put_registers(text *out, const tile_frag *f, int first, int n);
/* Assembly writes register r: what was read from it before is no longer what it holds. */
void ptx_touch_register(ptx_cx *h, const tile_frag *f, int r);

/* --- ptx_pack.c --- */

/* A bf16 or f16 value at two places, the first in the low half; `second` NULL: the low half only. */
V ptx_pair(ptx_cx *h, const place *first, const place *second, const tile_expr *x);
/* Two f32 rounded to `t`. */
V ptx_round_pair(ptx_cx *h, tile_type t, V low, V high);

/* --- statements --- */

/* The registers of a slice: cells [row0, row1) x [col0, col1) of `across` cells in a row. */
typedef struct {
	int row0, row1, col0, col1, across, registers;
} ptx_cells;

ptx_cells ptx_slice(ptx_cx *h, const tile_slice *s);
int ptx_register(const ptx_cells *c, int row, int col, int i);
void ptx_block(ptx_cx *h, const tile_block *b);

/* A diagnostic unless the architecture has the families that a statement needs. */
bool ptx_needs(ptx_cx *h, const tile_stmt *s, unsigned families);
void ptx_prefetch_maps(ptx_cx *h);
/* The lanes of a warp know what all of them did before. */
void ptx_sync_warp(ptx_cx *h);

/* Where dynamic shared memory begins: a multiple of 1024. */
num ptx_shared_base(ptx_cx *h);
/* Address in shared memory of (base + row, col) of a slot; `row` is the part that differs between
 * threads. */
num ptx_shared_at(ptx_cx *h, const tile_buffer *b, num slot, num base, num row, num col);
/* `bytes` (2, 4) of shared memory: an i32, whose low half counts for 2. */
void ptx_shared_write(ptx_cx *h, num address, int bytes, V v);
V ptx_shared_read(ptx_cx *h, num address, int bytes);
/* An element of a buffer of `t` as f32. */
V ptx_shared_float(ptx_cx *h, num address, tile_type t);

/* One function a statement. */
#define TILE_OP(name, text, signature, syntax, effect, meaning)                                    \
	void ptx_stmt_##name(ptx_cx *h, const tile_stmt *s);
#include "tile/tile_ops.def"
#undef TILE_OP
