/* verb_doctor: what this machine offers and lacks, one line a finding, with a remedy for each
 * fault. Only a fault that keeps kernels from running changes the exit code; a missing GPU never
 * does. */
#include "cli/gpu.h"
#include <errno.h>
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { FINE, INFO, WARN, FAULT } level;

typedef struct {
	const char *name;
	level level;
	const char *says;
	const char *remedy; /* NULL when there is nothing to do */
} finding;

typedef struct {
	arena *arena;
	struct {
		finding *item;
		int count, cap;
	} list;
} report;

static void found(report *r, const char *name, level l, const char *says, const char *remedy)
{
	finding f = {name, l, says, remedy};
	ARENA_PUSH(r->arena, &r->list, f);
}

static void look_at_cpu(report *r)
{
	char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
	bool wide = target_feature(features, "avx512f"), avx2 = target_feature(features, "avx2");
	const char *dot = target_feature(features, "amx-bf16")     ? ", AMX bf16"
			  : target_feature(features, "avx512bf16") ? ", AVX512-BF16"
								   : "";
	const char *simd = wide ? "AVX-512" : avx2 ? "AVX2" : "128-bit vectors";
	bool slow = !wide && !avx2;
#if !defined(__x86_64__)
	slow = false;
#endif
	found(r, "processor", slow ? WARN : FINE,
		arena_printf(r->arena, "%s, %s%s", cpu, simd, dot),
		slow ? "kernels are several times faster on a processor with AVX2; in a virtual "
		       "machine, let the "
		       "host's features through"
		     : NULL);
	LLVMDisposeMessage(cpu);
	LLVMDisposeMessage(features);
}

/* Compiles and runs one small kernel as `run` would; NULL, or what went wrong. */
static const char *probe(arena *a, double *ms)
{
	static const char spec[] =
		"attention probe(q : f32[i, D], k : f32[j, D], v : f32[j, D]) -> (o : f32[i, D]) "
		"{\n"
		"    const D = 8\n    index i, j : N\n    s = sum(d) q[d] * k[d]\n"
		"    p = softmax(j) s\n    o = sum(j) p * v\n}\n";
	source *src = source_create(a, "probe", spec, sizeof spec - 1);
	diags *d = diags_create(a, src);
	ast_file *file = ast_parse(a, src, d);
	sema_spec *s = diag_error_count(d)
			       ? NULL
			       : sema_check(a, file, file->specs.item[0], src, NULL, 0, d);
	row_form *m = s ? model_choose(s, NULL, d) : NULL;
	host_times times;
	double start = clock_now();
	host_kernel *k = m ? host_compile(m, &(host_options){0}, &times, d) : NULL;
	*ms = (clock_now() - start) * 1e3;
	if (!k)
		return d->list.count ? d->list.item[0].message
				     : "the probe kernel does not compile";

	float x[4][8] = {{1}, {2}, {3}, {0}};
	int64_t stride[2] = {8, 1}, length = 1, none = 0;
	void *data[4] = {x[0], x[1], x[2], x[3]};
	const int64_t *strides[4] = {stride, stride, stride, stride};
	double zero = 0;
	host_args args = {.data = data,
		.stride = strides,
		.length = &length,
		.param_int = &none,
		.param_float = &zero};
	rt_pool *pool = rt_pool_create(1);
	bool ran = pool && host_launch(k, &args, pool);
	rt_pool_destroy(pool);
	host_destroy(k);
	return !ran           ? "the probe kernel does not run"
	       : x[3][0] != 3 ? "the probe kernel computes nonsense"
			      : NULL;
}

static void look_at_compiler(report *r)
{
	unsigned major, minor, patch;
	double ms;
	LLVMGetVersion(&major, &minor, &patch);
	found(r, "LLVM", FINE, arena_printf(r->arena, "%u.%u.%u", major, minor, patch), NULL);
	const char *why = probe(r->arena, &ms);
	if (why)
		found(r, "kernels", FAULT, why,
			"executable memory may be forbidden here (SELinux execmem, noexec /tmp, a "
			"seccomp filter)");
	else
		found(r, "kernels", FINE,
			arena_printf(r->arena, "a probe compiled in %.1f ms and ran", ms), NULL);
}

static void look_at_threads(report *r)
{
	int cores = machine_cores();
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	rt_pool *pool = rt_pool_create(0);
	if (!pool)
		found(r, "threads", FAULT, "worker threads cannot be started",
			"raise the process limit (ulimit -u, or the container's pids limit)");
	else if (cores < online)
		found(r, "threads", INFO,
			arena_printf(
				r->arena, "%d of the machine's %ld cores are ours", cores, online),
			"taskset or the container's cpuset limits this process");
	else
		found(r, "threads", FINE, arena_printf(r->arena, "%d cores", cores), NULL);
	rt_pool_destroy(pool);
	found(r, "memory", FINE, arena_printf(r->arena, "%.1f GB", (double)machine_memory() * 1e-9),
		NULL);
}

/* --- GPUs --- */

static void look_at_device(report *r, device_system *s, rt_cuda *cuda, int n)
{
	const char *name = arena_printf(r->arena, "cuda:%d", n);
	rt_device_info info;
	rt_error err = {0};
	const arch *a;

	if (rt_cuda_device(cuda, n, &info, &err)) {
		found(r, name, WARN, arena_strdup(r->arena, err.message), NULL);
	} else if (device_arch(s, n, &a, &err)) {
		found(r, name, WARN, arena_strdup(r->arena, err.message),
			"it is not used; kernels run on the cpu");
	} else {
		found(r, name, info.compute_mode == 2 ? WARN : FINE,
			arena_printf(r->arena, "%s, %s, %d SMs, %.1f GB%s", info.name, a->name,
				info.sms, (double)info.memory_bytes * 1e-9,
				info.compute_mode == 2 ? ", compute mode prohibited" : ""),
			info.compute_mode == 2 ? "nvidia-smi -c DEFAULT lets programs use it"
					       : NULL);
	}
	rt_error_clear(&err);
}

