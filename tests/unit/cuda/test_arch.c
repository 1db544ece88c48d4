/* test_arch: the architecture table: lookups, whose code runs where, occupancy, rewriting of PTX
 * headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/arch.h"
#include <string.h>

static void test_find(void **state)
{
	(void)state;
	assert_string_equal(arch_find("sm_90a")->name, "sm_90a");
	assert_string_equal(arch_find("90a")->name, "sm_90a");
	assert_string_equal(arch_find("compute_80")->name, "sm_80");
	assert_null(arch_find("sm_91"));
	assert_null(arch_find("sm_"));
	assert_null(arch_find(""));
	assert_null(arch_find("SM_90"));
	assert_null(arch_find("native"));
}

static void test_native(void **state)
{
	static const struct {
		int major, minor;
		const char *name;
	} want[] = {{7, 5, "sm_75"}, {8, 0, "sm_80"}, {8, 6, "sm_86"}, {8, 7, "sm_87"},
		{8, 8, "sm_86"}, {8, 9, "sm_89"}, {9, 0, "sm_90a"}, {10, 0, "sm_100"},
		{10, 1, "sm_100"}, {10, 3, "sm_103"}, {11, 0, "sm_103"}, {12, 0, "sm_120"},
		{12, 1, "sm_120"}, {13, 0, "sm_120"}};

	(void)state;
	for (size_t k = 0; k < sizeof want / sizeof *want; k++)
		assert_string_equal(arch_native(want[k].major, want[k].minor)->name, want[k].name);
	assert_null(arch_native(7, 0));
	assert_null(arch_native(5, 2));
	assert_string_equal(arch_resolve("native", 9, 0)->name, "sm_90a");
	assert_null(arch_resolve("native", 0, 0));
	assert_string_equal(arch_resolve("80", 9, 0)->name, "sm_80");
}

static void test_nearest(void **state)
{
	(void)state;
	assert_string_equal(arch_nearest("sm-90a"), "sm_90a");
	assert_string_equal(arch_nearest("nativ"), "native");
	assert_string_equal(arch_nearest("sm80"), "sm_80");
	assert_null(arch_nearest("zebra-crossing"));
}

static void test_compatibility(void **state)
{
	const arch *sm80 = arch_find("80"), *sm86 = arch_find("86"), *sm87 = arch_find("87"),
		   *sm90 = arch_find("90"), *sm90a = arch_find("90a"), *sm100 = arch_find("100");

	(void)state;
	assert_true(arch_ptx_runs_on(sm80, 12, 0));
	assert_true(arch_ptx_runs_on(sm90, 10, 3));
	assert_false(arch_ptx_runs_on(sm90, 8, 9));
	assert_true(arch_ptx_runs_on(sm90a, 9, 0));
	assert_false(arch_ptx_runs_on(sm90a, 10, 0));
	assert_true(arch_ptx_runs_on(sm87, 9, 0));
	assert_true(arch_cubin_runs_on(sm80, 8, 9));
	assert_false(arch_cubin_runs_on(sm86, 8, 0));
	assert_false(arch_cubin_runs_on(sm80, 9, 0));
	assert_false(arch_cubin_runs_on(sm80, 8, 7)); /* desktop code on Tegra */
	assert_false(arch_cubin_runs_on(sm87, 8, 9));
	assert_true(arch_cubin_runs_on(sm87, 8, 7));
	assert_true(arch_cubin_runs_on(sm90a, 9, 0));
	assert_true(arch_cubin_runs_on(sm100, 10, 3));
	assert_false(arch_cubin_runs_on(sm100, 12, 0));
}

/* Rows ascend, are complete, and each is the best row for its own capability or for none. */
static void test_rows(void **state)
{
	int count;
	const arch *a = arch_all(&count);

	(void)state;
	assert_true(count >= 10);
	for (int r = 0; r < count; r++, a++) {
		const arch *native = arch_native(a->major, a->minor);

		if (r > 0)
			assert_true(a->major * 10 + a->minor >= a[-1].major * 10 + a[-1].minor);
		assert_ptr_equal(arch_find(a->name), a);
		assert_true(native->major == a->major && native->minor == a->minor);
		assert_true(a->ptx >= a->llvm_ptx && a->llvm_ptx <= 85);
		assert_true(arch_ptx_cuda(a->ptx) >= 10000);
		assert_non_null(arch_find(a->llvm_cpu));
		assert_true(arch_ptx_runs_on(arch_find(a->llvm_cpu), a->major, a->minor));
		assert_true((a->wgmma_flop > 0) == arch_has(a, ARCH_WGMMA));
		assert_true(
			a->shared_block <= a->shared_sm && a->threads_sm % a->threads_block <= 512);
		assert_true(arch_has(arch_find(a->llvm_cpu), a->families));
	}
	assert_int_equal(arch_ptx_cuda(86), 12070);
	assert_int_equal(arch_ptx_cuda(12), 0);
}

/* The matrix rate times SMs and clock is what the product's data sheet says, in TFLOP/s. */
static void test_peaks(void **state)
{
	static const struct {
		const char *name;
		double tflops;
	} sheet[] = {{"75", 65}, {"80", 312}, {"86", 149.7}, {"87", 42.5}, {"89", 362},
		{"90a", 989.4}, {"120", 503.8}};

	(void)state;
	for (size_t k = 0; k < sizeof sheet / sizeof *sheet; k++) {
		const arch *a = arch_find(sheet[k].name);
		int flop = a->wgmma_flop ? a->wgmma_flop : a->mma_flop;
		double peak = (double)flop * a->sms * a->mhz * 1e-6;

		if (peak < sheet[k].tflops * 0.98 || peak > sheet[k].tflops * 1.02)
			fail_msg("%s: %.1f TFLOP/s, data sheet %.1f", a->name, peak,
				sheet[k].tflops);
	}
}

