/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request asks besides its target: preconditions (RFC 9110 13) and ranges (RFC 9110 14).
 * Control fetches whole answers and knows nothing of either; so they are kept until its answer has
 * come. */
#include "dataplane/path.h"

bool asked_keep(struct req_asked *a, const struct http_fields *fields)
{
	a->len = 0;
	for (uint32_t i = 0; i < fields->count; i++) {
		const struct http_field *f = &fields->f[i];
		uint16_t len = (uint16_t)f->value.len;

		if ((http_hdr_bit(f->id) & REQ_ASKS) == 0)
			continue;
		if (f->value.len > sizeof(a->text) || a->len + 3 + len > sizeof(a->text))
			return false;
		a->text[a->len] = (char)f->id;
		memcpy(a->text + a->len + 1, &len, sizeof(len));
		if (len > 0)
			memcpy(a->text + a->len + 3, f->value.ptr, len);
		a->len += 3u + len;
	}
	return true;
}

static void kept_fields(const struct req_asked *a, struct http_fields *out)
{
	out->seen = 0;
	out->count = 0;
	for (uint32_t at = 0; at < a->len;) {
		struct http_field *f = &out->f[out->count++];
		uint16_t len;

		memcpy(&len, a->text + at + 1, sizeof(len));
		f->id = (enum http_hdr)a->text[at];
		f->name = span_cstr(http_hdr_name(f->id));
		f->value = span_of(a->text + at + 3, len);
		out->seen |= http_hdr_bit(f->id);
		at += 3u + len;
	}
}

static void ranges_of(const struct object *o, const struct http_fields *fields,
                      struct asked_answer *out)
{
	switch (range_resolve(o, fields, out->ranges, &out->count)) {
	case RANGE_PART:
		out->kind = ASKED_PART;
		break;
	case RANGE_PARTS:
		out->kind = ASKED_PARTS;
		break;
	case RANGE_NONE:
		out->kind = ASKED_NO_PART;
		break;
	case RANGE_WHOLE:
		break;
	}
}

void asked_of(const struct object *o, enum http_method method, const struct http_fields *fields,
              struct asked_answer *out)
{
	out->kind = ASKED_WHOLE;
	out->count = 0;
	if (cache_condition(o, method, fields) == COND_NOT_MODIFIED) {
		out->kind = ASKED_NOT_MODIFIED;
		return;
	}
	/* Range is for GET alone (RFC 9110 14.2), and its turn comes last (13.2.2). Of what was coded
	 * here no part is given: coded again, its bytes may be others. */
	if (method == HTTP_GET && http_fields_have(fields, HDR_RANGE) && o->status == 200 &&
	    o->body_len != UINT64_MAX && !(o->flags & (OBJECT_NO_BODY | OBJECT_CODED)))
		ranges_of(o, fields, out);
}

void asked_of_kept(const struct object *o, const struct req *req, struct asked_answer *out)
{
	struct http_fields fields; /* a few are set; clearing all of them would cost more */

	kept_fields(&req->asked, &fields);
	asked_of(o, req->method, &fields, out);
}
