/* npy_read.c: the .npy format, versions 1 to 3, from bytes that nobody vouches for: every length is
 * checked against the file before it is used.
 *
 * Conversion: floats of another precision are rounded to nearest even; '<u2' holds bf16 bits where
 * the tensor is a float tensor (numpy has no bf16), as do ml_dtypes' 'bfloat16' and 'V2'; integers
 * and bools go into float and i32 tensors when every value survives exactly; floats never go into
 * i32 tensors. */
#include "cli/problem.h"
#include <math.h>
#include <string.h>

#define HEADER_LIMIT (1u << 20)

/* The header is a Python dict literal; this reads the one shape it may have. */
typedef struct {
	const char *at, *end;
} cursor;

static void skip_blanks(cursor *c)
{
	while (c->at < c->end && memchr(" \t\r\n", *c->at, 4))
		c->at++;
}

static bool take(cursor *c, char ch)
{
	skip_blanks(c);
	if (c->at >= c->end || *c->at != ch)
		return false;
	c->at++;
	return true;
}

static bool take_word(cursor *c, const char *word)
{
	size_t n = strlen(word);
	skip_blanks(c);
	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* 'text' or "text"; false when there is none or it does not fit. */
static bool take_string(cursor *c, char *to, size_t room)
{
	skip_blanks(c);
	if (c->at >= c->end || (*c->at != '\'' && *c->at != '"'))
		return false;
	char quote = *c->at++;
	size_t n = 0;
	while (c->at < c->end && *c->at != quote && n + 1 < room)
		to[n++] = *c->at++;
	to[n] = 0;
	return c->at < c->end && *c->at++ == quote;
}

static bool take_size(cursor *c, int64_t *v)
{
	skip_blanks(c);
	const char *start = c->at;
	*v = 0;
	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		if (__builtin_mul_overflow(*v, 10, v) ||
			__builtin_add_overflow(*v, *c->at++ - '0', v))
			return false;
	if (c->at < c->end && *c->at == 'L') /* written by Python 2 */
		c->at++;
	return c->at > start;
}

static const char *parse_shape(cursor *c, npy *n)
{
	if (!take(c, '('))
		return "the header's shape is not a tuple";
	while (!take(c, ')')) {
		if (n->rank == NPY_MAX_RANK)
			return "more than 32 dimensions";
		if (!take_size(c, &n->shape[n->rank++]))
			return "the header's shape holds something that is not a size";
		if (!take(c, ',')) {
			if (!take(c, ')'))
				return "the header's shape is not a tuple";
			break;
		}
	}
	return NULL;
}

static const char *parse_descr(arena *a, cursor *c, npy *n)
{
	char d[32];
	if (take(c, '['))
		return "structured dtypes are not supported; save one array a file";
	if (!take_string(c, d, sizeof d))
		return "the header's descr is not a dtype";
	for (char *p = d; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?'; /* it is shown in a message */
	const char *s = d;
	uint16_t one = 1;
	bool little = *(const uint8_t *)&one == 1;
	if (strcmp(d, "bfloat16") == 0)
		s = little ? "<V2" : ">V2";
	char order = *s && strchr("<>|=", *s) ? *s++ : '=';
	n->swapped = (order == '<' && !little) || (order == '>' && little);
	n->kind = *s;
	n->size = s[0] && s[1] && !s[2] ? s[1] - '0' : 0;
	if (n->kind == 'V' && n->size == 2)
		n->kind = 'h';
	const char *sizes = n->kind == 'f'                     ? "248"
			    : n->kind == 'i' || n->kind == 'u' ? "1248"
			    : n->kind == 'b'                   ? "1"
			    : n->kind == 'h'                   ? "2"
							       : "";
	if (!n->size || !strchr(sizes, s[1]))
		return arena_printf(a,
			"dtype '%s' is not supported (f2 f4 f8, i1 to i8, u1 to u8, bool, bfloat16 "
			"are)",
			d);
	return NULL;
}

static const char *parse_dict(arena *a, cursor *c, npy *n)
{
	unsigned seen = 0;
	char key[32];
	const char *why = NULL;

	if (!take(c, '{'))
		return "the header is not a dict";
	while (!why && !take(c, '}')) {
		if (!take_string(c, key, sizeof key) || !take(c, ':'))
			return "the header is not a dict of descr, fortran_order and shape";
		if (strcmp(key, "descr") == 0) {
			seen |= 1;
			why = parse_descr(a, c, n);
		} else if (strcmp(key, "fortran_order") == 0) {
			seen |= 2;
			n->fortran = take_word(c, "True");
			if (!n->fortran && !take_word(c, "False"))
				why = "the header's fortran_order is neither True nor False";
		} else if (strcmp(key, "shape") == 0 && !(seen & 4)) {
			seen |= 4;
			why = parse_shape(c, n);
		} else {
			why = "the header holds another key than descr, fortran_order and shape, "
			      "or one "
			      "of them twice";
		}
		if (!why && !take(c, ',')) {
			if (!take(c, '}'))
				return "the header is cut off or damaged";
			break;
		}
	}
	if (!why && seen != 7)
		why = "the header lacks one of descr, fortran_order and shape";
	return why;
}

const char *npy_parse(arena *a, const void *bytes, size_t len, npy *out)
{
	const uint8_t *b = bytes;
	*out = (npy){0};
	if (len < 10 || memcmp(b, "\x93NUMPY", 6) != 0)
		return "not a .npy file";
	bool wide = b[6] >= 2;
	if (b[6] < 1 || b[6] > 3)
		return arena_printf(a, ".npy version %d is not known", b[6]);
	size_t start = wide ? 12 : 10;
	if (len < start)
		return "the file is cut off in its header";
	size_t header = b[8] | (size_t)b[9] << 8;
	if (wide)
		header |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
	if (header > HEADER_LIMIT)
		return "the header is larger than 1 MiB";
	if (header > len - start)
		return "the file is cut off in its header";
	cursor c = {(const char *)b + start, (const char *)b + start + header};
	const char *why = parse_dict(a, &c, out);
	if (why)
		return why;

	int64_t need;
	bool empty = false, huge = false;
	for (int i = 0; i < out->rank; i++)
		empty |= out->shape[i] == 0;
	out->count = empty ? 0 : 1;
	for (int i = 0; i < out->rank && !empty; i++)
		huge |= __builtin_mul_overflow(out->count, out->shape[i], &out->count);
	huge |= __builtin_mul_overflow(out->count, out->size, &need);
	if (huge)
		return "the shape in the header is larger than any file";
	out->data = b + start + header;
	if ((uint64_t)need > len - start - header)
		return arena_printf(a,
			"the file is cut off: its header promises %lld bytes of data, it has %zu",
			(long long)need, len - start - header);
	return NULL;
}

const char *npy_dtype_name(arena *a, const npy *n)
{
	const char *kind = n->kind == 'f' ? "float" : n->kind == 'i' ? "int" : "uint";
	if (n->kind == 'b')
		return "bool";
	if (n->kind == 'h')
		return "bfloat16";
	return arena_printf(a, "%s%s%d", n->swapped ? "byte-swapped " : "", kind, 8 * n->size);
}

/* The bits of element i, in the low bytes. */
static uint64_t element_bits(const npy *n, int64_t i)
{
	uint64_t u = 0;
	uint8_t raw[8];
	memcpy(raw, n->data + i * n->size, (size_t)n->size);
	for (int k = 0; k < n->size / 2 && n->swapped; k++) {
		uint8_t low = raw[k];
		raw[k] = raw[n->size - 1 - k];
		raw[n->size - 1 - k] = low;
	}
	switch (n->size) {
	case 1:
		return raw[0];
	case 2: {
		uint16_t v;
		memcpy(&v, raw, sizeof v);
		return v;
	}
	case 4: {
		uint32_t v;
		memcpy(&v, raw, sizeof v);
		return v;
	}
	default:
		memcpy(&u, raw, sizeof u);
		return u;
	}
}

static double element_float(const npy *n, uint64_t bits, bool bf16)
{
	uint16_t half = (uint16_t)bits;
	float f;
	double d;
	uint32_t word = (uint32_t)bits;

	if (bf16)
		return dtype_get(&half, DTYPE_BF16, 0);
	if (n->size == 2)
		return dtype_get(&half, DTYPE_F16, 0);
	memcpy(&f, &word, sizeof f);
	memcpy(&d, &bits, sizeof d);
	return n->size == 4 ? (double)f : d;
}

/* Sign-extends; *big is set where an unsigned value has no int64. */
static int64_t element_int(const npy *n, uint64_t bits, bool *big)
{
	int shift = 64 - 8 * n->size;
	if (n->kind == 'i')
		return (int64_t)(bits << shift) >> shift;
	*big = bits > INT64_MAX;
	return n->kind == 'b' ? bits != 0 : (int64_t)bits;
}

/* One integer into a tensor; false when it cannot be held exactly. */
static bool store_int(sema_dtype t, void *to, int64_t i, int64_t v)
{
	if (t == DTYPE_I32) {
		((int32_t *)to)[i] = (int32_t)v;
		return v >= INT32_MIN && v <= INT32_MAX;
	}
	dtype_set(to, t, i, (double)v);
	double back = dtype_get(to, t, i);
	return fabs(back) < 0x1p63 && (int64_t)back == v;
}

npy_conversion npy_convert(const npy *n, sema_dtype t, void *to)
{
	npy_conversion c = {.bad = -1};
	bool bf16 = n->kind == 'h' || (n->kind == 'u' && n->size == 2 && t != DTYPE_I32);
	bool real = n->kind == 'f' || bf16;
	bool same = bf16             ? t == DTYPE_BF16
		    : n->kind == 'f' ? t != DTYPE_BF16 && n->size == sema_dtype_size(t)
				     : n->kind == 'i' && n->size == 4;

	if (real && t == DTYPE_I32) {
		c.refused = true;
		return c;
	}
	c.other_precision = real && !same;
	if (same && !n->swapped && (real || t == DTYPE_I32)) {
		memcpy(to, n->data, (size_t)(n->count * n->size));
		return c;
	}
	for (int64_t i = 0; i < n->count; i++) {
		uint64_t bits = element_bits(n, i);
		bool big = false;
		if (real) {
			double x = element_float(n, bits, bf16);
			dtype_set(to, t, i, x);
			c.overflowed += isfinite(x) && !isfinite(dtype_get(to, t, i));
			continue;
		}
		int64_t v = element_int(n, bits, &big);
		if ((big || !store_int(t, to, i, v)) && c.bad < 0) {
			c.bad = i;
			c.bad_value = big ? (double)bits : (double)v;
		}
	}
	return c;
}
