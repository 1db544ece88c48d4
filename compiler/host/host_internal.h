/* host_internal.h: what the files of the CPU backend share. Nothing outside compiler/host includes
 * it.
 *
 * Two spaces of values. Along *features* a vector holds W consecutive d of one row or key (packing,
 * A, Gv, outputs). Along *lanes* a vector holds W rows at one key (scores). A lane is one (query
 * position, head, outer tuple). */
#pragma once
#include "host/host.h"
#include "runtime/cpu.h"
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

typedef LLVMValueRef V;
typedef LLVMTypeRef T;
typedef LLVMBasicBlockRef BB;

#define HOST_MAX_STREAMS MODEL_MAX_STREAMS
#define HOST_MAX_LANE_COORDS (2 + SEMA_MAX_KEYS)

/* A stream: a subexpression along features that the row alone, or one outer position alone,
 * decides. Row streams are computed once per (i, h); outer streams once per position, packed as f32
 * [position][extent_pad]. */
typedef struct {
	const expr *e;
	const sema_axis *d;
	int outer; /* position in row_form.outer, or -1 for a row stream */
	int extent, extent_pad;
	int row_offset; /* row streams: floats from the start of the row-stream buffer */
} host_stream;

/* Sizes that code generation and launch agree on; all strides in elements. */
typedef struct {
	int w;          /* f32 elements in a vector                                    */
	int nv;         /* vectors of lanes in a tile                                  */
	int lanes;      /* w * nv                                                      */
	int mr;         /* rows of a register block: keys (scores), features (values)  */
	int key_block;  /* most keys of one block                                      */
	host_dot dot;   /* resolved: never AUTO                                        */
	int depth_unit; /* features one step of the product consumes: 1, 2 or 32      */
	int d_total;    /* features of all segments, padded to depth_unit              */
	int a_words;    /* 32-bit words of one A row: d_total or d_total / 2, padded to w */
	int e_total;    /* value features of all outputs, each padded to mr and w      */
	int e_offset[MODEL_MAX_OUTPUTS];
	int e_extent[MODEL_MAX_OUTPUTS];
	int key_unit; /* keys of a block come in multiples of this                   */
	int panel;    /* keys of one packed panel of B                               */
	int key_pad;  /* keys are packed in multiples of this                        */
	int streams;
	host_stream stream[HOST_MAX_STREAMS];
	int row_stream_floats;
	int arg_stride[64]; /* first stride word of each tensor in the argument block */
	int arg_length, arg_param, arg_words;
} host_layout;

/* Byte offsets in a worker's scratch memory (launch.c allocates, kernel.c uses). Each is 64-byte
 * aligned. */
typedef struct {
	int64_t lane_coord[HOST_MAX_LANE_COORDS]; /* i32 [lanes]: i, h, outer...   */
	int64_t first, last;   /* i32 [lanes]: visible inner range                  */
	int64_t row;           /* i32 [lanes]: row of the accumulators              */
	int64_t c;             /* f32 [lanes]                                       */
	int64_t m, l;          /* f32 [lanes]: running maximum (log2 units) and sum */
	int64_t a_row;         /* words [lanes][a_words]                            */
	int64_t a;             /* words [a_words][lanes]                            */
	int64_t s;             /* f32 [key_block][lanes]: scores, then weights      */
	int64_t o;             /* f32 [e_total][lanes]                              */
	int64_t o_row;         /* f32 [lanes][e_total]                              */
	int64_t row_stream;    /* f32                                               */
	int64_t acc;           /* f32 [rows][acc_stride]: m, l, pad..., then O      */
	int64_t fixed_bytes;   /* everything before acc                             */
	int acc_stride, acc_o; /* floats per row; where O starts                   */
} host_scratch;

typedef struct {
	LLVMContextRef cx;
	LLVMModuleRef mod;
	LLVMBuilderRef b;
	V fn;
	T i1, i8, i16, i32, i64, f16, f32, f64, ptr, vd;
	T vf, vi; /* <w x float>, <w x i32> */
	const row_form *m;
	const sema_spec *s;
	host_layout lay;
	host_scratch scr;
	diags *d;
	bool fma; /* the CPU fuses multiply-add */
} host_cx;

/* --- builder.c --- */
void hb_init(host_cx *h, const char *name);
void hb_dispose(host_cx *h); /* builder only; the module goes to the JIT */
/* A function with ptr parameters, then i64 ones; exported names get the spec's name in front
 * (hb_symbol). */
