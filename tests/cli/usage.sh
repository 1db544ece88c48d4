# Wrong command lines exit 3 and say what was meant; --help and --version exit 0.
. tests/cli/expect.bash

expect 3 "no verb given" "$TRIKL"
expect 3 "unknown verb 'chek'; did you mean 'check'?" "$TRIKL" chek plain.tkl
expect 3 "did you mean '--dims'?" "$TRIKL" run plain.tkl --dmis N=3
expect 3 "did you mean '--dims'?" "$TRIKL" run plain.tkl --dmis=N=3
expect 3 "unknown option '-x'" "$TRIKL" check -x plain.tkl
expect 3 "needs a value" "$TRIKL" run plain.tkl --dims
expect 3 "takes no value" "$TRIKL" run plain.tkl --json=3
expect 3 "is not a non-negative integer" "$TRIKL" run plain.tkl --threads 4x
expect 3 "is not a non-negative integer" "$TRIKL" run plain.tkl --seed -1
expect 3 "is not a non-negative number" "$TRIKL" run plain.tkl --limit nan
expect 3 "is not of the form" "$TRIKL" run plain.tkl -D W1
expect 3 "is not auto, always or never" "$TRIKL" check plain.tkl --color=red
expect 3 "is not text or json" "$TRIKL" check plain.tkl --diagnostics-format=xml
expect 3 "did you mean '-Werror'?" "$TRIKL" check plain.tkl -Weror
expect 3 "check needs SPEC..." "$TRIKL" check
expect 3 "unexpected argument 'tri.tkl'" "$TRIKL" run plain.tkl tri.tkl
expect 3 "cannot be combined" "$TRIKL" fmt --check --write plain.tkl
expect 3 "'gradcheck' is not available in this version" "$TRIKL" gradcheck

expect 0 "" "$TRIKL" --version
grep -qE '^trikl [0-9]+\.[0-9]+\.[0-9]+$' out
expect 0 "" "$TRIKL" --help
for verb in check fmt run bench explain build targets doctor cache regenerate; do
	"$TRIKL" --help >out
	holds out "  $verb "
	expect 0 "" "$TRIKL" $verb --help
	holds out "usage: trikl $verb"
	expect 0 "" "$TRIKL" help $verb
	holds out "usage: trikl $verb"
done
! grep -q gradcheck out
"$TRIKL" --help >out
! grep -q gradcheck out

# Full standard output is an error of the environment.
if [ -w /dev/full ]; then
	got=0
	"$TRIKL" --help >/dev/full 2>err || got=$?
	[ $got = 4 ]
	holds err "cannot write standard output"
fi
