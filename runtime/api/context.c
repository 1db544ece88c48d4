/* context: worker threads and the GPU driver that kernels share. Counted: the creator and every
 * kernel keep one alive. The compiler attaches what it needs when it is first used. */
#include "runtime/api/api.h"
#include <stdlib.h>
#include <string.h>

int tkl_version(void)
{
	return TKL_VERSION;
}

static void free_context(tkl_context *c)
{
	if (c->attached)
		c->detach(c->attached);
	rt_gpu_destroy(c->gpu);
	rt_pool_destroy(c->pool);
	pthread_mutex_destroy(&c->lock);
	free(c->cache_directory);
	free(c);
}

static tkl_status fill(tkl_context *c)
{
	if (c->options.cache_directory) {
		c->cache_directory = strdup(c->options.cache_directory);
		c->options.cache_directory = c->cache_directory;
		if (!c->cache_directory)
			return api_fail(TKL_ERROR_MEMORY, "out of memory");
	}
	c->gpu = rt_gpu_create();
	if (!c->gpu)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	c->pool = rt_pool_create(c->options.threads);
	if (!c->pool)
		return api_fail(TKL_ERROR_MEMORY, "cannot start %d threads", c->options.threads);
	return TKL_OK;
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
	pthread_mutex_init(&c->lock, NULL);
	c->options = o;
	status = fill(c);
	if (status) {
		free_context(c);
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
	if (context && atomic_fetch_sub(&context->users, 1) == 1)
		free_context(context);
}

tkl_status tkl_context_counters(const tkl_context *context, tkl_counters *counters)
{
	tkl_counters n = {0};

	if (!context)
		return api_fail(TKL_ERROR_ARGUMENT, "the context is NULL");
	pthread_mutex_lock((pthread_mutex_t *)&context->lock);
	if (context->attached)
		context->count(context->attached, &n);
	pthread_mutex_unlock((pthread_mutex_t *)&context->lock);
	n.loads = rt_gpu_loads(context->gpu);
	return api_copy_out(counters, &n, sizeof n, "tkl_counters");
}

int tkl_context_threads(const tkl_context *context)
{
	return context ? rt_pool_threads(context->pool) : 0;
}
