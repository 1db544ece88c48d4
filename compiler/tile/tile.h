/* tile.h: the tile program, the one GPU IR. The planner's lowering builds it; both emitters (CUDA
 * C, LLVM) and the simulator read it and decide nothing. It has a text form that is printed and
 * parsed. docs/tile-ir.md is the reference: every operation with its text, types and effect.
 *
 *   tile_ops.def    statements
 *   tile_expr.def   values inside them
 *   build.c         program, declarations, statements
 *   value.c         values: constants fold, types are checked
 *   layout.c        which thread and register holds an element; where a shared element lies
 *   print.c         program -> text
 *   lex.c, parse*.c text -> program
 *   check.c, check_async.c  what one value or statement must satisfy
 *   range.c         bounds and divisibility of integer values
 *   verify.c        what the whole must satisfy: definition before use, uniform flow
 *
 * A program is one kernel: arguments, shared buffers, register tiles, and a block of statements
 * that every thread executes in step, unless an IF or FOR on a warp- or thread-varying value splits
 * it. FILL, COPY and BARRIER stand in flow that is uniform over the block; the WGMMA statements in
 * flow that is uniform over a warpgroup (four warps); COMMIT, WAIT, LDSM, MMA, ANY, QUAD,
 * STORE.ROWS and those on mbarriers and counters in flow that is uniform over the warp.
 *
 * Four kinds of storage:
 *   variable        one value per thread (i32 i64 f32 b1); LET once, SET afterwards
 *   register tile   rows x cols elements spread over the threads of each warp by a layout; mutable
 *   shared buffer   slots x rows x cols elements in shared memory, swizzled
 *   mbarrier        in shared memory, an array of them; counters the same */
#pragma once
#include "support/arena.h"
#include "support/diag.h"
#include "support/text.h"

typedef enum { TILE_B1, TILE_I32, TILE_I64, TILE_F32, TILE_BF16, TILE_F16, TILE_TF32 } tile_type;
#define TILE_TYPE_COUNT 7

/* How a register tile is spread. W warps lie along the rows: warp w holds rows
 * [w * rows / W, (w + 1) * rows / W). A tile is made of cells; inside a warp, with g = lane / 4 and
 * t = lane % 4, a thread holds of each cell (PTX ISA: fragments of mma.m16n8k16 and m16n8k8)
 *
 *   ACC    16 x 8    (g, 2t) (g, 2t+1) (g+8, 2t) (g+8, 2t+1)
 *   OPA    16 x 16   pairs (g, 2t..) (g+8, 2t..) (g, 2t+8..) (g+8, 2t+8..)     bf16, f16
 *          16 x 8    (g, t) (g+8, t) (g, t+4) (g+8, t+4)                       tf32, f32
 *          16 x 8    (g, 2t) (g+8, 2t) (g, 2t+1) (g+8, 2t+1)                   the same over acc
 *   OPB    16 x 8    pairs (2t.., g) (2t+8.., g): k x n                        bf16, f16
 *          8 x 8     (t, g) (t+4, g)                                           tf32, f32
 *          8 x 8     (2t, g) (2t+1, g)                                         the same over acc
 *   ROWV   16 x 1    (g) (g+8): the rows of ACC and OPA; the lanes of a quad hold copies
 *   COLV   1 x 8     the columns of ACC: (2t) (2t+1), or one pair of bf16, f16
 *          1 x 16    the columns of OPA: pairs (2t..) (2t+8..)                 bf16, f16
 *          1 x 8     the columns of OPA: (t) (t+4)                             tf32, f32
 *
 * one 32-bit register for each parenthesis; a pair is two neighbouring columns (OPB: rows), the
 * first in the low half. A product adds over k in any order, so tf32 operands may both have the
 * order of ACC's columns instead of the hardware's: scores become a left operand where they are.
 * OPB and COLV have the same contents in every warp. Registers are ordered
 * by cell, cell rows outermost, then cell columns, then as written above. */
