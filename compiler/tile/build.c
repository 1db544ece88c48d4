/* build.c: the program, its declarations and statements.
 * Names are made unique here, NULL defaults of slices and regions become constants, and flow is a
 * stack of open statements. Values are value.c's; what a statement must satisfy is check.c's. */
#include "tile/tile_internal.h"
#include <string.h>

const struct tile_op_info tile_op_info[TILE_OP_COUNT] = {
#define TILE_OP(name, text, signature, syntax, effect, meaning)                                    \
	{text, signature, syntax, EFFECT_##effect, meaning},
#include "tile/tile_ops.def"
#undef TILE_OP
};

int tile_operand_values(char letter, const tile_operand *o, tile_expr *value[TILE_OPERAND_VALUES])
{
	int n = 0;

	switch (letter) {
	case 'e':
		value[n++] = o->value;
		break;
	case 'f':
		value[n++] = o->slice.first_row;
		value[n++] = o->slice.first;
		break;
	case 's':
		value[n++] = o->region.slot;
		value[n++] = o->region.row;
		value[n++] = o->region.col;
		break;
	case 'b':
		value[n++] = o->bar.index;
		break;
	case 'm':
		for (; n < o->box.rank; n++)
			value[n] = o->box.coord[n];
		break;
	default:
		break;
	}
	return n;
}

bool tile_is_wgmma(tile_opcode op)
{
	return op == TILE_WGMMA || op == TILE_WGMMAT || op == TILE_WGMMAS || op == TILE_WGMMAST;
}

/* --- names --- */

struct tile_names {
	tile_name *slot; /* open addressing, `size` a power of two */
	uint32_t size, used;
};

/* Words of the text form that could be taken for a name in a value. */
static const char *const reserved[] = {"tid", "lane", "warp", "block", "row", "col", "true",
	"false", "inf", "nan", "and", "or", "over", "if", "else", "step", "in", "with"};

static uint32_t name_hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h;
}

static tile_name *name_slot(const struct tile_names *n, const char *name, size_t len)
{
	uint32_t i = name_hash(name, len) & (n->size - 1);

	while (n->slot[i].name &&
		(strncmp(n->slot[i].name, name, len) != 0 || n->slot[i].name[len] != '\0'))
		i = (i + 1) & (n->size - 1);
	return &n->slot[i];
}

static void name_insert(arena *a, struct tile_names *n, tile_name entry)
{
	if (2 * (n->used + 1) > n->size) {
		struct tile_names old = *n;

		n->size = old.size ? 2 * old.size : 64;
		n->slot = ARENA_ARRAY(a, tile_name, n->size);
		for (uint32_t i = 0; i < old.size; i++)
			if (old.slot[i].name)
				*name_slot(n, old.slot[i].name, strlen(old.slot[i].name)) =
					old.slot[i];
	}
	*name_slot(n, entry.name, strlen(entry.name)) = entry;
	n->used++;
}

const tile_name *tile_name_find(const tile_program *p, const char *name, size_t len)
{
	const tile_name *e = name_slot(p->names, name, len);

	return e->name ? e : NULL;
}

