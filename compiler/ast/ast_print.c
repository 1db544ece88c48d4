/* ast_print.c: a file in canonical form (trikl fmt). In: a tree without errors, its source for
 * comments and blank lines. Out: text that parses to the same tree and prints as itself. Comments
 * are taken in the order of the source: those before a thing go on lines above it, those inside it
 * too, the one behind it on its line stays there. */
#include "ast/ast.h"
#include <string.h>

enum { WIDTH = 100, TENSORS_ON_A_LINE = 3 };

typedef struct {
	const ast_file *file;
	const source *src;
	text *out;
	int comment;    /* the next one to print */
	bool can_blank; /* something stands above in this block, so a blank line may */
	bool in_line;   /* the last line is not ended yet */
} printer;

/* --- lines, blank lines, comments --- */

static void line_end(printer *p)
{
	if (p->in_line)
		text_put(p->out, "\n");
	p->in_line = false;
}

static void line_begin(printer *p)
{
	line_end(p);
	for (int i = 0; i < p->out->indent; i++)
		text_put(p->out, "    ");
	p->in_line = true;
}

static void blank_line(printer *p)
{
	line_end(p);
	if (p->can_blank)
		text_put(p->out, "\n");
	p->can_blank = false;
}

/* Whether the source has an empty line right above `at`. */
static bool blank_before(const printer *p, uint32_t at)
{
	int lines = 0;

	while (at > 0 && p->src->text[at - 1] && strchr(" \t\r\n", p->src->text[at - 1]))
		lines += p->src->text[--at] == '\n';
	return lines >= 2;
}

static const ast_comment *comment_next(const printer *p, uint32_t before)
{
	const ast_comment *c;

	if (p->comment >= p->file->comments.count)
		return NULL;
	c = &p->file->comments.item[p->comment];
	return c->at.begin < before ? c : NULL;
}

static void comment_put(printer *p, const ast_comment *c)
{
	text_putn(p->out, p->src->text + c->at.begin, c->at.end - c->at.begin);
	p->comment++;
	p->can_blank = true;
}

/* Every comment that begins before `until`, on lines of their own. */
static void comments_above(printer *p, uint32_t until, bool keep_blank)
{
	const ast_comment *c;

	while ((c = comment_next(p, until))) {
		if (keep_blank && blank_before(p, c->at.begin))
			blank_line(p);
		line_begin(p);
		comment_put(p, c);
	}
}

/* The comment on the same source line behind `end`, when the next thing does not begin before it.
 */
static void comment_behind(printer *p, uint32_t end, uint32_t next)
{
	const ast_comment *c = comment_next(p, next);

	if (!c || c->own_line || c->at.begin < end ||
		memchr(p->src->text + end, '\n', c->at.begin - end))
		return;
	text_put(p->out, "  ");
	comment_put(p, c);
}

/* Starts the line of a thing at `at`: what stands above it first, then comments that were inside
 * it. */
static void thing_begin(printer *p, loc at)
{
	comments_above(p, at.begin, true);
	if (blank_before(p, at.begin))
		blank_line(p);
	comments_above(p, at.end, false);
	line_begin(p);
}

static void thing_end(printer *p, uint32_t end, uint32_t next)
{
	comment_behind(p, end, next);
	p->can_blank = true;
}

/* --- long statements --- */

/* Rank of the place before s[i] as a line break, lowest best; -1 when it is none. */
static int break_rank(const char *s, size_t i, int depth)
{
	static const char *const operators[] = {
		" or ", " and ", " with ", " + ", " - ", " * ", " / ", " // ", " % "};
	static const int rank[] = {1, 2, 3, 3, 3, 4, 4, 4, 4};

	if (s[i] != ' ')
		return -1;
	if (depth > 0 && s[i - 1] == ',')
		return depth * 8;
	for (size_t k = 0; k < sizeof rank / sizeof *rank; k++)
		if (strncmp(s + i, operators[k], strlen(operators[k])) == 0)
			return depth * 8 + rank[k];
	return -1;
}

