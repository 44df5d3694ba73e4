/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments out: what to send, how much, and the header in front of it. Nagle's algorithm is off: an
 * answer is written in as few pieces as its owner can, so waiting would only cost time. */
#include "dataplane/net/csum.h"
#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp_window.h"

static void output_retry(struct tcp *tcp, struct conn *c)
{
	c->ack_ns = tcp->now_ns + TCP_RETRY_MS * NS_PER_MS;
	conn_arm(tcp, c, c->ack_ns);
}

struct hdr_out {
	uint32_t len; /* with options */
	uint32_t seq;
	uint32_t ack;
	uint16_t wnd;
	uint8_t flags;
};

/* The fixed part, its checksum and urgent pointer zero; returns its sum. It is stored in words, and
 * none of them is read back. */
static inline uint64_t header_write(const struct conn *c, uint8_t *h, const struct hdr_out *o)
{
	uint32_t ports = __builtin_bswap16(c->lport) | (uint32_t)__builtin_bswap16(c->rport) << 16;
	uint32_t seq = __builtin_bswap32(o->seq);
	uint32_t ack = __builtin_bswap32(o->ack);
	uint32_t rest =
	        o->len << 2 | (uint32_t)o->flags << 8 | (uint32_t)__builtin_bswap16(o->wnd) << 16;
	uint64_t word = ports | (uint64_t)seq << 32;
	uint32_t zero = 0;

	memcpy(h, &word, 8);
	word = ack | (uint64_t)rest << 32;
	memcpy(h + 8, &word, 8);
	memcpy(h + 16, &zero, 4);
	return (uint64_t)ports + seq + ack + rest;
}

/* The options of a segment that is no SYN; returns their length, and their sum in *sum. */
static inline uint32_t options_write(const struct tcp *tcp, const struct conn *c, uint8_t *out,
                                     uint32_t text_len, uint64_t *sum)
{
	uint32_t len = 0;

	*sum = 0;
	if (likely(c->flags & CF_TS)) {
		*sum = ts_write(tcp, c, out);
		len = TCP_TS_OPT_LEN;
	}
	if (opt_sack_due(tcp, c)) {
		len += opt_write_sack(tcp, c, out + len, text_len);
		*sum = csum_add(0, out, len);
	}
	return len;
}

/* A packet to write a segment into, and what goes with it to net_send. */
struct frame {
	struct pkt *pkt;
	struct net_seg seg;
};

/* Leaves it to the caller to send it. */
static inline __attribute__((always_inline)) void
segment_write(struct tcp *tcp, struct conn *c, const struct seg_out *o, struct frame *f)
{
	uint32_t text = o->seq; /* number of the first byte of payload */
	struct hdr_out hdr = {.len = TCP_HDR_LEN, .seq = o->seq, .flags = o->flags};
	uint64_t opt_sum;
	uint8_t *h;

	h = f->pkt->data + net_headroom(&c->path);
	if (unlikely(o->flags & TH_SYN)) {
		text++;
		hdr.len += opt_write_syn(tcp, c, h + TCP_HDR_LEN);
		opt_sum = csum_add(0, h + TCP_HDR_LEN, hdr.len - TCP_HDR_LEN);
		hdr.wnd = window_take_syn(tcp, c);
	} else {
		hdr.len += options_write(tcp, c, h + TCP_HDR_LEN, o->len, &opt_sum);
		hdr.wnd = window_take(tcp, c);
	}
	if (unlikely(c->flags & CF_ECN))
		f->seg.ecn = ecn_output(c, o, &hdr.flags);
	/* Bytes that are only lent may still be lost for want of a buffer. */
	hdr.ack = o->flags & TH_ACK ? c->rcv_nxt - c->view_len : 0;
	f->seg.hdr_sum = csum_fold32(header_write(c, h, &hdr) + opt_sum);
	if (o->len > 0) {
		struct seq_run bytes = {text, text + o->len};

		f->seg.payload_sum = tx_gather(tcp, c, h + hdr.len, bytes);
	}
	f->seg.have_sum = !tcp->csum_offload;
	f->seg.tcp_hdr_len = hdr.len;
	f->seg.tcp_len = hdr.len + o->len;
	if (o->flags & TH_ACK) {
		if (unlikely(tcp->dup_conn == c))
			tcp->dup_conn = NULL;
		c->flags &= ~CF_ACK_NOW;
		c->last_ack = c->rcv_nxt - c->view_len;
		c->ack_segs = 0;
		c->ack_ns = 0;
	}
}

