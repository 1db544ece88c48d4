/* cuda_facts.c: what one statement has to know of the rest of the program.
 * in:  a program
 * out: equal values; statements whose result nobody reads, which C compilers warn about; variables
 * that are assigned again; the innermost block in which a register tile can be declared; products
 * that are added to something and therefore need __fmul_rn, because the compiler would fuse them
 * and round once where the program rounds twice */
#include "emit_cuda/cuda_internal.h"
#include <string.h>

/* --- walks --- */

void cuda_stmt_values(const tile_stmt *s, cuda_value_fn *fn, void *user)
{
	const char *signature = tile_op_info[s->op].signature;

	for (int i = 0; signature[i]; i++) {
		tile_expr *value[TILE_OPERAND_VALUES];
		int n = tile_operand_values(signature[i], &s->arg[i], value);

		for (int k = 0; k < n; k++)
			if (value[k])
				fn(user, value[k]);
	}
}

typedef void stmt_fn(void *user, const tile_stmt *s);

static void each_stmt(const tile_block *b, stmt_fn *fn, void *user)
{
	for (int i = 0; i < b->count; i++) {
		fn(user, b->item[i]);
		each_stmt(&b->item[i]->body, fn, user);
		each_stmt(&b->item[i]->other, fn, user);
	}
}

/* --- equal values --- */

typedef struct {
	const tile_program *p;
	cuda_facts *facts;
	const tile_expr **slot; /* open addressing, `size` a power of two */
	uint32_t size;
	const tile_expr **node; /* in order of first use */
	uint32_t count;
} interner;

static const void *payload(const tile_expr *x)
{
	switch (x->op) {
	case TX_VAR:
		return x->var;
	case TX_ARG:
	case TX_GLOBAL:
		return x->arg_ref;
	case TX_FRAG:
		return x->frag;
	case TX_SHARED:
		return x->buffer;
	default:
		return NULL;
	}
}

/* The bits of a constant: 0 and -0 differ, a NaN equals itself. */
static uint64_t constant_bits(const tile_expr *x)
{
	uint64_t bits = 0;

	if (x->op == TX_CONST && x->type == TILE_F32)
		memcpy(&bits, &x->f, sizeof x->f);
	else if (x->op == TX_CONST || x->op == TX_BLOCK)
		bits = (uint64_t)x->i;
	return bits;
}

static bool equal(const interner *in, const tile_expr *x, const tile_expr *y)
{
	if (x->op != y->op || x->type != y->type || payload(x) != payload(y) ||
		constant_bits(x) != constant_bits(y))
		return false;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (in->facts->same[x->arg[i]->id] != in->facts->same[y->arg[i]->id])
			return false;
	return true;
}

static uint32_t hash(const interner *in, const tile_expr *x)
{
	uint64_t h = (uint64_t)x->op * 31 + (uint64_t)x->type;

	h = h * 0x9e3779b97f4a7c15u + constant_bits(x);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		h = h * 0x9e3779b97f4a7c15u + in->facts->same[x->arg[i]->id]->id;
	return (uint32_t)(h >> 32 ^ h);
}

/* Integers made from positions, lengths and parameters are far from overflow, or their kernel would
 * address memory that does not exist; those made from data need not be. */
static bool from_data(const interner *in, const tile_expr *x)
{
	if (x->op == TX_GLOBAL || x->op == TX_SHARED || x->op == TX_BITS ||
		(x->op == TX_CVT && x->arg[0]->type == TILE_F32))
		return true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (in->facts->from_data[in->facts->same[x->arg[i]->id]->id])
			return true;
	return false;
}

static void intern(void *user, const tile_expr *x)
{
	interner *in = user;
	uint32_t i;

	if (in->facts->same[x->id])
		return;
	for (int a = 0; a < tile_expr_info[x->op].arity; a++)
		intern(in, x->arg[a]);
	i = hash(in, x) & (in->size - 1);
	while (in->slot[i] && !equal(in, in->slot[i], x))
		i = (i + 1) & (in->size - 1);
	if (!in->slot[i]) {
		in->slot[i] = x;
		in->node[in->count++] = x;
		in->facts->from_data[x->id] = from_data(in, x);
	}
	in->facts->same[x->id] = in->slot[i];
}

