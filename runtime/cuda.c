/* cuda: find the driver library, bind its functions, initialise it.
 * in:  libcuda.so.1 or a file that the caller names
 * out: an rt_cuda with every function of cuda_api.def
 * relies on: cuGetProcAddress giving the form of a function that a CUDA release had; without it
 * (drivers before 11.3) the symbols' version suffixes say the same. */
#include "runtime/cuda_internal.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OLDEST_DRIVER = 11000 };

typedef cu_result proc_address(const char *, void **, int, uint64_t);
typedef cu_result proc_address_v2(const char *, void **, int, uint64_t, unsigned *);

typedef enum { CU_NEED, CU_MAY } need;

static const struct {
	const char *name, *symbol;
	int version;
	need need;
	size_t offset; /* in cu_api */
} function[] = {
#define CU_FN(name, version, suffix, need, parameters)                                             \
	{#name, #name suffix, version, need, offsetof(cu_api, name)},
#include "runtime/cuda_api.def"
#undef CU_FN
};

enum { FUNCTIONS = sizeof function / sizeof *function };

_Static_assert(sizeof(void *) == sizeof(proc_address *), "functions have addresses like data");

rt_status rt_cuda_failed(const rt_cuda *cuda, rt_error *err, cu_result result, const char *call,
	const char *fmt, ...)
{
	const char *name = NULL, *string = NULL, *remedy = rt_result_remedy(result);
	rt_status status = rt_result_status(result);
	char what[300];
	va_list ap;

	if (!err)
		return status;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (result == 3 && cuda->process == getpid())
		remedy = NULL; /* 3 is what a forked child gets; here it is something else */
	cuda->api.cuGetErrorName(result, &name);
	cuda->api.cuGetErrorString(result, &string);
	rt_error_set(err, status, call, "%s: %s failed with %s (%u), %s%s%s", what, call,
		name ? name : "an unknown error", result, string ? string : "no description",
		remedy ? "; " : "", remedy ? remedy : "");
	err->result = result;
	return status;
}

/* --- binding --- */

typedef struct {
	void *library;
	proc_address *get;
	proc_address_v2 *get2;
} binder;

/* dlsym gives a data pointer; C has no conversion from that to a function pointer. */
static void copy_address(void *to, void *address)
{
	memcpy(to, &address, sizeof address);
}

static void *find_function(const binder *b, const char *name, const char *symbol, int version)
{
	void *address = NULL;
	unsigned found;

	if (b->get2 && b->get2(name, &address, version, CU_PROC_DEFAULT, &found) == CU_OK &&
		address)
		return address;
	if (!b->get2 && b->get && b->get(name, &address, version, CU_PROC_DEFAULT) == CU_OK &&
		address)
		return address;
	return b->get || b->get2 ? NULL : dlsym(b->library, symbol);
}

static rt_status bind_functions(rt_cuda *cuda, const binder *b, rt_error *err)
{
	for (int k = 0; k < FUNCTIONS; k++) {
		void *address =
			find_function(b, function[k].name, function[k].symbol, function[k].version);

		if (!address && function[k].need == CU_NEED)
			return rt_error_set(err, RT_OLD_DRIVER, function[k].name,
				"the CUDA driver %s has no %s: install a driver for CUDA 11.0 or "
				"newer",
				cuda->path, function[k].symbol);
		copy_address((char *)&cuda->api + function[k].offset, address);
	}
	return RT_OK;
}

static void *try_library(const char *path, rt_cuda *cuda, char reason[256])
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const char *why = library ? NULL : dlerror();

	if (!library && !reason[0])
		snprintf(reason, 256, "%s", why ? why : path);
	snprintf(cuda->path, sizeof cuda->path, "%s", path);
	return library;
}

