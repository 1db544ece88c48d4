/* svg.c: the picture of a spec's windows: above, for every key axis, the band of keys that each
 * query sees; below, one query row (order 2 and more: the plane of two key axes) or a block of rows
 * (order 1), with the tiles that the kernel works in drawn over it. */
#include "cli/picture.h"
#include <string.h>

#define PAGE_WIDTH 960.0
#define BAND_SIZE 230.0
#define BAND_PITCH 300.0
#define DETAIL_WIDTH 820.0 /* beside the legend: NARROW_WIDTH */
#define NARROW_WIDTH 560.0
#define DETAIL_ROWS 64 /* query rows of an order-1 detail */

/* What the composition decides before it draws. */
typedef struct {
	picture pic;
	const sema_spec *s;
	const sema_axis *x, *y; /* of the detail */
	int64_t row;            /* highlighted query, -1 without a query axis */
	const row_form *form;   /* NULL when there is none */
	const host_info *info;  /* NULL when there are no tiles to draw */
	bool undrawn;           /* some mask cannot be drawn */
	bool loads;             /* some mask reads a tensor */
} layout;

static int64_t axis_length(const layout *l, const sema_axis *a)
{
	return l->pic.p->length[a->length->id];
}

static bool reads_tensor(const expr *e)
{
	expr *const *kid;
	if (e->op == EXPR_LOAD)
		return true;
	if (e->op == EXPR_DEF)
		return reads_tensor(e->def->value);
	for (int n = expr_kids(e, &kid); n > 0; n--)
		if (reads_tensor(kid[n - 1]))
			return true;
	return false;
}

static void choose_masks(layout *l)
{
	const problem *p = l->pic.p;
	l->pic.mask = ARENA_ARRAY(p->arena, expr *, l->s->mask.count + 1);
	for (int i = 0; i < l->s->mask.count; i++) {
		if (visible_supported(p, l->s->mask.item[i]))
			l->pic.mask[l->pic.masks++] = l->s->mask.item[i];
		else
			l->undrawn = true;
		l->loads |= reads_tensor(l->s->mask.item[i]);
	}
}

/* Keys of one axis in the windows of query `i`. */
static int64_t keys_at(layout *l, const sema_axis *key, int64_t i, int64_t *first, int64_t *last)
{
	if (l->s->query)
		l->pic.coord[l->s->query->id] = i;
	return window_range(&l->pic.args, key, l->pic.coord, first, last) ? *last - *first + 1 : 0;
}

static double tuples_at(layout *l, int64_t i)
{
	double tuples = 1;
	for (int k = 0; k < l->s->key.count; k++) {
		int64_t first, last;
		tuples *= (double)keys_at(l, l->s->key.item[k], i, &first, &last);
	}
	return tuples;
}

/* A query row that sees much: three quarters down, unless another one sees far more. */
static void choose_row(layout *l)
{
	int64_t n = l->s->query ? axis_length(l, l->s->query) : 1;
	const int64_t candidate[] = {n * 3 / 4, n / 2, n - 1, 0};
	double best = 0;
	l->row = -1;
	for (int c = 0; c < 4 && n > 0; c++) {
		double tuples = tuples_at(l, candidate[c]);
		if (l->row < 0 || tuples > 2 * best) {
			best = tuples;
			l->row = candidate[c];
		}
	}
	if (l->s->query)
		l->pic.coord[l->s->query->id] = l->row < 0 ? 0 : l->row;
	for (int k = 0; k < l->s->key.count; k++) { /* undrawn keys stay at the last one visible */
		int64_t first, last;
		if (keys_at(l, l->s->key.item[k], l->row < 0 ? 0 : l->row, &first, &last))
			l->pic.coord[l->s->key.item[k]->id] = last;
	}
	if (!l->s->query)
		l->row = -1;
}

