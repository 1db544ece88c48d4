/* warp.c: what a warp does as a whole: ldmatrix, stmatrix, mma, and the reductions of row vectors.
 * Fragments are spelled out here as the PTX ISA has them (mma.m16n8k16, mma.m16n8k8, ldmatrix) and
 * not asked of layout.c: a layout that is not the hardware's gives wrong results. */
#include "sim/sim_float.h"
#include "sim/sim_async.h"

/* --- ldmatrix --- */

/* Extra passes for one matrix: its 8 rows of 16 bytes should lie in 8 different groups of banks. */
static int extra_passes(const int64_t *address)
{
	int used[8] = {0}, most = 1;

	for (int i = 0; i < 8; i++)
		if (++used[address[i] / 16 % 8] > most)
			most = used[address[i] / 16 % 8];
	return most - 1;
}

/* The 16 bytes that lane l names. */
static int64_t fetch_row(sim_block *b, const tile_buffer *buf, int64_t slot, int64_t row,
	int64_t col, int w, int lane, uint8_t *out)
{
	int64_t address, last;
	int each = 16 / tile_type_bytes(buf->type);

	memset(out, 0xff, 16);
	if (!sim_shared_find(b, buf, slot, row, col, w, lane, &address) ||
		!sim_shared_find(b, buf, slot, row, col + each - 1, w, lane, &last))
		return 0;
	if (address % 16) {
		sim_fault_at(b, SIM_ALIGNMENT, w, lane, "%s[%lld, %lld, %lld] is shared byte %lld",
			buf->name, (long long)slot, (long long)row, (long long)col,
			(long long)address);
		return 0;
	}
	sim_shared_read(b, buf, address, 16, WHO_WARP + w, w, lane);
	memcpy(out, b->shared.byte + address, 16);
	return address;
}

/* Lane `lane` gets of an 8 x 8 matrix of 16-bit elements: row lane / 4, columns 2 * (lane % 4) and
 * the next; transposed, column lane / 4, rows 2 * (lane % 4) and the next. */
static uint32_t matrix_word(uint8_t row[][16], int lane, bool trans)
{
	uint16_t low, high;
	uint32_t word;

	if (!trans) {
		memcpy(&word, row[lane / 4] + 4 * (lane % 4), sizeof word);
		return word;
	}
	memcpy(&low, row[2 * (lane % 4)] + 2 * (lane / 4), sizeof low);
	memcpy(&high, row[2 * (lane % 4) + 1] + 2 * (lane / 4), sizeof high);
	return low | (uint32_t)high << 16;
}

static void one_ldmatrix(sim_block *b, const sim_stmt *s, const sim_slice *slice, int w,
	const tile_ldmatrix *m, int64_t at[][SIM_LANES])
{
	const tile_buffer *buf = s->s->arg[1].region.buffer;
	bool trans = s->s->op == TILE_LDSMT;
	bool named = s->s->op == TILE_LDSMR; /* rows, by the lanes */
	int own = slice->f->f->layout == LAYOUT_OPA && !named ? w * slice->f->warp_rows : 0;
	uint8_t row[SIM_LANES][16];
	int64_t address[SIM_LANES];

	for (int l = 0; l < 8 * m->matrices; l++) {
		int r = named ? 0 : m->row + l % 8 + l / 8 % 2 * m->row8 + l / 16 * m->row16;
		int c = m->col + l / 8 % 2 * m->col8 + l / 16 * m->col16;

		address[l] = fetch_row(b, buf, at[0][l], at[1][l] + r + (trans ? 0 : own),
			at[2][l] + c + (trans ? own : 0), w, l, row[l]);
	}
	for (int i = 0; i < m->matrices; i++) {
		int registers = slice->f->cell.registers;
		int cell = (slice->cell_row + m->cell_row) * slice->f->across + slice->cell_col +
			   m->cell_col + i / registers;
		uint32_t *word = sim_reg(b, slice->f, w, cell * registers + i % registers);

		for (int lane = 0; lane < SIM_LANES; lane++)
			word[lane] = matrix_word(row + 8 * i, lane, trans);
		sim_written(b, slice->f, w, cell * registers + i % registers);
		*sim_defined(b, slice->f, w, cell * registers + i % registers) = UINT32_MAX;
		b->conflicts += extra_passes(address + 8 * i);
	}
}

