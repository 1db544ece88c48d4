/* operand.c: keys and values into shared memory, A and Gv into registers.
 * in:  the plan, the row form's A, B, V, Gv, c
 * out: statements that fill shared buffers (16-byte copies where operands are plain and aligned,
 * element by element otherwise) and register tiles */
#include "gpu/gpu_internal.h"

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

static X add(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_ADD, a, b);
}

static X mul(gpu_cx *g, X a, X b)
{
	return tx_2(g->p, TX_MUL, a, b);
}

static int pad16(int64_t x)
{
	return (int)((x + 15) / 16 * 16);
}

/* The feature that a column of a padded operand stands for; padding reads the last one. */
static X feature_of(gpu_cx *g, X column, int64_t extent)
{
	return extent % 16 ? tx_2(g->p, TX_MIN, column, i32(g, extent - 1)) : column;
}

/* v where the column is a feature, 0 in the padding. */
static X padded(gpu_cx *g, X column, int64_t extent, X v)
{
	if (extent % 16 == 0)
		return v;
	return tx_3(g->p, TX_SELECT, tx_2(g->p, TX_LT, column, i32(g, extent)), v, tx_f32(g->p, 0));
}

/* "q_rows" for a stream that is tensor q as it stands, else the other name. */
static const char *stream_name(
	gpu_cx *g, const model_stream *st, const char *suffix, const char *other)
{
	if (st->e->op != EXPR_LOAD)
		return other;
	return arena_printf(g->p->arena, "%s_%s", st->e->load.tensor->name, suffix);
}

double gpu_linear_scale(const row_form *m)
{
	if (!m->f_linear)
		return 1;
	return m->normalised ? m->f_scale * 1.44269504088896340736 : m->f_scale;
}

/* How many streams x is the product of; -1: it is something else. */
static int factors(const gpu_plan *p, const expr *x)
{
	int a, b;

	if (model_stream_find(&p->streams, x) >= 0)
		return 1;
	if (x->op != EXPR_MUL)
		return -1;
	a = factors(p, x->arg[0]);
	b = factors(p, x->arg[1]);
	return a < 0 || b < 0 ? -1 : a + b;
}

bool gpu_is_product(const gpu_plan *p, const expr *x)
{
	int n = factors(p, x);

	return n > 0 && (n <= 2 || p->operand == TILE_F32);
}

/* --- where a linear score is scaled --- */

/* In the f32 scores, so that A = q stays exact and A = q * k is rounded once; in A and c, where A is
 * computed in f32 anyway; in an outer vector (gpu_scaled_stream). */
typedef enum { SCALE_SCORES, SCALE_A, SCALE_OUTER } scale_place;

/* The outer stream of A = row stream * outer stream; -1: A is something else. */
static int outer_factor(const gpu_plan *p, const expr *a)
{
	int x, y;

	if (a->op != EXPR_MUL)
		return -1;
	x = model_stream_find(&p->streams, a->arg[0]);
	y = model_stream_find(&p->streams, a->arg[1]);
	if (x < 0 || y < 0 || (p->streams.item[x].outer < 0) == (p->streams.item[y].outer < 0))
		return -1;
	return p->streams.item[x].outer < 0 ? y : x;
}

static bool has_outer_factors(const gpu_plan *p)
{
	const row_form *m = p->form;

	for (int i = 0; i < m->segments; i++) {
		int s = outer_factor(p, m->segment[i].a);

		if (s < 0)
			return false;
		for (int o = 0; o < m->outputs; o++) /* read as it is there */
			if (m->output[o].e == p->streams.item[s].d)
				return false;
	}
	return m->segments > 0;
}

static scale_place scale_of(const gpu_plan *p)
{
	const row_form *m = p->form;

	if (gpu_linear_scale(m) <= 0)
		return SCALE_A;
	if (p->family != GPU_WGMMA || gpu_linear_scale(m) == 1)
		return SCALE_SCORES;
	for (int i = 0; i < m->segments; i++)
		if (!gpu_is_product(p, m->segment[i].a))
			return SCALE_A;
	/* rows that walk on their own would read twice as many vectors */
	return !p->own && has_outer_factors(p) ? SCALE_OUTER : SCALE_SCORES;
}

