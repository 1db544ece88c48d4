/* random_spec.h: specs made at random, for the algebra of row forms. */
#pragma once
#include "support/text.h"
#include <stdint.h>

/* Appends a spec of order 1 to 3 whose score and values are built from sums, products, shifted
 * subscripts and elementwise functions. The same seed gives the same spec; nearly all of them
 * check. */
void random_spec(uint64_t seed, text *out);
