/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/policy.h"

size_t cache_pass_write(void *mem, size_t cap, const struct cache_key *key, uint64_t until_ms)
{
	struct object o = {
	        .hash = key->hash,
	        .response_ms = until_ms,
	        .expires_ms = until_ms,
	        .key_len = (uint32_t)key->text.len,
	        .status = 200,
	        .flags = OBJECT_PASS | OBJECT_NO_BODY,
	};
	size_t len = sizeof(o) + key->text.len;

	if (len > cap)
		return 0;
	memcpy(mem, &o, sizeof(o));
	memcpy((char *)mem + sizeof(o), key->text.ptr, key->text.len);
	return len;
}
