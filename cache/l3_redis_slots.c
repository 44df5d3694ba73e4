/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which server of a cluster has which slot, by CLUSTER SLOTS: asked at the start, when a
 * redirection or a failure shows that it changed, and now and then. Only masters are talked to. */
#include "cache/l3_redis.h"

#include "lib/log.h"

#include <stdlib.h>

#define REFRESH_MS       30000u /* all is well */
#define REFRESH_LACK_MS  1000u  /* a slot has no server that takes commands */
#define REFRESH_LEAST_MS 100u
#define FORGET_MS        60000u /* a server that is not listed, since the last redirection to it */

/* CRC-16/XMODEM: polynomial 0x1021, from 0, no reflection. */
static uint16_t crc16(struct span s)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < s.len; i++) {
		crc ^= (uint32_t)(unsigned char)s.ptr[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
	}
	return (uint16_t)crc;
}

uint16_t slot_of_key(struct span key)
{
	const char *open = key.len > 0 ? memchr(key.ptr, '{', key.len) : NULL;
	const char *end = key.ptr + key.len;
	const char *shut = open != NULL ? memchr(open, '}', (size_t)(end - open)) : NULL;

	if (shut != NULL && shut > open + 1)
		key = span_of(open + 1, (size_t)(shut - open - 1));
	return crc16(key) % REDIS_SLOTS;
}

static struct loop *loop_of(const struct redis *r)
{
	return r->env->loop;
}

/* --- asking --- */

/* Those that take commands, in turn: one that knows nothing new is not asked twice in a row. */
static struct server *server_to_ask(struct redis *r)
{
	for (uint32_t i = 0; i < REDIS_SERVERS_MAX; i++) {
		struct server *s = r->servers[++r->turn % REDIS_SERVERS_MAX];

		if (s != NULL && s->state == SERVER_READY)
			return s;
	}
	return NULL;
}

static void ask(struct redis *r)
{
	const struct span words[2] = {SPAN_LIT("CLUSTER"), SPAN_LIT("SLOTS")};
	struct server *s = server_to_ask(r);
	struct command *cmd;

	/* on_opened of the next server that takes commands comes back here. */
	if (s == NULL)
		return;
	cmd = command_new(r, COMMAND_SLOTS, words, 2);
	if (cmd == NULL)
		return;
	/* A large cluster's answer takes its time, and nobody waits for it. */
	cmd->deadline_ns += r->env->cfg->connect_ms * NS_PER_MS;
	if (server_send(s, cmd) != ST_OK) {
		command_free(r, cmd);
		return;
	}
	r->slots_asked = true;
	r->slots_asked_ns = loop_now_ns(loop_of(r));
}

static void on_timer(struct loop_timer *t)
{
	struct redis *r = t->arg;

	loop_timer_set(loop_of(r), t, loop_now_ns(loop_of(r)) + REFRESH_LACK_MS * NS_PER_MS);
	if (!r->slots_asked)
		ask(r);
}

void slots_refresh(struct redis *r)
{
	if (!r->env->cfg->cluster || r->closing || r->slots_asked)
		return;
	loop_timer_set(
	        loop_of(r), &r->slots_timer,
	        max_u64(loop_now_ns(loop_of(r)), r->slots_asked_ns + REFRESH_LEAST_MS * NS_PER_MS));
}

void slots_start(struct redis *r)
{
	r->slots_timer = (struct loop_timer){.fn = on_timer, .arg = r};
}

void slots_stop(struct redis *r)
{
	loop_timer_cancel(loop_of(r), &r->slots_timer);
}

/* --- the answer --- */

/* The address of [host, port, id, [key, value ...]]. Where nodes are announced by names, "ip" of
 * the list has the number; no host stands for that of the server that answers. */
