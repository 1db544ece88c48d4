/* cuda_value.c: values as C++ expressions.
 * in:  value graphs of one statement and the place whose elements they read
 * out: an expression, and declarations of the values that occur more than once
 * One table row per operation; most share a writer with others of their kind. */
#include "emit_cuda/cuda_internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef void put_fn(cuda_cx *cx, text *t, const tile_expr *x, int level);

static put_fn put_const, put_name, put_thread, put_block, put_place, put_frag, put_global,
	put_shared, put_infix, put_division, put_call, put_negation, put_not, put_select, put_cvt,
	put_bits;

/* How an operation is written, and what a local that holds its result is called. */
static const struct form {
	put_fn *put;
	const char *text, *other; /* infix: of b1; call: of integers */
	int level;
	const char *noun;
} form[TX_COUNT] = {
	[TX_CONST] = {put_const, NULL, NULL, 0, "constant"},
	[TX_VAR] = {put_name, NULL, NULL, 0, "value"},
	[TX_ARG] = {put_name, NULL, NULL, 0, "value"},
	[TX_TID] = {put_thread, "tid", NULL, 0, "thread"},
	[TX_LANE] = {put_thread, "lane", NULL, 0, "thread"},
	[TX_WARP] = {put_thread, "warp", NULL, 0, "thread"},
	[TX_WARPGROUP] = {put_thread, "warpgroup", NULL, 0, "thread"},
	[TX_BLOCK] = {put_block, NULL, NULL, 0, "number"},
	[TX_ROW] = {put_place, "row", NULL, 0, "row"},
	[TX_COL] = {put_place, "col", NULL, 0, "col"},
	[TX_FRAG] = {put_frag, NULL, NULL, 0, "element"},
	[TX_GLOBAL] = {put_global, NULL, NULL, 0, "loaded"},
	[TX_SHARED] = {put_shared, NULL, NULL, 0, "loaded"},
	[TX_ADD] = {put_infix, "+", "+", LEVEL_SUM, "sum"},
	[TX_SUB] = {put_infix, "-", "-", LEVEL_SUM, "rest"},
	[TX_MUL] = {put_infix, "*", "*", LEVEL_PRODUCT, "product"},
	[TX_DIV] = {put_division, "divide", "floor_div", LEVEL_PRODUCT, "quotient"},
	[TX_MOD] = {put_division, "%", "floor_mod", LEVEL_PRODUCT, "remainder"},
	[TX_MIN] = {put_call, "fminf", "min", 0, "least"},
	[TX_MAX] = {put_call, "fmaxf", "max", 0, "most"},
	[TX_FMA] = {put_call, "fmaf", NULL, 0, "sum"},
	[TX_NEG] = {put_negation, "-", NULL, LEVEL_UNARY, "negative"},
	[TX_ABS] = {put_call, "fabsf", "abs", 0, "size"},
	[TX_AND] = {put_infix, "&", "&&", LEVEL_BIT_AND, "both"},
	[TX_OR] = {put_infix, "|", "||", LEVEL_BIT_OR, "either"},
	[TX_XOR] = {put_infix, "^", "!=", LEVEL_XOR, "differ"},
	[TX_NOT] = {put_not, "!", NULL, LEVEL_UNARY, "not_so"},
	[TX_SHL] = {put_infix, "<<", NULL, LEVEL_SHIFT, "shifted"},
	[TX_SHR] = {put_infix, ">>", NULL, LEVEL_SHIFT, "shifted"},
	[TX_LT] = {put_infix, "<", "<", LEVEL_LESS, "below"},
	[TX_LE] = {put_infix, "<=", "<=", LEVEL_LESS, "within"},
	[TX_EQ] = {put_infix, "==", "==", LEVEL_EQUAL, "equal"},
	[TX_NE] = {put_infix, "!=", "!=", LEVEL_EQUAL, "differ"},
	[TX_SELECT] = {put_select, NULL, NULL, 1, "choice"},
	[TX_CVT] = {put_cvt, NULL, NULL, 0, NULL},
	[TX_EX2] = {put_call, "ex2", NULL, 0, "power"},
	[TX_LG2] = {put_call, "lg2", NULL, 0, "logarithm"},
	[TX_RCP] = {put_call, "rcp", NULL, 0, "inverse_of"},
	[TX_SQRT] = {put_call, "square_root", NULL, 0, "root"},
	[TX_FLOOR] = {put_call, "floorf", NULL, 0, "whole"},
	[TX_BITS] = {put_bits, NULL, NULL, 0, "bits"},
};

