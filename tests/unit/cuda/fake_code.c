/* fake_code: modules, launches, memory, streams and events of the stand-in driver. */
#include "fake_cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned capture_mode; /* 0: global */
static cu_module modules;                   /* those that live */

struct CUmod_st {
	cu_module next;
	cu_context context;
	uint64_t id;
	char *image;
};

struct CUlib_st {
	char *image;
	unsigned options, *option;
	void **value;
	bool compiled;
};

struct CUkern_st {
	cu_library library;
	char name[64];
};

struct CUfunc_st {
	cu_function next; /* functions are kept until the process ends */
	cu_context context;
	uint64_t id;
	unsigned dynamic;
};

struct CUevent_st {
	double time;
};

/* --- compiling --- */

static void write_log(
	unsigned options, const unsigned *option, void **value, unsigned which, const char *message)
{
	char *buffer = NULL;
	size_t size = 0;

	for (unsigned k = 0; k < options; k++) {
		if (option[k] == which)
			buffer = value[k];
		if (option[k] == which + 1)
			size = (size_t)(uintptr_t)value[k];
	}
	if (buffer && size)
		snprintf(buffer, size, "%s", message);
}

static cu_result compile(
	const char *image, int device, unsigned options, const unsigned *option, void **value)
{
	const fake_state *s = fake_get();
	bool cubin = memcmp(image, "\177ELF", 4) == 0;
	const char *sm = strstr(image, "sm_");
	int major = sm ? atoi(sm + 3) / 10 : 0;

	if (!cubin && options == 0)
		fake_violation(); /* PTX without a log */
	if (s->capturing && capture_mode != CU_CAPTURE_RELAXED) {
		fake_violation();
		return 900;
	}
	if (cubin && major != s->major[device])
		return 209;
	if (!cubin && major > s->major[device])
		return 209;
	if (strstr(image, "reject")) {
		write_log(options, option, value, CU_JIT_ERROR, "ptxas error : rejected, line 7\n");
		return 218;
	}
	write_log(options, option, value, CU_JIT_INFO, "ptxas info : Used 42 registers\n");
	return 0;
}

static bool has_entry(const char *image, const char *name)
{
	const char *at = strstr(image, ".entry ");

	if (!at)
		return memcmp(image, "\177ELF", 4) == 0 && strstr(image, name);
	at += 7;
	return strncmp(at, name, strlen(name)) == 0;
}

static cu_function new_function(cu_context context)
{
	static cu_function all;
	cu_function f = calloc(1, sizeof *f);

	f->context = context;
	f->id = context->id;
	pthread_mutex_lock(&fake_get()->lock);
	f->next = all;
	all = f;
	pthread_mutex_unlock(&fake_get()->lock);
	return f;
}

/* --- linking: PTX becomes a cubin for the context's device --- */

struct CUlinkState_st {
	cu_context context;
	char *image, *cubin;
	unsigned options, *option;
	void **value;
};

cu_result cuLinkCreate_v2(unsigned options, unsigned *option, void **value, cu_link *link)
{
	cu_result r = fake_enter(FAKE_cuLinkCreate);
	cu_context c = fake_current();

	if (!r && (!c || !c->alive))
		r = CU_INVALID_CONTEXT;
	if (r)
		return r;
	*link = calloc(1, sizeof **link);
	**link = (struct CUlinkState_st){
		.context = c, .options = options, .option = option, .value = value};
	fake_get()->live_libraries++;
	return 0;
}

cu_result cuLinkAddData_v2(cu_link link, unsigned type, void *data, size_t size, const char *name,
	unsigned options, unsigned *option, void **value)
{
	cu_result r = fake_enter(FAKE_cuLinkAddData);

	(void)name;
	(void)options;
	(void)option;
	(void)value;
	if (type != CU_INPUT_PTX || size == 0 || ((const char *)data)[size - 1])
		fake_violation();
	if (!r)
		r = compile(data, link->context->device, link->options, link->option, link->value);
	if (!r)
		link->image = strdup(data);
	return r;
}

cu_result cuLinkComplete(cu_link link, void **cubin, size_t *size)
{
	cu_result r = fake_enter(FAKE_cuLinkComplete);
	const char *entry = link->image ? strstr(link->image, ".entry ") : NULL;
	int length = entry ? (int)strcspn(entry + 7, "(") : 0;

	if (r || !entry)
		return r ? r : 1;
	link->cubin = malloc(64 + (size_t)length);
	*size = (size_t)sprintf(link->cubin, "\177ELF sm_%d0 %.*s",
		fake_get()->major[link->context->device], length, entry + 7);
	*cubin = link->cubin;
	return 0;
}

cu_result cuLinkDestroy(cu_link link)
{
	cu_result r = fake_enter(FAKE_cuLinkDestroy);

	fake_get()->live_libraries--;
	free(link->image);
	free(link->cubin);
	free(link);
	return r;
}

