/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hot tables of two cores, the node's store and an origin whose answers change, with purges and
 * fills in random order, and with changes that are written through: whatever is under way, nobody
 * is served what was purged or changed before he asked, nor another key's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/hot_table.h"
#include "cache/store.h"

#define STEPS   1000000u
#define CORES   2u
#define KEYS    256u
#define TAGS    16u
#define FETCHES 64u
#define CHANGES 16u /* some of them of one key */
#define QUEUE   256u
#define WALL_MS 1000000u

/* What a purge asks of a key: a version below hard must not be served, one below soft only stale.
 */
struct floors {
	uint32_t hard[KEYS];
	uint32_t soft[KEYS];
};

struct answer {
	struct object o;
	char rest[64]; /* key, a tag or none, version */
};

/* Control to core, in order. */
struct message {
	bool is_purge;
	struct inval_purge p;
	char text[24];
	struct floors *floors; /* at its order */
	struct answer a;
};

struct core {
	struct hot_table *hot;
	struct counters ctr;
	struct message queue[QUEUE];
	uint32_t first, count;
	struct floors floors; /* of the purges that it has carried out */
	struct hot_fill fill; /* under way */
	struct answer filling;
};

/* A change under way: the origin makes it some time after it was asked, and answers later still. */
struct change {
	bool used, made;
	uint32_t key;
	uint64_t born;
	uint32_t version;
};

struct fetch {
	bool used, answered;
	uint32_t key, core;
	uint64_t born;
	uint32_t version;
};

static struct world {
	struct core cores[CORES];
	struct store *store;
	struct floors floors; /* of all purges that were ordered */
	uint32_t versions[KEYS];
	uint32_t tags[KEYS];
	struct fetch fetches[FETCHES];
	struct change changes[CHANGES];
	uint64_t seq;
	unsigned rnd;
	uint64_t hot_hits, store_hits, origin, refused, purges, stale, written, overlapped;
} w;

static uint32_t some(uint32_t below)
{
	return (uint32_t)rand_r(&w.rnd) % below;
}

static struct span key_text(uint32_t n, char buf[24])
{
	return span_of(buf, (size_t)snprintf(buf, 24, "h/%c/%u", 'a' + (char)(n % 4), n));
}

static struct hash128 key_hash(struct span text)
{
	return hash128(text.ptr, text.len, 3);
}

static struct span tag_text(uint32_t tag, char buf[24])
{
	return span_of(buf, (size_t)snprintf(buf, 24, "tag:%u", tag));
}

static void answer_make(struct answer *a, uint32_t key, uint32_t version, uint64_t born)
{
	char buf[24];
	struct span text = key_text(key, buf);
	uint32_t tag;

	memset(a, 0, sizeof(*a));
	a->o = (struct object){.hash = key_hash(text),
	                       .response_ms = WALL_MS,
	                       .expires_ms = UINT64_MAX,
	                       .body_len = sizeof(version),
	                       .born_seq = born,
	                       .key_len = (uint32_t)text.len,
	                       .status = 200,
	                       .flags = OBJECT_STORABLE,
	                       .tag_count = key % 2};
	memcpy(a->rest, text.ptr, text.len);
	tag = inval_tag_hash(tag_text(w.tags[key], buf));
	memcpy(a->rest + text.len, &tag, sizeof(tag) * a->o.tag_count);
	memcpy((char *)a + object_head_bytes(&a->o), &version, sizeof(version));
}

static struct span answer_body(const struct answer *a)
{
	return span_of((const char *)a + object_head_bytes(&a->o), sizeof(uint32_t));
}

/* Is it the key's, and no older than the purges allow? */
static void check(const struct object *o, struct span body, uint32_t key, bool is_stale,
                  const struct floors *f)
{
	char buf[24];
	uint32_t version;

	assert_true(span_eq(object_key(o), key_text(key, buf)));
	assert_int_equal(body.len, sizeof(version));
	memcpy(&version, body.ptr, sizeof(version));
	if (version < f->hard[key])
		fail_msg("key %u: version %u was purged, %u is the least", key, version,
		         f->hard[key]);
	if (version < f->soft[key] && !is_stale)
		fail_msg("key %u: version %u is not stale, %u is the least", key, version,
		         f->soft[key]);
	w.stale += is_stale;
}

static struct message *post(struct core *c)
{
	if (c->count == QUEUE)
		return NULL;
	return &c->queue[(c->first + c->count++) % QUEUE];
}

static void answer_send(uint32_t core, const struct answer *a)
{
	struct message *m = post(&w.cores[core]);

	if (m == NULL)
		return; /* the client's answer needs no place in the table */
	m->is_purge = false;
	m->a = *a;
}

static void fetch_begin(uint32_t core, uint32_t key)
{
	for (uint32_t i = 0; i < FETCHES; i++) {
		struct fetch *f = &w.fetches[i];

		if (f->used)
			continue;
		*f = (struct fetch){.used = true, .key = key, .core = core, .born = w.seq};
		return;
	}
}