V hb_function(host_cx *h, const char *name, int pointers, int integers, bool exported);
void hb_symbol(const sema_spec *s, const char *name, char *out, size_t size);
V hb_i64(host_cx *h, int64_t v);
V hb_i32(host_cx *h, int32_t v);
V hb_f32(host_cx *h, double v);
V hb_splat(host_cx *h, V x, int w);
V hb_const_splat(host_cx *h, V scalar_const, int w);
V hb_iota(host_cx *h, int w);
V hb_intrinsic(host_cx *h, const char *name, T *over, int overs, V *arg, int args);
V hb_at(host_cx *h, V base, V index, T elem);     /* &((elem *)base)[index] */
V hb_at_bytes(host_cx *h, V base, int64_t bytes); /* base + constant */
V hb_load(host_cx *h, T type, V p, int align);
void hb_store(host_cx *h, V x, V p, int align);
V hb_var(host_cx *h, T type,
	V init); /* an alloca in the entry block, set here to `init` (NULL: left unset) */
V hb_get(host_cx *h, T type, V var);
V hb_add(host_cx *h, V a, V b);
V hb_sub(host_cx *h, V a, V b);
V hb_mul(host_cx *h, V a, V b);
V hb_smin(host_cx *h, V a, V b);
V hb_smax(host_cx *h, V a, V b);
V hb_fma(host_cx *h, V a, V b, V c);
V hb_select(host_cx *h, V c, V a, V b);
V hb_icmp(host_cx *h, LLVMIntPredicate p, V a, V b);
V hb_fcmp(host_cx *h, LLVMRealPredicate p, V a, V b);
V hb_vload(host_cx *h, V p, int align); /* <w x float> */
T hb_vec(host_cx *h, T elem, int w);
int hb_width(V x); /* 1 for a scalar */
BB hb_block(host_cx *h, const char *name);
void hb_attr(host_cx *h, V fn, unsigned at, const char *name);

typedef struct {
	BB head, exit;
	V i;
	V step;
} hb_loop;
/* for (i = lo; i < hi; i += step), i64; the body is what is built before hb_loop_end. */
hb_loop hb_loop_begin(host_cx *h, V lo, V hi, V step, const char *name);
void hb_loop_end(host_cx *h, hb_loop *l);

typedef struct {
	BB other, end;
	bool has_else;
} hb_if;
hb_if hb_if_begin(host_cx *h, V cond);
void hb_if_else(host_cx *h, hb_if *i);
void hb_if_end(host_cx *h, hb_if *i);

/* --- math.c: on scalars or vectors of f32 --- */
V hm_exp2_neg(host_cx *h, V x); /* x <= 0 or NaN; -inf and below -127 give exactly 0 */
V hm_exp(host_cx *h, V x);
V hm_log(host_cx *h, V x);
V hm_tanh(host_cx *h, V x);
V hm_call(host_cx *h, const char *name, V x,
	V y); /* libm in double, lane by lane; y NULL for one argument */

/* --- value.c --- */
typedef struct host_env host_env;
struct host_env {
	host_cx *h;
	int width;             /* 1, or w */
	V args;                /* the argument block */
	V *coord;              /* [axes]: scalar i64 coordinate, or NULL */
	V *vcoord;             /* [axes]: <w x i32> coordinates, or NULL */
	const sema_axis *unit; /* feature axis along the vector, NULL */
	V unit_base;           /* scalar i64: first feature of the vector */
	V mask;                /* <w x i1>: features inside the extent; NULL when all are */
	V dot;                 /* value of EXPR_DOT */
	bool in_double;
	/* Row and outer streams: their pointers at the current position; NULL entries are not
	 * available. */
	V *stream_at;          /* [streams] */
	V *memo;               /* by expr id */
	unsigned char *varies; /* by expr id: 0 unknown, 1 no, 2 yes */
};
void hv_env_init(host_env *e, host_cx *h, V args, int width);
void hv_env_free(host_env *e);
/* Forget computed values (coordinates changed or another block no longer dominates). */
void hv_env_reset(host_env *e);
/* The value as f32 / i64-or-i32 / i1, with env->width elements. */
V hv_float(host_env *e, const expr *x);
V hv_bool(host_env *e, const expr *x);
V hv_int64(host_env *e, const expr *x); /* scalar only */
/* As the three above without splatting; the representation is value.c's. */
V hv_generate(host_env *e, const expr *x);

