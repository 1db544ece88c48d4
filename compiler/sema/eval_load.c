/* eval_load: tensor elements in and out of the reference.
 * in:  tensors of any data type and strides     out: doubles or integers, and back with one
 * rounding
 *
 * A subscript out of range stops the run with a message that names the tensor, the subscript and
 * the place. */
#include "sema/eval_cell.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- data types --- */

static double from_bf16(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float f;

	memcpy(&f, &bits, sizeof f);
	return (double)f;
}

static double from_f16(uint16_t h)
{
	int exponent = h >> 10 & 31, mantissa = h & 1023;
	double x;

	if (exponent == 31)
		x = mantissa ? NAN : INFINITY;
	else if (exponent == 0)
		x = mantissa * 0x1p-24;
	else
		x = (1024 + mantissa) * (double)(UINT32_C(1) << exponent) * 0x1p-25;
	return h & 0x8000 ? -x : x;
}

/* The nearest value with `mantissa` explicit bits and least exponent `least`, ties to even,
 * overflow to infinity above `most`. One rounding from double. */
static double round_to(double x, int mantissa, int least, double most)
{
	int exponent;
	double unit, y;

	if (x == 0 || !isfinite(x))
		return x;
	frexp(x, &exponent);
	exponent = exponent - 1 < least ? least : exponent - 1;
	unit = ldexp(1.0, exponent - mantissa);
	y = nearbyint(x / unit) * unit;
	return fabs(y) > most ? copysign(INFINITY, x) : y;
}

static uint16_t to_bf16(double x)
{
	float f = (float)round_to(x, 7, -126, 0x1.fep127);
	uint32_t bits;

	if (isnan(x))
		return 0x7fc0;
	memcpy(&bits, &f, sizeof bits);
	return (uint16_t)(bits >> 16);
}

static uint16_t to_f16(double x)
{
	double y = fabs(round_to(x, 10, -14, 65504.0));
	unsigned sign = signbit(x) ? 0x8000 : 0;
	int exponent;

	if (isnan(x))
		return 0x7e00;
	if (isinf(y))
		return (uint16_t)(sign | 0x7c00);
	if (y < 0x1p-14)
		return (uint16_t)(sign | (unsigned)(y * 0x1p24));
	y = frexp(y, &exponent); /* in [1/2, 1) */
	return (uint16_t)(sign + ((unsigned)(exponent + 14) << 10) + (unsigned)(y * 2048) - 1024);
}

static int32_t to_i32(eval_value v, expr_type type)
{
	if (type == TYPE_FLOAT)
		return isnan(v.f) ? 0 : (int32_t)fmax(INT32_MIN, fmin(INT32_MAX, nearbyint(v.f)));
	return (int32_t)(v.i < INT32_MIN ? INT32_MIN : v.i > INT32_MAX ? INT32_MAX : v.i);
}

void eval_store(const eval_tensor *t, int64_t offset, eval_value v, expr_type type)
{
	double x = type == TYPE_FLOAT ? v.f : (double)v.i;

	switch (t->dtype) {
	case DTYPE_BF16:
		((uint16_t *)t->data)[offset] = to_bf16(x);
		break;
	case DTYPE_F16:
		((uint16_t *)t->data)[offset] = to_f16(x);
		break;
	case DTYPE_F32:
		((float *)t->data)[offset] = (float)x;
		break;
	case DTYPE_I32:
		((int32_t *)t->data)[offset] = to_i32(v, type);
		break;
	case DTYPE_F64:
		((double *)t->data)[offset] = x;
		break;
	}
}

/* --- subscripts --- */

