/* flight.c: registers of products of warpgroups between the wgmma and the wait that covers it.
 * in:  a program whose statements are right by themselves
 * out: true, or the first statement that touches a tile in flight, or a product without a fence
 * Walks the statements with what may be in flight. Where paths join, the younger group counts;
 * loops are walked until nothing changes, unrolled bodies as often as they run. A tile is free
 * again only when a wait that covers its last product names it: the name is what keeps the emitters
 * from moving arithmetic over the wait. */
#include "tile/tile_internal.h"
#include <string.h>

/* How old the youngest group with a tile is: 0 not committed yet, then the committed ones. */
enum { LANDED = 254, FREE = 255 };

typedef struct {
	uint8_t *age; /* [register tile id] */
	bool *touched; /* [register tile id] since the last fence, by something else than a product */
	bool fenced;   /* a fence stands behind the last wait */
} flight;

typedef struct {
	const tile_program *p;
	arena *arena;
	tile_ranges *ranges;
	tile_walk walk;
	flight *leaving; /* what breaks of the innermost for leave with, joined; NULL: none yet */
	bool report;     /* errors count: the state is what it is when the loops have settled */
	int budget;      /* of statements walked in unrolled bodies */
	text *why;
} flights;

/* --- states --- */

static flight state_copy(flights *f, const flight *from)
{
	size_t n = (size_t)f->p->frag.count + 1;
	flight s = {
		ARENA_ARRAY(f->arena, uint8_t, n), ARENA_ARRAY(f->arena, bool, n), from->fenced};

	memcpy(s.age, from->age, n);
	memcpy(s.touched, from->touched, n * sizeof *s.touched);
	return s;
}

/* Brings `other` into `s`; whether that changed s. */
static bool state_join(const flights *f, flight *s, const flight *other)
{
	bool changed = s->fenced && !other->fenced;

	s->fenced = s->fenced && other->fenced;
	for (int i = 0; i < f->p->frag.count; i++) {
		if (other->age[i] < s->age[i]) {
			s->age[i] = other->age[i];
			changed = true;
		}
		if (other->touched[i] && !s->touched[i])
			s->touched[i] = changed = true;
	}
	return changed;
}

/* --- statements --- */

/* What is wrong stands around the tile's name. */
static bool wrong(flights *f, const tile_stmt *s, const char *before, const tile_frag *tile,
	const char *behind)
{
	if (!f->report)
		return true;
	tile_verify_where(f->p, s, f->why);
	text_printf(f->why, "%s'%s'%s", before, tile->name, behind);
	return false;
}

/* Something else than a product reads or writes the tile. */
static bool touch(flights *f, flight *st, const tile_stmt *s, const tile_frag *tile, bool write)
{
	uint8_t age = st->age[tile->id];

	if (!write && tile->layout == LAYOUT_OPA)
		return true; /* products only read it too */
	st->touched[tile->id] = true;
	if (age == FREE)
		return true;
	if (age == LANDED)
		return wrong(f, s, "the wgmma.wait that covers the product with ", tile,
			" does not name it: arithmetic could move before the wait");
	return wrong(f, s, "", tile, " is in flight: no wgmma.wait covers its product");
}

static bool touch_value(flights *f, flight *st, const tile_stmt *s, const tile_expr *x)
{
	if (!tile_walk_first(&f->walk, x))
		return true;
	if (x->op == TX_FRAG && !touch(f, st, s, x->frag, false))
		return false;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (!touch_value(f, st, s, x->arg[i]))
			return false;
	return true;
}

static bool touch_operands(flights *f, flight *st, const tile_stmt *s)
{
	const char *signature = tile_op_info[s->op].signature;

	tile_walk_begin(&f->walk);
	for (int i = 0; signature[i]; i++)
		if (signature[i] == 'e' && !touch_value(f, st, s, s->arg[i].value))
			return false;
	for (const char *r = tile_stmt_reads(s); *r; r++)
		if (!touch(f, st, s, s->arg[*r - '0'].slice.frag, false))
			return false;
	return !tile_stmt_writes(s->op) || touch(f, st, s, s->arg[0].slice.frag, true);
}

