/* hopper_plan.c: whether a row form fits the wgmma family, and its sizes.
 * in:  a plan with operands and columns chosen, the architecture
 * out: rows, key tile, resident keys, staged outer vectors; or the reason against the family
 * Accumulators, two score tiles and A live in registers (one block an SM, so a thread may have all
 * of them); keys and values of a block in shared memory. */
#include "arch/arch.h"
#include "gpu/gpu_internal.h"
#include "gpu/hopper_internal.h"
#include <string.h>

enum {
	REGISTERS_OTHER = 16, /* addresses, row vectors, loop counters */
	REGISTERS_AIM = 250,
	REGISTERS_MOST = 272,     /* estimated: what a schedule asks for may be tried up to there */
	REGISTERS_OF_THREE = 160, /* in three warpgroups */
	REGISTERS_OF_FOUR = 120,
	CHUNK = 32,            /* outer vectors staged at a time */
	KEY_WORDS = 320 * 256, /* elements of a block's keys and values without outer axes */
	NARROW_WINDOW = 1024,  /* keys */
	MOST_KEYS = 1024,
	BARRIERS = 512 /* bytes */
};

static int pad(int64_t x, int unit)
{
	return (int)((x + unit - 1) / unit * unit);
}

/* A tensor map can load x: its own type, features last, the inner axis once. */
static bool mappable(const gpu_plan *p, const expr *x, const sema_axis *d)
{
	int inner = 0, rank;

	if (!x || !gpu_copyable(p, x, d))
		return false;
	rank = x->load.tensor->rank;
	for (int i = 0; i + 1 < rank; i++)
		inner += x->load.sub[i]->axis == p->form->inner;
	return inner == 1 && rank >= 2 && rank <= 5;
}

static const char *unfit(const gpu_plan *p)
{
	const row_form *m = p->form;

	if (p->operand != p->value_operand || tile_type_bytes(p->operand) != 2)
		return "it takes operands of one 16-bit type";
	if (!m->segments || !p->e_total)
		return "it needs a score product and a value product";
	for (int i = 0; i < m->segments; i++)
		if (!mappable(p, m->segment[i].b, m->segment[i].d))
			return "a key operand is no plain tensor with features in multiples of 8";
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].kind == OUTPUT_SUM &&
			!mappable(p, m->output[i].inner, m->output[i].e))
			return "a value operand is no plain tensor with features in multiples of 8";
	return NULL;
}

/* --- resources --- */

static bool is_of_a(const row_form *m, const model_stream *st)
{
	for (int i = 0; i < m->segments; i++)
		if (m->segment[i].d == st->d)
			return true;
	return false;
}

static bool is_affine(const expr *x)
{
	expr *const *kid;
	int kids;

	if (!x)
		return true;
	if (x->op != EXPR_ADD && x->op != EXPR_SUB)
		return x->op == EXPR_COORD || x->op == EXPR_CONST_INT || x->op == EXPR_PARAM ||
		       x->op == EXPR_LENGTH;
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		if (!is_affine(kid[i]))
			return false;
	return true;
}

/* Registers of a thread for what A is made from, and for A where it is made. */
static void operand_registers(const gpu_plan *p, int *rows, int *vectors, int *a)
{
	const row_form *m = p->form;

	*rows = *vectors = *a = 0;
	for (int i = 0; i < p->streams.count; i++) {
		const model_stream *st = &p->streams.item[i];

		if (st->outer < 0)
			*rows += pad(st->d->extent, 16) / 4;
		else if (is_of_a(m, st))
			*vectors += pad(st->d->extent, 16) / 8;
	}
	for (int i = 0; i < m->segments; i++)
		if (model_stream_find(&p->streams, m->segment[i].a) < 0)
			*a += pad(m->segment[i].d->extent, 16) / (gpu_in_two_parts(p, i) ? 2 : 4);
}

static int larger(int a, int b)
{
	return a > b ? a : b;
}

