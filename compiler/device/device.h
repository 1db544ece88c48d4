/* device.h: GPU kernels as the program and the library use them: compiled, cached, assembled,
 * loaded, launched.
 *
 *   stages.c     row form -> plan -> tile program, verified -> text of one kind; the time of each
 *   signature.c  what a launch must know of a spec and its plan
 *   key.c        what a kernel's code depends on
 *   tuned.c      plans that were found fastest on a device, kept in the cache
 *   system.c     the driver, ptxas and the disk cache: opened when first needed, shared
 *   code.c       a request's code: from the cache, else from the stages and an assembler
 *   kernel.c     code loaded and launched
 *   describe.c   a checked spec as a caller sees it
 *   bundle.c     code for several targets, compiled ahead of time
 *   header.c     a bundle's kernel as a C header, the bundle as a C array
 *
 * Threads: a device_system and a device_kernel may be used by any number of threads at once; a
 * kernel must be destroyed before its system. Each compilation has its own arena. */
#pragma once
#include "arch/arch.h"
#include "ast/ast.h"
#include "gpu/gpu.h"
#include "runtime/bundle.h"
#include "runtime/cache.h"
#include "runtime/program.h"
#include "runtime/ptxas.h"
#include <stdatomic.h>

/* Milliseconds; 0 where a stage did not run. `cache`: looking up and storing. */
typedef struct {
	double plan_ms, lower_ms, verify_ms, build_ms, optimise_ms, generate_ms, assemble_ms,
		cache_ms, driver_ms, load_ms;
} device_times;

/* --- stages.c --- */

/* Adds the stages' times, but not cache and load. */
void device_times_add(device_times *sum, const device_times *t);

typedef enum { DEVICE_PLAN, DEVICE_TILE, DEVICE_LLVM, DEVICE_PTX, DEVICE_CUDA } device_form;

/* One compilation for one architecture. The caller sets the first five. */
typedef struct {
	arena *arena;
	const row_form *form;
	const arch *arch;
	diags *diags;
	const gpu_choice *choice; /* sizes found by trying; NULL: the planner's */
	gpu_plan plan;
	tile_program *program; /* verified */
	device_times times;
} device_build;

/* Frees what the stages allocated outside of the arena. */
void device_build_clear(device_build *b);
/* Runs the stages that come before `form`'s text; false: reported. Running a stage again is free. */
bool device_build_until(device_build *b, device_form form);
/* Appends the text of one kind; false: reported. */
bool device_emit(device_build *b, device_form form, text *out);

/* --- signature.c --- */

/* Of a build with a program; false: the spec has more arguments than a kernel takes, reported. */
bool device_signature(const device_build *b, rt_kernel_signature *k);

/* --- system.c --- */

typedef struct device_system device_system;

typedef struct {
	const char *cache_directory; /* NULL: the default one */
	bool no_disk_cache;
	void (*note)(void *user, const char *text); /* NULL, or what the cache reports */
	void *user;
	rt_gpu *gpu; /* the driver to share, which must outlive the system; NULL: an own one */
} device_options;

typedef struct {
	uint64_t compiles, hits, loads;
} device_counts;

/* NULL: out of memory. `o` may be NULL. */
device_system *device_open(const device_options *o);
void device_close(device_system *s); /* NULL is ignored */
/* The driver. Errors: those of rt_cuda_open. */
rt_status device_driver(device_system *s, rt_cuda **cuda, rt_error *err);
/* ptxas, NULL where there is none. */
rt_ptxas *device_assembler(device_system *s);
/* The version of ptxas, remembered in the cache; NULL when it cannot be run. In `a`. */
const char *device_assembler_version(device_system *s, rt_ptxas *tool, arena *a);
/* NULL: out of memory. */
rt_cache *device_cache(device_system *s);
device_counts device_count(device_system *s);
/* The architecture to compile for on a device: its own. Errors: those of device_driver, ARGUMENT
 * (no such device), NO_CODE (older than the table). */
rt_status device_arch(device_system *s, int device, const arch **a, rt_error *err);

/* --- kernel.c --- */

