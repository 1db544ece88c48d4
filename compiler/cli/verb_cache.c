/* verb_cache: the disk cache of compiled kernels: stats, list, verify, clear, path. */
#include "cli/cli.h"
#include "device/device.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Entries of one kind in one directory. */
typedef struct {
	const char *directory, *kind;
	bool secondary;
	int64_t entries, bytes;
} group;

typedef struct {
	const options *o;
	rt_cache *cache;
	bool absent;  /* the own directory was not made yet */
	bool refused; /* the own or a secondary directory could not be used, and why was said */
	int64_t entries, damaged, bytes, oldest, newest; /* of the own directory, but `damaged` */
	struct {
		group *item;
		int count, cap;
	} groups;
	cJSON *rows;
} view;

typedef struct {
	const char *name;
	cli_status (*run)(view *v);
} action;

static void report(void *user, rt_cache_event event, const char *says)
{
	view *v = user;
	bool fatal = event == RT_CACHE_REFUSED || event == RT_CACHE_UNUSABLE ||
		     event == RT_CACHE_NO_DIRECTORY;
	v->refused |= fatal;
	message_warning(v->o, "%s", says);
}

static cli_status print_json(cJSON *value)
{
	char *s = cJSON_Print(value);
	printf("%s\n", s ? s : "null");
	free(s);
	cJSON_Delete(value);
	return CLI_OK;
}

static void add_text(cJSON *to, const char *name, const char *value)
{
	if (value)
		cJSON_AddStringToObject(to, name, value);
	else
		cJSON_AddNullToObject(to, name);
}

/* "3.4 MiB" */
static const char *size_text(const view *v, int64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double n = (double)bytes;
	int u = 0;

	for (; n >= 1024 && u < 4; u++)
		n /= 1024;
	return arena_printf(v->o->arena, "%.*f %s", u > 0, n, units[u]);
}

static const char *time_text(const view *v, int64_t seconds)
{
	char s[32] = "?";
	time_t t = (time_t)seconds;
	struct tm local;

	if (localtime_r(&t, &local))
		strftime(s, sizeof s, "%Y-%m-%d %H:%M", &local);
	return arena_strdup(v->o->arena, s);
}

static const char *plural(int64_t n)
{
	return n == 1 ? "entry" : "entries";
}

static bool walk(view *v, bool payloads, rt_cache_visit visit)
{
	if (rt_cache_each(v->cache, payloads, visit, v))
		return true;
	message_error(v->o, "cannot read all of the cache's directories");
	return false;
}

/* --- stats --- */

static group *group_of(view *v, const rt_cache_entry *e)
{
	for (int i = 0; i < v->groups.count; i++) {
		group *g = &v->groups.item[i];
		if (g->directory == e->directory && strcmp(g->kind, e->kind) == 0)
			return g;
	}
	group g = {e->directory, arena_strdup(v->o->arena, e->kind), e->secondary, 0, 0};
	ARENA_PUSH(v->o->arena, &v->groups, g);
	return &v->groups.item[v->groups.count - 1];
}

static void count_entry(void *user, const rt_cache_entry *e)
{
	view *v = user;
	group *g = group_of(v, e);

	g->entries++;
	g->bytes += e->bytes;
	v->damaged += e->damage != NULL;
	if (e->secondary)
		return;
	v->oldest = v->entries == 0 || e->used < v->oldest ? e->used : v->oldest;
	v->newest = v->entries == 0 || e->used > v->newest ? e->used : v->newest;
	v->entries++;
	v->bytes += e->bytes;
}

static const char *const modes[] = {
	[RT_CACHE_DISABLED] = "disabled",
	[RT_CACHE_IN_MEMORY] = "not used",
	[RT_CACHE_READONLY] = "read-only",
	[RT_CACHE_READWRITE] = "read-write",
};

static const char *mode_text(const view *v)
{
	rt_cache_mode mode = rt_cache_get_mode(v->cache);

	return v->absent && mode == RT_CACHE_IN_MEMORY ? "not made yet" : modes[mode];
}

