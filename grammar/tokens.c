/* tokens.c: the whole source -> an array of tokens. In: what lexer.l finds. Out: cx->tokens with
 * each name classified, cx->problems, the file's comments. Linear in the length of the source. */
#include "syntax.h"
#include "parser.h"
#define YYSTYPE SYNTAX_STYPE
#include "lexer.h"
#include <math.h>
#include <string.h>

bool token_is(const syntax *cx, const token *t, const char *word)
{
	size_t len = strlen(word);

	return t->at.end - t->at.begin == len &&
	       memcmp(cx->src->text + t->at.begin, word, len) == 0;
}

/* --- scanning --- */

static void problem_add(syntax *cx, loc at, problem_what what)
{
	problem *last = cx->problems.count ? &cx->problems.item[cx->problems.count - 1] : NULL;

	/* One message for a run of characters that mean nothing. */
	if (last && what == PROBLEM_FOREIGN && last->what == what && last->at.end == at.begin)
		last->at.end = at.end;
	else
		ARENA_PUSH(cx->build.arena, &cx->problems, ((problem){at, what}));
}

static bool comment_is_clean(const char *s, size_t n)
{
	uint32_t code;
	int len;

	for (size_t i = 0; i < n; i += (size_t)len) {
		len = text_utf8_decode(s + i, n - i, &code);
		if (len == 0 || (code < 0x20 && code != '\t') || code == 0x7f)
			return false;
	}
	return true;
}

static void comment_add(syntax *cx, loc at, bool own_line)
{
	const char *s = cx->src->text;

	while (at.end > at.begin + 1 && strchr(" \t\r", s[at.end - 1]) && s[at.end - 1])
		at.end--;
	ARENA_PUSH(cx->build.arena, &cx->build.file->comments, ((ast_comment){at, own_line}));
	if (!comment_is_clean(s + at.begin, at.end - at.begin))
		problem_add(cx, at, PROBLEM_COMMENT);
}

static bool integer_fits(const char *s, size_t n)
{
	int64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (v > (INT64_MAX - (s[i] - '0')) / 10)
			return false;
		v = v * 10 + (s[i] - '0');
	}
	return true;
}

static bool float_fits(const char *s, size_t n)
{
	char digits[SYNTAX_NUMBER_MAX + 1];

	memcpy(digits, s, n);
	digits[n] = 0;
	return isfinite(text_to_double(digits));
}

/* Checks a number or name by itself; returns the kind that the parser gets. */
static int token_check(syntax *cx, int kind, loc at)
{
	const char *s = cx->src->text + at.begin;
	size_t n = at.end - at.begin;

	if (kind == SCAN_FOREIGN) {
		problem_add(cx, at, PROBLEM_FOREIGN);
		return foreign_kind(s, n);
	}
	if (kind == SCAN_BAD_NUMBER) {
		problem_add(cx, at, PROBLEM_NUMBER);
		return TOK_UNKNOWN;
	}
	if (kind == TOK_NAME && n > SYNTAX_NAME_MAX) {
		problem_add(cx, at, PROBLEM_LONG_NAME);
		return TOK_UNKNOWN;
	}
	if ((kind == TOK_INT || kind == TOK_FLOAT) && n > SYNTAX_NUMBER_MAX) {
		problem_add(cx, at, PROBLEM_LONG_NUMBER);
		return TOK_UNKNOWN;
	}
	if (kind == TOK_INT && !integer_fits(s, n)) {
		problem_add(cx, at, PROBLEM_INTEGER_RANGE);
		return TOK_UNKNOWN;
	}
	if (kind == TOK_FLOAT && !float_fits(s, n)) {
		problem_add(cx, at, PROBLEM_FLOAT_RANGE);
		return TOK_UNKNOWN;
	}
	return kind;
}

/* All but the memory messages of flex mean a bug of ours. */
_Noreturn void tokens_scanner_failed(const char *message)
{
	if (strstr(message, "memory"))
		ice_memory("out of memory: scanner");
	ice("scanner: %s", message);
}

