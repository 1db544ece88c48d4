/* flow.c: one block from its first statement to its last: variables, IF, FOR, UNROLL, BARRIER,
 * COMMIT, WAIT. Threads run in step; a mask says which execute. */
#include "sim/sim_async.h"
#include <string.h>

/* --- variables --- */

/* Brings a variable that was the same for all threads to one value a thread. */
static void split_variable(sim_block *b, sim_variable *var)
{
	if (!var->uniform)
		return;
	for (int t = 0; t < b->threads; t++)
		var->lane[t] = var->all;
	var->uniform = false;
}

static void set_uniform(sim_block *b, const tile_var *v, int64_t bits)
{
	sim_variable *var = &b->var[v->id];

	var->uniform = var->set_all = true;
	var->all = bits;
}

void sim_set(sim_block *b, const tile_var *v, int warp, const sim_vec *x, sim_class c)
{
	sim_variable *var = &b->var[v->id];

	split_variable(b, var);
	for (int k = 0; k < SIM_LANES; k++)
		if (b->active[warp] >> k & 1)
			var->lane[warp * SIM_LANES + k] =
				sim_scalar_get(x, v->type, c == CLASS_UNIFORM ? 0 : k);
	if (!var->set_all)
		var->set[warp] |= b->active[warp];
	if (c == CLASS_UNIFORM && b->active[warp] == UINT32_MAX)
		var->same |= UINT32_C(1) << warp;
	else
		var->same &= ~(UINT32_C(1) << warp);
}

static void assign(sim_block *b, const sim_stmt *s)
{
	const tile_var *v = s->s->arg[0].var;
	const sim_code *c = &s->code[1];

	for (int w = 0; w < b->warps; w++) {
		sim_domain d = {.warp = w, .n = SIM_LANES, .lanes = b->active[w]};

		if (!b->active[w])
			continue;
		sim_eval(b, c, &d);
		if (b->whole && sim_root_class(b, c, 0) == CLASS_UNIFORM) {
			set_uniform(b, v, sim_scalar_get(&b->slot[c->root[0]], v->type, 0));
			return;
		}
		sim_set(b, v, w, &b->slot[c->root[0]], sim_root_class(b, c, 0));
	}
	if (b->whole)
		b->var[v->id].set_all = true;
}

/* --- masks --- */

bool sim_converged(sim_block *b, int warp)
{
	uint32_t lanes = b->active[warp];

	if (lanes && lanes != UINT32_MAX)
		sim_fault_at(b, SIM_DIVERGENT_WARP, warp, __builtin_ctz(~lanes),
			"lanes %08x of the warp are here", (unsigned)lanes);
	return lanes == UINT32_MAX;
}

typedef struct {
	uint32_t active[SIM_MAX_WARPS];
	bool whole;
} mask;

static mask mask_get(const sim_block *b)
{
	mask m = {.whole = b->whole};

	memcpy(m.active, b->active, sizeof m.active);
	return m;
}

/* Makes `lanes` the mask; whether anyone is left. */
static bool mask_set(sim_block *b, const mask *m)
{
	bool any = false;

	memcpy(b->active, m->active, sizeof b->active);
	b->whole = true;
	for (int w = 0; w < b->warps; w++) {
		any |= m->active[w] != 0;
		b->whole &= m->active[w] == UINT32_MAX;
	}
	return any;
}

/* --- statements --- */

static void run_body(sim_block *b, const sim_body *body);

int sim_condition(sim_block *b, const sim_code *c, uint32_t *on)
{
	memset(on, 0, SIM_MAX_WARPS * sizeof *on);
	for (int w = 0; w < b->warps; w++) {
		sim_domain d = {.warp = w, .n = SIM_LANES, .lanes = b->active[w]};
		const sim_vec *v = &b->slot[c->root[0]];

		if (!b->active[w])
			continue;
		sim_eval(b, c, &d);
		if (sim_root_class(b, c, 0) == CLASS_UNIFORM)
			return v->b[0];
		for (int k = 0; k < SIM_LANES; k++)
			on[w] |= v->b[k] ? (UINT32_C(1) << k) & b->active[w] : 0;
	}
	return -1;
}

static void run_if(sim_block *b, const sim_stmt *s)
{
	mask before = mask_get(b), on = {0}, off = {0};
	int all = sim_condition(b, &s->code[0], on.active);

	if (all >= 0) {
		run_body(b, all ? &s->body : &s->other);
		return;
	}
	for (int w = 0; w < b->warps; w++)
		off.active[w] = before.active[w] & ~on.active[w];
	if (mask_set(b, &on))
		run_body(b, &s->body);
	if (mask_set(b, &off))
		run_body(b, &s->other);
	mask_set(b, &before);
}

