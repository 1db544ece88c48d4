/* test_cuda_text.c: the text itself. Index formulas against layout.c; what shipped specs' kernels
 * look like; nvcc takes them without a warning (skipped where there is none).
 * With arguments "TARGET SPEC..." those specs are compiled for that target. */
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../emit/kernel.h"
#include "emit_cuda/cuda_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a calculator for the formulas that are emitted --- */

typedef struct {
	const char *at;
	int warp, lane, r, n, i, e;
} calculator;

static int sum(calculator *c);

static void blanks(calculator *c)
{
	while (*c->at == ' ')
		c->at++;
}

static int name(calculator *c)
{
	static const char *const names[] = {"warp", "lane", "r", "n", "i", "e"};
	const int value[] = {c->warp, c->lane, c->r, c->n, c->i, c->e};

	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		size_t len = strlen(names[k]);

		if (strncmp(c->at, names[k], len) == 0 && !isalnum((unsigned char)c->at[len])) {
			c->at += len;
			return value[k];
		}
	}
	fail_msg("no name at '%s'", c->at);
	return 0;
}

static int atom(calculator *c)
{
	int v;

	blanks(c);
	if (isdigit((unsigned char)*c->at)) {
		v = (int)strtol(c->at, (char **)&c->at, 10);
	} else if (*c->at == '(') {
		c->at++;
		v = sum(c);
		assert_int_equal(*c->at++, ')');
	} else {
		v = name(c);
	}
	blanks(c);
	return v;
}

static int product(calculator *c)
{
	int v = atom(c);

	while (*c->at && strchr("*/%", *c->at)) {
		char op = *c->at++;
		int x = atom(c);

		v = op == '*' ? v * x : op == '/' ? v / x : v % x;
	}
	return v;
}

static int sum(calculator *c)
{
	int v = product(c);

	while (*c->at == '+' || *c->at == '-') {
		char op = *c->at++;
		int x = product(c);

		v = op == '+' ? v + x : v - x;
	}
	return v;
}

static int calculate(const char *formula, calculator c)
{
	int v;

	c.at = formula;
	v = sum(&c);
	assert_int_equal(*c.at, '\0');
	return v;
}

/* --- formulas --- */

typedef void place_fn(
	const tile_program *p, const tile_frag *f, const calculator *c, int reg, void *user);

static void each_place(const tile_program *p, const tile_frag *f, place_fn *fn, void *user)
{
	cuda_extent n = cuda_extent_of(p, f);
	calculator c = {.warp = p->warps - 1};

	for (c.lane = 0; c.lane < 32; c.lane++)
		for (c.r = 0; c.r < n.r; c.r++)
			for (c.n = 0; c.n < n.n; c.n++)
				for (c.i = 0; c.i < n.i; c.i++)
					for (c.e = 0; c.e < n.e; c.e++)
						fn(p, f, &c, (c.r * n.n + c.n) * n.i + c.i, user);
}

static char *formula(arena *a, const tile_program *p, const tile_frag *f, const cuda_index *x)
{
	static const cuda_counters counters = {"r", "n", "i", "e"};
	text t = {0};
	char *s;

	cuda_index_put(&t, x, &counters, cuda_extent_of(p, f));
	s = arena_strdup(a, t.data);
	text_free(&t);
	return s;
}

typedef struct {
	const char *row, *col;
	const tile_frag *src;
	const char *r, *n, *i, *e;
} formulas;

static void check_element(
	const tile_program *p, const tile_frag *f, const calculator *c, int reg, void *user)
{
	const formulas *want = user;
	bool split = f->layout != LAYOUT_OPB && f->layout != LAYOUT_COLV;
	int row, col;

	tile_element(p, f, c->lane, reg, c->e, &row, &col);
	row += split ? c->warp * tile_warp_rows(p, f) : 0;
	assert_int_equal(calculate(want->row, *c), row);
	assert_int_equal(calculate(want->col, *c), col);
}

static void check_peer(
	const tile_program *p, const tile_frag *f, const calculator *c, int reg, void *user)
{
	const formulas *want = user;
	cuda_extent n = cuda_extent_of(p, want->src);
	int r, e;

	if (c->lane)
		return;
	assert_true(tile_peer(p, want->src, f, reg, c->e, &r, &e));
	assert_int_equal((calculate(want->r, *c) * n.n + calculate(want->n, *c)) * n.i +
				 calculate(want->i, *c),
		r);
	assert_int_equal(calculate(want->e, *c), e);
}

