/* test_program: kernels for tensors that TMA cannot take and for ranges of heads, there or made on
 * demand; on the stand-in driver. */
#include "fake.h"
#include "kernel.h"
#include "runtime/program.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 8 };

/* Makes a kernel for every tensor, and for 64 to 127 and 1 to 63 heads. */
typedef struct {
	rt_bundle_image plain, some, few;
	_Atomic int asked, made, released;
	rt_status status; /* what making gives */
} maker;

/* Threads of a block, for many heads, some, few: they tell the images apart. */
enum { MANY = 384, SOME = 256, FEW = 192 };

/* length[1] / length[2] heads */
static rt_bundle_image suited_image(const char *target, int least, int most, int threads)
{
	rt_bundle_image i = scale_image(target, true, true);

	i.signature.head = 1;
	i.signature.group = 2;
	i.signature.heads_least = least;
	i.signature.heads_most = most;
	i.signature.threads = threads;
	snprintf(i.signature.target, sizeof i.signature.target, "sm_90a");
	return i;
}

static void release(void *owner)
{
	((maker *)owner)->released++;
}

static rt_status make(void *user, int64_t heads, rt_image_source *out, rt_error *err)
{
	maker *m = user;
	const rt_bundle_image *i = heads == 0 ? &m->plain : heads < 64 ? &m->few : &m->some;

	m->asked++;
	if (m->status)
		return rt_error_set(err, m->status, NULL, "the test's failure");
	m->made++;
	*(rt_kernel_signature *)out->signature = i->signature;
	out->code = i->code;
	out->size = i->size;
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

static problem *open_problem(void)
{
	problem *p = calloc(1, sizeof *p);

	p->f = fake_load("fake_cuda");
	setenv("TRIKL_LIBCUDA", p->f.path, 1);
	p->maker.plain = scale_image("sm_90", false, false);
	p->maker.some = suited_image("sm_90a", 64, 127, SOME);
	p->maker.few = suited_image("sm_90a", 0, 63, FEW);
	p->gpu = rt_gpu_create();
	p->program = rt_program_create(p->gpu, "scale");
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
	return p;
}

static void add(problem *p, rt_bundle_image i)
{
	assert_true(rt_program_add(p->program,
		&(rt_image_source){.signature = &i.signature, .code = i.code, .size = i.size}));
}

static int start(void **state)
{
	problem *p = *state = open_problem();

	add(p, scale_image("sm_90a", true, true));
	rt_program_on_demand(p->program, make, &p->maker);
	return 0;
}

/* As a compiler's kernel for 128 heads and more. */
static int start_heads(void **state)
{
	problem *p = *state = open_problem();

	add(p, suited_image("sm_90a", 128, 0, MANY));
	rt_program_on_demand(p->program, make, &p->maker);
	return 0;
}

/* As a bundle: nobody makes anything. */
static int start_bundle(void **state)
{
	problem *p = *state = open_problem();

	add(p, p->maker.plain);
	add(p, suited_image("sm_90a", 128, 0, MANY));
	add(p, suited_image("sm_90a", 64, 127, SOME));
	add(p, suited_image("sm_90a", 0, 63, FEW));
	return 0;
}

static int stop(void **state)
{
	problem *p = *state;

	rt_program_destroy(p->program);
	rt_gpu_destroy(p->gpu);
	assert_int_equal(p->maker.made, p->maker.released);
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

/* --- heads --- */

/* The threads of the block that a launch with so many heads starts. */
static unsigned with_heads(problem *p, int64_t heads, cu_stream stream)
{
	rt_error err = {0};

	p->length[1] = 100 * heads;
	if (launch(p, stream, &err))
		fail_msg("%lld heads: %s", (long long)heads, err.message);
	return p->f.state->last.block[0];
}

static void each_image_takes_its_heads(void **state)
{
	problem *p = *state;

	for (int n = 0; n < 2; n++) {
		assert_int_equal(with_heads(p, 128, NULL), MANY);
		assert_int_equal(with_heads(p, 1000, NULL), MANY);
		assert_int_equal(with_heads(p, 127, NULL), SOME);
		assert_int_equal(with_heads(p, 64, NULL), SOME);
		assert_int_equal(with_heads(p, 63, NULL), FEW);
		assert_int_equal(with_heads(p, 1, NULL), FEW);
	}
	p->length[2] = 0; /* no groups */
	assert_int_equal(launch(p, NULL, NULL), RT_OK);
	p->length[2] = 100;
	p->data[1] += 2;
	assert_int_equal(with_heads(p, 1, NULL), 128);
	assert_int_equal(rt_gpu_loads(p->gpu), 4);
}

static void preparing_loads_every_range(void **state)
{
	problem *p = *state;

	assert_int_equal(rt_program_prepare(p->program, 0, NULL), RT_OK);
	assert_int_equal(rt_gpu_loads(p->gpu), 4);
	assert_int_equal(with_heads(p, 3, NULL), FEW);
	assert_int_equal(rt_gpu_loads(p->gpu), 4);
}

static void variants_are_made_once(void **state)
{
	problem *p = *state;

	assert_int_equal(with_heads(p, 128, NULL), MANY);
	assert_int_equal(p->maker.made, 0);
	for (int n = 0; n < 3; n++) {
		assert_int_equal(with_heads(p, 1 + n, NULL), FEW);
		assert_int_equal(with_heads(p, 100 + n, NULL), SOME);
		assert_int_equal(with_heads(p, 200 + n, NULL), MANY);
	}
	assert_int_equal(p->maker.asked, 2);
	assert_int_equal(rt_program_prepare(p->program, 0, NULL), RT_OK);
	assert_int_equal(p->maker.asked, 3);
	assert_int_equal(rt_gpu_loads(p->gpu), 4);
}

static void preparing_makes_all_of_them(void **state)
{
	problem *p = *state;

	assert_int_equal(rt_program_prepare(p->program, 0, NULL), RT_OK);
	assert_int_equal(p->maker.asked, 3);
	assert_int_equal(rt_gpu_loads(p->gpu), 4);
	assert_int_equal(with_heads(p, 1, NULL), FEW);
	assert_int_equal(with_heads(p, 64, NULL), SOME);
	assert_int_equal(rt_gpu_loads(p->gpu), 4);
}

/* What there is runs, slower but right. */
static void nothing_is_made_for_heads_during_capture(void **state)
{
	problem *p = *state;
	cu_context own = p->f.context_create(0);
	struct CUstream_st stream = {.context = own};

	p->f.set_current(own);
	assert_int_equal(with_heads(p, 128, &stream), MANY);
	p->f.capture(&stream, 1);
	assert_int_equal(with_heads(p, 1, &stream), MANY);
	assert_int_equal(p->maker.asked, 0);
	p->f.capture(&stream, 0);
	assert_int_equal(with_heads(p, 1, &stream), FEW);
	p->f.capture(&stream, 1);
	assert_int_equal(with_heads(p, 1, &stream), FEW);
	assert_int_equal(with_heads(p, 64, &stream), MANY);
	p->f.capture(&stream, 0);
	p->f.set_current(NULL);
	rt_program_destroy(p->program);
	p->program = NULL;
	p->f.context_destroy(own);
}

/* Nor loaded, whichever it is. */
static void what_is_loaded_runs_during_capture(void **state)
{
	problem *p = *state;
	cu_context own = p->f.context_create(0);
	struct CUstream_st stream = {.context = own};
	rt_error err = {0};

	p->f.set_current(own);
	p->f.capture(&stream, 1);
	expect_error(launch(p, &stream, &err), &err, RT_CAPTURE, "prepare it");
	p->f.capture(&stream, 0);
	assert_int_equal(with_heads(p, 1, &stream), FEW);
	p->f.capture(&stream, 1);
	assert_int_equal(with_heads(p, 128, &stream), FEW);
	p->f.capture(&stream, 0);
	assert_int_equal(with_heads(p, 128, &stream), MANY);
	p->f.set_current(NULL);
	rt_program_destroy(p->program);
	p->program = NULL;
	p->f.context_destroy(own);
}

static void a_variant_that_cannot_be_made_is_none(void **state)
{
	problem *p = *state;

	p->maker.status = RT_LAYOUT;
	for (int n = 0; n < 3; n++)
		assert_int_equal(with_heads(p, 1, NULL), MANY);
	assert_int_equal(p->maker.asked, 1);
	p->maker.status = RT_OK;
	assert_int_equal(rt_program_prepare(p->program, 0, NULL), RT_OK);
	assert_int_equal(p->maker.asked, 2); /* for every tensor */
}

static void a_variant_that_cannot_be_loaded_is_none(void **state)
{
	problem *p = *state;

	p->maker.few = suited_image("sm_80", 0, 63, FEW);
	for (int n = 0; n < 3; n++)
		assert_int_equal(with_heads(p, 1, NULL), MANY);
	assert_int_equal(p->maker.asked, 1);
	assert_int_equal(rt_program_prepare(p->program, 0, NULL), RT_OK);
}

static void *launch_some_heads(void *user)
{
	const problem *p = user;
	int64_t length[] = {1, 0, 100}; /* this thread's own */
	rt_kernel_args args = p->args;

	args.length = length;
	for (int n = 0; n < 200; n++) {
		length[1] = 100 * (1 + n % 130);
		assert_int_equal(rt_program_launch(p->program, &args, 0, NULL, NULL), RT_OK);
	}
	return NULL;
}

static void threads_share_the_variants(void **state)
{
	problem *p = *state;
	pthread_t thread[THREADS];

	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&thread[t], NULL, launch_some_heads, p), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(thread[t], NULL);
	assert_true(p->maker.made >= 2 && p->maker.made <= 2 * THREADS);
	assert_int_equal(p->maker.released, p->maker.made - 2);
	assert_int_equal(with_heads(p, 1, NULL), FEW);
}

#define HEADS(test) cmocka_unit_test_setup_teardown(test, start_heads, stop)
#define BUNDLE(test) cmocka_unit_test_setup_teardown(test, start_bundle, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_made_for_tensors_that_suit, start, stop),
		cmocka_unit_test_setup_teardown(it_is_made_once_for_others, start, stop),
		cmocka_unit_test_setup_teardown(it_is_not_made_during_capture, start, stop),
		cmocka_unit_test_setup_teardown(a_failure_is_passed_on, start, stop),
		cmocka_unit_test_setup_teardown(threads_share_what_one_made, start, stop),
		BUNDLE(each_image_takes_its_heads),
		BUNDLE(preparing_loads_every_range),
		BUNDLE(what_is_loaded_runs_during_capture),
		HEADS(variants_are_made_once),
		HEADS(preparing_makes_all_of_them),
		HEADS(nothing_is_made_for_heads_during_capture),
		HEADS(a_variant_that_cannot_be_made_is_none),
		HEADS(a_variant_that_cannot_be_loaded_is_none),
		HEADS(threads_share_the_variants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
