/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments in, in the order of RFC 9293 3.10.7.4, with the checks of RFC 5961 and RFC 7323 at their
 * places. Each function returns the counter that the packet ends in. */
#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp_limit.h"

#define ANSWER_LINES 5u /* of a small answer's chunk */

static void key_read(const struct pkt *pkt, const uint8_t *h, struct conn_key *key)
{
	static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *ip = pkt->data + pkt->l3_off;

	if (pkt->ip_version == 4) {
		memcpy(key->remote.b, v4_prefix, 12);
		memcpy(key->remote.b + 12, ip + 12, 4);
		memcpy(key->local.b, v4_prefix, 12);
		memcpy(key->local.b + 12, ip + 16, 4);
	} else {
		memcpy(key->remote.b, ip + 8, 16);
		memcpy(key->local.b, ip + 24, 16);
	}
	key->rport = get_u16(h);
	key->lport = get_u16(h + 2);
}

static bool seg_read(const struct pkt *pkt, struct seg *s)
{
	const uint8_t *h = pkt->data + pkt->l4_off;
	uint32_t hdr_len = (uint32_t)pkt->payload_off - pkt->l4_off;

	*s = (struct seg){
	        .pkt = pkt,
	        .data = pkt->data + pkt->payload_off,
	        .len = pkt->payload_len,
	        .seq = get_u32(h + 4),
	        .ack = get_u32(h + 8),
	        .wnd = get_u16(h + 14),
	        .flags = h[13],
	};
	return hdr_len == TCP_HDR_LEN || opt_parse(s, h + TCP_HDR_LEN, hdr_len - TCP_HDR_LEN);
}

static_assert(offsetof(struct net_path, vlan) == offsetof(struct net_path, remote_mac) + 6,
              "both in one word");

void path_follow(struct conn *c, const struct pkt *pkt)
{
	uint64_t from;
	uint64_t path;

	memcpy(&from, pkt->data + 6, 8); /* the source, and what is no VLAN tag */
	memcpy(&path, c->path.remote_mac, 8);
	/* A tag is read anew each time: a router may have one address on several VLANs. */
	if (likely((from ^ path) << 16 == 0 && pkt->l3_off == 14 && c->path.vlan == 0))
		return;
	net_path_reply(pkt, &c->path);
}

/* The peer is there. */
static void alive(const struct tcp *tcp, struct conn *c, const struct seg *s)
{
	c->last_rx_ns = tcp->now_ns;
	c->probes = 0;
	path_follow(c, s->pkt);
}

static void heard(const struct tcp *tcp, struct conn *c, const struct seg *s)
{
	alive(tcp, c, s);
	opt_ts_update(tcp, c, s);
}

/* RFC 7323 2.2: the window of a SYN is never scaled. */
static uint32_t seg_window(const struct conn *c, const struct seg *s)
{
	return unlikely(s->syn_wnd) ? s->wnd : s->wnd << c->snd_wscale;
}

void conn_established(struct tcp *tcp, struct conn *c)
{
	if (c->state == TCP_SYN_RECEIVED && c->flags & CF_PASSIVE) {
		half_open_unlink(tcp, c);
		limit_addr_take(tcp, c);
		counter_inc(tcp->ctr, CTR_tcp_accepted);
	}
	c->state = TCP_ESTABLISHED;
	c->flags &= ~CF_SYN_UNACKED;
	/* RFC 6298 5.7, also when a timestamp measured the round trip: a tail probe may then be
	 * sooner, the timeout may not. */
	if (c->hs.syn_resent > 0)
		c->rto_us = TCP_RTO_AFTER_SYN_LOSS_US;
	/* RFC 5681 3.1, but for the first loss as of RFC 6928 2: a lost SYN tells of congestion. */
	if (c->hs.syn_resent > 1)
		c->cwnd_bytes = c->mss;
	c->tries = 0;
	c->rtx_ns = 0;
	keepalive_start(tcp, c);
	if (!(c->hs.fast_open & FO_TAKEN))
		conn_post(tcp, c, TCP_EV_OPEN);
	else if (c->flags & CF_DETACHED)
		orphan_link(tcp, c);
}

