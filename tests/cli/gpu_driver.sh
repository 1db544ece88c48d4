# A driver that accepts everything and computes nothing: compiling, caching, loading, launching, what is said about it.
specs=$PWD/specs
. tests/cli/expect.bash
TRIKL_LIBCUDA=$BUILD/tests/unit/cuda/libfake_cuda.so
[ -e "$TRIKL_LIBCUDA" ] || exit 77
export TRIKL_LIBCUDA TRIKL_CACHE_DIR="$TMP/cache" TRIKL_PTXAS=none

cp "$specs/mha.tkl" .
expect 0 "generate code" "$TRIKL" run mha.tkl --device cuda:0 --dims N=9 --time-report
holds out "mha on cuda:0 (Fake 0, sm_90a)"
expect 0 "load" "$TRIKL" run mha.tkl --device cuda:0 --dims N=77 --time-report
! grep -q "generate code" err
[ "$(cd cache && ls | sed 's/.*\.//' | sort | tr '\n' ' ')" = "cubin ptx " ] # the driver assembled it
# Lengths, params and the layout of the text change nothing; consts, targets and schedules do.
sed 's/^    /  /; s/#.*//' mha.tkl >other.tkl
expect 0 "" "$TRIKL" run other.tkl --device cuda:0
[ "$(ls cache | wc -l)" = 2 ]
expect 0 "" "$TRIKL" run mha.tkl --device cuda:0 -D D=64
expect 0 "" "$TRIKL" run mha.tkl --device cuda:0 --target sm_80
[ "$(ls cache | wc -l)" = 6 ]
echo "schedule mha on sm_90a { rows = 64 }" >>other.tkl
expect 0 "" "$TRIKL" run other.tkl --device cuda:0
echo "schedule mha on cpu { rows = 32 }" >>other.tkl
expect 0 "" "$TRIKL" run other.tkl --device cuda:0
[ "$(ls cache | wc -l)" -le 10 ]
# A damaged entry is made again, and said.
for f in cache/*; do printf 'x' | dd of="$f" bs=1 seek=500 conv=notrunc 2>/dev/null; done
expect 0 "warning" "$TRIKL" run mha.tkl --device cuda:0
expect 0 "" "$TRIKL" run mha.tkl --device cuda:0

rm -r cache

# auto takes the GPU where the spec has a kernel for it, else the cpu with a note.
expect 0 "" "$TRIKL" run mha.tkl
holds out "on cuda:0"
cp plain.tkl large.tkl
echo "schedule plain { resident j = 65536 }" >>large.tkl
expect 0 "so it runs on the cpu: 65536 resident keys" "$TRIKL" run large.tkl --dims N=20
holds out "plain on cpu"
expect 1 "65536 resident keys" "$TRIKL" run large.tkl --dims N=20 --device cuda:0

# The driver wrote nothing: outputs hold what was there before, and the check sees that.
expect 2 "" "$TRIKL" run mha.tkl --device cuda:0 --check
holds out "FAILED"
# Zero lengths launch nothing or compute empty rows; nothing is wrong with them.
expect 0 "" "$TRIKL" run mha.tkl --device cuda:0 --dims N=0 --check
expect 0 "" "$TRIKL" run mha.tkl --device cuda:0 --dims B=0,H=0 --check

expect 1 "there is no GPU 2" "$TRIKL" run mha.tkl --device cuda:2
expect 4 "compiled for sm_90; GPU 1 (Fake 1) has compute capability 8.0" "$TRIKL" run mha.tkl --device cuda:1 --target sm_90
expect 0 "" "$TRIKL" bench mha.tkl --device cuda:1 --reps 3 --json
python3 -c '
import json
r = json.load(open("out"))[0]
assert r["device"] == "cuda:1" and r["target"] == "sm_80" and r["launches"] == 3, r'
expect 0 "" "$TRIKL" targets
holds out "native: Fake 0"
expect 0 "" "$TRIKL" build mha.tkl --target native -o -
holds out ".target sm_90a"
expect 0 "" "$TRIKL" doctor
holds out "cuda:1      Fake 1, sm_80"

# Code that somebody else compiled, for the same spec.
"$TRIKL" build mha.tkl --target sm_80 -o .
expect 0 "" "$TRIKL" run mha.tkl --device cuda:1 --code mha_sm_80.ptx
expect 1 "neither PTX nor a cubin" "$TRIKL" run mha.tkl --device cuda:1 --code mha.tkl
expect 3 "only --device cuda:N" "$TRIKL" run mha.tkl --device cpu --code mha_sm_80.ptx

# The kernel for the problem's heads a group; what somebody else compiled takes every number.
cp "$specs/two_simplicial.tkl" .
block() {
	expect 0 "" "$TRIKL" bench two_simplicial.tkl --device cuda:0 --dims N=9,H=$2 --reps 1 --json "${@:3}"
	grep -q "\"block_rows\":.$1," out
}
block 64 1
block 64 127
block 128 128
block 128 1 --target sm_90
"$TRIKL" build two_simplicial.tkl --target sm_90a -o .
block 128 1 --code two_simplicial_sm_90a.ptx
