/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The shared memory between the dataplane and control: one memfd that the dataplane creates and
 * control maps. docs/CHANNEL.md tells the protocol; this header is its ABI.
 *
 *   chan_header | core 0: to_control ring, to_core ring, stats, up slab | core 1: ... | down slab
 *
 * Up slabs: one a core, written by the core (request heads and bodies). Down slab: one, written by
 * control (response heads and bodies), read by every core, so that one origin answer can be sent by
 * several cores without a copy. Whoever writes a slab allocates from it, in private memory; the
 * reader gives blocks back with CHAN_RELEASE. Outstanding blocks are the credit: each side bounds
 * how many a ticket may hold, so that a slow client or a slow origin pins a bounded part (dynamic
 * threshold of Choudhury and Hahne, 1998: at most the number of free blocks, at least one).
 *
 * Nothing read from the other side is trusted: copy the message, check block, offset and length
 * with chan_peer_bytes, compare the ticket. Offsets, never pointers. */
#ifndef LIB_CHANNEL_H
#define LIB_CHANNEL_H

#include "lib/base.h"
#include "lib/counters.h"
#include "lib/shm.h"
#include "lib/spsc.h"
#include "lib/status.h"

#define CHAN_MAGIC     0x314e48434c53ull /* "SLCHN1" */
#define CHAN_VERSION   2u
#define CHAN_MAX_CORES 64u
#define CHAN_NO_BLOCK  UINT32_MAX

/* Names one outstanding request. A late or forged answer differs in seq or epoch and is dropped. */
struct chan_ticket {
	uint32_t epoch; /* attach epoch in which the request was sent */
	uint16_t core;
	uint16_t slot;
	uint64_t seq; /* never repeats in a core's life */
};
static_assert(sizeof(struct chan_ticket) == 16, "shared ABI");

enum chan_type {
	CHAN_NONE,
	/* core to control */
	CHAN_SYNC,    /* first message of an attach epoch; n: the epoch; ticket.seq: the highest
	                 number of a purge that it has seen; born: the highest born_seq that it
	                 stored. What came before is void */
	CHAN_HELD,    /* after an attach: blocks of the down slab that this core still sends from */
	CHAN_REQUEST, /* block: struct chan_request; CHAN_F_END when no body follows */
	CHAN_CANCEL,  /* the client is gone: stop, answer nothing */
	CHAN_RESULT,  /* answer to CHAN_QUERY or CHAN_PURGE: block holds records; n: next cursor, or
	                 how many were purged */
	/* control to core */
	CHAN_HEAD,  /* block: struct object with key and field lines; CHAN_F_END when no body
	               follows. code: what the origin answered when the object has another status
	               (304: a stored one that it confirmed; 5xx: a stale one instead); else 0.
	               Status 102 to 199: an interim answer (no flags), ahead of that */
	CHAN_FAIL,  /* code: the status to answer (502, 503, 504, ...), body-less; ends the ticket.
	               204 to a CHAN_REQ_PURGE: it is done */
	CHAN_PURGE, /* block: the text of a purge (none for INVAL_ALL), code: enum inval_kind
	               (CHAN_F_SOFT, CHAN_F_COUNT); n: its number; ticket.seq 0: no answer wanted */
	CHAN_PUT,   /* block: a struct object without body (OBJECT_VARY, OBJECT_PASS) for the hot
	               table; no ticket */
	CHAN_QUERY, /* code: enum chan_query; n: cursor; len: most records */
	CHAN_DRAIN, /* n: deadline in ms; 0 ends a drain */
	/* both ways */
	CHAN_BODY,    /* block, off, len: body bytes; CHAN_F_END on the last (len may be 0) */
	CHAN_RELEASE, /* blocks[0..code): the receiver's own blocks that the sender is done with */
	CHAN_TYPE_COUNT
};

enum chan_flag {
	CHAN_F_END = 1 << 0,   /* the message ends this direction of the ticket */
	CHAN_F_FILL = 1 << 1,  /* HEAD: this core shall store the response in its hot table */
	CHAN_F_COUNT = 1 << 2, /* PURGE: answer when all that it hits was counted */
	CHAN_F_ABORT =
	        1 << 3, /* BODY with END: the sender's source broke off; the body is not whole */
	CHAN_F_SHARED = 1 << 4, /* HEAD: another request's fetch answered this one (collapsed) */
	CHAN_F_REUSED = 1 << 5, /* HEAD: a pooled connection was used */
	CHAN_F_SOFT = 1 << 6,   /* PURGE: stale from now on, rather than gone */
	CHAN_F_STORE = 1 << 6,  /* HEAD: from control's store, not from an origin */
	CHAN_F_L3 = 1 << 7,     /* HEAD: from the store that nodes share */
};

