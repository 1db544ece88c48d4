/* context: worker threads and the GPU system that kernels share. Counted: the creator and every kernel keep one alive.
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
	device_options d;
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
	d = (device_options){.cache_directory = o.cache_directory,
		.no_disk_cache = o.no_disk_cache != 0,
		.note = o.note,
		.user = o.note_user};
	c->system = device_open(&d);
	c->pool = c->system ? rt_pool_create(o.threads) : NULL;
	if (!c->pool) {
		status = api_fail(TKL_ERROR_MEMORY,
			c->system ? "cannot start %d threads" : "out of memory", o.threads);
		device_close(c->system);
		free(c);
		return status;
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
	device_close(context->system);
	rt_pool_destroy(context->pool);
	free(context);
}

tkl_status tkl_context_counters(const tkl_context *context, tkl_counters *counters)
{
	device_counts n;
	tkl_counters c;

	if (!context)
		return api_fail(TKL_ERROR_ARGUMENT, "the context is NULL");
	n = device_count(context->system);
	c = (tkl_counters){.compiles = n.compiles, .cache_hits = n.hits, .loads = n.loads};
	return api_copy_out(counters, &c, sizeof c, "tkl_counters");
}

int tkl_context_threads(const tkl_context *context)
{
	return context ? rt_pool_threads(context->pool) : 0;
}
