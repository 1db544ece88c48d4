/* compare.c: a result against the reference in float64 on the same, already rounded, inputs.
 *
 * The error of a row (one feature vector) is the root mean square of got - want, relative to that
 * of want; the error of an element is |got - want| relative to the larger of |want| and its row's
 * root mean square. Rows that are small by chance are measured against the whole tensor: against a
 * quarter of its root mean square, all of it when they have fewer than 8 elements; logarithms
 * against at least 1. A row may be off by the tolerance, a single element of a longer row by four
 * times that. The tolerance belongs to the coarsest dtype among the output and the float inputs.
 * Infinities and NaN must agree exactly. */
#include "cli/problem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_SECONDS 20.0 /* a whole problem that takes longer is sampled */
#define CHECK_ROWS 512
#define ELEMENT_FACTOR 4
#define LONG_ROW 8

/* One output while it is being compared. */
typedef struct {
	const tensor *got, *want;
	int feature;  /* dimension of the feature axis, -1 */
	double floor; /* smallest scale */
	comparison *c;
} pairing;

static double tolerance_of(const sema_spec *s, const sema_tensor *out)
{
	static const double by_dtype[] = {[DTYPE_BF16] = 2e-2,
		[DTYPE_F16] = 2e-3,
		[DTYPE_F32] = 2e-5,
		[DTYPE_I32] = 0,
		[DTYPE_F64] = 1e-12};
	double worst = by_dtype[out->dtype];
	for (int i = 0; i < s->inputs; i++)
		worst = fmax(worst, by_dtype[s->tensor.item[i]->dtype]);
	return worst;
}

/* Coordinates of a row number: row-major over ROW axes in spec order, then QUERY. */
static void row_coordinates(const problem *p, int64_t row, int64_t *coord)
{
	const sema_spec *s = p->spec;
	for (int kind = AXIS_QUERY, pass = 0; pass < 2; kind = AXIS_ROW, pass++)
		for (int i = s->axis.count - 1; i >= 0; i--) {
			const sema_axis *a = s->axis.item[i];
			if ((int)a->kind != kind)
				continue;
			coord[a->id] = row % p->length[a->length->id];
			row /= p->length[a->length->id];
		}
}

/* Fills in the subscripts of the row's first element. */
static void row_place(const pairing *q, const int64_t *coord, int64_t *at)
{
	const sema_tensor *t = q->got->decl;
	for (int d = 0; d < t->rank; d++) {
		const sema_axis *a = t->dim[d].axis;
		at[d] = a && a->kind != AXIS_FEATURE ? coord[a->id] : 0;
	}
}

static double element(const tensor *t, const int64_t *at)
{
	int64_t offset = 0;
	for (int d = 0; d < t->decl->rank; d++)
		offset += at[d] * t->stride[d];
	return dtype_get(t->data, t->dtype, offset);
}

static int64_t row_width(const pairing *q)
{
	return q->feature < 0 ? 1 : q->got->shape[q->feature];
}

/* Root mean square of the finite elements of one row of the reference. */
static double row_rms(const pairing *q, int64_t *at, int64_t *count)
{
	double sum = 0;
	int64_t n = 0;
	for (int64_t e = 0; e < row_width(q); e++) {
		if (q->feature >= 0)
			at[q->feature] = e;
		double x = element(q->want, at);
		if (isfinite(x)) {
			sum += x * x;
			n++;
		}
	}
	*count = n;
	return n ? sqrt(sum / (double)n) : 0;
}

/* Compares one element; returns its difference, infinite when only one side is a number. */
static double judge(pairing *q, const int64_t *at, double scale)
{
	double got = element(q->got, at), want = element(q->want, at), difference;
	sema_dtype t = q->got->decl->dtype;

	if (!isfinite(dtype_round(t, want)))
		want = dtype_round(t, want); /* the output's dtype is too narrow for it */
	if (isfinite(got) && isfinite(want))
		difference = fabs(got - want);
	else
		difference = (isnan(got) && isnan(want)) || got == want ? 0 : INFINITY;
	double error = difference / fmax(fmax(isfinite(want) ? fabs(want) : 0, scale), 1e-300);
	q->c->mismatched += isinf(error);
	if (error > q->c->element_error || q->c->at[0] < 0) {
		q->c->element_error = error;
		q->c->got = got;
		q->c->want = want;
		memcpy(q->c->at, at, sizeof q->c->at);
	}
	return difference;
}

static void judge_row(pairing *q, int64_t *at)
{
	int64_t n;
	double scale = fmax(row_rms(q, at, &n), q->floor), squares = 0;

	for (int64_t e = 0; e < row_width(q); e++) {
		if (q->feature >= 0)
			at[q->feature] = e;
		double difference = judge(q, at, scale);
		squares += difference * difference;
	}
	if (row_width(q) == 0)
		return;
	double error = sqrt(squares / (double)row_width(q)) / fmax(scale, 1e-300);
	if (q->feature < 0) /* a single element: the same number as in judge */
		error = q->c->element_error;
	q->c->error = fmax(q->c->error, error);
}