/* --- access.c --- */
V hv_load_element(host_env *e, const expr *load);
V hv_length(host_env *e, const sema_length *l);
V hv_data(host_env *e, const sema_tensor *t);
V hv_stride(host_env *e, const sema_tensor *t, int dim);
/* Address of an output element given every subscript (scalar i64). */
V hv_output_address(host_env *e, const sema_tensor *t, V *sub);
/* Stores the first `valid` elements of `x` (f32) as t's dtype, `stride` elements apart. */
void hv_output_store(host_env *e, const sema_tensor *t, V address, V stride, V x, int valid);
V hv_round_bf16(host_cx *h, V x); /* f32 -> i16 bits, nearest even, NaN kept */

/* --- stream.c --- */
/* Fills lay.stream from the row form; false: too many, reported. */
bool hs_collect(host_cx *h);
/* The stream that `e` is, or -1. */
int hs_find(const host_layout *l, const expr *e);
/* Writes stream `s` at the environment's coordinates to f32 dst[0 .. extent_pad). */
void hs_emit(host_env *e, const host_stream *s, V dst);
/* Runs `body` for each vector of a feature axis with the environment set up for it: unit, base,
 * mask. */
typedef void hs_feature_body(host_env *e, V base, int valid, void *user);
void hs_for_features(
	host_env *e, const sema_axis *d, int extent, hs_feature_body *body, void *user);

/* --- target.c --- */
/* A target machine with the strings it was made from. */
typedef struct {
	LLVMTargetMachineRef tm;
	char *triple, *cpu, *features;
} host_target;

bool hg_target_open(host_target *t, const host_options *o, diags *d);
void hg_target_close(host_target *t);
/* Lays the kernel out and builds every function into h->mod; false: reported. */
bool hg_build_module(
	host_cx *h, const row_form *m, const host_options *o, const host_target *t, diags *d);
void hg_optimise(LLVMModuleRef mod, LLVMTargetMachineRef tm);

/* --- table.c --- */
/* Everything of the launch table but the functions; false: too large, reported. */
bool hg_table(rt_cpu_kernel *k, const host_cx *h, diags *d);

/* --- layout.c --- */
void hl_layout(host_cx *h, const host_options *o, const char *features);

/* --- micro.c --- */
/* C[m][lanes] (+)= sum over steps of X(step, m) * Y[step][lanes], m in one block of lay.mr rows. X
 * is f32 [step][ldx], bf16 pairs [step][ldx][2], or for AMX 16 x 32 tiles ldx elements apart;
 * `init` (nv vectors) starts the sums when not NULL, C itself when `accumulate`. */
void hk_product(host_cx *h, V x, int64_t ldx, V y, V steps, V c, V *init, bool accumulate);
/* dst[j][i] = src[i][j] for w x w words, strides in words. */
void hk_transpose(host_cx *h, V src, V src_stride, V dst, V dst_stride);
void hk_transpose_define(host_cx *h);
/* AMX tile shapes for this thread, and their release; nothing on other targets. */
void hk_tiles_begin(host_cx *h);
void hk_tiles_end(host_cx *h);

/* --- pack.c --- */
void hp_define_pack_outer(host_cx *h, int outer);
void hp_define_pack_inner(host_cx *h);
void hp_define_range(host_cx *h);
/* First and last coordinate of a key axis inside its window and [0, length); scalar i64. */
void hp_window(host_env *e, const sema_axis *key, V *first, V *last);
/* Element (key, feature) of the packed V. */
V hp_value_address(host_cx *h, V base, V key, V feature);
/* Sets the ROW and GROUP coordinates of the environment from the function's coordinate array. */
void hp_bind_coords(host_env *e, V coord);

/* --- tile.c, rows.c --- */
void ht_define_tile(host_cx *h);
void ht_call_tile(host_cx *h, V args, V coord, V packed, V scratch, V lanes);
void hr_define_rows(host_cx *h);
/* Offset of the packed operand in the `packed` array: B, V, bad-key flags, then outer streams. */
enum { HOST_PACKED_B, HOST_PACKED_V, HOST_PACKED_BAD, HOST_PACKED_STREAM };
/* A linear score's scale is applied to the f32 product, where it costs nothing, so that A = q stays
 * exact in bf16; a scale that is not positive goes into A and c instead. */
double hr_a_scale(const row_form *m);
double hr_score_scale(const row_form *m);
/* lane_coord slots */
enum { HOST_LANE_I, HOST_LANE_H, HOST_LANE_OUTER };
