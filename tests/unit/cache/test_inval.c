/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges against a model that remembers all of them: an object may be found void too early (a
 * collision, a forgotten pattern), never too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/inval.h"
#include "cache/key.h"

struct made {
	struct object o;
	char rest[512];
};

/* tags: up to three, divided by '|'; NULL: none. */
static const struct object *make(struct made *m, const char *key, const char *tags, uint64_t born)
{
	size_t at = strlen(key);

	memset(m, 0, sizeof(*m));
	m->o.born_seq = born;
	m->o.key_len = (uint32_t)at;
	memcpy(m->rest, key, at);
	while (tags != NULL && *tags != '\0') {
		size_t len = strcspn(tags, "|");
		uint32_t hash = inval_tag_hash(span_of(tags, len));

		memcpy(m->rest + at, &hash, sizeof(hash));
		at += sizeof(hash);
		m->o.tag_count++;
		tags += len + (tags[len] == '|');
	}
	return &m->o;
}

static struct inval *create(uint32_t slots)
{
	struct inval *v;

	assert_int_equal(inval_create(&v, slots), ST_OK);
	return v;
}

static void add(struct inval *v, uint64_t seq, enum inval_kind kind, const char *text)
{
	struct inval_purge p = {.seq = seq, .kind = kind, .text = span_cstr(text)};

	inval_add(v, &p);
}

static void add_soft(struct inval *v, uint64_t seq, enum inval_kind kind, const char *text)
{
	struct inval_purge p = {.seq = seq, .kind = kind, .soft = true, .text = span_cstr(text)};

	inval_add(v, &p);
}

static void test_create(void **state)
{
	static const struct {
		uint32_t slots;
		enum status st;
	} rows[] = {{0, ST_INVALID},    {512, ST_INVALID}, {1000, ST_INVALID},
	            {1025, ST_INVALID}, {1024, ST_OK},     {65536, ST_OK}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct inval *v;

		assert_int_equal(inval_create(&v, rows[i].slots), rows[i].st);
		assert_true((v != NULL) == (rows[i].st == ST_OK));
		if (v != NULL) {
			assert_int_equal(inval_seq(v), 0);
			assert_false(inval_sweep_due(v));
		}
		inval_destroy(v);
	}
	inval_destroy(NULL);
	assert_true(inval_bytes(2048) - inval_bytes(1024) == 1024 * 32);
}

static void test_kinds(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
		const char *key;
		const char *tags;
		bool hit;
	} rows[] = {
	        {INVAL_KEY, "h/a", "h/a", NULL, true},
	        {INVAL_KEY, "h/a", "h/b", NULL, false},
	        {INVAL_KEY, "h/a", "h/a\n17 gzip", NULL, true},
	        {INVAL_KEY, "h/a\n17 gzip", "h/a\n17 gzip", NULL, true},
	        {INVAL_KEY, "h/a\n17 gzip", "h/a", NULL, false},
	        {INVAL_KEY, "h/a\n17 gzip", "h/a\n17 br", NULL, false},
	        {INVAL_KEY, "tag:x", "h/a", "tag:x", false},
	        {INVAL_KEY, "", "h/a", NULL, false},
	        {INVAL_PATTERN, "h/*", "h/a", NULL, true},
	        {INVAL_PATTERN, "h/*", "g/a", NULL, false},
	        {INVAL_PATTERN, "*.json", "h/a.json\n17 gzip", NULL, true},
	        {INVAL_PATTERN, "*gzip", "h/a.json\n17 gzip", NULL, false},
	        {INVAL_PATTERN, "h/a", "h/a", NULL, true},
	        {INVAL_PATTERN, "", "h/a", NULL, false},
	        {INVAL_PATTERN, "*", "h/a", NULL, true},
	        {INVAL_TAG, "tag:x", "h/a", NULL, false},
	        {INVAL_TAG, "tag:x", "h/a", "tag:x", true},
	        {INVAL_TAG, "tag:x", "h/a", "tag:y|user:1|tag:x", true},
	        {INVAL_TAG, "tag:x", "h/a", "tag:y|user:x", false},
	        {INVAL_TAG, "tag:x", "tag:x", NULL, false},
	        {INVAL_ALL, "", "h/a", NULL, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (unsigned soft = 0; soft < 2; soft++) {
			struct inval *v = create(1024);
			enum inval_state want =
			        !rows[i].hit ? INVAL_LIVE : (soft ? INVAL_STALE : INVAL_DEAD);
			struct made m;
			uint64_t by;

			(soft ? add_soft : add)(v, 7, rows[i].kind, rows[i].text);
			assert_int_equal(inval_seq(v), 7);
			const struct object *o = make(&m, rows[i].key, rows[i].tags, 6);
			if (inval_judge(v, o, false, &by) != want)
				fail_msg("row %zu soft %u", i, soft);
			assert_int_equal(by, rows[i].hit ? 7 : 0);
			/* The tier does by itself what a hard purge of a key asks for. */
			if (rows[i].kind == INVAL_KEY && !soft)
				want = INVAL_LIVE;
			if (inval_judge(v, o, true, &by) != want)
				fail_msg("row %zu soft %u, stored", i, soft);
			assert_int_equal(by, want != INVAL_LIVE ? 7 : 0);
			/* Born with it, or after it. */
			o = make(&m, rows[i].key, rows[i].tags, 7);
			assert_int_equal(inval_check_fill(v, o), INVAL_LIVE);
			o = make(&m, rows[i].key, rows[i].tags, UINT64_MAX);
			assert_int_equal(inval_check(v, o), INVAL_LIVE);
			inval_destroy(v);
		}
	}
}

