/* split.c: one block of a program whose warps wait for one another.
 * in:  a block, reset
 * out: each warp run until it waits or ends, over and over until all have ended, or all wait
 * A warp that waits keeps its place: a stack of the bodies that it is in. */
#include "sim/sim_async.h"
#include <stdlib.h>
#include <string.h>

/* --- memory --- */

bool sim_split_open(sim_block *b)
{
	struct sim_async *x = calloc(1, sizeof *x);

	b->async = x;
	if (!x)
		return false;
	x->bars = b->image->bars;
	return sim_order_open(x, b->warps, x->bars) && sim_bars_open(b) && sim_products_open(b);
}

void sim_split_close(sim_block *b)
{
	struct sim_async *x = b->async;

	if (!x)
		return;
	sim_bars_close(x);
	sim_products_close(x);
	for (int w = 0; w < SIM_MAX_WARPS; w++)
		free(x->warp[w].frame);
	free(x->view);
	free(x->least);
	free(x);
}

/* --- bodies --- */

static sim_frame *push(sim_block *b, sim_warp *w, const sim_stmt *s, const sim_body *body)
{
	sim_frame *more;

	if (w->depth == w->cap) {
		more = realloc(w->frame, (size_t)(w->cap + 16) * sizeof *more);
		if (!more) {
			b->failed = true;
			sim_log_fault(b->log, SIM_MEMORY, "bodies that warps are in");
			return NULL;
		}
		w->frame = more;
		w->cap += 16;
	}
	more = &w->frame[w->depth++];
	more->stmt = s;
	more->body = body;
	more->at = 0;
	more->before = w->lanes;
	more->off = 0;
	return more;
}

static void set_lanes(sim_block *b, int warp, uint32_t lanes)
{
	b->async->warp[warp].lanes = b->active[warp] = lanes;
}

/* --- flow --- */

static void begin_if(sim_block *b, const sim_stmt *s, int warp)
{
	sim_warp *w = &b->async->warp[warp];
	uint32_t on[SIM_MAX_WARPS], before = w->lanes;
	int all = sim_condition(b, &s->code[0], on);
	uint32_t lanes = all < 0 ? on[warp] : all ? before : 0;
	sim_frame *f = push(b, w, s, lanes ? &s->body : &s->other);

	if (!f)
		return;
	f->off = lanes ? before & ~lanes : 0;
	set_lanes(b, warp, lanes ? lanes : before);
}

/* The lanes whose counter is below its end; it becomes the variable. */
static bool next_round(sim_block *b, int warp, const sim_frame *f)
{
	uint32_t lanes = 0;
	bool same = f->before == UINT32_MAX;
	sim_vec v;

	for (int k = 0; k < SIM_LANES; k++) {
		if (f->before >> k & 1 && f->from[k] < f->to[k])
			lanes |= UINT32_C(1) << k;
		v.i[k] = (int32_t)f->from[k];
		same = same && f->from[k] == f->from[0];
	}
	if (!lanes)
		return false;
	set_lanes(b, warp, lanes);
	sim_set(b, f->stmt->s->arg[0].var, warp, &v, same ? CLASS_UNIFORM : CLASS_LANE);
	return true;
}

static void begin_loop(sim_block *b, const sim_stmt *s, int warp)
{
	const tile_operand *a = s->s->arg;
	sim_warp *w = &b->async->warp[warp];
	sim_frame *f = push(b, w, s, &s->body);

	if (!f)
		return;
	for (int k = 0; k < SIM_LANES && s->s->op == TILE_UNROLL; k++) {
		f->from[k] = a[1].integer;
		f->to[k] = a[2].integer;
		f->step[k] = a[3].integer;
	}
	if (s->s->op == TILE_FOR) {
		sim_lanes(b, &s->code[1], warp, &f->from);
		sim_lanes(b, &s->code[2], warp, &f->to);
		sim_lanes(b, &s->code[3], warp, &f->step);
	}
	for (int k = 0; k < SIM_LANES; k++)
		if (w->lanes >> k & 1 && f->step[k] <= 0) {
			sim_fault_at(b, SIM_LOOP_STEP, warp, k, "step %lld", (long long)f->step[k]);
			w->depth--;
			return;
		}
	if (!next_round(b, warp, f))
		w->depth--;
}