typedef enum { LAYOUT_ACC, LAYOUT_OPA, LAYOUT_OPB, LAYOUT_ROWV, LAYOUT_COLV } tile_layout;

/* A register tile. ACC: f32; OPA, OPB: bf16 f16 tf32 f32 (f32 is no operand of MMA, but what tf32
 * operands are made from); ROWV: f32 i32; COLV: f32 bf16 f16 tf32. */
typedef struct {
	const char *name;
	tile_layout layout;
	tile_layout
		of; /* COLV: whose columns, ACC or OPA; OPA, OPB: ACC, or OPA (hardware's order) */
	tile_type type;
	int rows, cols; /* of the block's tile (OPB: of each warp's); ROWV: 1 column, COLV: 1 row */
	int id;
	loc at;
	const char *what; /* one line for the generated code: "scores of this block of keys" */
} tile_frag;

/* A value is evaluated for every element of a statement's domain. ROW and COL are the element's
 * place: in MAP, ANY and STORE in the block's register tile (the column counts from the tile's, not
 * the slice's, first one), in FILL, COPY, STORE.ROWS and STORE.SHARED in the region. A register-tile leaf reads
 * the element with the domain element's row and column (ROWV: its row, COLV: its column); the same
 * thread must hold it (tile_peer), which is so for ACC in OPA, OPA in ACC, ROWV and COLV in both.
 * A leaf of a tf32 tile reads as f32. SELECT, AND and OR evaluate all operands: addresses must be
 * valid in both arms. A statement evaluates nothing where its predicate is false.
 *
 * bf16 and f16 values exist in MAP into a tile of that type and as the result of a CVT. There
 * + - * fma neg are allowed, each rounded to nearest; an emitter computes pairs of neighbouring
 * columns in one packed register (first column in the low half), and f32 subexpressions twice.
 *
 * Values are graphs: a node that occurs twice in a statement is evaluated once per element. */

typedef struct tile_buffer tile_buffer;
struct tile_buffer {
	const char *name;
	tile_type type;        /* bf16, f16, f32, tf32 */
	int slots, rows, cols; /* a row is a multiple of 16 bytes */
	/* log2 of how many 16-byte chunks of a row are permuted by the row number, 0 to 3 */
	int swizzle;
	/* 0, or TILE_PANEL: a slot is its groups of 64 columns one after the other, each of them
	 * rows x 128 bytes (the last one in full width too), as TMA writes and WGMMA reads them */
	int panel;
	tile_buffer *shares; /* NULL, or an earlier buffer whose memory this one uses too */
	int64_t offset;      /* bytes from the start of dynamic shared memory; -1: not placed yet */
	int id;
	loc at;
	const char *what;
};

#define TILE_PANEL 64 /* columns of 16 bits: 128 bytes, the widest that TMA and WGMMA swizzle */

typedef enum { BAR_MBARRIER, BAR_COUNTER } tile_bar_kind;

/* mbarriers (8 bytes each) or i32 counters (4 bytes each) in shared memory. */
typedef struct {
	const char *name;
	tile_bar_kind kind;
	int slots;
	int count;      /* MBARRIER: arrivals that complete a phase */
	int64_t offset; /* bytes from the start of dynamic shared memory; -1: not placed yet */
	int id;
	loc at;
	const char *what;
} tile_mbar;

typedef enum { ARG_TENSOR, ARG_SCALAR, ARG_MAP } tile_arg_kind;

#define TILE_MAX_RANK 5 /* dimensions of a tensor map */

/* A kernel argument, in order. Tensors are base pointers; strides, lengths, params are scalars. A
 * map is a CUtensorMap of 128 bytes by value (__grid_constant__), which the runtime encodes from
 * the tensor's address, lengths and strides, with the 128-byte swizzle and zeros outside. Maps come
 * last. */
typedef struct tile_arg tile_arg;
struct tile_arg {
	const char *name;
	tile_arg_kind kind;
	tile_type type; /* tensor: element type as stored, bf16 f16 f32 i32; scalar: i32 i64 f32 */
	bool written;   /* an output */
	tile_arg *tensor;       /* MAP: of which tensor */
	int rank;               /* MAP: its dimensions */
	int box[TILE_MAX_RANK]; /* MAP: elements of one load in each, in the tensor's order */
	int id;
	loc at;
	const char *what;
};

