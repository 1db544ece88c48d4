/* test_tensor_map: tensors as TMA reads them, on the stand-in driver. */
#include "fake.h"
#include "runtime/kernel.h"
#include <string.h>

/* k[B, N, G, D] by a map with boxes of 1 x 32 x 1 x 64, behind a tensor and five scalars. */
static rt_kernel_signature signature(void)
{
	return (rt_kernel_signature){.entry = "k",
		.threads = 128,
		.rows = 64,
		.query = 1,
		.head = -1,
		.group = -1,
		.tensors = 1,
		.lengths = 3,
		.tensor = {{"k", 2, 4, false, true, {0, 1, 2, -1}, {0, 0, 0, 128}}},
		.length = {"B", "N", "G"},
		.maps = 1,
		.map = {{0, {1, 32, 1, 64}}}};
}

typedef struct {
	uint64_t data[1];
	int64_t stride[RT_KERNEL_RANK], length[3];
	const int64_t *strides[1];
	rt_kernel_args args;
} problem;

static problem *make(problem *p)
{
	*p = (problem){.data = {0x10000}, .stride = {25600, 256, 128, 1}, .length = {2, 100, 2}};
	p->strides[0] = p->stride;
	p->args = (rt_kernel_args){.data = p->data, .stride = p->strides, .length = p->length};
	return p;
}

static bool encode(rt_cuda *cuda, const problem *p, rt_kernel_packed *out)
{
	rt_kernel_signature k = signature();
	rt_error err = {0};
	bool fits;

	if (rt_kernel_pack(&k, &p->args, out, &err))
		fail_msg("%s", err.message);
	assert_int_equal(out->size, rt_kernel_parameter_bytes(&k));
	if (rt_kernel_encode(cuda, 0, &k, &p->args, out, &fits, &err))
		fail_msg("%s", err.message);
	return fits;
}

static void a_map_describes_its_tensor(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	const fake_map *m = &f.state->map;
	rt_kernel_packed out;
	uint64_t base;
	problem p;

	(void)state;
	assert_true(encode(cuda, make(&p), &out));
	/* 8 * 4 + 4 * 4 bytes of other arguments, then at a multiple of 64 */
	assert_int_equal(out.maps, 64);
	assert_int_equal(out.size, 64 + 128);
	memcpy(&base, out.parameters + 64, sizeof base);
	assert_int_equal(base, 0x10000);
	assert_int_equal(m->type, CU_MAP_U16);
	assert_int_equal(m->rank, 4);
	assert_int_equal(m->swizzle, CU_MAP_SWIZZLE_128);
	assert_int_equal(m->extent[0], 128);
	assert_int_equal(m->extent[1], 2);
	assert_int_equal(m->extent[2], 100);
	assert_int_equal(m->extent[3], 2);
	assert_int_equal(m->stride[1], 256);
	assert_int_equal(m->stride[2], 512);
	assert_int_equal(m->stride[3], 51200);
	assert_int_equal(m->box[0], 64);
	assert_int_equal(m->box[2], 32);
	fake_finish(&f, cuda);
}

static void tensors_that_tma_cannot_take(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_kernel_packed out;
	problem p;

	(void)state;
	make(&p)->data[0] += 8;
	assert_false(encode(cuda, &p, &out));
	make(&p)->stride[1] = 260;
	assert_false(encode(cuda, &p, &out));
	make(&p)->stride[2] = -128;
	assert_false(encode(cuda, &p, &out));
	make(&p)->stride[0] = INT64_C(1) << 39;
	assert_false(encode(cuda, &p, &out));
	make(&p)->stride[0] = INT64_MIN;
	assert_false(encode(cuda, &p, &out));
	fake_fail(&f, FAKE_cuTensorMapEncodeTiled, 1, 0);
	assert_false(encode(cuda, make(&p), &out));
	f.state->fail_function = -1;
	fake_finish(&f, cuda);
}

/* A driver that fails otherwise is no reason for a slower kernel. */
static void a_failing_driver_is_an_error(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_kernel_signature k = signature();
	rt_kernel_packed out;
	rt_error err = {0};
	problem p;
	bool fits;

	(void)state;
	assert_int_equal(rt_kernel_pack(&k, &make(&p)->args, &out, NULL), RT_OK);
	fake_fail(&f, FAKE_cuTensorMapEncodeTiled, 700, 0);
	expect_error(rt_kernel_encode(cuda, 0, &k, &p.args, &out, &fits, &err), &err, RT_CONTEXT,
		"cuTensorMapEncodeTiled");
	f.state->fail_function = -1;
	expect_error(rt_kernel_encode(cuda, 5, &k, &p.args, &out, &fits, &err), &err, RT_ARGUMENT,
		"no GPU 5");
	fake_finish(&f, cuda);
}

static void strides_that_nobody_uses_do_not_matter(void **state)
{
	fake f = fake_load("fake_cuda");
	rt_cuda *cuda = fake_open(&f);
	rt_kernel_packed out;
	problem p;

	(void)state;
	make(&p)->length[0] = 1;
	p.stride[0] = -3;
	assert_true(encode(cuda, &p, &out));
	make(&p)->length[1] = 0; /* no elements: the map is never read */
	p.data[0] = 0;
	assert_true(encode(cuda, &p, &out));
	make(&p)->stride[0] = 0; /* broadcast */
	assert_true(encode(cuda, &p, &out));
	fake_finish(&f, cuda);
}

static void an_old_driver_has_no_maps(void **state)
{
	fake f = fake_load("fake_cuda_v1");
	rt_cuda *cuda = fake_open(&f);
	rt_kernel_packed out;
	problem p;

	(void)state;
	assert_false(encode(cuda, make(&p), &out));
	fake_finish(&f, cuda);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_describes_its_tensor),
		cmocka_unit_test(tensors_that_tma_cannot_take),
		cmocka_unit_test(a_failing_driver_is_an_error),
		cmocka_unit_test(strides_that_nobody_uses_do_not_matter),
		cmocka_unit_test(an_old_driver_has_no_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
