/* test_arena.c: blocks of the arena are zeroed, aligned, apart from each other, and survive growth.
 */
#include "support/arena.h"
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
	enum { COUNT = 2000 };
	unsigned char *block[COUNT];
	arena *a = arena_create();

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		size_t size = i * 7 % 301;

		block[i] = arena_alloc(a, size);
		assert_int_equal((uintptr_t)block[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(block[i][k], 0);
		memset(block[i], (int)(i & 0xff), size);
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t k = 0; k < i * 7 % 301; k++)
			assert_int_equal(block[i][k], i & 0xff);
	arena_destroy(a);
}

static void large_blocks_do_not_waste_the_chunk(void **state)
{
	arena *a = arena_create();
	char *small = arena_alloc(a, 16), *large = arena_alloc(a, 3 << 20),
	     *next = arena_alloc(a, 16);

	(void)state;
	memset(large, 1, 3 << 20);
	assert_true(next > small && next - small < 256);
	assert_true(arena_used(a) >= (3 << 20) + 32);
	arena_destroy(a);
}

static void strings_are_copied(void **state)
{
	arena *a = arena_create();
	char big[5000];

	(void)state;
	memset(big, 'x', sizeof big);
	assert_string_equal(arena_strdup(a, "k1"), "k1");
	assert_string_equal(arena_strndup(a, "window", 3), "win");
	assert_string_equal(arena_strndup(a, NULL, 0), "");
	assert_string_equal(arena_printf(a, "%s-%d", "a", 7), "a-7");
	assert_int_equal(strlen(arena_printf(a, "%.*s", (int)sizeof big, big)), sizeof big);
	arena_destroy(a);
}

static void pushed_items_survive_growth(void **state)
{
	struct {
		int *item;
		int count, cap;
	} v = {0};
	arena *a = arena_create();

	(void)state;
	for (int i = 0; i < 10000; i++)
		ARENA_PUSH(a, &v, i);
	assert_int_equal(v.count, 10000);
	for (int i = 0; i < v.count; i++)
		assert_int_equal(v.item[i], i);
	arena_destroy(a);
	arena_destroy(NULL);
}

static void a_lent_buffer_is_used_first_and_outlives_the_arena(void **state)
{
	_Alignas(max_align_t) unsigned char buffer[1024];
	arena *a;
	char *small, *large;

	(void)state;
	for (int round = 0; round < 2; round++) {
		memset(buffer, 0xaa, sizeof buffer);
		a = arena_create_in(buffer, sizeof buffer);
		small = arena_alloc(a, 100);
		large = arena_alloc(a, 4000);
		assert_true((unsigned char *)small > buffer);
		assert_true((unsigned char *)small + 100 <= buffer + sizeof buffer);
		assert_true((unsigned char *)large < buffer ||
			    (unsigned char *)large >= buffer + sizeof buffer);
		for (int i = 0; i < 100; i++)
			assert_int_equal(small[i], 0);
		memset(small, 1, 100);
		memset(large, 1, 4000);
		assert_non_null(arena_strdup(a, "more"));
		arena_destroy(a);
		memset(buffer, 0, sizeof buffer);
	}
	a = arena_create_in(buffer, 8);
	assert_non_null(arena_alloc(a, 10));
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
		cmocka_unit_test(large_blocks_do_not_waste_the_chunk),
		cmocka_unit_test(strings_are_copied),
		cmocka_unit_test(pushed_items_survive_growth),
		cmocka_unit_test(a_lent_buffer_is_used_first_and_outlives_the_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
