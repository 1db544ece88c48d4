/* tensors.c: the tensors of one problem. Inputs come from .npy files (kept in the file's own order,
 * so a Fortran file is a strided tensor, not a copy) or from the seed; outputs are C-ordered. */
#include "cli/problem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

cli_status memory_take(const options *o, const char *what, int64_t bytes, void **to)
{
	size_t padded = ((size_t)bytes + 64) / 64 * 64;
	int64_t limit = machine_memory();
	*to = NULL;
	if (bytes > limit) {
		message_error(o, "%s needs %.1f GB of memory; this process may use %.1f GB", what,
			(double)bytes * 1e-9, (double)limit * 1e-9);
		return CLI_ENVIRONMENT;
	}
	/* large blocks come from calloc untouched, so that sampled references stay small */
	void *raw = calloc(1, padded + 64);
	if (!raw) {
		message_error(o, "%s: out of memory (%.1f GB)", what, (double)bytes * 1e-9);
		return CLI_ENVIRONMENT;
	}
	uintptr_t at = ((uintptr_t)raw + 64) / 64 * 64;
	((void **)at)[-1] = raw;
	*to = (void *)at;
	return CLI_OK;
}

void memory_give(void *data)
{
	if (data)
		free(((void **)data)[-1]);
}

const char *tensor_shape(arena *a, const tensor *t)
{
	const char *s = arena_printf(a, "%s[", sema_dtype_name(t->dtype));
	for (int d = 0; d < t->decl->rank; d++)
		s = arena_printf(a, "%s%s%lld", s, d ? ", " : "", (long long)t->shape[d]);
	return arena_printf(a, "%s]", s);
}

/* Shape, strides and element count from the lengths. */
static cli_status tensor_layout(problem *p, tensor *t, bool fortran)
{
	const sema_tensor *d = t->decl;
	int64_t n = 1, bytes;
	bool huge = false;

	for (int i = 0; i < d->rank; i++)
		t->shape[i] = d->dim[i].length ? p->length[d->dim[i].length->id] : d->dim[i].extent;
	for (int k = 0; k < d->rank; k++) {
		int i = fortran ? k : d->rank - 1 - k;
		t->stride[i] = n;
		huge |= __builtin_mul_overflow(n, t->shape[i] > 0 ? t->shape[i] : 1, &n);
	}
	huge |= __builtin_mul_overflow(n, 8, &bytes);
	if (huge) {
		message_error(p->o, "%s: %s is larger than any memory", d->name,
			tensor_shape(p->arena, t));
		return CLI_ENVIRONMENT;
	}
	t->count = n;
	for (int i = 0; i < d->rank; i++)
		if (t->shape[i] == 0)
			t->count = 0;
	return CLI_OK;
}

/* The whole of a .npy file, malloc'd: these can be large and their memory is given back after
 * conversion. */
static cli_status npy_load(const options *o, const char *path, void **bytes, size_t *len)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	*bytes = NULL;
	*len = 0;
	if (!f || fstat(fileno(f), &st) != 0 || !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode))) {
		message_error(o, "cannot open '%s': %s", path,
			!f                    ? strerror(errno)
			: S_ISDIR(st.st_mode) ? "it is a directory"
					      : "it is not a file");
		if (f)
			fclose(f);
		return CLI_ENVIRONMENT;
	}
	size_t cap = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : 1 << 20;
	int64_t limit = machine_memory();
	char *data = (int64_t)cap <= limit ? malloc(cap) : NULL;
	size_t n = 0, got = 0;
	while (data && (got = fread(data + n, 1, cap - n, f)) > 0) {
		n += got;
		if (n < cap)
			continue;
		char *more = cap < (size_t)limit / 2 ? realloc(data, cap * 2) : NULL;
		if (!more)
			free(data);
		data = more;
		cap *= 2;
	}
	bool failed = ferror(f) != 0;
	fclose(f);
	if (data && !failed) {
		*bytes = data;
		*len = n;
		return CLI_OK;
	}
	message_error(o, "cannot read '%s': %s", path,
		data ? strerror(errno) : "it does not fit into memory");
	free(data);
	return CLI_ENVIRONMENT;
}

static int input_find(const sema_spec *s, const char *name)
{
	for (int i = 0; i < s->inputs; i++)
		if (strcmp(s->tensor.item[i]->name, name) == 0)
			return i;
	return -1;
}

