/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A million random operations on the node store, against a model of what each key may hold: never a
 * foreign, a purged or an older answer, and never more memory than allowed. */
#include "store_fixture.h"

#include <malloc.h>

#define M_KEYS 600u
#define M_VARS 4u /* of every fourth key */
#define M_TAGS 8u
#define M_HELD 32u
#define M_OPEN 16u
#define M_OPS  1000000u
/* glibc counts what its per-thread cache keeps as used: 64 sizes of up to 1 KiB, 7 of each; and 8
 * bytes for each allocation. */
#define HEAP_CACHE (320u << 10)

struct m_key {
	char text[48];
	uint32_t primary; /* index; its own when it is one */
	uint32_t tag;
	uint32_t version; /* stored last; 0: none */
	uint64_t born;    /* of that version */
	uint64_t hard;    /* number of the last purge that matches it */
	uint64_t soft;
	uint64_t list_id; /* of a list, or of the list that a variant was stored under */
};

struct m_fill {
	struct store_fill *f;
	uint32_t key;
	uint32_t version;
	uint32_t len;
	uint32_t at;
	uint64_t born;
	uint64_t list_id;
	bool is_list;
};

static struct model {
	struct m_key keys[M_KEYS];
	struct m_fill open[M_OPEN];
	struct {
		struct store_entry *e;
		uint32_t key;
		uint32_t version;
	} held[M_HELD];
	uint64_t rng;
	uint32_t version;
	uint64_t hits, purges, commits, voided, refreshed;
	unsigned char data[32768];
} m;

static uint32_t rnd(uint32_t n)
{
	m.rng ^= m.rng << 13;
	m.rng ^= m.rng >> 7;
	m.rng ^= m.rng << 17;
	return (uint32_t)(m.rng >> 33) % n;
}

/* Body of a version: its number, then a pattern of it. */
static uint32_t body_len_of(uint32_t version)
{
	return version % 50 == 0 ? 20000 + version % 9000 : 4 + version * 7919 % 12000;
}

static void body_make(uint32_t version)
{
	uint32_t len = body_len_of(version);

	for (uint32_t i = 0; i < len; i++)
		m.data[i] = (unsigned char)(version * 13 + i);
	memcpy(m.data, &version, 4);
}

static bool body_is(const struct store_entry *e, uint32_t version)
{
	uint32_t len = body_len_of(version);

	if (e->body_len != len || e->head->body_len != len || memcmp(e->body, &version, 4) != 0)
		return false;
	for (uint32_t i = 4; i<len; i += len> 2000 ? 97 : 1)
		if (e->body[i] != (unsigned char)(version * 13 + i))
			return false;
	return true;
}

static bool is_list(uint32_t key)
{
	return key % 8 == 0;
}

static void m_init(void)
{
	memset(&m, 0, sizeof(m));
	m.rng = 88172645463325252ull;
	for (uint32_t i = 0; i < M_KEYS; i++) {
		struct m_key *k = &m.keys[i];
		uint32_t in = i % 8;

		k->primary = in <= M_VARS ? i - in : i;
		k->tag = i % M_TAGS;
		if (k->primary != i)
			snprintf(k->text, sizeof(k->text), "host/p%u\nv%u", k->primary, in);
		else
			snprintf(k->text, sizeof(k->text), "host/%c%u", i % 2 != 0 ? 'q' : 'p', i);
	}
}

static struct object *m_head(struct head *h, uint32_t key, uint64_t born)
{
	char tag[16];
	struct about a = {.key = m.keys[key].text, .tag = tag, .born_seq = born};

	snprintf(tag, sizeof(tag), "tag:%u", m.keys[key].tag);
	return head_of(h, &a);
}

/* A list has its identity as its body's version would be; the store compares its fields. */
static void m_list(uint32_t key)
{
	struct m_key *k = &m.keys[key];
	uint64_t id = k->list_id != 0 && rnd(4) != 0 ? k->list_id : 1 + rnd(1000000);
	struct store_entry *e = try_list(k->text, id, "accept");

	if (e == NULL)
		return;
	k->list_id = id;
	k->version = 1;
	k->born = e->head->born_seq;
	store_drop(e);
}

