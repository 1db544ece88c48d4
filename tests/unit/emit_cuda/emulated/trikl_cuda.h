/* trikl_cuda.h, for g++: the names of generated/trikl_cuda.h and of CUDA, on the CPU.
 * Each thread of a block is a fiber; what a warp or a block does together waits for all of them and
 * exchanges values through memory, as PTX says for mma.sync and ldmatrix. Asynchronous copies land
 * at once. For tests of the generated text: it runs, and must give the kernel's results. */
#pragma once
#include <functional>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <vector>

#define __global__
#define __shared__
#define __align__(n)
#define __launch_bounds__(...)

/* --- fibers --- */

namespace emulator
{

struct position {
	int x, y, z;
};

/* Threads that wait for each other. */
struct group {
	int size, arrived, generation;
	uint64_t slot[32][4];
};

struct fiber {
	ucontext_t context;
	std::vector<unsigned char> stack;
	int tid;
	bool done;
	position thread;
};

inline ucontext_t scheduler;
inline std::vector<fiber> fibers;
inline std::vector<group> warps;
inline group block;
inline fiber *current;
inline position block_index;
inline unsigned char *base;
inline const std::function<void()> *body;

inline void meet(group &g)
{
	const int generation = g.generation;

	if (++g.arrived == g.size) {
		g.arrived = 0;
		g.generation++;
		return;
	}
	while (g.generation == generation)
		swapcontext(&current->context, &scheduler);
}

inline void enter()
{
	(*body)();
	current->done = true;
	swapcontext(&current->context, &scheduler);
}

/* What every lane of the warp gives, by lane. */
struct gathered {
	uint64_t lane[32][4];
};

inline gathered exchange(const uint64_t (&mine)[4])
{
	group &warp = warps[current->tid / 32];
	gathered all;

	memcpy(warp.slot[current->tid % 32], mine, sizeof mine);
	meet(warp);
	memcpy(all.lane, warp.slot, sizeof all.lane);
	meet(warp);
	return all;
}

inline void run_block(int threads)
{
	int left = threads;

	fibers.clear();
	fibers.resize(threads);
	warps.assign(threads / 32, group{32, 0, 0, {}});
	block = group{threads, 0, 0, {}};
	for (int t = 0; t < threads; t++) {
		fiber &f = fibers[t];

		f.tid = t;
		f.done = false;
		f.thread = {t, 0, 0};
		f.stack.resize(128 * 1024);
		getcontext(&f.context);
		f.context.uc_stack.ss_sp = f.stack.data();
		f.context.uc_stack.ss_size = f.stack.size();
		f.context.uc_link = nullptr;
		makecontext(&f.context, enter, 0);
	}
	while (left > 0)
		for (fiber &f : fibers)
			if (!f.done) {
				current = &f;
				swapcontext(&scheduler, &f.context);
				left -= f.done;
			}
}

/* Shared memory is NaN at first. */
inline void launch(const int64_t *grid, int threads, unsigned char *shared, size_t bytes,
	const std::function<void()> &kernel)
{
	base = shared;
	body = &kernel;
	for (int y = 0; y < grid[1]; y++)
		for (int x = 0; x < grid[0]; x++) {
			block_index = {x, y, 0};
			memset(shared, 0xff, bytes);
			run_block(threads);
		}
}

inline uint32_t bits(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof u);
	return u;
}

inline float number(uint32_t u)
{
	float x;

	memcpy(&x, &u, sizeof x);
	return x;
}

} // namespace emulator

/* --- CUDA --- */

#define threadIdx (emulator::current->thread)
#define blockIdx (emulator::block_index)

inline int min(int a, int b)
{
	return a < b ? a : b;
}
inline int max(int a, int b)
{
	return a > b ? a : b;
}
inline int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}
inline int64_t max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}
inline float __fmul_rn(float a, float b)
{
	return a * b;
}
inline int __float_as_int(float x)
{
	return (int)emulator::bits(x);
}
inline float __int_as_float(int x)
{
	return emulator::number((uint32_t)x);
}
inline void __syncthreads()
{
	emulator::meet(emulator::block);
}

/* Whether x is not 0 in any thread of the block. */
inline int __syncthreads_or(int x)
{
	static int any;

	emulator::meet(emulator::block);
	any = 0;
	emulator::meet(emulator::block);
	any |= x != 0;
	emulator::meet(emulator::block);
	return any;
}

