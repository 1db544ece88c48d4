/* report_device.c: what `run` and `bench` say about the device, the kernel that ran there, and the
 * time that each stage of making it took. */
#include "cli/gpu.h"
#include <stdio.h>

void report_device(const engine *e, text *out)
{
	if (e->gpu) {
		const gpu_engine *g = e->gpu;
		text_printf(out, "%s (%s, %s), %d registers, %d KiB shared, %d block%s an SM",
			engine_device(e), g->info.name, g->arch->name, g->figures.registers,
			rt_image_signature(g->image)->shared / 1024, g->figures.blocks_per_sm,
			g->figures.blocks_per_sm == 1 ? "" : "s");
		if (g->figures.local_bytes)
			text_printf(out, ", %d bytes spilled", g->figures.local_bytes);
		if (g->tuned.choice.count)
			text_printf(out, ", tuned: %s", g->tuned.text);
		return;
	}
	if (e->sim) {
		text_printf(out, "sim (%s)", e->sim->build.arch->name);
	} else if (e->reference) {
		text_printf(out, "reference (float64)");
	} else {
		host_info info = host_describe(e->kernel);
		text_printf(
			out, "cpu (%s, %d-bit vectors, %s)", info.cpu, info.vector_bits, info.dot);
	}
	text_printf(out, ", %d thread%s", e->threads, e->threads == 1 ? "" : "s");
}

static void gpu_json(const gpu_engine *g, cJSON *o)
{
	const rt_kernel_signature *k = rt_image_signature(g->image);

	cJSON_AddStringToObject(o, "gpu", g->info.name);
	cJSON_AddStringToObject(o, "target", g->arch->name);
	cJSON_AddNumberToObject(o, "registers", g->figures.registers);
	cJSON_AddNumberToObject(o, "spilled_bytes", g->figures.local_bytes);
	cJSON_AddNumberToObject(o, "shared_bytes", k->shared);
	cJSON_AddNumberToObject(o, "block_threads", k->threads);
	cJSON_AddNumberToObject(o, "block_rows", k->rows);
	cJSON_AddNumberToObject(o, "blocks_per_sm", g->figures.blocks_per_sm);
	if (g->tuned.choice.device)
		cJSON_AddStringToObject(o, "tuned", g->tuned.text);
}

void report_device_json(const engine *e, cJSON *o)
{
	cJSON_AddStringToObject(o, "device", engine_device(e));
	if (e->gpu) {
		gpu_json(e->gpu, o);
		return;
	}
	if (e->kernel) {
		host_info info = host_describe(e->kernel);
		cJSON_AddStringToObject(o, "cpu", info.cpu);
		cJSON_AddNumberToObject(o, "vector_bits", info.vector_bits);
		cJSON_AddStringToObject(o, "dot", info.dot);
		cJSON_AddStringToObject(o, "inner", info.inner);
	}
	if (e->sim)
		cJSON_AddStringToObject(o, "target", e->sim->build.arch->name);
	cJSON_AddNumberToObject(o, "threads", e->threads);
}

/* --- times --- */

typedef struct {
	const char *stage, *key;
	double ms;
} stage_time;

enum { STAGES = 20 };

static device_times times_of(const engine *e)
{
	return e->gpu ? e->gpu->times : e->sim ? e->sim->build.times : (device_times){0};
}

/* From reading to code that can run; the number of stages. */
static int stages(const unit *u, const engine *e, stage_time row[STAGES])
{
	device_times t = times_of(e);
	const stage_time all[] = {
		{"read", "read", u->read_ms},
		{"parse", "parse", u->parse_ms},
		{"check", "check", u->check_ms},
		{"model", "model", e->model_ms},
		{"cache", "cache", t.cache_ms},
		{"plan", "plan", t.plan_ms},
		{"lower", "lower", t.lower_ms},
		{"verify", "verify", t.verify_ms},
		{"build IR", "build", e->times.build_ms + t.build_ms},
		{"optimise", "optimise", e->times.optimise_ms + t.optimise_ms},
		{"generate code", "codegen", e->times.codegen_ms + t.generate_ms},
		{"assemble", "assemble", t.assemble_ms},
		{"open device", "driver", t.driver_ms},
		{"load", "load", t.load_ms},
	};
	int n = (int)(sizeof all / sizeof *all);

	for (int i = 0; i < n; i++)
		row[i] = all[i];
	return n;
}

double report_compile_ms(const engine *e)
{
	device_times t = times_of(e);

	return e->model_ms + e->compile_ms + t.cache_ms + t.plan_ms + t.lower_ms + t.verify_ms +
	       t.build_ms + t.optimise_ms + t.generate_ms + t.assemble_ms + t.load_ms;
}

cJSON *report_times_json(const unit *u, const engine *e, double inputs_ms)
{
	stage_time row[STAGES];
	int n = stages(u, e, row);
	cJSON *o = cJSON_CreateObject();

	for (int i = 0; i < n; i++)
		cJSON_AddNumberToObject(o, row[i].key, row[i].ms);
	cJSON_AddNumberToObject(o, "inputs", inputs_ms);
	return o;
}

void report_times(
	const unit *u, const engine *e, double inputs_ms, double run_ms, double reference_ms)
{
	stage_time row[STAGES];
	double total = 0;
	int n = stages(u, e, row);

	row[n++] = (stage_time){"inputs", NULL, inputs_ms};
	row[n++] = (stage_time){"run", NULL, run_ms};
	row[n++] = (stage_time){"reference", NULL, reference_ms};
	fprintf(stderr, "time report (ms)\n");
	for (int i = 0; i < n; i++) {
		total += row[i].ms;
		if (row[i].ms > 0)
			fprintf(stderr, "  %-14s %10.3f\n", row[i].stage, row[i].ms);
	}
	fprintf(stderr, "  %-14s %10.3f\n", "total", total);
}
