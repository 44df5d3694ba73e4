/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Received data. In-order data of a packet is lent to the owner; what the owner leaves, and all
 * that comes out of order, goes into the connection's receive buffer, out-of-order data at its
 * final place. The first copy of a byte wins: an overlapping segment never changes what was there.
 */
#include "dataplane/tcp/conn.h"

static bool rx_hold(struct tcp *tcp, struct conn *c)
{
	struct rx_buf *rx;

	if (c->rx)
		return true;
	rx = pool_get(&tcp->rx_bufs);
	if (!rx)
		return false;
	rx->off = 0;
	rx->stamp = 0;
	rx->ooo_count = 0;
	if (c->view_len > 0)
		memcpy(rx->data, c->view, c->view_len);
	c->rx = rx;
	c->rx_len = c->view_len;
	c->view_len = 0;
	return true;
}

bool rx_keep(struct tcp *tcp, struct conn *c)
{
	return c->view_len == 0 || rx_hold(tcp, c);
}

void rx_release(struct tcp *tcp, struct conn *c)
{
	if (c->rx)
		pool_put(&tcp->rx_bufs, c->rx);
	c->rx = NULL;
	c->rx_len = 0;
	c->view_len = 0;
}

void rx_release_if_empty(struct tcp *tcp, struct conn *c)
{
	if (c->rx && c->rx_len == 0 && c->rx->ooo_count == 0)
		rx_release(tcp, c);
}

/* The place of a sequence number at or behind rcv_nxt; moves all to the front when len bytes do not
 * fit behind it. */
static uint8_t *rx_place(const struct tcp *tcp, struct conn *c, uint32_t seq, uint32_t len)
{
	struct rx_buf *rx = c->rx;
	uint32_t at = c->rx_len + (seq - c->rcv_nxt);

	if (rx->off + at + len > tcp->cfg.rx_buf_bytes) {
		uint32_t used = c->rx_len;

		if (rx->ooo_count > 0)
			used += rx->ooo[rx->ooo_count - 1].run.hi - c->rcv_nxt;
		memmove(rx->data, rx->data + rx->off, used);
		rx->off = 0;
	}
	assert(rx->off + at + len <= tcp->cfg.rx_buf_bytes);
	return rx->data + rx->off + at;
}

static void ooo_remove(struct rx_buf *rx, uint32_t i, uint32_t n)
{
	memmove(&rx->ooo[i], &rx->ooo[i + n], (rx->ooo_count - i - n) * sizeof(rx->ooo[0]));
	rx->ooo_count -= n;
}

/* Writes [lo, hi) where nothing lies yet; runs from first on may overlap it. */
static void ooo_write(const struct tcp *tcp, struct conn *c, const struct seg *s, uint32_t first)
{
	struct rx_buf *rx = c->rx;
	uint32_t end = s->seq + s->len;
	uint32_t at = s->seq;

	for (uint32_t i = first; seq_lt(at, end); i++) {
		bool more = i < rx->ooo_count && seq_lt(rx->ooo[i].run.lo, end);
		uint32_t stop = more ? rx->ooo[i].run.lo : end;

		if (seq_lt(at, stop))
			memcpy(rx_place(tcp, c, at, stop - at), s->data + (at - s->seq), stop - at);
		at = more ? seq_max(at, rx->ooo[i].run.hi) : end;
	}
}

/* What of the segment lies in this run already (RFC 2883 4.2: it may be a part). */
static void ooo_note(struct tcp *tcp, const struct conn *c, const struct seq_run *run,
                     const struct seg *s)
{
	struct seq_run dup = {seq_max(s->seq, run->lo), seq_min(s->seq + s->len, run->hi)};

	if (seq_lt(dup.lo, dup.hi))
		dup_note(tcp, c, dup);
}

/* Data ahead of rcv_nxt. */
static enum counter_id ooo_take(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct rx_buf *rx;
	uint32_t lo = s->seq;
	uint32_t hi = s->seq + s->len;
	uint32_t i = 0;
	uint32_t n;

	if (!rx_hold(tcp, c))
		return CTR_drop_tcp_nobuf;
	rx = c->rx;
	while (i < rx->ooo_count && seq_lt(rx->ooo[i].run.hi, lo))
		i++;
	for (n = i; n < rx->ooo_count && seq_le(rx->ooo[n].run.lo, hi);)
		n++;
	if (n == i && rx->ooo_count == TCP_MAX_OOO)
		return CTR_drop_tcp_ooo;
	if (n > i)
		ooo_note(tcp, c, &rx->ooo[i].run, s);
	ooo_write(tcp, c, s, i);
	if (n == i) {
		memmove(&rx->ooo[i + 1], &rx->ooo[i], (rx->ooo_count - i) * sizeof(rx->ooo[0]));
		rx->ooo_count++;
	} else {
		lo = seq_min(lo, rx->ooo[i].run.lo);
		hi = seq_max(hi, rx->ooo[n - 1].run.hi);
		ooo_remove(rx, i, n - i - 1);
	}
	rx->ooo[i].run = (struct seq_run){lo, hi};
	rx->ooo[i].stamp = ++rx->stamp;
	counter_inc(tcp->ctr, CTR_tcp_ooo_in);
	return CTR_rx_tcp;
}

