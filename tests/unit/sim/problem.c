/* problem.c: tensors of a spec at given sizes, the kernel's arguments, the reference. */
#include "problem.h"
#include "../../../compiler/sim/sim_float.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- the kernel --- */

static source *read_spec(arena *a, const char *name)
{
	char *path = arena_printf(a, "%s/specs/%s.tkl", SOURCE_DIR, name);
	char *bytes = arena_alloc(a, 1 << 16);
	FILE *f = fopen(path, "rb");
	size_t len;

	assert_non_null(f);
	len = fread(bytes, 1, 1 << 16, f);
	fclose(f);
	return source_create(a, name, bytes, len);
}

/* "A=1,B=2" -> defines; how many. */
static int split(arena *a, const char *list, sema_define *out, int most)
{
	char *s = arena_strdup(a, list ? list : ""), *next;
	int n = 0;

	for (; *s && n < most; s = next) {
		char *eq = strchr(s, '=');

		next = s + strcspn(s, ",");
		if (*next)
			*next++ = '\0';
		assert_non_null(eq);
		*eq = '\0';
		out[n++] = (sema_define){s, eq + 1};
	}
	return n;
}

static void fail_with(const diags *d)
{
	text out = {0};

	diags_print(d, DIAG_TEXT, &out);
	fail_msg("%s", out.data);
}

static void set_sizes(problem *p)
{
	if (p->c.warps) {
		p->plan.warps = p->c.warps;
		p->plan.rows = (p->c.warp_rows ? p->c.warp_rows : 16) * p->c.warps;
	}
	if (p->c.key_tile)
		p->plan.key_tile = p->c.key_tile;
	if (p->c.resident)
		p->plan.resident = p->c.resident;
	else if (p->c.key_tile)
		p->plan.resident = p->c.key_tile;
	if (p->c.slots)
		p->plan.slots = p->c.slots;
	if (p->c.bare) {
		p->plan.stage = 0;
		p->plan.rows_shared = p->plan.a_late = false;
	}
}

static bool lower(problem *p)
{
	source *src = read_spec(p->arena, p->c.spec);
	diags *d = diags_create(p->arena, src);
	ast_file *file = ast_parse(p->arena, src, d);
	sema_define define[16];
	int defines = split(p->arena, p->c.defines, define, 16);
	row_form *m;
	text why = {0};

	p->spec = sema_check(p->arena, file, file->specs.item[0], src, define, defines, d);
	if (!p->spec)
		fail_with(d);
	m = model_choose(p->spec, NULL, d);
	if (m && p->c.choice && !gpu_choice_parse(m, p->c.choice, &p->choice))
		fail_msg("%s: %s: no settings of a plan", p->c.spec, p->c.choice);
	if (!m || !gpu_plan_make(m, p->c.target ? p->c.target : "sm_80",
			  p->c.choice ? &p->choice : NULL, &p->plan, d))
		return false;
	if (p->c.family != p->plan.family && p->c.family)
		fail_msg("%s: not of the family: %s", p->c.spec, p->plan.why.data);
	set_sizes(p);
	p->program = gpu_lower(p->arena, &p->plan, d);
	if (!p->program)
		fail_with(d);
	if (!tile_verify(p->program, &why))
		fail_msg("%s: %s", p->c.spec, why.data);
	return true;
}

/* --- tensors --- */

static int64_t dim_size(const problem *p, const sema_dim *d)
{
	const sema_length *l = d->axis && d->axis->length ? d->axis->length : d->length;

	return l ? p->length[l->id] : d->axis ? d->axis->extent : d->extent;
}

static int64_t dim_extent(const problem *p, const sema_dim *d)
{
	return d->extent && !d->length ? d->extent : dim_size(p, d);
}

static double normal(uint64_t *seed)
{
	double sum = -6;

	for (int i = 0; i < 12; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		sum += (double)(*seed >> 11) / 9007199254740992.0;
	}
	return sum;
}

static void put(uint8_t *data, sema_dtype t, int64_t at, double v)
{
	uint16_t half = t == DTYPE_BF16 ? sim_to_bf16((float)v) : sim_to_f16((float)v);
	float f = (float)v;
	int32_t i = (int32_t)v;

	if (t == DTYPE_BF16 || t == DTYPE_F16)
		memcpy(data + 2 * at, &half, 2);
	else
		memcpy(data + 4 * at, t == DTYPE_I32 ? (void *)&i : (void *)&f, 4);
}

