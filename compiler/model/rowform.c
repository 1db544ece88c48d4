/* rowform.c: the row form of a spec for one inner axis.
 * in:  the outputs' definitions
 * out: one weight (softmax of a score, or the score itself) shared by all outputs, each output's
 * values sorted by the axis they read, the score's form (score.c), and the head axis An output is R
 * * (one sum or logsumexp over all keys) + plus. */
#include "model/form.h"
#include <string.h>

/* One key reduction of an output: coef * row factors * reduction. */
typedef struct {
	const expr *reduction;
	double coef;
	factors row;
} key_term;

typedef struct {
	key_term *item;
	int count, cap;
	expr *plus; /* terms without key reduction; NULL */
} key_terms;

/* An output being taken apart. */
typedef struct {
	form_cx *cx;
	row_form *form;
	const char *name;
	model_output *out;
	double coef; /* constant factor of the whole */
	factors row;
} output_cx;

/* What the outputs share. */
typedef struct {
	const expr *score;
	expr *weight_score;
	expr *sink;
	const char *name; /* the output that set it */
	bool softmax;
	double coef; /* of an unnormalised weight */
} weight;

/* --- linear in the key reductions --- */

static bool has_keys(form_cx *cx, const expr *e)
{
	return form_has(cx, e) & HAS_KEYS;
}

static bool split_output(output_cx *o, expr *e, double coef, const factors *row, key_terms *t)
{
	form_cx *cx = o->cx;
	arena *a = cx->spec->arena;
	factors more = {0};
	int by;

	if (!has_keys(cx, e)) {
		t->plus = poly_add(cx, e->at, t->plus, coef,
			factors_product(cx, e->at, 1, row,
				&(factors){.item = &(factor){e, false}, .count = 1}));
		return true;
	}
	switch (e->op) {
	case EXPR_REDUCE:
		if (e->reduce.axis[0]->kind != AXIS_KEY ||
			(e->reduce.how != REDUCE_SUM && e->reduce.how != REDUCE_LSE))
			break;
		ARENA_PUSH(a, t, ((key_term){e, coef, *row}));
		return true;
	case EXPR_ADD:
	case EXPR_SUB:
		return split_output(o, e->arg[0], coef, row, t) &&
		       split_output(o, e->arg[1], e->op == EXPR_SUB ? -coef : coef, row, t);
	case EXPR_NEG:
		return split_output(o, e->arg[0], -coef, row, t);
	case EXPR_MUL:
	case EXPR_DIV:
		by = e->op == EXPR_DIV || !has_keys(cx, e->arg[1]);
		if (has_keys(cx, e->arg[by]))
			break;
		for (int i = 0; i < row->count; i++)
			ARENA_PUSH(a, &more, row->item[i]);
		factors_collect(cx, e->arg[by], e->op == EXPR_DIV, &more, &coef);
		return split_output(o, e->arg[!by], coef, &more, t);
	default:
		break;
	}
	return form_fail(cx, e->at, "output '%s' is not linear in its sum over keys: '%s'", o->name,
		form_quote(cx, e));
}

static bool all_keys(const sema_spec *s, const sema_axis *const *axis, int axes)
{
	for (int i = 0; i < s->key.count; i++) {
		int n = 0;

		while (n < axes && axis[n] != s->key.item[i])
			n++;
		if (n == axes)
			return false;
	}
	return axes == s->key.count;
}

static bool over_all_keys(form_cx *cx, const expr *e, const char *what)
{
	if (all_keys(cx->spec, (const sema_axis *const *)e->reduce.axis, e->reduce.axes))
		return true;
	return form_fail(
		cx, e->at, "'%s' is %s over only some of the key axes", form_quote(cx, e), what);
}

/* --- the sum's body --- */

/* The body of a sum over all keys, with sums nested as factors (sum(j) v1 * sum(k) ...) joined into
 * one. */
