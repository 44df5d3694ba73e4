/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/hot_entry.h"

/* Is it the value of a line of that name? Else it would not be found there again. */
static bool in_line(const struct object *o, struct span value, struct span name)
{
	struct span lines = object_fields(o);
	size_t before = name.len + 2; /* name, colon, space */
	const char *at;

	if (value.len == 0 || value.ptr < lines.ptr + before ||
	    value.ptr + value.len + 2 > lines.ptr + lines.len)
		return false;
	at = value.ptr - before;
	return (at == lines.ptr || at[-1] == '\n') && span_eq_nocase(span_of(at, name.len), name) &&
	       at[name.len] == ':' && value.ptr[value.len] == '\r';
}

static bool has_line(const struct object *o, uint16_t len, struct span value, struct span name)
{
	return len == OBJECT_IN_LINES || in_line(o, value, name);
}

bool hot_entry_make(struct hot_entry *e, const struct object *o)
{
	uint64_t age_ms = o->initial_age_s * 1000ull;
	uint64_t made_ms = min_u64(o->response_ms - min_u64(o->response_ms, age_ms), HOT_MADE_MAX);
	uint64_t born = min_u64(o->born_seq, HOT_BORN_MAX);
	bool etag = o->etag_len > 0 && has_line(o, o->etag_len, object_etag(o), SPAN_LIT("ETag"));
	bool modified = o->last_modified_len > 0 &&
	                has_line(o, o->last_modified_len, object_last_modified(o),
	                         SPAN_LIT("Last-Modified"));

	if (o->fields_len > HOT_FIELDS_MAX || o->flags > HOT_FLAGS_MAX)
		return false;
	*e = (struct hot_entry){
	        .life = hot_life_pack(made_ms, o->expires_ms),
	        .made_lo = (uint32_t)made_ms,
	        .made_hi = (uint32_t)(made_ms >> 32) & 0x3ff,
	        .born_lo = (uint32_t)born,
	        .born_hi = (uint32_t)(born >> 32) & 0xff,
	        .fields_len = o->fields_len & HOT_FIELDS_MAX,
	        .stale_while = hot_grace_pack(o->stale_while_s) & 0xfff,
	        .stale_error = hot_grace_pack(o->stale_error_s) & 0xfff,
	        .status = o->status & 0x3ffu,
	        .flags_lo = o->flags & 0x3ffu,
	        .flags_hi = (uint32_t)o->flags >> 10 & 0xf,
	        .key_len = o->key_len & 0xfff,
	        .tag_count = o->tag_count & 0xffu,
	        .hash = hot_hash_bits(o->hash) & ((1u << HOT_HASH_BITS) - 1),
	        .has_etag = etag,
	        .has_last_modified = modified,
	};
	return true;
}
