/* Programs for Hopper: what they compute, and what the simulator says when one of the statements
 * that order their memory is missing or wrong. */
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../compiler/sim/sim_float.h"
#include "edit.h"
#include "sim/sim.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARGS = 16 };

typedef struct {
	arena *arena;
	tile_program *program;
	sim_value value[MAX_ARGS];
	int64_t elements[MAX_ARGS]; /* of tensors */
	sim_args args;
	sim_report report;
} machine;

/* --- programs --- */

static char *read_case(arena *a, const char *name)
{
	char *path = arena_printf(a, "%s/tests/unit/sim/cases/%s.tile", SOURCE_DIR, name);
	char *bytes = arena_alloc(a, 1 << 16);
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(bytes, 1, (1 << 16) - 1, f);
	fclose(f);
	bytes[n] = '\0';
	return bytes;
}

static void open_text(machine *m, const char *text_of)
{
	source *src;
	diags *d;

	*m = (machine){.arena = arena_create()};
	assert_non_null(m->arena);
	src = source_create(m->arena, "test", text_of, strlen(text_of));
	d = diags_create(m->arena, src);
	m->program = tile_parse(m->arena, src, d);
	if (!m->program) {
		text out = {0};

		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	assert_true(m->program->arg.count <= MAX_ARGS);
	m->args = (sim_args){.arg = m->value, .grid = {1, 1, 1}, .step_limit = 1000000};
}

static void close_machine(machine *m)
{
	for (int i = 0; i < m->program->arg.count; i++)
		if (m->program->arg.item[i]->kind == ARG_TENSOR)
			free(m->value[i].tensor.data);
	sim_report_free(&m->report);
	arena_destroy(m->arena);
}

static int argument(const machine *m, const char *name)
{
	for (int i = 0; i < m->program->arg.count; i++)
		if (strcmp(m->program->arg.item[i]->name, name) == 0)
			return i;
	fail_msg("no argument '%s'", name);
	return 0;
}

/* Small, exact in every type, and never the same twice in a row. */
static float value_at(int64_t i, int seed)
{
	return (float)((i * 37 + seed * 11 + i / 61) % 61 - 30) / 32;
}

static float element(const machine *m, const char *name, int64_t i)
{
	int arg = argument(m, name);
	uint16_t half = ((const uint16_t *)m->value[arg].tensor.data)[i];

	switch (m->program->arg.item[arg]->type) {
	case TILE_BF16:
		return sim_from_bf16(half);
	case TILE_F16:
		return sim_from_f16(half);
	default:
		return ((const float *)m->value[arg].tensor.data)[i];
	}
}

static void make_tensor(machine *m, const char *name, int64_t elements)
{
	int arg = argument(m, name);
	const tile_arg *a = m->program->arg.item[arg];
	size_t bytes = (size_t)elements * (size_t)tile_type_bytes(a->type);
	void *data = aligned_alloc(64, (bytes + 127) / 64 * 64);

	assert_non_null(data);
	memset(data, 0xff, bytes);
	for (int64_t i = 0; i < elements && !a->written; i++) {
		float f = value_at(i, arg);

		if (a->type == TILE_BF16)
			((uint16_t *)data)[i] = sim_to_bf16(f);
		else if (a->type == TILE_F16)
			((uint16_t *)data)[i] = sim_to_f16(f);
		else
			((float *)data)[i] = f;
	}
	m->value[arg].tensor = (sim_tensor){data, 0, elements};
	m->elements[arg] = elements;
}

/* A map of a dense tensor. */
static void make_map(machine *m, const char *name, const int64_t *length)
{
	int arg = argument(m, name), rank = m->program->arg.item[arg]->rank;
	sim_tensor_map *map = &m->value[arg].map;
	int64_t stride = 1;

	for (int d = rank - 1; d >= 0; d--) {
		map->length[d] = length[d];
		map->stride[d] = stride;
		stride *= length[d];
	}
}

static bool run(machine *m)
{
	sim_report_free(&m->report);
	for (int i = 0; i < m->program->arg.count; i++) {
		const tile_arg *a = m->program->arg.item[i];

		if (a->kind == ARG_TENSOR && a->written)
			memset(m->value[i].tensor.data, 0xff,
				(size_t)m->elements[i] * (size_t)tile_type_bytes(a->type));
	}
	return sim_run(m->program, &m->args, &m->report);
}

static void must_be_clean(machine *m)
{
	text out = {0};

	if (run(m))
		return;
	sim_report_print(&m->report, &out);
	fail_msg("%s", out.data);
}

static void near(double got, double want, const char *what, int64_t i)
{
	if (!(fabs(got - want) <= 1e-2 * fmax(1, fabs(want))))
		fail_msg("%s[%lld] is %g, not %g", what, (long long)i, got, want);
}

/* --- matmul --- */

enum { ROWS = 147, COLS = 83, STEPS = 7, DEPTH = 64 * STEPS - 24 };

static void open_matmul(machine *m, const char *text_of)
{
	open_text(m, text_of);
	make_tensor(m, "a", ROWS * DEPTH);
	make_tensor(m, "b", COLS * DEPTH);
	make_tensor(m, "c", ROWS * COLS);
	m->value[argument(m, "steps")].i = STEPS;
	m->value[argument(m, "rows")].i = ROWS;
	m->value[argument(m, "cols")].i = COLS;
	make_map(m, "a_map", (int64_t[]){ROWS, DEPTH});
	make_map(m, "b_map", (int64_t[]){COLS, DEPTH});
	m->args.grid[0] = 2;
	m->args.grid[1] = 2;
}

static bool right_matmul(machine *m, bool fail)
{
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < COLS; j++) {
			double sum = 0, got = (double)element(m, "c", i * COLS + j);

			for (int k = 0; k < DEPTH; k++)
				sum += (double)element(m, "a", i * DEPTH + k) *
				       (double)element(m, "b", j * DEPTH + k);
			if (fail)
				near(got, sum, "c", i * COLS + j);
			else if (!(fabs(got - sum) <= 1e-2 * fmax(1, fabs(sum))))
				return false;
		}
	return true;
}

