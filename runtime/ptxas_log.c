/* ptxas_log: what ptxas -v and the driver's compiler say of the code they made.
 * in:  the log        out: registers, spills, shared memory; warnings that mean slow code
 * The lines: "    8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads" and
 * "ptxas info    : Used 168 registers, used 2 barriers, 1024 bytes smem, 400 bytes cmem[0]". */
#include "runtime/ptxas.h"
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The number before `words` in [line, end), 0 when the words are not there. */
static int number_before(const char *line, const char *end, const char *words)
{
	const char *at = memmem(line, (size_t)(end - line), words, strlen(words));
	const char *digit = at;
	long value;

	while (digit && digit > line && isdigit((unsigned char)digit[-1]))
		digit--;
	if (!digit || digit == at)
		return 0;
	value = strtol(digit, NULL, 10);
	return value > INT_MAX ? INT_MAX : (int)value;
}

static void at_least(int *most, int value)
{
	if (value > *most)
		*most = value;
}

void rt_ptxas_parse(const char *log, rt_ptxas_figures *f)
{
	*f = (rt_ptxas_figures){.has_loss = rt_ptxas_find_loss(log, NULL, NULL)};
	for (const char *line = log; *line;) {
		const char *end = line + strcspn(line, "\n");

		at_least(&f->registers, number_before(line, end, " registers"));
		at_least(&f->barriers, number_before(line, end, " barriers"));
		at_least(&f->shared_bytes, number_before(line, end, " bytes smem"));
		at_least(&f->stack_bytes, number_before(line, end, " bytes stack frame"));
		f->spill_stores += number_before(line, end, " bytes spill stores");
		f->spill_loads += number_before(line, end, " bytes spill loads");
		line = *end ? end + 1 : end;
	}
}

/* C7504 to C7519: code that was meant to be asynchronous is not, or setmaxnreg is ignored. */
static bool is_loss(const char *line, const char *end)
{
	static const char words[] = "Potential Performance Loss";

	if (memmem(line, (size_t)(end - line), words, sizeof words - 1))
		return true;
	for (const char *p = line; end - p >= 5; p++)
		if (memcmp(p, "C75", 3) == 0 && isdigit((unsigned char)p[3]) &&
			isdigit((unsigned char)p[4])) {
			int code = (p[3] - '0') * 10 + p[4] - '0';

			if (code >= 4 && code <= 19)
				return true;
		}
	return false;
}

bool rt_ptxas_find_loss(const char *log, const char **line, size_t *length)
{
	for (const char *at = log; *at;) {
		const char *end = at + strcspn(at, "\n");

		if (is_loss(at, end)) {
			if (line)
				*line = at;
			if (length)
				*length = (size_t)(end - at);
			return true;
		}
		at = *end ? end + 1 : end;
	}
	return false;
}

rt_status rt_ptxas_check(const rt_ptxas_result *result, rt_error *err)
{
	const rt_ptxas_figures *f = &result->figures;
	const char *line;
	size_t length;
	rt_status status = RT_OK;

	if (result->log && rt_ptxas_find_loss(result->log, &line, &length))
		status = rt_error_set(err, RT_QUALITY, NULL, "slow code: %.*s",
			length > 400 ? 400 : (int)length, line);
	else if (f->spill_stores || f->spill_loads)
		status = rt_error_set(err, RT_QUALITY, NULL,
			"slow code: %d bytes of spill stores, %d of spill loads, %d registers",
			f->spill_stores, f->spill_loads, f->registers);
	if (status)
		rt_error_log(err, result->log, result->log ? strlen(result->log) : 0);
	return status;
}
