/* host.c: driver of the CPU backend. Row form in; a module is built (other files), optimised, and
 * either linked into this process by ORC LLJIT or emitted as text or an object file. */
#include "host/host_internal.h"
#include "runtime/cpu.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The order matters: inlining nothing, allocas to registers, then loops. O3 takes five times as
 * long for the same code; the vectors are already explicit. */
static const char pass_list[] =
	"function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa("
	"loop-rotate,licm),"
	"loop(indvars),gvn,instcombine<no-verify-fixpoint>,dse,simplifycfg,dce)";

struct host_kernel {
	rt_cpu_kernel rt;
	LLVMOrcLLJITRef jit;
	host_info info;
	char *cpu, *inner;
};

/* A target machine with the strings it was made from. */
typedef struct {
	LLVMTargetMachineRef tm;
	char *triple, *cpu, *features;
} host_target;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void fatal_error(const char *reason)
{
	ice("LLVM: %s", reason);
}

static void init_once(void)
{
	LLVMInitializeNativeTarget();
	LLVMInitializeNativeAsmPrinter();
	LLVMInitializeNativeAsmParser();
	LLVMInstallFatalErrorHandler(fatal_error);
}

static void init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

static void target_close(host_target *t)
{
	if (t->tm)
		LLVMDisposeTargetMachine(t->tm);
	LLVMDisposeMessage(t->triple);
	LLVMDisposeMessage(t->cpu);
	LLVMDisposeMessage(t->features);
	*t = (host_target){0};
}

static bool target_open(host_target *t, const host_options *o, diags *d)
{
	LLVMTargetRef target;
	char *error = NULL;

	init();
	t->triple = LLVMGetDefaultTargetTriple();
	t->cpu = o->cpu ? LLVMCreateMessage(o->cpu) : LLVMGetHostCPUName();
	t->features = o->cpu ? LLVMCreateMessage(o->features ? o->features : "")
			     : LLVMGetHostCPUFeatures();
	if (LLVMGetTargetFromTriple(t->triple, &target, &error)) {
		diag_error(d, (loc){0, 0}, "LLVM has no target for %s: %s", t->triple, error);
		LLVMDisposeMessage(error);
		return false;
	}
	t->tm = LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features,
		LLVMCodeGenLevelAggressive, LLVMRelocPIC, LLVMCodeModelDefault);
	return true;
}

/* Intel's tiles are off until a process asks Linux for them. */
static bool request_amx(void)
{
#ifdef SYS_arch_prctl
	enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

	return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
	return false;
#endif
}

/* Reads the layout and builds every function into h->mod. */
static bool build_module(
	host_cx *h, const row_form *m, const host_options *o, const host_target *t, diags *d)
{
	LLVMTargetDataRef layout;
	host_options opt = *o;
	char *error = NULL;

	h->m = m;
	h->s = m->spec;
	h->d = d;
	hl_layout(h, &opt, t->features);
	if (h->lay.dot == HOST_DOT_AMX && !o->cpu && !request_amx()) {
		opt.dot = HOST_DOT_AVX512BF16;
		h->lay = (host_layout){0};
		hl_layout(h, &opt, t->features);
	}
	if (diag_error_count(d))
		return false;
	hb_init(h, m->spec->name);
	LLVMSetTarget(h->mod, t->triple);
	layout = LLVMCreateTargetDataLayout(t->tm);
	LLVMSetModuleDataLayout(h->mod, layout);
	LLVMDisposeTargetData(layout);
	hk_transpose_define(h);
	for (int i = 0; i < m->outers; i++)
		hp_define_pack_outer(h, i);
	hp_define_pack_inner(h);
	hp_define_range(h);
	ht_define_tile(h);
	hr_define_rows(h);
	hb_dispose(h);
	if (LLVMVerifyModule(h->mod, LLVMReturnStatusAction, &error))
		ice("generated module is malformed: %s", error);
	LLVMDisposeMessage(error);
	return true;
}

static void optimise(LLVMModuleRef mod, LLVMTargetMachineRef tm)
{
	LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
	LLVMErrorRef e = LLVMRunPasses(mod, pass_list, tm, o);

	LLVMDisposePassBuilderOptions(o);
	if (e) {
		char *m = LLVMGetErrorMessage(e);

		ice("LLVM passes: %s", m);
	}
}

/* --- the launch table --- */

static int key_position(const sema_spec *s, const sema_axis *a)
{
	for (int i = 0; i < s->key.count; i++)
		if (s->key.item[i] == a)
			return i;
	ice("axis '%s' is not a key", a->name);
}

static bool windows_by_head(const row_form *m)
{
	for (int i = 0; m->head && i < m->spec->key.count; i++) {
		const sema_window *w = &m->spec->key.item[i]->window;

		if ((w->first && expr_depends(w->first, m->head)) ||
			(w->last && expr_depends(w->last, m->head)))
			return true;
	}
	return false;
}

