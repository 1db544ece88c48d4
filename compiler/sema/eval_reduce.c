/* eval_reduce: loops over keys and features, softmax.
 * in:  a body cell     out: its sum, product, extremes, or normalised exponentials
 *
 * Only visible tuples are ever evaluated: nothing that a window or mask hides can reach a result.
 * Scores of -inf weigh nothing; a row with no weight at all has weights 0 and logsumexp -inf. A NaN
 * score, or one of +inf, makes the weights and the logsumexp of its row NaN. */
#include "sema/eval_cell.h"
#include <math.h>
#include <string.h>

#define PARTS 8 /* independent partial sums: faster, and more exact, than one */

/* --- key loops --- */

typedef void (*tuple_fn)(eval_worker *w, const eval_cell *c, eval_value *out);

static bool masks_hold(eval_worker *w, const eval_keys *keys, int level)
{
	for (int m = level ? keys->mask_end[level - 1] : 0; m < keys->mask_end[level]; m++)
		if (!eval_fetch(w, keys->mask[m])->i)
			return false;
	return !w->failed;
}

/* Calls `fn` for each visible tuple below `level` bound axes. */
static void each_tuple(eval_worker *w, const eval_cell *c, int level, tuple_fn fn, eval_value *out)
{
	const eval_keys *keys = c->keys;
	int64_t first, last, saved;

	if (!masks_hold(w, keys, level))
		return;
	if (level == keys->axes) {
		fn(w, c, out);
		return;
	}
	first = keys->first[level] ? eval_fetch(w, keys->first[level])->i : 0;
	last = keys->last[level] ? eval_fetch(w, keys->last[level])->i : INT64_MAX;
	if (first < 0)
		first = 0;
	if (last > keys->length[level] - 1)
		last = keys->length[level] - 1;
	saved = w->coord[keys->axis[level]->id];
	for (int64_t x = first; x <= last && !w->failed; x++) {
		eval_move(w, keys->axis[level], x);
		each_tuple(w, c, level + 1, fn, out);
	}
	eval_move(w, keys->axis[level], saved);
}

/* --- sum, product, extremes --- */

static double neutral(reduce_how how)
{
	switch (how) {
	case REDUCE_SUM:
		return 0;
	case REDUCE_PROD:
		return 1;
	case REDUCE_MIN:
		return INFINITY;
	case REDUCE_MAX:
	case REDUCE_LSE:
		return -INFINITY;
	}
	return 0;
}

static double combine(reduce_how how, double x, double y)
{
	switch (how) {
	case REDUCE_SUM:
		return x + y;
	case REDUCE_PROD:
		return x * y;
	case REDUCE_MIN:
		return isnan(x) || x < y ? x : y;
	case REDUCE_MAX:
		return isnan(x) || x > y ? x : y;
	case REDUCE_LSE:
		break; /* eval_logsumexp */
	}
	return NAN;
}

static void reduce_tuple(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_value *x = eval_fetch(w, c->arg[0]);
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1;
	reduce_how how = c->e->reduce.how;
	bool vector = c->arg[0]->lanes;

	if (how == REDUCE_SUM && vector)
		for (int64_t l = low; l < high; l++)
			out[l].f += x[l].f;
	else
		for (int64_t l = low; l < high; l++)
			out[l].f = combine(how, out[l].f, x[vector ? l : 0].f);
}

void eval_reduce_keys(eval_worker *w, const eval_cell *c, eval_value *out)
{
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1;

	for (int64_t l = low; l < high; l++)
		out[l].f = neutral(c->e->reduce.how);
	each_tuple(w, c, 0, reduce_tuple, out);
}

/* --- features --- */

static double sum_lanes(const eval_value *x, int64_t n)
{
	double part[PARTS] = {0}, sum = 0;
	int64_t l = 0;

	for (; l + PARTS <= n; l += PARTS)
		for (int k = 0; k < PARTS; k++)
			part[k] += x[l + k].f;
	for (; l < n; l++)
		sum += x[l].f;
	for (int k = 0; k < PARTS; k++)
		sum += part[k];
	return sum;
}

