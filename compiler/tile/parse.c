/* parse.c: text -> program; the reverse of print.c.
 * A kernel's head, its declarations, then statements, one a line, read as tile_ops.def's syntax
 * column says. After a mistake the rest of its line is skipped; the names that the line defines are
 * poisoned, so that their uses are not reported too. */
#include "tile/parse.h"
#include <string.h>

/* --- tokens --- */

void parse_next(parser *c)
{
	c->last = c->tok.at;
	c->tok = tile_lex(c->src, c->tok.at.end);
}

bool parse_is(const parser *c, const char *s)
{
	return tile_token_is(c->src, &c->tok, s);
}

bool parse_accept(parser *c, const char *s)
{
	if (!parse_is(c, s))
		return false;
	parse_next(c);
	return true;
}

bool parse_wanted(parser *c, const char *what)
{
	const char *found = c->src->text + c->tok.at.begin;
	int len = (int)(c->tok.at.end - c->tok.at.begin);

	if (c->tok.kind == TOKEN_LINE || c->tok.kind == TOKEN_END)
		diag_error(c->d, (loc){c->last.end, c->last.end},
			"expected %s at the end of the line", what);
	else if (c->tok.kind == TOKEN_BAD)
		diag_error(c->d, c->tok.at, "expected %s; this is no word or number", what);
	else
		diag_error(c->d, c->tok.at, "expected %s, found '%.*s'", what, len > 40 ? 40 : len,
			found);
	return false;
}

bool parse_expect(parser *c, const char *s)
{
	char what[16] = "'";

	if (parse_accept(c, s))
		return true;
	strncat(what, s, sizeof what - 3);
	strcat(what, "'");
	return parse_wanted(c, what);
}

static const tile_name *lookup(const parser *c)
{
	return tile_name_find(
		c->p, c->src->text + c->tok.at.begin, c->tok.at.end - c->tok.at.begin);
}

const tile_name *parse_name(parser *c, tile_name_kind kind, const char *what)
{
	const tile_name *n;

	if (c->tok.kind != TOKEN_WORD) {
		parse_wanted(c, what);
		return NULL;
	}
	n = lookup(c);
	if (!n)
		diag_error(c->d, c->tok.at, "unknown name '%.*s'",
			(int)(c->tok.at.end - c->tok.at.begin), c->src->text + c->tok.at.begin);
	else if (n->kind == NAME_RESERVED ||
		 (kind != NAME_NONE && n->kind != kind && n->kind != NAME_POISON))
		parse_wanted(c, what);
	if (!n || n->kind == NAME_POISON || (kind != NAME_NONE && n->kind != kind) ||
		n->kind == NAME_RESERVED)
		return NULL;
	parse_next(c);
	return n;
}

bool parse_integer(parser *c, int64_t low, int64_t high, int64_t *v)
{
	bool negative = parse_accept(c, "-");
	tile_token t = c->tok;

	if (t.kind != TOKEN_INT || t.wide)
		return parse_wanted(c, "an integer");
	*v = t.i > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)t.i;
	if (negative)
		*v = -*v;
	if (*v < low || *v > high) {
		diag_error(c->d, t.at, "the number does not lie in %lld .. %lld", (long long)low,
			(long long)high);
		return false;
	}
	parse_next(c);
	return true;
}

bool parse_extent(parser *c, int *v)
{
	int64_t n;

	if (!parse_integer(c, 1, 1 << 16, &n))
		return false;
	*v = (int)n;
	return true;
}

bool parse_type(parser *c, tile_type *t)
{
	for (int i = 0; i < TILE_TYPE_COUNT; i++)
		if (parse_accept(c, tile_type_name((tile_type)i))) {
			*t = (tile_type)i;
			return true;
		}
	return parse_wanted(c, "a type");
}

/* A word that names nothing yet. */
const char *parse_fresh_name(parser *c, loc *at)
{
	const tile_name *n;

	if (c->tok.kind != TOKEN_WORD) {
		parse_wanted(c, "a name");
		return NULL;
	}
	n = lookup(c);
	if (n) {
		diag_error(c->d, c->tok.at,
			n->kind == NAME_RESERVED ? "'%s' is a reserved word"
						 : "'%s' has a meaning already",
			n->name);
		return NULL;
	}
	*at = c->tok.at;
	parse_next(c);
	c->pending = arena_strndup(c->a, c->src->text + at->begin, at->end - at->begin);
	return c->pending;
}

