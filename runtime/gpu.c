/* gpu: the driver, opened when it is first needed. */
#include "runtime/gpu.h"
#include <pthread.h>
#include <stdlib.h>

struct rt_gpu {
	pthread_mutex_t lock; /* guards opening */
	_Atomic(rt_cuda *) cuda;
	_Atomic uint64_t loads;
};

rt_gpu *rt_gpu_create(void)
{
	rt_gpu *g = calloc(1, sizeof *g);

	if (g)
		pthread_mutex_init(&g->lock, NULL);
	return g;
}

void rt_gpu_destroy(rt_gpu *g)
{
	if (!g)
		return;
	rt_cuda_close(atomic_load(&g->cuda));
	pthread_mutex_destroy(&g->lock);
	free(g);
}

rt_status rt_gpu_driver(rt_gpu *g, rt_cuda **cuda, rt_error *err)
{
	rt_status status = RT_OK;
	rt_cuda *opened = NULL;

	*cuda = atomic_load_explicit(&g->cuda, memory_order_acquire);
	if (*cuda)
		return RT_OK;
	pthread_mutex_lock(&g->lock);
	*cuda = atomic_load(&g->cuda);
	if (!*cuda) {
		status = rt_cuda_open(NULL, &opened, err);
		if (!status) {
			*cuda = opened;
			atomic_store_explicit(&g->cuda, opened, memory_order_release);
		}
	}
	pthread_mutex_unlock(&g->lock);
	return status;
}

uint64_t rt_gpu_loads(const rt_gpu *g)
{
	return atomic_load(&g->loads);
}

void rt_gpu_count_loads(rt_gpu *g, int loads)
{
	atomic_fetch_add(&g->loads, (uint64_t)loads);
}
