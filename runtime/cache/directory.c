/* directory.c: which directory is safe to use. Whoever can write into the cache can run code as us,
 * so the directory must be ours and closed to others; its last component must not be a symbolic
 * link. The checks are made on the open descriptor, which all further access goes through. */
#include "runtime/cache/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

const char *directory_distrust(const struct stat *st, bool secondary, char *why)
{
	bool administered = secondary && st->st_uid == 0;

	if (st->st_uid != geteuid() && !administered)
		snprintf(why, 80, "belongs to user %lu", (unsigned long)st->st_uid);
	else if (st->st_mode & (S_IWGRP | S_IWOTH))
		snprintf(why, 80, "can be written by others (mode %04o)",
			(unsigned)st->st_mode & 07777);
	else
		return NULL;
	return why;
}

/* Makes the missing parents, then the directory, all for us alone. What fails shows when it is
 * opened. */
static void make_path(char *path)
{
	for (char *s = path + 1; *s; s++)
		if (*s == '/') {
			*s = 0;
			mkdir(path, 0700);
			*s = '/';
		}
	mkdir(path, 0700);
}

/* With a slash at its end, the last component would be followed even if it is a link. */
static char *trimmed(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	return strndup(path, n);
}

static bool is_link(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* An open, trusted directory, or -1 after a report. A missing one that is not to be made is no
 * fault. */
static int open_trusted(rt_cache *c, char *path, bool make, bool secondary)
{
	struct stat st;
	char why[80];
	int fd = open(path, OPEN_FLAGS);

	if (fd < 0 && errno == ENOENT && make) {
		make_path(path);
		fd = open(path, OPEN_FLAGS);
	}
	if (fd < 0 && errno == ENOENT && !make && !secondary)
		return -1;
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR) && is_link(path)) {
		cache_note(c, RT_CACHE_REFUSED,
			"cache directory '%s' is refused: it is a symbolic link; name the "
			"directory that it leads to",
			path);
		return -1;
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		cache_note(c, RT_CACHE_UNUSABLE, "cache directory '%s' cannot be used: %s", path,
			strerror(errno));
	} else if (directory_distrust(&st, secondary, why)) {
		cache_note(c, RT_CACHE_REFUSED,
			"cache directory '%s' is refused: it %s, so its code cannot be trusted",
			path, why);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

void directory_open(rt_cache *c, const char *path, bool make)
{
	char *own = trimmed(path);

	c->own = (cache_dir){.fd = -1};
	if (!own)
		return;
	c->own.fd = open_trusted(c, own, make, false);
	if (c->own.fd >= 0)
		c->own.path = own;
	else
		free(own);
}

void directory_open_secondaries(rt_cache *c, const char *list)
{
	while (*list) {
		size_t n = strcspn(list, ":");
		char *part = strndup(list, n), *path = part ? trimmed(part) : NULL;
		int fd = n && path ? open_trusted(c, path, false, true) : -1;
		size_t bytes = (size_t)(c->secondaries + 1) * sizeof *c->secondary;
		cache_dir *grown = fd >= 0 ? realloc(c->secondary, bytes) : NULL;

		free(part);
		if (grown) {
			c->secondary = grown;
			grown[c->secondaries++] = (cache_dir){fd, path, true};
		} else {
			if (fd >= 0)
				close(fd);
			free(path);
		}
		list += n + (list[n] == ':');
	}
}
