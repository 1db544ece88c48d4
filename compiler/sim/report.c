/* report.c: what was found. Each kind of fault at each statement is kept once, as it was first met,
 * with a count; blocks report from several threads. */
#include "sim/sim_internal.h"
#include <stdlib.h>
#include <string.h>

const char *sim_fault_text(sim_fault f)
{
	static const char *const name[SIM_FAULT_COUNT] = {
#define SIM_FAULT_TEXT(name, text) text,
		SIM_FAULTS(SIM_FAULT_TEXT)
#undef SIM_FAULT_TEXT
	};

	return name[f];
}

/* --- the log of a run --- */

bool sim_log_open(sim_log *log, const tile_program *p, int stmts, int limit)
{
	size_t seen = (size_t)(stmts + 1) * SIM_FAULT_COUNT;

	*log = (sim_log){.p = p, .limit = limit > 0 ? limit : 10};
	log->entry = calloc((size_t)log->limit, sizeof *log->entry);
	log->seen = calloc(seen, sizeof *log->seen);
	if (log->entry && log->seen && pthread_mutex_init(&log->lock, NULL) == 0)
		return true;
	free(log->entry);
	free(log->seen);
	return false;
}

/* The statement alone, without its body: a program that has nothing else is printed. */
static char *statement_text(const tile_program *p, const tile_stmt *s)
{
	tile_stmt alone = *s, *item = &alone;
	tile_program one = *p;
	text out = {0};
	char *first, *last;

	alone.body = alone.other = (tile_block){0};
	one.arg.count = one.buffer.count = one.bar.count = one.frag.count = 0;
	one.body = (tile_block){&item, 1, 1};
	tile_print(&one, &out);
	first = strchr(out.data, '\n');
	while (first && (*first == '\n' || *first == ' '))
		first++;
	last = strrchr(out.data, '}');
	while (last && last > out.data && (last[-1] == '\n' || last[-1] == ' '))
		last--;
	if (first && last && first < last) {
		memmove(out.data, first, (size_t)(last - first));
		out.data[last - first] = '\0';
	}
	return text_take(&out);
}

/* Keeps the entry, or drops it when there are enough. */
static void keep(sim_log *log, sim_entry e)
{
	pthread_mutex_lock(&log->lock);
	if (log->count < log->limit) {
		log->entry[log->count++] = e;
		e.message = e.text = NULL;
	}
	if (log->count == log->limit)
		atomic_store(&log->stop, true);
	pthread_mutex_unlock(&log->lock);
	free(e.message);
	free(e.text);
}

void sim_log_fault(sim_log *log, sim_fault fault, const char *why)
{
	sim_entry e = {.fault = fault, .warp = SIM_ALL, .lane = SIM_ALL, .count = 1};

	if (atomic_fetch_add(&log->seen[fault], 1) > 0)
		return;
	e.message = strdup(why ? why : "");
	keep(log, e);
}

void sim_fault_at(sim_block *b, sim_fault fault, int warp, int lane, const char *fmt, ...)
{
	size_t place = (size_t)(b->now->id + 1) * SIM_FAULT_COUNT + (size_t)fault;
	sim_entry e = {.fault = fault, .stmt = b->now->s, .warp = warp, .lane = lane};
	text message = {0};
	va_list ap;

	if (atomic_fetch_add_explicit(&b->log->seen[place], 1, memory_order_relaxed) > 0)
		return;
	memcpy(e.block, b->index, sizeof e.block);
	va_start(ap, fmt);
	text_vprintf(&message, fmt, ap);
	va_end(ap);
	e.message = text_take(&message);
	e.text = statement_text(b->log->p, e.stmt);
	e.count = (int64_t)place; /* until sim_log_close counts */
	keep(b->log, e);
}

static bool earlier(const sim_entry *a, const sim_entry *b)
{
	for (int i = 2; i >= 0; i--)
		if (a->block[i] != b->block[i])
			return a->block[i] < b->block[i];
	return false;
}

/* Few entries: insertion keeps those of one block in their order. */
static void sort(sim_entry *e, int n)
{
	for (int i = 1; i < n; i++) {
		sim_entry x = e[i];
		int j = i;

		for (; j > 0 && earlier(&x, &e[j - 1]); j--)
			e[j] = e[j - 1];
		e[j] = x;
	}
}

void sim_log_close(sim_log *log, sim_report *r)
{
	for (int i = 0; i < log->count; i++)
		if (log->entry[i].stmt)
			log->entry[i].count = atomic_load(&log->seen[log->entry[i].count]);
	sort(log->entry, log->count);
	r->entry = log->entry;
	r->count = log->count;
	r->statements = atomic_load(&log->statements);
	r->conflicts = atomic_load(&log->conflicts);
	pthread_mutex_destroy(&log->lock);
	free(log->seen);
}

/* --- the report --- */

static void print_place(const sim_entry *e, text *out)
{
	if (!e->stmt)
		return;
	text_printf(out, " in block %lld, %lld, %lld", (long long)e->block[0],
		(long long)e->block[1], (long long)e->block[2]);
	if (e->warp != SIM_ALL)
		text_printf(out, ", warp %d", e->warp);
	if (e->lane != SIM_ALL)
		text_printf(out, ", lane %d", e->lane);
	if (e->count > 1)
		text_printf(out, " and %lld times more", (long long)e->count - 1);
}

void sim_report_print(const sim_report *r, text *out)
{
	for (int i = 0; i < r->count; i++) {
		const sim_entry *e = &r->entry[i];

		if (e->stmt && e->stmt->line)
			text_printf(out, "spec line %d: ", e->stmt->line);
		text_printf(out, "%s: %s", sim_fault_text(e->fault), e->message);
		print_place(e, out);
		text_put(out, "\n");
		if (e->text)
			text_printf(out, "    %s\n", e->text);
	}
}

void sim_report_free(sim_report *r)
{
	for (int i = 0; i < r->count; i++) {
		free(r->entry[i].message);
		free(r->entry[i].text);
	}
	free(r->entry);
	*r = (sim_report){0};
}
