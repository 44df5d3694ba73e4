/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a hostile Redis server sends, in pieces: the first byte says how long they are. Answers stay
 * within their bound, and the reader says the same however the bytes are cut. Each answer is also
 * taken for a record of the purge stream. */
#include "cache/l3_purge.h"
#include "cache/l3_redis.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 65536u

static uint64_t weigh(const struct reply *r)
{
	uint64_t n = sizeof(*r) + r->text.len;

	for (uint32_t i = 0; i < r->count; i++)
		n += weigh(r->items[i]);
	return n;
}

static void take(struct reply *r, struct l3_purges *purges)
{
	struct l3_purge p;

	if (weigh(r) > MAX_BYTES)
		abort();
	if (r->kind == REPLY_STRING && l3_purges_read(purges, r->text, &p) == ST_OK) {
		l3_purges_add(purges, &p, 1000000);
		if (p.text.len > INVAL_TEXT_MAX)
			abort();
	}
	reply_free(r);
}

static enum status read_all(const uint8_t *data, size_t size, size_t step, struct l3_purges *purges,
                            uint32_t *count)
{
	struct reply_reader *rd = reader_create(MAX_BYTES);
	enum status st = ST_AGAIN;

	*count = 0;
	for (size_t at = 0; at < size && st == ST_AGAIN; at += step) {
		struct reply *r;

		st = reader_feed(rd, span_of(data + at, min_size(step, size - at)));
		while (st == ST_OK && (st = reader_next(rd, &r)) == ST_OK) {
			take(r, purges);
			(*count)++;
		}
	}
	reader_free(rd);
	return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct l3_purges *purges;
	uint32_t whole, pieces;

	if (size < 2 || size > MAX_BYTES / 2)
		return 0;
	if (purges == NULL && l3_purges_create(&purges) != ST_OK)
		abort();
	size_t step = data[0] + 1u;
	enum status a = read_all(data + 1, size - 1, size - 1, purges, &whole);
	enum status b = read_all(data + 1, size - 1, step, purges, &pieces);

	if (whole != pieces || (a == ST_AGAIN) != (b == ST_AGAIN))
		abort();
	return 0;
}
