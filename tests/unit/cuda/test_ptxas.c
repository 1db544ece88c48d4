/* test_ptxas: finding and running ptxas. What needs the real one is skipped where none is
 * installed; failures are played by small scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/process.h"
#include "runtime/ptxas.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/trikl-test-XXXXXX"; /* TMPDIR of the tests: empty after each run */
static char script[64];

static const char good[] = ".version 7.0\n.target sm_80\n.address_size 64\n"
			   ".visible .entry k()\n{\n\t.shared .b8 s[512];\n\tret;\n}\n";

static int count_files(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static rt_ptxas *find_real(void)
{
	rt_ptxas *tool;

	if (rt_ptxas_find(&tool, NULL))
		skip();
	return tool;
}

/* A script in the place of ptxas; it becomes TRIKL_PTXAS. */
static rt_ptxas *find_script(const char *text)
{
	FILE *f = fopen(script, "we");
	rt_ptxas *tool;

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", text);
	fclose(f);
	assert_int_equal(chmod(script, 0700), 0);
	setenv("TRIKL_PTXAS", script, 1);
	assert_int_equal(rt_ptxas_find(&tool, NULL), RT_OK);
	assert_string_equal(rt_ptxas_path(tool), script);
	return tool;
}

static rt_status run(rt_ptxas *tool, const char *ptx, const rt_ptxas_options *options,
	rt_ptxas_result *result, rt_error *err)
{
	rt_status status = rt_ptxas_run(tool, ptx, strlen(ptx), options, result, err);

	if (status)
		assert_true(!result->cubin && !result->log && result->size == 0);
	assert_int_equal(count_files(folder), 0);
	return status;
}

static void expect_failure(rt_ptxas *tool, const rt_ptxas_options *o, const char *ptx,
	rt_status status, const char *words)
{
	rt_ptxas_result r;
	rt_error err = {0};
	rt_status got = run(tool, ptx, o, &r, &err);

	if (got != status || !strstr(err.message, words))
		fail_msg("got %s: %s", rt_status_string(got), err.message);
	rt_error_clear(&err);
}

/* --- the real one --- */

static void test_assemble(void **state)
{
	rt_ptxas *tool = find_real();
	rt_ptxas_options o = {.arch = "sm_90a"};
	rt_ptxas_result r;
	rt_error err = {0};

	(void)state;
	if (run(tool, good, &o, &r, &err))
		fail_msg("%s", err.message);
	assert_memory_equal(r.cubin, "\177ELF", 4);
	assert_true(r.size > 500);
	assert_non_null(strstr(r.log, "Compiling entry function 'k' for 'sm_90a'"));
	assert_true(r.figures.registers > 0);
	assert_int_equal(r.figures.shared_bytes, 512);
	assert_int_equal(rt_ptxas_check(&r, &err), RT_OK);
	rt_ptxas_result_clear(&r);
	o = (rt_ptxas_options){
		.arch = "sm_80", .line_info = true, .debug = true, .max_registers = 32};
	assert_int_equal(run(tool, good, &o, &r, &err), RT_OK);
	rt_ptxas_result_clear(&r);
	rt_ptxas_destroy(tool);
}

static void test_versions(void **state)
{
	rt_ptxas *tool = find_real();
	const char *version, *again;
	char stamp[64], same[64];
	rt_error err = {0};

	(void)state;
	assert_int_equal(rt_ptxas_version(tool, &version, &err), RT_OK);
	assert_true(version[0] >= '1' && version[0] <= '9' && strchr(version, '.'));
	assert_null(strchr(version, '\n'));
	assert_int_equal(rt_ptxas_version(tool, &again, &err), RT_OK);
	assert_ptr_equal(version, again);
	assert_int_equal(rt_ptxas_stamp(tool, stamp, &err), RT_OK);
	assert_int_equal(rt_ptxas_stamp(tool, same, &err), RT_OK);
	assert_string_equal(stamp, same);
	rt_ptxas_destroy(tool);
}

static void test_rejected(void **state)
{
	rt_ptxas *tool = find_real();
	rt_ptxas_options o = {.arch = "sm_90a"}, older = {.arch = "sm_75"},
			 unknown = {.arch = "sm_999"};
	rt_ptxas_result r;
	rt_error err = {0};

	(void)state;
	assert_int_equal(run(tool, "nonsense", &o, &r, &err), RT_REJECTED);
	assert_non_null(strstr(err.log, "fatal"));
	rt_error_clear(&err);
	expect_failure(tool, &older, good, RT_REJECTED, "higher than");
	expect_failure(tool, &unknown, good, RT_OLD_TOOL, "sm_999");
	expect_failure(tool, &o, ".version 19.9\n.target sm_80\n", RT_OLD_TOOL, "19.9");
	expect_failure(tool, &o, "", RT_REJECTED, "exit");
	rt_ptxas_destroy(tool);
}

/* An accumulator is read before wgmma.wait_group: ptxas inserts a wait and says so, with exit code
 * 0. */
static const char serialised[] =
	".version 8.0\n.target sm_90a\n.address_size 64\n"
	".visible .entry k(.param .u64 out, .param .u64 desc)\n.maxntid 128, 1, 1\n{\n"
	".reg .pred %p; .reg .f32 %f<8>; .reg .b32 %r<5>; .reg .b64 %d<4>;\n"
	"ld.param.u64 %d0, [out]; ld.param.u64 %d1, [desc]; mov.u32 %r0, %tid.x;\n"
	"mov.b32 %r1, %r0; mov.b32 %r2, %r0; mov.b32 %r3, %r0; cvt.rn.f32.u32 %f0, %r0;\n"
	"mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0; setp.ne.b32 %p, 1, 0;\n"
	"wgmma.fence.sync.aligned;\n"
	"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0,%f1,%f2,%f3}, "
	"{%r0,%r1,%r2,%r3}, %d1, %p, 1, 1, 0;\n"
	"wgmma.commit_group.sync.aligned;\nadd.f32 %f4, %f0, %f1;\n"
	"wgmma.wait_group.sync.aligned 0;\n"
	"st.global.f32 [%d0], %f4; st.global.f32 [%d0+4], %f2; st.global.f32 [%d0+8], %f3;\n"
	"ret;\n}\n";

static void test_serialised(void **state)
{
	rt_ptxas *tool = find_real();
	rt_ptxas_options o = {.arch = "sm_90a"};
	rt_ptxas_result r;
	rt_error err = {0};

	(void)state;
	assert_int_equal(run(tool, serialised, &o, &r, &err), RT_OK);
	assert_true(r.figures.has_loss);
	assert_int_equal(rt_ptxas_check(&r, &err), RT_QUALITY);
	assert_non_null(strstr(err.message, "C75"));
	assert_null(strchr(err.message, '\n'));
	assert_string_equal(err.log, r.log);
	rt_error_clear(&err);
	rt_ptxas_result_clear(&r);
	rt_ptxas_destroy(tool);
}

static void test_spills(void **state)
{
	rt_ptxas *tool = find_real();
	rt_ptxas_options o = {.arch = "sm_80", .max_registers = 24};
	char ptx[16384];
	int n, count = 60;
	rt_ptxas_result r;
	rt_error err = {0};

	(void)state;
	n = snprintf(ptx, sizeof ptx,
		".version 7.0\n.target sm_80\n.address_size 64\n"
		".visible .entry spill(.param .u64 p)\n{\n.reg .b64 %%d;\n.reg .f32 %%f<61>;\n"
		"ld.param.u64 %%d, [p];\n");
	for (int k = 0; k < count; k++)
		n += snprintf(ptx + n, sizeof ptx - (size_t)n,
			"ld.volatile.global.f32 %%f%d, [%%d+%d];\n", k, 4 * k);
	for (int k = 0; k < count; k++)
		n += snprintf(ptx + n, sizeof ptx - (size_t)n,
			"st.volatile.global.f32 [%%d+%d], %%f%d;\n", 1000 + 4 * k, count - 1 - k);
	snprintf(ptx + n, sizeof ptx - (size_t)n, "ret;\n}\n");
	assert_int_equal(run(tool, ptx, &o, &r, &err), RT_OK);
	assert_true(r.figures.spill_stores >= 100 && r.figures.spill_loads >= 100);
	assert_true(r.figures.stack_bytes >= 100 && r.figures.registers <= 24);
	assert_int_equal(rt_ptxas_check(&r, &err), RT_QUALITY);
	assert_non_null(strstr(err.message, "spill"));
	rt_error_clear(&err);
	rt_ptxas_result_clear(&r);
	rt_ptxas_destroy(tool);
}

static void *assemble_some(void *arg)
{
	rt_ptxas_options o = {.arch = "sm_80"};
	rt_ptxas_result r;
	const char *version;
	size_t failures = 0;

	for (int k = 0; k < 3; k++) {
		failures += rt_ptxas_run(arg, good, sizeof good - 1, &o, &r, NULL) != RT_OK;
		failures += rt_ptxas_version(arg, &version, NULL) != RT_OK;
		rt_ptxas_result_clear(&r);
	}
	return (void *)failures;
}

static void test_threads(void **state)
{
	rt_ptxas *tool = find_real();
	pthread_t thread[4];
	void *failures;

	(void)state;
	for (int t = 0; t < 4; t++)
		pthread_create(&thread[t], NULL, assemble_some, tool);
	for (int t = 0; t < 4; t++) {
		pthread_join(thread[t], &failures);
		assert_null(failures);
	}
	assert_int_equal(count_files(folder), 0);
	rt_ptxas_destroy(tool);
}

/* --- no program, or a bad one --- */

static void test_search(void **state)
{
	rt_error err = {0};
	rt_ptxas *tool, *named;
	char *path = strdup(getenv("PATH"));

	(void)state;
	setenv("TRIKL_PTXAS", "none", 1);
	assert_int_equal(rt_ptxas_find(&tool, &err), RT_NO_TOOL);
	assert_null(tool);
	setenv("TRIKL_PTXAS", "/nonexistent/ptxas", 1);
	assert_int_equal(rt_ptxas_find(&tool, &err), RT_NO_TOOL);
	assert_non_null(strstr(err.message, "/nonexistent/ptxas"));
	setenv("TRIKL_PTXAS", folder, 1); /* a folder is no program */
	assert_int_equal(rt_ptxas_find(&tool, NULL), RT_NO_TOOL);
	named = find_script("exit 0");
	rt_ptxas_destroy(named);

	/* script is SCRIPTS/bin/ptxas: found by PATH, then by CUDA_HOME; not by a relative PATH */
	unsetenv("TRIKL_PTXAS");
	*strrchr(script, '/') = 0;
	setenv("PATH", "::/nonexistent:", 1);
	setenv("PATH", script, 1);
	assert_int_equal(rt_ptxas_find(&tool, &err), RT_OK);
	assert_memory_equal(rt_ptxas_path(tool), script, strlen(script));
	rt_ptxas_destroy(tool);
	setenv("PATH", ".:bin:", 1);
	*strrchr(script, '/') = 0;
	setenv("CUDA_HOME", script, 1);
	assert_int_equal(chdir(script), 0);
	assert_int_equal(rt_ptxas_find(&tool, &err), RT_OK);
	assert_memory_equal(rt_ptxas_path(tool), script, strlen(script));
	rt_ptxas_destroy(tool);
	strcat(script, "/bin/ptxas");
	unsetenv("CUDA_HOME");
	setenv("PATH", path, 1);
	assert_int_equal(chdir("/"), 0);
	free(path);
	rt_error_clear(&err);
	rt_ptxas_destroy(NULL);
}

static void test_bad_programs(void **state)
{
	static const struct {
		const char *text;
		rt_status status;
		const char *words;
	} bad[] = {
		{"exit 0", RT_TOOL, "no message and no cubin"},
		{"echo 'error: no'; exit 1", RT_REJECTED, "exit 1: error: no"},
		{"kill -9 $$", RT_TOOL, "signal 9"},
		{"for a; do :; done; echo junk > ${a%.ptx}.cubin", RT_TOOL, "no cubin"},
		{"head -c 3000000 /dev/zero | tr '\\0' x; exit 3", RT_TOOL, "exit 3: xxx"},
		{"sleep 60", RT_TIMEOUT, "0.3 seconds"},
		{"sleep 60 & sleep 60", RT_TIMEOUT, "0.3 seconds"},
		{"exec >&- 2>&-; sleep 60", RT_TIMEOUT, "0.3 seconds"},
		{"trap '' TERM INT; while :; do echo y; done", RT_TIMEOUT, "0.3 seconds"},
	};
	rt_ptxas_options o = {.arch = "sm_80", .timeout_ms = 300};
	time_t start = time(NULL);

	(void)state;
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
		rt_ptxas *tool = find_script(bad[k].text);

		if (bad[k].status != RT_TIMEOUT)
			o.timeout_ms = 20000;
		expect_failure(tool, &o, good, bad[k].status, bad[k].words);
		o.timeout_ms = 300;
		rt_ptxas_destroy(tool);
	}
	assert_true(time(NULL) - start < 20);
	unsetenv("TRIKL_PTXAS");
}