/* --- lines --- */

/* The end of a line; *comment is its comment. */
bool parse_end_line(parser *c, loc *comment)
{
	*comment = (loc){0};
	if (c->tok.kind == TOKEN_END)
		return true;
	if (c->tok.kind != TOKEN_LINE)
		return parse_wanted(c, "the end of the line");
	*comment = c->tok.comment;
	parse_next(c);
	return true;
}

static void skip_blank_lines(parser *c)
{
	while (c->tok.kind == TOKEN_LINE)
		parse_next(c);
}

/* To the next line; whether the one left opens a body. */
static bool skip_line(parser *c)
{
	bool opens = false;

	while (c->tok.kind != TOKEN_LINE && c->tok.kind != TOKEN_END) {
		opens = parse_is(c, "{");
		parse_next(c);
	}
	if (c->tok.kind == TOKEN_LINE)
		parse_next(c);
	return opens;
}

const char *parse_comment(const parser *c, loc at)
{
	return at.begin < at.end ? arena_strndup(c->a, c->src->text + at.begin, at.end - at.begin)
				 : NULL;
}

/* The line of a comment "spec:12 note", else `otherwise`; *note is the rest or NULL. */
static int comment_line(const parser *c, loc at, int otherwise, const char **note)
{
	const char *s = parse_comment(c, at);
	int line = 0;

	*note = s;
	if (!s || strncmp(s, "spec:", 5) != 0 || s[5] < '1' || s[5] > '9')
		return otherwise;
	for (s += 5; *s >= '0' && *s <= '9' && line < 100000000; s++)
		line = line * 10 + (*s - '0');
	while (*s == ' ')
		s++;
	*note = *s ? s : NULL;
	return line;
}

void parse_report(parser *c, bool ok, text *why, loc at)
{
	if (!ok)
		diag_error(c->d, at, "%s", why->data);
	text_free(why);
}

/* --- operands --- */

static bool parse_first(parser *c, tile_expr **x, int *n)
{
	*x = parse_value(c);
	return *x && parse_expect(c, ":+") && parse_extent(c, n);
}

static bool parse_slice(parser *c, tile_slice *s)
{
	const tile_name *n = parse_name(c, NAME_FRAG, "a register tile");

	if (!n)
		return false;
	*s = tile_whole(n->thing);
	s->first = tx_i32(c->p, 0);
	s->first_row = tx_i32(c->p, 0);
	if (!parse_accept(c, "["))
		return true;
	if (!parse_accept(c, ":") && !parse_first(c, &s->first_row, &s->rows))
		return false;
	return parse_expect(c, ",") && parse_first(c, &s->first, &s->cols) && parse_expect(c, "]");
}

static bool parse_region(parser *c, tile_region *r)
{
	const tile_name *n = parse_name(c, NAME_BUFFER, "a shared buffer");

	if (!n || !parse_expect(c, "["))
		return false;
	*r = tile_all(n->thing, parse_value(c));
	r->row = tx_i32(c->p, 0);
	r->col = tx_i32(c->p, 0);
	if (!r->slot)
		return false;
	if (parse_accept(c, "]"))
		return true;
	return parse_expect(c, ",") && parse_first(c, &r->row, &r->rows) && parse_expect(c, ",") &&
	       parse_first(c, &r->col, &r->cols) && parse_expect(c, "]");
}

static bool parse_tensor(parser *c, tile_arg **t)
{
	const tile_name *n = parse_name(c, NAME_ARG, "a tensor");

	if (!n)
		return false;
	*t = n->thing;
	if ((*t)->kind == ARG_TENSOR)
		return true;
	diag_error(c->d, c->last, "'%s' is no tensor", n->name);
	return false;
}

/* An mbarrier or counter: of an array, or all of it. */
static bool parse_bar(parser *c, tile_bar_ref *b, bool indexed)
{
	const tile_name *n = parse_name(c, NAME_BAR, "an mbarrier or counter");

	if (!n)
		return false;
	*b = (tile_bar_ref){.bar = n->thing};
	if (!indexed)
		return true;
	if (!parse_expect(c, "["))
		return false;
	b->index = parse_value(c);
	return b->index && parse_expect(c, "]");
}

