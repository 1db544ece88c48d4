/* emit.h: from a tile program to what a GPU's tools read. Emitters decide nothing: each operation
 * of tile_ops.def and tile_expr.def has one function, in a table. They take programs that
 * tile_verify accepts.
 *
 *   ptx.c         module, kernel, arguments, passes, PTX text
 *   ptx_build.c   instructions through the LLVM C API, each value once; inline assembly
 *   ptx_num.c     integers as register + constant with what is known of them
 *   ptx_value.c   values: one function for each of tile_expr.def
 *   ptx_pack.c    values of bf16 and f16, computed in pairs
 *   ptx_tile.c    register tiles: registers of PTX
 *   ptx_stmt.c    statements on registers, and flow
 *   ptx_shared.c  statements that read and write shared memory
 *   ptx_store.c   statements that write from register tiles
 *   ptx_async.c   mbarriers, counters, numbered barriers, TMA
 *   ptx_wgmma.c   products of warpgroups */
#pragma once
#include "arch/arch.h"
#include "support/diag.h"
#include "support/text.h"
#include "tile/tile.h"

/* Milliseconds spent. */
typedef struct {
	double build, optimise, generate;
} emit_times;

/* Appends the PTX of `p` for `a`; `times` may be NULL. False: a diagnostic says what the
 * architecture lacks. Kernel arguments in order: tensors as pointers to global memory, scalars as
 * they are. Shared memory is dynamic: p->shared_bytes at launch. */
bool emit_ptx(const tile_program *p, const arch *a, text *out, emit_times *times, diags *d);
/* The optimised LLVM module that emit_ptx generates code from, as text. */
bool emit_ptx_ir(const tile_program *p, const arch *a, text *out, diags *d);