static void test_bad_versions(void **state)
{
	const char *const texts[] = {"exit 0", "echo hello", "echo ', V'", "kill -9 $$"};

	(void)state;
	for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
		rt_ptxas *tool = find_script(texts[k]);
		const char *version = "x";
		rt_error err = {0};

		assert_int_equal(rt_ptxas_version(tool, &version, &err), RT_TOOL);
		assert_null(version);
		rt_error_clear(&err);
		rt_ptxas_destroy(tool);
	}
	unsetenv("TRIKL_PTXAS");
}

/* The environment of the child: no input, no open files, no blocked signals; and a vanished
 * program. */
static void test_child(void **state)
{
	rt_ptxas *tool = find_script("cat; test ! -e /proc/self/fd/9 || echo fd9; grep SigBlk "
				     "/proc/self/status; umask; echo error; exit 1");
	rt_ptxas_options o = {.arch = "sm_80"};
	rt_ptxas_result r;
	rt_error err = {0};
	sigset_t all, before;
	char stamp[64];

	(void)state;
	dup2(1, 9);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(run(tool, good, &o, &r, &err), RT_REJECTED);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(9);
	assert_non_null(strstr(err.log, "SigBlk:\t0000000000000000"));
	assert_null(strstr(err.log, "fd9"));
	unlink(script);
	expect_failure(tool, &o, good, RT_TOOL, "cannot run");
	assert_int_equal(rt_ptxas_stamp(tool, stamp, &err), RT_TOOL);
	rt_error_clear(&err);
	rt_ptxas_destroy(tool);
	unsetenv("TRIKL_PTXAS");
}

