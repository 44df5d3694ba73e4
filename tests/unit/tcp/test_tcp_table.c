/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection table: it grows by a bucket or two an insert and loses nobody; and where a
 * connection's state lies: what a hit touches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;
static const uint8_t opts_ts[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};

static struct conn_key key_of(uint32_t i, bool v6)
{
	struct conn_key key = {.lport = RIG_PORT, .rport = (uint16_t)(i % 65521)};

	memset(key.local.b, v6 ? 0xfd : 0, 16);
	memset(key.remote.b, v6 ? 0xfe : 0, 16);
	if (!v6) {
		key.local.b[10] = key.local.b[11] = 0xff;
		key.remote.b[10] = key.remote.b[11] = 0xff;
	}
	key.remote.b[15] = (uint8_t)(i / 65521);
	return key;
}

static struct conn *add(struct wire *w, uint32_t i, bool v6)
{
	struct conn_key key = key_of(i, v6);
	struct net_path path = {.local = key.local, .remote = key.remote};

	return conn_new(w->tcp, &path, &key);
}

static struct conn *find(struct wire *w, uint32_t i, bool v6)
{
	struct conn_key key = key_of(i, v6);

	return conn_lookup(w->tcp, &key, conn_hash(w->tcp, &key));
}

static void drop(struct wire *w, struct conn *c)
{
	conn_unhash(w->tcp, c);
	conn_free(w->tcp, c);
}

static uint32_t longest_chain(const struct tcp *tcp)
{
	uint32_t longest = 0;

	for (uint32_t b = 0; b < tcp->bucket_count; b++) {
		uint32_t n = 0;

		for (uint32_t at = tcp->buckets[b]; at != 0; n++)
			at = ((struct conn *)pool_at(&tcp->conns, at - 1))->hash_next;
		longest = max_u32(longest, n);
	}
	return longest;
}

static void test_growth(void **state)
{
	enum { COUNT = 20000 };
	struct wire *w = &wire;
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_conns = COUNT;
	wire_open(w, &cfg, false);
	assert_int_equal(w->tcp->bucket_count, CONN_BUCKETS_MIN);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t before = w->tcp->bucket_count;

		assert_non_null(add(w, i / 2, i & 1));
		assert_in_range(w->tcp->bucket_count - before, 0, CONN_BUCKETS_EACH);
		assert_non_null(find(w, i / 4, i & 1));
		if (i % 1000 == 999)
			for (uint32_t j = 0; j <= i; j++)
				assert_non_null(find(w, j / 2, j & 1));
	}
	assert_null(add(w, COUNT, false));
	assert_int_equal(w->tcp->bucket_count, CONN_BUCKETS_EACH * COUNT);
	assert_true(longest_chain(w->tcp) <= 8);
	assert_null(find(w, COUNT, false));
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t j = (uint32_t)(i * 7919ull % COUNT); /* all of them, in some order */
		struct conn *c = find(w, j / 2, j & 1);

		assert_non_null(c);
		drop(w, c);
		assert_null(find(w, j / 2, j & 1));
	}
	assert_int_equal(longest_chain(w->tcp), 0);
	/* A table that has grown stays as it is, and works. */
	assert_non_null(add(w, 5, true));
	drop(w, find(w, 5, true));
	wire_close(w);
}

static void test_touch_ahead(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_conns = 100000;
	wire_open(w, &cfg, false);
	tcp_touch_ahead(w->tcp);
	size_t first = w->tcp->conns_touched;
	assert_in_range(first, 1 << 20, 100000 * sizeof(struct conn) - 1);
	assert_non_null(add(w, 1, false));
	tcp_touch_ahead(w->tcp);
	assert_int_equal(w->tcp->conns_touched, first);
	for (uint32_t i = 2; i < 50000; i++)
		assert_non_null(add(w, i, false));
	tcp_touch_ahead(w->tcp);
	assert_true(w->tcp->conns_touched > 50000 * sizeof(struct conn));
	for (uint32_t i = 50000; i < 100000; i++)
		assert_non_null(add(w, i, false));
	tcp_touch_ahead(w->tcp);
	tcp_touch_ahead(w->tcp);
	assert_int_equal(w->tcp->conns_touched, 100000 * sizeof(struct conn));
	for (uint32_t i = 1; i < 100000; i++)
		drop(w, find(w, i, false));
	wire_close(w);
}

