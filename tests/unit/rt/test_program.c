/* test_program: the kernel for tensors that TMA cannot take, made on demand; on the stand-in driver. */
#include "fake.h"
#include "kernel.h"
#include "runtime/program.h"
#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 8 };

typedef struct {
	rt_bundle_image plain;
	_Atomic int made, released;
	rt_status status; /* what making gives */
} maker;

static void release(void *owner)
{
	((maker *)owner)->released++;
}

static rt_status make(void *user, rt_image_source *out, rt_error *err)
{
	maker *m = user;

	m->made++;
	if (m->status)
		return rt_error_set(err, m->status, NULL, "the test's failure");
	*(rt_kernel_signature *)out->signature = m->plain.signature;
	out->code = m->plain.code;
	out->size = m->plain.size;
	out->release = release;
	out->owner = m;
	return RT_OK;
}

typedef struct {
	fake f;
	rt_gpu *gpu;
	rt_program *program;
	maker maker;
	uint64_t data[SCALE_TENSORS];
	int64_t stride[SCALE_TENSORS][RT_KERNEL_RANK], length[3], integer[2];
	double real[2];
	const int64_t *strides[SCALE_TENSORS];
	rt_kernel_args args;
} problem;

static int start(void **state)
{
	problem *p = calloc(1, sizeof *p);
	rt_bundle_image tma = scale_image("sm_90a", true, true);

	p->f = fake_load("fake_cuda");
	setenv("TRIKL_LIBCUDA", p->f.path, 1);
	p->maker.plain = scale_image("sm_90", false, false);
	p->gpu = rt_gpu_create();
	p->program = rt_program_create(p->gpu, "scale");
	assert_true(rt_program_add(p->program,
		&(rt_image_source){
			.signature = &tma.signature, .code = tma.code, .size = tma.size}));
	rt_program_on_demand(p->program, make, &p->maker);
	for (int t = 0; t < SCALE_TENSORS; t++) {
		p->data[t] = 0x10000u * (unsigned)(t + 1);
		p->strides[t] = p->stride[t];
		p->stride[t][0] = 100 * SCALE_D;
		p->stride[t][1] = SCALE_D;
		p->stride[t][2] = 1;
	}
	p->length[0] = 1;
	p->length[1] = p->length[2] = 100;
	p->args = (rt_kernel_args){p->data, p->strides, p->length, p->integer, p->real};
	*state = p;
	return 0;
}

static int stop(void **state)
{
	problem *p = *state;

	rt_program_destroy(p->program);
	rt_gpu_destroy(p->gpu);
	assert_int_equal(p->maker.made, p->maker.released + (p->maker.status != 0));
	assert_int_equal(p->f.state->violations, 0);
	assert_int_equal(p->f.state->live_libraries, 0);
	free(p);
	return 0;
}

static rt_status launch(problem *p, cu_stream stream, rt_error *err)
{
	return rt_program_launch(p->program, &p->args, 0, stream, err);
}

static void nothing_is_made_for_tensors_that_suit(void **state)
{
	problem *p = *state;

	assert_int_equal(launch(p, NULL, NULL), RT_OK);
	assert_int_equal(p->f.state->last.block[0], 384);
	p->length[1] = 0; /* nothing to compute */
	p->data[1] += 2;
	assert_int_equal(launch(p, NULL, NULL), RT_OK);
	assert_int_equal(p->maker.made, 0);
}

static void it_is_made_once_for_others(void **state)
{
	problem *p = *state;

	p->data[1] += 2;
	assert_int_equal(launch(p, NULL, NULL), RT_OK);
	assert_int_equal(p->f.state->last.block[0], 128);
	assert_int_equal(launch(p, NULL, NULL), RT_OK);
	assert_int_equal(p->maker.made, 1);
	p->data[1] -= 2;
	assert_int_equal(launch(p, NULL, NULL), RT_OK);
	assert_int_equal(p->f.state->last.block[0], 384);
	assert_int_equal(rt_gpu_loads(p->gpu), 2);
}

static void it_is_not_made_during_capture(void **state)
{
	problem *p = *state;
	cu_context own = p->f.context_create(0);
	struct CUstream_st stream = {.context = own};
	rt_error err = {0};

	p->f.set_current(own);
	p->data[1] += 2;
	p->f.capture(&stream, 1);
	expect_error(launch(p, &stream, &err), &err, RT_CAPTURE, "not compiled");
	assert_int_equal(p->maker.made, 0);
	p->f.capture(&stream, 0);
	assert_int_equal(rt_program_prepare(p->program, 0, NULL), RT_OK);
	assert_int_equal(p->maker.made, 1);
	p->f.capture(&stream, 1);
	assert_int_equal(launch(p, &stream, NULL), RT_OK);
	p->data[1] -= 2;
	assert_int_equal(launch(p, &stream, NULL), RT_OK);
	p->f.capture(&stream, 0);
	p->f.set_current(NULL);
	rt_program_destroy(p->program);
	p->program = NULL;
	p->f.context_destroy(own);
}

static void a_failure_is_passed_on(void **state)
{
	problem *p = *state;
	rt_error err = {0};

	p->maker.status = RT_LAYOUT;
	p->data[1] += 2;
	expect_error(launch(p, NULL, &err), &err, RT_LAYOUT, "the test's failure");
	p->data[1] -= 2;
	assert_int_equal(launch(p, NULL, NULL), RT_OK);
}

static void *launch_often(void *user)
{
	problem *p = user;

	for (int n = 0; n < 200; n++)
		assert_int_equal(launch(p, NULL, NULL), RT_OK);
	return NULL;
}

static void threads_share_what_one_made(void **state)
{
	problem *p = *state;
	pthread_t thread[THREADS];

	p->data[1] += 2;
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&thread[t], NULL, launch_often, p), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(thread[t], NULL);
	assert_true(p->maker.made >= 1 && p->maker.made <= THREADS);
	assert_int_equal(p->maker.released, p->maker.made - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_made_for_tensors_that_suit, start, stop),
		cmocka_unit_test_setup_teardown(it_is_made_once_for_others, start, stop),
		cmocka_unit_test_setup_teardown(it_is_not_made_during_capture, start, stop),
		cmocka_unit_test_setup_teardown(a_failure_is_passed_on, start, stop),
		cmocka_unit_test_setup_teardown(threads_share_what_one_made, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
