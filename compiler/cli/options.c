/* options.c: the command line's options, one table for all verbs. Parsing, `--help` and the "did
 * you mean" of an unknown option all read the same rows, so they cannot disagree. */
#include "cli/cli.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { OPT_FLAG, OPT_STRING, OPT_PAIRS, OPT_LIST, OPT_COUNT, OPT_REAL } option_kind;

/* One option. `verbs` says which verbs take it; the value goes to the field at `offset`. */
typedef struct {
	const char *name; /* long name, NULL when only the letter exists */
	char letter;      /* 0 when only the long name exists */
	option_kind kind;
	const char *usage; /* as --help shows it */
	const char *help;
	unsigned verbs;
	size_t offset;
} option_row;

#define AT(field) offsetof(options, field)
#define VERB_SPEC (VERB_RUN | VERB_BENCH | VERB_EXPLAIN | VERB_BUILD | VERB_TUNE)
#define VERB_SIZED (VERB_RUN | VERB_BENCH | VERB_EXPLAIN | VERB_TUNE)
#define VERB_TIMED (VERB_RUN | VERB_BENCH)
#define VERB_PLANNED (VERB_RUN | VERB_BENCH | VERB_EXPLAIN | VERB_BUILD)

/* clang-format off */
static const option_row rows[] = {
	{"device", 0, OPT_STRING, "--device DEVICE", "auto (default), cpu, reference, sim, cuda:N",
		VERB_TIMED, AT(device)},
	{"device", 0, OPT_STRING, "--device cuda:N", "which GPU (default: the first)",
		VERB_TUNE, AT(device)},
	{"dims", 0, OPT_LIST, "--dims B=1,N=256", "run-time lengths by the spec's own names",
		VERB_SIZED, AT(dims)},
	{"define", 'D', OPT_PAIRS, "-D, --define P=V", "value of a const or param",
		VERB_CHECK | VERB_SPEC, AT(define)},
	{"spec", 0, OPT_STRING, "--spec NAME", "which spec of the file, when it holds several",
		VERB_SPEC, AT(spec)},
	{"inner", 0, OPT_STRING, "--inner AXIS", "key axis that becomes the inner one",
		VERB_SPEC, AT(inner)},
	{"input", 0, OPT_PAIRS, "--input NAME=FILE.npy", "read an input (default: random values)",
		VERB_SIZED, AT(input)},
	{"output", 0, OPT_PAIRS, "--output NAME=FILE.npy", "write an output, or an input as used",
		VERB_RUN, AT(output)},
	{"seed", 0, OPT_COUNT, "--seed S", "seed of the random inputs (default: 0)",
		VERB_SIZED, AT(seed)},
	{"check", 0, OPT_FLAG, "--check", "compare with the float64 reference; exit 2 if it is off",
		VERB_RUN, AT(check)},
	{"check", 0, OPT_FLAG, "--check", "change nothing; exit 2 and name the files that differ",
		VERB_FMT | VERB_REGENERATE, AT(check)},
	{"check", 0, OPT_FLAG, "--check", "time only plans whose result passes the check",
		VERB_TUNE, AT(check)},
	{"write", 'i', OPT_FLAG, "-i, --write", "rewrite the files in place", VERB_FMT, AT(write)},
	{"limit", 0, OPT_REAL, "--limit SECONDS", "longest run of the reference (default: 600)",
		VERB_RUN, AT(limit)},
	{"threads", 0, OPT_COUNT, "--threads T", "worker threads (default: one per core)",
		VERB_SIZED, AT(threads)},
	{"reps", 0, OPT_COUNT, "--reps R", "timed runs (default: as many as --min-time needs)",
		VERB_BENCH | VERB_TUNE, AT(reps)},
	{"min-time", 0, OPT_REAL, "--min-time SECONDS", "time to spend on timed runs (default: 1)",
		VERB_BENCH | VERB_TUNE, AT(min_time)},
	{"candidates", 0, OPT_COUNT, "--candidates N", "how many plans to try (default: 12)",
		VERB_TUNE, AT(candidates)},
	{"no-tune", 0, OPT_FLAG, "--no-tune", "the planner's own sizes, whatever `tune` found",
		VERB_PLANNED, AT(no_tune)},
	{"target", 0, OPT_LIST, "--target T,...", "cpu (default), native, sm_80, ...: trikl targets",
		VERB_EXPLAIN | VERB_BUILD, AT(target)},
	{"target", 0, OPT_LIST, "--target T", "which GPU's code to run (default: the device's own)",
		VERB_TIMED | VERB_TUNE, AT(target)},
	{"targets", 0, OPT_LIST, "--targets T,...", "GPU targets (default: sm_80,sm_90,sm_90a)",
		VERB_REGENERATE, AT(target)},
	{"code", 0, OPT_STRING, "--code FILE", "run this PTX or cubin in place of the generated code",
		VERB_TIMED, AT(code)},
	{"emit", 0, OPT_LIST, "--emit KIND,...",
		"ast model llvm; cpu: object header; GPU: plan tile ptx cubin cuda, bundle embed header",
		VERB_BUILD, AT(emit)},
	{NULL, 'o', OPT_STRING, "-o DIR", "where the files go (default: .); - is standard output",
		VERB_BUILD, AT(out)},
	{NULL, 'o', OPT_STRING, "-o DIR", "where the files are (default: generated)",
		VERB_REGENERATE, AT(out)},
	{"svg", 0, OPT_STRING, "--svg FILE", "draw windows, tiles and masks; - is standard output",
		VERB_EXPLAIN, AT(svg)},
	{"time-report", 0, OPT_FLAG, "--time-report", "print every stage's time on standard error",
		VERB_RUN | VERB_BENCH | VERB_BUILD, AT(time_report)},
	{"json", 0, OPT_FLAG, "--json", "print the results as JSON",
		VERB_TIMED | VERB_TARGETS | VERB_DOCTOR | VERB_CACHE | VERB_TUNE, AT(json)},
	{"diagnostics-format", 0, OPT_STRING, "--diagnostics-format=F", "text or json",
		VERB_CHECK | VERB_FMT | VERB_SPEC | VERB_REGENERATE, AT(format)},
	{NULL, 'W', OPT_LIST, "-Wno-NAME, -Werror[=NAME]", "hide warnings, make them errors",
		VERB_CHECK | VERB_SPEC, AT(warn)},
	{"verbose", 'v', OPT_FLAG, "-v, --verbose", "say what was done",
		VERB_CHECK | VERB_FMT | VERB_BUILD | VERB_TIMED | VERB_REGENERATE | VERB_TUNE,
		AT(verbose)},
	{"color", 0, OPT_STRING, "--color=WHEN", "auto, always or never; NO_COLOR is honoured",
		VERB_ALL, AT(color)},
	{"help", 'h', OPT_FLAG, "-h, --help", "this text", VERB_ALL, AT(help)},
};
/* clang-format on */

