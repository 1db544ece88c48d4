# fmt: canonical text to stdout or in place; --check names the files that differ and changes nothing.
. tests/cli/expect.bash

"$TRIKL" fmt plain.tkl >canonical.tkl
"$TRIKL" fmt canonical.tkl | cmp - canonical.tkl
"$TRIKL" fmt - <plain.tkl | cmp - canonical.tkl
expect 0 "" "$TRIKL" fmt --check canonical.tkl
[ ! -s out ]

sed 's/    const/const/' canonical.tkl >ragged.tkl
cp ragged.tkl before.tkl
expect 2 "" "$TRIKL" fmt --check canonical.tkl ragged.tkl
[ "$(cat out)" = ragged.tkl ]
cmp ragged.tkl before.tkl

chmod 640 ragged.tkl
ln -s ragged.tkl link.tkl
expect 0 "" "$TRIKL" fmt -i link.tkl canonical.tkl
cmp ragged.tkl canonical.tkl
[ -L link.tkl ]
[ "$(stat -c %a ragged.tkl)" = 640 ]
[ "$(ls | grep -c ragged)" = 1 ]

echo 'attention (' >bad.tkl
expect 1 "bad.tkl:1:" "$TRIKL" fmt -i bad.tkl
[ "$(cat bad.tkl)" = 'attention (' ]
expect 1 "bad.tkl:1:" "$TRIKL" fmt --check bad.tkl ragged.tkl
expect 3 "cannot be rewritten" "$TRIKL" fmt -i -
expect 4 "cannot open" "$TRIKL" fmt missing.tkl

# A directory that cannot be written leaves the file as it was.
if [ "$(id -u)" != 0 ]; then
	mkdir sealed
	cp before.tkl sealed/x.tkl
	chmod 555 sealed
	expect 4 "cannot write" "$TRIKL" fmt -i sealed/x.tkl
	cmp sealed/x.tkl before.tkl
	chmod 755 sealed
fi
