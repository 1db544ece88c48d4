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
static X tile_in(const hopper *h, int step, X block)
{
	X tile = i32(h->g, h->tiles - 1 - step / steps_a_tile(h));

	if (h->keys == h->plan->resident)
		return tile;
	return op2(
		h->g, TX_SUB, tile, op2(h->g, TX_MUL, block, i32(h->g, h->keys / h->plan->load)));
}

static X tile_of(const hopper *h, int step)
{
	return tile_in(h, step, var(h, h->at.block));
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

static X next_base(hopper *h)
{
	return op2(h->g, TX_SUB, var(h, h->at.base), i32(h->g, h->keys));
}

/* Whether a load of keys over this block follows. */
static X load_follows(const hopper *h)
{
	return op2(h->g, TX_LT, op2(h->g, TX_ADD, var(h, h->at.block), i32(h->g, 1)), h->loads);
}

static void set_outer(hopper *h)
{
	if (h->at.outer)
		hopper_at(h, var(h, h->at.outer));
}

/* Whether there was a position before; whether it was against the block before. */
static X is_first(const hopper *h)
{
	return op2(h->g, TX_AND, at_first(h), op2(h->g, TX_EQ, var(h, h->at.block), i32(h->g, 0)));
}

static X is_next_block(const hopper *h)
{
	return op2(h->g, TX_AND, at_first(h), op2(h->g, TX_LT, i32(h->g, 0), var(h, h->at.block)));
}

/* The step of the position before. */
static X previous_outer(const hopper *h)
{
	gpu_cx *g = h->g;

	return tx_3(g->p, TX_SELECT, at_first(h), op2(g, TX_SUB, h->chunk_steps, i32(g, 1)),
		op2(g, TX_SUB, var(h, h->at.outer), i32(g, 1)));
}

/* What holds for all steps of a position: whether every row sees all keys, so that no step needs a
 * mask; whether the block is used for the last time and another load follows. */
static void begin_flags(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	set_outer(h);
	h->at.seen = tile_let(g->p, at, "seen", gpu_keys_seen(g, var(h, h->at.base), h->keys));
	h->at.load = NULL;
	if (h->loads)
		h->at.load =
			tile_let(g->p, at, "load", op2(g, TX_AND, at_last(h), load_follows(h)));
}

static void next_block(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	tile_set(g->p, at, h->at.block, op2(g, TX_ADD, var(h, h->at.block), i32(g, 1)));
	tile_set(g->p, at, h->at.base, next_base(h));
	if (h->loads)
		tile_set(g->p, at, h->at.parity, op2(g, TX_SUB, i32(g, 1), var(h, h->at.parity)));
}

/* --- tiles of keys: wait for one, give one back --- */

/* Until a step's tile has landed, where `first` is true. */
static void await_landed(hopper *h, tile_mbar *full, int step, X first)
{
	gpu_cx *g = h->g;
	bool always = tx_is_const(first, 1);

	if (!always)
		tile_if_begin(g->p, g->s->at, first);
	tile_await(g->p, g->s->at, full, tile_of(h, step), var(h, h->at.parity));
	if (!always)
		tile_end(g->p);
}

static void await_tile(hopper *h, tile_mbar *full, int step, X first)
{
	if (first_of_tile(h, step))
		await_landed(h, full, step, first);
}

/* With outer axes: the last warp that is done with some tiles of the block, `first` the newest of them,
 * loads. */
static void count_and_load(hopper *h, int group, int first, int tiles, X load, X base)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	int warps = h->plan->warps;
	tile_var *t;
	X n, tile;

	if (!h->loads || tiles <= 0)
		return;
	tile_if_begin(g->p, at, load);
	n = tx_var(g->p, tile_count(g->p, at, "before", h->done, i32(g, group)));
	tile_if_begin(g->p, at, op2(g, TX_EQ, op2(g, TX_MOD, n, i32(g, warps)), i32(g, warps - 1)));
	tile_note(g->p, "every warp is done with these tiles: load the next block's");
	t = tile_for_begin(g->p, at, "load", i32(g, first), i32(g, first + tiles), i32(g, 1));
	tile = op2(g, TX_SUB, i32(g, h->tiles - 1), tx_var(g->p, t));
	hopper_load_keys(h, base, tile);
	hopper_load_values(h, base, tile);
	tile_end(g->p);
	tile_end(g->p);
	tile_end(g->p);
}

