/* trial.c: the candidates of `tune`: compiled, loaded, launched in turns, judged.
 * Every round launches each candidate once, so that a clock that changes changes it for all. */
#include "cli/gpu.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_ROUNDS = 7, MOST_ROUNDS = 1000 };

/* Times nearer than this share are equal, however little they scatter. */
#define NOISE 0.005

/* --- opening --- */

/* Threads compile; each has its own arena, and what they share is only read. */
typedef struct {
	unit *u;
	engine *e;
	device_request request;
	trial *list;
	diags **said; /* of each trial, in its arena */
} opening;

static void compile(void *user, int64_t begin, int64_t end, int worker)
{
	const opening *o = user;
	device_times times;

	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		trial *t = &o->list[i];
		device_request r = o->request;

		if (!t->planned)
			r.choice = &t->choice;
		t->kernel = device_compile(o->e->gpu->system, &r, t->arena, o->said[i], &times);
	}
}

static void compile_all(opening *o, int count)
{
	rt_pool *pool = rt_pool_create((int)o->u->o->threads);
	progress line = progress_start("compiling");
	int step = pool ? rt_pool_threads(pool) : 1;

	for (int i = 0; i < count; i += step) {
		opening some = *o;

		some.list += i;
		some.said += i;
		if (step > count - i)
			step = count - i;
		if (pool)
			rt_pool_run(pool, step, 1, compile, &some);
		else
			compile(&some, 0, step, 0);
		progress_update(&line, (double)(i + step) / count);
	}
	progress_end(&line);
	rt_pool_destroy(pool);
}

/* The first message of a compilation, or that of the runtime. */
static const char *reason(const trial *t, const diags *d, rt_error *err)
{
	const char *says = d->list.count     ? d->list.item[0].message
			   : err->message[0] ? err->message
					     : "out of memory";

	says = arena_strdup(t->arena, says);
	rt_error_clear(err);
	return says;
}

static void load(const opening *o, int i)
{
	trial *t = &o->list[i];
	int device = o->e->gpu->device;
	rt_error err = {0};
	rt_image *best;

	if (!t->kernel || rt_program_best(device_program(t->kernel), device, &best, &err) ||
		rt_image_prepare(best, device, &err) ||
		rt_image_inspect(best, device, &t->figures, &err))
		t->failure = reason(t, o->said[i], &err);
}

static trial new_trial(const gpu_choice *choice)
{
	trial t = {.choice = *choice, .arena = arena_create()};
	text name = {0};

	gpu_choice_print(choice, &name);
	t.text = arena_strdup(t.arena, name.data);
	text_free(&name);
	return t;
}

cli_status trials_open(unit *u, sema_spec *s, engine *e, int most, trial **list, int *count)
{
	gpu_engine *g = e->gpu;
	gpu_choice *choice = ARENA_ARRAY(u->arena, gpu_choice, most);
	opening o = {u, e, gpu_request(u, s, e->form, g->arch, g->device), NULL, NULL};
	int n = gpu_candidates(u->arena, e->form, g->arch->name, gpu_heads(e->form, e->problem),
		choice, most, u->diags);
	gpu_choice *suited = ARENA_NEW(u->arena, gpu_choice);
	cli_status status = unit_flush(u);

	o.request.choice = gpu_suited(e->form, g->arch, e->problem, suited);
	o.list = *list = ARENA_ARRAY(u->arena, trial, n + 1);
	o.said = ARENA_ARRAY(u->arena, diags *, n + 1);
	if (status != CLI_OK)
		return status;
	for (int i = 0; i < n; i++) {
		o.list[i] = new_trial(&choice[i]);
		o.list[i].planned = i == 0;
		o.said[i] = diags_create(o.list[i].arena, u->src);
	}
	*count = n;
	compile_all(&o, n);
	for (int i = 0; i < n; i++)
		load(&o, i);
	return CLI_OK;
}

void trials_close(trial *list, int count)
{
	for (int i = 0; i < count; i++) {
		device_destroy(list[i].kernel);
		free(list[i].seconds);
		arena_destroy(list[i].arena);
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
