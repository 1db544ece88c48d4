/* random_spec.c: see random_spec.h. Tensors: q, qq (row, feature), kX, uX (key X, feature), vX
 * (values), tX (a number a key), w (feature), r (a number a row), z (a number a head). */
#include "random_spec.h"
#include <stdbool.h>
#include <stdio.h>

typedef struct {
	uint64_t seed;
	text *out;
	const char *keys; /* "jk" */
	int order;
} generator;

/* 0 .. n - 1 */
static int pick(generator *g, int n)
{
	g->seed = g->seed * 6364136223846793005u + 1442695040888963407u;
	return (int)((g->seed >> 33) % (uint64_t)n);
}

static bool chance(generator *g, int percent)
{
	return pick(g, 100) < percent;
}

static char key(generator *g)
{
	return g->keys[pick(g, g->order)];
}

static void put(generator *g, const char *s)
{
	text_put(g->out, s);
}

static void put_one(generator *g, const char *const *list, int n)
{
	put(g, list[pick(g, n)]);
}

/* q[d], k1[(d + 1) % D]: often a key's, mostly with a plain subscript */
static void load(generator *g)
{
	static const char *const sub[] = {"d", "d", "d", "d", "d", "d", "(d + 1) % D",
		"3 * (d // 3) + (d + 1) % 3", "D - 1 - d"};
	int what = pick(g, 3 + 3 * g->order);

	if (what < 3)
		put(g, what == 0 ? "q[" : what == 1 ? "qq[" : "w[");
	else
		text_printf(g->out, "%c%c[", chance(g, 67) ? 'k' : 'u', key(g));
	put_one(g, sub, 9);
	put(g, "]");
}

static void scalar(generator *g)
{
	static const char *const plain[] = {"r", "z", "0.5", "2.0", "-1.5"};
	int what = pick(g, 10);

	if (what < 4)
		put_one(g, plain, 5);
	else if (what < 6)
		text_printf(g->out, "t%c", key(g));
	else if (what < 7)
		text_printf(g->out, "float(i - %c)", key(g));
	else
		text_printf(g->out, "(sum(d : D) %s[d] * %c%c[d])", chance(g, 50) ? "q" : "w",
			chance(g, 50) ? 'k' : 'u', key(g));
}

/* An elementwise expression over d. */
static void vector(generator *g, int depth)
{
	int what = depth > 0 ? pick(g, 100) : 0;

	if (what < 50) {
		load(g);
	} else if (what < 75) {
		put(g, "(");
		vector(g, depth - 1);
		put(g, chance(g, 50) ? " + " : " - ");
		vector(g, depth - 1);
		put(g, ")");
	} else if (what < 90) {
		vector(g, depth - 1);
		put(g, " * ");
		vector(g, depth - 1);
	} else {
		put(g, what < 94 ? "pow(" : what < 97 ? "tanh(" : "-(");
		vector(g, what < 97 && what >= 94 ? 0 : depth - 1);
		put(g, what < 94 ? ", 2)" : ")");
	}
}

static void dot(generator *g)
{
	static const char *const divisor[] = {" / 2", " / sqrt(D)", " / (1 + abs(r))"};
	int n = 1 + pick(g, g->order + 1);

	put(g, "(sum(d : D) ");
	for (int i = 0; i <= n; i++) {
		put(g, i ? " * " : "");
		vector(g, 1);
	}
	if (chance(g, 20))
		put_one(g, divisor, 3);
	put(g, ")");
}

static void score(generator *g, int depth)
{
	int what = depth > 0 ? pick(g, 100) : 0;

	if (what < 35) {
		dot(g);
	} else if (what < 60) {
		put(g, "(");
		score(g, depth - 1);
		put(g, chance(g, 50) ? " + " : " - ");
		score(g, depth - 1);
		put(g, ")");
	} else if (what < 75) {
		scalar(g);
		put(g, " * ");
		score(g, depth - 1);
	} else if (what < 83) {
		put(g, "(");
		score(g, depth - 1);
		put(g, " + ");
		scalar(g);
		put(g, ")");
	} else if (what < 90) {
		put(g, "tanh(");
		score(g, depth - 1);
		put(g, ")");
	} else if (what < 95) {
		score(g, depth - 1);
		put(g, chance(g, 50) ? " / 3" : " / (2 + abs(r))");
	} else {
		text_printf(g->out, "where(i < %c, ", key(g));
		score(g, depth - 1);
		put(g, ", 0.25)");
	}
}

static void value(generator *g)
{
	int what = pick(g, 10);

	if (what < 7)
		text_printf(g->out, " * v%c", key(g));
	else if (what < 8)
		text_printf(g->out, " * (v%c + 1)", key(g));
	else if (what < 9)
		text_printf(g->out, " * t%c", key(g));
	else
		put(g, " * r");
}

static void inputs(generator *g)
{
	static const char *const heads[] = {"G, ", "H, ", ""};

	put(g, "    q : f32[B, i, H, D], qq : f32[B, i, H, D],\n    w : f32[D], r : f32[B, i, H], "
	       "z : f32[H]");
	for (int n = 0; n < g->order; n++) {
		const char *head = n == 0 ? heads[0] : heads[pick(g, 3)];
		char k = g->keys[n];

		text_printf(g->out,
			",\n    k%c : f32[B, %c, %sD], u%c : f32[B, %c, %sD], v%c : f32[B, %c, "
			"%sE], t%c : f32[B, %c]",
			k, k, head, k, k, head, k, k, head, k, k);
	}
}

static void body(generator *g, const char *keys)
{
	static const char *const window[] = {"[0, i]", "(i - 2, i]", "[i - 1, i + 1]"};
	bool normalised = chance(g, 80), sink = chance(g, 15);

	for (int n = 0; n < g->order; n++)
		if (chance(g, 50))
			text_printf(
				g->out, "    window %c in %s\n", g->keys[n], window[pick(g, 3)]);
	if (chance(g, 20))
		put(g, "    mask i != j\n");
	put(g, "    s = ");
	score(g, 1 + pick(g, 3));
	if (normalised)
		text_printf(g->out, "\n    p = softmax(%s) s%s", keys, sink ? " with z" : "");
	text_printf(g->out, "\n    o = %s(sum(%s) %s", chance(g, 20) ? "r * " : "", keys,
		normalised ? "p" : "s");
	for (int n = pick(g, g->order + 2); n > 0; n--)
		value(g);
	put(g, chance(g, 20) ? ") + z\n" : ")\n");
}

void random_spec(uint64_t seed, text *out)
{
	static const char *const order[] = {"j", "j, k", "j, k, l"};
	generator g = {.seed = seed * 2654435761u, .out = out};

	g.order = 1 + pick(&g, 3);
	g.keys = g.order == 1 ? "j" : g.order == 2 ? "jk" : "jkl";
	put(&g, "attention random(\n");
	inputs(&g);
	put(&g, "\n) -> (o : f32[B, i, H, E])\n{\n    const D = 6, E = 3\n    group G of H\n");
	text_printf(out, "    index i, %s : N\n", order[g.order - 1]);
	body(&g, order[g.order - 1]);
	put(&g, "}\n");
}
