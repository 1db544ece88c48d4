/* report.c: what the parser says when it cannot go on. In: the current token, what stands before
 * it, the innermost open bracket and the set of tokens that could come. Out: one diagnostic that
 * names what is missing or too much. The cases are tried from the most to the least specific; each
 * returns whether it has reported. */
#include "syntax.h"
#include "parser.h"
#include <string.h>

/* The situation of one error. */
typedef struct {
	syntax *cx;
	uint64_t expected;
	const token *t;      /* the token that does not fit */
	const token *before; /* NULL at the beginning */
	loc at; /* where to point: the token, or behind `before` when that is on an earlier line */
	const char *found; /* "'x'", "end of input" */
	const char *but;   /* ", found 'x'"; nothing when the message points behind `before` */
} situation;

static bool expects(const situation *s, int kind)
{
	return s->expected >> kind & 1;
}

static const char *token_quote(const syntax *cx, const token *t)
{
	int len = (int)(t->at.end - t->at.begin), shown = len < 40 ? len : 37;

	if (t->kind == TOK_END)
		return "end of input";
	return arena_printf(cx->build.arena, "'%.*s%s'", shown, cx->src->text + t->at.begin,
		shown < len ? "..." : "");
}

static bool is_keyword(const token *t)
{
	return t->kind >= TOK_ATTENTION && t->kind <= TOK_NOT && t->kind != TOK_OF;
}

static bool is_name(const token *t)
{
	return t->kind >= TOK_NAME && t->kind <= TOK_SPECIALIZE;
}

static bool is_comparison(int kind)
{
	return kind >= TOK_EQ && kind <= TOK_GE;
}

/* A token that can begin an operand. */
static bool is_operand(const token *t)
{
	return t->kind == TOK_LPAREN || t->kind == TOK_INT || t->kind == TOK_FLOAT ||
	       (is_name(t) && t->kind != TOK_DEFINED);
}

static bool expects_operand(const situation *s)
{
	return expects(s, TOK_INT);
}

/* The parser has a whole expression behind it. */
static bool expects_operator(const situation *s)
{
	return expects(s, TOK_PLUS);
}

static bool expects_statement(const situation *s)
{
	return expects(s, TOK_WINDOW) || expects(s, TOK_TILE);
}

/* --- brackets --- */

static const char *bracket_name(const open_bracket *o)
{
	static const char *const name[] = {
		[OPEN_BODY] = "the body",
		[OPEN_SETTINGS] = "the schedule",
		[OPEN_INPUTS] = "the inputs",
		[OPEN_OUTPUTS] = "the outputs",
		[OPEN_DIMENSIONS] = "the dimensions",
		[OPEN_SUBSCRIPT] = "the subscript",
		[OPEN_ARGUMENTS] = "the argument list",
		[OPEN_WINDOW] = "the window",
		[OPEN_GROUPING] = "the parenthesis",
	};

	return name[o->what];
}

static const char *bracket_closer(const open_bracket *o)
{
	switch (o->what) {
	case OPEN_BODY:
	case OPEN_SETTINGS:
		return "'}'";
	case OPEN_DIMENSIONS:
	case OPEN_SUBSCRIPT:
		return "']'";
	case OPEN_WINDOW:
		return "']' or ')'";
	case OPEN_INPUTS:
	case OPEN_OUTPUTS:
	case OPEN_ARGUMENTS:
	case OPEN_GROUPING:
		break;
	}
	return "')'";
}

static void note_opening(const situation *s, const open_bracket *o)
{
	if (o->at.end > o->at.begin)
		diag_note(s->cx->d, o->at, "to match this '%c'", s->cx->src->text[o->at.begin]);
}

static bool report_unclosed_bracket(const situation *s)
{
	const open_bracket *o = syntax_open(s->cx);
	bool closes = expects(s, TOK_RPAREN) || expects(s, TOK_RBRACKET);

	if (!o || o->what == OPEN_BODY || o->what == OPEN_SETTINGS)
		return false;
	if (o->what == OPEN_WINDOW && expects(s, TOK_COMMA) && !closes) {
		diag_error(s->cx->d, s->at, "expected ',' and the upper bound of the window%s",
			s->but);
		diag_hint(s->cx->d,
			"a window is written (low, high]: a parenthesis leaves its bound out");
		return true;
	}
	if (!closes || expects_operand(s))
		return false;
	diag_error(s->cx->d, s->at, "expected %s%s to close %s%s",
		expects(s, TOK_COMMA) ? "',' or " : "", bracket_closer(o), bracket_name(o), s->but);
	if (o->reduction)
		diag_hint(s->cx->d,
			"a reduction is written sum(d) x[d]: the indices in parentheses, "
			"then what is summed");
	note_opening(s, o);
	return true;
}

