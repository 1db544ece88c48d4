/* scale.c: which products of streams A is, and where a linear score is scaled.
 * in:  the plan, the row form's A and f
 * out: the factors of A, c, rows and the f32 scores; when A is a product in the operands' own type, and
 * when it takes two operands */
#include "gpu/gpu_internal.h"
#include <math.h>

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

/* Products of many normal numbers have long tails: rounding A to 16 bits then moves the largest
 * scores, which are what a row attends to, by more than P and V are rounded. */
bool gpu_in_two_parts(const gpu_plan *p, int seg)
{
	return p->form->outers > 1 && p->operand != TILE_F32 &&
	       !gpu_is_product(p, p->form->segment[seg].a);
}

/* --- where a linear score is scaled --- */

/* In the f32 scores, so that A = q stays exact; in A and c, where A is computed in f32 anyway; in the
 * product A = q * k (gpu_product_scale). */
typedef enum { SCALE_SCORES, SCALE_A, SCALE_PRODUCT } scale_place;

/* The outer stream of A = row stream * outer stream; -1: A is something else. */
int gpu_outer_factor(const gpu_plan *p, const expr *a)
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

static bool are_products(const gpu_plan *p)
{
	const row_form *m = p->form;

	for (int i = 0; i < m->segments; i++)
		if (gpu_outer_factor(p, m->segment[i].a) < 0)
			return false;
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
	return are_products(p) ? SCALE_PRODUCT : SCALE_SCORES;
}

static scale_place scale_where(const gpu_cx *g)
{
	return scale_of(g->plan);
}

double gpu_a_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_A ? gpu_linear_scale(g->m) : 1;
}

double gpu_c_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_SCORES ? 1 : gpu_linear_scale(g->m);
}

double gpu_score_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_SCORES ? gpu_linear_scale(g->m) : 1;
}

double gpu_product_scale(const gpu_cx *g)
{
	return scale_where(g) == SCALE_PRODUCT ? gpu_linear_scale(g->m) : 1;
}

double gpu_row_scale(const gpu_cx *g)
{
	return exp2(round(log2(gpu_product_scale(g))));
}
