/* sema.h: what a spec means. Names resolved, shapes and types checked, constants folded.
 *
 *   check.c       sema_check: the file as a whole, the order of the stages, unused names
 *   names.c       symbols of a spec, "did you mean"
 *   declare.c     const and param statements, -D
 *   header.c      tensors, index statements, lengths
 *   shape.c       kinds of axes from where names stand; groups; dimensions
 *   window.c      windows and masks
 *   resolve.c     names, operators, calls -> expr; load.c subscripts, cross, det
 *   reduce.c      sum, softmax, ...: extents of feature indices, use of softmax weights
 *   define.c      definitions, plain and with feature parameters; what outputs may depend on
 *   range.c       linear forms and intervals: empty windows, constant masks
 *   bounds.c      subscripts that are certainly out of range
 *   schedule.c    schedule settings
 *   sema_print.c  the checked spec as text
 *   eval.c        the reference interpreter: float64, brute force over the index space
 *   expr.c        building and comparing expressions; expr_fold.c constant folding; expr_print.c
 *
 * Everything lives in one arena and is immutable after sema_check; any number of threads may read it.
 *
 * The index space. Every coordinate belongs to an axis:
 *   ROW      a run-time length that outputs have (B, H); its coordinate is implied wherever a tensor has the axis
 *   GROUP    a run-time length that divides a ROW axis (G of H); coordinate(G) = coordinate(H) // (H / G)
 *   QUERY    a position index that outputs have (i)
 *   KEY      a position index that softmax and sum run over (j, k)
 *   FEATURE  an axis of compile-time extent: bound by sum(d), by a parameter qr[d], or implied by an output's E
 * A *row* is one coordinate for each ROW and QUERY axis; the *visible* tuples of a row are the KEY coordinates
 * inside every window and mask. */
#pragma once
#include "ast/ast.h"
#include "support/arena.h"
#include "support/diag.h"

#define SEMA_MAX_RANK 8       /* dimensions of a tensor                 */
#define SEMA_MAX_KEYS 4       /* key axes: order of the attention       */
#define SEMA_MAX_FEATURE 1024 /* extent of a feature axis               */
#define SEMA_MAX_AXES 128     /* axes of a spec, later stages' included */
#define SEMA_MAX_SIZE 200000  /* expression nodes of a spec             */

typedef enum { DTYPE_BF16, DTYPE_F16, DTYPE_F32, DTYPE_I32, DTYPE_F64 } sema_dtype;
typedef enum { TYPE_INT, TYPE_FLOAT, TYPE_BOOL, TYPE_POISON } expr_type;

typedef struct sema_axis sema_axis;
typedef struct sema_length sema_length;
typedef struct sema_param sema_param;
typedef struct sema_tensor sema_tensor;
typedef struct sema_def sema_def;
typedef struct expr expr;

typedef enum {
#define EXPR_OP(name, text, arity, kind) EXPR_##name,
#include "sema/expr_ops.def"
#undef EXPR_OP
	EXPR_OP_COUNT
} expr_op;

typedef enum { REDUCE_SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_LSE } reduce_how;

/* One node. Shared subexpressions are shared pointers; nodes are never changed after they are built.
 * A constant condition is a comparison of two constants: there are no bool constants. */
