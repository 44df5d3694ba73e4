/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What "control.cache" adds to the web level: answers that vary by a request field, of which
 * control puts the list into the hot table; ranges; answers that may be served stale and refreshed;
 * answers from control's stores; remarks that answers are not for sharing. An answer tells its
 * variant, and the body its version: neither may be another's. */
#include <stdio.h>
#include <stdlib.h>

#include "cache/vary.h"
#include "tests/sim/web_level.h"

#define VARIANTS  3u
#define VAR_FIELD "X-Var: "
#define NAMES     SPAN_LIT("x-var")

bool cache_varies(const struct sim *sim, enum sim_kind kind, uint32_t id)
{
	return sim->sc->cache && kind == KIND_CACHED && id % 4 == 1;
}

void cache_ask(struct sim *sim, struct sim_request *r)
{
	struct rng *rng = &sim->client_rng;
	size_t len = sim_body_len(r->kind, r->id);

	if (!sim->sc->cache)
		return;
	r->var = rng_below(rng, VARIANTS);
	if (r->kind == KIND_UPLOAD || r->head || len == 0 || rng_below(rng, 4) != 0)
		return;
	r->part.first = rng_below(rng, (uint32_t)len);
	r->part.len = 1 + rng_below(rng, (uint32_t)len);
}

size_t cache_lines(const struct sim *sim, const struct sim_request *r, char *to)
{
	size_t n = 0;

	if (!sim->sc->cache)
		return 0;
	n = (size_t)sprintf(to, VAR_FIELD "%u\r\n", r->var);
	if (r->part.len > 0)
		n += (size_t)sprintf(to + n, "Range: bytes=%llu-%llu\r\n",
		                     (unsigned long long)r->part.first,
		                     (unsigned long long)(r->part.first + r->part.len - 1));
	return n;
}

/* The part of the whole body that a 206 must hold. */
struct span cache_part(struct sim *sim, const struct sim_request *r, const struct web_answer *a,
                       struct span whole)
{
	uint64_t len =
	        r->part.first < whole.len ? min_u64(r->part.len, whole.len - r->part.first) : 0;
	struct span got = web_field(a, "Content-Range");
	char want[80];

	snprintf(want, sizeof(want), "bytes %llu-%llu/%zu", (unsigned long long)r->part.first,
	         (unsigned long long)(r->part.first + len - 1), whole.len);
	if (len == 0 || !span_eq(got, span_cstr(want)))
		sim_fail(sim, "request %u: 206 with \"%.*s\" instead of \"%s\"", r->number,
		         (int)got.len, got.ptr, want);
	return span_of(whole.ptr + r->part.first, len);
}

void cache_check_variant(struct sim *sim, const struct sim_request *r, const struct web_answer *a)
{
	struct span var = web_field(a, "X-Var");
	char want[16];

	if (!cache_varies(sim, r->kind, r->id))
		return;
	snprintf(want, sizeof(want), "%u", r->var);
	if (!span_eq(var, span_cstr(want)))
		sim_fail(sim, "request %u: variant \"%.*s\" instead of %s", r->number, (int)var.len,
		         var.ptr, want);
}

/* --- control --- */

uint32_t cache_variant_asked(struct span fields)
{
	const char *at = memmem(fields.ptr, fields.len, VAR_FIELD, sizeof(VAR_FIELD) - 1);

	return at == NULL ? 0 : (uint32_t)strtoul(at + sizeof(VAR_FIELD) - 1, NULL, 10);
}

static struct cache_key key_of(struct sim *sim, const struct object *o)
{
	struct span text = object_key(o);

	return (struct cache_key){.hash = hash128(text.ptr, text.len, sim->rig.core->hash_seed),
	                          .text = text};
}

static bool put(struct sim *sim, const struct object *o)
{
	/* The last blocks are for answers. */
	return sim->rig.down.free_count > 4 && spsc_room(&sim->rig.control.tx, 4) >= 4 &&
	       rig_put(&sim->rig, o);
}

/* At times the origin's list is another. */
static uint64_t list_id(struct sim *sim, uint32_t id)
{
	struct sim_cache *c = &sim->cache;

	if (c->list_id[id] == 0 || rng_below(&c->rng, 16) == 0)
		c->list_id[id] = rng_next(&c->rng) | 1;
	return c->list_id[id];
}

