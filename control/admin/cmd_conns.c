/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conns: connections as ss(8) lists them. */
#include "control/admin/admin_cmd.h"
#include "control/admin/tcp_states.h"

#include <arpa/inet.h>
#include <stdio.h>

static json_t *endpoint_json(const uint8_t addr[16], uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char text[INET6_ADDRSTRLEN];

	if (memcmp(addr, mapped, sizeof(mapped)) == 0) {
		inet_ntop(AF_INET, addr + 12, text, sizeof(text));
		return json_sprintf("%s:%u", text, port);
	}
	inet_ntop(AF_INET6, addr, text, sizeof(text));
	return json_sprintf("[%s]:%u", text, port);
}

static json_t *row_json(const struct chan_conn_row *r, uint32_t core)
{
	return json_pack("{s:i, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "core",
	                 (int)core, "state", admin_tcp_state_name(r->state), "local",
	                 endpoint_json(r->local, r->local_port), "remote",
	                 endpoint_json(r->remote, r->remote_port), "srtt_us",
	                 (json_int_t)r->srtt_us, "cwnd_bytes", (json_int_t)r->cwnd_bytes,
	                 "snd_queued_bytes", (json_int_t)r->snd_queued_bytes, "rcv_queued_bytes",
	                 (json_int_t)r->rcv_queued_bytes, "retransmits", (json_int_t)r->retransmits,
	                 "age_s", (json_int_t)r->age_s, "idle_ms", (json_int_t)r->idle_ms);
}

static bool rows_take(const struct admin_scan *scan, uint32_t core, struct span bytes, json_t *rows)
{
	struct chan_conn_row row;

	if (bytes.len % sizeof(row) != 0)
		return false;
	for (size_t off = 0; off < bytes.len; off += sizeof(row)) {
		memcpy(&row, bytes.ptr + off, sizeof(row));
		if (scan->filter >= 0 && row.state != scan->filter)
			continue;
		if (json_array_append_new(rows, row_json(&row, core)) != 0)
			return false;
	}
	return true;
}

void cmd_conns(struct admin_req *req, json_t *args)
{
	struct admin_scan scan = {
	        .kind = CHAN_QUERY_CONNS,
	        .rows_name = "conns",
	        .take = rows_take,
	        .filter = -1,
	};
	const char *state = admin_arg_string(args, "state");

	if (state) {
		scan.filter = admin_tcp_state_find(state);
		if (scan.filter < 0) {
			admin_fail(req, ADMIN_TCP_STATES_TEXT, "No TCP state \"%s\"", state);
			return;
		}
	}
	admin_scan_start(req, &scan, args);
}
