/* jit: PTX -> cubin by the driver.
 * in:  PTX and a device        out: a copy of the linked code
 * relies on: rt_scope; the link takes its target from the context. */
#include "runtime/jit.h"
#include "runtime/cuda_internal.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES = 16 << 10, LOG_OPTIONS = 2 };

typedef struct {
	rt_cuda *cuda;
	int device;
	char log[LOG_BYTES];
	cu_link link;
} job;

static rt_status failed(job *j, cu_result r, const char *call, rt_error *err)
{
	rt_status status =
		rt_cuda_failed(j->cuda, err, r, call, "compiling PTX for GPU %d", j->device);

	rt_error_log(err, j->log, strlen(j->log));
	return status;
}

static rt_status copy_out(
	job *j, const void *code, size_t size, void **cubin, size_t *cubin_size, rt_error *err)
{
	*cubin = malloc(size ? size : 1);
	if (!*cubin)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	memcpy(*cubin, code, size);
	*cubin_size = size;
	(void)j;
	return RT_OK;
}

static rt_status link_code(
	job *j, const char *ptx, size_t size, void **cubin, size_t *cubin_size, rt_error *err)
{
	const cu_api *cu = &j->cuda->api;
	unsigned option[LOG_OPTIONS] = {CU_JIT_ERROR, CU_JIT_ERROR_SIZE};
	void *value[LOG_OPTIONS] = {j->log, (void *)(uintptr_t)(LOG_BYTES - 1)};
	void *code = NULL;
	size_t length = 0;
	cu_result r;

	if ((r = cu->cuLinkCreate(LOG_OPTIONS, option, value, &j->link)))
		return failed(j, r, "cuLinkCreate", err);
	r = cu->cuLinkAddData(
		j->link, CU_INPUT_PTX, (void *)(uintptr_t)ptx, size, "kernel.ptx", 0, NULL, NULL);
	if (r)
		return failed(j, r, "cuLinkAddData", err);
	if ((r = cu->cuLinkComplete(j->link, &code, &length)))
		return failed(j, r, "cuLinkComplete", err);
	return copy_out(j, code, length, cubin, cubin_size, err);
}

/* The driver wants a terminating zero, which counts. */
static rt_status compile(
	job *j, const char *ptx, size_t size, void **cubin, size_t *cubin_size, rt_error *err)
{
	char *text = malloc(size + 1);
	rt_status status;

	if (!text)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	memcpy(text, ptx, size);
	text[size] = 0;
	status = link_code(j, text, size + 1, cubin, cubin_size, err);
	if (j->link)
		j->cuda->api.cuLinkDestroy(j->link);
	free(text);
	return status;
}

rt_status rt_jit_compile(rt_cuda *cuda, int device, const char *ptx, size_t size, void **cubin,
	size_t *cubin_size, rt_error *err)
{
	const cu_api *cu = &cuda->api;
	unsigned mode = CU_CAPTURE_RELAXED;
	rt_scope scope;
	rt_status status;
	bool relaxed;
	job *j;

	*cubin = NULL;
	*cubin_size = 0;
	if (!cu->cuLinkCreate || !cu->cuLinkAddData || !cu->cuLinkComplete || !cu->cuLinkDestroy)
		return rt_error_set(err, RT_OLD_DRIVER, "cuLinkCreate", "the driver has no linker");
	status = rt_scope_enter(cuda, device, &scope, err);
	if (status)
		return status;
	j = calloc(1, sizeof *j);
	relaxed = cu->cuThreadExchangeStreamCaptureMode(&mode) == CU_OK;
	if (j) {
		j->cuda = cuda;
		j->device = scope.device;
		status = compile(j, ptx, size, cubin, cubin_size, err);
	} else {
		status = rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	}
	if (relaxed)
		cu->cuThreadExchangeStreamCaptureMode(&mode);
	free(j);
	rt_scope_leave(cuda, &scope);
	return status;
}

/* libcuda.so.1 is a link to the file that has the driver's version in its name. */
static void driver_file(const rt_cuda *cuda, char name[128])
{
	char real[PATH_MAX];
	const char *path = rt_cuda_path(cuda), *slash;

	if (realpath(path, real))
		path = real;
	slash = strrchr(path, '/');
	snprintf(name, 128, "%.127s", slash ? slash + 1 : path);
}

rt_status rt_jit_version(rt_cuda *cuda, int device, char version[256], rt_error *err)
{
	char file[128];
	rt_device_info info;
	rt_status status = rt_cuda_device(cuda, device, &info, err);

	if (status)
		return status;
	driver_file(cuda, file);
	snprintf(version, 256, "%d %s %d.%d", rt_cuda_version(cuda), file, info.major, info.minor);
	return RT_OK;
}
