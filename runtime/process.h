/* process.h: run a program and collect what it prints. Thread-safe; works whatever the host
 * program does with SIGCHLD. */
#pragma once
#include "runtime/error.h"
#include <stdbool.h>

typedef struct {
	char *output; /* stdout and stderr together, zero-terminated; the first MiB. free() it */
	size_t size;
	int exit_code; /* 0 .. 255; -1: unknown, the host program has reaped the child */
	int signal;    /* that ended it, 0 for none */
} rt_process_result;

/* Runs argv[0] (a path) with the environment of this process, /dev/null as its input, no other
 * open file, and waits for it; after `timeout_ms` it is killed with its children. Errors: TOOL
 * (not started), TIMEOUT, NO_MEMORY; `result` is filled with what there is also then. */
rt_status rt_process_run(
	char *const argv[], int timeout_ms, rt_process_result *result, rt_error *err);
