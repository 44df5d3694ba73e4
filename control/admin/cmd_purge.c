/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache purge: voids what is stored, on every core and in control. */
#include "control/admin/admin_cmd.h"
#include "control/purge.h"

#include <stdlib.h>

/* What the answer tells besides what the cores say. */
struct purging {
	struct admin_req *req;
	uint64_t seq;
	uint32_t cores;
	bool soft;
	bool counted; /* entries were counted, not only those of a key */
	bool failed;  /* cb came before the number was known */
	enum status st;
	uint64_t n;
	bool ordered; /* the number is known */
};

static void purge_answer(struct purging *p)
{
	struct admin_req *req = p->req;
	bool away = p->st == ST_CLOSED && p->cores == 0;

	if (p->st == ST_OK || away)
		admin_ok(req, json_pack("{s:I, s:I, s:i, s:b, s:b}", "purged", (json_int_t)p->n,
		                        "number", (json_int_t)p->seq, "cores", (int)p->cores,
		                        "soft", p->soft, "counted", p->counted && !away));
	else
		admin_fail(req,
		           "The purge stands, and cores carry it out before anything else; see "
		           "`sluicectl status` for one that hangs",
		           "Not every core confirmed the purge: %s", status_text(p->st));
	free(p);
}

static void on_purged(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	struct purging *p = arg;

	(void)bytes;
	(void)len;
	p->st = st;
	p->n = n;
	if (p->ordered)
		purge_answer(p);
	else
		p->failed = true;
}

static void purge_start(struct admin_req *req, const struct purge_order *o)
{
	struct control *ctl = admin_req_control(req);
	struct purging *p = calloc(1, sizeof(*p));

	if (!p) {
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	p->req = req;
	p->cores = chan_server_cores(ctl->chan);
	p->soft = o->soft;
	p->counted = o->count || o->kind == INVAL_KEY;
	p->seq = chan_server_purge(ctl->chan, o, on_purged, p);
	p->ordered = true;
	if (p->failed)
		purge_answer(p);
}

/* Which of the ways is asked for; PURGE_BYS when it is none or more than one. */
static enum purge_by purge_by_of(json_t *args)
{
	enum purge_by found = PURGE_BYS;

	for (enum purge_by by = 0; by < PURGE_BYS; by++) {
		json_t *name = json_object_get(args, purge_by_name(by));

		if (!name || json_is_false(name))
			continue;
		if (found != PURGE_BYS)
			return PURGE_BYS;
		found = by;
	}
	return found;
}

void cmd_cache_purge(struct admin_req *req, json_t *args)
{
	enum purge_by by = purge_by_of(args);
	char buf[INVAL_TEXT_MAX];
	struct purge_order o;

	if (by == PURGE_BYS) {
		admin_fail(
		        req, "`sluicectl cache purge --help` lists the ways",
		        "Say what goes in one way: a key, or one of --pattern, --tag, --all, ...");
		return;
	}
	json_t *name = json_object_get(args, purge_by_name(by));
	struct span text = {0};

	if (json_is_string(name))
		text = span_of(json_string_value(name), json_string_length(name));
	if (by == PURGE_BY_KEY && text.len > 0 && memchr(text.ptr, '*', text.len) != NULL &&
	    !admin_arg_flag(args, "exact"))
		by = PURGE_BY_PATTERN;
	if (!purge_order_make(by, text, buf, &o)) {
		if (text.len == 0)
			admin_fail(req, "`sluicectl cache purge --all` voids everything",
			           "The %s is empty", purge_by_name(by));
		else
			admin_fail(req, NULL, "No %s is longer than %u bytes", purge_by_name(by),
			           INVAL_TEXT_MAX);
		return;
	}
	o.soft = admin_arg_flag(args, "soft");
	o.count = !admin_arg_flag(args, "no_count");
	purge_start(req, &o);
}
