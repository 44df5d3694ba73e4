/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend "redis": one server, or a cluster. A command goes to the server that has its slot (a
 * single server has all), and follows MOVED and ASK (cluster specification) a few times. */
#include "cache/l3_redis.h"

#include "lib/hash.h"
#include "lib/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STOP_ROUNDS   200u /* of at most 10 ms, until the kernel must have let go */
#define COMMAND_EXTRA 256u /* a command's bytes besides key and value */
#define DOUBLINGS_MAX 6u   /* of the time to the next try */

/* --- commands --- */

struct command *command_new(struct redis *r, enum command_kind kind, const struct span *words,
                            uint32_t count)
{
	struct command *cmd = calloc(1, sizeof(*cmd));

	if (cmd == NULL)
		return NULL;
	cmd->text = command_format(words, count, &cmd->len);
	if (cmd->text == NULL) {
		free(cmd);
		return NULL;
	}
	cmd->kind = (uint8_t)kind;
	cmd->deadline_ns = loop_now_ns(r->env->loop) + r->env->cfg->timeout_ms * NS_PER_MS;
	r->pending_bytes += cmd->len;
	return cmd;
}

void command_free(struct redis *r, struct command *cmd)
{
	r->pending_bytes -= cmd->len;
	free(cmd->text);
	free(cmd);
}

enum status redis_send(struct redis *r, struct command *cmd)
{
	uint8_t owner = r->slot_owner[cmd->slot];
	enum status st;

	if (owner == REDIS_NO_SERVER)
		return ST_CLOSED;
	st = server_send(r->servers[owner], cmd);
	/* Nobody redirects a single server's commands: the connection has its own copy. */
	if (st == ST_OK && !r->env->cfg->cluster) {
		free(cmd->text);
		cmd->text = NULL;
	}
	return st;
}

uint64_t redis_delay_ns(const struct redis *r, uint32_t tries)
{
	uint64_t ns = (uint64_t)r->env->cfg->retry_ms * NS_PER_MS << min_u32(tries, DOUBLINGS_MAX);
	uint16_t dice;

	random_bytes(&dice, sizeof(dice));
	return ns / 4 * 3 + ns / 2 / UINT16_MAX * dice;
}

/* --- redirections --- */

struct server *redis_server(struct redis *r, const struct raddr *addr)
{
	uint32_t place = REDIS_SERVERS_MAX;

	for (uint32_t i = REDIS_SERVERS_MAX; i-- > 0;) {
		if (r->servers[i] == NULL)
			place = i;
		else if (raddr_eq(&r->servers[i]->addr, addr))
			return r->servers[i];
	}
	if (place == REDIS_SERVERS_MAX || server_create(&r->servers[place], r, addr) != ST_OK)
		return NULL;
	r->servers[place]->index = (uint8_t)place;
	return r->servers[place];
}

/* The address of "MOVED 3999 127.0.0.1:6381"; an empty host is that of the server that says so. */
static bool redirection_parse(const struct server *from, struct span text, struct raddr *out)
{
	const char *space = memrchr(text.ptr, ' ', text.len);
	const char *colon = memrchr(text.ptr, ':', text.len);
	int64_t port = 0;

	if (space == NULL || colon == NULL || colon < space)
		return false;
	for (const char *p = colon + 1; p < text.ptr + text.len; p++) {
		if (*p < '0' || *p > '9' || port > 65535)
			return false;
		port = port * 10 + (*p - '0');
	}
	if (colon == space + 1 && from->addr.sa.sa_family == AF_INET) {
		if (port < 1 || port > 65535)
			return false;
		*out = from->addr;
		out->in.sin_port = htons((uint16_t)port);
		snprintf(out->text, sizeof(out->text), "port %u", (unsigned)port);
		return true;
	}
	return raddr_numeric(out, span_of(space + 1, (size_t)(colon - space - 1)), port) == ST_OK;
}

static bool asking_send(struct server *to)
{
	const struct span words[1] = {SPAN_LIT("ASKING")};
	struct command *cmd = command_new(to->r, COMMAND_ASKING, words, 1);

	if (cmd == NULL)
		return false;
	if (server_send(to, cmd) == ST_OK)
		return true;
	command_free(to->r, cmd);
	return false;
}