/* --- attend --- */

enum { BATCHES = 2, QUERIES = 131, KEYS = 301, HEADS = 3, TILES = 6, D = 128 };

static void open_attend(machine *m, const char *text_of)
{
	open_text(m, text_of);
	make_tensor(m, "q", QUERIES * D);
	make_tensor(m, "k", BATCHES * KEYS * HEADS * D);
	make_tensor(m, "v", BATCHES * KEYS * HEADS * D);
	make_tensor(m, "o", BATCHES * QUERIES * D);
	m->value[argument(m, "rows")].i = QUERIES;
	m->value[argument(m, "keys")].i = KEYS;
	m->value[argument(m, "tiles")].i = TILES;
	make_map(m, "q_map", (int64_t[]){QUERIES, D});
	make_map(m, "k_map", (int64_t[]){BATCHES, KEYS, HEADS, D});
	make_map(m, "v_map", (int64_t[]){BATCHES, KEYS, HEADS, D});
	m->args.grid[0] = 2;
	m->args.grid[1] = BATCHES;
}

/* Some rows. */
static bool right_attend(machine *m, bool fail)
{
	for (int b = 0; b < BATCHES; b++)
		for (int i = b; i < QUERIES; i += 13) {
			double o[D] = {0};

			for (int j = 0; j < KEYS; j++) {
				int64_t at = (int64_t)(b * KEYS + j) * HEADS * D;
				float s = 0;

				for (int d = 0; d < D; d++)
					s += element(m, "q", i * D + d) * element(m, "k", at + d);
				s = sim_round_bf16(s / 8);
				for (int d = 0; d < D; d++)
					o[d] += (double)s * (double)element(m, "v", at + d);
			}
			for (int d = 0; d < D; d++) {
				int64_t at = (int64_t)(b * QUERIES + i) * D + d;
				double got = (double)element(m, "o", at);

				if (fail)
					near(got, o[d], "o", at);
				else if (!(fabs(got - o[d]) <= 1e-2 * fmax(1, fabs(o[d]))))
					return false;
			}
		}
	return true;
}

