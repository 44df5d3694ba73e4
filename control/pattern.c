/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys of shared answers, and which rules are off. */
#include "control/pattern.h"

#include "control/fetch_internal.h"
#include "control/pattern_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* --- states of rules --- */

struct pattern_rule *patterns_rule(struct patterns *p, struct span name)
{
	struct pattern_rule *r;

	for (r = p->rules; r != NULL; r = r->next)
		if (span_eq(span_cstr(r->name), name))
			return r;
	if (name.len > RULE_NAME_MAX)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	memcpy(r->name, name.ptr, name.len);
	r->state.why = "";
	r->next = p->rules;
	p->rules = r;
	return r;
}

static struct pattern_rule *rule_of(struct fetcher *f, const struct pattern_key *k)
{
	return patterns_rule(f->patterns,
	                     snapshot_text(k->snap, k->rule->name.off, k->rule->name.len));
}

enum status patterns_create(struct fetcher *f, struct patterns **out)
{
	struct patterns *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return ST_NOMEM;
	p->f = f;
	*out = p;
	return ST_OK;
}

static void fills_forget(struct patterns *p)
{
	for (uint32_t i = 0; i < PATTERN_FILLS; i++) {
		free(p->fills[i].request);
		p->fills[i] = (struct pattern_fill){.request = NULL};
	}
}

void patterns_destroy(struct patterns *p)
{
	struct pattern_rule *next;

	if (p == NULL)
		return;
	patterns_detached(p);
	fills_forget(p);
	for (struct pattern_rule *r = p->rules; r != NULL; r = next) {
		next = r->next;
		free(r);
	}
	free(p);
}

void patterns_reset(struct patterns *p)
{
	/* Their routes are numbered otherwise now, and what a check finds is of the former rules.
	 */
	patterns_detached(p);
	fills_forget(p);
	for (struct pattern_rule *r = p->rules; r != NULL; r = r->next) {
		r->state.off = false;
		r->state.why = "";
		r->unsettled = 0;
	}
}

void pattern_state(const struct fetcher *f, const char *rule, struct pattern_state *out)
{
	*out = (struct pattern_state){.why = ""};
	for (const struct pattern_rule *r = f->patterns->rules; r != NULL; r = r->next)
		if (strcmp(r->name, rule) == 0)
			*out = r->state;
}

void pattern_switch(struct fetcher *f, const char *rule, bool off, const char *why)
{
	struct pattern_rule *r = patterns_rule(f->patterns, span_cstr(rule));
	char tag[RULE_NAME_MAX + 32];
	int len = snprintf(tag, sizeof(tag), "key:" RULE_PATTERN_PREFIX "%s", rule);
	struct purge_order order = {.kind = INVAL_TAG, .text = span_of(tag, (size_t)len)};

	if (r == NULL)
		return;
	r->state.off = off;
	r->state.why = off ? why : "";
	r->unsettled = 0;
	/* Before anything else that a core hears; in place of a word to the cores. */
	chan_server_purge(f->ctl->chan, &order, NULL, NULL);
}

/* --- keys --- */

/* The route that the core names; most have no pattern, and are not looked up anew. */
static bool route_is_pattern(const struct snapshot *s, const struct request *r)
{
	const struct snap_route *routes =
	        (const struct snap_route *)(const void *)((const char *)s + s->routes_off);
	const struct snap_rule *rule =
	        r->wire.route < s->route_count ? key_rule(s, &routes[r->wire.route]) : NULL;

	return rule != NULL && (rule->flags & RULE_PATTERN);
}

/* The rule of r's route and the front of its keys. */
static bool key_begin(struct fetcher *f, const struct request *r, struct pattern_key *out)
{
	struct pattern_rule *state;

	if (f->store == NULL || r->key.len == 0 || r->has_body ||
	    (r->method != HTTP_GET && r->method != HTTP_HEAD))
		return false;
	out->snap = plan_snapshot(f, r->wire.snapshot_id);
	if (out->snap == NULL || !route_is_pattern(out->snap, r))
		return false;
	request_input_make(r, r->target, link_hash_seed(f->ctl->chan), &out->made);
	out->rule = request_input_route(out->snap, r, r->method, &out->made);
	if (out->rule == NULL || !(out->rule->flags & RULE_PATTERN))
		return false;
	state = rule_of(f, out);
	return state != NULL && !state->state.off &&
	       read_set_front(out->snap, &out->made.in, out->front_text, &out->front) == KEY_OK;
}

static bool key_end(struct pattern_key *k)
{
	return read_set_key(k->snap, &k->made.in, k->front.text,
	                    span_of(k->names.text, k->names.len), k->text, &k->key) == KEY_OK;
}

