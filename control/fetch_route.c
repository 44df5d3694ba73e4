/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where the answer to a request comes from: the node's store, a fetch that is under way, the shared
 * store, or the origin. A stored answer that may not be used as it is gives its validators to the
 * request for the origin (RFC 9111 4.3). */
#include "control/fetch_internal.h"

#include "cache/vary.h"
#include "control/warm.h"
#include "lib/clock.h"

#include <stdlib.h>

/* What the store has for a request. */
struct found {
	struct cache_key key;      /* the request's, or that of its variant */
	struct store_entry *entry; /* held; NULL: none */
	bool soft;                 /* a soft purge made it stale */
	bool pass;                 /* a remark: do not wait for others */
	bool unkeyed;              /* its variant has no key */
	bool variant;
	enum coding coding; /* that the request gets, if the answer may be coded */
	struct span base;   /* key of the answer of which its key is a coded form; len 0: of none */
	struct store_entry *base_entry; /* held; NULL: entry is it, or there is none */
	bool pattern; /* key and entry are of an answer that other keys' requests may have */
	char text[CACHE_KEY_MAX];
	char base_text[CACHE_KEY_MAX];
};

void request_fields(const struct request *r, struct http_fields *out)
{
	size_t pos = 0;

	/* It was well-formed when it was read, and ends in CRLF. */
	http1_scan_fields(r->fields.ptr, r->fields.len + 2, &pos, out);
}

static struct cache_key request_key(const struct request *r)
{
	return (struct cache_key){.hash = {r->wire.key_lo, r->wire.key_hi}, .text = r->key};
}

bool request_variant(struct fetcher *fr, const struct request *r, const struct object *list,
                     char *buf, struct cache_key *out)
{
	struct cache_key primary = request_key(r);
	struct http_fields fields;

	request_fields(r, &fields);
	return vary_key(buf, &primary, list, &fields, link_hash_seed(fr->ctl->chan), out);
}

/* Answers to these may lie in a store: the request has a key, and nothing but it counts. */
static bool request_may_look(const struct request *r)
{
	if (r->key.len == 0)
		return false;
	return r->keyed_body || (!r->has_body && (r->method == HTTP_GET || r->method == HTTP_HEAD));
}

bool request_may_share(const struct request *r)
{
	return (r->wire.flags & CHAN_REQ_COLLAPSE) != 0 && r->key.len > 0 && !r->conditional &&
	       (r->keyed_body || (!r->has_body && r->method == HTTP_GET));
}

/* The answer itself, and the form of it that is asked for, as long as it is as old. */
static void look_coded(struct fetcher *fr, struct found *out)
{
	struct store_entry *form = out->entry;
	struct store_entry *answer;
	struct cache_key base;
	bool soft = false;

	if (!vary_key_coded(out->key.text, CODING_IDENTITY, 0, out->base_text, &base))
		return;
	out->base = base.text;
	if (out->coding == CODING_IDENTITY)
		return;
	answer = store_get(fr->store, base.text, &soft);
	if (answer == NULL)
		return; /* the form has its own lifetime */
	out->soft |= soft;
	if (form != NULL && form->head->response_ms == answer->head->response_ms) {
		out->base_entry = answer;
		return;
	}
	if (form != NULL)
		store_drop(form);
	out->entry = answer;
}

bool fetch_list_fits(const struct object *list, const struct plan_choice *plan)
{
	struct codings offers;
	struct span names;
	uint64_t id;

	if (!vary_list_read(list, &id, &names))
		return false;
	vary_offers(names, &offers);
	return offers.count == 0 || memcmp(&offers, &plan->offers, sizeof(offers)) == 0;
}

bool request_no_store(const struct request *r)
{
	struct http_fields fields;
	struct cache_control cc;

	request_fields(r, &fields);
	cache_control_parse(&fields, &cc);
	return cc.no_store;
}

