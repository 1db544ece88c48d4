/* hopper.c: the kernel of the wgmma family.
 * in:  a plan of the family;  out: a complete tile program, not yet verified
 *
 * First a fast pass whose weights are 2^s without a running maximum: P is bf16, l and O are f32,
 * so nothing is lost while the sums stay far from the ends of f32. One check at the end tells; when
 * it fails for any row, the block does everything again with the exact online softmax. A NaN may
 * then still be that of a value which its row does not see: see exact.c; a last pass adds such keys
 * one by one. All passes leave O, l and m to the epilogue. f16 weights have no such range: they take
 * the exact passes only. */
#include "gpu/hopper_internal.h"
#include <math.h>

/* A fast pass counts when every row's sum of weights lies between these. */
#define SUM_LEAST 0x1p-40
#define SUM_MOST 0x1p60

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X op2(gpu_cx *g, tile_expr_op op, X a, X b)
{
	return tx_2(g->p, op, a, b);
}

static X keep(gpu_cx *g, const char *name, X v)
{
	return tx_var(g->p, tile_let(g->p, g->s->at, name, v));
}

static void initialise(gpu_cx *g, double m)
{
	loc at = g->s->at;

	tile_map(g->p, at, tile_whole(g->m_max), tx_f32(g->p, m));
	tile_map(g->p, at, tile_whole(g->l_sum), tx_f32(g->p, 0));
	tile_map(g->p, at, tile_whole(g->out), tx_f32(g->p, 0));
	if (g->sum != g->out)
		tile_map(g->p, at, tile_whole(g->sum), tx_f32(g->p, 0));
}

/* --- chunks of outer positions --- */

typedef void pass(hopper *h);

static void chunk(hopper *h, pass *run)
{
	gpu_cx *g = h->g;
	int last = g->m->outers - 1;
	X left;

	h->more_chunks = NULL;
	for (int o = 0; o <= last; o++) {
		X next = o == last ? op2(g, TX_ADD, h->chunk0, i32(g, h->plan->chunk))
				   : op2(g, TX_ADD, g->outer[o], i32(g, 1));
		X more = op2(g, TX_LE, next, g->high[1 + o]);

		h->more_chunks = h->more_chunks ? op2(g, TX_OR, h->more_chunks, more) : more;
	}
	if (last >= 0) {
		h->more_chunks = keep(g, "more_chunks", h->more_chunks);
		left = op2(g, TX_ADD, op2(g, TX_SUB, g->high[1 + last], h->chunk0), i32(g, 1));
		left = op2(g, TX_MIN, left, i32(g, h->plan->chunk));
		if (h->plan->split > 1)
			left = op2(g, TX_DIV, op2(g, TX_ADD, left, i32(g, h->plan->split - 1)),
				i32(g, h->plan->split));
		h->chunk_steps = keep(g, "chunk_steps", left);
	}
	hopper_stage(h);
	run(h);
	if (last >= 0)
		tile_barrier(g->p, g->s->at);
}

static void chunks(hopper *h, int o, pass *run)
{
	gpu_cx *g = h->g;
	const sema_axis *axis;
	tile_var *v;
	bool last = o + 1 == g->m->outers;

	if (o >= g->m->outers || o >= SEMA_MAX_KEYS - 1) {
		chunk(h, run);
		return;
	}
	axis = g->m->outer[o];
	v = tile_for_begin(g->p, axis->at,
		last ? arena_printf(g->p->arena, "%s_chunk", axis->name) : axis->name,
		g->low[1 + o], op2(g, TX_ADD, g->high[1 + o], i32(g, 1)),
		i32(g, last ? h->plan->chunk : 1));
	if (last)
		h->chunk0 = tx_var(g->p, v);
	else
		g->outer[o] = tx_var(g->p, v);
	chunks(h, last ? g->m->outers : o + 1, run);
	tile_end(g->p);
}

/* --- the exact pass --- */

typedef struct {
	X key0, tile, row; /* first key; where it lies */
} key_tile;

