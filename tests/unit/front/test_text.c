/* test_text.c: the growable text: indentation, numbers in any locale, JSON strings, UTF-8. */
#include "support/text.h"
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void lines_are_indented(void **state)
{
	text t = {0};

	(void)state;
	text_open(&t, "for %s {", "i");
	text_line(&t, "%s", "");
	text_open(&t, "if {");
	text_line(&t, "x = %d", 3);
	text_close(&t, "}");
	text_close(&t, "}");
	assert_string_equal(t.data, "for i {\n\n    if {\n        x = 3\n    }\n}\n");
	text_free(&t);
}

static void pieces_are_appended(void **state)
{
	text t = {0};
	char *taken;

	(void)state;
	text_fill(&t, '-', 1000);
	text_putn(&t, NULL, 0);
	text_printf(&t, "%0500d", 7);
	assert_int_equal(t.len, 1500);
	taken = text_take(&t);
	assert_int_equal(strlen(taken), 1500);
	assert_null(t.data);
	free(taken);
	taken = text_take(&t);
	assert_string_equal(taken, "");
	free(taken);
}

static void expect_double(double x, int dot, const char *want)
{
	text t = {0};

	text_double(&t, x, dot);
	assert_string_equal(t.data, want);
	text_free(&t);
}

static void doubles_are_shortest_and_read_back(void **state)
{
	(void)state;
	expect_double(0.1, 1, "0.1");
	expect_double(128, 1, "128.0");
	expect_double(128, 0, "128");
	expect_double(-0.0, 1, "-0.0");
	expect_double(1e300, 1, "1e+300");
	expect_double(100000, 0, "100000");
	expect_double(1.0 / 3, 1, "0.3333333333333333");
	expect_double(NAN, 1, "nan");
	expect_double(-INFINITY, 1, "-inf");
	srand(1);
	for (int i = 0; i < 20000; i++) {
		double x = ldexp((double)rand() / RAND_MAX + rand(), rand() % 600 - 300);
		text t = {0};

		text_double(&t, x, 0);
		assert_true(text_to_double(t.data) == x);
		text_free(&t);
	}
}

/* Where the test machine has no such locale, the C locale is tested once more. */
static void numbers_ignore_the_locale(void **state)
{
	text t = {0};

	(void)state;
	setlocale(LC_ALL, "de_DE.UTF-8");
	text_double(&t, 0.5, 1);
	text_printf(&t, " %.2f", 1.25);
	assert_string_equal(t.data, "0.5 1.25");
	assert_true(text_to_double("2.5") == 2.5);
	setlocale(LC_ALL, "C");
	text_free(&t);
}

static void json_strings_are_valid(void **state)
{
	static const char in[] = "a\"\\\n\t\x01\xc3\xa9\xff";
	text t = {0};

	(void)state;
	text_json_string(&t, in, sizeof in - 1);
	assert_string_equal(t.data, "\"a\\\"\\\\\\n\\t\\u0001\xc3\xa9\xef\xbf\xbd\"");
	text_free(&t);
}

static void utf8_is_decoded_strictly(void **state)
{
	static const struct {
		const char *bytes;
		int len;
		uint32_t code;
	} cases[] = {
		{"a", 1, 'a'},
		{"\xc3\xa9", 2, 0xe9},
		{"\xe2\x89\xa4", 3, 0x2264},
		{"\xf0\x9f\x98\x80", 4, 0x1f600},
		{"\x80", 0, 0xfffd},
		{"\xc0\xaf", 0, 0xfffd},         /* overlong      */
		{"\xe0\x80\xaf", 0, 0xfffd},     /* overlong      */
		{"\xed\xa0\x80", 0, 0xfffd},     /* surrogate     */
		{"\xf4\x90\x80\x80", 0, 0xfffd}, /* above 10FFFF  */
		{"\xe2\x89", 0, 0xfffd},         /* cut           */
		{"\xc3", 0, 0xfffd},
		{"\xff", 0, 0xfffd},
		{"", 0, 0xfffd},
	};
	uint32_t code;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int len = text_utf8_decode(cases[i].bytes, strlen(cases[i].bytes), &code);

		assert_int_equal(len, cases[i].len);
		assert_int_equal(code, cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_indented),
		cmocka_unit_test(pieces_are_appended),
		cmocka_unit_test(doubles_are_shortest_and_read_back),
		cmocka_unit_test(numbers_ignore_the_locale),
		cmocka_unit_test(json_strings_are_valid),
		cmocka_unit_test(utf8_is_decoded_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
