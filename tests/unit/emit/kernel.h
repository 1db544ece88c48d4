/* kernel.h: from the text of a spec to its tile program, for tests of the emitters. */
#pragma once
#include "gpu/gpu.h"

/* NULL when errors were reported. `src` outlives the program. */
tile_program *kernel_lower(arena *a, const source *src, const char *target, diags *d);
/* A whole file in the arena; NULL when it cannot be read. */
source *kernel_read(arena *a, const char *path);
