/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the admin side asks of the cores: queries, drains, new configurations. */
#include "control/chan_internal.h"
#include "control/fetch.h"

#include "cache/object.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void query_end(struct query *q, enum status st, const void *bytes, size_t len)
{
	chan_result_fn cb = q->cb;
	void *arg = q->arg;
	uint64_t n = q->n;

	loop_timer_cancel(q->s->loop, &q->timer);
	q->used = false;
	cb(arg, st, bytes, len, n);
}

static void query_timeout(struct loop_timer *t)
{
	query_end(t->arg, ST_TIMEOUT, NULL, 0);
}

struct query *query_new(struct chan_server *s, chan_result_fn cb, void *arg, uint64_t wait_ns)
{
	for (uint32_t i = 0; i < QUERIES_MAX; i++) {
		struct query *q = &s->queries[i];

		if (q->used)
			continue;
		*q = (struct query){
		        .s = s,
		        .used = true,
		        .slot = (uint16_t)i,
		        .seq = ++s->query_seq,
		        .cb = cb,
		        .arg = arg,
		        .timer = {.fn = query_timeout, .arg = q},
		};
		loop_timer_set(s->loop, &q->timer, loop_now_ns(s->loop) + wait_ns);
		return q;
	}
	return NULL;
}

/* A block with the text in it, with one reference; CHAN_NO_BLOCK when there is no room. */
static uint32_t text_block(struct chan_server *s, struct span text)
{
	uint32_t block;

	if (text.len > s->ch.geo.down_block_bytes)
		return CHAN_NO_BLOCK;
	block = down_get(&s->down);
	if (block != CHAN_NO_BLOCK && text.len > 0)
		memcpy(down_at(&s->down, block), text.ptr, text.len);
	return block;
}

static struct chan_msg query_msg(const struct query *q, enum chan_type type, uint32_t core)
{
	return (struct chan_msg){
	        .type = (uint8_t)type,
	        .block = CHAN_NO_BLOCK,
	        .ticket = {.epoch = q->s->epoch,
	                   .core = (uint16_t)core,
	                   .slot = q->slot,
	                   .seq = q->seq},
	};
}

void chan_server_query(struct chan_server *s, uint32_t core, enum chan_query kind, uint64_t cursor,
                       uint32_t max, struct span key, chan_result_fn cb, void *arg)
{
	struct query *q;
	uint32_t block = CHAN_NO_BLOCK;

	if (s->state != LINK_SERVING || core >= s->cores) {
		cb(arg, s->state != LINK_SERVING ? ST_CLOSED : ST_INVALID, NULL, 0, 0);
		return;
	}
	if (kind == CHAN_QUERY_CACHE_GET) {
		block = text_block(s, key);
		if (block == CHAN_NO_BLOCK) {
			cb(arg, ST_FULL, NULL, 0, 0);
			return;
		}
	}
	q = query_new(s, cb, arg, QUERY_WAIT_NS);
	if (q == NULL) {
		if (block != CHAN_NO_BLOCK)
			down_unref(&s->down, block);
		cb(arg, ST_FULL, NULL, 0, 0);
		return;
	}
	q->waiting = 1ull << core;
	struct chan_msg m = query_msg(q, CHAN_QUERY, core);
	m.code = (uint16_t)kind;
	m.n = cursor;
	m.len = kind == CHAN_QUERY_CACHE_GET ? (uint32_t)key.len : max;
	m.block = block;
	/* Without room its time runs out, and the asker hears that. */
	(void)link_queue(s, core, &m);
	if (block != CHAN_NO_BLOCK)
		down_unref(&s->down, block);
}

void query_result(struct chan_server *s, const struct chan_msg *m, const void *bytes)
{
	uint64_t bit = 1ull << m->ticket.core;
	struct query *q;

	if (m->ticket.slot >= QUERIES_MAX) {
		s->counts.malformed++;
		return;
	}
	q = &s->queries[m->ticket.slot];
	if (!q->used || q->seq != m->ticket.seq || (q->waiting & bit) == 0) {
		s->counts.late++;
		return;
	}
	q->waiting &= ~bit;
	if (m->code != 0 && !q->purge) { /* no block for the answer */
		query_end(q, ST_FULL, NULL, 0);
		return;
	}
	q->n = q->purge ? q->n + m->n : m->n;
	if (m->code != 0) /* the core had no block to answer in */
		query_end(q, ST_FULL, NULL, 0);
	else if (q->waiting == 0)
		query_end(q, ST_OK, bytes, bytes != NULL ? m->len : 0);
}

