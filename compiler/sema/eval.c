/* eval: the reference interpreter, brute force in float64 straight from the checked expressions.
 * in:  a checked spec, lengths, params, tensors     out: every output element of the rows asked for
 *
 * Shares nothing with row form, window analysis or any backend: what they compute is compared with
 * this. Rows are independent and go to the workers of a thread pool. See eval_cell.h for how an
 * expression is evaluated. */
#include "sema/eval_cell.h"
#include "runtime/pool.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- values --- */

static bool is_current(const eval_worker *w, const eval_cell *c)
{
	const eval_stamp *s = &w->stamp[c->id];

	if (!s->time || (c->lanes && (w->low < s->low || s->high < w->high)))
		return false;
	for (int d = 0; d < c->deps; d++)
		if (w->moved[c->dep[d]] > s->time)
			return false;
	return true;
}

const eval_value *eval_fetch(eval_worker *w, const eval_cell *c)
{
	eval_value *value = w->value + c->slot;

	if (!is_current(w, c)) {
		c->eval(w, c, value);
		w->stamp[c->id] = (eval_stamp){.time = w->now, .low = w->low, .high = w->high};
	}
	return value;
}

void eval_fetch_both(eval_worker *w, const eval_cell *x, const eval_cell *y, const eval_value **vx,
	const eval_value **vy)
{
	*vx = eval_fetch(w, x);
	*vy = eval_fetch(w, y);
	if (y->binds)
		*vx = eval_fetch(w, x); /* x may be a part of y, but then y is none of x */
}

void eval_move(eval_worker *w, const sema_axis *axis, int64_t coord)
{
	if (w->coord[axis->id] == coord)
		return;
	w->coord[axis->id] = coord;
	w->moved[axis->id] = ++w->now;
}

/* --- rows --- */

typedef struct {
	const eval_program *program;
	eval_worker *worker; /* [threads] */
	int64_t rows;        /* how many were asked for */
	_Atomic int64_t done;
	_Atomic int64_t failed; /* least position of a row that failed */
	int shown;              /* per mille told to progress */
} run;

static void store_output(eval_worker *w, const sema_tensor *t, const eval_cell *cell)
{
	const eval_tensor *data = &w->program->args->tensor[t->id];
	const eval_value *value;
	int64_t offset = 0, lanes = 1, step = 0;

	for (int d = 0; d < t->rank; d++) {
		const sema_axis *axis = t->dim[d].axis;

		if (axis->kind == AXIS_FEATURE) {
			lanes = axis->extent;
			step = data->stride[d];
		} else {
			offset += data->stride[d] * w->coord[axis->id];
		}
	}
	w->low = 0;
	w->high = lanes;
	value = eval_fetch(w, cell);
	for (int64_t l = 0; l < lanes && !w->failed; l++)
		eval_store(data, offset + l * step, value[cell->lanes ? l : 0], cell->type);
}

static void compute_row(eval_worker *w, int64_t row)
{
	const eval_program *p = w->program;
	const sema_spec *spec = p->args->spec;

	w->row = row;
	for (int r = p->rows - 1; r >= 0; r--) {
		eval_move(w, p->row[r], row % p->row_length[r]);
		row /= p->row_length[r];
	}
	for (int t = spec->inputs; t < spec->tensor.count && !w->failed; t++)
		if (p->output[t])
			store_output(w, spec->tensor.item[t], p->output[t]);
}

static void show_progress(run *r)
{
	const eval_args *args = r->program->args;
	double done = r->rows ? (double)atomic_load(&r->done) / (double)r->rows : 1;

	if (!args->progress || (int)(done * 1000) <= r->shown)
		return;
	r->shown = (int)(done * 1000);
	args->progress(args->progress_user, done);
}

static void compute_chunk(run *r, eval_worker *w, int64_t begin, int64_t end)
{
	const int64_t *list = r->program->args->row;

	for (int64_t n = begin; n < end && !w->failed && n < atomic_load(&r->failed); n++) {
		w->position = n;
		compute_row(w, list ? list[n] : n);
	}
}

static void leave_chunk(void *user, ice_cause cause, const char *message)
{
	eval_worker *w = user;

	w->failed = true;
	w->broken = cause == ICE_BUG;
	w->exhausted = cause == ICE_MEMORY;
	snprintf(w->message, sizeof w->message, "%s", message);
	longjmp(w->back, 1);
}