/* snd_una moves to s->ack; false when the connection is gone. */
static bool ack_advance(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	bool all = s->ack == c->snd_nxt;
	bool fin = all && c->flags & CF_FIN_SENT;
	uint32_t acked = s->ack - c->snd_una;

	if (unlikely(c->flags & CF_CWND_LIMITED))
		hystart_sample(tcp, c, s);
	rtt_ack(tcp, c, s);
	if (unlikely(c->loss != LOSS_NONE))
		loss_spurious(tcp, c, s);
	loss_ack(tcp, c, s);
	c->snd_una = s->ack;
	tx_acked(tcp, c, acked - (fin ? 1 : 0));
	if (all)
		c->rtx_ns = 0;
	else
		rtx_start(tcp, c); /* RFC 6298 5.3 */
	if (unlikely(c->flags & CF_DETACHED) && c->linger_ns)
		linger_start(tcp, c);
	return !fin || fin_acked(tcp, c);
}

/* RFC 9293 3.10.7.4, fifth: only from a segment that is not older than the last such. The peer's
 * ACKs never go back, so they tell the order first: a segment sent again has an old number and a
 * new window, which counts from the new snd_una. */
static void window_input(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	uint32_t wnd = seg_window(c, s);

	if (!seq_lt(c->snd_wl2, s->ack) && !(c->snd_wl2 == s->ack && seq_le(c->snd_wl1, s->seq)))
		return;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	/* In TIME-WAIT, which this segment may have begun, the timer is for that. */
	if (unlikely(c->snd_wnd == 0 && wnd > 0) && c->state != TCP_TIME_WAIT)
		loss_window_opened(tcp, c);
	c->snd_wnd = wnd;
	c->snd_wnd_max = max_u32(c->snd_wnd_max, wnd);
}

/* Header prediction: the next segment of an established connection with nothing unusual about it.
 */
static bool predicted(const struct conn *c, const struct seg *s)
{
	if (c->state != TCP_ESTABLISHED || (s->flags & ~TH_PSH) != TH_ACK || s->seq != c->rcv_nxt)
		return false;
	if (c->loss != LOSS_NONE || c->dupacks + c->has_runs + s->sack_count + s->uto > 0 || c->rx)
		return false;
	if (c->flags & (CF_FIN_EARLY | CF_DETACHED | CF_ACK_NOW | CF_ECN) &&
	    (c->flags & (CF_FIN_EARLY | CF_DETACHED | CF_ACK_NOW) || ecn_is_marked(s)))
		return false;
	if (c->flags & CF_TS && (!s->has_ts || seq_lt(s->tsval, c->ts_recent)))
		return false;
	if (s->len > c->rcv_adv - c->rcv_nxt || (s->len == 0 && s->ack == c->snd_una))
		return false;
	return s->ack - c->snd_una <= c->snd_nxt - c->snd_una;
}

static void data_taken(struct tcp *tcp, struct conn *c)
{
	if (c->ack_segs < UINT8_MAX)
		c->ack_segs++;
	if (!(c->flags & CF_DETACHED))
		conn_post(tcp, c, TCP_EV_DATA);
}

/* What is due goes out now, or with the owner's answer if it is about to run. */
static void output_soon(struct tcp *tcp, struct conn *c)
{
	if (!(c->flags & (CF_READY | CF_IN_HAND)))
		conn_output(tcp, c);
}

/* Not one ACK for all that came at once, as when nothing is missing: it may be lost too, and the
 * peer, which has sent all that it may, would wait for its timeout. What is only lent has to be
 * taken first. */
static void ack_after_loss(struct tcp *tcp, struct conn *c)
{
	if (c->quick > TCP_QUICK_ACKS && c->flags & CF_READY && c->view_len == 0 &&
	    c->state >= TCP_ESTABLISHED)
		output_ack(tcp, c);
}