bool segment_send(struct tcp *tcp, struct conn *c, const struct seg_out *o)
{
	struct frame f = {.pkt = net_alloc(tcp->net, &c->path)};

	if (unlikely(!f.pkt)) {
		output_retry(tcp, c);
		return false;
	}
	segment_write(tcp, c, o, &f);
	net_send(tcp->net, &c->path, f.pkt, &f.seg);
	return true;
}

/* SEQ of a segment without text. RFC 9293 A.2: what we sent beyond a window that shrank or is shut
 * makes snd_nxt unacceptable to the peer, and it would read neither ACK nor RST. */
static uint32_t bare_seq(const struct conn *c)
{
	uint32_t edge = c->snd_una + c->snd_wnd;

	return unlikely(seq_lt(edge, c->snd_nxt)) && conn_synchronized(c) ? edge : c->snd_nxt;
}

/* A segment without text. What waits for a packet buffer goes on waiting. */
static bool empty_send(struct tcp *tcp, struct conn *c, const struct seg_out *o)
{
	bool fin_waits = (c->flags & (CF_FIN_QUEUED | CF_FIN_SENT)) == CF_FIN_QUEUED;
	uint64_t again_ns = c->ack_ns;

	if (!segment_send(tcp, c, o))
		return false;
	if (fin_waits || conn_tx_end(c) != c->snd_nxt)
		c->ack_ns = again_ns;
	return true;
}

void ack_send(struct tcp *tcp, struct conn *c)
{
	struct seg_out o = {.seq = bare_seq(c), .flags = TH_ACK};

	c->flags |= CF_ACK_NOW; /* stays set when there is no packet buffer */
	empty_send(tcp, c, &o);
}

/* RFC 5961 7: bounded, or the answers themselves could be used for an attack. */
void ack_challenge(struct tcp *tcp, struct conn *c)
{
	if (c->challenge_s != now_s(tcp)) {
		c->challenge_s = now_s(tcp);
		c->challenges = 0;
	}
	if (c->challenges >= TCP_CHALLENGES_PER_S)
		return;
	c->challenges++;
	counter_inc(tcp->ctr, CTR_tcp_challenge);
	ack_send(tcp, c);
}

void reset_send(struct tcp *tcp, struct conn *c)
{
	struct seg_out o = {.seq = bare_seq(c), .flags = TH_RST | TH_ACK};

	counter_inc(tcp->ctr, CTR_tcp_rst_out);
	segment_send(tcp, c, &o);
}

void syn_send(struct tcp *tcp, struct conn *c)
{
	struct seg_out o = {.seq = c->iss, .flags = TH_SYN};

	if (c->state == TCP_SYN_RECEIVED)
		o.flags |= TH_ACK;
	else
		o.len = fast_open_syn_len(tcp, c);
	o.flags |= ecn_syn_flags(tcp, c);
	if (segment_send(tcp, c, &o))
		c->snd_nxt += o.len;
}

/* Accounts for sequence numbers sent for the first time. */
static void sent_new(struct tcp *tcp, struct conn *c, const struct seg_out *o)
{
	c->snd_nxt += o->len;
	if (o->flags & TH_FIN) {
		c->snd_nxt++;
		c->flags |= CF_FIN_SENT;
		c->state = c->state == TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT_1;
	}
	if (c->rtx_ns == 0) {
		if (unlikely(cc_is_large(c)))
			cc_restart(tcp, c);
		rto_start(tcp, c);
	}
	if (!(c->flags & CF_TIMING)) {
		c->flags |= CF_TIMING;
		c->rtt_seq = c->snd_nxt;
		c->rtt_start_ns = tcp->now_ns;
	}
}

