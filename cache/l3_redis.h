/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the Redis backend (cache/l3_redis*.c) know of each other. From below:
 *
 *   l3_redis_reply.c    commands and answers as bytes: the only file that sees hiredis
 *   l3_redis_addr.c     addresses
 *   l3_redis_conn.c     one connection on the loop: opening, greeting, sending, answers
 *   l3_redis_server.c   one server: its connection, its circuit, commands in order of their answers
 *   l3_redis_slots.c    which server has which slot of a cluster
 *   l3_redis_stream.c   the stream of purges, on a connection of its own
 *   l3_redis.c          the backend: routes commands, follows redirections
 *
 * Everything runs on the loop's thread. What a server sends is hostile. */
#ifndef CACHE_L3_REDIS_H
#define CACHE_L3_REDIS_H

#include "cache/l3_backend.h"

#include <netinet/in.h>
#include <sys/un.h>

#define REDIS_SLOTS       16384u
#define REDIS_SERVERS_MAX 128u
#define REDIS_NO_SERVER   0xffu
#define REDIS_HOPS_MAX    3u

struct redis;
struct rconn;
struct rstream;

/* --- answers (l3_redis_reply.c) --- */

enum reply_kind {
	REPLY_NIL,
	REPLY_STATUS,
	REPLY_ERROR,
	REPLY_INTEGER,
	REPLY_STRING,
	REPLY_ARRAY,
};

struct reply {
	enum reply_kind kind;
	uint32_t count; /* of items */
	int64_t integer;
	struct span text; /* STATUS, ERROR, STRING; ends with a NUL behind it */
	struct reply **items;
};
void reply_free(struct reply *r);
/* Item i of an array if it is of that kind, else NULL; r may be NULL. */
const struct reply *reply_item(const struct reply *r, uint32_t i, enum reply_kind kind);

struct reply_reader;
/* max_bytes: of one answer, with all that it holds. NULL: no memory. */
struct reply_reader *reader_create(uint64_t max_bytes);
void reader_free(struct reply_reader *rd);
enum status reader_feed(struct reply_reader *rd, struct span bytes);
/* ST_OK: *out for the caller to free; ST_AGAIN: none is complete; ST_CORRUPT, ST_TOOBIG: of no use
 * any more. */
enum status reader_next(struct reply_reader *rd, struct reply **out);

/* A command's bytes, for free(); NULL: no memory. */
char *command_format(const struct span *words, uint32_t count, size_t *len);

/* --- addresses (l3_redis_addr.c) --- */

struct raddr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
	char text[112]; /* as it was given, for people */
};
/* "host:port", "[v6]:port" or a path with '/'. A name is looked up, which blocks; numeric: it is
 * refused. ST_INVALID, ST_NOTFOUND; logged. */
enum status raddr_parse(struct raddr *out, const char *text);
/* From numbers only; ST_INVALID. */
enum status raddr_numeric(struct raddr *out, struct span host, int64_t port);
bool raddr_eq(const struct raddr *a, const struct raddr *b);

/* --- a connection (l3_redis_conn.c) --- */

struct rconn_owner {
	void (*opened)(void *arg);                        /* greeted, ready for commands */
	void (*answered)(void *arg, struct reply *reply); /* to be freed by the owner */
	/* The connection is gone, whyever; not called after rconn_close. */
	void (*closed)(void *arg, const char *why);
	void *arg;
};

/* Connects, greets (AUTH, PING), within connect_ms; NULL: no descriptor or no memory. */
struct rconn *rconn_open(struct redis *r, const struct raddr *addr,
                         const struct rconn_owner *owner);
/* Copies; ST_NOMEM. Leaves with rconn_flush: at the end of the loop's round, with all that was
 * queued in it, or when what the kernel is sending has left. */
enum status rconn_queue(struct rconn *c, struct span bytes);
void rconn_flush(struct rconn *c);
void rconn_close(struct rconn *c);

/* --- a server (l3_redis_server.c) --- */

enum command_kind {
	COMMAND_GET,
	COMMAND_SET,
	COMMAND_DEL,
	COMMAND_ASKING,
	COMMAND_SLOTS, /* CLUSTER SLOTS */
	COMMAND_PURGE, /* XADD */
};