/* A tensor map and a coordinate for each of its dimensions. */
static bool parse_box(parser *c, tile_box *b)
{
	const tile_name *n = parse_name(c, NAME_ARG, "a tensor map");

	if (!n)
		return false;
	*b = (tile_box){.map = n->thing};
	b->rank = b->map->rank;
	if (b->map->kind != ARG_MAP) {
		diag_error(c->d, c->last, "'%s' is no tensor map", n->name);
		return false;
	}
	for (int i = 0; i < b->rank; i++) {
		if (!parse_expect(c, i ? "," : "("))
			return false;
		b->coord[i] = parse_value(c);
		if (!b->coord[i])
			return false;
	}
	return parse_expect(c, ")");
}

static bool parse_list(parser *c, tile_list *l)
{
	*l = (tile_list){0};
	do {
		const tile_name *n = parse_name(c, NAME_FRAG, "a register tile");

		if (!n)
			return false;
		if (l->count == TILE_MAX_LIST) {
			diag_error(c->d, c->last, "a list of more than %d register tiles",
				TILE_MAX_LIST);
			return false;
		}
		l->frag[l->count++] = n->thing;
	} while (parse_accept(c, ","));
	return true;
}

static bool parse_zero(parser *c, bool *zero)
{
	*zero = parse_accept(c, "=");
	return *zero || parse_accept(c, "+=") || parse_wanted(c, "'=' or '+='");
}

static bool parse_word(parser *c, tile_word *w)
{
	*w = WORD_MAX;
	if (parse_accept(c, "max"))
		return true;
	*w = WORD_SUM;
	return parse_accept(c, "sum") || parse_wanted(c, "'max' or 'sum'");
}

static bool parse_operand(parser *c, char letter, tile_operand *o)
{
	const tile_name *n;
	loc at;

	switch (letter) {
	case 'd':
		return parse_fresh_name(c, &at) != NULL;
	case 'v':
		n = parse_name(c, NAME_VAR, "a variable");
		o->var = n ? n->thing : NULL;
		return n != NULL;
	case 'f':
		return parse_slice(c, &o->slice);
	case 's':
		return parse_region(c, &o->region);
	case 't':
		return parse_tensor(c, &o->tensor);
	case 'e':
		o->value = parse_value(c);
		return o->value != NULL;
	case 'i':
		return parse_integer(c, INT32_MIN, INT32_MAX, &o->integer);
	case 'w':
		return parse_word(c, &o->word);
	case 'a':
	case 'b':
		return parse_bar(c, &o->bar, letter == 'b');
	case 'm':
		return parse_box(c, &o->box);
	case 'l':
		return parse_list(c, &o->list);
	case 'z':
		return parse_zero(c, &o->zero);
	default:
		ice("no operand letter '%c'", letter);
	}
}

/* --- statements --- */

static bool is_word_char(char x)
{
	return x >= 'a' && x <= 'z';
}

/* The literal at *x, copied; *x moves behind it. */
static void take_literal(const char **x, char lit[8])
{
	size_t n = 1;

	if (is_word_char(**x))
		while (is_word_char((*x)[n]))
			n++;
	else if (strncmp(*x, "+=", 2) == 0 || strncmp(*x, "..", 2) == 0)
		n = 2;
	memcpy(lit, *x, n);
	lit[n] = '\0';
	*x += n;
}

/* The operand of a {...} that the text leaves out. */
static void set_default(parser *c, tile_stmt *s, const char *group)
{
	int i = group[strcspn(group, "0123456789")] - '0';
	char letter = tile_op_info[s->op].signature[i];

	if (letter == 'i')
		s->arg[i].integer = 1;
	else if (letter == 'l')
		s->arg[i].list.count = 0;
	else
		s->arg[i].value = tile_op_info[s->op].effect == EFFECT_FLOW ? tx_i32(c->p, 1)
									    : tx_bool(c->p, true);
}

static bool parse_syntax(parser *c, tile_stmt *s)
{
	const struct tile_op_info *info = &tile_op_info[s->op];
	const char *x = info->syntax;
	char lit[8];

	while (*x) {
		if (*x >= '0' && *x <= '9') {
			int i = *x++ - '0';

			if (!parse_operand(c, info->signature[i], &s->arg[i]))
				return false;
		} else if (*x == '{') {
			const char *group = x++;

			x += strspn(x, " ");
			if (*x >= '0' && *x <= '9') {
				if (c->tok.kind != TOKEN_LINE && c->tok.kind != TOKEN_END)
					continue;
			} else {
				take_literal(&x, lit);
				if (parse_accept(c, lit))
					continue;
			}
			set_default(c, s, group);
			x = strchr(group, '}') + 1;
		} else if (*x == ' ' || *x == '}') {
			x++;
		} else {
			take_literal(&x, lit);
			if (!parse_expect(c, lit))
				return false;
		}
	}
	return true;
}

