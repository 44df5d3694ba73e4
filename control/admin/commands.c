/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/admin/commands.h"

const struct command_info command_infos[CMD_COUNT] = {
#define COMMAND(id, name, help)       [CMD_##id] = {name, help, false},
#define COMMAND_LOCAL(id, name, help) [CMD_##id] = {name, help, true},
#define ARG(cmd, name, type, kind, meta, help)
#include "control/admin/commands.def"
#undef COMMAND
#undef COMMAND_LOCAL
#undef ARG
};

const struct command_arg command_args[] = {
#define COMMAND(id, name, help)
#define COMMAND_LOCAL(id, name, help)
#define ARG(cmd, name, type, kind, meta, help) \
	{CMD_##cmd, #name, ARG_##type, ARG_##kind, meta, help},
#include "control/admin/commands.def"
#undef COMMAND
#undef COMMAND_LOCAL
#undef ARG
};
const uint32_t command_args_count = ARRAY_LEN(command_args);

enum command_id command_find(const char *name)
{
	for (uint32_t i = 0; i < CMD_COUNT; i++)
		if (strcmp(command_infos[i].name, name) == 0)
			return (enum command_id)i;
	return CMD_COUNT;
}

const struct command_arg *command_arg_next(enum command_id cmd, uint32_t *i)
{
	while (*i < command_args_count) {
		const struct command_arg *arg = &command_args[(*i)++];

		if (arg->command == cmd)
			return arg;
	}
	return NULL;
}

const struct command_arg *command_arg_find(enum command_id cmd, const char *name)
{
	const struct command_arg *arg;
	uint32_t i = 0;

	while ((arg = command_arg_next(cmd, &i)))
		if (strcmp(arg->name, name) == 0)
			return arg;
	return NULL;
}
