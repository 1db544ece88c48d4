/* problem.h: one problem of a spec: its lengths, its tensors, what it costs, running it and judging
 * the result.
 *
 *   dtype.c       bf16, f16, f32 <-> double, element by element
 *   npy_read.c    .npy headers, conversion to a tensor's dtype
 *   npy_write.c   .npy files out
 *   random.c      counter-based random tensors, the same on every machine
 *   lengths.c     --dims, shapes of inputs, defaults -> every length
 *   tensors.c     inputs and outputs in memory
 *   count.c       visible tuples, floating-point operations, bytes
 *   engine.c      compiling for and launching on a device
 *   compare.c     a result against the float64 reference
 *   report.c      what run prints, as text and as JSON
 *   report_device.c  the device, the kernel's figures, the time of every stage
 *   machine.c     memory, cores, processor name
 *   peak.c        the machine's measured matrix multiply and memory rates
 *   visible.c     which tuples the masks leave, for pictures
 *   svg.c         the picture of windows, masks and tiles */
#pragma once
#include "cli/cli.h"
#include "host/host.h"
#include "runtime/pool.h"
#include <cjson/cJSON.h>

/* --- dtype.c --- */

/* Element `i` of an array of dtype `t` as a double (i32 included). */
double dtype_get(const void *data, sema_dtype t, int64_t i);
/* Stores x, rounded to nearest even; beyond the largest finite value that is an infinity. */
void dtype_set(void *data, sema_dtype t, int64_t i, double x);
/* x rounded to the dtype. */
double dtype_round(sema_dtype t, double x);

/* --- npy_read.c --- */

#define NPY_MAX_RANK 32

/* A parsed .npy file; `data` points into the bytes that were parsed. */
typedef struct {
	char kind;    /* 'f' 'i' 'u' 'b' (bool) 'h' (bfloat16: two bytes of bits) */
	int size;     /* bytes of an element */
	bool swapped; /* stored in the other byte order than this machine's */
	bool fortran; /* first dimension varies fastest */
	int rank;
	int64_t shape[NPY_MAX_RANK];
	int64_t count; /* elements */
	const uint8_t *data;
} npy;

/* Reads header and extent of the file in `bytes`; returns NULL, or what is wrong with it (static or
 * in `a`). */
const char *npy_parse(arena *a, const void *bytes, size_t len, npy *out);
/* The dtype as the user knows it: "float32", "big-endian int16". */
const char *npy_dtype_name(arena *a, const npy *n);

/* What happened to the values on the way into a tensor. */
typedef struct {
	bool other_precision; /* float input of another precision than the tensor's   */
	int64_t overflowed;   /* finite values that became infinite                    */
	int64_t bad;          /* first element that cannot be represented, -1          */
	double bad_value;
	bool refused; /* no conversion between these kinds at all */
} npy_conversion;

/* Converts every element, in the file's order, to an array of dtype `t`. */
npy_conversion npy_convert(const npy *n, sema_dtype t, void *to);

/* --- npy_write.c --- */

/* Writes a C-order array: bf16 as its bits ('<u2'), f16 '<f2', f32 '<f4', f64 '<f8', i32 '<i4'. */
cli_status npy_write(const options *o, const char *path, const void *data, sema_dtype t, int rank,
	const int64_t *shape);

/* --- random.c --- */

/* Fills the elements [begin, end) of a float tensor with standard normal values; they depend on
 * seed, name and position only. `begin` is a multiple of 4. */
void random_normal(
	uint64_t seed, const char *name, sema_dtype t, void *data, int64_t begin, int64_t end);
/* Fills an i32 tensor whose last dimension is `last` long with 0..3, nondecreasing along it. */
void random_segments(uint64_t seed, const char *name, int32_t *data, int64_t n, int64_t last);
/* One of 2^64 values for each (seed, stream, counter). */
uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t counter);

/* --- lengths.c, tensors.c --- */

/* A tensor in memory, owned. */
typedef struct {
	const sema_tensor *decl;
	const char *file; /* where an input came from; NULL: random */
	void *data;
	sema_dtype dtype; /* the declared one, or F64 for the reference's outputs */
	int64_t count;
	int64_t shape[SEMA_MAX_RANK], stride[SEMA_MAX_RANK];
} tensor;

typedef struct {
	const options *o;
	const sema_spec *spec;
	arena *arena;
	int64_t *length;          /* [spec->length.count] */
	const char **length_from; /* "--dims", a tensor's name, or NULL: defaulted */
	int64_t *param_int;       /* [spec->param.count] */
	double *param_float;
	tensor *tensor; /* [spec->tensor.count]; outputs have no data until problem_outputs */
	npy *file;      /* [spec->tensor.count]; count -1 when the input is not from a file */
	void **bytes;   /* the files themselves, owned */
} problem;

/* Reads input files and settles lengths and params. Unknown names in --dims are errors when there
 * is one spec on the command line, notes otherwise. Close it even when it fails. */
cli_status problem_open(const options *o, const sema_spec *s, arena *a, problem *p);
/* Inputs: files converted, the rest random. problem_input makes only the i-th. */
cli_status problem_inputs(problem *p);
cli_status problem_input(problem *p, int i);
/* Allocates the outputs, zeroed; `wide`: as float64. */
cli_status problem_outputs(problem *p, bool wide);
void problem_close(problem *p);

/* Gives every length a value from --dims, the files in p->file, then defaults. */
cli_status problem_lengths(problem *p);
/* "bf16[1, 128, 4, 64]" */
const char *tensor_shape(arena *a, const tensor *t);
/* A zeroed block, 64-byte aligned, named `what` in messages; CLI_ENVIRONMENT when it exceeds the
 * machine. */
