/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control as it may be when somebody else has taken it over: a core with clients, and messages made
 * of the input, nearly right ones most of the time. Whatever they say, nothing may be read or
 * written out of bounds, what the hot table holds must be sound, and the core goes on: when control
 * behaves again, a request is answered. */
#include <stdlib.h>

#include "cache/vary.h"
#include "lib/log.h"
#include "tests/sim/web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WEBS    16u
#define OPS_MAX 64u

static const char *const asked[] = {
        "GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nRange: bytes=1-9\r\nX: 1\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"e\"\r\nX: 2\r\n\r\n",
        "HEAD /x HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n",
        "GET /y HTTP/1.1\r\nHost: h\r\nCache-Control: max-stale\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123",
        "GET /x HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1,3-4,-1\r\n\r\n",
};

static const char yaml[] = "node: fuzz\n"
                           "log_level: error\n"
                           "memory:\n"
                           "    huge_pages: 'off'\n"
                           "    hot_table_bytes: 1048576\n"
                           "    up_blocks: 16\n"
                           "    down_blocks: 32\n"
                           "limits:\n"
                           "    connections: 64\n"
                           "    requests: 32\n"
                           "    object_bytes: 65536\n"
                           "    rx_buffers: 32\n" RIG_YAML_WORLD RIG_YAML_ROUTE;

struct input {
	const uint8_t *at;
	const uint8_t *end;
};

