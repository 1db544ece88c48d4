/* kernel: code for a request, and its life on GPUs.
 * in:  a request                out: a signature and code, from the cache or from the stages
 * An artifact is the signature's bytes, then PTX text or a cubin. Where ptxas is installed the cubin
 * is kept too, so that a later load compiles nothing; else the driver compiles the PTX when it is
 * loaded and keeps the result in its own cache. */
#include "device/clock.h"
#include "device/system.h"
#include <stdlib.h>
#include <string.h>

struct device_kernel {
	device_system *system;
	rt_blob *blob;
	rt_kernel_signature signature; /* of the blob */
	const arch *arch;
	bool is_cubin;
	pthread_mutex_t lock; /* guards making the module */
	_Atomic(rt_module *) module;
	_Atomic int loads; /* of the module, already counted in the system */
};

/* What making an artifact needs. */
typedef struct {
	device_system *system;
	const device_request *request;
	rt_ptxas *tool;
	device_build build;
	bool made, refused; /* refused: ptxas is too old or cannot be run, take the PTX */
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

static const char *code_of(rt_blob *b, size_t *size)
{
	*size = rt_blob_size(b) - SIGNATURE;
	return (const char *)rt_blob_data(b) + SIGNATURE;
}

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
	rt_cache_key key = device_key(m->request, NULL);
	rt_cache *cache = device_cache(m->system);

	return cache ? rt_cache_get_or_make(cache, &key, "ptx", make_ptx, m) : NULL;
}

/* The generated PTX is wrong when ptxas rejects it: our bug. */
static bool assemble(maker *m, rt_blob *ptx, rt_blob **blob)
{
	rt_ptxas_options o = {.arch = m->request->arch->name};
	double start = device_clock();
	rt_ptxas_result result;
	rt_kernel_signature k;
	size_t size;
	const char *code = code_of(ptx, &size);
	rt_status status = rt_ptxas_run(m->tool, code, size, &o, &result, &m->error);

	m->build.times.assemble_ms += device_clock() - start;
	memcpy(&k, rt_blob_data(ptx), SIGNATURE);
	if (status == RT_REJECTED)
		diag_error(m->build.diags, m->build.form->spec->at,
			"internal fault: ptxas rejects the generated code: %s", m->error.message);
	m->refused = status == RT_OLD_TOOL || status == RT_TOOL || status == RT_TIMEOUT;
	if (!status)
		*blob = artifact(&k, result.cubin, result.size);
	rt_ptxas_result_clear(&result);
	return !status && *blob;
}

static bool make_cubin(void *user, rt_blob **blob)
{
	maker *m = user;
	rt_blob *ptx = find_ptx(m);
	bool made = ptx && assemble(m, ptx, blob);

	m->made = true;
	rt_blob_release(ptx);
	return made;
}

static rt_blob *find_cubin(maker *m)
{
	const char *version = device_assembler_version(m->system, m->tool, m->build.arena);
	rt_cache *cache = device_cache(m->system);
	rt_cache_key key;

	m->refused = !version;
	if (!version || !cache)
		return NULL;
	key = device_key(m->request, version);
	return rt_cache_get_or_make(cache, &key, "cubin", make_cubin, m);
}

/* --- kernels --- */

static device_kernel *wrap(maker *m, rt_blob *blob, bool is_cubin)
{
	device_kernel *k = calloc(1, sizeof *k);

	if (!k) {
		rt_blob_release(blob);
		return NULL;
	}
	k->system = m->system;
	k->blob = blob;
	k->arch = m->request->arch;
	k->is_cubin = is_cubin;
	memcpy(&k->signature, rt_blob_data(blob), SIGNATURE);
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

static void report_memory(maker *m)
{
	if (!diag_error_count(m->build.diags))
		diag_error(m->build.diags, m->request->form->spec->at, "out of memory");
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
		.build = {.arena = a, .form = r->form, .arch = r->arch, .diags = d}};
}

