/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request as a core described it (struct chan_request), in a private, checked copy; and the head
 * that the origin gets. Used by fetch.c. */
#ifndef CONTROL_REQUEST_H
#define CONTROL_REQUEST_H

#include "control/upstream/pool.h"
#include "lib/channel.h"
#include "lib/http1.h"

struct request {
	struct chan_request wire; /* checked copy */
	enum http_method method;
	bool has_body;
	bool chunked;
	bool keyed_body;  /* its key is made of its body: POST is as GET (cache/policy.h) */
	bool conditional; /* asks for a part or for a condition: its answer fits nobody else */
	bool anonymous;   /* the origin does not get its Authorization */
	struct span key;  /* spans into data */
	struct span method_text;
	struct span host;
	struct span target;
	struct span fields;
	char data[];
};

/* Copies and checks len bytes at bytes; has_body: more messages carry a body. NULL: malformed, or
 * no memory. free() it. */
struct request *request_read(const void *bytes, uint32_t len, bool has_body);

/* A copy of its own; NULL: no memory. */
struct request *request_copy(const struct request *r);
/* Bytes that it takes. */
size_t request_bytes_used(const struct request *r);

/* The host of a request as it stands in keys: without the port of the scheme (RFC 9110 4.2.3). */
struct span request_key_host(struct span host);
/* And as routes compare it: without a port. */
struct span request_route_host(struct span host);

struct request_style {
	const char *node;        /* for Via */
	const char *host_header; /* instead of the client's, or NULL */
	const char *address;     /* for Host, when the client sent none */
	uint64_t id_hi;          /* of X-Request-Id when the client sent none */
	uint64_t id_lo;
	/* Validators of a stored answer. With one of them the request is conditional (RFC
	 * 9111 4.3.1): the client's own conditions and its Range are left out, those of the store
	 * are put in. */
	struct span etag;          /* as the origin sent it */
	struct span last_modified; /* likewise */
	bool plain; /* the origin shall send it without a coding: Sluice codes it for clients */
	bool whole; /* with an If-Range that is no strong ETag, the whole: the client's part may be
	               of a coded form, which has the same date */
};

/* The head for the origin (RFC 9112 3, RFC 9110 7.6). NULL: no memory. */
struct request_bytes *request_serialise(const struct request *r, const struct request_style *style);

#endif
