# explain: words with the counted tuples, and pictures that are XML with something in them.
. tests/cli/expect.bash

expect 0 "" "$TRIKL" explain tri.tkl --dims N=64,H=2 -D W2=16
holds out "row form with inner axis k"
holds out "key tuples in the windows of 128 rows"
tr -s " \n" "  " <out | grep -qE "so (arithmetic|memory) is the limit"
tuples=$(python3 -c 'print(2 * sum(min(i + 1, 4) * min(i + 1, 16) for i in range(64)))')
holds out "$tuples key tuples"

cat >masked.tkl <<'TKL'
attention masked(q : f32[B, i, D], k : f32[B, j, D], v : f32[B, j, D], seg : i32[B, j]) -> (o : f32[B, i, D]) {
    const D = 8
    index i, j : N
    window j in [0, i]
    mask seg[i] == seg[j]
    s = sum(d) q[d] * k[d]
    p = softmax(j) s
    o = sum(j) p * v
}
schedule masked on sm_90a { rows = 128 }
TKL
expect 0 "" "$TRIKL" explain masked.tkl
holds out "rows = 128 (for sm_90a)"

for n in 1 2 16 100 8192; do
	for spec in tri masked plain; do
		"$TRIKL" explain $spec.tkl --dims N=$n --svg $spec.svg >out
		python3 - $spec.svg <<'PY'
import sys, xml.dom.minidom
d = xml.dom.minidom.parse(sys.argv[1])
assert len(d.getElementsByTagName("rect")) > 4 and len(d.getElementsByTagName("text")) > 6
assert len(open(sys.argv[1]).read()) < 2_000_000
assert "nan" not in open(sys.argv[1]).read() and "inf" not in open(sys.argv[1]).read()
PY
	done
done
"$TRIKL" explain tri.tkl --dims N=0 --svg - | grep -q "nothing to draw"
"$TRIKL" explain tri.tkl --svg - | python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.stdin)'
expect 1 "no matrix instruction for f32" "$TRIKL" explain tri.tkl --target sm_75
