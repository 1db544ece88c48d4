/* hopper_pipe.c: the pipeline of products and softmax over a chunk of outer positions.
 * in:  loaded blocks (h->at), staged outer vectors
 * out: O, l without a running maximum: weights are 2^s
 *
 * Two score tiles take turns. While the softmax of step h + 1 runs, the tensor cores have P V of
 * step h and S = A B of step h + 2. The last P V of a position runs below the first scores of the
 * next one, and those below O += Gv W. Nothing is in flight when an iteration ends: ptxas
 * serialises products whose accumulators are read behind a loop's back edge.
 * A product reads registers and shared memory until the wait that covers it: a wait lists the
 * register tiles that may be touched from there on, a tile of keys is given back behind it. */
#include "gpu/hopper_internal.h"

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X op2(gpu_cx *g, tile_expr_op op, X a, X b)
{
	return tx_2(g->p, op, a, b);
}

static X var(const hopper *h, tile_var *v)
{
	return tx_var(h->g->p, v);
}

static X keep(gpu_cx *g, const char *name, X v)
{
	return tx_var(g->p, tile_let(g->p, g->s->at, name, v));
}

/* --- places --- */

static int steps_a_tile(const hopper *h)
{
	return h->plan->load / h->plan->key_tile;
}

static bool first_of_tile(const hopper *h, int step)
{
	return step % steps_a_tile(h) == 0;
}

static bool last_of_tile(const hopper *h, int step)
{
	return step % steps_a_tile(h) == steps_a_tile(h) - 1;
}

/* Blocks use all tiles; a unit of the rest some, further down with each unit. */
static X tile_of(const hopper *h, int step)
{
	X tile = i32(h->g, h->tiles - 1 - step / steps_a_tile(h));

	if (h->keys == h->plan->resident)
		return tile;
	return op2(h->g, TX_SUB, tile,
		op2(h->g, TX_MUL, var(h, h->at.block), i32(h->g, h->keys / h->plan->load)));
}

/* First key of a step from h->at.base on, and in its tile. */
static int key_of(const hopper *h, int step)
{
	return h->keys - (step + 1) * h->plan->key_tile;
}

static int row_of(const hopper *h, int step)
{
	return key_of(h, step) % h->plan->load;
}

/* True at the first and last outer position of the chunk; constant without outer axes. */
static X at_first(const hopper *h)
{
	if (!h->at.outer)
		return tx_bool(h->g->p, true);
	return op2(h->g, TX_EQ, var(h, h->at.outer), i32(h->g, 0));
}

static X at_last(const hopper *h)
{
	if (!h->at.outer)
		return tx_bool(h->g->p, true);
	return op2(
		h->g, TX_EQ, op2(h->g, TX_ADD, var(h, h->at.outer), i32(h->g, 1)), h->chunk_steps);
}

static X next_outer(const hopper *h)
{
	gpu_cx *g = h->g;

	return tx_3(g->p, TX_SELECT, at_last(h), i32(g, 0),
		op2(g, TX_ADD, var(h, h->at.outer), i32(g, 1)));
}

/* Whether this is a block's last use and another one follows. */
static X load_follows(const hopper *h)
{
	return op2(h->g, TX_AND, at_last(h),
		op2(h->g, TX_LT, op2(h->g, TX_ADD, var(h, h->at.block), i32(h->g, 1)), h->loads));
}

static X next_base(hopper *h)
{
	return op2(h->g, TX_SUB, var(h, h->at.base), i32(h->g, h->keys));
}

/* Whether every row sees all keys from the base on at this outer position: no step needs a mask. */
static X all_seen(const hopper *h)
{
	return gpu_keys_seen(h->g, var(h, h->at.base), h->keys);
}

static void set_outer(hopper *h)
{
	if (h->at.outer)
		hopper_at(h, var(h, h->at.outer));
}

