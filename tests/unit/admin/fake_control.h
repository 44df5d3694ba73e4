/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Doubles of what the admin socket and the metrics ask of the rest of control, linked in its place.
 * A test sets the fields; a question is answered at once, or (later) when the test says so. */
#ifndef TESTS_UNIT_ADMIN_FAKE_CONTROL_H
#define TESTS_UNIT_ADMIN_FAKE_CONTROL_H

#include "control/chan_server.h"
#include "control/control.h"
#include "control/fetch.h"
#include "control/upstream/upstream.h"
#include "control/warm.h"

#define FAKE_PENDING_MAX 512u

struct fake_pending {
	uint32_t core;
	enum chan_query kind;
	uint64_t cursor;
	uint32_t max;
	chan_result_fn cb;
	void *arg;
};

struct chan_server {
	bool attached;
	uint64_t generation;
	bool later; /* answers wait for fake_answer_all */
	uint32_t cores;
	uint32_t conns;       /* a core */
	uint32_t entries;     /* a core */
	uint32_t entry_core;  /* CACHE_GET finds the key here only */
	bool no_answer_core1; /* core 1 gives ST_TIMEOUT */
	bool garbage;         /* records are malformed */
	uint32_t snapshot_calls;
	uint32_t drain_calls;
	uint32_t drain_ms;
	uint32_t purges;
	struct purge_order purge; /* the last one; its text is purge_text */
	char purge_text[256];
	struct core_stats *stats; /* cores of them */
	chan_attached_fn watcher;
	void *watcher_arg;
	struct fake_pending pending[FAKE_PENDING_MAX];
	uint32_t pending_count;
	chan_result_fn purge_cb;
	void *purge_arg;
};

/* A control with 2 cores, a small configuration with its sockets in dir, and a loop. */
struct control *fake_control_create(const char *dir, uint16_t metrics_port);
void fake_control_destroy(struct control *ctl);
/* Answers every question that waits, and those that follow from it. */
void fake_answer_all(struct chan_server *s);

/* What control_reload gives. */
struct fake_reload {
	enum status st;
	const char *text;
	uint32_t calls;
};
extern struct fake_reload fake_reload;

/* What the warmer was asked, and gives (fake_warm.c). */
struct fake_warm {
	enum status st; /* of a start */
	struct warm_job_new how;
	uint32_t started;
	uint32_t lines;
	uint32_t full; /* takes nothing so often */
	bool stopped;
	bool shares; /* has a hot list */
};
extern struct fake_warm fake_warm;

/* A new directory under /tmp; removed with everything in it by fake_dir_remove. */
char *fake_dir_make(void);
void fake_dir_remove(char *dir);

#endif
