/* interface.h: what a caller sees of a kernel: tensors, lengths and params in the spec's order, as
 * include/trikl.h describes them. The compiler fills one for a checked spec, a bundle holds one for
 * each of its kernels. Constant once made; whoever made it owns what it points to. */
#pragma once
#include "trikl.h"
#include <stdbool.h>

/* The rank of a tensor is at most this. */
#define RT_INTERFACE_RANK 8

typedef struct {
	const char *name;
	int tensors, inputs, lengths, params; /* inputs come first */
	const tkl_tensor_info *tensor;
	const tkl_length_info *length;
	const tkl_param_info *param;
} rt_interface;
