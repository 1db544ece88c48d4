/* test_rowform.c: every row form of every spec computes what the spec says.
 * For the files of specs/ and tests/model/, with tiny lengths and random inputs: the outputs of
 * each row form, evaluated as model.h defines them, equal those of the reference interpreter. */
#include "random_spec.h"
#include "rowform_eval.h"
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MAX_FILES 256
#define MAX_TENSORS 32
#define MAX_LENGTHS 16
#define MAX_PARAMS 16

typedef struct {
	sema_spec *spec;
	int64_t length[MAX_LENGTHS], param_int[MAX_PARAMS];
	double param_float[MAX_PARAMS];
	double *reference[MAX_TENSORS], *formed[MAX_TENSORS];
	uint64_t seed;
} problem;

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *content;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*len = (size_t)ftell(f);
	rewind(f);
	content = malloc(*len + 1);
	assert_int_equal(fread(content, 1, *len, f), *len);
	fclose(f);
	return content;
}

/* Uniform in [-1, 1). */
static double random_double(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(*seed >> 11) / 4503599627370496.0 - 1;
}

/* Lengths differ, keys outnumber queries, G divides H. */
static void choose_sizes(problem *p)
{
	const sema_spec *s = p->spec;

	for (int i = 0; i < s->length.count; i++)
		p->length[i] = 3 + i % 3;
	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *a = s->axis.item[i];

		if (a->kind == AXIS_ROW)
			p->length[a->length->id] = a->group ? 4 : 2;
	}
	for (int i = 0; i < s->axis.count; i++)
		if (s->axis.item[i]->kind == AXIS_GROUP)
			p->length[s->axis.item[i]->length->id] = 2;
	for (int i = 0; i < s->param.count; i++) {
		p->param_int[i] = 2 + i;
		p->param_float[i] = s->param.item[i]->f;
	}
}

/* The reference takes each tensor in its own dtype's class: i32 as integers, all else as F64. */
static void fill(problem *p, eval_tensor *view)
{
	const sema_spec *s = p->spec;
	rowform_env v = {.spec = s, .length = p->length};

	for (int i = 0; i < s->tensor.count; i++) {
		const sema_tensor *t = s->tensor.item[i];
		int64_t n = rowform_elements(&v, t), stride = 1;
		bool whole = t->dtype == DTYPE_I32;
		int32_t *ints = whole ? calloc((size_t)n + 1, sizeof *ints) : NULL;

		p->formed[i] = calloc((size_t)n + 1, sizeof(double));
		p->reference[i] = whole ? (double *)(void *)ints : p->formed[i];
		if (i >= s->inputs)
			p->reference[i] = calloc((size_t)n + 1, sizeof(double));
		for (int64_t k = 0; i < s->inputs && k < n; k++) {
			double x = random_double(&p->seed);

			p->formed[i][k] = whole ? floor(x * 2) + 2 : x;
			if (whole)
				ints[k] = (int32_t)p->formed[i][k];
		}
		view[i] = (eval_tensor){
			.data = p->reference[i], .dtype = whole ? DTYPE_I32 : DTYPE_F64};
		for (int d = t->rank - 1; d >= 0; d--) {
			view[i].stride[d] = stride;
			stride *= rowform_dim(&v, t, d);
		}
	}
}

static void release(problem *p)
{
	for (int i = 0; i < p->spec->tensor.count; i++) {
		if (p->reference[i] != p->formed[i])
			free(p->reference[i]);
		free(p->formed[i]);
	}
}

static void compare(const problem *p, const row_form *m, const char *content)
{
	rowform_env v = {.spec = p->spec, .length = p->length};

	for (int i = p->spec->inputs; i < p->spec->tensor.count; i++) {
		const sema_tensor *t = p->spec->tensor.item[i];

		for (int64_t k = 0; k < rowform_elements(&v, t); k++) {
			double x = p->reference[i][k], y = p->formed[i][k];

			if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= 1e-9 * (1 + fabs(x)))
				continue;
			fail_msg("%s, inner %s: %s[%lld] is %.17g by the row form, %.17g by the "
				 "reference\n%.4000s",
				p->spec->name, m->inner->name, t->name, (long long)k, y, x,
				content);
		}
	}
}

/* Every row form of the spec against the reference; returns how many there were. */
static int check_spec(sema_spec *s, const char *content)
{
	problem p = {.spec = s, .seed = 1};
	eval_tensor view[MAX_TENSORS];
	const char *error = NULL, *why;
	loc at;
	int forms = 0;

	assert_true(s->tensor.count <= MAX_TENSORS && s->length.count <= MAX_LENGTHS &&
		    s->param.count <= MAX_PARAMS);
	choose_sizes(&p);
	fill(&p, view);
	if (!eval_run(&(eval_args){.spec = s,
			      .length = p.length,
			      .param_int = p.param_int,
			      .param_float = p.param_float,
			      .tensor = view,
			      .threads = 1},
		    &error))
		fail_msg("%s: %s", s->name, error);
	for (int i = 0; i < s->key.count; i++) {
		row_form *m = model_row_form(s, s->key.item[i], &why, &at);
		rowform_env v = {.spec = s,
			.length = p.length,
			.param_int = p.param_int,
			.param_float = p.param_float,
			.tensor = p.formed};

		if (!m)
			continue;
		rowform_run(&v, m);
		compare(&p, m, content);
		forms++;
	}
	release(&p);
	return forms;
}

/* Every spec of the text; returns how many row forms there were. */
static int check_text(const char *name, const char *content, size_t len)
{
	arena *a = arena_create();
	source *src = source_create(a, name, content, len);
	diags *d = diags_create(a, src);
	ast_file *file = ast_parse(a, src, d);
	int forms = 0;

	for (int i = 0; i < file->specs.count && !diag_error_count(d); i++) {
		sema_spec *s = sema_check(a, file, file->specs.item[i], src, NULL, 0, d);

		if (s)
			forms += check_spec(s, content);
	}
	if (diag_error_count(d)) {
		text out = {0};

		diags_print(d, DIAG_TEXT, &out);
		fail_msg("%s", out.data);
	}
	arena_destroy(a);
	return forms;
}

static int check_file(const char *path)
{
	size_t len;
	char *content = read_file(path, &len);
	int forms = check_text(path, content, len);

	free(content);
	return forms;
}

static int check_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int forms = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');
		char path[512];

		if (!dot || strcmp(dot, ".tkl") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		forms += check_file(path);
	}
	closedir(dir);
	return forms;
}

static void library_specs_have_forms(void **state)
{
	(void)state;
	assert_true(check_folder(SOURCE_DIR "/specs") >= 29);
}

static void model_cases_agree(void **state)
{
	(void)state;
	assert_true(check_folder(SOURCE_DIR "/tests/model") > 0);
}

static void reference_only_specs_have_none(void **state)
{
	(void)state;
	assert_int_equal(check_folder(SOURCE_DIR "/specs/reference_only"), 0);
}

static void random_specs_agree(void **state)
{
	enum { SPECS = 300 };
	int forms = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SPECS; seed++) {
		text spec = {0};

		random_spec(seed, &spec);
		forms += check_text("random.tkl", spec.data, spec.len);
		text_free(&spec);
	}
	assert_true(forms > SPECS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(library_specs_have_forms),
		cmocka_unit_test(model_cases_agree),
		cmocka_unit_test(reference_only_specs_have_none),
		cmocka_unit_test(random_specs_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