static void table_problem(rt_cpu_kernel *k, const row_form *m)
{
	const sema_spec *s = m->spec;

	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *a = s->axis.item[i];

		if (a->kind == AXIS_ROW && a != m->head)
			k->batch[k->batches++] = (rt_cpu_axis){a->id, a->length->id};
	}
	if (m->head) {
		k->has_head = true;
		k->head = (rt_cpu_axis){m->head->id, m->head->length->id};
		if (m->head->group) {
			k->has_group = true;
			k->group = (rt_cpu_axis){m->head->group->id, m->head->group->length->id};
		}
	}
	if (s->query) {
		k->has_query = true;
		k->query = (rt_cpu_axis){s->query->id, s->query->length->id};
	}
	k->keys = s->key.count;
	k->outers = m->outers;
	k->inner_key = key_position(s, m->inner);
	k->inner_length = m->inner->length->id;
	for (int i = 0; i < m->outers; i++) {
		k->outer_key[i] = key_position(s, m->outer[i]);
		k->outer_length[i] = m->outer[i]->length->id;
	}
	k->window_by_head = windows_by_head(m);
}

static bool table_arguments(rt_cpu_kernel *k, const host_cx *h, diags *d)
{
	const sema_spec *s = h->s;

	if (s->tensor.count > RT_CPU_MAX_TENSORS || s->param.count > RT_CPU_MAX_TENSORS ||
		s->axis.count > RT_CPU_MAX_AXES * 2) {
		diag_error(d, s->at,
			"'%s' has more tensors, params or indices than a kernel takes (%d)",
			s->name, RT_CPU_MAX_TENSORS);
		return false;
	}
	k->tensors = s->tensor.count;
	k->lengths = s->length.count;
	k->params = s->param.count;
	for (int t = 0; t < k->tensors; t++) {
		k->rank[t] = s->tensor.item[t]->rank;
		k->stride_word[t] = h->lay.arg_stride[t];
	}
	for (int p = 0; p < k->params; p++)
		k->param_is_int[p] = s->param.item[p]->type == TYPE_INT;
	k->length_word = h->lay.arg_length;
	k->param_word = h->lay.arg_param;
	k->arg_words = h->lay.arg_words;
	return true;
}

static void table_workspace(rt_cpu_kernel *k, const host_cx *h)
{
	int64_t element = h->lay.dot == HOST_DOT_F32 ? 4 : 2;

	k->key_pad = h->lay.key_pad;
	k->b_bytes = h->lay.d_total * element;
	k->v_bytes = h->lay.e_total * element;
	k->streams = h->lay.streams;
	for (int i = 0; i < k->streams; i++) {
		k->stream_outer[i] = h->lay.stream[i].outer;
		k->stream_bytes[i] = (int64_t)h->lay.stream[i].extent_pad * 4;
	}
	k->scratch_bytes = h->scr.fixed_bytes;
	k->row_bytes = (int64_t)h->scr.acc_stride * 4;
}

/* --- JIT --- */

static void jit_check(LLVMErrorRef e, const char *what)
{
	if (e)
		ice("%s: %s", what, LLVMGetErrorMessage(e));
}

static void define_math(LLVMOrcLLJITRef jit, LLVMOrcJITDylibRef lib)
{
	typedef void any_function(void);
	static const struct {
		const char *name;
		any_function *at;
	} fn[] = {{"sin", (any_function *)(double (*)(double))sin},
		{"cos", (any_function *)(double (*)(double))cos},
		{"pow", (any_function *)(double (*)(double, double))pow},
		{"exp", (any_function *)(double (*)(double))exp},
		{"log", (any_function *)(double (*)(double))log},
		{"tanh", (any_function *)(double (*)(double))tanh},
		{"floor", (any_function *)(double (*)(double))floor},
		{"floorf", (any_function *)(float (*)(float))floorf},
		{"memset", (any_function *)memset}, {"memcpy", (any_function *)memcpy},
		{"memmove", (any_function *)memmove}};
	enum { COUNT = sizeof fn / sizeof *fn };
	LLVMOrcCSymbolMapPair pair[COUNT];

	for (int i = 0; i < COUNT; i++) {
		pair[i].Name = LLVMOrcLLJITMangleAndIntern(jit, fn[i].name);
		pair[i].Sym = (LLVMJITEvaluatedSymbol){(LLVMOrcExecutorAddress)(uintptr_t)fn[i].at,
			{LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0}};
	}
	jit_check(LLVMOrcJITDylibDefine(lib, LLVMOrcAbsoluteSymbols(pair, COUNT)), "symbols");
}

static void *lookup(LLVMOrcLLJITRef jit, const char *name)
{
	LLVMOrcExecutorAddress at = 0;

	jit_check(LLVMOrcLLJITLookup(jit, &at, name), name);
	return (void *)(uintptr_t)at;
}

