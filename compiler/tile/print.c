/* print.c: program -> text.
 * One statement a line, written as tile_ops.def's syntax column says. A value that a statement uses
 * more than once is named on a line of its own before it: with $1 = ... */
#include "tile/tile_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	const tile_program *p;
	text *out;
	uint32_t *uses;  /* [expr id]: references inside the statement */
	uint32_t *named; /* [expr id]: n of $n, 0: none */
	const tile_expr **shared;
	uint32_t shared_count, seen_count;
	uint32_t *seen; /* ids to clear after the statement */
} printer;

int tile_precedence(tile_expr_op op)
{
	switch (op) {
	case TX_OR:
		return 1;
	case TX_AND:
		return 2;
	case TX_LT:
	case TX_LE:
	case TX_EQ:
	case TX_NE:
		return 3;
	case TX_ADD:
	case TX_SUB:
		return 4;
	case TX_MUL:
	case TX_DIV:
	case TX_MOD:
		return 5;
	default:
		return 0;
	}
}

/* --- values --- */

/* The shortest decimal that reads back as the same float. */
static void print_float(text *out, double v)
{
	char digits[32];
	text t = {0};

	if (isnan(v) || isinf(v) || (fabs(v) < 1e7 && floor(v) == v)) {
		text_double(out, v, 1);
		return;
	}
	for (int precision = 1; precision <= 9; precision++) {
		snprintf(digits, sizeof digits, "%.*g", precision, v);
		for (char *c = digits; *c; c++)
			if (!strchr("+-.0123456789e", *c))
				*c = '.';
		if ((float)text_to_double(digits) == (float)v)
			break;
	}
	text_double(&t, text_to_double(digits), 1);
	text_put(out, t.data);
	text_free(&t);
}

static void print_value(printer *c, const tile_expr *x, int level);

static void print_call(printer *c, const char *name, const tile_expr *x)
{
	text_printf(c->out, "%s(", name);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		if (i)
			text_put(c->out, ", ");
		print_value(c, x->arg[i], 0);
	}
	text_put(c->out, ")");
}

static void print_indexed(printer *c, const char *name, const tile_expr *x)
{
	text_printf(c->out, "%s[", name);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		if (i)
			text_put(c->out, ", ");
		print_value(c, x->arg[i], 0);
	}
	text_put(c->out, "]");
}

static void print_const(text *out, const tile_expr *x)
{
	if (x->type == TILE_F32)
		print_float(out, x->f);
	else if (x->type == TILE_B1)
		text_put(out, x->i ? "true" : "false");
	else
		text_printf(out, "%lld%s", (long long)x->i, x->type == TILE_I64 ? "i64" : "");
}

static void print_infix(printer *c, const tile_expr *x, int level)
{
	int mine = tile_precedence(x->op);
	bool parens = mine < level, compare = tile_expr_info[x->op].result == RESULT_BOOL;

	if (parens)
		text_put(c->out, "(");
	print_value(c, x->arg[0], compare ? mine + 1 : mine);
	text_printf(c->out, " %s ", tile_expr_info[x->op].text);
	print_value(c, x->arg[1], mine + 1);
	if (parens)
		text_put(c->out, ")");
}

static void print_node(printer *c, const tile_expr *x, int level)
{
	switch (x->op) {
	case TX_CONST:
		print_const(c->out, x);
		return;
	case TX_VAR:
		text_put(c->out, x->var->name);
		return;
	case TX_ARG:
		text_put(c->out, x->arg_ref->name);
		return;
	case TX_FRAG:
		text_put(c->out, x->frag->name);
		return;
	case TX_BLOCK:
		text_printf(c->out, "block.%c", "xyz"[x->i]);
		return;
	case TX_GLOBAL:
		print_indexed(c, x->arg_ref->name, x);
		return;
	case TX_SHARED:
		print_indexed(c, x->buffer->name, x);
		return;
	case TX_CVT:
		print_call(c, tile_type_name(x->type), x);
		return;
	case TX_BITS:
		text_put(c->out, "bits.");
		print_call(c, tile_type_name(x->type), x);
		return;
	default:
		break;
	}
	if (tile_expr_info[x->op].arity == 0)
		text_put(c->out, tile_expr_info[x->op].text);
	else if (tile_precedence(x->op))
		print_infix(c, x, level);
	else
		print_call(c, tile_expr_info[x->op].text, x);
}

