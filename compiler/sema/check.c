/* check.c: sema_check, the order of the stages, and what remains unused.
 * in:  one spec of a parsed file, with the file's schedules and the -D defines
 * out: the spec's meaning, or diagnostics */
#include "sema/check.h"
#include <string.h>

/* Two specs of one name in a file. */
static void check_unique(checker *cx)
{
	for (int k = 0; k < cx->file->specs.count && cx->file->specs.item[k] != cx->ast; k++) {
		const ast_spec *other = cx->file->specs.item[k];

		if (strcmp(other->name.text, cx->ast->name.text) != 0)
			continue;
		diag_error(cx->d, cx->ast->name.at, "there are two attentions '%s' in this file",
			cx->ast->name.text);
		diag_note(cx->d, other->name.at, "the first is here");
		return;
	}
}

static void warn_unused(checker *cx)
{
	for (int k = 0; k < cx->symbols.count; k++) {
		const symbol *sym = cx->symbols.item[k];

		if (!sym->used)
			diag_warning(cx->d, sym->at, "unused", "%s '%s' is not used",
				strchr(names_noun(sym), ' ') + 1, sym->name);
	}
}

static void check_stages(checker *cx)
{
	check_unique(cx);
	declare_consts(cx);
	declare_params(cx);
	header_check(cx);
	declare_defines_left(cx);
	shape_check(cx);
	window_check(cx);
	mask_check(cx);
	define_check(cx);
	schedule_check(cx);
	shape_name_features(cx);
}

sema_spec *sema_check(arena *a, const ast_file *file, const ast_spec *spec, const source *src,
	const sema_define *define, int defines, diags *d)
{
	checker cx = {
		.a = a, .d = d, .ast = spec, .file = file, .define = define, .defines = defines};

	cx.errors_before = diag_error_count(d);
	cx.s = ARENA_NEW(a, sema_spec);
	cx.s->name = spec->name.text;
	cx.s->at = spec->at;
	cx.s->src = src;
	cx.s->arena = a;
	cx.define_used = ARENA_ARRAY(a, bool, defines + 1);
	cx.reduced_over = ARENA_ARRAY(a, bool, SEMA_MAX_AXES);
	names_init(&cx, spec->inputs.count + spec->outputs.count + spec->body.count);
	check_stages(&cx);
	if (diag_error_count(d) > cx.errors_before)
		return NULL;
	warn_unused(&cx);
	return cx.s;
}
