/* resolve.c: expressions as written -> checked expressions.
 * in:  an ast_expr, the symbols, the feature indices in scope, the place it stands in
 * out: a typed expr; poison where something was reported
 * relies on: the depth of an ast_expr, which the parser bounds. */
#include "sema/check.h"
#include <stdio.h>
#include <string.h>

const char *resolve_type_name(const expr *e)
{
	static const char *const name[] = {"an int", "a float", "a condition", "poison"};

	return name[e->type];
}

bool resolve_number(checker *cx, loc at, const expr *x, const char *what)
{
	if (x->type != TYPE_BOOL)
		return true;
	diag_error(cx->d, at, "%s is a condition, not a number", what);
	diag_hint(cx->d, "where(c, 1, 0) makes a number of the condition c");
	return false;
}

const binder *resolve_binder(const checker *cx, const char *name)
{
	for (const binder *b = cx->scope; b; b = b->outer)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

/* --- names --- */

/* The statement that declares or defines `name`, from statement `from` on. */
static const ast_stmt *declares(const checker *cx, const char *name, int from)
{
	for (int k = from; k < cx->ast->body.count && cx->d->errors < 20; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];
		const char *own = stmt->kind == AST_DEFINE ? stmt->define.name.text
				  : stmt->kind == AST_CONST || stmt->kind == AST_PARAM
					  ? stmt->def.name.text
					  : NULL;

		if (own && strcmp(own, name) == 0)
			return stmt;
	}
	return NULL;
}

/* A name that the spec has, but not for this place. False: it has none. */
static bool known_elsewhere(checker *cx, loc at, const char *name)
{
	static const char *const where[] = {"a constant", "the bound of a window", "a mask"};
	const ast_stmt *stmt = declares(cx, name, cx->place == PLACE_VALUE ? cx->next_stmt : 0);

	if (!stmt)
		return false;
	if (at.begin >= stmt->at.begin && at.end <= stmt->at.end) {
		diag_error(cx->d, at, "the definition of '%s' uses itself", name);
		return true;
	}
	if (cx->place == PLACE_VALUE || stmt->kind == AST_CONST)
		diag_error(cx->d, at, "'%s' is used before its definition", name);
	else
		diag_error(cx->d, at, "%s cannot use '%s', %s", where[cx->place], name,
			stmt->kind == AST_PARAM ? "a param" : "a definition");
	diag_note(cx->d, stmt->at, "it is defined here");
	return true;
}

static expr *unknown_name(checker *cx, loc at, const char *name)
{
	const char *what;

	if (known_elsewhere(cx, at, name))
		return expr_poison(cx->s, at);
	if (names_reserved(name, &what)) {
		diag_error(cx->d, at, "'%s' is %s, not a value", name, what);
	} else {
		diag_error(cx->d, at, "unknown name '%s'", name);
		names_hint(cx, name,
			cx->place == PLACE_CONST ? 1u << SYM_CONST : (unsigned)NAMES_ALL, NULL);
	}
	return expr_poison(cx->s, at);
}

static expr *const_expr(checker *cx, loc at, const symbol *sym)
{
	switch (sym->value.kind) {
	case VALUE_INT:
		return expr_int(cx->s, at, sym->value.i);
	case VALUE_FLOAT:
		return expr_float(cx->s, at, sym->value.f);
	case VALUE_DTYPE:
		diag_error(cx->d, at, "const '%s' is a data type, not a number", sym->name);
		return expr_poison(cx->s, at);
	case VALUE_POISON:
		return expr_poison(cx->s, at);
	}
	ice("value kind %d", (int)sym->value.kind);
}

static expr *index_expr(checker *cx, loc at, const symbol *sym)
{
	const sema_axis *a = sym->index.axis;

	if (!a)
		return expr_poison(cx->s, at);
	if (cx->place == PLACE_WINDOW && (a->kind == AXIS_KEY || a->kind == AXIS_FEATURE)) {
		diag_error(cx->d, at, "the bound of a window depends on the %s index '%s'",
			a->kind == AXIS_KEY ? "key" : "feature", sym->name);
		if (a->kind == AXIS_KEY)
			diag_hint(cx->d, "state it as a mask");
		return expr_poison(cx->s, at);
	}
	if (cx->place == PLACE_MASK && a->kind == AXIS_FEATURE) {
		diag_error(cx->d, at, "a mask cannot use the feature index '%s'", sym->name);
		return expr_poison(cx->s, at);
	}
	return expr_coord(cx->s, at, sym->index.axis);
}

