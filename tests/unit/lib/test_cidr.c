/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cidr.h"

#include <stdio.h>

static void test_cidr(void **state)
{
	static const struct {
		const char *range;
		bool good;
		const char *in, *out;
	} rows[] = {
	        {"10.0.0.0/8", true, "10.255.0.1", "11.0.0.0"},
	        {"10.1.2.3", true, "10.1.2.3", "10.1.2.2"},
	        {"10.1.2.3/32", true, "10.1.2.3", "10.1.2.2"},
	        {"10.1.2.128/25", true, "10.1.2.129", "10.1.2.127"},
	        {"0.0.0.0/0", true, "255.255.255.255", "::1"},
	        {"::/0", true, "10.0.0.1", NULL},
	        {"2001:db8::/32", true, "2001:db8:ffff::1", "2001:db9::"},
	        {"::1", true, "::1", "::2"},
	        {"::ffff:10.0.0.0/104", true, "10.9.9.9", "11.0.0.0"},
	        {"10.0.0.1/8", false, NULL, NULL},
	        {"2001:db8::1/32", false, NULL, NULL},
	        {"10.0.0.0/33", false, NULL, NULL},
	        {"::/129", false, NULL, NULL},
	        {"10.0.0.0/", false, NULL, NULL},
	        {"10.0.0.0/-1", false, NULL, NULL},
	        {"10.0.0.0/8x", false, NULL, NULL},
	        {"10.0.0.0/0008", false, NULL, NULL},
	        {"10.0.0/8", false, NULL, NULL},
	        {"localhost", false, NULL, NULL},
	        {"", false, NULL, NULL},
	        {"/8", false, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cidr range, one;

		if (cidr_parse(rows[i].range, &range) != rows[i].good)
			fail_msg("%s", rows[i].range);
		if (rows[i].in != NULL) {
			assert_true(cidr_parse(rows[i].in, &one));
			if (!cidr_has(&range, one.addr))
				fail_msg("%s", rows[i].range);
		}
		if (rows[i].out != NULL) {
			assert_true(cidr_parse(rows[i].out, &one));
			if (cidr_has(&range, one.addr))
				fail_msg("%s", rows[i].range);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cidr)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
