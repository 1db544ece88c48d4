/* test_kernel: the parameter block and the grid of a generated kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/kernel.h"
#include <string.h>

/* q[N, H, 4] (2-byte), k[N, G, 4], copied, o[N, H] (4-byte); lengths N, H, G; params W, scale. */
static rt_kernel_signature signature(void)
{
	rt_kernel_signature k = {.entry = "k",
		.threads = 128,
		.rows = 64,
		.query = 0,
		.head = 1,
		.group = 2,
		.tensors = 3,
		.lengths = 3,
		.params = 2,
		.tensor = {{"q", 2, 3, false, false, {0, 1, -1}, {0, 0, 4}},
			{"k", 2, 3, false, true, {0, 2, -1}, {0, 0, 4}},
			{"o", 4, 2, true, false, {0, 1}, {0}}},
		.length = {"N", "H", "G"},
		.param = {{"W", false, false}, {"scale", true, false}}};
	return k;
}

typedef struct {
	uint64_t data[3];
	int64_t stride[3][RT_KERNEL_RANK], length[3], integer[2];
	double real[2];
	const int64_t *strides[3];
	rt_kernel_args args;
} problem;

static problem *make(problem *p)
{
	*p = (problem){.data = {1024, 4096, 65536},
		.stride = {{24, 4, 1}, {16, 8, 1}, {6, 1}},
		.length = {100, 6, 2},
		.integer = {7},
		.real = {0, 0.5}};
	for (int t = 0; t < 3; t++)
		p->strides[t] = p->stride[t];
	p->args = (rt_kernel_args){p->data, p->strides, p->length, p->integer, p->real};
	return p;
}

static int32_t narrow(const rt_kernel_packed *out, uint32_t at)
{
	int32_t v;

	memcpy(&v, out->parameters + at, sizeof v);
	return v;
}

static int64_t wide(const rt_kernel_packed *out, uint32_t at)
{
	int64_t v;

	memcpy(&v, out->parameters + at, sizeof v);
	return v;
}

static rt_kernel_packed pack(const rt_kernel_signature *k, const problem *p)
{
	rt_kernel_packed out;
	rt_error err = {0};

	if (rt_kernel_pack(k, &p->args, &out, &err))
		fail_msg("%s", err.message);
	assert_int_equal(out.size, rt_kernel_parameter_bytes(k));
	return out;
}

static void refused(
	const rt_kernel_signature *k, const problem *p, rt_status want, const char *says)
{
	rt_kernel_packed out;
	rt_error err = {0};

	assert_int_equal(rt_kernel_pack(k, &p->args, &out, &err), want);
	if (!strstr(err.message, says))
		fail_msg("'%s' lacks '%s'", err.message, says);
	rt_error_clear(&err);
}

static void arguments_stand_in_order(void **state)
{
	rt_kernel_signature k = signature();
	problem p;
	rt_kernel_packed out = pack(&k, make(&p));
	float scale;

	(void)state;
	assert_int_equal(out.size, 8 * (3 + 2 + 2 + 1) + 4 * (3 + 2 + 2));
	assert_int_equal(wide(&out, 0), 1024);
	assert_int_equal(wide(&out, 16), 65536);
	assert_int_equal(wide(&out, 24), 24);
	assert_int_equal(wide(&out, 32), 4);
	assert_int_equal(wide(&out, 40), 16);
	assert_int_equal(wide(&out, 56), 6);
	assert_int_equal(narrow(&out, 64), 100);
	assert_int_equal(narrow(&out, 72), 2);
	assert_int_equal(narrow(&out, 76), 7);
	memcpy(&scale, out.parameters + 80, sizeof scale);
	assert_true(scale == 0.5f);
	assert_int_equal(narrow(&out, 84), 1);
	assert_int_equal(narrow(&out, 88), 1);
	p.data[2] = 0; /* an output that nobody wants */
	p.strides[2] = NULL;
	out = pack(&k, &p);
	assert_int_equal(wide(&out, 56), 0);
	assert_int_equal(narrow(&out, 88), 0);
}

static void the_grid_covers_rows_and_groups(void **state)
{
	rt_kernel_signature k = signature();
	problem p;
	rt_kernel_packed out = pack(&k, make(&p));

	(void)state;
	assert_int_equal(out.grid[0], 5 * 2); /* 100 * 6 / 2 rows in blocks of 64, two groups */
	assert_int_equal(out.grid[1], 1);
	assert_int_equal(out.grid[2], 1);
	k.batches = 1;
	k.batch[0] = 0;
	assert_int_equal(pack(&k, &p).grid[0], 5 * 200);
	k.group = -1;
	assert_int_equal(pack(&k, &p).grid[0], 10 * 100);
	p.length[1] = 0;
	assert_int_equal(pack(&k, &p).grid[0], 0);
	k.query = k.head = -1;
	assert_int_equal(pack(&k, &p).grid[0], 100);
}

