/* feed.c: the array of tokens -> the parser, one a call. In: cx->tokens. Out: syntax_lex for
 * parser.y. Keeps the stack of open brackets for the messages, inserts a token where exactly one
 * can be meant, and finds the place where the parser goes on after an error. Every recovery moves
 * forward, so a parse always ends. */
#include "syntax.h"
#include "parser.h"

/* --- brackets --- */

const open_bracket *syntax_open(const syntax *cx)
{
	return cx->open.count ? &cx->open.item[cx->open.count - 1] : NULL;
}

static open_what paren_what(const syntax *cx)
{
	switch (cx->fed_before) {
	case TOK_IN:
		return OPEN_WINDOW;
	case TOK_NAME:
	case TOK_SUM:
	case TOK_SOFTMAX:
	case TOK_EXTREMUM:
		return cx->open.count ? OPEN_ARGUMENTS : OPEN_INPUTS;
	case TOK_ARROW:
		return cx->open.count ? OPEN_GROUPING : OPEN_OUTPUTS;
	}
	return cx->open.count ? OPEN_GROUPING : OPEN_INPUTS;
}

static open_what bracket_what(const syntax *cx)
{
	const open_bracket *o = syntax_open(cx);

	if (o && (o->what == OPEN_INPUTS || o->what == OPEN_OUTPUTS))
		return OPEN_DIMENSIONS;
	return cx->fed_before == TOK_IN ? OPEN_WINDOW : OPEN_SUBSCRIPT;
}

static bool is_brace(const open_bracket *o)
{
	return o->what == OPEN_BODY || o->what == OPEN_SETTINGS;
}

static void bracket_push(syntax *cx, open_what what)
{
	loc at = cx->inserted || cx->current < 0 ? (loc){0, 0} : cx->tokens.item[cx->current].at;
	bool reduction = what == OPEN_ARGUMENTS && cx->fed_before != TOK_NAME;

	ARENA_PUSH(cx->build.arena, &cx->open, ((open_bracket){at, what, reduction}));
}

/* Closes up to the innermost brace, and the brace itself when `brace`. */
static void brackets_close(syntax *cx, bool brace)
{
	while (cx->open.count && !is_brace(syntax_open(cx)))
		cx->open.count--;
	if (brace && cx->open.count)
		cx->open.count--;
}

/* The token fed last was accepted: what it opened or closed counts from now on. */
static void token_settle(syntax *cx)
{
	const open_bracket *o = syntax_open(cx);

	switch (cx->fed) {
	case TOK_ATTENTION:
	case TOK_SCHEDULE:
		cx->in_schedule = cx->fed == TOK_SCHEDULE;
		cx->open.count = 0;
		break;
	case TOK_LPAREN:
		bracket_push(cx, paren_what(cx));
		break;
	case TOK_LBRACKET:
		bracket_push(cx, bracket_what(cx));
		break;
	case TOK_LBRACE:
		bracket_push(cx, cx->in_schedule ? OPEN_SETTINGS : OPEN_BODY);
		break;
	case TOK_RPAREN:
	case TOK_RBRACKET:
		if (o && !is_brace(o)) {
			cx->closed = o->what;
			cx->closed_reduction = o->reduction;
			cx->open.count--;
		}
		break;
	case TOK_RBRACE:
		brackets_close(cx, true);
		break;
	}
	cx->fed_before = cx->fed;
}

/* --- feeding --- */

static void problems_tell(syntax *cx, uint32_t until)
{
	while (cx->told < cx->problems.count && cx->problems.item[cx->told].at.begin <= until)
		problem_report(cx, &cx->problems.item[cx->told++]);
}

/* A token that can only stand at the beginning of a statement, or of a setting. */
static bool begins_statement(const syntax *cx, int kind)
{
	switch (kind) {
	case TOK_CONST:
	case TOK_PARAM:
	case TOK_GROUP:
	case TOK_INDEX:
	case TOK_WINDOW:
	case TOK_MASK:
		return !cx->in_schedule;
	case TOK_DEFINED:
		return true;
	case TOK_TILE:
	case TOK_SPECIALIZE:
		return cx->in_schedule;
	}
	return false;
}

/* The kind of a token that must be missing before `t`, TOK_END when none is sure to be. */
static int token_missing(syntax *cx, const token *t)
{
	bool block_ends = t->kind == TOK_END || t->kind == TOK_ATTENTION || t->kind == TOK_SCHEDULE;

	if (block_ends && cx->open.count && is_brace(&cx->open.item[0])) {
		if (cx->unclosed != cx->next)
			syntax_report_unclosed(cx);
		cx->unclosed = cx->next;
		return TOK_RBRACE;
	}
	if (cx->open.count || cx->fed != TOK_RPAREN)
		return TOK_END;
	if (cx->closed == OPEN_INPUTS && t->kind == TOK_LPAREN) {
		syntax_report_missing(cx, "'->' between the inputs and the outputs");
		return TOK_ARROW;
	}
	if (cx->closed == OPEN_OUTPUTS && begins_statement(cx, t->kind)) {
		syntax_report_missing(cx, "'{' before the body");
		return TOK_LBRACE;
	}
	return TOK_END;
}

static int token_insert(syntax *cx, loc *at, int kind)
{
	uint32_t here = cx->tokens.item[cx->next].at.begin;

	*at = (loc){here, here};
	cx->fed = kind;
	cx->inserted = true;
	return kind;
}

