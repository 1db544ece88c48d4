/* verb_targets: what this build compiles for, with what was found out about this machine. */
#include "cli/gpu.h"
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The features that kernels are built differently for. */
static const char *const shown[] = {"avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl",
	"avx512bf16", "amx-tile", "amx-bf16", "neon", "sve", "bf16"};

static int vector_bits(const char *features)
{
	return target_feature(features, "avx512f") ? 512
	       : target_feature(features, "avx2")  ? 256
						   : 128;
}

typedef struct {
	const options *o;
	char *cpu, *features, *triple;
	const arch *native; /* of the first GPU, NULL: none */
	const char *gpu;    /* its name */
} machine;

static void find_gpu(machine *m)
{
	device_system *s = device_open(NULL);
	rt_device_info info;
	rt_cuda *cuda;

	if (s && !device_driver(s, &cuda, NULL) && !rt_cuda_device(cuda, 0, &info, NULL)) {
		m->native = arch_native(info.major, info.minor);
		m->gpu = arena_strdup(m->o->arena, info.name);
	}
	device_close(s);
}

/* --- JSON --- */

static cJSON *cpu_json(const machine *m)
{
	cJSON *row = cJSON_CreateObject(), *found;

	cJSON_AddStringToObject(row, "name", "cpu");
	cJSON_AddStringToObject(row, "cpu", m->cpu);
	cJSON_AddStringToObject(row, "triple", m->triple);
	cJSON_AddNumberToObject(row, "vector_bits", vector_bits(m->features));
	cJSON_AddNumberToObject(row, "cores", machine_cores());
	found = cJSON_AddArrayToObject(row, "features");
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (target_feature(m->features, shown[i]))
			cJSON_AddItemToArray(found, cJSON_CreateString(shown[i]));
	return row;
}

static cJSON *arch_json(const machine *m, const arch *a)
{
	cJSON *row = cJSON_CreateObject(), *families;

	cJSON_AddStringToObject(row, "name", a->name);
	cJSON_AddNumberToObject(row, "major", a->major);
	cJSON_AddNumberToObject(row, "minor", a->minor);
	cJSON_AddBoolToObject(row, "native", a == m->native);
	cJSON_AddNumberToObject(row, "shared_block", a->shared_block);
	cJSON_AddNumberToObject(row, "shared_sm", a->shared_sm);
	cJSON_AddNumberToObject(row, "registers_sm", a->registers_sm);
	cJSON_AddNumberToObject(row, "warps_sm", a->warps_sm);
	cJSON_AddNumberToObject(row, "ptx", a->ptx / 10.0);
	cJSON_AddStringToObject(row, "product", a->product);
	families = cJSON_AddArrayToObject(row, "families");
	for (int bit = 0; bit < ARCH_FAMILY_COUNT; bit++)
		if (a->families >> bit & 1)
			cJSON_AddItemToArray(families, cJSON_CreateString(arch_family_name(bit)));
	return row;
}

static void print_json(const machine *m)
{
	cJSON *list = cJSON_CreateArray();
	int count;
	const arch *all = arch_all(&count);

	cJSON_AddItemToArray(list, cpu_json(m));
	for (int i = 0; i < count; i++)
		cJSON_AddItemToArray(list, arch_json(m, &all[i]));
	char *s = cJSON_Print(list);
	printf("%s\n", s ? s : "[]");
	free(s);
	cJSON_Delete(list);
}

/* --- tables --- */

static void print_cpu(const machine *m)
{
	printf("%-8s %-16s %-8s %-6s %s\n", "target", "processor", "vectors", "cores", "features");
	printf("%-8s %-16s %-8d %-6d", "cpu", m->cpu, vector_bits(m->features), machine_cores());
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (target_feature(m->features, shown[i]))
			printf(" %s", shown[i]);
	printf("\n\n");
}

static void print_arch(const machine *m, const arch *a)
{
	text families = {0};

	arch_families_text(a->families, &families);
	printf("%-8s %-6d %-6d %-6d %d.%-3d %-23s %s%s%s\n", a->name, a->shared_block / 1024,
		a->shared_sm / 1024, a->warps_sm, a->ptx / 10, a->ptx % 10, a->product,
		families.data ? families.data : "", a == m->native ? "   <- native: " : "",
		a == m->native ? m->gpu : "");
	text_free(&families);
}

static void print_text(const machine *m)
{
	int count;
	const arch *all = arch_all(&count);

	print_cpu(m);
	printf("%-8s %-6s %-6s %-6s %-5s %-23s %s\n", "target", "block", "SM", "warps", "PTX",
		"for instance", "instruction families");
	printf("%-8s %-13s %-6s\n", "", "KiB of shared", "an SM");
	for (int i = 0; i < count; i++)
		print_arch(m, &all[i]);
}

cli_status verb_targets(const options *o)
{
	machine m = {.o = o,
		.cpu = LLVMGetHostCPUName(),
		.features = LLVMGetHostCPUFeatures(),
		.triple = LLVMGetDefaultTargetTriple()};

	find_gpu(&m);
	if (o->json)
		print_json(&m);
	else
		print_text(&m);
	LLVMDisposeMessage(m.cpu);
	LLVMDisposeMessage(m.features);
	LLVMDisposeMessage(m.triple);
	return CLI_OK;
}
