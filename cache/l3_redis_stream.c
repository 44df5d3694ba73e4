/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Purges as entries of one Redis stream. Reading has a connection of its own, since it waits in
 * the server (XREAD BLOCK); each round is two commands in one piece:
 *
 *   XREAD COUNT n BLOCK ms STREAMS key last    what came after the last entry that we know
 *   XRANGE key last last COUNT 1               is that entry still there?
 *
 * The stream is trimmed from its old end, so while the last known entry is there, nothing after it
 * is missing. Once it is not, entries may be: that is told as lost, and reading begins anew from
 * the oldest. The first round of all asks XLEN instead: a stream of its full length was trimmed, so
 * what is older than its oldest entry is not known to this node. Until all that was kept is read,
 * the server is not asked to wait (no BLOCK): gets wait for that.
 *
 * Writing goes by the connection for commands, one entry at a time, so that they stay in order;
 * what cannot be written waits, and if that is too much, one purge of everything stands for all. */
#include "cache/l3_redis.h"

#include "lib/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_COUNT     256u
#define BLOCK_MS       1000u
#define WAITING_MAX    4096u    /* purges that wait to be written */
#define WAITING_BYTES  1048576u /* and their bytes */
#define ID_MAX         42u      /* two numbers of 64 bits and a dash */
#define KEY_MAX        272u
#define FROM_THE_START "0-0"

struct waiting {
	struct waiting *next;
	size_t len;
	char record[];
};

struct rstream {
	struct redis *r;
	struct rconn *conn;
	struct reply *batch; /* the first answer of a round, until the second is there */
	struct loop_timer retry_timer;
	struct loop_timer silence_timer;
	struct loop_timer write_timer;
	struct waiting *first;
	struct waiting **end;
	uint64_t waiting_bytes;
	uint32_t waiting_count;
	uint32_t answers;       /* of this round */
	uint32_t tries;         /* to read, without a whole round since */
	uint64_t not_before_ns; /* the next of them */
	char last[ID_MAX];
	char key[KEY_MAX];
	bool watching;
	bool opened;
	bool ready;   /* once all that was kept was read */
	bool writing; /* the first that waits is under way */
};

static struct loop *loop_of(const struct rstream *st)
{
	return st->r->env->loop;
}

static void timer_in(struct rstream *st, struct loop_timer *t, uint64_t ms)
{
	loop_timer_set(loop_of(st), t, loop_now_ns(loop_of(st)) + ms * NS_PER_MS);
}

/* The server of the stream's slot if it takes commands. */
static struct server *server_of(const struct rstream *st)
{
	const struct redis *r = st->r;
	uint16_t slot = r->env->cfg->cluster ? slot_of_key(span_cstr(st->key)) : 0;
	uint8_t owner = r->slot_owner[slot];

	if (owner == REDIS_NO_SERVER || r->servers[owner]->state != SERVER_READY)
		return NULL;
	return r->servers[owner];
}

/* --- reading --- */

static bool at_the_start(const struct rstream *st)
{
	return strcmp(st->last, FROM_THE_START) == 0;
}

static bool queue(struct rstream *st, const struct span *words, uint32_t count)
{
	size_t len;
	char *text = command_format(words, count, &len);
	bool ok = text != NULL && rconn_queue(st->conn, span_of(text, len)) == ST_OK;

	free(text);
	return ok;
}

static void reading_stop(struct rstream *st)
{
	if (st->conn != NULL)
		rconn_close(st->conn);
	st->conn = NULL;
	st->opened = false;
	reply_free(st->batch);
	st->batch = NULL;
	loop_timer_cancel(loop_of(st), &st->silence_timer);
}

static void reading_again(struct rstream *st)
{
	reading_stop(st);
	st->not_before_ns = loop_now_ns(loop_of(st)) + redis_delay_ns(st->r, st->tries++);
	loop_timer_set(loop_of(st), &st->retry_timer, st->not_before_ns);
}

static void round_begin(struct rstream *st)
{
	char count[16];
	char block[16];
	int count_len = snprintf(count, sizeof(count), "%u", READ_COUNT);
	int block_len = snprintf(block, sizeof(block), "%u", BLOCK_MS);
	struct span key = span_cstr(st->key);
	struct span last = span_cstr(st->last);
	const struct span waiting[8] = {
	        SPAN_LIT("XREAD"),
	        SPAN_LIT("COUNT"),
	        span_of(count, (size_t)count_len),
	        SPAN_LIT("BLOCK"),
	        span_of(block, (size_t)block_len),
	        SPAN_LIT("STREAMS"),
	        key,
	        last,
	};
	const struct span at_once[6] = {
	        SPAN_LIT("XREAD"),
	        SPAN_LIT("COUNT"),
	        span_of(count, (size_t)count_len),
	        SPAN_LIT("STREAMS"),
	        key,
	        last,
	};
	const struct span check[6] = {SPAN_LIT("XRANGE"), key,          last, last,
	                              SPAN_LIT("COUNT"),  SPAN_LIT("1")};
	const struct span length[2] = {SPAN_LIT("XLEN"), key};
	bool ok = (st->ready ? queue(st, waiting, 8) : queue(st, at_once, 6)) &&
	          (at_the_start(st) ? queue(st, length, 2) : queue(st, check, 6));

	st->answers = 0;
	if (!ok) {
		reading_again(st);
		return;
	}
	rconn_flush(st->conn);
	timer_in(st, &st->silence_timer,
	         BLOCK_MS + st->r->env->cfg->connect_ms + st->r->env->cfg->timeout_ms);
}

