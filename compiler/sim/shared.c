/* shared.c: shared memory of a block, and who touched each element of it since the last barrier.
 * in:  accesses with the buffer they go through and the thread that makes them
 * out: faults: unwritten, in flight, races (see sim.h for what orders what) */
#include "sim/sim_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sim_shared_open(sim_shared *sh, int64_t bytes)
{
	*sh = (sim_shared){.bytes = bytes};
	sh->byte = malloc((size_t)bytes + 16);
	sh->cell = malloc(((size_t)bytes / 2 + 1) * sizeof *sh->cell);
	return sh->byte && sh->cell;
}

void sim_shared_close(sim_shared *sh)
{
	free(sh->byte);
	free(sh->cell);
	free(sh->chunk);
	for (int w = 0; w < SIM_MAX_WARPS; w++)
		free(sh->groups[w].group);
}

void sim_shared_reset(sim_shared *sh)
{
	memset(sh->byte, 0xff, (size_t)sh->bytes);
	memset(sh->cell, 0, ((size_t)sh->bytes / 2 + 1) * sizeof *sh->cell);
	sh->chunk_first = sh->chunk_count = 0;
	sh->copies = sh->barrier = 0;
	for (int w = 0; w < SIM_MAX_WARPS; w++) {
		sh->groups[w].first = sh->groups[w].count = 0;
		sh->groups[w].landed = 0;
	}
}

bool sim_shared_find(sim_block *b, const tile_buffer *buf, int64_t slot, int64_t row, int64_t col,
	int warp, int lane, int64_t *address)
{
	if (slot >= 0 && slot < buf->slots && row >= 0 && row < buf->rows && col >= 0 &&
		col < buf->cols) {
		*address = buf->offset + slot * b->image->slot_bytes[buf->id] +
			   tile_shared_offset(buf, row, col);
		return true;
	}
	sim_fault_at(b, SIM_SHARED_BOUNDS, warp, lane, "%s[%lld, %lld, %lld] of [%d, %d, %d]",
		buf->name, (long long)slot, (long long)row, (long long)col, buf->slots, buf->rows,
		buf->cols);
	return false;
}

/* --- messages --- */

static const char *who_text(int who, char *s, size_t n)
{
	if (who == WHO_SHARED)
		snprintf(s, n, "the threads that share the work");
	else if (who == WHO_SEVERAL)
		snprintf(s, n, "several threads");
	else if (who >= WHO_WARP)
		snprintf(s, n, "warp %d", who - WHO_WARP);
	else
		snprintf(s, n, "warp %d, lane %d", who / SIM_LANES, who % SIM_LANES);
	return s;
}

/* Row and column of a byte, by trying the places of its row: swizzles stay inside a row. */
static void place_text(const tile_buffer *buf, int64_t address, char *s, size_t n)
{
	int64_t at = address - buf->offset, slot = at / tile_slot_bytes(buf), row, col;
	int size = tile_type_bytes(buf->type);

	at %= tile_slot_bytes(buf);
	row = at / ((int64_t)buf->cols * size);
	for (col = 0; col < buf->cols - 1; col++)
		if (tile_shared_offset(buf, row, col) == at / size * size)
			break;
	snprintf(s, n, "%s[%lld, %lld, %lld] at shared byte %lld", buf->name, (long long)slot,
		(long long)row, (long long)col, (long long)address);
}

static void fault(sim_block *b, sim_fault f, const tile_buffer *buf, int64_t address, int warp,
	int lane, const char *what, int other)
{
	char place[160], who[64];

	place_text(buf, address, place, sizeof place);
	if (other < 0)
		sim_fault_at(b, f, warp, lane, "%s%s", place, what);
	else
		sim_fault_at(b, f, warp, lane, "%s: %s %s with no barrier between", place, what,
			who_text(other, who, sizeof who));
}

static void unset(sim_block *b, const tile_buffer *buf, const sim_cell *c, int64_t address,
	int warp, int lane)
{
	char other[160];

	if (c->holds)
		snprintf(other, sizeof other, ", which holds elements of '%s'",
			b->image->p->buffer.item[c->holds - 1]->name);
	fault(b, SIM_UNSET_SHARED, buf, address, warp, lane, c->holds ? other : "", -1);
}

/* --- reads and writes --- */

static void read_cell(sim_block *b, const tile_buffer *buf, sim_cell *c, int64_t address, int who,
	int warp, int lane)
{
	uint32_t barrier = b->shared.barrier;

	if (c->flying)
		fault(b, SIM_FLIGHT_READ, buf, address, warp, lane, "", -1);
	else if (c->holds != buf->id + 1)
		unset(b, buf, c, address, warp, lane);
	else if (c->written > barrier && (c->writer != who || who >= WHO_WARP))
		fault(b, SIM_RACE, buf, address, warp, lane, "read after it was written by",
			c->writer);
	if (c->read > barrier && c->reader != who)
		c->reader = WHO_SEVERAL;
	else
		c->reader = (uint16_t)who;
	c->read = b->time;
}

void sim_shared_read(sim_block *b, const tile_buffer *buf, int64_t address, int bytes, int who,
	int warp, int lane)
{
	for (int64_t a = address; a < address + bytes; a += 2)
		read_cell(b, buf, &b->shared.cell[a / 2], a, who, warp, lane);
}

