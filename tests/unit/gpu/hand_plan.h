/* hand_plan.h: row forms of the shipped specs and plans made by hand. */
#pragma once
/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu/gpu.h"

typedef struct {
	int warps, key_tile, resident, slots;
} hand_sizes;

/* Row form of specs/SPEC.tkl, NULL when it has none. *bytes is freed after the arena's last use. */
const row_form *hand_form(arena *a, const char *spec, char **bytes);
/* False: the spec has more operand streams than the plan holds. */
bool hand_plan(const row_form *m, hand_sizes z, gpu_plan *p);
