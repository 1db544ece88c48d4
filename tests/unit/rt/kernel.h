/* kernel.h: a kernel of a bundle as the tests use it: scale(q[B, N, 64], k[B, M, 64]) -> o[B, N, 64]
 * in bf16 with params W = 4 and s = 0.5, for the stand-in driver, which runs nothing. */
#pragma once
#include "runtime/bundle.h"

enum { SCALE_TENSORS = 3, SCALE_D = 64 };

/* An image of the kernel; `tma`: k comes by a tensor map. Constant. */
rt_bundle_image scale_image(const char *target, bool cubin, bool tma);
/* The kernel with the given images. */
rt_bundle_kernel scale_kernel(const rt_bundle_image *image, int images);
