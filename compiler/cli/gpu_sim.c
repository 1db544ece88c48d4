/* gpu_sim.c: --device sim: the GPU's kernel, executed by the simulator on the cpu.
 * The arguments are those that a GPU would get, taken from the same packed block. */
#include "cli/gpu.h"
#include "sim/sim.h"
#include <stdio.h>
#include <string.h>

static cli_status build(sim_engine *m, unit *u)
{
	bool made = device_build_until(&m->build, DEVICE_TILE) &&
		    device_signature(&m->build, &m->signature);
	cli_status status = unit_flush(u);

	return status == CLI_OK && !made ? CLI_ENVIRONMENT : status;
}

/* Plan, program and signature for an architecture, in place of what was there. */
static cli_status build_for(sim_engine *m, const arch *a, double *model_ms)
{
	const row_form *form;
	cli_status status = gpu_form(m->unit, m->spec, a->name, &form, model_ms);

	if (status != CLI_OK)
		return status;
	if (!form) {
		message_error(m->o, "%s has no row form, so there is no GPU kernel to simulate",
			m->spec->name);
		return CLI_INPUT;
	}
	device_build_clear(&m->build);
	m->build = (device_build){.arena = m->unit->arena,
		.form = form,
		.arch = a,
		.diags = m->unit->diags,
		.choice = gpu_suited(form, a, m->problem, &m->variant)};
	return build(m, m->unit);
}

cli_status sim_open(unit *u, sema_spec *s, engine *e)
{
	sim_engine *m = ARENA_NEW(u->arena, sim_engine);
	cli_target *list;
	int count;
	cli_status status = targets_parse(u->o, "sm_80", &list, &count);

	if (status == CLI_OK && (count != 1 || !list[0].arch)) {
		message_error(u->o, "--target: the simulator runs the code of one GPU target");
		status = CLI_USAGE;
	}
	if (status != CLI_OK)
		return status;
	*m = (sim_engine){.o = u->o, .unit = u, .spec = s, .problem = e->problem};
	status = build_for(m, list[0].arch, &e->model_ms);
	e->form = (row_form *)m->build.form;
	if (status == CLI_OK)
		e->sim = m;
	else
		sim_close(m);
	return status;
}

void sim_close(sim_engine *m)
{
	if (m)
		device_build_clear(&m->build);
}

/* Elements that may be touched: none of an empty tensor, else all. */
static sim_tensor bounds(const tensor *t)
{
	return (sim_tensor){.data = t->data, .low = 0, .high = t->count};
}

/* What TMA reads of a tensor. */
static sim_tensor_map describe_map(const problem *p, const rt_kernel_map *map)
{
	const tensor *t = &p->tensor[map->tensor];
	sim_tensor_map m = {0};
	int64_t n = 1;

	for (int d = t->decl->rank - 1; d >= 0; d--) {
		m.length[d] = t->shape[d];
		m.stride[d] = n;
		n *= t->shape[d] > 0 ? t->shape[d] : 1;
	}
	return m;
}

static int32_t read_i32(const unsigned char *at)
{
	int32_t v;

	memcpy(&v, at, sizeof v);
	return v;
}

/* The packed block, argument by argument. */
static sim_value *unpack(const sim_engine *m, const problem *p, const rt_kernel_packed *packed)
{
	const tile_program *program = m->build.program;
	sim_value *v = ARENA_ARRAY(p->arena, sim_value, program->arg.count + 1);
	const unsigned char *at = packed->parameters;
	int maps = 0;

	for (int i = 0; i < program->arg.count; i++) {
		const tile_arg *a = program->arg.item[i];
		bool wide = a->kind == ARG_TENSOR || a->type == TILE_I64;

		if (a->kind == ARG_MAP) {
			v[i].map = describe_map(p, &m->signature.map[maps++]);
			continue; /* they come last */
		}
		if (a->kind == ARG_TENSOR)
			v[i].tensor = bounds(&p->tensor[i]);
		else if (wide)
			memcpy(&v[i].i, at, sizeof v[i].i);
		else if (a->type == TILE_F32)
			memcpy(&v[i].f, at, sizeof v[i].f);
		else
			v[i].i = read_i32(at);
		at += wide ? 8 : 4;
	}
	return v;
}

/* In C order, as on a device; the problem's own data where they are so already. */
static cli_status ordered(sim_engine *m, problem *p)
{
	for (int i = 0; i < p->spec->tensor.count; i++) {
		const tensor *t = &p->tensor[i];
		int64_t n = 1;

		for (int d = t->decl->rank - 1; d >= 0; d--) {
			if (t->shape[d] > 1 && t->stride[d] != n) {
				message_error(m->o,
					"%s: the simulator takes no Fortran-ordered file",
					t->decl->name);
				return CLI_INPUT;
			}
			n *= t->shape[d] > 0 ? t->shape[d] : 1;
		}
	}
	return CLI_OK;
}

/* As a launch does: tensors that TMA cannot take go to the portable kernel. */
static cli_status settle_kernel(sim_engine *m, const rt_kernel_args *args)
{
	const arch *portable = device_portable_arch(m->build.arch);
	double ms;

	if (rt_kernel_maps_fit(&m->signature, args) || !portable)
		return CLI_OK;
	message_note(m->o, "some tensor does not suit TMA: the portable kernel runs");
	return build_for(m, portable, &ms);
}

/* Outputs start as NaN, as on a device. */
static void spoil_outputs(problem *p)
{
	for (int i = p->spec->inputs; i < p->spec->tensor.count; i++) {
		tensor *t = &p->tensor[i];

		if (t->count)
			memset(t->data, 0xff, (size_t)t->count * (size_t)sema_dtype_size(t->dtype));
	}
}

static cli_status print_faults(const sim_engine *m, const sim_report *r)
{
	text t = {0};

	sim_report_print(r, &t);
	message_error(
		m->o, "%s: the simulator found faults in the kernel", m->build.form->spec->name);
	fwrite(t.data, 1, t.len, stderr);
	text_free(&t);
	return CLI_CHECK;
}

cli_status sim_launch(sim_engine *m, problem *p, rt_pool *pool)
{
	uint64_t *data = ARENA_ARRAY(p->arena, uint64_t, p->spec->tensor.count + 1);
	rt_kernel_args args = gpu_args(p, data);
	rt_kernel_packed packed;
	rt_error err = {0};
	sim_report report = {0};
	cli_status status = ordered(m, p);
	bool fine;

	for (int t = 0; t < p->spec->tensor.count; t++)
		data[t] = (uint64_t)(uintptr_t)p->tensor[t].data;
	if (status == CLI_OK)
		status = settle_kernel(m, &args);
	if (status == CLI_OK && rt_kernel_pack(&m->signature, &args, &packed, &err))
		status = gpu_failed(m->o, "sim", &err);
	if (status != CLI_OK || packed.grid[0] == 0)
		return status;
	spoil_outputs(p);
	fine = sim_run(m->build.program,
		&(sim_args){.arg = unpack(m, p, &packed),
			.grid = {packed.grid[0], packed.grid[1], 1},
			.pool = pool,
			.step_limit = INT64_C(1) << 40},
		&report);
	if (!fine)
		status = print_faults(m, &report);
	sim_report_free(&report);
	return status;
}
