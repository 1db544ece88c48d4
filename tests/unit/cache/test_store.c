/* test_store: the ordinary life of a cache: hits, misses, kinds, failures of the maker, memory, eviction, secondary
 * directories, read-only and disabled caches, listing, verifying, clearing. */
#include "fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static rt_cache_stats stats_of(const rt_cache *c)
{
	rt_cache_stats s;
	rt_cache_get_stats(c, &s);
	return s;
}

static void test_second_run_finds_the_first_ones(void **state)
{
	fixture *f = fixture_create();
	bool made;
	(void)state;

	rt_cache *c = fixture_open(f);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_READWRITE);
	assert_true(get(f, c, 3, &made) && made);
	assert_true(get(f, c, 3, &made) && !made);
	rt_cache_stats s = stats_of(c);
	assert_true(s.misses == 1 && s.memory_hits == 1 && s.stores == 1 && s.hits == 0);
	rt_cache_close(c);

	c = fixture_open(f);
	assert_true(get(f, c, 3, &made) && !made);
	s = stats_of(c);
	assert_true(s.misses == 0 && s.hits == 1 && s.stores == 0);
	rt_cache_close(c);
	assert_int_equal(fixture_notes(f), 0);
	assert_int_equal(count_files(f->dir, NULL), 1); /* no lock, no temporary file */
	fixture_destroy(f);
}

static void test_files_are_for_their_owner_alone(void **state)
{
	fixture *f = fixture_create();
	struct stat st;
	(void)state;

	mode_t before = umask(0);
	assert_true(get_once(f, 1, NULL));
	umask(before);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(entry_path(f, 1), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, HEADER + size_of(1));
	fixture_destroy(f);
}

static bool make_text(void *user, rt_blob **blob)
{
	*blob = rt_blob_copy(user, strlen(user));
	return true;
}

static void test_kind_is_a_part_of_the_key(void **state)
{
	fixture *f = fixture_create();
	rt_cache_key key = key_of(1);
	(void)state;

	for (int run = 0; run < 2; run++) {
		rt_cache *c = fixture_open(f);
		rt_blob *p = rt_cache_get_or_make(c, &key, "ptx", make_text, "P");
		rt_blob *q = rt_cache_get_or_make(c, &key, "cubin", make_text, "QQ");
		assert_true(rt_blob_size(p) == 1 && rt_blob_size(q) == 2);
		rt_blob_release(p);
		rt_blob_release(q);
		rt_cache_close(c);
	}
	assert_int_equal(count_files(f->dir, NULL), 2);
	fixture_destroy(f);
}

static void test_kinds_that_are_none(void **state)
{
	static const char *const kinds[] = {
		"", "sixteen_letters_", "Ptx", "a.b", "../x", "a/b", "lock ", "\xc3\xa4"};
	fixture *f = fixture_create();
	rt_cache_key key = key_of(1);
	(void)state;

	rt_cache *c = fixture_open(f);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		assert_null(rt_cache_get_or_make(c, &key, kinds[i], make_text, "x"));
	assert_int_equal(count_files(f->dir, NULL), 0);
	rt_cache_close(c);
	fixture_destroy(f);
}

static void test_empty_artifact(void **state)
{
	fixture *f = fixture_create();
	rt_cache_key key = key_of(1);
	(void)state;

	for (int run = 0; run < 2; run++) {
		rt_cache *c = fixture_open(f);
		rt_blob *b = rt_cache_get_or_make(c, &key, "ptx", make_text, run ? "x" : "");
		assert_int_equal(rt_blob_size(b), 0);
		rt_blob_release(b);
		rt_cache_close(c);
	}
	fixture_destroy(f);
}

static void test_failure_is_not_kept(void **state)
{
	fixture *f = fixture_create();
	bool made;
	(void)state;

	rt_cache *c = fixture_open(f);
	f->fail = true;
	assert_false(get(f, c, 1, &made));
	assert_true(made);
	f->fail = false;
	assert_true(get(f, c, 1, &made) && made);
	rt_cache_close(c);
	fixture_destroy(f);
}