void queries_fail(struct chan_server *s, enum status st)
{
	for (uint32_t i = 0; i < QUERIES_MAX; i++)
		if (s->queries[i].used)
			query_end(&s->queries[i], st, NULL, 0);
}

void chan_server_drain(struct chan_server *s, uint32_t deadline_ms)
{
	for (uint32_t c = 0; s->state == LINK_SERVING && c < s->cores; c++) {
		struct chan_msg m = {
		        .type = CHAN_DRAIN,
		        .ticket = {.epoch = s->epoch, .core = (uint16_t)c},
		        .block = CHAN_NO_BLOCK,
		        .n = deadline_ms,
		};
		(void)link_queue(s, c, &m);
	}
}

/* --- configurations --- */

static void snap_end(struct chan_server *s, enum status st, const char *text)
{
	control_done_fn done = s->snap_done;
	void *arg = s->snap_arg;

	loop_timer_cancel(s->loop, &s->snap_timer);
	s->snap_id = 0;
	s->snap_done = NULL;
	if (done != NULL)
		done(arg, st, text);
}

void snap_fail(struct chan_server *s, enum status st, const char *text)
{
	if (s->snap_done != NULL)
		snap_end(s, st, text);
}

void snap_answer(struct chan_server *s, const struct attach_msg *m)
{
	char text[ATTACH_TEXT_MAX + 64];

	if (s->snap_done == NULL || m->n != s->snap_id)
		return; /* of one that timed out */
	if (m->type == ATTACH_SNAPSHOT_OK) {
		snap_end(s, ST_OK, "");
	} else if (m->type == ATTACH_SNAPSHOT_BAD) {
		snprintf(text, sizeof(text), "the dataplane refuses the configuration: %.*s",
		         (int)ATTACH_TEXT_MAX, m->text);
		snap_end(s, ST_INVALID, text);
	}
}

static void snap_timeout(struct loop_timer *t)
{
	snap_end(t->arg, ST_TIMEOUT, "not every core took the configuration within 5 s");
}

/* A sealed memfd with the snapshot's bytes. */
static int snap_memfd(const struct snapshot *snap)
{
	int fd = memfd_create("sluice-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const char *p = (const char *)snap;
	size_t left = snap->total_bytes;

	while (fd >= 0 && left > 0) {
		ssize_t n = write(fd, p, left);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		p += n;
		left -= (size_t)n;
	}
	if (fd >= 0)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

void chan_server_snapshot(struct chan_server *s, const struct snapshot *snap, control_done_fn done,
                          void *arg)
{
	struct attach_msg m = {
	        .type = ATTACH_SNAPSHOT,
	        .n = snap->id,
	        .len = snap->total_bytes,
	        .epoch = s->epoch,
	        .fd_count = 1,
	};
	enum status st;
	int fd;

	if (s->state != LINK_SERVING) {
		done(arg, ST_CLOSED, "the dataplane is away");
		return;
	}
	if (s->snap_done != NULL) {
		done(arg, ST_EXISTS, "another reload is under way; try again");
		return;
	}
	fd = snap_memfd(snap);
	if (fd < 0) {
		done(arg, ST_NOMEM, "no memory for the snapshot");
		return;
	}
	st = attach_send(s->sock, &m, &fd);
	close(fd);
	if (st != ST_OK) {
		done(arg, st, status_text(st));
		return;
	}
	s->snap_id = snap->id;
	s->snap_done = done;
	s->snap_arg = arg;
	s->snap_timer.fn = snap_timeout;
	loop_timer_set(s->loop, &s->snap_timer, loop_now_ns(s->loop) + SNAP_WAIT_NS);
}

static void push_done(void *arg, enum status st, const char *text)
{
	(void)arg;
	if (st == ST_OK)
		log_info("channel", "the dataplane took this process's configuration over");
	else
		log_error("channel", "the dataplane runs another configuration: %s", text);
}

void chan_server_push_config(struct chan_server *s)
{
	uint64_t now_ns = loop_now_ns(s->loop);

	if (s->state != LINK_SERVING || s->snap_done != NULL)
		return;
	if (s->pushed_epoch == s->epoch && now_ns - s->pushed_ns < PUSH_AGAIN_NS)
		return;
	s->pushed_epoch = s->epoch;
	s->pushed_ns = now_ns;
	chan_server_snapshot(s, s->ctl->snapshot, push_done, NULL);
}
