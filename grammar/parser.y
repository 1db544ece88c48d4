/* parser.y: the grammar of Trikl. In: tokens from feed.c. Out: one ast builder call per action.
 * Rules are in the order of docs/language.md. A construct that fails is dropped by an `error` rule,
 * which asks feed.c for the next place to go on; messages are made in report.c from what the parser
 * would have accepted. */
%require "3.8"
%language "c"
%define api.pure full
%define api.prefix {syntax_}
%define api.token.prefix {TOK_}
%define api.token.raw
%define api.location.type {loc}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param { syntax *cx }

%code requires {
	#include "syntax.h"
}

%code {
	#include <string.h>

	#define YYMAXDEPTH SYNTAX_STACK_MAX
	/* An empty rule stands right behind what came before it. */
	#define YYLLOC_DEFAULT(at, rhs, n)                                                         \
		((at) = (n) ? loc_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))                         \
			    : (loc){YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end})

	static void syntax_error(const loc *at, syntax *cx, const char *message);
	#define B (&cx->build)
}

%code provides {
	/* feed.c: the next token. */
	int syntax_lex(SYNTAX_STYPE *value, loc *at, syntax *cx);
}

%union {
	ast_name name;
	int64_t integer;
	struct {
		double value;
		const char *text;
	} real;
	ast_expr *expr;
	ast_exprs exprs;
	ast_names names;
	ast_binders binders;
	ast_args args;
	bool flag;
}

%token END 0           "end of input"
%token ATTENTION       "attention"
%token SCHEDULE        "schedule"
%token CONST           "const"
%token PARAM           "param"
%token GROUP           "group"
%token INDEX           "index"
%token WINDOW          "window"
%token MASK            "mask"
%token IN              "in"
%token ON              "on"
%token OF              "of"
%token WITH            "with"
%token AND             "and"
%token OR              "or"
%token NOT             "not"
%token ARROW           "->"
%token ASSIGN          "="
%token EQ              "=="
%token NE              "!="
%token LT              "<"
%token LE              "<="
%token GT              ">"
%token GE              ">="
%token PLUS            "+"
%token MINUS           "-"
%token STAR            "*"
%token SLASH           "/"
%token FLOORDIV        "//"
%token PERCENT         "%"
%token LPAREN          "("
%token RPAREN          ")"
%token LBRACKET        "["
%token RBRACKET        "]"
%token LBRACE          "{"
%token RBRACE          "}"
%token COMMA           ","
%token COLON           ":"
%token SEMICOLON       ";"
%token UNKNOWN         "unknown token"        /* never in a rule */
%token <name> NAME     "name"
%token <name> DEFINED  "definition"           /* a name that "=" follows            */
%token <name> SUM      "sum"                  /* sum and prod before "("            */
%token <name> SOFTMAX  "softmax"              /* softmax and logsumexp before "("   */
%token <name> EXTREMUM "max"                  /* max and min before "("             */
%token <name> TILE     "tile"                 /* tile and resident in a schedule    */
%token <name> SPECIALIZE "specialize"         /* in a schedule                      */
%token <integer> INT   "integer"
%token <real> FLOAT    "number"

%type <expr> expr primary call
%type <exprs> exprs dimensions
%type <names> names
%type <name> target
%type <binders> binders
%type <args> args
%type <flag> low_bracket high_bracket

%left OR
%left AND
%precedence NOT
%nonassoc EQ NE LT LE GT GE
%left PLUS MINUS
%precedence REDUCTION   /* the body of sum(d) ends before + - and comparisons */
%precedence WITH
%left STAR SLASH FLOORDIV PERCENT
%precedence NEGATION

%%

file
	: %empty
	| file attention
	| file schedule
	| file error                        { syntax_sync(cx, SYNC_FILE); yyclearin; yyerrok; }
	;

attention
	: attention_begin NAME inputs "->" outputs "{" body "}"
	                                    { ast_spec_end(B, @$, $2, @4, @6); }
	| attention_begin header_error "{" body "}"
	                                    { ast_spec_end(B, @$, (ast_name){0}, @3, @3); }
	;

attention_begin
	: "attention"                       { ast_spec_begin(B, @$); }
	;

header_error
	: error                             { syntax_sync(cx, SYNC_HEADER); yyclearin; yyerrok; }
	;

inputs
	: "(" ")"
	| "(" input_list ")"
	| "(" input_list "," ")"
	;

input_list
	: input
	| input_list "," input
	;

input
	: NAME ":" NAME "[" dimensions "]"  { ast_tensor_add(B, @$, false, $1, $3, $5); }
	| tensor_error
	;

