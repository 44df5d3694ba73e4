/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/response.h"

#include "lib/clock.h"

struct writer {
	char *begin;
	char *at;
	char *end;
	bool full;
};

static void put(struct writer *w, struct span s)
{
	if (s.len > (size_t)(w->end - w->at)) {
		w->full = true;
		return;
	}
	if (s.len > 0)
		memcpy(w->at, s.ptr, s.len);
	w->at += s.len;
}

/* Returns where the value begins, in the field lines. */
static uint32_t put_line(struct writer *w, struct span name, struct span value)
{
	uint32_t off;

	put(w, name);
	put(w, SPAN_LIT(": "));
	off = (uint32_t)(w->at - w->begin);
	put(w, value);
	put(w, SPAN_LIT("\r\n"));
	return off;
}

/* Hop-by-hop (RFC 9110 7.6.1), and what the core writes anew on each response. */
static bool field_drops(const struct http_fields *fs, const struct http_field *f)
{
	return http_field_is_hop(fs, f) || f->id == HDR_AGE;
}

static void put_fields(struct writer *w, const struct response_in *in, struct object *o)
{
	const struct http_fields *fs = &in->head->fields;
	bool dated = false;

	for (uint32_t i = 0; i < fs->count; i++) {
		const struct http_field *f = &fs->f[i];

		if (field_drops(fs, f))
			continue;
		uint32_t off = put_line(w, f->name, f->value);
		dated |= f->id == HDR_DATE;
		if (f->id == HDR_ETAG && f->value.len <= UINT16_MAX) {
			o->etag_off = off;
			o->etag_len = (uint16_t)f->value.len;
		} else if (f->id == HDR_LAST_MODIFIED && f->value.len <= UINT16_MAX) {
			o->last_modified_off = off;
			o->last_modified_len = (uint16_t)f->value.len;
		}
	}
	if (!dated) { /* RFC 9110 6.6.1: a recipient with a clock adds it */
		char date[HTTP_DATE_LEN];

		clock_http_date(in->response_wall_ms / 1000, date);
		put_line(w, SPAN_LIT("Date"), span_of(date, sizeof(date)));
	}
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

static void freshness(const struct response_in *in, struct object *o)
{
	const struct chan_request *wire = &in->request->wire;
	struct cache_response_in pin = {
	        .method = in->request->method,
	        .status = in->head->status,
	        .authorized = (wire->flags & CHAN_REQ_AUTHORIZED) != 0,
	        .fields = &in->head->fields,
	        .rule = in->rule,
	        .request_wall_ms = in->request_wall_ms,
	        .response_wall_ms = in->response_wall_ms,
	};
	struct cache_response policy;
	uint64_t age_ms;

	cache_response_policy(&pin, &policy);
	o->response_ms = in->response_wall_ms;
	o->initial_age_s = policy.initial_age_s;
	o->expires_ms = in->response_wall_ms;
	age_ms = policy.initial_age_s * 1000ull;
	/* RFC 9111 4.2: fresh while its age, which began at the origin, is below its lifetime. */
	if (policy.lifetime_ms > age_ms)
		o->expires_ms += policy.lifetime_ms - age_ms;
	if (policy.revalidate)
		o->flags |= OBJECT_REVALIDATE;
	if (policy.storable && (wire->flags & CHAN_REQ_STORE) && in->request->key.len > 0 &&
	    !in->request->conditional)
		o->flags |= OBJECT_STORABLE;
}

enum status response_object(const struct response_in *in, void *buf, uint32_t cap,
                            struct response_out *out)
{
	struct object o = {
	        .hash = {in->request->wire.key_lo, in->request->wire.key_hi},
	        .key_len = (uint32_t)in->request->key.len,
	        .status = (uint16_t)in->head->status,
	};
	size_t fixed = sizeof(o) + o.key_len;
	struct writer w;

	if (fixed > cap)
		return ST_TOOBIG;
	w.begin = (char *)buf + fixed;
	w.at = w.begin;
	w.end = (char *)buf + cap;
	w.full = false;
	body_length(in, &o);
	freshness(in, &o);
	put_fields(&w, in, &o);
	if (w.full)
		return ST_TOOBIG;
	o.fields_len = (uint32_t)(w.at - w.begin);
	memcpy(buf, &o, sizeof(o));
	if (o.key_len > 0)
		memcpy((char *)buf + sizeof(o), in->request->key.ptr, o.key_len);
	*out = (struct response_out){
	        .len = (uint32_t)(fixed + o.fields_len),
	        .storable = (o.flags & OBJECT_STORABLE) != 0,
	        .no_body = (o.flags & OBJECT_NO_BODY) != 0,
	        .body_len = o.body_len,
	};
	return ST_OK;
}
