/* embed: a complete host program. Compiles 2-simplicial attention from a string, runs it on the
 * CPU, and compares a checksum with a naive loop.
 * Build: cc embed.c $(pkg-config --cflags --libs trikl) -lm */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <trikl.h>

enum { N = 40, D = 8, W = 5, Q = 0, K1, V1, K2, V2, O, TENSORS };

static const char spec[] =
	"attention two_simplicial(q : f32[i, D], k1 : f32[j, D], v1 : f32[j, D],\n"
	"                         k2 : f32[k, D], v2 : f32[k, D]) -> (o : f32[i, D]) {\n"
	"    const D = 8\n"
	"    param W = 32\n"
	"    index i, j, k : N\n"
	"    window j in (i - W, i]\n"
	"    window k in (i - W, i]\n"
	"    p = softmax(j, k) sum(d) q[d] * k1[d] * k2[d]\n"
	"    o = sum(j, k) p * v1 * v2\n"
	"}\n";

static float data[TENSORS][N][D];

static double naive_checksum(void)
{
	double sum = 0;

	for (int i = 0; i < N; i++) {
		int first = i < W ? 0 : i - W + 1;
		double weight = 0, value = 0;

		for (int j = first; j <= i; j++)
			for (int k = first; k <= i; k++) {
				double s = 0, v = 0;

				for (int d = 0; d < D; d++) {
					s += data[Q][i][d] * data[K1][j][d] * data[K2][k][d];
					v += data[V1][j][d] * data[V2][k][d];
				}
				weight += exp(s);
				value += exp(s) * v;
			}
		sum += value / weight;
	}
	return sum;
}

int main(void)
{
	int64_t shape[] = {N, D};
	DLTensor tensor[TENSORS];
	const DLTensor *tensors[TENSORS];
	tkl_context *context = NULL;
	tkl_kernel *kernel = NULL;
	double sum = 0, naive;

	for (int t = 0; t < TENSORS; t++) {
		tensors[t] = &tensor[t];
		tensor[t] = (DLTensor){.data = data[t], .device = {kDLCPU, 0}, .ndim = 2};
		tensor[t].dtype = (DLDataType){kDLFloat, 32, 1};
		tensor[t].shape = shape;
		for (int n = 0; n < N * D; n++)
			data[t][n / D][n % D] = (float)sin(n * 0.7 + t);
	}
	tkl_status status = tkl_context_create(NULL, &context);
	if (!status)
		status = tkl_compile(context, spec, strlen(spec), NULL, &kernel, NULL);
	tkl_param window = {.index = tkl_kernel_find_param(kernel, "W"), .value.i = W};
	tkl_launch_args args = {.struct_size = sizeof args, .tensors = tensors};
	args.tensor_count = TENSORS;
	args.params = &window;
	args.param_count = 1;
	if (!status)
		status = tkl_launch(kernel, &args);
	if (status) {
		fprintf(stderr, "%s: %s\n", tkl_status_string(status), tkl_last_error_message());
		return 1;
	}
	for (int n = 0; n < N * D; n++)
		sum += data[O][n / D][n % D];
	naive = naive_checksum();
	printf("checksum %.6f, naive %.6f\n", sum, naive);
	tkl_kernel_destroy(kernel);
	tkl_context_destroy(context);
	return fabs(sum - naive) < 1e-4 ? 0 : 2;
}
