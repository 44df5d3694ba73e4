/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_ports.h"

#include "dataplane/tcp/conn.h"
#include "lib/hash.h"

enum {
	/* The clock of our timestamps has moved, whatever its rate (RFC 6191 3). */
	REUSE_AFTER_NS = 1000000000,
};

void ports_init(struct port_picker *p, const struct secret *seed)
{
	uint64_t words[4 + PORT_COUNTERS / 2];

	secret_expand(seed, SECRET_PORTS, words, ARRAY_LEN(words));
	memcpy(p->offset_key, words, sizeof(p->offset_key));
	memcpy(p->counter_key, words + 2, sizeof(p->counter_key));
	memcpy(p->counter, words + 4, sizeof(p->counter));
}

/* In TIME-WAIT, the peer tells the new SYN from an old one by the timestamp only, if its own end
 * still remembers the connection. */
static bool tuple_free(const struct tcp *tcp, const struct conn_key *key)
{
	const struct conn *c = conn_lookup(tcp, key, conn_hash(tcp, key));

	if (listening(tcp, key))
		return false;
	if (!c)
		return true;
	return c->state == TCP_TIME_WAIT && c->flags & CF_TS &&
	       tcp->now_ns - c->last_rx_ns > REUSE_AFTER_NS;
}

/* RFC 6056 3.3.4. */
uint16_t port_pick(struct tcp *tcp, const struct net_path *path, uint16_t remote_port)
{
	struct port_picker *p = &tcp->ports;
	/* The local port is what is wanted, so it is no part of the hashes. */
	struct conn_key key = {path->local, path->remote, 0, remote_port};
	uint32_t count = (uint32_t)tcp->cfg.port_hi - tcp->cfg.port_lo + 1;
	uint32_t offset = (uint32_t)siphash24(&key, sizeof(key), p->offset_key);
	uint64_t index = siphash24(&key, sizeof(key), p->counter_key) % PORT_COUNTERS;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = (offset + p->counter[index]++) % count;

		key.lport = (uint16_t)(tcp->cfg.port_lo + at);
		if (tuple_free(tcp, &key))
			return key.lport;
	}
	return 0;
}