/* One chunk on a thread of the pool. Our own bugs must reach the calling thread's handler: run_rows
 * repeats them. */
static void compute_rows(void *user, int64_t begin, int64_t end, int number)
{
	run *r = user;
	eval_worker *w = &r->worker[number];

	if (number == 0) {
		compute_chunk(r, w, begin, end);
	} else if (!setjmp(w->back)) {
		ice_set_handler(leave_chunk, w);
		compute_chunk(r, w, begin, end);
	}
	if (number)
		ice_set_handler(NULL, NULL);
	if (w->failed) {
		int64_t least = atomic_load(&r->failed);

		while (w->position < least &&
			!atomic_compare_exchange_weak(&r->failed, &least, w->position))
			;
	}
	atomic_fetch_add(&r->done, end - begin);
	if (number == 0)
		show_progress(r);
}

/* --- workers --- */

static void free_workers(eval_worker *worker, int n)
{
	for (int k = 0; worker && k < n; k++) {
		free(worker[k].value);
		free(worker[k].stamp);
		free(worker[k].coord);
		free(worker[k].moved);
	}
	free(worker);
}

static eval_worker *make_workers(const eval_program *p, int n)
{
	eval_worker *worker = calloc((size_t)n, sizeof *worker);
	size_t axes = (size_t)p->args->spec->axis.count + 1;

	for (int k = 0; worker && k < n; k++) {
		eval_worker *w = &worker[k];

		w->program = p;
		w->now = 1;
		w->value = calloc(p->values + 1, sizeof *w->value);
		w->stamp = calloc(p->cells + 1, sizeof *w->stamp);
		w->coord = calloc(axes, sizeof *w->coord);
		w->moved = calloc(axes, sizeof *w->moved);
		if (!w->value || !w->stamp || !w->coord || !w->moved) {
			free_workers(worker, n);
			return NULL;
		}
	}
	return worker;
}

/* --- eval_run --- */

const char eval_out_of_memory[] = "out of memory";
static _Thread_local char error_text[320];

int64_t eval_row_count(const eval_args *args)
{
	const sema_spec *spec = args->spec;
	int64_t rows = 1;
	bool none = false;

	for (int a = 0; a < spec->axis.count; a++) {
		const sema_axis *axis = spec->axis.item[a];
		int64_t length;

		if (axis->kind != AXIS_ROW && axis->kind != AXIS_QUERY)
			continue;
		length = args->length[axis->length->id];
		none |= length == 0;
		if (__builtin_mul_overflow(rows, length, &rows))
			rows = INT64_MAX;
	}
	return none ? 0 : rows;
}

/* What a caller may still get wrong on a checked spec. */
static bool check_args(const eval_args *args)
{
	const sema_spec *spec = args->spec;

	for (int a = 0; a < spec->axis.count; a++) {
		const sema_axis *g = spec->axis.item[a];
		int64_t all, n;

		if (g->kind != AXIS_GROUP)
			continue;
		all = args->length[g->of->length->id];
		n = args->length[g->length->id];
		if (n ? all % n : all != 0) {
			snprintf(error_text, sizeof error_text,
				"%s = %lld is not a multiple of %s = %lld", g->of->length->name,
				(long long)all, g->length->name, (long long)n);
			return false;
		}
	}
	for (int t = 0; t < spec->inputs; t++) {
		bool declared = spec->tensor.item[t]->dtype == DTYPE_I32;

		if (declared != (args->tensor[t].dtype == DTYPE_I32)) {
			snprintf(error_text, sizeof error_text, "'%s' must hold %s",
				spec->tensor.item[t]->name, declared ? "i32" : "floats");
			return false;
		}
	}
	return true;
}

/* The worker whose failure counts, that of the first row; NULL: none failed. */
static const eval_worker *find_failed(const run *r, int threads)
{
	const eval_worker *worst = NULL;

	for (int k = 0; k < threads; k++)
		if (r->worker[k].failed && (!worst || r->worker[k].position < worst->position))
			worst = &r->worker[k];
	if (worst)
		memcpy(error_text, worst->message, sizeof error_text);
	return worst;
}

