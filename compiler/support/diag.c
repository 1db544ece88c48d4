/* diag.c: collecting diagnostics. In: messages as the stages find them. Out: the list that
 * diag_print.c shows. Past the error limit messages are counted but not kept, and the notes and
 * hints that follow them are dropped too. */
#include "support/diag.h"
#include <string.h>
#include <strings.h>

enum { ERROR_LIMIT = 20, WARNING_LIMIT = 100, NOTE_LIMIT = 8, WORD_LIMIT = 64 };

loc loc_join(loc a, loc b)
{
	return (loc){a.begin, b.end > a.begin ? b.end : a.begin};
}

diags *diags_create(arena *a, const source *src)
{
	diags *d = ARENA_NEW(a, diags);

	d->arena = a;
	d->src = src;
	return d;
}

int diag_error_count(const diags *d)
{
	return d->errors;
}

static int error_limit(const diags *d)
{
	return d->error_limit > 0 ? d->error_limit : ERROR_LIMIT;
}

bool diag_full(const diags *d)
{
	return d->errors >= error_limit(d);
}

/* Counts a message and says whether there is room to keep it. */
static bool diag_admit(diags *d, diag_severity severity)
{
	switch (severity) {
	case DIAG_ERROR:
		d->notes = 0;
		d->dropped = d->errors++ >= error_limit(d);
		break;
	case DIAG_WARNING:
		d->notes = 0;
		d->dropped = d->warnings++ >= WARNING_LIMIT;
		break;
	case DIAG_NOTE:
		return !d->dropped && d->notes++ < NOTE_LIMIT;
	}
	return !d->dropped;
}

static void diag_add(
	diags *d, diag_severity severity, loc at, const char *name, const char *fmt, va_list ap)
{
	diag m = {.severity = severity, .at = at, .name = name};

	if (!diag_admit(d, severity))
		return;
	m.message = arena_vprintf(d->arena, fmt, ap);
	ARENA_PUSH(d->arena, &d->list, m);
}

void diag_error(diags *d, loc at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_ERROR, at, NULL, fmt, ap);
	va_end(ap);
}

static const char *const warning_name[] = {"define", "empty", "mask", "row-form", "unused"};

const char *const *diag_warning_names(int *count)
{
	*count = (int)(sizeof warning_name / sizeof *warning_name);
	return warning_name;
}

int diag_warning_find(const char *name)
{
	int count;

	diag_warning_names(&count);
	for (int n = 0; n < count; n++)
		if (!strcmp(warning_name[n], name))
			return n;
	return -1;
}

void diag_warning(diags *d, loc at, const char *name, const char *fmt, ...)
{
	int number = diag_warning_find(name);
	bool is_error = d->warnings_are_errors || (number >= 0 && d->promoted >> number & 1);
	va_list ap;

	if (number < 0)
		ice("warning '%s' has no name in the table", name);
	if (d->muted >> number & 1) {
		d->dropped = true; /* its notes and hints go too */
		return;
	}
	va_start(ap, fmt);
	diag_add(d, is_error ? DIAG_ERROR : DIAG_WARNING, at, name, fmt, ap);
	va_end(ap);
}

void diag_note(diags *d, loc at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_NOTE, at, NULL, fmt, ap);
	va_end(ap);
}

void diag_hint(diags *d, const char *fmt, ...)
{
	va_list ap;

	if (d->dropped || d->list.count == 0)
		return;
	va_start(ap, fmt);
	d->list.item[d->list.count - 1].hint = arena_vprintf(d->arena, fmt, ap);
	va_end(ap);
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) that turn `a` into `b`, which are at most
 * WORD_LIMIT long. */
static int edit_distance(const char *a, int n, const char *b, int m)
{
	int row[3][WORD_LIMIT + 1], *older = row[0], *last = row[1], *now = row[2], *spare;

	for (int j = 0; j <= m; j++)
		last[j] = j;
	for (int i = 1; i <= n; i++) {
		now[0] = i;
		for (int j = 1; j <= m; j++) {
			now[j] = least(last[j] + 1, now[j - 1] + 1);
			now[j] = least(now[j], last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], older[j - 2] + 1);
		}
		spare = older;
		older = last;
		last = now;
		now = spare;
	}
	return last[m];
}

const char *diag_nearest(const char *word, const char *const *names, int n)
{
	const char *best = NULL;
	size_t len = strnlen(word, WORD_LIMIT + 1);
	int best_distance = (int)(len + 2) / 3 + 1;

	if (len == 0 || len > WORD_LIMIT)
		return NULL;
	for (int i = 0; i < n; i++) {
		size_t m = strnlen(names[i], WORD_LIMIT + 1);
		int distance;

		if (m == 0 || m > WORD_LIMIT || strcmp(word, names[i]) == 0)
			continue;
		if (strcasecmp(word, names[i]) == 0)
			distance = 0;
		else
			distance = edit_distance(word, (int)len, names[i], (int)m);
		/* A short name is near another one only when they share their first letter. */
		if (distance > 0 && (len < 3 || m < 3) && word[0] != names[i][0])
			continue;
		/* Replacing the only letter, or half of two, is another name, not a slip. */
		if (distance > 0 && len == m && len < 3)
			continue;
		if (distance < best_distance) {
			best = names[i];
			best_distance = distance;
		}
	}
	return best;
}
