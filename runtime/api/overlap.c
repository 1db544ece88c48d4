/* overlap: whether strided views share memory.
 * in:  base, sizes and strides in bytes     out: yes or no
 *
 * Two elements overlap when sum c_k z_k + constant falls into a window of a few bytes for some 0 <=
 * z_k <= most_k. With the coefficients sorted, each z_k has only a few values that the smaller
 * terms can still correct, one in nested layouts, so the search is short. Irregular layouts may run
 * into WORK_LIMIT and count as overlapping. */
#include "runtime/api/api.h"
#include <string.h>

#define WORK_LIMIT 200000
#define TERMS (2 * RT_INTERFACE_RANK)

typedef struct {
	int64_t c, most; /* c > 0 */
} term;

typedef struct {
	term term[TERMS]; /* largest coefficient first */
	int terms;
	int64_t constant;
	int64_t low, high;       /* the window, inclusive */
	int64_t rest[TERMS + 1]; /* greatest sum of terms k.. */
	int work;
} problem;

/* Adds c * z, 0 <= z <= most. Terms with equal coefficients become one. */
static void add_term(problem *p, int64_t c, int64_t most)
{
	int k = p->terms;

	if (most == 0 || c == 0)
		return;
	if (c < 0) { /* z -> most - z */
		p->constant += c * most;
		c = -c;
	}
	for (int j = 0; j < p->terms; j++)
		if (p->term[j].c == c) {
			p->term[j].most += most;
			return;
		}
	for (; k > 0 && p->term[k - 1].c < c; k--)
		p->term[k] = p->term[k - 1];
	p->term[k] = (term){c, most};
	p->terms++;
}

static int64_t divide_up(int64_t x, int64_t y)
{
	return x <= 0 ? 0 : (x - 1) / y + 1;
}

/* Whether terms k.. can bring `sum` into the window. */
static bool search(problem *p, int k, int64_t sum)
{
	const term *t = &p->term[k];
	int64_t z, last;

	if (++p->work > WORK_LIMIT)
		return true;
	if (sum > p->high || sum + p->rest[k] < p->low)
		return false;
	if (k == p->terms)
		return true;
	z = divide_up(p->low - sum - p->rest[k + 1], t->c);
	last = (p->high - sum) / t->c;
	if (last > t->most)
		last = t->most;
	for (; z <= last; z++)
		if (search(p, k + 1, sum + z * t->c))
			return true;
	return false;
}

static bool solve(problem *p)
{
	p->rest[p->terms] = 0;
	for (int k = p->terms - 1; k >= 0; k--)
		p->rest[k] = p->rest[k + 1] + p->term[k].c * p->term[k].most;
	return search(p, 0, p->constant);
}

bool api_view_overlaps_itself(const api_view *v)
{
	/* two elements that differ first in dimension r, by at least 1 */
	for (int r = 0; r < v->rank; r++) {
		problem p = {.low = 1 - v->item, .high = v->item - 1, .constant = v->stride[r]};

		if (v->size[r] < 2)
			continue;
		if (v->stride[r] == 0)
			return true;
		add_term(&p, v->stride[r], v->size[r] - 2);
		for (int s = r + 1; s < v->rank; s++) {
			add_term(&p, v->stride[s], v->size[s] - 1);
			add_term(&p, -v->stride[s], v->size[s] - 1);
		}
		if (solve(&p))
			return true;
	}
	return false;
}

bool api_views_overlap(const api_view *x, const api_view *y)
{
	problem p = {.low = 1 - x->item, .high = y->item - 1};

	p.constant = (int64_t)(x->base - y->base);
	for (int r = 0; r < x->rank; r++)
		add_term(&p, x->stride[r], x->size[r] - 1);
	for (int r = 0; r < y->rank; r++)
		add_term(&p, -y->stride[r], y->size[r] - 1);
	return solve(&p);
}
