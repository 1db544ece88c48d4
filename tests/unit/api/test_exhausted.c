/* test_exhausted: memory that runs out inside a compilation is TKL_ERROR_MEMORY, whichever block it is.
 * The linker sends calloc, from which arenas take their chunks, to this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <trikl.h>

/* What is lost when memory runs out is no leak to report: trikl.h says so. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static bool armed;
static int remaining; /* allocations that still succeed */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	if (armed && remaining-- <= 0)
		return NULL;
	return __real_calloc(count, size);
}

/* Large enough for several chunks. */
static char *make_spec(void)
{
	size_t room = 1 << 16, n;
	char *text = malloc(room);

	n = (size_t)sprintf(text, "attention a(q : f32[i], x : f32[j]) -> (o : f32[i]) {\n"
				  "    index i : N\n    index j : M\n    s0 = q * x\n");
	for (int k = 1; k < 300; k++)
		n += (size_t)sprintf(
			text + n, "    s%d = s%d * 0.5 + tanh(s%d)\n", k, k - 1, k - 1);
	sprintf(text + n, "    p = softmax(j) s299\n    o = sum(j) p * x\n}\n");
	return text;
}

static void every_allocation_may_fail(void **state)
{
	tkl_compile_options o = {.struct_size = sizeof o, .target = "reference"};
	char *text = make_spec();
	tkl_context *context;
	int failed = 0;

	(void)state;
	assert_int_equal(tkl_context_create(NULL, &context), TKL_OK);
	for (int n = 0;; n++) {
		tkl_kernel *kernel = NULL;
		tkl_status status;

		remaining = n;
		armed = true;
		status = tkl_compile(context, text, strlen(text), &o, &kernel, NULL);
		armed = false;
		if (!status) {
			tkl_kernel_destroy(kernel);
			break;
		}
		if (status != TKL_ERROR_MEMORY)
			fail_msg("allocation %d: status %d, %s", n, status,
				tkl_last_error_message());
		assert_null(kernel);
		failed++;
	}
	assert_true(failed > 3);
	tkl_context_destroy(context);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
