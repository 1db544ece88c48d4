/* expr.c: building and comparing expressions.
 * in:  operands of an immutable expression graph
 * out: new nodes in the spec's arena, typed, with size, depth and the axes they read
 * relies on: operand types checked by the caller (a bool operand of + is our bug). Folding is
 * expr_fold.c's. */
#include "sema/expr_fold.h"
#include <string.h>

const struct expr_op_info expr_op_info[EXPR_OP_COUNT] = {
#define EXPR_OP(name, text, arity, kind) {text, arity},
#include "sema/expr_ops.def"
#undef EXPR_OP
};

typedef enum {
	KIND_ATOM,
	KIND_ARITH,
	KIND_FLOAT,
	KIND_INT,
	KIND_CMP,
	KIND_LOGIC,
	KIND_OTHER
} op_kind;

static const op_kind kind_of[EXPR_OP_COUNT] = {
#define EXPR_OP(name, text, arity, kind) KIND_##kind,
#include "sema/expr_ops.def"
#undef EXPR_OP
};

/* --- nodes --- */

static expr *node(sema_spec *s, loc at, expr_op op, expr_type type)
{
	expr *e = ARENA_NEW(s->arena, expr);

	e->op = op;
	e->type = type;
	e->at = at;
	e->id = s->expr_count++;
	e->size = 1;
	e->depth = 1;
	return e;
}

static void reads_add(expr *e, const uint64_t *reads)
{
	for (int w = 0; w < SEMA_MAX_AXES / 64; w++)
		e->reads[w] |= reads[w];
}

static void reads_axis(expr *e, const sema_axis *a)
{
	e->reads[a->id / 64] |= (uint64_t)1 << a->id % 64;
	if (a->kind == AXIS_GROUP)
		reads_axis(e, a->of);
}

static void reads_not(expr *e, const sema_axis *a)
{
	e->reads[a->id / 64] &= ~((uint64_t)1 << a->id % 64);
}

/* Size, depth and reads of `e` from its children. */
static expr *finish(expr *e)
{
	expr *const *kid;
	int n = expr_kids(e, &kid);

	for (int k = 0; k < n; k++) {
		e->size = e->size > UINT32_MAX - kid[k]->size ? UINT32_MAX : e->size + kid[k]->size;
		if (e->depth <= kid[k]->depth)
			e->depth = kid[k]->depth + 1;
		reads_add(e, kid[k]->reads);
	}
	return e;
}

expr *expr_poison(sema_spec *s, loc at)
{
	return node(s, at, EXPR_CONST_INT, TYPE_POISON);
}

expr *expr_int(sema_spec *s, loc at, int64_t v)
{
	expr *e = node(s, at, EXPR_CONST_INT, TYPE_INT);

	e->i = v;
	return e;
}

expr *expr_float(sema_spec *s, loc at, double v)
{
	expr *e = node(s, at, EXPR_CONST_FLOAT, TYPE_FLOAT);

	e->f = v;
	return e;
}

expr *expr_coord(sema_spec *s, loc at, sema_axis *axis)
{
	expr *e = node(s, at, EXPR_COORD, TYPE_INT);

	e->axis = axis;
	reads_axis(e, axis);
	return e;
}

expr *expr_length(sema_spec *s, loc at, sema_length *l)
{
	expr *e = node(s, at, EXPR_LENGTH, TYPE_INT);

	e->length = l;
	return e;
}

expr *expr_param(sema_spec *s, loc at, sema_param *p)
{
	expr *e = node(s, at, EXPR_PARAM, p->type);

	e->param = p;
	return e;
}

expr *expr_def(sema_spec *s, loc at, sema_def *d)
{
	expr *e;

	if (d->value->type == TYPE_POISON)
		return expr_poison(s, at);
	e = node(s, at, EXPR_DEF, d->value->type);
	e->def = d;
	e->depth = d->value->depth + 1;
	reads_add(e, d->value->reads);
	return e;
}

