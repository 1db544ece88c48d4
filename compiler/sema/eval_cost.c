/* eval_cost: how long eval_run would take.
 * in:  the cells of a spec, lengths and params     out: seconds
 *
 * Counts how often each cell is evaluated in a few sample rows: once per iteration of the innermost
 * loop whose coordinate it reads, as the memory of values works. Windows count, masks do not. The
 * costs below are nanoseconds on the machine where they were fitted; a short measurement scales
 * them to this one. */
#include "sema/eval_cell.h"
#include "runtime/pool.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define SAMPLES 16
#define VISIT_LIMIT                                                                                \
	2000000 /* cells; more would take longer than anybody waits for the run itself */
#define FETCH_NS 4.5
#define LOOP_NS 3.0
#define STORE_NS 15.0
#define PROBE_NS 27.0 /* what measure_probe gives where the others were fitted */

/* A nest of loops around a reduction's body. */
typedef struct nest {
	const struct nest *parent;
	int loops;
	int axis[SEMA_MAX_KEYS];
	double times[SEMA_MAX_KEYS]; /* iterations in all, outer nests included */
	double around;               /* evaluations of the reduction itself */
	uint64_t *seen;              /* bit [cell]: already counted here */
} nest;

typedef struct {
	const eval_program *program;
	arena *arena;
	const int64_t *coord;
	int visits;
} estimate;

static double cell_cost(estimate *s, const eval_cell *c, const nest *in);

static double lane_ns(const eval_cell *c)
{
	switch ((int)c->e->op) {
	case EXPR_LOAD:
		return c->lanes && c->load->unit < 0 ? 3 : 0.5;
	case EXPR_EXP:
	case EXPR_LOG:
	case EXPR_SOFTMAX:
		return 5;
	case EXPR_TANH:
	case EXPR_SIN:
	case EXPR_COS:
		return 17;
	case EXPR_POW:
		return 20;
	case EXPR_IDIV:
	case EXPR_MOD:
		return 3;
	case EXPR_SQRT:
	case EXPR_DIV:
		return 1.5;
	case EXPR_WHERE:
		return 1;
	default:
		return 0.3;
	}
}

static bool reads_axis(const eval_cell *c, int axis)
{
	for (int d = 0; d < c->deps; d++)
		if (c->dep[d] == axis)
			return true;
	return false;
}

/* The innermost loop that changes the cell: its level in *in, after moving *in outwards to its
 * nest; -1: none. */
static int owning_loop(const eval_cell *c, const nest **in)
{
	for (;; *in = (*in)->parent) {
		for (int l = (*in)->loops - 1; l >= 0; l--)
			if (reads_axis(c, (*in)->axis[l]))
				return l;
		if (!(*in)->parent)
			return -1;
	}
}

static nest *open_nest(estimate *s, const nest *parent, double around)
{
	nest *n = ARENA_NEW(s->arena, nest);

	n->parent = parent;
	n->around = around;
	n->seen = ARENA_ARRAY(s->arena, uint64_t, s->program->cells / 64 + 1);
	return n;
}

static double add_loop(nest *n, const sema_axis *axis, double width)
{
	double outer = n->loops ? n->times[n->loops - 1] : n->around;

	n->axis[n->loops] = axis->id;
	n->times[n->loops++] = outer * width;
	return outer * width;
}

static double window_width(const estimate *s, const eval_keys *keys, int level)
{
	const sema_window *w = &keys->axis[level]->window;
	const eval_args *args = s->program->args;
	int64_t first = w->first ? eval_int(args, w->first, s->coord) : 0;
	int64_t last = w->last ? eval_int(args, w->last, s->coord) : INT64_MAX;

	if (first < 0)
		first = 0;
	if (last >= keys->length[level])
		last = keys->length[level] - 1;
	return last < first ? 0 : (double)(last - first + 1);
}

static double keys_cost(estimate *s, const eval_cell *c, const nest *in, double times)
{
	const eval_keys *keys = c->keys;
	nest *n = open_nest(s, in, times);
	double ns = 0;

	for (int l = 0; l < keys->axes; l++)
		ns += LOOP_NS * add_loop(n, keys->axis[l], window_width(s, keys, l));
	for (int m = 0; m < keys->mask_end[keys->axes]; m++)
		ns += cell_cost(s, keys->mask[m], n);
	ns += n->times[n->loops - 1] *
	      (c->e->op == EXPR_SOFTMAX || c->e->reduce.how == REDUCE_LSE
			      ? 8.0
			      : 0.3 * (c->lanes ? (double)c->lanes->extent : 1));
	return ns + cell_cost(s, c->arg[0], n);
}

