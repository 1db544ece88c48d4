/* test_bundle: bundles written, read, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel.h"
#include "runtime/bundle_io.h"
#include <stdlib.h>
#include <string.h>

static void *make(size_t *size)
{
	rt_bundle_image image[3] = {scale_image("sm_80", false, false),
		scale_image("sm_90a", true, true), scale_image("sm_90", true, false)};
	rt_bundle_kernel k = scale_kernel(image, 3);
	void *data;

	image[1].signature.heads_least = 64;
	image[1].signature.heads_most = 127;
	data = rt_bundle_write("a test", &k, 1, size);
	assert_non_null(data);
	return data;
}

static void refused(const void *data, size_t size, const char *says)
{
	rt_error err = {0};
	rt_bundle *b = NULL;

	assert_int_equal(rt_bundle_open(data, size, &b, &err), RT_LAYOUT);
	assert_null(b);
	if (!strstr(err.message, says))
		fail_msg("'%s' lacks '%s'", err.message, says);
	rt_error_clear(&err);
}

static void what_is_read_is_what_was_written(void **state)
{
	size_t size, again;
	void *data = make(&size), *second = make(&again);
	rt_bundle_image image = scale_image("sm_90a", true, true);
	const rt_bundle_kernel *k;
	rt_bundle *b;

	(void)state;
	image.signature.heads_least = 64;
	image.signature.heads_most = 127;
	assert_int_equal(size, again);
	assert_memory_equal(data, second, size);
	assert_int_equal(rt_bundle_open(data, size, &b, NULL), RT_OK);
	free(data);
	free(second);
	assert_string_equal(rt_bundle_producer(b), "a test");
	assert_int_equal(rt_bundle_kernels(b), 1);
	k = rt_bundle_kernel_at(b, 0);
	assert_string_equal(k->interface.name, "scale");
	assert_int_equal(k->interface.tensors, 3);
	assert_int_equal(k->interface.inputs, 2);
	assert_string_equal(k->interface.tensor[1].name, "k");
	assert_int_equal(k->interface.tensor[1].dimensions[1].length, 2);
	assert_int_equal(k->interface.tensor[1].dimensions[2].extent, SCALE_D);
	assert_true(k->interface.tensor[2].is_output);
	assert_string_equal(k->interface.length[2].name, "M");
	assert_int_equal(k->interface.param[0].default_value.i, 4);
	assert_true(k->interface.param[1].default_value.f == 0.5);
	assert_int_equal(k->images, 3);
	assert_memory_equal(&k->image[1].signature, &image.signature, sizeof image.signature);
	assert_int_equal(k->image[1].size, image.size);
	assert_memory_equal(k->image[1].code, image.code, image.size);
	rt_bundle_close(b);
}

static void every_damage_is_seen(void **state)
{
	size_t size;
	unsigned char *data = make(&size);

	(void)state;
	for (size_t n = 0; n < size; n++)
		for (int bit = 0; bit < 8; bit += 5) {
			rt_bundle *b;

			data[n] ^= (unsigned char)(1 << bit);
			assert_int_equal(rt_bundle_open(data, size, &b, NULL), RT_LAYOUT);
			data[n] ^= (unsigned char)(1 << bit);
		}
	for (size_t n = 0; n < size; n += 7)
		refused(data, n, n < 8 ? "no bundle" : "truncated");
	refused("", 0, "no bundle");
	refused("#!/bin/sh\necho a script of more than one line\n", 47, "no bundle");
	data[8] = 1;
	refused(data, size, "format 1");
	free(data);
}

/* With a digest that fits, as somebody else's program might write it. */
static void seal(unsigned char *data, size_t size)
{
	bundle_io_digest(
		data + BUNDLE_HEAD, size - BUNDLE_HEAD, data + BUNDLE_HEAD - BUNDLE_DIGEST);
}

static void nonsense_behind_a_good_digest_is_seen(void **state)
{
	uint64_t seed = 7;
	size_t size, opened = 0;
	unsigned char *data = make(&size), *copy = malloc(size);

	(void)state;
	for (int n = 0; n < 20000; n++) {
		rt_bundle *b = NULL;

		memcpy(copy, data, size);
		for (int k = 0; k < 1 + n % 3; k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[BUNDLE_HEAD + (seed >> 33) % (size - BUNDLE_HEAD)] =
				(unsigned char)(seed >> 24);
		}
		seal(copy, size);
		if (rt_bundle_open(copy, size, &b, NULL) == RT_OK) {
			const rt_bundle_kernel *k = rt_bundle_kernel_at(b, 0);

			for (int i = 0; i < k->images; i++)
				assert_true(rt_kernel_valid(&k->image[i].signature));
			opened++;
		}
		rt_bundle_close(b);
	}
	assert_true(opened > 1000 && opened < 19000); /* changed code and names are no nonsense */
	free(copy);
	free(data);
}

static void images_must_fit_the_interface(void **state)
{
	rt_bundle_image image = scale_image("sm_80", false, false);
	rt_bundle_kernel k = scale_kernel(&image, 1);
	size_t size;
	void *data;

	(void)state;
	image.signature.tensor[1].bytes = 4;
	data = rt_bundle_write("t", &k, 1, &size);
	refused(data, size, "makes no sense");
	free(data);
	image = scale_image("sm_80", false, false);
	image.signature.tensor[0].length[1] = 3;
	data = rt_bundle_write("t", &k, 1, &size);
	refused(data, size, "makes no sense");
	free(data);
	image = scale_image("sm_80", false, false);
	image.signature.threads = 2000;
	data = rt_bundle_write("t", &k, 1, &size);
	refused(data, size, "makes no sense");
	free(data);
	assert_null(rt_bundle_write("t", &k, 0, &size));
	assert_null(rt_bundle_write("t", &k, RT_BUNDLE_KERNELS + 1, &size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_what_was_written),
		cmocka_unit_test(every_damage_is_seen),
		cmocka_unit_test(nonsense_behind_a_good_digest_is_seen),
		cmocka_unit_test(images_must_fit_the_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
