/* expr_fold.h: constant folding, for expr.c's builders only. Operands are already of one type. */
#pragma once
#include "sema/sema.h"

/* The simpler expression that `op` of the operands is, NULL when there is none. Nothing is folded
 * whose value is not representable: an overflowing int, a NaN. */
expr *expr_fold_unary(sema_spec *s, loc at, expr_op op, expr *x);
expr *expr_fold_binary(sema_spec *s, loc at, expr_op op, expr *x, expr *y);
