/* verb_bench: how long a spec's kernel takes and how much of the device it uses. Compilation is
 * timed apart; one launch warms up, then launches repeat until --reps or --min-time is reached. */
#include "cli/gpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	double best, median, worst; /* seconds of a launch */
	int launches;
} timing;

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

static cli_status measure(engine *e, problem *p, timing *t)
{
	const options *o = e->o;
	progress line = progress_start(e->spec->name);
	double warm, spent = 0, *seconds = NULL;
	int most = o->reps ? (int)(o->reps < 1000000 ? o->reps : 1000000) : 100000, n = 0;
	cli_status status = engine_launch(e, p, &line, &warm);

	while (status == CLI_OK && n < most && (o->reps || n < 3 || spent < o->min_time)) {
		if ((n & (n - 1)) == 0) {
			double *more = realloc(seconds, sizeof *seconds * (size_t)(n ? 2 * n : 1));
			if (!more)
				break;
			seconds = more;
		}
		status = engine_launch(e, p, &line, &seconds[n]);
		spent += seconds[n++];
	}
	progress_end(&line);
	if (status == CLI_OK && n > 0) {
		qsort(seconds, (size_t)n, sizeof *seconds, by_value);
		*t = (timing){seconds[0],
			n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2,
			seconds[n - 1], n};
	}
	free(seconds);
	return status;
}

static void print_text(
	const engine *e, const problem *p, const timing *t, const cost *c, const peak *top)
{
	text where = {0};
	double rate = c->flops / t->median, scale = e->gpu ? 1e-12 : 1e-9;
	const char *name = e->gpu ? "TFLOP/s" : "GFLOP/s";

	report_device(e, &where);
	printf("%s  %s\n", e->spec->name, report_problem(p));
	printf("  %s, inner %s\n", where.data, e->form->inner->name);
	printf("  compile %.1f ms\n", report_compile_ms(e));
	printf("  run     median %.4g ms, min %.4g, max %.4g (%d launches)\n", t->median * 1e3,
		t->best * 1e3, t->worst * 1e3, t->launches);
	printf("  rate    %.4g %s, %.1f %% of %.4g %s (%s)\n", rate * scale, name,
		rate / top->flops * 100, top->flops * scale, name, top->source);
	text_free(&where);
}

static cJSON *result_json(
	const engine *e, const problem *p, const timing *t, const cost *c, const peak *top)
{
	cJSON *o = cJSON_CreateObject(), *dims, *params;
	cJSON_AddStringToObject(o, "spec", e->spec->name);
	report_device_json(e, o);
	dims = cJSON_AddObjectToObject(o, "dims");
	for (int i = 0; i < p->spec->length.count; i++)
		cJSON_AddNumberToObject(dims, p->spec->length.item[i]->name, (double)p->length[i]);
	params = cJSON_AddObjectToObject(o, "params");
	for (int i = 0; i < p->spec->param.count; i++)
		cJSON_AddNumberToObject(params, p->spec->param.item[i]->name,
			p->spec->param.item[i]->type == TYPE_INT ? (double)p->param_int[i]
								 : p->param_float[i]);
	cJSON_AddNumberToObject(o, "compile_ms", report_compile_ms(e));
	cJSON_AddNumberToObject(o, "median_ms", t->median * 1e3);
	cJSON_AddNumberToObject(o, "min_ms", t->best * 1e3);
	cJSON_AddNumberToObject(o, "max_ms", t->worst * 1e3);
	cJSON_AddNumberToObject(o, "launches", t->launches);
	cJSON_AddNumberToObject(o, "tuples", (double)c->tuples);
	cJSON_AddNumberToObject(o, "flops", c->flops);
	cJSON_AddNumberToObject(o, "bytes", c->bytes);
	cJSON_AddNumberToObject(o, "gflops_per_s", c->flops / t->median * 1e-9);
	cJSON_AddNumberToObject(o, "peak_gflops_per_s", top->flops * 1e-9);
	cJSON_AddStringToObject(o, "peak_source", top->source);
	cJSON_AddNumberToObject(o, "share_of_peak", c->flops / t->median / top->flops);
	return o;
}

/* What was measured so far, for each kind of product. */
typedef struct {
	struct {
		char dot[32];
		peak p;
	} known[4];
	int count;
} peaks;

static peak cpu_peak(peaks *all, const engine *e)
{
	const char *dot = host_describe(e->kernel).dot;
	int i = 0;
	while (i < all->count && strcmp(all->known[i].dot, dot) != 0)
		i++;
	if (i == all->count && i < 4) {
		snprintf(all->known[i].dot, sizeof all->known[i].dot, "%s", dot);
		all->known[i].p = peak_measure(e->pool, dot);
		all->count++;
	}
	return all->known[i < 4 ? i : 3].p;
}

static peak peak_of(peaks *all, const engine *e)
{
	if (!e->gpu)
		return cpu_peak(all, e);
	return (peak){gpu_peak(e->gpu), "16-bit matrix products at the boost clock"};
}

/* Only kernels are timed: the reference's and the simulator's speed is of no interest. */
static cli_status refuse_others(const engine *e)
{
	if (e->gpu || e->kernel)
		return CLI_OK;
	message_error(e->o, "%s: bench times kernels on the cpu or a GPU, not %s", e->spec->name,
		engine_device(e));
	return CLI_INPUT;
}

static cli_status bench_one(const options *o, const char *path, peaks *all, cJSON *list)
{
	unit u;
	sema_spec *s = NULL;
	engine e = {0};
	problem p = {0};
	timing t = {0};
	cli_status status = unit_select(o, path, &u, &s);
	if (status != CLI_OK)
		return status;
	status = problem_open(o, s, u.arena, &p);
	if (status == CLI_OK)
		status = engine_open(&u, s, &p, &e);
	if (status == CLI_OK)
		status = refuse_others(&e);
	double start = clock_now();
	if (status == CLI_OK)
		status = problem_inputs(&p);
	if (status == CLI_OK)
		status = problem_outputs(&p, false);
	double inputs_ms = (clock_now() - start) * 1e3;
	peak top = status == CLI_OK ? peak_of(all, &e) : (peak){0};
	if (status == CLI_OK)
		status = measure(&e, &p, &t);
	if (status == CLI_OK) {
		cost c = problem_cost(&p, e.form);
		if (list)
			cJSON_AddItemToArray(list, result_json(&e, &p, &t, &c, &top));
		else
			print_text(&e, &p, &t, &c, &top);
		fflush(stdout);
		if (o->time_report)
			report_times(&u, &e, inputs_ms, t.best * 1e3, 0);
	}
	engine_close(&e);
	problem_close(&p);
	unit_close(&u);
	return status;
}

cli_status verb_bench(const options *o)
{
	cli_status worst = CLI_OK;
	peaks all = {0};
	cJSON *list = o->json ? cJSON_CreateArray() : NULL;

	for (int i = 0; i < o->operand.count; i++) {
		cli_status status = bench_one(o, o->operand.item[i], &all, list);
		if (status > worst)
			worst = status;
	}
	if (list) {
		char *s = cJSON_Print(list);
		printf("%s\n", s ? s : "[]");
		free(s);
		cJSON_Delete(list);
	}
	return worst;
}
