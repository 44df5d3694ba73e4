/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The method PURGE: from the addresses of admin.purge_from, it voids what is stored of its target,
 * or what has one of the tags of its Surrogate-Key or Cache-Tag field. "Sluice-Purge: soft" makes
 * it stale instead. The answer comes when every core has done it: 204, or 503 when one did not say
 * so in time; 403 from elsewhere. */
#include "control/fetch_internal.h"

#include "control/purge.h"
#include "lib/cidr.h"

#include <stdlib.h>

#define TAGS_MAX 64u

/* Lives until every order was answered. */
struct purging {
	struct fetcher *f;
	struct chan_ticket ticket;
	uint32_t waiting;
	bool failed;
};

static bool may_purge(const struct config *cfg, const uint8_t addr[16])
{
	struct cidr c;

	for (unsigned i = 0; i < cfg->admin.purge_from_count; i++)
		if (cidr_parse(cfg->admin.purge_from[i], &c) && cidr_has(&c, addr))
			return true;
	return false;
}

static void done_one(struct purging *p)
{
	if (--p->waiting > 0)
		return;
	/* The client may be gone, and the ticket with it. */
	fetch_ticket_code(p->f, &p->ticket, p->failed ? 503 : 204);
	free(p);
}

static void on_purged(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	struct purging *p = arg;

	(void)bytes;
	(void)len;
	(void)n;
	p->failed |= st != ST_OK;
	done_one(p);
}

static void order(struct purging *p, enum purge_by by, struct span name, bool soft)
{
	char buf[INVAL_TEXT_MAX];
	struct purge_order o;

	if (!purge_order_make(by, name, buf, &o))
		return;
	o.soft = soft;
	p->waiting++;
	chan_server_purge(p->f->ctl->chan, &o, on_purged, p);
}

/* What answers the target by a pattern goes too. */
static void order_shared(struct purging *p, const struct request *r, bool soft)
{
	struct pattern_key *k = malloc(sizeof(*k));

	if (k != NULL && pattern_find(p->f, r, k))
		order(p, PURGE_BY_KEY, k->key.text, soft);
	free(k);
}

/* Names divided by blanks and commas; how many. */
static uint32_t each_name(struct span text, struct span *names, uint32_t room)
{
	uint32_t n = 0;
	size_t at = 0;

	while (at < text.len && n < room) {
		size_t from = at;

		while (at < text.len && text.ptr[at] != ' ' && text.ptr[at] != ',' &&
		       text.ptr[at] != '\t')
			at++;
		if (at > from)
			names[n++] = span_of(text.ptr + from, at - from);
		else
			at++;
	}
	return n;
}

struct wanted {
	struct span tags[TAGS_MAX];
	uint32_t count;
	bool soft;
	bool bad; /* too many tags */
};

static void wanted_read(const struct http_fields *fs, struct wanted *w)
{
	memset(w, 0, sizeof(*w));
	for (uint32_t i = 0; i < fs->count; i++) {
		struct span name = fs->f[i].name, value = fs->f[i].value;

		if (span_eq_nocase(name, SPAN_LIT("Sluice-Purge")))
			w->soft |= span_eq_nocase(value, SPAN_LIT("soft"));
		else if (span_eq_nocase(name, SPAN_LIT("Surrogate-Key")) ||
		         span_eq_nocase(name, SPAN_LIT("Cache-Tag")))
			w->count += each_name(value, w->tags + w->count, TAGS_MAX - w->count);
	}
	w->bad = w->count == TAGS_MAX;
}

void fetch_purge_method(struct waiter *w)
{
	const struct request *r = w->req;
	struct fetcher *f = w->f;
	struct http_fields fields;
	struct wanted wanted;
	struct purging *p;

	if (!may_purge(f->ctl->config, r->wire.client_addr)) {
		f->counts.purge_refused++;
		waiter_refuse(w, 403);
		return;
	}
	request_fields(r, &fields);
	wanted_read(&fields, &wanted);
	if (wanted.bad || (wanted.count == 0 && r->key.len == 0)) {
		waiter_refuse(w, 400);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		waiter_refuse(w, 503);
		return;
	}
	f->counts.purge_requests++;
	*p = (struct purging){.f = f, .ticket = w->ticket, .waiting = 1};
	if (wanted.count == 0)
		order(p, PURGE_BY_KEY, r->key, wanted.soft);
	if (wanted.count == 0)
		order_shared(p, r, wanted.soft);
	for (uint32_t i = 0; i < wanted.count; i++)
		order(p, PURGE_BY_TAG, wanted.tags[i], wanted.soft);
	done_one(p);
}