/* The owner's turn: it reads the request and answers. */
static void turn(struct wire *w, struct conn *c)
{
	static const char text[300];

	assert_int_equal(tcp_rx(c).len, 18);
	tcp_rx_consume(w->tcp, c, 18);
	assert_int_equal(tcp_tx_copy(w->tcp, c, text, sizeof(text)), ST_OK);
	w->ack += sizeof(text);
}

/* A request that acknowledges the answer before, and its answer: one round of a core. */
static void hit(struct wire *w, uint32_t tsval)
{
	uint8_t h[TCP_HDR_LEN + TCP_TS_OPT_LEN + 18] = {0};
	struct pkt pkt = {.payload_len = 18, .ip_version = w->v6 ? 6 : 4};
	uint8_t frame[54 + sizeof(h)] = {0};
	uint32_t l3 = 14;
	uint32_t l4 = w->v6 ? 54 : 34;
	struct conn *c;
	uint32_t events;

	put_u16(h, w->port);
	put_u16(h + 2, RIG_PORT);
	put_u32(h + 4, w->seq);
	put_u32(h + 8, w->ack);
	h[13] = TH_ACK | TH_PSH;
	put_u16(h + 14, 65535);
	put_u32(h + 20, 0x0101080a);
	put_u32(h + 24, tsval);
	memcpy(frame + l4, h, sizeof(h));
	memcpy(frame + l3 + (w->v6 ? 8 : 12), w->remote.b + (w->v6 ? 0 : 12), w->v6 ? 16 : 4);
	memcpy(frame + l3 + (w->v6 ? 24 : 16), w->local.b + (w->v6 ? 0 : 12), w->v6 ? 16 : 4);
	memcpy(frame + 6, w->conn->path.remote_mac, 6);
	pkt.data = frame;
	pkt.l3_off = (uint16_t)l3;
	pkt.l4_off = (uint16_t)l4;
	pkt.payload_off = (uint16_t)(l4 + TCP_HDR_LEN + TCP_TS_OPT_LEN);
	tcp_input_burst(w->tcp, &pkt, 1, w->now_ns);
	w->seq += 18;
	while ((c = tcp_ready(w->tcp, &events)) != NULL) {
		turn(w, c);
		tcp_ready_done(w->tcp, c, w->now_ns);
	}
	net_flush(w->net);
	tcp_timers(w->tcp, w->now_ns);
	wire_drain(w);
}

/* The connection lies across the end of a page so that its hot lines are the last there, and the
 * next page traps while requests are answered. */
static void test_hit_lines(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t hot = CONN_HOT_LINES * CACHE_LINE;
	struct wire *w = &wire;
	char *pages;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		             -1, 0);
		assert_ptr_not_equal(pages, MAP_FAILED);
		wire_open(w, NULL, v6);
		pool_init(&w->tcp->conns, pages + page - hot, sizeof(struct conn), 1);
		wire_handshake(w, opts_ts, sizeof(opts_ts), 0u - 30);
		/* The first has the timer set. */
		hit(w, 2);
		assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
		for (uint32_t i = 0; i < 40; i++) {
			w->now_ns += NS_PER_MS;
			hit(w, 3 + i);
		}
		assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
		assert_int_equal(w->ack, w->conn->snd_nxt);
		assert_int_equal(w->conn->tx_bytes, 300);
		wire_close(w);
		munmap(pages, 2 * page);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_growth),
	        cmocka_unit_test(test_touch_ahead),
	        cmocka_unit_test(test_hit_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
