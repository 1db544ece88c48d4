/* Layouts: against the PTX ISA's fragments, as bijections, between tiles; shared memory's banks. */
#include "case.h"

static tile_program *program(arena *a, int warps)
{
	return tile_program_create(a, "t", "sm_80", warps, NULL);
}

static tile_frag *frag(tile_program *p, tile_layout l, tile_type t, int rows, int cols)
{
	return tile_register(p, (loc){0}, "f", l, t, rows, cols);
}

static tile_frag *over_acc(tile_program *p, tile_layout l, tile_type t, int rows, int cols)
{
	return tile_register_over_acc(p, (loc){0}, "f", l, t, rows, cols);
}

/* Element (r, e) of `lane` is (row, col). */
static void expect(
	const tile_program *p, const tile_frag *f, int lane, int r, int e, int row, int col)
{
	int is_row, is_col;

	tile_element(p, f, lane, r, e, &is_row, &is_col);
	if (is_row != row || is_col != col)
		fail_msg("%s %s lane %d register %d.%d: (%d, %d), not (%d, %d)",
			tile_layout_name(f->layout), tile_type_name(f->type), lane, r, e, is_row,
			is_col, row, col);
}

/* PTX ISA 9.7.14.5.8, matrix fragments for mma.m16n8k16 with floating point type:
 * a_i row: groupID for 0 <= i < 2 or 4 <= i < 6, else groupID + 8
 *     col: (threadID_in_group * 2) + (i & 1) for i < 4, + 8 for i >= 4
 * b_i row: (threadID_in_group * 2) + (i & 1) for i < 2, + 8 for i >= 2;  col: groupID
 * c_i row: groupID for i < 2, groupID + 8 else;  col: (threadID_in_group * 2) + (i & 1) */
static void test_fragments_of_m16n8k16(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 1);
	tile_frag *a = frag(p, LAYOUT_OPA, TILE_BF16, 16, 16);
	tile_frag *b = frag(p, LAYOUT_OPB, TILE_F16, 16, 8);
	tile_frag *c = frag(p, LAYOUT_ACC, TILE_F32, 16, 8);

	(void)state;
	assert_int_equal(tile_registers(p, a), 4);
	assert_int_equal(tile_registers(p, b), 2);
	assert_int_equal(tile_registers(p, c), 4);
	for (int lane = 0; lane < 32; lane++) {
		int group = lane >> 2, thread = lane % 4;

		for (int i = 0; i < 8; i++)
			expect(p, a, lane, i / 2, i % 2,
				i < 2 || (i >= 4 && i < 6) ? group : group + 8,
				thread * 2 + (i & 1) + (i >= 4 ? 8 : 0));
		for (int i = 0; i < 4; i++)
			expect(p, b, lane, i / 2, i % 2, thread * 2 + (i & 1) + (i >= 2 ? 8 : 0),
				group);
		for (int i = 0; i < 4; i++)
			expect(p, c, lane, i, 0, i < 2 ? group : group + 8, thread * 2 + (i & 1));
	}
	/* as the manual's figure shows them: lane 5 holds a0..a7 of rows 1 and 9 */
	expect(p, a, 5, 0, 0, 1, 2);
	expect(p, a, 5, 1, 1, 9, 3);
	expect(p, a, 5, 3, 0, 9, 10);
	expect(p, b, 31, 1, 1, 15, 7);
	expect(p, c, 18, 3, 0, 12, 5);
	arena_destroy(m);
}

/* PTX ISA, matrix fragments for mma.m16n8k8, .tf32:
 * a_i row: groupID for a0, a2, groupID + 8 for a1, a3;  col: threadID_in_group, + 4 for a2, a3
 * b_i row: threadID_in_group, + 4 for b1;  col: groupID */