static void m_begin(uint32_t key)
{
	struct m_fill *f = &m.open[rnd(M_OPEN)];
	struct head h;

	if (f->f != NULL)
		return;
	*f = (struct m_fill){.key = key, .version = ++m.version, .born = store_seq(st)};
	f->len = body_len_of(f->version);
	f->list_id = m.keys[m.keys[key].primary].list_id;
	if (store_fill_begin(st, m_head(&h, key, f->born), rnd(2) != 0 ? f->len : UINT64_MAX,
	                     &f->f) != ST_OK)
		f->f = NULL;
}

static void m_commit(struct m_fill *f)
{
	struct m_key *k = &m.keys[f->key];
	struct store_entry *e = store_fill_commit(f->f);

	f->f = NULL;
	if (e == NULL) {
		m.voided++;
		return;
	}
	assert_false(k->hard > f->born); /* a purge since its request left */
	assert_true(body_is(e, f->version));
	store_drop(e);
	m.commits++;
	k->version = f->version;
	k->born = f->born;
	/* What it hangs on now: a list of another identity would have taken it along. */
	k->list_id = m.keys[k->primary].list_id;
}

static void m_step(struct m_fill *f)
{
	uint32_t n;

	if (f->f == NULL)
		return;
	if (rnd(50) == 0) {
		store_fill_abort(f->f);
		f->f = NULL;
		return;
	}
	body_make(f->version);
	n = min_u32(f->len - f->at, 1 + rnd(rnd(2) != 0 ? 30000 : 500));
	if (store_fill_append(f->f, span_of(m.data + f->at, n)) != ST_OK) {
		store_fill_abort(f->f);
		f->f = NULL;
		return;
	}
	f->at += n;
	if (f->at == f->len)
		m_commit(f);
}

static void m_get(uint32_t key)
{
	struct m_key *k = &m.keys[key];
	struct m_key *p = &m.keys[k->primary];
	uint32_t slot = rnd(M_HELD);
	bool stale;
	struct store_entry *e = store_get(st, span_cstr(k->text), &stale);

	if (e == NULL)
		return;
	m.hits++;
	assert_true(span_eq(object_key(e->head), span_cstr(k->text))); /* not a foreign one */
	assert_true(k->version != 0 && k->hard <= k->born);            /* not a purged one */
	assert_true(stale || k->soft <= k->born);
	if (is_list(key)) {
		store_drop(e);
		return;
	}
	assert_true(body_is(e, k->version)); /* the last one */
	if (k != p)
		assert_int_equal(k->list_id, p->list_id);
	if (m.held[slot].e != NULL) {
		assert_true(body_is(m.held[slot].e, m.held[slot].version));
		store_drop(m.held[slot].e);
	}
	m.held[slot].e = e;
	m.held[slot].key = key;
	m.held[slot].version = k->version;
}

static void m_refresh(void)
{
	uint32_t slot = rnd(M_HELD);
	uint32_t key = m.held[slot].key;
	struct m_key *k = &m.keys[key];
	uint64_t before = counts().refreshed;
	uint64_t born = store_seq(st) - rnd(2) * min_u32(3, (uint32_t)store_seq(st));
	struct head h;

	if (m.held[slot].e == NULL)
		return;
	struct store_entry *e = store_refresh(st, m.held[slot].e, m_head(&h, key, born));
	if (e == NULL)
		return;
	assert_true(body_is(e, m.held[slot].version));
	store_drop(e);
	if (counts().refreshed == before)
		return;
	m.refreshed++;
	assert_true(k->hard <= born);
	k->version = m.held[slot].version;
	k->born = born;
	k->list_id = m.keys[k->primary].list_id;
}

static bool m_matches(const struct m_key *k, const struct inval_purge *p)
{
	char tag[16];

	switch (p->kind) {
	case INVAL_KEY:
		return span_eq(span_cstr(m.keys[k->primary].text), p->text);
	case INVAL_PATTERN:
		return cache_key_match(span_cstr(m.keys[k->primary].text), p->text);
	case INVAL_TAG:
		snprintf(tag, sizeof(tag), "tag:%u", k->tag);
		/* A list has no tags, its variants have. */
		return !is_list((uint32_t)(k - m.keys)) && span_eq(span_cstr(tag), p->text);
	default:
		return true;
	}
}

