/* tensor_map: tensors as TMA reads them.
 * in:  a signature's maps and the arguments of one launch
 * out: CUtensorMaps in the parameter block, or that a tensor cannot be described by one
 * relies on: the driver, which only computes the 128 bytes; nothing is sent to the device. */
#include "runtime/cuda_internal.h"
#include "runtime/kernel.h"
#include <string.h>

enum { MAP_RANK = 5, MAP_ALIGNED = 16 };

#define MAP_EXTENT (INT64_C(1) << 32)
#define MAP_STRIDE (INT64_C(1) << 40) /* bytes; below */

/* Innermost dimension first, as the driver wants it. */
typedef struct {
	uint64_t extent[MAP_RANK], stride[MAP_RANK];
	unsigned box[MAP_RANK], step[MAP_RANK];
	void *base;
} description;

/* An address that will do for a tensor without elements: it is never read. */
static uint64_t any_address(const rt_kernel_signature *k, const rt_kernel_args *a)
{
	for (int t = 0; t < k->tensors; t++)
		if (a->data[t])
			return a->data[t] / 128 * 128;
	return 128;
}

static bool describe(const rt_kernel_signature *k, const rt_kernel_args *a, const rt_kernel_map *m,
	description *out)
{
	const rt_kernel_tensor *t = &k->tensor[m->tensor];
	uint64_t base = a->data[m->tensor];
	bool empty = false;

	if (t->rank < 1 || t->rank > MAP_RANK)
		return false;
	for (int n = 0; n < t->rank; n++) {
		int d = t->rank - 1 - n, l = t->length[d];
		int64_t extent = l < 0 ? t->extent[d] : a->length[l];
		int64_t stride = a->stride[m->tensor][d];

		if (extent > MAP_EXTENT || stride > MAP_STRIDE || stride < -MAP_STRIDE)
			return false;
		empty |= extent == 0;
		stride *= t->bytes;
		if (extent < 2) /* not used: whatever the driver accepts */
			stride = MAP_ALIGNED;
		if (n > 0 && (stride < 0 || stride % MAP_ALIGNED || stride >= MAP_STRIDE))
			return false;
		out->extent[n] = extent ? (uint64_t)extent : 1;
		out->stride[n] = (uint64_t)stride;
		out->box[n] = (unsigned)m->box[d];
		out->step[n] = 1;
	}
	if (empty)
		base = any_address(k, a);
	out->base = (void *)(uintptr_t)base;
	return base % MAP_ALIGNED == 0;
}

static unsigned type_of(int bytes)
{
	return bytes == 8   ? CU_MAP_U64
	       : bytes == 4 ? CU_MAP_U32
	       : bytes == 2 ? CU_MAP_U16
			    : CU_MAP_U8;
}

bool rt_kernel_maps_fit(const rt_kernel_signature *k, const rt_kernel_args *args)
{
	description d;

	for (int m = 0; m < k->maps; m++)
		if (!describe(k, args, &k->map[m], &d))
			return false;
	return true;
}

static cu_result encode(
	const cu_api *cu, int bytes, unsigned rank, const description *d, cu_tensor_map *map)
{
	return cu->cuTensorMapEncodeTiled(map, type_of(bytes), rank, d->base, d->extent,
		d->stride + 1, d->box, d->step, CU_MAP_PLAIN, CU_MAP_SWIZZLE_128,
		CU_MAP_PROMOTE_256, CU_MAP_FILL_ZERO);
}

/* In a context: the driver wants to know for which device. */
static rt_status encode_all(rt_cuda *cuda, const rt_kernel_signature *k, const rt_kernel_args *args,
	rt_kernel_packed *out, bool *fits, rt_error *err)
{
	for (int m = 0; m < k->maps; m++) {
		const rt_kernel_tensor *t = &k->tensor[k->map[m].tensor];
		description d;
		cu_tensor_map map;
		cu_result r;

		*fits = describe(k, args, &k->map[m], &d);
		if (!*fits)
			return RT_OK;
		r = encode(&cuda->api, t->bytes, t->rank, &d, &map);
		*fits = r == CU_OK;
		if (r == CU_INVALID_VALUE || r == CU_NOT_SUPPORTED)
			return RT_OK;
		if (r)
			return rt_cuda_failed(cuda, err, r, "cuTensorMapEncodeTiled",
				"kernel '%s', tensor '%s'", k->entry, t->name);
		memcpy(out->parameters + out->maps + (size_t)m * sizeof map, &map, sizeof map);
	}
	return RT_OK;
}

rt_status rt_kernel_encode(rt_cuda *cuda, int device, const rt_kernel_signature *k,
	const rt_kernel_args *args, rt_kernel_packed *out, bool *fits, rt_error *err)
{
	rt_scope scope;
	rt_status status;

	*fits = cuda->api.cuTensorMapEncodeTiled && rt_kernel_maps_fit(k, args);
	if (!*fits)
		return RT_OK;
	status = rt_scope_enter(cuda, device, &scope, err);
	if (status)
		return status;
	status = encode_all(cuda, k, args, out, fits, err);
	rt_scope_leave(cuda, &scope);
	return status;
}
