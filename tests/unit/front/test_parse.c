/* test_parse.c: what the parser makes of input that no case file can hold or that is about
 * recovery: how many messages a mistake gives, that the statements behind it are still read,
 * limits, strange bytes, large inputs. */
#include "ast/ast.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

typedef struct {
	arena *a;
	diags *d;
	ast_file *file;
} parsed;

static parsed parse(const char *s, size_t n)
{
	parsed p = {.a = arena_create()};
	source *src = source_create(p.a, "t.tkl", s, n);

	p.d = diags_create(p.a, src);
	p.file = ast_parse(p.a, src, p.d);
	assert_non_null(p.file);
	return p;
}

/* Parses `body` inside a spec whose header is fine. */
static parsed parse_body(const char *body)
{
	text t = {0};
	arena *keep;
	char *s;
	parsed p;

	text_printf(&t, "attention f(q : f32[i, D]) -> (o : f32[i, D])\n{\n%s\n}\n", body);
	keep = arena_create();
	s = arena_strndup(keep, t.data, t.len);
	text_free(&t);
	p = parse(s, strlen(s));
	/* The source is needed only while messages are printed, which these tests do not. */
	arena_destroy(keep);
	return p;
}

static void expect_errors(parsed p, const char *const *message, int n)
{
	int seen = 0;

	for (int i = 0; i < p.d->list.count; i++) {
		if (p.d->list.item[i].severity != DIAG_ERROR)
			continue;
		assert_true(seen < n);
		assert_string_equal(p.d->list.item[i].message, message[seen++]);
	}
	assert_int_equal(seen, n);
	arena_destroy(p.a);
}

