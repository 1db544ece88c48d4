/* test_ptx.c: PTX of small programs holds the instructions that it should, for each architecture;
 * every shipped spec and every program of the tile tests assembles, without spills. The latter are
 * skipped where ptxas is absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "emit/emit.h"
#include "kernel.h"
#include "runtime/ptxas.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* --- one program --- */

static char *ptx_of(const tile_program *p, const char *target)
{
	arena *a = arena_create();
	diags *d = diags_create(a, NULL);
	text out = {0};

	if (!emit_ptx(p, arch_find(target), &out, NULL, d)) {
		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	arena_destroy(a);
	return text_take(&out);
}

static tile_program *parse(arena *a, const source *src)
{
	diags *d = diags_create(a, src);
	tile_program *p = tile_parse(a, src, d);
	text why = {0};

	if (!p) {
		diags_print(d, DIAG_TEXT, &why);
		fail_msg("%s", why.data);
	} else if (!tile_verify(p, &why)) {
		fail_msg("%s", why.data);
	}
	text_free(&why);
	return p;
}

static rt_ptxas *find_tool(void)
{
	rt_ptxas *tool = NULL;
	rt_error err = {0};

	return rt_ptxas_find(&tool, &err) == RT_OK ? tool : NULL;
}

/* Fails when ptxas refuses the text; `spills`: also when it spills. */
static void assemble(
	rt_ptxas *tool, const char *what, const char *ptx, const char *target, bool spills)
{
	rt_ptxas_options o = {.arch = target};
	rt_ptxas_result r;
	rt_status status;
	rt_error err = {0};

	status = rt_ptxas_run(tool, ptx, strlen(ptx), &o, &r, &err);
	if (status == RT_OLD_TOOL)
		return;
	if (status != RT_OK)
		fail_msg("%s for %s: %s", what, target, err.message);
	if (spills && rt_ptxas_check(&r, &err) != RT_OK)
		fail_msg("%s for %s: %s", what, target, err.message);
	rt_ptxas_result_clear(&r);
}

/* PTX of a program in text form, assembled where possible. */
static char *ptx_of_text(const char *target, const char *body)
{
	arena *a = arena_create();
	char *all = arena_printf(a, "kernel t on %s warps 2%s {\n%s}\n", target,
		     strstr(body, "shared") ? " shared 16384" : "", body),
	     *ptx;
	rt_ptxas *tool = find_tool();

	ptx = ptx_of(parse(a, source_create(a, "t.tile", all, strlen(all))), target);
	if (tool)
		assemble(tool, body, ptx, target, false);
	rt_ptxas_destroy(tool);
	arena_destroy(a);
	return ptx;
}

static int occurrences(const char *s, const char *word)
{
	int n = 0;

	for (; (s = strstr(s, word)); s += strlen(word))
		n++;
	return n;
}

#define expect(ptx, word, times)                                                                   \
	do {                                                                                       \
		if (occurrences(ptx, word) != (times))                                             \
			fail_msg("%d times '%s', not %d:\n%s", occurrences(ptx, word), word,       \
				times, ptx);                                                       \
	} while (0)

/* --- kernels --- */

static void head_names_target_and_bounds(void **unused)
{
	static const struct {
		const char *target, *version, *line;
	} row[] = {{"sm_75", ".version 6.5", ".target sm_75"},
		{"sm_80", ".version 7.0", ".target sm_80"},
		{"sm_90a", ".version 8.0", ".target sm_90a"},
		{"sm_103", ".version 8.8", ".target sm_103"},
		{"sm_120", ".version 8.7", ".target sm_120"}};

	(void)unused;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		char *ptx =
			ptx_of_text(row[i].target, "in n : i32\nout y : i32[]\nrowv r : i32[32]\n"
						   "map r = n\nstore y[i64(row)] = r over r\n");

		expect(ptx, row[i].version, 1);
		expect(ptx, row[i].line, 1);
		expect(ptx, ".visible .entry t(", 1);
		expect(ptx, ".maxntid 64, 1, 1", 1);
		expect(ptx, ".minnctapersm 1", 1);
		free(ptx);
	}
}

