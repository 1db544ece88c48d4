/* order.c: who knows of what, where warps run one by one.
 * in:  releases and acquires of clocks by mbarriers, counters and barriers; fences
 * out: for the running warp, up to when it knows what somebody did */
#include "sim/sim_async.h"
#include <stdlib.h>
#include <string.h>

bool sim_order_open(struct sim_async *x, int warps, int bars)
{
	size_t rows = (size_t)warps + 1;

	x->warps = warps;
	x->agents = warps + bars;
	x->size = x->agents + warps;
	x->view = calloc(rows * (size_t)x->size, sizeof *x->view);
	x->least = calloc(rows * 2, sizeof *x->least);
	return x->view && x->least;
}

void sim_order_reset(struct sim_async *x)
{
	size_t rows = (size_t)x->warps + 1;

	memset(x->view, 0, rows * (size_t)x->size * sizeof *x->view);
	memset(x->least, 0, rows * 2 * sizeof *x->least);
}

static uint32_t *view_of(const struct sim_async *x, int warp)
{
	return x->view + (size_t)(warp == SIM_ALL ? x->warps : warp) * (size_t)x->size;
}

static uint32_t least(const uint32_t *time, int n)
{
	uint32_t t = UINT32_MAX;

	for (int i = 0; i < n; i++)
		t = time[i] < t ? time[i] : t;
	return t;
}

static void changed(struct sim_async *x, int warp)
{
	const uint32_t *view = view_of(x, warp);
	uint32_t *out = x->least + 2 * (warp == SIM_ALL ? x->warps : warp);

	out[0] = least(view, x->warps);
	out[1] = least(view + x->agents, x->warps);
}

static void join(uint32_t *to, const uint32_t *from, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = from[i] > to[i] ? from[i] : to[i];
}

void sim_release(sim_block *b, int warp, uint32_t *clock, bool itself)
{
	struct sim_async *x = b->async;
	uint32_t *view = view_of(x, warp);

	join(clock, view, x->size);
	clock[warp] = b->time;
	if (!itself)
		return;
	view[warp] = b->time;
	changed(x, warp);
}

void sim_acquire(sim_block *b, int warp, const uint32_t *clock)
{
	join(view_of(b->async, warp), clock, b->async->size);
	changed(b->async, warp);
}

void sim_order_lanes(sim_block *b, int warp)
{
	view_of(b->async, warp)[warp] = b->time;
	changed(b->async, warp);
}

void sim_fence(sim_block *b, int warp)
{
	struct sim_async *x = b->async;
	uint32_t *view = view_of(x, warp);

	join(view + x->agents, view, x->warps);
	view[x->agents + warp] = b->time;
	changed(x, warp);
}

void sim_meet(sim_block *b)
{
	struct sim_async *x = b->async;
	uint32_t *all = view_of(x, SIM_ALL);

	memcpy(all, view_of(x, 0), (size_t)x->size * sizeof *all);
	for (int w = 1; w < x->warps; w++)
		for (int i = 0; i < x->size; i++)
			all[i] = view_of(x, w)[i] < all[i] ? view_of(x, w)[i] : all[i];
	changed(x, SIM_ALL);
}