device_kernel *device_compile(
	device_system *s, const device_request *r, arena *a, diags *d, device_times *t)
{
	maker m = maker_of(s, r, a, d);
	double start = device_clock();
	device_kernel *k = NULL;
	rt_blob *blob = NULL;
	bool is_cubin;

	m.tool = device_assembler(s);
	if (m.tool)
		blob = find_cubin(&m);
	is_cubin = blob != NULL;
	if (!blob && (!m.tool || m.refused))
		blob = find_ptx(&m);
	if (blob && !m.made)
		atomic_fetch_add(&s->hits, 1);
	if (blob)
		k = wrap(&m, blob, is_cubin);
	if (!k)
		report_memory(&m);
	finish(&m, t, start);
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

	if (device_build_until(&m.build, DEVICE_TILE) && device_signature(&m.build, &signature))
		blob = artifact(&signature, image, size);
	if (blob)
		k = wrap(&m, blob, size >= 4 && !memcmp(image, "\177ELF", 4));
	if (!k)
		report_memory(&m);
	finish(&m, t, start);
	return k;
}

void device_destroy(device_kernel *k)
{
	if (!k)
		return;
	rt_module_destroy(atomic_load(&k->module));
	rt_blob_release(k->blob);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

const rt_kernel_signature *device_describe(const device_kernel *k)
{
	return &k->signature;
}

const void *device_code(const device_kernel *k, size_t *size, bool *is_cubin)
{
	*is_cubin = k->is_cubin;
	return code_of(k->blob, size);
}

/* --- on a GPU --- */

static rt_status make_module(device_kernel *k, rt_module **module, rt_error *err)
{
	rt_module_source code = {
		.kernel = k->signature.entry, .shared = (unsigned)k->signature.shared};
	rt_cuda *cuda;
	rt_status status = device_driver(k->system, &cuda, err);

	if (status)
		return status;
	code.image = code_of(k->blob, &code.size);
	pthread_mutex_lock(&k->lock);
	*module = atomic_load(&k->module);
	if (!*module) {
		status = rt_module_create(cuda, &code, module, err);
		if (!status)
			atomic_store_explicit(&k->module, *module, memory_order_release);
	}
	pthread_mutex_unlock(&k->lock);
	return status;
}

static rt_status find_module(device_kernel *k, rt_module **module, rt_error *err)
{
	*module = atomic_load_explicit(&k->module, memory_order_acquire);
	return *module ? RT_OK : make_module(k, module, err);
}

static void count_loads(device_kernel *k, rt_module *module)
{
	int now = rt_module_loads(module), before = atomic_load(&k->loads);

	while (now > before)
		if (atomic_compare_exchange_weak(&k->loads, &before, now)) {
			atomic_fetch_add(&k->system->loads, (uint64_t)(now - before));
			return;
		}
}

/* Names both architectures where the driver only says that there is no image. */
static rt_status check_arch(device_kernel *k, int device, rt_error *err)
{
	rt_device_info info;
	rt_cuda *cuda;
	rt_status status = device_driver(k->system, &cuda, err);

	if (!status && device == RT_CURRENT)
		status = rt_cuda_current(cuda, &device, err);
	if (!status)
		status = rt_cuda_device(cuda, device, &info, err);
	if (status)
		return status;
	if (k->is_cubin ? arch_cubin_runs_on(k->arch, info.major, info.minor)
			: arch_ptx_runs_on(k->arch, info.major, info.minor))
		return RT_OK;
	return rt_error_set(err, RT_NO_CODE, NULL,
		"kernel '%s' is compiled for %s; GPU %d (%s) has compute capability %d.%d",
		k->signature.entry, k->arch->name, device, info.name, info.major, info.minor);
}

rt_status device_prepare(device_kernel *k, int device, rt_error *err)
{
	rt_module *module;
	rt_status status = check_arch(k, device, err);

	if (!status)
		status = find_module(k, &module, err);
	if (!status)
		status = rt_module_prepare(module, device, err);
	if (!status)
		count_loads(k, module);
	return status;
}

rt_status device_launch(
	device_kernel *k, const rt_kernel_args *args, int device, cu_stream stream, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(k, &module, err);

	if (!status)
		status = rt_kernel_launch(module, &k->signature, args, device, stream, err);
	if (status == RT_NO_CODE)
		status = check_arch(k, device, err) ? RT_NO_CODE : status;
	if (!status)
		count_loads(k, module);
	return status;
}

rt_status device_inspect(device_kernel *k, int device, rt_module_info *info, rt_error *err)
{
	rt_module *module;
	rt_status status = find_module(k, &module, err);

	if (status)
		return status;
	return rt_module_describe(module, device, k->signature.threads, info, err);
}
