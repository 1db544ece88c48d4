/* Small tile programs, written as text: what each operation does to the data, and which fault each
 * mistake is. */
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

enum { ELEMENTS = 4096, MAX_ARGS = 8 };

typedef struct {
	arena *arena;
	char *text;
	tile_program *program;
	void *memory[MAX_ARGS]; /* [argument]: ELEMENTS elements, 16-byte aligned */
	sim_value value[MAX_ARGS];
	sim_args args;
	sim_report report;
} machine;

/* The value of element i of a tensor: small, exact in every type, not symmetric. */
static float value_at(int64_t i)
{
	return (float)(i * 37 % 61 - 30) / 8;
}

static void fill_tensor(const tile_arg *a, void *memory)
{
	for (int64_t i = 0; i < ELEMENTS; i++) {
		float f = value_at(i);
		int32_t whole = (int32_t)i;
		uint16_t half = a->type == TILE_BF16 ? sim_to_bf16(f) : sim_to_f16(f);

		if (a->written)
			memset((uint8_t *)memory + i * tile_type_bytes(a->type), 0xff,
				(size_t)tile_type_bytes(a->type));
		else if (tile_type_bytes(a->type) == 2)
			((uint16_t *)memory)[i] = half;
		else if (a->type == TILE_I32)
			((int32_t *)memory)[i] = whole;
		else
			((float *)memory)[i] = f;
	}
}

