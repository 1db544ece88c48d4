/* shape.c: the kind of every axis from where its name stands, and the dimensions of every tensor.
 * in:  tensors, indices and lengths of header.c; group statements
 * out: sema_spec.axis (rows, groups, query, keys, then features), .key, .query, dimensions of
 * tensors relies on: indices marked as used; an index that is used nowhere gets no axis. */
#include "sema/check.h"
#include <ctype.h>
#include <string.h>

/* --- axes --- */

static bool coord_taken(const checker *cx, const char *name)
{
	for (int k = 0; k < cx->s->axis.count; k++)
		if (strcmp(cx->s->axis.item[k]->coord, name) == 0)
			return true;
	return names_find(cx, name) != NULL;
}

/* The length's or const's name in lower case, made unique. */
static const char *coord_name(checker *cx, const char *name)
{
	char *coord = arena_strdup(cx->a, name);

	for (char *c = coord; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!isalpha((unsigned char)*coord) && *coord != '_')
		coord = arena_strdup(cx->a, "e");
	while (coord_taken(cx, coord))
		coord = arena_printf(cx->a, "%s_", coord);
	return coord;
}

/* A new axis, named by the index where there is one. NULL (reported) when there are too many. */
static sema_axis *add_axis(checker *cx, axis_kind kind, loc at, symbol *index, const char *name)
{
	sema_axis *axis;

	if (cx->s->axis.count >= CHECK_MAX_AXES) {
		if (!cx->exhausted)
			diag_error(cx->d, at, "more than %d axes", CHECK_MAX_AXES);
		cx->exhausted = true;
		return NULL;
	}
	axis = ARENA_NEW(cx->a, sema_axis);
	axis->name = index ? index->name : name;
	axis->kind = kind;
	axis->at = index ? index->at : at;
	axis->id = cx->s->axis.count;
	axis->coord = index ? index->name : kind == AXIS_FEATURE ? "" : coord_name(cx, name);
	if (index)
		index->index.axis = axis;
	ARENA_PUSH(cx->a, &cx->s->axis, axis);
	return axis;
}

/* The ROW or GROUP axis of a length. */
static sema_axis *axis_of_length(const checker *cx, const sema_length *l)
{
	for (int k = 0; k < cx->s->axis.count; k++) {
		sema_axis *a = cx->s->axis.item[k];

		if (a->length == l && (a->kind == AXIS_ROW || a->kind == AXIS_GROUP))
			return a;
	}
	return NULL;
}

/* The next index after `from` that ranges over a length. */
static symbol *index_over(const checker *cx, const char *length, int *from)
{
	while (*from < cx->indices.count) {
		symbol *sym = cx->indices.item[(*from)++];

		if (sym->index.length.text && strcmp(sym->index.length.text, length) == 0)
			return sym;
	}
	return NULL;
}

/* The index that names a ROW or GROUP axis, NULL when none does. */
static symbol *naming_index(checker *cx, loc at, const sema_length *l, const char *role)
{
	int from = 0;
	symbol *one = index_over(cx, l->name, &from),
	       *two = one ? index_over(cx, l->name, &from) : NULL;

	if (!two)
		return one;
	diag_error(cx->d, at, "'%s' is %s, but the indices '%s' and '%s' range over it", l->name,
		role, one->name, two->name);
	if (strcmp(role, "an output dimension") == 0)
		diag_hint(cx->d, "write the index in the output: '%s' instead of '%s'", one->name,
			l->name);
	diag_note(cx->d, two->at, "only one index can name a coordinate of '%s'", l->name);
	for (symbol *more = two; more; more = index_over(cx, l->name, &from))
		more->index.poison = true;
	return one;
}

static void make_rows(checker *cx)
{
	for (int k = 0; k < cx->ast->outputs.count; k++) {
		const ast_tensor *t = &cx->ast->outputs.item[k];

		for (int r = 0; r < t->dims.count; r++) {
			symbol *sym = header_dimension(cx, t->dims.item[r]);
			sema_axis *a;

			if (!sym || sym->kind != SYM_LENGTH || axis_of_length(cx, sym->length))
				continue;
			a = add_axis(cx, AXIS_ROW, t->dims.item[r]->at,
				naming_index(cx, t->dims.item[r]->at, sym->length,
					"an output dimension"),
				sym->name);
			if (a)
				a->length = sym->length;
		}
	}
}

/* --- groups --- */

static bool const_int(const symbol *sym, int64_t *v)
{
	*v = sym && sym->kind == SYM_CONST && sym->value.kind == VALUE_INT ? sym->value.i : 0;
	return *v != 0;
}

