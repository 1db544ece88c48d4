# generated/ is what the compiler generates now; ptxas assembles all of it without spills or a warning about performance.
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
	if grep -E "Performance Loss|[1-9][0-9]* bytes spill|[1-9][0-9]* bytes stack" said; then
		echo "$f"
		exit 1
	fi
done