static void test_fragments_of_m16n8k8_tf32(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 1);
	tile_frag *a = frag(p, LAYOUT_OPA, TILE_TF32, 16, 8);
	tile_frag *b = frag(p, LAYOUT_OPB, TILE_TF32, 8, 8);
	tile_frag *paired = over_acc(p, LAYOUT_OPA, TILE_TF32, 16, 8);

	(void)state;
	assert_int_equal(tile_registers(p, a), 4);
	assert_int_equal(tile_registers(p, b), 2);
	for (int lane = 0; lane < 32; lane++) {
		int group = lane >> 2, thread = lane % 4;

		for (int i = 0; i < 4; i++)
			expect(p, a, lane, i, 0, i == 0 || i == 2 ? group : group + 8,
				i < 2 ? thread : thread + 4);
		for (int i = 0; i < 2; i++)
			expect(p, b, lane, i, 0, i ? thread + 4 : thread, group);
		for (int i = 0; i < 4; i++)
			expect(p, paired, lane, i, 0, i % 2 ? group + 8 : group,
				2 * thread + i / 2);
	}
	arena_destroy(m);
}

static void test_registers_of_large_tiles(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 4);
	tile_frag *q = frag(p, LAYOUT_OPA, TILE_BF16, 64, 128);
	tile_frag *s = frag(p, LAYOUT_ACC, TILE_F32, 128, 64);
	tile_frag *v = frag(p, LAYOUT_ROWV, TILE_F32, 128, 1);

	(void)state;
	assert_int_equal(tile_registers(p, q), 32);
	assert_int_equal(tile_registers(p, s), 64);
	assert_int_equal(tile_registers(p, v), 4);
	assert_int_equal(tile_warp_rows(p, s), 32);
	/* the second cell of the first cell row, then the second cell row */
	expect(p, q, 0, 4, 0, 0, 16);
	expect(p, s, 0, 4, 0, 0, 8);
	expect(p, s, 0, 32, 0, 16, 0);
	expect(p, v, 4, 3, 0, 25, 0);
	arena_destroy(m);
}

/* Every element of the warp's part is held once (vectors: by how many lanes share it). */
static void check_bijective(const tile_program *p, const tile_frag *f, int copies)
{
	int rows = tile_warp_rows(p, f), n = rows * f->cols,
	    *held = calloc((size_t)n, sizeof *held);

	for (int lane = 0; lane < 32; lane++)
		for (int r = 0; r < tile_registers(p, f); r++)
			for (int e = 0; e < tile_register_elements(f); e++) {
				int row, col, fr, fe;

				tile_element(p, f, lane, r, e, &row, &col);
				assert_in_range(row, 0, rows - 1);
				assert_in_range(col, 0, f->cols - 1);
				held[row * f->cols + col]++;
				assert_true(tile_find(p, f, lane, row, col, &fr, &fe));
				assert_int_equal(fr, r);
				assert_int_equal(fe, e);
			}
	for (int i = 0; i < n; i++)
		assert_int_equal(held[i], copies);
	free(held);
}

static void test_every_element_has_its_thread(void **state)
{
	static const tile_type types[] = {TILE_BF16, TILE_F16, TILE_TF32, TILE_F32};
	arena *m = arena_create();
	tile_program *p = program(m, 2);

	(void)state;
	check_bijective(p, frag(p, LAYOUT_ACC, TILE_F32, 64, 24), 1);
	check_bijective(p, frag(p, LAYOUT_ROWV, TILE_I32, 64, 1), 4);
	for (int i = 0; i < 4; i++) {
		check_bijective(p, frag(p, LAYOUT_OPA, types[i], 64, 48), 1);
		check_bijective(p, frag(p, LAYOUT_OPB, types[i], 48, 40), 1);
		check_bijective(p, tile_columnv(p, (loc){0}, "c", types[i], LAYOUT_OPA, 48), 8);
	}
	check_bijective(p, tile_columnv(p, (loc){0}, "c", TILE_F32, LAYOUT_ACC, 40), 8);
	check_bijective(p, tile_columnv(p, (loc){0}, "c", TILE_BF16, LAYOUT_ACC, 40), 8);
	arena_destroy(m);
}

/* Whether all of f's elements have a peer in src; each one found is checked in every lane. */
static bool peers(const tile_program *p, const tile_frag *src, const tile_frag *f)
{
	int all = tile_registers(p, f) * tile_register_elements(f), found = 0;

	for (int r = 0; r < tile_registers(p, f); r++)
		for (int e = 0; e < tile_register_elements(f); e++) {
			int sr, se;

			if (!tile_peer(p, src, f, r, e, &sr, &se))
				continue;
			found++;
			for (int lane = 0; lane < 32; lane++) {
				int row, col, srow, scol;

				tile_element(p, f, lane, r, e, &row, &col);
				tile_element(p, src, lane, sr, se, &srow, &scol);
				if (src->layout != LAYOUT_COLV)
					assert_int_equal(row, srow);
				if (src->layout != LAYOUT_ROWV)
					assert_int_equal(col, scol);
			}
		}
	assert_true(found == 0 || found == all);
	return found == all;
}

