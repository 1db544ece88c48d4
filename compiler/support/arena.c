/* arena.c: chunks of memory handed out front to back, freed together.
 * In:  sizes. Out: zeroed, maximally aligned blocks. Under the address sanitizer the unused part of
 * a chunk and a gap after each block stay poisoned, so that an overrun inside the arena is reported
 * like one of the heap. */
#include "support/arena.h"
#include "support/diag.h"
#include "support/text.h"
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#endif
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#define ARENA_GAP alignof(max_align_t)
#define arena_poison(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define arena_unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define ARENA_GAP 0
#define arena_poison(p, n) ((void)(p), (void)(n))
#define arena_unpoison(p, n) ((void)(p), (void)(n))
#endif

enum { CHUNK_FIRST = 16 << 10, CHUNK_MAX = 1 << 20 };

typedef struct chunk {
	struct chunk *next;
	size_t size, used; /* bytes of `data` */
	alignas(max_align_t) unsigned char data[];
} chunk;

struct arena {
	chunk *head; /* the chunk that is being filled; full ones follow */
	size_t total;
	size_t next_size;
	chunk *lent; /* in the caller's memory, as the arena itself then is; NULL: neither */
};

static chunk *chunk_create(size_t size)
{
	chunk *c = size <= SIZE_MAX - sizeof(chunk) ? calloc(1, sizeof(chunk) + size) : NULL;

	if (c) {
		c->size = size;
		arena_poison(c->data, size);
	}
	return c;
}

arena *arena_create(void)
{
	arena *a = calloc(1, sizeof *a);

	if (a)
		a->next_size = CHUNK_FIRST;
	return a;
}

arena *arena_create_in(void *buffer, size_t size)
{
	size_t align = alignof(max_align_t);
	size_t head = (sizeof(arena) + align - 1) / align * align;
	arena *a = buffer;

	if (size < head + sizeof(chunk))
		return arena_create();
	memset(buffer, 0, size);
	a->next_size = CHUNK_FIRST;
	a->lent = a->head = (chunk *)((char *)buffer + head);
	a->head->size = (size - head - sizeof(chunk)) / align * align;
	arena_poison(a->head->data, a->head->size);
	return a;
}

void arena_destroy(arena *a)
{
	bool lent = a && a->lent;
	chunk *c, *next;

	if (!a)
		return;
	for (c = a->head; c; c = next) {
		next = c->next;
		arena_unpoison(c->data, c->size);
		if (c != a->lent)
			free(c);
	}
	if (!lent)
		free(a);
}

/* Makes room for `need` bytes. A block that would waste most of a chunk gets one of its own, behind
 * the head. */
static chunk *arena_extend(arena *a, size_t need)
{
	bool own = need > a->next_size / 4;
	chunk *c = chunk_create(own ? need : a->next_size);

	if (!c)
		ice_memory("out of memory: %zu bytes wanted, %zu in use", need, a->total);
	if (own && a->head) {
		c->next = a->head->next;
		a->head->next = c;
	} else {
		c->next = a->head;
		a->head = c;
	}
	if (!own && a->next_size < CHUNK_MAX)
		a->next_size *= 2;
	return c;
}

void *arena_alloc(arena *a, size_t size)
{
	size_t align = alignof(max_align_t), need;
	chunk *c = a->head;
	void *p;

	if (size > SIZE_MAX / 2)
		ice("allocation of %zu bytes", size);
	need = ((size ? size : 1) + align - 1) / align * align + ARENA_GAP;
	if (!c || c->size - c->used < need)
		c = arena_extend(a, need);
	p = c->data + c->used;
	c->used += need;
	a->total += need;
	arena_unpoison(p, size);
	return p;
}

char *arena_strndup(arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	if (len)
		memcpy(p, s, len);
	return p;
}

char *arena_strdup(arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(arena *a, const char *fmt, va_list ap)
{
	text t = {0};
	char *p;

	text_vprintf(&t, fmt, ap);
	p = arena_strndup(a, t.data, t.len);
	text_free(&t);
	return p;
}

char *arena_printf(arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return p;
}

size_t arena_used(const arena *a)
{
	return a->total;
}

void *arena_grow(arena *a, void *items, size_t elem, int count, int *cap)
{
	void *p;

	if (count < *cap)
		return items;
	if (count > INT32_MAX / 2)
		ice("array of %d elements", count);
	*cap = count < 4 ? 8 : count * 2;
	p = arena_alloc(a, elem * (size_t)*cap);
	if (count)
		memcpy(p, items, elem * (size_t)count);
	return p;
}