/* Every chosen row of one output. */
static void compare_rows(const problem *p, pairing *q, const int64_t *row, int64_t rows)
{
	int64_t *coord = ARENA_ARRAY(p->arena, int64_t, p->spec->axis.count + 1);
	int64_t at[SEMA_MAX_RANK] = {0};
	double squares = 0, elements = 0;

	for (int64_t r = 0; r < rows; r++) {
		int64_t n;
		row_coordinates(p, row ? row[r] : r, coord);
		row_place(q, coord, at);
		double rms = row_rms(q, at, &n);
		squares += rms * rms * (double)n;
		elements += (double)n;
	}
	double rms = elements > 0 ? sqrt(squares / elements) : 0;
	q->floor = fmax(q->floor, row_width(q) >= LONG_ROW ? rms / 4 : rms);
	for (int64_t r = 0; r < rows; r++) {
		row_coordinates(p, row ? row[r] : r, coord);
		row_place(q, coord, at);
		judge_row(q, at);
	}
}

static bool is_logarithm(const sema_tensor *t)
{
	const expr *e = t->def ? t->def->value : NULL;
	return e && e->op == EXPR_REDUCE && e->reduce.how == REDUCE_LSE;
}

static void compare_output(
	const problem *p, const tensor *want, const int64_t *row, int64_t rows, comparison *c)
{
	const sema_tensor *t = want->decl;
	pairing q = {.got = &p->tensor[t->id], .want = want, .feature = -1, .c = c};

	for (int d = 0; d < t->rank; d++)
		if (!t->dim[d].length)
			q.feature = d;
	*c = (comparison){.out = q.got, .tolerance = tolerance_of(p->spec, t), .at = {-1}};
	q.floor = is_logarithm(t) ? 1 : 0;
	compare_rows(p, &q, row, rows);
	c->element_tolerance = row_width(&q) > 1 ? ELEMENT_FACTOR * c->tolerance : c->tolerance;
	c->passed = c->mismatched == 0 && c->error <= c->tolerance &&
		    c->element_error <= c->element_tolerance;
}

static int by_number(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
	return (a > b) - (a < b);
}

/* First row, last row, and seeded ones in between, ascending and distinct; returns how many. */
static int64_t sample_rows(uint64_t seed, int64_t total, int64_t wanted, int64_t *row)
{
	int64_t n = 0, distinct = 0;
	row[n++] = 0;
	row[n++] = total - 1;
	while (n < wanted) {
		row[n] = (int64_t)(random_bits(seed, 0x726f7773, (uint64_t)n) % (uint64_t)total);
		n++;
	}
	qsort(row, (size_t)n, sizeof *row, by_number);
	for (int64_t i = 0; i < n; i++)
		if (i == 0 || row[i] != row[distinct - 1])
			row[distinct++] = row[i];
	return distinct;
}

/* Decides which rows the reference computes. */
static void choose_rows(problem *p, eval_args *args, int64_t total)
{
	double estimate = eval_estimate(args);
	if (estimate <= CHECK_SECONDS || total <= 2)
		return;
	double affordable = CHECK_SECONDS / estimate * (double)total;
	int64_t wanted = affordable < CHECK_ROWS ? (int64_t)affordable : CHECK_ROWS;
	if (wanted < 8)
		wanted = 8;
	if (wanted >= total)
		return;
	int64_t *row = ARENA_ARRAY(p->arena, int64_t, wanted);
	args->rows = sample_rows((uint64_t)p->o->seed, total, wanted, row);
	args->row = row;
}

static cli_status reference_outputs(problem *p, tensor *want)
{
	for (int i = 0; i < p->spec->tensor.count - p->spec->inputs; i++) {
		want[i] = p->tensor[p->spec->inputs + i];
		want[i].dtype = DTYPE_F64;
		want[i].data = NULL;
	}
	for (int i = 0; i < p->spec->tensor.count - p->spec->inputs; i++) {
		cli_status status =
			memory_take(p->o, "the reference", want[i].count * 8, &want[i].data);
		if (status != CLI_OK)
			return status;
	}
	return CLI_OK;
}

static cli_status run_reference(problem *p, const tensor *want, verdict *v, eval_args *args)
{
	const char *why = NULL;
	*args = problem_eval_args(p, want);
	v->total = v->rows = eval_row_count(args);
	choose_rows(p, args, v->total);
	if (args->row)
		v->rows = args->rows;
	progress line = progress_start("reference");
	double start = clock_now();
	args->progress = progress_update;
	args->progress_user = &line;
	bool done = eval_run(args, &why);
	progress_end(&line);
	v->seconds = clock_now() - start;
	if (done)
		return CLI_OK;
	message_error(p->o, "%s: %s", p->spec->name, why ? why : "the reference failed");
	return CLI_INPUT;
}

cli_status compare_run(problem *p, verdict *v)
{
	int outputs = p->spec->tensor.count - p->spec->inputs;
	tensor *want = ARENA_ARRAY(p->arena, tensor, outputs + 1);
	eval_args args;

	*v = (verdict){.passed = true, .item = ARENA_ARRAY(p->arena, comparison, outputs + 1)};
	cli_status status = reference_outputs(p, want);
	if (status == CLI_OK)
		status = run_reference(p, want, v, &args);
	for (int i = 0; i < outputs && status == CLI_OK; i++) {
		compare_output(p, &want[i], args.row, v->rows, &v->item[i]);
		v->passed &= v->item[i].passed;
	}
	for (int i = 0; i < outputs; i++)
		memory_give(want[i].data);
	return status;
}