/* How many of unsent bytes the peer's window lets into the next segment; 0 also when it is too
 * small to be worth it (RFC 9293 3.8.6.2.1). */
static uint32_t window_allows(const struct conn *c, uint32_t unsent)
{
	int32_t room = (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt);
	uint32_t len = min_u32(unsent, c->mss);

	if (room <= 0)
		return 0;
	if (len <= (uint32_t)room)
		return len;
	len = (uint32_t)room;
	return len >= c->snd_wnd_max / 2 ? len : 0;
}

static bool fin_due(const struct conn *c)
{
	return c->flags & CF_FIN_QUEUED && c->state != TCP_SYN_RECEIVED;
}

/* A full segment may leave, and more is unsent: how much of it in all may go out in one packet that
 * the port cuts. Full segments, and what is behind them when that is the end of the queue. */
static uint32_t super_len(const struct tcp *tcp, const struct conn *c, uint32_t unsent)
{
	uint32_t cwnd = c->cwnd_bytes - min_u32(loss_pipe(c), c->cwnd_bytes);
	uint32_t room = min_u32(c->snd_una + c->snd_wnd - c->snd_nxt, cwnd);
	uint32_t len = min_u32(min_u32(room, tcp->super_bytes), unsent);
	uint32_t mss = c->mss;
	uint32_t more;

	/* CWR is for one segment (RFC 3168 6.1.2), and ports copy the flags. The first segment
	 * after silence may make the window smaller, so it goes ahead. */
	if (mss < TCP_SUPER_LEAST_MSS || c->cc.cwr || (c->rtx_ns == 0 && cc_is_large(c)))
		return mss;
	if (!net_caps(tcp->net)->tx_tso_v6 && !ip_addr_is_v4(&c->path.local))
		return mss;
	if (len < unsent)
		len -= len % mss;
	if (len <= mss)
		return mss;
	more = (len - 1) / mss;
	if (unlikely(c->flags & CF_PACED))
		more = pace_more(tcp, c, more);
	return min_u32(len, (more + 1) * mss);
}

/* New data for the port to cut; false when that does not go, and then it leaves one by one. */
static NOINLINE bool output_super(struct tcp *tcp, struct conn *c, uint32_t unsent)
{
	struct seg_out o = {.seq = c->snd_nxt, .flags = TH_ACK, .fresh = true};
	struct frame f = {0};
	bool timing = c->flags & CF_TIMING;

	o.len = super_len(tcp, c, unsent);
	if (o.len == c->mss)
		return false;
	f.pkt = net_alloc_large(tcp->net, &c->path, c->mss);
	if (!f.pkt)
		return false;
	if (o.len == unsent)
		o.flags |= fin_due(c) ? TH_PSH | TH_FIN : TH_PSH;
	if (unlikely(c->flags & CF_PACED))
		pace_sent(c, o.len - c->mss);
	segment_write(tcp, c, &o, &f);
	net_send_large(tcp->net, &c->path, f.pkt, &f.seg);
	sent_new(tcp, c, &o);
	if (!timing)
		c->rtt_seq = o.seq + c->mss; /* its first segment has an ACK of its own */
	counter_inc(tcp->ctr, CTR_tcp_super);
	counter_add(tcp->ctr, CTR_tcp_super_segs, (o.len + c->mss - 1) / c->mss);
	return true;
}

/* One segment of data not sent before, or with join, several for the port to cut; false when there
 * is nothing to send or no leave to. */
