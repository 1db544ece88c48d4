/* value.c: values of a statement for some threads and elements at once.
 * in:  straight-line code and the domain: which warp, which elements, which of them are live
 * out: one vector a node, of one value, one a lane or one an element, whichever its operands need
 * Leaves check what they read: variables and registers set, addresses inside, shared memory ready.
 */
#include "sim/sim_float.h"
#include "sim/sim_async.h"

int64_t sim_scalar_get(const sim_vec *v, tile_type t, int k)
{
	switch (t) {
	case TILE_B1:
		return v->b[k];
	case TILE_I64:
		return v->l[k];
	default:
		return v->i[k];
	}
}

void sim_scalar_put(sim_vec *v, tile_type t, int k, int64_t bits)
{
	switch (t) {
	case TILE_B1:
		v->b[k] = (uint8_t)bits;
		return;
	case TILE_I64:
		v->l[k] = bits;
		return;
	default:
		v->i[k] = (int32_t)bits;
		return;
	}
}

/* --- classes --- */

static int size_of(tile_type t)
{
	return t == TILE_B1 ? 1 : t == TILE_I64 ? 8 : 4;
}

static int class_count(sim_class c, const sim_domain *d)
{
	if (c == CLASS_ELEMENT)
		return d->n;
	return c == CLASS_LANE ? SIM_LANES : 1;
}

/* `v` of class `from` as one of class `to`, in `out` when that differs. */
static const sim_vec *widen(const sim_vec *v, tile_type t, sim_class from, sim_class to,
	const sim_domain *d, sim_vec *out)
{
	int n = class_count(to, d), have = class_count(from, d);

	if (from == to || n == have)
		return v;
	switch (size_of(t)) {
	case 1:
		for (int k = 0; k < n; k++)
			out->b[k] = v->b[k & (have - 1)];
		break;
	case 4:
		for (int k = 0; k < n; k++)
			out->u[k] = v->u[k & (have - 1)];
		break;
	default:
		for (int k = 0; k < n; k++)
			out->l[k] = v->l[k & (have - 1)];
		break;
	}
	return out;
}

/* Whether value k of a vector of class c is wanted. */
static bool is_live(const sim_domain *d, sim_class c, int k)
{
	switch (c) {
	case CLASS_UNIFORM:
		return d->lanes != 0;
	case CLASS_LANE:
		return d->lanes >> k & 1;
	case CLASS_ELEMENT:
		return d->live ? d->live[k]
			       : d->warp == SIM_ALL || (d->lanes >> (k % SIM_LANES) & 1);
	}
	return false;
}

static int lane_of(const sim_domain *d, sim_class c, int k)
{
	return d->warp == SIM_ALL || c == CLASS_UNIFORM ? SIM_ALL : k % SIM_LANES;
}

/* --- leaves --- */

static sim_class leaf_const(const tile_expr *x, sim_vec *v)
{
	if (x->type == TILE_F32)
		v->f[0] = (float)x->f;
	else
		sim_scalar_put(v, x->type, 0, x->i);
	return CLASS_UNIFORM;
}

static sim_class leaf_arg(sim_block *b, const tile_expr *x, sim_vec *v)
{
	const sim_value *a = &b->args->arg[x->arg_ref->id];

	if (x->type == TILE_F32)
		v->f[0] = a->f;
	else
		sim_scalar_put(v, x->type, 0, a->i);
	return CLASS_UNIFORM;
}

/* A varying variable where threads share the work: the first thread's value, and a fault when
 * others differ. */
static sim_class shared_variable(
	sim_block *b, const tile_expr *x, const sim_variable *var, sim_vec *v)
{
	for (int t = 1; t < b->threads; t++)
		if (var->lane[t] != var->lane[0]) {
			sim_fault_at(
				b, SIM_VARYING, t / SIM_LANES, t % SIM_LANES, "'%s'", x->var->name);
			break;
		}
	sim_scalar_put(v, x->type, 0, var->lane[0]);
	return CLASS_UNIFORM;
}