static scale_place scale_where(const gpu_cx *g)
{
	return scale_of(g->plan);
}

bool gpu_scales_vectors(const gpu_plan *p)
{
	return scale_of(p) == SCALE_OUTER;
}

double gpu_a_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_A ? gpu_linear_scale(g->m) : 1;
}

static double c_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_SCORES ? 1 : gpu_linear_scale(g->m);
}

double gpu_score_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_SCORES ? gpu_linear_scale(g->m) : 1;
}

bool gpu_scaled_stream(const gpu_cx *g, int s)
{
	if (scale_where(g) != SCALE_OUTER)
		return false;
	for (int i = 0; i < g->m->segments; i++)
		if (outer_factor(g->plan, g->m->segment[i].a) == s)
			return true;
	return false;
}

/* --- declarations --- */

static bool used_by_a(const gpu_cx *g, int s)
{
	for (int i = 0; i < g->m->segments; i++)
		if (g->m->segment[i].d == g->plan->streams.item[s].d)
			return true;
	return false;
}

void gpu_declare_stream(gpu_cx *g, int s)
{
	const model_stream *st = &g->plan->streams.item[s];
	int cols = pad16(st->d->extent);

	if (!used_by_a(g, s) || (g->plan->own && st->outer + 1 == g->m->outers))
		return;
	if (st->outer < 0) {
		g->stream[s] = tile_register(g->p, st->e->at, stream_name(g, st, "rows", "row_op"),
			LAYOUT_OPA, g->plan->operand, g->plan->rows, cols);
		g->stream[s]->what = "row operand of the scores";
	} else {
		g->stream[s] =
			tile_columnv(g->p, st->e->at, stream_name(g, st, "outer", "outer_op"),
				g->plan->operand, LAYOUT_OPA, cols);
		g->stream[s]->what = "outer key of this step";
		if (!gpu_scaled_stream(g, s))
			return;
		g->fine[s] = tile_columnv(g->p, st->e->at, stream_name(g, st, "fine", "outer_fine"),
			g->plan->operand, LAYOUT_OPA, cols);
		g->fine[s]->what = "what rounding left of it";
	}
}

/* Products of many normal numbers have long tails: rounding A to 16 bits then moves the largest
 * scores, which are what a row attends to, by more than P and V are rounded. */
bool gpu_in_two_parts(const gpu_plan *p, int seg)
{
	return p->form->outers > 1 && p->operand != TILE_F32 &&
	       !gpu_is_product(p, p->form->segment[seg].a);
}

void gpu_declare_a(gpu_cx *g, int seg)
{
	const expr *a = g->m->segment[seg].a;
	int s = model_stream_find(&g->plan->streams, a);

	if (gpu_shared_a(g, seg) >= 0) {
		g->a[seg] = tile_register(g->p, a->at, "a", LAYOUT_OPA, g->plan->operand,
			g->plan->rows, g->plan->operand == TILE_F32 ? 8 : 16);
		g->a[seg]->what = "row operands of one product";
		return;
	}
	if (s >= 0 && g->stream[s] && g->plan->streams.item[s].outer < 0 && gpu_a_scale(g) == 1) {
		g->a[seg] = g->stream[s];
		return;
	}
	g->a[seg] = tile_register(g->p, a->at, "a", LAYOUT_OPA, g->plan->operand, g->plan->rows,
		pad16(g->m->segment[seg].d->extent));
	g->a[seg]->what = "A of this outer step";
	if (!gpu_in_two_parts(g->plan, seg))
		return;
	g->rest[seg] = tile_register(g->p, a->at, "a_rest", LAYOUT_OPA, g->plan->operand,
		g->plan->rows, g->a[seg]->cols);
	g->rest[seg]->what = "what rounding left of A";
}

/* --- parts of the values --- */