/* [[key, [entry ...]]], or nil when there are none. */
static const struct reply *batch_entries(const struct reply *batch)
{
	return reply_item(reply_item(batch, 0, REPLY_ARRAY), 1, REPLY_ARRAY);
}

/* Entry: [id, [field, value ...]], one field with the record. False: not of that shape. */
static bool entry_take(struct rstream *st, const struct reply *entry)
{
	const struct l3_env *env = st->r->env;
	const struct reply *id = reply_item(entry, 0, REPLY_STRING);
	const struct reply *record = reply_item(reply_item(entry, 1, REPLY_ARRAY), 1, REPLY_STRING);

	if (id == NULL || id->text.len >= sizeof(st->last))
		return false;
	memcpy(st->last, id->text.ptr, id->text.len + 1);
	/* Whoever else writes to the stream: the record is not sound, and counted. */
	env->purge_record(env->owner, record != NULL ? record->text : (struct span){0},
	                  strtoull(st->last, NULL, 10));
	return true;
}

static void tell_lost(struct rstream *st)
{
	const struct l3_env *env = st->r->env;

	log_warn("l3", "purges of other nodes were lost: everything from before now is void");
	snprintf(st->last, sizeof(st->last), FROM_THE_START);
	env->purge_lost(env->owner);
}

/* The first round: how far back the stream goes. */
static void floor_set(struct rstream *st, const struct reply *length)
{
	const struct l3_env *env = st->r->env;
	const struct reply *entries = batch_entries(st->batch);
	const struct reply *id = reply_item(reply_item(entries, 0, REPLY_ARRAY), 0, REPLY_STRING);

	if (length->integer >= env->cfg->purges_kept && id != NULL)
		env->purge_floor(env->owner, strtoull(id->text.ptr, NULL, 10));
}

static bool round_end(struct rstream *st, const struct reply *second)
{
	const struct reply *entries = batch_entries(st->batch);
	bool start = at_the_start(st);

	if (second->kind != (start ? REPLY_INTEGER : REPLY_ARRAY))
		return false;
	if (st->batch->kind != REPLY_NIL && entries == NULL)
		return false;
	if (start) {
		floor_set(st, second);
	} else if (second->count == 0) {
		tell_lost(st);
		return true;
	}
	for (uint32_t i = 0; entries != NULL && i < entries->count; i++)
		if (!entry_take(st, reply_item(entries, i, REPLY_ARRAY)))
			return false;
	if (!st->ready && (entries == NULL || entries->count < READ_COUNT)) {
		st->ready = true;
		st->r->env->purge_ready(st->r->env->owner);
	}
	return true;
}

static void on_opened(void *arg)
{
	struct rstream *st = arg;

	st->opened = true;
	round_begin(st);
}

static void on_answered(void *arg, struct reply *reply)
{
	struct rstream *st = arg;
	bool ok = reply->kind != REPLY_ERROR && st->answers < 2;

	if (!ok && reply->kind == REPLY_ERROR && st->r->env->cfg->cluster)
		slots_refresh(st->r); /* mostly MOVED */
	if (ok && ++st->answers == 1) {
		st->batch = reply;
		return;
	}
	if (ok)
		ok = round_end(st, reply);
	reply_free(reply);
	reply_free(st->batch);
	st->batch = NULL;
	if (ok) {
		st->tries = 0;
		round_begin(st);
	} else {
		st->r->env->counts->errors++;
		reading_again(st);
	}
}

static void on_closed(void *arg, const char *why)
{
	struct rstream *st = arg;

	(void)why; /* the connection for commands tells it */
	st->conn = NULL;
	reading_again(st);
}

static void on_silence(struct loop_timer *t)
{
	struct rstream *st = t->arg;

	st->r->env->counts->timeouts++;
	reading_again(st);
}

static void reading_start(struct rstream *st)
{
	const struct rconn_owner owner = {
	        .opened = on_opened,
	        .answered = on_answered,
	        .closed = on_closed,
	        .arg = st,
	};
	struct server *s = server_of(st);

	if (st->conn != NULL || !st->watching || loop_now_ns(loop_of(st)) < st->not_before_ns)
		return;
	/* Without a server, stream_kick comes when there is one. */
	if (s != NULL) {
		st->conn = rconn_open(st->r, &s->addr, &owner);
		if (st->conn == NULL)
			reading_again(st);
	}
}