/* --- shapes --- */

enum { N = 3 };

static void open_shapes(machine *m, const char *text_of)
{
	open_text(m, text_of);
	make_tensor(m, "x", 64 * 256);
	make_tensor(m, "y", 64 * 128);
	make_tensor(m, "z", 64 * 512 * 2);
	m->value[argument(m, "n")].i = N;
}

/* Element (row, col) of a matrix whose elements are those of a tensor from `first` on. */
typedef struct {
	const char *tensor;
	int first, by_row, by_col;
} matrix;

static double at(const machine *m, const matrix *a, int row, int col)
{
	return (double)element(m, a->tensor, a->first + row * a->by_row + col * a->by_col);
}

/* 64 x n elements of z from `first` on are start + a b + more. */
static void check_product(const machine *m, int first, int n, double start, const matrix *a,
	const matrix *b, int depth, const double *more)
{
	for (int i = 0; i < 64; i++)
		for (int j = 0; j < n; j++) {
			double sum = start + (more ? more[i * n + j] : 0);

			for (int k = 0; k < depth; k++)
				sum += at(m, a, i, k) * at(m, b, k, j);
			near((double)element(m, "z", first + i * 512 + j), sum, "z",
				first + i * 512 + j);
		}
}

static void product(
	const machine *m, const matrix *a, const matrix *b, int n, int depth, double *out)
{
	for (int i = 0; i < 64; i++)
		for (int j = 0; j < n; j++)
			for (int k = 0; k < depth; k++)
				out[i * n + j] += at(m, a, i, k) * at(m, b, k, j);
}

/* b of K-major products lies transposed. */
static void right_shapes(const machine *m)
{
	const matrix a = {"x", N, 80, 1}, a_part = {"x", N + 16, 80, 1}, wide = {"x", 0, 1, 80};
	const matrix narrow = {"x", 24 * 80, 1, 80}, b = {"y", N, 48, 1},
		     b_part = {"y", N + 32, 48, 1};
	const matrix own = {"y", 24 * 64 + 48, 1, 64}, own0 = {"y", 0, 64, 1},
		     own1 = {"y", 0, 1, 64};
	const matrix deep = {"y", 0, 128, 1}, right = {"y", 64, 128, 1};
	const matrix rows = {"x", 64 * 80, 80, 1}, turned = {"x", 64, 256, 1};
	const matrix turned_rows = {"x", 16, 256, 1};
	static double more[64 * 64], first[64 * 192];

	memset(more, 0, sizeof more);
	memset(first, 0, sizeof first);
	check_product(m, 0, 192, 0.5, &a, &wide, 80, NULL);
	check_product(m, 192, 8, 1, &a_part, &narrow, 64, NULL);
	check_product(m, 200, 40, 2, &b_part, &own, 16, NULL);
	product(m, &own0, &own1, 64, 64, more);
	check_product(m, 240, 64, 0, &b, &deep, 48, more);
	check_product(m, 304, 64, 0, &b, &right, 48, NULL);
	product(m, &rows, &turned, 192, 64, first);
	check_product(m, 32768, 192, 0, &turned_rows, &wide, 64, first);
}

/* --- what they compute --- */

static void matmul(void **state)
{
	arena *a = arena_create();
	machine m;

	(void)state;
	open_matmul(&m, read_case(a, "matmul"));
	must_be_clean(&m);
	right_matmul(&m, true);
	close_machine(&m);
	arena_destroy(a);
}

static void attend(void **state)
{
	arena *a = arena_create();
	machine m;

	(void)state;
	open_attend(&m, read_case(a, "attend"));
	must_be_clean(&m);
	right_attend(&m, true);
	close_machine(&m);
	arena_destroy(a);
}

static void shapes(void **state)
{
	arena *a = arena_create();
	machine m;

	(void)state;
	open_shapes(&m, read_case(a, "shapes"));
	must_be_clean(&m);
	right_shapes(&m);
	close_machine(&m);
	arena_destroy(a);
}

