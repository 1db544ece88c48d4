/* header: a bundle's kernel as C: a header with the exact signature, and the bundle as an array.
 * in:  a kernel of a bundle      out: C text; compiles as C++ too
 * relies on: rt_interface for what a caller passes, the images' signatures for what they demand. */
#include "device/device.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* --- names --- */

static bool is_reserved(const char *name)
{
	static const char *const word[] = {"alignas", "alignof", "and", "asm", "auto", "bool",
		"break", "case", "catch", "char", "class", "const", "continue", "default", "delete",
		"do", "double", "else", "enum", "explicit", "export", "extern", "false", "float",
		"for", "friend", "goto", "if", "inline", "int", "kernel", "long", "mutable",
		"namespace", "new", "not", "operator", "or", "private", "protected", "public",
		"register", "restrict", "return", "short", "signed", "sizeof", "static", "stream",
		"struct", "switch", "template", "this", "throw", "true", "try", "typedef",
		"typename", "union", "unsigned", "using", "virtual", "void", "volatile", "while",
		"xor"};

	for (size_t n = 0; n < sizeof word / sizeof *word; n++)
		if (!strcmp(word[n], name))
			return true;
	return false;
}

/* A name of the spec as a C identifier. */
static const char *c_name(arena *a, const char *name)
{
	char *c = arena_printf(a, is_reserved(name) ? "%s_" : "%s", name);

	for (char *s = c; *s; s++)
		if (!isalnum((unsigned char)*s) || (unsigned char)*s > 127)
			*s = '_';
	return c;
}

static const char *upper(arena *a, const char *name)
{
	char *c = arena_strdup(a, c_name(a, name));

	for (char *s = c; *s; s++)
		*s = (char)toupper((unsigned char)*s);
	return c;
}

/* --- what a reader must know --- */

static const char *dtype_name(DLDataType t)
{
	static const struct {
		DLDataType type;
		const char *name;
	} known[] = {{{kDLBfloat, 16, 1}, "bf16"}, {{kDLFloat, 16, 1}, "f16"},
		{{kDLFloat, 32, 1}, "f32"}, {{kDLFloat, 64, 1}, "f64"}, {{kDLInt, 32, 1}, "i32"}};

	for (size_t n = 0; n < sizeof known / sizeof *known; n++)
		if (known[n].type.code == t.code && known[n].type.bits == t.bits)
			return known[n].name;
	return "?";
}

static bool is_mapped(const rt_bundle_kernel *k, int tensor)
{
	for (int i = 0; i < k->images; i++)
		for (int m = 0; m < k->image[i].signature.maps; m++)
			if (k->image[i].signature.map[m].tensor == tensor)
				return true;
	return false;
}

static bool is_copied(const rt_bundle_kernel *k, int tensor)
{
	bool copied = is_mapped(k, tensor);

	for (int i = 0; i < k->images; i++)
		copied |= k->image[i].signature.tensor[tensor].copied;
	return copied;
}

static void put_tensors(const rt_bundle_kernel *k, text *out)
{
	const rt_interface *f = &k->interface;

	text_line(out, " * Tensors, in the order of a launch:");
	for (int t = 0; t < f->tensors; t++) {
		const tkl_tensor_info *x = &f->tensor[t];

		text_printf(out, " *   %-6s %-4s %s[", x->name, x->is_output ? "out" : "in",
			dtype_name(x->dtype));
		for (int d = 0; d < x->ndim; d++) {
			const tkl_dimension *dim = &x->dimensions[d];

			text_printf(out, "%s", d ? ", " : "");
			if (dim->length >= 0)
				text_printf(out, "%s", f->length[dim->length].name);
			else if (isalpha((unsigned char)*dim->name))
				text_printf(out, "%s = %lld", dim->name, (long long)dim->extent);
			else
				text_printf(out, "%lld", (long long)dim->extent);
		}
		text_printf(out, "]%s\n", is_copied(k, t) ? "  (*)" : "");
	}
	text_line(out,
		" * Every tensor lies on the GPU, its address a multiple of its element, its last");
	text_line(out,
		" * dimension contiguous; other strides are free, but outputs overlap nothing.");
	text_line(out, " * An output that is NULL is not computed.");
	for (int t = 0; t < f->tensors; t++)
		if (is_copied(k, t)) {
			text_line(out, " * (*) fastest where address and strides are multiples of "
				       "16 bytes.");
			break;
		}
}

