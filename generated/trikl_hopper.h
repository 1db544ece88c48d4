/* trikl_hopper.h: what Trikl's generated CUDA kernels for Hopper are written with, beside
 * trikl_cuda.h: loads by TMA, the mbarriers that say when they have landed, and what stands around
 * products of warpgroups. The products themselves stand before the kernel, one function for each
 * shape that it uses.
 *
 * C++17, nvcc or NVRTC, -gencode arch=compute_90a,code=sm_90a. */
#pragma once
#include "trikl_cuda.h"
#ifdef __CUDACC_RTC__
struct alignas(64) CUtensorMap {
    unsigned char opaque[128];
};
#else
#include <cuda.h>
#endif

namespace trikl {

#ifdef __CUDACC_RTC__
using uint64_t = unsigned long long;
#endif

/* --- shared memory in panels --- */

/* Slots of ROWS x COLS elements, as TMA writes and wgmma reads them: 64 columns (128 bytes) are a
 * panel, a slot is its panels one after the other. Chunk c of row r of a panel lies at place
 * c ^ r % 8. */
template <typename T, int ROWS, int COLS> struct panel_buffer {
    static constexpr int panel_bytes = ROWS * 128;
    static constexpr int slot_bytes = (COLS + 63) / 64 * panel_bytes;

    unsigned char *base;

    __device__ __forceinline__ explicit panel_buffer(unsigned char *bytes) : base(bytes)
    {
    }

    /* In bytes, inside a slot. */
    __host__ __device__ static constexpr int offset(int row, int col)
    {
        return col / 64 * panel_bytes + row * 128 + (col % 64 / 8 ^ row % 8) * 16 + col % 8 * 2;
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

    /* The address for ldmatrix, stmatrix, cp.async and TMA. */
    __device__ __forceinline__ uint32_t at(int slot, int row, int col) const
    {
        return (uint32_t)__cvta_generic_to_shared(&(*this)(slot, row, col));
    }

    __device__ __forceinline__ uint32_t at(int row, int col) const
    {
        return at(0, row, col);
    }

    /* The matrix from (row, col) on, 16 columns of it, for wgmma: its rows are those of a, or the
     * columns of b (K-major). row is a multiple of 8, col of 16. */
    __device__ __forceinline__ uint64_t k_major(int slot, int row, int col) const
    {
        return descriptor(slot * (slot_bytes / 16) + col / 64 * (panel_bytes / 16) + row * 8 +
                              col % 64 / 8,
                          1);
    }

    __device__ __forceinline__ uint64_t k_major(int row, int col) const
    {
        return k_major(0, row, col);
    }

    /* The matrix from (row, col) on, 16 rows of it: the rows of b (MN-major). row is a multiple of
     * 8, col of 64. */
    __device__ __forceinline__ uint64_t mn_major(int slot, int row, int col) const
    {
        return descriptor(slot * (slot_bytes / 16) + col / 64 * (panel_bytes / 16) + row * 8,
                          panel_bytes / 16);
    }

    __device__ __forceinline__ uint64_t mn_major(int row, int col) const
    {
        return mn_major(0, row, col);
    }

  private:
    /* PTX ISA, "Matrix descriptor": bits 0-13 the address, 16-29 the leading byte offset, from one
     * panel to the next, 32-45 the stride byte offset, from eight rows to the next, all in units of
     * 16 bytes; 62-63: 1, the swizzle of 128 bytes. */
    __device__ __forceinline__ uint64_t descriptor(int chunk, int leading) const
    {
        const uint32_t first = (uint32_t)__cvta_generic_to_shared(base) / 16 + chunk;
        const uint32_t stride = 8 * 128 / 16, swizzle = 1u << 30;
        return (uint64_t)(stride | swizzle) << 32 | (first | leading << 16);
    }
};

/* stmatrix: each 8 lanes give the addresses of the rows (16 bytes each) of one register. */
__device__ __forceinline__ void stmatrix(uint32_t at, const uint32_t (&x)[4])
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
                 :
                 : "r"(at), "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3])
                 : "memory");
}

