/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A model of the hot table for tests: what each key may hold. hot_model_run reads operations from
 * bytes, runs them on a table and on the model, and aborts where they differ. */
#ifndef TESTS_UNIT_CACHE_HOT_MODEL_H
#define TESTS_UNIT_CACHE_HOT_MODEL_H

#include "cache/hot_internal.h"

/* The table's own books: counts, places, chains. Aborts when they do not agree. */
void hot_table_check(const struct hot_table *t);

struct hot_model_stats {
	uint64_t ops, gets, hits, commits, refused, evicted, purges;
	uint64_t early; /* refused without a reason that the model knows */
	uint64_t swept; /* steps of sweeps */
};

/* Each operation takes 4 bytes. */
void hot_model_run(const uint8_t *data, size_t len, struct hot_model_stats *out);

#endif
