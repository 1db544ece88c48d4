/* cuda_place.c: register tiles as arrays, and loops over their elements.
 * A tile is an array [cell row][cell column][register]; a dimension of one is left out. Statements
 * walk it with counters r, n, i (and e inside a 16-bit register); what counts to one is a 0. */
#include "emit_cuda/cuda_internal.h"
#include <string.h>

/* --- arrays --- */

const char *cuda_dimensions(cuda_cx *cx, const tile_frag *f)
{
	cuda_extent n = cuda_extent_of(cx->p, f);
	const int extent[] = {n.r, n.n, n.i};
	text t = {0};
	const char *s;

	for (int d = 0; d < 3; d++)
		if (extent[d] > 1)
			text_printf(&t, "[%d]", extent[d]);
	s = arena_strdup(cx->a, t.data ? t.data : "");
	text_free(&t);
	return s;
}

const char *cuda_register(
	cuda_cx *cx, const tile_frag *f, const char *r, const char *n, const char *i)
{
	cuda_extent extent = cuda_extent_of(cx->p, f);
	const char *s = cx->frag[f->id];

	if (extent.r > 1)
		s = cuda_text(cx, "%s[%s]", s, r);
	if (extent.n > 1)
		s = cuda_text(cx, "%s[%s]", s, n);
	if (extent.i > 1 && i)
		s = cuda_text(cx, "%s[%s]", s, i);
	return s;
}

/* --- indices at the statement's place --- */

const char *cuda_index_text(cuda_cx *cx, const cuda_index *x, const tile_frag *f)
{
	text t = {0};
	const char *s;

	cx->uses_lane = cx->uses_lane || x->coef[TERM_GROUP] || x->coef[TERM_MEMBER];
	cx->uses_warp = cx->uses_warp || x->coef[TERM_WARP];
	cuda_index_put(&t, x, &cx->place.at, cuda_extent_of(cx->p, f));
	s = arena_strdup(cx->a, t.data);
	text_free(&t);
	return s;
}

static const cuda_peer *peer_of(cuda_cx *cx, const tile_frag *src, const tile_frag *f)
{
	cuda_peer **known = &cx->peer[(size_t)src->id * (size_t)cx->p->frag.count + (size_t)f->id];

	if (!*known) {
		*known = ARENA_NEW(cx->a, cuda_peer);
		**known = cuda_peer_of(cx->p, src, f);
	}
	return *known;
}

const char *cuda_peer_register(cuda_cx *cx, const tile_frag *src, const char **element)
{
	const tile_frag *f = cx->place.frag;
	const cuda_peer *peer;

	if (!f)
		ice("'%s' is read outside of register tiles", src->name);
	peer = peer_of(cx, src, f);
	if (!peer->found)
		ice("'%s' is read at elements of '%s' that its threads do not hold", src->name,
			f->name);
	*element = cuda_index_text(cx, &peer->e, f);
	return cuda_register(cx, src, cuda_index_text(cx, &peer->r, f),
		cuda_index_text(cx, &peer->n, f), cuda_index_text(cx, &peer->i, f));
}

void cuda_place_lines(cuda_cx *cx)
{
	const tile_frag *f = cx->place.frag;
	cuda_index x;

	if (f && cx->needs_row) {
		x = cuda_row_index(cx->p, f);
		cuda_line(cx, "const int row = %s;", cuda_index_text(cx, &x, f));
	}
	if (f && cx->needs_col) {
		x = cuda_col_index(cx->p, f);
		cuda_line(cx, "const int col = %s;", cuda_index_text(cx, &x, f));
	}
}

/* --- loops --- */

void cuda_loop(cuda_cx *cx, const char *counter, int count, int step, bool braces)
{
	const char *next = step == 1 ? cuda_text(cx, "%s++", counter)
				     : cuda_text(cx, "%s += %d", counter, step);

	cuda_line(cx, "#pragma unroll");
	cuda_line(cx, "for (int %s = 0; %s < %d; %s)%s", counter, counter, count, next,
		braces ? " {" : "");
	cx->out->indent++;
}

void cuda_loop_end(cuda_cx *cx, bool braces)
{
	cx->out->indent--;
	if (braces)
		cuda_line(cx, "}");
}

/* Cells of a slice and registers of a cell. */
static cuda_extent slice_extent(const cuda_cx *cx, const tile_slice *s)
{
	cuda_extent n = cuda_extent_of(cx->p, s->frag);
	tile_cell c = tile_cell_of(s->frag);

	n.n = s->cols / c.cols;
	if (s->frag->layout == LAYOUT_OPB)
		n.r = s->rows / c.rows;
	return n;
}

const char *cuda_cell(cuda_cx *cx, const tile_expr *first, int cell, const char *counter, int count)
{
	const char *from = first ? cuda_quotient(cx, first, cell) : "0";

	if (strcmp(from, "0") == 0)
		return count > 1 ? counter : "0";
	return count > 1 ? cuda_text(cx, "%s + %s", from, counter) : from;
}

cuda_place cuda_place_of(cuda_cx *cx, const tile_slice *s)
{
	cuda_extent n = slice_extent(cx, s);
	tile_cell c = tile_cell_of(s->frag);
	cuda_place place = {.frag = s->frag};

	place.at.r = cuda_cell(cx, s->first_row, c.rows, cx->r, n.r);
	place.at.n = cuda_cell(cx, s->first, c.cols, cx->n, n.n);
	place.at.i = n.i > 1 ? cx->i : "0";
	place.at.e = n.e > 1 ? cx->e : "0";
	return place;
}

void cuda_loops(cuda_cx *cx, const tile_slice *s, bool braces)
{
	cuda_extent n = slice_extent(cx, s);

	if (n.r > 1)
		cuda_loop(cx, cx->r, n.r, 1, braces && n.n == 1 && n.i == 1);
	if (n.n > 1)
		cuda_loop(cx, cx->n, n.n, 1, braces && n.i == 1);
	if (n.i > 1)
		cuda_loop(cx, cx->i, n.i, 1, braces);
	if (n.r == 1 && n.n == 1 && n.i == 1 && braces) {
		cuda_line(cx, "{");
		cx->out->indent++;
	}
}

void cuda_loops_end(cuda_cx *cx, const tile_slice *s, bool braces)
{
	cuda_extent n = slice_extent(cx, s);
	int loops = (n.r > 1) + (n.n > 1) + (n.i > 1);

	cuda_loop_end(cx, braces);
	for (int i = 1; i < loops; i++)
		cuda_loop_end(cx, false);
	if (loops == 0 && !braces)
		cx->out->indent++;
}
