/* retarget: write .version and .target of an architecture that LLVM does not know.
 * in:  PTX that LLVM wrote for the row's llvm_cpu
 * out: the same text for the row, or the reason why it cannot be
 * relies on: PTX is forward compatible, except for instructions of the "a" targets. */
#include "arch/arch.h"
#include <ctype.h>
#include <string.h>

/* Instructions that newer or other hardware lacks, and the family that has them. */
static const struct {
	const char *prefix;
	unsigned family;
	const char *why;
} special[] = {
	{"wgmma.", ARCH_WGMMA, "it uses wgmma, which the target does not have"},
	{"setmaxnreg.", ARCH_SETMAXNREG, "it uses setmaxnreg, which the target does not have"},
	{"tcgen05.", 0, "it uses tcgen05, which no target of the table has"},
};

typedef struct {
	const char *at, *end; /* the value, without blanks around it */
} span;

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The value of a directive that stands at the start of a line; false unless there is exactly one.
 */
static bool find_directive(const char *ptx, const char *end, const char *name, span *value)
{
	size_t n = strlen(name);
	int found = 0;

	for (const char *line = ptx; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line)), *next;

		next = stop ? stop + 1 : end;
		if (!stop)
			stop = end;
		if ((size_t)(stop - line) > n && memcmp(line, name, n) == 0 && is_blank(line[n])) {
			value->at = line + n;
			while (value->at < stop && is_blank(*value->at))
				value->at++;
			value->end = value->at;
			while (value->end < stop && !isspace((unsigned char)*value->end) &&
				*value->end != ',')
				value->end++;
			found++;
		}
		line = next;
	}
	return found == 1 && value->at < value->end;
}

/* "8.0" -> 80, 0 when it is no version. */
static int read_version(span v)
{
	if (v.end - v.at == 3 && isdigit((unsigned char)v.at[0]) && v.at[1] == '.' &&
		isdigit((unsigned char)v.at[2]))
		return (v.at[0] - '0') * 10 + (v.at[2] - '0');
	return 0;
}

static const char *find_special(const arch *a, const char *ptx, const char *end)
{
	for (size_t k = 0; k < sizeof special / sizeof *special; k++) {
		size_t n = strlen(special[k].prefix);

		if (special[k].family && arch_has(a, special[k].family))
			continue;
		if (memmem(ptx, (size_t)(end - ptx), special[k].prefix, n))
			return special[k].why;
	}
	return NULL;
}

bool arch_retarget(const arch *a, const char *ptx, size_t size, text *out, const char **why)
{
	const char *end = ptx + size;
	span version = {0}, target = {0};
	size_t n = strlen(a->llvm_cpu);

	*why = NULL;
	if (!find_directive(ptx, end, ".version", &version) ||
		!find_directive(ptx, end, ".target", &target) || target.at < version.at)
		*why = "it has not one .version and one .target";
	else if (read_version(version) == 0 || read_version(version) > a->ptx)
		*why = "its .version is newer than the target needs";
	else if ((size_t)(target.end - target.at) != n || memcmp(target.at, a->llvm_cpu, n) != 0)
		*why = "its .target is not the processor that code for this target is generated "
		       "for";
	else
		*why = find_special(a, ptx, end);
	if (*why)
		return false;
	text_putn(out, ptx, (size_t)(version.at - ptx));
	text_printf(out, "%d.%d", a->ptx / 10, a->ptx % 10);
	text_putn(out, version.end, (size_t)(target.at - version.end));
	text_put(out, a->name);
	text_putn(out, target.end, (size_t)(end - target.end));
	return true;
}
