/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream list: one row for each address of each upstream. */
#include "control/admin/admin_cmd.h"
#include "control/upstream/upstream.h"

static json_t *row_json(const struct upstream_row *r)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	                 "upstream", r->name, "address", r->address, "open", (json_int_t)r->open,
	                 "idle", (json_int_t)r->idle, "waiting", (json_int_t)r->waiting, "requests",
	                 (json_int_t)r->requests, "reused", (json_int_t)r->reused, "connects",
	                 (json_int_t)r->connects, "connect_errors", (json_int_t)r->connect_errors,
	                 "timeouts", (json_int_t)r->timeouts, "retries", (json_int_t)r->retries,
	                 "errors", (json_int_t)r->errors, "bytes_in", (json_int_t)r->bytes_in,
	                 "bytes_out", (json_int_t)r->bytes_out);
}

void cmd_upstream_list(struct admin_req *req, json_t *args)
{
	const struct upstreams *u = admin_req_control(req)->upstreams;
	json_t *rows = json_array();
	struct upstream_row row;

	(void)args;
	for (uint32_t i = 0; upstreams_row(u, i, &row); i++)
		json_array_append_new(rows, row_json(&row));
	admin_ok(req, json_pack("{s:o}", "upstreams", rows));
}
