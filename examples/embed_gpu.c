/* embed_gpu: a complete host program for an NVIDIA GPU. Compiles 2-simplicial attention from a string for GPU 0,
 * launches it on a stream, and compares the result with a naive loop. The CUDA driver is loaded with dlopen, as the
 * library does: neither a CUDA toolkit nor a compiler is needed, to build or to run.
 * Build: cc embed_gpu.c $(pkg-config --cflags --libs trikl) -ldl -lm */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trikl.h>

enum { N = 77, D = 16, W = 9, Q = 0, K1, V1, K2, V2, O, TENSORS };

static const char spec[] =
	"attention two_simplicial(q : bf16[i, D], k1 : bf16[j, D], v1 : bf16[j, D],\n"
	"                         k2 : bf16[k, D], v2 : bf16[k, D]) -> (o : bf16[i, D]) {\n"
	"    const D = 16\n"
	"    param W = 32\n"
	"    index i, j, k : N\n"
	"    window j in (i - W, i]\n"
	"    window k in (i - W, i]\n"
	"    p = softmax(j, k) sum(d) q[d] * k1[d] * k2[d]\n"
	"    o = sum(j, k) p * v1 * v2\n"
	"}\n";

/* --- the driver --- */

typedef struct {
	int (*cuInit)(unsigned);
	int (*cuDeviceGet)(int *, int);
	int (*cuDevicePrimaryCtxRetain)(void **, int);
	int (*cuCtxSetCurrent)(void *);
	int (*cuStreamCreate)(void **, unsigned);
	int (*cuStreamSynchronize)(void *);
	int (*cuMemAlloc_v2)(unsigned long long *, size_t);
	int (*cuMemcpyHtoD_v2)(unsigned long long, const void *, size_t);
	int (*cuMemcpyDtoH_v2)(void *, unsigned long long, size_t);
} driver;

static void must(int result, const char *call)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s failed with %d\n", call, result);
	exit(1);
}
#define CALL(function, ...) must(cu.function(__VA_ARGS__), #function)

static driver load_driver(void)
{
	static const char *const name[] = {"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain",
		"cuCtxSetCurrent", "cuStreamCreate", "cuStreamSynchronize", "cuMemAlloc_v2",
		"cuMemcpyHtoD_v2", "cuMemcpyDtoH_v2"};
	void *address[sizeof name / sizeof *name], *library = dlopen("libcuda.so.1", RTLD_NOW);
	driver cu;

	_Static_assert(sizeof cu == sizeof address, "one function each");
	must(!library, "dlopen of libcuda.so.1");
	for (size_t n = 0; n < sizeof name / sizeof *name; n++) {
		address[n] = dlsym(library, name[n]);
		must(!address[n], name[n]);
	}
	memcpy(&cu, address, sizeof cu);
	return cu;
}

/* --- bf16 --- */

static uint16_t to_bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static double from_bf16(uint16_t x)
{
	uint32_t bits = (uint32_t)x << 16;
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

static uint16_t data[TENSORS][N][D];

/* The largest difference of the output from the formula, computed in double. */
static double worst_error(void)
{
	double worst = 0;

	for (int i = 0; i < N; i++) {
		int first = i < W ? 0 : i - W + 1;
		double weight = 0, value[D] = {0};

		for (int j = first; j <= i; j++)
			for (int k = first; k <= i; k++) {
				double s = 0;

				for (int d = 0; d < D; d++)
					s += from_bf16(data[Q][i][d]) * from_bf16(data[K1][j][d]) *
					     from_bf16(data[K2][k][d]);
				weight += exp(s);
				for (int d = 0; d < D; d++)
					value[d] += exp(s) * from_bf16(data[V1][j][d]) *
						    from_bf16(data[V2][k][d]);
			}
		for (int d = 0; d < D; d++)
			worst = fmax(worst, fabs(value[d] / weight - from_bf16(data[O][i][d])));
	}
	return worst;
}

int main(void)
{
	driver cu = load_driver();
	int64_t shape[] = {N, D};
	unsigned long long memory[TENSORS];
	DLTensor tensor[TENSORS];
	const DLTensor *tensors[TENSORS];
	tkl_context *context = NULL;
	tkl_kernel *kernel = NULL;
	void *device_context, *stream;
	double error;
	int device;

	CALL(cuInit, 0);
	CALL(cuDeviceGet, &device, 0);
	CALL(cuDevicePrimaryCtxRetain, &device_context, device);
	CALL(cuCtxSetCurrent, device_context);
	CALL(cuStreamCreate, &stream, 0);
	for (int t = 0; t < TENSORS; t++) {
		for (int n = 0; n < N * D; n++)
			data[t][n / D][n % D] = t == O ? 0x7fc0 : to_bf16((float)sin(n * 0.7 + t));
		CALL(cuMemAlloc_v2, &memory[t], sizeof data[t]);
		CALL(cuMemcpyHtoD_v2, memory[t], data[t], sizeof data[t]);
		tensors[t] = &tensor[t];
		tensor[t] = (DLTensor){
			.data = (void *)(uintptr_t)memory[t], .device = {kDLCUDA, 0}, .ndim = 2};
		tensor[t].dtype = (DLDataType){kDLBfloat, 16, 1};
		tensor[t].shape = shape;
	}
	tkl_compile_options options = {.struct_size = sizeof options, .target = "cuda:0"};
	tkl_status status = tkl_context_create(NULL, &context);
	if (!status)
		status = tkl_compile(context, spec, strlen(spec), &options, &kernel, NULL);
	tkl_param window = {.index = tkl_kernel_find_param(kernel, "W"), .value.i = W};
	tkl_launch_args args = {
		.struct_size = sizeof args, .tensors = tensors, .tensor_count = TENSORS};
	args.params = &window;
	args.param_count = 1;
	args.stream = stream;
	if (!status)
		status = tkl_launch(kernel, &args);
	if (status) {
		fprintf(stderr, "%s: %s\n", tkl_status_string(status), tkl_last_error_message());
		return 1;
	}
	CALL(cuStreamSynchronize, stream);
	CALL(cuMemcpyDtoH_v2, data[O], memory[O], sizeof data[O]);
	error = worst_error();
	printf("two_simplicial for %s: largest error %.4f\n", tkl_kernel_target(kernel), error);
	tkl_kernel_destroy(kernel);
	tkl_context_destroy(context);
	return error < 0.02 ? 0 : 2; /* NaN is not below */
}
