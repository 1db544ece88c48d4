/* verb_tune: times the planner's best plans of a spec on a GPU, prints them, and remembers the
 * fastest for this device, spec and class of problems. */
#include "cli/gpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	const unit *u;
	engine *e;
	problem *p;
	cost cost;
	trial *list;
	int count, winner;
	const char *class;
	bool kept, on_disk;
} tuning;

/* --- words --- */

static const char *column(const tuning *t, const sema_setting *x)
{
	return x->axis ? arena_printf(t->u->arena, "%s %s", x->key, x->axis->name) : x->key;
}

static const sema_setting *find(const gpu_choice *c, const char *key)
{
	for (int i = 0; i < c->count; i++)
		if (!strcmp(c->item[i].key, key))
			return &c->item[i];
	return NULL;
}

/* All settings that some trial has. */
static gpu_choice columns(const tuning *t)
{
	gpu_choice all = t->list[0].choice;

	for (int n = 1; n < t->count; n++)
		for (int i = 0; i < t->list[n].choice.count; i++)
			if (!find(&all, t->list[n].choice.item[i].key) && all.count < GPU_CHOICES)
				all.item[all.count++] = t->list[n].choice.item[i];
	return all;
}

static void print_heading(const tuning *t)
{
	gpu_choice all = columns(t);

	for (int i = 0; i < all.count; i++)
		printf("  %10s", column(t, &all.item[i]));
	printf("  %9s  %6s  %9s  %7s  %8s\n", "registers", "blocks", "ms", "spread", "TFLOP/s");
}

static void print_trial(const tuning *t, int i)
{
	const trial *x = &t->list[i];
	gpu_choice all = columns(t);

	for (int k = 0; k < all.count; k++) {
		const sema_setting *s = find(&x->choice, all.item[k].key);

		if (!s || s->word)
			printf("  %10s", s ? s->word : "-");
		else
			printf("  %10lld", (long long)s->integer);
	}
	if (x->failure) {
		printf("  %s\n", x->failure);
		return;
	}
	printf("  %9d  %6d  %9.4g  %5.1f %%  %8.4g%s%s", x->figures.registers,
		x->figures.blocks_per_sm, x->median * 1e3, x->spread * 100,
		x->median > 0 ? t->cost.flops / x->median * 1e-12 : 0,
		i == 0 ? "  the planner's" : "", i == t->winner ? "  fastest" : "");
	if (x->figures.local_bytes)
		printf("  %d bytes spilled", x->figures.local_bytes);
	printf("\n");
}

static void print_text(const tuning *t)
{
	const gpu_engine *g = t->e->gpu;
	const trial *won;

	printf("tune %s on %s (%s, %s)  %s\n", t->p->spec->name, engine_device(t->e), g->info.name,
		g->arch->name, report_problem(t->p));
	print_heading(t);
	for (int i = 0; i < t->count; i++)
		print_trial(t, i);
	if (t->winner < 0)
		return;
	won = &t->list[t->winner];
	if (t->winner == 0)
		printf("the planner's own plan stays: nothing else is faster than the noise\n");
	else
		printf("%s is %.3g times as fast as the planner's own plan\n", won->text,
			t->list[0].median / won->median);
	if (t->kept)
		printf("%s for problems near %s on %s\n",
			t->on_disk ? "remembered" : "not remembered, as the cache is not on disk,",
			t->class, g->info.name);
}

/* --- JSON --- */

static cJSON *choice_json(const gpu_choice *c)
{
	cJSON *o = cJSON_CreateObject();

	for (int i = 0; i < c->count; i++)
		if (c->item[i].word)
			cJSON_AddStringToObject(o, c->item[i].key, c->item[i].word);
		else
			cJSON_AddNumberToObject(o, c->item[i].key, (double)c->item[i].integer);
	return o;
}

static cJSON *trial_json(const tuning *t, const trial *x)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToObject(o, "sizes", choice_json(&x->choice));
	cJSON_AddStringToObject(o, "schedule", x->text);
	if (x->failure) {
		cJSON_AddStringToObject(o, "failure", x->failure);
		return o;
	}
	cJSON_AddNumberToObject(o, "median_ms", x->median * 1e3);
	cJSON_AddNumberToObject(o, "min_ms", x->best * 1e3);
	cJSON_AddNumberToObject(o, "spread", x->spread);
	cJSON_AddNumberToObject(o, "launches", x->launches);
	cJSON_AddNumberToObject(
		o, "tflops_per_s", x->median > 0 ? t->cost.flops / x->median * 1e-12 : 0);
	cJSON_AddNumberToObject(o, "registers", x->figures.registers);
	cJSON_AddNumberToObject(o, "spilled_bytes", x->figures.local_bytes);
	cJSON_AddNumberToObject(o, "blocks_per_sm", x->figures.blocks_per_sm);
	return o;
}

