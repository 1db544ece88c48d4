/* target.c: --target: the cpu, the rows of the architecture table, and "native". */
#include "cli/gpu.h"
#include <string.h>

/* The architecture of the first GPU. */
static cli_status native(const options *o, const arch **a)
{
	device_system *s = device_open(NULL);
	rt_error err = {0};
	rt_status status = s ? device_arch(s, 0, a, &err) : RT_NO_MEMORY;

	if (status)
		message_error(o, "target native: %s", s ? err.message : "out of memory");
	rt_error_clear(&err);
	device_close(s);
	return status ? CLI_ENVIRONMENT : CLI_OK;
}

static cli_status parse(const options *o, const char *word, cli_target *t)
{
	const char *near;

	*t = (cli_target){0};
	if (strcmp(word, "cpu") == 0) {
		t->name = "cpu";
		return CLI_OK;
	}
	if (strcmp(word, "native") == 0) {
		cli_status status = native(o, &t->arch);
		if (status != CLI_OK)
			return status;
		t->native = true;
	} else {
		t->arch = arch_find(word);
	}
	if (t->arch) {
		t->name = t->arch->name;
		return CLI_OK;
	}
	near = arch_nearest(word);
	message_error(o, "unknown target '%s'%s%s%s", word, near ? "; did you mean '" : "",
		near ? near : "", near ? "'?" : "; see trikl targets");
	return CLI_USAGE;
}

cli_status targets_parse(const options *o, const char *missing, cli_target **list, int *count)
{
	strings words = o->target;

	if (words.count == 0)
		options_list(o->arena, &words, missing);
	*list = ARENA_ARRAY(o->arena, cli_target, words.count);
	*count = 0;
	for (int i = 0; i < words.count; i++) {
		cli_target t;
		cli_status status = parse(o, words.item[i], &t);
		int at = 0;

		if (status != CLI_OK)
			return status;
		while (at < *count && strcmp((*list)[at].name, t.name) != 0)
			at++;
		(*list)[at] = t;
		*count += at == *count;
	}
	return CLI_OK;
}

bool target_feature(const char *features, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = features; (p = strstr(p, name)) != NULL; p += n)
		if (p > features && p[-1] == '+' && (p[n] == ',' || p[n] == 0))
			return true;
	return false;
}
