/* pool.h: worker threads for data-parallel loops.
 *
 * A pool runs one loop at a time; loops that several threads start queue up. rt_pool_run may be
 * called from any thread, but not from inside a loop body, and not in a child process after fork().
 * Idle workers spin for some microseconds and then sleep, so that a pool costs nothing while
 * unused. */
#pragma once
#include <stdint.h>

typedef struct rt_pool rt_pool;

/* One iteration range [begin, end) on worker `worker` (0 .. threads-1; stable during one
 * rt_pool_run, and no two bodies of one loop run with the same number at once). The calling thread
 * is worker 0. */
typedef void (*rt_pool_body)(void *user, int64_t begin, int64_t end, int worker);

/* A pool of `threads` workers counting the caller; 0: rt_pool_cores(). One worker needs no thread
 * at all. NULL: out of memory or threads could not be started. */
rt_pool *rt_pool_create(int threads);
/* Stops and joins the workers. No loop may be running. NULL is ignored. */
void rt_pool_destroy(rt_pool *p);
/* Workers of the pool, the caller included. */
int rt_pool_threads(const rt_pool *p);
/* Cores that this process may run on (its affinity mask), at least 1. */
int rt_pool_cores(void);
/* Runs `body` over [0, items) in chunks of `grain` iterations (the last may be shorter; grain < 1
 * counts as 1) handed out dynamically; returns when all are done, and what the bodies wrote is then
 * visible to the caller. A loop of one chunk, or on a pool of one worker, runs in the calling
 * thread without queueing. */
void rt_pool_run(rt_pool *p, int64_t items, int64_t grain, rt_pool_body body, void *user);
