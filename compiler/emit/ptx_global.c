/* ptx_global.c: addresses of elements in global memory.
 * in:  an offset, a sum of terms      out: a pointer and the constant part of the offset
 * Terms that all elements of a statement share come first, then those of the column, then those of
 * the row: what elements have in common is then one value, and little remains for each. */
#include "emit/ptx_internal.h"

/* What a value depends on; a term is added after all terms of lower degree. */
enum { UNKNOWN, SHARED_TERM, COLUMN_TERM, ROW_TERM, TERMS };

static int degree(ptx_cx *h, const tile_expr *x)
{
	int n = SHARED_TERM;

	if (h->degree[x->id] != UNKNOWN)
		return h->degree[x->id];
	if (x->op == TX_COL)
		n = COLUMN_TERM;
	if (x->op == TX_ROW || x->op == TX_FRAG)
		n = ROW_TERM;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++) {
		int k = degree(h, x->arg[i]);

		n = k > n ? k : n;
	}
	return h->degree[x->id] = (uint8_t)n;
}

static bool is_sum(const tile_expr *x)
{
	return x->op == TX_ADD && x->type == TILE_I64;
}

static void add_terms(
	ptx_cx *h, const place *at, const tile_expr *x, int which, T elem, ptx_pointer *p)
{
	num n;

	if (is_sum(x)) {
		add_terms(h, at, x->arg[0], which, elem, p);
		add_terms(h, at, x->arg[1], which, elem, p);
		return;
	}
	if (degree(h, x) != which)
		return;
	n = ptx_value(h, at, x);
	p->add += n.add;
	n.add = 0;
	p->base = ptx_element(h, elem, p->base, n);
}

ptx_pointer ptx_global(ptx_cx *h, const place *at, const tile_arg *tensor, const tile_expr *offset,
	const num *column)
{
	T elem = tile_type_bytes(tensor->type) == 2 ? h->i16 : h->i32;
	ptx_pointer p = {LLVMGetParam(h->fn, (unsigned)tensor->id), 0};

	for (int which = SHARED_TERM; which < TERMS; which++) {
		add_terms(h, at, offset, which, elem, &p);
		if (which == COLUMN_TERM && column) {
			num n = num_widen(h, *column);

			p.add += n.add;
			n.add = 0;
			p.base = ptx_element(h, elem, p.base, n);
		}
	}
	return p;
}

V ptx_global_element(ptx_cx *h, T elem, ptx_pointer p)
{
	num add = {.type = h->i64, .add = p.add};

	return ptx_element(h, elem, p.base, add);
}
