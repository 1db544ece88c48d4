/* gpu.h: the driver as kernels share it: opened by the first who needs it, with counters of what was
 * done. A driver that cannot be opened is asked again the next time. Any thread may use it. */
#pragma once
#include "runtime/cuda.h"
#include <stdatomic.h>

typedef struct rt_gpu rt_gpu;

/* Nothing is loaded yet; NULL: out of memory. */
rt_gpu *rt_gpu_create(void);
void rt_gpu_destroy(rt_gpu *g); /* NULL is ignored */
/* The driver. Errors: those of rt_cuda_open. */
rt_status rt_gpu_driver(rt_gpu *g, rt_cuda **cuda, rt_error *err);
/* Loads of code into CUDA contexts. */
uint64_t rt_gpu_loads(const rt_gpu *g);
void rt_gpu_count_loads(rt_gpu *g, int loads);