static void look_variant(struct fetcher *fr, const struct request *r,
                         const struct plan_choice *plan, struct found *out)
{
	struct store_entry *list = out->entry;
	bool soft = false;

	out->entry = NULL;
	if (!fetch_list_fits(list->head, plan)) {
		store_drop(list);
		return;
	}
	out->variant = request_variant(fr, r, list->head, out->text, &out->key);
	store_drop(list);
	if (out->variant) {
		out->entry = store_get(fr->store, out->key.text, &soft);
		out->soft |= soft;
		look_coded(fr, out);
	} else {
		out->key = request_key(r);
		out->unkeyed = true;
	}
}

static enum coding request_coding(const struct request *r, const struct plan_choice *plan)
{
	struct http_fields fields;

	if (plan->offers.count == 0)
		return CODING_IDENTITY;
	request_fields(r, &fields);
	return coding_choose(&plan->offers, &fields);
}

/* Without a fresh answer of its own it may have one by what that depends on. */
static void look_pattern(struct fetcher *fr, const struct request *r, struct found *out)
{
	uint64_t now_ms = clock_wall_ns() / NS_PER_MS;
	struct pattern_key *k;
	struct store_entry *e;
	bool soft = false;

	if (out->entry != NULL && object_is_fresh(out->entry->head, now_ms) && !out->soft)
		return;
	k = malloc(sizeof(*k));
	if (k == NULL || !pattern_find(fr, r, k)) {
		free(k);
		return;
	}
	e = store_get(fr->store, k->key.text, &soft);
	if (e != NULL && (e->head->flags & (OBJECT_VARY | OBJECT_PASS))) {
		store_drop(e);
		e = NULL;
	}
	if (out->entry == NULL || (e != NULL && object_is_fresh(e->head, now_ms) && !soft)) {
		if (out->entry != NULL)
			store_drop(out->entry);
		if (out->base_entry != NULL)
			store_drop(out->base_entry);
		out->base_entry = NULL;
		out->base = span_of(NULL, 0);
		out->entry = e;
		out->soft = soft;
		memcpy(out->text, k->key.text.ptr, k->key.text.len);
		out->key = (struct cache_key){k->key.hash, span_of(out->text, k->key.text.len)};
		out->variant = out->pattern = true;
		out->unkeyed = false;
	} else if (e != NULL) {
		store_drop(e);
	}
	free(k);
}

static bool takes_pass(struct found *out)
{
	uint64_t now_ms = clock_wall_ns() / NS_PER_MS;

	if (out->entry == NULL || (out->entry->head->flags & OBJECT_PASS) == 0)
		return false;
	out->pass = object_is_fresh(out->entry->head, now_ms) && !out->soft;
	store_drop(out->entry);
	out->entry = NULL;
	return out->pass;
}

/* A look at the store; may be done again for a request. */
static void look_up(struct fetcher *fr, const struct request *r, const struct plan_choice *plan,
                    struct found *out)
{
	out->key = request_key(r);
	out->entry = NULL;
	out->soft = false;
	out->pass = false;
	out->unkeyed = false;
	out->variant = false;
	out->coding = request_coding(r, plan);
	out->base = span_of(NULL, 0);
	out->base_entry = NULL;
	out->pattern = false;
	if (fr->store == NULL || !request_may_look(r))
		return;
	out->entry = store_get(fr->store, r->key, &out->soft);
	if (out->entry != NULL && (out->entry->head->flags & OBJECT_VARY))
		look_variant(fr, r, plan, out);
	if (!takes_pass(out))
		look_pattern(fr, r, out);
}

static enum cache_use found_use(const struct found *fd, const struct cache_request *asks)
{
	const struct object *o = fd->entry->head;
	enum cache_use use = cache_use(o, asks, clock_wall_ns() / NS_PER_MS);

	/* Stale from the purge on, whatever its time says. */
	if (use != CACHE_USE_FRESH || !fd->soft)
		return use;
	return o->stale_while_s > 0 && !(o->flags & OBJECT_REVALIDATE) ? CACHE_USE_REFRESH
	                                                               : CACHE_USE_NOT;
}

static void found_drop(struct found *fd)
{
	if (fd->entry != NULL)
		store_drop(fd->entry);
	if (fd->base_entry != NULL)
		store_drop(fd->base_entry);
	fd->entry = NULL;
	fd->base_entry = NULL;
}

