/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the admin server know of each other. Not for cmd_*.c: they see admin_cmd.h. */
#ifndef CONTROL_ADMIN_ADMIN_PRIV_H
#define CONTROL_ADMIN_ADMIN_PRIV_H

#include "control/admin/admin_cmd.h"

struct admin;
struct client;

/* Requests a second of each core, from two samples. */
struct admin_rates {
	uint64_t sampled_ns;
	uint64_t generation;
	uint64_t requests[CHAN_MAX_CORES];
	double per_s[CHAN_MAX_CORES];
};

/* A sample a second of each core, the newest ADMIN_HISTORY_S + 1. */
struct admin_history {
	uint64_t generation; /* of the dataplane that they are of */
	uint32_t cores;
	uint32_t count;              /* rows */
	uint32_t next;               /* row that is written next */
	struct core_sample *samples; /* [row][core] */
};

/* admin_history.c */
bool core_sample_take(struct chan_server *chan, uint32_t core, struct core_sample *out);
/* Once a second. */
void admin_history_sample(struct admin_history *h, struct chan_server *chan);
const struct core_sample *admin_history_find(const struct admin_history *h, uint64_t generation,
                                             uint32_t core, uint32_t seconds);
void admin_history_free(struct admin_history *h);

/* admin_rates.c */
void admin_rates_sample(struct admin_rates *r, struct chan_server *chan, uint64_t now_ns);

/* admin_listen.c: directory, stale file, bind, mode, listen. Logs what went wrong. */
enum status admin_listen(const char *path, int *fd_out);

/* admin_server.c */
struct control *admin_control(struct admin *admin);
struct admin_req **admin_reqs(struct admin *admin);
const struct admin_rates *admin_rates_of(const struct admin *admin);
const struct admin_history *admin_history_of(const struct admin *admin);
/* Sends an answer; text is taken over. */
void admin_client_answer(struct client *c, char *text, size_t len);

/* admin_req.c */
struct admin_req *admin_req_new(struct admin *admin, struct client *client);
/* Reads a line; an error in it is found by admin_req_run. NULL: out of memory. */
struct admin_req *admin_req_parse(struct admin *admin, struct client *client, const char *line,
                                  size_t len);
/* Calls the handler, or answers with what is wrong. */
void admin_req_run(struct admin_req *req);
/* The client is gone. */
void admin_req_orphan(struct admin_req *req);
/* The server goes: no request may touch it any more. */
void admin_reqs_detach(struct admin *admin);

#endif
