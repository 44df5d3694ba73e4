/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Limits by address, of orphans and of TIME-WAITs; no memory, no newcomers; slow readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;
static uint8_t text[1 << 15];

/* The peer's answers of one port. */
struct peer {
	uint16_t port;
	uint32_t ack;
};

static bool syn(struct wire *w, struct peer *p)
{
	struct wire_seg s = {.seq = 100, .wnd = 65535, .flags = TH_SYN, .sport = p->port};
	struct wire_seg got;

	wire_drain(w);
	wire_send(w, &s);
	do
		if (!wire_take(w, &got))
			return false;
	while (got.dport != p->port);
	assert_int_equal(got.flags, TH_SYN | TH_ACK);
	p->ack = got.seq + 1;
	return true;
}

/* False when it was answered with a reset. */
static bool ack(struct wire *w, struct peer *p, uint32_t ack, uint8_t flags)
{
	struct wire_seg s = {
	        .seq = 101, .ack = ack, .wnd = 65535, .flags = TH_ACK | flags, .sport = p->port};
	struct wire_seg got;

	wire_drain(w);
	wire_send(w, &s);
	while (wire_take(w, &got))
		if (got.flags & TH_RST)
			return false;
	return true;
}

static bool open_one(struct wire *w, struct peer *p, uint16_t port)
{
	p->port = port;
	w->conn = NULL;
	return syn(w, p) && ack(w, p, p->ack, 0) && w->conn != NULL;
}

static void reset(struct wire *w, struct peer *p)
{
	ack(w, p, p->ack, TH_RST);
}

static void set_remote(struct wire *w, const char *addr)
{
	assert_true(ip_addr_parse(addr, &w->remote));
}

/* Three for each address; all of a /64 are one; handshakes do not count, connections do. */
static void test_by_address(void **state)
{
	static const char *const same[2][2] = {{"10.0.0.2", "10.0.0.2"},
	                                       {"fd00::2", "fd00::ffff:1"}};
	static const char *const other[2] = {"10.0.0.3", "fd00:0:0:1::2"};

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct wire *w = &wire;
		struct tcp_config cfg;
		struct peer p[8];

		tcp_config_small(&cfg);
		cfg.max_per_address = 3;
		wire_open(w, &cfg, v6);
		for (uint32_t i = 0; i < 5; i++) {
			p[i].port = (uint16_t)(1000 + i);
			set_remote(w, same[v6][i & 1]);
			assert_true(syn(w, &p[i]));
		}
		for (uint32_t i = 0; i < 5; i++) {
			set_remote(w, same[v6][i & 1]);
			assert_int_equal(ack(w, &p[i], p[i].ack, 0), i < 3);
		}
		assert_int_equal(wire_count(w, CTR_tcp_accepted), 3);
		assert_int_equal(wire_count(w, CTR_drop_tcp_address), 2);
		set_remote(w, same[v6][0]);
		assert_false(open_one(w, &p[5], 2000));
		assert_int_equal(wire_count(w, CTR_drop_tcp_address), 3);
		set_remote(w, other[v6]);
		assert_true(open_one(w, &p[5], 2000));
		/* One that goes makes room for one. */
		set_remote(w, same[v6][0]);
		reset(w, &p[0]);
		assert_true(open_one(w, &p[6], 2001));
		assert_false(open_one(w, &p[7], 2002));
		wire_close(w);
	}
}

static void close_own(struct wire *w)
{
	struct conn *c = w->conn;

	w->conn = NULL;
	tcp_set_owner(c, NULL);
	tcp_close(w->tcp, c, w->now_ns);
	wire_run(w);
}

static void test_orphans(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct peer p[4];
	struct wire_seg got;

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_orphans = 2;
	wire_open(w, &cfg, false);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(open_one(w, &p[i], (uint16_t)(1000 + i)));
		wire_drain(w);
		close_own(w);
	}
	/* The third pushed the first out. */
	assert_int_equal(wire_count(w, CTR_shed_orphan), 1);
	assert_int_equal(w->tcp->orphan_count, 2);
	assert_true(wire_take(w, &got));
	assert_int_equal(got.flags, TH_RST | TH_ACK);
	assert_int_equal(got.dport, 1000);
	/* One that the peer closes too is none any more. */
	ack(w, &p[1], p[1].ack + 1, TH_FIN);
	assert_int_equal(w->tcp->orphan_count, 1);
	assert_int_equal(w->tcp->time_wait_count, 1);
	assert_true(open_one(w, &p[3], 1003));
	close_own(w);
	assert_int_equal(wire_count(w, CTR_shed_orphan), 1);
	assert_int_equal(w->tcp->orphan_count, 2);
	wire_close(w);
	wire_open(w, &cfg, true);
	assert_int_equal(w->tcp->orphan_count, 0);
	wire_close(w);
}

