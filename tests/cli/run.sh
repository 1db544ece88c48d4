# run: lengths, defaults, seeds, JSON, outputs, devices.
. tests/cli/expect.bash

expect 0 "" "$TRIKL" run tri.tkl --device cpu --check
holds out "N=128 (default)"
holds out "check   passed: checked all"
holds out "GFLOP/s"
expect 0 "" "$TRIKL" run tri.tkl --dims B=2,N=33,H=6 --dims G=3 -D W2=9 --check --json --seed 7
python3 - <<'PY'
import json
r = json.load(open("out"))
assert r["spec"] == "tri" and r["device"] == "cpu", r
assert r["dims"] == {"B": 2, "N": 33, "H": 6, "G": 3}, r
assert r["params"] == {"W1": 4, "W2": 9}, r
assert [o["name"] for o in r["outputs"]] == ["o", "lse"]
assert r["outputs"][0]["shape"] == [2, 33, 6, 8] and r["outputs"][0]["dtype"] == "f32"
assert r["check"]["passed"] and r["check"]["rows"] == r["check"]["total_rows"] == 2 * 6 * 33
tuples = sum(min(i + 1, 4) * min(i + 1, 9) for i in range(33)) * 12
assert r["tuples"] == tuples and r["flops"] == 2 * 16 * tuples, (r["tuples"], tuples)
assert r["defaulted"] == []
PY

# The same seed gives the same numbers, another one others; results do not depend on the threads.
for n in 1 2; do
	"$TRIKL" run tri.tkl --dims N=40 --seed 3 --threads $n --output o=o$n.npy --output q=q.npy >out
done
cmp o1.npy o2.npy
"$TRIKL" run tri.tkl --dims N=40 --seed 4 --output o=o3.npy >out
! cmp -s o1.npy o3.npy

# An input that was written is the input that was used.
"$TRIKL" run tri.tkl --dims N=40 --seed 3 --input q=q.npy --output o=o4.npy >out
cmp o1.npy o4.npy

# The reference is a device.
expect 0 "" "$TRIKL" run tri.tkl --device reference --dims N=20 --output o=wide.npy
holds out "reference (float64)"
python3 -c 'assert b"<f8" in open("wide.npy","rb").read(128)'

# Zero lengths are legal.
for zero in B=0 N=0 H=0,G=0; do
	expect 0 "" "$TRIKL" run tri.tkl --dims $zero --check --device cpu
done

expect 3 "did you mean 'N'?" "$TRIKL" run tri.tkl --dims n=3
expect 3 "its lengths are" "$TRIKL" run tri.tkl --dims Sequence=3
expect 3 "is not a length" "$TRIKL" run tri.tkl --dims N=-3
expect 3 "is not a length" "$TRIKL" run tri.tkl --dims N=3.5
expect 1 "H = 6 is not a multiple of G = 4; the nearest multiples are 4 and 8" "$TRIKL" run tri.tkl --dims H=6,G=4
expect 1 "is not a multiple" "$TRIKL" run tri.tkl --dims H=6,G=0
expect 3 "did you mean 'W1'?" "$TRIKL" run tri.tkl -D W=3
expect 3 "tri has no key index 'i'" "$TRIKL" run tri.tkl --inner i
expect 0 "" "$TRIKL" run tri.tkl --inner j --check
expect 3 "has no tensor 'out'" "$TRIKL" run tri.tkl --output out=x.npy
expect 4 "cannot write" "$TRIKL" run tri.tkl --output o=missing/x.npy
expect 4 "GB" "$TRIKL" run tri.tkl --dims N=1000000000
expect 4 "GB" "$TRIKL" run tri.tkl --dims N=4000000000000000000

expect 4 "no CUDA driver" "$TRIKL" run tri.tkl --device cuda:7
expect 3 "is not the number of a GPU" "$TRIKL" run tri.tkl --device cuda:x
expect 3 "did you mean 'cpu'?" "$TRIKL" run tri.tkl --device cpi
expect 4 "the reference would take about" "$TRIKL" run tri.tkl --device reference --dims N=4096,H=64 -D W1=512 -D W2=4096
expect 4 "more than the limit of 1e-09 s" "$TRIKL" run tri.tkl --device reference --limit 1e-9

# Several specs in a file: one must be chosen.
cat plain.tkl tri.tkl >both.tkl
expect 3 "holds 2 specs (plain, tri); choose one with --spec" "$TRIKL" run both.tkl
expect 0 "" "$TRIKL" run both.tkl --spec plain --check
expect 3 "did you mean 'plain'?" "$TRIKL" run both.tkl --spec plane

# --time-report lists the stages on stderr.
expect 0 "optimise" "$TRIKL" run tri.tkl --time-report
