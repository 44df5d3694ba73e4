/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/response.h"

#include "control/response_private.h"
#include "lib/clock.h"

/* Hop-by-hop (RFC 9110 7.6.1), what the core writes anew on each response, and what was for this
 * cache alone: whoever is behind it would take the lifetime or the tags for its own. */
bool response_field_drops(const struct http_fields *fs, const struct http_field *f)
{
	/* RFC 9111 3.1: of the proxy that the origin spoke to. */
	const struct span proxy_info = SPAN_LIT("Proxy-Authentication-Info");

	return http_field_is_hop(fs, f) || f->id == HDR_AGE || f->id == HDR_SLUICE_CACHE_CONTROL ||
	       f->id == HDR_SURROGATE_KEY || f->id == HDR_SLUICE_READ_SET ||
	       (f->id == HDR_OTHER && span_eq_nocase(f->name, proxy_info));
}

void response_put_field(struct writer *w, const struct http_field *f, struct object *o)
{
	uint32_t off = put_line(w, f->name, f->value);

	if (f->id == HDR_ETAG && f->value.len < OBJECT_IN_LINES) {
		o->etag_off = off;
		o->etag_len = (uint16_t)f->value.len;
	} else if (f->id == HDR_LAST_MODIFIED && f->value.len < OBJECT_IN_LINES) {
		o->last_modified_off = off;
		o->last_modified_len = (uint16_t)f->value.len;
	}
}

void response_put_date(struct writer *w, uint64_t wall_ms)
{
	char date[HTTP_DATE_LEN];

	clock_http_date(wall_ms / 1000, date);
	put_line(w, SPAN_LIT("Date"), span_of(date, sizeof(date)));
}

static bool vary_names_coding(const struct http_fields *fs)
{
	char buf[VARY_NAMES_MAX];
	struct span names;
	struct span rest;

	switch (vary_of(fs, buf, &names)) {
	case VARY_NONE:
		return false;
	case VARY_ANY: /* says all there is to say */
		return true;
	case VARY_LIST:
		break;
	}
	for (rest = names; rest.len > 0;) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		size_t len = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;

		if (span_eq(span_of(rest.ptr, len), SPAN_LIT("accept-encoding")))
			return true;
		len = min_size(len + 1, rest.len);
		rest = span_of(rest.ptr + len, rest.len - len);
	}
	return false;
}

void response_put_vary(struct writer *w, const struct http_fields *fs)
{
	if (!vary_names_coding(fs))
		put_line(w, SPAN_LIT("Vary"), SPAN_LIT("Accept-Encoding"));
}

/* What says something of the change, not of the resource. */
static bool field_of_change(const struct http_field *f)
{
	return f->id == HDR_LOCATION || span_eq_nocase(f->name, SPAN_LIT("Preference-Applied")) ||
	       span_eq_nocase(f->name, SPAN_LIT("Cache-Group-Invalidation"));
}

static void put_fields(struct writer *w, const struct response_in *in, struct object *o)
{
	const struct http_fields *fs = &in->head->fields;
	bool dated = false;

	for (uint32_t i = 0; i < fs->count; i++) {
		const struct http_field *f = &fs->f[i];

		if (response_field_drops(fs, f) || (in->stored && cache_field_excluded(fs, f)) ||
		    (in->written && field_of_change(f)))
			continue;
		response_put_field(w, f, o);
		dated |= f->id == HDR_DATE;
	}
	if (!dated)
		response_put_date(w, in->response_wall_ms);
	if (in->coding_varies)
		response_put_vary(w, fs);
	put(w, in->head->minor == 0 ? SPAN_LIT("Via: 1.0 ") : SPAN_LIT("Via: 1.1 "));
	put(w, span_cstr(in->node));
	put(w, SPAN_LIT("\r\n"));
}

/* The length that the core states: also for HEAD, when the origin stated it (RFC 9110 8.6). */
static void body_length(const struct response_in *in, struct object *o)
{
	const struct http_fields *fs = &in->head->fields;
	uint32_t count = 0;
	int64_t len;

	o->body_len = UINT64_MAX;
	switch (in->framing.kind) {
	case HTTP_BODY_LENGTH:
		o->body_len = (uint64_t)in->framing.length;
		break;
	case HTTP_BODY_NONE:
		o->flags |= OBJECT_NO_BODY;
		struct span v = http_field_get(fs, HDR_CONTENT_LENGTH, &count);
		if (in->request->method == HTTP_HEAD && count == 1 && http_parse_length(v, &len))
			o->body_len = (uint64_t)len;
		break;
	default:
		o->flags |= OBJECT_CHUNKED;
	}
}