/* Data at rcv_nxt into the buffer, and what it makes contiguous with it. */
static void rx_append(const struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct rx_buf *rx = c->rx;
	const uint8_t *data = s->data;
	uint32_t len = s->len;

	while (len > 0) {
		uint32_t n = len;
		uint32_t skip;

		if (rx->ooo_count > 0)
			n = min_u32(n, rx->ooo[0].run.lo - c->rcv_nxt);
		memcpy(rx_place(tcp, c, c->rcv_nxt, n), data, n);
		c->rcv_nxt += n;
		c->rx_len += n;
		data += n;
		len -= n;
		if (rx->ooo_count == 0 || rx->ooo[0].run.lo != c->rcv_nxt)
			continue;
		skip = rx->ooo[0].run.hi - c->rcv_nxt;
		c->rcv_nxt += skip;
		c->rx_len += skip;
		data += min_u32(len, skip);
		len -= min_u32(len, skip);
		ooo_remove(rx, 0, 1);
	}
}

/* Cuts off what was received before and what is outside the window and the buffer. */
static void rx_trim(const struct tcp *tcp, const struct conn *c, struct seg *s)
{
	uint32_t room = tcp->cfg.rx_buf_bytes - conn_rx_len(c);
	uint32_t end = c->rcv_nxt + room;

	if (seq_lt(s->seq, c->rcv_nxt)) {
		uint32_t old = min_u32(c->rcv_nxt - s->seq, s->len);

		s->data += old;
		s->len -= old;
		s->seq += old;
	}
	if (seq_lt(end, s->seq + s->len)) {
		s->len = seq_lt(s->seq, end) ? end - s->seq : 0;
		s->flags &= (uint8_t)~TH_FIN;
	}
	if (c->flags & CF_FIN_EARLY && seq_lt(c->rcv_fin, s->seq + s->len))
		s->len = seq_lt(s->seq, c->rcv_fin) ? c->rcv_fin - s->seq : 0;
}

enum counter_id rx_take(struct tcp *tcp, struct conn *c, struct seg *s)
{
	if (s->len == 0)
		return CTR_rx_tcp;
	rx_trim(tcp, c, s);
	if (s->len == 0) {
		counter_inc(tcp->ctr, CTR_tcp_dup_in);
		c->flags |= CF_ACK_NOW;
		return CTR_rx_tcp;
	}
	if (c->flags & CF_DETACHED) {
		if (s->seq != c->rcv_nxt)
			return CTR_drop_tcp_ooo;
		c->rcv_nxt += s->len;
		return CTR_rx_tcp;
	}
	if (s->seq != c->rcv_nxt)
		return ooo_take(tcp, c, s);
	if (likely(!c->rx && c->view_len == 0)) {
		c->view = s->data;
		c->view_len = s->len;
		c->rcv_nxt += s->len;
		return CTR_rx_tcp;
	}
	if (!rx_hold(tcp, c))
		return CTR_drop_tcp_nobuf;
	rx_append(tcp, c, s);
	return CTR_rx_tcp;
}

/* RFC 2018 4: the first block holds the segment that caused this ACK, the others follow by age. */
uint32_t rx_sack_blocks(const struct conn *c, struct seq_run *out, uint32_t max)
{
	uint32_t below = UINT32_MAX;
	uint32_t n = 0;

	while (n < max && n < c->rx->ooo_count) {
		uint32_t best = 0;
		uint32_t best_stamp = 0;

		for (uint32_t i = 0; i < c->rx->ooo_count; i++) {
			uint32_t stamp = c->rx->ooo[i].stamp;

			if (stamp < below && stamp > best_stamp) {
				best = i;
				best_stamp = stamp;
			}
		}
		out[n++] = c->rx->ooo[best].run;
		below = best_stamp;
	}
	return n;
}