const char *cuda_noun(tile_expr_op op)
{
	return form[op].noun;
}

const char *cuda_text(cuda_cx *cx, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = arena_vprintf(cx->a, fmt, ap);
	va_end(ap);
	return s;
}

const char *cuda_type(tile_type t)
{
	static const char *const name[TILE_TYPE_COUNT] = {
		"bool", "int", "int64_t", "float", "bf16", "f16", "float"};

	return name[t];
}

const char *cuda_suffix(tile_type t)
{
	return tile_type_name(t);
}

const tile_expr *cuda_same(const cuda_cx *cx, const tile_expr *x)
{
	return cx->facts.same[x->id];
}

static bool half_type(tile_type t)
{
	return t == TILE_BF16 || t == TILE_F16;
}

/* --- i64: C widens an int beside an int64_t --- */

static bool narrow(cuda_cx *cx, const tile_expr *x)
{
	if (x->type != TILE_I64 || cuda_local_of(cx, x))
		return false;
	return (x->op == TX_CVT && x->arg[0]->type != TILE_F32) ||
	       (x->op == TX_CONST && x->i >= INT32_MIN && x->i <= INT32_MAX);
}

/* An operand that may stay an int. */
static void put_narrow(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	if (narrow(cx, x) && x->op == TX_CVT)
		cuda_value_put(cx, t, x->arg[0], level);
	else
		cuda_value_put(cx, t, x, level);
}

/* An operand that must have its own type. */
static void put_exact(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	if (narrow(cx, x) && x->op == TX_CONST)
		text_printf(t, "int64_t(%lld)", (long long)x->i);
	else
		cuda_value_put(cx, t, x, level);
}

/* --- leaves --- */

static void put_float(text *t, double v)
{
	char digits[32];
	text d = {0};

	if (isnan(v) || isinf(v)) {
		text_put(t, isnan(v) ? "NAN" : v < 0 ? "-INFINITY" : "INFINITY");
		return;
	}
	for (int precision = 1; precision <= 9; precision++) {
		snprintf(digits, sizeof digits, "%.*g", precision, v);
		for (char *c = digits; *c; c++)
			if (!strchr("+-0123456789e", *c))
				*c = '.';
		if ((float)text_to_double(digits) == (float)v)
			break;
	}
	text_double(&d, text_to_double(digits), 1);
	text_printf(t, "%sf", d.data);
	text_free(&d);
}

static void put_const(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	bool parens = level >= LEVEL_UNARY && (x->type == TILE_F32 ? signbit(x->f) : x->i < 0);

	(void)cx;
	if (parens)
		text_put(t, "(");
	if (x->type == TILE_F32)
		put_float(t, x->f);
	else if (x->type == TILE_B1)
		text_put(t, x->i ? "true" : "false");
	else if (x->i == INT64_MIN)
		text_put(t, "(-9223372036854775807ll - 1)");
	else if (x->i == INT32_MIN)
		text_put(t, "(-2147483647 - 1)");
	else
		text_printf(t, x->i > INT32_MAX || x->i < INT32_MIN ? "%lldll" : "%lld",
			(long long)x->i);
	if (parens)
		text_put(t, ")");
}

static void put_name(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	(void)level;
	text_put(t, x->op == TX_VAR ? cx->var[x->var->id] : cx->arg[x->arg_ref->id]);
}

static void put_thread(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	(void)level;
	cx->uses_tid = cx->uses_tid || x->op == TX_TID;
	cx->uses_lane = cx->uses_lane || x->op == TX_LANE;
	cx->uses_warp = cx->uses_warp || x->op == TX_WARP;
	cx->uses_warpgroup = cx->uses_warpgroup || x->op == TX_WARPGROUP;
	text_put(t, form[x->op].text);
}

static void put_block(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	(void)cx;
	(void)level;
	text_printf(t, "int(blockIdx.%c)", "xyz"[x->i]);
}

static void put_place(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	(void)cx;
	(void)level;
	text_put(t, form[x->op].text);
}

static void put_frag(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	const char *element, *r = cuda_peer_register(cx, x->frag, &element);

	(void)level;
	if (half_type(x->type))
		text_printf(t, "get_%s(%s, %s)", cuda_suffix(x->type), r, element);
	else
		text_put(t, r);
}