/* May this request's answer be put together with a stored one by a 304? */
static bool may_validate(const struct request *r)
{
	return r->method == HTTP_GET && !r->conditional && !r->has_body &&
	       (r->wire.flags & CHAN_REQ_STORE) != 0;
}

/* --- the origin --- */

struct request_style fetch_style(struct fetcher *fr, const struct upstream *up)
{
	const struct config_upstream *cu = upstream_config(up);

	return (struct request_style){
	        .node = fr->ctl->config->node,
	        .host_header = cu->host_header,
	        .address = cu->name,
	        .id_hi = fr->id_prefix,
	        .id_lo = ++fr->id_seq,
	};
}

/* The validators of a shared answer may be those of another resource. */
static bool serialise(struct fetch *f)
{
	struct request_style style = fetch_style(f->f, f->plan.upstream);

	style.plain = f->plan.offers.count > 0;
	style.whole = f->coding != CODING_IDENTITY;

	f->validating = false;
	/* A coded form has not the origin's ETag, and a 304 would say nothing of it. */
	if (f->entry != NULL && !f->pattern && may_validate(f->req) &&
	    !(f->entry->head->flags & OBJECT_CODED)) {
		if (!(f->entry->head->flags & OBJECT_ETAG_MADE))
			style.etag = object_etag(f->entry->head);
		style.last_modified = object_last_modified(f->entry->head);
		f->validating = style.etag.len + style.last_modified.len > 0;
	}
	f->x.request = request_serialise(f->req, &style);
	return f->x.request != NULL;
}

void fetch_origin(struct fetch *f)
{
	if (f->purge_seq == 0)
		f->born_seq = link_purge_now(fetch_chan(f));
	f->started_wall_ms = clock_wall_ns() / NS_PER_MS;
	f->x = (struct exchange){
	        .ops = &fetch_exchange_ops,
	        .method = f->req->method,
	        .idempotent = http_method_idempotent(f->req->method),
	        .has_body = f->req->has_body,
	        .chunked = f->req->chunked,
	};
	if (!serialise(f)) {
		fetch_refuse(f, 503);
		return;
	}
	f->f->counts.origin++;
	f->f->counts.validations += f->validating;
	exchange_start(&f->x, f->plan.upstream);
}

void fetch_onwards(struct fetch *f)
{
	if (f->asks.only_if_cached)
		fetch_refuse(f, 504);
	else
		fetch_origin(f);
}

/* --- routing --- */

/* The fetch's key: its own copy of a variant's. */
static bool take_key(struct fetch *f, const struct found *fd)
{
	f->key = f->req->key;
	return !fd->variant || fetch_rekey(f, fd->key.text);
}

/* What the rule of its route makes of the answer, while the configuration is at hand. */
static bool effects_make(struct fetch *f)
{
	const struct snapshot *s = plan_snapshot(f->f, f->req->wire.snapshot_id);

	return s != NULL &&
	       rule_effects_make(s, f->req, link_hash_seed(fetch_chan(f)), &f->effects);
}

/* r goes over to the fetch; fd's entry too, when it can be validated. */
static struct fetch *fetch_begin(struct fetcher *fr, struct request *r,
                                 const struct plan_choice *plan, struct found *fd)
{
	struct fetch *f = fetch_new(fr, plan);

	if (f == NULL)
		return NULL;
	f->req = r;
	f->coding = fd->coding;
	f->upload_left = r->has_body ? r->wire.body_len : 0;
	f->pattern = fd->pattern;
	if (!effects_make(f) || !take_key(f, fd)) {
		f->req = NULL;
		fetch_drop(f);
		return NULL;
	}
	if (fd->base_entry != NULL && may_validate(r)) {
		f->entry = fd->base_entry;
		fd->base_entry = NULL;
	} else if (fd->entry != NULL && may_validate(r)) {
		f->entry = fd->entry;
		fd->entry = NULL;
	}
	return f;
}

/* Onwards from the store: f is held by the caller. */
static void fetch_go(struct fetch *f, const struct found *fd)
{
	if (fd->pass || fd->unkeyed || !fetch_l3_ask(f))
		fetch_onwards(f);
}

/* What is shared was made for a request without credentials: with those of whoever happens to ask
 * now, the origin may make one for him alone, and it could not be stored (RFC 9111 3.5). */