expr *expr_load(sema_spec *s, loc at, sema_tensor *t, expr *const *sub)
{
	expr *e;

	for (int k = 0; k < t->rank; k++)
		if (sub[k]->type == TYPE_POISON)
			return expr_poison(s, at);
	e = node(s, at, EXPR_LOAD, t->dtype == DTYPE_I32 ? TYPE_INT : TYPE_FLOAT);
	e->load.tensor = t;
	memcpy(e->load.sub, sub, sizeof *sub * (size_t)t->rank);
	return finish(e);
}

expr *expr_to_float(sema_spec *s, expr *x)
{
	expr *e;

	if (x->type != TYPE_INT)
		return x;
	if (x->op == EXPR_CONST_INT)
		return expr_float(s, x->at, (double)x->i);
	e = node(s, x->at, EXPR_TO_FLOAT, TYPE_FLOAT);
	e->arg[0] = x;
	return finish(e);
}

/* Converts the operands to one type that `op` takes; gives the type of the result. */
static expr_type unify(sema_spec *s, expr_op op, expr **arg, int n)
{
	bool real = kind_of[op] == KIND_FLOAT;

	for (int k = 0; k < n; k++) {
		if ((arg[k]->type == TYPE_BOOL) != (kind_of[op] == KIND_LOGIC))
			ice("operand %d of '%s' has the wrong type", k, expr_op_info[op].text);
		real = real || arg[k]->type == TYPE_FLOAT;
	}
	if (kind_of[op] == KIND_LOGIC)
		return TYPE_BOOL;
	if (real && kind_of[op] == KIND_INT)
		ice("'%s' of floats", expr_op_info[op].text);
	for (int k = 0; real && k < n; k++)
		arg[k] = expr_to_float(s, arg[k]);
	if (kind_of[op] == KIND_CMP)
		return TYPE_BOOL;
	return real ? TYPE_FLOAT : TYPE_INT;
}

expr *expr_unary(sema_spec *s, loc at, expr_op op, expr *x)
{
	expr *e, *folded;
	expr_type type;

	if (x->type == TYPE_POISON)
		return expr_poison(s, at);
	if (op == EXPR_TO_FLOAT)
		return expr_to_float(s, x);
	type = unify(s, op, &x, 1);
	folded = expr_fold_unary(s, at, op, x);
	if (folded)
		return folded;
	e = node(s, at, op, type);
	e->arg[0] = x;
	return finish(e);
}

expr *expr_binary(sema_spec *s, loc at, expr_op op, expr *x, expr *y)
{
	expr *arg[2] = {x, y}, *e, *folded;
	expr_type type;

	if (x->type == TYPE_POISON || y->type == TYPE_POISON)
		return expr_poison(s, at);
	type = unify(s, op, arg, 2);
	folded = expr_fold_binary(s, at, op, arg[0], arg[1]);
	if (folded)
		return folded;
	e = node(s, at, op, type);
	e->arg[0] = arg[0];
	e->arg[1] = arg[1];
	return finish(e);
}

expr *expr_where(sema_spec *s, loc at, expr *c, expr *x, expr *y)
{
	expr *e;
	bool known;

	if (c->type == TYPE_POISON || x->type == TYPE_POISON || y->type == TYPE_POISON)
		return expr_poison(s, at);
	if (c->type != TYPE_BOOL || x->type == TYPE_BOOL || y->type == TYPE_BOOL)
		ice("operands of 'where' have the wrong type");
	if (x->type != y->type) {
		x = expr_to_float(s, x);
		y = expr_to_float(s, y);
	}
	if (expr_const_bool(c, &known))
		return known ? x : y;
	e = node(s, at, EXPR_WHERE, x->type);
	e->arg[0] = c;
	e->arg[1] = x;
	e->arg[2] = y;
	return finish(e);
}

/* What the windows and masks of a key reduction read. */
static void reads_visibility(const sema_spec *s, expr *e)
{
	for (int k = 0; k < e->reduce.axes; k++) {
		const sema_window *w = &e->reduce.axis[k]->window;

		if (w->first)
			reads_add(e, w->first->reads);
		if (w->last)
			reads_add(e, w->last->reads);
	}
	for (int m = 0; m < s->mask.count; m++)
		if (sema_mask_applies(s, s->mask.item[m], e->reduce.axis, e->reduce.axes))
			reads_add(e, s->mask.item[m]->reads);
}

