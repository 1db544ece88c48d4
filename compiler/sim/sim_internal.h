/* sim_internal.h: what the files of the simulator share. */
#pragma once
#include "sim/sim.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
	SIM_LANES = 32,
	SIM_MAX_WARPS = 32,
	SIM_CHUNK = 8,                     /* register elements evaluated at a time */
	SIM_WIDTH = SIM_CHUNK * SIM_LANES, /* values of a vector */
	SIM_ALL = -1                       /* no particular warp or lane */
};

/* Values of one node: b1 in b, i32 in i, i64 in l, floats of every kind in f. */
typedef union {
	uint8_t b[SIM_WIDTH];
	int32_t i[SIM_WIDTH];
	uint32_t u[SIM_WIDTH];
	int64_t l[SIM_WIDTH];
	float f[SIM_WIDTH];
} sim_vec;

/* How many values of a vector count: one for all threads, one a lane, one an element. */
typedef enum { CLASS_UNIFORM, CLASS_LANE, CLASS_ELEMENT } sim_class;

/* --- image.c --- */

/* One node: slot[dst] = op(slot[arg[0]], ...). */
typedef struct {
	const tile_expr *x;
	uint32_t dst, arg[3];
	const uint16_t *peer; /* FRAG: element of the domain's tile -> element of the read one */
	bool address;         /* an integer that ends in an address */
} sim_op;

#define SIM_MAX_ROOTS 5
#define SIM_NO_PEER UINT16_MAX

/* Straight-line code; root[i] is the slot of the i-th value wanted. */
typedef struct {
	sim_op *op;
	int count, roots;
	uint32_t root[SIM_MAX_ROOTS];
	tile_type type[SIM_MAX_ROOTS];
} sim_code;

typedef struct sim_stmt sim_stmt;

typedef struct {
	sim_stmt *item;
	int count;
} sim_body;

/* code[i] computes operand i: a slice's first column and row, a region's slot, row and column, an
 * index of mbarriers, coordinates of a box, a value. STORE's offset and value are code[2]. */
struct sim_stmt {
	const tile_stmt *s;
	int id;
	sim_code code[TILE_MAX_OPERANDS];
	sim_body body, other;
};

/* A register tile: elements are numbered register * (elements a register) + element. */
typedef struct {
	const tile_frag *f;
	tile_cell cell;
	int registers, elements; /* a thread has; a register has */
	int across, warp_rows;   /* cells in a row */
	size_t reg, defined;     /* where a block keeps the contents, see sim_reg */
	int32_t *row, *col;      /* [element][lane] of the warp's part */
} sim_frag;

typedef struct {
	const tile_program *p;
	arena *arena;
	sim_frag *frag;
	int64_t *slot_bytes; /* [buffer] */
	sim_body body;
	int stmts;
	uint32_t slots;                 /* most that any code uses */
	size_t registers, defined_size; /* words of all register tiles of a block */
	bool split;                     /* warps run one by one */
	int *bar_first; /* [array of mbarriers or counters]: number of its first one */
	int bars;
	text why; /* what is malformed */
} sim_image;

/* NULL image->body and a reason in `why` when the program is malformed. */
bool sim_image_make(const tile_program *p, arena *a, sim_image *m);

/* --- report.c --- */

typedef struct {
	const tile_program *p;
	pthread_mutex_t lock;
	sim_entry *entry; /* [limit] */
	int count, limit;
	_Atomic int64_t *seen;  /* [statement + 1][fault] */
	atomic_uchar **written; /* [argument]: which elements of an output were written */
	atomic_bool stop;
	_Atomic int64_t statements, conflicts;
} sim_log;

typedef struct sim_block sim_block;