static void floats_are_rounded_one_by_one(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_80",
		"in x : f32[]\nout y : f32[]\nrowv r : f32[32]\n"
		"let a = x[0i64]\nlet b = x[1i64]\nlet c = x[2i64]\n"
		"map r = fma(a, b, c) / (a * b + c) + sqrt(rcp(a)) - ex2(lg2(floor(b)))\n"
		"store y[i64(row)] = min(r, c) over r\n");
	expect(ptx, "fma.rn.f32", 1);
	expect(ptx, "mul.rn.f32", 1);
	expect(ptx, "add.rn.f32", 3); /* two registers of r */
	expect(ptx, "sub.rn.f32", 2);
	expect(ptx, "div.full.f32", 2);
	expect(ptx, "sqrt.approx.f32", 1);
	expect(ptx, "rcp.approx.ftz.f32", 1);
	expect(ptx, "ex2.approx.ftz.f32", 1);
	expect(ptx, "lg2.approx.ftz.f32", 1);
	expect(ptx, "cvt.rmi.f32.f32", 1);
	expect(ptx, "ld.global.nc.f32", 3);
	free(ptx);
}

#define PRODUCT(type)                                                                              \
	"in x : " type "[]\nout y : f32[]\nopa a : " type "[32, 16]\nopa b : " type "[32, 16]\n"   \
	"colv c : " type "[16] over opa\nopb k : " type "[16, 8]\nacc s : f32[32, 8]\n"            \
	"map a = " type "(x[i64(row * 16 + col)])\nmap c = " type "(x[i64(col)])\n"                \
	"map b = a * c\nmap b = fma(b, a, neg(c))\nmap b = (b - a) + c\nmap k = " type             \
	"(x[i64(row)])\nmap s = 0.0\nmma s += b * k\n"                                             \
	"store y[i64(row * 8 + col)] = s over s\n"

