/* kernel: a request's code as a program that can be launched.
 * in:  an artifact       out: a program, with the compiler behind it for what the artifact does not suit
 * A kernel on wgmma and TMA has a companion: the same spec for the portable architecture of the
 * device. It may have variants for other numbers of heads (gpu_variants). Both are compiled when they
 * are first needed. */
#include "device/system.h"
#include <stdlib.h>
#include <string.h>

struct device_kernel {
	device_system *system;
	device_request request;
	rt_program *program;
};

/* Of the compiler's messages the first error. */
static rt_status compile_failed(const diags *d, const char *name, int64_t heads, rt_error *err)
{
	for (int n = 0; n < d->list.count; n++)
		if (d->list.item[n].severity == DIAG_ERROR)
			return rt_error_set(err, RT_LAYOUT, NULL, "'%s' has no kernel for %s: %s",
				name,
				heads ? "this number of heads"
				      : "tensors that are not aligned to 16 bytes",
				d->list.item[n].message);
	return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
}

/* In place of the request's kernel: the one for so many heads, or for every tensor (0). */
static void turn_request(device_request *r, int64_t heads, gpu_choice *choice)
{
	if (heads == 0)
		r->arch = device_portable_arch(r->arch);
	/* without choice: sizes that were found are those of the other kernel */
	r->choice = heads && gpu_variant(r->form, r->arch->name, heads, choice) ? choice : NULL;
}

static rt_status make_other(void *user, int64_t heads, rt_image_source *out, rt_error *err)
{
	device_kernel *k = user;
	device_request r = k->request;
	gpu_choice choice;
	device_times times;
	const arch *code_arch;
	arena *a = arena_create();
	rt_status status = RT_OK;
	rt_blob *blob;
	diags *d;

	if (!a)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	d = diags_create(a, r.source);
	turn_request(&r, heads, &choice);
	blob = device_find(k->system, &r, a, d, &code_arch, &times);
	if (blob)
		*out = device_artifact_source(
			blob, code_arch, (rt_kernel_signature *)out->signature);
	else
		status = compile_failed(d, r.form->spec->name, heads, err);
	arena_destroy(a);
	return status;
}

device_kernel *device_wrap(device_system *s, const device_request *r, rt_blob *blob, const arch *a)
{
	device_kernel *k = calloc(1, sizeof *k);
	rt_kernel_signature signature;
	rt_image_source image = device_artifact_source(blob, a, &signature);

	if (k)
		k->program = rt_program_create(s->gpu, r->form->spec->name);
	if (!k || !k->program) {
		rt_blob_release(blob);
		free(k);
		return NULL;
	}
	k->system = s;
	k->request = *r;
	if (!rt_program_add(k->program, &image)) {
		device_destroy(k);
		return NULL;
	}
	if (signature.maps && device_portable_arch(r->arch))
		rt_program_on_demand(k->program, make_other, k);
	return k;
}

void device_destroy(device_kernel *k)
{
	if (!k)
		return;
	rt_program_destroy(k->program);
	free(k);
}

rt_program *device_program(const device_kernel *k)
{
	return k->program;
}