/* A hard purge and a soft one of the same thing, in both orders. */
static void test_soft_and_hard(void **state)
{
	static const struct {
		enum inval_kind kind;
		const char *text;
	} rows[] = {{INVAL_KEY, "h/a"}, {INVAL_PATTERN, "h/*"}, {INVAL_TAG, "t"}, {INVAL_ALL, ""}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct inval *v = create(1024);
		struct made m;

		add(v, 10, rows[i].kind, rows[i].text);
		add_soft(v, 20, rows[i].kind, rows[i].text);
		assert_int_equal(inval_check_fill(v, make(&m, "h/a", "t", 9)), INVAL_DEAD);
		assert_int_equal(inval_check_fill(v, make(&m, "h/a", "t", 10)), INVAL_STALE);
		assert_int_equal(inval_check_fill(v, make(&m, "h/a", "t", 20)), INVAL_LIVE);
		add(v, 30, rows[i].kind, rows[i].text);
		assert_int_equal(inval_check_fill(v, make(&m, "h/a", "t", 29)), INVAL_DEAD);
		/* Late ones: honoured for what is older, and no younger purge forgotten. */
		add(v, 5, rows[i].kind, rows[i].text);
		add_soft(v, 15, rows[i].kind, rows[i].text);
		assert_int_equal(inval_check_fill(v, make(&m, "h/a", "t", 29)), INVAL_DEAD);
		assert_int_equal(inval_check_fill(v, make(&m, "h/a", "t", 30)), INVAL_LIVE);
		assert_int_equal(inval_seq(v), 30);
		inval_destroy(v);
	}
}

/* The number that a new copy was born with voids the older ones and spares it. */
static void test_replace(void **state)
{
	struct inval *v = create(1024);
	struct made m;

	(void)state;
	add(v, 50, INVAL_TAG, "other");
	add(v, 40, INVAL_KEY, "h/a");
	assert_int_equal(inval_seq(v), 50);
	assert_int_equal(inval_check_fill(v, make(&m, "h/a", NULL, 39)), INVAL_DEAD);
	assert_int_equal(inval_check_fill(v, make(&m, "h/a", NULL, 40)), INVAL_LIVE);
	inval_destroy(v);
}

static void test_long_pattern(void **state)
{
	struct inval *v = create(1024);
	char text[INVAL_PATTERN_MAX + 101];
	struct made m;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	add(v, 1, INVAL_PATTERN, text);
	/* Cut, it matches whatever begins like it. */
	text[INVAL_PATTERN_MAX - 1] = '\0';
	memset(&m, 0, sizeof(m));
	struct {
		struct object o;
		char key[INVAL_PATTERN_MAX];
	} big = {.o = {.key_len = INVAL_PATTERN_MAX - 1}};
	memcpy(big.key, text, INVAL_PATTERN_MAX - 1);
	assert_int_equal(inval_check(v, &big.o), INVAL_DEAD);
	big.key[3] = 'y';
	assert_int_equal(inval_check(v, &big.o), INVAL_LIVE);
	inval_destroy(v);
}

