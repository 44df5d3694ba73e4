/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/matrix/oracle.h"

/* RFC 9293 3.4: comparisons modulo 2^32. */
static bool less(uint32_t a, uint32_t b)
{
	return a != b && b - a < 0x80000000u;
}

static bool less_eq(uint32_t a, uint32_t b)
{
	return a == b || less(a, b);
}

static uint32_t seg_len(const struct o_seg *s)
{
	return s->len + !!(s->flags & O_SYN) + !!(s->flags & O_FIN);
}

static struct o_verdict nothing(const struct o_tcb *t, const char *rule)
{
	return (struct o_verdict){.reply = O_NONE, .state = t->state, .rule = rule};
}

static struct o_verdict reply_ack(const struct o_tcb *t, enum o_reply kind, const char *rule)
{
	return (struct o_verdict){.reply = kind,
	                          .seq = t->snd_nxt,
	                          .ack = t->rcv_nxt,
	                          .state = t->state,
	                          .rule = rule};
}

static struct o_verdict reply_rst(const struct o_tcb *t, uint32_t seq, const char *rule)
{
	return (struct o_verdict){.reply = O_SEND_RST, .seq = seq, .state = t->state, .rule = rule};
}

static struct o_verdict gone(enum o_state state, const char *rule)
{
	return (struct o_verdict){.reply = O_NONE, .state = state, .rule = rule};
}

/* 3.10.7.1 */
static struct o_verdict closed(const struct o_tcb *t, const struct o_seg *s)
{
	if (s->flags & O_RST)
		return nothing(t, "9293 3.10.7.1: a RST is discarded");
	if (s->flags & O_ACK)
		return reply_rst(t, s->ack, "9293 3.10.7.1: <SEQ=SEG.ACK><CTL=RST>");
	return (struct o_verdict){
	        .reply = O_SEND_RST_ACK,
	        .ack = s->seq + seg_len(s),
	        .state = t->state,
	        .rule = "9293 3.10.7.1: <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"};
}

/* 3.10.7.2 */
static struct o_verdict listen_state(const struct o_tcb *t, const struct o_seg *s)
{
	if (s->flags & O_RST)
		return nothing(t, "9293 3.10.7.2 first: a RST is ignored");
	if (s->flags & O_ACK)
		return reply_rst(t, s->ack, "9293 3.10.7.2 second: <SEQ=SEG.ACK><CTL=RST>");
	if (!(s->flags & O_SYN))
		return nothing(t, "9293 3.10.7.2 fourth: dropped");
	if (s->flags & O_FIN)
		return (struct o_verdict){
		        .reply = O_SEND_RST_ACK,
		        .ack = s->seq + seg_len(s),
		        .state = t->state,
		        .rule = "on purpose, not 9293 3.10.7.2 third: SYN with FIN is reset"};
	return (struct o_verdict){
	        .reply = O_SEND_SYN_ACK,
	        .ack = s->seq + 1, /* its text is sent again by the peer */
	        .state = O_SYN_RECEIVED,
	        .rule = "9293 3.10.7.2 third: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>"};
}

/* 3.10.7.3 */
static struct o_verdict syn_sent(const struct o_tcb *t, const struct o_seg *s)
{
	bool acceptable = s->flags & O_ACK && less(t->iss, s->ack) && less_eq(s->ack, t->snd_nxt);
	struct o_verdict v;

	if (s->flags & O_ACK && !acceptable) {
		if (s->flags & O_RST)
			return nothing(t, "9293 3.10.7.3 first: a RST is dropped");
		return reply_rst(t, s->ack, "9293 3.10.7.3 first: <SEQ=SEG.ACK><CTL=RST>");
	}
	if (s->flags & O_RST) {
		if (acceptable)
			return gone(O_CLOSED, "9293 3.10.7.3 second: connection reset");
		return nothing(t, "9293 3.10.7.3 second: no ACK, dropped");
	}
	if (!(s->flags & O_SYN))
		return nothing(t, "9293 3.10.7.3 fifth: neither SYN nor RST, dropped");
	if (!acceptable)
		return (struct o_verdict){.reply = O_SEND_SYN_ACK,
		                          .seq = t->iss,
		                          .ack = s->seq + 1,
		                          .state = O_SYN_RECEIVED,
		                          .rule = "9293 3.10.7.3 fourth: both opened at once"};
	v = reply_ack(t, O_SEND_ACK, "9293 3.10.7.3 fourth: established; text and FIN follow");
	v.ack = s->seq + seg_len(s);
	v.delivered = s->len;
	v.state = s->flags & O_FIN ? O_CLOSE_WAIT : O_ESTABLISHED;
	return v;
}