#define EXPECT_ERRORS(p, ...)                                                                      \
	expect_errors((p), (const char *const[]){__VA_ARGS__},                                     \
		(int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void every_statement_gives_its_own_message(void **state)
{
	(void)state;
	EXPECT_ERRORS(parse_body("    mask i < < j\n"
				 "    a = q[d\n"
				 "    b = 2 q\n"
				 "    c = (q)[d]\n"
				 "    wndow j in (i, 3]\n"
				 "    d = 3 +\n"
				 "    e = 3)"),
		"expected an expression after '<', found '<'",
		"expected ',' or ']' to close the subscript", "expected an operator before 'q'",
		"only a tensor, a definition with parameters or cross(x, y) can be subscripted",
		"unknown statement 'wndow'", "expected an expression after '+'", "unmatched ')'");
}

static void statements_behind_a_mistake_are_read(void **state)
{
	parsed p = parse_body("    a = )\n    b = 2\n    mask ! b and\n    const D = 3, E = 4\n");

	(void)state;
	assert_int_equal(p.file->specs.count, 1);
	assert_int_equal(p.file->specs.item[0]->body.count, 3);
	assert_string_equal(p.file->specs.item[0]->body.item[0].define.name.text, "b");
	assert_true(p.file->specs.item[0]->body.item[2].joined);
	arena_destroy(p.a);
}

static void operators_of_other_languages_give_one_message_each(void **state)
{
	(void)state;
	EXPECT_ERRORS(parse_body("    mask i < 3 && j < 3 || !(i == j)\n    a = i ** 2 ^ 3\n"),
		"unexpected '&&'", "unexpected '||'", "unexpected '!'", "unexpected '**'",
		"unexpected '^'");
}

static void slashes_are_recognised_as_a_comment(void **state)
{
	(void)state;
	EXPECT_ERRORS(parse_body("    // the window of the first key\n    a = 3 // three of them\n"
				 "    b = a\n    // and then\n    c = )\n"),
		"'//' divides, it does not begin a comment",
		"'//' divides, it does not begin a comment",
		"'//' divides, it does not begin a comment", "unmatched ')'");
}

static void unclosed_blocks_are_reported_at_the_next_one(void **state)
{
	static const char s[] = "attention f() -> () {\n    a = (1 +\nattention g() -> () {\n}\n"
				"schedule g {\n    rows = 3\n";
	parsed p = parse(s, sizeof s - 1);

	(void)state;
	assert_int_equal(p.file->specs.count, 2);
	assert_int_equal(p.file->schedules.count, 1);
	EXPECT_ERRORS(p, "expected '}' to close the body, found 'attention'",
		"expected '}' to close the schedule, found end of input");
}

static void header_mistakes_leave_the_body_readable(void **state)
{
	static const char s[] =
		"attention f(q : [B], k T[B], z : f32) (o T[B])\n    const D = 3\n}\n"
		"attention g(q : f32[B, i -> (o : f32[B])\n{\n    a = )\n}\n";
	parsed p = parse(s, sizeof s - 1);

	(void)state;
	assert_int_equal(p.file->specs.item[0]->body.count, 1);
	EXPECT_ERRORS(p, "expected an element type before the dimensions",
		"expected '[' and the dimensions, found ')'",
		"expected '->' between the inputs and the outputs",
		"expected ':' and the type of 'o', found 'T'", "expected '{' before the body",
		"expected ',' or ']' to close the dimensions, found '->'", "unmatched ')'");
}

static void settings_recover_one_by_one(void **state)
{
	static const char s[] =
		"schedule f on sm_90a {\n    tiel k = 3\n    rows 3\n    stages = , 4\n"
		"    specialize A, B\n    overlap = pingpong, C\n}\n";
	parsed p = parse(s, sizeof s - 1);

	(void)state;
	/* `tile k = 3` is lost: the parser stops before it knows that the setting is complete. */
	assert_int_equal(p.file->schedules.item[0]->settings.count, 3);
	EXPECT_ERRORS(p, "unknown setting 'tiel'", "expected '=' after 'rows'",
		"expected an expression after '=', found ','",
		"expected '=' and a value after 'C'");
}

static void keywords_are_no_names(void **state)
{
	(void)state;
	EXPECT_ERRORS(
		parse_body("    index mask, j : N\n    const window = 3\n    a = group + 1\n"),
		"'mask' is a keyword and cannot be a name",
		"'window' is a keyword and cannot be a name",
		"'group' is a keyword and cannot be a name");
}

static void strange_bytes_are_reported_once_a_run(void **state)
{
	static const char s[] = "attention f() -> () {\n  a = \0\0\0 \xff\xfe \xc3\xa9 # \x01\n}\n";

	(void)state;
	EXPECT_ERRORS(parse(s, sizeof s - 1), "zero byte in the source",
		"byte 0xFF is not valid UTF-8", "unexpected character '\xc3\xa9' (U+00E9)",
		"control character U+0001 in a comment");
	EXPECT_ERRORS(parse("\xff\xfe"
			    "a\0",
			      4),
		"the source is UTF-16 text");
}

static void bom_and_crlf_are_accepted(void **state)
{
	static const char s[] = "\xef\xbb\xbf# c\r\nattention f() -> () {\r\n    a = 1\r\n}\r\n";
	parsed p = parse(s, sizeof s - 1);

	(void)state;
	assert_int_equal(diag_error_count(p.d), 0);
	assert_int_equal(p.file->specs.item[0]->body.count, 1);
	assert_int_equal(p.file->comments.item[0].at.end, 6);
	arena_destroy(p.a);
}

static void numbers_out_of_range_are_refused(void **state)
{
	(void)state;
	EXPECT_ERRORS(parse_body("a = 9223372036854775808 + 99999999999999999999999999999 + 1e999"),
		"integer does not fit in 64 bits", "integer does not fit in 64 bits",
		"number is too large for a double");
	EXPECT_ERRORS(parse_body("a = 12ab + 0x10 + 1.2.3"), "'12ab' is not a number",
		"'0x10' is not a number", "'1.2.3' is not a number");
}

static void largest_integer_is_read(void **state)
{
	parsed p = parse_body("a = 9223372036854775807");

	(void)state;
	assert_int_equal(diag_error_count(p.d), 0);
	assert_true(p.file->specs.item[0]->body.item[0].define.value->integer == INT64_MAX);
	arena_destroy(p.a);
}

static void max_is_a_reduction_before_an_expression_only(void **state)
{
	parsed p = parse_body(
		"a = max(i, j)\nb = max(i, j) q\nc = max(i, j) - 1\nd = min(e : 3) q[e]");
	const ast_stmt *s = p.file->specs.item[0]->body.item;

	(void)state;
	assert_int_equal(diag_error_count(p.d), 0);
	assert_int_equal(s[0].define.value->kind, AST_CALL);
	assert_int_equal(s[1].define.value->kind, AST_REDUCE);
	assert_int_equal(s[2].define.value->kind, AST_BINARY);
	assert_int_equal(s[3].define.value->kind, AST_REDUCE);
	assert_non_null(s[3].define.value->reduce.over.item[0].extent);
	arena_destroy(p.a);
}

/* `unit` repeated up to the largest source, behind `head`. */
static char *repeat(const char *head, const char *unit, size_t *len)
{
	size_t n = strlen(head), m = strlen(unit), count = (SOURCE_MAX - n) / m;
	char *s = malloc(n + m * count);

	memcpy(s, head, n);
	for (size_t i = 0; i < count; i++)
		memcpy(s + n + i * m, unit, m);
	*len = n + m * count;
	return s;
}

static void nesting_is_bounded(void **state)
{
	static const char *const units[] = {"(", "-", "not ", "sum(d) ", "max(", "a[", "1+", "f("};
	static const char *const said[] = {"nested too deeply: the parser gives up here",
		"expression is nested more than 200 levels deep"};

	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		text t = {0};
		parsed p;
		bool found = false;

		text_put(&t, "a = ");
		for (int k = 0; k < 20000; k++)
			text_put(&t, units[i]);
		text_put(&t, "1");
		p = parse_body(t.data);
		for (int k = 0; k < p.d->list.count; k++)
			found |= !strcmp(p.d->list.item[k].message, said[0]) ||
				 !strcmp(p.d->list.item[k].message, said[1]);
		assert_true(found);
		text_free(&t);
		arena_destroy(p.a);
	}
}

static void large_sources_take_linear_time(void **state)
{
	static const char *const body = "attention f() -> () {\n";
	static const struct {
		const char *head, *unit;
	} cases[] = {{"", "a "}, {"", "a = "}, {"", "("}, {"", "a["}, {"x = a[", "a,"},
		{"", "\xff"}, {"", "$ "}, {"", "/* "}, {"", "attention "}, {"", "schedule "},
		{"", "9"}, {"", "x"}, {"", "# c\n"}, {"attention f(", "q : T "},
		{"attention f(", "q : T[B], "}, {"schedule f {", "a = 3, "},
		{"schedule f { specialize a", ", b"}, {body, "a = 3\n"}, {body, "wndow j in (3\n"},
		{body, "// no\n"}, {body, "= 3 // b c "}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		clock_t start = clock();
		size_t len;
		char *s = repeat(cases[i].head, cases[i].unit, &len);
		parsed p = parse(s, len);
		text out = {0};

		diags_print(p.d, DIAG_TEXT, &out);
		assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
		text_free(&out);
		arena_destroy(p.a);
		free(s);
	}
}

static void too_large_sources_are_refused(void **state)
{
	char *s = calloc(1, SOURCE_MAX + 1);
	parsed p = parse(s, SOURCE_MAX + 1);

	(void)state;
	EXPECT_ERRORS(p, "the source has 1048577 bytes; at most 1048576 are allowed");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_statement_gives_its_own_message),
		cmocka_unit_test(statements_behind_a_mistake_are_read),
		cmocka_unit_test(operators_of_other_languages_give_one_message_each),
		cmocka_unit_test(slashes_are_recognised_as_a_comment),
		cmocka_unit_test(unclosed_blocks_are_reported_at_the_next_one),
		cmocka_unit_test(header_mistakes_leave_the_body_readable),
		cmocka_unit_test(settings_recover_one_by_one),
		cmocka_unit_test(keywords_are_no_names),
		cmocka_unit_test(strange_bytes_are_reported_once_a_run),
		cmocka_unit_test(bom_and_crlf_are_accepted),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(largest_integer_is_read),
		cmocka_unit_test(max_is_a_reduction_before_an_expression_only),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(large_sources_take_linear_time),
		cmocka_unit_test(too_large_sources_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
