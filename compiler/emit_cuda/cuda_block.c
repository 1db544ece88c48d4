/* cuda_block.c: statements in order.
 * in:  a block of the tile program
 * out: lines of C++; register tiles are declared where their first use needs them, each line of the
 * spec is quoted before the first statement that comes from it */
#include "emit_cuda/cuda_internal.h"
#include <string.h>

/* --- comments --- */

/* The line of the spec that `at` is on. */
static const char *spec_line(cuda_cx *cx, loc at)
{
	const source *src = cx->p->src;
	size_t begin, end;
	int line, column;

	source_position(src, at.begin, &line, &column);
	begin = src->line_start[line - 1];
	end = line < src->line_count ? src->line_start[line] : src->len;
	while (begin < end && strchr(" \t\r\n", src->text[begin]))
		begin++;
	while (begin < end && strchr(" \t\r\n,", src->text[end - 1]))
		end--;
	return arena_strndup(cx->a, src->text + begin, end - begin);
}

bool cuda_unquoted(const cuda_cx *cx, int line)
{
	for (int i = 0; i < cx->told.count; i++)
		if (cx->told.item[i] == line)
			return false;
	return line > 0 && line != cx->p->line;
}

const char *cuda_quote(cuda_cx *cx, loc at, int line)
{
	if (!cuda_unquoted(cx, line))
		return NULL;
	ARENA_PUSH(cx->a, &cx->told, line);
	if (!cx->from_spec)
		return cuda_text(cx, "spec:%d", line);
	return cuda_text(cx, "spec:%d  %s", line, spec_line(cx, at));
}

static void comments(cuda_cx *cx, const tile_stmt *s)
{
	const char *quote = cuda_quote(cx, s->at, s->line);

	if (!quote && !s->note)
		return;
	if (!cx->fresh)
		text_put(cx->out, "\n");
	if (quote)
		cuda_comment(cx, quote);
	if (s->note)
		cuda_comment(cx, s->note);
}

static const char *element_type(const tile_frag *f)
{
	return tile_register_elements(f) == 2 ? "uint32_t" : cuda_type(f->type);
}

static void flush_declaration(cuda_cx *cx, const char **line, const char *what)
{
	if (*line)
		cuda_line_with(cx, cuda_text(cx, "%s;", *line), what);
	*line = NULL;
}

/* Register tiles that live from the statements [at, at + n) of b on; those of one type that need no
 * explanation stand in one line. */
static void declarations(cuda_cx *cx, const tile_block *b, int at, int n)
{
	const char *line = NULL, *type = NULL;

	for (int i = 0; i < cx->p->frag.count; i++) {
		const tile_frag *f = cx->p->frag.item[i];
		const cuda_home *home = &cx->facts.home[i];
		const char *one = cuda_text(cx, "%s%s", cx->frag[i], cuda_dimensions(cx, f));

		if (home->block != b || home->before < at || home->before >= at + n)
			continue;
		if (line && !f->what && strcmp(type, element_type(f)) == 0 && strlen(line) < 60) {
			line = cuda_text(cx, "%s, %s", line, one);
			continue;
		}
		flush_declaration(cx, &line, NULL);
		type = element_type(f);
		line = cuda_text(cx, "%s %s", type, one);
		if (f->what)
			flush_declaration(cx, &line, f->what);
	}
	flush_declaration(cx, &line, NULL);
}

/* --- scalars --- */

/* Declares what x needs; the names stay in use, because this scope goes on. */
static const char *scalar(cuda_cx *cx, const tile_expr *x)
{
	const char *s;

	cuda_values_begin(cx, (cuda_place){0});
	cuda_values_count(cx, x);
	cuda_values_lines(cx, x);
	s = cuda_value(cx, x, LEVEL_ANY);
	cx->kept = cx->locals;
	return s;
}

static void emit_let(cuda_cx *cx, const tile_stmt *s)
{
	const tile_var *v = s->arg[0].var;

	cuda_line(cx, "%s%s %s = %s;", cx->facts.var_set[v->id] ? "" : "const ", cuda_type(v->type),
		cx->var[v->id], scalar(cx, s->arg[1].value));
}

static void emit_set(cuda_cx *cx, const tile_stmt *s)
{
	cuda_line(cx, "%s = %s;", cx->var[s->arg[0].var->id], scalar(cx, s->arg[1].value));
}

static void emit_commit(cuda_cx *cx, const tile_stmt *s)
{
	(void)s;
	cuda_line(cx, "copy_commit();");
}

static void emit_wait(cuda_cx *cx, const tile_stmt *s)
{
	cuda_line(cx, "copy_wait<%lld>();", (long long)s->arg[0].integer);
}

static void emit_barrier(cuda_cx *cx, const tile_stmt *s)
{
	(void)s;
	cuda_line(cx, "__syncthreads();");
}

/* --- flow --- */

static void body(cuda_cx *cx, const tile_block *b)
{
	int kept = cx->kept;

	cx->out->indent++;
	cuda_block(cx, b);
	cx->out->indent--;
	cx->kept = kept;
	cx->fresh = false;
}

/* Whether x may change while a loop runs. */
static bool changes(cuda_cx *cx, const tile_expr *x)
{
	if (x->op == TX_GLOBAL || x->op == TX_SHARED ||
		(x->op == TX_VAR && cx->facts.var_set[x->var->id]))
		return true;
	for (int i = 0; i < tile_expr_info[x->op].arity; i++)
		if (changes(cx, x->arg[i]))
			return true;
	return false;
}