/* `level`: the least precedence that needs no parentheses. */
static void print_value(printer *c, const tile_expr *x, int level)
{
	if (c->named[x->id])
		text_printf(c->out, "$%u", c->named[x->id]);
	else
		print_node(c, x, level);
}

/* --- shared values --- */

static void count_uses(printer *c, const tile_expr *x)
{
	if (c->uses[x->id]++)
		return;
	c->seen[c->seen_count++] = x->id;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		count_uses(c, x->arg[i]);
}

/* Operands before users. */
static void collect_shared(printer *c, const tile_expr *x)
{
	uint32_t uses = c->uses[x->id];

	if (uses == 0 || tile_expr_info[x->op].arity == 0)
		return;
	c->uses[x->id] = 0;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		collect_shared(c, x->arg[i]);
	if (uses > 1)
		c->shared[c->shared_count++] = x;
}

/* Calls `f` for every value of a statement. */
static void each_value(printer *c, const tile_stmt *s, void (*f)(printer *, const tile_expr *))
{
	const char *signature = tile_op_info[s->op].signature;

	for (int i = 0; signature[i]; i++) {
		tile_expr *value[TILE_OPERAND_VALUES];
		int n = tile_operand_values(signature[i], &s->arg[i], value);

		for (int k = 0; k < n; k++)
			f(c, value[k]);
	}
}

static void print_shared(printer *c, const tile_stmt *s)
{
	c->shared_count = c->seen_count = 0;
	each_value(c, s, count_uses);
	each_value(c, s, collect_shared);
	for (uint32_t i = 0; i < c->shared_count; i++) {
		text_fill(c->out, ' ', (size_t)c->out->indent * 4);
		text_printf(c->out, "with $%u = ", i + 1);
		print_node(c, c->shared[i], 0);
		text_put(c->out, "\n");
		c->named[c->shared[i]->id] = i + 1;
	}
}

static void forget_shared(printer *c)
{
	for (uint32_t i = 0; i < c->seen_count; i++)
		c->uses[c->seen[i]] = c->named[c->seen[i]] = 0;
}

/* --- statements --- */

static void print_slice(printer *c, const tile_slice *s)
{
	const tile_frag *f = s->frag;

	text_put(c->out, f->name);
	if (tx_is_const(s->first, 0) && tx_is_const(s->first_row, 0) && s->cols == f->cols &&
		s->rows == f->rows)
		return;
	text_put(c->out, "[");
	if (!tx_is_const(s->first_row, 0) || s->rows != f->rows)
		print_value(c, s->first_row, 0);
	text_put(c->out, ":");
	if (!tx_is_const(s->first_row, 0) || s->rows != f->rows)
		text_printf(c->out, "+%d", s->rows);
	text_put(c->out, ", ");
	print_value(c, s->first, 0);
	text_printf(c->out, ":+%d]", s->cols);
}

static void print_region(printer *c, const tile_region *r)
{
	const tile_buffer *b = r->buffer;

	text_printf(c->out, "%s[", b->name);
	print_value(c, r->slot, 0);
	if (!tx_is_const(r->row, 0) || !tx_is_const(r->col, 0) || r->rows != b->rows ||
		r->cols != b->cols) {
		text_put(c->out, ", ");
		print_value(c, r->row, 0);
		text_printf(c->out, ":+%d, ", r->rows);
		print_value(c, r->col, 0);
		text_printf(c->out, ":+%d", r->cols);
	}
	text_put(c->out, "]");
}

static void print_list(printer *c, const tile_list *l)
{
	for (int i = 0; i < l->count; i++)
		text_printf(c->out, "%s%s", i ? ", " : "", l->frag[i]->name);
}

static void print_box(printer *c, const tile_box *b)
{
	text_printf(c->out, "%s(", b->map->name);
	for (int i = 0; i < b->rank; i++) {
		if (i)
			text_put(c->out, ", ");
		print_value(c, b->coord[i], 0);
	}
	text_put(c->out, ")");
}

static void print_bar_ref(printer *c, const tile_bar_ref *b)
{
	text_printf(c->out, "%s[", b->bar->name);
	print_value(c, b->index, 0);
	text_put(c->out, "]");
}