static cli_status stats_json(const view *v)
{
	cJSON *all = cJSON_CreateObject(), *kinds;

	add_text(all, "directory", rt_cache_directory(v->cache));
	cJSON_AddStringToObject(all, "mode", mode_text(v));
	cJSON_AddNumberToObject(all, "limit", (double)rt_cache_limit(v->cache));
	cJSON_AddNumberToObject(all, "entries", (double)v->entries);
	cJSON_AddNumberToObject(all, "bytes", (double)v->bytes);
	cJSON_AddNumberToObject(all, "damaged", (double)v->damaged);
	if (v->entries) {
		cJSON_AddNumberToObject(all, "oldest_use", (double)v->oldest);
		cJSON_AddNumberToObject(all, "newest_use", (double)v->newest);
	}
	kinds = cJSON_AddArrayToObject(all, "kinds");
	for (int i = 0; i < v->groups.count; i++) {
		const group *g = &v->groups.item[i];
		cJSON *row = cJSON_CreateObject();
		cJSON_AddItemToArray(kinds, row);
		cJSON_AddStringToObject(row, "directory", g->directory);
		cJSON_AddBoolToObject(row, "secondary", g->secondary);
		cJSON_AddStringToObject(row, "kind", g->kind);
		cJSON_AddNumberToObject(row, "entries", (double)g->entries);
		cJSON_AddNumberToObject(row, "bytes", (double)g->bytes);
	}
	return print_json(all);
}

static void stats_text(const view *v)
{
	const char *path = rt_cache_directory(v->cache), *before = path;

	printf("directory  %s (%s)\n", path ? path : "none", mode_text(v));
	printf("entries    %lld, %s of %s\n", (long long)v->entries, size_text(v, v->bytes),
		size_text(v, rt_cache_limit(v->cache)));
	if (v->entries)
		printf("last use   %s to %s\n", time_text(v, v->oldest), time_text(v, v->newest));
	for (int i = 0; i < v->groups.count; i++) {
		const group *g = &v->groups.item[i];
		if (g->secondary && g->directory != before)
			printf("secondary  %s (read-only)\n", before = g->directory);
		printf("  %-8s %lld, %s\n", g->kind, (long long)g->entries, size_text(v, g->bytes));
	}
	if (v->damaged)
		printf("damaged    %lld; trikl cache verify names and removes them\n",
			(long long)v->damaged);
}

static cli_status run_stats(view *v)
{
	if (!walk(v, false, count_entry))
		return CLI_ENVIRONMENT;
	if (v->o->json)
		return stats_json(v);
	stats_text(v);
	return CLI_OK;
}

/* --- list, verify --- */

/* What a tuned plan is for, and its sizes; NULL: the entry is none. */
static const char *tuned_text(const view *v, const rt_cache_entry *e)
{
	rt_cache_key key;
	device_tuned t;
	rt_blob *blob;
	bool fine;

	if (strcmp(e->kind, DEVICE_TUNED) || e->damage || !rt_cache_key_parse(e->key, &key))
		return NULL;
	blob = rt_cache_get(v->cache, &key, DEVICE_TUNED);
	fine = blob && device_tuned_read(v->o->arena, rt_blob_data(blob), rt_blob_size(blob), &t);
	rt_blob_release(blob);
	if (!fine)
		return NULL;
	return arena_printf(v->o->arena, "%s on %s, %s: %s", t.spec, t.gpu, t.problem,
		*t.text ? t.text : "the planner's own sizes");
}

static void row_add(view *v, const rt_cache_entry *e)
{
	cJSON *row = cJSON_CreateObject();
	const char *tuned = tuned_text(v, e);

	cJSON_AddItemToArray(v->rows, row);
	cJSON_AddStringToObject(row, "key", e->key);
	cJSON_AddStringToObject(row, "kind", e->kind);
	cJSON_AddNumberToObject(row, "bytes", (double)e->bytes);
	cJSON_AddNumberToObject(row, "used", (double)e->used);
	cJSON_AddStringToObject(row, "producer", e->producer);
	cJSON_AddStringToObject(row, "directory", e->directory);
	cJSON_AddBoolToObject(row, "secondary", e->secondary);
	add_text(row, "damage", e->damage);
	if (tuned)
		cJSON_AddStringToObject(row, "tuned", tuned);
}

static void list_entry(void *user, const rt_cache_entry *e)
{
	view *v = user;
	const char *tuned;

	if (v->o->json) {
		row_add(v, e);
		return;
	}
	if (v->entries++ == 0)
		printf("%-64s %-8s %10s  %-16s  %s\n", "key", "kind", "bytes", "last use",
			"compiler");
	printf("%-64s %-8s %10lld  %-16s  %s%s%s\n", e->key, e->kind, (long long)e->bytes,
		time_text(v, e->used), e->producer, e->damage ? "DAMAGED: " : "",
		e->damage ? e->damage : "");
	tuned = tuned_text(v, e);
	if (tuned)
		printf("    %s\n", tuned);
}

