/* program: which image of a kernel takes a launch.
 * in:  images for several targets, perhaps several for one: by TMA, and for every layout; for ranges of
 *      heads
 * out: the best one for the device, then for the heads, then for the tensors; what is missing is made
 *      on demand
 * relies on: images that are not changed after the first launch. */
#include "runtime/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIANTS = 4 };

struct rt_program {
	rt_gpu *gpu;
	char *name;
	int images;
	rt_image *image[RT_PROGRAM_IMAGES];
	rt_program_make *make;
	void *user;
	_Atomic(rt_image *) made;              /* on demand, for every tensor */
	_Atomic(rt_image *) variant[VARIANTS]; /* on demand, for ranges of heads; no gaps */
	_Atomic bool no_variants;  /* one could not be made or loaded: the images have to do */
	_Atomic uint32_t unusable; /* bit n: this driver cannot load image n */
};

_Static_assert(RT_PROGRAM_IMAGES <= 32, "a bit for each");

rt_program *rt_program_create(rt_gpu *gpu, const char *name)
{
	rt_program *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->gpu = gpu;
	p->name = strdup(name);
	if (p->name)
		return p;
	free(p);
	return NULL;
}

void rt_program_destroy(rt_program *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->images; i++)
		rt_image_destroy(p->image[i]);
	rt_image_destroy(atomic_load(&p->made));
	for (int i = 0; i < VARIANTS; i++)
		rt_image_destroy(atomic_load(&p->variant[i]));
	free(p->name);
	free(p);
}

bool rt_program_add(rt_program *p, const rt_image_source *source)
{
	if (p->images == RT_PROGRAM_IMAGES) {
		if (source->release)
			source->release(source->owner);
		return false;
	}
	p->image[p->images] = rt_image_create(p->gpu, source);
	if (!p->image[p->images])
		return false;
	p->images++;
	return true;
}

void rt_program_on_demand(rt_program *p, rt_program_make *make, void *user)
{
	p->make = make;
	p->user = user;
}

const void *rt_program_code(const rt_program *p, size_t *size)
{
	return rt_image_code(p->image[0], size);
}

/* --- by device --- */

static bool has_maps(const rt_image *i)
{
	return rt_image_signature(i)->maps > 0;
}

/* The best image that runs on the capability, of equal ones the first that suits so many heads; NULL:
 * none does. */
static rt_image *best_image(const rt_program *p, int capability, bool maps, int64_t heads)
{
	uint32_t unusable = atomic_load_explicit(&p->unusable, memory_order_relaxed);
	rt_image *best = NULL;
	int rank = -1;

	for (int i = 0; i < p->images; i++) {
		rt_image *x = p->image[i];
		const char *target = rt_image_signature(x)->target;
		int r = 2 * rt_target_rank(target, rt_image_is_cubin(x)) +
			rt_kernel_suits(rt_image_signature(x), heads);

		if (r > rank && !(unusable >> i & 1) && (maps || !has_maps(x)) &&
			rt_target_runs(target, rt_image_is_cubin(x), capability)) {
			best = x;
			rank = r;
		}
	}
	return best;
}

void rt_program_targets(const rt_program *p, const char *separator, char *out, size_t size)
{
	size_t n = 0;

	*out = 0;
	for (int i = 0; i < p->images && n < size; i++) {
		const char *target = rt_image_signature(p->image[i])->target;
		bool known = false;

		for (int j = 0; j < i; j++)
			known |= !strcmp(rt_image_signature(p->image[j])->target, target);
		if (!known)
			n += (size_t)snprintf(
				out + n, size - n, "%s%s", n ? separator : "", target);
	}
}

static rt_status no_code(rt_program *p, rt_cuda *cuda, int device, rt_error *err)
{
	char targets[256];
	rt_device_info info;
	rt_status status = rt_cuda_device(cuda, device, &info, err);

	if (status)
		return status;
	rt_program_targets(p, ", ", targets, sizeof targets);
	return rt_error_set(err, RT_NO_CODE, NULL,
		"the kernel was compiled for %s; GPU %d (%s) has compute capability %d.%d", targets,
		device, info.name, info.major, info.minor);
}

