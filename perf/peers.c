/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/peers.h"

#include "dataplane/net/csum.h"
#include "tests/sim/bytes.h"

#define FRAME   1600u
#define ETH_IP  34u
#define TCP_HDR 32u /* with the timestamp option */

#define FLAG_FIN 1u
#define FLAG_SYN 2u
#define FLAG_RST 4u
#define FLAG_PSH 8u
#define FLAG_ACK 16u

static const uint8_t server_ip[4] = {10, 0, 0, 10};
static const uint8_t client_ip[4] = {10, 0, 0, 2};

static void sums_put(uint8_t *ip, uint32_t tcp_len)
{
	uint8_t pseudo[4] = {0, 6, (uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};
	uint16_t c = csum_fold(csum_add(0, ip, 20));
	uint32_t sum;

	memcpy(ip + 10, &c, 2);
	sum = csum_add(0, ip + 12, 8);
	sum = csum_add(sum, pseudo, 4);
	sum = csum_add(sum, ip + 20, tcp_len);
	c = csum_fold(sum);
	memcpy(ip + 20 + 16, &c, 2);
}

static void segment_send(struct peers *b, struct peer *p, uint32_t flags, struct span data)
{
	static const uint8_t syn_opts[20] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
	                                     0, 1, 0, 0,   0, 0, 1, 3,  3, 7};
	uint8_t f[FRAME] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
	uint32_t opts_len = flags & FLAG_SYN ? sizeof(syn_opts) : TCP_HDR - 20;
	uint32_t tcp_len = (uint32_t)(20 + opts_len + data.len);
	uint8_t *ip = f + 14, *tcp = f + ETH_IP;

	put16(ip + 2, 20 + tcp_len);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, client_ip, 4);
	memcpy(ip + 16, server_ip, 4);
	put16(tcp, p->port);
	put16(tcp + 2, RIG_PORT);
	put32(tcp + 4, p->seq);
	put32(tcp + 8, p->ack);
	tcp[12] = (uint8_t)((20 + opts_len) / 4 << 4);
	tcp[13] = (uint8_t)flags;
	put16(tcp + 14, 65535);
	if (flags & FLAG_SYN) {
		memcpy(tcp + 20, syn_opts, sizeof(syn_opts));
	} else {
		tcp[20] = 1;
		tcp[21] = 1;
		tcp[22] = 8;
		tcp[23] = 10;
		put32(tcp + 24, (uint32_t)(b->rig.now_ns / NS_PER_MS));
		put32(tcp + 28, p->ts_echo);
	}
	if (data.len > 0)
		memcpy(tcp + 20 + opts_len, data.ptr, data.len);
	sums_put(ip, tcp_len);
	p->seq += (uint32_t)data.len + ((flags & (FLAG_SYN | FLAG_FIN)) ? 1 : 0);
	p->unacked = 0;
	if (!nic_sim_inject(b->rig.server_nic, f, ETH_IP + tcp_len))
		b->bad = true;
}

static void syn_input(struct peer *p, const uint8_t *tcp, uint32_t hdr)
{
	p->ack = get32(tcp + 4) + 1;
	p->open = true;
	for (uint32_t i = 20; i + 10 <= hdr; i++)
		if (tcp[i] == 8 && tcp[i + 1] == 10)
			p->ts_echo = get32(tcp + i + 2);
}

static void data_input(struct peers *b, struct peer *p, const uint8_t *bytes, uint32_t len)
{
	b->bytes += len;
	if (p->due == 0) {
		if (memcmp(bytes, "HTTP/1.1 200 OK", 15) != 0)
			b->bad = true;
		p->due = max_u32(b->answer_bytes, len);
	}
	b->bad |= len > p->due;
	p->due -= len;
	if (p->due == 0) {
		p->answers++;
		b->answers++;
	} else if (++p->unacked == 2) {
		peer_ack(b, p, false);
	}
}

