/* sim.h: runs a tile program on the CPU with the GPU's semantics, and reports what a GPU would get
 * wrong. Emitters decide nothing, so what is wrong here is wrong in every emitted kernel.
 *
 *   sim.c        sim_run: checks, workers, blocks of the grid
 *   image.c      program -> statements with straight-line code for their values
 *   value.c      values of 32 lanes times some elements at a time: leaves, faults of a value
 *   compute.c    arithmetic on such vectors
 *   shared.c     shared memory: who wrote and read each element since the last barrier, copies
 *   warp.c       ldmatrix, mma, quads: fragments as in the PTX ISA, not as in layout.c
 *   exec.c       statements that move elements;  flow.c  flow, barriers, divergence
 *   split.c      programs for Hopper: warps run one by one;  order.c  who knows of what
 *   mbar.c       mbarriers, counters, numbered barriers;  tma.c  boxes of tensor maps
 *   wgmma.c      products of warpgroups, with operands as their descriptors say
 *   report.c     what was found
 *
 * What is modelled, where the tile program leaves it open:
 *
 * Threads run in step, statement by statement; IF and FOR on varying values mask threads. Every
 * fault that depends on the order of threads is found from who touched what, not from the order
 * that happened here.
 *
 * Shared memory. Two threads that touch an element (16 bits) with no BARRIER between race when one
 * of them writes; lanes of one warp too, as no operation of the tile program but BARRIER and
 * STORE.ROWS orders memory inside a warp (mma and shuffles do not); with a STORE.ROWS in it, a
 * program's warps run one by one, as below. LDSM is read by the warp as a whole. FILL and
 * COPY do not say which thread writes an element: another's access without a BARRIER is a race,
 * whoever makes it. Equal values stored to an element by one statement are no race. A buffer that
 * shares another's memory holds nothing until it is written through its own name.
 *
 * Copies arrive when the last warp executes the WAIT that covers them, as late as is legal; until
 * then the destination holds NaN, and touching it is a fault. A BARRIER must follow before anyone
 * reads. A thread's copies that no WAIT covers when the block ends are a fault.
 *
 * MMA: acc + a0 b0 + a1 b1 + ... in the order of k, each product exact, each sum rounded to float.
 * The hardware's order and rounding differ: compare results with a tolerance. tf32 operands lose
 * their low 13 bits. REDUCE goes through a thread's registers in order; QUAD exchanges with lane^1,
 * then lane^2. ex2, lg2, rcp are float functions of the C library, subnormals flushed.
 *
 * Programs for Hopper (mbarriers, TMA, products of warpgroups) wait for one another in ways that no
 * order of all threads in step satisfies. Their warps run one by one, each until it has to wait;
 * all of them waiting is a fault. Who may touch what follows from who knows of what: a warp knows
 * what it did, what others had done when they arrived at a barrier, mbarrier or counter that it
 * then passed, and what they knew. An arrival, an EXPECT and a COUNT are the whole warp's, all
 * lanes of it having done what comes before. FILL, COPY, WAIT and ANY.BLOCK begin when all warps
 * are there.
 *
 * A TMA load lands when a warp awaits the phase that it signals, as late as is legal; until then
 * its destination is as that of a copy, and afterwards it is there for who has awaited that phase,
 * or learned of it. A phase is complete when its arrivals and its bytes are; then a warp that has
 * waited for the phase before must have arrived, or known ones have that knew it had: else the
 * phase could pass unseen. A product reads its operands, and writes its accumulators, at the
 * WGMMA.WAIT that covers it. Plain writes (COPY, too) reach TMA and products by a FENCE.ASYNC on
 * the way from the writer to who issues them. WGMMA.FENCE must come between the last WGMMA.WAIT, or
 * the last write of its registers, and a product. Swizzles and descriptors are spelled out as the
 * PTX ISA has them, and not asked of layout.c. A product accumulates as MMA does.
 *
 * Integers wrap; in values that end in an address (offsets, regions, slices) that is a fault. */
#pragma once
#include "runtime/pool.h"
#include "tile/tile.h"

