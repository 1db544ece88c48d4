/* program.h: a kernel on GPUs: its code images, chosen for the device and the tensors of a launch.
 *
 *   target.c    which device runs the code of a target
 *   image.c     one code image: its module, made when a GPU first needs it
 *   program.c   several images of one kernel; which of them takes a launch. One that this driver
 *               cannot load is set aside for the next best
 *
 * A kernel that moves tensors by TMA cannot take every layout (rt_kernel_encode). A program that has
 * one also has, or can make when it is first needed, a kernel for all other tensors. Kernels that are
 * equal otherwise may be for different numbers of heads (rt_kernel_suits), which only concerns speed:
 * where the right one is neither there nor can be made, another one runs.
 *
 * Threads: all functions may be called at once for one program, except rt_program_destroy, which
 * needs every launch to be finished; a program must be destroyed before its rt_gpu. */
#pragma once
#include "runtime/gpu.h"
#include "runtime/kernel.h"

#define RT_PROGRAM_IMAGES 32

/* --- target.c --- */

/* Whether a device of this capability (900: 9.0) runs code for a target, "sm_90a", in PTX or as a
 * cubin. false for text that names no target. */
bool rt_target_runs(const char *target, bool is_cubin, int capability);
/* Greater for the code that suits a device better, of two that it runs. */
int rt_target_rank(const char *target, bool is_cubin);

/* --- image.c --- */

/* Code and how it is launched. The code stays the giver's, until `release` (NULL: never). */
typedef struct {
	const rt_kernel_signature *signature; /* copied */
	const void *code;                     /* PTX or a cubin */
	size_t size;
	void (*release)(void *owner);
	void *owner;
} rt_image_source;

typedef struct rt_image rt_image;

/* Takes the source over, also when it fails. NULL: out of memory. */
rt_image *rt_image_create(rt_gpu *gpu, const rt_image_source *source);
void rt_image_destroy(rt_image *i); /* NULL is ignored */
const rt_kernel_signature *rt_image_signature(const rt_image *i);
const void *rt_image_code(const rt_image *i, size_t *size);
bool rt_image_is_cubin(const rt_image *i);
/* Errors: those of rt_gpu_driver and rt_module_prepare. */
rt_status rt_image_prepare(rt_image *i, int device, rt_error *err);
/* Errors: those of rt_gpu_driver and rt_kernel_start. */
rt_status rt_image_start(
	rt_image *i, const rt_kernel_packed *packed, int device, cu_stream stream, rt_error *err);
/* Registers, spills, blocks on an SM of the loaded kernel. */
rt_status rt_image_inspect(rt_image *i, int device, rt_module_info *info, rt_error *err);

/* --- program.c --- */

typedef struct rt_program rt_program;

/* Makes the kernel for so many query heads a group, or for tensors that TMA cannot take (0); called
 * without locks, at most once at a time a thread. Returns a status, and the source when that is
 * RT_OK. */
typedef rt_status rt_program_make(
	void *user, int64_t heads, rt_image_source *source, rt_error *err);

/* A program of no image yet; NULL: out of memory. `name`: in messages, copied. */
rt_program *rt_program_create(rt_gpu *gpu, const char *name);
void rt_program_destroy(rt_program *p); /* NULL is ignored */
/* Adds an image, before the first launch. false: there are RT_PROGRAM_IMAGES, or no memory. */
bool rt_program_add(rt_program *p, const rt_image_source *source);
/* Who makes what the images lack. `user` must live as long as the program. */
void rt_program_on_demand(rt_program *p, rt_program_make *make, void *user);
/* The images' targets, each once: "sm_80, sm_90a". */
void rt_program_targets(const rt_program *p, const char *separator, char *out, size_t size);
/* The best image for a device, whatever the number of heads. Errors: those of rt_gpu_driver, NO_CODE (names the targets). */
rt_status rt_program_best(rt_program *p, int device, rt_image **image, rt_error *err);
/* The code of the first image. */
const void *rt_program_code(const rt_program *p, size_t *size);
/* Loads all that a launch on the device may need, and makes it first where there is a maker. Errors:
 * those of rt_gpu_driver, rt_module_prepare and the maker; NO_CODE names the targets that there are. A
 * kernel for a number of heads that cannot be made is none. */
rt_status rt_program_prepare(rt_program *p, int device, rt_error *err);
/* The image that takes such a launch, and its packed arguments; packed->grid[0] = 0: there is
 * nothing to do, and *image is undefined. `stream`: nothing is made while it is captured (CAPTURE
 * where nothing there takes the tensors).
 * Errors: those of rt_kernel_pack, NO_CODE, LAYOUT (no image takes these tensors). */
rt_status rt_program_select(rt_program *p, const rt_kernel_args *args, int device, cu_stream stream,
	rt_kernel_packed *packed, rt_image **image, rt_error *err);
/* Selects and starts. Allocates nothing and waits for nothing when it has been prepared. */
rt_status rt_program_launch(
	rt_program *p, const rt_kernel_args *args, int device, cu_stream stream, rt_error *err);
