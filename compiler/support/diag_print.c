/* diag_print.c: diagnostics as clang shows them, in colour or not, or as JSON.
 * In:  the collected list and the source. Out: text. Every byte of the source that a terminal might
 * act on is shown as <XX> or <U+XXXX>; lines that are too wide are cut around the caret, in time
 * independent of their length. */
#include "support/diag.h"
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 512, SHOWN_CELLS = 120, SHOWN_BEFORE = 50, TAB = 8 };

/* One character of a source line as it is shown. */
typedef struct {
	uint32_t at; /* offset in the source */
	int cells;   /* columns on the terminal */
	int len;     /* bytes of `shown` */
	char shown[12];
} glyph;

typedef struct {
	const char *bold, *error, *warning, *note, *caret, *plain;
} palette;

static const palette no_color = {"", "", "", "", "", ""};
static const palette color = {
	"\033[1m", "\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1;32m", "\033[0m"};

typedef struct {
	uint32_t first, last;
} code_range;

static bool in_ranges(const code_range *r, size_t n, uint32_t code)
{
	for (size_t i = 0; i < n; i++)
		if (code >= r[i].first && code <= r[i].last)
			return true;
	return false;
}

/* Control, format and bidirectional-override characters: these must not reach a terminal. */
static bool code_is_hidden(uint32_t code)
{
	static const code_range hidden[] = {{0, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c},
		{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xe000, 0xf8ff},
		{0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0x10ffff}};

	if (code >= 0x20 && code < 0x7f)
		return false;
	return in_ranges(hidden, sizeof hidden / sizeof *hidden, code);
}

