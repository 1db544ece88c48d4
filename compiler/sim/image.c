/* image.c: program -> what the simulator runs: statements with straight-line code for their values,
 * tables of register tiles, and which integers end in an address.
 * Rejects what tile_check_stmt rejects, so that the rest relies on types and shapes. */
#include "sim/sim_internal.h"
#include "tile/tile_internal.h"

typedef struct {
	sim_image *m;
	arena *arena;
	tile_walk walk;
	bool *address;                    /* [expr id]: ends in an address */
	bool *address_var, *address_frag; /* [id] */
	bool changed;                     /* by the walk over all statements */
	uint32_t *place;                  /* [expr id]: 1 + index of the op in the open code */
	uint32_t *last;                   /* [op]: last op that reads it */
	const uint16_t **peer;            /* [domain's tile][read tile] */
	const tile_frag *domain;
	struct {
		sim_op *item;
		int count, cap;
	} op;
} maker;

/* --- register tiles --- */

static void make_frag(maker *k, const tile_frag *f, sim_frag *out)
{
	const tile_program *p = k->m->p;
	size_t elements;

	out->f = f;
	out->cell = tile_cell_of(f);
	out->registers = tile_registers(p, f);
	out->elements = tile_register_elements(f);
	out->across = f->cols / out->cell.cols;
	out->warp_rows = tile_warp_rows(p, f);
	elements = (size_t)out->registers * (size_t)out->elements;
	out->row = ARENA_ARRAY(k->arena, int32_t, elements * SIM_LANES);
	out->col = ARENA_ARRAY(k->arena, int32_t, elements * SIM_LANES);
	for (size_t n = 0; n < elements * SIM_LANES; n++) {
		int e = (int)(n / SIM_LANES), row, col;

		tile_element(p, f, (int)(n % SIM_LANES), e / out->elements, e % out->elements, &row,
			&col);
		out->row[n] = row;
		out->col[n] = col;
	}
	out->reg = k->m->registers;
	out->defined = k->m->defined_size;
	k->m->registers += (size_t)out->registers * (size_t)p->warps * SIM_LANES;
	k->m->defined_size += (size_t)out->registers * (size_t)p->warps;
}

/* Element of `src` at the place of each element of the domain's tile. */
static const uint16_t *peers(maker *k, const tile_frag *src)
{
	const tile_program *p = k->m->p;
	const sim_frag *f = &k->m->frag[k->domain->id];
	const uint16_t **known = &k->peer[k->domain->id * p->frag.count + src->id];
	uint16_t *table;

	if (*known)
		return *known;
	table = ARENA_ARRAY(k->arena, uint16_t, f->registers * f->elements);
	for (int n = 0; n < f->registers * f->elements; n++) {
		int r, e;

		table[n] = tile_peer(p, src, k->domain, n / f->elements, n % f->elements, &r, &e)
				   ? (uint16_t)(r * k->m->frag[src->id].elements + e)
				   : SIM_NO_PEER;
	}
	return *known = table;
}

/* --- which integers end in an address --- */

static bool is_int(tile_type t)
{
	return t == TILE_I32 || t == TILE_I64;
}

static void mark_address(maker *k, const tile_expr *x)
{
	if (!is_int(x->type) || k->address[x->id])
		return;
	k->address[x->id] = true;
	k->changed = true;
	if (x->op == TX_VAR)
		k->address_var[x->var->id] = true;
	if (x->op == TX_FRAG)
		k->address_frag[x->frag->id] = true;
	if (x->op == TX_GLOBAL || x->op == TX_SHARED)
		return;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		mark_address(k, x->arg[i]);
}

/* The addresses inside a value. */
static void mark_loads(maker *k, const tile_expr *x)
{
	if (!tile_walk_first(&k->walk, x))
		return;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		if (x->op == TX_GLOBAL || x->op == TX_SHARED)
			mark_address(k, x->arg[i]);
		mark_loads(k, x->arg[i]);
	}
}

static void mark_operands(maker *k, const tile_stmt *s)
{
	const char *signature = tile_op_info[s->op].signature;
	bool copy = s->op == TILE_COPY || s->op == TILE_STORE || s->op == TILE_STORER;
	bool counter = s->op == TILE_FOR && k->address_var[s->arg[0].var->id];

	for (int i = 0; signature[i]; i++) {
		const tile_operand *o = &s->arg[i];

		if (signature[i] == 'f') {
			mark_address(k, o->slice.first);
			mark_address(k, o->slice.first_row);
		}
		if (signature[i] == 's' || signature[i] == 'b' || signature[i] == 'm') {
			tile_expr *value[TILE_OPERAND_VALUES];
			int n = tile_operand_values(signature[i], o, value);

			for (int v = 0; v < n; v++) {
				mark_address(k, value[v]);
				mark_loads(k, value[v]);
			}
		}
		if (signature[i] != 'e')
			continue;
		mark_loads(k, o->value);
		if ((copy && i == 2) || counter)
			mark_address(k, o->value);
	}
	if ((s->op == TILE_LET || s->op == TILE_SET) && k->address_var[s->arg[0].var->id])
		mark_address(k, s->arg[1].value);
	if (s->op == TILE_MAP && k->address_frag[s->arg[0].slice.frag->id])
		mark_address(k, s->arg[1].value);
}