static sim_class leaf_var(sim_block *b, const tile_expr *x, const sim_domain *d, sim_vec *v)
{
	const sim_variable *var = &b->var[x->var->id];
	int warp = d->warp == SIM_ALL ? 0 : d->warp;
	uint32_t unset = var->set_all ? 0 : d->lanes & ~var->set[warp];

	if (unset)
		sim_fault_at(b, SIM_UNSET_VARIABLE, d->warp,
			d->warp == SIM_ALL ? SIM_ALL : __builtin_ctz(unset), "'%s'", x->var->name);
	if (var->uniform) {
		sim_scalar_put(v, x->type, 0, var->all);
		return CLASS_UNIFORM;
	}
	if (d->warp == SIM_ALL)
		return shared_variable(b, x, var, v);
	if (b->async && var->same >> warp & 1) {
		sim_scalar_put(v, x->type, 0, var->lane[warp * SIM_LANES]);
		return CLASS_UNIFORM;
	}
	for (int k = 0; k < SIM_LANES; k++)
		sim_scalar_put(v, x->type, k, var->lane[warp * SIM_LANES + k]);
	return CLASS_LANE;
}

static sim_class leaf_thread(sim_block *b, const tile_expr *x, const sim_domain *d, sim_vec *v)
{
	int warp = d->warp;

	if (warp == SIM_ALL) {
		sim_fault_at(b, SIM_VARYING, SIM_ALL, SIM_ALL, "'%s'", tile_expr_info[x->op].text);
		v->i[0] = 0;
		return CLASS_UNIFORM;
	}
	if (b->async && (x->op == TX_WARP || x->op == TX_WARPGROUP)) {
		v->i[0] = x->op == TX_WARP ? warp : warp / 4;
		return CLASS_UNIFORM;
	}
	for (int k = 0; k < SIM_LANES; k++)
		v->i[k] = x->op == TX_TID    ? warp * SIM_LANES + k
			  : x->op == TX_LANE ? k
			  : x->op == TX_WARP ? warp
					     : warp / 4;
	return CLASS_LANE;
}

static sim_class leaf_place(const int32_t *from, const sim_domain *d, sim_vec *v)
{
	for (int k = 0; k < d->n; k++)
		v->i[k] = from ? from[k] : 0;
	return CLASS_ELEMENT;
}

static void frag_values(tile_type t, const uint32_t *word, int e, sim_vec *v, int at)
{
	if (t == TILE_BF16)
		for (int k = 0; k < SIM_LANES; k++)
			v->f[at + k] = sim_from_bf16((uint16_t)(word[k] >> 16 * e));
	else if (t == TILE_F16)
		for (int k = 0; k < SIM_LANES; k++)
			v->f[at + k] = sim_from_f16((uint16_t)(word[k] >> 16 * e));
	else
		for (int k = 0; k < SIM_LANES; k++)
			v->u[at + k] = word[k];
}

static sim_class leaf_frag(sim_block *b, const sim_op *op, const sim_domain *d, sim_vec *v)
{
	const sim_frag *f = sim_frag_of(b, op->x->frag);

	for (int j = 0; j < d->n / SIM_LANES; j++) {
		int n = op->peer[d->element[j]];
		uint32_t unset = d->lanes;

		if (n == SIM_NO_PEER) {
			sim_fault_at(b, SIM_WRONG_THREAD, d->warp, SIM_ALL, "'%s'", f->f->name);
			memset(&v->u[j * SIM_LANES], 0xff, sizeof *v->u * SIM_LANES);
			continue;
		}
		sim_read(b, f, d->warp, n / f->elements);
		unset &= ~*sim_defined(b, f, d->warp, n / f->elements);
		for (int k = 0; unset && k < SIM_LANES; k++)
			if (unset >> k & 1 && is_live(d, CLASS_ELEMENT, j * SIM_LANES + k)) {
				sim_unset_register(b, f, d->warp, n / f->elements, k);
				break;
			}
		frag_values(f->f->type, sim_reg(b, f, d->warp, n / f->elements), n % f->elements, v,
			j * SIM_LANES);
	}
	return CLASS_ELEMENT;
}

/* --- loads --- */