static void start_place(hopper *h, X base)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	h->at.outer = g->m->outers ? tile_let(g->p, at, "step", i32(g, 0)) : NULL;
	h->at.block = tile_let(g->p, at, "block", i32(g, 0));
	h->at.base = tile_let(g->p, at, "base", base);
	set_outer(h);
	h->at.seen = tile_let(g->p, at, "seen", all_seen(h));
	h->at.load = h->at.owed = h->at.owed_base = h->at.owed_tile = NULL;
	h->at.owed_step = h->at.outer && h->plan->own
				  ? tile_let(g->p, at, "owed_step", i32(g, 0))
				  : NULL;
	if (!h->loads) {
		h->at.owed_tile = tile_let(g->p, at, "owed_tile", i32(g, 0));
		return;
	}
	h->at.load = tile_let(g->p, at, "load", load_follows(h));
	h->at.owed = tile_let(g->p, at, "owed", tx_bool(g->p, false));
	h->at.owed_base = tile_let(g->p, at, "owed_base", i32(g, 0));
}

static void next_keys(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	if (h->loads)
		tile_set(g->p, at, h->at.parity, op2(g, TX_SUB, i32(g, 1), var(h, h->at.parity)));
	tile_set(g->p, at, h->at.block, op2(g, TX_ADD, var(h, h->at.block), i32(g, 1)));
	tile_set(g->p, at, h->at.base, next_base(h));
}

/* To the next outer position, or to the first one against the next keys. */
static void advance(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	if (!h->at.outer) {
		next_keys(h);
	} else {
		X last = keep(g, "last", at_last(h));

		tile_set(g->p, at, h->at.outer, next_outer(h));
		tile_if_begin(g->p, at, last);
		next_keys(h);
		tile_end(g->p);
	}
	set_outer(h);
	tile_set(g->p, at, h->at.seen, all_seen(h));
	if (h->loads)
		tile_set(g->p, at, h->at.load, load_follows(h));
}

/* --- tiles of keys: wait for one, give one back --- */

static void await_tile(hopper *h, tile_mbar *full, int step, X first)
{
	gpu_cx *g = h->g;
	bool always = tx_is_const(first, 1);

	if (!first_of_tile(h, step))
		return;
	if (!always)
		tile_if_begin(g->p, g->s->at, first);
	tile_await(g->p, g->s->at, full, tile_of(h, step), var(h, h->at.parity));
	if (!always)
		tile_end(g->p);
}

static void load_tile(hopper *h, const hopper_freed *f)
{
	tile_note(h->g->p, "every warp is done with this tile: load the next block's");
	if (f->keys)
		hopper_load_keys(h, f->base, f->tile);
	else
		hopper_load_values(h, f->base, f->tile);
}

/* The last warp loads at once. */
static void count_and_load(hopper *h, const hopper_freed *f, tile_mbar *done)
{
	gpu_cx *g = h->g;
	int warps = h->plan->warps;
	X n = tx_var(g->p, tile_count(g->p, g->s->at, "before", done, f->tile));

	tile_if_begin(
		g->p, g->s->at, op2(g, TX_EQ, op2(g, TX_MOD, n, i32(g, warps)), i32(g, warps - 1)));
	load_tile(h, f);
	tile_end(g->p);
}

/* This warp is done with the step's tile; f says whether another one is loaded over it. */
static void give_back(hopper *h, int step, hopper_freed f)
{
	gpu_cx *g = h->g;
	tile_mbar *done = f.keys ? h->key_done : h->value_done;

	if (!h->loads || !last_of_tile(h, step))
		return;
	f.tile = tile_of(h, step);
	tile_if_begin(g->p, g->s->at, f.load);
	if (done->kind == BAR_COUNTER) {
		count_and_load(h, &f, done);
	} else {
		tile_arrive(g->p, g->s->at, done, f.tile);
		h->freed[h->freed_count++] = f;
	}
	tile_end(g->p);
}

/* Loads over the tiles that all warps have arrived for; each warpgroup in turn has one that waits. It
 * stands where the tensor cores have work. */
