/* Text form: cases/NAME.tile verify and print as they are written; mistakes are reported where they
 * are, with a sentence that names them. */
#include "case.h"

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *bytes = malloc(1 << 16);

	assert_non_null(f);
	assert_non_null(bytes);
	*len = fread(bytes, 1, 1 << 16, f);
	fclose(f);
	return bytes;
}

static void round_trip(const char *name)
{
	arena *a = arena_create();
	char *path = arena_printf(a, "%s/%s.tile", CASES, name);
	size_t len;
	char *bytes = read_file(path, &len);
	diags *d;
	tile_program *p = case_parse(a, bytes, len, &d);
	const char *why;

	if (!p)
		fail_msg("%s", case_messages(a, d));
	why = case_verify(a, p);
	if (why)
		fail_msg("%s: %s", name, why);
	bytes[len] = '\0';
	assert_string_equal(case_print(a, p), bytes);
	arena_destroy(a);
	free(bytes);
}

static void test_cases_read_back(void **state)
{
	(void)state;
	round_trip("product");
	round_trip("rows");
	round_trip("named_rows");
	round_trip("exact");
	round_trip("weights");
	round_trip("flow");
	round_trip("hopper");
	round_trip("wgmma");
	round_trip("wgmma_trans");
	round_trip("wgmma_attention");
}

/* --- mistakes --- */

#define HEAD                                                                                       \
	"kernel t on sm_80 warps 2 {\n"                                                            \
	"in q : bf16[]\nin x : f32[]\nin n : i32\nin stride : i64\nout o : bf16[]\n"               \
	"shared keys : bf16[2, 64, 64]\nshared wide : f32[1, 32, 32]\n"                            \
	"shared tall : bf16[1, 128, 64]\n"                                                         \
	"acc s : f32[32, 64]\nacc narrow : f32[32, 32]\nopa a : bf16[32, 64]\n"                    \
	"opa t : tf32[32, 64]\nopa ta : tf32[32, 64] over acc\nopb b : bf16[16, 64]\nopb h : "     \
	"f16[16, 64]\n"                                                                            \
	"opb bb : bf16[16, 128]\nrowv m : f32[32]\nrowv i : i32[32]\nrowv long : f32[64]\n"        \
	"colv c : bf16[64] over opa\ncolv cf : f32[64]\n"

/* The start of a body that gives every tile a value. */
#define SET                                                                                        \
	"map s = 0.0\nmap narrow = 0.0\nmap a = bf16(0.0)\nmap t = tf32(0.0)\nmap b = "            \
	"bf16(0.0)\nmap h = f16(0.0)\nmap bb = bf16(0.0)\nmap m = 0.0\nmap i = 0\nmap long = "     \
	"0.0\n"                                                                                    \
	"map c = bf16(0.0)\nmap cf = 0.0\n"

