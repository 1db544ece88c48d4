# targets and doctor: tables, JSON; bench: its JSON.
. tests/cli/expect.bash

expect 0 "" "$TRIKL" targets
holds out cpu
expect 0 "" "$TRIKL" targets --json
python3 -c 'import json; r = json.load(open("out")); assert r[0]["name"] == "cpu" and r[0]["vector_bits"] in (128, 256, 512)'
expect 0 "" "$TRIKL" doctor
holds out "a probe compiled"
expect 0 "" env -u HOME -u XDG_CACHE_HOME -u TRIKL_CACHE_DIR "$TRIKL" doctor
holds out "set TRIKL_CACHE_DIR"
mkdir open
chmod 777 open
expect 0 "" env TRIKL_CACHE_DIR="$PWD/open" "$TRIKL" doctor --json
python3 - <<'PY'
import json
r = {x["name"]: x for x in json.load(open("out"))}
assert r["cache"]["level"] == "warning" and "chmod 700" in r["cache"]["remedy"], r
assert r["kernels"]["level"] == "ok" and r["LLVM"]["message"].startswith("19."), r
PY
expect 0 "plain has no length 'G'" "$TRIKL" bench plain.tkl tri.tkl --dims N=32,G=1 --reps 3 --json
python3 - <<'PY'
import json
r = json.load(open("out"))
assert [x["spec"] for x in r] == ["plain", "tri"] and all(x["launches"] == 3 for x in r), r
assert all(x["min_ms"] <= x["median_ms"] <= x["max_ms"] and x["share_of_peak"] > 0 for x in r), r
PY
expect 0 "" "$TRIKL" bench plain.tkl --dims N=32 --min-time 0.05
holds out "median"
