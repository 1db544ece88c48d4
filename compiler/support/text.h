/* text.h: a growable string with an indentation level; every printer and emitter writes to it. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
	char *data; /* zero-terminated, owned; free with text_free or take with text_take */
	size_t len, cap;
	int indent; /* levels; applied at the start of each line that text_line/text_open write */
	const char *unit; /* one level of indentation; NULL means four spaces */
} text;

void text_free(text *t);
/* The content, zero-terminated, now owned by the caller (free()). The text is empty afterwards. */
char *text_take(text *t);
/* Appends without any indentation or newline. */
void text_put(text *t, const char *s);
void text_putn(text *t, const char *s, size_t n);
/* `n` times the character `c`. */
void text_fill(text *t, char c, size_t n);
void text_printf(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(text *t, const char *fmt, va_list ap);
/* One whole line: indentation, the formatted text, newline. */
void text_line(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As text_line, then one level deeper; text_close is one level shallower, then the line. */
void text_open(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_close(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends `s` as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void text_json_string(text *t, const char *s, size_t n);
/* Appends the shortest decimal that reads back as the same double (an int-valued double gets ".0"
 * if `dot`). */
void text_double(text *t, double x, int dot);
/* The double that the decimal `s` stands for, in the C locale whatever the host program has set. */
double text_to_double(const char *s);
/* The code point at `s` (`n` bytes available) and its length in bytes; 0 and U+FFFD when it is not
 * UTF-8. */
int text_utf8_decode(const char *s, size_t n, uint32_t *code);
