/* shared.c: shared memory of a block, and who touched each element of it, and when.
 * in:  accesses with the buffer they go through and the thread that makes them
 * out: faults: unwritten, in flight, races (see sim.h for what orders what)
 * Most accesses are of 16 bytes: while all elements of such a chunk have the same past, the first
 * one's is looked at and noted for all. */
#include "sim/sim_async.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16, CHUNK_CELLS = CHUNK / 2 };

static size_t chunks_of(const sim_shared *sh)
{
	return (size_t)sh->bytes / CHUNK + 1;
}

bool sim_shared_open(sim_shared *sh, int64_t bytes, int split_warps)
{
	size_t chunks;

	*sh = (sim_shared){.bytes = bytes};
	chunks = chunks_of(sh);
	sh->byte = malloc(chunks * CHUNK);
	sh->cell = malloc(chunks * CHUNK_CELLS * sizeof *sh->cell);
	sh->alike = malloc(chunks * sizeof *sh->alike);
	if (split_warps) {
		sh->read_by =
			calloc(chunks * CHUNK_CELLS * (size_t)split_warps, sizeof *sh->read_by);
		sh->reading = calloc(chunks, sizeof *sh->reading);
	}
	return sh->byte && sh->cell && sh->alike && (!split_warps || (sh->read_by && sh->reading));
}

void sim_shared_close(sim_shared *sh)
{
	free(sh->byte);
	free(sh->cell);
	free(sh->alike);
	free(sh->read_by);
	free(sh->reading);
	free(sh->chunk);
	for (int w = 0; w < SIM_MAX_WARPS; w++)
		free(sh->groups[w].group);
}

