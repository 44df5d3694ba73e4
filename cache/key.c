/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/key.h"

/* Host names are short: no call for them. */
static char *append_lower(char *at, struct span s)
{
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		uint64_t v;

		memcpy(&v, s.ptr + i, 8);
		v = ascii_lower8(v);
		memcpy(at + i, &v, 8);
	}
	for (; i < s.len; i++)
		at[i] = ascii_lower(s.ptr[i]);
	return at + s.len;
}

static char *append(char *at, struct span s)
{
	if (s.len > 0)
		memcpy(at, s.ptr, s.len);
	return at + s.len;
}

bool cache_key_default(char *buf, struct span host, struct span path, struct span query,
                       uint64_t seed, struct cache_key *out)
{
	/* "/a?" and "/a" are different targets (RFC 3986 6.2.3): an empty query that was sent keeps
	 * its question mark. */
	bool has_query = query.ptr != NULL;
	size_t limit = CACHE_KEY_MAX - (has_query ? 1 : 0);
	char *at = buf;

	if (host.len > limit || path.len > limit - host.len ||
	    query.len > limit - host.len - path.len)
		return false;
	at = append(append_lower(at, host), path);
	if (has_query) {
		*at++ = '?';
		at = append(at, query);
	}

	out->text = span_of(buf, (size_t)(at - buf));
	if (out->text.len == 0)
		return false;
	out->hash = hash128(out->text.ptr, out->text.len, seed);
	return true;
}

/* The literal run at the start of the pattern, up to a '*' or the end. */
static struct span literal_run(struct span pattern)
{
	const char *star = pattern.len > 0 ? memchr(pattern.ptr, '*', pattern.len) : NULL;

	return span_of(pattern.ptr, star ? (size_t)(star - pattern.ptr) : pattern.len);
}

static struct span span_skip(struct span s, size_t n)
{
	return n == 0 ? s : span_of(s.ptr + n, s.len - n);
}

/* The leftmost place for each run in turn is the best one, because what remains is then longest; a
 * run is found by memmem, which is linear, so no pattern makes this quadratic. */
bool cache_key_match(struct span text, struct span pattern)
{
	struct span run = literal_run(pattern);

	if (run.len == pattern.len)
		return span_eq(text, pattern);
	if (text.len < run.len || !span_eq(span_of(text.ptr, run.len), run))
		return false;
	text = span_skip(text, run.len);
	pattern = span_skip(pattern, run.len + 1);

	for (;;) {
		run = literal_run(pattern);
		if (run.len == pattern.len) /* the last run ends the text */
			return text.len >= run.len &&
			       span_eq(span_skip(text, text.len - run.len), run);
		if (run.len > 0) {
			const char *at =
			        text.len ? memmem(text.ptr, text.len, run.ptr, run.len) : NULL;
			if (at == NULL)
				return false;
			text = span_skip(text, (size_t)(at - text.ptr) + run.len);
		}
		pattern = span_skip(pattern, run.len + 1);
	}
}
