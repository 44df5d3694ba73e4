/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two rounds of argp: the first takes the global options and finds the command's words, the second
 * has the command's own options, made from its rows in the table. The global options work in both.
 */
#include "control/cli/cli_args.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPTIONS_MAX = 16, OPTION_BASE = 256, TEXT_MAX = 4096, NAME_MAX_BYTES = 64 };

const char *argp_program_version = "sluicectl " SLUICE_VERSION;

static const struct argp_option global_options[] = {
        {"socket", 's', "PATH", 0, "Admin socket of sluice-control (" CLI_SOCKET ")", 100},
        {"output", 'o', "FORMAT", 0, "table (default) for people, json for programs", 100},
        {0},
};

/* How the first round found its command. */
struct words {
	struct cli_args *out;
	int used; /* words of argv up to the command's last; 0: none */
};

static error_t global_option(int key, char *arg, struct argp_state *state)
{
	struct cli_args *out = state->input;

	switch (key) {
	case 's':
		out->socket = arg;
		return 0;
	case 'o':
		if (strcmp(arg, "json") != 0 && strcmp(arg, "table") != 0)
			argp_error(state, "unknown output format '%s': table or json", arg);
		out->json = strcmp(arg, "json") == 0;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp global_argp = {.options = global_options, .parser = global_option};
static const struct argp_child global_child[] = {{&global_argp, 0, "Everywhere:", 100}, {0}};

/* Does a command of two words begin with this one? */
static bool is_group(const char *word)
{
	size_t len = strlen(word);

	for (uint32_t i = 0; i < CMD_COUNT; i++)
		if (strncmp(command_infos[i].name, word, len) == 0 &&
		    command_infos[i].name[len] == ' ')
			return true;
	return false;
}

/* Commands that begin with the group's word, or all (NULL), one a line. */
static char *commands_text(const char *group)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("Commands:\n", out);
	for (uint32_t i = 0; i < CMD_COUNT; i++) {
		const struct command_info *info = &command_infos[i];

		if (!group || strncmp(info->name, group, strlen(group)) == 0)
			fprintf(out, "  %-15s %s\n", info->name, info->help);
	}
	fclose(out);
	return text;
}

static _Noreturn void help_print(const char *group)
{
	char *text = commands_text(group);

	printf("Usage: sluicectl [-s PATH] [-o table|json] %s%s [OPTION...]\n"
	       "Shows and steers a running Sluice.\n\n%s\n"
	       "  -s, --socket=PATH    Admin socket of sluice-control (" CLI_SOCKET ")\n"
	       "  -o, --output=FORMAT  table (default) for people, json for programs\n"
	       "  -V, --version        Print the program's version\n\n"
	       "`sluicectl COMMAND --help` tells a command's own options.\n"
	       "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
	       group ? group : "COMMAND", group ? " COMMAND" : "", text ? text : "");
	free(text);
	exit(0);
}

static _Noreturn void usage_fail(const char *what, const char *word, const char *group)
{
	char *text = commands_text(group);

	fprintf(stderr, "sluicectl: %s%s%s%s\n%s", what, word ? " '" : "", word ? word : "",
	        word ? "'" : "", text ? text : "");
	free(text);
	exit(CLI_USAGE);
}

/* words[0] is not an option. Returns how many words the command has. */
static int command_words(char **words, int count, enum command_id *out)
{
	char name[NAME_MAX_BYTES];

	*out = command_find(words[0]);
	if (*out != CMD_COUNT)
		return 1;
	if (!is_group(words[0]))
		usage_fail("no command", words[0], NULL);
	if (count < 2)
		usage_fail("what about it? Say more than", words[0], words[0]);
	if (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-?") == 0)
		help_print(words[0]);
	snprintf(name, sizeof(name), "%s %s", words[0], words[1]);
	*out = command_find(name);
	if (*out == CMD_COUNT)
		usage_fail("no command", name, words[0]);
	return 2;
}

static error_t first_round(int key, char *arg, struct argp_state *state)
{
	struct words *words = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = words->out;
		return 0;
	case '?':
		help_print(NULL);
	case 'V':
		puts(argp_program_version);
		exit(0);
	case ARGP_KEY_ARG:
		if (strcmp(arg, "help") == 0)
			help_print(NULL);
		words->used = state->next - 1 +
		              command_words(&state->argv[state->next - 1],
		                            state->argc - (state->next - 1), &words->out->command);
		state->next = state->argc; /* the second round reads the rest */
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option first_options[] = {
        {"help", '?', NULL, 0, "Help", 0},
        {"version", 'V', NULL, 0, "Version", 0},
        {0},
};

/* What the second round works on. */
struct second {
	struct cli_args *out;
	const struct command_arg *options[OPTIONS_MAX];
	const struct command_arg *words[OPTIONS_MAX]; /* by position, those required first */
	uint32_t option_count;
	uint32_t word_count;
	uint32_t required_count;
};

/* One more line behind those that were given before, if any. */
static json_t *lines_add(json_t *former, const char *text)
{
	return former ? json_sprintf("%s\n%s", json_string_value(former), text) : json_string(text);
}

/* Letters that people know from curl. */
static int option_letter(const struct command_arg *arg)
{
	if (strcmp(arg->name, "header") == 0)
		return 'H';
	return strcmp(arg->name, "data") == 0 ? 'd' : 0;
}

static int option_key(const struct second *s, uint32_t i)
{
	int letter = option_letter(s->options[i]);

	return letter ? letter : OPTION_BASE + (int)i;
}

static void arg_set(struct second *s, const struct command_arg *arg, const char *text,
                    struct argp_state *state)
{
	json_t *value = NULL;
	char *end;

	switch (arg->type) {
	case ARG_FLAG:
		value = json_true();
		break;
	case ARG_LINES:
		value = lines_add(json_object_get(s->out->args, arg->name), text);
		if (!value)
			argp_error(state, "%s must be UTF-8", arg->meta);
		break;
	case ARG_STRING:
		value = json_string(text);
		if (!value)
			argp_error(state, "%s must be UTF-8", arg->meta);
		break;
	case ARG_UINT:
		errno = 0;
		unsigned long long n = strtoull(text, &end, 10);

		if (errno || *text < '0' || *text > '9' || *end || n > INT64_MAX)
			argp_error(state, "%s must be a whole number, not '%s'", arg->meta, text);
		value = json_integer((json_int_t)n);
		break;
	}
	json_object_set_new(s->out->args, arg->name, value);
}

static error_t second_round(int key, char *text, struct argp_state *state)
{
	struct second *s = state->input;

	for (uint32_t i = 0; i < s->option_count; i++) {
		if (key != option_key(s, i))
			continue;
		arg_set(s, s->options[i], text, state);
		return 0;
	}
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = s->out;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= s->word_count)
			argp_error(state, "'%s' is one argument too many", text);
		arg_set(s, s->words[state->arg_num], text, state);
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < s->required_count)
			argp_error(state, "%s is missing", s->words[state->arg_num]->meta);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The option's name: '-' for '_'. */
static char *option_name(char buf[NAME_MAX_BYTES], const char *name)
{
	size_t len = min_size(strlen(name), NAME_MAX_BYTES - 1);

	for (size_t i = 0; i < len; i++)
		buf[i] = name[i] == '_' ? '-' : name[i];
	buf[len] = '\0';
	return buf;
}

static void command_parse(int argc, char **argv, struct cli_args *out)
{
	struct argp_option options[OPTIONS_MAX + 1] = {{0}};
	char names[OPTIONS_MAX][NAME_MAX_BYTES];
	char doc[TEXT_MAX];
	char usage[TEXT_MAX] = "";
	struct second s = {.out = out};
	const struct command_arg *arg;
	uint32_t i = 0;
	int used = snprintf(doc, sizeof(doc), "%s.\v", command_infos[out->command].help);

	while ((arg = command_arg_next(out->command, &i))) {
		if (arg->kind != ARG_OPTION) {
			size_t len = strlen(usage);
			bool must = arg->kind == ARG_REQUIRED;

			snprintf(usage + len, sizeof(usage) - len, "%s%s%s%s", len ? " " : "",
			         must ? "" : "[", arg->meta, must ? "" : "]");
			used += snprintf(doc + used, sizeof(doc) - (size_t)used, "%s: %s\n",
			                 arg->meta, arg->help);
			s.words[s.word_count++] = arg;
			s.required_count += must;
			continue;
		}
		assert(s.option_count < OPTIONS_MAX);
		s.options[s.option_count] = arg;
		options[s.option_count] = (struct argp_option){
		        .name = option_name(names[s.option_count], arg->name),
		        .key = option_key(&s, s.option_count),
		        .arg = arg->type == ARG_FLAG ? NULL : arg->meta,
		        .doc = arg->help,
		};
		s.option_count++;
	}
	struct argp argp = {
	        .options = s.option_count > 0 ? options : NULL,
	        .parser = second_round,
	        .args_doc = usage,
	        .doc = doc,
	        .children = global_child,
	};

	argp_parse(&argp, argc, argv, 0, NULL, &s);
}

void cli_args_parse(int argc, char **argv, struct cli_args *out)
{
	struct words words = {.out = out};
	const struct argp argp = {
	        .options = first_options,
	        .parser = first_round,
	        .args_doc = "COMMAND",
	        .children = global_child,
	};
	char name[NAME_MAX_BYTES];

	*out = (struct cli_args){.command = CMD_COUNT, .socket = CLI_SOCKET};
	argp_err_exit_status = CLI_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &words);
	if (words.used == 0)
		usage_fail("which command?", NULL, NULL);
	out->args = json_object();
	snprintf(name, sizeof(name), "sluicectl %s", command_infos[out->command].name);
	argv[words.used - 1] = name;
	command_parse(argc - words.used + 1, argv + words.used - 1, out);
}
