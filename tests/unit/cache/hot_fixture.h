/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One table, and short ways to put into it and get from it, for the tests of the hot table. */
#ifndef TESTS_UNIT_CACHE_HOT_FIXTURE_H
#define TESTS_UNIT_CACHE_HOT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hot_model.h"

#define MIB      (1u << 20)
#define NO_LIMIT UINT64_MAX

struct fixture {
	struct hot_table *t;
	struct counters ctr;
};

extern struct fixture fx;

struct head {
	struct object o;
	char key[4096];
};

void setup(size_t memory_bytes, uint32_t max_object_bytes);
/* Checks the table's books as well. */
void teardown(void);
struct cache_key key_of(const char *text);
void head_make(struct head *h, const struct cache_key *key, uint64_t body_len);
/* hot_purge with the next number; of a pattern or tag: with a sweep, and how many it hit. */
uint32_t purge(enum inval_kind kind, bool soft, const char *text);
uint32_t purge_and_count(enum inval_kind kind, bool soft, const char *text);
enum status fill_begin(struct hot_fill *f, const struct cache_key *key, uint64_t capacity);
/* What these give holds until they gave 64 more, whatever the table does. */
const struct object *kept(const struct object *o);
const struct object *put_key(const struct cache_key *key, const char *body);
const struct object *put(const char *text, const char *body);
const struct object *get(const char *text);
bool holds(const struct object *o, const char *body);
/* The entry in the table. */
uint32_t unit_of(const struct object *o);
bool same_place(const struct object *a, const struct object *b);
/* n objects of about bytes each, whose keys begin with prefix. */
void put_many(const char *prefix, uint32_t n, size_t bytes);

#endif
