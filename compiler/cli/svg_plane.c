/* svg_plane.c: one plane of a picture: window outline, visible and hidden cells, tiles, axes with
 * ticks. Large planes are drawn in at most CELLS cells a side; a cell's shade is the share of
 * visible samples in it. */
#include "cli/picture.h"
#include <math.h>
#include <stdio.h>

#define CELLS 96
#define SAMPLES 3 /* a side of a cell */
#define SHADES 6

static double paper_x(const plane *pl, double v)
{
	return pl->left + (v - (double)pl->x0) / (double)(pl->x1 - pl->x0) * pl->width;
}

static double paper_y(const plane *pl, double v)
{
	return pl->top + (v - (double)pl->y0) / (double)(pl->y1 - pl->y0) * pl->height;
}

static void put_escaped(text *out, const char *s)
{
	for (; *s; s++)
		if (*s == '<')
			text_put(out, "&lt;");
		else if (*s == '>')
			text_put(out, "&gt;");
		else if (*s == '&')
			text_put(out, "&amp;");
		else
			text_putn(out, s, 1);
}

void picture_text(picture *pic, double x, double y, int size, const char *color, const char *anchor,
	const char *fmt, ...)
{
	va_list ap;
	text t = {0};
	va_start(ap, fmt);
	text_vprintf(&t, fmt, ap);
	va_end(ap);
	text_printf(pic->out,
		"<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" fill=\"%s\" text-anchor=\"%s\">", x,
		y, size, color, anchor);
	put_escaped(pic->out, t.data ? t.data : "");
	text_put(pic->out, "</text>\n");
	text_free(&t);
}

void picture_rect(picture *pic, double x, double y, double w, double h, const char *style)
{
	text_printf(pic->out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" %s/>\n",
		x, y, w, h, style);
}

/* The window of the x axis in row y (and of the y axis itself, when that is a key). */
static bool range_at(picture *pic, const plane *pl, int64_t y, int64_t *first, int64_t *last)
{
	int64_t low, high, saved = pl->y_axis ? pic->coord[pl->y_axis->id] : 0;
	bool any = true;
	if (pl->y_axis && pl->y_axis->kind == AXIS_KEY)
		any = window_range(&pic->args, pl->y_axis, pic->coord, &low, &high) && y >= low &&
		      y <= high;
	else if (pl->y_axis)
		pic->coord[pl->y_axis->id] = y;
	any = any && window_range(&pic->args, pl->x_axis, pic->coord, first, last);
	if (pl->y_axis)
		pic->coord[pl->y_axis->id] = saved;
	if (!any)
		return false;
	*first = *first < pl->x0 ? pl->x0 : *first;
	*last = *last >= pl->x1 ? pl->x1 - 1 : *last;
	return *first <= *last;
}

/* The window as a path of horizontal bars, one for each pixel row at most; equal neighbours are one
 * bar. */
static void window_path(picture *pic, const plane *pl)
{
	int64_t rows = pl->y1 - pl->y0, step = (int64_t)ceil((double)rows / (pl->height * 2));
	int64_t begin = 0, low = 0, high = -1;
	text_put(pic->out, "d=\"");
	for (int64_t y = pl->y0;; y += step) {
		int64_t first = 0, last = -1;
		bool end = y >= pl->y1;
		if (!end && !range_at(pic, pl, y, &first, &last))
			last = first - 1;
		if (!end && y > pl->y0 && first == low && last == high)
			continue;
		if (high >= low) {
			double top = paper_y(pl, (double)begin),
			       bottom = paper_y(pl, (double)(end ? pl->y1 : y));
			double left = paper_x(pl, (double)low),
			       right = paper_x(pl, (double)high + 1);
			text_printf(pic->out, "M%.2f %.2fH%.2fV%.2fH%.2fz", left, top,
				right - left < 0.8 ? left + 0.8 : right, bottom, left);
		}
		if (end)
			break;
		begin = y;
		low = first;
		high = last;
	}
	text_put(pic->out, "\"");
}