/* `same`: the bits that are already there. */
static void write_cell(sim_block *b, const tile_buffer *buf, sim_cell *c, int64_t address, int who,
	bool same, int warp, int lane)
{
	uint32_t barrier = b->shared.barrier;
	bool together = c->written == b->time; /* by the same statement */

	if (c->flying)
		fault(b, SIM_FLIGHT_WRITE, buf, address, warp, lane, "", -1);
	else if (c->written > barrier && (c->writer != who || who == WHO_SHARED) &&
		 !(together && same))
		fault(b, SIM_RACE, buf, address, warp, lane, "written after it was written by",
			c->writer);
	if (c->read > barrier && (c->reader != who || who == WHO_SHARED))
		fault(b, SIM_RACE, buf, address, warp, lane, "written after it was read by",
			c->reader);
	c->writer = together && c->writer != who ? WHO_SEVERAL : (uint16_t)who;
	c->written = b->time;
	c->holds = (uint16_t)(buf->id + 1);
}

void sim_shared_write(sim_block *b, const tile_buffer *buf, int64_t address, const void *data,
	int bytes, int who, int warp, int lane)
{
	uint8_t *at = b->shared.byte + address;

	for (int i = 0; i < bytes; i += 2)
		write_cell(b, buf, &b->shared.cell[(address + i) / 2], address + i, who,
			memcmp(at + i, (const uint8_t *)data + i, 2) == 0, warp, lane);
	memcpy(at, data, (size_t)bytes);
}

/* --- copies --- */

static void *grown(sim_block *b, void *items, int64_t count, int64_t *cap, size_t size)
{
	void *more;

	if (count < *cap)
		return items;
	*cap = *cap ? 2 * *cap : 256;
	more = realloc(items, (size_t)*cap * size);
	if (!more) {
		b->failed = true;
		sim_log_fault(b->log, SIM_MEMORY, "copies in flight");
		*cap = count;
	}
	return more ? more : items;
}

void sim_shared_copy(sim_block *b, const tile_buffer *buf, int64_t address, const void *data)
{
	sim_shared *sh = &b->shared;
	sim_chunk *c;

	for (int i = 0; i < 16; i += 2) {
		sim_cell *cell = &sh->cell[(address + i) / 2];

		write_cell(b, buf, cell, address + i, WHO_SHARED, false, SIM_ALL, SIM_ALL);
		cell->flying = 1;
	}
	memset(sh->byte + address, 0xff, 16);
	sh->chunk = grown(b, sh->chunk, sh->chunk_count, &sh->chunk_cap, sizeof *sh->chunk);
	if (sh->chunk_count == sh->chunk_cap)
		return;
	c = &sh->chunk[sh->chunk_count++];
	*c = (sim_chunk){.address = address,
		.copy = sh->copies,
		.holds = (uint16_t)(buf->id + 1),
		.stmt = b->now};
	memcpy(c->data, data, 16);
}

void sim_shared_commit(sim_block *b, int warp)
{
	sim_groups *g = &b->shared.groups[warp];
	int64_t cap = g->cap;

	if (g->first > 0) {
		memmove(g->group, g->group + g->first,
			(size_t)(g->count - g->first) * sizeof *g->group);
		g->count -= g->first;
		g->first = 0;
	}
	g->group = grown(b, g->group, g->count, &cap, sizeof *g->group);
	g->cap = (int)cap;
	if (g->count < g->cap)
		g->group[g->count++] = b->shared.copies;
}

void sim_shared_wait(sim_block *b, int warp, int64_t groups)
{
	sim_groups *g = &b->shared.groups[warp];

	while (g->count - g->first > groups)
		g->landed = g->group[g->first++];
}

static void land(sim_block *b, const sim_chunk *c)
{
	for (int i = 0; i < 16; i += 2) {
		sim_cell *cell = &b->shared.cell[(c->address + i) / 2];

		cell->flying = 0;
		cell->written = b->time;
		cell->writer = WHO_SHARED;
		cell->holds = c->holds;
	}
	memcpy(b->shared.byte + c->address, c->data, 16);
}

void sim_shared_land(sim_block *b)
{
	sim_shared *sh = &b->shared;
	uint32_t landed = UINT32_MAX;

	for (int w = 0; w < b->warps; w++)
		if (sh->groups[w].landed < landed)
			landed = sh->groups[w].landed;
	while (sh->chunk_first < sh->chunk_count && sh->chunk[sh->chunk_first].copy < landed)
		land(b, &sh->chunk[sh->chunk_first++]);
	if (2 * sh->chunk_first > sh->chunk_count) {
		sh->chunk_count -= sh->chunk_first;
		memmove(sh->chunk, sh->chunk + sh->chunk_first,
			(size_t)sh->chunk_count * sizeof *sh->chunk);
		sh->chunk_first = 0;
	}
}

void sim_shared_end(sim_block *b)
{
	sim_shared *sh = &b->shared;

	for (; sh->chunk_first < sh->chunk_count; sh->chunk_first++) {
		const sim_chunk *c = &sh->chunk[sh->chunk_first];

		b->now = c->stmt;
		sim_fault_at(b, SIM_NEVER_WAITED, SIM_ALL, SIM_ALL, "shared byte %lld",
			(long long)c->address);
	}
}