/* Whether the expression's place lets it use the symbol; reported when not. */
bool resolve_allowed(checker *cx, loc at, const symbol *sym)
{
	bool value = sym->kind == SYM_TENSOR || sym->kind == SYM_DEF || sym->kind == SYM_VECTOR;

	if (cx->place == PLACE_CONST && sym->kind != SYM_CONST) {
		diag_error(cx->d, at, "'%s' is %s, only consts can be used here", sym->name,
			names_noun(sym));
		diag_note(cx->d, sym->at, "declared here");
		return false;
	}
	if (cx->place == PLACE_WINDOW && value) {
		diag_error(cx->d, at, "the bound of a window cannot use '%s', %s", sym->name,
			names_noun(sym));
		diag_hint(cx->d, "state it as a mask");
		return false;
	}
	if (cx->place == PLACE_MASK && value &&
		!(sym->kind == SYM_TENSOR && !sym->tensor->output)) {
		diag_error(cx->d, at, "a mask cannot use '%s', %s", sym->name, names_noun(sym));
		diag_hint(cx->d, "masks are made of indices, lengths, params and inputs");
		return false;
	}
	return true;
}

static expr *resolve_symbol(checker *cx, loc at, symbol *sym)
{
	sym->used = true;
	if (!resolve_allowed(cx, at, sym))
		return expr_poison(cx->s, at);
	switch (sym->kind) {
	case SYM_CONST:
		return const_expr(cx, at, sym);
	case SYM_PARAM:
		return sym->param && sym->param->type != TYPE_POISON
			       ? expr_param(cx->s, at, sym->param)
			       : expr_poison(cx->s, at);
	case SYM_LENGTH:
		return expr_length(cx->s, at, sym->length);
	case SYM_INDEX:
		return index_expr(cx, at, sym);
	case SYM_TENSOR:
		if (!sym->tensor->output)
			return load_tensor(cx, at, sym, 0, NULL);
		if (sym->tensor->def)
			return expr_def(cx->s, at, sym->tensor->def);
		return unknown_name(cx, at, sym->name);
	case SYM_DEF:
		return expr_def(cx->s, at, sym->def);
	case SYM_VECTOR:
		diag_error(cx->d, at, "'%s' needs %d subscript%s", sym->name, sym->vector.params,
			sym->vector.params == 1 ? "" : "s");
		diag_note(cx->d, sym->at, "defined here");
		return expr_poison(cx->s, at);
	}
	ice("symbol kind %d", (int)sym->kind);
}

static expr *resolve_name(checker *cx, const ast_expr *e)
{
	const binder *b = resolve_binder(cx, e->name.text);
	symbol *sym;

	if (b)
		return b->axis ? expr_coord(cx->s, e->at, b->axis) : expr_poison(cx->s, e->at);
	sym = names_find(cx, e->name.text);
	return sym ? resolve_symbol(cx, e->at, sym) : unknown_name(cx, e->at, e->name.text);
}

/* --- operators --- */

static const struct {
	expr_op op;
	bool swapped;
} operator_of[] = {
	[AST_OP_ADD] = {EXPR_ADD, false},
	[AST_OP_SUB] = {EXPR_SUB, false},
	[AST_OP_MUL] = {EXPR_MUL, false},
	[AST_OP_DIV] = {EXPR_DIV, false},
	[AST_OP_IDIV] = {EXPR_IDIV, false},
	[AST_OP_MOD] = {EXPR_MOD, false},
	[AST_OP_LT] = {EXPR_LT, false},
	[AST_OP_LE] = {EXPR_LE, false},
	[AST_OP_GT] = {EXPR_LT, true},
	[AST_OP_GE] = {EXPR_LE, true},
	[AST_OP_EQ] = {EXPR_EQ, false},
	[AST_OP_NE] = {EXPR_NE, false},
	[AST_OP_AND] = {EXPR_AND, false},
	[AST_OP_OR] = {EXPR_OR, false},
	[AST_OP_NEG] = {EXPR_NEG, false},
	[AST_OP_NOT] = {EXPR_NOT, false},
};

static bool is_const(const expr *e)
{
	return e->op == EXPR_CONST_INT || e->op == EXPR_CONST_FLOAT;
}

/* Operand types of and, or, not. */
static bool condition_operand(checker *cx, loc at, const expr *x, const char *op)
{
	if (x->type == TYPE_BOOL)
		return true;
	diag_error(cx->d, at, "operand of '%s' is %s, not a condition", op, resolve_type_name(x));
	diag_hint(cx->d, "compare it with something, for example != 0");
	return false;
}

static bool int_operand(checker *cx, loc at, const expr *x, ast_op op)
{
	if (x->type == TYPE_INT)
		return true;
	diag_error(cx->d, at, "operand of '%s' is %s, not an int", ast_op_text(op),
		resolve_type_name(x));
	if (op == AST_OP_IDIV && x->type == TYPE_FLOAT)
		diag_hint(cx->d, "floor(x / y) rounds a quotient of floats down");
	return false;
}