static void put_lengths(const rt_bundle_kernel *k, text *out)
{
	const rt_interface *f = &k->interface;

	text_printf(out, " * Lengths: ");
	for (int l = 0; l < f->lengths; l++) {
		text_printf(out, "%s%s", l ? ", " : "", f->length[l].name);
		if (f->length[l].divides >= 0)
			text_printf(out, " (divides %s)", f->length[f->length[l].divides].name);
	}
	text_printf(out, "%s; any may be 0, none is above %lld.\n", f->lengths ? "" : "none",
		(long long)RT_KERNEL_MOST);
	for (int p = 0; p < f->params; p++) {
		const tkl_param_info *x = &f->param[p];

		if (x->type == TKL_PARAM_INT)
			text_printf(out, " * Param %s: int64_t, %lld in the spec.\n", x->name,
				(long long)x->default_value.i);
		else
			text_printf(out, " * Param %s: double, %.9g in the spec.\n", x->name,
				x->default_value.f);
	}
}

/* "ceil(N * H / G / 64) * G * B" */
static void put_grid(const rt_bundle_kernel *k, const rt_kernel_signature *s, text *out)
{
	const tkl_length_info *length = k->interface.length;

	text_printf(out, "ceil(%s", s->query < 0 ? "1" : length[s->query].name);
	if (s->head >= 0)
		text_printf(out, " * %s", length[s->head].name);
	if (s->head >= 0 && s->group >= 0)
		text_printf(out, " / %s", length[s->group].name);
	text_printf(out, " / %d)", s->rows);
	if (s->group >= 0)
		text_printf(out, " * %s", length[s->group].name);
	for (int b = 0; b < s->batches; b++)
		text_printf(out, " * %s", length[s->batch[b]].name);
	text_printf(out, " blocks");
}

static void put_images(const rt_bundle_kernel *k, text *out)
{
	text_line(out, " * Code:");
	for (int i = 0; i < k->images; i++) {
		const rt_kernel_signature *s = &k->image[i].signature;
		bool cubin = !memcmp(k->image[i].code, "\177ELF", 4);

		text_printf(out, " *   %s %s: ", s->target, cubin ? "cubin" : "PTX");
		put_grid(k, s, out);
		text_printf(out, "\n *     of %d threads, %d bytes of shared memory%s\n",
			s->threads, s->shared, s->maps ? ", by TMA" : "");
	}
}

/* --- code --- */

/* A length that no tensor has must be passed. */
static bool is_passed(const rt_interface *f, int length)
{
	for (int t = 0; t < f->tensors; t++)
		for (int d = 0; d < f->tensor[t].ndim; d++)
			if (f->tensor[t].dimensions[d].length == length)
				return false;
	return true;
}

static void put_load(arena *a, const rt_interface *f, text *out)
{
	const char *name = c_name(a, f->name);

	text_line(out, "/* The bundle, where %s_bundle.c is linked in. */", name);
	text_line(out, "extern const unsigned char %s_bundle[];", name);
	text_line(out, "extern const size_t %s_bundle_size;\n", name);
	text_line(out, "/* Makes the kernel; needs neither driver nor GPU. */");
	text_line(out,
		"static inline tkl_status %s_load(tkl_context *context, tkl_kernel **kernel)",
		name);
	text_line(out, "{");
	text_line(out, "\treturn tkl_bundle_load(context, %s_bundle,", name);
	text_line(out, "\t\t%s_bundle_size, \"%s\", kernel);", name, f->name);
	text_line(out, "}\n");
}

static void put_arguments(arena *a, const rt_interface *f, text *out)
{
	for (int t = 0; t < f->tensors; t++)
		text_line(out, "\tconst DLTensor *%s,", c_name(a, f->tensor[t].name));
	for (int l = 0; l < f->lengths; l++)
		if (is_passed(f, l))
			text_line(out, "\tint64_t length_%s,", c_name(a, f->length[l].name));
	for (int p = 0; p < f->params; p++)
		text_line(out, "\t%s %s,", f->param[p].type == TKL_PARAM_INT ? "int64_t" : "double",
			c_name(a, f->param[p].name));
	text_line(out, "\tvoid *stream)");
}

