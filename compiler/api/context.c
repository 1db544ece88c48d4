/* context: worker threads that kernels share. Counted: the creator and every kernel keep one alive.
 */
#include "api/api.h"
#include <stdlib.h>

int tkl_version(void)
{
	return TKL_VERSION;
}

tkl_status tkl_context_create(const tkl_context_options *options, tkl_context **context)
{
	tkl_context_options o;
	tkl_status status = api_copy_in(&o, options, sizeof o, "tkl_context_options");
	tkl_context *c;

	if (status)
		return status;
	if (!context)
		return api_fail(TKL_ERROR_ARGUMENT, "the pointer to the context is NULL");
	if (o.threads < 0)
		return api_fail(TKL_ERROR_ARGUMENT, "threads = %d is negative", o.threads);
	c = calloc(1, sizeof *c);
	if (!c)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	c->pool = rt_pool_create(o.threads);
	if (!c->pool) {
		free(c);
		return api_fail(TKL_ERROR_MEMORY, "cannot start %d threads", o.threads);
	}
	atomic_store(&c->users, 1);
	*context = c;
	return TKL_OK;
}

tkl_context *api_context_hold(tkl_context *c)
{
	atomic_fetch_add(&c->users, 1);
	return c;
}

void tkl_context_destroy(tkl_context *context)
{
	if (!context || atomic_fetch_sub(&context->users, 1) > 1)
		return;
	rt_pool_destroy(context->pool);
	free(context);
}

int tkl_context_threads(const tkl_context *context)
{
	return context ? rt_pool_threads(context->pool) : 0;
}
