/* problem.h: a shipped spec at given sizes: its kernel, random tensors, the reference's results. */
#pragma once
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu/gpu.h"
#include "sim/sim.h"

/* Sizes 0: the planner's. */
typedef struct {
	const char *spec;    /* specs/SPEC.tkl */
	const char *dims;    /* "B=2,N=67": lengths; others are 2 */
	const char *defines; /* "D=33,W1=5", or NULL */
	bool unaligned;      /* strides and bases that no 16-byte copy can use */
	int warps, key_tile, resident, slots;
	int warp_rows;      /* 0: 16 where `warps` is given */
	const char *target; /* NULL: sm_80 */
	/* NULL, or the inputs that hold a NaN and an infinity in their middle: "v1 k2" */
	const char *wild;
	bool bare; /* rows and outer positions are read from global memory: no barrier to spare */
	int scale; /* of what the first input holds; 0: 1 */
	gpu_family family; /* the plan must be of it; 0: of any */
	const char
		*choice; /* settings of the plan, "split = 2, walk = rows"; NULL: the planner's */
} problem_case;

typedef struct {
	problem_case c;
	arena *arena;
	sema_spec *spec;
	gpu_choice choice;
	gpu_plan plan;
	tile_program *program;
	int64_t *length;
	int64_t (*stride)[SEMA_MAX_RANK]; /* [tensor] */
	int64_t *extent;                  /* [tensor]: elements from the base to the last one */
	void **memory;                    /* [tensor]: allocation */
	uint8_t **data;                   /* [tensor]: base address; outputs as the kernel writes */
	double **reference;               /* [output tensor] with the same strides, else NULL */
	sim_value *value;                 /* the kernel's arguments */
	sim_args args;
} problem;

/* Lowers the spec; fails the test when that is impossible. False: the spec has no GPU form. */
bool problem_open(problem *p, const problem_case *c);
void problem_close(problem *p);
/* Sets outputs to NaN bytes and runs `program` in the simulator. */
bool problem_simulate(problem *p, const tile_program *program, sim_report *r);
/* Runs the reference interpreter once. */
void problem_reference(problem *p);
/* Largest error of the outputs, see error_of; infinite where NaN or Inf differ. *where names the
 * element. */
double problem_error(const problem *p, char *where, size_t size);
/* Bytes of all outputs, and a digest of them. */
uint64_t problem_digest(const problem *p);
/* Simulates one case: no fault, and results within the tolerance; prints its times and what is
 * wrong. */
bool problem_check(const problem_case *c, double tolerance);
