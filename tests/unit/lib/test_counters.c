/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void every_counter_has_a_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < CTR_COUNT; i++) {
		const struct counter_info *c = &counter_infos[i];
		assert_non_null(c->id);
		assert_non_null(c->metric);
		assert_non_null(c->labels);
		assert_non_null(c->help);
		assert_true(strlen(c->help) > 0);
		assert_true((c->kind == COUNTER_DROP) ==
		            (strcmp(c->metric, "sluice_drops_total") == 0));
		assert_true((c->kind == COUNTER_SHED) ==
		            (strcmp(c->metric, "sluice_shed_total") == 0));
	}
}

/* Prometheus refuses a scrape with one series twice. */
static void series_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < CTR_COUNT; i++) {
		for (size_t k = i + 1; k < CTR_COUNT; k++) {
			if (strcmp(counter_infos[i].metric, counter_infos[k].metric) != 0)
				continue;
			if (strcmp(counter_infos[i].labels, counter_infos[k].labels) == 0)
				fail_msg("%s and %s are one series", counter_infos[i].id,
				         counter_infos[k].id);
		}
	}
}

static void rows_match_their_ids(void **state)
{
	(void)state;
	assert_string_equal(counter_infos[CTR_rx_packets].metric, "sluice_rx_packets_total");
	assert_string_equal(counter_infos[CTR_rx_packets].labels, "");
	assert_int_equal(counter_infos[CTR_rx_packets].kind, COUNTER_EVENT);
	assert_string_equal(counter_infos[CTR_drop_arp].labels, "reason=\"arp\"");
	assert_string_equal(counter_infos[CTR_shed_no_control].id, "shed_no_control");
}

static void counting(void **state)
{
	static struct counters c;

	(void)state;
	counter_inc(&c, CTR_rx_packets);
	counter_add(&c, CTR_rx_packets, 41);
	assert_int_equal(counter_read(&c, CTR_rx_packets), 42);
	counter_set(&c, CTR_tcp_conns, UINT64_MAX);
	counter_inc(&c, CTR_tcp_conns);
	assert_int_equal(counter_read(&c, CTR_tcp_conns), 0);
	assert_int_equal(counter_read(&c, CTR_rx_bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_counter_has_a_row),
	        cmocka_unit_test(series_are_unique),
	        cmocka_unit_test(rows_match_their_ids),
	        cmocka_unit_test(counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
