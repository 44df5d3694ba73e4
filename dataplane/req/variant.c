/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys with variants (RFC 9111 4.1), and what control puts into the hot table without being asked:
 * the lists of their fields, those of what shared answers depend on, and remarks that answers to a
 * key are not for sharing. */
#include "dataplane/path.h"

#include "cache/read_set.h"
#include "cache/vary.h"

const struct object *variant_get(struct core *core, const struct object *list)
{
	struct hot_found of_list = core->found;
	const struct object *o = NULL;
	struct cache_key key;

	if (vary_key(core->key_buf, &core->turn->key, list, &core->http->fields, core->hash_seed,
	             &key))
		o = hot_view_get(core->view, &key, &core->found);
	else
		core->found.where = HOT_NOWHERE;
	hot_view_done(core->view, &of_list);
	return o;
}

/* Is it a list or a remark, whole, and under the hash that this core looks for? */
static bool put_sound(const struct core *core, const struct object *o)
{
	struct span text = object_key(o);
	struct span names;
	uint64_t id;

	if (text.len == 0 || !hash128_eq(hash128(text.ptr, text.len, core->hash_seed), o->hash))
		return false;
	switch (o->flags & (OBJECT_VARY | OBJECT_PASS)) {
	case OBJECT_VARY:
		return o->flags & OBJECT_READS ? read_list_read(o, &names)
		                               : vary_list_read(o, &id, &names);
	case OBJECT_PASS:
		return true;
	default:
		return false;
	}
}

/* The message's object in core->head_copy, or NULL. */
static struct object *put_copy(struct core *core, const struct chan_msg *m)
{
	const void *bytes = chan_peer_bytes(&core->chan.port, m);
	struct object *o = (struct object *)(void *)core->head_copy;

	/* Copied first, so that the checked lengths are those that are used. */
	if (bytes == NULL || m->len < sizeof(*o) || m->len > CORE_OUT_BYTES / 2)
		return NULL;
	memcpy(o, bytes, m->len);
	if (!object_head_valid(o, m->len) || !put_sound(core, o))
		return NULL;
	o->body_len = 0;
	return o;
}

void put_input(struct core *core, const struct chan_msg *m)
{
	struct object *o = put_copy(core, m);
	struct hot_fill fill = {0};

	if (o == NULL) {
		counter_inc(core->ctr, CTR_chan_bad);
		return;
	}
	struct hot_table *t = hot_view_table(core->view, o->hash, object_head_bytes(o));
	const struct object *stored =
	        hot_fill_begin(t, &fill, o, 0) == ST_OK ? hot_fill_commit(t, &fill) : NULL;
	if (stored != NULL)
		hot_view_stored(core->view, t, stored);
	counter_inc(core->ctr, stored != NULL ? CTR_cache_put : CTR_cache_put_dropped);
}