static void test_peers(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 2);
	tile_frag *acc = frag(p, LAYOUT_ACC, TILE_F32, 32, 32);
	tile_frag *a16 = frag(p, LAYOUT_OPA, TILE_BF16, 32, 32);
	tile_frag *a32 = frag(p, LAYOUT_OPA, TILE_TF32, 32, 32);
	tile_frag *f32 = frag(p, LAYOUT_OPA, TILE_F32, 32, 32);
	tile_frag *t32 = over_acc(p, LAYOUT_OPA, TILE_TF32, 32, 32);
	tile_frag *b32 = over_acc(p, LAYOUT_OPB, TILE_TF32, 32, 32);
	tile_frag *b16 = frag(p, LAYOUT_OPB, TILE_BF16, 32, 32);
	tile_frag *row = frag(p, LAYOUT_ROWV, TILE_F32, 32, 1);
	tile_frag *other = frag(p, LAYOUT_ROWV, TILE_F32, 64, 1);
	tile_frag *cacc = tile_columnv(p, (loc){0}, "c", TILE_F32, LAYOUT_ACC, 32);
	tile_frag *c16 = tile_columnv(p, (loc){0}, "c", TILE_BF16, LAYOUT_OPA, 32);
	tile_frag *c32 = tile_columnv(p, (loc){0}, "c", TILE_F32, LAYOUT_OPA, 32);

	(void)state;
	assert_true(peers(p, acc, a16)); /* P of the scores, without a shuffle */
	assert_true(peers(p, a16, acc));
	assert_true(peers(p, row, acc));
	assert_true(peers(p, row, a16));
	assert_true(peers(p, row, a32));
	assert_true(peers(p, cacc, acc));
	assert_true(peers(p, cacc, a16));
	assert_true(peers(p, c16, a16));
	assert_true(peers(p, c16, acc));
	assert_true(peers(p, c32, a32));
	assert_true(peers(p, f32, a32));
	assert_true(peers(p, c16, cacc));
	assert_true(peers(p, b16, b16));
	assert_true(peers(p, acc, t32));
	assert_true(peers(p, cacc, t32));
	assert_true(peers(p, row, t32));
	assert_false(peers(p, acc, a32));
	assert_false(peers(p, a32, t32));
	assert_false(peers(p, frag(p, LAYOUT_OPB, TILE_TF32, 32, 32), b32));
	assert_false(peers(p, c16, a32));
	assert_false(peers(p, c32, acc));
	assert_false(peers(p, acc, b16));
	assert_false(peers(p, row, b16));
	assert_false(peers(p, acc, row));
	assert_false(peers(p, acc, cacc));
	assert_false(peers(p, cacc, row));
	assert_false(peers(p, other, acc));
	arena_destroy(m);
}

/* --- ldmatrix --- */

/* Loads as the hardware does: lane l of each group of eight names a row of 16 bytes; thread (g, t)
 * gets 32 bits of row g, or with trans the halves t*2, t*2+1 of column g. */
static void check_ldmatrix(tile_program *p, tile_frag *f, bool trans)
{
	tile_cell c = tile_cell_of(f);
	int rows = tile_warp_rows(p, f), across = f->cols / c.cols,
	    width = 16 / tile_type_bytes(f->type);
	bool turned = trans != (f->layout == LAYOUT_OPB);
	int per = tile_register_elements(f), loaded = 0;

	for (int n = 0; n < tile_ldmatrix_count(f, rows, f->cols); n++) {
		tile_ldmatrix x = tile_ldmatrix_at(f, rows, f->cols, trans, n);

		for (int i = 0; i < x.matrices; i++, loaded++) {
			int cell = x.cell_row * across + x.cell_col + i / c.registers;
			int reg = cell * c.registers + i % c.registers;
			int row0 = x.row + i % 2 * x.row8 + i / 2 * x.row16;
			int col0 = x.col + i % 2 * x.col8 + i / 2 * x.col16;

			assert_int_equal(col0 % width, 0);
			for (int lane = 0; lane < 32; lane++)
				for (int e = 0; e < per; e++) {
					int g = lane / 4, t = lane % 4, row, col;
					int mr = trans ? 2 * t + e : g,
					    mc = trans ? g : t * per + e;

					tile_element(p, f, lane, reg, e, &row, &col);
					assert_int_equal(turned ? col : row, row0 + mr);
					assert_int_equal(turned ? row : col, col0 + mc);
				}
		}
	}
	assert_int_equal(loaded, tile_registers(p, f));
}

