/* verb_build: writes what the stages of the compiler make of a spec: SPEC.ast, .model, .ll, .o
 * (with SPEC.h, which declares the entry point). */
#include "cli/problem.h"
#include <stdio.h>
#include <string.h>

typedef enum { EMIT_AST, EMIT_MODEL, EMIT_LLVM, EMIT_OBJECT, EMIT_HEADER } emit_kind;

static const struct {
	const char *name, *ending;
} kinds[] = {
	[EMIT_AST] = {"ast", "ast"},
	[EMIT_MODEL] = {"model", "model"},
	[EMIT_LLVM] = {"llvm", "ll"},
	[EMIT_OBJECT] = {"object", "o"},
	[EMIT_HEADER] = {"header", "h"},
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

/* Kinds of the fixed command line that need a GPU target. */
static const char *const absent[] = {"plan", "tile", "ptx", "cuda", "cubin"};

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
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		if (strcmp(word, absent[i]) == 0) {
			message_error(o,
				"--emit %s is not available in this version of trikl, which has no "
				"GPU targets",
				word);
			return CLI_USAGE;
		}
	const char *near = diag_nearest(word, names, KINDS);
	message_error(o, "--emit: '%s' is not ast, model, llvm, object or header%s%s%s", word,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
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

/* Makes one kind; false when a diagnostic was reported. */
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
	}
	return false;
}

static cli_status emit(unit *u, sema_spec *s, const row_form *m, emit_kind kind)
{
	text t = {0};
	cli_status status = CLI_OK;
	bool made = make(u, s, m, kind, &t);
	cli_status reported = unit_report(u);
	u->diags->list.count = u->diags->warnings = 0;
	if (reported != CLI_OK)
		status = reported;
	else if (!made)
		status = CLI_ENVIRONMENT;
	else
		status = put(u->o, s->name, kinds[kind].ending, &t);
	text_free(&t);
	return status;
}

static cli_status build_spec(unit *u, sema_spec *s, const bool *wanted)
{
	const sema_axis *inner = NULL;
	const row_form *m = NULL;
	cli_status status = engine_inner(u->o, s, &inner);

	double start = clock_now();
	if (status == CLI_OK && (wanted[EMIT_LLVM] || wanted[EMIT_OBJECT] || wanted[EMIT_HEADER])) {
		m = model_choose(s, inner, u->diags);
		status = unit_report(u);
		u->diags->list.count = u->diags->warnings = 0;
		if (status == CLI_OK && !m) {
			message_error(u->o, "%s has no row form, so there is no cpu code for it",
				s->name);
			status = CLI_INPUT;
		}
	}
	engine e = {.model_ms = (clock_now() - start) * 1e3};
	start = clock_now();
	for (int k = 0; k < KINDS && status == CLI_OK; k++)
		if (wanted[k])
			status = emit(u, s, m, (emit_kind)k);
	e.times.codegen_ms = (clock_now() - start) * 1e3; /* IR, passes and files together */
	if (status == CLI_OK && u->o->time_report)
		report_times(u, &e, 0, 0, 0);
	return status;
}

static cli_status build_file(const options *o, const char *path, const bool *wanted)
{
	unit u;
	sema_spec *s = NULL;
	cli_status status = unit_select(o, path, &u, &s);
	if (status != CLI_OK)
		return status;
	status = build_spec(&u, s, wanted);
	unit_close(&u);
	return status;
}

cli_status verb_build(const options *o)
{
	bool wanted[KINDS] = {false};
	int count = 0;
	cli_status status = target_check(o), worst = CLI_OK;

	for (int i = 0; i < o->emit.count && status == CLI_OK; i++)
		status = kind_parse(o, o->emit.item[i], wanted);
	if (o->emit.count == 0)
		wanted[EMIT_OBJECT] = true;
	for (int k = 0; k < KINDS; k++)
		count += wanted[k];
	bool standard = o->out && strcmp(o->out, "-") == 0;
	if (status == CLI_OK && standard && (count > 1 || o->operand.count > 1)) {
		message_error(o,
			"-o - takes one file and one kind of output; here are %d files and %d "
			"kinds",
			o->operand.count, count);
		status = CLI_USAGE;
	}
	if (!standard)
		wanted[EMIT_HEADER] |= wanted[EMIT_OBJECT];
	if (status == CLI_OK && o->out && !standard)
		status = file_make_directory(o, o->out);
	if (status != CLI_OK)
		return status;
	for (int i = 0; i < o->operand.count; i++) {
		status = build_file(o, o->operand.item[i], wanted);
		if (status > worst)
			worst = status;
	}
	return worst;
}
