/* check.c: what one value, declaration or statement must satisfy by itself: types, shapes, layouts,
 * peers. Builders, parser and verifier share it. Values that depend on other statements (bounds,
 * uniformity, definition before use) are verify.c's. */
#include "tile/tile_internal.h"
#include <string.h>

bool tile_check_no(text *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(why, fmt, ap);
	va_end(ap);
	return false;
}

/* --- values --- */

static char type_letter(tile_type t)
{
	return "bilfhht"[t];
}

static bool accepts(tile_expr_op op, tile_type t)
{
	return strchr(tile_expr_info[op].operands, type_letter(t)) != NULL;
}

static bool can_convert(tile_type from, tile_type to)
{
	if (from == to)
		return true;
	switch (from) {
	case TILE_B1:
		return to == TILE_I32 || to == TILE_I64;
	case TILE_I32:
		return to == TILE_I64 || to == TILE_F32;
	case TILE_I64:
		return to == TILE_I32 || to == TILE_F32;
	case TILE_F32:
		return to == TILE_I32 || to == TILE_BF16 || to == TILE_F16 || to == TILE_TF32;
	case TILE_BF16:
	case TILE_F16:
	case TILE_TF32:
		return to == TILE_F32;
	}
	return false;
}

static bool check_select(const tile_expr *x, const tile_expr *y, const tile_expr *z, text *why)
{
	if (x->type != TILE_B1)
		return tile_check_no(
			why, "'select' chooses by a b1, not by %s", tile_type_name(x->type));
	if (y->type != z->type)
		return tile_check_no(why, "'select' between %s and %s", tile_type_name(y->type),
			tile_type_name(z->type));
	if (!accepts(TX_SELECT, y->type))
		return tile_check_no(why, "'select' does not take %s", tile_type_name(y->type));
	return true;
}

bool tile_check_expr(tile_expr_op op, tile_type to, const tile_expr *x, const tile_expr *y,
	const tile_expr *z, text *why)
{
	const struct tile_expr_info *info = &tile_expr_info[op];
	const tile_expr *arg[3] = {x, y, z};

	if (op == TX_SELECT)
		return check_select(x, y, z, why);
	for (int i = 0; i < info->arity; i++) {
		if (!accepts(op, arg[i]->type))
			return tile_check_no(why, "'%s' does not take %s", info->text,
				tile_type_name(arg[i]->type));
		if (arg[i]->type != x->type)
			return tile_check_no(why, "'%s' of %s and %s", info->text,
				tile_type_name(x->type), tile_type_name(arg[i]->type));
	}
	if (op == TX_CVT && !can_convert(x->type, to))
		return tile_check_no(why, "no conversion from %s to %s", tile_type_name(x->type),
			tile_type_name(to));
	if (op == TX_BITS && to != TILE_I32 && to != TILE_F32 && to != TILE_TF32)
		return tile_check_no(
			why, "no bits of %s as %s", tile_type_name(x->type), tile_type_name(to));
	return true;
}

/* --- declarations --- */

enum { MAX_EXTENT = 1 << 16 };

/* cuTensorMapEncodeTiled: 1 to 5 dimensions, boxes of up to 256 elements along each. */
static bool check_map_arg(const tile_arg *a, text *why)
{
	if (a->tensor->kind != ARG_TENSOR || type_letter(a->tensor->type) != 'h')
		return tile_check_no(why, "'%s': a map is of a tensor of bf16 or f16", a->name);
	if (a->written || a->tensor->written)
		return tile_check_no(why, "'%s': a map is of an input", a->name);
	for (int i = 0; i < a->rank; i++)
		if (a->box[i] < 1 || a->box[i] > 256)
			return tile_check_no(
				why, "'%s': extents of a box lie in 1 .. 256", a->name);
	if (a->box[a->rank - 1] != TILE_PANEL)
		return tile_check_no(
			why, "'%s': the innermost extent of a box is %d", a->name, TILE_PANEL);
	return true;
}

bool tile_check_arg(const tile_arg *a, text *why)
{
	bool ok = a->kind == ARG_TENSOR ? strchr("ifh", type_letter(a->type)) != NULL
					: strchr("ilf", type_letter(a->type)) != NULL;

	if (a->kind == ARG_MAP)
		return check_map_arg(a, why);
	if (!ok)
		return tile_check_no(why, "'%s': a %s argument cannot be %s", a->name,
			a->kind == ARG_TENSOR ? "tensor" : "scalar", tile_type_name(a->type));
	if (a->written && a->kind == ARG_SCALAR)
		return tile_check_no(why, "'%s': a scalar argument is no output", a->name);
	return true;
}