struct fuzz {
	struct rig rig;
	struct web webs[WEBS];
	uint32_t web_count;
	struct chan_ticket ticket; /* of the last request */
	struct hash128 key;
	uint32_t epoch;
	uint32_t blocks; /* written so far */
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static uint32_t take(struct input *in, uint32_t bytes)
{
	uint32_t n = 0;

	for (; bytes > 0; bytes--)
		n = n << 8 | (in->at < in->end ? *in->at++ : 0);
	return n;
}

static void step(struct fuzz *f, uint32_t ms)
{
	struct chan_msg m;

	while (ms-- > 0)
		rig_step(&f->rig, NS_PER_MS);
	/* Nobody keeps books of the down slab: such a control does not either. */
	while (chan_recv(&f->rig.control, &m)) {
		const struct chan_request *cr = chan_peer_bytes(&f->rig.control, &m);

		chan_rx_done(&f->rig.control);
		if (m.type == CHAN_RELEASE)
			continue;
		if (m.type == CHAN_REQUEST && m.ticket.seq != 0) {
			f->ticket = m.ticket;
			f->key = (struct hash128){cr->key_lo, cr->key_hi};
		}
		rig_release_up(&f->rig, m.block);
	}
}

static void ask(struct fuzz *f, uint32_t which)
{
	struct web *w = &f->webs[f->web_count];

	if (f->web_count == WEBS || !web_open(w, &f->rig, (uint16_t)(20000 + f->web_count)))
		return;
	f->web_count++;
	step(f, 2);
	web_text(w, asked[which % ARRAY_LEN(asked)]);
	step(f, 2);
}

/* Lengths that fit, if the input does not say otherwise. */
static void object_make(struct fuzz *f, struct input *in, unsigned char *to, uint32_t *len)
{
	static const char *const keys[] = {"h/x", "h/y", "h/x\nabc", "h/z", ""};
	static const char *const fields[] = {"ETag: \"e\"\r\n", "x", "Vary: X\r\nA: b\r\n", ""};
	struct object o = {0};
	uint32_t shape = take(in, 1);
	const char *key = keys[shape % ARRAY_LEN(keys)];
	const char *lines = fields[(shape >> 3) % ARRAY_LEN(fields)];
	struct cache_key ck = {.text = span_cstr(key),
	                       .hash = hash128(key, strlen(key), f->rig.core->hash_seed)};

	if (shape & 0x80) {
		*len = (uint32_t)vary_list_write(to, 1024, &ck, 1 + take(in, 1), SPAN_LIT("x"));
	} else {
		o.hash = shape & 0x40 ? f->key : ck.hash;
		o.response_ms = f->rig.wall_ns / NS_PER_MS;
		o.expires_ms = o.response_ms + take(in, 1) * 100;
		o.stale_while_s = take(in, 1);
		o.body_len = take(in, 1);
		o.key_len = (uint32_t)strlen(key);
		o.fields_len = (uint32_t)strlen(lines);
		o.status = 200;
		o.flags = (uint16_t)(take(in, 1) & ~(OBJECT_VARY | OBJECT_PASS)) | OBJECT_STORABLE;
		memcpy(to, &o, sizeof(o));
		memcpy(to + sizeof(o), key, o.key_len);
		memcpy(to + sizeof(o) + o.key_len, lines, o.fields_len);
		*len = (uint32_t)object_head_bytes(&o);
	}
	/* And a few bytes that are wrong. */
	for (uint32_t n = take(in, 1) % 8; n > 4; n--) {
		uint32_t at = take(in, 1);

		to[at] = (unsigned char)take(in, 1);
	}
}

static void message(struct fuzz *f, struct input *in)
{
	static const uint8_t types[] = {CHAN_HEAD,  CHAN_BODY,  CHAN_PUT,    CHAN_HEAD,
	                                CHAN_BODY,  CHAN_PUT,   CHAN_FAIL,   CHAN_PURGE,
	                                CHAN_QUERY, CHAN_DRAIN, CHAN_RELEASE};
	struct chan_msg *m = chan_slot(&f->rig.control);
	uint32_t odd = take(in, 1);
	uint32_t block = f->blocks++ % f->rig.down.count;
	unsigned char *bytes = chan_block_at(&f->rig.down, block);

	if (m == NULL)
		return;
	m->type = odd & 1 ? (uint8_t)take(in, 1) : types[take(in, 1) % ARRAY_LEN(types)];
	m->flags = (uint8_t)take(in, 1);
	m->ticket = f->ticket;
	m->block = block;
	if (m->type == CHAN_HEAD || m->type == CHAN_PUT) {
		object_make(f, in, bytes, &m->len);
	} else if (m->type == CHAN_PURGE) {
		m->len = 3;
		memcpy(bytes, "h/x", 3);
		m->n = take(in, 1);
	} else {
		m->len = take(in, 1);
	}
	if (odd & 2)
		m->code = (uint16_t)take(in, 2);
	if (odd & 4)
		m->len = take(in, 3);
	if (odd & 8)
		m->off = take(in, 2);
	if (odd & 16)
		m->block = take(in, 4);
	if (odd & 32)
		m->ticket.seq += take(in, 1);
	if (odd & 64)
		m->n = (uint64_t)take(in, 4) << 32 | take(in, 4);
	if (m->type == CHAN_DRAIN)
		m->n = 0;
	chan_push(&f->rig.control);
	chan_flush(&f->rig.control);
	step(f, 1);
}

static void table_check(struct hot_table *t)
{
	const struct object *o;
	uint64_t cursor = 0, id;
	struct span names;

	while ((o = hot_next(t, &cursor)) != NULL) {
		require(object_lengths_valid(o));
		require(o->body_len <= 65536 && o->key_len > 0);
		require((o->flags & OBJECT_VARY) == 0 || vary_list_read(o, &id, &names));
	}
}

/* A new control that behaves: the core answers. */
static void goes_on(struct fuzz *f)
{
	struct web *w = &f->webs[WEBS - 1];
	struct web_answer a;

	for (uint32_t i = 0; i < f->web_count; i++)
		web_abort(&f->webs[i]);
	rig_detach(&f->rig);
	require(rig_attach(&f->rig, ++f->epoch));
	step(f, 3);
	if (f->web_count == WEBS)
		web_free(w);
	require(web_open(w, &f->rig, 30000));
	f->web_count = WEBS;
	step(f, 3);
	require(web_text(w, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n"));
	f->ticket.seq = 0;
	step(f, 3);
	require(f->ticket.seq != 0 && rig_fail(&f->rig, f->ticket, 502));
	step(f, 3);
	require(web_take(w, false, &a) == WEB_ANSWER && a.status == 502);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct fuzz *f = calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	require(f != NULL && rig_create(&f->rig, yaml) == ST_OK);
	web_attach(&f->rig);
	require(rig_attach(&f->rig, ++f->epoch));
	for (uint32_t i = 0; i < OPS_MAX && in.at < in.end; i++) {
		uint32_t op = take(&in, 1);

		if (op < 64)
			ask(f, op);
		else if (op < 72)
			step(f, op - 60);
		else if (op < 74)
			step(f, 1000 * (op - 71));
		else
			message(f, &in);
	}
	table_check(f->rig.core->hot);
	goes_on(f);
	for (uint32_t i = 0; i < f->web_count; i++)
		web_free(&f->webs[i]);
	rig_destroy(&f->rig);
	free(f);
	return 0;
}
