/* ptx_tile.c: register tiles. What products read and write is an array of PTX registers that
 * assembly names, so that a statement of many products is one instruction without operands to LLVM:
 * it neither builds nor coalesces values that ptxas makes of the registers anyway. Reads and writes
 * of them are volatile assembly, which LLVM keeps in order. */
#include "emit/ptx_internal.h"
#include <string.h>

static const char *type_of(const ptx_cx *h, const tile_frag *f)
{
	return h->frag[f->id].type == h->f32 ? "f32" : "b32";
}

static char letter_of(const ptx_cx *h, const tile_frag *f)
{
	return h->frag[f->id].type == h->f32 ? 'f' : 'r';
}

static bool is_vector(const tile_frag *f)
{
	return f->layout == LAYOUT_ROWV || f->layout == LAYOUT_COLV;
}

static void declare_slots(ptx_cx *h, ptx_tile *t, int n)
{
	t->slot = ARENA_ARRAY(h->arena, V, n);
	for (int i = 0; i < n; i++)
		t->slot[i] = ptx_alloca(h, t->type);
}

void ptx_declare_tiles(ptx_cx *h)
{
	text out = {0};

	h->frag = ARENA_ARRAY(h->arena, ptx_tile, h->p->frag.count + 1);
	for (int i = 0; i < h->p->frag.count; i++) {
		const tile_frag *f = h->p->frag.item[i];
		int n = tile_registers(h->p, f);

		h->frag[i] = (ptx_tile){.type = ptx_type(h, f->type),
			.version = ARENA_ARRAY(h->arena, uint32_t, n)};
		if (is_vector(f))
			declare_slots(h, &h->frag[i], n);
		else
			text_printf(&out, "%s.reg .%s %%%s_<%d>;", out.len ? "\n\t" : "",
				type_of(h, f), f->name, n);
	}
	ptx_asm_body(h, "", NULL, 0, &out);
}

/* --- names --- */

static void put_number(text *out, int v)
{
	char digits[12], *s = digits + sizeof digits;

	do
		*--s = (char)('0' + v % 10);
	while (v /= 10);
	text_putn(out, s, (size_t)(digits + sizeof digits - s));
}

void ptx_put_register(text *out, const tile_frag *f, int r)
{
	text_putn(out, "%", 1);
	text_put(out, f->name);
	text_putn(out, "_", 1);
	put_number(out, r);
}

void ptx_put_registers(text *out, const tile_frag *f, int first, int n)
{
	for (int i = 0; i < n; i++) {
		text_putn(out, i ? "," : "{", 1);
		ptx_put_register(out, f, first + i);
	}
	text_putn(out, "}", 1);
}

/* --- values --- */

void ptx_touch_register(ptx_cx *h, const tile_frag *f, int r)
{
	h->frag[f->id].version[r]++;
}

/* Registers that are read together; what is known of them is left out. */
typedef struct {
	const tile_frag **frag;
	int *reg, count;
	text body, constraints;
} read_list;

static void add_read(ptx_cx *h, read_list *l, const tile_frag *f, int r)
{
	text_printf(&l->constraints, l->count ? ",=%c" : "=%c", letter_of(h, f));
	text_printf(&l->body, "%smov.%s $%d, ", l->count ? "\n\t" : "", type_of(h, f), l->count);
	ptx_put_register(&l->body, f, r);
	text_putn(&l->body, ";", 1);
	l->frag[l->count] = f;
	l->reg[l->count++] = r;
}

static void note(ptx_cx *h, const tile_frag *f, int r, V v)
{
	const ptx_tile *t = &h->frag[f->id];

	ptx_note(h, &t->version[r], t->version[r], v);
}

static void read_all(ptx_cx *h, read_list *l)
{
	T *type = ARENA_ARRAY(h->arena, T, l->count + 1);
	V v;

	for (int i = 0; i < l->count; i++)
		type[i] = h->frag[l->frag[i]->id].type;
	if (l->count == 1) {
		v = ptx_asm_long(h, type[0], l->constraints.data, NULL, 0, l->body.data);
		note(h, l->frag[0], l->reg[0], v);
	} else if (l->count > 1) {
		v = ptx_asm_long(h, LLVMStructTypeInContext(h->cx, type, (unsigned)l->count, 0),
			l->constraints.data, NULL, 0, l->body.data);
		for (int i = 0; i < l->count; i++)
			note(h, l->frag[i], l->reg[i], ptx_field(h, v, i));
	}
	text_free(&l->body);
	text_free(&l->constraints);
}

