/* cpu.c: rounds of groups, packing jobs and row jobs of a CPU launch (see cpu.h).
 * in:  a kernel table and checked arguments;  out: the output tensors written. */
#include "runtime/cpu.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PACKED_B, PACKED_V, PACKED_BAD, PACKED_STREAM };
enum { PACK_CHUNK = 256, ROW_TARGET = 64, ROUND_BYTES = 256 << 20 };

typedef struct {
	int64_t coord[RT_CPU_MAX_AXES * 2];
	int64_t h0, h1;
	int64_t range[2 * RT_CPU_MAX_AXES]; /* first, last of each key axis over all rows */
	void *packed[PACKED_STREAM + RT_CPU_MAX_STREAMS];
	int64_t offset; /* of this group's packed operands in the round's memory */
} group_state;

typedef struct {
	int group, outer; /* outer -1: the inner operands */
	int64_t from, to;
} pack_job;

typedef struct {
	const rt_cpu_kernel *k;
	const rt_cpu_args *user;
	int64_t *args;
	group_state *group;
	pack_job *job;
	int64_t jobs;
	char **scratch; /* [threads] */
	int64_t queries, block, blocks, groups_in_round;
	int64_t rows_total;
	atomic_llong rows_done;
} launch;

static int64_t round_up(int64_t x, int64_t unit)
{
	return (x + unit - 1) / unit * unit;
}

static int64_t *make_args(const rt_cpu_kernel *k, const rt_cpu_args *a)
{
	int64_t *word = calloc((size_t)k->arg_words + 1, sizeof *word);

	if (!word)
		return NULL;
	for (int t = 0; t < k->tensors; t++) {
		word[t] = (int64_t)(intptr_t)a->data[t];
		for (int d = 0; d < k->rank[t]; d++)
			word[k->stride_word[t] + d] = a->stride[t] ? a->stride[t][d] : 0;
	}
	for (int i = 0; i < k->lengths; i++)
		word[k->length_word + i] = a->length[i];
	for (int i = 0; i < k->params; i++) {
		if (k->param_is_int[i])
			word[k->param_word + i] = a->param_int[i];
		else
			memcpy(&word[k->param_word + i], &a->param_float[i], sizeof(double));
	}
	return word;
}

static int64_t batch_count(const rt_cpu_kernel *k, const rt_cpu_args *a)
{
	int64_t n = 1;

	for (int i = 0; i < k->batches; i++)
		n *= a->length[k->batch[i].length];
	return n;
}

static int64_t key_heads(const rt_cpu_kernel *k, const rt_cpu_args *a)
{
	return k->has_group ? a->length[k->group.length] : 1;
}

/* Coordinates of group number n: key head fastest, then batch axes from the last. */
static void set_coords(const rt_cpu_kernel *k, const rt_cpu_args *a, int64_t n, group_state *g)
{
	int64_t heads = k->has_head ? a->length[k->head.length] : 1, per = heads / key_heads(k, a),
		kh;

	kh = n % key_heads(k, a);
	n /= key_heads(k, a);
	if (k->has_group)
		g->coord[k->group.coord] = kh;
	g->h0 = kh * per;
	g->h1 = g->h0 + per;
	for (int i = k->batches - 1; i >= 0; i--) {
		int64_t len = a->length[k->batch[i].length];

		g->coord[k->batch[i].coord] = n % len;
		n /= len;
	}
}

static void range_body(void *user, int64_t begin, int64_t end, int worker)
{
	launch *l = user;
	const rt_cpu_kernel *k = l->k;

	(void)worker;
	for (int64_t n = begin; n < end; n++) {
		group_state *g = &l->group[n];

		for (int i = 0; i < k->keys; i++) {
			g->range[2 * i] = INT64_MAX;
			g->range[2 * i + 1] = -1;
		}
		k->key_range(l->args, g->coord, g->range, 0, l->queries, g->h0,
			k->window_by_head ? g->h1 : g->h0 + (g->h1 > g->h0));
	}
}

static void pack_body(void *user, int64_t begin, int64_t end, int worker)
{
	launch *l = user;

	(void)worker;
	for (int64_t n = begin; n < end; n++) {
		const pack_job *j = &l->job[n];
		group_state *g = &l->group[j->group];
		rt_cpu_pack *pack = j->outer < 0 ? l->k->pack_inner : l->k->pack_outer[j->outer];

		pack(l->args, g->coord, g->packed, j->from, j->to);
	}
}