void sim_ldmatrix(sim_block *b, const sim_stmt *s)
{
	int64_t at[SIM_MAX_ROOTS][SIM_LANES];
	bool trans = s->s->op == TILE_LDSMT, named = s->s->op == TILE_LDSMR;
	sim_slice slice;

	if (!sim_slice_find(b, s, 0, &slice))
		return;
	for (int w = 0; w < b->warps; w++) {
		const tile_frag *f = slice.f->f;
		int rows = slice.rows * slice.f->cell.rows, cols = slice.cols * slice.f->cell.cols;

		if (!sim_converged(b, w))
			continue;
		sim_lanes(b, &s->code[1], w, at);
		for (int n = 0; n < (named ? tile_ldmatrix_rows_count(f, cols)
					   : tile_ldmatrix_count(f, rows, cols));
			n++) {
			tile_ldmatrix m = named ? tile_ldmatrix_rows_at(f, cols, n)
						: tile_ldmatrix_at(f, rows, cols, trans, n);

			one_ldmatrix(b, s, &slice, w, &m, at);
		}
	}
}

static void need_register(sim_block *b, const sim_frag *f, int w, int r)
{
	uint32_t unset = b->active[w] & ~*sim_defined(b, f, w, r);

	if (unset)
		sim_unset_register(b, f, w, r, __builtin_ctz(unset));
}

/* Of each 8 x 8 matrix lane `lane` has row lane / 4, columns 2 * (lane % 4) and the next. Register
 * i of a cell is the matrix of rows i % 2 * 8 .., columns i / 2 * 8 .. */
static void store_cell(sim_block *b, const sim_stmt *s, const sim_slice *slice, int w, int n,
	int64_t at[][SIM_LANES])
{
	const tile_buffer *buf = s->s->arg[0].region.buffer;
	int cells = slice->cols, row = n / cells * 16, col = n % cells * 16;

	for (int i = 0; i < 4; i++) {
		int cell = (slice->cell_row + n / cells) * slice->f->across + slice->cell_col +
			   n % cells;
		const uint32_t *word = sim_reg(b, slice->f, w, cell * 4 + i);

		need_register(b, slice->f, w, cell * 4 + i);
		for (int k = 0; k < SIM_LANES; k++) {
			int64_t r = at[1][k] + w * slice->f->warp_rows + row + i % 2 * 8 + k / 4;
			int64_t c = at[2][k] + col + i / 2 * 8 + 2 * (k % 4), address;

			if (sim_shared_find(b, buf, at[0][k], r, c, w, k, &address))
				sim_shared_write(b, buf, address, &word[k], 4, WHO_WARP + w, w, k);
		}
	}
}

void sim_stmatrix(sim_block *b, const sim_stmt *s)
{
	int64_t at[SIM_MAX_ROOTS][SIM_LANES];
	sim_slice slice;

	if (!sim_slice_find(b, s, 1, &slice))
		return;
	for (int w = 0; w < b->warps; w++) {
		if (!sim_converged(b, w))
			continue;
		sim_lanes(b, &s->code[0], w, at);
		for (int n = 0; n < slice.rows * slice.cols; n++)
			store_cell(b, s, &slice, w, n, at);
	}
}

/* --- mma --- */

typedef float mma_row __attribute__((vector_size(MMA_N * sizeof(float))));

/* Registers of a cell of a slice, given by cell row and column in the slice. */
static const uint32_t *cell_words(
	sim_block *b, const sim_slice *s, int w, int row, int col, int *first)
{
	int cell = (s->cell_row + row) * s->f->across + s->cell_col + col;

	*first = cell * s->f->cell.registers;
	return sim_reg(b, s->f, w, *first);
}

/* Faults when a register of the cell has not been written by every lane. */
static void need_cell(sim_block *b, const sim_slice *s, int w, int first)
{
	for (int r = first; r < first + s->f->cell.registers; r++) {
		uint32_t unset = ~*sim_defined(b, s->f, w, r);

		if (unset)
			sim_unset_register(b, s->f, w, r, __builtin_ctz(unset));
	}
}

/* tf32 operands: the low 13 bits do not count. */
static float tf32_word(uint32_t word)
{
	return sim_float(word & ~UINT32_C(0x1fff));
}

