# A spec without row form: auto falls back to the reference and says why, the cpu refuses, explain still explains.
. tests/cli/expect.bash

cat >additive.tkl <<'TKL'
attention additive(q : f32[i, D], k : f32[j, D], v : f32[j, D], u : f32[D]) -> (o : f32[i, D]) {
    const D = 4
    index i, j : N
    s = sum(d) u[d] * tanh(q[d] + k[d])
    p = softmax(j) s
    o = sum(j) p * v
}
TKL
expect 0 "" "$TRIKL" check additive.tkl
expect 0 "" "$TRIKL" check -v additive.tkl
holds out "no row form ("
expect 0 "tanh(q[d] + k[d])" "$TRIKL" run additive.tkl --dims N=9
holds out "additive on reference (float64)"
expect 0 "" "$TRIKL" run additive.tkl --dims N=9 --device reference
expect 1 "use --device reference" "$TRIKL" run additive.tkl --dims N=9 --device cpu
expect 1 "error" "$TRIKL" run additive.tkl --dims N=9 -Werror
expect 0 "no row form" "$TRIKL" explain additive.tkl --dims N=9 --svg additive.svg
holds out "it runs on the reference interpreter only"
holds additive.svg "</svg>"
expect 1 "there is no cpu code for it" "$TRIKL" build additive.tkl
expect 0 "" "$TRIKL" build additive.tkl --emit ast,model
holds additive.model "none:"