static void make_tiles(tile_program *p)
{
	static const struct {
		tile_layout layout, of;
		tile_type type;
	} kind[] = {{LAYOUT_ACC, 0, TILE_F32}, {LAYOUT_OPA, 0, TILE_BF16},
		{LAYOUT_OPA, 0, TILE_TF32}, {LAYOUT_OPA, 0, TILE_F32}, {LAYOUT_OPB, 0, TILE_F16},
		{LAYOUT_OPB, 0, TILE_TF32}, {LAYOUT_ROWV, 0, TILE_F32}, {LAYOUT_ROWV, 0, TILE_I32},
		{LAYOUT_COLV, LAYOUT_ACC, TILE_F32}, {LAYOUT_COLV, LAYOUT_ACC, TILE_BF16},
		{LAYOUT_COLV, LAYOUT_OPA, TILE_BF16}, {LAYOUT_COLV, LAYOUT_OPA, TILE_TF32}};
	const int size[][2] = {{32, 16}, {32, 48}, {96, 32}};

	for (size_t k = 0; k < sizeof kind / sizeof *kind; k++)
		for (size_t s = 0; s < 3; s++) {
			tile_layout l = kind[k].layout;
			int rows = l == LAYOUT_COLV ? 1 : size[s][0];
			int cols = l == LAYOUT_ROWV ? 1 : size[s][1];

			if (l == LAYOUT_COLV)
				tile_columnv(p, (loc){0}, "t", kind[k].type, kind[k].of, cols);
			else
				tile_register(p, (loc){0}, "t", l, kind[k].type, rows, cols);
		}
}

static void index_formulas(void **state)
{
	arena *a = arena_create();
	tile_program *p = tile_program_create(a, "t", "sm_80", 2, NULL);
	int peers = 0;

	(void)state;
	make_tiles(p);
	for (int i = 0; i < p->frag.count; i++) {
		const tile_frag *f = p->frag.item[i];
		cuda_index row = cuda_row_index(p, f), col = cuda_col_index(p, f);
		formulas want = {.row = formula(a, p, f, &row), .col = formula(a, p, f, &col)};

		each_place(p, f, check_element, &want);
		for (int j = 0; j < p->frag.count; j++) {
			cuda_peer peer = cuda_peer_of(p, p->frag.item[j], f);

			if (!peer.found)
				continue;
			peers++;
			want = (formulas){.src = p->frag.item[j],
				.r = formula(a, p, f, &peer.r),
				.n = formula(a, p, f, &peer.n),
				.i = formula(a, p, f, &peer.i),
				.e = formula(a, p, f, &peer.e)};
			each_place(p, f, check_peer, &want);
		}
	}
	assert_true(peers > 100);
	arena_destroy(a);
}

/* --- the text of shipped specs --- */

static char *emit_spec(arena *a, const char *spec, const char *target)
{
	source *src = kernel_read(a, arena_printf(a, "%s/specs/%s.tkl", SOURCE_DIR, spec));
	diags *d = diags_create(a, src);
	tile_program *p = kernel_lower(a, src, target, d);
	text out = {0};
	char *s;

	if (!p || !emit_cuda(p, &out, d)) {
		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	s = arena_strdup(a, out.data);
	text_free(&out);
	return s;
}

static void check_lines(const char *spec, const char *s)
{
	for (const char *end; *s; s = end + 1) {
		end = strchr(s, '\n');
		assert_non_null(end);
		if (end - s > 100)
			fail_msg("%s: %.*s", spec, (int)(end - s), s);
		if (end > s && (end[-1] == ' ' || end[-1] == '\\'))
			fail_msg("%s: the end of '%.*s'", spec, (int)(end - s), s);
		assert_null(memchr(s, '\t', (size_t)(end - s)));
	}
}

static void texts(void **state)
{
	static const char *const specs[] = {
		"mha", "two_simplicial", "determinant", "rope", "three_simplicial"};

	(void)state;
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		arena *a = arena_create();
		const char *s = emit_spec(a, specs[i], "sm_80");

		check_lines(specs[i], s);
		assert_string_equal(s, emit_spec(a, specs[i], "sm_80"));
		assert_null(strstr(s, SOURCE_DIR));
		arena_destroy(a);
	}
}