bool sim_log_open(sim_log *log, const tile_program *p, int stmts, int limit);
/* Entries in the order of blocks; frees what else the log has. */
void sim_log_close(sim_log *log, sim_report *r);
/* A fault of the program as a whole. */
void sim_log_fault(sim_log *log, sim_fault fault, const char *why);
/* A fault of the statement that runs. */
void sim_fault_at(sim_block *b, sim_fault fault, int warp, int lane, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* --- shared.c --- */

/* Who touched an element: a thread, a warp as a whole, the loads that signal an mbarrier, several
 * threads, or threads unsaid. */
enum {
	WHO_WARP = 0x4000,
	WHO_LOAD = 0x5000,
	WHO_SEVERAL = 0x8000,
	WHO_SHARED = 0x8001,
	SIM_MAX_BARS = WHO_SEVERAL - WHO_LOAD
};

static inline bool sim_is_load(int who)
{
	return who >= WHO_LOAD && who < WHO_SEVERAL;
}

/* The warp of a thread, or that is meant as a whole; SIM_ALL: neither. */
static inline int sim_warp_of(int who)
{
	return who < WHO_WARP ? who / SIM_LANES : who < WHO_LOAD ? who - WHO_WARP : SIM_ALL;
}

/* 16 bits of shared memory. Times are numbers of statements executed by the block; 0: never. */
typedef struct {
	uint32_t written, read;
	uint16_t writer, reader;
	uint16_t holds;  /* 1 + id of the buffer it was written through; 0: never written */
	uint16_t flying; /* a copy to it is in flight */
} sim_cell;

/* 16 bytes on their way. */
typedef struct {
	int64_t address;
	uint32_t copy; /* number of the copy */
	const sim_stmt *stmt;
	uint8_t data[16];
} sim_chunk;

/* Groups that a warp has closed and not waited for: the number of copies issued before the close.
 */
typedef struct {
	uint32_t *group;
	int first, count, cap;
	uint32_t landed; /* copies below this number have arrived for the warp */
} sim_groups;

typedef struct {
	uint8_t *byte;
	sim_cell *cell; /* [bytes / 2] */
	bool *alike;    /* [bytes / 16]: the first of these 8 cells is as all of them are */
	int64_t bytes;
	/* where warps run one by one */
	uint32_t *read_by; /* [cell][warp]: when, if the cell's reader is WHO_SEVERAL */
	uint16_t *reading; /* [bytes / 16]: products in flight that read it */
	sim_chunk *chunk;
	int64_t chunk_first, chunk_count, chunk_cap;
	uint32_t copies; /* issued */
	sim_groups groups[SIM_MAX_WARPS];
	uint32_t barrier; /* time of the last one */
} sim_shared;

bool sim_shared_open(sim_shared *sh, int64_t bytes, int split_warps);
void sim_shared_close(sim_shared *sh);
void sim_shared_reset(sim_shared *sh);
/* Byte address of an element; false and a fault when there is none. */
bool sim_shared_find(sim_block *b, const tile_buffer *buf, int64_t slot, int64_t row, int64_t col,
	int warp, int lane, int64_t *address);
/* Faults where `bytes` at `address` may not be read or written by `who` now; notes that they are.
 * `same`: the value equals what is there. */
void sim_shared_read(sim_block *b, const tile_buffer *buf, int64_t address, int bytes, int who,
	int warp, int lane);
void sim_shared_write(sim_block *b, const tile_buffer *buf, int64_t address, const void *data,
	int bytes, int who, int warp, int lane);
/* 16 bytes that arrive later. */
void sim_shared_copy(sim_block *b, const tile_buffer *buf, int64_t address, const void *data);
void sim_shared_commit(sim_block *b, int warp);
void sim_shared_wait(sim_block *b, int warp, int64_t groups);
/* Copies that all warps have waited for arrive. */
void sim_shared_land(sim_block *b);
/* Copies that are still in flight when the block ends. */
void sim_shared_end(sim_block *b);
/* 16 bytes that a TMA load will write: NaN until it lands; then those of `data`, there for who
 * knows of the mbarrier's phase. */
void sim_shared_load(sim_block *b, const tile_buffer *buf, int64_t address, int warp);
void sim_shared_loaded(sim_block *b, int64_t address, const void *data, int bar);
/* 16 bytes that a product of a warp reads from now on; then it has. False: there is none. */
bool sim_shared_product(sim_block *b, const tile_buffer *buf, int64_t address, int warp);
void sim_shared_multiplied(sim_block *b, int64_t address, int warp);

/* --- a block that runs --- */

/* A variable: one value for all threads, or one a thread. */
typedef struct {
	bool uniform;
	bool set_all;                /* every thread has set it */
	uint32_t set[SIM_MAX_WARPS]; /* else: these lanes have */
	uint32_t same; /* warps whose lanes have one value; where they run one by one */
	int64_t all;   /* bits of the value, see sim_scalar_get */
	int64_t *lane; /* [threads] */
} sim_variable;

struct sim_block {
	const sim_image *image;
	const sim_args *args;
	sim_log *log;
	int64_t index[3];
	int warps, threads;
	uint32_t active[SIM_MAX_WARPS]; /* lanes that execute */
	bool whole;                     /* all of them */
	bool leaves;                    /* a break was taken: up to the loop */
	uint32_t *reg, *defined;
	sim_variable *var;
	int64_t *var_lane;
	sim_shared shared;
	sim_vec *slot;
	uint8_t *cls;
	sim_vec widened[3];
	const sim_stmt *now;
	uint32_t time;
	int64_t steps, step_limit, conflicts;
	bool failed;             /* out of memory, step limit, deadlock */
	int runs;                /* the warp that runs; SIM_ALL: all of them */
	struct sim_async *async; /* NULL: threads run in step */
};

/* Register `r` of every lane. */
static inline uint32_t *sim_reg(sim_block *b, const sim_frag *f, int warp, int r)
{
	return b->reg + f->reg + ((size_t)warp * (size_t)f->registers + (size_t)r) * SIM_LANES;
}

/* Which lanes have written register `r`. */
static inline uint32_t *sim_defined(sim_block *b, const sim_frag *f, int warp, int r)
{
	return b->defined + f->defined + (size_t)warp * (size_t)f->registers + (size_t)r;
}

static inline const sim_frag *sim_frag_of(const sim_block *b, const tile_frag *f)
{
	return &b->image->frag[f->id];
}

/* --- value.c --- */

/* Where code is evaluated. For a warp: `n` is 32 lanes times the elements in `element` (or one
 * value a lane, without elements). For work that threads share (warp SIM_ALL): n places. */
typedef struct {
	int warp, n;
	const int32_t *row, *col;
	const uint16_t *element; /* [n / 32] */
	const uint8_t *live;     /* [n] evaluated; NULL: all that are active */
	uint32_t lanes;          /* lanes with something live */
} sim_domain;

void sim_eval(sim_block *b, const sim_code *c, const sim_domain *d);
/* The i-th value wanted, widened to the domain's elements. Valid until the next call for the same
 * i. */
const sim_vec *sim_root(sim_block *b, const sim_code *c, int i, const sim_domain *d);
/* Class of the i-th value. */
sim_class sim_root_class(const sim_block *b, const sim_code *c, int i);
/* Integers that are the same for every thread that runs; a fault when they differ. */
void sim_same(sim_block *b, const sim_code *c, int64_t *value);
/* Values of one warp's lanes. */
void sim_lanes(sim_block *b, const sim_code *c, int warp, int64_t value[][SIM_LANES]);
int64_t sim_scalar_get(const sim_vec *v, tile_type t, int k);
void sim_scalar_put(sim_vec *v, tile_type t, int k, int64_t bits);

/* --- compute.c --- */

/* v = op(a, b, c) for n values; `from` is the operands' type. */
void sim_compute(const tile_expr *x, tile_type from, sim_vec *v, const sim_vec *a, const sim_vec *b,
	const sim_vec *c, int n);
/* Index of the first value from `from` on where an integer operation loses bits; n: none. */
int sim_overflow(const tile_expr *x, const sim_vec *a, const sim_vec *b, int from, int n);

/* --- exec.c, warp.c, flow.c --- */

/* The elements of a slice, a chunk at a time. */
typedef struct {
	const sim_frag *f;
	int cell_row, cell_col, rows, cols; /* in cells */
	int count;                          /* elements a thread */
} sim_slice;

/* False and a fault when the slice leaves its tile. */
bool sim_slice_find(sim_block *b, const sim_stmt *s, int operand, sim_slice *out);
/* Element number (in the whole tile) of the slice's n-th. */
int sim_slice_element(const sim_slice *s, int n);

void sim_map(sim_block *b, const sim_stmt *s);
bool sim_any(sim_block *b, const sim_stmt *s);
void sim_any_block(sim_block *b, const sim_stmt *s);
void sim_fill(sim_block *b, const sim_stmt *s);
void sim_copy(sim_block *b, const sim_stmt *s);
void sim_store(sim_block *b, const sim_stmt *s);
void sim_store_rows(sim_block *b, const sim_stmt *s);
void sim_store_shared(sim_block *b, const sim_stmt *s);
void sim_reduce(sim_block *b, const sim_stmt *s);
void sim_quad(sim_block *b, const sim_stmt *s);
void sim_ldmatrix(sim_block *b, const sim_stmt *s);
void sim_stmatrix(sim_block *b, const sim_stmt *s);
void sim_load(sim_block *b, const sim_stmt *s);
void sim_mma(sim_block *b, const sim_stmt *s);

/* A statement that has no body and waits for nobody. */
void sim_execute(sim_block *b, const sim_stmt *s);
/* Counts a statement; false when the block is to stop. */
bool sim_step(sim_block *b, const sim_stmt *s);
/* A condition of all active threads: 1 true, 0 false for all; -1: `on` says for whom. */
int sim_condition(sim_block *b, const sim_code *c, uint32_t *on);

/* A register is read that not all of `lanes` have written: says which fault that is. */
void sim_unset_register(sim_block *b, const sim_frag *f, int warp, int r, int lane);

/* mma's fragments and arithmetic: a[row][k] of one cell from its 4 registers, acc[row][col] from
 * and to its 4, acc += a b of that depth. */
enum { MMA_M = 16, MMA_N = 8, MMA_K = 16 };
void sim_gather_a(tile_type t, float a[MMA_M][MMA_K], const uint32_t *word);
void sim_gather_acc(float *restrict acc, const uint32_t *restrict word);
void sim_scatter_acc(const float *restrict acc, uint32_t *restrict word);
void sim_multiply(float acc[MMA_M][MMA_N], float a[MMA_M][MMA_K], float b[MMA_K][MMA_N], int depth);

/* Whether all lanes of the warp are active; a fault when only some are. */
bool sim_converged(sim_block *b, int warp);
void sim_set(sim_block *b, const tile_var *v, int warp, const sim_vec *x, sim_class c);
void sim_run_block(sim_block *b, int64_t index);