/* The scanner's memory is the parse's: it ends with it, also where memory runs out in the middle. Each
 * piece begins with its size. */
enum { SCAN_HEAD = 16 };

void *scan_alloc(size_t size, void *scanner)
{
	char *head = arena_alloc(scan_get_extra(scanner)->arena, size + SCAN_HEAD);

	memcpy(head, &size, sizeof size);
	return head + SCAN_HEAD;
}

void *scan_realloc(void *old, size_t size, void *scanner)
{
	void *new = scan_alloc(size, scanner);
	size_t before = 0;

	if (old)
		memcpy(&before, (char *)old - SCAN_HEAD, sizeof before);
	if (before)
		memcpy(new, old, before < size ? before : size);
	return new;
}

void scan_free(void *old, void *scanner)
{
	(void)old;
	(void)scanner;
}

static void scan_all(syntax *cx)
{
	uint32_t bom = cx->src->len >= 3 && memcmp(cx->src->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	scan_state state = {.arena = cx->build.arena, .end = bom, .line_begins = true};
	yyscan_t scanner;
	int kind;

	if (scan_lex_init_extra(&state, &scanner) != 0)
		ice_memory("out of memory: scanner");
	scan__scan_bytes(cx->src->text + bom, (int)(cx->src->len - bom), scanner);
	while ((kind = scan_lex(scanner)) != 0) {
		loc at = {state.begin, state.end};

		if (kind == SCAN_COMMENT) {
			comment_add(cx, at, state.line_begins);
			continue;
		}
		kind = token_check(cx, kind, at);
		if (token_is(cx, &(token){.at = at}, "/*"))
			continue;
		ARENA_PUSH(cx->build.arena, &cx->tokens,
			((token){.at = at, .kind = (uint8_t)kind, .first = state.line_begins}));
		state.line_begins = false;
	}
	scan_lex_destroy(scanner);
	ARENA_PUSH(cx->build.arena, &cx->tokens,
		((token){.at = {(uint32_t)cx->src->len, (uint32_t)cx->src->len}, .first = true}));
}

/* --- classifying names --- */

int token_keyword_near(const syntax *cx, const token *t, bool in_body, bool in_schedule)
{
	static const char *const block[] = {"attention", "schedule"};
	static const char *const statement[] = {
		"const", "param", "group", "index", "window", "mask"};
	static const char *const setting[] = {"tile", "resident", "specialize"};
	static const int block_kind[] = {TOK_ATTENTION, TOK_SCHEDULE};
	static const int statement_kind[] = {
		TOK_CONST, TOK_PARAM, TOK_GROUP, TOK_INDEX, TOK_WINDOW, TOK_MASK};
	static const int setting_kind[] = {TOK_TILE, TOK_TILE, TOK_SPECIALIZE};
	const char *const *words = !in_body ? block : in_schedule ? setting : statement;
	const int *kinds = !in_body ? block_kind : in_schedule ? setting_kind : statement_kind;
	int n = !in_body ? 2 : in_schedule ? 3 : 6;
	char name[SYNTAX_NAME_MAX + 1];
	const char *near;

	memcpy(name, cx->src->text + t->at.begin, t->at.end - t->at.begin);
	name[t->at.end - t->at.begin] = 0;
	near = diag_nearest(name, words, n);
	for (int i = 0; near && i < n; i++)
		if (strcmp(near, words[i]) == 0)
			return kinds[i];
	return TOK_END;
}

/* Whether an operand must follow a token of this kind. */
static bool kind_wants_operand(int kind)
{
	switch (kind) {
	case TOK_MASK:
	case TOK_WITH:
	case TOK_AND:
	case TOK_OR:
	case TOK_NOT:
	case TOK_ASSIGN:
	case TOK_EQ:
	case TOK_NE:
	case TOK_LT:
	case TOK_LE:
	case TOK_GT:
	case TOK_GE:
	case TOK_PLUS:
	case TOK_MINUS:
	case TOK_STAR:
	case TOK_SLASH:
	case TOK_FLOORDIV:
	case TOK_PERCENT:
	case TOK_LPAREN:
	case TOK_LBRACKET:
		return true;
	}
	return false;
}

/* `name =` or `name[a, b] =`, where a statement can begin. */
static bool begins_definition(const token *t, const token *before)
{
	if (before && !t->first && kind_wants_operand(before->kind))
		return false;
	if (t[1].kind == TOK_ASSIGN)
		return true;
	if (t[1].kind != TOK_LBRACKET)
		return false;
	for (t += 2; t->kind == TOK_NAME; t += 2) {
		if (t[1].kind == TOK_RBRACKET)
			return t[2].kind == TOK_ASSIGN;
		if (t[1].kind != TOK_COMMA)
			return false;
	}
	return false;
}

static int reduction_kind(const syntax *cx, const token *t)
{
	if (token_is(cx, t, "sum") || token_is(cx, t, "prod"))
		return TOK_SUM;
	if (token_is(cx, t, "softmax") || token_is(cx, t, "logsumexp"))
		return TOK_SOFTMAX;
	if (token_is(cx, t, "max") || token_is(cx, t, "min"))
		return TOK_EXTREMUM;
	return TOK_NAME;
}

/* tile, resident and specialize are keywords only before a name in a schedule. */
static int setting_kind(const syntax *cx, const token *t)
{
	if (token_is(cx, t, "tile") || token_is(cx, t, "resident"))
		return TOK_TILE;
	return token_is(cx, t, "specialize") ? TOK_SPECIALIZE : TOK_NAME;
}

/* Two names in a row on one line, the first no operand: it is a keyword, or was meant to be one. */
static bool governs_next(const token *t, const token *before)
{
	if (t[1].kind != TOK_NAME || t[1].first)
		return false;
	return !before || (!kind_wants_operand(before->kind) && before->kind != TOK_TILE &&
				  before->kind != TOK_SPECIALIZE);
}

static bool is_statement_keyword(const token *t)
{
	return t->kind >= TOK_CONST && t->kind <= TOK_MASK;
}

typedef struct {
	bool in_body, in_schedule;
} surroundings;

static int name_kind(const syntax *cx, token *t, const token *before, surroundings s)
{
	int kind = TOK_NAME;

	if (before && (before->kind == TOK_ATTENTION || before->kind == TOK_SCHEDULE))
		return TOK_NAME;
	if (t - cx->tokens.item >= 2 && t[-2].kind == TOK_GROUP && token_is(cx, t, "of"))
		return TOK_OF;
	if (t[1].kind == TOK_LPAREN)
		return reduction_kind(cx, t);
	if (begins_definition(t, before))
		return TOK_DEFINED;
	if (!governs_next(t, before))
		return TOK_NAME;
	if (s.in_body && s.in_schedule)
		kind = setting_kind(cx, t);
	if (kind != TOK_NAME || !t->first)
		return kind;
	kind = token_keyword_near(cx, t, s.in_body, s.in_schedule);
	t->misspelt = kind != TOK_END;
	return t->misspelt ? kind : TOK_NAME;
}

/* Looks ahead of a name only over names and commas inside one pair of brackets, so all of it is
 * linear. */
static void classify_names(syntax *cx)
{
	surroundings s = {false, false};

	for (int i = 0; i < cx->tokens.count; i++) {
		token *t = &cx->tokens.item[i];

		if (t->kind == TOK_NAME)
			t->kind = (uint8_t)name_kind(cx, t, i ? t - 1 : NULL, s);
		if (t->kind == TOK_ATTENTION || t->kind == TOK_SCHEDULE)
			s = (surroundings){false, t->kind == TOK_SCHEDULE};
		else if (t->kind == TOK_LBRACE || (t->first && is_statement_keyword(t)))
			s.in_body = true;
		else if (t->kind == TOK_RBRACE)
			s.in_body = false;
	}
}

void tokens_scan(syntax *cx)
{
	scan_all(cx);
	classify_names(cx);
}