/* Later query blocks first: under a causal window they are the longest. */
static void rows_body(void *user, int64_t begin, int64_t end, int worker)
{
	launch *l = user;

	for (int64_t n = begin; n < end; n++) {
		group_state *g = &l->group[n % l->groups_in_round];
		int64_t b = l->blocks - 1 - n / l->groups_in_round, i0 = b * l->block,
			i1 = i0 + l->block;

		i1 = i1 < l->queries ? i1 : l->queries;
		l->k->rows(l->args, g->coord, g->packed, l->scratch[worker], i0, i1, g->h0, g->h1);
		atomic_fetch_add_explicit(
			&l->rows_done, (i1 - i0) * (g->h1 - g->h0), memory_order_relaxed);
		if (worker == 0 && l->user->progress)
			l->user->progress(l->user->progress_user,
				(double)atomic_load_explicit(&l->rows_done, memory_order_relaxed) /
					(double)l->rows_total);
	}
}

/* --- workspace --- */

static int64_t inner_from(const rt_cpu_kernel *k, const group_state *g)
{
	return g->range[2 * k->inner_key] / k->key_pad * k->key_pad;
}

static int64_t inner_to(const rt_cpu_kernel *k, const group_state *g)
{
	return round_up(g->range[2 * k->inner_key + 1] + 1, k->key_pad);
}

static bool any_keys(const rt_cpu_kernel *k, const group_state *g)
{
	for (int i = 0; i < k->keys; i++)
		if (g->range[2 * i + 1] < g->range[2 * i])
			return false;
	return true;
}

/* Sets packed pointers relative to `base` (NULL: only counts) and gives the group's bytes. Pointers
 * address position 0 although memory starts at the first packed position. */
static int64_t place_group(const rt_cpu_kernel *k, group_state *g, char *base)
{
	int64_t from, keys, at = 0;

	if (!any_keys(k, g))
		return 0;
	from = inner_from(k, g);
	keys = inner_to(k, g) - from;
	g->packed[PACKED_B] = (void *)((intptr_t)base + at - from * k->b_bytes);
	at += round_up(keys * k->b_bytes, 64);
	g->packed[PACKED_V] = (void *)((intptr_t)base + at - from * k->v_bytes);
	at += round_up(keys * k->v_bytes, 64);
	g->packed[PACKED_BAD] = (void *)((intptr_t)base + at - from);
	at += round_up(keys, 64);
	for (int s = 0; s < k->streams; s++) {
		const int64_t *r;

		if (k->stream_outer[s] < 0)
			continue;
		r = &g->range[2 * k->outer_key[k->stream_outer[s]]];
		g->packed[PACKED_STREAM + s] =
			(void *)((intptr_t)base + at - r[0] * k->stream_bytes[s]);
		at += round_up((r[1] - r[0] + 1) * k->stream_bytes[s], 64);
	}
	return at;
}

/* Bytes of one group when every position is packed. */
static int64_t group_bytes(const rt_cpu_kernel *k, const rt_cpu_args *a)
{
	int64_t keys = round_up(a->length[k->inner_length], k->key_pad);
	int64_t n = keys * (k->b_bytes + k->v_bytes + 1) + 4 * 64;

	for (int s = 0; s < k->streams; s++)
		if (k->stream_outer[s] >= 0)
			n += a->length[k->outer_length[k->stream_outer[s]]] * k->stream_bytes[s] +
			     64;
	return n;
}

static int64_t add_jobs(launch *l, int group, int outer, int64_t from, int64_t to)
{
	int64_t n = 0;

	for (int64_t p = from; p < to; p += PACK_CHUNK, n++)
		if (l->job)
			l->job[l->jobs++] = (pack_job){
				group, outer, p, p + PACK_CHUNK < to ? p + PACK_CHUNK : to};
	return n;
}

/* Counts (job NULL) or lists the packing jobs of the round. */
static int64_t list_jobs(launch *l)
{
	const rt_cpu_kernel *k = l->k;
	int64_t n = 0;

	for (int i = 0; i < l->groups_in_round; i++) {
		const group_state *g = &l->group[i];

		if (!any_keys(k, g))
			continue;
		n += add_jobs(l, i, -1, inner_from(k, g), inner_to(k, g));
		for (int o = 0; o < k->outers; o++)
			n += add_jobs(l, i, o, g->range[2 * k->outer_key[o]],
				g->range[2 * k->outer_key[o] + 1] + 1);
	}
	return n;
}

