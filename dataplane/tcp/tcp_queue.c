/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The send queue: descriptors of bytes that are lent or lie in chunks of our own. */
#include "dataplane/net/csum.h"
#include "dataplane/tcp/conn.h"

static bool can_send(const struct conn *c)
{
	if (c->flags & CF_FIN_QUEUED)
		return false;
	return c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
	       c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED;
}

static void wake(struct tcp *tcp, struct conn *c)
{
	if (!(c->flags & CF_IN_HAND))
		conn_post(tcp, c, 0);
}

static void tx_push(struct tcp *tcp, struct conn *c, struct tx_ref *ref)
{
	uint32_t index = pool_index(&tcp->refs, ref);

	ref->next = TX_REF_NONE;
	if (c->tx_tail == TX_REF_NONE) {
		c->tx_head = index;
		c->tx_head_off = 0;
	} else {
		tx_ref_at(tcp, c->tx_tail)->next = index & TX_REF_NONE;
	}
	c->tx_tail = index;
	if (c->tx_cur == TX_REF_NONE) {
		c->tx_cur = index;
		c->tx_cur_off = 0;
	}
}

static void tx_release(struct tcp *tcp, struct tx_ref *ref)
{
	if (ref->lent)
		tcp->env.release(tcp->env.arg, ref->cookie);
	else
		pool_put(&tcp->chunks, ref->chunk);
	pool_put(&tcp->refs, ref);
}

/* Room behind the last own bytes, 0 when the tail is lent. */
static uint32_t tail_room(const struct tcp *tcp, const struct conn *c)
{
	const struct tx_ref *tail;

	if (c->tx_tail == TX_REF_NONE)
		return 0;
	tail = tx_ref_at(tcp, c->tx_tail);
	return tail->lent ? 0 : TCP_TX_CHUNK - tail->len;
}

static uint8_t *tail_end(const struct tcp *tcp, const struct conn *c)
{
	struct tx_ref *tail = tx_ref_at(tcp, c->tx_tail);

	return tail->chunk + tail->len;
}

static bool tx_push_chunk(struct tcp *tcp, struct conn *c, uint8_t *chunk, uint32_t len)
{
	struct tx_ref *ref = pool_get(&tcp->refs);

	if (!ref)
		return false;
	*ref = (struct tx_ref){.data = chunk, .chunk = chunk, .len = len};
	tx_push(tcp, c, ref);
	return true;
}

char *tcp_tx_reserve(struct tcp *tcp, struct conn *c, size_t want, size_t *room)
{
	uint32_t tail = tail_room(tcp, c);

	*room = 0;
	if (tcp->reserved_chunk) {
		pool_put(&tcp->chunks, tcp->reserved_chunk);
		tcp->reserved_chunk = NULL;
	}
	tcp->reserved_by = NULL;
	if (!can_send(c) || c->tx_bytes + TCP_TX_CHUNK > TCP_MAX_QUEUED)
		return NULL;
	if (tail > 0 && tail >= want) {
		tcp->reserved_by = c;
		*room = tail;
		return (char *)tail_end(tcp, c);
	}
	if (pool_available(&tcp->refs) == 0)
		return NULL;
	tcp->reserved_chunk = pool_get(&tcp->chunks);
	if (!tcp->reserved_chunk)
		return NULL;
	tcp->reserved_by = c;
	*room = TCP_TX_CHUNK;
	return (char *)tcp->reserved_chunk;
}

void tcp_tx_commit(struct tcp *tcp, struct conn *c, size_t n)
{
	uint8_t *chunk = tcp->reserved_chunk;

	assert(tcp->reserved_by == c && n <= TCP_TX_CHUNK);
	tcp->reserved_by = NULL;
	tcp->reserved_chunk = NULL;
	if (chunk && (n == 0 || !tx_push_chunk(tcp, c, chunk, (uint32_t)n))) {
		pool_put(&tcp->chunks, chunk);
		return;
	}
	if (!chunk) {
		assert(n <= tail_room(tcp, c));
		tx_ref_at(tcp, c->tx_tail)->len += (uint32_t)n;
	}
	c->tx_bytes += (uint32_t)n;
	wake(tcp, c);
}

enum status tcp_tx_copy(struct tcp *tcp, struct conn *c, const void *data, size_t len)
{
	const uint8_t *from = data;
	uint32_t tail = tail_room(tcp, c);
	uint32_t left;
	uint32_t n;

	if (!can_send(c))
		return ST_CLOSED;
	if (len > TCP_MAX_QUEUED - c->tx_bytes)
		return ST_FULL;
	left = (uint32_t)len;
	n = left > tail ? (left - tail + TCP_TX_CHUNK - 1) / TCP_TX_CHUNK : 0;
	if (pool_available(&tcp->chunks) < n || pool_available(&tcp->refs) < n)
		return ST_FULL;
	n = min_u32(left, tail);
	if (n > 0) {
		memcpy(tail_end(tcp, c), from, n);
		tx_ref_at(tcp, c->tx_tail)->len += n;
	}
	for (from += n, left -= n; left > 0; from += n, left -= n) {
		uint8_t *chunk = pool_get(&tcp->chunks);

		n = min_u32(left, TCP_TX_CHUNK);
		memcpy(chunk, from, n);
		tx_push_chunk(tcp, c, chunk, n);
	}
	c->tx_bytes += (uint32_t)len;
	wake(tcp, c);
	return ST_OK;
}