outputs
	: "(" ")"
	| "(" output_list ")"
	| "(" output_list "," ")"
	;

output_list
	: output
	| output_list "," output
	;

output
	: NAME ":" NAME "[" dimensions "]"  { ast_tensor_add(B, @$, true, $1, $3, $5); }
	| tensor_error
	;

tensor_error
	: error                             { syntax_sync(cx, SYNC_TENSOR); yyclearin; yyerrok; }
	;

dimensions
	: %empty                            { $$ = (ast_exprs){0}; }
	| exprs
	;

body
	: %empty
	| body statement
	| body ";"
	| body error                        { syntax_sync(cx, SYNC_STATEMENT); yyclearin; yyerrok; }
	;

statement
	: consts
	| params
	| "group" NAME "of" NAME            { ast_group_add(B, @$, $2, $4); }
	| "index" names ":" expr            { ast_index_add(B, @$, $2, $4); }
	| "window" NAME "in" low_bracket expr "," expr high_bracket
	                                    { ast_window_add(B, @$, $2, $4, $5, $7, $8); }
	| "mask" expr                       { ast_mask_add(B, @$, $2); }
	| DEFINED "=" expr                  { ast_define_add(B, @$, $1, (ast_names){0}, $3); }
	| DEFINED "[" names "]" "=" expr    { ast_define_add(B, @$, $1, $3, $6); }
	;

consts
	: "const" DEFINED "=" expr          { ast_const_add(B, @$, $2, $4, false); }
	| consts "," DEFINED "=" expr       { ast_const_add(B, loc_join(@3, @5), $3, $5, true); }
	;

params
	: "param" DEFINED "=" expr          { ast_param_add(B, @$, $2, $4, false); }
	| params "," DEFINED "=" expr       { ast_param_add(B, loc_join(@3, @5), $3, $5, true); }
	;

low_bracket
	: "["                               { $$ = false; }
	| "("                               { $$ = true; }
	;

high_bracket
	: "]"                               { $$ = false; }
	| ")"                               { $$ = true; }
	;

schedule
	: schedule_begin "{" settings "}"   { ast_schedule_end(B, @$, @2); }
	| schedule_lost "{" settings "}"    { ast_schedule_end(B, @$, @2); }
	;

schedule_begin
	: "schedule" NAME target            { ast_schedule_begin(B, @$, $2, $3); }
	;

schedule_lost
	: "schedule" header_error           { ast_schedule_begin(B, @$, (ast_name){0}, (ast_name){0}); }
	;

target
	: %empty                            { $$ = (ast_name){0}; }
	| "on" NAME                         { $$ = $2; }
	;

settings
	: %empty
	| settings setting_list
	| settings ";"
	| settings error                    { syntax_sync(cx, SYNC_STATEMENT); yyclearin; yyerrok; }
	;

setting_list
	: DEFINED "=" expr                  { ast_setting_add(B, @$, $1, (ast_name){0}, $3, false); }
	| TILE DEFINED "=" expr             { ast_setting_add(B, @$, $1, $2, $4, false); }
	| SPECIALIZE NAME                   { ast_setting_add(B, @$, $1, $2, NULL, false); }
	| setting_list "," DEFINED "=" expr
	                                    { ast_setting_add(B, loc_join(@3, @5), $3, (ast_name){0}, $5,
	                                                      true); }
	| setting_list "," TILE DEFINED "=" expr
	                                    { ast_setting_add(B, loc_join(@3, @6), $3, $4, $6, true); }
	| setting_list "," SPECIALIZE NAME  { ast_setting_add(B, loc_join(@3, @4), $3, $4, NULL, true); }
	| setting_list "," NAME             { ast_specialize_add(B, $3); }
	;