/* A host program that ignores SIGCHLD, or reaps every child, takes the exit code away. */
static void test_reaped(void **state)
{
	rt_ptxas *tool =
		find_script("for a; do :; done; printf '\\177ELF%0100d' 1 > ${a%.ptx}.cubin");
	rt_ptxas_options o = {.arch = "sm_80"};
	rt_ptxas_result r;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(run(tool, good, &o, &r, NULL), RT_OK);
	assert_int_equal(r.size, 104);
	rt_ptxas_result_clear(&r);
	rt_ptxas_destroy(tool);
	tool = find_script("echo error; exit 1");
	expect_failure(tool, &o, good, RT_REJECTED, "error");
	signal(SIGCHLD, SIG_DFL);
	rt_ptxas_destroy(tool);
	unsetenv("TRIKL_PTXAS");
}

static void test_places(void **state)
{
	rt_ptxas *tool = find_script("exit 0");
	rt_ptxas_options o = {.arch = "sm_80"}, strange = {.arch = "sm_80 -h"}, none = {0};

	(void)state;
	setenv("TMPDIR", "/nonexistent", 1);
	expect_failure(tool, &o, good, RT_TOOL, "/nonexistent");
	setenv("TMPDIR", folder, 1);
	expect_failure(tool, &strange, good, RT_ARGUMENT, "'sm_80 -h'");
	expect_failure(tool, &none, good, RT_ARGUMENT, "''");
	rt_ptxas_destroy(tool);
	unsetenv("TRIKL_PTXAS");
}

