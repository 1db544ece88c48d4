/* text.c: a string that grows at its end, with an indentation level; UTF-8, JSON and number forms.
 * In:  pieces of text. Out: one zero-terminated string. Numbers are always written and read as in
 * the C locale, whatever locale the host program has set. */
#include "support/text.h"
#include "support/diag.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `extra` more bytes and the final zero. */
static void text_reserve(text *t, size_t extra)
{
	size_t need = t->len + extra + 1, cap = t->cap ? t->cap : 256;
	char *data;

	if (need <= t->cap)
		return;
	while (cap < need)
		cap *= 2;
	data = realloc(t->data, cap);
	if (!data)
		ice_memory("out of memory: text of %zu bytes", cap);
	t->data = data;
	t->cap = cap;
	t->data[t->len] = 0;
}

void text_free(text *t)
{
	free(t->data);
	t->data = NULL;
	t->len = t->cap = 0;
	t->indent = 0;
}

char *text_take(text *t)
{
	char *data;

	text_reserve(t, 0);
	data = t->data;
	t->data = NULL;
	t->len = t->cap = 0;
	t->indent = 0;
	return data;
}

void text_putn(text *t, const char *s, size_t n)
{
	text_reserve(t, n);
	if (n)
		memcpy(t->data + t->len, s, n);
	t->len += n;
	t->data[t->len] = 0;
}

void text_put(text *t, const char *s)
{
	text_putn(t, s, strlen(s));
}

void text_fill(text *t, char c, size_t n)
{
	text_reserve(t, n);
	memset(t->data + t->len, c, n);
	t->len += n;
	t->data[t->len] = 0;
}

/* The C locale for this thread until text_locale_leave; glibc hands out a static object, nothing is
 * allocated. */
static locale_t text_locale_enter(void)
{
	return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static void text_locale_leave(locale_t old)
{
	locale_t c = uselocale(old);

	if (c != LC_GLOBAL_LOCALE && c != old)
		freelocale(c);
}

void text_vprintf(text *t, const char *fmt, va_list ap)
{
	locale_t old = text_locale_enter();
	va_list again;
	int n;

	text_reserve(t, 0);
	va_copy(again, ap);
	n = vsnprintf(t->data + t->len, t->cap - t->len, fmt, ap);
	if (n >= 0 && (size_t)n >= t->cap - t->len) {
		text_reserve(t, (size_t)n);
		n = vsnprintf(t->data + t->len, t->cap - t->len, fmt, again);
	}
	va_end(again);
	text_locale_leave(old);
	if (n < 0)
		ice("cannot format '%s'", fmt);
	t->len += (size_t)n;
}

void text_printf(text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(t, fmt, ap);
	va_end(ap);
}

/* Indentation, the formatted text, newline; an empty line gets no indentation. */
static void text_vline(text *t, const char *fmt, va_list ap)
{
	size_t start = t->len, body;

	for (int i = 0; i < t->indent; i++)
		text_put(t, t->unit ? t->unit : "    ");
	body = t->len;
	text_vprintf(t, fmt, ap);
	if (t->len == body)
		t->len = start;
	text_put(t, "\n");
}

void text_line(text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vline(t, fmt, ap);
	va_end(ap);
}

void text_open(text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vline(t, fmt, ap);
	va_end(ap);
	t->indent++;
}

void text_close(text *t, const char *fmt, ...)
{
	va_list ap;

	if (t->indent == 0)
		ice("text_close without text_open");
	t->indent--;
	va_start(ap, fmt);
	text_vline(t, fmt, ap);
	va_end(ap);
}

int text_utf8_decode(const char *s, size_t n, uint32_t *code)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = n ? (unsigned char)s[0] : 0;
	int len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	uint32_t x = len == 1 ? c : c & (0x7fu >> len);

	*code = 0xfffd;
	if (n == 0 || len == 0 || (size_t)len > n)
		return 0;
	for (int i = 1; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		x = x << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (x < least[len] || (x >= 0xd800 && x < 0xe000) || x > 0x10ffff)
		return 0;
	*code = x;
	return len;
}

void text_json_string(text *t, const char *s, size_t n)
{
	uint32_t code;
	int len;

	text_put(t, "\"");
	for (size_t i = 0; i < n; i += (size_t)(len ? len : 1)) {
		len = text_utf8_decode(s + i, n - i, &code);
		if (len == 0)
			text_put(t, "\xef\xbf\xbd");
		else if (code == '"' || code == '\\')
			text_printf(t, "\\%c", (char)code);
		else if (code == '\n')
			text_put(t, "\\n");
		else if (code == '\t')
			text_put(t, "\\t");
		else if (code < 0x20 || code == 0x7f)
			text_printf(t, "\\u%04x", code);
		else
			text_putn(t, s + i, (size_t)len);
	}
	text_put(t, "\"");
}

double text_to_double(const char *s)
{
	locale_t old = text_locale_enter();
	double x = strtod(s, NULL);

	text_locale_leave(old);
	return x;
}

void text_double(text *t, double x, int dot)
{
	char digits[40];
	locale_t old;

	if (isnan(x)) {
		text_put(t, "nan");
		return;
	}
	if (isinf(x)) {
		text_put(t, x < 0 ? "-inf" : "inf");
		return;
	}
	old = text_locale_enter();
	for (int precision = 1; precision <= 17; precision++) {
		snprintf(digits, sizeof digits, "%.*g", precision, x);
		if (strtod(digits, NULL) == x)
			break;
	}
	/* 1e+02 reads back as well as 100, but nobody writes it. */
	if (fabs(x) < 1e15 && floor(x) == x)
		snprintf(digits, sizeof digits, "%.0f", x);
	text_locale_leave(old);
	text_put(t, digits);
	if (dot && !strpbrk(digits, ".e"))
		text_put(t, ".0");
}
