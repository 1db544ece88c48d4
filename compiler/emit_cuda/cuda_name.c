/* cuda_name.c: names of the program as C++ names.
 * A name keeps its spelling unless C++, CUDA, trikl_cuda.h or the emitter has given it a meaning;
 * then it gets underscores at its end. Loop counters take what the program leaves free. */
#include "emit_cuda/cuda_internal.h"
#include <stdlib.h>
#include <string.h>

static const char *const taken[] = {
	/* C++ */
	"alignas", "alignof", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case",
	"catch", "char", "char16_t", "char32_t", "class", "compl", "const", "const_cast",
	"constexpr", "continue", "decltype", "default", "delete", "do", "double", "dynamic_cast",
	"enum", "explicit", "export", "extern", "float", "for", "friend", "goto", "inline", "int",
	"int64_t", "long", "mutable", "namespace", "new", "noexcept", "not_eq", "nullptr",
	"operator", "or_eq", "private", "protected", "public", "register", "reinterpret_cast",
	"return", "short", "signed", "sizeof", "static", "static_assert", "static_cast", "struct",
	"switch", "template", "this", "thread_local", "throw", "try", "typedef", "typeid",
	"typename", "uint32_t", "union", "unsigned", "using", "virtual", "void", "volatile",
	"wchar_t", "while", "xor_eq", "linux", "unix",
	/* CUDA */
	"threadIdx", "blockIdx", "blockDim", "gridDim", "warpSize", "fmaf", "fminf", "fmaxf",
	"fabsf", "floorf", "sqrtf", "INFINITY", "NAN",
	/* trikl_cuda.h */
	"trikl", "bf16", "f16", "floor_div", "floor_mod", "wrap_add", "wrap_sub", "wrap_mul", "ex2",
	"lg2", "rcp", "divide", "square_root", "to_tf32", "pack_bf16", "pack_f16", "pair",
	"get_bf16", "get_f16", "unpack_bf16", "unpack_f16", "fma_bf16x2", "mul_bf16x2",
	"add_bf16x2", "sub_bf16x2", "neg_bf16x2", "fma_f16x2", "mul_f16x2", "add_f16x2",
	"sub_f16x2", "neg_f16x2", "quad_max", "quad_sum", "warp_any", "shared_buffer", "ldmatrix",
	"ldmatrix_trans", "copy_async", "store_rows", "copy_commit", "copy_wait", "mma_bf16",
	"mma_f16", "mma_tf32",
	/* trikl_hopper.h */
	"CUtensorMap", "panel_buffer", "stmatrix", "lane_number", "warp_number", "mbarriers",
	"counters", "barrier_sync", "barrier_arrive", "fence_async", "tma_load", "tie",
	/* the emitter */
	"WARPS", "THREADS", "shared", "tid", "lane", "warp", "warpgroup", "row", "col"};

static bool is_taken(const char *name)
{
	size_t n = sizeof taken / sizeof *taken;

	for (size_t i = 0; i < n; i++)
		if (strcmp(taken[i], name) == 0)
			return true;
	/* names of the implementation: __x, _X */
	return name[0] == '_' || strstr(name, "__") || strncmp(name, "wgmma_", 6) == 0;
}

static bool in(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (names[i] && strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool in_program(const cuda_cx *cx, const char *name)
{
	const tile_program *p = cx->p;

	return strcmp(p->name, name) == 0 || in(cx->arg, p->arg.count, name) ||
	       in(cx->buffer, p->buffer.count, name) || in(cx->bar, p->bar.count, name) ||
	       in(cx->frag, p->frag.count, name) || in(cx->var, p->var.count, name);
}

/* The tile program's names are unique; so are these. */
static const char *claim(cuda_cx *cx, const char *name)
{
	const char *s = name;

	if (name[0] == '_' || strstr(name, "__")) {
		char *c = arena_printf(cx->a, "x%s", name);

		for (char *at; (at = strstr(c, "__"));)
			memmove(at, at + 1, strlen(at));
		s = c;
	}
	if (strncmp(s, "wgmma_", 6) == 0)
		s = arena_printf(cx->a, "x%s", s);
	while (is_taken(s) || in_program(cx, s))
		s = arena_printf(cx->a, "%s%s", s, s[strlen(s) - 1] == '_' ? "2" : "_");
	return s;
}

static const char *counter(cuda_cx *cx, const char *name)
{
	static const char *const more[] = {"", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		const char *s = arena_printf(cx->a, "%s%s", name, more[i]);

		if (!is_taken(s) && !in_program(cx, s))
			return s;
	}
	return claim(cx, name);
}

void cuda_names_find(cuda_cx *cx)
{
	const tile_program *p = cx->p;

	cx->arg = ARENA_ARRAY(cx->a, const char *, p->arg.count + 1);
	cx->buffer = ARENA_ARRAY(cx->a, const char *, p->buffer.count + 1);
	cx->bar = ARENA_ARRAY(cx->a, const char *, p->bar.count + 1);
	cx->frag = ARENA_ARRAY(cx->a, const char *, p->frag.count + 1);
	cx->var = ARENA_ARRAY(cx->a, const char *, p->var.count + 1);
	for (int i = 0; i < p->arg.count; i++)
		cx->arg[i] = claim(cx, p->arg.item[i]->name);
	for (int i = 0; i < p->buffer.count; i++)
		cx->buffer[i] = claim(cx, p->buffer.item[i]->name);
	for (int i = 0; i < p->bar.count; i++)
		cx->bar[i] = claim(cx, p->bar.item[i]->name);
	for (int i = 0; i < p->frag.count; i++)
		cx->frag[i] = claim(cx, p->frag.item[i]->name);
	for (int i = 0; i < p->var.count; i++)
		cx->var[i] = claim(cx, p->var.item[i]->name);
	cx->r = counter(cx, "r");
	cx->n = counter(cx, "n");
	cx->i = counter(cx, "i");
	cx->e = counter(cx, "e");
	cx->k = counter(cx, "k");
	cx->item = counter(cx, "item");
}

const char *cuda_local_name(cuda_cx *cx, const char *base)
{
	const char *name = base;

	for (int n = 2;
		is_taken(name) || in_program(cx, name) || in(cx->local_name, cx->locals, name) ||
		name == cx->item || strcmp(name, cx->item) == 0;
		n++)
		name = arena_printf(cx->a, "%s%d", base, n);
	if (cx->locals == cx->local_cap)
		cx->local_name = arena_grow(
			cx->a, cx->local_name, sizeof *cx->local_name, cx->locals, &cx->local_cap);
	cx->local_name[cx->locals++] = name;
	return name;
}
