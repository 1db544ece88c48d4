/* gpu_internal.h: the state that the files of the lowering share. */
#pragma once
#include "gpu/gpu.h"

typedef tile_expr *X;

#define GPU_MAX_SUMS 8

/* Coordinates and replacements under which a checked expression becomes a tile value. */
typedef struct {
	X *coord;                      /* [axes]: i32, NULL where unknown */
	X dot;                         /* EXPR_DOT */
	X stream[MODEL_MAX_STREAMS];   /* values that stand for streams; NULL: compute */
	const expr *sum[GPU_MAX_SUMS]; /* sums over features that are already in a register tile */
	X sum_value[GPU_MAX_SUMS];
	int sums;
} gpu_env;

typedef struct gpu_cx gpu_cx;

struct gpu_cx {
	const gpu_plan *plan;
	const row_form *m;
	const sema_spec *s;
	tile_program *p;
	diags *d;
	tile_arg **tensor, *(*stride)[SEMA_MAX_RANK], **length, **param, *aligned, *wanted;
	X *base_coord; /* [axes]: ROW and GROUP coordinates that the block fixes */
	/* block */
	X heads;      /* rows per query position: H / G */
	X first_head; /* head of the group's first row */
	X row0;       /* number of the block's first row */
	X rows_total; /* N * heads */
	/* per row */
	tile_frag *row_i, *row_h, *row_first, *row_last, *m_max, *l_sum;
	tile_buffer *row_words; /* see gpu_keep_rows; NULL: nothing is kept */
	tile_frag *outer_first[SEMA_MAX_KEYS], *outer_last[SEMA_MAX_KEYS];
	/* union and intersection of windows over the block: inner then outer axes */
	X low[SEMA_MAX_KEYS], high[SEMA_MAX_KEYS]; /* any row sees [low, high] */
	X full_low[SEMA_MAX_KEYS],
		full_high[SEMA_MAX_KEYS]; /* every row sees [full_low, full_high] */
	X warp_i0, warp_i1;               /* positions of a warp's rows, with outer axes */
	/* operands */
	tile_buffer *b, *v;
	tile_buffer *rows[MODEL_MAX_STREAMS], *stage[MODEL_MAX_STREAMS]; /* see stage.c */
	tile_buffer *row_sums; /* see rowsum.c; NULL: no vector needs them */
	/* A stream that has no register tile, at a feature; NULL: there are none */
	X (*stream_at)(gpu_cx *g, int s, X feature);
	void *user;
	/* Where rows of an output meet on their way out in 16-byte stores, so many columns at a time;
	 * NULL: every element is stored by itself. */
	tile_buffer *results[MODEL_MAX_OUTPUTS];
	X stage0[SEMA_MAX_KEYS]; /* first staged position of each outer axis */
	tile_frag
		*stream[MODEL_MAX_STREAMS]; /* of A: row streams OPA, outer streams COLV over OPA */
	tile_frag *gv[MODEL_MAX_OUTPUTS];
	tile_frag *a[MODEL_MAX_SEGMENTS];    /* OPA; a row stream itself where A is one */
	tile_frag *rest[MODEL_MAX_SEGMENTS]; /* A minus what `a` holds of it, or NULL */
	tile_frag *c, *score, *weight, *sum,
		*out;           /* sum: W of this outer step; out: O (the same for order 1) */
	X outer[SEMA_MAX_KEYS]; /* current outer coordinates, where a tensor may be read */
	/* Where rows walk on their own (plan->own), on the last outer axis: `outer_step` counts
	 * positions from each row's first one, low, high, full_low and full_high of the axis are
	 * such numbers, and `outer_at` is the row's coordinate, which may lie outside of the axis. Where
	 * warps take turns (plan->split) both are the coordinate, which may lie beyond the last one.
	 * Else both are NULL. */
	X outer_step, outer_at;
	X walk_first;      /* the block's first row's first position */
	X i0;              /* that row's position */
	int part, columns; /* of the value columns, and how many it has */
	/* exact.c */
	X pass;           /* 0, then 1 where a sum became NaN; NULL: rows of a block see the same */
	tile_var *summed; /* b1: W of this outer step holds something */
};

/* What a part of the value columns holds of an output. */
typedef struct {
	int first, features; /* of the output's */
	int col, cols;       /* of the tiles, padded to 16 */
} gpu_part;

/* Where a tile's values lie. `value`: that of its key `column` at a column of O, times Gv. */
typedef struct gpu_values {
	X (*value)(gpu_cx *g, const struct gpu_values *of, int output, X column);
	X slot, row; /* the tile's buffer and first row */
	void *user;
} gpu_values;

