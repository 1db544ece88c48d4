# install: the installed tree, moved elsewhere, builds and runs examples/embed.c through find_package and pkg-config,
# with the shared library and with the archive.
example=$PWD/examples/embed.c gpu_example=$PWD/examples/embed_gpu.c
. tests/cli/expect.bash

grep -q "TRIKL_SANITIZE:BOOL=ON" "$BUILD/CMakeCache.txt" && exit 77
cmake --install "$BUILD" --prefix "$TMP/first" >log
mv first moved
for file in bin/trikl include/trikl.h include/dlpack/dlpack.h lib*/libtrikl.so lib*/libtrikl.a \
	lib*/libtrikl-rt.so lib*/libtrikl-rt.a lib*/pkgconfig/trikl.pc \
	share/trikl/specs/two_simplicial.tkl; do
	ls moved/$file >>log
done
moved/bin/trikl check moved/share/trikl/specs/mha.tkl

# Only the public functions are visible, in the library and among the archive's globals.
for library in "nm -D --defined-only moved/lib*/libtrikl.so" "nm -g --defined-only moved/lib*/libtrikl.a"; do
	$library | awk 'NF == 3 && $2 != "A" { print $3 }' | sort >names
	if grep -v "^tkl_" names; then
		echo "visible, but not public: $library"
		exit 1
	fi
	holds names tkl_compile
done

nm -D --defined-only moved/lib*/libtrikl-rt.so | awk 'NF == 3 && $2 != "A" { print $3 }' >names
! grep -vE "^(tkl|rt_cpu|rt_pool)_" names || exit 1
holds names tkl_bundle_load

# A kernel built ahead of time needs its object, its header and the runtime archive: no compiler, no LLVM.
moved/bin/trikl build plain.tkl --emit object -o ahead
cat >ahead.c <<'C'
#include "ahead/plain.h"
int main(void)
{
	static float data[4][2 * 9 * 3 * 8]; /* B = 2, N = 9, H = 3, D = 8; attention to equal values gives the value */
	int64_t length[] = {2, 9, 3}, stride[] = {9 * 3 * 8, 3 * 8, 8, 1};
	void *tensor[] = {data[0], data[1], data[2], data[3]};
	const int64_t *strides[] = {stride, stride, stride, stride};
	rt_cpu_args args = {.data = tensor, .stride = strides, .length = length};
	rt_pool *pool = rt_pool_create(2);
	int wrong = 0;

	for (int n = 0; n < 432; n++) {
		data[0][n] = data[1][n] = (float)(n % 7);
		data[2][n] = 2;
	}
	wrong += !pool || !rt_cpu_launch(&plain_kernel, &args, pool);
	for (int n = 0; n < 432; n++)
		wrong += data[3][n] < 1.999f || data[3][n] > 2.001f;
	rt_pool_destroy(pool);
	return wrong != 0;
}
C
cc -Wall -Wextra -Wpedantic -Werror -Imoved/include ahead.c ahead/plain.o moved/lib*/libtrikl-rt.a -pthread -ldl -lm \
	-o ahead_of_time
./ahead_of_time
# The header serves C++ too.
echo '#include <trikl.h>' >header.cc
c++ -Wall -Wextra -Wpedantic -Werror -Imoved/include -fsyntax-only header.cc

mkdir project
cp "$example" project
cat >project/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(host C)
find_package(Trikl 0.1 REQUIRED)
add_executable(shared embed.c)
target_link_libraries(shared PRIVATE Trikl::trikl m)
add_executable(static embed.c)
target_link_libraries(static PRIVATE Trikl::trikl_static m)
CMAKE
cmake -G Ninja -S project -B made -DCMAKE_PREFIX_PATH="$TMP/moved" >>log
cmake --build made >>log
made/shared >out
holds out "checksum"
made/static | cmp - out

PKG_CONFIG_PATH=$(dirname moved/lib*/pkgconfig/trikl.pc)
export PKG_CONFIG_PATH
library=$(pkg-config --variable=libdir trikl)
cc -o by_pc "$example" $(pkg-config --cflags --libs trikl) -lm -Wl,-rpath,"$library"
./by_pc | cmp - out
cc -Wall -Wextra -Wpedantic -Werror -o on_gpu "$gpu_example" $(pkg-config --cflags --libs trikl) -ldl -lm
cc -o by_pc_static "$example" $(pkg-config --cflags trikl) "$library/libtrikl.a" \
	$(pkg-config --static --libs trikl | sed 's/ -ltrikl / /')
./by_pc_static | cmp - out

cat >bundle.c <<'C'
#include <stdio.h>
#include <trikl.h>
int main(void)
{
	tkl_context *context = NULL;
	tkl_kernel *kernel = NULL;
	tkl_status status = tkl_context_create(NULL, &context);

	if (!status)
		status = tkl_bundle_open(context, "ahead/tri16.tklb", NULL, &kernel);
	printf("%d %s\n", status, kernel ? tkl_kernel_target(kernel) : tkl_last_error_message());
	tkl_kernel_destroy(kernel);
	tkl_context_destroy(context);
	return (int)status;
}
C
sed 's/T = f32/T = bf16/; s/D = 8/D = 16/; s/attention tri/attention tri16/' tri.tkl >tri16.tkl
TRIKL_PTXAS=none moved/bin/trikl build tri16.tkl --target sm_80 --emit bundle -o ahead
cc -o bundle bundle.c $(pkg-config --cflags --libs trikl-rt) -Wl,-rpath,"$library"
expect 0 "" ./bundle
holds out "0 sm_80"
