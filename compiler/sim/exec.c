/* exec.c: statements that move elements: MAP, ANY, FILL, COPY, STORE, STORE.ROWS, STORE.SHARED, LDS.
 * in:  a statement and the threads that are active
 * out: registers, shared and global memory changed; each element's value computed by value.c */
#include "sim/sim_float.h"
#include "sim/sim_async.h"

/* --- slices --- */

bool sim_slice_find(sim_block *b, const sim_stmt *s, int operand, sim_slice *out)
{
	const tile_slice *x = &s->s->arg[operand].slice;
	const sim_frag *f = sim_frag_of(b, x->frag);
	bool turned = x->frag->layout == LAYOUT_OPB;
	int rows = turned ? x->rows : f->warp_rows;
	int64_t at[SIM_MAX_ROOTS];

	sim_same(b, &s->code[operand], at);
	if (at[0] < 0 || at[0] + x->cols > x->frag->cols || at[0] % f->cell.cols || at[1] < 0 ||
		(turned && at[1] + x->rows > x->frag->rows) || at[1] % f->cell.rows ||
		(!turned && at[1] != 0)) {
		sim_fault_at(b, SIM_SLICE, SIM_ALL, SIM_ALL,
			"row %lld, column %lld on, %d columns of '%s'", (long long)at[1],
			(long long)at[0], x->cols, x->frag->name);
		return false;
	}
	*out = (sim_slice){.f = f,
		.cell_row = (int)at[1] / f->cell.rows,
		.cell_col = (int)at[0] / f->cell.cols,
		.rows = rows / f->cell.rows,
		.cols = x->cols / f->cell.cols};
	out->count = out->rows * out->cols * f->cell.registers * f->elements;
	return true;
}

int sim_slice_element(const sim_slice *s, int n)
{
	int each = s->f->cell.registers * s->f->elements, cell = n / each;
	int row = s->cell_row + cell / s->cols, col = s->cell_col + cell % s->cols;

	return (row * s->f->across + col) * each + n % each;
}

/* --- domains --- */

/* Elements of a slice that are evaluated together, with their places. */
typedef struct {
	sim_domain d;
	int32_t row[SIM_WIDTH], col[SIM_WIDTH];
	uint16_t element[SIM_CHUNK];
	uint8_t live[SIM_WIDTH];
} chunk;

/* Elements [first, ...) of the slice for one warp; how many. Rows are the block's. */
static int chunk_set(sim_block *b, chunk *c, const sim_slice *s, int warp, int first)
{
	int count = s->count - first < SIM_CHUNK ? s->count - first : SIM_CHUNK;
	bool split = s->f->f->layout != LAYOUT_OPB && s->f->f->layout != LAYOUT_COLV;
	int32_t base = split ? warp * s->f->warp_rows : 0;

	for (int j = 0; j < count; j++) {
		int e = sim_slice_element(s, first + j);

		c->element[j] = (uint16_t)e;
		for (int k = 0; k < SIM_LANES; k++) {
			c->row[j * SIM_LANES + k] = base + s->f->row[e * SIM_LANES + k];
			c->col[j * SIM_LANES + k] = s->f->col[e * SIM_LANES + k];
		}
	}
	c->d = (sim_domain){.warp = warp,
		.n = count * SIM_LANES,
		.row = c->row,
		.col = c->col,
		.element = c->element,
		.lanes = b->active[warp]};
	return count;
}

/* Keeps the elements for which the predicate holds. */
static void chunk_filter(sim_block *b, chunk *c, const sim_code *pred)
{
	const sim_vec *v;
	uint32_t lanes = 0;

	sim_eval(b, pred, &c->d);
	v = sim_root(b, pred, 0, &c->d);
	for (int k = 0; k < c->d.n; k++) {
		bool on = c->d.warp == SIM_ALL || (b->active[c->d.warp] >> (k % SIM_LANES) & 1);

		c->live[k] = on && v->b[k];
		lanes |= c->live[k] ? UINT32_C(1) << (k % SIM_LANES) : 0;
	}
	c->d.live = c->live;
	c->d.lanes = lanes;
}

/* --- register tiles --- */