static int put_given_lengths(arena *a, const rt_interface *f, text *out)
{
	int n = 0;

	for (int l = 0; l < f->lengths; l++)
		n += is_passed(f, l);
	if (n)
		text_line(out, "\ttkl_length lengths_[%d];", n);
	n = 0;
	for (int l = 0; l < f->lengths; l++)
		if (is_passed(f, l)) {
			text_line(out, "\tlengths_[%d].name = \"%s\";", n, f->length[l].name);
			text_line(out, "\tlengths_[%d].value = length_%s;", n++,
				c_name(a, f->length[l].name));
		}
	return n;
}

static void put_launch(arena *a, const rt_interface *f, text *out)
{
	int lengths;

	text_line(out, "/* Queues a launch on the CUstream; NULL: the default stream. */");
	text_line(out, "static inline tkl_status %s_launch(", c_name(a, f->name));
	text_line(out, "\tconst tkl_kernel *kernel,");
	put_arguments(a, f, out);
	text_line(out, "{");
	text_line(out, "\tconst DLTensor *tensors_[%d];", f->tensors);
	if (f->params)
		text_line(out, "\ttkl_param params_[%d];", f->params);
	text_line(out,
		"\ttkl_launch_args args_ = {sizeof(tkl_launch_args), tensors_, %d,\n"
		"\t\tNULL, 0, NULL, 0, NULL, NULL, NULL};\n",
		f->tensors);
	lengths = put_given_lengths(a, f, out);
	for (int t = 0; t < f->tensors; t++)
		text_line(out, "\ttensors_[%d] = %s;", t, c_name(a, f->tensor[t].name));
	for (int p = 0; p < f->params; p++) {
		text_line(out, "\tparams_[%d].index = %d;", p, p);
		text_line(out, "\tparams_[%d].value.%s = %s;", p,
			f->param[p].type == TKL_PARAM_INT ? "i" : "f", c_name(a, f->param[p].name));
	}
	if (f->params) {
		text_line(out, "\targs_.params = params_;");
		text_line(out, "\targs_.param_count = %d;", f->params);
	}
	if (lengths) {
		text_line(out, "\targs_.lengths = lengths_;");
		text_line(out, "\targs_.length_count = %d;", lengths);
	}
	text_line(out, "\targs_.stream = stream;");
	text_line(out, "\treturn tkl_launch(kernel, &args_);");
	text_line(out, "}");
}

static void put_indices(arena *a, const rt_interface *f, text *out)
{
	const char *name = upper(a, f->name);

	text_line(out, "enum {");
	for (int t = 0; t < f->tensors; t++)
		text_line(out, "\t%s_%s = %d,", name, upper(a, f->tensor[t].name), t);
	for (int p = 0; p < f->params; p++)
		text_line(out, "\t%s_PARAM_%s = %d,", name, upper(a, f->param[p].name), p);
	text_line(out, "\t%s_TENSORS = %d", name, f->tensors);
	text_line(out, "};\n");
}

void device_header(arena *a, const rt_bundle_kernel *k, text *out)
{
	const rt_interface *f = &k->interface;

	text_line(out, "/* %s.h: written by trikl build, not to be edited.", c_name(a, f->name));
	text_line(out, " *");
	text_line(out,
		" * %s, a GPU kernel compiled ahead of time; link with libtrikl-rt or libtrikl.",
		f->name);
	put_tensors(k, out);
	put_lengths(k, out);
	put_images(k, out);
	text_line(out, " */");
	text_line(out, "#pragma once");
	text_line(out, "#include <trikl.h>\n");
	text_line(out, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
	put_indices(a, f, out);
	put_load(a, f, out);
	put_launch(a, f, out);
	text_line(out, "\n#ifdef __cplusplus\n}\n#endif");
}

void device_embed(arena *a, const char *kernel, const void *bundle, size_t size, text *out)
{
	const unsigned char *byte = bundle;
	const char *name = c_name(a, kernel);

	text_line(out, "/* %s_bundle.c: written by trikl build, not to be edited. */", name);
	text_line(out, "#include <stddef.h>\n");
	text_line(out, "extern const unsigned char %s_bundle[];", name);
	text_line(out, "extern const size_t %s_bundle_size;\n", name);
	text_line(out, "const size_t %s_bundle_size = %zu;", name, size);
	text_printf(out, "const unsigned char %s_bundle[] = {", name);
	for (size_t n = 0; n < size; n++)
		text_printf(out, "%s%u,", n % 24 ? "" : "\n\t", byte[n]);
	text_line(out, "\n};");
}