inline int __float2int_rz(float x)
{
	return x != x               ? 0
	       : x >= 2147483648.0f ? INT32_MAX
	       : x < -2147483648.0f ? INT32_MIN
				    : (int)x;
}

namespace trikl
{

/* --- numbers --- */

struct bf16 {
	uint16_t bits;

	bf16() = default;
	explicit bf16(float x)
	{
		const uint32_t u = emulator::bits(x);

		bits = x != x ? 0x7fff : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
	}
	explicit operator float() const
	{
		return emulator::number((uint32_t)bits << 16);
	}
};

struct f16 {
	_Float16 value;

	f16() = default;
	explicit f16(float x) : value((_Float16)x)
	{
	}
	explicit operator float() const
	{
		return (float)value;
	}
};

template <typename T> T floor_div(T a, T b)
{
	return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
}

template <typename T> T floor_mod(T a, T b)
{
	return b == 0 ? 0 : a - floor_div(a, b) * b;
}

inline int wrap_add(int a, int b)
{
	return (int)((unsigned)a + (unsigned)b);
}
inline int wrap_sub(int a, int b)
{
	return (int)((unsigned)a - (unsigned)b);
}
inline int wrap_mul(int a, int b)
{
	return (int)((unsigned)a * (unsigned)b);
}
inline int64_t wrap_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}
inline int64_t wrap_sub(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}
inline int64_t wrap_mul(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a * (uint64_t)b);
}

inline float flush(float x)
{
	return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}
inline float ex2(float x)
{
	return flush(exp2f(flush(x)));
}
inline float lg2(float x)
{
	return log2f(flush(x));
}
inline float divide(float a, float b)
{
	return a / b;
}
inline float square_root(float x)
{
	return sqrtf(x);
}
inline float rcp(float x)
{
	return flush(1 / flush(x));
}

inline float to_tf32(float x)
{
	const uint32_t u = emulator::bits(x);

	return (u & 0x7f800000) == 0x7f800000 ? x : emulator::number((u + 0x1000) & ~0x1fffu);
}

template <typename T> uint16_t half_bits(T x)
{
	uint16_t u;

	memcpy(&u, &x, sizeof u);
	return u;
}

template <typename T> uint32_t pair(T low, T high)
{
	return (uint32_t)half_bits(high) << 16 | half_bits(low);
}

template <typename T> T get(uint32_t x, int e)
{
	const uint16_t u = (uint16_t)(x >> 16 * e);
	T y;

	memcpy(&y, &u, sizeof y);
	return y;
}

inline uint32_t pack_bf16(float low, float high)
{
	return pair(bf16(low), bf16(high));
}
inline uint32_t pack_f16(float low, float high)
{
	return pair(f16(low), f16(high));
}
inline bf16 get_bf16(uint32_t x, int e)
{
	return get<bf16>(x, e);
}
inline f16 get_f16(uint32_t x, int e)
{
	return get<f16>(x, e);
}
inline float unpack_bf16(uint32_t x, int e)
{
	return float(get<bf16>(x, e));
}
inline float unpack_f16(uint32_t x, int e)
{
	return float(get<f16>(x, e));
}

/* Through double: rounded once by the sum or product of two, nearly always by fma. */
template <typename T, typename F> uint32_t each(uint32_t a, uint32_t b, F f)
{
	return pair(T((float)f((double)float(get<T>(a, 0)), (double)float(get<T>(b, 0)))),
		T((float)f((double)float(get<T>(a, 1)), (double)float(get<T>(b, 1)))));
}

template <typename T> uint32_t fma_pairs(uint32_t a, uint32_t b, uint32_t c)
{
	float r[2];

	for (int e = 0; e < 2; e++)
		r[e] = (float)((double)float(get<T>(a, e)) * (double)float(get<T>(b, e)) +
			       (double)float(get<T>(c, e)));
	return pair(T(r[0]), T(r[1]));
}

