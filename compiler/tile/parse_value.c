/* parse_value.c: values of the text form.
 * Infix operations by precedence (print.c), calls by tile_expr.def's names. Every operation is
 * checked (check.c) before the builder sees it, so a wrong text never ends in ice(). */
#include "tile/parse.h"
#include <math.h>
#include <string.h>

static tile_expr *infix(parser *c, int level);

/* --- height --- */

static int height(const parser *c, const tile_expr *x)
{
	return x && x->id < c->depth_size ? c->depth[x->id] : 0;
}

/* Remembers the height of `x`, made of `of`. False: too high for the walks over it. */
static bool set_height(parser *c, const tile_expr *x, tile_expr *const *of, int n, loc at)
{
	int h = 0;

	for (int i = 0; i < n; i++)
		h = height(c, of[i]) >= h ? height(c, of[i]) + 1 : h;
	if (h > PARSE_DEPTH) {
		diag_error(c->d, at, "a value of more than %d nested operations", PARSE_DEPTH);
		return false;
	}
	if (x->id >= c->depth_size) {
		uint32_t size = x->id * 2 + 64;
		int *grown = ARENA_ARRAY(c->a, int, size);

		if (c->depth_size)
			memcpy(grown, c->depth, c->depth_size * sizeof *grown);
		c->depth = grown;
		c->depth_size = size;
	}
	c->depth[x->id] = h;
	return true;
}

static tile_expr *make(parser *c, tile_expr_op op, tile_type to, tile_expr **arg, loc at)
{
	tile_expr *w[3] = {arg[0], arg[1], arg[2]}, *r;
	text why = {0};

	tx_widen(c->p, op, &w[0], &w[1], &w[2]);
	if (!tile_check_expr(op, to, w[0], w[1], w[2], &why)) {
		diag_error(c->d, at, "%s", why.data);
		text_free(&why);
		return NULL;
	}
	r = tx_make(c->p, op, to, w[0], w[1], w[2]);
	return set_height(c, r, arg, tile_expr_info[op].arity, at) ? r : NULL;
}

/* --- literals --- */

static tile_expr *literal(parser *c, bool negative)
{
	tile_token t = c->tok;
	uint64_t limit = (t.wide ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX) + negative;
	int64_t v = (int64_t)(negative ? 0 - t.i : t.i);

	if (t.kind == TOKEN_FLOAT || parse_is(c, "inf") || parse_is(c, "nan")) {
		double f = t.kind == TOKEN_FLOAT ? t.f : parse_is(c, "inf") ? INFINITY : NAN;

		if (t.kind == TOKEN_FLOAT && isinf((float)f)) {
			diag_error(c->d, t.at, "the number is too large for f32");
			return NULL;
		}
		parse_next(c);
		return tx_f32(c->p, negative ? -f : f);
	}
	if (t.kind != TOKEN_INT) {
		parse_wanted(c, negative ? "a number" : "a value");
		return NULL;
	}
	if (t.i > limit) {
		diag_error(c->d, t.at, "the number is too large for %s", t.wide ? "i64" : "i32");
		return NULL;
	}
	parse_next(c);
	return t.wide ? tx_i64(c->p, v) : tx_i32(c->p, v);
}

static tile_expr *shared_value(parser *c)
{
	uint64_t n = c->tok.i;

	if (n == 0 || n > (uint64_t)c->shared_count) {
		diag_error(c->d, c->tok.at, "no 'with' line names this value");
		return NULL;
	}
	parse_next(c);
	return c->shared[n - 1];
}

/* --- calls and indices --- */

/* `n` values between `open` (already read) and `close`. */
static bool values(parser *c, int n, const char *close, tile_expr **arg)
{
	for (int i = 0; i < n; i++) {
		if (i && !parse_expect(c, ","))
			return false;
		arg[i] = parse_value(c);
		if (!arg[i])
			return false;
	}
	return parse_expect(c, close);
}

static tile_expr *call(parser *c, tile_expr_op op, tile_type to, loc at)
{
	tile_expr *arg[3] = {NULL};

	if (!parse_expect(c, "(") || !values(c, tile_expr_info[op].arity, ")", arg))
		return NULL;
	return make(c, op, to, arg, loc_join(at, c->last));
}

static tile_expr *index_of(parser *c, const tile_name *n, loc at)
{
	tile_expr *arg[3] = {NULL}, *r;
	bool buffer = n->kind == NAME_BUFFER;
	tile_type want = buffer ? TILE_I32 : TILE_I64;
	int count = buffer ? 3 : 1;

	if (!parse_expect(c, "[") || !values(c, count, "]", arg))
		return NULL;
	for (int i = 0; i < count; i++)
		if (arg[i]->type != want && !(arg[i]->type == TILE_I32 && !buffer)) {
			diag_error(c->d, loc_join(at, c->last), "an index of '%s' is %s, not %s",
				n->name, tile_type_name(want), tile_type_name(arg[i]->type));
			return NULL;
		}
	r = buffer ? tx_shared(c->p, n->thing, arg[0], arg[1], arg[2])
		   : tx_global(c->p, n->thing, arg[0]);
	return set_height(c, r, arg, count, at) ? r : NULL;
}

