/* kernel: code, and its life on GPUs.
 * in:  a signature with code      out: one module, made when a GPU first needs it; launches */
#include "device/system.h"
#include <stdlib.h>
#include <string.h>

struct device_kernel {
	device_system *system;
	rt_blob *blob;
	rt_kernel_signature signature; /* of the blob */
	const arch *arch;
	bool is_cubin;
	pthread_mutex_t lock; /* guards making the module */
	_Atomic(rt_module *) module;
	_Atomic int loads; /* of the module, already counted in the system */
};

device_kernel *device_wrap(device_system *s, rt_blob *blob, const arch *a)
{
	device_kernel *k = calloc(1, sizeof *k);
	const char *code;
	size_t size;

	if (!k) {
		rt_blob_release(blob);
		return NULL;
	}
	code = device_artifact_code(blob, &size);
	k->system = s;
	k->blob = blob;
	k->arch = a;
	k->is_cubin = size >= 4 && !memcmp(code, "\177ELF", 4);
	memcpy(&k->signature, rt_blob_data(blob), sizeof k->signature);
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void device_destroy(device_kernel *k)
{
	if (!k)
		return;
	rt_module_destroy(atomic_load(&k->module));
	rt_blob_release(k->blob);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

const rt_kernel_signature *device_describe(const device_kernel *k)
{
	return &k->signature;
}

const void *device_code(const device_kernel *k, size_t *size, bool *is_cubin)
{
	*is_cubin = k->is_cubin;
	return device_artifact_code(k->blob, size);
}

/* --- on a GPU --- */

static rt_status make_module(device_kernel *k, rt_module **module, rt_error *err)
{
	rt_module_source code = {
		.kernel = k->signature.entry, .shared = (unsigned)k->signature.shared};
	rt_cuda *cuda;
	rt_status status = device_driver(k->system, &cuda, err);

	if (status)
		return status;
	code.image = device_artifact_code(k->blob, &code.size);
	pthread_mutex_lock(&k->lock);
	*module = atomic_load(&k->module);
	if (!*module) {
		status = rt_module_create(cuda, &code, module, err);
		if (!status)
			atomic_store_explicit(&k->module, *module, memory_order_release);
	}
	pthread_mutex_unlock(&k->lock);
	return status;
}

static rt_status find_module(device_kernel *k, rt_module **module, rt_error *err)
{
	*module = atomic_load_explicit(&k->module, memory_order_acquire);
	return *module ? RT_OK : make_module(k, module, err);
}

static void count_loads(device_kernel *k, rt_module *module)
{
	int now = rt_module_loads(module), before = atomic_load(&k->loads);

	while (now > before)
		if (atomic_compare_exchange_weak(&k->loads, &before, now)) {
			atomic_fetch_add(&k->system->loads, (uint64_t)(now - before));
			return;
		}
}

/* Names both architectures where the driver only says that there is no image. */
static rt_status check_arch(device_kernel *k, int device, rt_error *err)
{
	rt_device_info info;
	rt_cuda *cuda;
	rt_status status = device_driver(k->system, &cuda, err);

	if (!status && device == RT_CURRENT)
		status = rt_cuda_current(cuda, &device, err);
	if (!status)
		status = rt_cuda_device(cuda, device, &info, err);
	if (status)
		return status;
	if (k->is_cubin ? arch_cubin_runs_on(k->arch, info.major, info.minor)
			: arch_ptx_runs_on(k->arch, info.major, info.minor))
		return RT_OK;
	return rt_error_set(err, RT_NO_CODE, NULL,
		"kernel '%s' is compiled for %s; GPU %d (%s) has compute capability %d.%d",
		k->signature.entry, k->arch->name, device, info.name, info.major, info.minor);
}

rt_status device_prepare(device_kernel *k, int device, rt_error *err)
{
	rt_module *module;
	rt_status status = check_arch(k, device, err);

	if (!status)
		status = find_module(k, &module, err);
	if (!status)
		status = rt_module_prepare(module, device, err);
	if (!status)
		count_loads(k, module);
	return status;
}

rt_status device_launch(
	device_kernel *k, const rt_kernel_args *args, int device, cu_stream stream, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(k, &module, err);

	if (!status)
		status = rt_kernel_launch(module, &k->signature, args, device, stream, err);
	if (status == RT_NO_CODE)
		status = check_arch(k, device, err) ? RT_NO_CODE : status;
	if (!status)
		count_loads(k, module);
	return status;
}

rt_status device_inspect(device_kernel *k, int device, rt_module_info *info, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(k, &module, err);

	if (status)
		return status;
	return rt_module_describe(module, device, k->signature.threads, info, err);
}
