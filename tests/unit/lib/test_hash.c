/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Outputs for the inputs 00, 00 01, 00 01 02, ... under the key 00 01 .. 0f, from the paper's
 * reference program. */
static const struct {
	size_t len;
	uint64_t want;
} sip_cases[] = {
        {0, 0x726fdb47dd0e0e31ull}, {1, 0x74f839c593dc67fdull},  {2, 0x0d6c8009d9a94f5aull},
        {3, 0x85676696d7fb7e2dull}, {4, 0xcf2794e0277187b7ull},  {5, 0x18765564cd99a68dull},
        {6, 0xcbc9466e58fee3ceull}, {7, 0xab0200f58b01d137ull},  {8, 0x93f5f5799a932462ull},
        {9, 0x9e0082df0ba9e4b0ull}, {15, 0xa129ca6149be45e5ull}, {63, 0x958a324ceb064572ull},
};

static void siphash_reference(void **state)
{
	const uint64_t key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
	unsigned char in[64];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)i;
	for (size_t i = 0; i < ARRAY_LEN(sip_cases); i++)
		assert_int_equal(siphash24(in, sip_cases[i].len, key), sip_cases[i].want);
}

/* The empty input under seed 0, from xxHash's specification of XXH3. */
static void xxh3_reference(void **state)
{
	(void)state;
	assert_int_equal(hash64("", 0, 0), 0x2d06800538d394c2ull);
	struct hash128 h = hash128("", 0, 0);
	assert_int_equal(h.hi, 0x99aa06d3014798d8ull);
	assert_int_equal(h.lo, 0x6001c324468d497full);
}

static void seeds_and_bytes_matter(void **state)
{
	static const size_t lens[] = {1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 4096};
	unsigned char buf[4096];

	(void)state;
	random_bytes(buf, sizeof(buf));
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		size_t len = lens[i];
		uint64_t a = hash64(buf, len, 1);
		struct hash128 w = hash128(buf, len, 1);
		assert_int_equal(a, hash64(buf, len, 1));
		assert_true(a != hash64(buf, len, 2));
		assert_false(hash128_eq(w, hash128(buf, len, 2)));
		buf[len - 1] ^= 1;
		assert_true(a != hash64(buf, len, 1));
		assert_false(hash128_eq(w, hash128(buf, len, 1)));
		buf[len - 1] ^= 1;
		assert_true(hash128_eq(w, hash128(buf, len, 1)));
	}
}

static void random_bytes_fill_all(void **state)
{
	unsigned char a[512], seen[512] = {0};

	(void)state;
	/* A byte that stays 0 through 16 rounds would be left out, but for 1 chance in 2^128. */
	for (int round = 0; round < 16; round++) {
		memset(a, 0, sizeof(a));
		random_bytes(a, sizeof(a) - 1);
		for (size_t i = 0; i < sizeof(a); i++)
			seen[i] |= a[i];
	}
	for (size_t i = 0; i < sizeof(a) - 1; i++)
		assert_int_not_equal(seen[i], 0);
	assert_int_equal(seen[sizeof(a) - 1], 0);
	random_bytes(a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(siphash_reference),
	        cmocka_unit_test(xxh3_reference),
	        cmocka_unit_test(seeds_and_bytes_matter),
	        cmocka_unit_test(random_bytes_fill_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
