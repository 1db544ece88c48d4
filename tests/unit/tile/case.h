/* case.h: tile programs for tests, from text and from files. */
#pragma once
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tile/tile.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every message as text, in the arena; "" when there is none. */
static inline const char *case_messages(arena *a, const diags *d)
{
	text out = {0};
	const char *s;

	diags_print(d, DIAG_TEXT, &out);
	s = arena_strdup(a, out.data ? out.data : "");
	text_free(&out);
	return s;
}

static inline tile_program *case_parse(arena *a, const char *bytes, size_t len, diags **d)
{
	source *src = source_create(a, "case", bytes, len);

	*d = diags_create(a, src);
	return tile_parse(a, src, *d);
}

static inline const char *case_print(arena *a, const tile_program *p)
{
	text out = {0};
	const char *s;

	tile_print(p, &out);
	s = arena_strdup(a, out.data);
	text_free(&out);
	return s;
}

/* NULL: it verifies. */
static inline const char *case_verify(arena *a, const tile_program *p)
{
	text why = {0};
	const char *s = NULL;

	if (!tile_verify(p, &why))
		s = arena_strdup(a, why.data);
	text_free(&why);
	return s;
}
