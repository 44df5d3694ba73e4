/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An answer of an origin to a request, as control makes an object of it, from texts. */
#ifndef TESTS_RESPONSE_ROWS_H
#define TESTS_RESPONSE_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/response.h"

#define NOW_MS 1700000000000ull /* Tue, 14 Nov 2023 22:13:20 GMT */
#define NOW    "Tue, 14 Nov 2023 22:13:20 GMT"
#define DATE   "Date: " NOW "\r\n"
#define N      "\r\n"
#define CC     "Cache-Control: "
#define VIA    "Via: 1.1 node\r\n"

/* A request for http://host.example/path with these field lines, flags of enum chan_request_flag
 * and the key "key". free() it. */
struct request *request_make(enum http_method method, uint16_t flags, const char *fields);

struct answer {
	struct http_response_head head;
	struct response_in in;
	struct response_out out;
	enum status status;
	char text[8192];
	union {
		struct object o;
		uint64_t mem[2048];
	};
};

/* Parses "status\0" and field lines as the answer to r, at NOW_MS; a.in may be changed before
 * answer_object. */
void answer_parse(struct answer *a, const struct request *r, unsigned status, const char *fields);
void answer_object(struct answer *a);
/* Both, for GET with CHAN_REQ_STORE and without fields. */
void answer_make(struct answer *a, unsigned status, const char *fields);

bool lines_are(const struct answer *a, const char *lines);

#endif
