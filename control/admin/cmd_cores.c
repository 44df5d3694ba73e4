/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cores: what each core did in an interval, from two readings of the shared memory. No core is
 * asked, so that one that hangs is shown as well. */
#include "control/admin/admin_cmd.h"
#include "control/chan_server.h"
#include "lib/clock.h"

/* Two readings of a core. */
struct interval {
	const struct core_sample *from;
	const struct core_sample *to;
	double seconds;
};

static json_t *ratio(double a, double b)
{
	return b > 0 ? json_real(a / b) : json_null();
}

static uint64_t figure(const struct interval *t, enum core_figure f)
{
	return t->to->figures[f] - t->from->figures[f];
}

/* A stage's fields in the interval. */
static struct stage_stats stage_between(const struct interval *t, uint32_t i)
{
	const struct stage_stats *a = &t->from->stages.stage[i], *b = &t->to->stages.stage[i];

	return (struct stage_stats){
	        .calls = b->calls - a->calls,
	        .items = b->items - a->items,
	        .timed_calls = b->timed_calls - a->timed_calls,
	        .timed_items = b->timed_items - a->timed_items,
	        .timed_cycles = b->timed_cycles - a->timed_cycles,
	        .max_cycles = b->max_cycles,
	        .peak_cycles = b->peak_cycles,
	        .last_peak_cycles = b->last_peak_cycles,
	};
}

/* The cycles of all calls, from those that were timed. A stage that only had empty calls took its
 * share of the rounds. */
static double stage_cycles(const struct interval *t, const struct stage_stats *s)
{
	const struct stages *a = &t->from->stages, *b = &t->to->stages;
	uint64_t rounds = b->rounds - a->rounds, timed = b->timed_rounds - a->timed_rounds;

	if (s->timed_calls > 0)
		return (double)s->timed_cycles * (double)s->calls / (double)s->timed_calls;
	return timed > 0 ? (double)s->timed_cycles * (double)rounds / (double)timed : 0;
}

static json_t *stage_json(const struct stage_info *info, const struct stage_stats *s, double share,
                          double max_cycles)
{
	return json_pack(
	        "{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I}", "stage", info->name, "item",
	        info->item, "calls", (json_int_t)s->calls, "items", (json_int_t)s->items,
	        "items_per_call", ratio((double)s->items, (double)s->calls), "cycles_per_item",
	        ratio((double)s->timed_cycles, (double)s->timed_items), "max_us",
	        max_cycles > 0 ? json_real(max_cycles / clock_cycles_per_ns() / (double)NS_PER_US)
	                       : json_null(),
	        "share", share >= 0 ? json_real(share) : json_null(), "timed_items",
	        (json_int_t)s->timed_items, "timed_cycles", (json_int_t)s->timed_cycles);
}

/* What the command was asked for. */
struct cores_cmd {
	struct admin_req *req;
	uint32_t seconds; /* 0: since the start */
};

/* The longest call. Peaks are of one to two seconds, so the newest reading and those between it and
 * the first cover the interval, and up to a second before it. */
static double stage_max(const struct cores_cmd *cmd, uint32_t core, uint32_t id,
                        const struct stage_stats *now)
{
	uint64_t most = max_u64(now->peak_cycles, now->last_peak_cycles);

	if (cmd->seconds == 0)
		return (double)now->max_cycles;
	for (uint32_t back = 1; back < cmd->seconds; back++) {
		const struct core_sample *s = admin_req_history(cmd->req, core, back);

		if (s != NULL)
			most = max_u64(most, max_u64(s->stages.stage[id].peak_cycles,
			                             s->stages.stage[id].last_peak_cycles));
	}
	return (double)most;
}

static json_t *stages_json(const struct cores_cmd *cmd, uint32_t core, const struct interval *t)
{
	json_t *rows = json_array();
	struct stage_stats stats[STAGE_COUNT];
	double cycles[STAGE_COUNT], all = 0;

	for (uint32_t i = 0; i < STAGE_COUNT; i++) {
		stats[i] = stage_between(t, i);
		cycles[i] = stage_cycles(t, &stats[i]);
		all += cycles[i];
	}
	for (uint32_t i = 0; i < STAGE_COUNT; i++)
		json_array_append_new(rows, stage_json(&stage_infos[i], &stats[i],
		                                       all > 0 ? cycles[i] / all : -1,
		                                       stage_max(cmd, core, i, &stats[i])));
	return rows;
}

