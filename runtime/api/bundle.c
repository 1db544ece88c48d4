/* bundle: kernels that `trikl build` compiled.
 * in:  a bundle's bytes, a kernel's name     out: a tkl_kernel that needs no compiler */
#include "runtime/bundle.h"
#include "runtime/api/api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	tkl_kernel base;
	rt_bundle *bundle;
	char targets[256]; /* "sm_80,sm_90a" */
} bundle_kernel;

static void destroy(tkl_kernel *kernel)
{
	bundle_kernel *k = (bundle_kernel *)kernel;

	rt_program_destroy(k->base.program);
	rt_bundle_close(k->bundle);
	free(k);
}

static const api_backend bundle_backend = {
	.gpu = true, .launch = api_gpu_launch, .prepare = api_gpu_prepare, .destroy = destroy};

/* Bytes that are no bundle are no layout of a tensor. */
static tkl_status refuse(rt_error *err)
{
	tkl_status status = err->status == RT_NO_MEMORY ? TKL_ERROR_MEMORY : TKL_ERROR_BUNDLE;

	api_fail(status, "%s", err->message);
	rt_error_clear(err);
	return status;
}

/* --- choosing --- */

static void list_names(const rt_bundle *b, char *out, size_t size)
{
	size_t n = 0;

	*out = 0;
	for (int k = 0; k < rt_bundle_kernels(b) && n < size; k++)
		n += (size_t)snprintf(out + n, size - n, "%s'%s'", k ? ", " : "",
			rt_bundle_kernel_at(b, k)->interface.name);
}

static tkl_status choose(const rt_bundle *b, const char *name, const rt_bundle_kernel **kernel)
{
	char names[512];

	list_names(b, names, sizeof names);
	if (!name && rt_bundle_kernels(b) > 1)
		return api_fail(TKL_ERROR_ARGUMENT, "the bundle holds %s: say which", names);
	for (int k = 0; k < rt_bundle_kernels(b); k++) {
		*kernel = rt_bundle_kernel_at(b, k);
		if (!name || !strcmp((*kernel)->interface.name, name))
			return TKL_OK;
	}
	return api_fail(TKL_ERROR_ARGUMENT, "the bundle holds no '%s', only %s", name, names);
}

static bool add_images(rt_program *p, const rt_bundle_kernel *k)
{
	for (int i = 0; i < k->images; i++) {
		const rt_bundle_image *x = &k->image[i];

		if (!rt_program_add(p,
			    &(rt_image_source){
				    .signature = &x->signature, .code = x->code, .size = x->size}))
			return false;
	}
	return true;
}

static tkl_status make_kernel(
	tkl_context *context, rt_bundle *b, const rt_bundle_kernel *from, tkl_kernel **kernel)
{
	bundle_kernel *k = calloc(1, sizeof *k);

	if (!k) {
		rt_bundle_close(b);
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	}
	k->bundle = b;
	k->base = (tkl_kernel){.backend = &bundle_backend,
		.interface = from->interface,
		.program = rt_program_create(context->gpu, from->interface.name),
		.device = RT_CURRENT,
		.target = k->targets};
	if (!k->base.program || !add_images(k->base.program, from)) {
		destroy(&k->base);
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	}
	rt_program_targets(k->base.program, ",", k->targets, sizeof k->targets);
	k->base.context = api_context_hold(context);
	*kernel = &k->base;
	return TKL_OK;
}

tkl_status tkl_bundle_load(
	tkl_context *context, const void *data, size_t size, const char *name, tkl_kernel **kernel)
{
	const rt_bundle_kernel *from = NULL;
	rt_error err = {0};
	rt_bundle *b;
	tkl_status status;

	if (!context || !kernel || !data)
		return api_fail(
			TKL_ERROR_ARGUMENT, "the context, the bytes or the kernel pointer is NULL");
	if (rt_bundle_open(data, size, &b, &err))
		return refuse(&err);
	status = choose(b, name, &from);
	if (!status)
		return make_kernel(context, b, from, kernel);
	rt_bundle_close(b);
	return status;
}

/* --- files --- */

/* The bytes of a file, to be freed. */
static tkl_status read_file(const char *path, void **data, size_t *size)
{
	FILE *f = fopen(path, "rb");
	size_t room = 1 << 16, n = 0;
	char *bytes = f ? malloc(room) : NULL;
	tkl_status status = TKL_OK;

	if (!f)
		return api_fail(TKL_ERROR_ARGUMENT, "%s: %s", path, strerror(errno));
	while (bytes && (n += fread(bytes + n, 1, room - n, f)) == room) {
		char *more = realloc(bytes, room *= 2);

		if (!more)
			free(bytes);
		bytes = more;
	}
	if (!bytes)
		status = api_fail(TKL_ERROR_MEMORY, "out of memory for %s", path);
	else if (ferror(f))
		status = api_fail(TKL_ERROR_ARGUMENT, "%s: cannot be read", path);
	fclose(f);
	if (status) {
		free(bytes);
		return status;
	}
	*data = bytes;
	*size = n;
	return TKL_OK;
}

tkl_status tkl_bundle_open(
	tkl_context *context, const char *path, const char *name, tkl_kernel **kernel)
{
	void *data = NULL;
	size_t size = 0;
	tkl_status status;

	if (!context || !path || !kernel)
		return api_fail(
			TKL_ERROR_ARGUMENT, "the context, the path or the kernel pointer is NULL");
	status = read_file(path, &data, &size);
	if (status)
		return status;
	status = tkl_bundle_load(context, data, size, name, kernel);
	free(data);
	return status;
}