int gpu_parts(const gpu_plan *p)
{
	return p->e_part && p->e_total ? (p->e_total + p->e_part - 1) / p->e_part : 1;
}

static int part_columns(const gpu_plan *p, int part)
{
	int left = p->e_total - part * p->e_part;

	return p->e_part && left > p->e_part ? p->e_part : left;
}

bool gpu_output_part(const gpu_cx *g, int output, gpu_part *part)
{
	const gpu_plan *p = g->plan;
	int from = g->part * p->e_part, to = from + part_columns(p, g->part);
	int low = p->e_offset[output], high = low + pad16(p->e_extent[output]);
	int a = low > from ? low : from, b = high < to ? high : to;

	if (g->m->output[output].kind != OUTPUT_SUM || a >= b)
		return false;
	*part = (gpu_part){.first = a - low,
		.features = p->e_extent[output] - (a - low),
		.col = a - from,
		.cols = b - a};
	if (part->features > part->cols)
		part->features = part->cols;
	return true;
}

static void declare_sums(gpu_cx *g)
{
	loc at = g->s->at;
	int rows = g->plan->rows;

	g->out = tile_register(g->p, at, "acc", LAYOUT_ACC, TILE_F32, rows, g->columns);
	g->out->what = "output sums";
	g->sum = g->out;
	if (!g->m->outers)
		return;
	g->sum = tile_register(g->p, at, "pv", LAYOUT_ACC, TILE_F32, rows, g->columns);
	g->sum->what = "sum over inner keys of weight times value, for one outer step";
}

void gpu_operands(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;
	loc at = g->s->at;

	g->b = tile_shared(g->p, at, "keys", pl->operand, pl->slots, pl->resident, pl->d_pad);
	g->b->what = "inner keys, one row a key";
	if (pl->e_total) {
		g->v = tile_shared(g->p, at, "values", pl->value_operand, pl->slots, pl->resident,
			part_columns(pl, 0));
		g->v->what = "inner values, one row a key";
	}
	gpu_stage_declare(g);
	gpu_row_sums_declare(g);
	for (int s = 0; s < pl->streams.count; s++)
		gpu_declare_stream(g, s);
	for (int i = 0; i < g->m->segments; i++)
		gpu_declare_a(g, i);
	if (g->m->c)
		g->c = tile_register(g->p, g->m->c->at, "c", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
	g->score = tile_register(g->p, at, "s", LAYOUT_ACC, TILE_F32, pl->rows, pl->key_tile);
	g->score->what = "scores of one key tile";
	if (pl->e_total) {
		if (pl->value_operand != TILE_F32)
			g->weight = tile_register(g->p, at, "w", LAYOUT_OPA, pl->value_operand,
				pl->rows, pl->key_tile);
	}
	g->m_max = tile_register(g->p, at, "m", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
	g->l_sum = tile_register(g->p, at, "l", LAYOUT_ROWV, TILE_F32, pl->rows, 1);
}

/* --- keys and values --- */

/* A plain load of numbers of that type along their last dimension. */
static bool copyable(tile_type type, const expr *x, const sema_axis *d)
{
	const sema_tensor *t;
	const expr *last;

	if (!x || x->op != EXPR_LOAD || !d || d->extent * tile_type_bytes(type) % 16)
		return false;
	t = x->load.tensor;
	if (gpu_stored_type(t->dtype) != type)
		return false;
	last = x->load.sub[t->rank - 1];
	if (last->op != EXPR_COORD || last->axis != d || d->extent != t->dim[t->rank - 1].extent)
		return false;
	for (int i = 0; i + 1 < t->rank; i++)
		if (x->load.sub[i]->op != EXPR_COORD || x->load.sub[i]->axis == d)
			return false;
	return true;
}

bool gpu_copyable(const gpu_plan *pl, const expr *x, const sema_axis *d)
{
	return copyable(pl->operand, x, d);
}

/* Coordinates of a region's row; whether it holds anything. */
static X vector_env(gpu_cx *g, gpu_env *e, const gpu_vectors *v)
{
	X row = tx_leaf(g->p, TX_ROW), key, last;

	gpu_env_init(g, e);
	if (v->key) {
		key = add(g, v->first, row);
		last = tx_2(g->p, TX_SUB, tx_arg(g->p, g->length[v->key->length->id]), i32(g, 1));
		e->coord[v->key->id] = tx_2(g->p, TX_MIN, key, last);
		return tx_2(g->p, TX_LE, key, v->last);
	}
	row = add(g, g->row0, row);
	row = tx_2(g->p, TX_MIN, row, tx_2(g->p, TX_SUB, g->rows_total, i32(g, 1)));
	if (g->s->query)
		e->coord[g->s->query->id] = tx_2(g->p, TX_DIV, row, g->heads);
	if (g->m->head)
		e->coord[g->m->head->id] = add(g, g->first_head, tx_2(g->p, TX_MOD, row, g->heads));
	return tx_bool(g->p, true);
}

static int vector_extent(const gpu_vectors *v)
{
	return v->features ? v->features : v->d ? (int)v->d->extent : 1;
}

static void fill_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v)
{
	int extent = vector_extent(v);
	loc at = v->x ? v->x->at : g->s->at;
	X inside, value;
	gpu_env e;

	inside = vector_env(g, &e, v);
	gpu_row_sums(g, &e, v->x, v->d, buf->rows);
	if (v->d)
		e.coord[v->d->id] = add(g, tx_leaf(g->p, TX_COL), i32(g, v->feature));
	value = tx_3(g->p, TX_SELECT, inside, v->x ? gpu_float(g, &e, v->x) : tx_f32(g->p, 1),
		tx_f32(g->p, 0));
	tile_fill(g->p, at, tile_part(buf, slot, i32(g, 0), i32(g, col), buf->rows, extent),
		tx_cvt(g->p, buf->type, value));
}

static void copy_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v)
{
	const sema_tensor *t = v->x->load.tensor;
	X sub[SEMA_MAX_RANK], inside;
	gpu_env e;

	inside = vector_env(g, &e, v);
	for (int i = 0; i < t->rank; i++)
		sub[i] = i + 1 < t->rank ? gpu_value(g, &e, v->x->load.sub[i]) : NULL;
	tile_copy(g->p, v->x->at,
		tile_part(buf, slot, i32(g, 0), i32(g, col), buf->rows, vector_extent(v)),
		g->tensor[t->id], add(g, gpu_offset(g, t, sub), tx_i64(g->p, v->feature)), inside);
}

