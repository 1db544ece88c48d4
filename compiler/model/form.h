/* form.h: what the files of the model layer share. Nothing outside compiler/model includes it.
 *
 *   normal.c    definitions inlined, binders apart, sums hoisted   (form_plain, form_normal)
 *   poly.c      sums of products                                  (poly_expand)
 *   segment.c   monomials -> segments: group by B, re-index       (segment_build)
 *   score.c     s = f(A.B + c)                                    (form_score)
 *   rowform.c   outputs, weight, head axis                        (model_row_form)
 *   choose.c    integer evaluation, window widths                 (model_choose)
 *
 * For a chosen inner axis every value is on one of three sides: *inner* (reads the inner key,
 * perhaps ROW coordinates), *outer* (anything else: query, outer keys, ROW coordinates, constants),
 * or *mixed* (reads the inner key and also the query or an outer key). Row form exists when every
 * mixed value is either elementwise above all sums over features, or a sum of products of one-sided
 * factors below one. */
#pragma once
#include "model/model.h"

#define FORM_MAX_NODES 20000    /* of an expression with definitions inlined       */
#define FORM_MAX_MONOMIALS 4096 /* of one sum over features, expanded              */
#define FORM_MAX_FACTORS 64     /* of one side of one monomial                     */
#define FORM_MAX_AXES 8         /* summed in one monomial                          */
#define FORM_MAX_GROUPS 32      /* different B before groups of equal A are merged */
#define FORM_MAX_MAPS 16        /* re-indexings d -> m(d) tried                    */
#define FORM_MAX_WORK 50000     /* nodes of all expanded factors                   */

enum { READS_INNER = 1, READS_OUTER = 2, READS_QUERY = 4 };

/* What an expression holds. */
enum {
	HAS_DOT = 1,  /* a reduction over features of a mixed body */
	HAS_KEYS = 2, /* softmax, or a reduction over key axes     */
	HAS_KNOWN = 128
};

typedef struct {
	sema_spec *spec;
	const sema_axis *inner;
	uint8_t *has; /* by expr id */
	uint32_t has_cap;
	expr **plain; /* by expr id below plain_count: the node with definitions inlined */
	uint32_t *nodes;
	uint32_t plain_count;
	const char *why; /* first reason against row form */
	loc why_at;
} form_cx;

/* Feature axes bound around an expression. */
typedef struct form_scope {
	const sema_axis *axis;
	const struct form_scope *up;
} form_scope;

/* --- normal.c --- */

void form_begin(form_cx *cx, sema_spec *spec, const sema_axis *inner);
/* Records why there is no row form, unless something already is; returns false. */
bool form_fail(form_cx *cx, loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The source text of `e` for a message, on one line and shortened. */
const char *form_quote(form_cx *cx, const expr *e);
/* The READS_* of `e`. */
unsigned form_reads(const form_cx *cx, const expr *e);
bool form_mixed(const form_cx *cx, const expr *e);
/* The HAS_* of `e`, which must be free of DEF. */
unsigned form_has(form_cx *cx, const expr *e);
/* A FEATURE axis that `e` reads, other than `allowed`; NULL when there is none. */
const sema_axis *form_free_feature(const form_cx *cx, const expr *e, const sema_axis *allowed);
/* `e` with definitions inlined; NULL (failed) when that is too large. */
expr *form_plain(form_cx *cx, const expr *e);
/* `e` with free occurrences of `from` replaced. */
expr *form_substitute(form_cx *cx, expr *e, const sema_axis *from, expr *with);
/* `e` with every sum's axis different from those around it and from `scope`; NULL: failed. */
expr *form_unshadow(form_cx *cx, expr *e, const form_scope *scope);
/* `e` with mixed sums over features taken apart: one sum a term, factors without the sum's axes
 * outside. */
expr *form_normal(form_cx *cx, expr *e);
/* A FEATURE axis of that name and extent: an existing one, else made; NULL (failed) when there are
 * too many. */
sema_axis *form_axis(form_cx *cx, loc at, const char *name, int64_t extent);
/* sum(axis...) body. */
expr *form_sum(form_cx *cx, loc at, sema_axis *const *axis, int axes, expr *body);
/* The EXPR_DOT node. */
expr *form_x(form_cx *cx, loc at);

/* --- poly.c --- */

typedef struct {
	expr *e;
	bool under; /* divides */
} factor;

typedef struct {
	factor *item;
	int count, cap;
} factors;

/* coef * product of a * product of b, summed over the axes. Factors of `a` do not read the inner
 * key, those of `b` read it and neither query nor outer keys. */
typedef struct {
	double coef;
	factors a, b;
	sema_axis *axis[FORM_MAX_AXES];
	int axes;
	loc at;
} monomial;

typedef struct {
	monomial *item;
	int count, cap;
} poly;

/* Appends the factors of the product `e` (or of 1/e); numbers and signs go into *coef. */
void factors_collect(form_cx *cx, expr *e, bool under, factors *out, double *coef);
/* Product of coef, x and y (either may be NULL). */
expr *factors_product(form_cx *cx, loc at, double coef, const factors *x, const factors *y);
void factors_append(form_cx *cx, factors *to, const factors *from);
/* The same factors in any order. */
bool factors_equal(const factors *x, const factors *y);
bool factors_use(const factors *x, const sema_axis *d);
/* sum(axis...) of a product, the factors that read none of the axes outside. (normal.c) */
expr *form_sum_product(form_cx *cx, loc at, sema_axis *const *axis, int axes, const factors *x);
/* Writes `e` as a sum of products, distributing over mixed factors only. */
bool poly_expand(form_cx *cx, expr *e, poly *out);
/* sum + coef * e; sum may be NULL. */
expr *poly_add(form_cx *cx, loc at, expr *sum, double coef, expr *e);

/* --- segment.c --- */

/* A term without features of both sides: coef * e. */
typedef struct {
	double coef;
	expr *e;
} term;

typedef struct {
	term *item;
	int count, cap;
} terms;

/* A linear score: scale * (segments + c) + rest. */
typedef struct {
	poly dot;      /* before segment_build */
	terms c, rest; /* c: without the inner key */
	double scale;
	model_segment segment[MODEL_MAX_SEGMENTS];
	int segments;
} linear;

/* Appends coef * e, or adds it to an equal term. */
void terms_push(form_cx *cx, terms *t, double coef, expr *e);
/* Sorts monomials into x->dot, x->c, x->rest. */
bool segment_sort(form_cx *cx, const poly *p, linear *x);
/* Groups x->dot into x->segment and chooses x->scale. */
bool segment_build(form_cx *cx, linear *x);

/* --- score.c --- */

/* Fills segments, c and f of `m` for the score (or weight) `s`, which is free of DEF. */
bool form_score(form_cx *cx, row_form *m, expr *s);

/* --- choose.c --- */

/* Values for integer expressions: one coordinate (others are 0), all lengths alike, params at their
 * defaults. */
typedef struct {
	const sema_axis *axis;
	int64_t at;
	int64_t length; /* negative: lengths, params and other coordinates are not known */
} int_env;

/* Value of an INT or BOOL expression; false when it reads what is not known. */
bool form_int(const expr *e, const int_env *env, int64_t *value);
