/* ptx_stmt.c: statements on variables and register tiles, products, and flow. */
#include "emit/ptx_internal.h"

/* --- variables --- */

void ptx_stmt_LET(ptx_cx *h, const tile_stmt *s)
{
	ptx_var *v = &h->var[s->arg[0].var->id];
	num n = ptx_scalar(h, s->arg[1].value);

	if (!v->mutable) {
		v->value = n;
		return;
	}
	if (!v->slot)
		v->slot = ptx_alloca(h, n.type);
	ptx_write(h, v->slot, &v->version, num_v(h, n));
}

void ptx_stmt_SET(ptx_cx *h, const tile_stmt *s)
{
	ptx_var *v = &h->var[s->arg[0].var->id];

	if (!v->slot)
		ice("variable '%s' is set before it is defined", s->arg[0].var->name);
	ptx_write(h, v->slot, &v->version, num_v(h, ptx_scalar(h, s->arg[1].value)));
}

/* --- register tiles --- */

ptx_cells ptx_slice(ptx_cx *h, const tile_slice *s)
{
	tile_cell c = tile_cell_of(s->frag);
	int first = ptx_static(h, s->first), first_row = ptx_static(h, s->first_row);
	int rows = s->frag->layout == LAYOUT_OPB ? s->rows : tile_warp_rows(h->p, s->frag);
	ptx_cells r = {.row0 = first_row / c.rows,
		.row1 = (first_row + rows) / c.rows,
		.col0 = first / c.cols,
		.col1 = (first + s->cols) / c.cols,
		.across = s->frag->cols / c.cols,
		.registers = c.registers};

	if (first < 0 || first % c.cols || r.col1 > r.across || first_row < 0 ||
		first_row % c.rows ||
		ptx_register(&r, r.row1 - 1, r.across - 1, c.registers) >
			tile_registers(h->p, s->frag))
		ice("columns from %d, rows from %d: not in '%s'", first, first_row, s->frag->name);
	return r;
}

int ptx_register(const ptx_cells *c, int row, int col, int i)
{
	return (row * c->across + col) * c->registers + i;
}

/* The registers of a slice in order; the count. */
static int slice_registers(ptx_cx *h, const tile_slice *s, int **list)
{
	ptx_cells c = ptx_slice(h, s);
	int n = 0;

	*list = ARENA_ARRAY(h->arena, int, (c.row1 - c.row0) * (c.col1 - c.col0) * c.registers);
	for (int row = c.row0; row < c.row1; row++)
		for (int col = c.col0; col < c.col1; col++)
			for (int i = 0; i < c.registers; i++)
				(*list)[n++] = ptx_register(&c, row, col, i);
	return n;
}

static V map_register(ptx_cx *h, const tile_frag *f, int r, const tile_expr *x)
{
	place first = ptx_place(h, f, r, 0), second;

	if (tile_register_elements(f) == 1)
		return num_v(h, ptx_value(h, &first, x));
	second = ptx_place(h, f, r, 1);
	return ptx_pair(h, &first, &second, x);
}

void ptx_stmt_MAP(ptx_cx *h, const tile_stmt *s)
{
	const tile_frag *f = s->arg[0].slice.frag;
	int *r, n = slice_registers(h, &s->arg[0].slice, &r);
	V *v = ARENA_ARRAY(h->arena, V, n);

	ptx_read_ahead(h, s->arg[1].value, f, r, n);
	for (int i = 0; i < n; i++)
		v[i] = map_register(h, f, r[i], s->arg[1].value);
	/* Integers of a row are bounds that many elements are compared with. Known to be a maximum,
	 * LLVM would compare each element with both operands. */
	for (int i = 0; i < n && f->layout == LAYOUT_ROWV && f->type == TILE_I32; i++)
		if (!LLVMIsConstant(v[i]))
			v[i] = ptx_asm(h, h->i32, PTX_PURE, "=r,r", &v[i], 1, "mov.b32 $0, $1;");
	ptx_write_registers(h, f, r, v, n);
}

