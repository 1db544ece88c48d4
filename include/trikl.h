/* trikl.h: compile attention specs at run time and launch them.
 *
 *   tkl_context  worker threads, the GPU driver and the disk cache, shared by the kernels compiled
 *                in it
 *   tkl_kernel   one compiled spec: its signature and its code
 *
 * The whole life of a kernel:
 *
 *   tkl_context_create(NULL, &context);
 *   tkl_compile(context, text, strlen(text), NULL, &kernel, &diagnostics);
 *   tkl_launch(kernel, &(tkl_launch_args){.struct_size = sizeof(tkl_launch_args), ...});
 *   tkl_kernel_destroy(kernel);
 *   tkl_context_destroy(context);
 *
 * Errors. Every function that can fail returns a tkl_status and, when that is not TKL_OK, leaves a
 * sentence about it in tkl_last_error_message(). Nothing is written through the result pointers
 * then, except where stated. The library never prints, exits, aborts or throws; a fault of its own
 * is TKL_ERROR_INTERNAL. A compilation that runs out of memory may lose some of it.
 *
 * Threads. Contexts and kernels are immutable after creation: any number of threads may compile in
 * one context and launch one kernel at once; loops of several launches share the context's worker
 * threads and queue up. Destroying an object while another thread uses it is a mistake. After
 * fork() a child must not use the parent's contexts.
 *
 * GPUs. A kernel for "cuda:N" or "sm_90a" takes tensors in that device's memory and runs on the
 * caller's stream; it works in the thread's current CUDA context when that belongs to the device,
 * else in the device's primary context. A launch neither allocates nor waits, and may be captured
 * into a CUDA graph once tkl_prepare() has been called for the context. Tensors whose addresses and
 * strides are multiples of 16 bytes are fastest; a kernel that needs that (TMA) has a companion for
 * all others, compiled when a launch first needs it. The driver is loaded when it
 * is first needed: the library works on machines without one. A kernel must not be destroyed before
 * its launches are finished, and graphs with one of them destroyed.
 *
 * Disk cache. Generated GPU code is kept under $TRIKL_CACHE_DIR, else $XDG_CACHE_HOME/trikl, else
 * ~/.cache/trikl; $TRIKL_CACHE_DISABLE=1 does without. What is found there is checked before it is
 * used; what cannot be read or written is made again or kept in memory.
 *
 * Ownership. What a query returns belongs to the kernel and lives as long as it. Arguments are read
 * during the call only. A kernel keeps its context alive, so the two may be destroyed in either
 * order.
 *
 * Structs whose first member is struct_size may grow in later versions: set it to sizeof the
 * struct, and all that you do not use to zero. */
#ifndef TRIKL_H
#define TRIKL_H

#include <stddef.h>
#include <stdint.h>
#include <dlpack/dlpack.h>

#define TKL_VERSION_MAJOR 0
#define TKL_VERSION_MINOR 1
#define TKL_VERSION_PATCH 0
#define TKL_VERSION (TKL_VERSION_MAJOR * 10000 + TKL_VERSION_MINOR * 100 + TKL_VERSION_PATCH)

#if defined(__GNUC__)
#define TKL_API __attribute__((visibility("default")))
#else
#define TKL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- status --- */

typedef enum tkl_status {
	TKL_OK = 0,
	TKL_ERROR_ARGUMENT = 1,    /* NULL, a wrong struct_size, an unknown name or index  */
	TKL_ERROR_SPEC = 2,        /* the spec has errors: see the diagnostics             */
	TKL_ERROR_UNSUPPORTED = 3, /* a correct spec that the target cannot run            */
	TKL_ERROR_SHAPE = 4,       /* rank or size of a tensor, a length missing or wrong  */
	TKL_ERROR_DTYPE = 5,       /* a tensor's data type is not the spec's               */
	TKL_ERROR_DEVICE = 6,      /* a tensor lies on a device that the kernel cannot use */
	TKL_ERROR_LAYOUT = 7,      /* NULL or misaligned data, strides that overlap        */
	TKL_ERROR_RANGE = 8,       /* a subscript was out of range (reference only)        */
	TKL_ERROR_MEMORY = 9,      /* out of memory, of the host or of the GPU             */
	TKL_ERROR_INTERNAL = 10,   /* a fault of the library: please report                */
	TKL_ERROR_NO_DEVICE = 11,  /* no driver, no GPU, or not the one that was asked for */
	TKL_ERROR_CODE = 12,       /* the kernel's code does not run on this GPU           */
	TKL_ERROR_CAPTURE = 13,    /* a load or compilation is needed during stream capture */
	TKL_ERROR_DRIVER = 14,     /* a call of the CUDA driver failed                     */
	TKL_ERROR_BUNDLE = 15      /* no bundle, a damaged one, or another format's        */
} tkl_status;