static void copies_need_alignment(void **state)
{
	rt_kernel_signature k = signature();
	problem p;

	(void)state;
	make(&p)->data[1] = 4096 + 8;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 0);
	make(&p)->stride[1][1] = 4;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 0);
	p.length[2] = 1; /* the stride of a dimension of one element is not used */
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 1);
	make(&p)->data[0] = 1024 + 2; /* q is not copied */
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 1);
	make(&p)->stride[1][0] = -16;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 1);
	k.tensor[2].copied = true; /* results count where somebody wants them */
	make(&p)->data[2] = 65536 + 4;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 0);
	make(&p)->stride[2][0] = 8;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 1);
	p.data[2] = 0;
	p.strides[2] = NULL;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 84), 1);
}

static void tensors_that_cannot_be_used(void **state)
{
	rt_kernel_signature k = signature();
	problem p;

	(void)state;
	make(&p)->stride[0][2] = 2;
	refused(&k, &p, RT_LAYOUT, "the last dimension of 'q' has stride 2");
	make(&p)->data[0] = 1025;
	refused(&k, &p, RT_LAYOUT, "the data of 'q' is not aligned to its 2-byte elements");
	make(&p)->data[1] = 0;
	refused(&k, &p, RT_ARGUMENT, "'k' is an input without data");
	p.length[0] = 0; /* no elements, no data needed */
	assert_int_equal(pack(&k, &p).grid[0], 0);
	make(&p)->stride[2][1] = 9;
	refused(&k, &p, RT_LAYOUT, "'o' has stride 9");
	p.length[1] = 1;
	p.length[2] = 1;
	pack(&k, &p);
}

static void lengths_and_params_stay_in_range(void **state)
{
	rt_kernel_signature k = signature();
	problem p;

	(void)state;
	make(&p)->length[0] = INT64_C(1) << 31;
	refused(&k, &p, RT_SHAPE, "length N = 2147483648");
	make(&p)->length[0] = RT_KERNEL_MOST;
	refused(&k, &p, RT_SHAPE, "rows of one group");
	make(&p);
	k.batches = 2;
	k.batch[0] = k.batch[1] = 0;
	p.length[0] = 1 << 20;
	refused(&k, &p, RT_SHAPE, "groups and batches");
	k.batches = 0;
	make(&p)->integer[0] = INT64_C(1) << 40;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 76), 1 << 30);
	p.integer[0] = INT64_MIN;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 76), -(1 << 30));
	k.param[0].exact = true;
	refused(&k, &p, RT_ARGUMENT, "param W");
	p.integer[0] = INT32_MAX;
	assert_int_equal(narrow(&(rt_kernel_packed[]){pack(&k, &p)}[0], 76), INT32_MAX);
}

static void heads_lie_in_a_range(void **state)
{
	rt_kernel_signature k = signature();
	int64_t length[3] = {100, 6, 2};

	(void)state;
	assert_int_equal(rt_kernel_heads(&k, length), 3);
	length[2] = 0;
	assert_int_equal(rt_kernel_heads(&k, length), 0);
	assert_true(rt_kernel_suits(&k, 1) && rt_kernel_suits(&k, 1 << 20));
	k.heads_least = 64;
	assert_true(!rt_kernel_suits(&k, 63) && rt_kernel_suits(&k, 64) && rt_kernel_suits(&k, 0));
	k.heads_most = 127;
	assert_true(rt_kernel_suits(&k, 127) && !rt_kernel_suits(&k, 128));
	assert_true(rt_kernel_valid(&k));
	k.heads_least = -1;
	assert_false(rt_kernel_valid(&k));
	k.heads_least = 0;
	k.group = -1;
	length[2] = 2;
	assert_int_equal(rt_kernel_heads(&k, length), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_stand_in_order),
		cmocka_unit_test(the_grid_covers_rows_and_groups),
		cmocka_unit_test(copies_need_alignment),
		cmocka_unit_test(tensors_that_cannot_be_used),
		cmocka_unit_test(lengths_and_params_stay_in_range),
		cmocka_unit_test(heads_lie_in_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
