# .npy input: every dtype, orders, versions; shapes against the spec; files that lie.
. tests/cli/expect.bash

cat >one.tkl <<'TKL'
attention one(q : T[i, D], k : T[j, D], v : T[j, D], w : i32[j]) -> (o : T[i, D]) {
    const D = 4, T = f32
    index i : M
    index j : N
    mask w[j] >= 0
    s = sum(d) q[d] * k[d]
    p = softmax(j) s
    o = sum(j) p * v
}
TKL
cat >make.py <<'PY'
"""make.py NAME DESCR SHAPE [VALUE...] [fortran] [v2]: a .npy file without numpy; missing values are 0."""
import struct, sys
name, descr, shape, *rest = sys.argv[1:]
shape = tuple(int(x) for x in shape.split(",") if x)
flags = {x for x in rest if x in ("fortran", "v2")}
values = [float(x) for x in rest if x not in flags]
n = 1
for x in shape:
    n *= x
values = (values + [0.0] * n)[:n]
kind = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I",
        "u8": "Q", "b1": "?"}[descr[1:].replace("V2", "u2")]
order = ">" if descr[0] == ">" else "<"
body = b"".join(struct.pack(order + kind, x if kind in "efd" else int(x)) for x in values)
head = f"{{'descr': '{descr}', 'fortran_order': {'fortran' in flags}, 'shape': {shape}, }}".encode()
head += b" " * (-(len(head) + 13) % 64) + b"\n"
size = struct.pack("<I", len(head)) if "v2" in flags else struct.pack("<H", len(head))
open(name, "wb").write(b"\x93NUMPY" + (b"\2\0" if "v2" in flags else b"\1\0") + size + head + body)
PY
make() { python3 make.py "$@"; }
run() { "$TRIKL" run one.tkl --dims M=1,N=1 "$@"; }
# value FILE: the f32 elements of a file we wrote.
value() { python3 -c 'import struct, sys
d = open(sys.argv[1], "rb").read(); at = 10 + struct.unpack("<H", d[8:10])[0]
print(*struct.unpack(f"<{(len(d) - at) // 4}f", d[at:]))' "$1"; }

# One key: the output is v itself, whatever dtype it came in.
for t in '<f4' '>f4' '<f8' '>f8' '<f2' '>f2' '<i1' '<i2' '>i2' '<i4' '>i8' '<u1' '|u1' '<u4' '>u8'; do
	make v.npy "$t" 1,4 1 2 3 100
	run --input v=v.npy --output o=o.npy >out 2>err
	[ "$(value o.npy)" = "1.0 2.0 3.0 100.0" ] || { echo "$t: $(value o.npy)"; exit 1; }
done
make v.npy '|b1' 1,4 1 0 1 1
run --input v=v.npy --output o=o.npy >out
[ "$(value o.npy)" = "1.0 0.0 1.0 1.0" ]
make v.npy '<f4' 1,4 1 2 3 100 v2
run --input v=v.npy --output o=o.npy >out
[ "$(value o.npy)" = "1.0 2.0 3.0 100.0" ]

# bf16 travels as uint16 bits, or as ml_dtypes' V2; 16256 is 1.0, 16384 is 2.0.
for t in '<u2' '>u2' '<V2' '|V2'; do
	make v.npy "$t" 1,4 16256 16384 49024 0
	expect 0 "converted to f32" run --input v=v.npy --output o=o.npy
	[ "$(value o.npy)" = "1.0 2.0 -1.0 0.0" ] || { echo "$t: $(value o.npy)"; exit 1; }
done
make v.npy '<u2' 1,4 16256 16384 49024 0
expect 0 "" run -D T=bf16 --input v=v.npy --output o=o.npy
cmp <(tail -c 8 v.npy) <(tail -c 8 o.npy)
make v.npy '<f8' 1,4 1e5 2 3 4
expect 0 "1 finite value of v.npy overflowed to infinity in f16" run -D T=f16 --input v=v.npy
make v.npy '<f8' 1,4 0.1 2 3 4
expect 0 "float64 in v.npy converted to f32" run --input v=v.npy

# Integers must survive; floats never become integers.
make v.npy '<i8' 1,4 1 2 16777217 3
expect 1 "v.npy[0, 2] is 16777217, which f32 cannot hold exactly" run --input v=v.npy
make w.npy '<i8' 1 2147483648
expect 1 "w.npy[0] is 2147483648, which i32 cannot hold exactly" run --input w=w.npy
make w.npy '<u8' 1 18446744073709549568
expect 1 "which i32 cannot hold exactly" run --input w=w.npy
make w.npy '<f4' 1 1
expect 1 "holds float32 but the spec says i32" run --input w=w.npy
make w.npy '<u2' 1 40000
expect 0 "" run --input w=w.npy

# Fortran order is a stride, not another tensor.
make v.npy '<f4' 2,4 1 2 3 4 5 6 7 8
make vf.npy '<f4' 2,4 1 5 2 6 3 7 4 8 fortran
make k.npy '<f4' 2,4
for f in v vf; do
	"$TRIKL" run one.tkl --dims M=3 --input v=$f.npy --input k=k.npy --check --output o=o_$f.npy >out
done
[ "$(value o_v.npy | cut -d' ' -f1-4)" = "3.0 4.0 5.0 6.0" ]
cmp o_v.npy o_vf.npy

# Shapes bind lengths; those that disagree are named.
expect 0 "" "$TRIKL" run one.tkl --dims M=1 --input v=v.npy
holds out "N=2"
make k3.npy '<f4' 3,4
expect 1 "v: dimension 0 (j) is 2 but k has N = 3" "$TRIKL" run one.tkl --input k=k3.npy --input v=v.npy
expect 1 "v: dimension 0 (j) is 2 but --dims says N = 1" run --input v=v.npy
make bad.npy '<f4' 1,5
expect 1 "v: dimension 1 (D) is 5 but the spec says 4" run --input v=bad.npy
make bad.npy '<f4' 4
expect 1 "v: the file has 1 dimension but the spec says f32[j, D], which has 2" run --input v=bad.npy
expect 3 "has no input 'o'" run --input o=v.npy
expect 3 "is given twice" run --input v=v.npy --input v=v.npy
expect 4 "cannot open 'missing.npy'" run --input v=missing.npy
expect 4 "it is a directory" run --input v=.

# Files that lie about themselves.
lie() { python3 -c 'import struct, sys
h = sys.argv[2].encode(); open(sys.argv[1], "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(h)) + h + b"\0" * 64)' lie.npy "$1"; }
reject() { expect 1 "$1" run --input v=lie.npy; }
lie "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"
reject "larger than any file"
lie "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"
reject "larger than any file"
lie "{'descr': '<f4', 'fortran_order': False, 'shape': (100, 4), }"
reject "cut off: its header promises 1600 bytes of data, it has 64"
lie "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }"
reject "not a size"
lie "{'descr': '<c8', 'fortran_order': False, 'shape': (1, 4), }"
reject "dtype '<c8' is not supported"
lie "{'descr': '|O', 'fortran_order': False, 'shape': (1, 4), }"
reject "dtype '|O' is not supported"
lie "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 4), }"
reject "structured"
lie "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4"
reject "shape"
lie "{'descr': '<f4', 'shape': (1, 4), }"
reject "lacks one of"
lie ""
reject "not a dict"
printf '\x93NUMPY\x02\x00\xff\xff\xff\xff{}' >lie.npy
reject "larger than 1 MiB"
printf '\x93NUMPY\x01\x00\xff\xff{}' >lie.npy
reject "cut off in its header"
printf '\x93NUM' >lie.npy
reject "not a .npy file"
: >lie.npy
reject "not a .npy file"
head -c 40 v.npy >lie.npy
reject "cut off in its header"
