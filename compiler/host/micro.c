/* micro.c: the products, blocked for registers, and the word transpose.
 * Both products of attention have one shape here: rows of C are keys (scores) or value features
 * (outputs), columns are lanes. X is read as scalars that are broadcast, Y as vectors, so nothing
 * is ever reduced across a vector. */
#include "host/host_internal.h"
#include <string.h>

enum { TILE_C0, TILE_C1, TILE_X, TILE_Y0, TILE_Y1, TILES };

/* One bf16 pair product: acc += y.lo * x.lo + y.hi * x.hi, x the same pair in every lane. */
static V dot_pair(host_cx *h, V acc, V y, V x)
{
	T pairs = LLVMVectorType(LLVMBFloatTypeInContext(h->cx), (unsigned)h->lay.w * 2);
	V arg[] = {acc, LLVMBuildBitCast(h->b, y, pairs, ""),
		LLVMBuildBitCast(h->b, hb_splat(h, x, h->lay.w), pairs, "")};

	return hb_intrinsic(h, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, 0, arg, 3);
}

static V multiply_add(host_cx *h, V acc, V y, V x)
{
	if (h->lay.dot == HOST_DOT_AVX512BF16)
		return dot_pair(h, acc, y, x);
	return hb_fma(h, hb_splat(h, x, h->lay.w), y, acc);
}

static void product_vector(
	host_cx *h, V x, int64_t ldx, V y, V steps, V c, V *init, bool accumulate)
{
	const host_layout *l = &h->lay;
	bool pairs = l->dot == HOST_DOT_AVX512BF16;
	T word = pairs ? h->i32 : h->f32, vec = pairs ? h->vi : h->vf;
	V acc[64];
	hb_loop k;

	for (int m = 0; m < l->mr; m++)
		for (int v = 0; v < l->nv; v++) {
			V at = hb_at_bytes(h, c, ((int64_t)m * l->lanes + v * l->w) * 4);
			V from = accumulate ? hb_vload(h, at, 64)
				 : init     ? init[v]
					    : LLVMConstNull(h->vf);

			acc[m * l->nv + v] = hb_var(h, h->vf, NULL);
			LLVMBuildStore(h->b, from, acc[m * l->nv + v]);
		}
	k = hb_loop_begin(h, hb_i64(h, 0), steps, hb_i64(h, 1), "product");
	{
		V xk = hb_at(h, x, LLVMBuildNSWMul(h->b, k.i, hb_i64(h, ldx), ""), h->i32);
		V yk = hb_at(h, y, LLVMBuildNSWMul(h->b, k.i, hb_i64(h, l->lanes), ""), h->i32);
		V yv[8];

		for (int v = 0; v < l->nv; v++)
			yv[v] = hb_load(h, vec, hb_at_bytes(h, yk, (int64_t)v * l->w * 4), 16);
		for (int m = 0; m < l->mr; m++) {
			V xm = hb_load(h, word, hb_at_bytes(h, xk, (int64_t)m * 4), 4);

			for (int v = 0; v < l->nv; v++) {
				V slot = acc[m * l->nv + v];

				LLVMBuildStore(h->b,
					multiply_add(h, hb_get(h, h->vf, slot), yv[v], xm), slot);
			}
		}
	}
	hb_loop_end(h, &k);
	for (int m = 0; m < l->mr; m++)
		for (int v = 0; v < l->nv; v++)
			hb_store(h, hb_get(h, h->vf, acc[m * l->nv + v]),
				hb_at_bytes(h, c, ((int64_t)m * l->lanes + v * l->w) * 4), 64);
}

static V tile_number(host_cx *h, int tile)
{
	return LLVMConstInt(h->i8, (unsigned)tile, 0);
}

static void tile_load(host_cx *h, int tile, V at, int64_t stride)
{
	V arg[] = {tile_number(h, tile), at, hb_i64(h, stride)};

	hb_intrinsic(h, "llvm.x86.tileloadd64", NULL, 0, arg, 3);
}

/* AMX: C in two 16 x 16 tiles (16 rows of X, 32 lanes); one step is 32 bf16 of depth. Y is [16
 * pairs][lanes]. */
