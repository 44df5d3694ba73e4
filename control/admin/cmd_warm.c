/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache warm: begins a warming, gives it lines, and says how far it is. A long list comes in
 * several requests, each with the job of the first one. */
#include "control/admin/admin_cmd.h"
#include "control/admin/warm_json.h"

#include <stdio.h>

#define RATE_MAX        100000u
#define CONCURRENCY_MAX 1024u
#define SECONDS_MAX     86400u
#define BYTES_MAX       (1ull << 40)

static void bad_take(void *arg, uint32_t number, const char *why)
{
	json_t *rows = arg;

	json_array_append_new(rows, json_pack("{s:i, s:s}", "line", (int)number, "error", why));
}

/* False when it answered. */
static bool limit_read(struct admin_req *req, json_t *args, const char *name, uint64_t most,
                       uint64_t *out)
{
	*out = admin_arg_uint(args, name, 0);
	if (*out <= most && (*out > 0 || json_object_get(args, name) == NULL))
		return true;
	admin_fail(req, NULL, "%s must be from 1 to %llu", name, (unsigned long long)most);
	return false;
}

static bool limits_read(struct admin_req *req, json_t *args, struct warm_limits *out)
{
	uint64_t rate, concurrency, seconds;

	if (!limit_read(req, args, "rate", RATE_MAX, &rate) ||
	    !limit_read(req, args, "concurrency", CONCURRENCY_MAX, &concurrency) ||
	    !limit_read(req, args, "seconds", SECONDS_MAX, &seconds) ||
	    !limit_read(req, args, "bytes", BYTES_MAX, &out->bytes))
		return false;
	out->rate_per_s = (uint32_t)rate;
	out->concurrency = (uint32_t)concurrency;
	out->time_ms = seconds * 1000;
	return true;
}

/* "http://host:port". */
static bool peer_valid(const char *text)
{
	const char *rest = text + 7;

	return strncmp(text, "http://", 7) == 0 && strchr(rest, ':') != NULL &&
	       strlen(rest) < WARM_NAME_MAX && strpbrk(rest, "\r\n \t@?#") == NULL;
}

/* A new job; 0 when it answered. */
static uint32_t job_new(struct admin_req *req, json_t *args)
{
	const char *peer = admin_arg_string(args, "peer");
	const char *name = admin_arg_string(args, "name");
	struct warm_job_new how = {
	        .source = peer != NULL ? WARM_PEER : WARM_LIST,
	        .name = name != NULL   ? name
	                : peer != NULL ? peer
	                               : "list",
	        .peer = peer,
	};
	uint32_t id = 0;
	enum status st;

	if (peer != NULL && !peer_valid(peer)) {
		admin_fail(req, "Write for example http://10.0.0.2:9900",
		           "The peer's address is no good");
		return 0;
	}
	if (!limits_read(req, args, &how.limits))
		return 0;
	st = warm_job_start(admin_req_control(req)->warm, &how, &id);
	if (st == ST_UNSUPPORTED)
		admin_fail(req, "Set memory.store_bytes", "The node has no store to warm");
	else if (st == ST_FULL)
		admin_fail(req, "Wait for one to end: `sluicectl cache stats` lists them",
		           "Too many warmings run");
	else if (st != ST_OK)
		admin_fail(req, NULL, "%s", status_text(st));
	return st == ST_OK ? id : 0;
}

/* False when it answered: the arguments do not go together. */
static bool args_fit(struct admin_req *req, json_t *args)
{
	bool list = admin_arg_string(args, "list") != NULL;
	bool peer = admin_arg_string(args, "peer") != NULL;
	bool job = json_object_get(args, "job") != NULL;

	if ((peer && (list || job)) || (admin_arg_flag(args, "stop") && !job))
		admin_fail(req, "See `sluicectl cache warm --help`",
		           "These arguments do not go together");
	else if (!list && !peer && !job)
		admin_fail(
		        req,
		        "For example: sluicectl cache warm FILE; see `sluicectl cache warm --help`",
		        "There is no list: name a file, a peer, or a job");
	else
		return true;
	return false;
}

void cmd_cache_warm(struct admin_req *req, json_t *args)
{
	struct warm *w = admin_req_control(req)->warm;
	json_t *list = json_object_get(args, "list");
	uint64_t job = admin_arg_uint(args, "job", 0);
	struct warm_job_report report;
	json_t *bad, *out;
	size_t taken = 0;

	if (!args_fit(req, args))
		return;
	if (json_object_get(args, "job") == NULL) {
		job = job_new(req, args);
		if (job == 0)
			return;
	}
	if (job > UINT32_MAX || !warm_job_find(w, (uint32_t)job, &report)) {
		admin_fail(req, "`sluicectl cache stats` lists them", "There is no warming %llu",
		           (unsigned long long)job);
		return;
	}
	bad = json_array();
	if (list != NULL)
		(void)warm_job_add(w, (uint32_t)job,
		                   span_of(json_string_value(list), json_string_length(list)),
		                   bad_take, bad, &taken);
	if (admin_arg_flag(args, "stop"))
		(void)warm_job_stop(w, (uint32_t)job);
	(void)warm_job_find(w, (uint32_t)job, &report);
	out = warm_job_json(&report);
	json_object_set_new(out, "taken", json_boolean(json_string_length(list) == 0 || taken > 0));
	json_object_set_new(out, "bad", bad);
	admin_ok(req, out);
}
