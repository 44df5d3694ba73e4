/* SPDX-License-Identifier: BSD-2-Clause */
#include "hot_model.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS        1024u
#define FILLS       8u
#define PINS        8u
#define MAX_OBJECT  8192u
#define MEMORY      (1u << 20)
#define CHECK_EVERY 8192u

#define CHECK(cond)                                                                \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

static void check_queues(const struct hot_table *t)
{
	uint32_t segs = 0;

	for (uint32_t id = 0; id < HOT_QUEUES; id++) {
		const struct hot_queue *q = &t->queues[id];
		uint32_t count = 0;

		for (uint32_t s = q->oldest; count < q->count; s = t->segs[s].next) {
			CHECK(s < t->seg_count && t->segs[s].queue == id);
			CHECK(t->segs[s].used <= t->seg_units);
			count++;
			CHECK((s == q->newest) == (count == q->count));
		}
		segs += count;
	}
	CHECK(segs == t->seg_count - t->seg_first);
	CHECK((const char *)&t->buckets[t->bucket_room] <=
	      t->log + hot_unit_bytes(t, (uint64_t)t->seg_first * t->seg_units));
}

static uint32_t bucket_first(const struct hot_table *t, const struct hot_entry *e)
{
	return (uint32_t)(hot_first_bucket(t->buckets, t->bucket_count, e->hash) - t->buckets);
}

void hot_table_check(const struct hot_table *t)
{
	uint32_t *over = calloc(t->bucket_count, sizeof(*over));
	uint32_t count = 0, main_count = 0;
	uint64_t bytes = 0;

	CHECK(over != NULL);
	check_queues(t);
	for (uint32_t i = 0; i < t->bucket_count * HOT_SLOTS; i++) {
		struct hot_bucket *b = &t->buckets[i / HOT_SLOTS];
		struct hot_place at;

		if (b->tag[i % HOT_SLOTS] == 0)
			continue;
		const struct hot_entry *e = hot_at(t, b->unit[i % HOT_SLOTS]);
		const struct hot_seg *seg = &t->segs[hot_seg_of(t, hot_unit_of(t, e))];
		struct cache_key key = {.hash = {.lo = (uint64_t)e->hash << (64 - HOT_HASH_BITS),
		                                 .hi = b->tag[i % HOT_SLOTS]},
		                        .text = span_of(hot_entry_text(e), e->key_len)};
		CHECK(seg->queue < HOT_FREE && !hot_is_gap(e));
		CHECK(hot_unit_of(t, e) % t->seg_units + hot_entry_units(t, e) <= seg->used);
		CHECK(hot_index_find(t, &key, &at) && at.b == b && at.slot == i % HOT_SLOTS);
		CHECK(hot_index_find_unit(t, e, &at) && at.b == b && at.slot == i % HOT_SLOTS);
		if (bucket_first(t, e) != i / HOT_SLOTS)
			over[bucket_first(t, e)]++;
		count++;
		main_count += seg->queue == HOT_MAIN;
		bytes += hot_unit_bytes(t, hot_entry_units(t, e));
	}
	for (uint32_t i = 0; i < t->bucket_count; i++)
		CHECK(t->buckets[i].over >= over[i]);
	CHECK(count == t->count && main_count == t->main_count && bytes == t->bytes);
	CHECK(counter_read(t->ctr, CTR_cache_objects) == count);
	CHECK(counter_read(t->ctr, CTR_cache_bytes) == bytes);
	free(over);
}

struct model_key {
	uint32_t version; /* of what was stored last; 0: nothing */
	uint32_t len;
	bool stale; /* by a soft purge */
};

struct model_fill {
	struct hot_fill fill;
	uint32_t key, version, len;
	bool must_refuse;
	uint64_t patterns; /* seen at its start */
};

struct model_pin {
	bool held;
	struct object o;
	uint64_t cookie;
	uint32_t key, version, len;
};

struct model {
	struct hot_table *t;
	struct counters ctr;
	struct model_key keys[KEYS];
	struct model_fill fills[FILLS];
	struct model_pin pins[PINS];
	uint32_t next_version;
	uint64_t seq;
	uint64_t patterns;
	struct hot_model_stats stats;
};

/* Keys 2n and 2n + 1 below 64 have one hash. */
static struct cache_key key_make(uint32_t n, char buf[32])
{
	int len = snprintf(buf, 32, "host/%c/%u", n % 4 == 0 ? 'a' : 'b', n);
	struct cache_key key = {.text = span_of(buf, (size_t)len)};
	uint32_t id = n < 64 ? n / 2 : n;

	key.hash = hash128(&id, sizeof(id), 99);
	return key;
}

static char body_byte(uint32_t key, uint32_t version, uint64_t i)
{
	return (char)(key * 131 + version * 29 + i * 7);
}

static void body_make(char *out, const struct model_fill *f, uint64_t from, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		out[i] = body_byte(f->key, f->version, from + i);
}

