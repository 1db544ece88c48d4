/* stream.c: operand streams of a row form.
 * in:  A, Gv and c
 * out: every maximal subexpression along features that the row alone, or one outer position alone,
 * decides, so that a backend pays for rope, normalisation, dtype conversion and odd strides once
 * per position, not per pair. */
#include "model/model.h"

enum { ON_ROW = 1, ON_OUTER = 2 /* << position */, ON_FEATURE = 1 << 8, WORTH = 1 << 9 };

/* Which positions a value depends on, and whether it is worth storing. */
static int depends(const row_form *m, const expr *x, const sema_axis *d)
{
	expr *const *kid;
	int kids, bits = 0;

	switch (x->op) {
	case EXPR_COORD:
		if (x->axis == d)
			return ON_FEATURE;
		if (x->axis->kind == AXIS_QUERY || x->axis == m->head)
			return ON_ROW;
		for (int i = 0; i < m->outers; i++)
			if (x->axis == m->outer[i])
				return ON_OUTER << i;
		return 0;
	case EXPR_DEF:
		return depends(m, x->def->value, d);
	case EXPR_LOAD:
	case EXPR_SIN:
	case EXPR_COS:
	case EXPR_POW:
	case EXPR_EXP:
	case EXPR_LOG:
	case EXPR_TANH:
	case EXPR_SQRT:
		bits = WORTH;
		break;
	default:
		break;
	}
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		bits |= depends(m, kid[i], d);
	return bits;
}

int model_stream_find(const model_streams *s, const expr *e)
{
	for (int i = 0; i < s->count; i++)
		if (s->item[i].e == e || expr_equal(s->item[i].e, e))
			return i;
	return -1;
}

static bool add(const row_form *m, model_streams *s, const expr *x, const sema_axis *d, int bits)
{
	model_stream *n = &s->item[s->count];

	if (model_stream_find(s, x) >= 0)
		return true;
	if (s->count == MODEL_MAX_STREAMS)
		return false;
	*n = (model_stream){.e = x, .d = d, .outer = -1};
	for (int i = 0; i < m->outers; i++)
		if (bits & (ON_OUTER << i))
			n->outer = i;
	s->count++;
	return true;
}

static bool collect(const row_form *m, model_streams *s, const expr *x, const sema_axis *d)
{
	int bits = depends(m, x, d), positions = bits & 0xff;
	expr *const *kid;
	int kids;

	if (x->op == EXPR_REDUCE && x->reduce.axes == 1 &&
		x->reduce.axis[0]->kind == AXIS_FEATURE && !(bits & ON_FEATURE))
		return collect(m, s, x->reduce.body, x->reduce.axis[0]);
	if ((bits & ON_FEATURE) && (bits & WORTH) && (positions & (positions - 1)) == 0)
		return add(m, s, x, d, bits);
	if (x->op == EXPR_DEF)
		return collect(m, s, x->def->value, d);
	if (x->op == EXPR_LOAD)
		return true;
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		if (!collect(m, s, kid[i], d))
			return false;
	return true;
}

bool model_streams_find(const row_form *m, model_streams *s)
{
	bool ok = true;

	s->count = 0;
	for (int i = 0; i < m->segments; i++)
		ok = ok && collect(m, s, m->segment[i].a, m->segment[i].d);
	for (int i = 0; i < m->outputs; i++)
		if (m->output[i].outer && m->output[i].e)
			ok = ok && collect(m, s, m->output[i].outer, m->output[i].e);
	if (m->c)
		ok = ok && collect(m, s, m->c, NULL);
	return ok;
}