static bool operand_fits(checker *cx, loc at, const expr *x, ast_op op)
{
	char what[32];

	if (op == AST_OP_AND || op == AST_OP_OR || op == AST_OP_NOT)
		return condition_operand(cx, at, x, ast_op_text(op));
	if (op == AST_OP_IDIV || op == AST_OP_MOD)
		return int_operand(cx, at, x, op);
	snprintf(what, sizeof what, "operand of '%s'", ast_op_text(op));
	return resolve_number(cx, at, x, what);
}

/* What no machine should be asked to compute. */
static bool divides_by_zero(checker *cx, const ast_expr *e, const expr *y)
{
	bool zero =
		(y->op == EXPR_CONST_INT && y->i == 0) || (y->op == EXPR_CONST_FLOAT && y->f == 0);

	if (!zero || (e->op.op != AST_OP_DIV && e->op.op != AST_OP_IDIV && e->op.op != AST_OP_MOD))
		return false;
	diag_error(cx->d, e->op.right->at, "division by zero");
	return true;
}

/* / between ints: floor division in brackets, and not allowed where a reader could take it for
 * either. */
static bool ambiguous_division(checker *cx, const ast_expr *e, const expr *x, const expr *y)
{
	if (cx->place != PLACE_MASK || x->type != TYPE_INT || y->type != TYPE_INT ||
		(is_const(x) && is_const(y)))
		return false;
	diag_error(
		cx->d, e->op.op_at, "'/' between two run-time ints in a mask divides real numbers");
	diag_hint(cx->d, "use '//' to round down, or float(x) / y");
	return true;
}

static expr *resolve_binary(checker *cx, const ast_expr *e)
{
	expr *x = resolve_expr(cx, e->op.left), *y = resolve_expr(cx, e->op.right), *v;
	expr_op op = operator_of[e->op.op].op;
	bool swap = operator_of[e->op.op].swapped;

	if (x->type == TYPE_POISON || y->type == TYPE_POISON)
		return expr_poison(cx->s, e->at);
	if (!operand_fits(cx, e->op.left->at, x, e->op.op) ||
		!operand_fits(cx, e->op.right->at, y, e->op.op) || divides_by_zero(cx, e, y))
		return expr_poison(cx->s, e->at);
	if (op == EXPR_DIV && x->type == TYPE_INT && y->type == TYPE_INT && cx->brackets)
		op = EXPR_IDIV;
	else if (op == EXPR_DIV && ambiguous_division(cx, e, x, y))
		return expr_poison(cx->s, e->at);
	v = expr_binary(cx->s, e->at, op, swap ? y : x, swap ? x : y);
	if (v->type == TYPE_INT && is_const(x) && is_const(y) && !is_const(v)) {
		diag_error(cx->d, e->at, "this number does not fit into 64 bits");
		return expr_poison(cx->s, e->at);
	}
	return v;
}

static expr *resolve_unary(checker *cx, const ast_expr *e)
{
	expr *x = resolve_expr(cx, e->op.left);

	if (x->type == TYPE_POISON || !operand_fits(cx, e->op.left->at, x, e->op.op))
		return expr_poison(cx->s, e->at);
	return expr_unary(cx->s, e->at, operator_of[e->op.op].op, x);
}

/* --- calls --- */

typedef struct {
	const char *name;
	int least, most; /* arguments; most -1: any number */
	expr_op op;
} function;

static const function functions[] = {
	{"exp", 1, 1, EXPR_EXP},
	{"log", 1, 1, EXPR_LOG},
	{"tanh", 1, 1, EXPR_TANH},
	{"sqrt", 1, 1, EXPR_SQRT},
	{"abs", 1, 1, EXPR_ABS},
	{"sin", 1, 1, EXPR_SIN},
	{"cos", 1, 1, EXPR_COS},
	{"floor", 1, 1, EXPR_FLOOR},
	{"float", 1, 1, EXPR_TO_FLOAT},
	{"pow", 2, 2, EXPR_POW},
	{"min", 2, -1, EXPR_MIN},
	{"max", 2, -1, EXPR_MAX},
	{"where", 3, 3, EXPR_WHERE},
};

static const function *find_function(const char *name)
{
	for (size_t k = 0; k < sizeof functions / sizeof *functions; k++)
		if (strcmp(functions[k].name, name) == 0)
			return &functions[k];
	return NULL;
}