/* --- modules --- */

cu_result cuModuleLoadDataEx(
	cu_module *module, const void *image, unsigned options, unsigned *option, void **value)
{
	cu_result r = fake_enter(FAKE_cuModuleLoadDataEx);
	cu_context c = fake_current();

	if (!r && (!c || !c->alive))
		r = CU_INVALID_CONTEXT;
	if (!r)
		r = compile(image, c->device, options, option, value);
	if (r)
		return r;
	*module = calloc(1, sizeof **module);
	pthread_mutex_lock(&fake_get()->lock);
	**module = (struct CUmod_st){
		.next = modules, .context = c, .id = c->id, .image = strdup(image)};
	modules = *module;
	pthread_mutex_unlock(&fake_get()->lock);
	fake_get()->live_modules++;
	return 0;
}

/* Takes one out of the list and frees it. */
static void drop_module(cu_module m)
{
	cu_module *link = &modules;

	while (*link && *link != m)
		link = &(*link)->next;
	if (!*link) {
		fake_violation();
		return;
	}
	*link = m->next;
	fake_get()->live_modules--;
	free(m->image);
	free(m);
}

void fake_drop_modules(cu_context context)
{
	for (cu_module m = modules, next; m; m = next) {
		next = m->next;
		if (m->context == context)
			drop_module(m);
	}
}

cu_result cuModuleUnload(cu_module m)
{
	cu_result r = fake_enter(FAKE_cuModuleUnload);

	if (!m->context->alive || m->context->id != m->id || fake_current() != m->context)
		fake_violation();
	drop_module(m);
	return r;
}

cu_result cuModuleGetFunction(cu_function *function, cu_module m, const char *name)
{
	cu_result r = fake_enter(FAKE_cuModuleGetFunction);

	if (r || !has_entry(m->image, name))
		return r ? r : 500;
	*function = new_function(m->context);
	return 0;
}

#if !defined(FAKE_OLD) && !defined(FAKE_V1)
static cu_result compile_library(cu_library l, int device)
{
	if (l->compiled)
		return 0;
	return compile(l->image, device, l->options, l->option, l->value);
}

cu_result cuLibraryLoadData(cu_library *library, const void *image, unsigned *option, void **value,
	unsigned options, unsigned *library_option, void **library_value, unsigned library_options)
{
	cu_result r = fake_enter(FAKE_cuLibraryLoadData);
	struct CUlib_st l = {.options = options, .option = option, .value = value};

	(void)library_option, (void)library_value, (void)library_options;
	if (r)
		return r;
	l.image = strdup(image);
	if (!fake_get()->lazy && fake_current() &&
		(r = compile_library(&l, fake_current()->device))) {
		free(l.image);
		return r;
	}
	*library = malloc(sizeof l);
	**library = l;
	fake_get()->live_libraries++;
	return 0;
}

cu_result cuLibraryUnload(cu_library l)
{
	cu_result r = fake_enter(FAKE_cuLibraryUnload);

	fake_get()->live_libraries--;
	free(l->image);
	free(l);
	return r;
}

cu_result cuLibraryGetKernel(cu_kernel *kernel, cu_library l, const char *name)
{
	static struct CUkern_st kernels[256];
	static _Atomic int count;
	cu_result r = fake_enter(FAKE_cuLibraryGetKernel);

	if (r || !has_entry(l->image, name))
		return r ? r : 500;
	*kernel = &kernels[count++ % 256];
	(*kernel)->library = l;
	snprintf((*kernel)->name, sizeof(*kernel)->name, "%s", name);
	return 0;
}

cu_result cuKernelGetFunction(cu_function *function, cu_kernel kernel)
{
	cu_result r = fake_enter(FAKE_cuKernelGetFunction);
	cu_context c = fake_current();

	if (!r && (!c || !c->alive))
		r = CU_INVALID_CONTEXT;
	if (!r)
		r = compile_library(kernel->library, c->device);
	if (r)
		return r;
	*function = new_function(c);
	return 0;
}

/* Refuses what the real one does: addresses and strides that are no multiples of 16 bytes, extents
 * and boxes of 0 or too large. */
