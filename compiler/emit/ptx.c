/* ptx.c: one tile program as one LLVM module, and that as PTX.
 * in:  a verified program, the row of its architecture
 * out: PTX text with the architecture's .version and .target */
#include "emit/ptx_internal.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char triple[] = "nvptx64-nvidia-cuda";

/* What is left to LLVM are addresses, conditions and the arithmetic of single elements: operands
 * of products are registers of PTX, a statement computes each value once, and ptxas optimises
 * again. What remains is to turn variables into values, to fold what that makes constant, to do
 * once what both arms of a branch begin with, to bring sums of integers into one order, and a plain
 * translation. More takes twice as long and does harm: values shared between statements and taken
 * out of loops are spilled. */
static const char pass_list[] =
	"function(mem2reg,instsimplify,simplifycfg<hoist-common-insts>,reassociate,dce)";

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* --- LLVM --- */

static void fatal_error(const char *reason)
{
	ice("LLVM: %s", reason);
}

static void init_once(void)
{
	LLVMInitializeNVPTXTargetInfo();
	LLVMInitializeNVPTXTarget();
	LLVMInitializeNVPTXTargetMC();
	LLVMInitializeNVPTXAsmPrinter();
	LLVMResetFatalErrorHandler(); /* the CPU's emitter installs the same */
	LLVMInstallFatalErrorHandler(fatal_error);
}

static void init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

static LLVMTargetMachineRef open_machine(const arch *a)
{
	LLVMTargetRef target;
	char *error = NULL, features[16];

	init();
	if (LLVMGetTargetFromTriple(triple, &target, &error))
		ice("LLVM has no target %s: %s", triple, error);
	snprintf(features, sizeof features, "+ptx%d", a->llvm_ptx);
	return LLVMCreateTargetMachine(target, triple, a->llvm_cpu, features, LLVMCodeGenLevelNone,
		LLVMRelocDefault, LLVMCodeModelDefault);
}

/* --- the kernel --- */

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user)
{
	ptx_cx *h = user;
	char *message;

	if (LLVMGetDiagInfoSeverity(info) != LLVMDSError)
		return;
	h->llvm_errors++;
	message = LLVMGetDiagInfoDescription(info);
	diag_error(h->d, (loc){0, 0}, "LLVM: %s", message);
	LLVMDisposeMessage(message);
}

static void init_types(ptx_cx *h)
{
	h->i1 = LLVMInt1TypeInContext(h->cx);
	h->i16 = LLVMInt16TypeInContext(h->cx);
	h->i32 = LLVMInt32TypeInContext(h->cx);
	h->i64 = LLVMInt64TypeInContext(h->cx);
	h->f16 = LLVMHalfTypeInContext(h->cx);
	h->f32 = LLVMFloatTypeInContext(h->cx);
	h->vd = LLVMVoidTypeInContext(h->cx);
	h->global = LLVMPointerTypeInContext(h->cx, 1);
}

static void attribute(ptx_cx *h, unsigned at, const char *name)
{
	unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));

	LLVMAddAttributeAtIndex(h->fn, at, LLVMCreateEnumAttribute(h->cx, kind, 0));
}

static void annotate(ptx_cx *h, const char *key, int v)
{
	LLVMMetadataRef n[3] = {LLVMValueAsMetadata(h->fn),
		LLVMMDStringInContext2(h->cx, key, strlen(key)),
		LLVMValueAsMetadata(ptx_i32(h, v))};

	LLVMAddNamedMetadataOperand(h->mod, "nvvm.annotations",
		LLVMMetadataAsValue(h->cx, LLVMMDNodeInContext2(h->cx, n, 3)));
}

static T parameter_type(ptx_cx *h, const tile_arg *a)
{
	switch (a->kind) {
	case ARG_TENSOR:
		return h->global;
	case ARG_MAP:
		return LLVMPointerTypeInContext(h->cx, 0);
	case ARG_SCALAR:
		break;
	}
	return ptx_type(h, a->type);
}

/* Tensor maps: 128 bytes by value that stay where the launch put them; without grid_constant LLVM
 * copies them to local memory, where TMA does not find them. */
static void declare_maps(ptx_cx *h)
{
	T bytes = LLVMArrayType2(h->i64, 16);
	LLVMMetadataRef *number = ARENA_ARRAY(h->arena, LLVMMetadataRef, h->p->arg.count + 1);
	LLVMMetadataRef n[3] = {
		LLVMValueAsMetadata(h->fn), LLVMMDStringInContext2(h->cx, "grid_constant", 13)};
	unsigned byval = LLVMGetEnumAttributeKindForName("byval", 5), maps = 0;
	unsigned align = LLVMGetEnumAttributeKindForName("align", 5);

	for (int i = 0; i < h->p->arg.count; i++) {
		unsigned k = (unsigned)i + 1;

		if (h->p->arg.item[i]->kind != ARG_MAP)
			continue;
		LLVMAddAttributeAtIndex(h->fn, k, LLVMCreateTypeAttribute(h->cx, byval, bytes));
		LLVMAddAttributeAtIndex(h->fn, k, LLVMCreateEnumAttribute(h->cx, align, 64));
		number[maps++] = LLVMValueAsMetadata(ptx_i32(h, k));
	}
	if (maps == 0)
		return;
	n[2] = LLVMMDNodeInContext2(h->cx, number, maps);
	LLVMAddNamedMetadataOperand(h->mod, "nvvm.annotations",
		LLVMMetadataAsValue(h->cx, LLVMMDNodeInContext2(h->cx, n, 3)));
}

