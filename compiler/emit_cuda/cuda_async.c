/* cuda_async.c: mbarriers, TMA and products of warpgroups: calls of trikl_hopper.h.
 * A product of k columns is one wgmma for each 16 of them. Their functions, one for each shape that
 * the program uses, are written before the kernel: the operands of their assembly are its
 * registers one by one, which no template of C++ can list. */
#include "emit_cuda/cuda_internal.h"
#include <string.h>

bool cuda_is_async(const tile_program *p)
{
	if (p->bar.count)
		return true;
	for (int i = 0; i < p->buffer.count; i++)
		if (p->buffer.item[i]->panel)
			return true;
	for (int i = 0; i < p->arg.count; i++)
		if (p->arg.item[i]->kind == ARG_MAP)
			return true;
	return false;
}

/* --- mbarriers, counters, numbered barriers --- */

static const char *plain(cuda_cx *cx, const tile_expr *x)
{
	cuda_values_count(cx, x);
	cuda_values_lines(cx, x);
	return cuda_value(cx, x, LEVEL_ANY);
}

static const char *bar_name(cuda_cx *cx, const tile_bar_ref *b)
{
	return cx->bar[b->bar->id];
}

void cuda_bar_init(cuda_cx *cx, const tile_stmt *s)
{
	const tile_mbar *b = s->arg[0].bar.bar;

	if (b->kind == BAR_COUNTER)
		cuda_line(cx, "%s.init();", cx->bar[b->id]);
	else
		cuda_line(cx, "%s.init(%d);", cx->bar[b->id], b->count);
}

/* name.method(index) or, with a second value, name.method(index, value). */
void cuda_bar(cuda_cx *cx, const tile_stmt *s)
{
	const char *method = tile_op_info[s->op].text, *name = bar_name(cx, &s->arg[0].bar);
	const char *index, *value = NULL;

	cuda_values_begin(cx, (cuda_place){0});
	index = plain(cx, s->arg[0].bar.index);
	if (s->op != TILE_BARRIVE)
		value = plain(cx, s->arg[1].value);
	if (value)
		cuda_line(cx, "%s.%s(%s, %s);", name, method, index, value);
	else
		cuda_line(cx, "%s.%s(%s);", name, method, index);
	cx->kept = cx->locals;
}

void cuda_count(cuda_cx *cx, const tile_stmt *s)
{
	const tile_var *v = s->arg[0].var;
	const tile_bar_ref *b = &s->arg[1].bar;
	const char *index;

	cuda_values_begin(cx, (cuda_place){0});
	index = plain(cx, b->index);
	cx->kept = cx->locals;
	if (!cx->facts.var_used[v->id])
		cuda_line(cx, "%s.next(%s);", bar_name(cx, b), index);
	else
		cuda_line(cx, "%sint %s = %s.next(%s);", cx->facts.var_set[v->id] ? "" : "const ",
			cx->var[v->id], bar_name(cx, b), index);
}

void cuda_numbered(cuda_cx *cx, const tile_stmt *s)
{
	const char *number;

	cuda_values_begin(cx, (cuda_place){0});
	number = plain(cx, s->arg[0].value);
	cx->kept = cx->locals;
	cuda_line(cx, "barrier_%s(%s, %lld);", s->op == TILE_NSYNC ? "sync" : "arrive", number,
		(long long)s->arg[1].integer);
}

/* --- TMA --- */

void cuda_fence_async(cuda_cx *cx, const tile_stmt *s)
{
	(void)s;
	cuda_line(cx, "fence_async();");
}

void cuda_tma_load(cuda_cx *cx, const tile_stmt *s)
{
	const tile_box *box = &s->arg[1].box;
	const tile_bar_ref *b = &s->arg[2].bar;
	const char *index, *at = "";

	cuda_values_begin(cx, (cuda_place){0});
	for (int i = 0; i < box->rank; i++)
		cuda_values_count(cx, box->coord[i]);
	index = plain(cx, b->index);
	for (int i = 0; i < box->rank; i++) {
		cuda_values_lines(cx, box->coord[i]);
		at = cuda_text(cx, "%s, %s", at, cuda_value(cx, box->coord[i], LEVEL_ANY));
	}
	cuda_line(cx, "tma_load(%s, %s, %s.at(%s)%s);",
		cuda_shared_method(cx, &s->arg[0].region, "at", "0", "0"), cx->arg[box->map->id],
		bar_name(cx, b), index, at);
	cx->kept = cx->locals;
}

