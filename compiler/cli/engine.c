/* engine.c: a spec made runnable on a device: a GPU, the CPU, the simulator, or the reference where
 * asked for or where nothing else can run the spec. */
#include "cli/gpu.h"
#include <stdlib.h>
#include <string.h>

typedef enum { ON_AUTO, ON_CPU, ON_REFERENCE, ON_GPU, ON_SIM } place;

static cli_status unknown_device(const options *o)
{
	static const char *const names[] = {"auto", "cpu", "reference", "cuda", "sim"};
	const char *near = diag_nearest(o->device, names, 5);

	message_error(o, "--device: '%s' is not auto, cpu, reference, cuda:N or sim%s%s%s",
		o->device, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return CLI_USAGE;
}

static cli_status device_parse(const options *o, place *where, int *device)
{
	static const struct {
		const char *name;
		place where;
	} known[] = {{"auto", ON_AUTO}, {"cpu", ON_CPU}, {"reference", ON_REFERENCE},
		{"sim", ON_SIM}, {"cuda", ON_GPU}};
	int64_t n;

	*device = 0;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(o->device, known[i].name) == 0) {
			*where = known[i].where;
			return CLI_OK;
		}
	if (strncmp(o->device, "cuda:", 5) != 0)
		return unknown_device(o);
	if (!options_integer(o->device + 5, &n) || n < 0 || n > 1023) {
		message_error(o, "--device: '%s' is not the number of a GPU", o->device + 5);
		return CLI_USAGE;
	}
	*where = ON_GPU;
	*device = (int)n;
	return CLI_OK;
}

/* Options that only some devices take. */
static cli_status options_fit(const options *o, place where)
{
	bool gpu = where == ON_GPU || where == ON_AUTO;

	if (o->code && !gpu) {
		message_error(o, "--code: only --device cuda:N runs given code");
		return CLI_USAGE;
	}
	if (o->target.count > 0 && !gpu && where != ON_SIM) {
		message_error(o, "--target: the code of a GPU target runs on cuda:N and sim");
		return CLI_USAGE;
	}
	return CLI_OK;
}

cli_status engine_inner(
	const options *o, const sema_spec *s, const char *name, const sema_axis **inner)
{
	const char *names[SEMA_MAX_KEYS];
	int rank = 0; /* 1: set for every target, 2: for this one */

	*inner = NULL;
	for (int i = 0; i < s->setting.count; i++) {
		const sema_setting *t = &s->setting.item[i];
		int r = !t->target ? 1 : strcmp(t->target, name) == 0 ? 2 : 0;
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

/* --- the CPU --- */

static cli_status compile(unit *u, engine *e)
{
	double start = clock_now();
	e->kernel = host_compile(e->form, &(host_options){0}, &e->times, u->diags);
	e->compile_ms = (clock_now() - start) * 1e3;
	cli_status status = unit_flush(u);
	if (!e->kernel)
		return status == CLI_OK ? CLI_ENVIRONMENT : status;
	return status;
}

static cli_status start_threads(engine *e)
{
	e->pool = rt_pool_create((int)e->o->threads);
	if (!e->pool) {
		message_error(e->o, "cannot start the worker threads");
		return CLI_ENVIRONMENT;
	}
	e->threads = rt_pool_threads(e->pool);
	return CLI_OK;
}

static cli_status open_cpu(unit *u, sema_spec *s, engine *e, place where)
{
	const row_form *form;
	cli_status status = gpu_form(u, s, "cpu", &form, &e->model_ms);

	e->form = (row_form *)form;
	if (status == CLI_OK && form) {
		status = compile(u, e);
		return status == CLI_OK ? start_threads(e) : status;
	}
	if (status == CLI_OK && where == ON_CPU) {
		message_error(e->o,
			"%s has no row form, so it does not run on the cpu; use --device reference",
			s->name);
		return CLI_INPUT;
	}
	if (status != CLI_OK)
		return status;
	message_note(e->o, "%s runs on the reference interpreter", s->name);
	e->reference = true;
	return CLI_OK;
}

/* --- all of them --- */

/* Needs no row form, so says nothing about it. */
static void open_reference(unit *u, sema_spec *s, engine *e)
{
	e->form = model_choose(s, NULL, u->diags);
	u->diags->list.count = u->diags->warnings = u->diags->errors = 0;
	e->reference = true;
}

static cli_status open_sim(unit *u, sema_spec *s, engine *e)
{
	cli_status status = sim_open(u, s, e);
	return status == CLI_OK ? start_threads(e) : status;
}

static cli_status open_gpu(unit *u, sema_spec *s, engine *e, place where, int device)
{
	cli_status status = gpu_open(u, s, e, device, where == ON_AUTO);

	if (status == CLI_OK && where == ON_GPU && !e->form) {
		message_error(e->o,
			"%s has no row form, so it does not run on a GPU; use --device "
			"reference",
			s->name);
		return CLI_INPUT;
	}
	return status;
}

static engine engine_start(const unit *u, const sema_spec *s)
{
	return (engine){.o = u->o,
		.spec = s,
		.threads = u->o->threads ? (int)u->o->threads : machine_cores()};
}

cli_status engine_open_cpu(unit *u, sema_spec *s, engine *e)
{
	*e = engine_start(u, s);
	return open_cpu(u, s, e, ON_AUTO);
}

cli_status engine_open(unit *u, sema_spec *s, const problem *p, engine *e)
{
	place where;
	int device;

	*e = engine_start(u, s);
	e->problem = p;
	cli_status status = device_parse(e->o, &where, &device);
	if (status == CLI_OK)
		status = options_fit(e->o, where);
	if (status != CLI_OK)
		return status;
	switch (where) {
	case ON_REFERENCE:
		open_reference(u, s, e);
		return CLI_OK;
	case ON_SIM:
		return open_sim(u, s, e);
	case ON_GPU:
		return open_gpu(u, s, e, where, device);
	case ON_AUTO:
		status = open_gpu(u, s, e, where, device);
		if (status != CLI_OK || e->gpu)
			return status;
		break;
	case ON_CPU:
		break;
	}
	return open_cpu(u, s, e, where);
}

void engine_close(engine *e)
{
	gpu_close(e->gpu);
	sim_close(e->sim);
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
	cli_status status;

	if (e->gpu) {
		status = gpu_upload(e->gpu, p);
		return status == CLI_OK ? gpu_launch(e->gpu, p, seconds) : status;
	}
	if (e->sim)
		status = sim_launch(e->sim, p, e->pool);
	else
		status = e->reference ? launch_reference(e, p, line) : launch_kernel(e, p, line);
	*seconds = clock_now() - start;
	return status;
}

cli_status engine_fetch(engine *e, problem *p)
{
	return e->gpu ? gpu_fetch(e->gpu, p) : CLI_OK;
}

const char *engine_device(const engine *e)
{
	if (e->gpu)
		return arena_printf(e->o->arena, "cuda:%d", e->gpu->device);
	return e->sim ? "sim" : e->reference ? "reference" : "cpu";
}