static void any(ptx_cx *h, const tile_stmt *s, const char *vote)
{
	const tile_frag *f = s->arg[1].slice.frag;
	int *r, n = slice_registers(h, &s->arg[1].slice, &r);
	V some = ptx_bool(h, false);
	ptx_var *v = &h->var[s->arg[0].var->id];

	ptx_read_ahead(h, s->arg[2].value, f, r, n);
	for (int i = 0; i < n * tile_register_elements(f); i++) {
		place at = ptx_place(
			h, f, r[i / tile_register_elements(f)], i % tile_register_elements(f));

		some = ptx_binary(h, LLVMOr, some, num_v(h, ptx_value(h, &at, s->arg[2].value)));
	}
	some = ptx_asm(h, h->i1, PTX_MEMORY, "=b,b", &some, 1, "%s", vote);
	if (!v->mutable) {
		v->value = num_of(h, some);
		return;
	}
	if (!v->slot)
		v->slot = ptx_alloca(h, h->i1);
	ptx_write(h, v->slot, &v->version, some);
}

void ptx_stmt_ANY(ptx_cx *h, const tile_stmt *s)
{
	any(h, s, "vote.sync.any.pred $0, $1, 0xffffffff;");
}

void ptx_stmt_ANYB(ptx_cx *h, const tile_stmt *s)
{
	any(h, s, "barrier.red.or.pred $0, 0, $1;");
}

static V combine(ptx_cx *h, tile_word how, V a, V b)
{
	V arg[2] = {a, b};

	if (how == WORD_SUM)
		return ptx_binary(h, LLVMFAdd, a, b);
	return ptx_intrinsic(h, "llvm.maxnum", h->f32, arg, 2);
}

/* In ascending columns, starting from what the row vector holds. */
void ptx_stmt_REDUCE(ptx_cx *h, const tile_stmt *s)
{
	const tile_frag *dst = s->arg[0].slice.frag, *src = s->arg[2].slice.frag;
	int *r, n = slice_registers(h, &s->arg[2].slice, &r);

	ptx_read_tile(h, src, r, n);
	for (int i = 0; i < n; i++) {
		int d = ptx_peer(h, dst, src, r[i], 0) / 2;
		V v = combine(h, s->arg[1].word, ptx_read_register(h, dst, d),
			ptx_read_register(h, src, r[i]));

		ptx_write_registers(h, dst, &d, &v, 1);
	}
}

void ptx_stmt_QUAD(ptx_cx *h, const tile_stmt *s)
{
	const tile_frag *f = s->arg[0].slice.frag;
	int n = tile_registers(h->p, f);

	for (int step = 1; step <= 2; step *= 2)
		for (int r = 0; r < n; r++) {
			V mine = ptx_read_register(h, f, r), v;
			V other = ptx_asm(h, h->f32, PTX_MEMORY, "=f,f", &mine, 1,
				"shfl.sync.bfly.b32 $0, $1, %d, 0x1f, 0xffffffff;", step);

			v = combine(h, s->arg[1].word, mine, other);
			ptx_write_registers(h, f, &r, &v, 1);
		}
}

/* --- products --- */

/* One mma.sync: acc = acc + a * b; the first registers of the cells. */
static void put_mma(text *out, const tile_stmt *s, int k, int acc, int a, int as, int b, int bs)
{
	const tile_frag *fc = s->arg[0].slice.frag, *fa = s->arg[1].slice.frag;
	const tile_frag *fb = s->arg[2].slice.frag;
	const char *type = fa->type == TILE_BF16 ? "bf16" : fa->type == TILE_F16 ? "f16" : "tf32";

	text_printf(out, "%smma.sync.aligned.m16n8k%d.row.col.f32.%s.%s.f32 ",
		out->len ? "\n\t" : "", k, type, type);
	ptx_put_registers(out, fc, acc, 4);
	text_put(out, ", ");
	ptx_put_registers(out, fa, a, as);
	text_put(out, ", ");
	ptx_put_registers(out, fb, b, bs);
	text_put(out, ", ");
	ptx_put_registers(out, fc, acc, 4);
	text_put(out, ";");
}

