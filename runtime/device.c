/* device: what the driver tells about a GPU.
 * in:  a device's number        out: an rt_device_info; the fields to ask for are one table */
#include "runtime/cuda_internal.h"
#include <string.h>

static const struct {
	unsigned attribute;
	size_t offset;
	bool needed; /* newer drivers may stop telling the others */
} field[] = {
	{CU_DEV_MAJOR, offsetof(rt_device_info, major), true},
	{CU_DEV_MINOR, offsetof(rt_device_info, minor), true},
	{CU_DEV_SMS, offsetof(rt_device_info, sms), true},
	{CU_DEV_SHARED_BLOCK, offsetof(rt_device_info, shared_block), true},
	{CU_DEV_SHARED_SM, offsetof(rt_device_info, shared_sm), true},
	{CU_DEV_REGISTERS_SM, offsetof(rt_device_info, registers_sm), true},
	{CU_DEV_THREADS_BLOCK, offsetof(rt_device_info, threads_block), true},
	{CU_DEV_THREADS_SM, offsetof(rt_device_info, threads_sm), true},
	{CU_DEV_BLOCKS_SM, offsetof(rt_device_info, blocks_sm), false},
	{CU_DEV_CLOCK, offsetof(rt_device_info, clock_khz), false},
	{CU_DEV_MEMORY_CLOCK, offsetof(rt_device_info, memory_clock_khz), false},
	{CU_DEV_BUS_WIDTH, offsetof(rt_device_info, bus_bits), false},
	{CU_DEV_L2, offsetof(rt_device_info, l2_bytes), false},
	{CU_DEV_COMPUTE_MODE, offsetof(rt_device_info, compute_mode), false},
};

static bool ask_flag(const rt_cuda *cuda, unsigned attribute, cu_device handle)
{
	int value = 0;

	return cuda->api.cuDeviceGetAttribute(&value, attribute, handle) == CU_OK && value != 0;
}

static rt_status ask_fields(rt_cuda *cuda, cu_device handle, rt_device_info *info, rt_error *err)
{
	for (size_t k = 0; k < sizeof field / sizeof *field; k++) {
		int value = 0;
		cu_result r = cuda->api.cuDeviceGetAttribute(&value, field[k].attribute, handle);

		if (r && field[k].needed)
			return rt_cuda_failed(cuda, err, r, "cuDeviceGetAttribute",
				"attribute %u of GPU %d", field[k].attribute, info->ordinal);
		memcpy((char *)info + field[k].offset, r ? &(int){0} : &value, sizeof value);
	}
	info->ecc = ask_flag(cuda, CU_DEV_ECC, handle);
	info->integrated = ask_flag(cuda, CU_DEV_INTEGRATED, handle);
	return RT_OK;
}

rt_status rt_cuda_device(rt_cuda *cuda, int device, rt_device_info *info, rt_error *err)
{
	cu_device handle;
	size_t bytes = 0;
	cu_uuid uuid;
	cu_result r;

	*info = (rt_device_info){.ordinal = device};
	if (device < 0 || device >= cuda->devices)
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"there is no GPU %d: the driver sees %d", device, cuda->devices);
	handle = cuda->device[device].handle;
	r = cuda->api.cuDeviceGetName(info->name, sizeof info->name, handle);
	if (r)
		return rt_cuda_failed(cuda, err, r, "cuDeviceGetName", "GPU %d", device);
	if ((r = cuda->api.cuDeviceTotalMem(&bytes, handle)))
		return rt_cuda_failed(cuda, err, r, "cuDeviceTotalMem", "GPU %d", device);
	info->memory_bytes = bytes;
	if (cuda->api.cuDeviceGetUuid && cuda->api.cuDeviceGetUuid(&uuid, handle) == CU_OK)
		memcpy(info->uuid, uuid.bytes, sizeof info->uuid);
	return ask_fields(cuda, handle, info, err);
}

rt_status rt_cuda_capability(rt_cuda *cuda, int device, int *capability, rt_error *err)
{
	int major, minor;
	cu_result r;

	if (device < 0 || device >= cuda->devices)
		return rt_error_set(err, RT_ARGUMENT, NULL,
			"there is no GPU %d: the driver sees %d", device, cuda->devices);
	*capability = atomic_load_explicit(&cuda->device[device].capability, memory_order_relaxed);
	if (*capability)
		return RT_OK;
	r = cuda->api.cuDeviceGetAttribute(&major, CU_DEV_MAJOR, cuda->device[device].handle);
	if (!r)
		r = cuda->api.cuDeviceGetAttribute(
			&minor, CU_DEV_MINOR, cuda->device[device].handle);
	if (r)
		return rt_cuda_failed(cuda, err, r, "cuDeviceGetAttribute", "GPU %d", device);
	*capability = 100 * major + minor;
	atomic_store(&cuda->device[device].capability, *capability);
	return RT_OK;
}

rt_status rt_cuda_current(rt_cuda *cuda, int *device, rt_error *err)
{
	cu_context context;
	cu_device handle;
	cu_result r = cuda->api.cuCtxGetCurrent(&context);

	*device = 0;
	if (r)
		return rt_cuda_failed(cuda, err, r, "cuCtxGetCurrent", "current context");
	if (!context)
		return RT_OK;
	if ((r = cuda->api.cuCtxGetDevice(&handle)))
		return rt_cuda_failed(cuda, err, r, "cuCtxGetDevice", "current context");
	for (int d = 0; d < cuda->devices; d++)
		if (cuda->device[d].handle == handle)
			*device = d;
	return RT_OK;
}