static inline bool output_new(struct tcp *tcp, struct conn *c, bool join)
{
	uint32_t unsent = conn_tx_end(c) - c->snd_nxt;
	bool fin = fin_due(c);
	struct seg_out o = {.seq = c->snd_nxt, .flags = TH_ACK, .fresh = true};

	if (c->flags & CF_FIN_SENT || (unsent == 0 && !fin))
		return false;
	o.len = window_allows(c, unsent);
	if (o.len == 0 && unsent > 0) {
		if (conn_flight(c) == 0 && c->rtx_ns == 0)
			rto_start(tcp, c); /* persist */
		return false;
	}
	/* One segment may always be in flight: no ACK would come to let another go. */
	if (loss_pipe(c) + o.len > c->cwnd_bytes && o.len > 0 && conn_flight(c) > 0) {
		cc_limited(tcp, c);
		return false;
	}
	if (unlikely(c->flags & CF_PACED) && o.len > 0 && !pace_allows(tcp, c, o.len))
		return false;
	if (o.len >= c->mss) {
		if (unlikely(c->pmtu.busy))
			o.len = pmtu_output(tcp, c, o.len);
		if (join && tcp->super_bytes > 0 && o.len < unsent && o.len == c->mss &&
		    output_super(tcp, c, unsent))
			return true;
	}
	if (o.len == unsent)
		o.flags |= fin ? TH_PSH | TH_FIN : TH_PSH;
	if (!segment_send(tcp, c, &o))
		return false;
	sent_new(tcp, c, &o);
	return true;
}

static bool output_again(struct tcp *tcp, struct conn *c, const struct seq_run *run)
{
	uint32_t end = conn_tx_end(c);
	struct seg_out o = {.seq = run->lo, .flags = TH_ACK};
	struct seq_run sent = {.lo = run->lo};

	o.len = min_u32(seq_min(run->hi, end) - run->lo, c->mss);
	/* RFC 9293 3.8.6 (SHLD-16): what a window that shrank still takes. */
	if (unlikely(seq_lt(c->snd_una + c->snd_wnd, o.seq + o.len)) &&
	    seq_lt(o.seq, c->snd_una + c->snd_wnd))
		o.len = c->snd_una + c->snd_wnd - o.seq;
	if (o.seq + o.len == end) {
		o.flags |= TH_PSH;
		if (c->flags & CF_FIN_SENT && seq_lt(end, run->hi))
			o.flags |= TH_FIN;
	}
	if (loss_pipe(c) + o.len > c->cwnd_bytes)
		return false;
	if (!segment_send(tcp, c, &o))
		return false;
	c->flags &= ~CF_TIMING; /* Karn: an ACK of this one says nothing about time */
	sent.hi = o.seq + o.len + (o.flags & TH_FIN ? 1 : 0);
	loss_resent(tcp, c, &sent);
	c->retransmits++;
	counter_inc(tcp->ctr, CTR_tcp_rexmit);
	if (c->rtx_ns == 0)
		rto_start(tcp, c);
	return true;
}

/* RFC 6675 4, NextSeg: what is lost (1), new data (2), the end of what is outstanding (4). What may
 * only be late (3) has its time (RFC 8985). */
static bool output_lossy(struct tcp *tcp, struct conn *c)
{
	uint32_t before = c->snd_nxt;
	struct seq_run run;

	if (!frto_holds(c) && loss_next(c, &run))
		return output_again(tcp, c, &run);
	/* One at a time: each has a time of its own from here on (RFC 8985 5.1). */
	if (output_new(tcp, c, false)) {
		loss_sent_new(tcp, c, before);
		return true;
	}
	if (frto_give_up(c))
		return loss_next(c, &run) && output_again(tcp, c, &run);
	return loss_pipe(c) + c->mss <= c->cwnd_bytes && loss_rescue(tcp, c, &run) &&
	       output_again(tcp, c, &run);
}

static bool output_one(struct tcp *tcp, struct conn *c)
{
	if (unlikely(c->loss != LOSS_NONE))
		return output_lossy(tcp, c);
	return output_new(tcp, c, true);
}

/* A full segment alone, after silence: the peer's window is a segment or two, and an ACK or the
 * rest of them was lost. It is a tail probe with new data (RFC 8985 7.3) or what follows a timeout,
 * and the peer waits for nothing but the ACK, which RFC 5681 4.2 lets a receiver delay but does not
 * ask for. Requests, which are shorter, wait for their answer. */
static bool ack_awaited(const struct tcp *tcp, const struct conn *c)
{
	return c->rcv_nxt - c->last_ack >= c->mss && window_quiet(tcp, c);
}