void response_freshness(struct object *o, const struct cache_response *policy, uint64_t wall_ms)
{
	o->response_ms = wall_ms;
	o->initial_age_s = policy->initial_age_s;
	o->expires_ms = cache_expires_ms(policy, wall_ms);
	o->stale_while_s = policy->stale_while_s;
	o->stale_error_s = policy->stale_error_s;
	o->flags |= policy->flags;
}

/* Any number that differs from answer to answer will do for the jitter. */
uint32_t response_random(struct span key, uint64_t wall_ms)
{
	return (uint32_t)(hash64(key.ptr, key.len, wall_ms) >> 32);
}

/* lets: nothing but the answer itself speaks against storing it. */
static void judge(const struct response_in *in, bool lets, struct object *o,
                  struct response_out *out)
{
	const struct chan_request *wire = &in->request->wire;
	struct cache_response_in pin = {
	        .method = in->written ? HTTP_GET : in->request->method,
	        .status = o->status,
	        .authorized =
	                in->written ? in->authorized : (wire->flags & CHAN_REQ_AUTHORIZED) != 0,
	        .variant = in->key != NULL && !in->written,
	        .fields = &in->head->fields,
	        .rule = in->rule,
	        .former_ms = in->former_ms,
	        .random = response_random(in->request->key, in->response_wall_ms),
	        .request_wall_ms = in->request_wall_ms,
	        .response_wall_ms = in->response_wall_ms,
	};
	struct cache_response policy;

	lets = lets && (in->written || ((wire->flags & CHAN_REQ_STORE) &&
	                                in->request->key.len > 0 && !in->request->conditional));
	cache_response_policy(&pin, &policy);
	out->partial = policy.partial && policy.storable && lets && !in->stored;
	out->storable = policy.storable && lets && !out->partial;
	out->shared = policy.shared && out->storable;
	out->pass = policy.pass && lets;
	response_freshness(o, &policy, in->response_wall_ms);
	if (!out->storable)
		o->flags &= (uint16_t)~OBJECT_STORABLE;
}

enum status response_object(const struct response_in *in, void *buf, uint32_t cap,
                            struct response_out *out)
{
	struct span key = in->key != NULL ? in->key->text : in->request->key;
	struct object o = {
	        .hash = {in->request->wire.key_lo, in->request->wire.key_hi},
	        .key_len = (uint32_t)key.len,
	        .born_seq = in->born_seq,
	        .status = (uint16_t)(in->written ? 200 : in->head->status),
	};
	size_t fixed = sizeof(o) + o.key_len;
	struct response_tags tags;
	struct writer w;

	if (fixed > cap)
		return ST_TOOBIG;
	if (in->key != NULL)
		o.hash = in->key->hash;
	*out = (struct response_out){0};
	writer_init(&w, (char *)buf + fixed, cap - fixed);
	out->vary = vary_of(&in->head->fields, out->vary_buf, &out->vary_names);
	body_length(in, &o);
	response_tags_read(in, NULL, &tags);
	judge(in, !tags.lost, &o, out);
	put_fields(&w, in, &o);
	o.fields_len = (uint32_t)(w.at - w.begin);
	response_tags_put(&w, &tags, &o);
	if (w.full)
		return ST_TOOBIG;
	memcpy(buf, &o, sizeof(o));
	if (o.key_len > 0)
		memcpy((char *)buf + sizeof(o), key.ptr, o.key_len);
	out->len = (uint32_t)object_head_bytes(&o);
	out->no_body = (o.flags & OBJECT_NO_BODY) != 0;
	out->body_len = o.body_len;
	return ST_OK;
}

uint32_t response_interim(const struct http_response_head *h, void *buf, uint32_t cap)
{
	struct object o = {.status = (uint16_t)h->status};
	struct writer w;

	if (cap < sizeof(o))
		return 0;
	writer_init(&w, (char *)buf + sizeof(o), cap - sizeof(o));
	for (uint32_t i = 0; i < h->fields.count; i++)
		if (!response_field_drops(&h->fields, &h->fields.f[i]))
			put_line(&w, h->fields.f[i].name, h->fields.f[i].value);
	if (w.full)
		return 0;
	o.fields_len = (uint32_t)(w.at - w.begin);
	memcpy(buf, &o, sizeof(o));
	return (uint32_t)object_head_bytes(&o);
}