static void forget_credentials(struct request *r, const struct store_entry *e)
{
	if (e == NULL || !(r->wire.flags & CHAN_REQ_AUTHORIZED) ||
	    (e->head->flags & OBJECT_AUTHORIZED))
		return;
	r->wire.flags &= (uint16_t)~CHAN_REQ_AUTHORIZED;
	r->anonymous = true;
}

/* Of what nobody waits for the answer itself is fetched: its coded forms follow when they are asked
 * for. Is it on its way already? */
static bool behind_running(struct fetcher *fr, const struct plan_choice *plan, struct found *fd)
{
	if (fd->base.len > 0)
		fd->key.text = fd->base;
	fd->coding = CODING_IDENTITY;
	return fetch_find(fr, fd->key.text, plan) != NULL ||
	       (fd->base.len > 0 && fetch_find_base(fr, fd->base, plan) != NULL);
}

/* A fetch that nobody waits for; NULL: no memory, and r is gone. */
static struct fetch *behind_begin(struct fetcher *fr, struct request *r,
                                  const struct plan_choice *plan, struct found *fd)
{
	struct fetch *f = fetch_begin(fr, r, plan, fd);

	if (f == NULL) {
		free(r);
		return NULL;
	}
	f->background = true;
	f->asks = (struct cache_request){.lookup = true, .store = true, .max_age_s = UINT32_MAX};
	if (!fd->unkeyed)
		fetch_offer(f);
	return f;
}

/* The fetch has its own hold until its end (fetch_background_end). */
static void behind_go(struct fetch *f, const struct found *fd)
{
	fetch_hold(f);
	fetch_go(f, fd);
	fetch_drop(f);
}

static void refresh_behind(struct fetcher *fr, struct request *r, const struct plan_choice *plan,
                           struct found *fd)
{
	struct fetch *f;

	forget_credentials(r, fd->entry);
	if (behind_running(fr, plan, fd)) {
		fr->counts.refresh_joined++;
		free(r);
		return;
	}
	f = behind_begin(fr, r, plan, fd);
	if (f == NULL)
		return;
	fr->counts.refreshes++;
	f->purge_seq = link_purge_next(fr->ctl->chan);
	f->born_seq = f->purge_seq;
	behind_go(f, fd);
}

static void answer_found(struct waiter *w, const struct plan_choice *plan, struct found *fd,
                         enum cache_use use)
{
	struct fetcher *fr = w->f;
	struct request *r = w->req;

	if (fd->pattern)
		pattern_store_hit(fr, r, plan);
	fr->counts.store_hits++;
	fr->counts.store_stale += use != CACHE_USE_FRESH;
	if (use == CACHE_USE_FRESH)
		fetch_warm_asked(fr, fd->base_entry != NULL ? fd->base_entry : fd->entry);
	if (use == CACHE_USE_REFRESH && may_validate(r)) {
		w->req = NULL;
		store_hold(fd->entry);
		fetch_answer(w, plan, fd->entry, CHAN_F_STORE, 0);
		refresh_behind(fr, r, plan, fd);
		return;
	}
	fetch_answer(w, plan, fd->entry, CHAN_F_STORE, 0);
	fd->entry = NULL;
}

