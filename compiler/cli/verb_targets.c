/* verb_targets: what this build compiles for, with what was found out about this machine. */
#include "cli/problem.h"
#include <cjson/cJSON.h>
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cli_status target_check(const options *o)
{
	for (int i = 0; i < o->target.count; i++) {
		const char *word = o->target.item[i];
		if (strcmp(word, "cpu") == 0)
			continue;
		if (strncmp(word, "sm_", 3) == 0) {
			message_error(o,
				"target '%s' is not available in this build of trikl; it has cpu",
				word);
			return CLI_ENVIRONMENT;
		}
		message_error(o, "unknown target '%s'; see trikl targets", word);
		return CLI_USAGE;
	}
	return CLI_OK;
}

bool target_feature(const char *features, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = features; (p = strstr(p, name)) != NULL; p += n)
		if (p > features && p[-1] == '+' && (p[n] == ',' || p[n] == 0))
			return true;
	return false;
}

/* The features that kernels are built differently for. */
static const char *const shown[] = {"avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl",
	"avx512bf16", "amx-tile", "amx-bf16", "neon", "sve", "bf16"};

static int vector_bits(const char *features)
{
	return target_feature(features, "avx512f") ? 512
	       : target_feature(features, "avx2")  ? 256
						   : 128;
}

cli_status verb_targets(const options *o)
{
	char *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
	char *triple = LLVMGetDefaultTargetTriple();

	if (o->json) {
		cJSON *list = cJSON_CreateArray(), *row = cJSON_CreateObject(), *found;
		cJSON_AddItemToArray(list, row);
		cJSON_AddStringToObject(row, "name", "cpu");
		cJSON_AddStringToObject(row, "cpu", cpu);
		cJSON_AddStringToObject(row, "triple", triple);
		cJSON_AddNumberToObject(row, "vector_bits", vector_bits(features));
		cJSON_AddNumberToObject(row, "cores", machine_cores());
		found = cJSON_AddArrayToObject(row, "features");
		for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
			if (target_feature(features, shown[i]))
				cJSON_AddItemToArray(found, cJSON_CreateString(shown[i]));
		char *s = cJSON_Print(list);
		printf("%s\n", s ? s : "[]");
		free(s);
		cJSON_Delete(list);
	} else {
		printf("%-8s %-16s %-8s %-6s %s\n", "target", "processor", "vectors", "cores",
			"features");
		printf("%-8s %-16s %-8d %-6d", "cpu", cpu, vector_bits(features), machine_cores());
		for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
			if (target_feature(features, shown[i]))
				printf(" %s", shown[i]);
		printf("\n");
	}
	LLVMDisposeMessage(cpu);
	LLVMDisposeMessage(features);
	LLVMDisposeMessage(triple);
	return CLI_OK;
}
