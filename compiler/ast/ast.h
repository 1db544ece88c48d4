/* ast.h: what was written. Untyped, unresolved, every node with its location.
 *
 *   grammar/lexer.l, parser.y   text -> ast_file           (ast_parse)
 *   ast.c                       the builder calls of the parser's actions (ast_build.h)
 *   ast_expr_print.c            expression -> canonical text, fewest parentheses
 *   ast_print.c                 ast_file -> canonical text (trikl fmt)
 *   ast_dump.c                  ast_file -> tree with locations (--emit ast)
 *
 * Names are interned per compilation in the arena: equal names may be different pointers, compare
 * with strcmp. */
#pragma once
#include "support/arena.h"
#include "support/diag.h"

#define AST_MAX_DEPTH 200 /* nesting of expressions; deeper input is a diagnostic */

typedef struct ast_expr ast_expr;

typedef struct {
	const char *text; /* zero-terminated */
	loc at;
} ast_name;

typedef struct {
	ast_name *item;
	int count, cap;
} ast_names;

typedef struct {
	ast_expr **item;
	int count, cap;
} ast_exprs;

typedef enum {
	AST_INT,       /* 128                                     */
	AST_FLOAT,     /* 0.5, 1e-3                               */
	AST_NAME,      /* q, D, i                                 */
	AST_UNARY,     /* -x, not x                               */
	AST_BINARY,    /* x * y, x < y, x and y                   */
	AST_CALL,      /* exp(x), where(c, a, b), cross(q, k1)    */
	AST_SUBSCRIPT, /* q[d], bias[h, i, j], cross(q, k1)[d]    */
	AST_REDUCE,    /* sum(d) x, softmax(j, k) x with sink     */
} ast_kind;

typedef enum {
	AST_OP_ADD,
	AST_OP_SUB,
	AST_OP_MUL,
	AST_OP_DIV,
	AST_OP_IDIV, /* "//" floor division */
	AST_OP_MOD,  /* "%"  sign of the divisor */
	AST_OP_LT,
	AST_OP_LE,
	AST_OP_GT,
	AST_OP_GE,
	AST_OP_EQ,
	AST_OP_NE,
	AST_OP_AND,
	AST_OP_OR,
	AST_OP_NEG, /* unary */
	AST_OP_NOT, /* unary */
} ast_op;

/* An index of a reduction: `d`, or `d : D` with its extent stated. */
typedef struct {
	ast_name name;
	ast_expr *extent; /* NULL when inferred */
} ast_binder;

typedef struct {
	ast_binder *item;
	int count, cap;
} ast_binders;

struct ast_expr {
	ast_kind kind;
	loc at;      /* the whole expression                              */
	int depth;   /* 1 + deepest child                                 */
	bool parens; /* written in parentheses (kept by no printer: fmt adds the ones needed) */
	union {
		int64_t integer;
		struct {
			double value;
			const char *text; /* as written */
		} real;
		ast_name name;
		struct {
			ast_op op;
			loc op_at;
			ast_expr *left, *right; /* right NULL for a unary operator */
		} op;
		struct {
			ast_name callee;
			ast_exprs args;
		} call;
		struct {
			ast_expr *base; /* AST_NAME or AST_CALL */
			ast_exprs args;
		} sub;
		struct {
			ast_name how; /* "sum" "max" "min" "prod" "softmax" "logsumexp" */
			ast_binders over;
			ast_expr *body;
			ast_expr *with; /* the extra logit of softmax/logsumexp, NULL */
		} reduce;
	};
};

/* name : type[dims] */
typedef struct {
	ast_name name;
	ast_name type;  /* "bf16" ... or the name of a const */
	ast_exprs dims; /* names, or constant expressions; count 0 for a scalar tensor: f32[] */
	loc at;
} ast_tensor;

typedef enum {
	AST_CONST,  /* const D = 128, T = bf16            one node per definition */
	AST_PARAM,  /* param W1 = 32                      one node per definition */
	AST_GROUP,  /* group G of H                                               */
	AST_INDEX,  /* index i, j : N                                             */
	AST_WINDOW, /* window j in (i - W1, i]                                    */
	AST_MASK,   /* mask seg[i] == seg[j]                                      */
	AST_DEFINE, /* s = ..., qr[d] = ...                                       */
} ast_stmt_kind;

typedef struct {
	ast_stmt_kind kind;
	loc at;
	bool joined; /* behind a comma in the list of the const or param before */
	union {
		struct {
			ast_name name;
			ast_expr *value;
		} def; /* AST_CONST, AST_PARAM */
		struct {
			ast_name group, of;
		} group;
		struct {
			ast_names names;
			ast_expr *extent; /* AST_NAME or a constant expression */
		} index;
		struct {
			ast_name index;
			bool low_open, high_open;
			ast_expr *low, *high;
		} window;
		ast_expr *mask;
		struct {
			ast_name name;
			ast_names params; /* feature parameters: qr[d]; count 0 for plain s */
			ast_expr *value;
		} define;
	};
} ast_stmt;

/* One setting of a schedule block: `rows = 128`, `tile k = 64`, `specialize W1`. */
typedef struct {
	ast_name key;
	ast_name subject; /* text NULL when absent; the k of `tile k` */
	ast_expr *value;  /* NULL for specialize */
	loc at;
	bool joined;
} ast_setting;

typedef struct {
	ast_name spec;
	ast_name target; /* sm_90a, cpu; text NULL when the block is for every target */
	struct {
		ast_setting *item;
		int count, cap;
	} settings;
	loc at;
	uint32_t open; /* where the "{" is */
} ast_schedule;

typedef struct {
	ast_name name;
	struct {
		ast_tensor *item;
		int count, cap;
	} inputs, outputs;
	struct {
		ast_stmt *item;
		int count, cap;
	} body;
	loc at;
	uint32_t arrow, open; /* where the "->" and the "{" of the body are */
} ast_spec;

/* A comment, kept so that fmt can put it back. */
typedef struct {
	loc at;        /* from '#' to the end of the line, newline excluded */
	bool own_line; /* nothing but blanks before it */
} ast_comment;

typedef struct {
	struct {
		ast_spec **item;
		int count, cap;
	} specs;
	struct {
		ast_schedule **item;
		int count, cap;
	} schedules;
	struct {
		ast_comment *item;
		int count, cap;
	} comments;
} ast_file;

/* grammar/parse.c */

/* Parses the whole source. Reports to `d`; returns a file with what could be read (never NULL),
 * which later stages use only when diag_error_count(d) is zero. */
ast_file *ast_parse(arena *a, const source *src, diags *d);

/* ast_expr_print.c */

/* One expression in canonical form, fewest parentheses. */
void ast_expr_print(const ast_expr *e, text *out);
/* "+", "and", ...: the operator as written. */
const char *ast_op_text(ast_op op);

/* ast_print.c */

/* Canonical text with comments kept in place: ast_print(parse(ast_print(f))) == ast_print(f).
 * Requires a file that was parsed from `src` without errors. */
void ast_print(const ast_file *f, const source *src, text *out);

/* ast_dump.c */

/* The tree with locations, one node a line (--emit ast). */
void ast_dump(const ast_file *f, const source *src, text *out);
