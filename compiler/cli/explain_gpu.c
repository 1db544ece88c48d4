/* explain_gpu.c: a spec on a GPU target, in words: the planner's choices with their reasons, what
 * they take of an SM, and how fast the table's product could be at best. */
#include "cli/gpu.h"
#include <stdio.h>
#include <string.h>

/* The planner's lines, indented. */
static void print_choices(const gpu_plan *plan)
{
	text t = {0};

	gpu_plan_print(plan, &t);
	for (const char *s = t.data ? t.data : ""; *s;) {
		size_t n = strcspn(s, "\n");

		if (s != t.data) /* the first line is the heading, which we have */
			printf("  %.*s\n", (int)n, s);
		s += n + (s[n] == '\n');
	}
	text_free(&t);
}

static void print_resources(const arch *a, const device_build *b)
{
	int64_t shared = b->program->shared_bytes;
	int registers =
		b->plan.registers < a->registers_thread ? b->plan.registers : a->registers_thread;
	int blocks = arch_blocks_per_sm(a, b->program->warps, registers, (int)shared);

	printf("  a block takes %.1f of %.1f KiB of shared memory and %d threads of about %d "
	       "registers: %d block%s an SM\n",
		(double)shared / 1024, (double)a->shared_block / 1024, 32 * b->program->warps,
		registers, blocks, blocks == 1 ? "" : "s");
}

/* The kernel's matrix instruction decides, not the fastest that the target has. */
static void print_roofline(const arch *a, const cost *c)
{
	double flops = (double)a->mma_flop * a->sms * a->mhz * 1e6;
	double bytes = a->dram_gbs * 1e9;
	double arithmetic = c->flops / flops, memory = c->bytes / bytes;

	if (c->flops <= 0)
		return;
	printf("  %s: %.0f TFLOP/s by mma.sync, %d GB/s: %s is the limit, at least %.4g ms\n",
		a->product, flops * 1e-12, a->dram_gbs,
		arithmetic >= memory ? "arithmetic" : "memory",
		1e3 * (arithmetic >= memory ? arithmetic : memory));
}

cli_status explain_gpu(unit *u, sema_spec *s, const cli_target *target, const problem *p)
{
	const arch *a = target->arch;
	device_tuned tuned;
	gpu_choice variant;
	const row_form *form;
	double ms;
	cli_status status = gpu_form(u, s, a->name, &form, &ms);

	if (status != CLI_OK)
		return status;
	printf("on %s:\n", a->name);
	if (!form) {
		printf("  no row form, so there is no kernel\n");
		return CLI_OK;
	}
	device_build b = {.arena = u->arena, .form = form, .arch = a, .diags = u->diags};
	if (gpu_tuned_native(u, s, form, target, p, &tuned))
		b.choice = &tuned.choice;
	if ((!b.choice || !b.choice->count) && gpu_suited(form, a, p, &variant))
		b.choice = &variant;
	bool made = device_build_until(&b, DEVICE_TILE);
	status = unit_flush(u);
	if (status == CLI_OK && made) {
		cost c = problem_cost(p, form);
		print_choices(&b.plan);
		print_resources(a, &b);
		print_roofline(a, &c);
	}
	device_build_clear(&b);
	return status;
}