static double reduce_lanes(reduce_how how, const eval_value *x, int64_t n, int64_t step)
{
	double sum = neutral(how);

	if (how == REDUCE_SUM && step)
		return sum_lanes(x, n);
	for (int64_t l = 0; l < n; l++)
		sum = combine(how, sum, x[l * step].f);
	return sum;
}

/* The innermost axis as lanes, the others one coordinate after the other. */
static double reduce_axes(eval_worker *w, const eval_cell *c, int level)
{
	const expr *e = c->e;
	const sema_axis *axis = e->reduce.axis[level];
	double sum = neutral(e->reduce.how);
	int64_t saved;

	if (level == e->reduce.axes - 1) {
		w->low = 0;
		w->high = axis->extent;
		return reduce_lanes(e->reduce.how, eval_fetch(w, c->arg[0]), axis->extent,
			c->arg[0]->lanes != NULL);
	}
	saved = w->coord[axis->id];
	for (int64_t x = 0; x < axis->extent && !w->failed; x++) {
		eval_move(w, axis, x);
		sum = combine(e->reduce.how, sum, reduce_axes(w, c, level + 1));
	}
	eval_move(w, axis, saved);
	return sum;
}

void eval_reduce_features(eval_worker *w, const eval_cell *c, eval_value *out)
{
	int64_t low = w->low, high = w->high;

	out->f = reduce_axes(w, c, 0);
	w->low = low;
	w->high = high;
}

void eval_reduce_lanewise(eval_worker *w, const eval_cell *c, eval_value *out)
{
	int64_t saved = w->coord[c->lanes->id];

	for (int64_t l = w->low; l < w->high && !w->failed; l++) {
		eval_move(w, c->lanes, l);
		out[l] = *eval_fetch(w, c->arg[0]);
	}
	eval_move(w, c->lanes, saved);
}

/* --- softmax --- */

static int64_t lane_count(const eval_cell *c)
{
	return c->lanes ? c->lanes->extent : 1;
}

/* Adds exp(s) to a sum of exponentials that is stored as sum * exp(most). */
static void add_exp(double *most, double *sum, double s)
{
	if (s > *most) {
		*sum = *sum * exp(*most - s) + 1;
		*most = s;
	} else if (s != -INFINITY) {
		*sum += exp(s - *most); /* a NaN stays one */
	}
}

static void add_score(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_value *s = eval_fetch(w, c->arg[0]);
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1, n = lane_count(c);

	for (int64_t l = low; l < high; l++)
		add_exp(&out[l].f, &out[n + l].f, s[c->arg[0]->lanes ? l : 0].f);
}

void eval_normaliser(eval_worker *w, const eval_cell *c, eval_value *out)
{
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1, n = lane_count(c);
	const eval_value *sink = c->args > 1 ? eval_fetch(w, c->arg[1]) : NULL;

	for (int64_t l = low; l < high; l++) {
		out[l].f = -INFINITY;
		out[n + l].f = 0;
		if (sink)
			add_exp(&out[l].f, &out[n + l].f, sink[c->arg[1]->lanes ? l : 0].f);
	}
	each_tuple(w, c, 0, add_score, out);
	for (int64_t l = low; l < high; l++)
		if (out[l].f == INFINITY)
			out[n + l].f = NAN; /* inf - inf */
}

void eval_softmax(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_cell *norm = c->arg[0], *score = c->arg[1];
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1, n = lane_count(norm);
	const eval_value *m, *s;

	eval_fetch_both(w, norm, score, &m, &s);
	for (int64_t l = low; l < high; l++) {
		int64_t k = norm->lanes ? l : 0;
		double sum = m[n + k].f, x = s[score->lanes ? l : 0].f;

		out[l].f = sum == 0 ? 0 : exp(x - m[k].f) / sum;
	}
}

void eval_logsumexp(eval_worker *w, const eval_cell *c, eval_value *out)
{
	const eval_cell *norm = c->arg[0];
	int64_t low = c->lanes ? w->low : 0, high = c->lanes ? w->high : 1, n = lane_count(norm);
	const eval_value *m = eval_fetch(w, norm);

	for (int64_t l = low; l < high; l++) {
		int64_t k = norm->lanes ? l : 0;

		out[l].f = m[n + k].f == 0 ? -INFINITY : m[k].f + log(m[n + k].f);
	}
}
