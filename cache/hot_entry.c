/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/hot_entry.h"

bool hot_entry_make(struct hot_entry *e, const struct object *o)
{
	uint64_t age_ms = o->initial_age_s * 1000ull;
	uint64_t made_ms = min_u64(o->response_ms - min_u64(o->response_ms, age_ms), HOT_MADE_MAX);
	uint64_t born = min_u64(o->born_seq, HOT_BORN_MAX);

	if (o->fields_len > HOT_FIELDS_MAX || o->flags > HOT_FLAGS_MAX)
		return false;
	*e = (struct hot_entry){
	        .life = hot_life_pack(made_ms, o->expires_ms),
	        .mark = (uint32_t)(born >> 42),
	        .made_lo = (uint32_t)made_ms,
	        .born_lo = (uint32_t)born,
	        .made_hi = (uint32_t)(made_ms >> 32) & 0x3ff,
	        .hash = hot_hash_bits(o->hash) & ((1u << HOT_HASH_BITS) - 1),
	        .flags = o->flags & HOT_FLAGS_MAX,
	        .fields_len = o->fields_len & HOT_FIELDS_MAX,
	        .has_etag = o->etag_len > 0,
	        .has_last_modified = o->last_modified_len > 0,
	        .key_len = o->key_len & 0xfff,
	        .tag_count = o->tag_count & 0xffu,
	        .stale_error = hot_grace_pack(o->stale_error_s) & 0xfff,
	        .stale_while = hot_grace_pack(o->stale_while_s) & 0xfff,
	        .born_hi = (uint32_t)(born >> 32) & 0x3ff,
	        .status = o->status & 0x3ffu,
	};
	return true;
}