/* The version of the library at run time, as TKL_VERSION. */
TKL_API int tkl_version(void);
/* The status as a short English phrase, static. */
TKL_API const char *tkl_status_string(tkl_status status);
/* One sentence about the newest failure in the calling thread; "" when there was none. Valid until
 * the next failure in the thread. For TKL_ERROR_SPEC: the first error, with file:line:column. */
TKL_API const char *tkl_last_error_message(void);
/* The CUresult behind the newest failure in the calling thread; 0 when no call of the CUDA driver
 * failed. */
TKL_API int tkl_last_error_driver(void);
/* Frees text that the library gave away. NULL is ignored. */
TKL_API void tkl_free(void *memory);

/* --- context --- */

typedef struct tkl_context tkl_context;

typedef struct tkl_context_options {
	size_t struct_size;
	int threads; /* workers of a launch, the launching thread included; 0: one per core of
		      * the process's affinity mask */
	const char *cache_directory; /* NULL: as the environment says                         */
	int no_disk_cache;           /* 1: generated code is kept in memory only              */
	/* NULL, or told what is unusual but no error: a damaged cache entry, a directory that
	 * cannot be used. Called by any thread that compiles. */
	void (*note)(void *user, const char *text);
	void *note_user;
} tkl_context_options;

/* Makes a context; `options` NULL: the defaults. Starts its worker threads (none for threads = 1),
 * which sleep while nothing is launched. Errors: ARGUMENT, MEMORY (also when threads cannot be
 * started). */
TKL_API tkl_status tkl_context_create(const tkl_context_options *options, tkl_context **context);
/* Gives the context up; its threads end with the last kernel compiled in it. NULL is ignored. */
TKL_API void tkl_context_destroy(tkl_context *context);
/* Worker threads of a launch, the launching thread included. */
TKL_API int tkl_context_threads(const tkl_context *context);

/* Of GPU kernels, since the context was created. */
typedef struct tkl_counters {
	size_t struct_size;
	uint64_t compiles;   /* code that was generated                              */
	uint64_t cache_hits; /* kernels whose code was found in memory or on disk    */
	uint64_t loads;      /* of a kernel's code into a CUDA context               */
} tkl_counters;

/* Fills *counters, whose struct_size the caller has set. Errors: ARGUMENT. */
TKL_API tkl_status tkl_context_counters(const tkl_context *context, tkl_counters *counters);

/* --- compiling --- */

typedef struct tkl_kernel tkl_kernel;

/* A const or param of the spec set to a value, as -D NAME=VALUE: "64", "0.5", "f16". */
typedef struct tkl_define {
	const char *name, *value;
} tkl_define;

typedef enum tkl_diagnostics_format {
	TKL_DIAGNOSTICS_TEXT = 0,  /* file:line:column: error: ..., source line, caret */
	TKL_DIAGNOSTICS_COLOR = 1, /* the same with terminal colours                   */
	TKL_DIAGNOSTICS_JSON = 2   /* one array of objects                             */
} tkl_diagnostics_format;

typedef struct tkl_compile_options {
	size_t struct_size;
	const char *spec;          /* which attention of the source; NULL: its only one      */
	const char *source_name;   /* in diagnostics; NULL: "<string>"                       */
	const char *target;        /* "cpu": vectorised machine code for this machine;
				    * "reference": float64 interpreter, for any spec, slow;
				    * "cuda:N": the N-th GPU (CUDA's numbering), with the plan
				    * that `trikl tune` found there last, if it did;
				    * "sm_80", "sm_90a", ...: GPUs that run this
				    * architecture's code, none of which need be here;
				    * NULL: "cpu"                                            */
	const tkl_define *defines; /* [define_count] */
	size_t define_count;
	tkl_diagnostics_format diagnostics_format;
} tkl_compile_options;

