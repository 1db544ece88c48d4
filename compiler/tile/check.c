/* check.c: what one value, declaration or statement must satisfy by itself: types, shapes, layouts,
 * peers. Builders, parser and verifier share it. Values that depend on other statements (bounds,
 * uniformity, definition before use) are verify.c's. */
#include "tile/tile_internal.h"
#include <string.h>

static bool no(text *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool no(text *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(why, fmt, ap);
	va_end(ap);
	return false;
}

/* --- values --- */

static char type_letter(tile_type t)
{
	return "bilfhht"[t];
}

static bool accepts(tile_expr_op op, tile_type t)
{
	return strchr(tile_expr_info[op].operands, type_letter(t)) != NULL;
}

static bool can_convert(tile_type from, tile_type to)
{
	if (from == to)
		return true;
	switch (from) {
	case TILE_B1:
		return to == TILE_I32 || to == TILE_I64;
	case TILE_I32:
		return to == TILE_I64 || to == TILE_F32;
	case TILE_I64:
		return to == TILE_I32 || to == TILE_F32;
	case TILE_F32:
		return to == TILE_I32 || to == TILE_BF16 || to == TILE_F16 || to == TILE_TF32;
	case TILE_BF16:
	case TILE_F16:
	case TILE_TF32:
		return to == TILE_F32;
	}
	return false;
}

static bool check_select(const tile_expr *x, const tile_expr *y, const tile_expr *z, text *why)
{
	if (x->type != TILE_B1)
		return no(why, "'select' chooses by a b1, not by %s", tile_type_name(x->type));
	if (y->type != z->type)
		return no(why, "'select' between %s and %s", tile_type_name(y->type),
			tile_type_name(z->type));
	if (!accepts(TX_SELECT, y->type))
		return no(why, "'select' does not take %s", tile_type_name(y->type));
	return true;
}

bool tile_check_expr(tile_expr_op op, tile_type to, const tile_expr *x, const tile_expr *y,
	const tile_expr *z, text *why)
{
	const struct tile_expr_info *info = &tile_expr_info[op];
	const tile_expr *arg[3] = {x, y, z};

	if (op == TX_SELECT)
		return check_select(x, y, z, why);
	for (int i = 0; i < info->arity; i++) {
		if (!accepts(op, arg[i]->type))
			return no(why, "'%s' does not take %s", info->text,
				tile_type_name(arg[i]->type));
		if (arg[i]->type != x->type)
			return no(why, "'%s' of %s and %s", info->text, tile_type_name(x->type),
				tile_type_name(arg[i]->type));
	}
	if (op == TX_CVT && !can_convert(x->type, to))
		return no(why, "no conversion from %s to %s", tile_type_name(x->type),
			tile_type_name(to));
	if (op == TX_BITS && to != TILE_I32 && to != TILE_F32)
		return no(why, "no bits of %s as %s", tile_type_name(x->type), tile_type_name(to));
	return true;
}
