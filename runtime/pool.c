/* pool: worker threads for data-parallel loops.
 * in:  a loop body and its iteration count        out: every iteration run once, on some worker
 *
 * All coordination goes through one 64-bit word, `state`: the loop's number, whether it is open,
 * and how many workers are inside. A worker enters an open loop that it has not seen by adding 1,
 * and leaves by subtracting 1. The caller closes the loop when no iterations are left and waits for
 * the workers inside only, never for one still asleep. The loop's description is written only while
 * the loop is closed and empty. */
#include "runtime/pool.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define INSIDE_MASK UINT64_C(0x7fffffff) /* bits 0-30: workers inside          */
#define OPEN_BIT (UINT64_C(1) << 31)     /* bit 31: workers may enter          */
#define LOOP_ONE (UINT64_C(1) << 32)     /* bits 32-63: number of the loop     */
#define SPIN_LIMIT 400                   /* pauses before sleeping: 10-20 us   */
#define CORES_LIMIT (1 << 16)
#define STACK_BYTES ((size_t)8 << 20) /* whatever the process's limit says; used as touched */

typedef struct {
	rt_pool *pool;
	pthread_t thread;
	int number;
} worker;

struct rt_pool {
	int threads;
	int spins;
	worker *worker; /* [threads - 1] */

	pthread_mutex_t turn; /* held by the caller whose loop runs */
	rt_pool_body body;    /* the loop; constant while open or not empty */
	void *user;
	int64_t items, grain;

	_Alignas(64) _Atomic uint64_t state;
	_Alignas(64) _Atomic int64_t next; /* first iteration not yet handed out */

	pthread_mutex_t lock;      /* guards the two conditions below */
	pthread_cond_t wake, idle; /* a loop opened or stop; the last worker left */
	_Atomic int sleepers;      /* workers waiting on `wake` */
	_Atomic bool caller_sleeps;
	_Atomic bool stop;
};

static void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	sched_yield();
#endif
}

int rt_pool_cores(void)
{
	for (int most = CPU_SETSIZE; most <= CORES_LIMIT; most *= 2) {
		size_t bytes = CPU_ALLOC_SIZE(most);
		cpu_set_t *set = CPU_ALLOC(most);
		int cores = 0;

		if (!set)
			return 1;
		if (sched_getaffinity(0, bytes, set) == 0)
			cores = CPU_COUNT_S(bytes, set);
		CPU_FREE(set);
		if (cores > 0)
			return cores;
	}
	return 1; /* refused, or the kernel's mask is larger than any that exists */
}

/* Runs chunks of the current loop until none is left. */
static void run_chunks(rt_pool *p, int number)
{
	while (true) {
		int64_t begin = atomic_fetch_add_explicit(&p->next, p->grain, memory_order_relaxed);
		int64_t end;

		if (begin >= p->items)
			return;
		end = p->items - begin < p->grain ? p->items : begin + p->grain;
		p->body(p->user, begin, end, number);
	}
}

static bool is_news(uint64_t state, uint64_t seen)
{
	return (state & OPEN_BIT) && state / LOOP_ONE != seen;
}

/* Waits for an open loop other than `seen`, or for the end of the pool. */
static void wait_for_loop(rt_pool *p, uint64_t seen)
{
	for (int spin = 0; spin < p->spins; spin++) {
		if (is_news(atomic_load(&p->state), seen) || atomic_load(&p->stop))
			return;
		spin_pause();
	}
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->sleepers, 1); /* before the test: pairs with open_loop */
	while (!is_news(atomic_load(&p->state), seen) && !atomic_load(&p->stop))
		pthread_cond_wait(&p->wake, &p->lock);
	atomic_fetch_sub(&p->sleepers, 1);
	pthread_mutex_unlock(&p->lock);
}

/* Enters the open loop; false when it closed meanwhile. */
static bool enter_loop(rt_pool *p, uint64_t *seen)
{
	uint64_t state = atomic_load(&p->state);

	do {
		if (!is_news(state, *seen))
			return false;
	} while (!atomic_compare_exchange_weak(&p->state, &state, state + 1));
	*seen = state / LOOP_ONE;
	return true;
}

