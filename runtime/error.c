/* error: statuses and their texts.
 * in:  a status and a sentence, or a CUresult        out: an rt_error that the caller owns */
#include "runtime/error.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const phrase[] = {
	[RT_OK] = "no error",
	[RT_ARGUMENT] = "wrong argument",
	[RT_NO_MEMORY] = "out of memory",
	[RT_NO_DRIVER] = "no CUDA driver",
	[RT_OLD_DRIVER] = "CUDA driver too old",
	[RT_NO_DEVICE] = "no usable GPU",
	[RT_DEVICE_MEMORY] = "out of device memory",
	[RT_RESOURCES] = "not enough resources on the device",
	[RT_NO_CODE] = "no code for this device",
	[RT_REJECTED] = "code rejected by the assembler",
	[RT_CAPTURE] = "load refused during stream capture",
	[RT_CONTEXT] = "CUDA context unusable",
	[RT_DRIVER] = "CUDA driver call failed",
	[RT_NO_TOOL] = "ptxas not found",
	[RT_OLD_TOOL] = "ptxas too old",
	[RT_TOOL] = "ptxas failed",
	[RT_TIMEOUT] = "ptxas timed out",
	[RT_SHAPE] = "lengths too large for a kernel",
	[RT_LAYOUT] = "unusable memory layout",
	[RT_QUALITY] = "spills or serialised matrix instructions",
};
_Static_assert(sizeof phrase / sizeof *phrase == RT_STATUS_COUNT, "a phrase for each status");

/* CUresults that mean something of their own; all others are RT_DRIVER. */
static const struct {
	unsigned result;
	rt_status status;
	const char *remedy;
} meaning[] = {
	{1, RT_ARGUMENT, NULL},
	{2, RT_DEVICE_MEMORY, NULL},
	{3, RT_DRIVER, "the driver cannot be used in a child after fork()"},
	{4, RT_CONTEXT, "the process is exiting"},
	{34, RT_NO_DRIVER,
		"the toolkit's stub libcuda was loaded: take its folder out of the library path"},
	{36, RT_OLD_DRIVER, "install a newer NVIDIA driver"},
	{46, RT_NO_DEVICE, "another process has the device to itself (compute mode)"},
	{100, RT_NO_DEVICE,
		"check nvidia-smi, CUDA_VISIBLE_DEVICES and the container's GPU access"},
	{101, RT_ARGUMENT, NULL},
	{200, RT_REJECTED, NULL},
	{201, RT_CONTEXT, NULL},
	{209, RT_NO_CODE, NULL},
	{218, RT_REJECTED, NULL},
	{221, RT_OLD_DRIVER,
		"the driver's PTX compiler is missing: install libnvidia-ptxjitcompiler, or ptxas"},
	{222, RT_OLD_DRIVER, "the PTX is newer than the driver: install a newer one, or ptxas"},
	{223, RT_REJECTED, "PTX compilation is disabled: unset CUDA_DISABLE_PTX_JIT"},
	{300, RT_REJECTED, NULL},
	{500, RT_ARGUMENT, NULL},
	{700, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{701, RT_RESOURCES,
		"more registers or threads a block than there are, or parameters of another size "
		"than the kernel's"},
	{709, RT_CONTEXT, NULL},
	{714, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{715, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{716, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{717, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{718, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{719, RT_CONTEXT, "a kernel that ran before in this context faulted"},
	{802, RT_NO_DEVICE, "the system is still starting: is nvidia-fabricmanager running?"},
	{803, RT_NO_DRIVER,
		"kernel module and libcuda differ in version: reboot or reload the module"},
	{804, RT_NO_DRIVER, "remove the CUDA compatibility libcuda from the library path"},
	{900, RT_CAPTURE, NULL},
	{901, RT_CAPTURE, NULL},
	{906, RT_CAPTURE, NULL},
	{912, RT_RESOURCES, NULL},
	{999, RT_DRIVER, "after a resume from sleep, reload the nvidia_uvm kernel module"},
};

enum { MEANINGS = sizeof meaning / sizeof *meaning };

const char *rt_status_string(rt_status status)
{
	return (unsigned)status < RT_STATUS_COUNT ? phrase[status] : "unknown status";
}

const char *rt_result_remedy(unsigned result)
{
	for (int k = 0; k < MEANINGS; k++)
		if (meaning[k].result == result)
			return meaning[k].remedy;
	return NULL;
}

rt_status rt_result_status(unsigned result)
{
	if (result == 0)
		return RT_OK;
	for (int k = 0; k < MEANINGS; k++)
		if (meaning[k].result == result)
			return meaning[k].status;
	return RT_DRIVER;
}

void rt_error_clear(rt_error *err)
{
	if (!err)
		return;
	free(err->log);
	*err = (rt_error){0};
}

rt_status rt_error_set(rt_error *err, rt_status status, const char *call, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return status;
	rt_error_clear(err);
	err->status = status;
	err->call = call;
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof err->message, fmt, ap);
	va_end(ap);
	return status;
}

void rt_error_log(rt_error *err, const char *log, size_t size)
{
	if (!err || size == 0)
		return;
	free(err->log);
	err->log = strndup(log, size);
}
