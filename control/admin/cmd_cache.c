/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache list and get: what the hot tables and the node's store hold. Records are copies of what the
 * other process wrote (admin_scan.c), and are checked before they are read. */
#include "cache/key.h"
#include "cache/object.h"
#include "control/admin/admin_cmd.h"
#include "control/cache_rows.h"
#include "control/chan_server.h"
#include "control/fetch.h"
#include "lib/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* Lists of variants and remarks that an answer is not for sharing lie among the answers. */
static const char *kind_name(const struct object *o)
{
	if (o->flags & OBJECT_VARY)
		return "variants";
	return (o->flags & OBJECT_PASS) != 0 ? "pass" : "answer";
}

json_t *admin_json_age(const struct object *o, uint64_t now_ms)
{
	if (o->flags & OBJECT_VARY)
		return json_null();
	return json_integer((json_int_t)object_age_s(o, now_ms));
}

json_t *admin_json_left(const struct object *o, uint64_t now_ms)
{
	if (o->flags & OBJECT_VARY)
		return json_null();
	return json_integer((json_int_t)(int64_t)(o->expires_ms - now_ms));
}

/* core: CORE_STORE for the node's store. */
#define CORE_STORE UINT32_MAX

static json_t *object_json(const struct object *o, uint32_t core)
{
	uint64_t now_ms = clock_wall_ns() / NS_PER_MS;

	/* A length that is not known yet, and lifetimes without an end, do not fit JSON's integers.
	 */
	json_t *body =
	        o->body_len > INT64_MAX ? json_null() : json_integer((json_int_t)o->body_len);

	json_t *where = core == CORE_STORE ? json_null() : json_integer(core);

	return json_pack("{s:s, s:o, s:o, s:i, s:o, s:o, s:o, s:b, s:s, s:i}", "tier",
	                 core == CORE_STORE ? "store" : "hot", "core", where, "key",
	                 admin_json_bytes(object_key(o)), "status", (int)o->status, "body_bytes",
	                 body, "age_s", admin_json_age(o, now_ms), "fresh_ms",
	                 admin_json_left(o, now_ms), "fresh", object_is_fresh(o, now_ms), "kind",
	                 kind_name(o), "tags", (int)o->tag_count);
}

static bool rows_take(const struct admin_scan *scan, uint32_t core, struct span bytes, json_t *rows)
{
	const struct object *o;

	(void)scan;
	while (cache_row_next(&bytes, &o))
		if (json_array_append_new(rows, object_json(o, core)) != 0)
			return false;
	return bytes.len == 0;
}

/* From the cursor on, which is the store's own. */
static void store_list(struct admin_req *req, json_t *args)
{
	struct store *store = fetcher_store(admin_req_control(req)->fetcher);
	uint64_t limit = admin_arg_uint(args, "limit", ADMIN_ROWS_MAX);
	const char *from = admin_arg_string(args, "cursor");
	uint64_t cursor = from != NULL ? strtoull(from, NULL, 10) : 0;
	const struct store_entry *e = NULL;
	json_t *rows = json_array();
	char next[24];

	if (limit == 0 || limit > ADMIN_ROWS_MAX)
		limit = ADMIN_ROWS_MAX;
	while (store != NULL && json_array_size(rows) < limit &&
	       (e = store_next(store, &cursor)) != NULL)
		json_array_append_new(rows, object_json(e->head, CORE_STORE));
	snprintf(next, sizeof(next), "%llu", (unsigned long long)cursor);
	admin_ok(req, json_pack("{s:o, s:s?}", "entries", rows, "next", e != NULL ? next : NULL));
}

void cmd_cache_list(struct admin_req *req, json_t *args)
{
	if (admin_arg_flag(args, "store")) {
		store_list(req, args);
		return;
	}
	struct admin_scan scan = {
	        .kind = CHAN_QUERY_CACHE,
	        .rows_name = "entries",
	        .take = rows_take,
	};

	admin_scan_start(req, &scan, args);
}