static void *open_library(const char *path, rt_cuda *cuda, rt_error *err)
{
	char reason[256] = ""; /* of the first that was tried */
	void *library;

	if (!path)
		path = secure_getenv("TRIKL_LIBCUDA");
	if (path && *path) {
		library = try_library(path, cuda, reason);
	} else {
		library = try_library("libcuda.so.1", cuda, reason);
		if (!library) /* where WSL keeps it when ld.so.conf does not say so */
			library = try_library("/usr/lib/wsl/lib/libcuda.so.1", cuda, reason);
	}
	if (!library)
		rt_error_set(err, RT_NO_DRIVER, "dlopen", "no CUDA driver: %s", reason);
	return library;
}

static rt_status bind_library(rt_cuda *cuda, const char *path, rt_error *err)
{
	binder b = {.library = open_library(path, cuda, err)};

	if (!b.library)
		return RT_NO_DRIVER;
	copy_address(&b.get2, dlsym(b.library, "cuGetProcAddress_v2"));
	copy_address(&b.get, dlsym(b.library, "cuGetProcAddress"));
	return bind_functions(cuda, &b, err);
}

/* --- initialising --- */

static rt_status find_devices(rt_cuda *cuda, rt_error *err)
{
	cu_result r = cuda->api.cuDeviceGetCount(&cuda->devices);

	if (r)
		return rt_cuda_failed(cuda, err, r, "cuDeviceGetCount", "looking for GPUs");
	if (cuda->devices < 1)
		return rt_error_set(err, RT_NO_DEVICE, "cuDeviceGetCount",
			"the CUDA driver sees no GPU; %s", rt_result_remedy(100));
	cuda->device = calloc((size_t)cuda->devices, sizeof *cuda->device);
	if (!cuda->device)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	for (int d = 0; d < cuda->devices; d++)
		if ((r = cuda->api.cuDeviceGet(&cuda->device[d].handle, d)))
			return rt_cuda_failed(cuda, err, r, "cuDeviceGet", "GPU %d", d);
	return RT_OK;
}

static rt_status start_driver(rt_cuda *cuda, rt_error *err)
{
	cu_result r = cuda->api.cuInit(0);

	if (r)
		return rt_cuda_failed(
			cuda, err, r, "cuInit", "starting the CUDA driver %s", cuda->path);
	if ((r = cuda->api.cuDriverGetVersion(&cuda->version)))
		return rt_cuda_failed(cuda, err, r, "cuDriverGetVersion", "asking the driver");
	if (cuda->version < OLDEST_DRIVER)
		return rt_error_set(err, RT_OLD_DRIVER, "cuDriverGetVersion",
			"the CUDA driver supports CUDA %d.%d: install one for 11.0 or newer",
			cuda->version / 1000, cuda->version % 1000 / 10);
	return find_devices(cuda, err);
}

rt_status rt_cuda_open(const char *path, rt_cuda **out, rt_error *err)
{
	rt_cuda *cuda = calloc(1, sizeof *cuda);
	rt_status status;

	*out = NULL;
	if (!cuda)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	cuda->process = getpid();
	pthread_mutex_init(&cuda->lock, NULL);
	status = bind_library(cuda, path, err);
	if (!status)
		status = start_driver(cuda, err);
	if (status) {
		cuda->devices = cuda->device ? cuda->devices : 0;
		rt_cuda_close(cuda);
		return status;
	}
	*out = cuda;
	return RT_OK;
}

/* The library is not closed: the driver keeps threads and exit handlers of its own. */
void rt_cuda_close(rt_cuda *cuda)
{
	if (!cuda)
		return;
	rt_context_release(cuda);
	pthread_mutex_destroy(&cuda->lock);
	free(cuda->device);
	free(cuda);
}

int rt_cuda_version(const rt_cuda *cuda)
{
	return cuda->version;
}

const char *rt_cuda_path(const rt_cuda *cuda)
{
	return cuda->path;
}

int rt_cuda_devices(const rt_cuda *cuda)
{
	return cuda->devices;
}