static cli_status unknown_input(problem *p, const char *name)
{
	const char **names = ARENA_ARRAY(p->arena, const char *, p->spec->inputs + 1);
	for (int i = 0; i < p->spec->inputs; i++)
		names[i] = p->spec->tensor.item[i]->name;
	const char *near = diag_nearest(name, names, p->spec->inputs);
	if (near)
		message_error(p->o, "--input: %s has no input '%s'; did you mean '%s'?",
			p->spec->name, name, near);
	else
		message_error(p->o, "--input: %s has no input '%s'", p->spec->name, name);
	return CLI_USAGE;
}

/* Reads the input files: p->bytes and p->file. */
static cli_status files_load(problem *p)
{
	void **bytes = p->bytes;

	for (int k = 0; k < p->o->input.count; k++) {
		const char *name, *path;
		size_t len;
		options_split(p->arena, p->o->input.item[k], &name, &path);
		int i = input_find(p->spec, name);
		if (i < 0)
			return unknown_input(p, name);
		if (bytes[i]) {
			message_error(p->o, "--input: %s is given twice", name);
			return CLI_USAGE;
		}
		cli_status status = npy_load(p->o, path, &bytes[i], &len);
		if (status != CLI_OK)
			return status;
		const char *why = npy_parse(p->arena, bytes[i], len, &p->file[i]);
		if (why) {
			message_error(p->o, "%s: %s: %s", name, path, why);
			p->file[i].count = -1;
			return CLI_INPUT;
		}
		p->tensor[i].file = path;
	}
	return CLI_OK;
}

/* "[0, 3, 5]": a flat position in the file's order as coordinates. */
static const char *coordinates(arena *a, const npy *n, int64_t flat)
{
	int64_t at[NPY_MAX_RANK];
	for (int k = 0; k < n->rank; k++) {
		int d = n->fortran ? k : n->rank - 1 - k;
		at[d] = flat % n->shape[d];
		flat /= n->shape[d];
	}
	const char *s = "[";
	for (int d = 0; d < n->rank; d++)
		s = arena_printf(a, "%s%s%lld", s, d ? ", " : "", (long long)at[d]);
	return arena_printf(a, "%s]", s);
}

static cli_status input_convert(problem *p, tensor *t, const npy *n)
{
	const char *name = t->decl->name, *file_type = npy_dtype_name(p->arena, n);
	const char *type = sema_dtype_name(t->dtype);
	npy_conversion c = npy_convert(n, t->dtype, t->data);

	if (c.refused) {
		message_error(p->o, "%s: %s holds %s but the spec says %s; convert it first", name,
			t->file, file_type, type);
		return CLI_INPUT;
	}
	if (c.bad >= 0) {
		message_error(p->o, "%s: %s%s is %.17g, which %s cannot hold exactly", name,
			t->file, coordinates(p->arena, n, c.bad), c.bad_value, type);
		return CLI_INPUT;
	}
	if (c.overflowed)
		message_warning(p->o, "%s: %lld finite value%s of %s overflowed to infinity in %s",
			name, (long long)c.overflowed, c.overflowed == 1 ? "" : "s", t->file, type);
	else if (c.other_precision)
		message_note(p->o, "%s: %s in %s converted to %s", name, file_type, t->file, type);
	return CLI_OK;
}

enum { RANDOM_PART = 1 << 16 }; /* elements that one thread makes at a time */

typedef struct {
	const tensor *t;
	uint64_t seed;
} random_work;

static void random_parts(void *user, int64_t begin, int64_t end, int worker)
{
	const random_work *w = user;
	int64_t last = end * RANDOM_PART < w->t->count ? end * RANDOM_PART : w->t->count;

	(void)worker;
	random_normal(
		w->seed, w->t->decl->name, w->t->dtype, w->t->data, begin * RANDOM_PART, last);
}

/* Large tensors by several threads, where these can be had. */
static void fill_normal(const problem *p, const tensor *t)
{
	random_work w = {t, (uint64_t)p->o->seed};
	int64_t parts = (t->count + RANDOM_PART - 1) / RANDOM_PART;
	rt_pool *pool = parts > 16 ? rt_pool_create((int)p->o->threads) : NULL;

	if (pool)
		rt_pool_run(pool, parts, 1, random_parts, &w);
	else
		random_parts(&w, 0, parts, 0);
	rt_pool_destroy(pool);
}

