# The CUDA C of every spec compiles with nvcc, without a warning.
root=$PWD
. tests/cli/expect.bash
nvcc=$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc) || exit 77
echo '__global__ void k() {}' >probe.cu
"$nvcc" -ptx probe.cu >log 2>&1 || exit 77 # a toolkit without its headers

(cd "$root" && "$TRIKL" regenerate --targets sm_80 -o "$TMP/fresh" >"$TMP/log" 2>&1)
compile() {
	"$1" -std=c++17 -arch="${4:-sm_80}" -I "$2/generated" -Werror all-warnings -ptx -o "$3.ptx" "$3" >"$3.log" 2>&1 || {
		cat "$3.log"
		exit 255
	}
}
export -f compile
ls fresh/*/*.cu | xargs -P "$(nproc)" -I{} bash -c 'compile "$@"' - "$nvcc" "$root" {}
# Before sm_80: smaller matrix instructions, copies without cp.async.
"$TRIKL" build "$root/specs/mha.tkl" -D T=f16 --target sm_75 --emit cuda -o old >log 2>&1
compile "$nvcc" "$root" old/mha_sm_75.cu sm_75
