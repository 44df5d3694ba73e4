/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/net/frag.h"

#include <stdlib.h>

#include "dataplane/net/net_int.h"

enum {
	BLOCK = 8, /* bytes; offsets count in these */
	LEAST_BYTES = 1500,
	MOST_BYTES = 9216,
	MAP_WORDS = MOST_BYTES / BLOCK / 64, /* one more block than a datagram has */
	V4_TIMEOUT_S = 30, /* RFC 791 3.2 leaves it open; senders have given up by then */
	V6_TIMEOUT_S = 60, /* RFC 8200 4.5 */
	ECN_NOT_ECT = 0,
	ECN_CE = 3,
};

/* What a datagram's fragments have in common (RFC 791 3.2, RFC 8200 4.5). */
struct frag_key {
	uint8_t src[16];
	uint8_t dst[16];
	uint32_t id;
	uint8_t version;
	uint8_t proto; /* IPv4 only */
	uint8_t unused[2];
};

struct frag {
	struct frag_key key;
	uint64_t until_ns;
	uint64_t born; /* counts datagrams */
	uint32_t blocks;
	uint32_t end;   /* behind the last byte that came */
	uint32_t total; /* bytes, 0: the last fragment is not there */
	uint8_t ecns;   /* bit i: a fragment had the codepoint i */
	bool first;     /* offset 0 is there: head and path are valid */
	bool dead;      /* fragments are only dropped */
	struct net_path path;
	uint8_t head[IPV6_HDR_LEN];
	uint64_t map[MAP_WORDS];    /* blocks that are there */
	uint64_t starts[MAP_WORDS]; /* of them, those with which a fragment begins */
	uint8_t *data;
};

struct frag_table {
	uint32_t count;
	uint32_t used;
	uint32_t bytes; /* of a datagram */
	uint64_t born;
	uint32_t *hashes; /* 0: the place is free; else of the key */
	struct frag *frags;
	uint8_t *data;
};

enum status frag_create(struct frag_table **out, uint32_t count, uint32_t mtu)
{
	struct frag_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return ST_NOMEM;
	t->count = count;
	t->bytes =
	        (uint32_t)align_up(min_u32(max_u32(mtu, LEAST_BYTES), MOST_BYTES - BLOCK), BLOCK);
	t->hashes = calloc(count + 1, sizeof(t->hashes[0]));
	t->frags = calloc(count + 1, sizeof(t->frags[0]));
	t->data = calloc(count + 1, t->bytes);
	if (t->hashes == NULL || t->frags == NULL || t->data == NULL) {
		frag_destroy(t);
		return ST_NOMEM;
	}
	for (uint32_t i = 0; i < count; i++)
		t->frags[i].data = t->data + (size_t)i * t->bytes;
	*out = t;
	return ST_OK;
}

void frag_destroy(struct frag_table *t)
{
	if (t == NULL)
		return;
	free(t->hashes);
	free(t->frags);
	free(t->data);
	free(t);
}

static void key_make(struct frag_key *key, const struct pkt *pkt, const struct frag_in *in)
{
	bool v4 = pkt->ip_version == 4;

	memset(key, 0, sizeof(*key));
	memcpy(key->src, in->src, v4 ? 4 : 16);
	memcpy(key->dst, in->dst, v4 ? 4 : 16);
	key->id = in->id;
	key->version = pkt->ip_version;
	key->proto = v4 ? in->proto : 0;
}

/* Only saves comparisons: all places are looked at anyway, so nobody gains from a collision. */
static uint32_t key_hash(const struct frag_key *key)
{
	uint32_t h = key->id * 0x9e3779b1u ^ key->version;

	for (uint32_t i = 0; i < 16; i++)
		h = (h ^ key->src[i]) * 0x01000193u;
	return h | 1;
}

static void frag_free(struct frag_table *t, uint32_t i)
{
	t->hashes[i] = 0;
	t->used--;
}

/* The place of a new datagram: a free one, else that of the oldest. */
static uint32_t place_take(struct net *net, struct frag_table *t)
{
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		if (t->hashes[i] == 0)
			return i;
		if (t->frags[i].born < t->frags[oldest].born)
			oldest = i;
	}
	if (!t->frags[oldest].dead)
		counter_inc(net->ctr, CTR_frag_evicted);
	frag_free(t, oldest);
	return oldest;
}

