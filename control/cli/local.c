/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/local.h"

#include "control/admin/commands.h"
#include "lib/snapshot.h"

#include <errno.h>
#include <stdlib.h>

static json_t *summary(const struct config *cfg, const char *file)
{
	unsigned cores = 0;

	for (unsigned i = 0; i < cfg->ports_count; i++)
		cores += cfg->ports[i].cores_count;
	return json_pack("{s:o?, s:b, s:i, s:i, s:i, s:i, s:i}", "file", json_string(file), "ok", 1,
	                 "listeners", (int)cfg->listeners_count, "ports", (int)cfg->ports_count,
	                 "cores", (int)cores, "routes", (int)cfg->routes_count, "upstreams",
	                 (int)cfg->upstreams_count);
}

json_t *local_config_check(const char *file, char error[CONFIG_ERROR_TEXT])
{
	struct config_error err = {""};
	struct snapshot *snap = NULL;
	struct config *cfg = NULL;
	json_t *result = NULL;
	enum status st = config_load(file, &cfg, &err);

	if (st == ST_OK)
		st = snapshot_build(cfg, &snap, &err);
	if (st == ST_OK)
		result = summary(cfg, file);
	else if (*err.text)
		memcpy(error, err.text, CONFIG_ERROR_TEXT);
	else
		snprintf(error, CONFIG_ERROR_TEXT, "%s: %s", file, status_text(st));
	free(snap);
	if (cfg)
		config_free(cfg);
	return result;
}

static void options_print(FILE *out, enum command_id cmd)
{
	const struct command_arg *arg;
	uint32_t i = 0;

	while ((arg = command_arg_next(cmd, &i))) {
		if (arg->kind != ARG_OPTION)
			continue;
		fputs(" --", out);
		for (const char *c = arg->name; *c; c++)
			fputc(*c == '_' ? '-' : *c, out);
	}
}

/* The second words of commands that begin with this one's first word. */
static void group_print(FILE *out, const char *name, size_t first_len)
{
	fprintf(out, "\t'%.*s') words='", (int)first_len, name);
	for (uint32_t i = 0; i < CMD_COUNT; i++)
		if (strncmp(command_infos[i].name, name, first_len + 1) == 0)
			fprintf(out, "%s ", command_infos[i].name + first_len + 1);
	fputs("--help' ;;\n", out);
}

/* Is this the first command with its first word? */
static bool first_of_group(uint32_t cmd, size_t first_len)
{
	for (uint32_t i = 0; i < cmd; i++)
		if (strncmp(command_infos[i].name, command_infos[cmd].name, first_len) == 0)
			return false;
	return true;
}

void local_completion(FILE *out)
{
	fputs("# bash completion of sluicectl: source <(sluicectl completion)\n"
	      "_sluicectl()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words files\n"
	      "\tcase \"${COMP_WORDS[*]:1:COMP_CWORD-1}\" in\n"
	      "\t'') words='",
	      out);
	for (uint32_t i = 0; i < CMD_COUNT; i++) {
		size_t len = strcspn(command_infos[i].name, " ");

		if (first_of_group(i, len))
			fprintf(out, "%.*s ", (int)len, command_infos[i].name);
	}
	fputs("--socket --output --help --version' ;;\n", out);
	for (uint32_t i = 0; i < CMD_COUNT; i++) {
		const char *name = command_infos[i].name;
		size_t len = strcspn(name, " ");

		fprintf(out, "\t'%s'*) words='--socket --output --help", name);
		options_print(out, (enum command_id)i);
		fprintf(out, "'%s ;;\n", i == CMD_config_check || i == CMD_cache_warm ? " files=-f" : "");
		if (name[len] == ' ' && first_of_group(i, len))
			group_print(out, name, len);
	}
	fputs("\tesac\n"
	      "\tCOMPREPLY=($(compgen $files -W \"$words\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -o filenames -F _sluicectl sluicectl\n",
	      out);
}

bool local_file_read(json_t *args, const char *file, const char *data, char error[static 512])
{
	const char *name = json_string_value(json_object_get(args, file));
	char text[ADMIN_LINE_MAX];
	json_t *value = NULL;
	size_t len;
	FILE *in;

	if (name == NULL)
		return true;
	in = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
	if (in == NULL) {
		snprintf(error, 512, "%s: %s", name, strerror(errno));
		return false;
	}
	len = fread(text, 1, sizeof(text), in);
	if (ferror(in))
		snprintf(error, 512, "%s: %s", name, strerror(errno));
	else if (len == sizeof(text))
		snprintf(error, 512, "%s has more than %u bytes", name, ADMIN_LINE_MAX - 1);
	else if ((value = json_stringn(text, len)) == NULL)
		snprintf(error, 512, "%s is no UTF-8", name);
	if (in != stdin)
		fclose(in);
	if (value == NULL)
		return false;
	json_object_del(args, file);
	json_object_set_new(args, data, value);
	return true;
}