static void pairs_are_computed_packed(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_80", PRODUCT("bf16"));
	expect(ptx, "fma.rn.bf16x2", 16);
	expect(ptx, ".rn.bf16x2 ", 16);
	expect(ptx, "cvt.rn.bf16x2.f32", 4 + 2 + 2);
	expect(ptx, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 1);
	free(ptx);
	ptx = ptx_of_text("sm_90", PRODUCT("bf16"));
	expect(ptx, "fma.rn.bf16x2", 4);
	expect(ptx, "mul.rn.bf16x2", 4);
	expect(ptx, "sub.rn.bf16x2", 4);
	expect(ptx, "add.rn.bf16x2", 4);
	free(ptx);
	ptx = ptx_of_text("sm_80", PRODUCT("f16"));
	expect(ptx, "mul.rn.f16x2", 4);
	expect(ptx, "fma.rn.f16x2", 4);
	expect(ptx, "cvt.rn.f16x2.f32", 4 + 2 + 2);
	expect(ptx, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 1);
	free(ptx);
	ptx = ptx_of_text("sm_75", PRODUCT("f16"));
	expect(ptx, "cvt.rn.f16x2.f32", 0);
	expect(ptx, "cvt.rn.f16.f32", 16);
	expect(ptx, "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 2);
	free(ptx);
}

#define COPIES                                                                                     \
	"in x : f16[]\nin n : i32\nout y : f16[]\nshared b : f16[2, 64, 64] swizzle 3 at 0\n"      \
	"opa a : f16[32, 64]\nopb k : f16[16, 32]\nopb l : f16[16, 24]\nacc s : f32[32, 32]\n"     \
	"copy b[0] = x[i64(row) * 64i64] if row < n\ncopy b[1] = x[i64(row) * 64i64]\n"            \
	"commit\nwait 0\nbarrier\nmap s = 0.0\nldsm a = b[0, 0:+32, 0:+64]\n"                      \
	"for t in 0 .. n {\nldsm k = b[1, t * 32 % 64:+32, 16:+16]\n"                              \
	"mma s += a[:, 16:+16] * k\nldsm.trans l = b[1, 16:+16, 32:+24]\n"                         \
	"mma s[:, 0:+24] += a[:, 32:+16] * l\n}\n"                                                 \
	"barrier\nstore.shared b[0, 0:+32, 0:+32] = f16(s) over s\nbarrier\n"                      \
	"store y[i64(row * 32 + col)] = s over s if row < n\n"

static void shared_memory_is_moved_in_wide_pieces(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_80", COPIES);
	expect(ptx, "cp.async.cg.shared.global [", 16);
	expect(ptx, "], 16, %", 8);
	expect(ptx, "ldmatrix.sync.aligned.m8n8.x4.shared.b16", 4 + 2);
	expect(ptx, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", 1);
	expect(ptx, "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16", 1);
	expect(ptx, "st.shared.b32", 8);
	expect(ptx, "st.shared.b16", 0);
	free(ptx);
	ptx = ptx_of_text("sm_75", COPIES);
	expect(ptx, "cp.async", 0);
	expect(ptx, "ld.global.v4.b32", 16);
	expect(ptx, "st.shared.v4.b32", 16);
	free(ptx);
}

/* 40 columns of 16 rows a warp are 80 chunks: three turns. */
static void rows_are_stored_in_wide_pieces(void **unused)
{
	char *ptx = ptx_of_text("sm_80",
		"in x : f16[]\nout y : f16[]\nin n : i32\nshared b : f16[2, 32, 64] swizzle 3 at "
		"0\n"
		"fill b[1] = f16(f32(row))\nbarrier\n"
		"store.rows y[i64(row / n) * 64i64] = b[1, 0:+32, 16:+40] if row < n\n");

	(void)unused;
	expect(ptx, "ld.shared.v4.b32 {", 3);
	expect(ptx, "@p st.global.v4.b32 [to], {", 3);
	expect(ptx, "shfl.sync.idx.b32 low", 3);
	expect(ptx, "bar.warp.sync", 2);
	expect(ptx, "div.s32", 2);
	free(ptx);
}

/* Two columns of one row are 32 bits, unless they are converted or begin at an odd one. */
static void stored_pairs_are_read_at_once(void **unused)
{
	static const char text_of[] =
		"in x : bf16[]\nout y : f32[]\nshared k : bf16[1, 64, 64] at 0\nopa a : bf16[32, "
		"16]\n"
		"colv c : bf16[16] over opa\nfill k[0] = bf16(x[i64(col)])\nbarrier\n"
		"map a = bf16(k[0, row, col]) * bf16(k[0, 3, col])\nmap c = bf16(k[0, 5, col])\n"
		"map a = a * c + bf16(k[0, row, col + 1]) * bf16(k[0, 9, col] * 0.5)\n"
		"store y[i64(row * 16 + col)] = f32(a) over a\n";
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_90", text_of);
	expect(ptx, "ld.shared.b32", 4 + 4 + 2);
	free(ptx);
}

#define STORES(offset, condition)                                                                  \
	"in n : i32\nin stride : i64\nout y : bf16[]\nacc s : f32[32, 32]\nmap s = 1.0\n"          \
	"map s = s * f32(n)\nstore y[" offset "] = s over s" condition "\n"

static void neighbours_are_stored_together(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_80", STORES("i64(row) * stride + i64(col)", " if row < n"));
	expect(ptx, "st.global.u32", 8);
	expect(ptx, "st.global.u16", 16);
	free(ptx);
	/* a column beyond the extent is decided when the program is emitted */
	ptx = ptx_of_text("sm_80",
		STORES("i64(row) * stride + i64(min(col, 23))", " if row < n and col < 24"));
	expect(ptx, "st.global.u32", 6);
	expect(ptx, "st.global.u16", 12);
	free(ptx);
	ptx = ptx_of_text("sm_80", STORES("i64(row) + i64(col) * stride", ""));
	expect(ptx, "st.global.u32", 0);
	expect(ptx, "st.global.u16", 16);
	free(ptx);
}

static void votes_and_shuffles_are_warp_wide(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_80",
		"in x : f32[]\nout y : f32[]\nacc s : f32[32, 16]\nrowv m : f32[32]\nlet n = 0\n"
		"map s = x[i64(row * 16 + col)]\nmap m = -inf\nreduce.max m, s\nquad.max m\n"
		"any big = m == 1.0 over m\nif big {\nset n = 1\n} else {\nset n = 2\n}\n"
		"store y[i64(row)] = m + f32(n) over m if lane % 4 == 0\n");
	expect(ptx, "max.f32", 8 + 4);
	expect(ptx, "shfl.sync.bfly.b32", 4);
	expect(ptx, "vote.sync.any.pred", 1);
	free(ptx);
}

/* One lane a warp does what is done once; coordinates go innermost first. */
static void one_lane_signals_and_loads(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_text("sm_90",
		"in x : bf16[]\nin n : i32\nin m : map x box 2, 8, 64 panel 64\n"
		"shared b : bf16[2, 16, 64] panel 64 at 0\nmbar full[2] count 3 at 8192\n"
		"counter done[1] at 8208\nopa a : bf16[32, 64]\n"
		"init full\ninit done\nfence.async\nbarrier\nexpect full[1], n\n"
		"tma.load b[1] = m(n, 0, 64) signal full[1]\narrive full[0]\nawait full[n % 2], 1\n"
		"count c = done[0]\nif c == 1 {\nbarrier.arrive 2, 64\n} else {\n"
		"barrier.sync c % 4 + 2, 64\n}\n");
	expect(ptx, ".param .align 64 .b8 t_param_2[128]", 1);
	expect(ptx, "__local_depot", 0);
	expect(ptx, "prefetch.tensormap", 1);
	expect(ptx, "@p mbarrier.init.shared::cta.b64 [", 2);
	expect(ptx, "+8192], 3;", 1);
	expect(ptx, "+8200], 3;", 1);
	expect(ptx, "fence.mbarrier_init.release.cluster", 1);
	expect(ptx, "@p st.shared.b32 [", 1);
	expect(ptx, "fence.proxy.async.shared::cta", 1);
	expect(ptx, "@p mbarrier.arrive.expect_tx.shared::cta.b64 _, [", 1);
	expect(ptx, "@p mbarrier.arrive.shared::cta.b64 _, [", 1);
	expect(ptx, "mbarrier.try_wait.parity.shared::cta.b64 p, [", 1);
	expect(ptx, "@p cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier", 1);
	expect(ptx, "atom.acq_rel.cta.shared::cta.add.u32", 1);
	expect(ptx, "elect.sync", 2 + 1 + 4);
	expect(ptx, "bar.arrive 2, 64", 1);
	expect(ptx, "bar.sync %r", 1);
	free(ptx);
}

#define WGMMA_HEAD                                                                                 \
	"kernel t on sm_90a warps 8 shared 49152 {\nin x : f16[]\nout y : f32[]\nin i : i32\n"     \
	"shared b : f16[2, 64, 80] panel 64 at 0\nshared r : f16[1, 128, 64] panel 64 at 32768\n"  \
	"acc s : f32[128, 64]\nacc z : f32[128, 80]\nopa a : f16[128, 80]\n"

static char *ptx_of_products(const char *body)
{
	arena *a = arena_create();
	char *all = arena_printf(a,
		     WGMMA_HEAD "map a = f16(x[i64(row * 80 + col)])\n%s"
				"store y[i64(row * 64 + col)] = s over s\n}\n",
		     body),
	     *ptx;
	rt_ptxas *tool = find_tool();

	ptx = ptx_of(parse(a, source_create(a, "t.tile", all, strlen(all))), "sm_90a");
	if (tool)
		assemble(tool, body, ptx, "sm_90a", true);
	rt_ptxas_destroy(tool);
	arena_destroy(a);
	return ptx;
}

/* A product is as many instructions as it has steps of 16; '=' has no accumulators going in. */
static void products_of_warpgroups(void **unused)
{
	char *ptx;

	(void)unused;
	ptx = ptx_of_products("map s = 0.0\nwgmma.fence s, a\nwgmma s += a * b[i]\n"
			      "wgmma.commit\nwgmma.wait 0, s\n");
	expect(ptx, "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {", 5);
	expect(ptx, ", add, 1, 1, 0;", 5);
	expect(ptx, "wgmma.fence.sync.aligned;", 1);
	expect(ptx, "wgmma.wait_group.sync.aligned 0;", 1);
	free(ptx);
	ptx = ptx_of_products("wgmma.fence a\nwgmma.trans z = a[:, 0:+64] * b[i, 0:+64, 0:+80]\n"
			      "wgmma.shared s = r[0] * b[1, 0:+64, 0:+64]\n"
			      "wgmma.shared.trans s += r[0] * b[1, 0:+64, 0:+64]\n"
			      "wgmma.commit\nwgmma.wait 0, s, z, a\nmap s = s + z\n");
	expect(ptx, "wgmma.mma_async.sync.aligned.m64n80k16.f32.f16.f16 {", 4);
	expect(ptx, ", zero, 1, 1, 1;", 1);
	expect(ptx, ", add, 1, 1, 1;", 3);
	expect(ptx, ", zero, 1, 1, 0, 0;", 1);
	expect(ptx, ", add, 1, 1, 0, 0;", 3);
	expect(ptx, ", add, 1, 1, 0, 1;", 4);
	free(ptx);
}

static void what_the_target_lacks_is_named(void **unused)
{
	arena *a = arena_create();
	const char *program = WGMMA_HEAD "map s = 0.0\nmap a = f16(0.0)\nwgmma.fence a, s\n"
					 "wgmma s += a * b[0]\nwgmma.wait 0, s\n}\n";
	source *src = source_create(a, "t.tile", program, strlen(program));
	diags *d = diags_create(a, src);
	tile_program *p = tile_parse(a, src, d);
	text out = {0};

	(void)unused;
	assert_non_null(p);
	assert_false(emit_ptx(p, arch_find("sm_90"), &out, NULL, d));
	diags_print(d, DIAG_TEXT, &out);
	expect(out.data, "sm_90 has no 'wgmma'", 1);
	expect(out.data, "sm_90 has no 'wgmma.wait'", 1);
	text_free(&out);
	arena_destroy(a);
}

static void the_module_can_be_read(void **unused)
{
	arena *a = arena_create();
	const char *program = "kernel t on sm_80 warps 1 {\nin n : i32\nout y : i32[]\nrowv r : "
			      "i32[16]\nmap r = n % 7\nstore y[i64(row)] = r over r\n}\n";
	source *src = source_create(a, "t.tile", program, strlen(program));
	text out = {0};

	(void)unused;
	assert_true(emit_ptx_ir(parse(a, src), arch_find("sm_80"), &out, diags_create(a, src)));
	expect(out.data, "define ptx_kernel void @t(", 1);
	text_free(&out);
	arena_destroy(a);
}

/* --- all programs --- */

static void assemble_file(rt_ptxas *tool, const char *path, const char *target)
{
	arena *a = arena_create();
	source *src = kernel_read(a, path);
	diags *d = diags_create(a, src);
	tile_program *p;

	assert_non_null(src);
	if (strstr(path, ".tile")) {
		p = parse(a, src);
		target = p->target;
	} else {
		p = kernel_lower(a, src, target, d);
	}
	if (p) { /* else the spec does not fit a GPU, which other tests look at */
		char *ptx = ptx_of(p, target);

		assemble(tool, path, ptx, target, true);
		free(ptx);
	}
	arena_destroy(a);
}

static void assemble_all(const char *pattern, const char *target)
{
	rt_ptxas *tool = find_tool();
	glob_t files;

	if (!tool)
		skip();
	assert_int_equal(glob(pattern, 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++)
		assemble_file(tool, files.gl_pathv[i], target);
	globfree(&files);
	rt_ptxas_destroy(tool);
}

static void specs_assemble_for_sm_80(void **unused)
{
	(void)unused;
	assemble_all(SOURCE_DIR "/specs/*.tkl", "sm_80");
}

static void specs_assemble_for_sm_90(void **unused)
{
	(void)unused;
	assemble_all(SOURCE_DIR "/specs/*simplicial*.tkl", "sm_90");
	assemble_all(SOURCE_DIR "/specs/m[hl]a.tkl", "sm_90a");
}

static void specs_assemble_for_sm_120(void **unused)
{
	(void)unused;
	assemble_all(SOURCE_DIR "/specs/*simplicial.tkl", "sm_120");
	assemble_all(SOURCE_DIR "/specs/gqa.tkl", "sm_103");
}

static void tile_programs_assemble(void **unused)
{
	(void)unused;
	assemble_all(SOURCE_DIR "/tests/unit/tile/cases/*.tile", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_names_target_and_bounds),
		cmocka_unit_test(floats_are_rounded_one_by_one),
		cmocka_unit_test(pairs_are_computed_packed),
		cmocka_unit_test(shared_memory_is_moved_in_wide_pieces),
		cmocka_unit_test(rows_are_stored_in_wide_pieces),
		cmocka_unit_test(stored_pairs_are_read_at_once),
		cmocka_unit_test(neighbours_are_stored_together),
		cmocka_unit_test(votes_and_shuffles_are_warp_wide),
		cmocka_unit_test(one_lane_signals_and_loads),
		cmocka_unit_test(products_of_warpgroups),
		cmocka_unit_test(what_the_target_lacks_is_named),
		cmocka_unit_test(the_module_can_be_read),
		cmocka_unit_test(tile_programs_assemble),
		cmocka_unit_test(specs_assemble_for_sm_80),
		cmocka_unit_test(specs_assemble_for_sm_90),
		cmocka_unit_test(specs_assemble_for_sm_120),
	};

	return cmocka_run_group_tests_name("ptx", tests, NULL, NULL);
}