void gpu_load_vectors(gpu_cx *g, tile_buffer *buf, X slot, int col, const gpu_vectors *v)
{
	if (!copyable(buf->type, v->x, v->d)) {
		fill_vectors(g, buf, slot, col, v);
		return;
	}
	tile_if_begin(g->p, v->x->at, tx_2(g->p, TX_NE, tx_arg(g->p, g->aligned), i32(g, 0)));
	copy_vectors(g, buf, slot, col, v);
	tile_else(g->p);
	fill_vectors(g, buf, slot, col, v);
	tile_end(g->p);
}

void gpu_load_block(gpu_cx *g, X key0, X slot)
{
	const row_form *m = g->m;
	gpu_vectors v = {.key = m->inner, .first = key0, .last = g->high[0]};
	gpu_part part;

	for (int i = 0; i < m->segments; i++) {
		v.x = m->segment[i].b;
		v.d = m->segment[i].d;
		gpu_load_vectors(g, g->b, slot, g->plan->d_offset[i], &v);
	}
	for (int i = 0; i < m->outputs; i++) {
		if (!gpu_output_part(g, i, &part))
			continue;
		v.x = m->output[i].inner;
		v.d = m->output[i].e;
		v.feature = part.first;
		v.features = part.features;
		gpu_load_vectors(g, g->v, slot, part.col, &v);
	}
	tile_commit(g->p, g->s->at);
}

/* --- rows --- */

