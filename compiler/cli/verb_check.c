/* verb_check: parses and checks every spec of every file. Silent when all is well, except with -v.
 */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* Appends the elements of one JSON array to the array being collected. */
static void json_join(text *all, const diags *d)
{
	text t = {0};
	diags_print(d, DIAG_JSON, &t);
	const char *begin = t.data ? strchr(t.data, '[') : NULL;
	const char *end = t.data ? strrchr(t.data, ']') : NULL;
	if (begin && end) {
		begin++;
		while (begin < end && strchr(" \n", *begin))
			begin++;
		while (end > begin && strchr(" \n", end[-1]))
			end--;
		if (end > begin) {
			text_put(all, all->len ? ",\n" : "");
			text_putn(all, begin, (size_t)(end - begin));
		}
	}
	text_free(&t);
}

/* Says what a good spec is, for -v. Having no row form is no fault: the message goes nowhere else.
 */
static void say_fine(const unit *u, sema_spec *s)
{
	diags *aside = diags_create(u->arena, u->src);
	const row_form *m = model_choose(s, NULL, aside);
	int outputs = s->tensor.count - s->inputs;

	printf("%s: %s: %d input%s, %d output%s, order %d, ", u->src->name, s->name, s->inputs,
		s->inputs == 1 ? "" : "s", outputs, outputs == 1 ? "" : "s", s->key.count);
	if (m)
		printf("row form with inner axis %s\n", m->inner->name);
	else
		printf("no row form (%s)\n",
			aside->list.count ? aside->list.item[0].message : "unknown");
}

static void check_specs(unit *u)
{
	for (int i = 0; i < u->file->specs.count; i++) {
		sema_spec *s = unit_check(u, u->file->specs.item[i]);
		if (s && u->o->verbose)
			say_fine(u, s);
	}
	if (u->file->specs.count == 0 && u->file->schedules.count == 0)
		diag_warning(u->diags, (loc){0, 0}, "empty", "the file holds no attention spec");
}

static cli_status defines_all_known(const options *o, const bool *known, const strings *declared)
{
	for (int i = 0; i < o->define.count; i++) {
		const char *name, *value;
		options_split(o->arena, o->define.item[i], &name, &value);
		if (!known[i])
			return unit_unknown_define(o, name, declared);
	}
	return CLI_OK;
}

cli_status verb_check(const options *o)
{
	cli_status worst = CLI_OK;
	text json = {0};
	strings declared = {0};
	bool *known = ARENA_ARRAY(o->arena, bool, o->define.count + 1);

	for (int i = 0; i < o->operand.count; i++) {
		unit u;
		cli_status status = unit_open(o, o->operand.item[i], &u);
		if (status == CLI_OK) {
			if (diag_error_count(u.diags) == 0)
				check_specs(&u);
			for (int k = 0; k < o->define.count; k++) {
				const char *name, *value;
				options_split(o->arena, o->define.item[k], &name, &value);
				known[k] |= unit_declares(&u, name);
			}
			unit_declared(&u, &declared);
			if (o->diagnostics == DIAG_JSON)
				json_join(&json, u.diags);
			else
				unit_report(&u);
			status = diag_error_count(u.diags) ? CLI_INPUT : CLI_OK;
			unit_close(&u);
		}
		if (status > worst)
			worst = status;
	}
	if (o->diagnostics == DIAG_JSON)
		fprintf(stderr, "[%s]\n", json.data ? json.data : "");
	text_free(&json);
	return worst == CLI_OK ? defines_all_known(o, known, &declared) : worst;
}