/* Threads for `rows` rows: the caller's, else as many of our own as have work. */
static rt_pool *choose_pool(const eval_args *args, int64_t rows)
{
	int threads = args->threads > 0 ? args->threads : rt_pool_cores();

	if (args->pool)
		return args->pool;
	return rt_pool_create(rows < 1 ? 1 : rows < threads ? (int)rows : threads);
}

static bool run_rows(const eval_program *p, int64_t rows, const char **error)
{
	rt_pool *pool = choose_pool(p->args, rows);
	int threads = pool ? rt_pool_threads(pool) : 1;
	int64_t grain = rows / threads / 64;
	run r = {.program = p, .rows = rows, .failed = INT64_MAX};
	const eval_worker *worst;
	bool ok = false, broken = false;

	r.worker = make_workers(p, threads);
	if (pool && r.worker) {
		rt_pool_run(pool, rows, grain < 1 ? 1 : grain > 16 ? 16 : grain, compute_rows, &r);
		show_progress(&r);
		worst = find_failed(&r, threads);
		ok = !worst;
		broken = worst && worst->broken;
		if (worst && worst->exhausted)
			*error = eval_out_of_memory;
	} else {
		*error = eval_out_of_memory;
	}
	free_workers(r.worker, threads);
	if (!p->args->pool)
		rt_pool_destroy(pool);
	if (broken)
		ice("%s", error_text);
	return ok;
}

bool eval_run(const eval_args *args, const char **error)
{
	eval_program *p;
	arena *a;
	bool ok;

	*error = error_text;
	if (!check_args(args))
		return false;
	a = arena_create();
	if (!a) {
		*error = eval_out_of_memory;
		return false;
	}
	p = eval_compile(a, args, false);
	ok = run_rows(p, args->row ? args->rows : eval_row_count(args), error);
	arena_destroy(a);
	return ok;
}

/* --- eval_int --- */

static int64_t group_coord(const eval_args *args, const sema_axis *g, const int64_t *coord)
{
	int64_t groups = args->length[g->length->id];

	return groups ? coord[g->of->id] / (args->length[g->of->length->id] / groups) : 0;
}

static int64_t combine_ints(expr_op op, int64_t x, int64_t y)
{
	switch ((int)op) {
	case EXPR_ADD:
		return (int64_t)((uint64_t)x + (uint64_t)y);
	case EXPR_SUB:
		return (int64_t)((uint64_t)x - (uint64_t)y);
	case EXPR_MUL:
		return (int64_t)((uint64_t)x * (uint64_t)y);
	case EXPR_IDIV:
		return eval_int_divide(x, y);
	case EXPR_MOD:
		return eval_int_modulo(x, y);
	case EXPR_MIN:
		return x < y ? x : y;
	case EXPR_MAX:
		return x > y ? x : y;
	case EXPR_LT:
		return x < y;
	case EXPR_LE:
		return x <= y;
	case EXPR_EQ:
		return x == y;
	case EXPR_NE:
		return x != y;
	case EXPR_AND:
		return x && y;
	case EXPR_OR:
		return x || y;
	default:
		ice("'%s' in an integer bound", expr_op_info[op].text);
	}
}

int64_t eval_int(const eval_args *args, const expr *e, const int64_t *coord)
{
	int64_t x;

	switch ((int)e->op) {
	case EXPR_CONST_INT:
		return e->i;
	case EXPR_COORD:
		return e->axis->kind == AXIS_GROUP ? group_coord(args, e->axis, coord)
						   : coord[e->axis->id];
	case EXPR_LENGTH:
		return args->length[e->length->id];
	case EXPR_PARAM:
		return args->param_int[e->param->id];
	case EXPR_DEF:
		return eval_int(args, e->def->value, coord);
	case EXPR_WHERE:
		return eval_int(args, e->arg[eval_int(args, e->arg[0], coord) ? 1 : 2], coord);
	case EXPR_NEG:
		return combine_ints(EXPR_SUB, 0, eval_int(args, e->arg[0], coord));
	case EXPR_NOT:
		return !eval_int(args, e->arg[0], coord);
	case EXPR_ABS:
		x = eval_int(args, e->arg[0], coord);
		return x < 0 ? combine_ints(EXPR_SUB, 0, x) : x;
	default:
		return combine_ints(
			e->op, eval_int(args, e->arg[0], coord), eval_int(args, e->arg[1], coord));
	}
}
