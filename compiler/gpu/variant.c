/* variant.c: which plan suits how many query heads a key head.
 * in:  a row form and a target      out: settings, each for a range of heads
 * relies on: gpu_plan_make, which says whether a plan can be made.
 * Rows of a block are numbered heads first, and all of them meet the same positions of the last outer
 * axis. With as many heads a group as rows that is one query position; with fewer, several, whose
 * windows together hold more positions than each row sees. So fewer rows are the faster the fewer
 * heads there are: warpgroups share them and take turns at the positions (split). Where even those
 * are of many query positions, each row walks over its own window (walk = rows). */
#include "gpu/gpu_internal.h"

enum { GROUP_ROWS = 64 /* of a warpgroup */ };

/* The plan was made without choice, and whom its rows belong to was left to the planner. */
static bool has_variants(const gpu_plan *p)
{
	const row_form *m = p->form;
	const sema_axis *last = m->outers ? m->outer[m->outers - 1] : NULL;

	return p->family == GPU_WGMMA && last && (last->window.first || last->window.last) &&
	       m->head && m->head->group && (!p->choice || !p->choice->count) &&
	       p->rows > GROUP_ROWS && !gpu_setting(p, "rows") && !gpu_setting(p, "split") &&
	       !gpu_setting(p, "walk");
}

/* What a schedule would say of a variant; false: its plan cannot be made. */
static bool make_choice(const gpu_plan *p, bool own, gpu_choice *c)
{
	int split = p->rows / GROUP_ROWS;
	arena *a = arena_create();
	gpu_plan plan = {0};
	text t = {0};
	bool made;

	if (!a)
		return false;
	text_printf(&t, "split = %d%s", split, own ? ", walk = rows" : "");
	made = gpu_choice_parse(p->form, t.data, c) &&
	       gpu_plan_make(p->form, p->target, c, &plan, diags_create(a, p->form->spec->src)) &&
	       plan.family == GPU_WGMMA && plan.split == split && plan.own == own;
	text_free(&t);
	text_free(&plan.why);
	arena_destroy(a);
	return made;
}

static int list_variants(const gpu_plan *p, gpu_choice list[GPU_VARIANTS])
{
	int n = 0;
	bool shared, walk;
	gpu_choice own;

	if (!has_variants(p))
		return 0;
	shared = make_choice(p, false, &list[0]);
	walk = gpu_can_walk(p->form) && make_choice(p, true, &own);
	if (shared) {
		list[n].heads_least = walk ? GROUP_ROWS : 0;
		list[n++].heads_most = p->rows - 1;
	}
	if (walk) {
		own.heads_most = GROUP_ROWS - 1;
		list[n++] = own;
	}
	return n;
}

void gpu_plan_heads(gpu_plan *p)
{
	gpu_choice list[GPU_VARIANTS];
	int n = list_variants(p, list);
	text t = {0};

	if (p->choice && p->choice->heads_most) {
		p->heads_least = p->choice->heads_least;
		p->heads_most = p->choice->heads_most;
		gpu_because(p, "for %d to %d heads of a group", p->heads_least ? p->heads_least : 1,
			p->heads_most);
	}
	if (n == 0)
		return;
	p->heads_least = list[0].heads_most + 1;
	for (int i = 0; i < n; i++) {
		text_printf(&t, "; %d to %d: ", list[i].heads_least ? list[i].heads_least : 1,
			list[i].heads_most);
		gpu_choice_print(&list[i], &t);
	}
	gpu_because(p, "for %d and more heads of a group%s", p->heads_least, t.data);
	text_free(&t);
}

int gpu_variants(const row_form *m, const char *target, gpu_choice list[GPU_VARIANTS])
{
	arena *a = arena_create();
	gpu_plan plan = {0};
	int n = 0;

	if (a && gpu_plan_make(m, target, NULL, &plan, diags_create(a, m->spec->src)))
		n = list_variants(&plan, list);
	text_free(&plan.why);
	arena_destroy(a);
	return n;
}

bool gpu_variant(const row_form *m, const char *target, int64_t heads, gpu_choice *choice)
{
	gpu_choice list[GPU_VARIANTS];
	int n = heads > 0 ? gpu_variants(m, target, list) : 0;

	for (int i = 0; i < n; i++)
		if (heads >= list[i].heads_least && heads <= list[i].heads_most) {
			*choice = list[i];
			return true;
		}
	return false;
}
