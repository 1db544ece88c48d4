/* ptxas.h: an installed ptxas as a process: PTX in, a cubin out. Needs no driver and no GPU.
 *
 * Threads: an rt_ptxas may be used by any number of threads at once; each run has its own
 * temporary folder. */
#pragma once
#include "runtime/error.h"
#include <stdbool.h>

typedef struct rt_ptxas rt_ptxas;

typedef struct {
	const char *arch;  /* "sm_90a" */
	int timeout_ms;    /* 0: two minutes */
	int max_registers; /* 0: as the PTX says */
	bool line_info;    /* -lineinfo */
	bool debug;        /* -O0 instead of -O3 */
} rt_ptxas_options;

/* What the assembler says of the code; over several functions the sums of spills and the maxima of
 * the others. */
typedef struct {
	int registers, stack_bytes, spill_stores, spill_loads, shared_bytes, barriers;
	bool has_loss; /* serialised wgmma, ignored setmaxnreg: codes C75xx */
} rt_ptxas_figures;

typedef struct {
	void *cubin; /* owned; rt_ptxas_result_clear frees */
	size_t size;
	char *log; /* verbatim, owned, may be "" */
	rt_ptxas_figures figures;
} rt_ptxas_result;

/* Looks for the program; runs nothing. Where: $TRIKL_PTXAS ("none": do as if there were none),
 * PATH, $CUDA_HOME/bin, $CUDA_PATH/bin, /usr/local/cuda/bin. Errors: NO_TOOL (also when
 * TRIKL_PTXAS names no program), NO_MEMORY. */
rt_status rt_ptxas_find(rt_ptxas **tool, rt_error *err);
void rt_ptxas_destroy(rt_ptxas *tool);
const char *rt_ptxas_path(const rt_ptxas *tool);
/* Its version and build, "13.0.88 compiler.36424714_0": for cache keys. Runs the program once, the
 * first time; owned by the tool. Errors: TOOL, TIMEOUT. */
rt_status rt_ptxas_version(rt_ptxas *tool, const char **version, rt_error *err);
/* Size, time and inode of the program: equal stamps have equal versions, so that the version may
 * be remembered under path and stamp instead of starting a process. Errors: TOOL. */
rt_status rt_ptxas_stamp(const rt_ptxas *tool, char stamp[64], rt_error *err);

/* Assembles `size` bytes of PTX. Errors: REJECTED (the log says why), OLD_TOOL (it does not know
 * the architecture or the PTX version), TOOL, TIMEOUT, NO_MEMORY, ARGUMENT. `result` is empty
 * then. */
rt_status rt_ptxas_run(rt_ptxas *tool, const char *ptx, size_t size,
	const rt_ptxas_options *options, rt_ptxas_result *result, rt_error *err);
void rt_ptxas_result_clear(rt_ptxas_result *result);
/* QUALITY when the code spills registers or has a C75xx warning: the message quotes the first. */
rt_status rt_ptxas_check(const rt_ptxas_result *result, rt_error *err);
/* The figures in what ptxas -v printed. */
void rt_ptxas_parse(const char *log, rt_ptxas_figures *figures);
/* Whether a log of ptxas or of the driver's compiler has a C75xx or "Potential Performance Loss";
 * `line` (may be NULL) is set to the start of the line, `length` to its length. */
bool rt_ptxas_find_loss(const char *log, const char **line, size_t *length);