static bool product(flights *f, flight *st, const tile_stmt *s)
{
	const tile_frag *acc = s->arg[0].slice.frag, *left = acc;

	if (s->op == TILE_WGMMA || s->op == TILE_WGMMAT)
		left = s->arg[2].slice.frag;
	if (!st->fenced)
		return wrong(f, s, "no wgmma.fence stands before the product into ", acc,
			", behind the last wgmma.wait");
	if (st->touched[acc->id] || st->touched[left->id])
		return wrong(f, s, "no wgmma.fence stands between the last use of ",
			st->touched[acc->id] ? acc : left, " and this product");
	st->age[acc->id] = st->age[left->id] = 0;
	return true;
}

static void commit(const flights *f, flight *st)
{
	for (int i = 0; i < f->p->frag.count; i++)
		if (st->age[i] < LANDED - 1)
			st->age[i]++;
}

static void wait(const flights *f, flight *st, const tile_stmt *s)
{
	const tile_list *l = &s->arg[1].list;

	st->fenced = false;
	for (int i = 0; i < f->p->frag.count; i++)
		if (st->age[i] < LANDED && st->age[i] > s->arg[0].integer)
			st->age[i] = LANDED;
	for (int i = 0; i < l->count; i++)
		if (st->age[l->frag[i]->id] == LANDED)
			st->age[l->frag[i]->id] = FREE;
}

static void fence(const flights *f, flight *st)
{
	st->fenced = true;
	memset(st->touched, 0, (size_t)f->p->frag.count * sizeof *st->touched);
}

/* --- flow --- */

static bool walk_block(flights *f, flight *st, const tile_block *b);

/* Whether a condition is known: 1 true, 0 false, -1 unknown. */
static int decide(flights *f, const tile_expr *x)
{
	tile_range a, b;

	if (x->op == TX_CONST)
		return x->i != 0;
	if (tile_expr_info[x->op].result != RESULT_BOOL || x->arg[0]->type != TILE_I32)
		return -1;
	a = tile_range_of(f->ranges, x->arg[0]);
	b = tile_range_of(f->ranges, x->arg[1]);
	if (a.step != 0 || b.step != 0)
		return -1;
	switch (x->op) {
	case TX_LT:
		return a.phase < b.phase;
	case TX_LE:
		return a.phase <= b.phase;
	case TX_EQ:
		return a.phase == b.phase;
	default:
		return a.phase != b.phase;
	}
}

static bool walk_if(flights *f, flight *st, const tile_stmt *s)
{
	int known = decide(f, s->arg[0].value);
	flight other;

	if (known >= 0)
		return walk_block(f, st, known ? &s->body : &s->other);
	other = state_copy(f, st);
	if (!walk_block(f, st, &s->body) || !walk_block(f, &other, &s->other))
		return false;
	state_join(f, st, &other);
	return true;
}

/* A body that runs any number of times; of an unroll at least once. A for to the greatest number
 * ends by its breaks only. */
static bool walk_loop(flights *f, flight *st, const tile_stmt *s)
{
	bool report = f->report;
	flight end, *outer = f->leaving;

	f->report = false;
	f->leaving = NULL;
	do {
		end = state_copy(f, st);
		walk_block(f, &end, &s->body);
	} while (state_join(f, st, &end));
	f->report = report;
	end = state_copy(f, st);
	if (!walk_block(f, &end, &s->body))
		return false;
	if (s->op == TILE_UNROLL)
		*st = end;
	if (s->op == TILE_FOR && tx_is_const(s->arg[2].value, INT32_MAX) && f->leaving)
		*st = *f->leaving;
	else if (f->leaving)
		state_join(f, st, f->leaving);
	f->leaving = outer;
	return true;
}