/* How much of a cell's in-window samples the masks leave: 0 .. SHADES, -1 when the window leaves
 * none. */
static int cell_shade(picture *pic, const plane *pl, int64_t x0, int64_t x1, int64_t y0, int64_t y1)
{
	int inside = 0, seen = 0;
	int64_t nx = x1 - x0 < SAMPLES ? x1 - x0 : SAMPLES,
		ny = y1 - y0 < SAMPLES ? y1 - y0 : SAMPLES;
	int64_t *cx = &pic->coord[pl->x_axis->id],
		*cy = pl->y_axis ? &pic->coord[pl->y_axis->id] : NULL;
	int64_t saved_x = *cx, saved_y = cy ? *cy : 0;

	for (int64_t r = 0; r < ny; r++) {
		int64_t y = y0 + (2 * r + 1) * (y1 - y0) / (2 * ny), first, last;
		if (!range_at(pic, pl, y, &first, &last))
			continue;
		for (int64_t c = 0; c < nx; c++) {
			int64_t x = x0 + (2 * c + 1) * (x1 - x0) / (2 * nx);
			if (x < first || x > last)
				continue;
			inside++;
			*cx = x;
			if (cy)
				*cy = y;
			seen += visible_at(&pic->args, pic->mask, pic->masks, pic->coord);
			*cx = saved_x;
			if (cy)
				*cy = saved_y;
		}
	}
	return inside ? (int)lround((double)seen * SHADES / inside) : -1;
}

/* A run of cells of one shade. */
static void put_run(
	picture *pic, const plane *pl, int shade, int64_t x0, int64_t x1, int64_t y0, int64_t y1)
{
	char style[96];
	double top = paper_y(pl, (double)y0), left = paper_x(pl, (double)x0);
	if (shade < 1)
		return; /* hidden is what lies beneath */
	snprintf(style, sizeof style, "fill=\"" COLOR_VISIBLE "\" fill-opacity=\"%.2f\"",
		(double)shade / SHADES);
	picture_rect(pic, left, top, paper_x(pl, (double)x1) - left, paper_y(pl, (double)y1) - top,
		style);
}

static void mask_cells(picture *pic, const plane *pl)
{
	int64_t nx = pl->x1 - pl->x0, ny = pl->y1 - pl->y0;
	int64_t cells_x = nx < CELLS ? nx : CELLS, cells_y = ny < CELLS ? ny : CELLS;

	for (int64_t r = 0; r < cells_y; r++) {
		int64_t y0 = pl->y0 + r * ny / cells_y, y1 = pl->y0 + (r + 1) * ny / cells_y;
		int64_t begin = pl->x0;
		int run = -1;
		for (int64_t c = 0; c <= cells_x; c++) {
			int64_t x0 = pl->x0 + c * nx / cells_x,
				x1 = pl->x0 + (c + 1) * nx / cells_x;
			int shade = c < cells_x ? cell_shade(pic, pl, x0, x1, y0, y1) : -2;
			if (shade == run)
				continue;
			put_run(pic, pl, run, begin, x0, y0, y1);
			begin = x0;
			run = shade;
		}
	}
}

static void tile_lines(picture *pic, const plane *pl)
{
	const char *line = "stroke=\"" COLOR_TILE "\" stroke-opacity=\"0.75\" stroke-width=\"0.8\"";
	if (pl->tile_x > 0 && pl->width * (double)pl->tile_x >= 3 * (double)(pl->x1 - pl->x0))
		for (int64_t x = pl->tile_x0; x <= pl->x1; x += pl->tile_x)
			if (x >= pl->x0)
				text_printf(pic->out, "<path d=\"M%.2f %.2fv%.2f\" %s/>\n",
					paper_x(pl, (double)x), pl->top, pl->height, line);
	if (pl->tile_y > 0 && pl->height * (double)pl->tile_y >= 3 * (double)(pl->y1 - pl->y0))
		for (int64_t y = pl->tile_y0; y <= pl->y1; y += pl->tile_y)
			if (y >= pl->y0)
				text_printf(pic->out, "<path d=\"M%.2f %.2fh%.2f\" %s/>\n",
					pl->left, paper_y(pl, (double)y), pl->width, line);
}