static uint32_t half_word(tile_type t, float f)
{
	return t == TILE_BF16 ? sim_to_bf16(f) : sim_to_f16(f);
}

/* One element of a register in the active lanes. */
static void put_element(
	sim_block *b, const sim_frag *f, int warp, int element, const sim_vec *v, int from)
{
	int r = element / f->elements, shift = element % f->elements * 16;
	uint32_t *word = sim_reg(b, f, warp, r), lanes = b->active[warp], fresh[SIM_LANES];
	uint32_t keep = f->elements == 2 ? UINT32_C(0xffff0000) >> shift : 0;

	if (f->elements == 1)
		memcpy(fresh, &v->u[from], sizeof fresh);
	else if (f->f->type == TILE_BF16)
		for (int k = 0; k < SIM_LANES; k++)
			fresh[k] = (uint32_t)sim_to_bf16(v->f[from + k]) << shift;
	else
		for (int k = 0; k < SIM_LANES; k++)
			fresh[k] = (uint32_t)sim_to_f16(v->f[from + k]) << shift;
	for (int k = 0; k < SIM_LANES; k++)
		word[k] = lanes >> k & 1 ? (word[k] & keep) | fresh[k] : word[k];
	if (element % f->elements == f->elements - 1) {
		sim_written(b, f, warp, r);
		*sim_defined(b, f, warp, r) |= lanes;
	}
}

void sim_map(sim_block *b, const sim_stmt *s)
{
	sim_slice slice;
	chunk c;

	if (!sim_slice_find(b, s, 0, &slice))
		return;
	for (int w = 0; w < b->warps; w++)
		for (int n = 0, count; b->active[w] && n < slice.count; n += count) {
			const sim_vec *v;

			count = chunk_set(b, &c, &slice, w, n);
			sim_eval(b, &s->code[1], &c.d);
			v = sim_root(b, &s->code[1], 0, &c.d);
			for (int j = 0; j < count; j++)
				put_element(b, slice.f, w, c.element[j], v, j * SIM_LANES);
		}
}

bool sim_any(sim_block *b, const sim_stmt *s)
{
	bool block = false;
	sim_slice slice;
	chunk c;

	if (!sim_slice_find(b, s, 1, &slice))
		return false;
	for (int w = 0; w < b->warps; w++) {
		sim_vec any;

		any.b[0] = 0;
		if (!sim_converged(b, w))
			continue;
		for (int n = 0, count; n < slice.count; n += count) {
			const sim_vec *v;

			count = chunk_set(b, &c, &slice, w, n);
			sim_eval(b, &s->code[2], &c.d);
			v = sim_root(b, &s->code[2], 0, &c.d);
			for (int k = 0; k < c.d.n; k++)
				any.b[0] |= v->b[k];
		}
		block |= any.b[0];
		sim_set(b, s->s->arg[0].var, w, &any, CLASS_UNIFORM);
	}
	return block;
}

/* --- the bytes of an element --- */

static uint32_t element_bits(tile_type t, const sim_vec *v, int k)
{
	if (t == TILE_BF16 || t == TILE_F16)
		return half_word(t, v->f[k]);
	return v->u[k];
}

/* --- FILL, COPY: threads share the work --- */

static bool all_here(sim_block *b)
{
	if (!b->whole)
		sim_fault_at(b, SIM_DIVERGENT_BLOCK, SIM_ALL, SIM_ALL, "threads share this work");
	return b->whole;
}

void sim_fill(sim_block *b, const sim_stmt *s)
{
	const tile_region *r = &s->s->arg[0].region;
	int total = r->rows * r->cols, size = tile_type_bytes(r->buffer->type);
	int64_t at[SIM_MAX_ROOTS], address;
	chunk c;

	if (!all_here(b))
		return;
	sim_same(b, &s->code[0], at);
	for (int n = 0; n < total; n += c.d.n) {
		const sim_vec *v;

		c.d = (sim_domain){.warp = SIM_ALL,
			.n = total - n < SIM_WIDTH ? total - n : SIM_WIDTH,
			.row = c.row,
			.col = c.col,
			.lanes = 1};
		for (int k = 0; k < c.d.n; k++) {
			c.row[k] = (n + k) / r->cols;
			c.col[k] = (n + k) % r->cols;
		}
		sim_eval(b, &s->code[1], &c.d);
		v = sim_root(b, &s->code[1], 0, &c.d);
		for (int k = 0; k < c.d.n; k++) {
			uint32_t word = element_bits(r->buffer->type, v, k);

			if (sim_shared_find(b, r->buffer, at[0], at[1] + c.row[k], at[2] + c.col[k],
				    SIM_ALL, SIM_ALL, &address))
				sim_shared_write(b, r->buffer, address, &word, size, WHO_SHARED,
					SIM_ALL, SIM_ALL);
		}
	}
}