bool cache_variant_head(struct sim *sim, uint32_t id, uint32_t var, struct object *o)
{
	static _Alignas(8) char list[4096];
	struct object *l = (struct object *)(void *)list;
	struct cache_key primary = key_of(sim, o), key;
	static char text[CACHE_KEY_MAX];
	struct http_fields fields;
	char lines[32];
	size_t pos = 0;
	int n = snprintf(lines, sizeof(lines), VAR_FIELD "%u\r\n\r\n", var);

	if (vary_list_write(list, sizeof(list), &primary, list_id(sim, id), NAMES) == 0 ||
	    http1_scan_fields(lines, (size_t)n, &pos, &fields) != HTTP_SCAN_DONE ||
	    !vary_key(text, &primary, l, &fields, sim->rig.core->hash_seed, &key))
		abort();
	l->born_seq = o->born_seq;
	l->response_ms = o->response_ms;
	if (!put(sim, l))
		return false;
	o->key_len = (uint32_t)key.text.len;
	o->hash = key.hash;
	memcpy(o + 1, key.text.ptr, key.text.len);
	return true;
}

static void pass_put(struct sim *sim, uint32_t id, uint64_t born_seq)
{
	static _Alignas(8) char bytes[256];
	struct object *o = (struct object *)(void *)bytes;

	*o = (struct object){
	        .response_ms = sim->rig.wall_ns / NS_PER_MS,
	        .expires_ms = sim->rig.wall_ns / NS_PER_MS + 100,
	        .born_seq = born_seq,
	        .status = 200,
	        .flags = OBJECT_PASS,
	};
	o->key_len = (uint32_t)sprintf(bytes + sizeof(*o), "sim/p/%u", id);
	put(sim, o);
}

void cache_refresh_asked(struct sim *sim, uint32_t id)
{
	if (sim->cache.refresh_due[id] == 0)
		sim->cache.refresh_due[id] =
		        sim->rig.now_ns + (1 + rng_below(&sim->cache.rng, 6)) * NS_PER_MS;
}

/* Nobody waits for the core's word. False: no room now. */
static bool purge_send(struct sim *sim, uint32_t id, uint64_t *purge_seq)
{
	struct rig *rig = &sim->rig;
	struct chan_msg *m = rig->down.free_count > 4 ? chan_slot(&rig->control) : NULL;

	if (m == NULL)
		return false;
	m->type = CHAN_PURGE;
	m->code = INVAL_KEY;
	m->n = ++*purge_seq;
	m->ticket.epoch = rig->shared->attach_epoch;
	m->block = chan_block_get(&rig->down);
	m->len = (uint32_t)sprintf((char *)chan_block_at(&rig->down, m->block), "sim/c/%u", id);
	chan_push(&rig->control);
	chan_flush(&rig->control);
	return true;
}

void cache_run(struct sim *sim, uint64_t *purge_seq)
{
	struct sim_cache *c = &sim->cache;

	for (uint32_t id = 0; sim->sc->cache && id < SIM_IDS; id++) {
		if (c->refresh_due[id] == 0 || c->refresh_due[id] > sim->rig.now_ns ||
		    !purge_send(sim, id, purge_seq))
			continue;
		c->refresh_due[id] = 0;
		c->list_id[id] = 0;
		if (rng_below(&c->rng, 2) == 0)
			pass_put(sim, id, *purge_seq);
	}
}

/* A scenario in which these never happen shows nothing of them. */
void cache_happened(struct sim *sim)
{
	static const enum counter_id least[] = {
	        CTR_cache_vary_hit, CTR_cache_vary_miss, CTR_cache_put,      CTR_cache_stale_while,
	        CTR_cache_refresh,  CTR_cache_partial,   CTR_cache_node_hit, CTR_cache_pass,
	};

	if (!sim->sc->cache || sim->sc->conns < 1000)
		return;
	for (size_t i = 0; i < ARRAY_LEN(least); i++)
		if (counter_read(sim->rig.core->ctr, least[i]) == 0)
			sim_fail(sim, "no %s in the whole run", counter_infos[least[i]].id);
}