/* The body's end. */
static void end_body(sim_block *b, int warp)
{
	sim_warp *w = &b->async->warp[warp];
	sim_frame *f = &w->frame[w->depth - 1];
	bool loop = f->stmt && f->stmt->s->op != TILE_IF;

	f->at = 0;
	if (loop) {
		for (int k = 0; k < SIM_LANES; k++)
			f->from[k] += f->step[k];
		if (sim_step(b, f->stmt) && next_round(b, warp, f))
			return;
	} else if (f->off) {
		set_lanes(b, warp, f->off);
		f->off = 0;
		f->body = &f->stmt->other;
		return;
	}
	set_lanes(b, warp, f->before);
	w->depth--;
}

static void leave_loop(sim_block *b, const sim_stmt *s, int warp)
{
	sim_warp *w = &b->async->warp[warp];
	uint32_t on[SIM_MAX_WARPS];
	int all = sim_condition(b, &s->code[0], on);

	if (all < 0 && on[warp] != w->lanes && on[warp])
		sim_fault_at(b, SIM_DIVERGENT_BLOCK, warp, SIM_ALL, "some lanes leave the loop");
	if (all == 0 || (all < 0 && on[warp] != w->lanes))
		return;
	while (w->depth > 1 && w->frame[w->depth - 1].stmt->s->op != TILE_FOR)
		w->depth--;
	set_lanes(b, warp, w->frame[w->depth - 1].before);
	w->depth--;
}

/* --- statements --- */

/* False: the warp waits, before the statement or (numbered barriers) in it. */
static bool run_stmt(sim_block *b, const sim_stmt *s, int warp)
{
	sim_warp *w = &b->async->warp[warp];

	switch (s->s->op) {
	case TILE_IF:
		begin_if(b, s, warp);
		return true;
	case TILE_FOR:
	case TILE_UNROLL:
		begin_loop(b, s, warp);
		return true;
	case TILE_BREAK:
		leave_loop(b, s, warp);
		return true;
	case TILE_BARRIER:
	case TILE_ANYB:
	case TILE_FILL:
	case TILE_COPY:
	case TILE_WAIT:
		w->state = WARP_MEETS;
		return false;
	case TILE_BWAIT:
		if (!sim_converged(b, warp) || sim_await(b, s, warp))
			return true;
		w->state = WARP_AWAITS;
		return false;
	case TILE_NSYNC:
		return !sim_converged(b, warp) || sim_numbered_sync(b, s, warp);
	case TILE_BINIT:
	case TILE_BEXPECT:
	case TILE_BARRIVE:
	case TILE_FENCEA:
	case TILE_COUNT:
	case TILE_NARRIVE:
		sim_bar_statement(b, s, warp);
		return true;
	case TILE_TMALOAD:
		sim_tma_load(b, s, warp);
		return true;
	case TILE_WFENCE:
	case TILE_WCOMMIT:
	case TILE_WWAIT:
		sim_product_statement(b, s, warp);
		return true;
	default:
		if (tile_is_wgmma(s->s->op))
			sim_product_statement(b, s, warp);
		else
			sim_execute(b, s);
		return true;
	}
}

/* What the warp does next, or waits in. */
static const sim_stmt *next_stmt(const sim_warp *w)
{
	const sim_frame *f = &w->frame[w->depth - 1];

	return &f->body->item[f->at - (w->state == WARP_NUMBERED)];
}

/* Runs a warp until it waits or ends; whether it did anything. */
static bool run_warp(sim_block *b, int warp)
{
	sim_warp *w = &b->async->warp[warp];
	bool moved = false;

	b->runs = warp;
	b->active[warp] = w->lanes;
	w->state = WARP_RUNS;
	while (w->depth > 0 && !b->failed) {
		const sim_frame *f = &w->frame[w->depth - 1];
		const sim_stmt *s;
		int depth = w->depth;

		if (f->at == f->body->count) {
			end_body(b, warp);
			moved = true;
			continue;
		}
		s = next_stmt(w);
		if (!sim_step(b, s))
			break;
		w->frame[depth - 1].at++;
		if (!run_stmt(b, s, warp)) {
			w->frame[depth - 1].at -= w->state != WARP_NUMBERED;
			moved = moved || w->state != WARP_AWAITS;
			break;
		}
		moved = true;
	}
	if (w->depth == 0)
		w->state = WARP_ENDED;
	b->active[warp] = 0;
	b->runs = SIM_ALL;
	return moved;
}

