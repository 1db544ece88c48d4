# The GPU path on a machine without a GPU: kinds of output, diagnostics, the simulator, and a driver that runs nothing.
specs=$PWD/specs
. tests/cli/expect.bash
export TRIKL_CACHE_DIR="$TMP/cache" TRIKL_PTXAS=none

cp "$specs/mha.tkl" "$specs/two_simplicial.tkl" .
sed 's/f32/bf16/; s/D = 8/D = 32/' tri.tkl >tri16.tkl

# Every kind, for two targets, the same each time.
expect 0 "" "$TRIKL" build mha.tkl --target sm_80,sm_90 --emit plan,tile,llvm,ptx,cuda -o made
[ "$(cd made && ls | wc -l)" = 10 ]
holds made/mha_sm_80.plan "rows = "
holds made/mha_sm_80.tile "kernel mha_sm_80 on sm_80"
holds made/mha_sm_80.ll "define"
holds made/mha_sm_80.ptx ".target sm_80"
holds made/mha_sm_90.ptx ".target sm_90"
holds made/mha_sm_80.cu "__global__"
expect 0 "" "$TRIKL" build mha.tkl --target sm_80,sm_90 --emit plan,tile,llvm,ptx,cuda -o again
diff -r made again
expect 0 "" "$TRIKL" build mha.tkl --target sm_80,cpu --emit model,llvm -o both
[ "$(cd both && ls | tr '\n' ' ')" = "mha.ll mha.model mha_sm_80.ll " ]
"$TRIKL" build mha.tkl --target sm_120 -o - | grep -q "^.target sm_120"
expect 3 "-o - takes one file and one kind" "$TRIKL" build mha.tkl --target sm_80,sm_90 -o -
expect 3 "did you mean 'sm_80'?" "$TRIKL" build mha.tkl --target sm_81
expect 4 "target native" "$TRIKL" build mha.tkl --target native
expect 4 "ptxas" "$TRIKL" build mha.tkl --target sm_80 --emit cubin
expect 0 "optimise" "$TRIKL" build mha.tkl --target sm_80 --time-report -o made

# What a target cannot do, and schedules that do not fit, are errors with a way out.
expect 1 "sm_75 has no bf16 matrix instruction" "$TRIKL" build mha.tkl --target sm_75
expect 0 "" "$TRIKL" build mha.tkl --target sm_75 -D T=f16 -o made
expect 1 "sm_75 has no matrix instruction for f32" "$TRIKL" build tri.tkl --target sm_75
expect 0 "" "$TRIKL" build tri.tkl --target sm_80 -o made
schedule() {
	cp mha.tkl scheduled.tkl
	echo "schedule mha on sm_80 { $1 }" >>scheduled.tkl
}
refused() {
	schedule "$1"
	expect 1 "$2" "$TRIKL" build scheduled.tkl --target sm_80 --emit plan -o made
	expect 1 "$3" "$TRIKL" build scheduled.tkl --target sm_80 --emit plan -o made
	expect 0 "" "$TRIKL" build scheduled.tkl --target sm_90 --emit plan -o made
}
refused "rows = 40" "not a multiple of 16" "the nearest is 32"
refused "rows = 32, warps = 4" "a warp has 16 or 32 rows" "warps = 2"
refused "rows = 1024" "1 to 16 warps" "rows = 256"
refused "stages = 5" "stages = 5" "stages = 2"
refused "resident j = 65536" "bytes of shared memory, sm_80 has" "fits"
schedule "rows = 32, tile j = 32"
expect 0 "" "$TRIKL" build scheduled.tkl --target sm_80 --emit plan -o made
holds made/mha_sm_80.plan "rows = 32"
holds made/mha_sm_80.plan "the schedule says so"

# explain and targets read the same table.
expect 0 "" "$TRIKL" explain mha.tkl --target sm_80,sm_90
holds out "on sm_80:"
holds out "a block takes"
holds out "by mma.sync"
expect 0 "" "$TRIKL" targets --json
python3 -c '
import json
r = {x["name"]: x for x in json.load(open("out"))}
assert "mma.bf16" not in r["sm_75"]["families"] and "wgmma" in r["sm_90a"]["families"], r
assert not any(x.get("native") for x in r.values())'

