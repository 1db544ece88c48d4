/* message.c: what the program itself says on stderr (diagnostics of a spec go through diags), and
 * the progress line of long runs. */
#include "cli/cli.h"
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void message(
	const options *o, const char *kind, const char *color, const char *fmt, va_list ap)
{
	text t = {0};
	if (o->diagnostics == DIAG_TEXT_COLOR)
		text_printf(&t, "\033[1mtrikl: %s%s: \033[0m", color, kind);
	else
		text_printf(&t, "trikl: %s: ", kind);
	text_vprintf(&t, fmt, ap);
	text_put(&t, "\n");
	fputs(t.data, stderr);
	text_free(&t);
}

void message_error(const options *o, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	message(o, "error", "\033[31m", fmt, ap);
	va_end(ap);
}

void message_warning(const options *o, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	message(o, "warning", "\033[35m", fmt, ap);
	va_end(ap);
}

void message_note(const options *o, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	message(o, "note", "\033[36m", fmt, ap);
	va_end(ap);
}

double clock_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

progress progress_start(const char *what)
{
	double now = clock_now();
	return (progress){
		.what = what, .start = now, .shown = now, .terminal = isatty(STDERR_FILENO)};
}

void progress_update(void *user, double done)
{
	progress *p = user;
	if (!p->terminal)
		return;
	double now = clock_now();
	if (now - p->start < 1 || (p->visible && now - p->shown < 0.2))
		return;
	double left = done > 0 ? (now - p->start) * (1 - done) / done : 0;
	fprintf(stderr, "\r\033[K%s: %3.0f %%, %.0f s, about %.0f s left", p->what,
		floor(done * 100), now - p->start, ceil(left));
	fflush(stderr);
	p->shown = now;
	p->visible = true;
}

void progress_end(progress *p)
{
	if (p->visible)
		fputs("\r\033[K", stderr);
	p->visible = false;
}
