/* hand_plan.c: a plan made by hand, so that the lowering is tested without the planner. */
#include "hand_plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int pad16(int64_t x)
{
	return (int)((x + 15) / 16 * 16);
}

static char *file_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *bytes = malloc(1 << 16);

	assert_non_null(f);
	assert_non_null(bytes);
	*len = fread(bytes, 1, 1 << 16, f);
	fclose(f);
	return bytes;
}

const row_form *hand_form(arena *a, const char *spec, char **bytes)
{
	char *path = arena_printf(a, "%s/specs/%s.tkl", SOURCE_DIR, spec);
	size_t len;
	source *src;
	diags *d;
	ast_file *file;
	sema_spec *s;
	row_form *m;

	*bytes = file_read(path, &len);
	src = source_create(a, spec, *bytes, len);
	d = diags_create(a, src);
	file = ast_parse(a, src, d);
	assert_int_equal(diag_error_count(d), 0);
	s = sema_check(a, file, file->specs.item[0], src, NULL, 0, d);
	assert_non_null(s);
	m = model_choose(s, NULL, d);
	return m;
}

bool hand_plan(const row_form *m, hand_sizes z, gpu_plan *p)
{
	*p = (gpu_plan){.form = m,
		.target = "sm_80",
		.operand = TILE_BF16,
		.value_operand = TILE_BF16,
		.warps = z.warps,
		.rows = 16 * z.warps,
		.key_tile = z.key_tile,
		.resident = z.resident,
		.slots = z.slots};
	for (int i = 0; i < m->segments; i++) {
		p->d_offset[i] = p->d_pad;
		p->d_pad += pad16(m->segment[i].d->extent);
	}
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].kind == OUTPUT_SUM) {
			p->e_offset[i] = p->e_total;
			p->e_extent[i] = m->output[i].e ? (int)m->output[i].e->extent : 1;
			p->e_total += pad16(p->e_extent[i]);
		}
	return model_streams_find(m, &p->streams);
}