/* Compiles one attention of the `length` bytes at `string` (UTF-8, need not be zero-terminated);
 * `options` NULL: the defaults. `diagnostics` may be NULL; else it gets the errors and warnings as
 * text to be freed with tkl_free, or NULL when there are none, also when the call fails. Errors:
 * ARGUMENT (unknown spec or target; which attention is not stated), SPEC, UNSUPPORTED (no row form
 * for "cpu" or a GPU: the message names the term that prevents it; operands or a schedule that the
 * GPU target cannot have), NO_DEVICE, CODE (the GPU is too old), DRIVER, MEMORY, INTERNAL. */
TKL_API tkl_status tkl_compile(tkl_context *context, const char *string, size_t length,
	const tkl_compile_options *options, tkl_kernel **kernel, char **diagnostics);
/* Frees the kernel and its code. NULL is ignored. */
TKL_API void tkl_kernel_destroy(tkl_kernel *kernel);
/* The code of a GPU kernel, *size bytes: PTX text, or a cubin where ptxas is installed; of a bundle
 * the first image. NULL for kernels of other targets. */
TKL_API const void *tkl_kernel_code(const tkl_kernel *kernel, size_t *size);
/* Loads a GPU kernel for a device, so that launches there load nothing; to be called before stream
 * capture, with the context current that will launch. Compiles and loads as well what tensors that
 * TMA cannot take would need. Does nothing for kernels of other targets. Errors: ARGUMENT,
 * NO_DEVICE, CODE, MEMORY, DRIVER. */
TKL_API tkl_status tkl_prepare(const tkl_kernel *kernel, int device);

/* --- bundles ---
 *
 * `trikl build SPEC --target sm_80,sm_90a --emit bundle` compiles ahead of time: the file holds the
 * kernel's signature with code for each of the targets. libtrikl-rt, a small library without the
 * compiler, has all functions of this header but tkl_compile, so that a program which launches
 * kernels from bundles needs nothing else; libtrikl has these two functions as well. Of the code in
 * a bundle the best for the device is taken when it is first launched there or prepared. */

/* Makes a kernel from the `size` bytes of a bundle at `data`, which are copied. `name`: which
 * attention of the bundle; NULL: its only one. Needs neither driver nor GPU. Errors: ARGUMENT,
 * BUNDLE, MEMORY. */
TKL_API tkl_status tkl_bundle_load(
	tkl_context *context, const void *data, size_t size, const char *name, tkl_kernel **kernel);
/* The same from a file. ARGUMENT also when it cannot be read. */
TKL_API tkl_status tkl_bundle_open(
	tkl_context *context, const char *path, const char *name, tkl_kernel **kernel);

/* --- signature --- */

/* One dimension of a tensor: a run-time length, or a size that was fixed when the spec was
 * compiled. */
typedef struct tkl_dimension {
	const char *name; /* as the spec writes it: "B", "N", "D"                */
	int length;       /* index of the run-time length, -1 for a fixed size   */
	int64_t extent;   /* the fixed size in elements, -1 for a run-time length */
} tkl_dimension;

typedef struct tkl_tensor_info {
	size_t struct_size;
	const char *name;
	DLDataType dtype;
	int ndim;
	const tkl_dimension *dimensions; /* [ndim], outermost first */
	int is_output;
} tkl_tensor_info;

typedef struct tkl_length_info {
	size_t struct_size;
	const char *name;
	int divides;    /* index of the length that this one must divide (G of H), -1: none    */
	int is_implied; /* some input has it as a dimension; else every launch must pass it,
			 * unless an output that is passed has it                              */
} tkl_length_info;

typedef enum tkl_param_type { TKL_PARAM_INT = 0, TKL_PARAM_FLOAT = 1 } tkl_param_type;

typedef union tkl_value {
	int64_t i; /* TKL_PARAM_INT   */
	double f;  /* TKL_PARAM_FLOAT */
} tkl_value;

typedef struct tkl_param_info {
	size_t struct_size;
	const char *name;
	tkl_param_type type;
	tkl_value default_value;
} tkl_param_info;

