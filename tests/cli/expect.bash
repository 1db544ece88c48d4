# expect.bash: what the command-line tests share. A test sources it, works in $TMP, and ends with status 0 when all is well.

export TRIKL_LIBCUDA=none # the same on machines with and without a GPU
BUILD=$(realpath "${BUILD:-build}")
cd "$TMP"

# expect CODE TEXT COMMAND...: the command exits with CODE and its stderr holds TEXT ("" for nothing at all).
expect() {
	local code=$1 text=$2 got=0
	shift 2
	"$@" >out 2>err </dev/null || got=$?
	if [ "$got" != "$code" ]; then
		echo "exit $got, expected $code: $*"
		cat err
		return 1
	fi
	if [ -z "$text" ] && [ -s err ]; then
		echo "unexpected on stderr: $*"
		cat err
		return 1
	fi
	if [ -n "$text" ] && ! grep -qF -e "$text" err; then
		echo "stderr lacks '$text': $*"
		cat err
		return 1
	fi
}

# holds FILE TEXT: the file has the text.
holds() {
	grep -qF -e "$2" "$1" || {
		echo "$1 lacks '$2':"
		cat "$1"
		return 1
	}
}

# A small causal attention in f32, and a trilinear one.
cat >plain.tkl <<'TKL'
attention plain(q : T[B, i, H, D], k : T[B, j, H, D], v : T[B, j, H, D]) -> (o : T[B, i, H, D]) {
    const D = 8, T = f32
    index i, j : N
    window j in [0, i]
    s = sum(d) q[d] * k[d] / sqrt(D)
    p = softmax(j) s
    o = sum(j) p * v
}
TKL
cat >tri.tkl <<'TKL'
attention tri(
    q : T[B, i, H, D],
    k1 : T[B, j, G, D],
    v1 : T[B, j, G, D],
    k2 : T[B, k, G, D],
    v2 : T[B, k, G, D]
) -> (o : T[B, i, H, D], lse : f32[B, H, i]) {
    const D = 8, T = f32
    param W1 = 4, W2 = 16
    index i, j, k : N
    window j in (i - W1, i]
    window k in (i - W2, i]
    s = sum(d) q[d] * k1[d] * k2[d] / sqrt(D)
    p = softmax(j, k) s
    o = sum(j, k) p * v1 * v2
    lse = logsumexp(j, k) s
}
TKL
