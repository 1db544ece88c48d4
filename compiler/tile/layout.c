/* layout.c: which thread and register holds element (row, col) of a register tile, and where an
 * element of a shared buffer lies. The only file that knows: emitters and simulator ask it. */
#include "tile/tile.h"

int tile_type_bytes(tile_type t)
{
	static const int bytes[TILE_TYPE_COUNT] = {1, 4, 8, 4, 2, 2, 4};

	return bytes[t];
}

const char *tile_type_name(tile_type t)
{
	static const char *const name[TILE_TYPE_COUNT] = {
		"b1", "i32", "i64", "f32", "bf16", "f16", "tf32"};

	return name[t];
}

const char *tile_layout_name(tile_layout l)
{
	static const char *const name[] = {"acc", "opa", "opb", "rowv", "colv"};

	return name[l];
}

/* --- register tiles --- */

static bool packed(const tile_frag *f)
{
	return tile_type_bytes(f->type) == 2;
}

tile_cell tile_cell_of(const tile_frag *f)
{
	bool pairs = packed(f);

	switch (f->layout) {
	case LAYOUT_ACC:
		return (tile_cell){16, 8, 4};
	case LAYOUT_OPA:
		return (tile_cell){16, pairs ? 16 : 8, 4};
	case LAYOUT_OPB:
		return (tile_cell){pairs ? 16 : 8, 8, 2};
	case LAYOUT_ROWV:
		return (tile_cell){16, 1, 2};
	case LAYOUT_COLV:
		if (f->of == LAYOUT_OPA)
			return (tile_cell){1, pairs ? 16 : 8, 2};
		return (tile_cell){1, 8, pairs ? 1 : 2};
	}
	ice("no such layout");
}

int tile_warp_rows(const tile_program *p, const tile_frag *f)
{
	return f->layout == LAYOUT_OPB || f->layout == LAYOUT_COLV ? f->rows : f->rows / p->warps;
}

int tile_registers(const tile_program *p, const tile_frag *f)
{
	tile_cell c = tile_cell_of(f);

	return tile_warp_rows(p, f) / c.rows * (f->cols / c.cols) * c.registers;
}

int tile_register_elements(const tile_frag *f)
{
	return packed(f) ? 2 : 1;
}

/* k of the first (0) or second (1) element of a 32-bit operand in lane t of four. */
static int single_k(const tile_frag *f, int t, int half)
{
	return f->of == LAYOUT_ACC ? 2 * t + half : t + 4 * half;
}

/* Element (i, e) of lane (g, t) inside a cell. */
static void cell_element(const tile_frag *f, int g, int t, int i, int e, int *row, int *col)
{
	*row = *col = 0;
	switch (f->layout) {
	case LAYOUT_ACC:
		*row = g + i / 2 * 8;
		*col = 2 * t + i % 2;
		return;
	case LAYOUT_OPA:
		*row = g + i % 2 * 8;
		*col = packed(f) ? 2 * t + e + i / 2 * 8 : single_k(f, t, i / 2);
		return;
	case LAYOUT_OPB:
		*row = packed(f) ? 2 * t + e + i * 8 : single_k(f, t, i);
		*col = g;
		return;
	case LAYOUT_ROWV:
		*row = g + i * 8;
		return;
	case LAYOUT_COLV:
		if (f->of == LAYOUT_OPA)
			*col = packed(f) ? 2 * t + e + i * 8 : t + i * 4;
		else
			*col = packed(f) ? 2 * t + e : 2 * t + i;
		return;
	}
}

void tile_element(
	const tile_program *p, const tile_frag *f, int lane, int r, int e, int *row, int *col)
{
	tile_cell c = tile_cell_of(f);
	int cell = r / c.registers, across = f->cols / c.cols;

	if (lane < 0 || lane > 31 || r < 0 || r >= tile_registers(p, f) || e < 0 ||
		e >= tile_register_elements(f))
		ice("no register %d.%d in '%s'", r, e, f->name);
	cell_element(f, lane / 4, lane % 4, r % c.registers, e, row, col);
	*row += cell / across * c.rows;
	*col += cell % across * c.cols;
}

/* Register and element of lane (g, t) at (row, col) of a cell. */
static bool cell_find(const tile_frag *f, int lane, int row, int col, int *i, int *e)
{
	tile_cell c = tile_cell_of(f);

	for (*i = 0; *i < c.registers; ++*i)
		for (*e = 0; *e < tile_register_elements(f); ++*e) {
			int r, k;

			cell_element(f, lane / 4, lane % 4, *i, *e, &r, &k);
			if (r == row && k == col)
				return true;
		}
	return false;
}

bool tile_find(
	const tile_program *p, const tile_frag *f, int lane, int row, int col, int *r, int *e)
{
	tile_cell c = tile_cell_of(f);
	int i;

	if (f->layout == LAYOUT_ROWV)
		col = 0;
	if (f->layout == LAYOUT_COLV)
		row = 0;
	if (row < 0 || row >= tile_warp_rows(p, f) || col < 0 || col >= f->cols)
		return false;
	if (!cell_find(f, lane, row % c.rows, col % c.cols, &i, e))
		return false;
	*r = (row / c.rows * (f->cols / c.cols) + col / c.cols) * c.registers + i;
	return true;
}

/* Whether rows of both tiles are the same rows of the block, and whether they matter. */
static bool same_rows(const tile_frag *src, const tile_frag *f)
{
	if (src->layout == LAYOUT_COLV)
		return f->layout != LAYOUT_ROWV;
	if (f->layout == LAYOUT_COLV || (f->layout == LAYOUT_ROWV && src->layout != LAYOUT_ROWV))
		return false;
	if ((src->layout == LAYOUT_OPB) != (f->layout == LAYOUT_OPB))
		return false;
	return src->rows == f->rows;
}

