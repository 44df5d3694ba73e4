/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of replies share: reply.c (answers, whole), reply_asked.c (304, 206, 416) and
 * reply_status.c (Cache-Status). Nobody else includes it. */
#ifndef DATAPLANE_REQ_REPLY_PRIVATE_H
#define DATAPLANE_REQ_REPLY_PRIVATE_H

#include "dataplane/http/http_emit.h"
#include "dataplane/path.h"

/* Room for what each head gets besides the stored lines: status, length, age, date, cache status.
 */
#define HEAD_OWN_BYTES (CORE_NAME_BYTES + 288u)
/* A body up to this size is copied behind its head rather than pinned. */
#define INLINE_BODY_BYTES 512u

/* The fields that tell of a hit, as whole lines: reply_put_hit. */
#define HIT_OWN_BYTES                                                                             \
	(sizeof("Content-Length: \r\nAge: \r\n; hit; ttl=-; detail=stale-while-revalidate\r\n") + \
	 3 * HTTP_U64_DIGITS_MAX + CORE_NAME_BYTES)

/* TCP's memory for queued data is out. The request is gone when this returns. */
enum req_next reply_broken(struct core *core, struct req *req);
/* The whole answer is with TCP. */
enum req_next reply_done(struct core *core, struct req *req);
void reply_count(struct core *core, unsigned status);

/* Where the next head is written: a chunk of the send queue, or core->out. Then reply_commit; false
 * when TCP did not take it. */
void reply_begin(struct core *core, struct req *req, size_t need, struct http_out *out);
bool reply_commit(struct core *core, struct req *req, struct http_out *out);
void reply_connection(struct core *core, struct req *req, struct http_out *out);
/* How the body of an answer of control is delimited for this client (RFC 9112 6). */
void reply_framing(struct req *req, const struct object *o, struct http_out *out);
/* Bytes of an object of the hot table: copied, or pinned and lent. */
bool reply_lend(struct core *core, struct req *req, const struct object *o, struct span bytes);
/* An error with a body of its own, and these lines in its head. True: it is with TCP. */
bool reply_problem(struct core *core, struct req *req, unsigned status, struct span lines);

/* Age, and Cache-Status (RFC 9211). head: the message of control that brought o; NULL: it is from
 * the hot table. */
void reply_out_status(struct core *core, struct req *req, struct http_out *out,
                      const struct object *o, const struct chan_msg *head);
char *reply_put_hit(const struct core *core, const struct req *req, char *at,
                    const struct object *o);

/* reply_asked.c: the head of control's answer, for a request with conditions or a range. False: it
 * is to be answered as if it had none. */
bool reply_head_asked(struct core *core, struct req *req, const struct object *o,
                      const struct chan_msg *m);

#endif