/* Sends the command on to where its slot is said to be; false: it ends here. */
static bool redirect(struct server *from, struct command *cmd, struct span text)
{
	struct redis *r = from->r;
	bool ask = text.len > 4 && memcmp(text.ptr, "ASK ", 4) == 0;
	struct raddr addr;
	struct server *to;

	if (ask)
		r->env->counts->asked++;
	else
		r->env->counts->moved++;
	if (!ask)
		slots_refresh(r);
	if (cmd->hops >= REDIS_HOPS_MAX || cmd->text == NULL ||
	    !redirection_parse(from, text, &addr))
		return false;
	to = redis_server(r, &addr);
	if (to == NULL)
		return false;
	to->used_ns = loop_now_ns(r->env->loop);
	/* A server that we did not know is not connected yet: this command ends. */
	if (to->state != SERVER_READY || (ask && !asking_send(to)))
		return false;
	cmd->hops++;
	return server_send(to, cmd) == ST_OK;
}

static bool begins(struct span text, const char *word)
{
	return text.len >= strlen(word) && memcmp(text.ptr, word, strlen(word)) == 0;
}

/* An error that says something of this command alone, not of the server's health. */
static bool error_is_mild(struct span text)
{
	static const char *const words[] = {"OOM ", "WRONGTYPE ", "TRYAGAIN "};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (begins(text, words[i]))
			return true;
	return false;
}

/* --- the end of a command --- */

/* An answer of another kind than the command's: the order of answers is lost. */
static void answer_odd(struct server *s)
{
	s->r->env->counts->errors++;
	server_down(s, "an answer is not of its command's kind");
}

static void get_ended(struct command *cmd, const struct reply *reply, enum status st)
{
	struct span none = {0};

	if (reply != NULL && reply->kind == REPLY_STRING)
		l3_answer(cmd->wait, ST_OK, reply->text);
	else if (reply != NULL && reply->kind == REPLY_NIL)
		l3_answer(cmd->wait, ST_NOTFOUND, none);
	else
		l3_answer(cmd->wait, st != ST_OK ? st : ST_CLOSED, none);
}

static bool answer_is_of(enum command_kind kind, const struct reply *reply)
{
	switch (kind) {
	case COMMAND_GET:
		return reply->kind == REPLY_STRING || reply->kind == REPLY_NIL;
	case COMMAND_SET:
	case COMMAND_ASKING:
		return reply->kind == REPLY_STATUS;
	case COMMAND_DEL:
		return reply->kind == REPLY_INTEGER;
	case COMMAND_SLOTS:
		return reply->kind == REPLY_ARRAY;
	case COMMAND_PURGE:
		return reply->kind == REPLY_STRING;
	}
	return false;
}

/* True: it is under way again. */
static bool error_heeded(struct server *s, struct command *cmd, const struct reply *reply)
{
	char why[96];

	if (s->r->env->cfg->cluster &&
	    (begins(reply->text, "MOVED ") || begins(reply->text, "ASK ")))
		return redirect(s, cmd, reply->text);
	s->r->env->counts->errors++;
	if (begins(reply->text, "CLUSTERDOWN"))
		slots_refresh(s->r);
	if (!error_is_mild(reply->text)) {
		snprintf(why, sizeof(why), "it says: %.80s", reply->text.ptr);
		server_failed(s, why);
	}
	return false;
}

void redis_ended(struct server *s, struct command *cmd, const struct reply *reply, enum status st)
{
	struct redis *r = s->r;
	enum command_kind kind = (enum command_kind)cmd->kind;
	bool error = reply != NULL && reply->kind == REPLY_ERROR;
	bool ok = reply != NULL && answer_is_of(kind, reply);

	if (error && error_heeded(s, cmd, reply))
		return;
	if (ok)
		server_did_well(s);
	else if (reply != NULL && !error)
		answer_odd(s);
	if (kind == COMMAND_GET)
		get_ended(cmd, ok ? reply : NULL, st);
	else if (kind == COMMAND_SLOTS)
		slots_answered(r, s, ok ? reply : NULL);
	else if (kind == COMMAND_PURGE)
		stream_published(r->stream, ok);
	command_free(r, cmd);
}

/* --- what the front calls --- */

static enum status user_command(struct redis *r, enum command_kind kind, const struct span *words,
                                uint32_t count, struct l3_wait *wait)
{
	uint64_t need = COMMAND_EXTRA;
	uint16_t slot = r->env->cfg->cluster ? slot_of_key(words[1]) : 0;
	struct command *cmd;
	enum status st;

	for (uint32_t i = 0; i < count; i++)
		need += words[i].len;
	if (r->in_flight >= r->env->cfg->in_flight ||
	    r->pending_bytes + need > r->env->cfg->pending_bytes)
		return ST_FULL;
	/* An open circuit costs nothing. */
	if (r->slot_owner[slot] == REDIS_NO_SERVER ||
	    r->servers[r->slot_owner[slot]]->state != SERVER_READY)
		return ST_CLOSED;
	cmd = command_new(r, kind, words, count);
	if (cmd == NULL)
		return ST_NOMEM;
	cmd->slot = slot;
	cmd->wait = wait;
	st = redis_send(r, cmd);
	if (st != ST_OK)
		command_free(r, cmd);
	return st;
}

