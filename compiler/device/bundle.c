/* bundle: a spec compiled ahead of time for several targets.
 * in:  a row form and a target, one call a target      out: images of a bundle's kernel
 * A target whose kernel moves tensors by TMA gives an image for all other tensors too, and images for
 * few heads a group where gpu_variants has them. */
#include "device/device.h"
#include "device/clock.h"
#include <string.h>

const arch *device_portable_arch(const arch *a)
{
	const arch *row = arch_all(NULL), *best = NULL;
	int count;

	for (arch_all(&count); count > 0; count--, row++)
		if (!arch_has(row, ARCH_WGMMA) && arch_ptx_runs_on(row, a->major, a->minor))
			best = row;
	return best;
}

static bool add_image(device_bundle *b, const rt_kernel_signature *k, const void *code, size_t size)
{
	rt_bundle_image *i = &b->image[b->images];

	if (b->images == RT_BUNDLE_IMAGES)
		return false;
	b->images++;
	i->signature = *k;
	i->code = arena_strndup(b->arena, code, size);
	i->size = size;
	return true;
}

static bool has_target(const device_bundle *b, const char *name)
{
	for (int i = 0; i < b->images; i++)
		if (!strcmp(b->image[i].signature.target, name))
			return true;
	return false;
}

static bool add_cubin(
	device_bundle *b, const rt_kernel_signature *k, const text *ptx, rt_error *err)
{
	rt_ptxas_options o = {.arch = k->target};
	rt_ptxas_result r;
	double start = device_clock();
	bool made = !rt_ptxas_run(b->assembler, ptx->data, ptx->len, &o, &r, err);

	b->times.assemble_ms += device_clock() - start;
	if (made)
		made = add_image(b, k, r.cubin, r.size);
	rt_ptxas_result_clear(&r);
	return made;
}

static bool add_plan(device_bundle *b, const row_form *form, const arch *a,
	const gpu_choice *choice, diags *d, bool *by_tma, rt_error *err)
{
	device_build build = {
		.arena = b->arena, .form = form, .arch = a, .diags = d, .choice = choice};
	rt_kernel_signature k;
	text ptx = {0};
	bool made = true;

	made = device_build_until(&build, DEVICE_PTX) && device_signature(&build, &k) &&
	       device_emit(&build, DEVICE_PTX, &ptx);
	if (made && b->assembler)
		made = add_cubin(b, &k, &ptx, err);
	made = made && add_image(b, &k, ptx.data, ptx.len);
	*by_tma = made && k.maps > 0;
	device_times_add(&b->times, &build.times);
	text_free(&ptx);
	device_build_clear(&build);
	return made;
}

bool device_bundle_add(device_bundle *b, const row_form *form, const arch *a, diags *d,
	bool *by_tma, rt_error *err)
{
	gpu_choice variant[GPU_VARIANTS];
	bool made, tma;
	int n;

	*by_tma = false;
	if (has_target(b, a->name))
		return true;
	made = add_plan(b, form, a, NULL, d, by_tma, err);
	n = made ? gpu_variants(form, a->name, variant) : 0;
	for (int i = 0; i < n && made; i++)
		made = add_plan(b, form, a, &variant[i], d, &tma, err);
	return made;
}