/* A core asks: its own table, then control's store, then the origin. */
static void ask(uint32_t core, uint32_t key)
{
	struct core *c = &w.cores[core];
	char buf[24];
	struct cache_key k = {.text = key_text(key, buf)};
	const struct object *o;
	struct store_entry *e;
	bool stale;

	k.hash = key_hash(k.text);
	o = hot_get(c->hot, &k);
	if (o != NULL) {
		bool is_stale = !object_is_fresh(o, WALL_MS);

		check(o, object_body(o), key, is_stale, &c->floors);
		w.hot_hits += !is_stale;
		if (!is_stale)
			return;
	}
	e = store_get(w.store, k.text, &stale);
	if (e != NULL) {
		struct span body = span_of(e->body, e->body_len);
		struct answer a;
		uint32_t version;

		check(e->head, body, key, stale, &w.floors);
		memcpy(&version, body.ptr, sizeof(version));
		answer_make(&a, key, version,
		            max_u64(e->head->born_seq, store_live_seq(w.store, e)));
		store_drop(e);
		w.store_hits += !stale;
		if (!stale) {
			answer_send(core, &a);
			return;
		}
	}
	fetch_begin(core, key);
}

/* The origin reads its data, some time after it was asked; later still the answer is here. */
static void fetch_step(struct fetch *f)
{
	struct answer a;
	struct store_entry *e;

	if (!f->used)
		return;
	if (!f->answered) {
		f->answered = true;
		f->version = w.versions[f->key];
		return;
	}
	f->used = false;
	w.origin++;
	answer_make(&a, f->key, f->version, f->born);
	a.o.hash = (struct hash128){0};
	e = store_put(w.store, &a.o, answer_body(&a));
	w.refused += e == NULL;
	if (e != NULL)
		store_drop(e);
	answer_make(&a, f->key, f->version, f->born);
	answer_send(f->core, &a);
}

static bool hits(const struct inval_purge *p, uint32_t key)
{
	char buf[24];

	switch (p->kind) {
	case INVAL_KEY:
		return span_eq(key_text(key, buf), p->text);
	case INVAL_PATTERN:
		return cache_key_match(key_text(key, buf), p->text);
	case INVAL_TAG:
		return key % 2 && span_eq(tag_text(w.tags[key], buf), p->text);
	default:
		return true;
	}
}

static void floors_raise(struct floors *to, const struct floors *from)
{
	for (uint32_t k = 0; k < KEYS; k++) {
		to->hard[k] = max_u32(to->hard[k], from->hard[k]);
		to->soft[k] = max_u32(to->soft[k], from->soft[k]);
	}
}

static void purge_make(struct inval_purge *p, char text[24])
{
	uint32_t key = some(KEYS), kind = some(1000);

	*p = (struct inval_purge){.soft = some(3) == 0};
	if (kind < 600) {
		p->kind = INVAL_KEY;
		p->text = key_text(key, text);
	} else if (kind < 900) {
		p->kind = INVAL_TAG;
		p->text = tag_text(some(TAGS), text);
	} else if (kind < 998) {
		p->kind = INVAL_PATTERN;
		snprintf(text, 24, some(2) ? "h/*/%u" : "h/%2$c*/%1$u*", key % 32,
		         'a' + (char)(key % 4));
		p->text = span_cstr(text);
	} else {
		p->kind = INVAL_ALL;
	}
}

/* In every tier from here on; text: of p. */
static void purge_order(struct inval_purge *p, const char text[24])
{
	p->seq = w.seq += 1 + some(2);
	store_purge(w.store, p);
	for (uint32_t c = 0; c < CORES; c++) {
		struct message *m = post(&w.cores[c]);

		m->is_purge = true;
		m->p = *p;
		memcpy(m->text, text, sizeof(m->text));
		m->p.text = span_of(m->text, p->text.len);
		m->floors = malloc(sizeof(*m->floors));
		assert_non_null(m->floors);
		*m->floors = w.floors;
	}
}

static bool queue_is_full(void)
{
	for (uint32_t c = 0; c < CORES; c++)
		if (w.cores[c].count == QUEUE)
			return true;
	return false;
}

static void purge(void)
{
	struct inval_purge p;
	char text[24] = "";

	if (queue_is_full())
		return;
	purge_make(&p, text);
	for (uint32_t k = 0; k < KEYS; k++) {
		if (!hits(&p, k))
			continue;
		w.versions[k]++;
		(p.soft ? w.floors.soft : w.floors.hard)[k] = w.versions[k];
	}
	purge_order(&p, text);
	w.purges++;
}

static void change_begin(uint32_t key)
{
	for (uint32_t i = 0; i < CHANGES; i++) {
		struct change *c = &w.changes[i];

		if (c->used)
			continue;
		*c = (struct change){.used = true, .key = key, .born = w.seq};
		return;
	}
}

/* The answer to a change, as control/fetch_write.c takes it: is something younger known of the key?
 * Then the change's own purge, then the store. From now on nobody gets what was before it. */