/* 3.10.7.4 first */
static bool in_window(const struct o_tcb *t, uint32_t seq)
{
	return seq - t->rcv_nxt < t->rcv_wnd;
}

static bool acceptable(const struct o_tcb *t, const struct o_seg *s)
{
	uint32_t len = seg_len(s);

	if (t->rcv_wnd == 0)
		return len == 0 && s->seq == t->rcv_nxt;
	return in_window(t, s->seq) || (len > 0 && in_window(t, s->seq + len - 1));
}

/* RFC 6191 2 for a SYN in TIME-WAIT. */
static struct o_verdict time_wait_syn(const struct o_tcb *t, const struct o_seg *s)
{
	bool higher = less(t->rcv_nxt - 1, s->seq);
	bool honor = higher;

	if (s->ts && t->ts)
		honor = less(t->ts_recent, s->tsval) || (t->ts_recent == s->tsval && higher);
	else if (s->ts)
		honor = true;
	if (honor)
		return (struct o_verdict){.reply = O_SEND_SYN_ACK,
		                          .ack = s->seq + 1,
		                          .state = O_SYN_RECEIVED,
		                          .rule = "6191 2: a new connection"};
	if (s->ts)
		return nothing(t, "6191 2: dropped silently");
	return reply_ack(t, O_CHALLENGE, "5961 4.2: challenge ACK");
}

/* Second */
static struct o_verdict reset(const struct o_tcb *t, const struct o_seg *s)
{
	if (s->seq != t->rcv_nxt && !in_window(t, s->seq))
		return nothing(t, "5961 3.2 (1): RST outside the window");
	if (s->seq != t->rcv_nxt)
		return reply_ack(t, O_CHALLENGE, "5961 3.2 (3): in the window, challenge ACK");
	if (t->state == O_SYN_RECEIVED && t->passive)
		return gone(O_LISTEN, "9293 3.10.7.4 second: back to LISTEN");
	return gone(O_CLOSED, "5961 3.2 (2): exactly RCV.NXT, reset");
}

/* Seventh and eighth, in the states where the peer may send; t is as after the fifth. */
static struct o_verdict text(struct o_tcb *t, const struct o_seg *s)
{
	uint32_t edge = t->rcv_nxt + t->rcv_wnd;
	uint32_t end = s->seq + s->len;
	bool fin = s->flags & O_FIN;
	struct o_verdict v;

	if (seg_len(s) == 0)
		return nothing(t, "9293 3.10.7.4 fifth: ACK taken");
	if (less(edge, end)) {
		end = edge; /* portions outside the window are trimmed, FIN too */
		fin = false;
	} else if (end == edge) {
		fin = false;
	}
	if (less(t->rcv_nxt, s->seq))
		return reply_ack(t, O_SEND_ACK, "5681 4.2: out of order, ACK at once");
	v = reply_ack(t, O_SEND_ACK, "9293 3.10.7.4 seventh: text delivered");
	v.delivered = less(t->rcv_nxt, end) ? end - t->rcv_nxt : 0;
	v.ack = t->rcv_nxt + v.delivered;
	v.may_delay = v.delivered > 0;
	if (!fin)
		return v;
	v.rule = "9293 3.10.7.4 eighth: FIN";
	v.ack++;
	v.may_delay = false;
	if (t->state == O_ESTABLISHED)
		v.state = O_CLOSE_WAIT;
	else
		v.state = t->state == O_FIN_WAIT_1 ? O_CLOSING : O_TIME_WAIT;
	return v;
}

/* Fifth and what follows. */
static struct o_verdict ack_and_text(const struct o_tcb *tcb, const struct o_seg *s)
{
	struct o_tcb t = *tcb;
	bool all = s->ack == t.snd_nxt;

	if (!(s->flags & O_ACK))
		return nothing(&t, "9293 3.10.7.4 fifth: no ACK, dropped");
	if (t.state == O_SYN_RECEIVED) {
		if (!less(t.snd_una, s->ack) || !less_eq(s->ack, t.snd_nxt))
			return reply_rst(&t, s->ack, "9293 3.10.7.4 fifth: <SEQ=SEG.ACK><CTL=RST>");
		t.state = O_ESTABLISHED;
	}
	if (less(t.snd_nxt, s->ack) || less(s->ack, t.snd_una - t.max_snd_wnd))
		return reply_ack(&t, O_CHALLENGE, "5961 5.2: ACK out of range");
	switch (t.state) {
	case O_FIN_WAIT_1:
		if (all)
			t.state = O_FIN_WAIT_2;
		break;
	case O_CLOSING:
		if (all)
			t.state = O_TIME_WAIT;
		break;
	case O_LAST_ACK:
		if (all)
			return gone(O_CLOSED, "9293 3.10.7.4 fifth: our FIN is acknowledged");
		break;
	default:
		break;
	}
	if (t.state == O_ESTABLISHED || t.state == O_FIN_WAIT_1 || t.state == O_FIN_WAIT_2)
		return text(&t, s);
	if (s->flags & O_FIN)
		return reply_ack(&t, O_SEND_ACK, "9293 3.10.7.4 eighth: a FIN is acknowledged");
	return nothing(&t, "9293 3.10.7.4 seventh: text after FIN is ignored");
}