static enum counter_id predicted_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	enum counter_id verdict = CTR_rx_tcp;

	heard(tcp, c, s);
	if (s->ack != c->snd_una)
		ack_advance(tcp, c, s); /* no FIN of ours in this state */
	window_input(tcp, c, s);
	if (s->len > 0) {
		uint32_t before = c->rcv_nxt;

		/* What was predicted lies in the window and begins at rcv_nxt. */
		if (likely(c->view_len == 0)) {
			c->view = s->data;
			c->view_len = s->len;
			c->rcv_nxt += s->len;
		} else {
			verdict = rx_take(tcp, c, s);
		}
		if (likely(c->rcv_nxt != before))
			data_taken(tcp, c);
	}
	output_soon(tcp, c);
	return verdict;
}

bool seg_acceptable(const struct conn *c, const struct seg *s)
{
	uint32_t len = s->len + (s->flags & TH_SYN ? 1 : 0) + (s->flags & TH_FIN ? 1 : 0);
	uint32_t wnd = seq_lt(c->rcv_nxt, c->rcv_adv) ? c->rcv_adv - c->rcv_nxt : 0;

	if (s->seq - c->rcv_nxt < wnd || (s->seq == c->rcv_nxt && (len == 0 || wnd > 0)))
		return true;
	return len > 0 && wnd > 0 && s->seq + len - 1 - c->rcv_nxt < wnd;
}

/* The peer repeats its SYN because our SYN-ACK was lost, or it opens at the same time and its
 * SYN-ACK acknowledges ours. Returns true when the segment is done with. */
static bool syn_again(struct tcp *tcp, struct conn *c, struct seg *s)
{
	if (c->state != TCP_SYN_RECEIVED || !(s->flags & TH_SYN) || s->seq != c->irs)
		return false;
	if (!(s->flags & TH_ACK)) {
		path_follow(c, s->pkt);
		ecn_syn_again(c, s);
		syn_send(tcp, c);
		return true;
	}
	if (c->flags & CF_PASSIVE)
		return false;
	s->flags &= (uint8_t)~TH_SYN;
	s->seq++;
	s->syn_wnd = true;
	c->flags |= CF_ACK_NOW;
	return false;
}

/* Bytes that are only lent are not acknowledged, and must not seem to be. */
static void old_note(struct tcp *tcp, const struct conn *c, const struct seg *s)
{
	uint32_t end = seq_min(s->seq + s->len, c->rcv_nxt - c->view_len);

	if (seq_lt(s->seq, end))
		dup_note(tcp, c, (struct seq_run){s->seq, end});
}

static enum counter_id unacceptable_input(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	if (s->flags & TH_RST)
		return CTR_drop_tcp_window;
	/* A keep-alive probe knows as much of the connection as a segment in the window. */
	if (s->seq == c->rcv_nxt - 1 && s->ack - c->snd_una <= conn_flight(c) && s->flags & TH_ACK)
		alive(tcp, c, s); /* RFC 7323 5.3 (R2): its timestamp does not count */
	/* So does data of the last window sent again, and it may be all that comes when our ACKs go
	 * the wrong way. */
	else if (c->rcv_nxt - s->seq <= tcp->cfg.rx_buf_bytes && s->flags & TH_ACK &&
	         s->ack - c->snd_una <= conn_flight(c))
		path_follow(c, s->pkt);
	/* Data sent again must be acknowledged again; for the rest, a bound keeps two confused ends
	 * from answering each other for ever. */
	if (!(s->flags & TH_SYN) && (s->len > 0 || s->flags & TH_FIN)) {
		counter_inc(tcp->ctr, CTR_tcp_dup_in);
		old_note(tcp, c, s);
		ack_send(tcp, c);
	} else {
		ack_challenge(tcp, c);
	}
	/* An old segment with nothing new is normal; one beyond the window is not. */
	return seq_lt(s->seq, c->rcv_nxt) ? CTR_rx_tcp : CTR_drop_tcp_window;
}