static void declare_kernel(ptx_cx *h)
{
	const tile_program *p = h->p;
	T *type = ARENA_ARRAY(h->arena, T, p->arg.count + 1);

	for (int i = 0; i < p->arg.count; i++)
		type[i] = parameter_type(h, p->arg.item[i]);
	h->fn = LLVMAddFunction(
		h->mod, p->name, LLVMFunctionType(h->vd, type, (unsigned)p->arg.count, 0));
	LLVMSetFunctionCallConv(h->fn, 71); /* ptx_kernel */
	attribute(h, (unsigned)LLVMAttributeFunctionIndex, "nounwind");
	declare_maps(h);
	for (int i = 0; i < p->arg.count; i++) {
		if (p->arg.item[i]->kind != ARG_TENSOR)
			continue;
		attribute(h, (unsigned)i + 1, "noalias");
		if (!p->arg.item[i]->written)
			attribute(h, (unsigned)i + 1, "readonly");
	}
	annotate(h, "maxntidx", 32 * p->warps);
	annotate(h, "maxntidy", 1);
	annotate(h, "maxntidz", 1);
	/* no bound: one block; without this line ptxas spills to fit more blocks on an SM */
	annotate(h, "minctasm", p->min_blocks > 0 ? p->min_blocks : 1);
}

static void declare_shared(ptx_cx *h)
{
	T bytes = LLVMArrayType2(LLVMInt8TypeInContext(h->cx), 0);
	V smem = LLVMAddGlobalInAddressSpace(h->mod, bytes, "shared_memory", 3);

	LLVMSetLinkage(smem, LLVMExternalLinkage);
	LLVMSetAlignment(smem, 1024);
	h->smem = LLVMConstPtrToInt(smem, h->i32);
}

static void declare_values(ptx_cx *h)
{
	const tile_program *p = h->p;

	h->var = ARENA_ARRAY(h->arena, ptx_var, p->var.count + 1);
	h->peer = ARENA_ARRAY(h->arena, int16_t *, p->frag.count * p->frag.count + 1);
	h->memo = ARENA_ARRAY(h->arena, ptx_memo, p->expr_count + 1);
	h->pair = ARENA_ARRAY(h->arena, ptx_memo, p->expr_count + 1);
	h->degree = ARENA_ARRAY(h->arena, uint8_t, p->expr_count + 1);
	for (int i = 0; i < PTX_BUCKETS; i++)
		h->bucket[i] = -1;
}

static void find_mutable(ptx_cx *h, const tile_block *b)
{
	for (int i = 0; i < b->count; i++) {
		const tile_stmt *s = b->item[i];

		if (s->op == TILE_SET)
			h->var[s->arg[0].var->id].mutable = true;
		find_mutable(h, &s->body);
		find_mutable(h, &s->other);
	}
}

/* From lane 0: ptxas sees that it is the same for the whole warp, and addresses made of it too. */
static num warpgroup(ptx_cx *h)
{
	V mine;

	if (h->p->warps <= 4)
		return num_const(h->i32, 0);
	mine = num_v(h, num_div(h, h->warp, num_const(h->i32, 4)));
	mine = ptx_asm(h, h->i32, PTX_PURE, "=r,r", &mine, 1,
		"shfl.sync.idx.b32 $0, $1, 0, 31, 0xffffffff;");
	ptx_set_lasting(h, mine);
	return num_range(num_of(h, mine), 0, (h->p->warps - 1) / 4);
}

static void define_lanes(ptx_cx *h)
{
	V tid = ptx_intrinsic(h, "llvm.nvvm.read.ptx.sreg.tid.x", NULL, NULL, 0);

	h->tid = num_range(num_of(h, tid), 0, 32 * h->p->warps - 1);
	h->lane = num_mod(h, h->tid, num_const(h->i32, 32));
	h->warp = num_div(h, h->tid, num_const(h->i32, 32));
	h->warpgroup = warpgroup(h);
	h->group = num_div(h, h->lane, num_const(h->i32, 4));
	h->quad = num_mod(h, h->lane, num_const(h->i32, 4));
	ptx_set_lasting(h, tid);
	ptx_set_lasting(h, h->lane.v);
	ptx_set_lasting(h, h->warp.v);
	ptx_set_lasting(h, h->group.v);
	ptx_set_lasting(h, h->quad.v);
}

