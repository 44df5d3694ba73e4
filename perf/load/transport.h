/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How the load tool's requests travel: kernel TCP on io_uring (transport_socket.c), or Sluice's own
 * TCP as a client on a DPDK port (transport_dpdk.c). A transport belongs to one worker thread. It
 * knows bytes and connections; HTTP, schedules and measuring are the engine's. Every function is
 * called on that thread.
 *
 * Everything happens within transport_poll: it sends what was queued, receives, and calls the sink.
 * Sink functions may call any function below but transport_poll and transport_close. */
#ifndef PERF_LOAD_TRANSPORT_H
#define PERF_LOAD_TRANSPORT_H

#include "lib/base.h"
#include "lib/status.h"

#define TRANSPORT_ERR 256u

struct transport;
struct link; /* a connection of the transport's */

enum link_end {
	LINK_FINISHED,    /* the server sent FIN; all its bytes were delivered before */
	LINK_RESET,       /* by the server, while open */
	LINK_REFUSED,     /* the handshake was answered by a reset */
	LINK_TIMED_OUT,   /* no answer: TCP gave up */
	LINK_UNREACHABLE, /* no route, no neighbour, or no memory for it */
};

/* What the engine is told; owner is as given to transport_connect. Bytes are valid until the
 * function returns. After ended, or after transport_shut or transport_abort, the link is gone and
 * nothing more is told of it. */
struct transport_sink {
	void (*connected)(void *owner, uint64_t now_ns);
	void (*data)(void *owner, const char *bytes, size_t len, uint64_t now_ns);
	/* transport_send refused bytes before: there is room now. */
	void (*room)(void *owner, uint64_t now_ns);
	void (*ended)(void *owner, enum link_end why, uint64_t now_ns);
};

struct transport_config {
	const char *host; /* the server: name or address (socket), address (dpdk) */
	uint16_t port;
	uint32_t links;      /* the most that are open at once */
	uint32_t timeout_ms; /* of a handshake */
	int cpu;             /* of this worker, -1: any */
	/* Our addresses, "10.1.0.2" or a range "10.1.0.2-10.1.0.9", each good for some 28,000
	 * (socket) or 60,000 (dpdk) connections. NULL: the kernel's choice (socket). */
	const char *local;
	/* dpdk only: a port of Sluice's configuration, as "memif:/run/x.sock", "af_xdp:eth1",
	 * "pci:0000:3b:00.0"; the next hop, NULL: host itself. */
	const char *device;
	const char *next_hop;
	bool huge_pages;
	struct transport_sink sink;
};

struct transport_stats {
	uint64_t bytes_in; /* of TCP payload */
	uint64_t bytes_out;
	uint64_t busy_ns; /* of this thread: CPU time (socket), time of rounds with work (dpdk) */
	uint64_t retransmits; /* dpdk: segments sent again; socket: 0 */
	uint64_t drops;       /* dpdk: packets that the port or the stack dropped */
	const char *note;     /* why connections could not be made, for people; NULL: no trouble */
};

struct transport_ops {
	const char *name;
	bool polls; /* it never waits: the caller need not work out until when */
	enum status (*open)(struct transport **out, const struct transport_config *cfg,
	                    char err[TRANSPORT_ERR]);
	void (*close)(struct transport *t);
	/* NULL: no room for one more now (links, ports, memory). connected or ended follows. */
	struct link *(*connect)(struct transport *t, void *owner);
	/* Queues a copy of all or of none of it (false; room follows). Sent with the next poll. */
	bool (*send)(struct transport *t, struct link *l, const void *data, size_t len);
	/* Whether it takes connections and requests now; who is told that it does not asks again
	 * after the next poll. NULL: always. */
	bool (*takes)(struct transport *t);
	void (*shut)(struct transport *t,
	             struct link *l); /* orderly: FIN; what still comes is dropped */
	void (*abort)(struct transport *t, struct link *l); /* RST */
	/* One round. Without anything to do it waits until wait_until_ns at most (0: not at all;
	 * dpdk polls and never waits). Returns how much it did. */
	uint32_t (*poll)(struct transport *t, uint64_t wait_until_ns);
	void (*stats)(const struct transport *t, struct transport_stats *out);
};

/* Each transport's struct begins with this. */
struct transport {
	const struct transport_ops *ops;
};

extern const struct transport_ops transport_socket;
extern const struct transport_ops transport_dpdk;

#endif
