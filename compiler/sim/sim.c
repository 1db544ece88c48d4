/* sim.c: a program over a grid: checks of program and arguments, memory of each worker, blocks
 * handed out to a pool. */
#include "sim/sim_async.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
	sim_block *worker; /* [threads of the pool] */
	int workers;
} job;

/* --- a worker's memory --- */

static void close_worker(sim_block *b)
{
	free(b->reg);
	free(b->defined);
	free(b->var);
	free(b->var_lane);
	free(b->slot);
	free(b->cls);
	sim_split_close(b);
	sim_shared_close(&b->shared);
}

static bool open_worker(sim_block *b, const sim_image *m, const sim_args *args, sim_log *log)
{
	size_t vars = (size_t)m->p->var.count + 1, slots = m->slots + 1;

	*b = (sim_block){.image = m, .args = args, .log = log, .warps = m->p->warps};
	b->threads = b->warps * SIM_LANES;
	b->step_limit = args->step_limit > 0 ? args->step_limit : 20000000;
	if (b->step_limit > UINT32_MAX / 2)
		b->step_limit = UINT32_MAX / 2;
	b->reg = malloc((m->registers + 1) * sizeof *b->reg);
	b->defined = malloc((m->defined_size + 1) * sizeof *b->defined);
	b->var = calloc(vars, sizeof *b->var);
	b->var_lane = calloc(vars * (size_t)b->threads, sizeof *b->var_lane);
	b->slot = calloc(slots, sizeof *b->slot);
	b->cls = calloc(slots, 1);
	if (m->split && !sim_split_open(b))
		return false;
	if (!sim_shared_open(&b->shared, m->p->shared_bytes, m->split ? b->warps : 0) || !b->reg ||
		!b->defined || !b->var || !b->var_lane || !b->slot || !b->cls)
		return false;
	for (size_t i = 0; i + 1 < vars; i++)
		b->var[i].lane = b->var_lane + i * (size_t)b->threads;
	return true;
}

/* --- what is checked first --- */

static bool check_tensor(const tile_arg *a, const sim_tensor *t, text *why)
{
	int size = tile_type_bytes(a->type);

	if (t->low <= t->high && (t->low == t->high || t->data) &&
		(uintptr_t)t->data % (unsigned)size == 0 && t->high - t->low < INT64_MAX / 16)
		return true;
	text_printf(why, "tensor '%s': elements [%lld, %lld) at an address that is %s", a->name,
		(long long)t->low, (long long)t->high,
		!t->data ? "NULL" : "no multiple of the element's size");
	return false;
}

/* As cuTensorMapEncodeTiled demands. */
static bool check_map(const tile_arg *a, const sim_args *args, text *why)
{
	const sim_tensor_map *m = &args->arg[a->id].map;
	const void *data = args->arg[a->tensor->id].tensor.data;

	for (int d = 0; d < a->rank; d++) {
		bool last = d == a->rank - 1;

		if (m->length[d] >= 0 && m->length[d] <= UINT32_MAX && m->stride[d] >= 0 &&
			m->stride[d] < INT64_C(1) << 39 &&
			(last ? m->stride[d] == 1 : m->stride[d] % 8 == 0))
			continue;
		text_printf(why, "map '%s': dimension %d of %lld with stride %lld", a->name, d,
			(long long)m->length[d], (long long)m->stride[d]);
		return false;
	}
	if ((uintptr_t)data % 16 == 0)
		return true;
	text_printf(why, "map '%s': an address that is no multiple of 16", a->name);
	return false;
}

static bool check_arguments(const tile_program *p, const sim_args *args, text *why)
{
	for (int i = 0; i < 3; i++)
		if (args->grid[i] < 0 || args->grid[i] > INT32_MAX) {
			text_printf(why, "a grid of %lld blocks along %c", (long long)args->grid[i],
				"xyz"[i]);
			return false;
		}
	for (int i = 0; i < p->arg.count; i++)
		if (p->arg.item[i]->kind == ARG_TENSOR &&
			!check_tensor(p->arg.item[i], &args->arg[i].tensor, why))
			return false;
	for (int i = 0; i < p->arg.count; i++)
		if (p->arg.item[i]->kind == ARG_MAP && !check_map(p->arg.item[i], args, why))
			return false;
	return true;
}

/* One mark for each element of each output. */
static bool open_marks(const tile_program *p, const sim_args *args, sim_log *log)
{
	log->written = calloc((size_t)p->arg.count + 1, sizeof *log->written);
	for (int i = 0; log->written && i < p->arg.count; i++) {
		const sim_tensor *t = &args->arg[i].tensor;

		if (p->arg.item[i]->kind != ARG_TENSOR || !p->arg.item[i]->written)
			continue;
		log->written[i] = calloc((size_t)(t->high - t->low) + 1, sizeof **log->written);
		if (!log->written[i])
			return false;
	}
	return log->written != NULL;
}

static void close_marks(const tile_program *p, sim_log *log)
{
	for (int i = 0; log->written && i < p->arg.count; i++)
		free(log->written[i]);
	free(log->written);
}

/* --- the run --- */

static void run_blocks(void *user, int64_t begin, int64_t end, int worker)
{
	job *j = user;
	sim_block *b = &j->worker[worker];

	for (int64_t i = begin; i < end; i++)
		if (!b->failed && !atomic_load(&b->log->stop))
			sim_run_block(b, i);
}

static bool run_grid(const sim_image *m, const sim_args *args, sim_log *log)
{
	int64_t blocks = args->grid[0] * args->grid[1];
	job j = {.workers = args->pool ? rt_pool_threads(args->pool) : 1};
	bool ok = !__builtin_mul_overflow(blocks, args->grid[2], &blocks);

	j.worker = calloc((size_t)j.workers, sizeof *j.worker);
	for (int i = 0; ok && i < j.workers; i++)
		ok = j.worker && open_worker(&j.worker[i], m, args, log);
	if (ok && args->pool)
		rt_pool_run(args->pool, blocks, 1, run_blocks, &j);
	else if (ok)
		run_blocks(&j, 0, blocks, 0);
	for (int i = 0; j.worker && i < j.workers; i++)
		close_worker(&j.worker[i]);
	free(j.worker);
	return ok;
}

bool sim_run(const tile_program *p, const sim_args *args, sim_report *report)
{
	arena *a = arena_create();
	sim_image m = {0};
	sim_log log;
	bool made;

	*report = (sim_report){0};
	made = a && sim_image_make(p, a, &m);
	if (!sim_log_open(&log, p, m.stmts, args->report_limit)) {
		arena_destroy(a);
		return false;
	}
	if (!a)
		sim_log_fault(&log, SIM_MEMORY, "before the first block");
	else if (!made || !check_arguments(p, args, &m.why))
		sim_log_fault(&log, SIM_MALFORMED, m.why.data);
	else if (!open_marks(p, args, &log) || !run_grid(&m, args, &log))
		sim_log_fault(&log, SIM_MEMORY, "registers and shared memory of the workers");
	close_marks(p, &log);
	sim_log_close(&log, report);
	text_free(&m.why);
	arena_destroy(a);
	return report->count == 0;
}