/* What a reader sees. */
static void phrases(void **state)
{
	static const char *const phrase[] = {
		"// two_simplicial_sm_80: generated by trikl from two_simplicial.tkl. Do not "
		"edit.\n",
		"// launch  grid x = ceil(N * H / G / 128) * B * G\n",
		"    const bf16 *__restrict__ k1,  // spec:10  k1 : T[B, j, G, D]\n",
		"    // spec:22  window k in (i - W2, i]\n",
		"a[dt][i] = mul_bf16x2(q_rows_2[dt][i], k1_outer[dt][i / 2]);\n",
		"acc[n][i] = fmaf(pv[n][i], v_outer[n][i % 2], acc[n][i]);\n",
		"if (row0 + row < rows_total)\n",
	};
	arena *a = arena_create();
	const char *s = emit_spec(a, "two_simplicial", "sm_80");

	(void)state;
	for (size_t i = 0; i < sizeof phrase / sizeof *phrase; i++)
		if (!strstr(s, phrase[i]))
			fail_msg("there is no\n%s", phrase[i]);
	arena_destroy(a);
}

/* Names that C++, CUDA or the helpers have taken, and a comment that ends in a backslash. */
static void names(void **state)
{
	static const char program[] = "kernel names on sm_80 warps 1 shared 512 {\n"
				      "    in float : f32[]  ; not a type \\\n"
				      "    in shared_buffer : i32\n    out __x : f32[]\n"
				      "    shared double : f32[1, 16, 8] swizzle 1 at 0\n"
				      "    acc n : f32[16, 8]\n    rowv i : f32[16]\n\n"
				      "    let threadIdx = shared_buffer * 2  ; twice \\\n"
				      "    map n = float[i64(row + threadIdx)]\n    map i = 1.0\n"
				      "    map n = n * i\n"
				      "    store __x[i64(row * 8 + col)] = n over n\n}\n";
	arena *a = arena_create();
	source *src = source_create(a, "names.tile", program, strlen(program));
	diags *d = diags_create(a, src);
	tile_program *p = tile_parse(a, src, d);
	text out = {0};

	(void)state;
	if (!p) {
		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	assert_true(emit_cuda(p, &out, d));
	assert_non_null(strstr(out.data, "const float *__restrict__ float_"));
	assert_non_null(strstr(out.data, "const int threadIdx_ = shared_buffer_ * 2;\n"));
	assert_non_null(strstr(out.data, "for (int i1 = 0; i1 < 4; i1++)"));
	assert_non_null(strstr(out.data, "n[i1] *= i[i1 / 2];"));
	check_lines("names", out.data);
	text_free(&out);
	arena_destroy(a);
}

/* --- nvcc --- */

/* The header's places in shared memory are layout.c's. */
static void put_offsets(FILE *f)
{
	static const int cols[] = {8, 16, 32, 64, 128};

	for (size_t k = 0; k < sizeof cols / sizeof *cols; k++) {
		tile_buffer b = {.type = TILE_BF16, .slots = 2, .rows = 20, .cols = cols[k]};

		b.swizzle = tile_swizzle((int64_t)cols[k] * 2);
		fprintf(f, "using buffer_%d = shared_buffer<bf16, 20, %d, %d>;\n", cols[k], cols[k],
			b.swizzle);
		fprintf(f, "static_assert(buffer_%d::slot_bytes == %lld);\n", cols[k],
			(long long)tile_slot_bytes(&b));
		for (int row = 0; row < 20; row++)
			for (int col = row % 3; col < cols[k]; col += 5)
				fprintf(f, "static_assert(buffer_%d::offset(%d, %d) == %lld);\n",
					cols[k], row, col,
					(long long)tile_shared_offset(&b, row, col));
	}
}

static void put_panels(FILE *f)
{
	for (int cols = 48; cols <= 144; cols += 32) {
		tile_buffer b = {.type = TILE_BF16,
			.slots = 2,
			.rows = 24,
			.cols = cols,
			.panel = TILE_PANEL,
			.swizzle = 3};

		fprintf(f, "using panels_%d = panel_buffer<bf16, 24, %d>;\n", cols, cols);
		fprintf(f, "static_assert(panels_%d::slot_bytes == %lld);\n", cols,
			(long long)tile_slot_bytes(&b));
		for (int row = 0; row < 24; row++)
			for (int col = row % 3; col < cols; col += 5)
				fprintf(f, "static_assert(panels_%d::offset(%d, %d) == %lld);\n",
					cols, row, col,
					(long long)tile_shared_offset(&b, row, col));
	}
}

static void nvcc(const char *spec, const char *target)
{
	char path[] = "/tmp/trikl-XXXXXX.cu", command[1024];
	int fd = mkstemps(path, 3), rc;
	arena *a = arena_create();
	const char *s = emit_spec(a, spec, target);
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fputs(s, f);
	put_offsets(f);
	fclose(f);
	snprintf(command, sizeof command,
		"nvcc -std=c++17 -arch=%s -Werror all-warnings -I%s/generated -cubin -o /dev/null "
		"%s",
		target, SOURCE_DIR, path);
	rc = system(command);
	unlink(path);
	arena_destroy(a);
	if (rc)
		fail_msg("nvcc refuses %s", spec);
}

/* --- Hopper --- */

static char *emit_case(arena *a, const char *name)
{
	source *src = kernel_read(
		a, arena_printf(a, "%s/tests/unit/sim/cases/%s.tile", SOURCE_DIR, name));
	diags *d = diags_create(a, src);
	tile_program *p = tile_parse(a, src, d);
	text out = {0};
	char *s;

	if (!p || !tile_verify(p, &out) || !emit_cuda(p, &out, d)) {
		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s: %s", name, out.data);
	}
	s = arena_strdup(a, out.data);
	text_free(&out);
	return s;
}

/* ptxas tells of products that it runs one after the other, and of spills, and goes on: at most
 * `most` bytes may be spilled. */
static void assemble(const char *name, const char *kernel, int most)
{
	char path[] = "/tmp/trikl-XXXXXX.cu", command[1024], line[1024];
	int fd = mkstemps(path, 3);
	FILE *f = fdopen(fd, "w");
	int spilled = -1;

	assert_non_null(f);
	fputs(kernel, f);
	put_panels(f);
	fclose(f);
	snprintf(command, sizeof command,
		"nvcc -std=c++17 -gencode arch=compute_90a,code=sm_90a -Werror all-warnings "
		"-Xptxas -v -I%s/generated -cubin -o /dev/null %s 2>&1",
		SOURCE_DIR, path);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		const char *at = strstr(line, " bytes stack frame, ");

		if (at && atoi(at + 20) > spilled)
			spilled = atoi(at + 20);
		if (strstr(line, "(C75") || strstr(line, "error") || strstr(line, "warning"))
			fail_msg("%s: %s", name, line);
	}
	assert_int_equal(pclose(f), 0);
	unlink(path);
	if (spilled < 0 || spilled > most)
		fail_msg("%s: %d bytes of spill stores, at most %d", name, spilled, most);
}

