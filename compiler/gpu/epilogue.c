/* epilogue.c: from sums to outputs.
 * in:  O, l and m of every row after the loops
 * out: O / l (0 for an empty row), R, residuals, stores; lse
 * Rows of 16-bit results go through shared memory where they can, and leave by 16-byte stores. */
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

static void result_env(gpu_cx *g, gpu_env *e)
{
	gpu_env_init(g, e);
	if (g->s->query)
		e->coord[g->s->query->id] = tx_frag(g->p, g->row_i);
	if (g->m->head)
		e->coord[g->m->head->id] = tx_frag(g->p, g->row_h);
}

/* The sink is one more logit. Leaves 1 / l, or 0 for an empty row, in `inverse`. */
static void normalise(gpu_cx *g, tile_frag *inverse)
{
	loc at = g->s->at;
	X one = tx_f32(g->p, 1), zero = tx_f32(g->p, 0), l = tx_frag(g->p, g->l_sum);

	if (!g->m->normalised) {
		tile_map(g->p, at, tile_whole(inverse), tx_f32(g->p, gpu_score_scale(g)));
		return;
	}
	tile_quad(g->p, at, g->l_sum, WORD_SUM);
	tile_map(g->p, at, tile_whole(inverse), one);
	if (g->m->sink) {
		tile_frag *z =
			tile_register(g->p, at, "sink", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
		tile_frag *top =
			tile_register(g->p, at, "top", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
		X m = tx_frag(g->p, g->m_max), t = tx_frag(g->p, top);
		gpu_env e;

		result_env(g, &e);
		tile_map(g->p, g->m->sink->at, tile_whole(z),
			op2(g, TX_MUL, gpu_float(g, &e, g->m->sink),
				tx_f32(g->p, 1.44269504088896340736)));
		tile_map(g->p, at, tile_whole(top), op2(g, TX_MAX, m, tx_frag(g->p, z)));
		tile_map(g->p, at, tile_whole(inverse),
			tx_3(g->p, TX_SELECT, op2(g, TX_EQ, m, tx_f32(g->p, -INFINITY)), zero,
				tx_1(g->p, TX_EX2, op2(g, TX_SUB, m, t))));
		tile_map(g->p, at, tile_whole(g->l_sum),
			op2(g, TX_ADD, op2(g, TX_MUL, l, tx_frag(g->p, inverse)),
				tx_3(g->p, TX_SELECT,
					op2(g, TX_EQ, tx_frag(g->p, z), tx_f32(g->p, -INFINITY)),
					zero,
					tx_1(g->p, TX_EX2, op2(g, TX_SUB, tx_frag(g->p, z), t)))));
		tile_map(g->p, at, tile_whole(g->m_max), t);
	}
	tile_map(g->p, at, tile_whole(inverse),
		tx_3(g->p, TX_SELECT, op2(g, TX_EQ, l, zero), zero,
			op2(g, TX_DIV, tx_frag(g->p, inverse), l)));
}

/* One of the warps that share a row stores it. */
static X row_stored(gpu_cx *g)
{
	X row = tx_leaf(g->p, TX_ROW);
	X exists = op2(g, TX_LT, op2(g, TX_ADD, g->row0, row), g->rows_total);

	if (g->plan->split <= 1)
		return exists;
	return op2(g, TX_AND, exists, op2(g, TX_LT, row, i32(g, gpu_block_row_count(g->plan))));
}

/* Offset of an output element; the feature dimension takes `feature`. */
static X output_offset(gpu_cx *g, gpu_env *e, const sema_tensor *t, X feature)
{
	X sub[SEMA_MAX_RANK];

	for (int d = 0; d < t->rank; d++) {
		const sema_axis *a = t->dim[d].axis;

		sub[d] = a && a->kind != AXIS_FEATURE ? e->coord[a->id] : feature;
	}
	return gpu_offset(g, t, sub);
}

static X finish(gpu_cx *g, gpu_env *e, const model_output *o, X v)
{
	if (o->row)
		v = op2(g, TX_MUL, v, gpu_float(g, e, o->row));
	if (o->plus)
		v = op2(g, TX_ADD, v, gpu_float(g, e, o->plus));
	return v;
}

static void store_sum(gpu_cx *g, int i, const gpu_part *part, tile_frag *inverse)
{
	const model_output *o = &g->m->output[i];
	int extent = g->plan->e_extent[i];
	X e, v, pred, feature;
	gpu_env env;

	result_env(g, &env);
	e = op2(g, TX_ADD, tx_leaf(g->p, TX_COL), i32(g, part->first - part->col));
	feature = part->cols == part->features ? e : op2(g, TX_MIN, e, i32(g, extent - 1));
	if (o->e)
		env.coord[o->e->id] = feature;
	v = op2(g, TX_MUL, tx_frag(g->p, g->out), tx_frag(g->p, inverse));
	v = finish(g, &env, o, v);
	pred = row_stored(g);
	if (part->cols != part->features)
		pred = op2(g, TX_AND, pred, op2(g, TX_LT, e, i32(g, extent)));
	tile_store(g->p, o->tensor->at, g->tensor[o->tensor->id],
		tile_columns(g->out, i32(g, part->col), part->cols),
		output_offset(g, &env, o->tensor, o->e ? feature : NULL), v, pred);
}

/* --- rows by 16-byte stores --- */

/* Nothing but a 16-bit O / l, with features last, in whole chunks. */
static bool is_plain_result(const model_output *o)
{
	const sema_tensor *t = o->tensor;

	return o->kind == OUTPUT_SUM && o->e && !o->row && !o->plus && t->rank > 0 &&
	       t->dim[t->rank - 1].axis == o->e && o->e->extent % 8 == 0 &&
	       tile_type_bytes(gpu_stored_type(t->dtype)) == 2;
}

bool gpu_stores_rows(const gpu_plan *p, const sema_tensor *t)
{
	if (p->family != GPU_WGMMA)
		return false;
	for (int i = 0; i < p->form->outputs; i++)
		if (p->form->output[i].tensor == t && is_plain_result(&p->form->output[i]))
			return true;
	return false;
}

void gpu_results_declare(gpu_cx *g, tile_buffer *memory)
{
	int64_t fit = tile_slot_bytes(memory) * memory->slots / (2 * g->plan->rows) / 16 * 16;

	for (int i = 0; i < g->m->outputs; i++) {
		const model_output *o = &g->m->output[i];
		int cols = (g->plan->e_extent[i] + 15) / 16 * 16;

		if (!fit || !gpu_stores_rows(g->plan, o->tensor))
			continue;
		g->results[i] = tile_shared_again(g->p, o->tensor->at, "results",
			gpu_stored_type(o->tensor->dtype), 1, g->plan->rows,
			cols < fit ? cols : (int)fit, memory);
		g->results[i]->what = "results on their way out";
	}
}

/* Columns [col, col + cols) of O, of which `features` are the output's from `first` on. */
static void store_row_part(
	gpu_cx *g, int i, tile_frag *result, int col, int cols, int first, int features)
{
	const sema_tensor *t = g->m->output[i].tensor;
	tile_buffer *buf = g->results[i];
	tile_slice part = tile_columns(result, i32(g, col), cols);
	X row = gpu_row_number(g); /* as the positions of all rows have it */
	gpu_env env;

	gpu_env_init(g, &env);
	if (g->s->query)
		env.coord[g->s->query->id] = op2(g, TX_DIV, row, g->heads);
	if (g->m->head)
		env.coord[g->m->head->id] =
			op2(g, TX_ADD, g->first_head, op2(g, TX_MOD, row, g->heads));
	tile_stsm(g->p, t->at, tile_part(buf, NULL, NULL, NULL, buf->rows, cols), part);
	tile_store_rows(g->p, t->at, g->tensor[t->id],
		tile_part(buf, NULL, NULL, NULL, buf->rows, features),
		output_offset(g, &env, t, i32(g, first)), row_stored(g));
}

/* The rows of outputs of different widths lie in different places. */
static bool is_later_result(const gpu_cx *g, int i)
{
	for (int before = 0; before < i; before++)
		if (g->results[before])
			return true;
	return false;
}

static void store_rows(gpu_cx *g, int i, const gpu_part *part, tile_frag *inverse)
{
	const sema_tensor *t = g->m->output[i].tensor;
	tile_type type = gpu_stored_type(t->dtype);
	int step = g->results[i]->cols;
	tile_frag *result =
		tile_register(g->p, t->at, "result", LAYOUT_OPA, type, g->plan->rows, g->out->cols);

	tile_map(g->p, t->at, tile_columns(result, i32(g, part->col), part->cols),
		tx_cvt(g->p, type, op2(g, TX_MUL, tx_frag(g->p, g->out), tx_frag(g->p, inverse))));
	if (is_later_result(g, i))
		tile_barrier(g->p, t->at);
	for (int k = 0; k < part->features; k += step) {
		int cols = part->cols - k < step ? part->cols - k : step;
		int features = part->features - k < cols ? part->features - k : cols;

		store_row_part(g, i, result, part->col + k, cols, part->first + k, features);
	}
}

/* ptxas spills less when the rows come second. */
static void store_output(gpu_cx *g, int i, const gpu_part *part, tile_frag *inverse)
{
	bool rows = g->results[i];

	if (rows)
		tile_if_begin(g->p, g->m->output[i].tensor->at,
			op2(g, TX_EQ, tx_arg(g->p, g->aligned), i32(g, 0)));
	store_sum(g, i, part, inverse);
	if (!rows)
		return;
	tile_else(g->p);
	store_rows(g, i, part, inverse);
	tile_end(g->p);
}

/* --- lse --- */

static void store_lse(gpu_cx *g, int i)
{
	const model_output *o = &g->m->output[i];
	X l = tx_frag(g->p, g->l_sum), v, pred;
	gpu_env env;

	result_env(g, &env);
	v = op2(g, TX_MUL, op2(g, TX_ADD, tx_frag(g->p, g->m_max), tx_1(g->p, TX_LG2, l)),
		tx_f32(g->p, 0.69314718055994530942));
	v = tx_3(g->p, TX_SELECT, op2(g, TX_EQ, l, tx_f32(g->p, 0)), tx_f32(g->p, -INFINITY), v);
	pred = op2(g, TX_AND, row_stored(g),
		op2(g, TX_EQ, op2(g, TX_MOD, tx_leaf(g->p, TX_LANE), i32(g, 4)), i32(g, 0)));
	tile_store(g->p, o->tensor->at, g->tensor[o->tensor->id], tile_whole(g->l_sum),
		output_offset(g, &env, o->tensor, NULL), finish(g, &env, o, v), pred);
}

static X wanted(gpu_cx *g, int i)
{
	int bit = 1 << (g->m->output[i].tensor->id - g->s->inputs);

	return op2(g, TX_NE, op2(g, TX_AND, tx_arg(g->p, g->wanted), i32(g, bit)), i32(g, 0));
}

void gpu_epilogue(gpu_cx *g)
{
	tile_frag *inverse =
		tile_register(g->p, g->s->at, "inverse", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);

	/* again: held in registers through the loops they would push out accumulators */
	gpu_row_positions(g);
	gpu_row_heads(g);
	normalise(g, inverse);
	for (int i = 0; i < g->m->outputs; i++) {
		bool sum = g->m->output[i].kind == OUTPUT_SUM;
		gpu_part part;

		if (sum ? !gpu_output_part(g, i, &part) : g->part > 0)
			continue;
		tile_if_begin(g->p, g->m->output[i].tensor->at, wanted(g, i));
		if (sum)
			store_output(g, i, &part, inverse);
		else
			store_lse(g, i);
		tile_end(g->p);
	}
}
