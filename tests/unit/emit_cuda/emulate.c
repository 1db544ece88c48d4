/* emulate.c: tile program -> CUDA C -> shared object -> a run in this process. */
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "emulate.h"
#include "emit_cuda/emit_cuda.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void emulate_fn(void *const *arg, const int64_t *grid);

bool emulate_possible(void)
{
	return system("g++ --version >/dev/null 2>&1") == 0;
}

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

static void emit(const tile_program *p, text *out)
{
	arena *a = arena_create();

	assert_non_null(a);
	assert_true(emit_cuda(p, out, diags_create(a, p->src)));
	put_wrapper(p, out);
	arena_destroy(a);
}

static void *compile(const tile_program *p)
{
	char folder[] = "/tmp/trikl-cuda-XXXXXX", command[1024], source_path[64], object_path[64];
	text out = {0};
	void *object;
	int rc;

	assert_non_null(mkdtemp(folder));
	snprintf(source_path, sizeof source_path, "%s/kernel.cc", folder);
	snprintf(object_path, sizeof object_path, "%s/kernel.so", folder);
	emit(p, &out);
	write_file(source_path, &out);
	text_free(&out);
	snprintf(command, sizeof command,
		"g++ -std=c++17 -O1 -w -ffp-contract=off -shared -fPIC "
		"-I%s/tests/unit/emit_cuda/emulated -o %s %s",
		SOURCE_DIR, object_path, source_path);
	rc = system(command);
	object = rc ? NULL : dlopen(object_path, RTLD_NOW | RTLD_LOCAL);
	unlink(source_path);
	unlink(object_path);
	rmdir(folder);
	if (!object)
		fail_msg("%s: %s", p->name, rc ? "g++ failed" : dlerror());
	return object;
}

void emulate(const tile_program *p, const sim_args *args)
{
	void *object = compile(p), *symbol = dlsym(object, "emulate");
	const void **arg = calloc((size_t)p->arg.count + 1, sizeof *arg);
	emulate_fn *run;

	assert_non_null(symbol);
	assert_non_null(arg);
	memcpy(&run, &symbol, sizeof run);
	for (int i = 0; i < p->arg.count; i++) {
		const tile_arg *a = p->arg.item[i];
		const sim_value *v = &args->arg[i];

		if (a->kind == ARG_TENSOR)
			arg[i] = v->tensor.data;
		else
			arg[i] = a->type == TILE_F32 ? (const void *)&v->f : (const void *)&v->i;
	}
	run((void *const *)arg, args->grid);
	free(arg);
	dlclose(object);
}
