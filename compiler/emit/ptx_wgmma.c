/* ptx_wgmma.c: products of warpgroups. A statement is one piece of assembly, however many
 * instructions it has, so that building it is cheap. Registers that a product has in flight are
 * tied, in and out, through every piece that touches them or waits for them: LLVM orders assembly,
 * but not arithmetic on registers against it. */
#include "emit/ptx_internal.h"
#include <stdio.h>
#include <stdlib.h>

/* Registers of tiles, in order. */
typedef struct {
	const tile_frag **frag;
	int *reg;
	int count;
} registers;

static registers open_registers(ptx_cx *h, int most)
{
	return (registers){ARENA_ARRAY(h->arena, const tile_frag *, most),
		ARENA_ARRAY(h->arena, int, most), 0};
}

static void add_slice(ptx_cx *h, registers *l, const tile_slice *s)
{
	ptx_cells c = ptx_slice(h, s);

	for (int row = c.row0; row < c.row1; row++)
		for (int col = c.col0; col < c.col1; col++)
			for (int i = 0; i < c.registers; i++) {
				l->frag[l->count] = s->frag;
				l->reg[l->count++] = ptx_register(&c, row, col, i);
			}
}

static int slice_size(const tile_slice *s)
{
	tile_cell c = tile_cell_of(s->frag);

	return s->cols / c.cols * c.registers;
}

/* --- assembly with registers in and out --- */

/* Operands $0 ... are the registers; the others follow them, behind the ties if the registers are
 * `read` too. */
static int first_other(const registers *l, bool read)
{
	return l->count * (read ? 2 : 1);
}

static V *read_registers(ptx_cx *h, const registers *l, int others)
{
	V *arg = ARENA_ARRAY(h->arena, V, l->count + others + 1);

	for (int i = 0; i < l->count; i++)
		arg[i] = ptx_read_register(h, l->frag[i], l->reg[i]);
	return arg;
}

/* `letters`: one constraint for each of the others. */
static void assemble(ptx_cx *h, const registers *l, bool read, V *other, const char *letters,
	int others, const char *body)
{
	V *arg = read_registers(h, l, others), r;
	T *type = ARENA_ARRAY(h->arena, T, l->count + 1);
	text constraints = {0};
	int n = read ? l->count : 0;

	for (int i = 0; i < l->count; i++) {
		type[i] = h->frag[l->frag[i]->id].type;
		text_printf(&constraints, "=%c,", type[i] == h->f32 ? 'f' : 'r');
	}
	for (int i = 0; i < n; i++)
		text_printf(&constraints, "%d,", i);
	for (int i = 0; i < others; i++) {
		text_printf(&constraints, "%c,", letters[i]);
		arg[n++] = other[i];
	}
	text_put(&constraints, "~{memory}");
	r = ptx_asm_long(h,
		l->count ? LLVMStructTypeInContext(h->cx, type, (unsigned)l->count, 0) : h->vd,
		constraints.data, arg, n, body);
	text_free(&constraints);
	for (int i = 0; i < l->count; i++)
		ptx_write_register(h, l->frag[i], l->reg[i], ptx_field(h, r, i));
}

/* --- products --- */

/* An operand in shared memory: its first element, and the descriptor's constants. */
typedef struct {
	const tile_buffer *buffer;
	num slot, row, col;
	bool trans;
	uint64_t constant;
} source_region;

static source_region open_region(ptx_cx *h, const tile_region *r, bool trans)
{
	return (source_region){r->buffer, ptx_scalar(h, r->slot), ptx_scalar(h, r->row),
		ptx_scalar(h, r->col), trans, tile_descriptor(r->buffer, trans)};
}

/* The low word of the descriptor of the k-th step. */
static V descriptor(ptx_cx *h, const source_region *s, int k)
{
	num zero = num_const(h->i32, 0), step = num_const(h->i32, 16 * k);
	num at = ptx_shared_at(h, s->buffer, s->slot, s->trans ? num_add(h, s->row, step) : s->row,
		zero, s->trans ? s->col : num_add(h, s->col, step));
	num low = num_const(h->i32, at.add / 16);
	V v;

	if (at.v) {
		low = num_of(h, ptx_binary(h, LLVMLShr, at.v, ptx_i32(h, 4)));
		low.add = at.add / 16;
	}
	if (at.lo - at.add < 0) { /* the register alone may be negative */
		v = ptx_binary(h, LLVMAnd, num_v(h, low), ptx_i32(h, 0x3fff));
		low = num_of(h, v);
	}
	low.add += (int64_t)(uint32_t)s->constant;
	return num_v(h, low);
}