static int depth_after(char c, int depth)
{
	return depth + (c == '(' || c == '[') - (c == ')' || c == ']');
}

static int best_rank(const char *s, size_t n)
{
	int best = -1, depth = 0, rank;

	for (size_t i = 1; i < n; i++) {
		depth = depth_after(s[i - 1], depth);
		rank = break_rank(s, i, depth);
		if (rank >= 0 && (best < 0 || rank < best))
			best = rank;
	}
	return best;
}

/* One statement, broken before its loosest operators where the line would be too long. */
static void put_statement(printer *p, const char *s, size_t n)
{
	size_t room = WIDTH - (size_t)p->out->indent * 4, start = 0, last = 0;
	int rank = n > room ? best_rank(s, n) : -1, depth = 0;

	for (size_t i = 1; rank >= 0 && i <= n; i++) {
		depth = depth_after(s[i - 1], depth);
		if (i < n && break_rank(s, i, depth) != rank)
			continue;
		/* The piece up to here does not fit behind the others: it begins a line. */
		if (i - start > room && last > start) {
			text_putn(p->out, s + start, last - start);
			p->out->indent += 2;
			line_begin(p);
			p->out->indent -= 2;
			start = last + 1;
			room = WIDTH - (size_t)(p->out->indent + 2) * 4;
		}
		last = i;
	}
	text_putn(p->out, s + start, n - start);
}

/* --- statements --- */

static void put_names(ast_names names, text *out)
{
	for (int i = 0; i < names.count; i++)
		text_printf(out, "%s%s", i ? ", " : "", names.item[i].text);
}

static void print_window(const ast_stmt *s, text *out)
{
	text_printf(out, "window %s in %c", s->window.index.text, s->window.low_open ? '(' : '[');
	ast_expr_print(s->window.low, out);
	text_put(out, ", ");
	ast_expr_print(s->window.high, out);
	text_put(out, s->window.high_open ? ")" : "]");
}

static void print_define(const ast_stmt *s, text *out)
{
	text_put(out, s->define.name.text);
	if (s->define.params.count) {
		text_put(out, "[");
		put_names(s->define.params, out);
		text_put(out, "]");
	}
	text_put(out, " = ");
	ast_expr_print(s->define.value, out);
}

/* The statement; of a const or param only `name = value`. */
static void print_statement(const ast_stmt *s, text *out)
{
	switch (s->kind) {
	case AST_CONST:
	case AST_PARAM:
		text_printf(out, "%s = ", s->def.name.text);
		ast_expr_print(s->def.value, out);
		break;
	case AST_GROUP:
		text_printf(out, "group %s of %s", s->group.group.text, s->group.of.text);
		break;
	case AST_INDEX:
		text_put(out, "index ");
		put_names(s->index.names, out);
		text_put(out, " : ");
		ast_expr_print(s->index.extent, out);
		break;
	case AST_WINDOW:
		print_window(s, out);
		break;
	case AST_MASK:
		text_put(out, "mask ");
		ast_expr_print(s->mask, out);
		break;
	case AST_DEFINE:
		print_define(s, out);
		break;
	}
}

/* Whether a joined item can stay on the line of the one before it: no comment between, and it fits.
 */
static bool can_join(const printer *p, const text *line, const text *item, uint32_t end)
{
	return !comment_next(p, end) &&
	       line->len + 2 + item->len <= WIDTH - (size_t)p->out->indent * 4;
}

/* `const` or `param` and the items from `i` on that share its line; returns the index behind them.
 */
