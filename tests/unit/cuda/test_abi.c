/* test_abi: our declarations of the driver's functions, types and constants against NVIDIA's
 * cuda.h. The comparison is made by the compiler; without the header the test is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#if __has_include(<cudaTypedefs.h>)
#define CU_TYPES_ONLY
#include "runtime/cuda_types.h"
#include <cudaTypedefs.h>

#define SAME(a, b) __builtin_types_compatible_p(__typeof__(a), __typeof__(b))

/* Functions that take a struct of ours: the structs are compared below. */
enum { OWN_cuLaunchKernelEx = 1, OWN_cuDeviceGetUuid = 1, OWN_cuTensorMapEncodeTiled = 1 };
#define CU_FN(name, version, suffix, need, parameters)                                             \
	typedef cu_result(*our_##name) parameters;                                                 \
	enum { SAME_##name = SAME(our_##name, PFN_##name##_v##version) };                          \
	_Static_assert(sizeof(our_##name) == sizeof(PFN_##name##_v##version), #name);
#include "runtime/cuda_api.def"
#undef CU_FN

#define CU_CONST(name, value, theirs) _Static_assert((value) == (int)(theirs), #name);
CU_CONSTANTS
#undef CU_CONST

_Static_assert(SAME(cu_deviceptr, CUdeviceptr) && SAME(cu_device, CUdevice), "handles");
_Static_assert(SAME(cu_context, CUcontext) && SAME(cu_stream, CUstream), "handles");
_Static_assert(sizeof(cu_uuid) == sizeof(CUuuid), "cu_uuid");
_Static_assert(sizeof(cu_tensor_map) == sizeof(CUtensorMap), "cu_tensor_map");
_Static_assert(sizeof(cu_launch_attribute) == sizeof(CUlaunchAttribute), "cu_launch_attribute");
_Static_assert(offsetof(cu_launch_attribute, value) == offsetof(CUlaunchAttribute, value), "value");
_Static_assert(offsetof(cu_launch_attribute, value.cluster) ==
		       offsetof(CUlaunchAttribute, value.clusterDim),
	"cluster");
_Static_assert(sizeof(cu_launch_config) == sizeof(CUlaunchConfig), "cu_launch_config");
_Static_assert(
	offsetof(cu_launch_config, shared) == offsetof(CUlaunchConfig, sharedMemBytes), "shared");
_Static_assert(offsetof(cu_launch_config, stream) == offsetof(CUlaunchConfig, hStream), "stream");
_Static_assert(
	offsetof(cu_launch_config, attribute) == offsetof(CUlaunchConfig, attrs), "attribute");
_Static_assert(
	offsetof(cu_launch_config, attributes) == offsetof(CUlaunchConfig, numAttrs), "count");

static void test_functions(void **state)
{
	static const struct {
		const char *name;
		int same;
	} function[] = {
#define CU_FN(name, version, suffix, need, parameters) {#name, SAME_##name},
#include "runtime/cuda_api.def"
#undef CU_FN
	};
	int different = 0;

	(void)state;
	for (size_t k = 0; k < sizeof function / sizeof *function; k++)
		if (!function[k].same) {
			print_message("%s differs\n", function[k].name);
			different++;
		}
	assert_int_equal(
		different, OWN_cuLaunchKernelEx + OWN_cuDeviceGetUuid + OWN_cuTensorMapEncodeTiled);
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)

/* The symbol that NVIDIA's header renames a function to is the one with our suffix. */
static void test_symbols(void **state)
{
	static const struct {
		const char *ours, *theirs;
		int version;
	} symbol[] = {
#define CU_FN(name, version, suffix, need, parameters) {#name suffix, STRING(name), version},
#include "runtime/cuda_api.def"
#undef CU_FN
	};

	(void)state;
	for (size_t k = 0; k < sizeof symbol / sizeof *symbol; k++) {
		const char *theirs = symbol[k].theirs;

		/* the header's newest form is newer than the one we ask for */
		if (!strcmp(theirs, "cuEventElapsedTime_v2") ||
			!strcmp(theirs, "cuCtxGetDevice_v2"))
			continue;
		assert_string_equal(symbol[k].ours, theirs);
	}
}
#else
static void test_functions(void **state)
{
	(void)state;
	skip();
}
#define test_symbols test_functions
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_functions), cmocka_unit_test(test_symbols)};

	return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
