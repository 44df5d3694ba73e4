/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Questions to the cores whose answers become one answer of the admin server: to all at once, or
 * one after the other with a cursor. The other process may change its memory at any time, so the
 * records are copied before anybody looks at them. */
#include "control/admin/admin_cmd.h"
#include "control/chan_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_RECORDS = 128, PAGES_MAX = 4096 };

struct gather {
	struct admin_req *req;
	struct admin_gather how;
	uint32_t cores;
	uint32_t open; /* questions without an answer, and one for the asking itself */
	struct question {
		struct gather *gather;
		uint32_t core;
	} questions[];
};

/* NULL when memory ran out, never for want of bytes. */
static void *records_copy(const void *bytes, size_t len)
{
	void *copy = malloc(len + 1);

	if (copy && len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

static void gather_done(struct gather *g)
{
	if (--g->open > 0)
		return;
	g->how.finish(g->req, g->how.arg);
	free(g);
}

static void on_gather(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	struct question *q = arg;
	struct gather *g = q->gather;
	void *copy = records_copy(bytes, len);

	(void)n;
	if (st == ST_OK && !copy)
		st = ST_NOMEM;
	g->how.take(g->how.arg, q->core, st, span_of(copy, st == ST_OK ? len : 0));
	free(copy);
	gather_done(g);
}

void admin_gather_start(struct admin_req *req, const struct admin_gather *gather)
{
	struct chan_server *chan = admin_req_control(req)->chan;
	uint32_t cores = chan_server_attached(chan) ? chan_server_cores(chan) : 0;
	struct gather *g = malloc(sizeof(*g) + cores * sizeof(g->questions[0]));

	if (!g) {
		gather->finish(req, gather->arg);
		return;
	}
	g->req = req;
	g->how = *gather;
	g->cores = cores;
	g->open = cores + 1;
	for (uint32_t i = 0; i < cores; i++) {
		g->questions[i] = (struct question){g, i};
		chan_server_query(chan, i, gather->kind, 0, 1, gather->key, on_gather,
		                  &g->questions[i]);
	}
	gather_done(g);
}

struct scan {
	struct admin_req *req;
	struct admin_scan how;
	json_t *rows;
	size_t limit;
	uint32_t core;
	uint32_t pages;
	uint64_t cursor;
	bool asking; /* inside chan_server_query: it may answer at once */
	bool waiting;
	bool ended; /* the request was answered */
};

static void scan_fail(struct scan *s, const char *hint, const char *text)
{
	s->ended = true;
	admin_fail(s->req, hint, "Core %u: %s", s->core, text);
}

static void scan_finish(struct scan *s, uint32_t cores)
{
	char next[48];
	bool more = s->core < cores;

	s->ended = true;
	snprintf(next, sizeof(next), "%u:%llu", s->core, (unsigned long long)s->cursor);
	admin_ok(s->req,
	         json_pack("{s:O, s:s?}", s->how.rows_name, s->rows, "next", more ? next : NULL));
}

static void scan_run(struct scan *s);

/* A cursor of 0, or one that does not move, is the end of a core's records. */
static void scan_page(struct scan *s, struct span bytes, uint64_t next)
{
	if (!s->how.take(&s->how, s->core, bytes, s->rows)) {
		scan_fail(s,
		          "The two processes may be of different versions: see `sluicectl status`",
		          "its answer is malformed");
		return;
	}
	if (next != 0 && next != s->cursor && ++s->pages < PAGES_MAX) {
		s->cursor = next;
		return;
	}
	s->core++;
	s->cursor = 0;
	s->pages = 0;
}

static void on_page(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	struct scan *s = arg;
	void *copy = st == ST_OK ? records_copy(bytes, len) : NULL;

	s->waiting = false;
	if (st == ST_OK && !copy)
		st = ST_NOMEM;
	if (st == ST_OK)
		scan_page(s, span_of(copy, len), n);
	else if (st == ST_FULL)
		scan_fail(s, "Many ask at the same time; try again", status_text(st));
	else
		scan_fail(s, "The dataplane may be stuck or gone: see `sluicectl status`",
		          status_text(st));
	free(copy);
	if (!s->asking)
		scan_run(s);
}

/* One question after the other; in a loop rather than from callback to callback, so that answers
 * that come at once need no stack. */
static void scan_run(struct scan *s)
{
	while (!s->ended && !s->waiting) {
		struct control *ctl = admin_req_control(s->req);
		uint32_t cores = ctl ? chan_server_cores(ctl->chan) : 0;

		size_t have = json_array_size(s->rows);

		if (s->core >= cores || have >= s->limit) {
			scan_finish(s, cores);
			break;
		}
		s->waiting = true;
		s->asking = true;
		/* Never more than fit: the cursor would stand behind records that nobody gets. */
		chan_server_query(ctl->chan, s->core, s->how.kind, s->cursor,
		                  (uint32_t)min_size(PAGE_RECORDS, s->limit - have), SPAN_LIT(""),
		                  on_page, s);
		s->asking = false;
	}
	if (!s->ended)
		return;
	json_decref(s->rows);
	free(s);
}

static bool cursor_parse(const char *text, struct scan *s)
{
	char *end;

	errno = 0;
	unsigned long core = strtoul(text, &end, 10);

	if (errno || end == text || *end != ':' || core >= CHAN_MAX_CORES)
		return false;
	const char *rest = end + 1;

	s->core = (uint32_t)core;
	s->cursor = strtoull(rest, &end, 10);
	return !errno && end != rest && *end == '\0';
}

void admin_scan_start(struct admin_req *req, const struct admin_scan *scan, json_t *args)
{
	struct control *ctl = admin_req_control(req);
	const char *cursor = admin_arg_string(args, "cursor");
	uint64_t limit = admin_arg_uint(args, "limit", ADMIN_ROWS_MAX);

	if (!chan_server_attached(ctl->chan)) {
		admin_fail_detached(req);
		return;
	}
	struct scan *s = calloc(1, sizeof(*s));

	if (!s) {
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	s->req = req;
	s->how = *scan;
	s->limit = limit == 0 || limit > ADMIN_ROWS_MAX ? ADMIN_ROWS_MAX : (size_t)limit;
	if (cursor && !cursor_parse(cursor, s)) {
		admin_fail(req, "Use the \"next\" of an earlier answer", "Not a cursor: \"%s\"",
		           cursor);
		free(s);
		return;
	}
	s->rows = json_array();
	scan_run(s);
}
