/* call.h: one launch of a two-key spec through the public API, for tests of the library. Every part
 * of the launch may be changed between call_make and call_launch. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <trikl.h>

/* Tensors: 0 q, 1 k, 2 v, 3 w, 4 o, 5 lse. Lengths B, N, H, M, G. Params W, scale. */
#define CALL_SPEC                                                                                  \
	"attention two(q : f32[B, i, H, D], k : f32[B, j, G, D], v : f32[B, j, G, D],\n"           \
	"    w : f32[B, l, G, D]) -> (o : f32[B, i, H, D], lse : f32[B, H, i]) {\n"                \
	"    const D = 4\n"                                                                        \
	"    param W = 3, scale = 0.5\n"                                                           \
	"    group G of H\n"                                                                       \
	"    index i : N\n    index j, l : M\n"                                                    \
	"    window j in (i - W, i]\n"                                                             \
	"    s = scale * sum(d) q[d] * k[d] * w[d]\n"                                              \
	"    p = softmax(j, l) s\n"                                                                \
	"    o = sum(j, l) p * v * w\n"                                                            \
	"    lse = logsumexp(j, l) s\n"                                                            \
	"}\n"

enum { CALL_TENSORS = 6, CALL_B = 2, CALL_N = 5, CALL_H = 4, CALL_M = 6, CALL_G = 2, CALL_D = 4 };

typedef struct {
	tkl_kernel *kernel;
	DLTensor tensor[CALL_TENSORS];
	const DLTensor *tensors[CALL_TENSORS];
	int64_t shape[CALL_TENSORS][4], stride[CALL_TENSORS][4];
	float *data[CALL_TENSORS];
	tkl_launch_args args;
} call;

static inline tkl_kernel *call_compile(tkl_context *context, const char *spec, const char *target)
{
	tkl_compile_options options = {.struct_size = sizeof options, .target = target};
	tkl_kernel *kernel;

	if (tkl_compile(context, spec, strlen(spec), &options, &kernel, NULL))
		fail_msg("%s", tkl_last_error_message());
	return kernel;
}

static inline void call_shape(call *c, int t, int64_t x, int64_t y, int64_t z, int64_t u)
{
	int64_t shape[4] = {x, y, z, u}, count = 1;

	memcpy(c->shape[t], shape, sizeof shape);
	for (int d = c->tensor[t].ndim - 1; d >= 0; d--) {
		c->stride[t][d] = count;
		count *= shape[d];
	}
	free(c->data[t]);
	c->data[t] = calloc((size_t)count + 1, sizeof(float));
	for (int64_t n = 0; n < count; n++)
		c->data[t][n] = t < 4 ? (float)sin((double)n * 0.37 + t) : 777;
	c->tensor[t].data = c->data[t];
}

/* A launch whose lengths are as given; the tensors are filled with reproducible values. */
static inline call *call_sized(
	tkl_kernel *kernel, int64_t B, int64_t N, int64_t H, int64_t M, int64_t G)
{
	call *c = calloc(1, sizeof *c);

	c->kernel = kernel;
	for (int t = 0; t < CALL_TENSORS; t++) {
		c->tensor[t] = (DLTensor){.device = {kDLCPU, 0},
			.ndim = t < 5 ? 4 : 3,
			.dtype = {kDLFloat, 32, 1},
			.shape = c->shape[t],
			.strides = c->stride[t]};
		c->tensors[t] = &c->tensor[t];
	}
	call_shape(c, 0, B, N, H, CALL_D);
	for (int t = 1; t < 4; t++)
		call_shape(c, t, B, M, G, CALL_D);
	call_shape(c, 4, B, N, H, CALL_D);
	call_shape(c, 5, B, H, N, 0);
	c->args = (tkl_launch_args){
		.struct_size = sizeof c->args, .tensors = c->tensors, .tensor_count = CALL_TENSORS};
	return c;
}

static inline call *call_make(tkl_kernel *kernel)
{
	return call_sized(kernel, CALL_B, CALL_N, CALL_H, CALL_M, CALL_G);
}

static inline tkl_status call_launch(call *c)
{
	return tkl_launch(c->kernel, &c->args);
}

static inline void call_free(call *c)
{
	for (int t = 0; t < CALL_TENSORS; t++)
		free(c->data[t]);
	free(c);
}

/* The launch fails with `status` and a message that contains `words`; frees the call. */
static inline void call_fails(call *c, tkl_status status, const char *words)
{
	tkl_status got = call_launch(c);

	if (got != status || !strstr(tkl_last_error_message(), words))
		fail_msg("status %d, %s; expected %d, %s", got, tkl_last_error_message(), status,
			words);
	call_free(c);
}
