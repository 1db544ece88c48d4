# build_id: writes a header with the digest of the compiler's sources, a part of every cache key.
#   cmake -DSOURCE=... -DOUT=... -DFILES="a|b|c" -P build_id.cmake      FILES: relative to SOURCE
string(REPLACE "|" ";" files "${FILES}")
list(SORT files)
set(all)
foreach(file IN LISTS files)
  file(SHA256 ${SOURCE}/${file} digest)
  string(APPEND all "${file} ${digest}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 40 digest)
file(WRITE ${OUT} "/* build_id.h: generated from the sources' digests. */\n#define DEVICE_BUILD_ID \"${digest}\"\n")
