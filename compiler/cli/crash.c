/* crash.c: our own bugs. An internal error, a fatal signal or LLVM's abort leaves a reproducer file
 * next to the user and exit code 70. State is global because a signal handler can be given none;
 * the handlers only call functions that are safe in one. */
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64

/* The sanitizers report signals better than we would. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct {
	char command[2048]; /* "# trikl run ...", one comment line */
	const char *text;
	size_t len;
	atomic_flag busy;
} crash = {.busy = ATOMIC_FLAG_INIT};

static void put(int fd, const char *s, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, s, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return;
		s += w;
		n -= (size_t)w;
	}
}

static void puts_to(int fd, const char *s)
{
	put(fd, s, strlen(s));
}

/* Creates trikl-crash-NNNN.tkl here, or in /tmp when this directory cannot be written. */
static int reproducer_create(char name[NAME_BYTES])
{
	for (int place = 0; place < 2; place++)
		for (int n = 0; n < 10000; n++) {
			char digits[] = {(char)('0' + n / 1000), (char)('0' + n / 100 % 10),
				(char)('0' + n / 10 % 10), (char)('0' + n % 10), 0};
			strcpy(name, place ? "/tmp/trikl-crash-" : "trikl-crash-");
			strcat(strcat(name, digits), ".tkl");
			int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			if (fd >= 0)
				return fd;
			if (errno != EEXIST)
				break;
		}
	return -1;
}

static _Noreturn void crash_exit(const char *what)
{
	if (atomic_flag_test_and_set(&crash.busy)) {
		sleep(5); /* several threads crashed: the first one is still writing, and ends us
			     all */
		_exit(CLI_INTERNAL);
	}
	puts_to(STDERR_FILENO, "trikl: internal error: ");
	puts_to(STDERR_FILENO, what);
	puts_to(STDERR_FILENO, "\n");

	char name[NAME_BYTES];
	int fd = reproducer_create(name);
	if (fd >= 0) {
		puts_to(fd, crash.command);
		puts_to(fd, "# trikl " TRIKL_VERSION ": ");
		puts_to(fd, what);
		puts_to(fd, "\n");
		if (crash.text)
			put(fd, crash.text, crash.len);
		close(fd);
		puts_to(STDERR_FILENO, "trikl: note: please report this with the file ");
		puts_to(STDERR_FILENO, name);
		puts_to(STDERR_FILENO, ", which reproduces it\n");
	} else {
		puts_to(STDERR_FILENO, "trikl: note: the reproducer could not be written\n");
	}
	_exit(CLI_INTERNAL);
}

static void on_ice(void *user, ice_cause cause, const char *message)
{
	(void)user;
	if (cause == ICE_BUG)
		crash_exit(message);
	puts_to(STDERR_FILENO, "trikl: error: ");
	puts_to(STDERR_FILENO, message);
	puts_to(STDERR_FILENO, "\n");
	_exit(CLI_ENVIRONMENT);
}

static void on_signal(int signo)
{
	crash_exit(signo == SIGABRT  ? "aborted"
		   : signo == SIGFPE ? "arithmetic exception (SIGFPE)"
		   : signo == SIGILL ? "illegal instruction (SIGILL)"
		   : signo == SIGBUS ? "bus error (SIGBUS)"
				     : "invalid memory access (SIGSEGV)");
}

void crash_set_source(const source *s)
{
	crash.len = s ? s->len : 0;
	crash.text = s ? s->text : NULL;
}

/* The command as one comment line; newlines in arguments would end the comment. */
static void command_record(int argc, char **argv)
{
	size_t room = sizeof crash.command - 2, n = 0;
	const char *prefix = "# trikl";
	for (; *prefix; prefix++)
		crash.command[n++] = *prefix;
	for (int i = 1; i < argc && n < room; i++) {
		crash.command[n++] = ' ';
		for (const char *s = argv[i]; *s && n < room; s++)
			crash.command[n++] = *s == '\n' || *s == '\r' ? ' ' : *s;
	}
	crash.command[n] = '\n';
}

void crash_install(int argc, char **argv)
{
	command_record(argc, argv);
	ice_set_handler(on_ice, NULL);
	if (SANITIZED)
		return;
	static const int signals[] = {SIGABRT, SIGFPE, SIGILL, SIGBUS, SIGSEGV};
	static char stack[64 * 1024]; /* for a stack overflow; MINSIGSTKSZ may exceed 8 KiB with
					 AVX-512 */
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
	sigaltstack(&alternate, NULL);
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &act, NULL);
}