bool sim_step(sim_block *b, const sim_stmt *s)
{
	b->now = s;
	b->time++;
	if (b->failed || atomic_load_explicit(&b->log->stop, memory_order_relaxed))
		return false;
	if (++b->steps <= b->step_limit)
		return true;
	sim_fault_at(b, SIM_STEPS, SIM_ALL, SIM_ALL, "%lld statements of this block",
		(long long)b->step_limit);
	b->failed = true;
	return false;
}

static void run_unroll(sim_block *b, const sim_stmt *s)
{
	const tile_operand *a = s->s->arg;

	for (int64_t i = a[1].integer; i < a[2].integer; i += a[3].integer) {
		set_uniform(b, a[0].var, i);
		run_body(b, &s->body);
		if (!sim_step(b, s))
			return;
	}
}

/* Bounds of a loop for each thread: from, to, step. */
typedef struct {
	int64_t from[SIM_MAX_WARPS][SIM_LANES], to[SIM_MAX_WARPS][SIM_LANES],
		step[SIM_MAX_WARPS][SIM_LANES];
	bool uniform;
} loop;

static void loop_bounds(sim_block *b, const sim_stmt *s, loop *l)
{
	int64_t(*out[3])[SIM_LANES] = {l->from, l->to, l->step};

	l->uniform = true;
	for (int w = 0; w < b->warps; w++)
		for (int i = 0; i < 3 && b->active[w]; i++) {
			sim_lanes(b, &s->code[1 + i], w, &out[i][w]);
			l->uniform &= sim_root_class(b, &s->code[1 + i], 0) == CLASS_UNIFORM;
		}
}

static bool check_steps(sim_block *b, const loop *l)
{
	for (int w = 0; w < b->warps; w++)
		for (int k = 0; k < SIM_LANES; k++)
			if (b->active[w] >> k & 1 && l->step[w][k] <= 0) {
				sim_fault_at(b, SIM_LOOP_STEP, w, k, "step %lld",
					(long long)l->step[w][k]);
				return false;
			}
	return true;
}

/* Whether a break in the body was taken. */
static bool left(sim_block *b)
{
	bool was = b->leaves;

	b->leaves = false;
	return was;
}

/* Threads whose counter is below its end; their counters become the variable. */
static bool loop_next(sim_block *b, const sim_stmt *s, const loop *l, const mask *before)
{
	mask on = {0};
	bool any;

	for (int w = 0; w < b->warps; w++)
		for (int k = 0; k < SIM_LANES; k++)
			if (before->active[w] >> k & 1 && l->from[w][k] < l->to[w][k])
				on.active[w] |= UINT32_C(1) << k;
	any = mask_set(b, &on);
	for (int w = 0; w < b->warps && any; w++) {
		sim_vec v;

		for (int k = 0; k < SIM_LANES; k++)
			v.i[k] = (int32_t)l->from[w][k];
		sim_set(b, s->s->arg[0].var, w, &v, CLASS_LANE);
	}
	return any;
}

static void run_varying(sim_block *b, const sim_stmt *s, loop *l)
{
	mask before = mask_get(b);

	while (loop_next(b, s, l, &before)) {
		run_body(b, &s->body);
		for (int w = 0; w < b->warps; w++)
			for (int k = 0; k < SIM_LANES; k++)
				l->from[w][k] += l->step[w][k];
		if (left(b) || !sim_step(b, s))
			break;
	}
	mask_set(b, &before);
}

static void run_for(sim_block *b, const sim_stmt *s)
{
	loop l;
	int w = 0;

	memset(&l, 0, sizeof l);
	loop_bounds(b, s, &l);
	if (!check_steps(b, &l))
		return;
	if (!l.uniform || !b->whole) {
		run_varying(b, s, &l);
		return;
	}
	for (int64_t i = l.from[w][0]; i < l.to[w][0]; i += l.step[w][0]) {
		set_uniform(b, s->s->arg[0].var, i);
		run_body(b, &s->body);
		if (left(b) || !sim_step(b, s))
			return;
	}
}

static void run_barrier(sim_block *b)
{
	if (!b->whole)
		sim_fault_at(b, SIM_DIVERGENT_BLOCK, SIM_ALL, SIM_ALL, "at a barrier");
	b->shared.barrier = b->time;
}

static void run_groups(sim_block *b, const sim_stmt *s)
{
	for (int w = 0; w < b->warps; w++) {
		if (!sim_converged(b, w))
			continue;
		if (s->s->op == TILE_COMMIT)
			sim_shared_commit(b, w);
		else
			sim_shared_wait(b, w, s->s->arg[0].integer);
	}
	if (s->s->op == TILE_WAIT)
		sim_shared_land(b);
}

