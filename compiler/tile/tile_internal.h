/* tile_internal.h: what the files of this layer share. */
#pragma once
#include "tile/tile.h"

/* --- build.c --- */

typedef enum {
	NAME_NONE,
	NAME_RESERVED,
	NAME_ARG,
	NAME_BUFFER,
	NAME_FRAG,
	NAME_VAR
} tile_name_kind;

/* What a name stands for; `thing` is the tile_arg, tile_buffer, tile_frag or tile_var. */
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

/* --- value.c --- */

/* An operation on operands of the right types (check.c), folded. `to` is the type of CVT, BITS. */
tile_expr *tx_make(
	tile_program *p, tile_expr_op op, tile_type to, tile_expr *x, tile_expr *y, tile_expr *z);
/* Widens i32 operands that stand beside i64 ones. */
void tx_widen(tile_program *p, tile_expr_op op, tile_expr **x, tile_expr **y, tile_expr **z);

/* --- check.c --- */

/* Operand types of one operation. False: `why` says what is wrong. */
bool tile_check_expr(tile_expr_op op, tile_type to, const tile_expr *x, const tile_expr *y,
	const tile_expr *z, text *why);
bool tile_check_frag(const tile_program *p, const tile_frag *f, text *why);
bool tile_check_buffer(const tile_buffer *b, text *why);
/* Types, shapes and layouts of one statement, without its body. */
bool tile_check_stmt(const tile_program *p, const tile_stmt *s, text *why);

/* --- range.c --- */

/* low <= value <= high where known (else INT64_MIN, INT64_MAX), value = low_known + n * step ... :
 * value % step == phase. step 0: exactly `phase`. */
typedef struct {
	int64_t low, high, step, phase;
} tile_range;

/* What is known of every variable, indexed by id; built once for a program. */
typedef struct {
	const tile_program *p;
	tile_range *var;
} tile_ranges;

tile_ranges tile_ranges_find(const tile_program *p, arena *scratch);
tile_range tile_range_of(const tile_ranges *r, const tile_expr *x);
/* Whether x is divisible by n, as far as is known. */
bool tile_divisible(const tile_ranges *r, const tile_expr *x, int64_t n);
