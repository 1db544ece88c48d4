/* cuda_pair.c: 16-bit values, two neighbouring columns in one register.
 * in:  a bf16 or f16 value for both elements of a register
 * out: packed operations on registers; a conversion from f32 that takes more than a leaf is
 * computed by a loop over both elements before */
#include "emit_cuda/cuda_internal.h"

static bool is_half(const tile_expr *x)
{
	return x->type == TILE_BF16 || x->type == TILE_F16;
}

static bool depends_on_row(const tile_expr *x)
{
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (depends_on_row(x->arg[i]))
			return true;
	return x->op == TX_ROW;
}

/* Both elements are read at once. */
static bool stored(const cuda_cx *cx, const tile_expr *x)
{
	const tile_expr *from = x->arg[0];

	return cx->place.frag && cx->place.frag->layout != LAYOUT_OPB && tx_is_stored_pair(x) &&
	       !depends_on_row(from->arg[0]) &&
	       (from->arg[1]->op == TX_ROW || !depends_on_row(from->arg[1]));
}

/* A conversion that is read as it is, or written out twice: of a leaf, or of one packed value's
 * elements. */
static bool plain(const cuda_cx *cx, const tile_expr *x)
{
	const tile_expr *from = x->arg[0];

	if (stored(cx, x))
		return true;
	return tile_expr_info[from->op].arity == 0 && from->op != TX_ROW && from->op != TX_COL;
}

/* --- conversions that need a loop --- */

static void collect(cuda_cx *cx, const tile_expr *x)
{
	uint32_t id = cuda_same(cx, x)->id;

	if (!is_half(x) || cx->visited[id] == cx->walk)
		return;
	cx->visited[id] = cx->walk;
	if (x->op == TX_CVT) {
		if (!plain(cx, x))
			ARENA_PUSH(cx->a, &cx->pair, ((cuda_pair){.value = cuda_same(cx, x)}));
		return;
	}
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		collect(cx, x->arg[i]);
}

bool cuda_pair_needs_lines(cuda_cx *cx, const tile_expr *x)
{
	cx->pair.count = 0;
	cx->walk++;
	collect(cx, x);
	return cx->pair.count > 0;
}

void cuda_pair_lines(cuda_cx *cx)
{
	for (int i = 0; i < cx->pair.count; i++) {
		cuda_pair *pair = &cx->pair.item[i];
		const tile_expr *from = pair->value->arg[0];
		bool braces;

		cuda_values_begin(cx, cx->place);
		for (int k = 0; k <= i; k++)
			pair->name = cuda_local_name(cx, "both");
		cuda_values_count(cx, from);
		braces = cuda_values_need_lines(cx, from);
		cuda_line(cx, "float %s[2];", pair->name);
		cuda_loop(cx, cx->e, 2, 1, braces);
		cuda_place_lines(cx);
		cuda_values_lines(cx, from);
		cuda_line(cx, "%s[%s] = %s;", pair->name, cx->e, cuda_value(cx, from, LEVEL_ANY));
		cuda_loop_end(cx, braces);
	}
	cuda_values_begin(cx, cx->place);
}

/* --- packed values --- */

static void put_stored(cuda_cx *cx, text *t, const tile_expr *from)
{
	cuda_index row = cuda_row_index(cx->p, cx->place.frag);
	cuda_index col = cuda_col_index(cx->p, cx->place.frag);

	text_printf(t, "%s.pair(", cx->buffer[from->buffer->id]);
	if (from->buffer->slots > 1)
		text_printf(t, "%s, ", cuda_value(cx, from->arg[0], LEVEL_ANY));
	text_printf(t, "%s, %s)",
		from->arg[1]->op == TX_ROW ? cuda_index_text(cx, &row, cx->place.frag)
					   : cuda_value(cx, from->arg[1], LEVEL_ANY),
		cuda_index_text(cx, &col, cx->place.frag));
}

static void put_conversion(cuda_cx *cx, text *t, const tile_expr *x)
{
	const char *e = cx->place.at.e;

	if (stored(cx, x)) {
		cx->place.at.e = "0";
		put_stored(cx, t, x->arg[0]);
		cx->place.at.e = e;
		return;
	}
	text_printf(t, "pack_%s(", cuda_suffix(x->type));
	for (int i = 0; i < cx->pair.count; i++)
		if (cx->pair.item[i].name && cx->pair.item[i].value == cuda_same(cx, x)) {
			const char *name = cx->pair.item[i].name;

			text_printf(t, "%s[0], %s[1])", name, name);
			return;
		}
	cx->place.at.e = "0";
	cuda_value_put(cx, t, x->arg[0], LEVEL_ANY);
	text_put(t, ", ");
	cx->place.at.e = "1";
	cuda_value_put(cx, t, x->arg[0], LEVEL_ANY);
	text_put(t, ")");
	cx->place.at.e = e;
}

static const char *helper(const tile_expr *x)
{
	switch (x->op) {
	case TX_ADD:
		return "add";
	case TX_SUB:
		return "sub";
	case TX_MUL:
		return "mul";
	case TX_FMA:
		return "fma";
	case TX_NEG:
		return "neg";
	default:
		ice("'%s' of %s", tile_expr_info[x->op].text, tile_type_name(x->type));
	}
}

void cuda_pair_put(cuda_cx *cx, text *t, const tile_expr *x)
{
	const char *element;

	if (x->op == TX_FRAG) {
		text_put(t, cuda_peer_register(cx, x->frag, &element));
		return;
	}
	if (x->op == TX_CVT) {
		put_conversion(cx, t, x);
		return;
	}
	text_printf(t, "%s_%sx2(", helper(x), cuda_suffix(x->type));
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		if (i)
			text_put(t, ", ");
		cuda_pair_put(cx, t, x->arg[i]);
	}
	text_put(t, ")");
}
