/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prints docs/reference/cli.md from the table of commands. */
#include "control/admin/commands.h"

#include <stdio.h>

static const char head[] =
        "# Commands\n\n"
        "Made by `cli_reference` from `control/admin/commands.def`; do not edit.\n\n"
        "`sluicectl` asks a running `sluice-control` over its admin socket. Everywhere:\n\n"
        "| option | meaning |\n|---|---|\n"
        "| `-s`, `--socket=PATH` | Admin socket (`/run/sluice/admin.sock`; `admin.socket` in the "
        "configuration) |\n"
        "| `-o`, `--output=FORMAT` | `table` (default) for people, `json` for programs |\n"
        "| `-?`, `--help` | Help, also after a command |\n\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage. Errors go to standard error, with what to "
        "do "
        "about them.\nTables round for people; `-o json` has exact figures, with the unit at the "
        "end "
        "of each name.\n\n"
        "Bash completion: `source <(sluicectl completion)`.\n\n";

static const char protocol[] =
        "## The socket\n\n"
        "A stream socket (mode 0660). A request is one line of JSON, the answer too:\n\n"
        "```\n"
        "> {\"cmd\": \"cache get\", \"args\": {\"key\": \"api.example/v1/items/1\"}}\n"
        "< {\"ok\": true, \"result\": {...}}\n"
        "< {\"ok\": false, \"error\": \"what is wrong\", \"hint\": \"what to do\"}\n"
        "```\n\n"
        "`cmd` is a command's name as below, `args` has its arguments under the names in the last "
        "column. A request has at\nmost %u bytes. A connection may send any number of requests; "
        "each "
        "is answered before the next is read. A listing\nholds about %u rows at most: when `next` "
        "is "
        "not null, ask again with it as `cursor`.\n";

static void option_name(const struct command_arg *arg)
{
	fputs("--", stdout);
	for (const char *c = arg->name; *c; c++)
		putchar(*c == '_' ? '-' : *c);
	if (arg->type != ARG_FLAG)
		printf("=%s", arg->meta);
}

static void usage_print(enum command_id cmd)
{
	const struct command_arg *arg;
	uint32_t i = 0;

	printf("## sluicectl %s\n\n%s%s.\n\n```\nsluicectl %s", command_infos[cmd].name,
	       command_infos[cmd].help, command_infos[cmd].local ? " (needs no server)" : "",
	       command_infos[cmd].name);
	while ((arg = command_arg_next(cmd, &i))) {
		putchar(' ');
		if (arg->kind == ARG_REQUIRED) {
			fputs(arg->meta, stdout);
			continue;
		}
		putchar('[');
		if (arg->kind == ARG_POSITIONAL)
			fputs(arg->meta, stdout);
		else
			option_name(arg);
		putchar(']');
	}
	fputs("\n```\n\n", stdout);
}

static void args_print(enum command_id cmd)
{
	static const char *const types[] = {
	        [ARG_STRING] = "string",
	        [ARG_UINT] = "whole number",
	        [ARG_FLAG] = "true or false",
	        [ARG_LINES] = "string, lines",
	};
	const struct command_arg *arg;
	uint32_t i = 0;
	uint32_t n = 0;

	while ((arg = command_arg_next(cmd, &i))) {
		if (n++ == 0)
			fputs("| argument | meaning | in `args` |\n|---|---|---|\n", stdout);
		fputs("| `", stdout);
		if (arg->kind != ARG_OPTION)
			fputs(arg->meta, stdout);
		else
			option_name(arg);
		printf("` | %s | `%s`, %s |\n", arg->help, arg->name, types[arg->type]);
	}
	if (n > 0)
		putchar('\n');
}

int main(void)
{
	fputs(head, stdout);
	for (uint32_t i = 0; i < CMD_COUNT; i++) {
		usage_print((enum command_id)i);
		args_print((enum command_id)i);
	}
	printf(protocol, ADMIN_LINE_MAX, ADMIN_ROWS_MAX);
	return fflush(stdout) == 0 ? 0 : 1;
}
