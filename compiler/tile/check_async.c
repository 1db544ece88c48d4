/* check_async.c: what a statement on mbarriers, tensor maps or products of warpgroups must satisfy
 * by itself: the shapes that TMA and wgmma take. The second half of check.c. */
#include "tile/tile_internal.h"

static bool is_half(tile_type t)
{
	return t == TILE_BF16 || t == TILE_F16;
}

/* --- mbarriers and counters --- */

static bool check_bar(tile_walk *w, const tile_bar_ref *b, tile_bar_kind want, text *why)
{
	if (b->bar->kind != want)
		return tile_check_no(why, "'%s' is no %s", b->bar->name,
			want == BAR_MBARRIER ? "mbarrier" : "counter");
	return tile_check_plain(w, b->index, TILE_I32, "an index", why);
}

static bool check_numbered(tile_walk *w, const tile_stmt *s, text *why)
{
	int64_t threads = s->arg[1].integer;

	if (threads < 32 || threads > 32 * w->p->warps || threads % 32)
		return tile_check_no(why, "%lld threads: a barrier has whole warps, at most %d",
			(long long)threads, w->p->warps);
	return tile_check_plain(w, s->arg[0].value, TILE_I32, "a barrier's number", why);
}

/* --- TMA --- */

static bool check_load(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_region *r = &s->arg[0].region;
	const tile_box *b = &s->arg[1].box;
	int64_t rows = 1;

	if (!r->buffer->panel)
		return tile_check_no(why, "'%s' has no panels", r->buffer->name);
	if (b->map->type != r->buffer->type)
		return tile_check_no(why, "a load of %s into a buffer of %s",
			tile_type_name(b->map->type), tile_type_name(r->buffer->type));
	for (int i = 0; i + 1 < b->rank; i++)
		rows *= b->map->box[i];
	if (r->rows != rows)
		return tile_check_no(
			why, "a region of %d rows for a box of %lld", r->rows, (long long)rows);
	if (r->cols != TILE_PANEL && r->cols != r->buffer->cols % TILE_PANEL)
		return tile_check_no(why, "a region of %d columns is no panel of '%s'", r->cols,
			r->buffer->name);
	for (int i = 0; i < b->rank; i++)
		if (!tile_check_plain(w, b->coord[i], TILE_I32, "a coordinate", why))
			return false;
	return check_bar(w, &s->arg[2].bar, BAR_MBARRIER, why);
}

/* --- products --- */

static bool check_warpgroup_tile(const tile_program *p, const tile_frag *f, text *why)
{
	if (p->warps % 4 || f->rows != 16 * p->warps)
		return tile_check_no(why,
			"'%s': a product has 16 rows a warp, in whole warpgroups of 4", f->name);
	return true;
}

static bool check_b(const tile_region *b, bool trans, int n, int k, tile_type type, text *why)
{
	int rows = trans ? k : n, cols = trans ? n : k;

	if (!b->buffer->panel)
		return tile_check_no(why, "'%s' has no panels", b->buffer->name);
	if (b->buffer->type != type)
		return tile_check_no(why, "wgmma of %s and %s", tile_type_name(type),
			tile_type_name(b->buffer->type));
	if (b->rows != rows || b->cols != cols)
		return tile_check_no(why, "a region of %d x %d where the product takes %d x %d",
			b->rows, b->cols, rows, cols);
	if (k % 16 || n % 8 || n < 8 || n > 256)
		return tile_check_no(
			why, "wgmma with n %d, k %d: n is 8, 16 .. 256, k in 16s", n, k);
	return true;
}

