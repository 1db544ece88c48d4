/* sim_async.h: what programs for Hopper need beside sim_internal.h: warps that run one by one, who
 * knows of what, mbarriers, loads and products in flight. */
#pragma once
#include "sim/sim_internal.h"

/* --- order.c --- */

/* A clock is an array of `size` times: for each warp and each mbarrier, up to when what it did is
 * known; behind them for each warp, up to when its plain writes have passed a FENCE.ASYNC.
 * Times are numbers of statements executed by the block. */

bool sim_order_open(struct sim_async *x, int warps, int bars);
void sim_order_reset(struct sim_async *x);
/* What the warp knows, itself up to now, becomes part of `clock`. `itself`: its lanes know of each
 * other from now on. */
void sim_release(sim_block *b, int warp, uint32_t *clock, bool itself);
/* What `clock` tells the warp knows from now on. */
void sim_acquire(sim_block *b, int warp, const uint32_t *clock);
/* The lanes of a warp know of each other from now on. */
void sim_order_lanes(sim_block *b, int warp);
/* FENCE.ASYNC of a warp. */
void sim_fence(sim_block *b, int warp);
/* All warps are about to run together: finds what all of them know. */
void sim_meet(sim_block *b);

/* --- mbar.c --- */

/* A box on its way to shared memory. */
typedef struct {
	const sim_stmt *stmt;
	int64_t address, coord[TILE_MAX_RANK];
} sim_load_box;

/* An mbarrier or a counter. */
typedef struct {
	const tile_mbar *bar;
	int index;
	uint32_t since; /* time of INIT; 0: never */
	int by;         /* warp that did it */
	/* mbarrier */
	uint32_t phase;           /* completed ones */
	int pending;              /* arrivals that this phase waits for */
	int64_t expected, loaded; /* bytes in this phase */
	uint32_t *arriving;       /* clock: of this phase */
	uint32_t *clock;          /* of completed phases; counter: of all counts */
	uint32_t passed_phase[SIM_MAX_WARPS],
		passed[SIM_MAX_WARPS]; /* newest AWAIT: phases, time */
	struct {
		sim_load_box *item;
		int count, cap;
	} load;    /* in flight */
	int value; /* counter */
} sim_bar;

enum { SIM_NUMBERED = 17, SIM_BLOCK_BARRIER = 16 };

/* bar.sync and bar.arrive; the last one is the block's. */
typedef struct {
	int threads, arrived;
	uint32_t waiting; /* warps */
	uint32_t *clock;
} sim_numbered;

bool sim_bars_open(sim_block *b);
void sim_bars_close(struct sim_async *x);
void sim_bars_reset(sim_block *b);
/* What is still in flight when the block ends. */
void sim_bars_end(sim_block *b);
/* AWAIT, BARRIER.SYNC: false when the warp has to wait (numbered: it has arrived). */
bool sim_await(sim_block *b, const sim_stmt *s, int warp);
bool sim_numbered_sync(sim_block *b, const sim_stmt *s, int warp);
/* A barrier of the block: all warps know what all did. */
void sim_block_barrier(sim_block *b);
/* What a warp waits for, for a message. */
void sim_await_text(sim_block *b, const sim_stmt *s, int warp, char *out, size_t size);
/* The mbarrier or counter of operand i; NULL and a fault when there is none. */
sim_bar *sim_bar_find(sim_block *b, const sim_stmt *s, int operand, int warp);
/* Whether INIT is known; a fault when it is not. `async`: also through FENCE.ASYNC. */
bool sim_bar_ready(sim_block *b, const sim_bar *bar, int warp, bool async);
/* A load into the mbarrier's phase has been issued. */
void sim_bar_load(sim_block *b, sim_bar *bar, int warp, const sim_load_box *box, int64_t bytes);

void sim_bar_statement(sim_block *b, const sim_stmt *s, int warp);

/* --- tma.c --- */

void sim_tma_load(sim_block *b, const sim_stmt *s, int warp);
/* The load of the mbarrier numbered `bar` lands. */
void sim_tma_land(sim_block *b, const sim_load_box *box, int bar);

/* --- wgmma.c --- */

