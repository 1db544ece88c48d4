/* report.c: what `run` says about a finished run, for people and as JSON. Numbers are computed here
 * once and printed by both. */
#include "cli/problem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Finite elements' statistics. */
typedef struct {
	double min, max, mean, rms;
	int64_t finite, nans, infinities;
} statistics;

static statistics tensor_statistics(const tensor *t)
{
	statistics s = {.min = INFINITY, .max = -INFINITY};
	double sum = 0, squares = 0;
	for (int64_t i = 0; i < t->count; i++) {
		double x = dtype_get(t->data, t->dtype, i);
		s.nans += isnan(x);
		s.infinities += isinf(x) != 0;
		if (!isfinite(x))
			continue;
		s.finite++;
		s.min = fmin(s.min, x);
		s.max = fmax(s.max, x);
		sum += x;
		squares += x * x;
	}
	s.mean = s.finite ? sum / (double)s.finite : 0;
	s.rms = s.finite ? sqrt(squares / (double)s.finite) : 0;
	return s;
}

const char *report_problem(const problem *p)
{
	const sema_spec *s = p->spec;
	const char *all = "";

	for (int i = 0; i < s->length.count; i++)
		all = arena_printf(p->arena, "%s%s%s=%lld", all, *all ? " " : "",
			s->length.item[i]->name, (long long)p->length[i]);
	for (int i = 0; i < s->param.count; i++) {
		all = arena_printf(
			p->arena, "%s%s%s=", all, *all ? " " : "", s->param.item[i]->name);
		if (s->param.item[i]->type == TYPE_INT)
			all = arena_printf(p->arena, "%s%lld", all, (long long)p->param_int[i]);
		else
			all = arena_printf(p->arena, "%s%g", all, p->param_float[i]);
	}
	return all;
}

static void say_device(const outcome *r, text *out)
{
	text_printf(out, "%s on ", r->e->spec->name);
	report_device(r->e, out);
	text_put(out, "\n");
}

static void say_problem(const problem *p, text *out)
{
	const sema_spec *s = p->spec;
	if (s->length.count)
		text_put(out, "  lengths ");
	for (int i = 0; i < s->length.count; i++)
		text_printf(out, " %s=%lld%s", s->length.item[i]->name, (long long)p->length[i],
			p->length_from[i] ? "" : " (default)");
	if (s->length.count)
		text_put(out, "\n");
	if (s->param.count)
		text_put(out, "  params  ");
	for (int i = 0; i < s->param.count; i++)
		if (s->param.item[i]->type == TYPE_INT)
			text_printf(out, " %s=%lld", s->param.item[i]->name,
				(long long)p->param_int[i]);
		else
			text_printf(out, " %s=%g", s->param.item[i]->name, p->param_float[i]);
	if (s->param.count)
		text_put(out, "\n");
}

static void say_tensors(const problem *p, text *out)
{
	for (int i = 0; i < p->spec->tensor.count; i++) {
		const tensor *t = &p->tensor[i];
		const char *shape = tensor_shape(p->arena, t);
		if (!t->decl->output) {
			text_printf(out, "  in   %-5s %-26s %s\n", t->decl->name, shape,
				t->file                 ? t->file
				: t->dtype == DTYPE_I32 ? "random segments"
							: "random normal");
			continue;
		}
		statistics s = tensor_statistics(t);
		text_printf(out, "  out  %-5s %-26s ", t->decl->name, shape);
		if (s.finite)
			text_printf(out, "min %.5g  max %.5g  mean %.5g  rms %.5g", s.min, s.max,
				s.mean, s.rms);
		else
			text_printf(out, "%s", t->count ? "nothing finite" : "empty");
		if (s.nans)
			text_printf(out, "  %lld NaN", (long long)s.nans);
		if (s.infinities)
			text_printf(out, "  %lld infinite", (long long)s.infinities);
		text_put(out, "\n");
	}
}

/* "1.23 ms" */
static void put_time(text *out, double seconds)
{
	if (seconds >= 1)
		text_printf(out, "%.3g s", seconds);
	else if (seconds >= 1e-3)
		text_printf(out, "%.3g ms", seconds * 1e3);
	else
		text_printf(out, "%.3g us", seconds * 1e6);
}