static expr *sum_body(output_cx *o, const expr *sum)
{
	form_cx *cx = o->cx;
	const sema_axis *axis[SEMA_MAX_KEYS];
	expr *body = sum->reduce.body;
	int axes = sum->reduce.axes;

	memcpy(axis, sum->reduce.axis, sizeof *axis * (size_t)axes);
	for (;;) {
		factors f = {0};
		double coef = 1;
		int nested = -1;

		factors_collect(cx, body, false, &f, &coef);
		for (int i = 0; i < f.count && nested < 0; i++)
			if (f.item[i].e->op == EXPR_REDUCE &&
				f.item[i].e->reduce.how == REDUCE_SUM && !f.item[i].under &&
				f.item[i].e->reduce.axis[0]->kind == AXIS_KEY)
				nested = i;
		if (nested < 0)
			break;
		sum = f.item[nested].e;
		if (axes + sum->reduce.axes > SEMA_MAX_KEYS)
			break;
		memcpy(axis + axes, sum->reduce.axis, sizeof *axis * (size_t)sum->reduce.axes);
		axes += sum->reduce.axes;
		f.item[nested].e = sum->reduce.body;
		body = factors_product(cx, body->at, coef, &f, NULL);
	}
	if (all_keys(cx->spec, axis, axes))
		return body;
	form_fail(cx, sum->at, "'%s' sums over only some of the key axes", form_quote(cx, sum));
	return NULL;
}

static const expr *find_softmax(form_cx *cx, const expr *e)
{
	expr *const *kid;
	int kids;

	if (!has_keys(cx, e) || e->op == EXPR_SOFTMAX)
		return has_keys(cx, e) ? e : NULL;
	kids = expr_kids(e, &kid);
	for (int i = 0; i < kids; i++) {
		const expr *p = find_softmax(cx, kid[i]);

		if (p)
			return p;
	}
	return NULL;
}

/* e / p for an `e` that is linear in the softmax p; NULL (failed) when it is not. */
static expr *quotient(output_cx *o, expr *e, const expr *p)
{
	form_cx *cx = o->cx;
	sema_spec *s = cx->spec;
	expr *x, *y;
	int by;

	switch (has_keys(cx, e) ? e->op : EXPR_OP_COUNT) {
	case EXPR_SOFTMAX:
		if (expr_equal(e, p))
			return expr_float(s, e->at, 1);
		form_fail(cx, e->at,
			"output '%s' uses two different softmax weights, '%s' and '%s'", o->name,
			form_quote(cx, p), form_quote(cx, e));
		return NULL;
	case EXPR_NEG:
		x = quotient(o, e->arg[0], p);
		return x ? expr_unary(s, e->at, EXPR_NEG, x) : NULL;
	case EXPR_ADD:
	case EXPR_SUB:
		x = quotient(o, e->arg[0], p);
		y = x ? quotient(o, e->arg[1], p) : NULL;
		return y ? expr_binary(s, e->at, e->op, x, y) : NULL;
	case EXPR_MUL:
	case EXPR_DIV:
		by = e->op == EXPR_DIV || !has_keys(cx, e->arg[1]);
		if (has_keys(cx, e->arg[by]))
			break;
		x = quotient(o, e->arg[!by], p);
		if (!x)
			return NULL;
		return by ? expr_binary(s, e->at, e->op, x, e->arg[1])
			  : expr_binary(s, e->at, e->op, e->arg[0], x);
	default:
		break;
	}
	form_fail(cx, e->at, "output '%s' does not use its softmax weight as one factor: '%s'",
		o->name, form_quote(cx, e));
	return NULL;
}

/* --- the weight --- */