void fetch_route(struct waiter *w, const struct plan_choice *plan, bool share)
{
	struct fetcher *fr = w->f;
	enum cache_use use = CACHE_USE_NOT;
	struct fetch *other = NULL;
	struct fetch *form = NULL;
	struct fetch *f = NULL;
	struct found fd;

	look_up(fr, w->req, plan, &fd);
	w->coding = (uint8_t)fd.coding;
	warm_note_asked(fr->ctl->warm, fd.base.len > 0 ? fd.base : fd.key.text);
	if (fd.entry != NULL)
		use = found_use(&fd, &w->asks);
	/* Who wants a stored answer only does not wait for an origin (RFC 9111 5.2.1.7). */
	share = share && !fd.pass && !fd.unkeyed && !w->asks.only_if_cached &&
	        request_may_share(w->req);
	if (use == CACHE_USE_NOT && share)
		other = fetch_find(fr, fd.key.text, plan);
	if (use == CACHE_USE_NOT && share && other == NULL && fd.base.len > 0)
		form = fetch_find_base(fr, fd.base, plan);
	if ((other != NULL || form != NULL) && !kept_begin(w)) {
		other = NULL;
		form = NULL;
	}
	if (use != CACHE_USE_NOT) {
		answer_found(w, plan, &fd, use);
	} else if (other != NULL) {
		fetch_join(other, w);
	} else if (form != NULL) {
		fetch_park(form, w);
	} else {
		f = fetch_begin(fr, w->req, plan, &fd);
		if (f == NULL)
			waiter_refuse(w, 503);
	}
	if (f != NULL) {
		struct kept_body *kept = kept_detach(w);

		w->req = NULL;
		w->leader = true;
		f->asks = w->asks;
		fetch_add(f, w);
		if (share)
			fetch_offer(f);
		fetch_go(f, &fd);
		kept_push(f, kept);
		fetch_drop(f);
	}
	found_drop(&fd);
}

/* The copies in the cores are older than what the store has: they go, and the next requests are
 * answered from here. */
static void entry_renew(struct fetcher *fr, const struct store_entry *of, uint64_t seq)
{
	struct object *head = malloc(of->head_len);
	struct store_entry *e;

	if (head == NULL)
		return;
	memcpy(head, of->head, of->head_len);
	head->born_seq = seq;
	e = store_refresh(fr->store, of, head);
	if (e != NULL) {
		chan_server_replace(fr->ctl->chan, object_key(e->head), seq);
		store_drop(e);
	}
	free(head);
}

static void refresh_fresh(struct fetcher *fr, struct found *fd)
{
	uint64_t seq = link_purge_next(fr->ctl->chan);

	if (fd->base_entry != NULL)
		entry_renew(fr, fd->base_entry, seq);
	entry_renew(fr, fd->entry, seq);
	/* A form that the store has not: what is made of the answer next is younger. */
	if ((fd->entry->head->flags & OBJECT_CODED) == 0 && fd->base.len > 0)
		chan_server_replace(fr->ctl->chan, fd->key.text, seq);
}

void fetch_refresh(struct fetcher *fr, struct request *r, const struct plan_choice *plan)
{
	struct cache_request asks = {.lookup = true, .max_age_s = UINT32_MAX};
	struct found fd;

	fr->counts.refresh_asked++;
	if (fr->store == NULL || !may_validate(r)) {
		free(r);
		return;
	}
	look_up(fr, r, plan, &fd);
	if (fd.entry != NULL && found_use(&fd, &asks) == CACHE_USE_FRESH) {
		fetch_warm_asked(fr, fd.base_entry != NULL ? fd.base_entry : fd.entry);
		refresh_fresh(fr, &fd);
		free(r);
	} else {
		refresh_behind(fr, r, plan, &fd);
	}
	found_drop(&fd);
}

/* Why it is not fetched; WARM_RESULTS: nothing speaks against it. */
static enum warm_result warm_needless(struct fetcher *fr, struct found *fd,
                                      const struct plan_choice *plan)
{
	const struct cache_request asks = {.lookup = true, .max_age_s = UINT32_MAX};

	if (fd->entry != NULL && found_use(fd, &asks) == CACHE_USE_FRESH)
		return WARM_fresh;
	if (fd->pass)
		return WARM_forbidden;
	if (fd->unkeyed)
		return WARM_vary;
	return behind_running(fr, plan, fd) ? WARM_joined : WARM_RESULTS;
}

void fetch_warm_route(struct fetcher *fr, struct request *r, const struct plan_choice *plan,
                      struct fetch_warm *w)
{
	struct fetch *f = NULL;
	struct found fd;

	look_up(fr, r, plan, &fd);
	w->result = warm_needless(fr, &fd, plan);
	if (w->result == WARM_RESULTS) {
		w->result = WARM_failed;
		f = behind_begin(fr, r, plan, &fd);
	} else {
		free(r);
	}
	if (f != NULL) {
		f->warm = w;
		w->fetch = f;
		behind_go(f, &fd);
	} else {
		w->done(w);
	}
	found_drop(&fd);
}
