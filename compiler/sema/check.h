/* check.h: what the files behind sema_check share; nobody else includes it.
 *
 *   names.c     symbols of a spec, "did you mean"
 *   declare.c   const, param, -D                        -> symbols with values
 *   header.c    tensors and index statements            -> symbols, lengths
 *   shape.c     kinds of axes from where names stand    -> axes, dimensions
 *   resolve.c   names, operators, calls                 -> expr
 *   load.c      subscripts, cross, det, feature parameters
 *   reduce.c    sum, softmax, ...
 *   define.c    definitions and what they may depend on
 *   range.c     linear forms and intervals
 *   window.c    windows and masks
 *   bounds.c    subscripts that are certainly out of range
 *   schedule.c  schedules
 *   check.c     sema_check: what concerns the file; the order of all that; unused names
 *
 * Every function that meets a mistake reports it and goes on with a poison value, which nothing
 * complains about. */
#pragma once
#include "sema/sema.h"

#define CHECK_MAX_AXES 96 /* of one spec; later stages add theirs */

typedef enum {
	SYM_CONST,
	SYM_PARAM,
	SYM_LENGTH,
	SYM_INDEX,
	SYM_TENSOR,
	SYM_DEF,
	SYM_VECTOR, /* a definition with feature parameters */
} symbol_kind;

typedef enum { VALUE_INT, VALUE_FLOAT, VALUE_DTYPE, VALUE_POISON } value_kind;

/* The value of a const. */
typedef struct {
	value_kind kind;
	int64_t i;
	double f;
	sema_dtype dtype;
} const_value;

/* A definition with feature parameters: substituted where it is used. */
typedef struct {
	int params;
	sema_axis *param[SEMA_MAX_RANK]; /* extent 0: not known */
	expr *value;                     /* over the params' axes */
} vector_def;

/* index j : N, or index d : D */
typedef struct {
	ast_name length; /* text NULL for a feature index */
	int64_t extent;
	sema_axis *axis; /* NULL until the axes are made, and for an index that is nowhere used */
	bool poison;
} index_decl;

typedef struct symbol {
	const char *name;
	loc at;
	symbol_kind kind;
	bool used;
	bool overridden; /* by a -D */
	bool poison;     /* a length whose group statement is wrong: its dimensions are poison */
	struct symbol *chain;
	union {
		const_value value;
		sema_param *param;
		sema_length *length;
		index_decl index;
		sema_tensor *tensor;
		sema_def *def;
		vector_def vector;
	};
} symbol;

/* A feature index that is bound around the expression being resolved, innermost first. */
typedef struct binder {
	const char *name;
	loc at;
	sema_axis *axis; /* NULL: poison */
	const struct binder *outer;
} binder;

/* What an expression is for decides what it may use. */
typedef enum { PLACE_CONST, PLACE_WINDOW, PLACE_MASK, PLACE_VALUE } place;

/* Softmax weights of a definition that no sum has used up yet. */
typedef struct {
	const expr **item;
	int count, cap;
} weights;

typedef struct {
	sema_spec *s;
	arena *a;
	diags *d;
	const ast_spec *ast;
	const ast_file *file;
	const sema_define *define;
	int defines;
	bool *define_used;
	struct {
		symbol **item;
		int count, cap;
	} symbols;
	struct {
		symbol **item;
		int count, cap;
	} indices;
	symbol **bucket;
	uint32_t buckets; /* a power of two */
	place place;
	bool brackets;       /* inside a window or subscript, where / is floor division */
	symbol *query_index; /* of the outputs, NULL */
	const binder *scope; /* feature indices */
	struct {
		sema_axis **item;
		int count, cap;
	} fixed; /* feature axes with a meaning of their own: outputs' and declared ones */
	const struct reduction
		*around;  /* reductions over keys around the expression, innermost first */
	weights *pending; /* [definitions] */
	int pending_cap;
	uint64_t total_size; /* of the definitions so far */
	bool exhausted;      /* too large: reported, everything is poison from now on */
	bool *reduced_over;  /* [axes] a key index is reduced over somewhere */
	int errors_before;
	int next_stmt; /* statement being checked: definitions from here on don't exist yet */
} checker;

/* --- names.c --- */

void names_init(checker *cx, int expected);
symbol *names_find(const checker *cx, const char *name);
/* A new symbol of a name that is free. */
symbol *names_insert(checker *cx, symbol_kind kind, ast_name name);
/* The same, checked: a name that is taken or reserved is reported; the symbol can still be used, it
 * just isn't found. */
