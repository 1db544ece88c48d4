/* host.h: the CPU backend. row form -> LLVM IR -> machine code in this process (ORC LLJIT), or an
 * object file.
 *
 *   host.c       JIT and launch
 *   target.c     target machine, module, passes
 *   table.c      what the launcher must know
 *   object.c     LLVM IR, object file and its header as text
 *   builder.c    small layer over the LLVM C API: loops, vectors, calls
 *   stream.c     operand streams, packed ahead
 *   value.c      expr -> LLVM values (scalar, vectors along features, vectors along rows)
 *   math.c       exp2, log, tanh as vector polynomials; sin, cos, pow through libm in double
 *   micro.c      the register-blocked products: f32 FMA, bf16 dot, AMX tiles
 *   layout.c     sizes of vectors, tiles, packed operands, scratch
 *   access.c     tensors in memory: loads of every dtype, stores
 *   pack.c       key operands into the layouts of the products; windows
 *   tile.c       one tile of lanes: scores, online softmax, values, merge
 *   rows.c       lanes from rows and outer positions; normalise and store
 *   ../../runtime/cpu.c   launch: rounds, workspace, threads
 *
 * The computation is described at the top of rows.c and tile.c. */
#pragma once
#include "model/model.h"
#include "support/text.h"

typedef struct host_kernel host_kernel;

typedef enum { HOST_DOT_AUTO, HOST_DOT_F32, HOST_DOT_AVX512BF16, HOST_DOT_AMX } host_dot;

typedef struct {
	const char
		*cpu; /* LLVM CPU name; NULL: this machine, with its features found at run time */
	const char *features; /* LLVM feature string when cpu is given */
	int vector_bits;      /* 0: the widest the CPU has; 128, 256, 512 */
	host_dot dot;         /* instruction for products of bf16 operands */
} host_options;

typedef struct {
	double build_ms, optimise_ms,
		codegen_ms; /* IR construction; LLVM passes; code generation and linking */
} host_times;

/* What the kernel was built as, for `explain` and bench. */
typedef struct {
	const char *cpu;
	int vector_bits;
	const char *dot;   /* "f32 fma", "avx512-bf16", "amx-bf16" */
	int lanes;         /* rows that one tile holds */
	int key_block;     /* inner keys per block */
	const char *inner; /* name of the inner axis */
} host_info;

/* Compiles for this process. NULL: a diagnostic was reported. Keeps no reference to `m` or its
 * arena. */
host_kernel *host_compile(const row_form *m, const host_options *o, host_times *times, diags *d);
void host_destroy(host_kernel *k); /* NULL is ignored */
host_info host_describe(const host_kernel *k);

/* The module as text, before optimisation (`--emit llvm`), or as an ELF object (`build`). false:
 * reported. */
bool host_emit_ir(const row_form *m, const host_options *o, text *out, diags *d);
bool host_emit_object(const row_form *m, const host_options *o, text *out, diags *d);
/* The C header that goes with the object: its functions and a rt_cpu_kernel table for
 * runtime/cpu.h. */
bool host_emit_header(const row_form *m, const host_options *o, text *out, diags *d);

typedef struct rt_pool rt_pool;

/* Arguments of one launch; arrays in the spec's order. Strides in elements, any sign; the caller
 * has checked shapes, dtypes and that H is a multiple of G. Outputs may be NULL (not computed). */
typedef struct {
	void *const *data;            /* [tensors] */
	const int64_t *const *stride; /* [tensors][rank] */
	const int64_t *length;        /* [lengths] */
	const int64_t *param_int;     /* [params] */
	const double *param_float;    /* [params] */
	void (*progress)(void *user,
		double done); /* NULL, or called from the launching thread now and then */
	void *progress_user;
} host_args;

/* Runs the kernel; thread-safe, blocks until done. false: out of memory for the workspace. */
bool host_launch(const host_kernel *k, const host_args *args, rt_pool *pool);
/* Bytes of workspace that a launch of this size allocates. */
int64_t host_workspace(const host_kernel *k, const host_args *args, int threads);