static void test_memory_is_bounded(void **state)
{
	fixture *f = fixture_create();
	rt_cache_options o = fixture_options(f);
	bool made;
	(void)state;

	o.disabled = true;
	o.memory_limit = 3 * (int64_t)size_of(1);
	rt_cache *c = rt_cache_open(&o);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_DISABLED);
	for (int n = 1; n <= 31; n += 10) /* four of the same size; 1 is used between */
		assert_true(get(f, c, n, NULL) && get(f, c, 1, &made) && !made);
	assert_true(get(f, c, 31, &made) && !made);
	assert_true(get(f, c, 21, &made) && !made);
	assert_true(get(f, c, 11, &made) && made);
	assert_true(get(f, c, 9, &made) && made); /* larger than the bound */
	assert_true(get(f, c, 9, &made) && !made);
	rt_cache_close(c);
	assert_int_equal(access(f->dir, F_OK), -1);
	assert_int_equal(fixture_notes(f), 0);
	fixture_destroy(f);
}

static void age(const char *path, int seconds)
{
	struct timespec t[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void test_longest_unused_go_first(void **state)
{
	fixture *f = fixture_create();
	rt_cache_options o = fixture_options(f);
	bool made;
	(void)state;

	for (int n = 0; n < 8; n++) {
		assert_true(get_once(f, 10 * n, NULL));
		age(entry_path(f, 10 * n), 1000 - n);
	}
	assert_true(get_once(f, 0, &made) && !made); /* the oldest becomes the youngest */
	o.limit = 8 * (HEADER + 16);
	rt_cache *c = rt_cache_open(&o);
	assert_true(get(f, c, 1000, &made) && made); /* the ninth */
	assert_int_equal(stats_of(c).evicted, 2);    /* down to seven of eight */
	rt_cache_close(c);
	assert_int_equal(access(entry_path(f, 10), F_OK), -1);
	assert_int_equal(access(entry_path(f, 20), F_OK), -1);
	assert_int_equal(access(entry_path(f, 0), F_OK), 0);
	assert_int_equal(access(entry_path(f, 1000), F_OK), 0);
	assert_int_equal(count_files(f->dir, NULL), 7);
	assert_int_equal(fixture_notes(f), 0);
	fixture_destroy(f);
}

static void test_artifact_larger_than_the_bound(void **state)
{
	fixture *f = fixture_create();
	rt_cache_options o = fixture_options(f);
	bool made;
	(void)state;

	o.limit = 1000;
	rt_cache *c = rt_cache_open(&o);
	assert_true(get(f, c, 0, NULL));
	assert_true(get(f, c, 9, NULL) && get(f, c, 19, NULL));
	assert_true(get(f, c, 9, &made) && !made);
	assert_int_equal(f->notes[RT_CACHE_NOT_STORED], 1); /* said once */
	assert_int_equal(stats_of(c).not_stored, 2);
	rt_cache_close(c);
	assert_int_equal(count_files(f->dir, ".ptx"), 1);
	assert_int_equal(access(entry_path(f, 0), F_OK), 0);
	fixture_destroy(f);
}

static void test_leftovers_of_died_writers_go(void **state)
{
	static const char *const names[] = {"tmp.0123456789abcdef", "tmp.fedcba9876543210",
		"0000000000000000000000000000000000000000000000000000000000000000.ptx.lock",
		"notes.txt", "tmp.short"};
	fixture *f = fixture_create();
	(void)state;

	assert_true(get_once(f, 1, NULL));
	for (int i = 0; i < 5; i++) {
		file_store(path_in(f, names[i]), "x", 1);
		if (i != 1)
			age(path_in(f, names[i]), 7200);
	}
	assert_true(get_once(f, 2, NULL));
	assert_int_equal(count_files(f->dir, ".ptx"), 2);
	assert_int_equal(access(path_in(f, names[0]), F_OK), -1);
	assert_int_equal(access(path_in(f, names[1]), F_OK), 0); /* its writer may live */
	assert_int_equal(access(path_in(f, names[2]), F_OK), -1);
	assert_int_equal(access(path_in(f, names[3]), F_OK), 0); /* not ours */
	assert_int_equal(access(path_in(f, names[4]), F_OK), 0);
	fixture_destroy(f);
}

static void test_secondary_directories_are_only_read(void **state)
{
	fixture *f = fixture_create();
	char filled[100], path[800];
	struct stat before, after;
	bool made;
	(void)state;

	assert_true(get_once(f, 1, NULL));
	snprintf(filled, sizeof filled, "%s/filled", f->root);
	assert_int_equal(rename(f->dir, filled), 0);
	snprintf(path, sizeof path, "%s/none::%s/", f->root, filled);
	setenv("TRIKL_CACHE_PATH", path, 1);
	stat(filled, &before);

	rt_cache *c = fixture_open(f);
	assert_int_equal(f->notes[RT_CACHE_UNUSABLE], 1); /* the one that is missing */
	assert_true(get(f, c, 1, &made) && !made);
	assert_true(get(f, c, 2, &made) && made);
	rt_cache_close(c);
	assert_int_equal(count_files(f->dir, NULL), 1); /* 2; 1 stays where it is */
	assert_int_equal(count_files(filled, NULL), 1);
	stat(filled, &after);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);

	/* Damage there is reported and left alone; the artifact goes into the own directory. */
	snprintf(path, sizeof path, "%s%s", filled, strrchr(entry_path(f, 1), '/'));
	assert_int_equal(truncate(path, 100), 0);
	assert_true(get_once(f, 1, &made) && made);
	assert_int_equal(f->notes[RT_CACHE_DAMAGED], 1);
	assert_int_equal(access(path, F_OK), 0);
	assert_true(get_once(f, 1, &made) && !made);

	assert_int_equal(chmod(filled, 0777), 0);
	rt_cache_close(fixture_open(f));
	assert_int_equal(f->notes[RT_CACHE_REFUSED], 1);
	fixture_destroy(f);
}

static void test_readonly_cache_writes_nothing(void **state)
{
	fixture *f = fixture_create();
	bool made;
	(void)state;

	setenv("TRIKL_CACHE_READONLY", "1", 1);
	assert_true(get_once(f, 1, &made) && made);
	assert_int_equal(access(f->dir, F_OK), -1);
	setenv("TRIKL_CACHE_READONLY", "0", 1);
	assert_true(get_once(f, 1, &made) && made);

	age(entry_path(f, 1), 5000);
	setenv("TRIKL_CACHE_READONLY", "1", 1);
	rt_cache *c = fixture_open(f);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_READONLY);
	assert_true(get(f, c, 1, &made) && !made);
	assert_true(get(f, c, 2, &made) && made);
	assert_int_equal(rt_cache_clear(c), -1);
	rt_cache_close(c);
	struct stat st;
	stat(entry_path(f, 1), &st);
	assert_true(time(NULL) - st.st_mtime > 4000);
	assert_int_equal(truncate(entry_path(f, 1), 50), 0);
	assert_true(get_once(f, 1, &made) && made);
	assert_int_equal(f->notes[RT_CACHE_DAMAGED], 1);
	assert_int_equal(count_files(f->dir, NULL), 1);
	unsetenv("TRIKL_CACHE_READONLY");
	fixture_destroy(f);
}