static void load_element(const sim_tensor *t, tile_type type, int64_t at, sim_vec *v, int k)
{
	switch (type) {
	case TILE_BF16:
		v->f[k] = sim_from_bf16(((const uint16_t *)t->data)[at]);
		return;
	case TILE_F16:
		v->f[k] = sim_from_f16(((const uint16_t *)t->data)[at]);
		return;
	default:
		v->i[k] = ((const int32_t *)t->data)[at];
		return;
	}
}

static void load_global(sim_block *b, const sim_op *op, sim_class c, const sim_domain *d,
	sim_vec *v, const sim_vec *offset)
{
	const tile_arg *arg = op->x->arg_ref;
	const sim_tensor *t = &b->args->arg[arg->id].tensor;
	int n = class_count(c, d);

	for (int k = 0; k < n; k++) {
		int64_t at = offset->l[k];

		v->i[k] = 0;
		if (!is_live(d, c, k))
			continue;
		if (at >= t->low && at < t->high)
			load_element(t, arg->type, at, v, k);
		else
			sim_fault_at(b, SIM_GLOBAL_BOUNDS, d->warp, lane_of(d, c, k),
				"%s[%lld], elements are [%lld, %lld)", arg->name, (long long)at,
				(long long)t->low, (long long)t->high);
	}
}

static void load_shared(sim_block *b, const sim_op *op, sim_class c, const sim_domain *d,
	sim_vec *v, const sim_vec *slot, const sim_vec *row, const sim_vec *col)
{
	const tile_buffer *buf = op->x->buffer;
	int n = class_count(c, d), size = tile_type_bytes(buf->type);

	for (int k = 0; k < n; k++) {
		int lane = lane_of(d, c, k), who;
		uint32_t word = 0;
		int64_t at;

		v->f[k] = 0;
		if (!is_live(d, c, k) || !sim_shared_find(b, buf, slot->i[k], row->i[k], col->i[k],
						 d->warp, lane, &at))
			continue;
		who = d->warp == SIM_ALL ? WHO_SHARED
		      : lane == SIM_ALL  ? (b->async ? WHO_WARP + d->warp : WHO_SEVERAL)
					 : d->warp * SIM_LANES + lane;
		sim_shared_read(b, buf, at, size, who, d->warp, lane);
		memcpy(&word, b->shared.byte + at, (size_t)size);
		v->f[k] = sim_element_float(buf->type, word, 0);
	}
}

/* --- nodes --- */

static sim_class leaf(sim_block *b, const sim_op *op, const sim_domain *d, sim_vec *v)
{
	switch (op->x->op) {
	case TX_CONST:
		return leaf_const(op->x, v);
	case TX_VAR:
		return leaf_var(b, op->x, d, v);
	case TX_ARG:
		return leaf_arg(b, op->x, v);
	case TX_TID:
	case TX_LANE:
	case TX_WARP:
	case TX_WARPGROUP:
		return leaf_thread(b, op->x, d, v);
	case TX_BLOCK:
		v->i[0] = (int32_t)b->index[op->x->i];
		return CLASS_UNIFORM;
	case TX_ROW:
		return leaf_place(d->row, d, v);
	case TX_COL:
		return leaf_place(d->col, d, v);
	case TX_FRAG:
		return leaf_frag(b, op, d, v);
	default:
		ice("'%s' is no leaf", tile_expr_info[op->x->op].text);
	}
}

static void check_integer(
	sim_block *b, const sim_op *op, sim_class c, const sim_domain *d, const sim_vec *const *arg)
{
	const tile_expr *x = op->x;
	int n = class_count(c, d);

	if ((x->op == TX_SHL || x->op == TX_SHR) && (x->type == TILE_I32 || x->type == TILE_I64)) {
		int width = x->type == TILE_I64 ? 64 : 32;

		for (int k = 0; k < n; k++) {
			int64_t by = x->type == TILE_I64 ? arg[1]->l[k] : arg[1]->i[k];

			if ((by < 0 || by >= width) && is_live(d, c, k))
				sim_fault_at(b, SIM_SHIFT, d->warp, lane_of(d, c, k), "by %lld",
					(long long)by);
		}
	}
	for (int k = 0; op->address && k < n; k++) {
		k = sim_overflow(x, arg[0], arg[1], k, n);
		if (k < n && is_live(d, c, k))
			sim_fault_at(b, SIM_OVERFLOW, d->warp, lane_of(d, c, k), "'%s' of %s",
				tile_expr_info[x->op].text, tile_type_name(x->type));
	}
}