static int code_cells(uint32_t code)
{
	static const code_range none[] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd},
		{0x610, 0x61a}, {0x64b, 0x65f}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
		{0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
	static const code_range wide[] = {{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf},
		{0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60},
		{0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
		{0x20000, 0x3fffd}};

	if (code < 0x300)
		return 1;
	if (in_ranges(none, sizeof none / sizeof *none, code))
		return 0;
	return in_ranges(wide, sizeof wide / sizeof *wide, code) ? 2 : 1;
}

/* Decodes one character for showing; returns the bytes it takes. Tabs are left to the caller. */
static int glyph_decode(glyph *g, const char *s, size_t n)
{
	uint32_t code;
	int len = text_utf8_decode(s, n, &code);

	if (len == 0)
		code = (unsigned char)s[0];
	if (len && !code_is_hidden(code)) {
		memcpy(g->shown, s, (size_t)len);
		g->len = len;
		g->cells = code_cells(code);
		return len;
	}
	g->len = snprintf(g->shown, sizeof g->shown, len > 1 ? "<U+%04X>" : "<%02X>", code);
	g->cells = g->len;
	return len ? len : 1;
}

/* The part of the line around the caret, as glyphs. A tab becomes as many blanks as reach the next
 * stop. */
static int glyphs_of_line(const source *src, uint32_t first, uint32_t last, glyph *out)
{
	int count = 0, column = 0;

	for (uint32_t at = first; at < last;) {
		glyph *g = &out[count++];

		g->at = at;
		if (src->text[at] == '\t') {
			g->cells = g->len = TAB - column % TAB;
			memset(g->shown, ' ', (size_t)g->len);
			at++;
		} else {
			at += (uint32_t)glyph_decode(g, src->text + at, last - at);
		}
		column += g->cells;
	}
	return count;
}

/* Chooses glyphs [*from, *to) that fit the width and contain the caret's. */
static void glyphs_choose(const glyph *g, int count, uint32_t caret, int *from, int *to)
{
	int total = 0, here = 0, before = 0, width = 0;

	for (int i = 0; i < count; i++)
		total += g[i].cells;
	*from = 0;
	*to = count;
	if (total <= SHOWN_CELLS)
		return;
	while (here < count && g[here].at < caret)
		here++;
	for (*from = here; *from > 0 && before + g[*from - 1].cells <= SHOWN_BEFORE; --*from)
		before += g[*from - 1].cells;
	/* Near the end of the line there is room for more on the left. */
	for (*to = *from; *to < count && width + g[*to].cells <= SHOWN_CELLS; ++*to)
		width += g[*to].cells;
	while (*from > 0 && *to == count && width + g[*from - 1].cells <= SHOWN_CELLS)
		width += g[--*from].cells;
}

/* Backs up to the first byte of a character, so that a cut line does not begin inside one. */
static uint32_t character_start(const source *src, uint32_t line, uint32_t at)
{
	for (int i = 0; i < 3 && at > line && ((unsigned char)src->text[at] & 0xc0) == 0x80; i++)
		at--;
	return at;
}

/* The source line of `at` and the caret line below it. */
static void print_snippet(const source *src, loc at, const palette *c, text *out)
{
	glyph g[SHOWN_BYTES + 8];
	int line, column, count, from, to, marks = 0, blanks = 0;
	uint32_t start, end, first, last;
	text under = {0};

	if (at.begin > src->len)
		at.begin = (uint32_t)src->len;
	source_position(src, at.begin, &line, &column);
	start = src->line_start[line - 1];
	end = line < src->line_count ? src->line_start[line] - 1 : (uint32_t)src->len;
	if (end > start && src->text[end - 1] == '\r')
		end--;
	first = at.begin - start > SHOWN_BYTES / 2 ? at.begin - SHOWN_BYTES / 2 : start;
	first = character_start(src, start, first);
	last = end - first > SHOWN_BYTES ? character_start(src, first, first + SHOWN_BYTES) : end;
	count = glyphs_of_line(src, first, last, g);
	glyphs_choose(g, count, at.begin, &from, &to);

	if (first > start || from > 0) {
		text_put(out, "...");
		blanks = 3;
	}
	for (int i = from; i < to; i++) {
		text_putn(out, g[i].shown, (size_t)g[i].len);
		if (g[i].at < at.begin)
			blanks += g[i].cells;
		else if (g[i].at < at.end)
			marks += g[i].cells;
	}
	text_put(out, last < end || to < count ? "...\n" : "\n");
	text_fill(&under, ' ', (size_t)blanks);
	text_printf(&under, "%s^", c->caret);
	text_fill(&under, '~', (size_t)(marks > 1 ? marks - 1 : 0));
	text_printf(out, "%s%s\n", under.data, c->plain);
	text_free(&under);
}

/* Text from elsewhere (a message, a path), with nothing in it that a terminal acts on. */
static void put_safely(text *out, const char *s)
{
	glyph g;

	for (size_t n = strlen(s), i = 0; i < n;) {
		i += (size_t)glyph_decode(&g, s + i, n - i);
		text_putn(out, g.shown, (size_t)g.len);
	}
}

static void print_message(const diags *d, const diag *m, const palette *c, text *out)
{
	static const char *const word[] = {"note", "warning", "error"};
	const char *const tint[] = {c->note, c->warning, c->error};
	int line, column;

	source_position(d->src, m->at.begin, &line, &column);
	text_put(out, c->bold);
	put_safely(out, d->src->name);
	text_printf(out, ":%d:%d: %s%s: %s%s", line, column, tint[m->severity], word[m->severity],
		c->plain, m->severity == DIAG_NOTE ? "" : c->bold);
	put_safely(out, m->message);
	if (m->name)
		text_printf(out, " [%s-W%s]", m->severity == DIAG_ERROR ? "-Werror," : "", m->name);
	text_printf(out, "%s\n", c->plain);
	print_snippet(d->src, m->at, c, out);
	if (m->hint) {
		text_printf(out, "%shint:%s ", c->note, c->plain);
		put_safely(out, m->hint);
		text_put(out, "\n");
	}
}

static void print_summary(const diags *d, text *out)
{
	int shown = 0;

	for (int i = 0; i < d->list.count; i++)
		shown += d->list.item[i].severity == DIAG_ERROR;
	if (d->warnings)
		text_printf(out, "%d warning%s%s", d->warnings, d->warnings == 1 ? "" : "s",
			d->errors ? " and " : "");
	if (d->errors)
		text_printf(out, "%d error%s", d->errors, d->errors == 1 ? "" : "s");
	if (d->errors || d->warnings)
		text_put(out, " generated");
	if (d->errors > shown)
		text_printf(out, " (the first %d are shown)", shown);
	text_put(out, d->errors || d->warnings ? ".\n" : "");
}

static void print_text(const diags *d, const palette *c, text *out)
{
	for (int i = 0; i < d->list.count; i++)
		print_message(d, &d->list.item[i], c, out);
	print_summary(d, out);
}

static void json_text(text *out, const char *key, const char *value)
{
	text_printf(out, ", \"%s\": ", key);
	if (value)
		text_json_string(out, value, strlen(value));
	else
		text_put(out, "null");
}

/* The members that messages and notes share, without the closing brace. */
static void json_message(const diags *d, const diag *m, text *out)
{
	static const char *const word[] = {"note", "warning", "error"};
	int line, column, end_line, end_column;

	source_position(d->src, m->at.begin, &line, &column);
	source_position(d->src, m->at.end, &end_line, &end_column);
	text_printf(out, "{\"severity\": \"%s\"", word[m->severity]);
	json_text(out, "file", d->src->name);
	text_printf(out, ", \"line\": %d, \"column\": %d, \"end_line\": %d, \"end_column\": %d",
		line, column, end_line, end_column);
	json_text(out, "message", m->message);
	json_text(out, "hint", m->hint);
	json_text(out, "name", m->name);
}

static void print_json(const diags *d, text *out)
{
	const diag *m = d->list.item;
	int count = d->list.count;

	text_put(out, "[");
	for (int i = 0; i < count;) {
		text_put(out, i ? ",\n  " : "\n  ");
		json_message(d, &m[i++], out);
		text_put(out, ", \"notes\": [");
		for (int n = 0; i < count && m[i].severity == DIAG_NOTE; i++, n++) {
			text_put(out, n ? ", " : "");
			json_message(d, &m[i], out);
			text_put(out, "}");
		}
		text_put(out, "]}");
	}
	text_put(out, count ? "\n]\n" : "]\n");
}

void diags_print(const diags *d, diag_format format, text *out)
{
	switch (format) {
	case DIAG_TEXT:
		print_text(d, &no_color, out);
		break;
	case DIAG_TEXT_COLOR:
		print_text(d, &color, out);
		break;
	case DIAG_JSON:
		print_json(d, out);
		break;
	}
}
