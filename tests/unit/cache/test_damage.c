/* test_damage: whatever stands where an entry should, the caller gets the right bytes, and a note. */
#include "fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The damaged entry of `number` is found out, made again and then good. */
static void expect_made_again(fixture *f, int number)
{
	int before = f->notes[RT_CACHE_DAMAGED];
	bool made;

	if (!get_once(f, number, &made) || !made)
		fail_msg("damage was trusted");
	if (f->notes[RT_CACHE_DAMAGED] != before + 1)
		fail_msg("%d notes of damage", f->notes[RT_CACHE_DAMAGED] - before);
	assert_int_equal(fixture_notes(f), f->notes[RT_CACHE_DAMAGED]);
	if (!get_once(f, number, &made) || made)
		fail_msg("the new entry is not good");
}

static void test_truncation_everywhere(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	assert_true(get_once(f, 0, NULL));
	for (size_t size = 0; size < HEADER + size_of(0); size++) {
		assert_int_equal(truncate(entry_path(f, 0), (off_t)size), 0);
		expect_made_again(f, 0);
	}
	for (size_t size = HEADER + size_of(0) + 1; size < HEADER + size_of(0) + 70; size += 23) {
		assert_int_equal(truncate(entry_path(f, 0), (off_t)size), 0);
		expect_made_again(f, 0);
	}
	fixture_destroy(f);
}

static void test_every_flipped_byte(void **state)
{
	fixture *f = fixture_create();
	size_t size;
	(void)state;

	assert_true(get_once(f, 0, NULL));
	unsigned char *data = file_load(entry_path(f, 0), &size);
	for (size_t at = 0; at < size; at++) {
		unsigned char flip = at % 3 ? (unsigned char)(1 << at % 8) : 0xff;
		data[at] ^= flip;
		file_store(entry_path(f, 0), data, size);
		data[at] ^= flip;
		expect_made_again(f, 0);
	}
	assert_int_equal(f->notes[RT_CACHE_DAMAGED], size);
	free(data);
	fixture_destroy(f);
}

static void test_blocks_of_zeros_and_garbage(void **state)
{
	fixture *f = fixture_create();
	unsigned char block[4096];
	(void)state;

	for (int fill = 0; fill < 3; fill++)
		for (size_t size = 1; size <= sizeof block; size *= 2) {
			assert_true(get_once(f, 9, NULL));
			for (size_t i = 0; i < size; i++)
				block[i] = (unsigned char)(fill == 2 ? i * 197 + size
							   : fill    ? 255u
								     : 0u);
			file_store(entry_path(f, 9), block, size);
			expect_made_again(f, 9);
		}
	fixture_destroy(f);
}

/* A good entry under another name: another target's code, or another kind's. */
static void test_entry_of_another_key(void **state)
{
	fixture *f = fixture_create();
	char from[700];
	(void)state;

	assert_true(get_once(f, 10, NULL)); /* sizes of 10 and 20 agree */
	strcpy(from, entry_path(f, 10));
	assert_int_equal(rename(from, entry_path(f, 20)), 0);
	expect_made_again(f, 20);
	fixture_destroy(f);
}

static bool make_text(void *user, rt_blob **blob)
{
	*blob = rt_blob_copy(user, strlen(user));
	return true;
}

static void test_entry_of_another_kind(void **state)
{
	fixture *f = fixture_create();
	rt_cache_key key = key_of(0);
	char from[700], to[700];
	(void)state;

	assert_true(get_once(f, 0, NULL));
	strcpy(from, entry_path(f, 0));
	strcpy(strrchr(strcpy(to, from), '.'), ".cubin");
	assert_int_equal(rename(from, to), 0);
	rt_cache *c = fixture_open(f);
	rt_blob *b = rt_cache_get_or_make(c, &key, "cubin", make_text, "code");
	assert_memory_equal(rt_blob_data(b), "code", 4);
	rt_blob_release(b);
	rt_cache_close(c);
	assert_int_equal(f->notes[RT_CACHE_DAMAGED], 1);
	fixture_destroy(f);
}

