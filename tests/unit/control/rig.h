/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control's modules in the test's thread, and a fake dataplane that plays the cores: it sends
 * requests as tickets and collects, checks and (unless told to hold) releases what comes back. */
#ifndef RIG_H
#define RIG_H

#include "cache/object.h"
#include "control/chan_internal.h"
#include "control/fetch.h"
#include "control/upstream/upstream.h"
#include "fake_origin.h"
#include "lib/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RIG_CORES    2u
#define RIG_ASKS     4096u
#define RIG_SEED     1u /* of the cores' key hashes */
#define RIG_DEADLINE (5 * NS_PER_S)

/* One ticket of a core and what came of it. */
struct ask {
	bool used;
	bool hold; /* keep the body's blocks */
	bool done; /* END or FAIL came */
	bool aborted;
	bool bad; /* the body's bytes are wrong */
	bool flags_shared;
	bool flags_fill;
	bool flags_reused;
	uint8_t tier; /* CHAN_F_STORE, CHAN_F_L3 or 0 */
	uint16_t code;
	uint32_t put_before; /* objects that its core had got when its head came */
	char key[2048];
	uint32_t interims; /* 1xx ahead of the head */
	uint32_t heads;
	uint32_t bodies;
	uint16_t fail;
	uint64_t seq;
	uint64_t got; /* body bytes */
	struct object head;
	char fields[16384];
	char start[512]; /* of the body */
	uint32_t up_held;
	bool raw_body; /* do not compare with origin_byte */
};

struct rig_core {
	struct chan_port port;
	struct chan_slab up;
	uint8_t *up_mine; /* blocks that control has */
	uint16_t *up_slot;
	uint32_t *down_refs;
	uint32_t down_held;
	uint32_t down_held_max;
	struct ask *asks; /* RIG_ASKS */
	bool paused;      /* takes nothing out of its ring */
	uint64_t seq;
	uint32_t purges;
	uint64_t purges_seen; /* the highest number */
	uint64_t born_max;    /* what SYNC says of answers that it stored */
	struct inval *inval;  /* all that it was told, as a tier keeps it */
	struct chan_msg last_purge;
	char purge_text[2048];
	uint32_t puts; /* objects for the hot table */
	struct object last_put;
	char put_key[2048];
	uint32_t heads; /* in all */
	struct chan_msg last_query;
};

struct rig {
	struct control ctl;
	struct origin *origin;
	char dir[64];
	char conf[128];
	char path[160];
	/* Dataplane */
	struct chan chan;
	struct chan_geometry geo;
	int listener;
	int sock;
	int wait_fd;
	int ring_fds[RIG_CORES];
	uint32_t epoch;
	bool attached;
	bool no_sync;
	struct rig_core core[RIG_CORES];
	uint32_t snapshots; /* that control sent */
	bool refuse_snapshots;
	uint32_t foreign; /* releases of blocks that control did not have, and other nonsense */
};

/* extra: keys of the upstream, for example ", connect_timeout_ms: 100". */
struct rig *rig_new(const char *extra);
struct rig_options {
	const char *upstream; /* more keys of the upstream: ", queue: 1" */
	const char *route;    /* and of the route */
	uint64_t store_bytes; /* of the node's store */
};
struct rig *rig_new_with(const struct rig_options *o);
void rig_free(struct rig *r);
/* Of a test's own: one that is attached, and its end. */
int rig_setup(void **state);
int rig_teardown(void **state);
void rig_step(struct rig *r);
void rig_attach(struct rig *r);
/* The dataplane dies (its memory with it) and starts again, or only control's socket breaks. */
void rig_dataplane_kill(struct rig *r);
void rig_dataplane_start(struct rig *r);
void rig_sock_break(struct rig *r);

struct rig_req {
	const char *method; /* GET */
	const char *path;
	const char *fields; /* "" */
	const char *key;    /* NULL: none, no collapse, no store */
	uint32_t core;
	uint64_t body_len; /* a body follows; UINT64_MAX: chunked */
	uint64_t snapshot_id;
	bool hold;
	bool raw_body;
	bool refresh; /* nobody waits: ticket.seq 0 */
	bool alone;   /* not with others: no CHAN_REQ_COLLAPSE */
	bool no_store;
};
struct ask *rig_ask(struct rig *r, const struct rig_req *q);
void rig_cancel(struct rig *r, uint32_t core, struct ask *a);
/* False when the ring or the slab is full, or the credit is used up. */
bool rig_body(struct rig *r, uint32_t core, struct ask *a, const void *data, uint32_t len,
              bool end);
void rig_release_all(struct rig *r, uint32_t core);
uint32_t rig_slot(const struct rig_core *c, const struct ask *a);
void rig_push(struct rig *r, uint32_t core, const struct chan_msg *m);
uint32_t rig_requests(struct rig *r);

#define RIG_UNTIL(r, cond)                                         \
	do {                                                       \
		uint64_t rig_end = clock_mono_ns() + RIG_DEADLINE; \
		while (!(cond) && clock_mono_ns() < rig_end)       \
			rig_step(r);                               \
		assert_true(cond);                                 \
	} while (0)

#endif
