/* trial.c: the candidates of `tune`: compiled, loaded, launched in turns, judged.
 * Every round launches each candidate once, so that a clock that changes changes it for all. */
#include "cli/gpu.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_ROUNDS = 7, MOST_ROUNDS = 1000 };

/* Times nearer than this share are equal, however little they scatter. */
#define NOISE 0.005

/* --- opening --- */

/* The first message of a compilation, or that of the runtime. */
static const char *reason(unit *u, const diags *d, rt_error *err)
{
	const char *says = d->list.count     ? d->list.item[0].message
			   : err->message[0] ? err->message
					     : "out of memory";

	says = arena_strdup(u->arena, says);
	rt_error_clear(err);
	return says;
}

static void open_trial(unit *u, sema_spec *s, engine *e, trial *t)
{
	gpu_engine *g = e->gpu;
	device_request r = gpu_request(u, s, e->form, g->arch, g->device);
	diags *own = diags_create(u->arena, u->src);
	text name = {0};
	rt_error err = {0};
	device_times times;
	rt_image *best;

	gpu_choice_print(&t->choice, &name);
	t->text = arena_strdup(u->arena, name.data);
	text_free(&name);
	r.choice = &t->choice;
	t->kernel = device_compile(g->system, &r, u->arena, own, &times);
	if (!t->kernel || rt_program_best(device_program(t->kernel), g->device, &best, &err) ||
		rt_image_prepare(best, g->device, &err) ||
		rt_image_inspect(best, g->device, &t->figures, &err))
		t->failure = reason(u, own, &err);
}

cli_status trials_open(unit *u, sema_spec *s, engine *e, int most, trial **list, int *count)
{
	gpu_choice *choice = ARENA_ARRAY(u->arena, gpu_choice, most);
	progress line = progress_start("compiling");
	cli_status status;

	*count = gpu_candidates(u->arena, e->form, e->gpu->arch->name, choice, most, u->diags);
	*list = ARENA_ARRAY(u->arena, trial, *count + 1);
	status = unit_flush(u);
	for (int i = 0; i < *count && status == CLI_OK; i++) {
		(*list)[i] = (trial){.choice = choice[i]};
		open_trial(u, s, e, &(*list)[i]);
		progress_update(&line, (double)(i + 1) / *count);
	}
	progress_end(&line);
	return status;
}

void trials_close(trial *list, int count)
{
	for (int i = 0; i < count; i++) {
		device_destroy(list[i].kernel);
		free(list[i].seconds);
		list[i] = (trial){0};
	}
}

/* --- measuring --- */

static cli_status launch(engine *e, problem *p, const trial *t, double *seconds)
{
	gpu_engine g = *e->gpu;

	g.kernel = t->kernel;
	return gpu_launch(&g, p, seconds);
}

/* The result of the last launch against the reference. */
static cli_status judge(engine *e, problem *p, trial *t)
{
	verdict v = {0};
	cli_status status = gpu_fetch(e->gpu, p);

	if (status == CLI_OK)
		status = compare_run(p, &v);
	if (status == CLI_OK && !v.passed)
		t->failure = "its result is wrong";
	return status;
}

/* The launches that nobody times: caches fill, clocks rise. */
static cli_status warm_up(engine *e, problem *p, trial *list, int count)
{
	cli_status status = CLI_OK;
	double seconds;

	for (int i = 0; i < count && status == CLI_OK; i++) {
		if (list[i].failure)
			continue;
		status = launch(e, p, &list[i], &seconds);
		if (status == CLI_OK && e->o->check)
			status = judge(e, p, &list[i]);
	}
	return status;
}

static cli_status launch_round(engine *e, problem *p, trial *list, int count, double *spent)
{
	cli_status status = CLI_OK;

	for (int i = 0; i < count && status == CLI_OK; i++) {
		trial *t = &list[i];

		if (t->failure)
			continue;
		status = launch(e, p, t, &t->seconds[t->launches]);
		*spent += t->seconds[t->launches++];
	}
	return status;
}

static int by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

/* The value below which a share of the launches lies. */
static double quantile(const trial *t, double share)
{
	double at = share * (t->launches - 1);
	int i = (int)at;

	return i + 1 < t->launches ? t->seconds[i] + (at - i) * (t->seconds[i + 1] - t->seconds[i])
				   : t->seconds[i];
}

static void summarise(trial *t)
{
	if (t->launches == 0)
		return;
	qsort(t->seconds, (size_t)t->launches, sizeof *t->seconds, by_value);
	t->best = t->seconds[0];
	t->median = quantile(t, 0.5);
	if (t->median > 0)
		t->spread = (quantile(t, 0.75) - quantile(t, 0.25)) / t->median;
}

cli_status trials_measure(engine *e, problem *p, trial *list, int count)
{
	int rounds = MOST_ROUNDS;
	double spent = 0;
	cli_status status = gpu_upload(e->gpu, p);
	progress line = progress_start("measuring");

	if (e->o->reps && e->o->reps < rounds)
		rounds = (int)e->o->reps;
	for (int i = 0; i < count; i++) {
		list[i].seconds = calloc((size_t)rounds, sizeof *list[i].seconds);
		if (!list[i].seconds && !list[i].failure)
			list[i].failure = "out of memory";
	}
	if (status == CLI_OK)
		status = warm_up(e, p, list, count);
	for (int n = 0; n < rounds && status == CLI_OK; n++) {
		if (!e->o->reps && n >= LEAST_ROUNDS && spent >= e->o->min_time)
			break;
		status = launch_round(e, p, list, count, &spent);
		progress_update(&line, (double)(n + 1) / rounds);
	}
	progress_end(&line);
	for (int i = 0; i < count; i++)
		summarise(&list[i]);
	return status;
}

/* --- judging --- */

static double larger(double x, double y)
{
	return x > y ? x : y;
}

int trials_winner(const trial *list, int count)
{
	const trial *planned = list;
	int best = -1;
	double noise;

	for (int i = 0; i < count; i++)
		if (!list[i].failure && list[i].launches &&
			(best < 0 || list[i].median < list[best].median))
			best = i;
	if (best <= 0 || planned->failure)
		return best;
	noise = larger(NOISE, larger(list[best].spread, planned->spread));
	return planned->median - list[best].median > noise * planned->median ? best : 0;
}