expr
	: primary
	| expr "or" expr                    { $$ = ast_binary(B, @$, AST_OP_OR, @2, $1, $3); }
	| expr "and" expr                   { $$ = ast_binary(B, @$, AST_OP_AND, @2, $1, $3); }
	| "not" expr                        { $$ = ast_unary(B, @$, AST_OP_NOT, @1, $2); }
	| expr "==" expr                    { $$ = ast_binary(B, @$, AST_OP_EQ, @2, $1, $3); }
	| expr "!=" expr                    { $$ = ast_binary(B, @$, AST_OP_NE, @2, $1, $3); }
	| expr "<" expr                     { $$ = ast_binary(B, @$, AST_OP_LT, @2, $1, $3); }
	| expr "<=" expr                    { $$ = ast_binary(B, @$, AST_OP_LE, @2, $1, $3); }
	| expr ">" expr                     { $$ = ast_binary(B, @$, AST_OP_GT, @2, $1, $3); }
	| expr ">=" expr                    { $$ = ast_binary(B, @$, AST_OP_GE, @2, $1, $3); }
	| expr "+" expr                     { $$ = ast_binary(B, @$, AST_OP_ADD, @2, $1, $3); }
	| expr "-" expr                     { $$ = ast_binary(B, @$, AST_OP_SUB, @2, $1, $3); }
	| SUM "(" binders ")" expr %prec REDUCTION
	                                    { $$ = ast_reduce(B, @$, $1, $3, $5, NULL); }
	| SOFTMAX "(" binders ")" expr %prec REDUCTION
	                                    { $$ = ast_reduce(B, @$, $1, $3, $5, NULL); }
	| SOFTMAX "(" binders ")" expr "with" expr %prec REDUCTION
	                                    { $$ = ast_reduce(B, @$, $1, $3, $5, $7); }
	| EXTREMUM "(" args ")" expr %prec REDUCTION
	                                    { $$ = ast_extremum_reduce(B, @$, $1, $3, $5); }
	| expr "*" expr                     { $$ = ast_binary(B, @$, AST_OP_MUL, @2, $1, $3); }
	| expr "/" expr                     { $$ = ast_binary(B, @$, AST_OP_DIV, @2, $1, $3); }
	| expr "//" expr                    { $$ = ast_binary(B, @$, AST_OP_IDIV, @2, $1, $3); }
	| expr "%" expr                     { $$ = ast_binary(B, @$, AST_OP_MOD, @2, $1, $3); }
	| "-" expr %prec NEGATION           { $$ = ast_unary(B, @$, AST_OP_NEG, @1, $2); }
	;

primary
	: INT                               { $$ = ast_int(B, @$, $1); }
	| FLOAT                             { $$ = ast_real(B, @$, $1.value, $1.text); }
	| "(" expr ")"                      { $$ = ast_parens($2, @$); }
	| NAME                              { $$ = ast_ref(B, $1); }
	| NAME "[" exprs "]"                { $$ = ast_subscript(B, @$, ast_ref(B, $1), $3); }
	| call
	| call "[" exprs "]"                { $$ = ast_subscript(B, @$, $1, $3); }
	| EXTREMUM "(" args ")" %prec NEGATION /* a "-" after it subtracts */
	                                    { $$ = ast_extremum_call(B, @$, $1, $3); }
	;

call
	: NAME "(" exprs ")"                { $$ = ast_call(B, @$, $1, $3); }
	;

exprs
	: expr                              { $$ = ast_exprs_add(B, (ast_exprs){0}, $1); }
	| exprs "," expr                    { $$ = ast_exprs_add(B, $1, $3); }
	;

names
	: NAME                              { $$ = ast_names_add(B, (ast_names){0}, $1); }
	| names "," NAME                    { $$ = ast_names_add(B, $1, $3); }
	;

binders
	: NAME                              { $$ = ast_binders_add(B, (ast_binders){0}, $1, NULL); }
	| NAME ":" expr                     { $$ = ast_binders_add(B, (ast_binders){0}, $1, $3); }
	| binders "," NAME                  { $$ = ast_binders_add(B, $1, $3, NULL); }
	| binders "," NAME ":" expr         { $$ = ast_binders_add(B, $1, $3, $5); }
	;

args
	: expr                              { $$ = ast_args_add(B, (ast_args){0}, $1, NULL); }
	| NAME ":" expr                     { $$ = ast_args_add(B, (ast_args){0}, ast_ref(B, $1), $3); }
	| args "," expr                     { $$ = ast_args_add(B, $1, $3, NULL); }
	| args "," NAME ":" expr            { $$ = ast_args_add(B, $1, ast_ref(B, $3), $5); }
	;

%%

static void syntax_error(const loc *at, syntax *cx, const char *message)
{
	(void)at;
	(void)message;
	syntax_report_depth(cx); /* with custom messages, only a full stack comes here */
}

static int yyreport_syntax_error(const yypcontext_t *context, syntax *cx)
{
	yysymbol_kind_t kinds[YYNTOKENS];
	int n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
	uint64_t expected = 0;

	/* A full stack leaves the set empty, which reads as "unexpected". */
	for (int i = 0; i < n; i++)
		expected |= (uint64_t)1 << kinds[i];
	syntax_report(cx, expected);
	return 0;
}

const char *syntax_kind_text(int kind)
{
	return yysymbol_name((yysymbol_kind_t)kind);
}

_Static_assert(YYNTOKENS <= 64, "expected tokens are a set of 64 bits");
