/* table.c: what the launcher must know about a kernel: argument block, problem axes, workspace
 * (runtime/cpu.h). */
#include "host/host_internal.h"

static int key_position(const sema_spec *s, const sema_axis *a)
{
	for (int i = 0; i < s->key.count; i++)
		if (s->key.item[i] == a)
			return i;
	ice("axis '%s' is not a key", a->name);
}

static bool windows_by_head(const row_form *m)
{
	for (int i = 0; m->head && i < m->spec->key.count; i++) {
		const sema_window *w = &m->spec->key.item[i]->window;

		if ((w->first && expr_depends(w->first, m->head)) ||
			(w->last && expr_depends(w->last, m->head)))
			return true;
	}
	return false;
}

static void table_problem(rt_cpu_kernel *k, const row_form *m)
{
	const sema_spec *s = m->spec;

	for (int i = 0; i < s->axis.count; i++) {
		const sema_axis *a = s->axis.item[i];

		if (a->kind == AXIS_ROW && a != m->head)
			k->batch[k->batches++] = (rt_cpu_axis){a->id, a->length->id};
	}
	if (m->head) {
		k->has_head = true;
		k->head = (rt_cpu_axis){m->head->id, m->head->length->id};
		if (m->head->group) {
			k->has_group = true;
			k->group = (rt_cpu_axis){m->head->group->id, m->head->group->length->id};
		}
	}
	if (s->query) {
		k->has_query = true;
		k->query = (rt_cpu_axis){s->query->id, s->query->length->id};
	}
	k->keys = s->key.count;
	k->outers = m->outers;
	k->inner_key = key_position(s, m->inner);
	k->inner_length = m->inner->length->id;
	for (int i = 0; i < m->outers; i++) {
		k->outer_key[i] = key_position(s, m->outer[i]);
		k->outer_length[i] = m->outer[i]->length->id;
	}
	k->window_by_head = windows_by_head(m);
}

static bool table_arguments(rt_cpu_kernel *k, const host_cx *h, diags *d)
{
	const sema_spec *s = h->s;

	if (s->tensor.count > RT_CPU_MAX_TENSORS || s->param.count > RT_CPU_MAX_TENSORS ||
		s->axis.count > RT_CPU_MAX_AXES * 2) {
		diag_error(d, s->at,
			"'%s' has more tensors, params or indices than a kernel takes (%d)",
			s->name, RT_CPU_MAX_TENSORS);
		return false;
	}
	k->tensors = s->tensor.count;
	k->lengths = s->length.count;
	k->params = s->param.count;
	for (int t = 0; t < k->tensors; t++) {
		k->rank[t] = s->tensor.item[t]->rank;
		k->stride_word[t] = h->lay.arg_stride[t];
	}
	for (int p = 0; p < k->params; p++)
		k->param_is_int[p] = s->param.item[p]->type == TYPE_INT;
	k->length_word = h->lay.arg_length;
	k->param_word = h->lay.arg_param;
	k->arg_words = h->lay.arg_words;
	return true;
}

static void table_workspace(rt_cpu_kernel *k, const host_cx *h)
{
	int64_t element = h->lay.dot == HOST_DOT_F32 ? 4 : 2;

	k->key_pad = h->lay.key_pad;
	k->b_bytes = h->lay.d_total * element;
	k->v_bytes = h->lay.e_total * element;
	k->streams = h->lay.streams;
	for (int i = 0; i < k->streams; i++) {
		k->stream_outer[i] = h->lay.stream[i].outer;
		k->stream_bytes[i] = (int64_t)h->lay.stream[i].extent_pad * 4;
	}
	k->scratch_bytes = h->scr.fixed_bytes;
	k->row_bytes = (int64_t)h->scr.acc_stride * 4;
}

bool hg_table(rt_cpu_kernel *k, const host_cx *h, diags *d)
{
	if (!table_arguments(k, h, d))
		return false;
	table_problem(k, h->m);
	table_workspace(k, h);
	return true;
}
