/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A whole poll core on a workbench: the real dataplane (the objects that ship) on a NIC in memory,
 * its channel with the test in control's place, and a client that is our own TCP on a second NIC.
 * One thread, a clock of its own. Unit tests of the request layer, benchmarks and the simulator use
 * it. */
#ifndef TESTS_SIM_RIG_H
#define TESTS_SIM_RIG_H

#include "dataplane/core.h"
#include "tests/sim/nic_sim.h"

struct rig;

/* May drop, change (up to cap bytes), delay or repeat a frame: calls rig_deliver for what arrives.
 */
typedef void (*rig_link_fn)(void *arg, struct rig *rig, bool to_server, const void *frame,
                            uint32_t len);

/* A client connection has news (enum tcp_event); the bytes that are not consumed stay with the
 * stack. */
typedef void (*rig_client_fn)(void *arg, struct rig *rig, struct conn *conn, uint32_t events);

struct rig {
	struct config *config;
	struct snapshot *snapshot;
	struct core *core;
	struct core_control *shared;
	struct core_listener listener;
	struct nic *server_nic;
	struct chan chan;
	struct chan_port control; /* control's end, for the test */
	struct chan_slab down;
	uint32_t *down_extra; /* references of each block that the core holds beyond the first */
	struct nic *client_nic;
	struct net *client_net;
	struct tcp *client;
	struct counters client_ctr;
	struct ip_addr client_addr;
	uint64_t now_ns;
	uint64_t wall_ns;
	rig_link_fn link;
	void *link_arg;
	rig_client_fn on_client; /* NULL: connections with news are for the owner's tcp_ready */
	void *client_arg;
	tcp_release_fn release;
	void *release_arg;
};

#define RIG_SERVER         "10.0.0.10"
#define RIG_CLIENT         "10.0.0.2"
#define RIG_PORT           80
#define RIG_SERVER_BUFFERS 8192u

/* Parts of a configuration: what every one has (a listener, a port and an origin), one route to
 * everything, and memory for small tests. */
#define RIG_YAML_WORLD                    \
	"listeners:\n"                    \
	"    - address: " RIG_SERVER "\n" \
	"ports:\n"                        \
	"    - type: tap\n"               \
	"      interface: unused\n"       \
	"upstreams:\n"                    \
	"    - name: origin\n"            \
	"      addresses: ['127.0.0.1:1']\n"
#define RIG_YAML_ROUTE     \
	"routes:\n"        \
	"    - path: /*\n" \
	"      upstream: origin\n"
#define RIG_YAML_MEMORY                   \
	"memory:\n"                       \
	"    huge_pages: 'off'\n"         \
	"    hot_table_bytes: 33554432\n" \
	"    up_blocks: 256\n"            \
	"    down_blocks: 512\n"

/* yaml: the configuration, or NULL for one route to everything with "origin" caching. */
enum status rig_create(struct rig *rig, const char *yaml);
/* The same, and the core's keys come from fill (arg: NULL), so that a run can be repeated. */
enum status rig_create_random(struct rig *rig, const char *yaml, core_random_fn fill);
/* The same, and the core is the first one of the share; the caller destroys that after the rig. */
enum status rig_create_shared(struct rig *rig, const char *yaml, core_random_fn fill,
                              struct hot_share *share);
void rig_destroy(struct rig *rig);
/* Moves time on by dt_ns, and every frame that is due in both directions; one core_round. Returns
 * how much the core did. */
uint32_t rig_step(struct rig *rig, uint64_t dt_ns);
/* Steps until nothing moves any more, at most steps. */
void rig_settle(struct rig *rig, uint32_t steps, uint64_t dt_ns);
/* A frame arrives (used by a link function). */
void rig_deliver(struct rig *rig, bool to_server, const void *frame, uint32_t len);
/* A client connection to the front door; events come by tcp_ready(rig->client). */
struct conn *rig_connect(struct rig *rig, uint16_t port);

/* Plays control: attaches with this epoch and reads SYNC and HELD; false when they are not right.
 */
bool rig_attach(struct rig *rig, uint32_t epoch);
void rig_detach(struct rig *rig);
/* The next message of the core that is not a RELEASE (those are carried out). */
bool rig_recv(struct rig *rig, struct chan_msg *out);
/* Answers a ticket: head and body in blocks of the down slab, body cut into pieces. */
struct rig_answer {
	struct chan_ticket ticket;
	const struct chan_request *request; /* for the key */
	unsigned status;
	const char *fields; /* lines with CRLF */
	struct span body;
	uint64_t body_len;    /* UINT64_MAX: chunked */
	uint32_t piece_bytes; /* 0: a block */
	uint8_t flags;        /* CHAN_F_FILL and so on */
	uint32_t lifetime_ms; /* above 0: storable */
	uint32_t age_ms;      /* it was received so long ago */
	uint32_t stale_while_s;
	uint32_t stale_error_s;
	uint16_t code;         /* what the origin answered instead */
	uint16_t object_flags; /* besides */
	struct span key;       /* of a variant; empty: the request's */
	uint64_t born_seq;     /* purges ordered when its request left */
};
bool rig_reply(struct rig *rig, const struct rig_answer *a);
/* CHAN_PUT of an object without a body; its hash is counted anew. */
bool rig_put(struct rig *rig, const struct object *o);
bool rig_fail(struct rig *rig, struct chan_ticket ticket, uint16_t status);
/* Gives a block of the core's slab back. */
void rig_release_up(struct rig *rig, uint32_t block);

/* Puts an object straight into the hot table, under "host/path". */
enum status rig_hot_put(struct rig *rig, const char *key, const char *fields, struct span body);
/* The same with a table of the core's share. */
enum status rig_table_put(struct rig *rig, struct hot_table *table, const char *key,
                          const char *fields, struct span body);

#endif
