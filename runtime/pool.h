/* pool.h: worker threads. A pool runs one parallel loop at a time; loops from several threads queue up.
 * rt_pool_run may be called from any thread, but not from inside a loop body. */
#pragma once
#include <stdint.h>

typedef struct rt_pool rt_pool;

/* One iteration range [begin, end) on worker `worker` (0 .. threads-1; stable during one rt_pool_run). */
typedef void (*rt_pool_body)(void *user, int64_t begin, int64_t end, int worker);

/* A pool of `threads` workers counting the caller; 0: one per core this process may use. NULL: out of memory or
 * threads could not be started. */
rt_pool *rt_pool_create(int threads);
void rt_pool_destroy(rt_pool *p); /* NULL is ignored */
int rt_pool_threads(const rt_pool *p);
/* Runs `body` over [0, items) in chunks of `grain` iterations handed out dynamically; returns when all are done. */
void rt_pool_run(rt_pool *p, int64_t items, int64_t grain, rt_pool_body body, void *user);
