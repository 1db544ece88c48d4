/* fuzz_front.h: one run of the front end on any bytes; libFuzzer and the replay of the corpus call
 * it. */
#pragma once
#include <stddef.h>
#include <stdint.h>

const char *__asan_default_options(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