static void token_value(syntax *cx, const token *t, SYNTAX_STYPE *value)
{
	const char *s = cx->src->text + t->at.begin;
	size_t n = t->at.end - t->at.begin;

	switch (t->kind) {
	case TOK_INT:
		value->integer = 0;
		for (size_t i = 0; i < n; i++)
			value->integer = value->integer * 10 + (s[i] - '0');
		break;
	case TOK_FLOAT:
		value->real.text = ast_name_make(&cx->build, t->at, s, n).text;
		value->real.value = text_to_double(value->real.text);
		break;
	case TOK_NAME:
	case TOK_DEFINED:
	case TOK_SUM:
	case TOK_SOFTMAX:
	case TOK_EXTREMUM:
	case TOK_TILE:
	case TOK_SPECIALIZE:
		value->name = ast_name_make(&cx->build, t->at, s, n);
		break;
	}
}

int syntax_lex(SYNTAX_STYPE *value, loc *at, syntax *cx)
{
	token *t = &cx->tokens.item[cx->next];
	int kind;

	token_settle(cx);
	if (cx->queue[0] != TOK_END) {
		kind = cx->queue[0];
		cx->queue[0] = cx->queue[1];
		cx->queue[1] = TOK_END;
		return token_insert(cx, at, kind);
	}
	problems_tell(cx, t->at.begin);
	kind = token_missing(cx, t);
	if (kind != TOK_END)
		return token_insert(cx, at, kind);
	if (t->misspelt)
		syntax_report_misspelt(cx, t);
	t->misspelt = false;
	token_value(cx, t, value);
	*at = t->at;
	cx->current = cx->next;
	cx->next += t->kind != TOK_END;
	cx->fed = t->kind;
	cx->inserted = false;
	return t->kind;
}

/* --- recovery --- */

static void queue_insert(syntax *cx, int kind, int then)
{
	cx->queue[0] = kind;
	cx->queue[1] = then;
}

/* A block keyword ends every search; "attention" and "schedule" are no names. */
static bool ends_search(int kind)
{
	return kind == TOK_END || kind == TOK_ATTENTION || kind == TOK_SCHEDULE;
}

static int find_block(const token *t, int i)
{
	while (!ends_search(t[i].kind))
		i++;
	return i;
}

static bool is_statement_keyword(const syntax *cx, const token *t)
{
	return !cx->in_schedule && t->first && t->kind >= TOK_CONST && t->kind <= TOK_MASK;
}

/* The "{" of the block, or the first statement where there is none. */
static int find_brace(const syntax *cx, const token *t, int i)
{
	while (!ends_search(t[i].kind) && t[i].kind != TOK_LBRACE &&
		!is_statement_keyword(cx, &t[i]))
		i++;
	return i;
}

/* A name on a new line, behind something that can end a statement. */
static bool may_begin_statement(const token *t)
{
	if (!t->first || t->kind != TOK_NAME)
		return false;
	switch (t[-1].kind) {
	case TOK_NAME:
	case TOK_INT:
	case TOK_FLOAT:
	case TOK_RBRACKET:
	case TOK_LBRACE:
	case TOK_SEMICOLON:
		return true;
	}
	return t[1].kind == TOK_NAME;
}

static int find_statement(const syntax *cx, const token *t, int i)
{
	while (!ends_search(t[i].kind) && !begins_statement(cx, t[i].kind) &&
		t[i].kind != TOK_RBRACE && t[i].kind != TOK_SEMICOLON &&
		!(i > 0 && may_begin_statement(&t[i])))
		i++;
	return i;
}

/* The next tensor, the end of the list, or whatever shows that the list is over. */
static int find_tensor(const syntax *cx, const token *t, int i)
{
	for (;; i++) {
		if (t[i].kind == TOK_NAME && t[i + 1].kind == TOK_COLON)
			return i;
		if (t[i].kind == TOK_RPAREN &&
			(t[i + 1].kind == TOK_ARROW || t[i + 1].kind == TOK_LBRACE ||
				t[i + 1].kind == TOK_LPAREN))
			return i;
		if (ends_search(t[i].kind) || t[i].kind == TOK_ARROW || t[i].kind == TOK_LBRACE ||
			begins_statement(cx, t[i].kind))
			return i;
	}
}

static int sync_tensor(syntax *cx, int i)
{
	const token *t = cx->tokens.item;

	while (cx->open.count > 1)
		cx->open.count--;
	i = find_tensor(cx, t, i);
	if (t[i].kind == TOK_NAME) {
		queue_insert(cx, TOK_COMMA, TOK_END);
	} else if (t[i].kind != TOK_RPAREN) {
		queue_insert(cx, TOK_RPAREN, TOK_END);
		cx->quiet = i;
	}
	return i;
}

void syntax_sync(syntax *cx, sync_level level)
{
	const token *t = cx->tokens.item;
	int i = cx->inserted || cx->current < 0 ? cx->next : cx->current;

	if (i < cx->resume)
		i = cx->resume;
	if (i <= cx->synced && level == cx->synced_level && t[cx->synced].kind != TOK_END)
		i = cx->synced + 1;
	queue_insert(cx, TOK_END, TOK_END);
	switch (level) {
	case SYNC_FILE:
		cx->open.count = 0;
		i = find_block(t, i);
		break;
	case SYNC_HEADER:
		cx->open.count = 0;
		i = find_brace(cx, t, i);
		if (t[i].kind != TOK_LBRACE)
			queue_insert(cx, TOK_LBRACE,
				is_statement_keyword(cx, &t[i]) ? TOK_END : TOK_RBRACE);
		break;
	case SYNC_TENSOR:
		i = sync_tensor(cx, i);
		break;
	case SYNC_STATEMENT:
		brackets_close(cx, false);
		/* A name that failed is no beginning of a statement. */
		i = find_statement(cx, t, t[i].kind == TOK_NAME && i == cx->current ? i + 1 : i);
		break;
	}
	cx->next = cx->synced = i;
	cx->synced_level = level;
	cx->current = -1;
	cx->fed = cx->fed_before = TOK_END;
	cx->inserted = false;
}