static void on_retry(struct loop_timer *t)
{
	reading_start(t->arg);
}

void stream_watch(struct rstream *st)
{
	st->watching = true;
	reading_start(st);
}

/* --- writing --- */

static void waiting_drop(struct rstream *st)
{
	struct waiting *w = st->first;

	st->first = w->next;
	if (st->first == NULL)
		st->end = &st->first;
	st->waiting_bytes -= w->len;
	st->waiting_count--;
	free(w);
}

static void waiting_add(struct rstream *st, struct span record)
{
	struct waiting *w = malloc(sizeof(*w) + record.len);

	if (w == NULL) {
		st->r->env->counts->purges_lost++;
		return;
	}
	w->next = NULL;
	w->len = record.len;
	memcpy(w->record, record.ptr, record.len);
	*st->end = w;
	st->end = &w->next;
	st->waiting_bytes += w->len;
	st->waiting_count++;
}

static void write_next(struct rstream *st)
{
	struct redis *r = st->r;
	char kept[16];
	int kept_len = snprintf(kept, sizeof(kept), "%u", r->env->cfg->purges_kept);
	struct command *cmd;

	if (st->writing || st->first == NULL)
		return;
	const struct span words[8] = {
	        SPAN_LIT("XADD"),
	        span_cstr(st->key),
	        SPAN_LIT("MAXLEN"),
	        SPAN_LIT("~"),
	        span_of(kept, (size_t)kept_len),
	        SPAN_LIT("*"),
	        SPAN_LIT("p"),
	        span_of(st->first->record, st->first->len),
	};
	cmd = command_new(r, COMMAND_PURGE, words, 8);
	if (cmd != NULL) {
		cmd->slot = r->env->cfg->cluster ? slot_of_key(words[1]) : 0;
		st->writing = true;
		if (redis_send(r, cmd) == ST_OK)
			return;
		st->writing = false;
		command_free(r, cmd);
	}
	timer_in(st, &st->write_timer, r->env->cfg->retry_ms);
}

void stream_published(struct rstream *st, bool ok)
{
	if (st == NULL)
		return;
	st->writing = false;
	if (!ok) {
		timer_in(st, &st->write_timer, st->r->env->cfg->retry_ms);
		return;
	}
	st->r->env->counts->purges_sent++;
	waiting_drop(st);
	write_next(st);
}

static void on_write(struct loop_timer *t)
{
	write_next(t->arg);
}

/* The first may be under way: it stays, since its end will drop it. */
static void waiting_replace(struct rstream *st, struct span everything)
{
	struct waiting *keep = NULL;

	if (st->writing) {
		keep = st->first;
		st->first = keep->next;
		if (st->first == NULL)
			st->end = &st->first;
	}
	while (st->first != NULL) {
		waiting_drop(st);
		st->r->env->counts->purges_lost++;
	}
	if (keep != NULL) {
		keep->next = NULL;
		st->first = keep;
		st->end = &keep->next;
	}
	waiting_add(st, everything);
}

void stream_publish(struct rstream *st, struct span record, struct span everything)
{
	if (st->waiting_count >= WAITING_MAX || st->waiting_bytes + record.len > WAITING_BYTES)
		waiting_replace(st, everything);
	else
		waiting_add(st, record);
	write_next(st);
}

void stream_kick(struct rstream *st)
{
	if (st == NULL)
		return;
	write_next(st);
	reading_start(st);
}

/* --- life --- */

enum status stream_create(struct rstream **out, struct redis *r)
{
	struct rstream *st = calloc(1, sizeof(*st));
	int len;

	if (st == NULL)
		return ST_NOMEM;
	st->r = r;
	st->end = &st->first;
	/* No object's key begins with a brace (cache/l3.c). */
	len = snprintf(st->key, sizeof(st->key), "{%s}purges", r->env->cfg->prefix);
	assert(len > 0 && (size_t)len < sizeof(st->key));
	snprintf(st->last, sizeof(st->last), FROM_THE_START);
	st->retry_timer = (struct loop_timer){.fn = on_retry, .arg = st};
	st->silence_timer = (struct loop_timer){.fn = on_silence, .arg = st};
	st->write_timer = (struct loop_timer){.fn = on_write, .arg = st};
	*out = st;
	return ST_OK;
}

void stream_destroy(struct rstream *st)
{
	if (st == NULL)
		return;
	reading_stop(st);
	loop_timer_cancel(loop_of(st), &st->retry_timer);
	loop_timer_cancel(loop_of(st), &st->write_timer);
	st->writing = false;
	while (st->first != NULL)
		waiting_drop(st);
	free(st);
}
