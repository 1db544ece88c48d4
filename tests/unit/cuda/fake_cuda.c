/* fake_cuda: the driver's entry, devices and contexts. fake_code.c has modules, launches and
 * memory. */
#include "fake_cuda.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#if defined(FAKE_OLD)
enum { VERSION = 11020 };
#elif defined(FAKE_V1)
enum { VERSION = 11080 };
#else
enum { VERSION = 12080 };
#endif

static fake_state state = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_function = -1};
static _Thread_local cu_context stack[16];
static _Thread_local int depth;

static const struct {
	const char *name, *symbol;
	int version;
} function[] = {
#define CU_FN(name, version, suffix, need, parameters) {#name, #name suffix, version},
#include "runtime/cuda_api.def"
#undef CU_FN
};

fake_state *fake_get(void)
{
	return &state;
}

void fake_reset(void)
{
	memset((char *)&state, 0, offsetof(fake_state, lock));
	memset(&state.last, 0, sizeof state.last);
	state.version = VERSION;
	state.devices = 2;
	for (int d = 0; d < FAKE_DEVICES; d++) {
		state.major[d] = d == 1 ? 8 : 9;
		state.context[d] = (struct CUctx_st){.device = d, .primary = true};
	}
	state.fail_function = -1;
	state.next_id = 100;
	depth = 0;
}

/* Loaded by a program that is no test of ours, it is a machine with two GPUs. */
__attribute__((constructor)) static void start(void)
{
	fake_reset();
}

cu_result fake_enter(int f)
{
	atomic_fetch_add(&state.calls[f], 1);
	if (f != state.fail_function)
		return 0;
	return state.fail_after-- > 0 ? 0 : state.fail_result;
}

void fake_violation(void)
{
	atomic_fetch_add(&state.violations, 1);
}

/* --- contexts --- */

cu_context fake_context_create(int device)
{
	for (int k = FAKE_DEVICES; k < FAKE_CONTEXTS; k++) {
		cu_context c = &state.context[k];

		if (c->alive)
			continue;
		*c = (struct CUctx_st){.device = device, .alive = true, .id = ++state.next_id};
		return c;
	}
	return NULL;
}

void fake_context_destroy(cu_context c)
{
	c->alive = false;
	fake_drop_modules(c);
	if (depth > 0 && stack[depth - 1] == c)
		depth--;
}

void fake_primary_reset(int device)
{
	state.context[device].alive = false;
	state.context[device].retained = 0;
}

void fake_set_current(cu_context c)
{
	depth = c ? 1 : 0;
	stack[0] = c;
}

cu_context fake_current(void)
{
	return depth ? stack[depth - 1] : NULL;
}

void fake_capture(cu_stream stream, unsigned status)
{
	state.capturing += (status != 0) - (stream->capture != 0);
	stream->capture = status;
}

cu_result cuDevicePrimaryCtxRetain(cu_context *context, cu_device device)
{
	cu_result r = fake_enter(FAKE_cuDevicePrimaryCtxRetain);
	cu_context c = &state.context[device - 10];

	if (r)
		return r;
	pthread_mutex_lock(&state.lock);
	if (c->retained++ == 0) {
		c->alive = true;
		c->id = ++state.next_id;
	}
	pthread_mutex_unlock(&state.lock);
	*context = c;
	return 0;
}

cu_result cuDevicePrimaryCtxRelease_v2(cu_device device)
{
	cu_result r = fake_enter(FAKE_cuDevicePrimaryCtxRelease);
	cu_context c = &state.context[device - 10];

	if (c->retained < 1)
		fake_violation();
	else if (--c->retained == 0)
		c->alive = false;
	return r;
}

cu_result cuCtxGetCurrent(cu_context *context)
{
	cu_result r = fake_enter(FAKE_cuCtxGetCurrent);

	*context = fake_current();
	return r;
}

cu_result cuCtxPushCurrent_v2(cu_context context)
{
	cu_result r = fake_enter(FAKE_cuCtxPushCurrent);

	if (r)
		return r;
	if (!context->alive)
		return CU_CONTEXT_DESTROYED;
	if (depth == 16)
		return CU_INVALID_CONTEXT;
	stack[depth++] = context;
	return 0;
}

cu_result cuCtxPopCurrent_v2(cu_context *context)
{
	cu_result r = fake_enter(FAKE_cuCtxPopCurrent);

	if (depth == 0) {
		fake_violation();
		return CU_INVALID_CONTEXT;
	}
	*context = stack[--depth];
	return r;
}