static const char *layout_types(tile_layout l, tile_layout of)
{
	switch (l) {
	case LAYOUT_ACC:
		return "f";
	case LAYOUT_OPA:
	case LAYOUT_OPB:
		return "hft";
	case LAYOUT_ROWV:
		return "fi";
	case LAYOUT_COLV:
		return of == LAYOUT_OPA ? "hft" : "hf";
	}
	return "";
}

bool tile_check_frag(const tile_program *p, const tile_frag *f, text *why)
{
	bool all_warps = f->layout == LAYOUT_OPB || f->layout == LAYOUT_COLV;
	tile_cell c;
	int rows;

	if (f->layout == LAYOUT_COLV && f->of != LAYOUT_ACC && f->of != LAYOUT_OPA)
		return tile_check_no(why, "'%s': a colv is over acc or opa", f->name);
	if ((f->layout == LAYOUT_OPA || f->layout == LAYOUT_OPB) && f->of == LAYOUT_ACC &&
		tile_type_bytes(f->type) == 2)
		return tile_check_no(why, "'%s': %s already has the columns of acc", f->name,
			tile_type_name(f->type));
	if (!strchr(layout_types(f->layout, f->of), type_letter(f->type)))
		return tile_check_no(why, "'%s': %s does not hold %s", f->name,
			tile_layout_name(f->layout), tile_type_name(f->type));
	c = tile_cell_of(f);
	rows = all_warps ? c.rows : c.rows * p->warps;
	if (f->rows <= 0 || f->rows > MAX_EXTENT || f->rows % rows)
		return tile_check_no(
			why, "'%s': %d rows are not a multiple of %d", f->name, f->rows, rows);
	if (f->cols <= 0 || f->cols > MAX_EXTENT || f->cols % c.cols)
		return tile_check_no(
			why, "'%s': %d columns are not a multiple of %d", f->name, f->cols, c.cols);
	if ((f->layout == LAYOUT_ROWV && f->cols != 1) ||
		(f->layout == LAYOUT_COLV && f->rows != 1))
		return tile_check_no(
			why, "'%s': a %s is a vector", f->name, tile_layout_name(f->layout));
	return true;
}

static bool check_panels(const tile_buffer *b, text *why)
{
	if (type_letter(b->type) != 'h' || b->panel != TILE_PANEL || b->swizzle != 3)
		return tile_check_no(why,
			"'%s': panels are %d columns of bf16 or f16 with swizzle 3", b->name,
			TILE_PANEL);
	if (b->cols % 16 || b->rows % 8)
		return tile_check_no(
			why, "'%s': panels have columns in 16s and rows in 8s", b->name);
	return true;
}

bool tile_check_bar(const tile_mbar *b, text *why)
{
	enum { MAX_COUNT = (1 << 20) - 1, MAX_SLOTS = 1024 };

	if (b->slots < 1 || b->slots > MAX_SLOTS)
		return tile_check_no(
			why, "'%s': there are 1 to %d of an array", b->name, MAX_SLOTS);
	if (b->kind == BAR_MBARRIER && (b->count < 1 || b->count > MAX_COUNT))
		return tile_check_no(why, "'%s': arrivals lie in 1 .. %d", b->name, MAX_COUNT);
	return true;
}

bool tile_check_buffer(const tile_buffer *b, text *why)
{
	int64_t bytes = (int64_t)b->cols * tile_type_bytes(b->type);

	if (!strchr("hft", type_letter(b->type)))
		return tile_check_no(why, "'%s': a shared buffer does not hold %s", b->name,
			tile_type_name(b->type));
	if (b->slots <= 0 || b->slots > MAX_EXTENT || b->rows <= 0 || b->rows > MAX_EXTENT ||
		b->cols <= 0 || b->cols > MAX_EXTENT)
		return tile_check_no(
			why, "'%s': slots, rows and columns lie in 1 .. %d", b->name, MAX_EXTENT);
	if (bytes % 16)
		return tile_check_no(why, "'%s': a row of %lld bytes is not a multiple of 16",
			b->name, (long long)bytes);
	if (b->panel)
		return check_panels(b, why);
	if (b->swizzle < 0 || b->swizzle > tile_swizzle(bytes))
		return tile_check_no(why, "'%s': swizzle %d does not fit rows of %lld chunks",
			b->name, b->swizzle, (long long)(bytes / 16));
	return true;
}