/* Masks can be drawn in the plane of i and one key only when they read no other key. */
static bool masks_within(const layout *l, const sema_axis *key)
{
	for (int i = 0; i < l->pic.masks; i++)
		for (int k = 0; k < l->s->key.count; k++)
			if (l->s->key.item[k] != key &&
				expr_depends(l->pic.mask[i], l->s->key.item[k]))
				return false;
	return l->pic.masks > 0;
}

static void draw_band(layout *l, const sema_axis *key, double left, double top)
{
	plane pl = {.left = left,
		.top = top,
		.width = BAND_SIZE,
		.height = BAND_SIZE,
		.x_axis = key,
		.y_axis = l->s->query,
		.x1 = axis_length(l, key),
		.y1 = axis_length(l, l->s->query),
		.mark = l->row,
		.masked = masks_within(l, key)};
	int64_t first, last;
	int64_t n = keys_at(l, key, l->row, &first, &last);
	picture_plane(&l->pic, &pl);
	if (n)
		picture_text(&l->pic, left, top - 8, 12, COLOR_INK, "start",
			"%s = %lld sees %lld key%s: %s in [%lld, %lld]", l->s->query->name,
			(long long)l->row, (long long)n, n == 1 ? "" : "s", key->name,
			(long long)first, (long long)last);
	else
		picture_text(&l->pic, left, top - 8, 12, COLOR_INK, "start", "%s = %lld sees no %s",
			l->s->query->name, (long long)l->row, key->name);
}

/* The keys [x0, x1) that an axis shows in the detail: its window and a margin. */
static void widen(
	const layout *l, const sema_axis *a, int64_t first, int64_t last, int64_t *x0, int64_t *x1)
{
	int64_t n = axis_length(l, a), margin = (last - first + 1) / 16 + 1;
	*x0 = first - margin < 0 ? 0 : first - margin;
	*x1 = last + 1 + margin > n ? n : last + 1 + margin;
}

/* The plane of two key axes at one query row. */
static bool detail_keys(layout *l, plane *pl)
{
	int64_t first, last;
	if (!keys_at(l, l->x, l->row, &first, &last))
		return false;
	widen(l, l->x, first, last, &pl->x0, &pl->x1);
	pl->tile_x0 = first;
	if (!l->y) {
		pl->y1 = 1;
		return true;
	}
	if (!keys_at(l, l->y, l->row, &first, &last))
		return false;
	widen(l, l->y, first, last, &pl->y0, &pl->y1);
	pl->tile_y0 = first;
	return true;
}

/* A block of query rows around the chosen one, and all keys that they see. */
static bool detail_rows(layout *l, plane *pl)
{
	int64_t n = axis_length(l, l->y), low = INT64_MAX, high = -1;
	int64_t rows = n < DETAIL_ROWS ? n : DETAIL_ROWS;
	pl->y0 = l->row - rows / 2 < 0 ? 0 : l->row - rows / 2;
	pl->y0 = pl->y0 + rows > n ? n - rows : pl->y0;
	pl->y1 = pl->y0 + rows;
	for (int64_t i = pl->y0; i < pl->y1; i++) {
		int64_t first, last;
		if (!keys_at(l, l->x, i, &first, &last))
			continue;
		low = first < low ? first : low;
		high = last > high ? last : high;
	}
	l->pic.coord[l->y->id] = l->row;
	pl->mark = l->row;
	pl->tile_x0 = low;
	pl->tile_y0 = pl->y0;
	if (low <= high)
		widen(l, l->x, low, high, &pl->x0, &pl->x1);
	return low <= high;
}

/* A tile's lanes are rows times outer tuples: query positions in the plane of i, outer keys in a
 * plane of keys. */
static int64_t tile_height(const layout *l, bool rows)
{
	const sema_axis *head = l->form ? l->form->head : NULL;
	if (!l->info)
		return 0;
	if (!rows || !head)
		return l->info->lanes;
	int64_t heads = axis_length(l, head),
		groups = head->group ? axis_length(l, head->group) : 1;
	int64_t together = groups > 0 ? heads / groups : 1;
	return together > 0 && together < l->info->lanes ? l->info->lanes / together : 1;
}

