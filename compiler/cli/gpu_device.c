/* gpu_device.c: running a kernel on a GPU: what `run` and `bench` do with --device cuda:N.
 * Tensors lie compact on the device whatever order a file has them in. */
#include "cli/gpu.h"
#include <stdlib.h>
#include <string.h>

enum { FRESH = 0xff }; /* every byte of an output before the launch: NaN in all float types */

static cli_status failed(const gpu_engine *g, rt_error *err)
{
	return gpu_failed(g->o, arena_printf(g->o->arena, "cuda:%d", g->device), err);
}

/* --- opening --- */

/* The device and the architecture whose code it is to run. */
static rt_status find_device(gpu_engine *g, rt_error *err)
{
	rt_status status = device_driver(g->system, &g->cuda, err);

	if (!status)
		status = rt_cuda_device(g->cuda, g->device, &g->info, err);
	if (!status && g->o->target.count == 0)
		status = device_arch(g->system, g->device, &g->arch, err);
	return status;
}

static cli_status wanted_arch(gpu_engine *g)
{
	cli_target *list;
	int count;
	cli_status status;

	if (g->o->target.count == 0)
		return CLI_OK;
	status = targets_parse(g->o, "native", &list, &count);
	if (status != CLI_OK)
		return status;
	if (count != 1 || !list[0].arch) {
		message_error(g->o, "--target: a GPU runs the code of one GPU target");
		return CLI_USAGE;
	}
	g->arch = list[0].arch;
	return CLI_OK;
}

static device_kernel *adopt(gpu_engine *g, unit *u, const device_request *r)
{
	const char *code;
	size_t len;

	if (file_read(g->o, u->arena, g->o->code, &code, &len) != CLI_OK)
		return NULL;
	return device_adopt(g->system, r, code, len, u->arena, u->diags, &g->times);
}

/* Messages of the compiler are errors, or for the forgiving the reason for a note. */
static cli_status compile(gpu_engine *g, unit *u, sema_spec *s, const engine *e, bool forgiving)
{
	device_request r = gpu_request(u, s, e->form, g->arch, g->device);
	diags *own = diags_create(u->arena, u->src), *shared = u->diags;
	cli_status status = CLI_OK;

	if (!g->o->code && gpu_tuned(u, g->system, &r, e->problem, &g->tuned))
		r.choice = &g->tuned.choice;
	if (!g->o->code && (!r.choice || !r.choice->count) &&
		gpu_suited(e->form, g->arch, e->problem, &g->variant))
		r.choice = &g->variant;
	u->diags = own;
	if (g->o->code)
		g->kernel = adopt(g, u, &r);
	else
		g->kernel = device_compile(g->system, &r, u->arena, own, &g->times);
	if (!g->kernel && forgiving && own->list.count)
		message_note(g->o, "%s has no GPU kernel, so it runs on the cpu: %s", s->name,
			own->list.item[0].message);
	else
		status = unit_report(u);
	if (!g->kernel && !forgiving && status == CLI_OK)
		status = CLI_ENVIRONMENT;
	u->diags = shared;
	return status;
}

static rt_status load(gpu_engine *g, rt_image *image, rt_error *err)
{
	double start = clock_now();
	rt_status status = rt_image_prepare(image, g->device, err);

	g->image = image;
	g->times.load_ms += (clock_now() - start) * 1e3;
	if (!status)
		status = rt_image_inspect(image, g->device, &g->figures, err);
	return status;
}

/* The first stream makes the device's context, which takes longer than all else. */
static rt_status make_ready(gpu_engine *g, rt_error *err)
{
	rt_image *image;
	double start = clock_now();
	rt_status status = rt_stream_create(g->cuda, g->device, &g->stream, err);

	if (!status)
		status = rt_timer_create(g->cuda, g->device, &g->timer, err);
	g->times.driver_ms = g->driver_ms + (clock_now() - start) * 1e3;
	if (!status)
		status = rt_program_best(device_program(g->kernel), g->device, &image, err);
	if (!status)
		status = load(g, image, err);
	return status;
}