/* Tensors of ELEMENTS elements; every scalar is `scalar`. */
static void machine_open(machine *m, const char *declarations, const char *body, int64_t scalar)
{
	source *src;
	diags *d;

	*m = (machine){.arena = arena_create()};
	m->text = arena_printf(m->arena, "kernel t on sm_80 warps 2 shared 8192 {\n%s\n%s\n}\n",
		declarations, body);
	src = source_create(m->arena, "test", m->text, strlen(m->text));
	d = diags_create(m->arena, src);
	m->program = tile_parse(m->arena, src, d);
	if (!m->program) {
		text out = {0};

		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	assert_true(m->program->arg.count <= MAX_ARGS);
	for (int i = 0; i < m->program->arg.count; i++) {
		const tile_arg *a = m->program->arg.item[i];

		if (a->kind == ARG_SCALAR) {
			m->value[i].i = scalar;
			continue;
		}
		m->memory[i] = aligned_alloc(64, ELEMENTS * 8);
		fill_tensor(a, m->memory[i]);
		m->value[i].tensor = (sim_tensor){m->memory[i], 0, ELEMENTS};
	}
	m->args = (sim_args){.arg = m->value, .grid = {1, 1, 1}, .step_limit = 10000};
}

static void machine_close(machine *m)
{
	for (int i = 0; i < MAX_ARGS; i++)
		free(m->memory[i]);
	sim_report_free(&m->report);
	arena_destroy(m->arena);
}

static void must_be_clean(machine *m)
{
	text out = {0};

	if (sim_run(m->program, &m->args, &m->report))
		return;
	sim_report_print(&m->report, &out);
	fail_msg("%s\n%s", m->text, out.data);
}

/* --- faults --- */

#define DECLARATIONS                                                                               \
	"in x : bf16[]\nin n : i32\nin z : f32[]\nout y : f32[]\nout o : bf16[]\n"                 \
	"shared k : bf16[2, 32, 16] swizzle 1 at 0\n"                                              \
	"shared k2 : bf16[1, 32, 16] swizzle 1 at 0 shares k\n"                                    \
	"shared f : f32[1, 32, 16] swizzle 2 at 4096\n"                                            \
	"acc s : f32[32, 16]\nopa a : bf16[32, 16]\nopb b : bf16[16, 16]\nrowv m : f32[32]\n"      \
	"rowv r : i32[32]\n"

#define FILLED "fill k[0] = bf16(1.0)\nbarrier\n"
#define ROWS "store.rows o[i64(row * 16)] = k[0]\n"
#define OWN_ROWS "map a = bf16(1.0)\nstsm k[0] = a\n"
#define COPIED "copy k[0] = x[i64(row * 16)]\n"

static const struct {
	sim_fault fault;
	int scalar;
	const char *body;
} faults[] = {
	/* registers and variables */
	{SIM_UNSET_REGISTER, 0, "map s = s + 1.0"},
	{SIM_UNSET_REGISTER, 0, "if lane < 8 {\nmap m = 1.0\n}\nquad.sum m"},
	{SIM_UNSET_REGISTER, 0, "map s = 0.0\nmap b = bf16(0.0)\nmma s += a * b"},
	{SIM_UNSET_REGISTER, 0, "map m = 0.0\nreduce.max m, s"},
	{SIM_UNSET_REGISTER, 0,
		"if lane < 31 {\nmap s = 0.0\n}\nstore y[i64(row * 16 + col)] = s over s"},
	/* shared memory that nobody wrote */
	{SIM_UNSET_SHARED, 0, "ldsm a = k[0]"},
	{SIM_UNSET_SHARED, 0, "lds a = k[0]"},
	{SIM_UNSET_SHARED, 0, "map m = k[0, 3, 5]"},
	{SIM_UNSET_SHARED, 0, "fill k[0, 0:+31, 0:+16] = bf16(1.0)\nbarrier\nldsm a = k[0]"},
	{SIM_UNSET_SHARED, 0, FILLED "ldsm a = k2[0]"},
	/* copies */
	{SIM_FLIGHT_READ, 0, COPIED "commit\nbarrier\nldsm a = k[0]\nwait 0"},
	{SIM_FLIGHT_READ, 0, COPIED "commit\nwait 1\nbarrier\nldsm a = k[0]\nwait 0"},
	{SIM_FLIGHT_READ, 0, COPIED "wait 0\nbarrier\nldsm a = k[0]"},
	{SIM_FLIGHT_READ, 0,
		COPIED "commit\nif warp == 0 {\nwait 0\n}\nbarrier\nldsm a = k[0]\nwait 0"},
	{SIM_FLIGHT_WRITE, 0, COPIED "commit\nbarrier\nfill k[0] = bf16(0.0)\nwait 0"},
	{SIM_FLIGHT_WRITE, 0, COPIED "commit\n" COPIED "commit\nwait 0"},
	{SIM_NEVER_WAITED, 0, COPIED},
	{SIM_NEVER_WAITED, 0, COPIED "commit"},
	{SIM_NEVER_WAITED, 0,
		COPIED "commit\n"
		       "copy k[1] = x[i64(row * 16)]\ncommit\nwait 1"},
	{SIM_NEVER_WAITED, 0, COPIED "commit\nif warp == 1 {\nwait 0\n}"},
	/* races */
	{SIM_RACE, 0, "fill k[0] = bf16(1.0)\nldsm a = k[0]"},
	{SIM_RACE, 0, "fill k[0] = bf16(1.0)\nldsm.rows a = k[0, lane % 16:+1, 0:+16]"},
	{SIM_SHARED_BOUNDS, 0, FILLED "ldsm.rows a = k[0, lane * 8:+1, 0:+16]"},
	{SIM_UNSET_SHARED, 0, FILLED "ldsm.rows a = k2[0, 0:+1, 0:+16]"},
	{SIM_RACE, 0, COPIED "commit\nwait 0\nldsm a = k[0]"},
	{SIM_RACE, 0, COPIED "commit\nwait 0\nmap m = k[0, row, 0]"},
	{SIM_RACE, 0, FILLED "ldsm a = k[0]\nfill k[0] = bf16(0.0)"},
	{SIM_RACE, 0, FILLED "ldsm a = k[0]\n" COPIED "commit\nwait 0"},
	{SIM_RACE, 0, "fill k[0] = bf16(1.0)\nfill k[0] = bf16(2.0)"},
	{SIM_RACE, 0, "map s = 1.0\nstore.shared f[0] = s over s\nmap m = f[0, row, 1]"},
	{SIM_RACE, 0, "map s = 1.0\nstore.shared f[0] = s over s\nfill f[0] = 0.0"},
	{SIM_RACE, 0,
		"fill f[0] = 0.0\nbarrier\nmap m = f[0, 31 - row, 0]\n"
		"store.shared f[0, 0:+32, 0:+1] = m over m"},
	{SIM_RACE, 0, "map m = f32(lane)\nstore.shared f[0, 0:+32, 0:+1] = m over m"},
	/* rows to memory: ordered in a warp, and nowhere else */
	{SIM_UNSET_SHARED, 0, ROWS},
	{SIM_UNSET_SHARED, 0, OWN_ROWS "store.rows o[i64(row * 16)] = k2[0]"},
	{SIM_UNSET_SHARED, 0, "if warp == 1 {\n" OWN_ROWS "}\n" ROWS},
	{SIM_FLIGHT_READ, 0, COPIED "commit\nbarrier\n" ROWS "wait 0"},
	{SIM_RACE, 0, "fill k[0] = bf16(1.0)\n" ROWS},
	{SIM_RACE, 0, COPIED "commit\nwait 0\n" ROWS},
	{SIM_RACE, 0, FILLED ROWS "fill k[0] = bf16(0.0)"},
	{SIM_RACE, 0, FILLED ROWS COPIED "commit\nwait 0"},
	{SIM_RACE, 0, OWN_ROWS "store.rows o[i64(row * 16)] = k[0, 0:+16, 0:+16]"},
	{SIM_RACE, 0,
		OWN_ROWS "if warp == 1 {\nstore.rows o[i64(row * 16)] = k[0, 0:+30, 0:+16]\n}"},
	{SIM_RACE, 0,
		FILLED "if warp == 0 {\n" ROWS "}\nmap s = 1.0\nmap a = bf16(s)\n"
		       "if warp == 1 {\nstsm k[0, -16:+32, 0:+16] = a\n}"},
	{SIM_ALIGNMENT, 4, FILLED "store.rows o[i64(row * 16 + n)] = k[0]"},
	{SIM_ALIGNMENT, 4, FILLED "store.rows o[i64(row * 16)] = k[0, 0:+32, n:+8]"},
	{SIM_SHARED_BOUNDS, 8, FILLED "store.rows o[i64(row * 16)] = k[0, 0:+32, n:+16]"},
	{SIM_SHARED_BOUNDS, 2, FILLED "store.rows o[i64(row * 16)] = k[n]"},
	{SIM_GLOBAL_BOUNDS, 3592, FILLED "store.rows o[i64(row * 16 + n)] = k[0]"},
	{SIM_GLOBAL_BOUNDS, -8, FILLED "store.rows o[i64(row * 16 + n)] = k[0]"},
	{SIM_OUTPUT_CONFLICT, 0,
		"fill k[0] = bf16(f32(row))\nbarrier\nstore.rows o[i64(row * 8)] = k[0]"},
	{SIM_DIVERGENT_WARP, 0, FILLED "if lane < 16 {\n" ROWS "}"},
	{SIM_OVERFLOW, 0x40000000, FILLED "store.rows o[i64(row * n)] = k[0] if row < 4"},
	/* addresses */
	{SIM_SHARED_BOUNDS, 0, "fill k[0, 1:+32, 0:+16] = bf16(1.0)"},
	{SIM_SHARED_BOUNDS, 2, "fill k[n] = bf16(1.0)"},
	{SIM_SHARED_BOUNDS, -1, "fill k[0, n:+2, 0:+16] = bf16(1.0)"},
	{SIM_SHARED_BOUNDS, 8, FILLED "lds a = k[0, 0:+32, n:+16]"},
	{SIM_SHARED_BOUNDS, 2, "copy k[n] = x[i64(row * 16)]"},
	{SIM_SHARED_BOUNDS, 0, "map m = k[0, row, -1]"},
	{SIM_GLOBAL_BOUNDS, 4096, "map m = x[i64(n)]"},
	{SIM_GLOBAL_BOUNDS, -1, "map m = x[i64(n)]"},
	{SIM_GLOBAL_BOUNDS, 4097, "copy k[0, 0:+1, 0:+16] = x[i64(n - 9)]\ncommit\nwait 0"},
	{SIM_GLOBAL_BOUNDS, 4096, "map m = 0.0\nstore y[i64(n)] = m over m"},
	{SIM_ALIGNMENT, 4, "copy k[0] = x[i64(row * 16 + n)]\ncommit\nwait 0"},
	{SIM_ALIGNMENT, 4, "copy k[0, 0:+32, n:+8] = x[i64(row * 16)]\ncommit\nwait 0"},
	{SIM_ALIGNMENT, 4, "fill f[0] = 0.0\nbarrier\nmap m = 0.0\nldsm a = k[0, 0:+32, n:+16]"},
	{SIM_OVERFLOW, 0x40000000, "map m = x[i64(n * 4)]"},
	{SIM_OVERFLOW, 0x7fffffff, "let i = n + 1\nmap m = x[i64(max(i, 0))]"},
	{SIM_OVERFLOW, 0x7fffffff, "map r = n + 2\nmap m = x[i64(min(max(r, 0), 9))]"},
	{SIM_SHIFT, 32, "map m = f32(shl(1, n))"},
	/* flow */
	{SIM_DIVERGENT_BLOCK, 0, "if warp == 0 {\nbarrier\n}"},
	{SIM_DIVERGENT_BLOCK, 0, "if lane < 16 {\nbarrier\n} else {\nbarrier\n}"},
	{SIM_DIVERGENT_BLOCK, 0, "for i in 0 .. warp {\nfill k[0] = bf16(1.0)\n}"},
	{SIM_DIVERGENT_BLOCK, 0, "if tid < 3 {\n" COPIED "}"},
	{SIM_DIVERGENT_WARP, 0, "map m = 0.0\nif lane < 16 {\nquad.max m\n}"},
	{SIM_DIVERGENT_WARP, 0, FILLED "if lane != 3 {\nldsm a = k[0]\n}"},
	{SIM_DIVERGENT_WARP, 0,
		"map s = 0.0\nmap a = bf16(0.0)\nmap b = bf16(0.0)\n"
		"for i in 0 .. lane {\nmma s += a * b\n}"},
	{SIM_DIVERGENT_WARP, 0, "map m = 0.0\nif lane == 0 {\nany t = m < 1.0 over m\n}"},
	{SIM_DIVERGENT_WARP, 0, "if lane == 0 {\ncommit\n}"},
	{SIM_VARYING, 0, "let i = lane % 2\nfill k[i] = bf16(1.0)"},
	{SIM_LOOP_STEP, 0, "for i in 0 .. 4 step n {\nmap m = 0.0\n}"},
	{SIM_STEPS, 2147483647, "for i in 0 .. n {\nmap m = 0.0\n}"},
	{SIM_STEPS, 2147483647, "for i in 0 .. n {\n}"},
	{SIM_OUTPUT_CONFLICT, 0, "map m = f32(row)\nstore y[i64(row / 2)] = m over m"},
	{SIM_OUTPUT_CONFLICT, 0, "map m = f32(lane)\nstore y[i64(row)] = m over m"},
};

static void each_mistake_is_its_fault(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		machine m;
		text out = {0};
		bool ok;

		machine_open(&m, DECLARATIONS, faults[i].body, faults[i].scalar);
		ok = sim_run(m.program, &m.args, &m.report);
		sim_report_print(&m.report, &out);
		if (ok || m.report.entry[0].fault != faults[i].fault) {
			printf("expected: %s\n%s\ngot: %s\n", sim_fault_text(faults[i].fault),
				faults[i].body, out.data ? out.data : "nothing");
			bad++;
		}
		text_free(&out);
		machine_close(&m);
	}
	assert_int_equal(bad, 0);
}

