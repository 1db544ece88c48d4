/* cpu.h: launching a CPU kernel. A kernel is a table of machine-code functions and the sizes they
 * were compiled for; compiler/host makes it in this process, `trikl build` writes it as an object
 * file with a header. Launching needs neither the compiler nor LLVM.
 *
 * Work: groups (one per batch coordinate and key head) are taken in rounds that bound the
 * workspace. A round packs the key operands of its groups in parallel, then computes blocks of
 * query rows in parallel. Outputs do not depend on the number of threads. */
#pragma once
#include "runtime/pool.h"
#include <stdbool.h>
#include <stdint.h>

#define RT_CPU_MAX_AXES 16
#define RT_CPU_MAX_STREAMS 24
#define RT_CPU_MAX_TENSORS 64

typedef void rt_cpu_pack(
	const int64_t *args, const int64_t *coord, void *const *packed, int64_t from, int64_t to);
typedef void rt_cpu_range(const int64_t *args, const int64_t *coord, int64_t *out, int64_t i0,
	int64_t i1, int64_t h0, int64_t h1);
typedef void rt_cpu_rows(const int64_t *args, const int64_t *coord, void *const *packed,
	void *scratch, int64_t i0, int64_t i1, int64_t h0, int64_t h1);

/* An axis of the problem: where its coordinate goes and which length bounds it. */
typedef struct {
	int coord, length;
} rt_cpu_axis;

typedef struct {
	rt_cpu_pack *pack_inner, *pack_outer[3];
	rt_cpu_range *key_range;
	rt_cpu_rows *rows;
	/* argument block: data pointers, then strides in elements, lengths, params */
	int tensors, lengths, params;
	int rank[RT_CPU_MAX_TENSORS], stride_word[RT_CPU_MAX_TENSORS];
	int length_word, param_word, arg_words;
	bool param_is_int[RT_CPU_MAX_TENSORS];
	/* problem */
	int batches;
	rt_cpu_axis batch[RT_CPU_MAX_AXES];
	bool has_head, has_group, has_query;
	rt_cpu_axis head, group, query; /* head.coord is unused: heads are looped over inside */
	int keys, outers;
	int inner_key, outer_key[3];       /* position among the key axes */
	int inner_length, outer_length[3]; /* lengths */
	bool window_by_head;
	/* workspace */
	int64_t key_pad, b_bytes,
		v_bytes; /* keys are packed in multiples of key_pad; bytes per key */
	int streams;
	int stream_outer[RT_CPU_MAX_STREAMS]; /* position among the outer axes, -1: a row stream */
	int64_t stream_bytes[RT_CPU_MAX_STREAMS];
	int64_t scratch_bytes, row_bytes;
} rt_cpu_kernel;

/* Arguments in the spec's order. An output's data may be NULL (not wanted). Strides in elements,
 * any sign. */
typedef struct {
	void *const *data;
	const int64_t *const *stride;
	const int64_t *length;
	const int64_t *param_int;
	const double *param_float;
	void (*progress)(void *user, double done); /* NULL, or called by the launching thread */
	void *progress_user;
} rt_cpu_args;

/* Runs the kernel on the pool and returns when it is done. false: no memory for the workspace.
 * Thread-safe. */
bool rt_cpu_launch(const rt_cpu_kernel *k, const rt_cpu_args *args, rt_pool *pool);
/* Bytes of workspace of such a launch. */
int64_t rt_cpu_workspace(const rt_cpu_kernel *k, const rt_cpu_args *args, int threads);
