/* ptx_dump.c: by hand: ptx_dump TARGET FILE [ptx | ir | tile], of a spec or a .tile, writes what is asked for to stdout and
 * the time each step took to stderr. */
#include "emit/emit.h"
#include "kernel.h"
#include <stdio.h>
#include <string.h>

static int report(const diags *d)
{
	text out = {0};

	diags_print(d, DIAG_TEXT, &out);
	fputs(out.data ? out.data : "", stderr);
	text_free(&out);
	return diag_error_count(d) ? 1 : 0;
}

int main(int argc, char **argv)
{
	arena *a = arena_create();
	const char *what = argc > 3 ? argv[3] : "ptx";
	text out = {0}, why = {0};
	emit_times t = {0};
	tile_program *p;
	source *src;
	diags *d;

	if (argc < 3 || !arch_find(argv[1]))
		return 3;
	src = kernel_read(a, argv[2]);
	if (!src)
		return 1;
	d = diags_create(a, src);
	p = strstr(argv[2], ".tile") ? tile_parse(a, src, d) : kernel_lower(a, src, argv[1], d);
	if (!p)
		return report(d), 1;
	if (!tile_verify(p, &why))
		fprintf(stderr, "%s: verify: %s\n", argv[2], why.data);
	if (strcmp(what, "tile") == 0)
		tile_print(p, &out);
	else if (strcmp(what, "ir") == 0)
		emit_ptx_ir(p, arch_find(argv[1]), &out, d);
	else
		emit_ptx(p, arch_find(argv[1]), &out, &t, d);
	fputs(out.data ? out.data : "", stdout);
	fprintf(stderr,
		"%s %s: build %.1f optimise %.1f generate %.1f ms, %zu bytes, shared %lld\n",
		argv[1], src->name, t.build, t.optimise, t.generate, out.len,
		(long long)p->shared_bytes);
	text_free(&out);
	return report(d);
}
