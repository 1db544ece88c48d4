/* parse.h: the state of the text form's parser, shared by parse.c (lines and statements),
 * parse_declare.c and parse_value.c. */
#pragma once
#include "tile/tile_internal.h"

enum { PARSE_NEST = 200, PARSE_DEPTH = 4000 };

typedef struct {
	tile_program *p;
	arena *a;
	const source *src;
	diags *d;
	tile_token tok;
	loc last; /* of the token before */
	tile_walk walk;
	const char *pending; /* the name that this line defines, until it does */
	int nest;            /* parentheses and calls that are open */
	int *depth;          /* [expr id]: height of the value; grows */
	uint32_t depth_size;
	tile_expr **shared; /* $1 ... of the next statement */
	int shared_count, shared_cap;
} parser;

/* All of these report and return false or NULL where the text is wrong. */

void parse_next(parser *c);
bool parse_is(const parser *c, const char *s);
bool parse_accept(parser *c, const char *s);
bool parse_expect(parser *c, const char *s);
/* "expected WHAT" at the current token. */
bool parse_wanted(parser *c, const char *what);
/* The current word's meaning. Unknown words are reported, ones from a wrong line are not. */
const tile_name *parse_name(parser *c, tile_name_kind kind, const char *what);
bool parse_integer(parser *c, int64_t low, int64_t high, int64_t *v);
bool parse_type(parser *c, tile_type *t);
/* Rows, columns, slots. */
bool parse_extent(parser *c, int *v);
/* A word that names nothing yet; it is pending until what it names exists. */
const char *parse_fresh_name(parser *c, loc *at);
/* The end of a line and its comment; the comment's text or NULL. */
bool parse_end_line(parser *c, loc *comment);
const char *parse_comment(const parser *c, loc at);
/* Reports `why` unless ok, and frees it. */
void parse_report(parser *c, bool ok, text *why, loc at);

/* --- parse_declare.c --- */

/* One declaration, if the line begins as one; *is tells. */
bool parse_declaration(parser *c, bool *is);

/* --- parse_value.c --- */

tile_expr *parse_value(parser *c);