/* A machine without GPU is none of the user's faults: nothing is said about it. */
static bool is_absence(rt_status status)
{
	return status == RT_NO_DRIVER || status == RT_NO_DEVICE;
}

static cli_status open_device(gpu_engine *g, bool forgiving, bool *usable)
{
	rt_error err = {0};
	double start = clock_now();
	rt_status status = find_device(g, &err);

	g->driver_ms = (clock_now() - start) * 1e3;
	*usable = !status;
	if (status && !forgiving)
		return failed(g, &err);
	if (status && !is_absence(status))
		message_note(g->o, "no GPU is used: %s", err.message);
	rt_error_clear(&err);
	return CLI_OK;
}

cli_status gpu_open(unit *u, sema_spec *s, engine *e, int device, bool forgiving)
{
	gpu_engine *g = ARENA_NEW(u->arena, gpu_engine);
	cli_status status = CLI_OK;
	rt_error err = {0};
	bool usable;

	*g = (gpu_engine){.o = u->o, .device = device, .tensors = s->tensor.count};
	g->system = gpu_system(u->o);
	if (!g->system)
		return CLI_ENVIRONMENT;
	status = wanted_arch(g);
	if (status == CLI_OK)
		status = open_device(g, forgiving, &usable);
	if (status == CLI_OK && usable)
		status = gpu_form(u, s, g->arch->name, (const row_form **)&e->form, &e->model_ms);
	if (status == CLI_OK && usable && e->form)
		status = compile(g, u, s, e, forgiving);
	if (status == CLI_OK && g->kernel && make_ready(g, &err))
		status = failed(g, &err);
	if (status == CLI_OK && g->kernel) {
		e->gpu = g;
		return CLI_OK;
	}
	gpu_close(g);
	return status;
}

void gpu_close(gpu_engine *g)
{
	if (!g)
		return;
	for (int t = 0; g->memory && t < g->tensors; t++)
		rt_memory_free(g->cuda, g->device, g->memory[t], NULL);
	rt_timer_destroy(g->timer);
	if (g->stream)
		rt_stream_destroy(g->cuda, g->device, g->stream, NULL);
	device_destroy(g->kernel);
	device_close(g->system);
	*g = (gpu_engine){0};
}

/* --- tensors --- */

/* Strides of the compact tensor on the device. */
static void compact(const tensor *t, int64_t stride[SEMA_MAX_RANK])
{
	int64_t n = 1;

	for (int d = t->decl->rank - 1; d >= 0; d--) {
		stride[d] = n;
		n *= t->shape[d] > 0 ? t->shape[d] : 1;
	}
}

static bool is_compact(const tensor *t)
{
	int64_t stride[SEMA_MAX_RANK];

	compact(t, stride);
	for (int d = 0; d < t->decl->rank; d++)
		if (t->shape[d] > 1 && t->stride[d] != stride[d])
			return false;
	return true;
}

/* A copy in C order; NULL: out of memory. */
static void *in_order(const tensor *t)
{
	size_t item = (size_t)sema_dtype_size(t->dtype);
	char *to = malloc((size_t)t->count * item + 1);
	int64_t at[SEMA_MAX_RANK] = {0};

	for (int64_t n = 0; to && n < t->count; n++) {
		int64_t from = 0;

		for (int d = 0; d < t->decl->rank; d++)
			from += at[d] * t->stride[d];
		memcpy(to + (size_t)n * item, (const char *)t->data + (size_t)from * item, item);
		for (int d = t->decl->rank - 1; d >= 0 && ++at[d] == t->shape[d]; d--)
			at[d] = 0;
	}
	return to;
}

static rt_status upload(gpu_engine *g, const tensor *t, uint64_t to, rt_error *err)
{
	size_t bytes = (size_t)t->count * (size_t)sema_dtype_size(t->decl->dtype);
	rt_status status;
	void *ordered;

	if (bytes == 0)
		return RT_OK;
	if (t->decl->output)
		return rt_memory_fill(g->cuda, g->device, to, FRESH, bytes, g->stream, err);
	if (is_compact(t))
		return rt_memory_write(g->cuda, g->device, to, t->data, bytes, g->stream, err);
	ordered = in_order(t);
	if (!ordered)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	status = rt_memory_write(g->cuda, g->device, to, ordered, bytes, g->stream, err);
	free(ordered);
	return status;
}