static void m_purge(void)
{
	uint32_t what = rnd(100);
	char text[64];
	struct inval_purge p = {.seq = store_seq(st) + 1, .soft = rnd(4) == 0};

	p.kind = what < 60   ? INVAL_KEY
	         : what < 80 ? INVAL_TAG
	         : what < 98 ? INVAL_PATTERN
	                     : INVAL_ALL;
	if (p.kind == INVAL_KEY)
		snprintf(text, sizeof(text), "%s", m.keys[m.keys[rnd(M_KEYS)].primary].text);
	else if (p.kind == INVAL_TAG)
		snprintf(text, sizeof(text), "tag:%u", rnd(M_TAGS));
	else if (p.kind == INVAL_PATTERN)
		snprintf(text, sizeof(text), "host/%c%u*", rnd(2) != 0 ? 'q' : 'p', 1 + rnd(59));
	else
		text[0] = 0;
	p.text = span_cstr(text);
	store_purge(st, &p);
	m.purges++;
	for (uint32_t i = 0; i < M_KEYS; i++) {
		if (!m_matches(&m.keys[i], &p))
			continue;
		if (p.soft)
			m.keys[i].soft = p.seq;
		else
			m.keys[i].hard = p.seq;
	}
}

static void store_check(void)
{
	uint64_t n = 0;
	uint64_t linked = 0;

	for (uint64_t b = 0; b <= st->bucket_mask; b++)
		for (struct item *it = st->buckets[b]; it != NULL; it = it->hash_next) {
			uint32_t vars = 0;

			assert_true(it->linked);
			for (struct item *v = it->var_oldest; v != NULL; v = v->var_newer, vars++)
				assert_ptr_equal(v->list, it);
			assert_int_equal(vars, it->var_count);
			assert_true(vars <= MAX_VARIANTS);
			n++;
		}
	for (uint32_t q = 0; q < STORE_QUEUES; q++) {
		uint64_t bytes = 0;

		for (struct item *it = st->queues[q].oldest; it != NULL; it = it->newer) {
			bytes += it->bytes;
			linked++;
		}
		assert_int_equal(bytes, st->queues[q].bytes);
	}
	assert_int_equal(n, linked);
	assert_int_equal(n, counts().entries);
	assert_true(counts().bytes <= counts().limit_bytes);
}

static void agrees_with_a_model(void **state)
{
	const struct store_config cfg = {MIB, 26000, MAX_VARIANTS};
	size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd;

	(void)state;
	m_init();
	assert_int_equal(store_create(&st, &cfg), ST_OK);
	for (uint32_t i = 0; i < M_OPS; i++) {
		uint32_t op = rnd(1000);
		uint32_t key = rnd(2) != 0 ? rnd(M_KEYS) : rnd(M_KEYS / 10);

		if (op < 450)
			m_get(key);
		else if (op < 600 && is_list(key))
			m_list(key);
		else if (op < 600)
			m_begin(key);
		else if (op < 930)
			m_step(&m.open[rnd(M_OPEN)]);
		else if (op < 960)
			m_refresh();
		else if (op < 990)
			store_sweep(st, 1 + rnd(64), NOW_MS + i / 10);
		else if (rnd(i / 100000 % 2 == 0 ? 100 : 1) == 0) /* seldom and often in turn */
			m_purge();
		assert_true(counts().bytes <= counts().limit_bytes);
		if (i % 20000 == 0) {
			size_t now = mallinfo2().uordblks + mallinfo2().hblkhd;

			store_check();
			assert_true(now < heap + MIB + HEAP_CACHE);
		}
	}
	print_message("%llu hits, %llu commits, %llu void, %llu purges, %llu refreshed, %llu "
	              "evicted\n",
	              (unsigned long long)m.hits, (unsigned long long)m.commits,
	              (unsigned long long)m.voided, (unsigned long long)m.purges,
	              (unsigned long long)m.refreshed, (unsigned long long)counts().evicted);
	assert_true(m.hits > M_OPS / 20 && m.commits > M_OPS / 50 && m.voided > 100);
	assert_true(m.refreshed > 1000 && counts().evicted > 5000);
	for (uint32_t i = 0; i < M_OPEN; i++)
		if (m.open[i].f != NULL)
			store_fill_abort(m.open[i].f);
	for (uint32_t i = 0; i < M_HELD; i++)
		if (m.held[i].e != NULL)
			store_drop(m.held[i].e);
	store_destroy(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_a_model)};

	return cmocka_run_group_tests_name("store model", tests, NULL, NULL);
}
