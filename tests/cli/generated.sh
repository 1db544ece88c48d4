# generated/ is what the compiler generates now; ptxas assembles all of it without a warning about performance and with at
# most 16 bytes of spill stores, but for those listed below.
root=$PWD
. tests/cli/expect.bash

# A tree without generated code is tested on what it would hold.
code=$root/generated
if ls "$code"/*/*.tile >/dev/null 2>&1; then
	(cd "$root" && "$TRIKL" regenerate --check >"$TMP/log" 2>"$TMP/stale") || {
		head "$TMP/stale"
		echo "rewrite them with: trikl regenerate"
		exit 1
	}
else
	code=$TMP/fresh
	(cd "$root" && "$TRIKL" regenerate -o "$code" >"$TMP/log" 2>&1)
fi
[ "$(ls "$code"/*/*.ptx | wc -l)" -ge 50 ]
# Nothing in it depends on the machine or the day.
if grep -lF -e "$root" -e "$TMP" -e "$(date +%Y-)" "$code"/*/*; then
	exit 1
fi

ptxas=$(PATH=$PATH:/usr/local/cuda/bin command -v ptxas) || exit 77
assemble() {
	local arch mode modes=-v log=$TMP/$(basename "$2").log
	arch=$(sed -n 's/^\.target \([a-z0-9_]*\).*/\1/p' "$2")
	# The driver's linker assembles relocatable code, in which a subroutine's call serialises products of warpgroups.
	[ "$arch" != sm_90a ] || modes="-v -c"
	for mode in $modes; do
		"$1" $mode -arch="$arch" -o "$log.o" "$2" >>"$log" 2>&1 || {
			cat "$log"
			exit 255
		}
		rm "$log.o"
	done
	if grep -e "Performance Loss" -e "(C75[0-9]*)" "$log"; then
		echo "$2"
		exit 255
	fi
}
export -f assemble
export TMP
ls "$code"/*/*.ptx | xargs -P "$(nproc)" -I{} bash -c 'assemble "$@"' - "$ptxas" {}
# NAME BYTES for those that spill.
for log in *.log; do
	bytes=$(sed -n 's/.* \([0-9][0-9]*\) bytes spill stores.*/\1/p' "$log" | sort -n | tail -1)
	[ "${bytes:-0}" = 0 ] || echo "${log%.ptx.log} $bytes"
done >spills
# What is known to spill more, in bytes: kernels of warpgroups that fill a thread's registers.
cat >known <<'END'
pairwise_sm_90a 160
bias_sm_90a 80
END
awk 'NR == FNR { most[$1] = $2; next }
	$2 > ($1 in most ? most[$1] : 16) { print "too many bytes of spill stores: " $0; bad = 1 }
	END { exit bad }' known spills
