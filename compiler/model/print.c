/* print.c: --emit model.
 * in:  a checked spec
 * out: for each key axis as the inner one: A, B, c, the score, the outputs in the language's own
 * syntax, or the reason why there is no row form; the first line of each names the axes */
#include "model/form.h"
#include <stdio.h>

static void line_begin(text *out, const char *name)
{
	text_printf(out, "  %-6s = ", name);
}

static void print_axes(const row_form *m, bool with_inner, text *out)
{
	const char *comma = "";

	for (int i = 0; i < m->spec->key.count; i++) {
		const sema_axis *key = m->spec->key.item[i];

		if (key == m->inner && !with_inner)
			continue;
		text_printf(out, "%s%s", comma, key->coord);
		comma = ", ";
	}
}

/* A[d] = ..., B[d] = ...; numbered when there are several segments. */
static void print_segments(const row_form *m, text *out)
{
	char name[48];

	for (int i = 0; i < m->segments; i++)
		for (int side = 0; side < 2; side++) {
			const model_segment *g = &m->segment[i];

			if (m->segments > 1)
				snprintf(name, sizeof name, "%c%d[%.16s]", "AB"[side], i + 1,
					g->d->coord);
			else
				snprintf(name, sizeof name, "%c[%.16s]", "AB"[side],
					g -> d -> coord);
			line_begin(out, name);
			expr_print(side ? g->b : g->a, out);
			text_put(out, "\n");
		}
}

static void print_dot(const row_form *m, text *out)
{
	if (m->segments == 0 && !m->c)
		return;
	line_begin(out, "dot");
	for (int i = 0; i < m->segments; i++) {
		const char *d = m->segment[i].d->coord;

		if (m->segments > 1)
			text_printf(out, "%ssum(%s) A%d[%s] * B%d[%s]", i ? " + " : "", d, i + 1, d,
				i + 1, d);
		else
			text_printf(out, "sum(%s) A[%s] * B[%s]", d, d, d);
	}
	if (m->c)
		text_put(out, m->segments ? " + c" : "c");
	text_put(out, "\n");
}

static void print_score(const row_form *m, text *out)
{
	print_segments(m, out);
	if (m->c) {
		line_begin(out, "c");
		expr_print(m->c, out);
		text_put(out, "\n");
	}
	print_dot(m, out);
	line_begin(out, m->normalised ? "s" : "p");
	expr_print(m->f, out);
	text_put(out, "\n");
	if (!m->normalised)
		return;
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].kind == OUTPUT_SUM) {
			line_begin(out, "p");
			text_put(out, "softmax(");
			print_axes(m, true, out);
			text_put(out, ") s");
			if (m->sink) {
				text_put(out, " with ");
				expr_print(m->sink, out);
			}
			text_put(out, "\n");
			return;
		}
}

/* A factor of a product, in parentheses when it is a sum. */
static void print_factor(const expr *e, const char *after, text *out)
{
	bool parens = e->op == EXPR_ADD || e->op == EXPR_SUB || e->op == EXPR_REDUCE;

	text_put(out, parens ? "(" : "");
	expr_print(e, out);
	text_printf(out, "%s%s", parens ? ")" : "", after);
}

static void print_plus(const expr *e, text *out)
{
	if (!e)
		return;
	if (e->op == EXPR_NEG) {
		text_put(out, " - ");
		print_factor(e->arg[0], "", out);
	} else if (e->op == EXPR_CONST_FLOAT && e->f < 0) {
		text_put(out, " - ");
		text_double(out, -e->f, 1);
	} else {
		text_put(out, " + ");
		expr_print(e, out);
	}
}

static void print_output(const row_form *m, const model_output *o, text *out)
{
	line_begin(out, o->tensor->name);
	if (o->row)
		print_factor(o->row, " * ", out);
	if (o->kind == OUTPUT_LSE) {
		text_put(out, o->row ? "(logsumexp(" : "logsumexp(");
		print_axes(m, true, out);
		text_put(out, ") s");
		if (m->sink) {
			text_put(out, " with ");
			expr_print(m->sink, out);
		}
		text_put(out, o->row ? ")" : "");
	} else {
		text_put(out, o->row ? "(" : "");
		if (m->outers) {
			text_put(out, "sum(");
			print_axes(m, false, out);
			text_put(out, ") ");
			if (o->outer)
				print_factor(o->outer, " * ", out);
		}
		text_printf(out, "sum(%s) p", m->inner->coord);
		if (o->inner) {
			text_put(out, " * ");
			print_factor(o->inner, "", out);
		}
		text_put(out, o->row ? ")" : "");
	}
	print_plus(o->plus, out);
	text_put(out, "\n");
}

static void print_form(const row_form *m, text *out)
{
	print_score(m, out);
	for (int i = 0; i < m->outputs; i++)
		print_output(m, &m->output[i], out);
	if (m->head && m->head->group)
		text_printf(out, "  heads %s of one group %s share B and V\n", m->head->coord,
			m->head->group->coord);
	else if (m->head)
		text_printf(out, "  all %s share B and V\n", m->head->coord);
}

void model_print(sema_spec *s, text *out)
{
	for (int i = 0; i < s->key.count; i++) {
		sema_axis *inner = s->key.item[i];
		const char *why;
		loc at;
		row_form *m = model_row_form(s, inner, &why, &at);

		text_printf(
			out, "%srow form of %s, inner %s", i ? "\n" : "", s->name, inner->coord);
		for (int k = 0, first = 1; k < s->key.count; k++)
			if (k != i) {
				text_printf(out, "%s%s", first ? ", outer " : ", ",
					s->key.item[k]->coord);
				first = 0;
			}
		text_put(out, m ? "\n" : "\n  none: ");
		if (m)
			print_form(m, out);
		else {
			int line, column;

			source_position(s->src, at.begin, &line, &column);
			text_printf(out, "%s (line %d, column %d)\n", why, line, column);
		}
	}
}