/* Texts that the parser refuses: syntax, names, types and shapes of one statement. */
static const mistake parse_mistakes[] = {
	{"let v = \n", "expected a value at the end of the line"},
	{"let v = 1 +\n", "expected a value at the end of the line"},
	{"let v 1\n", "expected '=', found '1'"},
	{"let v = 1 2\n", "expected the end of the line, found '2'"},
	{"let v = (n + 1\n", "expected ')' at the end of the line"},
	{"let n = 1\n", "'n' has a meaning already"},
	{"let row = 1\n", "'row' is a reserved word"},
	{"let v = w\n", "unknown name 'w'"},
	{"let v = v\n", "unknown name 'v'"},
	{"lett v = 1\n", "did you mean 'let'?"},
	{"let v = 1 < 2 < 3\n", "comparisons do not chain"},
	{"let v = 99999999999\n", "the number is too large for i32"},
	{"let v = 1e60\n", "the number is too large for f32"},
	{"let v = 12x\n", "this is no word or number"},
	{"let v = $1\n", "no 'with' line names this value"},
	{"with $2 = n\n", "expected the next '$' number"},
	{"let v = n + 1.0\n", "'+' of i32 and f32"},
	{"let v = not(n)\n", "'not' does not take i32"},
	{"let v = select(n, 1, 2)\n", "'select' chooses by a b1, not by i32"},
	{"let v = bf16(n)\n", "no conversion from i32 to bf16"},
	{"let v = bf16(1.0)\n", "a variable does not hold bf16"},
	{"let v = ex2(1)\n", "'ex2' does not take i32"},
	{"let v = fma(1.0, 2.0)\n", "expected ',', found ')'"},
	{"let v = block.w\n", "expected 'x', 'y' or 'z', found 'w'"},
	{"let v = q\n", "expected '['"},
	{"let v = q[1.0]\n", "an index of 'q' is i64, not f32"},
	{"let v = keys[0, 0]\n", "expected ',', found ']'"},
	{"let v = o[0]\n", "output 'o' is read"},
	{"let v = row\n", "'row' has no meaning here"},
	{"let v = m\n", "register tile 'm' cannot be read here"},
	{"let v = 1\nset v = 1.0\n", "the variable is i32, not f32"},
	{"set n = 1\n", "expected a variable, found 'n'"},
	{"map s = 0\n", "the tile is f32, not i32"},
	{"map q = 0\n", "expected a register tile, found 'q'"},
	{"map m = f32(col)\n", "'col' has no meaning here"},
	{"map cf = f32(row)\n", "'row' has no meaning here"},
	{"map s[:, 0:+12] = 0.0\n", "a slice of 12 columns is no part of 's' in cells of 8"},
	{"map s[0:+16, 0:+8] = 0.0\n", "a slice of 16 rows is no part of 's'"},
	{"map s[:, n:+8] = 0.0\n", "begins at an i32 of constants and unroll counters"},
	{"map s = f32(bf16(0.5) * bf16(0.5))\n", "bf16 is computed in only in a map into bf16"},
	{"any v = 1.0 over s\n", "the condition is b1, not f32"},
	{"reduce.min m, s\n", "expected 'max' or 'sum', found 'min'"},
	{"reduce.max i, s\n", "'i' is no row vector of f32"},
	{"reduce.max m, a\n", "'a' is no acc tile"},
	{"reduce.max long, s\n", "'long' has 64 rows, 's' 32"},
	{"fill keys[0] = 0.0\n", "the buffer is bf16, not f32"},
	{"fill keys[0] = bf16(f32(tid))\n",
		"'tid' has no meaning here: the threads share the work"},
	{"fill keys[0.0] = bf16(0.0)\n", "a slot is i32, not f32"},
	{"copy keys[0] = x[0]\n", "a copy of f32 into a buffer of bf16"},
	{"copy keys[0] = q[i64(col)]\n", "'col' has no meaning here"},
	{"copy keys[0, 0:+8, 0:+4] = q[0i64]\n", "a copy of rows of 8 bytes, not a multiple of 16"},
	{"copy keys[0, 0:+65, 0:+8] = q[0i64]\n", "a region of 65 x 8 is no part of 'keys'"},
	{"copy keys[0] = o[0i64]\n", "output 'o' is read"},
	{"copy keys[0] = n[0i64]\n", "'n' is no tensor"},
	{"copy keys[0] = q[0i64] if 1\n", "the predicate is b1, not i32"},
	{"wait -1\n", "wait for a negative number of groups"},
	{"ldsm s = keys[0, 0:+32, 0:+64]\n", "'s' is no operand tile"},
	{"ldsm h = keys[0, 0:+64, 0:+16]\n", "'h' holds f16, 'keys' bf16"},
	{"ldsm.rows s = keys[0, lane:+1, 0:+64]\n", "'s' is no opa and no colv over opa"},
	{"ldsm.rows cf = keys[0, n:+1, 0:+64]\n", "'cf' is no opa and no colv over opa"},
	{"ldsm.rows a = keys[0, lane:+2, 0:+64]\n", "a region of 2 x 64 where 'a' takes 1 x 64"},
	{"ldsm.rows c = keys[0, n:+1, 0:+32]\n", "a region of 1 x 32 where 'c' takes 1 x 64"},
	{"ldsm b = keys[0, 0:+16, 0:+64]\n", "a region of 16 x 64 where 'b' takes 64 x 16"},
	{"ldsm.trans b = keys[0, 0:+64, 0:+16]\n", "a region of 64 x 16 where 'b' takes 16 x 64"},
	{"ldsm a = keys[0, 0:+16, 0:+64]\n", "where 'a' takes 32 x 64"},
	{"mma s += a * b\n", "mma of 32 x 64 by 16 x 64 into 32 x 64"},
	{"mma s += a[:, 0:+16] * h\n", "mma of bf16 and f16"},
	{"mma a += a * b\n", "mma takes acc, opa, opb, not opa, opa, opb"},
	{"store q[0] = s over s\n", "'q' is no output"},
	{"store o[0] = 0 over s\n", "the value is f32, not i32"},
	{"store.rows q[0] = keys[0]\n", "'q' is no output"},
	{"store.rows o[0] = wide[0]\n", "a store of bf16 from a buffer of f32"},
	{"store.rows o[0] = keys[0, 0:+64, 0:+4]\n",
		"a store of rows of 8 bytes, not a multiple of 16"},
	{"store.rows o[0] = keys[0, 0:+63, 0:+8]\n",
		"63 rows are not shared out among 2 warps, 32 each at most"},
	{"store.rows o[0] = tall[0]\n", "128 rows are not shared out among 2 warps"},
	{"store.rows o[i64(col)] = keys[0]\n", "'col' has no meaning here"},
	{"store.rows o[i64(lane)] = keys[0]\n",
		"'lane' has no meaning here: the threads share the work"},
	{"store.rows o[i64(i)] = keys[0]\n", "register tile 'i' cannot be read here"},
	{"store.rows o[0] = keys[0] if 1\n", "the predicate is b1, not i32"},
	{"store.rows o[0] = s\n", "expected a shared buffer, found 's'"},
	{"store.shared wide[0] = s over s\n", "a region of 32 x 32 for a tile of 32 x 64"},
	{"for v in 0 .. 1.0 {\n}\n", "a bound is i32, not f32"},
	{"for v in 0 .. 4\n", "expected '{' at the end of the line"},
	{"unroll v in 0 .. n {\n}\n", "expected an integer, found 'n'"},
	{"unroll v in 0 .. 4 step 0 {\n}\n", "the step is positive"},
	{"if n {\n}\n", "a condition is b1, not i32"},
	{"if true {\n", "expected '}' at the end of the kernel"},
	{"for v in 0 .. 4 {\n} else {\n}\n", "'else' without 'if'"},
	{"let v = 1\nin late : i32\n", "unknown statement 'in'"},
	{"\001\n", "expected a statement; this is no word or number"},
};

