/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/l3_value.h"

#include "cache/key.h"
#include "lib/http1.h"

#include <lz4.h>
#include <stdlib.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are stored little-endian");

static const char magic[4] = {'S', 'L', 'V', '3'};
/* The same in every node: the checksum is part of the layout. */
#define CHECKSUM_SEED 0x534c5633ull

static uint64_t body_bytes(const struct object *o)
{
	return (o->flags & OBJECT_NO_BODY) != 0 ? 0 : o->body_len;
}

/* --- encoding --- */

/* Head and body in one piece; the head without what means nothing elsewhere. */
static void plain_write(char *out, const struct l3_item *item, uint32_t head_len)
{
	struct object o;

	memcpy(out, item->head, head_len);
	memcpy(&o, out, sizeof(o));
	o.hash = (struct hash128){0};
	o.born_seq = 0;
	o.spare = 0;
	o.text = NULL;
	memcpy(out, &o, sizeof(o));
	if (item->body.len > 0)
		memcpy(out + head_len, item->body.ptr, item->body.len);
}

/* Bytes of the packed payload; 0 when packing is not worth it. */
static size_t pack(const char *plain, size_t len, char *out)
{
	/* Too small a room is the way to say how much it must shrink. */
	int n = LZ4_compress_default(plain, out, (int)len, (int)(len - len / 16));

	return n > 0 ? (size_t)n : 0;
}

static size_t payload_write(char *out, const struct l3_item *item, uint32_t head_len,
                            uint32_t compress_bytes)
{
	size_t plain_len = head_len + item->body.len;
	size_t packed = 0;
	char *plain;

	if (plain_len >= compress_bytes && (plain = malloc(plain_len)) != NULL) {
		plain_write(plain, item, head_len);
		packed = pack(plain, plain_len, out);
		free(plain);
	}
	if (packed == 0)
		plain_write(out, item, head_len);
	return packed;
}

enum status l3_value_encode(const struct l3_item *item, uint32_t compress_bytes, char **out,
                            size_t *out_len)
{
	struct l3_value_header h = {.version = L3_VALUE_VERSION};
	size_t head_len = object_head_bytes(item->head);
	uint64_t checksum;
	size_t packed;
	char *mem;

	if (item->body.len != body_bytes(item->head))
		return ST_INVALID;
	if (item->body.len > LZ4_MAX_INPUT_SIZE - head_len)
		return ST_TOOBIG;
	mem = malloc(head_len + item->body.len + L3_VALUE_EXTRA);
	if (mem == NULL)
		return ST_NOMEM;
	packed = payload_write(mem + sizeof(h), item, (uint32_t)head_len, compress_bytes);
	memcpy(h.magic, magic, sizeof(magic));
	h.packed = packed > 0;
	h.object_bytes = sizeof(struct object);
	h.head_len = (uint32_t)head_len;
	h.body_len = item->body.len;
	h.payload_len = packed > 0 ? packed : head_len + item->body.len;
	h.asked_ms = item->asked_ms;
	memcpy(mem, &h, sizeof(h));
	*out_len = sizeof(h) + h.payload_len;
	checksum = hash64(mem, *out_len, CHECKSUM_SEED);
	memcpy(mem + *out_len, &checksum, sizeof(checksum));
	*out_len += sizeof(checksum);
	*out = mem;
	return ST_OK;
}

/* --- decoding --- */

static enum status header_check(struct span bytes, uint64_t max_bytes, struct l3_value_header *h)
{
	uint64_t checksum;

