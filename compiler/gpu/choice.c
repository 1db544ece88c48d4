/* choice.c: the sizes of a plan as settings of a schedule.
 * in:  a plan, or text      out: settings that gpu_plan_make takes in place of its own choices
 * The text is what a schedule block would say, so that a winner can be copied into the spec. */
#include "gpu/gpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a choice may hold, in the order of its text. */
static const struct {
	const char *key;
	bool of_inner;       /* tile k = 64 */
	const char *word[2]; /* walk = rows; NULL: numbers */
} known[] = {{"rows", false, {0}}, {"warps", false, {0}}, {"tile", true, {0}},
	{"resident", true, {0}}, {"stages", false, {0}}, {"split", false, {0}},
	{"walk", false, {"block", "rows"}}};

enum { SPLIT = 5, WALK = 6, BLOCK = 0, ROWS = 1 };

#define KNOWN ((int)(sizeof known / sizeof *known))

static void add(gpu_choice *c, const row_form *m, int k, int64_t value)
{
	c->item[c->count++] = (sema_setting){.key = known[k].key,
		.axis = known[k].of_inner ? (sema_axis *)m->inner : NULL,
		.integer = known[k].word[0] ? 0 : value,
		.word = known[k].word[0] ? known[k].word[value] : NULL,
		.at = m->spec->at};
}

gpu_choice gpu_choice_of(const gpu_plan *p)
{
	const int value[SPLIT] = {p->rows, p->warps, p->key_tile, p->resident, p->slots};
	gpu_choice c = {.count = 0};

	for (int k = 0; k < SPLIT; k++)
		add(&c, p->form, k, value[k]);
	if (p->split > 1)
		add(&c, p->form, SPLIT, p->split);
	if (p->own)
		add(&c, p->form, WALK, ROWS);
	return c;
}

void gpu_choice_print(const gpu_choice *c, text *out)
{
	for (int i = 0; i < c->count; i++) {
		const sema_setting *x = &c->item[i];

		text_printf(out, "%s%s%s%s = ", i ? ", " : "", x->key, x->axis ? " " : "",
			x->axis ? x->axis->name : "");
		if (x->word)
			text_put(out, x->word);
		else
			text_printf(out, "%lld", (long long)x->integer);
	}
}

/* "tile k" or "rows"; -1: neither. */
static int find_key(const row_form *m, const char *words, size_t n)
{
	for (int k = 0; k < KNOWN; k++) {
		char want[128];
		int len = snprintf(want, sizeof want, "%s%s%s", known[k].key,
			known[k].of_inner ? " " : "", known[k].of_inner ? m->inner->name : "");

		if ((size_t)len == n && len < (int)sizeof want && !memcmp(words, want, n))
			return k;
	}
	return -1;
}

/* The value at `s`, and what follows it; -1: none that the key has. */
static long long read_value(int k, char *s, char **end)
{
	size_t n = strcspn(s, ",");

	*end = s + n;
	for (int w = BLOCK; known[k].word[0] && w <= ROWS; w++)
		if (strlen(known[k].word[w]) == n && !memcmp(s, known[k].word[w], n))
			return w;
	return known[k].word[0] || *s < '1' || *s > '9' ? -1 : strtoll(s, end, 10);
}

bool gpu_choice_parse(const row_form *m, const char *s, gpu_choice *c)
{
	unsigned seen = 0;

	*c = (gpu_choice){.count = 0};
	while (*s) {
		const char *is = strstr(s, " = ");
		int k = is ? find_key(m, s, (size_t)(is - s)) : -1;
		char *end;
		long long value;

		if (k < 0 || (seen & 1u << k))
			return false;
		seen |= 1u << k;
		value = read_value(k, (char *)is + 3, &end);
		if (value < 0 || value > 1 << 20 || (*end && strncmp(end, ", ", 2)) ||
			!strcmp(end, ", "))
			return false;
		add(c, m, k, value);
		s = *end ? end + 2 : end;
	}
	return true;
}