/* --- one statement less --- */

typedef bool right_fn(machine *m, bool fail);

/* Removes each statement that orders something in turn: reported, or the result is wrong. */
static void each_removed(machine *m, right_fn *right)
{
	edit_places at = edit_statements(m->arena, m->program);
	int survivors = 0, reported = 0;

	m->args.report_limit = 1;
	for (int i = 0; i < at.count; i++) {
		tile_stmt *s = edit_at(&at, i);
		const char *line = edit_line(m->arena, m->program, s);
		bool clean;

		if (!edit_orders(s->op))
			continue;
		edit_remove(&at, i);
		clean = run(m);
		reported += !clean;
		if (!clean)
			printf("    %s: %s: %s\n", line, sim_fault_text(m->report.entry[0].fault),
				m->report.entry[0].message);
		else if (right(m, false))
			printf("    survives: %s\n", line);
		survivors += clean && right(m, false);
		edit_restore(&at, i, s);
	}
	printf("    %d reported\n", reported);
	assert_int_equal(survivors, 0);
	assert_true(reported > 10);
}

static void matmul_removed(void **state)
{
	arena *a = arena_create();
	machine m;

	(void)state;
	open_matmul(&m, read_case(a, "matmul"));
	m.args.grid[0] = m.args.grid[1] = 1;
	each_removed(&m, right_matmul);
	close_machine(&m);
	arena_destroy(a);
}

static void attend_removed(void **state)
{
	arena *a = arena_create();
	machine m;

	(void)state;
	open_attend(&m, read_case(a, "attend"));
	m.args.grid[0] = m.args.grid[1] = 1;
	each_removed(&m, right_attend);
	close_machine(&m);
	arena_destroy(a);
}

/* --- mistakes --- */

#define DECLARATIONS                                                                               \
	"in x : bf16[]\nout y : f32[]\nin x_map : map x box 64, 64 panel 64\n"                     \
	"shared k : bf16[2, 64, 64] swizzle 3 panel 64 at 0\n"                                     \
	"shared plain : f32[1, 128, 16] swizzle 2 at 16384\n"                                      \
	"mbar full[2] count 1 at 24576\nmbar empty[2] count 8 at 24592\n"                          \
	"counter done[2] at 24608\nacc s : f32[128, 64]\nacc t : f32[128, 64]\n"                   \
	"acc wide : f32[128, 128]\nopa a : bf16[128, 64]\n"

#define READY                                                                                      \
	"if warp == 0 {\ninit full\ninit empty\ninit done\n}\nfence.async\nbarrier\n"              \
	"map a = bf16(0.25)\nmap s = 0.5\nmap t = 0.5\nmap wide = 0.5\n"
#define LOAD "expect full[0], 8192\ntma.load k[0] = x_map(0, 0) signal full[0]\n"
#define LOADED READY "if warp == 0 {\n" LOAD "}\nawait full[0], 0\n"
#define USED "store y[i64(row * 64 + col)] = s over s"
#define PRODUCT "wgmma.fence s, a\nwgmma s += a * k[0]\nwgmma.commit\n"

