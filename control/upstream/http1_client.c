/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP/1.1 towards an origin (RFC 9112): sends a serialised head and body pieces straight out of
 * the up slabs, reads the response out of the blocks into which the kernel put it. */
#include "control/upstream/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define INTERIM_MAX 16u /* 1xx responses before the final one */
#define HEAD_START  64u /* of a head in pieces: looked at before it is whole */

static struct control *ctl_of(const struct conn *c)
{
	return c->addr->up->all->ctl;
}

/* --- sending --- */

static void inflight_release(struct conn *c)
{
	struct client *cl = &c->client;

	while (cl->inflight != NULL) {
		struct body_piece *p = cl->inflight;

		cl->inflight = p->next;
		link_release(ctl_of(c)->chan, p->core, p->block);
		free(p);
	}
}

/* Forgets the request and the response; no send may be under way. */
void client_reset(struct conn *c)
{
	struct client *cl = &c->client;

	inflight_release(c);
	if (cl->request != NULL)
		request_bytes_unref(cl->request);
	free(cl->head);
	*cl = (struct client){0};
}

static void iov_add(struct client *cl, const void *ptr, size_t len)
{
	assert(cl->msg.msg_iovlen < CLIENT_IOV);
	cl->iov[cl->msg.msg_iovlen++] = (struct iovec){(void *)(uintptr_t)ptr, len};
}

static void iov_add_pieces(struct conn *c)
{
	struct client *cl = &c->client;
	struct exchange *x = c->x;
	struct body_piece **end = &cl->inflight;

	for (uint32_t n = 0; n < CLIENT_PIECES && x->pieces != NULL; n++) {
		struct body_piece *p = x->pieces;

		x->pieces = p->next;
		if (x->pieces == NULL)
			x->pieces_end = &x->pieces;
		p->next = NULL;
		*end = p;
		end = &p->next;
		x->body_consumed = true;
		if (x->chunked) {
			p->frame_len =
			        (uint8_t)snprintf(p->frame, sizeof(p->frame), "%x\r\n", p->len);
			iov_add(cl, p->frame, p->frame_len);
		}
		iov_add(cl, p->ptr, p->len);
		if (x->chunked)
			iov_add(cl, "\r\n", 2);
	}
}

void client_push(struct conn *c)
{
	struct client *cl = &c->client;
	struct exchange *x = c->x;

	if (c->send_op.active || x == NULL || c->state != CONN_BUSY)
		return;
	if (cl->send_broken) {
		exchange_drop_pieces(x);
		return;
	}
	cl->msg = (struct msghdr){.msg_iov = cl->iov};
	if (!cl->head_out) {
		iov_add(cl, cl->request->data, cl->request->len);
		cl->head_out = true;
	}
	if (x->has_body)
		iov_add_pieces(c);
	if (!cl->end_out && (!x->has_body || (x->body_ended && x->pieces == NULL))) {
		if (x->has_body && x->chunked)
			iov_add(cl, "0\r\n\r\n", 5);
		cl->end_out = true;
	}
	/* One piece, as nearly all requests are, needs no list to be copied and checked. */
	if (cl->msg.msg_iovlen == 1)
		loop_send(ctl_of(c)->loop, &c->send_op, c->fd, cl->iov[0].iov_base,
		          cl->iov[0].iov_len);
	else if (cl->msg.msg_iovlen > 1)
		loop_sendmsg(ctl_of(c)->loop, &c->send_op, c->fd, &cl->msg);
}