static json_t *bursts_json(const struct interval *t)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < STAGE_BURSTS; i++) {
		uint32_t most = stage_burst_most(i);

		json_array_append_new(
		        rows,
		        json_pack("{s:I, s:o, s:I}", "least", (json_int_t)stage_burst_least(i),
		                  "most",
		                  most == UINT32_MAX ? json_null() : json_integer((json_int_t)most),
		                  "count",
		                  (json_int_t)(t->to->stages.burst[i] - t->from->stages.burst[i])));
	}
	return rows;
}

/* silent: not one round, so it hangs, or its CPU is somebody else's. */
static const char *state(const struct interval *t)
{
	if (figure(t, CORE_POLLS) == 0)
		return "silent";
	return figure(t, CORE_SLEEPS) > 0 ? "sleeping" : "polling";
}

static const char *mode_name(uint32_t mode)
{
	static const char *const names[] = {"off", "sampled", "all"};

	return mode < ARRAY_LEN(names) ? names[mode] : "unknown";
}

static json_t *core_json(const struct cores_cmd *cmd, uint32_t core, const struct interval *t)
{
	struct stage_stats rx = stage_between(t, STAGE_rx);
	double polls = (double)figure(t, CORE_POLLS), busy = (double)figure(t, CORE_BUSY_CYCLES);
	double requests = (double)figure(t, CORE_REQUESTS);
	json_t *row = json_pack("{s:i, s:I, s:s, s:f, s:s, s:o, s:o, s:o}", "core", (int)core,
	                        "cpu", (json_int_t)t->to->stages.cpu, "state", state(t), "seconds",
	                        t->seconds, "timed", mode_name(t->to->stages.mode), "busy_ratio",
	                        ratio(busy, (double)(t->to->cycles - t->from->cycles)),
	                        "loops_per_s", ratio(polls, t->seconds), "empty_ratio",
	                        ratio((double)figure(t, CORE_EMPTY), polls));
	json_t *more =
	        json_pack("{s:o, s:o, s:o, s:o, s:o}", "packets_per_burst",
	                  ratio((double)rx.items, (double)rx.calls), "requests_per_s",
	                  ratio(requests, t->seconds), "cycles_per_request", ratio(busy, requests),
	                  "bursts", bursts_json(t), "stages", stages_json(cmd, core, t));

	json_object_update(row, more);
	json_decref(more);
	return row;
}

static bool core_append(const struct cores_cmd *cmd, uint32_t core, json_t *rows)
{
	struct core_sample now, start = {0};
	struct interval t = {.to = &now};

	if (!admin_req_sample(cmd->req, core, &now))
		return false;
	start.cycles = now.stages.started_cycles;
	if (cmd->seconds > 0)
		t.from = admin_req_history(cmd->req, core, cmd->seconds);
	/* A dataplane that was never sampled is younger than a second, or was without control. */
	if (t.from == NULL)
		t.from = &start;
	t.seconds =
	        (double)(now.cycles - t.from->cycles) / clock_cycles_per_ns() / (double)NS_PER_S;
	json_array_append_new(rows, core_json(cmd, core, &t));
	return true;
}

void cmd_cores(struct admin_req *req, json_t *args)
{
	struct chan_server *chan = admin_req_control(req)->chan;
	uint64_t seconds = admin_arg_uint(args, "seconds", 1);
	bool total = admin_arg_flag(args, "total");
	struct cores_cmd cmd = {.req = req, .seconds = total ? 0 : (uint32_t)seconds};

	if (seconds < 1 || seconds > ADMIN_HISTORY_S) {
		admin_fail(req, "Or total, for all of the time since the start",
		           "\"seconds\" must be 1 to %u", ADMIN_HISTORY_S);
		return;
	}
	json_t *rows = json_array();

	for (uint32_t i = 0; i < chan_server_cores(chan); i++) {
		if (!core_append(&cmd, i, rows))
			break;
	}
	if (json_array_size(rows) == 0) {
		json_decref(rows);
		admin_fail_detached(req);
		return;
	}
	admin_ok(req, json_pack("{s:b, s:o}", "total", total, "cores", rows));
}