static void print_json(const tuning *t)
{
	const gpu_engine *g = t->e->gpu;
	cJSON *o = cJSON_CreateObject(), *list;
	char *s;

	cJSON_AddStringToObject(o, "spec", t->p->spec->name);
	cJSON_AddStringToObject(o, "device", engine_device(t->e));
	cJSON_AddStringToObject(o, "gpu", g->info.name);
	cJSON_AddStringToObject(o, "target", g->arch->name);
	cJSON_AddStringToObject(o, "problem", t->class);
	list = cJSON_AddArrayToObject(o, "candidates");
	for (int i = 0; i < t->count; i++)
		cJSON_AddItemToArray(list, trial_json(t, &t->list[i]));
	cJSON_AddNumberToObject(o, "winner", t->winner);
	cJSON_AddBoolToObject(o, "remembered", t->kept && t->on_disk);
	s = cJSON_Print(o);
	printf("%s\n", s ? s : "{}");
	free(s);
	cJSON_Delete(o);
}

/* --- remembering --- */

static cli_status keep(unit *u, sema_spec *s, tuning *t)
{
	gpu_engine *g = t->e->gpu;
	device_request r = gpu_request(u, s, t->e->form, g->arch, g->device);
	const trial *won = &t->list[t->winner];
	device_tuned found = {.gpu = g->info.name,
		.spec = s->name,
		.problem = t->class,
		.text = t->winner ? won->text : "",
		.ms = won->median * 1e3,
		.planned_ms = t->list[0].median * 1e3};
	rt_cache *cache = device_cache(g->system);

	t->kept = device_tuned_keep(g->system, &r, &found);
	t->on_disk = cache && rt_cache_get_mode(cache) == RT_CACHE_READWRITE;
	if (t->kept)
		return CLI_OK;
	message_error(u->o, "out of memory");
	return CLI_ENVIRONMENT;
}

/* --- all of it --- */

static cli_status measure(unit *u, sema_spec *s, engine *e, problem *p)
{
	tuning t = {.u = u, .e = e, .p = p, .winner = -1};
	int64_t most = u->o->candidates < 1 ? 1 : u->o->candidates < 1000 ? u->o->candidates : 1000;
	cli_status status = trials_open(u, s, e, (int)most, &t.list, &t.count);

	t.class = device_tuned_class(u->arena, s, p->length, p->param_int);
	if (status == CLI_OK)
		status = trials_measure(e, p, t.list, t.count);
	if (status == CLI_OK) {
		t.cost = problem_cost(p, e->form);
		t.winner = trials_winner(t.list, t.count);
	}
	if (status == CLI_OK && t.winner >= 0)
		status = keep(u, s, &t);
	if (status == CLI_OK && u->o->json)
		print_json(&t);
	else if (status == CLI_OK)
		print_text(&t);
	if (status == CLI_OK && t.winner < 0) {
		message_error(u->o, "%s: no plan could be timed", s->name);
		status = u->o->check ? CLI_CHECK : CLI_ENVIRONMENT;
	}
	trials_close(t.list, t.count);
	return status;
}

/* A GPU, and its planner's own plan, which the engine has compiled. */
static options settings(const options *o)
{
	options own = *o;

	own.no_tune = true;
	if (strcmp(own.device, "auto") == 0)
		own.device = "cuda";
	return own;
}

static cli_status refuse_others(const engine *e)
{
	if (e->gpu)
		return CLI_OK;
	message_error(e->o, "--device: only GPU kernels are tuned, not those of the %s",
		engine_device(e));
	return CLI_USAGE;
}

cli_status verb_tune(const options *o)
{
	options own = settings(o);
	unit u;
	sema_spec *s = NULL;
	engine e = {0};
	problem p = {0};
	cli_status status = unit_select(&own, o->operand.item[0], &u, &s);

	if (status != CLI_OK)
		return status;
	status = problem_open(&own, s, u.arena, &p);
	if (status == CLI_OK)
		status = engine_open(&u, s, &p, &e);
	if (status == CLI_OK)
		status = refuse_others(&e);
	if (status == CLI_OK)
		status = problem_inputs(&p);
	if (status == CLI_OK)
		status = problem_outputs(&p, false);
	if (status == CLI_OK)
		status = measure(&u, s, &e, &p);
	engine_close(&e);
	problem_close(&p);
	unit_close(&u);
	return status;
}