/* Columns that no operand fills stay zero for the whole kernel. */
static void clear_padding(gpu_cx *g, tile_buffer *buf, int from, int to)
{
	for (int slot = 0; slot < buf->slots && from < to; slot++)
		tile_fill(g->p, g->s->at,
			tile_part(buf, i32(g, slot), i32(g, 0), i32(g, from), buf->rows, to - from),
			tx_cvt(g->p, buf->type, tx_f32(g->p, 0)));
}

static void clear_value_padding(gpu_cx *g)
{
	gpu_part part;

	for (int i = 0; i < g->m->outputs; i++)
		if (gpu_output_part(g, i, &part))
			clear_padding(g, g->v, part.col + part.features, part.col + part.cols);
}

/* Values of the part before may still be read. */
void gpu_part_begin(gpu_cx *g, int part)
{
	g->part = part;
	g->columns = part_columns(g->plan, part);
	for (int i = 0; i < MODEL_MAX_OUTPUTS; i++)
		g->gv[i] = NULL;
	if (g->columns)
		declare_sums(g);
	if (!part)
		return;
	tile_barrier(g->p, g->s->at);
	clear_value_padding(g);
}

static void clear_all_padding(gpu_cx *g)
{
	const gpu_plan *pl = g->plan;

	for (int i = 0; i < g->m->segments; i++) {
		int end = pl->d_offset[i] + (int)g->m->segment[i].d->extent;

		clear_padding(g, g->b, end, (end + 15) / 16 * 16);
	}
	clear_value_padding(g);
	for (int s = 0; s < pl->streams.count; s++) {
		tile_buffer *buf = g->rows[s] ? g->rows[s] : g->stage[s];

		if (buf && gpu_stage_owner(pl, s) == s)
			clear_padding(g, buf, (int)pl->streams.item[s].d->extent, buf->cols);
	}
}

/* One row stream through shared memory into the operand layout. Rows share the key buffer's memory:
 * no key arrives before they are in registers. */
static void load_row_stream(gpu_cx *g, int s, tile_buffer *stage)
{
	const model_stream *st = &g->plan->streams.item[s];
	X row, r, v, d = tx_leaf(g->p, TX_COL);
	gpu_env e;

	gpu_env_init(g, &e);
	r = add(g, g->row0, tx_leaf(g->p, TX_ROW));
	row = tx_2(g->p, TX_MIN, r, tx_2(g->p, TX_SUB, g->rows_total, i32(g, 1)));
	if (g->s->query)
		e.coord[g->s->query->id] = tx_2(g->p, TX_DIV, row, g->heads);
	if (g->m->head)
		e.coord[g->m->head->id] = add(g, g->first_head, tx_2(g->p, TX_MOD, row, g->heads));
	gpu_row_sums(g, &e, st->e, st->d, g->plan->rows);
	e.coord[st->d->id] = feature_of(g, d, st->d->extent);
	v = padded(g, d, st->d->extent, gpu_float(g, &e, st->e));
	tile_fill(g->p, st->e->at,
		tile_part(stage, NULL, NULL, NULL, g->plan->rows, g->stream[s]->cols),
		tx_cvt(g->p, g->plan->operand, v));
	tile_barrier(g->p, st->e->at);
	tile_ldsm(g->p, st->e->at, tile_whole(g->stream[s]),
		tile_part(stage, NULL, NULL, NULL, g->plan->rows, g->stream[s]->cols), false);
	tile_barrier(g->p, st->e->at);
}

/* Row operands that stay in shared memory; those that are A of every step go on to registers. */
static void keep_rows(gpu_cx *g)
{
	gpu_stage_rows(g);
	clear_all_padding(g);
	tile_wait(g->p, g->s->at, 0);
	tile_barrier(g->p, g->s->at);
	for (int seg = 0; seg < g->m->segments; seg++)
		for (int s = 0; s < g->plan->streams.count; s++)
			if (g->a[seg] && g->a[seg] == g->stream[s] && g->rows[s])
				tile_ldsm(g->p, g->s->at, tile_whole(g->a[seg]),
					tile_all(g->rows[s], NULL), false);
}