static enum status redis_get(void *b, struct span key, struct l3_wait *wait)
{
	const struct span words[2] = {SPAN_LIT("GET"), key};

	return user_command(b, COMMAND_GET, words, 2, wait);
}

static enum status redis_put(void *b, struct span key, struct span value, uint64_t keep_ms)
{
	char ms[24];
	int len = snprintf(ms, sizeof(ms), "%" PRIu64, min_u64(keep_ms, INT64_MAX / 1000000));
	const struct span words[5] = {SPAN_LIT("SET"), key, value, SPAN_LIT("PX"),
	                              span_of(ms, (size_t)len)};

	return user_command(b, COMMAND_SET, words, 5, NULL);
}

static enum status redis_del(void *b, struct span key)
{
	const struct span words[2] = {SPAN_LIT("DEL"), key};

	return user_command(b, COMMAND_DEL, words, 2, NULL);
}

static void redis_watch(void *b)
{
	struct redis *r = b;

	stream_watch(r->stream);
}

static void redis_publish(void *b, struct span record, struct span everything)
{
	struct redis *r = b;

	stream_publish(r->stream, record, everything);
}

static void redis_state(const void *b, struct l3_counts *out)
{
	const struct redis *r = b;

	out->in_flight = r->in_flight;
	out->servers = 0;
	out->servers_open = 0;
	for (uint32_t i = 0; i < REDIS_SERVERS_MAX; i++) {
		if (r->servers[i] == NULL)
			continue;
		out->servers++;
		out->servers_open += r->servers[i]->state != SERVER_READY;
	}
	out->open = out->servers == out->servers_open;
}

/* --- life --- */

static void redis_destroy(void *b)
{
	struct redis *r = b;

	r->closing = true;
	slots_stop(r);
	stream_destroy(r->stream);
	r->stream = NULL;
	memset(r->slot_owner, REDIS_NO_SERVER, sizeof(r->slot_owner));
	for (uint32_t i = 0; i < REDIS_SERVERS_MAX; i++) {
		struct server *s = r->servers[i];

		r->servers[i] = NULL;
		if (s != NULL)
			server_destroy(s);
	}
	for (uint32_t i = 0; i < STOP_ROUNDS && r->conns > 0; i++)
		loop_once(r->env->loop, 10 * NS_PER_MS);
	if (r->conns > 0)
		log_error("l3", "%u connections to Redis do not end", r->conns);
	else
		free(r);
}

static enum status seeds_add(struct redis *r)
{
	const struct l3_config *cfg = r->env->cfg;

	if (cfg->addresses_count == 0 || (!cfg->cluster && cfg->addresses_count > 1)) {
		log_error("l3", "backend redis needs %s; addresses has %u",
		          cfg->cluster ? "the address of a node of the cluster" : "one address",
		          cfg->addresses_count);
		return ST_INVALID;
	}
	for (unsigned i = 0; i < cfg->addresses_count; i++) {
		struct raddr addr;
		enum status st = raddr_parse(&addr, cfg->addresses[i]);
		struct server *s;

		if (st != ST_OK)
			return st;
		s = redis_server(r, &addr);
		if (s == NULL)
			return ST_NOMEM;
		s->seed = true;
	}
	return ST_OK;
}

static enum status redis_create(void **out, const struct l3_env *env)
{
	struct redis *r = calloc(1, sizeof(*r));
	enum status st;

	if (r == NULL)
		return ST_NOMEM;
	r->env = env;
	memset(r->slot_owner, env->cfg->cluster ? REDIS_NO_SERVER : 0, sizeof(r->slot_owner));
	st = stream_create(&r->stream, r);
	if (st == ST_OK)
		st = seeds_add(r);
	if (st != ST_OK) {
		redis_destroy(r);
		return st;
	}
	slots_start(r);
	*out = r;
	return ST_OK;
}

const struct l3_backend l3_backend_redis = {
        .name = "redis",
        .create = redis_create,
        .destroy = redis_destroy,
        .get = redis_get,
        .put = redis_put,
        .del = redis_del,
        .watch = redis_watch,
        .publish = redis_publish,
        .state = redis_state,
};
