/* test_cuda_run.c: the generated CUDA C runs on the CPU (emulated/trikl_cuda.h, g++) and agrees with
 * the reference interpreter. Skipped where there is no g++.
 * Without arguments a few specs; with "SPEC DIMS [DEFINES [unaligned]]" that one. */
#include "../sim/problem.h"
#include "emit_cuda/emit_cuda.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void emulate_fn(void *const *arg, const int64_t *grid);

/* --- kernel -> shared object --- */

static const char *c_type(tile_type t)
{
	static const char *const name[TILE_TYPE_COUNT] = {
		"bool", "int", "int64_t", "float", "bf16", "f16", "float"};

	return name[t];
}

/* emulate(): the kernel with arguments from memory. */
static void put_wrapper(const tile_program *p, text *out)
{
	text_printf(
		out, "alignas(1024) unsigned char shared[%lld];\n", (long long)p->shared_bytes + 1);
	text_put(out, "extern \"C\" void emulate(void *const *arg, const int64_t *grid)\n{\n");
	text_printf(out, "    emulator::launch(grid, THREADS, shared, sizeof shared, [&] {\n");
	text_printf(out, "        %s(", p->name);
	for (int i = 0; i < p->arg.count; i++) {
		const tile_arg *a = p->arg.item[i];
		const char *type = c_type(a->type);

		if (a->kind == ARG_TENSOR)
			text_printf(out, "%s(%s *)arg[%d]", i ? ", " : "", type, i);
		else
			text_printf(out, "%s*(const %s *)arg[%d]", i ? ", " : "", type, i);
	}
	text_put(out, ");\n    });\n}\n");
}

static void write_file(const char *path, const text *t)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(t->data, 1, t->len, f), t->len);
	fclose(f);
}

static void *compile(const tile_program *p, diags *d)
{
	char folder[] = "/tmp/trikl-cuda-XXXXXX", command[1024], source_path[64], object_path[64];
	text out = {0};
	void *object;

	assert_non_null(mkdtemp(folder));
	snprintf(source_path, sizeof source_path, "%s/kernel.cc", folder);
	snprintf(object_path, sizeof object_path, "%s/kernel.so", folder);
	assert_true(emit_cuda(p, &out, d));
	put_wrapper(p, &out);
	write_file(source_path, &out);
	text_free(&out);
	snprintf(command, sizeof command,
		"g++ -std=c++17 -O1 -w -ffp-contract=off -shared -fPIC -I%s/tests/unit/emit_cuda/"
		"emulated -o %s %s",
		SOURCE_DIR, object_path, source_path);
	assert_int_equal(system(command), 0);
	object = dlopen(object_path, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		fail_msg("%s", dlerror());
	unlink(source_path);
	unlink(object_path);
	rmdir(folder);
	return object;
}

/* --- a problem through it --- */

static void run_emulated(problem *p, emulate_fn *emulate)
{
	const tile_program *t = p->program;
	void **arg = ARENA_ARRAY(p->arena, void *, t->arg.count + 1);

	for (int i = 0; i < t->arg.count; i++) {
		const tile_arg *a = t->arg.item[i];

		if (a->kind == ARG_TENSOR)
			arg[i] = p->value[i].tensor.data;
		else if (a->type == TILE_F32)
			arg[i] = &p->value[i].f;
		else
			arg[i] = &p->value[i].i; /* little endian: its low half is the i32 */
	}
	emulate(arg, p->args.grid);
}

static bool check(const problem_case *c)
{
	char where[200];
	problem p;
	diags *d;
	void *object, *symbol;
	emulate_fn *emulate;
	double error;

	if (!problem_open(&p, c)) {
		printf("%s: no GPU form\n", c->spec);
		return false;
	}
	d = diags_create(p.arena, p.program->src);
	object = compile(p.program, d);
	symbol = dlsym(object, "emulate");
	assert_non_null(symbol);
	memcpy(&emulate, &symbol, sizeof emulate);
	run_emulated(&p, emulate);
	problem_reference(&p);
	error = problem_error(&p, where, sizeof where);
	printf("%s %s %s: error %.1e\n", c->spec, c->dims, c->defines ? c->defines : "", error);
	if (!(error <= 2e-2))
		printf("  %s\n", where);
	dlclose(object);
	problem_close(&p);
	return error <= 2e-2;
}

static void shipped_specs(void **state)
{
	static const problem_case some[] = {
		{.spec = "gqa", .dims = "B=1,N=37,H=4,G=2"},
		{.spec = "sink", .dims = "B=1,N=21,H=2,G=1", .unaligned = true},
		{.spec = "two_simplicial",
			.dims = "B=1,N=19,H=2,G=1",
			.defines = "D=40,W1=5,W2=11"},
	};

	(void)state;
	if (system("g++ --version >/dev/null 2>&1"))
		skip();
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		assert_true(check(&some[i]));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(shipped_specs)};

	if (argc > 2)
		return !check(&(problem_case){.spec = argv[1],
			.dims = argv[2],
			.defines = argc > 3 && argv[3][0] ? argv[3] : NULL,
			.unaligned = argc > 4});
	return cmocka_run_group_tests(tests, NULL, NULL);
}
