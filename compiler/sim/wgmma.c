/* wgmma.c: products of warpgroups, each warp its 16 rows.
 * in:  WGMMA statements, fences, commits and waits of one warp
 * out: accumulators, written when the wait says so; who touches operands in between
 * Operands in shared memory are read as their descriptors say (PTX ISA, "Matrix descriptor" and
 * "Canonical layouts", 128-byte swizzle): eight rows of 128 bytes are an atom of 1024; bits 7 to 9
 * of an address exchange its 16-byte chunks. */
#include "sim/sim_async.h"
#include "sim/sim_float.h"
#include <stdlib.h>
#include <string.h>

enum { STEP = 16, MAX_CELLS = 256 / 8 };

bool sim_products_open(sim_block *b)
{
	struct sim_async *x = b->async;
	size_t n = b->image->defined_size + 1;

	x->touched = calloc(n, sizeof *x->touched);
	x->read = calloc(n, sizeof *x->read);
	x->writes = calloc(n, sizeof *x->writes);
	x->reads = calloc(n, sizeof *x->reads);
	x->unlisted = calloc(n, sizeof *x->unlisted);
	return x->touched && x->read && x->writes && x->reads && x->unlisted;
}

static void drop_product(sim_product *p)
{
	free(p->start);
}

void sim_products_close(struct sim_async *x)
{
	free(x->touched);
	free(x->read);
	free(x->writes);
	free(x->reads);
	free(x->unlisted);
	for (int w = 0; w < SIM_MAX_WARPS; w++) {
		for (int i = 0; i < x->warp[w].product.count; i++)
			drop_product(&x->warp[w].product.item[i]);
		free(x->warp[w].product.item);
	}
	for (int g = 0; g < SIM_MAX_WARPS / 4; g++)
		free(x->issue[g].item);
}

void sim_products_reset(sim_block *b)
{
	struct sim_async *x = b->async;
	size_t n = b->image->defined_size;

	memset(x->touched, 0, n * sizeof *x->touched);
	memset(x->read, 0, n * sizeof *x->read);
	memset(x->writes, 0, n * sizeof *x->writes);
	memset(x->reads, 0, n * sizeof *x->reads);
	memset(x->unlisted, 0, n * sizeof *x->unlisted);
	for (int w = 0; w < b->warps; w++) {
		sim_warp *warp = &x->warp[w];

		for (int i = 0; i < warp->product.count; i++)
			drop_product(&warp->product.item[i]);
		warp->product.count = 0;
		warp->groups = warp->fence = 0;
		warp->issued = 0;
	}
	for (int g = 0; g < SIM_MAX_WARPS / 4; g++)
		x->issue[g].count = 0;
}

/* Room for one more; NULL: the block stops. */
static void *grown(sim_block *b, void *items, int count, int *cap, size_t size)
{
	void *more = items;

	if (count < *cap)
		return items;
	more = realloc(items, (size_t)(*cap ? 2 * *cap : 16) * size);
	if (more) {
		*cap = *cap ? 2 * *cap : 16;
		return more;
	}
	b->failed = true;
	sim_log_fault(b->log, SIM_MEMORY, "products in flight");
	return NULL;
}

/* --- descriptors --- */

/* 16 bytes of an operand of 16 k: K-major, eight k of row `mn`; else eight of mn at `k`. */
static int64_t operand_address(uint64_t d, bool mn_major, int mn, int k)
{
	int64_t start = (int64_t)(d & 0x3fff) * 16, leading = (int64_t)(d >> 16 & 0x3fff) * 16;
	int64_t stride = (int64_t)(d >> 32 & 0x3fff) * 16, at;

	if (mn_major)
		at = start + mn / 64 * leading + mn % 64 * 2 + k / 8 * stride + k % 8 * 128;
	else
		at = start + mn / 8 * stride + mn % 8 * 128 + k * 2;
	return at ^ (at >> 7 & 7) << 4;
}

static bool check_descriptor(sim_block *b, uint64_t d, int warp)
{
	if (d >> 62 == 1 && (d >> 49 & 7) == 0)
		return true;
	sim_fault_at(b, SIM_DESCRIPTOR, warp, SIM_ALL, "swizzle mode %d, base offset %d",
		(int)(d >> 62), (int)(d >> 49 & 7));
	return false;
}

