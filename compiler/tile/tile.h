/* tile.h: the tile program, the one GPU IR. The planner's lowering builds it; both emitters (CUDA
 * C, LLVM) and the simulator read it and decide nothing. It has a text form that is printed and
 * parsed (docs/tile-ir.md).
 *
 *   tile_ops.def    statements           tile_expr.def   values inside them
 *   build.c         constructors that fold constants and check types
 *   layout.c        which thread and register holds element (row, col); where shared element (row,
 * col) lies print.c  parse.c                     text <-> program verify.c        run after every
 * pass
 *
 * A program is one kernel: arguments, shared buffers, register tiles, and a block of statements
 * that every thread executes in step, unless an IF on a warp- or thread-varying value splits it.
 * Control flow around BARRIER, MMA, LDSM, ANY, QUAD and COPY must be uniform over the threads that
 * take part (block, or warp).
 *
 * Three kinds of storage:
 *   variable        one value per thread (i32 i64 f32 b1); LET once, SET afterwards
 *   register tile   rows x cols elements spread over the threads of each warp by a layout; mutable
 *   shared buffer   slots x rows x cols elements in shared memory, swizzled */
#pragma once
#include "support/arena.h"
#include "support/diag.h"
#include "support/text.h"

typedef enum { TILE_B1, TILE_I32, TILE_I64, TILE_F32, TILE_BF16, TILE_F16, TILE_TF32 } tile_type;

/* How a register tile is spread. W warps lie along the rows: warp w holds rows [w * rows / W, (w +
 * 1) * rows / W). Inside a warp, with g = lane / 4 and t = lane % 4 (PTX ISA, mma.m16n8k16 and
 * m16n8k8 fragments): ACC    16 x 8 cells, f32: register 0,1 = (g, 2t), (g, 2t+1); 2,3 = (g+8, 2t),
 * (g+8, 2t+1) OPA    16 x 16 cells of b16 pairs: registers (g, 2t..), (g+8, 2t..), (g, 2t+8..),
 * (g+8, 2t+8..); tf32: 16 x 8 cells, registers (g, t), (g+8, t), (g, t+4), (g+8, t+4) OPB    K x N
 * with the same contents in every warp. b16: 16 x 8 cells, registers (2t.., g), (2t+8.., g); tf32:
 * 8 x 8 cells, registers (t, g), (t+4, g) ROWV   rows x 1, f32 or i32: one value for each row of
 * ACC that the thread has (g, g+8 of each cell row); the four lanes of a quad hold copies COLV   1
 * x cols, f32: one value for each column of ACC or OPA that the thread has: the same in every row
 * Registers are ordered by cell: cell rows outermost, then cell columns, then the register in the
 * cell. */
typedef enum { LAYOUT_ACC, LAYOUT_OPA, LAYOUT_OPB, LAYOUT_ROWV, LAYOUT_COLV } tile_layout;

typedef struct {
	const char *name;
	tile_layout layout;
	tile_layout of; /* COLV: over the columns of ACC (2t, 2t+1 of each cell) or OPA (2t, 2t+1,
			   2t+8, 2t+9) */
	tile_type type; /* ACC: f32; ROWV: f32, i32; COLV: f32, bf16, f16; OPA, OPB: bf16, f16, tf32
			 */
	int rows, cols; /* of the whole block's tile (OPB: of each warp's) */
	int id;
	loc at;
	const char *what; /* one line for the generated code: "scores of this block of keys" */
} tile_frag;

/* A value is evaluated for every element of a domain. In MAP into a b16 tile (OPA, OPB, COLV of
 * b16) it is evaluated for pairs of neighbouring columns: subexpressions of type bf16 or f16 are
 * one packed register, those of f32 are two; cvt between them packs (first column in the low half)
 * and unpacks. b16 allows + - * fma neg only, each rounded to nearest. A register-tile leaf reads
 * the element with the same row and column, which the same thread holds for ACC in OPA, OPA in ACC,
 * ROWV and COLV in both; the verifier checks it. */

typedef struct {
	const char *name;
	tile_type type;        /* bf16, f16, f32 */
	int slots, rows, cols; /* cols * size is a multiple of 16 bytes */
	/* 16-byte chunks of a row are permuted by the row number (see tile_shared_offset); 0 none,
	 * else log2 of chunks */
	int swizzle;
	int64_t offset; /* bytes from the start of dynamic shared memory; set by tile_place_shared
			 */
	int id;
	loc at;
	const char *what;
} tile_buffer;

typedef enum { ARG_TENSOR, ARG_SCALAR } tile_arg_kind;

/* A kernel argument, in order. Tensors are base pointers; strides, lengths and params are scalars.
 */
typedef struct {
	const char *name;
	tile_arg_kind kind;
	tile_type type; /* tensor: element type as stored (I32 too); scalar: I32 I64 F32 */
	bool written;   /* an output */
	int id;
	loc at;
	const char *what;
} tile_arg;