/* Gv comes from where it is staged: in registers it would cost the fast pass some of its own. */
static X value_at(gpu_cx *g, const gpu_values *of, int i, X column)
{
	hopper *h = of->user;
	X row = op2(g, TX_ADD, of->row, column);
	X col = op2(g, TX_SUB, tx_leaf(g->p, TX_COL), i32(g, h->plan->e_offset[i]));
	X v = tx_cvt(g->p, TILE_F32, tx_shared(g->p, h->value[i], of->slot, row, col));

	return g->m->output[i].outer ? op2(g, TX_MUL, v, hopper_outer_value(h, i)) : v;
}

static void careful_product(hopper *h, const key_tile *t)
{
	tile_note(h->g->p, "a hidden value may be NaN or infinite: key by key");
	gpu_careful_sums(h->g, t->key0,
		&(gpu_values){.value = value_at, .slot = t->tile, .row = t->row, .user = h});
}

static void exact_product(hopper *h, const key_tile *t)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	tile_frag *s = h->s[0], *after[2] = {g->sum, h->p};

	tile_map(g->p, at, tile_whole(h->p), tx_cvt(g->p, h->plan->operand, tx_frag(g->p, s)));
	tile_wgmma_fence(g->p, at, after, 2);
	hopper_value_product(h, t->tile, t->row, false);
	tile_wgmma_wait(g->p, at, 0, after, 2);
	if (g->summed)
		tile_set(g->p, at, g->summed, tx_bool(g->p, true));
}

/* W += P V; in the last pass O += P V of keys that some row does not see. */
static void exact_sums(hopper *h, const key_tile *t)
{
	gpu_cx *g = h->g;
	X careful = g->pass ? op2(g, TX_EQ, g->pass, i32(g, 1)) : NULL;

	if (!careful) {
		exact_product(h, t);
		return;
	}
	if (g->m->masks == 0)
		careful = op2(g, TX_AND, careful, tx_1(g->p, TX_NOT, gpu_all_seen(g, t->key0)));
	tile_if_begin(g->p, g->s->at, careful);
	careful_product(h, t);
	tile_else(g->p);
	exact_product(h, t);
	tile_end(g->p);
}

static void exact_step(hopper *h, X step)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	int n = h->plan->key_tile;
	X key = op2(g, TX_SUB, i32(g, h->plan->resident - n), op2(g, TX_MUL, step, i32(g, n)));
	key_tile t = {.tile = keep(g, "tile", op2(g, TX_DIV, key, i32(g, h->plan->load))),
		.row = keep(g, "row0_tile", op2(g, TX_MOD, key, i32(g, h->plan->load))),
		.key0 = keep(g, "key0", op2(g, TX_ADD, tx_var(g->p, h->at.base), key))};
	tile_frag *s = h->s[0], *before[1 + HOPPER_MOST_A] = {s};
	int tiles = 1 + hopper_list_a(h, before + 1);

	tile_if_begin(g->p, at,
		op2(g, TX_AND, op2(g, TX_LE, t.key0, g->high[0]),
			op2(g, TX_LE, g->low[0], op2(g, TX_ADD, t.key0, i32(g, n - 1)))));
	tile_wgmma_fence(g->p, at, before, tiles);
	hopper_score_product(h, s, t.tile, t.row);
	tile_wgmma_wait(g->p, at, 0, before, tiles);
	g->score = s;
	gpu_scores(g, t.key0);
	gpu_weights(g);
	exact_sums(h, &t);
	tile_end(g->p);
}

/* O += Gv W, but for a position whose keys were added one by one: its Gv may be NaN. */
static void exact_add_step(hopper *h)
{
	gpu_cx *g = h->g;

	if (g->summed)
		tile_if_begin(g->p, g->s->at, tx_var(g->p, g->summed));
	hopper_load_gv(h);
	hopper_load_own_gv(h);
	hopper_add_step(h);
	tile_map(g->p, g->s->at, tile_whole(g->sum), tx_f32(g->p, 0));
	if (g->summed)
		tile_end(g->p);
}

static void exact_position(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	tile_var *step;

	if (g->m->outers) {
		hopper_load_rows(h);
		hopper_load_vectors(h);
		hopper_load_rest(h);
	}
	hopper_build(h);
	gpu_build_c(g);
	gpu_step_begin(g);
	step = tile_for_begin(g->p, at, "step", i32(g, 0),
		i32(g, h->plan->resident / h->plan->key_tile), i32(g, 1));
	exact_step(h, tx_var(g->p, step));
	tile_end(g->p);
	if (g->sum != g->out)
		exact_add_step(h);
}

