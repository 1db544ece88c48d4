#!/bin/sh
# gpu_sanitize: compute-sanitizer over the kernels of some specs, on small odd shapes.
#   TRIKL=build/compiler/cli/trikl bench/gpu_sanitize.sh [SECONDS]
# in:  the program, compute-sanitizer, a GPU; SECONDS: what does not begin before is left out (default: 600)
# out: one line a run; exit 1 when a tool reports something or a run fails
cd "$(dirname "$0")/.." || exit 1
trikl=${TRIKL:-build/compiler/cli/trikl}
tool=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -1)
[ -n "$tool" ] || { echo "gpu_sanitize: there is no compute-sanitizer"; exit 1; }
end=$(($(date +%s) + ${1:-600}))
log=$(mktemp)
failed=0

# one TOOL SPEC DIMS [option]...
one() {
	name=$1 spec=$2 dims=$3
	shift 3
	if [ "$(date +%s)" -ge "$end" ]; then
		echo "left out $name $spec $dims $*"
		return
	fi
	"$tool" --tool "$name" --error-exitcode 9 "$trikl" run "specs/$spec.tkl" --dims "$dims" "$@" --device cuda:0 \
		>"$log" 2>&1
	code=$?
	[ $code = 0 ] || failed=1
	echo "$([ $code = 0 ] && echo "ok    " || echo FAILED) $name $spec $dims $*$(sed -n 's/^=* *\(.*SUMMARY.*\)/: \1/p' "$log" |
		tail -1)"
	[ $code = 0 ] || grep -v '^ ' "$log" | head -8
}

# Keys by TMA where there are such kernels, then rows that only narrow copies can take, then the other forms.
for name in memcheck racecheck synccheck initcheck; do
	one $name two_simplicial B=1,N=70,H=6,G=2
	one $name mha B=1,N=131,H=2 -D D=64
	one $name two_simplicial B=1,N=70,H=6,G=2 -D D=36 -D E=52
	one $name mha B=1,N=67,H=2 -D T=f32 -D D=32
done
for name in memcheck racecheck; do
	one $name determinant B=1,N=40,H=4,G=2 -D D=48
	one $name sink B=1,N=67,H=4,G=2 -D D=48
	one $name bias B=1,N=67,H=4 -D D=48
	one $name padded B=2,N=67,H=4 -D D=48
	one $name three_simplicial B=1,N=19,H=4,G=2 -D D=32
done
rm -f "$log"
exit $failed
