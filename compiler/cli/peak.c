/* peak.c: how fast this machine multiplies matrices, to hold kernels against. OpenBLAS' sgemm when
 * the library is there, else a loop of f32 multiply-adds that nothing but the arithmetic units
 * limits. */
#include "cli/problem.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define SGEMM_SIZE 1536
#define PEAK_SECONDS 0.15 /* a round; the best of three counts */

typedef void (*sgemm_fn)(int order, int ta, int tb, int m, int n, int k, float alpha,
	const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void (*threads_fn)(int n);

static double sgemm_time(sgemm_fn sgemm, int n, const float *a, const float *b, float *c)
{
	double best = 1e30, spent = 0;
	for (int round = 0; round < 20 && (round < 3 || spent < 4 * PEAK_SECONDS); round++) {
		double start = clock_now();
		sgemm(101, 111, 111, n, n, n, 1, a, n, b, n, 0, c, n);
		double t = clock_now() - start;
		spent += t;
		if (t < best)
			best = t;
	}
	return best;
}

static bool sgemm_peak(int threads, peak *p)
{
	static const char *const names[] = {
		"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"};
	void *lib = NULL;
	for (int i = 0; i < 3 && !lib; i++)
		lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	sgemm_fn sgemm = NULL;
	threads_fn set_threads = NULL;
	if (lib) { /* POSIX lets an object pointer hold a function's address; ISO C has no cast for
		      it */
		*(void **)&sgemm = dlsym(lib, "cblas_sgemm");
		*(void **)&set_threads = dlsym(lib, "openblas_set_num_threads");
	}
	size_t n = SGEMM_SIZE, cells = n * n;
	float *m = sgemm && set_threads ? malloc(3 * cells * sizeof *m) : NULL;
	if (m) {
		for (size_t i = 0; i < 3 * cells; i++)
			m[i] = (float)(i % 7) * 0.25f;
		set_threads(threads);
		double t = sgemm_time(sgemm, (int)n, m, m + cells, m + 2 * cells);
		*p = (peak){2.0 * (double)n * (double)n * (double)n / t, "OpenBLAS sgemm"};
	}
	free(m);
	return m != NULL; /* the library stays open: its threads do not survive dlclose */
}

/* Twelve independent chains of multiply-adds hide the latency of two units of four cycles. */
#define CHAINS 12
#define ROUNDS 4096
#define DEFINE_BURN(name, bytes, attribute)                                                        \
	typedef float name##_vec __attribute__((vector_size(bytes)));                              \
	attribute static void name(float *out)                                                     \
	{                                                                                          \
		name##_vec x[CHAINS], y, z;                                                        \
		for (int i = 0; i < (int)(bytes) / 4; i++) {                                       \
			y[i] = 0.999f + out[0];                                                    \
			z[i] = 0.001f + out[0];                                                    \
		}                                                                                  \
		for (int c = 0; c < CHAINS; c++)                                                   \
			x[c] = y + (float)c;                                                       \
		for (int r = 0; r < ROUNDS; r++)                                                   \
			for (int c = 0; c < CHAINS; c++)                                           \
				x[c] = x[c] * y + z;                                               \
		for (int c = 0; c < CHAINS; c++)                                                   \
			out[0] += x[c][0] * 1e-30f;                                                \
	}

#if defined(__x86_64__)
DEFINE_BURN(burn_avx512, 64, __attribute__((target("avx512f"))))
DEFINE_BURN(burn_avx2, 32, __attribute__((target("avx2,fma"))))
#endif
DEFINE_BURN(burn_plain, 16, )

#if defined(__x86_64__)
#include <immintrin.h>

/* One dot-product instruction does two multiply-adds a lane. */
__attribute__((target("avx512f,avx512bf16"))) static void burn_bf16(float *out)
{
	__m512 x[CHAINS];
	__m512bh y = (__m512bh)_mm512_set1_epi32(0x3f003f00),
		 z = (__m512bh)_mm512_set1_epi32(0x3a003a00);

	for (int c = 0; c < CHAINS; c++)
		x[c] = _mm512_set1_ps(out[0] + (float)c);
	for (int r = 0; r < ROUNDS; r++)
		for (int c = 0; c < CHAINS; c++)
			x[c] = _mm512_dpbf16_ps(x[c], y, z);
	for (int c = 0; c < CHAINS; c++)
		out[0] += _mm512_reduce_add_ps(x[c]) * 1e-30f;
}
#endif

typedef struct {
	void (*burn)(float *);
	double seconds;
	double *ops; /* [threads] */
	int width;
} burner;

static void burn_body(void *user, int64_t begin, int64_t end, int worker)
{
	burner *b = user;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		float sink = 0;
		double start = clock_now(), calls = 0;
		while (clock_now() - start < b->seconds) {
			b->burn(&sink);
			calls++;
		}
		b->ops[i] = calls * 2 * CHAINS * ROUNDS * b->width / (clock_now() - start) +
			    (double)sink * 0;
	}
}

/* Sum of the threads' rates in the best of three rounds. */
static double burn_rate(rt_pool *pool, burner *b)
{
	int threads = rt_pool_threads(pool);
	double best = 0;
	b->seconds = PEAK_SECONDS;
	b->ops = calloc((size_t)threads, sizeof *b->ops);
	for (int round = 0; round < 3 && b->ops; round++) {
		double sum = 0;
		rt_pool_run(pool, threads, 1, burn_body, b);
		for (int i = 0; i < threads; i++)
			sum += b->ops[i];
		if (sum > best)
			best = sum;
	}
	free(b->ops);
	return best;
}

static burner f32_burner(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return (burner){.burn = burn_avx512, .width = 16};
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return (burner){.burn = burn_avx2, .width = 8};
#endif
	return (burner){.burn = burn_plain, .width = 4};
}

peak peak_measure(rt_pool *pool, const char *dot)
{
	peak p;
	burner b = f32_burner();
#if defined(__x86_64__)
	if (strcmp(dot, "avx512-bf16") == 0) {
		b = (burner){.burn = burn_bf16, .width = 32};
		return (peak){burn_rate(pool, &b), "bf16 dot-product loop"};
	}
#endif
	if (sgemm_peak(rt_pool_threads(pool), &p))
		return p;
	return (peak){burn_rate(pool, &b), "f32 multiply-add loop"};
}

typedef struct {
	const uint64_t *data;
	int64_t words;
	_Atomic uint64_t sink;
} reader;

static void read_body(void *user, int64_t begin, int64_t end, int worker)
{
	reader *r = user;
	uint64_t sum[8] = {0};
	(void)worker;
	for (int64_t i = begin * r->words; i < end * r->words; i += 8)
		for (int k = 0; k < 8; k++)
			sum[k] += r->data[i + k];
	for (int k = 1; k < 8; k++)
		sum[0] += sum[k];
	r->sink += sum[0];
}

double peak_bandwidth(rt_pool *pool)
{
	const int64_t bytes = (int64_t)256 << 20, parts = 256;
	uint64_t *data = malloc((size_t)bytes);
	double best = 0;
	for (int64_t i = 0; data && i < bytes / 8; i++)
		data[i] = (uint64_t)i;
	reader r = {.data = data, .words = bytes / 8 / parts};
	for (int round = 0; data && round < 4; round++) {
		double start = clock_now();
		rt_pool_run(pool, parts, 1, read_body, &r);
		double rate = (double)bytes / (clock_now() - start);
		if (rate > best)
			best = rate;
	}
	free(data);
	return best;
}
