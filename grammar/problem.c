/* problem.c: messages about single tokens. In: a problem that tokens.c found. Out: one diagnostic,
 * with what to write instead. An operator of another language still stands for ours, so that the
 * parser can go on behind it. */
#include "syntax.h"
#include "parser.h"
#include <string.h>

static const struct {
	const char *text;
	int kind; /* what it stands for; TOK_UNKNOWN: nothing */
	const char *hint;
} foreign[] = {
	{"&&", TOK_AND, "write 'and'"},
	{"||", TOK_OR, "write 'or'"},
	{"&", TOK_AND, "write 'and'"},
	{"|", TOK_OR, "write 'or'"},
	{"!", TOK_NOT, "write 'not'"},
	{"~", TOK_NOT, "write 'not'"},
	{"**", TOK_STAR, "write pow(x, y) for a power"},
	{"^", TOK_STAR, "write pow(x, y) for a power"},
	{"===", TOK_EQ, "write '=='"},
	{"!==", TOK_NE, "write '!='"},
	{"<>", TOK_NE, "write '!='"},
	{"=>", TOK_ARROW, "write '->'"},
	{":=", TOK_ASSIGN, "write '='"},
	{"+=", TOK_ASSIGN, "a definition is made once; sums are written sum(d) ..."},
	{"-=", TOK_ASSIGN, "a definition is made once"},
	{"*=", TOK_ASSIGN, "a definition is made once; products are written prod(d) ..."},
	{"/=", TOK_ASSIGN, "a definition is made once"},
	{"++", TOK_PLUS, "a definition is made once; there is no unary '+'"},
	{"/*", TOK_UNKNOWN, "a comment begins with '#' and ends with its line"},
	{"\"", TOK_UNKNOWN, "there are no strings; names are written plainly"},
	{"'", TOK_UNKNOWN, "there are no strings; names are written plainly"},
	{".", TOK_UNKNOWN, "an element is written q[d]; a number begins with a digit"},
	{"\\", TOK_UNKNOWN, "a statement may go on in the next line as it is"},
	{"?", TOK_UNKNOWN, "write where(c, a, b) for 'c ? a : b'"},
	{"@", TOK_STAR, "write sum(d) a[d] * b[d] for a product of vectors"},
	{"\xc3\x97", TOK_STAR, "write '*'"},           /* multiplication sign    */
	{"\xc2\xb7", TOK_STAR, "write '*'"},           /* middle dot             */
	{"\xe2\x8b\x85", TOK_STAR, "write '*'"},       /* dot operator           */
	{"\xc3\xb7", TOK_SLASH, "write '/'"},          /* division sign          */
	{"\xe2\x88\x92", TOK_MINUS, "write '-'"},      /* minus sign             */
	{"\xe2\x80\x93", TOK_MINUS, "write '-'"},      /* en dash                */
	{"\xe2\x89\xa4", TOK_LE, "write '<='"},        /* less or equal          */
	{"\xe2\x89\xa5", TOK_GE, "write '>='"},        /* greater or equal       */
	{"\xe2\x89\xa0", TOK_NE, "write '!='"},        /* not equal              */
	{"\xe2\x86\x92", TOK_ARROW, "write '->'"},     /* arrow                  */
	{"\xe2\x88\xa7", TOK_AND, "write 'and'"},      /* logical and            */
	{"\xe2\x88\xa8", TOK_OR, "write 'or'"},        /* logical or             */
	{"\xc2\xac", TOK_NOT, "write 'not'"},          /* not sign               */
	{"\xe2\x88\x88", TOK_IN, "write 'in'"},        /* element of             */
	{"\xe2\x88\x91", TOK_UNKNOWN, "write sum(d)"}, /* n-ary summation       */
	{"\xc2\xa0", TOK_UNKNOWN, "this is a no-break space; write a plain one"},
};

static int foreign_find(const char *s, size_t len)
{
	for (int i = 0; i < (int)(sizeof foreign / sizeof *foreign); i++)
		if (strlen(foreign[i].text) == len && memcmp(foreign[i].text, s, len) == 0)
			return i;
	return -1;
}

