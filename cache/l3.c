/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The front of the shared store: makes and checks values, knows which are void by a purge, and
 * leaves keys and bytes to the backend. */
#include "cache/l3.h"

#include "cache/key.h"
#include "cache/l3_backend.h"
#include "cache/l3_purge.h"
#include "cache/l3_value.h"
#include "lib/clock.h"
#include "lib/log.h"

#include <stdlib.h>

#define PREFIX_MAX 256u

struct l3 {
	const struct l3_backend *backend; /* NULL: "none" */
	void *b;
	struct l3_config cfg;
	struct l3_env env;
	struct l3_counts counts;
	struct l3_purges *purges;
	l3_purge_fn purge_fn;
	void *purge_arg;
	char prefix[PREFIX_MAX + 1];
	char key[PREFIX_MAX + CACHE_KEY_MAX]; /* prefix, then the text of the call */
	char *user;
	char *password;
	size_t prefix_len;
	bool closing;
	bool ready; /* the purges that were kept at the start are known */
};

struct l3_wait {
	struct l3 *l;
	l3_get_fn fn; /* NULL: nobody waits any more */
	void *arg;
	uint32_t key_len;
	char key[];
};

static const struct l3_backend *const backends[] = {&l3_backend_memory, &l3_backend_redis};

static uint64_t wall_ms(void)
{
	return clock_wall_ns() / NS_PER_MS;
}

/* --- life --- */

static enum status backend_find(const char *name, const struct l3_backend **out)
{
	*out = NULL;
	if (strcmp(name, "none") == 0)
		return ST_OK;
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		if (strcmp(name, backends[i]->name) == 0) {
			*out = backends[i];
			return ST_OK;
		}
	}
	log_error("l3", "there is no backend '%s'; it is redis, memory or none", name);
	return ST_INVALID;
}

static void purge_tell(struct l3 *l, const struct l3_purge *p, bool lost)
{
	if (l->purge_fn != NULL)
		l->purge_fn(l->purge_arg, p, lost);
}

static void purge_lost(void *owner)
{
	struct l3 *l = owner;

	l->counts.purges_lost++;
	l3_purges_floor(l->purges, wall_ms());
	purge_tell(l, NULL, true);
}

static void purge_record(void *owner, struct span record, uint64_t at_ms)
{
	struct l3 *l = owner;
	struct l3_purge p;

	switch (l3_purges_read(l->purges, record, &p)) {
	case ST_OK:
		break;
	case ST_EXISTS: /* our own */
		return;
	default:
		l->counts.corrupt++;
		return;
	}
	/* Who could not write for a while wrote late: then it counts from there. */
	if (!l->ready)
		p.before_ms = max_u64(p.wall_ms, at_ms) + L3_SETTLE_MS;
	l->counts.purges_seen++;
	l3_purges_add(l->purges, &p, wall_ms());
	purge_tell(l, &p, false);
}

static void purge_floor(void *owner, uint64_t floor_ms)
{
	struct l3 *l = owner;
	struct l3_purge all = {
	        .kind = INVAL_ALL, .wall_ms = floor_ms, .before_ms = floor_ms + L3_SETTLE_MS};

	l3_purges_floor(l->purges, floor_ms);
	purge_tell(l, &all, false);
}

static void purge_ready(void *owner)
{
	struct l3 *l = owner;

	l->ready = true;
}

static enum status secrets_copy(struct l3 *l)
{
	if (l->cfg.user != NULL)
		l->cfg.user = l->user = strdup(l->cfg.user);
	if (l->cfg.password != NULL) {
		l->cfg.password = l->password = strdup(l->cfg.password);
		return l->password != NULL ? ST_OK : ST_NOMEM;
	}
	return ST_OK;
}

static void secrets_free(struct l3 *l)
{
	free(l->user);
	if (l->password != NULL)
		explicit_bzero(l->password, strlen(l->password));
	free(l->password);
}

enum status l3_create(struct l3 **out, struct loop *loop, const struct l3_config *cfg)
{
	const struct l3_backend *backend;
	enum status st = backend_find(cfg->backend, &backend);
	struct l3 *l;

	if (st != ST_OK)
		return st;
	if (strlen(cfg->prefix) > PREFIX_MAX)
		return ST_INVALID;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return ST_NOMEM;
	l->cfg = *cfg;
	st = secrets_copy(l);
	l->prefix_len = strlen(cfg->prefix);
	memcpy(l->key, cfg->prefix, l->prefix_len);
	l->cfg.prefix = l->prefix;
	memcpy(l->prefix, cfg->prefix, l->prefix_len + 1);
	l->env = (struct l3_env){
	        .loop = loop,
	        .cfg = &l->cfg,
	        .counts = &l->counts,
	        .owner = l,
	        .purge_record = purge_record,
	        .purge_lost = purge_lost,
	        .purge_floor = purge_floor,
	        .purge_ready = purge_ready,
	};
	l->backend = backend;
	if (backend != NULL && st == ST_OK) {
		st = l3_purges_create(&l->purges);
		if (st == ST_OK)
			st = backend->create(&l->b, &l->env);
	}
	if (st != ST_OK) {
		l3_purges_destroy(l->purges);
		secrets_free(l);
		free(l);
		return st;
	}
	*out = l;
	return ST_OK;
}

void l3_destroy(struct l3 *l)
{
	if (l == NULL)
		return;
	l->purge_fn = NULL;
	l->closing = true;
	if (l->backend != NULL)
		l->backend->destroy(l->b);
	l3_purges_destroy(l->purges);
	secrets_free(l);
	free(l);
}

bool l3_enabled(const struct l3 *l)
{
	return l->backend != NULL;
}

