/* kernel.h: how a generated GPU kernel is launched. Its signature is plain data that lies beside the
 * code in caches and bundles; a launch packs the arguments into one block, finds the grid, and
 * starts the module.
 *
 * Kernel arguments in order: tensors (64-bit addresses); for each tensor the strides of all but its
 * last dimension (64-bit, elements); lengths (32-bit); params (32-bit integers or floats);
 * `aligned` (32-bit, 1 when addresses and strides of the copied tensors are multiples of 16
 * bytes); `wanted` (32-bit, bit n: output n is computed, it has data); tensor maps (128 bytes at multiples of 64), which describe a tensor to TMA. A block of the
 * grid computes `rows` rows; rows are numbered by position, then by the heads of one group. The grid
 * has one dimension: such blocks, for each group and batch coordinate. */
#pragma once
#include "runtime/launch.h"
#include <stdint.h>

#define RT_KERNEL_RANK 8
#define RT_KERNEL_TENSORS 32
#define RT_KERNEL_LENGTHS 32
#define RT_KERNEL_PARAMS 64
#define RT_KERNEL_MAPS 8
#define RT_KERNEL_NAME 48         /* names of arguments are cut to this, with the 0 */
#define RT_KERNEL_PARAMETERS 4096 /* bytes: what every driver takes */

/* Lengths above this are refused, and integer params that bound windows are clamped to it, so that
 * index arithmetic stays within 32 bits. */
#define RT_KERNEL_MOST (INT64_C(1) << 30)

typedef struct {
	char name[RT_KERNEL_NAME];
	uint8_t bytes; /* of an element */
	uint8_t rank;
	bool output;
	bool copied;                    /* by 16-byte copies where addresses and strides allow */
	int16_t length[RT_KERNEL_RANK]; /* of each dimension: index of a run-time length, or -1 */
	int32_t extent[RT_KERNEL_RANK]; /* where it is -1 */
} rt_kernel_tensor;

typedef struct {
	char name[RT_KERNEL_NAME];
	bool is_float;
	bool exact; /* used beyond windows and masks: never clamped, but refused out of range */
} rt_kernel_param;

/* A tensor map: boxes of a tensor for TMA, in shared memory with the 128-byte swizzle. What lies out
 * of range reads as 0. */
typedef struct {
	int16_t tensor;
	int16_t box[RT_KERNEL_RANK]; /* extents of a box, in the tensor's dimension order */
} rt_kernel_map;

/* No padding that is not zero: signatures are compared and stored as bytes. */
typedef struct {
	char entry[256];               /* the kernel's symbol */
	char target[16];               /* "sm_90a" */
	int32_t threads, rows, shared; /* of a block; shared in bytes, dynamic */
	int32_t query, head, group;    /* indices of lengths, or -1 */
	/* It is right for any number of query heads a group, and another kernel of the program may be
	 * faster for less or more than these; 0: no bound. */
	int32_t heads_least, heads_most;
	int32_t batches,
		batch[RT_KERNEL_RANK]; /* lengths: the rows are there for each of them, and `group` */
	int32_t tensors, lengths, params;
	rt_kernel_tensor tensor[RT_KERNEL_TENSORS];
	char length[RT_KERNEL_LENGTHS][RT_KERNEL_NAME];
	rt_kernel_param param[RT_KERNEL_PARAMS];
	int32_t maps;
	rt_kernel_map map[RT_KERNEL_MAPS];
} rt_kernel_signature;

/* Arguments of one launch; arrays in the signature's order. The caller has checked shapes. */
typedef struct {
	const uint64_t *data;         /* [tensors]: device addresses */
	const int64_t *const *stride; /* [tensors][rank] in elements */
	const int64_t *length;        /* [lengths] */
	const int64_t *param_int;     /* [params] */
	const double *param_float;    /* [params] */
} rt_kernel_args;

typedef struct {
	unsigned grid[3]; /* one 0: nothing to compute */
	uint32_t size;    /* of `parameters` */
	uint32_t maps;    /* where the tensor maps lie; zero until rt_kernel_encode */
	_Alignas(64) unsigned char parameters[RT_KERNEL_PARAMETERS];
} rt_kernel_packed;

/* Query heads a group of such a launch; 0: it has none. */
int64_t rt_kernel_heads(const rt_kernel_signature *k, const int64_t *length);
/* Whether that number lies in the kernel's range; 0 always does. */
bool rt_kernel_suits(const rt_kernel_signature *k, int64_t heads);
/* Size of the parameter block. */
uint32_t rt_kernel_parameter_bytes(const rt_kernel_signature *k);
/* Fills `out`. Errors: ARGUMENT (a tensor or output is missing, a param is out of range), LAYOUT
 * (misaligned data, a last dimension that is not contiguous), SHAPE (a length or the grid is too
 * large). */
rt_status rt_kernel_pack(const rt_kernel_signature *k, const rt_kernel_args *args,
	rt_kernel_packed *out, rt_error *err);
/* Whether addresses and strides of the tensors that maps describe are such that TMA takes them. */
bool rt_kernel_maps_fit(const rt_kernel_signature *k, const rt_kernel_args *args);
/* Writes the tensor maps. *fits false: a tensor that one describes does not suit TMA (address or
 * strides no multiples of 16 bytes, negative strides, a driver before CUDA 12.0), so another kernel
 * must take the launch. Allocates nothing. Errors: those of a context for the device, DRIVER. */
rt_status rt_kernel_encode(rt_cuda *cuda, int device, const rt_kernel_signature *k,
	const rt_kernel_args *args, rt_kernel_packed *out, bool *fits, rt_error *err);
/* Starts the kernel with what was packed. Errors: those of rt_launch. */
rt_status rt_kernel_start(rt_module *module, const rt_kernel_signature *k,
	const rt_kernel_packed *packed, int device, cu_stream stream, rt_error *err);
/* Whether every count and index of a signature that was read from somewhere is in range. */
bool rt_kernel_valid(const rt_kernel_signature *k);