/* X(NAME, "text") */
#define SIM_FAULTS(X)                                                                              \
	X(MALFORMED, "malformed program")                                                          \
	X(UNSET_VARIABLE, "variable read before it is set")                                        \
	X(UNSET_REGISTER, "register read before it is written")                                    \
	X(WRONG_THREAD, "register element that another thread holds")                              \
	X(SLICE, "slice outside its register tile")                                                \
	X(UNSET_SHARED, "shared memory read before it is written")                                 \
	X(FLIGHT_READ, "read of a copy's destination before the copy has arrived")                 \
	X(FLIGHT_WRITE, "write to a copy's destination before the copy has arrived")               \
	X(RACE, "race between threads")                                                            \
	X(SHARED_BOUNDS, "outside the shared buffer")                                              \
	X(GLOBAL_BOUNDS, "outside the tensor")                                                     \
	X(ALIGNMENT, "misaligned address")                                                         \
	X(DIVERGENT_BLOCK, "not all threads of the block are here")                                \
	X(DIVERGENT_WARP, "not all lanes of the warp are here")                                    \
	X(VARYING, "value differs between threads that share the work")                            \
	X(NEVER_WAITED, "never waited for")                                                        \
	X(DEADLOCK, "waits forever")                                                               \
	X(UNSET_BARRIER, "mbarrier or counter used before it is initialized")                      \
	X(ARRIVALS, "more arrivals than the phase of the mbarrier takes")                          \
	X(BYTES, "more bytes loaded than the phase of the mbarrier expects")                       \
	X(PHASE, "phase of an mbarrier can pass unseen")                                           \
	X(ASYNC_FENCE, "no fence.async between plain accesses and TMA or products")                \
	X(PRODUCT_FENCE, "no wgmma.fence before a product")                                        \
	X(PRODUCT_TOUCH, "register that a product in flight uses")                                 \
	X(PRODUCT_UNLISTED, "accumulator that no wgmma.wait has listed since its product")         \
	X(PRODUCT_OPERAND, "write to shared memory that a product in flight reads")                \
	X(PRODUCT_SHAPE, "products of different shapes in flight into the same accumulators")      \
	X(DIVERGENT_GROUP, "warps of a warpgroup differ in their products")                        \
	X(DESCRIPTOR, "matrix descriptor outside of its operand")                                  \
	X(OVERFLOW, "overflow in an address")                                                      \
	X(SHIFT, "shift by a count outside the type's width")                                      \
	X(OUTPUT_CONFLICT, "output element written twice with different values")                   \
	X(LOOP_STEP, "loop step is not positive")                                                  \
	X(STEPS, "step limit reached")                                                             \
	X(MEMORY, "out of memory")

typedef enum {
#define SIM_FAULT_ENUM(name, text) SIM_##name,
	SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
		SIM_FAULT_COUNT
} sim_fault;

/* A tensor argument: `data` is the address the kernel gets; it may touch elements [low, high). */
typedef struct {
	void *data;
	int64_t low, high;
} sim_tensor;

/* The tensor that a map is of, in elements; the last stride is 1. */
typedef struct {
	int64_t length[TILE_MAX_RANK], stride[TILE_MAX_RANK];
} sim_tensor_map;

typedef union {
	sim_tensor tensor;  /* ARG_TENSOR */
	sim_tensor_map map; /* ARG_MAP */
	int64_t i;          /* i32, i64 */
	float f;            /* f32 */
} sim_value;

typedef struct {
	const sim_value *arg; /* [p->arg.count] */
	int64_t grid[3];
	rt_pool *pool;      /* NULL: the calling thread alone */
	int report_limit;   /* kinds of fault kept before the run stops; 0: 10 */
	int64_t step_limit; /* statements that one block may execute; 0: 20 million */
} sim_args;

/* One kind of fault at one statement: where it was met first, and how often. */
typedef struct {
	sim_fault fault;
	const tile_stmt *stmt; /* NULL: the program as a whole */
	int64_t block[3];
	int warp, lane; /* -1: all of them, or unknown */
	int64_t count;
	char *message; /* what and where: buffer, element, address, the other thread */
	char *text;    /* the statement as tile_print writes it */
} sim_entry;

typedef struct {
	sim_entry *entry;
	int count;
	int64_t statements; /* executed, by all blocks */
	int64_t conflicts;  /* extra passes of ldmatrix because of shared memory banks */
} sim_report;

/* Runs the program over the grid. True when nothing is wrong; else *report says what. The report is
 * overwritten, and freed with sim_report_free in either case. */
bool sim_run(const tile_program *p, const sim_args *args, sim_report *report);
const char *sim_fault_text(sim_fault f);
/* Each entry as a few lines of text. */
void sim_report_print(const sim_report *r, text *out);
void sim_report_free(sim_report *r);