typedef void chunk_fn(void *user, int64_t address, int mn, int k);

/* Calls fn for each 16 bytes of rows (or columns) [first, first + n) of an operand. */
static void each_chunk(uint64_t d, bool mn_major, int first, int n, chunk_fn *fn, void *user)
{
	if (mn_major)
		for (int k = 0; k < STEP; k++)
			for (int mn = first; mn < first + n; mn += 8)
				fn(user, operand_address(d, true, mn, k), mn, k);
	else
		for (int mn = first; mn < first + n; mn++)
			for (int k = 0; k < STEP; k += 8)
				fn(user, operand_address(d, false, mn, k), mn, k);
}

static uint64_t descriptor(uint64_t d, int64_t address)
{
	return d | (uint64_t)(address / 16 & 0x3fff);
}

/* First row that a warp takes of a left operand. */
static int left_row(int warp)
{
	return warp % 4 * MMA_M;
}

/* Calls fn for what one step of the product reads of shared memory. */
static void each_operand(
	const sim_product *p, int step, int warp, chunk_fn *left, chunk_fn *right, void *user)
{
	if (p->shared)
		each_chunk(descriptor(p->left, p->start[2 * step]), false, left_row(warp), MMA_M,
			left, user);
	each_chunk(descriptor(p->right, p->start[2 * step + 1]), p->trans, 0, p->acc.cols * MMA_N,
		right, user);
}

/* --- what a product does to registers --- */

static int acc_registers(const sim_product *p)
{
	return p->acc.cols * p->acc.f->cell.registers;
}

static int acc_register(const sim_product *p, int n)
{
	return p->acc.cell_col * p->acc.f->cell.registers + n;
}

static int a_registers(const sim_product *p)
{
	return p->shared ? 0 : p->a.cols * p->a.f->cell.registers;
}

static int a_register(const sim_product *p, int n)
{
	return p->a.cell_col * p->a.f->cell.registers + n;
}

void sim_register_written(sim_block *b, const sim_frag *f, int warp, int r)
{
	struct sim_async *x = b->async;
	size_t i = sim_register_number(f, warp, r);

	x->touched[i] = b->time;
	if (x->writes[i] || x->reads[i])
		sim_fault_at(b, SIM_PRODUCT_TOUCH, warp, SIM_ALL,
			"register %d of '%s', which it %s", r, f->f->name,
			x->writes[i] ? "writes" : "reads");
	else if (x->unlisted[i])
		sim_fault_at(b, SIM_PRODUCT_UNLISTED, warp, SIM_ALL, "register %d of '%s'", r,
			f->f->name);
	x->unlisted[i] = false;
}

void sim_unset_register(sim_block *b, const sim_frag *f, int warp, int r, int lane)
{
	struct sim_async *x = b->async;
	size_t i = sim_register_number(f, warp, r);
	sim_fault fault = x && x->writes[i]     ? SIM_PRODUCT_TOUCH
			  : x && x->unlisted[i] ? SIM_PRODUCT_UNLISTED
						: SIM_UNSET_REGISTER;

	sim_fault_at(b, fault, warp, lane, "register %d of '%s'", r, f->f->name);
}

/* Faults where the register has been written since the fence or, if the product writes it, read. */
static void need_fence(sim_block *b, const sim_frag *f, int warp, int r, bool writes)
{
	const sim_warp *w = &b->async->warp[warp];
	size_t i = sim_register_number(f, warp, r);
	bool read = writes && b->async->read[i] > w->fence;

	if (b->async->touched[i] > w->fence || read)
		sim_fault_at(b, SIM_PRODUCT_FENCE, warp, SIM_ALL, "register %d of '%s' was %s %s",
			r, f->f->name, b->async->touched[i] > w->fence ? "written" : "read",
			w->fence ? "after it" : "before it");
}

/* Another product in flight into some of the same registers must be into the same ones. */
static void check_shape(sim_block *b, const sim_product *p, int warp)
{
	const sim_warp *w = &b->async->warp[warp];
	int first = p->acc.cell_col, end = first + p->acc.cols;

	for (int i = 0; i < w->product.count; i++) {
		const sim_slice *other = &w->product.item[i].acc;

		if (other->f != p->acc.f || other->cell_col >= end ||
			other->cell_col + other->cols <= first)
			continue;
		if (other->cell_col != first || other->cols != p->acc.cols)
			sim_fault_at(b, SIM_PRODUCT_SHAPE, warp, SIM_ALL,
				"columns %d .. %d and %d .. %d of '%s'", first * MMA_N,
				end * MMA_N - 1, other->cell_col * MMA_N,
				(other->cell_col + other->cols) * MMA_N - 1, p->acc.f->f->name);
	}
}