static void test_families(void **state)
{
	text t = {0};

	(void)state;
	arch_families_text(arch_find("75")->families, &t);
	assert_string_equal(t.data, "mma.f16.k8 ldmatrix");
	text_free(&t);
	assert_false(arch_has(arch_find("75"), ARCH_CP_ASYNC));
	assert_true(arch_has(arch_find("120"), ARCH_TMA | ARCH_STMATRIX));
	assert_false(arch_has(arch_find("100"), ARCH_WGMMA));
	for (int bit = 0; bit < ARCH_FAMILY_COUNT; bit++)
		assert_true(*arch_family_name(bit) && *arch_family_meaning(bit));
}

static void test_occupancy(void **state)
{
	const arch *a80 = arch_find("80"), *a90 = arch_find("90a"), *a86 = arch_find("86");

	(void)state;
	assert_int_equal(arch_blocks_per_sm(a80, 4, 128, 0), 4);
	assert_int_equal(arch_blocks_per_sm(a80, 4, 168, 0), 3); /* 168 * 128 = 21504 of 65536 */
	assert_int_equal(arch_blocks_per_sm(a90, 12, 168, 0), 1);
	assert_int_equal(arch_blocks_per_sm(a90, 8, 255, 184576), 1);
	assert_int_equal(arch_blocks_per_sm(a80, 4, 32, 64 << 10), 2);
	assert_int_equal(arch_blocks_per_sm(a80, 1, 16, 0), 32);
	assert_int_equal(arch_blocks_per_sm(a86, 1, 16, 0), 16);
	assert_int_equal(arch_blocks_per_sm(a86, 8, 32, 0), 6); /* 48 warps */
	assert_int_equal(arch_blocks_per_sm(a86, 4, 32, 100 << 10), 0);
	assert_int_equal(arch_blocks_per_sm(a80, 12, 255, 0), 0); /* 12 warps of 8192 registers */
	assert_int_equal(arch_blocks_per_sm(a80, 33, 32, 0), 0);
	assert_int_equal(arch_blocks_per_sm(a80, 0, 32, 0), 0);
}

static const char ptx[] = "//\n// Generated by LLVM NVPTX Back-End\n//\n\n.version 8.0\n"
			  ".target sm_90\n.address_size 64\n\n.visible .entry k()\n{\n\tret;\n}\n";

static void expect_retarget(const char *name, const char *in, const char *out, const char *why)
{
	text t = {0};
	const char *reason;
	bool fine = arch_retarget(arch_find(name), in, strlen(in), &t, &reason);

	if (out) {
		assert_true(fine);
		assert_null(reason);
		assert_string_equal(t.data, out);
	} else {
		assert_false(fine);
		assert_int_equal(t.len, 0);
		assert_non_null(strstr(reason, why));
	}
	text_free(&t);
}

static void test_retarget(void **state)
{
	(void)state;
	expect_retarget("100", ptx,
		"//\n// Generated by LLVM NVPTX Back-End\n//\n\n.version 8.6\n.target sm_100\n"
		".address_size 64\n\n.visible .entry k()\n{\n\tret;\n}\n",
		NULL);
	expect_retarget("90", ptx, ptx, NULL);
	expect_retarget("103", ".version 8.0\n.target sm_90, debug\r\n",
		".version 8.8\n.target sm_103, debug\r\n", NULL);
	expect_retarget("80", ptx, NULL, "newer than the target");
	expect_retarget("90a", ptx, NULL, "not the processor");
	expect_retarget(
		"100", ".version 8.0\n.target sm_90\nwgmma.fence.sync.aligned;", NULL, "wgmma");
	expect_retarget("90", ".version 8.0\n.target sm_90\nsetmaxnreg.inc;", NULL, "setmaxnreg");
	expect_retarget("90a", ".version 8.0\n.target sm_90a\nwgmma.x; setmaxnreg.y;",
		".version 8.0\n.target sm_90a\nwgmma.x; setmaxnreg.y;", NULL);
	expect_retarget("90a", ".version 8.0\n.target sm_90a\ntcgen05.mma", NULL, "tcgen05");
	expect_retarget("100", ".version 8.0\n.version 8.0\n.target sm_90\n", NULL, "not one");
	expect_retarget("100", ".target sm_90\n.version 8.0\n", NULL, "not one");
	expect_retarget("100", ".version x\n.target sm_90\n", NULL, "newer");
	expect_retarget("100", ".version \n.target sm_90\n", NULL, "not one");
	expect_retarget("100", ".version", NULL, "not one");
	expect_retarget("100", "", NULL, "not one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_find),
		cmocka_unit_test(test_native), cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_compatibility), cmocka_unit_test(test_rows),
		cmocka_unit_test(test_peaks), cmocka_unit_test(test_families),
		cmocka_unit_test(test_occupancy), cmocka_unit_test(test_retarget)};

	return cmocka_run_group_tests_name("arch", tests, NULL, NULL);
}
