/* source.c: the text of one compilation and where its lines begin.
 * In:  bytes. Out: line and column of any offset in logarithmic time. Lines end with "\n"; a "\r"
 * before it is part of the line's end for whoever shows the line. */
#include "support/diag.h"
#include <string.h>

source *source_create(arena *a, const char *name, const char *bytes, size_t len)
{
	source *s = ARENA_NEW(a, source);
	size_t indexed = len <= SOURCE_MAX ? len : 0;
	const char *p = bytes, *end = bytes + indexed;
	int lines = 1;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		lines++;
		p++;
	}
	s->name = arena_strdup(a, name);
	s->text = bytes;
	s->len = len <= UINT32_MAX ? len : UINT32_MAX;
	s->line_start = ARENA_ARRAY(a, uint32_t, lines);
	s->line_count = lines;
	p = bytes;
	for (int n = 1; n < lines; n++) {
		p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
		s->line_start[n] = (uint32_t)(p - bytes);
	}
	return s;
}

void source_position(const source *s, uint32_t offset, int *line, int *column)
{
	int low = 0, high = s->line_count - 1;

	if (offset > s->len)
		offset = (uint32_t)s->len;
	while (low < high) {
		int mid = low + (high - low + 1) / 2;

		if (s->line_start[mid] <= offset)
			low = mid;
		else
			high = mid - 1;
	}
	*line = low + 1;
	*column = (int)(offset - s->line_start[low]) + 1;
}