void output_ack(struct tcp *tcp, struct conn *c)
{
	if (c->flags & CF_ACK_NOW || window_update_due(tcp, c)) {
		ack_send(tcp, c);
		return;
	}
	if (c->ack_segs == 0)
		return;
	if (c->ack_segs == 1 && c->quick == 0 && c->ack_ns == 0 && ack_awaited(tcp, c))
		c->quick = TCP_LOSS_QUICK_ACKS;
	if (c->ack_segs >= 2 || c->quick > 0 || tcp->cfg.delayed_ack_ms == 0) {
		if (c->quick > 0)
			c->quick--;
		ack_send(tcp, c);
	} else if (c->ack_ns == 0) {
		c->ack_ns = tcp->now_ns + tcp->cfg.delayed_ack_ms * NS_PER_MS;
		conn_arm(tcp, c, c->ack_ns);
	}
}

/* Something is not sent yet, or what was sent may be lost. */
static inline bool output_due(const struct conn *c)
{
	return conn_tx_end(c) != c->snd_nxt || c->loss != LOSS_NONE ||
	       (c->flags & (CF_FIN_QUEUED | CF_FIN_SENT)) == CF_FIN_QUEUED;
}

void conn_output(struct tcp *tcp, struct conn *c)
{
	uint32_t before = c->snd_nxt;

	if (unlikely(c->state < TCP_ESTABLISHED) &&
	    !(c->state == TCP_SYN_RECEIVED && c->hs.fast_open & FO_TAKEN))
		return;
	if (c->state != TCP_TIME_WAIT)
		while (output_due(c) && output_one(tcp, c))
			;
	if (c->snd_nxt != before && (conn_flight(c) > c->mss || c->rto_us > TCP_LONG_RTO_US))
		probe_hasten(tcp, c);
	output_ack(tcp, c);
}

void tail_probe(struct tcp *tcp, struct conn *c)
{
	uint32_t before = c->snd_nxt;
	uint32_t cwnd = c->cwnd_bytes;
	struct seq_run last;

	counter_inc(tcp->ctr, CTR_tcp_tail_probe);
	probe_prepare(tcp, c);
	/* The one segment is beyond the congestion window. */
	c->cwnd_bytes = UINT32_MAX;
	if (output_new(tcp, c, false)) {
		loss_sent_new(tcp, c, before);
		c->flags |= CF_PROBED_NEW;
	} else {
		last = (struct seq_run){before - min_u32(c->mss, conn_flight(c)), before};
		output_again(tcp, c, &last);
	}
	c->cwnd_bytes = cwnd;
	c->ls.probe_end = c->snd_nxt;
	c->flags |= CF_PROBED;
}

/* The window is too small to be worth a segment, and stays so. */
static void window_override(struct tcp *tcp, struct conn *c)
{
	uint32_t unsent = conn_tx_end(c) - c->snd_nxt;
	struct seg_out o = {.seq = c->snd_nxt, .flags = TH_ACK | TH_PSH};

	o.len = min_u32(min_u32(unsent, c->snd_wnd), c->mss);
	if (segment_send(tcp, c, &o))
		sent_new(tcp, c, &o);
}

void window_probe(struct tcp *tcp, struct conn *c)
{
	struct seg_out o = {.seq = c->snd_una, .len = 1, .flags = TH_ACK};

	if (c->snd_wnd > 0) {
		window_override(tcp, c);
		return;
	}
	counter_inc(tcp->ctr, CTR_tcp_persist);
	if (c->tx_bytes == 0) {
		/* Only our FIN is outstanding. */
		o.len = 0;
		o.flags |= c->flags & CF_FIN_SENT ? TH_FIN : 0;
	}
	if (!segment_send(tcp, c, &o))
		return;
	c->flags &= ~CF_TIMING;
	if (c->snd_nxt == c->snd_una)
		c->snd_nxt += o.len;
}

/* RFC 9293 3.8.4: an octet before snd_nxt, so that the peer must answer. */
void keepalive_probe(struct tcp *tcp, struct conn *c)
{
	struct seg_out o = {.seq = c->snd_nxt - 1, .flags = TH_ACK};

	counter_inc(tcp->ctr, CTR_tcp_keepalive);
	empty_send(tcp, c, &o);
}
