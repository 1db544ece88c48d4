/* lengths.c: every run-time length gets a value: first from --dims, then from the shapes of input
 * files, then a default; all that disagree is an error that names both sides. */
#include "cli/problem.h"
#include <string.h>

static const char DIMS[] = "--dims";

/* Only what --dims says about itself; the caller tells where the name may come from. */
static cli_status unknown_dim(problem *p, const char *name)
{
	const sema_spec *s = p->spec;
	int n = s->length.count;
	const char **names = ARENA_ARRAY(p->arena, const char *, n + 1);
	text list = {0};

	for (int i = 0; i < n; i++) {
		names[i] = s->length.item[i]->name;
		text_printf(&list, "%s%s", i ? ", " : "", names[i]);
	}
	const char *near = diag_nearest(name, names, n);
	if (near)
		message_error(p->o, "--dims: %s has no length '%s'; did you mean '%s'?", s->name,
			name, near);
	else
		message_error(p->o,
			"--dims: %s has no length '%s'; its lengths are %s (a const is set with "
			"-D)",
			s->name, name, n ? list.data : "none");
	text_free(&list);
	return CLI_USAGE;
}

static cli_status read_dims(problem *p)
{
	const sema_spec *s = p->spec;
	for (int i = 0; i < p->o->dims.count; i++) {
		const char *name, *value;
		int64_t v;
		int at = 0;
		if (!options_split(p->arena, p->o->dims.item[i], &name, &value)) {
			message_error(p->o, "--dims: '%s' is not of the form NAME=LENGTH",
				p->o->dims.item[i]);
			return CLI_USAGE;
		}
		if (!options_integer(value, &v) || v < 0) {
			message_error(p->o, "--dims: '%s' is not a length", p->o->dims.item[i]);
			return CLI_USAGE;
		}
		while (at < s->length.count && strcmp(s->length.item[at]->name, name) != 0)
			at++;
		if (at == s->length.count) {
			if (p->o->operand.count == 1)
				return unknown_dim(p, name);
			message_note(p->o, "--dims: %s has no length '%s'", s->name, name);
			continue;
		}
		p->length[at] = v;
		p->length_from[at] = DIMS;
	}
	return CLI_OK;
}

/* One dimension of one input file against what is known. */
static cli_status bind_dim(problem *p, const sema_tensor *t, int d, int64_t n)
{
	const sema_dim *dim = &t->dim[d];
	const char *name = dim->name ? dim->name : "";
	if (!dim->length) {
		if (dim->extent == n)
			return CLI_OK;
		message_error(p->o, "%s: dimension %d (%s) is %lld but the spec says %lld%s%s",
			t->name, d, name, (long long)n, (long long)dim->extent,
			*name ? "; a const is set with -D " : "", name);
		return CLI_INPUT;
	}
	int id = dim->length->id;
	const char *from = p->length_from[id];
	if (!from) {
		p->length[id] = n;
		p->length_from[id] = t->name;
		return CLI_OK;
	}
	if (p->length[id] == n)
		return CLI_OK;
	message_error(p->o, "%s: dimension %d (%s) is %lld but %s %s %s = %lld", t->name, d, name,
		(long long)n, from, from == DIMS ? "says" : "has", dim->length->name,
		(long long)p->length[id]);
	return CLI_INPUT;
}

/* "bf16[B, i, H, D]" as the spec writes it. */
static const char *declared_shape(arena *a, const sema_tensor *t)
{
	const char *s = arena_printf(a, "%s[", sema_dtype_name(t->dtype));
	for (int d = 0; d < t->rank; d++)
		s = t->dim[d].name ? arena_printf(a, "%s%s%s", s, d ? ", " : "", t->dim[d].name)
				   : arena_printf(a, "%s%s%lld", s, d ? ", " : "",
					     (long long)t->dim[d].extent);
	return arena_printf(a, "%s]", s);
}

static cli_status bind_file(problem *p, const sema_tensor *t, const npy *n)
{
	if (n->rank != t->rank) {
		message_error(p->o,
			"%s: the file has %d dimension%s but the spec says %s, which has %d",
			t->name, n->rank, n->rank == 1 ? "" : "s", declared_shape(p->arena, t),
			t->rank);
		return CLI_INPUT;
	}
	for (int d = 0; d < t->rank; d++) {
		cli_status status = bind_dim(p, t, d, n->shape[d]);
		if (status != CLI_OK)
			return status;
	}
	return CLI_OK;
}

static const sema_axis *axis_of(const sema_spec *s, const sema_length *l)
{
	for (int i = 0; i < s->axis.count; i++)
		if (s->axis.item[i]->length == l)
			return s->axis.item[i];
	return NULL;
}

/* Positions are 128 long, grouped rows (heads) 4, groups and all other rows 1. */
static int64_t default_length(const problem *p, const sema_length *l)
{
	const sema_axis *a = axis_of(p->spec, l);
	if (a && a->kind == AXIS_ROW && (a->group || strcmp(l->name, "H") == 0)) {
		int64_t g = a->group && p->length_from[a->group->length->id]
				    ? p->length[a->group->length->id]
				    : 1;
		return g <= 1 ? 4 : g <= 4 ? g * (4 / g) : g;
	}
	return a && (a->kind == AXIS_ROW || a->kind == AXIS_GROUP) ? 1 : 128;
}

static cli_status check_groups(const problem *p)
{
	for (int i = 0; i < p->spec->axis.count; i++) {
		const sema_axis *a = p->spec->axis.item[i];
		if (a->kind != AXIS_GROUP)
			continue;
		int64_t g = p->length[a->length->id], h = p->length[a->of->length->id];
		if (g > 0 ? h % g == 0 : h == 0)
			continue;
		if (g == 0 || h < g)
			message_error(p->o, "%s = %lld is not a multiple of %s = %lld",
				a->of->length->name, (long long)h, a->length->name, (long long)g);
		else
			message_error(p->o,
				"%s = %lld is not a multiple of %s = %lld; the nearest multiples "
				"are %lld and %lld",
				a->of->length->name, (long long)h, a->length->name, (long long)g,
				(long long)(h / g * g), (long long)((h / g + 1) * g));
		return CLI_INPUT;
	}
	return CLI_OK;
}

cli_status problem_lengths(problem *p)
{
	const sema_spec *s = p->spec;
	cli_status status = read_dims(p);

	for (int i = 0; i < s->inputs && status == CLI_OK; i++)
		if (p->file[i].count >= 0)
			status = bind_file(p, s->tensor.item[i], &p->file[i]);
	if (status != CLI_OK)
		return status;
	for (int i = 0; i < s->length.count; i++)
		if (!p->length_from[i])
			p->length[i] = default_length(p, s->length.item[i]);
	return check_groups(p);
}
