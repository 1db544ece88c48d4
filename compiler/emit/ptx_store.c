/* ptx_store.c: elements of register tiles to and from memory, one by one or, where the addresses
 * of neighbours show it, two at a time. */
#include "emit/ptx_internal.h"

/* --- plain loads of operand tiles --- */

/* Address of element (r, e) of an operand tile in the region it is loaded from. */
static num operand_address(ptx_cx *h, const tile_stmt *s, bool trans, int r, int e)
{
	const tile_slice *f = &s->arg[0].slice;
	const tile_region *g = &s->arg[1].region;
	bool turned = trans != (f->frag->layout == LAYOUT_OPB);
	place at = ptx_place(h, f->frag, r, e);
	num row, col;

	row = num_plus(h, at.row, -ptx_static(h, f->first_row));
	col = num_plus(h, at.col, -ptx_static(h, f->first));
	return ptx_shared_at(h, g->buffer, ptx_scalar(h, g->slot), ptx_scalar(h, g->row),
		turned ? col : row, num_add(h, ptx_scalar(h, g->col), turned ? row : col));
}

static V load_pair(ptx_cx *h, num first, num second)
{
	V low, high;

	if (first.v == second.v && second.add == first.add + 2 && num_align(first) >= 2)
		return ptx_shared_read(h, first, 4);
	low = ptx_shared_read(h, first, 2);
	high = ptx_shared_read(h, second, 2);
	return ptx_binary(h, LLVMOr, low, ptx_binary(h, LLVMShl, high, ptx_i32(h, 16)));
}

static V load_register(ptx_cx *h, const tile_stmt *s, bool trans, int r)
{
	const tile_frag *f = s->arg[0].slice.frag;
	num first = operand_address(h, s, trans, r, 0);
	V v;

	if (tile_register_elements(f) == 2)
		return load_pair(h, first, operand_address(h, s, trans, r, 1));
	v = ptx_shared_read(h, first, 4);
	return h->frag[f->id].type == h->f32 ? ptx_cast(h, LLVMBitCast, v, h->f32) : v;
}

static void load_elements(ptx_cx *h, const tile_stmt *s, bool trans)
{
	const tile_frag *f = s->arg[0].slice.frag;
	ptx_cells c = ptx_slice(h, &s->arg[0].slice);
	V v[4];
	int r[4];

	for (int row = c.row0; row < c.row1; row++)
		for (int col = c.col0; col < c.col1; col++) {
			for (int i = 0; i < c.registers; i++) {
				r[i] = ptx_register(&c, row, col, i);
				v[i] = load_register(h, s, trans, r[i]);
			}
			ptx_write_registers(h, f, r, v, c.registers);
		}
}

void ptx_stmt_LDS(ptx_cx *h, const tile_stmt *s)
{
	load_elements(h, s, false);
}

void ptx_stmt_LDST(ptx_cx *h, const tile_stmt *s)
{
	load_elements(h, s, true);
}

/* --- elements of a domain --- */

typedef struct {
	place at;
	V pred;    /* STORE */
	num where; /* offset in the tensor, or address in shared memory */
	V value;
	V pair;      /* this element and the next as 16-bit numbers, NULL: not paired or wider */
	bool paired; /* the next element follows in memory */
	bool done;
} item;

/* The elements of a slice, each thread's rows one after the other, columns ascending. */
static int list_items(ptx_cx *h, const tile_slice *s, item **list)
{
	ptx_cells c = ptx_slice(h, s);
	int each = tile_register_elements(s->frag), n = 0;
	int half = c.registers > 1 && s->frag->layout == LAYOUT_ACC ? 2 : 1; /* rows in a cell */

	*list = ARENA_ARRAY(
		h->arena, item, (c.row1 - c.row0) * (c.col1 - c.col0) * c.registers * each);
	for (int row = c.row0; row < c.row1; row++)
		for (int part = 0; part < half; part++)
			for (int col = c.col0; col < c.col1; col++)
				for (int i = 0; i < c.registers / half * each; i++) {
					int r = ptx_register(&c, row, col,
						part * (c.registers / half) + i / each);

					(*list)[n++].at = ptx_place(h, s->frag, r, i % each);
				}
	return n;
}

static void read_ahead(ptx_cx *h, const tile_expr *x, const item *it, int n)
{
	int *r = ARENA_ARRAY(h->arena, int, n + 1);

	for (int i = 0; i < n; i++)
		r[i] = it[i].at.r;
	if (n > 0)
		ptx_read_ahead(h, x, it->at.domain, r, n);
}

