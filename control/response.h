/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An origin's response head as the cores take it: struct object, key text, field lines. Used by
 * fetch.c. */
#ifndef CONTROL_RESPONSE_H
#define CONTROL_RESPONSE_H

#include "cache/object.h"
#include "cache/policy.h"
#include "control/request.h"

struct response_in {
	const struct request *request;
	const struct http_response_head *head;
	struct http_framing framing;
	struct cache_rule rule;
	uint64_t request_wall_ms;
	uint64_t response_wall_ms;
	const char *node; /* for Via */
};

struct response_out {
	uint32_t len;      /* bytes of the head */
	bool storable;     /* a shared cache may keep it, and the request lets it */
	bool no_body;      /* nothing follows the head */
	uint64_t body_len; /* UINT64_MAX: not known */
};

/* Writes into buf (aligned to 8). ST_TOOBIG when cap is too small. */
enum status response_object(const struct response_in *in, void *buf, uint32_t cap,
                            struct response_out *out);

#endif