static const struct {
	sim_fault fault;
	const char *body;
} mistakes[] = {
	/* mbarriers */
	{SIM_UNSET_BARRIER, "await full[0], 1"},
	{SIM_UNSET_BARRIER, "if warp == 0 {\ninit full\n}\nawait full[0], 1"},
	{SIM_UNSET_BARRIER, "if warp == 0 {\ninit done\n}\ncount n = done[0]"},
	{SIM_RACE, "init full"},
	{SIM_ASYNC_FENCE, "if warp == 0 {\ninit full\n" LOAD "await full[0], 0\n}"},
	{SIM_DEADLOCK, READY "await full[0], 0"},
	{SIM_DEADLOCK, READY "if warp == 0 {\nexpect full[0], 16\n}\nawait full[0], 0"},
	{SIM_DEADLOCK, READY "arrive empty[1]\nawait empty[0], 0"},
	{SIM_DEADLOCK, LOADED "await full[0], 0\nawait full[0], 1"},
	{SIM_DEADLOCK, READY "if warp == 0 {\nbarrier.sync 1, 64\n}"},
	{SIM_ARRIVALS, READY "expect full[0], 16"},
	{SIM_ARRIVALS, READY "if warp == 0 {\n" LOAD LOAD "}\nawait full[0], 0"},
	{SIM_BYTES,
		READY "if warp == 0 {\nexpect full[0], 4096\ntma.load k[0] = x_map(0, 0) signal "
		      "full[0]\n}\nawait full[0], 0"},
	{SIM_PHASE, READY "if warp == 0 {\n" LOAD "await full[0], 1\nawait full[0], 0\n}"},
	{SIM_PHASE, LOADED "if warp == 7 {\nexpect full[0], 8192\ntma.load k[1] = x_map(0, 0) "
			   "signal full[0]\nawait full[0], 1\n}"},
	{SIM_PHASE, LOADED "await full[0], lane * 0 + 2"},
	{SIM_SHARED_BOUNDS, READY "arrive empty[warp]"},
	{SIM_DIVERGENT_WARP, READY "if lane < 8 {\narrive empty[0]\n}"},
	{SIM_DIVERGENT_BLOCK, READY "if warp < 2 {\nbarrier.sync 1, 128\n} else {\n"
				    "barrier.sync 1, 192\n}"},
	{SIM_RACE, READY "if warp == 1 {\nstore.shared plain[0] = 1.0 over s[:, 0:+16]\n}\n"
			 "if warp == 6 {\nmap s = plain[0, 17, 3]\n}"},
	{SIM_RACE, READY "if warp == 1 {\nstore.shared plain[0] = 1.0 over s[:, 0:+16]\n"
			 "barrier.arrive 1, 64\n}\nif warp == 6 {\nbarrier.arrive 1, 64\n"
			 "map s = plain[0, 17, 3]\n}"},
	{SIM_RACE, READY "if warp == 1 {\nbarrier.arrive 1, 64\n"
			 "store.shared plain[0] = 1.0 over s[:, 0:+16]\n}\n"
			 "if warp == 6 {\nbarrier.sync 1, 64\nmap s = plain[0, 17, 3]\n}"},
	/* loads */
	{SIM_NEVER_WAITED, READY "if warp == 0 {\n" LOAD "}"},
	{SIM_FLIGHT_READ, READY "if warp == 0 {\n" LOAD "map s = k[0, 3, 5]\nawait full[0], 0\n}"},
	{SIM_FLIGHT_WRITE,
		READY "if warp == 0 {\n" LOAD "}\nfill k[0] = bf16(1.0)\nawait full[0], 0"},
	{SIM_RACE, READY "if warp == 0 {\n" LOAD "await full[0], 0\n}\nmap s = k[0, 3, 5]\n" USED},
	{SIM_RACE, LOADED "map s = k[0, 3, 5]\nif warp == 7 {\nexpect full[0], 8192\n"
			  "tma.load k[0] = x_map(64, 0) signal full[0]\n}\nawait full[0], 1"},
	{SIM_ASYNC_FENCE, READY "fill k[0] = bf16(1.0)\nbarrier\nif warp == 0 {\n" LOAD
				"}\nawait full[0], 0"},
	{SIM_SHARED_BOUNDS,
		READY "if warp == 0 {\nexpect full[0], 8192\n"
		      "tma.load k[0, warp + 4:+64, 0:+64] = x_map(0, 0) signal full[0]\n}"},
	/* products */
	{SIM_PRODUCT_FENCE, LOADED "wgmma s += a * k[0]\nwgmma.commit\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_FENCE, LOADED "wgmma.fence s, a\nmap s = 0.0\nwgmma s += a * k[0]\n"
				   "wgmma.commit\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_FENCE, LOADED "wgmma.fence s, a\nmap a = bf16(0.5)\nwgmma s += a * k[0]\n"
				   "wgmma.commit\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_FENCE, LOADED PRODUCT "wgmma.wait 0, s, a\nwgmma s += a * k[0]\nwgmma.commit\n"
					   "wgmma.wait 0, s, a"},
	{SIM_PRODUCT_FENCE, LOADED "wgmma.fence s, a\n" USED "\nwgmma s = a * k[0]\nwgmma.commit\n"
				   "wgmma.wait 0, s, a"},
	{SIM_PRODUCT_TOUCH, LOADED PRODUCT USED "\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_TOUCH, LOADED PRODUCT "map s = 0.0\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_TOUCH, LOADED PRODUCT "map a = bf16(0.5)\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_TOUCH, LOADED PRODUCT "wgmma.wait 1, s, a\n" USED "\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_TOUCH, LOADED "wgmma.fence s, a\nwgmma s += a * k[0]\nwgmma.wait 0, s, a\n"
				   "map s = s * 2.0\nwgmma.commit\nwgmma.wait 0, s, a"},
	{SIM_PRODUCT_UNLISTED, LOADED PRODUCT "wgmma.wait 0, a\n" USED},
	{SIM_PRODUCT_UNLISTED, LOADED PRODUCT "wgmma.wait 0, a\nmap s = 0.0"},
	{SIM_PRODUCT_SHAPE, LOADED "wgmma.fence wide, a\nwgmma wide[:, 0:+64] += a * k[0]\n"
				   "wgmma wide[:, 32:+64] += a * k[0]\nwgmma.commit\n"
				   "wgmma.wait 0, wide, a"},
	{SIM_PRODUCT_OPERAND, LOADED PRODUCT "barrier\nfill k[0] = bf16(0.0)\nwgmma.wait 0, s, a"},
	{SIM_NEVER_WAITED, LOADED PRODUCT},
	{SIM_NEVER_WAITED, LOADED "wgmma.fence s, a\nwgmma s += a * k[0]\nwgmma.wait 0, s, a"},
	{SIM_UNSET_SHARED, LOADED "wgmma.fence s, a\nwgmma s += a * k[1]\nwgmma.commit\n"
				  "wgmma.wait 0, s, a"},
	{SIM_RACE, READY "fence.async\nif warp == 0 {\n" LOAD "await full[0], 0\n}\n" PRODUCT
			 "wgmma.wait 0, s, a"},
	{SIM_ASYNC_FENCE, READY "fill k[0] = bf16(1.0)\nbarrier\n" PRODUCT "wgmma.wait 0, s, a"},
	{SIM_ASYNC_FENCE,
		READY "fence.async\nfill k[0] = bf16(1.0)\nbarrier\n" PRODUCT "wgmma.wait 0, s, a"},
	{SIM_RACE, READY "fill k[0] = bf16(1.0)\nfence.async\n" PRODUCT "wgmma.wait 0, s, a"},
	{SIM_RACE,
		LOADED PRODUCT "wgmma.wait 0, s, a\nif warp == 7 {\nexpect full[0], 8192\n"
			       "tma.load k[0] = x_map(64, 0) signal full[0]\n}\nawait full[0], 1"},

	{SIM_DIVERGENT_GROUP, LOADED "wgmma.fence s, a\nif warp != 5 {\nwgmma s += a * k[0]\n}\n"
				     "wgmma.commit\nwgmma.wait 0, s, a"},
	{SIM_DIVERGENT_GROUP, LOADED "wgmma.fence t, a\nwgmma t += a[:, 0:+16] * k[0, 0:+64, "
				     "warp % 2 * 16:+16]\nwgmma.commit\nwgmma.wait 0, t, a"},
	/* what stays as it was */
	{SIM_DIVERGENT_WARP, READY "if lane < 3 {\nfence.async\n}"},
	{SIM_UNSET_VARIABLE, READY "if warp == 2 {\nlet v = 1\n}\nmap s = f32(v)"},
	{SIM_LOOP_STEP, READY "for i in 0 .. 4 step warp {\nmap s = 0.0\n}"},
	{SIM_STEPS, READY "for i in 0 .. 1000000 {\nmap s = 0.0\n}"},
};