struct command {
	struct command *next; /* in the order of answers */
	struct l3_wait *wait; /* COMMAND_GET */
	uint64_t deadline_ns;
	char *text; /* NULL: it cannot be redirected */
	size_t len;
	uint16_t slot;
	uint8_t kind; /* enum command_kind */
	uint8_t hops; /* redirections that it went through */
	bool expired; /* only the place in the order is left */
};

/* The states of its circuit: open, half-open, closed. */
enum server_state { SERVER_DOWN, SERVER_TRYING, SERVER_READY };

struct server {
	struct redis *r;
	struct raddr addr;
	struct rconn *conn;
	struct command *first;
	struct command **end;
	struct loop_timer timeout_timer;
	struct loop_timer retry_timer;
	uint64_t ready_ns;
	uint64_t used_ns;  /* a redirection pointed here */
	uint32_t failures; /* in a row */
	uint32_t tries;    /* without a success since */
	uint8_t state;     /* enum server_state */
	uint8_t index;     /* in redis.servers */
	bool seed;         /* of the configuration: it is never forgotten */
	bool listed;       /* the cluster names it */
};

enum status server_create(struct server **out, struct redis *r, const struct raddr *addr);
/* Its commands end with ST_CLOSED. */
void server_destroy(struct server *s);
/* ST_OK: the command is the server's until its end (redis_ended); else it stays the caller's:
 * ST_CLOSED, ST_NOMEM. */
enum status server_send(struct server *s, struct command *cmd);
/* Opens the circuit. */
void server_down(struct server *s, const char *why);
/* The server failed to do what was asked, once more. */
void server_failed(struct server *s, const char *why);
/* An answer in time and of the right kind: the next failure is the first again. */
void server_did_well(struct server *s);

/* --- slots (l3_redis_slots.c) --- */

/* CRC-16/XMODEM of the key, or of what stands in its first braces (cluster specification). */
uint16_t slot_of_key(struct span key);
void slots_start(struct redis *r);
void slots_stop(struct redis *r);
/* Asks a server for the slots, soon; not more often than a few times a second. */
void slots_refresh(struct redis *r);
/* reply NULL: there was no answer. */
void slots_answered(struct redis *r, const struct server *s, const struct reply *reply);

/* --- the purge stream (l3_redis_stream.c) --- */

enum status stream_create(struct rstream **out, struct redis *r);
void stream_destroy(struct rstream *st);
void stream_watch(struct rstream *st);
void stream_publish(struct rstream *st, struct span record, struct span everything);
void stream_published(struct rstream *st, bool ok);
/* The server of the stream may be another, or is back. */
void stream_kick(struct rstream *st);

/* --- the backend (l3_redis.c) --- */

struct redis {
	const struct l3_env *env;
	struct server *servers[REDIS_SERVERS_MAX]; /* NULL: a free place */
	uint8_t slot_owner[REDIS_SLOTS];           /* index, or REDIS_NO_SERVER */
	uint8_t slot_next[REDIS_SLOTS];            /* the same while an answer is read */
	struct rstream *stream;
	struct loop_timer slots_timer;
	uint64_t slots_asked_ns;
	uint64_t pending_bytes;
	uint32_t conns; /* that the kernel has something of */
	uint32_t in_flight;
	uint32_t turn; /* of whom to ask for the slots */
	bool slots_asked;
	bool closing;
};

/* Until the next try after so many in vain: retry_ms, doubled each time, and a quarter more or
 * less, so that nodes that lost a server together do not come back together. */
uint64_t redis_delay_ns(const struct redis *r, uint32_t tries);
/* The server with this address, made if there is none; NULL: there are too many. */
struct server *redis_server(struct redis *r, const struct raddr *addr);
/* A new command of these words; redirectable keeps its bytes. NULL: no memory. */
struct command *command_new(struct redis *r, enum command_kind kind, const struct span *words,
                            uint32_t count);
void command_free(struct redis *r, struct command *cmd);
/* To the owner of cmd->slot; on failure the caller still has it. */
enum status redis_send(struct redis *r, struct command *cmd);
/* The end of a command that the server has let go: reply, or NULL and why not. */
void redis_ended(struct server *s, struct command *cmd, const struct reply *reply, enum status st);

#endif