typedef struct {
	const char *name;
	tile_type type;
	bool constant; /* an UNROLL counter */
	int id;
} tile_var;

typedef enum {
#define TILE_EXPR(name, text, arity, operands, result) TX_##name,
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
		double f;  /* CONST of f32: exactly a float */
		tile_var *var;
		tile_arg *arg_ref; /* ARG, GLOBAL */
		tile_frag *frag;
		tile_buffer *buffer; /* SHARED */
	};
	tile_expr *arg[3]; /* GLOBAL: offset; SHARED: slot, row, col */
};

typedef enum {
#define TILE_OP(name, text, signature, syntax, effect, meaning) TILE_##name,
#include "tile/tile_ops.def"
#undef TILE_OP
	TILE_OP_COUNT
} tile_opcode;

typedef enum {
	EFFECT_NONE,
	EFFECT_READ,
	EFFECT_WRITE,
	EFFECT_ASYNC,
	EFFECT_FENCE,
	EFFECT_FLOW
} tile_effect;

typedef enum { WORD_MAX, WORD_SUM } tile_word;

/* Columns [first, first + cols) of a register tile, whole cells; rows [first_row, first_row + rows)
 * of an OPB operand, all rows of the others. `first` and `first_row` are made of constants and
 * UNROLL counters. In a statement they are never NULL. */
typedef struct {
	tile_frag *frag;
	tile_expr *first; /* NULL: 0 */
	int cols;
	tile_expr *first_row; /* NULL: 0 */
	int rows;
} tile_slice;

/* rows x cols elements of a buffer from (row, col) of `slot` on. In a statement never NULL. */
typedef struct {
	tile_buffer *buffer;
	tile_expr *slot, *row, *col; /* NULL: 0 */
	int rows, cols;
} tile_region;

/* One mbarrier or counter of an array. */
typedef struct {
	tile_mbar *bar;
	tile_expr *index; /* i32; INIT: NULL, the whole array */
} tile_bar_ref;

/* A box of a tensor map: its first element, in the tensor's order of dimensions. */
typedef struct {
	tile_arg *map;
	tile_expr *coord[TILE_MAX_RANK];
	int rank;
} tile_box;

#define TILE_MAX_LIST 8

/* Whole register tiles. */
typedef struct {
	tile_frag *frag[TILE_MAX_LIST];
	int count;
} tile_list;

typedef struct tile_stmt tile_stmt;

typedef struct {
	tile_stmt **item;
	int count, cap;
} tile_block;

/* The member is told by the operand's letter in the operation's signature. */
typedef struct {
	union {
		tile_var *var;      /* d, v */
		tile_slice slice;   /* f */
		tile_region region; /* s */
		tile_arg *tensor;   /* t */
		tile_expr *value;   /* e */
		int64_t integer;    /* i */
		tile_word word;     /* w */
		tile_bar_ref bar;   /* b, and a: the whole array */
		tile_box box;       /* m */
		tile_list list;     /* l */
		bool zero;          /* z: '=' and not '+=' */
	};
} tile_operand;

#define TILE_MAX_OPERANDS 5

struct tile_stmt {
	tile_opcode op;
	loc at;           /* in tile_program.src: the spec, or the tile text it was parsed from */
	int line;         /* of the spec; 0: unknown */
	const char *note; /* NULL, or a comment for the generated code */
	tile_operand arg[TILE_MAX_OPERANDS];
	tile_block body, other; /* FLOW */
};