static int print_list(printer *p, const ast_spec *spec, int i)
{
	const ast_stmt *s = &spec->body.item[i];
	text line = {0}, item = {0};

	thing_begin(p, s->at);
	text_put(&line, s->kind == AST_CONST ? "const " : "param ");
	print_statement(s, &line);
	for (i++; i < spec->body.count && spec->body.item[i].joined; i++) {
		item.len = 0;
		print_statement(&spec->body.item[i], &item);
		if (!can_join(p, &line, &item, spec->body.item[i].at.end))
			break;
		text_put(&line, ", ");
		text_putn(&line, item.data, item.len);
	}
	put_statement(p, line.data, line.len);
	text_free(&line);
	text_free(&item);
	return i;
}

static void print_body(printer *p, const ast_spec *spec)
{
	for (int i = 0; i < spec->body.count;) {
		const ast_stmt *s = &spec->body.item[i];
		text line = {0};

		if (s->kind == AST_CONST || s->kind == AST_PARAM) {
			i = print_list(p, spec, i);
		} else {
			thing_begin(p, s->at);
			print_statement(s, &line);
			put_statement(p, line.data, line.len);
			text_free(&line);
			i++;
		}
		thing_end(p, spec->body.item[i - 1].at.end,
			i < spec->body.count ? spec->body.item[i].at.begin : spec->at.end);
	}
}

/* --- the header --- */

static void print_tensor(const ast_tensor *t, text *out)
{
	text_printf(out, "%s : %s[", t->name.text, t->type.text);
	for (int i = 0; i < t->dims.count; i++) {
		text_put(out, i ? ", " : "");
		ast_expr_print(t->dims.item[i], out);
	}
	text_put(out, "]");
}

static void print_tensors_apart(printer *p, const ast_tensor *t, int n, uint32_t until)
{
	text_put(p->out, "(");
	p->out->indent++;
	p->can_blank = false;
	for (int i = 0; i < n; i++) {
		thing_begin(p, t[i].at);
		print_tensor(&t[i], p->out);
		text_put(p->out, i + 1 < n ? "," : "");
		thing_end(p, t[i].at.end, i + 1 < n ? t[i + 1].at.begin : until);
	}
	comments_above(p, until, true);
	p->out->indent--;
	line_begin(p);
	text_put(p->out, ")");
}

static void print_tensors_flat(const ast_tensor *t, int n, text *out)
{
	text_put(out, "(");
	for (int i = 0; i < n; i++) {
		text_put(out, i ? ", " : "");
		print_tensor(&t[i], out);
	}
	text_put(out, ")");
}

/* Whether `n` tensors may share a line, as far as comments up to `until` and their number decide
 * it. */
static bool can_be_flat(const printer *p, int n, uint32_t until)
{
	return n <= TENSORS_ON_A_LINE && !comment_next(p, until);
}

/* name(inputs) -> (outputs): on one line when it is short, else the inputs one a line, then the
 * outputs likewise. */
static void print_header(printer *p, const ast_spec *spec)
{
	int inputs = spec->inputs.count, outputs = spec->outputs.count;
	text in = {0}, out = {0};
	size_t used;

	text_printf(&in, "attention %s", spec->name.text);
	text_put(p->out, in.data);
	used = in.len;
	in.len = 0;
	print_tensors_flat(spec->inputs.item, inputs, &in);
	text_put(&out, " -> ");
	print_tensors_flat(spec->outputs.item, outputs, &out);
	if (can_be_flat(p, inputs, spec->arrow) && used + in.len + out.len <= WIDTH) {
		text_putn(p->out, in.data, in.len);
		used += in.len;
	} else {
		print_tensors_apart(p, spec->inputs.item, inputs, spec->arrow);
		used = 1;
	}
	if (can_be_flat(p, outputs, spec->open) && used + out.len <= WIDTH) {
		text_putn(p->out, out.data, out.len);
	} else {
		text_put(p->out, " -> ");
		print_tensors_apart(p, spec->outputs.item, outputs, spec->open);
	}
	text_free(&in);
	text_free(&out);
}

