/* arena.h: bump allocation. One arena lives for one compilation and is freed as a whole;
 * nothing allocated from it is freed on its own. Not thread-safe: one arena, one thread. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

typedef struct arena arena;

/* A new, empty arena; NULL when out of memory. */
arena *arena_create(void);
/* The same, with the caller's memory for its first blocks: a few small ones then allocate nothing.
 * `buffer` is aligned for any type, is zeroed here, and belongs to the arena until it is destroyed.
 */
arena *arena_create_in(void *buffer, size_t size);
/* Frees the arena and everything allocated from it; NULL is ignored. */
void arena_destroy(arena *a);
/* `size` zeroed bytes aligned for any type. On exhaustion calls ice(), never returns NULL. */
void *arena_alloc(arena *a, size_t size);
/* A zero-terminated copy of the `len` bytes at `s`. */
char *arena_strndup(arena *a, const char *s, size_t len);
char *arena_strdup(arena *a, const char *s);
/* printf into the arena. */
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(arena *a, const char *fmt, va_list ap);
/* Bytes handed out so far. */
size_t arena_used(const arena *a);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (size_t)(n)))

/* A growable array of pointers (or any T) in an arena: ARENA_PUSH(a, vec, item) where vec is a
 * struct with fields `item`, `count`, `cap`. Growing leaves the old storage to the arena. */
void *arena_grow(arena *a, void *items, size_t elem, int count, int *cap);
#define ARENA_PUSH(a, v, x)                                                                        \
	((v)->item = arena_grow((a), (v)->item, sizeof *(v)->item, (v)->count, &(v)->cap),         \
		(v)->item[(v)->count++] = (x))