V ptx_read_register(ptx_cx *h, const tile_frag *f, int r)
{
	const ptx_tile *t = &h->frag[f->id];
	V v = t->slot ? ptx_read(h, t->type, t->slot[r], t->version[r])
		      : ptx_recall(h, &t->version[r], t->version[r]);
	read_list l = {.frag = (const tile_frag *[1]){0}, .reg = (int[1]){0}};

	if (v)
		return v;
	add_read(h, &l, f, r);
	read_all(h, &l);
	return ptx_recall(h, &t->version[r], t->version[r]);
}

/* Marks the tiles in `x`. */
static void find_tiles(const tile_expr *x, bool *seen, bool *tile)
{
	if (seen[x->id])
		return;
	seen[x->id] = true;
	if (x->op == TX_FRAG && !is_vector(x->frag))
		tile[x->frag->id] = true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		find_tiles(x->arg[i], seen, tile);
}

static void add_tile(
	ptx_cx *h, read_list *l, const tile_frag *f, const tile_frag *domain, const int *r, int n)
{
	const ptx_tile *t = &h->frag[f->id];
	int each = tile_register_elements(domain);
	bool *listed = ARENA_ARRAY(h->arena, bool, tile_registers(h->p, f));

	for (int i = 0; i < n * each; i++) {
		int k = ptx_peer(h, f, domain, r[i / each], i % each) / 2;

		if (!listed[k] && !ptx_recall(h, &t->version[k], t->version[k]))
			add_read(h, l, f, k);
		listed[k] = true;
	}
}

void ptx_read_tile(ptx_cx *h, const tile_frag *f, const int *r, int n)
{
	read_list l = {.frag = ARENA_ARRAY(h->arena, const tile_frag *, n + 1),
		.reg = ARENA_ARRAY(h->arena, int, n + 1)};

	for (int i = 0; i < n && !h->frag[f->id].slot; i++)
		if (!ptx_recall(h, &h->frag[f->id].version[r[i]], h->frag[f->id].version[r[i]]))
			add_read(h, &l, f, r[i]);
	read_all(h, &l);
}

void ptx_read_ahead(ptx_cx *h, const tile_expr *x, const tile_frag *domain, const int *r, int n)
{
	bool *seen = ARENA_ARRAY(h->arena, bool, h->p->expr_count + 1);
	bool *tile = ARENA_ARRAY(h->arena, bool, h->p->frag.count + 1);
	int most = 0;
	read_list l = {0};

	find_tiles(x, seen, tile);
	for (int i = 0; i < h->p->frag.count; i++)
		most += tile[i] ? tile_registers(h->p, h->p->frag.item[i]) : 0;
	l.frag = ARENA_ARRAY(h->arena, const tile_frag *, most + 1);
	l.reg = ARENA_ARRAY(h->arena, int, most + 1);
	for (int i = 0; i < h->p->frag.count; i++)
		if (tile[i])
			add_tile(h, &l, h->p->frag.item[i], domain, r, n);
	read_all(h, &l);
}

/* A constant's bits. */
static bool literal(V v, uint32_t *bits)
{
	LLVMBool loses;
	float f;

	if (LLVMIsAConstantInt(v)) {
		*bits = (uint32_t)LLVMConstIntGetZExtValue(v);
		return true;
	}
	if (!LLVMIsAConstantFP(v))
		return false;
	f = (float)LLVMConstRealGetDouble(v, &loses);
	memcpy(bits, &f, sizeof *bits);
	return true;
}

/* One piece of assembly for all of them: its operands are the values that are not constant. */
void ptx_write_registers(ptx_cx *h, const tile_frag *f, const int *r, const V *v, int n)
{
	ptx_tile *t = &h->frag[f->id];
	V *arg = ARENA_ARRAY(h->arena, V, n + 1);
	text body = {0}, constraints = {0};
	int args = 0;

	for (int i = 0; i < n; i++) {
		uint32_t bits;

		if (t->slot) {
			ptx_write(h, t->slot[r[i]], &t->version[r[i]], v[i]);
			continue;
		}
		if (ptx_recall(h, &t->version[r[i]], t->version[r[i]]) == v[i])
			continue;
		text_printf(&body, "%smov.%s ", body.len ? "\n\t" : "", type_of(h, f));
		ptx_put_register(&body, f, r[i]);
		if (literal(v[i], &bits)) {
			text_printf(&body, t->type == h->f32 ? ", 0f%08X;" : ", %d;", bits);
		} else {
			text_printf(&constraints, args ? ",%c" : "%c", letter_of(h, f));
			text_printf(&body, ", $%d;", args);
			arg[args++] = v[i];
		}
		ptx_note(h, &t->version[r[i]], ++t->version[r[i]], v[i]);
	}
	ptx_asm_body(h, args ? constraints.data : "", arg, args, &body);
	text_free(&constraints);
}
