/* test_corpus.c: the fuzz target on every file of its corpus and of the spec library, and on cut
 * and damaged copies of them, so that what fuzzing once found stays fixed on every machine. */
#include "fuzz_front.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FILE_MAX = 1 << 16 };

static size_t read_file(const char *folder, const char *name, uint8_t *data)
{
	char path[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f)
		return 0;
	n = fread(data, 1, FILE_MAX, f);
	fclose(f);
	return n;
}

/* The file itself, cut at some places, and with some bytes replaced. */
static void run_damaged(uint8_t *data, size_t n)
{
	static const uint8_t odd[] = {0, '(', ')', ']', '}', '=', ',', '#', '\n', '-', 0xff, '9'};

	LLVMFuzzerTestOneInput(data, n);
	for (size_t i = 0; i < n; i += 1 + n / 64) {
		uint8_t *cut = malloc(i + 1), keep = data[i];

		/* A copy of the right size, so that reading behind it is seen. */
		memcpy(cut, data, i);
		LLVMFuzzerTestOneInput(cut, i);
		free(cut);
		data[i] = odd[i % sizeof odd];
		LLVMFuzzerTestOneInput(data, n);
		data[i] = keep;
	}
}

static void run_folder(const char *folder)
{
	uint8_t *data = malloc(FILE_MAX);
	DIR *d = opendir(folder);
	struct dirent *e;
	int files = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		size_t n = e->d_name[0] == '.' ? 0 : read_file(folder, e->d_name, data);

		if (n == 0)
			continue;
		run_damaged(data, n);
		files++;
	}
	closedir(d);
	free(data);
	assert_true(files > 0);
}

static void corpus_is_clean(void **state)
{
	(void)state;
	run_folder(SOURCE_DIR "/tests/fuzz/corpus");
}

static void damaged_specs_are_clean(void **state)
{
	(void)state;
	run_folder(SOURCE_DIR "/specs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_is_clean),
		cmocka_unit_test(damaged_specs_are_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
