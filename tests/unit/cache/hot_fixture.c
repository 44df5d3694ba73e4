/* SPDX-License-Identifier: BSD-2-Clause */
#include "hot_fixture.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture fx;

void setup(size_t memory_bytes, uint32_t max_object_bytes)
{
	struct hot_config cfg = {.memory_bytes = memory_bytes,
	                         .max_object_bytes = max_object_bytes};

	memset(&fx, 0, sizeof(fx));
	assert_int_equal(hot_create(&fx.t, &cfg, &fx.ctr), ST_OK);
}

void teardown(void)
{
	hot_table_check(fx.t);
	hot_destroy(fx.t);
	assert_int_equal(counter_read(&fx.ctr, CTR_cache_objects), 0);
}

struct cache_key key_of(const char *text)
{
	struct cache_key key = {.text = span_cstr(text)};

	key.hash = hash128(text, key.text.len, 5);
	return key;
}

void head_make(struct head *h, const struct cache_key *key, uint64_t body_len)
{
	memset(h, 0, sizeof(*h));
	h->o = (struct object){.hash = key->hash,
	                       .response_ms = 1000,
	                       .expires_ms = NO_LIMIT,
	                       .body_len = body_len,
	                       .key_len = (uint32_t)key->text.len,
	                       .status = 200,
	                       .flags = body_len == UINT64_MAX ? OBJECT_CHUNKED : 0};
	memcpy(h->key, key->text.ptr, min_size(key->text.len, sizeof(h->key)));
}

enum status fill_begin(struct hot_fill *f, const struct cache_key *key, uint64_t capacity)
{
	struct head h;

	head_make(&h, key, capacity);
	h.o.born_seq = hot_purge_seq(fx.t);
	return hot_fill_begin(fx.t, f, &h.o, capacity);
}

uint32_t purge(enum inval_kind kind, bool soft, const char *text)
{
	struct inval_purge p = {.seq = hot_purge_seq(fx.t) + 1,
	                        .kind = kind,
	                        .soft = soft,
	                        .text = span_cstr(text)};

	return hot_purge(fx.t, &p, key_of(text).hash);
}

uint32_t purge_and_count(enum inval_kind kind, bool soft, const char *text)
{
	uint64_t seq = hot_purge_seq(fx.t) + 1;
	uint32_t hits;

	assert_true(hot_tally_begin(fx.t, seq));
	purge(kind, soft, text);
	while (!hot_tally_end(fx.t, seq, &hits))
		assert_true(hot_sweep(fx.t, 64));
	return hits;
}

const struct object *kept(const struct object *o)
{
	static struct object ring[64];
	static uint32_t next;

	if (o == NULL)
		return NULL;
	ring[next % ARRAY_LEN(ring)] = *o;
	return &ring[next++ % ARRAY_LEN(ring)];
}

uint32_t unit_of(const struct object *o)
{
	return hot_unit_of(fx.t, hot_entry_of(o));
}

bool same_place(const struct object *a, const struct object *b)
{
	return a != NULL && b != NULL && object_key(a).ptr == object_key(b).ptr;
}

static const struct object *put_one(const struct cache_key *key, const char *body)
{
	struct hot_fill f = {0};

	assert_int_equal(fill_begin(&f, key, strlen(body)), ST_OK);
	assert_int_equal(hot_fill_append(fx.t, &f, span_cstr(body)), ST_OK);
	return hot_fill_commit(fx.t, &f);
}

const struct object *put_key(const struct cache_key *key, const char *body)
{
	return kept(put_one(key, body));
}

const struct object *put(const char *text, const char *body)
{
	struct cache_key key = key_of(text);

	return put_key(&key, body);
}

const struct object *get(const char *text)
{
	struct cache_key key = key_of(text);

	return kept(hot_get(fx.t, &key));
}

bool holds(const struct object *o, const char *body)
{
	return o != NULL && span_eq(object_body(o), span_cstr(body));
}

void put_many(const char *prefix, uint32_t n, size_t bytes)
{
	char *body = malloc(bytes + 1);
	char text[64];

	memset(body, 'x', bytes);
	body[bytes] = 0;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%s/%u", prefix, i);
		struct cache_key key = key_of(text);
		assert_non_null(put_one(&key, body));
	}
	free(body);
}
