/* test_print.c: random expression trees print with the fewest parentheses and parse back to
 * themselves; comments, blank lines and wide statements keep their place. */
#include "ast/ast_build.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct {
	ast_builder b;
	uint32_t seed;
} generator;

static uint32_t draw(generator *g, uint32_t below)
{
	g->seed = g->seed * 1664525u + 1013904223u;
	return (g->seed >> 8) % below;
}

static ast_name name(generator *g, const char *s)
{
	return ast_name_make(&g->b, (loc){0, 0}, s, strlen(s));
}

static ast_expr *tree(generator *g, int depth);

static ast_exprs trees(generator *g, int depth, uint32_t n)
{
	ast_exprs list = {0};

	while (n-- > 0)
		list = ast_exprs_add(&g->b, list, tree(g, depth));
	return list;
}

static ast_expr *reduction(generator *g, int depth)
{
	static const char *const how[] = {"sum", "prod", "max", "min", "softmax", "logsumexp"};
	uint32_t kind = draw(g, 6);
	ast_binders over = {0};
	ast_expr *body, *sink;

	over = ast_binders_add(&g->b, over, name(g, "d"), draw(g, 3) ? NULL : tree(g, 0));
	if (draw(g, 2))
		over = ast_binders_add(&g->b, over, name(g, "j"), NULL);
	body = tree(g, depth);
	sink = kind >= 4 && draw(g, 2) ? tree(g, depth) : NULL;
	return ast_reduce(&g->b, (loc){0, 0}, name(g, how[kind]), over, body, sink);
}

static ast_expr *tree(generator *g, int depth)
{
	loc at = {0, 0};

	switch (depth > 0 ? draw(g, 9) : draw(g, 3)) {
	case 0:
		return ast_int(&g->b, at, draw(g, 100));
	case 1:
		return ast_real(&g->b, at, 0.5, "0.5");
	case 2:
		return ast_ref(&g->b, name(g, "x"));
	case 3:
		return ast_unary(
			&g->b, at, draw(g, 2) ? AST_OP_NEG : AST_OP_NOT, at, tree(g, depth - 1));
	case 4:
		return ast_call(
			&g->b, at, name(g, draw(g, 2) ? "max" : "where"), trees(g, depth - 1, 2));
	case 5:
		return ast_subscript(&g->b, at, ast_ref(&g->b, name(g, "q")),
			trees(g, depth - 1, 1 + draw(g, 2)));
	case 6:
		return reduction(g, depth - 1);
	}
	return ast_binary(
		&g->b, at, (ast_op)draw(g, AST_OP_NEG), at, tree(g, depth - 1), tree(g, depth - 1));
}

/* A text for the tree in which every node is in brackets of its kind. */
static void shape(const ast_expr *e, text *out)
{
	static const char *const kinds = "ifnubcsr";

	text_printf(out, "%c(", kinds[e->kind]);
	switch (e->kind) {
	case AST_INT:
		text_printf(out, "%lld", (long long)e->integer);
		break;
	case AST_FLOAT:
		text_put(out, e->real.text);
		break;
	case AST_NAME:
		text_put(out, e->name.text);
		break;
	case AST_UNARY:
	case AST_BINARY:
		text_printf(out, "%d ", e->op.op);
		shape(e->op.left, out);
		if (e->op.right)
			shape(e->op.right, out);
		break;
	case AST_CALL:
		text_put(out, e->call.callee.text);
		for (int i = 0; i < e->call.args.count; i++)
			shape(e->call.args.item[i], out);
		break;
	case AST_SUBSCRIPT:
		shape(e->sub.base, out);
		for (int i = 0; i < e->sub.args.count; i++)
			shape(e->sub.args.item[i], out);
		break;
	case AST_REDUCE:
		text_put(out, e->reduce.how.text);
		for (int i = 0; i < e->reduce.over.count; i++) {
			text_printf(out, " %s", e->reduce.over.item[i].name.text);
			if (e->reduce.over.item[i].extent)
				shape(e->reduce.over.item[i].extent, out);
		}
		shape(e->reduce.body, out);
		if (e->reduce.with)
			shape(e->reduce.with, out);
		break;
	}
	text_put(out, ")");
}

/* The expression `s`, parsed; NULL when it is none. */
static const ast_expr *parse_expr(arena *a, const char *s)
{
	const char *whole = arena_printf(a, "attention f() -> () {\n    y = %s\n}\n", s);
	source *src = source_create(a, "t.tkl", whole, strlen(whole));
	diags *d = diags_create(a, src);
	ast_file *f = ast_parse(a, src, d);

	return diag_error_count(d) ? NULL : f->specs.item[0]->body.item[0].define.value;
}

/* Whether `s` without the parentheses at `open` and `close` is another expression, or none. */
static bool parens_matter(arena *a, const char *s, size_t open, size_t close, const char *want)
{
	char *less = arena_printf(a, "%.*s %.*s %s", (int)open, s, (int)(close - open - 1),
		s + open + 1, s + close + 1);
	const ast_expr *e = parse_expr(a, less);
	text t = {0};
	bool other = true;

	if (e) {
		shape(e, &t);
		other = strcmp(t.data, want) != 0;
	}
	text_free(&t);
	return other;
}

