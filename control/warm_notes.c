/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/warm_notes.h"

#include "lib/hash.h"

#include <stdlib.h>

#define HEAT_USE   16u /* so that one use is forgotten after five coolings */
#define HEAT_MAX   65535u
#define LOOKS      16u  /* notes that eviction passes over because they are in use */
#define BYTES_EACH 256u /* of the bound to one bucket */
#define OVERHEAD   16u  /* of an allocation */

struct note {
	struct note *hash_next;
	struct note *older;
	struct note *newer;
	uint64_t hash;
	uint32_t heat;
	uint16_t key_len;
	uint16_t line_len;
	char text[]; /* key, line */
};

struct warm_notes {
	struct note **buckets;
	uint64_t mask;
	uint64_t seed;
	uint64_t max_bytes;
	struct note *oldest;
	struct note *newest;
	struct warm_notes_counts counts;
};

static struct note **bucket_of(struct warm_notes *n, uint64_t hash)
{
	return &n->buckets[hash & n->mask];
}

static struct note *find(struct warm_notes *n, struct span key, uint64_t hash)
{
	struct note *it = *bucket_of(n, hash);

	while (it != NULL && (it->hash != hash || !span_eq(span_of(it->text, it->key_len), key)))
		it = it->hash_next;
	return it;
}

static void queue_remove(struct warm_notes *n, struct note *it)
{
	*(it->older != NULL ? &it->older->newer : &n->oldest) = it->newer;
	*(it->newer != NULL ? &it->newer->older : &n->newest) = it->older;
}

static void queue_add(struct warm_notes *n, struct note *it)
{
	it->newer = NULL;
	it->older = n->newest;
	*(it->older != NULL ? &it->older->newer : &n->oldest) = it;
	n->newest = it;
}

static uint64_t note_bytes(const struct note *it)
{
	return sizeof(*it) + it->key_len + it->line_len + OVERHEAD;
}

static void note_remove(struct warm_notes *n, struct note *it)
{
	struct note **at = bucket_of(n, it->hash);

	while (*at != it)
		at = &(*at)->hash_next;
	*at = it->hash_next;
	queue_remove(n, it);
	n->counts.entries--;
	n->counts.bytes -= note_bytes(it);
	free(it);
}

/* The oldest that is not in use; those that are go to the end, with less heat. */
static void evict(struct warm_notes *n)
{
	for (uint32_t i = 0; i < LOOKS && n->oldest->heat > HEAT_USE; i++) {
		struct note *it = n->oldest;

		it->heat /= 2;
		queue_remove(n, it);
		queue_add(n, it);
	}
	note_remove(n, n->oldest);
	n->counts.evicted++;
}

bool warm_notes_use(struct warm_notes *n, struct span key, uint32_t uses)
{
	struct note *it = find(n, key, hash64(key.ptr, key.len, n->seed));

	if (it == NULL)
		return false;
	it->heat = min_u32(HEAT_MAX, it->heat + HEAT_USE * min_u32(HEAT_MAX / HEAT_USE, uses));
	return true;
}

void warm_notes_put(struct warm_notes *n, struct span key, struct span line)
{
	uint64_t hash = hash64(key.ptr, key.len, n->seed);
	struct note *it;

	if (key.len > UINT16_MAX || line.len > UINT16_MAX || find(n, key, hash) != NULL)
		return;
	it = malloc(sizeof(*it) + key.len + line.len);
	if (it == NULL)
		return;
	it->hash = hash;
	it->heat = HEAT_USE;
	it->key_len = (uint16_t)key.len;
	it->line_len = (uint16_t)line.len;
	memcpy(it->text, key.ptr, key.len);
	memcpy(it->text + key.len, line.ptr, line.len);
	if (note_bytes(it) > n->max_bytes) {
		free(it);
		return;
	}
	while (n->counts.bytes + note_bytes(it) > n->max_bytes)
		evict(n);
	it->hash_next = *bucket_of(n, hash);
	*bucket_of(n, hash) = it;
	queue_add(n, it);
	n->counts.entries++;
	n->counts.bytes += note_bytes(it);
}

/* The least heat of which not all notes fit; *same: how many of that heat do. */
static uint32_t threshold(const struct warm_notes *n, uint32_t max, uint32_t *same)
{
	uint32_t *with = calloc(HEAT_MAX + 1, sizeof(*with));
	uint32_t heat = HEAT_MAX;
	uint32_t left = max;

	*same = 0;
	if (with == NULL)
		return HEAT_MAX;
	for (const struct note *it = n->oldest; it != NULL; it = it->newer)
		with[it->heat]++;
	for (; heat > 0 && with[heat] <= left; heat--)
		left -= with[heat];
	*same = left;
	free(with);
	return heat;
}

static bool picked(const struct note *it, uint32_t least, uint32_t *same)
{
	if (it->heat != least || least == 0)
		return it->heat > least;
	if (*same == 0)
		return false;
	--*same;
	return true;
}

void warm_notes_pick(const struct warm_notes *n, uint32_t max, struct warm_pick *out)
{
	uint32_t same, least = threshold(n, max, &same);
	char *at;

	*out = (struct warm_pick){
	        .rows = calloc(min_u64(max, n->counts.entries) + 1, sizeof(*out->rows)),
	        .text = malloc(n->counts.bytes + 1),
	};
	if (out->rows == NULL || out->text == NULL) {
		warm_pick_free(out);
		return;
	}
	at = out->text;
	for (const struct note *it = n->newest; it != NULL; it = it->older) {
		if (picked(it, least, &same)) {
			memcpy(at, it->text + it->key_len, it->line_len);
			out->rows[out->count++] = (struct warm_picked){it->heat, it->line_len, at};
			at += it->line_len;
		}
	}
}

void warm_notes_cool(struct warm_notes *n)
{
	for (struct note *it = n->oldest; it != NULL; it = it->newer)
		it->heat /= 2;
}

void warm_pick_free(struct warm_pick *p)
{
	free(p->rows);
	free(p->text);
	*p = (struct warm_pick){0};
}

void warm_notes_counts(const struct warm_notes *n, struct warm_notes_counts *out)
{
	*out = n->counts;
}

enum status warm_notes_create(uint64_t max_bytes, struct warm_notes **out)
{
	uint64_t buckets = pow2_ceil(max_u64(64, max_bytes / BYTES_EACH));
	struct warm_notes *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return ST_NOMEM;
	n->buckets = calloc(buckets, sizeof(*n->buckets));
	if (n->buckets == NULL) {
		free(n);
		return ST_NOMEM;
	}
	n->mask = buckets - 1;
	n->max_bytes = max_bytes;
	random_bytes(&n->seed, sizeof(n->seed));
	*out = n;
	return ST_OK;
}

void warm_notes_destroy(struct warm_notes *n)
{
	if (n == NULL)
		return;
	while (n->oldest != NULL)
		note_remove(n, n->oldest);
	free(n->buckets);
	free(n);
}
