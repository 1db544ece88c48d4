/* verb_explain: a spec in words. What it computes, its row form and inner axis, its windows and
 * what they cost at the given lengths, how the target tiles it, and which schedule settings do not
 * matter there. --svg draws it. */
#include "cli/gpu.h"
#include <stdio.h>
#include <string.h>

/* Wraps at 100 columns, continuing under the start of the value. */
static void say(const char *label, const text *value)
{
	const char *s = value->data ? value->data : "";
	printf("  %-10s ", label);
	for (size_t n = strlen(s), room = 87; n > 0; n = strlen(s)) {
		size_t take = n;
		if (n > room) {
			for (take = room; take > 0 && s[take] != ' ';)
				take--;
			if (take == 0)
				take = strcspn(s, " ");
		}
		printf("%.*s\n", (int)take, s);
		s += take;
		while (*s == ' ')
			s++;
		if (*s)
			printf("  %-10s ", "");
	}
	if (!value->len)
		printf("\n");
}

static void say_expr(const char *label, const expr *e)
{
	text t = {0};
	expr_print(e, &t);
	say(label, &t);
	text_free(&t);
}

static void say_line(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say_line(const char *label, const char *fmt, ...)
{
	text t = {0};
	va_list ap;
	va_start(ap, fmt);
	text_vprintf(&t, fmt, ap);
	va_end(ap);
	say(label, &t);
	text_free(&t);
}

static void explain_definitions(const sema_spec *s)
{
	text t = {0};
	printf("%s computes, for every row (", s->name);
	bool comma = false;
	for (int i = 0; i < s->axis.count; i++)
		if (s->axis.item[i]->kind == AXIS_ROW || s->axis.item[i]->kind == AXIS_QUERY) {
			printf("%s%s", comma ? ", " : "", s->axis.item[i]->coord);
			comma = true;
		}
	printf(") over the keys (");
	for (int k = 0; k < s->key.count; k++)
		printf("%s%s", k ? ", " : "", s->key.item[k]->name);
	printf("):\n");
	for (int i = 0; i < s->def.count; i++)
		say_expr(s->def.item[i]->name, s->def.item[i]->value);
	for (int i = 0; i < s->mask.count; i++)
		say_expr("mask", s->mask.item[i]);
	text_free(&t);
}

static const char *window_text(arena *a, const sema_axis *key)
{
	text t = {0};
	text_printf(&t, "%s from ", key->name);
	if (key->window.first)
		expr_print(key->window.first, &t);
	else
		text_put(&t, "0");
	text_put(&t, " to ");
	if (key->window.last)
		expr_print(key->window.last, &t);
	else
		text_printf(&t, "%s - 1", key->length->name);
	const char *s = arena_strdup(a, t.data);
	text_free(&t);
	return s;
}

static void explain_outputs(const row_form *m)
{
	text t = {0};
	for (int i = 0; i < m->outputs; i++) {
		const model_output *o = &m->output[i];
		t.len = 0;
		if (o->kind == OUTPUT_LSE) {
			text_put(&t, "natural logarithm of the sum of exp(score)");
		} else {
			text_put(&t, "sum over ");
			for (int k = 0; k < m->outers; k++)
				text_printf(&t, "%s, ", m->outer[k]->name);
			text_printf(&t, "%s of P", m->inner->name);
			if (o->inner) {
				text_put(&t, " * V, V = ");
				expr_print(o->inner, &t);
			}
			if (o->outer) {
				text_put(&t, "; times, once an outer step, ");
				expr_print(o->outer, &t);
			}
			if (o->row) {
				text_put(&t, "; times, once a row, ");
				expr_print(o->row, &t);
			}
			if (o->plus) {
				text_put(&t, "; plus ");
				expr_print(o->plus, &t);
			}
		}
		say(o->tensor->name, &t);
	}
	text_free(&t);
}

static void explain_inner(const options *o, const sema_spec *s, const row_form *m, bool wished)
{
	if (wished && o->inner)
		printf("row form with inner axis %s, as --inner asks", m->inner->name);
	else if (wished)
		printf("row form with inner axis %s, as the schedule asks", m->inner->name);
	else if (s->key.count == 1)
		printf("row form with inner axis %s, the only key axis", m->inner->name);
	else if (!m->inner->window.first && !m->inner->window.last)
		printf("row form with inner axis %s, which has no window", m->inner->name);
	else
		printf("row form with inner axis %s, the key axis with the widest window that "
		       "allows one",
			m->inner->name);
	printf(":\n");
}

static void explain_form(const row_form *m)
{
	for (int i = 0; i < m->segments; i++) {
		const model_segment *g = &m->segment[i];
		text t = {0};
		text_printf(&t, "sum over %lld features of A * B", (long long)g->d->extent);
		say(i ? "  +" : "dot", &t);
		text_free(&t);
		say_expr("  A", g->a);
		say_expr("  B", g->b);
	}
	if (m->c)
		say_expr("  + c", m->c);
	if (m->f_linear)
		say_line("score", "dot * %.9g", m->f_scale);
	else
		say_expr("score", m->f);
	if (m->sink)
		say_expr("sink", m->sink);
	say_line("weights P", m->normalised ? "softmax of the score over all visible keys of a row"
					    : "the score itself, not normalised");
	explain_outputs(m);
	if (m->head)
		say_line("heads",
			m->head->group ? "rows of one group of %s share their keys and are "
					 "computed together"
				       : "rows that differ only in %s share their keys and are "
					 "computed together",
			m->head->group ? m->head->group->name : m->head->name);
}

static void explain_windows(const problem *p, const cost *c)
{
	const sema_spec *s = p->spec;
	printf("windows at");
	for (int i = 0; i < s->length.count; i++)
		printf(" %s=%lld%s", s->length.item[i]->name, (long long)p->length[i],
			p->length_from[i] ? "" : " (default)");
	for (int i = 0; i < s->param.count; i++)
		if (s->param.item[i]->type == TYPE_INT)
			printf(" %s=%lld", s->param.item[i]->name, (long long)p->param_int[i]);
	printf(":\n");
	for (int k = 0; k < s->key.count; k++)
		say_line(s->key.item[k]->name, "%s; %.1f keys a row on average",
			window_text(p->arena, s->key.item[k]),
			c->rows ? (double)c->per_key[k] / (double)c->rows : 0.0);
	say_line("together", "%lld key tuples in the windows of %lld rows%s", (long long)c->tuples,
		(long long)c->rows, s->mask.count ? " (masks hide some of them)" : "");
}

/* Measured here and now, so that the roofline is this machine's. */
static void explain_cost(const options *o, const cost *c, const char *dot)
{
	rt_pool *pool = rt_pool_create((int)o->threads);
	printf("cost:\n");
	say_line("work", "%.4g GFLOP = 2 (D + E) tuples, D + E = %d + %d", c->flops * 1e-9, c->dot,
		c->out);
	say_line("memory", "%.4g MB: every operand read once, every output written once",
		c->bytes * 1e-6);
	double intensity = c->bytes > 0 ? c->flops / c->bytes : 0;
	say_line("intensity", "%.4g FLOP a byte", intensity);
	if (pool && c->flops > 0) {
		peak top = peak_measure(pool, dot);
		double bandwidth = peak_bandwidth(pool),
		       balance = bandwidth > 0 ? top.flops / bandwidth : 0;
		say_line("roofline",
			"this machine, %d thread%s: %.4g GFLOP/s (%s), %.3g GB/s; they "
			"balance at %.3g FLOP a "
			"byte, so %s is the limit: at least %.4g ms",
			rt_pool_threads(pool), rt_pool_threads(pool) == 1 ? "" : "s",
			top.flops * 1e-9, top.source, bandwidth * 1e-9, balance,
			intensity >= balance ? "arithmetic" : "memory",
			1e3 * (intensity >= balance ? c->flops / top.flops : c->bytes / bandwidth));
	}
	rt_pool_destroy(pool);
}

static void explain_target(const host_info *info)
{
	printf("on the cpu (%s):\n", info->cpu);
	say_line("vectors", "%d bits, %d elements of f32", info->vector_bits,
		info->vector_bits / 32);
	say_line("products", "%s", info->dot);
	say_line("tiles",
		"%d rows (query positions, heads and outer keys together) by blocks of %d inner "
		"keys (%s)",
		info->lanes, info->key_block, info->inner);
	say_line("softmax", "online: one pass over the keys, memory grows with the rows only");
}

static void explain_settings(const sema_spec *s)
{
	bool any = false;
	for (int i = 0; i < s->setting.count; i++) {
		const sema_setting *t = &s->setting.item[i];
		bool here = !t->target || strcmp(t->target, "cpu") == 0;
		if (here && strcmp(t->key, "inner") == 0)
			continue;
		if (!any)
			printf("schedule settings that the cpu does not use:\n");
		any = true;
		printf("  %s", t->key);
		if (t->axis)
			printf(" %s", t->axis->name);
		if (t->param)
			printf(" %s", t->param->name);
		else if (t->word)
			printf(" = %s", t->word);
		else
			printf(" = %lld", (long long)t->integer);
		printf(" (%s%s)\n", t->target ? "for " : "for every target",
			t->target ? t->target : "");
	}
}

/* Fills the input tensors that masks read, which the picture needs. */
static cli_status load_masks(problem *p, const expr *e)
{
	expr *const *kid;
	cli_status status = CLI_OK;
	if (e->op == EXPR_DEF)
		return load_masks(p, e->def->value);
	if (e->op == EXPR_LOAD && !e->load.tensor->output && !p->tensor[e->load.tensor->id].data)
		status = problem_input(p, e->load.tensor->id);
	for (int n = expr_kids(e, &kid); n > 0 && status == CLI_OK; n--)
		status = load_masks(p, kid[n - 1]);
	return status;
}

static cli_status draw(const options *o, problem *p, const row_form *m, const host_info *info)
{
	text t = {0};
	cli_status status = CLI_OK;
	for (int i = 0; i < p->spec->mask.count && status == CLI_OK; i++)
		status = load_masks(p, p->spec->mask.item[i]);
	if (status == CLI_OK) {
		svg_picture(p, m, info, &t);
		if (strcmp(o->svg, "-") == 0)
			fwrite(t.data, 1, t.len, stdout);
		else
			status = file_write(o, o->svg, t.data, t.len);
	}
	text_free(&t);
	return status;
}

/* What does not depend on a target. */
static void explain_spec(const options *o, const sema_spec *s, const engine *e, const problem *p)
{
	const sema_axis *wished = NULL;
	cost c = problem_cost(p, e->form);

	engine_inner(o, s, "cpu", &wished);
	explain_definitions(s);
	if (e->form) {
		explain_inner(o, s, e->form, wished != NULL);
		explain_form(e->form);
	} else {
		printf("no row form: it runs on the reference interpreter only\n");
	}
	explain_windows(p, &c);
}

static void explain_cpu(const options *o, const sema_spec *s, const engine *e, const problem *p)
{
	host_info info = e->kernel ? host_describe(e->kernel) : (host_info){0};
	cost c = problem_cost(p, e->form);

	if (e->form)
		explain_cost(o, &c, e->kernel ? info.dot : "f32 fma");
	if (e->kernel)
		explain_target(&info);
	explain_settings(s);
}

static cli_status explain(const options *o, unit *u, sema_spec *s, engine *e, problem *p)
{
	host_info info = e->kernel ? host_describe(e->kernel) : (host_info){0};
	bool words = !o->svg || strcmp(o->svg, "-") != 0;
	cli_target *list;
	int count;
	cli_status status = targets_parse(o, "cpu", &list, &count);

	if (status == CLI_OK && words)
		explain_spec(o, s, e, p);
	for (int i = 0; i < count && status == CLI_OK && words; i++)
		if (list[i].arch)
			status = explain_gpu(u, s, &list[i], p);
		else
			explain_cpu(o, s, e, p);
	if (status != CLI_OK || !o->svg)
		return status;
	return draw(o, p, e->form, e->kernel ? &info : NULL);
}

cli_status verb_explain(const options *o)
{
	unit u;
	sema_spec *s = NULL;
	engine e = {0};
	problem p = {0};
	cli_status status = unit_select(o, o->operand.item[0], &u, &s);
	if (status != CLI_OK)
		return status;
	status = problem_open(o, s, u.arena, &p);
	if (status == CLI_OK)
		status = engine_open_cpu(&u, s, &e);
	if (status == CLI_OK)
		status = explain(o, &u, s, &e, &p);
	engine_close(&e);
	problem_close(&p);
	unit_close(&u);
	return status;
}