/* The length that a group statement names, NULL (reported) when it is none. */
static sema_length *group_length(checker *cx, ast_name name)
{
	symbol *sym = names_find(cx, name.text);

	if (sym && sym->kind == SYM_LENGTH)
		return sym->length;
	if (sym) {
		diag_error(cx->d, name.at, "'%s' is %s, a group relates two run-time lengths",
			name.text, names_noun(sym));
		diag_note(cx->d, sym->at, "declared here");
		return NULL;
	}
	diag_error(cx->d, name.at, "no tensor has a dimension '%s'", name.text);
	names_hint(cx, name.text, 1u << SYM_LENGTH, NULL);
	return NULL;
}

static void add_group(checker *cx, loc at, sema_length *group, sema_axis *of)
{
	sema_axis *a =
		add_axis(cx, AXIS_GROUP, at, naming_index(cx, at, group, "a group"), group->name);

	if (!a)
		return;
	a->length = group;
	a->of = of;
	of->group = a;
}

static bool query_over(const checker *cx, const sema_length *l)
{
	return cx->query_index && strcmp(cx->query_index->index.length.text, l->name) == 0;
}

/* False when the statement was reported. */
static bool check_group(checker *cx, const ast_stmt *stmt)
{
	ast_name g = stmt->group.group, h = stmt->group.of;
	symbol *gs = names_find(cx, g.text), *hs = names_find(cx, h.text);
	sema_length *group, *row;
	sema_axis *of, *old;
	int64_t gv, hv;

	if (const_int(gs, &gv) && const_int(hs, &hv) && gv > 0 && hv % gv != 0) {
		diag_error(cx->d, stmt->at, "'%s' = %lld does not divide '%s' = %lld", g.text,
			(long long)gv, h.text, (long long)hv);
		return false;
	}
	group = group_length(cx, g);
	row = group_length(cx, h);
	if (!group || !row)
		return false;
	of = axis_of_length(cx, row);
	old = axis_of_length(cx, group);
	if (group == row) {
		diag_error(cx->d, stmt->at, "'%s' cannot be a group of itself", g.text);
	} else if ((old && old->kind == AXIS_ROW) || query_over(cx, group)) {
		diag_error(cx->d, g.at, "'%s' is an output dimension, so it cannot be a group",
			g.text);
		if (old)
			diag_note(cx->d, old->at, "the outputs have it here");
	} else if (old) {
		diag_error(cx->d, g.at, "'%s' is already a group of '%s'", g.text,
			old->of->length->name);
		diag_note(cx->d, old->at, "first grouped here");
	} else if (!of || of->kind != AXIS_ROW) {
		diag_error(cx->d, h.at,
			"'%s' is not an output dimension, so nothing can be grouped by it", h.text);
	} else if (of->group) {
		diag_error(cx->d, h.at, "'%s' already has the group '%s'", h.text,
			of->group->length->name);
		diag_note(cx->d, of->group->at, "first grouped here");
	} else {
		add_group(cx, g.at, group, of);
		return true;
	}
	return false;
}

/* A group that is reported makes its dimensions poison. */
static void check_groups(checker *cx)
{
	for (int k = 0; k < cx->ast->body.count; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];
		symbol *sym;

		if (stmt->kind != AST_GROUP || check_group(cx, stmt))
			continue;
		sym = names_find(cx, stmt->group.group.text);
		if (sym && sym->kind == SYM_LENGTH)
			sym->poison = true;
	}
}

/* `group G of H` where lengths of these names occur and no statement groups G. */
static void imply_group(checker *cx)
{
	symbol *g = names_find(cx, "G"), *h = names_find(cx, "H");
	sema_axis *of;
	int from = 0;

	if (!g || !h || g->kind != SYM_LENGTH || h->kind != SYM_LENGTH ||
		axis_of_length(cx, g->length))
		return;
	for (int k = 0; k < cx->ast->body.count; k++)
		if (cx->ast->body.item[k].kind == AST_GROUP &&
			strcmp(cx->ast->body.item[k].group.group.text, "G") == 0)
			return;
	of = axis_of_length(cx, h->length);
	if (!of || of->kind != AXIS_ROW || of->group || query_over(cx, g->length))
		return;
	if (index_over(cx, "G", &from) && index_over(cx, "G", &from))
		return;
	add_group(cx, g->at, g->length, of);
}

/* --- query, keys, declared features --- */

/* The index that is the outputs' position. */
static void find_query(checker *cx)
{
	for (int k = 0; k < cx->ast->outputs.count; k++) {
		const ast_tensor *t = &cx->ast->outputs.item[k];

		for (int r = 0; r < t->dims.count; r++) {
			symbol *sym = header_dimension(cx, t->dims.item[r]);

			if (!sym || sym->kind != SYM_INDEX || !sym->index.length.text ||
				sym->index.axis || sym->index.poison || sym == cx->query_index)
				continue;
			if (cx->query_index) {
				diag_error(cx->d, t->dims.item[r]->at,
					"outputs have two position indices, '%s' and '%s', at most "
					"one is possible",
					cx->query_index->name, sym->name);
				sym->index.poison = true;
			} else {
				cx->query_index = sym;
			}
		}
	}
}

