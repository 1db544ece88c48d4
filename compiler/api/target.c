/* target: names of GPU targets.
 * in:  "cuda:1", "sm_90a"      out: a device and an architecture; what GPU kernels share */
#include "api/api.h"
#include <stdlib.h>
#include <string.h>

static const char cuda[] = "cuda:";

bool api_is_gpu_target(const char *target)
{
	const char *number = target + sizeof cuda - 1;

	if (strncmp(target, cuda, sizeof cuda - 1) == 0)
		return *number && strspn(number, "0123456789") == strlen(number) &&
		       strlen(number) < 4;
	return strncmp(target, "sm_", 3) == 0 && arch_find(target);
}

static void count(void *system, tkl_counters *n)
{
	device_counts c = device_count(system);

	n->compiles = c.compiles;
	n->cache_hits = c.hits;
}

static void detach(void *system)
{
	device_close(system);
}

device_system *api_system(tkl_context *c)
{
	const tkl_context_options *o = &c->options;
	device_options d = {.cache_directory = o->cache_directory,
		.no_disk_cache = o->no_disk_cache != 0,
		.note = o->note,
		.user = o->note_user,
		.gpu = c->gpu};

	pthread_mutex_lock(&c->lock);
	if (!c->attached) {
		c->attached = device_open(&d);
		c->detach = detach;
		c->count = count;
	}
	pthread_mutex_unlock(&c->lock);
	return c->attached;
}

tkl_status api_gpu_target(tkl_context *c, const char *target, int *device, const arch **a)
{
	rt_error err = {0};

	device_system *s = api_system(c);

	if (!s)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	*device = RT_CURRENT;
	*a = arch_find(target);
	if (*a)
		return TKL_OK;
	*device = atoi(target + sizeof cuda - 1);
	if (!device_arch(s, *device, a, &err))
		return TKL_OK;
	if (err.status == RT_ARGUMENT)
		err.status = RT_NO_DEVICE;
	return api_fail_runtime(&err, target);
}
