/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two tables of generations, of keys and of tags: buckets of one cache line, four entries each.
 * Hard and soft purges of one hash have an entry each. When a bucket is full its oldest entry
 * becomes the bucket's floor: that purge then counts for every hash of the bucket.
 *
 * Keys are many (each unsafe request purges one) and matter for fills only, because a tier removes
 * what it has under a key at once. So they have a table of their own, in which they do not push
 * tags out. Soft purges of keys stand in both: a tier does not find the variants of a key. */
#include "cache/inval.h"

#include "cache/key.h"

#include <stdlib.h>

#define BUCKET_WAYS 4u
#define TAG_SEED    0x736c756963653031ull /* part of the shared format: never change it */

struct bucket {
	uint64_t seq[BUCKET_WAYS]; /* number * 2 + soft; 0: empty */
	uint32_t hash[BUCKET_WAYS];
	uint64_t floor[2]; /* of hard, of soft purges */
} ALIGNED(CACHE_LINE);
static_assert(sizeof(struct bucket) == CACHE_LINE, "a bucket is one cache line");

struct pattern {
	uint64_t seq; /* 0: unused */
	bool soft;
	uint32_t len;
	char text[INVAL_PATTERN_MAX];
};

struct inval {
	uint64_t seq;
	/* Newest numbers of each sort, so that most look-ups end early. */
	uint64_t key_seq;
	uint64_t soft_key_seq;
	uint64_t tag_seq;
	uint64_t pattern_seq;
	uint64_t all[2];    /* hard, soft */
	uint64_t forgot[2]; /* patterns: hard, soft */
	uint64_t swept;
	uint64_t overflows;
	uint32_t mask; /* of bucket numbers */
	struct pattern patterns[INVAL_PATTERNS];
	struct bucket buckets[]; /* of keys, then of tags */
};

/* The newest hard and soft purge that hit an object; 0: none. */
struct hits {
	uint64_t seq[2];
};

size_t inval_bytes(uint32_t slots)
{
	return sizeof(struct inval) + 2 * (size_t)slots / BUCKET_WAYS * sizeof(struct bucket);
}

struct inval *inval_init(void *mem, uint32_t slots)
{
	struct inval *v = mem;

	assert(is_pow2(slots) && slots >= INVAL_SLOTS_MIN);
	v->mask = slots / BUCKET_WAYS - 1;
	return v;
}

enum status inval_create(struct inval **out, uint32_t slots)
{
	*out = NULL;
	if (!is_pow2(slots) || slots < INVAL_SLOTS_MIN)
		return ST_INVALID;
	size_t bytes = align_up(inval_bytes(slots), CACHE_LINE);
	void *mem = aligned_alloc(CACHE_LINE, bytes);

	if (mem == NULL)
		return ST_NOMEM;
	memset(mem, 0, bytes);
	*out = inval_init(mem, slots);
	return ST_OK;
}

void inval_destroy(struct inval *v)
{
	free(v);
}

uint64_t inval_seq(const struct inval *v)
{
	return v->seq;
}

uint64_t inval_overflows(const struct inval *v)
{
	return v->overflows;
}

uint32_t inval_tag_hash(struct span tag)
{
	return (uint32_t)hash64(tag.ptr, tag.len, TAG_SEED);
}

static void raise_to(uint64_t *at, uint64_t seq)
{
	*at = max_u64(*at, seq);
}

enum table { KEYS, TAGS };

static struct bucket *bucket_of(const struct inval *v, enum table table, uint32_t hash)
{
	size_t first = table == TAGS ? (size_t)v->mask + 1 : 0;

	return (struct bucket *)&v->buckets[first + (hash & v->mask)];
}