/* Beside tiles and operands: more than a product on the way to a score; A that is made in f32. */
static int score_registers(const row_form *m)
{
	int n = m->c || m->masks || !m->f_linear ? 16 : 0;

	if (m->masks || !is_affine(m->inner->window.first) || !is_affine(m->inner->window.last))
		n += 16;
	return n;
}

static int making_registers(const gpu_plan *p)
{
	for (int i = 0; i < p->form->segments; i++)
		if (!gpu_is_product(p, p->form->segment[i].a))
			return 8;
	return 0;
}

/* While scores are made, their tiles and A are there; while A is made, the scores' registers are free
 * and what it is made from is there, but for vectors of each row's own: those are where A will be. */
static int register_need(const gpu_plan *p, int key_tile)
{
	const row_form *m = p->form;
	int n = REGISTERS_OTHER + p->e_total / 2 + key_tile / 4, rows, vectors, a, making;
	int scoring = key_tile + score_registers(m);

	operand_registers(p, &rows, &vectors, &a);
	if (m->outers)
		n += p->e_total / 2;
	if (!p->rows_again)
		return n + a + rows + scoring + larger(vectors - key_tile / 2, 0);
	making = rows + making_registers(p);
	making += p->own ? 0 : vectors;
	return n + a + larger(scoring, making);
}

static int64_t shared_need(const gpu_plan *p)
{
	const row_form *m = p->form;
	int64_t bytes = BARRIERS, first = 0, rows = 0;

	if (m->outers)
		bytes += (int64_t)p->rows * gpu_kept_words(m) * 4;
	for (int i = 0; i < m->segments; i++)
		bytes += (int64_t)p->resident * pad(m->segment[i].d->extent, 64) * 2;
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].kind == OUTPUT_SUM) {
			int64_t values = (int64_t)p->resident * pad(p->e_extent[i], 64) * 2;

			bytes += values;
			first = first ? first : values;
		}
	for (int i = 0; i < p->streams.count; i++) {
		const model_stream *st = &p->streams.item[i];
		int cols = pad(st->d->extent, 16);

		if (st->outer >= 0)
			bytes += pad(
				(int64_t)hopper_staged_rows(p, st) * hopper_staged_cols(p, st) * 2,
				1024);
		else if (p->rows_again)
			bytes += pad((int64_t)p->rows * hopper_kept_cols(st) * 2, 1024);
		else if ((int64_t)p->rows * cols * 2 > rows)
			rows = (int64_t)p->rows * cols * 2;
	}
	if (p->rows_through)
		rows = rows > first ? rows - first : 0;
	return bytes + hopper_merge_bytes(p) + rows;
}

/* --- choices --- */

static int widest_tile(const gpu_plan *p, int aim)
{
	static const int sizes[] = {64, 48, 32, 16};

	/* with outer axes blocks of 256 keys, which a window of as many or twice as many fills */
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (register_need(p, sizes[i]) <= aim &&
			(!p->form->outers || 256 % (2 * sizes[i]) == 0) &&
			(!making_registers(p) || sizes[i] <= 32)) /* measured: wider ones spill */
			return sizes[i];
	return 0;
}

/* What a schedule asks for, or `own`. A number that the family cannot have: of a schedule for this
 * very target an error, of a schedule for all targets a reason against the family. */
static bool asked(const sema_setting *x, int own, int unit, int most, int *value, diags *d)
{
	int64_t near;

	*value = x ? (int)x->integer : own;
	if (!x || (x->integer >= unit && x->integer <= most && x->integer % unit == 0))
		return true;
	if (!x->target)
		return false;
	near = x->integer / unit * unit;
	near = near < unit ? unit : near > most ? most / unit * unit : near;
	diag_error(d, x->at, "%s = %lld: products of warpgroups take multiples of %d up to %d",
		x->key, (long long)x->integer, unit, most);
	diag_hint(d, "the nearest is %lld", (long long)near);
	return false;
}

/* Without outer axes the rows of a block load keys for their windows together, which are wider than one
 * row's by as many keys as there are rows. In a narrow window that is much, and a block is short: two
 * blocks of one warpgroup share an SM. */
