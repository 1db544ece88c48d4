/* sim_float.h: 16-bit floats and tf32, rounded as the hardware rounds. Each function is free of
 * branches where it can be, so that loops over it become vector code. */
#pragma once
#include "tile/tile.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t sim_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	return u;
}

static inline float sim_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof f);
	return f;
}

static inline float sim_from_bf16(uint16_t h)
{
	return sim_float((uint32_t)h << 16);
}

/* Nearest, ties to even; a NaN is 0x7fff as cvt makes it. */
static inline uint16_t sim_to_bf16(float f)
{
	uint32_t u = sim_bits(f);

	if (f != f)
		return 0x7fff;
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float sim_from_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	float size = sim_float((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;

	if (size >= 65536.0f)
		size = sim_float(sim_bits(size) | 0x7f800000);
	return sim_float(sim_bits(size) | sign);
}

static inline uint16_t sim_to_f16(float f)
{
	uint32_t u = sim_bits(f), sign = u >> 16 & 0x8000, size = u & 0x7fffffff;

	if (f != f)
		return 0x7fff;
	if (size >= 0x477ff000) /* 65520: halfway to the next power */
		return (uint16_t)(sign | 0x7c00);
	if (size < 0x38800000) /* 2^-14: the sum with 0.5 rounds at 2^-24 */
		return (uint16_t)(sign | (sim_bits(sim_float(size) + 0.5f) - sim_bits(0.5f)));
	size += 0xfff + (size >> 13 & 1);
	return (uint16_t)(sign | ((size - (112u << 23)) >> 13));
}

/* Nearest, ties away from zero (cvt.rna.tf32.f32). */
static inline float sim_to_tf32(float f)
{
	uint32_t u = sim_bits(f);

	if ((u & 0x7f800000) == 0x7f800000)
		return f;
	return sim_float((u + 0x1000) & ~UINT32_C(0x1fff));
}

static inline float sim_round_bf16(float f)
{
	return sim_from_bf16(sim_to_bf16(f));
}

static inline float sim_round_f16(float f)
{
	return sim_from_f16(sim_to_f16(f));
}

/* a * b + c for 16-bit operands, in double with the last bit odd where it is inexact: rounding that
 * to float and again to 16 bits is rounding once. The product is exact. */
static inline float sim_fma_odd(float a, float b, float c)
{
	double p = (double)a * (double)b, z = (double)c, s = p + z, t = s - p;
	double error = (p - (s - t)) + (z - t);
	uint64_t u;
	uint32_t v;
	float f;

	if (!isfinite(s))
		return (float)s;
	memcpy(&u, &s, sizeof u);
	if (error != 0 && !(u & 1))
		u = (error > 0) == (s > 0) ? u + 1 : u - 1;
	memcpy(&s, &u, sizeof s);
	f = (float)s;
	if ((double)f == s)
		return f;
	v = sim_bits(f);
	if (fabs((double)f) > fabs(s))
		v--;
	return sim_float(v | 1);
}

/* What .ftz does. */
static inline float sim_flush(float f)
{
	return fabsf(f) < 0x1p-126f ? copysignf(0.0f, f) : f;
}

/* Element e of a register of a tile of type t. */
static inline float sim_element_float(tile_type t, uint32_t word, int e)
{
	uint16_t half = (uint16_t)(word >> 16 * e);

	if (t == TILE_BF16)
		return sim_from_bf16(half);
	return t == TILE_F16 ? sim_from_f16(half) : sim_float(word);
}