/* "Row i = 96, j = 96 in detail": every coordinate that the plane holds fixed. */
static void detail_title(layout *l, double y)
{
	text t = {0};
	if (l->s->query)
		text_printf(&t, "%s = %lld", l->s->query->name, (long long)l->row);
	for (int k = 0; k < l->s->key.count; k++) {
		const sema_axis *key = l->s->key.item[k];
		if (key != l->x && key != l->y)
			text_printf(&t, ", %s = %lld", key->name, (long long)l->pic.coord[key->id]);
	}
	picture_text(
		&l->pic, 80, y, 12, COLOR_INK, "start", "Row %s in detail", t.data ? t.data : "");
	text_free(&t);
}

/* Returns the height that the detail took. */
static double draw_detail(layout *l, double top, double width)
{
	plane pl = {.left = 80,
		.top = top + 22,
		.width = width,
		.x_axis = l->x,
		.y_axis = l->y,
		.mark = -1,
		.masked = l->pic.masks > 0,
		.tile_x = l->info ? l->info->key_block : 0};
	bool rows = l->y && l->y->kind == AXIS_QUERY;
	pl.tile_y = tile_height(l, rows);
	if (!(rows ? detail_rows(l, &pl) : detail_keys(l, &pl))) {
		picture_text(
			&l->pic, 80, top + 20, 12, COLOR_INK, "start", "this row sees no keys");
		return 30;
	}
	double ratio = (double)(pl.y1 - pl.y0) / (double)(pl.x1 - pl.x0);
	pl.height = width * ratio;
	pl.height = pl.height < 150 ? 150 : pl.height > 420 ? 420 : pl.height;
	if (!l->y)
		pl.height = 60;
	if (rows)
		picture_text(&l->pic, 80, top + 12, 12, COLOR_INK, "start",
			"Rows %s = %lld to %lld in detail", l->y->name, (long long)pl.y0,
			(long long)pl.y1 - 1);
	else
		detail_title(l, top + 12);
	picture_plane(&l->pic, &pl);
	return pl.height + 64;
}

static double legend_line(layout *l, double y, const char *style, const char *what)
{
	picture_rect(&l->pic, 690, y - 10, 16, 12, style);
	picture_text(&l->pic, 714, y, 12, COLOR_INK, "start", "%s", what);
	return y + 20;
}

static double draw_legend(layout *l, double y)
{
	picture *pic = &l->pic;
	picture_text(pic, 690, y, 13, COLOR_INK, "start", "Legend");
	y += 22;
	y = legend_line(l, y, "fill=\"" COLOR_VISIBLE "\"", "in the window and visible");
	if (pic->masks)
		y = legend_line(
			l, y, "fill=\"" COLOR_HIDDEN "\"", "in the window, hidden by a mask");
	y = legend_line(l, y, "fill=\"" COLOR_OUTSIDE "\" stroke=\"" COLOR_FAINT "\"",
		"outside the window");
	if (l->row >= 0)
		y = legend_line(l, y, "fill=\"none\" stroke=\"" COLOR_ROW "\" stroke-width=\"1.5\"",
			"the query row");
	if (l->info) {
		const char *what = arena_printf(pic->p->arena, "tile: %d lanes by %d keys %s",
			l->info->lanes, l->info->key_block, l->info->inner);
		y = legend_line(l, y, "fill=\"none\" stroke=\"" COLOR_TILE "\"", what);
		picture_text(pic, 714, y - 4, 11, COLOR_FAINT, "start",
			"a lane is a query, a head, outer keys");
		y += 16;
	}
	if (l->undrawn)
		picture_text(pic, 690, y, 11, COLOR_FAINT, "start",
			"a mask that is not drawn hides more");
	else if (l->loads)
		picture_text(pic, 690, y, 11, COLOR_FAINT, "start",
			"masks drawn for the first row of a batch");
	return y + 20;
}