static bool is_narrow(const gpu_plan *p)
{
	return !p->form->outers &&
	       model_window_width(p->form->spec, p->form->inner) <= NARROW_WINDOW;
}

static bool two_blocks(const gpu_plan *p)
{
	return p->rows == 64 && is_narrow(p) && !gpu_setting(p, "rows");
}

/* Without outer axes every block reads keys for one product a row: more rows a block, fewer reads.
 * Three warpgroups leave a thread fewer registers. */
static bool choose_rows(gpu_plan *p, diags *d)
{
	const sema_setting *rows = gpu_setting(p, "rows");

	p->rows = 128;
	if (is_narrow(p))
		p->rows = 64;
	else if (!p->form->outers && widest_tile(p, REGISTERS_OF_THREE) >= 32)
		p->rows = 192;
	if (!asked(rows, p->rows, 64, 256, &p->rows, d))
		return false;
	p->warps = p->rows / 16;
	return true;
}

/* Whether A of each outer position is made from rows in f32: rows in registers would be unpacked once and
 * stay so. Packed products are faster from registers. */
static bool makes_a(const gpu_plan *p)
{
	const row_form *m = p->form;

	for (int i = 0; i < m->segments; i++)
		if (gpu_is_product(p, m->segment[i].a))
			return false;
	return m->outers > 0;
}

/* How the positions of the last outer axis are shared out. */
static bool choose_split(gpu_plan *p, diags *d)
{
	const sema_setting *split = gpu_setting(p, "split"), *walk = gpu_setting(p, "walk");

	p->split = 1;
	p->own = false;
	if (!p->form->outers)
		return true;
	if (!asked(split, p->split, 1, p->rows / 64, &p->split, d))
		return false;
	if ((p->rows / 64) % p->split) {
		diag_error(d, split->at, "split = %d does not divide %d warpgroups", p->split,
			p->rows / 64);
		diag_hint(d, "rows = %d", p->split * 64);
		return false;
	}
	p->own = walk && !strcmp(walk->word, "rows");
	if (!p->own || gpu_can_walk(p->form))
		return true;
	diag_error(d, walk->at,
		"the window of '%s' is not i and a number at both ends: rows cannot walk over it "
		"on "
		"their own",
		p->form->outer[p->form->outers - 1]->name);
	diag_hint(d, "walk = block takes every window");
	return false;
}

static bool choose_key_tile(gpu_plan *p, diags *d)
{
	const sema_setting *x = gpu_setting(p, "tile");

	p->rows_again = makes_a(p);
	p->key_tile = widest_tile(p, p->rows > 192                    ? REGISTERS_OF_FOUR
				     : p->rows > 128 || two_blocks(p) ? REGISTERS_OF_THREE
								      : REGISTERS_AIM);
	if (!asked(x, p->key_tile, 16, 256, &p->key_tile, d))
		return false;
	p->registers = register_need(p, p->key_tile);
	if (!p->key_tile || p->registers > REGISTERS_MOST) {
		p->key_tile = 0;
		return false;
	}
	p->load = p->key_tile;
	while (p->load < 64)
		p->load *= 2;
	return true;
}

/* Keys of a block. Blocks join at a step without overlap: longer ones have fewer. */
static int wanted_keys(const gpu_plan *p, int unit)
{
	int most = p->form->outers ? 256 : 512, keys = most / unit * unit;

	while (!p->form->outers && keys > 256 &&
		(int64_t)keys * (p->d_pad + p->e_total) > KEY_WORDS)
		keys -= unit;
	return keys;
}

/* Where each row walks over its own outer positions, a block of keys that holds the windows of all
 * its rows is loaded once: so many keys, or 0 where they do not fit shared memory. */
static int whole_windows(const gpu_plan *p, int unit, int64_t most)
{
	int64_t keys = p->own ? model_window_width(p->form->spec, p->form->inner) : MOST_KEYS + 1;
	gpu_plan whole = *p;

	if (keys > MOST_KEYS)
		return 0;
	whole.resident = pad(keys + gpu_block_row_count(p) - 1, unit);
	whole.rows_through = true;
	return whole.resident <= MOST_KEYS && shared_need(&whole) <= most ? whole.resident : 0;
}

