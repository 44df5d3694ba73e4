/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Field lines to every policy. Two bytes choose method, rule and status, the rest is a field
 * section. Besides not crashing: what may not be stored is not, and times do not wrap. */
#include <stdlib.h>

#include "cache/policy.h"

#define NOW_MS 1700000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool cond)
{
	if (!cond)
		abort();
}

static void response_check(const struct cache_response_in *in)
{
	struct cache_control cc;
	struct cache_response out;

	(void)cache_control_response(in->fields, &cc);
	cache_response_policy(in, &out);
	uint64_t expires_ms = cache_expires_ms(&out, in->response_wall_ms);
	require(expires_ms >= in->response_wall_ms);
	require(expires_ms - in->response_wall_ms <= UINT32_MAX * 1000ull);
	require(out.storable == ((out.flags & OBJECT_STORABLE) != 0));
	require(out.storable || !out.shared);
	require(!out.storable || !out.pass);
	require(!out.revalidate || out.stale_while_s + out.stale_error_s == 0);
	require(!cc.no_cache || expires_ms == in->response_wall_ms);
	require(!out.shared || expires_ms > in->response_wall_ms || out.stale_while_s > 0);
	if (!out.storable)
		return;
	require(in->method == HTTP_GET && in->rule.mode != CACHE_OFF);
	require(!cc.private_ && (!cc.no_store || cc.must_understand));
	require(!in->authorized || cc.public_ || cc.must_revalidate || cc.s_maxage_s != UINT32_MAX);
}

static void object_check(const struct http_fields *fs, const struct cache_request *req)
{
	struct {
		struct object o;
		char fields[64];
	} mem = {.o = {.response_ms = NOW_MS,
	               .expires_ms = NOW_MS + 10000,
	               .fields_len = 32,
	               .status = 200,
	               .etag_len = 3,
	               .last_modified_off = 3,
	               .last_modified_len = 29},
	         .fields = "\"a\"Tue, 14 Nov 2023 22:13:20 GMT"};
	uint32_t count;

	/* Without a condition in the request there is nothing to be unmodified against. */
	bool not_modified = cache_condition(&mem.o, HTTP_GET, fs) == COND_NOT_MODIFIED;
	http_field_get(fs, HDR_IF_NONE_MATCH, &count);
	if (count == 0) {
		http_field_get(fs, HDR_IF_MODIFIED_SINCE, &count);
		require(!not_modified || count == 1);
	}
	for (uint64_t ms = 0; ms < 30000; ms += 3333)
		require(cache_use(&mem.o, req, NOW_MS + ms) == CACHE_USE_NOT || req->lookup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_fields fs;
	struct cache_request req;
	size_t pos = 0;

	if (len < 2)
		return 0;
	struct cache_rule rule = {.mode = data[0] % 3,
	                          .ttl_ms = data[1] * 1000u,
	                          .negative_ttl_ms = data[1] % 5 * 1000u,
	                          .heuristic_pct = data[1] % 51,
	                          .heuristic_max_s = 86400,
	                          .ttl_jitter_pct = data[0] % 91,
	                          .stale_while_s = data[1] % 3,
	                          .stale_error_s = data[1] % 7,
	                          .pass_ms = 1000};
	enum http_method method = data[0] / 3 % HTTP_METHOD_COUNT;
	if (http1_scan_fields((const char *)data + 2, len - 2, &pos, &fs) != HTTP_SCAN_DONE)
		return 0;
	cache_request_policy(method, &fs, &rule, &req);
	struct cache_response_in in = {.method = method,
	                               .status = 200 + data[1] % 250u,
	                               .authorized = req.authorized,
	                               .fields = &fs,
	                               .rule = rule,
	                               .random = data[1] * 16843009u,
	                               .variant = (data[1] & 1) != 0,
	                               .request_wall_ms = NOW_MS - data[1],
	                               .response_wall_ms = NOW_MS};
	response_check(&in);
	object_check(&fs, &req);
	return 0;
}