#define ROWS ((int)(sizeof rows / sizeof *rows))

bool options_integer(const char *s, int64_t *value)
{
	char *end;
	errno = 0;
	long long v = strtoll(s, &end, 10);
	if (end == s || *end || errno || *s == ' ')
		return false;
	*value = v;
	return true;
}

bool options_split(arena *a, const char *pair, const char **name, const char **value)
{
	const char *eq = strchr(pair, '=');
	if (!eq || eq == pair || !eq[1])
		return false;
	*name = arena_strndup(a, pair, (size_t)(eq - pair));
	*value = arena_strdup(a, eq + 1);
	return true;
}

void options_list(arena *a, strings *list, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, ",");
		if (n)
			ARENA_PUSH(a, list, arena_strndup(a, s, n));
		s += n + (s[n] == ',');
	}
}

/* Stores the value of one option; false after saying what is wrong with it. */
static bool option_store(options *o, const option_row *r, const char *arg)
{
	void *at = (char *)o + r->offset;
	const char *name, *value;
	char *end;

	switch (r->kind) {
	case OPT_FLAG:
		*(bool *)at = true;
		return true;
	case OPT_STRING:
		*(const char **)at = arg;
		return true;
	case OPT_LIST:
		options_list(o->arena, at, arg);
		return true;
	case OPT_PAIRS:
		if (!options_split(o->arena, arg, &name, &value)) {
			message_error(o, "'%s' is not of the form of %s", arg, r->usage);
			return false;
		}
		ARENA_PUSH(o->arena, (strings *)at, arg);
		return true;
	case OPT_COUNT:
		if (options_integer(arg, at) && *(int64_t *)at >= 0)
			return true;
		message_error(o, "--%s: '%s' is not a non-negative integer", r->name, arg);
		return false;
	case OPT_REAL:
		*(double *)at = strtod(arg, &end);
		if (end != arg && !*end && isfinite(*(double *)at) && *(double *)at >= 0)
			return true;
		message_error(o, "--%s: '%s' is not a non-negative number", r->name, arg);
		return false;
	}
	return false;
}

/* getopt_long's option arrays for one verb; val is 256 + the row's number. */
static void tables_build(unsigned bit, char *letters, struct option *longs)
{
	int n = 0;
	*letters++ = ':';
	for (int i = 0; i < ROWS; i++) {
		const option_row *r = &rows[i];
		if (!(r->verbs & bit))
			continue;
		if (r->letter) {
			*letters++ = r->letter;
			if (r->kind != OPT_FLAG)
				*letters++ = ':';
		}
		if (r->name)
			longs[n++] = (struct option){r->name,
				r->kind == OPT_FLAG ? no_argument : required_argument, NULL,
				256 + i};
	}
	*letters = 0;
	longs[n] = (struct option){0};
}

static const option_row *row_find(unsigned bit, int val)
{
	if (val >= 256)
		return &rows[val - 256];
	for (int i = 0; i < ROWS; i++)
		if ((rows[i].verbs & bit) && rows[i].letter && rows[i].letter == val)
			return &rows[i];
	return NULL;
}

