/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Between the files of control/response*.c; nobody else includes it. */
#ifndef CONTROL_RESPONSE_PRIVATE_H
#define CONTROL_RESPONSE_PRIVATE_H

#include "control/response.h"

/* Writes bytes one behind the other; full when there was no room. */
struct writer {
	char *begin;
	char *at;
	char *end;
	bool full;
};

static inline void writer_init(struct writer *w, char *buf, size_t cap)
{
	*w = (struct writer){.begin = buf, .at = buf, .end = buf + cap};
}

static inline void put(struct writer *w, struct span s)
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
static inline uint32_t put_line(struct writer *w, struct span name, struct span value)
{
	uint32_t off;

	put(w, name);
	put(w, SPAN_LIT(": "));
	off = (uint32_t)(w->at - w->begin);
	put(w, value);
	put(w, SPAN_LIT("\r\n"));
	return off;
}

/* Is f, one of fs, not for the client? */
bool response_field_drops(const struct http_fields *fs, const struct http_field *f);
/* One line; o learns where its validators lie. */
void response_put_field(struct writer *w, const struct http_field *f, struct object *o);
/* One line more, where no Vary of fs names Accept-Encoding (RFC 9110 12.5.5). */
void response_put_vary(struct writer *w, const struct http_fields *fs);
/* A recipient with a clock adds it where it lacks (RFC 9110 6.6.1). */
void response_put_date(struct writer *w, uint64_t wall_ms);
/* Times and flags of o, for an answer that came at wall_ms. */
void response_freshness(struct object *o, const struct cache_response *policy, uint64_t wall_ms);
uint32_t response_random(struct span key, uint64_t wall_ms);

struct response_tags {
	uint32_t count;
	bool lost; /* one did not fit: a purge of it would miss the answer, which must not be stored
	            */
	uint32_t hash[OBJECT_TAGS_MAX];
};

/* Of the rule and the request (in), of the answer's fields, and of the stored answer, or NULL, that
 * it freshens. */
void response_tags_read(const struct response_in *in, const struct object *stored,
                        struct response_tags *out);
void response_tags_put(struct writer *w, const struct response_tags *tags, struct object *o);

#endif
