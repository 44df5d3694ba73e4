/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What connections cost between requests, with everything that the core keeps for them; and that
 * they go when the table is nearly full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "dataplane/path.h"
#include "dataplane/tcp/conn.h"
#include "tests/sim/rig.h"

static struct rig rig;

struct clients {
	uint32_t opened;
	uint32_t answered;
	uint32_t closed;
};

static void on_client(void *arg, struct rig *r, struct conn *conn, uint32_t events)
{
	static const char get[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct clients *all = arg;
	size_t n = tcp_rx(conn).len;

	if (events & TCP_EV_OPEN) {
		all->opened++;
		assert_int_equal(tcp_tx_copy(r->client, conn, get, sizeof(get) - 1), ST_OK);
	}
	all->answered += n > 0;
	tcp_rx_consume(r->client, conn, n);
	if (tcp_rx_eof(conn) && !(events & TCP_EV_CLOSED))
		tcp_close(r->client, conn, r->now_ns);
	all->closed += (events & TCP_EV_EOF) != 0;
}

static void begin(struct clients *all, const char *yaml)
{
	assert_int_equal(rig_create(&rig, yaml), ST_OK);
	*all = (struct clients){0};
	rig.on_client = on_client;
	rig.client_arg = all;
	assert_int_equal(rig_hot_put(&rig, "h/x", "Content-Type: a/b\r\n", span_of("hello", 5)),
	                 ST_OK);
}

static void connect_some(uint32_t n)
{
	static uint16_t port = 1024;

	for (uint32_t i = 0; i < n; i++) {
		assert_non_null(rig_connect(&rig, port++));
		if (i % 16 == 15)
			rig_settle(&rig, 20, 20 * NS_PER_US);
	}
	rig_settle(&rig, 100, 20 * NS_PER_US);
}

static size_t buckets_bytes(const struct tcp *tcp)
{
	return tcp->bucket_count * sizeof(uint32_t);
}

static void test_idle_cost(void **state)
{
	enum { COUNT = 8000 };
	struct core *core;
	struct clients all;
	struct tcp_usage use;
	size_t buckets;

	(void)state;
	begin(&all, NULL);
	core = rig.core;
	buckets = buckets_bytes(core->tcp);
	connect_some(COUNT);
	for (uint32_t i = 0; i < 100; i++)
		rig_step(&rig, NS_PER_MS);
	assert_int_equal(all.opened, COUNT);
	assert_int_equal(all.answered, COUNT);
	tcp_usage(core->tcp, &use);
	assert_int_equal(use.conns, COUNT);
	/* Nothing but the block and its share of the table: no request, no buffer, no descriptor,
	 * no block of the channel. */
	assert_int_equal(core->reqs.in_use, 0);
	assert_int_equal(use.rx_bufs, 0);
	assert_int_equal(use.rx_blocks, 0);
	assert_int_equal(use.tx_chunks, 0);
	assert_int_equal(use.tx_refs, 0);
	assert_int_equal(core->chan.miss_live, 0);
	assert_int_equal(core->chan.up.free_count, rig.config->memory.up_blocks);
	size_t grown = core->tcp->conns.fresh * core->tcp->conns.size +
	               core->reqs.fresh * core->reqs.size + buckets_bytes(core->tcp) - buckets;
	print_message("%zu bytes a connection, pools' growth in all; struct conn %zu\n",
	              grown / COUNT, sizeof(struct conn));
	assert_true(grown / COUNT <= 1024);
	rig_destroy(&rig);
}

/* 256 places: with less than 16 left, whoever is idle longest goes, and the sooner the fewer. */
static void test_nearly_full(void **state)
{
	static const char yaml[] = "node: rig\n" RIG_YAML_MEMORY "limits:\n"
	                           "    connections: 256\n"
	                           "timeouts:\n"
	                           "    idle_ms: 16000\n" RIG_YAML_WORLD RIG_YAML_ROUTE;
	struct counters *ctr;
	struct clients all;

	(void)state;
	begin(&all, yaml);
	ctr = rig.core->ctr;
	connect_some(240);
	for (uint32_t i = 0; i < 3000; i++)
		rig_step(&rig, NS_PER_MS);
	assert_int_equal(counter_read(ctr, CTR_shed_idle), 0);
	/* Four more: 12 places left, so 12 of 16 seconds of idleness are enough. */
	connect_some(4);
	assert_int_equal(all.answered, 244);
	for (uint32_t i = 0; i < 8500; i++)
		rig_step(&rig, NS_PER_MS);
	assert_int_equal(counter_read(ctr, CTR_shed_idle), 0);
	for (uint32_t i = 0; i < 1000; i++)
		rig_step(&rig, NS_PER_MS);
	assert_in_range(counter_read(ctr, CTR_shed_idle), 4, 240);
	/* They went in order. */
	assert_int_equal(all.closed, counter_read(ctr, CTR_shed_idle));
	assert_int_equal(counter_read(ctr, CTR_tcp_rst_out), 0);
	/* And newcomers still get in. */
	connect_some(4);
	assert_int_equal(all.answered, 248);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_idle_cost),
	        cmocka_unit_test(test_nearly_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
