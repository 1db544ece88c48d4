/* build_bundle.c: `trikl build --emit bundle,embed,header` for GPU targets.
 * in:  a checked spec and the targets     out: one kernel with code for all of them, as a file, as a
 * C array, as a header */
#include "cli/gpu.h"
#include <stdlib.h>
#include <string.h>

#define PRODUCER "trikl " TRIKL_VERSION

/* One target, and its companion where its kernel cannot take every tensor. */
static cli_status add_target(unit *u, sema_spec *s, device_bundle *b, const arch *a)
{
	bool by_tma = true;

	for (int n = 0; n < 2 && a && by_tma; n++, a = device_portable_arch(a)) {
		const row_form *form;
		rt_error err = {0};
		double ms;
		cli_status status = gpu_form(u, s, a->name, &form, &ms);

		if (status == CLI_OK && !form) {
			message_error(u->o, "%s has no row form, so there is no %s code for it",
				s->name, a->name);
			status = CLI_INPUT;
		}
		if (status != CLI_OK)
			return status;
		if (device_bundle_add(b, form, a, u->diags, &by_tma, &err))
			continue;
		status = err.status ? gpu_failed(u->o, "ptxas", &err) : unit_flush(u);
		return status == CLI_OK ? CLI_ENVIRONMENT : status;
	}
	return unit_flush(u);
}

cli_status bundle_make(
	unit *u, sema_spec *s, const cli_target *target, int targets, bundle_made *made)
{
	device_bundle *b = ARENA_NEW(u->arena, device_bundle);
	rt_ptxas *tool = NULL;
	cli_status status = CLI_OK;

	b->arena = u->arena;
	if (!rt_ptxas_find(&tool, NULL))
		b->assembler = tool;
	else if (u->o->verbose)
		message_note(u->o, "no ptxas: the bundle holds PTX, which the driver compiles");
	for (int t = 0; t < targets && status == CLI_OK; t++)
		if (target[t].arch)
			status = add_target(u, s, b, target[t].arch);
	rt_ptxas_destroy(tool);
	made->kernel = (rt_bundle_kernel){
		.interface = device_interface(u->arena, s), .images = b->images, .image = b->image};
	made->times = b->times;
	return status;
}

cli_status bundle_text(unit *u, const bundle_made *made, bundle_kind kind, text *out)
{
	size_t size;
	void *bytes;

	if (kind == BUNDLE_HEADER) {
		device_header(u->arena, &made->kernel, out);
		return CLI_OK;
	}
	bytes = rt_bundle_write(PRODUCER, &made->kernel, 1, &size);
	if (!bytes) {
		message_error(u->o, "out of memory for the bundle");
		return CLI_ENVIRONMENT;
	}
	if (kind == BUNDLE_FILE)
		text_putn(out, bytes, size);
	else
		device_embed(u->arena, made->kernel.interface.name, bytes, size, out);
	free(bytes);
	return CLI_OK;
}
