/* cuda_index.c: closed forms of the layout arithmetic.
 * in:  layout.c's answers for single lanes, registers and elements
 * out: linear functions of warp, lane and loop counters that give the same answers everywhere
 * A function is fitted to samples and then checked against every one: where layout.c is not of this
 * form, that is found here and not on a GPU. */
#include "emit_cuda/cuda_internal.h"
#include <stdlib.h>
#include <string.h>

cuda_extent cuda_extent_of(const tile_program *p, const tile_frag *f)
{
	tile_cell c = tile_cell_of(f);

	return (cuda_extent){tile_warp_rows(p, f) / c.rows, f->cols / c.cols, c.registers,
		tile_register_elements(f)};
}

/* --- fitting --- */

/* A place of one lane. */
typedef struct {
	int lane, r, n, i, e;
} place;

typedef int sample_fn(const void *user, const place *at);

static int value_at(const cuda_index *x, const place *at)
{
	const int *c = x->coef;

	return c[TERM_ONE] + c[TERM_GROUP] * (at->lane / 4) + c[TERM_MEMBER] * (at->lane % 4) +
	       c[TERM_R] * at->r + c[TERM_N_HALF] * (at->n / 2) + c[TERM_N_ODD] * (at->n % 2) +
	       c[TERM_I_HALF] * (at->i / 2) + c[TERM_I_ODD] * (at->i % 2) + c[TERM_E] * at->e;
}

static bool fits(const cuda_index *x, cuda_extent n, int lanes, sample_fn *sample, const void *user)
{
	place at = {0};

	for (at.lane = 0; at.lane < lanes; at.lane++)
		for (at.r = 0; at.r < n.r; at.r++)
			for (at.n = 0; at.n < n.n; at.n++)
				for (at.i = 0; at.i < n.i; at.i++)
					for (at.e = 0; at.e < n.e; at.e++)
						if (sample(user, &at) != value_at(x, &at))
							return false;
	return true;
}

static cuda_index fit(cuda_extent n, int lanes, sample_fn *sample, const void *user)
{
	static const struct {
		cuda_term term;
		place at;
	} unit[] = {
		{TERM_GROUP, {.lane = 4}},
		{TERM_MEMBER, {.lane = 1}},
		{TERM_R, {.r = 1}},
		{TERM_N_HALF, {.n = 2}},
		{TERM_N_ODD, {.n = 1}},
		{TERM_I_HALF, {.i = 2}},
		{TERM_I_ODD, {.i = 1}},
		{TERM_E, {.e = 1}},
	};
	cuda_index x = {0};
	place origin = {0};

	x.coef[TERM_ONE] = sample(user, &origin);
	for (size_t u = 0; u < sizeof unit / sizeof *unit; u++) {
		const place *at = &unit[u].at;

		if (at->lane < lanes && at->r < n.r && at->n < n.n && at->i < n.i && at->e < n.e)
			x.coef[unit[u].term] = sample(user, at) - x.coef[TERM_ONE];
	}
	if (!fits(&x, n, lanes, sample, user))
		ice("an index of a register tile is not linear");
	return x;
}

/* --- rows, columns, peers --- */

typedef struct {
	const tile_program *p;
	const tile_frag *f, *src;
	cuda_extent n, src_n;
	int part; /* of the result: see the sample functions */
} question;

static int register_at(cuda_extent n, const place *at)
{
	return (at->r * n.n + at->n) * n.i + at->i;
}

static int sample_element(const void *user, const place *at)
{
	const question *q = user;
	int row, col;

	tile_element(q->p, q->f, at->lane, register_at(q->n, at), at->e, &row, &col);
	return q->part ? col : row;
}

static int sample_peer(const void *user, const place *at)
{
	const question *q = user;
	int r, e;

	if (!tile_peer(q->p, q->src, q->f, register_at(q->n, at), at->e, &r, &e))
		return -1;
	switch (q->part) {
	case 0:
		return r / q->src_n.i / q->src_n.n;
	case 1:
		return r / q->src_n.i % q->src_n.n;
	case 2:
		return r % q->src_n.i;
	default:
		return e;
	}
}

static cuda_index element_index(const tile_program *p, const tile_frag *f, int part)
{
	question q = {.p = p, .f = f, .n = cuda_extent_of(p, f), .part = part};

	return fit(q.n, 32, sample_element, &q);
}

