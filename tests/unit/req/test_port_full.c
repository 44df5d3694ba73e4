/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A port that takes nothing for a while: what is to be sent waits, what comes waits in the port's
 * ring, and nothing is lost; one that takes nothing for long is gone, and nothing waits for it. */
#include <stdlib.h>

#include "tests/unit/req/fixture.h"

#define GET "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

enum { WEBS = 40, BODY = 14000, FEW_MS = 3, LONG_MS = 60 };

static uint32_t segments(void)
{
	return WEBS * (BODY / 1460 + 1);
}

static void webs_ask(struct web **webs)
{
	for (uint32_t i = 0; i < WEBS; i++)
		assert_true(web_text(webs[i], GET));
	run_ms(2);
}

static void begin(struct web **webs)
{
	up(NULL);
	assert_int_equal(rig_hot_put(&fx.rig, "h/x", "", pattern(1, BODY)), ST_OK);
	for (uint32_t i = 0; i < WEBS; i++)
		webs[i] = open_web();
}

/* More than a burst of answers is held; requests beyond are not even received. */
static void test_waits(void **state)
{
	struct web *webs[WEBS];

	(void)state;
	begin(webs);
	nic_sim_set_faults(fx.rig.server_nic, NIC_SIM_REFUSES);
	webs_ask(webs);
	assert_true(net_queued(fx.rig.core->net) > NET_TX_QUEUE);
	assert_true(ctr(CTR_http_requests) < WEBS);
	assert_true(nic_sim_pending(fx.rig.server_nic) > 0);
	run_ms(FEW_MS);
	assert_true(ctr(CTR_http_requests) < WEBS);
	nic_sim_set_faults(fx.rig.server_nic, 0);
	run_ms(30);
	assert_int_equal(net_queued(fx.rig.core->net), 0);
	for (uint32_t i = 0; i < WEBS; i++)
		got_body(webs[i], 200, pattern(1, BODY));
	assert_int_equal(ctr(CTR_shed_tx), 0);
	assert_int_equal(ctr(CTR_tcp_rexmit), 0);
	assert_true(ctr(CTR_tx_packets) >= segments());
	down();
}

/* What is lost for it is counted, and control and timers go on. */
static void test_gone(void **state)
{
	struct web *webs[WEBS];

	(void)state;
	begin(webs);
	nic_sim_set_faults(fx.rig.server_nic, NIC_SIM_REFUSES);
	webs_ask(webs);
	run_ms(LONG_MS);
	assert_int_equal(net_queued(fx.rig.core->net), 0);
	assert_int_equal(nic_sim_pending(fx.rig.server_nic), 0);
	assert_int_equal(ctr(CTR_http_requests), WEBS);
	assert_true(ctr(CTR_shed_tx) > NET_TX_QUEUE);
	/* Once it takes packets again, TCP repeats what was lost. */
	nic_sim_set_faults(fx.rig.server_nic, 0);
	run_ms(3000);
	for (uint32_t i = 0; i < WEBS; i++)
		got_body(webs[i], 200, pattern(1, BODY));
	/* And it is waited for again. */
	uint64_t shed = ctr(CTR_shed_tx);

	nic_sim_set_faults(fx.rig.server_nic, NIC_SIM_REFUSES);
	webs_ask(webs);
	run_ms(FEW_MS);
	nic_sim_set_faults(fx.rig.server_nic, 0);
	run_ms(30);
	for (uint32_t i = 0; i < WEBS; i++)
		got_body(webs[i], 200, pattern(1, BODY));
	assert_int_equal(ctr(CTR_shed_tx), shed);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_waits),
	        cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests_name("req-port-full", tests, NULL, NULL);
}
