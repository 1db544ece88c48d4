/* ptx_async.c: mbarriers, counters, numbered barriers and TMA. What one lane does for its warp is
 * predicated inside the assembly by elect.sync: no branch, and the lanes stay together. */
#include "emit/ptx_internal.h"
#include <string.h>

bool ptx_needs(ptx_cx *h, const tile_stmt *s, unsigned families)
{
	if (arch_has(h->a, families))
		return true;
	diag_error(h->d, s->at, "%s has no '%s'", h->a->name, tile_op_info[s->op].text);
	h->llvm_errors++;
	return false;
}

/* The part of an address that is a register. */
static V address_register(ptx_cx *h, num at)
{
	return num_v(h, (num){.type = at.type, .v = at.v});
}

static num bar_at(ptx_cx *h, const tile_bar_ref *b)
{
	num at = ptx_shared_base(h);

	if (b->index)
		at = num_add(h, at, num_times(h, ptx_scalar(h, b->index), tile_bar_size(b->bar)));
	return num_plus(h, at, b->bar->offset);
}

/* --- mbarriers and counters --- */

/* The fence makes the barriers known to TMA. */
void ptx_stmt_BINIT(ptx_cx *h, const tile_stmt *s)
{
	const tile_mbar *b = s->arg[0].bar.bar;
	num at = bar_at(h, &s->arg[0].bar);
	V reg = address_register(h, at);

	if (!ptx_needs(h, s, ARCH_TRY_WAIT))
		return;
	for (int i = 0; i < b->slots; i++) {
		long long byte = (long long)at.add + (long long)i * tile_bar_size(b);

		if (b->kind == BAR_COUNTER)
			ptx_asm(h, h->vd, PTX_MEMORY, "r", &reg, 1,
				"{ .reg .pred p; elect.sync _|p, 0xffffffff; @p st.shared.b32 "
				"[$0+%lld], 0; }",
				byte);
		else
			ptx_asm(h, h->vd, PTX_MEMORY, "r", &reg, 1,
				"{ .reg .pred p; elect.sync _|p, 0xffffffff; @p "
				"mbarrier.init.shared::cta.b64 [$0+%lld], %d; }",
				byte, b->count);
	}
	if (b->kind == BAR_MBARRIER)
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "fence.mbarrier_init.release.cluster;");
}

/* What all lanes did before is ordered before the elected lane's arrival. */
void ptx_sync_warp(ptx_cx *h)
{
	ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "bar.warp.sync 0xffffffff;");
}

void ptx_stmt_BEXPECT(ptx_cx *h, const tile_stmt *s)
{
	num at = bar_at(h, &s->arg[0].bar);
	V arg[2] = {address_register(h, at), num_v(h, ptx_scalar(h, s->arg[1].value))};

	if (!ptx_needs(h, s, ARCH_TRY_WAIT))
		return;
	ptx_sync_warp(h);
	ptx_asm(h, h->vd, PTX_MEMORY, "r,r", arg, 2,
		"{ .reg .pred p; elect.sync _|p, 0xffffffff; @p "
		"mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0+%lld], $1; }",
		(long long)at.add);
}

void ptx_stmt_BARRIVE(ptx_cx *h, const tile_stmt *s)
{
	num at = bar_at(h, &s->arg[0].bar);
	V reg = address_register(h, at);

	if (!ptx_needs(h, s, ARCH_TRY_WAIT))
		return;
	ptx_sync_warp(h);
	ptx_asm(h, h->vd, PTX_MEMORY, "r", &reg, 1,
		"{ .reg .pred p; elect.sync _|p, 0xffffffff; @p mbarrier.arrive.shared::cta.b64 _, "
		"[$0+%lld]; }",
		(long long)at.add);
}

void ptx_stmt_BWAIT(ptx_cx *h, const tile_stmt *s)
{
	num at = bar_at(h, &s->arg[0].bar);
	V arg[2] = {address_register(h, at), num_v(h, ptx_scalar(h, s->arg[1].value))};

	if (!ptx_needs(h, s, ARCH_TRY_WAIT))
		return;
	ptx_asm(h, h->vd, PTX_MEMORY, "r,r", arg, 2,
		"{ .reg .pred p; WAIT: mbarrier.try_wait.parity.shared::cta.b64 p, [$0+%lld], $1; "
		"@!p bra WAIT; }",
		(long long)at.add);
}

