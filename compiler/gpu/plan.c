/* plan.c: sizes of a GPU kernel.
 * in:  a row form, the architecture's row, the spec's schedule settings for the target
 * out: rows, key tile, resident keys, slots, warps, with the reason for each
 * What limits them: registers of a thread (accumulators stay in registers), shared memory of a
 * block, and how many blocks then share an SM. */
#include "gpu/hopper_internal.h"
#include "arch/arch.h"
#include <string.h>

enum {
	REGISTERS_MOST = 255, /* of a thread */
	REGISTERS_OTHER = 40, /* addresses, row vectors, loop counters */
	REGISTERS_AIM = 244   /* leaves ptxas room to schedule */
};

static int pad16(int64_t x)
{
	return (int)((x + 15) / 16 * 16);
}

void gpu_because(gpu_plan *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_vprintf(&p->why, fmt, ap);
	va_end(ap);
	text_put(&p->why, "\n");
}

/* --- the spec's settings --- */

/* A schedule for a target with products of warpgroups is for that family: its sizes make no sense
 * here. */
static bool is_for(const gpu_plan *p, const sema_setting *x)
{
	const arch *a = x->target ? arch_find(x->target) : NULL;

	if (x->target && strcmp(x->target, p->target))
		return false;
	return !a || p->family == GPU_WGMMA || !arch_has(a, ARCH_WGMMA);
}

const sema_setting *gpu_setting(const gpu_plan *p, const char *key)
{
	const sema_spec *s = p->form->spec;
	const sema_setting *found = NULL;

	for (int i = 0; i < s->setting.count; i++) {
		const sema_setting *x = &s->setting.item[i];

		if (strcmp(x->key, key) || !is_for(p, x))
			continue;
		if (x->axis && x->axis != p->form->inner)
			continue;
		if (!found || x->target)
			found = x;
	}
	for (int i = 0; p->choice && !found && i < p->choice->count; i++)
		if (!strcmp(p->choice->item[i].key, key))
			found = &p->choice->item[i];
	return found;
}

/* Who asks for a setting. */
static const char *asks(const gpu_plan *p, const sema_setting *x)
{
	for (int i = 0; p->choice && i < p->choice->count; i++)
		if (x == &p->choice->item[i])
			return "tuned";
	return "the schedule says so";
}

