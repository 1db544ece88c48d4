/* ast_build.h: the builder calls of the parser's actions, one for each construct. They check what
 * the grammar cannot (depth of nesting, binders that are names) and report to the builder's
 * diagnostics. */
#pragma once
#include "ast/ast.h"

typedef struct ast_intern ast_intern;

typedef struct {
	arena *arena;
	diags *d;
	ast_file *file;
	ast_intern *names;
	ast_spec *spec;         /* the attention block being read: its statements go here */
	ast_schedule *schedule; /* the schedule block being read */
	bool too_deep;          /* reported */
} ast_builder;

/* Arguments of max and min, which may turn out to be binders: value[n], or value[n] : extent[n]. */
typedef struct {
	ast_exprs value, extent; /* extent items are NULL where none was written */
} ast_args;

/* A builder for a new, empty file. */
void ast_builder_init(ast_builder *b, arena *a, diags *d);
/* The name in interned form. */
ast_name ast_name_make(ast_builder *b, loc at, const char *s, size_t len);

/* Blocks: begin makes the block that what follows goes to, end completes it; `open` is the place of
 * its "{", `arrow` of "->". The name of a spec is known to the parser only at its end; a lost
 * header leaves the names zero. */
void ast_spec_begin(ast_builder *b, loc at);
void ast_spec_end(ast_builder *b, loc at, ast_name name, loc arrow, loc open);
void ast_tensor_add(
	ast_builder *b, loc at, bool output, ast_name name, ast_name type, ast_exprs dims);
void ast_schedule_begin(ast_builder *b, loc at, ast_name spec, ast_name target);
void ast_schedule_end(ast_builder *b, loc at, loc open);

/* Statements of the open spec. */
void ast_const_add(ast_builder *b, loc at, ast_name name, ast_expr *value, bool joined);
void ast_param_add(ast_builder *b, loc at, ast_name name, ast_expr *value, bool joined);
void ast_group_add(ast_builder *b, loc at, ast_name group, ast_name of);
void ast_index_add(ast_builder *b, loc at, ast_names names, ast_expr *extent);
void ast_window_add(ast_builder *b, loc at, ast_name index, bool low_open, ast_expr *low,
	ast_expr *high, bool high_open);
void ast_mask_add(ast_builder *b, loc at, ast_expr *predicate);
void ast_define_add(ast_builder *b, loc at, ast_name name, ast_names params, ast_expr *value);
/* A setting of the open schedule; value NULL for specialize. */
void ast_setting_add(
	ast_builder *b, loc at, ast_name key, ast_name subject, ast_expr *value, bool joined);
/* One more name after a comma, which continues the list of the specialize before it. */
void ast_specialize_add(ast_builder *b, ast_name subject);

/* Expressions. */
ast_expr *ast_int(ast_builder *b, loc at, int64_t value);
ast_expr *ast_real(ast_builder *b, loc at, double value, const char *text);
ast_expr *ast_ref(ast_builder *b, ast_name name);
ast_expr *ast_unary(ast_builder *b, loc at, ast_op op, loc op_at, ast_expr *x);
ast_expr *ast_binary(ast_builder *b, loc at, ast_op op, loc op_at, ast_expr *x, ast_expr *y);
ast_expr *ast_call(ast_builder *b, loc at, ast_name callee, ast_exprs args);
ast_expr *ast_subscript(ast_builder *b, loc at, ast_expr *base, ast_exprs args);
ast_expr *ast_reduce(
	ast_builder *b, loc at, ast_name how, ast_binders over, ast_expr *body, ast_expr *with);
/* max(a, b) of values, and max(j) body over indices. */
ast_expr *ast_extremum_call(ast_builder *b, loc at, ast_name callee, ast_args args);
ast_expr *ast_extremum_reduce(ast_builder *b, loc at, ast_name how, ast_args args, ast_expr *body);
/* (x) */
ast_expr *ast_parens(ast_expr *x, loc at);

/* Lists: the list with the item added. */
ast_exprs ast_exprs_add(ast_builder *b, ast_exprs list, ast_expr *x);
ast_names ast_names_add(ast_builder *b, ast_names list, ast_name name);
ast_binders ast_binders_add(ast_builder *b, ast_binders list, ast_name name, ast_expr *extent);
ast_args ast_args_add(ast_builder *b, ast_args list, ast_expr *value, ast_expr *extent);