static void test_time_waits(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct peer p[5];

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_time_waits = 3;
	cfg.max_per_address = 1;
	wire_open(w, &cfg, true);
	for (uint32_t i = 0; i < 5; i++) {
		assert_true(open_one(w, &p[i], (uint16_t)(1000 + i)));
		close_own(w);
		/* In TIME-WAIT it does not count for its address. */
		ack(w, &p[i], p[i].ack + 1, TH_FIN);
	}
	assert_int_equal(w->tcp->time_wait_count, 3);
	assert_int_equal(wire_count(w, CTR_shed_time_wait), 2);
	assert_int_equal(tcp_conn_count(w->tcp), 3);
	wire_advance(w, 61000);
	assert_int_equal(w->tcp->time_wait_count, 0);
	assert_int_equal(tcp_conn_count(w->tcp), 0);
	wire_close(w);
}

/* A full table: an orphan makes room when nothing cheaper does. */
static void test_full_of_orphans(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct peer p[17];

	(void)state;
	tcp_config_small(&cfg);
	cfg.max_conns = 16;
	cfg.max_syn_backlog = 8;
	wire_open(w, &cfg, false);
	for (uint32_t i = 0; i < 16; i++) {
		assert_true(open_one(w, &p[i], (uint16_t)(1000 + i)));
		close_own(w);
	}
	assert_int_equal(tcp_conn_room(w->tcp), 0);
	assert_true(open_one(w, &p[16], 1016));
	assert_int_equal(wire_count(w, CTR_shed_orphan), 1);
	assert_int_equal(w->tcp->orphan_count, 15);
	wire_close(w);
}

static void test_no_memory_no_newcomers(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct rx_buf *rx;
	struct peer p;
	uint8_t *taken[512];
	uint32_t n;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_bufs = 1;
	wire_open(w, &cfg, false);
	rx = rx_buf_get(&w->tcp->rx_mem);
	assert_true(rx_buf_reserve(&w->tcp->rx_mem, rx, 0, cfg.rx_buf_bytes));
	assert_false(open_one(w, &p, 1000));
	assert_int_equal(wire_count(w, CTR_drop_tcp_syn_full), 1);
	rx_buf_put(&w->tcp->rx_mem, rx);
	for (n = 0; n < 481; n++)
		taken[n] = pool_get(&w->tcp->chunks);
	assert_false(open_one(w, &p, 1000));
	assert_int_equal(wire_count(w, CTR_drop_tcp_syn_full), 2);
	pool_put(&w->tcp->chunks, taken[--n]);
	assert_true(open_one(w, &p, 1000));
	while (n > 0)
		pool_put(&w->tcp->chunks, taken[--n]);
	wire_close(w);
}

/* Those who left a hole and fell silent give their memory up for newcomers. */
static void test_silent_holes(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct wire_seg hole;
	struct rx_buf *rx;
	struct peer p[2] = {0};
	struct conn *c;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_bufs = 1;
	wire_open(w, &cfg, false);
	assert_true(open_one(w, &p[0], 1000));
	c = w->conn;
	hole = (struct wire_seg){.seq = 5101,
	                         .ack = p[0].ack,
	                         .wnd = 65535,
	                         .flags = TH_ACK,
	                         .sport = 1000,
	                         .data = text,
	                         .len = 100};
	wire_send(w, &hole);
	assert_int_equal(c->rx->ooo_count, 1);
	rx = rx_buf_get(&w->tcp->rx_mem);
	assert_true(rx_buf_reserve(&w->tcp->rx_mem, rx, 0,
	                           rx_mem_free(&w->tcp->rx_mem) * TCP_RX_BLOCK));
	assert_false(open_one(w, &p[1], 1001));
	tcp_relieve(w->tcp, 5000, false, w->now_ns);
	assert_int_equal(wire_count(w, CTR_shed_rx_ooo), 1);
	assert_null(c->rx);
	assert_true(open_one(w, &p[1], 1001));
	/* No more than is needed. */
	tcp_relieve(w->tcp, 5000, false, w->now_ns);
	assert_int_equal(wire_count(w, CTR_shed_rx_ooo), 1);
	rx_buf_put(&w->tcp->rx_mem, rx);
	wire_close(w);
}