/* The same with what was missing. */
static const struct {
	int scalar;
	const char *body;
} sound[] = {
	{0, COPIED "commit\nwait 0\nbarrier\nldsm a = k[0]\nbarrier\n" COPIED "commit\nwait 0"},
	{0, COPIED "commit\ncopy k[1] = x[i64(row * 16)]\ncommit\nwait 1\nbarrier\nldsm a = k[0]\n"
		   "wait 0\nbarrier\nldsm a = k[1]"},
	{0, "fill k[0] = bf16(1.0)\nfill k[1] = bf16(1.0)\nbarrier\nldsm a = k[0]\nldsm a = k[1]"},
	/* a thread may read what it wrote itself, lanes of a quad may store the same */
	{0, "map s = 1.0\nstore.shared f[0] = s over s\nmap s = f[0, row, col]"},
	{0, "map m = f32(row)\nstore.shared f[0, 0:+32, 0:+1] = m over m"},
	{0, "map m = f32(row)\nstore y[i64(row)] = m over m"},
	/* what a warp does around its STORE.ROWS is ordered */
	{0, OWN_ROWS ROWS "stsm k[0] = a\n" ROWS "ldsm a = k[0]"},
	{0, "map s = 1.0\nstore.shared f[0] = s over s\nstore.rows y[i64(row * 16)] = f[0]\n"
	    "map s = f[0, row, 15 - col]\n"},
	{0, FILLED ROWS "ldsm a = k[0]\nbarrier\nfill k[0] = bf16(0.0)"},
	{0, "if warp == 1 {\n" OWN_ROWS ROWS "}"},
	{0, "store.rows o[-1] = k[0] if row < 0"},
	/* nothing is evaluated where the predicate is false */
	{0, "map m = 0.0\nstore y[i64(row - 40)] = x[i64(-1)] over m if n == 1"},
	{0, "copy k[0] = x[i64(-1)] if row < 0\ncommit\nwait 0\nbarrier\nldsm a = k[0]"},
	/* lanes that differ, and operations that do not mind */
	{0, "map m = 0.0\nif lane < 16 {\nmap m = 1.0\n} else {\nmap m = 2.0\n}\nquad.max m"},
	{0, "map m = 0.0\nfor i in 0 .. lane {\nmap m = m + 1.0\n}"},
	{0, "map m = 0.0\nif warp == 0 {\nquad.max m\nany t = m < 1.0 over m\n}"},
	{0x7fffffff, "map m = f32(n + 1)"},
};

