/* ptxas: assemble PTX with an installed ptxas.
 * in:  PTX text and an architecture        out: a cubin, the log, what the log says of registers
 * and spills Files go through a folder that only this user can enter; it is removed whatever
 * happens. */
#include "runtime/ptxas.h"
#include "runtime/process.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMEOUT_MS = 120000, VERSION_TIMEOUT_MS = 20000 };

struct rt_ptxas {
	pthread_mutex_t lock; /* guards finding the version */
	char version[128];    /* "" until asked for */
	char path[PATH_MAX];
};

/* --- finding --- */

static bool is_program(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

static bool try_folder(const char *folder, size_t length, const char *below, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%.*s%s/ptxas", (int)length, folder, below);

	return length > 0 && folder[0] == '/' && n < PATH_MAX && is_program(path);
}

/* The absolute folders of PATH; relative ones would depend on where the host program stands. */
static bool try_path(char path[PATH_MAX])
{
	const char *p = secure_getenv("PATH");

	while (p && *p) {
		size_t length = strcspn(p, ":");

		if (try_folder(p, length, "", path))
			return true;
		p += length + (p[length] == ':');
	}
	return false;
}

static bool find_program(char path[PATH_MAX])
{
	const char *const home[] = {
		secure_getenv("CUDA_HOME"), secure_getenv("CUDA_PATH"), "/usr/local/cuda"};

	if (try_path(path))
		return true;
	for (size_t k = 0; k < sizeof home / sizeof *home; k++)
		if (home[k] && try_folder(home[k], strlen(home[k]), "/bin", path))
			return true;
	return false;
}

rt_status rt_ptxas_find(rt_ptxas **tool, rt_error *err)
{
	const char *named = secure_getenv("TRIKL_PTXAS");
	rt_ptxas *t;

	*tool = NULL;
	if (named && strcmp(named, "none") == 0)
		return rt_error_set(err, RT_NO_TOOL, NULL, "TRIKL_PTXAS=none: ptxas is not used");
	if (named && *named && !is_program(named))
		return rt_error_set(
			err, RT_NO_TOOL, NULL, "TRIKL_PTXAS=%s is not a program", named);
	t = calloc(1, sizeof *t);
	if (!t)
		return rt_error_set(err, RT_NO_MEMORY, NULL, "out of memory");
	if (named && *named)
		snprintf(t->path, sizeof t->path, "%s", named);
	else if (!find_program(t->path)) {
		free(t);
		return rt_error_set(err, RT_NO_TOOL, NULL,
			"ptxas is not in TRIKL_PTXAS, PATH, CUDA_HOME, CUDA_PATH or "
			"/usr/local/cuda: the driver compiles PTX instead");
	}
	pthread_mutex_init(&t->lock, NULL);
	*tool = t;
	return RT_OK;
}

void rt_ptxas_destroy(rt_ptxas *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const char *rt_ptxas_path(const rt_ptxas *t)
{
	return t->path;
}

rt_status rt_ptxas_stamp(const rt_ptxas *t, char stamp[64], rt_error *err)
{
	struct stat s;

	if (stat(t->path, &s))
		return rt_error_set(err, RT_TOOL, "stat", "%s: %s", t->path, strerror(errno));
	snprintf(stamp, 64, "%llx-%llx.%lx-%llx", (unsigned long long)s.st_size,
		(unsigned long long)s.st_mtim.tv_sec, (unsigned long)s.st_mtim.tv_nsec,
		(unsigned long long)s.st_ino);
	return RT_OK;
}

/* "..., release 13.0, V13.0.88\nBuild cuda_13.0.r13.0/compiler.36424714_0\n" */
static bool read_version(const char *text, char version[128])
{
	const char *v = strstr(text, ", V"), *build = strstr(text, "/compiler.");
	int length = v ? (int)strcspn(v + 3, " \r\n") : 0;

	if (length < 3 || length > 40)
		return false;
	if (build)
		snprintf(version, 128, "%.*s %.*s", length, v + 3,
			(int)strcspn(build + 1, " \r\n") > 60 ? 60
							      : (int)strcspn(build + 1, " \r\n"),
			build + 1);
	else
		snprintf(version, 128, "%.*s", length, v + 3);
	return true;
}

rt_status rt_ptxas_version(rt_ptxas *t, const char **version, rt_error *err)
{
	char *argv[] = {t->path, (char[]){"--version"}, NULL};
	rt_process_result r = {0};
	rt_status status = RT_OK;

	*version = NULL;
	pthread_mutex_lock(&t->lock);
	if (!t->version[0]) {
		status = rt_process_run(argv, VERSION_TIMEOUT_MS, &r, err);
		if (!status && !read_version(r.output, t->version)) {
			status = rt_error_set(err, RT_TOOL, NULL, "%s tells no version", t->path);
			rt_error_log(err, r.output, r.size);
		}
		free(r.output);
	}
	pthread_mutex_unlock(&t->lock);
	if (!status)
		*version = t->version;
	return status;
}

/* --- files --- */

/* A folder of one run and the files in it. */
typedef struct {
	char folder[PATH_MAX];
	char ptx[PATH_MAX + 16], cubin[PATH_MAX + 16];
} workplace;

static rt_status make_workplace(workplace *w, rt_error *err)
{
	const char *base = secure_getenv("TMPDIR");
	int n;

	if (!base || base[0] != '/')
		base = "/tmp";
	n = snprintf(w->folder, sizeof w->folder, "%s/trikl-ptxas-XXXXXX", base);
	if (n >= (int)sizeof w->folder || !mkdtemp(w->folder)) {
		w->folder[0] = 0;
		return rt_error_set(err, RT_TOOL, "mkdtemp",
			"cannot make a temporary folder in %s: %s", base, strerror(errno));
	}
	snprintf(w->ptx, sizeof w->ptx, "%s/kernel.ptx", w->folder);
	snprintf(w->cubin, sizeof w->cubin, "%s/kernel.cubin", w->folder);
	return RT_OK;
}

static void remove_workplace(const workplace *w)
{
	if (!w->folder[0])
		return;
	unlink(w->ptx);
	unlink(w->cubin);
	rmdir(w->folder);
}

static rt_status write_file(const char *path, const char *data, size_t size, rt_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), e = 0;

	if (fd < 0)
		return rt_error_set(err, RT_TOOL, "open", "%s: %s", path, strerror(errno));
	for (size_t done = 0; done < size && !e;) {
		ssize_t n = write(fd, data + done, size - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			e = errno;
	}
	if (close(fd) && !e)
		e = errno;
	return e ? rt_error_set(err, RT_TOOL, "write", "%s: %s", path, strerror(e)) : RT_OK;
}

/* Reads a cubin whole; false when there is none or it is no ELF file. */
static bool read_cubin(const char *path, void **data, size_t *size)
{
	FILE *f = fopen(path, "rbe");
	struct stat s;
	char *bytes = NULL;
	bool fine = false;

	*data = NULL;
	*size = 0;
	if (!f)
		return false;
	if (fstat(fileno(f), &s) == 0 && s.st_size >= 64)
		bytes = malloc((size_t)s.st_size);
	if (bytes && fread(bytes, 1, (size_t)s.st_size, f) == (size_t)s.st_size)
		fine = memcmp(bytes, "\177ELF", 4) == 0;
	fclose(f);
	if (!fine) {
		free(bytes);
		return false;
	}
	*data = bytes;
	*size = (size_t)s.st_size;
	return true;
}

/* --- running --- */

/* What kind of failure the log tells of. */
static rt_status judge(const char *log)
{
	static const char *const unknown[] = {"is not defined for option 'gpu-name'",
		"Unsupported .version", "Unsupported .target"};

	for (size_t k = 0; k < sizeof unknown / sizeof *unknown; k++)
		if (strstr(log, unknown[k]))
			return RT_OLD_TOOL;
	return strstr(log, "fatal") || strstr(log, "error") ? RT_REJECTED : RT_TOOL;
}

static rt_status report(
	const rt_ptxas *t, const char *arch, const rt_process_result *p, rt_error *err)
{
	rt_status status = p->signal ? RT_TOOL : judge(p->output);
	const char *first = *p->output ? p->output : "no message and no cubin";
	int line = (int)strcspn(first, "\n");

	if (line > 300)
		line = 300;
	if (p->signal)
		rt_error_set(err, status, NULL, "%s for %s was ended by signal %d (%s)", t->path,
			arch, p->signal, strsignal(p->signal));
	else
		rt_error_set(err, status, NULL, "%s for %s, exit %d: %.*s", t->path, arch,
			p->exit_code, line, first);
	rt_error_log(err, p->output, p->size);
	return status;
}

static rt_status assemble(rt_ptxas *t, const workplace *w, const rt_ptxas_options *o,
	rt_ptxas_result *result, rt_error *err)
{
	char arch[64], registers[32];
	char *argv[12] = {t->path, "-v", o->debug ? "-O0" : "-O3", arch};
	int n = 4, timeout = o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_MS;
	rt_process_result p = {0};
	rt_status status;

	snprintf(arch, sizeof arch, "-arch=%s", o->arch);
	if (o->line_info)
		argv[n++] = "-lineinfo";
	if (o->max_registers > 0) {
		snprintf(registers, sizeof registers, "-maxrregcount=%d", o->max_registers);
		argv[n++] = registers;
	}
	argv[n++] = "-o";
	argv[n++] = (char *)w->cubin;
	argv[n++] = (char *)w->ptx;
	status = rt_process_run(argv, timeout, &p, err);
	if (!status && (p.exit_code > 0 || p.signal ||
			       !read_cubin(w->cubin, &result->cubin, &result->size)))
		status = report(t, o->arch, &p, err);
	if (status) {
		free(p.output);
		return status;
	}
	result->log = p.output;
	rt_ptxas_parse(result->log, &result->figures);
	return RT_OK;
}

static bool is_arch_name(const char *s)
{
	return s && strncmp(s, "sm_", 3) == 0 && strlen(s) < 16 &&
	       s[3 + strspn(s + 3, "0123456789abcdefghijklmnopqrstuvwxyz")] == 0;
}

rt_status rt_ptxas_run(rt_ptxas *t, const char *ptx, size_t size, const rt_ptxas_options *o,
	rt_ptxas_result *result, rt_error *err)
{
	workplace w = {0};
	rt_status status;

	*result = (rt_ptxas_result){0};
	if (!is_arch_name(o->arch))
		return rt_error_set(err, RT_ARGUMENT, NULL, "'%s' is not an architecture",
			o->arch ? o->arch : "");
	status = make_workplace(&w, err);
	if (!status)
		status = write_file(w.ptx, ptx, size, err);
	if (!status)
		status = assemble(t, &w, o, result, err);
	remove_workplace(&w);
	return status;
}

void rt_ptxas_result_clear(rt_ptxas_result *r)
{
	free(r->cubin);
	free(r->log);
	*r = (rt_ptxas_result){0};
}