/* Programs that parse and do not verify. */
static const mistake verify_mistakes[] = {
	{"map s = s\n", "'s' is read before it is written"},
	{"if n < 2 {\nmap s = 0.0\n}\nmap m = 0.0\nreduce.sum m, s\n",
		"'s' is read before it is written"},
	{"for v in 0 .. n {\nmap s = 0.0\n}\nmap m = 0.0\nreduce.sum m, s\n",
		"'s' is read before it is written"},
	{SET "if n < 2 {\nlet v = 1\n}\nlet w = v\n", "'v' is not defined here"},
	{"for v in 0 .. n {\n}\nlet w = v\n", "'v' is not defined here"},
	{"for v in 0 .. n {\nset v = 2\n}\n", "'v' is not defined by let"},
	{"for v in 0 .. 4 step n {\n}\n", "the step is not known to be positive"},
	{SET "map s[:, 4:+8] = 0.0\n", "begin outside 0 .. 56 or not at a multiple of 8"},
	{SET "unroll k in 0 .. 9 {\nmap s[:, k * 8:+8] = 0.0\n}\n", "begin outside 0 .. 56"},
	{SET "map s = narrow\n", "'narrow' has elements of 's' in other threads or not at all"},
	{SET "map s = long\n", "'long' has elements of 's'"},
	{SET "map b = bf16(s)\n", "'s' has elements of 'b'"},
	{SET "map t = tf32(s)\n", "'s' has elements of 't'"},
	{SET "map ta = tf32(t)\n", "'t' has elements of 'ta'"},
	{SET "map m = cf\n", "'cf' has elements of 'm'"},
	{SET "map cf = m\n", "'m' has elements of 'cf'"},
	{SET "map t = tf32(f32(c))\n", "'c' has elements of 't'"},
	{"copy keys[2] = q[0]\n", "the slot is outside 'keys'"},
	{"copy keys[0, 32:+64, 0:+64] = q[0]\n", "the region is not inside 'keys'"},
	{"copy keys[0, 0:+64, 4:+8] = q[0]\n", "first column is not a multiple of 8"},
	{"ldsm b = keys[0, 0:+64, n:+16]\n", "first column is not a multiple of 8"},
	{"ldsm.rows c = keys[0, lane:+1, 0:+64]\n", "the region is not the same in all threads"},
	{"for v in 0 .. 4 {\nldsm.trans b = keys[0, v * 17:+16, 0:+64]\n}\n",
		"the region is not inside 'keys'"},
	{"if lane < 4 {\nbarrier\n}\n", "not all threads of the block come here together"},
	{"if warp == 0 {\nbarrier\n}\n", "not all threads of the block come here together"},
	{SET "any v = s < 0.0 over s\nif v {\nfill keys[0] = bf16(0.0)\n}\n",
		"not all threads of the block come here together"},
	{"if warp == 0 {\ncopy keys[0] = q[0]\n}\n", "not all threads of the block"},
	{"let t1 = 0\nif lane < 4 {\nset t1 = 1\n}\nif t1 == 0 {\nbarrier\n}\n",
		"not all threads of the block come here together"},
	{"let t1 = 0\nfor v in 0 .. n {\nif t1 == 1 {\nbarrier\n}\nset t1 = tid\n}\n",
		"not all threads of the block come here together"},
	{"for v in 0 .. lane {\nbarrier\n}\n", "not all threads of the block come here together"},
	{SET "if tid < 9 {\nmma s += a[:, 0:+16] * b\n}\n",
		"not all threads of the warp come here together"},
	{SET "if lane == 0 {\nquad.max m\n}\n", "not all threads of the warp come here together"},
	{SET "if x[i64(lane)] < 0.0 {\nany v = true over s\n}\n", "not all threads of the warp"},
	{"if lane == 0 {\nldsm.trans b = keys[0, 0:+16, 0:+64]\n}\n",
		"not all threads of the warp"},
	{"if lane == 0 {\ncommit\n}\n", "not all threads of the warp come here together"},
	{"let v = lane\nldsm.trans b = keys[0, v:+16, 0:+64]\n",
		"the region is not the same in all threads of the warp"},
	{"let v = warp\nfill keys[v] = bf16(0.0)\n",
		"the region is not the same in all threads of the block"},
	{"let v = tid\nfill keys[0] = bf16(f32(v))\n",
		"the value depends on which thread computes it"},
	{"let v = warp\ncopy keys[0] = q[i64(v)]\n",
		"the value depends on which thread computes it"},
	{"store.rows o[0] = keys[0, 0:+64, 4:+8]\n", "first column is not a multiple of 8"},
	{"store.rows o[0] = keys[0, 0:+64, 64:+8]\n", "the region is not inside 'keys'"},
	{"store.rows o[0] = keys[lane % 2]\n",
		"the region is not the same in all threads of the warp"},
	{"let v = lane\nstore.rows o[i64(v)] = keys[0]\n",
		"the value depends on which thread computes it"},
	{"if lane == 0 {\nstore.rows o[0] = keys[0]\n}\n",
		"not all threads of the warp come here together"},
};