static void put_global(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	bool half = half_type(x->arg_ref->type);

	(void)level;
	text_printf(t, half ? "float(%s[" : "%s[", cx->arg[x->arg_ref->id]);
	put_narrow(cx, t, x->arg[0], LEVEL_ANY);
	text_put(t, half ? "])" : "]");
}

static void put_shared(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	bool half = half_type(x->buffer->type);

	(void)level;
	text_printf(t, half ? "float(%s(" : "%s(", cx->buffer[x->buffer->id]);
	for (int i = x->buffer->slots > 1 ? 0 : 1; i < 3; i++) {
		cuda_value_put(cx, t, x->arg[i], LEVEL_ANY);
		text_put(t, i < 2 ? ", " : ")");
	}
	text_put(t, half ? ")" : "");
}

/* --- operators --- */

/* Operands of && and of bit operators get parentheses that C would not need. */
static int operand_level(const tile_expr *x, int level)
{
	bool bits = x->op == TX_XOR || x->op == TX_SHL || x->op == TX_SHR ||
		    (x->type != TILE_B1 && (x->op == TX_AND || x->op == TX_OR));

	if (bits)
		return LEVEL_UNARY;
	return level >= LEVEL_EQUAL && level <= LEVEL_LESS ? LEVEL_SHIFT + 1 : level;
}

/* a op (b op c), of integers or truth values, is written a op b op c. */
static bool associates(const tile_expr *x, const tile_expr *right, bool narrow_left)
{
	bool exact = x->type == TILE_I32 || x->type == TILE_B1 || !narrow_left;

	return right->op == x->op && right->type == x->type && exact && x->type != TILE_F32 &&
	       (x->op == TX_ADD || x->op == TX_MUL || x->op == TX_AND || x->op == TX_OR);
}

/* x + -3 is written x - 3. */
static bool negative_constant(const tile_expr *y)
{
	if (y->op != TX_CONST || y->type == TILE_B1)
		return false;
	return y->type == TILE_F32 ? y->f < 0 && !isinf(y->f) : y->i < 0 && y->i > INT32_MIN;
}

static void put_operands(cuda_cx *cx, text *t, const tile_expr *x, const char *op, int mine)
{
	const tile_expr *a = x->arg[0], *b = x->arg[1];
	bool both = narrow(cx, a) && narrow(cx, b), shift = x->op == TX_SHL || x->op == TX_SHR;
	bool flip = (x->op == TX_ADD || x->op == TX_SUB) && negative_constant(b);
	int inner = operand_level(x, mine);
	int right = inner == mine ? mine + 1 : inner;
	bool either = x->op == TX_OR && x->type == TILE_B1;

	if (either && a->op == TX_AND)
		put_exact(cx, t, a, LEVEL_UNARY);
	else if (both || shift)
		put_exact(cx, t, a, inner);
	else
		put_narrow(cx, t, a, inner);
	if (flip) {
		tile_expr c = *b;

		if (b->type == TILE_F32)
			c.f = -b->f;
		else
			c.i = -b->i;
		text_printf(t, " %s ", x->op == TX_ADD ? "-" : "+");
		put_const(cx, t, &c, right);
		return;
	}
	text_printf(t, " %s ", op);
	if (!cuda_local_of(cx, b) && associates(x, b, narrow(cx, a)))
		right = inner;
	put_narrow(cx, t, b, either && b->op == TX_AND ? LEVEL_UNARY : right);
}

/* f(x, y): operands have their own types. */
static void put_arguments(cuda_cx *cx, text *t, const char *function, const tile_expr *x)
{
	text_printf(t, "%s(", function);
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		if (i)
			text_put(t, ", ");
		put_exact(cx, t, x->arg[i], LEVEL_ANY);
	}
	text_put(t, ")");
}

/* Integers from data wrap, which C++ does not promise. */
static void put_wrapping(cuda_cx *cx, text *t, const tile_expr *x)
{
	put_arguments(cx, t,
		x->op == TX_ADD   ? "wrap_add"
		: x->op == TX_SUB ? "wrap_sub"
				  : "wrap_mul",
		x);
}

