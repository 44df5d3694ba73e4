/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the tables of cases of cache/policy*.c share. Each case names the section that it is about,
 * of RFC 9111 where nothing else is said. */
#ifndef TESTS_POLICY_ROWS_H
#define TESTS_POLICY_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "cache/policy.h"

#define NOW_MS 1700000000000ull /* Tue, 14 Nov 2023 22:13:20 GMT */
#define NOW    "Tue, 14 Nov 2023 22:13:20 GMT"
#define DATE   "Date: " NOW "\r\n"
#define CC     "Cache-Control: "
#define NONE   UINT32_MAX
#define N      "\r\n"

/* The fields point into a static buffer, until the next call. */
static inline void fields_scan(const char *text, struct http_fields *out)
{
	static char buf[8192];
	size_t pos = 0;
	int len = snprintf(buf, sizeof(buf), "%s\r\n", text);

	assert_true(len > 0 && (size_t)len < sizeof(buf));
	assert_int_equal(http1_scan_fields(buf, (size_t)len, &pos, out), HTTP_SCAN_DONE);
}

/* A stored answer with these field lines; its validators are found in them. */
struct stored {
	struct object o;
	char fields[1024];
};

static inline uint32_t value_find(struct stored *s, const char *name, uint16_t *len)
{
	const char *at = strstr(s->fields, name);

	*len = 0;
	if (at == NULL)
		return 0;
	at += strlen(name);
	*len = (uint16_t)(strstr(at, "\r\n") - at);
	return (uint32_t)(at - s->fields);
}

static inline void stored_make(struct stored *s, unsigned status, const char *fields)
{
	*s = (struct stored){.o = {.response_ms = NOW_MS,
	                           .expires_ms = NOW_MS + 60000,
	                           .status = (uint16_t)status}};
	s->o.fields_len = (uint32_t)snprintf(s->fields, sizeof(s->fields), "%s", fields);
	assert_true(s->o.fields_len < sizeof(s->fields));
	s->o.etag_off = value_find(s, "ETag: ", &s->o.etag_len);
	s->o.last_modified_off = value_find(s, "Last-Modified: ", &s->o.last_modified_len);
}

#endif
