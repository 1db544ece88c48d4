/* schedule.c: the settings of a spec's schedules.
 * in:  schedule blocks that name the spec
 * out: sema_spec.setting; known keys, legal values, no contradictions. What they mean is the
 * planner's. relies on: axes and params. */
#include "arch/arch.h"
#include "sema/check.h"
#include <string.h>

typedef enum { SUBJECT_NONE, SUBJECT_KEY, SUBJECT_PARAM } subject_kind;
typedef enum { SET_INT, SET_AXIS, SET_WORD, SET_NOTHING } set_kind;

typedef struct {
	const char *key;
	subject_kind subject;
	set_kind value;
	int least, most; /* SET_INT */
	bool power_of_two;
	const char *const *words; /* SET_WORD */
} setting_rule;

static const char *const overlaps[] = {"none", "pingpong", "rotate", NULL};
static const char *const walks[] = {"block", "rows", NULL};

static const setting_rule rules[] = {
	{"rows", SUBJECT_NONE, SET_INT, 1, 1024, false, NULL},
	{"tile", SUBJECT_KEY, SET_INT, 1, 4096, true, NULL},
	{"resident", SUBJECT_KEY, SET_INT, 1, 65536, false, NULL},
	{"inner", SUBJECT_NONE, SET_AXIS, 0, 0, false, NULL},
	{"stages", SUBJECT_NONE, SET_INT, 1, 8, false, NULL},
	{"warps", SUBJECT_NONE, SET_INT, 1, 32, false, NULL},
	{"split", SUBJECT_NONE, SET_INT, 1, 4, true, NULL},
	{"walk", SUBJECT_NONE, SET_WORD, 0, 0, false, walks},
	{"overlap", SUBJECT_NONE, SET_WORD, 0, 0, false, overlaps},
	{"specialize", SUBJECT_PARAM, SET_NOTHING, 0, 0, false, NULL},
};

static const char *nearest(const char *word, const char *const *list)
{
	int n = 0;

	while (list[n])
		n++;
	return diag_nearest(word, list, n);
}

static bool listed(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

static const char *list_text(checker *cx, const char *const *list)
{
	const char *all = list[0];

	for (int k = 1; list[k]; k++)
		all = arena_printf(cx->a, "%s, %s", all, list[k]);
	return all;
}

/* --- the block --- */

/* "cpu, sm_75, sm_80, ..." */
static const char *targets_text(checker *cx)
{
	const char *all = "cpu";
	int count;
	const arch *a = arch_all(&count);

	for (int k = 0; k < count; k++)
		all = arena_printf(cx->a, "%s, %s", all, a[k].name);
	return all;
}

static void check_target(checker *cx, ast_name target)
{
	const char *near;

	if (!target.text || strcmp(target.text, "cpu") == 0)
		return;
	if (strncmp(target.text, "sm_", 3) == 0 && arch_find(target.text))
		return;
	near = arch_nearest(target.text);
	diag_error(cx->d, target.at, "unknown target '%s'", target.text);
	if (near && strcmp(near, "native") != 0)
		diag_hint(cx->d, "did you mean '%s'?", near);
	else
		diag_hint(cx->d, "the targets are %s", targets_text(cx));
}

/* --- values --- */

static bool power_of_two(int64_t v)
{
	return v > 0 && (v & (v - 1)) == 0;
}

static void hint_value(checker *cx, const setting_rule *r, int64_t v)
{
	int64_t low = 1;

	if (v < r->least) {
		diag_hint(cx->d, "the least is %d", r->least);
	} else if (v > r->most) {
		diag_hint(cx->d, "the most is %d", r->most);
	} else {
		while (low * 2 < v)
			low *= 2;
		diag_hint(cx->d, "the nearest are %lld and %lld", (long long)low,
			(long long)(low * 2));
	}
}

static bool check_int(checker *cx, const setting_rule *r, const ast_setting *set, sema_setting *out)
{
	const char *what = arena_printf(cx->a, "'%s'", r->key);

	if (!declare_int(cx, set->value, what, &out->integer))
		return false;
	if (out->integer >= r->least && out->integer <= r->most &&
		(!r->power_of_two || power_of_two(out->integer)))
		return true;
	if (out->integer < r->least || out->integer > r->most)
		diag_error(cx->d, set->value->at, "'%s' is %lld, but must be from %d to %d", r->key,
			(long long)out->integer, r->least, r->most);
	else
		diag_error(cx->d, set->value->at, "'%s' is %lld, but must be a power of two",
			r->key, (long long)out->integer);
	hint_value(cx, r, out->integer);
	return false;
}

/* The key axis of a name. */
static sema_axis *key_axis(checker *cx, ast_name name, const char *key)
{
	symbol *sym = names_find(cx, name.text);
	const sema_axis *a = sym && sym->kind == SYM_INDEX ? sym->index.axis : NULL;

	if (a && a->kind == AXIS_KEY)
		return sym->index.axis;
	if (sym)
		diag_error(cx->d, name.at, "'%s' takes a key index, '%s' is %s", key, name.text,
			a && a->kind == AXIS_QUERY ? "the query index" : names_noun(sym));
	else
		diag_error(cx->d, name.at, "unknown index '%s'", name.text);
	if (!sym)
		names_hint(cx, name.text, 1u << SYM_INDEX, NULL);
	return NULL;
}

static bool check_word(
	checker *cx, const setting_rule *r, const ast_setting *set, sema_setting *out)
{
	const char *word = set->value->kind == AST_NAME ? set->value->name.text : NULL;
	const char *near;

	if (word && listed(word, r->words)) {
		out->word = word;
		return true;
	}
	near = word ? nearest(word, r->words) : NULL;
	diag_error(cx->d, set->value->at, "'%s' is one of %s", r->key, list_text(cx, r->words));
	if (near)
		diag_hint(cx->d, "did you mean '%s'?", near);
	return false;
}

static bool check_value(
	checker *cx, const setting_rule *r, const ast_setting *set, sema_setting *out)
{
	if (r->value == SET_NOTHING) {
		if (!set->value)
			return true;
		diag_error(cx->d, set->value->at, "'%s' takes no value", r->key);
		return false;
	}
	if (!set->value) {
		diag_error(cx->d, set->at, "'%s' needs a value", r->key);
		return false;
	}
	switch (r->value) {
	case SET_INT:
		return check_int(cx, r, set, out);
	case SET_WORD:
		return check_word(cx, r, set, out);
	case SET_AXIS:
		if (set->value->kind == AST_NAME) {
			out->axis = key_axis(cx, set->value->name, r->key);
			return out->axis != NULL;
		}
		diag_error(cx->d, set->value->at, "'%s' takes a key index", r->key);
		return false;
	case SET_NOTHING:
		break;
	}
	return true;
}

static bool check_subject(
	checker *cx, const setting_rule *r, const ast_setting *set, sema_setting *out)
{
	symbol *sym;

	if (r->subject == SUBJECT_NONE) {
		if (!set->subject.text)
			return true;
		diag_error(cx->d, set->subject.at, "'%s' is not set for an index", r->key);
		diag_hint(cx->d, "write %s = ...", r->key);
		return false;
	}
	if (!set->subject.text) {
		diag_error(cx->d, set->key.at, "'%s' needs %s", r->key,
			r->subject == SUBJECT_KEY ? "a key index" : "a param");
		if (r->subject == SUBJECT_KEY && cx->s->key.count > 0)
			diag_hint(cx->d, "write %s %s = ...", r->key,
				cx->s->key.item[cx->s->key.count - 1]->name);
		return false;
	}
	if (r->subject == SUBJECT_KEY) {
		out->axis = key_axis(cx, set->subject, r->key);
		return out->axis != NULL;
	}
	sym = names_find(cx, set->subject.text);
	if (sym && sym->kind == SYM_PARAM) {
		out->param = sym->param;
		return true;
	}
	diag_error(cx->d, set->subject.at, "'%s' takes a param, '%s' is %s", r->key,
		set->subject.text, sym ? names_noun(sym) : "unknown");
	if (!sym)
		names_hint(cx, set->subject.text, 1u << SYM_PARAM, NULL);
	return false;
}

/* --- settings --- */

static const setting_rule *find_rule(checker *cx, ast_name key)
{
	const char *names[sizeof rules / sizeof *rules + 1] = {NULL};
	const char *near;

	for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
		names[k] = rules[k].key;
		if (strcmp(rules[k].key, key.text) == 0)
			return &rules[k];
	}
	near = nearest(key.text, names);
	diag_error(cx->d, key.at, "unknown setting '%s'", key.text);
	if (near)
		diag_hint(cx->d, "did you mean '%s'?", near);
	else
		diag_hint(cx->d, "the settings are %s", list_text(cx, names));
	return NULL;
}

