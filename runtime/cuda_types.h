/* cuda_types.h: the types and constants of the CUDA Driver API that Trikl uses, so that building
 * needs no CUDA toolkit. Enumerations are passed as `unsigned`, which is their ABI.
 * tests/unit/cuda/test_abi.c compares all of this with NVIDIA's cuda.h where one is installed. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef unsigned cu_result; /* CUresult */
typedef int cu_device;
typedef unsigned long long cu_deviceptr;
typedef struct CUctx_st *cu_context;
typedef struct CUmod_st *cu_module;
typedef struct CUfunc_st *cu_function;
typedef struct CUlib_st *cu_library;
typedef struct CUkern_st *cu_kernel;
typedef struct CUstream_st *cu_stream;
typedef struct CUevent_st *cu_event;
typedef struct CUlinkState_st *cu_link;

typedef struct {
	char bytes[16];
} cu_uuid;

typedef struct {
	unsigned id;
	char pad[4];
	union {
		char bytes[64];
		struct {
			unsigned x, y, z;
		} cluster;
	} value;
} cu_launch_attribute;

typedef struct {
	unsigned grid_x, grid_y, grid_z;
	unsigned block_x, block_y, block_z;
	unsigned shared;
	cu_stream stream;
	cu_launch_attribute *attribute;
	unsigned attributes;
} cu_launch_config;

/* What TMA reads of a tensor, passed to kernels by value. */
typedef struct {
	_Alignas(64) uint64_t opaque[16];
} cu_tensor_map;

/* CU_CONST(our name, value, NVIDIA's name) */
#define CU_CONSTANTS                                                                               \
	CU_CONST(CU_OK, 0, CUDA_SUCCESS)                                                           \
	CU_CONST(CU_INVALID_VALUE, 1, CUDA_ERROR_INVALID_VALUE)                                    \
	CU_CONST(CU_NOT_SUPPORTED, 801, CUDA_ERROR_NOT_SUPPORTED)                                  \
	CU_CONST(CU_INVALID_CONTEXT, 201, CUDA_ERROR_INVALID_CONTEXT)                              \
	CU_CONST(CU_CONTEXT_DESTROYED, 709, CUDA_ERROR_CONTEXT_IS_DESTROYED)                       \
	CU_CONST(CU_CAPTURE_IMPLICIT, 906, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)                     \
	CU_CONST(CU_CAPTURE_NONE, 0, CU_STREAM_CAPTURE_STATUS_NONE)                                \
	CU_CONST(CU_CAPTURE_RELAXED, 2, CU_STREAM_CAPTURE_MODE_RELAXED)                            \
	CU_CONST(CU_PROC_DEFAULT, 0, CU_GET_PROC_ADDRESS_DEFAULT)                                  \
	CU_CONST(CU_STREAM_NON_BLOCKING, 1, CU_STREAM_NON_BLOCKING)                                \
	CU_CONST(CU_JIT_INFO, 3, CU_JIT_INFO_LOG_BUFFER)                                           \
	CU_CONST(CU_JIT_INFO_SIZE, 4, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES)                           \
	CU_CONST(CU_JIT_ERROR, 5, CU_JIT_ERROR_LOG_BUFFER)                                         \
	CU_CONST(CU_JIT_ERROR_SIZE, 6, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)                         \
	CU_CONST(CU_JIT_VERBOSE, 12, CU_JIT_LOG_VERBOSE)                                           \
	CU_CONST(CU_INPUT_PTX, 1, CU_JIT_INPUT_PTX)                                                \
	CU_CONST(CU_FUNC_MAX_THREADS, 0, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)                  \
	CU_CONST(CU_FUNC_SHARED, 1, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)                           \
	CU_CONST(CU_FUNC_LOCAL, 3, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)                             \
	CU_CONST(CU_FUNC_REGISTERS, 4, CU_FUNC_ATTRIBUTE_NUM_REGS)                                 \
	CU_CONST(CU_FUNC_BINARY, 6, CU_FUNC_ATTRIBUTE_BINARY_VERSION)                              \
	CU_CONST(CU_FUNC_DYNAMIC, 8, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)              \
	CU_CONST(CU_DEV_THREADS_BLOCK, 1, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)               \
	CU_CONST(CU_DEV_CLOCK, 13, CU_DEVICE_ATTRIBUTE_CLOCK_RATE)                                 \
	CU_CONST(CU_DEV_SMS, 16, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)                         \
	CU_CONST(CU_DEV_INTEGRATED, 18, CU_DEVICE_ATTRIBUTE_INTEGRATED)                            \
	CU_CONST(CU_DEV_COMPUTE_MODE, 20, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE)                        \
	CU_CONST(CU_DEV_ECC, 32, CU_DEVICE_ATTRIBUTE_ECC_ENABLED)                                  \
	CU_CONST(CU_DEV_MEMORY_CLOCK, 36, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)                   \
	CU_CONST(CU_DEV_BUS_WIDTH, 37, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)                \
	CU_CONST(CU_DEV_L2, 38, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)                                 \
	CU_CONST(CU_DEV_THREADS_SM, 39, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)        \
	CU_CONST(CU_DEV_MAJOR, 75, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)                   \
	CU_CONST(CU_DEV_MINOR, 76, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)                   \
	CU_CONST(CU_DEV_SHARED_SM, 81, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)   \
	CU_CONST(CU_DEV_REGISTERS_SM, 82, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR)    \
	CU_CONST(CU_DEV_SHARED_BLOCK, 97, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)   \
	CU_CONST(CU_DEV_BLOCKS_SM, 106, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR)         \
	CU_CONST(CU_MAP_U8, 0, CU_TENSOR_MAP_DATA_TYPE_UINT8)                                      \
	CU_CONST(CU_MAP_U16, 1, CU_TENSOR_MAP_DATA_TYPE_UINT16)                                    \
	CU_CONST(CU_MAP_U32, 2, CU_TENSOR_MAP_DATA_TYPE_UINT32)                                    \
	CU_CONST(CU_MAP_U64, 4, CU_TENSOR_MAP_DATA_TYPE_UINT64)                                    \
	CU_CONST(CU_MAP_PLAIN, 0, CU_TENSOR_MAP_INTERLEAVE_NONE)                                   \
	CU_CONST(CU_MAP_SWIZZLE_128, 3, CU_TENSOR_MAP_SWIZZLE_128B)                                \
	CU_CONST(CU_MAP_PROMOTE_256, 3, CU_TENSOR_MAP_L2_PROMOTION_L2_256B)                        \
	CU_CONST(CU_MAP_FILL_ZERO, 0, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)                           \
	CU_CONST(CU_ATTRIBUTE_CLUSTER, 4, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)                   \
	CU_CONST(CU_PARAM_POINTER, 1, CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT)                       \
	CU_CONST(CU_PARAM_SIZE, 2, CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT)

#ifndef CU_TYPES_ONLY /* the comparison includes NVIDIA's header, which has some of these names */
enum {
#define CU_CONST(name, value, theirs) name = value,
	CU_CONSTANTS
#undef CU_CONST
};
#endif