cli_status problem_input(problem *p, int i)
{
	tensor *t = &p->tensor[i];
	bool from_file = p->file[i].count >= 0;
	uint64_t seed = (uint64_t)p->o->seed;
	cli_status status = tensor_layout(p, t, from_file && p->file[i].fortran);

	if (status == CLI_OK)
		status = memory_take(
			p->o, t->decl->name, t->count * sema_dtype_size(t->dtype), &t->data);
	if (status == CLI_OK && from_file)
		return input_convert(p, t, &p->file[i]);
	if (status != CLI_OK || t->count == 0)
		return status;
	if (t->dtype == DTYPE_I32)
		random_segments(seed, t->decl->name, t->data, t->count,
			t->decl->rank ? t->shape[t->decl->rank - 1] : 1);
	else
		fill_normal(p, t);
	return CLI_OK;
}

/* Refuses a problem that cannot fit before the first tensor is filled. */
static cli_status memory_suffices(problem *p)
{
	double need = 0;
	for (int i = 0; i < p->spec->tensor.count; i++) {
		const sema_tensor *t = p->spec->tensor.item[i];
		double bytes = sema_dtype_size(t->dtype);
		for (int d = 0; d < t->rank; d++)
			bytes *= (double)(t->dim[d].length ? p->length[t->dim[d].length->id]
							   : t->dim[d].extent);
		need += bytes;
	}
	if (need <= (double)machine_memory())
		return CLI_OK;
	message_error(p->o, "the tensors need %.3g GB of memory; this process may use %.3g GB",
		need * 1e-9, (double)machine_memory() * 1e-9);
	return CLI_ENVIRONMENT;
}

cli_status problem_inputs(problem *p)
{
	cli_status status = memory_suffices(p);
	for (int i = 0; i < p->spec->inputs && status == CLI_OK; i++)
		status = problem_input(p, i);
	return status;
}

cli_status problem_outputs(problem *p, bool wide)
{
	for (int i = p->spec->inputs; i < p->spec->tensor.count; i++) {
		tensor *t = &p->tensor[i];
		t->dtype = wide ? DTYPE_F64 : t->decl->dtype;
		cli_status status = tensor_layout(p, t, false);
		if (status == CLI_OK)
			status = memory_take(p->o, t->decl->name,
				t->count * sema_dtype_size(t->dtype), &t->data);
		if (status != CLI_OK)
			return status;
	}
	return CLI_OK;
}

cli_status problem_open(const options *o, const sema_spec *s, arena *a, problem *p)
{
	int tensors = s->tensor.count;
	*p = (problem){.o = o, .spec = s, .arena = a};
	p->length = ARENA_ARRAY(a, int64_t, s->length.count + 1);
	p->length_from = ARENA_ARRAY(a, const char *, s->length.count + 1);
	p->param_int = ARENA_ARRAY(a, int64_t, s->param.count + 1);
	p->param_float = ARENA_ARRAY(a, double, s->param.count + 1);
	p->tensor = ARENA_ARRAY(a, tensor, tensors + 1);
	p->file = ARENA_ARRAY(a, npy, tensors + 1);
	p->bytes = ARENA_ARRAY(a, void *, tensors + 1);
	for (int i = 0; i < tensors; i++) {
		p->tensor[i] =
			(tensor){.decl = s->tensor.item[i], .dtype = s->tensor.item[i]->dtype};
		p->file[i].count = -1;
	}
	for (int i = 0; i < s->param.count; i++) {
		p->param_int[i] = s->param.item[i]->i;
		p->param_float[i] = s->param.item[i]->f;
	}
	cli_status status = files_load(p);
	return status == CLI_OK ? problem_lengths(p) : status;
}

void problem_close(problem *p)
{
	if (!p->spec)
		return;
	for (int i = 0; i < p->spec->tensor.count; i++) {
		memory_give(p->tensor[i].data);
		free(p->bytes[i]);
	}
	*p = (problem){0};
}

eval_args problem_eval_args(const problem *p, const tensor *out)
{
	const sema_spec *s = p->spec;
	eval_tensor *e = ARENA_ARRAY(p->arena, eval_tensor, s->tensor.count + 1);
	for (int i = 0; i < s->tensor.count; i++) {
		const tensor *t = i >= s->inputs && out ? &out[i - s->inputs] : &p->tensor[i];
		e[i] = (eval_tensor){.data = t->data, .dtype = t->dtype};
		memcpy(e[i].stride, t->stride, sizeof t->stride);
	}
	return (eval_args){.spec = s,
		.length = p->length,
		.param_int = p->param_int,
		.param_float = p->param_float,
		.tensor = e,
		.threads = (int)p->o->threads};
}
