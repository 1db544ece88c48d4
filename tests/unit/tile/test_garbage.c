/* The parser and the verifier on damaged texts: messages, never a crash; what survives prints to a
 * text that reads back the same. */
#include "case.h"

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static size_t read_case(const char *name, char *bytes, size_t cap)
{
	char path[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "%s/%s.tile", CASES, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(bytes, 1, cap, f);
	fclose(f);
	return n;
}

/* Bytes changed, dropped, doubled; words swapped for others of the text. */
static size_t damage(char *s, size_t n, uint64_t *seed)
{
	static const char marks[] = "()[]{},:;=+-*/%<.$0189 \nabx\0\xff";
	int times = 1 + (int)(next(seed) % 4);

	for (int i = 0; i < times && n > 32; i++) {
		size_t at = next(seed) % n, len = 1 + next(seed) % 12, from = next(seed) % n;

		len = at + len > n ? n - at : len;
		len = from + len > n ? n - from : len;
		switch (next(seed) % 4) {
		case 0:
			s[at] = marks[next(seed) % (sizeof marks - 1)];
			break;
		case 1:
			memmove(s + at, s + at + len, n - at - len);
			n -= len;
			break;
		case 2:
			memmove(s + at, s + from, len);
			break;
		default:
			memmove(s + at + len, s + at, n - at);
			n += len;
			break;
		}
	}
	return n;
}

static void try_text(const char *s, size_t n, int *parsed, int *verified)
{
	arena *a = arena_create();
	diags *d;
	tile_program *p = case_parse(a, s, n, &d), *again;
	const char *first;

	case_messages(a, d);
	assert_int_equal(p == NULL, diag_error_count(d) > 0);
	if (p) {
		++*parsed;
		*verified += case_verify(a, p) == NULL;
		first = case_print(a, p);
		again = case_parse(a, first, strlen(first), &d);
		if (!again)
			fail_msg("%s\n%s", first, case_messages(a, d));
		assert_string_equal(case_print(a, again), first);
	}
	arena_destroy(a);
}

static void test_damaged_texts(void **state)
{
	static const char *const names[] = {
		"product", "exact", "flow", "hopper", "wgmma_attention"};
	char *bytes = malloc(1 << 14), *s = malloc(1 << 15);
	int parsed = 0, verified = 0;
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		size_t n = read_case(names[i % 5], bytes, 1 << 14);

		memcpy(s, bytes, n);
		n = damage(s, n, &seed);
		try_text(s, n, &parsed, &verified);
	}
	assert_true(parsed > 100);
	assert_true(verified > 50 && verified < parsed);
	free(bytes);
	free(s);
}

/* Texts that are deep rather than wrong. */
static void test_deep_texts(void **state)
{
	static const char *const open[] = {
		"let v = ((((((((", "if true {\n", "let v = not(not(not("};
	text t = {0};
	int parsed = 0, verified = 0;

	(void)state;
	for (size_t k = 0; k < sizeof open / sizeof *open; k++) {
		text_put(&t, "kernel t on sm_80 warps 1 {\nin n : i32\n");
		for (int i = 0; i < 20000; i++)
			text_put(&t, i ? open[k] + (k == 1 ? 0 : 8) : open[k]);
		try_text(t.data, t.len, &parsed, &verified);
		text_free(&t);
	}
	text_put(&t, "kernel t on sm_80 warps 1 {\nin n : i32\nlet v = n");
	for (int i = 0; i < 100000; i++)
		text_put(&t, " - n");
	text_put(&t, "\n}\n");
	try_text(t.data, t.len, &parsed, &verified);
	text_free(&t);
	assert_int_equal(parsed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_texts),
		cmocka_unit_test(test_deep_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
