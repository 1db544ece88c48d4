/* mbarriers, TMA and products of warpgroups: shapes and places that the hardware takes, flow, and
 * registers in flight. */
#include "case.h"

#define HEAD                                                                                       \
	"kernel t on sm_90a warps 8 {\n"                                                           \
	"in q : bf16[]\nin h : f16[]\nin x : f32[]\nin n : i32\nout o : f32[]\n"                   \
	"in q_map : map q box 2, 32, 64 panel 64\nin h_map : map h box 64, 64 panel 64\n"          \
	"shared keys : bf16[2, 64, 96] swizzle 3 panel 64\n"                                       \
	"shared rows : bf16[1, 128, 64] panel 64\nshared flat : bf16[1, 64, 64]\n"                 \
	"mbar full[2] count 1\ncounter done[2]\n"                                                  \
	"acc s : f32[128, 64]\nacc t : f32[128, 64]\nacc wide : f32[128, 96]\n"                    \
	"acc tall : f32[256, 64]\nopa a : bf16[128, 96]\nopa b : bf16[128, 64]\n"                  \
	"opa f : f16[128, 64]\nopa e : tf32[128, 64]\nopb k : bf16[16, 64]\nrowv m : f32[128]\n"

#define SET                                                                                        \
	"map s = 0.0\nmap t = 0.0\nmap wide = 0.0\nmap a = bf16(0.0)\nmap b = bf16(0.0)\nmap m = " \
	"0.0\n"

static const mistake parse_mistakes[] = {
	{"init keys\n", "expected an mbarrier or counter, found 'keys'"},
	{"init full[0]\n", "expected the end of the line, found '['"},
	{"expect done[0], 16\n", "'done' is no mbarrier"},
	{"expect full[0.0], 16\n", "an index is i32, not f32"},
	{"expect full[0], 16i64\n", "the bytes is i32, not i64"},
	{"arrive full\n", "expected '[' at the end of the line"},
	{"await full[0]\n", "expected ',' at the end of the line"},
	{"count c = full[0]\n", "'full' is no counter"},
	{"let v = full[0]\n", "'full' is no value"},
	{"let v = q_map\n", "tensor map 'q_map' is no value"},
	{"barrier.sync 1, 100\n", "100 threads: a barrier has whole warps, at most 8"},
	{"barrier.arrive 1, 512\n", "512 threads: a barrier has whole warps, at most 8"},
	{"tma.load keys[0, 0:+64, 0:+64] = q(0, 0, 0) signal full[0]\n", "'q' is no tensor map"},
	{"tma.load keys[0, 0:+64, 0:+64] = q_map(0, 0) signal full[0]\n", "expected ','"},
	{"tma.load keys[0, 0:+64, 0:+64] = q_map(0, 0, 0, 0) signal full[0]\n", "expected ')'"},
	{"tma.load keys[0, 0:+64, 0:+64] = q_map(0, 0, 1.0) signal full[0]\n",
		"a coordinate is i32, not f32"},
	{"tma.load keys[0, 0:+32, 0:+64] = q_map(0, 0, 0) signal full[0]\n",
		"a region of 32 rows for a box of 64"},
	{"tma.load keys[0] = q_map(0, 0, 0) signal full[0]\n",
		"a region of 96 columns is no panel of 'keys'"},
	{"tma.load keys[0, 0:+64, 0:+64] = h_map(0, 0) signal full[0]\n",
		"a load of f16 into a buffer of bf16"},
	{"tma.load flat[0] = q_map(0, 0, 0) signal full[0]\n", "'flat' has no panels"},
	{"wgmma s * a * keys[0]\n", "expected '=' or '+=', found '*'"},
	{"wgmma s = a * flat[0]\n", "'flat' has no panels"},
	{"wgmma s = f * rows[0, 0:+64, 0:+64]\n", "wgmma of f16 and bf16"},
	{"wgmma s = e * rows[0, 0:+64, 0:+64]\n", "'e' is no opa of bf16 or f16"},
	{"wgmma a = a * keys[0]\n", "'a' is no acc tile"},
	{"wgmma tall = a * keys[0]\n", "'tall': a product has 16 rows a warp"},
	{"wgmma s = b * keys[0]\n", "a region of 64 x 96 where the product takes 64 x 64"},
	{"wgmma.trans s = a * keys[0]\n", "a region of 64 x 96 where the product takes 96 x 64"},
	{"wgmma.shared s = keys[0] * keys[1]\n", "a product of 64 rows into 128"},
	{"wgmma.shared s = flat[0] * keys[1]\n", "'flat' has no panels"},
	{"wgmma.turned s = a * keys[0]\n", "expected a register tile, found '.'"},
	{"wgmma.fence s, s\n", "'s' is listed twice"},
	{"wgmma.fence s,\n", "expected a register tile at the end of the line"},
	{"wgmma.fence m\n", "'m' is no tile of a wgmma"},
	{"wgmma.wait 8, s\n", "wait for 0 .. 7 groups of products"},
	{"wgmma.wait 0 s\n", "expected the end of the line, found 's'"},
	{"stsm rows[0] = s\n", "'s' is no opa of bf16 or f16"},
	{"stsm rows[0] = f\n", "'f' holds f16, 'rows' bf16"},
	{"stsm rows[0] = a\n", "a region of 128 x 64 for a tile of 128 x 96"},
	{"fill rows[0] = bf16(f32(warpgroup))\n", "'warpgroup' has no meaning here"},
};

