/* gpu.h: what the program does with GPUs: kernels on a device, and in the simulator.
 *
 *   gpu_compile.c  a spec compiled for an architecture, with its diagnostics
 *   gpu_device.c   device memory, launches, timing
 *   gpu_sim.c      the simulator
 *   explain_gpu.c  the plan in words
 *   trial.c        candidates of `tune`: compiled, timed, judged */
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
/* The plan that was found fastest for the request and the problem (NULL: for the one tuned last);
 * false: none, or --no-tune. */
bool gpu_tuned(
	unit *u, device_system *d, const device_request *r, const problem *p, device_tuned *t);
/* The same for code of --target native, which asks the driver for its device. */
bool gpu_tuned_native(unit *u, sema_spec *s, const row_form *form, const cli_target *target,
	const problem *p, device_tuned *t);
/* Query heads a group of the problem; 0: it has no groups, or p is NULL. */
int64_t gpu_heads(const row_form *form, const problem *p);
/* The choice that a kernel for the problem is compiled with, where nothing was tuned: NULL, or a
 * variant in *c. */
const gpu_choice *gpu_suited(const row_form *form, const arch *a, const problem *p, gpu_choice *c);
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
	device_tuned tuned; /* choice.device NULL: nothing is remembered */
	gpu_choice variant; /* where nothing was tuned, see gpu_suited */
	rt_image *image;    /* that runs */
	device_times times;
	double driver_ms; /* of finding the device */
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
	unit *unit;
	sema_spec *spec;
	const problem *problem; /* NULL: any */
	gpu_choice variant;
	device_build build;
	rt_kernel_signature signature;
};

cli_status sim_open(unit *u, sema_spec *s, engine *e);
void sim_close(sim_engine *m); /* NULL is ignored */
/* One run; faults are printed and are CLI_CHECK. */
cli_status sim_launch(sim_engine *m, problem *p, rt_pool *pool);

/* --- build_bundle.c --- */

typedef struct {
	rt_bundle_kernel kernel;
	device_times times;
} bundle_made;

typedef enum { BUNDLE_FILE, BUNDLE_EMBED, BUNDLE_HEADER } bundle_kind;

/* Compiles the spec for those of the targets that are GPUs. */
cli_status bundle_make(
	unit *u, sema_spec *s, const cli_target *target, int targets, bundle_made *made);
cli_status bundle_text(unit *u, const bundle_made *made, bundle_kind kind, text *out);

/* --- explain_gpu.c --- */

/* Prints the plan for a GPU target, with the cost of the problem there. */
cli_status explain_gpu(unit *u, sema_spec *s, const cli_target *target, const problem *p);

/* --- trial.c --- */

/* One candidate of `tune`. */
typedef struct {
	arena *arena;
	gpu_choice choice; /* all sizes */
	bool planned;      /* they are the planner's own */
	const char *text;  /* of the choice */
	device_kernel *kernel;
	rt_module_info figures;
	const char *failure; /* why it was not timed; NULL: it was */
	double *seconds;     /* [launches], ascending once all is measured */
	int launches;
	double median, best, spread; /* spread: between the quartiles, as a share of the median */
} trial;

/* Compiles and loads up to `most` candidates for an open GPU engine; the first is the planner's. The
 * diagnostics of those that fail become their failure. */
cli_status trials_open(unit *u, sema_spec *s, engine *e, int most, trial **list, int *count);
/* Launches each, in rounds, for about o->min_time seconds together, or o->reps times each. With
 * o->check every result is compared with the reference first. */
cli_status trials_measure(engine *e, problem *p, trial *list, int count);
/* The fastest; the planner's where the difference to it is noise. -1: none was timed. */
int trials_winner(const trial *list, int count);
void trials_close(trial *list, int count);

/* --- gpu_device.c, for the simulator too --- */

/* The arguments of a launch in the signature's order; `data` may be host addresses. */
rt_kernel_args gpu_args(const problem *p, const uint64_t *data);