static void sound_programs_are_clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
		machine m;

		machine_open(&m, DECLARATIONS, sound[i].body, sound[i].scalar);
		must_be_clean(&m);
		machine_close(&m);
	}
}

/* --- data --- */

static float at(const machine *m, int arg, int64_t i)
{
	return ((const float *)m->memory[arg])[i];
}

/* y = a b^T for operands of each type, both ways of loading, with k = 32 in shared memory. */
static void product_over(
	const char *over, const char *type, const char *a_load, const char *b_load, bool trans)
{
	machine m;
	bool f32 = !strcmp(type, "tf32");
	char *declarations, *body;
	arena *scratch = arena_create();
	const char *stored = f32 ? "f32" : type;

	declarations = arena_printf(scratch,
		"in x : %s[]\nin z : %s[]\nout y : f32[]\n"
		"shared p : %s[1, 32, 32] swizzle %d at 0\nshared q : %s[1, 32, 32] swizzle %d at "
		"4096\n"
		"acc s : f32[32, 32]\nopa a : %s[32, 32]%s\nopb b : %s[32, 32]%s\n%s%s%s%s",
		stored, stored, stored, f32 ? 3 : 2, stored, f32 ? 3 : 2, stored, over, stored,
		over, f32 ? "opa at : tf32[32, 32]" : "", over,
		f32 ? "\nopb bt : tf32[32, 32]" : "",
		f32 ? arena_printf(scratch, "%s\n", over) : "");
	body = arena_printf(scratch,
		"copy p[0] = x[i64(row * 32)]\ncopy q[0] = z[i64(512 + row * 32)]\ncommit\nwait 0\n"
		"barrier\nmap s = 0.0\n%s a = p[0]\n%s b = q[0]\n%s"
		"mma s[:, 0:+16] += %s * %s[:, 0:+16]\nmma s[:, 16:+16] += %s * %s[:, 16:+16]\n"
		"store y[i64(row * 32 + col)] = s over s",
		a_load, b_load, f32 ? "map at = tf32(a)\nmap bt = tf32(b)\n" : "", f32 ? "at" : "a",
		f32 ? "bt" : "b", f32 ? "at" : "a", f32 ? "bt" : "b");
	machine_open(&m, declarations, body, 0);
	must_be_clean(&m);
	for (int row = 0; row < 32; row++)
		for (int col = 0; col < 32; col++) {
			double sum = 0;

			for (int k = 0; k < 32; k++)
				sum += (double)value_at(trans ? k * 32 + row : row * 32 + k) *
				       (double)value_at(
					       512 + (trans ? k * 32 + col : col * 32 + k));
			assert_float_equal(at(&m, 2, row * 32 + col), sum, 1e-4);
		}
	machine_close(&m);
	arena_destroy(scratch);
}