static void leave_loop(rt_pool *p)
{
	uint64_t state = atomic_fetch_sub(&p->state, 1) - 1;

	if ((state & (OPEN_BIT | INSIDE_MASK)) || !atomic_load(&p->caller_sleeps))
		return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->idle);
	pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
	worker *w = arg;
	rt_pool *p = w->pool;
	uint64_t seen = 0;

	while (true) {
		wait_for_loop(p, seen);
		if (atomic_load(&p->stop))
			return NULL;
		if (enter_loop(p, &seen)) {
			run_chunks(p, w->number);
			leave_loop(p);
		}
	}
}

static void open_loop(rt_pool *p)
{
	uint64_t loop = (atomic_load(&p->state) / LOOP_ONE + 1) & UINT32_MAX;

	atomic_store_explicit(&p->next, 0, memory_order_relaxed);
	atomic_store(&p->state, loop * LOOP_ONE | OPEN_BIT);
	if (atomic_load(&p->sleepers) > 0) {
		pthread_mutex_lock(&p->lock);
		pthread_cond_broadcast(&p->wake);
		pthread_mutex_unlock(&p->lock);
	}
}

static bool is_empty(rt_pool *p)
{
	return (atomic_load(&p->state) & INSIDE_MASK) == 0;
}

/* Lets nobody in any more and waits until everybody is out. */
static void close_loop(rt_pool *p)
{
	atomic_fetch_and(&p->state, ~OPEN_BIT);
	for (int spin = 0; spin < p->spins; spin++) {
		if (is_empty(p))
			return;
		spin_pause();
	}
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->caller_sleeps, true); /* before the test: pairs with leave_loop */
	while (!is_empty(p))
		pthread_cond_wait(&p->idle, &p->lock);
	atomic_store(&p->caller_sleeps, false);
	pthread_mutex_unlock(&p->lock);
}

static void run_inline(int64_t items, int64_t grain, rt_pool_body body, void *user)
{
	for (int64_t begin = 0; begin < items; begin += grain) {
		int64_t end = items - begin < grain ? items : begin + grain;

		body(user, begin, end, 0);
		if (end == items)
			return; /* begin + grain might overflow */
	}
}

void rt_pool_run(rt_pool *p, int64_t items, int64_t grain, rt_pool_body body, void *user)
{
	if (items <= 0)
		return;
	if (grain < 1)
		grain = 1;
	if (p->threads == 1 || items <= grain) {
		run_inline(items, grain, body, user);
		return;
	}
	pthread_mutex_lock(&p->turn);
	p->body = body;
	p->user = user;
	p->items = items;
	p->grain = grain;
	open_loop(p);
	run_chunks(p, 0);
	close_loop(p);
	pthread_mutex_unlock(&p->turn);
}

static void join_workers(rt_pool *p, int started)
{
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->stop, true);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (int w = 0; w < started; w++)
		pthread_join(p->worker[w].thread, NULL);
}

/* Starts the workers with every signal blocked, so that the host program's handlers run in its own
 * threads. */
static int start_workers(rt_pool *p)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int started = 0;

	if (pthread_attr_init(&attr))
		return 0;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; started < p->threads - 1; started++) {
		worker *w = &p->worker[started];

		w->pool = p;
		w->number = started + 1;
		if (pthread_create(&w->thread, &attr, worker_main, w))
			break;
		pthread_setname_np(w->thread, "trikl-worker");
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return started;
}

rt_pool *rt_pool_create(int threads)
{
	int cores = rt_pool_cores(), started;
	rt_pool *p;

	if (threads <= 0)
		threads = cores;
	if (threads > CORES_LIMIT)
		return NULL;
	p = aligned_alloc(_Alignof(rt_pool), sizeof *p);
	if (!p)
		return NULL;
	*p = (rt_pool){.threads = threads, .spins = threads <= cores ? SPIN_LIMIT : 0};
	pthread_mutex_init(&p->turn, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	pthread_cond_init(&p->idle, NULL);
	p->worker = calloc((size_t)threads, sizeof *p->worker);
	started = p->worker ? start_workers(p) : -1;
	if (started == threads - 1)
		return p;
	p->threads = started + 1;
	rt_pool_destroy(p);
	return NULL;
}

void rt_pool_destroy(rt_pool *p)
{
	if (!p)
		return;
	join_workers(p, p->threads - 1);
	pthread_mutex_destroy(&p->turn);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	pthread_cond_destroy(&p->idle);
	free(p->worker);
	free(p);
}

int rt_pool_threads(const rt_pool *p)
{
	return p->threads;
}
