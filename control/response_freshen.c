/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A stored answer that the origin says still holds (RFC 9111 3.2, 4.3.4, 4.3.5). */
#include "cache/lines.h"
#include "control/response_private.h"

/* Of the content that came with them: a 304 has none, and the stored one stays (RFC 9530 2). */
static bool is_digest(const struct http_field *f)
{
	return f->id == HDR_OTHER && (span_eq_nocase(f->name, SPAN_LIT("Content-Digest")) ||
	                              span_eq_nocase(f->name, SPAN_LIT("Content-MD5")));
}

/* Fields of a 304 that say nothing of the stored answer: its framing, the coding and the digest of
 * its body (RFC 9111 3.2), and the way that the 304 itself took. */
static bool update_drops(const struct http_fields *fs, const struct http_field *f)
{
	switch (f->id) {
	case HDR_CONTENT_LENGTH:
	case HDR_CONTENT_ENCODING:
	case HDR_CONTENT_RANGE:
	case HDR_VIA:
		return true;
	default:
		return response_field_drops(fs, f) || cache_field_excluded(fs, f) || is_digest(f);
	}
}

static bool updates(const struct http_fields *fs, struct span name)
{
	for (uint32_t i = 0; i < fs->count; i++)
		if (span_eq_nocase(fs->f[i].name, name) && !update_drops(fs, &fs->f[i]))
			return true;
	return false;
}

static bool stays(const struct http_fields *fs, const struct http_field *f)
{
	/* A 304 without Date was made when it came (RFC 9110 6.6.1). */
	return f->id != HDR_DATE && !updates(fs, f->name) && !cache_field_listed(fs, f->name);
}

/* Stored lines that nothing replaces, then those of the 304. */
static void put_merged(struct writer *w, const struct object *stored, const struct response_in *in,
                       struct object *o)
{
	const struct http_fields *fs = &in->head->fields;
	struct span rest = object_fields(stored);
	struct http_field f;

	while (lines_next(&rest, &f.name, &f.value)) {
		f.id = http_hdr_lookup(f.name);
		if (stays(fs, &f))
			response_put_field(w, &f, o);
	}
	for (uint32_t i = 0; i < fs->count; i++)
		if (!update_drops(fs, &fs->f[i]))
			response_put_field(w, &fs->f[i], o);
	if (!http_fields_have(fs, HDR_DATE))
		response_put_date(w, in->response_wall_ms);
	/* The stored Vary is replaced, and with it what was added there for the coded forms. */
	if (in->coding_varies && updates(fs, SPAN_LIT("Vary")))
		response_put_vary(w, fs);
}

/* The merged lines as fields, with what of the 304 is not kept but counts. False: there are more
 * than can be judged. */
static bool merged_fields(const struct writer *w, const struct http_fields *update,
                          struct http_fields *out)
{
	size_t len = (size_t)(w->at - w->begin);
	size_t pos = 0;

	/* There is no empty line at the end: all whole lines are read. */
	(void)http1_scan_fields(w->begin, len, &pos, out);
	if (pos != len)
		return false;
	for (uint32_t i = 0; i < update->count && out->count < HTTP_MAX_FIELDS; i++) {
		if (update->f[i].id != HDR_SLUICE_CACHE_CONTROL)
			continue;
		out->f[out->count++] = update->f[i];
		out->seen |= http_hdr_bit(HDR_SLUICE_CACHE_CONTROL);
	}
	return true;
}

/* The stored answer's key was made for the names that its Vary had (RFC 9111 4.1). */
static bool vary_stays(const struct object *stored, const struct http_fields *merged)
{
	struct span lines = object_fields(stored);
	struct http_fields former = {0};
	char former_text[VARY_NAMES_MAX];
	char merged_text[VARY_NAMES_MAX];
	struct span former_names = {0};
	struct span merged_names = {0};
	size_t pos = 0;

	if (lines.len > 0)
		(void)http1_scan_fields(lines.ptr, lines.len, &pos, &former);
	return vary_of(&former, former_text, &former_names) ==
	               vary_of(merged, merged_text, &merged_names) &&
	       span_eq(former_names, merged_names);
}

/* What a field that was not kept does not speak for. */
static bool may_keep(const struct http_fields *merged)
{
	char text[VARY_NAMES_MAX];
	struct span names;

	return !http_fields_have(merged, HDR_SET_COOKIE) &&
	       vary_of(merged, text, &names) != VARY_ANY;
}