static void product(const char *type, const char *a_load, const char *b_load, bool trans)
{
	product_over("", type, a_load, b_load, trans);
}

static void products_of_every_type(void **state)
{
	(void)state;
	product("bf16", "ldsm", "ldsm", false);
	product("bf16", "ldsm.trans", "ldsm.trans", true);
	product("bf16", "lds", "lds", false);
	product("f16", "ldsm", "ldsm", false);
	product("f16", "lds.trans", "lds.trans", true);
	product("tf32", "ldsm", "ldsm", false);
	product("tf32", "lds", "lds", false);
	product("tf32", "lds.trans", "lds.trans", true);
	product_over(" over acc", "tf32", "lds", "lds", false);
	product_over(" over acc", "tf32", "lds.trans", "lds.trans", true);
}

/* Each element of a tile, its row sum and maximum, and a column vector. */
static void vectors_and_reductions(void **state)
{
	machine m;

	(void)state;
	machine_open(&m,
		"in z : f32[]\nout y : f32[]\nout sums : f32[]\nout tops : f32[]\n"
		"acc s : f32[32, 16]\nrowv m : f32[32]\nrowv t : f32[32]\ncolv c : f32[16] over "
		"acc\n",
		"map c = z[i64(col)]\nmap s = c * 4.0 + f32(row)\nmap m = 0.0\nmap t = -inf\n"
		"reduce.sum m, s\nquad.sum m\nreduce.max t, s\nquad.max t\n"
		"store y[i64(row * 16 + col)] = s over s\n"
		"store sums[i64(row)] = m over m if lane % 4 == 1\n"
		"store tops[i64(row)] = t over t",
		0);
	must_be_clean(&m);
	for (int row = 0; row < 32; row++) {
		float sum = 0, top = -INFINITY;

		for (int col = 0; col < 16; col++) {
			float v = value_at(col) * 4 + (float)row;

			assert_float_equal(at(&m, 1, row * 16 + col), v, 0);
			sum += v;
			top = fmaxf(top, v);
		}
		assert_float_equal(at(&m, 2, row), sum, 1e-4);
		assert_float_equal(at(&m, 3, row), top, 0);
	}
	machine_close(&m);
}