/* Where the line's first words, up to three joined by dots, end: end[0] the first; the count. */
static int opcode_words(const parser *c, uint32_t end[3])
{
	int n = 1;

	end[0] = c->tok.at.end;
	while (n < 3) {
		tile_token dot = tile_lex(c->src, end[n - 1]), word;

		if (!tile_token_is(c->src, &dot, "."))
			break;
		word = tile_lex(c->src, dot.at.end);
		if (word.kind != TOKEN_WORD)
			break;
		end[n++] = word.at.end;
	}
	return n;
}

/* The operation that the line's first words name. */
static bool parse_opcode(parser *c, tile_opcode *op)
{
	loc at = c->tok.at;
	uint32_t end[3];
	const char *names[TILE_OP_COUNT], *near;

	if (c->tok.kind != TOKEN_WORD)
		return parse_wanted(c, "a statement");
	for (int w = opcode_words(c, end) - 1; w >= 0; w--)
		for (int i = 0; i < TILE_OP_COUNT; i++) {
			size_t n = strlen(tile_op_info[i].text);

			if (n != end[w] - at.begin ||
				memcmp(c->src->text + at.begin, tile_op_info[i].text, n) != 0)
				continue;
			*op = (tile_opcode)i;
			c->tok.at.end = end[w];
			parse_next(c);
			return true;
		}
	diag_error(c->d, at, "unknown statement '%.*s'", (int)(at.end - at.begin),
		c->src->text + at.begin);
	for (int i = 0; i < TILE_OP_COUNT; i++)
		names[i] = tile_op_info[i].text;
	near = diag_nearest(arena_strndup(c->a, c->src->text + at.begin, at.end - at.begin), names,
		TILE_OP_COUNT);
	if (near)
		diag_hint(c->d, "did you mean '%s'?", near);
	return false;
}

/* with $1 = value */
static bool parse_with(parser *c)
{
	tile_expr *x;
	loc comment;

	if (c->tok.kind != TOKEN_SHARED || c->tok.i != (uint64_t)c->shared_count + 1)
		return parse_wanted(c, "the next '$' number");
	parse_next(c);
	if (!parse_expect(c, "="))
		return false;
	x = parse_value(c);
	if (!x || !parse_end_line(c, &comment))
		return false;
	if (c->shared_count == c->shared_cap) {
		struct {
			tile_expr **item;
			int count, cap;
		} v = {c->shared, c->shared_count, c->shared_cap};

		ARENA_PUSH(c->a, &v, x);
		c->shared = v.item;
		c->shared_cap = v.cap;
	}
	c->shared[c->shared_count++] = x;
	return true;
}

static tile_type defined_type(const tile_stmt *s)
{
	return s->op == TILE_LET                         ? s->arg[1].value->type
	       : s->op == TILE_ANY || s->op == TILE_ANYB ? TILE_B1
							 : TILE_I32;
}

/* A statement up to its line's end; its body is entered. */
static bool parse_stmt(parser *c)
{
	tile_stmt s = {.at = c->tok.at}, *r;
	bool flow;
	text why = {0};
	loc comment;

	if (!parse_opcode(c, &s.op) || !parse_syntax(c, &s))
		return false;
	if ((s.op == TILE_COPY || s.op == TILE_STORE || s.op == TILE_STORER) &&
		s.arg[2].value->type == TILE_I32)
		s.arg[2].value = tx_cvt(c->p, TILE_I64, s.arg[2].value);
	flow = tile_op_info[s.op].effect == EFFECT_FLOW;
	s.at = loc_join(s.at, c->last);
	if ((flow && !parse_expect(c, "{")) || !parse_end_line(c, &comment))
		return false;
	if (c->pending) {
		s.arg[0].var =
			tile_var_create(c->p, c->pending, defined_type(&s), s.op == TILE_UNROLL);
		c->pending = NULL;
	}
	r = tile_append(c->p, s.at, s.op);
	memcpy(r->arg, s.arg, sizeof r->arg);
	r->line = comment_line(c, comment, c->p->line, &r->note);
	if (flow)
		tile_enter(c->p, r);
	parse_report(c, tile_check_stmt(&c->walk, r, &why), &why, r->at);
	return true;
}

