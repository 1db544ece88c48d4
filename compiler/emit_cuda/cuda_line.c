/* cuda_line.c: lines of at most 100 columns.
 * in:  code and comments without line breaks;  out: indented lines
 * Code is broken where the fewest parentheses are open: after a comma or before an operator. */
#include "emit_cuda/cuda_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 100, INDENT = 4 };

static bool operator_char(char c)
{
	return c != '\0' && strchr("+-*/%<>=!&|^?:", c) != NULL;
}

/* How bad it is to end a line before the space s[i], parentheses aside; -1: not possible. */
static int break_cost(const char *s, size_t i)
{
	const char *next = s + i + 1;

	if (s[i] != ' ' || i == 0)
		return -1;
	if (s[i - 1] == ',' || s[i - 1] == ';')
		return 0;
	if (operator_char(s[i - 1]) || !operator_char(*next) || next[strcspn(next, " (")] != ' ')
		return -1;
	switch (*next) {
	case '?':
	case ':':
		return 1;
	case '&':
	case '|':
		return next[0] == next[1] ? 2 : 5;
	case '+':
	case '-':
		return next[1] == ' ' ? 4 : -1;
	case '*':
	case '/':
	case '%':
		return next[1] == ' ' ? 6 : -1;
	case '=':
		return next[1] == '=' ? 3 : -1;
	default:
		return 3;
	}
}

/* Where to break a line that has room for `room` columns; 0: nowhere. Open parentheses weigh most,
 * the last of equal places wins. */
static size_t break_at(const char *s, size_t room)
{
	size_t best = 0;
	int depth = 0, best_cost = 0;

	for (size_t i = 0; s[i] && i <= room; i++) {
		int cost = break_cost(s, i);

		if (strchr("([{", s[i]))
			depth++;
		if (strchr(")]}", s[i]))
			depth--;
		if (cost < 0 || i < room / 4)
			continue;
		cost += 8 * depth;
		if (best == 0 || cost <= best_cost) {
			best = i;
			best_cost = cost;
		}
	}
	return best;
}

static void put_line(text *out, int indent, const char *s, size_t n)
{
	text_fill(out, ' ', (size_t)(indent * INDENT));
	text_putn(out, s, n);
	text_put(out, "\n");
}

static void put_wrapped(text *out, const char *s)
{
	int indent = out->indent;

	for (;;) {
		size_t used = (size_t)(indent * INDENT), room = COLUMNS > used ? COLUMNS - used : 0;
		size_t at = strlen(s) > room ? break_at(s, room) : 0;

		if (at == 0) {
			put_line(out, indent, s, strlen(s));
			return;
		}
		put_line(out, indent, s, at);
		s += at + 1;
		indent = out->indent + 2;
	}
}

void cuda_line(cuda_cx *cx, const char *fmt, ...)
{
	text line = {0};
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(&line, fmt, ap);
	va_end(ap);
	put_wrapped(cx->out, line.data ? line.data : "");
	text_free(&line);
}

/* Up to `room` bytes of s, cut at a space and between characters. */
static size_t comment_part(const char *s, size_t room)
{
	size_t n = strlen(s), cut;

	if (n <= room)
		return n;
	for (cut = room; cut > room / 2 && s[cut] != ' '; cut--)
		;
	if (s[cut] == ' ')
		return cut;
	for (cut = room; cut > 1 && ((unsigned char)s[cut] & 0xc0) == 0x80; cut--)
		;
	return cut;
}

void cuda_comment(cuda_cx *cx, const char *s)
{
	size_t room = (size_t)(COLUMNS - 3 - cx->out->indent * INDENT);

	while (*s) {
		size_t n = comment_part(s, room), end = n;

		/* a backslash at the end would continue the comment on the next line */
		while (end > 0 && (s[end - 1] == '\\' || isspace((unsigned char)s[end - 1])))
			end--;
		text_fill(cx->out, ' ', (size_t)(cx->out->indent * INDENT));
		text_put(cx->out, "// ");
		text_putn(cx->out, s, end);
		text_put(cx->out, "\n");
		for (s += n; *s == ' '; s++)
			;
	}
}

void cuda_line_with(cuda_cx *cx, const char *code, const char *comment)
{
	size_t used = (size_t)(cx->out->indent * INDENT) + strlen(code) + 4;

	if (!comment || !*comment) {
		cuda_line(cx, "%s", code);
	} else if (used + strlen(comment) > COLUMNS || comment[strlen(comment) - 1] == '\\') {
		size_t n = strlen(code);

		while (n > 0 && code[n - 1] == ' ')
			n--;
		cuda_comment(cx, comment);
		cuda_line(cx, "%.*s", (int)n, code);
	} else {
		text_fill(cx->out, ' ', (size_t)(cx->out->indent * INDENT));
		text_printf(cx->out, "%s  // %s\n", code, comment);
	}
}
