# regenerate: writes the library's code, finds what is stale, missing or left over.
specs=$PWD/specs
. tests/cli/expect.bash

mkdir specs
cp "$specs/mha.tkl" specs
expect 0 "" "$TRIKL" regenerate
[ "$(cd generated/mha && ls | tr '\n' ' ')" = \
	"mha_sm_80.cu mha_sm_80.ptx mha_sm_80.tile mha_sm_90a.cu mha_sm_90a.ptx mha_sm_90a.tile " ]
expect 0 "" "$TRIKL" regenerate --check
holds out "6 files, 0 stale"
echo >>generated/mha/mha_sm_80.ptx
expect 2 "generated/mha/mha_sm_80.ptx is not what the compiler generates" "$TRIKL" regenerate --check
rm generated/mha/mha_sm_90a.cu
expect 2 "generated/mha/mha_sm_90a.cu is missing" "$TRIKL" regenerate --check
expect 0 "" "$TRIKL" regenerate
holds out "6 files, 2 changed"
cp generated/mha/mha_sm_90a.cu generated/mha/mha_sm_70.cu
expect 2 "mha_sm_70.cu belongs to no spec or target" "$TRIKL" regenerate --check
expect 0 "" "$TRIKL" regenerate
[ ! -e generated/mha/mha_sm_70.cu ]
expect 0 "" "$TRIKL" regenerate --targets sm_86 -o other specs/mha.tkl
[ -s other/mha/mha_sm_86.tile ]
expect 0 "" "$TRIKL" regenerate --targets sm_80,sm_90 -o both specs/mha.tkl
[ -s both/mha/mha_sm_90.tile ]
expect 3 "GPU targets only" "$TRIKL" regenerate --targets cpu
# What has no GPU kernel is named and left out.
cp plain.tkl specs
expect 0 "plain has no kernel for sm_75" "$TRIKL" regenerate --targets sm_75 -o none specs/plain.tkl