static bool report_unmatched(const situation *s)
{
	const open_bracket *o = syntax_open(s->cx);

	if (s->t->kind != TOK_RPAREN && s->t->kind != TOK_RBRACKET && s->t->kind != TOK_RBRACE)
		return false;
	if (o && (o->what != OPEN_BODY && o->what != OPEN_SETTINGS))
		return false;
	diag_error(s->cx->d, s->t->at, "unmatched %s", s->found);
	return true;
}

/* --- operators --- */

/* Words after `//` on a line: the author meant a comment. */
static bool report_comment(const situation *s)
{
	syntax *cx = s->cx;
	const token *first = cx->tokens.item, *t = s->t, *slashes = NULL, *end = t;

	/* A later line may fail because the one before was swallowed. */
	if (t > first && t->first && t->kind != TOK_FLOORDIV)
		t--;
	for (int look = 64; t > first && look > 0; t--, look--) {
		if (t->kind == TOK_FLOORDIV)
			slashes = t;
		if (t->first)
			break;
	}
	if (t == first && t->kind == TOK_FLOORDIV)
		slashes = t;
	if (!slashes || slashes - first < cx->resume)
		return false;
	if (!slashes->first && !(is_name(s->t) && is_name(s->t - 1)))
		return false;
	diag_error(cx->d, slashes->at, "'//' divides, it does not begin a comment");
	diag_hint(cx->d, "write '#' for a comment");
	while (end->kind != TOK_END && (end == slashes || !end->first))
		end++;
	cx->resume = (int)(end - first);
	return true;
}

static bool report_assignment(const situation *s)
{
	if (s->t->kind != TOK_ASSIGN || !expects_operator(s))
		return false;
	diag_error(s->cx->d, s->at, "unexpected '=' after an expression");
	diag_hint(s->cx->d, "write '==' to compare");
	return true;
}

static bool report_chain(const situation *s)
{
	if (!is_comparison(s->t->kind) || !expects_operator(s))
		return false;
	diag_error(s->cx->d, s->at, "comparisons cannot be chained");
	diag_hint(s->cx->d, "write 'a < b and b < c'");
	return true;
}

static bool report_subscripted(const situation *s)
{
	if (s->t->kind != TOK_LBRACKET || !expects_operator(s))
		return false;
	if (s->before && s->before->kind == TOK_RBRACKET) {
		diag_error(s->cx->d, s->at, "a subscript cannot be subscripted");
		diag_hint(s->cx->d, "write all subscripts in one pair of brackets: x[a, b]");
	} else {
		diag_error(s->cx->d, s->at,
			"only a tensor, a definition with parameters or "
			"cross(x, y) can be subscripted");
	}
	return true;
}

static bool report_juxtaposed(const situation *s)
{
	const open_bracket *o = syntax_open(s->cx);
	bool in_list =
		o && o->what != OPEN_BODY && o->what != OPEN_SETTINGS && o->what != OPEN_GROUPING;

	if (!expects_operator(s) || !is_operand(s->t) || s->t->first || in_list ||
		s->cx->in_schedule)
		return false;
	diag_error(s->cx->d, s->at, "expected an operator before %s", s->found);
	diag_hint(s->cx->d, "write '*' to multiply");
	return true;
}

/* --- statements --- */

static bool report_statement(const situation *s)
{
	const token *t = s->t;
	syntax *cx = s->cx;
	int near;

	if (!expects_statement(s) || !is_name(t))
		return false;
	near = token_keyword_near(cx, t, true, cx->in_schedule);
	if (near != TOK_END) {
		diag_error(cx->d, t->at, "unknown %s %s", cx->in_schedule ? "setting" : "statement",
			s->found);
		diag_hint(cx->d, "did you mean '%s'?", syntax_kind_text(near));
	} else if (t[1].kind == TOK_LPAREN && !cx->in_schedule) {
		diag_error(cx->d, t->at, "expected a statement, found %s", s->found);
		diag_hint(cx->d, "parameters of a definition are written in brackets: s[d] = ...");
	} else if (t[1].kind == TOK_LBRACKET && !cx->in_schedule) {
		diag_error(cx->d, t->at, "expected a statement, found %s", s->found);
		diag_hint(cx->d, "a definition is written name = ..., or name[d] = ... with plain "
				 "names in the brackets");
	} else {
		loc behind = {t->at.end, t->at.end};

		diag_error(cx->d, behind, "expected '=' after %s", s->found);
		if (cx->in_schedule && t[1].kind == TOK_DEFINED)
			diag_hint(cx->d, "only 'tile' and 'resident' take an axis");
	}
	return true;
}

