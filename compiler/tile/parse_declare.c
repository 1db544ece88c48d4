/* parse_declare.c: declarations of the text form: arguments, shared buffers, register tiles.
 * Each is checked (check.c) where it stands; one that is wrong is reported and exists all the same,
 * so that its uses are not reported too. */
#include "tile/parse.h"

/* map TENSOR box N, N, ... panel 64 */
static bool parse_map(parser *c, const char *name, loc at, bool written)
{
	const tile_name *n = parse_name(c, NAME_ARG, "a tensor");
	const tile_arg *tensor;
	int box[TILE_MAX_RANK], rank = 0;
	int64_t panel;
	text why = {0};
	loc comment;
	tile_arg *a;

	if (!n || !parse_expect(c, "box"))
		return false;
	do {
		if (rank == TILE_MAX_RANK) {
			diag_error(c->d, c->tok.at, "a tensor map has at most %d dimensions",
				TILE_MAX_RANK);
			return false;
		}
		if (!parse_extent(c, &box[rank++]))
			return false;
	} while (parse_accept(c, ","));
	if (!parse_expect(c, "panel") || !parse_integer(c, TILE_PANEL, TILE_PANEL, &panel) ||
		!parse_end_line(c, &comment))
		return false;
	tensor = n->thing;
	a = tile_map_arg(c->p, at, name, n->thing, rank, box);
	a->type = tensor->type;
	a->written = written;
	a->what = parse_comment(c, comment);
	c->pending = NULL;
	parse_report(c, tile_check_arg(a, &why), &why, at);
	return true;
}

static bool parse_argument(parser *c, bool written)
{
	const char *name;
	tile_type type;
	tile_arg *a;
	text why = {0};
	loc at, comment;
	bool tensor;

	name = parse_fresh_name(c, &at);
	if (!name || !parse_expect(c, ":"))
		return false;
	if (parse_accept(c, "map"))
		return parse_map(c, name, at, written);
	if (!parse_type(c, &type))
		return false;
	tensor = parse_accept(c, "[");
	if ((tensor && !parse_expect(c, "]")) || !parse_end_line(c, &comment))
		return false;
	a = tensor ? tile_tensor(c->p, at, name, type, written) : tile_scalar(c->p, at, name, type);
	a->written = written;
	a->what = parse_comment(c, comment);
	c->pending = NULL;
	parse_report(c, tile_check_arg(a, &why), &why, at);
	return true;
}

static bool parse_buffer(parser *c)
{
	const char *name;
	int slots, rows, cols;
	int64_t swizzle = -1, panel = 0, offset = -1;
	const tile_name *base = NULL;
	tile_type type;
	tile_buffer *b;
	text why = {0};
	loc at, comment;

	name = parse_fresh_name(c, &at);
	if (!name || !parse_expect(c, ":") || !parse_type(c, &type) || !parse_expect(c, "[") ||
		!parse_extent(c, &slots) || !parse_expect(c, ",") || !parse_extent(c, &rows) ||
		!parse_expect(c, ",") || !parse_extent(c, &cols) || !parse_expect(c, "]"))
		return false;
	if (parse_accept(c, "swizzle") && !parse_integer(c, 0, 3, &swizzle))
		return false;
	if (parse_accept(c, "panel") && !parse_integer(c, TILE_PANEL, TILE_PANEL, &panel))
		return false;
	if (parse_accept(c, "at") && !parse_integer(c, 0, INT32_MAX, &offset))
		return false;
	if (parse_accept(c, "shares")) {
		base = parse_name(c, NAME_BUFFER, "a shared buffer");
		if (!base)
			return false;
	}
	if (!parse_end_line(c, &comment))
		return false;
	b = base ? tile_shared_again(c->p, at, name, type, slots, rows, cols, base->thing)
		 : tile_shared(c->p, at, name, type, slots, rows, cols);
	b->panel = (int)panel;
	b->swizzle = swizzle >= 0 ? (int)swizzle : panel ? 3 : b->swizzle;
	b->offset = offset;
	b->what = parse_comment(c, comment);
	c->pending = NULL;
	parse_report(c, tile_check_buffer(b, &why), &why, at);
	return true;
}

/* mbar NAME[N] count N [at N], counter NAME[N] [at N] */
static bool parse_bars(parser *c, tile_bar_kind kind)
{
	const char *name;
	int slots, count = 0;
	int64_t offset = -1;
	text why = {0};
	loc at, comment;
	tile_mbar *b;

	name = parse_fresh_name(c, &at);
	if (!name || !parse_expect(c, "[") || !parse_extent(c, &slots) || !parse_expect(c, "]"))
		return false;
	if (kind == BAR_MBARRIER && (!parse_expect(c, "count") || !parse_extent(c, &count)))
		return false;
	if (parse_accept(c, "at") && !parse_integer(c, 0, INT32_MAX, &offset))
		return false;
	if (!parse_end_line(c, &comment))
		return false;
	b = kind == BAR_MBARRIER ? tile_mbarrier(c->p, at, name, slots, count)
				 : tile_counter(c->p, at, name, slots);
	b->offset = offset;
	b->what = parse_comment(c, comment);
	c->pending = NULL;
	parse_report(c, tile_check_bar(b, &why), &why, at);
	return true;
}

static bool parse_over(parser *c, tile_layout l, tile_layout *of)
{
	*of = l == LAYOUT_OPA || l == LAYOUT_OPB ? LAYOUT_OPA : LAYOUT_ACC;
	if (l == LAYOUT_ACC || l == LAYOUT_ROWV || !parse_accept(c, "over"))
		return true;
	if (parse_accept(c, "acc")) {
		*of = LAYOUT_ACC;
		return true;
	}
	*of = LAYOUT_OPA;
	return parse_accept(c, "opa") || parse_wanted(c, "'acc' or 'opa'");
}

static bool parse_frag(parser *c, tile_layout l)
{
	const char *name;
	int first = 1, second = 1;
	bool vector = l == LAYOUT_ROWV || l == LAYOUT_COLV;
	tile_layout of = LAYOUT_ACC;
	tile_type type;
	tile_frag *f;
	text why = {0};
	loc at, comment;

	name = parse_fresh_name(c, &at);
	if (!name || !parse_expect(c, ":") || !parse_type(c, &type) || !parse_expect(c, "[") ||
		!parse_extent(c, &first))
		return false;
	if (!vector && (!parse_expect(c, ",") || !parse_extent(c, &second)))
		return false;
	if (!parse_expect(c, "]") || !parse_over(c, l, &of) || !parse_end_line(c, &comment))
		return false;
	f = l == LAYOUT_COLV ? tile_columnv(c->p, at, name, type, of, first)
			     : tile_register(c->p, at, name, l, type, first, second);
	f->of = of;
	f->what = parse_comment(c, comment);
	c->pending = NULL;
	parse_report(c, tile_check_frag(c->p, f, &why), &why, at);
	return true;
}

bool parse_declaration(parser *c, bool *is)
{
	*is = true;
	if (parse_accept(c, "in"))
		return parse_argument(c, false);
	if (parse_accept(c, "out"))
		return parse_argument(c, true);
	if (parse_accept(c, "shared"))
		return parse_buffer(c);
	if (parse_accept(c, "mbar"))
		return parse_bars(c, BAR_MBARRIER);
	if (parse_accept(c, "counter"))
		return parse_bars(c, BAR_COUNTER);
	for (tile_layout l = LAYOUT_ACC; l <= LAYOUT_COLV; l++)
		if (parse_accept(c, tile_layout_name(l)))
			return parse_frag(c, l);
	*is = false;
	return true;
}