static void because_tuned(gpu_plan *p)
{
	text t = {0};

	if (!p->choice || !p->choice->device)
		return;
	gpu_choice_print(p->choice, &t);
	gpu_because(p, "tuned on %s: %s", p->choice->device,
		t.data ? t.data : "the planner's own sizes are the fastest");
	text_free(&t);
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

/* Types of the vectors along d that the query, or a key, brings into a product. Numbers that are the
 * same for all positions, or for all features, are not operands. */
typedef struct {
	bool bf16, f16, f32;
	loc at; /* of an f32 one */
} operand_types;

static bool by_position(const expr *x)
{
	for (int i = 0; i < x->load.tensor->rank; i++)
		if (x->load.sub[i]->op == EXPR_COORD && x->load.sub[i]->axis->kind != AXIS_FEATURE)
			return true;
	return false;
}

static void collect_types(const expr *x, const sema_axis *d, operand_types *t)
{
	expr *const *kid;
	int kids;

	if (!x)
		return;
	if (x->op == EXPR_LOAD) {
		sema_dtype type = x->load.tensor->dtype;

		if (!by_position(x) || (d && !expr_depends(x, d)))
			return;
		t->bf16 = t->bf16 || type == DTYPE_BF16;
		t->f16 = t->f16 || type == DTYPE_F16;
		if (type == DTYPE_F32 && !t->f32) {
			t->f32 = true;
			t->at = x->at;
		}
		return;
	}
	kids = expr_kids(x, &kid);
	for (int i = 0; i < kids; i++)
		collect_types(kid[i], d, t);
}

/* f32 where some operand is, 16 bits else: bf16 unless all are f16. Computed operands take `other`'s
 * type. */
static bool product_type(
	const operand_types *t, const arch *a, loc at, tile_type other, tile_type *type, diags *d)
{
	bool none = !t->bf16 && !t->f16 && !t->f32;

	*type = t->f32 ? TILE_F32 : none ? other : t->bf16 ? TILE_BF16 : TILE_F16;
	if (*type == TILE_F32 && !arch_has(a, ARCH_MMA_TF32)) {
		diag_error(d, t->f32 ? t->at : at, "%s has no matrix instruction for f32 operands",
			a->name);
		diag_hint(d, "f16 operands run on it; f32 ones on sm_80 and later");
		return false;
	}
	if (*type == TILE_BF16 && !arch_has(a, ARCH_MMA_BF16)) {
		diag_error(d, at, "%s has no bf16 matrix instruction", a->name);
		diag_hint(d, "f16 operands run on it");
		return false;
	}
	return true;
}

static bool choose_operands(gpu_plan *p, const arch *a, diags *d)
{
	const row_form *m = p->form;
	operand_types keys = {0}, values = {0};
	tile_type most = arch_has(a, ARCH_MMA_TF32) ? TILE_F32 : TILE_F16;
	loc at = m->spec->at;

	for (int i = 0; i < m->segments; i++) {
		collect_types(m->segment[i].a, m->segment[i].d, &keys);
		collect_types(m->segment[i].b, m->segment[i].d, &keys);
	}
	for (int i = 0; i < m->outputs; i++)
		collect_types(m->output[i].inner, m->output[i].e, &values);
	if (!keys.bf16 && !keys.f16 && !keys.f32)
		return product_type(&values, a, at, most, &p->value_operand, d) &&
		       product_type(&keys, a, at, p->value_operand, &p->operand, d);
	return product_type(&keys, a, at, most, &p->operand, d) &&
	       product_type(&values, a, at, p->operand, &p->value_operand, d);
}

static void place_columns(gpu_plan *p)
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

/* Value columns in shared memory and in accumulators at a time. */
static int value_columns(const gpu_plan *p)
{
	return p->e_part ? p->e_part : p->e_total;
}

/* Rows on their way to registers share the keys' memory. */
static int64_t shared_need(const gpu_plan *p, int resident, int slots)
{
	int key_bytes = tile_type_bytes(p->operand),
	    value_bytes = tile_type_bytes(p->value_operand);
	int64_t keys = (int64_t)slots * resident * p->d_pad * key_bytes;
	int64_t values = (int64_t)slots * resident * value_columns(p) * value_bytes;
	int64_t rows = (int64_t)p->rows * p->d_pad * key_bytes;

	keys = keys > rows || p->rows_shared ? keys : rows;
	return (keys + 1023) / 1024 * 1024 + (values + 1023) / 1024 * 1024 + gpu_stage_bytes(p) +
	       gpu_row_sums_bytes(p);
}

static int warp_rows(const gpu_plan *p)
{
	return p->rows / p->warps;
}

static bool keys_copied(const gpu_plan *p)
{
	bool all = true;

	for (int i = 0; i < p->form->segments; i++)
		all = all && gpu_copyable(p, p->form->segment[i].b, p->form->segment[i].d);
	return all;
}

/* A bound of a window that is more than a position or a number. */
static int computed(const expr *bound)
{
	return bound && bound->op != EXPR_COORD && bound->op != EXPR_CONST_INT;
}

/* Registers for what tiles at the edge of a window, and copies, compute from. */
static int edge_registers(const gpu_plan *p)
{
	const row_form *m = p->form;
	int n = computed(m->inner->window.first) + computed(m->inner->window.last);

	for (int o = 0; o < m->outers; o++)
		n += computed(m->outer[o]->window.first) + computed(m->outer[o]->window.last);
	n += m->head != NULL;
	n += !keys_copied(p);
	n += 2 * (m->c != NULL);
	return 2 * n;
}

/* Registers a thread needs: for 16 rows of a warp a column of accumulators takes half a register.
 * Addresses, loop bounds, row vectors and the operands on their way are what the assembler was seen
 * to add, over all shipped specs. */
static int register_need(const gpu_plan *p, int key_tile)
{
	bool packed = p->operand != TILE_F32;
	int each = packed ? 4 : 1; /* columns of A in a register; split, one of f32 takes two */
	int rows16 = warp_rows(p) / 16;
	bool late = p->a_late || (p->rows_shared && !p->form->outers);
	int n = REGISTERS_OTHER + edge_registers(p), a = late ? 16 / each : p->d_pad / each;

	if (p->a_late && packed)
		n += 40; /* what A is made from */
	if (!packed)
		n += key_tile / 4;
	if (p->value_operand == TILE_F32)
		n += 16; /* P and V, split */
	n += rows16 * (value_columns(p) / 2 + a + key_tile / 2 + 4);
	if (p->form->outers > 1 && packed)
		n += rows16 * a; /* what rounding left of A */
	if (p->form->outers)
		n += rows16 * value_columns(p) / 2 + 2;
	return n;
}

/* Whether the resident keys that a schedule names can be walked over in such tiles. */
static bool divides(const gpu_plan *p, int key_tile)
{
	const sema_setting *resident = gpu_setting(p, "resident");

	return !resident || resident->integer % 16 || resident->integer % key_tile == 0;
}

/* The largest key tile that fits `most` registers, down to `least`; false: none does. */
static bool fit_key_tile(gpu_plan *p, int fixed, int least, int most)
{
	p->key_tile = fixed ? fixed : 64;
	while (register_need(p, p->key_tile) > most || (!fixed && !divides(p, p->key_tile))) {
		if (fixed || p->key_tile <= least)
			return false;
		p->key_tile -= 16;
	}
	return true;
}

/* What gives way, in this order: the key tile; A in registers; the sums of all value features at
 * once, which costs the scores again. */
static void fit_registers(gpu_plan *p, int fixed)
{
	int aim = fixed ? REGISTERS_MOST : REGISTERS_AIM;
	const struct {
		bool late;
		int least, most;
	} attempt[] = {{false, 32, aim}, {true, 32, aim}, {false, 16, aim},
		{false, 16, REGISTERS_MOST}, {true, 16, REGISTERS_MOST}};
	bool shared = p->rows_shared;

	for (int parts = 1; parts <= p->e_total / 16 || parts == 1; parts++) {
		p->e_part = parts > 1 ? pad16((p->e_total + parts - 1) / parts) : 0;
		for (size_t i = 0; i < sizeof attempt / sizeof *attempt; i++) {
			p->a_late = attempt[i].late;
			p->rows_shared = shared || p->a_late;
			if (fit_key_tile(p, fixed, attempt[i].least, attempt[i].most))
				return;
		}
	}
}

static bool choose_key_tile(gpu_plan *p, diags *d)
{
	const sema_setting *x = gpu_setting(p, "tile");

	if (x && !multiple(x, 16, d))
		return false;
	fit_registers(p, x ? (int)x->integer : 0);
	if (x) {
		gpu_because(p, "tile %s = %d: %s", p->form->inner->name, p->key_tile, asks(p, x));
	} else {
		gpu_because(p, "tile %s = %d: the most that leaves about %d registers a thread",
			p->form->inner->name, p->key_tile, register_need(p, p->key_tile));
	}
	p->registers = register_need(p, p->key_tile);
	if (p->a_late)
		gpu_because(p, "A is made at each product: held, it would take %d registers",
			p->d_pad / (p->operand == TILE_F32 ? 2 : 4));
	if (p->e_part)
		gpu_because(p,
			"the keys are walked over %d times, for %d of %d value features each",
			gpu_parts(p), p->e_part, p->e_total);
	if (p->registers <= REGISTERS_MOST + 64)
		return true;
	diag_error(d, x ? x->at : p->form->spec->at,
		"the accumulators need about %d registers a thread, a thread has %d", p->registers,
		REGISTERS_MOST);
	diag_hint(d, "smaller tiles fit");
	return false;
}

/* Whether A is the rows as they are: then they can be read from shared memory at each product. */
static bool rows_are_a(const gpu_plan *p)
{
	const row_form *m = p->form;
	bool all = !m->outers && gpu_linear_scale(m) > 0;

	for (int i = 0; i < m->segments; i++) {
		int s = model_stream_find(&p->streams, m->segment[i].a);

		all = all && s >= 0 && p->streams.item[s].outer < 0;
	}
	return all;
}

/* Whether nothing but the products happens to a tile that all rows see, and rows and keys are copied:
 * anything else needs registers beside the accumulators. */
static bool is_plain(const gpu_plan *p)
{
	const row_form *m = p->form;
	bool plain = m->f_linear && m->masks == 0 && !m->c && keys_copied(p);

	for (int i = 0; i < m->segments; i++)
		plain = plain && m->segment[i].a->op == EXPR_LOAD;
	return plain;
}

/* The rows of a block when the schedule names none. Each ldmatrix of keys or values serves all rows
 * of a warp, so 32 of them halve the traffic of shared memory, where accumulators for so many fit
 * into registers. With outer axes a block of many rows shares a large block of resident keys; rows
 * that are heads of one group see the same keys, so that more of them hide nothing. */
static int default_rows(gpu_plan *p)
{
	const row_form *m = p->form;
	bool packed = p->operand != TILE_F32 && p->value_operand != TILE_F32;
	bool fits;

	p->warps = 4;
	p->rows = 128;
	p->rows_shared = true;
	fits = packed && is_plain(p) && rows_are_a(p) && register_need(p, 48) <= REGISTERS_AIM;
	if (m->outers && packed && m->head && m->head->group)
		p->warps = 8;
	return fits ? 32 : 16;
}

static bool choose_rows(gpu_plan *p, diags *d)
{
	const sema_setting *rows = gpu_setting(p, "rows"), *warps = gpu_setting(p, "warps");
	int most, each = 16;

	if (warps)
		p->warps = (int)warps->integer;
	else if (rows)
		p->warps = (int)rows->integer / 16;
	else
		each = default_rows(p);
	if (rows && !multiple(rows, 16, d))
		return false;
	if (rows && warps) {
		each = p->warps > 0 ? (int)rows->integer / p->warps : 0;
		if (each * p->warps != rows->integer || (each != 16 && each != 32)) {
			diag_error(d, rows->at,
				"rows = %lld and warps = %lld: a warp has 16 or 32 rows",
				(long long)rows->integer, (long long)warps->integer);
			diag_hint(d, "warps = %lld", (long long)rows->integer / 16);
			return false;
		}
	}
	most = each == 32 ? 8 : 16;
	if (p->warps < 1 || p->warps > most) {
		diag_error(d, rows ? rows->at : warps->at,
			"a block has 1 to %d warps of %d rows, not %d", most, each, p->warps);
		diag_hint(d, "rows = %d is the nearest", p->warps < 1 ? 16 : 256);
		return false;
	}
	p->rows = each * p->warps;
	p->rows_shared = p->form->outers > 0 || (each == 32 && rows_are_a(p));
	gpu_because(p, "rows = %d: %d warps of %d rows%s", p->rows, p->warps, each,
		p->form->head ? ", heads of a group first, then neighbouring positions" : "");
	return true;
}

/* One step towards less shared memory, the cheapest first; what the schedule sets stays. */
static bool give_way(gpu_plan *p)
{
	bool tile = !gpu_setting(p, "tile") && !gpu_setting(p, "resident");
	bool rows = !gpu_setting(p, "rows") && !gpu_setting(p, "warps");

	if (p->slots == 2 && !gpu_setting(p, "stages")) {
		p->slots = 1;
	} else if (p->resident > p->key_tile && !gpu_setting(p, "resident")) {
		p->resident -= p->key_tile;
	} else if (p->stage > 4) {
		p->stage /= 2;
	} else if (tile && p->key_tile > 32) {
		p->resident = p->key_tile -= 16;
	} else if (rows && p->warps > 1) {
		p->rows = p->rows / p->warps * (p->warps / 2);
		p->warps /= 2;
	} else if (tile && p->key_tile > 16) {
		p->resident = p->key_tile -= 16;
	} else if (p->stage) {
		p->stage = 0;
	} else {
		return false;
	}
	return true;
}

static void fit_shared(gpu_plan *p, int64_t most)
{
	int tile = p->key_tile, rows = p->rows;

	while (shared_need(p, p->resident, p->slots) > most && give_way(p))
		continue;
	if (tile != p->key_tile || rows != p->rows)
		gpu_because(p, "%d rows and tile %s = %d: more do not fit shared memory", p->rows,
			p->form->inner->name, p->key_tile);
}

/* f32 keys take twice the memory: a smaller tile lets two blocks of order 1 share an SM. */
static void share_sm(gpu_plan *p, const arch *a)
{
	int tile = p->key_tile;

	if (p->form->outers || p->operand != TILE_F32 || gpu_setting(p, "tile"))
		return;
	while (tile > 32 && shared_need(p, tile, p->slots) > a->shared_sm / 2 - 1024)
		tile -= 16;
	if (tile == p->key_tile || shared_need(p, tile, p->slots) > a->shared_sm / 2 - 1024)
		return;
	p->resident = p->key_tile = tile;
	gpu_because(p, "tile %s = %d: two blocks share an SM", p->form->inner->name, tile);
}

/* Resident keys. With outer axes a block of keys is used once per outer step, so more keys save
 * building A and adding W; without, one tile at a time in two slots hides the copies. */
static bool choose_resident(gpu_plan *p, const arch *a, diags *d)
{
	const sema_setting *x = gpu_setting(p, "resident"), *stages = gpu_setting(p, "stages");
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
		/* a block of few warps shares an SM with another: they hide each other's copies */
		int64_t share = p->warps < 8 ? a->shared_sm / 2 - 1024 : most;

		p->stage = p->form->outers > 1 ? 16 : 32;

		if (!stages)
			p->slots = 1;
		p->resident = wanted;
		while (p->resident > p->key_tile && shared_need(p, p->resident, p->slots) > share)
			p->resident -= p->key_tile;
	}
	share_sm(p, a);
	if (x) {
		if (!multiple(x, p->key_tile, d))
			return false;
		p->resident = (int)x->integer;
	}
	fit_shared(p, most);
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
	gpu_because(p, "resident %s = %d in %d slot%s: %lld of %lld bytes of shared memory",
		p->form->inner->name, p->resident, p->slots, p->slots > 1 ? "s" : "",
		(long long)p->shared_bytes, (long long)most);
	return true;
}