/* Name of the attention, and the target it was compiled for. */
TKL_API const char *tkl_kernel_name(const tkl_kernel *kernel);
TKL_API const char *tkl_kernel_target(const tkl_kernel *kernel);
/* How many tensors (inputs first, each group in the spec's order), lengths and params the kernel
 * has. */
TKL_API int tkl_kernel_tensor_count(const tkl_kernel *kernel);
TKL_API int tkl_kernel_length_count(const tkl_kernel *kernel);
TKL_API int tkl_kernel_param_count(const tkl_kernel *kernel);
/* The index of a tensor, length or param by its name; -1 when there is none. */
TKL_API int tkl_kernel_find_tensor(const tkl_kernel *kernel, const char *name);
TKL_API int tkl_kernel_find_length(const tkl_kernel *kernel, const char *name);
TKL_API int tkl_kernel_find_param(const tkl_kernel *kernel, const char *name);
/* Fills *info, whose struct_size the caller has set. Errors: ARGUMENT. */
TKL_API tkl_status tkl_kernel_tensor(const tkl_kernel *kernel, int index, tkl_tensor_info *info);
TKL_API tkl_status tkl_kernel_length(const tkl_kernel *kernel, int index, tkl_length_info *info);
TKL_API tkl_status tkl_kernel_param(const tkl_kernel *kernel, int index, tkl_param_info *info);

/* --- launching --- */

/* The value of one param for one launch. */
typedef struct tkl_param {
	int index;
	tkl_value value;
} tkl_param;

/* The value of one run-time length, in elements. */
typedef struct tkl_length {
	const char *name;
	int64_t value;
} tkl_length;

typedef struct tkl_launch_args {
	size_t struct_size;
	const DLTensor *const *tensors; /* [tensor_count], in the signature's order; an output that
					 * is NULL is not computed */
	size_t tensor_count;            /* tkl_kernel_tensor_count() */
	const tkl_param *params; /* [param_count], any order; the others have their defaults */
	size_t param_count;
	const tkl_length *lengths; /* [length_count] lengths that no tensor passed implies;
				    * implied ones may be given too and are compared */
	size_t length_count;
	void *stream; /* CUstream of a GPU kernel, NULL: the default stream; NULL for others */
	void (*progress)(void *user, double done); /* NULL, or called by the launching thread now
						    * and then with a fraction; must not launch in
						    * this context, nor leave by longjmp */
	void *progress_user;
} tkl_launch_args;

/* Runs the kernel and returns when it is done; a GPU kernel is queued on the stream.
 *
 * Tensors are DLPack's: strides in elements of any sign (NULL: compact, row-major), byte_offset is
 * honoured, data must be aligned to its element and may be NULL only when the tensor has no
 * elements; device kDLCPU or a pinned host memory; for a GPU kernel kDLCUDA, all on one device, or
 * managed or pinned memory, with a last dimension of stride 1. Shapes fix the run-time lengths: the
 * first tensor that has a length decides, all others must agree, and a grouped length must divide
 * its row length. Inputs may overlap each other and may be broadcast by stride 0; outputs must
 * overlap nothing. Any length may be zero. The reference accepts f64 and f32 in the place of any floating
 * type.
 *
 * Contents: a query with no visible key gives output 0 and logsumexp -inf; NaN and infinity spread
 * from visible keys only. Outputs are undefined after an error other than of the arguments. Errors:
 * ARGUMENT, SHAPE, DTYPE, DEVICE, LAYOUT (nothing was run); RANGE, MEMORY, INTERNAL; of GPU kernels
 * also NO_DEVICE, CODE, CAPTURE, DRIVER (a fault of earlier work in the context shows here too). */
TKL_API tkl_status tkl_launch(const tkl_kernel *kernel, const tkl_launch_args *args);
/* Most of the memory that such a launch allocates for its duration, in bytes: a CPU kernel packs the
 * keys of some groups at a time and has scratch for each thread; 0 for GPU kernels, which allocate
 * nothing, and for the reference, which takes little. The data of tensors is not read. Errors:
 * those of the arguments. */
TKL_API tkl_status tkl_launch_workspace(
	const tkl_kernel *kernel, const tkl_launch_args *args, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