static void bucket_add(struct bucket *b, uint32_t hash, uint64_t seq, bool soft)
{
	uint64_t word = seq << 1 | soft;
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < BUCKET_WAYS; i++) {
		if (b->seq[i] != 0 && b->hash[i] == hash && (b->seq[i] & 1) == soft) {
			raise_to(&b->seq[i], word);
			return;
		}
		if (b->seq[i] < b->seq[oldest])
			oldest = i;
	}
	if (b->seq[oldest] > word) { /* late, and older than all: it is the floor itself */
		raise_to(&b->floor[soft], seq);
		return;
	}
	raise_to(&b->floor[b->seq[oldest] & 1], b->seq[oldest] >> 1);
	b->seq[oldest] = word;
	b->hash[oldest] = hash;
}

static void table_look(const struct inval *v, enum table table, uint32_t hash, struct hits *hits)
{
	const struct bucket *b = bucket_of(v, table, hash);

	raise_to(&hits->seq[0], b->floor[0]);
	raise_to(&hits->seq[1], b->floor[1]);
	for (uint32_t i = 0; i < BUCKET_WAYS; i++)
		if (b->hash[i] == hash)
			raise_to(&hits->seq[b->seq[i] & 1], b->seq[i] >> 1);
}

static void pattern_forget(struct inval *v, const struct pattern *p)
{
	if (p->seq > v->swept && p->seq > v->forgot[p->soft])
		v->overflows++;
	raise_to(&v->forgot[p->soft], p->seq);
}

static bool pattern_eq(const struct pattern *p, struct span text)
{
	return p->seq != 0 && span_eq(span_of(p->text, p->len), text);
}

static void pattern_set(struct pattern *p, const struct inval_purge *from, struct span text)
{
	p->seq = from->seq;
	p->soft = from->soft;
	p->len = (uint32_t)text.len;
	memcpy(p->text, text.ptr, text.len);
}

/* The same patterns come again and again (cascades of a rule): each has one place. */
static void pattern_add(struct inval *v, const struct inval_purge *from)
{
	char cut[INVAL_PATTERN_MAX];
	struct span text = from->text;
	struct pattern *oldest = &v->patterns[0];

	if (text.len == 0) /* matches the empty key only, which nothing has */
		return;
	if (text.len > INVAL_PATTERN_MAX) {
		memcpy(cut, text.ptr, INVAL_PATTERN_MAX - 1);
		cut[INVAL_PATTERN_MAX - 1] = '*';
		text = span_of(cut, INVAL_PATTERN_MAX);
	}
	raise_to(&v->pattern_seq, from->seq);
	for (uint32_t i = 0; i < INVAL_PATTERNS; i++) {
		struct pattern *p = &v->patterns[i];

		if (pattern_eq(p, text) && p->soft == from->soft) {
			raise_to(&p->seq, from->seq);
			return;
		}
		if (p->seq < oldest->seq)
			oldest = p;
	}
	if (oldest->seq > from->seq) { /* late, and older than all */
		pattern_forget(v, &(struct pattern){.seq = from->seq, .soft = from->soft});
		return;
	}
	pattern_forget(v, oldest);
	pattern_set(oldest, from, text);
}

static void key_add(struct inval *v, const struct inval_purge *p)
{
	uint32_t hash = inval_tag_hash(p->text);

	raise_to(&v->key_seq, p->seq);
	bucket_add(bucket_of(v, KEYS, hash), hash, p->seq, p->soft);
	if (!p->soft)
		return;
	raise_to(&v->soft_key_seq, p->seq);
	bucket_add(bucket_of(v, TAGS, hash), hash, p->seq, true);
}

static void tag_add(struct inval *v, const struct inval_purge *p)
{
	uint32_t hash = inval_tag_hash(p->text);

	raise_to(&v->tag_seq, p->seq);
	bucket_add(bucket_of(v, TAGS, hash), hash, p->seq, p->soft);
}