static bool check_product(tile_walk *w, const tile_stmt *s, text *why)
{
	const tile_slice *acc = &s->arg[0].slice;
	bool shared = s->op == TILE_WGMMAS || s->op == TILE_WGMMAST;
	bool trans = s->op == TILE_WGMMAT || s->op == TILE_WGMMAST;
	const tile_slice *a = &s->arg[2].slice;
	const tile_region *from = &s->arg[2].region;
	tile_type type;

	if (acc->frag->layout != LAYOUT_ACC)
		return tile_check_no(why, "'%s' is no acc tile", acc->frag->name);
	if (!check_warpgroup_tile(w->p, acc->frag, why))
		return false;
	if (!shared && (a->frag->layout != LAYOUT_OPA || !is_half(a->frag->type)))
		return tile_check_no(why, "'%s' is no opa of bf16 or f16", a->frag->name);
	if (shared && !from->buffer->panel)
		return tile_check_no(why, "'%s' has no panels", from->buffer->name);
	if ((shared ? from->rows : a->rows) != acc->rows)
		return tile_check_no(why, "a product of %d rows into %d",
			shared ? from->rows : a->rows, acc->rows);
	type = shared ? from->buffer->type : a->frag->type;
	return check_b(
		&s->arg[3].region, trans, acc->cols, shared ? from->cols : a->cols, type, why);
}

/* Accumulators and left operands: what a product has in registers. */
static bool check_list(const tile_list *l, text *why)
{
	for (int i = 0; i < l->count; i++) {
		const tile_frag *f = l->frag[i];

		if (f->layout != LAYOUT_ACC && (f->layout != LAYOUT_OPA || !is_half(f->type)))
			return tile_check_no(why, "'%s' is no tile of a wgmma", f->name);
		for (int k = 0; k < i; k++)
			if (l->frag[k] == f)
				return tile_check_no(why, "'%s' is listed twice", f->name);
	}
	return true;
}

static bool check_stsm(const tile_stmt *s, text *why)
{
	const tile_region *r = &s->arg[0].region;
	const tile_slice *f = &s->arg[1].slice;

	if (f->frag->layout != LAYOUT_OPA || !is_half(f->frag->type))
		return tile_check_no(why, "'%s' is no opa of bf16 or f16", f->frag->name);
	if (r->buffer->type != f->frag->type)
		return tile_check_no(why, "'%s' holds %s, '%s' %s", f->frag->name,
			tile_type_name(f->frag->type), r->buffer->name,
			tile_type_name(r->buffer->type));
	if (r->rows != f->rows || r->cols != f->cols)
		return tile_check_no(why, "a region of %d x %d for a tile of %d x %d", r->rows,
			r->cols, f->rows, f->cols);
	return true;
}

bool tile_check_async(tile_walk *w, const tile_stmt *s, text *why)
{
	switch (s->op) {
	case TILE_BEXPECT:
		return check_bar(w, &s->arg[0].bar, BAR_MBARRIER, why) &&
		       tile_check_plain(w, s->arg[1].value, TILE_I32, "the bytes", why);
	case TILE_BARRIVE:
		return check_bar(w, &s->arg[0].bar, BAR_MBARRIER, why);
	case TILE_BWAIT:
		return check_bar(w, &s->arg[0].bar, BAR_MBARRIER, why) &&
		       tile_check_plain(w, s->arg[1].value, TILE_I32, "the parity", why);
	case TILE_COUNT:
		return check_bar(w, &s->arg[1].bar, BAR_COUNTER, why);
	case TILE_NSYNC:
	case TILE_NARRIVE:
		return check_numbered(w, s, why);
	case TILE_TMALOAD:
		return check_load(w, s, why);
	case TILE_WGMMA:
	case TILE_WGMMAT:
	case TILE_WGMMAS:
	case TILE_WGMMAST:
		return check_product(w, s, why);
	case TILE_WFENCE:
		return check_list(&s->arg[0].list, why);
	case TILE_WWAIT:
		if (s->arg[0].integer < 0 || s->arg[0].integer > 7)
			return tile_check_no(why, "wait for 0 .. 7 groups of products");
		return check_list(&s->arg[1].list, why);
	case TILE_STSM:
		return check_stsm(s, why);
	default:
		return true;
	}
}