static void take_registers(sim_block *b, const sim_product *p, int warp, bool zero)
{
	struct sim_async *x = b->async;

	check_shape(b, p, warp);
	for (int n = 0; n < acc_registers(p); n++) {
		int r = acc_register(p, n);
		size_t i = sim_register_number(p->acc.f, warp, r);
		uint32_t unset = ~*sim_defined(b, p->acc.f, warp, r);

		if (unset && !zero && !x->writes[i] && !x->unlisted[i])
			sim_unset_register(b, p->acc.f, warp, r, __builtin_ctz(unset));
		need_fence(b, p->acc.f, warp, r, true);
		x->writes[i]++;
		x->unlisted[i] = false;
		*sim_defined(b, p->acc.f, warp, r) = 0;
	}
	for (int n = 0; n < a_registers(p); n++) {
		int r = a_register(p, n);
		uint32_t unset = ~*sim_defined(b, p->a.f, warp, r);

		if (unset)
			sim_unset_register(b, p->a.f, warp, r, __builtin_ctz(unset));
		need_fence(b, p->a.f, warp, r, false);
		x->reads[sim_register_number(p->a.f, warp, r)]++;
	}
}

static void give_registers(sim_block *b, const sim_product *p, int warp)
{
	struct sim_async *x = b->async;

	for (int n = 0; n < acc_registers(p); n++) {
		size_t i = sim_register_number(p->acc.f, warp, acc_register(p, n));

		x->unlisted[i] = --x->writes[i] == 0;
	}
	for (int n = 0; n < a_registers(p); n++)
		x->reads[sim_register_number(p->a.f, warp, a_register(p, n))]--;
}

/* --- issue --- */

typedef struct {
	sim_block *b;
	const sim_product *p;
	int warp;
} issue_of;

static void issue_chunk(const issue_of *x, const tile_buffer *buf, int64_t address)
{
	if (!sim_shared_product(x->b, buf, address, x->warp))
		sim_fault_at(x->b, SIM_DESCRIPTOR, x->warp, SIM_ALL, "shared byte %lld",
			(long long)address);
}

static void issue_left(void *user, int64_t address, int mn, int k)
{
	const issue_of *x = user;

	(void)mn;
	(void)k;
	issue_chunk(x, x->p->stmt->s->arg[2].region.buffer, address);
}

static void issue_right(void *user, int64_t address, int mn, int k)
{
	const issue_of *x = user;

	(void)mn;
	(void)k;
	issue_chunk(x, x->p->stmt->s->arg[3].region.buffer, address);
}

/* The warps of a group issue the same products. */
static void check_group(sim_block *b, const sim_product *p, int warp)
{
	sim_issues *all = &b->async->issue[warp / 4];
	int n = b->async->warp[warp].issued++;
	sim_issue mine = {p->stmt, p->shared ? p->start[0] : 0, p->start[1]}, *grown_item;

	if (n < all->count) {
		const sim_issue *first = &all->item[n];

		if (first->stmt != mine.stmt || first->left != mine.left ||
			first->right != mine.right)
			sim_fault_at(b, SIM_DIVERGENT_GROUP, warp, SIM_ALL,
				"product %d: shared bytes %lld and %lld%s", n,
				(long long)mine.right, (long long)first->right,
				first->stmt != mine.stmt ? ", in different statements" : "");
		return;
	}
	grown_item = grown(b, all->item, all->count, &all->cap, sizeof *all->item);
	if (!grown_item)
		return;
	all->item = grown_item;
	all->item[all->count++] = mine;
}

