/* code: a request's code.
 * in:  a request                out: a signature and code, from the cache or from the stages
 * An artifact is the signature's bytes, then PTX text or a cubin. For a GPU at hand the cubin is made
 * and kept too, so that a later process compiles nothing: by ptxas, or by the driver's own compiler.
 * Where neither can, the driver compiles the PTX when it is loaded. */
#include "device/clock.h"
#include "device/system.h"
#include "runtime/jit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What making an artifact needs. */
typedef struct {
	device_system *system;
	const device_request *request;
	device_build build;
	const arch *machine; /* of the GPU at hand; NULL: there is none */
	rt_ptxas *tool;      /* one of both assembles */
	rt_cuda *driver;
	bool made;
	rt_error error;
} maker;

enum { SIGNATURE = sizeof(rt_kernel_signature) };

/* --- artifacts --- */

static rt_blob *artifact(const rt_kernel_signature *k, const void *code, size_t size)
{
	rt_blob *b = rt_blob_create(SIGNATURE + size);

	if (!b)
		return NULL;
	memcpy(rt_blob_data(b), k, SIGNATURE);
	memcpy((char *)rt_blob_data(b) + SIGNATURE, code, size);
	return b;
}

static const char *artifact_code(rt_blob *b, size_t *size)
{
	*size = rt_blob_size(b) - SIGNATURE;
	return (const char *)rt_blob_data(b) + SIGNATURE;
}

static void release_blob(void *blob)
{
	rt_blob_release(blob);
}

rt_image_source device_artifact_source(rt_blob *b, const arch *a, rt_kernel_signature *k)
{
	rt_image_source s = {.signature = k, .release = release_blob, .owner = b};

	memcpy(k, rt_blob_data(b), sizeof *k);
	snprintf(k->target, sizeof k->target, "%s", a->name);
	s.code = artifact_code(b, &s.size);
	return s;
}

/* --- PTX --- */

static bool make_ptx(void *user, rt_blob **blob)
{
	maker *m = user;
	rt_kernel_signature k;
	text ptx = {0};
	bool made = device_build_until(&m->build, DEVICE_PTX) && device_signature(&m->build, &k) &&
		    device_emit(&m->build, DEVICE_PTX, &ptx);

	m->made = true;
	atomic_fetch_add(&m->system->compiles, 1);
	if (made)
		*blob = artifact(&k, ptx.data, ptx.len);
	text_free(&ptx);
	return made && *blob;
}

static rt_blob *find_ptx(maker *m)
{
	rt_cache_key key = device_key(m->request, NULL, NULL);
	rt_cache *cache = device_cache(m->system);

	return cache ? rt_cache_get_or_make(cache, &key, "ptx", make_ptx, m) : NULL;
}

/* --- machine code --- */

static rt_blob *by_ptxas(maker *m, const rt_kernel_signature *k, const char *ptx, size_t size)
{
	rt_ptxas_options o = {.arch = m->machine->name};
	rt_ptxas_result result;
	rt_blob *blob = NULL;

	if (!rt_ptxas_run(m->tool, ptx, size, &o, &result, &m->error))
		blob = artifact(k, result.cubin, result.size);
	rt_ptxas_result_clear(&result);
	return blob;
}

static rt_blob *by_driver(maker *m, const rt_kernel_signature *k, const char *ptx, size_t size)
{
	rt_blob *blob = NULL;
	void *cubin;
	size_t length;

	if (!rt_jit_compile(m->driver, m->request->device, ptx, size, &cubin, &length, &m->error))
		blob = artifact(k, cubin, length);
	free(cubin);
	return blob;
}

static bool make_cubin(void *user, rt_blob **blob)
{
	maker *m = user;
	rt_blob *ptx = find_ptx(m);
	rt_kernel_signature k;
	const char *code;
	double start;
	size_t size;

	m->made = true;
	if (!ptx)
		return false;
	start = device_clock();
	memcpy(&k, rt_blob_data(ptx), SIGNATURE);
	code = artifact_code(ptx, &size);
	*blob = m->tool ? by_ptxas(m, &k, code, size) : by_driver(m, &k, code, size);
	m->build.times.assemble_ms += device_clock() - start;
	rt_blob_release(ptx);
	return *blob != NULL;
}

static rt_blob *find_cubin(maker *m, const char *assembler)
{
	rt_cache *cache = device_cache(m->system);
	rt_cache_key key;

	if (!assembler || !cache)
		return NULL;
	key = device_key(m->request, assembler, m->machine);
	return rt_cache_get_or_make(cache, &key, "cubin", make_cubin, m);
}