/* Takes n sent bytes off the front; true when all of it went. */
static bool iov_advance(struct msghdr *msg, size_t n)
{
	while (msg->msg_iovlen > 0 && n >= msg->msg_iov[0].iov_len) {
		n -= msg->msg_iov[0].iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (msg->msg_iovlen == 0)
		return true;
	msg->msg_iov[0].iov_base = (char *)msg->msg_iov[0].iov_base + n;
	msg->msg_iov[0].iov_len -= n;
	return false;
}

void client_sent(struct conn *c, int result)
{
	struct client *cl = &c->client;

	if (result == -EINTR || result == -EAGAIN)
		result = 0;
	if (result < 0) {
		/* An origin may answer and close before it read the whole body (RFC 9112 9.5): what
		 * it said is still to be read. Nothing more is sent. */
		inflight_release(c);
		cl->reusable = false;
		cl->send_broken = true;
		if (c->x != NULL && !cl->got_bytes && cl->sent == 0)
			client_fail(c, EXCHANGE_BROKEN);
		return;
	}
	cl->sent += (uint64_t)result;
	if (!iov_advance(&cl->msg, (size_t)result)) {
		loop_sendmsg(ctl_of(c)->loop, &c->send_op, c->fd, &cl->msg);
		return;
	}
	inflight_release(c);
	if (c->x == NULL)
		return;
	exchange_touch(c->x);
	client_push(c);
}

void client_start(struct conn *c)
{
	client_reset(c);
	c->client.request = c->x->request;
	request_bytes_ref(c->x->request);
	c->stream = false;
	c->addr->requests++;
	c->addr->reused += c->reused;
	client_push(c);
}

/* --- receiving --- */

void client_fail(struct conn *c, enum exchange_fail why)
{
	struct exchange *x = c->x;
	struct client *cl = &c->client;
	/* RFC 9110 9.2.2: again only where a second time does what one time does, or when the
	 * origin cannot have seen the first. Only a pooled connection can have been closed
	 * meanwhile. */
	bool again = why == EXCHANGE_BROKEN && c->reused && !cl->got_bytes && !x->retried &&
	             !x->body_consumed && (x->idempotent || cl->sent == 0);

	c->x = NULL;
	x->conn = NULL;
	if (again)
		c->addr->retries++;
	else
		c->addr->errors++;
	if (why == EXCHANGE_TIMEOUT)
		c->addr->timeouts++;
	conn_close(c);
	if (again)
		pool_retry(x);
	else
		exchange_failed(x, why);
}

static void client_done(struct conn *c)
{
	struct exchange *x = c->x;
	struct client *cl = &c->client;
	bool reuse = cl->reusable && cl->end_out && !c->send_op.active && !cl->send_broken;

	c->x = NULL;
	x->conn = NULL;
	c->short_run = c->stream ? 0 : c->short_run + 1;
	c->stream = false;
	/* The exchange is over for its owner before anybody else gets the connection. */
	exchange_ended(x);
	if (reuse)
		pool_idle(c);
	else
		conn_close(c);
}

static bool keep_alive(const struct http_response_head *h)
{
	if (http_field_has_token(&h->fields, HDR_CONNECTION, SPAN_LIT("close")))
		return false;
	return h->minor >= 1 ||
	       http_field_has_token(&h->fields, HDR_CONNECTION, SPAN_LIT("keep-alive"));
}

/* Chooses how the body is read; false when the framing is no good. */
static bool body_begin(struct conn *c, const struct http_framing *f)
{
	struct client *cl = &c->client;

	switch (f->kind) {
	case HTTP_BODY_NONE:
		cl->phase = CLIENT_DONE;
		return true;
	case HTTP_BODY_LENGTH:
		cl->left = (uint64_t)f->length;
		cl->phase = cl->left > 0 ? CLIENT_LENGTH : CLIENT_DONE;
		return true;
	case HTTP_BODY_CHUNKED:
		cl->phase = CLIENT_CHUNKED;
		return true;
	case HTTP_BODY_CLOSE:
		cl->phase = CLIENT_CLOSE;
		cl->reusable = false;
		return true;
	default:
		return false;
	}
}

/* False: no good. An upgrade (101) was never asked for. */
static bool interim_parsed(struct conn *c, const struct http_response_head *h)
{
	struct exchange *x = c->x;

	if (h->status < 100 || h->status == 101 || ++c->client.interim > INTERIM_MAX)
		return false;
	if (x->ops->interim != NULL)
		x->ops->interim(x, h);
	return true;
}

/* A complete head at buf[0, len); false: no good. Interim responses leave the phase as it is. */
static bool head_parsed(struct conn *c, const char *buf, size_t len)
{
	struct client *cl = &c->client;
	struct exchange *x = c->x;
	struct http_response_head h;
	size_t head_len;

	if (http1_parse_response(buf, len, &h, &head_len) != HTTP_SCAN_DONE || head_len != len)
		return false;
	if (h.status < 200)
		return interim_parsed(c, &h);
	struct exchange_head eh = {
	        .head = &h,
	        .framing = http1_response_framing(&h.fields, h.minor, x->method, h.status),
	        .reused = c->reused,
	};
	cl->reusable = keep_alive(&h);
	if (!body_begin(c, &eh.framing))
		return false;
	exchange_touch(x);
	x->ops->head(x, &eh);
	return true;
}

/* What cannot become a response any more is not waited for: an origin that speaks another protocol
 * first waits for us. A start of some length is sound or not; what is long is read when whole. */
static bool head_may_be(const struct client *cl)
{
	struct http_response_head h;
	size_t head_len;

	return http1_parse_response(cl->head, cl->head_len, &h, &head_len) != HTTP_SCAN_BAD;
}

/* Adds to a head that comes in pieces; returns how many bytes belong to it, 0 when it is too long.
 */
static size_t head_append(struct conn *c, struct span in, bool *complete)
{
	struct client *cl = &c->client;
	uint32_t before = cl->head_len;
	size_t take;
	size_t end;

	if (cl->head == NULL) {
		/* A reload may change the limit; this head keeps the one that it began with. */
		cl->head_limit = ctl_of(c)->config->limits.response_head_bytes;
		cl->head = malloc(cl->head_limit);
	}
	if (cl->head == NULL)
		return 0;
	take = min_size(in.len, cl->head_limit - before);
	memcpy(cl->head + before, in.ptr, take);
	end = http1_head_end(cl->head, before + take, before);
	*complete = end > 0;
	if (end > 0) {
		cl->head_len = (uint32_t)end;
		return end - before;
	}
	cl->head_len = (uint32_t)(before + take);
	if (before < HEAD_START && !head_may_be(cl))
		return 0;
	return cl->head_len < cl->head_limit ? take : 0;
}

/* Returns the bytes used, 0: bad. */
static size_t read_head(struct conn *c, struct span in)
{
	struct client *cl = &c->client;
	uint32_t limit = ctl_of(c)->config->limits.response_head_bytes;
	bool complete = false;
	size_t used;

	if (cl->head_len == 0) {
		used = http1_head_end(in.ptr, in.len, 0);
		if (used > limit)
			return 0;
		if (used > 0)
			return head_parsed(c, in.ptr, used) ? used : 0;
	}
	used = head_append(c, in, &complete);
	if (used == 0 || !complete)
		return used;
	uint32_t len = cl->head_len;
	cl->head_len = 0;
	return head_parsed(c, cl->head, len) ? used : 0;
}

static size_t read_chunked(struct conn *c, uint32_t block, struct span in)
{
	struct exchange *x = c->x;
	struct client *cl = &c->client;
	size_t used = 0;
	struct span data = {0};

	switch (http_chunked_read(&cl->chunked, in.ptr, in.len, &used, &data)) {
	case HTTP_CHUNK_DATA:
		x->ops->body(x, block, data);
		return used;
	case HTTP_CHUNK_MORE:
		return used;
	case HTTP_CHUNK_END:
		cl->phase = CLIENT_DONE;
		return used;
	default:
		return 0;
	}
}

/* One step; returns the bytes used, 0: bad. */
static size_t read_step(struct conn *c, uint32_t block, struct span in)
{
	struct client *cl = &c->client;
	struct exchange *x = c->x;
	size_t n;

	switch (cl->phase) {
	case CLIENT_HEAD:
		return read_head(c, in);
	case CLIENT_LENGTH:
		n = min_u64(in.len, cl->left);
		cl->left -= n;
		if (cl->left == 0)
			cl->phase = CLIENT_DONE;
		x->ops->body(x, block, span_of(in.ptr, n));
		return n;
	case CLIENT_CHUNKED:
		return read_chunked(c, block, in);
	case CLIENT_CLOSE:
		x->ops->body(x, block, in);
		return in.len;
	case CLIENT_DONE:
		break;
	}
	return 0;
}

void client_bytes(struct conn *c, uint32_t block, struct span in)
{
	struct client *cl = &c->client;
	struct exchange *x = c->x;

	/* Security: an answer before the question belongs to what was on this connection before
	 * (RFC 9112 9.2), or says that the origin gives it up. A send is over before its answer can
	 * come; only one with a body may be answered in its middle. */
	if (c->reused && cl->sent == 0 && !x->has_body) {
		client_fail(c, EXCHANGE_BROKEN);
		return;
	}
	cl->got_bytes = true;
	while (in.len > 0 && cl->phase != CLIENT_DONE) {
		size_t n = read_step(c, block, in);

		if (c->x != x)
			return; /* given up by its owner in a callback */
		if (n == 0) {
			client_fail(c, EXCHANGE_BAD);
			return;
		}
		in.ptr += n;
		in.len -= n;
	}
	if (cl->phase == CLIENT_DONE) {
		/* More than the response: this connection is not to be trusted again. */
		if (in.len > 0)
			cl->reusable = false;
		client_done(c);
		return;
	}
	exchange_touch(x);
	c->stream = true;
	x->ops->more(x);
}

void client_eof(struct conn *c)
{
	if (c->x == NULL) {
		conn_close(c); /* idle: the origin's right */
		return;
	}
	if (c->client.phase == CLIENT_CLOSE)
		client_done(c);
	else
		client_fail(c, EXCHANGE_BROKEN);
}
