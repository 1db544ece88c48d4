/* unit.c: a spec file of the command line, from its name to checked specs. Every verb that reads
 * specs comes through here, so diagnostics look the same everywhere. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

static double since_ms(double start)
{
	return (clock_now() - start) * 1e3;
}

cli_status unit_open(const options *o, const char *path, unit *u)
{
	*u = (unit){.o = o, .arena = arena_create()};
	if (!u->arena) {
		message_error(o, "out of memory");
		return CLI_ENVIRONMENT;
	}
	const char *data;
	size_t len;
	double start = clock_now();
	cli_status status = file_read(o, u->arena, path, &data, &len);
	if (status != CLI_OK) {
		unit_close(u);
		return status;
	}
	u->read_ms = since_ms(start);
	start = clock_now();
	u->src = source_create(u->arena, strcmp(path, "-") == 0 ? "<stdin>" : path, data, len);
	u->diags = diags_create(u->arena, u->src);
	u->diags->warnings_are_errors = o->warnings_are_errors;
	u->diags->muted = o->muted;
	u->diags->promoted = o->promoted;
	crash_set_source(u->src);
	u->file = ast_parse(u->arena, u->src, u->diags);
	u->parse_ms = since_ms(start);
	return CLI_OK;
}

void unit_close(unit *u)
{
	crash_set_source(NULL);
	arena_destroy(u->arena);
	*u = (unit){0};
}

static bool spec_declares(const ast_spec *spec, const char *name)
{
	for (int i = 0; i < spec->body.count; i++) {
		const ast_stmt *s = &spec->body.item[i];
		if ((s->kind == AST_CONST || s->kind == AST_PARAM) &&
			strcmp(s->def.name.text, name) == 0)
			return true;
	}
	return false;
}

bool unit_declares(const unit *u, const char *name)
{
	for (int i = 0; i < u->file->specs.count; i++)
		if (spec_declares(u->file->specs.item[i], name))
			return true;
	return false;
}

void unit_declared(const unit *u, strings *names)
{
	for (int i = 0; i < u->file->specs.count; i++) {
		const ast_spec *spec = u->file->specs.item[i];
		for (int k = 0; k < spec->body.count; k++)
			if (spec->body.item[k].kind == AST_CONST ||
				spec->body.item[k].kind == AST_PARAM)
				ARENA_PUSH(u->o->arena, names,
					arena_strdup(
						u->o->arena, spec->body.item[k].def.name.text));
	}
}

cli_status unit_unknown_define(const options *o, const char *name, const strings *names)
{
	const char *near = diag_nearest(name, names->item, names->count);
	if (near)
		message_error(o,
			"-D %s: no spec declares a const or param of this name; did you mean '%s'?",
			name, near);
	else
		message_error(o, "-D %s: no spec declares a const or param of this name", name);
	return CLI_USAGE;
}

int unit_defines(const unit *u, const ast_spec *spec, sema_define **define)
{
	const strings *given = &u->o->define;
	int n = 0;

	*define = ARENA_ARRAY(u->arena, sema_define, given->count + 1);
	for (int i = 0; i < given->count; i++) {
		const char *name, *value;
		options_split(u->arena, given->item[i], &name, &value);
		if (!spec_declares(spec, name))
			continue;
		int at = 0;
		while (at < n && strcmp((*define)[at].name, name) != 0)
			at++;
		(*define)[at] = (sema_define){name, value}; /* the last of one name counts */
		n += at == n;
	}
	return n;
}

sema_spec *unit_check(unit *u, const ast_spec *spec)
{
	sema_define *define;
	int n = unit_defines(u, spec, &define);
	double start = clock_now();
	sema_spec *s = sema_check(u->arena, u->file, spec, u->src, define, n, u->diags);
	u->check_ms += since_ms(start);
	return s;
}

const ast_spec *unit_spec(const unit *u, const sema_spec *s)
{
	for (int i = 0; i < u->file->specs.count; i++)
		if (strcmp(u->file->specs.item[i]->name.text, s->name) == 0)
			return u->file->specs.item[i];
	ice("%s is not in %s", s->name, u->src->name);
}

cli_status unit_flush(unit *u)
{
	cli_status status = unit_report(u);
	u->diags->list.count = u->diags->warnings = 0;
	return status;
}

cli_status unit_report(const unit *u)
{
	if (u->o->diagnostics != DIAG_JSON || u->diags->list.count > 0) {
		text t = {0};
		diags_print(u->diags, u->o->diagnostics, &t);
		if (t.data)
			fwrite(t.data, 1, t.len, stderr);
		text_free(&t);
	}
	return diag_error_count(u->diags) > 0 ? CLI_INPUT : CLI_OK;
}

/* The spec that --spec names, or the file's only one. */
static cli_status spec_pick(const unit *u, const ast_spec **pick)
{
	const options *o = u->o;
	int n = u->file->specs.count;
	const char **names = ARENA_ARRAY(u->arena, const char *, n + 1);
	text list = {0};

	for (int i = 0; i < n; i++) {
		names[i] = u->file->specs.item[i]->name.text;
		text_printf(&list, "%s%s", i ? ", " : "", names[i]);
		if (o->spec && strcmp(names[i], o->spec) == 0)
			*pick = u->file->specs.item[i];
	}
	if (!o->spec && n == 1)
		*pick = u->file->specs.item[0];
	const char *near = o->spec ? diag_nearest(o->spec, names, n) : NULL;
	if (n == 0)
		message_error(o, "%s: holds no attention spec", u->src->name);
	else if (!*pick && !o->spec)
		message_error(o, "%s: holds %d specs (%s); choose one with --spec", u->src->name, n,
			list.data);
	else if (!*pick && near)
		message_error(
			o, "%s: no spec '%s'; did you mean '%s'?", u->src->name, o->spec, near);
	else if (!*pick)
		message_error(
			o, "%s: no spec '%s' (it holds %s)", u->src->name, o->spec, list.data);
	text_free(&list);
	return *pick ? CLI_OK : n == 0 ? CLI_INPUT : CLI_USAGE;
}

static cli_status defines_known(const unit *u)
{
	for (int i = 0; i < u->o->define.count; i++) {
		const char *name, *value;
		strings declared = {0};
		options_split(u->arena, u->o->define.item[i], &name, &value);
		if (unit_declares(u, name))
			continue;
		if (u->o->operand.count > 1) { /* meant for another file */
			message_note(u->o, "-D %s: %s declares no const or param of this name",
				name, u->src->name);
			continue;
		}
		unit_declared(u, &declared);
		return unit_unknown_define(u->o, name, &declared);
	}
	return CLI_OK;
}

cli_status unit_select(const options *o, const char *path, unit *u, sema_spec **spec)
{
	const ast_spec *pick = NULL;
	cli_status status = unit_open(o, path, u);
	if (status != CLI_OK)
		return status;
	if (diag_error_count(u->diags) == 0)
		status = spec_pick(u, &pick);
	if (status == CLI_OK && pick)
		status = defines_known(u);
	if (status == CLI_OK && pick)
		*spec = unit_check(u, pick);
	cli_status reported = unit_report(u);
	if (status == CLI_OK)
		status = reported;
	if (status == CLI_OK && !*spec)
		ice("%s: no spec and no error", u->src->name);
	if (status != CLI_OK)
		unit_close(u);
	else
		u->diags->list.count = u->diags->warnings =
			0; /* printed; later stages add theirs */
	return status;
}
