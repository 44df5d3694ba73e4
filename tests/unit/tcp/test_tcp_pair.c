/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two stacks back to back: data both ways through good and bad pipes, byte for byte, and nothing
 * held afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static bool all_closed(struct rig *rig, void *arg)
{
	uint32_t want = *(uint32_t *)arg;
	uint32_t closed = 0;

	for (uint32_t i = 0; i < RIG_APPS; i++)
		closed += rig->apps[i].used && rig->apps[i].closed;
	return closed == want;
}

static void report(const struct rig *rig)
{
	for (uint32_t i = 0; i < RIG_APPS; i++) {
		const struct app *a = &rig->apps[i];

		if (!a->used)
			continue;
		print_error("host %u tx %lu rx %lu open %d eof %d closed %d %s\n", a->host,
		            (unsigned long)a->tx_done, (unsigned long)a->rx_done, a->opened, a->eof,
		            a->closed, a->conn ? tcp_state_name(a->conn->state) : "-");
	}
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t k = 0; k < CTR_COUNT; k++)
			if (rig->host[i].ctr.v[k])
				print_error("  %u %s %lu\n", i, counter_infos[k].id,
				            (unsigned long)rig->host[i].ctr.v[k]);
}

/* One connection; a and b bytes; checks that both ends got everything. */
static void exchange(struct rig *rig, const struct app *client, const struct app *server,
                     uint64_t limit_ms)
{
	uint32_t want = 2;
	struct app *app;

	rig->host[0].model = *server;
	app = rig_connect(rig, 1, 40000, client);
	if (!rig_run(rig, all_closed, &want, limit_ms) || !app->eof) {
		report(rig);
		fail_msg("seed %lu: not done in time or cut short", (unsigned long)rig->cfg.seed);
	}
	assert_true(app->eof);
	for (uint32_t i = 0; i < RIG_APPS; i++) {
		const struct app *a = &rig->apps[i];

		if (!a->used)
			continue;
		assert_true(a->eof);
		assert_int_equal(a->rx_done, a->host == 0 ? client->tx_total : server->tx_total);
	}
	rig_close(rig);
}

static void test_small(void **state)
{
	struct rig_config cfg = {.seed = 1};
	struct app client = {.tx_total = 100, .tx_seed = 7, .rx_seed = 7};
	struct app server = {.tx_total = 300, .tx_seed = 7, .rx_seed = 7};
	struct rig rig;

	(void)state;
	rig_open(&rig, &cfg);
	exchange(&rig, &client, &server, 1000);
}

static void test_bulk(void **state)
{
	struct rig_config cfg = {.seed = 2};
	struct app client = {.tx_total = 3000000, .tx_seed = 7, .rx_seed = 7, .use_refs = true};
	struct app server = {.tx_total = 2000000, .tx_seed = 7, .rx_seed = 7};
	struct rig rig;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++)
		for (int offload = 0; offload < 2; offload++) {
			cfg.v6 = v6;
			cfg.offload = offload;
			rig_open(&rig, &cfg);
			exchange(&rig, &client, &server, 10000);
		}
}

/* Bad pipes. Seeds are many and cheap; a failing one is printed. */
static void test_impaired(void **state)
{
	static const struct {
		uint32_t loss, dup, reorder, corrupt;
		uint32_t seeds;
		uint32_t bytes;
	} cases[] = {
	        {10, 0, 0, 0, 20, 500000},     {50, 0, 0, 0, 20, 200000},
	        {200, 0, 0, 0, 20, 30000},     {0, 100, 0, 0, 5, 500000},
	        {0, 0, 300, 0, 10, 500000},    {0, 0, 0, 50, 10, 200000},
	        {20, 20, 100, 20, 40, 300000}, {100, 100, 500, 50, 40, 50000},
	};
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (uint32_t seed = 0; seed < cases[i].seeds; seed++) {
			struct rig_config cfg = {
			        .seed = 1000 * i + seed,
			        .loss_pm = cases[i].loss,
			        .dup_pm = cases[i].dup,
			        .reorder_pm = cases[i].reorder,
			        .corrupt_pm = cases[i].corrupt,
			        .v6 = seed & 1,
			};
			struct app client = {
			        .tx_total = cases[i].bytes, .tx_seed = 7, .rx_seed = 7};
			struct app server = client;

			client.use_refs = seed & 2;
			server.use_refs = seed & 4;
			client.read_max = seed & 8 ? 700 : 0;
			server.close_after = seed & 16;
			rig_open(&rig, &cfg);
			exchange(&rig, &client, &server, 600 * 1000);
		}
}

/* Sequence numbers of one side wrap in the middle of the data. */
static void test_wrap(void **state)
{
	static const uint32_t before[] = {0, 1, 2, 1459, 1460, 20000, 150000};
	struct app client = {.tx_total = 300000, .tx_seed = 7, .rx_seed = 7};
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(before); i++) {
		struct rig_config cfg = {.seed = i, .loss_pm = i & 2 ? 30 : 0};
		uint32_t side = i & 1;
		struct conn_key key = {.lport = RIG_PORT, .rport = 40000};
		uint32_t isn;

		rig_open(&rig, &cfg);
		key.local = rig.host[side].addr;
		key.remote = rig.host[side ^ 1u].addr;
		if (side == 1) {
			key.lport = 40000;
			key.rport = RIG_PORT;
		}
		rig_run_for(&rig, 1);
		rig.host[side].tcp->now_ns = rig.now_ns;
		isn = conn_isn(rig.host[side].tcp, &key);
		/* The ISN's clock runs with the time: wait until it comes out as wanted. */
		rig.now_ns += (uint64_t)(uint32_t)(0u - before[i / 4] - isn) << 12;
		exchange(&rig, &client, &client, 600 * 1000);
	}
}

