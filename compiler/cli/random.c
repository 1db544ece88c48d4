/* random.c: random tensors. Element e of tensor NAME depends on (seed, NAME, e) alone: Philox
 * 4x32-10 keyed by the seed, counted by the element, then Box and Muller with this file's own
 * logarithm and cosine. Only operations that IEEE 754 defines exactly are used (the build switches
 * contraction off here), so every machine agrees to the bit. */
#include "cli/problem.h"
#include <math.h>

static uint64_t name_stream(const char *name)
{
	uint64_t h = 14695981039346656037u;
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 1099511628211u;
	return h;
}

/* Philox 4x32 with ten rounds: Salmon et al. 2011. */
static void philox(uint64_t key, uint64_t stream, uint64_t counter, uint32_t out[4])
{
	uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
	uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), (uint32_t)stream,
		(uint32_t)(stream >> 32)};

	for (int round = 0; round < 10; round++) {
		uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
		uint32_t next[4] = {(uint32_t)(q >> 32) ^ c[1] ^ k0, (uint32_t)q,
			(uint32_t)(p >> 32) ^ c[3] ^ k1, (uint32_t)p};
		for (int i = 0; i < 4; i++)
			c[i] = next[i];
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	for (int i = 0; i < 4; i++)
		out[i] = c[i];
}

uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t counter)
{
	uint32_t w[4];
	philox(seed, stream, counter, w);
	return (uint64_t)w[0] << 32 | w[1];
}

/* ln x for 0 < x <= 1, to about 1e-15: x = m 2^e, ln m = 2 artanh((m - 1) / (m + 1)). */
static double exact_log(double x)
{
	int e;
	double m = frexp(x, &e); /* [0.5, 1) */
	if (m < 0.70710678118654752) {
		m = m * 2;
		e--;
	}
	double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
	for (int n = 23; n >= 1; n -= 2)
		sum = sum * s2 + 1.0 / n;
	return 2 * (s * sum) + e * 0.69314718055994531;
}

/* cos and sin of 2 pi u for 0 <= u < 1, by quadrant and Taylor series. */
static void exact_turn(double u, double *cosine, double *sine)
{
	int quadrant = (int)(u * 4 + 0.5) & 3;
	double r = (u * 4 - (int)(u * 4 + 0.5)) * 1.5707963267948966, r2 = r * r; /* |r| <= pi/4 */
	double s = 0, c = 0;
	for (int n = 17; n >= 3; n -= 2)
		s = (1 + s) * (-r2 / (n * (n - 1)));
	for (int n = 18; n >= 2; n -= 2)
		c = (1 + c) * (-r2 / (n * (n - 1)));
	s = r * (1 + s);
	c = 1 + c;
	*cosine = quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s;
	*sine = quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c;
}

void random_normal(
	uint64_t seed, const char *name, sema_dtype t, void *data, int64_t begin, int64_t end)
{
	uint64_t stream = name_stream(name);
	for (int64_t i = begin; i < end; i += 4) {
		uint32_t w[4];
		double z[4];
		philox(seed, stream, (uint64_t)i / 4, w);
		for (int k = 0; k < 4; k += 2) {
			double radius = sqrt(-2 * exact_log((w[k] + 1.0) * 0x1p-32)), c, s;
			exact_turn(w[k + 1] * 0x1p-32, &c, &s);
			z[k] = radius * c;
			z[k + 1] = radius * s;
		}
		for (int64_t k = 0; k < 4 && i + k < end; k++)
			dtype_set(data, t, i + k, z[k]);
	}
}

void random_segments(uint64_t seed, const char *name, int32_t *data, int64_t n, int64_t last)
{
	uint64_t stream = name_stream(name);
	for (int64_t i = 0; i < n; i += last) {
		uint64_t cut[3];
		for (uint64_t k = 0; k < 3; k++)
			cut[k] = random_bits(seed, stream, (uint64_t)(i / last) * 3 + k) %
				 (uint64_t)last;
		for (int64_t p = 0; p < last; p++)
			data[i + p] = (p > (int64_t)cut[0]) + (p > (int64_t)cut[1]) +
				      (p > (int64_t)cut[2]);
	}
}
