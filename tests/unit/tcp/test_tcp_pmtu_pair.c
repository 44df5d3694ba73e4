/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two stacks over a path whose MTU is smaller than both ends', or changes, and that says nothing:
 * every byte must arrive, with loss and reordering on top. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct rig rig;

/* filter_state is the path's MTU. */
static bool narrow(struct rig *r, uint32_t from, const uint8_t *data, uint32_t len)
{
	(void)from;
	(void)data;
	return len <= r->filter_state + 14;
}

static bool both_closed(struct rig *r, void *arg)
{
	(void)arg;
	return r->apps[0].closed && r->apps[1].used && r->apps[1].closed;
}

static struct app model(uint64_t bytes, uint32_t seed)
{
	return (struct app){.tx_total = bytes, .tx_seed = seed, .rx_seed = seed ^ 3};
}

static void transfer(const struct rig_config *cfg, uint32_t mtu, uint64_t bytes)
{
	struct app a = model(bytes, 1);

	rig_open(&rig, cfg);
	rig.filter = narrow;
	rig.filter_state = mtu;
	rig.host[0].model = model(bytes, 2);
	rig_connect(&rig, 1, 4000, &a);
	if (!rig_run(&rig, both_closed, NULL, 600 * 1000))
		fail_msg("mtu %u, seed %u: not done", mtu, (uint32_t)cfg->seed);
	assert_int_equal(rig.apps[0].rx_done, bytes);
	assert_int_equal(rig.apps[1].rx_done, bytes);
}

static void black_hole_on_the_way(void **state)
{
	static const uint16_t mtus[] = {1500, 1499, 1420, 1300, 1280, 1000, 576, 300};

	(void)state;
	for (uint32_t i = 0; i < 4 * ARRAY_LEN(mtus); i++) {
		uint32_t mtu = mtus[i / 4];
		struct rig_config cfg = {.seed = i, .v6 = i & 1};

		if (cfg.v6 && mtu < 1280)
			continue;
		tcp_config_small(&cfg.tcp[0]);
		tcp_config_small(&cfg.tcp[1]);
		cfg.tcp[0].pmtu_probing = i & 2 ? TCP_PMTU_ALWAYS : TCP_PMTU_BLACKHOLE;
		cfg.tcp[1].pmtu_probing = cfg.tcp[0].pmtu_probing;
		transfer(&cfg, mtu, 300000);
		if (mtu == 1500 && !(i & 2))
			assert_int_equal(rig.host[0].ctr.v[CTR_tcp_pmtu_blackhole], 0);
		if (mtu == 1500 && i & 2)
			assert_int_equal(rig.host[0].ctr.v[CTR_tcp_pmtu_raised], 1);
		rig_close(&rig);
	}
}

/* With loss, probes and black holes must be told from it. */
static void with_loss(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 24; i++) {
		struct rig_config cfg = {.seed = 100 + i,
		                         .loss_pm = 10 + 10 * (i % 3),
		                         .dup_pm = 5,
		                         .reorder_pm = i & 1 ? 20 : 0,
		                         .v6 = i & 2};

		tcp_config_small(&cfg.tcp[0]);
		tcp_config_small(&cfg.tcp[1]);
		cfg.tcp[0].pmtu_probing = i & 4 ? TCP_PMTU_ALWAYS : TCP_PMTU_BLACKHOLE;
		transfer(&cfg, i & 8 ? 1500 : 1380, 400000);
		rig_close(&rig);
	}
}

static bool sent_half(struct rig *r, void *arg)
{
	(void)arg;
	return r->apps[0].rx_done > 1000000;
}

/* The path becomes narrow in the middle, and wide again later: the probes find it. */
static void path_that_changes(void **state)
{
	struct rig_config cfg = {.seed = 7, .delay_ns = 5 * NS_PER_MS};
	struct app a = model(0, 1);

	(void)state;
	rig_open(&rig, &cfg);
	rig.filter = narrow;
	rig.filter_state = 1500;
	a.keep_open = true;
	rig.host[0].model = model(4000000000u, 2);
	rig_connect(&rig, 1, 4000, &a);
	assert_true(rig_run(&rig, sent_half, NULL, 60 * 1000));
	assert_int_equal(rig.host[0].ctr.v[CTR_tcp_pmtu_blackhole], 0);
	rig.filter_state = 1400;
	rig_run_for(&rig, 2000);
	assert_true(rig.host[0].ctr.v[CTR_tcp_pmtu_blackhole] > 0);
	assert_int_equal(rig.apps[1].conn->mss, 1400 - 40 - 12);
	rig_run_for(&rig, 8000);
	assert_int_equal(rig.apps[1].conn->mss, 1400 - 40 - 12);
	assert_true(rig.host[0].ctr.v[CTR_tcp_pmtu_probe] > 0);
	assert_int_equal(rig.host[0].ctr.v[CTR_tcp_pmtu_raised], 0);
	rig.filter_state = 1500;
	/* Ten minutes are long for a test of this kind: the time is brought forward. */
	rig.apps[1].conn->pmtu.raise_s = 0;
	rig_run_for(&rig, 1000);
	assert_int_equal(rig.apps[1].conn->mss, 1500 - 40 - 12);
	assert_int_equal(rig.mismatches, 0);
	rig_free(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(black_hole_on_the_way),
	        cmocka_unit_test(with_loss),
	        cmocka_unit_test(path_that_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
