/* arch: lookups in the architecture table.
 * in:  a name or a device's compute capability        out: a row of arch.def, or what can run where
 */
#include "arch/arch.h"
#include "support/diag.h"
#include <string.h>

#define KIB 1024

static const arch table[] = {
#define ARCH(sm, cc_major, cc_minor, cc_kind, cpu, emit, version, set, block, all, warps, blocks,  \
	mma, wgmma, fmas, ex2s, smem, gpu, count, clock, l2mib, l2, dram)                          \
	{.name = "sm_" #sm,                                                                        \
		.major = cc_major,                                                                 \
		.minor = cc_minor,                                                                 \
		.kind = cc_kind,                                                                   \
		.llvm_cpu = cpu,                                                                   \
		.llvm_ptx = emit,                                                                  \
		.ptx = version,                                                                    \
		.families = set,                                                                   \
		.shared_block = (block)*KIB,                                                       \
		.shared_sm = (all)*KIB,                                                            \
		.shared_reserved = ((all) - (block)) * KIB,                                        \
		.registers_sm = 64 * KIB,                                                          \
		.registers_thread = 255,                                                           \
		.warps_sm = warps,                                                                 \
		.threads_sm = 32 * (warps),                                                        \
		.blocks_sm = blocks,                                                               \
		.threads_block = 1024,                                                             \
		.mma_flop = mma,                                                                   \
		.wgmma_flop = wgmma,                                                               \
		.fma = fmas,                                                                       \
		.ex2 = ex2s,                                                                       \
		.shared_bytes = smem,                                                              \
		.product = gpu,                                                                    \
		.sms = count,                                                                      \
		.mhz = clock,                                                                      \
		.l2_mib = l2mib,                                                                   \
		.l2_gbs = l2,                                                                      \
		.dram_gbs = dram},
#include "arch/arch.def"
#undef ARCH
};

enum { ROWS = sizeof table / sizeof *table };

static const struct {
	const char *name, *meaning;
} family[] = {
#define ARCH_FAMILY(constant, word, sense) {word, sense},
#include "arch/families.def"
#undef ARCH_FAMILY
};

const arch *arch_all(int *count)
{
	if (count)
		*count = ROWS;
	return table;
}

const arch *arch_find(const char *name)
{
	static const char *const prefix[] = {"sm_", "compute_"};

	for (int p = 0; p < 2; p++)
		if (strncmp(name, prefix[p], strlen(prefix[p])) == 0) {
			name += strlen(prefix[p]);
			break;
		}
	for (int r = 0; r < ROWS; r++)
		if (strcmp(name, table[r].name + 3) == 0)
			return &table[r];
	return NULL;
}

static bool is_at_least(int major, int minor, const arch *a)
{
	return major > a->major || (major == a->major && minor >= a->minor);
}

static bool is_exactly(int major, int minor, const arch *a)
{
	return major == a->major && minor == a->minor;
}

bool arch_ptx_runs_on(const arch *a, int major, int minor)
{
	if (a->kind == ARCH_EXACT)
		return is_exactly(major, minor, a);
	return is_at_least(major, minor, a);
}

/* Whether a capability in the table is that of a Tegra chip. */
static bool is_tegra(int major, int minor)
{
	for (int r = 0; r < ROWS; r++)
		if (table[r].kind == ARCH_TEGRA && is_exactly(major, minor, &table[r]))
			return true;
	return false;
}

bool arch_cubin_runs_on(const arch *a, int major, int minor)
{
	if (is_exactly(major, minor, a))
		return true;
	return a->kind == ARCH_PORTABLE && major == a->major && minor > a->minor &&
	       !is_tegra(major, minor);
}

const arch *arch_native(int major, int minor)
{
	const arch *best = NULL;

	for (int r = 0; r < ROWS; r++) {
		const arch *a = &table[r];

		if (is_exactly(major, minor, a) ||
			(a->kind == ARCH_PORTABLE && arch_ptx_runs_on(a, major, minor)))
			best = a; /* rows ascend, and "a" stands after plain */
	}
	return best;
}

const arch *arch_resolve(const char *name, int major, int minor)
{
	if (strcmp(name, "native") == 0)
		return major > 0 ? arch_native(major, minor) : NULL;
	return arch_find(name);
}

const char *arch_nearest(const char *name)
{
	const char *names[2 * ROWS + 1];
	const char *near;

	for (int r = 0; r < ROWS; r++) {
		names[r] = table[r].name;
		names[ROWS + r] = table[r].name + 3; /* typed without sm_ */
	}
	names[2 * ROWS] = "native";
	near = diag_nearest(name, names, 2 * ROWS + 1);
	for (int r = 0; near && r < ROWS; r++)
		if (near == names[ROWS + r])
			return table[r].name;
	return near;
}

bool arch_has(const arch *a, unsigned families)
{
	return (a->families & families) == families;
}

const char *arch_family_name(int bit)
{
	return family[bit].name;
}

const char *arch_family_meaning(int bit)
{
	return family[bit].meaning;
}

void arch_families_text(unsigned families, text *out)
{
	const char *separator = "";

	for (int bit = 0; bit < ARCH_FAMILY_COUNT; bit++)
		if (families >> bit & 1) {
			text_printf(out, "%s%s", separator, family[bit].name);
			separator = " ";
		}
}

int arch_ptx_cuda(int ptx)
{
	/* PTX ISA release notes, "PTX Release History" */
	static const int release[][2] = {{63, 10000}, {64, 10010}, {65, 10020}, {70, 11000},
		{71, 11010}, {72, 11020}, {73, 11030}, {74, 11040}, {75, 11050}, {76, 11060},
		{77, 11070}, {78, 11080}, {80, 12000}, {81, 12010}, {82, 12020}, {83, 12030},
		{84, 12040}, {85, 12050}, {86, 12070}, {87, 12080}, {88, 12090}, {90, 13000}};

	for (size_t k = 0; k < sizeof release / sizeof *release; k++)
		if (release[k][0] == ptx)
			return release[k][1];
	return 0;
}

static int round_up(int x, int unit)
{
	return (x + unit - 1) / unit * unit;
}

int arch_blocks_per_sm(const arch *a, int warps, int registers, int shared)
{
	/* Registers are given to warps in units of 256, and a block's warps lie evenly on the four
	 * partitions; shared memory comes in units of 128 bytes (256 before 8.0). */
	enum { PARTITIONS = 4, WARP = 32 };
	int unit = a->major < 8 ? 256 : 128, blocks = a->blocks_sm;
	int each = round_up(shared, unit) + a->shared_reserved;

	if (warps < 1 || registers < 0 || registers > a->registers_thread || shared < 0 ||
		shared > a->shared_block || WARP * warps > a->threads_block)
		return 0;
	if (a->warps_sm / warps < blocks)
		blocks = a->warps_sm / warps;
	if (each > 0 && a->shared_sm / each < blocks)
		blocks = a->shared_sm / each;
	if (registers > 0) {
		int of_warp = round_up(round_up(registers, 8) * WARP, 256);
		int warps_fit = a->registers_sm / PARTITIONS / of_warp * PARTITIONS;

		if (warps_fit / warps < blocks)
			blocks = warps_fit / warps;
	}
	return blocks;
}