cu_result cuCtxGetDevice(cu_device *device)
{
	cu_result r = fake_enter(FAKE_cuCtxGetDevice);

	if (r || depth == 0)
		return r ? r : CU_INVALID_CONTEXT;
	*device = fake_current()->device + 10;
	return fake_current()->alive ? 0 : CU_CONTEXT_DESTROYED;
}

cu_result cuCtxGetApiVersion(cu_context context, unsigned *version)
{
	cu_result r = fake_enter(FAKE_cuCtxGetApiVersion);

	*version = 3020;
	return r ? r : context->alive ? 0 : CU_INVALID_CONTEXT;
}

/* --- devices: handles are ordinals + 10 --- */

cu_result cuInit(unsigned flags)
{
	(void)flags;
	return fake_enter(FAKE_cuInit);
}

cu_result cuDriverGetVersion(int *version)
{
	*version = state.version;
	return fake_enter(FAKE_cuDriverGetVersion);
}

cu_result cuGetErrorName(cu_result result, const char **name)
{
	fake_enter(FAKE_cuGetErrorName);
	*name = result == 218 ? "CUDA_ERROR_INVALID_PTX" : "CUDA_ERROR_OF_THE_TEST";
	return result < 1000 ? 0 : (*name = NULL, 1);
}

cu_result cuGetErrorString(cu_result result, const char **string)
{
	fake_enter(FAKE_cuGetErrorString);
	*string = "a description";
	return result < 1000 ? 0 : (*string = NULL, 1);
}

cu_result cuDeviceGetCount(int *count)
{
	*count = state.devices;
	return fake_enter(FAKE_cuDeviceGetCount);
}

cu_result cuDeviceGet(cu_device *device, int ordinal)
{
	*device = ordinal + 10;
	return fake_enter(FAKE_cuDeviceGet);
}

cu_result cuDeviceGetName(char *name, int size, cu_device device)
{
	snprintf(name, (size_t)size, "Fake %d", device - 10);
	return fake_enter(FAKE_cuDeviceGetName);
}

cu_result cuDeviceTotalMem_v2(size_t *bytes, cu_device device)
{
	*bytes = (size_t)(device - 9) << 30;
	return fake_enter(FAKE_cuDeviceTotalMem);
}

cu_result cuDeviceGetAttribute(int *value, unsigned attribute, cu_device device)
{
	cu_result r = fake_enter(FAKE_cuDeviceGetAttribute);

	switch (attribute) {
	case CU_DEV_MAJOR:
		*value = state.major[device - 10];
		return r;
	case CU_DEV_MINOR:
		*value = state.minor[device - 10];
		return r;
	case CU_DEV_SHARED_BLOCK:
		*value = (state.major[device - 10] == 9 ? 227 : 99) << 10;
		return r;
	case CU_DEV_CLOCK:
		return 1; /* as a driver that no longer tells */
	default:
		*value = 1000 + (int)attribute;
		return r;
	}
}

/* --- what drivers before CUDA 12 lack --- */

#if !defined(FAKE_OLD)
static void *find(const char *name, int version, unsigned *why)
{
	Dl_info self;
	void *library;

	*why = 1;
	if (state.hidden && strcmp(state.hidden, name) == 0)
		return NULL;
	for (int k = 0; k < FAKE_FUNCTIONS; k++) {
		if (strcmp(function[k].name, name) != 0 || function[k].version > state.version)
			continue;
		*why = 2;
		if (version < function[k].version)
			return NULL;
		*why = 0;
		dladdr((void *)&state, &self);
		library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
		return library ? dlsym(library, function[k].symbol) : NULL;
	}
	return NULL;
}

cu_result cuGetProcAddress(const char *name, void **address, int version, uint64_t flags)
{
	unsigned why;

	*address = flags == 0 ? find(name, version, &why) : NULL;
	return *address ? 0 : 500;
}
#endif

#if !defined(FAKE_OLD) && !defined(FAKE_V1)
cu_result cuGetProcAddress_v2(
	const char *name, void **address, int version, uint64_t flags, unsigned *why)
{
	*address = flags == 0 ? find(name, version, why) : NULL;
	return *why == 1 ? 500 : 0; /* as the real one: too low a version is no error */
}

cu_result cuCtxGetId(cu_context context, unsigned long long *id)
{
	cu_result r = fake_enter(FAKE_cuCtxGetId);

	*id = context->id;
	return r ? r : context->alive ? 0 : CU_CONTEXT_DESTROYED;
}

cu_result cuDeviceGetUuid_v2(cu_uuid *uuid, cu_device device)
{
	memset(uuid, device, sizeof *uuid);
	return fake_enter(FAKE_cuDeviceGetUuid);
}
#else
int fake_unused(void)
{
	return function[0].version;
}
#endif
