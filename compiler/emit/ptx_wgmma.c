/* ptx_wgmma.c: products of warpgroups. A statement is one piece of assembly, however many
 * instructions it has, and names its register tiles: LLVM sees the words of descriptors only. */
#include "emit/ptx_internal.h"

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

/* One instruction: {acc}, {a} or a's descriptor, b's descriptor; $k, or behind them, is the low
 * word of the k-th step. */
static void put_instruction(ptx_cx *h, text *out, const tile_stmt *s, int k, int first_b)
{
	bool shared = s->op == TILE_WGMMAS || s->op == TILE_WGMMAST;
	bool trans = s->op == TILE_WGMMAT || s->op == TILE_WGMMAST;
	ptx_cells acc = ptx_slice(h, &s->arg[0].slice), a;
	int n = s->arg[0].slice.cols;
	unsigned high = (unsigned)(tile_descriptor(s->arg[3].region.buffer, trans) >> 32);
	const char *type = tile_type_name(s->arg[3].region.buffer->type);

	if (shared)
		text_printf(out, "mov.b64 a, {$%d, %u};\n\t", k, high);
	text_printf(out, "mov.b64 b, {$%d, %u};\n\t", first_b + k, high);
	text_printf(out, "wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s ", n, type, type);
	ptx_put_registers(
		out, s->arg[0].slice.frag, ptx_register(&acc, acc.row0, acc.col0, 0), n / 2);
	if (shared) {
		text_put(out, ", a, b");
	} else {
		a = ptx_slice(h, &s->arg[2].slice);
		text_put(out, ", ");
		ptx_put_registers(
			out, s->arg[2].slice.frag, ptx_register(&a, a.row0, a.col0 + k, 0), 4);
		text_put(out, ", b");
	}
	text_printf(out, ", %s, 1, 1%s, %d;\n\t", s->arg[1].zero && k == 0 ? "zero" : "add",
		shared ? ", 0" : "", trans);
}

/* The descriptors' low words, one a step; the count. */
static int descriptors(ptx_cx *h, const source_region *r, int steps, V *out)
{
	for (int k = 0; k < steps; k++)
		out[k] = descriptor(h, r, k);
	return steps;
}

static void touch(ptx_cx *h, const tile_slice *s)
{
	ptx_cells c = ptx_slice(h, s);

	for (int i = 0; i < (c.col1 - c.col0) * c.registers; i++)
		ptx_touch_register(h, s->frag, ptx_register(&c, c.row0, c.col0, i));
}

static void product(ptx_cx *h, const tile_stmt *s)
{
	bool trans = s->op == TILE_WGMMAT || s->op == TILE_WGMMAST;
	source_region b = open_region(h, &s->arg[3].region, trans), a;
	int steps = (trans ? s->arg[3].region.rows : s->arg[3].region.cols) / 16, as = 0, args;
	V *arg = ARENA_ARRAY(h->arena, V, 2 * steps);
	text body = {0}, constraints = {0};

	if (!ptx_needs(h, s, ARCH_WGMMA))
		return;
	if (s->op == TILE_WGMMAS || s->op == TILE_WGMMAST) {
		a = open_region(h, &s->arg[2].region, false);
		a.row = num_add(h, a.row, num_times(h, h->warpgroup, 64));
		as = descriptors(h, &a, steps, arg);
	}
	args = as + descriptors(h, &b, steps, arg + as);
	for (int i = 0; i < args; i++)
		text_put(&constraints, "r,");
	text_put(&constraints, "~{memory}");
	text_put(&body, "{ .reg .pred add, zero; .reg .b64 a, b;\n\tsetp.ne.b32 add, 1, 0;\n\t"
			"setp.ne.b32 zero, 0, 0;\n\t");
	for (int k = 0; k < steps; k++)
		put_instruction(h, &body, s, k, as);
	text_put(&body, "}");
	ptx_asm_body(h, constraints.data, arg, args, &body);
	text_free(&constraints);
	touch(h, &s->arg[0].slice);
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

void ptx_stmt_WFENCE(ptx_cx *h, const tile_stmt *s)
{
	if (ptx_needs(h, s, ARCH_WGMMA))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "wgmma.fence.sync.aligned;");
}

void ptx_stmt_WCOMMIT(ptx_cx *h, const tile_stmt *s)
{
	if (ptx_needs(h, s, ARCH_WGMMA))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "wgmma.commit_group.sync.aligned;");
}

void ptx_stmt_WWAIT(ptx_cx *h, const tile_stmt *s)
{
	if (ptx_needs(h, s, ARCH_WGMMA))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "wgmma.wait_group.sync.aligned %d;",
			(int)s->arg[0].integer);
}