symbol *names_add(checker *cx, symbol_kind kind, ast_name name);
/* "a param", "an input": what a symbol is. */
const char *names_noun(const symbol *sym);
/* Hints at the nearest name, nothing when none is near. `kinds`: which symbols count (bit
 * [symbol_kind]), and bound feature indices; `extra`: more candidates, NULL-terminated. */
enum { NAMES_BOUND = 1 << 16, NAMES_ALL = ~0 };
void names_hint(checker *cx, const char *word, unsigned kinds, const char *const *extra);
extern const char *const names_functions[], *const names_reductions[];
/* Whether `name` means something by itself: a function, a reduction or a data type. */
bool names_reserved(const char *name, const char **what);
/* The data type of that name. */
bool names_dtype(const char *name, sema_dtype *dtype);

/* --- declare.c --- */

void declare_consts(checker *cx);
void declare_params(checker *cx);
/* Reports each -D that no const or param took. */
void declare_defines_left(checker *cx);
/* The value of a constant int expression; false when it is none (reported). `what` is for the
 * message. */
bool declare_int(checker *cx, const ast_expr *e, const char *what, int64_t *v);

/* --- header.c --- */

/* Tensors without their dimensions, indices without axes, and every length; marks the indices that
 * are used. */
void header_check(checker *cx);
/* The symbol that a dimension names; NULL for a constant expression. */
symbol *header_dimension(checker *cx, const ast_expr *dim);
/* Whether v is a legal extent of a feature dimension, else reported: "`what` is v". */
bool header_extent(checker *cx, loc at, const char *what, int64_t v);

/* --- shape.c --- */

/* Axes, and the dimensions of tensors. */
void shape_check(checker *cx);
/* Names for the coordinates of outputs' features, when all other names are known. */
void shape_name_features(checker *cx);

/* --- resolve.c --- */

expr *resolve_expr(checker *cx, const ast_expr *e);
/* The same for what brackets enclose. */
expr *resolve_in_brackets(checker *cx, const ast_expr *e);
/* False, and reported, unless the value is a number (int or float). */
bool resolve_number(checker *cx, loc at, const expr *x, const char *what);
/* Whether the expression's place lets it use the symbol; reported when not. */
bool resolve_allowed(checker *cx, loc at, const symbol *sym);
const binder *resolve_binder(const checker *cx, const char *name);
const char *resolve_type_name(const expr *e);

/* --- load.c --- */

/* A tensor element: `n` subscripts for the last dimensions, the others implied. */
expr *load_tensor(checker *cx, loc at, const symbol *sym, int n, expr *const *sub);
expr *load_subscript(checker *cx, const ast_expr *e);
/* det(x, y, z) */
expr *load_det(checker *cx, const ast_expr *call);

/* --- reduce.c --- */

expr *reduce_resolve(checker *cx, const ast_expr *e);
/* A feature axis that is free to be bound here; NULL (reported) when the spec has too many. */
sema_axis *reduce_local_axis(checker *cx, loc at, const char *name, int64_t extent);
/* The extent of feature index `name` from the dimensions that it subscripts plainly in `body`. 0:
 * none does (not reported); -1: reported. */
int64_t reduce_infer(checker *cx, ast_name name, const ast_expr *body);
/* The extent of the last feature of the tensor or vector that `operand` names; 0 when it is not
 * known. */
int64_t reduce_feature_extent(const checker *cx, const ast_expr *operand);
/* The softmax weights in `e` that no sum has used up. */
weights reduce_pending(checker *cx, const expr *e);

/* --- define.c --- */

void define_check(checker *cx);
/* Poison instead of a value that has grown too large, reported once. */
expr *define_within_limits(checker *cx, expr *e, loc at, const char *name);

/* --- range.c --- */

typedef struct {
	double low, high; /* infinite where nothing is known */
} range;

typedef enum { TRUTH_UNKNOWN, TRUTH_FALSE, TRUTH_TRUE } truth;

/* Values that x - y can take, over all coordinates inside the axes and windows; lengths of axes are
 * at least 1. `defaults`: params have their default values, else any. */
range range_difference(const sema_spec *s, expr *x, expr *y, bool defaults);
/* Whether a condition holds for all coordinates, or for none. */
truth range_truth(const sema_spec *s, expr *condition);
/* Whether no coordinates satisfy all conditions (pairs of linear ones are compared). */
bool range_contradiction(const sema_spec *s, expr *const *condition, int n);

/* --- window.c --- */

void window_check(checker *cx);
void mask_check(checker *cx);

/* --- bounds.c --- */

/* Reports subscripts in `e` that are certainly out of range, as far as no condition around them
 * prevents it. */
void bounds_check(checker *cx, expr *e);

/* --- schedule.c --- */

void schedule_check(checker *cx);
