/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Write-through (docs/decisions/write-through.md): the content of an answer to PUT, PATCH or POST
 * that is the representation that GET would get now goes into the store under GET's key.
 *
 * Order. When the answer's head comes, it is first asked whether anything purged the key since the
 * request left: then something else may have changed the resource after what this answer shows,
 * and nothing is stored. Then the purges of the request itself are ordered, and the fill takes the
 * number of the last of them: every later purge makes it void, as any fill. So of two changes that
 * overlap, the one answered first is purged by the other, and the other is not stored.
 *
 * The shared store orders by wall time, within L3_SKEW_MS. It gets the answer later, when every
 * purge that could be older by a clock and younger in truth must have been seen here, and only if
 * the entry is still there. */
#include "control/fetch_internal.h"

#include "lib/clock.h"

#include <stdlib.h>

struct later {
	struct later *next;
	uint64_t due_ns;
	uint64_t asked_ms;
	uint64_t born_seq;
	uint32_t key_len;
	char key[];
};

/* --- what may be written --- */

static bool route_writes(const struct fetch *f)
{
	const struct request *r = f->req;

	return f->plan.rule.write_through != CACHE_WRITE_OFF && f->f->store != NULL &&
	       !r->keyed_body && r->key.len > 0 && !http_method_safe(r->method);
}

/* Of which target is the answer; false: of none. */
static bool target_written(const struct fetch *f, const struct exchange_head *h,
                           struct cache_targets *out)
{
	struct cache_target at = {
	        .host = f->req->host,
	        .target = f->req->target,
	        .tls = (f->req->wire.flags & CHAN_REQ_TLS) != 0,
	};
	struct http_fields fields;

	request_fields(f->req, &fields);
	/* A part was put (RFC 9110 14.5). */
	if (http_fields_have(&fields, HDR_CONTENT_RANGE) || request_no_store(f->req))
		return false;
	return cache_written(&at, f->req->method, f->plan.rule.write_through == CACHE_WRITE_ALWAYS,
	                     h->head, out);
}

static struct object *object_make(struct fetch *f, const struct exchange_head *h,
                                  const struct rule_write *w)
{
	const struct cache_key key = {.text = span_of(w->key, w->key_len)};
	struct object *o = malloc(FETCH_HEAD_MAX);
	struct response_in in;
	struct response_out out;

	if (o == NULL)
		return NULL;
	fetch_response_in(f, h, &in);
	in.key = &key;
	in.rule = w->rule;
	/* These two guess what the origin did not say; of a change it must say it. */
	in.rule.heuristic_pct = 0;
	in.rule.negative_ttl_ms = 0;
	in.stored = true;
	in.written = true;
	in.authorized = w->authorized;
	in.tags = w->effects->tags;
	in.tag_count = w->effects->tag_count;
	if (response_object(&in, o, fetch_head_cap(f), &out) == ST_OK && out.shared &&
	    out.vary == VARY_NONE && !out.no_body && out.body_len > 0)
		return o;
	free(o);
	return NULL;
}

struct object *fetch_write_head(struct fetch *f, const struct exchange_head *h)
{
	struct rule_write *w = NULL;
	struct object *o = NULL;
	struct cache_targets targets;

	if (!route_writes(f) || !cache_invalidates(f->req->method, h->head->status))
		return NULL;
	if (target_written(f, h, &targets)) {
		struct rule_target t = {
		        .s = plan_snapshot(f->f, f->req->wire.snapshot_id),
		        .r = f->req,
		        .target = targets.target[0],
		        .seed = link_hash_seed(fetch_chan(f)),
		};

		if (t.s != NULL && rule_write_make(&t, &w))
			o = object_make(f, h, w);
	}
	if (o == NULL) {
		f->f->counts.writes_unfit++;
	} else if (!store_is_live(f->f->store, o)) {
		f->f->counts.writes_overlapped++;
		free(o);
		o = NULL;
	} else {
		f->write_etag = w->rule.make_etag;
	}
	rule_write_free(w);
	return o;
}

/* --- into the node's store --- */

void fetch_write_begin(struct fetch *f, struct object *head)
{
	if (head == NULL)
		return;
	f->write_seq = link_purge_now(fetch_chan(f));
	head->born_seq = f->write_seq;
	f->write_wall_ms = clock_wall_ns() / NS_PER_MS;
	f->written = true;
	fetch_fill_begin(f, head);
	free(head);
}