static double get(const uint8_t *data, sema_dtype t, int64_t at)
{
	uint16_t half;
	float f;

	if (t == DTYPE_BF16 || t == DTYPE_F16) {
		memcpy(&half, data + 2 * at, 2);
		return (double)(t == DTYPE_BF16 ? sim_from_bf16(half) : sim_from_f16(half));
	}
	memcpy(&f, data + 4 * at, 4);
	return (double)f;
}

/* The n-th element in order of subscripts: its place; -1: there are no more. */
static int64_t place(const problem *p, const sema_tensor *t, int64_t n, int64_t *last)
{
	int64_t at = 0;

	*last = 0;
	for (int d = t->rank - 1; d >= 0; d--) {
		int64_t size = dim_extent(p, &t->dim[d]);

		if (size == 0)
			return -1;
		if (d == t->rank - 1)
			*last = n % size;
		at += n % size * p->stride[t->id][d];
		n /= size;
	}
	return n ? -1 : at;
}

/* Integers: lengths for vectors, segments of a third each for matrices. */
static double integer(const problem *p, const sema_tensor *t, int64_t last, uint64_t *seed)
{
	int64_t most = 1;

	if (t->rank > 1)
		return (double)(last * 3 / (dim_extent(p, &t->dim[t->rank - 1]) + 1));
	for (int i = 0; i < p->spec->length.count; i++)
		if (p->length[i] > most)
			most = p->length[i];
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (double)((int64_t)(*seed >> 33) % (most + 1));
}

static bool is_wild(const problem *p, const char *name)
{
	size_t n = strlen(name);
	const char *s = p->c.wild ? p->c.wild : "";

	for (; *s; s += strcspn(s, " "), s += *s == ' ')
		if (!strncmp(s, name, n) && (s[n] == ' ' || !s[n]))
			return true;
	return false;
}

/* A NaN and an infinity among the elements. */
static void make_wild(problem *p, const sema_tensor *t)
{
	int64_t elements = 1, last;

	for (int d = 0; d < t->rank; d++)
		elements *= dim_extent(p, &t->dim[d]);
	put(p->data[t->id], t->dtype, place(p, t, elements / 2 + 1, &last), NAN);
	put(p->data[t->id], t->dtype, place(p, t, elements / 3 + 2, &last), -INFINITY);
}

/* TMA reads aligned tensors only. */
static bool is_mapped(const problem *p, const sema_tensor *t)
{
	for (int i = 0; i < p->program->arg.count; i++) {
		const tile_arg *a = p->program->arg.item[i];

		if (a->kind == ARG_MAP && a->tensor->id == t->id)
			return true;
	}
	return false;
}

/* Rows are padded; what lies between is NaN. */
static void make_tensor(problem *p, const sema_tensor *t, uint64_t *seed)
{
	int size = t->dtype == DTYPE_BF16 || t->dtype == DTYPE_F16 ? 2 : 4;
	int64_t stride = 1, at, last, end = 0;
	bool unaligned = p->c.unaligned && !is_mapped(p, t);
	size_t bytes;

	for (int d = t->rank - 1; d >= 0; d--) {
		p->stride[t->id][d] = stride;
		stride *= dim_extent(p, &t->dim[d]);
		if (d == t->rank - 1)
			stride = unaligned ? stride + 3 : (stride + 15) / 8 * 8;
	}
	for (int64_t n = 0; (at = place(p, t, n, &last)) >= 0; n++)
		end = at + 1 > end ? at + 1 : end;
	p->extent[t->id] = end;
	bytes = (size_t)end * (size_t)size;
	p->memory[t->id] = aligned_alloc(64, (bytes + 127) / 64 * 64);
	assert_non_null(p->memory[t->id]);
	memset(p->memory[t->id], 0xff, (bytes + 127) / 64 * 64);
	p->data[t->id] = (uint8_t *)p->memory[t->id] + (unaligned ? size : 0);
	for (int64_t n = 0; !t->output && (at = place(p, t, n, &last)) >= 0; n++)
		put(p->data[t->id], t->dtype, at,
			t->dtype == DTYPE_I32
				? integer(p, t, last, seed)
				: normal(seed) * (p->c.scale && t->id == 0 ? p->c.scale : 1));
	if (is_wild(p, t->name))
		make_wild(p, t);
	if (t->output)
		p->reference[t->id] = calloc((size_t)end + 1, sizeof(double));
}