/* --- all warps together --- */

/* Whether all warps are at a barrier, or at one statement that all do together. */
static bool all_meet(sim_block *b)
{
	const struct sim_async *x = b->async;
	const sim_stmt *first = NULL;

	for (int w = 0; w < b->warps; w++) {
		const sim_stmt *s;

		if (x->warp[w].state != WARP_MEETS)
			return false;
		s = next_stmt(&x->warp[w]);
		if (first && s != first &&
			(s->s->op != TILE_BARRIER || first->s->op != TILE_BARRIER))
			return false;
		first = s;
	}
	return true;
}

static void run_together(sim_block *b)
{
	struct sim_async *x = b->async;
	const sim_stmt *s = next_stmt(&x->warp[0]);

	if (!sim_step(b, s))
		return;
	b->whole = true;
	for (int w = 0; w < b->warps; w++) {
		b->active[w] = x->warp[w].lanes;
		b->whole = b->whole && x->warp[w].lanes == UINT32_MAX;
		x->warp[w].frame[x->warp[w].depth - 1].at++;
		x->warp[w].state = WARP_RUNS;
	}
	sim_meet(b);
	if (s->s->op == TILE_BARRIER || s->s->op == TILE_ANYB) {
		if (!b->whole)
			sim_fault_at(b, SIM_DIVERGENT_BLOCK, SIM_ALL, SIM_ALL, "at a barrier");
		sim_block_barrier(b);
	}
	if (s->s->op == TILE_ANYB)
		sim_any_block(b, s);
	else if (s->s->op != TILE_BARRIER)
		sim_execute(b, s);
	b->whole = false;
	memset(b->active, 0, sizeof b->active);
}

static void report_deadlock(sim_block *b)
{
	struct sim_async *x = b->async;

	for (int w = 0; w < b->warps; w++) {
		char what[160] = "";

		if (x->warp[w].state == WARP_ENDED || x->warp[w].state == WARP_RUNS)
			continue;
		b->runs = w;
		b->active[w] = x->warp[w].lanes;
		b->now = next_stmt(&x->warp[w]);
		if (x->warp[w].state == WARP_AWAITS)
			sim_await_text(b, b->now, w, what, sizeof what);
		sim_fault_at(b, SIM_DEADLOCK, w, SIM_ALL, "%s",
			*what ? what : "other warps do not come here");
		b->active[w] = 0;
	}
	b->runs = SIM_ALL;
	b->failed = true;
}

void sim_split_run(sim_block *b)
{
	struct sim_async *x = b->async;
	bool moved = true, going = true;

	sim_order_reset(x);
	sim_bars_reset(b);
	sim_products_reset(b);
	b->whole = false;
	memset(b->active, 0, sizeof b->active);
	for (int w = 0; w < b->warps; w++) {
		x->warp[w].state = WARP_RUNS;
		x->warp[w].lanes = UINT32_MAX;
		x->warp[w].depth = 0;
		push(b, &x->warp[w], NULL, &b->image->body);
	}
	while (going && moved && !b->failed && !atomic_load(&b->log->stop)) {
		moved = going = false;
		for (int w = 0; w < b->warps; w++) {
			sim_warp_state state = x->warp[w].state;

			if (state == WARP_RUNS || state == WARP_AWAITS)
				moved |= run_warp(b, w);
			going |= x->warp[w].state != WARP_ENDED;
		}
		if (all_meet(b)) {
			run_together(b);
			moved = true;
		}
	}
	if (b->failed || atomic_load(&b->log->stop))
		return;
	if (going) {
		report_deadlock(b);
		return;
	}
	sim_bars_end(b);
	sim_products_end(b);
}
