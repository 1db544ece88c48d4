/* test_target: which device runs the code of a target: by name, as the table of architectures says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/arch.h"
#include "runtime/program.h"

static void names_say_what_the_table_says(void **state)
{
	int rows;
	const arch *a = arch_all(&rows);

	(void)state;
	for (int x = 0; x < rows; x++)
		for (int y = 0; y < rows; y++) {
			int major = a[y].major, minor = a[y].minor, c = 100 * major + minor;

			assert_int_equal(rt_target_runs(a[x].name, false, c),
				arch_ptx_runs_on(&a[x], major, minor));
			assert_int_equal(rt_target_runs(a[x].name, true, c),
				arch_cubin_runs_on(&a[x], major, minor));
		}
}

static void nearer_code_ranks_higher(void **state)
{
	(void)state;
	assert_true(rt_target_rank("sm_90a", false) > rt_target_rank("sm_90", true));
	assert_true(rt_target_rank("sm_90", true) > rt_target_rank("sm_90", false));
	assert_true(rt_target_rank("sm_120", false) > rt_target_rank("sm_90a", true));
}

static void what_is_no_target_runs_nowhere(void **state)
{
	static const char *const bad[] = {
		"", "sm_", "sm_9", "sm_90x", "sm_90aa", "90", "sm_-90", "sm_99999999999", "sm_80 "};

	(void)state;
	for (size_t n = 0; n < sizeof bad / sizeof *bad; n++)
		assert_false(rt_target_runs(bad[n], false, 900));
	assert_int_equal(rt_target_rank("nothing", true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_say_what_the_table_says),
		cmocka_unit_test(nearer_code_ranks_higher),
		cmocka_unit_test(what_is_no_target_runs_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
