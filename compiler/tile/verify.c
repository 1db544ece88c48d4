/* verify.c: what a whole program must satisfy, after every pass.
 * in:  a program
 * out: true, or the first wrong statement and why
 * Four walks over the statements, each relying on the one before: names are defined before they
 * are used and every statement is right by itself (check.c); slices and regions lie inside and
 * aligned, register-tile leaves have peers; warp- and block-wide operations are in uniform flow;
 * registers in flight are not touched (flight.c). */
#include "tile/tile_internal.h"
#include <string.h>

/* How far threads may disagree about a value. */
typedef enum { SAME_IN_BLOCK, SAME_IN_WARPGROUP, SAME_IN_WARP, VARYING } agreement;

typedef struct {
	const tile_program *p;
	arena *arena;
	tile_walk walk;
	tile_ranges ranges;
	const tile_stmt *loop;     /* the innermost */
	bool *in_scope, *settable; /* [variable id] */
	bool *written;             /* [register tile id] on every path to here */
	agreement *level;          /* [variable id] */
	uint8_t *memo;             /* [expr id]: agreement + 1 */
	bool changed;
	text *why;
} verifier;

static bool wrong(verifier *v, const tile_stmt *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void tile_verify_where(const tile_program *p, const tile_stmt *s, text *why)
{
	if (!s)
		return;
	text_put(why, "in '");
	tile_print_stmt(p, s, why);
	text_put(why, "'");
	if (s->line)
		text_printf(why, " (spec:%d)", s->line);
	text_put(why, ": ");
}

static bool wrong(verifier *v, const tile_stmt *s, const char *fmt, ...)
{
	va_list ap;

	tile_verify_where(v->p, s, v->why);
	va_start(ap, fmt);
	text_vprintf(v->why, fmt, ap);
	va_end(ap);
	return false;
}

/* Calls `f` for every value of a statement until one is wrong. */
static bool each_value(verifier *v, const tile_stmt *s,
	bool (*f)(verifier *, const tile_stmt *, const tile_expr *))
{
	const char *signature = tile_op_info[s->op].signature;

	for (int i = 0; signature[i]; i++) {
		tile_expr *value[TILE_OPERAND_VALUES];
		int n = tile_operand_values(signature[i], &s->arg[i], value);

		for (int k = 0; k < n; k++)
			if (!f(v, s, value[k]))
				return false;
	}
	return true;
}

/* --- definitions --- */

static bool check_uses(verifier *v, const tile_stmt *s, const tile_expr *x)
{
	if (!tile_walk_first(&v->walk, x))
		return true;
	if (x->op == TX_VAR && !v->in_scope[x->var->id])
		return wrong(v, s, "'%s' is not defined here", x->var->name);
	if (x->op == TX_FRAG && !v->written[x->frag->id])
		return wrong(v, s, "'%s' is read before it is written", x->frag->name);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (!check_uses(v, s, x->arg[i]))
			return false;
	return true;
}

const char *tile_stmt_reads(const tile_stmt *s)
{
	switch (s->op) {
	case TILE_REDUCE:
		return "02";
	case TILE_QUAD:
		return "0";
	case TILE_MMA:
		return "012";
	case TILE_WGMMA:
	case TILE_WGMMAT:
		return s->arg[1].zero ? "2" : "02";
	case TILE_WGMMAS:
	case TILE_WGMMAST:
		return s->arg[1].zero ? "" : "0";
	case TILE_STSM:
		return "1";
	default:
		return "";
	}
}

bool tile_stmt_writes(tile_opcode op)
{
	return op == TILE_MAP || op == TILE_LDSM || op == TILE_LDSMT || op == TILE_LDSMR ||
	       op == TILE_LDS || op == TILE_LDST || tile_is_wgmma(op);
}

static bool check_names(verifier *v, const tile_stmt *s)
{
	tile_walk_begin(&v->walk);
	if (!each_value(v, s, check_uses))
		return false;
	for (const char *r = tile_stmt_reads(s); *r; r++) {
		const tile_frag *f = s->arg[*r - '0'].slice.frag;

		if (!v->written[f->id])
			return wrong(v, s, "'%s' is read before it is written", f->name);
	}
	if (s->op == TILE_SET && !v->in_scope[s->arg[0].var->id])
		return wrong(v, s, "'%s' is not defined here", s->arg[0].var->name);
	if (s->op == TILE_SET && !v->settable[s->arg[0].var->id])
		return wrong(v, s, "'%s' is not defined by let", s->arg[0].var->name);
	return true;
}

static bool define_block(verifier *v, const tile_block *b);

/* Bodies: what an if writes counts where both arms do, what a loop writes where it runs. */
static bool define_bodies(verifier *v, const tile_stmt *s)
{
	size_t n = (size_t)v->p->frag.count;
	bool *before = ARENA_ARRAY(v->arena, bool, n + 1), *after;
	const tile_stmt *loop = v->loop;

	memcpy(before, v->written, n * sizeof *before);
	if (s->op != TILE_IF)
		v->loop = s;
	if (!define_block(v, &s->body))
		return false;
	v->loop = loop;
	if (s->op == TILE_UNROLL && s->arg[2].integer > s->arg[1].integer)
		return true;
	after = v->written;
	v->written = before;
	if (s->op != TILE_IF)
		return true;
	if (!define_block(v, &s->other))
		return false;
	for (size_t i = 0; i < n; i++)
		v->written[i] = v->written[i] && after[i];
	return true;
}

static bool define_stmt(verifier *v, const tile_stmt *s)
{
	const char *signature = tile_op_info[s->op].signature;
	text why = {0};

	if (!check_names(v, s))
		return false;
	if (!tile_check_stmt(&v->walk, s, &why)) {
		wrong(v, s, "%s", why.data);
		text_free(&why);
		return false;
	}
	if (s->op == TILE_BREAK && (!v->loop || v->loop->op != TILE_FOR))
		return wrong(v, s, "the innermost loop here is no 'for'");
	if (tile_stmt_writes(s->op))
		v->written[s->arg[0].slice.frag->id] = true;
	if (signature[0] == 'd') {
		v->in_scope[s->arg[0].var->id] = true;
		v->settable[s->arg[0].var->id] = s->op == TILE_LET;
	}
	if (tile_op_info[s->op].effect != EFFECT_FLOW)
		return true;
	if (!define_bodies(v, s))
		return false;
	if (signature[0] == 'd')
		v->in_scope[s->arg[0].var->id] = false;
	return true;
}

static bool define_block(verifier *v, const tile_block *b)
{
	for (int i = 0; i < b->count; i++)
		if (!define_stmt(v, b->item[i]))
			return false;
	for (int i = 0; i < b->count; i++)
		if (tile_op_info[b->item[i]->op].signature[0] == 'd')
			v->in_scope[b->item[i]->arg[0].var->id] = false;
	return true;
}

/* --- bounds, alignment, peers --- */

/* [first, first + n) lies in [0, size) and first is a multiple of `cell`. */
static bool inside(verifier *v, const tile_expr *first, int n, int size, int cell)
{
	tile_range r = tile_range_of(&v->ranges, first);

	return r.low >= 0 && r.high <= size - n && tile_range_divisible(r, cell);
}

static bool place_slice(verifier *v, const tile_stmt *s, const tile_slice *f)
{
	tile_cell c = tile_cell_of(f->frag);

	if (!inside(v, f->first, f->cols, f->frag->cols, c.cols))
		return wrong(v, s,
			"columns of '%s' begin outside 0 .. %d or not at a multiple of %d",
			f->frag->name, f->frag->cols - f->cols, c.cols);
	if (f->frag->layout == LAYOUT_OPB &&
		!inside(v, f->first_row, f->rows, f->frag->rows, c.rows))
		return wrong(v, s, "rows of '%s' begin outside 0 .. %d or not at a multiple of %d",
			f->frag->name, f->frag->rows - f->rows, c.rows);
	return true;
}

/* Only what is certain counts: bounds of run-time values are the simulator's. */
static bool may_lie(verifier *v, const tile_expr *first, int n, int size)
{
	tile_range r = tile_range_of(&v->ranges, first);

	return (r.low >= 0 || r.low == INT64_MIN) && (r.high <= size - n || r.high == INT64_MAX);
}

/* What the place of a region must be a multiple of. */
static void region_steps(const tile_stmt *s, const tile_region *r, int *rows, int *cols)
{
	*rows = *cols = 1;
	switch (s->op) {
	case TILE_COPY:
	case TILE_LDSM:
	case TILE_LDSMT:
	case TILE_LDSMR:
	case TILE_STSM:
	case TILE_STORER:
		*cols = 16 / tile_type_bytes(r->buffer->type);
		return;
	case TILE_TMALOAD:
		*rows = 8;
		*cols = TILE_PANEL;
		return;
	case TILE_WGMMA:
	case TILE_WGMMAS:
		*rows = 8;
		*cols = 16;
		return;
	case TILE_WGMMAT:
	case TILE_WGMMAST:
		*rows = 8;
		*cols = r == &s->arg[3].region ? TILE_PANEL : 16;
		return;
	default:
		return;
	}
}

static bool place_region(verifier *v, const tile_stmt *s, const tile_region *r)
{
	const tile_buffer *b = r->buffer;
	tile_range row = tile_range_of(&v->ranges, r->row), col = tile_range_of(&v->ranges, r->col);
	int rows, cols;

	if (!may_lie(v, r->slot, 1, b->slots))
		return wrong(v, s, "the slot is outside '%s'", b->name);
	if (!may_lie(v, r->row, r->rows, b->rows) || !may_lie(v, r->col, r->cols, b->cols))
		return wrong(v, s, "the region is not inside '%s'", b->name);
	region_steps(s, r, &rows, &cols);
	if (!tile_range_divisible(row, rows))
		return wrong(v, s, "the region's first row is not a multiple of %d", rows);
	if (!tile_range_divisible(col, cols))
		return wrong(v, s, "the region's first column is not a multiple of %d", cols);
	if (s->op == TILE_TMALOAD && r->cols < TILE_PANEL &&
		(col.step != 0 || col.phase != b->cols - r->cols))
		return wrong(v, s, "a region of %d columns is not the last panel of '%s'", r->cols,
			b->name);
	return true;
}

/* The layouts repeat every 16 columns and every cell row, so one period stands for the tile. */
static bool peers_exist(verifier *v, const tile_frag *src, const tile_slice *dst)
{
	tile_range first = tile_range_of(&v->ranges, dst->first);
	tile_cell c = tile_cell_of(dst->frag);
	int cells = dst->frag->cols / c.cols, period = 16 / c.cols ? 16 / c.cols : 1, sr, se;

	if (src->layout != LAYOUT_ROWV && first.high + dst->cols > src->cols)
		return false;
	for (int r = 0; r < (period < cells ? period : cells) * c.registers; r++)
		for (int e = 0; e < tile_register_elements(dst->frag); e++)
			if (!tile_peer(v->p, src, dst->frag, r, e, &sr, &se))
				return false;
	return true;
}

static bool check_peers(verifier *v, const tile_stmt *s, const tile_slice *dst, const tile_expr *x)
{
	if (!tile_walk_first(&v->walk, x))
		return true;
	if (x->op == TX_FRAG && x->frag != dst->frag && !peers_exist(v, x->frag, dst))
		return wrong(v, s, "'%s' has elements of '%s' in other threads or not at all",
			x->frag->name, dst->frag->name);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (!check_peers(v, s, dst, x->arg[i]))
			return false;
	return true;
}

static bool place_stmt(verifier *v, const tile_stmt *s)
{
	const char *signature = tile_op_info[s->op].signature;
	const tile_slice *domain = NULL;

	for (int i = 0; signature[i]; i++) {
		if (signature[i] == 'f' && !place_slice(v, s, &s->arg[i].slice))
			return false;
		if (signature[i] == 's' && !place_region(v, s, &s->arg[i].region))
			return false;
		if (signature[i] == 'b' &&
			!may_lie(v, s->arg[i].bar.index, 1, s->arg[i].bar.bar->slots))
			return wrong(v, s, "the index is outside '%s'", s->arg[i].bar.bar->name);
		if (signature[i] == 'f' && !domain)
			domain = &s->arg[i].slice;
	}
	if (s->op == TILE_FOR && tile_range_of(&v->ranges, s->arg[3].value).low < 1)
		return wrong(v, s, "the step is not known to be positive");
	if ((s->op == TILE_NSYNC || s->op == TILE_NARRIVE) && !may_lie(v, s->arg[0].value, 1, 16))
		return wrong(v, s, "barriers have the numbers 0 .. 15");
	tile_walk_begin(&v->walk);
	for (int i = 0; domain && signature[i]; i++)
		if (signature[i] == 'e' && !check_peers(v, s, domain, s->arg[i].value))
			return false;
	return true;
}

static bool place_block(verifier *v, const tile_block *b)
{
	for (int i = 0; i < b->count; i++)
		if (!place_stmt(v, b->item[i]) || !place_block(v, &b->item[i]->body) ||
			!place_block(v, &b->item[i]->other))
			return false;
	return true;
}

/* --- uniformity --- */

static agreement worse(agreement a, agreement b)
{
	return a > b ? a : b;
}

/* ROW and COL count as uniform: where they occur, every thread is asked for every element. */
static agreement level_of(verifier *v, const tile_expr *x)
{
	agreement a = SAME_IN_BLOCK;

	if (v->memo[x->id])
		return (agreement)(v->memo[x->id] - 1);
	if (x->op == TX_TID || x->op == TX_LANE || x->op == TX_FRAG)
		a = VARYING;
	if (x->op == TX_WARP)
		a = SAME_IN_WARP;
	if (x->op == TX_WARPGROUP)
		a = SAME_IN_WARPGROUP;
	if (x->op == TX_VAR)
		a = v->level[x->var->id];
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		a = worse(a, level_of(v, x->arg[i]));
	v->memo[x->id] = (uint8_t)(a + 1);
	return a;
}

static void raise(verifier *v, const tile_var *var, agreement a)
{
	if (v->level[var->id] >= a)
		return;
	v->level[var->id] = a;
	v->changed = true;
}

static agreement flow_level(verifier *v, const tile_stmt *s)
{
	agreement a = SAME_IN_BLOCK;

	if (s->op == TILE_IF)
		a = level_of(v, s->arg[0].value);
	for (int i = 1; s->op == TILE_FOR && i <= 3; i++)
		a = worse(a, level_of(v, s->arg[i].value));
	return a;
}

/* One round: levels of variables from those of the round before. */
static void spread_block(verifier *v, const tile_block *b, agreement flow)
{
	for (int i = 0; i < b->count; i++) {
		const tile_stmt *s = b->item[i];
		agreement inner = worse(flow, flow_level(v, s));

		if (s->op == TILE_LET)
			raise(v, s->arg[0].var, level_of(v, s->arg[1].value));
		if (s->op == TILE_SET)
			raise(v, s->arg[0].var, worse(flow, level_of(v, s->arg[1].value)));
		if (s->op == TILE_ANY || s->op == TILE_COUNT)
			raise(v, s->arg[0].var, SAME_IN_WARP);
		if (s->op == TILE_FOR)
			raise(v, s->arg[0].var, flow_level(v, s));
		spread_block(v, &s->body, inner);
		spread_block(v, &s->other, inner);
	}
}

/* How uniform the flow around an operation, and its region, must be. */
static agreement required(tile_opcode op)
{
	switch (op) {
	case TILE_BARRIER:
	case TILE_ANYB:
	case TILE_BREAK:
	case TILE_FILL:
	case TILE_COPY:
		return SAME_IN_BLOCK;
	case TILE_WGMMA:
	case TILE_WGMMAT:
	case TILE_WGMMAS:
	case TILE_WGMMAST:
	case TILE_WFENCE:
	case TILE_WCOMMIT:
	case TILE_WWAIT:
		return SAME_IN_WARPGROUP;
	case TILE_BINIT:
	case TILE_BEXPECT:
	case TILE_BARRIVE:
	case TILE_BWAIT:
	case TILE_TMALOAD:
	case TILE_NSYNC:
	case TILE_NARRIVE:
	case TILE_COUNT:
	case TILE_STSM:
	case TILE_STORER:
	case TILE_COMMIT:
	case TILE_WAIT:
	case TILE_LDSM:
	case TILE_LDSMT:
	case TILE_LDSMR:
	case TILE_LDS:
	case TILE_LDST:
	case TILE_MMA:
	case TILE_ANY:
	case TILE_QUAD:
		return SAME_IN_WARP;
	case TILE_LET:
	case TILE_SET:
	case TILE_MAP:
	case TILE_REDUCE:
	case TILE_STORE:
	case TILE_STORES:
	case TILE_FENCEA:
	case TILE_FOR:
	case TILE_UNROLL:
	case TILE_IF:
	case TILE_OP_COUNT:
		break;
	}
	return VARYING;
}

static const char *together(agreement a)
{
	return a == SAME_IN_BLOCK ? "block" : a == SAME_IN_WARPGROUP ? "warpgroup" : "warp";
}

/* Operations for which one lane, or nobody in particular, evaluates a value. */
static bool shares_values(tile_opcode op)
{
	return op == TILE_FILL || op == TILE_COPY || op == TILE_STORER || op == TILE_BEXPECT ||
	       op == TILE_BWAIT || op == TILE_NSYNC || op == TILE_NARRIVE;
}

/* Each lane has a row of its own. */
static bool lanes_name_rows(const tile_stmt *s)
{
	return s->op == TILE_LDSMR && s->arg[0].slice.frag->layout == LAYOUT_OPA;
}

static bool agree_values(verifier *v, const tile_stmt *s)
{
	const char *signature = tile_op_info[s->op].signature;
	agreement need = s->op == TILE_STORES ? SAME_IN_WARP : required(s->op);

	if (s->op == TILE_BREAK && level_of(v, s->arg[0].value) > need)
		return wrong(v, s, "not all threads of the block leave together");
	for (int i = 0; signature[i]; i++) {
		tile_expr *value[TILE_OPERAND_VALUES];
		int n = tile_operand_values(signature[i], &s->arg[i], value);
		bool place = signature[i] == 's' || signature[i] == 'b' || signature[i] == 'm';

		if (!place && !(signature[i] == 'e' && shares_values(s->op)))
			continue;
		for (int k = 0; k < n; k++) {
			if (level_of(v, value[k]) <= need ||
				(lanes_name_rows(s) && value[k] == s->arg[1].region.row))
				continue;
			if (signature[i] == 's')
				return wrong(v, s,
					"the region is not the same in all threads of the %s",
					together(need));
			return wrong(v, s, "the value depends on which thread computes it");
		}
	}
	return true;
}

static bool agree_block(verifier *v, const tile_block *b, agreement flow)
{
	for (int i = 0; i < b->count; i++) {
		const tile_stmt *s = b->item[i];
		agreement inner = worse(flow, flow_level(v, s));

		if (flow > required(s->op))
			return wrong(v, s, "not all threads of the %s come here together",
				together(required(s->op)));
		if (!agree_values(v, s) || !agree_block(v, &s->body, inner) ||
			!agree_block(v, &s->other, inner))
			return false;
	}
	return true;
}

static bool check_agreement(verifier *v)
{
	size_t n = (size_t)v->p->expr_count;

	do {
		v->changed = false;
		memset(v->memo, 0, n);
		spread_block(v, &v->p->body, SAME_IN_BLOCK);
	} while (v->changed);
	return agree_block(v, &v->p->body, SAME_IN_BLOCK);
}

/* --- declarations --- */

/* Something in shared memory. What has the same memory may overlap. */
typedef struct {
	const char *name;
	int64_t begin, bytes;
	int align;
	const void *memory;
} placed;

static placed place_of(const tile_program *p, int i)
{
	const tile_mbar *m;

	if (i < p->buffer.count) {
		const tile_buffer *b = p->buffer.item[i];

		return (placed){b->name, b->offset, tile_slot_bytes(b) * b->slots,
			b->swizzle ? 1024 : 16, b->shares ? b->shares : b};
	}
	m = p->bar.item[i - p->buffer.count];
	return (placed){m->name, m->offset, tile_bar_bytes(m), tile_bar_size(m), m};
}

/* Offsets are given to all or to none. */
static bool check_places(verifier *v)
{
	const tile_program *p = v->p;

	for (int i = 0; i < p->buffer.count + p->bar.count; i++) {
		placed a = place_of(p, i);

		if ((a.begin < 0) != (place_of(p, 0).begin < 0))
			return wrong(
				v, NULL, "'%s': some buffers have a place, some have none", a.name);
		if (a.begin < 0)
			continue;
		if (a.begin % a.align || a.begin + a.bytes > p->shared_bytes)
			return wrong(v, NULL, "'%s': bytes %lld .. %lld are unaligned or past %lld",
				a.name, (long long)a.begin, (long long)(a.begin + a.bytes),
				(long long)p->shared_bytes);
		for (int j = 0; j < i; j++) {
			placed b = place_of(p, j);

			if (a.memory != b.memory && a.begin < b.begin + b.bytes &&
				b.begin < a.begin + a.bytes)
				return wrong(v, NULL, "'%s' overlaps '%s'", a.name, b.name);
		}
	}
	return true;
}

/* Maps are the last arguments. */
static bool check_arguments(verifier *v)
{
	const tile_program *p = v->p;
	bool maps = false;

	for (int i = 0; i < p->arg.count; i++) {
		if (!tile_check_arg(p->arg.item[i], v->why))
			return false;
		if (maps && p->arg.item[i]->kind != ARG_MAP)
			return wrong(v, NULL, "'%s' stands behind a tensor map: maps come last",
				p->arg.item[i]->name);
		maps = p->arg.item[i]->kind == ARG_MAP;
	}
	return true;
}

static bool check_declarations(verifier *v)
{
	const tile_program *p = v->p;

	if (p->warps < 1 || p->warps > 32)
		return wrong(v, NULL, "a block of %d warps; 1 to 32 are possible", p->warps);
	if (p->flow)
		return wrong(v, p->flow ? p->newest : NULL, "a body is not closed");
	if (!check_arguments(v))
		return false;
	for (int i = 0; i < p->frag.count; i++)
		if (!tile_check_frag(p, p->frag.item[i], v->why))
			return false;
	for (int i = 0; i < p->buffer.count; i++)
		if (!tile_check_buffer(p->buffer.item[i], v->why))
			return false;
	for (int i = 0; i < p->bar.count; i++)
		if (!tile_check_bar(p->bar.item[i], v->why))
			return false;
	return check_places(v);
}

bool tile_verify(const tile_program *p, text *why)
{
	arena *scratch = arena_create();
	verifier v = {.p = p, .arena = scratch, .why = why};
	bool ok;

	if (!scratch)
		ice_memory("out of memory");
	v.walk = (tile_walk){.p = p, .arena = scratch};
	v.in_scope = ARENA_ARRAY(scratch, bool, p->var.count + 1);
	v.settable = ARENA_ARRAY(scratch, bool, p->var.count + 1);
	v.level = ARENA_ARRAY(scratch, agreement, p->var.count + 1);
	v.written = ARENA_ARRAY(scratch, bool, p->frag.count + 1);
	v.memo = ARENA_ARRAY(scratch, uint8_t, (size_t)p->expr_count + 1);
	ok = check_declarations(&v) && define_block(&v, &p->body);
	if (ok) {
		v.ranges = tile_ranges_find(p, scratch);
		ok = place_block(&v, &p->body) && check_agreement(&v) &&
		     tile_verify_flight(p, &v.ranges, scratch, why);
	}
	arena_destroy(scratch);
	return ok;
}
