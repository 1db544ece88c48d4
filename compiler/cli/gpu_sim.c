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

cli_status sim_open(unit *u, sema_spec *s, engine *e)
{
	sim_engine *m = ARENA_NEW(u->arena, sim_engine);
	const row_form *form;
	cli_target *list;
	int count;
	cli_status status = targets_parse(u->o, "sm_80", &list, &count);

	if (status == CLI_OK && (count != 1 || !list[0].arch)) {
		message_error(u->o, "--target: the simulator runs the code of one GPU target");
		status = CLI_USAGE;
	}
	if (status == CLI_OK)
		status = gpu_form(u, s, list[0].name, &form, &e->model_ms);
	if (status != CLI_OK)
		return status;
	if (!form) {
		message_error(
			u->o, "%s has no row form, so there is no GPU kernel to simulate", s->name);
		return CLI_INPUT;
	}
	e->form = (row_form *)form;
	m->o = u->o;
	m->build = (device_build){
		.arena = u->arena, .form = form, .arch = list[0].arch, .diags = u->diags};
	status = build(m, u);
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

	for (int i = 0; i < program->arg.count; i++) {
		const tile_arg *a = program->arg.item[i];
		bool wide = a->kind == ARG_TENSOR || a->type == TILE_I64;

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
