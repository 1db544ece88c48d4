# An internal error (here: a fatal signal) exits 70 and leaves a file that reproduces it.
. tests/cli/expect.bash

if grep -qs TRIKL_SANITIZE:BOOL=ON "$BUILD/CMakeCache.txt"; then
	echo "sanitizers handle signals themselves"
	exit 77
fi
"$TRIKL" run tri.tkl --device reference --limit 1e9 --dims N=2048,H=64 -D W1=2048 -D W2=2048 >out 2>err &
pid=$!
sleep 0.5
kill -SEGV $pid
got=0
wait $pid || got=$?
[ $got = 70 ]
holds err "internal error: invalid memory access"
file=$(ls trikl-crash-*.tkl)
holds err "$file"
head -1 "$file" | grep -q "^# trikl run tri.tkl --device reference"
"$TRIKL" check "$file"
tail -n +3 "$file" | cmp - tri.tkl
