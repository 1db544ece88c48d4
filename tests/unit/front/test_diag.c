/* test_diag.c: positions, the list of diagnostics and its limits, how a message is shown, names
 * near a word, ice. */
#include "support/diag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct {
	arena *a;
	source *src;
	diags *d;
} fixture;

static fixture open_source(const char *s)
{
	fixture f = {.a = arena_create()};

	f.src = source_create(f.a, "t.tkl", s, strlen(s));
	f.d = diags_create(f.a, f.src);
	return f;
}

/* The text of all messages; the fixture is closed. */
static void expect_shown(fixture f, diag_format format, const char *want)
{
	text out = {0};

	diags_print(f.d, format, &out);
	assert_string_equal(out.len ? out.data : "", want);
	text_free(&out);
	arena_destroy(f.a);
}

static void positions_count_from_one(void **state)
{
	fixture f = open_source("ab\n\ncd");
	int line, column;

	(void)state;
	source_position(f.src, 0, &line, &column);
	assert_int_equal(line * 100 + column, 101);
	source_position(f.src, 2, &line, &column);
	assert_int_equal(line * 100 + column, 103);
	source_position(f.src, 3, &line, &column);
	assert_int_equal(line * 100 + column, 201);
	source_position(f.src, 5, &line, &column);
	assert_int_equal(line * 100 + column, 302);
	source_position(f.src, 999, &line, &column);
	assert_int_equal(line * 100 + column, 303);
	arena_destroy(f.a);
}

static void message_shows_line_caret_hint_and_note(void **state)
{
	fixture f = open_source("mask i && j\n");

	(void)state;
	diag_error(f.d, (loc){7, 9}, "unexpected '%s'", "&&");
	diag_hint(f.d, "write 'and'");
	diag_note(f.d, (loc){0, 4}, "in this mask");
	expect_shown(f, DIAG_TEXT,
		"t.tkl:1:8: error: unexpected '&&'\n"
		"mask i && j\n"
		"       ^~\n"
		"hint: write 'and'\n"
		"t.tkl:1:1: note: in this mask\n"
		"mask i && j\n"
		"^~~~\n"
		"1 error generated.\n");
}

static void caret_stands_right_behind_tabs_and_wide_characters(void **state)
{
	fixture f = open_source("\ta\xe4\xb8\xad\xc3\xa9 x\n");

	(void)state;
	diag_error(f.d, (loc){8, 9}, "here");
	expect_shown(f, DIAG_TEXT,
		"t.tkl:1:9: error: here\n"
		"        a\xe4\xb8\xad\xc3\xa9 x\n"
		"             ^\n"
		"1 error generated.\n");
}

static void bytes_that_terminals_act_on_are_spelled_out(void **state)
{
	fixture f = open_source("a\x1b[2J\xff\xe2\x80\xae z\r\n");

	(void)state;
	diag_error(f.d, (loc){10, 11}, "bad %s", "\x1b[1m");
	expect_shown(f, DIAG_TEXT,
		"t.tkl:1:11: error: bad <1B>[1m\n"
		"a<1B>[2J<FF><U+202E> z\n"
		"                     ^\n"
		"1 error generated.\n");
}

static void long_lines_are_cut_around_the_caret(void **state)
{
	char *s = malloc(100001);
	fixture f;
	text out = {0};

	(void)state;
	memset(s, 'a', 100000);
	s[100000] = 0;
	s[50000] = 'X';
	f = open_source(s);
	diag_error(f.d, (loc){50000, 60000}, "here");
	diags_print(f.d, DIAG_TEXT, &out);
	assert_true(out.len < 400);
	assert_non_null(strstr(out.data, "...aaaa"));
	assert_non_null(strstr(out.data, "aX"));
	text_free(&out);
	arena_destroy(f.a);
	free(s);
}

static void locations_past_the_end_are_shown_at_the_end(void **state)
{
	fixture f = open_source("ab");

	(void)state;
	diag_error(f.d, (loc){70, 90}, "x");
	expect_shown(f, DIAG_TEXT, "t.tkl:1:3: error: x\nab\n  ^\n1 error generated.\n");
}

static void warnings_have_names_and_can_be_errors(void **state)
{
	fixture f = open_source("k\n");

	(void)state;
	diag_warning(f.d, (loc){0, 1}, "unused", "'k' is not used");
	f.d->warnings_are_errors = true;
	diag_warning(f.d, (loc){0, 1}, "unused", "'k' is not used");
	expect_shown(f, DIAG_TEXT,
		"t.tkl:1:1: warning: 'k' is not used [-Wunused]\nk\n^\n"
		"t.tkl:1:1: error: 'k' is not used [-Werror,-Wunused]\nk\n^\n"
		"1 warning and 1 error generated.\n");
}

