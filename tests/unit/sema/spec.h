/* spec.h: specs for tests, from text. */
#pragma once
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sema/sema.h"
#include <stdlib.h>
#include <string.h>

/* Checks the first spec of `source`; NULL when there were errors. Diagnostics are in *d. */
static inline sema_spec *spec_check(arena *a, const char *source_text, diags **d)
{
	source *src = source_create(a, "test", source_text, strlen(source_text));
	ast_file *file;

	*d = diags_create(a, src);
	file = ast_parse(a, src, *d);
	assert_int_equal(diag_error_count(*d), 0);
	return sema_check(a, file, file->specs.item[0], src, NULL, 0, *d);
}

/* The text of an expression, in the arena. */
static inline const char *spec_print(arena *a, const expr *e)
{
	text out = {0};
	const char *s;

	expr_print(e, &out);
	s = arena_strdup(a, out.data ? out.data : "");
	text_free(&out);
	return s;
}

/* A whole spec around definitions: q over i, k and v over j, r a matrix. */
#define SPEC(body)                                                                                 \
	"attention t(q : f32[B, i, H, D], k : f32[B, j, G, D], v : f32[B, j, G, E], r : f32[D, "   \
	"D])\n"                                                                                    \
	"-> (o : f32[B, i, H, E]) {\n"                                                             \
	"const D = 8, E = 8\nparam W = 3\nindex i, j : N\n" body "}\n"
