/* test_key: digests of fields, blobs, sizes in the environment. */
#include "fixture.h"
#include <stdlib.h>
#include <string.h>

static void expect_key(rt_cache_digest *d, const char *want)
{
	char hex[RT_CACHE_KEY_HEX];
	rt_cache_key key = rt_cache_key_end(d);

	rt_cache_key_hex(&key, hex);
	assert_string_equal(hex, want);
}

/* The encoding is part of the format: a change makes every cache cold. Computed with Python's hashlib over
 * struct.pack("<Q", len) + bytes for each label and value. */
static void test_encoding_is_fixed(void **state)
{
	rt_cache_digest d;
	(void)state;

	rt_cache_key_begin(&d);
	expect_key(&d, "5e6de5ca9e50dd3776c17278e9833607c1b3a2ddf526949ffe250f748f03d6d2");
	rt_cache_key_begin(&d);
	rt_cache_key_text(&d, "spec", "attention a");
	rt_cache_key_int(&d, "stages", -3);
	rt_cache_key_bytes(&d, "blob", "\0\1", 2);
	expect_key(&d, "a1785aad60ebdb602113bf310744385c1fcbb669deee8d826459ad0ef8dd4011");
}

static rt_cache_key pair(const char *l1, const char *v1, const char *l2, const char *v2)
{
	rt_cache_digest d;
	rt_cache_key_begin(&d);
	rt_cache_key_text(&d, l1, v1);
	if (l2)
		rt_cache_key_text(&d, l2, v2);
	return rt_cache_key_end(&d);
}

static void test_fields_do_not_run_together(void **state)
{
	rt_cache_key keys[] = {pair("a", "bc", "d", "e"), pair("ab", "c", "d", "e"),
		pair("a", "b", "cd", "e"), pair("a", "bcde", NULL, NULL), pair("d", "e", "a", "bc"),
		pair("a", "", "d", "e"), pair("a", "bc", "d", ""), pair("a", "bc", "", "de")};
	int n = (int)(sizeof keys / sizeof *keys);
	(void)state;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(&keys[i], &keys[j], sizeof keys[i]);
}

static void test_long_values_and_many_fields(void **state)
{
	rt_cache_digest d;
	rt_cache_key first, second;
	size_t size = 1 << 20;
	char *text = malloc(size);
	(void)state;

	memset(text, 'x', size);
	for (int change = 0; change < 2; change++) {
		text[size - 1] = change ? 'y' : 'x';
		rt_cache_key_begin(&d);
		for (int i = 0; i < 1000; i++)
			rt_cache_key_int(&d, "option", i);
		rt_cache_key_bytes(&d, "spec", text, size);
		*(change ? &second : &first) = rt_cache_key_end(&d);
	}
	assert_memory_not_equal(&first, &second, sizeof first);
	free(text);
}

static void test_blob_lives_until_its_last_owner(void **state)
{
	rt_blob *b = rt_blob_copy("bytes", 6);
	(void)state;

	assert_ptr_equal(rt_blob_retain(b), b);
	rt_blob_release(b);
	assert_string_equal(rt_blob_data(b), "bytes");
	assert_int_equal((uintptr_t)rt_blob_data(b) % 16, 0);
	rt_blob_release(b);
	rt_blob_release(NULL);
	assert_null(rt_blob_create(SIZE_MAX));
	b = rt_blob_copy(NULL, 0);
	assert_int_equal(rt_blob_size(b), 0);
	rt_blob_release(b);
}

static void test_size_bound_from_the_environment(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} cases[] = {{"4096", 4096}, {"512K", 512 << 10}, {"3M", 3 << 20}, {"2G", INT64_C(2) << 30},
		{"1T", INT64_C(1) << 40}, {"0", 0}, {"9223372036854775807", INT64_C(1) << 60},
		{"9223372036854775808", -1}, {"9999999999999T", -1}, {"", INT64_C(1) << 30},
		{"-1", -1}, {"1.5G", -1}, {"2GB", -1}, {"G", -1}, {" 1", -1}, {"lots", -1}};
	(void)state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fixture *f = fixture_create();
		setenv("TRIKL_CACHE_SIZE", cases[i].text, 1);
		rt_cache *c = fixture_open(f);
		bool refused = cases[i].bytes < 0;
		assert_int_equal(rt_cache_limit(c), refused ? INT64_C(1) << 30 : cases[i].bytes);
		assert_int_equal(f->notes[RT_CACHE_BAD_SETTING], refused);
		assert_true(get(f, c, 1, NULL));
		rt_cache_close(c);
		fixture_destroy(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoding_is_fixed),
		cmocka_unit_test(test_fields_do_not_run_together),
		cmocka_unit_test(test_long_values_and_many_fields),
		cmocka_unit_test(test_blob_lives_until_its_last_owner),
		cmocka_unit_test(test_size_bound_from_the_environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
