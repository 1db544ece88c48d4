/* eval_compile: checked expressions -> cells.
 * in:  a spec and the arguments of one run     out: one cell per expression and mode, with what it
 * reads
 *
 * A cell is a vector over `lanes` when its expression reads that axis in a context that evaluates
 * the whole axis at once: the body of a sum over features, or an output with a feature dimension.
 */
#include "sema/eval_cell.h"
#include <string.h>

#define READ_WORDS (SEMA_MAX_AXES / 64)

/* The cells of one expression in its modes; normalisers are found through their body. */
typedef struct known_cell {
	const eval_cell *cell;
	const expr *sink; /* normalisers only */
	bool normaliser;
	struct known_cell *next;
} known_cell;

typedef struct {
	eval_program *program;
	const sema_spec *spec;
	known_cell **known; /* [expr ids] */
} compiler;

static const eval_cell *compile(compiler *c, const expr *e, const sema_axis *lanes);

static const expr *value_of(const expr *e)
{
	while (e->op == EXPR_DEF)
		e = e->def->value;
	return e;
}

static bool reads(const uint64_t *set, const sema_axis *axis)
{
	return set[axis->id / 64] >> axis->id % 64 & 1;
}

/* --- cells --- */

static eval_cell *new_cell(compiler *c, const expr *e, const sema_axis *lanes)
{
	eval_cell *cell = ARENA_NEW(c->program->arena, eval_cell);

	cell->e = e;
	cell->type = e->type;
	cell->lanes = lanes;
	cell->id = c->program->cells++;
	cell->total = true;
	return cell;
}

static void reserve_values(compiler *c, eval_cell *cell, size_t n)
{
	cell->slot = c->program->values;
	c->program->values += cell->lanes ? n * (size_t)cell->lanes->extent : n;
}

/* The coordinates in `set`, youngest first: axes are numbered rows, query, keys, features. */
static void set_deps(compiler *c, eval_cell *cell, const uint64_t *set)
{
	int most = 0, *dep;

	for (int w = 0; w < READ_WORDS; w++)
		most += __builtin_popcountll(set[w]);
	dep = ARENA_ARRAY(c->program->arena, int, most + 1);
	for (int a = c->spec->axis.count - 1; a >= 0; a--) {
		const sema_axis *axis = c->spec->axis.item[a];

		if (axis->kind != AXIS_GROUP && axis != cell->lanes && reads(set, axis))
			dep[cell->deps++] = a;
	}
	cell->dep = dep;
}

static const eval_cell *add_arg(compiler *c, eval_cell *cell, const expr *e, const sema_axis *lanes)
{
	const eval_cell *arg = compile(c, e, lanes);

	cell->arg[cell->args++] = arg;
	cell->total &= arg->total;
	cell->binds |= arg->binds;
	return arg;
}

static const eval_cell *find(
	const compiler *c, const expr *e, const sema_axis *lanes, bool normaliser, const expr *sink)
{
	for (const known_cell *k = c->known[e->id]; k; k = k->next)
		if (k->cell->lanes == lanes && k->normaliser == normaliser && k->sink == sink)
			return k->cell;
	return NULL;
}

static void remember(
	compiler *c, const expr *e, const eval_cell *cell, bool normaliser, const expr *sink)
{
	known_cell *k = ARENA_NEW(c->program->arena, known_cell);

	k->cell = cell;
	k->normaliser = normaliser;
	k->sink = sink;
	k->next = c->known[e->id];
	c->known[e->id] = k;
}

/* --- loads --- */

static int64_t dim_size(const eval_args *args, const sema_dim *d)
{
	return d->length ? args->length[d->length->id] : d->extent;
}

static int64_t axis_size(const eval_args *args, const sema_axis *axis)
{
	return axis->length ? args->length[axis->length->id] : axis->extent;
}

