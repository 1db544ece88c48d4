/* test_num.c: integer arithmetic of the PTX emitter, compiled for the CPU and run: random sums,
 * products, divisions of numbers with known ranges against C, and shared addresses against
 * tile_shared_offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "emit/ptx_internal.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <string.h>

enum { INPUTS = 4 };

typedef struct {
	LLVMOrcLLJITRef jit;
	LLVMOrcThreadSafeContextRef context;
	ptx_cx h;
	arena *arena;
} fixture;

typedef int64_t (*compiled)(int32_t a, int32_t b, int32_t c, int32_t d);

static void begin(fixture *f)
{
	ptx_cx *h = &f->h;
	T arg[INPUTS];

	LLVMInitializeNativeTarget();
	LLVMInitializeNativeAsmPrinter();
	*f = (fixture){.arena = arena_create(), .context = LLVMOrcCreateNewThreadSafeContext()};
	assert_null(LLVMOrcCreateLLJIT(&f->jit, NULL));
	h->cx = LLVMOrcThreadSafeContextGetContext(f->context);
	h->arena = f->arena;
	h->i1 = LLVMInt1TypeInContext(h->cx);
	h->i32 = LLVMInt32TypeInContext(h->cx);
	h->i64 = LLVMInt64TypeInContext(h->cx);
	h->smem = LLVMConstNull(h->i32);
	h->mod = LLVMModuleCreateWithNameInContext("num", h->cx);
	h->b = LLVMCreateBuilderInContext(h->cx);
	for (int i = 0; i < PTX_BUCKETS; i++)
		h->bucket[i] = -1;
	for (int i = 0; i < INPUTS; i++)
		arg[i] = h->i32;
	h->fn = LLVMAddFunction(h->mod, "f", LLVMFunctionType(h->i64, arg, INPUTS, 0));
	LLVMPositionBuilderAtEnd(h->b, LLVMAppendBasicBlockInContext(h->cx, h->fn, "entry"));
}

/* Input i, in [lo, hi] and a multiple of 2^zeros. */
static num input(ptx_cx *h, int i, int64_t lo, int64_t hi, int zeros)
{
	num n = num_range(num_of(h, LLVMGetParam(h->fn, (unsigned)i)), lo, hi);

	n.zeros = zeros;
	return n;
}

static compiled finish(fixture *f, num result)
{
	ptx_cx *h = &f->h;
	LLVMOrcExecutorAddress address;

	LLVMBuildRet(h->b, result.type == h->i64
				   ? num_v(h, result)
				   : LLVMBuildSExt(h->b, num_v(h, result), h->i64, ""));
	LLVMDisposeBuilder(h->b);
	assert_false(LLVMVerifyModule(h->mod, LLVMAbortProcessAction, NULL));
	assert_null(LLVMOrcLLJITAddLLVMIRModule(f->jit, LLVMOrcLLJITGetMainJITDylib(f->jit),
		LLVMOrcCreateNewThreadSafeModule(h->mod, f->context)));
	assert_null(LLVMOrcLLJITLookup(f->jit, &address, "f"));
	return (compiled)(uintptr_t)address;
}

static void end(fixture *f)
{
	LLVMConsumeError(LLVMOrcDisposeLLJIT(f->jit));
	LLVMOrcDisposeThreadSafeContext(f->context);
	arena_destroy(f->arena);
}

/* --- random expressions --- */

static uint64_t state = 1;

static int random_int(int n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (int)((state >> 33) % (uint64_t)n);
}