/* The lifetime that a field stated which was not kept: as it was, from now on. */
static void freshness_again(const struct object *stored, const struct cache_response *policy,
                            uint64_t wall_ms, struct object *o)
{
	const uint16_t kept = OBJECT_REVALIDATE | OBJECT_NO_TRANSFORM | OBJECT_HEURISTIC;
	uint64_t lifetime_ms = stored->expires_ms - stored->response_ms;

	/* What was left of it when it came, and its age then, make up the whole. */
	if (lifetime_ms > 0)
		lifetime_ms += stored->initial_age_s * 1000ull;
	struct cache_response again = *policy;
	again.lifetime_ms = lifetime_ms;
	again.stale_while_s = stored->stale_while_s;
	again.stale_error_s = stored->stale_error_s;
	again.flags = OBJECT_TARGETED | OBJECT_STORABLE | (stored->flags & kept);
	response_freshness(o, &again, wall_ms);
}

/* Freshness by the merged fields; the age is that of the 304. */
static void judge(const struct object *stored, const struct response_in *in,
                  const struct http_fields *merged, struct object *o)
{
	struct cache_response_in pin = {
	        .method = HTTP_GET,
	        .status = stored->status,
	        .authorized = (stored->flags & OBJECT_AUTHORIZED) != 0,
	        .variant = true, /* its key was made for it */
	        .fields = merged,
	        .aged = &in->head->fields,
	        .rule = in->rule,
	        .former_ms = stored->expires_ms - stored->response_ms,
	        .unchanged = true,
	        .random = response_random(object_key(stored), in->response_wall_ms),
	        .request_wall_ms = in->request_wall_ms,
	        .response_wall_ms = in->response_wall_ms,
	};
	struct cache_response policy;

	cache_response_policy(&pin, &policy);
	if (!(stored->flags & OBJECT_TARGETED) || (policy.flags & OBJECT_TARGETED)) {
		response_freshness(o, &policy, in->response_wall_ms);
		return;
	}
	freshness_again(stored, &policy, in->response_wall_ms, o);
	if (!may_keep(merged))
		o->flags &= (uint16_t)~OBJECT_STORABLE;
}

static enum status freshen(const struct object *stored, const struct response_in *in, void *buf,
                           uint32_t cap, struct response_out *out)
{
	const uint16_t kept = OBJECT_NO_BODY | OBJECT_CHUNKED | OBJECT_AUTHORIZED |
	                      OBJECT_ETAG_MADE | OBJECT_PLAIN;
	size_t fixed = sizeof(*stored) + stored->key_len;
	struct object o = *stored;
	struct response_tags tags;
	struct http_fields merged;
	struct writer w;

	if (fixed > cap)
		return ST_TOOBIG;
	o.flags = stored->flags & kept;
	o.etag_len = 0;
	o.last_modified_len = 0;
	o.born_seq = in->born_seq;
	writer_init(&w, (char *)buf + fixed, cap - fixed);
	put_merged(&w, stored, in, &o);
	o.fields_len = (uint32_t)(w.at - w.begin);
	if (w.full || !merged_fields(&w, &in->head->fields, &merged))
		return ST_TOOBIG;
	response_tags_read(in, stored, &tags);
	response_tags_put(&w, &tags, &o);
	if (w.full)
		return ST_TOOBIG;
	judge(stored, in, &merged, &o);
	if (tags.lost || !vary_stays(stored, &merged))
		o.flags &= (uint16_t)~OBJECT_STORABLE;
	memcpy(buf, &o, sizeof(o));
	memcpy((char *)buf + sizeof(o), object_key(stored).ptr, o.key_len);
	*out = (struct response_out){
	        .len = (uint32_t)object_head_bytes(&o),
	        .storable = (o.flags & OBJECT_STORABLE) != 0,
	        .shared = (o.flags & OBJECT_STORABLE) != 0 &&
	                  (o.expires_ms > o.response_ms || o.stale_while_s > 0),
	        .no_body = (o.flags & OBJECT_NO_BODY) != 0,
	        .body_len = o.body_len,
	};
	out->vary = vary_of(&merged, out->vary_buf, &out->vary_names);
	return ST_OK;
}

enum status response_freshen(const struct object *stored, const struct response_in *in304,
                             void *buf, uint32_t cap, struct response_out *out)
{
	if (in304->head->status != 304)
		return ST_INVALID;
	if (!cache_selects(stored, &in304->head->fields))
		return ST_NOTFOUND;
	return freshen(stored, in304, buf, cap, out);
}

enum status response_freshen_head(const struct object *stored, const struct response_in *head,
                                  void *buf, uint32_t cap, struct response_out *out)
{
	if (cache_head_compare(stored, head->head->status, &head->head->fields) !=
	    CACHE_HEAD_FRESHENS)
		return ST_NOTFOUND;
	return freshen(stored, head, buf, cap, out);
}
