/* test_arch_ptx: the families of each architecture, asked of ptxas: an instruction of each family
 * that a row has must assemble for it, one of each that it lacks must not. Skipped where ptxas is
 * absent; rows newer than it are left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/arch.h"
#include "runtime/ptxas.h"
#include <string.h>

static const char *const sample[ARCH_FAMILY_COUNT] = {
	[ARCH_BIT_MMA_F16_K8] = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
				"{%f0,%f1,%f2,%f3}, {%r0,%r1}, {%r2}, {%f0,%f1,%f2,%f3};",
	[ARCH_BIT_MMA_F16] = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
			     "{%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, {%r2,%r3}, {%f0,%f1,%f2,%f3};",
	[ARCH_BIT_MMA_BF16] = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
			      "{%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, {%r2,%r3}, {%f0,%f1,%f2,%f3};",
	[ARCH_BIT_MMA_TF32] = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
			      "{%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, {%r2,%r3}, {%f0,%f1,%f2,%f3};",
	[ARCH_BIT_LDMATRIX] =
		"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r0,%r1,%r2,%r3}, [%r0];",
	[ARCH_BIT_STMATRIX] = "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r0], {%r0,%r1,%r2,%r3};",
	[ARCH_BIT_CP_ASYNC] = "cp.async.cg.shared.global [%r0], [%d0], 16, %r1;\n"
			      "cp.async.commit_group;\ncp.async.wait_group 1;",
	[ARCH_BIT_MBARRIER] = "mbarrier.init.shared.b64 [%r0], %r1;\n"
			      "mbarrier.arrive.shared.b64 %d1, [%r0];\n"
			      "mbarrier.test_wait.shared.b64 %p, [%r0], %d1;",
	[ARCH_BIT_TRY_WAIT] = "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r0], %r1;\n"
			      "mbarrier.try_wait.parity.shared::cta.b64 %p, [%r0], %r1;",
	[ARCH_BIT_TMA] =
		"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
		"[%r0], [%d0, {%r1, %r2}], [%r3];\nfence.proxy.async.shared::cta;\n"
		"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
		"[%r0], [%d0], %r1, [%r2];\nprefetch.tensormap [%d0];\n"
		"cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;",
	[ARCH_BIT_CLUSTER] = "barrier.cluster.arrive.release.aligned;\n"
			     "barrier.cluster.wait.acquire.aligned;\n"
			     "mapa.shared::cluster.u32 %r1, %r0, %r2;",
	[ARCH_BIT_WGMMA] = "wgmma.fence.sync.aligned;\n"
			   "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 "
			   "{%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, %d0, %p, 1, 1, 0;\n"
			   "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;",
	[ARCH_BIT_SETMAXNREG] = "setmaxnreg.inc.sync.aligned.u32 240;",
	[ARCH_BIT_FMA_BF16X2] = "fma.rn.bf16x2 %r0, %r1, %r2, %r3;",
	[ARCH_BIT_MUL_BF16X2] = "mul.rn.bf16x2 %r0, %r1, %r2;\nsub.rn.bf16x2 %r1, %r0, %r2;",
};

/* A kernel with the instructions of `families`, as LLVM would write it for the row, then
 * retargeted. */
static rt_status assemble(rt_ptxas *tool, const arch *a, unsigned families, rt_error *err)
{
	rt_ptxas_options o = {.arch = a->name};
	rt_ptxas_result r;
	rt_status status;
	text t = {0};

	text_printf(&t, ".version %d.%d\n.target %s\n.address_size 64\n", a->ptx / 10, a->ptx % 10,
		a->name);
	text_put(&t, ".visible .entry k(.param .u64 p)\n.maxntid 128, 1, 1\n.minnctapersm 1\n{\n");
	text_put(&t, ".reg .pred %p; .reg .f32 %f<4>; .reg .b32 %r<4>; .reg .b64 %d<2>;\n");
	text_put(&t, "ld.param.u64 %d0, [p]; mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x;\n");
	text_put(&t, "mov.u32 %r2, %r0; mov.u32 %r3, %r0; setp.ne.b32 %p, 1, 0;\n");
	for (int k = 0; k < 4; k++)
		text_printf(&t, "cvt.rn.f32.u32 %%f%d, %%r%d;\n", k, k);
	for (int bit = 0; bit < ARCH_FAMILY_COUNT; bit++)
		if (families >> bit & 1)
			text_printf(&t, "%s\n", sample[bit]);
	for (int k = 0; k < 4; k++)
		text_printf(&t, "st.global.f32 [%%d0+%d], %%f%d; st.global.u32 [%%d0+%d], %%r%d;\n",
			8 * k, k, 8 * k + 4, k);
	text_put(&t, "ret;\n}\n");
	status = rt_ptxas_run(tool, t.data, t.len, &o, &r, err);
	rt_ptxas_result_clear(&r);
	text_free(&t);
	return status;
}

static void test_families(void **state)
{
	int count, checked = 0;
	const arch *a = arch_all(&count);
	rt_error err = {0};
	rt_ptxas *tool;

	(void)state;
	if (rt_ptxas_find(&tool, NULL))
		skip();
	for (int row = 0; row < count; row++, a++) {
		rt_status status = assemble(tool, a, a->families, &err);

		if (status == RT_OLD_TOOL)
			continue;
		checked++;
		if (status)
			fail_msg("%s: %s\n%s", a->name, err.message, err.log ? err.log : "");
		for (int bit = 0; bit < ARCH_FAMILY_COUNT; bit++)
			if (!(a->families >> bit & 1) &&
				assemble(tool, a, 1u << bit, &err) != RT_REJECTED)
				fail_msg("%s: %s %s", a->name, arch_family_name(bit), err.message);
	}
	assert_true(checked >= 6);
	rt_error_clear(&err);
	rt_ptxas_destroy(tool);
}

/* Code that was generated for llvm_cpu and retargeted assembles for each row, also with the PTX
 * version of LLVM. */
static void test_retargeted(void **state)
{
	int count;
	const arch *a = arch_all(&count);
	rt_error err = {0};
	rt_ptxas *tool;

	(void)state;
	if (rt_ptxas_find(&tool, NULL))
		skip();
	for (int row = 0; row < count; row++, a++) {
		rt_ptxas_options o = {.arch = a->name};
		rt_ptxas_result r;
		text in = {0}, out = {0};
		const char *why;
		rt_status status;

		text_printf(&in,
			".version %d.%d\n.target %s\n.address_size 64\n.visible .entry k()\n{ ret; "
			"}\n",
			a->llvm_ptx / 10, a->llvm_ptx % 10, a->llvm_cpu);
		assert_true(arch_retarget(a, in.data, in.len, &out, &why));
		status = rt_ptxas_run(tool, out.data, out.len, &o, &r, &err);
		if (status && status != RT_OLD_TOOL)
			fail_msg("%s: %s", a->name, err.message);
		rt_ptxas_result_clear(&r);
		text_free(&in);
		text_free(&out);
	}
	rt_error_clear(&err);
	rt_ptxas_destroy(tool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families), cmocka_unit_test(test_retargeted)};

	return cmocka_run_group_tests_name("arch_ptx", tests, NULL, NULL);
}