static void mark_block(maker *k, const tile_block *b)
{
	for (int i = 0; i < b->count; i++) {
		mark_operands(k, b->item[i]);
		mark_block(k, &b->item[i]->body);
		mark_block(k, &b->item[i]->other);
	}
}

/* A variable that turns out to be part of an address makes its assignments so, too. */
static void mark_all(maker *k)
{
	do {
		k->changed = false;
		tile_walk_begin(&k->walk);
		mark_block(k, &k->m->p->body);
	} while (k->changed);
}

/* --- code --- */

/* Appends x after its operands. */
static void make_op(maker *k, const tile_expr *x)
{
	sim_op op = {.x = x, .address = k->address[x->id]};

	if (k->place[x->id])
		return;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		make_op(k, x->arg[i]);
		op.arg[i] = k->place[x->arg[i]->id] - 1;
	}
	if (x->op == TX_FRAG && k->domain)
		op.peer = peers(k, x->frag);
	ARENA_PUSH(k->arena, &k->op, op);
	k->place[x->id] = (uint32_t)k->op.count;
}

/* Gives each op a slot that no later reader of another value needs. Operands are op indices before,
 * slots after. */
static void assign_slots(maker *k, sim_code *c)
{
	uint32_t *free_slot = ARENA_ARRAY(k->arena, uint32_t, c->count + 1), frees = 0, used = 0;
	uint32_t *last = ARENA_ARRAY(k->arena, uint32_t, c->count + 1);

	for (int n = 0; n < c->count; n++)
		for (int i = 0; i < tile_expr_info[c->op[n].x->op].arity; i++)
			last[c->op[n].arg[i]] = (uint32_t)n;
	for (int i = 0; i < c->roots; i++)
		last[c->root[i]] = UINT32_MAX;
	for (int n = 0; n < c->count; n++) {
		sim_op *op = &c->op[n];

		op->dst = frees ? free_slot[--frees] : used++;
		for (int i = 0; i < tile_expr_info[op->x->op].arity; i++) {
			uint32_t from = op->arg[i];

			op->arg[i] = c->op[from].dst;
			if (last[from] == (uint32_t)n) {
				free_slot[frees++] = op->arg[i];
				last[from] = 0; /* freed once */
			}
		}
	}
	for (int i = 0; i < c->roots; i++)
		c->root[i] = c->op[c->root[i]].dst;
	if (used > k->m->slots)
		k->m->slots = used;
}

static void make_code(maker *k, sim_code *c, int roots, const tile_expr *const *root)
{
	k->op.count = k->op.cap = 0;
	k->op.item = NULL;
	c->roots = roots;
	for (int i = 0; i < roots; i++) {
		make_op(k, root[i]);
		c->root[i] = k->place[root[i]->id] - 1;
		c->type[i] = root[i]->type;
	}
	c->op = k->op.item;
	c->count = k->op.count;
	for (int n = 0; n < c->count; n++)
		k->place[c->op[n].x->id] = 0;
	assign_slots(k, c);
}

/* The register tile whose elements a statement goes over. */
static const tile_frag *domain_of(const tile_stmt *s)
{
	switch (s->op) {
	case TILE_MAP:
		return s->arg[0].slice.frag;
	case TILE_ANY:
	case TILE_ANYB:
	case TILE_STORE:
	case TILE_STORES:
		return s->arg[1].slice.frag;
	default:
		return NULL;
	}
}

static void make_operands(maker *k, sim_stmt *out, const tile_stmt *s)
{
	const char *signature = tile_op_info[s->op].signature;

	for (int i = 0; signature[i]; i++) {
		const tile_operand *o = &s->arg[i];
		sim_code *c = &out->code[i];

		k->domain = NULL;
		if (signature[i] == 'f')
			make_code(
				k, c, 2, (const tile_expr *[]){o->slice.first, o->slice.first_row});
		if (signature[i] == 's')
			make_code(k, c, 3,
				(const tile_expr *[]){
					o->region.slot, o->region.row, o->region.col});
		if (signature[i] == 'b' || signature[i] == 'm') {
			tile_expr *value[TILE_OPERAND_VALUES];
			int n = tile_operand_values(signature[i], o, value);

			make_code(k, c, n, (const tile_expr *const *)value);
		}
		k->domain = domain_of(s);
		if (signature[i] == 'e' && s->op == TILE_STORE && i == 2)
			make_code(k, c, 2, (const tile_expr *[]){o->value, s->arg[3].value});
		else if (signature[i] == 'e' && !(s->op == TILE_STORE && i == 3))
			make_code(k, c, 1, (const tile_expr *[]){o->value});
	}
}

/* --- statements --- */

static bool make_body(maker *k, const tile_block *b, sim_body *out);

