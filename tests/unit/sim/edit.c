/* edit.c: statements of a program, and the program without one of them. */
#include "edit.h"
#include <string.h>

static void collect(arena *a, tile_block *b, edit_places *out)
{
	for (int i = 0; i < b->count; i++) {
		edit_place x = {b, i};

		ARENA_PUSH(a, out, x);
		collect(a, &b->item[i]->body, out);
		collect(a, &b->item[i]->other, out);
	}
}

edit_places edit_statements(arena *a, tile_program *p)
{
	edit_places all = {0};

	collect(a, &p->body, &all);
	return all;
}

tile_stmt *edit_at(const edit_places *at, int i)
{
	return at->item[i].block->item[at->item[i].index];
}

tile_stmt *edit_remove(const edit_places *at, int i)
{
	tile_block *b = at->item[i].block;
	int n = at->item[i].index;
	tile_stmt *s = b->item[n];

	memmove(&b->item[n], &b->item[n + 1], (size_t)(b->count - n - 1) * sizeof *b->item);
	b->count--;
	return s;
}

void edit_restore(const edit_places *at, int i, tile_stmt *s)
{
	tile_block *b = at->item[i].block;
	int n = at->item[i].index;

	memmove(&b->item[n + 1], &b->item[n], (size_t)(b->count - n) * sizeof *b->item);
	b->item[n] = s;
	b->count++;
}

bool edit_orders(tile_opcode op)
{
	switch (op) {
	case TILE_COMMIT:
	case TILE_WAIT:
	case TILE_BARRIER:
	case TILE_BINIT:
	case TILE_BEXPECT:
	case TILE_BARRIVE:
	case TILE_BWAIT:
	case TILE_FENCEA:
	case TILE_WFENCE:
	case TILE_WCOMMIT:
	case TILE_WWAIT:
	case TILE_NSYNC:
	case TILE_NARRIVE:
	case TILE_TMALOAD:
	case TILE_STSM:
		return true;
	default:
		return tile_is_wgmma(op);
	}
}

char *edit_line(arena *a, const tile_program *p, const tile_stmt *s)
{
	tile_program one = *p;
	tile_stmt alone = *s, *item = &alone;
	text all = {0}, line = {0};
	char *out;

	alone.body = alone.other = (tile_block){0};
	one.arg.count = one.buffer.count = one.bar.count = one.frag.count = 0;
	one.body = (tile_block){&item, 1, 1};
	tile_print(&one, &all);
	for (char *word = strtok(strchr(all.data, '\n'), " \n"), *next; word; word = next) {
		next = strtok(NULL, " \n");
		if (next)
			text_printf(&line, "%s%s", line.len ? " " : "", word);
	}
	out = arena_strdup(a, line.data ? line.data : "");
	text_free(&all);
	text_free(&line);
	return out;
}