/* What stays right next to them. */
static const char *const fine[] = {
	"let v = warp\nif v == 0 {\nstore.rows o[i64(row * 64 + v)] = keys[v] if row < n\n}\n",
	SET "if warp == 0 {\nmma s += a[:, 0:+16] * b\nquad.max m\n}\n",
	SET "any v = s < 0.0 over s\nif v {\nmma s += a[:, 0:+16] * b\n}\n",
	SET "if lane == 0 {\nmap s = s * m\nreduce.max m, s\nstore o[i64(col)] = s over s\n}\n",
	SET "unroll k in 0 .. 4 {\nmma s += a[:, k * 16:+16] * bb[0:+16, 64:+64]\n}\n",
	SET "if n < 3 {\nbarrier\n}\nfor v in 0 .. n {\nbarrier\n}\nlet w = q[0]\nif w < 1.0 "
	    "{\nbarrier\n}\n",
	"if n < 2 {\nmap s = 0.0\n} else {\nmap s = 1.0\n}\nmap m = 0.0\nreduce.sum m, s\n",
	"unroll v in 0 .. 2 {\nmap s[:, v * 32:+32] = 0.0\n}\nmap s = s\n",
	"for v in 0 .. n {\nlet slot = v % 2\ncopy keys[1 - slot, 32 * slot:+32, 0:+64] = "
	"q[0]\n}\n",
	"let b2 = n * 8\nldsm b = keys[0, 0:+64, b2 % 48:+16]\n",
	SET "map s = f32(c) * cf * m + f32(a)\nmap a = bf16(s) * c\n",
};

