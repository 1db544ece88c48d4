/* mutate.c: mutations that keep most of an input a spec, so that fuzzing reaches the checker. In:
 * an input. Out: the input with tokens exchanged, repeated or dropped, or lines moved; every second
 * time libFuzzer's own mutation. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

typedef struct {
	size_t begin, end;
} span;

static uint32_t draw(uint32_t *seed, size_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (uint32_t)((*seed >> 4) % (below ? below : 1));
}

static int is_word(uint8_t c)
{
	return isalnum(c) || c == '_' || c == '.';
}

/* The token that `at` is in: a word, or one other character. */
static span token_at(const uint8_t *data, size_t size, size_t at)
{
	span s = {at, at + 1};

	if (!is_word(data[at]))
		return s;
	while (s.begin > 0 && is_word(data[s.begin - 1]))
		s.begin--;
	while (s.end < size && is_word(data[s.end]))
		s.end++;
	return s;
}

static span line_at(const uint8_t *data, size_t size, size_t at)
{
	span s = {at, at};

	while (s.begin > 0 && data[s.begin - 1] != '\n')
		s.begin--;
	while (s.end < size && data[s.end] != '\n')
		s.end++;
	s.end += s.end < size;
	return s;
}

/* Puts `n` bytes in place of `s`; the size stays when they do not fit. */
static size_t replace(
	uint8_t *data, size_t size, size_t max_size, span s, const void *with, size_t n)
{
	if (size - (s.end - s.begin) + n > max_size)
		return size;
	memmove(data + s.begin + n, data + s.end, size - s.end);
	memcpy(data + s.begin, with, n);
	return size - (s.end - s.begin) + n;
}

/* Replaces `to` (or, by chance, inserts before it) with a copy of `from`. */
static size_t copy_span(uint8_t *data, size_t size, size_t max_size, span from, span to, int insert)
{
	size_t n = from.end - from.begin;
	uint8_t *copy = malloc(n + 1);

	memcpy(copy, data + from.begin, n);
	if (insert)
		to.end = to.begin;
	size = replace(data, size, max_size, to, copy, n);
	free(copy);
	return size;
}

static size_t replace_by_word(uint8_t *data, size_t size, size_t max_size, span s, uint32_t *seed)
{
	static const char *const words[] = {"i", "j", "k", "d", "e", "D", "E", "B", "H", "G", "N",
		"0", "1", "2", "3", "0.5", "+", "-", "*", "/", "//", "%", "<",
		"<=", "==", "!=", " and ", " or ", "not ", "sum(d) ", "sum(j) ", "max(d) ",
		"softmax(j) ", "logsumexp(j) ", "(", ")", "[", "]", ",", " with ", "[d]", "[d, j]",
		"exp(", "pow(", "where(", "cross(", "det(", "bf16", "i32", "f32",
		"9223372036854775807", "mask ", "window ", "index ", "const ", "param ", "group ",
		"-1", "abs(", "floor(", "float(", "min("};
	const char *word = words[draw(seed, sizeof words / sizeof *words)];

	return replace(data, size, max_size, s, word, strlen(word));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint32_t s = seed;
	span to, from;

	if (size == 0 || draw(&s, 2))
		return LLVMFuzzerMutate(data, size, max_size);
	for (uint32_t n = 1 + draw(&s, 3); n > 0 && size > 0; n--) {
		to = token_at(data, size, draw(&s, size));
		from = token_at(data, size, draw(&s, size));
		switch (draw(&s, 8)) {
		case 0:
			size = replace(data, size, max_size, to, "", 0);
			break;
		case 1:
			size = replace(data, size, max_size, line_at(data, size, to.begin), "", 0);
			break;
		case 2:
			size = copy_span(data, size, max_size, line_at(data, size, from.begin),
				line_at(data, size, to.begin), (int)draw(&s, 2));
			break;
		case 3:
		case 4:
			size = copy_span(data, size, max_size, from, to, (int)draw(&s, 2));
			break;
		default:
			size = replace_by_word(data, size, max_size, to, &s);
			break;
		}
	}
	return size;
}