static void test_things_that_are_no_files(void **state)
{
	fixture *f = fixture_create();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char target[700];
	(void)state;

	assert_true(get_once(f, 0, NULL));
	snprintf(target, sizeof target, "%s/target", f->root);
	assert_int_equal(rename(entry_path(f, 0), target), 0);
	assert_int_equal(symlink(target, entry_path(f, 0)), 0); /* even to a good entry */
	expect_made_again(f, 0);
	assert_int_equal(access(target, F_OK), 0);

	unlink(entry_path(f, 0));
	assert_int_equal(mkfifo(entry_path(f, 0), 0600), 0);
	expect_made_again(f, 0);

	unlink(entry_path(f, 0));
	assert_int_equal(mkdir(entry_path(f, 0), 0700), 0);
	expect_made_again(f, 0);

	unlink(entry_path(f, 0));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(chdir(f->dir), 0); /* an address is too short for the whole path */
	strcpy(address.sun_path, strrchr(entry_path(f, 0), '/') + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(chdir("/"), 0);
	expect_made_again(f, 0);
	close(fd);
	fixture_destroy(f);
}

/* It cannot be removed: the artifact stays in memory. */
static void test_directory_with_files_in_the_way(void **state)
{
	fixture *f = fixture_create();
	char inside[700];
	bool made;
	(void)state;

	assert_true(get_once(f, 1, NULL));
	assert_int_equal(mkdir(entry_path(f, 0), 0700), 0);
	snprintf(inside, sizeof inside, "%s/file", entry_path(f, 0));
	file_store(inside, "x", 1);
	rt_cache *c = fixture_open(f);
	assert_true(get(f, c, 0, &made) && made && get(f, c, 0, &made) && !made);
	assert_true(f->notes[RT_CACHE_DAMAGED] >= 1);
	assert_int_equal(f->notes[RT_CACHE_NOT_STORED], 1);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_READWRITE);
	assert_true(get(f, c, 2, &made) && made);
	rt_cache_close(c);
	assert_int_equal(access(inside, F_OK), 0);
	assert_int_equal(access(entry_path(f, 2), F_OK), 0);
	assert_int_equal(count_files(f->dir, "tmp."), 0);
	fixture_destroy(f);
}

static void test_entry_that_others_can_write(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	assert_true(get_once(f, 0, NULL));
	assert_int_equal(chmod(entry_path(f, 0), 0620), 0);
	expect_made_again(f, 0);
	assert_non_null(strstr(f->last_note, "can be written by others"));
	assert_int_equal(chmod(entry_path(f, 0), 0602), 0);
	expect_made_again(f, 0);
	fixture_destroy(f);
}

static void test_entry_of_another_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	fixture *f = fixture_create();

	assert_true(get_once(f, 0, NULL));
	assert_int_equal(chown(entry_path(f, 0), 65534, 65534), 0);
	expect_made_again(f, 0);
	assert_non_null(strstr(f->last_note, "belongs to user 65534"));
	fixture_destroy(f);
}

/* A lock file's place may hold anything too. */
static void test_lock_file_in_disorder(void **state)
{
	fixture *f = fixture_create();
	char lock[700];
	bool made;
	(void)state;

	assert_true(get_once(f, 1, NULL));
	for (int what = 0; what < 3; what++) {
		snprintf(lock, sizeof lock, "%s.lock", entry_path(f, 10 + what));
		assert_int_equal(what == 0   ? mkdir(lock, 0700)
				 : what == 1 ? symlink("/nowhere/at/all", lock)
					     : mkfifo(lock, 0600),
			0);
		assert_true(get_once(f, 10 + what, &made) && made);
		assert_true(get_once(f, 10 + what, &made) && !made);
	}
	assert_int_equal(fixture_notes(f), 0);
	fixture_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncation_everywhere),
		cmocka_unit_test(test_every_flipped_byte),
		cmocka_unit_test(test_blocks_of_zeros_and_garbage),
		cmocka_unit_test(test_entry_of_another_key),
		cmocka_unit_test(test_entry_of_another_kind),
		cmocka_unit_test(test_things_that_are_no_files),
		cmocka_unit_test(test_directory_with_files_in_the_way),
		cmocka_unit_test(test_entry_that_others_can_write),
		cmocka_unit_test(test_entry_of_another_user),
		cmocka_unit_test(test_lock_file_in_disorder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
