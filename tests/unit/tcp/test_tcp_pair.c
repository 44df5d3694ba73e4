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

/* One connection; a and b bytes; checks that both ends got everything. */
static void exchange(struct rig *rig, const struct app *client, const struct app *server,
                     uint64_t limit_ms)
{
	uint32_t want = 2;
	struct app *app;

	rig->host[0].model = *server;
	app = rig_connect(rig, 1, 40000, client);
	if (!rig_run(rig, all_closed, &want, limit_ms)) {
		for (uint32_t i = 0; i < RIG_APPS; i++)
			if (rig->apps[i].used)
				print_error(
				        "host %u tx %lu rx %lu open %d eof %d closed %d %s\n",
				        rig->apps[i].host, (unsigned long)rig->apps[i].tx_done,
				        (unsigned long)rig->apps[i].rx_done, rig->apps[i].opened,
				        rig->apps[i].eof, rig->apps[i].closed,
				        rig->apps[i].conn ? tcp_state_name(rig->apps[i].conn->state)
				                          : "-");
		fail_msg("seed %lu: not done in time", (unsigned long)rig->cfg.seed);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_small),
	        cmocka_unit_test(test_bulk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
