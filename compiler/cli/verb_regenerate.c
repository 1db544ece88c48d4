/* verb_regenerate: the generated code of the spec library, committed so that a change of the
 * compiler shows as a change of code: DIR/SPEC/SPEC_TARGET.cu, .tile, .ptx for every spec with a GPU
 * kernel. A target whose kernel is that of a target before it is left out. With --check nothing is written, and what differs is named. */
#include "cli/gpu.h"
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	device_form form;
	const char *ending;
} made[] = {{DEVICE_TILE, "tile"}, {DEVICE_CUDA, "cu"}, {DEVICE_PTX, "ptx"}};
#define MADE ((int)(sizeof made / sizeof *made))

typedef struct {
	const options *o;
	const char *folder;
	cli_target *target;
	int targets;
	strings spec;    /* files */
	strings written; /* paths that the specs give */
	strings kernel;  /* tile programs of the spec at hand */
	int files, changed;
} library;

/* --- files --- */

/* The whole of a file, malloc'd; NULL: there is none. */
static char *read_old(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *data = NULL;
	size_t cap = 0;

	*len = 0;
	while (f && !feof(f) && !ferror(f)) {
		if (*len == cap) {
			char *more = realloc(data, cap = cap ? 2 * cap : 1 << 16);
			if (!more)
				break;
			data = more;
		}
		*len += fread(data + *len, 1, cap - *len, f);
	}
	if (f)
		fclose(f);
	return data;
}

static bool is_same(const char *path, const text *t)
{
	size_t len;
	char *old = read_old(path, &len);
	bool same = old && len == t->len && memcmp(old, t->data, len) == 0;

	free(old);
	return same;
}

static cli_status put(library *l, const char *path, const text *t)
{
	const options *o = l->o;

	l->files++;
	ARENA_PUSH(o->arena, &l->written, path);
	if (is_same(path, t))
		return CLI_OK;
	l->changed++;
	if (o->check) {
		message_error(o, "%s %s", path,
			access(path, F_OK) == 0 ? "is not what the compiler generates"
						: "is missing");
		return CLI_OK;
	}
	if (o->verbose)
		message_note(o, "wrote %s", path);
	return file_write(o, path, t->data, t->len);
}

/* --- one spec --- */

static cli_status emit(library *l, unit *u, device_build *b, int which)
{
	const char *name = b->form->spec->name;
	const char *path = arena_printf(l->o->arena, "%s/%s/%s_%s.%s", l->folder, name, name,
		b->arch->name, made[which].ending);
	text t = {0};
	bool fine = device_emit(b, made[which].form, &t);
	cli_status status = unit_flush(u);

	if (status == CLI_OK && !fine)
		status = CLI_ENVIRONMENT;
	if (status == CLI_OK)
		status = put(l, path, &t);
	text_free(&t);
	return status;
}

/* What the planner refuses has no generated code: a note says why. */
static bool is_planned(library *l, unit *u, device_build *b)
{
	diags *shared = b->diags, *own = diags_create(u->arena, u->src);
	bool fine;

	b->diags = own;
	fine = device_build_until(b, DEVICE_TILE);
	b->diags = shared;
	if (!fine)
		message_note(l->o, "%s has no kernel for %s: %s", b->form->spec->name,
			b->arch->name,
			own->list.count ? own->list.item[0].message
					: "the compiler does not say why");
	return fine;
}

/* The tile program without its target's name. */
static const char *anonymous_tile(library *l, device_build *b)
{
	const char *name = b->arch->name;
	text t = {0}, out = {0};
	const char *s, *end;

	device_emit(b, DEVICE_TILE, &t);
	for (s = t.data; (end = strstr(s, name)); s = end + strlen(name))
		text_putn(&out, s, (size_t)(end - s));
	text_put(&out, s);
	s = arena_strdup(l->o->arena, out.data);
	text_free(&out);
	text_free(&t);
	return s;
}

/* Nobody asked for the target, and the kernel is that of a target before it. */
static bool is_repeated(library *l, device_build *b)
{
	const char *tile = anonymous_tile(l, b);

	for (int i = 0; i < l->kernel.count && l->o->target.count == 0; i++)
		if (strcmp(l->kernel.item[i], tile) == 0)
			return true;
	ARENA_PUSH(l->o->arena, &l->kernel, tile);
	return false;
}

