/* gpu_compile.c: a spec and an architecture -> row form, and the request that its kernel is cached
 * under; failures of the runtime as messages. */
#include "cli/gpu.h"
#include <stdio.h>
#include <string.h>

static void note(void *user, const char *says)
{
	message_warning(user, "%s", says);
}

device_system *gpu_system(const options *o)
{
	device_options d = {.note = note, .user = (void *)o};
	device_system *s = device_open(&d);

	if (!s)
		message_error(o, "out of memory");
	return s;
}

cli_status gpu_form(unit *u, sema_spec *s, const char *name, const row_form **form, double *ms)
{
	const sema_axis *inner;
	cli_status status = engine_inner(u->o, s, name, &inner);
	double start = clock_now();

	*form = NULL;
	if (status != CLI_OK)
		return status;
	*form = model_choose(s, inner, u->diags);
	*ms = (clock_now() - start) * 1e3;
	return unit_flush(u);
}

device_request gpu_request(unit *u, sema_spec *s, const row_form *form, const arch *a, int device)
{
	const ast_spec *ast = unit_spec(u, s);
	sema_define *define;
	int n = unit_defines(u, ast, &define);

	return (device_request){.file = u->file,
		.ast = ast,
		.source = u->src,
		.define = define,
		.defines = n,
		.inner = form->inner->name,
		.form = form,
		.arch = a,
		.device = device};
}

bool gpu_tuned(
	unit *u, device_system *d, const device_request *r, const problem *p, device_tuned *t)
{
	const char *class =
		p ? device_tuned_class(u->arena, p->spec, p->length, p->param_int) : NULL;

	return !u->o->no_tune && device_tuned_find(d, r, class, u->arena, t);
}

bool gpu_tuned_native(unit *u, sema_spec *s, const row_form *form, const cli_target *target,
	const problem *p, device_tuned *t)
{
	device_request r = gpu_request(u, s, form, target->arch, 0);
	device_system *d;
	bool found;

	if (!target->native)
		return false;
	d = gpu_system(u->o);
	found = d && gpu_tuned(u, d, &r, p, t);
	device_close(d);
	return found;
}

int64_t gpu_heads(const row_form *form, const problem *p)
{
	const sema_axis *head = form->head;
	int64_t groups = p && head && head->group ? p->length[head->group->length->id] : 0;

	return groups > 0 ? p->length[head->length->id] / groups : 0;
}

const gpu_choice *gpu_suited(const row_form *form, const arch *a, const problem *p, gpu_choice *c)
{
	return gpu_variant(form, a->name, gpu_heads(form, p), c) ? c : NULL;
}

cli_status gpu_failed(const options *o, const char *what, rt_error *err)
{
	bool input =
		err->status == RT_ARGUMENT || err->status == RT_SHAPE || err->status == RT_LAYOUT;
	cli_status status = input ? CLI_INPUT : CLI_ENVIRONMENT;

	message_error(o, "%s: %s", what, err->message);
	if (err->log && *err->log)
		fprintf(stderr, "%s\n", err->log);
	rt_error_clear(err);
	return status;
}
