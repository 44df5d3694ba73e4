/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request from its line to its answer. Lives until it is answered, also when its client or the
 * server is gone before. */
#include "control/admin/admin_priv.h"
#include "control/chan_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 32u << 20, ERROR_MAX = 1024 };

struct admin_req {
	struct admin *admin;   /* NULL: stopped */
	struct client *client; /* NULL: gone */
	struct admin_req *next;
	struct admin_req **prev_next;
	json_t *line;          /* NULL: not JSON */
	json_t *args;          /* NULL: none */
	char error[ERROR_MAX]; /* why line is NULL */
};

static const admin_handler handlers[CMD_COUNT] = {
#define COMMAND(id, name, help) [CMD_##id] = cmd_##id,
#define COMMAND_LOCAL(id, name, help)
#define ARG(cmd, name, type, kind, meta, help)
#include "control/admin/commands.def"
#undef COMMAND
#undef COMMAND_LOCAL
#undef ARG
};

struct admin_req *admin_req_new(struct admin *admin, struct client *client)
{
	struct admin_req *req = calloc(1, sizeof(*req));
	struct admin_req **head = admin_reqs(admin);

	if (!req)
		return NULL;
	req->admin = admin;
	req->client = client;
	req->next = *head;
	req->prev_next = head;
	if (req->next)
		req->next->prev_next = &req->next;
	*head = req;
	return req;
}

struct admin_req *admin_req_parse(struct admin *admin, struct client *client, const char *line,
                                  size_t len)
{
	struct admin_req *req = admin_req_new(admin, client);
	json_error_t err;

	if (!req)
		return NULL;
	req->line = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err);
	if (!req->line)
		snprintf(req->error, sizeof(req->error), "Not JSON: %s (byte %d of the line)",
		         err.text, err.position);
	return req;
}

static void req_unlink(struct admin_req *req)
{
	if (!req->prev_next)
		return;
	*req->prev_next = req->next;
	if (req->next)
		req->next->prev_next = req->prev_next;
	req->prev_next = NULL;
}

static void req_free(struct admin_req *req)
{
	req_unlink(req);
	json_decref(req->line);
	json_decref(req->args);
	free(req);
}

void admin_req_orphan(struct admin_req *req)
{
	req->client = NULL;
}

void admin_reqs_detach(struct admin *admin)
{
	struct admin_req **head = admin_reqs(admin);

	while (*head) {
		struct admin_req *req = *head;

		req->admin = NULL;
		req->client = NULL;
		req_unlink(req);
	}
}

static char *answer_text(json_t *answer, size_t *len)
{
	char *text = json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9));

	if (!text)
		return NULL;
	*len = strlen(text);
	if (*len > ANSWER_MAX) {
		free(text);
		return NULL;
	}
	text[(*len)++] = '\n'; /* where the NUL was */
	return text;
}

/* Takes answer over. */
static void req_answer(struct admin_req *req, json_t *answer)
{
	static const char broken[] = "{\"ok\":false,\"error\":\"No memory for the answer\","
	                             "\"hint\":\"Ask for less, for example with limit\"}\n";
	struct client *client = req->client;
	size_t len = 0;
	char *text = NULL;

	if (client && answer)
		text = answer_text(answer, &len);
	json_decref(answer);
	req_free(req);
	if (!client)
		return;
	if (!text) {
		text = strdup(broken);
		len = text ? sizeof(broken) - 1 : 0;
	}
	admin_client_answer(client, text, len);
}

