/* fixture.h: what the tests of the cache share: a directory of their own, artifacts whose bytes follow from their
 * number, counted makers, collected notes, and child processes. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/cache.h"
#include <stdatomic.h>
#include <sys/types.h>

#define HEADER 192 /* of an entry, by its format */

/* A directory under /tmp that does not outlive the test, and the cache directory in it. */
typedef struct {
	char root[64], dir[400];
	_Atomic int made;  /* calls of fixture_make */
	int make_ms;       /* how long it takes */
	_Atomic bool fail; /* it fails */
	_Atomic int notes[RT_CACHE_EVENTS];
	char last_note[512];
} fixture;

fixture *fixture_create(void);
void fixture_destroy(fixture *f);

/* Options of a cache in f->dir whose notes f collects. */
rt_cache_options fixture_options(fixture *f);
rt_cache *fixture_open(fixture *f);
/* Notes of all kinds. */
int fixture_notes(const fixture *f);

rt_cache_key key_of(int number);
size_t size_of(int number);
/* Whether the blob is the artifact of that number. */
bool is_artifact(rt_blob *b, int number);
/* One call for the artifact, kind "ptx"; false: no blob, or wrong bytes. `made` (may be NULL): whether it was made. */
bool get(fixture *f, rt_cache *c, int number, bool *made);
/* Opens, gets, closes. */
bool get_once(fixture *f, int number, bool *made);

/* PATH of a file in the cache directory (static for the next call): entry of a number, or any name. */
const char *path_in(const fixture *f, const char *name);
const char *entry_path(const fixture *f, int number);
/* Whole small files. */
unsigned char *file_load(const char *path, size_t *size);
void file_store(const char *path, const void *data, size_t size);
/* Directory entries but . and .., or those whose name contains `part`. */
int count_files(const char *dir, const char *part);

/* Runs `body` in a child process; its exit code, or -signal. */
int in_child(int (*body)(void *user), void *user);
pid_t child_start(int (*body)(void *user), void *user);
int child_wait(pid_t pid);
/* For children, where cmocka's assertions are of no use. */
#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)
