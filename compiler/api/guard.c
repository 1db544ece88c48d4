/* guard: our own bugs, and memory that ran out inside the compiler, turned into a status. */
#include "api/api.h"
#include <setjmp.h>

/* Where ice() returns to. Guards nest when a progress callback calls the library. */
typedef struct guard {
	jmp_buf back;
	struct guard *outer;
	tkl_status status;
} guard;

static _Thread_local guard *innermost;

static void leave_by_jump(void *user, ice_cause cause, const char *message)
{
	guard *g = user;

	g->status = api_fail(
		cause == ICE_MEMORY ? TKL_ERROR_MEMORY : TKL_ERROR_INTERNAL, "%s", message);
	longjmp(g->back, 1);
}

static void install(guard *g)
{
	innermost = g;
	ice_set_handler(g ? leave_by_jump : NULL, g);
}

tkl_status api_guard(tkl_status (*fn)(void *user), void *user)
{
	guard g = {.outer = innermost};
	tkl_status status;

	if (setjmp(g.back)) {
		install(g.outer);
		return g.status;
	}
	install(&g);
	status = fn(user);
	install(g.outer);
	return status;
}
