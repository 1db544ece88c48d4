/* dtype.c: the element types of tensors, to and from double. Rounding is to nearest even and done
 * once: a double reaches bf16 and f16 through a float that was rounded to odd, which keeps what the
 * second rounding needs. */
#include "cli/problem.h"
#include <math.h>
#include <string.h>

static uint32_t float_bits(float f)
{
	uint32_t u;
	memcpy(&u, &f, sizeof u);
	return u;
}

static float bits_float(uint32_t u)
{
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}

/* The float next to x towards zero, with its last bit set when x lies between two floats. */
static uint32_t round_odd(double x)
{
	float f = (float)x;
	uint32_t u = float_bits(f);
	if ((double)f == x || isnan(x))
		return u;
	if (fabs((double)f) > fabs(x))
		u--;
	return u | 1;
}

static uint16_t bf16_from(double x)
{
	uint32_t u = round_odd(x);
	if (isnan(x))
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t f16_from(double x)
{
	uint32_t u = round_odd(x), sign = u >> 16 & 0x8000, mag = u & 0x7fffffff;
	if (isnan(x))
		return (uint16_t)(sign | 0x7e00);
	if (mag >= 0x47800000) /* 65536 and above */
		return (uint16_t)(sign | 0x7c00);
	if (mag < 0x33000000) /* below half the smallest subnormal */
		return (uint16_t)sign;
	if (mag < 0x38800000) { /* subnormal: shift the significand into place */
		int shift = 126 - (int)(mag >> 23);
		uint32_t m = (mag & 0x7fffff) | 0x800000, half = m >> shift;
		uint32_t rest = m & ((1u << shift) - 1), mid = 1u << (shift - 1);
		return (uint16_t)(sign | (half + (rest > mid || (rest == mid && (half & 1)))));
	}
	mag -= 0x38000000;
	return (uint16_t)(sign | ((mag + 0xfff + (mag >> 13 & 1)) >> 13));
}

static double f16_to(uint16_t h)
{
	int exponent = h >> 10 & 31, fraction = h & 1023;
	double x = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
		   : exponent == 0 ? ldexp(fraction, -24)
				   : ldexp(1024 + fraction, exponent - 25);
	return h & 0x8000 ? -x : x;
}

double dtype_get(const void *data, sema_dtype t, int64_t i)
{
	switch (t) {
	case DTYPE_BF16:
		return (double)bits_float((uint32_t)((const uint16_t *)data)[i] << 16);
	case DTYPE_F16:
		return f16_to(((const uint16_t *)data)[i]);
	case DTYPE_F32:
		return (double)((const float *)data)[i];
	case DTYPE_I32:
		return (double)((const int32_t *)data)[i];
	case DTYPE_F64:
		return ((const double *)data)[i];
	}
	ice("dtype %d", (int)t);
}

void dtype_set(void *data, sema_dtype t, int64_t i, double x)
{
	switch (t) {
	case DTYPE_BF16:
		((uint16_t *)data)[i] = bf16_from(x);
		return;
	case DTYPE_F16:
		((uint16_t *)data)[i] = f16_from(x);
		return;
	case DTYPE_F32:
		((float *)data)[i] = (float)x;
		return;
	case DTYPE_I32:
		((int32_t *)data)[i] = (int32_t)x;
		return;
	case DTYPE_F64:
		((double *)data)[i] = x;
		return;
	}
	ice("dtype %d", (int)t);
}

double dtype_round(sema_dtype t, double x)
{
	double room;
	if (t == DTYPE_I32)
		return rint(x);
	dtype_set(&room, t, 0, x);
	return dtype_get(&room, t, 0);
}
