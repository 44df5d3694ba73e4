/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The simulator: the whole core with many clients over a bad link, and a control that answers late,
 * in pieces, wrongly, or not at all. One thread, a virtual clock; all that happens follows from one
 * seed. sim.c runs it, sim_link.c is the wire, sim_control.c plays control and the origin,
 * sim_client.c the clients. What each answer must be follows from its request, so every byte is
 * checked. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "tests/sim/web.h"

#define SIM_IDS      64u /* objects of each kind */
#define SIM_BODY_MAX 120000u
#define SIM_SLOTS    1024u /* limits.requests */
#define SIM_SCRIPT   8u    /* requests a connection, at most */

struct rng {
	uint64_t s;
};

static inline uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline uint64_t rng_next(struct rng *r)
{
	r->s += 0x9e3779b97f4a7c15ull;
	return mix64(r->s);
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n == 0 ? 0 : (uint32_t)(rng_next(r) % n);
}

/* In ten thousand. */
static inline bool rng_chance(struct rng *r, uint32_t of_10000)
{
	return rng_below(r, 10000) < of_10000;
}

/* What goes wrong, and how often (of 10,000). */
struct sim_mix {
	const char *name;
	uint32_t delay_us; /* the link, each way */
	uint32_t jitter_us;
	uint32_t loss;
	uint32_t dup;
	uint32_t reorder;  /* frames that others overtake */
	uint32_t corrupt;  /* one bit of the IP packet */
	uint32_t fail;     /* control: FAIL */
	uint32_t broken;   /* a body that breaks off */
	uint32_t silent;   /* no answer */
	uint32_t early;    /* an upload refused before it is whole */
	uint32_t away_ms;  /* mean time between two deaths of control; 0: none */
	uint32_t purge_ms; /* mean time between two new versions of an object */
	uint32_t client_abort;
	uint32_t client_half; /* FIN behind the last request */
	uint32_t client_slow; /* does not read for a while */
	uint32_t pipelined;
	bool scarce; /* few blocks, ring entries, receive buffers: some requests are shed */
};

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
	uint64_t frames;
	uint64_t lost, duplicated, reordered, corrupted, corrupted_in;
	uint64_t conns, requests, answers, errors, cut, aborted, uploads, deaths, purges;
	uint64_t body_bytes;
};

struct sim_link;
struct sim_control;

struct sim {
	struct rig rig;
	const struct sim_mix *mix;
	uint64_t seed;
	struct rng client_rng;
	struct sim_link *link;
	struct sim_control *control;
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
	bool verbose;
	bool failed;
};

void sim_fail(struct sim *sim, const char *form, ...) __attribute__((format(printf, 2, 3)));

/* The bytes of a body at off, and how many it has. */
void sim_body(enum sim_kind kind, uint32_t id, uint32_t version, char *to, size_t off, size_t len);
size_t sim_body_len(enum sim_kind kind, uint32_t id);
uint64_t sim_sum(uint64_t sum, const char *bytes, size_t len);

bool link_create(struct sim *sim);
void link_destroy(struct sim *sim);
/* Delivers what is due; returns when the next frame is, UINT64_MAX: none. */
uint64_t link_run(struct sim *sim);

bool control_create(struct sim *sim);
void control_destroy(struct sim *sim);
/* Messages, answers that are due, deaths. Returns when it wants to run next. */
uint64_t control_run(struct sim *sim);
/* Stops dying and purging; attaches if it is away. */
void control_calm(struct sim *sim);

/* Opens, sends, checks what came. */
void clients_run(struct sim *sim);
void clients_destroy(struct sim *sim);

#endif