static void node(sim_block *b, const sim_op *op, const sim_domain *d)
{
	const tile_expr *x = op->x;
	int arity = tile_expr_info[x->op].arity;
	sim_vec *v = &b->slot[op->dst];
	const sim_vec *arg[3] = {NULL, NULL, NULL};
	sim_class c = CLASS_UNIFORM;

	if (arity == 0) {
		b->cls[op->dst] = (uint8_t)leaf(b, op, d, v);
		return;
	}
	for (int i = 0; i < arity; i++)
		if (b->cls[op->arg[i]] > c)
			c = (sim_class)b->cls[op->arg[i]];
	for (int i = 0; i < arity; i++)
		arg[i] = widen(&b->slot[op->arg[i]], x->arg[i]->type, (sim_class)b->cls[op->arg[i]],
			c, d, &b->widened[i]);
	if (x->op == TX_GLOBAL) {
		load_global(b, op, c, d, v, arg[0]);
	} else if (x->op == TX_SHARED) {
		load_shared(b, op, c, d, v, arg[0], arg[1], arg[2]);
	} else {
		if (op->address || x->op == TX_SHL || x->op == TX_SHR)
			check_integer(b, op, c, d, arg);
		sim_compute(x, x->arg[0]->type, v, arg[0], arg[1], arg[2], class_count(c, d));
	}
	b->cls[op->dst] = (uint8_t)c;
}

void sim_eval(sim_block *b, const sim_code *c, const sim_domain *d)
{
	for (int i = 0; i < c->count; i++)
		node(b, &c->op[i], d);
}

sim_class sim_root_class(const sim_block *b, const sim_code *c, int i)
{
	return (sim_class)b->cls[c->root[i]];
}

const sim_vec *sim_root(sim_block *b, const sim_code *c, int i, const sim_domain *d)
{
	return widen(&b->slot[c->root[i]], c->type[i], sim_root_class(b, c, i), CLASS_ELEMENT, d,
		&b->widened[i]);
}

/* --- integers of a statement --- */

void sim_lanes(sim_block *b, const sim_code *c, int warp, int64_t value[][SIM_LANES])
{
	sim_domain d = {.warp = warp, .n = SIM_LANES, .lanes = b->active[warp]};

	sim_eval(b, c, &d);
	for (int i = 0; i < c->roots; i++) {
		const sim_vec *v = sim_root(b, c, i, &d);

		for (int k = 0; k < SIM_LANES; k++)
			value[i][k] = sim_scalar_get(v, c->type[i], k);
	}
}

/* Where warps run one by one: of the lanes of the one that runs. */
static void same_in_warp(sim_block *b, const sim_code *c, int64_t *value)
{
	sim_domain d = {.warp = b->runs, .n = SIM_LANES, .lanes = b->active[b->runs]};
	int first = d.lanes ? __builtin_ctz(d.lanes) : 0;

	sim_eval(b, c, &d);
	for (int i = 0; i < c->roots; i++) {
		const sim_vec *v = &b->slot[c->root[i]];
		bool one = sim_root_class(b, c, i) == CLASS_UNIFORM;

		value[i] = sim_scalar_get(v, c->type[i], one ? 0 : first);
		for (int k = first; !one && k < SIM_LANES; k++)
			if (d.lanes >> k & 1 && sim_scalar_get(v, c->type[i], k) != value[i]) {
				sim_fault_at(b, SIM_VARYING, b->runs, k, "%lld and %lld",
					(long long)value[i],
					(long long)sim_scalar_get(v, c->type[i], k));
				break;
			}
	}
}

void sim_same(sim_block *b, const sim_code *c, int64_t *value)
{
	sim_domain d = {.warp = SIM_ALL, .n = 1, .lanes = 1};

	if (b->runs != SIM_ALL) {
		same_in_warp(b, c, value);
		return;
	}
	sim_eval(b, c, &d);
	for (int i = 0; i < c->roots; i++)
		value[i] = sim_scalar_get(&b->slot[c->root[i]], c->type[i], 0);
}