/* --- products: their functions --- */

/* What tells one wgmma from another. */
typedef struct {
	int n;
	tile_type type;
	bool shared, trans;
} shape;

static shape shape_of(const tile_stmt *s)
{
	return (shape){.n = s->arg[0].slice.cols,
		.type = s->arg[3].region.buffer->type,
		.shared = s->op == TILE_WGMMAS || s->op == TILE_WGMMAST,
		.trans = s->op == TILE_WGMMAT || s->op == TILE_WGMMAST};
}

static const char *shape_name(cuda_cx *cx, const shape *x)
{
	return cuda_text(cx, "wgmma%s%s_n%d_%s", x->shared ? "_shared" : "",
		x->trans ? "_trans" : "", x->n, cuda_suffix(x->type));
}

/* Lines of string literals: %first, %first+1, ... in braces, and then `end`. */
static void put_list(cuda_cx *cx, int first, int n, const char *end)
{
	enum { A_LINE = 12 };
	const char *line = "{";

	for (int i = 0; i < n; i++) {
		line = cuda_text(cx, "%s%%%d%s", line, first + i, i + 1 < n ? ", " : "}");
		if (i + 1 < n && i % A_LINE == A_LINE - 1) {
			cuda_line(cx, "\"%s\"", line);
			line = "";
		}
	}
	cuda_line(cx, "\"%s%s\"", line, end);
}

static void put_constraints(cuda_cx *cx, const shape *x)
{
	const char *a =
		x->shared ? "\"l\"(a)" : "\"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3])";

	for (int n = 0; n < x->n / 8; n++)
		cuda_line(cx,
			"%s \"+f\"(d[%d][0]), \"+f\"(d[%d][1]), \"+f\"(d[%d][2]), "
			"\"+f\"(d[%d][3])%s",
			n ? " " : ":", n, n, n, n, n + 1 < x->n / 8 ? "," : "");
	cuda_line(cx, ": %s, \"l\"(b), \"r\"(int(more)));", a);
}

/* Operands: the accumulators, a (four registers, or a descriptor), b, `more`. */
static void put_function(cuda_cx *cx, const shape *x)
{
	int a = x->n / 2, b = a + (x->shared ? 1 : 4);
	const char *type = cuda_suffix(x->type);

	cuda_line(cx, "__device__ __forceinline__ void %s(", shape_name(cx, x));
	cuda_line(cx, "    float (*d)[4], %s, uint64_t b, bool more)",
		x->shared ? "uint64_t a" : "const uint32_t (&a)[4]");
	cuda_line(cx, "{");
	cx->out->indent++;
	cuda_line(cx, "asm volatile(");
	cx->out->indent++;
	cuda_line(cx, "\"{\\n.reg .pred more;\\nsetp.ne.b32 more, %%%d, 0;\\n\"", b + 1);
	cuda_line(cx, "\"wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s \"", x->n, type, type);
	put_list(cx, 0, a, ", ");
	if (x->shared)
		cuda_line(cx, "\"%%%d, %%%d, more, 1, 1, 0, %d;\\n}\"", a, b, x->trans);
	else
		cuda_line(cx, "\"{%%%d, %%%d, %%%d, %%%d}, %%%d, more, 1, 1, %d;\\n}\"", a, a + 1,
			a + 2, a + 3, b, x->trans);
	put_constraints(cx, x);
	cx->out->indent -= 2;
	cuda_line(cx, "}");
}

typedef struct {
	cuda_cx *cx;
	struct {
		shape *item;
		int count, cap;
	} known;
} shapes;

