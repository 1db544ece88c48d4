/* fuzz_front.c: the libFuzzer target of the front end. In: any bytes. Checks that the parser ends,
 * that what it accepts prints in a form that parses to the same tree and prints as itself, that the
 * checker and the search for a row form end on it, and that every message can be shown. Aborts on a
 * difference; the sanitizers find the rest. */
#include "fuzz_front.h"
#include "model/model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	arena *arena;
	source *src;
	diags *d;
	ast_file *file;
} parsed;

static parsed parse(arena *a, const char *s, size_t n)
{
	parsed p = {.arena = a};

	p.src = source_create(a, "fuzz.tkl", s, n);
	p.d = diags_create(a, p.src);
	p.d->error_limit = 5;
	p.file = ast_parse(a, p.src, p.d);
	return p;
}

/* Every message in one of the formats; the text is dropped. Showing takes longer than the rest, so
 * only some inputs do it. */
static void show(const diags *d)
{
	static const diag_format format[] = {DIAG_TEXT, DIAG_JSON};
	text out = {0};

	if (d->src->len % 8 < 2)
		diags_print(d, format[d->src->len % 8], &out);
	text_free(&out);
}

/* The tree without its locations. */
static void dump(const parsed *p, text *out)
{
	text full = {0};
	char *line, *rest, *at;

	ast_dump(p->file, p->src, &full);
	for (rest = full.data; rest && (line = strsep(&rest, "\n"));) {
		if ((at = strstr(line, "  @")))
			*at = 0;
		text_printf(out, "%s\n", line);
	}
	text_free(&full);
}

static void require_same(const text *a, const text *b, const char *what)
{
	if (a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0))
		return;
	fprintf(stderr, "%s differ:\n%s\n----\n%s\n", what, a->len ? a->data : "",
		b->len ? b->data : "");
	abort();
}

/* Canonical text parses to the same tree and prints as itself. */
static void check_printing(const parsed *p)
{
	text once = {0}, twice = {0}, tree = {0}, again = {0};
	parsed q;

	ast_print(p->file, p->src, &once);
	q = parse(p->arena, once.len ? once.data : "", once.len);
	if (diag_error_count(q.d)) {
		diags_print(q.d, DIAG_TEXT, &twice);
		fprintf(stderr, "canonical text does not parse:\n%s\n----\n%s\n", once.data,
			twice.data);
		abort();
	}
	ast_print(q.file, q.src, &twice);
	require_same(&once, &twice, "canonical texts");
	dump(p, &tree);
	dump(&q, &again);
	require_same(&tree, &again, "trees");
	text_free(&once);
	text_free(&twice);
	text_free(&tree);
	text_free(&again);
}

/* The checker and, where it accepts, the search for a row form end and agree with their messages. Some inputs run
 * with definitions from outside. */
static void check_meaning(const parsed *p)
{
	static const sema_define define[] = {{"D", "3"}, {"W", "-1"}, {"T", "f32"}, {"E", "D"}};
	int defines = p->src->len % 16 < 4 ? (int)(p->src->len % 16) + 1 : 0;
	text out = {0};

	for (int i = 0; i < p->file->specs.count; i++) {
		sema_spec *s = sema_check(
			p->arena, p->file, p->file->specs.item[i], p->src, define, defines, p->d);

		if ((s == NULL) != (diag_error_count(p->d) > 0))
			ice("the checker's result and its messages disagree");
		if (!s)
			break;
		sema_print(s, &out);
		model_print(s, &out);
		model_choose(s, NULL, p->d);
	}
	show(p->d);
	text_free(&out);
}

/* Allocations are few and their stacks are not worth the time. */
const char *__asan_default_options(void)
{
	return "malloc_context_size=1:quarantine_size_mb=8";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	arena *a = arena_create();
	parsed p = parse(a, (const char *)data, size);

	if (diag_error_count(p.d)) {
		show(p.d);
	} else {
		check_printing(&p);
		check_meaning(&p);
	}
	arena_destroy(a);
	return 0;
}
