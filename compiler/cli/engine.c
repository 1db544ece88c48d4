/* engine.c: a spec made runnable on a device: the CPU kernel, or the reference where asked for or
 * where nothing else can run the spec. */
#include "cli/problem.h"
#include <string.h>

typedef enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_REFERENCE } device;

static cli_status device_parse(const options *o, device *d)
{
	static const char *const names[] = {"auto", "cpu", "reference", "cuda", "sim"};
	const char *word = o->device;

	if (strcmp(word, "auto") == 0)
		*d = DEVICE_AUTO;
	else if (strcmp(word, "cpu") == 0)
		*d = DEVICE_CPU;
	else if (strcmp(word, "reference") == 0)
		*d = DEVICE_REFERENCE;
	else if (strcmp(word, "sim") == 0 || strcmp(word, "cuda") == 0 ||
		 strncmp(word, "cuda:", 5) == 0) {
		message_error(o,
			"device '%s' is not available in this build of trikl; use cpu, reference "
			"or auto",
			word);
		return CLI_ENVIRONMENT;
	} else {
		const char *near = diag_nearest(word, names, 5);
		message_error(o, "--device: '%s' is not auto, cpu, reference, cuda:N or sim%s%s%s",
			word, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		return CLI_USAGE;
	}
	return CLI_OK;
}

cli_status engine_inner(const options *o, const sema_spec *s, const sema_axis **inner)
{
	const char *names[SEMA_MAX_KEYS];
	int rank = 0; /* 1: set for every target, 2: for the cpu */

	*inner = NULL;
	for (int i = 0; i < s->setting.count; i++) {
		const sema_setting *t = &s->setting.item[i];
		int r = !t->target ? 1 : strcmp(t->target, "cpu") == 0 ? 2 : 0;
		if (strcmp(t->key, "inner") == 0 && t->axis && r >= rank && r > 0) {
			*inner = t->axis;
			rank = r;
		}
	}
	if (!o->inner)
		return CLI_OK;
	for (int k = 0; k < s->key.count; k++) {
		names[k] = s->key.item[k]->name;
		if (strcmp(names[k], o->inner) == 0) {
			*inner = s->key.item[k];
			return CLI_OK;
		}
	}
	const char *near = diag_nearest(o->inner, names, s->key.count);
	if (near)
		message_error(o, "--inner: %s has no key index '%s'; did you mean '%s'?", s->name,
			o->inner, near);
	else
		message_error(o, "--inner: %s has no key index '%s'", s->name, o->inner);
	return CLI_USAGE;
}

/* Prints what the stages below reported since the last time. */
static cli_status flush_diagnostics(unit *u)
{
	cli_status status = unit_report(u);
	u->diags->list.count = u->diags->warnings = 0;
	return status;
}

static cli_status compile(unit *u, engine *e)
{
	double start = clock_now();
	e->kernel = host_compile(e->form, &(host_options){0}, &e->times, u->diags);
	e->compile_ms = (clock_now() - start) * 1e3;
	cli_status status = flush_diagnostics(u);
	if (!e->kernel)
		return status == CLI_OK ? CLI_ENVIRONMENT : status;
	e->pool = rt_pool_create((int)e->o->threads);
	if (!e->pool) {
		message_error(e->o, "cannot start the worker threads");
		return CLI_ENVIRONMENT;
	}
	e->threads = rt_pool_threads(e->pool);
	return status;
}

cli_status engine_open(unit *u, sema_spec *s, engine *e)
{
	const sema_axis *inner;
	device d;

	*e = (engine){.o = u->o,
		.spec = s,
		.threads = u->o->threads ? (int)u->o->threads : machine_cores()};
	cli_status status = device_parse(e->o, &d);
	if (status == CLI_OK)
		status = engine_inner(e->o, s, &inner);
	if (status != CLI_OK)
		return status;
	double start = clock_now();
	e->form = model_choose(s, inner, u->diags);
	e->model_ms = (clock_now() - start) * 1e3;
	if (d == DEVICE_REFERENCE) { /* needs no row form, so says nothing about it */
		u->diags->list.count = u->diags->warnings = u->diags->errors = 0;
		e->reference = true;
		return CLI_OK;
	}
	status = flush_diagnostics(u);
	if (status != CLI_OK)
		return status;
	if (e->form)
		return compile(u, e);
	if (d == DEVICE_CPU) {
		message_error(e->o,
			"%s has no row form, so it does not run on the cpu; use --device reference",
			s->name);
		return CLI_INPUT;
	}
	message_note(e->o, "%s runs on the reference interpreter", s->name);
	e->reference = true;
	return CLI_OK;
}

void engine_close(engine *e)
{
	host_destroy(e->kernel);
	rt_pool_destroy(e->pool);
	*e = (engine){0};
}

static cli_status launch_reference(engine *e, problem *p, progress *line)
{
	eval_args args = problem_eval_args(p, NULL);
	const char *why = NULL;
	args.progress = progress_update;
	args.progress_user = line;
	if (eval_run(&args, &why))
		return CLI_OK;
	progress_end(line);
	message_error(e->o, "%s: %s", e->spec->name, why ? why : "the reference failed");
	return CLI_INPUT;
}

static cli_status launch_kernel(engine *e, problem *p, progress *line)
{
	const sema_spec *s = e->spec;
	void **data = ARENA_ARRAY(p->arena, void *, s->tensor.count + 1);
	const int64_t **stride = ARENA_ARRAY(p->arena, const int64_t *, s->tensor.count + 1);
	for (int i = 0; i < s->tensor.count; i++) {
		data[i] = p->tensor[i].data;
		stride[i] = p->tensor[i].stride;
	}
	host_args args = {.data = data,
		.stride = stride,
		.length = p->length,
		.param_int = p->param_int,
		.param_float = p->param_float,
		.progress = progress_update,
		.progress_user = line};
	if (host_launch(e->kernel, &args, e->pool))
		return CLI_OK;
	progress_end(line);
	message_error(e->o, "%s: out of memory for the workspace (%.2f GB)", s->name,
		(double)host_workspace(e->kernel, &args, e->threads) * 1e-9);
	return CLI_ENVIRONMENT;
}

cli_status engine_launch(engine *e, problem *p, progress *line, double *seconds)
{
	double start = clock_now();
	cli_status status = e->reference ? launch_reference(e, p, line) : launch_kernel(e, p, line);
	*seconds = clock_now() - start;
	return status;
}
