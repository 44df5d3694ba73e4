/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a response head: the scan paths must agree, and no beginning of a sound head may be
 * refused or taken for complete. */
#include <stdlib.h>

#include "lib/http1_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void same(const struct http_response_head *a, const struct http_response_head *b)
{
	must(a->status == b->status && a->minor == b->minor);
	must(a->fields.count == b->fields.count);
	for (uint32_t i = 0; i < a->fields.count; i++) {
		must(a->fields.f[i].value.ptr == b->fields.f[i].value.ptr);
		must(a->fields.f[i].value.len == b->fields.f[i].value.len);
		must(a->fields.f[i].id == b->fields.f[i].id);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {"sse42", "avx2"};
	static struct http_response_head first;
	static struct http_response_head next;
	const char *text = (const char *)data;
	size_t head_len = 0;
	size_t len = 0;
	enum http_scan r;

	http1_init("scalar");
	r = http1_parse_response(text, size, &first, &head_len);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (http1_init(paths[i]) == NULL)
			continue;
		must(http1_parse_response(text, size, &next, &len) == r);
		if (r == HTTP_SCAN_DONE)
			same(&first, &next);
	}
	if (r != HTTP_SCAN_DONE)
		return 0;
	must(head_len <= size && head_len == http1_head_end(text, size, 0));
	for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
		http1_response_framing(&first.fields, first.minor, (enum http_method)m,
		                       first.status);
	for (size_t n = 0; n < min_size(head_len, 600); n++)
		must(http1_parse_response(text, n, &next, &len) == HTTP_SCAN_PARTIAL);
	return 0;
}
