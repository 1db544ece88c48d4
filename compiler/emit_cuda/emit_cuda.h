/* emit_cuda.h: tile program -> CUDA C that reads as if written by hand.
 *
 *   cuda.c         the file: comment, constants, signature, prologue
 *   cuda_block.c   statements in order, flow, comments; one function per statement operation
 *   cuda_map.c     statements over the elements of a register tile
 *   cuda_shared.c  statements over shared memory, and the tensor cores
 *   cuda_async.c   mbarriers, TMA and products of warpgroups
 *   cuda_value.c   values: one function per kind of operation
 *   cuda_local.c   values that occur more than once, by name
 *   cuda_pair.c    16-bit values, two in a register
 *   cuda_place.c   register tiles as arrays, loops over their elements
 *   cuda_index.c   closed forms of layout.c's arithmetic
 *   cuda_facts.c   what a statement has to know of the rest of the program
 *   cuda_name.c    C++ names
 *   cuda_line.c    lines of at most 100 columns
 *
 * Mechanical: what the program says is written down, and nothing is decided. The text depends on
 * nothing but the program. It is compiled with -std=c++17 by nvcc or NVRTC, next to
 * generated/trikl_cuda.h and, for sm_90a, generated/trikl_hopper.h. */
#pragma once
#include "tile/tile.h"

/* Appends the kernel to `out`. The program has been verified. False: `d` says what CUDA C cannot
 * express. */
bool emit_cuda(const tile_program *p, text *out, diags *d);