static void test_ldmatrix_fills_operands(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 2);

	(void)state;
	for (int trans = 0; trans < 2; trans++) {
		check_ldmatrix(p, frag(p, LAYOUT_OPA, TILE_BF16, 64, 32), trans);
		check_ldmatrix(p, frag(p, LAYOUT_OPB, TILE_BF16, 32, 64), trans);
		check_ldmatrix(p, frag(p, LAYOUT_OPB, TILE_F16, 16, 24), trans);
	}
	check_ldmatrix(p, frag(p, LAYOUT_OPA, TILE_TF32, 64, 32), false);
	check_ldmatrix(p, frag(p, LAYOUT_OPB, TILE_TF32, 32, 24), false);
	arena_destroy(m);
}

/* --- shared memory --- */

/* Eight threads that access 16 bytes each at once want eight different groups of four banks. */
static void expect_no_conflict(const int64_t *offset)
{
	int banks = 0;

	for (int i = 0; i < 8; i++)
		banks |= 1 << offset[i] / 16 % 8;
	assert_int_equal(banks, 0xff);
}

static void check_banks(tile_program *p, int cols)
{
	tile_buffer *b = tile_shared(p, (loc){0}, "b", TILE_BF16, 1, 64, cols);
	int chunks = cols / 8;
	int64_t at[8];
	bool *used = calloc((size_t)chunks * 64, sizeof *used);

	/* ldmatrix: one chunk column of eight rows */
	for (int row = 0; row < 64; row += 8)
		for (int c = 0; c < chunks; c++) {
			for (int i = 0; i < 8; i++)
				at[i] = tile_shared_offset(b, row + i, c * 8);
			expect_no_conflict(at);
		}
	/* copies: eight chunks in row-major order */
	for (int n = 0; n + 8 <= 64 * chunks; n += 8) {
		for (int i = 0; i < 8; i++)
			at[i] = tile_shared_offset(b, (n + i) / chunks, (n + i) % chunks * 8);
		expect_no_conflict(at);
	}
	/* every chunk has a place of its own inside the slot, elements stay in order in it */
	for (int n = 0; n < 64 * chunks; n++) {
		int64_t offset = tile_shared_offset(b, n / chunks, n % chunks * 8);

		assert_int_equal(offset % 16, 0);
		assert_in_range(offset / 16, 0, 64 * chunks - 1);
		assert_false(used[offset / 16]);
		used[offset / 16] = true;
		assert_int_equal(
			tile_shared_offset(b, n / chunks, n % chunks * 8 + 5), offset + 10);
	}
	free(used);
}

static void test_no_bank_conflicts(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 4);

	(void)state;
	for (int bytes = 16; bytes <= 1024; bytes += 16)
		check_banks(p, bytes / 2);
	arena_destroy(m);
}

/* Rows of 128, 64 and 32 bytes are permuted as the hardware's swizzle modes do: address bits 4 to 6
 * ^= bits 7 to 9 (128B), bits 4, 5 ^= 7, 8 (64B), bit 4 ^= 7 (32B). */
static void test_swizzle_is_the_hardware_mode(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 4);

	(void)state;
	for (int s = 1; s <= 3; s++) {
		int bytes = 16 << s;
		tile_buffer *b = tile_shared(p, (loc){0}, "b", TILE_F16, 1, 64, bytes / 2);

		assert_int_equal(b->swizzle, s);
		for (int64_t plain = 0; plain < 64 * bytes; plain += 2) {
			int64_t mode = plain ^ (plain >> 7 & ((1 << s) - 1)) << 4;

			assert_int_equal(
				tile_shared_offset(b, plain / bytes, plain % bytes / 2), mode);
		}
	}
	arena_destroy(m);
}

static int64_t swizzle_128(int64_t byte)
{
	return byte ^ (byte >> 7 & 7) << 4;
}

