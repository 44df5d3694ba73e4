/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the load tool's DPDK port is asked for on the command line, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "perf/load/dpdk_port.h"

static void test_plan(void **state)
{
	static const struct {
		const char *device, *local, *host, *next_hop;
		uint32_t links;
		const char *err; /* NULL: it is fine, with so many addresses */
		uint32_t locals;
	} cases[] = {
	        {"memif:/run/m", "10.0.0.2", "10.0.0.1", NULL, 1, NULL, 1},
	        {"af_xdp:eth0", "10.0.0.2-10.0.0.65", "10.0.0.1", NULL, 1, NULL, 64},
	        {"af_packet:eth0", "10.0.0.254-10.0.1.1", "10.0.0.1", NULL, 1, NULL, 4},
	        {"tap:t0", "fd00::2-fd00::3", "fd00::1", NULL, 1, NULL, 2},
	        {"pci:0000:3b:00.0", "10.0.0.2", "10.9.0.1", "10.0.0.1", 60000, NULL, 1},
	        {"memif:/run/m", "10.0.0.2-10.0.0.17", "10.0.0.1", NULL, 960000, NULL, 16},
	        {NULL, "10.0.0.2", "10.0.0.1", NULL, 1, "needs a device", 0},
	        {"memif:/run/m", NULL, "10.0.0.1", NULL, 1, "local addresses", 0},
	        {"eth0", "10.0.0.2", "10.0.0.1", NULL, 1, "\"eth0\" is not known", 0},
	        {"memif:", "10.0.0.2", "10.0.0.1", NULL, 1, "is not known", 0},
	        {"memif:/a,role=server", "10.0.0.2", "10.0.0.1", NULL, 1, "comma", 0},
	        {"memif:/run/m", "10.0.0.2", "example.com", NULL, 1, "no resolver", 0},
	        {"memif:/run/m", "10.0.0.2", NULL, NULL, 1, "no resolver", 0},
	        {"memif:/run/m", "10.0.0.2", "10.0.0.1", "gw", 1, "next hop \"gw\"", 0},
	        {"memif:/run/m", "10.0.0", "10.0.0.1", NULL, 1, "no local address", 0},
	        {"memif:/run/m", "10.0.0.2-", "10.0.0.1", NULL, 1, "no local address", 0},
	        {"memif:/run/m", "10.0.0.2-fd00::1", "10.0.0.1", NULL, 1, "no local address", 0},
	        {"memif:/run/m", "10.0.0.2-10.0.0.66", "10.0.0.1", NULL, 1, "more than 64", 0},
	        {"memif:/run/m", "10.0.0.9-10.0.0.2", "10.0.0.1", NULL, 1, "ends before", 0},
	        {"memif:/run/m", "10.0.0.1-10.0.0.3", "10.0.0.2", NULL, 1, "server's own", 0},
	        {"memif:/run/m", "fd00::2", "10.0.0.1", NULL, 1, "all be IPv6", 0},
	        {"memif:/run/m", "10.0.0.2", "10.0.0.1", "fd00::1", 1, "all be IPv6", 0},
	        {"memif:/run/m", "10.0.0.2", "10.0.0.1", NULL, 60001, "need 2 local", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct transport_config cfg = {.device = cases[i].device,
		                               .local = cases[i].local,
		                               .host = cases[i].host,
		                               .next_hop = cases[i].next_hop,
		                               .links = cases[i].links};
		char err[TRANSPORT_ERR] = "";
		struct load_port_plan plan;
		enum status st = load_port_plan_make(&plan, &cfg, err);

		if (cases[i].err == NULL) {
			assert_int_equal(st, ST_OK);
			assert_int_equal(plan.local_count, cases[i].locals);
			continue;
		}
		assert_int_equal(st, ST_INVALID);
		if (strstr(err, cases[i].err) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", err, cases[i].err);
	}
}

/* Whoever runs it, whenever, until the next boot. */
static void test_boot_seed(void **state)
{
	static const uint8_t zero[TCP_SEED_BYTES];
	uint8_t a[TCP_SEED_BYTES] = {0};
	uint8_t b[TCP_SEED_BYTES] = {1};

	(void)state;
	assert_true(load_boot_seed(a));
	assert_true(load_boot_seed(b));
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, zero, sizeof(a));
	assert_memory_not_equal(a, a + sizeof(a) / 2, sizeof(a) / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan),
	                                   cmocka_unit_test(test_boot_seed)};

	return cmocka_run_group_tests_name("load-port", tests, NULL, NULL);
}
