/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Warming: answers fetched into the node's store ahead of clients, by lists of requests: an
 * operator's, the node's own hot list of before a restart, or that of a peer. Each list is a job
 * with a budget (warm_budget.h). Clients go first: a job's request begins only while their origin
 * is at ease. The hot list is made of what clients asked for (warm_notes.h), and written to a file
 * as long as the process runs.
 *
 * Called by main (start, stop), the fetcher (what is asked for), the admin server and the metrics
 * page. Loop's thread only, except warm_list_copy. Must not be asked to warm what only credentials
 * open: see warm_key.h. */
#ifndef CONTROL_WARM_H
#define CONTROL_WARM_H

#include "cache/store.h"
#include "control/control.h"
#include "control/fetch.h"
#include "control/warm_budget.h"

struct warm;

/* Starts jobs of its own where cache.warm.on_start says so, once a dataplane is attached. */
enum status warm_start(struct control *ctl, struct warm **out);
/* Writes the list. After chan_server_stop, before fetcher_destroy. NULL: nothing. */
void warm_stop(struct warm *w);
/* The configuration is another one: cache.warm.share holds at once. NULL: nothing. */
void warm_reloaded(struct warm *w);

/* --- what clients ask for; w may be NULL --- */

/* The answer to r was stored as e. */
void warm_note_stored(struct warm *w, const struct request *r, const struct store_entry *e);
/* A client asked for this key (that of a variant, where there are some). */
void warm_note_asked(struct warm *w, struct span key);

/* --- jobs --- */

#define WARM_JOBS_MAX      16u         /* that run, or have ended and are remembered */
#define WARM_PENDING_BYTES (16u << 20) /* lines of a job that wait */

struct warm_job_new {
	enum warm_source source;
	const char *name;          /* of the list, for people */
	const char *peer;          /* "http://host:port" for WARM_PEER, or NULL */
	struct warm_limits limits; /* 0: as cache.warm says */
};
/* *id: from 1, of a job that has nothing to do yet (unless its list comes from a peer). ST_FULL:
 * too many run. ST_UNSUPPORTED: the node has no store. */
enum status warm_job_start(struct warm *w, const struct warm_job_new *how, uint32_t *id);

/* One line is no good: number counts from 1 in what was given; why: what would be right, too. */
typedef void (*warm_bad_fn)(void *arg, uint32_t number, const char *why);
/* More lines for a job. Returns how many bytes it took, whole lines: fewer than there are when it
 * has enough to do. ST_NOTFOUND: no such job. */
enum status warm_job_add(struct warm *w, uint32_t id, struct span text, warm_bad_fn bad, void *arg,
                         size_t *taken);

/* What is not asked for yet is left out. False: no such job. */
bool warm_job_stop(struct warm *w, uint32_t id);

#define WARM_NAME_MAX 128u

struct warm_job_report {
	uint32_t id;
	enum warm_source source;
	char name[WARM_NAME_MAX];
	char trouble[WARM_NAME_MAX * 2]; /* why there is no list, or "" */
	struct warm_limits limits;
	uint64_t asked; /* requests that the list names */
	uint64_t waiting;
	uint64_t active;
	uint64_t bytes;
	uint64_t ms; /* since its start, or of it all */
	uint64_t results[WARM_RESULTS];
	bool ended;
};
/* By number from 0, the newest first; false past the last. */
bool warm_job_at(const struct warm *w, uint32_t index, struct warm_job_report *out);
bool warm_job_find(const struct warm *w, uint32_t id, struct warm_job_report *out);

/* --- reports --- */

const char *warm_source_name(enum warm_source source);
const char *warm_result_name(enum warm_result result);
const char *warm_result_help(enum warm_result result);

/* All jobs of the process. All zero for NULL. */
struct warm_counts {
	uint64_t results[WARM_SOURCES][WARM_RESULTS];
	uint64_t notes;
	uint64_t notes_bytes;
	uint64_t notes_evicted;
	uint64_t saves;
	uint64_t save_errors;
	uint64_t list_entries; /* of the last list */
	uint64_t list_served;  /* to peers */
};
void warm_counts(const struct warm *w, struct warm_counts *out);

/* The last hot list, for peers: to be given to free(). NULL: cache.warm.share is off, there is none
 * yet, or no memory. Any thread, between warm_start and warm_stop. */
char *warm_list_copy(struct warm *w, size_t *len);

#endif