static void put_mma_cell(ptx_cx *h, text *out, const tile_stmt *s, int acc, int a, int b)
{
	if (s->arg[1].slice.frag->type == TILE_TF32) {
		put_mma(out, s, 8, acc, a, 4, b, 2);
	} else if (arch_has(h->a, ARCH_MMA_F16)) {
		put_mma(out, s, 16, acc, a, 4, b, 2);
	} else {
		put_mma(out, s, 8, acc, a, 2, b, 1);
		put_mma(out, s, 8, acc, a + 2, 2, b + 1, 1);
	}
	for (int i = 0; i < 4; i++)
		ptx_touch_register(h, s->arg[0].slice.frag, acc + i);
}

/* Depth outermost: neighbouring instructions add to different accumulators. */
void ptx_stmt_MMA(ptx_cx *h, const tile_stmt *s)
{
	ptx_cells c = ptx_slice(h, &s->arg[0].slice), a = ptx_slice(h, &s->arg[1].slice);
	ptx_cells b = ptx_slice(h, &s->arg[2].slice);
	text body = {0};

	if (s->arg[1].slice.frag->type == TILE_BF16 && !arch_has(h->a, ARCH_MMA_BF16))
		ice("%s has no bf16 mma", h->a->name);
	for (int k = 0; k < a.col1 - a.col0; k++)
		for (int m = c.row0; m < c.row1; m++)
			for (int n = 0; n < c.col1 - c.col0; n++)
				put_mma_cell(h, &body, s, ptx_register(&c, m, c.col0 + n, 0),
					ptx_register(&a, m, a.col0 + k, 0),
					ptx_register(&b, b.row0 + k, b.col0 + n, 0));
	ptx_asm_body(h, "", NULL, 0, &body);
}

/* --- flow --- */

void ptx_stmt_FOR(ptx_cx *h, const tile_stmt *s)
{
	num from = ptx_scalar(h, s->arg[1].value), to = ptx_scalar(h, s->arg[2].value);
	num step = ptx_scalar(h, s->arg[3].value);
	ptx_var *v = &h->var[s->arg[0].var->id];
	ptx_loop l, *outer;
	num counter = ptx_loop_begin(h, &l, from, to, step);

	if (v->mutable)
		ice("loop counter '%s' is set", s->arg[0].var->name);
	v->value = counter;
	outer = h->loop;
	h->loop = &l;
	ptx_block(h, &s->body);
	h->loop = outer;
	ptx_loop_end(h, &l);
}

void ptx_stmt_BREAK(ptx_cx *h, const tile_stmt *s)
{
	if (!h->loop)
		ice("a break outside of a loop");
	ptx_loop_break(h, h->loop, num_v(h, ptx_scalar(h, s->arg[0].value)));
}

void ptx_stmt_UNROLL(ptx_cx *h, const tile_stmt *s)
{
	ptx_var *v = &h->var[s->arg[0].var->id];

	for (int64_t i = s->arg[1].integer; i < s->arg[2].integer; i += s->arg[3].integer) {
		v->value = num_const(h->i32, i);
		ptx_block(h, &s->body);
	}
}

void ptx_stmt_IF(ptx_cx *h, const tile_stmt *s)
{
	V c = num_v(h, ptx_scalar(h, s->arg[0].value));
	ptx_branch i;

	if (LLVMIsConstant(c)) {
		ptx_block(h, LLVMConstIntGetZExtValue(c) ? &s->body : &s->other);
		return;
	}
	i = ptx_if(h, c);
	ptx_block(h, &s->body);
	if (s->other.count) {
		ptx_else(h, &i);
		ptx_block(h, &s->other);
	}
	ptx_if_end(h, &i);
}