static void test_disabled_by_the_environment(void **state)
{
	fixture *f = fixture_create();
	bool made;
	(void)state;

	setenv("TRIKL_CACHE_DISABLE", "1", 1);
	rt_cache *c = fixture_open(f);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_DISABLED);
	assert_true(get(f, c, 1, &made) && made && get(f, c, 1, &made) && !made);
	rt_cache_close(c);
	assert_int_equal(access(f->dir, F_OK), -1);
	assert_int_equal(fixture_notes(f), 0);
	unsetenv("TRIKL_CACHE_DISABLE");
	fixture_destroy(f);
}

typedef struct {
	int entries, damaged;
	int64_t bytes;
	char last[RT_CACHE_KEY_HEX];
	bool ordered;
} tally;

static void count_entry(void *user, const rt_cache_entry *e)
{
	tally *t = user;
	t->ordered = t->ordered && strcmp(t->last, e->key) < 0;
	strcpy(t->last, e->key);
	t->entries++;
	t->damaged += e->damage != NULL;
	t->bytes += e->bytes;
	assert_string_equal(e->kind, "ptx");
	if (!e->damage)
		assert_string_equal(e->producer, "test 1.0");
}

static tally walk(rt_cache *c, bool payloads)
{
	tally t = {.ordered = true};
	assert_true(rt_cache_each(c, payloads, count_entry, &t));
	return t;
}

