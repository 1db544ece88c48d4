/* key: what a kernel's code depends on.
 * in:  a request      out: the digest under which its code is cached
 * The spec counts as its canonical text without comments and blank lines, with the schedules that
 * name it; lengths, strides and params of a launch are arguments of the kernel and not in it. */
#include "device/device.h"
#include "device/build_id.h"
#include <llvm-c/Core.h>
#include <stdio.h>
#include <string.h>

const char *device_build_id(void)
{
	return DEVICE_BUILD_ID;
}

static void put_version(rt_cache_digest *d)
{
	unsigned major, minor, patch;
	char version[48];

	LLVMGetVersion(&major, &minor, &patch);
	snprintf(version, sizeof version, "%u.%u.%u", major, minor, patch);
	rt_cache_key_text(d, "llvm", version);
}

/* The file with this spec and its schedules alone. */
static void print_spec(const device_request *r, text *out)
{
	ast_spec *spec = (ast_spec *)r->ast;
	ast_schedule **schedule = r->file->schedules.item;
	ast_file file = {.specs = {&spec, 1, 1}};

	ast_print(&file, r->source, out);
	for (int i = 0; i < r->file->schedules.count; i++) {
		ast_file one = {.schedules = {&schedule[i], 1, 1}};

		if (schedule[i]->spec.text && !strcmp(schedule[i]->spec.text, spec->name.text))
			ast_print(&one, r->source, out);
	}
}

/* In place. */
static void drop_blank_lines(text *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->len; i++)
		if (t->data[i] != '\n' || (n > 0 && t->data[n - 1] != '\n'))
			t->data[n++] = t->data[i];
	t->len = n;
}

static void put_defines(rt_cache_digest *d, const device_request *r)
{
	for (int i = 0; i < r->defines; i++) {
		rt_cache_key_text(d, "define", r->define[i].name);
		rt_cache_key_text(d, "value", r->define[i].value);
	}
}

static void put_choice(rt_cache_digest *d, const gpu_choice *c)
{
	text t = {0};

	gpu_choice_print(c, &t);
	rt_cache_key_text(d, "choice", t.data ? t.data : "");
	rt_cache_key_int(d, "heads_least", c->heads_least);
	rt_cache_key_int(d, "heads_most", c->heads_most);
	text_free(&t);
}

static void put_request(rt_cache_digest *d, const device_request *r)
{
	text spec = {0};

	print_spec(r, &spec);
	drop_blank_lines(&spec);
	rt_cache_key_begin(d);
	rt_cache_key_text(d, "compiler", device_build_id());
	put_version(d);
	rt_cache_key_bytes(d, "spec", spec.data, spec.len);
	put_defines(d, r);
	rt_cache_key_text(d, "inner", r->inner ? r->inner : "");
	rt_cache_key_text(d, "target", r->arch->name);
	text_free(&spec);
}

rt_cache_key device_key(const device_request *r, const char *assembler, const arch *machine)
{
	rt_cache_digest d;

	put_request(&d, r);
	if (r->choice && r->choice->count)
		put_choice(&d, r->choice);
	if (assembler) {
		rt_cache_key_text(&d, "assembler", assembler);
		rt_cache_key_text(&d, "machine", machine->name);
	}
	return rt_cache_key_end(&d);
}

rt_cache_key device_tuned_key(
	const device_request *r, const rt_device_info *gpu, const char *problem)
{
	rt_cache_digest d;

	put_request(&d, r);
	rt_cache_key_text(&d, "gpu", gpu->name);
	rt_cache_key_int(&d, "major", gpu->major);
	rt_cache_key_int(&d, "minor", gpu->minor);
	if (problem)
		rt_cache_key_text(&d, "problem", problem);
	return rt_cache_key_end(&d);
}
