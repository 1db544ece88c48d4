/* kernel: the kernel that the tests put into bundles. */
#include "kernel.h"
#include <stdio.h>
#include <string.h>

static const tkl_dimension long_q[] = {{"B", 0, -1}, {"i", 1, -1}, {"D", -1, SCALE_D}};
static const tkl_dimension long_k[] = {{"B", 0, -1}, {"j", 2, -1}, {"D", -1, SCALE_D}};

static const tkl_tensor_info tensor[] = {{.struct_size = sizeof(tkl_tensor_info),
						 .name = "q",
						 .dtype = {kDLBfloat, 16, 1},
						 .ndim = 3,
						 .dimensions = long_q},
	{.struct_size = sizeof(tkl_tensor_info),
		.name = "k",
		.dtype = {kDLBfloat, 16, 1},
		.ndim = 3,
		.dimensions = long_k},
	{.struct_size = sizeof(tkl_tensor_info),
		.name = "o",
		.dtype = {kDLBfloat, 16, 1},
		.ndim = 3,
		.dimensions = long_q,
		.is_output = 1}};

static const tkl_length_info length[] = {{sizeof(tkl_length_info), "B", -1, 1},
	{sizeof(tkl_length_info), "N", -1, 1}, {sizeof(tkl_length_info), "M", -1, 1}};

static const tkl_param_info param[] = {{sizeof(tkl_param_info), "W", TKL_PARAM_INT, {.i = 4}},
	{sizeof(tkl_param_info), "s", TKL_PARAM_FLOAT, {.f = 0.5}}};

/* As the stand-in driver wants them. */
static const char *code_of(const char *target, bool cubin)
{
	static char text[8][2][96];
	static const char *const known[8] = {
		"sm_80", "sm_86", "sm_90", "sm_90a", "sm_75", "sm_120"};
	int n = 0;

	while (n < 7 && known[n] && strcmp(known[n], target))
		n++;
	if (cubin)
		snprintf(text[n][1], 96, "\177ELF %s scale", target);
	else
		snprintf(text[n][0], 96, ".version 7.0\n.target %s\n.visible .entry scale(\n",
			target);
	return text[n][cubin];
}

rt_bundle_image scale_image(const char *target, bool cubin, bool tma)
{
	rt_kernel_signature k = {.entry = "scale",
		.threads = tma ? 384 : 128,
		.rows = tma ? 128 : 64,
		.shared = tma ? 65536 : 32768,
		.query = 1,
		.head = -1,
		.group = -1,
		.batches = 1,
		.batch = {0},
		.tensors = SCALE_TENSORS,
		.lengths = 3,
		.params = 2,
		.tensor = {{"q", 2, 3, false, false, {0, 1, -1}, {0, 0, SCALE_D}},
			{"k", 2, 3, false, true, {0, 2, -1}, {0, 0, SCALE_D}},
			{"o", 2, 3, true, false, {0, 1, -1}, {0, 0, SCALE_D}}},
		.length = {"B", "N", "M"},
		.param = {{"W", false, false}, {"s", true, true}},
		.maps = tma,
		.map = {{1, {1, 32, 64}}}};
	rt_bundle_image i = {.signature = k, .code = code_of(target, cubin)};

	snprintf(i.signature.target, sizeof i.signature.target, "%s", target);
	i.size = strlen(i.code);
	return i;
}

rt_bundle_kernel scale_kernel(const rt_bundle_image *image, int images)
{
	return (rt_bundle_kernel){.interface = {.name = "scale",
					  .tensors = SCALE_TENSORS,
					  .inputs = 2,
					  .lengths = 3,
					  .params = 2,
					  .tensor = tensor,
					  .length = length,
					  .param = param},
		.images = images,
		.image = image};
}
