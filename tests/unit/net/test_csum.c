/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "dataplane/net/csum.h"
#include "dataplane/net/net.h"
#include "tests/unit/net/frames.h"

static uint16_t swap16(uint32_t v)
{
	return (uint16_t)((v << 8) | (v >> 8 & 0xff));
}

/* The checksum as the header holds it, read in network order. */
static uint16_t want(const uint8_t *p, size_t len)
{
	return (uint16_t)~naive_sum(p, len);
}

static uint32_t rnd(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void every_length_and_alignment(void **state)
{
	static uint8_t buf[2048 + 16];
	static uint8_t dst[2048 + 16];
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)rnd(&seed);
	for (size_t len = 0; len <= 600; len++) {
		for (size_t at = 0; at < 9; at++) {
			const uint8_t *p = buf + at;

			assert_int_equal(swap16(csum_fold(csum_add(0, p, len))), want(p, len));
			memset(dst, 0xa5, sizeof(dst));
			assert_int_equal(swap16(csum_fold(csum_copy(dst + 8 - at, p, len, 0))),
			                 want(p, len));
			assert_memory_equal(dst + 8 - at, p, len);
			assert_int_equal(dst[8 - at + len], 0xa5);
		}
	}
}

/* Blocks of exactly the run's length: with a sanitizer, a byte read or written outside of them ends
 * the test. */
static void no_byte_outside(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 300; len++) {
		uint8_t *from = malloc(len);
		uint8_t *to = malloc(len);

		assert_non_null(from);
		assert_non_null(to);
		for (size_t i = 0; i < len; i++)
			from[i] = (uint8_t)(i * 37 + len);
		assert_int_equal(swap16(csum_fold(csum_add(0, from, len))), want(from, len));
		assert_int_equal(swap16(csum_fold(csum_copy(to, from, len, 0))), want(from, len));
		assert_memory_equal(to, from, len);
		free(to);
		free(from);
	}
}

/* All bits set is where carries are lost. */
static void carries(void **state)
{
	static uint8_t ones[65536];
	uint32_t sum;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t len = 0; len < sizeof(ones); len += 61)
		assert_int_equal(swap16(csum_fold(csum_add(0, ones, len))), want(ones, len));
	sum = csum_add(0xffffffff, ones, 40);
	assert_int_equal(csum_fold(sum), 0);
	assert_int_equal(csum_fold(csum_join(0xffffffff, 0xffffffff)), 0);
	assert_int_equal(csum_fold(csum_join(0xfffffffe, 3)), (uint16_t)~2);
}

static void runs_join_at_even_offsets(void **state)
{
	uint8_t buf[1500];
	uint64_t seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)rnd(&seed);
	for (size_t cut = 0; cut < sizeof(buf); cut += 2) {
		uint32_t parts =
		        csum_join(csum_add(0, buf, cut), csum_add(0, buf + cut, sizeof(buf) - cut));
		uint32_t chained = csum_add(csum_add(0, buf, cut), buf + cut, sizeof(buf) - cut);

		assert_int_equal(swap16(csum_fold(parts)), want(buf, sizeof(buf)));
		assert_int_equal(swap16(csum_fold(chained)), want(buf, sizeof(buf)));
	}
}

/* RFC 1071 3. */
static void known_value(void **state)
{
	const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(swap16(csum_fold_partial(csum_add(0, bytes, 8))), 0xddf2);
	assert_int_equal(csum_fold(csum_add(0, bytes, 0)), 0xffff);
}

static void addresses(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
		bool v4;
	} rows[] = {
	        {"10.0.0.1", "10.0.0.1", true},
	        {"255.255.255.255", "255.255.255.255", true},
	        {"::ffff:192.0.2.1", "192.0.2.1", true},
	        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1", false},
	        {"::", "::", false},
	        {"fe80::1", "fe80::1", false},
	        {"10.0.0", NULL, false},
	        {"10.0.0.256", NULL, false},
	        {"010.0.0.1", NULL, false},
	        {"fe80::1%eth0", NULL, false},
	        {":::", NULL, false},
	        {"", NULL, false},
	        {"10.0.0.1 ", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_addr a = {{0}};
		char text[IP_ADDR_TEXT];

		assert_int_equal(ip_addr_parse(rows[i].in, &a), rows[i].out != NULL);
		if (rows[i].out == NULL)
			continue;
		assert_string_equal(ip_addr_text(&a, text), rows[i].out);
		assert_int_equal(ip_addr_is_v4(&a), rows[i].v4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_length_and_alignment),
	        cmocka_unit_test(no_byte_outside),
	        cmocka_unit_test(carries),
	        cmocka_unit_test(runs_join_at_even_offsets),
	        cmocka_unit_test(known_value),
	        cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