/* Patterns beyond those that are remembered: what is older is void, unless a walk saw it. */
static void test_forgotten(void **state)
{
	struct inval *v = create(1024);
	struct made m;
	char text[32];

	(void)state;
	for (uint64_t i = 1; i <= INVAL_PATTERNS; i++) {
		snprintf(text, sizeof(text), "p%lu*", (unsigned long)i);
		add(v, i, INVAL_PATTERN, text);
	}
	assert_int_equal(inval_check_fill(v, make(&m, "h/a", NULL, 0)), INVAL_LIVE);
	add(v, INVAL_PATTERNS + 1, INVAL_PATTERN, text); /* again: no new place */
	assert_int_equal(inval_check_fill(v, make(&m, "h/a", NULL, 0)), INVAL_LIVE);
	assert_int_equal(inval_overflows(v), 0);
	add(v, INVAL_PATTERNS + 2, INVAL_PATTERN, "q*");
	assert_int_equal(inval_overflows(v), 1);
	assert_int_equal(inval_check(v, make(&m, "h/a", NULL, 0)), INVAL_DEAD);
	assert_int_equal(inval_check(v, make(&m, "h/a", NULL, 1)), INVAL_LIVE);

	/* After a walk only fills need the forgotten ones. */
	assert_true(inval_sweep_due(v));
	inval_swept(v, inval_seq(v));
	assert_false(inval_sweep_due(v));
	assert_int_equal(inval_check(v, make(&m, "h/a", NULL, 0)), INVAL_LIVE);
	assert_int_equal(inval_check(v, make(&m, "q", NULL, 0)), INVAL_LIVE);
	assert_int_equal(inval_check_fill(v, make(&m, "h/a", NULL, 0)), INVAL_DEAD);
	assert_int_equal(inval_check_fill(v, make(&m, "q", NULL, 60)), INVAL_DEAD);
	add(v, INVAL_PATTERNS + 3, INVAL_PATTERN, "r*");
	assert_int_equal(inval_overflows(v), 1);

	/* A late one behind the walk asks for another. */
	inval_swept(v, inval_seq(v));
	add(v, 60, INVAL_PATTERN, "q*");
	assert_int_equal(inval_check(v, make(&m, "q", NULL, 59)), INVAL_DEAD);
	inval_destroy(v);
}

#define MODEL_KEYS  64u
#define MODEL_TAGS  24u
#define MODEL_LOG   40000u
#define MODEL_STEPS 60000u

struct logged {
	struct inval_purge p;
	char text[24];
};

struct stored {
	struct made m;
	uint32_t key, tag[2], tags;
	bool there, acted_soft;
};

struct model {
	struct inval *v;
	struct logged *log;
	uint32_t logged;
	struct stored objs[MODEL_KEYS];
	uint64_t seq;
	uint64_t swept;
	unsigned rnd;
	uint64_t live, early;
};

static uint32_t some(struct model *m, uint32_t below)
{
	return (uint32_t)rand_r(&m->rnd) % below;
}

static bool model_matches(const struct logged *l, const struct stored *s)
{
	struct span key = object_key(&s->m.o);
	char tag[24];

	switch (l->p.kind) {
	case INVAL_KEY:
		return span_eq(key, l->p.text) ||
		       (key.len > l->p.text.len && key.ptr[l->p.text.len] == '\n' &&
		        memcmp(key.ptr, l->p.text.ptr, l->p.text.len) == 0);
	case INVAL_PATTERN: {
		const char *end = memchr(key.ptr, '\n', key.len);

		return cache_key_match(span_of(key.ptr, end ? (size_t)(end - key.ptr) : key.len),
		                       l->p.text);
	}
	case INVAL_TAG:
		for (uint32_t i = 0; i < s->tags; i++) {
			snprintf(tag, sizeof(tag), "tag:%u", s->tag[i]);
			if (span_eq(span_cstr(tag), l->p.text))
				return true;
		}
		return false;
	default:
		return true;
	}
}

/* What all purges there ever were make of it. */
static enum inval_state model_state(const struct model *m, const struct stored *s)
{
	enum inval_state worst = INVAL_LIVE;

	for (uint32_t i = m->logged; i > 0 && worst != INVAL_DEAD; i--) {
		const struct logged *l = &m->log[i - 1];

		if (l->p.seq > s->m.o.born_seq && model_matches(l, s))
			worst = l->p.soft ? INVAL_STALE : INVAL_DEAD;
	}
	return worst;
}

static void model_purge(struct model *m)
{
	struct logged *l = &m->log[m->logged++];
	uint32_t kind = some(m, 100);
	uint32_t key = some(m, MODEL_KEYS);

	l->p.seq = m->seq += 1 + some(m, 3);
	l->p.soft = some(m, 3) == 0;
	l->p.kind = kind < 50 ? INVAL_KEY : (kind < 80 ? INVAL_TAG : INVAL_PATTERN);
	if (kind == 99)
		l->p.kind = INVAL_ALL;
	if (l->p.kind == INVAL_KEY)
		snprintf(l->text, sizeof(l->text), "k/%u", key);
	else if (l->p.kind == INVAL_TAG)
		snprintf(l->text, sizeof(l->text), "tag:%u", some(m, MODEL_TAGS));
	else if (l->p.kind == INVAL_PATTERN)
		snprintf(l->text, sizeof(l->text), some(m, 2) ? "*%u" : "k/%u*", key);
	l->p.text = span_cstr(l->text);
	inval_add(m->v, &l->p);
	/* As a tier does: with its list, which is removed, a variant is not found any more. */
	for (uint32_t i = 0; i < MODEL_KEYS && l->p.kind == INVAL_KEY && !l->p.soft; i++)
		if (model_matches(l, &m->objs[i]))
			m->objs[i].there = false;
}