static int32_t wrap32(int64_t v)
{
	return (int32_t)(uint32_t)(uint64_t)v;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t apply(int op, int64_t a, int64_t b)
{
	switch (op) {
	case 0:
		return wrap32(a + b);
	case 1:
		return wrap32(a - b);
	case 2:
		return wrap32(a * b);
	case 3:
		return wrap32(floor_div(a, b));
	case 4:
		return b == 0 ? 0 : wrap32(a - floor_div(a, b) * b);
	case 5:
		return a < b ? a : b;
	case 6:
		return a > b ? a : b;
	case 7:
		return a < b;
	case 8:
		return a <= b;
	default:
		return a == b;
	}
}

static num build(ptx_cx *h, int op, num a, num b)
{
	num c;

	switch (op) {
	case 0:
		return num_add(h, a, b);
	case 1:
		return num_sub(h, a, b);
	case 2:
		return num_mul(h, a, b);
	case 3:
		return num_div(h, a, b);
	case 4:
		return num_mod(h, a, b);
	case 5:
		return num_min(h, a, b);
	case 6:
		return num_max(h, a, b);
	case 7:
	case 8:
		c = num_less(h, a, b, op == 8);
		break;
	default:
		c = num_equal(h, a, b, false);
		break;
	}
	return num_range(num_of(h, ptx_cast(h, LLVMZExt, c.v, h->i32)), 0, 1);
}

enum { STEPS = 12, SLOTS = INPUTS + 2 * STEPS };

typedef struct {
	int op, a, b;
	int64_t constant;
} step;

/* Ranges of the inputs: any number, small ones of either sign, a lane, a row. */
static const struct {
	int64_t lo, hi;
	int zeros;
} inputs[INPUTS] = {{INT32_MIN, INT32_MAX, 0}, {-50, 49, 0}, {0, 31, 0}, {0, 1016, 3}};

static int32_t random_input(int i)
{
	static const int32_t special[] = {0, 1, -1, INT32_MIN, INT32_MAX, INT32_MIN + 1};

	if (i == 0)
		return random_int(2) ? special[random_int(6)]
				     : (int32_t)((uint32_t)random_int(INT32_MAX) * 2);
	return (int32_t)(inputs[i].lo +
			 (int64_t)random_int(
				 (int)((inputs[i].hi - inputs[i].lo) >> inputs[i].zeros) + 1) *
				 (1 << inputs[i].zeros));
}

static void one_expression(void)
{
	static const int64_t constants[] = {
		0, 1, -1, 2, 3, 7, 8, 16, 64, 100, -5, 128, 1000, INT32_MAX};
	num n[SLOTS];
	step s[STEPS];
	int count = INPUTS;
	fixture *f = test_malloc(sizeof *f);
	compiled fn;

	begin(f);
	for (int i = 0; i < INPUTS; i++)
		n[i] = input(&f->h, i, inputs[i].lo, inputs[i].hi, inputs[i].zeros);
	for (int i = 0; i < STEPS; i++) {
		s[i] = (step){random_int(10), random_int(count), random_int(count + 4),
			constants[random_int(14)]};
		n[count] = build(&f->h, s[i].op, n[s[i].a],
			s[i].b < count ? n[s[i].b] : num_const(f->h.i32, s[i].constant));
		count++;
	}
	fn = finish(f, num_widen(&f->h, n[count - 1]));
	for (int k = 0; k < 50; k++) {
		int64_t v[SLOTS];

		for (int i = 0; i < INPUTS; i++)
			v[i] = random_input(i);
		for (int i = 0; i < STEPS; i++) {
			int at = INPUTS + i;

			v[at] = apply(s[i].op, v[s[i].a], s[i].b < at ? v[s[i].b] : s[i].constant);
			if (v[at] < n[at].lo || v[at] > n[at].hi)
				fail_msg("%lld is not in [%lld, %lld]", (long long)v[at],
					(long long)n[at].lo, (long long)n[at].hi);
		}
		assert_int_equal(fn((int32_t)v[0], (int32_t)v[1], (int32_t)v[2], (int32_t)v[3]),
			v[count - 1]);
	}
	end(f);
	test_free(f);
}

static void expressions_mean_what_they_say(void **unused)
{
	(void)unused;
	for (int i = 0; i < 120; i++)
		one_expression();
}

/* --- shared addresses --- */

/* `align`: the base is known to be a multiple of 8. */
static void check_addresses(
	const tile_buffer *b, bool align, int col_step, int col_add, int row_add)
{
	fixture *f = test_malloc(sizeof *f);
	ptx_cx *h = &f->h;
	int columns = (b->cols - col_add + col_step - 1) / col_step;
	num base, row, col;
	compiled fn;

	begin(f);
	base = num_plus(h, input(h, 0, 0, b->rows - 1, align ? 3 : 0), row_add);
	row = input(h, 1, 0, 7, 0);
	col = num_plus(h, num_times(h, input(h, 2, 0, columns - 1, 0), col_step), col_add);
	fn = finish(f, ptx_shared_at(h, b, input(h, 3, 0, 1, 0), base, row, col));
	for (int r = 0; r + 8 + row_add <= b->rows; r += align ? 8 : 1)
		for (int k = 0; k < 8; k++)
			for (int c = 0; c < columns; c++) {
				int64_t want = b->offset + tile_slot_bytes(b) +
					       tile_shared_offset(
						       b, r + row_add + k, c * col_step + col_add);

				assert_int_equal(fn(r, k, c, 1), want);
			}
	end(f);
	test_free(f);
}

static void addresses_are_those_of_the_layout(void **unused)
{
	static const struct {
		tile_type type;
		int cols;
	} shape[] = {{TILE_BF16, 8}, {TILE_BF16, 16}, {TILE_BF16, 32}, {TILE_BF16, 64},
		{TILE_BF16, 128}, {TILE_BF16, 48}, {TILE_BF16, 96}, {TILE_F32, 4}, {TILE_F32, 32},
		{TILE_F32, 24}};

	(void)unused;
	for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
		int bytes = tile_type_bytes(shape[i].type);
		tile_buffer b = {.type = shape[i].type,
			.slots = 2,
			.rows = 32,
			.cols = shape[i].cols,
			.swizzle = tile_swizzle(shape[i].cols * bytes),
			.offset = 4096};

		for (int add = 0; add<b.cols; add += b.cols / 4> 0 ? b.cols / 4 : 1) {
			check_addresses(&b, true, 1, add, 0);
			check_addresses(&b, false, 2, add, 0);
			check_addresses(&b, true, 16 / bytes, add, 3);
		}
		check_addresses(&b, false, 2, 1, 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_mean_what_they_say),
		cmocka_unit_test(addresses_are_those_of_the_layout),
	};

	return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
