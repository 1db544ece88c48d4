# tune on a driver whose kernels take what FAKE_TIMES says: what is tried, won, remembered, used and ignored.
specs=$PWD/specs
. tests/cli/expect.bash
TRIKL_LIBCUDA=$BUILD/tests/unit/cuda/libfake_cuda.so
[ -e "$TRIKL_LIBCUDA" ] || exit 77
export TRIKL_LIBCUDA TRIKL_CACHE_DIR="$TMP/cache" TRIKL_PTXAS=none
sed "s/D = 128/D = 124/" "$specs/mha.tkl" >mha.tkl # no multiple of 8: the family whose sizes are tried
lacks() {
	if grep -F -e "$2" "$1"; then return 1; fi
}
quick=(--dims N=500 --candidates 40 --reps 5)

# Blocks of 256 threads are the fastest: one of those is remembered and used from then on.
export FAKE_TIMES="32:9,64:9,192:9,128:4,256:1.5,384:9,512:9"
expect 0 "" "$TRIKL" tune mha.tkl "${quick[@]}"
holds out "tune mha on cuda:0 (Fake 0, sm_90a)  B=1 N=500 H=4"
holds out "the planner's"
holds out "is 2 times as fast as the planner's own plan"
holds out "remembered for problems near B=1 N=512 H=4 on Fake 0"
[ "$(grep -c fastest out)" = 1 ]
expect 0 "" "$TRIKL" run mha.tkl --dims N=400 --device cuda:0
holds out "tuned: rows = 256, warps = 8, tile j"
expect 0 "" "$TRIKL" bench mha.tkl --dims N=400 --device cuda:0 --reps 1 --json
python3 -c '
import json
r = json.load(open("out"))[0]
assert r["block_rows"] == 256 and r["tuned"].startswith("rows = 256"), r'
expect 0 "" "$TRIKL" explain mha.tkl --target native --dims N=400
holds out "tuned on Fake 0: rows = 256"
expect 0 "" "$TRIKL" build mha.tkl --target native --emit plan -o -
holds out "tuned on Fake 0: rows = 256"
grep -q "^tile j = .*: tuned" out

# Not for other lengths, devices, consts or schedules; not where it is unwanted; not for a target by its name.
plain() {
	expect 0 "" "$@"
	lacks out tuned
}
plain "$TRIKL" run mha.tkl --dims N=100 --device cuda:0
plain "$TRIKL" run mha.tkl --dims N=500 --device cuda:1
plain "$TRIKL" run mha.tkl --dims N=500 --device cuda:0 -D D=64
plain "$TRIKL" run mha.tkl --dims N=500 --device cuda:0 --target sm_80
plain "$TRIKL" run mha.tkl --dims N=500 --device cuda:0 --no-tune
plain env TRIKL_NO_TUNE=1 "$TRIKL" run mha.tkl --dims N=500 --device cuda:0
plain "$TRIKL" build mha.tkl --target sm_90a --emit plan -o -
plain "$TRIKL" build mha.tkl --target native --no-tune --emit plan -o -
{
	cat mha.tkl
	echo "schedule mha { rows = 64 }"
} >other.tkl
plain "$TRIKL" run other.tkl --dims N=500 --device cuda:0
# The schedule stands above what is tried.
expect 0 "" "$TRIKL" tune other.tkl "${quick[@]}" --json
python3 -c '
import json
r = json.load(open("out"))
assert all(c["sizes"]["rows"] == 64 for c in r["candidates"]), r
assert r["winner"] == 0 and r["remembered"], r
assert len({c["schedule"] for c in r["candidates"]}) == len(r["candidates"]) > 5, r'

# The cache lists, checks and clears them.
expect 0 "" "$TRIKL" cache list
holds out "    mha on Fake 0, B=1 N=512 H=4: rows = 256"
holds out "    mha on Fake 0, B=1 N=512 H=4: the planner's own sizes"
expect 0 "" "$TRIKL" cache stats
holds out "  tuned    4,"
# A damaged entry is reported and counts as absent.
for f in cache/*.tuned; do printf 'x' | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null; done
expect 0 "has a damaged payload" "$TRIKL" run mha.tkl --dims N=500 --device cuda:0
lacks out tuned
expect 2 "has a damaged payload" "$TRIKL" cache verify

# Differences within the scatter are none.
export FAKE_TIMES="32:9,64:9~1,192:9,128:4~2,256:3.9~2,384:9,512:9"
expect 0 "" "$TRIKL" tune mha.tkl --dims N=500 --candidates 40 --reps 20
holds out "the planner's own plan stays"
plain "$TRIKL" run mha.tkl --dims N=500 --device cuda:0
# What is found later replaces what was found before.
export FAKE_TIMES="32:9,64:9,192:9,128:4,256:3,384:1,512:9"
expect 0 "" "$TRIKL" tune mha.tkl "${quick[@]}" --json
python3 -c '
import json
r = json.load(open("out"))
won = r["candidates"][r["winner"]]
assert r["problem"] == "B=1 N=512 H=4" and won["sizes"]["rows"] == 192, r
assert abs(won["median_ms"] - 2) < 1e-3 and won["launches"] == 5 and won["spread"] == 0, won'
expect 0 "" "$TRIKL" run mha.tkl --dims N=500 --device cuda:0
holds out "tuned: rows = 192"
expect 0 "" "$TRIKL" cache clear
plain "$TRIKL" run mha.tkl --dims N=500 --device cuda:0

# Plans for numbers of heads: the planner's own for the problem first, then its others.
cp "$specs/two_simplicial.tkl" .
export FAKE_TIMES="256:2"
expect 0 "" "$TRIKL" tune two_simplicial.tkl --dims N=9,H=1 --candidates 3 --reps 3 --json
python3 -c '
import json
r = json.load(open("out"))
s = [c["sizes"] for c in r["candidates"]]
assert [(x.get("split"), x.get("walk")) for x in s] == [(2, "rows"), (None, None), (2, None)], s
assert r["winner"] == 0, r'
expect 0 "" "$TRIKL" run two_simplicial.tkl --device cuda:0 --dims N=9,H=1 --json
grep -q '"block_rows":.64,' out
expect 0 "" "$TRIKL" tune two_simplicial.tkl --dims N=9,H=128 --candidates 3 --reps 3
holds out "walk"
expect 0 "" "$TRIKL" run two_simplicial.tkl --device cuda:0 --dims N=9,H=128 --json
grep -q '"block_rows":.128,' out

# Where nothing can be kept, nothing is promised; a result that fails the check wins nothing.
expect 0 "" env TRIKL_CACHE_DISABLE=1 "$TRIKL" tune mha.tkl "${quick[@]}"
holds out "not remembered, as the cache is not on disk, for problems near"
expect 2 "no plan could be timed" "$TRIKL" tune mha.tkl --dims N=5 --candidates 2 --reps 1 --check
holds out "its result is wrong"
expect 3 "only GPU kernels are tuned" "$TRIKL" tune mha.tkl --device cpu
expect 4 "cuda:0" env TRIKL_LIBCUDA=none "$TRIKL" tune mha.tkl
