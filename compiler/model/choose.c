/* choose.c: which inner axis code is generated for.
 * in:  a spec, its windows and the defaults of its params
 * out: the row form with the widest inner window
 * Also the evaluator for integer expressions that re-indexing (segment.c) uses. */
#include "model/form.h"

/* --- integer expressions --- */

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t q;

	if (b == 0 || (a == INT64_MIN && b == -1))
		return 0;
	q = a / b;
	return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/* Wraps around, as the arithmetic of subscripts does. */
static int64_t apply(expr_op op, int64_t x, int64_t y)
{
	switch (op) {
	case EXPR_ADD:
		return (int64_t)((uint64_t)x + (uint64_t)y);
	case EXPR_SUB:
		return (int64_t)((uint64_t)x - (uint64_t)y);
	case EXPR_MUL:
		return (int64_t)((uint64_t)x * (uint64_t)y);
	case EXPR_IDIV:
		return floor_div(x, y);
	case EXPR_MOD:
		return y == 0 ? 0 : apply(EXPR_SUB, x, apply(EXPR_MUL, floor_div(x, y), y));
	case EXPR_MIN:
		return x < y ? x : y;
	case EXPR_MAX:
		return x > y ? x : y;
	case EXPR_LT:
		return x < y;
	case EXPR_LE:
		return x <= y;
	case EXPR_EQ:
		return x == y;
	case EXPR_NE:
		return x != y;
	case EXPR_AND:
		return x && y;
	default:
		return x || y; /* EXPR_OR: form_int passes no other */
	}
}

static bool form_int_where(const expr *e, const int_env *env, int64_t *value)
{
	int64_t c;

	return form_int(e->arg[0], env, &c) && form_int(e->arg[c ? 1 : 2], env, value);
}

bool form_int(const expr *e, const int_env *env, int64_t *value)
{
	int64_t x, y;

	switch (e->op) {
	case EXPR_CONST_INT:
		*value = e->i;
		return true;
	case EXPR_COORD:
		*value = e->axis == env->axis ? env->at : 0;
		return e->axis == env->axis || env->length >= 0;
	case EXPR_LENGTH:
		*value = env->length;
		return env->length >= 0;
	case EXPR_PARAM:
		*value = e->param->i;
		return env->length >= 0 && e->type == TYPE_INT;
	case EXPR_NEG:
	case EXPR_ABS:
		if (e->type != TYPE_INT || !form_int(e->arg[0], env, &x))
			return false;
		*value = e->op == EXPR_NEG || x < 0 ? apply(EXPR_SUB, 0, x) : x;
		return true;
	case EXPR_NOT:
		if (!form_int(e->arg[0], env, &x))
			return false;
		*value = !x;
		return true;
	case EXPR_WHERE:
		return e->type == TYPE_INT && form_int_where(e, env, value);
	case EXPR_ADD:
	case EXPR_SUB:
	case EXPR_MUL:
	case EXPR_IDIV:
	case EXPR_MOD:
	case EXPR_MIN:
	case EXPR_MAX:
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_AND:
	case EXPR_OR:
		if (e->type == TYPE_FLOAT || !form_int(e->arg[0], env, &x) ||
			!form_int(e->arg[1], env, &y))
			return false;
		*value = apply(e->op, x, y);
		return true;
	default:
		return false;
	}
}

/* --- windows --- */

/* Keys in the window of query `i`, lengths being `n`; a bound that is not known counts as none. */
static int64_t keys_at(const sema_spec *s, const sema_axis *key, int64_t i, int64_t n)
{
	int_env env = {s->query, i, n};
	int64_t first = 0, last = n - 1, v;

	if (key->window.first && form_int(key->window.first, &env, &v) && v > first)
		first = v;
	if (key->window.last && form_int(key->window.last, &env, &v) && v < last)
		last = v;
	return first > last ? 0 : last - first + 1;
}

/* The widest window over a sample of queries of a long sequence. Every bound is affine in the query
 * index, or a chunk of it: the middle, both ends and a run of neighbours with a step that no chunk
 * length divides show it. */
int64_t model_window_width(const sema_spec *s, const sema_axis *key)
{
	const int64_t n = (int64_t)1 << 24, step = 257;
	int64_t widest = keys_at(s, key, n - 1, n);

	for (int64_t k = 0; k < 1024; k++) {
		int64_t w = keys_at(s, key, n / 2 + k * step, n);

		if (w > widest)
			widest = w;
	}
	return widest;
}

/* Key axes, the one to prefer first. */
static int candidates(const sema_spec *s, const sema_axis *wanted, sema_axis **axis)
{
	int64_t width[SEMA_MAX_KEYS];
	int n = 0;

	for (int i = 0; i < s->key.count; i++) {
		sema_axis *key = s->key.item[i];
		int64_t w = key == wanted ? INT64_MAX : model_window_width(s, key);
		int at = n++;

		/* Ties go to the last declared. */
		for (; at > 0 && width[at - 1] <= w; at--) {
			axis[at] = axis[at - 1];
			width[at] = width[at - 1];
		}
		axis[at] = key;
		width[at] = w;
	}
	return n;
}

row_form *model_choose(sema_spec *s, const sema_axis *wanted, diags *d)
{
	sema_axis *axis[SEMA_MAX_KEYS];
	int n = candidates(s, wanted, axis);
	const char *why = "it has no key index", *first_why = NULL;
	loc at = s->at, first_at = s->at;

	for (int i = 0; i < n; i++) {
		row_form *m = model_row_form(s, axis[i], &why, &at);

		if (m && wanted && axis[i] != wanted) {
			diag_warning(d, first_at, "row-form", "no row form with inner key '%s': %s",
				wanted->name, first_why);
			diag_hint(d, "'%s' has one and is used instead", axis[i]->name);
		}
		if (m)
			return m;
		if (i == 0) {
			first_why = why;
			first_at = at;
		}
	}
	diag_warning(d, n ? first_at : at, "row-form", "'%s' has no row form: %s", s->name,
		n ? first_why : why);
	diag_hint(d, "it runs on the reference only");
	return NULL;
}