/* The kernel that takes these tensors, which may be another one than the first. */
static cli_status settle_image(gpu_engine *g, problem *p)
{
	rt_kernel_args args = gpu_args(p, g->memory);
	rt_kernel_packed packed;
	rt_image *image;
	rt_error err = {0};
	rt_status status = rt_program_select(
		device_program(g->kernel), &args, g->device, g->stream, &packed, &image, &err);

	if (!status && image != g->image) {
		if (!rt_image_signature(image)->maps)
			message_note(
				g->o, "some tensor does not suit TMA: the portable kernel runs");
		status = load(g, image, &err);
	}
	return status ? failed(g, &err) : CLI_OK;
}

cli_status gpu_upload(gpu_engine *g, problem *p)
{
	rt_error err = {0};

	if (g->memory)
		return CLI_OK;
	g->memory = ARENA_ARRAY(p->arena, uint64_t, g->tensors + 1);
	for (int i = 0; i < g->tensors; i++) {
		const tensor *t = &p->tensor[i];
		size_t bytes = (size_t)t->count * (size_t)sema_dtype_size(t->decl->dtype);
		cu_deviceptr at = 0;
		rt_status status = rt_memory_alloc(g->cuda, g->device, bytes, &at, &err);

		g->memory[i] = at;
		if (!status)
			status = upload(g, t, at, &err);
		if (status)
			return failed(g, &err);
	}
	return settle_image(g, p);
}

cli_status gpu_fetch(gpu_engine *g, problem *p)
{
	rt_error err = {0};

	for (int i = p->spec->inputs; i < g->tensors; i++) {
		tensor *t = &p->tensor[i];
		size_t bytes = (size_t)t->count * (size_t)sema_dtype_size(t->dtype);

		if (bytes && rt_memory_read(g->cuda, g->device, t->data, g->memory[i], bytes,
				     g->stream, &err))
			return failed(g, &err);
	}
	return CLI_OK;
}

/* --- launching --- */

rt_kernel_args gpu_args(const problem *p, const uint64_t *data)
{
	int n = p->spec->tensor.count;
	const int64_t **stride = ARENA_ARRAY(p->arena, const int64_t *, n + 1);

	for (int t = 0; t < n; t++) {
		int64_t *s = ARENA_ARRAY(p->arena, int64_t, SEMA_MAX_RANK);

		compact(&p->tensor[t], s);
		stride[t] = s;
	}
	return (rt_kernel_args){.data = data,
		.stride = stride,
		.length = p->length,
		.param_int = p->param_int,
		.param_float = p->param_float};
}

cli_status gpu_launch(gpu_engine *g, problem *p, double *seconds)
{
	rt_kernel_args args = gpu_args(p, g->memory);
	rt_error err = {0};
	double ms = 0;
	rt_status status = rt_timer_start(g->timer, g->stream, &err);

	if (!status)
		status = rt_program_launch(
			device_program(g->kernel), &args, g->device, g->stream, &err);
	if (!status)
		status = rt_timer_stop(g->timer, g->stream, &err);
	if (!status)
		status = rt_timer_read(g->timer, &ms, &err);
	*seconds = ms * 1e-3;
	return status ? failed(g, &err) : CLI_OK;
}

double gpu_peak(const gpu_engine *g)
{
	const arch *a = arch_native(g->info.major, g->info.minor);
	double flop = 0, hertz = g->info.clock_khz * 1e3;

	if (a)
		flop = a->wgmma_flop > a->mma_flop ? a->wgmma_flop : a->mma_flop;
	if (a && hertz == 0)
		hertz = a->mhz * 1e6;
	return flop * g->info.sms * hertz;
}