void inval_add(struct inval *v, const struct inval_purge *p)
{
	switch (p->kind) {
	case INVAL_KEY:
		key_add(v, p);
		break;
	case INVAL_TAG:
		tag_add(v, p);
		break;
	case INVAL_PATTERN:
		pattern_add(v, p);
		break;
	case INVAL_ALL:
		raise_to(&v->all[p->soft], p->seq);
		break;
	case INVAL_KINDS:
		return;
	}
	raise_to(&v->seq, p->seq);
	if (p->seq <= v->swept) /* late: what was walked must be looked at again */
		v->swept = p->seq - 1;
}

/* A variant lies under "primary \n id values" (cache/vary.h). */
static struct span primary_key(struct span key)
{
	const char *end = memchr(key.ptr, '\n', key.len);

	return end != NULL ? span_of(key.ptr, (size_t)(end - key.ptr)) : key;
}

static void look_keys(const struct inval *v, enum table table, const struct object *o,
                      struct hits *hits)
{
	struct span key = object_key(o);
	struct span primary = primary_key(key);

	table_look(v, table, inval_tag_hash(key), hits);
	if (primary.len != key.len)
		table_look(v, table, inval_tag_hash(primary), hits);
}

static void look_tags(const struct inval *v, const struct object *o, struct hits *hits)
{
	const char *tags = object_tags(o);

	for (uint32_t i = 0; i < o->tag_count; i++) {
		uint32_t hash;

		memcpy(&hash, tags + i * sizeof(hash), sizeof(hash));
		table_look(v, TAGS, hash, hits);
	}
}

/* Only patterns above `after` can change anything. */
static void look_patterns(const struct inval *v, const struct object *o, uint64_t after,
                          struct hits *hits)
{
	struct span key = primary_key(object_key(o));

	for (uint32_t i = 0; i < INVAL_PATTERNS; i++) {
		const struct pattern *p = &v->patterns[i];

		if (p->seq > after && p->seq > hits->seq[p->soft] &&
		    cache_key_match(key, span_of(p->text, p->len)))
			hits->seq[p->soft] = p->seq;
	}
}

static enum inval_state verdict(const struct hits *hits, uint64_t born_seq, uint64_t *by)
{
	for (uint32_t soft = 0; soft < 2; soft++) {
		if (hits->seq[soft] <= born_seq)
			continue;
		*by = hits->seq[soft];
		return soft ? INVAL_STALE : INVAL_DEAD;
	}
	*by = 0;
	return INVAL_LIVE;
}

enum inval_state inval_judge(const struct inval *v, const struct object *o, bool stored,
                             uint64_t *by)
{
	uint64_t covered = stored ? v->swept : 0;
	struct hits hits = {{0, 0}};

	if (o->born_seq >= v->seq)
		return verdict(&hits, o->born_seq, by);
	for (uint32_t soft = 0; soft < 2; soft++) {
		uint64_t any = max_u64(v->all[soft], v->forgot[soft]);

		hits.seq[soft] = any > covered ? any : 0;
	}
	if (!stored && v->key_seq > o->born_seq)
		look_keys(v, KEYS, o, &hits);
	if (stored && v->soft_key_seq > o->born_seq)
		look_keys(v, TAGS, o, &hits);
	if (v->tag_seq > o->born_seq)
		look_tags(v, o, &hits);
	if (v->pattern_seq > max_u64(o->born_seq, covered))
		look_patterns(v, o, max_u64(o->born_seq, covered), &hits);
	return verdict(&hits, o->born_seq, by);
}

enum inval_state inval_check(const struct inval *v, const struct object *o)
{
	uint64_t by;

	return inval_judge(v, o, true, &by);
}

enum inval_state inval_check_fill(const struct inval *v, const struct object *o)
{
	uint64_t by;

	return inval_judge(v, o, false, &by);
}

bool inval_sweep_due(const struct inval *v)
{
	return max_u64(v->pattern_seq, max_u64(v->all[0], v->all[1])) > v->swept;
}

void inval_swept(struct inval *v, uint64_t seq)
{
	raise_to(&v->swept, min_u64(seq, v->seq));
}
