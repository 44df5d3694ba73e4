/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Shared by the files of the warmer, for these only:
 *
 *   warm.c       start, stop, reports
 *   warm_job.c   jobs: from lines to fetches, under their budgets
 *   warm_save.c  the hot list: uses in the cores' tables, its file, its copy for peers
 *   warm_peer.c  the list of a peer */
#ifndef CONTROL_WARM_PRIVATE_H
#define CONTROL_WARM_PRIVATE_H

#include "control/warm.h"
#include "control/warm_key.h"
#include "control/warm_notes.h"

#include <pthread.h>
#include <stdatomic.h>

/* Work that may block, in a thread of its own: at most one at a time of each kind. */
struct warm_worker {
	pthread_t thread;
	void (*work)(struct warm_worker *k); /* in the thread */
	atomic_bool ended;
	bool running; /* the loop's */
};

/* A whole list that came at once. */
struct warm_list {
	char *text; /* to be given to free(); NULL: none */
	struct span body;
	uint64_t count;
};

struct warm_task {
	struct fetch_warm fw;
	struct warm_job *job;
	struct warm_task *next;
	struct warm_task **prev_next; /* of job->active */
	struct request *r;            /* NULL: to be made again */
	uint32_t len;
	char line[];
};

struct warm_job {
	struct warm *w;
	uint32_t id; /* 0: the place is free */
	enum warm_source source;
	char name[WARM_NAME_MAX];
	char trouble[WARM_NAME_MAX * 2];
	struct warm_budget budget;
	uint64_t started_ns;
	uint64_t ended_ns; /* 0: it runs */
	bool fetching;     /* its list is on the way */
	char *text;        /* lines that wait, each with '\n'; from off */
	size_t len;
	size_t off;
	uint64_t waiting;
	uint64_t asked;
	uint64_t line;           /* number of the last that was taken off a whole list */
	uint32_t bad_said;       /* bad lines of it that were named in the log */
	struct warm_task *ready; /* the next; or those that a lost dataplane broke off */
	struct warm_task *active;
	uint64_t results[WARM_RESULTS];
};

struct warm_peer {
	struct warm_worker worker;
	struct warm_job *job;
	atomic_bool stop;
	char address[WARM_NAME_MAX];
	uint32_t timeout_ms;
	uint64_t max_bytes;
	/* What came of it */
	struct warm_list list;
	char trouble[WARM_NAME_MAX * 2];
};

struct warm_save {
	struct warm_worker worker;
	struct loop_timer timer; /* the next walk, or the next page of it */
	/* The walk over the cores' tables */
	bool walking;
	bool asking;
	uint32_t core;
	uint64_t cursor;
	uint32_t pages;
	uint64_t generation; /* of the dataplane that the cursor is of */
	uint64_t cooled_ns;
	/* For the thread */
	struct warm_pick pick;
	char path[1024];
	bool write;
	bool failed;
	bool said; /* that it cannot be written: once, until it can */
	char *list; /* made by the thread */
	size_t list_len;
	/* What peers get */
	pthread_mutex_t lock; /* of shared, shared_len, share */
	char *shared;
	size_t shared_len;
	bool share;
};

struct warm {
	struct control *ctl;
	struct warm_notes *notes;
	struct loop_timer timer; /* jobs */
	bool running;            /* jobs are looked at: no second time from inside */
	uint32_t job_seq;
	struct warm_job jobs[WARM_JOBS_MAX];
	struct warm_peer peer;
	struct warm_save save;
	/* Jobs at the start */
	struct warm_list start_list; /* the node's own, until a dataplane is attached */
	uint32_t start_job;          /* the one that runs */
	uint32_t start_peer;         /* the next to be asked */
	bool starting;
	atomic_uint_fast64_t served;
	struct warm_counts counts;
};

/* False: no thread. */
bool warm_worker_start(struct warm_worker *k, void (*work)(struct warm_worker *k));
/* True once, when the work has ended. */
bool warm_worker_ended(struct warm_worker *k);

/* warm.c */
/* Goes on with what the start warms. */
void warm_start_look(struct warm *w);

/* warm_job.c */
void warm_kick(struct warm *w);
void warm_jobs_run(struct loop_timer *t);
void warm_jobs_free(struct warm *w);
/* A whole list for a job that has none yet; its text is taken over. It may be long, and a
 * stranger's: its lines are looked at one by one, when their turn comes. */
void warm_job_list(struct warm_job *j, struct warm_list *list);
/* There is none, and trouble says why. */
void warm_job_no_list(struct warm_job *j, const char *trouble);
/* Takes text over and checks it. NULL, or what is wrong with it (then there is no list). */
const char *warm_list_take(struct warm_list *list, char *text, size_t len);
struct warm_job *warm_job_get(const struct warm *w, uint32_t id);

/* warm_peer.c */
bool warm_peer_start(struct warm *w, struct warm_job *j, const char *peer);
/* Has the list come? Gives it to its job. */
void warm_peer_look(struct warm *w);
void warm_peer_stop(struct warm *w);

/* warm_save.c */
enum status warm_save_start(struct warm *w);
void warm_save_stop(struct warm *w);
const char *warm_save_path(const struct config *cfg, char buf[static 1024]);

#endif
