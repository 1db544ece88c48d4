/* picture.h: planes of two axes, the parts of a picture of windows (svg_plane.c draws one, svg.c
 * arranges them). */
#pragma once
#include "cli/problem.h"

#define COLOR_VISIBLE "#3b7dbd"
#define COLOR_HIDDEN "#f0b7a8"
#define COLOR_OUTSIDE "#f3f4f6"
#define COLOR_TILE "#1f2937"
#define COLOR_ROW "#d97706"
#define COLOR_INK "#111827"
#define COLOR_FAINT "#6b7280"

/* What is drawn: coordinates of every axis that is not drawn, and what the masks are. */
typedef struct {
	const problem *p;
	eval_args args;
	int64_t *coord; /* by axis id; drawing changes only the drawn axes' and restores them */
	expr **mask;
	int masks;
	int next_id; /* clip paths need distinct names */
	text *out;
} picture;

/* One rectangle of the plane (x axis, y axis); y grows downwards, as query rows are read. */
typedef struct {
	double left, top, width, height; /* on paper */
	const sema_axis *x_axis,
		*y_axis; /* x: a KEY; y: the QUERY, another KEY, or NULL for a single strip */
	int64_t x0, x1, y0, y1;   /* drawn coordinates [x0, x1) and [y0, y1) */
	int64_t tile_x, tile_y;   /* size of a tile, 0: no lines */
	int64_t tile_x0, tile_y0; /* where the first tile starts */
	int64_t mark;             /* highlighted y coordinate, -1: none */
	bool masked;              /* whether the masks apply in this plane */
} plane;

void picture_plane(picture *pic, const plane *pl);
void picture_text(picture *pic, double x, double y, int size, const char *color, const char *anchor,
	const char *fmt, ...) __attribute__((format(printf, 7, 8)));
void picture_rect(picture *pic, double x, double y, double w, double h, const char *style);