/* Marks items whose successor lies `bytes` behind them in units of the address. */
static void find_pairs(item *it, int n, int64_t step)
{
	for (int i = 0; i + 1 < n; i++) {
		const num *a = &it[i].where, *b = &it[i + 1].where;

		if (!it[i].paired && a->v == b->v && b->add == a->add + step)
			it[i].paired = i == 0 || !it[i - 1].paired;
	}
}

/* --- shared memory --- */

static V shared_bits(ptx_cx *h, V v)
{
	return LLVMTypeOf(v) == h->f32 ? ptx_cast(h, LLVMBitCast, v, h->i32) : v;
}

static void store_shared_pair(ptx_cx *h, const item *a, const item *b, const tile_stmt *s)
{
	tile_type type = s->arg[0].region.buffer->type;
	V arg[3];

	if (tile_type_bytes(type) == 2) {
		ptx_shared_write(h, a->where, 4, ptx_pair(h, &a->at, &b->at, s->arg[2].value));
		return;
	}
	arg[0] = num_v(h, (num){a->where.type, a->where.v, 0, 0, 0, 0});
	arg[1] = shared_bits(h, num_v(h, ptx_value(h, &a->at, s->arg[2].value)));
	arg[2] = shared_bits(h, num_v(h, ptx_value(h, &b->at, s->arg[2].value)));
	ptx_asm(h, h->vd, PTX_MEMORY, "r,r,r", arg, 3, "st.shared.v2.b32 [$0+%lld], {$1, $2};",
		(long long)a->where.add);
}

static void store_shared_one(ptx_cx *h, const item *a, const tile_stmt *s)
{
	int bytes = tile_type_bytes(s->arg[0].region.buffer->type);
	V v;

	if (bytes == 2)
		v = ptx_pair(h, &a->at, NULL, s->arg[2].value);
	else
		v = shared_bits(h, num_v(h, ptx_value(h, &a->at, s->arg[2].value)));
	ptx_shared_write(h, a->where, bytes, v);
}

void ptx_stmt_STORES(ptx_cx *h, const tile_stmt *s)
{
	const tile_region *g = &s->arg[0].region;
	int first = ptx_static(h, s->arg[1].slice.first), bytes = tile_type_bytes(g->buffer->type);
	int first_row = ptx_static(h, s->arg[1].slice.first_row), n;
	num slot = ptx_scalar(h, g->slot), row = ptx_scalar(h, g->row);
	num col = ptx_scalar(h, g->col);
	item *it;

	n = list_items(h, &s->arg[1].slice, &it);
	read_ahead(h, s->arg[2].value, it, n);
	for (int i = 0; i < n; i++) {
		place *at = &it[i].at; /* counts from the region's first element */

		at->row = num_plus(h, at->row, -first_row);
		at->col = num_plus(h, at->col, -first);
		it[i].where =
			ptx_shared_at(h, g->buffer, slot, row, at->row, num_add(h, col, at->col));
	}
	find_pairs(it, n, bytes);
	for (int i = 0; i < n; i++)
		if (it[i].paired && (1 << num_align(it[i].where)) >= 2 * bytes) {
			store_shared_pair(h, &it[i], &it[i + 1], s);
			i++;
		} else {
			store_shared_one(h, &it[i], s);
		}
}

/* --- global memory --- */

static V element_pointer(ptx_cx *h, const tile_arg *t, num offset)
{
	return ptx_element(h, tile_type_bytes(t->type) == 2 ? h->i16 : h->i32,
		LLVMGetParam(h->fn, (unsigned)t->id), offset);
}

static void store(ptx_cx *h, V v, V p, int align)
{
	LLVMSetAlignment(LLVMBuildStore(h->b, v, p), (unsigned)align);
}

static void store_one(ptx_cx *h, const tile_arg *t, const item *a)
{
	int bytes = tile_type_bytes(t->type);
	V v = a->value;

	if (bytes == 2)
		v = ptx_cast(h, LLVMTrunc, ptx_round_pair(h, t->type, v, v), h->i16);
	store(h, v, element_pointer(h, t, a->where), bytes);
}

