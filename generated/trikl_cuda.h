/* trikl_cuda.h: what Trikl's generated CUDA kernels are written with.
 *
 * Register tiles are the fragments of mma.sync (PTX ISA, "Matrix Fragments for mma.m16n8k16"): a
 * warp holds a tile as cells of 16 x 8 (accumulators), 16 x 16 (A) or 16 x 8 (B), and a thread holds
 * 4, 4 or 2 registers of each. A 16-bit register is a pair of neighbours, the first in the low half.
 *
 * C++17, nvcc or NVRTC, sm_75 or newer. The kernels rely on IEEE rounding, infinities and NaN: do
 * not compile them with --use_fast_math. */
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#ifndef __CUDACC_RTC__
#include <math.h>
#include <stdint.h>
#endif

namespace trikl {

#ifdef __CUDACC_RTC__
using int64_t = long long;
using uint32_t = unsigned int;
#endif
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif

using bf16 = __nv_bfloat16;
using f16 = __half;

/* --- integers --- */

/* Rounds down, where C rounds toward zero; 0 where b is 0. */
template <typename T> __device__ __forceinline__ T floor_div(T a, T b)
{
    if (b == 0)
        return 0;
    const T q = a / b;
    return q - (q * b != a && (a < 0) != (b < 0));
}

/* Has the sign of b; 0 where b is 0. */
template <typename T> __device__ __forceinline__ T floor_mod(T a, T b)
{
    return b == 0 ? 0 : a - floor_div(a, b) * b;
}

/* Modulo 2^32, 2^64: overflow is legal. */
__device__ __forceinline__ int wrap_add(int a, int b)
{
    return int(unsigned(a) + unsigned(b));
}

__device__ __forceinline__ int wrap_sub(int a, int b)
{
    return int(unsigned(a) - unsigned(b));
}

__device__ __forceinline__ int wrap_mul(int a, int b)
{
    return int(unsigned(a) * unsigned(b));
}

__device__ __forceinline__ int64_t wrap_add(int64_t a, int64_t b)
{
    return int64_t((unsigned long long)a + (unsigned long long)b);
}

__device__ __forceinline__ int64_t wrap_sub(int64_t a, int64_t b)
{
    return int64_t((unsigned long long)a - (unsigned long long)b);
}

__device__ __forceinline__ int64_t wrap_mul(int64_t a, int64_t b)
{
    return int64_t((unsigned long long)a * (unsigned long long)b);
}

/* --- floats --- */

/* 2^x, log2(x) and 1/x by the special function unit: about 1 ulp, subnormals are 0. */
__device__ __forceinline__ float ex2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float lg2(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float rcp(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* a / b within 2 ulp and the square root within 1, without the subroutine of the rounded ones. */
__device__ __forceinline__ float divide(float a, float b)
{
    float y;
    asm("div.full.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
    return y;
}

__device__ __forceinline__ float square_root(float x)
{
    float y;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* The nearest number of 10 mantissa bits, ties away from zero: an operand of mma_tf32. Volatile, so
 * that the parts of what a loop multiplies by are not all computed before it: they are too many. */
__device__ __forceinline__ float to_tf32(float x)
{
    uint32_t y;
    asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return __uint_as_float(y);
}

/* --- pairs of 16-bit floats in one register, rounded to nearest --- */

__device__ __forceinline__ uint32_t pack_bf16(float low, float high)
{
    uint32_t y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

__device__ __forceinline__ uint32_t pack_f16(float low, float high)
{
    const uint32_t l = __half_as_ushort(__float2half_rn(low));
    const uint32_t h = __half_as_ushort(__float2half_rn(high));
    return h << 16 | l;
}

__device__ __forceinline__ uint32_t pair(bf16 low, bf16 high)
{
    return (uint32_t)__bfloat16_as_ushort(high) << 16 | __bfloat16_as_ushort(low);
}

__device__ __forceinline__ uint32_t pair(f16 low, f16 high)
{
    return (uint32_t)__half_as_ushort(high) << 16 | __half_as_ushort(low);
}

/* Element e, 0 or 1, of a pair. */
__device__ __forceinline__ bf16 get_bf16(uint32_t x, int e)
{
    return __ushort_as_bfloat16((unsigned short)(x >> 16 * e));
}

__device__ __forceinline__ f16 get_f16(uint32_t x, int e)
{
    return __ushort_as_half((unsigned short)(x >> 16 * e));
}

__device__ __forceinline__ float unpack_bf16(uint32_t x, int e)
{
    return __uint_as_float(e ? x & 0xffff0000u : x << 16);
}

__device__ __forceinline__ float unpack_f16(uint32_t x, int e)
{
    return __half2float(get_f16(x, e));
}

/* a * b + c, rounded once. */
__device__ __forceinline__ uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t y;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(b), "r"(c));
    return y;
}

/* sm_80 has fma only: the product plus -0, and 1 * a + b, are rounded as product and sum are. */
__device__ __forceinline__ uint32_t mul_bf16x2(uint32_t a, uint32_t b)
{
    return fma_bf16x2(a, b, 0x80008000u);
}

__device__ __forceinline__ uint32_t add_bf16x2(uint32_t a, uint32_t b)
{
    return fma_bf16x2(a, 0x3f803f80u, b);
}

__device__ __forceinline__ uint32_t sub_bf16x2(uint32_t a, uint32_t b)
{
    return fma_bf16x2(b, 0xbf80bf80u, a);
}

__device__ __forceinline__ uint32_t neg_bf16x2(uint32_t a)
{
    return a ^ 0x80008000u;
}

__device__ __forceinline__ uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t y;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(b), "r"(c));
    return y;
}

__device__ __forceinline__ uint32_t mul_f16x2(uint32_t a, uint32_t b)
{
    uint32_t y;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
    return y;
}

__device__ __forceinline__ uint32_t add_f16x2(uint32_t a, uint32_t b)
{
    uint32_t y;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
    return y;
}

__device__ __forceinline__ uint32_t sub_f16x2(uint32_t a, uint32_t b)
{
    uint32_t y;
    asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
    return y;
}

__device__ __forceinline__ uint32_t neg_f16x2(uint32_t a)
{
    return a ^ 0x80008000u;
}

/* --- lanes --- */

/* Over the four lanes that share a row of a register tile. */
__device__ __forceinline__ float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ __forceinline__ float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* Whether x holds in any lane of the warp. */
__device__ __forceinline__ bool warp_any(bool x)
{
    return __any_sync(0xffffffffu, x) != 0;
}

/* --- shared memory --- */

/* Slots of ROWS x COLS elements in shared memory. A row is made of 16-byte chunks; chunk c of row r
 * lies at place c ^ (r >> (3 - SWIZZLE)) % 2^SWIZZLE, so that the same chunk of eight consecutive
 * rows lies in eight different banks. */
template <typename T, int ROWS, int COLS, int SWIZZLE> struct shared_buffer {
    static constexpr int align = SWIZZLE ? 1024 : 128;
    static constexpr int slot_bytes = (ROWS * COLS * (int)sizeof(T) + align - 1) / align * align;

    unsigned char *base;

    __device__ __forceinline__ explicit shared_buffer(unsigned char *bytes) : base(bytes)
    {
    }

    /* In bytes, inside a slot. */
    __host__ __device__ static constexpr int offset(int row, int col)
    {
        const int per_chunk = 16 / (int)sizeof(T);
        if (SWIZZLE == 0)
            return (row * COLS + col) * (int)sizeof(T);
        const int chunk = col / per_chunk ^ (row >> (3 - SWIZZLE) & ((1 << SWIZZLE) - 1));
        return row * COLS * (int)sizeof(T) + chunk * 16 + col % per_chunk * (int)sizeof(T);
    }

    __device__ __forceinline__ T &operator()(int slot, int row, int col) const
    {
        return *reinterpret_cast<T *>(base + slot * slot_bytes + offset(row, col));
    }

    __device__ __forceinline__ T &operator()(int row, int col) const
    {
        return (*this)(0, row, col);
    }

    /* A pair of elements; col is even. */
    __device__ __forceinline__ uint32_t pair(int slot, int row, int col) const
    {
        return *reinterpret_cast<const uint32_t *>(&(*this)(slot, row, col));
    }

    __device__ __forceinline__ uint32_t pair(int row, int col) const
    {
        return pair(0, row, col);
    }

    /* The address for ldmatrix and cp.async. */
    __device__ __forceinline__ uint32_t at(int slot, int row, int col) const
    {
        return (uint32_t)__cvta_generic_to_shared(&(*this)(slot, row, col));
    }

    __device__ __forceinline__ uint32_t at(int row, int col) const
    {
        return at(0, row, col);
    }
};

/* ldmatrix: each 8 lanes give the addresses of the rows (16 bytes each) of one register. */
template <typename T> __device__ __forceinline__ void ldmatrix(T (&x)[4], uint32_t at)
{
    uint32_t *const r = reinterpret_cast<uint32_t *>(x);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

template <typename T> __device__ __forceinline__ void ldmatrix(T (&x)[2], T (&y)[2], uint32_t at)
{
    uint32_t *const r = reinterpret_cast<uint32_t *>(x), *const s = reinterpret_cast<uint32_t *>(y);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(s[0]), "=r"(s[1])
                 : "r"(at)
                 : "memory");
}

template <typename T> __device__ __forceinline__ void ldmatrix(T (&x)[2], uint32_t at)
{
    uint32_t *const r = reinterpret_cast<uint32_t *>(x);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(at)
                 : "memory");
}

/* As ldmatrix, with each 8 x 8 of 16-bit elements transposed. */
__device__ __forceinline__ void ldmatrix_trans(uint32_t (&x)[4], uint32_t at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(at)
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_trans(uint32_t (&x)[2], uint32_t (&y)[2], uint32_t at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(y[0]), "=r"(y[1])
                 : "r"(at)
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_trans(uint32_t (&x)[2], uint32_t at)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(x[0]), "=r"(x[1])
                 : "r"(at)
                 : "memory");
}

/* --- asynchronous copies --- */

/* 16 bytes from global to shared memory, zeros where not `inside`; done after copy_wait. GPUs before
 * sm_80 copy at once. */
__device__ __forceinline__ void copy_async(uint32_t to, const void *from, bool inside)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(to), "l"(__cvta_generic_to_global(from)), "r"(inside ? 16 : 0)
                 : "memory");