typedef struct {
	const ast_file *file;
	const ast_spec *ast;
	const source *source;
	const sema_define *define; /* [defines] */
	int defines;
	const char *inner; /* the inner axis that was asked for, or NULL */
	const row_form *form;
	const arch *arch;
	const gpu_choice *choice; /* sizes found by trying; NULL: the planner's */
	/* The GPU that it is for: machine code is made and kept, by ptxas where that is installed,
	 * else by the driver. RT_CURRENT: any; then the code is PTX. */
	int device;
} device_request;

typedef struct device_kernel device_kernel;

/* Code from the cache, else compiled. NULL: reported to `d`. Where the kernel moves tensors by TMA,
 * one for all other tensors is compiled when it is first needed, and so are the variants of a request
 * without choice (gpu_variants): what the request points to must live as long as the kernel. */
device_kernel *device_compile(
	device_system *s, const device_request *r, arena *a, diags *d, device_times *t);
/* A kernel with code that somebody else made for the same request: PTX or a cubin. */
device_kernel *device_adopt(device_system *s, const device_request *r, const void *image,
	size_t size, arena *a, diags *d, device_times *t);
void device_destroy(device_kernel *k); /* NULL is ignored */
/* Its images, for launches. */
rt_program *device_program(const device_kernel *k);

/* --- describe.c --- */

/* In `a`. */
rt_interface device_interface(arena *a, const sema_spec *s);
DLDataType device_dtype(sema_dtype t);

/* --- bundle.c --- */

/* Images of one spec under way; the caller sets the first two. */
typedef struct {
	arena *arena;
	rt_ptxas *assembler; /* makes a cubin beside each PTX; NULL: PTX alone */
	int images;
	rt_bundle_image image[RT_BUNDLE_IMAGES];
	device_times times;
} device_bundle;

/* Adds the code for a target, with its variants, unless it is there. *by_tma: it cannot take every tensor; then code
 * for device_portable_arch() belongs beside it. False: reported to `d`, or in `err` what ptxas
 * said. */
bool device_bundle_add(device_bundle *b, const row_form *form, const arch *a, diags *d,
	bool *by_tma, rt_error *err);
/* The latest architecture that kernels without TMA are generated for, of those whose code runs
 * where `a`'s does; NULL: none. */
const arch *device_portable_arch(const arch *a);

/* --- header.c --- */

void device_header(arena *a, const rt_bundle_kernel *k, text *out);
/* The bundle as an array for the C compiler. */
void device_embed(arena *a, const char *kernel, const void *bundle, size_t size, text *out);

/* --- key.c --- */

/* Of the PTX, and of a cubin by this assembler for this machine when `assembler` is not NULL. */
rt_cache_key device_key(const device_request *r, const char *assembler, const arch *machine);
/* Of what is remembered for a device and a class of problems, see tuned.c. */
rt_cache_key device_tuned_key(
	const device_request *r, const rt_device_info *gpu, const char *problem);
/* Digest of the compiler's sources, and "19.1.7". */
const char *device_build_id(void);

/* --- tuned.c --- */

/* What trying has found for one device and class of problems; texts are in the caller's arena. */
typedef struct {
	const char *gpu;       /* "NVIDIA H100 80GB HBM3" */
	const char *spec;      /* its name */
	const char *problem;   /* "B=4 N=8192 H=128 G=1 W1=32 W2=512" */
	const char *text;      /* of the choice; "" where the planner's own plan is the best */
	double ms, planned_ms; /* the winner's and the planner's own time */
	gpu_choice choice;
} device_tuned;

/* The class of a problem: each length and integer param at the nearest power of two. */
const char *device_tuned_class(
	arena *a, const sema_spec *s, const int64_t *length, const int64_t *param);
/* What is remembered for the request on its device; `problem` NULL: for the class that was tuned
 * last. False: nothing, or TRIKL_NO_TUNE=1, or the device cannot be asked. */
bool device_tuned_find(
	device_system *s, const device_request *r, const char *problem, arena *a, device_tuned *t);
/* Remembers t->text for t->problem and as the last. False: there is no memory or device. */
bool device_tuned_keep(device_system *s, const device_request *r, const device_tuned *t);
/* Reads an entry of this kind without its request: choice stays empty. False: not such an entry. */
bool device_tuned_read(arena *a, const char *data, size_t size, device_tuned *t);
/* The kind of the cache's entries. */
#define DEVICE_TUNED "tuned"