static bool same_target(const char *x, const char *y)
{
	return x == y || (x && y && strcmp(x, y) == 0);
}

static const sema_setting *find_setting(
	const checker *cx, const sema_setting *like, const char *key)
{
	for (int k = 0; k < cx->s->setting.count; k++) {
		const sema_setting *old = &cx->s->setting.item[k];

		if (strcmp(old->key, key) == 0 && same_target(old->target, like->target) &&
			old->param == like->param &&
			(strcmp(key, "inner") == 0 || old->axis == like->axis))
			return old;
	}
	return NULL;
}

/* tile and resident of one key must fit together. */
static void check_resident(checker *cx, const sema_setting *set)
{
	bool tile = strcmp(set->key, "tile") == 0;
	const sema_setting *other;
	int64_t t, r;

	if (!tile && strcmp(set->key, "resident") != 0)
		return;
	other = find_setting(cx, set, tile ? "resident" : "tile");
	if (!other)
		return;
	t = tile ? set->integer : other->integer;
	r = tile ? other->integer : set->integer;
	if (r % t == 0)
		return;
	diag_error(cx->d, set->at, "'resident %s' = %lld is not a multiple of 'tile %s' = %lld",
		set->axis->name, (long long)r, set->axis->name, (long long)t);
	diag_note(cx->d, other->at, "the other is set here");
}

static void check_setting(checker *cx, const ast_schedule *block, const ast_setting *set)
{
	const setting_rule *r = find_rule(cx, set->key);
	sema_setting out = {.target = block->target.text, .at = set->at};
	const sema_setting *old;

	if (!r)
		return;
	out.key = r->key;
	if (!check_subject(cx, r, set, &out) || !check_value(cx, r, set, &out))
		return;
	old = find_setting(cx, &out, r->key);
	if (old) {
		diag_error(cx->d, set->at, "'%s%s%s' is set twice", r->key,
			set->subject.text ? " " : "", set->subject.text ? set->subject.text : "");
		diag_note(cx->d, old->at, "first set here");
		return;
	}
	check_resident(cx, &out);
	ARENA_PUSH(cx->a, &cx->s->setting, out);
}

void schedule_check(checker *cx)
{
	for (int k = 0; k < cx->file->schedules.count; k++) {
		const ast_schedule *block = cx->file->schedules.item[k];

		if (!block->spec.text || strcmp(block->spec.text, cx->ast->name.text) != 0)
			continue;
		check_target(cx, block->target);
		for (int n = 0; n < block->settings.count; n++)
			check_setting(cx, block, &block->settings.item[n]);
	}
}