/* A product in flight, of one warp. */
typedef struct {
	const sim_stmt *stmt;
	sim_slice acc, a;     /* a: unless it is in shared memory */
	uint64_t left, right; /* descriptors, but for the addresses of the steps */
	int64_t *start;       /* [step][2]: addresses of a and b */
	int steps;
	bool shared, trans;
	uint32_t group; /* UINT32_MAX: not committed */
} sim_product;

/* What a warp issued: the warps of a group issue the same. */
typedef struct {
	const sim_stmt *stmt;
	int64_t left, right; /* addresses */
} sim_issue;

typedef struct {
	sim_issue *item;
	int count, cap;
} sim_issues;

bool sim_products_open(sim_block *b);
void sim_products_close(struct sim_async *x);
void sim_products_reset(sim_block *b);
void sim_products_end(sim_block *b);
void sim_product_statement(sim_block *b, const sim_stmt *s, int warp);

/* --- split.c --- */

/* A body that a warp is in. */
typedef struct {
	const sim_stmt *stmt; /* FOR, UNROLL, IF; NULL: the program */
	const sim_body *body;
	int at;
	uint32_t before, off; /* lanes before; IF: lanes that take the other body later */
	int64_t from[SIM_LANES], to[SIM_LANES], step[SIM_LANES];
} sim_frame;

typedef enum { WARP_RUNS, WARP_AWAITS, WARP_NUMBERED, WARP_MEETS, WARP_ENDED } sim_warp_state;

typedef struct {
	sim_warp_state state;
	uint32_t lanes;
	sim_frame *frame;
	int depth, cap;
	/* products */
	struct {
		sim_product *item; /* in flight, oldest first */
		int count, cap;
	} product;
	uint32_t groups; /* committed */
	uint32_t fence;  /* time of the newest WGMMA.FENCE since the last wait; 0: none */
	int issued;
} sim_warp;

struct sim_async {
	int warps, agents, size; /* of a clock */
	uint32_t *view;          /* [warps + 1][size]: clocks of warps, and of all together */
	uint32_t *least; /* [warps + 1][2]: over warps, of what is known, of what is fenced */
	sim_bar *bar;
	int bars;
	sim_numbered numbered[SIM_NUMBERED];
	sim_warp warp[SIM_MAX_WARPS];
	sim_issues issue[SIM_MAX_WARPS / 4];
	/* registers, as numbered by sim_register_number */
	uint32_t *touched, *read; /* when a plain statement wrote it, or read it */
	uint8_t *writes, *reads;  /* products in flight that do */
	bool *unlisted;           /* their products are finished, but no WAIT has listed them */
	uint32_t *clocks;         /* memory of those of bars and numbered barriers */
};

/* Up to when the running warp (all of them, when all run) knows what `who` did. */
static inline uint32_t sim_known(const sim_block *b, int who)
{
	const struct sim_async *x = b->async;
	int row, warp;

	if (!x)
		return b->shared.barrier;
	row = b->runs == SIM_ALL ? x->warps : b->runs;
	warp = sim_is_load(who) ? x->warps + who - WHO_LOAD : sim_warp_of(who);
	return warp == SIM_ALL ? x->least[2 * row]
			       : x->view[(size_t)row * (size_t)x->size + (size_t)warp];
}

/* And up to when plain writes of `who` have passed a fence that it knows of. */
static inline uint32_t sim_fenced(const sim_block *b, int who)
{
	const struct sim_async *x = b->async;
	int row = b->runs == SIM_ALL ? x->warps : b->runs, warp = sim_warp_of(who);

	return warp == SIM_ALL
		       ? x->least[2 * row + 1]
		       : x->view[(size_t)row * (size_t)x->size + (size_t)(x->agents + warp)];
}

bool sim_split_open(sim_block *b);
void sim_split_close(sim_block *b);
void sim_split_run(sim_block *b);

static inline size_t sim_register_number(const sim_frag *f, int warp, int r)
{
	return f->defined + (size_t)warp * (size_t)f->registers + (size_t)r;
}

/* A plain statement writes a register. */
void sim_register_written(sim_block *b, const sim_frag *f, int warp, int r);

/* A plain statement reads a register. */
static inline void sim_read(sim_block *b, const sim_frag *f, int warp, int r)
{
	if (b->async)
		b->async->read[sim_register_number(f, warp, r)] = b->time;
}

static inline void sim_written(sim_block *b, const sim_frag *f, int warp, int r)
{
	if (b->async)
		sim_register_written(b, f, warp, r);
}
