/* fake_cuda.h: a stand-in for libcuda.so.1 that records calls, fails on demand and checks the
 * rules of the real driver: which context must be current, what lives, what a capture forbids.
 * Broken rules count as violations.
 *
 * A PTX image is accepted when it holds ".entry NAME"; ".target sm_NN" must suit the device;
 * "reject" makes the compiler refuse it. A cubin is "\177ELF sm_NN NAME". Built three times:
 * fake_cuda (12.8), fake_cuda_v1 (11.8: cuGetProcAddress in its first form), fake_cuda_old (11.2:
 * symbols only). */
#pragma once
#include "runtime/cuda_types.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
#define CU_FN(name, version, suffix, need, parameters) FAKE_##name,
#include "runtime/cuda_api.def"
#undef CU_FN
	FAKE_FUNCTIONS
};

enum { FAKE_DEVICES = 4, FAKE_CONTEXTS = 64, FAKE_PARAMETERS = 1024 };

struct CUctx_st {
	int device;
	bool alive, primary;
	int retained;
	uint64_t id;
};

struct CUstream_st {
	cu_context context;
	unsigned capture;
};

/* The newest launch, and how many there were on each device. */
typedef struct {
	unsigned grid[3], block[3], cluster[3], shared;
	cu_stream stream;
	cu_context context;
	size_t size;
	unsigned char parameters[FAKE_PARAMETERS];
} fake_launch;

/* The description behind a tensor map; the map itself holds the base in its first eight bytes. */
typedef struct {
	unsigned type, rank, swizzle;
	uint64_t base, extent[5], stride[5]; /* innermost first; of strides all but the first */
	unsigned box[5];
} fake_map;

typedef struct {
	int version, devices;
	int major[FAKE_DEVICES], minor[FAKE_DEVICES];
	const char *hidden; /* a function that the driver does not have */
	int fail_function;  /* FAKE_x; -1: none */
	int fail_after;     /* calls of it that still succeed */
	cu_result fail_result;
	bool lazy;             /* libraries compile PTX when a kernel is first asked for */
	_Atomic int capturing; /* streams under capture with global rules */

	_Atomic int calls[FAKE_FUNCTIONS];
	_Atomic int violations;
	_Atomic int launches[FAKE_DEVICES];
	_Atomic int live_modules, live_libraries, live_allocations, live_streams, live_events;
	uint64_t next_id;
	struct CUctx_st context[FAKE_CONTEXTS]; /* the first FAKE_DEVICES are the primary ones */
	pthread_mutex_t lock;
	double clock; /* ms; each event takes one, launches take FAKE_TIMES */
	fake_launch last;
	fake_map map; /* the newest one encoded */
} fake_state;

/* Exported by the library. */
fake_state *fake_get(void);
/* Everything as in a new process; the calling thread has no context. */
void fake_reset(void);
cu_context fake_context_create(int device);
void fake_context_destroy(cu_context context);
/* As cudaDeviceReset: destroys the primary context whoever retains it. */
void fake_primary_reset(int device);
void fake_set_current(cu_context context);
cu_context fake_current(void);
/* Capture with global rules begins (1), ends (0) or breaks (2). */
void fake_capture(cu_stream stream, unsigned status);

/* Inside the library: counts the call; the result that it shall fail with, or 0. */
cu_result fake_enter(int function);
void fake_violation(void);
/* Modules go with their context. */
void fake_drop_modules(cu_context context);