static bool run_round(launch *l, int64_t first, rt_pool *pool)
{
	int64_t bytes = 0, jobs;
	char *memory;

	for (int64_t n = 0; n < l->groups_in_round; n++)
		set_coords(l->k, l->user, first + n, &l->group[n]);
	rt_pool_run(pool, l->groups_in_round, 1, range_body, l);
	for (int64_t n = 0; n < l->groups_in_round; n++) {
		l->group[n].offset = bytes;
		bytes += place_group(l->k, &l->group[n], NULL);
	}
	memory = aligned_alloc(64, (size_t)round_up(bytes + 64, 64));
	l->job = NULL;
	jobs = list_jobs(l);
	l->job = malloc(sizeof *l->job * (size_t)(jobs + 1));
	if (!memory || !l->job) {
		free(memory);
		free(l->job);
		return false;
	}
	for (int64_t n = 0; n < l->groups_in_round; n++)
		place_group(l->k, &l->group[n], memory + l->group[n].offset);
	l->jobs = 0;
	list_jobs(l);
	rt_pool_run(pool, jobs, 1, pack_body, l);
	rt_pool_run(pool, l->groups_in_round * l->blocks, 1, rows_body, l);
	free(memory);
	free(l->job);
	return true;
}

/* --- launch --- */

static int64_t clamp(int64_t x, int64_t lo, int64_t hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

static int64_t round_groups(const rt_cpu_kernel *k, const rt_cpu_args *a, int threads)
{
	int64_t groups = batch_count(k, a) * key_heads(k, a);

	return clamp(
		ROUND_BYTES / (group_bytes(k, a) + 1), threads < groups ? threads : groups, groups);
}

static int64_t rows_per_block(const rt_cpu_kernel *k, const rt_cpu_args *a, int64_t *block)
{
	int64_t heads = k->has_head ? a->length[k->head.length] : 1, kh = key_heads(k, a);
	int64_t per = kh > 0 ? heads / kh : 0;

	*block = per > 0 ? clamp(ROW_TARGET / per, 1, ROW_TARGET) : 1;
	return *block * per;
}

static bool make_scratch(launch *l, int threads, int64_t rows)
{
	int64_t bytes = round_up(l->k->scratch_bytes + rows * l->k->row_bytes + 64, 64);

	l->scratch = calloc((size_t)threads, sizeof *l->scratch);
	for (int t = 0; l->scratch && t < threads; t++) {
		l->scratch[t] = aligned_alloc(64, (size_t)bytes);
		if (!l->scratch[t])
			return false;
		memset(l->scratch[t], 0, (size_t)l->k->scratch_bytes);
	}
	return l->scratch != NULL;
}

bool rt_cpu_launch(const rt_cpu_kernel *k, const rt_cpu_args *a, rt_pool *pool)
{
	int threads = rt_pool_threads(pool);
	int64_t kh = key_heads(k, a), groups = batch_count(k, a) * kh, most;
	launch l = {.k = k, .user = a, .queries = k->has_query ? a->length[k->query.length] : 1};
	bool ok;

	if (groups == 0 || l.queries == 0 || (k->has_head && a->length[k->head.length] == 0))
		return true;
	most = round_groups(k, a, threads);
	l.args = make_args(k, a);
	l.group = calloc((size_t)most, sizeof *l.group);
	ok = make_scratch(&l, threads, rows_per_block(k, a, &l.block)) && l.args && l.group;
	l.blocks = (l.queries + l.block - 1) / l.block;
	l.rows_total = groups * l.queries * (k->has_head ? a->length[k->head.length] / kh : 1);
	for (int64_t first = 0; ok && first < groups; first += most) {
		l.groups_in_round = groups - first < most ? groups - first : most;
		ok = run_round(&l, first, pool);
	}
	for (int t = 0; l.scratch && t < threads; t++)
		free(l.scratch[t]);
	free(l.scratch);
	free(l.group);
	free(l.args);
	return ok;
}

int64_t rt_cpu_workspace(const rt_cpu_kernel *k, const rt_cpu_args *a, int threads)
{
	int64_t block, rows = rows_per_block(k, a, &block);

	return round_groups(k, a, threads) * group_bytes(k, a) +
	       threads * (k->scratch_bytes + rows * k->row_bytes);
}
