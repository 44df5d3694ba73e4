/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A scripted origin for tests: a thread a connection, blocking calls. What it answers is in the
 * path:
 *
 *   /fixed/N      200, Content-Length N         /chunked/N/C  chunks of C bytes
 *   /closed/N     until close                   /cut/N        Content-Length N, half of it comes
 *   /store/N      as fixed, max-age=60          /storechunk/N as chunked, max-age=60
 *   /nostore/N    as fixed, no-store            /status/N     status N, no body
 *   /slow         nothing ever                  /drop         closes a connection used before
 *   /interim      100, 103, then 200            /garbage      not HTTP
 *   /bighead/N    a field of N bytes            /surplus      more bytes than the response
 *   /echo         the body's length and sum     /early        413 before the body was read
 *   /bytewise/N   as fixed, one byte a write    /heads        the request's head as body
 *   /upgrade      101                           /storehalf/N  half, then waits while stalled
 *   /bye/N        as fixed, then closes unannounced
 *   /closedcut/N  as closed, then a reset     /made           201 with Location: /store/77
 *   /cc/N/TEXT    as fixed, Cache-Control: TEXT ('+' for a comma), ETag "e1"; 304 where it matches
 *   /odd/N        the same with max-age=0, but its 304 names another ETag
 *   /vary/N       max-age=60, Vary: Accept-Language; Content-Language tells what was asked
 *
 * With the gate closed every answer waits until it opens. */
#ifndef FAKE_ORIGIN_H
#define FAKE_ORIGIN_H

#include "lib/base.h"

struct origin;

struct origin *origin_start(void);
void origin_stop(struct origin *o);
uint16_t origin_port(const struct origin *o);
uint32_t origin_requests(const struct origin *o);
/* Answers with 304. */
uint32_t origin_validations(const struct origin *o);
/* From now on every answer is this status; 1: none, the connection is closed; 0: as before. */
void origin_fail(struct origin *o, unsigned status);
uint32_t origin_connections(const struct origin *o);
void origin_gate(struct origin *o, bool open);
/* Reading of request bodies pauses while set. */
void origin_stall(struct origin *o, bool stall);

/* Byte i of every body. */
static inline unsigned char origin_byte(uint64_t i)
{
	return (unsigned char)(i * 31 + (i >> 8) * 7 + 3);
}

#endif