/* Rows of a part of a buffer, where the predicate holds; nothing else is touched. */
static void rows_to_memory(void **state)
{
	machine m;
	uint16_t *got;

	(void)state;
	machine_open(&m,
		"in x : bf16[]\nout o : bf16[]\nshared k : bf16[2, 32, 32] swizzle 2 at 0\n"
		"opa a : bf16[32, 32]",
		"map a = bf16(f32(row * 32 + col) / 8.0)\nstsm k[1] = a\n"
		"store.rows o[i64((31 - row) * 40)] = k[1, 0:+32, 8:+24] if row % 3 != 1",
		0);
	must_be_clean(&m);
	got = m.memory[1];
	for (int row = 0; row < 32; row++)
		for (int col = 0; col < 40; col++) {
			bool here = (31 - row) % 3 != 1 && col < 24;
			float want = (float)((31 - row) * 32 + 8 + col) / 8;

			assert_int_equal(got[row * 40 + col], here ? sim_to_bf16(want) : 0xffff);
		}
	machine_close(&m);
}

/* f(z[i]) for 512 elements against g(value, index). */
static void elementwise(const char *value, float (*g)(float x, int i))
{
	machine m;
	char body[256];

	snprintf(body, sizeof body,
		"map s = z[i64(row * 16 + col)]\nmap s = %s\n"
		"store y[i64(row * 16 + col)] = s over s",
		value);
	machine_open(&m, "in z : f32[]\nin n : i32\nout y : f32[]\nacc s : f32[32, 16]\n", body, 3);
	must_be_clean(&m);
	for (int i = 0; i < 512; i++)
		if (at(&m, 2, i) != g(value_at(i), i))
			fail_msg("%s at %g is %g, not %g", value, (double)value_at(i),
				(double)at(&m, 2, i), (double)g(value_at(i), i));
	machine_close(&m);
}