/* Tiles of a block that are given back in its middle, and the step behind which they are not used. */
static int early_tiles(const hopper *h)
{
	return h->tiles / 2;
}

static int early_step(const hopper *h)
{
	return early_tiles(h) * steps_a_tile(h) - 1;
}

static int early_group(const hopper *h)
{
	return early_step(h) >= 0 && early_step(h) + 2 < h->steps ? early_tiles(h) : 0;
}

/* Without outer axes: this warp is done with the step's tile; f says whether another one is loaded over
 * it. */
static void give_back(hopper *h, int step, hopper_freed f)
{
	gpu_cx *g = h->g;

	if (h->at.outer || !last_of_tile(h, step))
		return;
	f.tile = tile_of(h, step);
	tile_if_begin(g->p, g->s->at, f.load);
	tile_arrive(g->p, g->s->at, f.keys ? h->key_done : h->value_done, f.tile);
	tile_end(g->p);
	h->freed[h->freed_count++] = f;
}

/* Loads over the tiles that all warps have arrived for; each warpgroup in turn has one that waits. It
 * stands where the tensor cores have work. */
static void load_freed(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	for (int i = 0; i < h->freed_count; i++) {
		const hopper_freed *f = &h->freed[i];
		X loader = op2(
			g, TX_MUL, op2(g, TX_MOD, f->tile, i32(g, h->plan->warps / 4)), i32(g, 4));

		tile_if_begin(g->p, at,
			op2(g, TX_AND, f->load, op2(g, TX_EQ, tx_leaf(g->p, TX_WARP), loader)));
		tile_await(g->p, at, f->keys ? h->key_done : h->value_done, f->tile, f->parity);
		tile_note(g->p, "every warp is done with this tile: load the next block's");
		if (f->keys)
			hopper_load_keys(h, f->base, f->tile);
		else
			hopper_load_values(h, f->base, f->tile);
		tile_end(g->p);
	}
	h->freed_count = 0;
}

static void step_done(hopper *h, int step, bool keys)
{
	if (h->loads)
		give_back(h, step,
			(hopper_freed){.keys = keys,
				.load = var(h, h->at.load),
				.base = next_base(h),
				.parity = var(h, h->at.parity)});
}

static void keys_done(hopper *h, int step)
{
	step_done(h, step, true);
}

static void values_done(hopper *h, int step)
{
	step_done(h, step, false);
}

/* What the position before used to its end, the values of its last step: where that was the last use of
 * its block, base and parity are already the next one's. */
static void owed_done(hopper *h, X owed)
{
	gpu_cx *g = h->g;
	int early = early_group(h);

	if (!h->loads)
		return;
	if (g->m->outers)
		count_and_load(h, 1, early, h->tiles - early, owed, var(h, h->at.base));
	else
		give_back(h, h->steps - 1,
			(hopper_freed){.load = owed,
				.base = var(h, h->at.base),
				.parity = op2(g, TX_SUB, i32(g, 1), var(h, h->at.parity))});
}

X hopper_first_base(hopper *h)
{
	return op2(h->g, TX_SUB, h->g->high[0], i32(h->g, h->plan->resident - 1));
}

/* --- products --- */

/* S = or += part of A times B. */
static void part_product(hopper *h, tile_frag *s, int seg, tile_frag *a, X tile, X row, bool zero)
{
	tile_wgmma(h->g->p, h->g->m->segment[seg].b->at, tile_whole(s), tile_whole(a),
		tile_part(h->key[seg], tile, row, i32(h->g, 0), h->plan->key_tile, a->cols), false,
		zero);
}

