/* syntax.h: what lexer.l, parser.y and the files between them share; nobody else includes it.
 *
 *   lexer.l     bytes -> token kinds
 *   tokens.c    the whole source -> array of tokens, names classified by what stands around them
 *   feed.c      array -> parser, one token a call; repairs, and where to go on after an error
 *   parser.y    tokens -> ast builder calls
 *   problem.c   messages about single tokens: foreign operators, bad numbers, bad bytes
 *   report.c    messages about syntax: what was expected instead
 *   parse.c     ast_parse
 *
 * The language has no statement separator, so the parser must see where a definition begins: a name
 * that is followed by "=", or by "[names] =", is a DEFINED token, any other is a NAME. That needs
 * more than one token ahead, which is why the tokens are collected before the parser runs; it also
 * makes recovery a search in an array. */
#pragma once
#include "ast/ast_build.h"

#define SYNTAX_NAME_MAX 128 /* bytes of a name */
#define SYNTAX_NUMBER_MAX                                                                          \
	64 /* characters of a number                                             */
#define SYNTAX_STACK_MAX                                                                           \
	4000 /* entries of the parser's stack; input that needs more is an error   */

/* Kinds that the scanner makes and the parser never sees. */
enum {
	SCAN_COMMENT = 1000, /* kept in ast_file.comments, not a token     */
	SCAN_FOREIGN,        /* a character or operator of other languages */
	SCAN_BAD_NUMBER,     /* 12ab, 0x10, 1.2.3                          */
};

/* The scanner's place in the source. */
typedef struct {
	arena *arena;
	uint32_t begin, end; /* of the newest token                     */
	bool line_begins;    /* no token yet on this line               */
} scan_state;

typedef struct {
	loc at;
	uint8_t kind;  /* TOK_... as the parser gets it                  */
	bool first;    /* first token on its line                        */
	bool misspelt; /* a name that was taken for the keyword near it */
} token;

typedef enum {
	PROBLEM_FOREIGN,
	PROBLEM_NUMBER,
	PROBLEM_LONG_NUMBER,
	PROBLEM_INTEGER_RANGE,
	PROBLEM_FLOAT_RANGE,
	PROBLEM_LONG_NAME,
	PROBLEM_COMMENT,
} problem_what;

/* Something wrong with a token or comment by itself; reported when the parser passes it. */
typedef struct {
	loc at;
	problem_what what;
} problem;

/* What an open bracket belongs to. */
typedef enum {
	OPEN_BODY,
	OPEN_SETTINGS,
	OPEN_INPUTS,
	OPEN_OUTPUTS,
	OPEN_DIMENSIONS,
	OPEN_SUBSCRIPT,
	OPEN_ARGUMENTS,
	OPEN_WINDOW,
	OPEN_GROUPING,
} open_what;

typedef struct {
	loc at;
	open_what what;
	bool reduction; /* the indices of sum, softmax, max, ... */
} open_bracket;

/* What recovery looks for. */
typedef enum { SYNC_FILE, SYNC_HEADER, SYNC_TENSOR, SYNC_STATEMENT } sync_level;

/* One parse. */
typedef struct {
	ast_builder build;
	const source *src;
	diags *d;
	struct {
		token *item;
		int count, cap;
	} tokens; /* ends with TOK_END */
	struct {
		problem *item;
		int count, cap;
	} problems; /* in the order of the source */
	struct {
		open_bracket *item;
		int count, cap;
	} open;           /* brackets open before `current` */
	open_what closed; /* the bracket closed last */
	bool closed_reduction;
	bool in_schedule; /* the last block keyword fed was "schedule" */
	int told;         /* problems reported so far */
	int next;         /* the token to feed next */
	int current;      /* the token fed last; -1: none since the last recovery */
	int fed;          /* kind fed last, TOK_END: none since the last recovery */
	int fed_before;   /* and the one before it */
	bool inserted;    /* what was fed last is in nobody's text */
	int queue[2];     /* kinds to insert before `next`; TOK_END: none */
	int synced;       /* where recovery went on last */
	sync_level synced_level;
	int resume;   /* recovery goes on no earlier than here */
	int quiet;    /* an error at this token is a consequence of one that was reported */
	int unclosed; /* the token before which a missing "}" was reported */
} syntax;

/* --- tokens.c --- */

/* Fills cx->tokens, cx->problems and the file's comments from the whole source. */
void tokens_scan(syntax *cx);
/* What the generated scanner calls when it cannot go on. */
_Noreturn void tokens_scanner_failed(const char *message);
/* Whether the token's text is `word`. */
bool token_is(const syntax *cx, const token *t, const char *word);
/* The keyword of the given context nearest to a name; TOK_END when none is near. */
int token_keyword_near(const syntax *cx, const token *t, bool in_body, bool in_schedule);

/* --- feed.c --- */

/* Moves on to the next place of the given level after an error that was reported. */
void syntax_sync(syntax *cx, sync_level level);
/* The innermost bracket that is open before the current token, NULL when none is. */
const open_bracket *syntax_open(const syntax *cx);

/* --- problem.c --- */

/* The token that a foreign operator stands for, TOK_UNKNOWN when none. */
int foreign_kind(const char *s, size_t len);
/* Gives the message of one problem. */
void problem_report(const syntax *cx, const problem *p);

/* --- report.c --- */

/* The parser cannot go on at the current token; bit k of `expected` is set when token kind k could
 * come. */
void syntax_report(syntax *cx, uint64_t expected);
/* The parser's stack is full. */
void syntax_report_depth(syntax *cx);
/* "expected WHAT" before the token to feed next. */
void syntax_report_missing(syntax *cx, const char *what);
/* "missing '}'" before the token to feed next. */
void syntax_report_unclosed(syntax *cx);
/* A name that was taken for a keyword. */
void syntax_report_misspelt(syntax *cx, const token *t);

/* --- parser.y --- */

/* The token kind as written in the grammar: ->, name. */
const char *syntax_kind_text(int kind);