static enum counter_id rst_input(struct tcp *tcp, struct conn *c, const struct seg *s)
{
	/* RFC 5961 3.2: only an exact hit resets; others in the window are asked to prove it. */
	if (seq_lt(s->seq, c->rcv_nxt))
		return CTR_drop_tcp_window;
	if (s->seq != c->rcv_nxt) {
		ack_challenge(tcp, c);
		return CTR_drop_tcp_window;
	}
	counter_inc(tcp->ctr, CTR_tcp_rst_in);
	c->end = TCP_END_RESET;
	conn_die(tcp, c);
	return CTR_rx_tcp;
}

/* The segment may go on to its data. */
struct ack_result {
	bool go_on;
	enum counter_id verdict;
};

static struct ack_result ack_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	uint32_t una;
	bool sack_news;
	bool same_wnd;

	if (c->state == TCP_SYN_RECEIVED) {
		/* With fast open there may be more than the SYN. */
		if (s->ack - c->snd_una - 1 >= conn_flight(c)) {
			/* The port brought the peer's second SYN to another core, and the peer
			 * took that one's answer. */
			if (seg_elsewhere(tcp, s))
				return (struct ack_result){false, CTR_rx_passed};
			reset_reply(tcp, s);
			return (struct ack_result){false, CTR_drop_tcp_window};
		}
		/* Others of its address were faster. */
		if (unlikely(c->flags & CF_PASSIVE && limit_addr_full(tcp, &c->path.remote))) {
			conn_reset(tcp, c);
			return (struct ack_result){false, CTR_drop_tcp_address};
		}
		/* A cookie's timestamp holds options and not the time. */
		if (c->flags & CF_TIMING || c->hs.syn_resent > 0)
			rtt_ack(tcp, c, s);
		c->snd_una++;
		conn_established(tcp, c);
		if (conn_flight(c) > 0)
			rto_start(tcp, c);
		c->snd_wl1 = s->seq - 1; /* the first scaled window counts */
	}
	if (!ack_in_range(c, s)) {
		ack_challenge(tcp, c);
		return (struct ack_result){false, CTR_drop_tcp_window};
	}
	una = c->snd_una;
	same_wnd = c->snd_wnd == seg_window(c, s);
	loss_ack_begin(tcp, c);
	sack_news = c->flags & CF_SACK && s->sack_count > 0 && loss_sack_input(tcp, c, s);
	if (unlikely(s->flags & TH_ECE) && c->flags & CF_ECN && seq_le(c->snd_una, s->ack))
		ecn_ack_input(tcp, c, s);
	if (seq_lt(c->snd_una, s->ack)) {
		if (!ack_advance(tcp, c, s))
			return (struct ack_result){false, CTR_rx_tcp};
	} else if (s->ack == c->snd_una && conn_flight(c) > 0) {
		/* RFC 5681 2; with SACK, RFC 6675 2: it must say something new. */
		bool dup = s->len == 0 && !(s->flags & TH_FIN) && same_wnd && c->snd_wnd > 0;

		if (c->flags & CF_SACK ? sack_news : dup)
			loss_dupack(tcp, c);
		if (unlikely(c->flags & CF_PROBED))
			probe_acked(c, s);
	}
	if (c->has_runs || c->loss != LOSS_NONE)
		loss_decide(tcp, c, c->snd_una != una);
	if (!seq_lt(s->ack, c->snd_una))
		window_input(tcp, c, s);
	return (struct ack_result){true, CTR_rx_tcp};
}

static enum counter_id data_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	uint32_t before = c->rcv_nxt;
	bool gap = c->rx && c->rx->ooo_count > 0;
	enum counter_id verdict;

	old_note(tcp, c, s); /* RFC 2883 4.2: also when only a part comes again */
	verdict = rx_take(tcp, c, s);
	if (c->rcv_nxt != before) {
		/* RFC 5681 4.2: a segment that fills a gap is acknowledged at once. */
		if (gap) {
			c->flags |= CF_ACK_NOW;
			c->quick = TCP_LOSS_QUICK_ACKS;
		}
		data_taken(tcp, c);
	} else if (s->len > 0 && (verdict != CTR_drop_tcp_nobuf || s->seq != c->rcv_nxt)) {
		ack_send(tcp, c); /* so is one out of order; the peer counts these */
	}
	return verdict;
}

