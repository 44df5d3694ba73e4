/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config reload and show, drain. */
#include "control/admin/admin_cmd.h"
#include "control/admin/config_json.h"
#include "control/chan_server.h"
#include "control/metrics/prometheus.h"

static void on_reloaded(void *arg, enum status st, const char *text)
{
	struct admin_req *req = arg;
	const struct control *ctl = admin_req_control(req);

	if (st != ST_OK)
		admin_fail(req, "The configuration in force has not changed", "%s",
		           text && *text ? text : status_text(st));
	else
		admin_ok(req, json_pack("{s:s, s:s?, s:o}", "config", ctl ? ctl->config_path : "",
		                        "warning", text && *text ? text : NULL, "snapshot",
		                        ctl ? json_sprintf("%016llx",
		                                           (unsigned long long)ctl->snapshot->id)
		                            : json_null()));
}

void cmd_config_reload(struct admin_req *req, json_t *args)
{
	(void)args;
	control_reload(admin_req_control(req), on_reloaded, req);
}

void cmd_config_show(struct admin_req *req, json_t *args)
{
	(void)args;
	admin_ok(req, config_json(admin_req_control(req)->config));
}

void cmd_drain(struct admin_req *req, json_t *args)
{
	struct control *ctl = admin_req_control(req);
	bool undo = admin_arg_flag(args, "undo");
	uint64_t timeout_ms = admin_arg_uint(args, "timeout_ms", ctl->config->timeouts.drain_ms);

	if (!chan_server_attached(ctl->chan)) {
		admin_fail_detached(req);
		return;
	}
	if (!undo && (timeout_ms == 0 || timeout_ms > UINT32_MAX)) {
		admin_fail(req, "To end a drain, use `sluicectl drain --undo`",
		           "timeout_ms must be 1 to %u", UINT32_MAX);
		return;
	}
	if (undo)
		timeout_ms = 0;
	chan_server_drain(ctl->chan, (uint32_t)timeout_ms);
	/* ctl->draining is another matter: that control itself stops. */
	metrics_drained(ctl->metrics, undo ? 0 : chan_server_generation(ctl->chan));
	admin_ok(req,
	         json_pack("{s:b, s:I}", "draining", !undo, "timeout_ms", (json_int_t)timeout_ms));
}