/* 16 bytes of row `row` of the region: the tensor's from element offset + col on, or zeros. */
static void copy_chunk(sim_block *b, const sim_stmt *s, const int64_t *at, int row, int col,
	bool inside, int64_t offset)
{
	const tile_region *r = &s->s->arg[0].region;
	const tile_arg *arg = s->s->arg[1].tensor;
	const sim_tensor *t = &b->args->arg[arg->id].tensor;
	int size = tile_type_bytes(arg->type), each = 16 / size;
	uint8_t data[16] = {0};
	int64_t address, last;

	if (!sim_shared_find(
		    b, r->buffer, at[0], at[1] + row, at[2] + col, SIM_ALL, SIM_ALL, &address) ||
		!sim_shared_find(b, r->buffer, at[0], at[1] + row, at[2] + col + each - 1, SIM_ALL,
			SIM_ALL, &last))
		return;
	if (address % 16) {
		sim_fault_at(b, SIM_ALIGNMENT, SIM_ALL, SIM_ALL,
			"%s[%lld, %lld, %lld] is shared byte %lld", r->buffer->name,
			(long long)at[0], (long long)at[1] + row, (long long)at[2] + col,
			(long long)address);
		return;
	}
	if (inside) {
		int64_t from = (int64_t)((uint64_t)offset + (uint64_t)col);

		if (from < t->low || from > t->high - each) {
			sim_fault_at(b, SIM_GLOBAL_BOUNDS, SIM_ALL, SIM_ALL,
				"%s[%lld] and %d after it in row %d, elements are [%lld, %lld)",
				arg->name, (long long)from, each - 1, row, (long long)t->low,
				(long long)t->high);
		} else {
			const uint8_t *bytes = (const uint8_t *)t->data + from * size;

			if ((uintptr_t)bytes % 16)
				sim_fault_at(b, SIM_ALIGNMENT, SIM_ALL, SIM_ALL,
					"%s[%lld] in row %d", arg->name, (long long)from, row);
			memcpy(data, bytes, 16);
		}
	}
	sim_shared_copy(b, r->buffer, address, data);
}

void sim_copy(sim_block *b, const sim_stmt *s)
{
	const tile_region *r = &s->s->arg[0].region;
	int each = 16 / tile_type_bytes(r->buffer->type);
	int64_t at[SIM_MAX_ROOTS];
	chunk c;

	if (!all_here(b))
		return;
	sim_same(b, &s->code[0], at);
	for (int n = 0; n < r->rows && !b->failed; n += c.d.n) {
		const sim_vec *offset;

		c.d = (sim_domain){.warp = SIM_ALL,
			.n = r->rows - n < SIM_WIDTH ? r->rows - n : SIM_WIDTH,
			.row = c.row,
			.lanes = 1};
		for (int k = 0; k < c.d.n; k++)
			c.row[k] = n + k;
		chunk_filter(b, &c, &s->code[3]);
		sim_eval(b, &s->code[2], &c.d);
		offset = sim_root(b, &s->code[2], 0, &c.d);
		for (int k = 0; k < c.d.n; k++)
			for (int col = 0; col < r->cols; col += each)
				copy_chunk(b, s, at, n + k, col, c.live[k], offset->l[k]);
	}
	b->shared.copies++;
}

/* --- stores --- */

/* Blocks run at once: an element that two write must get the same bits. Tensors start with what the
 * caller left there, so who wrote is kept beside. */