static void load_freed(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	for (int i = 0; i < h->freed_count; i++) {
		const hopper_freed *f = &h->freed[i];
		X loader = op2(g, TX_MUL, op2(g, TX_MOD, f->tile, i32(g, h->plan->warps / 4)),
			i32(g, 4));

		tile_if_begin(g->p, at,
			op2(g, TX_AND, f->load, op2(g, TX_EQ, tx_leaf(g->p, TX_WARP), loader)));
		tile_await(g->p, at, f->keys ? h->key_done : h->value_done, f->tile, f->parity);
		load_tile(h, f);
		tile_end(g->p);
	}
	h->freed_count = 0;
}

static void keys_done(hopper *h, int step)
{
	if (h->loads)
		give_back(h, step,
			(hopper_freed){.keys = true,
				.load = var(h, h->at.load),
				.base = next_base(h),
				.parity = var(h, h->at.parity)});
}

static void values_done(hopper *h, int step)
{
	if (h->loads)
		give_back(h, step,
			(hopper_freed){.load = var(h, h->at.load),
				.base = next_base(h),
				.parity = var(h, h->at.parity)});
}

/* The values of the last step of the position before: where a load follows, the parity is already
 * that of the next block. */
static void owed_done(hopper *h)
{
	gpu_cx *g = h->g;

	if (h->loads)
		give_back(h, h->steps - 1,
			(hopper_freed){.load = var(h, h->at.owed),
				.base = var(h, h->at.owed_base),
				.parity = op2(g, TX_SUB, i32(g, 1), var(h, h->at.parity))});
}

X hopper_first_base(hopper *h)
{
	return op2(h->g, TX_SUB, h->g->high[0], i32(h->g, h->plan->resident - 1));
}

/* --- products --- */

void hopper_score_product(hopper *h, tile_frag *s, X tile, X row)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->segments; i++)
		tile_wgmma(g->p, g->m->segment[i].b->at, tile_whole(s), tile_whole(g->a[i]),
			tile_part(
				h->key[i], tile, row, i32(g, 0), h->plan->key_tile, g->a[i]->cols),
			false, i == 0);
	tile_wgmma_commit(g->p, g->s->at);
}

void hopper_value_product(hopper *h, X tile, X row, bool zero)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->outputs; i++) {
		int cols = (h->plan->e_extent[i] + 15) / 16 * 16;

		if (h->value[i])
			tile_wgmma(g->p, g->m->output[i].inner->at,
				tile_columns(g->sum, i32(g, h->plan->e_offset[i]), cols),
				tile_whole(h->p),
				tile_part(
					h->value[i], tile, row, i32(g, 0), h->plan->key_tile, cols),
				true, zero);
	}
	tile_wgmma_commit(g->p, g->s->at);
}

static void score_product(hopper *h, int step, tile_frag *s)
{
	hopper_score_product(h, s, tile_of(h, step), i32(h->g, row_of(h, step)));
}

static void value_product(hopper *h, int step, X tile, bool zero)
{
	hopper_value_product(h, tile, i32(h->g, row_of(h, step)), zero);
}

/* Of the last product of the position before. */
static X owed_tile(const hopper *h)
{
	return h->at.owed_tile ? var(h, h->at.owed_tile) : tile_of(h, h->steps - 1);
}

static void fence(hopper *h, tile_frag *a, tile_frag *b, tile_frag *c, tile_frag *d)
{
	tile_frag *f[4] = {a, b, c, d};
	int n = 0;

	while (n < 4 && f[n])
		n++;
	tile_wgmma_fence(h->g->p, h->g->s->at, f, n);
}

static void wait(hopper *h, int groups, tile_frag *a, tile_frag *b)
{
	tile_frag *f[2] = {a, b};

	tile_wgmma_wait(h->g->p, h->g->s->at, groups, f, b ? 2 : 1);
}

/* --- softmax --- */