static sema_length *length_of(const checker *cx, const symbol *index)
{
	const symbol *sym = names_find(cx, index->index.length.text);

	return sym && sym->kind == SYM_LENGTH ? sym->length : NULL;
}

static void make_keys(checker *cx)
{
	for (int k = 0; k < cx->indices.count; k++) {
		symbol *sym = cx->indices.item[k];
		sema_axis *a;

		if (!sym->index.length.text || sym->index.axis || sym->index.poison)
			continue;
		if (!sym->used)
			continue;
		if (cx->s->key.count == SEMA_MAX_KEYS) {
			diag_error(cx->d, sym->at,
				"'%s' is one key index too many: at most %d are possible",
				sym->name, SEMA_MAX_KEYS);
			sym->index.poison = true;
			continue;
		}
		a = add_axis(cx, AXIS_KEY, sym->at, sym, sym->name);
		if (!a)
			continue;
		a->length = length_of(cx, sym);
		ARENA_PUSH(cx->a, &cx->s->key, a);
	}
}

static void fix_feature(checker *cx, sema_axis *a, int64_t extent)
{
	a->extent = extent;
	ARENA_PUSH(cx->a, &cx->fixed, a);
}

static void make_features(checker *cx)
{
	for (int k = 0; k < cx->indices.count; k++) {
		symbol *sym = cx->indices.item[k];
		sema_axis *a;

		if (sym->index.length.text || sym->index.poison)
			continue;
		a = add_axis(cx, AXIS_FEATURE, sym->at, sym, sym->name);
		if (a)
			fix_feature(cx, a, sym->index.extent);
	}
}

static void make_axes(checker *cx)
{
	make_rows(cx);
	find_query(cx);
	check_groups(cx);
	imply_group(cx);
	if (cx->query_index) {
		symbol *q = cx->query_index;

		cx->s->query = add_axis(cx, AXIS_QUERY, q->at, q, q->name);
		if (cx->s->query)
			cx->s->query->length = length_of(cx, q);
	}
	make_keys(cx);
	make_features(cx);
}

/* --- dimensions; one of neither a length nor an extent is poison --- */

/* The coordinate that output dimension D stands for; made when the first output has it. */
static sema_axis *output_feature(checker *cx, loc at, const char *name, int64_t extent)
{
	sema_axis *a;

	for (int k = 0; k < cx->fixed.count; k++)
		if (strcmp(cx->fixed.item[k]->name, name) == 0 &&
			cx->fixed.item[k]->extent == extent)
			return cx->fixed.item[k];
	a = add_axis(cx, AXIS_FEATURE, at, NULL, name);
	if (a)
		fix_feature(cx, a, extent);
	return a;
}

/* A feature dimension of constant extent. */
static void extent_dimension(
	checker *cx, const ast_expr *e, symbol *sym, const sema_tensor *t, sema_dim *dim)
{
	const char *what = arena_printf(cx->a, "dimension '%s' of '%s'", dim->name, t->name);
	bool fine;

	if (sym && sym->value.kind == VALUE_POISON)
		return;
	fine = declare_int(cx, e, what, &dim->extent) &&
	       header_extent(cx, e->at, what, dim->extent);
	if (!fine) {
		dim->extent = 0;
		if (sym && !cx->exhausted) {
			diag_note(cx->d, sym->at,
				sym->overridden ? "'%s' is set by -D" : "'%s' is declared here",
				sym->name);
			sym->value.kind = VALUE_POISON;
		}
	} else if (t->output) {
		dim->axis = output_feature(cx, e->at, dim->name, dim->extent);
	} else if (sym) {
		for (int k = 0; k < cx->fixed.count; k++)
			if (strcmp(cx->fixed.item[k]->name, dim->name) == 0)
				dim->axis = cx->fixed.item[k];
	}
}

static void index_dimension(
	checker *cx, loc at, const symbol *sym, const sema_tensor *t, sema_dim *dim)
{
	dim->axis = sym->index.axis;
	dim->length = dim->axis ? dim->axis->length : NULL;
	dim->extent = dim->axis && !dim->length ? dim->axis->extent : 0;
	if (dim->axis && t->output &&
		(dim->axis->kind == AXIS_GROUP || dim->axis->kind == AXIS_KEY))
		diag_error(cx->d, at, "'%s' is %s and cannot be an output dimension", sym->name,
			dim->axis->kind == AXIS_GROUP ? "the index of a group" : "a key index");
}