static void store_element(
	sim_block *b, const tile_arg *arg, int64_t at, uint32_t bits, int warp, int lane)
{
	const sim_tensor *t = &b->args->arg[arg->id].tensor;
	atomic_uchar *mark = b->log->written[arg->id];
	bool half = tile_type_bytes(arg->type) == 2;
	uint32_t before;

	if (at < t->low || at >= t->high) {
		sim_fault_at(b, SIM_GLOBAL_BOUNDS, warp, lane,
			"%s[%lld], elements are [%lld, %lld)", arg->name, (long long)at,
			(long long)t->low, (long long)t->high);
		return;
	}
	if (half)
		before = __atomic_exchange_n(
			(uint16_t *)t->data + at, (uint16_t)bits, __ATOMIC_RELAXED);
	else
		before = __atomic_exchange_n((uint32_t *)t->data + at, bits, __ATOMIC_RELAXED);
	if (atomic_exchange(&mark[at - t->low], 1) && before != bits)
		sim_fault_at(
			b, SIM_OUTPUT_CONFLICT, warp, lane, "%s[%lld]", arg->name, (long long)at);
}

void sim_store(sim_block *b, const sim_stmt *s)
{
	const tile_arg *arg = s->s->arg[0].tensor;
	sim_slice slice;
	chunk c;

	if (!sim_slice_find(b, s, 1, &slice))
		return;
	for (int w = 0; w < b->warps; w++)
		for (int n = 0; b->active[w] && n < slice.count; n += SIM_CHUNK) {
			const sim_vec *offset, *v;

			chunk_set(b, &c, &slice, w, n);
			chunk_filter(b, &c, &s->code[4]);
			if (!c.d.lanes)
				continue;
			sim_eval(b, &s->code[2], &c.d);
			offset = sim_root(b, &s->code[2], 0, &c.d);
			v = sim_root(b, &s->code[2], 1, &c.d);
			for (int k = 0; k < c.d.n; k++)
				if (c.live[k])
					store_element(b, arg, offset->l[k],
						element_bits(arg->type, v, k), w, k % SIM_LANES);
		}
}

/* 16 bytes of row `row` of the region, at tensor element `to` on. */
static void store_chunk(
	sim_block *b, const sim_stmt *s, int w, int row, int64_t address, int64_t to)
{
	const tile_arg *arg = s->s->arg[0].tensor;
	const sim_tensor *t = &b->args->arg[arg->id].tensor;
	int size = tile_type_bytes(arg->type), lane = row % SIM_LANES;

	if (address % 16)
		sim_fault_at(b, SIM_ALIGNMENT, w, lane, "row %d is at shared byte %lld", row,
			(long long)address);
	if (((uintptr_t)t->data + (uintptr_t)(to * size)) % 16)
		sim_fault_at(b, SIM_ALIGNMENT, w, lane, "%s[%lld] in row %d", arg->name,
			(long long)to, row);
	if (address % 16)
		return;
	sim_shared_read(b, s->s->arg[1].region.buffer, address, 16, WHO_WARP + w, w, lane);
	for (int e = 0; e < 16 / size; e++) {
		uint32_t bits = 0;

		memcpy(&bits, b->shared.byte + address + e * size, (size_t)size);
		store_element(b, arg, to + e, bits, w, lane);
	}
}

static void store_rows_warp(sim_block *b, const sim_stmt *s, int w)
{
	const tile_region *r = &s->s->arg[1].region;
	int rows = r->rows / b->warps, each = 16 / tile_type_bytes(r->buffer->type);
	int64_t at[SIM_MAX_ROOTS][SIM_LANES], address;
	const sim_vec *offset;
	chunk c;

	sim_order_lanes(b, w);
	sim_lanes(b, &s->code[1], w, at);
	c.d = (sim_domain){.warp = w, .n = SIM_LANES, .row = c.row, .lanes = b->active[w]};
	for (int k = 0; k < SIM_LANES; k++)
		c.row[k] = w * rows + k % rows;
	chunk_filter(b, &c, &s->code[3]);
	if (!c.d.lanes)
		return;
	sim_eval(b, &s->code[2], &c.d);
	offset = sim_root(b, &s->code[2], 0, &c.d);
	for (int k = 0; k < rows; k++)
		for (int col = 0; c.live[k] && col < r->cols; col += each)
			if (sim_shared_find(b, r->buffer, at[0][k], at[1][k] + c.row[k],
				    at[2][k] + col, w, k, &address))
				store_chunk(b, s, w, c.row[k], address,
					(int64_t)((uint64_t)offset->l[k] + (uint64_t)col));
}