static cli_status run_list(view *v)
{
	v->rows = cJSON_CreateArray();
	bool fine = walk(v, false, list_entry);

	if (v->o->json)
		print_json(v->rows);
	else
		cJSON_Delete(v->rows);
	return fine ? CLI_OK : CLI_ENVIRONMENT;
}

/* The cache itself reports what is damaged. */
static void verify_entry(void *user, const rt_cache_entry *e)
{
	view *v = user;

	v->entries++;
	v->damaged += e->damage != NULL;
	if (e->damage)
		row_add(v, e);
}

static cli_status run_verify(view *v)
{
	v->rows = cJSON_CreateArray();
	bool fine = walk(v, true, verify_entry);

	if (v->o->json) {
		cJSON *all = cJSON_CreateObject();
		cJSON_AddNumberToObject(all, "entries", (double)v->entries);
		cJSON_AddItemToObject(all, "damaged", v->rows);
		print_json(all);
	} else {
		printf("%lld %s checked, %lld damaged\n", (long long)v->entries, plural(v->entries),
			(long long)v->damaged);
		cJSON_Delete(v->rows);
	}
	return !fine ? CLI_ENVIRONMENT : v->damaged ? CLI_CHECK : CLI_OK;
}

/* --- clear, path --- */

static cli_status run_clear(view *v)
{
	const char *path = rt_cache_directory(v->cache);
	rt_cache_mode mode = rt_cache_get_mode(v->cache);
	bool nothing = v->absent && mode == RT_CACHE_IN_MEMORY;
	int64_t removed = nothing ? 0 : rt_cache_clear(v->cache);

	if (removed < 0 && mode != RT_CACHE_READWRITE) {
		message_error(v->o, "cache directory '%s' is %s: nothing was removed",
			path ? path : "", modes[mode]);
		return CLI_ENVIRONMENT;
	}
	if (removed < 0) {
		message_error(
			v->o, "some entries of cache directory '%s' could not be removed", path);
		return CLI_ENVIRONMENT;
	}
	if (v->o->json) {
		cJSON *all = cJSON_CreateObject();
		add_text(all, "directory", path);
		cJSON_AddNumberToObject(all, "removed", (double)removed);
		return print_json(all);
	}
	printf("%lld %s removed from %s\n", (long long)removed, plural(removed), path);
	return CLI_OK;
}

static cli_status run_path(view *v)
{
	const char *path = rt_cache_directory(v->cache);

	if (v->o->json) {
		cJSON *all = cJSON_CreateObject();
		add_text(all, "directory", path);
		cJSON_AddStringToObject(all, "mode", mode_text(v));
		return print_json(all);
	}
	if (path)
		printf("%s\n", path);
	return CLI_OK;
}

static const action actions[] = {
	{"stats", run_stats},
	{"list", run_list},
	{"verify", run_verify},
	{"clear", run_clear},
	{"path", run_path},
};

#define ACTIONS ((int)(sizeof actions / sizeof *actions))

static const action *action_find(const options *o, const char *word)
{
	const char *names[ACTIONS];

	for (int i = 0; i < ACTIONS; i++) {
		names[i] = actions[i].name;
		if (strcmp(word, names[i]) == 0)
			return &actions[i];
	}
	const char *near = diag_nearest(word, names, ACTIONS);
	message_error(o, "trikl cache: '%s' is not stats, list, verify, clear or path%s%s%s", word,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return NULL;
}

/* Looking at a cache does not create it. */
static bool is_absent(void)
{
	char *path = rt_cache_default_directory();
	struct stat st;
	bool absent = path && stat(path, &st) != 0 && errno == ENOENT;

	free(path);
	return absent;
}

cli_status verb_cache(const options *o)
{
	view v = {.o = o, .absent = is_absent()};
	const action *a = action_find(o, o->operand.item[0]);

	if (!a)
		return CLI_USAGE;
	rt_cache_options settings = {.readonly = v.absent, .report = report, .user = &v};
	v.cache = rt_cache_open(&settings);
	if (!v.cache) {
		message_error(o, "out of memory");
		return CLI_ENVIRONMENT;
	}
	bool unusable = v.refused && rt_cache_get_mode(v.cache) == RT_CACHE_IN_MEMORY;
	cli_status status = a->run(&v);
	rt_cache_close(v.cache);
	return status == CLI_OK && unusable ? CLI_ENVIRONMENT : status;
}