void gpu_load_rows(gpu_cx *g)
{
	tile_buffer *stage = NULL;
	int cols = 0;

	if (g->plan->rows_shared) {
		keep_rows(g);
		return;
	}
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->stream[s] && g->plan->streams.item[s].outer < 0 && g->stream[s]->cols > cols)
			cols = g->stream[s]->cols;
	if (cols) {
		stage = tile_shared_again(
			g->p, g->s->at, "rows", g->plan->operand, 1, g->plan->rows, cols, g->b);
		stage->what = "row operands on their way to registers";
	}
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->stream[s] && g->plan->streams.item[s].outer < 0)
			load_row_stream(g, s, stage);
	clear_all_padding(g);
}

/* --- A, c, Gv at the current outer position --- */

static void outer_env(gpu_cx *g, gpu_env *e)
{
	gpu_env_init(g, e);
	for (int o = 0; o < g->m->outers; o++)
		e->coord[g->m->outer[o]->id] = g->outer[o];
}

static void row_env(gpu_cx *g, gpu_env *e)
{
	outer_env(g, e);
	if (g->s->query)
		e->coord[g->s->query->id] = tx_frag(g->p, g->row_i);
	if (g->m->head)
		e->coord[g->m->head->id] = tx_frag(g->p, g->row_h);
}

/* Columns [k, k + cols) of an outer stream at the current position. */
static void load_outer_stream(gpu_cx *g, int s, X k, int cols)
{
	const model_stream *st = &g->plan->streams.item[s];
	X d = tx_leaf(g->p, TX_COL), v = gpu_staged(g, s, d);
	gpu_env e;

	if (!v) {
		outer_env(g, &e);
		e.coord[st->d->id] = feature_of(g, d, st->d->extent);
		v = padded(g, d, st->d->extent, gpu_float(g, &e, st->e));
	}
	tile_map(g->p, st->e->at, tile_columns(g->stream[s], k, cols),
		tx_cvt(g->p, g->stream[s]->type, v));
}

/* In the operands' own type: stream s, or its value where it has no register tile. */
static X packed_stream(gpu_cx *g, int s)
{
	if (g->stream[s])
		return tx_frag(g->p, g->stream[s]);
	return tx_cvt(g->p, g->plan->operand, g->stream_at(g, s, tx_leaf(g->p, TX_COL)));
}

static X packed_product(gpu_cx *g, const expr *x)
{
	int s = model_stream_find(&g->plan->streams, x);

	if (s >= 0)
		return packed_stream(g, s);
	return mul(g, packed_product(g, x->arg[0]), packed_product(g, x->arg[1]));
}

/* q * k + q * fine, rounded once. */
static X scaled_product(gpu_cx *g, const expr *a)
{
	int k = outer_factor(g->plan, a);
	int x = model_stream_find(&g->plan->streams, a->arg[0]);
	int q = x == k ? model_stream_find(&g->plan->streams, a->arg[1]) : x;
	X row = packed_stream(g, q);

	return tx_3(g->p, TX_FMA, row, packed_stream(g, k), mul(g, row, tx_frag(g->p, g->fine[k])));
}

/* Columns [k, k + cols) of A. A product of two 16-bit operands is computed on packed pairs, all else
 * in f32 and rounded once. */
