/* header.c: what the header and the index statements declare.
 * in:  tensors, index statements
 * out: symbols of tensors (without dimensions), of indices (without axes) and of every length, in
 * written order relies on: consts. A name that nothing else declares is a length: lengths are
 * declared by their use. */
#include "sema/check.h"
#include <string.h>

/* --- data types --- */

static void hint_dtype(checker *cx, const char *word)
{
	static const char *const other[][2] = {{"float32", "f32"}, {"fp32", "f32"},
		{"float", "f32"}, {"float16", "f16"}, {"fp16", "f16"}, {"half", "f16"},
		{"bfloat16", "bf16"}, {"bf", "bf16"}, {"int32", "i32"}, {"int", "i32"},
		{"i64", "i32"}, {"int64", "i32"}, {"bool", "i32"}, {"u8", "i32"}, {"i8", "i32"},
		{"double", "f32"}, {"float64", "f32"}};
	static const char *const own[] = {"bf16", "f16", "f32", "i32", NULL};

	for (size_t k = 0; k < sizeof other / sizeof *other; k++)
		if (strcmp(other[k][0], word) == 0) {
			diag_hint(cx->d, "use %s", other[k][1]);
			return;
		}
	names_hint(cx, word, 1u << SYM_CONST, own);
}

static sema_dtype dtype_of(checker *cx, ast_name type)
{
	sema_dtype t = DTYPE_F32;
	symbol *sym;

	if (names_dtype(type.text, &t)) {
		if (t != DTYPE_F64)
			return t;
		diag_error(cx->d, type.at, "f64 is not a data type of specs");
		diag_hint(
			cx->d, "use f32; the reference computes in float64 whatever the spec says");
		return DTYPE_F32;
	}
	sym = names_find(cx, type.text);
	if (!sym || sym->kind != SYM_CONST) {
		diag_error(cx->d, type.at, "unknown data type '%s'", type.text);
		hint_dtype(cx, type.text);
		return DTYPE_F32;
	}
	sym->used = true;
	if (sym->value.kind == VALUE_DTYPE)
		return sym->value.dtype;
	if (sym->value.kind != VALUE_POISON) {
		diag_error(cx->d, type.at, "const '%s' is a number, not a data type", type.text);
		diag_note(cx->d, sym->at, "declared here");
	}
	return DTYPE_F32;
}

/* --- tensors --- */

static void declare_tensor(checker *cx, const ast_tensor *t, bool output)
{
	symbol *sym;
	sema_tensor *tensor = ARENA_NEW(cx->a, sema_tensor);

	tensor->name = t->name.text;
	tensor->at = t->name.at;
	tensor->id = cx->s->tensor.count;
	tensor->output = output;
	tensor->dtype = dtype_of(cx, t->type);
	tensor->rank = t->dims.count;
	if (t->dims.count > SEMA_MAX_RANK) {
		diag_error(cx->d, t->dims.item[SEMA_MAX_RANK]->at,
			"'%s' has %d dimensions, at most %d are possible", t->name.text,
			t->dims.count, SEMA_MAX_RANK);
		tensor->rank = 1; /* of extent 0: poison */
	}
	if (output && tensor->dtype == DTYPE_I32)
		diag_error(cx->d, t->type.at,
			"output '%s' cannot be i32: outputs are bf16, f16 or f32", t->name.text);
	sym = names_add(cx, SYM_TENSOR, t->name);
	sym->tensor = tensor;
	if (output)
		sym->used = true;
	ARENA_PUSH(cx->a, &cx->s->tensor, tensor);
}

static void declare_tensors(checker *cx)
{
	for (int k = 0; k < cx->ast->inputs.count; k++)
		declare_tensor(cx, &cx->ast->inputs.item[k], false);
	cx->s->inputs = cx->s->tensor.count;
	for (int k = 0; k < cx->ast->outputs.count; k++)
		declare_tensor(cx, &cx->ast->outputs.item[k], true);
	if (cx->ast->outputs.count == 0)
		diag_error(cx->d, cx->ast->name.at, "'%s' has no outputs", cx->ast->name.text);
}

/* --- indices --- */

bool header_extent(checker *cx, loc at, const char *what, int64_t v)
{
	if (v >= 1 && v <= SEMA_MAX_FEATURE)
		return true;
	diag_error(cx->d, at, "%s is %lld, an extent must be from 1 to %d", what, (long long)v,
		SEMA_MAX_FEATURE);
	return false;
}