static void store_two(ptx_cx *h, const tile_arg *t, const item *a, const item *b)
{
	V p = element_pointer(h, t, a->where), v;

	if (a->pair) {
		store(h, a->pair, p, 4);
		return;
	}
	v = LLVMGetUndef(LLVMVectorType(LLVMTypeOf(a->value), 2));
	v = LLVMBuildInsertElement(h->b, v, a->value, ptx_i32(h, 0), "");
	v = LLVMBuildInsertElement(h->b, v, b->value, ptx_i32(h, 1), "");
	store(h, v, p, 8);
}

/* Both halves of a pair of 16-bit numbers, one after the other. */
static void store_halves(ptx_cx *h, const tile_arg *t, const item *a, const item *b)
{
	V high = ptx_binary(h, LLVMLShr, a->pair, ptx_i32(h, 16));

	store(h, ptx_cast(h, LLVMTrunc, a->pair, h->i16), element_pointer(h, t, a->where), 2);
	store(h, ptx_cast(h, LLVMTrunc, high, h->i16), element_pointer(h, t, b->where), 2);
}

/* The items that share a predicate; `pairs`: two at a time where marked. */
static void store_items(ptx_cx *h, const tile_arg *t, const item *it, int n, bool pairs)
{
	for (int i = 0; i < n; i++)
		if (pairs && it[i].paired) {
			store_two(h, t, &it[i], &it[i + 1]);
			i++;
		} else if (it[i].pair) {
			store_halves(h, t, &it[i], &it[i + 1]);
			i++;
		} else {
			store_one(h, t, &it[i]);
		}
}

/* Whether every pair's address is a multiple of its size, as known when the kernel runs. */
static V pairs_aligned(ptx_cx *h, const tile_arg *t, const item *it, int n)
{
	int bytes = tile_type_bytes(t->type);
	V low = NULL;

	for (int i = 0; i < n; i++) {
		num even = it[i].where;
		V p;

		if (!it[i].paired)
			continue;
		even.add &= 1; /* an even number of elements changes nothing */
		p = ptx_cast(h, LLVMPtrToInt, element_pointer(h, t, even), h->i64);
		p = ptx_cast(h, LLVMTrunc, p, h->i32);
		low = low ? low == p ? low : ptx_binary(h, LLVMOr, low, p) : p;
	}
	if (!low)
		return NULL;
	low = ptx_binary(h, LLVMAnd, low, ptx_i32(h, 2 * bytes - 1));
	return ptx_compare_int(h, LLVMIntEQ, low, ptx_i32(h, 0));
}

static void store_group(ptx_cx *h, const tile_stmt *s, item *it, int n)
{
	const tile_arg *t = s->arg[0].tensor;
	ptx_branch i;
	V aligned;

	for (int k = 0; k < n; k++) {
		it[k].where = ptx_value(h, &it[k].at, s->arg[2].value);
		it[k].value = num_v(h, ptx_value(h, &it[k].at, s->arg[3].value));
	}
	find_pairs(it, n, 1);
	for (int k = 0; k < n; k++)
		if (it[k].paired && tile_type_bytes(t->type) == 2)
			it[k].pair = ptx_round_pair(h, t->type, it[k].value, it[k + 1].value);
	aligned = pairs_aligned(h, t, it, n);
	if (!aligned) {
		store_items(h, t, it, n, false);
		return;
	}
	i = ptx_if(h, aligned);
	store_items(h, t, it, n, true);
	ptx_else(h, &i);
	store_items(h, t, it, n, false);
	ptx_if_end(h, &i);
}

/* Neighbouring items with the same predicate stand under one branch. */
void ptx_stmt_STORE(ptx_cx *h, const tile_stmt *s)
{
	item *it;
	int n = list_items(h, &s->arg[1].slice, &it), end;

	read_ahead(h, s->arg[2].value, it, n);
	read_ahead(h, s->arg[3].value, it, n);
	read_ahead(h, s->arg[4].value, it, n);
	for (int i = 0; i < n; i++)
		it[i].pred = num_v(h, ptx_value(h, &it[i].at, s->arg[4].value));
	for (int i = 0; i < n; i = end) {
		V pred = it[i].pred;
		ptx_branch b;

		for (end = i + 1; end < n && it[end].pred == pred;)
			end++;
		if (LLVMIsConstant(pred)) {
			if (LLVMConstIntGetZExtValue(pred))
				store_group(h, s, &it[i], end - i);
			continue;
		}
		b = ptx_if(h, pred);
		store_group(h, s, &it[i], end - i);
		ptx_if_end(h, &b);
	}
}