static double features_cost(estimate *s, const eval_cell *c, const nest *in, double times)
{
	nest *n = open_nest(s, in, times);
	double ns = 0;

	if (c->lanes)
		ns += LOOP_NS * add_loop(n, c->lanes, (double)c->lanes->extent);
	for (int a = 0; !c->lanes && a < c->e->reduce.axes - 1; a++)
		ns += LOOP_NS *
		      add_loop(n, c->e->reduce.axis[a], (double)c->e->reduce.axis[a]->extent);
	if (!c->lanes)
		ns += (n->loops ? n->times[n->loops - 1] : times) * 0.3 *
		      (double)c->e->reduce.axis[c->e->reduce.axes - 1]->extent;
	return ns + cell_cost(s, c->arg[0], n);
}

/* Nanoseconds spent in `c` and what only it needs, inside the loops `in`. */
static double cell_cost(estimate *s, const eval_cell *c, const nest *in)
{
	int level = owning_loop(c, &in);
	double times = level >= 0 ? in->times[level] : in->around;
	double ns = times * (FETCH_NS + lane_ns(c) * (c->lanes ? (double)c->lanes->extent : 1));
	bool loops = c->e->op == EXPR_REDUCE && c->e->reduce.axis[0]->kind == AXIS_FEATURE;

	if (in->seen[c->id / 64] >> c->id % 64 & 1)
		return 0;
	in->seen[c->id / 64] |= UINT64_C(1) << c->id % 64;
	if (++s->visits > VISIT_LIMIT)
		return INFINITY;
	if (c->keys)
		return ns + keys_cost(s, c, in, times);
	if (loops)
		return ns + features_cost(s, c, in, times);
	for (int a = 0; a < c->args; a++)
		ns += cell_cost(s, c->arg[a], in);
	return ns;
}

static double row_cost(estimate *s)
{
	const sema_spec *spec = s->program->args->spec;
	nest *root = open_nest(s, NULL, 1);
	double ns = 0;

	for (int t = spec->inputs; t < spec->tensor.count; t++) {
		const eval_cell *c = s->program->output[t];

		if (c)
			ns += cell_cost(s, c, root) +
			      STORE_NS * (c->lanes ? (double)c->lanes->extent : 1);
	}
	return ns;
}

/* --- this machine --- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void probe_once(double *out, const double *x, const double *y)
{
	for (int l = 0; l < 64; l++)
		out[l] += x[l] * y[l];
}

/* Nanoseconds for one call of a small vector operation: the least of several rounds. */
static double measure_probe(void)
{
	void (*volatile probe)(double *, const double *, const double *) = probe_once;
	double x[64], y[64], out[64] = {0}, best = INFINITY;

	for (int l = 0; l < 64; l++)
		x[l] = y[l] = l * 0.01;
	for (int round = 0; round < 10; round++) {
		double start = seconds(), took;

		for (int n = 0; n < 1000; n++)
			probe(out, x, y);
		took = (seconds() - start) * 1e6;
		best = took < best ? took : best;
	}
	return best;
}

/* Measured once per process; two threads that come first at once both measure. */
static double machine_scale(void)
{
	static _Atomic double scale = 0;
	double s = atomic_load(&scale);

	if (s == 0) {
		s = measure_probe() / PROBE_NS;
		atomic_store(&scale, s);
	}
	return s;
}

/* The n-th of `samples` rows. The last axis, the query position, is what window widths depend on:
 * it is sampled evenly, the others independently of it, since row numbers taken evenly would repeat
 * the same few positions. */
static void sample_row(const estimate *s, int64_t n, int64_t samples, int64_t rows, int64_t *coord)
{
	const eval_program *p = s->program;
	double even = ((double)n + 0.5) / (double)samples;
	int64_t row = p->args->row ? p->args->row[(int64_t)((double)rows * even)] : 0;

	for (int r = p->rows - 1; r >= 0; r--) {
		double other = fmod(((double)n + 0.5) * 0.6180339887498949 * (r + 1), 1);
		double place = r == p->rows - 1 ? even : other;

		coord[p->row[r]->id] = p->args->row ? row % p->row_length[r]
						    : (int64_t)(place * (double)p->row_length[r]);
		row /= p->row_length[r];
	}
}

static double mean_row_cost(estimate *s, int64_t *coord, int64_t rows)
{
	int64_t samples = rows < SAMPLES ? rows : SAMPLES;
	double ns = 0;

	for (int64_t n = 0; n < samples; n++) {
		sample_row(s, n, samples, rows, coord);
		ns += row_cost(s);
	}
	return ns / (double)samples;
}

double eval_estimate(const eval_args *args)
{
	int64_t rows = args->row ? args->rows : eval_row_count(args);
	int threads = args->pool          ? rt_pool_threads(args->pool)
		      : args->threads > 0 ? args->threads
					  : rt_pool_cores();
	arena *a = rows > 0 ? arena_create() : NULL;
	estimate s = {.arena = a};
	int64_t *coord;
	double ns;

	if (!a)
		return 0;
	s.program = eval_compile(a, args, true);
	s.coord = coord = ARENA_ARRAY(a, int64_t, args->spec->axis.count + 1);
	ns = mean_row_cost(&s, coord, rows) * (double)rows;
	arena_destroy(a);
	return ns * 1e-9 * machine_scale() / (double)(rows < threads ? rows : threads);
}