	if (bytes.len < L3_VALUE_EXTRA)
		return ST_INVALID;
	memcpy(h, bytes.ptr, sizeof(*h));
	if (memcmp(h->magic, magic, sizeof(magic)) != 0 || h->version != L3_VALUE_VERSION ||
	    h->object_bytes != sizeof(struct object) || h->packed > 1 || h->spare != 0)
		return ST_INVALID;
	if (h->payload_len != bytes.len - L3_VALUE_EXTRA || h->head_len < sizeof(struct object))
		return ST_INVALID;
	memcpy(&checksum, bytes.ptr + bytes.len - sizeof(checksum), sizeof(checksum));
	if (checksum != hash64(bytes.ptr, bytes.len - sizeof(checksum), CHECKSUM_SEED))
		return ST_INVALID;
	max_bytes = min_u64(max_bytes, LZ4_MAX_INPUT_SIZE);
	if (h->head_len > max_bytes || h->body_len > max_bytes - h->head_len)
		return ST_TOOBIG;
	if (!h->packed && h->payload_len != h->head_len + h->body_len)
		return ST_INVALID;
	return ST_OK;
}

/* Lines as a response has them, none of which frames the message or belongs to a connection: the
 * core sends them as they are, and a client must not take a line for the end of the head. */
static bool fields_sound(struct span lines)
{
	struct http_fields fs;
	size_t pos = 0;

	if (lines.len == 0)
		return true;
	/* Whole lines without the empty one that would end the section. */
	if (http1_scan_fields(lines.ptr, lines.len, &pos, &fs) != HTTP_SCAN_PARTIAL ||
	    pos != lines.len)
		return false;
	for (uint32_t i = 0; i < fs.count; i++)
		if (http_field_is_hop(&fs, &fs.f[i]))
			return false;
	return true;
}

/* A validator goes into a request to the origin. */
static bool one_line(struct span s)
{
	return s.len == 0 ||
	       (memchr(s.ptr, '\r', s.len) == NULL && memchr(s.ptr, '\n', s.len) == NULL);
}

static bool object_sound(const char *mem, const struct l3_value_header *h)
{
	const struct object *o = (const struct object *)(const void *)mem;

	if (!object_head_valid(mem, h->head_len) || object_head_bytes(o) != h->head_len)
		return false;
	if (body_bytes(o) != h->body_len)
		return false;
	if (!one_line(object_etag(o)) || !one_line(object_last_modified(o)))
		return false;
	/* The list of names (cache/vary.h) is checked by who reads it. */
	return (o->flags & OBJECT_VARY) != 0 || fields_sound(object_fields(o));
}

/* The plain payload in memory of its own as far as it must be; the body stays where it lies. */
static char *payload_plain(struct span payload, const struct l3_value_header *h)
{
	size_t plain_len = h->head_len + h->body_len;
	char *mem = malloc(h->packed ? plain_len : h->head_len);

	if (mem == NULL)
		return NULL;
	if (!h->packed) {
		memcpy(mem, payload.ptr, h->head_len);
	} else if (payload.len > LZ4_MAX_INPUT_SIZE ||
	           LZ4_decompress_safe(payload.ptr, mem, (int)payload.len, (int)plain_len) !=
	                   (int)plain_len) {
		memset(mem, 0, sizeof(struct object)); /* a status of 0 is not sound */
	}
	return mem;
}

enum status l3_value_decode(struct span bytes, uint64_t max_bytes, struct l3_value *out)
{
	struct l3_value_header h;
	enum status st = header_check(bytes, max_bytes, &h);
	struct object *o;
	char *mem;

	if (st != ST_OK)
		return st;
	mem = payload_plain(span_of(bytes.ptr + sizeof(h), h.payload_len), &h);
	if (mem == NULL)
		return ST_NOMEM;
	if (!object_sound(mem, &h)) {
		free(mem);
		return ST_INVALID;
	}
	o = (struct object *)(void *)mem;
	o->hash = (struct hash128){0};
	o->born_seq = 0;
	out->head = o;
	out->body = span_of(h.packed ? mem + h.head_len : bytes.ptr + sizeof(h) + h.head_len,
	                    h.body_len);
	out->asked_ms = h.asked_ms;
	out->mem = mem;
	return ST_OK;
}

void l3_value_free(struct l3_value *v)
{
	free(v->mem);
	v->mem = NULL;
}
