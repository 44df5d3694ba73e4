/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges remove at once what is stored, and are remembered in a ring, so that an answer that left
 * the origin before the purge is not stored after it. */
#include "cache/hot_internal.h"

uint64_t hot_purge_seq(const struct hot_table *t)
{
	return t->purge_seq;
}

static struct hot_purge *purge_slot(struct hot_table *t)
{
	return &t->purges[t->purge_seq++ % HOT_PURGES];
}

bool hot_purged_since(const struct hot_table *t, uint64_t seq, const struct object *o)
{
	/* Fills older than the ring cannot be judged: refuse. So is a number from the future. */
	if (t->purge_seq - seq > HOT_PURGES)
		return true;
	for (uint64_t s = seq; s < t->purge_seq; s++) {
		const struct hot_purge *p = &t->purges[s % HOT_PURGES];

		if (p->pattern_len == 0
		            ? hash128_eq(p->hash, o->hash)
		            : cache_key_match(object_key(o), span_of(p->pattern, p->pattern_len)))
			return true;
	}
	return false;
}

uint32_t hot_purge_key(struct hot_table *t, struct span key_text, struct hash128 hash)
{
	struct cache_key key = {.hash = hash, .text = key_text};
	struct hot_purge *p = purge_slot(t);
	struct hot_place at;

	p->hash = hash;
	p->pattern_len = 0;
	if (!hot_index_find(t, &key, &at))
		return 0;
	hot_index_remove(t, at);
	counter_inc(t->ctr, CTR_cache_purge);
	return 1;
}

/* A pattern too long for the ring is cut and ends in '*': it then matches more, never less. An
 * empty one matches the empty key only, which nothing has: it is not remembered. */
static void remember_pattern(struct hot_table *t, struct span pattern)
{
	if (pattern.len == 0)
		return;
	struct hot_purge *p = purge_slot(t);
	size_t len = min_size(pattern.len, HOT_PATTERN_MAX);

	memcpy(p->pattern, pattern.ptr, len);
	if (pattern.len > HOT_PATTERN_MAX)
		p->pattern[HOT_PATTERN_MAX - 1] = '*';
	p->pattern_len = (uint32_t)len;
}

uint32_t hot_purge_pattern(struct hot_table *t, struct span pattern)
{
	uint64_t cursor = 0;
	uint32_t removed = 0;
	const struct object *o;

	remember_pattern(t, pattern);
	while ((o = hot_next(t, &cursor)) != NULL) {
		struct hot_place at = {&t->buckets[(cursor - 1) / HOT_SLOTS],
		                       (uint32_t)((cursor - 1) % HOT_SLOTS)};

		if (!cache_key_match(object_key(o), pattern))
			continue;
		hot_index_remove(t, at);
		removed++;
	}
	counter_add(t->ctr, CTR_cache_purge, removed);
	return removed;
}
