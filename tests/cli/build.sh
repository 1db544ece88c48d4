# build: one file a kind, or stdout; kinds and targets that this version lacks are refused.
. tests/cli/expect.bash

expect 0 "" "$TRIKL" build tri.tkl --emit ast,model --emit llvm,object -o made/here
[ "$(cd made/here && ls | tr '\n' ' ')" = "tri.ast tri.h tri.ll tri.model tri.o " ]
holds made/here/tri.ll "define"
[ "$(head -c 4 made/here/tri.o | tail -c 3)" = ELF ]
for kind in ast model llvm object header; do
	"$TRIKL" build tri.tkl --emit $kind -o - >one
	case $kind in llvm) file=tri.ll ;; object) file=tri.o ;; header) file=tri.h ;; *) file=tri.$kind ;; esac
	cmp one made/here/$file
done

expect 3 "-o - takes one file and one kind" "$TRIKL" build tri.tkl --emit ast,model -o -
expect 3 "did you mean 'model'?" "$TRIKL" build tri.tkl --emit modle
for kind in plan tile ptx cuda cubin; do
	expect 3 "--emit $kind needs a GPU target" "$TRIKL" build tri.tkl --emit $kind
done
expect 3 "--emit object needs --target cpu" "$TRIKL" build tri.tkl --emit object --target sm_80
expect 3 "unknown target 'gpu'" "$TRIKL" build tri.tkl --target gpu
expect 0 "" "$TRIKL" build tri.tkl --target cpu -o .
[ -s tri.o ]
: >file
expect 4 "cannot make directory" "$TRIKL" build tri.tkl -o file/dir