/* What `index j : X` ranges over: a length, or a constant extent. */
static index_decl index_over(checker *cx, const ast_expr *extent)
{
	index_decl decl = {.poison = true};
	symbol *sym = extent->kind == AST_NAME ? names_find(cx, extent->name.text) : NULL;

	if (extent->kind == AST_NAME && !sym) {
		decl.length = extent->name;
		decl.poison = false;
		return decl;
	}
	if (sym && sym->kind != SYM_CONST) {
		diag_error(cx->d, extent->at,
			"'%s' is %s, an index ranges over a length or a const", sym->name,
			names_noun(sym));
		diag_note(cx->d, sym->at, "declared here");
		return decl;
	}
	if (declare_int(cx, extent, "the extent of an index", &decl.extent) &&
		header_extent(cx, extent->at, "this extent", decl.extent))
		decl.poison = false;
	return decl;
}

static void declare_indices(checker *cx)
{
	for (int k = 0; k < cx->ast->body.count; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];
		index_decl decl;

		if (stmt->kind != AST_INDEX)
			continue;
		decl = index_over(cx, stmt->index.extent);
		for (int n = 0; n < stmt->index.names.count; n++) {
			symbol *sym = names_add(cx, SYM_INDEX, stmt->index.names.item[n]);

			sym->index = decl;
			ARENA_PUSH(cx->a, &cx->indices, sym);
		}
	}
}

/* --- lengths --- */

static symbol *touch_length(checker *cx, ast_name name)
{
	symbol *sym = names_find(cx, name.text);

	if (sym)
		return sym;
	sym = names_add(cx, SYM_LENGTH, name);
	sym->used = true;
	sym->length = ARENA_NEW(cx->a, sema_length);
	*sym->length = (sema_length){sym->name, sym->at, cx->s->length.count};
	ARENA_PUSH(cx->a, &cx->s->length, sym->length);
	return sym;
}

symbol *header_dimension(checker *cx, const ast_expr *dim)
{
	symbol *sym;

	if (dim->kind != AST_NAME)
		return NULL;
	sym = touch_length(cx, dim->name);
	if (sym->kind != SYM_TENSOR)
		sym->used = true;
	return sym;
}

static void declare_lengths(checker *cx)
{
	for (int out = 0; out < 2; out++) {
		int n = out ? cx->ast->outputs.count : cx->ast->inputs.count;

		for (int k = 0; k < n; k++) {
			const ast_tensor *t =
				out ? &cx->ast->outputs.item[k] : &cx->ast->inputs.item[k];

			for (int r = 0; r < t->dims.count; r++) {
				symbol *sym = header_dimension(cx, t->dims.item[r]);

				if (sym && sym->kind == SYM_INDEX && sym->index.length.text)
					touch_length(cx, sym->index.length);
			}
		}
	}
	for (int k = 0; k < cx->symbols.count; k++) {
		const symbol *sym = cx->symbols.item[k];

		if (sym->kind == SYM_INDEX && sym->index.length.text)
			touch_length(cx, sym->index.length);
	}
}

/* --- which indices are used --- */

static void mention(checker *cx, const char *name)
{
	symbol *sym = names_find(cx, name);

	if (sym && sym->kind == SYM_INDEX)
		sym->used = true;
}

static void mention_expr(checker *cx, const ast_expr *e);

static void mention_exprs(checker *cx, const ast_exprs *list)
{
	for (int k = 0; k < list->count; k++)
		mention_expr(cx, list->item[k]);
}

static void mention_expr(checker *cx, const ast_expr *e)
{
	if (!e)
		return;
	switch (e->kind) {
	case AST_INT:
	case AST_FLOAT:
		return;
	case AST_NAME:
		mention(cx, e->name.text);
		return;
	case AST_UNARY:
	case AST_BINARY:
		mention_expr(cx, e->op.left);
		mention_expr(cx, e->op.right);
		return;
	case AST_CALL:
		mention_exprs(cx, &e->call.args);
		return;
	case AST_SUBSCRIPT:
		mention_expr(cx, e->sub.base);
		mention_exprs(cx, &e->sub.args);
		return;
	case AST_REDUCE:
		for (int k = 0; k < e->reduce.over.count; k++)
			mention(cx, e->reduce.over.item[k].name.text);
		mention_expr(cx, e->reduce.body);
		mention_expr(cx, e->reduce.with);
		return;
	}
}

static void mention_body(checker *cx)
{
	for (int k = 0; k < cx->ast->body.count; k++) {
		const ast_stmt *stmt = &cx->ast->body.item[k];

		if (stmt->kind == AST_WINDOW) {
			mention_expr(cx, stmt->window.low);
			mention_expr(cx, stmt->window.high);
		} else if (stmt->kind == AST_MASK) {
			mention_expr(cx, stmt->mask);
		} else if (stmt->kind == AST_DEFINE) {
			mention_expr(cx, stmt->define.value);
		}
	}
}

void header_check(checker *cx)
{
	declare_tensors(cx);
	declare_indices(cx);
	declare_lengths(cx);
	mention_body(cx);
}
