/* process: run a program and collect what it prints.
 * in:  an argument list and a time limit        out: its output and how it ended
 * relies on: posix_spawn, so that the host program's threads and memory do not matter. */
#include "runtime/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { OUTPUT_MAX = 1 << 20, CHUNK = 4096 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The child gets its own process group, default signals and none blocked. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	if ((e = posix_spawnattr_setsigmask(attr, &none)))
		return e;
	if ((e = posix_spawnattr_setsigdefault(attr, &all)))
		return e;
	if ((e = posix_spawnattr_setpgroup(attr, 0)))
		return e;
	return posix_spawnattr_setflags(
		attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static int set_files(posix_spawn_file_actions_t *files, int output)
{
	int e;

	if ((e = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0)))
		return e;
	if ((e = posix_spawn_file_actions_adddup2(files, output, 1)))
		return e;
	if ((e = posix_spawn_file_actions_adddup2(files, output, 2)))
		return e;
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
	return posix_spawn_file_actions_addclosefrom_np(files, 3);
#endif
#endif
	return 0;
}

static int spawn(char *const argv[], int output, pid_t *child)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int e;

	if ((e = posix_spawn_file_actions_init(&files)))
		return e;
	if ((e = posix_spawnattr_init(&attr))) {
		posix_spawn_file_actions_destroy(&files);
		return e;
	}
	e = set_attributes(&attr);
	if (!e)
		e = set_files(&files, output);
	if (!e)
		e = posix_spawn(child, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

/* Appends what is there to read; false at the end of the output. Text past the
 * limit is dropped. */
static bool read_some(int pipe, rt_process_result *r)
{
	char chunk[CHUNK];
	ssize_t n = read(pipe, chunk, sizeof chunk);
	size_t keep;
	char *more;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	keep = (size_t)n;
	if (keep > OUTPUT_MAX - r->size)
		keep = OUTPUT_MAX - r->size;
	if (keep == 0)
		return true;
	more = realloc(r->output, r->size + keep + 1);
	if (!more)
		return true;
	r->output = more;
	memcpy(r->output + r->size, chunk, keep);
	r->size += keep;
	r->output[r->size] = 0;
	return true;
}

/* Reads until the child closes its output. false: the deadline passed. */
static bool read_all(int pipe, int64_t deadline, rt_process_result *r)
{
	for (;;) {
		struct pollfd p = {.fd = pipe, .events = POLLIN};
		int64_t left = deadline - now_ms();
		int ready = poll(&p, 1, left < 0 ? 0 : (int)left);

		if (ready > 0 && !read_some(pipe, r))
			return true;
		if (ready == 0 && deadline - now_ms() <= 0)
			return false;
		if (ready < 0 && errno != EINTR)
			return true;
	}
}

static void note_end(int status, rt_process_result *r)
{
	r->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Waits for the end until the deadline. false: it still runs. */
static bool wait_end(pid_t child, int64_t deadline, rt_process_result *r)
{
	for (;;) {
		int status;
		pid_t got = waitpid(child, &status, WNOHANG);
		struct timespec pause = {.tv_nsec = 500000};

		if (got == child) {
			note_end(status, r);
			return true;
		}
		if (got < 0 && errno != EINTR) {
			r->exit_code = -1; /* reaped by the host program, or SIGCHLD is ignored */
			return true;
		}
		if (now_ms() >= deadline)
			return false;
		nanosleep(&pause, NULL);
	}
}

static void end_child(pid_t child, rt_process_result *r)
{
	int status;

	kill(-child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return;
	note_end(status, r);
}

rt_status rt_process_run(char *const argv[], int timeout_ms, rt_process_result *r, rt_error *err)
{
	int64_t deadline = now_ms() + timeout_ms;
	int ends[2], e;
	pid_t child;

	*r = (rt_process_result){.exit_code = -1};
	r->output = calloc(1, 1);
	if (!r->output)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	if (pipe2(ends, O_CLOEXEC))
		return rt_error_set(
			err, RT_TOOL, "pipe2", "cannot run %s: %s", argv[0], strerror(errno));
	e = spawn(argv, ends[1], &child);
	close(ends[1]);
	if (e) {
		close(ends[0]);
		return rt_error_set(
			err, RT_TOOL, "posix_spawn", "cannot run %s: %s", argv[0], strerror(e));
	}
	if (!read_all(ends[0], deadline, r) || !wait_end(child, deadline, r)) {
		end_child(child, r);
		close(ends[0]);
		rt_error_set(err, RT_TIMEOUT, NULL, "%s did not end within %.1f seconds", argv[0],
			timeout_ms / 1000.0);
		rt_error_log(err, r->output, r->size);
		return RT_TIMEOUT;
	}
	close(ends[0]);
	return RT_OK;
}