static void test_parser_names_the_mistake(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof parse_mistakes / sizeof *parse_mistakes; i++)
		case_parser_refuses(HEAD, &parse_mistakes[i]);
}

/* --- places and flow --- */

static const mistake verify_mistakes[] = {
	{"await full[2], 0\n", "the index is outside 'full'"},
	{"barrier.sync 16, 256\n", "barriers have the numbers 0 .. 15"},
	{"tma.load keys[0, 0:+64, 32:+64] = q_map(0, 0, 0) signal full[0]\n",
		"the region's first column is not a multiple of 64"},
	{"tma.load keys[0, 0:+64, 0:+32] = q_map(0, 0, 0) signal full[0]\n",
		"a region of 32 columns is not the last panel of 'keys'"},
	{"tma.load rows[0, 4:+64, 0:+64] = q_map(0, 0, 0) signal full[0]\n",
		"the region's first row is not a multiple of 8"},
	{"tma.load keys[lane % 2, 0:+64, 0:+64] = q_map(0, 0, 0) signal full[0]\n",
		"the region is not the same in all threads of the warp"},
	{"tma.load keys[0, 0:+64, 0:+64] = q_map(0, lane, 0) signal full[0]\n",
		"the value depends on which thread computes it"},
	{"expect full[lane % 2], 16\n", "the value depends on which thread computes it"},
	{"expect full[0], tid\n", "the value depends on which thread computes it"},
	{"await full[0], lane % 2\n", "the value depends on which thread computes it"},
	{"if lane == 0 {\narrive full[0]\n}\n", "not all threads of the warp come here together"},
	{"if lane == 0 {\ncount c = done[0]\n}\n", "not all threads of the warp"},
	{"if lane == 0 {\nbarrier.sync 1, 256\n}\n", "not all threads of the warp"},
	{"count c = done[0]\nif c == 3 {\nbarrier\n}\n", "not all threads of the block"},
	{"if warpgroup == 0 {\nbarrier\n}\n", "not all threads of the block"},
	{SET "if warp == 0 {\nwgmma.fence s\n}\n", "not all threads of the warpgroup"},
	{SET "count c = done[0]\nif c == 0 {\nwgmma.commit\n}\n",
		"not all threads of the warpgroup"},
	{SET "wgmma.fence s, a\nwgmma s = a * keys[warp % 2]\n",
		"the region is not the same in all threads of the warpgroup"},
	{SET "wgmma.fence s, a\nwgmma s = a[:, 0:+32] * keys[0, 0:+64, n:+32]\n",
		"the region's first column is not a multiple of 16"},
	{SET "wgmma.fence s, a\nwgmma.trans s = b * rows[0, 4:+64, 0:+64]\n",
		"the region's first row is not a multiple of 8"},
	{SET "wgmma.fence s, a\nwgmma.trans s[:, 0:+32] = b * keys[0, 0:+64, 32:+32]\n",
		"the region's first column is not a multiple of 64"},
	{"wgmma.fence s\nwgmma.shared s += rows[0] * rows[0, 0:+64, 0:+64]\n",
		"'s' is read before it is written"},
	{"wgmma.fence s\nwgmma s = a * keys[0]\n", "'a' is read before it is written"},
	{"stsm rows[0, 0:+128, 4:+64] = b\n", "'b' is read before it is written"},
};

