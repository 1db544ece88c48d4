/* lower.c: the loop nest of the kernel (see gpu.h).
 * in:  a plan;  out: a complete tile program, not yet verified */
#include "gpu/gpu_internal.h"
#include <math.h>

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

/* --- arguments --- */

tile_type gpu_stored_type(sema_dtype t)
{
	switch (t) {
	case DTYPE_BF16:
		return TILE_BF16;
	case DTYPE_F16:
		return TILE_F16;
	case DTYPE_I32:
		return TILE_I32;
	case DTYPE_F32:
	case DTYPE_F64:
		break;
	}
	return TILE_F32;
}

void gpu_declare_arguments(gpu_cx *g)
{
	const sema_spec *s = g->s;
	arena *a = g->p->arena;

	g->tensor = ARENA_ARRAY(a, tile_arg *, s->tensor.count + 1);
	g->stride = arena_alloc(a, sizeof *g->stride * (size_t)(s->tensor.count + 1));
	g->length = ARENA_ARRAY(a, tile_arg *, s->length.count + 1);
	g->param = ARENA_ARRAY(a, tile_arg *, s->param.count + 1);
	for (int t = 0; t < s->tensor.count; t++) {
		const sema_tensor *x = s->tensor.item[t];

		g->tensor[t] =
			tile_tensor(g->p, x->at, x->name, gpu_stored_type(x->dtype), x->output);
	}
	for (int t = 0; t < s->tensor.count; t++)
		for (int d = 0; d + 1 < s->tensor.item[t]->rank; d++) {
			const sema_tensor *x = s->tensor.item[t];
			char *name = arena_printf(a, "%s_stride_%s", x->name, x->dim[d].name);

			g->stride[t][d] = tile_scalar(g->p, x->at, name, TILE_I64);
		}
	for (int i = 0; i < s->length.count; i++)
		g->length[i] =
			tile_scalar(g->p, s->length.item[i]->at, s->length.item[i]->name, TILE_I32);
	for (int i = 0; i < s->param.count; i++)
		g->param[i] = tile_scalar(g->p, s->param.item[i]->at, s->param.item[i]->name,
			s->param.item[i]->type == TYPE_INT ? TILE_I32 : TILE_F32);
	g->aligned = tile_scalar(g->p, s->at, "aligned", TILE_I32);
	g->aligned->what = "rows of copied tensors begin at multiples of 16 bytes";
	g->wanted = tile_scalar(g->p, s->at, "wanted", TILE_I32);
	g->wanted->what = "bit n: output n is computed";
}

/* --- main loop --- */

static void key_tile(gpu_cx *g, X slot, X block0, X tile)
{
	X key0 = keep(
		g, "key0", op2(g, TX_ADD, block0, op2(g, TX_MUL, tile, i32(g, g->plan->key_tile))));

	gpu_score_product(g, slot, tile);
	gpu_scores(g, key0);
	gpu_raise(g);
	gpu_tile_sums(g, slot, key0, tile);
}

static X tile_of(gpu_cx *g, X key, X block0)
{
	return op2(g, TX_DIV, op2(g, TX_SUB, key, block0), i32(g, g->plan->key_tile));
}

/* The tiles of the block at block0 that hold keys of the union, with outer axes the warp's. */
static void key_tiles(gpu_cx *g, X slot, X block0)
{
	int tiles = g->plan->resident / g->plan->key_tile;
	X from = i32(g, 0), low, high = g->high[0];
	tile_var *t;

	if (tiles == 1) {
		key_tile(g, slot, block0, i32(g, 0));
		return;
	}
	if (g->m->outers) {
		gpu_warp_window(g, g->m->inner, &low, &high);
		from = op2(g, TX_MAX, from, tile_of(g, low, block0));
	}
	t = tile_for_begin(g->p, g->s->at, "tile", from,
		op2(g, TX_MIN, i32(g, tiles), op2(g, TX_ADD, tile_of(g, high, block0), i32(g, 1))),
		i32(g, 1));
	key_tile(g, slot, block0, tx_var(g->p, t));
	tile_end(g->p);
}

/* Loops over the outer axes from o on, each over what is staged, and the work of one step. */
static void outer_steps(gpu_cx *g, int o, X slot, X block0)
{
	const sema_axis *axis;
	X from, to, low, high;
	tile_var *v;

	if (o >= g->m->outers || o >= SEMA_MAX_KEYS - 1) {
		gpu_build_a(g);
		gpu_step_begin(g);
		key_tiles(g, slot, block0);
		gpu_step_end(g);
		return;
	}
	axis = g->m->outer[o];
	from = g->low[1 + o];
	to = op2(g, TX_ADD, g->high[1 + o], i32(g, 1));
	if (g->plan->stage) {
		from = g->stage0[o];
		to = op2(g, TX_MIN, op2(g, TX_ADD, from, i32(g, g->plan->stage)), to);
	}
	gpu_warp_window(g, axis, &low, &high);
	from = op2(g, TX_MAX, from, low);
	to = op2(g, TX_MIN, to, op2(g, TX_ADD, high, i32(g, 1)));
	v = tile_for_begin(g->p, axis->at, axis->name, from, to, i32(g, 1));
	g->outer[o] = tx_var(g->p, v);
	outer_steps(g, o + 1, slot, block0);
	tile_end(g->p);
}

