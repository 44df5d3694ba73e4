/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Received data. In-order data of a packet is lent to the owner; what the owner leaves, and all
 * that comes out of order, goes into the connection's receive buffer, out-of-order data at its
 * final place. The first copy of a byte wins: an overlapping segment never changes what was there.
 */
#include "dataplane/tcp/conn.h"

/* Position of a sequence number at or behind rcv_nxt. */
static uint32_t rx_place(const struct conn *c, uint32_t seq)
{
	return c->rx->off + c->rx_len + (seq - c->rcv_nxt);
}

static bool rx_hold(struct tcp *tcp, struct conn *c)
{
	struct rx_buf *rx;

	if (c->rx)
		return true;
	rx = rx_buf_get(&tcp->rx_mem);
	if (!rx)
		return false;
	if (c->view_len > 0) {
		if (!rx_buf_reserve(&tcp->rx_mem, rx, 0, c->view_len)) {
			rx_buf_put(&tcp->rx_mem, rx);
			return false;
		}
		rx_buf_write(rx, 0, c->view, c->view_len);
	}
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
		rx_buf_put(&tcp->rx_mem, c->rx);
	c->rx = NULL;
	c->rx_len = 0;
	c->view_len = 0;
}

void rx_release_read(struct tcp *tcp, struct conn *c)
{
	if (!c->rx)
		return;
	if (c->rx_len == 0 && c->rx->ooo_count == 0)
		rx_release(tcp, c);
	else
		rx_buf_slide(&tcp->rx_mem, c->rx);
}

struct span rx_piece(const struct conn *c)
{
	uint32_t room = TCP_RX_BLOCK - c->rx->off % TCP_RX_BLOCK;

	if (c->rx_len == 0)
		return (struct span){0};
	return span_of(rx_buf_at(c->rx, c->rx->off), min_u32(c->rx_len, room));
}

static void ooo_remove(struct rx_buf *rx, uint32_t i, uint32_t n)
{
	memmove(&rx->ooo[i], &rx->ooo[i + n], (rx->ooo_count - i - n) * sizeof(rx->ooo[0]));
	rx->ooo_count -= n;
}