/* A power of two that gives about `wanted` ticks. */
static int64_t tick_step(int64_t range, double wanted)
{
	int64_t step = 1;
	while ((double)range / (double)step > wanted)
		step *= 2;
	return step;
}

static void axis_x(picture *pic, const plane *pl)
{
	double bottom = pl->top + pl->height;
	int64_t step = tick_step(pl->x1 - pl->x0, pl->width / 55);
	for (int64_t v = (pl->x0 + step - 1) / step * step; v < pl->x1; v += step) {
		double x = paper_x(pl, (double)v + 0.5);
		text_printf(pic->out, "<path d=\"M%.2f %.2fv4\" stroke=\"" COLOR_FAINT "\"/>\n", x,
			bottom);
		picture_text(pic, x, bottom + 15, 10, COLOR_FAINT, "middle", "%lld", (long long)v);
	}
	picture_text(pic, pl->left + pl->width / 2, bottom + 31, 12, COLOR_INK, "middle", "key %s",
		pl->x_axis->name);
}

static void axis_y(picture *pic, const plane *pl)
{
	int64_t step = tick_step(pl->y1 - pl->y0, pl->height / 24);
	if (!pl->y_axis)
		return;
	for (int64_t v = (pl->y0 + step - 1) / step * step; v < pl->y1; v += step) {
		double y = paper_y(pl, (double)v + 0.5);
		text_printf(pic->out, "<path d=\"M%.2f %.2fh-4\" stroke=\"" COLOR_FAINT "\"/>\n",
			pl->left, y);
		picture_text(
			pic, pl->left - 7, y + 3.5, 10, COLOR_FAINT, "end", "%lld", (long long)v);
	}
	text_printf(pic->out, "<g transform=\"translate(%.1f %.1f) rotate(-90)\">", pl->left - 40,
		pl->top + pl->height / 2);
	picture_text(pic, 0, 0, 12, COLOR_INK, "middle", "%s %s",
		pl->y_axis->kind == AXIS_KEY ? "key" : "query", pl->y_axis->name);
	text_put(pic->out, "</g>\n");
}

void picture_plane(picture *pic, const plane *pl)
{
	int id = pic->next_id++;

	picture_rect(pic, pl->left, pl->top, pl->width, pl->height, "fill=\"" COLOR_OUTSIDE "\"");
	text_printf(pic->out, "<clipPath id=\"w%d\"><path ", id);
	window_path(pic, pl);
	text_put(pic->out, "/></clipPath>\n");
	text_printf(pic->out, "<g clip-path=\"url(#w%d)\" shape-rendering=\"crispEdges\">\n", id);
	picture_rect(pic, pl->left, pl->top, pl->width, pl->height,
		pl->masked ? "fill=\"" COLOR_HIDDEN "\"" : "fill=\"" COLOR_VISIBLE "\"");
	if (pl->masked)
		mask_cells(pic, pl);
	text_put(pic->out, "</g>\n");
	tile_lines(pic, pl);
	if (pl->mark >= pl->y0 && pl->mark < pl->y1) {
		double y = paper_y(pl, (double)pl->mark), h = paper_y(pl, (double)pl->mark + 1) - y;
		picture_rect(pic, pl->left, h < 1.5 ? y - 0.75 : y, pl->width, h < 1.5 ? 1.5 : h,
			"fill=\"none\" stroke=\"" COLOR_ROW "\" stroke-width=\"1.5\"");
	}
	picture_rect(pic, pl->left, pl->top, pl->width, pl->height,
		"fill=\"none\" stroke=\"" COLOR_FAINT "\" stroke-width=\"1\"");
	axis_x(pic, pl);
	axis_y(pic, pl);
}
