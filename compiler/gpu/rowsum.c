/* rowsum.c: sums over features inside a computed vector (the norm of a key), once a vector and not
 * once an element.
 * in:  what a region of shared memory is to be filled with
 * out: a buffer of f32 with the partial sums of each vector, and the values that stand for the sums
 * while the region is filled. A sum is taken in parts by neighbouring threads, whose loads are
 * neighbours too; whoever reads it adds the parts. */
#include "gpu/gpu_internal.h"

enum { PARTS = 4 };

static X i32(gpu_cx *g, int64_t v)
{
	return tx_i32(g->p, v);
}

/* Appends the sums of x that are the same for all features d of the vector, outermost ones only. */
static int find(const expr *x, const sema_axis *d, const expr **list, int n)
{
	expr *const *kid;

	if (!x)
		return n;
	if (x->op == EXPR_DEF)
		return find(x->def->value, d, list, n);
	if (x->op == EXPR_REDUCE && x->reduce.how == REDUCE_SUM && x->reduce.axes == 1 &&
		x->reduce.axis[0]->kind == AXIS_FEATURE && !expr_depends(x, d)) {
		for (int i = 0; i < n; i++)
			if (list[i] == x)
				return n;
		if (n < GPU_MAX_SUMS)
			list[n++] = x;
		return n;
	}
	for (int k = expr_kids(x, &kid); k > 0; k--)
		n = find(kid[k - 1], d, list, n);
	return n;
}

static int larger(int x, int y)
{
	return x > y ? x : y;
}

/* The most sums that one vector of the kernel holds. */
static int most_sums(const gpu_plan *p)
{
	const row_form *m = p->form;
	const expr *list[GPU_MAX_SUMS];
	int n = 0;

	for (int i = 0; i < m->segments; i++)
		n = larger(n, find(m->segment[i].b, m->segment[i].d, list, 0));
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].kind == OUTPUT_SUM && m->output[i].e)
			n = larger(n, find(m->output[i].inner, m->output[i].e, list, 0));
	for (int s = 0; s < p->streams.count; s++)
		n = larger(n, find(p->streams.item[s].e, p->streams.item[s].d, list, 0));
	return n;
}

/* The most vectors that are filled at a time. */
static int most_rows(const gpu_plan *p)
{
	return larger(p->stage, larger(p->resident, p->rows));
}

int64_t gpu_row_sums_bytes(const gpu_plan *p)
{
	return ((int64_t)most_sums(p) * PARTS * most_rows(p) * 4 + 1023) / 1024 * 1024;
}

void gpu_row_sums_declare(gpu_cx *g)
{
	int n = most_sums(g->plan);

	if (n == 0)
		return;
	g->row_sums =
		tile_shared(g->p, g->s->at, "sums", TILE_F32, 1, most_rows(g->plan), n * PARTS);
	g->row_sums->what = "sums over the features of one vector, each in parts";
}

/* The terms of one part of x: every PARTS-th feature, from the part's number on. */
static X partial_sum(gpu_cx *g, const gpu_env *env, const expr *x, X part)
{
	const sema_axis *d = x->reduce.axis[0];
	X acc = tx_f32(g->p, 0), feature, v;
	gpu_env e = *env;

	for (int64_t i = 0; i < d->extent; i += PARTS) {
		bool whole = i + PARTS <= d->extent;

		feature = tx_2(g->p, TX_ADD, part, i32(g, i));
		env->coord[d->id] =
			whole ? feature : tx_2(g->p, TX_MIN, feature, i32(g, d->extent - 1));
		v = gpu_float(g, &e, x->reduce.body);
		if (!whole)
			v = tx_3(g->p, TX_SELECT, tx_2(g->p, TX_LT, feature, i32(g, d->extent)), v,
				tx_f32(g->p, 0));
		acc = i ? tx_2(g->p, TX_ADD, acc, v) : v;
	}
	env->coord[d->id] = NULL;
	return acc;
}

static X whole_sum(gpu_cx *g, int i)
{
	X sum = NULL;

	for (int part = 0; part < PARTS; part++) {
		X v = tx_shared(g->p, g->row_sums, i32(g, 0), tx_leaf(g->p, TX_ROW),
			i32(g, i * PARTS + part));

		sum = sum ? tx_2(g->p, TX_ADD, sum, v) : v;
	}
	return sum;
}

void gpu_row_sums(gpu_cx *g, gpu_env *e, const expr *x, const sema_axis *d, int rows)
{
	const expr *list[GPU_MAX_SUMS];
	int n = g->row_sums ? find(x, d, list, 0) : 0;

	if (n == 0)
		return;
	tile_barrier(g->p, x->at); /* those of other vectors are read no more */
	for (int i = 0; i < n; i++)
		tile_fill(g->p, list[i]->at,
			tile_part(
				g->row_sums, i32(g, 0), i32(g, 0), i32(g, i * PARTS), rows, PARTS),
			partial_sum(g, e, list[i], tx_leaf(g->p, TX_COL)));
	tile_barrier(g->p, x->at);
	for (int i = 0; i < n; i++) {
		e->sum[e->sums] = list[i];
		e->sum_value[e->sums++] = whole_sum(g, i);
	}
}