static void model_store(struct model *m, uint32_t n)
{
	struct stored s = {.key = n, .tags = some(m, 3), .there = true};
	uint64_t back = some(m, 4) == 0 ? some(m, 200) : 0;
	char key[24], tags[64] = "";

	for (uint32_t i = 0; i < s.tags; i++) {
		s.tag[i] = some(m, MODEL_TAGS);
		snprintf(tags + strlen(tags), 24, "tag:%u|", s.tag[i]);
	}
	snprintf(key, sizeof(key), n % 4 == 0 ? "k/%u\n9 gzip" : "k/%u", n);
	make(&s.m, key, tags, m->seq - min_u64(back, m->seq));
	enum inval_state want = model_state(m, &s), is = inval_check_fill(m->v, &s.m.o);
	assert_true(is >= want);
	m->early += is > want;
	if (is == INVAL_LIVE)
		m->objs[n] = s;
}

static void model_look(struct model *m, struct stored *s)
{
	enum inval_state want, is;

	if (!s->there)
		return;
	want = model_state(m, s);
	is = inval_check(m->v, &s->m.o);
	/* The walk acted on soft purges: they need not be told again. */
	if (s->acted_soft)
		is = is > INVAL_STALE ? is : INVAL_STALE;
	if (is < want)
		fail_msg("key %u born %lu: %d, not %d", s->key, (unsigned long)s->m.o.born_seq, is,
		         want);
	m->early += is > want;
	m->live += is == INVAL_LIVE;
	s->there = is != INVAL_DEAD;
}

static void model_sweep(struct model *m)
{
	uint64_t seq = inval_seq(m->v);

	for (uint32_t i = 0; i < MODEL_KEYS; i++) {
		struct stored *s = &m->objs[i];

		if (some(m, 8) == 0)
			model_purge(m); /* within the walk */
		if (s->there && inval_check(m->v, &s->m.o) == INVAL_STALE)
			s->acted_soft = true;
		model_look(m, s);
	}
	inval_swept(m->v, seq);
}

static void test_model(void **state)
{
	struct model m = {.rnd = 7};

	(void)state;
	m.log = calloc(MODEL_LOG, sizeof(*m.log));
	assert_non_null(m.log);
	m.v = create(1024);
	for (uint32_t step = 0; step < MODEL_STEPS && m.logged + MODEL_KEYS < MODEL_LOG; step++) {
		uint32_t n = some(&m, MODEL_KEYS), op = some(&m, 100);

		if (op < 10)
			model_purge(&m);
		else if (op < 50)
			model_store(&m, n);
		else if (op < 99)
			model_look(&m, &m.objs[n]);
		else if (some(&m, 4) == 0)
			model_sweep(&m);
	}
	/* A model that never finds anything alive, or a table that voids all, would prove nothing.
	 */
	assert_true(m.logged > 5000 && m.live > 5000);
	print_message("%u purges, %lu live, %lu too early\n", m.logged, (unsigned long)m.live,
	              (unsigned long)m.early);
	assert_true(m.early * 10 < m.live);
	inval_destroy(m.v);
	free(m.log);
}

/* Many more keys than slots: collisions void too early, never too late. */
static void test_collisions(void **state)
{
	enum { KEYS = 20000 };
	struct inval *v = create(1024);
	uint64_t *purged = calloc(KEYS, sizeof(*purged));
	unsigned rnd = 3;
	uint32_t early = 0, live = 0;
	struct made m;
	char key[24];

	(void)state;
	assert_non_null(purged);
	for (uint64_t seq = 1; seq <= 5000; seq++) {
		uint32_t n = (uint32_t)rand_r(&rnd) % KEYS;

		snprintf(key, sizeof(key), "k/%u", n);
		add(v, seq, INVAL_KEY, key);
		purged[n] = seq;
		n = (uint32_t)rand_r(&rnd) % KEYS;
		uint64_t born = seq - (uint64_t)rand_r(&rnd) % min_u64(seq, 400);
		snprintf(key, sizeof(key), "k/%u", n);
		bool is = inval_check_fill(v, make(&m, key, NULL, born)) != INVAL_LIVE;
		assert_true(is || purged[n] <= born);
		early += is && purged[n] <= born;
		live += !is;
	}
	print_message("%u live, %u too early\n", live, early);
	assert_true(live > 4000);
	inval_destroy(v);
	free(purged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_create),        cmocka_unit_test(test_kinds),
	        cmocka_unit_test(test_soft_and_hard), cmocka_unit_test(test_replace),
	        cmocka_unit_test(test_long_pattern),  cmocka_unit_test(test_forgotten),
	        cmocka_unit_test(test_model),         cmocka_unit_test(test_collisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
