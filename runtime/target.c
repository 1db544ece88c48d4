/* target: names of GPU targets, "sm_90a", and the devices that run their code. The rules are those
 * of compiler/arch, by the name alone, so that they hold for targets of later compilers too. */
#include "runtime/program.h"
#include <string.h>

typedef struct {
	int capability; /* 900 for 9.0 */
	bool exact;     /* "a": that capability alone */
} target;

static bool parse(const char *name, target *t)
{
	const char *at = name + 3;
	int number = 0;

	if (strncmp(name, "sm_", 3))
		return false;
	for (; *at >= '0' && *at <= '9' && number < 10000; at++)
		number = 10 * number + *at - '0';
	t->capability = 100 * (number / 10) + number % 10;
	t->exact = *at == 'a';
	return number >= 10 && (!*at || (t->exact && !at[1]));
}

/* Integrated devices, whose cubins are their own. */
static bool is_tegra(int capability)
{
	return capability == 702 || capability == 807;
}

bool rt_target_runs(const char *name, bool is_cubin, int capability)
{
	target t;

	if (!parse(name, &t))
		return false;
	if (t.capability == capability)
		return true;
	if (t.exact)
		return false;
	if (!is_cubin)
		return t.capability <= capability;
	return t.capability / 100 == capability / 100 && t.capability <= capability &&
	       !is_tegra(t.capability) && !is_tegra(capability);
}

int rt_target_rank(const char *name, bool is_cubin)
{
	target t;

	return parse(name, &t) ? (t.capability * 2 + t.exact) * 2 + is_cubin : 0;
}
