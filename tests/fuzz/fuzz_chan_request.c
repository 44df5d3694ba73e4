/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request block as a hostile core would write it. What is taken must become one well-formed head
 * for the origin: one request line, one field section, one end. */
#include "control/request.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void head_check(const struct request *r, const struct request_bytes *b)
{
	struct http_fields fs;
	const char *line = memchr(b->data, '\n', b->len);
	uint32_t hosts = 0;
	uint32_t framings = 0;
	size_t pos;

	check(line != NULL && line > b->data && line[-1] == '\r');
	pos = (size_t)(line - b->data) + 1;
	/* The section may hold a few more fields than a core may send. */
	if (http1_scan_fields(b->data, b->len, &pos, &fs) == HTTP_SCAN_TOO_MANY)
		return;
	check(pos == b->len);
	check(http1_head_end(b->data, b->len, 0) == b->len);
	for (uint32_t i = 0; i < fs.count; i++) {
		hosts += fs.f[i].id == HDR_HOST;
		framings += fs.f[i].id == HDR_CONTENT_LENGTH || fs.f[i].id == HDR_TRANSFER_ENCODING;
	}
	check(hosts == 1);
	check(framings <= 1);
	check(!r->has_body || framings == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request_style style = {.node = "node", .address = "origin"};
	struct request_bytes *b;
	struct request *r;

	if (size < 1 || size > 16384)
		return 0;
	http1_init(NULL);
	if (data[0] & 2)
		style.host_header = "other.example";
	r = request_read(data + 1, (uint32_t)size - 1, (data[0] & 1) != 0);
	if (r == NULL)
		return 0;
	b = request_serialise(r, &style);
	check(b != NULL);
	head_check(r, b);
	request_bytes_unref(b);
	free(r);
	return 0;
}