/* --- walks --- */

void tile_walk_begin(tile_walk *w)
{
	if (w->size < w->p->expr_count) {
		w->size = w->p->expr_count * 2;
		w->stamp = ARENA_ARRAY(w->arena, uint32_t, w->size);
		w->now = 0;
	}
	w->now++;
}

bool tile_walk_first(tile_walk *w, const tile_expr *x)
{
	if (w->stamp[x->id] == w->now)
		return false;
	w->stamp[x->id] = w->now;
	return true;
}

/* --- what a value may read --- */

/* Where a value is evaluated. */
typedef struct {
	const tile_frag *frag; /* register-tile leaves are possible, of its elements */
	tile_type half;        /* the b16 type that may be computed in, else b1 */
	bool row, col;         /* leaves ROW and COL are possible */
	bool shared_work;      /* it is not said which thread evaluates: no TID, LANE, WARP */
} domain;

static domain domain_of(const tile_frag *f)
{
	return (domain){.frag = f,
		.half = TILE_B1,
		.row = f->layout != LAYOUT_COLV,
		.col = f->layout != LAYOUT_ROWV};
}

static bool check_leaf(const domain *d, const tile_expr *x, text *why)
{
	const char *name = tile_expr_info[x->op].text;

	if ((x->op == TX_ROW && !d->row) || (x->op == TX_COL && !d->col))
		return tile_check_no(why, "'%s' has no meaning here", name);
	if (x->op == TX_FRAG && !d->frag)
		return tile_check_no(why, "register tile '%s' cannot be read here", x->frag->name);
	if ((x->op == TX_TID || x->op == TX_LANE || x->op == TX_WARP || x->op == TX_WARPGROUP) &&
		d->shared_work)
		return tile_check_no(
			why, "'%s' has no meaning here: the threads share the work", name);
	if (x->op == TX_GLOBAL && x->arg_ref->written)
		return tile_check_no(why, "output '%s' is read", x->arg_ref->name);
	if ((x->type == TILE_BF16 || x->type == TILE_F16) && x->op != TX_CVT && x->op != TX_FRAG &&
		x->type != d->half)
		return tile_check_no(why, "%s is computed in only in a map into %s",
			tile_type_name(x->type), tile_type_name(x->type));
	return true;
}

static bool check_leaves(tile_walk *w, const domain *d, const tile_expr *x, text *why)
{
	if (!tile_walk_first(w, x))
		return true;
	if (!check_leaf(d, x, why))
		return false;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (!check_leaves(w, d, x->arg[i], why))
			return false;
	return true;
}

/* One value of type `want`. */
static bool check_value(tile_walk *w, const domain *d, const tile_expr *x, tile_type want,
	const char *what, text *why)
{
	if (x->type != want)
		return tile_check_no(why, "%s is %s, not %s", what, tile_type_name(want),
			tile_type_name(x->type));
	tile_walk_begin(w);
	return check_leaves(w, d, x, why);
}

bool tile_check_plain(tile_walk *w, const tile_expr *x, tile_type want, const char *what, text *why)
{
	static const domain plain = {.half = TILE_B1};

	return check_value(w, &plain, x, want, what, why);
}

/* Made of constants and UNROLL counters. */
static bool is_static(tile_walk *w, const tile_expr *x)
{
	if (!tile_walk_first(w, x))
		return true;
	if (x->op == TX_VAR)
		return x->var->constant;
	if (x->op != TX_CONST &&
		(tile_expr_info[x->op].arity == 0 || x->op == TX_GLOBAL || x->op == TX_SHARED))
		return false;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (!is_static(w, x->arg[i]))
			return false;
	return true;
}

/* --- slices and regions --- */

static bool static_index(tile_walk *w, const tile_expr *x, const tile_frag *f, text *why)
{
	tile_walk_begin(w);
	if (x->type != TILE_I32 || !is_static(w, x))
		return tile_check_no(why,
			"a slice of '%s' begins at an i32 of constants and unroll counters",
			f->name);
	return true;
}