/* Checks the score and sink of one output against those of the ones before. */
static bool share_weight(output_cx *o, weight *w, const expr *score, const expr *sink, bool softmax)
{
	form_cx *cx = o->cx;

	if (!w->name) {
		*w = (weight){.score = score,
			.sink = (expr *)sink,
			.name = o->name,
			.softmax = softmax,
			.coef = w->coef};
		return true;
	}
	if (softmax != w->softmax)
		return form_fail(cx, score->at,
			"outputs '%s' and '%s' do not share one weight: only one of them is "
			"normalised by a softmax",
			w->name, o->name);
	if (!expr_equal(score, w->score))
		return form_fail(cx, score->at,
			"outputs '%s' and '%s' use different scores, '%s' and '%s'", w->name,
			o->name, form_quote(cx, w->score), form_quote(cx, score));
	if (!sink != !w->sink || (sink && !expr_equal(sink, w->sink)))
		return form_fail(cx, (sink ? sink : score)->at,
			"outputs '%s' and '%s' use different sinks", w->name, o->name);
	return true;
}

/* Factors of an unnormalised sum that read the query and a key, or the inner and an outer key, are
 * its weight. */
static bool plain_weight(output_cx *o, weight *w, const expr *body, factors *values)
{
	form_cx *cx = o->cx;
	factors all = {0}, pair = {0};
	double coef = 1;
	expr *score;

	factors_collect(cx, (expr *)body, false, &all, &coef);
	for (int i = 0; i < all.count; i++) {
		unsigned r = form_reads(cx, all.item[i].e);

		/* More than one bit: reads more than one side. */
		ARENA_PUSH(cx->spec->arena, r & (r - 1) ? &pair : values, all.item[i]);
	}
	score = factors_product(cx, body->at, 1, &pair, NULL);
	if (!w->name)
		w->coef = coef;
	o->coef *= coef / w->coef;
	return share_weight(o, w, score, NULL, false);
}

/* --- values --- */

static bool sort_value(output_cx *o, const factor *f, factors *inner, factors *outer)
{
	form_cx *cx = o->cx;
	const sema_axis *d = form_free_feature(cx, f->e, o->out->e);
	form_scope scope = {o->out->e, NULL};
	factor g = *f;

	if (d)
		return form_fail(cx, f->e->at, "'%s' depends on the feature coordinate '%s'",
			form_quote(cx, f->e), d->name);
	if (has_keys(cx, f->e))
		return form_fail(cx, f->e->at,
			"output '%s' multiplies its sum over keys by another: '%s'", o->name,
			form_quote(cx, f->e));
	g.e = form_unshadow(cx, f->e, &scope);
	if (!g.e)
		return false;
	switch (form_reads(cx, f->e)) {
	case 0:
	case READS_QUERY:
		ARENA_PUSH(cx->spec->arena, &o->row, g);
		return true;
	case READS_INNER:
		ARENA_PUSH(cx->spec->arena, inner, g);
		return true;
	case READS_OUTER:
		ARENA_PUSH(cx->spec->arena, outer, g);
		return true;
	default:
		return form_fail(cx, f->e->at, "the value '%s' of output '%s' mixes %s",
			form_quote(cx, f->e), o->name,
			form_mixed(cx, f->e) ? "the inner key with the query or another key"
					     : "the query and an outer key");
	}
}

static expr *product_or_null(form_cx *cx, loc at, double coef, const factors *x)
{
	return x->count == 0 && coef == 1 ? NULL : factors_product(cx, at, coef, x, NULL);
}

static bool sum_output(output_cx *o, weight *w, expr *body)
{
	form_cx *cx = o->cx;
	const expr *p = find_softmax(cx, body);
	factors values = {0}, inner = {0}, outer = {0};

	o->out->kind = OUTPUT_SUM;
	if (p) {
		expr *value = quotient(o, body, p);

		if (!value || !over_all_keys(cx, p, "a softmax") ||
			!share_weight(o, w, p->reduce.body, p->reduce.sink, true))
			return false;
		factors_collect(cx, value, false, &values, &o->coef);
	} else if (!plain_weight(o, w, body, &values)) {
		return false;
	}
	for (int i = 0; i < values.count; i++)
		if (!sort_value(o, &values.item[i], &inner, &outer))
			return false;
	o->out->inner = product_or_null(cx, body->at, 1, &inner);
	o->out->outer = product_or_null(cx, body->at, 1, &outer);
	return true;
}

/* --- outputs --- */

