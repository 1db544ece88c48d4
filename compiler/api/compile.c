/* compile: spec text -> kernel.
 * in:  text and options     out: a kernel that owns its arena, and the diagnostics as text */
#include "api/api.h"
#include "ast/ast.h"
#include "model/model.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
	const char *text;
	size_t length;
	tkl_compile_options options;
	arena *arena;
	source *source;
	diags *diags;
	sema_spec *spec;
	host_kernel *host;
	device_kernel *gpu;
	rt_interface interface;
	tkl_context *context;
	int device;       /* of a GPU target */
	const arch *arch; /* NULL: no GPU target */
	char *report;     /* the diagnostics as text */
} compilation;

/* --- messages --- */

/* The first message of at least `severity` becomes the thread's last error. */
static tkl_status fail_with_diagnostic(
	const compilation *c, tkl_status status, diag_severity severity)
{
	for (int n = 0; n < c->diags->list.count; n++) {
		const diag *d = &c->diags->list.item[n];
		int line, column;

		if (d->severity < severity)
			continue;
		source_position(c->source, d->at.begin, &line, &column);
		return api_fail(status, "%s:%d:%d: %s%s%s%s", c->source->name, line, column,
			d->message, d->hint ? " (" : "", d->hint ? d->hint : "",
			d->hint ? ")" : "");
	}
	return api_fail(status, "%s: %s", c->source->name, tkl_status_string(status));
}

static tkl_status write_report(void *user)
{
	static const diag_format format[] = {
		[TKL_DIAGNOSTICS_TEXT] = DIAG_TEXT,
		[TKL_DIAGNOSTICS_COLOR] = DIAG_TEXT_COLOR,
		[TKL_DIAGNOSTICS_JSON] = DIAG_JSON,
	};
	compilation *c = user;
	text out = {0};

	if (!c->diags || !c->diags->list.count)
		return TKL_OK;
	diags_print(c->diags, format[c->options.diagnostics_format], &out);
	c->report = text_take(&out);
	return TKL_OK;
}

/* --- stages --- */

static const char *spec_names(compilation *c, const ast_file *file)
{
	const char *names = "";

	for (int n = 0; n < file->specs.count; n++)
		names = arena_printf(
			c->arena, "%s%s'%s'", names, n ? ", " : "", file->specs.item[n]->name.text);
	return names;
}

static tkl_status choose_spec(compilation *c, const ast_file *file, const ast_spec **spec)
{
	const char *wanted = c->options.spec;

	if (file->specs.count == 0)
		return api_fail(
			TKL_ERROR_SPEC, "%s: the source holds no attention", c->source->name);
	if (!wanted && file->specs.count > 1)
		return api_fail(TKL_ERROR_ARGUMENT,
			"%s: the source holds %s: say which in tkl_compile_options.spec",
			c->source->name, spec_names(c, file));
	for (int n = 0; n < file->specs.count; n++) {
		*spec = file->specs.item[n];
		if (!wanted || !strcmp((*spec)->name.text, wanted))
			return TKL_OK;
	}
	return api_fail(TKL_ERROR_ARGUMENT, "%s: the source holds no attention '%s', only %s",
		c->source->name, wanted, spec_names(c, file));
}

static tkl_status check_spec(compilation *c, const ast_file *file, const ast_spec *spec)
{
	size_t n = c->options.define_count;
	sema_define *define = ARENA_ARRAY(c->arena, sema_define, n);

	for (size_t k = 0; k < n; k++) {
		define[k].name = c->options.defines[k].name;
		define[k].value = c->options.defines[k].value;
		if (!define[k].name || !define[k].value)
			return api_fail(TKL_ERROR_ARGUMENT, "defines[%zu] has a NULL member", k);
	}
	c->spec = sema_check(c->arena, file, spec, c->source, define, (int)n, c->diags);
	if (!c->spec || diag_error_count(c->diags))
		return fail_with_diagnostic(c, TKL_ERROR_SPEC, DIAG_ERROR);
	c->interface = device_interface(c->arena, c->spec);
	return TKL_OK;
}

/* The inner axis that a schedule for the target asks for, before one for every target; NULL: none. */
static const sema_axis *scheduled_inner(const sema_spec *s, const char *target)
{
	const sema_axis *inner = NULL;

	for (int n = 0; n < s->setting.count; n++) {
		const sema_setting *set = &s->setting.item[n];

		if (strcmp(set->key, "inner"))
			continue;
		if (set->target && !strcmp(set->target, target))
			return set->axis;
		if (!set->target)
			inner = set->axis;
	}
	return inner;
}

static device_kernel *generate_gpu(
	compilation *c, const ast_file *file, const ast_spec *ast, const row_form *m)
{
	size_t n = c->options.define_count;
	sema_define *define = ARENA_ARRAY(c->arena, sema_define, n + 1);
	device_request r = {.file = file,
		.ast = ast,
		.source = c->source,
		.define = define,
		.defines = (int)n,
		.inner = m->inner->name,
		.form = m,
		.arch = c->arch,
		.device = c->device};
	device_times times;
	device_tuned *tuned = ARENA_NEW(c->arena, device_tuned);

	for (size_t k = 0; k < n; k++)
		define[k] = (sema_define){arena_strdup(c->arena, c->options.defines[k].name),
			arena_strdup(c->arena, c->options.defines[k].value)};
	if (device_tuned_find(api_system(c->context), &r, NULL, c->arena, tuned))
		r.choice = &tuned->choice;
	return device_compile(api_system(c->context), &r, c->arena, c->diags, &times);
}

