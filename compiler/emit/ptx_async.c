/* ptx_async.c: mbarriers, TMA, products of warpgroups. */
#include "emit/ptx_internal.h"

static void unsupported(ptx_cx *h, const tile_stmt *s)
{
	diag_error(
		h->d, s->at, "'%s' is not supported by the PTX emitter", tile_op_info[s->op].text);
	h->llvm_errors++;
}

void ptx_stmt_BINIT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_BEXPECT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_BARRIVE(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_BWAIT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_TMALOAD(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_FENCEA(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WGMMA(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WGMMAT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WGMMAS(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WGMMAST(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WFENCE(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WCOMMIT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_WWAIT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_NSYNC(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_NARRIVE(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_COUNT(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}

void ptx_stmt_STSM(ptx_cx *h, const tile_stmt *s)
{
	unsupported(h, s);
}