static void say_speed(const outcome *r, text *out)
{
	if (!r->e->reference) {
		text_put(out, "  compile ");
		put_time(out, report_compile_ms(r->e) * 1e-3);
		text_put(out, "\n");
	}
	text_put(out, "  run     ");
	put_time(out, r->seconds);
	if (r->launches > 1)
		text_printf(out, " (best of %d)", r->launches);
	if (r->cost.flops > 0 && r->seconds > 0 && !r->e->sim)
		text_printf(out,
			", %.4g GFLOP/s: 2 (%d + %d) x %lld key tuples in the windows of %lld rows",
			r->cost.flops / r->seconds * 1e-9, r->cost.dot, r->cost.out,
			(long long)r->cost.tuples, (long long)r->cost.rows);
	text_put(out, "\n");
}

static void say_worst(const comparison *c, text *out)
{
	const char *name = c->out->decl->name;
	text_printf(out, "                %s[", name);
	for (int d = 0; d < c->out->decl->rank; d++)
		text_printf(out, "%s%lld", d ? ", " : "", (long long)c->at[d]);
	text_printf(out, "] is %.9g, the reference says %.9g", c->got, c->want);
	if (c->mismatched)
		text_printf(out, "; %lld element%s where NaN or infinity disagree",
			(long long)c->mismatched, c->mismatched == 1 ? "" : "s");
	text_put(out, "\n");
}

static void say_check(const outcome *r, text *out)
{
	const verdict *v = r->v;
	int outputs = r->p->spec->tensor.count - r->p->spec->inputs;

	if (r->e->reference) {
		text_put(out, "  check   nothing to compare: this is the reference\n");
		return;
	}
	text_printf(out, "  check   %s: ", v->passed ? "passed" : "FAILED");
	if (v->rows == v->total)
		text_printf(out, "checked all %lld rows", (long long)v->total);
	else
		text_printf(
			out, "checked %lld of %lld rows", (long long)v->rows, (long long)v->total);
	text_put(out, " against the float64 reference (");
	put_time(out, v->seconds);
	text_put(out, ")\n");
	for (int i = 0; i < outputs; i++) {
		const comparison *c = &v->item[i];
		text_printf(out, "          %-5s worst row %.2g (tolerance %.2g)",
			c->out->decl->name, c->error, c->tolerance);
		if (c->element_tolerance > c->tolerance)
			text_printf(out, ", worst element %.2g (tolerance %.2g)", c->element_error,
				c->element_tolerance);
		text_put(out, c->passed ? "\n" : "  <-- too large\n");
		if (!c->passed)
			say_worst(c, out);
	}
}

void report_text(const outcome *r, text *out)
{
	say_device(r, out);
	say_problem(r->p, out);
	say_tensors(r->p, out);
	say_speed(r, out);
	if (r->v)
		say_check(r, out);
}

/* --- JSON --- */

static cJSON *json_lengths(const problem *p, cJSON *defaulted)
{
	cJSON *o = cJSON_CreateObject();
	for (int i = 0; i < p->spec->length.count; i++) {
		cJSON_AddNumberToObject(o, p->spec->length.item[i]->name, (double)p->length[i]);
		if (!p->length_from[i])
			cJSON_AddItemToArray(
				defaulted, cJSON_CreateString(p->spec->length.item[i]->name));
	}
	return o;
}

static cJSON *json_params(const problem *p)
{
	cJSON *o = cJSON_CreateObject();
	for (int i = 0; i < p->spec->param.count; i++)
		cJSON_AddNumberToObject(o, p->spec->param.item[i]->name,
			p->spec->param.item[i]->type == TYPE_INT ? (double)p->param_int[i]
								 : p->param_float[i]);
	return o;
}

static cJSON *json_tensor(const tensor *t)
{
	cJSON *o = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(o, "shape");
	cJSON_AddStringToObject(o, "name", t->decl->name);
	cJSON_AddStringToObject(o, "dtype", sema_dtype_name(t->dtype));
	for (int d = 0; d < t->decl->rank; d++)
		cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->shape[d]));
	if (!t->decl->output) {
		if (t->file)
			cJSON_AddStringToObject(o, "file", t->file);
		return o;
	}
	statistics s = tensor_statistics(t);
	cJSON_AddItemToObject(o, "min", s.finite ? cJSON_CreateNumber(s.min) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "max", s.finite ? cJSON_CreateNumber(s.max) : cJSON_CreateNull());
	cJSON_AddItemToObject(
		o, "mean", s.finite ? cJSON_CreateNumber(s.mean) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "rms", s.finite ? cJSON_CreateNumber(s.rms) : cJSON_CreateNull());
	cJSON_AddNumberToObject(o, "nan", (double)s.nans);
	cJSON_AddNumberToObject(o, "infinite", (double)s.infinities);
	return o;
}