/* The list's names go to those that are there; false: there is no list, or no room. */
static bool list_add(struct fetcher *f, struct span front, bool mark, struct read_names *names)
{
	bool stale, ok;
	struct store_entry *e =
	        mark ? store_get(f->store, front, &stale) : store_peek(f->store, front, &stale);
	struct span rest, name;

	if (e == NULL)
		return false;
	ok = read_list_read(e->head, &rest);
	while (ok && read_names_next(&rest, &name))
		ok = read_names_add(names, name);
	store_drop(e);
	return ok;
}

bool pattern_find(struct fetcher *f, const struct request *r, struct pattern_key *out)
{
	out->names.len = 0;
	out->names.count = 0;
	return key_begin(f, r, out) && list_add(f, out->front.text, true, &out->names) &&
	       key_end(out);
}

static bool has_list(struct fetcher *f, struct span front)
{
	bool stale;
	struct store_entry *e = store_peek(f->store, front, &stale);

	if (e != NULL)
		store_drop(e);
	return e != NULL;
}

bool pattern_place(struct fetcher *f, const struct request *r, const struct http_fields *response,
                   struct pattern_key *out)
{
	if (r->method != HTTP_GET || r->conditional || request_bytes_used(r) > PATTERN_FILL_BYTES ||
	    !key_begin(f, r, out) || !read_set_of(out->snap, &out->made.in, response, &out->names))
		return false;
	/* A list only grows. */
	return (!has_list(f, out->front.text) ||
	        list_add(f, out->front.text, false, &out->names)) &&
	       key_end(out);
}

static struct pattern_fill *fill_slot(struct patterns *p, struct hash128 hash)
{
	return &p->fills[hash.lo % PATTERN_FILLS];
}

struct request *patterns_filler(struct patterns *p, const struct cache_key *key)
{
	struct pattern_fill *slot = fill_slot(p, key->hash);

	if (slot->request == NULL || !hash128_eq(slot->hash, key->hash))
		return NULL;
	return request_copy(slot->request);
}

/* What lies under the former list is found by nobody here, but by cores that still have it. */
static void list_outgrown(struct fetcher *f, struct span front)
{
	char tag[READ_SET_FRONT_MAX + 16];
	int len = snprintf(tag, sizeof(tag), RULE_EFFECT_FRONT "%.*s", (int)front.len, front.ptr);
	struct purge_order order = {.kind = INVAL_TAG, .text = span_of(tag, (size_t)len)};

	f->counts.lists++;
	chan_server_purge(f->ctl->chan, &order, NULL, NULL);
}

/* The list that is stored, when it says the same, else a new one. */
static bool list_put(struct fetcher *f, const struct pattern_key *k, uint64_t born_seq,
                     struct span *list)
{
	struct span have, want = span_of(k->names.text, k->names.len);
	struct object *o = (struct object *)(void *)list->ptr;
	struct store_entry *e;
	bool stale, grown = false;
	size_t len = read_list_write(o, list->len, &k->front, want);

	if (len == 0)
		return false;
	list->len = len;
	o->born_seq = born_seq;
	e = store_peek(f->store, k->front.text, &stale);
	if (e != NULL) {
		bool same = read_list_read(e->head, &have) && span_eq(have, want);

		store_drop(e);
		if (same)
			return true;
		grown = true;
	}
	e = store_put(f->store, o, span_of(NULL, 0));
	if (e == NULL)
		return false; /* purged meanwhile */
	store_drop(e);
	if (grown)
		list_outgrown(f, k->front.text);
	return true;
}

bool pattern_put(struct fetcher *f, const struct request *r, const struct pattern_key *k,
                 uint64_t born_seq, struct span *list)
{
	struct pattern_fill *slot = fill_slot(f->patterns, k->key.hash);
	struct request *copy = request_copy(r);

	if (copy == NULL || !list_put(f, k, born_seq, list)) {
		free(copy);
		return false;
	}
	free(slot->request);
	slot->request = copy;
	slot->hash = k->key.hash;
	return true;
}

/* --- hits of the store --- */

void pattern_store_hit(struct fetcher *f, const struct request *r, const struct plan_choice *plan)
{
	struct pattern_key *k = malloc(sizeof(*k));
	struct pattern_rule *state = NULL;
	struct request *copy = NULL;

	if (k != NULL && key_begin(f, r, k))
		state = rule_of(f, k);
	if (state == NULL) {
		free(k);
		return;
	}
	state->state.store_hits++;
	/* Asked with these, the origin would say something else than what is stored. */
	if (r->method != HTTP_GET || r->conditional) {
		free(k);
		return;
	}
	if (state->check_in == 0)
		state->check_in = 1 + (uint32_t)(hash64(&state->state.store_hits, 8, f->key_seed) %
		                                 (2ull * k->rule->check_one_in - 1));
	if (--state->check_in == 0)
		copy = request_copy(r);
	free(k);
	if (copy != NULL)
		pattern_check(f, copy, plan);
}
