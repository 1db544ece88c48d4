/* verb_fmt: canonical text of specs, to stdout, in place (-i), or only compared (--check). */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

static cli_status print_all(const text *t)
{
	fwrite(t->data, 1, t->len, stdout);
	return CLI_OK; /* main reports what stdout could not take */
}

static cli_status fmt_one(const options *o, const char *path)
{
	unit u;
	text t = {0};
	cli_status status = unit_open(o, path, &u);
	if (status != CLI_OK)
		return status;
	status = unit_report(&u);
	if (status == CLI_OK) {
		ast_print(u.file, u.src, &t);
		bool same = t.len == u.src->len &&
			    (t.len == 0 || memcmp(t.data, u.src->text, t.len) == 0);
		if (o->check && !same) {
			printf("%s\n", u.src->name);
			status = CLI_CHECK;
		} else if (!o->check && o->write && !same) {
			status = file_write(o, path, t.data ? t.data : "", t.len);
			if (status == CLI_OK && o->verbose)
				message_note(o, "rewrote %s", path);
		} else if (!o->check && !o->write && t.len) {
			status = print_all(&t);
		}
	}
	text_free(&t);
	unit_close(&u);
	return status;
}

cli_status verb_fmt(const options *o)
{
	cli_status worst = CLI_OK;
	if (o->check && o->write) {
		message_error(
			o, "fmt: --check changes nothing, so it cannot be combined with --write");
		return CLI_USAGE;
	}
	for (int i = 0; i < o->operand.count; i++) {
		if (o->write && strcmp(o->operand.item[i], "-") == 0) {
			message_error(o, "fmt: standard input cannot be rewritten in place");
			return CLI_USAGE;
		}
		cli_status status = fmt_one(o, o->operand.item[i]);
		if (status == CLI_INPUT || (worst != CLI_INPUT && status > worst))
			worst = status; /* a file that cannot be parsed outweighs one that differs
					 */
	}
	return worst;
}