static void link_module(
	host_kernel *k, host_cx *h, LLVMOrcThreadSafeContextRef tsc, const host_target *t)
{
	LLVMOrcLLJITBuilderRef b = LLVMOrcCreateLLJITBuilder();
	LLVMTargetRef target = LLVMGetTargetMachineTarget(t->tm);
	LLVMTargetMachineRef tm = LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features,
		LLVMCodeGenLevelAggressive, LLVMRelocPIC, LLVMCodeModelJITDefault);
	LLVMOrcJITDylibRef lib;
	char name[32];

	LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
		b, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(tm));
	jit_check(LLVMOrcCreateLLJIT(&k->jit, b), "LLJIT");
	lib = LLVMOrcLLJITGetMainJITDylib(k->jit);
	define_math(k->jit, lib);
	jit_check(LLVMOrcLLJITAddLLVMIRModule(
			  k->jit, lib, LLVMOrcCreateNewThreadSafeModule(h->mod, tsc)),
		"module");
	for (int i = 0; i < h->m->outers; i++) {
		snprintf(name, sizeof name, "pack_outer%d", i);
		*(void **)&k->rt.pack_outer[i] = lookup(k->jit, name);
	}
	*(void **)&k->rt.pack_inner = lookup(k->jit, "pack_inner");
	*(void **)&k->rt.key_range = lookup(k->jit, "key_range");
	*(void **)&k->rt.rows = lookup(k->jit, "rows");
}

static const char *dot_name(host_dot d)
{
	switch (d) {
	case HOST_DOT_AVX512BF16:
		return "avx512-bf16";
	case HOST_DOT_AMX:
		return "amx-bf16";
	case HOST_DOT_AUTO:
	case HOST_DOT_F32:
		return "f32 fma";
	}
	return "";
}

static host_kernel *make_kernel(
	host_cx *h, LLVMOrcThreadSafeContextRef tsc, const host_target *t, diags *d)
{
	host_kernel *k = calloc(1, sizeof *k);

	if (!k)
		ice("out of memory");
	if (!table_arguments(&k->rt, h, d)) {
		free(k);
		LLVMDisposeModule(h->mod);
		return NULL;
	}
	table_problem(&k->rt, h->m);
	table_workspace(&k->rt, h);
	k->cpu = strdup(t->cpu);
	k->inner = strdup(h->m->inner->name);
	k->info = (host_info){k->cpu, h->lay.w * 32, dot_name(h->lay.dot), h->lay.lanes,
		h->lay.key_block, k->inner};
	link_module(k, h, tsc, t);
	return k;
}

host_kernel *host_compile(const row_form *m, const host_options *o, host_times *times, diags *d)
{
	LLVMOrcThreadSafeContextRef tsc = LLVMOrcCreateNewThreadSafeContext();
	host_cx h = {.cx = LLVMOrcThreadSafeContextGetContext(tsc)};
	host_target t = {0};
	host_kernel *k = NULL;
	double start = now_ms(), built, optimised;

	if (target_open(&t, o, d) && build_module(&h, m, o, &t, d)) {
		built = now_ms();
		optimise(h.mod, t.tm);
		optimised = now_ms();
		k = make_kernel(&h, tsc, &t, d);
		if (times)
			*times = (host_times){
				built - start, optimised - built, now_ms() - optimised};
	}
	LLVMOrcDisposeThreadSafeContext(tsc);
	target_close(&t);
	return k;
}

void host_destroy(host_kernel *k)
{
	if (!k)
		return;
	LLVMConsumeError(LLVMOrcDisposeLLJIT(k->jit));
	free(k->cpu);
	free(k->inner);
	free(k);
}

host_info host_describe(const host_kernel *k)
{
	return k->info;
}

/* --- text and objects --- */

bool host_emit_ir(const row_form *m, const host_options *o, text *out, diags *d)
{
	host_cx h = {.cx = LLVMContextCreate()};
	host_target t = {0};
	bool ok = target_open(&t, o, d) && build_module(&h, m, o, &t, d);

	if (ok) {
		char *ir = LLVMPrintModuleToString(h.mod);

		text_put(out, ir);
		LLVMDisposeMessage(ir);
		LLVMDisposeModule(h.mod);
	}
	LLVMContextDispose(h.cx);
	target_close(&t);
	return ok;
}

bool host_emit_object(const row_form *m, const host_options *o, text *out, diags *d)
{
	host_cx h = {.cx = LLVMContextCreate()};
	host_target t = {0};
	LLVMMemoryBufferRef buffer = NULL;
	char *error = NULL;
	bool ok = target_open(&t, o, d) && build_module(&h, m, o, &t, d);

	if (ok) {
		optimise(h.mod, t.tm);
		if (LLVMTargetMachineEmitToMemoryBuffer(
			    t.tm, h.mod, LLVMObjectFile, &error, &buffer))
			ice("object emission: %s", error);
		text_putn(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
		LLVMDisposeMemoryBuffer(buffer);
		LLVMDisposeModule(h.mod);
	}
	LLVMContextDispose(h.cx);
	target_close(&t);
	return ok;
}

/* --- launch --- */

bool host_launch(const host_kernel *k, const host_args *a, rt_pool *pool)
{
	rt_cpu_args args = {a->data, a->stride, a->length, a->param_int, a->param_float,
		a->progress, a->progress_user};

	return rt_cpu_launch(&k->rt, &args, pool);
}

int64_t host_workspace(const host_kernel *k, const host_args *a, int threads)
{
	rt_cpu_args args = {
		a->data, a->stride, a->length, a->param_int, a->param_float, NULL, NULL};

	return rt_cpu_workspace(&k->rt, &args, threads);
}
