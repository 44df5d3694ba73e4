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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_small),
	        cmocka_unit_test(test_bulk),
	        cmocka_unit_test(test_impaired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
