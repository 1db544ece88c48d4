/* parse.c: the front door of the parser. In: a source. Out: its syntax tree, and diagnostics.
 * Sources that are not worth scanning (too large, UTF-16) are refused here. */
#include "syntax.h"
#include "parser.h"
#include <string.h>

static bool source_is_utf16(const source *src)
{
	return src->len >= 2 &&
	       (memcmp(src->text, "\xff\xfe", 2) == 0 || memcmp(src->text, "\xfe\xff", 2) == 0);
}

ast_file *ast_parse(arena *a, const source *src, diags *d)
{
	syntax cx = {.src = src, .d = d, .current = -1, .synced = -1, .quiet = -1, .unclosed = -1};

	ast_builder_init(&cx.build, a, d);
	if (src->len > SOURCE_MAX) {
		diag_error(d, (loc){0, 0}, "the source has %zu bytes; at most %zu are allowed",
			src->len, SOURCE_MAX);
	} else if (source_is_utf16(src)) {
		diag_error(d, (loc){0, 2}, "the source is UTF-16 text");
		diag_hint(d, "save it as UTF-8");
	} else {
		tokens_scan(&cx);
		syntax_parse(&cx);
	}
	return cx.build.file;
}