/* By ptxas, where there is one that can; else by the driver. */
static rt_blob *find_machine_code(maker *m)
{
	char version[256];
	rt_blob *blob = NULL;

	m->tool = device_assembler(m->system);
	if (m->tool)
		blob = find_cubin(m, device_assembler_version(m->system, m->tool, m->build.arena));
	m->tool = NULL;
	if (blob || diag_error_count(m->build.diags) || m->error.status == RT_REJECTED)
		return blob;
	rt_error_clear(&m->error);
	if (device_driver(m->system, &m->driver, &m->error) ||
		rt_jit_version(m->driver, m->request->device, version, &m->error))
		return NULL;
	return find_cubin(m, version);
}

/* --- requests --- */

/* The row to assemble code of `a` for on a device of this capability: its own where that is the
 * same, else the device's, which is not an "a" target for code that is none. */
static const arch *machine_for(const arch *a, int major, int minor)
{
	const arch *best = arch_native(major, minor), *all;
	int count;

	if (a->major == major && a->minor == minor)
		return a;
	if (!best || best->kind != ARCH_EXACT)
		return best;
	all = arch_all(&count);
	for (int r = 0; r < count; r++)
		if (all[r].major == best->major && all[r].minor == best->minor &&
			all[r].kind != ARCH_EXACT)
			return &all[r];
	return a;
}

/* Machine code is made for a GPU that can run the request's PTX. */
static void find_machine(maker *m)
{
	int device = m->request->device;
	rt_device_info info;
	rt_cuda *cuda;

	if (device < 0 || device_driver(m->system, &cuda, NULL) ||
		rt_cuda_device(cuda, device, &info, NULL))
		return;
	if (arch_ptx_runs_on(m->request->arch, info.major, info.minor))
		m->machine = machine_for(m->request->arch, info.major, info.minor);
}

/* What no stage has reported yet: our bug, or no memory. */
static void report(maker *m)
{
	loc at = m->request->form->spec->at;

	if (diag_error_count(m->build.diags))
		return;
	if (m->error.status == RT_REJECTED)
		diag_error(m->build.diags, at, "internal fault: the generated code is rejected: %s",
			m->error.message);
	else
		diag_error(m->build.diags, at, "out of memory");
}

static void finish(maker *m, device_times *t, double start)
{
	const device_times *b = &m->build.times;
	double made = b->plan_ms + b->lower_ms + b->verify_ms + b->build_ms + b->optimise_ms +
		      b->generate_ms + b->assemble_ms;

	m->build.times.cache_ms = device_clock() - start - made;
	*t = m->build.times;
	device_build_clear(&m->build);
	rt_error_clear(&m->error);
}

static maker maker_of(device_system *s, const device_request *r, arena *a, diags *d)
{
	return (maker){.system = s,
		.request = r,
		.build = {.arena = a,
			.form = r->form,
			.arch = r->arch,
			.diags = d,
			.choice = r->choice}};
}

rt_blob *device_find(device_system *s, const device_request *r, arena *a, diags *d,
	const arch **code_arch, device_times *t)
{
	maker m = maker_of(s, r, a, d);
	double start = device_clock();
	rt_blob *blob = NULL;

	*code_arch = r->arch;
	find_machine(&m);
	if (m.machine)
		blob = find_machine_code(&m);
	if (blob)
		*code_arch = m.machine;
	else if (!diag_error_count(d) && m.error.status != RT_REJECTED)
		blob = find_ptx(&m);
	if (blob && !m.made)
		atomic_fetch_add(&s->hits, 1);
	if (!blob)
		report(&m);
	finish(&m, t, start);
	return blob;
}

device_kernel *device_compile(
	device_system *s, const device_request *r, arena *a, diags *d, device_times *t)
{
	const arch *code_arch;
	rt_blob *blob = device_find(s, r, a, d, &code_arch, t);
	device_kernel *k = blob ? device_wrap(s, r, blob, code_arch) : NULL;

	if (blob && !k)
		diag_error(d, r->form->spec->at, "out of memory");
	return k;
}

device_kernel *device_adopt(device_system *s, const device_request *r, const void *image,
	size_t size, arena *a, diags *d, device_times *t)
{
	maker m = maker_of(s, r, a, d);
	double start = device_clock();
	rt_kernel_signature signature;
	device_kernel *k = NULL;
	rt_blob *blob = NULL;

	if (device_build_until(&m.build, DEVICE_TILE) && device_signature(&m.build, &signature)) {
		signature.heads_least = signature.heads_most = 0; /* it takes every launch */
		blob = artifact(&signature, image, size);
	}
	if (blob)
		k = device_wrap(s, r, blob, r->arch);
	if (!k)
		report(&m);
	finish(&m, t, start);
	return k;
}