static void named_dimension(
	checker *cx, const ast_expr *e, symbol *sym, const sema_tensor *t, sema_dim *dim)
{
	switch (sym->kind) {
	case SYM_CONST:
		extent_dimension(cx, e, sym, t, dim);
		return;
	case SYM_INDEX:
		index_dimension(cx, e->at, sym, t, dim);
		return;
	case SYM_LENGTH:
		if (sym->poison && !axis_of_length(cx, sym->length))
			return;
		dim->length = sym->length;
		dim->axis = axis_of_length(cx, sym->length);
		return;
	case SYM_PARAM:
	case SYM_TENSOR:
	case SYM_DEF:
	case SYM_VECTOR:
		diag_error(cx->d, e->at, "'%s' is %s, a dimension is a length, an index or a const",
			sym->name, names_noun(sym));
		diag_note(cx->d, sym->at, "declared here");
		return;
	}
}

static void check_dimensions(checker *cx, const ast_tensor *ast, sema_tensor *t)
{
	const ast_expr *feature = NULL;

	if (t->rank != ast->dims.count)
		return;
	for (int r = 0; r < t->rank; r++) {
		const ast_expr *e = ast->dims.item[r];
		symbol *sym = header_dimension(cx, e);
		sema_dim *dim = &t->dim[r];
		text name = {0};

		ast_expr_print(e, &name);
		dim->name = arena_strdup(cx->a, name.data ? name.data : "");
		text_free(&name);
		if (sym)
			named_dimension(cx, e, sym, t, dim);
		else
			extent_dimension(cx, e, NULL, t, dim);
		if (!t->output || dim->length || !dim->extent)
			continue;
		if (feature) {
			diag_error(cx->d, e->at,
				"output '%s' has two feature dimensions, at most one is possible",
				t->name);
			diag_note(cx->d, feature->at, "the first is here");
		}
		feature = e;
	}
}

/* --- every output has the same rows --- */

static int count_dim(const sema_tensor *t, const sema_axis *a)
{
	int n = 0;

	for (int r = 0; r < t->rank; r++)
		n += t->dim[r].axis == a;
	return n;
}

/* Reports the first row axis that an output lacks or has twice; owner[k] is an output that has axis
 * k. */
static void check_output_rows(checker *cx, const sema_tensor *t, const sema_tensor *const *owner)
{
	for (int k = 0; k < cx->s->axis.count; k++) {
		const sema_axis *a = cx->s->axis.item[k];
		int n = count_dim(t, a);

		if (n == 1 || !owner[k])
			continue;
		if (n > 1)
			diag_error(cx->d, t->at, "output '%s' has the dimension '%s' twice",
				t->name, a->name);
		else
			diag_error(cx->d, t->at,
				"output '%s' lacks the dimension '%s' of '%s': all outputs have "
				"the same rows",
				t->name, a->name, owner[k]->name);
		return;
	}
}

static void check_outputs(checker *cx)
{
	const sema_tensor *owner[SEMA_MAX_AXES] = {NULL};

	for (int k = cx->s->inputs; k < cx->s->tensor.count; k++) {
		const sema_tensor *t = cx->s->tensor.item[k];

		for (int r = 0; r < t->rank; r++) {
			const sema_axis *a = t->dim[r].axis;

			if (a && (a->kind == AXIS_ROW || a->kind == AXIS_QUERY) && !owner[a->id])
				owner[a->id] = t;
		}
	}
	for (int k = cx->s->inputs; k < cx->s->tensor.count; k++)
		check_output_rows(cx, cx->s->tensor.item[k], owner);
}

void shape_check(checker *cx)
{
	make_axes(cx);
	for (int out = 1; out >= 0; out--) /* outputs first: inputs refer to their features */
		for (int k = 0; k < (out ? cx->ast->outputs.count : cx->ast->inputs.count); k++)
			check_dimensions(cx,
				out ? &cx->ast->outputs.item[k] : &cx->ast->inputs.item[k],
				cx->s->tensor.item[out ? cx->s->inputs + k : k]);
	check_outputs(cx);
	if (cx->s->key.count == 0 && diag_error_count(cx->d) == 0) {
		diag_error(cx->d, cx->ast->name.at,
			"'%s' has no key index, so it attends to nothing", cx->ast->name.text);
		diag_hint(cx->d, "declare one: index j : N");
	}
}

void shape_name_features(checker *cx)
{
	for (int k = 0; k < cx->fixed.count; k++) {
		sema_axis *a = cx->fixed.item[k];

		if (a->coord[0] == '\0')
			a->coord = coord_name(cx, a->name);
	}
}