/* The device that a launch names, and its best image for so many heads (0: any). */
static rt_status find_image(
	rt_program *p, int device, bool maps, int64_t heads, rt_image **image, rt_error *err)
{
	rt_cuda *cuda;
	int capability;
	rt_status status = rt_gpu_driver(p->gpu, &cuda, err);

	*image = NULL;
	if (!status && device == RT_CURRENT)
		status = rt_cuda_current(cuda, &device, err);
	if (!status)
		status = rt_cuda_capability(cuda, device, &capability, err);
	if (status)
		return status;
	*image = best_image(p, capability, maps, heads);
	return *image || !maps ? RT_OK : no_code(p, cuda, device, err);
}

rt_status rt_program_best(rt_program *p, int device, rt_image **image, rt_error *err)
{
	return find_image(p, device, true, 0, image, err);
}

/* --- by heads --- */

/* What the maker gives for so many heads, or for every tensor (0). */
static rt_status make_image(rt_program *p, int64_t heads, rt_image **image, rt_error *err)
{
	rt_kernel_signature signature;
	rt_image_source source = {.signature = &signature};
	rt_status status = p->make(p->user, heads, &source, err);

	if (status)
		return status;
	*image = rt_image_create(p->gpu, &source);
	return *image ? RT_OK : rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
}

static rt_image *variant_at(const rt_program *p, int i)
{
	return atomic_load_explicit(&p->variant[i], memory_order_acquire);
}

/* One that was made before; NULL: there is none. */
static rt_image *find_variant(const rt_program *p, int64_t heads)
{
	rt_image *x = NULL;

	if (atomic_load_explicit(&p->no_variants, memory_order_relaxed))
		return NULL;
	for (int i = 0; i < VARIANTS && (x = variant_at(p, i)); i++)
		if (rt_kernel_suits(rt_image_signature(x), heads))
			return x;
	return NULL;
}

/* Keeps a variant, unless another thread was quicker; who serves such launches from now on. */
static rt_image *keep_variant(rt_program *p, rt_image *image, int64_t heads)
{
	for (int i = 0; i < VARIANTS && rt_kernel_suits(rt_image_signature(image), heads); i++) {
		rt_image *other = NULL;

		if (atomic_compare_exchange_strong(&p->variant[i], &other, image))
			return image;
		if (!rt_kernel_suits(rt_image_signature(other), heads))
			continue;
		rt_image_destroy(image);
		return other;
	}
	rt_image_destroy(image);
	return NULL;
}

/* The variant for so many heads, made where there is none; NULL: it cannot be, now and later. */
static rt_image *make_variant(rt_program *p, int64_t heads)
{
	rt_image *image = find_variant(p, heads);

	if (image || !p->make || atomic_load(&p->no_variants))
		return image;
	if (!make_image(p, heads, &image, NULL))
		image = keep_variant(p, image, heads);
	if (!image)
		atomic_store(&p->no_variants, true);
	return image;
}

/* In place of `own`, which is for other numbers of heads. Nothing is made during capture. */
static rt_image *suited_image(
	rt_program *p, rt_image *own, int64_t heads, int device, cu_stream stream)
{
	rt_image *image = find_variant(p, heads);
	bool capturing = true;
	rt_cuda *cuda;

	if (image || !p->make || atomic_load_explicit(&p->no_variants, memory_order_relaxed))
		return image ? image : own;
	if (rt_gpu_driver(p->gpu, &cuda, NULL) ||
		rt_stream_capturing(cuda, device, stream, &capturing, NULL) || capturing)
		return own;
	image = make_variant(p, heads);
	return image ? image : own;
}

/* --- by tensors --- */

/* The maker's kernel for every tensor. */
static rt_status make_fallback(rt_program *p, rt_image **image, rt_error *err)
{
	rt_image *other = NULL;
	rt_status status;

	*image = atomic_load_explicit(&p->made, memory_order_acquire);
	if (*image)
		return RT_OK;
	status = make_image(p, 0, image, err);
	if (status)
		return status;
	if (!atomic_compare_exchange_strong(&p->made, &other, *image)) {
		rt_image_destroy(*image); /* another thread was quicker */
		*image = other;
	}
	return RT_OK;
}