static void intern_stmt(void *user, const tile_stmt *s)
{
	cuda_stmt_values(s, intern, user);
}

/* --- products that are added --- */

typedef struct {
	cuda_facts *facts;
	bool *frag, *var; /* [id]: its value is added somewhere */
	bool changed;
} additions;

static void set(additions *ad, bool *flag)
{
	ad->changed = ad->changed || !*flag;
	*flag = true;
}

/* x is added to something. */
static void added(additions *ad, const tile_expr *x)
{
	switch (x->op) {
	case TX_NEG:
		added(ad, x->arg[0]);
		return;
	case TX_SELECT:
		added(ad, x->arg[1]);
		added(ad, x->arg[2]);
		return;
	case TX_FRAG:
		set(ad, &ad->frag[x->frag->id]);
		return;
	case TX_VAR:
		set(ad, &ad->var[x->var->id]);
		return;
	case TX_MUL:
		set(ad, &ad->facts->rounded[ad->facts->same[x->id]->id]);
		return;
	default:
		return;
	}
}

static void add_stmt(void *user, const tile_stmt *s)
{
	additions *ad = user;

	switch (s->op) {
	case TILE_MAP:
		if (ad->frag[s->arg[0].slice.frag->id])
			added(ad, s->arg[1].value);
		return;
	case TILE_LET:
	case TILE_SET:
		if (ad->var[s->arg[0].var->id])
			added(ad, s->arg[1].value);
		return;
	case TILE_REDUCE:
		if (s->arg[1].word == WORD_SUM) {
			set(ad, &ad->frag[s->arg[0].slice.frag->id]);
			set(ad, &ad->frag[s->arg[2].slice.frag->id]);
		}
		return;
	case TILE_QUAD:
		if (s->arg[1].word == WORD_SUM)
			set(ad, &ad->frag[s->arg[0].slice.frag->id]);
		return;
	default:
		return;
	}
}

static void find_rounded(const tile_program *p, arena *a, const interner *in, cuda_facts *facts)
{
	additions ad = {.facts = facts,
		.frag = ARENA_ARRAY(a, bool, p->frag.count + 1),
		.var = ARENA_ARRAY(a, bool, p->var.count + 1)};

	for (uint32_t i = 0; i < in->count; i++) {
		const tile_expr *x = in->node[i];

		if ((x->op != TX_ADD && x->op != TX_SUB) || x->type != TILE_F32)
			continue;
		added(&ad, x->arg[0]);
		added(&ad, x->arg[1]);
	}
	do {
		ad.changed = false;
		each_stmt(&p->body, add_stmt, &ad);
	} while (ad.changed);
}

/* --- results that nobody reads --- */

typedef struct {
	cuda_facts *facts;
	const tile_frag *own; /* what the statement writes: reading it is no use of it */
	const tile_var *own_var;
	uint32_t *stamp, now; /* [expr id]: seen in this walk */
} readers;

static void read_value(void *user, const tile_expr *x)
{
	readers *r = user;
	uint32_t *stamp = &r->stamp[r->facts->same[x->id]->id];

	if (*stamp == r->now)
		return;
	*stamp = r->now;
	if (x->op == TX_FRAG && x->frag != r->own)
		r->facts->frag_read[x->frag->id] = true;
	if (x->op == TX_VAR && x->var != r->own_var)
		r->facts->var_used[x->var->id] = true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		read_value(r, x->arg[i]);
}

/* The tile or variable whose new value is all that a statement does. */
static const tile_frag *result_tile(const tile_stmt *s)
{
	switch (s->op) {
	case TILE_MAP:
	case TILE_REDUCE:
	case TILE_QUAD:
	case TILE_LDSM:
	case TILE_LDSMT:
	case TILE_LDSMR:
	case TILE_LDS:
	case TILE_LDST:
	case TILE_MMA:
	case TILE_WGMMA:
	case TILE_WGMMAT:
	case TILE_WGMMAS:
	case TILE_WGMMAST:
		return s->arg[0].slice.frag;
	default:
		return NULL;
	}
}

