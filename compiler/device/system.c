/* system: what kernels share.
 * in:  options      out: the driver, ptxas, the disk cache; each is opened by the first who asks
 * ptxas is sought once. */
#include "device/system.h"
#include <stdlib.h>
#include <string.h>

device_system *device_open(const device_options *o)
{
	device_system *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	if (o)
		s->options = *o;
	if (o && o->cache_directory) {
		s->cache_directory = strdup(o->cache_directory);
		if (!s->cache_directory) {
			free(s);
			return NULL;
		}
	}
	s->own_gpu = !o || !o->gpu;
	s->gpu = s->own_gpu ? rt_gpu_create() : o->gpu;
	if (!s->gpu) {
		free(s->cache_directory);
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void device_close(device_system *s)
{
	if (!s)
		return;
	if (s->own_gpu)
		rt_gpu_destroy(s->gpu);
	rt_cache_close(s->cache);
	rt_ptxas_destroy(s->ptxas);
	pthread_mutex_destroy(&s->lock);
	free(s->cache_directory);
	free(s);
}

rt_status device_driver(device_system *s, rt_cuda **cuda, rt_error *err)
{
	return rt_gpu_driver(s->gpu, cuda, err);
}

rt_ptxas *device_assembler(device_system *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->ptxas_sought && rt_ptxas_find(&s->ptxas, NULL))
		s->ptxas = NULL;
	s->ptxas_sought = true;
	pthread_mutex_unlock(&s->lock);
	return s->ptxas;
}

static void pass_note(void *user, rt_cache_event event, const char *says)
{
	const device_system *s = user;

	(void)event;
	if (s->options.note)
		s->options.note(s->options.user, says);
}

rt_cache *device_cache(device_system *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->cache) {
		rt_cache_options o = {.directory = s->cache_directory,
			.producer = device_build_id(),
			.disabled = s->options.no_disk_cache,
			.report = pass_note,
			.user = s};

		s->cache = rt_cache_open(&o);
	}
	pthread_mutex_unlock(&s->lock);
	return s->cache;
}

device_counts device_count(device_system *s)
{
	return (device_counts){
		atomic_load(&s->compiles), atomic_load(&s->hits), rt_gpu_loads(s->gpu)};
}

rt_status device_arch(device_system *s, int device, const arch **a, rt_error *err)
{
	rt_cuda *cuda;
	rt_device_info info;
	rt_status status = device_driver(s, &cuda, err);

	*a = NULL;
	if (!status)
		status = rt_cuda_device(cuda, device, &info, err);
	if (status)
		return status;
	*a = arch_native(info.major, info.minor);
	if (*a)
		return RT_OK;
	return rt_error_set(err, RT_NO_CODE, NULL,
		"GPU %d (%s) has compute capability %d.%d; the oldest that kernels are generated "
		"for "
		"is %d.%d",
		device, info.name, info.major, info.minor, arch_all(NULL)->major,
		arch_all(NULL)->minor);
}

/* --- the version of ptxas --- */

typedef struct {
	rt_ptxas *tool;
} ask;

static bool ask_version(void *user, rt_blob **blob)
{
	ask *q = user;
	const char *version;

	if (rt_ptxas_version(q->tool, &version, NULL))
		return false;
	*blob = rt_blob_copy(version, strlen(version));
	return *blob != NULL;
}

const char *device_assembler_version(device_system *s, rt_ptxas *tool, arena *a)
{
	rt_cache *cache = device_cache(s);
	rt_cache_digest d;
	rt_cache_key key;
	char stamp[64], *version;
	rt_blob *blob;
	ask q = {tool};

	if (!cache || rt_ptxas_stamp(tool, stamp, NULL))
		return NULL;
	rt_cache_key_begin(&d);
	rt_cache_key_text(&d, "ptxas", rt_ptxas_path(tool));
	rt_cache_key_text(&d, "stamp", stamp);
	key = rt_cache_key_end(&d);
	blob = rt_cache_get_or_make(cache, &key, "version", ask_version, &q);
	if (!blob)
		return NULL;
	version = arena_strndup(a, rt_blob_data(blob), rt_blob_size(blob));
	rt_blob_release(blob);
	return version;
}
