/* check.c: sema_check, the order of the stages, and what remains unused.
 * in:  one spec of a parsed file, with the file's schedules and the -D defines
 * out: the spec's meaning, or diagnostics */
#include "sema/check.h"
#include <string.h>

#define MANY_ERRORS 100 /* of a file's earlier specs: no more are looked for */

/* What concerns the file as a whole is reported with its first spec: specs of one name, schedules
 * of none. */
static void check_file(checker *cx)
{
	const ast_file *file = cx->file;
	checker specs = {.a = cx->a, .d = cx->d, .file = file};

	if (cx->ast != file->specs.item[0])
		return;
	names_init(&specs, file->specs.count);
	for (int k = 0; k < file->specs.count; k++) {
		ast_name name = file->specs.item[k]->name;
		const symbol *other = names_find(&specs, name.text);

		if (!other) {
			names_insert(&specs, SYM_DEF, name);
			continue;
		}
		diag_error(cx->d, name.at, "there are two attentions '%s' in this file", name.text);
		diag_note(cx->d, other->at, "the first is here");
	}
	for (int k = 0; k < file->schedules.count; k++) {
		ast_name name = file->schedules.item[k]->spec;

		if (!name.text || names_find(&specs, name.text))
			continue;
		diag_error(cx->d, name.at, "there is no attention '%s' in this file", name.text);
		names_hint(&specs, name.text, (unsigned)NAMES_ALL, NULL);
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
	check_file(cx);
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

	if (diag_error_count(d) > MANY_ERRORS)
		return NULL;
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
