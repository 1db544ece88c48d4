/* memory.c: the layer in memory. A hash table of nodes, those that are ready also in order of use;
 * the longest unused ones go when the table holds too many bytes. A node without blob is a promise
 * of the thread that makes it. */
#include "runtime/cache/internal.h"
#include <stdlib.h>
#include <string.h>

/* Keys are digests: any byte of them is a good hash. */
static memory_node **bucket_of(memory_table *m, const entry_id *id)
{
	return &m->bucket[id->key.byte[0]];
}

static bool id_equal(const entry_id *a, const entry_id *b)
{
	return memcmp(&a->key, &b->key, sizeof a->key) == 0 && strcmp(a->kind, b->kind) == 0;
}

memory_node *memory_find(memory_table *m, const entry_id *id)
{
	for (memory_node *n = *bucket_of(m, id); n; n = n->chain)
		if (id_equal(&n->id, id))
			return n;
	return NULL;
}

memory_node *memory_add(memory_table *m, const entry_id *id)
{
	memory_node *n = calloc(1, sizeof *n), **at = bucket_of(m, id);
	if (!n)
		return NULL;
	n->id = *id;
	n->chain = *at;
	*at = n;
	return n;
}

static void order_put(memory_table *m, memory_node *n)
{
	n->older = m->newest;
	n->newer = NULL;
	if (m->newest)
		m->newest->newer = n;
	else
		m->oldest = n;
	m->newest = n;
}

static void order_take(memory_table *m, memory_node *n)
{
	if (n->newer)
		n->newer->older = n->older;
	else
		m->newest = n->older;
	if (n->older)
		n->older->newer = n->newer;
	else
		m->oldest = n->newer;
}

void memory_touch(memory_table *m, memory_node *n)
{
	order_take(m, n);
	order_put(m, n);
}

void memory_fill(memory_table *m, memory_node *n, rt_blob *blob)
{
	n->blob = rt_blob_retain(blob);
	order_put(m, n);
	m->bytes += (int64_t)rt_blob_size(blob);
	while (m->bytes > m->limit && m->oldest != n)
		memory_remove(m, m->oldest);
}

void memory_remove(memory_table *m, memory_node *n)
{
	memory_node **at = bucket_of(m, &n->id);

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	if (n->blob) {
		order_take(m, n);
		m->bytes -= (int64_t)rt_blob_size(n->blob);
		rt_blob_release(n->blob);
	}
	free(n);
}

void memory_clear(memory_table *m)
{
	while (m->oldest)
		memory_remove(m, m->oldest);
}
