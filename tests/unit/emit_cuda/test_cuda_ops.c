/* test_cuda_ops.c: every operation of the tile program as CUDA C, run on the CPU, gives what the
 * simulator gives. Programs are cases/NAME.tile, and one made here from lists of values.
 * Skipped where there is no g++. */
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../compiler/sim/sim_float.h"
#include "emulate.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 1 << 16, MAX_ARGS = 16, SCALAR = 37 };

/* --- arguments --- */

static float value_at(int64_t i)
{
	return (float)(i * 37 % 61 - 30) / 8;
}

static void *make_input(const tile_arg *a)
{
	uint8_t *memory = aligned_alloc(64, ELEMENTS * 4);

	assert_non_null(memory);
	memset(memory, 0, ELEMENTS * 4);
	for (int64_t i = 0; i < ELEMENTS && !a->written; i++) {
		float f = value_at(i);
		int32_t whole = (int32_t)(i * 1000003);
		uint16_t half = a->type == TILE_BF16 ? sim_to_bf16(f) : sim_to_f16(f);

		if (tile_type_bytes(a->type) == 2)
			memcpy(memory + 2 * i, &half, 2);
		else
			memcpy(memory + 4 * i, a->type == TILE_I32 ? (void *)&whole : (void *)&f,
				4);
	}
	return memory;
}

static double element(const tile_arg *a, const void *memory, int64_t i)
{
	const uint8_t *at = (const uint8_t *)memory + i * tile_type_bytes(a->type);
	uint16_t half;
	int32_t whole;
	float f;

	if (tile_type_bytes(a->type) == 2) {
		memcpy(&half, at, 2);
		return (double)(a->type == TILE_BF16 ? sim_from_bf16(half) : sim_from_f16(half));
	}
	memcpy(&whole, at, 4);
	memcpy(&f, at, 4);
	return a->type == TILE_I32 ? whole : (double)f;
}

/* Sums of products may be rounded in another order. */
static void compare(const tile_arg *a, const void *want, const void *got)
{
	double close = a->type == TILE_I32 ? 0 : tile_type_bytes(a->type) == 2 ? 1e-3 : 1e-5;
	int64_t values = 0;

	for (int64_t i = 0; i < ELEMENTS; i++) {
		double x = element(a, want, i), y = element(a, got, i);

		values += x != 0;
		if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= close * fmax(fabs(x), 1))
			continue;
		fail_msg("%s[%lld] is %.9g in CUDA C, %.9g in the simulator", a->name, (long long)i,
			y, x);
	}
	assert_true(values > 0);
}

/* --- both --- */

static void run_both(tile_program *p)
{
	sim_value value[MAX_ARGS];
	void *memory[2][MAX_ARGS] = {{NULL}};
	sim_args args = {.arg = value, .grid = {1, 1, 1}};
	sim_report report;
	text out = {0};

	assert_true(p->arg.count <= MAX_ARGS);
	for (int run = 0; run < 2; run++) {
		for (int i = 0; i < p->arg.count; i++) {
			const tile_arg *a = p->arg.item[i];

			if (a->kind == ARG_TENSOR) {
				memory[run][i] = make_input(a);
				value[i].tensor = (sim_tensor){memory[run][i], 0, ELEMENTS};
			} else if (a->type == TILE_F32) {
				value[i].f = (float)SCALAR / 8;
			} else {
				value[i].i = a->type == TILE_I64 ? INT64_C(5000000000) : SCALAR;
			}
		}
		if (run) {
			emulate(p, &args);
		} else if (!sim_run(p, &args, &report)) {
			sim_report_print(&report, &out);
			fail_msg("%s", out.data);
		}
	}
	sim_report_free(&report);
	for (int i = 0; i < p->arg.count; i++) {
		if (p->arg.item[i]->written)
			compare(p->arg.item[i], memory[0][i], memory[1][i]);
		free(memory[0][i]);
		free(memory[1][i]);
	}
}

static void run_text(arena *a, const char *name, const char *bytes)
{
	source *src = source_create(a, name, bytes, strlen(bytes));
	diags *d = diags_create(a, src);
	tile_program *p = tile_parse(a, src, d);
	text out = {0};

	if (!p)
		diags_print(d, DIAG_TEXT, &out);
	else if (tile_verify(p, &out))
		run_both(p);
	if (out.len)
		fail_msg("%s", out.data);
}

/* --- programs --- */