static bool walk_break(flights *f, flight *st, const tile_stmt *s)
{
	if (!touch_operands(f, st, s))
		return false;
	if (f->leaving) {
		state_join(f, f->leaving, st);
		return true;
	}
	f->leaving = ARENA_NEW(f->arena, flight);
	*f->leaving = state_copy(f, st);
	return true;
}

static int count_statements(const tile_block *b)
{
	int n = b->count;

	for (int i = 0; i < b->count; i++)
		n += count_statements(&b->item[i]->body) + count_statements(&b->item[i]->other);
	return n;
}

static bool walk_unroll(flights *f, flight *st, const tile_stmt *s)
{
	int64_t from = s->arg[1].integer, to = s->arg[2].integer, step = s->arg[3].integer;
	tile_range *counter = &f->ranges->var[s->arg[0].var->id], all = *counter;
	size_t exprs = (size_t)f->p->expr_count + 1;
	bool ok = true;

	if (to <= from)
		return true;
	f->budget -= count_statements(&s->body) * (int)((to - from + step - 1) / step);
	if (f->budget < 0)
		return walk_loop(f, st, s);
	for (int64_t i = from; ok && i < to; i += step) {
		*counter = (tile_range){i, i, 0, i};
		memset(f->ranges->known, 0, exprs * sizeof *f->ranges->known);
		ok = walk_block(f, st, &s->body);
	}
	*counter = all;
	memset(f->ranges->known, 0, exprs * sizeof *f->ranges->known);
	return ok;
}

static bool walk_stmt(flights *f, flight *st, const tile_stmt *s)
{
	switch (s->op) {
	case TILE_WGMMA:
	case TILE_WGMMAT:
	case TILE_WGMMAS:
	case TILE_WGMMAST:
		return product(f, st, s);
	case TILE_WCOMMIT:
		commit(f, st);
		return true;
	case TILE_WWAIT:
		wait(f, st, s);
		return true;
	case TILE_WFENCE:
		fence(f, st);
		return true;
	case TILE_BREAK:
		return walk_break(f, st, s);
	case TILE_IF:
		return walk_if(f, st, s);
	case TILE_FOR:
		return walk_loop(f, st, s);
	case TILE_UNROLL:
		return walk_unroll(f, st, s);
	default:
		return touch_operands(f, st, s);
	}
}

static bool walk_block(flights *f, flight *st, const tile_block *b)
{
	for (int i = 0; i < b->count; i++)
		if (!walk_stmt(f, st, b->item[i]))
			return false;
	return true;
}

static bool has_products(const tile_block *b)
{
	for (int i = 0; i < b->count; i++)
		if (tile_is_wgmma(b->item[i]->op) || has_products(&b->item[i]->body) ||
			has_products(&b->item[i]->other))
			return true;
	return false;
}

bool tile_verify_flight(const tile_program *p, tile_ranges *ranges, arena *scratch, text *why)
{
	flights f = {.p = p, .arena = scratch, .ranges = ranges, .report = true, .why = why};
	flight none = {.fenced = false}, st;

	if (!has_products(&p->body))
		return true;
	f.budget = 1 << 16;
	f.walk = (tile_walk){.p = p, .arena = scratch};
	none.age = ARENA_ARRAY(scratch, uint8_t, p->frag.count + 1);
	none.touched = ARENA_ARRAY(scratch, bool, p->frag.count + 1);
	memset(none.age, FREE, (size_t)p->frag.count + 1);
	st = state_copy(&f, &none);
	if (!walk_block(&f, &st, &p->body))
		return false;
	for (int i = 0; i < p->frag.count; i++)
		if (st.age[i] < LANDED)
			return wrong(&f, NULL, "", p->frag.item[i],
				" is in flight when the kernel ends: no wgmma.wait covers its "
				"product");
	return true;
}