static void compile_load(compiler *c, eval_cell *cell)
{
	const eval_args *args = c->program->args;
	const sema_tensor *t = cell->e->load.tensor;
	eval_tensor none = {.dtype = t->dtype};
	const eval_tensor *data = args->tensor ? &args->tensor[t->id] : &none;
	eval_load *load = ARENA_NEW(c->program->arena, eval_load);
	int vectors = 0;

	*load = (eval_load){.data = data->data, .dtype = data->dtype, .rank = t->rank, .unit = -1};
	for (int r = 0; r < t->rank; r++) {
		const expr *sub = value_of(cell->e->load.sub[r]);
		const eval_cell *arg = add_arg(c, cell, sub, cell->lanes);

		load->size[r] = dim_size(args, &t->dim[r]);
		load->stride[r] = data->stride[r];
		load->check[r] =
			sub->op != EXPR_COORD || axis_size(args, sub->axis) > load->size[r];
		cell->total &= !load->check[r];
		if (!arg->lanes)
			continue;
		vectors++;
		if (sub->op == EXPR_COORD && !load->check[r])
			load->unit = r;
	}
	if (vectors > 1)
		load->unit = -1;
	cell->load = load;
	cell->eval = eval_load_element;
}

/* --- reductions --- */

static void sort_keys(const sema_spec *spec, const expr *e, eval_keys *keys)
{
	for (int k = 0; k < spec->key.count; k++)
		for (int a = 0; a < e->reduce.axes; a++)
			if (e->reduce.axis[a] == spec->key.item[k])
				keys->axis[keys->axes++] = spec->key.item[k];
}

/* How many of the loops must be inside for `mask` to be decidable. */
static int mask_level(const eval_keys *keys, const expr *mask)
{
	int level = keys->axes;

	while (level > 0 && !reads(mask->reads, keys->axis[level - 1]))
		level--;
	return level;
}

static const eval_cell *compile_part(compiler *c, eval_cell *cell, const expr *e)
{
	const eval_cell *part = compile(c, e, NULL);

	cell->total &= part->total;
	return part;
}

static void compile_masks(compiler *c, eval_cell *cell, eval_keys *keys)
{
	const sema_spec *s = c->spec;
	const expr *e = cell->e;
	int n = 0;

	keys->mask = ARENA_ARRAY(c->program->arena, const eval_cell *, s->mask.count + 1);
	for (int level = 0; level <= keys->axes; level++) {
		for (int m = 0; m < s->mask.count; m++) {
			const expr *mask = s->mask.item[m];

			if (sema_mask_applies(s, mask, e->reduce.axis, e->reduce.axes) &&
				mask_level(keys, mask) == level)
				keys->mask[n++] = compile_part(c, cell, mask);
		}
		keys->mask_end[level] = n;
	}
}

static void compile_keys(compiler *c, eval_cell *cell)
{
	eval_keys *keys = ARENA_NEW(c->program->arena, eval_keys);

	sort_keys(c->spec, cell->e, keys);
	for (int a = 0; a < keys->axes; a++) {
		const sema_window *w = &keys->axis[a]->window;

		keys->length[a] = axis_size(c->program->args, keys->axis[a]);
		keys->first[a] = w->first ? compile_part(c, cell, w->first) : NULL;
		keys->last[a] = w->last ? compile_part(c, cell, w->last) : NULL;
	}
	compile_masks(c, cell, keys);
	cell->keys = keys;
	cell->binds = true;
}

/* Maximum and sum of a softmax, shared by every softmax and logsumexp of the same score, axes and
 * sink. */
static const eval_cell *compile_normaliser(compiler *c, const expr *e, const sema_axis *lanes)
{
	const expr *body = value_of(e->reduce.body);
	const expr *sink = e->reduce.sink ? value_of(e->reduce.sink) : NULL;
	const eval_cell *found = find(c, body, lanes, true, sink);
	uint64_t set[READ_WORDS];
	eval_cell *cell;

	if (found && found->e->reduce.axes == e->reduce.axes &&
		!memcmp(found->e->reduce.axis, e->reduce.axis,
			sizeof e->reduce.axis[0] * (size_t)e->reduce.axes))
		return found;
	cell = new_cell(c, e, lanes);
	cell->arg = ARENA_ARRAY(c->program->arena, const eval_cell *, 2);
	memcpy(set, e->reads, sizeof set);
	for (int a = 0; a < e->reduce.axes; a++)
		set[e->reduce.axis[a]->id / 64] &= ~(UINT64_C(1) << e->reduce.axis[a]->id % 64);
	for (int w = 0; sink && w < READ_WORDS; w++)
		set[w] |= sink->reads[w];
	set_deps(c, cell, set);
	add_arg(c, cell, body, lanes);
	if (sink)
		add_arg(c, cell, sink, lanes);
	compile_keys(c, cell);
	reserve_values(c, cell, 2);
	cell->eval = eval_normaliser;
	remember(c, body, cell, true, sink);
	return cell;
}