struct expr {
	expr_op op;
	expr_type type;
	loc at;
	uint32_t id; /* dense within a spec, for side tables */
	uint32_t
		size; /* nodes of the tree, a shared one each time it is met, a DEF as one; saturates */
	uint32_t
		depth; /* longest path, going on through DEF; sema_check bounds it, so recursion is safe */
	uint64_t reads[SEMA_MAX_AXES / 64]; /* bit [axis id]: see expr_depends */
	union {
		int64_t i;           /* CONST_INT   */
		double f;            /* CONST_FLOAT */
		sema_axis *axis;     /* COORD       */
		sema_length *length; /* LENGTH      */
		sema_param *param;   /* PARAM       */
		sema_def *def;       /* DEF         */
		struct {
			sema_tensor *tensor;
			expr *sub
				[SEMA_MAX_RANK]; /* rank of them, type INT; implied ones are COORD nodes */
		} load;
		expr *arg[3]; /* arithmetic: arity of them */
		struct {
			reduce_how how; /* REDUCE only */
			int axes;
			sema_axis *axis
				[SEMA_MAX_KEYS]; /* all FEATURE or all KEY; SOFTMAX, LSE: KEY only */
			union {
				struct {
					expr *body; /* FLOAT */
					expr *sink; /* SOFTMAX, LSE: extra logit of each row, else NULL */
				};
				expr *part[2];
			};
		} reduce; /* over KEY axes: over the visible coordinates only, see sema_mask_applies */
	};
};

/* A run-time length: B, H, G, N, M. */
struct sema_length {
	const char *name;
	loc at;
	int id; /* position in sema_spec.length */
};

typedef enum { AXIS_ROW, AXIS_GROUP, AXIS_QUERY, AXIS_KEY, AXIS_FEATURE } axis_kind;

/* Bounds of a key index given a row: first <= coordinate <= last, also within [0, length). */
typedef struct {
	expr *first,
		*last; /* INT, over QUERY and ROW coordinates, params and lengths; NULL: unbounded */
	loc at;
} sema_window;

struct sema_axis {
	const char *name; /* index name, or the length's name where no index names it */
	const char *
		coord; /* its coordinate when printed: the index name, else the length's in lower case; unique */
	axis_kind kind;
	loc at;
	int id;              /* position in sema_spec.axis */
	sema_length *length; /* NULL for FEATURE */
	int64_t extent;      /* FEATURE only; 0: an unused parameter's */
	sema_axis *of;       /* GROUP: the ROW axis it divides */
	sema_axis *group;    /* ROW: the GROUP axis that divides it, NULL */
	sema_window window;  /* KEY */
};

struct sema_param {
	const char *name;
	loc at;
	int id;         /* position in sema_spec.param */
	expr_type type; /* INT (passed as int64) or FLOAT (passed as double) */
	int64_t i;      /* default value */
	double f;
};

/* One dimension. Its length is `axis`'s, or `length`, or `extent`. */
typedef struct {
	sema_axis
		*axis; /* the axis whose coordinate is implied, NULL when a subscript is required */
	sema_length *length; /* run-time size; NULL for a compile-time dimension */
	int64_t extent;      /* compile-time size */
	const char *name;    /* as written: "B", "D" */
} sema_dim;

struct sema_tensor {
	const char *name;
	loc at;
	int id; /* inputs first in written order, then outputs: position in sema_spec.tensor */
	sema_dtype dtype;
	int rank;
	sema_dim dim[SEMA_MAX_RANK];
	bool output;
	sema_def *def; /* output: the definition that computes it */
};

/* s = ..., o = ...: the value is a function of the coordinates it uses. */
struct sema_def {
	const char *name;
	loc at;
	int id; /* position in sema_spec.def; a definition uses only earlier ones */
	expr *value;
	sema_tensor *output; /* NULL for an intermediate */
};

/* A schedule setting that applies to `target` (NULL: every target); values are checked, meaning is the planner's. */
typedef struct {
	const char *target;
	const char *key;
	sema_axis *axis;   /* tile k = 64: the axis */
	sema_param *param; /* specialize W1 */
	int64_t integer;
	const char *word; /* overlap = pingpong */
	loc at;
} sema_setting;