static void put_shape(shapes *all, const tile_stmt *s)
{
	cuda_cx *cx = all->cx;
	shape x;

	if (!tile_is_wgmma(s->op) || cuda_dead(&cx->facts, s))
		return;
	x = shape_of(s);
	for (int i = 0; i < all->known.count; i++)
		if (strcmp(shape_name(cx, &all->known.item[i]), shape_name(cx, &x)) == 0)
			return;
	ARENA_PUSH(cx->a, &all->known, x);
	cuda_comment(cx, cuda_text(cx,
				 "d = a * b or, with `more`, d += a * b: 64 rows a warpgroup, %d "
				 "columns, 16 deep;",
				 x.n));
	cuda_comment(cx, cuda_text(cx, "a in %s, %s", x.shared ? "shared memory" : "registers",
				 x.trans ? "the rows of b in rows of shared memory"
					 : "the columns of b in rows of shared memory"));
	put_function(cx, &x);
	text_put(cx->out, "\n");
}

static void put_shapes(shapes *all, const tile_block *b)
{
	for (int i = 0; i < b->count; i++) {
		put_shape(all, b->item[i]);
		put_shapes(all, &b->item[i]->body);
		put_shapes(all, &b->item[i]->other);
	}
}

void cuda_wgmma_functions(cuda_cx *cx)
{
	shapes all = {.cx = cx};

	put_shapes(&all, &cx->p->body);
}

/* --- products: statements --- */

/* The left operand of step k: registers, or the rows of this warpgroup. */
static const char *left_operand(cuda_cx *cx, const tile_stmt *s, const char *k, int steps)
{
	const tile_slice *a = &s->arg[2].slice;

	if (s->op == TILE_WGMMA || s->op == TILE_WGMMAT)
		return cuda_register(cx, a->frag, "0", cuda_cell(cx, a->first, 16, k, steps), NULL);
	cx->uses_warpgroup = cx->uses_warpgroup || cx->p->warps > 4;
	return cuda_shared_method(cx, &s->arg[2].region, "k_major",
		cx->p->warps > 4 ? "warpgroup * 64" : "0",
		steps > 1 ? cuda_text(cx, "16 * %s", k) : "0");
}

/* The first cell of the accumulator's slice: a pointer to cells. */
static const char *accumulator(cuda_cx *cx, const tile_slice *acc)
{
	const char *first = cuda_cell(cx, acc->first, 8, "0", 1), *name = cx->frag[acc->frag->id];

	if (acc->frag->cols == 8)
		return cuda_text(cx, "&%s", name);
	return strcmp(first, "0") == 0 ? name : cuda_text(cx, "%s + %s", name, first);
}

void cuda_wgmma(cuda_cx *cx, const tile_stmt *s)
{
	const tile_slice *acc = &s->arg[0].slice, *a = &s->arg[2].slice;
	const tile_region *b = &s->arg[3].region;
	shape x = shape_of(s);
	int steps = (x.shared ? s->arg[2].region.cols : a->cols) / 16;
	const char *k = cx->k, *step = steps > 1 ? cuda_text(cx, "16 * %s", k) : "0", *more, *right;

	cuda_values_begin(cx, (cuda_place){0});
	more = !s->arg[1].zero ? "true" : steps > 1 ? cuda_text(cx, "%s > 0", k) : "false";
	right = x.trans ? cuda_shared_method(cx, b, "mn_major", step, "0")
			: cuda_shared_method(cx, b, "k_major", "0", step);
	if (steps > 1)
		cuda_loop(cx, k, steps, 1, false);
	cuda_line(cx, "%s(%s, %s, %s, %s);", shape_name(cx, &x), accumulator(cx, acc),
		left_operand(cx, s, k, steps), right, more);
	if (steps > 1)
		cuda_loop_end(cx, false);
}

/* Tiles that nothing reads are not declared. */
static const char *list(cuda_cx *cx, const tile_list *l)
{
	const char *s = "";

	for (int i = 0; i < l->count; i++)
		if (cx->facts.frag_read[l->frag[i]->id])
			s = cuda_text(cx, "%s%s%s", s, *s ? ", " : "", cx->frag[l->frag[i]->id]);
	return s;
}

void cuda_wgmma_order(cuda_cx *cx, const tile_stmt *s)
{
	if (s->op == TILE_WCOMMIT)
		cuda_line(cx, "wgmma_commit();");
	else if (s->op == TILE_WFENCE)
		cuda_line(cx, "wgmma_fence(%s);", list(cx, &s->arg[0].list));
	else
		cuda_line(cx, "wgmma_wait<%lld>(%s);", (long long)s->arg[0].integer,
			list(cx, &s->arg[1].list));
}
