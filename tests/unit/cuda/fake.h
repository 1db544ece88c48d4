/* fake.h: for tests on the stand-in driver: opens one of its builds and gives its control
 * functions. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_cuda.h"
#include "runtime/cuda.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef struct {
	char path[512];
	fake_state *state;
	void (*reset)(void);
	cu_context (*context_create)(int device);
	void (*context_destroy)(cu_context context);
	void (*primary_reset)(int device);
	void (*set_current)(cu_context context);
	cu_context (*current)(void);
	void (*capture)(cu_stream stream, unsigned status);
} fake;

static inline void fake_bind(void *library, const char *name, void *to)
{
	void *address = dlsym(library, name);

	assert_non_null(address);
	memcpy(to, &address, sizeof address);
}

/* The build "fake_cuda", "fake_cuda_v1" or "fake_cuda_old", reset. */
static inline fake fake_load(const char *build)
{
	fake f;
	fake_state *(*get)(void);
	void *library;

	snprintf(f.path, sizeof f.path, "%s/lib%s.so", FAKE_FOLDER, build);
	library = dlopen(f.path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail_msg("%s", dlerror());
	fake_bind(library, "fake_get", &get);
	fake_bind(library, "fake_reset", &f.reset);
	fake_bind(library, "fake_context_create", &f.context_create);
	fake_bind(library, "fake_context_destroy", &f.context_destroy);
	fake_bind(library, "fake_primary_reset", &f.primary_reset);
	fake_bind(library, "fake_set_current", &f.set_current);
	fake_bind(library, "fake_current", &f.current);
	fake_bind(library, "fake_capture", &f.capture);
	f.state = get();
	f.reset();
	return f;
}

/* The next call of a function fails, after `after` that succeed. */
static inline void fake_fail(fake *f, int function, cu_result result, int after)
{
	f->state->fail_function = function;
	f->state->fail_result = result;
	f->state->fail_after = after;
}

static inline rt_cuda *fake_open(fake *f)
{
	rt_error err = {0};
	rt_cuda *cuda;

	if (rt_cuda_open(f->path, &cuda, &err))
		fail_msg("%s", err.message);
	return cuda;
}

/* Closes the driver and expects that nothing was left behind and no rule broken. */
static inline void fake_finish(fake *f, rt_cuda *cuda)
{
	rt_cuda_close(cuda);
	assert_int_equal(f->state->violations, 0);
	assert_int_equal(f->state->live_modules, 0);
	assert_int_equal(f->state->live_libraries, 0);
	assert_int_equal(f->state->live_allocations, 0);
	assert_int_equal(f->state->live_streams, 0);
	assert_int_equal(f->state->live_events, 0);
	for (int d = 0; d < FAKE_DEVICES; d++)
		assert_int_equal(f->state->context[d].retained, 0);
}

/* Expects a status, and a message with the words. */
static inline void expect_error(rt_status got, rt_error *err, rt_status want, const char *words)
{
	if (got != want || !strstr(err->message, words))
		fail_msg("got %s: \"%s\", wanted %s: \"%s\"", rt_status_string(got), err->message,
			rt_status_string(want), words);
	assert_int_equal(err->status, want);
	rt_error_clear(err);
}
