/* main.c: the verbs and their dispatch. Results go to stdout, everything else to stderr. */
#include "cli/cli.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VERBS ((int)(sizeof verbs / sizeof *verbs))

/* clang-format off */
static const verb verbs[] = {
	{"check", "SPEC...", "Parses and type-checks specs; prints nothing when they are fine.",
		VERB_CHECK, verb_check, 1, -1},
	{"fmt", "SPEC...", "Prints specs in canonical form.",
		VERB_FMT, verb_fmt, 1, -1},
	{"run", "SPEC", "Compiles a spec and runs it once on given or random tensors.",
		VERB_RUN, verb_run, 1, 1},
	{"bench", "SPEC...", "Measures specs: time, GFLOP/s, share of the matrix multiply rate.",
		VERB_BENCH, verb_bench, 1, -1},
	{"tune", "SPEC", "Times the planner's best plans on a GPU and remembers the fastest.",
		VERB_TUNE, verb_tune, 1, 1},
	{"explain", "SPEC", "Says what a spec computes, its row form, its cost and its tiling.",
		VERB_EXPLAIN, verb_explain, 1, 1},
	{"build", "SPEC...", "Writes what the stages of the compiler produce.",
		VERB_BUILD, verb_build, 1, -1},
	{"targets", "", "Lists what this build compiles for.",
		VERB_TARGETS, verb_targets, 0, 0},
	{"doctor", "", "Looks for faults of this machine and says what to do about them.",
		VERB_DOCTOR, verb_doctor, 0, 0},
	{"cache", "ACTION", "The disk cache of compiled kernels: stats, list, verify, clear or path.",
		VERB_CACHE, verb_cache, 1, 1},
	{"regenerate", "[SPEC...]", "Rewrites or verifies the generated code of the spec library.",
		VERB_REGENERATE, verb_regenerate, 0, -1},
};
/* clang-format on */

/* Verbs of the fixed command line that this version does not have. */
static const char *const absent[] = {"gradcheck"};

static void print_help(void)
{
	printf("usage: trikl VERB [options] [SPEC...]\n\n"
	       "Compiler and runtime for trilinear attention kernels. A spec named - is standard "
	       "input.\n\n"
	       "verbs:\n");
	for (int i = 0; i < VERBS; i++)
		printf("  %-10s %-9s  %s\n", verbs[i].name, verbs[i].operands, verbs[i].summary);
	printf("\ntrikl VERB --help lists the options of one verb; trikl --version prints the "
	       "version.\n"
	       "exit codes: 0 fine, 1 input wrong, 2 a check failed, 3 usage, 4 environment, 70 "
	       "internal error\n");
}

static const verb *verb_find(const char *name)
{
	for (int i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static cli_status unknown_verb(const options *o, const char *word)
{
	const char *names[VERBS];
	for (int i = 0; i < VERBS; i++)
		names[i] = verbs[i].name;
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		if (strcmp(absent[i], word) == 0) {
			message_error(o, "'%s' is not available in this version of trikl (%s)",
				word, TRIKL_VERSION);
			return CLI_USAGE;
		}
	const char *near = diag_nearest(word, names, VERBS);
	if (near)
		message_error(o, "unknown verb '%s'; did you mean '%s'?", word, near);
	else
		message_error(o, "unknown verb '%s'; see trikl --help", word);
	return CLI_USAGE;
}

static cli_status verb_run_one(const verb *v, int argc, char **argv, options *o)
{
	cli_status status = options_parse(v, argc, argv, o);
	if (status != CLI_OK)
		return status;
	if (!o->help)
		return v->run(o);
	text help = {0};
	options_help(v, &help);
	fputs(help.data, stdout);
	text_free(&help);
	return CLI_OK;
}

static cli_status dispatch(int argc, char **argv, options *o)
{
	const char *word = argc > 1 ? argv[1] : "";
	const verb *v = verb_find(word);

	if (v)
		return verb_run_one(v, argc - 1, argv + 1, o);
	if (strcmp(word, "--version") == 0) {
		printf("trikl %s\n", TRIKL_VERSION);
		return CLI_OK;
	}
	if (strcmp(word, "help") == 0 && argc > 2) {
		char *const again[] = {argv[2], (char *)"--help", NULL};
		v = verb_find(argv[2]);
		return v ? verb_run_one(v, 2, (char **)again, o) : unknown_verb(o, argv[2]);
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		print_help();
		return CLI_OK;
	}
	if (argc < 2) {
		message_error(o, "no verb given; see trikl --help");
		return CLI_USAGE;
	}
	if (word[0] == '-' && word[1]) {
		message_error(o, "unknown option '%s'; see trikl --help", word);
		return CLI_USAGE;
	}
	return unknown_verb(o, word);
}

int main(int argc, char **argv)
{
	arena *a = arena_create();
	options o = {.arena = a, .limit = 600, .min_time = 1, .candidates = 12, .device = "auto"};

	crash_install(argc, argv);
	cli_status status = dispatch(argc, argv, &o);
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		message_error(
			&o, "cannot write standard output: %s", strerror(errno ? errno : EIO));
		if (status == CLI_OK)
			status = CLI_ENVIRONMENT;
	}
	arena_destroy(a);
	return (int)status;
}