static void test_verifier_names_the_mistake(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof verify_mistakes / sizeof *verify_mistakes; i++)
		case_verifier_refuses(HEAD, &verify_mistakes[i]);
}

/* --- registers in flight --- */

#define INTO_S "wgmma s += a * keys[0]\nwgmma.commit\n"
#define INTO_T "wgmma t += a * keys[1]\nwgmma.commit\n"

static const mistake flight_mistakes[] = {
	{SET INTO_S "wgmma.wait 0, s, a\n", "no wgmma.fence stands before the product into 's'"},
	{SET "wgmma.fence a\nmap s = 1.0\n" INTO_S "wgmma.wait 0, s, a\n",
		"no wgmma.fence stands between the last use of 's' and this product"},
	{SET "wgmma.fence s\nmap a = bf16(1.0)\n" INTO_S "wgmma.wait 0, s, a\n",
		"no wgmma.fence stands between the last use of 'a' and this product"},
	{SET "wgmma.fence s\n" INTO_S "wgmma.wait 0, s\n" INTO_T "wgmma.wait 0, t\n",
		"no wgmma.fence stands before the product into 't', behind the last wgmma.wait"},
	{SET "wgmma.fence s\n" INTO_S, "'s' is in flight when the kernel ends"},
	{SET "wgmma.fence s\nwgmma s += a * keys[0]\nwgmma.wait 0, s\n", "'s' is in flight when"},
	{SET "wgmma.fence s\n" INTO_S "map s = s * 2.0\n",
		"'s' is in flight: no wgmma.wait covers its product"},
	{SET "wgmma.fence s\n" INTO_S "reduce.max m, s\n", "'s' is in flight"},
	{SET "wgmma.fence s\n" INTO_S "map b = bf16(s)\n", "'s' is in flight"},
	{SET "wgmma.fence s\n" INTO_S "store o[i64(row)] = s over s\n", "'s' is in flight"},
	{SET "wgmma.fence s\n" INTO_S "map a = bf16(1.0)\n", "'a' is in flight"},
	{SET "wgmma.fence s\n" INTO_S INTO_T "wgmma.wait 1, s, t\nmap t = 0.0\n",
		"'t' is in flight: no wgmma.wait covers its product"},
	{SET "wgmma.fence s\n" INTO_S "wgmma.wait 0\nmap s = 0.0\n",
		"the wgmma.wait that covers the product with 's' does not name it"},
	{SET "wgmma.fence s\n" INTO_S "wgmma.wait 0, s\nmap a = bf16(wide)\n",
		"the wgmma.wait that covers the product with 'a' does not name it"},
	/* the younger of two products into the same tile counts */
	{SET "wgmma.fence s\n" INTO_S INTO_S "wgmma.wait 1, s\nmap s = 0.0\n", "'s' is in flight"},
	/* on one path only */
	{SET "if n < 2 {\nwgmma.fence s\n" INTO_S "}\nmap s = 0.0\n", "'s' is in flight"},
	{SET "wgmma.fence s\n" INTO_S "if n < 2 {\nwgmma.wait 0, s, a\n}\nmap s = 0.0\n",
		"'s' is in flight"},
	/* out of a loop */
	{SET "for i in 0 .. n {\nwgmma.fence s\n" INTO_S
	     "break if n == 7\nwgmma.wait 0, s, a\n}\nmap s "
	     "= 0.0\n",
		"'s' is in flight"},
	/* over the back edge */
	{SET "for i in 0 .. n {\nmap b = bf16(s)\nwgmma.fence s\n" INTO_S "}\nwgmma.wait 0, s, a\n",
		"'s' is in flight"},
	{SET "for i in 0 .. n {\nwgmma.fence s\n" INTO_S "}\nmap t = s\n", "'s' is in flight"},
	{SET "unroll i in 0 .. 3 {\nif i == 2 {\nmap b = bf16(s)\n}\nwgmma.fence s\n" INTO_S
	     "}\nwgmma.wait 0, s, a\n",
		"'s' is in flight"},
};