/* Statements that wait for others, or whose effects others wait for, or that order a single warp. */
static bool is_hopper(tile_opcode op)
{
	switch (op) {
	case TILE_BINIT:
	case TILE_BEXPECT:
	case TILE_BARRIVE:
	case TILE_BWAIT:
	case TILE_TMALOAD:
	case TILE_FENCEA:
	case TILE_WFENCE:
	case TILE_WCOMMIT:
	case TILE_WWAIT:
	case TILE_NSYNC:
	case TILE_NARRIVE:
	case TILE_COUNT:
	case TILE_STORER:
		return true;
	default:
		return tile_is_wgmma(op);
	}
}

static bool make_stmt(maker *k, const tile_stmt *s, sim_stmt *out)
{
	if (!tile_check_stmt(&k->walk, s, &k->m->why))
		return false;
	out->s = s;
	out->id = k->m->stmts++;
	k->m->split = k->m->split || is_hopper(s->op);
	return make_body(k, &s->body, &out->body) && make_body(k, &s->other, &out->other);
}

static bool make_body(maker *k, const tile_block *b, sim_body *out)
{
	out->item = ARENA_ARRAY(k->arena, sim_stmt, b->count + 1);
	for (out->count = 0; out->count < b->count; out->count++)
		if (!make_stmt(k, b->item[out->count], &out->item[out->count]))
			return false;
	return true;
}

static void make_codes(maker *k, sim_body *b)
{
	for (int i = 0; i < b->count; i++) {
		make_operands(k, &b->item[i], b->item[i].s);
		make_codes(k, &b->item[i].body);
		make_codes(k, &b->item[i].other);
	}
}

/* --- the program --- */

static bool check_buffer(const tile_program *p, const tile_buffer *b, text *why)
{
	if (!tile_check_buffer(b, why))
		return false;
	if (b->offset >= 0 && b->offset % (b->panel ? 1024 : 128) == 0 && b->id < UINT16_MAX &&
		b->offset + tile_slot_bytes(b) * b->slots <= p->shared_bytes)
		return true;
	text_printf(why, "'%s' has no place in shared memory", b->name);
	return false;
}

static bool check_bar(const tile_program *p, const tile_mbar *b, text *why)
{
	if (!tile_check_bar(b, why))
		return false;
	if (b->offset >= 0 && b->offset % tile_bar_size(b) == 0 &&
		b->offset + tile_bar_bytes(b) <= p->shared_bytes)
		return true;
	text_printf(why, "'%s' has no place in shared memory", b->name);
	return false;
}

static bool check_declarations(const tile_program *p, text *why)
{
	if (p->warps < 1 || p->warps > SIM_MAX_WARPS) {
		text_printf(why, "%d warps", p->warps);
		return false;
	}
	for (int i = 0; i < p->arg.count; i++)
		if (!tile_check_arg(p->arg.item[i], why))
			return false;
	for (int i = 0; i < p->buffer.count; i++)
		if (!check_buffer(p, p->buffer.item[i], why))
			return false;
	for (int i = 0; i < p->bar.count; i++)
		if (!check_bar(p, p->bar.item[i], why))
			return false;
	for (int i = 0; i < p->frag.count; i++) {
		if (!tile_check_frag(p, p->frag.item[i], why))
			return false;
		if (tile_registers(p, p->frag.item[i]) * 2 >= SIM_NO_PEER) {
			text_printf(why, "'%s' is too large", p->frag.item[i]->name);
			return false;
		}
	}
	return true;
}

bool sim_image_make(const tile_program *p, arena *a, sim_image *m)
{
	maker k = {.m = m, .arena = a, .walk = {.p = p, .arena = a}};
	int frags = p->frag.count;

	*m = (sim_image){.p = p, .arena = a};
	if (!check_declarations(p, &m->why))
		return false;
	m->frag = ARENA_ARRAY(a, sim_frag, frags + 1);
	for (int i = 0; i < frags; i++)
		make_frag(&k, p->frag.item[i], &m->frag[i]);
	m->slot_bytes = ARENA_ARRAY(a, int64_t, p->buffer.count + 1);
	for (int i = 0; i < p->buffer.count; i++)
		m->slot_bytes[i] = tile_slot_bytes(p->buffer.item[i]);
	m->bar_first = ARENA_ARRAY(a, int, p->bar.count + 1);
	for (int i = 0; i < p->bar.count; i++) {
		m->bar_first[i] = m->bars;
		m->bars += p->bar.item[i]->slots;
	}
	if (m->bars > SIM_MAX_BARS) {
		text_printf(&m->why, "%d mbarriers and counters", m->bars);
		return false;
	}
	if (!make_body(&k, &p->body, &m->body))
		return false;
	k.address = ARENA_ARRAY(a, bool, p->expr_count + 1);
	k.address_var = ARENA_ARRAY(a, bool, p->var.count + 1);
	k.address_frag = ARENA_ARRAY(a, bool, frags + 1);
	k.place = ARENA_ARRAY(a, uint32_t, p->expr_count + 1);
	k.peer = (const uint16_t **)arena_alloc(
		a, sizeof *k.peer * (size_t)(frags + 1) * (size_t)(frags + 1));
	mark_all(&k);
	make_codes(&k, &m->body);
	return true;
}