static void softmax(hopper *h, int step)
{
	gpu_cx *g = h->g;
	tile_frag *s = h->s[step & 1];
	loc at = g->s->at;

	g->score = s;
	if (gpu_scores_are_products(g))
		tile_if_begin(g->p, at, tx_1(g->p, TX_NOT, var(h, h->at.seen)));
	gpu_scores(g, op2(g, TX_ADD, var(h, h->at.base), i32(g, key_of(h, step))));
	if (gpu_scores_are_products(g))
		tile_end(g->p);
	if (!g->m->normalised)
		return;
	tile_map(g->p, at, tile_whole(s),
		tx_1(g->p, TX_EX2,
			op2(g, TX_MUL, tx_frag(g->p, s), tx_f32(g->p, gpu_score_scale(g)))));
	tile_reduce(g->p, at, g->l_sum, WORD_SUM, tile_whole(s));
}

static void pack(hopper *h, int step)
{
	gpu_cx *g = h->g;

	tile_map(g->p, g->s->at, tile_whole(h->p),
		tx_cvt(g->p, h->plan->operand, tx_frag(g->p, h->s[step & 1])));
}

/* --- the pipeline --- */

static bool zero_first(const hopper *h, int step)
{
	return h->at.outer && step == 0;
}

/* A part of O += Gv W of the position before. */
static void add_position(hopper *h, void (*part)(hopper *))
{
	if (!h->at.outer)
		return;
	if (h->at.owed_step)
		hopper_at(h, var(h, h->at.owed_step));
	part(h);
	set_outer(h);
}

/* The first scores of a position; above them, but for the first position, the last P V of the one
 * before. */
static void begin_position(hopper *h, X it)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	tile_if_begin(g->p, at, op2(g, TX_EQ, it, i32(g, 0)));
	await_tile(h, h->key_full, 0, tx_bool(g->p, true));
	fence(h, h->s[0], g->a[0], NULL, NULL);
	score_product(h, 0, h->s[0]);
	tile_else(g->p);
	await_tile(h, h->key_full, 0, at_first(h));
	fence(h, g->sum, h->p, h->s[0], g->a[0]);
	value_product(h, h->steps - 1, owed_tile(h), false);
	score_product(h, 0, h->s[0]);
	add_position(h, hopper_load_own_gv);
	wait(h, 1, g->sum, h->p);
	owed_done(h);
	add_position(h, hopper_add_step);
	tile_end(g->p);
}

/* The last P V of the position is left to the next iteration, with its Gv and its tile. */
static void end_position(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	await_tile(h, h->value_full, h->steps - 1, at_first(h));
	load_freed(h);
	if (h->at.outer)
		hopper_load_gv(h);
	if (h->at.owed_step)
		tile_set(g->p, at, h->at.owed_step, var(h, h->at.outer));
	if (h->loads) {
		tile_set(g->p, at, h->at.owed, var(h, h->at.load));
		tile_set(g->p, at, h->at.owed_base, next_base(h));
	} else {
		tile_set(g->p, at, h->at.owed_tile, tile_of(h, h->steps - 1));
	}
	advance(h);
	if (h->at.outer)
		gpu_build_c(g);
}

/* The second scores, the first weights. */
static void first_step(hopper *h)
{
	gpu_cx *g = h->g;

	await_tile(h, h->key_full, 1, at_first(h));
	fence(h, h->s[1], g->a[0], NULL, NULL);
	score_product(h, 1, h->s[1]);
	load_freed(h);
	wait(h, 1, h->s[0], NULL);
	keys_done(h, 0);
	softmax(h, 0);
	pack(h, 0);
}

/* P V of `step`, scores of two steps later, softmax of the next. */
static void middle_step(hopper *h, int step)
{
	gpu_cx *g = h->g;
	tile_frag *now = h->s[step & 1], *next = h->s[(step + 1) & 1];
	X first = at_first(h);

	await_tile(h, h->value_full, step, first);
	await_tile(h, h->key_full, step + 2, first);
	fence(h, g->sum, now, h->p, g->a[0]);
	value_product(h, step, tile_of(h, step), zero_first(h, step));
	score_product(h, step + 2, now);
	load_freed(h);
	wait(h, 2, next, NULL);
	keys_done(h, step + 1);
	softmax(h, step + 1);
	wait(h, 1, g->sum, h->p);
	values_done(h, step);
	pack(h, step + 1);
}