void hopper_score_product(hopper *h, tile_frag *s, X tile, X row)
{
	gpu_cx *g = h->g;

	for (int i = 0; i < g->m->segments; i++) {
		part_product(h, s, i, g->a[i], tile, row, i == 0);
		if (g->rest[i])
			part_product(h, s, i, g->rest[i], tile, row, false);
	}
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

/* The last step's tile against block number `block`. */
static X last_tile(const hopper *h, X block)
{
	return tile_in(h, h->steps - 1, block);
}

int hopper_list_a(const hopper *h, tile_frag **list)
{
	gpu_cx *g = h->g;
	int count = 0;

	for (int i = 0; i < g->m->segments; i++) {
		list[count++] = g->a[i];
		if (g->rest[i])
			list[count++] = g->rest[i];
	}
	return count;
}

/* Up to three tiles and, with `a`, all of A. */
static int list_tiles(hopper *h, tile_frag *const *tile, int n, bool a, tile_frag **list)
{
	int count = 0;

	while (count < n && tile[count]) {
		list[count] = tile[count];
		count++;
	}
	return a ? count + hopper_list_a(h, list + count) : count;
}

enum { MOST_TILES = 3 + HOPPER_MOST_A };

static void fence(hopper *h, bool a, tile_frag *x, tile_frag *y, tile_frag *z)
{
	tile_frag *const tile[3] = {x, y, z};
	tile_frag *list[MOST_TILES];

	tile_wgmma_fence(h->g->p, h->g->s->at, list, list_tiles(h, tile, 3, a, list));
}

static void wait(hopper *h, int groups, bool a, tile_frag *x, tile_frag *y)
{
	tile_frag *const tile[2] = {x, y};
	tile_frag *list[MOST_TILES];

	tile_wgmma_wait(h->g->p, h->g->s->at, groups, list, list_tiles(h, tile, 2, a, list));
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

/* A part of O += Gv W of the position before, which was that step of the chunk. */
static void add_position(hopper *h, X step, void (*part)(hopper *))
{
	if (!h->at.outer)
		return;
	hopper_at(h, step);
	part(h);
	set_outer(h);
}

/* The first scores of a position; above them, but for the very first one, the last P V of the position
 * before, and below them its O += Gv W. The branch's end keeps the second scores apart from those sums:
 * both at once need more registers than there are. */
static void begin_position(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	X before = op2(g, TX_SUB, var(h, h->at.block),
		tx_3(g->p, TX_SELECT, at_first(h), i32(g, 1), i32(g, 0)));

	tile_if_begin(g->p, at, is_first(h));
	await_tile(h, h->key_full, 0, tx_bool(g->p, true));
	fence(h, true, h->s[0], NULL, NULL);
	score_product(h, 0, h->s[0]);
	tile_else(g->p);
	await_tile(h, h->key_full, 0, at_first(h));
	fence(h, true, g->sum, h->p, h->s[0]);
	value_product(h, h->steps - 1, last_tile(h, before), false);
	score_product(h, 0, h->s[0]);
	if (h->at.outer)
		add_position(h, previous_outer(h), hopper_load_own_gv);
	wait(h, 1, false, g->sum, h->p);
	owed_done(h, is_next_block(h));
	if (h->at.outer)
		add_position(h, previous_outer(h), hopper_add_step);
	tile_end(g->p);
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

/* A and c of a position and Gv of the one before. The loop's end keeps them behind the last softmax: among
 * its exponentials they take registers that the next scores need. */
static void prepare_position(hopper *h)
{
	if (!h->at.outer)
		return;
	set_outer(h);
	hopper_build(h);
	gpu_build_c(h->g);
	add_position(h, previous_outer(h), hopper_load_gv);
}

/* The second scores, the first weights. */
static void first_step(hopper *h)
{
	await_tile(h, h->key_full, 1, at_first(h));
	fence(h, true, h->s[1], NULL, NULL);
	score_product(h, 1, h->s[1]);
	load_freed(h);
	wait(h, 1, false, h->s[0], NULL);
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
	fence(h, true, g->sum, now, h->p);
	value_product(h, step, tile_of(h, step), zero_first(h, step));
	score_product(h, step + 2, now);
	load_freed(h);
	if (step + 3 == h->steps)
		build_next(h, hopper_load_rows);
	wait(h, 2, false, next, NULL);
	keys_done(h, step + 1);
	softmax(h, step + 1);
	wait(h, 1, false, g->sum, h->p);
	values_done(h, step);
	pack(h, step + 1);
	if (h->at.outer && h->loads && step == early_step(h))
		count_and_load(h, 0, 0, early_group(h), var(h, h->at.load), next_base(h));
}

/* The values of the last step, also where they share a tile with a step before: the branch keeps ptxas
 * from moving the wait for P V, which follows, above the exponentials. */
static void await_last(hopper *h)
{
	int step = h->steps - 1;

	if (h->at.outer || first_of_tile(h, step))
		await_landed(h, h->value_full, step, at_first(h));
}

/* The last step but one: no scores are left to issue, and nothing stays in flight behind it. */
static void late_step(hopper *h)
{
	int step = h->steps - 2;
	gpu_cx *g = h->g;

	await_tile(h, h->value_full, step, at_first(h));
	fence(h, false, g->sum, h->p, NULL);
	value_product(h, step, tile_of(h, step), zero_first(h, step));
	load_freed(h);
	build_next(h, hopper_load_vectors);
	wait(h, 1, true, h->s[(step + 1) & 1], NULL);
	keys_done(h, step + 1);
	/* A's registers are free */
	if (h->steps < 3)
		build_next(h, hopper_load_rows);
	build_next(h, hopper_load_rest);
	softmax(h, step + 1);
	await_last(h);
	wait(h, 0, false, g->sum, h->p);
	values_done(h, step);
	pack(h, step + 1);
	load_freed(h);
}

static void drain(hopper *h, X count)
{
	gpu_cx *g = h->g;
	X last = h->at.outer ? op2(g, TX_SUB, h->chunk_steps, i32(g, 1)) : NULL;

	fence(h, false, g->sum, h->p, NULL);
	value_product(h, h->steps - 1, last_tile(h, op2(g, TX_SUB, count, i32(g, 1))), false);
	wait(h, 0, false, g->sum, h->p);
	if (h->loads)
		owed_done(h, op2(g, TX_LT, count, h->loads));
	load_freed(h);
	add_position(h, last, hopper_load_gv);
	add_position(h, last, hopper_load_own_gv);
	add_position(h, last, hopper_add_step);
}

/* To the next outer position, or to the first one against the next keys. */
static void advance(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	if (!h->at.outer) {
		next_block(h);
		return;
	}
	tile_set(g->p, at, h->at.outer, next_outer(h));
	tile_if_begin(g->p, at, at_first(h));
	next_block(h);
	tile_end(g->p);
}

static void position(hopper *h)
{
	begin_flags(h);
	begin_position(h);
	first_step(h);
	for (int step = 0; step + 2 < h->steps; step++)
		middle_step(h, step);
	late_step(h);
}

/* `count` times `keys` keys from the newest, the first of them from `base` on; with `loads`, that
 * many blocks are loaded one over the other while they are used. */
static void pipeline(hopper *h, int keys, X count, X base, X loads)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;

	h->keys = keys;
	h->steps = keys / h->plan->key_tile;
	h->loads = loads;
	h->at.outer = NULL;
	tile_if_begin(g->p, at, op2(g, TX_LT, i32(g, 0), count));
	h->at.base = tile_let(g->p, at, "base", base);
	tile_map(g->p, at, tile_whole(h->p), tx_cvt(g->p, h->plan->operand, tx_f32(g->p, 0)));
	if (g->m->outers) {
		tile_map(g->p, at, tile_whole(g->sum), tx_f32(g->p, 0));
		hopper_clear_gv(h);
		hopper_at(h, i32(g, 0));
		hopper_load_rows(h);
		hopper_load_vectors(h);
		hopper_load_rest(h);
		hopper_build(h);
		gpu_build_c(g);
	}
	h->at.block = tile_let(g->p, at, "block", i32(g, 0));
	if (g->m->outers)
		h->at.outer = tile_let(g->p, at, "step", i32(g, 0));
	tile_for_begin(g->p, at, "turn", i32(g, 0), i32(g, INT32_MAX), i32(g, 1));
	position(h);
	advance(h);
	tile_break(g->p, at, op2(g, TX_EQ, var(h, h->at.block), count));
	prepare_position(h);
	tile_end(g->p);
	drain(h, count);
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