static tkl_status generate(compilation *c, const ast_file *file, const ast_spec *ast)
{
	const char *target = c->arch ? c->arch->name : "cpu";
	row_form *m = model_choose(c->spec, scheduled_inner(c->spec, target), c->diags);

	if (m && c->arch)
		c->gpu = generate_gpu(c, file, ast, m);
	else if (m)
		c->host = host_compile(m, &(host_options){0}, &(host_times){0}, c->diags);
	if (!c->host && !c->gpu)
		return fail_with_diagnostic(c, TKL_ERROR_UNSUPPORTED,
			diag_error_count(c->diags) ? DIAG_ERROR : DIAG_WARNING);
	return TKL_OK;
}

static bool is_reference(const compilation *c)
{
	return c->options.target && !strcmp(c->options.target, "reference");
}

static tkl_status run_stages(void *user)
{
	compilation *c = user;
	const char *name = c->options.source_name;
	const ast_spec *spec = NULL;
	const ast_file *file;
	tkl_status status;

	c->source = source_create(c->arena, arena_strdup(c->arena, name ? name : "<string>"),
		arena_strndup(c->arena, c->text, c->length), c->length);
	c->diags = diags_create(c->arena, c->source);
	file = ast_parse(c->arena, c->source, c->diags);
	if (diag_error_count(c->diags))
		return fail_with_diagnostic(c, TKL_ERROR_SPEC, DIAG_ERROR);
	status = choose_spec(c, file, &spec);
	if (!status)
		status = check_spec(c, file, spec);
	if (!status && !is_reference(c))
		status = generate(c, file, spec);
	return status;
}

/* --- kernels --- */

static tkl_status make_kernel(compilation *c, tkl_context *context, tkl_kernel **kernel)
{
	compiled_kernel *k = calloc(1, sizeof *k);

	if (!k)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	*k = (compiled_kernel){.arena = c->arena, .spec = c->spec, .host = c->host, .gpu = c->gpu};
	k->base = (tkl_kernel){.context = api_context_hold(context),
		.backend = api_backend_of(k),
		.interface = c->interface,
		.program = c->gpu ? device_program(c->gpu) : NULL,
		.device = c->device,
		.target = is_reference(c) ? "reference"
			  : c->arch       ? c->arch->name
					  : "cpu"};
	*kernel = &k->base;
	return TKL_OK;
}

static tkl_status check_options(const compilation *c)
{
	const tkl_compile_options *o = &c->options;

	if (o->define_count > INT32_MAX || (o->define_count && !o->defines))
		return api_fail(TKL_ERROR_ARGUMENT, "defines is NULL");
	if ((unsigned)o->diagnostics_format > TKL_DIAGNOSTICS_JSON)
		return api_fail(TKL_ERROR_ARGUMENT, "diagnostics_format is none of the three");
	if (o->target && strcmp(o->target, "cpu") && strcmp(o->target, "reference") &&
		!api_is_gpu_target(o->target))
		return api_fail(TKL_ERROR_ARGUMENT,
			"unknown target '%s': 'cpu', 'reference', 'cuda:0' and 'sm_80' are some",
			o->target);
	return TKL_OK;
}

static tkl_status compile_checked(compilation *c, tkl_context *context, tkl_kernel **kernel)
{
	tkl_status status;

	c->context = context;
	if (c->options.target && api_is_gpu_target(c->options.target)) {
		status = api_gpu_target(context, c->options.target, &c->device, &c->arch);
		if (status)
			return status;
	}
	c->arena = arena_create();
	if (!c->arena)
		return api_fail(TKL_ERROR_MEMORY, "out of memory");
	status = api_guard(run_stages, c);
	api_guard(write_report, c);
	if (!status)
		status = make_kernel(c, context, kernel);
	if (status) {
		host_destroy(c->host);
		device_destroy(c->gpu);
		arena_destroy(c->arena);
	}
	return status;
}

tkl_status tkl_compile(tkl_context *context, const char *string, size_t length,
	const tkl_compile_options *options, tkl_kernel **kernel, char **diagnostics)
{
	compilation c = {.text = string ? string : "", .length = length};
	tkl_status status =
		api_copy_in(&c.options, options, sizeof c.options, "tkl_compile_options");

	if (diagnostics)
		*diagnostics = NULL;
	if (!status && (!context || !kernel))
		status = api_fail(TKL_ERROR_ARGUMENT, "the context or the kernel pointer is NULL");
	if (!status && !string && length)
		status = api_fail(TKL_ERROR_ARGUMENT, "the text is NULL");
	if (!status)
		status = check_options(&c);
	if (!status)
		status = compile_checked(&c, context, kernel);
	if (diagnostics)
		*diagnostics = c.report;
	else
		free(c.report);
	return status;
}
