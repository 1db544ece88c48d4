/* mbar.c: mbarriers, counters, numbered barriers.
 * in:  their statements, executed by one warp
 * out: which warps wait; clocks that pass on what the arriving ones know; misuse */
#include "sim/sim_async.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- memory --- */

bool sim_bars_open(sim_block *b)
{
	struct sim_async *x = b->async;
	const tile_program *p = b->image->p;
	size_t clocks = 2 * (size_t)x->bars + SIM_NUMBERED, n = 0;

	x->bar = calloc((size_t)x->bars + 1, sizeof *x->bar);
	x->clocks = calloc(clocks * (size_t)x->size, sizeof *x->clocks);
	if (!x->bar || !x->clocks)
		return false;
	for (int i = 0; i < p->bar.count; i++)
		for (int k = 0; k < p->bar.item[i]->slots; k++) {
			sim_bar *bar = &x->bar[b->image->bar_first[i] + k];

			bar->bar = p->bar.item[i];
			bar->index = k;
			bar->arriving = x->clocks + n++ * (size_t)x->size;
			bar->clock = x->clocks + n++ * (size_t)x->size;
		}
	for (int i = 0; i < SIM_NUMBERED; i++)
		x->numbered[i].clock = x->clocks + n++ * (size_t)x->size;
	return true;
}

void sim_bars_close(struct sim_async *x)
{
	for (int i = 0; x->bar && i < x->bars; i++)
		free(x->bar[i].load.item);
	free(x->bar);
	free(x->clocks);
}

void sim_bars_reset(sim_block *b)
{
	struct sim_async *x = b->async;
	size_t clocks = 2 * (size_t)x->bars + SIM_NUMBERED;

	memset(x->clocks, 0, clocks * (size_t)x->size * sizeof *x->clocks);
	for (int i = 0; i < x->bars; i++) {
		sim_bar old = x->bar[i];

		x->bar[i] = (sim_bar){.bar = old.bar,
			.index = old.index,
			.arriving = old.arriving,
			.clock = old.clock,
			.load = old.load};
		x->bar[i].load.count = 0;
	}
	for (int i = 0; i < SIM_NUMBERED; i++)
		x->numbered[i] = (sim_numbered){.clock = x->numbered[i].clock};
}

void sim_bars_end(sim_block *b)
{
	for (int i = 0; i < b->async->bars; i++)
		for (int k = 0; k < b->async->bar[i].load.count; k++) {
			b->now = b->async->bar[i].load.item[k].stmt;
			sim_fault_at(b, SIM_NEVER_WAITED, SIM_ALL, SIM_ALL, "%s[%d], phase %u",
				b->async->bar[i].bar->name, b->async->bar[i].index,
				(unsigned)b->async->bar[i].phase);
		}
}

/* --- one of them --- */

sim_bar *sim_bar_find(sim_block *b, const sim_stmt *s, int operand, int warp)
{
	const tile_mbar *bar = s->s->arg[operand].bar.bar;
	int64_t index[SIM_MAX_ROOTS];

	sim_same(b, &s->code[operand], index);
	if (index[0] >= 0 && index[0] < bar->slots)
		return &b->async->bar[b->image->bar_first[bar->id] + index[0]];
	sim_fault_at(b, SIM_SHARED_BOUNDS, warp, SIM_ALL, "%s[%lld] of %d", bar->name,
		(long long)index[0], bar->slots);
	return NULL;
}

bool sim_bar_ready(sim_block *b, const sim_bar *bar, int warp, bool async)
{
	if (!bar->since || (bar->by != warp && sim_known(b, WHO_WARP + bar->by) < bar->since)) {
		sim_fault_at(b, SIM_UNSET_BARRIER, warp, SIM_ALL, "%s[%d]%s", bar->bar->name,
			bar->index,
			bar->since ? ": no barrier between this warp and the one that did it" : "");
		return false;
	}
	if (async && sim_fenced(b, WHO_WARP + bar->by) < bar->since)
		sim_fault_at(b, SIM_ASYNC_FENCE, warp, SIM_ALL,
			"between the initialization of "
			"%s[%d] and a load that signals it",
			bar->bar->name, bar->index);
	return true;
}

static void init(sim_block *b, const sim_stmt *s, int warp)
{
	const tile_mbar *bar = s->s->arg[0].bar.bar;

	for (int i = 0; i < bar->slots; i++) {
		sim_bar *x = &b->async->bar[b->image->bar_first[bar->id] + i];

		if (x->since)
			sim_fault_at(b, SIM_RACE, warp, SIM_ALL,
				"%s[%d] is initialized by warp %d, too", bar->name, i, x->by);
		x->since = b->time;
		x->by = warp;
		x->pending = bar->count;
	}
}

/* --- phases --- */