/* After a mistake: the line's name is poisoned and its body is entered all the same. */
static void recover(parser *c)
{
	if (c->pending)
		tile_name_poison(c->p, c->pending);
	if (skip_line(c))
		tile_enter(c->p, tile_append(c->p, c->last, TILE_IF));
	c->nest = 0;
}

/* "}" or "} else {" */
static bool parse_close(parser *c)
{
	loc comment;

	if (parse_accept(c, "else")) {
		if (!tile_can_else(c->p)) {
			diag_error(c->d, c->last, "'else' without 'if'");
			tile_end(c->p);
			return false;
		}
		tile_else(c->p);
		return parse_expect(c, "{") && parse_end_line(c, &comment);
	}
	tile_end(c->p);
	return parse_end_line(c, &comment);
}

static void parse_body(parser *c)
{
	enum { MAX_FLOW = 64 };
	bool declared = false, is = false;

	for (skip_blank_lines(c); c->tok.kind != TOKEN_END && !diag_full(c->d);
		skip_blank_lines(c)) {
		bool ok;

		c->pending = NULL;
		if (tile_flow_depth(c->p) > MAX_FLOW) {
			diag_error(c->d, c->tok.at, "bodies nested more than %d deep", MAX_FLOW);
			return;
		}
		if (parse_is(c, "}") && tile_flow_depth(c->p) == 0)
			return;
		if (parse_accept(c, "}")) {
			ok = parse_close(c);
		} else if (parse_accept(c, "with")) {
			ok = parse_with(c);
			if (ok)
				continue;
		} else {
			ok = declared || parse_declaration(c, &is);
			if (ok && (declared || !is)) {
				declared = true;
				ok = parse_stmt(c);
			}
		}
		c->shared_count = 0;
		if (!ok)
			recover(c);
	}
}

/* kernel NAME on TARGET warps N [blocks N] [shared N] { */
static bool parse_head(parser *c)
{
	int64_t warps = 0, blocks = 0, shared = 0;
	loc name, target, comment;

	skip_blank_lines(c);
	if (!parse_expect(c, "kernel"))
		return false;
	name = c->tok.at;
	if (c->tok.kind != TOKEN_WORD)
		return parse_wanted(c, "the kernel's name");
	parse_next(c);
	if (!parse_expect(c, "on"))
		return false;
	target = c->tok.at;
	if (c->tok.kind != TOKEN_WORD)
		return parse_wanted(c, "a target");
	parse_next(c);
	if (!parse_expect(c, "warps") || !parse_integer(c, 1, 32, &warps))
		return false;
	if (parse_accept(c, "blocks") && !parse_integer(c, 1, 32, &blocks))
		return false;
	if (parse_accept(c, "shared") && !parse_integer(c, 0, INT32_MAX, &shared))
		return false;
	if (!parse_expect(c, "{") || !parse_end_line(c, &comment))
		return false;
	c->p = tile_program_create(c->a,
		arena_strndup(c->a, c->src->text + name.begin, name.end - name.begin),
		arena_strndup(c->a, c->src->text + target.begin, target.end - target.begin),
		(int)warps, c->src);
	c->p->line = comment_line(c, comment, 0, &c->p->what);
	c->p->min_blocks = (int)blocks;
	c->p->shared_bytes = shared;
	return true;
}

tile_program *tile_parse(arena *a, const source *src, diags *d)
{
	parser c = {.a = a, .src = src, .d = d};

	if (src->len > SOURCE_MAX) {
		diag_error(d, (loc){0, 0}, "the text is longer than %zu bytes", (size_t)SOURCE_MAX);
		return NULL;
	}
	parse_next(&c);
	if (!parse_head(&c))
		return NULL;
	c.walk = (tile_walk){.p = c.p, .arena = a};
	parse_body(&c);
	if (!diag_full(d) && c.tok.kind == TOKEN_END)
		diag_error(d, c.tok.at, "expected '}' at the end of the kernel");
	else if (!diag_full(d) && parse_accept(&c, "}")) {
		skip_blank_lines(&c);
		if (c.tok.kind != TOKEN_END)
			parse_wanted(&c, "the end of the text");
	}
	return diag_error_count(d) ? NULL : c.p;
}
