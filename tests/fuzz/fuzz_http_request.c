/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a request head: every scan path, whole and in pieces, must come to the same result.
 */
#include <stdlib.h>

#include "dataplane/http/http_parse.h"
#include "lib/http1_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
	enum http_parse result;
	unsigned status;
	struct http_request q;
};

static const struct http_limits limits = {.head_bytes = 2048, .target_bytes = 512, .fields = 30};

/* An own copy of exactly these bytes, so that the sanitizer sees a read past them. */
static void read_pieces(const char *text, size_t len, size_t step, struct reading *r)
{
	struct http_parser p = {0};
	size_t n = 0;

	do {
		char *copy;

		n = min_size(n + step, len);
		copy = malloc(n > 0 ? n : 1);
		if (n > 0)
			memcpy(copy, text, n);
		r->result = http_parse_request(&p, copy, n, &limits, &r->q, &r->status);
		if (r->result == HTTP_PARSE_DONE) {
			struct http_parser again = {0};

			/* Spans into the common text can be compared. */
			http_parse_request(&again, text, n, &limits, &r->q, &r->status);
		}
		free(copy);
	} while (r->result == HTTP_PARSE_PARTIAL && n < len);
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void same_span(struct span a, struct span b)
{
	must(a.len == b.len && (a.len == 0 || a.ptr == b.ptr));
}

static void same(const struct reading *a, const struct reading *b)
{
	must(a->result == b->result && a->status == b->status);
	if (a->result != HTTP_PARSE_DONE)
		return;
	must(a->q.head_len == b->q.head_len && a->q.method == b->q.method);
	must(a->q.framing.kind == b->q.framing.kind && a->q.keep_alive == b->q.keep_alive);
	must(a->q.fields.count == b->q.fields.count && a->q.host_port == b->q.host_port);
	same_span(a->q.path, b->q.path);
	same_span(a->q.query, b->q.query);
	same_span(a->q.host, b->q.host);
	for (uint32_t i = 0; i < a->q.fields.count; i++) {
		same_span(a->q.fields.f[i].name, b->q.fields.f[i].name);
		same_span(a->q.fields.f[i].value, b->q.fields.f[i].value);
		must(a->q.fields.f[i].id == b->q.fields.f[i].id);
	}
}

/* What a request that was let through promises to the rest of the program. */
static void sound(const struct http_request *q)
{
	must(q->path.len > 0 && (q->path.ptr[0] == '/' || q->path.ptr[0] == '*'));
	must(!http_path_has_dot_segment(q->path));
	must(q->method != HTTP_CONNECT);
	must(q->minor == 0 || q->host.len > 0);
	must(q->framing.kind == HTTP_BODY_NONE || q->framing.kind == HTTP_BODY_LENGTH ||
	     q->framing.kind == HTTP_BODY_CHUNKED);
	for (uint32_t i = 0; i < q->fields.count; i++) {
		struct span value = q->fields.f[i].value;

		must(q->fields.f[i].name.len > 0);
		for (size_t at = 0; at < value.len; at++)
			must(http1_is_value(value.ptr[at]));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {"scalar", "sse42", "avx2"};
	static struct reading first;
	static struct reading next;
	const char *text = (const char *)data;

	http1_init("scalar");
	read_pieces(text, size, size + 1, &first);
	if (first.result == HTTP_PARSE_DONE)
		sound(&first.q);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (http1_init(paths[i]) == NULL)
			continue;
		read_pieces(text, size, size + 1, &next);
		same(&first, &next);
		read_pieces(text, size, 13 + i * 7, &next);
		same(&first, &next);
	}
	return 0;
}