static void later_add(struct fetch *f, const struct store_entry *e);

/* What lies there came after this request's purges: it is as new, or newer. But a list of variants
 * may outlive what voided them all. */
static bool newer_there(const struct fetch *f)
{
	bool stale;
	struct store_entry *e = store_peek(f->f->store, store_fill_key(f->fill), &stale);
	bool newer = e != NULL &&
	             ((e->head->flags & OBJECT_VARY) == 0 || e->head->born_seq >= f->write_seq);

	if (e != NULL)
		store_drop(e);
	return newer;
}

void fetch_write_commit(struct fetch *f)
{
	struct store_fill *fill = f->fill;
	struct store_entry *e;
	bool newer = newer_there(f);

	f->fill = NULL;
	if (store_fill_len(fill) == 0) { /* says nothing of the resource */
		store_fill_abort(fill);
		f->f->counts.writes_unfit++;
		return;
	}
	if (newer) {
		store_fill_abort(fill);
		f->f->counts.writes_overlapped++;
		return;
	}
	e = store_fill_commit(fill);
	if (e == NULL) {
		f->f->counts.writes_overlapped++;
		return;
	}
	f->f->counts.writes++;
	e = fetch_tagged(f, e, f->write_etag);
	later_add(f, e);
	store_drop(e);
}

/* --- into the shared store --- */

static void later_arm(struct fetcher *fr)
{
	if (fr->later != NULL)
		loop_timer_set(fr->ctl->loop, &fr->later_timer, fr->later->due_ns);
}

static struct later *later_pop(struct fetcher *fr)
{
	struct later *l = fr->later;

	fr->later = l->next;
	if (fr->later == NULL)
		fr->later_end = &fr->later;
	fr->later_count--;
	return l;
}

static void later_give(struct fetcher *fr, const struct later *l)
{
	struct store_entry *e;
	bool stale;

	e = store_peek(fr->store, span_of(l->key, l->key_len), &stale);
	if (e != NULL && !stale && e->head->born_seq == l->born_seq) {
		fr->counts.writes_shared++;
		fetch_l3_give(fr, e, l->asked_ms);
	} else {
		fr->counts.writes_unshared++;
	}
	if (e != NULL)
		store_drop(e);
}

static void on_later(struct loop_timer *t)
{
	struct fetcher *fr = t->arg;

	while (fr->later != NULL && fr->later->due_ns <= loop_now_ns(fr->ctl->loop)) {
		struct later *l = later_pop(fr);

		later_give(fr, l);
		free(l);
	}
	later_arm(fr);
}

static void later_add(struct fetch *f, const struct store_entry *e)
{
	struct fetcher *fr = f->f;
	const struct l3 *l3 = fr->ctl->l3;
	struct span key = object_key(e->head);
	struct later *l;

	if (l3 == NULL || !l3_enabled(l3))
		return;
	l = fr->later_count < fr->ctl->config->cache.l3.in_flight ? malloc(sizeof(*l) + key.len)
	                                                          : NULL;
	if (l == NULL) {
		fr->counts.writes_unshared++;
		return;
	}
	*l = (struct later){
	        .due_ns = loop_now_ns(fr->ctl->loop) + L3_SETTLE_MS * NS_PER_MS,
	        /* Younger than this request's purges, and void by any of the next millisecond. */
	        .asked_ms = f->write_wall_ms + L3_SKEW_MS + 1,
	        .born_seq = e->head->born_seq,
	        .key_len = (uint32_t)key.len,
	};
	memcpy(l->key, key.ptr, key.len);
	*fr->later_end = l;
	fr->later_end = &l->next;
	if (fr->later_count++ == 0)
		later_arm(fr);
}

void fetch_writes_create(struct fetcher *fr)
{
	fr->later_end = &fr->later;
	fr->later_timer = (struct loop_timer){.fn = on_later, .arg = fr};
}

void fetch_writes_destroy(struct fetcher *fr)
{
	loop_timer_cancel(fr->ctl->loop, &fr->later_timer);
	while (fr->later != NULL)
		free(later_pop(fr));
}
