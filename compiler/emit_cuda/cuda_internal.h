/* cuda_internal.h: the state that the files of the CUDA C emitter share. */
#pragma once
#include "emit_cuda/emit_cuda.h"

/* --- cuda_index.c --- */

/* What an index is a linear function of: the warp, the lane, and the place of a register's element
 * in its thread's part of a tile: cell row r, cell column n, register i of the cell, element e. */
typedef enum {
	TERM_ONE,
	TERM_WARP,
	TERM_GROUP,  /* lane / 4 */
	TERM_MEMBER, /* lane % 4 */
	TERM_R,
	TERM_N_HALF, /* n / 2 */
	TERM_N_ODD,  /* n % 2 */
	TERM_I_HALF, /* i / 2 */
	TERM_I_ODD,  /* i % 2 */
	TERM_E,
	TERM_COUNT
} cuda_term;

typedef struct {
	int coef[TERM_COUNT];
} cuda_index;

/* How many of each a thread has. */
typedef struct {
	int r, n, i, e;
} cuda_extent;

/* Texts that stand for r, n, i, e: a counter, a number, or a sum of both. */
typedef struct {
	const char *r, *n, *i, *e;
} cuda_counters;

/* Where a thread finds in one register tile the element at its place in another. */
typedef struct {
	bool found;
	cuda_index r, n, i, e;
} cuda_peer;

cuda_extent cuda_extent_of(const tile_program *p, const tile_frag *f);
/* The block's row (OPB: the tile's) and the column of a place. */
cuda_index cuda_row_index(const tile_program *p, const tile_frag *f);
cuda_index cuda_col_index(const tile_program *p, const tile_frag *f);
/* From places in `f` to places in `src`. */
cuda_peer cuda_peer_of(const tile_program *p, const tile_frag *src, const tile_frag *f);
/* A C expression; precedence is that of a sum unless it is one term. `limit`: what r, n, i, e stay
 * below. */
void cuda_index_put(text *t, const cuda_index *x, const cuda_counters *at, cuda_extent limit);

/* --- cuda_facts.c --- */

/* Where a register tile is declared: before statement `before` of `block`. */
typedef struct {
	const tile_block *block; /* NULL: not used */
	int before;
} cuda_home;

typedef struct {
	bool *frag_read;          /* [frag id] */
	bool *var_set, *var_used; /* [var id] */
	cuda_home *home;          /* [frag id] */
	const tile_expr **same;   /* [expr id]: the first node of the same structure */
	bool *rounded;            /* [expr id]: a product that must not be fused with a sum */
	bool *from_data;          /* [expr id]: an integer that may overflow */
} cuda_facts;

void cuda_facts_find(const tile_program *p, arena *a, cuda_facts *facts);
/* Whether nobody reads what the statement writes, and it does nothing else. */
bool cuda_dead(const cuda_facts *facts, const tile_stmt *s);
/* Calls fn for each value of one statement, slices and regions included, without its body. */
typedef void cuda_value_fn(void *user, const tile_expr *x);
void cuda_stmt_values(const tile_stmt *s, cuda_value_fn *fn, void *user);

/* --- the emitter --- */

/* What ROW, COL and register-tile leaves mean: elements of `frag` at the counters, else (NULL) of a
 * region. */
typedef struct {
	const tile_frag *frag;
	cuda_counters at;
} cuda_place;

/* float name[2] holds both elements of the operand of `value`, a conversion to 16 bits. */
typedef struct {
	const tile_expr *value;
	const char *name;
} cuda_pair;

