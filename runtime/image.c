/* image: one code image of a kernel.
 * in:  a signature with code      out: one module, made when a GPU first needs it; launches */
#include "runtime/program.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rt_image {
	rt_gpu *gpu;
	rt_kernel_signature signature;
	rt_image_source source;
	bool is_cubin;
	pthread_mutex_t lock; /* guards making the module */
	_Atomic(rt_module *) module;
	_Atomic int loads; /* of the module, already counted in the rt_gpu */
};

static void release(const rt_image_source *s)
{
	if (s->release)
		s->release(s->owner);
}

rt_image *rt_image_create(rt_gpu *gpu, const rt_image_source *source)
{
	rt_image *i = calloc(1, sizeof *i);

	if (!i) {
		release(source);
		return NULL;
	}
	i->gpu = gpu;
	i->signature = *source->signature;
	i->source = *source;
	i->source.signature = &i->signature;
	i->is_cubin = source->size >= 4 && !memcmp(source->code, "\177ELF", 4);
	pthread_mutex_init(&i->lock, NULL);
	return i;
}

void rt_image_destroy(rt_image *i)
{
	if (!i)
		return;
	rt_module_destroy(atomic_load(&i->module));
	release(&i->source);
	pthread_mutex_destroy(&i->lock);
	free(i);
}

const rt_kernel_signature *rt_image_signature(const rt_image *i)
{
	return &i->signature;
}

const void *rt_image_code(const rt_image *i, size_t *size)
{
	*size = i->source.size;
	return i->source.code;
}

bool rt_image_is_cubin(const rt_image *i)
{
	return i->is_cubin;
}

/* --- on a GPU --- */

static rt_status make_module(rt_image *i, rt_module **module, rt_error *err)
{
	rt_module_source code = {.image = i->source.code,
		.size = i->source.size,
		.kernel = i->signature.entry,
		.shared = (unsigned)i->signature.shared};
	rt_cuda *cuda;
	rt_status status = rt_gpu_driver(i->gpu, &cuda, err);

	if (status)
		return status;
	pthread_mutex_lock(&i->lock);
	*module = atomic_load(&i->module);
	if (!*module) {
		status = rt_module_create(cuda, &code, module, err);
		if (!status)
			atomic_store_explicit(&i->module, *module, memory_order_release);
	}
	pthread_mutex_unlock(&i->lock);
	return status;
}

static rt_status find_module(rt_image *i, rt_module **module, rt_error *err)
{
	*module = atomic_load_explicit(&i->module, memory_order_acquire);
	return *module ? RT_OK : make_module(i, module, err);
}

static void count_loads(rt_image *i, rt_module *module)
{
	int now = rt_module_loads(module), before = atomic_load(&i->loads);

	while (now > before)
		if (atomic_compare_exchange_weak(&i->loads, &before, now)) {
			rt_gpu_count_loads(i->gpu, now - before);
			return;
		}
}

rt_status rt_image_prepare(rt_image *i, int device, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(i, &module, err);

	if (!status)
		status = rt_module_prepare(module, device, err);
	if (!status)
		count_loads(i, module);
	return status;
}

rt_status rt_image_start(
	rt_image *i, const rt_kernel_packed *packed, int device, cu_stream stream, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(i, &module, err);

	if (!status)
		status = rt_kernel_start(module, &i->signature, packed, device, stream, err);
	if (!status)
		count_loads(i, module);
	return status;
}

rt_status rt_image_inspect(rt_image *i, int device, rt_module_info *info, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(i, &module, err);

	if (status)
		return status;
	return rt_module_describe(module, device, i->signature.threads, info, err);
}