void tile_name_poison(tile_program *p, const char *name)
{
	if (!tile_name_find(p, name, strlen(name)))
		name_insert(p->arena, p->names, (tile_name){name, NAME_POISON, NULL});
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* A free name near `want`, entered for `thing`. */
static const char *name_claim(tile_program *p, const char *want, tile_name_kind kind, void *thing)
{
	char *base = arena_strdup(p->arena, *want ? want : "x"), *name;

	for (char *c = base; *c; c++)
		if (!word_char(*c))
			*c = '_';
	if (*base >= '0' && *base <= '9')
		base = arena_printf(p->arena, "_%s", base);
	name = base;
	for (int n = 2; tile_name_find(p, name, strlen(name)); n++)
		name = arena_printf(p->arena, "%s_%d", base, n);
	name_insert(p->arena, p->names, (tile_name){name, kind, thing});
	return name;
}

static void names_create(tile_program *p)
{
	p->names = ARENA_NEW(p->arena, struct tile_names);
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		name_insert(p->arena, p->names, (tile_name){reserved[i], NAME_RESERVED, NULL});
	for (int i = 0; i < TX_COUNT; i++) {
		const char *word = tile_expr_info[i].text;

		if (word_char(*word) && !tile_name_find(p, word, strlen(word)))
			name_insert(p->arena, p->names, (tile_name){word, NAME_RESERVED, NULL});
	}
	for (int i = 0; i < TILE_TYPE_COUNT; i++)
		name_insert(p->arena, p->names,
			(tile_name){tile_type_name((tile_type)i), NAME_RESERVED, NULL});
}

/* --- declarations --- */

tile_program *tile_program_create(
	arena *a, const char *name, const char *target, int warps, const source *src)
{
	tile_program *p = ARENA_NEW(a, tile_program);

	*p = (tile_program){.name = name, .target = target, .warps = warps, .src = src, .arena = a};
	p->open = &p->body;
	names_create(p);
	return p;
}

static tile_arg *argument(tile_program *p, loc at, const char *name, tile_arg arg)
{
	tile_arg *a = ARENA_NEW(p->arena, tile_arg);

	*a = arg;
	a->name = name_claim(p, name, NAME_ARG, a);
	a->id = p->arg.count;
	a->at = at;
	ARENA_PUSH(p->arena, &p->arg, a);
	return a;
}

tile_arg *tile_tensor(tile_program *p, loc at, const char *name, tile_type type, bool written)
{
	return argument(
		p, at, name, (tile_arg){.kind = ARG_TENSOR, .type = type, .written = written});
}

tile_arg *tile_scalar(tile_program *p, loc at, const char *name, tile_type type)
{
	return argument(p, at, name, (tile_arg){.kind = ARG_SCALAR, .type = type});
}

tile_arg *tile_map_arg(
	tile_program *p, loc at, const char *name, tile_arg *tensor, int rank, const int *box)
{
	tile_arg a = {.kind = ARG_MAP, .type = tensor->type, .tensor = tensor, .rank = rank};

	if (rank < 1 || rank > TILE_MAX_RANK)
		ice("a tensor map of %d dimensions", rank);
	for (int i = 0; i < rank; i++)
		a.box[i] = box[i];
	return argument(p, at, name, a);
}

static tile_frag *frag(tile_program *p, loc at, const char *name, tile_frag value)
{
	tile_frag *f = ARENA_NEW(p->arena, tile_frag);

	*f = value;
	f->name = name_claim(p, name, NAME_FRAG, f);
	f->id = p->frag.count;
	f->at = at;
	ARENA_PUSH(p->arena, &p->frag, f);
	return f;
}

tile_frag *tile_register(tile_program *p, loc at, const char *name, tile_layout l, tile_type type,
	int rows, int cols)
{
	bool operand = l == LAYOUT_OPA || l == LAYOUT_OPB;

	return frag(p, at, name,
		(tile_frag){.layout = l,
			.of = operand ? LAYOUT_OPA : LAYOUT_ACC,
			.type = type,
			.rows = rows,
			.cols = cols});
}

tile_frag *tile_register_over_acc(tile_program *p, loc at, const char *name, tile_layout l,
	tile_type type, int rows, int cols)
{
	tile_frag *f = tile_register(p, at, name, l, type, rows, cols);

	f->of = LAYOUT_ACC;
	return f;
}

tile_frag *tile_columnv(
	tile_program *p, loc at, const char *name, tile_type type, tile_layout of, int cols)
{
	return frag(p, at, name,
		(tile_frag){
			.layout = LAYOUT_COLV, .of = of, .type = type, .rows = 1, .cols = cols});
}

tile_buffer *tile_shared(
	tile_program *p, loc at, const char *name, tile_type type, int slots, int rows, int cols)
{
	tile_buffer *b = ARENA_NEW(p->arena, tile_buffer);

	*b = (tile_buffer){.type = type, .slots = slots, .rows = rows, .cols = cols, .at = at};
	b->name = name_claim(p, name, NAME_BUFFER, b);
	b->swizzle = tile_swizzle((int64_t)cols * tile_type_bytes(type));
	b->offset = -1;
	b->id = p->buffer.count;
	ARENA_PUSH(p->arena, &p->buffer, b);
	return b;
}

tile_buffer *tile_shared_again(tile_program *p, loc at, const char *name, tile_type type, int slots,
	int rows, int cols, tile_buffer *base)
{
	tile_buffer *b = tile_shared(p, at, name, type, slots, rows, cols);

	b->shares = base->shares ? base->shares : base;
	return b;
}

tile_buffer *tile_shared_panels(
	tile_program *p, loc at, const char *name, tile_type type, int slots, int rows, int cols)
{
	tile_buffer *b = tile_shared(p, at, name, type, slots, rows, cols);

	b->panel = TILE_PANEL;
	b->swizzle = 3;
	return b;
}

static tile_mbar *bar(tile_program *p, loc at, const char *name, tile_mbar value)
{
	tile_mbar *b = ARENA_NEW(p->arena, tile_mbar);

	*b = value;
	b->name = name_claim(p, name, NAME_BAR, b);
	b->offset = -1;
	b->id = p->bar.count;
	b->at = at;
	ARENA_PUSH(p->arena, &p->bar, b);
	return b;
}

tile_mbar *tile_mbarrier(tile_program *p, loc at, const char *name, int slots, int count)
{
	return bar(p, at, name, (tile_mbar){.kind = BAR_MBARRIER, .slots = slots, .count = count});
}

tile_mbar *tile_counter(tile_program *p, loc at, const char *name, int slots)
{
	return bar(p, at, name, (tile_mbar){.kind = BAR_COUNTER, .slots = slots});
}

void tile_place_shared(tile_program *p)
{
	int64_t end = 0;

	for (int i = 0; i < p->buffer.count; i++) {
		tile_buffer *b = p->buffer.item[i];
		int64_t bytes = 0;

		if (b->shares)
			continue;
		for (int j = 0; j < p->buffer.count; j++) {
			const tile_buffer *c = p->buffer.item[j];
			int64_t n = tile_slot_bytes(c) * c->slots;

			if ((c == b || c->shares == b) && n > bytes)
				bytes = n;
		}
		end = (end + 1023) / 1024 * 1024;
		b->offset = end;
		end += bytes;
	}
	for (int i = 0; i < p->buffer.count; i++)
		if (p->buffer.item[i]->shares)
			p->buffer.item[i]->offset = p->buffer.item[i]->shares->offset;
	for (int i = 0; i < p->bar.count; i++) {
		tile_mbar *b = p->bar.item[i];

		b->offset = end = (end + 7) / 8 * 8;
		end += tile_bar_bytes(b);
	}
	p->shared_bytes = end;
}

tile_var *tile_var_create(tile_program *p, const char *name, tile_type type, bool constant)
{
	tile_var *v = ARENA_NEW(p->arena, tile_var);

	*v = (tile_var){.type = type, .constant = constant, .id = p->var.count};
	v->name = name_claim(p, name, NAME_VAR, v);
	ARENA_PUSH(p->arena, &p->var, v);
	return v;
}

/* --- slices and regions --- */

tile_slice tile_whole(tile_frag *f)
{
	return (tile_slice){.frag = f, .cols = f->cols, .rows = f->rows};
}

tile_slice tile_columns(tile_frag *f, tile_expr *first, int cols)
{
	return (tile_slice){.frag = f, .first = first, .cols = cols, .rows = f->rows};
}

tile_region tile_all(tile_buffer *b, tile_expr *slot)
{
	return (tile_region){.buffer = b, .slot = slot, .rows = b->rows, .cols = b->cols};
}

tile_region tile_part(
	tile_buffer *b, tile_expr *slot, tile_expr *row, tile_expr *col, int rows, int cols)
{
	return (tile_region){b, slot, row, col, rows, cols};
}

static tile_expr *or_zero(tile_program *p, tile_expr *x)
{
	return x ? x : tx_i32(p, 0);
}

static tile_operand slice_operand(tile_program *p, tile_slice s)
{
	s.first = or_zero(p, s.first);
	s.first_row = or_zero(p, s.first_row);
	return (tile_operand){.slice = s};
}

static tile_operand region_operand(tile_program *p, tile_region r)
{
	r.slot = or_zero(p, r.slot);
	r.row = or_zero(p, r.row);
	r.col = or_zero(p, r.col);
	return (tile_operand){.region = r};
}

static tile_operand offset_operand(tile_program *p, tile_expr *x)
{
	return (tile_operand){.value = x->type == TILE_I32 ? tx_cvt(p, TILE_I64, x) : x};
}

static tile_operand pred_operand(tile_program *p, tile_expr *x)
{
	return (tile_operand){.value = x ? x : tx_bool(p, true)};
}

/* --- statements --- */

/* Open flow: where the statements after its end go. */
struct tile_flow {
	tile_stmt *stmt;
	tile_block *after;
	struct tile_flow *outer;
};

tile_stmt *tile_append(tile_program *p, loc at, tile_opcode op)
{
	tile_stmt *s = ARENA_NEW(p->arena, tile_stmt);
	int column;

	s->op = op;
	s->at = at;
	if (p->src && (at.begin || at.end))
		source_position(p->src, at.begin, &s->line, &column);
	else
		s->line = p->line;
	ARENA_PUSH(p->arena, p->open, s);
	p->newest = s;
	return s;
}

void tile_enter(tile_program *p, tile_stmt *s)
{
	struct tile_flow *f = ARENA_NEW(p->arena, struct tile_flow);

	*f = (struct tile_flow){s, p->open, p->flow};
	p->flow = f;
	p->open = &s->body;
}

tile_var *tile_let(tile_program *p, loc at, const char *name, tile_expr *v)
{
	tile_stmt *s = tile_append(p, at, TILE_LET);

	s->arg[0].var = tile_var_create(p, name, v->type, false);
	s->arg[1].value = v;
	return s->arg[0].var;
}

void tile_set(tile_program *p, loc at, tile_var *var, tile_expr *v)
{
	tile_stmt *s = tile_append(p, at, TILE_SET);

	s->arg[0].var = var;
	s->arg[1].value = v;
}

void tile_map(tile_program *p, loc at, tile_slice dst, tile_expr *v)
{
	tile_stmt *s = tile_append(p, at, TILE_MAP);

	s->arg[0] = slice_operand(p, dst);
	s->arg[1].value = v;
}

static tile_var *any_stmt(
	tile_program *p, loc at, tile_opcode op, const char *name, tile_slice domain, tile_expr *v)
{
	tile_stmt *s = tile_append(p, at, op);

	s->arg[0].var = tile_var_create(p, name, TILE_B1, false);
	s->arg[1] = slice_operand(p, domain);
	s->arg[2].value = v;
	return s->arg[0].var;
}

tile_var *tile_any(tile_program *p, loc at, const char *name, tile_slice domain, tile_expr *v)
{
	return any_stmt(p, at, TILE_ANY, name, domain, v);
}

tile_var *tile_any_block(tile_program *p, loc at, const char *name, tile_slice domain, tile_expr *v)
{
	return any_stmt(p, at, TILE_ANYB, name, domain, v);
}

void tile_break(tile_program *p, loc at, tile_expr *cond)
{
	tile_append(p, at, TILE_BREAK)->arg[0].value = cond;
}

void tile_reduce(tile_program *p, loc at, tile_frag *dst, tile_word how, tile_slice src)
{
	tile_stmt *s = tile_append(p, at, TILE_REDUCE);

	s->arg[0] = slice_operand(p, tile_whole(dst));
	s->arg[1].word = how;
	s->arg[2] = slice_operand(p, src);
}

void tile_quad(tile_program *p, loc at, tile_frag *dst, tile_word how)
{
	tile_stmt *s = tile_append(p, at, TILE_QUAD);

	s->arg[0] = slice_operand(p, tile_whole(dst));
	s->arg[1].word = how;
}

void tile_fill(tile_program *p, loc at, tile_region dst, tile_expr *v)
{
	tile_stmt *s = tile_append(p, at, TILE_FILL);

	s->arg[0] = region_operand(p, dst);
	s->arg[1].value = v;
}

void tile_copy(tile_program *p, loc at, tile_region dst, tile_arg *tensor, tile_expr *offset,
	tile_expr *pred)
{
	tile_stmt *s = tile_append(p, at, TILE_COPY);

	s->arg[0] = region_operand(p, dst);
	s->arg[1].tensor = tensor;
	s->arg[2] = offset_operand(p, offset);
	s->arg[3] = pred_operand(p, pred);
}

void tile_commit(tile_program *p, loc at)
{
	tile_append(p, at, TILE_COMMIT);
}

void tile_wait(tile_program *p, loc at, int groups)
{
	tile_append(p, at, TILE_WAIT)->arg[0].integer = groups;
}

void tile_barrier(tile_program *p, loc at)
{
	tile_append(p, at, TILE_BARRIER);
}

static void load(tile_program *p, loc at, tile_opcode op, tile_slice dst, tile_region src)
{
	tile_stmt *s = tile_append(p, at, op);

	s->arg[0] = slice_operand(p, dst);
	s->arg[1] = region_operand(p, src);
}

void tile_ldsm(tile_program *p, loc at, tile_slice dst, tile_region src, bool trans)
{
	load(p, at, trans ? TILE_LDSMT : TILE_LDSM, dst, src);
}

void tile_ldsm_rows(tile_program *p, loc at, tile_slice dst, tile_region src)
{
	load(p, at, TILE_LDSMR, dst, src);
}

void tile_lds(tile_program *p, loc at, tile_slice dst, tile_region src, bool trans)
{
	load(p, at, trans ? TILE_LDST : TILE_LDS, dst, src);
}

void tile_mma(tile_program *p, loc at, tile_slice acc, tile_slice a, tile_slice b)
{
	tile_stmt *s = tile_append(p, at, TILE_MMA);

	s->arg[0] = slice_operand(p, acc);
	s->arg[1] = slice_operand(p, a);
	s->arg[2] = slice_operand(p, b);
}

void tile_store(tile_program *p, loc at, tile_arg *tensor, tile_slice domain, tile_expr *offset,
	tile_expr *value, tile_expr *pred)
{
	tile_stmt *s = tile_append(p, at, TILE_STORE);

	s->arg[0].tensor = tensor;
	s->arg[1] = slice_operand(p, domain);
	s->arg[2] = offset_operand(p, offset);
	s->arg[3].value = value;
	s->arg[4] = pred_operand(p, pred);
}

void tile_store_rows(tile_program *p, loc at, tile_arg *tensor, tile_region src, tile_expr *offset,
	tile_expr *pred)
{
	tile_stmt *s = tile_append(p, at, TILE_STORER);

	s->arg[0].tensor = tensor;
	s->arg[1] = region_operand(p, src);
	s->arg[2] = offset_operand(p, offset);
	s->arg[3] = pred_operand(p, pred);
}

void tile_store_shared(
	tile_program *p, loc at, tile_region dst, tile_slice domain, tile_expr *value)
{
	tile_stmt *s = tile_append(p, at, TILE_STORES);

	s->arg[0] = region_operand(p, dst);
	s->arg[1] = slice_operand(p, domain);
	s->arg[2].value = value;
}

/* --- statements of Hopper --- */

static tile_operand bar_operand(tile_program *p, tile_mbar *b, tile_expr *index)
{
	return (tile_operand){.bar = {b, or_zero(p, index)}};
}

static tile_operand list_operand(tile_frag *const *f, int n)
{
	tile_operand o = {.list = {.count = n}};

	if (n < 0 || n > TILE_MAX_LIST)
		ice("a list of %d register tiles", n);
	for (int i = 0; i < n; i++)
		o.list.frag[i] = f[i];
	return o;
}

void tile_init(tile_program *p, loc at, tile_mbar *bar)
{
	tile_append(p, at, TILE_BINIT)->arg[0].bar = (tile_bar_ref){bar, NULL};
}

void tile_expect(tile_program *p, loc at, tile_mbar *bar, tile_expr *index, tile_expr *bytes)
{
	tile_stmt *s = tile_append(p, at, TILE_BEXPECT);

	s->arg[0] = bar_operand(p, bar, index);
	s->arg[1].value = bytes;
}

void tile_arrive(tile_program *p, loc at, tile_mbar *bar, tile_expr *index)
{
	tile_append(p, at, TILE_BARRIVE)->arg[0] = bar_operand(p, bar, index);
}

void tile_await(tile_program *p, loc at, tile_mbar *bar, tile_expr *index, tile_expr *parity)
{
	tile_stmt *s = tile_append(p, at, TILE_BWAIT);

	s->arg[0] = bar_operand(p, bar, index);
	s->arg[1].value = parity;
}

void tile_tma_load(tile_program *p, loc at, tile_region dst, tile_arg *map, tile_expr *const *coord,
	int rank, tile_mbar *bar, tile_expr *index)
{
	tile_stmt *s = tile_append(p, at, TILE_TMALOAD);

	if (rank != map->rank)
		ice("%d coordinates for '%s'", rank, map->name);
	s->arg[0] = region_operand(p, dst);
	s->arg[1].box = (tile_box){.map = map, .rank = rank};
	for (int i = 0; i < rank; i++)
		s->arg[1].box.coord[i] = coord[i];
	s->arg[2] = bar_operand(p, bar, index);
}

void tile_fence_async(tile_program *p, loc at)
{
	tile_append(p, at, TILE_FENCEA);
}

static void wgmma(tile_program *p, loc at, tile_opcode op, tile_slice acc, tile_operand a,
	tile_region b, bool zero)
{
	tile_stmt *s = tile_append(p, at, op);

	s->arg[0] = slice_operand(p, acc);
	s->arg[1].zero = zero;
	s->arg[2] = a;
	s->arg[3] = region_operand(p, b);
}

void tile_wgmma(
	tile_program *p, loc at, tile_slice acc, tile_slice a, tile_region b, bool trans, bool zero)
{
	wgmma(p, at, trans ? TILE_WGMMAT : TILE_WGMMA, acc, slice_operand(p, a), b, zero);
}

void tile_wgmma_shared(tile_program *p, loc at, tile_slice acc, tile_region a, tile_region b,
	bool trans, bool zero)
{
	wgmma(p, at, trans ? TILE_WGMMAST : TILE_WGMMAS, acc, region_operand(p, a), b, zero);
}

void tile_wgmma_fence(tile_program *p, loc at, tile_frag *const *f, int n)
{
	tile_append(p, at, TILE_WFENCE)->arg[0] = list_operand(f, n);
}

void tile_wgmma_commit(tile_program *p, loc at)
{
	tile_append(p, at, TILE_WCOMMIT);
}

void tile_wgmma_wait(tile_program *p, loc at, int groups, tile_frag *const *f, int n)
{
	tile_stmt *s = tile_append(p, at, TILE_WWAIT);

	s->arg[0].integer = groups;
	s->arg[1] = list_operand(f, n);
}

static void numbered(tile_program *p, loc at, tile_opcode op, tile_expr *id, int threads)
{
	tile_stmt *s = tile_append(p, at, op);

	s->arg[0].value = id;
	s->arg[1].integer = threads;
}

void tile_bar_sync(tile_program *p, loc at, tile_expr *id, int threads)
{
	numbered(p, at, TILE_NSYNC, id, threads);
}

void tile_bar_arrive(tile_program *p, loc at, tile_expr *id, int threads)
{
	numbered(p, at, TILE_NARRIVE, id, threads);
}

tile_var *tile_count(tile_program *p, loc at, const char *name, tile_mbar *bar, tile_expr *index)
{
	tile_stmt *s = tile_append(p, at, TILE_COUNT);

	s->arg[0].var = tile_var_create(p, name, TILE_I32, false);
	s->arg[1] = bar_operand(p, bar, index);
	return s->arg[0].var;
}

void tile_stsm(tile_program *p, loc at, tile_region dst, tile_slice src)
{
	tile_stmt *s = tile_append(p, at, TILE_STSM);

	s->arg[0] = region_operand(p, dst);
	s->arg[1] = slice_operand(p, src);
}

/* --- flow --- */

tile_var *tile_for_begin(
	tile_program *p, loc at, const char *name, tile_expr *from, tile_expr *to, tile_expr *step)
{
	tile_stmt *s = tile_append(p, at, TILE_FOR);

	s->arg[0].var = tile_var_create(p, name, TILE_I32, false);
	s->arg[1].value = from;
	s->arg[2].value = to;
	s->arg[3].value = step;
	tile_enter(p, s);
	return s->arg[0].var;
}

tile_var *tile_unroll_begin(tile_program *p, loc at, const char *name, int from, int to, int step)
{
	tile_stmt *s = tile_append(p, at, TILE_UNROLL);

	s->arg[0].var = tile_var_create(p, name, TILE_I32, true);
	s->arg[1].integer = from;
	s->arg[2].integer = to;
	s->arg[3].integer = step;
	tile_enter(p, s);
	return s->arg[0].var;
}

void tile_if_begin(tile_program *p, loc at, tile_expr *cond)
{
	tile_stmt *s = tile_append(p, at, TILE_IF);

	s->arg[0].value = cond;
	tile_enter(p, s);
}

int tile_flow_depth(const tile_program *p)
{
	int n = 0;

	for (const struct tile_flow *f = p->flow; f; f = f->outer)
		n++;
	return n;
}

bool tile_can_else(const tile_program *p)
{
	return p->flow && p->flow->stmt->op == TILE_IF && p->open == &p->flow->stmt->body;
}

void tile_else(tile_program *p)
{
	if (!tile_can_else(p))
		ice("else without if");
	p->open = &p->flow->stmt->other;
}

void tile_end(tile_program *p)
{
	if (!p->flow)
		ice("end without begin");
	p->newest = p->flow->stmt;
	p->open = p->flow->after;
	p->flow = p->flow->outer;
}

void tile_note(tile_program *p, const char *fmt, ...)
{
	va_list ap;
	char *note;

	if (!p->newest)
		ice("a note without a statement");
	va_start(ap, fmt);
	note = arena_vprintf(p->arena, fmt, ap);
	va_end(ap);
	for (char *c = note; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	p->newest->note = note;
}
