/* settings.c: what the environment says. A program with more rights than its user ignores it. */
#include "runtime/cache/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool setting_on(const char *name)
{
	const char *value = secure_getenv(name);
	return value && *value && strcmp(value, "0") != 0;
}

bool setting_size(const char *text, int64_t *bytes)
{
	static const char units[] = "KMGT";
	int64_t n = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return false;
	if (p == text)
		return false;
	const char *unit = *p ? strchr(units, *p) : NULL;
	for (const char *u = units; unit && u <= unit; u++)
		if (__builtin_mul_overflow(n, 1024, &n))
			return false;
	p += unit != NULL;
	*bytes = n;
	return *p == 0;
}

static char *join(const char *base, const char *rest)
{
	char *path;
	return asprintf(&path, "%s/%s", base, rest) < 0 ? NULL : path;
}

char *rt_cache_default_directory(void)
{
	const char *own = secure_getenv("TRIKL_CACHE_DIR");
	const char *xdg = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");

	if (own && *own)
		return strdup(own);
	if (xdg && *xdg == '/')
		return join(xdg, "trikl");
	if (home && *home == '/')
		return join(home, ".cache/trikl");
	return NULL;
}