static uint32_t frag_find(struct net *net, const struct pkt *pkt, const struct frag_in *in,
                          uint64_t now_ns)
{
	struct frag_table *t = net->frags;
	struct frag_key key;
	struct frag *f;
	uint32_t hash;
	uint32_t i;

	key_make(&key, pkt, in);
	hash = key_hash(&key);
	for (i = 0; i < t->count; i++) {
		if (t->hashes[i] == hash && memcmp(&t->frags[i].key, &key, sizeof(key)) == 0)
			return i;
	}
	i = place_take(net, t);
	f = &t->frags[i];
	*f = (struct frag){.key = key, .data = f->data, .born = t->born++};
	f->until_ns = now_ns + (pkt->ip_version == 4 ? V4_TIMEOUT_S : V6_TIMEOUT_S) * NS_PER_S;
	t->hashes[i] = hash;
	t->used++;
	return i;
}

static bool bit_get(const uint64_t *map, uint32_t block)
{
	return map[block / 64] >> (block % 64) & 1;
}

static void bit_set(uint64_t *map, uint32_t block)
{
	map[block / 64] |= 1ull << (block % 64);
}

static bool any_there(const struct frag *f, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (bit_get(f->map, i))
			return true;
	}
	return false;
}

/* [from, to) came before, as one fragment. */
static bool came_before(const struct frag *f, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (!bit_get(f->map, i) || bit_get(f->starts, i) != (i == from))
			return false;
	}
	return bit_get(f->starts, to) || !bit_get(f->map, to);
}

/* RFC 1858 3, RFC 3128 4: the first fragment has the whole TCP header, and none may begin within
 * it. For IPv6 that is RFC 7112 5. */
static bool tiny(const struct frag_in *in, uint32_t len)
{
	uint32_t least = in->proto == PROTO_TCP ? TCP_HDR_LEN : ICMP_HDR_LEN;

	return in->off < least && (in->off > 0 || len < least);
}

/* The whole datagram is lost, with what still comes of it. */
static enum counter_id frag_kill(struct net *net, struct frag *f)
{
	if (!f->dead)
		counter_inc(net->ctr, CTR_frag_overlap);
	f->dead = true;
	return CTR_drop_ip_fragment;
}

/* Says whether the fragment agrees with what is there; sets *again when it is there already. */
static bool frag_fits(const struct frag *f, const struct frag_in *in, const uint8_t *data,
                      uint32_t len, bool *again)
{
	uint32_t from = in->off / BLOCK;
	uint32_t to = (in->off + len + BLOCK - 1) / BLOCK;
	*again = false;
	if (f->total > 0 && (in->off + len > f->total || (!in->more && in->off + len != f->total)))
		return false;
	if (!in->more && f->end > in->off + len)
		return false;
	if (!any_there(f, from, to))
		return true;
	/* A network may send a packet twice; RFC 8200 4.5 lets exact copies be ignored. */
	*again = came_before(f, from, to) && memcmp(f->data + in->off, data, len) == 0;
	return *again;
}

static void frag_keep(struct frag *f, const struct pkt *pkt, const struct frag_in *in, uint32_t len)
{
	uint32_t to = (in->off + len + BLOCK - 1) / BLOCK;

	for (uint32_t i = in->off / BLOCK; i < to; i++)
		bit_set(f->map, i);
	bit_set(f->starts, in->off / BLOCK);
	f->blocks += to - in->off / BLOCK;
	f->end = max_u32(f->end, in->off + len);
	f->ecns |= (uint8_t)(1u << (in->ecn & 3));
	if (!in->more)
		f->total = in->off + len;
	memcpy(f->data + in->off, pkt->data + pkt->l4_off, len);
	if (in->off > 0)
		return;
	f->first = true;
	/* As if there were neither options nor extension headers. */
	if (pkt->ip_version == 4) {
		memcpy(f->head, pkt->data + pkt->l3_off, IPV4_HDR_LEN);
		f->head[0] = 0x45;
	} else {
		memcpy(f->head, pkt->data + pkt->l3_off, IPV6_HDR_LEN);
		f->head[offsetof(struct wire_ipv6, next)] = in->proto;
	}
	net_path_reply(pkt, &f->path);
}