static void make_tensors(problem *p)
{
	const sema_spec *s = p->spec;
	size_t n = (size_t)s->tensor.count + 1;
	sema_define dim[16];
	int dims = split(p->arena, p->c.dims, dim, 16);
	uint64_t seed = 7;

	p->length = ARENA_ARRAY(p->arena, int64_t, s->length.count + 1);
	p->stride = arena_alloc(p->arena, n * sizeof *p->stride);
	p->extent = ARENA_ARRAY(p->arena, int64_t, n);
	p->memory = ARENA_ARRAY(p->arena, void *, n);
	p->data = ARENA_ARRAY(p->arena, uint8_t *, n);
	p->reference = ARENA_ARRAY(p->arena, double *, n);
	for (int i = 0; i < s->length.count; i++) {
		p->length[i] = 2;
		for (int k = 0; k < dims; k++)
			if (!strcmp(dim[k].name, s->length.item[i]->name))
				p->length[i] = atoll(dim[k].value);
	}
	for (int i = 0; i < s->tensor.count; i++)
		make_tensor(p, s->tensor.item[i], &seed);
}

/* --- arguments (gpu.h: gpu_lower) --- */

static int make_strides(problem *p, int n)
{
	for (int i = 0; i < p->spec->tensor.count; i++)
		for (int d = 0; d + 1 < p->spec->tensor.item[i]->rank; d++)
			p->value[n++].i = p->stride[i][d];
	return n;
}

/* Tensors are the first arguments. */
static void make_map(const problem *p, const tile_arg *map, sim_tensor_map *out)
{
	const sema_tensor *t = p->spec->tensor.item[map->tensor->id];

	assert_int_equal(map->kind, ARG_MAP);
	for (int d = 0; d < t->rank; d++) {
		out->length[d] = dim_extent(p, &t->dim[d]);
		out->stride[d] = p->stride[t->id][d];
	}
}

static void make_arguments(problem *p)
{
	const sema_spec *s = p->spec;
	int n = 0;

	p->value = ARENA_ARRAY(p->arena, sim_value, p->program->arg.count + 1);
	for (int i = 0; i < s->tensor.count; i++)
		p->value[n++].tensor = (sim_tensor){p->data[i], 0, p->extent[i]};
	n = make_strides(p, n);
	for (int i = 0; i < s->length.count; i++)
		p->value[n++].i = p->length[i];
	for (int i = 0; i < s->param.count; i++, n++)
		if (s->param.item[i]->type == TYPE_INT)
			p->value[n].i = s->param.item[i]->i;
		else
			p->value[n].f = (float)s->param.item[i]->f;
	p->value[n++].i = !p->c.unaligned;
	p->value[n++].i = -1; /* every output */
	for (; n < p->program->arg.count; n++)
		make_map(p, p->program->arg.item[n], &p->value[n].map);
	p->args.arg = p->value;
}

static void make_grid(problem *p)
{
	const sema_spec *s = p->spec;
	const sema_axis *head = p->plan.form->head;
	int64_t rows = s->query ? p->length[s->query->length->id] : 1, parts = 1;
	int64_t each = p->plan.rows;

	for (int i = 0; i < s->axis.count; i++)
		if (s->axis.item[i]->kind == AXIS_ROW && s->axis.item[i] != head)
			parts *= p->length[s->axis.item[i]->length->id];
	if (head) {
		int64_t heads = p->length[head->length->id];
		int64_t groups = head->group ? p->length[head->group->length->id] : 1;

		rows *= groups ? heads / groups : 0;
		parts *= groups;
	}
	if (p->plan.split > 1)
		each /= p->plan.split;
	p->args.grid[0] = (rows + each - 1) / each * parts;
	p->args.grid[1] = p->args.grid[2] = 1;
}

bool problem_open(problem *p, const problem_case *c)
{
	*p = (problem){.c = *c, .arena = arena_create()};
	assert_non_null(p->arena);
	if (!lower(p)) {
		arena_destroy(p->arena);
		return false;
	}
	make_tensors(p);
	make_arguments(p);
	make_grid(p);
	p->args.pool = rt_pool_create(0);
	assert_non_null(p->args.pool);
	return true;
}

void problem_close(problem *p)
{
	for (int i = 0; i < p->spec->tensor.count; i++) {
		free(p->memory[i]);
		free(p->reference[i]);
	}
	rt_pool_destroy(p->args.pool);
	text_free(&p->plan.why);
	arena_destroy(p->arena);
}

/* --- running --- */

static int64_t output_bytes(const problem *p, int t)
{
	return p->extent[t] * sema_dtype_size(p->spec->tensor.item[t]->dtype);
}

bool problem_simulate(problem *p, const tile_program *program, sim_report *r)
{
	for (int t = p->spec->inputs; t < p->spec->tensor.count; t++)
		memset(p->data[t], 0xff, (size_t)output_bytes(p, t));
	return sim_run(program, &p->args, r);
}

