/* module: load a kernel's code into CUDA contexts.
 * in:  PTX or a cubin, and a context        out: a function that can be launched there, once per
 * context
 * relies on: rt_scope for the context. Where the driver has libraries (12.0) it holds one library
 * for all contexts; else one CUmodule per context. Loading is done with relaxed capture rules, so
 * that it does not break a capture that another thread has under way. */
#include "runtime/module_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARED_STATIC = 48 << 10 }; /* what every kernel may use without opting in */

/* --- the JIT compiler's log --- */

static void reset_log(jit_log *log)
{
	static const unsigned option[] = {
		CU_JIT_ERROR, CU_JIT_ERROR_SIZE, CU_JIT_INFO, CU_JIT_INFO_SIZE, CU_JIT_VERBOSE};
	/* one byte less: they stay zero-terminated whatever is written */
	void *value[] = {log->error, (void *)(uintptr_t)(sizeof log->error - 1), log->info,
		(void *)(uintptr_t)(sizeof log->info - 1), (void *)(uintptr_t)1};

	memset(log->error, 0, sizeof log->error);
	memset(log->info, 0, sizeof log->info);
	memcpy(log->option, option, sizeof option);
	memcpy(log->value, value, sizeof value);
}

enum { LOG_OPTIONS = 5 };

/* Keeps what the compiler said; out of memory loses text only. */
static void keep_info(rt_module *m)
{
	size_t old = m->told ? strlen(m->told) : 0, more;
	char *all;

	if (!m->log || !m->log->info[0])
		return;
	more = strlen(m->log->info);
	all = realloc(m->told, old + more + 1);
	if (!all)
		return;
	memcpy(all + old, m->log->info, more + 1);
	m->told = all;
	memset(m->log->info, 0, sizeof m->log->info);
}

char *rt_module_log(rt_module *m)
{
	char *copy;

	pthread_mutex_lock(&m->lock);
	copy = strdup(m->told ? m->told : "");
	pthread_mutex_unlock(&m->lock);
	return copy;
}

/* --- loading --- */

static rt_status failed(
	rt_module *m, const rt_scope *scope, cu_result r, const char *call, rt_error *err)
{
	rt_status status = rt_cuda_failed(
		m->cuda, err, r, call, "kernel '%s' on GPU %d", m->kernel, scope->device);

	if (m->log)
		rt_error_log(err, m->log->error, strlen(m->log->error));
	return status;
}

static rt_status load_library(rt_module *m, const rt_scope *scope, rt_instance *in, rt_error *err)
{
	const cu_api *cu = &m->cuda->api;
	cu_result r = CU_OK;

	if (!m->library) {
		r = cu->cuLibraryLoadData(&m->library, m->image, m->log ? m->log->option : NULL,
			m->log ? m->log->value : NULL, m->log ? LOG_OPTIONS : 0, NULL, NULL, 0);
		if (r) {
			m->library = NULL;
			return failed(m, scope, r, "cuLibraryLoadData", err);
		}
	}
	if (!m->entry && (r = cu->cuLibraryGetKernel(&m->entry, m->library, m->kernel))) {
		m->entry = NULL;
		return failed(m, scope, r, "cuLibraryGetKernel", err);
	}
	if ((r = cu->cuKernelGetFunction(&in->function, m->entry)))
		return failed(m, scope, r, "cuKernelGetFunction", err);
	return RT_OK;
}

static rt_status load_module(rt_module *m, const rt_scope *scope, rt_instance *in, rt_error *err)
{
	const cu_api *cu = &m->cuda->api;
	cu_result r = cu->cuModuleLoadDataEx(&in->module, m->image, m->log ? LOG_OPTIONS : 0,
		m->log ? m->log->option : NULL, m->log ? m->log->value : NULL);

	if (r)
		return failed(m, scope, r, "cuModuleLoadDataEx", err);
	if ((r = cu->cuModuleGetFunction(&in->function, in->module, m->kernel))) {
		failed(m, scope, r, "cuModuleGetFunction", err);
		cu->cuModuleUnload(in->module);
		return rt_result_status(r);
	}
	return RT_OK;
}