typedef struct {
	const char *name;
	loc at;
	const source *src;
	arena *arena;
	struct {
		sema_length **item;
		int count, cap;
	} length;
	struct {
		sema_axis **item;
		int count, cap;
	} axis; /* rows, groups, query, keys, then features */
	struct {
		sema_param **item;
		int count, cap;
	} param;
	struct {
		sema_tensor **item;
		int count, cap;
	} tensor;
	int inputs; /* tensor[0 .. inputs) are inputs, the rest outputs */
	struct {
		sema_def **item;
		int count, cap;
	} def; /* definitions without parameters, in order; parameterised ones are substituted */
	struct {
		expr **item;
		int count, cap;
	} mask; /* BOOL; a tuple is visible when all hold */
	struct {
		sema_setting *item;
		int count, cap;
	} setting;
	struct {
		sema_axis **item;
		int count, cap;
	} key;               /* KEY axes in declared order; order of the attention = key.count */
	sema_axis *query;    /* the QUERY axis; NULL when outputs have none */
	uint32_t expr_count; /* ids below this are in use */
} sema_spec;

/* -D NAME=VALUE from the command line or the library. */
typedef struct {
	const char *name, *value;
} sema_define;

/* --- sema_check: resolve.c, shape.c, check.c --- */

/* Checks one spec with its schedules and gives its meaning; NULL when errors were reported. A define that names
 * neither a const nor a param is an error. */
sema_spec *sema_check(arena *a, const ast_file *file, const ast_spec *spec, const source *src,
	const sema_define *define, int defines, diags *d);

/* Whether mask `m` restricts a reduction over `axes` key axes: it reads one of them, or no key index at all. Other
 * key indices that it reads are free in the reduction, whose value then depends on them. */
bool sema_mask_applies(const sema_spec *s, const expr *m, sema_axis *const *axis, int axes);
/* A new FEATURE axis; NULL when there are SEMA_MAX_AXES already. */
sema_axis *sema_feature(sema_spec *s, loc at, const char *name, int64_t extent);
const char *sema_dtype_name(sema_dtype t);
int sema_dtype_size(sema_dtype t);

/* --- expr.c, expr_fold.c --- */

extern const struct expr_op_info {
	const char *text;
	int arity;
} expr_op_info[EXPR_OP_COUNT];

/* Builders fold constants, insert TO_FLOAT where an int meets a float, and give the type; any poison operand gives
 * poison. `at` is the location of the whole node. */
expr *expr_poison(sema_spec *s, loc at);
expr *expr_int(sema_spec *s, loc at, int64_t v);
expr *expr_float(sema_spec *s, loc at, double v);
/* ROW axes have coordinates only where some tensor has them; a GROUP coordinate is that of its row axis // (H / G). */
expr *expr_coord(sema_spec *s, loc at, sema_axis *axis);
expr *expr_length(sema_spec *s, loc at, sema_length *l);
expr *expr_param(sema_spec *s, loc at, sema_param *p);
expr *expr_def(sema_spec *s, loc at, sema_def *d);
/* `sub`: the tensor's rank of INT expressions. */
expr *expr_load(sema_spec *s, loc at, sema_tensor *t, expr *const *sub);
expr *expr_unary(sema_spec *s, loc at, expr_op op, expr *x);
expr *expr_binary(sema_spec *s, loc at, expr_op op, expr *x, expr *y);
expr *expr_where(sema_spec *s, loc at, expr *c, expr *x, expr *y);
/* `op` is REDUCE or SOFTMAX; the body becomes FLOAT. Over nothing: sum 0, prod 1, max and lse -inf, min +inf. */
expr *expr_reduce(sema_spec *s, loc at, expr_op op, reduce_how how, sema_axis *const *axis,
	int axes, expr *body, expr *sink);
expr *expr_to_float(sema_spec *s, expr *x);
/* The value of a condition made of constants only; false when it is none. */
bool expr_const_bool(const expr *e, bool *value);
/* A node of the same kind with other children (in expr_kids' order); `e` itself when they are the same. */
expr *expr_rebuild(sema_spec *s, const expr *e, expr *const *kid);
/* Children in a fixed order: a load's subscripts, args, or body (and sink when present). */
int expr_kids(const expr *e, expr *const **kid);
/* `e` with every COORD of `axis` replaced by `with`, looking through DEF; bound FEATURE axes that `with` reads are
 * renamed (poison when there are SEMA_MAX_AXES already). `axis` is FEATURE, or no key reduction in `e` depends on it. */