static float floor_division(float x, int i)
{
	(void)x;
	return floorf((float)(i / 16 - 8) / 3);
}

static float remainder_of_divisor(float x, int i)
{
	(void)x;
	return (float)(i / 16 - 8) - 3 * floorf((float)(i / 16 - 8) / 3);
}

static float by_zero(float x, int i)
{
	(void)x;
	(void)i;
	return 0;
}

static float rounded_bf16(float x, int i)
{
	(void)i;
	return sim_round_bf16(x * 1.2345f);
}

static float saturated(float x, int i)
{
	(void)i;
	return x > 0 ? 2147483647.0f : x < 0 ? -2147483648.0f : 0;
}

static float chosen(float x, int i)
{
	return i % 16 < 5 ? x : -1;
}

static float power(float x, int i)
{
	(void)i;
	return exp2f(x);
}

static float fused(float x, int i)
{
	(void)i;
	return fmaf(x, 1.1f, 0.7f);
}

static void values(void **state)
{
	(void)state;
	elementwise("f32((row - 8) / n)", floor_division);
	elementwise("f32((row - 8) % n)", remainder_of_divisor);
	elementwise("f32((row - 8) / (n - 3) + row % (n - 3))", by_zero);
	elementwise("f32(bf16(s * 1.2345))", rounded_bf16);
	elementwise("f32(i32(s * 1.0e20))", saturated);
	elementwise("select(col < 5, s, -1.0)", chosen);
	elementwise("ex2(s)", power);
	elementwise("fma(s, 1.1, 0.7)", fused);
}

/* --- rounding --- */

/* The nearest value with p significant bits and exponents from `least`, ties to even. */
static double nearest(double x, int p, int least)
{
	int e;
	double unit;

	if (x == 0 || !isfinite(x))
		return x;
	frexp(x, &e);
	e = e - 1 < least ? least : e - 1;
	unit = ldexp(1, e - p + 1);
	return nearbyint(x / unit) * unit;
}