cu_result cuTensorMapEncodeTiled(cu_tensor_map *map, unsigned type, unsigned rank, void *base,
	const uint64_t *extent, const uint64_t *stride, const unsigned *box, const unsigned *step,
	unsigned interleave, unsigned swizzle, unsigned promotion, unsigned fill)
{
	cu_result r = fake_enter(FAKE_cuTensorMapEncodeTiled);
	fake_map m = {.type = type, .rank = rank, .swizzle = swizzle, .base = (uintptr_t)base};

	if (r)
		return r;
	if (!fake_current() || !fake_current()->alive)
		return CU_INVALID_CONTEXT;
	if ((uintptr_t)map % 64 || rank < 1 || rank > 5 || m.base % 16 || !base || interleave ||
		promotion > 3 || fill)
		return 1;
	for (unsigned d = 0; d < rank; d++) {
		m.extent[d] = extent[d];
		m.box[d] = box[d];
		m.stride[d] = d ? stride[d - 1] : 0;
		if (extent[d] < 1 || extent[d] > UINT64_C(1) << 32 || box[d] < 1 || box[d] > 256 ||
			step[d] != 1 || m.stride[d] % 16 || m.stride[d] >> 40)
			return 1;
	}
	memset(map, 0xa5, sizeof *map);
	map->opaque[0] = m.base;
	fake_get()->map = m;
	return 0;
}

cu_result cuFuncLoad(cu_function function)
{
	(void)function;
	return fake_enter(FAKE_cuFuncLoad);
}
#endif

cu_result cuFuncSetAttribute(cu_function f, unsigned attribute, int value)
{
	cu_result r = fake_enter(FAKE_cuFuncSetAttribute);

	if (!r && attribute == CU_FUNC_DYNAMIC)
		f->dynamic = (unsigned)value;
	return r;
}

cu_result cuFuncGetAttribute(int *value, unsigned attribute, cu_function f)
{
	(void)f;
	*value = attribute == CU_FUNC_SHARED ? 1024 : (int)attribute + 50;
	return fake_enter(FAKE_cuFuncGetAttribute);
}

cu_result cuOccupancyMaxActiveBlocksPerMultiprocessor(
	int *blocks, cu_function f, int threads, size_t shared)
{
	(void)f, (void)shared;
	*blocks = 2048 / threads;
	return fake_enter(FAKE_cuOccupancyMaxActiveBlocksPerMultiprocessor);
}

/* --- launching --- */

/* What a launch takes, from FAKE_TIMES: "128:3~0.5,256:1.5" is 3 ms with a scatter of 0.5 for blocks
 * of 128 threads. */
static double duration(unsigned threads)
{
	static _Atomic int launches;
	int n = atomic_fetch_add(&launches, 1) % 5 - 2;
	const char *s = getenv("FAKE_TIMES");
	double ms = 0, scatter = 0;

	while (s && strtoul(s, (char **)&s, 10) != threads) {
		s = strchr(s, ',');
		s = s ? s + 1 : NULL;
	}
	if (s && *s == ':')
		ms = strtod(s + 1, (char **)&s);
	if (s && *s == '~')
		scatter = strtod(s + 1, NULL);
	return ms + scatter * n / 2;
}

static cu_result launch(const fake_launch *what, cu_function f, void **extra)
{
	fake_state *s = fake_get();
	cu_context c = fake_current();
	fake_launch l = *what;

	if (!c || !c->alive || f->context != c || f->id != c->id) {
		fake_violation();
		return 400;
	}
	if (l.shared + 1024 > 48 << 10 && f->dynamic < l.shared)
		return 1;
	if (l.stream && l.stream->context != c)
		return 400;
	if (extra) {
		if (extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4])
			fake_violation();
		l.size = *(size_t *)extra[3];
		if (l.size <= FAKE_PARAMETERS)
			memcpy(l.parameters, extra[1], l.size);
	}
	l.context = c;
	atomic_fetch_add(&s->launches[c->device], 1);
	pthread_mutex_lock(&s->lock);
	s->last = l;
	s->clock += duration(l.block[0]);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

cu_result cuLaunchKernel(cu_function f, unsigned grid_x, unsigned grid_y, unsigned grid_z,
	unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, cu_stream stream,
	void **parameters, void **extra)
{
	cu_result r = fake_enter(FAKE_cuLaunchKernel);
	fake_launch l = {.grid = {grid_x, grid_y, grid_z},
		.block = {block_x, block_y, block_z},
		.shared = shared,
		.stream = stream};

	(void)parameters; /* of sizes that only the kernel knows */
	return r ? r : launch(&l, f, extra);
}

#if !defined(FAKE_OLD)
cu_result cuLaunchKernelEx(
	const cu_launch_config *c, cu_function f, void **parameters, void **extra)
{
	cu_result r = fake_enter(FAKE_cuLaunchKernelEx);
	fake_launch l = {.grid = {c->grid_x, c->grid_y, c->grid_z},
		.block = {c->block_x, c->block_y, c->block_z},
		.shared = c->shared,
		.stream = c->stream};

	for (unsigned k = 0; k < c->attributes; k++)
		if (c->attribute[k].id == CU_ATTRIBUTE_CLUSTER) {
			l.cluster[0] = c->attribute[k].value.cluster.x;
			l.cluster[1] = c->attribute[k].value.cluster.y;
			l.cluster[2] = c->attribute[k].value.cluster.z;
		}
	(void)parameters; /* of sizes that only the kernel knows */
	return r ? r : launch(&l, f, extra);
}
#endif