static void look_at_ptxas(report *r, device_system *s)
{
	rt_ptxas *tool = device_assembler(s);
	const char *version = tool ? device_assembler_version(s, tool, r->arena) : NULL;

	if (!tool)
		found(r, "ptxas", INFO,
			"not found: the driver compiles PTX when a kernel is first loaded", NULL);
	else if (!version)
		found(r, "ptxas", WARN,
			arena_printf(r->arena, "%s cannot be run", rt_ptxas_path(tool)),
			"repair it, or TRIKL_PTXAS=none does without");
	else
		found(r, "ptxas", FINE,
			arena_printf(r->arena, "%s, %s", rt_ptxas_path(tool), version), NULL);
}

static void look_at_gpu(report *r)
{
	device_system *s = device_open(NULL);
	rt_cuda *cuda = NULL;
	rt_error err = {0};
	rt_status status = s ? device_driver(s, &cuda, &err) : RT_NO_MEMORY;
	bool absent = status == RT_NO_DRIVER || status == RT_NO_DEVICE;

	if (status)
		found(r, "GPU driver", absent ? INFO : WARN, arena_strdup(r->arena, err.message),
			absent ? NULL : rt_result_remedy(err.result));
	else
		found(r, "GPU driver", FINE,
			arena_printf(r->arena, "%s, CUDA %d.%d", rt_cuda_path(cuda),
				rt_cuda_version(cuda) / 1000, rt_cuda_version(cuda) % 1000 / 10),
			NULL);
	for (int n = 0; !status && n < rt_cuda_devices(cuda); n++)
		look_at_device(r, s, cuda, n);
	if (s)
		look_at_ptxas(r, s);
	rt_error_clear(&err);
	device_close(s);
}

static void look_at_cache(report *r)
{
	const char *explicit = getenv("TRIKL_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");
	const char *path = explicit && *explicit  ? explicit
			   : xdg && xdg[0] == '/' ? arena_printf(r->arena, "%s/trikl", xdg)
			   : home && *home        ? arena_printf(r->arena, "%s/.cache/trikl", home)
						  : NULL;
	struct stat st;
	if (!path)
		found(r, "cache", WARN, "no directory: HOME is not set", "set TRIKL_CACHE_DIR");
	else if (stat(path, &st) != 0 && errno == ENOENT)
		found(r, "cache", INFO, arena_printf(r->arena, "%s, not made yet", path), NULL);
	else if (stat(path, &st) != 0)
		found(r, "cache", WARN, arena_printf(r->arena, "%s: %s", path, strerror(errno)),
			"make it readable, or set TRIKL_CACHE_DIR");
	else if (!S_ISDIR(st.st_mode))
		found(r, "cache", WARN, arena_printf(r->arena, "%s is not a directory", path),
			"remove it, or set TRIKL_CACHE_DIR");
	else if (st.st_uid != geteuid())
		found(r, "cache", WARN,
			arena_printf(r->arena, "%s belongs to user %u", path, (unsigned)st.st_uid),
			"a cache holds code that is executed: use a directory of your own, by "
			"TRIKL_CACHE_DIR");
	else if (st.st_mode & 022)
		found(r, "cache", WARN, arena_printf(r->arena, "%s can be written by others", path),
			arena_printf(r->arena, "chmod 700 %s", path));
	else
		found(r, "cache", FINE, path, NULL);
}

static const char *const words[] = {
	[FINE] = "ok", [INFO] = "info", [WARN] = "warning", [FAULT] = "FAULT"};

static void print_text(const report *r)
{
	for (int i = 0; i < r->list.count; i++) {
		const finding *f = &r->list.item[i];
		printf("%-8s %-11s %s\n", words[f->level], f->name, f->says);
		if (f->remedy)
			printf("%-8s %-11s -> %s\n", "", "", f->remedy);
	}
}

static void print_json(const report *r)
{
	cJSON *list = cJSON_CreateArray();
	for (int i = 0; i < r->list.count; i++) {
		const finding *f = &r->list.item[i];
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "name", f->name);
		cJSON_AddStringToObject(o, "level", f->level == FAULT ? "fault" : words[f->level]);
		cJSON_AddStringToObject(o, "message", f->says);
		if (f->remedy)
			cJSON_AddStringToObject(o, "remedy", f->remedy);
		else
			cJSON_AddNullToObject(o, "remedy");
		cJSON_AddItemToArray(list, o);
	}
	char *s = cJSON_Print(list);
	printf("%s\n", s ? s : "[]");
	free(s);
	cJSON_Delete(list);
}

cli_status verb_doctor(const options *o)
{
	report r = {.arena = o->arena};
	cli_status status = CLI_OK;

	found(&r, "trikl", FINE, TRIKL_VERSION, NULL);
	look_at_cpu(&r);
	look_at_compiler(&r);
	look_at_threads(&r);
	look_at_gpu(&r);
	look_at_cache(&r);
	if (o->json)
		print_json(&r);
	else
		print_text(&r);
	for (int i = 0; i < r.list.count; i++)
		if (r.list.item[i].level == FAULT)
			status = CLI_ENVIRONMENT;
	return status;
}