/* One instruction: {acc}, {a} or a's descriptor, b's descriptor. */
static void put_instruction(text *out, const tile_stmt *s, int first_a, int first_b, int k)
{
	bool shared = s->op == TILE_WGMMAS || s->op == TILE_WGMMAST;
	bool trans = s->op == TILE_WGMMAT || s->op == TILE_WGMMAST;
	int n = s->arg[0].slice.cols;
	unsigned high = (unsigned)(tile_descriptor(s->arg[3].region.buffer, trans) >> 32);
	const char *type = tile_type_name(s->arg[3].region.buffer->type);

	if (shared)
		text_printf(out, "mov.b64 a, {$%d, %u};\n", first_a + k, high);
	text_printf(out, "mov.b64 b, {$%d, %u};\n", first_b + k, high);
	text_printf(out, "wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s {", n, type, type);
	for (int i = 0; i < n / 2; i++)
		text_printf(out, i ? ",$%d" : "$%d", i);
	if (shared)
		text_put(out, "}, a, b");
	else
		text_printf(out, "}, {$%d,$%d,$%d,$%d}, b", first_a + 4 * k, first_a + 4 * k + 1,
			first_a + 4 * k + 2, first_a + 4 * k + 3);
	text_printf(out, ", %s, 1, 1%s, %d;\n", s->arg[1].zero && k == 0 ? "zero" : "add",
		shared ? ", 0" : "", trans);
}

static char *product_body(const tile_stmt *s, int first_a, int as, int steps)
{
	text out = {0};

	text_put(&out, "{ .reg .pred add, zero; .reg .b64 a, b; setp.ne.b32 add, 1, 0; "
		       "setp.ne.b32 zero, 0, 0;\n");
	for (int k = 0; k < steps; k++)
		put_instruction(&out, s, first_a, first_a + as, k);
	text_put(&out, "}");
	return text_take(&out);
}

/* The A operand: registers, or one descriptor a step; appended to `other`. */
static int left_operand(ptx_cx *h, const tile_stmt *s, int steps, V *other)
{
	registers l;
	source_region a;

	if (s->op == TILE_WGMMA || s->op == TILE_WGMMAT) {
		l = open_registers(h, slice_size(&s->arg[2].slice));
		add_slice(h, &l, &s->arg[2].slice);
		for (int i = 0; i < l.count; i++)
			other[i] = ptx_read_register(h, l.frag[i], l.reg[i]);
		return l.count;
	}
	a = open_region(h, &s->arg[2].region, false);
	a.row = num_add(h, a.row, num_times(h, h->warpgroup, 64));
	for (int k = 0; k < steps; k++)
		other[k] = descriptor(h, &a, k);
	return steps;
}

static void product(ptx_cx *h, const tile_stmt *s)
{
	bool trans = s->op == TILE_WGMMAT || s->op == TILE_WGMMAST, read = !s->arg[1].zero;
	source_region b = open_region(h, &s->arg[3].region, trans);
	int steps = (trans ? s->arg[3].region.rows : s->arg[3].region.cols) / 16, as;
	registers acc = open_registers(h, slice_size(&s->arg[0].slice));
	V *other = ARENA_ARRAY(h->arena, V, 5 * steps);
	char *letters = ARENA_ARRAY(h->arena, char, 5 * steps + 1), *body;

	if (!ptx_needs(h, s, ARCH_WGMMA))
		return;
	add_slice(h, &acc, &s->arg[0].slice);
	as = left_operand(h, s, steps, other);
	for (int k = 0; k < steps; k++)
		other[as + k] = descriptor(h, &b, k);
	for (int i = 0; i < as + steps; i++)
		letters[i] = 'r';
	body = product_body(s, first_other(&acc, read), as, steps);
	assemble(h, &acc, read, other, letters, as + steps, body);
	free(body);
}

void ptx_stmt_WGMMA(ptx_cx *h, const tile_stmt *s)
{
	product(h, s);
}

void ptx_stmt_WGMMAT(ptx_cx *h, const tile_stmt *s)
{
	product(h, s);
}

void ptx_stmt_WGMMAS(ptx_cx *h, const tile_stmt *s)
{
	product(h, s);
}

void ptx_stmt_WGMMAST(ptx_cx *h, const tile_stmt *s)
{
	product(h, s);
}

/* --- order --- */

static void tie_list(ptx_cx *h, const tile_stmt *s, const tile_list *list, const char *body)
{
	int most = 0;
	registers l;

	if (!ptx_needs(h, s, ARCH_WGMMA))
		return;
	for (int i = 0; i < list->count; i++)
		most += tile_registers(h->p, list->frag[i]);
	l = open_registers(h, most);
	for (int i = 0; i < list->count; i++)
		for (int r = 0; r < tile_registers(h->p, list->frag[i]); r++) {
			l.frag[l.count] = list->frag[i];
			l.reg[l.count++] = r;
		}
	assemble(h, &l, true, NULL, "", 0, body);
}

void ptx_stmt_WFENCE(ptx_cx *h, const tile_stmt *s)
{
	tie_list(h, s, &s->arg[0].list, "wgmma.fence.sync.aligned;");
}

void ptx_stmt_WCOMMIT(ptx_cx *h, const tile_stmt *s)
{
	if (ptx_needs(h, s, ARCH_WGMMA))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "wgmma.commit_group.sync.aligned;");
}

void ptx_stmt_WWAIT(ptx_cx *h, const tile_stmt *s)
{
	char body[64];

	snprintf(body, sizeof body, "wgmma.wait_group.sync.aligned %d;", (int)s->arg[0].integer);
	tie_list(h, s, &s->arg[1].list, body);
}