static bool check_slice(tile_walk *w, const tile_slice *s, text *why)
{
	const tile_frag *f = s->frag;
	tile_cell c = tile_cell_of(f);
	bool rows_ok = f->layout == LAYOUT_OPB
			       ? s->rows > 0 && s->rows <= f->rows && s->rows % c.rows == 0
			       : s->rows == f->rows && tx_is_const(s->first_row, 0);

	if (s->cols <= 0 || s->cols > f->cols || s->cols % c.cols)
		return tile_check_no(why, "a slice of %d columns is no part of '%s' in cells of %d",
			s->cols, f->name, c.cols);
	if (!rows_ok)
		return tile_check_no(
			why, "a slice of %d rows is no part of '%s'", s->rows, f->name);
	return static_index(w, s->first, f, why) && static_index(w, s->first_row, f, why);
}

static bool check_region(tile_walk *w, const tile_region *r, text *why)
{
	const tile_buffer *b = r->buffer;

	if (r->rows <= 0 || r->rows > b->rows || r->cols <= 0 || r->cols > b->cols)
		return tile_check_no(
			why, "a region of %d x %d is no part of '%s'", r->rows, r->cols, b->name);
	return tile_check_plain(w, r->slot, TILE_I32, "a slot", why) &&
	       tile_check_plain(w, r->row, TILE_I32, "a row", why) &&
	       tile_check_plain(w, r->col, TILE_I32, "a column", why);
}

/* --- statements --- */

static bool check_map(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_frag *f = s->arg[0].slice.frag;
	domain d = domain_of(f);

	d.half = f->type;
	return check_value(w, &d, s->arg[1].value, f->type, "the tile", why);
}

static bool check_copy(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_region *r = &s->arg[0].region;
	const tile_arg *t = s->arg[1].tensor;
	domain d = {.half = TILE_B1, .row = true, .shared_work = true};

	if (t->written)
		return tile_check_no(why, "output '%s' is read", t->name);
	if (t->type != r->buffer->type)
		return tile_check_no(why, "a copy of %s into a buffer of %s",
			tile_type_name(t->type), tile_type_name(r->buffer->type));
	if ((int64_t)r->cols * tile_type_bytes(t->type) % 16)
		return tile_check_no(why, "a copy of rows of %d bytes, not a multiple of 16",
			r->cols * tile_type_bytes(t->type));
	return check_value(w, &d, s->arg[2].value, TILE_I64, "the offset", why) &&
	       check_value(w, &d, s->arg[3].value, TILE_B1, "the predicate", why);
}

static bool check_load(const tile_stmt *s, text *why)
{
	const tile_slice *f = &s->arg[0].slice;
	const tile_region *r = &s->arg[1].region;
	bool trans = s->op == TILE_LDSMT || s->op == TILE_LDST;
	bool turned = trans != (f->frag->layout == LAYOUT_OPB);
	int rows = turned ? f->cols : f->rows, cols = turned ? f->rows : f->cols;

	if (f->frag->layout != LAYOUT_OPA && f->frag->layout != LAYOUT_OPB)
		return tile_check_no(why, "'%s' is no operand tile", f->frag->name);
	if (f->frag->type != r->buffer->type)
		return tile_check_no(why, "'%s' holds %s, '%s' %s", f->frag->name,
			tile_type_name(f->frag->type), r->buffer->name,
			tile_type_name(r->buffer->type));
	if (s->op == TILE_LDSMT && tile_type_bytes(r->buffer->type) != 2)
		return tile_check_no(why, "ldsm.trans moves elements of 16 bits only");
	if (s->op == TILE_LDSM && f->frag->of == LAYOUT_ACC)
		return tile_check_no(why,
			"'%s' is over acc: ldsm loads the hardware's order, lds any",
			f->frag->name);
	if (r->rows != rows || r->cols != cols)
		return tile_check_no(why, "a region of %d x %d where '%s' takes %d x %d", r->rows,
			r->cols, f->frag->name, rows, cols);
	return true;
}