/* Sixth to eighth: payload and FIN. False in gone when the connection is. */
static enum counter_id text_input(struct tcp *tcp, struct conn *c, struct seg *s, bool *gone)
{
	uint32_t fin = s->seq + s->len;
	enum counter_id verdict = CTR_rx_tcp;

	*gone = false;
	if (c->flags & CF_FIN_RCVD) {
		/* RFC 9293 3.10.7.4, seventh: nothing can follow the peer's FIN, such text is
		 * ignored. */
		if (s->flags & TH_FIN)
			ack_challenge(tcp, c);
		return verdict;
	}
	if (s->len > 0 && c->flags & CF_ECN)
		ecn_data_input(tcp, c, s);
	if (s->len > 0)
		verdict = data_input(tcp, c, s);
	if (s->flags & TH_FIN && !(c->flags & CF_FIN_EARLY)) {
		c->flags |= CF_FIN_EARLY;
		c->rcv_fin = fin;
		/* Data out of order was acknowledged above; RFC 5681 4.2: one ACK a segment. */
		if (s->len == 0 || c->rcv_nxt == fin)
			c->flags |= CF_ACK_NOW;
	}
	/* A FIN cannot be taken back, so the data in front of it must be safe: without a buffer the
	 * peer sends both again. */
	if (c->flags & CF_FIN_EARLY && c->rcv_nxt == c->rcv_fin && rx_keep(tcp, c))
		*gone = !fin_input(tcp, c);
	return verdict;
}

enum counter_id conn_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	struct ack_result ack;
	enum counter_id verdict;
	bool shut = false;
	bool gone;

	if (opt_ts_missing(tcp, c, s))
		return CTR_drop_tcp_no_ts;
	if (opt_paws_reject(tcp, c, s)) {
		old_note(tcp, c, s);
		if (s->len > 0 || s->flags & TH_FIN)
			ack_send(tcp, c);
		else
			ack_challenge(tcp, c);
		return CTR_drop_tcp_paws;
	}
	if (syn_again(tcp, c, s))
		return CTR_rx_tcp;
	if (!seg_acceptable(c, s)) {
		if (s->seq != c->rcv_nxt)
			return unacceptable_input(tcp, c, s);
		/* A probe of our closed window: a RST and the ACK count, data and FIN do not (RFC
		 * 9293 3.10.7.4, MUST-66). */
		shut = true;
		s->len = 0;
		s->flags &= (uint8_t)~TH_FIN;
	}
	if (s->flags & TH_RST)
		return rst_input(tcp, c, s);
	if (s->flags & TH_SYN) {
		ack_challenge(tcp, c); /* RFC 5961 4.2 */
		return CTR_drop_tcp_window;
	}
	if (!(s->flags & TH_ACK)) {
		if (shut)
			ack_challenge(tcp, c);
		return CTR_drop_tcp_window;
	}
	if (shut)
		c->flags |= CF_ACK_NOW;
	ack = ack_input(tcp, c, s);
	if (!ack.go_on)
		return ack.verdict;
	heard(tcp, c, s);
	if (unlikely(s->uto))
		uto_input(tcp, c, s->uto);
	verdict = text_input(tcp, c, s, &gone);
	if (!gone) {
		output_soon(tcp, c);
		ack_after_loss(tcp, c);
	}
	return verdict;
}

enum counter_id syn_text_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	enum counter_id verdict;
	bool gone;

	s->seq++;
	s->flags &= (uint8_t)~TH_SYN;
	verdict = text_input(tcp, c, s, &gone);
	if (!gone)
		output_soon(tcp, c);
	return verdict;
}

/* Of no connection of this core. */
static NOINLINE enum counter_id stranger_input(struct tcp *tcp, struct seg *s,
                                               const struct conn_key *key)
{
	/* Fragments have no ports, so the port's RSS may have brought them to a core that does not
	 * have the connection: a reset would end it. */
	if (s->pkt->flags & PKT_RX_FRAGMENTS)
		return seg_elsewhere(tcp, s) ? CTR_rx_passed : CTR_drop_ip_fragment;
	return listen_input(tcp, s, key);
}

