/* gpu.h: what the program does with GPUs: kernels on a device, and in the simulator.
 *
 *   gpu_compile.c  a spec compiled for an architecture, with its diagnostics
 *   gpu_device.c   device memory, launches, timing
 *   gpu_sim.c      the simulator
 *   explain_gpu.c  the plan in words */
#pragma once
#include "cli/problem.h"
#include "device/device.h"
#include "runtime/memory.h"

/* --- gpu_compile.c --- */

/* A device_system whose notes go to stderr; NULL was reported. */
device_system *gpu_system(const options *o);
/* The inner axis and row form for a target ("cpu", "sm_80"); CLI_OK with *form NULL: it has none,
 * which was reported as a warning. */
cli_status gpu_form(unit *u, sema_spec *s, const char *target, const row_form **form, double *ms);
/* What the cache looks the kernel up by. */
device_request gpu_request(unit *u, sema_spec *s, const row_form *form, const arch *a, int device);
/* One line about a failure of the runtime, the compiler's log after it; the exit code. */
cli_status gpu_failed(const options *o, const char *what, rt_error *err);

/* --- gpu_device.c --- */

/* Opens a GPU for the spec: compiles, loads, makes a stream and a timer. With `forgiving`, a machine
 * without a usable GPU or a spec without GPU kernel is no error: e->gpu stays NULL, and what the
 * user should know was said in a note. */
cli_status gpu_open(unit *u, sema_spec *s, engine *e, int device, bool forgiving);
void gpu_close(gpu_engine *g); /* NULL is ignored */
/* Copies the tensors to the device, once; outputs start as NaN. */
cli_status gpu_upload(gpu_engine *g, problem *p);
/* One launch, waited for; its time on the device. */
cli_status gpu_launch(gpu_engine *g, problem *p, double *seconds);
/* Copies the outputs back. */
cli_status gpu_fetch(gpu_engine *g, problem *p);

struct gpu_engine {
	const options *o;
	device_system *system;
	device_kernel *kernel;
	device_times times;
	const arch *arch; /* of the code */
	rt_cuda *cuda;
	int device;
	rt_device_info info;
	rt_module_info figures;
	cu_stream stream;
	rt_timer *timer;
	int tensors;
	uint64_t *memory; /* [tensors], NULL before the upload */
};

/* Dense matrix products in 16 bits, FLOP a second, of this device at its boost clock; from the
 * architecture table. */
double gpu_peak(const gpu_engine *g);

/* --- gpu_sim.c --- */

struct sim_engine {
	const options *o;
	device_build build;
	rt_kernel_signature signature;
};

cli_status sim_open(unit *u, sema_spec *s, engine *e);
void sim_close(sim_engine *m); /* NULL is ignored */
/* One run; faults are printed and are CLI_CHECK. */
cli_status sim_launch(sim_engine *m, problem *p, rt_pool *pool);

/* --- explain_gpu.c --- */

/* Prints the plan for a GPU target, with the cost of the problem there. */
cli_status explain_gpu(unit *u, sema_spec *s, const arch *a, const problem *p);

/* --- gpu_device.c, for the simulator too --- */

/* The arguments of a launch in the signature's order; `data` may be host addresses. */
rt_kernel_args gpu_args(const problem *p, const uint64_t *data);