/* A block has an even number of steps, whole tiles. */
static bool choose_resident(gpu_plan *p, const arch *a, diags *d)
{
	const sema_setting *x = gpu_setting(p, "resident");
	int unit = 2 * p->key_tile > p->load ? 2 * p->key_tile : p->load;
	int64_t most = a->shared_block, needed;
	int wanted = wanted_keys(p, unit), whole;

	p->chunk = p->form->outers ? CHUNK : 0;
	whole = whole_windows(p, unit, most);
	if (!asked(x, whole > wanted ? whole : wanted, unit, MOST_KEYS, &p->resident, d))
		return false;
	wanted = p->resident;
	if (two_blocks(p) && !x && p->key_tile)
		most = a->shared_sm / 2 - 1024; /* of which a block's own use is 1024 */
	/* the values of the first block then come behind the rows, which delays a block's start */
	p->rows_through = shared_need(p) > most;
	if (shared_need(p) > most)
		p->rows_again = false;
	needed = shared_need(p);
	while (p->resident > unit && shared_need(p) > most)
		p->resident -= unit;
	while (p->chunk > 8 && shared_need(p) > most)
		p->chunk /= 2;
	if (x && x->target && p->resident < wanted) {
		diag_error(d, x->at,
			"%d resident keys need %lld bytes of shared memory, %s has %lld", wanted,
			(long long)needed, a->name, (long long)most);
		diag_hint(d, "resident %s = %d fits", p->form->inner->name, p->resident);
		return false;
	}
	if (p->split > 1 && !hopper_merge_fits(p)) {
		if (x && x->target)
			diag_error(d, x->at,
				"%d resident keys leave no room to add the sums of %d rows",
				p->resident, p->rows);
		return false;
	}
	p->slots = 1;
	p->e_part = p->e_total;
	p->shared_bytes = shared_need(p);
	return p->resident >= unit && p->shared_bytes <= most;
}

bool hopper_plan(gpu_plan *p, const arch *a, diags *d)
{
	const char *why = unfit(p);

	if (!arch_has(a, ARCH_WGMMA | ARCH_TMA))
		return false;
	p->family = GPU_WGMMA;
	if (!why) {
		if (!choose_rows(p, d))
			why = "the schedule's rows do not suit it";
		else if (!choose_split(p, d))
			why = "the schedule's split does not suit it";
		else if (!choose_key_tile(p, d))
			why = p->key_tile ? "the schedule's tile does not suit it"
					  : "the accumulators need more registers than a "
					    "thread has";
		else if (!choose_resident(p, a, d))
			why = "a block of keys does not fit in shared memory";
	}
	if (why) {
		p->family = GPU_MMA;
		p->split = p->chunk = 0;
		p->own = p->rows_again = false;
		gpu_because(p, "not wgmma: %s", why);
		return false;
	}
	gpu_because(p, "wgmma and TMA: %d warpgroups of 64 rows, keys by TMA in tiles of %d",
		p->rows / 64, p->load);
	gpu_because(p, "tile %s = %d: about %d registers a thread", p->form->inner->name,
		p->key_tile, p->registers);
	gpu_because(p, "resident %s = %d: %lld of %d bytes of shared memory", p->form->inner->name,
		p->resident, (long long)p->shared_bytes, a->shared_block);
	if (p->split > 1)
		gpu_because(p,
			"split = %d: so many warpgroups have the same rows and take turns at %s",
			p->split, p->form->outer[p->form->outers - 1]->name);
	if (p->own)
		gpu_because(p, "walk = rows: each row begins with its own first %s",
			p->form->outer[p->form->outers - 1]->name);
	if (p->rows_again)
		gpu_because(
			p, "rows stay in shared memory and are read for A of each outer position");
	if (p->chunk)
		gpu_because(p, "vectors of %d outer positions staged at a time", p->chunk);
	return true;
}
