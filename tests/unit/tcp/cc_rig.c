/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dataplane/net/csum.h"
#include "tests/unit/tcp/cc_rig.h"

void cc_open(struct cc_rig *r, const struct tcp_config *cfg)
{
	memset(r, 0, sizeof(*r));
	if (cfg)
		r->tcp.cfg = *cfg;
	else
		tcp_config_default(&r->tcp.cfg);
	r->tcp.ctr = &r->ctr;
	r->tcp.now_ns = NS_PER_S;
	timerwheel_init(&r->tcp.wheel, NS_PER_MS, r->tcp.now_ns);
	r->c.state = TCP_ESTABLISHED;
	r->c.mss = CC_MSS;
	r->c.iss = 0xffff0000u; /* so that it wraps soon */
	r->c.snd_una = r->c.iss + 1;
	r->c.snd_nxt = r->c.snd_una;
	r->c.srtt_us = 100000;
	r->c.rto_us = 300000;
	cc_init(&r->tcp, &r->c);
}

void cc_advance(struct cc_rig *r, uint64_t ms)
{
	r->tcp.now_ns += ms * NS_PER_MS;
}

void cc_sent(struct cc_rig *r, uint32_t bytes)
{
	r->c.snd_nxt += bytes;
}

void cc_fill(struct cc_rig *r)
{
	while (conn_flight(&r->c) + r->c.mss <= r->c.cwnd_bytes)
		cc_sent(r, r->c.mss);
	cc_limited(&r->tcp, &r->c);
}

void cc_acked(struct cc_rig *r, uint32_t bytes)
{
	cc_ack(&r->tcp, &r->c, bytes);
	r->c.snd_una += bytes;
}

void cc_round(struct cc_rig *r, uint64_t rtt_ms)
{
	uint32_t acks;
	uint64_t begin = r->tcp.now_ns;

	cc_fill(r);
	acks = (conn_flight(&r->c) + 2 * r->c.mss - 1) / (2 * r->c.mss);
	for (uint32_t i = 1; i <= acks; i++) {
		r->tcp.now_ns = begin + rtt_ms * NS_PER_MS * i / acks;
		cc_acked(r, min_u32(2u * r->c.mss, conn_flight(&r->c)));
		cc_fill(r);
	}
}

void cc_set(struct cc_rig *r, uint32_t cwnd, uint32_t ssthresh)
{
	r->c.cwnd_bytes = cwnd;
	r->c.ssthresh_bytes = ssthresh;
	r->c.cc.phase = CC_AVOIDANCE;
	r->c.cc.cubic = (struct cubic){0};
}

/* Sets CE where the sender is capable; true when it was. */
static bool frame_mark(uint8_t *data)
{
	uint8_t *ip = data + 14;
	uint16_t sum = 0;

	if (get_u16(data + 12) == 0x86dd) {
		if ((ip[1] & 0x30) == 0)
			return false;
		ip[1] |= 0x30;
		return true;
	}
	if ((ip[1] & 3) == 0)
		return false;
	ip[1] |= 3;
	memcpy(ip + 10, &sum, 2);
	sum = csum_fold(csum_add(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
	return true;
}

static bool link_pass(struct rig *rig, uint32_t from, struct rig_passing *frame)
{
	struct cc_link *link = rig->link_arg;
	uint64_t begin = max_u64(link->busy_ns, rig->now_ns);
	uint64_t queued = (begin - rig->now_ns) * link->rate_bps / (8 * NS_PER_S);

	if (from != 0)
		return true;
	if (queued + frame->len > link->queue_bytes) {
		link->drops++;
		return false;
	}
	link->peak_bytes = max_u32(link->peak_bytes, (uint32_t)queued + frame->len);
	if (link->mark_bytes > 0 && queued > link->mark_bytes && frame_mark(frame->data))
		link->marks++;
	link->busy_ns = begin + frame->len * 8ull * NS_PER_S / link->rate_bps;
	link->bytes += frame->len;
	frame->due_ns = link->busy_ns + rig->cfg.delay_ns;
	return true;
}

void cc_link_put(struct rig *rig, struct cc_link *link)
{
	rig->link = link_pass;
	rig->link_arg = link;
}
