/* module_internal.h: a module's instances, shared by module.c and launch.c. */
#pragma once
#include "runtime/cuda_internal.h"
#include "runtime/module.h"

/* One per context that the module was loaded into. Written before it is published, constant
 * afterwards. */
typedef struct rt_instance rt_instance;
struct rt_instance {
	rt_instance *next;
	cu_context context;
	uint64_t id;
	int device;
	cu_function function;
	cu_module module; /* NULL where a library for all contexts holds the code */
};

typedef struct {
	char error[16 << 10], info[16 << 10];
	unsigned option[5];
	void *value[5];
} jit_log;

struct rt_module {
	rt_cuda *cuda;
	char *image; /* zero-terminated */
	size_t size;
	char *kernel;
	unsigned shared;

	_Atomic(rt_instance *) instances; /* grows at the head; read without the lock */
	pthread_mutex_t lock;             /* guards loading and what follows */
	cu_library library;               /* drivers of CUDA 12.0 and newer */
	cu_kernel entry;
	jit_log *log; /* PTX only. The driver may write into it until the library is unloaded */
	char *told;   /* info logs of all loads */
};

/* The instance in a context, NULL when it has not been loaded there. */
const rt_instance *rt_module_find(rt_module *module, cu_context context, uint64_t id);
/* Loads the module into the scope's context, unless another thread just did. */
rt_status rt_module_load(
	rt_module *module, const rt_scope *scope, const rt_instance **instance, rt_error *err);
