/* count.c: what a problem costs. Key tuples inside the windows are counted exactly, by walking the
 * rows that the windows depend on; masks are not subtracted, as in the published figures. */
#include "cli/problem.h"

bool window_range(const eval_args *args, const sema_axis *key, const int64_t *coord, int64_t *first,
	int64_t *last)
{
	int64_t n = args->length[key->length->id];
	*first = key->window.first ? eval_int(args, key->window.first, coord) : 0;
	*last = key->window.last ? eval_int(args, key->window.last, coord) : n - 1;
	if (*first < 0)
		*first = 0;
	if (*last > n - 1)
		*last = n - 1;
	return *first <= *last;
}

/* Whether some window reads the coordinate of `axis`. */
static bool windows_read(const sema_spec *s, const sema_axis *axis)
{
	for (int k = 0; k < s->key.count; k++) {
		const sema_window *w = &s->key.item[k]->window;
		if ((w->first && expr_depends(w->first, axis)) ||
			(w->last && expr_depends(w->last, axis)))
			return true;
	}
	return false;
}

/* x * y, or the largest count when that does not fit. */
static int64_t times(int64_t x, int64_t y)
{
	int64_t z;
	return __builtin_mul_overflow(x, y, &z) ? INT64_MAX : z;
}

static int64_t plus(int64_t x, int64_t y)
{
	int64_t z;
	return __builtin_add_overflow(x, y, &z) ? INT64_MAX : z;
}

/* Adds one row's tuples, `times_rows` times. */
static void count_row(const eval_args *args, const int64_t *coord, cost *c)
{
	const sema_spec *s = args->spec;
	int64_t tuples = 1;
	for (int k = 0; k < s->key.count; k++) {
		int64_t first, last;
		int64_t n = window_range(args, s->key.item[k], coord, &first, &last)
				    ? last - first + 1
				    : 0;
		c->per_key[k] = plus(c->per_key[k], n);
		tuples = times(tuples, n);
	}
	c->tuples = plus(c->tuples, tuples);
}

static void count_tuples(const problem *p, cost *c)
{
	const sema_spec *s = p->spec;
	eval_args args = problem_eval_args(p, NULL);
	int64_t *coord = ARENA_ARRAY(p->arena, int64_t, s->axis.count + 1);
	const sema_axis *walked[SEMA_MAX_RANK * 2];
	int64_t walks = 1, repeat = 1;
	int n = 0;

	c->rows = 1;
	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *a = s->axis.item[i];
		if (a->kind != AXIS_ROW && a->kind != AXIS_QUERY)
			continue;
		int64_t len = p->length[a->length->id];
		c->rows = times(c->rows, len);
		if (n < SEMA_MAX_RANK * 2 && windows_read(s, a)) {
			walked[n++] = a;
			walks = times(walks, len);
		} else {
			repeat = times(repeat, len);
		}
	}
	for (int64_t w = 0; w < walks; w++) {
		int64_t rest = w;
		for (int i = n - 1; i >= 0; i--) {
			coord[walked[i]->id] = rest % p->length[walked[i]->length->id];
			rest /= p->length[walked[i]->length->id];
		}
		count_row(&args, coord, c);
	}
	c->tuples = times(c->tuples, repeat);
	for (int k = 0; k < s->key.count; k++)
		c->per_key[k] = times(c->per_key[k], repeat);
}

cost problem_cost(const problem *p, const row_form *m)
{
	const sema_spec *s = p->spec;
	cost c = {0};

	count_tuples(p, &c);
	for (int i = 0; m && i < m->segments; i++)
		c.dot += (int)m->segment[i].d->extent;
	for (int i = 0; m && i < m->outputs; i++)
		if (m->output[i].kind == OUTPUT_SUM)
			c.out += m->output[i].e ? (int)m->output[i].e->extent : 1;
	c.flops = 2.0 * (c.dot + c.out) * (double)c.tuples;
	for (int i = 0; i < s->tensor.count; i++) {
		const sema_tensor *t = s->tensor.item[i];
		double bytes = sema_dtype_size(t->dtype);
		for (int d = 0; d < t->rank; d++)
			bytes *= (double)(t->dim[d].length ? p->length[t->dim[d].length->id]
							   : t->dim[d].extent);
		c.bytes += bytes;
	}
	return c;
}