/* An image that takes every tensor; NULL: there is none. */
static rt_status find_fallback(rt_program *p, int device, rt_image **image, rt_error *err)
{
	rt_status status = find_image(p, device, false, 0, image, err);

	if (status || *image || !p->make)
		return status;
	return make_fallback(p, image, err);
}

/* Making one takes long and calls the driver's compiler: not while the stream is captured. */
static rt_status may_make(rt_program *p, int device, cu_stream stream, rt_error *err)
{
	rt_cuda *cuda;
	bool capturing;
	rt_status status;

	if (!p->make || atomic_load(&p->made))
		return RT_OK;
	status = rt_gpu_driver(p->gpu, &cuda, err);
	if (!status)
		status = rt_stream_capturing(cuda, device, stream, &capturing, err);
	if (status || !capturing)
		return status;
	return rt_error_set(err, RT_CAPTURE, NULL,
		"kernel '%s' for tensors that are not aligned to 16 bytes is not compiled, and its "
		"stream is being captured: prepare it before the capture",
		p->name);
}

/* After a failure: whether the image cannot be loaded by this driver (machine code or PTX of a later
 * release), is set aside, and another one may be tried. */
static bool set_aside(
	rt_program *p, int device, const rt_image *image, rt_status status, rt_error *err)
{
	rt_image *other = NULL;

	if (status != RT_NO_CODE && status != RT_REJECTED && status != RT_OLD_DRIVER)
		return false;
	for (int i = 0; i < p->images; i++)
		if (p->image[i] == image) {
			atomic_fetch_or(&p->unusable, UINT32_C(1) << i);
			if (!find_image(p, device, true, 0, &other, NULL) && other) {
				rt_error_clear(err);
				return true;
			}
			atomic_fetch_and(&p->unusable, ~(UINT32_C(1) << i)); /* its error stands */
		}
	for (int i = 0; i < VARIANTS; i++)
		if (variant_at(p, i) == image) {
			atomic_store(&p->no_variants, true);
			rt_error_clear(err);
			return true;
		}
	return false;
}

/* The best image for every tensor, or for those that suit TMA, loaded. */
static rt_status prepare_best(rt_program *p, int device, bool maps, rt_image **image, rt_error *err)
{
	rt_status status;

	do {
		status = maps ? find_image(p, device, true, 0, image, err)
			      : find_fallback(p, device, image, err);
		if (status || !*image)
			return status;
		status = rt_image_prepare(*image, device, err);
	} while (set_aside(p, device, *image, status, err));
	return status;
}

/* Whether two images differ in the heads that they suit alone. */
static bool are_variants(const rt_image *x, const rt_image *y)
{
	return !strcmp(rt_image_signature(x)->target, rt_image_signature(y)->target) &&
	       rt_image_is_cubin(x) == rt_image_is_cubin(y) && has_maps(x) == has_maps(y);
}

/* Makes and loads the variant for so many heads; NULL: there is none. */
static rt_image *prepare_variant(rt_program *p, int64_t heads, int device)
{
	rt_image *image = make_variant(p, heads);

	if (!image || !rt_image_prepare(image, device, NULL))
		return image;
	atomic_store(&p->no_variants, true);
	return NULL;
}

/* The images beside the best one that other numbers of heads take, and those that can be made: for
 * one less than it suits, and so on, then for one more. */
static rt_status prepare_variants(rt_program *p, rt_image *best, int device, rt_error *err)
{
	rt_image *x = best;
	int heads;

	for (int i = 0; i < p->images; i++) {
		rt_status status = RT_OK;

		if (p->image[i] != best && are_variants(p->image[i], best))
			status = rt_image_prepare(p->image[i], device, err);
		if (status && !set_aside(p, device, p->image[i], status, err))
			return status;
	}
	if (!p->make)
		return RT_OK;
	for (int n = 0; x && (heads = rt_image_signature(x)->heads_least - 1) > 0 && n < VARIANTS;
		n++)
		x = prepare_variant(p, heads, device);
	x = best;
	for (int n = 0; x && (heads = rt_image_signature(x)->heads_most) > 0 && n < VARIANTS; n++)
		x = prepare_variant(p, heads + 1, device);
	return RT_OK;
}