static bool report_misplaced(const situation *s)
{
	if (!expects(s, TOK_TILE) || s->t->kind < TOK_CONST || s->t->kind > TOK_MASK)
		return false;
	diag_error(s->cx->d, s->t->at, "%s is no setting of a schedule", s->found);
	diag_hint(s->cx->d, "statements stand in the body of an attention block");
	return true;
}

static bool report_value(const situation *s)
{
	if (!expects(s, TOK_DEFINED) || expects_statement(s) || !is_name(s->t))
		return false;
	diag_error(s->cx->d, (loc){s->t->at.end, s->t->at.end}, "expected '=' and a value after %s",
		s->found);
	return true;
}

static bool report_block(const situation *s)
{
	if (!expects(s, TOK_ATTENTION) || expects(s, TOK_RBRACE))
		return false;
	diag_error(s->cx->d, s->t->at, "expected 'attention' or 'schedule', found %s", s->found);
	if (s->t->kind >= TOK_CONST && s->t->kind <= TOK_MASK)
		diag_hint(s->cx->d, "statements stand between '{' and '}'");
	return true;
}

/* --- operands and names --- */

/* A keyword where a name was meant: it cannot begin a statement, so recovery goes on behind it. */
static bool report_keyword(const situation *s)
{
	if (!is_keyword(s->t) || s->t->first || expects_statement(s))
		return false;
	if (!expects(s, TOK_NAME) && !expects(s, TOK_DEFINED))
		return false;
	diag_error(s->cx->d, s->at, "%s is a keyword and cannot be a name", s->found);
	s->cx->resume = s->cx->current + 1;
	return true;
}

static bool report_operand(const situation *s)
{
	const char *after = s->before ? token_quote(s->cx, s->before) : "the beginning";

	if (!expects_operand(s))
		return false;
	if (s->t->kind == TOK_PLUS)
		diag_error(s->cx->d, s->at, "there is no unary '+'");
	else if (s->before && s->before->kind == TOK_RPAREN && s->cx->closed_reduction)
		diag_error(s->cx->d, s->at, "expected an expression to reduce after ')'%s", s->but);
	else
		diag_error(s->cx->d, s->at, "expected an expression after %s%s", after, s->but);
	return true;
}

static bool report_name(const situation *s)
{
	const open_bracket *o = syntax_open(s->cx);

	if (!(expects(s, TOK_NAME) || expects(s, TOK_DEFINED)) || expects_statement(s))
		return false;
	diag_error(s->cx->d, s->at, "expected %s after %s%s",
		o && o->reduction ? "an index name" : "a name",
		s->before ? token_quote(s->cx, s->before) : "the beginning", s->but);
	return true;
}

/* --- the rest --- */

/* "'->'", "a name", ... */
static const char *kind_quote(const situation *s, int kind)
{
	if (kind == TOK_NAME || kind == TOK_DEFINED)
		return "a name";
	return arena_printf(s->cx->build.arena, "'%s'", syntax_kind_text(kind));
}

static const char *kind_explained(int kind)
{
	switch (kind) {
	case TOK_ARROW:
		return " between the inputs and the outputs";
	case TOK_COLON:
		return " and what it ranges over";
	case TOK_IN:
		return " and the interval";
	case TOK_OF:
		return " and the length that is divided into groups";
	case TOK_LBRACE:
		return " before the body";
	case TOK_LPAREN:
		return " and a list of tensors";
	}
	return "";
}

/* Up to four kinds that could come, in words. */
static void report_expected(const situation *s)
{
	int kinds[4], n = 0;
	text list = {0};

	for (int k = 0; k < 64; k++) {
		if (!expects(s, k))
			continue;
		if (n == 4) {
			diag_error(s->cx->d, s->at, "unexpected %s", s->found);
			return;
		}
		kinds[n++] = k;
	}
	if (n == 0) {
		diag_error(s->cx->d, s->at, "unexpected %s", s->found);
		return;
	}
	for (int i = 0; i < n; i++)
		text_printf(&list, "%s%s",
			i == 0       ? ""
			: i == n - 1 ? " or "
				     : ", ",
			kind_quote(s, kinds[i]));
	diag_error(s->cx->d, s->at, "expected %s%s%s", list.data,
		n == 1 ? kind_explained(kinds[0]) : "", s->but);
	text_free(&list);
}

