/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hostile values of the shared store. The input gets a right checksum and its own length, as one
 * who can write to the store would see to; what is taken then must be an object whose parts lie
 * within it, and that stays the same when it is stored again. */
#include "cache/l3_value.h"
#include "lib/hash.h"
#include "lib/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES     65536u
#define CHECKSUM_SEED 0x534c5633ull

static volatile unsigned char sink;

static void touch(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		sink = (unsigned char)(sink + (unsigned char)s.ptr[i]);
}

static void check_taken(const struct l3_value *v)
{
	struct l3_item item = {.head = v->head, .body = v->body, .asked_ms = v->asked_ms};
	struct l3_value again;
	char *bytes;
	size_t len;

	touch(object_key(v->head));
	touch(object_fields(v->head));
	touch(span_of(object_tags(v->head), v->head->tag_count * sizeof(uint32_t)));
	touch(object_etag(v->head));
	touch(object_last_modified(v->head));
	touch(v->body);
	if (object_head_bytes(v->head) + v->body.len > MAX_BYTES)
		abort();
	if (l3_value_encode(&item, 256, &bytes, &len) != ST_OK ||
	    l3_value_decode(span_of(bytes, len), MAX_BYTES, &again) != ST_OK)
		abort();
	if (!span_eq(again.body, v->body) || !span_eq(object_key(again.head), object_key(v->head)))
		abort();
	l3_value_free(&again);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct l3_value v;
	uint64_t sum;
	char *bytes;

	if (!ready) {
		http1_init(NULL);
		ready = true;
	}
	bytes = malloc(size + sizeof(sum));
	if (bytes == NULL)
		return 0;
	memcpy(bytes, data, size);
	if (size >= sizeof(struct l3_value_header)) {
		uint64_t payload_len = size - sizeof(struct l3_value_header);

		memcpy(bytes + offsetof(struct l3_value_header, payload_len), &payload_len,
		       sizeof(payload_len));
	}
	sum = hash64(bytes, size, CHECKSUM_SEED);
	memcpy(bytes + size, &sum, sizeof(sum));
	if (l3_value_decode(span_of(bytes, size + sizeof(sum)), MAX_BYTES, &v) == ST_OK) {
		check_taken(&v);
		l3_value_free(&v);
	}
	free(bytes);
	return 0;
}