static void test_parser_names_the_mistake(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof parse_mistakes / sizeof *parse_mistakes; i++)
		case_parser_refuses(HEAD, &parse_mistakes[i]);
}

static void test_verifier_names_the_mistake(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof verify_mistakes / sizeof *verify_mistakes; i++)
		case_verifier_refuses(HEAD, &verify_mistakes[i]);
}

static void test_verifier_accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		case_verifies(HEAD, fine[i]);
}

/* Declarations are checked where they stand. */
static void test_declarations(void **state)
{
	static const mistake wrong[] = {
		{"acc s : bf16[32, 64]\n", "'s': acc does not hold bf16"},
		{"acc s : f32[16, 64]\n", "'s': 16 rows are not a multiple of 32"},
		{"acc s : f32[32, 60]\n", "'s': 60 columns are not a multiple of 8"},
		{"opa s : bf16[32, 24]\n", "'s': 24 columns are not a multiple of 16"},
		{"opb s : bf16[8, 24]\n", "'s': 8 rows are not a multiple of 16"},
		{"colv s : tf32[32]\n", "'s': colv does not hold tf32"},
		{"opa s : bf16[32, 64] over acc\n", "'s': bf16 already has the columns of acc"},
		{"colv s : f32[32] over opb\n", "expected 'acc' or 'opa', found 'opb'"},
		{"shared s : i32[1, 2, 8]\n", "'s': a shared buffer does not hold i32"},
		{"shared s : bf16[1, 2, 12]\n", "'s': a row of 24 bytes is not a multiple of 16"},
		{"shared s : bf16[1, 2, 24] swizzle 2\n",
			"'s': swizzle 2 does not fit rows of 3 chunks"},
		{"shared s : bf16[1, 2, 99999]\n", "does not lie in 1 .. 65536"},
		{"in s : bf16\n", "'s': a scalar argument cannot be bf16"},
		{"in s : i64[]\n", "'s': a tensor argument cannot be i64"},
		{"out s : f32\n", "'s': a scalar argument is no output"},
		{"in s : f64\n", "expected a type, found 'f64'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		arena *a = arena_create();
		char *all = arena_printf(
			a, "kernel t on sm_80 warps 2 {\n%slet v = 1\n}\n", wrong[i].body);
		diags *d;
		tile_program *p = case_parse(a, all, strlen(all), &d);
		const char *messages = case_messages(a, d);

		if (p || d->errors != 1 || !strstr(messages, wrong[i].message) ||
			!strstr(messages, "case:2:"))
			fail_msg("%s expected: %s\ngot: %s", wrong[i].body, wrong[i].message,
				messages);
		arena_destroy(a);
	}
}

/* One message a mistake: uses of a name whose definition went wrong are not reported. */
static void test_one_message_a_mistake(void **state)
{
	arena *a = arena_create();
	diags *d;
	const char *messages;

	(void)state;
	assert_null(case_body(a, HEAD,
		"let v = 1 +\nlet w = v * 2\nfor k in 0 ... 4 {\nset w = k\n}\nmap s = oops\n",
		&d));
	messages = case_messages(a, d);
	if (d->errors != 3)
		fail_msg("%s", messages);
	arena_destroy(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases_read_back),
		cmocka_unit_test(test_parser_names_the_mistake),
		cmocka_unit_test(test_verifier_names_the_mistake),
		cmocka_unit_test(test_verifier_accepts),
		cmocka_unit_test(test_declarations),
		cmocka_unit_test(test_one_message_a_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