#define PAIRS(T)                                                                                   \
	inline uint32_t add_##T##x2(uint32_t a, uint32_t b)                                        \
	{                                                                                          \
		return each<T>(a, b, [](double x, double y) { return x + y; });                    \
	}                                                                                          \
	inline uint32_t sub_##T##x2(uint32_t a, uint32_t b)                                        \
	{                                                                                          \
		return each<T>(a, b, [](double x, double y) { return x - y; });                    \
	}                                                                                          \
	inline uint32_t mul_##T##x2(uint32_t a, uint32_t b)                                        \
	{                                                                                          \
		return each<T>(a, b, [](double x, double y) { return x * y; });                    \
	}                                                                                          \
	inline uint32_t fma_##T##x2(uint32_t a, uint32_t b, uint32_t c)                            \
	{                                                                                          \
		return fma_pairs<T>(a, b, c);                                                      \
	}                                                                                          \
	inline uint32_t neg_##T##x2(uint32_t a)                                                    \
	{                                                                                          \
		return a ^ 0x80008000u;                                                            \
	}
PAIRS(bf16)
PAIRS(f16)

/* --- lanes --- */

inline float other_lane(float x, int distance)
{
	const emulator::gathered all = emulator::exchange({emulator::bits(x), 0, 0, 0});

	return emulator::number((uint32_t)all.lane[emulator::current->tid % 32 ^ distance][0]);
}

inline float quad_max(float x)
{
	x = fmaxf(x, other_lane(x, 1));
	return fmaxf(x, other_lane(x, 2));
}

inline float quad_sum(float x)
{
	x += other_lane(x, 1);
	return x + other_lane(x, 2);
}

inline bool warp_any(bool x)
{
	const emulator::gathered all = emulator::exchange({x, 0, 0, 0});
	bool any = false;

	for (int lane = 0; lane < 32; lane++)
		any = any || all.lane[lane][0];
	return any;
}

/* --- shared memory: an address is an offset --- */

template <typename T, int ROWS, int COLS, int SWIZZLE> struct shared_buffer {
	static constexpr int align = SWIZZLE ? 1024 : 128;
	static constexpr int slot_bytes =
		(ROWS * COLS * (int)sizeof(T) + align - 1) / align * align;

	unsigned char *base;

	explicit shared_buffer(unsigned char *bytes) : base(bytes)
	{
	}

	static int offset(int row, int col)
	{
		const int byte = col * (int)sizeof(T), mask = (1 << SWIZZLE) - 1;

		if (row < 0 || row >= ROWS || col < 0 || col >= COLS) {
			fprintf(stderr, "(%d, %d) outside of %d x %d\n", row, col, ROWS, COLS);
			abort();
		}
		return row * COLS * (int)sizeof(T) +
		       ((byte / 16) ^ ((row >> (3 - SWIZZLE)) & mask)) * 16 + byte % 16;
	}

	T &operator()(int slot, int row, int col) const
	{
		return *(T *)(base + slot * slot_bytes + offset(row, col));
	}

	T &operator()(int row, int col) const
	{
		return (*this)(0, row, col);
	}

	uint32_t pair(int slot, int row, int col) const
	{
		uint32_t x;

		memcpy(&x, &(*this)(slot, row, col), sizeof x);
		return x;
	}

	uint32_t pair(int row, int col) const
	{
		return pair(0, row, col);
	}

	uint32_t at(int slot, int row, int col) const
	{
		return (uint32_t)((unsigned char *)&(*this)(slot, row, col) - emulator::base);
	}

	uint32_t at(int row, int col) const
	{
		return at(0, row, col);
	}
};

/* Matrix m: lane 8 m + r has given the address of row r. */
inline uint32_t matrix_register(const emulator::gathered &all, int m, bool trans)
{
	const int lane = emulator::current->tid % 32, group = lane / 4, member = lane % 4;
	uint16_t half[2];
	uint32_t x;

	for (int e = 0; e < 2; e++) {
		const int row = trans ? 2 * member + e : group,
			  col = trans ? group : 2 * member + e;

		memcpy(&half[e], emulator::base + all.lane[8 * m + row][0] + 2 * col, 2);
	}
	memcpy(&x, half, sizeof x);
	return x;
}

inline void load_matrices(void *first, void *second, int count, uint32_t at, bool trans)
{
	const emulator::gathered all = emulator::exchange({at, 0, 0, 0});

	for (int m = 0; m < count; m++) {
		const uint32_t x = matrix_register(all, m, trans);

		memcpy((unsigned char *)(second && m >= 2 ? second : first) +
				4 * (second ? m % 2 : m),
			&x, sizeof x);
	}
}