/* A SYN that is the answer to ours, or the first again; false when it is neither. */
static bool syn_received_syn(const struct o_tcb *t, struct o_seg *s, struct o_verdict *v)
{
	if (t->state != O_SYN_RECEIVED || !(s->flags & O_SYN) || s->flags & O_RST ||
	    s->seq != t->irs)
		return false;
	if (!(s->flags & O_ACK)) {
		/* Not the ACK of the first step: a peer in SYN-SENT would reset for it. */
		*v = (struct o_verdict){.reply = O_SEND_SYN_ACK,
		                        .seq = t->iss,
		                        .ack = t->rcv_nxt,
		                        .state = t->state,
		                        .rule = "9293 3.8.1: the SYN again, so the SYN-ACK again"};
		return true;
	}
	if (t->passive)
		return false;
	s->flags &= (uint8_t)~O_SYN; /* 9293 3.5, figure 7: the SYN-ACK completes it */
	s->seq++;
	*v = ack_and_text(t, s);
	if (v->reply == O_NONE) {
		*v = reply_ack(t, O_SEND_ACK, "9293 3.5, figure 7: established");
		v->state = O_ESTABLISHED;
	}
	v->may_delay = false;
	return true;
}

struct o_verdict oracle(const struct o_tcb *t, const struct o_seg *seg)
{
	struct o_seg s = *seg;
	struct o_verdict v;

	if (t->state == O_CLOSED)
		return closed(t, &s);
	if (t->state == O_LISTEN)
		return listen_state(t, &s);
	if (t->state == O_SYN_SENT)
		return syn_sent(t, &s);
	if (t->state == O_TIME_WAIT && s.flags & O_RST)
		return nothing(t, "1337 3 (F1), not 9293: a RST is ignored");
	if (t->state == O_TIME_WAIT && (s.flags & (O_SYN | O_ACK | O_FIN)) == O_SYN)
		return time_wait_syn(t, &s);
	if (t->ts && !s.ts && !(s.flags & (O_RST | O_SYN)))
		return nothing(t, "7323 3.2: no timestamp, dropped silently");
	if (t->ts && s.ts && !(s.flags & O_RST) && less(s.tsval, t->ts_recent))
		return reply_ack(t, O_SEND_ACK, "7323 5.3 (R1): old timestamp");
	if (syn_received_syn(t, &s, &v))
		return v;
	if (!acceptable(t, &s)) {
		if (s.flags & O_RST && !(t->rcv_wnd == 0 && s.seq == t->rcv_nxt))
			return nothing(t, "5961 3.2 (1): RST outside the window");
		if (t->rcv_wnd == 0 && s.seq == t->rcv_nxt && s.flags & O_RST)
			return reset(t, &s); /* MUST-66 */
		v = reply_ack(t, O_SEND_ACK, "9293 3.10.7.4 first: not acceptable");
		if (t->rcv_wnd == 0 && s.seq == t->rcv_nxt &&
		    (s.flags & (O_ACK | O_SYN)) == O_ACK) {
			/* Zero window: valid ACKs are taken all the same. */
			struct o_seg bare = {O_ACK, s.ts, s.seq, s.ack, 0, s.tsval};
			struct o_verdict a = ack_and_text(t, &bare);

			if (a.reply != O_NONE || a.state == O_CLOSED)
				return a;
			v.state = a.state;
		}
		return v;
	}
	if (s.flags & O_RST)
		return reset(t, &s);
	if (s.flags & O_SYN)
		return reply_ack(t, O_CHALLENGE,
		                 t->state == O_SYN_RECEIVED && t->passive
		                         ? "on purpose, not 9293 3.10.7.4 fourth: challenge ACK"
		                         : "5961 4.2: challenge ACK");
	return ack_and_text(t, &s);
}

const char *oracle_state_name(enum o_state state)
{
	static const char *const names[O_STATES] = {
	        "CLOSED",     "LISTEN",     "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	        "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",  "LAST-ACK",     "TIME-WAIT",
	};

	return state < O_STATES ? names[state] : "?";
}