static bool check_load_rows(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_slice *f = &s->arg[0].slice;
	const tile_region *r = &s->arg[1].region;
	bool opa = f->frag->layout == LAYOUT_OPA;

	if (tile_type_bytes(f->frag->type) != 2 ||
		(!opa && (f->frag->layout != LAYOUT_COLV || f->frag->of != LAYOUT_OPA)))
		return tile_check_no(why, "'%s' is no opa and no colv over opa of 16-bit elements",
			f->frag->name);
	if (f->frag->type != r->buffer->type)
		return tile_check_no(why, "'%s' holds %s, '%s' %s", f->frag->name,
			tile_type_name(f->frag->type), r->buffer->name,
			tile_type_name(r->buffer->type));
	if (opa && tile_warp_rows(w->p, f->frag) != 16)
		return tile_check_no(why, "a warp has %d rows of '%s': lanes name 16",
			tile_warp_rows(w->p, f->frag), f->frag->name);
	if (r->rows != 1 || r->cols != f->cols)
		return tile_check_no(why, "a region of %d x %d where '%s' takes 1 x %d", r->rows,
			r->cols, f->frag->name, f->cols);
	if (r->cols % 16)
		return tile_check_no(why, "%d columns, not a multiple of 16", r->cols);
	return true;
}

static bool check_mma(const tile_stmt *s, text *why)
{
	const tile_slice *acc = &s->arg[0].slice, *a = &s->arg[1].slice, *b = &s->arg[2].slice;

	if (acc->frag->layout != LAYOUT_ACC || a->frag->layout != LAYOUT_OPA ||
		b->frag->layout != LAYOUT_OPB)
		return tile_check_no(why, "mma takes acc, opa, opb, not %s, %s, %s",
			tile_layout_name(acc->frag->layout), tile_layout_name(a->frag->layout),
			tile_layout_name(b->frag->layout));
	if (a->frag->type != b->frag->type)
		return tile_check_no(why, "mma of %s and %s", tile_type_name(a->frag->type),
			tile_type_name(b->frag->type));
	if (a->frag->of != b->frag->of)
		return tile_check_no(why, "mma of '%s' over %s and '%s' over %s", a->frag->name,
			tile_layout_name(a->frag->of), b->frag->name,
			tile_layout_name(b->frag->of));
	if (a->frag->type == TILE_F32)
		return tile_check_no(why, "mma of f32: operands are bf16, f16 or tf32");
	if (acc->rows != a->rows || acc->cols != b->cols || a->cols != b->rows)
		return tile_check_no(why, "mma of %d x %d by %d x %d into %d x %d", a->rows,
			a->cols, b->rows, b->cols, acc->rows, acc->cols);
	return true;
}

static bool check_row_vector(const tile_frag *f, text *why)
{
	if (f->layout != LAYOUT_ROWV || f->type != TILE_F32)
		return tile_check_no(why, "'%s' is no row vector of f32", f->name);
	return true;
}

static bool check_reduce(const tile_stmt *s, text *why)
{
	const tile_frag *dst = s->arg[0].slice.frag, *src = s->arg[2].slice.frag;

	if (!check_row_vector(dst, why))
		return false;
	if (src->layout != LAYOUT_ACC)
		return tile_check_no(why, "'%s' is no acc tile", src->name);
	if (dst->rows != src->rows)
		return tile_check_no(why, "'%s' has %d rows, '%s' %d", dst->name, dst->rows,
			src->name, src->rows);
	return true;
}

static bool check_store(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_arg *t = s->arg[0].tensor;
	domain d = domain_of(s->arg[1].slice.frag);

	if (!t->written)
		return tile_check_no(why, "'%s' is no output", t->name);
	return check_value(w, &d, s->arg[2].value, TILE_I64, "the offset", why) &&
	       check_value(w, &d, s->arg[3].value, t->type == TILE_I32 ? TILE_I32 : TILE_F32,
		       "the value", why) &&
	       check_value(w, &d, s->arg[4].value, TILE_B1, "the predicate", why);
}

/* A warp's rows are at most as many as its lanes: each finds where one of them goes. */
static bool check_store_rows(tile_walk *w, const tile_stmt *s, text *why)
{
	enum { LANES = 32 };
	const tile_arg *t = s->arg[0].tensor;
	const tile_region *r = &s->arg[1].region;
	domain d = {.half = TILE_B1, .row = true, .shared_work = true};
	int warps = w->p->warps;

	if (!t->written)
		return tile_check_no(why, "'%s' is no output", t->name);
	if (t->type != r->buffer->type)
		return tile_check_no(why, "a store of %s from a buffer of %s",
			tile_type_name(t->type), tile_type_name(r->buffer->type));
	if ((int64_t)r->cols * tile_type_bytes(t->type) % 16)
		return tile_check_no(why, "a store of rows of %d bytes, not a multiple of 16",
			r->cols * tile_type_bytes(t->type));
	if (r->rows % warps || r->rows / warps > LANES)
		return tile_check_no(why,
			"%d rows are not shared out among %d warps, %d each at most", r->rows,
			warps, LANES);
	return check_value(w, &d, s->arg[2].value, TILE_I64, "the offset", why) &&
	       check_value(w, &d, s->arg[3].value, TILE_B1, "the predicate", why);
}

