/* names.c: the symbols of one spec. One flat name space for consts, params, lengths, indices,
 * tensors and definitions; feature indices that a reduction or definition binds live in the
 * resolver's scope instead. */
#include "sema/check.h"
#include <string.h>

const char *const names_functions[] = {"exp", "log", "tanh", "sqrt", "abs", "sin", "cos", "pow",
	"floor", "where", "float", "cross", "det", NULL};
const char *const names_reductions[] = {"sum", "max", "min", "prod", "softmax", "logsumexp", NULL};

static bool listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static uint32_t hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

void names_init(checker *cx, int expected)
{
	cx->buckets = 64;
	while (cx->buckets < (uint32_t)expected)
		cx->buckets *= 2;
	cx->bucket = ARENA_ARRAY(cx->a, symbol *, cx->buckets);
}

symbol *names_find(const checker *cx, const char *name)
{
	symbol *sym = cx->bucket[hash(name) & (cx->buckets - 1)];

	while (sym && strcmp(sym->name, name) != 0)
		sym = sym->chain;
	return sym;
}

bool names_dtype(const char *name, sema_dtype *dtype)
{
	for (sema_dtype t = DTYPE_BF16; t <= DTYPE_F64; t++)
		if (strcmp(sema_dtype_name(t), name) == 0) {
			*dtype = t;
			return true;
		}
	return false;
}

bool names_reserved(const char *name, const char **what)
{
	sema_dtype t;

	*what = listed(names_functions, name)    ? "a function"
		: listed(names_reductions, name) ? "a reduction"
		: names_dtype(name, &t)          ? "a data type"
						 : NULL;
	return *what != NULL;
}

const char *names_noun(const symbol *sym)
{
	switch (sym->kind) {
	case SYM_CONST:
		return "a const";
	case SYM_PARAM:
		return "a param";
	case SYM_LENGTH:
		return "a length";
	case SYM_INDEX:
		return "an index";
	case SYM_TENSOR:
		return sym->tensor && sym->tensor->output ? "an output" : "an input";
	case SYM_DEF:
	case SYM_VECTOR:
		return "a definition";
	}
	ice("symbol kind %d", (int)sym->kind);
}

symbol *names_insert(checker *cx, symbol_kind kind, ast_name name)
{
	symbol *sym = ARENA_NEW(cx->a, symbol);
	uint32_t slot = hash(name.text) & (cx->buckets - 1);

	sym->name = name.text;
	sym->at = name.at;
	sym->kind = kind;
	sym->chain = cx->bucket[slot];
	cx->bucket[slot] = sym;
	ARENA_PUSH(cx->a, &cx->symbols, sym);
	return sym;
}

symbol *names_add(checker *cx, symbol_kind kind, ast_name name)
{
	symbol *sym, *old = names_find(cx, name.text);
	const char *what;

	if (old) {
		diag_error(cx->d, name.at, "'%s' is already %s", name.text, names_noun(old));
		diag_note(cx->d, old->at, "first declared here");
		old->used = true;
		sym = ARENA_NEW(cx->a, symbol);
		*sym = (symbol){.name = name.text, .at = name.at, .kind = kind, .used = true};
		return sym;
	}
	sym = names_insert(cx, kind, name);
	if (names_reserved(name.text, &what)) {
		diag_error(cx->d, name.at, "'%s' is %s and cannot name anything else", name.text,
			what);
		sym->used = true;
	}
	return sym;
}

void names_hint(checker *cx, const char *word, unsigned kinds, const char *const *extra)
{
	struct {
		const char **item;
		int count, cap;
	} names = {0};
	const char *best;

	if (cx->d->errors > 20)
		return;
	for (const binder *b = cx->scope; b && (kinds & NAMES_BOUND); b = b->outer)
		ARENA_PUSH(cx->a, &names, b->name);
	for (int k = 0; k < cx->symbols.count; k++)
		if (kinds >> cx->symbols.item[k]->kind & 1)
			ARENA_PUSH(cx->a, &names, cx->symbols.item[k]->name);
	for (; extra && *extra; extra++)
		ARENA_PUSH(cx->a, &names, *extra);
	best = diag_nearest(word, names.item, names.count);
	if (best)
		diag_hint(cx->d, "did you mean '%s'?", best);
}
