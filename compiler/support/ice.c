/* ice.c: internal compiler errors. A thread's handler decides what happens (the library longjmps
 * out of it); without one the place and the message go to stderr and the process aborts. */
#include "support/diag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct {
	ice_handler call;
	void *user;
} handler;

void ice_set_handler(ice_handler h, void *user)
{
	handler.call = h;
	handler.user = user;
}

_Noreturn void ice_at(const char *file, int line, ice_cause cause, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char message[1024];
	va_list ap;
	int n = 0;

	/* fixed storage: there may be no memory */
	if (cause == ICE_BUG)
		n = snprintf(message, sizeof message,
			"internal error at %s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	vsnprintf(message + n, sizeof message - (size_t)n, fmt, ap);
	va_end(ap);
	if (handler.call)
		handler.call(handler.user, cause, message);
	fprintf(stderr, "trikl: %s\n", message);
	abort();
}