static void compile_over_features(compiler *c, eval_cell *cell)
{
	const expr *e = cell->e;

	cell->binds = true;
	if (cell->lanes) { /* other lanes are needed inside: one value at a time */
		add_arg(c, cell, e, NULL);
		cell->eval = eval_reduce_lanewise;
		return;
	}
	add_arg(c, cell, e->reduce.body, e->reduce.axis[e->reduce.axes - 1]);
	cell->eval = eval_reduce_features;
}

static void compile_reduce(compiler *c, eval_cell *cell)
{
	const expr *e = cell->e;

	if (e->op == EXPR_SOFTMAX || e->reduce.how == REDUCE_LSE) {
		const eval_cell *norm = compile_normaliser(c, e, cell->lanes);

		cell->arg[cell->args++] = norm;
		cell->total &= norm->total;
		cell->binds = true;
		cell->eval = eval_logsumexp;
		if (e->op == EXPR_SOFTMAX) {
			add_arg(c, cell, e->reduce.body, cell->lanes);
			cell->eval = eval_softmax;
		}
	} else if (e->reduce.axis[0]->kind == AXIS_KEY) {
		add_arg(c, cell, e->reduce.body, cell->lanes);
		compile_keys(c, cell);
		cell->eval = eval_reduce_keys;
	} else {
		compile_over_features(c, cell);
	}
}

/* --- all --- */

static void compile_operands(compiler *c, eval_cell *cell)
{
	const expr *e = cell->e;
	int arity = expr_op_info[e->op].arity;

	cell->eval = eval_op_function(e);
	for (int a = 0; a < arity; a++)
		add_arg(c, cell, e->arg[a], cell->lanes);
}

static const eval_cell *compile(compiler *c, const expr *e, const sema_axis *lanes)
{
	const eval_cell *found;
	eval_cell *cell;

	e = value_of(e);
	if (lanes && !reads(e->reads, lanes))
		lanes = NULL;
	found = find(c, e, lanes, false, NULL);
	if (found)
		return found;
	cell = new_cell(c, e, lanes);
	cell->arg = ARENA_ARRAY(c->program->arena, const eval_cell *, SEMA_MAX_RANK);
	set_deps(c, cell, e->reads);
	reserve_values(c, cell, 1);
	if (e->op == EXPR_LOAD)
		compile_load(c, cell);
	else if (e->op == EXPR_REDUCE || e->op == EXPR_SOFTMAX)
		compile_reduce(c, cell);
	else
		compile_operands(c, cell);
	remember(c, e, cell, false, NULL);
	return cell;
}

static void list_row_axes(eval_program *p, const sema_spec *spec)
{
	for (int a = 0; a < spec->axis.count; a++)
		if (spec->axis.item[a]->kind == AXIS_ROW)
			p->row[p->rows++] = spec->axis.item[a];
	if (spec->query)
		p->row[p->rows++] = spec->query;
	for (int r = 0; r < p->rows; r++)
		p->row_length[r] = axis_size(p->args, p->row[r]);
}

/* The feature axis of an output, NULL when it has none. */
static const sema_axis *output_lanes(const sema_tensor *t)
{
	for (int r = 0; r < t->rank; r++)
		if (t->dim[r].axis && t->dim[r].axis->kind == AXIS_FEATURE)
			return t->dim[r].axis;
	return NULL;
}

eval_program *eval_compile(arena *a, const eval_args *args, bool every_output)
{
	const sema_spec *spec = args->spec;
	eval_program *p = ARENA_NEW(a, eval_program);
	compiler c = {.program = p, .spec = spec};

	p->args = args;
	p->arena = a;
	c.known = ARENA_ARRAY(a, known_cell *, spec->expr_count);
	list_row_axes(p, spec);
	p->output = ARENA_ARRAY(a, const eval_cell *, spec->tensor.count);
	for (int t = spec->inputs; t < spec->tensor.count; t++) {
		const sema_tensor *out = spec->tensor.item[t];

		if (every_output || args->tensor[t].data)
			p->output[t] = compile(&c, out->def->value, output_lanes(out));
	}
	return p;
}