static cli_status regenerate_target(library *l, unit *u, sema_spec *s, const arch *a)
{
	const row_form *form;
	double ms;
	cli_status status = gpu_form(u, s, a->name, &form, &ms);

	if (status != CLI_OK || !form)
		return status;
	device_build b = {.arena = u->arena, .form = form, .arch = a, .diags = u->diags};
	bool planned = is_planned(l, u, &b) && !is_repeated(l, &b);
	if (planned && !l->o->check)
		status = file_make_directory(
			l->o, arena_printf(l->o->arena, "%s/%s", l->folder, s->name));
	for (int k = 0; planned && k < MADE && status == CLI_OK; k++)
		status = emit(l, u, &b, k);
	device_build_clear(&b);
	return status;
}

static cli_status regenerate_spec(library *l, const char *path)
{
	unit u;
	cli_status status = unit_open(l->o, path, &u);

	if (status != CLI_OK)
		return status;
	status = unit_flush(&u);
	for (int i = 0; i < u.file->specs.count && status == CLI_OK; i++) {
		l->kernel.count = 0;
		for (int t = 0; t < l->targets && status == CLI_OK; t++) {
			sema_spec *s = unit_check(&u, u.file->specs.item[i]);
			status = unit_flush(&u);
			if (status == CLI_OK)
				status = regenerate_target(l, &u, s, l->target[t].arch);
		}
	}
	unit_close(&u);
	return status;
}

/* --- what should not be there --- */

static bool is_written(const library *l, const char *path)
{
	for (int i = 0; i < l->written.count; i++)
		if (strcmp(l->written.item[i], path) == 0)
			return true;
	return false;
}

/* Files of our form that no spec gives any more, when the whole library was asked for. */
static cli_status remove_rest(library *l)
{
	cli_status status = CLI_OK;

	for (int k = 0; k < MADE; k++) {
		glob_t g;
		const char *pattern =
			arena_printf(l->o->arena, "%s/*/*_sm_*.%s", l->folder, made[k].ending);

		if (glob(pattern, 0, NULL, &g) != 0)
			continue;
		for (size_t i = 0; i < g.gl_pathc; i++) {
			if (is_written(l, g.gl_pathv[i]))
				continue;
			l->changed++;
			if (l->o->check) {
				message_error(
					l->o, "%s belongs to no spec or target", g.gl_pathv[i]);
			} else if (unlink(g.gl_pathv[i]) != 0) {
				message_error(l->o, "cannot remove %s: %s", g.gl_pathv[i],
					strerror(errno));
				status = CLI_ENVIRONMENT;
			}
		}
		globfree(&g);
	}
	return status;
}

/* --- all of them --- */

static cli_status list_specs(library *l)
{
	glob_t g;

	if (l->o->operand.count) {
		l->spec = l->o->operand;
		return CLI_OK;
	}
	if (glob("specs/*.tkl", 0, NULL, &g) != 0) {
		message_error(l->o,
			"there are no specs/*.tkl here: name the specs, or change to the "
			"source tree");
		return CLI_ENVIRONMENT;
	}
	for (size_t i = 0; i < g.gl_pathc; i++) /* sorted */
		ARENA_PUSH(l->o->arena, &l->spec, arena_strdup(l->o->arena, g.gl_pathv[i]));
	globfree(&g);
	return CLI_OK;
}

static cli_status gpu_targets(library *l)
{
	cli_status status = targets_parse(l->o, "sm_80,sm_90,sm_90a", &l->target, &l->targets);

	for (int t = 0; t < l->targets && status == CLI_OK; t++)
		if (!l->target[t].arch) {
			message_error(l->o, "--targets: code is generated for GPU targets only");
			status = CLI_USAGE;
		}
	return status;
}

cli_status verb_regenerate(const options *o)
{
	library l = {.o = o, .folder = o->out ? o->out : "generated"};
	cli_status status = gpu_targets(&l);

	if (status == CLI_OK)
		status = list_specs(&l);
	for (int i = 0; i < l.spec.count && status == CLI_OK; i++)
		status = regenerate_spec(&l, l.spec.item[i]);
	if (status == CLI_OK && o->operand.count == 0 && o->target.count == 0)
		status = remove_rest(&l);
	if (status != CLI_OK)
		return status;
	printf("%d files, %d %s\n", l.files, l.changed, o->check ? "stale" : "changed");
	return o->check && l.changed ? CLI_CHECK : CLI_OK;
}
