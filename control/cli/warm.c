/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/warm.h"

#include "lib/span.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* In a request each byte may take two ('"'), and the rest of the line has to fit as well. */
#define PART_BYTES 12288u
#define PART_LINES 1024u
#define LINE_BYTES 8192u /* as sluice-control takes them */
#define WAIT_NS    (100l * 1000000l)

struct reader {
	struct cli_client *c;
	const char *name;
	FILE *in;
	json_t *result; /* the last answer; NULL: none yet */
	json_t *bad;    /* {file, line, error} of all parts */
	json_t *ask;    /* the arguments of the next request */
	bool show;      /* progress, on a terminal */
	bool shown;
	unsigned long line; /* the last that was read */
	uint32_t count;     /* lines in part */
	size_t len;
	unsigned long numbers[PART_LINES];
	char part[PART_BYTES];
};

static void bad_say(struct reader *r, unsigned long line, const char *why)
{
	if (r->shown)
		fputs("\r\033[K", stderr);
	r->shown = false;
	fprintf(stderr, "%s:%lu: %s\n", r->name, line, why);
	json_array_append_new(r->bad, json_pack("{s:s, s:I, s:s}", "file", r->name, "line",
	                                        (json_int_t)line, "error", why));
}

static void progress(struct reader *r)
{
	json_t *j = r->result;

	if (!r->show || j == NULL)
		return;
	json_int_t asked = json_integer_value(json_object_get(j, "asked"));
	json_int_t left = json_integer_value(json_object_get(j, "waiting")) +
	                  json_integer_value(json_object_get(j, "active"));

	fprintf(stderr, "\r%lld of %lld done, %lld stored, %lld failed\033[K",
	        (long long)(asked - left), (long long)asked,
	        (long long)json_integer_value(json_object_get(j, "stored")),
	        (long long)json_integer_value(json_object_get(j, "failed")));
	fflush(stderr);
	r->shown = true;
}

static void wait_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
}

/* The next requests are for the job that the first one began. */
static enum status ask(struct reader *r)
{
	json_t *answer;
	enum status st = client_ask(r->c, "cache warm", r->ask, &answer);

	if (st != ST_OK)
		return st;
	json_decref(r->result);
	r->result = answer;
	json_object_clear(r->ask);
	json_object_set(r->ask, "job", json_object_get(answer, "job"));
	progress(r);
	return ST_OK;
}

static void bad_of_part(struct reader *r)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(r->result, "bad"), i, row)
	{
		json_int_t n = json_integer_value(json_object_get(row, "line"));

		if (n >= 1 && n <= r->count)
			bad_say(r, r->numbers[n - 1],
			        json_string_value(json_object_get(row, "error")));
	}
}

/* Sends the part, when there is room for it there. */
static enum status part_send(struct reader *r)
{
	for (;;) {
		enum status st;

		json_object_set_new(r->ask, "list", json_stringn(r->part, r->len));
		st = ask(r);
		if (st != ST_OK)
			return st;
		if (json_is_true(json_object_get(r->result, "taken")))
			break;
		wait_a_little();
	}
	bad_of_part(r);
	r->len = 0;
	r->count = 0;
	return ST_OK;
}

/* What JSON could not carry, or would make much longer. */
static const char *line_wrong(const char *text, size_t len)
{
	json_t *probe;

	if (len > LINE_BYTES)
		return "the line is longer than 8192 bytes; take it out";
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 && text[i] != '\t' && text[i] != '\r')
			return "the line has control characters; take them out";
	probe = json_stringn(text, len);
	json_decref(probe);
	return probe == NULL ? "the line is not UTF-8; write other bytes as %XX" : NULL;
}

static enum status line_take(struct reader *r, const char *text, size_t len)
{
	const char *wrong = line_wrong(text, len);
	size_t blank = strspn(text, " \t\r");
	enum status st = ST_OK;

	/* Bad lines are named in their order. */
	if (r->len > 0 &&
	    (wrong != NULL || r->len + len + 1 > PART_BYTES || r->count == PART_LINES))
		st = part_send(r);
	if (st != ST_OK)
		return st;
	if (wrong != NULL) {
		bad_say(r, r->line, wrong);
		return ST_OK;
	}
	if (blank == len || text[blank] == '#')
		return ST_OK;
	memcpy(r->part + r->len, text, len);
	r->len += len;
	r->part[r->len++] = '\n';
	r->numbers[r->count++] = r->line;
	return ST_OK;
}

static enum status lines_send(struct reader *r)
{
	char *text = NULL;
	size_t room = 0;
	enum status st = ST_OK;
	ssize_t n;

	while (st == ST_OK && (n = getline(&text, &room, r->in)) >= 0) {
		size_t len = (size_t)n;

		r->line++;
		if (len > 0 && text[len - 1] == '\n')
			text[--len] = '\0';
		st = line_take(r, text, len);
	}
	free(text);
	if (st == ST_OK && ferror(r->in)) {
		fprintf(stderr, "sluicectl: cannot read %s: %s\n", r->name, strerror(errno));
		st = ST_IO;
	}
	/* Also a list without a line is a job, with nothing to do. */
	return st == ST_OK && (r->len > 0 || r->result == NULL) ? part_send(r) : st;
}

static enum status wait_end(struct reader *r)
{
	enum status st = ST_OK;

	while (st == ST_OK && !json_is_true(json_object_get(r->result, "ended"))) {
		wait_a_little();
		st = ask(r);
	}
	return st;
}

/* Opens the list; its name stands for it in reports unless there is another. */
static bool list_open(struct reader *r, json_t *args)
{
	const char *file = json_string_value(json_object_get(args, "list"));

	if (file == NULL)
		return true;
	r->name = strcmp(file, "-") == 0 ? "standard input" : file;
	r->in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	if (r->in == NULL) {
		fprintf(stderr, "sluicectl: cannot read %s: %s\n", file, strerror(errno));
		return false;
	}
	if (json_object_get(args, "name") == NULL && json_object_get(args, "job") == NULL)
		json_object_set_new(r->ask, "name", json_string(r->name));
	json_object_del(r->ask, "list");
	return true;
}

enum status warm_run(struct cli_client *c, struct cli_args *args, json_t **result)
{
	struct reader *r = calloc(1, sizeof(*r));
	bool wait = !json_is_true(json_object_get(args->args, "no_wait")) &&
	            (json_object_get(args->args, "job") == NULL ||
	             json_object_get(args->args, "list") != NULL);
	enum status st = ST_INVALID;

	*result = NULL;
	if (r == NULL)
		return ST_NOMEM;
	r->c = c;
	r->bad = json_array();
	r->ask = json_copy(args->args);
	r->show = !args->json && isatty(STDERR_FILENO);
	json_object_del(r->ask, "no_wait");
	if (list_open(r, args->args))
		st = r->in != NULL ? lines_send(r) : ask(r);
	if (st == ST_OK && wait)
		st = wait_end(r);
	if (r->shown)
		fputs("\r\033[K", stderr);
	if (st == ST_OK) {
		json_object_set(r->result, "bad", r->bad);
		*result = json_incref(r->result);
	}
	if (r->in != NULL && r->in != stdin)
		fclose(r->in);
	json_decref(r->result);
	json_decref(r->bad);
	json_decref(r->ask);
	free(r);
	return st;
}

bool warm_went_well(json_t *result)
{
	return json_array_size(json_object_get(result, "bad")) == 0 &&
	       json_is_null(json_object_get(result, "trouble"));
}