/* "unknown option '--dmis' for run; did you mean '--dims'?" */
static void unknown_option(const options *o, const verb *v, const char *word)
{
	const char *names[ROWS];
	int n = 0;
	size_t len = strcspn(word, "=");
	bool is_long = word[0] == '-' && word[1] == '-';

	for (int i = 0; i < ROWS; i++)
		if ((rows[i].verbs & v->bit) && rows[i].name)
			names[n++] = rows[i].name;
	char *bare = arena_strndup(o->arena, word, len);
	const char *near = is_long ? diag_nearest(bare + 2, names, n) : NULL;
	if (near)
		message_error(o, "unknown option '%s' for '%s'; did you mean '--%s'?", bare,
			v->name, near);
	else
		message_error(o, "unknown option '%s' for '%s'; see trikl %s --help", bare, v->name,
			v->name);
}

static void option_problem(const options *o, const verb *v, int code, char **argv)
{
	const char *word = argv[optind - 1];
	const option_row *r = optopt ? row_find(v->bit, optopt) : NULL;

	if (code == ':')
		message_error(o, "option '%s' needs a value: %s", word, r ? r->usage : word);
	else if (r)
		message_error(o, "option '--%s' takes no value", r->name);
	else if (optopt)
		unknown_option(o, v, (const char[]){'-', (char)optopt, 0});
	else
		unknown_option(o, v, word);
}

/* What follows -W: error, error=NAME, no-NAME. */
static bool settle_warning(options *o, const char *word)
{
	bool mute = !strncmp(word, "no-", 3), promote = !strncmp(word, "error=", 6);
	const char *name = mute ? word + 3 : promote ? word + 6 : word, *near;
	int count, number = diag_warning_find(name);
	const char *const *names = diag_warning_names(&count);

	if (!strcmp(word, "error"))
		return o->warnings_are_errors = true;
	if ((mute || promote) && number >= 0) {
		*(mute ? &o->muted : &o->promoted) |= 1u << number;
		return true;
	}
	near = mute || promote ? diag_nearest(name, names, count) : NULL;
	if (near)
		message_error(o, "there is no warning '%s'; did you mean '%s'?", name, near);
	else if (mute || promote)
		message_error(o, "there is no warning '%s'", name);
	else if (number >= 0)
		message_error(o, "unknown option '-W%s'; did you mean '-Wno-%s' or '-Werror=%s'?",
			word, word, word);
	else
		message_error(o, "unknown option '-W%s'; did you mean '-Werror'?", word);
	return false;
}

/* Reads the words that only some values make sense for. */
static cli_status options_settle(options *o)
{
	bool color = isatty(STDERR_FILENO);
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && *no_color) || (term && strcmp(term, "dumb") == 0))
		color = false;
	if (o->color && strcmp(o->color, "always") == 0)
		color = true;
	else if (o->color && strcmp(o->color, "never") == 0)
		color = false;
	else if (o->color && strcmp(o->color, "auto") != 0) {
		message_error(o, "--color: '%s' is not auto, always or never", o->color);
		return CLI_USAGE;
	}
	o->diagnostics = color ? DIAG_TEXT_COLOR : DIAG_TEXT;
	if (o->format && strcmp(o->format, "json") == 0)
		o->diagnostics = DIAG_JSON;
	else if (o->format && strcmp(o->format, "text") != 0) {
		message_error(o, "--diagnostics-format: '%s' is not text or json", o->format);
		return CLI_USAGE;
	}
	for (int i = 0; i < o->warn.count; i++)
		if (!settle_warning(o, o->warn.item[i]))
			return CLI_USAGE;
	if (o->threads > 4096) {
		message_error(o, "--threads: %lld is more than 4096", (long long)o->threads);
		return CLI_USAGE;
	}
	return CLI_OK;
}

cli_status options_parse(const verb *v, int argc, char **argv, options *o)
{
	char letters[2 * ROWS + 2];
	struct option longs[ROWS + 1];
	int code;

	tables_build(v->bit, letters, longs);
	optind = 1;
	opterr = 0;
	while ((code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const option_row *r = code == '?' || code == ':' ? NULL : row_find(v->bit, code);
		if (!r) {
			option_problem(o, v, code, argv);
			return CLI_USAGE;
		}
		if (!option_store(o, r, optarg))
			return CLI_USAGE;
	}
	for (int i = optind; i < argc; i++)
		ARENA_PUSH(o->arena, &o->operand, argv[i]);
	if (o->help)
		return CLI_OK;
	if (o->operand.count < v->operands_min) {
		message_error(o, "%s needs %s; see trikl %s --help", v->name, v->operands, v->name);
		return CLI_USAGE;
	}
	if (v->operands_max >= 0 && o->operand.count > v->operands_max) {
		message_error(o, "%s: unexpected argument '%s'", v->name,
			o->operand.item[v->operands_max]);
		return CLI_USAGE;
	}
	return options_settle(o);
}

void options_help(const verb *v, text *out)
{
	text_printf(out, "usage: trikl %s%s%s [options]\n\n%s\n\noptions:\n", v->name,
		*v->operands ? " " : "", v->operands, v->summary);
	for (int i = 0; i < ROWS; i++)
		if (rows[i].verbs & v->bit)
			text_printf(out, "  %-24s  %s\n", rows[i].usage, rows[i].help);
}