static void test_list_verify_clear(void **state)
{
	fixture *f = fixture_create();
	int64_t bytes = 0;
	size_t size;
	bool made;
	(void)state;

	rt_cache *c = fixture_open(f);
	for (int n = 0; n < 10; n++) {
		assert_true(get(f, c, n, NULL));
		bytes += HEADER + (int64_t)size_of(n);
	}
	unsigned char *data = file_load(entry_path(f, 4), &size);
	data[size - 1] ^= 1;
	file_store(entry_path(f, 4), data, size);
	free(data);
	assert_int_equal(truncate(entry_path(f, 5), 0), 0);
	bytes -= HEADER + (int64_t)size_of(5);

	tally t = walk(c, false); /* headers only: the payload's damage stays unseen */
	assert_true(t.entries == 10 && t.damaged == 1 && t.bytes == bytes && t.ordered);
	t = walk(c, true);
	assert_true(t.entries == 10 && t.damaged == 2);
	assert_int_equal(f->notes[RT_CACHE_DAMAGED], 2);
	t = walk(c, true);
	assert_true(t.entries == 8 && t.damaged == 0);

	file_store(path_in(f, "mine.txt"), "x", 1);
	assert_int_equal(rt_cache_clear(c), 8);
	assert_int_equal(count_files(f->dir, NULL), 1);
	assert_true(get(f, c, 1, &made) && made);
	rt_cache_close(c);
	fixture_destroy(f);
}

static void test_directory_that_vanishes(void **state)
{
	fixture *f = fixture_create();
	bool made;
	(void)state;

	rt_cache *c = fixture_open(f);
	assert_int_equal(rmdir(f->dir), 0);
	assert_true(get(f, c, 1, &made) && made && get(f, c, 1, &made) && !made);
	assert_int_equal(f->notes[RT_CACHE_NOT_STORED], 1);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_READONLY);
	assert_true(get(f, c, 2, &made) && made);
	assert_int_equal(fixture_notes(f), 1);
	rt_cache_close(c);
	fixture_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_run_finds_the_first_ones),
		cmocka_unit_test(test_files_are_for_their_owner_alone),
		cmocka_unit_test(test_kind_is_a_part_of_the_key),
		cmocka_unit_test(test_kinds_that_are_none),
		cmocka_unit_test(test_empty_artifact),
		cmocka_unit_test(test_failure_is_not_kept),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_longest_unused_go_first),
		cmocka_unit_test(test_artifact_larger_than_the_bound),
		cmocka_unit_test(test_leftovers_of_died_writers_go),
		cmocka_unit_test(test_secondary_directories_are_only_read),
		cmocka_unit_test(test_readonly_cache_writes_nothing),
		cmocka_unit_test(test_disabled_by_the_environment),
		cmocka_unit_test(test_list_verify_clear),
		cmocka_unit_test(test_directory_that_vanishes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