typedef struct {
	const char *name;
	tile_type type;
	bool constant; /* an UNROLL counter */
	int id;
} tile_var;

typedef enum {
#define TILE_EXPR(name, text, arity, result) TX_##name,
#include "tile/tile_expr.def"
#undef TILE_EXPR
	TX_COUNT
} tile_expr_op;

typedef struct tile_expr tile_expr;
struct tile_expr {
	tile_expr_op op;
	tile_type type;
	uint32_t id; /* dense within a program */
	union {
		int64_t i; /* CONST of i32, i64, b1; BLOCK: 0 x, 1 y, 2 z */
		double f;  /* CONST of f32 */
		tile_var *var;
		tile_arg *arg_ref; /* ARG, GLOBAL */
		tile_frag *frag;
		tile_buffer *buffer; /* SHARED */
	};
	tile_expr *arg[3]; /* GLOBAL: offset; SHARED: slot, row, col */
};

typedef enum {
#define TILE_OP(name, text, signature, effect, meaning) TILE_##name,
#include "tile/tile_ops.def"
#undef TILE_OP
	TILE_OP_COUNT
} tile_opcode;

typedef enum { WORD_MAX, WORD_SUM } tile_word;

/* Columns [first, first + cols) of a register tile; first is constant after unrolling. */
typedef struct {
	tile_frag *frag;
	tile_expr *first; /* NULL: from column 0 */
	int cols;         /* the tile's when whole */
	/* rows of an OPB operand: [first_row, first_row + rows) */
	tile_expr *first_row;
	int rows;
} tile_slice;

/* rows x cols elements of a buffer from (row, col) of `slot` on. */
typedef struct {
	tile_buffer *buffer;
	tile_expr *slot, *row, *col; /* NULL: 0 */
	int rows, cols;
} tile_region;

typedef struct tile_stmt tile_stmt;

typedef struct {
	tile_stmt **item;
	int count, cap;
} tile_block;

typedef struct {
	union {
		tile_var *var;
		tile_slice slice;
		tile_region region;
		tile_arg *tensor;
		tile_expr *value;
		int64_t integer;
		tile_word word;
	};
} tile_operand;

#define TILE_MAX_OPERANDS 5

struct tile_stmt {
	tile_opcode op;
	loc at;           /* the spec text it came from */
	const char *note; /* NULL, or a comment for the generated code */
	tile_operand arg[TILE_MAX_OPERANDS];
	tile_block body, other; /* FLOW */
};

typedef struct {
	const char *name;   /* kernel symbol */
	const char *target; /* sm_80 */
	int warps;          /* threads = 32 * warps, all along the rows of register tiles */
	int min_blocks;     /* blocks per SM the registers are bounded for; 0: no bound */
	const source *src;  /* the spec, for locations */
	arena *arena;
	struct {
		tile_arg **item;
		int count, cap;
	} arg;
	struct {
		tile_buffer **item;
		int count, cap;
	} buffer;
	struct {
		tile_frag **item;
		int count, cap;
	} frag;
	struct {
		tile_var **item;
		int count, cap;
	} var;
	int64_t shared_bytes;
	uint32_t expr_count;
	tile_block body;
	tile_block *open; /* where builders append */
} tile_program;

/* --- build.c --- */

tile_program *tile_program_create(
	arena *a, const char *name, const char *target, int warps, const source *src);
tile_arg *tile_tensor(tile_program *p, loc at, const char *name, tile_type type, bool written);
tile_arg *tile_scalar(tile_program *p, loc at, const char *name, tile_type type);
/* COLV takes `of` = ACC; tile_columnv makes one over OPA. */
tile_frag *tile_columnv(
	tile_program *p, loc at, const char *name, tile_type type, tile_layout of, int cols);
tile_frag *tile_register(tile_program *p, loc at, const char *name, tile_layout l, tile_type type,
	int rows, int cols);
tile_buffer *tile_shared(
	tile_program *p, loc at, const char *name, tile_type type, int slots, int rows, int cols);
/* Gives every buffer its offset (1024-byte aligned where swizzled) and sets shared_bytes. */
void tile_place_shared(tile_program *p);

/* Values; integer and float constants fold, x + 0, x * 1 and select of a constant vanish. */
tile_expr *tx_i32(tile_program *p, int64_t v);
tile_expr *tx_i64(tile_program *p, int64_t v);
tile_expr *tx_f32(tile_program *p, double v);
tile_expr *tx_bool(tile_program *p, bool v);
tile_expr *tx_var(tile_program *p, tile_var *v);
tile_expr *tx_arg(tile_program *p, tile_arg *a);
tile_expr *tx_frag(tile_program *p, tile_frag *f);
tile_expr *tx_leaf(tile_program *p, tile_expr_op op); /* TID LANE WARP ROW COL */
tile_expr *tx_block(tile_program *p, int axis);
tile_expr *tx_global(tile_program *p, tile_arg *tensor, tile_expr *offset);
tile_expr *tx_shared(
	tile_program *p, tile_buffer *b, tile_expr *slot, tile_expr *row, tile_expr *col);
