/* tma.c: loads of boxes of tensor maps into shared memory.
 * Box and swizzle are as cuTensorMapEncodeTiled and the PTX ISA have them: rows of 128 bytes one
 * after the other, the 16-byte chunks of each exchanged by bits 7 to 9 of their shared address. */
#include "sim/sim_async.h"
#include <string.h>

enum { ROW_BYTES = 128 };

static int64_t swizzled(int64_t address)
{
	return address ^ (address >> 7 & 7) << 4;
}

static int box_rows(const tile_arg *map)
{
	int rows = 1;

	for (int d = 0; d + 1 < map->rank; d++)
		rows *= map->box[d];
	return rows;
}

void sim_tma_load(sim_block *b, const sim_stmt *s, int warp)
{
	const tile_region *r = &s->s->arg[0].region;
	const tile_arg *map = s->s->arg[1].box.map;
	sim_bar *bar = sim_bar_find(b, s, 2, warp);
	int rows = box_rows(map);
	int64_t at[SIM_MAX_ROOTS], end;
	sim_load_box box = {.stmt = s};

	if (!sim_converged(b, warp) || !bar || !sim_bar_ready(b, bar, warp, true))
		return;
	sim_same(b, &s->code[0], at);
	if (!sim_shared_find(b, r->buffer, at[0], at[1], at[2], warp, SIM_ALL, &box.address) ||
		!sim_shared_find(b, r->buffer, at[0], at[1] + rows - 1, at[2], warp, SIM_ALL, &end))
		return;
	if (box.address % 1024 || (int64_t)rows > r->buffer->rows - at[1]) {
		sim_fault_at(b, SIM_ALIGNMENT, warp, SIM_ALL,
			"%s[%lld, %lld, %lld] is shared byte %lld, no multiple of 1024",
			r->buffer->name, (long long)at[0], (long long)at[1], (long long)at[2],
			(long long)box.address);
		return;
	}
	sim_same(b, &s->code[1], box.coord);
	for (int64_t byte = 0; byte < (int64_t)rows * ROW_BYTES; byte += 16)
		sim_shared_load(b, r->buffer, box.address + byte, warp);
	sim_bar_load(b, bar, warp, &box, (int64_t)rows * ROW_BYTES);
}

/* 16 bytes of the box: element `first` and the 7 after it of row `row`; 0 where there is none. */
static void fetch(sim_block *b, const sim_load_box *box, int row, int first, uint16_t *out)
{
	const tile_arg *map = box->stmt->s->arg[1].box.map;
	const sim_tensor_map *m = &b->args->arg[map->id].map;
	const sim_tensor *t = &b->args->arg[map->tensor->id].tensor;
	int64_t at = 0, last = box->coord[map->rank - 1] + first;
	bool inside = true;

	memset(out, 0, 16);
	for (int d = map->rank - 2; d >= 0; d--) {
		int64_t i = box->coord[d] + row % map->box[d];

		row /= map->box[d];
		inside = inside && i >= 0 && i < m->length[d];
		at += inside ? i * m->stride[d] : 0;
	}
	for (int e = 0; inside && e < 8; e++) {
		if (last + e < 0 || last + e >= m->length[map->rank - 1])
			continue;
		if (at + last + e < t->low || at + last + e >= t->high)
			sim_fault_at(b, SIM_GLOBAL_BOUNDS, SIM_ALL, SIM_ALL,
				"%s[%lld], elements are [%lld, %lld)", map->tensor->name,
				(long long)(at + last + e), (long long)t->low, (long long)t->high);
		else
			out[e] = ((const uint16_t *)t->data)[at + last + e];
	}
}

void sim_tma_land(sim_block *b, const sim_load_box *box, int bar)
{
	int rows = box_rows(box->stmt->s->arg[1].box.map);
	uint16_t data[8];

	for (int row = 0; row < rows; row++)
		for (int first = 0; first < TILE_PANEL; first += 8) {
			fetch(b, box, row, first, data);
			sim_shared_loaded(b,
				swizzled(box->address + (int64_t)row * ROW_BYTES + 2 * first), data,
				bar);
		}
}
