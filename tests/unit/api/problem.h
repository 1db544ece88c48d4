/* problem.h: a spec from text with lengths and tensors, for tests of the reference. One header,
 * included once by each test program. Tensors are compact doubles (i32: ints) with reproducible
 * values in [-1, 1]; outputs start as 777. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sema/sema.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM_MAX 16

/* Grouped causal sliding-window attention; one feature, one head, window and lse. */
#define MHA                                                                                        \
	"attention a(q : f32[B, i, H, D], k : f32[B, j, G, D], v : f32[B, j, G, E])"               \
	" -> (o : f32[B, i, H, E], lse : f32[B, H, i]) {\n"                                        \
	"const D = 5, E = 3\n"                                                                     \
	"param W = 4\n"                                                                            \
	"group G of H\n"                                                                           \
	"index i, j : N\n"                                                                         \
	"window j in (i - W, i]\n"                                                                 \
	"s = sum(d) q[d] * k[d] / sqrt(D)\n"                                                       \
	"p = softmax(j) s\n"                                                                       \
	"o = sum(j) p * v\n"                                                                       \
	"lse = logsumexp(j) s }"

#define ONE                                                                                        \
	"attention a(q : f32[i], k : f32[j], v : f32[j]) -> (o : f32[i], lse : f32[i]) {\n"        \
	"param W = 2\n index i, j : N\n window j in (i - W, i]\n"                                  \
	"s = q * k\n p = softmax(j) s\n o = sum(j) p * v\n lse = logsumexp(j) s }"

typedef struct {
	arena *arena;
	sema_spec *spec;
	int64_t length[PROBLEM_MAX];
	int64_t param_int[PROBLEM_MAX];
	double param_float[PROBLEM_MAX];
	eval_tensor tensor[PROBLEM_MAX];
	int64_t count[PROBLEM_MAX]; /* elements */
	eval_args args;
	const char *error;
} problem;

static inline sema_spec *problem_check(arena *a, const char *string)
{
	source *src = source_create(a, "test.tkl", string, strlen(string));
	diags *d = diags_create(a, src);
	ast_file *file = ast_parse(a, src, d);
	sema_spec *s = NULL;
	text out = {0};

	if (!diag_error_count(d))
		s = sema_check(a, file, file->specs.item[0], src, NULL, 0, d);
	if (s && !diag_error_count(d))
		return s;
	diags_print(d, DIAG_TEXT, &out);
	fail_msg("%s", out.data);
	return NULL;
}

static inline double problem_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (double)(*state >> 11) * 0x1p-52 - 1;
}

static inline int problem_find(const problem *p, const char *name)
{
	for (int t = 0; t < p->spec->tensor.count; t++)
		if (!strcmp(p->spec->tensor.item[t]->name, name))
			return t;
	fail_msg("no tensor %s", name);
	return -1;
}

static inline double *problem_data(const problem *p, const char *name)
{
	return p->tensor[problem_find(p, name)].data;
}

static inline int32_t *problem_ints(const problem *p, const char *name)
{
	return p->tensor[problem_find(p, name)].data;
}

static inline void problem_allocate(problem *p, int t)
{
	const sema_tensor *tensor = p->spec->tensor.item[t];
	eval_tensor *e = &p->tensor[t];
	bool ints = tensor->dtype == DTYPE_I32;
	uint64_t seed = (uint64_t)t * 977 + 1;
	int64_t count = 1;

	for (int d = tensor->rank - 1; d >= 0; d--) {
		const sema_dim *dim = &tensor->dim[d];

		e->stride[d] = count;
		count *= dim->length ? p->length[dim->length->id] : dim->extent;
	}
	p->count[t] = count;
	e->dtype = ints ? DTYPE_I32 : DTYPE_F64;
	e->data = calloc((size_t)count + 1, 8);
	for (int64_t n = 0; n < count && !ints; n++)
		((double *)e->data)[n] = tensor->output ? 777 : problem_random(&seed);
}

/* `lengths` as "B=1,N=5". */
static inline problem *problem_make(const char *string, const char *lengths)
{
	problem *p = calloc(1, sizeof *p);

	p->arena = arena_create();
	p->spec = problem_check(p->arena, string);
	for (int l = 0; l < p->spec->length.count; l++) {
		char key[64];
		const char *at;

		snprintf(key, sizeof key, "%s=", p->spec->length.item[l]->name);
		at = strstr(lengths, key);
		assert_non_null(at);
		p->length[l] = atoi(at + strlen(key));
	}
	for (int n = 0; n < p->spec->param.count; n++) {
		p->param_int[n] = p->spec->param.item[n]->i;
		p->param_float[n] = p->spec->param.item[n]->f;
	}
	for (int t = 0; t < p->spec->tensor.count; t++)
		problem_allocate(p, t);
	p->args = (eval_args){.spec = p->spec,
		.length = p->length,
		.param_int = p->param_int,
		.param_float = p->param_float,
		.tensor = p->tensor,
		.threads = 2};
	return p;
}

static inline bool problem_run(problem *p)
{
	return eval_run(&p->args, &p->error);
}

static inline void problem_free(problem *p)
{
	for (int t = 0; t < p->spec->tensor.count; t++)
		free(p->tensor[t].data);
	arena_destroy(p->arena);
	free(p);
}

static inline void assert_near(double x, double y)
{
	if (!(fabs(x - y) <= 1e-12 * (1 + fabs(y))))
		fail_msg("%.17g is not %.17g", x, y);
}