expr *expr_reduce(sema_spec *s, loc at, expr_op op, reduce_how how, sema_axis *const *axis,
	int axes, expr *body, expr *sink)
{
	expr *e;

	if (body->type == TYPE_POISON || (sink && sink->type == TYPE_POISON))
		return expr_poison(s, at);
	if (axes < 1 || axes > SEMA_MAX_KEYS || body->type == TYPE_BOOL)
		ice("reduction over %d axes", axes);
	e = node(s, at, op, TYPE_FLOAT);
	e->reduce.how = how;
	e->reduce.axes = axes;
	memcpy(e->reduce.axis, axis, sizeof *axis * (size_t)axes);
	e->reduce.body = expr_to_float(s, body);
	e->reduce.sink = sink ? expr_to_float(s, sink) : NULL;
	finish(e);
	if (axis[0]->kind == AXIS_KEY)
		reads_visibility(s, e);
	for (int k = 0; k < axes; k++) {
		if (op == EXPR_SOFTMAX)
			reads_axis(e, axis[k]);
		else if (!sink || !expr_depends(sink, axis[k]))
			reads_not(e, axis[k]);
	}
	return e;
}

/* --- walking --- */

int expr_kids(const expr *e, expr *const **kid)
{
	switch (e->op) {
	case EXPR_LOAD:
		*kid = e->load.sub;
		return e->load.tensor->rank;
	case EXPR_REDUCE:
	case EXPR_SOFTMAX:
		*kid = e->reduce.part;
		return e->reduce.sink ? 2 : 1;
	default:
		*kid = e->arg;
		return expr_op_info[e->op].arity;
	}
}

static expr *rebuild_reduce(sema_spec *s, const expr *e, sema_axis *const *axis, expr *const *kid)
{
	return expr_reduce(s, e->at, e->op, e->reduce.how, axis, e->reduce.axes, kid[0],
		e->reduce.sink ? kid[1] : NULL);
}

expr *expr_rebuild(sema_spec *s, const expr *e, expr *const *kid)
{
	expr *const *old;
	int n = expr_kids(e, &old);
	bool same = true;

	for (int k = 0; k < n; k++)
		same = same && old[k] == kid[k];
	if (same)
		return (expr *)e;
	if (e->op == EXPR_LOAD)
		return expr_load(s, e->at, e->load.tensor, kid);
	if (e->op == EXPR_REDUCE || e->op == EXPR_SOFTMAX)
		return rebuild_reduce(s, e, e->reduce.axis, kid);
	if (e->op == EXPR_WHERE)
		return expr_where(s, e->at, kid[0], kid[1], kid[2]);
	if (n == 2)
		return expr_binary(s, e->at, e->op, kid[0], kid[1]);
	return expr_unary(s, e->at, e->op, kid[0]);
}

bool expr_depends(const expr *e, const sema_axis *axis)
{
	return e->reads[axis->id / 64] >> axis->id % 64 & 1;
}

/* --- substitution --- */

/* Values of definitions already rewritten: each is rewritten once, however often it is used. */
typedef struct rewritten {
	const sema_def *def;
	expr *value;
	struct rewritten *next;
} rewritten;

typedef struct {
	sema_spec *s;
	int n;
	sema_axis *const *axis;
	expr *const *with;
	rewritten *done;
} substitution;

static expr *subst(substitution *cx, expr *e);

static expr *subst_def(substitution *cx, const expr *e)
{
	rewritten *r;

	for (r = cx->done; r; r = r->next)
		if (r->def == e->def)
			return r->value;
	r = ARENA_NEW(cx->s->arena, rewritten);
	r->def = e->def;
	r->value = subst(cx, e->def->value);
	r->next = cx->done;
	cx->done = r;
	return r->value;
}

static expr *subst_coord(substitution *cx, expr *e)
{
	sema_axis *g = e->axis;
	expr *h, *per;

	for (int k = 0; k < cx->n; k++)
		if (cx->axis[k] == e->axis)
			return cx->with[k];
	/* A GROUP coordinate whose row coordinate is replaced: with // (H / G). */
	h = expr_length(cx->s, e->at, g->of->length);
	per = expr_binary(cx->s, e->at, EXPR_IDIV, h, expr_length(cx->s, e->at, g->length));
	for (int k = 0; k < cx->n; k++)
		if (cx->axis[k] == g->of)
			return expr_binary(cx->s, e->at, EXPR_IDIV, cx->with[k], per);
	return e;
}

