/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The operator's program: a command from the table, asked over the admin socket, its answer printed
 * for people or as JSON. */
#include "control/cli/cli_args.h"
#include "control/cli/cli_client.h"
#include "control/cli/local.h"
#include "control/cli/render.h"
#include "control/cli/warm.h"

#include <stdio.h>
#include <stdlib.h>

enum { LISTING_DEFAULT = 1000 };

static int client_fail(struct cli_client *c)
{
	fprintf(stderr, "sluicectl: %s\n", c->error);
	if (*c->hint)
		fprintf(stderr, "  %s\n", c->hint);
	client_close(c);
	return CLI_FAILED;
}

static bool is_listing(enum command_id cmd)
{
	return command_arg_find(cmd, "cursor") != NULL;
}

/* The array of rows in a listing's result. */
static json_t *rows_of(json_t *result)
{
	const char *name;
	json_t *value;

	json_object_foreach(result, name, value) if (json_is_array(value)) return value;
	return NULL;
}

/* Removes rows beyond limit; 0: none. */
static void rows_cut(json_t *rows, uint64_t limit)
{
	while (limit && json_array_size(rows) > limit)
		json_array_remove(rows, json_array_size(rows) - 1);
}

/* One answer holds a bounded number of rows: asks on until limit (0: all) is reached. */
static enum status ask_all(struct cli_client *c, struct cli_args *args, json_t **result)
{
	json_t *wish = json_object_get(args->args, "limit");
	uint64_t limit = wish ? (uint64_t)json_integer_value(wish) : LISTING_DEFAULT;
	const char *cmd = command_infos[args->command].name;
	enum status st = client_ask(c, cmd, args->args, result);
	json_t *rows = st == ST_OK ? rows_of(*result) : NULL;

	while (rows && (!limit || json_array_size(rows) < limit)) {
		json_t *next = json_object_get(*result, "next");
		json_t *more;

		if (!json_is_string(next))
			break;
		json_object_set(args->args, "cursor", next);
		if (limit)
			json_object_set_new(
			        args->args, "limit",
			        json_integer((json_int_t)(limit - json_array_size(rows))));
		st = client_ask(c, cmd, args->args, &more);
		if (st != ST_OK) {
			json_decref(*result);
			return st;
		}
		json_array_extend(rows, rows_of(more));
		json_object_set(*result, "next", json_object_get(more, "next"));
		json_decref(more);
	}
	if (rows)
		rows_cut(rows, limit);
	return st;
}

static int result_print(const struct cli_args *args, json_t *result)
{
	if (args->json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		putchar('\n');
	} else {
		render(args->command, result, stdout);
	}
	json_decref(result);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("sluicectl: cannot write");
		return CLI_FAILED;
	}
	return 0;
}

/* version answers without a server too. */
static int version_run(struct cli_args *args)
{
	struct cli_client c;
	json_t *control = NULL;

	if (client_open(&c, args->socket) != ST_OK ||
	    client_ask(&c, "version", args->args, &control) != ST_OK)
		control = json_null();
	client_close(&c);
	return result_print(
	        args, json_pack("{s:s, s:o}", "sluicectl", SLUICE_VERSION, "control", control));
}

static int server_run(struct cli_args *args)
{
	struct cli_client c;
	json_t *result = NULL;
	char error[512];

	if (!local_file_read(args->args, "data_file", "data", error)) {
		fprintf(stderr, "sluicectl: %s\n", error);
		return CLI_FAILED;
	}
	if (client_open(&c, args->socket) != ST_OK)
		return client_fail(&c);
	enum status st =
	        is_listing(args->command)
	                ? ask_all(&c, args, &result)
	                : client_ask(&c, command_infos[args->command].name, args->args, &result);

	if (st != ST_OK)
		return client_fail(&c);
	client_close(&c);
	return result_print(args, result);
}

/* The list is a file of whoever asks, and the answer comes at the end of the warming. */
static int warm_server_run(struct cli_args *args)
{
	struct cli_client c;
	json_t *result;
	int rc;

	if (client_open(&c, args->socket) != ST_OK)
		return client_fail(&c);
	if (warm_run(&c, args, &result) != ST_OK) {
		if (*c.error)
			return client_fail(&c);
		client_close(&c);
		return CLI_FAILED;
	}
	client_close(&c);
	rc = warm_went_well(result) ? 0 : CLI_FAILED;
	return result_print(args, result) == 0 ? rc : CLI_FAILED;
}

static int check_run(struct cli_args *args)
{
	const char *file = json_string_value(json_object_get(args->args, "file"));
	char error[CONFIG_ERROR_TEXT];
	json_t *result = local_config_check(file, error);

	if (result)
		return result_print(args, result);
	fprintf(stderr, "%s\n", error);
	return CLI_FAILED;
}

int main(int argc, char **argv)
{
	struct cli_args args;
	int rc;

	cli_args_parse(argc, argv, &args);
	switch (args.command) {
	case CMD_config_check:
		rc = check_run(&args);
		break;
	case CMD_completion:
		local_completion(stdout);
		rc = 0;
		break;
	case CMD_cache_warm:
		rc = warm_server_run(&args);
		break;
	case CMD_version:
		rc = version_run(&args);
		break;
	default:
		rc = server_run(&args);
	}
	json_decref(args.args);
	return rc;
}