static bool has_tag(uint32_t n)
{
	return n % 3 == 0;
}

static struct span tag_of(uint32_t n, char buf[32])
{
	return span_of(buf, (size_t)snprintf(buf, 32, "tag:%u", n % 5));
}

static void object_check(const struct object *o, uint32_t n, uint32_t version, uint32_t len)
{
	char buf[32];
	struct cache_key key = key_make(n, buf);

	CHECK(hash128_eq(o->hash, key.hash) && span_eq(object_key(o), key.text));
	CHECK(o->body_len == len && o->response_ms == 1000 + version && o->fields_len == n % 100);
	struct span body = object_body(o);
	for (size_t i = 0; i < body.len; i++)
		CHECK(body.ptr[i] == body_byte(n, version, i));
}

static void op_get(struct model *m, uint32_t n)
{
	char buf[32];
	struct cache_key key = key_make(n, buf);

	hot_prefetch(m->t, key.hash);
	const struct object *o = hot_get(m->t, &key);
	m->stats.gets++;
	if (o == NULL)
		return;
	CHECK(m->keys[n].version != 0);
	object_check(o, n, m->keys[n].version, m->keys[n].len);
	CHECK(!m->keys[n].stale || !object_is_fresh(o, m->t->wall_ms));
	m->stats.hits++;
}

static void op_begin(struct model *m, struct model_fill *f, uint32_t n, uint32_t len, bool known)
{
	struct {
		struct object o;
		char rest[256];
	} head = {0};
	char buf[32];
	struct cache_key key = key_make(n, buf);

	if (f->fill.obj != NULL)
		return;
	head.o = (struct object){.hash = key.hash,
	                         .response_ms = 1000 + ++m->next_version,
	                         .expires_ms = n % 8 == 0 ? 1000 + m->next_version + n : UINT64_MAX,
	                         .body_len = known ? len : UINT64_MAX,
	                         .born_seq = m->seq,
	                         .key_len = (uint32_t)key.text.len,
	                         .fields_len = n % 100,
	                         .status = 200,
	                         .flags = known ? 0 : OBJECT_CHUNKED,
	                         .tag_count = has_tag(n)};
	memcpy(head.rest, key.text.ptr, key.text.len);
	if (has_tag(n)) {
		uint32_t tag = inval_tag_hash(tag_of(n, buf));

		memcpy(head.rest + key.text.len + n % 100, &tag, sizeof(tag));
	}
	*f = (struct model_fill){.key = n, .version = m->next_version, .len = len};
	f->patterns = m->patterns;
	uint64_t room = MAX_OBJECT - sizeof(struct hot_entry) - object_text_bytes(&head.o);
	uint64_t capacity = known ? len : room;
	enum status st = hot_fill_begin(m->t, &f->fill, &head.o, capacity);
	CHECK(st == (len > room && known ? ST_TOOBIG : ST_OK));
	if (len > room)
		f->len = (uint32_t)room;
}

static void op_append(struct model *m, struct model_fill *f, uint32_t len)
{
	char buf[MAX_OBJECT];
	uint64_t left = f->len - f->fill.written;

	if (f->fill.obj == NULL)
		return;
	len = (uint32_t)min_u64(len, left);
	body_make(buf, f, f->fill.written, len);
	CHECK(hot_fill_append(m->t, &f->fill, span_of(buf, len)) == ST_OK);
}

static void op_commit(struct model *m, struct model_fill *f)
{
	if (f->fill.obj == NULL)
		return;
	op_append(m, f, UINT32_MAX);
	const struct object *o = hot_fill_commit(m->t, &f->fill);
	CHECK(f->fill.obj == NULL);
	m->stats.commits++;
	if (o == NULL) {
		/* Without a reason only what shares its place in the table of generations. */
		m->stats.early += !f->must_refuse && m->patterns - f->patterns <= INVAL_PATTERNS;
		m->stats.refused++;
		return;
	}
	CHECK(!f->must_refuse);
	m->keys[f->key] = (struct model_key){.version = f->version, .len = f->len};
	object_check(o, f->key, f->version, f->len);
}

static bool purge_hits(const struct inval_purge *p, uint32_t n)
{
	char buf[32];

	switch (p->kind) {
	case INVAL_KEY:
		return span_eq(key_make(n, buf).text, p->text);
	case INVAL_PATTERN:
		return cache_key_match(key_make(n, buf).text, p->text);
	case INVAL_TAG:
		return has_tag(n) && span_eq(tag_of(n, buf), p->text);
	default:
		return true;
	}
}

