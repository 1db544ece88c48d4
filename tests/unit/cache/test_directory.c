/* test_directory: which directory is asked for, which are refused, and what happens on those that cannot be written. */
#include "fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- which --- */

static void expect_default(const char *own, const char *xdg, const char *home, const char *want)
{
	static const char *const names[] = {"TRIKL_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
	const char *values[] = {own, xdg, home};
	char *saved[3];

	for (int i = 0; i < 3; i++) {
		saved[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
		if (values[i])
			setenv(names[i], values[i], 1);
		else
			unsetenv(names[i]);
	}
	char *got = rt_cache_default_directory();
	for (int i = 0; i < 3; i++) {
		if (saved[i])
			setenv(names[i], saved[i], 1);
		else
			unsetenv(names[i]);
		free(saved[i]);
	}
	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
	free(got);
}

static void test_default_directory(void **state)
{
	(void)state;
	expect_default("/own", "/xdg", "/home/u", "/own");
	expect_default("here", "/xdg", "/home/u", "here");
	expect_default("", "/xdg", "/home/u", "/xdg/trikl");
	expect_default(NULL, "/xdg", "/home/u", "/xdg/trikl");
	expect_default(NULL, "relative", "/home/u", "/home/u/.cache/trikl");
	expect_default(NULL, "", "/home/u", "/home/u/.cache/trikl");
	expect_default(NULL, NULL, "/home/u", "/home/u/.cache/trikl");
	expect_default(NULL, NULL, "relative", NULL);
	expect_default(NULL, NULL, "", NULL);
	expect_default(NULL, NULL, NULL, NULL);
}

static int without_home(void *user)
{
	fixture *f = user;
	rt_cache_options o = fixture_options(f);
	bool made;

	unsetenv("HOME");
	unsetenv("XDG_CACHE_HOME");
	o.directory = NULL;
	rt_cache *c = rt_cache_open(&o);
	REQUIRE(rt_cache_get_mode(c) == RT_CACHE_IN_MEMORY && !rt_cache_directory(c));
	REQUIRE(f->notes[RT_CACHE_NO_DIRECTORY] == 1);
	REQUIRE(get(f, c, 1, &made) && made && get(f, c, 1, &made) && !made);
	REQUIRE(fixture_notes(f) == 1);
	rt_cache_close(c);
	return 0;
}

static int below_home(void *user)
{
	fixture *f = user;
	rt_cache_options o = fixture_options(f);
	char want[128];
	struct stat st;

	setenv("HOME", f->root, 1);
	unsetenv("XDG_CACHE_HOME");
	o.directory = NULL;
	rt_cache *c = rt_cache_open(&o);
	REQUIRE(get(f, c, 1, NULL));
	rt_cache_close(c);
	snprintf(want, sizeof want, "%s/.cache", f->root);
	REQUIRE(stat(want, &st) == 0 && (st.st_mode & 07777) == 0700);
	snprintf(want, sizeof want, "%s/.cache/trikl", f->root);
	REQUIRE(count_files(want, ".ptx") == 1 && fixture_notes(f) == 0);
	return 0;
}

static void test_home(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	assert_int_equal(in_child(without_home, f), 0);
	assert_int_equal(in_child(below_home, f), 0);
	fixture_destroy(f);
}

/* --- refused or unusable --- */

/* Only memory is used, with one note of that kind, and the directory stays as it is. */
static void expect_memory_only(fixture *f, rt_cache_event event, const char *says)
{
	int before = fixture_notes(f), files = count_files(f->dir, NULL);
	bool made;

	rt_cache *c = fixture_open(f);
	assert_int_equal(rt_cache_get_mode(c), RT_CACHE_IN_MEMORY);
	assert_string_equal(rt_cache_directory(c), f->dir);
	assert_true(get(f, c, 77, &made) && made && get(f, c, 77, &made) && !made);
	assert_int_equal(rt_cache_clear(c), -1);
	rt_cache_close(c);
	assert_int_equal(f->notes[event], 1);
	f->notes[event] = 0;
	assert_int_equal(fixture_notes(f), before);
	if (!strstr(f->last_note, says))
		fail_msg("'%s' does not say '%s'", f->last_note, says);
	assert_int_equal(count_files(f->dir, NULL), files);
}

static void test_directory_that_others_can_write(void **state)
{
	static const mode_t modes[] = {0777, 0770, 0702, 01777};
	fixture *f = fixture_create();
	(void)state;

	assert_true(get_once(f, 1, NULL));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(chmod(f->dir, modes[i]), 0);
		expect_memory_only(f, RT_CACHE_REFUSED, "can be written by others");
	}
	assert_int_equal(chmod(f->dir, 0755), 0); /* others may read */
	bool made;
	assert_true(get_once(f, 1, &made) && !made);
	fixture_destroy(f);
}

static void test_directory_of_another_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	fixture *f = fixture_create();

	assert_true(get_once(f, 1, NULL));
	assert_int_equal(chown(f->dir, 65534, 65534), 0);
	expect_memory_only(f, RT_CACHE_REFUSED, "belongs to user 65534");
	fixture_destroy(f);
}

