/* Programs for Hopper: what they compute, and what the simulator says when one of the statements
 * that order their memory is missing or wrong. */
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../compiler/sim/sim_float.h"
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

/* --- one statement less --- */

typedef struct {
	tile_block *block;
	int index;
} place;

typedef struct {
	place *item;
	int count, cap;
} places;

static void collect(arena *a, tile_block *b, places *out)
{
	for (int i = 0; i < b->count; i++) {
		place x = {b, i};

		ARENA_PUSH(a, out, x);
		collect(a, &b->item[i]->body, out);
		collect(a, &b->item[i]->other, out);
	}
}

static bool orders(tile_opcode op)
{
	switch (op) {
	case TILE_BARRIER:
	case TILE_BINIT:
	case TILE_BEXPECT:
	case TILE_BARRIVE:
	case TILE_BWAIT:
	case TILE_FENCEA:
	case TILE_WFENCE:
	case TILE_WCOMMIT:
	case TILE_WWAIT:
	case TILE_NSYNC:
	case TILE_NARRIVE:
	case TILE_TMALOAD:
		return true;
	default:
		return tile_is_wgmma(op);
	}
}

/* The statement as it is printed. */
static char *statement(const machine *m, const tile_stmt *s)
{
	tile_program one = *m->program;
	tile_stmt alone = *s, *item = &alone;
	text out = {0};
	char *line;

	alone.body = alone.other = (tile_block){0};
	one.arg.count = one.buffer.count = one.bar.count = one.frag.count = 0;
	one.body = (tile_block){&item, 1, 1};
	tile_print(&one, &out);
	line = strchr(out.data, '\n');
	line += strspn(line, " \n");
	line[strcspn(line, "\n")] = '\0';
	line = arena_strdup(m->arena, line);
	text_free(&out);
	return line;
}

typedef bool right_fn(machine *m, bool fail);

/* Removes each statement that orders something in turn. `spared`: those that may be missing. */
static void each_removed(machine *m, right_fn *right, const char *const *spared, bool print)
{
	places at = {0};
	int survivors = 0, reported = 0;

	m->args.report_limit = 1;
	collect(m->arena, &m->program->body, &at);
	for (int i = 0; i < at.count; i++) {
		tile_block *b = at.item[i].block;
		int n = at.item[i].index, may = 0;
		tile_stmt *s = b->item[n];
		char *line;
		bool clean;

		if (!orders(s->op))
			continue;
		line = statement(m, s);
		memmove(&b->item[n], &b->item[n + 1], (size_t)(b->count - n - 1) * sizeof *b->item);
		b->count--;
		clean = run(m);
		reported += !clean;
		for (int k = 0; spared[k]; k++)
			may |= strcmp(spared[k], line) == 0;
		if (clean && !may && right(m, false)) {
			printf("    survives: %s\n", line);
			survivors++;
		} else if (print && !clean) {
			printf("    %s: %s: %s\n", line, sim_fault_text(m->report.entry[0].fault),
				m->report.entry[0].message);
		}
		memmove(&b->item[n + 1], &b->item[n], (size_t)(b->count - n) * sizeof *b->item);
		b->item[n] = s;
		b->count++;
	}
	printf("    %d reported\n", reported);
	assert_int_equal(survivors, 0);
	assert_true(reported > 10);
}

static void matmul_removed(void **state)
{
	static const char *const spared[] = {NULL};
	arena *a = arena_create();
	machine m;

	(void)state;
	open_matmul(&m, read_case(a, "matmul"));
	m.args.grid[0] = m.args.grid[1] = 1;
	each_removed(&m, right_matmul, spared, getenv("TRIKL_PRINT") != NULL);
	close_machine(&m);
	arena_destroy(a);
}

static void attend_removed(void **state)
{
	static const char *const spared[] = {NULL};
	arena *a = arena_create();
	machine m;

	(void)state;
	open_attend(&m, read_case(a, "attend"));
	m.args.grid[0] = m.args.grid[1] = 1;
	each_removed(&m, right_attend, spared, getenv("TRIKL_PRINT") != NULL);
	close_machine(&m);
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matmul),
		cmocka_unit_test(attend),
		cmocka_unit_test(matmul_removed),
		cmocka_unit_test(attend_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