/* One part of A of the next position. */
static void build_next(hopper *h, void (*part)(hopper *))
{
	if (!h->at.outer)
		return;
	hopper_at(h, next_outer(h));
	part(h);
	set_outer(h);
}

/* The last step but one: no scores are left to issue, and nothing stays in flight behind it. */
static void late_step(hopper *h)
{
	int step = h->steps - 2;
	gpu_cx *g = h->g;

	/* one score tile is free for them; behind the products of this step A's registers are, too */
	build_next(h, hopper_load_vectors);
	await_tile(h, h->value_full, step, at_first(h));
	fence(h, g->sum, h->p, NULL, NULL);
	value_product(h, step, tile_of(h, step), zero_first(h, step));
	load_freed(h);
	wait(h, 1, h->s[(step + 1) & 1], g->a[0]);
	keys_done(h, step + 1);
	build_next(h, hopper_load_rest);
	softmax(h, step + 1);
	wait(h, 0, g->sum, h->p);
	values_done(h, step);
	pack(h, step + 1);
	build_next(h, hopper_build);
}

static void drain(hopper *h)
{
	gpu_cx *g = h->g;

	fence(h, g->sum, h->p, NULL, NULL);
	value_product(h, h->steps - 1, owed_tile(h), false);
	wait(h, 0, g->sum, h->p);
	owed_done(h);
	load_freed(h);
	add_position(h, hopper_load_own_gv);
	add_position(h, hopper_add_step);
}

/* `count` times `keys` keys from the newest, the first of them from `base` on; with `loads`, that
 * many blocks are loaded one over the other while they are used. */
static void pipeline(hopper *h, int keys, X count, X base, X loads)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	X total = count;
	tile_var *it;

	h->keys = keys;
	h->steps = keys / h->plan->key_tile;
	h->loads = loads;
	tile_if_begin(g->p, at, op2(g, TX_LT, i32(g, 0), count));
	if (g->m->outers)
		total = keep(g, "total", op2(g, TX_MUL, count, h->chunk_steps));
	start_place(h, base);
	tile_map(g->p, at, tile_whole(h->p), tx_cvt(g->p, h->plan->operand, tx_f32(g->p, 0)));
	if (h->at.outer) {
		tile_map(g->p, at, tile_whole(g->sum), tx_f32(g->p, 0));
		hopper_clear_gv(h);
		hopper_load_vectors(h);
		hopper_load_rest(h);
		hopper_build(h);
		gpu_build_c(g);
	}
	it = tile_for_begin(g->p, at, "it", i32(g, 0), total, i32(g, 1));
	begin_position(h, tx_var(g->p, it));
	first_step(h);
	for (int step = 0; step + 2 < h->steps; step++)
		middle_step(h, step);
	late_step(h);
	end_position(h);
	tile_end(g->p);
	drain(h);
	tile_end(g->p);
}

/* Two steps, whole tiles. */
int hopper_unit(const hopper *h)
{
	int keys = 2 * h->plan->key_tile;

	return keys > h->plan->load ? keys : h->plan->load;
}

void hopper_pipeline(hopper *h)
{
	gpu_cx *g = h->g;
	int block = h->plan->resident, unit = hopper_unit(h);
	X base = hopper_first_base(h), rest;

	if (!g->m->outers) {
		gpu_build_segments(g);
		gpu_build_c(g);
	}
	pipeline(h, block, h->blocks, base, h->all_blocks);
	if (unit == block)
		return;
	/* the oldest keys: fewer than a block, in units */
	rest = op2(g, TX_SUB, op2(g, TX_ADD, base, i32(g, block - unit)),
		op2(g, TX_MUL, h->blocks, i32(g, block)));
	pipeline(h, unit, h->units, rest, NULL);
	tile_set(g->p, g->s->at, h->at.parity,
		tx_3(g->p, TX_SELECT, op2(g, TX_LT, i32(g, 0), h->units),
			op2(g, TX_SUB, i32(g, 1), var(h, h->at.parity)), var(h, h->at.parity)));
}
