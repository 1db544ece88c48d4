/* ast.c: the builder calls. In: what the parser's actions have read. Out: nodes in the arena, added
 * to the file. Nodes deeper than AST_MAX_DEPTH are reported once and replaced by a leaf, so that
 * every later stage may recurse. */
#include "ast/ast_build.h"
#include <string.h>

struct ast_intern {
	const char **slot; /* open addressing; `cap` is a power of two */
	size_t count, cap;
};

void ast_builder_init(ast_builder *b, arena *a, diags *d)
{
	*b = (ast_builder){.arena = a, .d = d};
	b->file = ARENA_NEW(a, ast_file);
	b->names = ARENA_NEW(a, ast_intern);
}

/* --- names --- */

static uint32_t name_hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

static const char **name_slot(const ast_intern *t, const char *s, size_t len)
{
	size_t i = name_hash(s, len) & (t->cap - 1);

	while (t->slot[i] && (strncmp(t->slot[i], s, len) != 0 || t->slot[i][len] != 0))
		i = (i + 1) & (t->cap - 1);
	return &t->slot[i];
}

static void names_grow(ast_builder *b)
{
	ast_intern *t = b->names, old = *t;

	t->cap = old.cap ? old.cap * 2 : 64;
	t->slot = ARENA_ARRAY(b->arena, const char *, t->cap);
	for (size_t i = 0; i < old.cap; i++)
		if (old.slot[i])
			*name_slot(t, old.slot[i], strlen(old.slot[i])) = old.slot[i];
}

ast_name ast_name_make(ast_builder *b, loc at, const char *s, size_t len)
{
	const char **slot;

	if (b->names->count * 2 >= b->names->cap)
		names_grow(b);
	slot = name_slot(b->names, s, len);
	if (!*slot) {
		*slot = arena_strndup(b->arena, s, len);
		b->names->count++;
	}
	return (ast_name){*slot, at};
}

/* --- blocks --- */

void ast_spec_begin(ast_builder *b, loc at)
{
	b->spec = ARENA_NEW(b->arena, ast_spec);
	b->spec->at = at;
}

void ast_spec_end(ast_builder *b, loc at, ast_name name, loc arrow, loc open)
{
	b->spec->name = name;
	b->spec->at = at;
	b->spec->arrow = arrow.begin;
	b->spec->open = open.begin;
	ARENA_PUSH(b->arena, &b->file->specs, b->spec);
	b->spec = NULL;
}

void ast_tensor_add(
	ast_builder *b, loc at, bool output, ast_name name, ast_name type, ast_exprs dims)
{
	ast_tensor t = {.name = name, .type = type, .dims = dims, .at = at};

	if (output)
		ARENA_PUSH(b->arena, &b->spec->outputs, t);
	else
		ARENA_PUSH(b->arena, &b->spec->inputs, t);
}

void ast_schedule_begin(ast_builder *b, loc at, ast_name spec, ast_name target)
{
	b->schedule = ARENA_NEW(b->arena, ast_schedule);
	b->schedule->spec = spec;
	b->schedule->target = target;
	b->schedule->at = at;
}

void ast_schedule_end(ast_builder *b, loc at, loc open)
{
	b->schedule->at = at;
	b->schedule->open = open.begin;
	ARENA_PUSH(b->arena, &b->file->schedules, b->schedule);
	b->schedule = NULL;
}

/* --- statements --- */

static void statement_add(ast_builder *b, ast_stmt s)
{
	ARENA_PUSH(b->arena, &b->spec->body, s);
}

void ast_const_add(ast_builder *b, loc at, ast_name name, ast_expr *value, bool joined)
{
	statement_add(
		b, (ast_stmt){.kind = AST_CONST, .at = at, .joined = joined, .def = {name, value}});
}

void ast_param_add(ast_builder *b, loc at, ast_name name, ast_expr *value, bool joined)
{
	statement_add(
		b, (ast_stmt){.kind = AST_PARAM, .at = at, .joined = joined, .def = {name, value}});
}

void ast_group_add(ast_builder *b, loc at, ast_name group, ast_name of)
{
	statement_add(b, (ast_stmt){.kind = AST_GROUP, .at = at, .group = {group, of}});
}

void ast_index_add(ast_builder *b, loc at, ast_names names, ast_expr *extent)
{
	statement_add(b, (ast_stmt){.kind = AST_INDEX, .at = at, .index = {names, extent}});
}

void ast_window_add(ast_builder *b, loc at, ast_name index, bool low_open, ast_expr *low,
	ast_expr *high, bool high_open)
{
	statement_add(b, (ast_stmt){.kind = AST_WINDOW,
				 .at = at,
				 .window = {index, low_open, high_open, low, high}});
}

void ast_mask_add(ast_builder *b, loc at, ast_expr *predicate)
{
	statement_add(b, (ast_stmt){.kind = AST_MASK, .at = at, .mask = predicate});
}

void ast_define_add(ast_builder *b, loc at, ast_name name, ast_names params, ast_expr *value)
{
	statement_add(b, (ast_stmt){.kind = AST_DEFINE, .at = at, .define = {name, params, value}});
}

void ast_setting_add(
	ast_builder *b, loc at, ast_name key, ast_name subject, ast_expr *value, bool joined)
{
	ast_setting s = {
		.key = key, .subject = subject, .value = value, .at = at, .joined = joined};

	ARENA_PUSH(b->arena, &b->schedule->settings, s);
}