cli_status memory_take(const options *o, const char *what, int64_t bytes, void **to);
void memory_give(void *data); /* NULL is ignored */
/* The problem as the reference takes it. `out` replaces the outputs. */
eval_args problem_eval_args(const problem *p, const tensor *out);

/* --- count.c --- */

/* Everything is for the whole problem. */
typedef struct {
	int64_t rows;   /* product of the ROW and QUERY lengths */
	int64_t tuples; /* key tuples inside the windows, summed over the rows; masks not subtracted
			 */
	int64_t per_key[SEMA_MAX_KEYS]; /* keys inside the window of each axis, summed over the rows
					 */
	int dot, out; /* D: features of all products; E: features of all outputs */
	double flops; /* 2 (D + E) tuples; 0 without row form */
	double bytes; /* every operand read once, every output written once */
} cost;

cost problem_cost(const problem *p, const row_form *m);
/* First and last visible key of `key` in one row; false when there is none. `coord` by axis id. */
bool window_range(const eval_args *args, const sema_axis *key, const int64_t *coord, int64_t *first,
	int64_t *last);

/* --- engine.c --- */

typedef struct gpu_engine gpu_engine; /* gpu.h */
typedef struct sim_engine sim_engine;

/* One of gpu, sim, reference, kernel is set. */
typedef struct {
	const options *o;
	const sema_spec *spec;
	const problem *problem; /* NULL: any; it selects among tuned plans */
	gpu_engine *gpu;
	sim_engine *sim;
	bool reference;
	row_form *form; /* NULL when there is none */
	host_kernel *kernel;
	host_times times;
	double model_ms, compile_ms;
	rt_pool *pool;
	int threads;
} engine;

/* Chooses the device, compiles; `p` has its lengths. Diagnostics are printed. */
cli_status engine_open(unit *u, sema_spec *s, const problem *p, engine *e);
/* On the CPU, else the reference, whatever --device says. */
cli_status engine_open_cpu(unit *u, sema_spec *s, engine *e);
void engine_close(engine *e);
/* One launch into the outputs of `p`. */
cli_status engine_launch(engine *e, problem *p, progress *line, double *seconds);
/* After the launches: brings the outputs into memory, where they are elsewhere. */
cli_status engine_fetch(engine *e, problem *p);
/* "cpu", "cuda:0", ... */
const char *engine_device(const engine *e);
/* The inner axis that --inner or a schedule for this target asks for, NULL when nothing does. */
cli_status engine_inner(
	const options *o, const sema_spec *s, const char *target, const sema_axis **inner);

/* --- compare.c --- */

typedef struct {
	const tensor *out;
	double error, tolerance; /* of the worst row */
	double element_error, element_tolerance;
	double got, want; /* at the worst element */
	int64_t at[SEMA_MAX_RANK];
	int64_t mismatched; /* elements where only one is finite, or the infinities differ */
	bool passed;
} comparison;

typedef struct {
	int64_t rows, total;
	double seconds; /* of the reference */
	bool passed;
	comparison *item; /* [outputs] */
} verdict;

/* Runs the reference on all rows, or on a sample when that would take long, and compares. */
cli_status compare_run(problem *p, verdict *v);

/* --- report.c --- */

typedef struct {
	const unit *u;
	const problem *p;
	const engine *e;
	cost cost;
	double seconds; /* best launch */
	int launches;
	const verdict *v; /* NULL without --check */
	double inputs_ms;
} outcome;

/* Lengths and params on one line, in p's arena. */
const char *report_problem(const problem *p);
void report_text(const outcome *r, text *out);
void report_json(const outcome *r, text *out);
/* --time-report: every stage, on stderr. */
void report_times(
	const unit *u, const engine *e, double inputs_ms, double run_ms, double reference_ms);
/* The same without the run, as JSON. */
cJSON *report_times_json(const unit *u, const engine *e, double inputs_ms);
/* "cpu (znver4, 512-bit vectors, f32 fma), 8 threads" */
void report_device(const engine *e, text *out);
/* The device and the kernel's figures, as members of `o`. */
void report_device_json(const engine *e, cJSON *o);
/* From the checked spec to code that can run. */
double report_compile_ms(const engine *e);

/* --- machine.c --- */

/* Bytes of memory that this process may use: the machine's, or its control group's when smaller. */
int64_t machine_memory(void);
/* Cores that this process may run on. */
int machine_cores(void);

/* --- peak.c --- */

typedef struct {
	double flops;       /* per second */
	const char *source; /* "OpenBLAS sgemm", "f32 multiply-add loop", "bf16 dot-product loop" */
} peak;

/* Measures, with all threads of the pool, the kind of product that host_info.dot names; about half
 * a second. */
peak peak_measure(rt_pool *pool, const char *dot);
/* Bytes per second that the pool's threads read together from memory; 0 when there is no memory to
 * measure with. */
double peak_bandwidth(rt_pool *pool);

/* --- visible.c --- */

/* Whether the picture can evaluate `e`: no reduction in it, and every tensor that it reads has
 * data. */
bool visible_supported(const problem *p, const expr *e);
/* Whether every mask holds at these coordinates (by axis id). */
bool visible_at(const eval_args *args, expr *const *mask, int masks, const int64_t *coord);

/* --- svg.c --- */

/* Draws the spec's windows and masks at the problem's lengths; `info` gives the tiles, NULL when
 * there are none. */
void svg_picture(const problem *p, const row_form *m, const host_info *info, text *out);
