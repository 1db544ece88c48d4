/* tuned: plans that were found fastest by trying.
 * in:  a request and a class of problems      out: the sizes that won there, from the cache
 * An entry is lines of `name value`. Its key holds the compiler, the spec with its schedules, the
 * consts, the target and the device, so that what is found always fits. */
#include "device/device.h"
#include "device/system.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- classes --- */

static int64_t nearest_power(int64_t x)
{
	return x < 1 ? x : (int64_t)1 << lround(log2((double)x));
}

const char *device_tuned_class(
	arena *a, const sema_spec *s, const int64_t *length, const int64_t *param)
{
	const char *all = "";

	for (int i = 0; i < s->length.count; i++)
		all = arena_printf(a, "%s%s%s=%lld", all, *all ? " " : "", s->length.item[i]->name,
			(long long)nearest_power(length[i]));
	for (int i = 0; i < s->param.count; i++)
		if (s->param.item[i]->type == TYPE_INT)
			all = arena_printf(a, "%s%s%s=%lld", all, *all ? " " : "",
				s->param.item[i]->name, (long long)nearest_power(param[i]));
	return all;
}

/* --- entries --- */

static void write_entry(const device_tuned *t, text *out)
{
	text_line(out, "gpu %s", t->gpu);
	text_line(out, "spec %s", t->spec);
	text_line(out, "problem %s", t->problem);
	text_line(out, "choice %s", t->text);
	text_line(out, "ms %.9g", t->ms);
	text_line(out, "planned_ms %.9g", t->planned_ms);
}

/* The value of the line that begins with `name` and a space; NULL: there is none. */
static const char *line_of(arena *a, const char *s, const char *name)
{
	size_t n = strlen(name);

	for (; *s; s += strcspn(s, "\n"), s += *s == '\n')
		if (!strncmp(s, name, n) && s[n] == ' ')
			return arena_strndup(a, s + n + 1, strcspn(s + n + 1, "\n"));
	return NULL;
}

bool device_tuned_read(arena *a, const char *data, size_t size, device_tuned *t)
{
	const char *s = arena_strndup(a, data, size), *ms, *planned;

	*t = (device_tuned){.gpu = line_of(a, s, "gpu"),
		.spec = line_of(a, s, "spec"),
		.problem = line_of(a, s, "problem"),
		.text = line_of(a, s, "choice")};
	ms = line_of(a, s, "ms");
	planned = line_of(a, s, "planned_ms");
	if (!t->gpu || !t->spec || !t->problem || !t->text || !ms || !planned)
		return false;
	t->ms = strtod(ms, NULL);
	t->planned_ms = strtod(planned, NULL);
	return true;
}

/* --- looking up and keeping --- */

static bool describe_gpu(device_system *s, const device_request *r, rt_device_info *info)
{
	rt_cuda *cuda;

	return r->device >= 0 && !device_driver(s, &cuda, NULL) &&
	       !rt_cuda_device(cuda, r->device, info, NULL);
}

static bool is_off(void)
{
	const char *s = secure_getenv("TRIKL_NO_TUNE");

	return s && *s && strcmp(s, "0") != 0;
}

bool device_tuned_find(
	device_system *s, const device_request *r, const char *problem, arena *a, device_tuned *t)
{
	rt_cache *cache = is_off() ? NULL : device_cache(s);
	rt_device_info info;
	rt_cache_key key;
	rt_blob *blob;
	bool found;

	if (!cache || !describe_gpu(s, r, &info))
		return false;
	key = device_tuned_key(r, &info, problem);
	blob = rt_cache_get(cache, &key, DEVICE_TUNED);
	if (!blob)
		return false;
	found = device_tuned_read(a, rt_blob_data(blob), rt_blob_size(blob), t) &&
		gpu_choice_parse(r->form, t->text, &t->choice);
	t->choice.device = t->gpu;
	rt_blob_release(blob);
	return found;
}

bool device_tuned_keep(device_system *s, const device_request *r, const device_tuned *t)
{
	rt_cache *cache = device_cache(s);
	const char *const problem[] = {t->problem, NULL};
	rt_device_info info;
	text entry = {0};
	rt_blob *blob;

	if (!cache || !describe_gpu(s, r, &info))
		return false;
	write_entry(t, &entry);
	blob = rt_blob_copy(entry.data, entry.len);
	text_free(&entry);
	for (int i = 0; blob && i < 2; i++) {
		rt_cache_key key = device_tuned_key(r, &info, problem[i]);

		rt_cache_put(cache, &key, DEVICE_TUNED, blob);
	}
	rt_blob_release(blob);
	return blob != NULL;
}