/* None of a list of variants: what lies in their place is the list, which is no text. */
static json_t *fields_json(const struct object *o)
{
	struct span fields = object_fields(o);
	json_t *list = json_array();

	if (o->flags & OBJECT_VARY)
		return list;

	while (fields.len > 0) {
		const char *end = memchr(fields.ptr, '\n', fields.len);
		size_t line_len = end ? (size_t)(end - fields.ptr) : fields.len;
		struct span line = span_of(fields.ptr, line_len);

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		json_array_append_new(list, admin_json_bytes(line));
		line_len += end != NULL;
		fields = span_of(fields.ptr + line_len, fields.len - line_len);
	}
	return list;
}

struct get {
	json_t *key;
	json_t *found;
	json_t *unanswered; /* cores */
};

static void get_take(void *arg, uint32_t core, enum status st, struct span bytes)
{
	struct get *get = arg;

	if (st == ST_OK && bytes.len == 0)
		return;
	if (st != ST_OK || !object_head_valid(bytes.ptr, bytes.len)) {
		json_array_append_new(get->unanswered, json_integer(core));
		return;
	}
	const struct object *o = (const void *)bytes.ptr;
	json_t *row = object_json(o, core);

	json_object_set_new(row, "etag", admin_json_bytes(object_etag(o)));
	json_object_set_new(row, "fields", fields_json(o));
	json_array_append_new(get->found, row);
}

static void get_store(struct control *ctl, struct get *get)
{
	struct store *store = fetcher_store(ctl->fetcher);
	struct store_entry *e;
	bool stale;

	if (store == NULL)
		return;
	e = store_peek(store, span_of(json_string_value(get->key), json_string_length(get->key)),
	               &stale);
	if (e == NULL)
		return;
	json_t *row = object_json(e->head, CORE_STORE);

	if (stale)
		json_object_set_new(row, "fresh", json_false());
	json_object_set_new(row, "etag", admin_json_bytes(object_etag(e->head)));
	json_object_set_new(row, "fields", fields_json(e->head));
	json_array_append_new(get->found, row);
	store_drop(e);
}

static void get_finish(struct admin_req *req, void *arg)
{
	struct get *get = arg;

	if (admin_req_control(req) != NULL)
		get_store(admin_req_control(req), get);
	if (json_array_size(get->found) > 0)
		admin_ok(req, json_pack("{s:O, s:O, s:O}", "key", get->key, "entries", get->found,
		                        "unanswered", get->unanswered));
	else if (json_array_size(get->unanswered) > 0)
		admin_fail(req, "Try again, and see `sluicectl status`",
		           "%zu cores did not answer, and no other has \"%s\"",
		           json_array_size(get->unanswered), json_string_value(get->key));
	else
		admin_fail(req, "`sluicectl cache list` shows the keys: host/path?query",
		           "No core has \"%s\", nor the store", json_string_value(get->key));
	json_decref(get->key);
	json_decref(get->found);
	json_decref(get->unanswered);
	free(get);
}

void cmd_cache_get(struct admin_req *req, json_t *args)
{
	struct control *ctl = admin_req_control(req);

	if (!chan_server_attached(ctl->chan)) {
		admin_fail_detached(req);
		return;
	}
	if (json_string_length(json_object_get(args, "key")) > CACHE_KEY_MAX) {
		admin_fail(req, NULL, "No key is longer than %u bytes", CACHE_KEY_MAX);
		return;
	}
	struct get *get = malloc(sizeof(*get));

	if (!get) {
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	get->key = json_incref(json_object_get(args, "key"));
	get->found = json_array();
	get->unanswered = json_array();
	struct admin_gather gather = {
	        .kind = CHAN_QUERY_CACHE_GET,
	        .key = span_of(json_string_value(get->key), json_string_length(get->key)),
	        .take = get_take,
	        .finish = get_finish,
	        .arg = get,
	};

	admin_gather_start(req, &gather);
}