static void sixteen_bits_round_to_nearest_even(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (uint32_t h = 0; h < 0x10000; h++) {
		float b = sim_from_bf16((uint16_t)h), f = sim_from_f16((uint16_t)h);

		assert_true(b != b || sim_to_bf16(b) == h);
		assert_true(f != f || sim_to_f16(f) == h);
	}
	for (int i = 0; i < 300000; i++) {
		float x, y, z;
		double exact;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		x = sim_round_bf16(ldexpf((float)(seed >> 40) - 0x1p23f, (int)(seed % 61) - 40));
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		y = sim_round_bf16(ldexpf((float)(seed >> 40) - 0x1p23f, (int)(seed % 37) - 40));
		z = sim_round_bf16(-x * y * (float)(1 + (seed >> 8) % 3 * 0x1p-9));
		exact = (double)x * (double)y;
		assert_true((double)sim_round_bf16(x * y) == nearest(exact, 8, -126));
		exact += (double)z; /* exact in double: the exponents are near */
		assert_true(
			(double)sim_round_bf16(sim_fma_odd(x, y, z)) == nearest(exact, 8, -126));
		if (fabsf(x) < 65504)
			assert_true((double)sim_round_f16(x) == nearest((double)x, 11, -14));
	}
	/* a tie that only the addend's last bit breaks: 257 * 2^k - tiny, far apart */
	assert_true(sim_round_bf16(sim_fma_odd(257, 1, -0x1p-60f)) == 256);
	assert_true(sim_round_bf16(sim_fma_odd(257, 1, 0x1p-60f)) == 258);
	assert_true(sim_round_bf16(sim_fma_odd(257, 1, 0)) == 256);
	assert_true(isinf(sim_round_f16(65520)) && sim_round_f16(65519.996f) == 65504);
	assert_true(sim_to_tf32(1 + 0x1p-11f) == 1 + 0x1p-10f);
	assert_true(sim_to_tf32(1 + 0x1p-11f - 0x1p-23f) == 1);
}

/* --- the rest --- */

static void grids_run_on_a_pool(void **state)
{
	machine m;
	rt_pool *pool = rt_pool_create(3);

	(void)state;
	machine_open(&m, "out y : f32[]\nrowv t : f32[32]\n",
		"map t = f32(block.x + 3 * block.y + 15 * block.z)\n"
		"store y[i64(row + 32 * (block.x + 3 * (block.y + 5 * block.z)))] = t over t",
		0);
	m.args.pool = pool;
	m.args.grid[0] = 3;
	m.args.grid[1] = 5;
	m.args.grid[2] = 7;
	must_be_clean(&m);
	for (int i = 0; i < 32 * 105; i++)
		assert_true(at(&m, 0, i) == (float)(i / 32));
	machine_close(&m);
	rt_pool_destroy(pool);
}

static void reports_say_where(void **state)
{
	machine m;
	text out = {0};

	(void)state;
	machine_open(&m, DECLARATIONS,
		"fill k[0] = bf16(1.0)\nif warp == 1 {\nldsm a = k[0]  ; spec:7\n}", 0);
	assert_false(sim_run(m.program, &m.args, &m.report));
	sim_report_print(&m.report, &out);
	assert_non_null(
		strstr(out.data, "spec line 7: race between threads: k[0, 16, 0] at shared"));
	assert_non_null(strstr(out.data, "in block 0, 0, 0, warp 1, lane 0 and 31 times more"));
	assert_non_null(strstr(out.data, "    ldsm a = k[0]  ; spec:7"));
	text_free(&out);
	machine_close(&m);
}

static void malformed_runs_are_refused(void **state)
{
	machine m;

	(void)state;
	machine_open(&m, DECLARATIONS, FILLED, 0);
	m.args.grid[1] = -1;
	assert_false(sim_run(m.program, &m.args, &m.report));
	assert_int_equal(m.report.entry[0].fault, SIM_MALFORMED);
	sim_report_free(&m.report);
	m.args.grid[1] = 0;
	must_be_clean(&m);
	sim_report_free(&m.report);
	m.program->buffer.item[0]->offset = -1;
	assert_false(sim_run(m.program, &m.args, &m.report));
	assert_int_equal(m.report.entry[0].fault, SIM_MALFORMED);
	machine_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_its_fault),
		cmocka_unit_test(sound_programs_are_clean),
		cmocka_unit_test(products_of_every_type),
		cmocka_unit_test(vectors_and_reductions),
		cmocka_unit_test(rows_to_memory),
		cmocka_unit_test(values),
		cmocka_unit_test(sixteen_bits_round_to_nearest_even),
		cmocka_unit_test(grids_run_on_a_pool),
		cmocka_unit_test(reports_say_where),
		cmocka_unit_test(malformed_runs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
