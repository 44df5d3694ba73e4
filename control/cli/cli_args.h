/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sluicectl's command line, parsed by argp from the table of commands. Ends the program itself for
 * --help (0) and for usage errors (2). */
#ifndef CONTROL_CLI_CLI_ARGS_H
#define CONTROL_CLI_CLI_ARGS_H

#include "control/admin/commands.h"

#include <jansson.h>

#define CLI_SOCKET "/run/sluice/admin.sock"
#define CLI_FAILED 1
#define CLI_USAGE  2

struct cli_args {
	enum command_id command;
	const char *socket;
	bool json;    /* -o json */
	json_t *args; /* the command's, as the server takes them */
};

void cli_args_parse(int argc, char **argv, struct cli_args *out);

#endif
