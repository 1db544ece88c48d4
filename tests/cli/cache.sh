# cache: stats, list, verify, clear, path, on an empty, a filled, a damaged and a refused directory.
. tests/cli/expect.bash

export TRIKL_CACHE_DIR="$PWD/cache"
unset TRIKL_CACHE_SIZE TRIKL_CACHE_DISABLE TRIKL_CACHE_READONLY TRIKL_CACHE_PATH

# Looking makes nothing.
expect 0 "" "$TRIKL" cache path
[ "$(cat out)" = "$TRIKL_CACHE_DIR" ]
for action in stats list verify clear; do
	expect 0 "" "$TRIKL" cache $action
done
expect 0 "" "$TRIKL" cache stats --json
python3 -c 'import json; r = json.load(open("out")); assert r["mode"] == "not made yet" and r["entries"] == 0 and r["limit"] == 1 << 30, r'
[ ! -e cache ]

# Two entries, as the format in runtime/cache/entry.c says, and a damaged one.
python3 - <<'PY'
import hashlib, os, struct
os.mkdir("cache", 0o700)
def entry(key, kind, payload):
    head = struct.pack("<8sII32s16sQ32s56s", b"TKLCACHE", 1, 192, bytes([key]) * 32, kind, len(payload),
                       hashlib.sha256(payload).digest(), b"hand 1.0")
    with open("cache/" + 32 * f"{key:02x}" + "." + kind.decode(), "wb") as f:
        f.write(head + hashlib.sha256(head).digest() + payload)
entry(0xa1, b"ptx", b"x" * 808)
entry(0xb2, b"cubin", b"y" * 10)
entry(0xc3, b"ptx", b"z" * 10)
with open("cache/" + "c3" * 32 + ".ptx", "r+b") as f:
    f.seek(200)
    f.write(b"Z")
PY
expect 0 "" "$TRIKL" cache stats
holds out "entries    3"
holds out "ptx      2, 1.2 KiB"
holds out "(read-write)"
expect 0 "" env TRIKL_CACHE_READONLY=1 TRIKL_CACHE_SIZE=2M "$TRIKL" cache stats
holds out "of 2.0 MiB"
holds out "(read-only)"
expect 0 "" "$TRIKL" cache list
holds out "hand 1.0"
expect 0 "" "$TRIKL" cache list --json
python3 - <<'PY'
import json
r = json.load(open("out"))
assert [(x["key"][:2], x["kind"], x["bytes"]) for x in r] == [("a1", "ptx", 1000), ("b2", "cubin", 202), ("c3", "ptx", 202)], r
assert all(x["producer"] == "hand 1.0" and x["damage"] is None and not x["secondary"] for x in r), r
PY

expect 2 "has a damaged payload; it is ignored" env TRIKL_CACHE_READONLY=1 "$TRIKL" cache verify
expect 2 "has a damaged payload; it is removed" "$TRIKL" cache verify --json
python3 -c 'import json; r = json.load(open("out")); assert r["entries"] == 3 and [x["key"][:2] for x in r["damaged"]] == ["c3"], r'
expect 0 "" "$TRIKL" cache verify
holds out "2 entries checked, 0 damaged"

# The same directory as a secondary one.
expect 0 "" env TRIKL_CACHE_DIR="$PWD/other" TRIKL_CACHE_PATH="$PWD/cache" "$TRIKL" cache stats
holds out "secondary  $PWD/cache"
holds out "(not made yet)"

expect 4 "is read-only: nothing was removed" env TRIKL_CACHE_READONLY=1 "$TRIKL" cache clear
expect 4 "is disabled: nothing was removed" env TRIKL_CACHE_DISABLE=1 "$TRIKL" cache clear
expect 0 "" "$TRIKL" cache clear
holds out "2 entries removed from $TRIKL_CACHE_DIR"
[ -z "$(ls cache)" ]

chmod 777 cache
expect 4 "can be written by others" "$TRIKL" cache stats
expect 4 "nothing was removed" "$TRIKL" cache clear
chmod 700 cache
expect 0 "must be a number of bytes" env TRIKL_CACHE_SIZE=huge "$TRIKL" cache stats
expect 4 "no cache directory" env -u HOME -u XDG_CACHE_HOME -u TRIKL_CACHE_DIR "$TRIKL" cache path

expect 3 "cache needs ACTION" "$TRIKL" cache
expect 3 "did you mean 'verify'" "$TRIKL" cache verfy
expect 3 "unexpected argument" "$TRIKL" cache stats list
