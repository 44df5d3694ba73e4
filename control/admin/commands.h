/* SPDX-License-Identifier: BSD-2-Clause
 *
 * commands.def as C tables. Used by the admin server, by sluicectl and by the reference page's
 * generator. Data only: knows no socket and no JSON. */
#ifndef CONTROL_ADMIN_COMMANDS_H
#define CONTROL_ADMIN_COMMANDS_H

#include "lib/base.h"

enum command_id {
#define COMMAND(id, name, help)       CMD_##id,
#define COMMAND_LOCAL(id, name, help) CMD_##id,
#define ARG(cmd, name, type, kind, meta, help)
#include "control/admin/commands.def"
#undef COMMAND
#undef COMMAND_LOCAL
#undef ARG
	CMD_COUNT
};

struct command_info {
	const char *name; /* one or two words */
	const char *help;
	bool local; /* sluicectl does it alone */
};

/* ARG_LINES: a string too; sluicectl takes it several times, and divides them by line ends. */
enum arg_type { ARG_STRING, ARG_UINT, ARG_FLAG, ARG_LINES };
enum arg_kind { ARG_REQUIRED, ARG_POSITIONAL, ARG_OPTION };

struct command_arg {
	enum command_id command;
	const char *name;
	enum arg_type type;
	enum arg_kind kind;
	const char *meta;
	const char *help;
};

extern const struct command_info command_infos[CMD_COUNT];
extern const struct command_arg command_args[];
extern const uint32_t command_args_count;

/* CMD_COUNT when no command has the name. */
enum command_id command_find(const char *name);
/* The command's next argument after index *i (0 at first); NULL past the last. */
const struct command_arg *command_arg_next(enum command_id cmd, uint32_t *i);
/* NULL when the command has no such argument. */
const struct command_arg *command_arg_find(enum command_id cmd, const char *name);

/* The most rows that one answer of a listing holds; "next" tells where to go on. */
#define ADMIN_ROWS_MAX 1000u
/* Request line, bytes with its newline. */
#define ADMIN_LINE_MAX 32768u

#endif
