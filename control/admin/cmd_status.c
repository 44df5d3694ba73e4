/* SPDX-License-Identifier: BSD-2-Clause
 *
 * status and version. A core that does not answer is shown as such: status must work most of all
 * when something is wrong. */
#include "cache/l3.h"
#include "control/admin/admin_cmd.h"
#include "control/chan_server.h"
#include "control/metrics/metrics_view.h"
#include "control/metrics/summary.h"

#include <stdlib.h>
#include <unistd.h>

struct status_cmd {
	struct core_info {
		enum status st;
		struct chan_core_info info;
	} cores[CHAN_MAX_CORES];
};

static void status_take(void *arg, uint32_t core, enum status st, struct span bytes)
{
	struct status_cmd *cmd = arg;
	struct core_info *c = &cmd->cores[core];

	if (st == ST_OK && bytes.len != sizeof(c->info))
		st = ST_CORRUPT;
	c->st = st;
	if (st == ST_OK)
		memcpy(&c->info, bytes.ptr, sizeof(c->info));
}

static json_t *snapshot_id_json(uint64_t id)
{
	return json_sprintf("%016llx", (unsigned long long)id);
}

static json_t *core_json(const struct admin_req *req, const struct core_info *c, uint32_t core)
{
	const struct chan_core_info *i = &c->info;
	struct chan_server *chan = admin_req_control(req)->chan;
	struct core_stats *stats = aligned_alloc(CACHE_LINE, sizeof(*stats));
	json_t *row = json_pack("{s:i, s:b, s:s, s:f}", "core", (int)core, "answers",
	                        c->st == ST_OK, "answer", status_text(c->st), "requests_per_s",
	                        admin_req_rate(req, core));

	if (stats && chan_server_stats(chan, core, stats))
		json_object_set_new(row, "requests_total",
		                    json_integer((json_int_t)counter_read(&stats->counters,
		                                                          CTR_http_requests)));
	free(stats);
	if (c->st != ST_OK)
		return row;
	json_t *more = json_pack(
	        "{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b}", "cpu", (json_int_t)i->core_id,
	        "uptime_ms", (json_int_t)i->uptime_ms, "connections", (json_int_t)i->conns,
	        "misses_waiting", (json_int_t)i->misses_waiting, "up_blocks_free",
	        (json_int_t)i->up_blocks_free, "packets_free", (json_int_t)i->pkts_free, "snapshot",
	        snapshot_id_json(i->snapshot_id), "draining", i->draining != 0);

	json_object_update(row, more);
	json_decref(more);
	return row;
}

static json_t *control_json(const struct control *ctl)
{
	uint64_t up_ns = loop_now_ns(ctl->loop) - ctl->started_ns;
	struct metrics_tiers t;

	metrics_tiers_read(ctl, &t);
	return json_pack("{s:i, s:s, s:I, s:s, s:o, s:b, s:{s:I, s:I, s:I}}", "pid", (int)getpid(),
	                 "version", SLUICE_VERSION, "uptime_ms", (json_int_t)(up_ns / NS_PER_MS),
	                 "config", ctl->config_path, "snapshot",
	                 snapshot_id_json(ctl->snapshot->id), "stopping", ctl->draining, "store",
	                 "entries", (json_int_t)t.store.entries, "bytes", (json_int_t)t.store.bytes,
	                 "limit_bytes", (json_int_t)t.store.limit_bytes);
}

static json_t *dataplane_json(const struct admin_req *req, const struct status_cmd *cmd)
{
	struct chan_server *chan = admin_req_control(req)->chan;
	json_t *cores = json_array();
	uint64_t uptime_ms = 0;

	/* It may have gone while the cores were asked. */
	uint32_t count = chan_server_attached(chan) ? chan_server_cores(chan) : 0;

	for (uint32_t i = 0; i < count; i++) {
		uptime_ms = max_u64(uptime_ms, cmd->cores[i].info.uptime_ms);
		json_array_append_new(cores, core_json(req, &cmd->cores[i], i));
	}
	if (count == 0)
		return json_pack("{s:b, s:o}", "attached", 0, "cores", cores);
	return json_pack("{s:b, s:I, s:o, s:I, s:I, s:o}", "attached", 1, "pid",
	                 (json_int_t)chan_server_dataplane_pid(chan), "generation",
	                 json_sprintf("%016llx", (unsigned long long)chan_server_generation(chan)),
	                 "uptime_ms", (json_int_t)uptime_ms, "down_blocks_free",
	                 (json_int_t)chan_server_down_blocks_free(chan), "cores", cores);
}

/* Of the shared store; NULL: there is none. */
static json_t *l3_json(const struct control *ctl)
{
	struct l3_counts c;

	if (ctl->l3 == NULL || !l3_enabled(ctl->l3))
		return json_null();
	l3_counts(ctl->l3, &c);
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "backend",
	                 l3_backend_name(ctl->l3), "open", c.open, "servers", (json_int_t)c.servers,
	                 "servers_open", (json_int_t)c.servers_open, "in_flight",
	                 (json_int_t)c.in_flight, "gets", (json_int_t)c.gets, "hits",
	                 (json_int_t)c.hits, "corrupt", (json_int_t)c.corrupt);
}

static void status_finish(struct admin_req *req, void *arg)
{
	struct status_cmd *cmd = arg;
	struct control *ctl = admin_req_control(req);

	if (ctl)
		admin_ok(req, json_pack("{s:o, s:o, s:o}", "control", control_json(ctl),
		                        "dataplane", dataplane_json(req, cmd), "l3", l3_json(ctl)));
	else
		admin_fail(req, NULL, "%s", status_text(ST_CLOSED));
	free(cmd);
}

void cmd_status(struct admin_req *req, json_t *args)
{
	struct status_cmd *cmd = calloc(1, sizeof(*cmd));

	(void)args;
	if (!cmd) {
		admin_fail(req, NULL, "Out of memory");
		return;
	}
	for (uint32_t i = 0; i < CHAN_MAX_CORES; i++)
		cmd->cores[i].st = ST_CLOSED;
	struct admin_gather gather = {
	        .kind = CHAN_QUERY_INFO,
	        .take = status_take,
	        .finish = status_finish,
	        .arg = cmd,
	};

	admin_gather_start(req, &gather);
}

void cmd_version(struct admin_req *req, json_t *args)
{
	(void)args;
	admin_ok(req, json_pack("{s:s, s:s, s:i, s:i}", "name", "sluice-control", "version",
	                        SLUICE_VERSION, "channel_version", (int)CHAN_VERSION, "pid",
	                        (int)getpid()));
}