cu_result cuStreamIsCapturing(cu_stream stream, unsigned *status)
{
	cu_result r = fake_enter(FAKE_cuStreamIsCapturing);

	if (!stream && fake_get()->capturing)
		return CU_CAPTURE_IMPLICIT;
	*status = stream ? stream->capture : 0;
	return r;
}

cu_result cuThreadExchangeStreamCaptureMode(unsigned *mode)
{
	unsigned before = capture_mode;

	capture_mode = *mode;
	*mode = before;
	return fake_enter(FAKE_cuThreadExchangeStreamCaptureMode);
}

/* --- memory, streams, events --- */

static cu_result need_context(cu_result r)
{
	cu_context c = fake_current();

	return r ? r : c && c->alive ? 0 : CU_INVALID_CONTEXT;
}

cu_result cuMemAlloc_v2(cu_deviceptr *pointer, size_t bytes)
{
	cu_result r = need_context(fake_enter(FAKE_cuMemAlloc));

	if (r || bytes == 0 || bytes > 1u << 30)
		return r ? r : bytes ? 2 : 1;
	*pointer = (cu_deviceptr)(uintptr_t)malloc(bytes);
	fake_get()->live_allocations++;
	return 0;
}

cu_result cuMemFree_v2(cu_deviceptr pointer)
{
	cu_result r = need_context(fake_enter(FAKE_cuMemFree));

	if (r)
		return r;
	free((void *)(uintptr_t)pointer);
	fake_get()->live_allocations--;
	return 0;
}

cu_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
	*free_bytes = 1000;
	*total = 2000;
	return need_context(fake_enter(FAKE_cuMemGetInfo));
}

cu_result cuMemcpyHtoDAsync_v2(cu_deviceptr to, const void *from, size_t bytes, cu_stream stream)
{
	cu_result r = need_context(fake_enter(FAKE_cuMemcpyHtoDAsync));

	(void)stream;
	if (!r)
		memcpy((void *)(uintptr_t)to, from, bytes);
	return r;
}

cu_result cuMemcpyDtoHAsync_v2(void *to, cu_deviceptr from, size_t bytes, cu_stream stream)
{
	cu_result r = need_context(fake_enter(FAKE_cuMemcpyDtoHAsync));

	(void)stream;
	if (!r)
		memcpy(to, (void *)(uintptr_t)from, bytes);
	return r;
}

cu_result cuMemsetD8Async(cu_deviceptr to, unsigned char value, size_t bytes, cu_stream stream)
{
	cu_result r = need_context(fake_enter(FAKE_cuMemsetD8Async));

	(void)stream;
	if (!r)
		memset((void *)(uintptr_t)to, value, bytes);
	return r;
}

cu_result cuStreamCreate(cu_stream *stream, unsigned flags)
{
	cu_result r = need_context(fake_enter(FAKE_cuStreamCreate));

	if (r || flags != CU_STREAM_NON_BLOCKING)
		return r ? r : 1;
	*stream = calloc(1, sizeof **stream);
	(*stream)->context = fake_current();
	fake_get()->live_streams++;
	return 0;
}

cu_result cuStreamDestroy_v2(cu_stream stream)
{
	cu_result r = need_context(fake_enter(FAKE_cuStreamDestroy));

	free(stream);
	fake_get()->live_streams--;
	return r;
}

cu_result cuStreamSynchronize(cu_stream stream)
{
	(void)stream;
	return need_context(fake_enter(FAKE_cuStreamSynchronize));
}

cu_result cuEventCreate(cu_event *event, unsigned flags)
{
	cu_result r = need_context(fake_enter(FAKE_cuEventCreate));

	if (r || flags)
		return r ? r : 1;
	*event = calloc(1, sizeof **event);
	fake_get()->live_events++;
	return 0;
}

cu_result cuEventDestroy_v2(cu_event event)
{
	free(event);
	fake_get()->live_events--;
	return need_context(fake_enter(FAKE_cuEventDestroy));
}

cu_result cuEventRecord(cu_event event, cu_stream stream)
{
	fake_state *s = fake_get();

	(void)stream;
	pthread_mutex_lock(&s->lock);
	event->time = ++s->clock;
	pthread_mutex_unlock(&s->lock);
	return need_context(fake_enter(FAKE_cuEventRecord));
}

cu_result cuEventSynchronize(cu_event event)
{
	(void)event;
	return need_context(fake_enter(FAKE_cuEventSynchronize));
}

cu_result cuEventElapsedTime(float *milliseconds, cu_event start, cu_event stop)
{
	*milliseconds = (float)(stop->time - start->time);
	return need_context(fake_enter(FAKE_cuEventElapsedTime));
}
