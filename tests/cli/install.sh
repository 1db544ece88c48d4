# install: the installed tree, moved elsewhere, builds and runs examples/embed.c through find_package and pkg-config,
# with the shared library and with the archive.
example=$PWD/examples/embed.c
. tests/cli/expect.bash

grep -q "TRIKL_SANITIZE:BOOL=ON" "$BUILD/CMakeCache.txt" && exit 77
cmake --install "$BUILD" --prefix "$TMP/first" >log
mv first moved
for file in bin/trikl include/trikl.h include/dlpack/dlpack.h lib*/libtrikl.so lib*/libtrikl.a lib*/pkgconfig/trikl.pc \
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

# The launcher of prebuilt kernels needs nothing but itself; the header serves C++ too.
cat >runtime.c <<'C'
#include <trikl/cpu.h>
int main(void)
{
	rt_pool *p = rt_pool_create(2);

	rt_pool_destroy(p);
	return !p || !rt_cpu_launch;
}
C
cc -Wall -Werror -Wno-address -Imoved/include runtime.c moved/lib*/libtrikl-rt.a -pthread -lm -o runtime
./runtime
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
cmake -S project -B made -DCMAKE_PREFIX_PATH="$TMP/moved" >>log
cmake --build made >>log
made/shared >out
holds out "checksum"
made/static | cmp - out

PKG_CONFIG_PATH=$(dirname moved/lib*/pkgconfig/trikl.pc)
export PKG_CONFIG_PATH
library=$(pkg-config --variable=libdir trikl)
cc -o by_pc "$example" $(pkg-config --cflags --libs trikl) -lm -Wl,-rpath,"$library"
./by_pc | cmp - out
cc -o by_pc_static "$example" $(pkg-config --cflags trikl) "$library/libtrikl.a" \
	$(pkg-config --static --libs trikl | sed 's/ -ltrikl / /')
./by_pc_static | cmp - out