static const tile_var *result_variable(const tile_stmt *s)
{
	return s->op == TILE_LET || s->op == TILE_SET || s->op == TILE_ANY ? s->arg[0].var : NULL;
}

bool cuda_dead(const cuda_facts *facts, const tile_stmt *s)
{
	const tile_frag *f = result_tile(s);
	const tile_var *v = result_variable(s);

	return (f && !facts->frag_read[f->id]) || (v && !facts->var_used[v->id]);
}

static void read_stmt(void *user, const tile_stmt *s)
{
	readers *r = user;
	const char *signature = tile_op_info[s->op].signature;

	r->now++;
	r->own = result_tile(s);
	r->own_var = result_variable(s);
	if ((r->own || r->own_var) && cuda_dead(r->facts, s))
		return;
	cuda_stmt_values(s, read_value, r);
	for (int i = 0; signature[i]; i++)
		if (signature[i] == 'f' && s->arg[i].slice.frag != r->own)
			r->facts->frag_read[s->arg[i].slice.frag->id] = true;
	if (s->op == TILE_SET)
		r->facts->var_set[r->own_var->id] = true;
}

/* What statements with an effect read is read; then what the results read that are read ... */
static void find_read(const tile_program *p, arena *a, cuda_facts *facts)
{
	size_t frags = (size_t)p->frag.count + 1, vars = (size_t)p->var.count + 1;
	readers r = {.facts = facts, .stamp = ARENA_ARRAY(a, uint32_t, p->expr_count + 1)};
	bool *frag = ARENA_ARRAY(a, bool, frags), *var = ARENA_ARRAY(a, bool, vars);

	do {
		memcpy(frag, facts->frag_read, frags);
		memcpy(var, facts->var_used, vars);
		each_stmt(&p->body, read_stmt, &r);
	} while (memcmp(frag, facts->frag_read, frags) || memcmp(var, facts->var_used, vars));
}

/* --- where register tiles are declared --- */

/* A block and the statement of the block around it whose body it is. */
typedef struct scope scope;
struct scope {
	const tile_block *block;
	scope *outer;
	int at, depth;
};

typedef struct {
	arena *a;
	scope **home; /* [frag id] */
	cuda_facts *facts;
	scope *scope; /* of the statement being walked */
	int at;
	uint32_t *stamp, now; /* [expr id]: seen in this walk */
} homes;

static bool first_visit(homes *h, const tile_expr *x)
{
	uint32_t *stamp = &h->stamp[h->facts->same[x->id]->id];

	if (*stamp == h->now)
		return false;
	*stamp = h->now;
	return true;
}

static void used_at(homes *h, const tile_frag *f)
{
	scope **home = &h->home[f->id], *s = h->scope;
	int *before = &h->facts->home[f->id].before, at = h->at;

	if (!*home) {
		*home = s;
		*before = at;
		return;
	}
	while (s != *home) {
		bool up = s->depth >= (*home)->depth, home_up = (*home)->depth >= s->depth;

		if (up) {
			at = s->at;
			s = s->outer;
		}
		if (home_up) {
			*before = (*home)->at;
			*home = (*home)->outer;
		}
	}
	if (at < *before)
		*before = at;
}

static void use_value(void *user, const tile_expr *x)
{
	homes *h = user;

	if (!first_visit(h, x))
		return;
	if (x->op == TX_FRAG)
		used_at(h, x->frag);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		use_value(h, x->arg[i]);
}

static void list_used_at(homes *h, const tile_list *l)
{
	for (int i = 0; i < l->count; i++)
		if (h->facts->frag_read[l->frag[i]->id])
			used_at(h, l->frag[i]);
}