static cJSON *json_check(const outcome *r)
{
	const verdict *v = r->v;
	cJSON *o = cJSON_CreateObject();
	cJSON_AddBoolToObject(o, "passed", v->passed);
	cJSON_AddNumberToObject(o, "rows", (double)v->rows);
	cJSON_AddNumberToObject(o, "total_rows", (double)v->total);
	cJSON_AddNumberToObject(o, "seconds", v->seconds);
	cJSON *list = cJSON_AddArrayToObject(o, "outputs");
	for (int i = 0; i < r->p->spec->tensor.count - r->p->spec->inputs && !r->e->reference;
		i++) {
		const comparison *c = &v->item[i];
		cJSON *item = cJSON_CreateObject(), *at = cJSON_CreateArray();
		cJSON_AddStringToObject(item, "name", c->out->decl->name);
		cJSON_AddBoolToObject(item, "passed", c->passed);
		cJSON_AddItemToObject(item, "error",
			isfinite(c->error) ? cJSON_CreateNumber(c->error) : cJSON_CreateNull());
		cJSON_AddNumberToObject(item, "tolerance", c->tolerance);
		cJSON_AddItemToObject(item, "element_error",
			isfinite(c->element_error) ? cJSON_CreateNumber(c->element_error)
						   : cJSON_CreateNull());
		cJSON_AddNumberToObject(item, "element_tolerance", c->element_tolerance);
		cJSON_AddNumberToObject(item, "mismatched", (double)c->mismatched);
		for (int d = 0; d < c->out->decl->rank && c->at[0] >= 0; d++)
			cJSON_AddItemToArray(at, cJSON_CreateNumber((double)c->at[d]));
		cJSON_AddItemToObject(item, "worst", at);
		cJSON_AddItemToArray(list, item);
	}
	return o;
}

void report_json(const outcome *r, text *out)
{
	const engine *e = r->e;
	cJSON *o = cJSON_CreateObject(), *defaulted = cJSON_CreateArray();
	cJSON_AddStringToObject(o, "spec", e->spec->name);
	report_device_json(e, o);
	cJSON_AddItemToObject(o, "dims", json_lengths(r->p, defaulted));
	cJSON_AddItemToObject(o, "defaulted", defaulted);
	cJSON_AddItemToObject(o, "params", json_params(r->p));
	cJSON *in = cJSON_AddArrayToObject(o, "inputs"),
	      *outs = cJSON_AddArrayToObject(o, "outputs");
	for (int i = 0; i < r->p->spec->tensor.count; i++)
		cJSON_AddItemToArray(
			i < r->p->spec->inputs ? in : outs, json_tensor(&r->p->tensor[i]));
	cJSON_AddNumberToObject(o, "compile_ms", report_compile_ms(e));
	cJSON_AddNumberToObject(o, "run_ms", r->seconds * 1e3);
	cJSON_AddNumberToObject(o, "launches", r->launches);
	cJSON_AddNumberToObject(o, "rows", (double)r->cost.rows);
	cJSON_AddNumberToObject(o, "tuples", (double)r->cost.tuples);
	cJSON_AddNumberToObject(o, "flops", r->cost.flops);
	if (r->cost.flops > 0 && r->seconds > 0 && !e->sim)
		cJSON_AddNumberToObject(o, "gflops_per_s", r->cost.flops / r->seconds * 1e-9);
	if (r->v)
		cJSON_AddItemToObject(o, "check", json_check(r));
	cJSON_AddItemToObject(o, "times_ms", report_times_json(r->u, e, r->inputs_ms));
	char *s = cJSON_Print(o);
	text_printf(out, "%s\n", s ? s : "{}");
	free(s);
	cJSON_Delete(o);
}