void ptx_stmt_COUNT(ptx_cx *h, const tile_stmt *s)
{
	num at = bar_at(h, &s->arg[1].bar);
	V reg = address_register(h, at), n;

	if (!ptx_needs(h, s, ARCH_TRY_WAIT))
		return;
	ptx_sync_warp(h);
	n = ptx_asm(h, h->i32, PTX_MEMORY, "=r,r", &reg, 1,
		"{ .reg .pred p; .reg .b32 lane, old; elect.sync lane|p, 0xffffffff; mov.b32 old, "
		"0; @p atom.acq_rel.cta.shared::cta.add.u32 old, [$1+%lld], 1; shfl.sync.idx.b32 "
		"$0, old, lane, 31, 0xffffffff; }",
		(long long)at.add);
	ptx_sync_warp(h);
	h->var[s->arg[0].var->id].value = num_range(num_of(h, n), 0, INT32_MAX);
}

/* --- numbered barriers --- */

static void numbered(ptx_cx *h, const tile_stmt *s, const char *what)
{
	num id = ptx_scalar(h, s->arg[0].value);
	V reg = num_v(h, id);

	if (LLVMIsConstant(reg))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "bar.%s %lld, %lld;", what,
			(long long)id.add, (long long)s->arg[1].integer);
	else
		ptx_asm(h, h->vd, PTX_MEMORY, "r", &reg, 1, "bar.%s $0, %lld;", what,
			(long long)s->arg[1].integer);
}

void ptx_stmt_NSYNC(ptx_cx *h, const tile_stmt *s)
{
	numbered(h, s, "sync");
}

void ptx_stmt_NARRIVE(ptx_cx *h, const tile_stmt *s)
{
	numbered(h, s, "arrive");
}

/* --- TMA --- */

void ptx_stmt_FENCEA(ptx_cx *h, const tile_stmt *s)
{
	if (ptx_needs(h, s, ARCH_TMA))
		ptx_asm(h, h->vd, PTX_MEMORY, "", NULL, 0, "fence.proxy.async.shared::cta;");
}

void ptx_prefetch_maps(ptx_cx *h)
{
	for (int i = 0; i < h->p->arg.count; i++) {
		V arg[2] = {LLVMGetParam(h->fn, (unsigned)i), num_v(h, h->tid)};

		if (h->p->arg.item[i]->kind == ARG_MAP)
			ptx_asm(h, h->vd, PTX_MEMORY, "l,r", arg, 2,
				"{ .reg .pred p; setp.eq.u32 p, $1, 0; @p prefetch.tensormap [$0]; "
				"}");
	}
}

/* Coordinates of the instruction: the innermost dimension first. */
void ptx_stmt_TMALOAD(ptx_cx *h, const tile_stmt *s)
{
	static const char *const list[] = {
		"$3", "$3, $4", "$3, $4, $5", "$3, $4, $5, $6", "$3, $4, $5, $6, $7"};
	static const char constraints[] = "r,l,r,r,r,r,r,r";
	const tile_region *r = &s->arg[0].region;
	const tile_box *b = &s->arg[1].box;
	num zero = num_const(h->i32, 0), bar = bar_at(h, &s->arg[2].bar);
	num at = ptx_shared_at(h, r->buffer, ptx_scalar(h, r->slot), ptx_scalar(h, r->row), zero,
		ptx_scalar(h, r->col));
	V arg[3 + TILE_MAX_RANK] = {address_register(h, at),
		LLVMGetParam(h->fn, (unsigned)b->map->id), address_register(h, bar)};
	char used[sizeof constraints];

	if (!ptx_needs(h, s, ARCH_TMA))
		return;
	for (int i = 0; i < b->rank; i++)
		arg[3 + i] = num_v(h, ptx_scalar(h, b->coord[b->rank - 1 - i]));
	memcpy(used, constraints, sizeof used);
	used[2 * (3 + b->rank) - 1] = '\0';
	ptx_asm(h, h->vd, PTX_MEMORY, used, arg, 3 + b->rank,
		"{ .reg .pred p; elect.sync _|p, 0xffffffff; @p cp.async.bulk.tensor.%dd"
		".shared::cluster.global.mbarrier::complete_tx::bytes [$0+%lld], [$1, {%s}], "
		"[$2+%lld]; }",
		b->rank, (long long)at.add, list[b->rank - 1], (long long)bar.add);
}