static void op_purge(struct model *m, struct inval_purge *p, struct hash128 hash)
{
	uint32_t had = 0;

	p->seq = m->seq += 1 + m->next_version % 2;
	m->patterns += p->kind == INVAL_PATTERN;
	for (uint32_t n = 0; n < KEYS; n++) {
		if (m->keys[n].version == 0 || !purge_hits(p, n))
			continue;
		had++;
		m->keys[n].stale |= p->soft;
		if (!p->soft)
			m->keys[n].version = 0;
	}
	for (uint32_t i = 0; i < FILLS; i++)
		m->fills[i].must_refuse |= purge_hits(p, m->fills[i].key);
	CHECK(hot_purge(m->t, p, hash) <= had);
	CHECK(hot_purge_seq(m->t) == m->seq);
	m->stats.purges++;
}

static void op_purge_some(struct model *m, const uint8_t *op, uint32_t n)
{
	char buf[32];
	struct cache_key key = key_make(n, buf);
	struct inval_purge p = {.soft = op[3] % 3 == 0};
	char pattern[32];

	if (op[0] < 245) {
		p.kind = INVAL_KEY;
		p.text = key.text;
	} else if (op[0] < 246) {
		p.kind = INVAL_TAG;
		p.text = tag_of(n, pattern);
	} else if (op[3] > 0) {
		snprintf(pattern, sizeof(pattern), n % 9 == 0 ? "host/a/*" : "*/%u*", n);
		p.kind = INVAL_PATTERN;
		p.text = span_cstr(pattern);
	} else {
		p.kind = INVAL_ALL;
	}
	op_purge(m, &p, key.hash);
	CHECK(p.kind != INVAL_KEY || p.soft || hot_get(m->t, &key) == NULL);
}

static void op_pin(struct model *m, struct model_pin *p, uint32_t n)
{
	char buf[32];
	struct cache_key key = key_make(n, buf);

	if (p->held) {
		object_check(&p->o, p->key, p->version, p->len);
		hot_unpin(m->t, p->cookie);
		p->held = false;
		return;
	}
	const struct object *o = hot_get(m->t, &key);
	if (o == NULL)
		return;
	*p = (struct model_pin){.held = true,
	                        .o = *o,
	                        .cookie = hot_pin(m->t, o),
	                        .key = n,
	                        .version = m->keys[n].version,
	                        .len = m->keys[n].len};
}

static void op_walk(struct model *m)
{
	const struct object *o;
	uint64_t cursor = 0;
	uint32_t count = 0;

	while ((o = hot_next(m->t, &cursor)) != NULL)
		count++;
	CHECK(count == hot_count(m->t));
	hot_table_check(m->t);
}

/* Half of the gets and puts go to few keys. */
static uint32_t pick_key(const uint8_t *op)
{
	uint32_t n = (uint32_t)op[1] | (uint32_t)op[2] << 8;

	return n & 0x8000 ? n % KEYS : n % (KEYS / 16);
}

static uint32_t pick_len(const uint8_t *op)
{
	return op[3] < 8 ? op[3] : op[3] < 250 ? op[3] * 8u : op[3] * 33u;
}

static void op_run(struct model *m, const uint8_t *op)
{
	struct model_fill *f = &m->fills[op[3] % FILLS];
	struct model_fill once = {0};
	uint32_t n = pick_key(op);

	if (op[0] < 120) {
		op_get(m, n);
	} else if (op[0] < 200) {
		op_begin(m, &once, n, pick_len(op), op[0] & 1);
		op_commit(m, &once);
	} else if (op[0] < 215) {
		op_begin(m, f, n, pick_len(op), op[0] & 1);
	} else if (op[0] < 230) {
		op_append(m, f, op[2] * 4u);
	} else if (op[0] < 240) {
		op_commit(m, f);
	} else if (op[0] < 243) {
		hot_fill_abort(m->t, &f->fill);
	} else if (op[0] < 247) {
		op_purge_some(m, op, n);
	} else if (op[0] < 250) {
		m->stats.swept += hot_sweep(m->t, op[3] * 8u);
	} else {
		op_pin(m, &m->pins[op[3] % PINS], n);
	}
}

void hot_model_run(const uint8_t *data, size_t len, struct hot_model_stats *out)
{
	struct hot_config cfg = {.memory_bytes = MEMORY, .max_object_bytes = MAX_OBJECT};
	struct model *m = calloc(1, sizeof(*m));

	CHECK(m != NULL);
	CHECK(hot_create(&m->t, &cfg, &m->ctr) == ST_OK);
	for (size_t i = 0; i + 4 <= len; i += 4) {
		op_run(m, data + i);
		if (++m->stats.ops % CHECK_EVERY == 0)
			op_walk(m);
	}
	op_walk(m);
	for (uint32_t i = 0; i < FILLS; i++)
		hot_fill_abort(m->t, &m->fills[i].fill);
	for (uint32_t i = 0; i < PINS; i++)
		if (m->pins[i].held)
			op_pin(m, &m->pins[i], 0);
	for (uint32_t s = 0; s < m->t->seg_count; s++)
		CHECK(m->t->segs[s].pins == 0);
	m->stats.evicted = counter_read(&m->ctr, CTR_cache_evict);
	*out = m->stats;
	hot_destroy(m->t);
	free(m);
}