bool tile_peer(const tile_program *p, const tile_frag *src, const tile_frag *f, int r, int e,
	int *sr, int *se)
{
	if (!same_rows(src, f))
		return false;
	for (int lane = 0; lane < 32; lane++) {
		int row, col, lr, le;

		tile_element(p, f, lane, r, e, &row, &col);
		if (!tile_find(p, src, lane, row, col, lane ? &lr : sr, lane ? &le : se))
			return false;
		if (lane && (lr != *sr || le != *se))
			return false;
	}
	return true;
}

/* --- ldmatrix --- */

/* Cells that one ldmatrix loads: one of four registers, or two neighbours of two. */
static int cells_each(const tile_frag *f)
{
	return 4 / tile_cell_of(f).registers;
}

int tile_ldmatrix_count(const tile_frag *f, int rows, int cols)
{
	tile_cell c = tile_cell_of(f);
	int each = cells_each(f), across = cols / c.cols;

	return rows / c.rows * ((across + each - 1) / each);
}

tile_ldmatrix tile_ldmatrix_at(const tile_frag *f, int rows, int cols, bool trans, int n)
{
	tile_cell c = tile_cell_of(f);
	int each = cells_each(f), across = cols / c.cols, steps = (across + each - 1) / each;
	bool turned = trans != (f->layout == LAYOUT_OPB); /* region rows are the tile's columns */
	/* what lane bits 3 and 4 add, in rows and columns of the tile */
	int half = packed(f) ? 8 : 4, rows8, cols8, rows16, cols16, row, col;
	tile_ldmatrix m = {.cell_row = n / steps, .cell_col = n % steps * each};

	if ((f->layout != LAYOUT_OPA && f->layout != LAYOUT_OPB) || n >= rows / c.rows * steps)
		ice("no ldmatrix %d of '%s'", n, f->name);
	m.matrices = (across - m.cell_col < each ? across - m.cell_col : each) * c.registers;
	rows8 = f->layout == LAYOUT_OPA ? 8 : half;
	cols8 = 0;
	rows16 = 0;
	cols16 = f->layout == LAYOUT_OPA ? half : 8;
	row = m.cell_row * c.rows;
	col = m.cell_col * c.cols;
	m.row = turned ? col : row;
	m.col = turned ? row : col;
	m.row8 = turned ? cols8 : rows8;
	m.col8 = turned ? rows8 : cols8;
	m.row16 = turned ? cols16 : rows16;
	m.col16 = turned ? rows16 : cols16;
	return m;
}

int tile_ldmatrix_rows_count(const tile_frag *f, int cols)
{
	int each = f->layout == LAYOUT_OPA ? 16 : 32;

	return (cols + each - 1) / each;
}

/* Matrices of an opa: rows 0-7 and 8-15 of the first eight columns, then of the next; of a colv: four
 * times eight columns, each row of a matrix the same. */
tile_ldmatrix tile_ldmatrix_rows_at(const tile_frag *f, int cols, int n)
{
	bool opa = f->layout == LAYOUT_OPA;
	int col = n * (opa ? 16 : 32);

	return (tile_ldmatrix){.cell_col = col / tile_cell_of(f).cols,
		.matrices = opa || cols - col >= 32 ? 4 : 2,
		.col = col,
		.col8 = opa ? 0 : 8,
		.col16 = opa ? 8 : 16};
}

/* --- shared buffers --- */

int tile_swizzle(int64_t bytes)
{
	int64_t chunks = bytes / 16;
	int s = 0;

	while (s < 3 && chunks > 0 && chunks % 2 == 0) {
		chunks /= 2;
		s++;
	}
	return s;
}

int64_t tile_panel_bytes(const tile_buffer *b)
{
	return (int64_t)b->rows * b->panel * tile_type_bytes(b->type);
}

int64_t tile_shared_offset(const tile_buffer *b, int64_t row, int64_t col)
{
	int size = tile_type_bytes(b->type);
	int64_t panel = b->panel ? col / b->panel : 0;
	int64_t byte = (col - panel * b->panel) * size, chunk = byte / 16;
	int64_t width = (int64_t)(b->panel ? b->panel : b->cols) * size;

	chunk ^= (row >> (3 - b->swizzle)) & ((1 << b->swizzle) - 1);
	return panel * tile_panel_bytes(b) + row * width + chunk * 16 + byte % 16;
}

int64_t tile_slot_bytes(const tile_buffer *b)
{
	int64_t align = b->swizzle ? 1024 : 128;
	int64_t bytes = (int64_t)b->rows * b->cols * tile_type_bytes(b->type);

	if (b->panel)
		return (b->cols + b->panel - 1) / b->panel * tile_panel_bytes(b);
	return (bytes + align - 1) / align * align;
}

int tile_bar_size(const tile_mbar *b)
{
	return b->kind == BAR_MBARRIER ? 8 : 4;
}

int64_t tile_bar_bytes(const tile_mbar *b)
{
	return (int64_t)b->slots * tile_bar_size(b);
}

/* PTX ISA, "Matrix descriptor": bits 16-29 leading, 32-45 stride byte offset, both / 16; 62-63: 1
 * is the 128-byte swizzle. Stride: from one group of eight rows to the next. Leading: MN-major from
 * one panel to the next; K-major without use, 1. */
uint64_t tile_descriptor(const tile_buffer *b, bool trans)
{
	uint64_t leading = trans ? (uint64_t)tile_panel_bytes(b) / 16 : 1, stride = 8 * 128 / 16;

	return leading << 16 | stride << 32 | UINT64_C(1) << 62;
}