/* What the server sends. */
static void frame_input(void *arg, struct rig *rig, bool to_server, const void *frame, uint32_t len)
{
	struct peers *b = arg;
	const uint8_t *f = frame, *tcp = f + ETH_IP;
	uint32_t hdr, data;

	(void)rig;
	if (to_server || len < ETH_IP + 20 || f[12] != 8 || f[13] != 0 || f[23] != 6)
		return;
	struct peer *p = &b->peer[(get16(tcp + 2) - PEERS_PORT_LOW) % PEERS];
	if (p->port != get16(tcp + 2))
		return;
	hdr = (uint32_t)(tcp[12] >> 4) * 4;
	data = get16(f + 16) - 20 - hdr;
	if (tcp[13] & FLAG_SYN) {
		syn_input(p, tcp, hdr);
		return;
	}
	if (hdr >= TCP_HDR)
		p->ts_echo = get32(tcp + 24);
	if (get32(tcp + 4) != p->ack || (tcp[13] & FLAG_RST))
		b->bad = true;
	p->ack += data + (tcp[13] & FLAG_FIN ? 1 : 0);
	p->ended |= tcp[13] & FLAG_FIN;
	if (data > 0)
		data_input(b, p, tcp + hdr, data);
}

/* Within rounds that are counted: not inlined, so that perf/instructions can leave it out.
 * Callgrind turns its counting over where it enters, so nobody else may come this way. */
static NOINLINE void peers_input(void *arg, struct rig *rig, bool to_server, const void *frame,
                                 uint32_t len)
{
	frame_input(arg, rig, to_server, frame, len);
	/* No jump in place of the call. */
	__asm__ volatile("" ::: "memory");
}

/* The same keys in every run, so that connections lie in the same buckets. */
static void same_bytes(void *arg, void *out, size_t len)
{
	uint8_t *bytes = out;

	(void)arg;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 151 + 7);
}

enum status peers_create(struct peers *b, const char *yaml)
{
	return peers_create_shared(b, yaml, NULL);
}

enum status peers_create_shared(struct peers *b, const char *yaml, struct hot_share *share)
{
	enum status st = rig_create_shared(&b->rig, yaml, same_bytes, share);

	if (st != ST_OK)
		return st;
	b->rig.link = frame_input;
	b->rig.link_arg = b;
	return ST_OK;
}

void peers_destroy(struct peers *b)
{
	rig_destroy(&b->rig);
}

void peers_syn(struct peers *b, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct peer *p = &b->peer[(first + i) % PEERS];
		/* A peer keeps its place: the port says which it is. Ports begin anew before they
		 * are out. */
		uint32_t port =
		        p->port == 0 ? PEERS_PORT_LOW + (uint32_t)(p - b->peer) : p->port + PEERS;

		if (port > UINT16_MAX)
			port = PEERS_PORT_LOW + (uint32_t)(p - b->peer);
		*p = (struct peer){.port = (uint16_t)port, .seq = 1000 * port};
		segment_send(b, p, FLAG_SYN, (struct span){0});
	}
}

void peers_open(struct peers *b)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		peers_syn(b, i, 1);
		path_round_idle(b);
		peer_ack(b, &b->peer[i], false);
		path_round_idle(b);
		b->bad |= !b->peer[i].open;
	}
}

void peer_ack(struct peers *b, struct peer *p, bool fin)
{
	segment_send(b, p, FLAG_ACK | (fin ? FLAG_FIN : 0), (struct span){0});
}

void peer_request(struct peers *b, struct peer *p, struct span request)
{
	segment_send(b, p, FLAG_ACK | FLAG_PSH, request);
}

NOINLINE uint64_t path_round(struct peers *b)
{
	uint64_t start;

	b->rig.now_ns += PEERS_STEP_NS;
	b->rig.wall_ns += PEERS_STEP_NS;
	b->rig.link = peers_input;
	start = clock_cycles();
	core_round(b->rig.core, b->rig.now_ns, b->rig.wall_ns);
	start = clock_cycles() - start;
	b->rig.link = frame_input;
	return start;
}

NOINLINE void path_round_idle(struct peers *b)
{
	b->rig.now_ns += PEERS_STEP_NS;
	b->rig.wall_ns += PEERS_STEP_NS;
	core_round(b->rig.core, b->rig.now_ns, b->rig.wall_ns);
}
