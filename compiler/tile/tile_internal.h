/* tile_internal.h: what the files of this layer share. */
#pragma once
#include "tile/tile.h"

/* --- build.c --- */

typedef enum {
	NAME_NONE,
	NAME_RESERVED,
	NAME_POISON,
	NAME_ARG,
	NAME_BUFFER,
	NAME_BAR,
	NAME_FRAG,
	NAME_VAR
} tile_name_kind;

/* What a name stands for; `thing` is the tile_arg, tile_buffer, tile_mbar, tile_frag or
 * tile_var. */
typedef struct {
	const char *name;
	tile_name_kind kind;
	void *thing;
} tile_name;

/* NULL: free. */
const tile_name *tile_name_find(const tile_program *p, const char *name, size_t len);
/* A variable under a name that is free or becomes so. */
tile_var *tile_var_create(tile_program *p, const char *name, tile_type type, bool constant);
/* A statement without operands at the end of the open block; bodies open with tile_enter. */
tile_stmt *tile_append(tile_program *p, loc at, tile_opcode op);
void tile_enter(tile_program *p, tile_stmt *s);
/* How many bodies are open; whether the innermost one may have an else. */
int tile_flow_depth(const tile_program *p);
bool tile_can_else(const tile_program *p);
/* Marks a free name as one whose definition went wrong. */
void tile_name_poison(tile_program *p, const char *name);

/* --- value.c --- */

/* An operation on operands of the right types (check.c), folded. `to` is the type of CVT, BITS. */
tile_expr *tx_make(
	tile_program *p, tile_expr_op op, tile_type to, tile_expr *x, tile_expr *y, tile_expr *z);
/* Widens i32 operands that stand beside i64 ones. */
void tx_widen(tile_program *p, tile_expr_op op, tile_expr **x, tile_expr **y, tile_expr **z);

/* --- print.c --- */

/* Precedence of an infix operation in the text form, 1 loosest; 0: written as a call. */
int tile_precedence(tile_expr_op op);
/* One statement without its body, on one line. */
void tile_print_stmt(const tile_program *p, const tile_stmt *s, text *out);

/* --- lex.c --- */

typedef enum {
	TOKEN_END,
	TOKEN_LINE,
	TOKEN_WORD,
	TOKEN_INT,
	TOKEN_FLOAT,
	TOKEN_SHARED,
	TOKEN_MARK,
	TOKEN_BAD
} tile_token_kind;

typedef struct {
	tile_token_kind kind;
	loc at;
	uint64_t i;  /* INT, SHARED ($n); saturates */
	bool wide;   /* INT with i64 */
	double f;    /* FLOAT */
	loc comment; /* LINE: the text after its ';', blanks trimmed */
} tile_token;

/* The token that begins at or after `from`. Blanks are skipped, lines are tokens. */
tile_token tile_lex(const source *src, uint32_t from);
/* Whether the token's text is `s`. */
bool tile_token_is(const source *src, const tile_token *t, const char *s);

/* --- check.c --- */

/* Appends to `why`; returns false. */
bool tile_check_no(text *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Operand types of one operation. False: `why` says what is wrong. */
bool tile_check_expr(tile_expr_op op, tile_type to, const tile_expr *x, const tile_expr *y,
	const tile_expr *z, text *why);
bool tile_check_arg(const tile_arg *a, text *why);
bool tile_check_frag(const tile_program *p, const tile_frag *f, text *why);
bool tile_check_buffer(const tile_buffer *b, text *why);
bool tile_check_bar(const tile_mbar *b, text *why);

/* Marks of the nodes already visited, for walks over graphs: stamp[id] == now. */
typedef struct {
	const tile_program *p;
	arena *arena;
	uint32_t *stamp, size, now;
} tile_walk;

/* Begins a new walk; then tile_walk_first says whether a node is met for the first time. */
void tile_walk_begin(tile_walk *w);
bool tile_walk_first(tile_walk *w, const tile_expr *x);
/* Operand types, shapes and layouts of one statement, without its body. */
bool tile_check_stmt(tile_walk *w, const tile_stmt *s, text *why);
/* A value at no element of a domain, of type `want`. */
bool tile_check_plain(
	tile_walk *w, const tile_expr *x, tile_type want, const char *what, text *why);

/* --- check_async.c --- */

/* The part of tile_check_stmt for mbarriers, TMA and WGMMA. */
bool tile_check_async(tile_walk *w, const tile_stmt *s, text *why);

/* --- verify.c --- */

/* Register tiles that the statement itself reads, as digits of operands; whether its first operand
 * is a tile that it writes. */
const char *tile_stmt_reads(const tile_stmt *s);
bool tile_stmt_writes(tile_opcode op);
/* Appends "in 'statement': ", nothing for NULL. */
void tile_verify_where(const tile_program *p, const tile_stmt *s, text *why);

/* --- range.c --- */

/* What is known of an integer: low <= x <= high (INT64_MIN, INT64_MAX: nothing), and
 * x = phase + n * step for some n; step 0: x is the constant `phase`. */
typedef struct {
	int64_t low, high, step, phase;
} tile_range;

typedef struct {
	const tile_program *p;
	tile_range *var;  /* [variable id] */
	tile_range *memo; /* [expr id], where `known` */
	bool *known;
} tile_ranges;

/* Ranges of every variable of a program whose variables are defined before they are used. */
tile_ranges tile_ranges_find(const tile_program *p, arena *scratch);
tile_range tile_range_of(tile_ranges *r, const tile_expr *x);
/* Whether x is certainly a multiple of n. */
bool tile_range_divisible(tile_range x, int64_t n);

/* --- flight.c --- */

/* Registers of products that are still in flight are not touched; products stand behind a fence. */
bool tile_verify_flight(const tile_program *p, tile_ranges *ranges, arena *scratch, text *why);
