/* object.c: a kernel as text: LLVM IR, an object file, and the C header that describes the object
 * to the launcher. */
#include "host/host_internal.h"

bool host_emit_ir(const row_form *m, const host_options *o, text *out, diags *d)
{
	host_cx h = {.cx = LLVMContextCreate()};
	host_target t = {0};
	bool ok = hg_target_open(&t, o, d) && hg_build_module(&h, m, o, &t, d);

	if (ok) {
		char *ir = LLVMPrintModuleToString(h.mod);

		text_put(out, ir);
		LLVMDisposeMessage(ir);
		LLVMDisposeModule(h.mod);
	}
	LLVMContextDispose(h.cx);
	hg_target_close(&t);
	return ok;
}

bool host_emit_object(const row_form *m, const host_options *o, text *out, diags *d)
{
	host_cx h = {.cx = LLVMContextCreate()};
	host_target t = {0};
	LLVMMemoryBufferRef buffer = NULL;
	char *error = NULL;
	bool ok = hg_target_open(&t, o, d) && hg_build_module(&h, m, o, &t, d);

	if (ok) {
		hg_optimise(h.mod, t.tm);
		if (LLVMTargetMachineEmitToMemoryBuffer(
			    t.tm, h.mod, LLVMObjectFile, &error, &buffer))
			ice("object emission: %s", error);
		text_putn(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
		LLVMDisposeMemoryBuffer(buffer);
		LLVMDisposeModule(h.mod);
	}
	LLVMContextDispose(h.cx);
	hg_target_close(&t);
	return ok;
}

/* --- header --- */

static void emit_ints(text *t, const char *name, const int *v, int n)
{
	if (n == 0)
		return;
	text_printf(t, "    .%s = {", name);
	for (int i = 0; i < n; i++)
		text_printf(t, "%s%d", i ? ", " : "", v[i]);
	text_put(t, "},\n");
}

static void emit_functions(text *t, const rt_cpu_kernel *k, const char *name)
{
	text_printf(t, "extern rt_cpu_pack %s_pack_inner", name);
	for (int i = 0; i < k->outers; i++)
		text_printf(t, ", %s_pack_outer%d", name, i);
	text_printf(t, ";\nextern rt_cpu_range %s_key_range;\nextern rt_cpu_rows %s_rows;\n\n",
		name, name);
}

static void emit_problem(text *t, const rt_cpu_kernel *k)
{
	text_printf(t, "    .batches = %d,\n", k->batches);
	if (k->batches)
		text_put(t, "    .batch = {");
	for (int i = 0; i < k->batches; i++)
		text_printf(t, "%s{%d, %d}", i ? ", " : "", k->batch[i].coord, k->batch[i].length);
	if (k->batches)
		text_put(t, "},\n");
	text_printf(t, "    .has_head = %d, .has_group = %d, .has_query = %d,\n", k->has_head,
		k->has_group, k->has_query);
	text_printf(t, "    .head = {%d, %d}, .group = {%d, %d}, .query = {%d, %d},\n",
		k->head.coord, k->head.length, k->group.coord, k->group.length, k->query.coord,
		k->query.length);
	text_printf(t, "    .keys = %d, .outers = %d, .inner_key = %d, .inner_length = %d,\n",
		k->keys, k->outers, k->inner_key, k->inner_length);
	emit_ints(t, "outer_key", k->outer_key, k->outers);
	emit_ints(t, "outer_length", k->outer_length, k->outers);
	text_printf(t, "    .window_by_head = %d,\n", k->window_by_head);
}

static void emit_workspace(text *t, const rt_cpu_kernel *k)
{
	text_printf(t, "    .key_pad = %lld, .b_bytes = %lld, .v_bytes = %lld, .streams = %d,\n",
		(long long)k->key_pad, (long long)k->b_bytes, (long long)k->v_bytes, k->streams);
	emit_ints(t, "stream_outer", k->stream_outer, k->streams);
	if (k->streams)
		text_put(t, "    .stream_bytes = {");
	for (int i = 0; i < k->streams; i++)
		text_printf(t, "%s%lld", i ? ", " : "", (long long)k->stream_bytes[i]);
	if (k->streams)
		text_put(t, "},\n");
	text_printf(t, "    .scratch_bytes = %lld, .row_bytes = %lld,\n",
		(long long)k->scratch_bytes, (long long)k->row_bytes);
}

static void emit_table(text *t, const rt_cpu_kernel *k, const sema_spec *s)
{
	int flag[RT_CPU_MAX_TENSORS];

	text_printf(t, "static const rt_cpu_kernel %s_kernel = {\n", s->name);
	text_printf(t, "    .pack_inner = %s_pack_inner,\n", s->name);
	for (int i = 0; i < k->outers; i++)
		text_printf(t, "    .pack_outer[%d] = %s_pack_outer%d,\n", i, s->name, i);
	text_printf(t, "    .key_range = %s_key_range, .rows = %s_rows,\n", s->name, s->name);
	text_printf(t, "    .tensors = %d, .lengths = %d, .params = %d,\n", k->tensors, k->lengths,
		k->params);
	emit_ints(t, "rank", k->rank, k->tensors);
	emit_ints(t, "stride_word", k->stride_word, k->tensors);
	text_printf(t, "    .length_word = %d, .param_word = %d, .arg_words = %d,\n",
		k->length_word, k->param_word, k->arg_words);
	for (int i = 0; i < k->params; i++)
		flag[i] = k->param_is_int[i];
	emit_ints(t, "param_is_int", flag, k->params);
	emit_problem(t, k);
	emit_workspace(t, k);
	text_put(t, "};\n");
}

static void emit_names(text *t, const sema_spec *s)
{
	for (int i = 0; i < s->tensor.count; i++) {
		const sema_tensor *x = s->tensor.item[i];

		text_printf(t, " *   data[%d]   %s : %s[", i, x->name, sema_dtype_name(x->dtype));
		for (int d = 0; d < x->rank; d++)
			text_printf(t, "%s%s", d ? ", " : "", x->dim[d].name);
		text_printf(t, "]%s\n", x->output ? "  (output)" : "");
	}
	for (int i = 0; i < s->length.count; i++)
		text_printf(t, " *   length[%d] %s\n", i, s->length.item[i]->name);
	for (int i = 0; i < s->param.count; i++)
		text_printf(t, " *   param_%s[%d] %s\n",
			s->param.item[i]->type == TYPE_INT ? "int" : "float", i,
			s->param.item[i]->name);
}

bool host_emit_header(const row_form *m, const host_options *o, text *out, diags *d)
{
	host_cx h = {.cx = LLVMContextCreate()};
	host_target t = {0};
	rt_cpu_kernel k = {0};
	bool ok = hg_target_open(&t, o, d) && hg_build_module(&h, m, o, &t, d);

	if (ok && hg_table(&k, &h, d)) {
		text_printf(out,
			"/* Generated by trikl: the CPU kernel '%s' for %s, in the object file "
			"beside this header.\n",
			m->spec->name, t.cpu);
		text_printf(out,
			" * Launch it with rt_cpu_launch(&%s_kernel, &args, pool); arguments by "
			"position:\n",
			m->spec->name);
		emit_names(out, m->spec);
		text_put(out, " */\n#pragma once\n#include <trikl/cpu.h>\n\n");
		emit_functions(out, &k, m->spec->name);
		emit_table(out, &k, m->spec);
	}
	if (ok)
		LLVMDisposeModule(h.mod);
	LLVMContextDispose(h.cx);
	hg_target_close(&t);
	return ok;
}