static void build_columns(gpu_cx *g, int seg, X k, int cols)
{
	const model_segment *sg = &g->m->segment[seg];
	gpu_env e;
	X v, d = tx_leaf(g->p, TX_COL);

	if (gpu_is_product(g->plan, sg->a) && gpu_a_scale(g) == 1) {
		tile_map(g->p, sg->a->at, tile_columns(g->a[seg], k, cols),
			scale_where(g) == SCALE_OUTER ? scaled_product(g, sg->a)
						      : packed_product(g, sg->a));
		return;
	}
	row_env(g, &e);
	e.coord[sg->d->id] = feature_of(g, d, sg->d->extent);
	for (int s = 0; s < g->plan->streams.count; s++)
		if (g->plan->streams.item[s].d != sg->d)
			continue;
		else if (g->stream[s])
			e.stream[s] = tx_cvt(g->p, TILE_F32, tx_frag(g->p, g->stream[s]));
		else if (g->stream_at)
			e.stream[s] = g->stream_at(g, s, e.coord[sg->d->id]);
	v = gpu_float(g, &e, sg->a);
	if (gpu_a_scale(g) != 1)
		v = mul(g, v, tx_f32(g->p, gpu_a_scale(g)));
	v = padded(g, d, sg->d->extent, v);
	tile_map(g->p, sg->a->at, tile_columns(g->a[seg], k, cols),
		tx_cvt(g->p, g->a[seg]->type, v));
	if (!g->rest[seg])
		return;
	v = tx_2(g->p, TX_SUB, v, tx_cvt(g->p, TILE_F32, tx_frag(g->p, g->a[seg])));
	tile_map(g->p, sg->a->at, tile_columns(g->rest[seg], k, cols),
		tx_cvt(g->p, g->a[seg]->type, v));
}

/* Whether A changes with the outer position, or is not yet in registers. */
static bool is_built(const gpu_cx *g, int seg)
{
	int s = model_stream_find(&g->plan->streams, g->m->segment[seg].a);

	return gpu_shared_a(g, seg) < 0 && (s < 0 || g->a[seg] != g->stream[s]);
}

static void build_segment(gpu_cx *g, int seg)
{
	if (is_built(g, seg))
		build_columns(g, seg, i32(g, 0), g->a[seg]->cols);
}

/* Whether a row stream is itself A of some segment: then registers hold it. */
static bool is_row_a(const gpu_cx *g, int s)
{
	for (int seg = 0; seg < g->m->segments; seg++)
		if (g->a[seg] == g->stream[s])
			return true;
	return false;
}

void gpu_build_columns(gpu_cx *g, int seg, X k, int cols)
{
	const model_segment *sg = &g->m->segment[seg];

	for (int s = 0; s < g->plan->streams.count; s++) {
		const model_stream *st = &g->plan->streams.item[s];

		if (!g->stream[s] || st->d != sg->d)
			continue;
		if (st->outer >= 0)
			load_outer_stream(g, s, k, cols);
		else if (!is_row_a(g, s))
			tile_ldsm(g->p, st->e->at, tile_columns(g->stream[s], k, cols),
				tile_part(g->rows[s], NULL, NULL, k, g->plan->rows, cols), false);
	}
	build_columns(g, seg, k, cols);
}

/* A of a segment from rows in shared memory, 16 columns at a time: few registers hold them. */
static void build_from_shared(gpu_cx *g, int seg)
{
	loc at = g->m->segment[seg].a->at;
	tile_var *kt;

	if (!is_built(g, seg) || g->plan->a_late)
		return;
	kt = tile_unroll_begin(g->p, at, "dt", 0, g->a[seg]->cols / 16, 1);
	gpu_build_columns(g, seg, mul(g, tx_var(g->p, kt), i32(g, 16)), 16);
	tile_end(g->p);
}

/* A sum over features into a row vector: the four lanes of a row take every fourth feature. */
static tile_frag *build_sum(gpu_cx *g, const expr *x)
{
	const sema_axis *axis = x->reduce.axis[0];
	tile_frag *acc = tile_register(g->p, x->at, "sum", LAYOUT_ROWV, TILE_F32, g->plan->rows, 1);
	X extent = i32(g, axis->extent), d, v;
	tile_var *step;
	gpu_env e;

	tile_map(g->p, x->at, tile_whole(acc), tx_f32(g->p, 0));
	step = tile_for_begin(g->p, x->at, axis->name, i32(g, 0), extent, i32(g, 4));
	d = add(g, tx_var(g->p, step), tx_2(g->p, TX_MOD, tx_leaf(g->p, TX_LANE), i32(g, 4)));
	row_env(g, &e);
	e.coord[axis->id] = axis->extent % 4 ? tx_2(g->p, TX_MIN, d, i32(g, axis->extent - 1)) : d;
	gpu_stage_env(g, &e, axis, e.coord[axis->id]);
	v = gpu_float(g, &e, x->reduce.body);
	if (axis->extent % 4)
		v = tx_3(g->p, TX_SELECT, tx_2(g->p, TX_LT, d, extent), v, tx_f32(g->p, 0));
	tile_map(g->p, x->at, tile_whole(acc), add(g, tx_frag(g->p, acc), v));
	tile_end(g->p);
	tile_quad(g->p, x->at, acc, WORD_SUM);
	return acc;
}