static void test_symbolic_link_in_its_place(void **state)
{
	fixture *f = fixture_create();
	char real[100];
	(void)state;

	snprintf(real, sizeof real, "%s/real", f->root);
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink(real, f->dir), 0);
	expect_memory_only(f, RT_CACHE_REFUSED, "is a symbolic link");
	strcat(f->dir, "//");
	expect_memory_only(f, RT_CACHE_REFUSED, "is a symbolic link");
	assert_int_equal(count_files(real, NULL), 0);
	f->dir[strlen(f->dir) - 2] = 0;
	assert_int_equal(unlink(f->dir), 0);
	assert_int_equal(symlink("/nowhere/at/all", f->dir), 0);
	expect_memory_only(f, RT_CACHE_REFUSED, "is a symbolic link");
	fixture_destroy(f);
}

static void test_file_in_its_place(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	file_store(f->dir, "x", 1);
	expect_memory_only(f, RT_CACHE_UNUSABLE, "Not a directory");
	strcat(f->dir, "/deeper");
	expect_memory_only(f, RT_CACHE_UNUSABLE, "Not a directory");
	snprintf(f->dir, sizeof f->dir, "%s/%0300d", f->root, 0); /* longer than a name may be */
	expect_memory_only(f, RT_CACHE_UNUSABLE, "cannot be used");
	fixture_destroy(f);
}

/* --- unprivileged children --- */

static bool become_nobody(void)
{
	if (geteuid() != 0)
		return true;
	return setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0;
}

/* The directory is ours but closed for writing: what is there serves, the rest stays in memory. */
static int readonly_directory(void *user)
{
	fixture *f = user;
	bool made;

	REQUIRE(become_nobody());
	REQUIRE(get_once(f, 1, &made) && made);
	REQUIRE(chmod(f->dir, 0500) == 0);
	rt_cache *c = fixture_open(f);
	REQUIRE(get(f, c, 1, &made) && !made);
	REQUIRE(get(f, c, 2, &made) && made && get(f, c, 3, &made) && made);
	REQUIRE(get(f, c, 2, &made) && !made);
	REQUIRE(f->notes[RT_CACHE_NOT_STORED] == 1 && fixture_notes(f) == 1);
	REQUIRE(strstr(f->last_note, "Permission denied"));
	REQUIRE(rt_cache_get_mode(c) == RT_CACHE_READONLY);
	rt_cache_close(c);
	REQUIRE(count_files(f->dir, NULL) == 1);

	/* Damage there cannot be removed. */
	REQUIRE(truncate(entry_path(f, 1), 9) == 0);
	REQUIRE(get_once(f, 1, &made) && made && f->notes[RT_CACHE_DAMAGED] == 1);

	REQUIRE(chmod(f->dir, 0700) == 0 && chmod(entry_path(f, 1), 0) == 0);
	REQUIRE(get_once(f, 1, &made) && made && f->notes[RT_CACHE_DAMAGED] == 2);
	REQUIRE(get_once(f, 1, &made) && !made);

	REQUIRE(chmod(f->dir, 0) == 0);
	c = fixture_open(f);
	REQUIRE(rt_cache_get_mode(c) == RT_CACHE_IN_MEMORY && f->notes[RT_CACHE_UNUSABLE] == 1);
	REQUIRE(get(f, c, 2, &made) && made);
	rt_cache_close(c);
	return 0;
}

static void test_readonly_directory(void **state)
{
	fixture *f = fixture_create();
	(void)state;

	if (geteuid() == 0) {
		assert_int_equal(mkdir(f->dir, 0700), 0);
		assert_int_equal(chown(f->dir, 65534, 65534), 0);
		assert_int_equal(chmod(f->root, 0755), 0);
	}
	assert_int_equal(in_child(readonly_directory, f), 0);
	fixture_destroy(f);
}

/* What others own is not even looked into. */
static int directory_of_root(void *user)
{
	fixture *f = user;
	bool made;

	REQUIRE(become_nobody());
	rt_cache *c = fixture_open(f);
	REQUIRE(rt_cache_get_mode(c) == RT_CACHE_IN_MEMORY && f->notes[RT_CACHE_REFUSED] == 1);
	REQUIRE(get(f, c, 1, &made) && made);
	rt_cache_close(c);

	/* As a secondary directory, what root filled is fine. */
	setenv("TRIKL_CACHE_PATH", f->dir, 1);
	rt_cache_options o = fixture_options(f);
	o.directory = "/proc/nowhere";
	c = rt_cache_open(&o);
	REQUIRE(f->notes[RT_CACHE_UNUSABLE] == 1);
	REQUIRE(get(f, c, 1, &made) && !made);
	rt_cache_close(c);
	return 0;
}