/* a[row][k] from registers (g, k), (g + 8, k), (g, k + half), (g + 8, k + half). */
static inline void gather_a_of(tile_type t, float a[MMA_M][MMA_K], const uint32_t *word)
{
	for (int i = 0; i < 4; i++)
		for (int lane = 0; lane < SIM_LANES; lane++) {
			int row = lane / 4 + i % 2 * 8, k = lane % 4;
			uint32_t x = word[i * SIM_LANES + lane];

			if (t == TILE_TF32) {
				a[row][k + i / 2 * 4] = tf32_word(x);
				continue;
			}
			a[row][2 * k + i / 2 * 8] = sim_element_float(t, x, 0);
			a[row][2 * k + i / 2 * 8 + 1] = sim_element_float(t, x, 1);
		}
}

void sim_gather_a(tile_type t, float a[MMA_M][MMA_K], const uint32_t *word)
{
	if (t == TILE_BF16)
		gather_a_of(TILE_BF16, a, word);
	else if (t == TILE_F16)
		gather_a_of(TILE_F16, a, word);
	else
		gather_a_of(TILE_TF32, a, word);
}

/* b[k][col] from registers (k, g), (k + half, g). */
static inline void gather_b_of(tile_type t, float b[MMA_K][MMA_N], const uint32_t *word)
{
	for (int i = 0; i < 2; i++)
		for (int lane = 0; lane < SIM_LANES; lane++) {
			int col = lane / 4, k = lane % 4;
			uint32_t x = word[i * SIM_LANES + lane];

			if (t == TILE_TF32) {
				b[k + i * 4][col] = tf32_word(x);
				continue;
			}
			b[2 * k + i * 8][col] = sim_element_float(t, x, 0);
			b[2 * k + i * 8 + 1][col] = sim_element_float(t, x, 1);
		}
}

static void gather_b(tile_type t, float b[MMA_K][MMA_N], const uint32_t *word)
{
	if (t == TILE_BF16)
		gather_b_of(TILE_BF16, b, word);
	else if (t == TILE_F16)
		gather_b_of(TILE_F16, b, word);
	else
		gather_b_of(TILE_TF32, b, word);
}

/* acc[row][col] from and to registers (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1). */
void sim_gather_acc(float *restrict acc, const uint32_t *restrict word)
{
	for (int half = 0; half < 2; half++)
		for (int lane = 0; lane < SIM_LANES; lane++) {
			const uint32_t *from = word + 2 * half * SIM_LANES + lane;

			acc[half * 64 + 2 * lane] = sim_float(from[0]);
			acc[half * 64 + 2 * lane + 1] = sim_float(from[SIM_LANES]);
		}
}

void sim_scatter_acc(const float *restrict acc, uint32_t *restrict word)
{
	for (int half = 0; half < 2; half++)
		for (int lane = 0; lane < SIM_LANES; lane++) {
			uint32_t *to = word + 2 * half * SIM_LANES + lane;

			to[0] = sim_bits(acc[half * 64 + 2 * lane]);
			to[SIM_LANES] = sim_bits(acc[half * 64 + 2 * lane + 1]);
		}
}

/* One mma: products in the order of k, each sum rounded. */
void sim_multiply(float acc[MMA_M][MMA_N], float a[MMA_M][MMA_K], float b[MMA_K][MMA_N], int depth)
{
	enum { TOGETHER = 4 }; /* rows whose sums stay in registers */

	for (int row = 0; row < MMA_M; row += TOGETHER) {
		mma_row c[TOGETHER], v;

		memcpy(c, acc[row], sizeof c);
		for (int k = 0; k < depth; k++) {
			memcpy(&v, b[k], sizeof v);
			for (int i = 0; i < TOGETHER; i++)
				c[i] += a[row + i][k] * v;
		}
		memcpy(acc[row], c, sizeof c);
	}
}

