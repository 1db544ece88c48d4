# generated/ is what the compiler generates now; ptxas assembles all of it without a warning
# about performance, and with at most 16 bytes of spill stores (pairwise on sm_90 has 8).
root=$PWD
. tests/cli/expect.bash

(cd "$root" && "$TRIKL" regenerate -o "$TMP/fresh" >"$TMP/log" 2>&1)
[ "$(ls fresh/*/*.ptx | wc -l)" -ge 50 ]
if ls "$root"/generated/*/*.tile >/dev/null 2>&1; then
	(cd "$root" && "$TRIKL" regenerate --check >"$TMP/log" 2>"$TMP/stale") || {
		head "$TMP/stale"
		echo "rewrite them with: trikl regenerate"
		exit 1
	}
fi
ptxas=$(PATH=$PATH:/usr/local/cuda/bin command -v ptxas) || exit 77
for f in fresh/*/*.ptx; do
	arch=$(sed -n 's/^\.target \([a-z0-9_]*\).*/\1/p' "$f")
	"$ptxas" -v -arch="$arch" -o out.cubin "$f" >said 2>&1 || {
		cat said
		exit 1
	}
	spilled=$(sed -n 's/.* \([0-9][0-9]*\) bytes spill stores.*/\1/p' said | sort -n | tail -1)
	if grep "Performance Loss" said || [ "${spilled:-0}" -gt 16 ]; then
		echo "$f: ${spilled:-0} bytes of spill stores"
		exit 1
	fi
done