static void print_operand(printer *c, char letter, const tile_operand *o)
{
	switch (letter) {
	case 'd':
	case 'v':
		text_put(c->out, o->var->name);
		return;
	case 'f':
		print_slice(c, &o->slice);
		return;
	case 's':
		print_region(c, &o->region);
		return;
	case 't':
		text_put(c->out, o->tensor->name);
		return;
	case 'e':
		print_value(c, o->value, 0);
		return;
	case 'i':
		text_printf(c->out, "%lld", (long long)o->integer);
		return;
	case 'w':
		text_put(c->out, o->word == WORD_MAX ? "max" : "sum");
		return;
	case 'a':
		text_put(c->out, o->bar.bar->name);
		return;
	case 'b':
		print_bar_ref(c, &o->bar);
		return;
	case 'm':
		print_box(c, &o->box);
		return;
	case 'l':
		print_list(c, &o->list);
		return;
	case 'z':
		text_put(c->out, o->zero ? "=" : "+=");
		return;
	default:
		ice("no operand letter '%c'", letter);
	}
}

/* Whether the operand inside {...} is what its absence means. */
static bool is_default(const tile_stmt *s, const char *group)
{
	int i = group[strcspn(group, "0123456789")] - '0';

	switch (tile_op_info[s->op].signature[i]) {
	case 'i':
		return s->arg[i].integer == 1;
	case 'l':
		return s->arg[i].list.count == 0;
	default:
		return tx_is_const(s->arg[i].value, 1);
	}
}

static void print_syntax(printer *c, const tile_stmt *s)
{
	const struct tile_op_info *info = &tile_op_info[s->op];

	text_put(c->out, info->text);
	if (*info->syntax && *info->syntax != '.' &&
		!(*info->syntax == '{' && is_default(s, info->syntax)))
		text_put(c->out, " ");
	for (const char *x = info->syntax; *x; x++) {
		if (*x == '{' && is_default(s, x))
			x = strchr(x, '}');
		else if (*x >= '0' && *x <= '9')
			print_operand(c, info->signature[*x - '0'], &s->arg[*x - '0']);
		else if (*x != '{' && *x != '}')
			text_putn(c->out, x, 1);
	}
}

/* Appends a comment; blanks at its ends and control characters do not survive. */
static void print_comment(text *out, int line, const char *note)
{
	size_t n;

	while (note && *note == ' ')
		note++;
	n = note ? strlen(note) : 0;
	while (n && note[n - 1] == ' ')
		n--;
	if (line == 0 && n == 0)
		return;
	text_put(out, "  ;");
	if (line)
		text_printf(out, " spec:%d", line);
	if (n)
		text_put(out, " ");
	for (size_t i = 0; i < n; i++)
		text_fill(out, (unsigned char)note[i] < 0x20 || note[i] == 0x7f ? ' ' : note[i], 1);
}

static void print_block(printer *c, const tile_block *b);

static void print_stmt(printer *c, const tile_stmt *s)
{
	bool flow = tile_op_info[s->op].effect == EFFECT_FLOW;

	print_shared(c, s);
	text_fill(c->out, ' ', (size_t)c->out->indent * 4);
	print_syntax(c, s);
	forget_shared(c);
	if (flow)
		text_put(c->out, " {");
	print_comment(c->out, s->line == c->p->line ? 0 : s->line, s->note);
	text_put(c->out, "\n");
	if (!flow)
		return;
	print_block(c, &s->body);
	if (s->other.count) {
		text_line(c->out, "} else {");
		print_block(c, &s->other);
	}
	text_line(c->out, "}");
}

static void print_block(printer *c, const tile_block *b)
{
	c->out->indent++;
	for (int i = 0; i < b->count; i++)
		print_stmt(c, b->item[i]);
	c->out->indent--;
}

/* --- declarations --- */

static void print_map(text *out, const tile_arg *a)
{
	text_printf(out, "    in %s : map %s box", a->name, a->tensor->name);
	for (int i = 0; i < a->rank; i++)
		text_printf(out, "%s %d", i ? "," : "", a->box[i]);
	text_printf(out, " panel %d", TILE_PANEL);
	print_comment(out, 0, a->what);
	text_put(out, "\n");
}

