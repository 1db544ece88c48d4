/* files.c: whole files in and out. Output files appear complete or not at all. */
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cli_status file_read(const options *o, arena *a, const char *path, const char **data, size_t *len)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "rb");
	if (!f) {
		message_error(o, "cannot open '%s': %s", path, strerror(errno));
		return CLI_ENVIRONMENT;
	}
	text t = {0};
	char chunk[1 << 16];
	size_t n;
	errno = 0;
	while (t.len <= SOURCE_MAX &&
		(n = fread(chunk, 1, sizeof chunk, f)) > 0) /* longer is refused later */
		text_putn(&t, chunk, n);
	int failed = ferror(f) ? errno : 0;
	if (!standard)
		fclose(f);
	if (failed) {
		message_error(o, "cannot read '%s': %s", path, strerror(failed));
		text_free(&t);
		return CLI_ENVIRONMENT;
	}
	*data = arena_strndup(a, t.data ? t.data : "", t.len);
	*len = t.len;
	text_free(&t);
	return CLI_OK;
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n < (1u << 30) ? n : 1u << 30);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* Where a symbolic link leads, so that the link itself survives the rename. */
static char *target_of(arena *a, const char *path)
{
	char *real = realpath(path, NULL);
	char *copy = arena_strdup(a, real ? real : path);
	free(real);
	return copy;
}

cli_status file_write(const options *o, const char *path, const void *data, size_t len)
{
	const char *target = target_of(o->arena, path);
	struct stat st;
	bool exists = stat(target, &st) == 0;

	if (exists && !S_ISREG(st.st_mode)) { /* a pipe or device: nothing to rename over */
		int fd = open(target, O_WRONLY | O_CLOEXEC);
		bool fine = fd >= 0 && write_all(fd, data, len);
		if (!fine)
			message_error(o, "cannot write '%s': %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return fine ? CLI_OK : CLI_ENVIRONMENT;
	}
	mode_t mask = umask(0);
	umask(mask);
	char *temp = arena_printf(o->arena, "%s.XXXXXX", target);
	int fd = mkstemp(temp);
	bool fine = fd >= 0 && write_all(fd, data, len);
	fine = fine && fchmod(fd, exists ? st.st_mode & 07777 : 0666 & ~mask) == 0;
	fine = fine && fsync(fd) == 0;
	if (fd >= 0 && close(fd) != 0)
		fine = false;
	if (fine && rename(temp, target) == 0)
		return CLI_OK;
	message_error(o, "cannot write '%s': %s", path, strerror(errno));
	if (fd >= 0)
		unlink(temp);
	return CLI_ENVIRONMENT;
}

cli_status file_make_directory(const options *o, const char *path)
{
	char *p = arena_strdup(o->arena, path);
	for (char *s = *p ? p + 1 : p; *s; s++)
		if (*s == '/') {
			*s = 0;
			mkdir(p, 0777);
			*s = '/';
		}
	struct stat st;
	if (mkdir(p, 0777) == 0 || (stat(p, &st) == 0 && S_ISDIR(st.st_mode)))
		return CLI_OK;
	message_error(o, "cannot make directory '%s': %s", path,
		errno == EEXIST ? "a file is in the way" : strerror(errno));
	return CLI_ENVIRONMENT;
}