enum chan_query { CHAN_QUERY_CONNS, CHAN_QUERY_CACHE, CHAN_QUERY_CACHE_GET, CHAN_QUERY_INFO };

#define CHAN_RELEASE_MAX 8u

struct chan_msg {
	uint8_t type;  /* enum chan_type */
	uint8_t flags; /* enum chan_flag */
	uint16_t code;
	uint32_t len; /* bytes in the block from off */
	struct chan_ticket ticket;
	uint32_t block; /* of the sender's slab, or CHAN_NO_BLOCK */
	uint32_t off;   /* bytes from the block's start */
	union {
		struct {
			uint64_t n;
			uint64_t born; /* CHAN_SYNC */
		};
		uint32_t blocks[CHAN_RELEASE_MAX];
	};
};
static_assert(sizeof(struct chan_msg) == SPSC_MSG_BYTES, "one message, one cache line");

enum chan_request_flag {
	CHAN_REQ_CHUNKED = 1 << 0,    /* body of unknown length follows */
	CHAN_REQ_COLLAPSE = 1 << 1,   /* may share another request's fetch (RFC 9111 4) */
	CHAN_REQ_STORE = 1 << 2,      /* the response may be stored */
	CHAN_REQ_AUTHORIZED = 1 << 3, /* carries Authorization (RFC 9111 3.5) */
	CHAN_REQ_TLS = 1 << 4,        /* came by https */
	CHAN_REQ_PURGE = 1 << 6,      /* the method was PURGE; the method's text is GET */
	CHAN_REQ_CHECK = 1 << 7,      /* with REFRESH: the answer that the client got is another
	                                 request's, by a pattern: is the origin's the same? */
	CHAN_REQ_REFRESH = 1 << 5     /* a client got a stale answer; nobody waits for this one. The
	                                 ticket's seq is 0, and nothing but RELEASE comes back */
};

/* At the start of a CHAN_REQUEST's block; the texts follow in this order. Field lines are
 * "Name: value\r\n", hop-by-hop fields and Host already removed by the core. */
struct chan_request {
	uint64_t snapshot_id; /* of the configuration that chose route and upstream */
	uint64_t body_len;    /* with CHAN_REQ_CHUNKED: UINT64_MAX */
	uint64_t key_lo;      /* cache key's hash. The key's text is there when COLLAPSE or STORE,
	                         for GET and HEAD also when a stored answer may be used but none
	                         made (HEAD, Range), and for an unsafe method, whose success voids
	                         what is stored */
	uint64_t key_hi;
	uint64_t arrival_ms; /* wall clock */
	uint8_t client_addr[16];
	uint16_t client_port;
	uint16_t route;    /* index in the snapshot */
	uint16_t upstream; /* index in the snapshot */
	uint8_t method;    /* enum http_method */
	uint8_t minor;     /* the client's HTTP/1.minor */
	uint16_t flags;    /* enum chan_request_flag */
	uint16_t key_len;
	uint16_t method_len;
	uint16_t host_len;   /* with port, as the client sent it */
	uint32_t target_len; /* origin-form */
	uint32_t fields_len;
};
static_assert(sizeof(struct chan_request) == 80, "shared ABI");

/* Records of CHAN_RESULT. */
struct chan_conn_row {
	uint8_t local[16];
	uint8_t remote[16];
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t state; /* enum tcp_state */
	uint8_t pad[3];
	uint32_t srtt_us;
	uint32_t cwnd_bytes;
	uint32_t snd_queued_bytes;
	uint32_t rcv_queued_bytes;
	uint32_t retransmits;
	uint32_t age_s;
	uint64_t idle_ms;
};
static_assert(sizeof(struct chan_conn_row) == 72, "shared ABI");

/* CHAN_QUERY_CACHE rows: struct object heads one behind the other, each with its key (fields_len
 * 0) and how often it was used, as far as the table counts (spare), aligned to 8.
 * CHAN_QUERY_CACHE_GET: the block of the query holds the key text; the answer is one object head
 * with fields, n 1, or len 0 when there is none. */

struct chan_core_info { /* CHAN_QUERY_INFO */
	uint64_t uptime_ms;
	uint64_t snapshot_id;
	uint32_t core_id; /* CPU */
	uint32_t conns;
	uint32_t misses_waiting;
	uint32_t up_blocks_free;
	uint32_t pkts_free;
	uint32_t draining;
};
static_assert(sizeof(struct chan_core_info) == 40, "shared ABI");

struct chan_geometry {
	uint32_t cores;          /* 1 to CHAN_MAX_CORES */
	uint32_t ring_entries;   /* a power of two, 64 to 65,536 */
	uint32_t up_block_bytes; /* multiples of 4096 */
	uint32_t up_blocks;      /* a core */
	uint32_t down_block_bytes;
	uint32_t down_blocks; /* in all */
};

