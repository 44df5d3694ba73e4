/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tags of an answer as an object holds them: hashes, each once. */
#include "cache/inval.h"
#include "cache/tags.h"
#include "control/response_private.h"

static void tag_add(struct response_tags *t, uint32_t hash)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->hash[i] == hash)
			return;
	if (t->count == OBJECT_TAGS_MAX)
		t->lost = true;
	else
		t->hash[t->count++] = hash;
}

static void on_tag(void *arg, struct span tag)
{
	tag_add(arg, inval_tag_hash(tag));
}

void response_tags_read(const struct response_in *in, const struct object *stored,
                        struct response_tags *out)
{
	struct cache_target at = {
	        .host = in->request->host,
	        .target = in->request->target,
	        .tls = (in->request->wire.flags & CHAN_REQ_TLS) != 0,
	};

	out->count = 0;
	out->lost = false;
	for (uint32_t i = 0; i < in->tag_count; i++)
		tag_add(out, in->tags[i]);
	for (uint32_t i = 0; stored != NULL && i < stored->tag_count; i++) {
		uint32_t hash;

		memcpy(&hash, object_tags(stored) + i * sizeof(hash), sizeof(hash));
		tag_add(out, hash);
	}
	if (!tags_of_response(&in->head->fields, &at, on_tag, out))
		out->lost = true;
}

void response_tags_put(struct writer *w, const struct response_tags *tags, struct object *o)
{
	o->tag_count = (uint16_t)tags->count;
	put(w, span_of(tags->hash, tags->count * sizeof(tags->hash[0])));
}