static void walk_homes(homes *h, const tile_block *b, scope *outer)
{
	scope *s = ARENA_NEW(h->a, scope);

	*s = (scope){b, outer, h->at, outer ? outer->depth + 1 : 0};
	for (int i = 0; i < b->count; i++) {
		const tile_stmt *stmt = b->item[i];
		const char *signature = tile_op_info[stmt->op].signature;

		if (cuda_dead(h->facts, stmt))
			continue;
		h->scope = s;
		h->at = i;
		h->now++;
		for (int k = 0; signature[k]; k++) {
			if (signature[k] == 'f')
				used_at(h, stmt->arg[k].slice.frag);
			if (signature[k] == 'l')
				list_used_at(h, &stmt->arg[k].list);
		}
		cuda_stmt_values(stmt, use_value, h);
		walk_homes(h, &stmt->body, s);
		h->at = i;
		walk_homes(h, &stmt->other, s);
	}
}

static bool reads(homes *h, const tile_expr *x, const tile_frag *f)
{
	if (x->op == TX_FRAG && x->frag == f)
		return true;
	if (!first_visit(h, x))
		return false;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (reads(h, x->arg[i], f))
			return true;
	return false;
}

/* Whether the statement gives all of f a value that does not depend on f. */
static bool defines(homes *h, const tile_stmt *s, const tile_frag *f)
{
	const tile_slice *dst = &s->arg[0].slice;

	h->now++;
	switch (s->op) {
	case TILE_MAP:
	case TILE_LDSM:
	case TILE_LDSMT:
	case TILE_LDSMR:
	case TILE_LDS:
	case TILE_LDST:
		return dst->frag == f && dst->rows == f->rows && dst->cols == f->cols &&
		       (s->op != TILE_MAP || !reads(h, s->arg[1].value, f));
	case TILE_WGMMA:
	case TILE_WGMMAT:
	case TILE_WGMMAS:
	case TILE_WGMMAST:
		return dst->frag == f && dst->cols == f->cols && s->arg[1].zero;
	default:
		return false;
	}
}

static void find_homes(const tile_program *p, arena *a, cuda_facts *facts)
{
	homes h = {.a = a,
		.facts = facts,
		.home = ARENA_ARRAY(a, scope *, p->frag.count + 1),
		.stamp = ARENA_ARRAY(a, uint32_t, p->expr_count + 1)};

	walk_homes(&h, &p->body, NULL);
	for (int i = 0; i < p->frag.count; i++) {
		scope *s = h.home[i];
		cuda_home *home = &facts->home[i];

		if (!s)
			continue;
		/* a tile that keeps its value from one pass of a loop to the next */
		for (; s->outer && !defines(&h, s->block->item[home->before], p->frag.item[i]);
			s = s->outer)
			home->before = s->at;
		home->block = s->block;
	}
}

void cuda_facts_find(const tile_program *p, arena *a, cuda_facts *facts)
{
	interner in = {.p = p, .facts = facts, .size = 64};

	facts->var_set = ARENA_ARRAY(a, bool, p->var.count + 1);
	facts->var_used = ARENA_ARRAY(a, bool, p->var.count + 1);
	facts->frag_read = ARENA_ARRAY(a, bool, p->frag.count + 1);
	facts->home = ARENA_ARRAY(a, cuda_home, p->frag.count + 1);
	facts->same = ARENA_ARRAY(a, const tile_expr *, p->expr_count + 1);
	facts->rounded = ARENA_ARRAY(a, bool, p->expr_count + 1);
	facts->from_data = ARENA_ARRAY(a, bool, p->expr_count + 1);
	while (in.size < 2 * p->expr_count)
		in.size *= 2;
	in.slot = ARENA_ARRAY(a, const tile_expr *, in.size);
	in.node = ARENA_ARRAY(a, const tile_expr *, p->expr_count + 1);
	each_stmt(&p->body, intern_stmt, &in);
	find_rounded(p, a, &in, facts);
	find_read(p, a, facts);
	find_homes(p, a, facts);
}
