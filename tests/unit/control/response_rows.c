/* SPDX-License-Identifier: BSD-2-Clause */
#include "response_rows.h"

struct request *request_make(enum http_method method, uint16_t flags, const char *fields)
{
	const char *name = http_method_name(method);
	struct chan_request wire = {.key_lo = 1,
	                            .key_hi = 2,
	                            .method = (uint8_t)method,
	                            .minor = 1,
	                            .flags = flags,
	                            .key_len = 3,
	                            .method_len = (uint16_t)strlen(name),
	                            .host_len = 12,
	                            .target_len = 5,
	                            .fields_len = (uint32_t)strlen(fields)};
	char bytes[4096];
	int len = snprintf(bytes + sizeof(wire), sizeof(bytes) - sizeof(wire),
	                   "key%shost.example/path%s", name, fields);

	memcpy(bytes, &wire, sizeof(wire));
	assert_in_range(len, 1, sizeof(bytes) - sizeof(wire) - 1);
	struct request *r = request_read(bytes, (uint32_t)(sizeof(wire) + (size_t)len), false);
	assert_non_null(r);
	return r;
}

void answer_parse(struct answer *a, const struct request *r, unsigned status, const char *fields)
{
	size_t head_len;
	int len;

	memset(a, 0, sizeof(*a));
	len = snprintf(a->text, sizeof(a->text), "HTTP/1.1 %u X\r\n%s\r\n", status, fields);
	assert_in_range(len, 1, sizeof(a->text) - 1);
	assert_int_equal(http1_parse_response(a->text, (size_t)len, &a->head, &head_len),
	                 HTTP_SCAN_DONE);
	a->in = (struct response_in){
	        .request = r,
	        .head = &a->head,
	        .framing = http1_response_framing(&a->head.fields, 1, r->method, status),
	        .rule = {.mode = CACHE_ORIGIN, .pass_ms = 1000},
	        .request_wall_ms = NOW_MS,
	        .response_wall_ms = NOW_MS,
	        .node = "node",
	        .born_seq = 42,
	};
}

void answer_object(struct answer *a)
{
	a->status = response_object(&a->in, a->mem, sizeof(a->mem), &a->out);
}

void answer_make(struct answer *a, unsigned status, const char *fields)
{
	struct request *r = request_make(HTTP_GET, CHAN_REQ_STORE, "");

	answer_parse(a, r, status, fields);
	answer_object(a);
	assert_int_equal(a->status, ST_OK);
	a->in.request = NULL;
	free(r);
}

bool lines_are(const struct answer *a, const char *lines)
{
	return span_eq(object_fields(&a->o), span_cstr(lines));
}
