/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Everything at once, in a random order from a printed seed (SLUICE_SEED sets it): requests of
 * every kind, stored and stale answers, variants, refreshes, purges, an origin that fails, cancels,
 * slow clients, full rings, broken attachments. What must hold: a whole answer is the right one,
 * every ticket that is not given up ends, and every block comes home. */
#include "rig.h"

#define STEPS 6000u
#define LIVE  64u

struct live {
	struct ask *a;
	uint32_t core;
	uint64_t want; /* body bytes of a whole answer */
	uint64_t up_left;
	bool upload;
	const char *lang; /* of a variant; NULL: none */
};

struct chaos {
	struct rig *r;
	uint64_t rng;
	struct live live[LIVE];
	uint32_t whole;
	uint32_t failed;
	uint32_t stored; /* answers out of the store */
	bool failing;    /* the origin, lately */
};

static uint32_t rnd(struct chaos *c, uint32_t n)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return (uint32_t)(c->rng >> 20) % n;
}

static const struct {
	const char *path;
	uint64_t len;
	bool key;
} kinds[] = {
        {"/fixed/0", 0, false},
        {"/fixed/300", 300, false},
        {"/fixed/90000", 90000, false},
        {"/fixed/900000", 900000, false},
        {"/chunked/70000/300", 70000, false},
        {"/chunked/9000/1", 9000, false},
        {"/closed/40000", 40000, false},
        {"/cut/40000", 20000, false},
        {"/store/100", 100, true},
        {"/store/100000", 100000, true},
        {"/storechunk/50000", 50000, true},
        {"/nostore/600", 600, true},
        {"/garbage", 0, false},
        {"/drop", 5, false},
        {"/slow", 0, false},
        {"/surplus", 5, false},
        {"/store/2000000", 2000000, true},
        {"/status/304", 0, true},
        {"/cc/700/max-age=0", 700, true},
        {"/cc/60000/max-age=0+stale-if-error=9", 60000, true},
        {"/cc/1300000/max-age=0+stale-while-revalidate=9", 1300000, true},
        {"/odd/500", 500, true},
        {"/vary/800", 800, true},
        {"/vary/30000", 30000, true},
};
static const char *const langs[] = {"de", "fr", "nl"};

/* One that nobody waits for: its ticket is done at once. */
static void refresh_one(struct chaos *c, struct live *l, const struct rig_req *q)
{
	struct rig_req refresh = *q;

	refresh.refresh = true;
	l->want = 0;
	l->lang = NULL;
	l->a = rig_ask(c->r, &refresh);
	l->a->done = true;
}

static void nothing(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	(void)arg;
	(void)st;
	(void)bytes;
	(void)len;
	(void)n;
}

static void purge_one(struct chaos *c)
{
	static const struct purge_order orders[] = {
	        {.kind = INVAL_KEY, .text = SPAN_LIT("/vary/800")},
	        {.kind = INVAL_KEY, .soft = true, .text = SPAN_LIT("/store/100000")},
	        {.kind = INVAL_PATTERN, .text = SPAN_LIT("/store/*")},
	        {.kind = INVAL_PATTERN, .soft = true, .text = SPAN_LIT("/cc/*")},
	        {.kind = INVAL_TAG, .text = SPAN_LIT("tag:x")},
	        {.kind = INVAL_ALL},
	};

	chan_server_purge(c->r->ctl.chan, &orders[rnd(c, ARRAY_LEN(orders))], nothing, NULL);
}

static void ask_one(struct chaos *c, struct live *l)
{
	uint32_t k = rnd(c, ARRAY_LEN(kinds));
	struct rig_req q = {
	        .path = kinds[k].path,
	        .key = kinds[k].key ? kinds[k].path : NULL,
	        .core = rnd(c, RIG_CORES),
	        .hold = rnd(c, 8) == 0,
	};

	char fields[64];

	*l = (struct live){.core = q.core, .want = kinds[k].len};
	if (strncmp(q.path, "/vary/", 6) == 0) {
		l->lang = langs[rnd(c, ARRAY_LEN(langs))];
		snprintf(fields, sizeof(fields), "Accept-Language: %s\r\n", l->lang);
		q.fields = fields;
	}
	if (q.key != NULL && rnd(c, 8) == 0) {
		refresh_one(c, l, &q);
		return;
	}
	if (rnd(c, 6) == 0) {
		l->upload = true;
		l->up_left = 1 + rnd(c, 300000);
		l->lang = NULL;
		q = (struct rig_req){.method = "PUT",
		                     .path = rnd(c, 8) ? "/echo" : "/early",
		                     .core = l->core,
		                     .raw_body = true,
		                     .body_len = rnd(c, 2) ? l->up_left : UINT64_MAX};
		l->want = 0;
	}
	l->a = rig_ask(c->r, &q);
}