# The plan for the problem's heads a group; build shows the one for many, a schedule leaves one.
heads() {
	expect 0 "" "$TRIKL" explain two_simplicial.tkl --target sm_90a --dims N=64,H=$1,G=${2:-1}
	holds out "$3"
}
heads 1 1 "walk = rows: "
heads 252 4 "for 1 to 63 heads"
heads 64 1 "for 64 to 127 heads"
heads 508 4 "split = 2: "
! grep -q "walk = rows: " out
heads 128 1 "for 128 and more heads"
! grep -q "split = 2: " out
expect 0 "" "$TRIKL" build two_simplicial.tkl --target sm_90a --emit plan -o -
holds out "for 128 and more heads of a group; 64 to 127: split = 2; 1 to 63: split = 2, walk = rows"
TRIKL_PTXAS=none "$TRIKL" build two_simplicial.tkl --target sm_90a --emit bundle -o made
[ "$(grep -ac '^\.target sm_90a' made/two_simplicial.tklb)" = 3 ]
[ "$(grep -ac '^\.target sm_90$' made/two_simplicial.tklb)" = 1 ]
{
	cat two_simplicial.tkl
	echo "schedule two_simplicial { split = 1 }"
} >one.tkl
TRIKL_PTXAS=none "$TRIKL" build one.tkl --target sm_90a --emit bundle -o made
[ "$(grep -ac '^\.target sm_90a' made/two_simplicial.tklb)" = 1 ]
expect 0 "" "$TRIKL" explain one.tkl --target sm_90a --dims N=64,H=1
! grep -q "heads of a group\|walk = rows" out

# The simulator runs the kernel.
expect 0 "" "$TRIKL" run two_simplicial.tkl --device sim --dims N=37,H=2 --check --json
python3 -c '
import json
r = json.load(open("out"))
assert r["device"] == "sim" and r["target"] == "sm_80" and r["check"]["passed"], r'
expect 0 "" "$TRIKL" run tri16.tkl --device sim --target sm_90 --dims N=5,G=0,H=0 --check
expect 0 "" "$TRIKL" run tri.tkl --device sim --dims N=5 --check
expect 3 "runs the code of one GPU target" "$TRIKL" run tri16.tkl --device sim --target sm_80,sm_90
expect 1 "not sim" "$TRIKL" bench tri16.tkl --device sim

# Each product takes the types of its own operands.
mixed() {
	sed "s/q : T/q : $1/; s/k : T/k : $2/; s/v : T/v : $3/; s/o : T/o : $4/; s/, T = f32//" plain.tkl >mixed.tkl
	expect 0 "" "$TRIKL" run mixed.tkl --device sim --dims N=37,H=2 -D D=24 --check
	"$TRIKL" build mixed.tkl --target sm_80 --emit plan -o - | grep -q "operands $5 and $6"
}
mixed f32 bf16 bf16 f32 f32 bf16
mixed bf16 bf16 f32 f32 bf16 f32
mixed bf16 f16 f16 bf16 bf16 f16
mixed f32 f32 f16 f16 f32 f16

# Values of two outputs, wider together than registers hold: one part of the columns ends inside of the second.
sed 's/v : T\[B, j, H, D\])/v : T[B, j, H, E], u : f32[B, j, H, F])/' plain.tkl |
	sed 's/-> (o : T\[B, i, H, D\])/-> (o : T[B, i, H, E], r : f32[B, i, H, F])/
		s/const D = 8/const D = 8, E = 200, F = 180/; s/^    o = .*/&\n    r = sum(j) p * u/' >wide.tkl
for type in bf16 f32; do
	expect 0 "" "$TRIKL" run wide.tkl --device sim --dims N=37,H=2 -D T=$type --check
	"$TRIKL" build wide.tkl --target sm_80 -D T=$type --emit plan -o - | grep -q "walked over 2 times"
done

# Without a driver: cuda:N is an error, auto is the cpu.
expect 4 "no CUDA driver" "$TRIKL" run mha.tkl --device cuda
expect 0 "" "$TRIKL" run mha.tkl
holds out "mha on cpu"
expect 0 "" "$TRIKL" doctor
holds out "no CUDA driver"