rt_status rt_program_prepare(rt_program *p, int device, rt_error *err)
{
	rt_image *image;
	rt_status status = prepare_best(p, device, true, &image, err);

	if (!status)
		status = prepare_variants(p, image, device, err);
	if (status || !has_maps(image))
		return status;
	return prepare_best(p, device, false, &image, err);
}

/* Another image for tensors that this one cannot take. */
static rt_status select_fallback(rt_program *p, const rt_kernel_args *args, int device,
	cu_stream stream, rt_kernel_packed *packed, rt_image **image, rt_error *err)
{
	rt_status status = may_make(p, device, stream, err);

	if (!status)
		status = find_fallback(p, device, image, err);
	if (status)
		return status;
	if (!*image)
		return rt_error_set(err, RT_LAYOUT, NULL,
			"an address or stride is no multiple of 16 bytes, and there is no kernel "
			"for such tensors");
	return rt_kernel_pack(rt_image_signature(*image), args, packed, err);
}

/* The arguments for one image. *fits false: it cannot take these tensors. */
static rt_status pack(rt_program *p, const rt_image *image, const rt_kernel_args *args, int device,
	rt_kernel_packed *packed, bool *fits, rt_error *err)
{
	const rt_kernel_signature *k = rt_image_signature(image);
	rt_status status = rt_kernel_pack(k, args, packed, err);
	rt_cuda *cuda;

	*fits = true;
	if (status || !k->maps || packed->grid[0] == 0)
		return status;
	status = rt_gpu_driver(p->gpu, &cuda, err);
	if (!status)
		status = rt_kernel_encode(cuda, device, k, args, packed, fits, err);
	return status;
}

/* Query heads a group of a launch; 0: it has none. */
static int64_t heads_of(const rt_program *p, const rt_kernel_args *args)
{
	int64_t heads = 0;

	for (int i = 0; i < p->images && heads == 0; i++)
		heads = rt_kernel_heads(rt_image_signature(p->image[i]), args->length);
	return heads;
}

rt_status rt_program_select(rt_program *p, const rt_kernel_args *args, int device, cu_stream stream,
	rt_kernel_packed *packed, rt_image **image, rt_error *err)
{
	int64_t heads = heads_of(p, args);
	rt_status status = RT_OK;
	bool fits;

	*image = p->image[0];
	if (p->images > 1 || device != RT_CURRENT) /* else the driver's answer will do */
		status = find_image(p, device, true, heads, image, err);
	if (status)
		return status;
	if (!rt_kernel_suits(rt_image_signature(*image), heads))
		*image = suited_image(p, *image, heads, device, stream);
	status = pack(p, *image, args, device, packed, &fits, err);
	if (status || fits)
		return status;
	return select_fallback(p, args, device, stream, packed, image, err);
}

/* While a stream is captured nothing can be loaded: another image that is loaded and differs in the
 * heads that it suits alone. RT_CAPTURE: none is, and `err` stands. */
static rt_status start_loaded(rt_program *p, const rt_kernel_args *args, const rt_image *wanted,
	int device, cu_stream stream, rt_error *err)
{
	rt_kernel_packed packed;
	bool fits;

	for (int i = 0; i < p->images + VARIANTS; i++) {
		rt_image *x = i < p->images ? p->image[i] : variant_at(p, i - p->images);

		if (!x || x == wanted || !are_variants(x, wanted) ||
			pack(p, x, args, device, &packed, &fits, NULL) || !fits ||
			rt_image_start(x, &packed, device, stream, NULL))
			continue;
		rt_error_clear(err);
		return RT_OK;
	}
	return RT_CAPTURE;
}

rt_status rt_program_launch(
	rt_program *p, const rt_kernel_args *args, int device, cu_stream stream, rt_error *err)
{
	rt_kernel_packed packed;
	rt_image *image;
	rt_status status;

	do {
		status = rt_program_select(p, args, device, stream, &packed, &image, err);
		if (status || packed.grid[0] == 0)
			return status;
		status = rt_image_start(image, &packed, device, stream, err);
	} while (status && set_aside(p, device, image, status, err));
	if (status == RT_CAPTURE)
		status = start_loaded(p, args, image, device, stream, err);
	/* the driver only says that there is no code: name the targets */
	if (status == RT_NO_CODE && p->images == 1)
		find_image(p, device, true, 0, &image, err);
	return status;
}