typedef struct {
	const char *name;   /* kernel symbol */
	const char *target; /* sm_80 */
	int warps;          /* threads = 32 * warps, all along the rows of register tiles */
	int min_blocks;     /* blocks per SM the registers are bounded for; 0: no bound */
	const source *src;  /* of every loc; may be NULL */
	int line; /* of the spec's head: statements of this line print no line; 0: unknown */
	const char *what; /* NULL, or one line for the generated code: the grid it is launched on */
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
		tile_mbar **item;
		int count, cap;
	} bar;
	struct {
		tile_frag **item;
		int count, cap;
	} frag;
	struct {
		tile_var **item;
		int count, cap;
	} var;
	int64_t shared_bytes; /* dynamic shared memory; set by tile_place_shared */
	uint32_t expr_count;
	tile_block body;
	/* builders: where statements are appended, and the newest one */
	tile_block *open;
	tile_stmt *newest;
	struct tile_flow *flow;
	struct tile_names *names;
} tile_program;

/* --- build.c --- */

/* Every name in a program is unique: a name already taken, or reserved, gets a number (low_2); what
 * is no letter, digit or underscore becomes an underscore. */
tile_program *tile_program_create(
	arena *a, const char *name, const char *target, int warps, const source *src);
tile_arg *tile_tensor(tile_program *p, loc at, const char *name, tile_type type, bool written);
tile_arg *tile_scalar(tile_program *p, loc at, const char *name, tile_type type);
/* A tensor map of `tensor`; the innermost extent of its box is TILE_PANEL. */
tile_arg *tile_map_arg(
	tile_program *p, loc at, const char *name, tile_arg *tensor, int rank, const int *box);
/* A register tile; COLV is one over the columns of ACC. */
tile_frag *tile_register(tile_program *p, loc at, const char *name, tile_layout l, tile_type type,
	int rows, int cols);
/* OPA or OPB of tf32 or f32 with k in the order of ACC's columns. */
tile_frag *tile_register_over_acc(tile_program *p, loc at, const char *name, tile_layout l,
	tile_type type, int rows, int cols);
/* A COLV over the columns of `of`. */
tile_frag *tile_columnv(
	tile_program *p, loc at, const char *name, tile_type type, tile_layout of, int cols);
tile_buffer *tile_shared(
	tile_program *p, loc at, const char *name, tile_type type, int slots, int rows, int cols);
/* A buffer in the memory of `base`, which holds something else by then. */
tile_buffer *tile_shared_again(tile_program *p, loc at, const char *name, tile_type type, int slots,
	int rows, int cols, tile_buffer *base);
/* A buffer in panels of TILE_PANEL columns, for TMA and WGMMA; 16-bit types, rows in eights. */
tile_buffer *tile_shared_panels(
	tile_program *p, loc at, const char *name, tile_type type, int slots, int rows, int cols);
/* An array of mbarriers whose phases complete after `count` arrivals; an array of counters. */
tile_mbar *tile_mbarrier(tile_program *p, loc at, const char *name, int slots, int count);
tile_mbar *tile_counter(tile_program *p, loc at, const char *name, int slots);
/* Gives every buffer its offset (1024-byte aligned where swizzled), behind them every mbarrier and
 * counter, and sets shared_bytes. */
void tile_place_shared(tile_program *p);

/* Statements, appended to the open block. */
tile_var *tile_let(tile_program *p, loc at, const char *name, tile_expr *v);
void tile_set(tile_program *p, loc at, tile_var *var, tile_expr *v);
void tile_map(tile_program *p, loc at, tile_slice dst, tile_expr *v);
tile_var *tile_any(tile_program *p, loc at, const char *name, tile_slice domain, tile_expr *v);
/* Over all threads of the block; a barrier too. */
tile_var *tile_any_block(
	tile_program *p, loc at, const char *name, tile_slice domain, tile_expr *v);
void tile_reduce(tile_program *p, loc at, tile_frag *dst, tile_word how, tile_slice src);
void tile_quad(tile_program *p, loc at, tile_frag *dst, tile_word how);
void tile_fill(tile_program *p, loc at, tile_region dst, tile_expr *v);
/* A NULL predicate is true. */
void tile_copy(tile_program *p, loc at, tile_region dst, tile_arg *tensor, tile_expr *offset,
	tile_expr *pred);
