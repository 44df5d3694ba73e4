/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ETags for answers that have none (RFC 9110 8.8.3). */
#include "cache/lines.h"
#include "control/response_private.h"
#include "lib/clock.h"

#include <stdio.h>

static uint64_t mix(uint64_t seed, struct span s)
{
	uint64_t len = s.len;

	return hash64(s.ptr, s.len, hash64(&len, sizeof(len), seed));
}

static struct span field_of(const struct http_fields *fs, enum http_hdr id)
{
	uint32_t count;

	return http_field_get(fs, id, &count);
}

/* An answer that changes twice within the second of its date keeps the date: such a fresh date is
 * no base for a validator (8.8.2.2). */
struct span response_etag_weak(const struct response_in *in, char buf[RESPONSE_ETAG_MAX])
{
	const struct http_fields *fs = &in->head->fields;
	struct span modified = field_of(fs, HDR_LAST_MODIFIED);
	uint64_t modified_s;

	if (http_fields_have(fs, HDR_ETAG) || in->framing.kind != HTTP_BODY_LENGTH ||
	    in->head->status != 200 || modified.len == 0 ||
	    !clock_parse_http_date(modified.ptr, modified.len, &modified_s) ||
	    modified_s + 1 >= in->response_wall_ms / 1000)
		return span_of(NULL, 0);
	uint64_t h = mix((uint64_t)in->framing.length, modified);
	h = mix(h, field_of(fs, HDR_CONTENT_TYPE));
	h = mix(h, field_of(fs, HDR_CONTENT_ENCODING));
	int len = snprintf(buf, RESPONSE_ETAG_MAX, "W/\"%016llx\"", (unsigned long long)h);
	return span_of(buf, (size_t)len);
}

struct span response_etag_strong(const struct object *o, struct span body,
                                 char buf[RESPONSE_ETAG_MAX])
{
	struct span coding = lines_find(object_fields(o), SPAN_LIT("Content-Encoding"));

	if (o->etag_len > 0 || o->status != 200)
		return span_of(NULL, 0);
	struct hash128 h = hash128(body.ptr, body.len, mix(body.len, coding));
	int len = snprintf(buf, RESPONSE_ETAG_MAX, "\"%016llx%016llx\"", (unsigned long long)h.hi,
	                   (unsigned long long)h.lo);
	return span_of(buf, (size_t)len);
}

uint32_t response_add_etag(const struct object *o, struct span etag, void *buf, uint32_t cap)
{
	struct span fields = object_fields(o);
	size_t before = sizeof(*o) + o->key_len + fields.len;
	size_t tags = o->tag_count * sizeof(uint32_t);
	struct object *to = buf;
	struct writer w;

	if (o->etag_len > 0 || etag.len == 0 || before > cap)
		return 0;
	memcpy(buf, o, before);
	writer_init(&w, (char *)buf + before, cap - before);
	uint32_t off = (uint32_t)fields.len + put_line(&w, SPAN_LIT("ETag"), etag);
	to->fields_len = (uint32_t)(fields.len + (size_t)(w.at - w.begin));
	to->etag_off = off;
	to->etag_len = (uint16_t)etag.len;
	to->flags |= OBJECT_ETAG_MADE;
	put(&w, span_of(object_tags(o), tags));
	return w.full ? 0 : (uint32_t)object_head_bytes(to);
}
