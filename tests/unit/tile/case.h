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

/* --- bodies behind a head --- */

typedef struct {
	const char *body, *message;
} mistake;

static inline tile_program *case_body(arena *a, const char *head, const char *body, diags **d)
{
	char *all = arena_printf(a, "%s%s}\n", head, body);

	return case_parse(a, all, strlen(all), d);
}

/* The parser refuses the body with this one message and shows where. */
static inline void case_parser_refuses(const char *head, const mistake *m)
{
	arena *a = arena_create();
	diags *d;
	tile_program *p = case_body(a, head, m->body, &d);
	const char *messages = case_messages(a, d);

	if (p || !strstr(messages, m->message))
		fail_msg("%s expected: %s\ngot: %s", m->body, m->message, messages);
	if (d->errors != 1)
		fail_msg("%s gives %d messages: %s", m->body, d->errors, messages);
	assert_non_null(strchr(messages, '^'));
	arena_destroy(a);
}

/* The body parses and the verifier refuses it; `message` NULL: it verifies. */
static inline void case_verifier_says(const char *head, const char *body, const char *message)
{
	arena *a = arena_create();
	diags *d;
	tile_program *p = case_body(a, head, body, &d);
	const char *why;

	if (!p)
		fail_msg("%s %s", body, case_messages(a, d));
	why = case_verify(a, p);
	if (!why && message)
		fail_msg("%s expected: %s\nbut it verifies", body, message);
	if (why && (!message || !strstr(why, message)))
		fail_msg("%s expected: %s\ngot: %s", body, message ? message : "nothing", why);
	arena_destroy(a);
}

static inline void case_verifier_refuses(const char *head, const mistake *m)
{
	case_verifier_says(head, m->body, m->message);
}

static inline void case_verifies(const char *head, const char *body)
{
	case_verifier_says(head, body, NULL);
}