struct chan_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint64_t total_bytes;
	uint64_t generation; /* random, made by the dataplane at start */
	struct chan_geometry geo;
	uint64_t core_stride; /* bytes from one core's region to the next */
	uint64_t cores_off;
	uint64_t down_off;
	uint64_t started_wall_ms;
	uint64_t hash_seed; /* of cache keys in this dataplane's tables (hash128) */
	uint32_t dataplane_pid;
	uint32_t attach_epoch; /* counts control's attachments; the dataplane writes it */
	uint32_t down_short;   /* chan_down_tell; control writes it */
} ALIGNED(CACHE_LINE);

/* A slab's allocator, private to its writer. Last-in first-out, so that few blocks stay warm and an
 * idle system touches little memory. */
struct chan_slab {
	unsigned char *base;
	uint32_t block_bytes;
	uint32_t count;
	uint32_t free_count;
	uint32_t *free; /* stack of free blocks */
};

struct chan {
	struct shm shm;
	struct chan_header *hdr;
	struct chan_geometry geo; /* own copy, checked: hdr may change under our feet */
};

/* One side's end of one core's rings. */
struct chan_port {
	struct spsc_end tx;
	struct spsc_end rx;
	const unsigned char *peer_base; /* the slab that the other side writes */
	uint32_t peer_block_bytes;
	uint32_t peer_blocks;
	uint32_t *down_short; /* in the header */
	int ring_fd;          /* eventfd that wakes the other side; -1: none */
	int wait_fd;          /* eventfd that wakes this side */
};

/* Dataplane: makes and zeroes the memory. */
enum status chan_create(struct chan *out, const struct chan_geometry *geo, bool want_huge);
/* Control: maps fd (taken over) and checks the header against its size. */
enum status chan_open(struct chan *out, int fd);
void chan_close(struct chan *ch);

struct core_stats *chan_stats(const struct chan *ch, uint32_t core);
unsigned char *chan_up_base(const struct chan *ch, uint32_t core);
unsigned char *chan_down_base(const struct chan *ch);
/* Join core's rings at their present positions. The fds stay the caller's. */
void chan_port_core(const struct chan *ch, uint32_t core, struct chan_port *out);
void chan_port_control(const struct chan *ch, uint32_t core, struct chan_port *out);

enum status chan_slab_init(struct chan_slab *s, unsigned char *base, uint32_t block_bytes,
                           uint32_t count);
void chan_slab_destroy(struct chan_slab *s);
/* CHAN_NO_BLOCK when none is free. */
uint32_t chan_block_get(struct chan_slab *s);
void chan_block_put(struct chan_slab *s, uint32_t block);
static inline unsigned char *chan_block_at(const struct chan_slab *s, uint32_t block)
{
	return s->base + (size_t)block * s->block_bytes;
}

/* Sending: get a zeroed slot (NULL: ring full), fill it, chan_push; chan_flush once a burst
 * publishes and rings the other side's doorbell if it sleeps (true when it rang). */
struct chan_msg *chan_slot(struct chan_port *p);
void chan_push(struct chan_port *p);
bool chan_flush(struct chan_port *p);
/* Messages that the next chan_flush publishes. */
uint32_t chan_unflushed(const struct chan_port *p);

/* Receiving: copies the oldest message out; false when there is none or the ring is corrupt
 * (p->rx.corrupt). chan_rx_done once a burst gives the slots back; before the chan_flush of
 * the answers, so that who sees an answer has room to send. */
bool chan_recv(struct chan_port *p, struct chan_msg *out);
void chan_rx_done(struct chan_port *p);
/* A new attach epoch on the core's side: throws away what is in the receive ring, forgives corrupt
 * positions and publishes its own again; returns how many messages were lost. */
uint32_t chan_drain(struct chan_port *p);

/* Before sleeping on wait_fd: sets asleep, fences, looks again. False: there is work, do not sleep.
 */
bool chan_prepare_sleep(struct chan_port *p);
void chan_awake(struct chan_port *p);

/* Control tells the cores that few down blocks are left, or that there are enough again. A hint: a
 * core that believes a wrong one resets no client but those that read nothing. */
static inline void chan_down_tell(const struct chan_port *p, bool is_short)
{
	__atomic_store_n(p->down_short, is_short, __ATOMIC_RELAXED);
}
static inline bool chan_down_is_short(const struct chan_port *p)
{
	return __atomic_load_n(p->down_short, __ATOMIC_RELAXED) != 0;
}

/* The bytes of a message in the other side's slab, or NULL when block, off or len lie outside. */
const void *chan_peer_bytes(const struct chan_port *p, const struct chan_msg *m);

/* Is the block index of a RELEASE one of this slab? */
static inline bool chan_block_valid(const struct chan_slab *s, uint32_t block)
{
	return block < s->count;
}

#endif