static void print_arg(text *out, const tile_arg *a)
{
	if (a->kind == ARG_MAP) {
		print_map(out, a);
		return;
	}
	text_printf(out, "    %s %s : %s%s", a->written ? "out" : "in", a->name,
		tile_type_name(a->type), a->kind == ARG_TENSOR ? "[]" : "");
	print_comment(out, 0, a->what);
	text_put(out, "\n");
}

static void print_buffer(text *out, const tile_buffer *b)
{
	text_printf(out, "    shared %s : %s[%d, %d, %d] swizzle %d", b->name,
		tile_type_name(b->type), b->slots, b->rows, b->cols, b->swizzle);
	if (b->panel)
		text_printf(out, " panel %d", b->panel);
	if (b->offset >= 0)
		text_printf(out, " at %lld", (long long)b->offset);
	if (b->shares)
		text_printf(out, " shares %s", b->shares->name);
	print_comment(out, 0, b->what);
	text_put(out, "\n");
}

static void print_bar(text *out, const tile_mbar *b)
{
	if (b->kind == BAR_MBARRIER)
		text_printf(out, "    mbar %s[%d] count %d", b->name, b->slots, b->count);
	else
		text_printf(out, "    counter %s[%d]", b->name, b->slots);
	if (b->offset >= 0)
		text_printf(out, " at %lld", (long long)b->offset);
	print_comment(out, 0, b->what);
	text_put(out, "\n");
}

static void print_frag(text *out, const tile_frag *f)
{
	text_printf(out, "    %s %s : %s[", tile_layout_name(f->layout), f->name,
		tile_type_name(f->type));
	if (f->layout == LAYOUT_ROWV)
		text_printf(out, "%d]", f->rows);
	else if (f->layout == LAYOUT_COLV)
		text_printf(out, "%d] over %s", f->cols, tile_layout_name(f->of));
	else
		text_printf(out, "%d, %d]%s", f->rows, f->cols,
			f->layout != LAYOUT_ACC && f->of == LAYOUT_ACC ? " over acc" : "");
	print_comment(out, 0, f->what);
	text_put(out, "\n");
}

static void print_head(const tile_program *p, text *out)
{
	text_printf(out, "kernel %s on %s warps %d", p->name, p->target, p->warps);
	if (p->min_blocks)
		text_printf(out, " blocks %d", p->min_blocks);
	if (p->shared_bytes)
		text_printf(out, " shared %lld", (long long)p->shared_bytes);
	text_put(out, " {");
	print_comment(out, p->line, p->what);
	text_put(out, "\n");
	for (int i = 0; i < p->arg.count; i++)
		print_arg(out, p->arg.item[i]);
	for (int i = 0; i < p->buffer.count; i++)
		print_buffer(out, p->buffer.item[i]);
	for (int i = 0; i < p->bar.count; i++)
		print_bar(out, p->bar.item[i]);
	for (int i = 0; i < p->frag.count; i++)
		print_frag(out, p->frag.item[i]);
}

static printer printer_create(const tile_program *p, arena *scratch, text *out)
{
	size_t n = (size_t)p->expr_count + 1;

	if (!scratch)
		ice_memory("out of memory");
	return (printer){.p = p,
		.out = out,
		.uses = ARENA_ARRAY(scratch, uint32_t, n),
		.named = ARENA_ARRAY(scratch, uint32_t, n),
		.seen = ARENA_ARRAY(scratch, uint32_t, n),
		.shared = ARENA_ARRAY(scratch, const tile_expr *, n)};
}

void tile_print_stmt(const tile_program *p, const tile_stmt *s, text *out)
{
	arena *scratch = arena_create();
	text lines = {0};
	printer c = printer_create(p, scratch, &lines);

	print_shared(&c, s);
	text_free(&lines);
	c.out = out;
	print_syntax(&c, s);
	arena_destroy(scratch);
}

void tile_print(const tile_program *p, text *out)
{
	arena *scratch = arena_create();
	printer c = printer_create(p, scratch, out);
	int indent = out->indent;

	out->indent = 0;
	print_head(p, out);
	if (p->body.count)
		text_put(out, "\n");
	print_block(&c, &p->body);
	text_put(out, "}\n");
	out->indent = indent;
	arena_destroy(scratch);
}