/* Sums over features inside c become loops that accumulate in a row vector. */
static void build_sums(gpu_cx *g, gpu_env *e, const expr *x)
{
	expr *const *kid;
	int kids;

	if (x->op == EXPR_REDUCE && x->reduce.axes == 1 && x->reduce.how == REDUCE_SUM &&
		e->sums < GPU_MAX_SUMS) {
		e->sum[e->sums] = x;
		e->sum_value[e->sums++] = tx_frag(g->p, build_sum(g, x));
		return;
	}
	kids = x->op == EXPR_DEF ? 0 : expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		build_sums(g, e, kid[i]);
}

void gpu_build_a(gpu_cx *g)
{
	for (int s = 0; s < g->plan->streams.count && !g->plan->rows_shared; s++)
		if (g->stream[s] && g->plan->streams.item[s].outer >= 0)
			load_outer_stream(g, s, i32(g, 0), g->stream[s]->cols);
	gpu_build_segments(g);
	gpu_build_c(g);
}

void gpu_build_segments(gpu_cx *g)
{
	for (int i = 0; i < g->m->segments; i++)
		if (g->plan->rows_shared)
			build_from_shared(g, i);
		else
			build_segment(g, i);
}

void gpu_build_c(gpu_cx *g)
{
	gpu_env e;

	if (!g->m->c)
		return;
	row_env(g, &e);
	build_sums(g, &e, g->m->c);
	tile_map(g->p, g->m->c->at, tile_whole(g->c),
		mul(g, gpu_float(g, &e, g->m->c), tx_f32(g->p, c_scale(g))));
}

X gpu_outer_value(gpu_cx *g, int i)
{
	const model_output *o = &g->m->output[i];
	gpu_part part;
	gpu_env env;
	X e;

	if (!o->outer || !gpu_output_part(g, i, &part))
		return NULL;
	e = add(g, tx_leaf(g->p, TX_COL), i32(g, part.first - part.col));
	outer_env(g, &env);
	if (o->e) {
		env.coord[o->e->id] = feature_of(g, e, o->e->extent);
		gpu_stage_env(g, &env, o->e, env.coord[o->e->id]);
	}
	return gpu_float(g, &env, o->outer);
}

/* O[:, output] += Gv(outer) * W[:, output], then W = 0. */
void gpu_add_step(gpu_cx *g)
{
	for (int i = 0; i < g->m->outputs; i++) {
		const model_output *o = &g->m->output[i];
		X w = tx_frag(g->p, g->sum), acc = tx_frag(g->p, g->out), gv;
		tile_slice slice;
		gpu_part part;

		if (!gpu_output_part(g, i, &part))
			continue;
		slice = tile_columns(g->out, i32(g, part.col), part.cols);
		gv = gpu_outer_value(g, i);
		if (!gv) {
			tile_map(g->p, o->tensor->at, slice, add(g, w, acc));
			continue;
		}
		if (!g->gv[i])
			g->gv[i] = tile_columnv(
				g->p, o->outer->at, "v_outer", TILE_F32, LAYOUT_ACC, g->out->cols);
		tile_map(g->p, o->outer->at, tile_columns(g->gv[i], slice.first, slice.cols), gv);
		tile_map(g->p, o->tensor->at, slice,
			tx_3(g->p, TX_FMA, w, tx_frag(g->p, g->gv[i]), acc));
	}
	tile_map(g->p, g->s->at, tile_whole(g->sum), tx_f32(g->p, 0));
}