/* Opts in to large shared memory, and makes a lazy driver load now, not at the first launch. */
static rt_status ready_function(rt_module *m, const rt_scope *scope, rt_instance *in, rt_error *err)
{
	const cu_api *cu = &m->cuda->api;
	int fixed = 0, most = 0;
	cu_result r;

	if (cu->cuFuncLoad && (r = cu->cuFuncLoad(in->function)))
		return failed(m, scope, r, "cuFuncLoad", err);
	if ((r = cu->cuFuncGetAttribute(&fixed, CU_FUNC_SHARED, in->function)))
		return failed(m, scope, r, "cuFuncGetAttribute", err);
	if ((uint64_t)fixed + m->shared <= SHARED_STATIC)
		return RT_OK;
	r = cu->cuDeviceGetAttribute(
		&most, CU_DEV_SHARED_BLOCK, m->cuda->device[scope->device].handle);
	if (r)
		return failed(m, scope, r, "cuDeviceGetAttribute", err);
	if ((uint64_t)fixed + m->shared > (uint64_t)most)
		return rt_error_set(err, RT_RESOURCES, NULL,
			"kernel '%s' needs %llu bytes of shared memory a block; GPU %d has %d",
			m->kernel, (unsigned long long)fixed + m->shared, scope->device, most);
	r = cu->cuFuncSetAttribute(in->function, CU_FUNC_DYNAMIC, (int)m->shared);
	return r ? failed(m, scope, r, "cuFuncSetAttribute", err) : RT_OK;
}

static rt_status load_instance(rt_module *m, const rt_scope *scope, rt_instance *in, rt_error *err)
{
	rt_status status;

	if (m->log && !m->library)
		reset_log(m->log);
	else if (m->log)
		memset(m->log->error, 0, sizeof m->log->error); /* the driver keeps the options */
	*in = (rt_instance){.context = scope->context, .id = scope->id, .device = scope->device};
	if (m->cuda->api.cuLibraryLoadData && m->cuda->api.cuLibraryGetKernel &&
		m->cuda->api.cuKernelGetFunction && m->cuda->api.cuLibraryUnload)
		status = load_library(m, scope, in, err);
	else
		status = load_module(m, scope, in, err);
	if (!status) {
		status = ready_function(m, scope, in, err);
		if (status && in->module)
			m->cuda->api.cuModuleUnload(in->module);
	}
	keep_info(m);
	return status;
}

const rt_instance *rt_module_find(rt_module *m, cu_context context, uint64_t id)
{
	const rt_instance *in = atomic_load_explicit(&m->instances, memory_order_acquire);

	while (in && (in->context != context || in->id != id))
		in = in->next;
	return in;
}

