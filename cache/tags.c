/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/tags.h"

#include "cache/sf.h"

#define MEMBERS_MAX 1024u

struct text {
	char *buf;
	size_t len;
	bool full;
};

static void put(struct text *t, struct span s)
{
	if (s.len > TAG_MAX - t->len) {
		t->full = true;
		return;
	}
	if (s.len > 0)
		memcpy(t->buf + t->len, s.ptr, s.len);
	t->len += s.len;
}

/* Is there a port behind the host (which may be an IPv6 address in brackets)? */
static bool has_port(struct span host)
{
	size_t i = host.len;

	while (i > 0 && host.ptr[i - 1] >= '0' && host.ptr[i - 1] <= '9')
		i--;
	return i > 0 && i < host.len && host.ptr[i - 1] == ':';
}

size_t tag_group(const struct cache_target *at, struct span name, char buf[TAG_MAX])
{
	struct text t = {.buf = buf};

	put(&t, at->tls ? SPAN_LIT("group:https://") : SPAN_LIT("group:http://"));
	size_t from = t.len;
	put(&t, at->host);
	for (size_t i = from; i < t.len; i++)
		buf[i] = ascii_lower(buf[i]);
	if (!has_port(at->host))
		put(&t, at->tls ? SPAN_LIT(":443") : SPAN_LIT(":80"));
	put(&t, SPAN_LIT(" "));
	put(&t, name);
	return t.full ? 0 : t.len;
}

struct each {
	const struct cache_target *at;
	tag_fn *fn;
	void *arg;
	bool too_long;
};

static void group_give(struct each *e, struct span escaped)
{
	char name[TAG_MAX];
	char tag[TAG_MAX];
	size_t len = sf_string(escaped, name, sizeof(name));
	size_t tag_len = 0;

	if (len > 0 || escaped.len == 0)
		tag_len = tag_group(e->at, span_of(name, len), tag);
	if (tag_len == 0)
		e->too_long = true;
	else
		e->fn(e->arg, span_of(tag, tag_len));
}

/* All lines are one List of Strings? give: and calls fn for each. */
static bool groups_walk(const struct http_fields *fs, struct span field, struct each *give)
{
	uint32_t members = 0;

	for (uint32_t i = 0; i < fs->count; i++) {
		enum sf_next next;
		struct sf_value value;
		struct sf_reader r;

		if (!span_eq_nocase(fs->f[i].name, field))
			continue;
		sf_begin(&r, fs->f[i].value);
		while ((next = sf_list_next(&r, &value)) == SF_MEMBER) {
			if (value.type != SF_STRING || ++members > MEMBERS_MAX)
				return false;
			if (give != NULL)
				group_give(give, value.string);
		}
		if (next == SF_BAD)
			return false;
	}
	return members > 0;
}

static void surrogate_walk(struct span line, struct each *e)
{
	size_t i = 0;

	while (i < line.len) {
		char buf[TAG_MAX];
		struct text t = {.buf = buf};
		size_t begin = i;

		while (i < line.len && line.ptr[i] != ' ' && line.ptr[i] != '\t')
			i++;
		put(&t, SPAN_LIT("tag:"));
		put(&t, span_of(line.ptr + begin, i - begin));
		if (t.full)
			e->too_long = true;
		else if (i > begin)
			e->fn(e->arg, span_of(buf, t.len));
		i++;
	}
}

bool tags_of_response(const struct http_fields *fs, const struct cache_target *at, tag_fn *fn,
                      void *arg)
{
	struct each e = {.at = at, .fn = fn, .arg = arg};

	if (http_fields_have(fs, HDR_SURROGATE_KEY))
		for (uint32_t i = 0; i < fs->count; i++)
			if (fs->f[i].id == HDR_SURROGATE_KEY)
				surrogate_walk(fs->f[i].value, &e);
	if (http_fields_have(fs, HDR_CACHE_GROUPS) &&
	    groups_walk(fs, SPAN_LIT("Cache-Groups"), NULL))
		groups_walk(fs, SPAN_LIT("Cache-Groups"), &e);
	return !e.too_long;
}

void tags_invalidated(const struct http_fields *fs, const struct cache_target *at, tag_fn *fn,
                      void *arg)
{
	struct span field = SPAN_LIT("Cache-Group-Invalidation");
	struct each e = {.at = at, .fn = fn, .arg = arg};

	if (groups_walk(fs, field, NULL))
		groups_walk(fs, field, &e);
}