void tile_commit(tile_program *p, loc at);
void tile_wait(tile_program *p, loc at, int groups);
void tile_barrier(tile_program *p, loc at);
/* Not `trans`: the region's rows are rows of A or columns of B; `trans`: columns of A or rows of B.
 * Into OPA the region spans the block's rows and each warp loads its part; into OPB every warp
 * loads all of it. */
void tile_ldsm(tile_program *p, loc at, tile_slice dst, tile_region src, bool trans);
/* `src`: one row, for OPA one that each lane names (row l % 16 of the warp's in lane l). */
void tile_ldsm_rows(tile_program *p, loc at, tile_slice dst, tile_region src);
void tile_lds(tile_program *p, loc at, tile_slice dst, tile_region src, bool trans);
void tile_mma(tile_program *p, loc at, tile_slice acc, tile_slice a, tile_slice b);
void tile_store(tile_program *p, loc at, tile_arg *tensor, tile_slice domain, tile_expr *offset,
	tile_expr *value, tile_expr *pred);
/* Rows of a region to an output of the same type, where pred(row): the reverse of a copy, but each
 * warp stores its part of the rows, at once, and its lanes know of each other before and after. */
void tile_store_rows(tile_program *p, loc at, tile_arg *tensor, tile_region src, tile_expr *offset,
	tile_expr *pred);
void tile_store_shared(
	tile_program *p, loc at, tile_region dst, tile_slice domain, tile_expr *value);
/* Hopper: mbarriers, TMA, products of warpgroups. One lane of each warp that comes here does INIT,
 * EXPECT, ARRIVE, the TMA load and COUNT. */
void tile_init(tile_program *p, loc at, tile_mbar *bar);
void tile_expect(tile_program *p, loc at, tile_mbar *bar, tile_expr *index, tile_expr *bytes);
void tile_arrive(tile_program *p, loc at, tile_mbar *bar, tile_expr *index);
void tile_await(tile_program *p, loc at, tile_mbar *bar, tile_expr *index, tile_expr *parity);
/* `coord` has `rank` values; the bytes of the box count for bar[index]. */
void tile_tma_load(tile_program *p, loc at, tile_region dst, tile_arg *map, tile_expr *const *coord,
	int rank, tile_mbar *bar, tile_expr *index);
void tile_fence_async(tile_program *p, loc at);
/* acc += a * b, or = with `zero`. b: a region of a panel buffer, rows n x columns k, or with
 * `trans` rows k x columns n. In wgmma_shared a is a region too, of the block's rows. */
void tile_wgmma(tile_program *p, loc at, tile_slice acc, tile_slice a, tile_region b, bool trans,
	bool zero);
void tile_wgmma_shared(tile_program *p, loc at, tile_slice acc, tile_region a, tile_region b,
	bool trans, bool zero);
void tile_wgmma_fence(tile_program *p, loc at, tile_frag *const *f, int n);
void tile_wgmma_commit(tile_program *p, loc at);
void tile_wgmma_wait(tile_program *p, loc at, int groups, tile_frag *const *f, int n);
void tile_bar_sync(tile_program *p, loc at, tile_expr *id, int threads);
void tile_bar_arrive(tile_program *p, loc at, tile_expr *id, int threads);
tile_var *tile_count(tile_program *p, loc at, const char *name, tile_mbar *bar, tile_expr *index);
void tile_stsm(tile_program *p, loc at, tile_region dst, tile_slice src);
/* Flow: begin returns the counter (FOR, UNROLL); the body is appended until the matching end. */
tile_var *tile_for_begin(
	tile_program *p, loc at, const char *name, tile_expr *from, tile_expr *to, tile_expr *step);
