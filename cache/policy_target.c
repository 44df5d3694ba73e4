/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which other targets an unsafe request may have changed (RFC 9111 4.4). */
#include "cache/policy.h"

/* An authority without the port that its scheme has anyhow (RFC 9110 4.2.3, 4.3.3). */
static struct span authority_plain(struct span host, bool tls)
{
	struct span port = tls ? SPAN_LIT("443") : SPAN_LIT("80");
	size_t n = host.len;

	while (n > 0 && host.ptr[n - 1] >= '0' && host.ptr[n - 1] <= '9')
		n--;
	if (n == 0 || host.ptr[n - 1] != ':')
		return host;
	if (n < host.len && !span_eq(span_of(host.ptr + n, host.len - n), port))
		return host;
	return span_of(host.ptr, n - 1);
}

/* The path of a reference on the same origin, from '/'; with *relative, from where the request's
 * path ends with its last '/'. False: another origin, or nothing of interest. */
static bool reference_path(const struct cache_target *at, struct span ref, struct span *out,
                           bool *relative)
{
	struct span scheme = at->tls ? SPAN_LIT("https:") : SPAN_LIT("http:");
	const char *hash = ref.len > 0 ? memchr(ref.ptr, '#', ref.len) : NULL;

	if (hash != NULL)
		ref.len = (size_t)(hash - ref.ptr);
	if (ref.len >= scheme.len && span_eq_nocase(span_of(ref.ptr, scheme.len), scheme)) {
		ref = span_of(ref.ptr + scheme.len, ref.len - scheme.len);
		if (ref.len < 2 || memcmp(ref.ptr, "//", 2) != 0)
			return false;
	}
	*relative = false;
	if (ref.len >= 2 && memcmp(ref.ptr, "//", 2) == 0) {
		size_t end = 2;

		while (end < ref.len && ref.ptr[end] != '/' && ref.ptr[end] != '?')
			end++;
		if (!span_eq_nocase(authority_plain(span_of(ref.ptr + 2, end - 2), at->tls),
		                    authority_plain(at->host, at->tls)))
			return false;
		*out = span_of(ref.ptr + end, ref.len - end);
		return true;
	}
	if (ref.len == 0)
		return false;
	*relative = ref.ptr[0] != '/';
	/* "name:" before any '/' is a scheme (RFC 3986 3.1). */
	for (size_t i = 0; i < ref.len && ref.ptr[i] != '/' && ref.ptr[i] != '?'; i++)
		if (ref.ptr[i] == ':')
			return false;
	*out = ref;
	return true;
}

struct text {
	char *buf;
	size_t len;
	bool full;
};

static void put(struct text *t, struct span s)
{
	if (s.len > CACHE_TARGET_MAX - t->len) {
		t->full = true;
		return;
	}
	if (s.len > 0)
		memcpy(t->buf + t->len, s.ptr, s.len);
	t->len += s.len;
}

static size_t path_len(struct span target)
{
	const char *query = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;

	return query != NULL ? (size_t)(query - target.ptr) : target.len;
}

/* RFC 3986 5.2.4, in place; the path begins with '/'. Its new length. */
static size_t dots_remove(char *path, size_t len)
{
	size_t in = 0;
	size_t out = 0;

	while (in < len) { /* at a '/' */
		size_t end = in + 1;
		while (end < len && path[end] != '/')
			end++;
		size_t seg = end - in - 1;
		bool last = end == len;
		if (seg == 1 && path[in + 1] == '.') {
			if (last)
				path[out++] = '/';
		} else if (seg == 2 && path[in + 1] == '.' && path[in + 2] == '.') {
			while (out > 0 && path[--out] != '/')
				;
			if (last)
				path[out++] = '/';
		} else {
			memmove(path + out, path + in, end - in);
			out += end - in;
		}
		in = end;
	}
	return out;
}

/* RFC 3986 5.2.2 for what reference_path left; the length of the text, 0: too long. */
static size_t resolve(const struct cache_target *at, struct span ref, bool relative, char *buf)
{
	struct text t = {.buf = buf};
	size_t base = path_len(at->target);
	size_t ref_path = path_len(ref);

	if (relative && ref_path == 0) {
		put(&t, span_of(at->target.ptr, base));
	} else if (relative) {
		while (base > 0 && at->target.ptr[base - 1] != '/')
			base--;
		put(&t, span_of(at->target.ptr, base));
	} else if (ref_path == 0) {
		put(&t, SPAN_LIT("/"));
	}
	put(&t, span_of(ref.ptr, ref_path));
	if (t.full || t.len == 0 || buf[0] != '/')
		return 0;
	t.len = dots_remove(buf, t.len);
	put(&t, span_of(ref.ptr + ref_path, ref.len - ref_path));
	return t.full ? 0 : t.len;
}

/* The target that a field of the answer names; empty: none on this origin. */
static struct span field_target(const struct cache_target *at, const struct http_fields *response,
                                enum http_hdr id, char *buf)
{
	uint32_t count;
	struct span ref = http_field_get(response, id, &count);
	bool relative;

	if (count != 1 || !reference_path(at, ref, &ref, &relative))
		return span_of(NULL, 0);
	return span_of(buf, resolve(at, ref, relative, buf));
}

void cache_invalidated(const struct cache_target *at, const struct http_fields *response,
                       struct cache_targets *out)
{
	static const enum http_hdr ids[] = {HDR_LOCATION, HDR_CONTENT_LOCATION};

	out->count = 0;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct span target = field_target(at, response, ids[i], out->text[out->count]);

		if (target.len == 0 || span_eq(target, at->target) ||
		    (out->count == 1 && span_eq(target, out->target[0])))
			continue;
		out->target[out->count++] = target;
	}
}

bool cache_written(const struct cache_target *at, enum http_method method, bool always,
                   const struct http_response_head *head, struct cache_targets *out)
{
	const struct http_fields *fs = &head->fields;
	struct span made;

	out->count = 0;
	if (method != HTTP_PUT && method != HTTP_PATCH && method != HTTP_POST)
		return false;
	if (head->status != 200 && head->status != 201)
		return false;
	if (!http_fields_have(fs, HDR_CONTENT_LOCATION)) {
		out->target[0] = at->target;
		out->count = always && method != HTTP_POST;
		return out->count > 0;
	}
	out->target[0] = field_target(at, fs, HDR_CONTENT_LOCATION, out->text[0]);
	made = field_target(at, fs, HDR_LOCATION, out->text[1]);
	out->count =
	        out->target[0].len > 0 && (span_eq(out->target[0], at->target) ||
	                                   (head->status == 201 && span_eq(out->target[0], made)));
	return out->count > 0;
}
