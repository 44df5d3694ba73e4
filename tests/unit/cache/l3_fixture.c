/* SPDX-License-Identifier: BSD-2-Clause */
#include "l3_fixture.h"

#include "cache/inval.h"
#include "lib/clock.h"

#include <stdlib.h>

uint64_t fixture_wall_ms(void)
{
	return clock_wall_ns() / NS_PER_MS;
}

struct object *fixture_object(const char *key, const char *fields, uint64_t body_len)
{
	size_t key_len = strlen(key);
	size_t fields_len = strlen(fields);
	uint32_t tag = inval_tag_hash(SPAN_LIT(FIXTURE_TAG));
	struct object *o = calloc(1, sizeof(*o) + key_len + fields_len + sizeof(tag));
	uint64_t now_ms = fixture_wall_ms();

	assert(o != NULL);
	o->hash = (struct hash128){1, 2};
	o->response_ms = now_ms;
	o->expires_ms = now_ms + 60000;
	o->body_len = body_len;
	o->born_seq = 77;
	o->key_len = (uint32_t)key_len;
	o->fields_len = (uint32_t)fields_len;
	o->status = 200;
	o->flags = OBJECT_STORABLE;
	o->tag_count = 1;
	memcpy(o + 1, key, key_len);
	memcpy((char *)(o + 1) + key_len, fields, fields_len);
	memcpy((char *)(o + 1) + key_len + fields_len, &tag, sizeof(tag));
	return o;
}

char *fixture_body(size_t len, uint32_t seed)
{
	char *body = malloc(len + 1);
	uint64_t x = seed;

	assert(body != NULL);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		body[i] = seed % 2 == 0 ? (char)('a' + i % 20) : (char)(x >> 56);
	}
	body[len] = '\0';
	return body;
}

struct l3_item fixture_item(const struct object *o, const char *body)
{
	return (struct l3_item){
	        .head = o,
	        .body = span_of(body, o->body_len),
	        .asked_ms = fixture_wall_ms(),
	        .keep_ms = 60000,
	};
}