/* Outer positions, `stage` of each axis at a time. */
static void outer_stages(gpu_cx *g, int o, X slot, X block0)
{
	const sema_axis *axis;
	tile_var *v;

	if (!g->plan->stage || o >= g->m->outers || o >= SEMA_MAX_KEYS - 1) {
		if (g->plan->stage && g->m->outers)
			gpu_stage_outer(g);
		outer_steps(g, 0, slot, block0);
		return;
	}
	axis = g->m->outer[o];
	v = tile_for_begin(g->p, axis->at, arena_printf(g->p->arena, "%s_stage", axis->name),
		g->low[1 + o], op2(g, TX_ADD, g->high[1 + o], i32(g, 1)), i32(g, g->plan->stage));
	g->stage0[o] = tx_var(g->p, v);
	outer_stages(g, o + 1, slot, block0);
	tile_end(g->p);
}

void gpu_start_sums(gpu_cx *g)
{
	loc at = g->s->at;

	tile_map(g->p, at, tile_whole(g->m_max), tx_f32(g->p, -INFINITY));
	tile_map(g->p, at, tile_whole(g->l_sum), tx_f32(g->p, 0));
	if (g->out)
		tile_map(g->p, at, tile_whole(g->out), tx_f32(g->p, 0));
	if (g->sum && g->sum != g->out)
		tile_map(g->p, at, tile_whole(g->sum), tx_f32(g->p, 0));
}

/* Blocks of resident keys from the first key of the union on. With two slots the next block's copies
 * run while one is used. */
static void key_blocks(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;
	loc at = g->s->at;
	X size = i32(g, pl->resident), end = op2(g, TX_ADD, g->high[0], i32(g, 1)), block0, next;
	X slot = i32(g, 0), other = i32(g, 1);
	tile_var *turn = NULL, *b;

	if (pl->slots == 2) {
		turn = tile_let(g->p, at, "slot", slot);
		slot = tx_var(g->p, turn);
		other = op2(g, TX_SUB, i32(g, 1), slot);
		tile_if_begin(g->p, at, op2(g, TX_LT, g->low[0], end));
		gpu_load_block(g, g->low[0], slot);
		tile_end(g->p);
	}
	b = tile_for_begin(g->p, at, "block0", g->low[0], end, size);
	tile_note(g->p, "resident keys: from block0 on");
	block0 = tx_var(g->p, b);
	next = op2(g, TX_ADD, block0, size);
	if (pl->slots == 1)
		gpu_load_block(g, block0, slot);
	tile_wait(g->p, at, 0);
	tile_barrier(g->p, at);
	if (pl->slots == 2) {
		tile_if_begin(g->p, at, op2(g, TX_LT, next, end));
		gpu_load_block(g, next, other);
		tile_end(g->p);
	}
	outer_stages(g, 0, slot, block0);
	if (pl->slots == 1)
		tile_barrier(g->p, at);
	else
		tile_set(g->p, at, turn, other);
	tile_end(g->p);
}

/* How many blocks: of rows, for each key head and batch entry. */
const char *gpu_grid(const gpu_cx *g)
{
	const sema_axis *head = g->m->head, *group = head ? head->group : NULL;
	text t = {0};
	const char *s;

	text_printf(&t, "grid x = ceil(%s", g->s->query ? g->s->query->length->name : "1");
	if (head)
		text_printf(&t, " * %s", head->length->name);
	if (group)
		text_printf(&t, " / %s", group->length->name);
	text_printf(&t, " / %d)", gpu_block_row_count(g->plan));
	for (int i = 0; i < g->s->axis.count; i++) {
		const sema_axis *x = g->s->axis.item[i];

		if (x->kind == AXIS_ROW && x != head)
			text_printf(&t, " * %s", x->length->name);
	}
	if (group)
		text_printf(&t, " * %s", group->length->name);
	s = arena_strdup(g->p->arena, t.data);
	text_free(&t);
	return s;
}

static tile_program *mma_lower(arena *a, const gpu_plan *plan, diags *d)
{
	const sema_spec *s = plan->form->spec;
	gpu_cx g = {.plan = plan, .m = plan->form, .s = s, .d = d};
	char *name = arena_printf(a, "%s_%s", s->name, plan->target);
	int column;

	g.p = tile_program_create(a, name, plan->target, plan->warps, s->src);
	source_position(s->src, s->at.begin, &g.p->line, &column);
	g.base_coord = ARENA_ARRAY(a, X, s->axis.count + 1);
	g.p->what = gpu_grid(&g);
	gpu_declare_arguments(&g);
	gpu_block_rows(&g);
	gpu_operands(&g);
	gpu_windows(&g);
	gpu_load_rows(&g);
	for (int i = 0; i < gpu_parts(plan); i++) {
		gpu_part_begin(&g, i);
		gpu_start_sums(&g);
		gpu_passes_begin(&g);
		key_blocks(&g);
		gpu_passes_end(&g);
		gpu_epilogue(&g);
	}
	tile_place_shared(g.p);
	return diag_error_count(d) ? NULL : g.p;
}

tile_program *gpu_lower(arena *a, const gpu_plan *plan, diags *d)
{
	return plan->family == GPU_WGMMA ? gpu_hopper_lower(a, plan, d) : mma_lower(a, plan, d);
}