/* RFC 3168 5.3: congestion that a fragment met is the datagram's; fragments that disagree whether
 * the transport can hear of it were tampered with. */
static bool ecn_join(const struct frag *f, uint8_t *out)
{
	if (f->ecns & 1u << ECN_CE) {
		*out = ECN_CE;
		return !(f->ecns & 1u << ECN_NOT_ECT);
	}
	*out = f->ecns & 1u << ECN_NOT_ECT ? ECN_NOT_ECT : f->ecns & 2 ? 1 : 2;
	return true;
}

/* The datagram takes the place of its last fragment, whose buffer it gets. */
static enum counter_id frag_join(struct net *net, struct frag *f, struct pkt *pkt)
{
	uint32_t hdr_len = pkt->ip_version == 4 ? IPV4_HDR_LEN : IPV6_HDR_LEN;
	uint8_t *ip = pkt->data + pkt->l3_off;
	uint8_t ecn;

	if (!ecn_join(f, &ecn) || pkt->l3_off + hdr_len + f->total > pkt->cap)
		return CTR_drop_ip_fragment;
	memcpy(ip, f->head, hdr_len);
	memcpy(ip + hdr_len, f->data, f->total);
	pkt->l4_off = (uint16_t)(pkt->l3_off + hdr_len);
	pkt->len = pkt->l4_off + f->total;
	pkt->flags = PKT_RX_FRAGMENTS;
	if (pkt->ip_version == 4) {
		struct wire_ipv4 *v4 = (void *)ip;

		v4->tos = (uint8_t)((v4->tos & ~3) | ecn);
		v4->total_len = be16_make(hdr_len + f->total);
		v4->frag = be16_make(0);
	} else {
		struct wire_ipv6 *v6 = (void *)ip;

		v6->ver_class_flow.b[1] = (uint8_t)((v6->ver_class_flow.b[1] & 0xcf) | ecn << 4);
		v6->payload_len = be16_make(f->total);
	}
	counter_inc(net->ctr, CTR_frag_joined);
	return CTR_rx_tcp;
}

enum counter_id frag_input(struct net *net, struct pkt *pkt, const struct frag_in *in,
                           uint64_t now_ns)
{
	struct frag_table *t = net->frags;
	uint32_t len = pkt->len - pkt->l4_off;
	enum counter_id verdict;
	struct frag *f;
	uint32_t at;
	bool again;

	if (t->count == 0 || len == 0 || (in->more && len % BLOCK != 0) ||
	    in->off + len > t->bytes || tiny(in, len))
		return CTR_drop_ip_fragment;
	at = frag_find(net, pkt, in, now_ns);
	f = &t->frags[at];
	if (f->dead || !frag_fits(f, in, pkt->data + pkt->l4_off, len, &again))
		return frag_kill(net, f);
	if (again)
		return CTR_rx_fragment;
	frag_keep(f, pkt, in, len);
	if (f->total == 0 || f->blocks != (f->total + BLOCK - 1) / BLOCK)
		return CTR_rx_fragment;
	verdict = frag_join(net, f, pkt);
	frag_free(t, at);
	return verdict;
}

static void frag_expire(struct net *net, struct frag *f, uint64_t now_ns)
{
	struct icmp_out out = {
	        .path = &f->path,
	        .head = f->head,
	        .payload = f->data,
	        .v6 = f->key.version == 6,
	        .code = 1, /* fragment reassembly time exceeded */
	};

	counter_inc(net->ctr, CTR_frag_timeout);
	if (!f->first)
		return;
	/* What lies in front of the first hole came with the first fragment or right behind it. */
	while (out.payload_len + BLOCK <= f->end && bit_get(f->map, out.payload_len / BLOCK))
		out.payload_len += BLOCK;
	out.type = out.v6 ? ICMPV6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED;
	icmp_send(net, &out, now_ns);
}

void frag_tick(struct net *net, uint64_t now_ns)
{
	struct frag_table *t = net->frags;

	if (likely(t->used == 0))
		return;
	for (uint32_t i = 0; i < t->count; i++) {
		if (t->hashes[i] == 0 || t->frags[i].until_ns > now_ns)
			continue;
		if (!t->frags[i].dead)
			frag_expire(net, &t->frags[i], now_ns);
		frag_free(t, i);
	}
}
