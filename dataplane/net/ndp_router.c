/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Router advertisements (RFC 4861 6.1.2, 6.3.4). Answers go back the way the question came, so
 * routers and prefixes are of no interest; hop limit, MTU and retransmission timer are taken over
 * within bounds that do no harm, since anybody on the link can send them. */
#include "dataplane/net/net_int.h"

/* RFC 4861 4.2, and its option 4.6.4. */
struct router_advert {
	struct wire_icmp icmp; /* the rest of it begins with the hop limit */
	struct be32 reachable_ms;
	struct be32 retrans_ms;
};

struct mtu_option {
	uint8_t type;
	uint8_t len8;
	struct be16 reserved;
	struct be32 mtu;
};

enum {
	RA_LEN = sizeof(struct router_advert),
	OPT_MTU = 5,
	OPT_MTU_LEN = sizeof(struct mtu_option),
	LEAST_HOP_LIMIT = 32, /* fewer would not reach half of the Internet */
	LEAST_MTU = 1280,     /* RFC 8200 5 */
	LEAST_RETRANS_MS = 100,
	MOST_RETRANS_MS = 10000,
};

static bool advert_ok(const struct pkt *pkt)
{
	const struct wire_ipv6 *ip = (const void *)(pkt->data + pkt->l3_off);
	const uint8_t *ra = pkt->data + pkt->l4_off;
	uint32_t len = pkt->len - pkt->l4_off;

	if (ip->hop_limit != 255 || len < RA_LEN || ra[1] != 0)
		return false;
	if (ip->src[0] != 0xfe || (ip->src[1] & 0xc0) != 0x80) /* link-local */
		return false;
	return ndp_options_ok(ra + RA_LEN, len - RA_LEN, false);
}

static void options_take(struct net *net, const uint8_t *opt, uint32_t len)
{
	while (len > 0) {
		uint32_t opt_len = (uint32_t)opt[1] * 8;

		if (opt[0] == OPT_MTU && opt_len == OPT_MTU_LEN) {
			uint32_t mtu =
			        be32_get(((const struct mtu_option *)(const void *)opt)->mtu);

			/* RFC 4861 6.3.4: no more than the link's own. */
			if (mtu >= LEAST_MTU && mtu <= net->caps.mtu)
				__atomic_store_n(&net->shared->mtu, mtu, __ATOMIC_RELAXED);
		}
		opt += opt_len;
		len -= opt_len;
	}
}

enum counter_id router_input(struct net *net, const struct pkt *pkt)
{
	const struct router_advert *ra = (const void *)(pkt->data + pkt->l4_off);
	uint32_t retrans_ms;

	if (!advert_ok(pkt))
		return CTR_drop_ndp;
	if (ra->icmp.rest[0] >= LEAST_HOP_LIMIT)
		__atomic_store_n(&net->shared->hop_limit, ra->icmp.rest[0], __ATOMIC_RELAXED);
	retrans_ms = be32_get(ra->retrans_ms);
	if (retrans_ms >= LEAST_RETRANS_MS && retrans_ms <= MOST_RETRANS_MS)
		__atomic_store_n(&net->shared->retrans_ms, retrans_ms, __ATOMIC_RELAXED);
	options_take(net, (const uint8_t *)(ra + 1), pkt->len - pkt->l4_off - RA_LEN);
	return CTR_rx_ndp;
}