/* A bound is evaluated once, before the loop. */
static const char *bound(cuda_cx *cx, const tile_expr *x, const char *name)
{
	const char *s = scalar(cx, x);

	if (!changes(cx, x))
		return s;
	name = cuda_local_name(cx, name);
	cx->kept = cx->locals;
	cuda_line(cx, "const int %s = %s;", name, s);
	return name;
}

static void emit_for(cuda_cx *cx, const tile_stmt *s)
{
	const char *v = cx->var[s->arg[0].var->id], *from, *to, *step;

	from = scalar(cx, s->arg[1].value);
	to = bound(cx, s->arg[2].value, cuda_text(cx, "%s_end", v));
	step = tx_is_const(s->arg[3].value, 1)
		       ? cuda_text(cx, "%s++", v)
		       : cuda_text(cx, "%s += %s", v,
				 bound(cx, s->arg[3].value, cuda_text(cx, "%s_step", v)));
	cuda_line(cx, "#pragma unroll 1");
	cuda_line(cx, "for (int %s = %s; %s < %s; %s) {", v, from, v, to, step);
	cx->nested++;
	body(cx, &s->body);
	cx->nested--;
	cuda_line(cx, "}");
}

static void emit_unroll(cuda_cx *cx, const tile_stmt *s)
{
	const char *v = cx->var[s->arg[0].var->id];
	long long from = s->arg[1].integer, to = s->arg[2].integer, step = s->arg[3].integer;
	const char *next =
		step == 1 ? cuda_text(cx, "%s++", v) : cuda_text(cx, "%s += %lld", v, step);

	cuda_line(cx, "#pragma unroll");
	cuda_line(cx, "for (int %s = %lld; %s < %lld; %s) {", v, from, v, to, next);
	body(cx, &s->body);
	cuda_line(cx, "}");
}

static void emit_if(cuda_cx *cx, const tile_stmt *s)
{
	cuda_line(cx, "if (%s) {", scalar(cx, s->arg[0].value));
	body(cx, &s->body);
	if (s->other.count) {
		cuda_line(cx, "} else {");
		body(cx, &s->other);
	}
	cuda_line(cx, "}");
}

static void emit_break(cuda_cx *cx, const tile_stmt *s)
{
	cuda_line(cx, "if (%s)", scalar(cx, s->arg[0].value));
	cx->out->indent++;
	cuda_line(cx, "break;");
	cx->out->indent--;
}

/* --- all statements --- */

/* MAP, REDUCE and QUAD are cuda_walk's. */
static cuda_stmt_fn *const emit[TILE_OP_COUNT] = {
	[TILE_LET] = emit_let,
	[TILE_SET] = emit_set,
	[TILE_ANY] = cuda_any,
	[TILE_ANYB] = cuda_any,
	[TILE_FILL] = cuda_fill,
	[TILE_COPY] = cuda_copy,
	[TILE_COMMIT] = emit_commit,
	[TILE_WAIT] = emit_wait,
	[TILE_BARRIER] = emit_barrier,
	[TILE_LDSM] = cuda_matrix,
	[TILE_LDSMT] = cuda_matrix,
	[TILE_LDSMR] = cuda_matrix_rows,
	[TILE_LDS] = cuda_load_plain,
	[TILE_LDST] = cuda_load_plain,
	[TILE_MMA] = cuda_mma,
	[TILE_STORE] = cuda_store,
	[TILE_STORER] = cuda_store_rows,
	[TILE_STORES] = cuda_store_shared,
	[TILE_BINIT] = cuda_bar_init,
	[TILE_BEXPECT] = cuda_bar,
	[TILE_BARRIVE] = cuda_bar,
	[TILE_BWAIT] = cuda_bar,
	[TILE_TMALOAD] = cuda_tma_load,
	[TILE_FENCEA] = cuda_fence_async,
	[TILE_WGMMA] = cuda_wgmma,
	[TILE_WGMMAT] = cuda_wgmma,
	[TILE_WGMMAS] = cuda_wgmma,
	[TILE_WGMMAST] = cuda_wgmma,
	[TILE_WFENCE] = cuda_wgmma_order,
	[TILE_WCOMMIT] = cuda_wgmma_order,
	[TILE_WWAIT] = cuda_wgmma_order,
	[TILE_NSYNC] = cuda_numbered,
	[TILE_NARRIVE] = cuda_numbered,
	[TILE_COUNT] = cuda_count,
	[TILE_STSM] = cuda_matrix,
	[TILE_FOR] = emit_for,
	[TILE_UNROLL] = emit_unroll,
	[TILE_IF] = emit_if,
	[TILE_BREAK] = emit_break,
};

void cuda_block(cuda_cx *cx, const tile_block *b)
{
	int n;

	cx->fresh = true;
	for (int i = 0; i < b->count; i += n) {
		const tile_stmt *s = b->item[i];

		n = 1;
		if (cuda_dead(&cx->facts, s))
			continue;
		comments(cx, s);
		n = cuda_fuse(cx, b, i);
		declarations(cx, b, i, n);
		cx->pair.count = 0;
		if (emit[s->op])
			emit[s->op](cx, s);
		else
			cuda_walk(cx, b->item + i, n);
		cx->fresh = false;
	}
}
