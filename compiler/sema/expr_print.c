/* expr_print.c: a checked expression in the language's own syntax, with the fewest parentheses.
 * in:  an expression
 * out: text with implied subscripts shown; implicit int -> float conversions stay implicit
 * relies on: the grammar's precedences, which `prec` repeats. */
#include "sema/sema.h"

enum {
	PREC_ANY,
	PREC_OR,
	PREC_AND,
	PREC_NOT,
	PREC_CMP,
	PREC_SUM,
	PREC_REDUCE,
	PREC_MUL,
	PREC_UNARY,
	PREC_ATOM
};

static void print(const expr *e, int least, text *out);

static int prec(const expr *e)
{
	switch (e->op) {
	case EXPR_OR:
		return PREC_OR;
	case EXPR_AND:
		return PREC_AND;
	case EXPR_NOT:
		return PREC_NOT;
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_EQ:
	case EXPR_NE:
		return PREC_CMP;
	case EXPR_ADD:
	case EXPR_SUB:
		return PREC_SUM;
	case EXPR_REDUCE:
	case EXPR_SOFTMAX:
		return PREC_REDUCE;
	case EXPR_MUL:
	case EXPR_DIV:
	case EXPR_IDIV:
	case EXPR_MOD:
		return PREC_MUL;
	case EXPR_NEG:
		return PREC_UNARY;
	case EXPR_CONST_INT:
		return e->i < 0 ? PREC_UNARY : PREC_ATOM;
	case EXPR_CONST_FLOAT:
		return e->f < 0 ? PREC_UNARY : PREC_ATOM;
	case EXPR_TO_FLOAT:
		return prec(e->arg[0]);
	default:
		return PREC_ATOM;
	}
}

static void print_list(expr *const *item, int n, text *out)
{
	for (int k = 0; k < n; k++) {
		if (k > 0)
			text_put(out, ", ");
		print(item[k], PREC_ANY, out);
	}
}

static void print_call(const expr *e, text *out)
{
	text_printf(out, "%s(", expr_op_info[e->op].text);
	print_list(e->arg, expr_op_info[e->op].arity, out);
	text_put(out, ")");
}

static void print_infix(const expr *e, text *out)
{
	int p = prec(e);

	/* Comparisons don't associate; the others do to the left. */
	print(e->arg[0], p == PREC_CMP ? p + 1 : p, out);
	text_printf(out, " %s ", expr_op_info[e->op].text);
	print(e->arg[1], p + 1, out);
}

static void print_reduce(const expr *e, text *out)
{
	static const char *const how[] = {"sum", "max", "min", "prod", "logsumexp"};
	const expr *body = e->reduce.body;
	bool sink = (body->op == EXPR_REDUCE || body->op == EXPR_SOFTMAX) && body->reduce.sink;

	text_printf(out, "%s(", e->op == EXPR_SOFTMAX ? "softmax" : how[e->reduce.how]);
	for (int k = 0; k < e->reduce.axes; k++)
		text_printf(out, "%s%s", k > 0 ? ", " : "", e->reduce.axis[k]->coord);
	text_put(out, ") ");
	print(body, sink ? PREC_ATOM : PREC_REDUCE, out);
	if (e->reduce.sink) {
		text_put(out, " with ");
		print(e->reduce.sink, PREC_MUL, out);
	}
}

static void print_load(const expr *e, text *out)
{
	text_put(out, e->load.tensor->name);
	if (e->load.tensor->rank == 0)
		return;
	text_put(out, "[");
	print_list(e->load.sub, e->load.tensor->rank, out);
	text_put(out, "]");
}

static void print_bare(const expr *e, text *out)
{
	switch (e->op) {
	case EXPR_CONST_INT:
		text_printf(out, "%lld", (long long)e->i);
		return;
	case EXPR_CONST_FLOAT:
		text_double(out, e->f, 1);
		return;
	case EXPR_COORD:
		text_put(out, e->axis->coord);
		return;
	case EXPR_LENGTH:
		text_put(out, e->length->name);
		return;
	case EXPR_PARAM:
		text_put(out, e->param->name);
		return;
	case EXPR_LOAD:
		print_load(e, out);
		return;
	case EXPR_DEF:
		text_put(out, e->def->name);
		return;
	case EXPR_DOT:
		text_put(out, "dot");
		return;
	case EXPR_TO_FLOAT:
		print_bare(e->arg[0], out);
		return;
	case EXPR_NEG:
		text_put(out, "-");
		print(e->arg[0], PREC_UNARY, out);
		return;
	case EXPR_NOT:
		text_put(out, "not ");
		print(e->arg[0], PREC_NOT, out);
		return;
	case EXPR_REDUCE:
	case EXPR_SOFTMAX:
		print_reduce(e, out);
		return;
	default:
		if (prec(e) == PREC_ATOM)
			print_call(e, out);
		else
			print_infix(e, out);
	}
}

static void print(const expr *e, int least, text *out)
{
	bool parens = prec(e) < least;

	if (parens)
		text_put(out, "(");
	print_bare(e, out);
	if (parens)
		text_put(out, ")");
}

void expr_print(const expr *e, text *out)
{
	print(e, PREC_ANY, out);
}