/* --- statements --- */

static void (*const statement_table[TILE_OP_COUNT])(ptx_cx *h, const tile_stmt *s) = {
#define TILE_OP(name, text, signature, syntax, effect, meaning) [TILE_##name] = ptx_stmt_##name,
#include "tile/tile_ops.def"
#undef TILE_OP
};

void ptx_block(ptx_cx *h, const tile_block *b)
{
	for (int i = 0; i < b->count; i++) {
		int mark = ptx_mark(h);

		statement_table[b->item[i]->op](h, b->item[i]);
		ptx_release_statement(h, mark);
	}
}

static void build_kernel(ptx_cx *h)
{
	char *error = NULL;

	h->b = LLVMCreateBuilderInContext(h->cx);
	init_types(h);
	declare_kernel(h);
	declare_shared(h);
	LLVMPositionBuilderAtEnd(h->b, LLVMAppendBasicBlockInContext(h->cx, h->fn, "entry"));
	declare_values(h);
	ptx_declare_tiles(h);
	find_mutable(h, &h->p->body);
	define_lanes(h);
	ptx_prefetch_maps(h);
	ptx_block(h, &h->p->body);
	LLVMBuildRetVoid(h->b);
	LLVMDisposeBuilder(h->b);
	if (LLVMVerifyModule(h->mod, LLVMReturnStatusAction, &error))
		ice("generated module is malformed: %s", error);
	LLVMDisposeMessage(error);
}

/* --- whole emission --- */

static void optimise(LLVMModuleRef mod, LLVMTargetMachineRef tm)
{
	LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
	LLVMErrorRef e = LLVMRunPasses(mod, pass_list, tm, o);

	LLVMDisposePassBuilderOptions(o);
	if (e)
		ice("LLVM passes: %s", LLVMGetErrorMessage(e));
}

static bool generate(ptx_cx *h, LLVMTargetMachineRef tm, text *out)
{
	LLVMMemoryBufferRef buffer;
	const char *why;
	char *error = NULL;
	bool ok;

	if (LLVMTargetMachineEmitToMemoryBuffer(tm, h->mod, LLVMAssemblyFile, &error, &buffer))
		ice("LLVM: %s", error);
	if (h->llvm_errors) {
		LLVMDisposeMemoryBuffer(buffer);
		return false;
	}
	ok = arch_retarget(
		h->a, LLVMGetBufferStart(buffer), strlen(LLVMGetBufferStart(buffer)), out, &why);
	if (!ok)
		diag_error(h->d, (loc){0, 0}, "PTX cannot be written for %s: %s", h->a->name, why);
	LLVMDisposeMemoryBuffer(buffer);
	return ok;
}

/* Builds and optimises; `ir`: the module's text instead of PTX. */
static bool emit(ptx_cx *h, bool ir, text *out, emit_times *times)
{
	LLVMTargetMachineRef tm;
	LLVMTargetDataRef layout;
	double start = now_ms(), built, optimised;
	bool ok = true;

	tm = open_machine(h->a);
	h->cx = LLVMContextCreate();
	LLVMContextSetDiagnosticHandler(h->cx, on_diagnostic, h);
	h->mod = LLVMModuleCreateWithNameInContext(h->p->name, h->cx);
	LLVMSetTarget(h->mod, triple);
	layout = LLVMCreateTargetDataLayout(tm);
	LLVMSetModuleDataLayout(h->mod, layout);
	LLVMDisposeTargetData(layout);
	build_kernel(h);
	built = now_ms();
	optimise(h->mod, tm);
	optimised = now_ms();
	if (ir) {
		char *s = LLVMPrintModuleToString(h->mod);

		text_put(out, s);
		LLVMDisposeMessage(s);
	} else {
		ok = generate(h, tm, out);
	}
	if (times)
		*times = (emit_times){built - start, optimised - built, now_ms() - optimised};
	LLVMDisposeModule(h->mod);
	LLVMContextDispose(h->cx);
	LLVMDisposeTargetMachine(tm);
	return ok;
}

static bool run(
	const tile_program *p, const arch *a, bool ir, text *out, emit_times *times, diags *d)
{
	arena *scratch = arena_create();
	ptx_cx *h;
	bool ok;

	if (!scratch)
		ice_memory("out of memory");
	h = ARENA_NEW(scratch, ptx_cx);
	*h = (ptx_cx){.p = p, .a = a, .d = d, .arena = scratch};
	ok = emit(h, ir, out, times);
	arena_destroy(scratch);
	return ok;
}

bool emit_ptx(const tile_program *p, const arch *a, text *out, emit_times *times, diags *d)
{
	return run(p, a, false, out, times, d);
}

bool emit_ptx_ir(const tile_program *p, const arch *a, text *out, diags *d)
{
	return run(p, a, true, out, NULL, d);
}
