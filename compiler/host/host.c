/* host.c: the CPU backend in this process: a module is built and optimised (target.c), linked by
 * ORC LLJIT, and launched by runtime/cpu.c. */
#include "host/host_internal.h"
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct host_kernel {
	rt_cpu_kernel rt;
	LLVMOrcLLJITRef jit;
	host_info info;
	char *cpu, *inner;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

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

static void *lookup(LLVMOrcLLJITRef jit, const sema_spec *s, const char *name)
{
	LLVMOrcExecutorAddress at = 0;
	char symbol[256];

	hb_symbol(s, name, symbol, sizeof symbol);
	jit_check(LLVMOrcLLJITLookup(jit, &at, symbol), symbol);
	return (void *)(uintptr_t)at;
}

static void link_module(
	host_kernel *k, host_cx *h, LLVMOrcThreadSafeContextRef tsc, const host_target *t)
{
	LLVMOrcLLJITBuilderRef b = LLVMOrcCreateLLJITBuilder();
	LLVMTargetRef target = LLVMGetTargetMachineTarget(t->tm);
	LLVMTargetMachineRef tm = LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features,
		LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelJITDefault);
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
		*(void **)&k->rt.pack_outer[i] = lookup(k->jit, h->s, name);
	}
	*(void **)&k->rt.pack_inner = lookup(k->jit, h->s, "pack_inner");
	*(void **)&k->rt.key_range = lookup(k->jit, h->s, "key_range");
	*(void **)&k->rt.rows = lookup(k->jit, h->s, "rows");
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
		ice_memory("out of memory");
	if (!hg_table(&k->rt, h, d)) {
		free(k);
		LLVMDisposeModule(h->mod);
		return NULL;
	}
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

	if (hg_target_open(&t, o, d) && hg_build_module(&h, m, o, &t, d)) {
		built = now_ms();
		hg_optimise(h.mod, t.tm);
		optimised = now_ms();
		k = make_kernel(&h, tsc, &t, d);
		if (times)
			*times = (host_times){
				built - start, optimised - built, now_ms() - optimised};
	}
	LLVMOrcDisposeThreadSafeContext(tsc);
	hg_target_close(&t);
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
