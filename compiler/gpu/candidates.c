/* candidates.c: plans worth trying.
 * in:  a row form and a target      out: choices, the planner's own first, then by estimated time
 * relies on: gpu_plan_make, which refuses what does not fit. The estimate only orders what is
 * tried: its terms are the rates of the architecture's table, for one key of 16 rows of a warp. */
#include "arch/arch.h"
#include "gpu/gpu.h"
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024 };

typedef struct {
	gpu_choice choice;
	char *text; /* two choices are the same when their texts are */
	double cost;
	int number;
} candidate;

typedef struct {
	arena *arena;
	const row_form *form;
	const char *target;
	candidate *item;
	int count;
} candidates;

/* --- the estimate --- */

static double larger(double x, double y)
{
	return x > y ? x : y;
}

/* Clocks of an SM for one key of 16 rows, when nothing waits. */
static double work(const arch *a, const gpu_plan *p)
{
	double features = p->d_pad + p->e_total, rows = 16;
	int flop = p->family == GPU_WGMMA ? a->wgmma_flop : a->mma_flop;
	double product = 2 * rows * features / larger(flop, 1);
	double shared = 2 * features / a->shared_bytes * 16 * p->warps / p->rows;
	double l2 = a->l2_gbs * 1e3 / ((double)a->sms * a->mhz); /* bytes a clock and SM */
	double copies = 2 * features * rows / p->rows / larger(l2, 1);
	double softmax = rows / a->ex2 + 4 * rows / a->fma;
	double tile = 4 * rows / a->fma * 16 / p->key_tile; /* of a tile, not of a key */
	double step =
		p->form->outers ? rows * (2 * p->d_pad + 3 * p->e_total) / a->fma / p->resident : 0;

	return larger(larger(product, shared), copies) + softmax + tile + step;
}

/* Warps hide each other's latency: of products and exponentials, and of copies where there is no
 * second slot to copy into. The planner's count of registers is an estimate: what exceeds a thread's
 * may spill, a little. */
static double estimate(const arch *a, const gpu_plan *p)
{
	int most = a->registers_thread, over = p->registers > most ? p->registers - most : 0;
	int blocks = arch_blocks_per_sm(a, p->warps, p->registers - over, (int)p->shared_bytes);
	double waiting = p->slots == 1 && blocks < 2 ? 4 : 2;

	if (blocks == 0)
		return 1e30;
	return work(a, p) * (1 + waiting / ((double)blocks * p->warps)) * (1 + over / 100.0);
}

/* --- the list --- */

static bool is_new(const candidates *l, const char *s)
{
	for (int i = 0; i < l->count; i++)
		if (!strcmp(l->item[i].text, s))
			return false;
	return true;
}

/* Adds what the planner makes of a choice; false: nothing fits it. `own`: by itself. */
static bool try(candidates *l, const gpu_choice *choice, bool own, diags *d)
{
	gpu_plan plan;
	text t = {0};
	bool made = gpu_plan_make(l->form, l->target, choice, &plan, d);

	if (made && l->count < MOST) {
		candidate c = {.choice = gpu_choice_of(&plan),
			.cost = own ? 0 : estimate(arch_find(l->target), &plan),
			.number = l->count};

		gpu_choice_print(&c.choice, &t);
		c.text = arena_strdup(l->arena, t.data);
		if (is_new(l, c.text))
			l->item[l->count++] = c;
	}
	text_free(&t);
	text_free(&plan.why);
	return made;
}

static void try_sizes(
	candidates *l, int rows, int warps, int tile, int tiles, int stages, const char *more)
{
	gpu_choice c;
	text t = {0};

	text_printf(&t, "rows = %d, warps = %d, tile %s = %d, resident %s = %d, stages = %d%s",
		rows, warps, l->form->inner->name, tile, l->form->inner->name, tile * tiles, stages,
		more);
	if (gpu_choice_parse(l->form, t.data, &c))
		try(l, &c, false, diags_create(l->arena, l->form->spec->src));
	text_free(&t);
}

/* One after the other: what a schedule fixes makes many of them equal. */
static void try_all(candidates *l)
{
	static const int rows[] = {32, 64, 128, 192, 256}, tiles[] = {1, 2, 3, 4, 6, 8};
	int most = l->form->outers ? 6 : 2; /* without outer axes a key is used once */

	for (int r = 0; r < 5; r++)
		for (int tile = 32; tile <= 128; tile += tile < 64 ? 16 : 32)
			for (int n = 0; n < most; n++)
				for (int stages = 1; stages <= 2; stages++)
					for (int each = 16; each <= 32; each += 16)
						try_sizes(l, rows[r], rows[r] / each, tile,
							tiles[n], stages, "");
}

/* Warps that share their rows, rows that walk on their own: products of warpgroups alone can. */
static void try_shared(candidates *l)
{
	static const char *const more[] = {", split = 2", ", split = 2, walk = rows", ", split = 4",
		", split = 4, walk = rows", ", walk = rows"};

	if (!l->form->outers || !arch_has(arch_find(l->target), ARCH_WGMMA))
		return;
	for (int rows = 128; rows <= 256; rows += 128)
		for (int tile = 32; tile <= 64; tile += 16)
			for (int tiles = 2; tiles <= 10; tiles += 2)
				for (size_t i = 0; i < sizeof more / sizeof *more; i++)
					try_sizes(l, rows, rows / 16, tile, tiles, 1, more[i]);
}

/* The planner's own plans, that for the number of heads first. */
static bool try_own(candidates *l, int64_t heads, diags *d)
{
	gpu_choice variant[GPU_VARIANTS], suited;
	int n = gpu_variants(l->form, l->target, variant);

	if (gpu_variant(l->form, l->target, heads, &suited) && !try(l, &suited, true, d))
		return false;
	if (!try(l, NULL, true, d))
		return false;
	for (int i = 0; i < n; i++)
		try(l, &variant[i], true, d);
	return true;
}

static int by_cost(const void *x, const void *y)
{
	const candidate *a = x, *b = y;

	if (a->cost != b->cost)
		return a->cost < b->cost ? -1 : 1;
	return a->number - b->number;
}

int gpu_candidates(arena *a, const row_form *m, const char *target, int64_t heads, gpu_choice *list,
	int most, diags *d)
{
	candidates l = {.arena = a, .form = m, .target = target};

	l.item = ARENA_ARRAY(a, candidate, MOST);
	if (!try_own(&l, heads, d))
		return 0;
	try_all(&l);
	try_shared(&l);
	qsort(l.item, (size_t)l.count, sizeof *l.item, by_cost);
	if (most > l.count)
		most = l.count;
	for (int i = 0; i < most; i++)
		list[i] = l.item[i].choice;
	return most;
}
