/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What cmd_*.c need: a request that is to be answered exactly once, now or from a later callback.
 * Between, the client or the whole server may go away: then the answer is dropped, and
 * admin_req_control gives NULL. Private to control/admin. */
#ifndef CONTROL_ADMIN_ADMIN_CMD_H
#define CONTROL_ADMIN_ADMIN_CMD_H

#include "control/admin/commands.h"
#include "control/control.h"
#include "lib/channel.h"

#include <jansson.h>

struct admin_req;

/* A handler answers req with admin_ok or admin_fail, at once or later. args holds only what
 * commands.def lists, in the types that it names; it lives as long as req. */
typedef void (*admin_handler)(struct admin_req *req, json_t *args);

/* NULL once the server was stopped. */
struct control *admin_req_control(const struct admin_req *req);
/* Takes result over; NULL means that memory ran out. Ends req. */
void admin_ok(struct admin_req *req, json_t *result);
/* hint: what to do about it, or NULL. Ends req. */
void admin_fail(struct admin_req *req, const char *hint, const char *fmt, ...) PRINTF(3, 4);
/* The answer when no dataplane is attached. */
void admin_fail_detached(struct admin_req *req);
/* Requests of a core in the last second; from the server's samples. */
double admin_req_rate(const struct admin_req *req, uint32_t core);

/* What a core did so far, read at one moment. */
enum core_figure {
	CORE_REQUESTS,
	CORE_POLLS,
	CORE_EMPTY,
	CORE_SLEEPS,
	CORE_BUSY_CYCLES,
	CORE_FIGURES
};

struct core_sample {
	uint64_t cycles; /* TSC at that moment; 0: none was taken */
	uint64_t figures[CORE_FIGURES];
	struct stages stages;
};

#define ADMIN_HISTORY_S 60u

/* Now; false when no dataplane is attached or it has no such core. */
bool admin_req_sample(const struct admin_req *req, uint32_t core, struct core_sample *out);
/* The newest of the server's samples that is at least so old, or the oldest; NULL: there is
 * none of this dataplane, or it is too young to tell anything (100 ms). */
const struct core_sample *admin_req_history(const struct admin_req *req, uint32_t core,
                                            uint32_t seconds);

/* Arguments. */
uint64_t admin_arg_uint(json_t *args, const char *name, uint64_t otherwise);
const char *admin_arg_string(json_t *args, const char *name);
bool admin_arg_flag(json_t *args, const char *name);

#define COMMAND(id, name, help) void cmd_##id(struct admin_req *req, json_t *args);
#define COMMAND_LOCAL(id, name, help)
#define ARG(cmd, name, type, kind, meta, help)
#include "control/admin/commands.def"
#undef COMMAND
#undef COMMAND_LOCAL
#undef ARG

/* Bytes that may hold anything, as a JSON string: those that are not UTF-8 are taken as Latin-1. */
json_t *admin_json_bytes(struct span s);

/* Age in seconds and what is left of the lifetime in ms (below 0: it is over), now_ms being wall
 * time; null of a list of variants, which has neither. */
struct object;
json_t *admin_json_age(const struct object *o, uint64_t now_ms);
json_t *admin_json_left(const struct object *o, uint64_t now_ms);

/* Asks every core at once and ends when the last has answered. */
struct admin_gather {
	enum chan_query kind;
	struct span key; /* for CHAN_QUERY_CACHE_GET; lives until finish */
	/* A core's answer, or why there is none (st). */
	void (*take)(void *arg, uint32_t core, enum status st, struct span bytes);
	/* Answers req and frees arg. */
	void (*finish)(struct admin_req *req, void *arg);
	void *arg;
};
void admin_gather_start(struct admin_req *req, const struct admin_gather *gather);

/* Walks what the cores answer to a query, core after core, page after page, and answers with
 * {rows_name: [...], "next": "CORE:CURSOR" or null}. */
struct admin_scan {
	enum chan_query kind;
	const char *rows_name;
	/* Appends the records that are wanted to rows; false when they are malformed. */
	bool (*take)(const struct admin_scan *scan, uint32_t core, struct span bytes, json_t *rows);
	int filter; /* for take */
};
/* args: "limit" (0 or above ADMIN_ROWS_MAX: ADMIN_ROWS_MAX; the last page may bring a few rows
 * more) and "cursor". */
void admin_scan_start(struct admin_req *req, const struct admin_scan *scan, json_t *args);

#endif
