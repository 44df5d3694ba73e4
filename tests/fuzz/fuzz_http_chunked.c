/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a chunked body: whole and in pieces it must give the same data and the same end. */
#include <stdlib.h>

#include "dataplane/http/http_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT_BYTES 5000u

struct outcome {
	enum http_run_kind kind;
	unsigned status;
	size_t used;
	uint64_t total;
	uint64_t digest;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void read_pieces(const char *text, size_t len, size_t step, struct outcome *o)
{
	const struct http_framing f = {.kind = HTTP_BODY_CHUNKED};
	struct http_run run;
	struct http_body b;
	size_t n = 0;

	*o = (struct outcome){0};
	http_body_init(&b, &f, LIMIT_BYTES);
	do {
		n = min_size(n + step, len);
		do {
			o->kind = http_body_read(&b, span_of(text + o->used, n - o->used), &run);
			o->used += run.used;
			must(o->used <= n);
			must((o->kind == HTTP_RUN_DATA) == (run.data.len > 0));
			for (size_t i = 0; i < run.data.len; i++)
				o->digest = (o->digest ^ (uint8_t)run.data.ptr[i]) * 0x100000001b3u;
		} while (o->kind == HTTP_RUN_DATA);
	} while (o->kind == HTTP_RUN_MORE && n < len);
	o->status = run.status;
	o->total = b.total;
	must(b.total <= LIMIT_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole;
	struct outcome pieces;

	read_pieces((const char *)data, size, size + 1, &whole);
	for (size_t step = 1; step < 8; step += 3) {
		read_pieces((const char *)data, size, step, &pieces);
		must(pieces.kind == whole.kind && pieces.status == whole.status);
		if (whole.kind == HTTP_RUN_REFUSE)
			continue;
		must(pieces.used == whole.used && pieces.total == whole.total);
		must(pieces.digest == whole.digest);
	}
	return 0;
}