/* acc(row, col) += sum over k cells. */
static void mma_cell(
	sim_block *b, const sim_slice *slice, int w, int row, int col, float (*a)[MMA_M][MMA_K])
{
	const sim_slice *acc = &slice[0], *sb = &slice[2];
	tile_type t = sb->f->f->type;
	int first, depth = sb->f->cell.rows;
	float sum[MMA_M][MMA_N], v[MMA_K][MMA_N];
	const uint32_t *word = cell_words(b, acc, w, row, col, &first);
	uint32_t *out = sim_reg(b, acc->f, w, first);

	need_cell(b, acc, w, first);
	sim_gather_acc(&sum[0][0], word);
	for (int k = 0; k < sb->rows; k++) {
		word = cell_words(b, sb, w, k, col, &first);
		need_cell(b, sb, w, first);
		gather_b(t, v, word);
		sim_multiply(sum, a[k], v, depth);
	}
	for (int i = 0; i < acc->f->cell.registers; i++)
		sim_written(b, acc->f, w, (int)(out - sim_reg(b, acc->f, w, 0)) / SIM_LANES + i);
	sim_scatter_acc(&sum[0][0], out);
}

void sim_mma(sim_block *b, const sim_stmt *s)
{
	enum { DEPTH = 8 }; /* k cells at a time */
	float a[DEPTH][MMA_M][MMA_K];
	sim_slice slice[3];

	for (int i = 0; i < 3; i++)
		if (!sim_slice_find(b, s, i, &slice[i]))
			return;
	for (int w = 0; w < b->warps; w++) {
		sim_slice part[3] = {slice[0], slice[1], slice[2]};

		if (!sim_converged(b, w))
			continue;
		for (int row = 0; row < slice[0].rows; row++)
			for (int k0 = 0; k0 < slice[1].cols; k0 += DEPTH) {
				int depth = slice[1].cols - k0 < DEPTH ? slice[1].cols - k0 : DEPTH;

				part[2].cell_row = slice[2].cell_row + k0;
				part[2].rows = depth;
				for (int k = 0; k < depth; k++) {
					int first;
					const uint32_t *word =
						cell_words(b, &slice[1], w, row, k0 + k, &first);

					need_cell(b, &slice[1], w, first);
					sim_gather_a(slice[1].f->f->type, a[k], word);
				}
				for (int col = 0; col < slice[0].cols; col++)
					mma_cell(b, part, w, row, col, a);
			}
	}
}

/* --- row vectors --- */

/* A GPU's arithmetic gives one NaN, whatever NaN comes in. */
static float join(tile_word how, float a, float b)
{
	if (how == WORD_SUM)
		return a + b == a + b ? a + b : NAN;
	if (a != a || b != b)
		return a != a ? b : a;
	return a > b || (a == b && !signbit(a)) ? a : b;
}

/* Registers 0, 1 of an accumulator cell lie in row g, 2 and 3 in row g + 8, as registers 0 and 1 of
 * a row vector do. */
void sim_reduce(sim_block *b, const sim_stmt *s)
{
	const sim_frag *dst = sim_frag_of(b, s->s->arg[0].slice.frag);
	tile_word how = s->s->arg[1].word;
	sim_slice src;

	if (!sim_slice_find(b, s, 2, &src))
		return;
	for (int w = 0; w < b->warps; w++)
		for (int n = 0; b->active[w] && n < src.count; n++) {
			int r = sim_slice_element(&src, n), cell_row = r / 4 / src.f->across;
			int to = cell_row * 2 + r % 4 / 2;
			const uint32_t *from = sim_reg(b, src.f, w, r);
			uint32_t *word = sim_reg(b, dst, w, to);

			need_register(b, src.f, w, r);
			sim_read(b, src.f, w, r);
			need_register(b, dst, w, to);
			sim_written(b, dst, w, to);
			for (int k = 0; k < SIM_LANES; k++)
				if (b->active[w] >> k & 1)
					word[k] = sim_bits(
						join(how, sim_float(word[k]), sim_float(from[k])));
		}
}

void sim_quad(sim_block *b, const sim_stmt *s)
{
	const sim_frag *f = sim_frag_of(b, s->s->arg[0].slice.frag);
	tile_word how = s->s->arg[1].word;

	for (int w = 0; w < b->warps; w++) {
		if (!sim_converged(b, w))
			continue;
		for (int r = 0; r < f->registers; r++) {
			uint32_t *word = sim_reg(b, f, w, r), before[SIM_LANES];

			need_register(b, f, w, r);
			sim_written(b, f, w, r);
			for (int step = 1; step <= 2; step *= 2) {
				memcpy(before, word, sizeof before);
				for (int k = 0; k < SIM_LANES; k++)
					word[k] = sim_bits(join(how, sim_float(before[k]),
						sim_float(before[k ^ step])));
			}
		}
	}
}
