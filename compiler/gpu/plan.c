/* plan.c: sizes of a GPU kernel.
 * in:  a row form, the architecture's row, the spec's schedule settings for the target
 * out: rows, key tile, resident keys, slots, warps, with the reason for each
 * What limits them: registers of a thread (accumulators stay in registers), shared memory of a
 * block, and how many blocks then share an SM. */
#include "gpu/gpu.h"
#include "arch/arch.h"
#include <string.h>

enum {
	REGISTERS_MOST = 255, /* of a thread */
	REGISTERS_OTHER = 40, /* addresses, row vectors, loop counters */
	REGISTERS_AIM = 232,  /* leaves ptxas room to schedule */
	OPERAND_BYTES = 2
};

static int pad16(int64_t x)
{
	return (int)((x + 15) / 16 * 16);
}

static void because(gpu_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void because(gpu_plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(&p->why, fmt, ap);
	va_end(ap);
	text_put(&p->why, "\n");
}

/* --- the spec's settings --- */

static const sema_setting *setting(const gpu_plan *p, const char *key)
{
	const sema_spec *s = p->form->spec;
	const sema_setting *found = NULL;

	for (int i = 0; i < s->setting.count; i++) {
		const sema_setting *x = &s->setting.item[i];

		if (strcmp(x->key, key) || (x->target && strcmp(x->target, p->target)))
			continue;
		if (x->axis && x->axis != p->form->inner)
			continue;
		if (!found || x->target)
			found = x;
	}
	return found;
}

static bool multiple(const sema_setting *x, int unit, diags *d)
{
	int64_t below = x->integer / unit * unit;

	if (x->integer > 0 && x->integer % unit == 0)
		return true;
	diag_error(
		d, x->at, "%s = %lld is not a multiple of %d", x->key, (long long)x->integer, unit);
	diag_hint(d, "the nearest is %lld", (long long)(below > 0 ? below : unit));
	return false;
}

/* --- operands --- */

/* 16-bit products: bf16 unless some operand is f16. f32 operands have no lowering of their own. */
static bool collect_types(const expr *x, bool *bf16, bool *f16, const expr **f32)
{
	expr *const *kid;
	int kids;

	if (!x)
		return true;
	if (x->op == EXPR_LOAD) {
		sema_dtype t = x->load.tensor->dtype;

		*bf16 = *bf16 || t == DTYPE_BF16;
		*f16 = *f16 || t == DTYPE_F16;
		if (t == DTYPE_F32 && !*f32)
			*f32 = x;
		return true;
	}
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		collect_types(kid[i], bf16, f16, f32);
	return true;
}

static bool choose_operand(gpu_plan *p, const arch *a, diags *d)
{
	bool bf16 = false, f16 = false;
	const expr *f32 = NULL;

	for (int i = 0; i < p->form->segments; i++)
		collect_types(p->form->segment[i].b, &bf16, &f16, &f32);
	for (int i = 0; i < p->form->outputs; i++)
		collect_types(p->form->output[i].inner, &bf16, &f16, &f32);
	if (f32) {
		diag_error(d, f32->at, "'%s' is f32: this target's products take bf16 or f16",
			f32->load.tensor->name);
		diag_hint(d, "run it with --device cpu, or give the operand a 16-bit type");
		return false;
	}
	p->operand = f16 && !bf16 ? TILE_F16 : TILE_BF16;
	if (p->operand == TILE_BF16 && !arch_has(a, ARCH_MMA_BF16)) {
		diag_error(d, p->form->spec->at, "%s has no bf16 matrix instruction", a->name);
		diag_hint(d, "f16 operands run on it");
		return false;
	}
	return true;
}

static void value_columns(gpu_plan *p)
{
	for (int i = 0; i < p->form->segments; i++) {
		p->d_offset[i] = p->d_pad;
		p->d_pad += pad16(p->form->segment[i].d->extent);
	}
	for (int i = 0; i < p->form->outputs; i++) {
		const model_output *o = &p->form->output[i];

		if (o->kind != OUTPUT_SUM)
			continue;
		p->e_offset[i] = p->e_total;
		p->e_extent[i] = o->e ? (int)o->e->extent : 1;
		p->e_total += pad16(p->e_extent[i]);
	}
}

/* --- resources --- */

/* Rows on their way to registers share the keys' memory. */
static int64_t shared_need(const gpu_plan *p, int resident, int slots)
{
	int64_t keys = (int64_t)slots * resident * p->d_pad * OPERAND_BYTES;
	int64_t values = (int64_t)slots * resident * p->e_total * OPERAND_BYTES;
	int64_t rows = (int64_t)p->rows * p->d_pad * OPERAND_BYTES;

	keys = keys > rows ? keys : rows;
	return (keys + 1023) / 1024 * 1024 + (values + 1023) / 1024 * 1024;
}

/* Registers a thread needs: 16 rows a warp, so a column of accumulators takes half a register. */
static int register_need(const gpu_plan *p, int key_tile)
{
	int n = REGISTERS_OTHER + key_tile / 2 + key_tile / 4;
	int a = p->d_pad / 4; /* one A, packed */

	n += p->e_total / 2;
	n += a;
	if (p->form->outers)
		n += p->e_total / 2 + a + p->d_pad / 8;
	for (int i = 0; i < p->streams.count; i++)
		if (p->streams.item[i].outer < 0 && i > 0 && p->form->outers)
			n += (int)p->streams.item[i].d->extent / 4;
	return n + 16; /* one operand b in flight */
}

static bool choose_key_tile(gpu_plan *p, diags *d)
{
	const sema_setting *x = setting(p, "tile");

	p->key_tile = 64;
	while (p->key_tile > 16 && register_need(p, p->key_tile) > REGISTERS_AIM)
		p->key_tile -= 16;
	if (x) {
		if (!multiple(x, 16, d))
			return false;
		p->key_tile = (int)x->integer;
		because(p, "tile %s = %d: the schedule says so", p->form->inner->name, p->key_tile);
	} else {
		because(p, "tile %s = %d: the most that leaves about %d registers a thread",
			p->form->inner->name, p->key_tile, register_need(p, p->key_tile));
	}
	p->registers = register_need(p, p->key_tile);
	if (p->registers > REGISTERS_MOST + 64) {
		diag_error(d, x ? x->at : p->form->spec->at,
			"the accumulators need about %d registers a thread, a thread has %d",
			p->registers, REGISTERS_MOST);
		diag_hint(d, "smaller head dimensions fit, or --device cpu");
		return false;
	}
	return true;
}

static bool choose_rows(gpu_plan *p, diags *d)
{
	const sema_setting *rows = setting(p, "rows"), *warps = setting(p, "warps");

	p->warps = 4;
	if (warps)
		p->warps = (int)warps->integer;
	if (rows) {
		if (!multiple(rows, 16, d))
			return false;
		p->warps = (int)rows->integer / 16;
		if (warps && warps->integer != p->warps) {
			diag_error(d, rows->at,
				"rows = %lld takes %d warps of 16 rows, warps = %lld",
				(long long)rows->integer, p->warps, (long long)warps->integer);
			return false;
		}
	}
	if (p->warps < 1 || p->warps > 16) {
		diag_error(d, rows ? rows->at : warps->at,
			"a block has 1 to 16 warps of 16 rows, not %d", p->warps);
		diag_hint(d, "rows = %d is the nearest", p->warps < 1 ? 16 : 256);
		return false;
	}
	p->rows = 16 * p->warps;
	because(p, "rows = %d: %d warps of 16 rows%s", p->rows, p->warps,
		p->form->head ? ", heads of a group first, then neighbouring positions" : "");
	return true;
}

/* Resident keys. With outer axes a block of keys is used once per outer step, so more keys save
 * building A and adding W; without, one tile at a time in two slots hides the copies. */
static bool choose_resident(gpu_plan *p, const arch *a, diags *d)
{
	const sema_setting *x = setting(p, "resident"), *stages = setting(p, "stages");
	int64_t most = a->shared_block;

	p->slots = stages ? (int)stages->integer : 2;
	if (p->slots < 1 || p->slots > 2) {
		diag_error(d, stages->at, "stages = %d: this target has 1 or 2", p->slots);
		diag_hint(d, "stages = 2");
		return false;
	}
	p->resident = p->key_tile;
	if (p->form->outers) {
		int wanted = 256 / p->key_tile * p->key_tile;

		if (!stages)
			p->slots = 1;
		p->resident = wanted;
		/* two blocks on an SM hide each other's copies */
		while (p->resident > p->key_tile &&
			shared_need(p, p->resident, p->slots) > a->shared_sm / 2 - 1024)
			p->resident -= p->key_tile;
	}
	if (x) {
		if (!multiple(x, p->key_tile, d))
			return false;
		p->resident = (int)x->integer;
	}
	while (!x && p->slots == 2 && !stages && shared_need(p, p->resident, 2) > most)
		p->slots = 1;
	p->shared_bytes = shared_need(p, p->resident, p->slots);
	if (p->shared_bytes > most) {
		int fits = p->resident;

		while (fits > p->key_tile && shared_need(p, fits, p->slots) > most)
			fits -= p->key_tile;
		diag_error(d, x ? x->at : p->form->spec->at,
			"%d resident keys in %d slots need %lld bytes of shared memory, %s has "
			"%lld",
			p->resident, p->slots, (long long)p->shared_bytes, a->name,
			(long long)most);
		diag_hint(d, "resident %s = %d fits", p->form->inner->name, fits);
		return false;
	}
	because(p, "resident %s = %d in %d slot%s: %lld of %lld bytes of shared memory",
		p->form->inner->name, p->resident, p->slots, p->slots > 1 ? "s" : "",
		(long long)p->shared_bytes, (long long)most);
	return true;
}

bool gpu_plan_make(const row_form *m, const char *target, gpu_plan *p, diags *d)
{
	const arch *a = arch_find(target);

	*p = (gpu_plan){.form = m, .target = target};
	if (!a) {
		const char *near = arch_nearest(target);

		diag_error(d, m->spec->at, "there is no architecture '%s'", target);
		if (near)
			diag_hint(d, "did you mean '%s'?", near);
		return false;
	}
	p->target = a->name;
	because(p, "inner axis %s", m->inner->name);
	if (!model_streams_find(m, &p->streams)) {
		diag_error(d, m->spec->at, "the score and values use more than %d operand vectors",
			MODEL_MAX_STREAMS);
		return false;
	}
	value_columns(p);
	return choose_operand(p, a, d) && choose_rows(p, d) && choose_key_tile(p, d) &&
	       choose_resident(p, a, d);
}

void gpu_plan_print(const gpu_plan *p, text *out)
{
	text_line(out, "plan %s on %s", p->form->spec->name, p->target);
	text_printf(out, "%s", p->why.data ? p->why.data : "");
	text_line(out,
		"operands %s, %d score features, %d value features, about %d registers a thread",
		tile_type_name(p->operand), p->d_pad, p->e_total, p->registers);
}
