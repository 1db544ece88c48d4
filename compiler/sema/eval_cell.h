/* eval_cell.h: inside the reference interpreter (eval*.c only).
 *
 * eval_compile.c turns expressions into a graph of cells. A cell is one expression in one mode: its
 * value is a scalar, or an array over the lanes of one feature axis. Every worker thread has its
 * own value and stamp for each cell.
 *
 * Memory of values: each coordinate carries the time at which it last changed, each value the time
 * at which it was computed; a value is current while no coordinate that it reads is younger. So a
 * definition is evaluated once per tuple, and what depends on the row only once per row, without
 * any analysis of loops.
 *
 *   eval_compile.c  expressions -> cells
 *   eval_ops.c      elementwise operations, where
 *   eval_load.c     tensor elements in and out, data type conversions
 *   eval_reduce.c   key loops, reductions, softmax
 *   eval_cost.c     eval_estimate
 *   eval.c          rows, threads, eval_int */
#pragma once
#include "sema/sema.h"
#include <setjmp.h>

typedef union {
	double f;  /* FLOAT       */
	int64_t i; /* INT and BOOL */
} eval_value;

typedef struct eval_cell eval_cell;
typedef struct eval_worker eval_worker;

/* Writes the current lanes of the value (out[0] of a scalar). */
typedef void (*eval_fn)(eval_worker *w, const eval_cell *c, eval_value *out);

/* The loops over a set of key axes. mask[mask_end[l-1] .. mask_end[l]) become decidable when l axes
 * are bound. */
typedef struct {
	int axes;
	const sema_axis *axis[SEMA_MAX_KEYS]; /* outermost first, in declared order */
	int64_t length[SEMA_MAX_KEYS];
	const eval_cell *first[SEMA_MAX_KEYS], *last[SEMA_MAX_KEYS]; /* NULL: unbounded */
	const eval_cell **mask;
	int mask_end[SEMA_MAX_KEYS + 1];
} eval_keys;

/* A tensor element; subscript r must lie in [0, size[r]). */
typedef struct {
	const char *data;
	sema_dtype dtype;
	int rank;
	int64_t size[SEMA_MAX_RANK], stride[SEMA_MAX_RANK];
	bool check[SEMA_MAX_RANK]; /* the subscript may be out of range */
	int unit;                  /* vector: the one subscript that is the lane itself; -1: none */
} eval_load;

struct eval_cell {
	const expr *e;
	eval_fn eval;
	expr_type type;
	const sema_axis *lanes; /* NULL: scalar */
	uint32_t id;
	size_t slot;    /* of the value, in eval_worker.value */
	int deps;       /* axes whose coordinates are read (never `lanes`) */
	const int *dep; /* youngest to oldest in a loop nest: keys first */
	bool total;     /* cannot be out of range */
	bool binds;     /* moves coordinates while it is evaluated */
	const eval_cell **arg;
	int args;
	const eval_load *load;
	const eval_keys *keys; /* reduction over keys, normaliser */
};

typedef struct {
	uint64_t time;     /* 0: never computed */
	int64_t low, high; /* lanes computed */
} eval_stamp;

/* A compiled spec: everything that the workers share. */
typedef struct {
	const eval_args *args;
	arena *arena;
	uint32_t cells;
	size_t values;
	const eval_cell *
		*output; /* [tensors]; NULL for inputs and for outputs that are not wanted */
	const sema_axis *row[SEMA_MAX_AXES]; /* ROW axes in spec order, then QUERY */
	int64_t row_length[SEMA_MAX_AXES];
	int rows;
} eval_program;

struct eval_worker {
	const eval_program *program;
	eval_value *value;
	eval_stamp *stamp; /* [cells] */
	int64_t *coord;    /* [axes]  */
	uint64_t *moved;   /* [axes] time of the coordinate's last change */
	uint64_t now;
	int64_t low, high; /* current lanes */
	int64_t row;       /* number of the current row */
	int64_t position;  /* of the row among those that were asked for */
	bool failed;
	bool broken;       /* failed by a bug of ours, not by the input */
	bool exhausted;    /* failed for want of memory */
	char message[320]; /* valid when failed */
	jmp_buf back;      /* out of a bug, on threads of the pool */
};

/* --- eval_compile.c --- */

/* Cells of every output, or of those that have data. */
eval_program *eval_compile(arena *a, const eval_args *args, bool every_output);

/* --- eval.c --- */

/* The current value of a cell, computed when it is out of date. Valid until a cell that binds is
 * evaluated. */
const eval_value *eval_fetch(eval_worker *w, const eval_cell *c);
/* Two values at once: both are current, also when evaluating one moved coordinates that the other
 * reads. */
void eval_fetch_both(eval_worker *w, const eval_cell *x, const eval_cell *y, const eval_value **vx,
	const eval_value **vy);
void eval_move(eval_worker *w, const sema_axis *axis, int64_t coord);

/* --- eval_ops.c --- */

/* The function that evaluates an arithmetic, comparison or logic operation; constants and
 * coordinates too. */
eval_fn eval_op_function(const expr *e);
/* Floor division and modulus of the language: by zero gives 0. */
int64_t eval_int_divide(int64_t x, int64_t y);
int64_t eval_int_modulo(int64_t x, int64_t y);

/* --- eval_load.c --- */

void eval_load_element(eval_worker *w, const eval_cell *c, eval_value *out);
/* Stores one value, rounded to nearest even, at element `offset`. */
void eval_store(const eval_tensor *t, int64_t offset, eval_value v, expr_type type);

/* --- eval_reduce.c --- */

void eval_reduce_features(eval_worker *w, const eval_cell *c, eval_value *out);
void eval_reduce_lanewise(eval_worker *w, const eval_cell *c, eval_value *out);
void eval_reduce_keys(eval_worker *w, const eval_cell *c, eval_value *out);
/* Maximum and scaled sum of exponentials of a softmax: n lanes of each, the sums after the maxima.
 */
void eval_normaliser(eval_worker *w, const eval_cell *c, eval_value *out);
void eval_softmax(eval_worker *w, const eval_cell *c, eval_value *out);
void eval_logsumexp(eval_worker *w, const eval_cell *c, eval_value *out);
