/* target.c: the machine code is generated for, and the module built for it.
 * in:  a row form and options;  out: a verified, optimised LLVM module */
#include "host/host_internal.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The order matters: inlining nothing, allocas to registers, then loops. O3 takes five times as
 * long for the same code; the vectors are already explicit. */
static const char pass_list[] =
	"function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa("
	"loop-rotate,licm),"
	"loop(indvars),gvn,instcombine<no-verify-fixpoint>,dse,simplifycfg,dce)";

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

void hg_target_close(host_target *t)
{
	if (t->tm)
		LLVMDisposeTargetMachine(t->tm);
	LLVMDisposeMessage(t->triple);
	LLVMDisposeMessage(t->cpu);
	LLVMDisposeMessage(t->features);
	*t = (host_target){0};
}

bool hg_target_open(host_target *t, const host_options *o, diags *d)
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
bool hg_build_module(
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

void hg_optimise(LLVMModuleRef mod, LLVMTargetMachineRef tm)
{
	LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
	LLVMErrorRef e = LLVMRunPasses(mod, pass_list, tm, o);

	LLVMDisposePassBuilderOptions(o);
	if (e) {
		char *m = LLVMGetErrorMessage(e);

		ice("LLVM passes: %s", m);
	}
}
