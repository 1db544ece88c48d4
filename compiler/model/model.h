/* model.h: row form, the mathematics that every backend generates code from.
 *
 *   For a chosen inner key axis k and the remaining outer key axes:
 *     x     = sum over segments, sum over d of  A(row, outer, d) * B(inner, d)  + c(row, outer)
 *     s     = f(x; indices)                         elementwise score epilogue
 *     p     = softmax over all visible tuples of s, perhaps with a sink; or s itself
 *     o[e]  = R(row, e) * sum over outer of Gv(outer, e) * sum over inner of p * V(inner, e)
 *     lse   = logsumexp of s
 *
 *   rowform.c   outputs, weight, values, head axis          (model_row_form)
 *   score.c     s = f(A . B + c)
 *   segment.c   monomials -> segments: group by B, re-index
 *   poly.c      sums of products
 *   normal.c    definitions inlined, binders apart, sums hoisted
 *   choose.c    the axis with the widest window             (model_choose)
 *   stream.c    operand vectors worth computing once        (model_streams_find)
 *   print.c     --emit model                                (model_print)
 *
 * All expressions are sema's, so printing and evaluation are shared. They are free of DEF, and no
 * sum's axis is bound twice around one subexpression. Finding a form may add FEATURE axes to the
 * spec (named d', d.e), which sema_spec.axis then lists: size tables by axis after it. */
#pragma once
#include "sema/sema.h"

#define MODEL_MAX_SEGMENTS 8
#define MODEL_MAX_OUTPUTS 8

/* One product sum(d) A(d) * B(d); several segments are the concatenation of their features. */
typedef struct {
	sema_axis *d; /* FEATURE axis that a and b are written in */
	expr *a;      /* over row, outer axes and d     */
	expr *b;      /* over inner axis (and row axes through GROUP) and d */
} model_segment;

typedef enum { OUTPUT_SUM, OUTPUT_LSE } model_output_kind;

typedef struct {
	model_output_kind kind;
	sema_tensor *tensor;
	sema_axis *e; /* OUTPUT_SUM: feature axis, NULL for a scalar output per row */
	expr *inner;  /* SUM: V(inner, e); NULL means 1  */
	expr *outer;  /* SUM: Gv(outer, e); NULL means 1 */
	expr *row;    /* R(row, e), of an LSE too; NULL means 1 */
	expr *plus;   /* added after R, of an LSE too: residual terms over (row, e); NULL means 0 */
} model_output;

typedef struct {
	sema_spec *spec;
	sema_axis *inner;
	int outers;
	sema_axis *outer[SEMA_MAX_KEYS - 1]; /* declared order */
	int segments;                        /* 0: x = c */
	model_segment segment[MODEL_MAX_SEGMENTS];
	expr *c; /* FLOAT over row and outer axes; may hold sums over features; NULL means 0 */
	/* The score: over EXPR_DOT (x), coordinates, loads, params, one-sided sums over features.
	 */
	expr *f;
	bool f_linear;   /* f == scale * x exactly, with constant scale  */
	double f_scale;  /* valid when f_linear                          */
	bool normalised; /* softmax; else the weight is f itself and no output is an LSE */
	expr *sink;      /* extra logit per row, NULL                    */
	int masks;
	expr **mask; /* the spec's masks */
	int outputs;
	model_output output[MODEL_MAX_OUTPUTS];
	/* The head axis: rows that differ only here share all inner operands, or share them in
	 * groups. NULL when no ROW axis can be packed. head->group != NULL: rows of one group
	 * share. head->group == NULL: all. */
	sema_axis *head;
} row_form;

/* Row form of `s` with `inner` as the inner axis. NULL when there is none: then *why holds one
 * sentence that names the term, and *at its location. */
row_form *model_row_form(sema_spec *s, sema_axis *inner, const char **why, loc *at);

/* The row form to generate code from: the inner axis is `wanted` (NULL: the key axis with the
 * widest window under the params' defaults, unbounded widest; ties go to the last declared).
 * Reports a warning that names the preventing term when no axis has row form, and returns NULL. */
row_form *model_choose(sema_spec *s, const sema_axis *wanted, diags *d);
/* Keys in the widest window of a key axis, in a long sequence, under the params' defaults. */
int64_t model_window_width(const sema_spec *s, const sema_axis *key);

/* The spec's row form for each possible inner axis, or why there is none. */
void model_print(sema_spec *s, text *out);

/* --- stream.c --- */

#define MODEL_MAX_STREAMS 24

/* A subexpression along features that the row alone, or one outer position alone, decides. */
typedef struct {
	const expr *e;
	const sema_axis *d;
	int outer; /* position in row_form.outer, or -1: the row's */
} model_stream;

typedef struct {
	model_stream item[MODEL_MAX_STREAMS];
	int count;
} model_streams;

/* The maximal streams of A, Gv and c; false when there are more than MODEL_MAX_STREAMS. */
bool model_streams_find(const row_form *m, model_streams *s);
/* The stream that `e` is, or -1. */
int model_stream_find(const model_streams *s, const expr *e);