enum status tcp_tx_ref(struct tcp *tcp, struct conn *c, const void *data, uint32_t len,
                       uint64_t cookie)
{
	struct tx_ref *ref;

	if (len == 0)
		return ST_INVALID;
	if (!can_send(c))
		return ST_CLOSED;
	if (len > TCP_MAX_QUEUED - c->tx_bytes)
		return ST_FULL;
	ref = pool_get(&tcp->refs);
	if (!ref)
		return ST_FULL;
	*ref = (struct tx_ref){.data = data, .cookie = cookie, .len = len, .lent = 1};
	tx_push(tcp, c, ref);
	c->tx_bytes += len;
	wake(tcp, c);
	return ST_OK;
}

uint32_t tcp_tx_queued(const struct conn *c)
{
	return c->tx_bytes;
}

void tcp_tx_want_room(struct conn *c, uint32_t low_bytes)
{
	c->room_low = low_bytes;
	c->flags |= CF_WANT_ROOM;
}

/* Drops n acknowledged bytes from the head. */
void tx_acked(struct tcp *tcp, struct conn *c, uint32_t n)
{
	assert(n <= c->tx_bytes);
	c->tx_bytes -= n;
	n += c->tx_head_off;
	while (n > 0) {
		uint32_t index = c->tx_head;
		struct tx_ref *ref = tx_ref_at(tcp, index);

		if (n < ref->len)
			break;
		n -= ref->len;
		c->tx_head = ref->next;
		if (c->tx_cur == index) {
			c->tx_cur = ref->next;
			c->tx_cur_off = 0;
		}
		if (c->tx_tail == index)
			c->tx_tail = TX_REF_NONE;
		tx_release(tcp, ref);
	}
	c->tx_head_off = n;
	if (c->flags & CF_WANT_ROOM && c->tx_bytes <= c->room_low) {
		c->flags &= ~CF_WANT_ROOM;
		conn_post(tcp, c, TCP_EV_ROOM);
	}
}

void tx_release_all(struct tcp *tcp, struct conn *c)
{
	uint32_t at = c->tx_head;

	if (tcp->reserved_by == c) {
		if (tcp->reserved_chunk)
			pool_put(&tcp->chunks, tcp->reserved_chunk);
		tcp->reserved_chunk = NULL;
		tcp->reserved_by = NULL;
	}
	while (at != TX_REF_NONE) {
		struct tx_ref *ref = tx_ref_at(tcp, at);

		at = ref->next;
		tx_release(tcp, ref);
	}
	c->tx_head = TX_REF_NONE;
	c->tx_tail = TX_REF_NONE;
	c->tx_cur = TX_REF_NONE;
	c->tx_again = TX_REF_NONE;
	c->tx_head_off = 0;
	c->tx_cur_off = 0;
	c->tx_bytes = 0;
}

static uint32_t sum_join(uint32_t sum, uint32_t part, bool odd)
{
	uint64_t all;

	/* A run that begins at an odd offset sums with its bytes swapped (RFC 1071 2). */
	if (odd) {
		part = (part & 0xffff) + (part >> 16);
		part = (part & 0xffff) + (part >> 16);
		part = __builtin_bswap16((uint16_t)part);
	}
	all = (uint64_t)sum + part;
	return (uint32_t)(all + (all >> 32));
}

/* Where the byte of this number lies: returns its descriptor, and in *off how far into it. What is
 * lost goes out in order, so the search begins where the last one ended; a queue of many small
 * pieces would else be walked from its head for each segment. */
static uint32_t tx_find(const struct tcp *tcp, struct conn *c, uint32_t seq, uint32_t *off)
{
	uint32_t at = c->tx_head;
	uint32_t skip = c->tx_head_off + (seq - c->snd_una);

	if (c->tx_again != TX_REF_NONE && seq_le(c->tx_again_seq, seq)) {
		at = c->tx_again;
		skip = seq - c->tx_again_seq;
	}
	while (skip >= tx_ref_at(tcp, at)->len) {
		skip -= tx_ref_at(tcp, at)->len;
		at = tx_ref_at(tcp, at)->next;
	}
	/* The scoreboard forgets it before the descriptor goes: board_trim. */
	if (c->has_runs) {
		c->tx_again = at;
		c->tx_again_seq = seq - skip;
	}
	*off = skip;
	return at;
}

uint32_t tx_gather(struct tcp *tcp, struct conn *c, uint8_t *dst, struct seq_run bytes)
{
	uint32_t len = bytes.hi - bytes.lo;
	uint32_t at = c->tx_cur;
	uint32_t off = c->tx_cur_off;
	uint32_t done = 0;
	uint32_t sum = 0;

	if (bytes.lo != c->snd_nxt)
		at = tx_find(tcp, c, bytes.lo, &off);
	while (done < len) {
		struct tx_ref *ref = tx_ref_at(tcp, at);
		uint32_t n;

		if (off >= ref->len) {
			off -= ref->len;
			at = ref->next;
			continue;
		}
		n = min_u32(ref->len - off, len - done);
		if (tcp->csum_offload)
			memcpy(dst + done, ref->data + off, n);
		else
			sum = sum_join(sum, csum_copy(dst + done, ref->data + off, n, 0), done & 1);
		done += n;
		off += n;
	}
	if (bytes.lo == c->snd_nxt) {
		c->tx_cur = at;
		c->tx_cur_off = off;
	}
	return sum;
}