/* `z : f32` and `q : [B]` in a list of tensors. */
static bool report_tensor(const situation *s)
{
	const open_bracket *o = syntax_open(s->cx);

	if (!o || (o->what != OPEN_INPUTS && o->what != OPEN_OUTPUTS) || !s->before)
		return false;
	if (expects(s, TOK_COLON)) {
		diag_error(s->cx->d, s->at, "expected ':' and the type of %s%s",
			token_quote(s->cx, s->before), s->but);
		diag_hint(s->cx->d, "a tensor is written q : bf16[B, i, H, D]");
		return true;
	}
	if (expects(s, TOK_LBRACKET)) {
		diag_error(s->cx->d, s->at, "expected '[' and the dimensions%s", s->but);
		diag_hint(s->cx->d, "a scalar is written %.*s[]",
			(int)(s->before->at.end - s->before->at.begin),
			s->cx->src->text + s->before->at.begin);
		return true;
	}
	if (s->before->kind == TOK_COLON && s->t->kind == TOK_LBRACKET) {
		diag_error(s->cx->d, s->at, "expected an element type before the dimensions");
		diag_hint(s->cx->d, "the types are bf16, f16, f32 and i32");
		return true;
	}
	return false;
}

/* Whether the token was reported by itself already. */
static bool has_problem(const syntax *cx, const token *t)
{
	const problem *last = cx->told ? &cx->problems.item[cx->told - 1] : NULL;

	return last && t->at.begin >= last->at.begin && t->at.begin < last->at.end;
}

void syntax_report(syntax *cx, uint64_t expected)
{
	static bool (*const cases[])(const situation *) = {
		report_comment,
		report_assignment,
		report_chain,
		report_subscripted,
		report_juxtaposed,
		report_statement,
		report_misplaced,
		report_value,
		report_tensor,
		report_unclosed_bracket,
		report_unmatched,
		report_block,
		report_keyword,
		report_operand,
		report_name,
	};
	situation s = {.cx = cx, .expected = expected};

	if (diag_full(cx->d)) {
		diag_error(cx->d, cx->tokens.item[cx->next].at, "not shown");
		return;
	}
	/* What was inserted or is unknown has its message already. */
	if (cx->inserted || cx->current < 0 || cx->current == cx->quiet)
		return;
	s.t = &cx->tokens.item[cx->current];
	if (s.t->kind == TOK_UNKNOWN || has_problem(cx, s.t))
		return;
	s.before = cx->current ? s.t - 1 : NULL;
	s.at = s.t->at;
	if (s.before && s.t->first)
		s.at = (loc){s.before->at.end, s.before->at.end};
	s.found = token_quote(cx, s.t);
	s.but = s.before && s.t->first && s.t->kind != TOK_END
			? ""
			: arena_printf(cx->build.arena, ", found %s", s.found);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (cases[i](&s))
			return;
	report_expected(&s);
}

void syntax_report_depth(syntax *cx)
{
	loc at = cx->tokens.item[cx->current < 0 ? cx->next : cx->current].at;

	diag_error(cx->d, at, "nested too deeply: the parser gives up here");
	diag_hint(cx->d, "define a part of the expression under a name of its own");
}

void syntax_report_missing(syntax *cx, const char *what)
{
	diag_error(cx->d, cx->tokens.item[cx->next].at, "expected %s", what);
}

void syntax_report_unclosed(syntax *cx)
{
	const open_bracket *o = &cx->open.item[0];
	const token *t = &cx->tokens.item[cx->next];
	const token *before = cx->next ? t - 1 : t;

	diag_error(cx->d, (loc){before->at.end, before->at.end},
		"expected '}' to close %s, found %s", bracket_name(o), token_quote(cx, t));
	diag_note(cx->d, o->at, "to match this '{'");
}

void syntax_report_misspelt(syntax *cx, const token *t)
{
	bool in_body = cx->open.count > 0;

	diag_error(cx->d, t->at, "unknown %s %s",
		!in_body          ? "block"
		: cx->in_schedule ? "setting"
				  : "statement",
		token_quote(cx, t));
	diag_hint(cx->d, "did you mean '%s'?", syntax_kind_text(t->kind));
}