static void hopper_phrases(void **state)
{
	static const char *const phrase[] = {
		"#include \"trikl_hopper.h\"\n",
		"    const __grid_constant__ CUtensorMap q_map,\n",
		"    const panel_buffer<bf16, 64, 128> ks(shared + 32768);\n",
		"    const mbarriers<2> full_k(shared + 98312);\n",
		"    const int warp = warp_number();\n",
		"        full_k.init(1);\n",
		"            full_k.expect(t0, 16384);\n",
		"    wgmma_fence(s0, a);\n",
		"        wgmma_n64_bf16(s0, a[k1], ks.k_major(0, 0, 16 * k1), k1 > 0);\n",
		"            wgmma_trans_n128_bf16(out, p[k1], vs.mn_major(0, 16 * k1, 0), "
		"true);\n",
		"        wgmma_wait<1>(s0);\n",
		"        const int before0 = done_k.next(0);\n",
		"        free_v.arrive(0);\n",
	};
	arena *a = arena_create();
	const char *s = emit_case(a, "attend");

	(void)state;
	check_lines("attend", s);
	for (size_t i = 0; i < sizeof phrase / sizeof *phrase; i++)
		if (!strstr(s, phrase[i]))
			fail_msg("there is no\n%s", phrase[i]);
	arena_destroy(a);
}

static void hopper_compiles(void **state)
{
	static const char *const cases[] = {"matmul", "attend", "shapes"};
	static const char *const specs[] = {"mha", "sliding_window"};
	arena *a;

	(void)state;
	if (system("nvcc --version >/dev/null 2>&1"))
		skip();
	a = arena_create();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assemble(cases[i], emit_case(a, cases[i]), 0);
	/* three warpgroups leave a thread 168 registers: nvcc spills where PTX from LLVM does not */
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
		assemble(specs[i], emit_spec(a, specs[i], "sm_90a"), 512);
	arena_destroy(a);
}

static void compiles(void **state)
{
	(void)state;
	if (system("nvcc --version >/dev/null 2>&1"))
		skip();
	nvcc("gqa", "sm_80");
	nvcc("two_simplicial", "sm_90");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_formulas),
		cmocka_unit_test(texts),
		cmocka_unit_test(phrases),
		cmocka_unit_test(names),
		cmocka_unit_test(hopper_phrases),
		cmocka_unit_test(compiles),
		cmocka_unit_test(hopper_compiles),
	};

	for (int i = 2; i < argc; i++)
		nvcc(argv[i], argv[1]);
	return argc > 2 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