static bool node_address(const struct server *from, const struct reply *node, struct raddr *out)
{
	const struct reply *host = reply_item(node, 0, REPLY_STRING);
	const struct reply *port = reply_item(node, 1, REPLY_INTEGER);
	const struct reply *more = reply_item(node, 3, REPLY_ARRAY);

	if (port == NULL || port->integer < 1 || port->integer > 65535)
		return false;
	if (host != NULL && raddr_numeric(out, host->text, port->integer) == ST_OK)
		return true;
	for (uint32_t i = 0; more != NULL && i + 1 < more->count; i += 2) {
		const struct reply *name = reply_item(more, i, REPLY_STRING);
		const struct reply *value = reply_item(more, i + 1, REPLY_STRING);

		if (name != NULL && value != NULL && span_eq(name->text, SPAN_LIT("ip")))
			return raddr_numeric(out, value->text, port->integer) == ST_OK;
	}
	if ((host != NULL && host->text.len > 0) || from->addr.sa.sa_family != AF_INET)
		return false;
	*out = from->addr;
	out->in.sin_port = htons((uint16_t)port->integer);
	return true;
}

static bool range_read(struct redis *r, const struct server *from, const struct reply *range)
{
	const struct reply *first = reply_item(range, 0, REPLY_INTEGER);
	const struct reply *last = reply_item(range, 1, REPLY_INTEGER);
	const struct reply *master = reply_item(range, 2, REPLY_ARRAY);
	struct raddr addr;
	struct server *s;

	if (first == NULL || last == NULL || master == NULL || first->integer < 0 ||
	    last->integer < first->integer || last->integer >= REDIS_SLOTS)
		return false;
	if (!node_address(from, master, &addr))
		return false;
	s = redis_server(r, &addr);
	if (s == NULL)
		return false;
	s->listed = true;
	memset(r->slot_next + first->integer, s->index,
	       (size_t)(last->integer - first->integer + 1));
	return true;
}

/* Those that the cluster does not name any more, and no redirection did lately. */
static void servers_forget(struct redis *r)
{
	uint64_t now_ns = loop_now_ns(loop_of(r));

	for (uint32_t i = 0; i < REDIS_SERVERS_MAX; i++) {
		struct server *s = r->servers[i];

		if (s == NULL || s->seed || s->listed ||
		    s->used_ns + FORGET_MS * NS_PER_MS > now_ns)
			continue;
		r->servers[i] = NULL;
		server_destroy(s);
	}
}

static bool slots_read(struct redis *r, const struct server *from, const struct reply *reply)
{
	bool sound = reply->kind == REPLY_ARRAY && reply->count > 0;

	memset(r->slot_next, REDIS_NO_SERVER, sizeof(r->slot_next));
	for (uint32_t i = 0; i < REDIS_SERVERS_MAX; i++)
		if (r->servers[i] != NULL)
			r->servers[i]->listed = false;
	for (uint32_t i = 0; sound && i < reply->count; i++)
		sound = range_read(r, from, reply_item(reply, i, REPLY_ARRAY));
	return sound;
}

static bool slots_lack(const struct redis *r)
{
	for (uint32_t i = 0; i < REDIS_SLOTS; i++)
		if (r->slot_owner[i] == REDIS_NO_SERVER ||
		    r->servers[r->slot_owner[i]]->state != SERVER_READY)
			return true;
	return false;
}

void slots_answered(struct redis *r, const struct server *s, const struct reply *reply)
{
	uint64_t wait_ms = REFRESH_LACK_MS;

	r->slots_asked = false;
	if (r->closing)
		return;
	if (reply != NULL && slots_read(r, s, reply)) {
		memcpy(r->slot_owner, r->slot_next, sizeof(r->slot_owner));
		servers_forget(r);
		if (!slots_lack(r))
			wait_ms = REFRESH_MS;
		stream_kick(r->stream);
	} else if (reply != NULL) {
		r->env->counts->errors++;
	}
	loop_timer_set(loop_of(r), &r->slots_timer, loop_now_ns(loop_of(r)) + wait_ms * NS_PER_MS);
}
