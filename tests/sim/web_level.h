/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The web level of the simulator: the whole core with many clients over a bad link, and a control
 * that answers late, in pieces, wrongly, or not at all. One thread, a virtual clock; all that
 * happens follows from one seed. web_level.c runs it, cable.h is the wire, web_control.c plays
 * control and the origin, web_client.c the clients. What each answer must be follows from its
 * request, so every byte is checked. */
#ifndef TESTS_SIM_WEB_LEVEL_H
#define TESTS_SIM_WEB_LEVEL_H

#include "cache/range.h"
#include "tests/sim/cable.h"
#include "tests/sim/fault.h"
#include "tests/sim/rng.h"
#include "tests/sim/run.h"
#include "tests/sim/web.h"

#define SIM_IDS      64u /* objects of each kind */
#define SIM_BODY_MAX 120000u
#define SIM_SLOTS    1024u /* limits.requests */
#define SIM_SCRIPT   8u    /* requests a connection, at most */

enum sim_kind { KIND_HOT, KIND_CACHED, KIND_PLAIN, KIND_UPLOAD };

/* What control did with a request, by its number. */
enum sim_outcome {
	OUT_SEEN = 1 << 0,
	OUT_FAILED = 1 << 1,
	OUT_BROKEN = 1 << 2,
	OUT_SILENT = 1 << 3,
	OUT_EARLY = 1 << 4
};

struct sim_request {
	enum sim_kind kind;
	uint32_t id;
	uint32_t number; /* of all requests of the run */
	uint32_t up_len;
	uint32_t least_version; /* no older one may come: its purge was confirmed before */
	uint64_t sent_ns;
	struct byte_range part; /* len 0: the whole */
	uint32_t var;
	bool head;
	bool chunked;
	bool last; /* "Connection: close" */
};

struct sim_client {
	struct web web;
	struct sim_request script[SIM_SCRIPT];
	uint32_t count;
	uint32_t sent;
	uint32_t answered;
	uint64_t started_ns;
	uint64_t act_ns;   /* when the next of the following happens */
	uint64_t think_ns; /* the next request is not sent before */
	uint64_t abort_ns; /* 0: never */
	bool live;
	bool pipelined;
	bool half;
	bool slow;
	bool finished; /* all answers are there, or no more will come */
};

struct sim_stats {
	uint64_t conns, requests, answers, errors, cut, aborted, uploads, deaths, purges;
	uint64_t body_bytes;
};

struct sim_control;

/* Of control.cache. */
struct sim_cache {
	struct rng rng;
	uint64_t list_id[SIM_IDS];     /* of a key with variants; 0: made when it is asked for */
	uint64_t refresh_due[SIM_IDS]; /* the key is refreshed then; 0: not */
};

struct sim {
	struct rig rig;
	struct run *run;
	const struct scenario *sc;
	uint64_t seed;
	struct rng client_rng;
	struct cable *cable;
	struct web_liars *liars; /* NULL: none */
	struct faults faults;
	uint64_t corrupted_in;
	uint64_t caught_in;
	struct sim_control *control;
	struct sim_cache cache;
	struct sim_client *clients;
	uint32_t client_count; /* at a time */
	uint32_t conns_left;   /* to be opened */
	uint32_t live;
	uint32_t next_port;
	uint32_t next_number;
	uint8_t *outcomes; /* enum sim_outcome by request number */
	uint32_t outcomes_cap;
	uint32_t versions[SIM_IDS];
	uint32_t confirmed[SIM_IDS];
	uint64_t away_ns; /* when control was away last */
	struct sim_stats stats;
};

#define sim_fail(sim, ...) run_fail((sim)->run, (sim)->rig.now_ns, __VA_ARGS__)

/* The bytes of a body at off, and how many it has. */
void sim_body(enum sim_kind kind, uint32_t id, uint32_t version, char *to, size_t off, size_t len);
size_t sim_body_len(enum sim_kind kind, uint32_t id);
uint64_t sim_sum(uint64_t sum, const char *bytes, size_t len);

bool control_create(struct sim *sim);
void control_destroy(struct sim *sim);
/* Messages, answers that are due, deaths. Returns when it wants to run next. */
uint64_t control_run(struct sim *sim);
/* Stops dying and purging; attaches if it is away. */
void control_calm(struct sim *sim);

/* web_cache.c: what the scenario's control.cache adds. The client asks for a variant and a part,
 * and checks them. */
void cache_ask(struct sim *sim, struct sim_request *r);
size_t cache_lines(const struct sim *sim, const struct sim_request *r, char *to);
struct span cache_part(struct sim *sim, const struct sim_request *r, const struct web_answer *a,
                       struct span whole);
void cache_check_variant(struct sim *sim, const struct sim_request *r, const struct web_answer *a);
/* Control: what varies; puts the list, and makes o that of the variant (false: no room now). */
bool cache_varies(const struct sim *sim, enum sim_kind kind, uint32_t id);
uint32_t cache_variant_asked(struct span fields);
bool cache_variant_head(struct sim *sim, uint32_t id, uint32_t var, struct object *o);
/* A core has served it stale. */
void cache_refresh_asked(struct sim *sim, uint32_t id);
/* Refreshes that are done: the cores are told to forget what they have. */
void cache_run(struct sim *sim, uint64_t *purge_seq);
/* At the end: did all of it happen? */
void cache_happened(struct sim *sim);

/* web_liars.c: peers that send requests and misbehave, while there are clients. */
bool liars_create(struct sim *sim);
void liars_destroy(struct sim *sim);
/* A frame to their address. */
void liars_input(struct sim *sim, const struct cable_frame *f);
/* Returns when they want to run next. */
uint64_t liars_run(struct sim *sim);

/* Opens, sends, checks what came. */
void clients_run(struct sim *sim);
void clients_destroy(struct sim *sim);

#endif