static void expect_fewest_parens(arena *a, const char *s, const char *want)
{
	for (size_t i = 0; s[i]; i++) {
		size_t close = i + 1;

		/* A parenthesis behind a name belongs to a call or a reduction; `a == not b` is
		 * accepted, but nobody should have to read it. */
		if (s[i] != '(' || strncmp(s + i, "(not", 4) == 0 ||
			(i > 0 && strchr("abcdefghijklmnopqrstuvwxyz", s[i - 1])))
			continue;
		for (int depth = 1; depth; close++)
			depth += (s[close] == '(') - (s[close] == ')');
		if (!parens_matter(a, s, i, close - 1, want))
			fail_msg("needless parentheses at %zu in: %s", i, s);
	}
}

static void random_trees_print_and_parse_back(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 20000; seed++) {
		generator g = {.seed = seed};
		arena *a = arena_create();
		source *src = source_create(a, "t.tkl", "", 0);
		text printed = {0}, want = {0}, got = {0};
		const ast_expr *e, *again;

		ast_builder_init(&g.b, a, diags_create(a, src));
		e = tree(&g, 1 + (int)draw(&g, 5));
		ast_expr_print(e, &printed);
		shape(e, &want);
		again = parse_expr(a, printed.data);
		if (!again)
			fail_msg("seed %u does not parse: %s", seed, printed.data);
		shape(again, &got);
		if (strcmp(want.data, got.data) != 0)
			fail_msg("seed %u: %s\nis %s\nnot %s", seed, printed.data, got.data,
				want.data);
		if (seed % 20 == 0)
			expect_fewest_parens(a, printed.data, want.data);
		text_free(&printed);
		text_free(&want);
		text_free(&got);
		arena_destroy(a);
	}
}

/* `s` printed, which must be `want`, which must print as itself. */
static void expect_print(const char *s, const char *want)
{
	arena *a = arena_create();
	source *src = source_create(a, "t.tkl", s, strlen(s));
	diags *d = diags_create(a, src);
	ast_file *f = ast_parse(a, src, d);
	text out = {0};

	assert_int_equal(diag_error_count(d), 0);
	ast_print(f, src, &out);
	assert_string_equal(out.len ? out.data : "", want);
	text_free(&out);
	arena_destroy(a);
	if (s != want)
		expect_print(want, want);
}

static void comments_keep_their_place(void **state)
{
	(void)state;
	expect_print("# above\n\n\n\nattention f( # in\n  q : f32[i], # query\n\n  k : f32[j] # "
		     "key\n  # end\n"
		     ") -> (o : f32[i # out\n]) # open\n{ # body\n\n  # first\n\n  a = 1 + # "
		     "inside\n  2 # behind\n"
		     "  # last\n\n} # after\n# end\n",
		"# above\n\nattention f(\n    # in\n    q : f32[i],  # query\n\n    k : f32[j]  # "
		"key\n"
		"    # end\n) -> (\n    # out\n    o : f32[i]  # open\n)\n{  # body\n    # "
		"first\n\n"
		"    # inside\n    a = 1 + 2  # behind\n    # last\n}  # after\n# end\n");
}

static void lists_keep_their_lines_unless_a_comment_parts_them(void **state)
{
	(void)state;
	expect_print("attention f()->(){const D=3,E=4;const F=5;param W=1, # one\nV=-2}",
		"attention f() -> ()\n{\n    const D = 3, E = 4\n    const F = 5\n    param W = 1  "
		"# one\n"
		"    param V = -2\n}\n");
	expect_print("schedule f on cpu{rows=3,tile k=4 specialize A,B,stages=2}",
		"schedule f on cpu {\n    rows = 3, tile k = 4\n    specialize A, B, stages = "
		"2\n}\n");
}

static void wide_statements_are_broken_before_operators(void **state)
{
	(void)state;
	expect_print(
		"attention f() -> ()\n{\n    s = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa * 2 + "
		"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + cccccccccccccccccccc - dddddddd\n}\n",
		"attention f() -> ()\n{\n    s = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa * 2 + "
		"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n            + cccccccccccccccccccc - "
		"dddddddd\n}\n");
}

static void headers_are_short_or_one_tensor_a_line(void **state)
{
	(void)state;
	expect_print("attention f(a:f32[],b:f32[]\n) -> (\no:f32[])\n{\n}",
		"attention f(a : f32[], b : f32[]) -> (o : f32[])\n{\n}\n");
	expect_print("attention f(a:f32[],b:f32[],c:f32[],d:f32[]) -> (o:f32[]) {}",
		"attention f(\n    a : f32[],\n    b : f32[],\n    c : f32[],\n    d : f32[]\n"
		") -> (o : f32[])\n{\n}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_trees_print_and_parse_back),
		cmocka_unit_test(comments_keep_their_place),
		cmocka_unit_test(lists_keep_their_lines_unless_a_comment_parts_them),
		cmocka_unit_test(wide_statements_are_broken_before_operators),
		cmocka_unit_test(headers_are_short_or_one_tensor_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