static bool subst_reads(const substitution *cx, const sema_axis *a)
{
	for (int k = 0; k < cx->n; k++)
		if (cx->axis[k] == a || expr_depends(cx->with[k], a))
			return true;
	return false;
}

/* An axis like `a` that neither `body` nor the substitution mentions; NULL when there are too many
 * axes. */
static sema_axis *rename_axis(const substitution *cx, const sema_axis *a, const expr *body)
{
	for (int k = 0; k < cx->s->axis.count; k++) {
		sema_axis *b = cx->s->axis.item[k];

		if (b->kind == AXIS_FEATURE && b->extent == a->extent &&
			strcmp(b->name, a->name) == 0 && b != a && !subst_reads(cx, b) &&
			!expr_depends(body, b))
			return b;
	}
	return sema_feature(cx->s, a->at, a->name, a->extent);
}

/* Renames the axes of `e` that the new values read, so that they are not captured. */
static expr *subst_reduce(substitution *cx, const expr *e)
{
	sema_axis *axis[SEMA_MAX_KEYS];
	expr *kid[2] = {e->reduce.body, e->reduce.sink};

	for (int k = 0; k < e->reduce.axes; k++) {
		sema_axis *a = axis[k] = e->reduce.axis[k];

		if (!subst_reads(cx, a))
			continue;
		if (a->kind != AXIS_FEATURE)
			ice("substitution captures the key index '%s'", a->name);
		axis[k] = rename_axis(cx, a, kid[0]);
		if (!axis[k])
			return expr_poison(cx->s, e->at);
		kid[0] = expr_substitute(cx->s, kid[0], a, expr_coord(cx->s, a->at, axis[k]));
	}
	kid[0] = subst(cx, kid[0]);
	if (kid[1])
		kid[1] = subst(cx, kid[1]);
	return rebuild_reduce(cx->s, e, axis, kid);
}

static expr *subst(substitution *cx, expr *e)
{
	expr *const *old;
	expr *kid[SEMA_MAX_RANK];
	bool reads = false;
	int n;

	for (int k = 0; k < cx->n; k++) {
		reads = reads || expr_depends(e, cx->axis[k]);
		if (expr_depends(e, cx->axis[k]) && cx->axis[k]->kind != AXIS_FEATURE &&
			(e->op == EXPR_REDUCE || e->op == EXPR_SOFTMAX) &&
			e->reduce.axis[0]->kind == AXIS_KEY)
			ice("substitution of '%s' into a key reduction", cx->axis[k]->name);
	}
	if (!reads)
		return e;
	if (e->op == EXPR_COORD)
		return subst_coord(cx, e);
	if (e->op == EXPR_DEF)
		return subst_def(cx, e);
	if (e->op == EXPR_REDUCE || e->op == EXPR_SOFTMAX)
		return subst_reduce(cx, e);
	n = expr_kids(e, &old);
	for (int k = 0; k < n; k++)
		kid[k] = subst(cx, old[k]);
	return expr_rebuild(cx->s, e, kid);
}

expr *expr_substitute_all(sema_spec *s, expr *e, int n, sema_axis *const *axis, expr *const *with)
{
	substitution cx = {s, n, axis, with, NULL};
	bool same = true;

	for (int k = 0; k < n; k++)
		same = same && with[k]->op == EXPR_COORD && with[k]->axis == axis[k];
	return same ? e : subst(&cx, e);
}

expr *expr_substitute(sema_spec *s, expr *e, const sema_axis *axis, expr *with)
{
	sema_axis *a = s->axis.item[axis->id];

	return expr_substitute_all(s, e, 1, &a, &with);
}

/* --- comparison --- */

/* Pairs of bound axes that correspond, innermost first. */
typedef struct pairing {
	const sema_axis *x, *y;
	const struct pairing *next;
} pairing;

static bool equal(const expr *x, const expr *y, const pairing *bound);