/* All threads or none: the condition is the same in the block. */
static void run_break(sim_block *b, const sim_stmt *s)
{
	mask before = mask_get(b), on = {0};
	int all = sim_condition(b, &s->code[0], on.active);

	if (all < 0) {
		on.whole = memcmp(on.active, before.active, sizeof on.active) == 0;
		all = on.whole;
		for (int w = 0; w < b->warps && !on.whole; w++)
			if (on.active[w])
				sim_fault_at(b, SIM_DIVERGENT_BLOCK, w, SIM_ALL,
					"some threads leave the loop");
	}
	b->leaves = all == 1;
}

void sim_any_block(sim_block *b, const sim_stmt *s)
{
	set_uniform(b, s->s->arg[0].var, sim_any(b, s));
}

void sim_execute(sim_block *b, const sim_stmt *s)
{
	switch (s->s->op) {
	case TILE_LET:
	case TILE_SET:
		assign(b, s);
		return;
	case TILE_MAP:
		sim_map(b, s);
		return;
	case TILE_ANY:
		sim_any(b, s);
		return;
	case TILE_REDUCE:
		sim_reduce(b, s);
		return;
	case TILE_QUAD:
		sim_quad(b, s);
		return;
	case TILE_FILL:
		sim_fill(b, s);
		return;
	case TILE_COPY:
		sim_copy(b, s);
		return;
	case TILE_COMMIT:
	case TILE_WAIT:
		run_groups(b, s);
		return;
	case TILE_LDSM:
	case TILE_LDSMT:
	case TILE_LDSMR:
		sim_ldmatrix(b, s);
		return;
	case TILE_LDS:
	case TILE_LDST:
		sim_load(b, s);
		return;
	case TILE_MMA:
		sim_mma(b, s);
		return;
	case TILE_STORE:
		sim_store(b, s);
		return;
	case TILE_STORER:
		sim_store_rows(b, s);
		return;
	case TILE_STORES:
		sim_store_shared(b, s);
		return;
	case TILE_STSM:
		sim_stmatrix(b, s);
		return;
	default:
		ice("'%s' is no plain statement", tile_op_info[s->s->op].text);
	}
}

static void run_stmt(sim_block *b, const sim_stmt *s)
{
	switch (s->s->op) {
	case TILE_BARRIER:
		run_barrier(b);
		return;
	case TILE_ANYB:
		run_barrier(b);
		sim_any_block(b, s);
		return;
	case TILE_BREAK:
		run_break(b, s);
		return;
	case TILE_FOR:
		run_for(b, s);
		return;
	case TILE_UNROLL:
		run_unroll(b, s);
		return;
	case TILE_IF:
		run_if(b, s);
		return;
	default:
		sim_execute(b, s);
		return;
	}
}

static void run_body(sim_block *b, const sim_body *body)
{
	for (int i = 0; i < body->count; i++) {
		if (!sim_step(b, &body->item[i]))
			return;
		run_stmt(b, &body->item[i]);
		if (b->leaves)
			return;
	}
}

/* --- the block --- */

static void reset(sim_block *b)
{
	const sim_image *m = b->image;

	memset(b->reg, 0xff, m->registers * sizeof *b->reg);
	memset(b->defined, 0, m->defined_size * sizeof *b->defined);
	for (int i = 0; i < m->p->var.count; i++) {
		sim_variable *v = &b->var[i];
		int64_t *lane = v->lane;

		*v = (sim_variable){.uniform = true, .lane = lane};
	}
	sim_shared_reset(&b->shared);
	for (int w = 0; w < SIM_MAX_WARPS; w++)
		b->active[w] = w < b->warps ? UINT32_MAX : 0;
	b->whole = true;
	b->leaves = false;
	b->runs = SIM_ALL;
	b->time = 0;
	b->steps = b->conflicts = 0;
}

void sim_run_block(sim_block *b, int64_t index)
{
	b->index[0] = index % b->args->grid[0];
	b->index[1] = index / b->args->grid[0] % b->args->grid[1];
	b->index[2] = index / b->args->grid[0] / b->args->grid[1];
	reset(b);
	if (b->async)
		sim_split_run(b);
	else
		run_body(b, &b->image->body);
	if (!b->failed && !atomic_load(&b->log->stop))
		sim_shared_end(b);
	atomic_fetch_add(&b->log->statements, b->steps);
	atomic_fetch_add(&b->log->conflicts, b->conflicts);
}
