/* verb_build: writes what the stages of the compiler make of a spec: SPEC.ast, .model, for the cpu
 * SPEC.ll, .o (with SPEC.h, which declares the entry point), for a GPU target SPEC_TARGET.plan,
 * .tile, .ll, .ptx, .cubin, .cu, for all GPU targets together SPEC.tklb, SPEC_bundle.c, SPEC.h. */
#include "cli/gpu.h"
#include <stdio.h>
#include <string.h>

typedef enum {
	EMIT_AST,
	EMIT_MODEL,
	EMIT_LLVM,
	EMIT_OBJECT,
	EMIT_HEADER,
	EMIT_PLAN,
	EMIT_TILE,
	EMIT_PTX,
	EMIT_CUBIN,
	EMIT_CUDA,
	EMIT_BUNDLE,
	EMIT_EMBED
} emit_kind;

/* What a kind is made for. */
enum { FOR_SPEC = 1, FOR_CPU = 2, FOR_GPU = 4, FOR_GPUS = 8 /* all of them together */ };

static const struct {
	const char *name, *ending;
	unsigned made_for;
	device_form form; /* FOR_GPU */
} kinds[] = {
	[EMIT_AST] = {"ast", "ast", FOR_SPEC, 0},
	[EMIT_MODEL] = {"model", "model", FOR_SPEC, 0},
	[EMIT_LLVM] = {"llvm", "ll", FOR_CPU | FOR_GPU, DEVICE_LLVM},
	[EMIT_OBJECT] = {"object", "o", FOR_CPU, 0},
	[EMIT_HEADER] = {"header", "h", FOR_CPU | FOR_GPUS, 0},
	[EMIT_PLAN] = {"plan", "plan", FOR_GPU, DEVICE_PLAN},
	[EMIT_TILE] = {"tile", "tile", FOR_GPU, DEVICE_TILE},
	[EMIT_PTX] = {"ptx", "ptx", FOR_GPU, DEVICE_PTX},
	[EMIT_CUBIN] = {"cubin", "cubin", FOR_GPU, DEVICE_PTX},
	[EMIT_CUDA] = {"cuda", "cu", FOR_GPU, DEVICE_CUDA},
	[EMIT_BUNDLE] = {"bundle", "tklb", FOR_GPUS, 0},
	[EMIT_EMBED] = {"embed", "c", FOR_GPUS, 0},
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

typedef struct {
	const options *o;
	cli_target *target; /* [targets] */
	int targets;
	bool cpu, gpu; /* some target is */
	bool wanted[KINDS];
	device_times times;
	double model_ms, host_ms;
} job;

static cli_status kind_parse(const options *o, const char *word, bool *wanted)
{
	const char *names[KINDS];
	for (int i = 0; i < KINDS; i++) {
		names[i] = kinds[i].name;
		if (strcmp(word, names[i]) == 0) {
			wanted[i] = true;
			return CLI_OK;
		}
	}
	const char *near = diag_nearest(word, names, KINDS);
	message_error(o,
		"--emit: '%s' is not ast, model, llvm, object, header, plan, tile, ptx, cubin, "
		"cuda, bundle or embed%s%s%s",
		word, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return CLI_USAGE;
}

/* One output, to the directory or to stdout. */
static cli_status put(const options *o, const char *name, const char *ending, const text *t)
{
	const char *data = t->data ? t->data : "";
	if (o->out && strcmp(o->out, "-") == 0) {
		fwrite(data, 1, t->len, stdout);
		return CLI_OK;
	}
	const char *path = arena_printf(o->arena, "%s/%s.%s", o->out ? o->out : ".", name, ending);
	cli_status status = file_write(o, path, data, t->len);
	if (status == CLI_OK && o->verbose)
		message_note(o, "wrote %s", path);
	return status;
}

/* Reports what a stage said, writes what it made. */
static cli_status settle(unit *u, bool made, const char *name, emit_kind kind, text *t)
{
	cli_status status = unit_flush(u);

	if (status == CLI_OK && !made)
		status = CLI_ENVIRONMENT;
	if (status == CLI_OK)
		status = put(u->o, name, kinds[kind].ending, t);
	text_free(t);
	return status;
}

/* --- the spec and the cpu --- */

static bool make(unit *u, sema_spec *s, const row_form *m, emit_kind kind, text *t)
{
	switch (kind) {
	case EMIT_AST:
		ast_dump(u->file, u->src, t);
		return true;
	case EMIT_MODEL:
		sema_print(s, t);
		text_put(t, "\n");
		model_print(s, t);
		return true;
	case EMIT_LLVM:
		return host_emit_ir(m, &(host_options){0}, t, u->diags);
	case EMIT_OBJECT:
		return host_emit_object(m, &(host_options){0}, t, u->diags);
	case EMIT_HEADER:
		return host_emit_header(m, &(host_options){0}, t, u->diags);
	case EMIT_PLAN:
	case EMIT_TILE:
	case EMIT_PTX:
	case EMIT_CUBIN:
	case EMIT_CUDA:
	case EMIT_BUNDLE:
	case EMIT_EMBED:
		break;
	}
	return false;
}

static cli_status build_kinds(
	const job *b, unit *u, sema_spec *s, const row_form *m, unsigned made_for)
{
	cli_status status = CLI_OK;

	for (int k = 0; k < KINDS && status == CLI_OK; k++)
		if (b->wanted[k] && (kinds[k].made_for & made_for)) {
			text t = {0};
			bool made = make(u, s, m, (emit_kind)k, &t);
			status = settle(u, made, s->name, (emit_kind)k, &t);
		}
	return status;
}

static bool any_wanted(const job *b, unsigned made_for)
{
	for (int k = 0; k < KINDS; k++)
		if (b->wanted[k] && (kinds[k].made_for & made_for))
			return true;
	return false;
}

static cli_status form_of(job *b, unit *u, sema_spec *s, const char *name, const row_form **form)
{
	double ms = 0;
	cli_status status = gpu_form(u, s, name, form, &ms);

	b->model_ms += ms;
	if (status == CLI_OK && !*form) {
		message_error(
			u->o, "%s has no row form, so there is no %s code for it", s->name, name);
		status = CLI_INPUT;
	}
	return status;
}

static cli_status build_cpu(job *b, unit *u, sema_spec *s)
{
	const row_form *m;
	cli_status status = any_wanted(b, FOR_CPU) ? form_of(b, u, s, "cpu", &m) : CLI_OK;
	double start = clock_now();

	if (status == CLI_OK && any_wanted(b, FOR_CPU))
		status = build_kinds(b, u, s, m, FOR_CPU);
	b->host_ms += (clock_now() - start) * 1e3;
	return status;
}

/* --- GPU targets --- */

static cli_status assemble(job *b, unit *u, const arch *a, const text *ptx, text *cubin)
{
	rt_ptxas *tool;
	rt_ptxas_result result;
	rt_error err = {0};
	double start = clock_now();
	rt_status status = rt_ptxas_find(&tool, &err);

	if (status)
		return gpu_failed(u->o, "--emit cubin", &err);
	status = rt_ptxas_run(
		tool, ptx->data, ptx->len, &(rt_ptxas_options){.arch = a->name}, &result, &err);
	b->times.assemble_ms += (clock_now() - start) * 1e3;
	if (!status)
		text_putn(cubin, result.cubin, result.size);
	rt_ptxas_result_clear(&result);
	rt_ptxas_destroy(tool);
	return status ? gpu_failed(u->o, "--emit cubin", &err) : CLI_OK;
}

static cli_status emit_gpu(job *b, unit *u, device_build *build, emit_kind kind)
{
	const char *name =
		arena_printf(u->arena, "%s_%s", build->form->spec->name, build->arch->name);
	text t = {0}, cubin = {0};
	bool made = device_emit(build, kinds[kind].form, &t);
	cli_status status;

	if (kind != EMIT_CUBIN || !made)
		return settle(u, made, name, kind, &t);
	status = assemble(b, u, build->arch, &t, &cubin);
	text_free(&t);
	if (status == CLI_OK)
		return settle(u, true, name, kind, &cubin);
	text_free(&cubin);
	return status;
}

static cli_status build_gpu(job *b, unit *u, sema_spec *s, const cli_target *target)
{
	const arch *a = target->arch;
	device_tuned tuned;
	const row_form *m;
	cli_status status = any_wanted(b, FOR_GPU) ? form_of(b, u, s, a->name, &m) : CLI_OK;

	if (status != CLI_OK || !any_wanted(b, FOR_GPU))
		return status;
	device_build build = {.arena = u->arena, .form = m, .arch = a, .diags = u->diags};
	if (gpu_tuned_native(u, s, m, target, NULL, &tuned))
		build.choice = &tuned.choice;
	for (int k = 0; k < KINDS && status == CLI_OK; k++)
		if (b->wanted[k] && (kinds[k].made_for & FOR_GPU))
			status = emit_gpu(b, u, &build, (emit_kind)k);
	device_times_add(&b->times, &build.times);
	device_build_clear(&build);
	return status;
}

static cli_status build_bundle(job *b, unit *u, sema_spec *s)
{
	static const struct {
		emit_kind kind;
		bundle_kind form;
		const char *suffix; /* of the file's name */
	} part[] = {{EMIT_BUNDLE, BUNDLE_FILE, ""}, {EMIT_EMBED, BUNDLE_EMBED, "_bundle"},
		{EMIT_HEADER, BUNDLE_HEADER, ""}};
	bundle_made made;
	cli_status status = bundle_make(u, s, b->target, b->targets, &made);

	for (size_t n = 0; n < sizeof part / sizeof *part && status == CLI_OK; n++) {
		text t = {0};

		if (!b->wanted[part[n].kind])
			continue;
		status = bundle_text(u, &made, part[n].form, &t);
		if (status == CLI_OK)
			status = put(u->o, arena_printf(u->arena, "%s%s", s->name, part[n].suffix),
				kinds[part[n].kind].ending, &t);
		text_free(&t);
	}
	device_times_add(&b->times, &made.times);
	return status;
}

/* --- all of it --- */

static void print_times(const job *b, const unit *u)
{
	engine e = {.model_ms = b->model_ms};
	sim_engine times = {.build = {.times = b->times}};

	e.times.codegen_ms = b->host_ms; /* IR, passes and files together */
	e.sim = &times;
	report_times(u, &e, 0, 0, 0);
}

static cli_status build_file(job *b, const char *path)
{
	unit u;
	sema_spec *s = NULL;
	cli_status status = unit_select(b->o, path, &u, &s);
	if (status != CLI_OK)
		return status;
	status = build_kinds(b, &u, s, NULL, FOR_SPEC);
	for (int t = 0; t < b->targets && status == CLI_OK; t++)
		status = b->target[t].arch ? build_gpu(b, &u, s, &b->target[t])
					   : build_cpu(b, &u, s);
	if (status == CLI_OK && b->gpu && any_wanted(b, FOR_GPUS))
		status = build_bundle(b, &u, s);
	if (status == CLI_OK && b->o->time_report)
		print_times(b, &u);
	unit_close(&u);
	return status;
}

/* Each kind needs a target that it is made for. */
static cli_status kinds_fit(const job *b)
{
	unsigned made_for = FOR_SPEC | (b->cpu ? FOR_CPU : 0u) | (b->gpu ? FOR_GPU | FOR_GPUS : 0u);

	if (b->cpu && b->gpu && (b->wanted[EMIT_HEADER] || b->wanted[EMIT_OBJECT]) &&
		any_wanted(b, FOR_GPUS)) {
		message_error(b->o,
			"the header of the cpu's object and that of the GPUs' bundle have one "
			"name: build them apart");
		return CLI_USAGE;
	}
	for (int k = 0; k < KINDS; k++) {
		if (!b->wanted[k] || (kinds[k].made_for & made_for))
			continue;
		if (kinds[k].made_for & (FOR_GPU | FOR_GPUS))
			message_error(b->o,
				"--emit %s needs a GPU target, as in --target sm_90; see trikl "
				"targets",
				kinds[k].name);
		else
			message_error(b->o, "--emit %s needs --target cpu", kinds[k].name);
		return CLI_USAGE;
	}
	return CLI_OK;
}

/* How many files one spec gives. */
static int count_files(const job *b)
{
	int n = 0;

	for (int k = 0; k < KINDS; k++) {
		int gpus = b->targets - b->cpu;
		if (b->wanted[k])
			n += kinds[k].made_for & FOR_SPEC
				     ? 1
				     : (kinds[k].made_for & FOR_CPU ? b->cpu : 0) +
					       (kinds[k].made_for & FOR_GPU ? gpus : 0) +
					       (kinds[k].made_for & FOR_GPUS ? b->gpu : 0);
	}
	return n;
}

static cli_status job_settle(job *b)
{
	const options *o = b->o;
	bool standard = o->out && strcmp(o->out, "-") == 0;
	cli_status status = targets_parse(o, "cpu", &b->target, &b->targets);

	for (int i = 0; i < o->emit.count && status == CLI_OK; i++)
		status = kind_parse(o, o->emit.item[i], b->wanted);
	for (int t = 0; status == CLI_OK && t < b->targets; t++) {
		b->cpu |= !b->target[t].arch;
		b->gpu |= b->target[t].arch != NULL;
	}
	if (o->emit.count == 0) {
		b->wanted[EMIT_OBJECT] = b->cpu;
		b->wanted[EMIT_PTX] = b->gpu;
	}
	if (status == CLI_OK)
		status = kinds_fit(b);
	if (status == CLI_OK && standard && (count_files(b) > 1 || o->operand.count > 1)) {
		message_error(o,
			"-o - takes one file and one kind of output; here are %d files and %d "
			"kinds",
			o->operand.count, count_files(b));
		status = CLI_USAGE;
	}
	if (!standard)
		b->wanted[EMIT_HEADER] |= b->wanted[EMIT_OBJECT] && b->cpu;
	if (status == CLI_OK && o->out && !standard)
		status = file_make_directory(o, o->out);
	return status;
}

cli_status verb_build(const options *o)
{
	job b = {.o = o};
	cli_status status = job_settle(&b), worst = CLI_OK;

	if (status != CLI_OK)
		return status;
	for (int i = 0; i < o->operand.count; i++) {
		status = build_file(&b, o->operand.item[i]);
		if (status > worst)
			worst = status;
	}
	return worst;
}