/* --- mbarriers, counters, numbered barriers --- */

/* All lanes of a warp execute these functions. What happens once a warp, its lane 0 does, under a
 * predicate, so that the warp does not split. */
__device__ __forceinline__ uint32_t lane_number()
{
    return threadIdx.x % 32;
}

/* The warp of this thread, in a way that tells the compiler that all lanes have the same. */
__device__ __forceinline__ int warp_number()
{
    return __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
}

/* mbarriers in shared memory. A phase of one is complete when as many warps have arrived as init
 * said and all bytes that they expect have been loaded; then the next phase begins. */
template <int SLOTS> struct mbarriers {
    uint32_t base;

    __device__ __forceinline__ explicit mbarriers(unsigned char *bytes)
        : base((uint32_t)__cvta_generic_to_shared(bytes))
    {
    }

    __device__ __forceinline__ uint32_t at(int slot) const
    {
        return base + slot * 8;
    }

    /* Then fence_async and a barrier of the block. */
    __device__ __forceinline__ void init(int arrivals) const
    {
#pragma unroll
        for (int slot = 0; slot < SLOTS; slot++)
            asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %2, 0;\n"
                         "@first mbarrier.init.shared::cta.b64 [%0], %1;\n}"
                         :
                         : "r"(at(slot)), "r"(arrivals), "r"(lane_number())
                         : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }

    /* Arrives, and expects that many bytes of loads. */
    __device__ __forceinline__ void expect(int slot, int bytes) const
    {
        __syncwarp();
        asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %2, 0;\n"
                     "@first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n}"
                     :
                     : "r"(at(slot)), "r"(bytes), "r"(lane_number())
                     : "memory");
    }

    __device__ __forceinline__ void arrive(int slot) const
    {
        __syncwarp();
        asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %1, 0;\n"
                     "@first mbarrier.arrive.shared::cta.b64 _, [%0];\n}"
                     :
                     : "r"(at(slot)), "r"(lane_number())
                     : "memory");
    }

    /* Until the phase of this parity, 0 or 1, is complete. */
    __device__ __forceinline__ void await(int slot, int parity) const
    {
        asm volatile("{\n.reg .pred complete;\nagain:\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
                     "@!complete bra again;\n}"
                     :
                     : "r"(at(slot)), "r"(parity)
                     : "memory");
    }
};

/* Counters in shared memory. */
template <int SLOTS> struct counters {
    uint32_t base;

    __device__ __forceinline__ explicit counters(unsigned char *bytes)
        : base((uint32_t)__cvta_generic_to_shared(bytes))
    {
    }

    /* Then a barrier of the block. */
    __device__ __forceinline__ void init() const
    {
#pragma unroll
        for (int slot = 0; slot < SLOTS; slot++)
            asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %1, 0;\n"
                         "@first st.shared::cta.u32 [%0], 0;\n}"
                         :
                         : "r"(base + slot * 4), "r"(lane_number())
                         : "memory");
    }

    /* How many warps have been here before. What they did before is done. */
    __device__ __forceinline__ int next(int slot) const
    {
        int before = 0;
        __syncwarp();
        asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %2, 0;\n"
                     "@first atom.acq_rel.cta.shared::cta.add.u32 %0, [%1], 1;\n}"
                     : "+r"(before)
                     : "r"(base + slot * 4), "r"(lane_number())
                     : "memory");
        return __shfl_sync(0xffffffffu, before, 0);
    }
};

/* One of the 16 numbered barriers, among `threads` threads: arrive and wait for the others. */
__device__ __forceinline__ void barrier_sync(int number, int threads)
{
    asm volatile("bar.sync %0, %1;" : : "r"(number), "r"(threads) : "memory");
}

