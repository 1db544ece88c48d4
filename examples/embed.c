/* embed: a complete host program. Compiles 2-simplicial attention from a string, runs it on the CPU, and compares a
 * checksum with a naive loop.     cc embed.c $(pkg-config --cflags --libs trikl) -lm */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <trikl.h>

enum { N = 24, H = 2, D = 8, W = 5, SIZE = N * H * D };

static const char spec[] =
	"attention two_simplicial(q : f32[i, H, D], k1 : f32[j, H, D], v1 : f32[j, H, D],\n"
	"                         k2 : f32[k, H, D], v2 : f32[k, H, D]) -> (o : f32[i, H, D]) {\n"
	"    const D = 8\n"
	"    param W = 32\n"
	"    index i, j, k : N\n"
	"    window j in (i - W, i]\n"
	"    window k in (i - W, i]\n"
	"    s = sum(d) q[d] * k1[d] * k2[d] / sqrt(D)\n"
	"    p = softmax(j, k) s\n"
	"    o = sum(j, k) p * v1 * v2\n"
	"}\n";

static float data[6][SIZE]; /* q, k1, v1, k2, v2, o */

/* The sum of all elements of o, straight from the formula. */
static double naive_checksum(void)
{
	double sum = 0;

	for (int row = 0; row < N * H; row++) {
		int i = row / H, h = row % H, first = i < W ? 0 : i - W + 1;
		double weight = 0, value = 0;

		for (int j = first; j <= i; j++)
			for (int k = first; k <= i; k++) {
				int x = (j * H + h) * D, y = (k * H + h) * D;
				double s = 0, v = 0;

				for (int d = 0; d < D; d++) {
					s += data[0][row * D + d] * data[1][x + d] * data[3][y + d];
					v += data[2][x + d] * data[4][y + d];
				}
				weight += exp(s / sqrt(D));
				value += exp(s / sqrt(D)) * v;
			}
		sum += value / weight;
	}
	return sum;
}

static int fail(const char *what, const char *diagnostics)
{
	fprintf(stderr, "%s: %s\n%s", what, tkl_last_error_message(), diagnostics ? diagnostics : "");
	return 1;
}

int main(void)
{
	int64_t shape[] = {N, H, D};
	DLTensor tensor[6];
	const DLTensor *tensors[6];
	tkl_context *context;
	tkl_kernel *kernel;
	char *diagnostics;
	double sum = 0, naive;

	for (int t = 0; t < 6; t++) {
		tensor[t] = (DLTensor){.data = data[t], .device = {kDLCPU, 0}, .ndim = 3,
			.dtype = {kDLFloat, 32, 1}, .shape = shape};
		tensors[t] = &tensor[t];
		for (int n = 0; n < SIZE; n++)
			data[t][n] = (float)sin(n * 0.7 + t);
	}
	if (tkl_context_create(NULL, &context))
		return fail("context", NULL);
	if (tkl_compile(context, spec, strlen(spec), NULL, &kernel, &diagnostics))
		return fail("compile", diagnostics);
	tkl_param window = {.index = tkl_kernel_find_param(kernel, "W"), .value.i = W};
	tkl_launch_args args = {.struct_size = sizeof args, .tensors = tensors, .tensor_count = 6,
		.params = &window, .param_count = 1};
	if (tkl_launch(kernel, &args))
		return fail("launch", NULL);
	for (int n = 0; n < SIZE; n++)
		sum += data[5][n];
	naive = naive_checksum();
	printf("checksum %.6f, naive %.6f\n", sum, naive);
	tkl_free(diagnostics);
	tkl_kernel_destroy(kernel);
	tkl_context_destroy(context);
	return fabs(sum - naive) < 1e-4 ? 0 : 2;
}