void sim_store_rows(sim_block *b, const sim_stmt *s)
{
	for (int w = 0; w < b->warps; w++)
		if (sim_converged(b, w))
			store_rows_warp(b, s, w);
}

/* One warp's part; ROW and COL are places in the region. */
static void store_shared_warp(sim_block *b, const sim_stmt *s, const sim_slice *slice, int w)
{
	const tile_buffer *buf = s->s->arg[0].region.buffer;
	int64_t at[SIM_MAX_ROOTS][SIM_LANES], address;
	int row0 = slice->cell_row * slice->f->cell.rows;
	int col0 = slice->cell_col * slice->f->cell.cols;
	chunk c;

	sim_lanes(b, &s->code[0], w, at);
	for (int n = 0; n < slice->count; n += SIM_CHUNK) {
		const sim_vec *v;

		chunk_set(b, &c, slice, w, n);
		for (int k = 0; k < c.d.n; k++) {
			c.row[k] -= row0;
			c.col[k] -= col0;
		}
		sim_eval(b, &s->code[2], &c.d);
		v = sim_root(b, &s->code[2], 0, &c.d);
		for (int k = 0; k < c.d.n; k++) {
			int lane = k % SIM_LANES;
			uint32_t word = element_bits(buf->type, v, k);

			if (b->active[w] >> lane & 1 &&
				sim_shared_find(b, buf, at[0][lane], at[1][lane] + c.row[k],
					at[2][lane] + c.col[k], w, lane, &address))
				sim_shared_write(b, buf, address, &word, tile_type_bytes(buf->type),
					w * SIM_LANES + lane, w, lane);
		}
	}
}

void sim_store_shared(sim_block *b, const sim_stmt *s)
{
	sim_slice slice;

	if (!sim_slice_find(b, s, 1, &slice))
		return;
	for (int w = 0; w < b->warps; w++)
		if (b->active[w])
			store_shared_warp(b, s, &slice, w);
}

/* --- LDS --- */

static void load_element(sim_block *b, const sim_stmt *s, const sim_slice *slice, int w, int e,
	int64_t at[][SIM_LANES], sim_vec *v)
{
	const tile_region *r = &s->s->arg[1].region;
	bool turned = (s->s->op == TILE_LDST) != (slice->f->f->layout == LAYOUT_OPB);
	int size = tile_type_bytes(r->buffer->type);
	int base = slice->f->f->layout == LAYOUT_OPA ? w * slice->f->warp_rows : 0;

	for (int k = 0; k < SIM_LANES; k++) {
		int64_t row = base + slice->f->row[e * SIM_LANES + k] -
			      (int64_t)slice->cell_row * slice->f->cell.rows;
		int64_t col = slice->f->col[e * SIM_LANES + k] -
			      (int64_t)slice->cell_col * slice->f->cell.cols;
		uint32_t word = 0;
		int64_t address;

		v->f[k] = NAN;
		if (!(b->active[w] >> k & 1) ||
			!sim_shared_find(b, r->buffer, at[0][k], at[1][k] + (turned ? col : row),
				at[2][k] + (turned ? row : col), w, k, &address))
			continue;
		sim_shared_read(b, r->buffer, address, size, w * SIM_LANES + k, w, k);
		memcpy(&word, b->shared.byte + address, (size_t)size);
		v->f[k] = sim_element_float(r->buffer->type, word, 0);
	}
}

void sim_load(sim_block *b, const sim_stmt *s)
{
	int64_t at[SIM_MAX_ROOTS][SIM_LANES];
	sim_slice slice;
	sim_vec v;

	if (!sim_slice_find(b, s, 0, &slice))
		return;
	for (int w = 0; w < b->warps; w++) {
		if (!b->active[w])
			continue;
		sim_lanes(b, &s->code[1], w, at);
		for (int n = 0; n < slice.count; n++) {
			int e = sim_slice_element(&slice, n);

			load_element(b, s, &slice, w, e, at, &v);
			put_element(b, slice.f, w, e, &v, 0);
		}
	}
}