void admin_ok(struct admin_req *req, json_t *result)
{
	req_answer(req, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

void admin_fail(struct admin_req *req, const char *hint, const char *fmt, ...)
{
	char text[ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	req_answer(req, json_pack("{s:b, s:o, s:s*}", "ok", 0, "error",
	                          admin_json_bytes(span_cstr(text)), "hint", hint));
}

void admin_fail_detached(struct admin_req *req)
{
	admin_fail(req,
	           "Is sluice-dataplane running, with the same run_dir? See `sluicectl status`",
	           "No dataplane is attached");
}

struct control *admin_req_control(const struct admin_req *req)
{
	return req->admin ? admin_control(req->admin) : NULL;
}

double admin_req_rate(const struct admin_req *req, uint32_t core)
{
	return req->admin && core < CHAN_MAX_CORES ? admin_rates_of(req->admin)->per_s[core] : 0;
}

bool admin_req_sample(const struct admin_req *req, uint32_t core, struct core_sample *out)
{
	return req->admin && core_sample_take(admin_control(req->admin)->chan, core, out);
}

const struct core_sample *admin_req_history(const struct admin_req *req, uint32_t core,
                                            uint32_t seconds)
{
	if (!req->admin)
		return NULL;
	return admin_history_find(admin_history_of(req->admin),
	                          chan_server_generation(admin_control(req->admin)->chan), core,
	                          seconds);
}

static bool type_fits(const struct command_arg *arg, const json_t *value)
{
	switch (arg->type) {
	case ARG_STRING:
	case ARG_LINES:
		return json_is_string(value);
	case ARG_UINT:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case ARG_FLAG:
		return json_is_boolean(value);
	}
	return false;
}

/* False when it answered. */
static bool args_check(struct admin_req *req, enum command_id cmd)
{
	static const char *const types[] = {"a string", "a whole number from 0", "true or false",
	                                    "a string"};
	const struct command_arg *arg;
	const char *name;
	json_t *value;
	uint32_t i = 0;

	json_object_foreach(req->args, name, value)
	{
		arg = command_arg_find(cmd, name);
		if (!arg) {
			admin_fail(req, "See `sluicectl help` or docs/reference/cli.md",
			           "%s has no argument \"%s\"", command_infos[cmd].name, name);
			return false;
		}
		if (!type_fits(arg, value)) {
			admin_fail(req, arg->help, "Argument \"%s\" must be %s", name,
			           types[arg->type]);
			return false;
		}
	}
	while ((arg = command_arg_next(cmd, &i))) {
		if (arg->kind == ARG_REQUIRED && !json_object_get(req->args, arg->name)) {
			admin_fail(req, arg->help, "%s needs the argument \"%s\"",
			           command_infos[cmd].name, arg->name);
			return false;
		}
	}
	return true;
}

/* The command's name, or NULL when it answered. */
static const char *line_check(struct admin_req *req)
{
	static const char *const hint =
	        "A request is {\"cmd\": \"NAME\", \"args\": {...}}; args may be absent";
	const char *member;
	json_t *value;
	json_t *cmd;

	if (!req->line) {
		admin_fail(req, hint, "%s", req->error);
		return NULL;
	}
	cmd = json_object_get(req->line, "cmd");
	if (!json_is_string(cmd)) {
		admin_fail(req, hint, "The request has no text member \"cmd\"");
		return NULL;
	}
	json_object_foreach(req->line, member, value)
	{
		bool args = strcmp(member, "args") == 0;

		if ((args && !json_is_object(value)) || (!args && value != cmd)) {
			admin_fail(req, hint, "The member \"%s\" is %s", member,
			           args ? "no object" : "not known");
			return NULL;
		}
	}
	req->args = json_incref(json_object_get(req->line, "args"));
	if (!req->args)
		req->args = json_object();
	return json_string_value(cmd);
}

void admin_req_run(struct admin_req *req)
{
	const char *name = line_check(req);

	if (!name)
		return;
	enum command_id cmd = command_find(name);

	if (cmd == CMD_COUNT)
		admin_fail(req, "`sluicectl --help` lists the commands", "No command \"%s\"", name);
	else if (command_infos[cmd].local)
		admin_fail(req, "Run it with sluicectl", "\"%s\" is not done by the server", name);
	else if (args_check(req, cmd))
		handlers[cmd](req, req->args);
}

uint64_t admin_arg_uint(json_t *args, const char *name, uint64_t otherwise)
{
	json_t *value = json_object_get(args, name);

	return value ? (uint64_t)json_integer_value(value) : otherwise;
}

const char *admin_arg_string(json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

bool admin_arg_flag(json_t *args, const char *name)
{
	return json_is_true(json_object_get(args, name));
}

json_t *admin_json_bytes(struct span s)
{
	json_t *text = json_stringn(s.len ? s.ptr : "", s.len);

	if (text)
		return text;
	char *utf8 = malloc(2 * s.len);
	size_t n = 0;

	if (!utf8)
		return NULL;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x80) {
			utf8[n++] = (char)c;
			continue;
		}
		utf8[n++] = (char)(0xc0 | c >> 6);
		utf8[n++] = (char)(0x80 | (c & 0x3f));
	}
	text = json_stringn(utf8, n);
	free(utf8);
	return text;
}