static enum counter_id segment_input(struct tcp *tcp, struct seg *s, const struct conn_key *key,
                                     uint32_t hash)
{
	struct conn *c = conn_lookup(tcp, key, hash);

	if (unlikely(!c))
		return stranger_input(tcp, s, key);
	if (likely(predicted(c, s)))
		return predicted_input(tcp, c, s);
	if (c->state == TCP_SYN_SENT)
		return syn_sent_input(tcp, c, s);
	if (c->state == TCP_TIME_WAIT)
		return time_wait_input(tcp, c, s);
	return conn_input(tcp, c, s);
}

static void packet_input(struct tcp *tcp, struct pkt *pkt, const struct conn_key *key,
                         uint32_t hash)
{
	enum counter_id verdict = CTR_drop_tcp_header;
	struct seg s;

	if (likely(seg_read(pkt, &s)))
		verdict = segment_input(tcp, &s, key, hash);
	if (unlikely(verdict == CTR_rx_passed) && !net_pass(tcp->net, pkt))
		verdict = CTR_drop_tcp_passed;
	counter_inc(tcp->ctr, verdict);
}

void tcp_input(struct tcp *tcp, struct pkt *pkt, uint64_t now_ns)
{
	struct conn_key key;

	tcp->now_ns = now_ns;
	key_read(pkt, pkt->data + pkt->l4_off, &key);
	packet_input(tcp, pkt, &key, conn_hash(tcp, &key));
}

/* The first connection of the bucket is nearly always the one. */
static struct conn *conn_guess(const struct tcp *tcp, uint32_t hash)
{
	uint32_t at = tcp->buckets[conn_bucket(tcp, hash)];

	return at == 0 ? NULL : pool_at(&tcp->conns, at - 1);
}

static void conn_prefetch(const struct conn *c)
{
	const char *lines = (const char *)c;

	for (uint32_t line = 0; line < CONN_HOT_LINES; line++)
		__builtin_prefetch(lines + line * CACHE_LINE, 1);
}

/* What the segment acknowledges is given back, and is taken again for the next answer: where there
 * are many connections, nobody has touched it for long. */
static void answer_prefetch(const struct tcp *tcp, const struct conn *c)
{
	const struct tx_ref *ref;

	if (c->tx_head == TX_REF_NONE)
		return;
	ref = tx_ref_at(tcp, c->tx_head);
	for (uint32_t line = 0; line < ANSWER_LINES && !ref->lent; line++)
		__builtin_prefetch(ref->chunk + line * CACHE_LINE, 1);
}

void tcp_input_burst(struct tcp *tcp, struct pkt *pkts, unsigned n, uint64_t now_ns)
{
	struct conn_key keys[NIC_BURST];
	uint32_t hashes[NIC_BURST];
	struct conn *conns[NIC_BURST];

	assert(n <= NIC_BURST);
	tcp->now_ns = now_ns;
	for (unsigned i = 0; i < n; i++) {
		key_read(&pkts[i], pkts[i].data + pkts[i].l4_off, &keys[i]);
		hashes[i] = conn_hash(tcp, &keys[i]);
		__builtin_prefetch(&tcp->buckets[conn_bucket(tcp, hashes[i])]);
	}
	for (unsigned i = 0; i < n; i++) {
		conns[i] = conn_guess(tcp, hashes[i]);
		if (conns[i] != NULL)
			conn_prefetch(conns[i]);
	}
	for (unsigned i = 0; i < n && n > 1; i++)
		if (conns[i] != NULL && conns[i]->tx_head != TX_REF_NONE)
			__builtin_prefetch(tx_ref_at(tcp, conns[i]->tx_head), 1);
	for (unsigned i = 0; i < n && n > 1; i++)
		if (conns[i] != NULL)
			answer_prefetch(tcp, conns[i]);
	for (unsigned i = 0; i < n; i++)
		packet_input(tcp, &pkts[i], &keys[i], hashes[i]);
	tcp_input_errors(tcp, now_ns);
}
