/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/spsc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define ENTRIES 64u

static unsigned char memory[sizeof(struct spsc_shared) + ENTRIES * SPSC_MSG_BYTES] ALIGNED(64);

static void ring_reset(uint32_t position)
{
	struct spsc_shared *s = (void *)memory;

	memset(memory, 0, sizeof(memory));
	s->tail = position;
	s->head = position;
}

static bool put(struct spsc_end *tx, uint64_t value)
{
	void *slot = spsc_slot(tx);

	if (slot == NULL)
		return false;
	memcpy(slot, &value, sizeof(value));
	spsc_push(tx);
	return true;
}

static bool take(struct spsc_end *rx, uint64_t *value)
{
	const void *slot = spsc_peek(rx);

	if (slot == NULL)
		return false;
	memcpy(value, slot, sizeof(*value));
	spsc_pop(rx);
	return true;
}

static const uint32_t starts[] = {0,
                                  1,
                                  ENTRIES - 1,
                                  UINT32_MAX,
                                  UINT32_MAX - 1,
                                  UINT32_MAX - ENTRIES,
                                  UINT32_MAX - ENTRIES + 1,
                                  1u << 31};

/* Bursts of every length, over the end of the 32-bit positions. */
static void order_over_the_wrap(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		struct spsc_end tx, rx;
		uint64_t next_in = 0, next_out = 0, got;
		ring_reset(starts[s]);
		spsc_join_producer(&tx, memory, ENTRIES);
		spsc_join_consumer(&rx, memory, ENTRIES);
		for (uint32_t burst = 1; burst <= ENTRIES; burst++) {
			for (uint32_t i = 0; i < burst; i++)
				assert_true(put(&tx, next_in++));
			spsc_publish(&tx);
			while (take(&rx, &got))
				assert_int_equal(got, next_out++);
			assert_int_equal(next_in, next_out);
			spsc_release(&rx);
		}
		assert_false(tx.corrupt || rx.corrupt);
	}
}

static void full_and_empty(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		struct spsc_end tx, rx;
		uint64_t got;
		ring_reset(starts[s]);
		spsc_join_producer(&tx, memory, ENTRIES);
		spsc_join_consumer(&rx, memory, ENTRIES);
		assert_null(spsc_peek(&rx));
		for (uint32_t i = 0; i < ENTRIES; i++)
			assert_true(put(&tx, i));
		assert_false(put(&tx, 0));
		assert_int_equal(spsc_room(&tx, 1), 0);
		assert_null(spsc_peek(&rx)); /* not published */
		spsc_publish(&tx);
		assert_true(take(&rx, &got));
		assert_false(put(&tx, 0)); /* not given back */
		spsc_release(&rx);
		assert_int_equal(spsc_room(&tx, 1), 1);
		assert_true(put(&tx, ENTRIES));
		assert_false(put(&tx, 0));
		spsc_publish(&tx);
		for (uint32_t i = 1; i <= ENTRIES; i++) {
			assert_true(take(&rx, &got));
			assert_int_equal(got, i);
		}
		assert_false(take(&rx, &got));
		assert_false(tx.corrupt || rx.corrupt);
	}
}

/* A side that died: its successor goes on at the published positions. */
static void joining_goes_on(void **state)
{
	struct spsc_end tx, rx;
	uint64_t got;

	(void)state;
	ring_reset(UINT32_MAX - 2);
	spsc_join_producer(&tx, memory, ENTRIES);
	spsc_join_consumer(&rx, memory, ENTRIES);
	for (uint64_t i = 0; i < 10; i++)
		assert_true(put(&tx, i));
	spsc_publish(&tx);
	put(&tx, 99); /* never published: lost with the producer */
	for (int i = 0; i < 4; i++)
		assert_true(take(&rx, &got));
	spsc_release(&rx);
	assert_true(take(&rx, &got)); /* not given back: comes again */
	spsc_join_producer(&tx, memory, ENTRIES);
	spsc_join_consumer(&rx, memory, ENTRIES);
	assert_true(put(&tx, 10));
	spsc_publish(&tx);
	for (uint64_t i = 4; i <= 10; i++) {
		assert_true(take(&rx, &got));
		assert_int_equal(got, i);
	}
	assert_false(take(&rx, &got));
	assert_false(tx.corrupt || rx.corrupt);
}

static const uint32_t lies[] = {ENTRIES + 1, ENTRIES + 2, 1u << 31, UINT32_MAX};

static void hostile_tail(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct spsc_end tx, rx;
		struct spsc_shared *s = (void *)memory;
		ring_reset(1000);
		spsc_join_producer(&tx, memory, ENTRIES);
		spsc_join_consumer(&rx, memory, ENTRIES);
		s->tail = 1000 + lies[i];
		assert_null(spsc_peek(&rx));
		assert_true(rx.corrupt);
		/* A successor starts behind the nonsense, and its producer is heard. */
		spsc_join_consumer(&rx, memory, ENTRIES);
		assert_false(rx.corrupt);
		assert_int_equal(s->head, s->tail);
		assert_null(spsc_peek(&rx));
	}
}

static void hostile_head(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct spsc_end tx;
		struct spsc_shared *s = (void *)memory;
		ring_reset(1000);
		spsc_join_producer(&tx, memory, ENTRIES);
		for (uint32_t k = 0; k < ENTRIES; k++)
			assert_true(put(&tx, k));
		s->head = tx.pos - lies[i];
		assert_null(spsc_slot(&tx));
		assert_true(tx.corrupt);
		assert_int_equal(spsc_room(&tx, 1), 0);
		s->tail = tx.pos;
		spsc_join_producer(&tx, memory, ENTRIES);
		assert_true(tx.corrupt);
		assert_null(spsc_slot(&tx));
		s->head = s->tail; /* as a consumer that joins mends it */
		assert_non_null(spsc_slot(&tx));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(order_over_the_wrap), cmocka_unit_test(full_and_empty),
	        cmocka_unit_test(joining_goes_on),     cmocka_unit_test(hostile_tail),
	        cmocka_unit_test(hostile_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