static tile_expr *named(parser *c)
{
	loc at = c->tok.at;
	const tile_name *n = parse_name(c, NAME_NONE, "a value");
	const tile_arg *a;

	if (!n)
		return NULL;
	switch (n->kind) {
	case NAME_VAR:
		return tx_var(c->p, n->thing);
	case NAME_FRAG:
		return tx_frag(c->p, n->thing);
	case NAME_ARG:
		a = n->thing;
		if (a->kind == ARG_MAP) {
			diag_error(c->d, at, "tensor map '%s' is no value", n->name);
			return NULL;
		}
		return a->kind == ARG_TENSOR ? index_of(c, n, at) : tx_arg(c->p, n->thing);
	case NAME_BUFFER:
		return index_of(c, n, at);
	case NAME_BAR:
		diag_error(c->d, at, "'%s' is no value", n->name);
		break;
	case NAME_NONE:
	case NAME_RESERVED:
	case NAME_POISON:
		break;
	}
	return NULL;
}

static tile_expr *block_index(parser *c)
{
	static const char *const axis[] = {"x", "y", "z"};

	if (!parse_expect(c, "."))
		return NULL;
	for (int i = 0; i < 3; i++)
		if (parse_accept(c, axis[i]))
			return tx_block(c->p, i);
	parse_wanted(c, "'x', 'y' or 'z'");
	return NULL;
}

static tile_expr *bits(parser *c, loc at)
{
	tile_type to;

	if (!parse_expect(c, ".") || !parse_type(c, &to))
		return NULL;
	return call(c, TX_BITS, to, at);
}

/* A reserved word: a leaf, an operation or a conversion. NULL and *known false: none of these. */
static tile_expr *word(parser *c, bool *known)
{
	loc at = c->tok.at;

	*known = true;
	if (parse_accept(c, "true"))
		return tx_bool(c->p, true);
	if (parse_accept(c, "false"))
		return tx_bool(c->p, false);
	if (parse_accept(c, "block"))
		return block_index(c);
	if (parse_accept(c, "bits"))
		return bits(c, at);
	for (tile_expr_op op = TX_TID; op <= TX_COL; op++)
		if (op != TX_BLOCK && parse_accept(c, tile_expr_info[op].text))
			return tx_leaf(c->p, op);
	for (tile_expr_op op = TX_ADD; op < TX_COUNT; op++)
		if (!tile_precedence(op) && op != TX_CVT &&
			parse_accept(c, tile_expr_info[op].text))
			return call(c, op, TILE_F32, at);
	for (int t = 0; t < TILE_TYPE_COUNT; t++)
		if (parse_accept(c, tile_type_name((tile_type)t)))
			return call(c, TX_CVT, (tile_type)t, at);
	*known = false;
	return NULL;
}

static tile_expr *primary(parser *c)
{
	tile_expr *x;
	bool known;

	if (c->tok.kind == TOKEN_SHARED)
		return shared_value(c);
	if (parse_accept(c, "-"))
		return literal(c, true);
	if (parse_accept(c, "(")) {
		x = parse_value(c);
		return x && parse_expect(c, ")") ? x : NULL;
	}
	if (c->tok.kind != TOKEN_WORD || parse_is(c, "inf") || parse_is(c, "nan"))
		return literal(c, false);
	x = word(c, &known);
	return known ? x : named(c);
}

/* --- infix --- */

/* The infix operation at the current token with at least precedence `level`. */
static bool infix_op(const parser *c, int level, tile_expr_op *op)
{
	for (*op = TX_ADD; *op < TX_COUNT; ++*op)
		if (tile_precedence(*op) >= level && tile_precedence(*op) &&
			parse_is(c, tile_expr_info[*op].text))
			return true;
	return false;
}

static tile_expr *infix(parser *c, int level)
{
	loc at = c->tok.at;
	tile_expr *arg[3] = {primary(c)};
	tile_expr_op op;
	bool compared = false;

	while (arg[0] && infix_op(c, level, &op)) {
		bool compare = tile_expr_info[op].result == RESULT_BOOL;

		if (compare && compared) {
			diag_error(c->d, c->tok.at, "comparisons do not chain");
			return NULL;
		}
		compared = compare;
		parse_next(c);
		arg[1] = infix(c, tile_precedence(op) + 1);
		if (!arg[1])
			return NULL;
		arg[0] = make(c, op, TILE_F32, arg, loc_join(at, c->last));
	}
	return arg[0];
}

tile_expr *parse_value(parser *c)
{
	tile_expr *x;

	if (c->nest == PARSE_NEST) {
		diag_error(c->d, c->tok.at, "more than %d nested parentheses", PARSE_NEST);
		return NULL;
	}
	c->nest++;
	x = infix(c, 1);
	c->nest--;
	return x;
}
