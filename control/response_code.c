/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers that Sluice codes for clients (RFC 9110 8.4): which may be, and what their head becomes.
 */
#include "cache/lines.h"
#include "control/response_private.h"

/* --- which --- */

static struct span one_field(const struct http_fields *fs, enum http_hdr id)
{
	uint32_t count;
	struct span v = http_field_get(fs, id, &count);

	return count == 1 ? v : span_of(NULL, 0);
}

/* Without its parameters, in lower case. */
static struct span media_type(const struct http_fields *fs, char buf[RESPONSE_TYPE_MAX])
{
	struct span v = one_field(fs, HDR_CONTENT_TYPE);
	const char *semi = v.len > 0 ? memchr(v.ptr, ';', v.len) : NULL;

	if (semi != NULL)
		v.len = (size_t)(semi - v.ptr);
	v = span_trim(v);
	if (v.len > RESPONSE_TYPE_MAX)
		return span_of(NULL, 0);
	for (size_t i = 0; i < v.len; i++)
		buf[i] = ascii_lower(v.ptr[i]);
	return span_of(buf, v.len);
}

static bool type_listed(struct span type, struct span types)
{
	for (size_t i = 0; i < types.len;) {
		const char *comma = memchr(types.ptr + i, ',', types.len - i);
		size_t end = comma != NULL ? (size_t)(comma - types.ptr) : types.len;

		if (cache_key_match(type, span_of(types.ptr + i, end - i)))
			return true;
		i = end + 1;
	}
	return false;
}

/* Bytes of the body; UINT64_MAX: not known before its end. */
static uint64_t stated_length(const struct response_in *in)
{
	int64_t len;

	if (in->framing.kind == HTTP_BODY_LENGTH)
		return (uint64_t)in->framing.length;
	if (in->framing.kind == HTTP_BODY_NONE)
		return http_parse_length(one_field(&in->head->fields, HDR_CONTENT_LENGTH), &len)
		               ? (uint64_t)len
		               : UINT64_MAX;
	return UINT64_MAX;
}

static bool forbids(const struct http_fields *fs)
{
	struct cache_control cc;

	/* Each of the fields may say it: it is not about lifetimes (RFC 9111 5.2.2.6). */
	cache_control_parse(fs, &cc);
	if (cc.no_transform)
		return true;
	(void)cache_control_response(fs, &cc);
	return cc.no_transform;
}

enum response_code response_may_code(const struct response_in *in, const struct response_codes *r)
{
	const struct http_fields *fs = &in->head->fields;
	char text[RESPONSE_TYPE_MAX];
	struct span type = media_type(fs, text);
	uint64_t len = stated_length(in);

	/* Of a part no other one could be put together; the rest are not worth it. */
	if (in->head->status != 200 || http_fields_have(fs, HDR_CONTENT_RANGE))
		return RESPONSE_CODE_STATUS;
	if (http_fields_have(fs, HDR_CONTENT_ENCODING))
		return RESPONSE_CODE_CODED;
	if (type.len == 0 || span_eq(type, SPAN_LIT("text/event-stream")) ||
	    !type_listed(type, r->types))
		return RESPONSE_CODE_TYPE;
	if (len < r->min_bytes)
		return RESPONSE_CODE_SMALL;
	if (len != UINT64_MAX && len > r->max_bytes)
		return RESPONSE_CODE_LARGE;
	return forbids(fs) ? RESPONSE_CODE_FORBIDDEN : RESPONSE_CODE_MAY;
}

/* --- the head --- */

/* What is true of the bytes as they were only: digests (RFC 9530: Content-Digest and Repr-Digest
 * cover the coded bytes), and that parts are given. */
static bool coding_voids(struct span name)
{
	static const char *const names[] = {"Content-MD5", "Digest",        "Content-Digest",
	                                    "Repr-Digest", "Accept-Ranges", "Content-Length"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_eq_nocase(name, span_cstr(names[i])))
			return true;
	return false;
}

/* The coded bytes are others, and may be others again next time (RFC 9110 8.8.1). */
static void put_weak_etag(struct writer *w, struct span etag, struct object *o)
{
	bool weak = etag.len >= 2 && memcmp(etag.ptr, "W/", 2) == 0;

	put(w, SPAN_LIT("ETag: "));
	o->etag_off = (uint32_t)(w->at - w->begin);
	o->etag_len = (uint16_t)(etag.len + (weak ? 0 : 2));
	if (!weak)
		put(w, SPAN_LIT("W/"));
	put(w, etag);
	put(w, SPAN_LIT("\r\n"));
}

static void put_coded(struct writer *w, const struct object *base, enum coding c, struct object *o)
{
	struct span rest = object_fields(base);
	struct http_field f;

	while (lines_next(&rest, &f.name, &f.value)) {
		f.id = http_hdr_lookup(f.name);
		if (c == CODING_IDENTITY)
			response_put_field(w, &f, o);
		else if (f.id == HDR_ETAG && f.value.len + 2 <= UINT16_MAX)
			put_weak_etag(w, f.value, o);
		else if (!coding_voids(f.name))
			response_put_field(w, &f, o);
	}
	if (c != CODING_IDENTITY)
		put_line(w, SPAN_LIT("Content-Encoding"), coding_name(c));
}

uint32_t response_code_head(const struct object *base, enum coding c, const struct cache_key *key,
                            void *buf, uint32_t cap)
{
	size_t fixed = sizeof(*base) + key->text.len;
	struct object o = *base;
	struct writer w;

	if (fixed > cap)
		return 0;
	o.hash = key->hash;
	o.key_len = (uint32_t)key->text.len;
	o.etag_len = 0;
	o.last_modified_len = 0;
	o.text = NULL;
	if (c != CODING_IDENTITY) {
		o.flags = (uint16_t)((o.flags & ~OBJECT_PLAIN) | OBJECT_CODED);
		if (!(o.flags & OBJECT_NO_BODY))
			o.flags |= OBJECT_CHUNKED;
		o.body_len = UINT64_MAX;
	}
	writer_init(&w, (char *)buf + fixed, cap - fixed);
	put_coded(&w, base, c, &o);
	o.fields_len = (uint32_t)(w.at - w.begin);
	put(&w, span_of(object_tags(base), o.tag_count * sizeof(uint32_t)));
	if (w.full)
		return 0;
	memcpy(buf, &o, sizeof(o));
	memcpy((char *)buf + sizeof(o), key->text.ptr, key->text.len);
	return (uint32_t)object_head_bytes(&o);
}
