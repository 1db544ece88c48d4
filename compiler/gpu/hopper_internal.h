/* hopper_internal.h: the state that the files of the wgmma lowering share.
 *
 *   hopper_plan.c   whether a form fits the family, and its sizes
 *   hopper_load.c   tensor maps, key blocks through TMA, rows
 *   hopper_outer.c  outer vectors; A, Gv and O at an outer position
 *   hopper_pipe.c   the pipeline of products and softmax
 *   hopper_merge.c  sums of warps that share their rows
 *   hopper.c        the program: fast pass, check, exact pass
 *
 * A block of resident keys lies in shared memory in tiles of plan->load keys, each filled by TMA
 * and guarded by its own mbarrier. Steps walk a block from its newest keys to its oldest: step h
 * scores keys [resident - (h + 1) * key_tile, resident - h * key_tile) of it. There is no producer
 * warp: who is done with a tile has the next block's keys loaded over it. With outer axes that is
 * rare, and the last warp does it, for half a block at a time (a counter says who that is). Without,
 * it happens at every tile: each warp arrives at an mbarrier, and a step later, when the tensor cores
 * have new work, one of them waits there for the others. */
#pragma once
#include "arch/arch.h"
#include "gpu/gpu_internal.h"

/* Where the pipeline stands: at one outer position against one block. */
typedef struct {
	tile_var *outer;  /* of the chunk's outer positions; NULL without outer axes */
	tile_var *block;  /* number of the block, newest keys first */
	tile_var *base;   /* first key of the block, may be negative */
	tile_var *parity; /* of the block's load */
	tile_var *seen;   /* every row sees all keys from the base on */
	tile_var *load;   /* the block is used for the last time and another load follows */
} hopper_place;

/* A tile that this warp is done with. */
typedef struct {
	bool keys;      /* else values */
	X tile, base;   /* which; first key of the block that comes in */
	X load, parity; /* whether one does; of the warps' arrivals */
} hopper_freed;

typedef struct {
	gpu_cx *g;
	const gpu_plan *plan;
	/* shared memory */
	tile_buffer *key[MODEL_MAX_SEGMENTS], *value[MODEL_MAX_OUTPUTS];
	tile_arg *key_map[MODEL_MAX_SEGMENTS], *value_map[MODEL_MAX_OUTPUTS];
	tile_mbar *key_full, *value_full;
	tile_mbar *done;                  /* with outer axes: counters of groups of tiles */
	tile_mbar *key_done, *value_done; /* without: an mbarrier for each tile */
	hopper_freed freed[4];            /* tiles that are given back and not yet loaded again */
	int freed_count;
	int tiles;         /* of a block */
	int keys, steps;   /* of one iteration: of a block, or of a unit of the rest */
	tile_buffer *rows; /* row streams on their way to registers */
	tile_buffer *kept[MODEL_MAX_STREAMS];   /* row streams that stay, see plan->rows_again */
	tile_buffer *staged[MODEL_MAX_STREAMS]; /* outer streams: one row an outer position */
	tile_buffer *sums, *row_sums;           /* see hopper_merge.c; NULL: rows are not split */
	/* registers */
	tile_frag *s[2], *p;
	tile_frag *own_gv; /* some columns of each row's own Gv, or NULL */
	/* the loops */
	X blocks, units, all_blocks; /* whole blocks; units of the rest; loads of both */
	X loads;                     /* of this pipeline; NULL: its keys are loaded */
	X chunk0, chunk_steps;       /* first outer position of this chunk; how many */
	X more_chunks;               /* another chunk follows; NULL without outer axes */
	X place;                     /* of the current outer position in the chunk */
	X lane_row; /* where rows walk: the position of the row that this lane names */
	hopper_place at;
} hopper;

/* --- hopper_plan.c --- */
/* Sizes for the family; false: the form does not fit it, p->why says why, or a schedule for this
 * target asks for what it cannot have, which is reported. */
bool hopper_plan(gpu_plan *p, const arch *a, diags *d);
/* --- hopper_load.c --- */
int hopper_kept_cols(const model_stream *st);
void hopper_declare(hopper *h);
void hopper_barriers(hopper *h); /* initialised and visible */
/* Row streams in registers; the first block is on its way, unless base is NULL. */
void hopper_start(hopper *h, X base);
/* Loads one tile; in flow of one warp. */
void hopper_load_keys(hopper *h, X base, X tile);
void hopper_load_values(hopper *h, X base, X tile);
void hopper_load_block(hopper *h, X base); /* all tiles; block-uniform flow */
/* A stream under e at a column, zero in the padding; rows of a buffer filled with it, each under e at
 * its row: by copies where they are aligned. */
X hopper_row_value(hopper *h, const model_stream *st, gpu_env *e);
void hopper_put_rows(hopper *h, tile_buffer *b, int rows, const model_stream *st, gpu_env *e);
/* --- hopper_outer.c --- */
int hopper_staged_rows(const gpu_plan *p, const model_stream *st);
int hopper_staged_cols(const gpu_plan *p, const model_stream *st);
/* The buffer of an outer stream's vectors. */
tile_buffer *hopper_declare_staged(hopper *h, const model_stream *st, const char *name);
void hopper_streams(hopper *h); /* A may read streams that have no register tile */
void hopper_stage(hopper *h);   /* the chunk's outer vectors, visible to all */
/* A at the current outer position in parts, so that a softmax can hide the loads: rows, where they are
 * not in registers already, vectors, then those that go where A will be, then A itself. */
void hopper_load_rows(hopper *h);
void hopper_load_vectors(hopper *h);
void hopper_load_rest(hopper *h);
void hopper_build(hopper *h);
/* Makes a step of this warp the current outer position: place, g->outer and what belongs to it. */
void hopper_at(hopper *h, X step);
X hopper_outer_value(hopper *h, int output); /* Gv there at a column of O */
void hopper_load_gv(hopper *h);              /* Gv there, where all rows have the same */
void hopper_clear_gv(hopper *h);
/* O += Gv W. Before it, where each row has its own Gv: the first of it in registers. */
void hopper_load_own_gv(hopper *h);
void hopper_add_step(hopper *h);
/* --- hopper_merge.c --- */
int64_t hopper_merge_bytes(const gpu_plan *p); /* of shared memory beside the values' */
bool hopper_merge_fits(const gpu_plan *p);     /* the values' memory holds the sums */
void hopper_merge_declare(hopper *h);
/* O, l and m of all warps that share a row, in each of them. `exact`: they have different maxima. */
void hopper_merge(hopper *h, bool exact);
/* --- hopper_pipe.c --- */
X hopper_first_base(hopper *h);   /* of the newest block */
int hopper_unit(const hopper *h); /* keys of a unit */
void hopper_pipeline(hopper *h);
/* Register tiles of A, what a product of scores reads: their number. */
enum { HOPPER_MOST_A = 2 * MODEL_MAX_SEGMENTS };
int hopper_list_a(const hopper *h, tile_frag **list);
/* S = A B and W += P V (= with `zero`) of one key tile, in flight: closes a group. */
void hopper_score_product(hopper *h, tile_frag *s, X tile, X row);
void hopper_value_product(hopper *h, X tile, X row, bool zero);
