/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attachments that come and go, questions to the cores, and cores that lie. */
#include "rig.h"

#include "lib/doorbell.h"

#include <unistd.h>

static void works(struct rig *r)
{
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/100"});

	RIG_UNTIL(r, a->done);
	assert_int_equal(a->got, 100);
	assert_false(a->bad);
	a->used = false;
}

static void detached(struct rig *r)
{
	RIG_UNTIL(r, !chan_server_attached(r->ctl.chan));
}

static void dataplane_restarts(void **state)
{
	struct rig *r = *state;
	uint64_t generation = chan_server_generation(r->ctl.chan);

	works(r);
	for (int i = 0; i < 3; i++) {
		struct ask *a =
		        rig_ask(r, &(struct rig_req){.path = "/fixed/50000000", .hold = true});
		struct rig_req up = {.method = "POST", .path = "/echo", .body_len = 100000};
		struct ask *b = rig_ask(r, &up);

		RIG_UNTIL(r, a->got > 50000);
		assert_true(rig_body(r, 0, b, "abc", 3, false));
		rig_dataplane_kill(r);
		while (chan_server_attached(r->ctl.chan))
			loop_once(r->ctl.loop, NS_PER_MS);
		assert_int_equal(chan_server_cores(r->ctl.chan), 0);
		assert_int_equal(fetcher_active(r->ctl.fetcher), 0);
		rig_dataplane_start(r);
		rig_attach(r);
		assert_true(chan_server_generation(r->ctl.chan) != generation);
		works(r);
	}
}

