/* signature: what a launch must know.
 * in:  a spec, its plan and tile program    out: plain data for runtime/kernel.h
 * relies on: the order of arguments and the numbering of blocks in gpu/gpu.h. */
#include "device/device.h"
#include <stdio.h>
#include <string.h>

/* Names serve messages only and may be cut. */
static void set_name(char to[RT_KERNEL_NAME], const char *name)
{
	snprintf(to, RT_KERNEL_NAME, "%s", name);
}

/* --- tensors --- */

static bool loads(const expr *x, const sema_tensor *t)
{
	return x && x->op == EXPR_LOAD && x->load.tensor == t;
}

/* Whether the lowering may copy rows of the tensor as they are: operands that are read plainly, and
 * results. */
static bool is_copied(const gpu_plan *p, const sema_tensor *t)
{
	const row_form *m = p->form;
	bool copied = gpu_stores_rows(p, t);

	for (int i = 0; i < m->segments; i++)
		copied |= loads(m->segment[i].b, t);
	for (int i = 0; i < m->outputs; i++)
		copied |= loads(m->output[i].inner, t);
	for (int i = 0; i < p->streams.count; i++)
		copied |= loads(p->streams.item[i].e, t);
	return copied;
}

static void describe_tensor(const gpu_plan *p, const sema_tensor *t, rt_kernel_tensor *out)
{
	set_name(out->name, t->name);
	out->bytes = (uint8_t)sema_dtype_size(t->dtype);
	out->rank = (uint8_t)t->rank;
	out->output = t->output;
	out->copied = is_copied(p, t);
	for (int d = 0; d < t->rank; d++) {
		out->length[d] = (int16_t)(t->dim[d].length ? t->dim[d].length->id : -1);
		out->extent[d] = (int32_t)t->dim[d].extent;
	}
}

/* --- params --- */

static bool reads(const expr *x, const sema_param *p)
{
	expr *const *kid;

	if (!x)
		return false;
	if (x->op == EXPR_PARAM)
		return x->param == p;
	for (int n = expr_kids(x, &kid); n > 0; n--)
		if (reads(kid[n - 1], p))
			return true;
	return false;
}

/* Whether the value itself enters a result: then it cannot be replaced by a nearer one. */
static bool is_exact(const row_form *m, const sema_param *p)
{
	bool exact = reads(m->c, p) || reads(m->f, p) || reads(m->sink, p);

	for (int i = 0; i < m->segments; i++)
		exact |= reads(m->segment[i].a, p) || reads(m->segment[i].b, p);
	for (int i = 0; i < m->outputs; i++) {
		const model_output *o = &m->output[i];

		exact |= reads(o->inner, p) || reads(o->outer, p) || reads(o->row, p) ||
			 reads(o->plus, p);
	}
	return exact;
}

/* --- grid --- */

static void describe_grid(const row_form *m, rt_kernel_signature *k)
{
	const sema_spec *s = m->spec;

	k->query = s->query ? s->query->length->id : -1;
	k->head = m->head ? m->head->length->id : -1;
	k->group = m->head && m->head->group ? m->head->group->length->id : -1;
	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *a = s->axis.item[i];

		if (a->kind == AXIS_ROW && a != m->head)
			k->batch[k->batches++] = a->length->id;
	}
}

/* --- tensor maps --- */

static int tensor_of(const tile_program *p, const tile_arg *map)
{
	int n = 0;

	for (int i = 0; i < p->arg.count && p->arg.item[i] != map->tensor; i++)
		n += p->arg.item[i]->kind == ARG_TENSOR;
	return n;
}

/* Counts those beyond the limit too. */
static int describe_maps(const tile_program *p, rt_kernel_signature *k)
{
	int maps = 0;

	for (int i = 0; i < p->arg.count; i++) {
		const tile_arg *a = p->arg.item[i];

		if (a->kind != ARG_MAP || maps++ >= RT_KERNEL_MAPS)
			continue;
		k->map[maps - 1].tensor = (int16_t)tensor_of(p, a);
		for (int d = 0; d < a->rank; d++)
			k->map[maps - 1].box[d] = (int16_t)a->box[d];
	}
	return maps;
}

static int count_rows(const row_form *m)
{
	int n = 0;

	for (int i = 0; i < m->spec->axis.count; i++)
		n += m->spec->axis.item[i]->kind == AXIS_ROW;
	return n;
}

static bool fits(const device_build *b, int maps)
{
	const sema_spec *s = b->form->spec;
	const struct {
		const char *what;
		int have, most;
	} limit[] = {{"tensors", s->tensor.count, RT_KERNEL_TENSORS},
		{"lengths", s->length.count, RT_KERNEL_LENGTHS},
		{"params", s->param.count, RT_KERNEL_PARAMS}, {"tensor maps", maps, RT_KERNEL_MAPS},
		{"batch dimensions", count_rows(b->form), RT_KERNEL_RANK},
		{"letters in its name", (int)strlen(b->program->name), 255}};

	for (size_t i = 0; i < sizeof limit / sizeof *limit; i++)
		if (limit[i].have > limit[i].most) {
			diag_error(b->diags, s->at, "'%s' has %d %s, a GPU kernel takes %d",
				s->name, limit[i].have, limit[i].what, limit[i].most);
			return false;
		}
	return true;
}

bool device_signature(const device_build *b, rt_kernel_signature *k)
{
	const sema_spec *s = b->form->spec;

	memset(k, 0, sizeof *k);
	k->maps = describe_maps(b->program, k);
	if (!fits(b, k->maps))
		return false;
	snprintf(k->entry, sizeof k->entry, "%s", b->program->name);
	snprintf(k->target, sizeof k->target, "%s", b->arch->name);
	k->threads = 32 * b->program->warps;
	k->rows = b->plan.split > 1 ? b->plan.rows / b->plan.split : b->plan.rows;
	k->shared = (int32_t)b->program->shared_bytes;
	k->heads_least = b->plan.heads_least;
	k->heads_most = b->plan.heads_most;
	describe_grid(b->form, k);
	k->tensors = s->tensor.count;
	for (int t = 0; t < k->tensors; t++)
		describe_tensor(&b->plan, s->tensor.item[t], &k->tensor[t]);
	k->lengths = s->length.count;
	for (int l = 0; l < k->lengths; l++)
		set_name(k->length[l], s->length.item[l]->name);
	k->params = s->param.count;
	for (int p = 0; p < k->params; p++) {
		const sema_param *x = s->param.item[p];

		set_name(k->param[p].name, x->name);
		k->param[p].is_float = x->type != TYPE_INT;
		k->param[p].exact = is_exact(b->form, x);
	}
	if (rt_kernel_parameter_bytes(k) <= RT_KERNEL_PARAMETERS)
		return true;
	diag_error(b->diags, s->at, "'%s' has %u bytes of arguments, a GPU kernel takes %d",
		s->name, rt_kernel_parameter_bytes(k), RT_KERNEL_PARAMETERS);
	return false;
}
