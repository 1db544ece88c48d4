/* fixture.c: directories, artifacts, notes and children of the cache's tests. */
#include "fixture.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

fixture *fixture_create(void)
{
	static const char *const variables[] = {"TRIKL_CACHE_DIR", "TRIKL_CACHE_DISABLE",
		"TRIKL_CACHE_READONLY", "TRIKL_CACHE_PATH", "TRIKL_CACHE_SIZE"};
	fixture *f = calloc(1, sizeof *f);

	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
	strcpy(f->root, "/tmp/trikl-cache-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(f->dir, sizeof f->dir, "%s/cache", f->root);
	return f;
}

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)st, (void)what, (void)at;
	return remove(path);
}

void fixture_destroy(fixture *f)
{
	chmod(f->dir, 0700);
	nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
}

static void collect_note(void *user, rt_cache_event event, const char *text)
{
	fixture *f = user;
	f->notes[event]++;
	snprintf(f->last_note, sizeof f->last_note, "%s", text);
}

rt_cache_options fixture_options(fixture *f)
{
	return (rt_cache_options){
		.directory = f->dir, .producer = "test 1.0", .report = collect_note, .user = f};
}

rt_cache *fixture_open(fixture *f)
{
	rt_cache_options o = fixture_options(f);
	rt_cache *c = rt_cache_open(&o);
	assert_non_null(c);
	return c;
}

int fixture_notes(const fixture *f)
{
	int n = 0;
	for (int i = 0; i < RT_CACHE_EVENTS; i++)
		n += f->notes[i];
	return n;
}

/* --- artifacts --- */

rt_cache_key key_of(int number)
{
	rt_cache_digest d;
	rt_cache_key_begin(&d);
	rt_cache_key_int(&d, "number", number);
	return rt_cache_key_end(&d);
}

size_t size_of(int number)
{
	return (size_t)(number % 10) * 397 + 16;
}

static unsigned char byte_of(int number, size_t i)
{
	return (unsigned char)((uint32_t)(number + 1) * 2654435761u >> (i % 24) ^ i);
}

bool is_artifact(rt_blob *b, int number)
{
	const unsigned char *data = b ? rt_blob_data(b) : NULL;

	if (!b || rt_blob_size(b) != size_of(number))
		return false;
	for (size_t i = 0; i < rt_blob_size(b); i++)
		if (data[i] != byte_of(number, i))
			return false;
	return true;
}

typedef struct {
	fixture *f;
	int number;
	bool called;
} maker;

static bool fixture_make(void *user, rt_blob **blob)
{
	maker *m = user;
	unsigned char *data;

	m->called = true;
	m->f->made++;
	if (m->f->make_ms)
		usleep((useconds_t)m->f->make_ms * 1000);
	if (m->f->fail)
		return false;
	*blob = rt_blob_create(size_of(m->number));
	data = rt_blob_data(*blob);
	for (size_t i = 0; i < rt_blob_size(*blob); i++)
		data[i] = byte_of(m->number, i);
	return true;
}

bool get(fixture *f, rt_cache *c, int number, bool *made)
{
	rt_cache_key key = key_of(number);
	maker m = {.f = f, .number = number};
	rt_blob *b = rt_cache_get_or_make(c, &key, "ptx", fixture_make, &m);
	bool right = is_artifact(b, number);

	rt_blob_release(b);
	if (made)
		*made = m.called;
	return right;
}

bool get_once(fixture *f, int number, bool *made)
{
	rt_cache_options o = fixture_options(f);
	rt_cache *c = rt_cache_open(&o);
	bool right = c && get(f, c, number, made);

	rt_cache_close(c);
	return right;
}

/* --- files --- */

const char *path_in(const fixture *f, const char *name)
{
	static char path[600];
	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	return path;
}

const char *entry_path(const fixture *f, int number)
{
	char name[RT_CACHE_KEY_HEX + 8];
	rt_cache_key key = key_of(number);

	rt_cache_key_hex(&key, name);
	strcat(name, ".ptx");
	return path_in(f, name);
}

unsigned char *file_load(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	unsigned char *data = malloc((size_t)st.st_size + 1);
	*size = (size_t)st.st_size;
	assert_int_equal(read(fd, data, *size), st.st_size);
	close(fd);
	return data;
}

void file_store(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

int count_files(const char *dir, const char *part)
{
	DIR *d = opendir(dir);
	int n = 0;

	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n += !part || strstr(e->d_name, part) != NULL;
	if (d)
		closedir(d);
	return n;
}

/* --- children --- */

pid_t child_start(int (*body)(void *user), void *user)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid == 0)
		_exit(body(user));
	assert_true(pid > 0);
	return pid;
}

int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(int (*body)(void *user), void *user)
{
	return child_wait(child_start(body, user));
}