static void report_range(eval_worker *w, const eval_cell *c, int r, int64_t sub)
{
	const sema_spec *spec = w->program->args->spec;
	text at = {0};

	if (w->failed)
		return;
	w->failed = true;
	for (int k = 0; k < w->program->rows; k++)
		text_printf(&at, "%s%s = %lld", k ? ", " : "", w->program->row[k]->coord,
			(long long)w->coord[w->program->row[k]->id]);
	for (int k = c->deps - 1; k >= 0; k--) {
		const sema_axis *axis = spec->axis.item[c->dep[k]];

		if (axis->kind == AXIS_KEY)
			text_printf(&at, "%s%s = %lld", at.len ? ", " : "", axis->coord,
				(long long)w->coord[axis->id]);
	}
	snprintf(w->message, sizeof w->message,
		"subscript %d of '%s' is %lld, outside [0, %lld), in row %lld (%s)", r + 1,
		c->e->load.tensor->name, (long long)sub, (long long)c->load->size[r],
		(long long)w->row, at.data ? at.data : "");
	text_free(&at);
}

/* The subscript itself, or 0 after reporting that it is out of range. */
static int64_t checked(eval_worker *w, const eval_cell *c, int r, int64_t sub)
{
	if (sub >= 0 && sub < c->load->size[r])
		return sub;
	report_range(w, c, r, sub);
	return 0;
}

/* The offset that the scalar subscripts give, without the one that is the lane itself. */
static int64_t scalar_offset(eval_worker *w, const eval_cell *c)
{
	const eval_load *load = c->load;
	int64_t offset = 0;

	for (int r = 0; r < load->rank; r++) {
		int64_t sub;

		if (c->arg[r]->lanes)
			continue;
		sub = eval_fetch(w, c->arg[r])->i;
		offset += load->stride[r] * (load->check[r] ? checked(w, c, r, sub) : sub);
	}
	return offset;
}

/* --- loads --- */

#define EACH(TYPE, OUT, X)                                                                         \
	{                                                                                          \
		const TYPE *p = (const TYPE *)load->data + offset;                                 \
		if (stride == 1)                                                                   \
			for (int64_t l = low; l < high; l++)                                       \
				out[l].OUT = X(p[l]);                                              \
		else                                                                               \
			for (int64_t l = low; l < high; l++)                                       \
				out[l].OUT = X(p[l * stride]);                                     \
	}                                                                                          \
	break

static void read_lanes(const eval_load *load, int64_t offset, int64_t stride, eval_value *out,
	int64_t low, int64_t high)
{
	switch (load->dtype) {
	case DTYPE_BF16:
		EACH(uint16_t, f, from_bf16);
	case DTYPE_F16:
		EACH(uint16_t, f, from_f16);
	case DTYPE_F32:
		EACH(float, f, (double));
	case DTYPE_I32:
		EACH(int32_t, i, (int64_t));
	case DTYPE_F64:
		EACH(double, f, );
	}
}

/* The value of a load after a failure: the tensor may be empty. */
static void read_nothing(const eval_worker *w, const eval_cell *c, eval_value *out)
{
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1;

	memset(out + low, 0, sizeof *out * (size_t)(high - low));
}

/* Lanes whose subscripts are computed: the offsets are summed up in `out` before the elements
 * replace them. */
static void gather(eval_worker *w, const eval_cell *c, int64_t base, eval_value *out)
{
	const eval_load *load = c->load;

	for (int64_t l = w->low; l < w->high; l++)
		out[l].i = base;
	for (int r = 0; r < load->rank; r++) {
		const eval_value *sub;

		if (!c->arg[r]->lanes)
			continue;
		sub = eval_fetch(w, c->arg[r]);
		for (int64_t l = w->low; l < w->high; l++)
			out[l].i += load->stride[r] * checked(w, c, r, sub[l].i);
	}
	if (w->failed)
		read_nothing(w, c, out);
	for (int64_t l = w->low; l < w->high && !w->failed; l++)
		read_lanes(load, out[l].i, 0, out + l, 0, 1);
}

void eval_load_element(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_load *load = c->load;
	int64_t offset = scalar_offset(w, c);

	if (w->failed)
		read_nothing(w, c, out);
	else if (!c->lanes)
		read_lanes(load, offset, 0, out, 0, 1);
	else if (load->unit >= 0)
		read_lanes(load, offset, load->stride[load->unit], out, w->low, w->high);
	else
		gather(w, c, offset, out);
}