static void held_blocks_stay(void **state)
{
	struct rig *r = *state;
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/100000", .hold = true});
	struct rig_core *c = &r->core[0];
	uint32_t held;

	RIG_UNTIL(r, a->done);
	held = c->down_held;
	assert_true(held > 3);
	rig_sock_break(r);
	detached(r);
	rig_attach(r);
	assert_int_equal(chan_server_down_blocks_free(r->ctl.chan), r->geo.down_blocks - held);
	/* Nothing is written into them meanwhile. */
	struct ask *b = rig_ask(r, &(struct rig_req){.path = "/fixed/8000000", .core = 1});
	RIG_UNTIL(r, b->done);
	assert_false(b->bad);
	rig_release_all(r, 0);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

static void serves_when_all_cores_told(void **state)
{
	struct rig *r = *state;

	r->no_sync = true;
	rig_sock_break(r);
	detached(r);
	RIG_UNTIL(r, r->attached);
	/* What lies before SYNC belongs to nobody. */
	struct chan_msg m = {.type = CHAN_REQUEST, .block = 0, .len = 200};
	rig_push(r, 0, &m);
	for (uint32_t core = 0; core < RIG_CORES; core++) {
		for (int i = 0; i < 20; i++)
			rig_step(r);
		assert_false(chan_server_attached(r->ctl.chan));
		struct chan_msg wrong = {.type = CHAN_SYNC, .n = r->epoch - 1};
		struct chan_msg sync = {.type = CHAN_SYNC, .n = r->epoch};
		struct chan_msg held = {.type = CHAN_HELD, .flags = CHAN_F_END, .code = 2};
		held.blocks[0] = UINT32_MAX; /* nonsense is skipped */
		held.blocks[1] = 7;
		rig_push(r, core, &wrong);
		rig_push(r, core, &sync);
		rig_push(r, core, &held);
	}
	rig_attach(r);
	assert_int_equal(chan_server_down_blocks_free(r->ctl.chan), r->geo.down_blocks - 1);
	r->no_sync = false;
	works(r);
}

/* --- cores that lie --- */

static struct chan_server_counts counts_of(struct rig *r)
{
	struct chan_server_counts c;

	chan_server_counts(r->ctl.chan, &c);
	return c;
}

static void refused(struct rig *r, const struct chan_msg *m)
{
	uint64_t before = counts_of(r).malformed;

	rig_push(r, 0, m);
	RIG_UNTIL(r, counts_of(r).malformed == before + 1);
}

static void bad_messages(void **state)
{
	struct rig *r = *state;
	struct chan_ticket ours = {.epoch = r->epoch, .core = 0, .slot = 9, .seq = 77};
	struct chan_ticket other = {.epoch = r->epoch, .core = 1, .slot = 9, .seq = 77};
	const struct chan_msg cases[] = {
	        {.type = 0, .ticket = ours},
	        {.type = 200, .ticket = ours},
	        {.type = CHAN_HEAD, .ticket = ours},
	        {.type = CHAN_SYNC, .ticket = ours, .n = 1},
	        {.type = CHAN_REQUEST, .ticket = ours, .block = 64, .len = 100},
	        {.type = CHAN_REQUEST, .ticket = ours, .block = UINT32_MAX, .len = 100},
	        {.type = CHAN_REQUEST, .ticket = ours, .off = 16384, .len = 1},
	        {.type = CHAN_REQUEST, .ticket = ours, .off = UINT32_MAX, .len = 100},
	        {.type = CHAN_REQUEST, .ticket = ours, .off = 1, .len = UINT32_MAX},
	        {.type = CHAN_BODY, .ticket = ours, .block = 70, .len = 1},
	        {.type = CHAN_BODY, .ticket = ours, .block = UINT32_MAX, .len = 1},
	        {.type = CHAN_CANCEL, .ticket = other},
	        {.type = CHAN_RELEASE, .code = 9},
	        {.type = CHAN_RESULT,
	         .ticket = {.epoch = r->epoch, .slot = 64},
	         .block = UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refused(r, &cases[i]);
	works(r);
}

struct head_case {
	const char *what;
	struct rig_req req;
};

static void bad_heads(void **state)
{
	struct rig *r = *state;
	static const struct head_case cases[] = {
	        {"method", {.method = "GE T", .path = "/"}},
	        {"no token", {.method = "BR\x7fW", .path = "/"}},
	        {"line in method", {.method = "A / HTTP/1.1\r\nX:", .path = "/"}},
	        {"connect", {.method = "CONNECT", .path = "/"}},
	        {"space in target", {.path = "/a b"}},
	        {"line in target", {.path = "/a HTTP/1.1\r\nX: y\r\n\r\n"}},
	        {"no target", {.path = ""}},
	        {"absolute target", {.path = "http://a/"}},
	        {"empty line", {.path = "/", .fields = "A: b\r\n\r\nGET /evil HTTP/1.1\r\n"}},
	        {"bare LF", {.path = "/", .fields = "A: b\nC: d\r\n"}},
	        {"bare CR", {.path = "/", .fields = "A: b\rC: d\r\n"}},
	        {"no colon", {.path = "/", .fields = "A b\r\n"}},
	        {"no end", {.path = "/", .fields = "A: b"}},
	        {"fold", {.path = "/", .fields = "A: b\r\n c\r\n"}},
	};
	uint32_t before;

	works(r);
	before = rig_requests(r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t bad = counts_of(r).malformed;
		struct ask *a = rig_ask(r, &cases[i].req);

		RIG_UNTIL(r, a->done);
		assert_int_equal(a->fail, 502);
		assert_int_equal(counts_of(r).malformed, bad + 1);
		RIG_UNTIL(r, a->up_held == 0);
		a->used = false;
	}
	assert_int_equal(rig_requests(r), before);
	works(r);
}

/* Lengths in the head that do not add up. */
static void bad_lengths(void **state)
{
	struct rig *r = *state;
	struct rig_core *c = &r->core[0];

	for (uint32_t i = 0; i < 7; i++) {
		struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/1"});
		uint32_t block = 0;

		while (!c->up_mine[block])
			block++;
		struct chan_request *cr = (void *)chan_block_at(&c->up, block);
		switch (i) {
		case 0:
			cr->key_len = UINT16_MAX;
			break;
		case 1:
			cr->target_len = UINT32_MAX;
			break;
		case 2:
			cr->fields_len = UINT32_MAX - cr->target_len;
			break;
		case 3:
			cr->body_len = 5; /* and END is set */
			break;
		case 4:
			cr->method_len = 0;
			break;
		case 5:
			cr->host_len++;
			break;
		case 6:
			cr->route = 9;
			break;
		}
		RIG_UNTIL(r, a->done);
		assert_int_equal(a->fail, i == 6 ? 503 : 502);
		RIG_UNTIL(r, a->up_held == 0);
		a->used = false;
	}
	works(r);
}

static void bogus_releases(void **state)
{
	struct rig *r = *state;
	struct ask *a = rig_ask(r, &(struct rig_req){.path = "/fixed/100000", .hold = true});
	struct chan_msg m = {.type = CHAN_RELEASE, .code = 3, .block = CHAN_NO_BLOCK};
	uint32_t free_before;

	RIG_UNTIL(r, a->done);
	for (uint32_t b = 0; b < r->geo.down_blocks; b++)
		if (r->core[0].down_refs[b] > 0)
			m.blocks[0] = b;
	m.blocks[1] = UINT32_MAX;
	m.blocks[2] = r->geo.down_blocks - 1;
	free_before = chan_server_down_blocks_free(r->ctl.chan);
	rig_push(r, 1, &m); /* core 1 gives back what core 0 has */
	RIG_UNTIL(r, counts_of(r).bogus_releases == 3);
	assert_int_equal(chan_server_down_blocks_free(r->ctl.chan), free_before);
	rig_release_all(r, 0);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
	m.code = 1;
	rig_push(r, 0, &m); /* and twice */
	RIG_UNTIL(r, counts_of(r).bogus_releases == 4);
	works(r);
}

static void block_named_twice(void **state)
{
	struct rig *r = *state;
	struct rig_req q = {.method = "POST", .path = "/echo", .body_len = 1 << 20};
	struct ask *a = rig_ask(r, &q);
	static unsigned char data[16384];
	struct chan_msg m = {.type = CHAN_BODY, .len = 10};
	uint64_t before;

	RIG_UNTIL(r, a->up_held == 0);
	origin_gate(r->origin, false);
	before = counts_of(r).malformed;
	m.ticket = (struct chan_ticket){
	        .epoch = r->epoch, .slot = (uint16_t)rig_slot(&r->core[0], a), .seq = a->seq};
	assert_true(rig_body(r, 0, a, data, sizeof(data), false));
	while (!r->core[0].up_mine[m.block])
		m.block++;
	rig_push(r, 0, &m);
	RIG_UNTIL(r, counts_of(r).malformed == before + 1);
	rig_cancel(r, 0, a);
	origin_gate(r->origin, true);
	RIG_UNTIL(r, r->core[0].up.free_count == r->geo.up_blocks);
	works(r);
}

static void late_tickets(void **state)
{
	struct rig *r = *state;
	struct chan_msg m = {.type = CHAN_CANCEL, .block = CHAN_NO_BLOCK};
	uint64_t before = counts_of(r).late;

	m.ticket = (struct chan_ticket){.epoch = r->epoch, .slot = 5, .seq = 1234};
	rig_push(r, 0, &m);
	m.type = CHAN_BODY;
	rig_push(r, 0, &m);
	m.ticket.epoch--;
	rig_push(r, 0, &m);
	RIG_UNTIL(r, counts_of(r).late == before + 3);
	works(r);
}

static void corrupt_ring(void **state)
{
	struct rig *r = *state;
	uint64_t attaches = counts_of(r).attaches;

	__atomic_store_n(&r->core[1].port.tx.shared->tail, 99999u, __ATOMIC_RELEASE);
	doorbell_ring(r->wait_fd);
	for (int i = 0; i < 1000 && chan_server_attached(r->ctl.chan); i++)
		loop_once(r->ctl.loop, NS_PER_MS);
	assert_false(chan_server_attached(r->ctl.chan));
	rig_dataplane_kill(r);
	rig_dataplane_start(r);
	rig_attach(r);
	assert_int_equal(counts_of(r).attaches, attaches + 1);
	works(r);
}

/* --- questions --- */

struct answer {
	uint32_t calls;
	enum status st;
	uint64_t n;
};

static void note(void *arg, enum status st, const void *bytes, size_t len, uint64_t n)
{
	struct answer *a = arg;

	(void)bytes;
	(void)len;
	a->calls++;
	a->st = st;
	a->n = n;
}

static void queries(void **state)
{
	struct rig *r = *state;
	struct answer a = {0};

	chan_server_query(r->ctl.chan, 1, CHAN_QUERY_CONNS, 41, 100, (struct span){0}, note, &a);
	RIG_UNTIL(r, a.calls == 1);
	assert_int_equal(a.st, ST_OK);
	assert_int_equal(a.n, 42);
	assert_int_equal(r->core[1].last_query.code, CHAN_QUERY_CONNS);
	assert_int_equal(r->core[1].last_query.len, 100);
	chan_server_query(r->ctl.chan, 0, CHAN_QUERY_CACHE_GET, 0, 1, SPAN_LIT("key"), note, &a);
	RIG_UNTIL(r, a.calls == 2);
	assert_int_equal(r->core[0].last_query.len, 3);
	struct purge_order order = {
	        .kind = INVAL_PATTERN, .text = SPAN_LIT("a*"), .soft = true, .count = true};
	chan_server_purge(r->ctl.chan, &order, note, &a);
	RIG_UNTIL(r, a.calls == 3);
	assert_int_equal(a.n, 3 * RIG_CORES);
	assert_int_equal(r->core[0].last_query.code, INVAL_PATTERN);
	assert_int_equal(r->core[0].last_query.flags, CHAN_F_SOFT | CHAN_F_COUNT);
	assert_int_equal(r->core[0].last_query.n, link_purge_seq(r->ctl.chan));
	chan_server_drain(r->ctl.chan, 5000);
	RIG_UNTIL(r, r->core[0].last_query.type == CHAN_DRAIN &&
	                     r->core[1].last_query.type == CHAN_DRAIN);
	assert_int_equal(r->core[1].last_query.n, 5000);
	chan_server_query(r->ctl.chan, RIG_CORES, CHAN_QUERY_INFO, 0, 1, (struct span){0}, note,
	                  &a);
	assert_int_equal(a.st, ST_INVALID);
	RIG_UNTIL(r, chan_server_down_blocks_free(r->ctl.chan) == r->geo.down_blocks);
}

static void queries_without_answer(void **state)
{
	struct rig *r = *state;
	struct answer a = {0};

	r->core[0].paused = true;
	chan_server_query(r->ctl.chan, 0, CHAN_QUERY_INFO, 0, 1, (struct span){0}, note, &a);
	RIG_UNTIL(r, a.calls == 1);
	assert_int_equal(a.st, ST_TIMEOUT);
	for (uint32_t i = 0; i < QUERIES_MAX + 1; i++)
		chan_server_query(r->ctl.chan, 0, CHAN_QUERY_INFO, 0, 1, (struct span){0}, note,
		                  &a);
	assert_int_equal(a.calls, 2);
	assert_int_equal(a.st, ST_FULL);
	rig_sock_break(r);
	RIG_UNTIL(r, a.calls == 2 + QUERIES_MAX);
	assert_int_equal(a.st, ST_CLOSED);
	struct purge_order order = {.kind = INVAL_KEY, .text = SPAN_LIT("a")};
	chan_server_purge(r->ctl.chan, &order, note, &a);
	assert_int_equal(a.st, ST_CLOSED);
	r->core[0].paused = false;
}

static void stats(void **state)
{
	struct rig *r = *state;
	static struct core_stats out;

	counter_set(&chan_stats(&r->chan, 1)->counters, CTR_rx_packets, 321);
	assert_true(chan_server_stats(r->ctl.chan, 1, &out));
	assert_int_equal(counter_read(&out.counters, CTR_rx_packets), 321);
	assert_false(chan_server_stats(r->ctl.chan, RIG_CORES, &out));
	assert_int_equal(chan_server_dataplane_pid(r->ctl.chan), getpid());
}

/* --- reload --- */

struct reloaded {
	uint32_t calls;
	enum status st;
	char text[512];
};

static void reload_note(void *arg, enum status st, const char *text)
{
	struct reloaded *l = arg;

	l->calls++;
	l->st = st;
	snprintf(l->text, sizeof(l->text), "%s", text);
}

static void conf_write(struct rig *r, const char *node, const char *address, const char *extra)
{
	FILE *f = fopen(r->conf, "w");

	assert_non_null(f);
	fprintf(f,
	        "listeners: [{address: %s}]\n"
	        "ports: [{type: tap, interface: t0, cores: [0, 1]}]\n"
	        "node: %s\nrun_dir: %s\n"
	        "upstreams: [{name: o, addresses: [\"127.0.0.1:%u\"]}]\n"
	        "routes: [{upstream: o%s}]\n",
	        address, node, r->dir, origin_port(r->origin), extra);
	fclose(f);
}

static void reload(void **state)
{
	struct rig *r = *state;
	struct reloaded l = {0};
	struct rig_req old = {.path = "/fixed/5", .snapshot_id = r->ctl.snapshot->id};
	struct fetcher_counts counts;

	works(r);
	conf_write(r, "other", "192.0.2.1", ", path: \"/fixed/*\"");
	control_reload(&r->ctl, reload_note, &l);
	RIG_UNTIL(r, l.calls == 1);
	assert_int_equal(l.st, ST_OK);
	assert_string_equal(l.text, "");
	assert_string_equal(r->ctl.config->node, "other");
	assert_int_equal(r->snapshots, 1);
	works(r);
	struct ask *a = rig_ask(r, &old); /* of a core that has not changed over yet */
	RIG_UNTIL(r, a->done);
	assert_int_equal(a->got, 5);
	fetcher_counts(r->ctl.fetcher, &counts);
	assert_int_equal(counts.plan_unknown, 0);
	assert_int_equal(origin_connections(r->origin), 1); /* the pool was kept */

	conf_write(r, "third", "192.0.2.7", "");
	control_reload(&r->ctl, reload_note, &l);
	RIG_UNTIL(r, l.calls == 2);
	assert_int_equal(l.st, ST_OK);
	assert_string_equal(l.text, "restart needed for: listeners");

	/* As long as it differs from what the processes began with, and no longer. */
	control_reload(&r->ctl, reload_note, &l);
	RIG_UNTIL(r, l.calls == 3);
	assert_string_equal(l.text, "restart needed for: listeners");
	conf_write(r, "fourth", "192.0.2.1", "");
	control_reload(&r->ctl, reload_note, &l);
	RIG_UNTIL(r, l.calls == 4);
	assert_string_equal(l.text, "");
}

static void reload_refused(void **state)
{
	struct rig *r = *state;
	struct reloaded l = {0};

	conf_write(r, "other", "192.0.2.1", ", nonsense: 1");
	control_reload(&r->ctl, reload_note, &l);
	assert_int_equal(l.calls, 1);
	assert_int_not_equal(l.st, ST_OK);
	assert_non_null(strstr(l.text, "nonsense"));
	conf_write(r, "other", "192.0.2.1", "");
	r->refuse_snapshots = true;
	control_reload(&r->ctl, reload_note, &l);
	assert_int_equal(l.calls, 1);
	control_reload(&r->ctl, reload_note, &l);
	assert_int_equal(l.calls, 2);
	assert_int_equal(l.st, ST_EXISTS);
	RIG_UNTIL(r, l.calls == 3);
	assert_int_equal(l.st, ST_INVALID);
	assert_non_null(strstr(l.text, "because"));
	assert_string_equal(r->ctl.config->node, "testnode");
	works(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	        T(dataplane_restarts),
	        T(held_blocks_stay),
	        T(serves_when_all_cores_told),
	        T(bad_messages),
	        T(bad_heads),
	        T(bad_lengths),
	        T(bogus_releases),
	        T(block_named_twice),
	        T(late_tickets),
	        T(corrupt_ring),
	        T(queries),
	        T(queries_without_answer),
	        T(stats),
	        T(reload),
	        T(reload_refused),
	};

	return cmocka_run_group_tests_name("chan_server", tests, NULL, NULL);
}