/* Until all tiles of the load of this parity have landed. */
static void await_block(hopper *h, X parity)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	tile_var *t = tile_for_begin(g->p, at, "landed", i32(g, 0), i32(g, h->tiles), i32(g, 1));

	tile_await(g->p, at, h->key_full, tx_var(g->p, t), parity);
	tile_await(g->p, at, h->value_full, tx_var(g->p, t), parity);
	tile_end(g->p);
}

static void exact_pass(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	int last = g->m->outers - 1;
	tile_var *b, *o;
	X base;

	b = tile_for_begin(g->p, at, "block", i32(g, 0), h->all_blocks, i32(g, 1));
	base = op2(g, TX_SUB, hopper_first_base(h),
		op2(g, TX_MUL, tx_var(g->p, b), i32(g, h->plan->resident)));
	h->at.base = tile_let(g->p, at, "base", base);
	base = tx_var(g->p, h->at.base);
	tile_barrier(g->p, at);
	hopper_load_block(h, base);
	await_block(h, tx_var(g->p, h->at.parity));
	if (last >= 0) {
		o = tile_for_begin(
			g->p, at, g->m->outer[last]->name, i32(g, 0), h->chunk_steps, i32(g, 1));
		hopper_at(h, tx_var(g->p, o));
	}
	exact_position(h);
	if (last >= 0)
		tile_end(g->p);
	tile_set(g->p, at, h->at.parity, op2(g, TX_SUB, i32(g, 1), tx_var(g->p, h->at.parity)));
	tile_end(g->p);
}

/* --- both --- */

/* Some row's sums left the safe range: too large, too small, nothing seen, or not a number. */
static X fast_pass_failed(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	tile_frag *l = tile_register(g->p, at, "l_all", LAYOUT_ROWV, TILE_F32, h->plan->rows, 1);
	X x = tx_frag(g->p, l), o = tx_frag(g->p, g->out), inside;

	tile_map(g->p, at, tile_whole(l), tx_frag(g->p, g->l_sum));
	tile_quad(g->p, at, l, WORD_SUM);
	inside = op2(g, TX_LT, tx_1(g->p, TX_ABS, o), tx_f32(g->p, INFINITY));
	if (g->m->normalised)
		inside = op2(g, TX_AND, inside,
			op2(g, TX_AND, op2(g, TX_LT, tx_f32(g->p, SUM_LEAST), x),
				op2(g, TX_LT, x, tx_f32(g->p, SUM_MOST))));
	return tx_var(g->p,
		tile_any_block(g->p, at, "again", tile_whole(g->out), tx_1(g->p, TX_NOT, inside)));
}

static X some_tuples(gpu_cx *g)
{
	X some = NULL;

	for (int n = 0; n <= g->m->outers; n++) {
		X here = op2(g, TX_LE, g->low[n], g->high[n]);

		some = some ? op2(g, TX_AND, some, here) : here;
	}
	return some;
}

/* The next chunk begins with the newest block again. */
static void fast_pass(hopper *h)
{
	gpu_cx *g = h->g;

	hopper_pipeline(h);
	/* loads of the rest that no step needed land before others go over them, or the block ends */
	if (hopper_unit(h) < h->plan->resident)
		await_block(h, op2(g, TX_SUB, i32(g, 1), tx_var(g->p, h->at.parity)));
	if (!h->more_chunks)
		return;
	tile_if_begin(g->p, g->s->at, h->more_chunks);
	tile_barrier(g->p, g->s->at);
	hopper_load_block(h, hopper_first_base(h));
	tile_end(g->p);
}

/* Whole blocks from the newest key on, then units; a last unit may reach below the oldest key. */
static void count_blocks(hopper *h)
{
	gpu_cx *g = h->g;
	int block = h->plan->resident, unit = hopper_unit(h);
	X keys = op2(g, TX_ADD, op2(g, TX_SUB, g->high[0], g->low[0]), i32(g, 1)), rest, units;

	/* a rest that needs all units is a block */
	h->blocks = keep(
		g, "blocks", op2(g, TX_DIV, op2(g, TX_ADD, keys, i32(g, unit - 1)), i32(g, block)));
	rest = op2(g, TX_SUB, keys, op2(g, TX_MUL, h->blocks, i32(g, block)));
	units = op2(g, TX_DIV, op2(g, TX_ADD, rest, i32(g, unit - 1)), i32(g, unit));
	h->units = keep(g, "units", op2(g, TX_MAX, units, i32(g, 0)));
	h->all_blocks = keep(g, "all_blocks",
		op2(g, TX_DIV, op2(g, TX_ADD, keys, i32(g, block - 1)), i32(g, block)));
}

