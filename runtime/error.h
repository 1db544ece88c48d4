/* error.h: how the runtime's GPU part reports failures. Functions return a status and fill an
 * rt_error, which the caller owns, when one is given; nothing is printed and nothing aborts. A
 * zeroed rt_error is empty. */
#pragma once
#include <stddef.h>

typedef enum {
	RT_OK = 0,
	RT_ARGUMENT,      /* the caller's fault: a size, a pointer, a device that does not exist */
	RT_NO_MEMORY,     /* out of host memory */
	RT_NO_DRIVER,     /* no libcuda.so.1 on this machine */
	RT_OLD_DRIVER,    /* the driver lacks what is needed: a function, this PTX version */
	RT_NO_DEVICE,     /* a driver without a usable GPU */
	RT_DEVICE_MEMORY, /* out of device memory */
	RT_RESOURCES,     /* the kernel needs more of something than the device has */
	RT_NO_CODE,       /* the image holds nothing that this device can run */
	RT_REJECTED,      /* the driver's compiler or ptxas refused the code: see the log */
	RT_CAPTURE,  /* a load would be needed while the stream is being captured: prepare before */
	RT_CONTEXT,  /* the context is gone or unusable, also after a kernel's fault */
	RT_DRIVER,   /* any other failure of a driver call: see `result` */
	RT_NO_TOOL,  /* ptxas is not installed: normal */
	RT_OLD_TOOL, /* ptxas does not know the architecture or the PTX version */
	RT_TOOL,     /* ptxas could not be run, crashed or wrote no result */
	RT_TIMEOUT,  /* ptxas took too long and was ended */
	RT_SHAPE,    /* lengths beyond what kernels take */
	RT_LAYOUT,   /* a tensor's data or strides cannot be used */
	RT_QUALITY,  /* compiled, but with spills or serialised matrix instructions */
	RT_STATUS_COUNT
} rt_status;

typedef struct {
	rt_status status;
	unsigned result;   /* the CUresult, 0 when no driver call failed */
	const char *call;  /* static: the driver function or system call that failed, or NULL */
	char message[600]; /* one sentence with all of this, and a remedy where one is known */
	char *log;         /* the compiler's messages verbatim, or NULL; freed by rt_error_clear */
} rt_error;

/* A short English phrase, static. */
const char *rt_status_string(rt_status status);
/* What to do about a CUresult, static; NULL when nothing special is known. */
const char *rt_result_remedy(unsigned result);
/* The status that stands for a CUresult. */
rt_status rt_result_status(unsigned result);
/* Frees the log and empties the error. NULL is ignored. */
void rt_error_clear(rt_error *err);
/* Clears `err` (may be NULL), fills it and returns `status`. */
rt_status rt_error_set(rt_error *err, rt_status status, const char *call, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Attaches a copy of the first `size` bytes of a log. */
void rt_error_log(rt_error *err, const char *log, size_t size);