/* Shared addresses of the first element of each step. */
static bool find_starts(sim_block *b, sim_product *p, int operand, int side, bool down, int warp)
{
	const tile_region *r = &p->stmt->s->arg[operand].region;
	int64_t at[SIM_MAX_ROOTS], end, *start;
	int row = operand == 2 ? warp / 4 * 64 : 0;

	sim_same(b, &p->stmt->code[operand], at);
	if (!sim_shared_find(b, r->buffer, at[0], at[1] + r->rows - 1, at[2] + r->cols - 1, warp,
		    SIM_ALL, &end))
		return false;
	for (int i = 0; i < p->steps; i++) {
		start = &p->start[2 * i + side];
		if (!sim_shared_find(b, r->buffer, at[0], at[1] + row + (down ? i * STEP : 0),
			    at[2] + (down ? 0 : i * STEP), warp, SIM_ALL, start))
			return false;
		if (at[1] % 8 || at[2] % (down ? TILE_PANEL : STEP)) {
			sim_fault_at(b, SIM_ALIGNMENT, warp, SIM_ALL,
				"an operand that begins at %s[%lld, %lld, %lld]", r->buffer->name,
				(long long)at[0], (long long)at[1], (long long)at[2]);
			return false;
		}
	}
	return true;
}

static bool make_product(sim_block *b, const sim_stmt *s, int warp, sim_product *p)
{
	const tile_operand *arg = s->s->arg;
	bool shared = s->s->op == TILE_WGMMAS || s->s->op == TILE_WGMMAST;
	int depth = shared ? arg[2].region.cols : arg[2].slice.cols;

	*p = (sim_product){.stmt = s,
		.shared = shared,
		.trans = s->s->op == TILE_WGMMAT || s->s->op == TILE_WGMMAST,
		.steps = depth / STEP,
		.group = UINT32_MAX};
	p->right = tile_descriptor(arg[3].region.buffer, p->trans);
	if (!sim_slice_find(b, s, 0, &p->acc) || !check_descriptor(b, p->right, warp))
		return false;
	p->start = calloc((size_t)p->steps * 2, sizeof *p->start);
	if (!p->start) {
		b->failed = true;
		return false;
	}
	if (shared) {
		p->left = tile_descriptor(arg[2].region.buffer, false);
		if (!check_descriptor(b, p->left, warp) || !find_starts(b, p, 2, 0, false, warp))
			return false;
	} else if (!sim_slice_find(b, s, 2, &p->a)) {
		return false;
	}
	return find_starts(b, p, 3, 1, p->trans, warp);
}

static void issue(sim_block *b, const sim_stmt *s, int warp)
{
	sim_warp *w = &b->async->warp[warp];
	sim_product p, *more;

	if (!make_product(b, s, warp, &p)) {
		drop_product(&p);
		return;
	}
	more = grown(b, w->product.item, w->product.count, &w->product.cap, sizeof p);
	if (!more) {
		drop_product(&p);
		return;
	}
	w->product.item = more;
	if (!w->fence)
		sim_fault_at(b, SIM_PRODUCT_FENCE, warp, SIM_ALL, "since the last wgmma.wait");
	check_group(b, &p, warp);
	take_registers(b, &p, warp, s->s->arg[1].zero);
	for (int i = 0; i < p.steps; i++)
		each_operand(&p, i, warp, issue_left, issue_right, &(issue_of){b, &p, warp});
	w->product.item[w->product.count++] = p;
}

/* --- completion --- */

typedef struct {
	sim_block *b;
	int warp;
	tile_type type;
	bool trans;
	float a[MMA_M][MMA_K];
	float right[MAX_CELLS][MMA_K][MMA_N];
} operands;

static void fetch(operands *x, int64_t address, float out[8])
{
	uint16_t half[8];

	memset(out, 0xff, 8 * sizeof *out);
	if (address < 0 || address + 16 > x->b->shared.bytes)
		return;
	memcpy(half, x->b->shared.byte + address, sizeof half);
	for (int i = 0; i < 8; i++)
		out[i] = sim_element_float(x->type, half[i], 0);
	sim_shared_multiplied(x->b, address, x->warp);
}

static void fetch_left(void *user, int64_t address, int mn, int k)
{
	operands *x = user;

	fetch(x, address, &x->a[mn - left_row(x->warp)][k]);
}

static void fetch_right(void *user, int64_t address, int mn, int k)
{
	operands *x = user;
	float v[8];

	if (x->trans) {
		fetch(x, address, x->right[mn / MMA_N][k]);
		return;
	}
	fetch(x, address, v);
	for (int i = 0; i < 8; i++)
		x->right[mn / MMA_N][k + i][mn % MMA_N] = v[i];
}