const char *l3_backend_name(const struct l3 *l)
{
	return l->backend != NULL ? l->backend->name : "none";
}

/* Valid until the next call. */
static struct span full_key(struct l3 *l, struct span text)
{
	memcpy(l->key + l->prefix_len, text.ptr, text.len);
	return span_of(l->key, l->prefix_len + text.len);
}

/* --- reading --- */

static enum status value_take(struct l3 *l, const struct l3_wait *w, struct span bytes,
                              struct l3_value *v)
{
	uint64_t now_ms = wall_ms();
	enum status st = l3_value_decode(bytes, l->cfg.max_object_bytes, v);

	if (st != ST_OK) {
		l->counts.corrupt++;
		return ST_INVALID;
	}
	if (!span_eq(object_key(v->head), span_of(w->key, w->key_len))) {
		l->counts.corrupt++;
	} else if (v->asked_ms > now_ms + L3_SKEW_MS ||
	           v->head->response_ms > now_ms + L3_SKEW_MS ||
	           l3_purges_void(l->purges, v->head, v->asked_ms)) {
		l->counts.stale++;
	} else {
		l->counts.hits++;
		return ST_OK;
	}
	l3_value_free(v);
	*v = (struct l3_value){0};
	return ST_INVALID;
}

void l3_answer(struct l3_wait *w, enum status st, struct span value)
{
	struct l3 *l = w->l;
	struct l3_value v = {0};

	if (st == ST_NOTFOUND)
		l->counts.misses++;
	if (st == ST_OK && w->fn != NULL)
		st = value_take(l, w, value, &v);
	if (w->fn != NULL)
		w->fn(w->arg, st, v.head, v.body);
	l3_value_free(&v);
	free(w);
}

void l3_cancel(struct l3_wait *w)
{
	w->fn = NULL;
}

static enum status get_one(struct l3 *l, struct l3_ask *ask)
{
	struct l3_wait *w;
	enum status st;

	if (l->backend == NULL)
		return ST_NOTFOUND;
	if (l->closing)
		return ST_CLOSED;
	if (ask->key.len > CACHE_KEY_MAX)
		return ST_TOOBIG;
	if (l->purge_fn != NULL && !l->ready) {
		l->counts.refused++;
		return ST_CLOSED;
	}
	w = malloc(sizeof(*w) + ask->key.len);
	if (w == NULL)
		return ST_NOMEM;
	w->l = l;
	w->fn = ask->fn;
	w->arg = ask->arg;
	w->key_len = (uint32_t)ask->key.len;
	memcpy(w->key, ask->key.ptr, ask->key.len);
	st = l->backend->get(l->b, full_key(l, ask->key), w);
	if (st != ST_OK) {
		l->counts.refused++;
		free(w);
		return st;
	}
	l->counts.gets++;
	ask->wait = w;
	return ST_OK;
}

uint32_t l3_get(struct l3 *l, struct l3_ask *asks, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		asks[i].wait = NULL;
		asks[i].st = get_one(l, &asks[i]);
		n += asks[i].st == ST_OK;
	}
	return n;
}

/* --- writing --- */

static void put_one(struct l3 *l, const struct l3_item *item)
{
	size_t value_len;
	char *value;
	enum status st;

	if (object_head_bytes(item->head) + item->body.len > l->cfg.max_object_bytes) {
		l->counts.too_big++;
		return;
	}
	if (l3_purges_void(l->purges, item->head, item->asked_ms)) {
		l->counts.stale++;
		return;
	}
	st = l3_value_encode(item, l->cfg.compress_bytes, &value, &value_len);
	if (st != ST_OK) {
		l->counts.errors++;
		return;
	}
	st = l->backend->put(l->b, full_key(l, object_key(item->head)), span_of(value, value_len),
	                     item->keep_ms);
	free(value);
	if (st == ST_OK)
		l->counts.puts++;
	else
		l->counts.refused++;
}

void l3_put(struct l3 *l, const struct l3_item *items, uint32_t count)
{
	for (uint32_t i = 0; i < count && l->backend != NULL && !l->closing; i++)
		if (items[i].keep_ms > 0)
			put_one(l, &items[i]);
}

void l3_delete(struct l3 *l, struct span key_text)
{
	if (l->backend == NULL || l->closing || key_text.len > CACHE_KEY_MAX)
		return;
	if (l->backend->del(l->b, full_key(l, key_text)) != ST_OK)
		l->counts.refused++;
}

/* --- purges --- */

void l3_watch_purges(struct l3 *l, l3_purge_fn fn, void *arg)
{
	l->purge_fn = fn;
	l->purge_arg = arg;
	if (l->backend != NULL)
		l->backend->watch(l->b);
}

void l3_publish_purge(struct l3 *l, const struct l3_purge *p)
{
	char record[L3_PURGE_RECORD_MAX];
	char all[L3_PURGE_RECORD_MAX];
	struct l3_purge everything = {.kind = INVAL_ALL, .wall_ms = p->wall_ms};
	size_t len;

	if (l->backend == NULL || l->closing || p->text.len > INVAL_TEXT_MAX)
		return;
	l3_purges_add(l->purges, p, wall_ms());
	len = l3_purges_write(l->purges, p, record);
	l->backend->publish(l->b, span_of(record, len),
	                    span_of(all, l3_purges_write(l->purges, &everything, all)));
	if (p->kind == INVAL_KEY)
		l3_delete(l, p->text);
}

void l3_counts(const struct l3 *l, struct l3_counts *out)
{
	*out = l->counts;
	out->ready = l->ready;
	if (l->backend != NULL)
		l->backend->state(l->b, out);
}