tile_expr *tx_1(tile_program *p, tile_expr_op op, tile_expr *x);
tile_expr *tx_2(
	tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y); /* i32 meets i64: widened */
tile_expr *tx_3(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y, tile_expr *z);
tile_expr *tx_cvt(tile_program *p, tile_type to, tile_expr *x);

/* Statements, appended to the open block. */
tile_var *tile_let(tile_program *p, loc at, const char *name, tile_expr *v);
void tile_set(tile_program *p, loc at, tile_var *var, tile_expr *v);
void tile_map(tile_program *p, loc at, tile_slice dst, tile_expr *v);
tile_var *tile_any(tile_program *p, loc at, const char *name, tile_slice domain, tile_expr *v);
void tile_reduce(tile_program *p, loc at, tile_frag *dst, tile_word how, tile_slice src);
void tile_quad(tile_program *p, loc at, tile_frag *dst, tile_word how);
void tile_fill(tile_program *p, loc at, tile_region dst, tile_expr *v);
void tile_copy(tile_program *p, loc at, tile_region dst, tile_arg *tensor, tile_expr *offset,
	tile_expr *pred);
void tile_commit(tile_program *p, loc at);
void tile_wait(tile_program *p, loc at, int groups);
void tile_barrier(tile_program *p, loc at);
void tile_ldsm(tile_program *p, loc at, tile_slice dst, tile_region src, bool trans);
void tile_lds(tile_program *p, loc at, tile_slice dst, tile_region src);
void tile_mma(tile_program *p, loc at, tile_slice acc, tile_slice a, tile_slice b);
void tile_store(tile_program *p, loc at, tile_arg *tensor, tile_slice domain, tile_expr *offset,
	tile_expr *value, tile_expr *pred);
void tile_store_shared(
	tile_program *p, loc at, tile_region dst, tile_slice domain, tile_expr *value);
/* Flow: begin returns the counter (FOR, UNROLL); the body is appended until the matching end. */
tile_var *tile_for_begin(
	tile_program *p, loc at, const char *name, tile_expr *from, tile_expr *to, tile_expr *step);
tile_var *tile_unroll_begin(tile_program *p, loc at, const char *name, int from, int to, int step);
void tile_if_begin(tile_program *p, loc at, tile_expr *cond);
void tile_else(tile_program *p);
void tile_end(tile_program *p);
/* Comment on the newest statement. */
void tile_note(tile_program *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

tile_slice tile_whole(tile_frag *f);
tile_slice tile_columns(tile_frag *f, tile_expr *first, int cols);
tile_region tile_all(tile_buffer *b, tile_expr *slot);
tile_region tile_part(
	tile_buffer *b, tile_expr *slot, tile_expr *row, tile_expr *col, int rows, int cols);

extern const struct tile_op_info {
	const char *text, *signature, *meaning;
} tile_op_info[TILE_OP_COUNT];
extern const struct tile_expr_info {
	const char *text;
	int arity;
} tile_expr_info[TX_COUNT];

/* --- layout.c --- */

/* 32-bit registers per thread of a register tile. */
int tile_registers(const tile_program *p, const tile_frag *f);
/* Elements in one register: 2 for b16 operands, else 1. */
int tile_register_elements(const tile_frag *f);
/* Row and column of element `e` of register `r` in the warp's part of the tile (block row = warp
 * part + this). */
void tile_element(
	const tile_program *p, const tile_frag *f, int lane, int r, int e, int *row, int *col);
/* Rows of the tile that one warp holds (all of them for OPB, COLV). */
int tile_warp_rows(const tile_program *p, const tile_frag *f);
/* Where the thread that holds element (r, e) of `f` holds the same (row, col) of `src` (column only
 * for COLV, row only for ROWV): register and element within it. false: another thread holds it. */
bool tile_peer(const tile_program *p, const tile_frag *src, const tile_frag *f, int r, int e,
	int *sr, int *se);
/* Byte offset of (row, col) inside one slot. With 2^s chunks swizzled: chunk ^ (row % 2^s). */
int64_t tile_shared_offset(const tile_buffer *b, int64_t row, int64_t col);
int64_t tile_slot_bytes(const tile_buffer *b);
int tile_type_bytes(tile_type t); /* tf32: 4 */
const char *tile_type_name(tile_type t);

/* --- print.c, parse.c, verify.c --- */

void tile_print(const tile_program *p, text *out);
/* Reads what tile_print writes; NULL when errors were reported. */
tile_program *tile_parse(arena *a, const source *src, diags *d);
/* Checks types, shapes, layouts, definition before use, alignment, uniform flow around block- and
 * warp-wide operations. False: `why` names the statement. */
bool tile_verify(const tile_program *p, text *why);
