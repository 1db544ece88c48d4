/* cuda_shared.c: statements over shared memory, and the tensor cores.
 * Addresses of ldmatrix are those of tile_ldmatrix_at, as linear functions of the loop counters. */
#include "emit_cuda/cuda_internal.h"
#include <stdlib.h>
#include <string.h>

/* --- places in a buffer --- */

static bool is_number(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

static const char *plus(cuda_cx *cx, const char *a, const char *b)
{
	if (is_number(a) && is_number(b))
		return cuda_text(cx, "%d", atoi(a) + atoi(b));
	if (strcmp(a, "0") == 0)
		return b;
	return strcmp(b, "0") == 0 ? a : cuda_text(cx, "%s + %s", a, b);
}

/* "slot, row, col" of (row, col) of a region; the slot only where the buffer has several. */
static const char *coordinates(cuda_cx *cx, const tile_region *r, const char *row, const char *col)
{
	const char *s =
		cuda_text(cx, "%s, %s", cuda_sum(cx, r->row, row), cuda_sum(cx, r->col, col));

	if (r->buffer->slots > 1)
		s = cuda_text(cx, "%s, %s", cuda_value(cx, r->slot, LEVEL_ANY), s);
	return s;
}

static const char *name_of(const cuda_cx *cx, const tile_region *r)
{
	return cx->buffer[r->buffer->id];
}

const char *cuda_shared_element(cuda_cx *cx, const tile_region *r, const char *row, const char *col)
{
	return cuda_text(cx, "%s(%s)", name_of(cx, r), coordinates(cx, r, row, col));
}

const char *cuda_shared_method(
	cuda_cx *cx, const tile_region *r, const char *method, const char *row, const char *col)
{
	return cuda_text(cx, "%s.%s(%s)", name_of(cx, r), method, coordinates(cx, r, row, col));
}

static const char *address(cuda_cx *cx, const tile_region *r, const char *row, const char *col)
{
	return cuda_shared_method(cx, r, "at", row, col);
}

/* --- fill, copy: the block's threads take turns --- */

static void open_items(cuda_cx *cx, int rows, int cols, int width)
{
	const char *item = cx->item;

	cx->uses_tid = true;
	/* unrolled by nvcc, a loop inside the kernel's keeps addresses in registers that accumulators
	 * need */
	if (cx->nested > 0)
		cuda_line(cx, "#pragma unroll 1");
	cuda_line(cx, "for (int %s = tid; %s < %d * %d; %s += THREADS) {", item, item, rows, cols,
		item);
	cx->out->indent++;
	if (cols == 1)
		cuda_line(cx, "const int row = %s, col = 0;", item);
	else if (width == 1)
		cuda_line(cx, "const int row = %s / %d, col = %s %% %d;", item, cols, item, cols);
	else
		cuda_line(cx, "const int row = %s / %d, col = %s %% %d * %d;", item, cols, item,
			cols, width);
}

void cuda_fill(cuda_cx *cx, const tile_stmt *s)
{
	const tile_region *to = &s->arg[0].region;
	const tile_expr *x = s->arg[1].value;

	cuda_values_begin(cx, (cuda_place){0});
	cuda_values_count(cx, x);
	open_items(cx, to->rows, to->cols, 1);
	cuda_values_lines(cx, x);
	cuda_line(cx, "%s = %s;", cuda_shared_element(cx, to, "row", "col"),
		cuda_value(cx, x, LEVEL_ANY));
	cuda_loop_end(cx, true);
}

static bool loads(cuda_cx *cx, const tile_expr *x)
{
	if (x->op == TX_GLOBAL || x->op == TX_SHARED)
		return true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (loads(cx, x->arg[i]))
			return true;
	return false;
}

/* The offset of a row that is not copied is not evaluated where it would read memory. */
void cuda_copy(cuda_cx *cx, const tile_stmt *s)
{
	const tile_region *to = &s->arg[0].region;
	const char *tensor = cx->arg[s->arg[1].tensor->id], *to_text, *inside;
	const tile_expr *offset = s->arg[2].value, *pred = s->arg[3].value;
	int width = 16 / tile_type_bytes(to->buffer->type);
	bool guarded = !tx_is_const(pred, 1) && loads(cx, offset);

	cuda_values_begin(cx, (cuda_place){0});
	cuda_values_count(cx, pred);
	cuda_values_count(cx, offset);
	open_items(cx, to->rows, to->cols / width, width);
	cuda_values_lines(cx, pred);
	to_text = address(cx, to, "row", "col");
	inside = cuda_value(cx, pred, LEVEL_ANY);
	if (guarded) {
		const char *from = cuda_local_name(cx, "from"),
			   *there = cuda_local_name(cx, "there");

		cuda_line(cx, "const bool %s = %s;", there, inside);
		cuda_line(
			cx, "const %s *%s = %s;", cuda_type(s->arg[1].tensor->type), from, tensor);
		cuda_line(cx, "if (%s) {", there);
		cx->out->indent++;
		cuda_values_lines(cx, offset);
		cuda_line(cx, "%s += %s;", from, cuda_sum(cx, offset, "col"));
		cuda_loop_end(cx, true);
		cuda_line(cx, "copy_async(%s, %s, %s);", to_text, from, there);
	} else {
		cuda_values_lines(cx, offset);
		cuda_line(cx, "copy_async(%s, &%s[%s], %s);", to_text, tensor,
			cuda_sum(cx, offset, "col"), inside);
	}
	cuda_loop_end(cx, true);
}

/* --- rows to global memory --- */

/* Lane l finds where row l of the warp's part goes; nowhere where the predicate is false. */
void cuda_store_rows(cuda_cx *cx, const tile_stmt *s)
{
	const tile_arg *tensor = s->arg[0].tensor;
	const tile_region *r = &s->arg[1].region;
	const tile_expr *offset = s->arg[2].value, *pred = s->arg[3].value;
	bool always = tx_is_const(pred, 1);
	int rows = r->rows / cx->p->warps;
	const char *to, *slot, *part;

	cuda_values_begin(cx, (cuda_place){0});
	cuda_values_count(cx, pred);
	cuda_values_count(cx, offset);
	cx->uses_lane = cx->uses_warp = true;
	part = rows > 1 ? cuda_text(cx, "warp * %d", rows) : "warp";
	cuda_line(cx, "{");
	cx->out->indent++;
	cuda_line(cx, "const int row = %s%s;", part,
		rows == 32 ? " + lane"
		: rows > 1 ? cuda_text(cx, " + lane %% %d", rows)
			   : "");
	to = cuda_local_name(cx, "to");
	cuda_line(cx, "%s *%s = nullptr;", cuda_type(tensor->type), to);
	cuda_values_lines(cx, pred);
	if (!always)
		cuda_line(cx, "if (%s) {", cuda_value(cx, pred, LEVEL_ANY));
	cx->out->indent += !always;
	cuda_values_lines(cx, offset);
	cuda_line(cx, "%s = %s + %s;", to, cx->arg[tensor->id], cuda_value(cx, offset, LEVEL_SUM));
	if (!always)
		cuda_loop_end(cx, true);
	slot = r->buffer->slots > 1 ? cuda_value(cx, r->slot, LEVEL_ANY) : "0";
	cuda_line(cx, "store_rows<%d, %d>(%s, %s, %s, %s, %s);", rows, r->cols, to, name_of(cx, r),
		slot, cuda_sum(cx, r->row, part), cuda_value(cx, r->col, LEVEL_ANY));
	cuda_loop_end(cx, true);
}

/* --- ldmatrix, stmatrix --- */

/* Element of the region for one ldmatrix: base + r * by_r + n * by_n, where r and n count cells. */
typedef struct {
	tile_ldmatrix base;
	int each;  /* cells of one ldmatrix */
	int cells; /* in a row of cells */
	int rows;  /* of cells */
	int row_by_r, row_by_n, col_by_r, col_by_n;
} pattern;

static pattern pattern_of(const tile_frag *f, int rows, int cols, bool trans)
{
	tile_cell c = tile_cell_of(f);
	pattern m = {.each = 4 / c.registers, .cells = cols / c.cols, .rows = rows / c.rows};
	int steps = (m.cells + m.each - 1) / m.each;

	m.base = tile_ldmatrix_at(f, rows, cols, trans, 0);
	if (steps > 1) {
		tile_ldmatrix next = tile_ldmatrix_at(f, rows, cols, trans, 1);

		m.row_by_n = (next.row - m.base.row) / m.each;
		m.col_by_n = (next.col - m.base.col) / m.each;
	}
	if (m.rows > 1) {
		tile_ldmatrix next = tile_ldmatrix_at(f, rows, cols, trans, steps);

		m.row_by_r = next.row - m.base.row;
		m.col_by_r = next.col - m.base.col;
	}
	for (int i = 0; i < tile_ldmatrix_count(f, rows, cols); i++) {
		tile_ldmatrix x = tile_ldmatrix_at(f, rows, cols, trans, i);
		int r = x.cell_row, n = x.cell_col;

		if (x.row != m.base.row + r * m.row_by_r + n * m.row_by_n ||
			x.col != m.base.col + r * m.col_by_r + n * m.col_by_n ||
			x.row8 != m.base.row8 || x.col8 != m.base.col8 || x.row16 != m.base.row16 ||
			x.col16 != m.base.col16)
			ice("the ldmatrix addresses of '%s' are not linear", f->name);
	}
	return m;
}

static const char *times(cuda_cx *cx, int n, const char *x)
{
	if (n == 0 || strcmp(x, "0") == 0)
		return "0";
	if (is_number(x))
		return cuda_text(cx, "%d", n * atoi(x));
	return n == 1 ? x : cuda_text(cx, "%d * %s", n, x);
}

/* What the lane adds: bit 3 and, of four matrices, bit 4 choose the matrix. */
static const char *lane_part(cuda_cx *cx, bool row, int by8, int by16)
{
	const char *s = "0";

	cx->uses_lane = true;
	if (row)
		s = by8 == 8 ? "lane % 16" : "lane % 8";
	if (by8 && !(row && by8 == 8))
		s = plus(cx, s, cuda_text(cx, "lane / 8 %% 2 * %d", by8));
	if (by16)
		s = plus(cx, s, cuda_text(cx, "lane / 16 * %d", by16));
	return s;
}

/* The register tile and the region of a statement that loads or stores matrices. */
typedef struct {
	const tile_slice *tile;
	const tile_region *region;
	bool trans, store;
} matrix_move;

static matrix_move move_of(const tile_stmt *s)
{
	bool store = s->op == TILE_STSM;

	return (matrix_move){
		&s->arg[store].slice, &s->arg[!store].region, s->op == TILE_LDSMT, store};
}

static void one_matrix(cuda_cx *cx, const matrix_move *move, const pattern *m, const char *r,
	const char *n, int matrices)
{
	const tile_slice *to = move->tile;
	bool trans = move->trans, four = matrices == 4, a = to->frag->layout == LAYOUT_OPA;
	const char *warp = a ? cuda_text(cx, "warp * %d", tile_warp_rows(cx->p, to->frag)) : "0";
	tile_cell c = tile_cell_of(to->frag);
	const char *row, *col, *tile_r, *first, *second = "";

	cx->uses_warp = cx->uses_warp || a;
	row = plus(cx, times(cx, m->row_by_r, r), times(cx, m->row_by_n, n));
	col = plus(cx, times(cx, m->col_by_r, r), times(cx, m->col_by_n, n));
	row = plus(cx, trans ? "0" : warp, row);
	col = plus(cx, trans ? warp : "0", col);
	row = plus(cx, row, lane_part(cx, true, m->base.row8, four ? m->base.row16 : 0));
	col = plus(cx, col, lane_part(cx, false, m->base.col8, four ? m->base.col16 : 0));
	tile_r = plus(cx, cuda_quotient(cx, to->first_row, c.rows), r);
	first = plus(cx, cuda_quotient(cx, to->first, c.cols), n);
	if (m->each == 2 && four)
		second = cuda_text(cx, ", %s",
			cuda_register(cx, to->frag, tile_r, plus(cx, first, "1"), NULL));
	first = cuda_register(cx, to->frag, tile_r, first, NULL);
	if (move->store)
		cuda_line(cx, "stmatrix(%s, %s);", address(cx, move->region, row, col), first);
	else
		cuda_line(cx, "ldmatrix%s(%s%s, %s);", trans ? "_trans" : "", first, second,
			address(cx, move->region, row, col));
}

void cuda_matrix(cuda_cx *cx, const tile_stmt *s)
{
	matrix_move move = move_of(s);
	const tile_slice *to = move.tile;
	bool a = to->frag->layout == LAYOUT_OPA;
	int rows = a ? tile_warp_rows(cx->p, to->frag) : to->rows;
	pattern m = pattern_of(to->frag, rows, to->cols, move.trans);
	int full = m.cells / m.each * m.each;
	bool tail = full<m.cells, braces = full> 0 && tail && m.rows > 1;
	const char *r = m.rows > 1 ? cx->r : "0", *n = full > m.each ? cx->n : "0";

	cuda_values_begin(cx, (cuda_place){0});
	if (m.rows > 1)
		cuda_loop(cx, cx->r, m.rows, 1, braces);
	if (full > m.each)
		cuda_loop(cx, cx->n, full, m.each, false);
	if (full > 0)
		one_matrix(cx, &move, &m, r, n, 4);
	if (full > m.each)
		cuda_loop_end(cx, false);
	if (tail)
		one_matrix(cx, &move, &m, r, cuda_text(cx, "%d", full), 2);
	if (m.rows > 1)
		cuda_loop_end(cx, braces);
}

/* One ldmatrix of rows that the lanes name, into the tile's cell `n` and, of a colv, the next. */
static void one_matrix_of_rows(cuda_cx *cx, const tile_stmt *s, const char *n, int matrices)
{
	const tile_slice *to = &s->arg[0].slice;
	const tile_region *from = &s->arg[1].region;
	tile_cell c = tile_cell_of(to->frag);
	tile_ldmatrix m = tile_ldmatrix_rows_at(to->frag, to->cols, 0);
	const char *first = plus(cx, cuda_quotient(cx, to->first, c.cols), n), *second = "";
	const char *r = to->frag->layout == LAYOUT_OPA ? "0" : NULL;
	const char *col = plus(cx, times(cx, c.cols, n),
		lane_part(cx, false, m.col8, matrices == 4 ? m.col16 : 0));

	if (c.registers == 2 && matrices == 4)
		second = cuda_text(
			cx, ", %s", cuda_register(cx, to->frag, r, plus(cx, first, "1"), NULL));
	cuda_line(cx, "ldmatrix(%s%s, %s);", cuda_register(cx, to->frag, r, first, NULL), second,
		address(cx, from, "0", col));
}

void cuda_matrix_rows(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *to = &s->arg[0].slice;
	tile_cell c = tile_cell_of(to->frag);
	int cells = to->cols / c.cols, each = 4 / c.registers, full = cells / each * each;
	const char *n = full > each ? cx->n : "0";

	cuda_values_begin(cx, (cuda_place){0});
	if (full > each)
		cuda_loop(cx, cx->n, full, each, false);
	if (full > 0)
		one_matrix_of_rows(cx, s, n, 4);
	if (full > each)
		cuda_loop_end(cx, false);
	if (full < cells)
		one_matrix_of_rows(cx, s, cuda_text(cx, "%d", full), 2);
}

/* --- plain loads --- */

/* Rows and columns of the slice, counted from its first; then as the region has them. */
static void region_place(cuda_cx *cx, const tile_slice *to, bool turned, const char **row,
	const char **col, int *element_row)
{
	cuda_index r = cuda_row_index(cx->p, to->frag), c = cuda_col_index(cx->p, to->frag);
	int step = turned ? c.coef[TERM_E] : r.coef[TERM_E];

	cx->place.at.n = to->cols > tile_cell_of(to->frag).cols ? cx->n : "0";
	cx->place.at.e = "0";
	*row = cuda_index_text(cx, turned ? &c : &r, to->frag);
	*col = cuda_index_text(cx, turned ? &r : &c, to->frag);
	*element_row = step;
}

void cuda_load_plain(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *to = &s->arg[0].slice;
	const tile_region *from = &s->arg[1].region;
	bool turned = (s->op == TILE_LDST) != (to->frag->layout == LAYOUT_OPB);
	bool two = tile_register_elements(to->frag) == 2;
	const char *row, *col, *r;
	int down;

	cuda_values_begin(cx, cuda_place_of(cx, to));
	r = cuda_register(cx, to->frag, cx->place.at.r, cx->place.at.n, cx->place.at.i);
	if (to->frag->layout == LAYOUT_OPB)
		cx->place.at.r = to->rows > tile_cell_of(to->frag).rows ? cx->r : "0";
	region_place(cx, to, turned, &row, &col, &down);
	cuda_loops(cx, to, true);
	cuda_line(cx, "const int row = %s;", row);
	cuda_line(cx, "const int col = %s;", col);
	if (!two)
		cuda_line(cx, "%s = %s;", r, cuda_shared_element(cx, from, "row", "col"));
	else if (down)
		cuda_line(cx, "%s = pair(%s, %s);", r, cuda_shared_element(cx, from, "row", "col"),
			cuda_shared_element(cx, from, "row + 1", "col"));
	else
		cuda_line(cx, "%s = %s.pair(%s);", r, name_of(cx, from),
			coordinates(cx, from, "row", "col"));
	cuda_loops_end(cx, to, true);
}

/* --- tensor cores --- */

void cuda_mma(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *acc = &s->arg[0].slice, *a = &s->arg[1].slice, *b = &s->arg[2].slice;
	tile_cell ca = tile_cell_of(a->frag), cb = tile_cell_of(b->frag);
	int rows = cuda_extent_of(cx->p, acc->frag).r, cols = acc->cols / cb.cols,
	    steps = a->cols / ca.cols;
	const char *r = rows > 1 ? cx->r : "0";

	cuda_values_begin(cx, (cuda_place){0});
	if (steps > 1)
		cuda_loop(cx, cx->k, steps, 1, false);
	if (rows > 1)
		cuda_loop(cx, cx->r, rows, 1, false);
	if (cols > 1)
		cuda_loop(cx, cx->n, cols, 1, false);
	cuda_line(cx, "mma_%s(%s, %s, %s);", cuda_suffix(a->frag->type),
		cuda_register(
			cx, acc->frag, r, cuda_cell(cx, acc->first, cb.cols, cx->n, cols), NULL),
		cuda_register(cx, a->frag, r, cuda_cell(cx, a->first, ca.cols, cx->k, steps), NULL),
		cuda_register(cx, b->frag, cuda_cell(cx, b->first_row, cb.rows, cx->k, steps),
			cuda_cell(cx, b->first, cb.cols, cx->n, cols), NULL));
	for (int loops = (steps > 1) + (rows > 1) + (cols > 1); loops > 0; loops--)
		cuda_loop_end(cx, false);
}