static void put_infix(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	const struct form *f = &form[x->op];
	bool truth = x->type == TILE_B1;
	int mine = f->level;

	if (x->op == TX_MUL && x->type == TILE_F32 && cx->facts.rounded[cuda_same(cx, x)->id]) {
		put_arguments(cx, t, "__fmul_rn", x);
		return;
	}
	if (x->type != TILE_F32 && cx->facts.from_data[cuda_same(cx, x)->id] &&
		(x->op == TX_ADD || x->op == TX_SUB || x->op == TX_MUL)) {
		put_wrapping(cx, t, x);
		return;
	}
	if (truth && x->op == TX_AND)
		mine = LEVEL_AND;
	if (truth && x->op == TX_OR)
		mine = LEVEL_OR;
	if (mine < level)
		text_put(t, "(");
	put_operands(cx, t, x, truth && f->other ? f->other : f->text, mine);
	if (mine < level)
		text_put(t, ")");
}

static void put_call(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	bool integer = x->type == TILE_I32 || x->type == TILE_I64;

	(void)level;
	put_arguments(cx, t, integer ? form[x->op].other : form[x->op].text, x);
}

/* An upper bound of a value that is not negative and far from overflow; -1: none is known. */
static int64_t upper(const tile_expr *x)
{
	const int64_t most = 1 << 28;
	int arity = tile_expr_info[x->op].arity;
	int64_t a = arity > 0 ? upper(x->arg[0]) : 0, b = arity > 1 ? upper(x->arg[1]) : 0, r = -1;

	switch (x->op) {
	case TX_CONST:
		r = x->type == TILE_F32 ? -1 : x->i;
		break;
	case TX_TID:
	case TX_LANE:
	case TX_WARP:
	case TX_WARPGROUP:
		return 1024;
	case TX_ROW:
	case TX_COL:
		return 1 << 16;
	case TX_ADD:
		r = a < 0 || b < 0 ? -1 : a + b;
		break;
	case TX_MUL:
		r = a < 0 || b < 0 || (b > 0 && a > most / b) ? -1 : a * b;
		break;
	case TX_DIV:
	case TX_MOD:
		r = x->arg[1]->op == TX_CONST && b > 0 ? a : -1;
		break;
	case TX_MIN:
		r = a < 0 || b < 0 ? -1 : a;
		break;
	default:
		break;
	}
	return r > most ? -1 : r;
}

/* C's division of integers is the program's where nothing is negative. */
static void put_division(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	const tile_expr *b = x->arg[1];
	bool plain = x->type != TILE_F32 && upper(x->arg[0]) >= 0 && b->op == TX_CONST && b->i > 0;

	if (!plain) {
		put_call(cx, t, x, level);
		return;
	}
	if (level > LEVEL_PRODUCT)
		text_put(t, "(");
	put_operands(cx, t, x, x->op == TX_DIV ? "/" : "%", LEVEL_PRODUCT);
	if (level > LEVEL_PRODUCT)
		text_put(t, ")");
}

static void put_negation(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	if (level > LEVEL_UNARY)
		text_put(t, "(");
	text_put(t, "-");
	put_exact(cx, t, x->arg[0], LEVEL_POSTFIX);
	if (level > LEVEL_UNARY)
		text_put(t, ")");
}

/* Integers are never unordered: not < is >=. */
static void put_not(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	const tile_expr *y = x->arg[0];
	const char *op = NULL;

	if (y->op == TX_EQ || y->op == TX_NE)
		op = y->op == TX_EQ ? "!=" : "==";
	else if ((y->op == TX_LT || y->op == TX_LE) && y->arg[0]->type != TILE_F32)
		op = y->op == TX_LT ? ">=" : ">";
	if (!op || cuda_local_of(cx, y)) {
		text_put(t, "!");
		cuda_value_put(cx, t, y, LEVEL_POSTFIX);
		return;
	}
	if (form[y->op].level < level)
		text_put(t, "(");
	put_operands(cx, t, y, op, form[y->op].level);
	if (form[y->op].level < level)
		text_put(t, ")");
}

static void put_select(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	bool both = narrow(cx, x->arg[1]) && narrow(cx, x->arg[2]);

	if (level > 1)
		text_put(t, "(");
	cuda_value_put(cx, t, x->arg[0], LEVEL_OR);
	text_put(t, " ? ");
	if (both)
		put_exact(cx, t, x->arg[1], LEVEL_OR);
	else
		put_narrow(cx, t, x->arg[1], LEVEL_OR);
	text_put(t, " : ");
	put_narrow(cx, t, x->arg[2], 1);
	if (level > 1)
		text_put(t, ")");
}

/* --- conversions --- */

static void put_wrapped(cuda_cx *cx, text *t, const char *call, const tile_expr *x)
{
	text_printf(t, "%s(", call);
	cuda_value_put(cx, t, x, LEVEL_ANY);
	text_put(t, ")");
}