/* What is right, close to the mistakes above. */
static const char *const fine[] = {
	READY "await empty[0], 1",
	READY "arrive empty[0]\nawait empty[0], 0\narrive empty[0]\nawait empty[0], 1",
	LOADED "await full[0], 0\nmap s = k[0, 3, 5]\n" USED,
	LOADED PRODUCT "wgmma.wait 0, s, a\n" USED,
	LOADED PRODUCT "wgmma.fence s\nwgmma s += a * k[0]\nwgmma.commit\nwgmma.wait 1\n"
		       "wgmma.wait 0, s, a\n" USED,
	LOADED PRODUCT "wgmma.wait 0, s, a\narrive empty[0]\nif warp == 3 {\nawait empty[0], 0\n"
		       "expect full[0], 8192\ntma.load k[0] = x_map(64, 0) signal full[0]\n}\n"
		       "await full[0], 1\n" PRODUCT "wgmma.wait 0, s, a",
	LOADED PRODUCT "wgmma.wait 0, s, a\ncount n = done[0]\nif n == 7 {\n"
		       "expect full[0], 8192\ntma.load k[0] = x_map(64, 0) signal full[0]\n}\n"
		       "await full[0], 1\n" PRODUCT "wgmma.wait 0, s, a",
	/* the fence on the reader's side, and by way of a third warp */
	READY "fill k[0] = bf16(1.0)\nbarrier\nfence.async\n" PRODUCT "wgmma.wait 0, s, a",
	READY
	"if warp == 1 {\nstore.shared plain[0] = 1.0 over s[:, 0:+16]\nbarrier.arrive 1, 64\n}\n"
	"if warp == 6 {\nbarrier.sync 1, 64\nmap s = plain[0, 17, 3]\n}",
	READY
	"if warp == 0 {\nbarrier.sync 3, 64\n} else {\nif warp == 4 {\nbarrier.sync 3, 64\n}\n}",
	READY
	"for i in 0 .. warp {\nif lane < i {\nmap t = t + 1.0\n} else {\nmap t = t - 1.0\n}\n}",
	READY "any.block n = s == 0.5 over s\nif n {\narrive empty[0]\n}\nawait empty[0], 0",
	READY "for i in 0 .. 9 {\nbreak if i == 3\nbarrier\n}\nbarrier",
	READY "copy k[0] = x[i64(row * 64)]\ncommit\nwait 0\nfence.async\nbarrier\n" PRODUCT
	      "wgmma.wait 0, s, a",
};

