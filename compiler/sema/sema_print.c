/* sema_print.c: a checked spec as text, one object a line; deterministic, for --emit model and
 * goldens. in:  a sema_spec out: text */
#include "sema/sema.h"

static void print_axis(const sema_axis *a, text *out)
{
	static const char *const kind[] = {"row", "group", "query", "key", "feature"};

	text_printf(out, "  %-7s %s", kind[a->kind], a->coord);
	if (a->length)
		text_printf(out, " : %s", a->length->name);
	else
		text_printf(out, " : %lld", (long long)a->extent);
	if (a->of)
		text_printf(out, " of %s", a->of->length->name);
	if (a->window.first) {
		text_put(out, " in [");
		expr_print(a->window.first, out);
		text_put(out, ", ");
		expr_print(a->window.last, out);
		text_put(out, "]");
	}
	text_put(out, "\n");
}

static void print_tensor(const sema_tensor *t, text *out)
{
	text_printf(out, "  %-7s %s : %s[", t->output ? "output" : "input", t->name,
		sema_dtype_name(t->dtype));
	for (int r = 0; r < t->rank; r++) {
		const sema_dim *dim = &t->dim[r];

		text_put(out, r > 0 ? ", " : "");
		if (dim->axis)
			text_printf(out, "%s = ", dim->axis->coord);
		text_put(out, dim->name);
		if (!dim->length)
			text_printf(out, ":%lld", (long long)dim->extent);
	}
	text_put(out, "]\n");
}

static void print_setting(const sema_setting *set, text *out)
{
	text_printf(out, "  setting %s: %s", set->target ? set->target : "all", set->key);
	if (set->param)
		text_printf(out, " %s", set->param->name);
	if (set->axis && set->integer)
		text_printf(out, " %s = %lld", set->axis->name, (long long)set->integer);
	else if (set->axis)
		text_printf(out, " = %s", set->axis->name);
	else if (set->word)
		text_printf(out, " = %s", set->word);
	else if (!set->param)
		text_printf(out, " = %lld", (long long)set->integer);
	text_put(out, "\n");
}

void sema_print(const sema_spec *s, text *out)
{
	text_printf(out, "spec %s\n", s->name);
	for (int k = 0; k < s->length.count; k++)
		text_printf(out, "  length  %s\n", s->length.item[k]->name);
	for (int k = 0; k < s->param.count; k++) {
		const sema_param *p = s->param.item[k];

		text_printf(out, "  param   %s : %s = ", p->name,
			p->type == TYPE_INT ? "int" : "float");
		if (p->type == TYPE_INT)
			text_printf(out, "%lld", (long long)p->i);
		else
			text_double(out, p->f, 1);
		text_put(out, "\n");
	}
	for (int k = 0; k < s->axis.count; k++)
		if (s->axis.item[k]->length || s->axis.item[k]->extent)
			print_axis(s->axis.item[k], out);
	for (int k = 0; k < s->tensor.count; k++)
		print_tensor(s->tensor.item[k], out);
	for (int k = 0; k < s->mask.count; k++) {
		text_put(out, "  mask    ");
		expr_print(s->mask.item[k], out);
		text_put(out, "\n");
	}
	for (int k = 0; k < s->def.count; k++) {
		text_printf(out, "  %-7s %s = ", s->def.item[k]->output ? "result" : "value",
			s->def.item[k]->name);
		expr_print(s->def.item[k]->value, out);
		text_put(out, "\n");
	}
	for (int k = 0; k < s->setting.count; k++)
		print_setting(&s->setting.item[k], out);
}