int foreign_kind(const char *s, size_t len)
{
	int i = foreign_find(s, len);

	return i < 0 ? TOK_UNKNOWN : foreign[i].kind;
}

static void report_foreign(const syntax *cx, loc at)
{
	const char *s = cx->src->text + at.begin;
	int i = foreign_find(s, at.end - at.begin), len;
	uint32_t code;

	len = text_utf8_decode(s, at.end - at.begin, &code);
	if (len == 0)
		diag_error(cx->d, at, "byte 0x%02X is not valid UTF-8", (unsigned char)s[0]);
	else if (i >= 0)
		diag_error(cx->d, at, "unexpected '%s'", foreign[i].text);
	else if (code == 0)
		diag_error(cx->d, at, "zero byte in the source");
	else if (code < 0x20 || code == 0x7f)
		diag_error(cx->d, at, "control character U+%04X", code);
	else if (code < 0x80)
		diag_error(cx->d, at, "unexpected character '%c'", (char)code);
	else
		diag_error(cx->d, at, "unexpected character '%.*s' (U+%04X)", len, s, code);
	if (i >= 0)
		diag_hint(cx->d, "%s", foreign[i].hint);
	else if (code >= 0x80 && len)
		diag_hint(cx->d, "names are made of ASCII letters, digits and '_'");
}

static void report_number(const syntax *cx, loc at)
{
	const char *s = cx->src->text + at.begin;
	int len = (int)(at.end - at.begin), shown = len < 40 ? len : 40, digits = 0;

	while (digits < len && s[digits] >= '0' && s[digits] <= '9')
		digits++;
	diag_error(cx->d, at, "'%.*s%s' is not a number", shown, s, shown < len ? "..." : "");
	if (digits == 0 || digits > 20 || len > 20)
		return;
	if (digits == 1 && s[0] == '0' && strchr("xXbBoO", s[1]))
		diag_hint(cx->d, "numbers are decimal");
	else if (s[digits] == '_')
		diag_hint(cx->d, "write the digits without '_'");
	else if (s[digits] != '.' && s[digits] != 'e' && s[digits] != 'E')
		diag_hint(cx->d, "a product is written %.*s * %.*s", digits, s, len - digits,
			s + digits);
}

/* Points at the first byte of the comment that should not be there. */
static void report_comment(const syntax *cx, loc at)
{
	const char *s = cx->src->text;
	uint32_t code, i = at.begin;
	int len;

	for (;; i += (uint32_t)len) {
		len = text_utf8_decode(s + i, at.end - i, &code);
		if (len == 0 || (code < 0x20 && code != '\t') || code == 0x7f)
			break;
	}
	if (len == 0)
		diag_error(cx->d, (loc){i, i + 1}, "byte 0x%02X in a comment is not valid UTF-8",
			(unsigned char)s[i]);
	else
		diag_error(cx->d, (loc){i, i + 1}, "control character U+%04X in a comment", code);
}

void problem_report(const syntax *cx, const problem *p)
{
	switch (p->what) {
	case PROBLEM_FOREIGN:
		report_foreign(cx, p->at);
		break;
	case PROBLEM_NUMBER:
		report_number(cx, p->at);
		break;
	case PROBLEM_LONG_NUMBER:
		diag_error(cx->d, p->at, "a number has at most %d characters", SYNTAX_NUMBER_MAX);
		break;
	case PROBLEM_INTEGER_RANGE:
		diag_error(cx->d, p->at, "integer does not fit in 64 bits");
		diag_hint(cx->d, "the largest is %lld", (long long)INT64_MAX);
		break;
	case PROBLEM_FLOAT_RANGE:
		diag_error(cx->d, p->at, "number is too large for a double");
		break;
	case PROBLEM_LONG_NAME:
		diag_error(cx->d, p->at, "a name has at most %d characters", SYNTAX_NAME_MAX);
		break;
	case PROBLEM_COMMENT:
		report_comment(cx, p->at);
		break;
	}
}