static void test_directory_of_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	fixture *f = fixture_create();

	assert_true(get_once(f, 1, NULL));
	assert_int_equal(chmod(f->root, 0755), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(entry_path(f, 1), 0644), 0);
	assert_int_equal(in_child(directory_of_root, f), 0);
	fixture_destroy(f);
}

/* --- real file systems --- */

#define NO_MOUNT 77

static bool put_line(const char *path, const char *fmt, unsigned id)
{
	FILE *out = fopen(path, "w");

	if (!out)
		return false;
	fprintf(out, fmt, id, id);
	return fclose(out) == 0;
}

/* The right to mount, where the kernel lets users have it in a world of their own. */
static bool own_world(void)
{
	unsigned uid = geteuid(), gid = getegid();

	if (uid == 0)
		return unshare(CLONE_NEWNS) == 0;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       put_line("/proc/self/setgroups", "deny", 0) &&
	       put_line("/proc/self/uid_map", "%u %u 1", uid) &&
	       put_line("/proc/self/gid_map", "%u %u 1", gid);
}

/* A file system of our own on f->dir, seen by this process alone. */
static bool mount_small(fixture *f, const char *options)
{
	return own_world() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mkdir(f->dir, 0700) == 0 && mount("tmpfs", f->dir, "tmpfs", 0, options) == 0;
}

static int full_disk(void *user)
{
	fixture *f = user;
	bool made;
	int kept = 0;

	if (!mount_small(f, "size=32k,mode=0700"))
		return NO_MOUNT;
	rt_cache *c = fixture_open(f);
	for (int n = 0; n < 40; n++)
		REQUIRE(get(f, c, n, &made) && made);
	for (int n = 0; n < 40; n++)
		REQUIRE(get(f, c, n, &made) && !made);
	rt_cache_stats s;
	rt_cache_get_stats(c, &s);
	REQUIRE(s.stores > 0 && s.not_stored > 0 && s.stores + s.not_stored == 40);
	REQUIRE(f->notes[RT_CACHE_NOT_STORED] == 1 && fixture_notes(f) == 1);
	REQUIRE(strstr(f->last_note, "No space left"));
	REQUIRE(rt_cache_get_mode(c) == RT_CACHE_READWRITE);
	REQUIRE(count_files(f->dir, "tmp.") == 0);
	rt_cache_close(c);
	for (int n = 0; n < 40; n++) {
		REQUIRE(get_once(f, n, &made));
		kept += !made;
	}
	REQUIRE(kept >= (int)s.stores && f->notes[RT_CACHE_DAMAGED] == 0);

	/* Once there is room, it is used. */
	c = fixture_open(f);
	REQUIRE(rt_cache_clear(c) > 0 && get(f, c, 1, &made) && made);
	rt_cache_close(c);
	REQUIRE(get_once(f, 1, &made) && !made);
	return 0;
}

static int no_inodes(void *user)
{
	fixture *f = user;
	bool made;

	if (!mount_small(f, "nr_inodes=6,mode=0700"))
		return NO_MOUNT;
	rt_cache *c = fixture_open(f);
	for (int n = 0; n < 20; n++)
		REQUIRE(get(f, c, n, &made) && made);
	REQUIRE(f->notes[RT_CACHE_NOT_STORED] == 1);
	rt_cache_close(c);
	return 0;
}

static int readonly_file_system(void *user)
{
	fixture *f = user;
	bool made;

	if (!mount_small(f, "size=64k,mode=0700"))
		return NO_MOUNT;
	REQUIRE(get_once(f, 1, &made) && made);
	if (mount(NULL, f->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return NO_MOUNT;
	rt_cache *c = fixture_open(f);
	REQUIRE(get(f, c, 1, &made) && !made);
	REQUIRE(get(f, c, 2, &made) && made && get(f, c, 2, &made) && !made);
	REQUIRE(f->notes[RT_CACHE_NOT_STORED] == 1 && fixture_notes(f) == 1);
	REQUIRE(strstr(f->last_note, "Read-only file system"));
	rt_cache_close(c);
	return 0;
}

static void with_mount(int (*body)(void *user))
{
	fixture *f = fixture_create();
	int code = in_child(body, f);

	fixture_destroy(f);
	if (code == NO_MOUNT)
		skip();
	assert_int_equal(code, 0);
}

static void test_full_disk(void **state)
{
	(void)state;
	with_mount(full_disk);
}

static void test_no_inodes(void **state)
{
	(void)state;
	with_mount(no_inodes);
}

static void test_readonly_file_system(void **state)
{
	(void)state;
	with_mount(readonly_file_system);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_directory),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_directory_that_others_can_write),
		cmocka_unit_test(test_directory_of_another_user),
		cmocka_unit_test(test_symbolic_link_in_its_place),
		cmocka_unit_test(test_file_in_its_place),
		cmocka_unit_test(test_readonly_directory),
		cmocka_unit_test(test_directory_of_root),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_no_inodes),
		cmocka_unit_test(test_readonly_file_system),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