/* c1 * R * sum(..) a + c2 * R * sum(..) b as one sum's body; row factors must agree. */
static expr *joined_body(output_cx *o, const key_terms *t)
{
	form_cx *cx = o->cx;
	expr *all = NULL;

	for (int i = 0; i < t->count; i++) {
		const key_term *k = &t->item[i];
		expr *body;

		if (k->reduction->reduce.how != REDUCE_SUM ||
			!factors_equal(&k->row, &t->item[0].row)) {
			form_fail(cx, k->reduction->at,
				"output '%s' combines '%s' and '%s', which are not one sum over "
				"keys",
				o->name, form_quote(cx, t->item[0].reduction),
				form_quote(cx, k->reduction));
			return NULL;
		}
		body = sum_body(o, k->reduction);
		if (!body)
			return NULL;
		all = t->count == 1 ? body : poly_add(cx, body->at, all, k->coef, body);
	}
	return all;
}

static bool build_output(output_cx *o, weight *w, const sema_tensor *t)
{
	form_cx *cx = o->cx;
	form_scope scope;
	key_terms keys = {0};
	expr *e = form_plain(cx, t->def->value), *body;
	const expr *first;

	if (!e || !split_output(o, e, 1, &(factors){0}, &keys))
		return false;
	if (keys.count == 0)
		return form_fail(cx, t->def->at, "output '%s' uses no sum over keys", o->name);
	first = keys.item[0].reduction;
	o->row = keys.item[0].row;
	o->coef = keys.count == 1 ? keys.item[0].coef : 1;
	if (keys.count == 1 && first->reduce.how == REDUCE_LSE) {
		o->out->kind = OUTPUT_LSE;
		if (!over_all_keys(cx, first, "a logsumexp") ||
			!share_weight(o, w, first->reduce.body, first->reduce.sink, true))
			return false;
	} else {
		body = joined_body(o, &keys);
		if (!body || !sum_output(o, w, body))
			return false;
	}
	o->out->row = product_or_null(cx, e->at, o->coef, &o->row);
	scope = (form_scope){o->out->e, NULL};
	if (o->out->row)
		o->out->row = form_unshadow(cx, o->out->row, &scope);
	if (keys.plus)
		o->out->plus = form_unshadow(cx, keys.plus, &scope);
	return !cx->why;
}

static sema_axis *feature_of(const sema_tensor *t)
{
	for (int i = 0; i < t->rank; i++)
		if (t->dim[i].axis && t->dim[i].axis->kind == AXIS_FEATURE)
			return t->dim[i].axis;
	return NULL;
}

static bool build_outputs(form_cx *cx, row_form *m, weight *w)
{
	sema_spec *s = cx->spec;

	for (int i = s->inputs; i < s->tensor.count; i++) {
		sema_tensor *t = s->tensor.item[i];
		output_cx o = {.cx = cx, .form = m, .name = t->name, .coef = 1};

		if (m->outputs == MODEL_MAX_OUTPUTS)
			return form_fail(cx, t->at, "more than %d outputs", MODEL_MAX_OUTPUTS);
		o.out = &m->output[m->outputs++];
		o.out->tensor = t;
		o.out->e = feature_of(t);
		if (!build_output(&o, w, t))
			return false;
	}
	return true;
}

static bool build_masks(form_cx *cx, row_form *m)
{
	sema_spec *s = cx->spec;

	m->masks = s->mask.count;
	m->mask = ARENA_ARRAY(s->arena, expr *, s->mask.count);
	for (int i = 0; i < s->mask.count; i++) {
		expr *e = form_plain(cx, s->mask.item[i]);

		if (!e)
			return false;
		if (form_has(cx, e))
			return form_fail(cx, e->at, "the mask '%s' reduces over %s",
				form_quote(cx, e),
				form_has(cx, e) & HAS_KEYS ? "keys"
							   : "features of the query and a key");
		m->mask[i] = form_unshadow(cx, e, NULL);
		if (!m->mask[i])
			return false;
	}
	return true;
}