bool gpu_plan_make(
	const row_form *m, const char *target, const gpu_choice *choice, gpu_plan *p, diags *d)
{
	const arch *a = arch_find(target);

	*p = (gpu_plan){.form = m, .target = target, .choice = choice};
	if (!a) {
		const char *near = arch_nearest(target);

		diag_error(d, m->spec->at, "there is no architecture '%s'", target);
		if (near)
			diag_hint(d, "did you mean '%s'?", near);
		return false;
	}
	p->target = a->name;
	because_tuned(p);
	gpu_because(p, "inner axis %s", m->inner->name);
	if (!model_streams_find(m, &p->streams)) {
		diag_error(d, m->spec->at, "the score and values use more than %d operand vectors",
			MODEL_MAX_STREAMS);
		return false;
	}
	place_columns(p);
	if (!choose_operands(p, a, d))
		return false;
	if (hopper_plan(p, a, d)) {
		gpu_plan_heads(p);
		return true;
	}
	return !diag_error_count(d) && choose_rows(p, d) && choose_key_tile(p, d) &&
	       choose_resident(p, a, d);
}

void gpu_plan_print(const gpu_plan *p, text *out)
{
	text_line(out, "plan %s on %s", p->form->spec->name, p->target);
	text_printf(out, "%s", p->why.data ? p->why.data : "");
	text_line(out,
		"operands %s and %s, %d score features, %d value features, about %d registers a "
		"thread",
		tile_type_name(p->operand), tile_type_name(p->value_operand), p->d_pad, p->e_total,
		p->registers);
}