static void change_answered(struct change *c)
{
	struct inval_purge p = {.kind = INVAL_KEY};
	struct store_entry *e;
	struct answer a;
	char text[24] = "";
	bool live, stale;

	c->used = false;
	answer_make(&a, c->key, c->version, c->born);
	live = store_is_live(w.store, &a.o);
	p.text = key_text(c->key, text);
	w.floors.hard[c->key] = max_u32(w.floors.hard[c->key], c->version);
	purge_order(&p, text);
	w.overlapped += !live;
	e = live ? store_peek(w.store, p.text, &stale) : NULL;
	if (e != NULL)
		store_drop(e);
	if (!live || e != NULL)
		return;
	answer_make(&a, c->key, c->version, w.seq);
	a.o.hash = (struct hash128){0};
	e = store_put(w.store, &a.o, answer_body(&a));
	assert_non_null(e);
	store_drop(e);
	w.written++;
}

static void change_step(struct change *c)
{
	if (!c->used || queue_is_full())
		return;
	if (c->made) {
		change_answered(c);
		return;
	}
	c->made = true;
	c->version = ++w.versions[c->key];
}

static void fill_end(struct core *c)
{
	if (c->fill.obj == NULL)
		return;
	assert_int_equal(hot_fill_append(c->hot, &c->fill, answer_body(&c->filling)), ST_OK);
	hot_fill_commit(c->hot, &c->fill);
}

static void core_step(struct core *c)
{
	struct message *m = &c->queue[c->first];

	if (c->count == 0)
		return;
	c->first = (c->first + 1) % QUEUE;
	c->count--;
	if (m->is_purge) {
		hot_purge(c->hot, &m->p, key_hash(m->p.text));
		floors_raise(&c->floors, m->floors);
		free(m->floors);
		return;
	}
	fill_end(c); /* the one before; purges may have come between its head and its body */
	c->filling = m->a;
	if (hot_fill_begin(c->hot, &c->fill, &c->filling.o, sizeof(uint32_t)) != ST_OK)
		c->fill.obj = NULL;
}

static void world_make(unsigned seed)
{
	struct hot_config cfg = {.memory_bytes = 1 << 20, .max_object_bytes = 4096};
	struct store_config sc = {
	        .memory_bytes = 4 << 20, .max_object_bytes = 1 << 16, .max_variants = 4};

	memset(&w, 0, sizeof(w));
	w.rnd = seed;
	assert_int_equal(store_create(&w.store, &sc), ST_OK);
	for (uint32_t c = 0; c < CORES; c++) {
		assert_int_equal(hot_create(&w.cores[c].hot, &cfg, &w.cores[c].ctr), ST_OK);
		hot_set_wall(w.cores[c].hot, WALL_MS);
	}
	for (uint32_t k = 0; k < KEYS; k++) {
		w.tags[k] = some(TAGS);
		w.versions[k] = 1;
	}
}

static void world_end(void)
{
	for (uint32_t c = 0; c < CORES; c++) {
		while (w.cores[c].count > 0)
			core_step(&w.cores[c]);
		hot_fill_abort(w.cores[c].hot, &w.cores[c].fill);
		hot_destroy(w.cores[c].hot);
	}
	store_destroy(w.store);
}

static void step(void)
{
	uint32_t op = some(1000);
	struct core *c = &w.cores[some(CORES)];

	if (op < 20)
		change_begin(some(2) ? some(KEYS) : some(4));
	else if (op < 40)
		change_step(&w.changes[some(CHANGES)]);
	else if (op < 500)
		ask(some(CORES), some(2) ? some(KEYS) : some(KEYS / 16));
	else if (op < 700)
		fetch_step(&w.fetches[some(FETCHES)]);
	else if (op < 950)
		core_step(c);
	else if (op < 970)
		purge();
	else if (op < 990)
		hot_sweep(c->hot, 64 * (1 + some(32)));
	else
		store_sweep(w.store, some(64), WALL_MS);
}

static void test_model(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 2; seed++) {
		world_make(seed);
		for (uint32_t i = 0; i < STEPS; i++)
			step();
		print_message(
		        "seed %u: %lu hot hits, %lu of the store, %lu of the origin, %lu fills "
		        "void, %lu stale, %lu purges, %lu written, %lu overlapped\n",
		        seed, (unsigned long)w.hot_hits, (unsigned long)w.store_hits,
		        (unsigned long)w.origin, (unsigned long)w.refused, (unsigned long)w.stale,
		        (unsigned long)w.purges, (unsigned long)w.written,
		        (unsigned long)w.overlapped);
		/* Each kind of event came often, or the run proves little. */
		assert_true(w.hot_hits > STEPS / 50 && w.store_hits > STEPS / 100);
		assert_true(w.origin > STEPS / 100 && w.refused > 100);
		assert_true(w.stale > 100 && w.purges > STEPS / 100);
		assert_true(w.written > STEPS / 500 && w.overlapped > 100);
		world_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