static expr *unknown_function(checker *cx, const ast_expr *e)
{
	const ast_name *callee = &e->call.callee;
	symbol *sym = names_find(cx, callee->text);

	if (!sym && !resolve_binder(cx, callee->text)) {
		diag_error(cx->d, callee->at, "unknown function '%s'", callee->text);
		names_hint(cx, callee->text, 0, names_functions);
		return expr_poison(cx->s, e->at);
	}
	if (sym)
		sym->used = true;
	diag_error(cx->d, callee->at, "'%s' is %s, not a function", callee->text,
		sym ? names_noun(sym) : "a feature index");
	if (sym && (sym->kind == SYM_TENSOR || sym->kind == SYM_VECTOR))
		diag_hint(cx->d, "subscripts are written in brackets: %s[...]", callee->text);
	return expr_poison(cx->s, e->at);
}

static bool count_arguments(checker *cx, const ast_expr *e, const function *f)
{
	int n = e->call.args.count;

	if (n >= f->least && (f->most < 0 || n <= f->most))
		return true;
	diag_error(cx->d, e->at, "'%s' takes %s%d argument%s, not %d", f->name,
		f->most < 0 ? "at least " : "", f->least, f->least == 1 ? "" : "s", n);
	if (f->most < 0 && n == 1)
		diag_hint(cx->d,
			"a reduction is written %s(j) s, with its body behind the parentheses",
			f->name);
	return false;
}

/* min and max of many, as a tree of little depth. */
static expr *apply_binary(checker *cx, loc at, expr_op op, expr *const *arg, int n)
{
	if (n == 1)
		return arg[0];
	return expr_binary(cx->s, at, op, apply_binary(cx, at, op, arg, n - n / 2),
		apply_binary(cx, at, op, arg + n - n / 2, n / 2));
}

static expr *apply(checker *cx, const ast_expr *e, const function *f, expr *const *arg, int n)
{
	expr *v;

	if (f->op == EXPR_WHERE)
		return expr_where(cx->s, e->at, arg[0], arg[1], arg[2]);
	if (n == 1)
		v = expr_unary(cx->s, e->at, f->op, arg[0]);
	else
		v = apply_binary(cx, e->at, f->op, arg, n);
	if (v->type == TYPE_FLOAT && n == 1 && is_const(arg[0]) && !is_const(v)) {
		diag_error(cx->d, e->at, "'%s' of this number is not a number", f->name);
		return expr_poison(cx->s, e->at);
	}
	return v;
}

static expr *resolve_call(checker *cx, const ast_expr *e)
{
	const function *f = find_function(e->call.callee.text);
	int n = e->call.args.count;
	bool fits = true;
	expr **arg;

	if (strcmp(e->call.callee.text, "det") == 0)
		return load_det(cx, e);
	if (strcmp(e->call.callee.text, "cross") == 0) {
		diag_error(cx->d, e->at, "'cross' is a vector and needs a subscript");
		diag_hint(cx->d, "write cross(x, y)[d]");
		return expr_poison(cx->s, e->at);
	}
	if (!f)
		return unknown_function(cx, e);
	if (!count_arguments(cx, e, f))
		return expr_poison(cx->s, e->at);
	arg = ARENA_ARRAY(cx->a, expr *, n);
	for (int k = 0; k < n; k++) {
		char what[48];

		const ast_expr *a = e->call.args.item[k];

		arg[k] = resolve_expr(cx, a);
		snprintf(what, sizeof what, "argument of '%s'", f->name);
		if (arg[k]->type == TYPE_POISON)
			fits = false;
		else if (f->op == EXPR_WHERE && k == 0)
			fits = condition_operand(cx, a->at, arg[k], "where") && fits;
		else
			fits = resolve_number(cx, a->at, arg[k], what) && fits;
	}
	return fits ? apply(cx, e, f, arg, n) : expr_poison(cx->s, e->at);
}

expr *resolve_in_brackets(checker *cx, const ast_expr *e)
{
	bool before = cx->brackets;
	expr *v;

	cx->brackets = true;
	v = resolve_expr(cx, e);
	cx->brackets = before;
	return v;
}

expr *resolve_expr(checker *cx, const ast_expr *e)
{
	if (cx->exhausted)
		return expr_poison(cx->s, e->at);
	switch (e->kind) {
	case AST_INT:
		return expr_int(cx->s, e->at, e->integer);
	case AST_FLOAT:
		return expr_float(cx->s, e->at, e->real.value);
	case AST_NAME:
		return resolve_name(cx, e);
	case AST_UNARY:
		return resolve_unary(cx, e);
	case AST_BINARY:
		return resolve_binary(cx, e);
	case AST_CALL:
		return resolve_call(cx, e);
	case AST_SUBSCRIPT:
		return load_subscript(cx, e);
	case AST_REDUCE:
		return reduce_resolve(cx, e);
	}
	ice("expression kind %d", (int)e->kind);
}
