# check: silent when fine, diagnostics on stderr, exit 1, 3 and 4 apart.
. tests/cli/expect.bash

expect 0 "" "$TRIKL" check plain.tkl tri.tkl
[ ! -s out ]
expect 0 "" "$TRIKL" check -v plain.tkl tri.tkl
holds out "tri.tkl: tri: 5 inputs, 2 outputs, order 2, row form with inner axis k"
"$TRIKL" check - <tri.tkl

sed 's/k2\[d\]/k3[d]/' tri.tkl >bad.tkl
expect 1 "bad.tkl:13:" "$TRIKL" check plain.tkl bad.tkl tri.tkl
expect 1 "k3" "$TRIKL" check bad.tkl
! grep -q $'\033' err
expect 1 $'\033[' "$TRIKL" check bad.tkl --color=always
got=0
"$TRIKL" check - <bad.tkl 2>err || got=$?
[ $got = 1 ]
holds err "<stdin>:13:"

expect 4 "cannot open 'missing.tkl'" "$TRIKL" check missing.tkl
expect 4 "cannot" "$TRIKL" check .
expect 1 "bad.tkl:13:" "$TRIKL" check bad.tkl bad.tkl

# One JSON array for all files together.
expect 1 '"severity"' "$TRIKL" check --diagnostics-format=json bad.tkl plain.tkl bad.tkl
python3 - <<'PY'
import json
m = json.load(open("err"))
assert len(m) >= 2 and all(x["severity"] in ("error", "warning") for x in m), m
PY
"$TRIKL" check --diagnostics-format=json plain.tkl 2>err
[ "$(tr -d ' \n' <err)" = "[]" ]

# -D reaches the specs that declare the name, and some spec must.
expect 0 "" "$TRIKL" check plain.tkl tri.tkl -D W1=7 -D D=16
expect 3 "did you mean 'W1'?" "$TRIKL" check plain.tkl tri.tkl -D W11=7
expect 1 "'D' is set by -D" "$TRIKL" check plain.tkl -D D=0

# Nothing in the file is a warning, an error with -Werror.
: >empty.tkl
expect 0 "warning" "$TRIKL" check empty.tkl
expect 1 "error" "$TRIKL" check -Werror empty.tkl

# Bytes that are no text are diagnosed.
head -c 4096 /dev/urandom >noise.tkl
expect 1 "error" "$TRIKL" check noise.tkl
printf 'attention \0x' >nul.tkl
expect 1 "error" "$TRIKL" check nul.tkl

# One kind of warning hidden, or an error.
expect 0 "" "$TRIKL" check -Wno-empty empty.tkl
expect 1 "[-Werror,-Wempty]" "$TRIKL" check -Werror=empty empty.tkl
expect 0 "warning" "$TRIKL" check -Werror=unused empty.tkl
expect 3 "did you mean 'empty'?" "$TRIKL" check -Wno-emtpy empty.tkl
expect 3 "did you mean '-Wno-empty'" "$TRIKL" check -Wempty empty.tkl