static bool check_store_shared(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_region *r = &s->arg[0].region;
	const tile_slice *f = &s->arg[1].slice;
	domain d = domain_of(f->frag);

	if (r->rows != f->rows || r->cols != f->cols)
		return tile_check_no(why, "a region of %d x %d for a tile of %d x %d", r->rows,
			r->cols, f->rows, f->cols);
	return check_value(w, &d, s->arg[2].value, r->buffer->type, "the region", why);
}

static bool check_let(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_var *v = s->arg[0].var;

	if (!strchr("bilf", type_letter(v->type)))
		return tile_check_no(why, "a variable does not hold %s", tile_type_name(v->type));
	return tile_check_plain(w, s->arg[1].value, v->type, "the variable", why);
}

static bool check_any(tile_walk *w, const tile_stmt *s, text *why)
{
	domain d = domain_of(s->arg[1].slice.frag);

	return check_value(w, &d, s->arg[2].value, TILE_B1, "the condition", why);
}

static bool check_fill(tile_walk *w, const tile_stmt *s, text *why)
{
	domain d = {.half = TILE_B1, .row = true, .col = true, .shared_work = true};

	return check_value(
		w, &d, s->arg[1].value, s->arg[0].region.buffer->type, "the buffer", why);
}

static bool check_for(tile_walk *w, const tile_stmt *s, text *why)
{
	for (int i = 1; i <= 3; i++)
		if (!tile_check_plain(w, s->arg[i].value, TILE_I32, "a bound", why))
			return false;
	return true;
}

static bool check_unroll(const tile_stmt *s, text *why)
{
	int64_t from = s->arg[1].integer, to = s->arg[2].integer, step = s->arg[3].integer;

	if (from < INT32_MIN || to > INT32_MAX || step <= 0 || step > INT32_MAX)
		return tile_check_no(why, "unroll bounds are i32, the step is positive");
	if (to > from && (to - from - 1) / step >= 4096)
		return tile_check_no(why, "unroll of more than 4096 steps");
	return true;
}

static bool check_op(tile_walk *w, const tile_stmt *s, text *why)
{
	switch (s->op) {
	case TILE_LET:
	case TILE_SET:
		return check_let(w, s, why);
	case TILE_MAP:
		return check_map(w, s, why);
	case TILE_ANY:
	case TILE_ANYB:
		return check_any(w, s, why);
	case TILE_REDUCE:
		return check_reduce(s, why);
	case TILE_QUAD:
		return check_row_vector(s->arg[0].slice.frag, why);
	case TILE_FILL:
		return check_fill(w, s, why);
	case TILE_COPY:
		return check_copy(w, s, why);
	case TILE_WAIT:
		return s->arg[0].integer >= 0 ||
		       tile_check_no(why, "wait for a negative number of groups");
	case TILE_LDSM:
	case TILE_LDSMT:
	case TILE_LDS:
	case TILE_LDST:
		return check_load(s, why);
	case TILE_LDSMR:
		return check_load_rows(w, s, why);
	case TILE_MMA:
		return check_mma(s, why);
	case TILE_STORE:
		return check_store(w, s, why);
	case TILE_STORER:
		return check_store_rows(w, s, why);
	case TILE_STORES:
		return check_store_shared(w, s, why);
	case TILE_FOR:
		return check_for(w, s, why);
	case TILE_UNROLL:
		return check_unroll(s, why);
	case TILE_IF:
		return tile_check_plain(w, s->arg[0].value, TILE_B1, "a condition", why);
	default:
		return tile_check_async(w, s, why);
	}
}

bool tile_check_stmt(tile_walk *w, const tile_stmt *s, text *why)
{
	const char *signature = tile_op_info[s->op].signature;

	for (int i = 0; signature[i]; i++) {
		if (signature[i] == 'f' && !check_slice(w, &s->arg[i].slice, why))
			return false;
		if (signature[i] == 's' && !check_region(w, &s->arg[i].region, why))
			return false;
	}
	return check_op(w, s, why);
}
