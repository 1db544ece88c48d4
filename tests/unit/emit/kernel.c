/* kernel.c: what the compiler does before an emitter, with default settings. */
#include "kernel.h"
#include "ast/ast.h"
#include "model/model.h"
#include "sema/sema.h"
#include <stdio.h>
#include <string.h>

source *kernel_read(arena *a, const char *path)
{
	static char bytes[1 << 16];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		return NULL;
	n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	return source_create(a, strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
		arena_strndup(a, bytes, n), n);
}

tile_program *kernel_lower(arena *a, const source *src, const char *target, diags *d)
{
	ast_file *file = ast_parse(a, src, d);
	gpu_plan *plan = ARENA_NEW(a, gpu_plan);
	tile_program *p = NULL;
	sema_spec *s;
	row_form *m;

	if (diag_error_count(d))
		return NULL;
	s = sema_check(a, file, file->specs.item[0], src, NULL, 0, d);
	m = s ? model_choose(s, NULL, d) : NULL;
	if (m && gpu_plan_make(m, target, NULL, plan, d))
		p = gpu_lower(a, plan, d);
	text_free(&plan->why);
	return p;
}