void ast_specialize_add(ast_builder *b, ast_name subject)
{
	int n = b->schedule->settings.count;
	const ast_setting *last = n ? &b->schedule->settings.item[n - 1] : NULL;

	if (!last || last->value) {
		diag_error(b->d, subject.at, "expected '=' and a value after '%s'", subject.text);
		return;
	}
	ast_setting_add(b, subject.at, last->key, subject, NULL, true);
}

/* --- expressions --- */

/* The node in the arena with its depth set, or a leaf in its place when it is too deep. */
static ast_expr *expr_make(ast_builder *b, ast_expr e, int deepest_child)
{
	ast_expr *x = ARENA_NEW(b->arena, ast_expr);

	e.depth = deepest_child + 1;
	if (e.depth > AST_MAX_DEPTH) {
		if (!b->too_deep) {
			diag_error(b->d, e.at, "expression is nested more than %d levels deep",
				AST_MAX_DEPTH);
			diag_hint(b->d, "define a part of it under a name of its own");
		}
		b->too_deep = true;
		e = (ast_expr){.kind = AST_INT, .at = e.at, .depth = 1};
	}
	*x = e;
	return x;
}

static int deeper(int depth, const ast_expr *e)
{
	return e && e->depth > depth ? e->depth : depth;
}

static int deepest(ast_exprs list)
{
	int depth = 0;

	for (int i = 0; i < list.count; i++)
		depth = deeper(depth, list.item[i]);
	return depth;
}

ast_expr *ast_int(ast_builder *b, loc at, int64_t value)
{
	return expr_make(b, (ast_expr){.kind = AST_INT, .at = at, .integer = value}, 0);
}

ast_expr *ast_real(ast_builder *b, loc at, double value, const char *written)
{
	return expr_make(b, (ast_expr){.kind = AST_FLOAT, .at = at, .real = {value, written}}, 0);
}

ast_expr *ast_ref(ast_builder *b, ast_name name)
{
	return expr_make(b, (ast_expr){.kind = AST_NAME, .at = name.at, .name = name}, 0);
}

ast_expr *ast_unary(ast_builder *b, loc at, ast_op op, loc op_at, ast_expr *x)
{
	return expr_make(b, (ast_expr){.kind = AST_UNARY, .at = at, .op = {op, op_at, x, NULL}},
		deeper(0, x));
}

ast_expr *ast_binary(ast_builder *b, loc at, ast_op op, loc op_at, ast_expr *x, ast_expr *y)
{
	return expr_make(b, (ast_expr){.kind = AST_BINARY, .at = at, .op = {op, op_at, x, y}},
		deeper(deeper(0, x), y));
}

ast_expr *ast_call(ast_builder *b, loc at, ast_name callee, ast_exprs args)
{
	return expr_make(
		b, (ast_expr){.kind = AST_CALL, .at = at, .call = {callee, args}}, deepest(args));
}

ast_expr *ast_subscript(ast_builder *b, loc at, ast_expr *base, ast_exprs args)
{
	return expr_make(b, (ast_expr){.kind = AST_SUBSCRIPT, .at = at, .sub = {base, args}},
		deeper(deepest(args), base));
}

ast_expr *ast_reduce(
	ast_builder *b, loc at, ast_name how, ast_binders over, ast_expr *body, ast_expr *with)
{
	int depth = deeper(deeper(0, body), with);

	for (int i = 0; i < over.count; i++)
		depth = deeper(depth, over.item[i].extent);
	return expr_make(b,
		(ast_expr){.kind = AST_REDUCE, .at = at, .reduce = {how, over, body, with}}, depth);
}

ast_expr *ast_extremum_call(ast_builder *b, loc at, ast_name callee, ast_args args)
{
	for (int i = 0; i < args.value.count; i++) {
		if (!args.extent.item[i])
			continue;
		diag_error(b->d, args.extent.item[i]->at, "'%s' of values takes no extent",
			callee.text);
		diag_hint(b->d, "'%s(...)' reduces over indices when an expression follows it",
			callee.text);
		break;
	}
	return ast_call(b, at, callee, args.value);
}

ast_expr *ast_extremum_reduce(ast_builder *b, loc at, ast_name how, ast_args args, ast_expr *body)
{
	ast_binders over = {0};

	for (int i = 0; i < args.value.count; i++) {
		const ast_expr *e = args.value.item[i];

		if (e->kind == AST_NAME && !e->parens) {
			over = ast_binders_add(b, over, e->name, args.extent.item[i]);
			continue;
		}
		diag_error(b->d, e->at,
			"'%s' before an expression reduces over indices, "
			"and this is not an index name",
			how.text);
		diag_hint(b->d, "an operator may be missing after the ')' of '%s'", how.text);
		break;
	}
	return ast_reduce(b, at, how, over, body, NULL);
}

ast_expr *ast_parens(ast_expr *x, loc at)
{
	x->parens = true;
	x->at = at;
	return x;
}

/* --- lists --- */

ast_exprs ast_exprs_add(ast_builder *b, ast_exprs list, ast_expr *x)
{
	ARENA_PUSH(b->arena, &list, x);
	return list;
}

ast_names ast_names_add(ast_builder *b, ast_names list, ast_name name)
{
	ARENA_PUSH(b->arena, &list, name);
	return list;
}

ast_binders ast_binders_add(ast_builder *b, ast_binders list, ast_name name, ast_expr *extent)
{
	ARENA_PUSH(b->arena, &list, ((ast_binder){name, extent}));
	return list;
}

ast_args ast_args_add(ast_builder *b, ast_args list, ast_expr *value, ast_expr *extent)
{
	list.value = ast_exprs_add(b, list.value, value);
	list.extent = ast_exprs_add(b, list.extent, extent);
	return list;
}