void problem_reference(problem *p)
{
	const sema_spec *s = p->spec;
	eval_tensor view[64];
	int64_t *ints = ARENA_ARRAY(p->arena, int64_t, s->param.count + 1);
	double *floats = ARENA_ARRAY(p->arena, double, s->param.count + 1);
	const char *error;

	assert_true(s->tensor.count <= 64);
	for (int i = 0; i < s->param.count; i++) {
		ints[i] = s->param.item[i]->i;
		floats[i] = s->param.item[i]->f;
	}
	for (int i = 0; i < s->tensor.count; i++) {
		view[i].data = s->tensor.item[i]->output ? (void *)p->reference[i] : p->data[i];
		view[i].dtype = s->tensor.item[i]->output ? DTYPE_F64 : s->tensor.item[i]->dtype;
		memcpy(view[i].stride, p->stride[i], sizeof view[i].stride);
	}
	if (!eval_run(&(eval_args){.spec = s,
			      .length = p->length,
			      .param_int = ints,
			      .param_float = floats,
			      .tensor = view,
			      .pool = p->args.pool},
		    &error))
		fail_msg("%s: %s", p->c.spec, error);
}

/* Errors of one output: of a single element relative to |want| or the tensor's root mean square, in
 * quarters; the root mean square of all, relative to that of the reference. The larger counts. */
static double error_of(const problem *p, const sema_tensor *t, int64_t *worst)
{
	double most = 0, size = 0, sum = 0;
	int64_t n = 0, at, last;

	for (; (at = place(p, t, n, &last)) >= 0; n++)
		if (isfinite(p->reference[t->id][at]))
			size += p->reference[t->id][at] * p->reference[t->id][at];
	size = sqrt(size / (double)(n ? n : 1));
	for (n = 0; (at = place(p, t, n, &last)) >= 0; n++) {
		double x = p->reference[t->id][at], y = get(p->data[t->id], t->dtype, at), e;

		if (x == y || (isnan(x) && isnan(y)))
			continue;
		e = fabs(x - y) / fmax(fabs(x), size) / 4;
		sum += (x - y) * (x - y);
		if (!(e <= most)) {
			most = isnan(e) ? INFINITY : e;
			*worst = n;
		}
	}
	sum = n ? sqrt(sum / (double)n) : 0;
	return sum > most * size ? sum / size : most;
}

double problem_error(const problem *p, char *where, size_t size)
{
	double most = 0;

	snprintf(where, size, "nowhere");
	for (int i = p->spec->inputs; i < p->spec->tensor.count; i++) {
		const sema_tensor *t = p->spec->tensor.item[i];
		int64_t worst = 0, last;
		double e = error_of(p, t, &worst);

		if (e > most) {
			int64_t at = place(p, t, worst, &last);

			most = e;
			snprintf(where, size, "element %lld of %s is %g, not %g", (long long)worst,
				t->name, get(p->data[i], t->dtype, at), p->reference[i][at]);
		}
	}
	return most;
}

uint64_t problem_digest(const problem *p)
{
	uint64_t h = 14695981039346656037u;

	for (int t = p->spec->inputs; t < p->spec->tensor.count; t++)
		for (int64_t i = 0; i < output_bytes(p, t); i++)
			h = (h ^ p->data[t][i]) * 1099511628211u;
	return h;
}

/* --- all of it --- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void describe(const problem_case *c, text *out)
{
	text_printf(out, "%s %s %s%s", c->spec, c->dims, c->defines ? c->defines : "",
		c->unaligned ? " unaligned" : "");
	if (c->wild)
		text_printf(out, ", wild %s", c->wild);
	if (c->target)
		text_printf(out, ", %s", c->target);
}

bool problem_check(const problem_case *c, double tolerance)
{
	char where[200];
	sim_report r;
	problem p;
	text out = {0};
	double t0 = now(), t1, t2, error;
	bool ok;

	describe(c, &out);
	if (!problem_open(&p, c)) {
		printf("%s: no GPU form\n", out.data);
		return false;
	}
	t1 = now();
	ok = problem_simulate(&p, p.program, &r);
	t2 = now();
	problem_reference(&p);
	error = problem_error(&p, where, sizeof where);
	printf("%-60s sim %.2fs ref %.2fs lower %.2fs error %.1e statements %lld conflicts %lld\n",
		out.data, t2 - t1, now() - t2, t1 - t0, error, (long long)r.statements,
		(long long)r.conflicts);
	text_put(&out, "\n");
	sim_report_print(&r, &out);
	if (!ok)
		printf("%s\n", out.data);
	else if (!(error <= tolerance))
		printf("%s  %s: error %g\n", out.data, where, error);
	ok = ok && error <= tolerance;
	sim_report_free(&r);
	text_free(&out);
	problem_close(&p);
	return ok;
}
