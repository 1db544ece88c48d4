/* test_gpu: the runtime on a real driver and GPU: load from PTX and cubin, launch, read back,
 * time. Skipped where there is no driver or no GPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/arch.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/ptxas.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* out[i] = i * factor, with the last of a large block of dynamic shared memory in between. */
static const char ptx[] =
	".version 7.0\n.target sm_75\n.address_size 64\n.extern .shared .align 16 .b8 smem[];\n"
	".visible .entry scale(.param .u64 out, .param .u32 n, .param .u32 factor, .param .u32 "
	"at)\n"
	"{\n.reg .pred %p; .reg .b32 %r<9>; .reg .b64 %d<4>;\n"
	"ld.param.u64 %d0, [out]; ld.param.u32 %r0, [n]; ld.param.u32 %r1, [factor];\n"
	"ld.param.u32 %r2, [at]; mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, "
	"%tid.x;\n"
	"mad.lo.u32 %r6, %r3, %r4, %r5; setp.ge.u32 %p, %r6, %r0; @%p ret;\n"
	"mul.lo.u32 %r7, %r6, %r1; mov.u32 %r8, smem; add.u32 %r8, %r8, %r2;\n"
	"mad.lo.u32 %r8, %r5, 4, %r8; st.shared.u32 [%r8], %r7; ld.shared.u32 %r7, [%r8];\n"
	"cvta.to.global.u64 %d1, %d0; mul.wide.u32 %d2, %r6, 4; add.u64 %d3, %d1, %d2;\n"
	"st.global.u32 [%d3], %r7; ret;\n}\n";

enum { N = 1000, BLOCK = 128, SHARED = 60 << 10 };

typedef struct {
	cu_deviceptr out;
	uint32_t n, factor, at;
} parameters;

/* What the kernel declares, without the struct's padding: more is CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES. */
enum { PARAMETERS = offsetof(parameters, at) + sizeof(uint32_t) };

static rt_cuda *open_driver(void)
{
	rt_cuda *cuda;
	rt_error err = {0};

	if (rt_cuda_open(NULL, &cuda, &err)) {
		print_message("%s\n", err.message);
		skip();
	}
	return cuda;
}

#define FINE(call)                                                                                 \
	do {                                                                                       \
		rt_error e = {0};                                                                  \
		rt_error *err = &e;                                                                \
		if (call)                                                                          \
			fail_msg("%s\n%s", e.message, e.log ? e.log : "");                         \
	} while (0)

static double nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void expect_output(rt_cuda *cuda, int device, rt_module *m, cu_stream stream)
{
	rt_launch_config c = {.device = device,
		.stream = stream,
		.grid = {(N + BLOCK - 1) / BLOCK, 1, 1},
		.block = {BLOCK},
		.shared = SHARED};
	parameters p = {.n = N, .factor = 3, .at = SHARED - 4 * BLOCK};
	uint32_t *out = calloc(N, sizeof *out);
	double start, ms;
	rt_timer *timer;

	FINE(rt_memory_alloc(cuda, device, N * sizeof *out, &p.out, err));
	FINE(rt_memory_fill(cuda, device, p.out, 0xff, N * sizeof *out, stream, err));
	FINE(rt_launch(m, &c, &p, PARAMETERS, err));
	FINE(rt_memory_read(cuda, device, out, p.out, N * sizeof *out, stream, err));
	for (uint32_t k = 0; k < N; k++)
		assert_int_equal(out[k], 3 * k);
	FINE(rt_timer_create(cuda, device, &timer, err));
	FINE(rt_timer_start(timer, stream, err));
	start = nanoseconds();
	for (int k = 0; k < 200; k++)
		FINE(rt_launch(m, &c, &p, PARAMETERS, err));
	start = (nanoseconds() - start) / 200;
	FINE(rt_timer_stop(timer, stream, err));
	FINE(rt_timer_read(timer, &ms, err));
	print_message("host time of a launch %.0f ns, on the device %.1f us\n", start, ms * 5);
	rt_timer_destroy(timer);
	FINE(rt_memory_free(cuda, device, p.out, err));
	free(out);
}

static void run_image(rt_cuda *cuda, int device, const void *image, size_t size)
{
	rt_module_source source = {image, size, "scale", SHARED};
	rt_module_info info;
	rt_module *m;
	cu_stream stream;
	char *log;

	FINE(rt_module_create(cuda, &source, &m, err));
	FINE(rt_module_prepare(m, device, err));
	FINE(rt_module_describe(m, device, BLOCK, &info, err));
	log = rt_module_log(m);
	print_message("%d registers, binary %d, %d blocks an SM, log: %s\n", info.registers,
		info.binary, info.blocks_per_sm, log);
	assert_true(info.registers > 0 && info.blocks_per_sm > 0 && info.local_bytes == 0);
	free(log);
	FINE(rt_stream_create(cuda, device, &stream, err));
	expect_output(cuda, device, m, stream);
	FINE(rt_stream_destroy(cuda, device, stream, err));
	rt_module_destroy(m);
}

static void test_kernel(void **state)
{
	rt_cuda *cuda = open_driver();

	(void)state;
	print_message("driver %d\n", rt_cuda_version(cuda));
	for (int d = 0; d < rt_cuda_devices(cuda); d++) {
		rt_device_info info;
		rt_ptxas_result r;
		rt_ptxas *tool;
		const arch *a;

		FINE(rt_cuda_device(cuda, d, &info, err));
		print_message("GPU %d: %s, %d.%d, %d SMs, %d kHz\n", d, info.name, info.major,
			info.minor, info.sms, info.clock_khz);
		a = arch_native(info.major, info.minor);
		assert_non_null(a);
		if (a->major == info.major && a->minor == info.minor) {
			assert_int_equal(info.shared_block, a->shared_block);
			assert_int_equal(info.shared_sm, a->shared_sm);
			assert_int_equal(info.registers_sm, a->registers_sm);
			assert_int_equal(info.threads_sm, a->threads_sm);
			assert_int_equal(info.blocks_sm, a->blocks_sm);
		}
		run_image(cuda, d, ptx, sizeof ptx - 1);
		if (rt_ptxas_find(&tool, NULL))
			continue;
		FINE(rt_ptxas_run(
			tool, ptx, sizeof ptx - 1, &(rt_ptxas_options){.arch = a->name}, &r, err));
		run_image(cuda, d, r.cubin, r.size);
		rt_ptxas_result_clear(&r);
		rt_ptxas_destroy(tool);
	}
	rt_cuda_close(cuda);
}

static void test_rejected(void **state)
{
	static const char bad[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
				  ".visible .entry scale()\n{\nnonsense;\n}\n";
	rt_module_source source = {bad, sizeof bad - 1, "scale", 0};
	rt_cuda *cuda = open_driver();
	rt_error refusal = {0};
	rt_module *m;

	(void)state;
	FINE(rt_module_create(cuda, &source, &m, err));
	assert_int_equal(rt_module_prepare(m, 0, &refusal), RT_REJECTED);
	print_message("%s\n%s\n", refusal.message, refusal.log);
	assert_non_null(refusal.log);
	rt_error_clear(&refusal);
	rt_module_destroy(m);
	rt_cuda_close(cuda);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel), cmocka_unit_test(test_rejected)};

	return cmocka_run_group_tests_name("gpu", tests, NULL, NULL);
}