#else
    const uint4 x = inside ? *static_cast<const uint4 *>(from) : uint4{0, 0, 0, 0};
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};"
                 :
                 : "r"(to), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w)
                 : "memory");
#endif
}

/* Closes this thread's group of copies. */
__device__ __forceinline__ void copy_commit()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Until at most GROUPS groups of this thread's copies are in flight. */
template <int GROUPS> __device__ __forceinline__ void copy_wait()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" : : "n"(GROUPS) : "memory");
#endif
}

/* --- rows to global memory --- */

/* The rows [row, row + ROWS) of a slot, COLS elements of each from column `col` on, 16 bytes a lane
 * at a time. Lane l has in `to` where row l % ROWS goes; nullptr: nowhere. Each lane asks the one that
 * has its row. */
template <int ROWS, int COLS, typename T, typename Buffer>
__device__ __forceinline__ void store_rows(T *to, const Buffer &from, int slot, int row, int col)
{
    constexpr int each = 16 / (int)sizeof(T), across = COLS / each, chunks = ROWS * across;
    __syncwarp();
#pragma unroll
    for (int n = 0; n < chunks; n += 32) {
        const int own = n + (int)(threadIdx.x % 32), chunk = own < chunks ? own : chunks - 1;
        const int r = chunk / across, c = chunk % across * each;
        T *const there = reinterpret_cast<T *>(
            __shfl_sync(0xffffffffu, reinterpret_cast<unsigned long long>(to), r));
        const uint4 x = *reinterpret_cast<const uint4 *>(&from(slot, row + r, col + c));
        if (there)
            *reinterpret_cast<uint4 *>(there + c) = x;
    }
    __syncwarp();
}

/* --- tensor cores: one cell of acc += a * b, accumulated in f32 --- */

__device__ __forceinline__ void mma_bf16(
    float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void mma_f16(
    float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int half = 0; half < 2; half++)
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
            "{%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
#endif
}

__device__ __forceinline__ void mma_tf32(
    float (&acc)[4], const float (&a)[4], const float (&b)[2])
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

} // namespace trikl