static const char *const fine[] = {
	SET "wgmma.fence s\n" INTO_S INTO_T "wgmma.wait 1, s\nmap s = s * 2.0\nwgmma.wait 0, t, a\n"
	    "map a = bf16(wide)\n",
	/* several products into the same tile; the left operand is read beside them */
	SET "wgmma.fence s\n" INTO_S INTO_S "stsm rows[0] = a[:, 0:+64]\nwgmma.wait 0, s\nmap s = "
	    "0.0\n",
	/* never read, but over */
	SET "wgmma.fence s\n" INTO_S "wgmma.wait 0\n",
	/* in flight over the back edge, and waited for behind the loop */
	SET "for i in 0 .. n {\nwgmma.fence t, b\nwgmma.trans t += b * rows[0, 0:+64, 0:+64]\n"
	    "wgmma.commit\nwgmma.wait 0, b\nmap b = bf16(1.0)\n}\nwgmma.wait 0, t\nmap s = t\n",
	SET "for i in 0 .. n {\nwgmma.fence s\n" INTO_S "wgmma.wait 0, s\nreduce.max m, s\n}\n",
	/* left only where nothing is in flight */
	SET "wgmma.fence s\n" INTO_S "for i in 0 .. 2147483647 {\nwgmma.wait 0, s, a\nmap m = 0.0\n"
	    "reduce.max m, s\nbreak if i + 1 == n\nwgmma.fence s\n" INTO_S "}\nmap s = 0.0\n",
	/* two tiles in turn */
	SET "wgmma.fence s\n" INTO_S "unroll i in 0 .. 4 {\nif i % 2 == 0 {\nwgmma.fence t\n" INTO_T
	    "wgmma.wait 1, s\nmap b = bf16(s)\n} else {\nwgmma.fence s\n" INTO_S
	    "wgmma.wait 1, t\nmap b = bf16(t)\n}\n}\nwgmma.wait 0, s, t, a\n",
	SET "if warpgroup == 1 {\nbarrier.sync warpgroup + 1, 128\nwgmma.fence s\n" INTO_S
	    "wgmma.wait 0, s\n}\nmap s = s\n",
	"tma.load keys[n % 2, 0:+64, 64:+32] = q_map(n, -1, warp) signal full[warp % 2]\n",
	"count c = done[0]\nif c == 7 {\nexpect full[0], c\ntma.load rows[0, n % 8 * 8:+64, "
	"0:+64] = q_map(0, 0, 0) signal full[0]\n}\n",
};

static void test_tiles_in_flight(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof flight_mistakes / sizeof *flight_mistakes; i++)
		case_verifier_refuses(HEAD, &flight_mistakes[i]);
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		case_verifies(HEAD, fine[i]);
}

/* --- declarations --- */