template <typename T> void ldmatrix(T (&x)[4], uint32_t at)
{
	load_matrices(x, nullptr, 4, at, false);
}

template <typename T> void ldmatrix(T (&x)[2], T (&y)[2], uint32_t at)
{
	load_matrices(x, y, 4, at, false);
}

template <typename T> void ldmatrix(T (&x)[2], uint32_t at)
{
	load_matrices(x, nullptr, 2, at, false);
}

template <typename T> void ldmatrix_trans(T (&x)[4], uint32_t at)
{
	load_matrices(x, nullptr, 4, at, true);
}

template <typename T> void ldmatrix_trans(T (&x)[2], T (&y)[2], uint32_t at)
{
	load_matrices(x, y, 4, at, true);
}

template <typename T> void ldmatrix_trans(T (&x)[2], uint32_t at)
{
	load_matrices(x, nullptr, 2, at, true);
}

/* --- copies --- */

inline void copy_async(uint32_t to, const void *from, bool inside)
{
	if (to % 16 || (inside && (uintptr_t)from % 16)) {
		fprintf(stderr, "a copy of 16 bytes that is not aligned\n");
		abort();
	}
	if (inside)
		memcpy(emulator::base + to, from, 16);
	else
		memset(emulator::base + to, 0, 16);
}

inline void copy_commit()
{
}
template <int GROUPS> void copy_wait()
{
}

/* --- rows to global memory --- */

template <int ROWS, int COLS, typename T, typename Buffer>
void store_rows(T *to, const Buffer &from, int slot, int row, int col)
{
	constexpr int each = 16 / (int)sizeof(T), across = COLS / each, chunks = ROWS * across;
	const emulator::gathered all = emulator::exchange({(uint64_t)(uintptr_t)to, 0, 0, 0});

	for (int n = emulator::current->tid % 32; n < chunks; n += 32) {
		T *there = (T *)(uintptr_t)all.lane[n / across][0] + n % across * each;

		if (!all.lane[n / across][0])
			continue;
		if ((uintptr_t)there % 16) {
			fprintf(stderr, "a store of 16 bytes that is not aligned\n");
			abort();
		}
		memcpy(there, &from(slot, row + n / across, col + n % across * each), 16);
	}
	emulator::exchange({0, 0, 0, 0});
}

/* --- tensor cores --- */

/* Element (row, k) of A and (k, col) of B lie in a register of some lane. Products are exact, sums
 * rounded one by one, as the simulator does it. */
template <typename T>
void multiply_halves(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
	const emulator::gathered left = emulator::exchange({a[0], a[1], a[2], a[3]});
	const emulator::gathered right = emulator::exchange({b[0], b[1], 0, 0});
	const int lane = emulator::current->tid % 32;

	for (int i = 0; i < 4; i++) {
		const int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
		float sum = acc[i];

		for (int k = 0; k < 16; k++) {
			const uint64_t x = left.lane[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
			const uint64_t y = right.lane[col * 4 + k % 8 / 2][k / 8];

			sum = (float)(sum + (double)float(get<T>((uint32_t)x, k % 2)) *
						    (double)float(get<T>((uint32_t)y, k % 2)));
		}
		acc[i] = sum;
	}
}

inline void mma_bf16(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
	multiply_halves<bf16>(acc, a, b);
}

inline void mma_f16(float (&acc)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
	multiply_halves<f16>(acc, a, b);
}

inline void mma_tf32(float (&acc)[4], const float (&a)[4], const float (&b)[2])
{
	using emulator::bits;
	const emulator::gathered left =
		emulator::exchange({bits(a[0]), bits(a[1]), bits(a[2]), bits(a[3])});
	const emulator::gathered right = emulator::exchange({bits(b[0]), bits(b[1]), 0, 0});
	const int lane = emulator::current->tid % 32;

	for (int i = 0; i < 4; i++) {
		const int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
		float sum = acc[i];

		for (int k = 0; k < 8; k++)
			sum = (float)(sum +
				      (double)emulator::number(
					      (uint32_t)left.lane[row % 8 * 4 + k % 4]
								 [row / 8 + k / 4 * 2]) *
					      (double)emulator::number((
						      uint32_t)right.lane[col * 4 + k % 4][k / 4]));
		acc[i] = sum;
	}
}

} // namespace trikl