typedef struct {
	const tile_program *p;
	diags *d;
	arena *a;
	text *out;
	cuda_facts facts;
	/* names in C++ */
	const char **arg, **buffer, **bar, **frag, **var;
	const char *r, *n, *i, *e, *k, *item; /* free names of counters */
	int nested;                           /* loops of the program around the statement */
	bool uses_tid, uses_lane, uses_warp, uses_warpgroup;
	bool async;     /* the program is one for Hopper */
	bool from_spec; /* the source is the spec, and not a tile program's text */
	struct {
		int *item;
		int count, cap;
	} told;           /* lines of the spec that were quoted */
	cuda_peer **peer; /* [src id * frags + frag id]: found on first use */
	/* the statement's values */
	cuda_place place;
	uint32_t now;
	uint32_t *stamp, *uses; /* [expr id] */
	const char **local;     /* [expr id]: NULL: printed in place */
	const char **local_name;
	int locals, local_cap;
	int kept;   /* the first of local_name, which scalar statements declared in open scopes */
	bool fresh; /* nothing was written in this block yet */
	struct {
		cuda_pair *item;
		int count, cap;
	} pair;
	uint32_t walk, *visited; /* [expr id] */
	bool needs_row, needs_col;
} cuda_cx;

/* --- cuda_name.c --- */
void cuda_names_find(cuda_cx *cx);
/* `base`, or base2, base3 ...: taken neither by the program nor by a local of the statement. */
const char *cuda_local_name(cuda_cx *cx, const char *base);

