/* SPDX-License-Identifier: BSD-2-Clause */
#include "store_fixture.h"

struct store *st;

struct object *head_of(struct head *h, const struct about *a)
{
	const char *fields = a->fields != NULL ? a->fields : "ETag: \"1\"\r\n";
	size_t key_len = strlen(a->key);
	size_t fields_len = strlen(fields);
	char *at = h->text;

	h->o = (struct object){
	        .hash = hash128(a->key, key_len, 1),
	        .response_ms = NOW_MS,
	        .expires_ms = a->expires_ms != 0 ? a->expires_ms : NOW_MS + 60000,
	        .body_len = UINT64_MAX,
	        .born_seq = a->born_seq,
	        .key_len = (uint32_t)key_len,
	        .fields_len = (uint32_t)fields_len,
	        .etag_off = 6,
	        .etag_len = a->etag ? 3 : 0,
	        .status = 200,
	        .flags = (uint16_t)(OBJECT_STORABLE | OBJECT_CHUNKED | a->flags),
	        .tag_count = a->tag != NULL,
	};
	memcpy(at, a->key, key_len);
	memcpy(at + key_len, fields, fields_len);
	if (a->tag != NULL) {
		uint32_t hash = inval_tag_hash(span_cstr(a->tag));

		memcpy(at + key_len + fields_len, &hash, sizeof(hash));
	}
	return &h->o;
}

struct store_entry *put_about(const struct about *a, struct span body)
{
	struct head h;

	return store_put(st, head_of(&h, a), body);
}

struct store_entry *try_list(const char *key, uint64_t id, const char *names)
{
	char fields[64];
	struct about a = {.key = key, .fields = fields, .flags = OBJECT_VARY};
	struct head h;

	snprintf(fields, sizeof(fields), "%llu %s", (unsigned long long)id, names);
	a.born_seq = store_seq(st);
	return store_put(st, head_of(&h, &a), SPAN_LIT(""));
}

struct store_counts counts(void)
{
	struct store_counts c;

	store_counts(st, &c);
	return c;
}

bool put(const char *key, struct span body)
{
	struct about a = {.key = key, .born_seq = store_seq(st)};
	struct store_entry *e = put_about(&a, body);

	if (e == NULL)
		return false;
	store_drop(e);
	return true;
}

bool has(const char *key)
{
	bool stale;
	struct store_entry *e = store_peek(st, span_cstr(key), &stale);

	if (e != NULL)
		store_drop(e);
	return e != NULL;
}

bool has_body(const char *key, const char *body)
{
	bool stale;
	struct store_entry *e = store_get(st, span_cstr(key), &stale);
	bool same = e != NULL && span_eq(span_of(e->body, e->body_len), span_cstr(body));

	if (e != NULL)
		store_drop(e);
	return same;
}

int store_setup(void **state)
{
	const struct store_config cfg = {4 * MIB, MAX_OBJECT, MAX_VARIANTS};

	(void)state;
	return store_create(&st, &cfg) == ST_OK ? 0 : -1;
}

int store_teardown(void **state)
{
	(void)state;
	store_destroy(st);
	st = NULL;
	return 0;
}

void purge(enum inval_kind kind, const char *text, bool soft)
{
	struct inval_purge p = {store_seq(st) + 1, kind, soft, span_cstr(text)};

	store_purge(st, &p);
}