void sim_shared_reset(sim_shared *sh)
{
	size_t chunks = chunks_of(sh);

	memset(sh->byte, 0xff, chunks * CHUNK);
	memset(sh->alike, true, chunks * sizeof *sh->alike);
	for (size_t i = 0; i < chunks; i++)
		sh->cell[i * CHUNK_CELLS] = (sim_cell){0};
	if (sh->reading)
		memset(sh->reading, 0, chunks * sizeof *sh->reading);
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
	else if (sim_is_load(who))
		snprintf(s, n, "a TMA load");
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
	row = buf->panel ? at % tile_panel_bytes(buf) / 128 : at / ((int64_t)buf->cols * size);
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
		sim_fault_at(b, f, warp, lane, "%s: %s %s with %s between", place, what,
			who_text(other, who, sizeof who), b->async ? "no order" : "no barrier");
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

/* --- the past of a chunk --- */

static uint32_t *read_by(sim_block *b, const sim_cell *c)
{
	return b->shared.read_by + (size_t)(c - b->shared.cell) * (size_t)b->warps;
}

/* The cells of the chunk at `address` for accesses to single ones. */
static sim_cell *single_cells(sim_block *b, int64_t address)
{
	sim_shared *sh = &b->shared;
	sim_cell *c = &sh->cell[address / CHUNK * CHUNK_CELLS];

	if (!sh->alike[address / CHUNK])
		return c;
	sh->alike[address / CHUNK] = false;
	for (int i = 1; i < CHUNK_CELLS; i++) {
		c[i] = c[0];
		if (b->async && c->reader == WHO_SEVERAL)
			memcpy(read_by(b, &c[i]), read_by(b, c),
				(size_t)b->warps * sizeof *sh->read_by);
	}
	return c;
}

/* For accesses to the whole chunk: how many cells to look at, 1 when all are alike. */
static int chunk_cells(sim_block *b, int64_t address)
{
	bool *alike = &b->shared.alike[address / CHUNK];
	const sim_cell *c = &b->shared.cell[address / CHUNK * CHUNK_CELLS];

	if (*alike)
		return 1;
	for (int i = 1; i < CHUNK_CELLS; i++)
		if (memcmp(c, &c[i], sizeof *c) || (b->async && c->reader == WHO_SEVERAL))
			return CHUNK_CELLS;
	*alike = true;
	return 1;
}

/* --- reads and writes --- */

/* Of reads by several warps, each one's time is kept. */
static void note_read(sim_block *b, sim_cell *c, int who)
{
	int warp = sim_warp_of(who), before = sim_warp_of(c->reader);

	if (!b->async) {
		c->reader = c->read > b->shared.barrier && c->reader != who ? WHO_SEVERAL
									    : (uint16_t)who;
	} else if (warp != SIM_ALL && (!c->read || before == warp)) {
		c->reader =
			c->read && c->reader != who ? (uint16_t)(WHO_WARP + warp) : (uint16_t)who;
	} else {
		uint32_t *by = read_by(b, c);

		if (!c->read || c->reader != WHO_SEVERAL)
			memset(by, 0, (size_t)b->warps * sizeof *by);
		if (c->read && before != SIM_ALL)
			by[before] = c->read;
		for (int w = 0; w < b->warps; w++)
			if (warp == SIM_ALL || w == warp)
				by[w] = b->time;
		c->reader = WHO_SEVERAL;
	}
	c->read = b->time;
}

/* Faults where the cell may not be read now, but for races. */
static bool check_read(sim_block *b, const tile_buffer *buf, const sim_cell *c, int64_t address,
	int warp, int lane)
{
	if (c->flying)
		fault(b, SIM_FLIGHT_READ, buf, address, warp, lane, "", -1);
	else if (c->holds != buf->id + 1)
		unset(b, buf, c, address, warp, lane);
	return !c->flying && c->holds == buf->id + 1;
}

static void read_cell(sim_block *b, const tile_buffer *buf, sim_cell *c, int64_t address, int who,
	int warp, int lane)
{
	if (check_read(b, buf, c, address, warp, lane) && c->written > sim_known(b, c->writer) &&
		(c->writer != who || who >= WHO_WARP))
		fault(b, SIM_RACE, buf, address, warp, lane, "read after it was written by",
			c->writer);
	note_read(b, c, who);
}

void sim_shared_read(sim_block *b, const tile_buffer *buf, int64_t address, int bytes, int who,
	int warp, int lane)
{
	sim_cell *c = &b->shared.cell[address / 2];
	int n = bytes / 2;

	if (bytes == CHUNK)
		n = chunk_cells(b, address);
	else
		single_cells(b, address);
	for (int i = 0; i < n; i++)
		read_cell(b, buf, c + i, address + 2 * i, who, warp, lane);
}

/* A reader that the writer does not know of; -1: there is none. */
static int unknown_reader(sim_block *b, const sim_cell *c, int who)
{
	if (b->async && c->read && c->reader == WHO_SEVERAL) {
		for (int w = 0; w < b->warps; w++)
			if (read_by(b, c)[w] > sim_known(b, WHO_WARP + w))
				return WHO_WARP + w;
		return -1;
	}
	return c->read > sim_known(b, c->reader) && (c->reader != who || who == WHO_SHARED)
		       ? c->reader
		       : -1;
}

/* `same`: the bits that are already there. */
static void write_cell(sim_block *b, const tile_buffer *buf, sim_cell *c, int64_t address, int who,
	bool same, int warp, int lane)
{
	bool together = c->written == b->time; /* by the same statement */
	int reader = unknown_reader(b, c, who);

	if (c->flying)
		fault(b, SIM_FLIGHT_WRITE, buf, address, warp, lane, "", -1);
	else if (c->written > sim_known(b, c->writer) && (c->writer != who || who == WHO_SHARED) &&
		 !(together && same))
		fault(b, SIM_RACE, buf, address, warp, lane, "written after it was written by",
			c->writer);
	if (reader >= 0)
		fault(b, SIM_RACE, buf, address, warp, lane, "written after it was read by",
			reader);
	if (b->async && b->shared.reading[address / CHUNK])
		fault(b, SIM_PRODUCT_OPERAND, buf, address, warp, lane, "", -1);
	if (!together || c->writer == who)
		c->writer = (uint16_t)who;
	else if (sim_warp_of(who) != SIM_ALL && sim_warp_of(who) == sim_warp_of(c->writer))
		c->writer = (uint16_t)(WHO_WARP + sim_warp_of(who));
	else
		c->writer = WHO_SEVERAL;
	c->written = b->time;
	c->holds = (uint16_t)(buf->id + 1);
	if (b->async)
		c->read = 0;
}

void sim_shared_write(sim_block *b, const tile_buffer *buf, int64_t address, const void *data,
	int bytes, int who, int warp, int lane)
{
	uint8_t *at = b->shared.byte + address;

	single_cells(b, address);
	for (int i = 0; i < bytes; i += 2)
		write_cell(b, buf, &b->shared.cell[(address + i) / 2], address + i, who,
			memcmp(at + i, (const uint8_t *)data + i, 2) == 0, warp, lane);
	memcpy(at, data, (size_t)bytes);
}

/* 16 bytes that have been written, but are not there yet. */
static void write_later(sim_block *b, const tile_buffer *buf, int64_t address, int who, int warp)
{
	sim_cell *c = &b->shared.cell[address / 2];
	int n = chunk_cells(b, address);

	for (int i = 0; i < n; i++)
		write_cell(b, buf, c + i, address + 2 * i, who, false, warp, SIM_ALL);
	c->flying = 1;
	b->shared.alike[address / CHUNK] = true;
	memset(b->shared.byte + address, 0xff, CHUNK);
}

static void write_now(sim_block *b, int64_t address, const void *data, int who)
{
	sim_cell *c = &b->shared.cell[address / 2];

	chunk_cells(b, address);
	c->flying = 0;
	c->written = b->time;
	c->writer = (uint16_t)who;
	b->shared.alike[address / CHUNK] = true;
	memcpy(b->shared.byte + address, data, CHUNK);
}

/* --- loads and products --- */

/* Whether what plain statements wrote is there for TMA and products of the warp. */
static void check_fence(
	sim_block *b, const tile_buffer *buf, const sim_cell *c, int64_t address, int warp)
{
	if (c->written && !sim_is_load(c->writer) && c->written > sim_fenced(b, c->writer) &&
		c->written <= sim_known(b, c->writer))
		fault(b, SIM_ASYNC_FENCE, buf, address, warp, SIM_ALL, "", -1);
}

void sim_shared_load(sim_block *b, const tile_buffer *buf, int64_t address, int warp)
{
	const sim_cell *c = &b->shared.cell[address / 2];
	int n = chunk_cells(b, address);

	for (int i = 0; i < n; i++)
		check_fence(b, buf, c + i, address + 2 * i, warp);
	write_later(b, buf, address, WHO_WARP + warp, warp);
}

void sim_shared_loaded(sim_block *b, int64_t address, const void *data, int bar)
{
	write_now(b, address, data, WHO_LOAD + bar);
}

bool sim_shared_product(sim_block *b, const tile_buffer *buf, int64_t address, int warp)
{
	const sim_cell *c = &b->shared.cell[address / 2];
	int n;

	if (address < 0 || address + CHUNK > b->shared.bytes)
		return false;
	n = chunk_cells(b, address);
	for (int i = 0; i < n; i++) {
		if (check_read(b, buf, c + i, address + 2 * i, warp, SIM_ALL) &&
			c[i].written > sim_known(b, c[i].writer))
			fault(b, SIM_RACE, buf, address + 2 * i, warp, SIM_ALL,
				"read after it was written by", c[i].writer);
		check_fence(b, buf, c + i, address + 2 * i, warp);
	}
	b->shared.reading[address / CHUNK]++;
	return true;
}

void sim_shared_multiplied(sim_block *b, int64_t address, int warp)
{
	sim_cell *c = &b->shared.cell[address / 2];
	int n = chunk_cells(b, address);

	for (int i = 0; i < n; i++)
		note_read(b, c + i, WHO_WARP + warp);
	b->shared.reading[address / CHUNK]--;
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

	write_later(b, buf, address, WHO_SHARED, SIM_ALL);
	sh->chunk = grown(b, sh->chunk, sh->chunk_count, &sh->chunk_cap, sizeof *sh->chunk);
	if (sh->chunk_count == sh->chunk_cap)
		return;
	c = &sh->chunk[sh->chunk_count++];
	*c = (sim_chunk){.address = address, .copy = sh->copies, .stmt = b->now};
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

void sim_shared_land(sim_block *b)
{
	sim_shared *sh = &b->shared;
	uint32_t landed = UINT32_MAX;

	for (int w = 0; w < b->warps; w++)
		if (sh->groups[w].landed < landed)
			landed = sh->groups[w].landed;
	while (sh->chunk_first < sh->chunk_count && sh->chunk[sh->chunk_first].copy < landed) {
		const sim_chunk *c = &sh->chunk[sh->chunk_first++];

		write_now(b, c->address, c->data, WHO_SHARED);
	}
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