expr *expr_substitute(sema_spec *s, expr *e, const sema_axis *axis, expr *with);
/* The same for `n` axes at once: what replaces one is not searched for another. */
expr *expr_substitute_all(sema_spec *s, expr *e, int n, sema_axis *const *axis, expr *const *with);
/* Same meaning by structure (locations and names of bound axes ignored; DEF nodes equal when the same definition). */
bool expr_equal(const expr *x, const expr *y);
/* Whether `e` reads the coordinate of `axis`, looking through DEF and into GROUP (a load at G depends on H). Bound
 * axes don't count; a key reduction depends on what its windows and masks read. Constant time. */
bool expr_depends(const expr *e, const sema_axis *axis);

/* --- expr_print.c, sema_print.c --- */

/* The expression in the language's own syntax with implied subscripts shown: q[b, i, h, d]. */
void expr_print(const expr *e, text *out);
/* The spec with everything resolved, one object a line (part of --emit model). */
void sema_print(const sema_spec *s, text *out);

/* --- eval.c: the reference ---
 * Arithmetic is IEEE double; ints wrap. min and max (the functions and the reductions) are NaN when any operand is.
 * Softmax: the weight of a score s is exp(s - m) / sum exp(s' - m), m the maximum; scores of -inf weigh 0, and where
 * nothing has weight all weights are 0 and logsumexp is -inf; a NaN or +inf score makes the row's weights and
 * logsumexp NaN. A tuple that is not visible is never evaluated; where, and, or evaluate only what they select. */

typedef struct rt_pool rt_pool; /* runtime/pool.h */

/* A tensor as the reference sees it: any dtype including F64, any strides (in elements). */
typedef struct {
	void *data;
	sema_dtype dtype;
	int64_t stride[SEMA_MAX_RANK];
} eval_tensor;

typedef struct {
	const sema_spec *spec;
	const int64_t *length;     /* [spec->length.count] */
	const int64_t *param_int;  /* [spec->param.count]; used where the param is INT   */
	const double *param_float; /* [spec->param.count]; used where the param is FLOAT */
	const eval_tensor *tensor; /* [spec->tensor.count]; outputs are written (F64 or F32) */
	int threads;               /* 0: one per core; unused when there is a pool */
	rt_pool *pool;             /* the threads to run on; NULL: own ones, for the run only */
	const int64_t
		*row; /* NULL: every row; else `rows` row numbers (row-major over ROW axes in spec
	                               order, then QUERY): only these are computed and stored */
	int64_t rows;
	void (*progress)(
		void *user, double done); /* NULL, or called now and then with a fraction */
	void *progress_user;
} eval_args;

/* Rows in the whole problem: product of the ROW and QUERY lengths. */
int64_t eval_row_count(const eval_args *args);
/* Estimated seconds for eval_run on this machine, all outputs wanted (`tensor` may be NULL); windows count, masks do
 * not. Scaled by a short measurement, made once per process. */
double eval_estimate(const eval_args *args);
/* Computes the outputs in float64 by brute force. Never fails on checked input; empty rows give 0 and lse = -inf.
 * Outputs may have any dtype (rounded once from float64); those with NULL data are not computed. progress is called
 * from the calling thread. Returns false when a length is no multiple of its group, memory runs out or a subscript is
 * out of range (the first row's is reported), with the reason in *error: valid until this thread's next eval_run. */
bool eval_run(const eval_args *args, const char **error);
/* What *error points to when memory ran out. */
extern const char eval_out_of_memory[];
/* Evaluates an INT expression over QUERY/ROW coordinates (coord by axis id), for bounds. */
int64_t eval_int(const eval_args *args, const expr *e, const int64_t *coord);