static bool equal_axis(const sema_axis *x, const sema_axis *y, const pairing *bound)
{
	for (; bound; bound = bound->next)
		if (bound->x == x || bound->y == y)
			return bound->x == x && bound->y == y;
	return x == y;
}

static bool equal_reduce(const expr *x, const expr *y, const pairing *bound)
{
	pairing pair[SEMA_MAX_KEYS];
	const pairing *inner = bound;

	if (x->reduce.how != y->reduce.how || x->reduce.axes != y->reduce.axes ||
		!x->reduce.sink != !y->reduce.sink)
		return false;
	for (int k = 0; k < x->reduce.axes; k++) {
		const sema_axis *a = x->reduce.axis[k], *b = y->reduce.axis[k];

		if (a != b && (a->kind != AXIS_FEATURE || b->kind != AXIS_FEATURE ||
				      a->extent != b->extent))
			return false;
		pair[k] = (pairing){a, b, inner};
		inner = &pair[k];
	}
	return equal(x->reduce.body, y->reduce.body, inner) &&
	       (!x->reduce.sink || equal(x->reduce.sink, y->reduce.sink, bound));
}

static bool equal_kids(const expr *x, const expr *y, const pairing *bound)
{
	expr *const *a, *const *b;
	int n = expr_kids(x, &a), m = expr_kids(y, &b);

	for (int k = 0; k < n && n == m; k++)
		if (!equal(a[k], b[k], bound))
			return false;
	return n == m;
}

static bool equal(const expr *x, const expr *y, const pairing *bound)
{
	if (x == y && !bound)
		return true;
	if (x->op != y->op || x->type != y->type || x->size != y->size || x->depth != y->depth)
		return false;
	switch (x->op) {
	case EXPR_CONST_INT:
		return x->i == y->i;
	case EXPR_CONST_FLOAT:
		return memcmp(&x->f, &y->f, sizeof x->f) == 0;
	case EXPR_COORD:
		return equal_axis(x->axis, y->axis, bound);
	case EXPR_LENGTH:
		return x->length == y->length;
	case EXPR_PARAM:
		return x->param == y->param;
	case EXPR_DEF:
		return x->def == y->def;
	case EXPR_LOAD:
		return x->load.tensor == y->load.tensor && equal_kids(x, y, bound);
	case EXPR_REDUCE:
	case EXPR_SOFTMAX:
		return equal_reduce(x, y, bound);
	default:
		return equal_kids(x, y, bound);
	}
}

bool expr_equal(const expr *x, const expr *y)
{
	return equal(x, y, NULL);
}

/* --- the spec's objects that expressions need --- */

static bool reads_key(const sema_spec *s, const expr *m)
{
	for (int k = 0; k < s->key.count; k++)
		if (expr_depends(m, s->key.item[k]))
			return true;
	return false;
}

bool sema_mask_applies(const sema_spec *s, const expr *m, sema_axis *const *axis, int axes)
{
	for (int k = 0; k < axes; k++)
		if (expr_depends(m, axis[k]))
			return true;
	return !reads_key(s, m);
}

sema_axis *sema_feature(sema_spec *s, loc at, const char *name, int64_t extent)
{
	sema_axis *a;

	if (s->axis.count >= SEMA_MAX_AXES)
		return NULL;
	a = ARENA_NEW(s->arena, sema_axis);
	a->name = name;
	a->kind = AXIS_FEATURE;
	a->at = at;
	a->id = s->axis.count;
	a->extent = extent;
	a->coord = name;
	for (int k = 2, n = 0; n < s->axis.count; n++)
		if (strcmp(s->axis.item[n]->coord, a->coord) == 0) {
			a->coord = arena_printf(s->arena, "%s_%d", name, k++);
			n = -1;
		}
	ARENA_PUSH(s->arena, &s->axis, a);
	return a;
}

const char *sema_dtype_name(sema_dtype t)
{
	static const char *const name[] = {"bf16", "f16", "f32", "i32", "f64"};

	return name[t];
}

int sema_dtype_size(sema_dtype t)
{
	static const int size[] = {2, 2, 4, 4, 8};

	return size[t];
}