/* Whether the phase is complete once its loads have landed. */
static bool completes(const sim_bar *bar)
{
	return bar->pending == 0 && bar->loaded >= bar->expected;
}

/* A warp that has passed the phase before, and of which nobody knew when arriving in this one,
 * might still be waiting for the former. */
static void check_passed(sim_block *b, const sim_bar *bar)
{
	for (int w = 0; w < b->warps; w++)
		if (bar->passed[w] && bar->phase > 0 && bar->passed_phase[w] == bar->phase &&
			bar->arriving[w] < bar->passed[w])
			sim_fault_at(b, SIM_PHASE, w, SIM_ALL,
				"%s[%d]: phase %u completes, and nothing orders it behind this "
				"warp's wait for phase %u",
				bar->bar->name, bar->index, (unsigned)bar->phase,
				(unsigned)bar->phase - 1);
}

static void complete(sim_block *b, sim_bar *bar)
{
	struct sim_async *x = b->async;
	int number = (int)(bar - x->bar);

	check_passed(b, bar);
	for (int i = 0; i < bar->load.count; i++)
		sim_tma_land(b, &bar->load.item[i], number);
	for (int i = 0; i < x->size; i++)
		if (bar->arriving[i] > bar->clock[i])
			bar->clock[i] = bar->arriving[i];
	bar->clock[x->warps + number] = b->time;
	bar->load.count = 0;
	bar->phase++;
	bar->pending = bar->bar->count;
	bar->expected = bar->loaded = 0;
}

static void check_bytes(sim_block *b, const sim_bar *bar, int warp)
{
	if (bar->pending == 0 && bar->loaded > bar->expected)
		sim_fault_at(b, SIM_BYTES, warp, SIM_ALL, "%s[%d], phase %u: %lld, not %lld",
			bar->bar->name, bar->index, (unsigned)bar->phase, (long long)bar->loaded,
			(long long)bar->expected);
}

static void arrive(sim_block *b, sim_bar *bar, int warp, int64_t bytes)
{
	if (!sim_bar_ready(b, bar, warp, false))
		return;
	if (bar->pending == 0) {
		sim_fault_at(b, SIM_ARRIVALS, warp, SIM_ALL, "%s[%d], phase %u: %d", bar->bar->name,
			bar->index, (unsigned)bar->phase, bar->bar->count);
		return;
	}
	bar->pending--;
	bar->expected += bytes;
	sim_release(b, warp, bar->arriving, true);
	check_bytes(b, bar, warp);
	if (bar->pending == 0 && bar->expected == 0 && bar->loaded == 0)
		complete(b, bar);
}

static void expect(sim_block *b, const sim_stmt *s, int warp)
{
	sim_bar *bar = sim_bar_find(b, s, 0, warp);
	int64_t bytes[SIM_MAX_ROOTS];

	sim_same(b, &s->code[1], bytes);
	if (bytes[0] < 0 || bytes[0] >= 1 << 20)
		sim_fault_at(b, SIM_BYTES, warp, SIM_ALL, "%lld bytes: 0 .. 2^20 - 1 are possible",
			(long long)bytes[0]);
	else if (bar)
		arrive(b, bar, warp, bytes[0]);
}

void sim_bar_load(sim_block *b, sim_bar *bar, int warp, const sim_load_box *box, int64_t bytes)
{
	sim_load_box *more;

	if (bar->pending == 0 && completes(bar))
		sim_fault_at(b, SIM_PHASE, warp, SIM_ALL,
			"%s[%d]: phase %u may be complete before this load is issued",
			bar->bar->name, bar->index, (unsigned)bar->phase);
	bar->loaded += bytes;
	check_bytes(b, bar, warp);
	if (bar->load.count == bar->load.cap) {
		bar->load.cap = bar->load.cap ? 2 * bar->load.cap : 8;
		more = realloc(bar->load.item, (size_t)bar->load.cap * sizeof *more);
		if (!more) {
			bar->load.cap = bar->load.count;
			b->failed = true;
			sim_log_fault(b->log, SIM_MEMORY, "loads in flight");
			return;
		}
		bar->load.item = more;
	}
	bar->load.item[bar->load.count++] = *box;
}

bool sim_await(sim_block *b, const sim_stmt *s, int warp)
{
	sim_bar *bar = sim_bar_find(b, s, 0, warp);
	int64_t parity[SIM_MAX_ROOTS];

	sim_same(b, &s->code[1], parity);
	if (parity[0] != 0 && parity[0] != 1)
		sim_fault_at(b, SIM_PHASE, warp, SIM_ALL, "parity %lld", (long long)parity[0]);
	if (!bar || !sim_bar_ready(b, bar, warp, false) || (parity[0] != 0 && parity[0] != 1))
		return true;
	if ((bar->phase & 1) == (uint32_t)parity[0]) {
		if (!completes(bar))
			return false;
		complete(b, bar);
	} else if (bar->load.count && completes(bar)) {
		sim_fault_at(b, SIM_PHASE, warp, SIM_ALL,
			"%s[%d]: phase %u, the one after, may be complete, too", bar->bar->name,
			bar->index, (unsigned)bar->phase);
	}
	sim_acquire(b, warp, bar->clock);
	bar->passed[warp] = b->time;
	bar->passed_phase[warp] = bar->phase;
	return true;
}