/* --- cuda_line.c --- */
/* One line of code; what goes past column 100 is continued on lines of its own. */
void cuda_line(cuda_cx *cx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A comment of whole lines. */
void cuda_comment(cuda_cx *cx, const char *s);
/* Code, padded with blanks perhaps, and a comment after it, or before where the line would be too
 * long. */
void cuda_line_with(cuda_cx *cx, const char *code, const char *comment);

/* --- cuda_local.c --- */
/* Begins a statement: forgets locals; leaves mean elements of `place`. */
void cuda_values_begin(cuda_cx *cx, cuda_place place);
/* Counts the uses below one of the statement's values; all of them before any is printed. */
void cuda_values_count(cuda_cx *cx, const tile_expr *x);
/* Whether x has locals that are to be declared; or it or others of the statement, row and col. */
bool cuda_values_need_locals(cuda_cx *cx, const tile_expr *x);
bool cuda_values_need_lines(cuda_cx *cx, const tile_expr *x);
/* Writes the declarations of locals that x needs and that were not written yet. */
void cuda_values_lines(cuda_cx *cx, const tile_expr *x);
/* The local that holds x; NULL: x is printed in place. */
const char *cuda_local_of(cuda_cx *cx, const tile_expr *x);

/* --- cuda_value.c --- */
/* What a local is called that holds the result of an operation. */
const char *cuda_noun(tile_expr_op op);
/* Appends x where operators of at least `level` bind without parentheses. */
enum {
	LEVEL_ANY,
	LEVEL_OR = 2,
	LEVEL_AND,
	LEVEL_BIT_OR,
	LEVEL_XOR,
	LEVEL_BIT_AND,
	LEVEL_EQUAL,
	LEVEL_LESS,
	LEVEL_SHIFT,
	LEVEL_SUM,
	LEVEL_PRODUCT,
	LEVEL_UNARY,
	LEVEL_POSTFIX
};
void cuda_value_put(cuda_cx *cx, text *t, const tile_expr *x, int level);
const char *cuda_value(cuda_cx *cx, const tile_expr *x, int level);
/* "x + rest" where x is no constant 0; rest may be NULL or "0". */
const char *cuda_sum(cuda_cx *cx, const tile_expr *x, const char *rest);
/* x / n for values made of multiples of n. */
const char *cuda_quotient(cuda_cx *cx, const tile_expr *x, int n);
const char *cuda_type(tile_type t);
const char *cuda_suffix(tile_type t); /* bf16, f16, tf32: the end of helpers' names */
/* Whether x reads f. */
bool cuda_reads(cuda_cx *cx, const tile_expr *x, const tile_frag *f);
const tile_expr *cuda_same(const cuda_cx *cx, const tile_expr *x);
/* printf into the arena. */
const char *cuda_text(cuda_cx *cx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- cuda_pair.c --- */
/* Both elements of a 16-bit value as one register; place.at.e stands for neither. */
void cuda_pair_put(cuda_cx *cx, text *t, const tile_expr *x);
/* Finds the conversions in x that take more than an expression; whether there are any. */
bool cuda_pair_needs_lines(cuda_cx *cx, const tile_expr *x);
/* Writes loops over e that compute them. */
void cuda_pair_lines(cuda_cx *cx);

/* --- cuda_place.c --- */
/* The places of a slice, with counters for what has more than one value. */
cuda_place cuda_place_of(cuda_cx *cx, const tile_slice *s);
/* first / cell + counter: the first cell of a slice and the counter of its `count` cells. */
const char *cuda_cell(
	cuda_cx *cx, const tile_expr *first, int cell, const char *counter, int count);
/* The statement's register of `f` at r, n, i; NULL i: the array of a cell's registers. */
const char *cuda_register(
	cuda_cx *cx, const tile_frag *f, const char *r, const char *n, const char *i);
/* The register of src that holds the statement's element, and which of its elements that is. */
const char *cuda_peer_register(cuda_cx *cx, const tile_frag *src, const char **element);
/* The dimensions of a register tile's array: "[4][8][2]". */
const char *cuda_dimensions(cuda_cx *cx, const tile_frag *f);
const char *cuda_index_text(cuda_cx *cx, const cuda_index *x, const tile_frag *f);
/* "#pragma unroll" and the head of a loop from 0; then its end. */
void cuda_loop(cuda_cx *cx, const char *counter, int count, int step, bool braces);
void cuda_loop_end(cuda_cx *cx, bool braces);
/* Loops over the places of a slice; braces: several statements are inside. */
void cuda_loops(cuda_cx *cx, const tile_slice *s, bool braces);
void cuda_loops_end(cuda_cx *cx, const tile_slice *s, bool braces);
/* Declares row and col where the statement's values read them. */
void cuda_place_lines(cuda_cx *cx);

/* --- cuda_block.c --- */
/* "spec:N  the line", once for each line of the spec; then NULL. Without the spec only "spec:N". */
const char *cuda_quote(cuda_cx *cx, loc at, int line);
bool cuda_unquoted(const cuda_cx *cx, int line);
void cuda_block(cuda_cx *cx, const tile_block *b);
/* --- cuda_map.c, cuda_shared.c: one function per statement --- */
/* "buffer(slot, row, col)" for (row, col) of a region. */
const char *cuda_shared_element(
	cuda_cx *cx, const tile_region *r, const char *row, const char *col);
/* "buffer.method(slot, row, col)" for (row, col) of a region. */
const char *cuda_shared_method(
	cuda_cx *cx, const tile_region *r, const char *method, const char *row, const char *col);
typedef void cuda_stmt_fn(cuda_cx *cx, const tile_stmt *s);
cuda_stmt_fn cuda_any, cuda_store;
/* How many statements from `at` on are written as one nest of loops: MAP, REDUCE and QUAD over the
 * same elements, where each reads what the others write at its own element only. */
int cuda_fuse(cuda_cx *cx, const tile_block *b, int at);
/* The loops of n such statements. */
void cuda_walk(cuda_cx *cx, tile_stmt *const *s, int n);
cuda_stmt_fn cuda_fill, cuda_copy, cuda_matrix, cuda_matrix_rows, cuda_load_plain, cuda_mma,
	cuda_store_shared, cuda_store_rows;

/* --- cuda_async.c --- */
/* Whether the program needs trikl_hopper.h. */
bool cuda_is_async(const tile_program *p);
/* The functions of the products that the program has. */
void cuda_wgmma_functions(cuda_cx *cx);
cuda_stmt_fn cuda_bar_init, cuda_bar, cuda_count, cuda_numbered, cuda_fence_async, cuda_tma_load,
	cuda_wgmma, cuda_wgmma_order;