/* Panels one after the other, each rows of 128 bytes as TMA writes them; the last in full width. */
static void test_panels(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 4);
	tile_buffer *b = tile_shared_panels(p, (loc){0}, "b", TILE_BF16, 3, 24, 144);

	(void)state;
	assert_int_equal(tile_panel_bytes(b), 24 * 128);
	assert_int_equal(tile_slot_bytes(b), 3 * 24 * 128);
	for (int row = 0; row < b->rows; row++)
		for (int col = 0; col < b->cols; col++)
			assert_int_equal(tile_shared_offset(b, row, col),
				swizzle_128(col / 64 * 24 * 128 + row * 128 + col % 64 * 2));
	arena_destroy(m);
}

/* Where the hardware finds element (k, n) of an operand: PTX ISA, canonical layouts of the 128-byte
 * swizzle, from a descriptor with its address. */
static int64_t operand_at(uint64_t d, bool trans, int k, int n)
{
	int64_t start = (int64_t)(d & 0x3fff) * 16, leading = (int64_t)(d >> 16 & 0x3fff) * 16;
	int64_t stride = (int64_t)(d >> 32 & 0x3fff) * 16;

	assert_int_equal(d >> 62, 1);
	if (trans)
		return swizzle_128(
			start + n / 64 * leading + k / 8 * stride + k % 8 * 128 + n % 64 * 2);
	return swizzle_128(start + n / 8 * stride + n % 8 * 128 + k * 2);
}

static void check_descriptor(const tile_buffer *b, bool trans, int row, int col, int n)
{
	uint64_t d = tile_descriptor(b, trans);

	d += (uint64_t)(b->offset + tile_shared_offset(b, row, col)) / 16;
	for (int k = 0; k < 16; k++)
		for (int j = 0; j < n; j++)
			assert_int_equal(operand_at(d, trans, k, j),
				b->offset + tile_shared_offset(b, row + (trans ? k : j),
						    col + (trans ? j : k)));
}

static void test_descriptors_reach_every_element(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 4);
	tile_buffer *b, *t;

	(void)state;
	tile_shared_panels(p, (loc){0}, "a", TILE_BF16, 1, 8, 64);
	b = tile_shared_panels(p, (loc){0}, "b", TILE_BF16, 1, 72, 144);
	t = tile_shared_panels(p, (loc){0}, "t", TILE_F16, 1, 48, 208);
	tile_place_shared(p);
	for (int row = 0; row < 72; row += 8)
		for (int col = 0; col < 144; col += 16)
			check_descriptor(b, false, row, col, 72 - row);
	for (int row = 0; row <= 32; row += 8)
		for (int col = 0; col < 208; col += 64)
			check_descriptor(t, true, row, col, 208 - col);
	arena_destroy(m);
}

static void test_buffers_are_placed(void **state)
{
	arena *m = arena_create();
	tile_program *p = program(m, 4);
	tile_buffer *a = tile_shared(p, (loc){0}, "a", TILE_BF16, 2, 10, 64);
	tile_buffer *b = tile_shared(p, (loc){0}, "b", TILE_F32, 1, 3, 4);
	tile_buffer *c = tile_shared_again(p, (loc){0}, "c", TILE_BF16, 1, 64, 128, a);
	text why = {0};

	(void)state;
	assert_int_equal(a->offset, -1);
	tile_place_shared(p);
	assert_int_equal(tile_slot_bytes(a), 2048);
	assert_int_equal(a->offset, 0);
	assert_int_equal(c->offset, 0);
	assert_int_equal(b->offset, 16384);
	assert_int_equal(p->shared_bytes, 16384 + 128);
	assert_true(tile_verify(p, &why));
	text_free(&why);
	arena_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fragments_of_m16n8k16),
		cmocka_unit_test(test_fragments_of_m16n8k8_tf32),
		cmocka_unit_test(test_registers_of_large_tiles),
		cmocka_unit_test(test_every_element_has_its_thread),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_ldmatrix_fills_operands),
		cmocka_unit_test(test_no_bank_conflicts),
		cmocka_unit_test(test_swizzle_is_the_hardware_mode),
		cmocka_unit_test(test_panels),
		cmocka_unit_test(test_descriptors_reach_every_element),
		cmocka_unit_test(test_buffers_are_placed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