/* The first run that ends at or behind seq. */
static uint32_t ooo_find(const struct rx_buf *rx, uint32_t seq)
{
	uint32_t lo = 0;
	uint32_t hi = rx->ooo_count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (seq_lt(rx->ooo[mid].hi, seq))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Run i is the freshest now. */
static void fresh_note(struct rx_buf *rx, uint32_t i)
{
	const struct seq_run *run = &rx->ooo[i];
	uint32_t kept[TCP_MAX_FRESH];
	uint32_t n = 0;

	kept[n++] = run->lo;
	for (uint32_t j = 0; j < rx->fresh_count && n < TCP_MAX_FRESH; j++)
		if (rx->fresh[j] - run->lo >= run->hi - run->lo)
			kept[n++] = rx->fresh[j];
	memcpy(rx->fresh, kept, n * sizeof(kept[0]));
	rx->fresh_count = n;
}

/* Writes [lo, hi) where nothing lies yet; runs from first on may overlap it. Each run that it meets
 * becomes part of its own, so that no run is met twice. */
static void ooo_write(struct conn *c, const struct seg *s, uint32_t first)
{
	struct rx_buf *rx = c->rx;
	uint32_t end = s->seq + s->len;
	uint32_t at = s->seq;

	for (uint32_t i = first; seq_lt(at, end); i++) {
		bool more = i < rx->ooo_count && seq_lt(rx->ooo[i].lo, end);
		uint32_t stop = more ? rx->ooo[i].lo : end;

		if (seq_lt(at, stop))
			rx_buf_write(rx, rx_place(c, at), s->data + (at - s->seq), stop - at);
		at = more ? seq_max(at, rx->ooo[i].hi) : end;
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

/* Blocks for data ahead of rcv_nxt: the first thing that is not given any more. */
static bool ooo_reserve(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	return tcp->rx_mem.level < MEM_NO_OOO && rx_hold(tcp, c) &&
	       rx_buf_reserve(&tcp->rx_mem, c->rx, rx_place(c, s->seq), s->len);
}

/* Data ahead of rcv_nxt. */
static enum counter_id ooo_take(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	struct rx_buf *rx;
	uint32_t lo = s->seq;
	uint32_t hi = s->seq + s->len;
	uint32_t i;
	uint32_t n;

	if (!ooo_reserve(tcp, c, s)) {
		rx_release_read(tcp, c);
		return CTR_drop_tcp_nobuf;
	}
	rx = c->rx;
	i = ooo_find(rx, lo);
	for (n = i; n < rx->ooo_count && seq_le(rx->ooo[n].lo, hi);)
		n++;
	if (n == i && !rx_buf_ooo_room(&tcp->rx_mem, rx))
		return CTR_drop_tcp_ooo;
	if (n > i)
		ooo_note(tcp, c, &rx->ooo[i], s);
	ooo_write(c, s, i);
	if (n == i) {
		memmove(&rx->ooo[i + 1], &rx->ooo[i], (rx->ooo_count - i) * sizeof(rx->ooo[0]));
		rx->ooo_count++;
	} else {
		lo = seq_min(lo, rx->ooo[i].lo);
		hi = seq_max(hi, rx->ooo[n - 1].hi);
		ooo_remove(rx, i, n - i - 1);
	}
	rx->ooo[i] = (struct seq_run){lo, hi};
	fresh_note(rx, i);
	counter_inc(tcp->ctr, CTR_tcp_ooo_in);
	return CTR_rx_tcp;
}

void rx_drop_ooo(struct tcp *tcp, struct conn *c)
{
	if (!c->rx)
		return;
	c->rx->ooo_count = 0;
	c->rx->fresh_count = 0;
	rx_buf_cut(&tcp->rx_mem, c->rx, c->rx->off + c->rx_len);
}

/* Blocks for data at rcv_nxt. When there are none, what this connection holds out of order makes
 * room: RFC 2018 8 allows a receiver without memory to forget what it reported. */
static bool in_order_reserve(struct tcp *tcp, struct conn *c, uint32_t len)
{
	struct rx_buf *rx = c->rx;
	uint32_t end = rx->off + c->rx_len;

	if (rx_buf_reserve(&tcp->rx_mem, rx, end, len))
		return true;
	if (rx->ooo_count > 0)
		counter_inc(tcp->ctr, CTR_shed_rx_ooo);
	rx_drop_ooo(tcp, c);
	return rx_buf_reserve(&tcp->rx_mem, rx, end, len);
}

/* Data at rcv_nxt into the buffer, and what it makes contiguous with it. */
static void rx_append(struct conn *c, const struct seg *s)
{
	struct rx_buf *rx = c->rx;
	const uint8_t *data = s->data;
	uint32_t len = s->len;
	uint32_t gone = 0;

	while (len > 0) {
		uint32_t n = len;
		uint32_t skip;

		if (gone < rx->ooo_count)
			n = min_u32(n, rx->ooo[gone].lo - c->rcv_nxt);
		rx_buf_write(rx, rx_place(c, c->rcv_nxt), data, n);
		c->rcv_nxt += n;
		c->rx_len += n;
		data += n;
		len -= n;
		if (gone == rx->ooo_count || rx->ooo[gone].lo != c->rcv_nxt)
			continue;
		skip = rx->ooo[gone].hi - c->rcv_nxt;
		c->rcv_nxt += skip;
		c->rx_len += skip;
		data += min_u32(len, skip);
		len -= min_u32(len, skip);
		gone++;
	}
	if (gone > 0)
		ooo_remove(rx, 0, gone);
}

/* Cuts off what was received before and what is outside the window that was offered. */
static void rx_trim(const struct conn *c, struct seg *s)
{
	/* The field in the header is rounded up to the window's scale. */
	uint32_t end = seq_max(c->rcv_adv, c->rcv_nxt) + (1u << c->rcv_wscale) - 1;

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
	rx_trim(c, s);
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
	if (!rx_hold(tcp, c) || !in_order_reserve(tcp, c, s->len))
		return CTR_drop_tcp_nobuf;
	rx_append(c, s);
	return CTR_rx_tcp;
}

/* Appends run unless it is among the n blocks already; returns how many there are now. */
static uint32_t block_add(struct seq_run *out, uint32_t n, const struct seq_run *run)
{
	for (uint32_t k = 0; k < n; k++)
		if (out[k].lo == run->lo)
			return n;
	out[n] = *run;
	return n + 1;
}

/* RFC 2018 4: the first block holds the segment that caused this ACK, the others follow by age; as
 * many as there is room for, also when the fresh ones have all become data in order. */
uint32_t rx_sack_blocks(const struct conn *c, struct seq_run *out, uint32_t max)
{
	const struct rx_buf *rx = c->rx;
	uint32_t n = 0;

	for (uint32_t j = 0; j < rx->fresh_count && n < max; j++) {
		uint32_t i = ooo_find(rx, rx->fresh[j] + 1);

		/* It may have become data in order since, or one with a fresher. */
		if (i < rx->ooo_count && seq_le(rx->ooo[i].lo, rx->fresh[j]))
			n = block_add(out, n, &rx->ooo[i]);
	}
	for (uint32_t i = 0; i < rx->ooo_count && n < max; i++)
		n = block_add(out, n, &rx->ooo[i]);
	return n;
}