static void upload_some(struct chaos *c, struct live *l)
{
	static unsigned char data[16384];
	uint32_t n = (uint32_t)min_u64(l->up_left, 1 + rnd(c, sizeof(data)));

	if (rig_body(c->r, l->core, l->a, data, n, n == l->up_left))
		l->up_left -= n;
}

static void right_variant(const struct live *l)
{
	char want[64];

	snprintf(want, sizeof(want), "Content-Language: %s\r\n", l->lang);
	assert_non_null(strstr(l->a->fields, want));
}

static void finish(struct chaos *c, struct live *l)
{
	struct ask *a = l->a;

	assert_false(a->bad);
	if (a->fail != 0 || a->aborted) {
		c->failed++;
	} else {
		/* While the origin fails, its word is short. */
		if (!l->upload && (a->head.status == 200 || !c->failing))
			assert_int_equal(a->got, l->want);
		if (l->lang != NULL && a->head.status == 200)
			right_variant(l);
		c->whole++;
		c->stored += a->tier == CHAN_F_STORE;
	}
	if (a->up_held > 0)
		return; /* the slot is free when its blocks are back */
	a->used = false;
	l->a = NULL;
}

static void give_up(struct chaos *c, struct live *l)
{
	rig_cancel(c->r, l->core, l->a);
	l->a->done = true;
	l->a->seq = 0; /* what still comes for it is late */
	l->a->fail = 1;
}

static void one_step(struct chaos *c)
{
	struct live *l = &c->live[rnd(c, LIVE)];
	struct rig *r = c->r;

	if (!r->attached || !chan_server_attached(r->ctl.chan)) {
		rig_step(r);
		return;
	}
	if (l->a == NULL)
		ask_one(c, l);
	else if (l->a->done)
		finish(c, l);
	else if (l->upload && l->up_left > 0)
		upload_some(c, l);
	else if (rnd(c, 20) == 0)
		give_up(c, l);
	if (rnd(c, 100) == 0)
		purge_one(c);
	if (rnd(c, 300) == 0) {
		static const unsigned how[] = {0, 0, 1, 503};

		c->failing = true; /* some of its answers are on their way until the round ends */
		origin_fail(r->origin, how[rnd(c, ARRAY_LEN(how))]);
	}
	if (rnd(c, 30) == 0)
		rig_release_all(r, rnd(c, RIG_CORES));
	if (rnd(c, 40) == 0)
		r->core[rnd(c, RIG_CORES)].paused = rnd(c, 2) == 0;
	if (r->core[0].up.free_count < 8 || r->core[1].up.free_count < 8) {
		r->core[0].paused = false;
		r->core[1].paused = false;
	}
	if (rnd(c, 3) == 0)
		rig_step(r);
}

static void forget_all(struct chaos *c)
{
	for (uint32_t i = 0; i < LIVE; i++)
		c->live[i].a = NULL;
}

static void calm(struct chaos *c)
{
	struct rig *r = c->r;

	r->core[0].paused = false;
	r->core[1].paused = false;
	origin_fail(r->origin, 0);
	for (uint32_t i = 0; i < LIVE; i++) {
		struct live *l = &c->live[i];

		if (l->a != NULL && !l->a->done)
			give_up(c, l);
		l->a = NULL;
	}
	RIG_UNTIL(r, fetcher_active(r->ctl.fetcher) == 0);
	for (uint32_t core = 0; core < RIG_CORES; core++) {
		rig_release_all(r, core);
		RIG_UNTIL(r, r->core[core].up.free_count == r->geo.up_blocks);
		for (uint32_t s = 0; s < RIG_ASKS; s++)
			r->core[core].asks[s].used = false;
	}
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

static void chaos(void **state)
{
	const char *seed = getenv("SLUICE_SEED");
	struct chaos c = {.rng = seed ? strtoull(seed, NULL, 0) : clock_mono_ns() | 1};

	(void)state;
	printf("SLUICE_SEED=%llu\n", (unsigned long long)c.rng);
	c.r = rig_new(", request_timeout_ms: 300, max_connections: 20, max_idle: 5");
	rig_attach(c.r);
	for (uint32_t round = 0; round < 6; round++) {
		c.failing = false;
		for (uint32_t i = 0; i < STEPS; i++)
			one_step(&c);
		if (round % 3 == 1) {
			rig_sock_break(c.r);
			forget_all(&c);
			RIG_UNTIL(c.r, !chan_server_attached(c.r->ctl.chan));
			rig_attach(c.r);
		} else if (round % 3 == 2) {
			rig_dataplane_kill(c.r);
			forget_all(&c);
			while (chan_server_attached(c.r->ctl.chan))
				loop_once(c.r->ctl.loop, NS_PER_MS);
			rig_dataplane_start(c.r);
			rig_attach(c.r);
		}
		calm(&c);
	}
	assert_true(c.whole > 500);
	assert_true(c.failed > 20);
	assert_true(c.stored > 100);
	rig_free(c.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(chaos)};

	return cmocka_run_group_tests_name("chaos", tests, NULL, NULL);
}
