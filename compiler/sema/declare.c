/* declare.c: const and param statements, with what -D says instead.
 * in:  AST_CONST and AST_PARAM statements, the defines
 * out: symbols with values, sema_spec.param
 * relies on: nothing; runs first. Consts see earlier consts only. */
#include "sema/check.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const value_noun[] = {"an int", "a float", "a data type", "a value"};

/* The last -D of that name. */
static const char *defined(checker *cx, const char *name)
{
	const char *value = NULL;

	for (int k = 0; k < cx->defines; k++)
		if (strcmp(cx->define[k].name, name) == 0) {
			value = cx->define[k].value;
			cx->define_used[k] = true;
		}
	return value;
}

static bool parse_int(const char *s, int64_t *v)
{
	char *end;

	errno = 0;
	*v = strtoll(s, &end, 10);
	return *s && !*end && errno == 0 && *s != ' ' && *s != '+';
}

static bool parse_float(const char *s, double *v)
{
	char *end;

	*v = strtod(s, &end);
	return *s && !*end && isfinite(*v) && !strpbrk(s, " xXpP");
}

static bool usable_dtype(checker *cx, loc at, sema_dtype t)
{
	if (t != DTYPE_F64)
		return true;
	diag_error(cx->d, at, "f64 is not a data type of specs");
	diag_hint(cx->d, "use f32; the reference computes in float64 whatever the spec says");
	return false;
}

/* What -D gives, of the same kind as the default; false (reported) when it is something else. */
static bool override(checker *cx, symbol *sym, const char *given, const_value *v)
{
	sema_dtype t;

	sym->overridden = true;
	if (v->kind == VALUE_INT && parse_int(given, &v->i))
		return true;
	if (v->kind == VALUE_FLOAT && parse_float(given, &v->f))
		return true;
	if (v->kind == VALUE_DTYPE && names_dtype(given, &t)) {
		v->dtype = t;
		return usable_dtype(cx, sym->at, t);
	}
	if (v->kind == VALUE_POISON)
		return false;
	diag_error(cx->d, sym->at, "-D gives '%s' the value '%s', which is not %s", sym->name,
		given, value_noun[v->kind]);
	if (v->kind == VALUE_DTYPE)
		diag_hint(cx->d, "the data types are bf16, f16, f32 and i32");
	return false;
}

static void value_of_expr(checker *cx, const ast_expr *e, const_value *v)
{
	expr *x = resolve_expr(cx, e);

	v->kind = VALUE_POISON;
	if (x->type == TYPE_POISON)
		return;
	if (x->op == EXPR_CONST_INT) {
		v->kind = VALUE_INT;
		v->i = x->i;
	} else if (x->op == EXPR_CONST_FLOAT && isfinite(x->f)) {
		v->kind = VALUE_FLOAT;
		v->f = x->f;
	} else if (x->type == TYPE_BOOL) {
		diag_error(cx->d, e->at,
			"a const is an int, a float or a data type, this is a condition");
	} else {
		diag_error(cx->d, e->at, "this constant is not a finite number");
	}
}

/* A const may name a data type, or another const that does. */
static const_value const_of(checker *cx, const ast_expr *e)
{
	const_value v = {.kind = VALUE_POISON};
	symbol *sym;

	if (e->kind == AST_NAME) {
		if (names_dtype(e->name.text, &v.dtype)) {
			if (usable_dtype(cx, e->at, v.dtype))
				v.kind = VALUE_DTYPE;
			return v;
		}
		sym = names_find(cx, e->name.text);
		if (sym && sym->kind == SYM_CONST) {
			sym->used = true;
			return sym->value;
		}
	}
	value_of_expr(cx, e, &v);
	return v;
}

void declare_consts(checker *cx)
{
	cx->place = PLACE_CONST;
	for (int k = 0; k < cx->ast->body.count; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];
		const char *given;
		const_value v;
		symbol *sym;

		if (stmt->kind != AST_CONST)
			continue;
		v = const_of(cx, stmt->def.value);
		sym = names_add(cx, SYM_CONST, stmt->def.name);
		given = defined(cx, sym->name);
		if (given && !override(cx, sym, given, &v))
			v.kind = VALUE_POISON;
		sym->value = v;
	}
}

void declare_params(checker *cx)
{
	cx->place = PLACE_CONST;
	for (int k = 0; k < cx->ast->body.count; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];
		const char *given;
		const_value v;
		symbol *sym;

		if (stmt->kind != AST_PARAM)
			continue;
		value_of_expr(cx, stmt->def.value, &v);
		sym = names_add(cx, SYM_PARAM, stmt->def.name);
		given = defined(cx, sym->name);
		if (given && !override(cx, sym, given, &v))
			v.kind = VALUE_POISON;
		sym->param = ARENA_NEW(cx->a, sema_param);
		*sym->param = (sema_param){.name = sym->name,
			.at = sym->at,
			.id = cx->s->param.count,
			.type = v.kind == VALUE_INT     ? TYPE_INT
				: v.kind == VALUE_FLOAT ? TYPE_FLOAT
							: TYPE_POISON,
			.i = v.i,
			.f = v.kind == VALUE_INT ? (double)v.i : v.f};
		ARENA_PUSH(cx->a, &cx->s->param, sym->param);
	}
}

/* Whether another spec of the file has that const or param. */
static bool others_define(const checker *cx, const char *name)
{
	for (int k = 0; k < cx->file->specs.count; k++) {
		const ast_spec *other = cx->file->specs.item[k];

		for (int n = 0; n < other->body.count; n++) {
			const ast_stmt *stmt = &other->body.item[n];

			if ((stmt->kind == AST_CONST || stmt->kind == AST_PARAM) &&
				strcmp(stmt->def.name.text, name) == 0)
				return true;
		}
	}
	return false;
}

void declare_defines_left(checker *cx)
{
	loc at = cx->ast->name.at;

	for (int k = 0; k < cx->defines; k++) {
		const char *name = cx->define[k].name;
		const symbol *sym = names_find(cx, name);

		if (cx->define_used[k])
			continue;
		if (sym && (sym->kind == SYM_LENGTH || sym->kind == SYM_INDEX)) {
			diag_error(cx->d, at,
				"-D sets '%s', which is %s: it is given when the kernel runs", name,
				names_noun(sym));
		} else if (others_define(cx, name)) {
			diag_warning(cx->d, at, "define",
				"-D sets '%s', but '%s' has no such const or param", name,
				cx->ast->name.text);
		} else {
			diag_error(cx->d, at, "-D sets '%s', but '%s' has no such const or param",
				name, cx->ast->name.text);
			names_hint(cx, name, 1u << SYM_CONST | 1u << SYM_PARAM, NULL);
		}
	}
}

bool declare_int(checker *cx, const ast_expr *e, const char *what, int64_t *v)
{
	place before = cx->place;
	expr *x;

	cx->place = PLACE_CONST;
	x = resolve_in_brackets(cx, e);
	cx->place = before;
	if (x->type == TYPE_POISON)
		return false;
	if (x->op == EXPR_CONST_INT) {
		*v = x->i;
		return true;
	}
	diag_error(cx->d, e->at, "%s must be an int, this is %s", what, resolve_type_name(x));
	return false;
}