static uint32_t *acc_cell(sim_block *b, const sim_product *p, int warp, int cell)
{
	return sim_reg(b, p->acc.f, warp, acc_register(p, cell * p->acc.f->cell.registers));
}

/* Reads the operands, and writes the accumulators, as late as is legal. */
static void finish(sim_block *b, sim_product *p, int warp)
{
	operands x = {.b = b,
		.warp = warp,
		.type = p->stmt->s->arg[3].region.buffer->type,
		.trans = p->trans};
	float sum[MAX_CELLS][MMA_M][MMA_N];
	int cells = p->acc.cols;

	memset(sum, 0, sizeof sum);
	for (int n = 0; n < cells && !p->stmt->s->arg[1].zero; n++)
		sim_gather_acc(&sum[n][0][0], acc_cell(b, p, warp, n));
	for (int i = 0; i < p->steps; i++) {
		each_operand(p, i, warp, fetch_left, fetch_right, &x);
		if (!p->shared)
			sim_gather_a(x.type, x.a, sim_reg(b, p->a.f, warp, a_register(p, 4 * i)));
		for (int n = 0; n < cells; n++)
			sim_multiply(sum[n], x.a, x.right[n], MMA_K);
	}
	for (int n = 0; n < cells; n++)
		sim_scatter_acc(&sum[n][0][0], acc_cell(b, p, warp, n));
	give_registers(b, p, warp);
	drop_product(p);
}

/* Tiles of a list whose products are finished may be touched again. */
static void list_tiles(sim_block *b, const tile_list *l, int warp)
{
	for (int i = 0; i < l->count; i++) {
		const sim_frag *f = sim_frag_of(b, l->frag[i]);

		for (int r = 0; r < f->registers; r++) {
			size_t n = sim_register_number(f, warp, r);

			if (!b->async->unlisted[n])
				continue;
			b->async->unlisted[n] = false;
			*sim_defined(b, f, warp, r) = UINT32_MAX;
		}
	}
}

static void wait(sim_block *b, const sim_stmt *s, int warp)
{
	sim_warp *w = &b->async->warp[warp];
	uint32_t left = (uint32_t)s->s->arg[0].integer;
	int n = 0;

	w->fence = 0;

	for (; n < w->product.count; n++) {
		sim_product *p = &w->product.item[n];

		if (p->group == UINT32_MAX || p->group + left >= w->groups)
			break;
		finish(b, p, warp);
	}
	if (n > 0) {
		w->product.count -= n;
		memmove(w->product.item, w->product.item + n,
			(size_t)w->product.count * sizeof *w->product.item);
	}
	list_tiles(b, &s->s->arg[1].list, warp);
}

void sim_products_end(sim_block *b)
{
	struct sim_async *x = b->async;

	for (int w = 0; w < b->warps; w++) {
		for (int i = 0; i < x->warp[w].product.count; i++) {
			b->now = x->warp[w].product.item[i].stmt;
			sim_fault_at(b, SIM_NEVER_WAITED, w, SIM_ALL, "a product");
		}
		if (x->warp[w].issued != x->issue[w / 4].count) {
			b->now = x->issue[w / 4].item[x->warp[w].issued].stmt;
			sim_fault_at(b, SIM_DIVERGENT_GROUP, w, SIM_ALL, "%d products, others %d",
				x->warp[w].issued, x->issue[w / 4].count);
		}
	}
}

/* --- statements --- */

void sim_product_statement(sim_block *b, const sim_stmt *s, int warp)
{
	sim_warp *w = &b->async->warp[warp];

	if (!sim_converged(b, warp))
		return;
	switch (s->s->op) {
	case TILE_WFENCE:
		w->fence = b->time;
		list_tiles(b, &s->s->arg[0].list, warp);
		return;
	case TILE_WCOMMIT:
		for (int i = w->product.count - 1; i >= 0; i--) {
			if (w->product.item[i].group != UINT32_MAX)
				break;
			w->product.item[i].group = w->groups;
		}
		w->groups++;
		return;
	case TILE_WWAIT:
		wait(b, s, warp);
		return;
	default:
		issue(b, s, warp);
		return;
	}
}
