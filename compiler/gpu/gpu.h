/* gpu.h: from row form to a tile program.
 *
 *   plan.c       row form + architecture + schedule -> rows, key tile, resident keys, slots, warps
 *   choice.c     sizes chosen by trying: the settings of a schedule, as data and as text
 *   candidates.c plans worth trying
 *   variant.c    which plan suits how many query heads a key head
 *   value.c      checked expressions -> tile values
 *   window.c     rows of a block, the block's union of their windows
 *   walk.c       outer positions of rows, the keys that each row sees
 *   stage.c      row operands and outer positions in shared memory
 *   rowsum.c     sums inside computed keys and rows, once for each
 *   operand.c    shared tiles of keys and values, register tiles of rows
 *   scale.c      what A is a product of, and where a linear score is scaled
 *   build.c      A, c and Gv at an outer position
 *   product.c    S = A B and W += P V in 16-bit operands, or in three tf32 products for f32
 *   score.c      f, window and mask; running maximum and sum; rescaling
 *   exact.c      values that are NaN or infinite reach only the rows that see them
 *   lower.c      the loop nest: plan -> tile program
 *   epilogue.c   sums -> outputs
 *   hopper*.c    the same nest for warpgroups and TMA: hopper_internal.h
 *
 * The program (all families):
 *   rows of a block = consecutive numbers of (query position, head of the group), heads fastest
 *   for each block of resident keys, from the first one that a row sees:
 *     B and V tiles -> shared memory (copies overlap the block before)
 *     for each outer tuple in the rows' windows:  A = a(row, outer), c   (mma: from shared memory)
 *       for each key tile:  S = A B;  s = f(S + c), -inf outside;  P = 2^(s - m);  W += P V
 *       O += Gv(outer) * W                           (order 1: W is O itself)
 *   a NaN in O: all again, so that what a row does not see never reaches it
 *   O / l, R, residuals, stores; lse
 * Where O is wider than registers hold, all of that is done once for each part of its columns. */
#pragma once
#include "model/model.h"
#include "tile/tile.h"

/* The instructions that a kernel is built on. */
typedef enum {
	GPU_MMA,  /* mma.sync and cp.async: sm_80 and newer */
	GPU_WGMMA /* wgmma and TMA: sm_90a; copied tensors must suit a tensor map */
} gpu_family;

#define GPU_CHOICES 8

/* Settings that were found by trying (`trikl tune`) and not written in a schedule. */
typedef struct {
	sema_setting item[GPU_CHOICES];
	int count;
	const char *device; /* where they were the fastest, for people; NULL: they are only tried */
	int heads_least, heads_most; /* of a variant, as in gpu_plan; else 0 */
} gpu_choice;

/* What was decided, with the reason for each choice (`explain`, --emit plan). */
typedef struct {
	const row_form *form;
	const gpu_choice *choice; /* NULL: none */
	const char *target;
	gpu_family family;
	/* operands of A B and of P V: bf16, f16, or f32 (three products of tf32) */
	tile_type operand, value_operand;
	int warps, rows; /* rows = 16 * warps */
	int key_tile;    /* keys of one score tile */
	int resident;    /* keys in shared memory at a time, a multiple of key_tile */
	int slots;       /* 2: the next block is copied while this one is used */
	int stage;       /* outer positions in shared memory at a time; 0: read from global */
	bool a_late;     /* A is made at each product, a few columns at a time: needs rows_shared */
	bool rows_shared; /* row operands stay in shared memory, else in registers */
	int load;         /* wgmma: keys of one TMA tile */
	int chunk;        /* wgmma: outer vectors in shared memory at a time */
	/* wgmma: so many groups of warps have the same rows / split rows; each takes every split-th
	 * position of the last outer axis, and their sums are added at the end */
	int split;
	/* wgmma: a row walks over the last outer axis from its own first position on, so that no row
	 * meets positions outside its window; else all rows of a block meet the same position */
	bool own;
	/* wgmma: row operands stay in shared memory and are read again for A of each outer position, so
	 * that no registers hold them in between */
	bool rows_again;
	bool rows_through; /* wgmma: rows on their way to registers pass through the values' memory */
	/* The numbers of query heads a key head (H/G) for which another plan is no faster; 0: no
	 * bound. The program is right for any number. */
	int heads_least, heads_most;
	int d_offset[MODEL_MAX_SEGMENTS],
		d_pad; /* first column of each segment; all, each padded to 16 */
	int e_total;   /* value features of all outputs, each padded to 16 */
	int e_offset[MODEL_MAX_OUTPUTS], e_extent[MODEL_MAX_OUTPUTS];
	/* value features that fit registers at a time: the keys are walked over once for each; 0: all
	 */
	int e_part;
	int64_t shared_bytes;
	int registers; /* estimated per thread */
	model_streams streams;
	text why; /* one line a decision */
} gpu_plan;

/* Chooses sizes; the spec's schedule settings for the target override, then those of `choice`, which
 * may be NULL. False: a diagnostic names the resource, needed and available, and the nearest legal
 * value. */
bool gpu_plan_make(
	const row_form *m, const char *target, const gpu_choice *choice, gpu_plan *plan, diags *d);
void gpu_plan_print(const gpu_plan *plan, text *out);

/* All sizes of a plan, as the settings that would give it. */
gpu_choice gpu_choice_of(const gpu_plan *plan);
/* "rows = 64, warps = 4, tile k = 64, resident k = 256, stages = 1": what a schedule block would say;
 * behind it "split = 2" and "walk = rows" where a plan has them. */
void gpu_choice_print(const gpu_choice *c, text *out);
/* The reverse; false: not settings of this form. */
bool gpu_choice_parse(const row_form *m, const char *from, gpu_choice *c);
/* Up to `most` different plans that keep to the spec's schedule: the planner's own for so many query
 * heads a key head first (0: any), then its own for others, then more in the order of their estimated
 * time. The number of them; 0: there is no plan, reported. */
int gpu_candidates(arena *a, const row_form *m, const char *target, int64_t heads, gpu_choice *list,
	int most, diags *d);

#define GPU_VARIANTS 2

/* The planner's plans for few heads a group, beside its plan without choice, which is for the others:
 * their settings and ranges, the most heads first. 0 where one plan suits all: no wgmma, no outer
 * axes, no groups, or a schedule that sets rows, split or walk. */
int gpu_variants(const row_form *m, const char *target, gpu_choice list[GPU_VARIANTS]);
/* The one of them for so many heads; false: the plan without choice is the right one. */
bool gpu_variant(const row_form *m, const char *target, int64_t heads, gpu_choice *choice);

/* Kernel arguments in order: tensors (bases), then for each tensor the strides of all but its last
 * dimension (i64, elements), lengths (i32), params (i32 or f32), then `aligned` (i32: 1 when bases
 * and strides of copied operands and results are multiples of 16 bytes) and `wanted` (i32, bit n:
 * output n is computed). Grid: x alone, ceil(N * H/G / rows) for each of batch coordinates * G, the
 * blocks of rows fastest, then G. */
tile_program *gpu_lower(arena *a, const gpu_plan *plan, diags *d);
/* Whether results for the tensor leave by 16-byte stores where `aligned` allows: it counts as one of
 * the copied operands. */
bool gpu_stores_rows(const gpu_plan *plan, const sema_tensor *t);
