/* diag.h: source text, locations and diagnostics.
 *
 * A `loc` is a half-open byte range in the one source of a compilation. Diagnostics are collected
 * (never printed by a stage) and shown at the end as clang shows them, or as JSON. A stage reports
 * and goes on with a poison value; the driver stops between stages when diag_error_count() is not
 * zero. ice() is for our own bugs only. */
#pragma once
#include "support/arena.h"
#include "support/text.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
	uint32_t begin, end; /* bytes [begin, end); begin == end marks a point */
} loc;

typedef struct {
	const char *name; /* as shown: the file's path as the user gave it, or "<string>" */
	const char *text; /* `len` bytes, not necessarily zero-terminated or UTF-8 */
	size_t len;
	uint32_t *line_start; /* offset of each line's first byte */
	int line_count;
} source;

typedef enum { DIAG_NOTE, DIAG_WARNING, DIAG_ERROR } diag_severity;

/* One message. Notes belong to the error or warning before them. */
typedef struct {
	diag_severity severity;
	loc at;
	const char *message; /* one sentence, lower case, no full stop */
	const char *hint;    /* NULL, or what to write instead: "did you mean 'k1'?" */
	const char *name;    /* NULL, or a warning's name as in -Wname */
} diag;

typedef struct {
	arena *arena;
	const source *src;
	struct {
		diag *item;
		int count, cap;
	} list;
	int errors, warnings; /* all of them, kept in the list or not */
	int error_limit;      /* further errors are counted, not stored; 0 means 20 */
	bool warnings_are_errors;
	unsigned muted, promoted; /* bits of diag_warning_find: not reported; errors */
	bool dropped; /* the newest message is past its limit: its notes and hints are dropped too
		       */
	int notes;    /* of the newest message */
} diags;

typedef enum { DIAG_TEXT, DIAG_TEXT_COLOR, DIAG_JSON } diag_format;

/* source.c */

/* In bytes: ast_parse refuses a longer source, and its lines are not indexed. */
#define SOURCE_MAX ((size_t)1 << 20)

/* Wraps `len` bytes (borrowed, must outlive the source) and indexes its lines. */
source *source_create(arena *a, const char *name, const char *bytes, size_t len);
/* 1-based line and column (in bytes) of an offset; offsets past the end give the end. */
void source_position(const source *s, uint32_t offset, int *line, int *column);

/* diag.c */

/* An empty collection whose messages live in `a`. */
diags *diags_create(arena *a, const source *src);
void diag_error(diags *d, loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(diags *d, loc at, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The number of a warning's name, below 32; -1: there is no such warning. */
int diag_warning_find(const char *name);
/* All names, and how many. */
const char *const *diag_warning_names(int *count);
void diag_note(diags *d, loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Attaches a hint to the newest message. */
void diag_hint(diags *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int diag_error_count(const diags *d);
/* Whether further errors are only counted. */
bool diag_full(const diags *d);
/* The nearest of `n` names by edit distance, NULL when none is near. */
const char *diag_nearest(const char *word, const char *const *names, int n);
/* From the first loc's begin to the second's end. */
loc loc_join(loc a, loc b);

/* diag_print.c */

/* Appends every message to `out` in the given format (JSON: one array of objects). */
void diags_print(const diags *d, diag_format format, text *out);

/* ice.c */

/* Why a stage cannot go on. */
typedef enum { ICE_BUG, ICE_MEMORY } ice_cause;

/* Our bug, or no memory. Calls the handler that the current thread has installed (the library
 * longjmps out of it and returns a status); without one prints the message and aborts. */
typedef void (*ice_handler)(void *user, ice_cause cause, const char *message);
void ice_set_handler(ice_handler h, void *user); /* thread-local; NULL removes */
_Noreturn void ice_at(const char *file, int line, ice_cause cause, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#define ice(...) ice_at(__FILE__, __LINE__, ICE_BUG, __VA_ARGS__)
#define ice_memory(...) ice_at(__FILE__, __LINE__, ICE_MEMORY, __VA_ARGS__)
