/* lex.c: text of a tile program -> tokens, one at a time.
 * Numbers: 12 is an i32, 12i64 an i64, 1.5 and 2e-3 are f32. A comment ends its line. */
#include "tile/tile_internal.h"
#include <math.h>
#include <string.h>

typedef struct {
	const char *s;
	uint32_t at, end;
} cursor;

static char peek(const cursor *c, uint32_t ahead)
{
	return ahead < c->end - c->at ? c->s[c->at + ahead] : '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void skip_digits(cursor *c)
{
	while (is_digit(peek(c, 0)))
		c->at++;
}

static uint64_t read_digits(const cursor *c, uint32_t from)
{
	uint64_t v = 0;

	for (uint32_t i = from; i < c->at; i++) {
		uint64_t d = (uint64_t)(c->s[i] - '0');

		v = v > (UINT64_MAX - d) / 10 ? UINT64_MAX : v * 10 + d;
	}
	return v;
}

static tile_token lex_float(cursor *c, uint32_t begin)
{
	char digits[64];
	size_t n;

	if (peek(c, 0) == '.') {
		c->at++;
		skip_digits(c);
	}
	if (peek(c, 0) == 'e' || peek(c, 0) == 'E') {
		c->at++;
		if (peek(c, 0) == '+' || peek(c, 0) == '-')
			c->at++;
		if (!is_digit(peek(c, 0)))
			return (tile_token){.kind = TOKEN_BAD, .at = {begin, c->at}};
		skip_digits(c);
	}
	n = c->at - begin;
	if (n >= sizeof digits || is_letter(peek(c, 0)))
		return (tile_token){.kind = TOKEN_BAD, .at = {begin, c->at}};
	memcpy(digits, c->s + begin, n);
	digits[n] = '\0';
	return (tile_token){.kind = TOKEN_FLOAT, .at = {begin, c->at}, .f = text_to_double(digits)};
}

static tile_token lex_number(cursor *c)
{
	uint32_t begin = c->at;
	tile_token t = {.kind = TOKEN_INT};

	skip_digits(c);
	if ((peek(c, 0) == '.' && is_digit(peek(c, 1))) || peek(c, 0) == 'e' || peek(c, 0) == 'E')
		return lex_float(c, begin);
	t.i = read_digits(c, begin);
	if (c->end - c->at >= 3 && strncmp(c->s + c->at, "i64", 3) == 0) {
		t.wide = true;
		c->at += 3;
	}
	if (is_letter(peek(c, 0)))
		t.kind = TOKEN_BAD;
	t.at = (loc){begin, c->at};
	return t;
}

/* From the ';', the newline or the end of the text. */
static tile_token lex_line(cursor *c)
{
	tile_token t = {.kind = TOKEN_LINE, .at = {c->at, c->at}};

	if (peek(c, 0) == ';') {
		t.comment.begin = ++c->at;
		while (c->at < c->end && c->s[c->at] != '\n')
			c->at++;
		t.comment.end = c->at;
		while (t.comment.begin < t.comment.end && c->s[t.comment.begin] == ' ')
			t.comment.begin++;
		while (t.comment.begin < t.comment.end &&
			((unsigned char)c->s[t.comment.end - 1] <= ' '))
			t.comment.end--;
	}
	if (c->at < c->end)
		c->at++;
	t.at.end = c->at;
	return t;
}

static tile_token lex_mark(cursor *c)
{
	static const char *const marks[] = {"..", "+=", ":+", "<=", "==", "!="};
	uint32_t begin = c->at, len = 1;
	tile_token t = {.kind = strchr("[](){},:=+-*/%<.$", c->s[c->at]) ? TOKEN_MARK : TOKEN_BAD};

	if (c->s[c->at] == '\0')
		t.kind = TOKEN_BAD;
	if (c->s[c->at] == '$' && is_digit(peek(c, 1))) {
		c->at++;
		skip_digits(c);
		t.kind = TOKEN_SHARED;
		t.i = read_digits(c, begin + 1);
		t.at = (loc){begin, c->at};
		return t;
	}
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (peek(c, 0) == marks[i][0] && peek(c, 1) == marks[i][1]) {
			len = 2;
			t.kind = TOKEN_MARK;
		}
	/* the rest of a character that is not ASCII */
	while (t.kind == TOKEN_BAD && ((unsigned char)peek(c, len) & 0xc0) == 0x80)
		len++;
	c->at += len;
	t.at = (loc){begin, c->at};
	return t;
}

tile_token tile_lex(const source *src, uint32_t from)
{
	cursor c = {src->text, from, (uint32_t)src->len};
	uint32_t begin;

	while (c.at < c.end && (c.s[c.at] == ' ' || c.s[c.at] == '\t' || c.s[c.at] == '\r'))
		c.at++;
	if (c.at >= c.end)
		return (tile_token){.kind = TOKEN_END, .at = {c.end, c.end}};
	if (c.s[c.at] == '\n' || c.s[c.at] == ';')
		return lex_line(&c);
	if (is_digit(c.s[c.at]))
		return lex_number(&c);
	if (!is_letter(c.s[c.at]))
		return lex_mark(&c);
	begin = c.at;
	while (is_letter(peek(&c, 0)) || is_digit(peek(&c, 0)))
		c.at++;
	return (tile_token){.kind = TOKEN_WORD, .at = {begin, c.at}};
}

bool tile_token_is(const source *src, const tile_token *t, const char *s)
{
	size_t n = t->at.end - t->at.begin;

	return (t->kind == TOKEN_WORD || t->kind == TOKEN_MARK) && strlen(s) == n &&
	       memcmp(src->text + t->at.begin, s, n) == 0;
}
