/* stages: row form -> plan -> tile program -> text.
 * in:  a row form and an architecture     out: the text of one stage, each stage run once and timed
 * The verifier runs on every program that leaves the lowering: what it refuses is our bug. */
#include "device/device.h"
#include "device/clock.h"
#include "emit/emit.h"
#include "emit_cuda/emit_cuda.h"

void device_times_add(device_times *sum, const device_times *t)
{
	sum->plan_ms += t->plan_ms;
	sum->lower_ms += t->lower_ms;
	sum->verify_ms += t->verify_ms;
	sum->build_ms += t->build_ms;
	sum->optimise_ms += t->optimise_ms;
	sum->generate_ms += t->generate_ms;
	sum->assemble_ms += t->assemble_ms;
}

static bool make_plan(device_build *b)
{
	double start = device_clock();
	bool made;

	if (b->plan.form)
		return true;
	made = gpu_plan_make(b->form, b->arch->name, b->choice, &b->plan, b->diags);
	b->times.plan_ms += device_clock() - start;
	if (!made)
		device_build_clear(b);
	return made;
}

static void verify(device_build *b)
{
	double start = device_clock();
	text why = {0};

	if (!tile_verify(b->program, &why))
		ice("%s for %s: wrong tile program: %s", b->form->spec->name, b->arch->name,
			why.data ? why.data : "");
	text_free(&why);
	b->times.verify_ms += device_clock() - start;
}

static bool make_program(device_build *b)
{
	double start = device_clock();

	if (b->program)
		return true;
	b->program = gpu_lower(b->arena, &b->plan, b->diags);
	b->times.lower_ms += device_clock() - start;
	if (!b->program)
		return false;
	verify(b);
	return true;
}

void device_build_clear(device_build *b)
{
	text_free(&b->plan.why);
	b->plan = (gpu_plan){0};
	b->program = NULL;
}

bool device_build_until(device_build *b, device_form form)
{
	return make_plan(b) && (form == DEVICE_PLAN || make_program(b));
}

static bool emit_code(device_build *b, text *out)
{
	emit_times times = {0};
	bool made = emit_ptx(b->program, b->arch, out, &times, b->diags);

	b->times.build_ms += times.build;
	b->times.optimise_ms += times.optimise;
	b->times.generate_ms += times.generate;
	return made;
}

bool device_emit(device_build *b, device_form form, text *out)
{
	if (!device_build_until(b, form))
		return false;
	switch (form) {
	case DEVICE_PLAN:
		gpu_plan_print(&b->plan, out);
		return true;
	case DEVICE_TILE:
		tile_print(b->program, out);
		return true;
	case DEVICE_LLVM:
		return emit_ptx_ir(b->program, b->arch, out, b->diags);
	case DEVICE_PTX:
		return emit_code(b, out);
	case DEVICE_CUDA:
		return emit_cuda(b->program, out, b->diags);
	}
	return false;
}