static void test_declarations(void **state)
{
	static const mistake wrong[] = {
		{"in q : bf16[]\nin w : map q box 64, 32 panel 64\n",
			"the innermost extent of a box"},
		{"in q : bf16[]\nin w : map q box 512, 64 panel 64\n",
			"extents of a box lie in 1 .. 256"},
		{"in q : bf16[]\nin w : map q box 1, 1, 1, 1, 1, 64 panel 64\n",
			"a tensor map has at most 5 dimensions"},
		{"in q : bf16[]\nin w : map q box 8, 64\n", "expected 'panel'"},
		{"in q : f32[]\nin w : map q box 8, 64 panel 64\n",
			"a map is of a tensor of bf16 or f16"},
		{"in q : i32\nin w : map q box 8, 64 panel 64\n",
			"a map is of a tensor of bf16 or f16"},
		{"out q : bf16[]\nin w : map q box 8, 64 panel 64\n", "a map is of an input"},
		{"shared s : f32[1, 8, 64] panel 64\n", "panels are 64 columns of bf16 or f16"},
		{"shared s : bf16[1, 8, 64] swizzle 2 panel 64\n", "panels are 64 columns"},
		{"shared s : bf16[1, 12, 64] panel 64\n", "columns in 16s and rows in 8s"},
		{"shared s : bf16[1, 8, 40] panel 64\n", "columns in 16s and rows in 8s"},
		{"shared s : bf16[1, 8, 64] panel 32\n", "does not lie in 64 .. 64"},
		{"mbar m[0] count 1\n", "does not lie in 1 .. 65536"},
		{"mbar m[2000] count 1\n", "there are 1 to 1024 of an array"},
		{"mbar m[2]\n", "expected 'count'"},
		{"counter m[2] count 1\n", "expected the end of the line"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		case_parser_refuses("kernel t on sm_90a warps 4 {\n", &wrong[i]);
	case_verifier_says("kernel t on sm_90a warps 4 {\n",
		"in q : bf16[]\nin w : map q box 8, 64 panel 64\nin n : i32\n", "maps come last");
	case_verifier_says("kernel t on sm_90a warps 4 shared 2048 {\n",
		"shared s : bf16[1, 8, 64] panel 64 at 0\nmbar m[2] count 1 at 1016\n",
		"'m' overlaps 's'");
	case_verifier_says("kernel t on sm_90a warps 4 shared 2048 {\n", "mbar m[2] count 1 at 4\n",
		"'m': bytes 4 .. 20 are unaligned");
}

/* --- builders --- */

/* Everything through the C interface, and placed. */
static void test_builders(void **state)
{
	static const int box[] = {1, 64, 64};
	static const loc at;
	arena *a = arena_create();
	tile_program *p = tile_program_create(a, "t", "sm_90a", 4, NULL);
	tile_arg *k = tile_tensor(p, at, "k", TILE_BF16, false);
	tile_arg *map = tile_map_arg(p, at, "k_map", k, 3, box);
	tile_buffer *keys = tile_shared_panels(p, at, "keys", TILE_BF16, 2, 64, 80);
	tile_mbar *full = tile_mbarrier(p, at, "full", 3, 2);
	tile_mbar *done = tile_counter(p, at, "done", 1);
	tile_frag *s = tile_register(p, at, "s", LAYOUT_ACC, TILE_F32, 64, 64);
	tile_frag *q = tile_register(p, at, "q", LAYOUT_OPA, TILE_BF16, 64, 80);
	tile_frag *both[] = {s, q};
	tile_expr *zero = tx_i32(p, 0), *coord[] = {zero, zero, zero};

	(void)state;
	tile_place_shared(p);
	assert_int_equal(keys->offset, 0);
	assert_int_equal(tile_slot_bytes(keys), 2 * 64 * 128);
	assert_int_equal(full->offset, 4 * 64 * 128);
	assert_int_equal(done->offset, full->offset + 24);
	assert_int_equal(p->shared_bytes, done->offset + 4);
	tile_init(p, at, full);
	tile_init(p, at, done);
	tile_fence_async(p, at);
	tile_barrier(p, at);
	tile_expect(p, at, full, NULL, tx_i32(p, 64 * 128));
	tile_tma_load(p, at, tile_part(keys, NULL, NULL, NULL, 64, 64), map, coord, 3, full, NULL);
	tile_arrive(p, at, full, zero);
	tile_await(p, at, full, zero, zero);
	tile_ldsm(p, at, tile_whole(q), tile_all(keys, zero), false);
	tile_stsm(p, at, tile_all(keys, zero), tile_whole(q));
	tile_wgmma_fence(p, at, both, 2);
	tile_wgmma(p, at, tile_whole(s), tile_whole(q), tile_all(keys, zero), false, true);
	tile_wgmma(p, at, tile_whole(s), tile_columns(q, NULL, 64),
		tile_part(keys, NULL, NULL, NULL, 64, 64), true, false);
	tile_wgmma_shared(p, at, tile_whole(s), tile_all(keys, zero), tile_all(keys, tx_i32(p, 1)),
		false, false);
	tile_wgmma_commit(p, at);
	tile_wgmma_wait(p, at, 0, both, 2);
	tile_bar_arrive(p, at, tx_i32(p, 1), 128);
	tile_bar_sync(p, at, tx_2(p, TX_ADD, tx_leaf(p, TX_WARPGROUP), tx_i32(p, 2)), 64);
	assert_int_equal(tile_count(p, at, "n", done, zero)->type, TILE_I32);
	assert_null(case_verify(a, p));
	assert_non_null(
		strstr(case_print(a, p), "wgmma.trans s += q[:, 0:+64] * keys[0, 0:+64, 0:+64]"));
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parser_names_the_mistake),
		cmocka_unit_test(test_verifier_names_the_mistake),
		cmocka_unit_test(test_tiles_in_flight),
		cmocka_unit_test(test_declarations),
		cmocka_unit_test(test_builders),
	};

	return cmocka_run_group_tests_name("tile async", tests, NULL, NULL);
}