cuda_index cuda_row_index(const tile_program *p, const tile_frag *f)
{
	cuda_index x = element_index(p, f, 0);

	if (f->layout != LAYOUT_OPB && f->layout != LAYOUT_COLV)
		x.coef[TERM_WARP] = tile_warp_rows(p, f);
	return x;
}

cuda_index cuda_col_index(const tile_program *p, const tile_frag *f)
{
	return element_index(p, f, 1);
}

/* Whether every element of f has its peer in src. */
static bool covered(const question *q)
{
	place at = {0};

	for (at.r = 0; at.r < q->n.r; at.r++)
		for (at.n = 0; at.n < q->n.n; at.n++)
			for (at.i = 0; at.i < q->n.i; at.i++)
				for (at.e = 0; at.e < q->n.e; at.e++)
					if (sample_peer(q, &at) < 0)
						return false;
	return true;
}

cuda_peer cuda_peer_of(const tile_program *p, const tile_frag *src, const tile_frag *f)
{
	question q = {.p = p,
		.f = f,
		.src = src,
		.n = cuda_extent_of(p, f),
		.src_n = cuda_extent_of(p, src)};
	cuda_peer peer = {0};
	cuda_index *to[] = {&peer.r, &peer.n, &peer.i, &peer.e};

	if (!covered(&q))
		return peer;
	peer.found = true;
	/* tile_peer speaks for every lane */
	for (q.part = 0; q.part < 4; q.part++)
		*to[q.part] = fit(q.n, 1, sample_peer, &q);
	return peer;
}

/* --- printing --- */

static bool is_number(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

static bool is_sum(const char *s)
{
	return strpbrk(s, "+-*/% ") != NULL;
}

typedef struct {
	text *t;
	bool any;
	int constant;
} sum;

/* coef * atom; atoms that are numbers go into the constant. */
static void put_term(sum *s, int coef, const char *atom, int divisor, const char *op)
{
	if (coef == 0)
		return;
	if (is_number(atom)) {
		int v = atoi(atom);

		s->constant += coef * (op[0] == '/' ? v / divisor : op[0] ? v % divisor : v);
		return;
	}
	if (s->any)
		text_put(s->t, coef < 0 ? " - " : " + ");
	else if (coef < 0)
		text_put(s->t, "-");
	s->any = true;
	coef = abs(coef);
	if (coef != 1 && !op[0])
		text_printf(s->t, "%d * ", coef);
	text_printf(s->t, is_sum(atom) && (op[0] || coef != 1) ? "(%s)" : "%s", atom);
	if (op[0])
		text_printf(s->t, " %s %d", op, divisor);
	if (op[0] && coef != 1)
		text_printf(s->t, " * %d", coef);
}

/* half * (x / 2) + odd * (x % 2) */
static void put_halves(sum *s, int half, int odd, const char *atom, int limit)
{
	if (limit <= 2 || half == 2 * odd) {
		put_term(s, odd, atom, 0, "");
		return;
	}
	put_term(s, half, atom, 2, "/");
	put_term(s, odd, atom, 2, "%");
}

void cuda_index_put(text *t, const cuda_index *x, const cuda_counters *at, cuda_extent limit)
{
	const int *c = x->coef;
	sum s = {.t = t, .constant = c[TERM_ONE]};

	put_term(&s, c[TERM_WARP], "warp", 0, "");
	if (limit.r > 1)
		put_term(&s, c[TERM_R], at->r, 0, "");
	if (limit.n > 1)
		put_halves(&s, c[TERM_N_HALF], c[TERM_N_ODD], at->n, limit.n);
	put_term(&s, c[TERM_GROUP], "lane", 4, "/");
	put_term(&s, c[TERM_MEMBER], "lane", 4, "%");
	if (limit.i > 1)
		put_halves(&s, c[TERM_I_HALF], c[TERM_I_ODD], at->i, limit.i);
	if (limit.e > 1)
		put_term(&s, c[TERM_E], at->e, 0, "");
	if (!s.any)
		text_printf(t, "%d", s.constant);
	else if (s.constant)
		text_printf(t, s.constant < 0 ? " - %d" : " + %d", abs(s.constant));
}