static void product_tiles(host_cx *h, V x, int64_t ldx, V y, V steps, V c, bool accumulate)
{
	const host_layout *l = &h->lay;
	int64_t row = (int64_t)l->lanes * 4;
	hb_loop k;

	for (int v = 0; v < 2; v++) {
		V zero[] = {tile_number(h, TILE_C0 + v)};

		if (accumulate)
			tile_load(h, TILE_C0 + v, hb_at_bytes(h, c, (int64_t)v * 64), row);
		else
			hb_intrinsic(h, "llvm.x86.tilezero", NULL, 0, zero, 1);
	}
	k = hb_loop_begin(h, hb_i64(h, 0), steps, hb_i64(h, 1), "product");
	tile_load(h, TILE_X, hb_at(h, x, LLVMBuildMul(h->b, k.i, hb_i64(h, ldx), ""), h->i16), 64);
	for (int v = 0; v < 2; v++) {
		V at = hb_at(h, y, LLVMBuildMul(h->b, k.i, hb_i64(h, 16 * l->lanes), ""), h->i32);
		V arg[] = {tile_number(h, TILE_C0 + v), tile_number(h, TILE_X),
			tile_number(h, TILE_Y0 + v)};

		tile_load(h, TILE_Y0 + v, hb_at_bytes(h, at, (int64_t)v * 64), row);
		hb_intrinsic(h, "llvm.x86.tdpbf16ps", NULL, 0, arg, 3);
	}
	hb_loop_end(h, &k);
	for (int v = 0; v < 2; v++) {
		V arg[] = {tile_number(h, TILE_C0 + v), hb_at_bytes(h, c, (int64_t)v * 64),
			hb_i64(h, row)};

		hb_intrinsic(h, "llvm.x86.tilestored64", NULL, 0, arg, 3);
	}
}

void hk_product(host_cx *h, V x, int64_t ldx, V y, V steps, V c, V *init, bool accumulate)
{
	if (h->lay.dot == HOST_DOT_AMX)
		product_tiles(h, x, ldx, y, steps, c, accumulate);
	else
		product_vector(h, x, ldx, y, steps, c, init, accumulate);
}

/* Palette 1, every tile 16 rows of 64 bytes. */
void hk_tiles_begin(host_cx *h)
{
	unsigned char bytes[64] = {1};
	V lane[64], config, global;

	if (h->lay.dot != HOST_DOT_AMX)
		return;
	for (int t = 0; t < TILES; t++) {
		bytes[16 + 2 * t] = 64;
		bytes[48 + t] = 16;
	}
	for (int i = 0; i < 64; i++)
		lane[i] = LLVMConstInt(h->i8, bytes[i], 0);
	config = LLVMConstArray2(h->i8, lane, 64);
	global = LLVMAddGlobal(h->mod, LLVMTypeOf(config), "tile_config");
	LLVMSetInitializer(global, config);
	LLVMSetGlobalConstant(global, 1);
	LLVMSetLinkage(global, LLVMInternalLinkage);
	LLVMSetAlignment(global, 64);
	hb_intrinsic(h, "llvm.x86.ldtilecfg", NULL, 0, &global, 1);
}

void hk_tiles_end(host_cx *h)
{
	if (h->lay.dot == HOST_DOT_AMX)
		hb_intrinsic(h, "llvm.x86.tilerelease", NULL, 0, NULL, 0);
}

/* zip of two vectors: a0 b0 a1 b1 ...; the low or high half of the result. */
static V zip(host_cx *h, V a, V b, bool high)
{
	V lane[64];
	int w = hb_width(a);

	for (int i = 0; i < w; i++)
		lane[i] = hb_i32(h, (high ? w / 2 : 0) + i / 2 + (i & 1 ? w : 0));
	return LLVMBuildShuffleVector(h->b, a, b, LLVMConstVector(lane, (unsigned)w), "");
}

/* log2(w) rounds of zipping row i with row i + w/2 transpose w rows of w words. */
void hk_transpose_define(host_cx *h)
{
	int w = h->lay.w;
	V fn = hb_function(h, "transpose", 2, 2, false);
	V src = LLVMGetParam(fn, 0), dst = LLVMGetParam(fn, 1);
	V row[64], next[64];

	for (int i = 0; i < w; i++)
		row[i] = hb_load(h, h->vi,
			hb_at(h, src, LLVMBuildMul(h->b, LLVMGetParam(fn, 2), hb_i64(h, i), ""),
				h->i32),
			4);
	for (int round = 1; round < w; round *= 2) {
		for (int i = 0; i < w / 2; i++) {
			next[2 * i] = zip(h, row[i], row[i + w / 2], false);
			next[2 * i + 1] = zip(h, row[i], row[i + w / 2], true);
		}
		memcpy(row, next, sizeof row);
	}
	for (int i = 0; i < w; i++)
		hb_store(h, row[i],
			hb_at(h, dst, LLVMBuildMul(h->b, LLVMGetParam(fn, 3), hb_i64(h, i), ""),
				h->i32),
			4);
	LLVMBuildRetVoid(h->b);
}

void hk_transpose(host_cx *h, V src, V src_stride, V dst, V dst_stride)
{
	V fn = LLVMGetNamedFunction(h->mod, "transpose");
	V arg[] = {src, dst, src_stride, dst_stride};

	LLVMBuildCall2(h->b, LLVMGlobalGetValueType(fn), fn, arg, 4, "");
}
