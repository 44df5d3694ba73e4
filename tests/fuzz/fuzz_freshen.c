/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two heads of an origin, divided by a NUL byte: an answer, and one that freshens it. What comes of
 * them must be a sound object, whose field lines are one well-formed section without what a client
 * or a store must not have. */
#include <stdlib.h>

#include "control/response.h"

#define NOW_MS 1700000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool cond)
{
	if (!cond)
		abort();
}

static struct request *request_make(uint16_t flags)
{
	char bytes[sizeof(struct chan_request) + 16];
	struct chan_request wire = {.method = HTTP_GET,
	                            .minor = 1,
	                            .flags = flags,
	                            .key_len = 3,
	                            .method_len = 3,
	                            .host_len = 4,
	                            .target_len = 2};

	memcpy(bytes, &wire, sizeof(wire));
	memcpy(bytes + sizeof(wire), "keyGEThost/a", 12);
	return request_read(bytes, sizeof(wire) + 12, false);
}

static void object_check(const struct object *o, const struct response_out *out)
{
	struct http_fields fs;
	size_t pos = 0;

	require(object_head_valid(o, out->len));
	require(out->len == object_head_bytes(o));
	require(out->storable == ((o->flags & OBJECT_STORABLE) != 0));
	require(!out->shared || out->storable);
	require(o->expires_ms >= o->response_ms);
	struct span lines = object_fields(o);
	/* Complete lines, up to the empty one, which is not there. */
	enum http_scan scan = http1_scan_fields(lines.ptr, lines.len, &pos, &fs);
	require(scan == HTTP_SCAN_TOO_MANY || (scan == HTTP_SCAN_PARTIAL && pos == lines.len));
	for (uint32_t i = 0; i < fs.count; i++) {
		require(!http_hdr_is_hop(fs.f[i].id));
		require(fs.f[i].id != HDR_AGE && fs.f[i].id != HDR_SURROGATE_KEY &&
		        fs.f[i].id != HDR_SLUICE_CACHE_CONTROL);
	}
}

static bool head_read(const char *text, size_t len, struct http_response_head *out)
{
	size_t head_len;

	return http1_parse_response(text, len, out, &head_len) == HTTP_SCAN_DONE;
}

static void run(const struct request *r, const struct http_response_head *first,
                const struct http_response_head *second)
{
	static uint64_t stored[8192], fresh[8192];
	struct response_in in = {
	        .request = r,
	        .head = first,
	        .framing = {HTTP_BODY_LENGTH, 5},
	        .rule = {.mode = CACHE_ORIGIN, .heuristic_pct = 10, .heuristic_max_s = 100},
	        .request_wall_ms = NOW_MS,
	        .response_wall_ms = NOW_MS + 1000,
	        .node = "node",
	};
	struct response_out out;

	if (response_object(&in, stored, sizeof(stored), &out) != ST_OK)
		return;
	object_check((struct object *)stored, &out);
	if (second == NULL)
		return;
	in.head = second;
	in.request_wall_ms = NOW_MS + 5000;
	in.response_wall_ms = NOW_MS + 6000;
	enum status st = response_freshen((struct object *)stored, &in, fresh, sizeof(fresh), &out);
	require((st == ST_INVALID) == (second->status != 304));
	if (st != ST_OK)
		return;
	object_check((struct object *)fresh, &out);
	require(((struct object *)fresh)->response_ms == NOW_MS + 6000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *nul = len > 1 ? memchr(data + 1, 0, len - 1) : NULL;
	size_t first_len = nul != NULL ? (size_t)(nul - data - 1) : len - 1;
	struct http_response_head first, second;
	struct request *r;

	if (len < 2 || len > 16384)
		return 0;
	http1_init(NULL);
	if (!head_read((const char *)data + 1, first_len, &first))
		return 0;
	r = request_make(data[0] & (CHAN_REQ_STORE | CHAN_REQ_AUTHORIZED | CHAN_REQ_TLS));
	require(r != NULL);
	bool two = nul != NULL &&
	           head_read((const char *)nul + 1, (size_t)(data + len - nul - 1), &second);
	run(r, &first, two ? &second : NULL);
	free(r);
	return 0;
}