/* --- plan.c --- */
/* The spec's setting for the plan's target, or NULL; a line of the plan's reasons. */
const sema_setting *gpu_setting(const gpu_plan *p, const char *key);
void gpu_because(gpu_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* --- hopper.c --- */
tile_program *gpu_hopper_lower(arena *a, const gpu_plan *plan, diags *d);
/* --- value.c --- */
void gpu_env_init(gpu_cx *g, gpu_env *e);          /* with the block's coordinates */
X gpu_value(gpu_cx *g, gpu_env *e, const expr *x); /* i32, i64, f32 or b1 */
X gpu_float(gpu_cx *g, gpu_env *e, const expr *x); /* f32 */
X gpu_offset(gpu_cx *g, const sema_tensor *t,
	X *sub); /* i64 elements from subscripts; NULL ones are left out */
/* --- lower.c --- */
tile_type gpu_stored_type(sema_dtype t);
void gpu_declare_arguments(gpu_cx *g);
void gpu_start_sums(gpu_cx *g); /* m, l, O and W before the first key */
/* How many blocks: of rows, for each key head and batch entry. */
const char *gpu_grid(const gpu_cx *g);
/* --- epilogue.c --- */
void gpu_epilogue(gpu_cx *g); /* results of O, l and m to the outputs */
/* Results go through this memory: once a warp has come to the epilogue, nothing is on its way to it,
 * and no other warp reads it any more. */
void gpu_results_declare(gpu_cx *g, tile_buffer *memory);
/* --- variant.c --- */
void gpu_plan_heads(gpu_plan *p); /* sets the range of heads of a wgmma plan */
/* --- window.c --- */
int gpu_block_row_count(const gpu_plan *p); /* different rows of a block: plan->rows / split */
X gpu_row_number(gpu_cx *g);                /* its number, of the last row past the end */
X gpu_row_in_block(gpu_cx *g);              /* of the current element of a register tile */
void gpu_block_rows(gpu_cx *g);
void gpu_windows(gpu_cx *g);
/* Least and greatest key that some row of this warp sees. */
void gpu_warp_window(gpu_cx *g, const sema_axis *key, X *low, X *high);
/* The position and head of each row (row_i, row_h). */
void gpu_row_positions(gpu_cx *g);
void gpu_row_heads(gpu_cx *g);
/* --- walk.c --- */
/* Whether the last outer axis has a window that moves with the query: first and last key are i and
 * something that no row changes. */
bool gpu_can_walk(const row_form *m);
/* Sets outer, outer_step and outer_at for that many positions from each row's first one on. */
void gpu_walk_to(gpu_cx *g, X step);
/* The same to a position that may lie behind the last one. */
void gpu_outer_to(gpu_cx *g, X at);
/* Whether each row is at its own position of that outer axis. */
bool gpu_is_walked(const gpu_plan *p, int o);
/* Keeps positions and windows of all rows in shared memory from then on (visible behind a barrier), for
 * gpu_row_windows, which otherwise computes them at each place. */
void gpu_keep_rows(gpu_cx *g);
int gpu_kept_words(const row_form *m); /* 32-bit words of a row */
/* The first and last key that each row sees (row_first, row_last), where a tile is seen in part, so that
 * no register holds them in between. Rows that do not see the current outer positions see no key. */
void gpu_row_windows(gpu_cx *g);
/* --- operand.c --- */
void gpu_operands(gpu_cx *g); /* declares buffers and register tiles */
int gpu_parts(const gpu_plan *p);
void gpu_part_begin(gpu_cx *g, int part); /* declares the sums of its columns, clears the padding */
bool gpu_output_part(const gpu_cx *g, int output, gpu_part *part); /* false: nothing */
void gpu_load_rows(gpu_cx *g); /* row streams -> registers, once */
void gpu_load_block(gpu_cx *g, X key0, X slot);
void gpu_declare_stream(gpu_cx *g, int s); /* g->stream[s], where A uses it */
void gpu_declare_a(gpu_cx *g, int seg);
/* A plain load of the operand's own type along its last dimension: rows can be copied as they are.
 */
bool gpu_copyable(const gpu_plan *pl, const expr *x, const sema_axis *d);
/* x(key, d) for keys from `first` on, zero beyond `last`; NULL x: 1. NULL key: the block's rows. */
typedef struct {
	const expr *x;
	const sema_axis *key, *d;
	X first, last;
	int feature, features; /* the first of d's and how many; 0: all */
} gpu_vectors;

/* Into columns [col, col + extent of d) of all rows of `slot`, by copies where they are aligned. */
void gpu_load_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v);
/* The feature that a column of a padded operand stands for; v there, 0 in the padding. */
X gpu_feature_of(gpu_cx *g, X column, int64_t extent);
X gpu_padded(gpu_cx *g, X column, int64_t extent, X v);
/* --- scale.c --- */
/* A product of streams that is computed in the operands' own type: one of two 16-bit numbers is
 * rounded once, more are multiplied in f32. */