static bool build_sink(form_cx *cx, row_form *m, expr *sink)
{
	if (!sink)
		return true;
	if (has_keys(cx, sink) || (form_reads(cx, sink) & (READS_INNER | READS_OUTER)))
		return form_fail(
			cx, sink->at, "the sink '%s' depends on a key", form_quote(cx, sink));
	if (form_free_feature(cx, sink, NULL))
		return form_fail(cx, sink->at, "the sink '%s' depends on a feature coordinate",
			form_quote(cx, sink));
	m->sink = form_unshadow(cx, sink, NULL);
	return m->sink;
}

/* --- head axis --- */

/* Whether `e` reads the coordinate itself, not only its group's. */
static bool reads_directly(const expr *e, const sema_axis *row)
{
	expr *const *kid;
	int kids;

	if (!expr_depends(e, row))
		return false;
	if (e->op == EXPR_COORD)
		return e->axis == row;
	kids = expr_kids(e, &kid);
	for (int i = 0; i < kids; i++)
		if (reads_directly(kid[i], row))
			return true;
	return false;
}

/* Whether an operand of key positions alone (reads keys, not the query) reads the coordinate of
 * `row` itself. */
static bool operand_reads(const form_cx *cx, const expr *e, const sema_axis *row)
{
	expr *const *kid;
	unsigned r;
	int kids;

	if (!e || !expr_depends(e, row))
		return false;
	r = form_reads(cx, e);
	if (!r || r == READS_QUERY)
		return false;
	if (e->op == EXPR_LOAD || e->op == EXPR_COORD)
		return !(r & READS_QUERY) && reads_directly(e, row);
	kids = expr_kids(e, &kid);
	for (int i = 0; i < kids; i++)
		if (operand_reads(cx, kid[i], row))
			return true;
	return false;
}

static bool packable(const form_cx *cx, const row_form *m, const sema_axis *row)
{
	for (int i = 0; i < m->segments; i++)
		if (reads_directly(m->segment[i].b, row) || operand_reads(cx, m->segment[i].a, row))
			return false;
	if (operand_reads(cx, m->c, row))
		return false;
	for (int i = 0; i < m->outputs; i++) {
		const model_output *o = &m->output[i];

		if ((o->inner && reads_directly(o->inner, row)) ||
			(o->outer && reads_directly(o->outer, row)))
			return false;
	}
	return true;
}

static sema_axis *head_axis(const form_cx *cx, const row_form *m)
{
	const sema_tensor *t = m->output[0].tensor;

	for (int i = t->rank - 1; i >= 0; i--)
		if (t->dim[i].axis && t->dim[i].axis->kind == AXIS_ROW &&
			packable(cx, m, t->dim[i].axis))
			return t->dim[i].axis;
	return NULL;
}

/* --- the whole --- */

static bool build(form_cx *cx, row_form *m)
{
	weight w = {.coef = 1};
	expr *score;

	if (!build_outputs(cx, m, &w) || !build_masks(cx, m) || !build_sink(cx, m, w.sink))
		return false;
	m->normalised = w.softmax;
	score = (expr *)w.score;
	if (w.coef != 1)
		score = expr_binary(cx->spec, score->at, EXPR_MUL,
			expr_float(cx->spec, score->at, w.coef), score);
	if (!form_score(cx, m, score))
		return false;
	m->head = head_axis(cx, m);
	return true;
}

row_form *model_row_form(sema_spec *s, sema_axis *inner, const char **why, loc *at)
{
	row_form *m = ARENA_NEW(s->arena, row_form);
	form_cx cx;

	form_begin(&cx, s, inner);
	m->spec = s;
	m->inner = inner;
	for (int i = 0; i < s->key.count; i++)
		if (s->key.item[i] != inner)
			m->outer[m->outers++] = s->key.item[i];
	if (build(&cx, m))
		return m;
	if (!cx.why)
		ice("no row form of '%s' and no reason", s->name);
	*why = cx.why;
	*at = cx.why_at;
	return NULL;
}