static void draw_title(layout *l)
{
	text t = {0};
	picture_text(&l->pic, 40, 36, 20, COLOR_INK, "start", "%s", l->s->name);
	for (int k = 0; k < l->s->key.count; k++) {
		const sema_window *w = &l->s->key.item[k]->window;
		text_printf(&t, "%s%s", k ? ";   " : "", l->s->key.item[k]->name);
		text_put(&t, " from ");
		if (w->first)
			expr_print(w->first, &t);
		else
			text_put(&t, "0");
		text_put(&t, " to ");
		if (w->last)
			expr_print(w->last, &t);
		else
			text_printf(&t, "%s - 1", l->s->key.item[k]->length->name);
	}
	picture_text(&l->pic, 40, 58, 13, COLOR_INK, "start", "%s", t.data ? t.data : "");
	text_free(&t);
	for (int i = 0; i < l->s->length.count; i++)
		text_printf(&t, "%s%s = %lld", i ? ",  " : "", l->s->length.item[i]->name,
			(long long)l->pic.p->length[i]);
	for (int i = 0; i < l->s->param.count; i++)
		if (l->s->param.item[i]->type == TYPE_INT)
			text_printf(&t, ",  %s = %lld", l->s->param.item[i]->name,
				(long long)l->pic.p->param_int[i]);
	picture_text(&l->pic, 40, 77, 12, COLOR_FAINT, "start", "%s", t.data ? t.data : "");
	text_free(&t);
}

/* Draws everything below the title; returns the height of the page. */
static double draw_body(layout *l)
{
	double y = 96;
	for (int k = 0; k < l->s->key.count; k++)
		if (axis_length(l, l->s->key.item[k]) == 0 || l->row < 0) {
			if (l->s->query || axis_length(l, l->s->key.item[k]) == 0) {
				picture_text(&l->pic, 40, 120, 13, COLOR_INK, "start",
					"nothing to draw: a length is zero");
				return 150;
			}
		}
	bool beside = !l->s->query || l->s->key.count > 2; /* no room for the legend above */
	if (l->s->query) {
		y += 28;
		for (int k = 0; k < l->s->key.count; k++)
			draw_band(l, l->s->key.item[k], 80 + (k % 3) * BAND_PITCH,
				y + (k / 3) * BAND_PITCH);
		if (!beside)
			draw_legend(l, y + 12);
		y += BAND_PITCH * ((l->s->key.count + 2) / 3) - 4;
	}
	double legend = beside ? draw_legend(l, y + 24) : 0;
	double detail = y + draw_detail(l, y, beside ? NARROW_WIDTH : DETAIL_WIDTH);
	return legend > detail ? legend : detail;
}

void svg_picture(const problem *p, const row_form *m, const host_info *info, text *out)
{
	text body = {0};
	const sema_spec *s = p->spec;
	layout l = {.s = s,
		.form = m,
		.info = info,
		.pic = {.p = p, .args = problem_eval_args(p, NULL), .out = &body}};

	l.pic.coord = ARENA_ARRAY(p->arena, int64_t, s->axis.count + 1);
	choose_masks(&l);
	l.x = m ? m->inner : s->key.count ? s->key.item[s->key.count - 1] : NULL;
	for (int k = 0; k < s->key.count; k++)
		if (s->key.item[k] != l.x)
			l.y = s->key.item[k];
	if (!l.y)
		l.y = s->query;
	double height = 120;
	if (l.x) {
		choose_row(&l);
		draw_title(&l);
		height = draw_body(&l);
	}
	text_printf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" "
		"font-family=\"Helvetica, Arial, sans-serif\">\n",
		PAGE_WIDTH, height, PAGE_WIDTH, height);
	text_printf(out,
		"<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		s->name);
	text_putn(out, body.data ? body.data : "", body.len);
	text_put(out, "</svg>\n");
	text_free(&body);
}