void sim_await_text(sim_block *b, const sim_stmt *s, int warp, char *out, size_t size)
{
	const sim_bar *bar = sim_bar_find(b, s, 0, warp);

	if (!bar)
		return;
	snprintf(out, size,
		"%s[%d], phase %u: %d of %d arrivals are missing, %lld of %lld bytes loaded",
		bar->bar->name, bar->index, (unsigned)bar->phase, bar->pending, bar->bar->count,
		(long long)bar->loaded, (long long)bar->expected);
}

/* --- counters --- */

static void count(sim_block *b, const sim_stmt *s, int warp)
{
	sim_bar *bar = sim_bar_find(b, s, 1, warp);
	sim_vec v;

	if (!bar || !sim_bar_ready(b, bar, warp, false))
		return;
	v.i[0] = bar->value++;
	sim_release(b, warp, bar->clock, true);
	sim_acquire(b, warp, bar->clock);
	sim_set(b, s->s->arg[0].var, warp, &v, CLASS_UNIFORM);
}

/* --- numbered barriers --- */

/* Completes the barrier when all are there. */
static void arrived(sim_block *b, sim_numbered *n)
{
	struct sim_async *x = b->async;

	if (SIM_LANES * ++n->arrived < n->threads)
		return;
	for (int w = 0; w < b->warps; w++)
		if (n->waiting >> w & 1) {
			sim_acquire(b, w, n->clock);
			x->warp[w].state = WARP_RUNS;
		}
	n->arrived = 0;
	n->threads = 0;
	n->waiting = 0;
	memset(n->clock, 0, (size_t)x->size * sizeof *n->clock);
}

static sim_numbered *numbered(sim_block *b, const sim_stmt *s, int warp)
{
	int threads = (int)s->s->arg[1].integer;
	int64_t id[SIM_MAX_ROOTS];
	sim_numbered *n;

	sim_same(b, &s->code[0], id);
	if (id[0] < 1 || id[0] > 15) {
		sim_fault_at(b, SIM_SHARED_BOUNDS, warp, SIM_ALL,
			"barrier %lld: 1 to 15 are there, 0 is that of the block",
			(long long)id[0]);
		return NULL;
	}
	n = &b->async->numbered[id[0]];
	if (n->arrived && n->threads != threads)
		sim_fault_at(b, SIM_DIVERGENT_BLOCK, warp, SIM_ALL,
			"barrier %lld of %d threads, others wait for %d", (long long)id[0], threads,
			n->threads);
	n->threads = threads;
	return n;
}

bool sim_numbered_sync(sim_block *b, const sim_stmt *s, int warp)
{
	sim_numbered *n = numbered(b, s, warp);

	if (!n)
		return true;
	sim_release(b, warp, n->clock, true);
	n->waiting |= UINT32_C(1) << warp;
	b->async->warp[warp].state = WARP_NUMBERED;
	arrived(b, n);
	return b->async->warp[warp].state == WARP_RUNS;
}

void sim_block_barrier(sim_block *b)
{
	uint32_t *clock = b->async->numbered[SIM_BLOCK_BARRIER].clock;

	for (int w = 0; w < b->warps; w++)
		sim_release(b, w, clock, true);
	for (int w = 0; w < b->warps; w++)
		sim_acquire(b, w, clock);
}

/* --- statements --- */

void sim_bar_statement(sim_block *b, const sim_stmt *s, int warp)
{
	sim_numbered *n;
	sim_bar *bar;

	if (!sim_converged(b, warp))
		return;
	switch (s->s->op) {
	case TILE_BINIT:
		init(b, s, warp);
		return;
	case TILE_BEXPECT:
		expect(b, s, warp);
		return;
	case TILE_BARRIVE:
		bar = sim_bar_find(b, s, 0, warp);
		if (bar)
			arrive(b, bar, warp, 0);
		return;
	case TILE_FENCEA:
		sim_fence(b, warp);
		return;
	case TILE_COUNT:
		count(b, s, warp);
		return;
	case TILE_NARRIVE:
		n = numbered(b, s, warp);
		if (n) {
			sim_release(b, warp, n->clock, false);
			arrived(b, n);
		}
		return;
	default:
		ice("'%s' is no statement of mbarriers", tile_op_info[s->s->op].text);
	}
}