/* One element of a pair as f32. */
static void put_unpacked(cuda_cx *cx, text *t, const tile_expr *x)
{
	const char *element = cx->place.at.e;

	text_printf(t, "unpack_%s(", cuda_suffix(x->type));
	if (x->op == TX_FRAG)
		text_put(t, cuda_peer_register(cx, x->frag, &element));
	else
		cuda_pair_put(cx, t, x);
	text_printf(t, ", %s)", element);
}

static void put_cvt(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	const tile_expr *from = x->arg[0];

	if (half_type(from->type) && from->op != TX_CVT)
		put_unpacked(cx, t, from);
	else if (x->type == TILE_TF32)
		put_wrapped(cx, t, "to_tf32", from);
	else if (from->type == TILE_TF32)
		cuda_value_put(cx, t, from, level);
	else if (from->type == TILE_F32 && x->type == TILE_I32)
		put_wrapped(cx, t, "__float2int_rz", from);
	else
		put_wrapped(cx, t, cuda_type(x->type), from);
}

static void put_bits(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	if (x->type == TILE_TF32 && x->arg[0]->type == TILE_F32)
		cuda_value_put(cx, t, x->arg[0], level);
	else
		put_wrapped(cx, t, x->type == TILE_I32 ? "__float_as_int" : "__int_as_float",
			x->arg[0]);
}

/* --- entry points --- */

void cuda_value_put(cuda_cx *cx, text *t, const tile_expr *x, int level)
{
	const char *local = cuda_local_of(cx, x);

	if (local)
		text_put(t, local);
	else if (half_type(x->type) && x->op != TX_CVT && x->op != TX_FRAG) {
		text_printf(t, "get_%s(", cuda_suffix(x->type));
		cuda_pair_put(cx, t, x);
		text_printf(t, ", %s)", cx->place.at.e);
	} else {
		form[x->op].put(cx, t, x, level);
	}
}

static const char *keep(cuda_cx *cx, text *t)
{
	const char *s = arena_strdup(cx->a, t->data ? t->data : "");

	text_free(t);
	return s;
}

const char *cuda_value(cuda_cx *cx, const tile_expr *x, int level)
{
	text t = {0};

	if (level == LEVEL_ANY)
		put_narrow(cx, &t, x, level);
	else
		cuda_value_put(cx, &t, x, level);
	return keep(cx, &t);
}

const char *cuda_sum(cuda_cx *cx, const tile_expr *x, const char *rest)
{
	bool nothing = !rest || strcmp(rest, "0") == 0;

	if (nothing)
		return cuda_value(cx, x, LEVEL_ANY);
	if (tx_is_const(x, 0))
		return rest;
	return cuda_text(cx, "%s + %s", cuda_value(cx, x, LEVEL_SUM), rest);
}

static bool put_quotient(cuda_cx *cx, text *t, const tile_expr *x, int n, int level)
{
	switch (x->op) {
	case TX_CONST:
		text_printf(t, "%lld", (long long)x->i / n);
		return x->i % n == 0;
	case TX_MUL:
		if (x->arg[1]->op != TX_CONST || x->arg[1]->i % n)
			return false;
		if (x->arg[1]->i / n != 1)
			text_printf(t, "%lld * ", (long long)x->arg[1]->i / n);
		cuda_value_put(cx, t, x->arg[0], x->arg[1]->i / n != 1 ? LEVEL_PRODUCT + 1 : level);
		return true;
	case TX_ADD:
		text_put(t, level > LEVEL_SUM ? "(" : "");
		if (!put_quotient(cx, t, x->arg[0], n, LEVEL_SUM))
			return false;
		text_put(t, " + ");
		if (!put_quotient(cx, t, x->arg[1], n, LEVEL_SUM))
			return false;
		text_put(t, level > LEVEL_SUM ? ")" : "");
		return true;
	default:
		return false;
	}
}

const char *cuda_quotient(cuda_cx *cx, const tile_expr *x, int n)
{
	text t = {0};

	if (n == 1 || !put_quotient(cx, &t, x, n, LEVEL_ANY)) {
		text_free(&t);
		return n == 1 ? cuda_value(cx, x, LEVEL_ANY)
			      : cuda_text(cx, "%s / %d", cuda_value(cx, x, LEVEL_PRODUCT), n);
	}
	return keep(cx, &t);
}