static void open_body(machine *m, const char *body)
{
	arena *a = arena_create();

	open_text(m,
		arena_printf(a, "kernel t on sm_90a warps 8 blocks 1 shared 24616 {\n%s\n%s\n}\n",
			DECLARATIONS, body));
	make_tensor(m, "x", 128 * 64);
	make_tensor(m, "y", 128 * 64);
	make_map(m, "x_map", (int64_t[]){128, 64});
	m->args.step_limit = 20000;
	m->args.report_limit = 1;
	arena_destroy(a);
}

static void mistakes_are_found(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		machine m;
		sim_fault want = mistakes[i].fault;
		text out = {0};

		open_body(&m, mistakes[i].body);
		if (run(&m) || m.report.entry[0].fault != want) {
			sim_report_print(&m.report, &out);
			printf("%s\n  is not '%s' but\n%s\n", mistakes[i].body,
				sim_fault_text(want), out.data ? out.data : "nothing");
			wrong++;
		}
		text_free(&out);
		close_machine(&m);
	}
	assert_int_equal(wrong, 0);
}

static void fine_is_fine(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		machine m;

		open_body(&m, fine[i]);
		must_be_clean(&m);
		close_machine(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matmul),
		cmocka_unit_test(attend),
		cmocka_unit_test(shapes),
		cmocka_unit_test(matmul_removed),
		cmocka_unit_test(attend_removed),
		cmocka_unit_test(mistakes_are_found),
		cmocka_unit_test(fine_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