bool gpu_is_product(const gpu_plan *p, const expr *x);
/* Whether A of a segment is the sum of two 16-bit operands, g->a and g->rest. */
bool gpu_in_two_parts(const gpu_plan *p, int seg);
/* The outer stream of A = row stream * outer stream; -1: A is something else. */
int gpu_outer_factor(const gpu_plan *p, const expr *a);
double gpu_linear_scale(const row_form *m); /* in log2 units for a softmax; 1 unless f is linear */
/* A linear score's scale is applied to the f32 scores, so that A = q stays exact; a scale that is
 * not positive, and one of the wgmma family where A is no product, goes into A and c instead. Softmax scores are
 * in log2 units after it. */
double gpu_a_scale(const gpu_cx *g);
double gpu_c_scale(const gpu_cx *g);
double gpu_score_scale(const gpu_cx *g);
/* wgmma: where A = row stream * outer stream, A is made with that scale, rounded once. Its power of two is
 * in the rows from the start and costs nothing; what is left of it, 1 + g, is in the product:
 * q k (1 + g) = fma(q, k, q (k g)), in which what rounding does to the small part is small. */
double gpu_product_scale(const gpu_cx *g);
double gpu_row_scale(const gpu_cx *g); /* its power of two */
/* --- build.c --- */
void gpu_build_a(gpu_cx *g);        /* A and c at g->outer */
void gpu_build_segments(gpu_cx *g); /* A, from streams already in registers */
void gpu_build_c(gpu_cx *g);
/* The product of a row stream's and an outer stream's values in the operands' own type, scaled. */
X gpu_scaled_product(gpu_cx *g, X row, X outer);
/* Columns [k, k + cols) of A from rows in shared memory. */
void gpu_build_columns(gpu_cx *g, int seg, X k, int cols);
void gpu_add_step(gpu_cx *g); /* O += Gv(outer) * W, W = 0 */
/* Gv at the current outer position and a column of O; NULL: 1. */
X gpu_outer_value(gpu_cx *g, int output);
/* --- stage.c --- */
void gpu_stage_declare(gpu_cx *g);
int64_t gpu_stage_bytes(const gpu_plan *p); /* of shared memory */
void gpu_stage_rows(gpu_cx *g);             /* once; closes a group of copies */
void gpu_stage_outer(gpu_cx *g);            /* at g->stage0, with the barriers around */
/* The staged value of a stream at the current row or outer position; NULL: it is not staged. */
X gpu_staged(gpu_cx *g, int s, X feature);
void gpu_stage_env(gpu_cx *g, gpu_env *e, const sema_axis *d, X feature);
int gpu_stage_owner(const gpu_plan *p, int s); /* the stream whose buffer holds the same vectors */
tile_type gpu_stage_type(const gpu_plan *p, int s); /* of an outer stream */
/* The row stream in shared memory that A of this segment is, or -1. */
int gpu_shared_a(const gpu_cx *g, int seg);
/* --- rowsum.c --- */
int64_t gpu_row_sums_bytes(const gpu_plan *p); /* of shared memory */
void gpu_row_sums_declare(gpu_cx *g);
/* Sums inside x(row of a region, d) that all features share: computed for `rows` rows between two
 * barriers, from then on values of `e`. */
void gpu_row_sums(gpu_cx *g, gpu_env *e, const expr *x, const sema_axis *d, int rows);
/* --- product.c --- */
void gpu_score_product(gpu_cx *g, X slot, X tile); /* S = A B */
void gpu_value_product(gpu_cx *g, X slot, X tile); /* W += P V */
/* --- score.c --- */
/* s = S where every row sees every key: nothing is left to do there. */
bool gpu_scores_are_products(const gpu_cx *g);
void gpu_scores(gpu_cx *g, X key0); /* s = f(S + c), hidden where a row does not see the key */
void gpu_weights(gpu_cx *g);        /* both of these: */
void gpu_raise(gpu_cx *g);          /* the running maximum rises where it must; rescaling */
void gpu_weigh(gpu_cx *g);          /* S -> P and its sum */
/* Whether all rows see the whole tile; whether a row sees a key, after gpu_row_windows. */
X gpu_all_seen(gpu_cx *g, X key0);
/* The same of `keys` keys. */
X gpu_keys_seen(gpu_cx *g, X key0, int keys);
X gpu_visible(gpu_cx *g, X key);
/* --- exact.c --- */
/* Whether rows of one block can see different keys. */
bool gpu_hides(const row_form *m);
/* O += P V of the score tile's weights, key by key, each to the rows that see it. */
void gpu_careful_sums(gpu_cx *g, X key0, const gpu_values *of);
void gpu_passes_begin(gpu_cx *g); /* around everything that sums */
void gpu_passes_end(gpu_cx *g);
void gpu_step_begin(gpu_cx *g); /* around an outer step */
void gpu_step_end(gpu_cx *g);
void gpu_tile_sums(gpu_cx *g, X slot, X key0, X tile); /* S -> P, W += P V */