tile_var *tile_unroll_begin(tile_program *p, loc at, const char *name, int from, int to, int step);
void tile_if_begin(tile_program *p, loc at, tile_expr *cond);
void tile_else(tile_program *p);
void tile_end(tile_program *p);
/* Leaves the innermost FOR; the condition is the same in the whole block. */
void tile_break(tile_program *p, loc at, tile_expr *cond);
/* Comment on the newest statement. */
void tile_note(tile_program *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

tile_slice tile_whole(tile_frag *f);
tile_slice tile_columns(tile_frag *f, tile_expr *first, int cols);
tile_region tile_all(tile_buffer *b, tile_expr *slot);
tile_region tile_part(
	tile_buffer *b, tile_expr *slot, tile_expr *row, tile_expr *col, int rows, int cols);

extern const struct tile_op_info {
	const char *text, *signature, *syntax; /* see tile_ops.def */
	tile_effect effect;
	const char *meaning;
} tile_op_info[TILE_OP_COUNT];

/* The values of an operand with this letter, at most TILE_OPERAND_VALUES; how many. */
#define TILE_OPERAND_VALUES 5
int tile_operand_values(char letter, const tile_operand *o, tile_expr *value[TILE_OPERAND_VALUES]);
/* Whether the operation is one of WGMMA, WGMMAT, WGMMAS, WGMMAST. */
bool tile_is_wgmma(tile_opcode op);

/* --- value.c --- */

/* Integer and float constants fold; x + 0, x * 1 and select of a constant vanish; i32 beside i64 is
 * widened. Wrong types are ice(). */
tile_expr *tx_i32(tile_program *p, int64_t v);
tile_expr *tx_i64(tile_program *p, int64_t v);
tile_expr *tx_f32(tile_program *p, double v); /* rounded to float */
tile_expr *tx_bool(tile_program *p, bool v);
tile_expr *tx_var(tile_program *p, tile_var *v);
tile_expr *tx_arg(tile_program *p, tile_arg *a);
tile_expr *tx_frag(tile_program *p, tile_frag *f);
tile_expr *tx_leaf(tile_program *p, tile_expr_op op); /* TID LANE WARP WARPGROUP ROW COL */
tile_expr *tx_block(tile_program *p, int axis);
tile_expr *tx_global(tile_program *p, tile_arg *tensor, tile_expr *offset);
tile_expr *tx_shared(
	tile_program *p, tile_buffer *b, tile_expr *slot, tile_expr *row, tile_expr *col);
tile_expr *tx_1(tile_program *p, tile_expr_op op, tile_expr *x);
tile_expr *tx_2(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y);
tile_expr *tx_3(tile_program *p, tile_expr_op op, tile_expr *x, tile_expr *y, tile_expr *z);
tile_expr *tx_cvt(tile_program *p, tile_type to, tile_expr *x);
/* The same bits as i32 or f32. */
tile_expr *tx_bits(tile_program *p, tile_type to, tile_expr *x);
/* Whether `x` is the constant `v` (b1: 0 or 1). */
bool tx_is_const(const tile_expr *x, double v);
/* Whether the 16-bit value x, for two neighbouring columns of a tile, lies in shared memory as it is:
 * 32 bits. */
bool tx_is_stored_pair(const tile_expr *x);

typedef enum { RESULT_SAME, RESULT_BOOL, RESULT_NODE } tile_result;

extern const struct tile_expr_info {
	const char *text;
	int arity;
	const char *operands; /* letters of the types taken, see tile_expr.def */
	tile_result result;
} tile_expr_info[TX_COUNT];

/* --- layout.c --- */

int tile_type_bytes(tile_type t); /* b1: 1; tf32: 4 */
const char *tile_type_name(tile_type t);
const char *tile_layout_name(tile_layout l);

/* The cell of a register tile: its size, and how many registers a thread has of it. Register
 * (cell row * cells in a row + cell column) * registers + i is register i of that cell. */
typedef struct {
	int rows, cols, registers;
} tile_cell;

tile_cell tile_cell_of(const tile_frag *f);
/* 32-bit registers per thread of a register tile. */
int tile_registers(const tile_program *p, const tile_frag *f);
/* Elements in one register: 2 for b16 tiles, else 1. */
int tile_register_elements(const tile_frag *f);
/* Rows of the tile that one warp holds (all of them for OPB, COLV). */
int tile_warp_rows(const tile_program *p, const tile_frag *f);
/* Row and column of element `e` of register `r` in the warp's part of the tile: the block's row is
 * warp * tile_warp_rows + row for ACC, OPA and ROWV. */
void tile_element(
	const tile_program *p, const tile_frag *f, int lane, int r, int e, int *row, int *col);
/* The reverse: where `lane` holds (row, col) of the warp's part; false: it does not. ROWV ignores
 * col, COLV row. */
bool tile_find(
	const tile_program *p, const tile_frag *f, int lane, int row, int col, int *r, int *e);
/* Where the thread that holds element (r, e) of `f` holds the same (row, col) of `src` (column only
 * for COLV, row only for ROWV): register and element, the same in every lane. false: some other
 * thread holds it, or nobody does. */
bool tile_peer(const tile_program *p, const tile_frag *src, const tile_frag *f, int r, int e,
	int *sr, int *se);

/* One ldmatrix of a LDSM: `matrices` (4 or 2) of 8 rows of 16 bytes into the registers of the cell
 * (cell_row, cell_col), counted from the slice's first, and of the next when a cell has only two.
 * Lane l, taken modulo 8 * matrices, gives the address of the region's element
 *   row + l % 8 + (l / 8 % 2) * row8 + (l / 16) * row16
 *   col         + (l / 8 % 2) * col8 + (l / 16) * col16
 * (OPA: of the warp's part of the region, tile_warp_rows rows of it, or columns if `trans`). */
typedef struct {
	int cell_row, cell_col, matrices;
	int row, col, row8, col8, row16, col16;
} tile_ldmatrix;

/* How many ldmatrix load a slice of rows x cols elements of `f` (OPA: one warp's), and the n-th. */
int tile_ldmatrix_count(const tile_frag *f, int rows, int cols);
tile_ldmatrix tile_ldmatrix_at(const tile_frag *f, int rows, int cols, bool trans, int n);
/* Of a LDSM.ROWS into `cols` columns: each lane adds columns to the row that it names, nothing to the
 * row. */
int tile_ldmatrix_rows_count(const tile_frag *f, int cols);
tile_ldmatrix tile_ldmatrix_rows_at(const tile_frag *f, int cols, int n);

/* Byte offset of (row, col) inside one slot. With s = swizzle, chunk c of a row (of a panel's row)
 * lies at place c ^ (row >> (3 - s)) % 2^s: eight consecutive rows have any one chunk in different
 * banks. */
int64_t tile_shared_offset(const tile_buffer *b, int64_t row, int64_t col);
/* log2 of the permuted chunks for rows of `bytes`: of gcd(chunks, 8); odd numbers need none. */
int tile_swizzle(int64_t bytes);
int64_t tile_slot_bytes(const tile_buffer *b);
/* Bytes of a whole array of mbarriers or counters, and of one of them. */
int64_t tile_bar_bytes(const tile_mbar *b);
int tile_bar_size(const tile_mbar *b);
/* Bytes of one panel: its rows of 128 bytes. */
int64_t tile_panel_bytes(const tile_buffer *b);

/* The matrix descriptor of an operand that a WGMMA reads from a panel buffer, but for its address:
 * (byte / 16) % 2^14 is to be added, where `byte` is the shared address of the first element of
 * each step of 16: element (row, col + 16 i) of the region (K-major), or with `trans` (the region's
 * rows are k, MN-major) element (row + 16 i, col). Rows begin at multiples of 8; columns at multiples of
 * 16, with `trans` of TILE_PANEL. */
uint64_t tile_descriptor(const tile_buffer *b, bool trans);

/* --- print.c, parse.c, verify.c --- */

void tile_print(const tile_program *p, text *out);
/* Reads what tile_print writes; NULL when errors were reported. */
tile_program *tile_parse(arena *a, const source *src, diags *d);
/* Checks types, shapes, layouts, definition before use, alignment, bounds, and that block- and
 * warp-wide operations stand in uniform flow. False: `why` names the first wrong statement. */
bool tile_verify(const tile_program *p, text *why);
