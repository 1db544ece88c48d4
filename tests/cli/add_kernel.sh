# add_kernel: a project of somebody else compiles a spec ahead of time with trikl_add_kernel(), links libtrikl-rt alone,
# and launches: without a driver, and on one that accepts everything.
fake=$(realpath "$BUILD")/tests/unit/cuda/libfake_cuda.so
. tests/cli/expect.bash

grep -q "TRIKL_SANITIZE:BOOL=ON" "$BUILD/CMakeCache.txt" && exit 77
[ -e "$fake" ] || exit 77
export TRIKL_PTXAS=none
cmake --install "$BUILD" --prefix "$TMP/prefix" >log
sed 's/T = f32/T = bf16/; s/D = 8/D = 16/' tri.tkl >tri16.tkl

mkdir project
cp tri16.tkl project
cat >project/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(host C)
find_package(Trikl 0.1 REQUIRED)
trikl_add_kernel(tri_kernel SPEC tri16.tkl KERNEL tri TARGETS sm_80 sm_90 DEFINES D=32)
add_executable(host main.c)
target_link_libraries(host PRIVATE tri_kernel)
CMAKE
cat >project/main.c <<'C'
#include "tri.h"
#include <stdio.h>
#include <stdlib.h>

enum { N = 40, H = 2, G = 1, D = 32 };

static DLTensor tensor(int number, int64_t *shape, int ndim, DLDataTypeCode code, int bits)
{
	DLTensor t = {0};

	t.data = (void *)((uintptr_t)(number + 1) << 20); /* an address on the stand-in's GPU */
	t.device.device_type = kDLCUDA;
	t.ndim = ndim;
	t.dtype.code = (uint8_t)code;
	t.dtype.bits = (uint8_t)bits;
	t.dtype.lanes = 1;
	t.shape = shape;
	return t;
}

int main(void)
{
	int64_t q[] = {1, N, H, D}, k[] = {1, N, G, D}, lse[] = {1, H, N};
	DLTensor t[TRI_TENSORS];
	tkl_context *context = NULL;
	tkl_kernel *kernel = NULL;
	tkl_status status = tkl_context_create(NULL, &context);

	for (int n = 0; n < TRI_TENSORS; n++)
		t[n] = n == TRI_LSE ? tensor(n, lse, 3, kDLFloat, 32)
				    : tensor(n, n == TRI_Q || n == TRI_O ? q : k, 4, kDLBfloat, 16);
	if (!status)
		status = tri_load(context, &kernel);
	if (!status)
		status = tri_launch(kernel, &t[TRI_Q], &t[TRI_K1], &t[TRI_V1], &t[TRI_K2], &t[TRI_V2], &t[TRI_O],
			&t[TRI_LSE], 4, 16, NULL);
	printf("%s, %s: %d %s\n", tkl_kernel_name(kernel), tkl_kernel_target(kernel), status,
		status ? tkl_last_error_message() : "");
	tkl_kernel_destroy(kernel);
	tkl_context_destroy(context);
	return (int)status;
}
C
cmake -G Ninja -S project -B made -DCMAKE_PREFIX_PATH="$TMP/prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Wpedantic -Werror" >>log
cmake --build made >>log
ldd made/host | grep -q libtrikl-rt
! ldd made/host | grep -qE "libtrikl\.so|LLVM|stdc" || exit 1

# 11: no driver, 0: launched; the GPUs of the stand-in have 9.0 and 8.0
expect 11 "" made/host
holds out "tri, sm_80,sm_90: 11"
holds out "no CUDA driver"
TRIKL_LIBCUDA=$fake expect 0 "" made/host
holds out "tri, sm_80,sm_90: 0"
# Nothing is built twice; a changed spec is.
cmake --build made | grep -q "no work to do"
echo "# a remark" >>project/tri16.tkl
cmake --build made | grep -q "Trikl: tri for"
# The header serves C++ too.
echo '#include "tri.h"' >header.cc
c++ -Wall -Wextra -Wpedantic -Werror -Iprefix/include -Imade/tri_kernel.kernel -fsyntax-only header.cc
# What cannot be compiled for a target stops the build, with the compiler's words.
sed -i 's/sm_80 sm_90/sm_81/' project/CMakeLists.txt
! cmake --build made >out 2>&1
holds out "unknown target 'sm_81'"
