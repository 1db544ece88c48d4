/* error: the thread's last message, status texts, structs that may grow.
 * The library has no other state that a call leaves behind. */
#include "runtime/api/api.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_message[1024];
static _Thread_local int last_driver;

tkl_status api_fail(tkl_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_message, sizeof last_message, fmt, ap);
	va_end(ap);
	last_driver = 0;
	return status;
}

static const tkl_status of_runtime[] = {
	[RT_OK] = TKL_ERROR_INTERNAL,
	[RT_ARGUMENT] = TKL_ERROR_ARGUMENT,
	[RT_NO_MEMORY] = TKL_ERROR_MEMORY,
	[RT_NO_DRIVER] = TKL_ERROR_NO_DEVICE,
	[RT_OLD_DRIVER] = TKL_ERROR_DRIVER,
	[RT_NO_DEVICE] = TKL_ERROR_NO_DEVICE,
	[RT_DEVICE_MEMORY] = TKL_ERROR_MEMORY,
	[RT_RESOURCES] = TKL_ERROR_UNSUPPORTED,
	[RT_NO_CODE] = TKL_ERROR_CODE,
	[RT_REJECTED] = TKL_ERROR_INTERNAL,
	[RT_CAPTURE] = TKL_ERROR_CAPTURE,
	[RT_CONTEXT] = TKL_ERROR_DRIVER,
	[RT_DRIVER] = TKL_ERROR_DRIVER,
	[RT_NO_TOOL] = TKL_ERROR_INTERNAL,
	[RT_OLD_TOOL] = TKL_ERROR_INTERNAL,
	[RT_TOOL] = TKL_ERROR_INTERNAL,
	[RT_TIMEOUT] = TKL_ERROR_INTERNAL,
	[RT_SHAPE] = TKL_ERROR_SHAPE,
	[RT_LAYOUT] = TKL_ERROR_LAYOUT,
	[RT_QUALITY] = TKL_ERROR_INTERNAL,
};
_Static_assert(sizeof of_runtime / sizeof *of_runtime == RT_STATUS_COUNT, "a status for each");

tkl_status api_fail_runtime(rt_error *err, const char *what)
{
	bool logged = err->log && *err->log;
	tkl_status status = api_fail(of_runtime[err->status], "%s: %s%s%s", what, err->message,
		logged ? "\n" : "", logged ? err->log : "");

	last_driver = (int)err->result;
	rt_error_clear(err);
	return status;
}

int tkl_last_error_driver(void)
{
	return last_driver;
}

const char *tkl_last_error_message(void)
{
	return last_message;
}

const char *tkl_status_string(tkl_status status)
{
	switch (status) {
	case TKL_OK:
		return "ok";
	case TKL_ERROR_ARGUMENT:
		return "invalid argument";
	case TKL_ERROR_SPEC:
		return "the spec has errors";
	case TKL_ERROR_UNSUPPORTED:
		return "not supported by the target";
	case TKL_ERROR_SHAPE:
		return "wrong shape or length";
	case TKL_ERROR_DTYPE:
		return "wrong data type";
	case TKL_ERROR_DEVICE:
		return "wrong device";
	case TKL_ERROR_LAYOUT:
		return "unusable memory layout";
	case TKL_ERROR_RANGE:
		return "subscript out of range";
	case TKL_ERROR_MEMORY:
		return "out of memory";
	case TKL_ERROR_INTERNAL:
		return "internal error";
	case TKL_ERROR_NO_DEVICE:
		return "no usable GPU";
	case TKL_ERROR_CODE:
		return "code for another GPU";
	case TKL_ERROR_CAPTURE:
		return "load refused during stream capture";
	case TKL_ERROR_DRIVER:
		return "CUDA driver error";
	case TKL_ERROR_BUNDLE:
		return "unusable bundle";
	}
	return "unknown status";
}

void tkl_free(void *memory)
{
	free(memory);
}

/* --- versioned structs --- */

tkl_status api_copy_in(void *to, const void *from, size_t size, const char *what)
{
	size_t given;

	memset(to, 0, size);
	if (!from)
		return TKL_OK;
	memcpy(&given, from, sizeof given);
	if (given < sizeof given)
		return api_fail(TKL_ERROR_ARGUMENT, "%s.struct_size is not set", what);
	for (size_t b = size; b < given; b++)
		if (((const char *)from)[b])
			return api_fail(TKL_ERROR_ARGUMENT,
				"%s sets members that this version of the library does not know",
				what);
	memcpy(to, from, given < size ? given : size);
	return TKL_OK;
}

tkl_status api_copy_out(void *to, const void *from, size_t size, const char *what)
{
	size_t given;

	if (!to)
		return api_fail(TKL_ERROR_ARGUMENT, "the pointer to %s is NULL", what);
	memcpy(&given, to, sizeof given);
	if (given < sizeof given)
		return api_fail(TKL_ERROR_ARGUMENT, "%s.struct_size is not set", what);
	if (given > size)
		memset((char *)to + size, 0, given - size);
	else
		size = given;
	memcpy((char *)to + sizeof given, (const char *)from + sizeof given, size - sizeof given);
	return TKL_OK;
}
