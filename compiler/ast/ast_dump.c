/* ast_dump.c: the tree with locations, one node a line (--emit ast). In: a file. Out: text,
 * children indented below their parent, each line ending with line:column-line:column of the node.
 */
#include "ast/ast.h"

typedef struct {
	const source *src;
	text *out;
} dump;

/* One line: what the node is, where it stands; the children follow deeper. */
static void node(dump *d, loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void node(dump *d, loc at, const char *fmt, ...)
{
	int line, column, end_line, end_column;
	va_list ap;

	source_position(d->src, at.begin, &line, &column);
	source_position(d->src, at.end, &end_line, &end_column);
	text_fill(d->out, ' ', (size_t)d->out->indent * 2);
	va_start(ap, fmt);
	text_vprintf(d->out, fmt, ap);
	va_end(ap);
	text_printf(d->out, "  @%d:%d-%d:%d\n", line, column, end_line, end_column);
}

static void dump_expr(dump *d, const ast_expr *e);

static void dump_exprs(dump *d, ast_exprs list)
{
	d->out->indent++;
	for (int i = 0; i < list.count; i++)
		dump_expr(d, list.item[i]);
	d->out->indent--;
}

static void dump_reduce(dump *d, const ast_expr *e)
{
	node(d, e->at, "reduce %s", e->reduce.how.text);
	d->out->indent++;
	for (int i = 0; i < e->reduce.over.count; i++) {
		const ast_binder *b = &e->reduce.over.item[i];

		node(d, b->name.at, "over %s", b->name.text);
		if (b->extent)
			dump_exprs(d, (ast_exprs){(ast_expr *[]){b->extent}, 1, 1});
	}
	dump_expr(d, e->reduce.body);
	if (e->reduce.with) {
		node(d, e->reduce.with->at, "with");
		dump_exprs(d, (ast_exprs){(ast_expr *[]){e->reduce.with}, 1, 1});
	}
	d->out->indent--;
}

static void dump_expr(dump *d, const ast_expr *e)
{
	switch (e->kind) {
	case AST_INT:
		node(d, e->at, "int %lld", (long long)e->integer);
		break;
	case AST_FLOAT:
		node(d, e->at, "float %s", e->real.text);
		break;
	case AST_NAME:
		node(d, e->at, "name %s", e->name.text);
		break;
	case AST_UNARY:
		node(d, e->at, "unary %s", ast_op_text(e->op.op));
		dump_exprs(d, (ast_exprs){(ast_expr *[]){e->op.left}, 1, 1});
		break;
	case AST_BINARY:
		node(d, e->at, "binary %s", ast_op_text(e->op.op));
		dump_exprs(d, (ast_exprs){(ast_expr *[]){e->op.left, e->op.right}, 2, 2});
		break;
	case AST_CALL:
		node(d, e->at, "call %s", e->call.callee.text);
		dump_exprs(d, e->call.args);
		break;
	case AST_SUBSCRIPT:
		node(d, e->at, "subscript");
		dump_exprs(d, (ast_exprs){(ast_expr *[]){e->sub.base}, 1, 1});
		dump_exprs(d, e->sub.args);
		break;
	case AST_REDUCE:
		dump_reduce(d, e);
		break;
	}
}

static void dump_statement(dump *d, const ast_stmt *s)
{
	switch (s->kind) {
	case AST_CONST:
	case AST_PARAM:
		node(d, s->at, "%s %s", s->kind == AST_CONST ? "const" : "param", s->def.name.text);
		dump_exprs(d, (ast_exprs){(ast_expr *[]){s->def.value}, 1, 1});
		break;
	case AST_GROUP:
		node(d, s->at, "group %s of %s", s->group.group.text, s->group.of.text);
		break;
	case AST_INDEX:
		node(d, s->at, "index");
		d->out->indent++;
		for (int i = 0; i < s->index.names.count; i++)
			node(d, s->index.names.item[i].at, "name %s", s->index.names.item[i].text);
		dump_expr(d, s->index.extent);
		d->out->indent--;
		break;
	case AST_WINDOW:
		node(d, s->at, "window %s %s, %s", s->window.index.text,
			s->window.low_open ? "(low" : "[low",
			s->window.high_open ? "high)" : "high]");
		dump_exprs(d, (ast_exprs){(ast_expr *[]){s->window.low, s->window.high}, 2, 2});
		break;
	case AST_MASK:
		node(d, s->at, "mask");
		dump_exprs(d, (ast_exprs){(ast_expr *[]){s->mask}, 1, 1});
		break;
	case AST_DEFINE:
		node(d, s->at, "define %s", s->define.name.text);
		d->out->indent++;
		for (int i = 0; i < s->define.params.count; i++)
			node(d, s->define.params.item[i].at, "parameter %s",
				s->define.params.item[i].text);
		dump_expr(d, s->define.value);
		d->out->indent--;
		break;
	}
}

static void dump_tensors(dump *d, const char *what, const ast_tensor *t, int n)
{
	for (int i = 0; i < n; i++) {
		node(d, t[i].at, "%s %s : %s", what, t[i].name.text, t[i].type.text);
		dump_exprs(d, t[i].dims);
	}
}

static void dump_schedule(dump *d, const ast_schedule *s)
{
	node(d, s->at, "schedule %s%s%s", s->spec.text, s->target.text ? " on " : "",
		s->target.text ? s->target.text : "");
	d->out->indent++;
	for (int i = 0; i < s->settings.count; i++) {
		const ast_setting *t = &s->settings.item[i];

		node(d, t->at, "setting %s%s%s", t->key.text, t->subject.text ? " " : "",
			t->subject.text ? t->subject.text : "");
		if (t->value)
			dump_exprs(d, (ast_exprs){(ast_expr *[]){t->value}, 1, 1});
	}
	d->out->indent--;
}

void ast_dump(const ast_file *f, const source *src, text *out)
{
	dump d = {src, out};

	for (int i = 0; i < f->specs.count; i++) {
		const ast_spec *s = f->specs.item[i];

		node(&d, s->at, "attention %s", s->name.text);
		out->indent++;
		dump_tensors(&d, "input", s->inputs.item, s->inputs.count);
		dump_tensors(&d, "output", s->outputs.item, s->outputs.count);
		for (int k = 0; k < s->body.count; k++)
			dump_statement(&d, &s->body.item[k]);
		out->indent--;
	}
	for (int i = 0; i < f->schedules.count; i++)
		dump_schedule(&d, f->schedules.item[i]);
}