/* Arrives, and goes on. */
__device__ __forceinline__ void barrier_arrive(int number, int threads)
{
    asm volatile("bar.arrive %0, %1;" : : "r"(number), "r"(threads) : "memory");
}

/* --- TMA --- */

/* What this thread stored to shared memory is there for TMA and wgmma, once a barrier has told
 * those who issue them. */
__device__ __forceinline__ void fence_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* One box of a tensor from the given coordinates on, outermost first; zeros where there is no
 * element. Its bytes count for the mbarrier at `full`. */
__device__ __forceinline__ void tma_load(uint32_t to, const CUtensorMap &map, uint32_t full, int x0)
{
    asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %4, 0;\n"
                 "@first cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::"
                 "bytes [%0], [%1, {%3}], [%2];\n}"
                 :
                 : "r"(to), "l"(&map), "r"(full), "r"(x0), "r"(lane_number())
                 : "memory");
}

__device__ __forceinline__ void tma_load(
    uint32_t to, const CUtensorMap &map, uint32_t full, int x1, int x0)
{
    asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %5, 0;\n"
                 "@first cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::"
                 "bytes [%0], [%1, {%3, %4}], [%2];\n}"
                 :
                 : "r"(to), "l"(&map), "r"(full), "r"(x0), "r"(x1), "r"(lane_number())
                 : "memory");
}

__device__ __forceinline__ void tma_load(
    uint32_t to, const CUtensorMap &map, uint32_t full, int x2, int x1, int x0)
{
    asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %6, 0;\n"
                 "@first cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::"
                 "bytes [%0], [%1, {%3, %4, %5}], [%2];\n}"
                 :
                 : "r"(to), "l"(&map), "r"(full), "r"(x0), "r"(x1), "r"(x2), "r"(lane_number())
                 : "memory");
}

__device__ __forceinline__ void tma_load(
    uint32_t to, const CUtensorMap &map, uint32_t full, int x3, int x2, int x1, int x0)
{
    asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %7, 0;\n"
                 "@first cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::"
                 "bytes [%0], [%1, {%3, %4, %5, %6}], [%2];\n}"
                 :
                 : "r"(to), "l"(&map), "r"(full), "r"(x0), "r"(x1), "r"(x2), "r"(x3),
                   "r"(lane_number())
                 : "memory");
}

__device__ __forceinline__ void tma_load(
    uint32_t to, const CUtensorMap &map, uint32_t full, int x4, int x3, int x2, int x1, int x0)
{
    asm volatile("{\n.reg .pred first;\nsetp.eq.u32 first, %8, 0;\n"
                 "@first cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::"
                 "bytes [%0], [%1, {%3, %4, %5, %6, %7}], [%2];\n}"
                 :
                 : "r"(to), "l"(&map), "r"(full), "r"(x0), "r"(x1), "r"(x2), "r"(x3), "r"(x4),
                   "r"(lane_number())
                 : "memory");
}

/* --- around products of a warpgroup --- */

/* Registers, which the compiler must have here: it knows nothing of products in flight. */
__device__ __forceinline__ void tie(float &x)
{
    asm volatile("" : "+f"(x) : : "memory");
}

__device__ __forceinline__ void tie(uint32_t &x)
{
    asm volatile("" : "+r"(x) : : "memory");
}

template <typename T, int N> __device__ __forceinline__ void tie(T (&x)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        tie(x[i]);
}

/* Before products: what was done to the registers of these tiles, and of all others, is done. */
template <typename... T> __device__ __forceinline__ void wgmma_fence(T &...tiles)
{
    (tie(tiles), ...);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/* Closes the group of the products since the last one. */
__device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Until at most GROUPS groups of products are in flight; then these tiles may be touched. */
template <int GROUPS, typename... T> __device__ __forceinline__ void wgmma_wait(T &...tiles)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(GROUPS) : "memory");
    (tie(tiles), ...);
}

} // namespace trikl