static void test_logs(void **state)
{
	rt_ptxas_figures f;
	const char *line;
	size_t length;

	(void)state;
	rt_ptxas_parse("ptxas info    : Function properties for a\n"
		       "    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n"
		       "ptxas info    : Used 168 registers, used 2 barriers, 16 bytes cumulative "
		       "stack size, 1024 bytes smem, 400 bytes cmem[0]\n"
		       "    0 bytes stack frame, 4 bytes spill stores, 0 bytes spill loads\n"
		       "ptxas info    : Used 20 registers, 99999999999999 bytes smem",
		&f);
	assert_int_equal(f.registers, 168);
	assert_int_equal(f.barriers, 2);
	assert_int_equal(f.stack_bytes, 16);
	assert_int_equal(f.spill_stores, 12);
	assert_int_equal(f.spill_loads, 12);
	assert_int_equal(f.shared_bytes, INT32_MAX);
	assert_false(f.has_loss);
	rt_ptxas_parse("", &f);
	assert_int_equal(f.registers, 0);
	assert_true(rt_ptxas_find_loss("a\nb (C7510) c\nd", &line, &length));
	assert_int_equal(length, 11);
	assert_memory_equal(line, "b (C7510) c", 11);
	assert_true(rt_ptxas_find_loss("x Potential Performance Loss: y", NULL, NULL));
	assert_true(rt_ptxas_find_loss("(C7504)", NULL, NULL));
	assert_true(rt_ptxas_find_loss("C75 C7519", NULL, NULL));
	assert_false(rt_ptxas_find_loss("(C7503) C7520 C75 C751", NULL, NULL));
	assert_false(rt_ptxas_find_loss("", NULL, NULL));
}

static int set_up(void **state)
{
	char scripts[64];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(scripts, sizeof scripts, "%s-bin", folder);
	mkdir(scripts, 0700);
	strcat(scripts, "/bin");
	mkdir(scripts, 0700);
	snprintf(script, sizeof script, "%s/ptxas", scripts);
	return setenv("TMPDIR", folder, 1);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(script);
	*strrchr(script, '/') = 0;
	rmdir(script);
	*strrchr(script, '/') = 0;
	rmdir(script);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_assemble),
		cmocka_unit_test(test_versions), cmocka_unit_test(test_rejected),
		cmocka_unit_test(test_serialised), cmocka_unit_test(test_spills),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_search),
		cmocka_unit_test(test_bad_programs), cmocka_unit_test(test_bad_versions),
		cmocka_unit_test(test_child), cmocka_unit_test(test_reaped),
		cmocka_unit_test(test_places), cmocka_unit_test(test_logs)};

	return cmocka_run_group_tests_name("ptxas", tests, set_up, tear_down);
}