/* Results go through the values' memory, which no warp may read any more. Elsewhere a barrier ends
 * the chunks or the merge, or a test of the whole block follows. */
static void leave_values(hopper *h)
{
	if (!h->g->m->outers && !h->sums)
		tile_barrier(h->g->p, h->g->s->at);
}

/* The exact pass, and once more where a NaN is left that rows may not see. Without a softmax there is
 * nothing but that for it to do. */
static void exact_passes(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	X sum = tx_frag(g->p, g->out);
	tile_var *wild;

	initialise(g, -INFINITY);
	if (!gpu_hides(g->m)) {
		chunks(h, 0, exact_pass);
		hopper_merge(h, true);
		leave_values(h);
		return;
	}
	g->pass = tx_var(g->p, tile_for_begin(g->p, at, "pass", i32(g, g->m->normalised ? 0 : 1),
				       i32(g, 2), i32(g, 1)));
	tile_note(g->p, "a second pass only where a sum became NaN");
	chunks(h, 0, exact_pass);
	hopper_merge(h, true);
	wild = tile_any_block(g->p, at, "wild", tile_whole(g->out), op2(g, TX_NE, sum, sum));
	tile_break(g->p, at,
		op2(g, TX_OR, tx_1(g->p, TX_NOT, tx_var(g->p, wild)),
			op2(g, TX_EQ, g->pass, i32(g, 1))));
	initialise(g, -INFINITY);
	tile_end(g->p);
}

static void passes(hopper *h)
{
	gpu_cx *g = h->g;
	loc at = g->s->at;
	bool fast = !g->m->normalised || h->plan->operand == TILE_BF16;
	bool exact = g->m->normalised || gpu_hides(g->m);

	initialise(g, fast ? 0 : -INFINITY);
	tile_if_begin(g->p, at, some_tuples(g));
	count_blocks(h);
	h->at.parity = tile_let(g->p, at, "parity", i32(g, 0));
	if (fast) {
		hopper_start(h, hopper_first_base(h));
		chunks(h, 0, fast_pass);
		hopper_merge(h, false);
		if (!exact)
			leave_values(h);
	} else {
		hopper_start(h, NULL);
	}
	if (fast && exact) {
		tile_if_begin(g->p, at, fast_pass_failed(h));
		tile_note(g->p, "sums left the range of the fast pass: again, exactly");
	}
	if (exact)
		exact_passes(h);
	if (fast && exact) {
		tile_end(g->p);
		tile_else(g->p);
		initialise(g, -INFINITY);
	}
	tile_end(g->p);
}

tile_program *gpu_hopper_lower(arena *a, const gpu_plan *plan, diags *d)
{
	const sema_spec *s = plan->form->spec;
	gpu_cx g = {.plan = plan, .m = plan->form, .s = s, .d = d};
	hopper h = {.g = &g, .plan = plan};
	char *name = arena_printf(a, "%s_%s", s->name, plan->target);
	int column;

	g.p = tile_program_create(a, name, plan->target, plan->warps, s->src);
	g.p->min_blocks = 1;
	source_position(s->src, s->at.begin, &g.p->line, &column);
	g.base_coord = ARENA_ARRAY(a, X, s->axis.count + 1);
	g.p->what = gpu_grid(&g);
	gpu_declare_arguments(&g);
	gpu_block_rows(&g);
	hopper_declare(&h);
	gpu_windows(&g);
	hopper_streams(&h);
	if (plan->form->outers) /* read from there for the tiles of a mask: few registers, at many positions */
		gpu_keep_rows(&g);
	hopper_barriers(&h);
	passes(&h);
	gpu_epilogue(&g);
	tile_place_shared(g.p);
	return diag_error_count(d) ? NULL : g.p;
}
