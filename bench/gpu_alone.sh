#!/bin/sh
# gpu_alone: the library in an environment without compiler, assembler, Python or PATH compiles a new spec and launches
# it: only libtrikl.so, what it is linked with, the example host program and libcuda are there.
#   bench/gpu_alone.sh BUILD        BUILD: a build folder with compiler/api/libtrikl.so (default: build)
# out: the program's words; exit 0 when the result is right, twice: compiled, then from the cache
cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
cuda=$(ldconfig -p | sed -n 's/.*libcuda\.so\.1 .*x86-64.*=> //p' | head -1)
[ -n "$cuda" ] || { echo "gpu_alone: there is no libcuda.so.1"; exit 1; }
cp "$build"/compiler/api/libtrikl.so.0 "$box" || exit 1
ldd "$box/libtrikl.so.0" | awk '$3 ~ /libstdc|libz|libgcc/ { print $3 }' | xargs -r -I{} cp {} "$box"
cc -Iinclude -Ithird_party/dlpack examples/embed_gpu.c -o "$box/embed_gpu" "$box/libtrikl.so.0" -ldl -lm || exit 1
for run in compiled cached; do
	env -i PATH=/nonexistent HOME="$box" TRIKL_PTXAS=none LD_LIBRARY_PATH="$box:$(dirname "$cuda")" "$box/embed_gpu" ||
		exit 1
	echo "ok     $run"
done