static void relieve(struct wire *w, uint32_t ms)
{
	for (uint32_t i = 0; i < ms; i += 10) {
		w->now_ns += 10 * NS_PER_MS;
		tcp_relieve(w->tcp, 5000, false, w->now_ns);
		wire_run(w);
	}
}

/* Two readers with as much queued: one takes some now and then, one a byte a probe. */
static void test_slow_reader(void **state)
{
	struct wire *w = &wire;
	struct conn *slow, *steady;
	struct tcp_config cfg;
	struct peer p[2];
	uint32_t taken = 0;

	(void)state;
	tcp_config_small(&cfg);
	cfg.tx_chunks = 64;
	wire_open(w, &cfg, true);
	assert_true(open_one(w, &p[0], 1000));
	slow = w->conn;
	assert_int_equal(tcp_tx_copy(w->tcp, slow, text, 20000), ST_OK);
	assert_true(open_one(w, &p[1], 1001));
	steady = w->conn;
	assert_int_equal(tcp_tx_copy(w->tcp, steady, text, 20000), ST_OK);
	wire_run(w);
	/* 24 of 64 are free: no hurry for anybody. */
	for (uint32_t i = 0; i < 20; i++)
		relieve(w, 1000);
	assert_int_equal(wire_count(w, CTR_shed_slow_reader), 0);
	assert_int_equal(tcp_tx_copy(w->tcp, steady, text, 10000), ST_OK);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(wire_count(w, CTR_shed_slow_reader), i > 5 ? 1 : 0);
		if (i < 6)
			ack(w, &p[0], p[0].ack + i, 0);
		taken += 1100;
		assert_true(ack(w, &p[1], p[1].ack + taken, 0));
		assert_int_equal(tcp_tx_copy(w->tcp, steady, text, 1100), ST_OK);
		relieve(w, 900);
	}
	assert_int_equal(wire_count(w, CTR_shed_slow_reader), 1);
	assert_int_equal(slow->state, TCP_CLOSED);
	assert_int_equal(steady->state, TCP_ESTABLISHED);
	/* With the memory that it held, the pressure is gone: the other may stand still now. */
	relieve(w, 10000);
	assert_int_equal(wire_count(w, CTR_shed_slow_reader), 1);
	wire_close(w);
}

/* Enough of TCP's own memory; it is what the queued bytes refer to that is short. */
static void test_slow_reader_of_owners(void **state)
{
	struct wire *w = &wire;
	struct conn *c;
	struct tcp_config cfg;
	struct peer p;

	(void)state;
	tcp_config_small(&cfg);
	wire_open(w, &cfg, true);
	assert_true(open_one(w, &p, 1000));
	c = w->conn;
	assert_int_equal(tcp_tx_copy(w->tcp, c, text, 20000), ST_OK);
	wire_run(w);
	tcp_relieve(w->tcp, 5000, true, w->now_ns);
	w->now_ns += 4900 * NS_PER_MS;
	tcp_relieve(w->tcp, 5000, true, w->now_ns);
	assert_int_equal(wire_count(w, CTR_shed_slow_reader), 0);
	w->now_ns += 400 * NS_PER_MS;
	tcp_relieve(w->tcp, 5000, false, w->now_ns);
	assert_int_equal(wire_count(w, CTR_shed_slow_reader), 0);
	tcp_relieve(w->tcp, 5000, true, w->now_ns);
	assert_int_equal(wire_count(w, CTR_shed_slow_reader), 1);
	assert_int_equal(c->state, TCP_CLOSED);
	wire_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_by_address),
	        cmocka_unit_test(test_orphans),
	        cmocka_unit_test(test_time_waits),
	        cmocka_unit_test(test_full_of_orphans),
	        cmocka_unit_test(test_no_memory_no_newcomers),
	        cmocka_unit_test(test_silent_holes),
	        cmocka_unit_test(test_slow_reader),
	        cmocka_unit_test(test_slow_reader_of_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