static void block_end(printer *p, loc at, uint32_t next)
{
	comments_above(p, at.end - 1, true);
	p->out->indent--;
	line_begin(p);
	text_put(p->out, "}");
	thing_end(p, at.end, next);
}

static void block_begin(printer *p, uint32_t open, uint32_t next)
{
	text_put(p->out, "{");
	p->out->indent++;
	comment_behind(p, open + 1, next);
	p->can_blank = false;
}

static void print_spec(printer *p, const ast_spec *spec, uint32_t next)
{
	print_header(p, spec);
	line_begin(p);
	block_begin(p, spec->open, spec->body.count ? spec->body.item[0].at.begin : spec->at.end);
	print_body(p, spec);
	block_end(p, spec->at, next);
}

/* --- schedules --- */

static void print_setting(const ast_setting *s, const ast_setting *before, text *out)
{
	bool continues = before && s->joined && !s->value && !before->value;

	if (!continues)
		text_put(out, s->key.text);
	if (s->subject.text)
		text_printf(out, "%s%s", continues ? "" : " ", s->subject.text);
	if (s->value) {
		text_put(out, " = ");
		ast_expr_print(s->value, out);
	}
}

/* Settings from `i` on that share a line; returns the index behind them. */
static int print_settings(printer *p, const ast_schedule *s, int i)
{
	const ast_setting *item = s->settings.item;
	text line = {0}, next = {0};

	thing_begin(p, item[i].at);
	print_setting(&item[i], NULL, &line);
	for (i++; i < s->settings.count && item[i].joined; i++) {
		next.len = 0;
		print_setting(&item[i], &item[i - 1], &next);
		if (!can_join(p, &line, &next, item[i].at.end))
			break;
		text_put(&line, ", ");
		text_putn(&line, next.data, next.len);
	}
	put_statement(p, line.data, line.len);
	text_free(&line);
	text_free(&next);
	return i;
}

static void print_schedule(printer *p, const ast_schedule *s, uint32_t next)
{
	const ast_setting *item = s->settings.item;
	int n = s->settings.count;

	text_printf(p->out, "schedule %s ", s->spec.text);
	if (s->target.text)
		text_printf(p->out, "on %s ", s->target.text);
	block_begin(p, s->open, n ? item[0].at.begin : s->at.end);
	for (int i = 0; i < n;) {
		i = print_settings(p, s, i);
		thing_end(p, item[i - 1].at.end, i < n ? item[i].at.begin : s->at.end);
	}
	block_end(p, s->at, next);
}

/* --- the file --- */

static void print_block(
	printer *p, const ast_spec *spec, const ast_schedule *schedule, uint32_t next)
{
	loc at = spec ? spec->at : schedule->at;
	uint32_t open = spec ? spec->open : schedule->open;

	comments_above(p, at.begin, true);
	if (blank_before(p, at.begin))
		blank_line(p);
	/* A schedule's header has no lists that could hold a comment; one inside it goes above. */
	if (schedule)
		comments_above(p, open, false);
	line_begin(p);
	if (spec)
		print_spec(p, spec, next);
	else
		print_schedule(p, schedule, next);
}

void ast_print(const ast_file *f, const source *src, text *out)
{
	printer p = {.file = f, .src = src, .out = out};
	uint32_t end = (uint32_t)src->len;
	int a = 0, b = 0;

	while (a < f->specs.count || b < f->schedules.count) {
		uint32_t at_a = a < f->specs.count ? f->specs.item[a]->at.begin : UINT32_MAX;
		uint32_t at_b =
			b < f->schedules.count ? f->schedules.item[b]->at.begin : UINT32_MAX;
		const ast_spec *spec = at_a < at_b ? f->specs.item[a++] : NULL;
		const ast_schedule *schedule = spec ? NULL : f->schedules.item[b++];

		print_block(&p, spec, schedule, end);
	}
	comments_above(&p, end, true);
	line_end(&p);
}