rt_status rt_module_load(
	rt_module *m, const rt_scope *scope, const rt_instance **instance, rt_error *err)
{
	const cu_api *cu = &m->cuda->api;
	unsigned mode = CU_CAPTURE_RELAXED;
	rt_status status = RT_OK;
	rt_instance *in;

	pthread_mutex_lock(&m->lock);
	*instance = rt_module_find(m, scope->context, scope->id);
	in = *instance ? NULL : malloc(sizeof *in);
	if (!*instance && !in)
		status = rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	if (in) {
		bool relaxed = cu->cuThreadExchangeStreamCaptureMode(&mode) == CU_OK;

		status = load_instance(m, scope, in, err);
		if (relaxed)
			cu->cuThreadExchangeStreamCaptureMode(&mode);
		if (status) {
			free(in);
		} else {
			in->next = atomic_load_explicit(&m->instances, memory_order_relaxed);
			atomic_store_explicit(&m->instances, in, memory_order_release);
			*instance = in;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return status;
}

/* --- life --- */

static bool is_elf(const rt_module_source *s)
{
	return s->size >= 4 && memcmp(s->image, "\177ELF", 4) == 0;
}

static bool is_fat_binary(const rt_module_source *s)
{
	static const unsigned char magic[] = {0x50, 0xed, 0x55, 0xba};

	return s->size >= 4 && memcmp(s->image, magic, 4) == 0;
}

static rt_status check_source(const rt_module_source *s, bool *is_text, rt_error *err)
{
	*is_text = false;
	if (!s->image || s->size == 0)
		return rt_error_set(err, RT_ARGUMENT, NULL, "the image is empty");
	if (!s->kernel || !*s->kernel)
		return rt_error_set(err, RT_ARGUMENT, NULL, "the kernel has no name");
	if (is_elf(s) || is_fat_binary(s))
		return RT_OK;
	if (memchr(s->image, 0, s->size) || !memmem(s->image, s->size, ".version", 8))
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"the image of kernel '%s' is neither PTX nor a cubin", s->kernel);
	*is_text = true;
	return RT_OK;
}

rt_status rt_module_create(
	rt_cuda *cuda, const rt_module_source *source, rt_module **module, rt_error *err)
{
	bool is_text;
	rt_status status = check_source(source, &is_text, err);
	rt_module *m;

	*module = NULL;
	if (status)
		return status;
	m = calloc(1, sizeof *m);
	if (!m)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	pthread_mutex_init(&m->lock, NULL);
	m->cuda = cuda;
	m->size = source->size;
	m->shared = source->shared;
	m->kernel = strdup(source->kernel);
	m->image = malloc(source->size + 1);
	m->log = is_text ? calloc(1, sizeof *m->log) : NULL;
	if (!m->kernel || !m->image || (is_text && !m->log)) {
		rt_module_destroy(m);
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	}
	memcpy(m->image, source->image, source->size);
	m->image[source->size] = 0;
	*module = m;
	return RT_OK;
}

/* Unloads from a context if that is still the one that it was loaded into. */
static void unload(rt_module *m, const rt_instance *in)
{
	const cu_api *cu = &m->cuda->api;
	cu_context popped;
	uint64_t id;

	if (!in->module || !rt_context_id(m->cuda, in->context, &id) || id != in->id)
		return;
	if (cu->cuCtxPushCurrent(in->context))
		return;
	cu->cuModuleUnload(in->module);
	cu->cuCtxPopCurrent(&popped);
}

void rt_module_destroy(rt_module *m)
{
	rt_instance *in, *next;

	if (!m)
		return;
	for (in = atomic_load(&m->instances); in; in = next) {
		next = in->next;
		unload(m, in);
		free(in);
	}
	if (m->library)
		m->cuda->api.cuLibraryUnload(m->library);
	pthread_mutex_destroy(&m->lock);
	free(m->told);
	free(m->log);
	free(m->kernel);
	free(m->image);
	free(m);
}

/* --- queries --- */

rt_status rt_module_prepare(rt_module *m, int device, rt_error *err)
{
	const rt_instance *in;
	rt_scope scope;
	rt_status status = rt_scope_enter(m->cuda, device, &scope, err);

	if (status)
		return status;
	status = rt_module_load(m, &scope, &in, err);
	rt_scope_leave(m->cuda, &scope);
	return status;
}

static rt_status read_figures(rt_module *m, const rt_scope *scope, cu_function function,
	int threads, rt_module_info *info, rt_error *err)
{
	const struct {
		unsigned attribute;
		int *value;
	} figure[] = {{CU_FUNC_REGISTERS, &info->registers}, {CU_FUNC_LOCAL, &info->local_bytes},
		{CU_FUNC_SHARED, &info->shared_bytes}, {CU_FUNC_MAX_THREADS, &info->threads},
		{CU_FUNC_BINARY, &info->binary}};
	const cu_api *cu = &m->cuda->api;
	cu_result r;

	for (size_t k = 0; k < sizeof figure / sizeof *figure; k++)
		if ((r = cu->cuFuncGetAttribute(figure[k].value, figure[k].attribute, function)))
			return failed(m, scope, r, "cuFuncGetAttribute", err);
	r = cu->cuOccupancyMaxActiveBlocksPerMultiprocessor(
		&info->blocks_per_sm, function, threads, m->shared);
	if (r)
		return failed(m, scope, r, "cuOccupancyMaxActiveBlocksPerMultiprocessor", err);
	return RT_OK;
}

rt_status rt_module_describe(
	rt_module *m, int device, int threads_asked, rt_module_info *info, rt_error *err)
{
	const rt_instance *in;
	rt_scope scope;
	rt_status status = rt_scope_enter(m->cuda, device, &scope, err);

	*info = (rt_module_info){0};
	if (status)
		return status;
	status = rt_module_load(m, &scope, &in, err);
	if (!status)
		status = read_figures(m, &scope, in->function, threads_asked, info, err);
	rt_scope_leave(m->cuda, &scope);
	return status;
}

int rt_module_loads(rt_module *m)
{
	int n = 0;

	for (const rt_instance *in = atomic_load(&m->instances); in; in = in->next)
		n++;
	return n;
}
