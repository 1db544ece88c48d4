/* ast_expr_print.c: an expression in canonical form. In: a tree. Out: text that parses to the same
 * tree, with the fewest parentheses. A reduction's body runs as far to the right as it can, so what
 * follows a node decides whether it needs parentheses, not its parent alone. */
#include "ast/ast.h"
#include <string.h>

/* Binding strength, loosest first; the order of the precedences in parser.y. */
enum {
	LEVEL_OR,
	LEVEL_AND,
	LEVEL_NOT,
	LEVEL_COMPARE,
	LEVEL_ADD,
	LEVEL_REDUCE,
	LEVEL_MUL,
	LEVEL_NEG,
	LEVEL_ATOM
};

/* What may stand right behind a node that a reduction at its end would swallow. */
enum { THEN_MUL = 1, THEN_WITH = 2 };

static const struct {
	const char *text;
	int level;
} op_info[] = {
	[AST_OP_ADD] = {"+", LEVEL_ADD},
	[AST_OP_SUB] = {"-", LEVEL_ADD},
	[AST_OP_MUL] = {"*", LEVEL_MUL},
	[AST_OP_DIV] = {"/", LEVEL_MUL},
	[AST_OP_IDIV] = {"//", LEVEL_MUL},
	[AST_OP_MOD] = {"%", LEVEL_MUL},
	[AST_OP_LT] = {"<", LEVEL_COMPARE},
	[AST_OP_LE] = {"<=", LEVEL_COMPARE},
	[AST_OP_GT] = {">", LEVEL_COMPARE},
	[AST_OP_GE] = {">=", LEVEL_COMPARE},
	[AST_OP_EQ] = {"==", LEVEL_COMPARE},
	[AST_OP_NE] = {"!=", LEVEL_COMPARE},
	[AST_OP_AND] = {"and", LEVEL_AND},
	[AST_OP_OR] = {"or", LEVEL_OR},
	[AST_OP_NEG] = {"-", LEVEL_NEG},
	[AST_OP_NOT] = {"not", LEVEL_NOT},
};

const char *ast_op_text(ast_op op)
{
	return op_info[op].text;
}

static int expr_level(const ast_expr *e)
{
	switch (e->kind) {
	case AST_UNARY:
	case AST_BINARY:
		return op_info[e->op.op].level;
	case AST_REDUCE:
		return LEVEL_REDUCE;
	case AST_INT:
	case AST_FLOAT:
	case AST_NAME:
	case AST_CALL:
	case AST_SUBSCRIPT:
		break;
	}
	return LEVEL_ATOM;
}

static void put_expr(const ast_expr *e, int level, int then, text *out);

static void put_list(ast_exprs list, char open, char close, text *out)
{
	text_putn(out, &open, 1);
	for (int i = 0; i < list.count; i++) {
		text_put(out, i ? ", " : "");
		put_expr(list.item[i], LEVEL_OR, 0, out);
	}
	text_putn(out, &close, 1);
}

static bool takes_sink(const ast_expr *e)
{
	return strcmp(e->reduce.how.text, "softmax") == 0 ||
	       strcmp(e->reduce.how.text, "logsumexp") == 0;
}

static bool is_extremum(const ast_expr *e)
{
	return strcmp(e->reduce.how.text, "max") == 0 || strcmp(e->reduce.how.text, "min") == 0;
}

/* Whether the text of `e`, printed at `level`, begins with a minus sign. */
static bool begins_with_minus(const ast_expr *e, int level)
{
	while (expr_level(e) >= level) {
		if (e->kind == AST_UNARY)
			return e->op.op == AST_OP_NEG;
		if (e->kind != AST_BINARY)
			return false;
		level = expr_level(e);
		e = e->op.left;
	}
	return false;
}

/* sum(d : D) body with sink. max(a, b) - x subtracts, so the body of max and min must not begin
 * with a minus. */
static void put_reduce(const ast_expr *e, int then, text *out)
{
	int body_then = then | (e->reduce.with ? THEN_WITH : 0);
	bool parens = is_extremum(e) && begins_with_minus(e->reduce.body, LEVEL_REDUCE);

	text_printf(out, "%s(", e->reduce.how.text);
	for (int i = 0; i < e->reduce.over.count; i++) {
		const ast_binder *b = &e->reduce.over.item[i];

		text_printf(out, "%s%s", i ? ", " : "", b->name.text);
		if (!b->extent)
			continue;
		text_put(out, " : ");
		put_expr(b->extent, LEVEL_OR, 0, out);
	}
	text_put(out, ") ");
	put_expr(e->reduce.body, parens ? LEVEL_ATOM : LEVEL_REDUCE, body_then, out);
	if (e->reduce.with) {
		text_put(out, " with ");
		put_expr(e->reduce.with, LEVEL_REDUCE, then, out);
	}
}

static void put_binary(const ast_expr *e, int then, text *out)
{
	int level = op_info[e->op.op].level;
	int left = level == LEVEL_COMPARE ? LEVEL_ADD : level;
	const ast_expr *right = e->op.right;

	put_expr(e->op.left, left, level == LEVEL_MUL ? THEN_MUL : 0, out);
	text_printf(out, " %s ", op_info[e->op.op].text);
	/* a * sum(d) b needs no parentheses although sum binds loosely: nothing else could be
	 * meant. */
	if (right->kind == AST_REDUCE)
		put_expr(right, LEVEL_REDUCE < level ? LEVEL_REDUCE : level + 1, then, out);
	else
		put_expr(right, level + 1, then, out);
}

static void put_unary(const ast_expr *e, int then, text *out)
{
	int level = op_info[e->op.op].level;

	text_put(out, e->op.op == AST_OP_NOT ? "not " : "-");
	if (e->op.left->kind == AST_REDUCE)
		level = LEVEL_REDUCE;
	put_expr(e->op.left, level, then, out);
}

/* Whether a reduction needs parentheses because what follows would become part of it. */
static bool swallows(const ast_expr *e, int then)
{
	if (e->kind != AST_REDUCE)
		return false;
	return (then & THEN_MUL) || ((then & THEN_WITH) && takes_sink(e) && !e->reduce.with);
}

static void put_expr(const ast_expr *e, int level, int then, text *out)
{
	bool parens = expr_level(e) < level || swallows(e, then);

	if (parens) {
		text_put(out, "(");
		then = 0;
	}
	switch (e->kind) {
	case AST_INT:
		text_printf(out, "%lld", (long long)e->integer);
		break;
	case AST_FLOAT:
		text_put(out, e->real.text);
		break;
	case AST_NAME:
		text_put(out, e->name.text);
		break;
	case AST_UNARY:
		put_unary(e, then, out);
		break;
	case AST_BINARY:
		put_binary(e, then, out);
		break;
	case AST_CALL:
		text_put(out, e->call.callee.text);
		put_list(e->call.args, '(', ')', out);
		break;
	case AST_SUBSCRIPT:
		put_expr(e->sub.base, LEVEL_ATOM, 0, out);
		put_list(e->sub.args, '[', ']', out);
		break;
	case AST_REDUCE:
		put_reduce(e, then, out);
		break;
	}
	if (parens)
		text_put(out, ")");
}

void ast_expr_print(const ast_expr *e, text *out)
{
	put_expr(e, LEVEL_OR, 0, out);
}