static void run_file(const char *name)
{
	arena *a = arena_create();
	char *path = arena_printf(a, "%s/tests/unit/emit_cuda/cases/%s", SOURCE_DIR, name);
	char *bytes = arena_alloc(a, 1 << 16);
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	assert_true(fread(bytes, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	run_text(a, name, bytes);
	arena_destroy(a);
}

static void halves(void **state)
{
	(void)state;
	if (!emulate_possible())
		skip();
	run_file("halves.tile");
}

static void singles(void **state)
{
	(void)state;
	if (!emulate_possible())
		skip();
	run_file("singles.tile");
}

/* Over s, an acc tile; m and r vectors of its rows, c of its columns. */
static const char *const floats[] = {"s + c", "s - m", "s * m + c", "s * m - c * m", "s - (m - c)",
	"s - -1.5", "s / c", "s / (m / c)", "s / 0.0", "min(s, c)", "max(s, m)", "fma(s, m, c)",
	"neg(s)", "neg(s * m) + c", "abs(s)", "ex2(s)", "lg2(abs(s))", "rcp(s)", "sqrt(abs(s))",
	"floor(s)", "select(s < c, s, m)", "select(s != s, 1.0, inf)", "-inf", "nan",
	"min(sqrt(s), 1.0)", "max(1.0, sqrt(s))", "f32(row)", "f32(r)", "f32(i32(s * 3.0))",
	"bits.f32(bits.i32(s) + 1)", "f32(bits.tf32(bits.i32(s * 1.0001) and -8192))",
	"f32(bits.tf32(s * 1.01))", "f32(bf16(s * 1.01))", "f32(f16(s * 1.01))",
	"f32(tf32(s * 1.0001))", "f32(i64(row) * big)", "f32(i64(row))", "y[i64(row * 16 + col)]",
	"select(s <= m and c < s or not(s == m), s, 0.0)",
	"select((s <= m or c < s) and not(s < c), s, 0.0)", "select(not(m <= s), s, 1.0)",
	"select(not(row <= col) == (row < 9), s, 1.0)", "select(not(row == col), 0.0, 1.0)",
	"select(xor(row < 9, col < 9), 2.0, 1.0)", "z * s", "1e-30 * s", "3.4028235e38 * 1.0",
	"select(row < 3, select(col < 4, 1.0, 2.0), 3.0) * s", "(s + c) * (s - c) - s * (c + m)"};

static const char *const integers[] = {"(row - 20) / 3", "(row - 20) % 3", "(row - 20) / -3",
	"(row - 20) % -3", "row / 3", "(row + col) % 5", "row * 3 / 4 * 5 % 7", "row / (col - 8)",
	"row % (col - 8)", "r + k[i64(row * 16 + col)]",
	"k[i64(row)] * 1000003 + k[i64(col)] * 31 - k[i64(row + col)]", "xor(row, col)",
	"(row and 3) + (row or 8)", "shl(row, 3) + shr(row - 20, 1)", "neg(row)", "neg(-7 - row)",
	"abs(row - 20)", "min(row, col)", "max(row, n)", "row - (col - (n - 1))",
	"row - (col + n) - -3", "i32(i64(row) * big / 7i64)", "i32((i64(row) - 20i64) % 7i64)",
	"i32(min(i64(row), big))", "i32(max(i64(row), i64(col)))",
	"i32((i64(row) + i64(col)) * (i64(n) - 5i64))", "i32(i64(row) * i64(col))",
	"select(row < col, row, col)", "i32(select(row < col, i64(row), i64(col)) + big)",
	"i32(neg(i64(row)) - abs(i64(col - 8)))", "i32(s * 100.0)", "i32(1e20 * s)", "i32(sqrt(s))",
	"i32(row < col)", "i32(shr(shl(i64(row + 1), 40), 38))", "i32(i64(row < col) + big)",
	"i32(big * big + i64(k[i64(row)]) * big)", "lane", "tid", "warp * 2 + block.x",
	"select(i64(row) < i64(col), 1, 0)", "select(i64(row) * big <= big * i64(col), 1, 0)",
	"bits.i32(s)", "-2147483648 + row"};

static void put_stores(text *t, const char *tensor, const char *const *value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_printf(t, "    store %s[i64(%zu + row * 16 + col)] = %s over s\n", tensor,
			i * 512, value[i]);
}

static void values(void **state)
{
	arena *a = arena_create();
	text t = {0};

	(void)state;
	if (!emulate_possible())
		skip();
	text_put(&t, "kernel values on sm_80 warps 2 {\n"
		     "    in x : f32[]\n    in y : bf16[]\n    in k : i32[]\n    in n : i32\n"
		     "    in big : i64\n    in z : f32\n    out f : f32[]\n    out int : i32[]\n"
		     "    acc s : f32[32, 16]\n    rowv m : f32[32]\n    rowv r : i32[32]\n"
		     "    colv c : f32[16] over acc\n\n"
		     "    map s = x[i64(row * 16 + col)]\n    map m = x[i64(row + 100)]\n"
		     "    map r = row * 2 - n\n    map c = x[i64(col * 3)]\n");
	put_stores(&t, "f", floats, sizeof floats / sizeof *floats);
	put_stores(&t, "int", integers, sizeof integers / sizeof *integers);
	text_put(&t, "}\n");
	run_text(a, "values", t.data);
	text_free(&t);
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(halves),
		cmocka_unit_test(singles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
