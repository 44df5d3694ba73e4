/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Objects for tests of the shared store. No test cases here. */
#ifndef TESTS_UNIT_CACHE_L3_FIXTURE_H
#define TESTS_UNIT_CACHE_L3_FIXTURE_H

#include "cache/l3.h"

/* An answer of status 200 with this key, these field lines and a tag, received now. For free(). */
struct object *fixture_object(const char *key, const char *fields, uint64_t body_len);
/* Repeats itself if seed is even, else it cannot be packed. For free(). */
char *fixture_body(size_t len, uint32_t seed);
struct l3_item fixture_item(const struct object *o, const char *body);
uint64_t fixture_wall_ms(void);

#define FIXTURE_FIELDS "Content-Type: text/plain\r\nETag: \"x\"\r\n"
#define FIXTURE_TAG    "tag:fixture"

#endif
