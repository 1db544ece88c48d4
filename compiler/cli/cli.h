/* cli.h: the trikl program. Verbs parse options, load specs, prepare tensors and print; the layers
 * below do the work.
 *
 *   main.c        verb table and dispatch            verb_*.c   one file a verb
 *   options.c     one table of options: parsing, --help, did you mean
 *   message.c     errors, warnings, notes, progress on stderr
 *   crash.c       internal errors: reproducer file, exit 70
 *   files.c       whole files in, atomically replaced files out
 *   unit.c        a spec file: read, parsed, checked, reported
 *   target.c      --target
 *
 * problem.h holds what run, bench and explain need beyond that: lengths, tensors, launching,
 * comparing. */
#pragma once
#include "arch/arch.h"
#include "ast/ast.h"
#include "model/model.h"
#include "sema/sema.h"
#include "support/arena.h"
#include "support/diag.h"
#include "support/text.h"
#include <stdint.h>

#ifndef TRIKL_VERSION
#define TRIKL_VERSION "unknown"
#endif

/* Exit codes of the program; also what every function below that can fail returns. */
typedef enum {
	CLI_OK = 0,
	CLI_INPUT = 1,       /* the spec or a tensor is wrong           */
	CLI_CHECK = 2,       /* a check failed                          */
	CLI_USAGE = 3,       /* the command line is wrong               */
	CLI_ENVIRONMENT = 4, /* no device, no file, no memory           */
	CLI_INTERNAL = 70,   /* our bug                                 */
} cli_status;

typedef struct {
	const char **item;
	int count, cap;
} strings;

/* Everything the option table can set; fields that a verb does not take stay at their defaults. */
typedef struct {
	arena *arena;
	const char *verb;
	strings operand; /* spec files, in order */
	strings define, dims, input, output, emit, target, warn;
	const char *device, *spec, *inner, *svg, *out, *color, *format, *code;
	bool json, check, write, time_report, verbose, help, no_tune;
	int64_t seed, threads, reps, candidates;
	double limit, min_time;
	bool warnings_are_errors;
	unsigned muted, promoted; /* warnings, as in diags */
	diag_format diagnostics; /* from --diagnostics-format, --color, NO_COLOR and the terminal */
} options;

typedef struct {
	const char *name, *operands, *summary;
	unsigned bit; /* of option_row.verbs */
	cli_status (*run)(const options *o);
	int operands_min, operands_max; /* -1: any number */
} verb;

/* --- options.c --- */

enum {
	VERB_CHECK = 1 << 0,
	VERB_FMT = 1 << 1,
	VERB_RUN = 1 << 2,
	VERB_BENCH = 1 << 3,
	VERB_EXPLAIN = 1 << 4,
	VERB_BUILD = 1 << 5,
	VERB_TARGETS = 1 << 6,
	VERB_DOCTOR = 1 << 7,
	VERB_CACHE = 1 << 8,
	VERB_REGENERATE = 1 << 9,
	VERB_TUNE = 1 << 10,
	VERB_ALL = (1 << 11) - 1,
};

/* Parses argv (argv[0] is the verb) for `v`. Reports what is wrong and returns CLI_USAGE. */
cli_status options_parse(const verb *v, int argc, char **argv, options *o);
/* The text of `trikl VERB --help`. */
void options_help(const verb *v, text *out);
/* Splits NAME=VALUE; false when there is no '=' or a side is empty. */
bool options_split(arena *a, const char *pair, const char **name, const char **value);
/* A whole decimal integer; false when `s` is anything else or out of range. */
bool options_integer(const char *s, int64_t *value);
/* Pushes the comma-separated parts of `s`. */
void options_list(arena *a, strings *list, const char *s);

/* --- message.c --- */

/* One line on stderr: "trikl: error: ...". */
void message_error(const options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void message_warning(const options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void message_note(const options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line that is rewritten in place while something long runs; silent unless stderr is a terminal
 * and a second has passed. */
typedef struct {
	const char *what;
	double start, shown;
	bool terminal, visible;
} progress;

progress progress_start(const char *what);
/* Matches the progress callbacks of the layers; `user` is the progress. */
void progress_update(void *user, double done);
void progress_end(progress *p);
/* Seconds on a clock that only goes forward. */
double clock_now(void);

/* --- crash.c --- */

/* From here on an internal error or a fatal signal writes a reproducer and exits 70. */
void crash_install(int argc, char **argv);
/* The text that the reproducer will hold; NULL when none is being compiled. */
void crash_set_source(const source *s);

/* --- files.c --- */

/* The whole of a file, or of stdin for "-", in `a`. */
cli_status file_read(const options *o, arena *a, const char *path, const char **data, size_t *len);
/* Replaces `path` in one step: temporary file in the same directory, fsync, rename. Keeps an
 * existing file's mode. */
cli_status file_write(const options *o, const char *path, const void *data, size_t len);
/* Makes the directory and its parents; an existing one is fine. */
cli_status file_make_directory(const options *o, const char *path);

/* --- unit.c --- */

/* One spec file of the command line. */
typedef struct {
	const options *o;
	arena *arena;
	source *src;
	diags *diags;
	ast_file *file;
	double read_ms, parse_ms, check_ms;
} unit;

/* Reads and parses. Parse errors are in u->diags, not yet printed. Only an unreadable file fails.
 */
cli_status unit_open(const options *o, const char *path, unit *u);
void unit_close(unit *u);
/* Checks one spec of the unit with those of -D that it declares; NULL when errors were reported to
 * u->diags. */
sema_spec *unit_check(unit *u, const ast_spec *spec);
/* Those of -D that the spec declares, each name once; their number. */
int unit_defines(const unit *u, const ast_spec *spec, sema_define **define);
/* The tree that a checked spec was made of. */
const ast_spec *unit_spec(const unit *u, const sema_spec *s);
/* Whether some spec of the unit declares `name` as const or param. */
bool unit_declares(const unit *u, const char *name);
/* Prints the diagnostics to stderr (text formats only); CLI_INPUT when there are errors. */
cli_status unit_report(const unit *u);
/* The same, and forgets them. */
cli_status unit_flush(unit *u);
/* The common start of run, bench, explain and build: opens the file, picks the spec (--spec, else
 * the only one), checks it, prints diagnostics. On failure nothing is left open. */
cli_status unit_select(const options *o, const char *path, unit *u, sema_spec **spec);
/* Reports a -D that no opened unit declares. `names` are all declared names for the hint. */
cli_status unit_unknown_define(const options *o, const char *name, const strings *names);
/* Pushes the names of all consts and params. */
void unit_declared(const unit *u, strings *names);

/* --- verb_*.c --- */

cli_status verb_check(const options *o);
cli_status verb_fmt(const options *o);
cli_status verb_run(const options *o);
cli_status verb_bench(const options *o);
cli_status verb_explain(const options *o);
cli_status verb_build(const options *o);
cli_status verb_targets(const options *o);
cli_status verb_doctor(const options *o);
cli_status verb_cache(const options *o);
cli_status verb_regenerate(const options *o);
cli_status verb_tune(const options *o);

/* --- target.c: what --target means --- */

/* One thing to compile for. */
typedef struct {
	const char *name; /* "cpu", "sm_90a" */
	const arch *arch; /* NULL: the cpu */
	bool native;      /* it is the architecture of GPU 0 */
} cli_target;

/* The targets of --target, "native" resolved by asking the driver; `missing` where it was not
 * given. Reports unknown ones. */
cli_status targets_parse(const options *o, const char *missing, cli_target **list, int *count);
/* Whether LLVM's feature string holds "+name". */
bool target_feature(const char *features, const char *name);
