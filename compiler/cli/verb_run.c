/* verb_run: compiles one spec, runs it on files or random tensors, says what came out, and with
 * --check whether it is right. */
#include "cli/problem.h"
#include <stdio.h>
#include <string.h>

#define REPEAT_SECONDS 0.3 /* short kernels are launched again, the best time counts */
#define REPEAT_MOST 50

static const tensor *tensor_find(const problem *p, const char *name)
{
	for (int i = 0; i < p->spec->tensor.count; i++)
		if (strcmp(p->spec->tensor.item[i]->name, name) == 0)
			return &p->tensor[i];
	return NULL;
}

/* Before anything runs: a mistyped --output must not cost a run. */
static cli_status outputs_known(const problem *p)
{
	for (int i = 0; i < p->o->output.count; i++) {
		const char *name, *path;
		options_split(p->arena, p->o->output.item[i], &name, &path);
		if (tensor_find(p, name))
			continue;
		int n = p->spec->tensor.count;
		const char **names = ARENA_ARRAY(p->arena, const char *, n);
		for (int k = 0; k < n; k++)
			names[k] = p->spec->tensor.item[k]->name;
		const char *near = diag_nearest(name, names, n);
		message_error(p->o, "--output: %s has no tensor '%s'%s%s%s", p->spec->name, name,
			near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		return CLI_USAGE;
	}
	return CLI_OK;
}

static cli_status outputs_write(const problem *p)
{
	for (int i = 0; i < p->o->output.count; i++) {
		const char *name, *path;
		options_split(p->arena, p->o->output.item[i], &name, &path);
		const tensor *t = tensor_find(p, name);
		int64_t c_order = 1;
		for (int d = t->decl->rank - 1; d >= 0; d--) {
			if (t->stride[d] != c_order && t->shape[d] > 1) {
				message_error(p->o,
					"--output: %s was read from a Fortran-ordered file, which "
					"is not "
					"rewritten",
					name);
				return CLI_USAGE;
			}
			c_order *= t->shape[d];
		}
		cli_status status =
			npy_write(p->o, path, t->data, t->dtype, t->decl->rank, t->shape);
		if (status != CLI_OK)
			return status;
	}
	return CLI_OK;
}

/* The reference takes time that grows without mercy; a run beyond the limit is refused with its
 * estimate. */
static cli_status reference_affordable(const problem *p)
{
	eval_args args = problem_eval_args(p, NULL);
	double estimate = eval_estimate(&args);
	if (estimate <= p->o->limit)
		return CLI_OK;
	message_error(p->o,
		"the reference would take about %.3g s for this problem, more than the limit of %g "
		"s; "
		"use smaller --dims, or --limit to allow it",
		estimate, p->o->limit);
	return CLI_ENVIRONMENT;
}

static cli_status launch_best(engine *e, problem *p, outcome *r)
{
	progress line = progress_start(e->reference ? "reference"
				       : e->sim     ? "simulating"
						    : "running");
	double spent = 0;
	cli_status status = CLI_OK;

	r->seconds = 1e300;
	while (status == CLI_OK && r->launches < (e->reference || e->sim ? 1 : REPEAT_MOST)) {
		double seconds = 0;
		status = engine_launch(e, p, &line, &seconds);
		spent += seconds;
		r->launches++;
		if (seconds < r->seconds)
			r->seconds = seconds;
		if (spent > REPEAT_SECONDS)
			break;
	}
	progress_end(&line);
	return status;
}

static cli_status print_outcome(const options *o, const outcome *r)
{
	text t = {0};
	if (o->json)
		report_json(r, &t);
	else
		report_text(r, &t);
	fwrite(t.data, 1, t.len, stdout);
	text_free(&t);
	if (o->time_report)
		report_times(
			r->u, r->e, r->inputs_ms, r->seconds * 1e3, r->v ? r->v->seconds * 1e3 : 0);
	return r->v && !r->v->passed ? CLI_CHECK : CLI_OK;
}

static cli_status run_prepared(const unit *u, engine *e, problem *p)
{
	outcome r = {.u = u, .p = p, .e = e};
	verdict v = {.passed = true};
	double start = clock_now();

	cli_status status = problem_inputs(p);
	if (status == CLI_OK)
		status = problem_outputs(p, e->reference);
	r.inputs_ms = (clock_now() - start) * 1e3;
	if (status == CLI_OK && e->reference)
		status = reference_affordable(p);
	if (status == CLI_OK)
		status = launch_best(e, p, &r);
	if (status == CLI_OK)
		status = engine_fetch(e, p);
	if (status == CLI_OK)
		r.cost = problem_cost(p, e->form);
	if (status == CLI_OK && u->o->check) {
		r.v = &v;
		if (!e->reference)
			status = compare_run(p, &v);
	}
	if (status == CLI_OK)
		status = outputs_write(p);
	return status == CLI_OK ? print_outcome(u->o, &r) : status;
}

cli_status verb_run(const options *o)
{
	unit u;
	sema_spec *s = NULL;
	engine e = {0};
	problem p = {0};
	cli_status status = unit_select(o, o->operand.item[0], &u, &s);
	if (status != CLI_OK)
		return status;
	status = problem_open(o, s, u.arena, &p);
	if (status == CLI_OK)
		status = outputs_known(&p);
	if (status == CLI_OK)
		status = engine_open(&u, s, &p, &e);
	if (status == CLI_OK)
		status = run_prepared(&u, &e, &p);
	engine_close(&e);
	problem_close(&p);
	unit_close(&u);
	return status;
}
