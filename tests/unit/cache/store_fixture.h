/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A store, and heads for it, for the store's tests. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "cache/store_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MIB          (1u << 20)
#define MAX_OBJECT   (256u << 10)
#define MAX_VARIANTS 4u
#define NOW_MS       1000000000ull

extern struct store *st;

struct head {
	struct object o;
	char text[CACHE_KEY_MAX + 512];
};

struct about {
	const char *key;
	const char *fields;
	const char *tag;
	uint64_t born_seq;
	uint64_t expires_ms; /* 0: NOW_MS + 60 s */
	uint16_t flags;
	bool etag;
};

struct object *head_of(struct head *h, const struct about *a);
/* Held for the caller. */
struct store_entry *put_about(const struct about *a, struct span body);
/* A list of variants: the store looks at its kind, and whether the fields are the same. */
struct store_entry *try_list(const char *key, uint64_t id, const char *names);
struct store_counts counts(void);
/* As young as the store's last purge. False: refused. */
bool put(const char *key, struct span body);
bool has(const char *key);
bool has_body(const char *key, const char *body);
void purge(enum inval_kind kind, const char *text, bool soft); /* the next one */
/* Of 4 MiB, for each case. */
int store_setup(void **state);
int store_teardown(void **state);

#endif
