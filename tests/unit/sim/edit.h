/* edit.h: statements of a program, and the program without one of them. */
#pragma once
#include "tile/tile.h"

/* A statement and the block that holds it. */
typedef struct {
	tile_block *block;
	int index;
} edit_place;

typedef struct {
	edit_place *item;
	int count, cap;
} edit_places;

/* All statements of the program, outer ones first. */
edit_places edit_statements(arena *a, tile_program *p);
tile_stmt *edit_at(const edit_places *at, int i);
/* Takes statement i out, and puts it back. */
tile_stmt *edit_remove(const edit_places *at, int i);
void edit_restore(const edit_places *at, int i, tile_stmt *s);
/* Whether the operation orders memory, registers or threads, or fills shared memory for others. */
bool edit_orders(tile_opcode op);
/* The statement in one line, without its body. */
char *edit_line(arena *a, const tile_program *p, const tile_stmt *s);