/* Hardly any packet buffers: sending stops and goes on, and nothing is lost. */
static void test_packet_shortage(void **state)
{
	static const uint32_t buffers[] = {4, 8, 20};
	struct app app = {.tx_total = 200000, .tx_seed = 7, .rx_seed = 7, .use_refs = true};
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
		struct rig_config cfg = {.seed = i, .buffers = buffers[i]};

		rig_open(&rig, &cfg);
		exchange(&rig, &app, &app, 600 * 1000);
	}
}

/* A slow reader, tiny pools, many connections: all get there. */
static void test_small_pools(void **state)
{
	struct app app = {.tx_total = 50000, .tx_seed = 7, .rx_seed = 7, .read_max = 2000};
	uint32_t want = 40;
	struct rig rig;

	(void)state;
	for (uint32_t seed = 0; seed < 4; seed++) {
		struct rig_config cfg = {.seed = seed, .loss_pm = 10 * seed};

		tcp_config_small(&cfg.tcp[0]);
		cfg.tcp[0].rx_bufs = 12;
		cfg.tcp[0].rx_buf_bytes = 4096;
		cfg.tcp[0].tx_chunks = 30;
		cfg.tcp[0].tx_refs = 60;
		cfg.tcp[1] = cfg.tcp[0];
		app.use_refs = seed & 1;
		rig_open(&rig, &cfg);
		rig.host[0].model = app;
		for (uint32_t i = 0; i < 20; i++)
			rig_connect(&rig, 1, (uint16_t)(1000 + i), &app);
		if (!rig_run(&rig, all_closed, &want, 900 * 1000)) {
			report(&rig);
			fail_msg("seed %u", seed);
		}
		for (uint32_t i = 0; i < RIG_APPS; i++)
			if (rig.apps[i].used)
				assert_int_equal(rig.apps[i].rx_done, app.tx_total);
		rig_close(&rig);
	}
}

/* A reader that stalls closes the window; probes find it open again. */
static void test_stalled_reader(void **state)
{
	struct rig_config cfg = {.seed = 3};
	struct app client = {.tx_total = 500000, .tx_seed = 7, .rx_seed = 7};
	struct app server = {.tx_total = 10, .tx_seed = 7, .rx_seed = 7, .stall = 4000};
	struct rig rig;

	(void)state;
	for (cfg.loss_pm = 0; cfg.loss_pm < 300; cfg.loss_pm += 100) {
		rig_open(&rig, &cfg);
		exchange(&rig, &client, &server, 600 * 1000);
	}
}

/* Both ends open at once, over a bad pipe. */
static void test_open_at_once(void **state)
{
	struct app app = {.tx_total = 20000, .tx_seed = 7, .rx_seed = 7};
	uint32_t want = 2;
	struct rig rig;

	(void)state;
	for (uint32_t seed = 0; seed < 20; seed++) {
		struct rig_config cfg = {.seed = seed, .loss_pm = seed * 5};
		struct net_path path;
		struct app *one;
		struct app *two;

		rig_open(&rig, &cfg);
		one = rig_connect(&rig, 1, RIG_PORT, &app);
		two = &rig.apps[1];
		*two = app;
		two->used = true;
		two->rig = &rig;
		path = one->conn->path;
		path.local = rig.host[0].addr;
		path.remote = rig.host[1].addr;
		memcpy(path.remote_mac, nic_caps(rig.host[1].nic)->mac, 6);
		two->conn = tcp_connect(rig.host[0].tcp, &path, RIG_PORT, RIG_PORT, rig.now_ns);
		assert_non_null(two->conn);
		tcp_set_owner(two->conn, two);
		if (!rig_run(&rig, all_closed, &want, 600 * 1000)) {
			report(&rig);
			fail_msg("seed %u", seed);
		}
		assert_int_equal(one->rx_done, 20000);
		assert_int_equal(two->rx_done, 20000);
		rig_close(&rig);
	}
}

static uint32_t dropped;

/* Loses every n-th data segment of one direction once. */
static bool drop_some(struct rig *rig, uint32_t from, const uint8_t *data, uint32_t len)
{
	(void)data;
	if (from != 1 || len < 1000)
		return true;
	rig->filter_state++;
	if (rig->filter_state % 50 != 20)
		return true;
	dropped++;
	return false;
}

/* Isolated losses are repaired without a timeout, and only what was lost is sent again. */
static void test_recovery_is_exact(void **state)
{
	struct rig_config cfg = {.seed = 3, .delay_ns = 5 * NS_PER_MS};
	struct app client = {.tx_total = 1000000, .tx_seed = 7, .rx_seed = 7};
	struct app server = {.tx_total = 1, .tx_seed = 7, .rx_seed = 7};
	uint32_t want = 2;
	struct rig rig;

	(void)state;
	dropped = 0;
	rig_open(&rig, &cfg);
	rig.filter = drop_some;
	rig.host[0].model = server;
	rig_connect(&rig, 1, 40000, &client);
	assert_true(rig_run(&rig, all_closed, &want, 60 * 1000));
	assert_true(dropped > 10);
	assert_int_equal(counter_read(&rig.host[1].ctr, CTR_tcp_rto), 0);
	assert_int_equal(counter_read(&rig.host[1].ctr, CTR_tcp_rexmit), dropped);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_small),
	        cmocka_unit_test(test_bulk),
	        cmocka_unit_test(test_impaired),
	        cmocka_unit_test(test_wrap),
	        cmocka_unit_test(test_packet_shortage),
	        cmocka_unit_test(test_small_pools),
	        cmocka_unit_test(test_stalled_reader),
	        cmocka_unit_test(test_open_at_once),
	        cmocka_unit_test(test_recovery_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
