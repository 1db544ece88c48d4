/* arch.h: the table of GPU architectures: resources, instruction families, rates for a cost model,
 * how to generate PTX for each with this LLVM, and whose code runs where. All of it is constant
 * data: any thread may use it, nothing is owned by the caller. The rows are in arch.def, in
 * ascending order. */
#pragma once
#include "support/text.h"
#include <stdbool.h>
#include <stddef.h>

/* Instruction families, one bit each. */
enum {
#define ARCH_FAMILY(constant, name, meaning) ARCH_BIT_##constant,
#include "arch/families.def"
#undef ARCH_FAMILY
	ARCH_FAMILY_COUNT
};
typedef enum {
#define ARCH_FAMILY(constant, name, meaning) ARCH_##constant = 1 << ARCH_BIT_##constant,
#include "arch/families.def"
#undef ARCH_FAMILY
} arch_family;

/* Whose devices run the code of a row. Portable PTX: every device of the same or a later
 * capability; portable cubins: the same major and the same or a later minor number. */
typedef enum {
	ARCH_PORTABLE,
	ARCH_EXACT, /* "a" targets: PTX and cubins run on exactly this capability */
	ARCH_TEGRA  /* PTX as portable; cubins are not shared with desktop devices */
} arch_kind;

typedef struct {
	const char *name; /* "sm_90a" */
	int major, minor; /* compute capability */
	arch_kind kind;

	const char *llvm_cpu; /* processor to generate for */
	int llvm_ptx;         /* PTX version to generate: 80 is "+ptx80" */
	int ptx;              /* PTX version of the final text: 86 is .version 8.6 */
	unsigned families;    /* of arch_family */

	int shared_block, shared_sm; /* bytes: most of one block (opt-in), all of an SM */
	int shared_reserved;         /* bytes that the system takes of each resident block */
	int registers_sm, registers_thread;
	int warps_sm, threads_sm, blocks_sm, threads_block;

	int mma_flop,
		wgmma_flop; /* dense f16/bf16 FLOP a clock and SM, f32 accumulation; 0: has none */
	int fma, ex2;       /* f32 a clock and SM */
	int shared_bytes;   /* a clock and SM */

	const char *
		product; /* what follows is this product's; ask the driver for the device at hand */
	int sms, mhz;
	int l2_mib, l2_gbs, dram_gbs;
} arch;

/* arch.c */

/* The rows in the order of the table; `count` may be NULL. */
const arch *arch_all(int *count);
/* The row named "sm_90a", "90a" or "compute_90a"; NULL when there is none. */
const arch *arch_find(const char *name);
/* The row whose code is best on a device of this capability: its own, "a" before plain, else the
 * latest whose PTX the device accepts; NULL for devices older than the table. */
const arch *arch_native(int major, int minor);
/* As arch_find, and "native" is arch_native(major, minor); NULL also for "native" with major 0 (no
 * device). */
const arch *arch_resolve(const char *name, int major, int minor);
/* The name nearest to a mistyped one, for a hint; NULL when none is near. */
const char *arch_nearest(const char *name);
bool arch_has(const arch *a, unsigned families);
/* Whether a device of this capability runs PTX, or a cubin, that was made for `a`. */
bool arch_ptx_runs_on(const arch *a, int major, int minor);
bool arch_cubin_runs_on(const arch *a, int major, int minor);
/* The name and meaning of family `bit` (0 .. ARCH_FAMILY_COUNT-1). */
const char *arch_family_name(int bit);
const char *arch_family_meaning(int bit);
/* Appends the names of the families in `families`, separated by a space. */
void arch_families_text(unsigned families, text *out);
/* The first CUDA release whose driver and ptxas read this PTX version, as 12080 for 12.8; 0 when
 * unknown. */
int arch_ptx_cuda(int ptx);
/* Resident blocks on an SM by registers (a thread, allocated in units of 8), shared memory (bytes a
 * block), warps. 0: one block does not fit. */
int arch_blocks_per_sm(const arch *a, int warps, int registers, int shared);

/* retarget.c */

/* Appends the PTX text with .version and .target of `a`. The text must be what LLVM wrote for
 * a->llvm_cpu, with a version up to a->ptx, and free of instructions that the target lacks. false:
 * `why` (static) tells the reason and nothing was appended. */
bool arch_retarget(const arch *a, const char *ptx, size_t size, text *out, const char **why);
