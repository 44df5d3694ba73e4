/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/pool.h"

/* Every size up to some, with all factors of two, and the far ends of a large pool: nothing of its
 * memory is touched. */
static void test_index(void **state)
{
	(void)state;
	for (size_t size = 8; size <= 2400; size += 8) {
		static const uint32_t far[] = {0, 1, 2, 3, 1000003, UINT32_MAX / 2, UINT32_MAX - 1};
		char *base = (char *)(uintptr_t)0x10000;
		struct pool p;

		pool_init(&p, base, size, UINT32_MAX);
		for (size_t i = 0; i < ARRAY_LEN(far); i++)
			assert_int_equal(pool_index(&p, base + size * far[i]), far[i]);
	}
}

static void test_get_put(void **state)
{
	uint64_t mem[3 * 5];
	struct pool p;
	void *all[5];

	(void)state;
	pool_init(&p, mem, 24, 5);
	for (uint32_t i = 0; i < 5; i++) {
		all[i] = pool_get(&p);
		assert_ptr_equal(all[i], pool_at(&p, i));
		assert_int_equal(pool_index(&p, all[i]), i);
		assert_int_equal(pool_available(&p), 4 - i);
	}
	assert_null(pool_get(&p));
	pool_put(&p, all[3]);
	pool_put(&p, all[1]);
	assert_ptr_equal(pool_get(&p), all[1]);
	assert_ptr_equal(pool_get(&p), all[3]);
	assert_null(pool_get(&p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_index),
	        cmocka_unit_test(test_get_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