static void past_the_limit_errors_are_counted_without_their_notes(void **state)
{
	fixture f = open_source("k\n");

	(void)state;
	f.d->error_limit = 2;
	for (int i = 0; i < 5; i++) {
		diag_error(f.d, (loc){0, 1}, "e%d", i);
		diag_hint(f.d, "h%d", i);
		diag_note(f.d, (loc){0, 1}, "n%d", i);
	}
	assert_true(diag_full(f.d));
	assert_int_equal(diag_error_count(f.d), 5);
	assert_int_equal(f.d->list.count, 4);
	assert_string_equal(f.d->list.item[2].hint, "h1");
	expect_shown(f, DIAG_TEXT,
		"t.tkl:1:1: error: e0\nk\n^\nhint: h0\nt.tkl:1:1: note: n0\nk\n^\n"
		"t.tkl:1:1: error: e1\nk\n^\nhint: h1\nt.tkl:1:1: note: n1\nk\n^\n"
		"5 errors generated (the first 2 are shown).\n");
}

static void json_nests_the_notes(void **state)
{
	fixture f = open_source("a\nb\n");

	(void)state;
	diag_error(f.d, (loc){2, 3}, "bad \"b\"");
	diag_hint(f.d, "a");
	diag_note(f.d, (loc){0, 1}, "see");
	expect_shown(f, DIAG_JSON,
		"[\n  {\"severity\": \"error\", \"file\": \"t.tkl\", \"line\": 2, \"column\": 1, "
		"\"end_line\": 2, \"end_column\": 2, \"message\": \"bad \\\"b\\\"\", \"hint\": "
		"\"a\", "
		"\"name\": null, \"notes\": [{\"severity\": \"note\", \"file\": \"t.tkl\", "
		"\"line\": 1, "
		"\"column\": 1, \"end_line\": 1, \"end_column\": 2, \"message\": \"see\", "
		"\"hint\": null, "
		"\"name\": null}]}\n]\n");
	expect_shown(open_source(""), DIAG_JSON, "[]\n");
}

static void colour_is_balanced(void **state)
{
	fixture f = open_source("a\n");
	text out = {0};

	(void)state;
	diag_error(f.d, (loc){0, 1}, "x");
	diags_print(f.d, DIAG_TEXT_COLOR, &out);
	assert_non_null(strstr(out.data, "\033[1;31merror: \033[0m"));
	assert_non_null(strstr(out.data, "^\033[0m\n"));
	text_free(&out);
	arena_destroy(f.a);
}

static void near_names_are_found_and_far_ones_are_not(void **state)
{
	static const char *const names[] = {"window", "k1", "W1", "softmax", "q"};

	(void)state;
	assert_string_equal(diag_nearest("wndow", names, 5), "window");
	assert_string_equal(diag_nearest("widnow", names, 5), "window");
	assert_string_equal(diag_nearest("Softmax", names, 5), "softmax");
	assert_string_equal(diag_nearest("k", names, 5), "k1");
	assert_string_equal(diag_nearest("w1", names, 5), "W1");
	assert_null(diag_nearest("z", names, 5));
	assert_null(diag_nearest("v2", names, 5));
	assert_null(diag_nearest("alphabet", names, 5));
	assert_null(diag_nearest("", names, 5));
}

static jmp_buf back;
static ice_cause last_cause;

static void on_ice(void *user, ice_cause cause, const char *message)
{
	last_cause = cause;
	*(char **)user = strdup(message);
	longjmp(back, 1);
}

static void internal_errors_reach_the_handler(void **state)
{
	static char *message;

	(void)state;
	ice_set_handler(on_ice, &message);
	if (setjmp(back) == 0)
		ice("IR broken after %s", "opt_hoist");
	assert_int_equal(last_cause, ICE_BUG);
	assert_non_null(strstr(message, "internal error at test_diag.c:"));
	assert_non_null(strstr(message, "IR broken after opt_hoist"));
	free(message);
	if (setjmp(back) == 0)
		ice_memory("out of memory: %d bytes", 7);
	ice_set_handler(NULL, NULL);
	assert_int_equal(last_cause, ICE_MEMORY);
	assert_string_equal(message, "out of memory: 7 bytes");
	free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_count_from_one),
		cmocka_unit_test(message_shows_line_caret_hint_and_note),
		cmocka_unit_test(caret_stands_right_behind_tabs_and_wide_characters),
		cmocka_unit_test(bytes_that_terminals_act_on_are_spelled_out),
		cmocka_unit_test(long_lines_are_cut_around_the_caret),
		cmocka_unit_test(locations_past_the_end_are_shown_at_the_end),
		cmocka_unit_test(warnings_have_names_and_can_be_errors),
		cmocka_unit_test(past_the_limit_errors_are_counted_without_their_notes),
		cmocka_unit_test(json_nests_the_notes),
		cmocka_unit_test(colour_is_balanced),
		cmocka_unit_test(near_names_are_found_and_far_ones_are_not),
		cmocka_unit_test(internal_errors_reach_the_handler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
