/* rowform_eval.h: a row form evaluated as model.h defines it, by plain loops in double. Shares
 * nothing with the reference interpreter, which evaluates the spec as written, nor with any
 * backend. */
#pragma once
#include "model/model.h"

#define EVAL_MAX_AXES SEMA_MAX_AXES

typedef struct {
	const sema_spec *spec;
	const int64_t *length;
	const int64_t *param_int;
	const double *param_float;
	double *const *tensor; /* [tensors] dense, row-major; outputs are written */
	int64_t coord[EVAL_MAX_AXES];
	double x; /* EXPR_DOT */
} rowform_env;

/* Elements of a tensor, and of one dimension. */
int64_t rowform_dim(const rowform_env *v, const sema_tensor *t, int dim);
int64_t rowform_elements(const rowform_env *v, const sema_tensor *t);
/* Computes all outputs of every row. */
void rowform_run(rowform_env *v, const row_form *m);
