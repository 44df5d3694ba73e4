/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A new configuration, live: read, compiled, taken by every core, then by control. Until the cores
 * have taken it nothing that could not be undone has changed; requests of both configurations are
 * served in between. */
#include "control/chan_server.h"
#include "control/fetch.h"
#include "control/upstream/upstream.h"
#include "control/warm.h"

#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 640u

struct reload {
	struct control *ctl;
	struct config *config;
	struct snapshot *snapshot;
	control_done_fn done;
	void *arg;
};

static bool text_differs(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a != b;
	return strcmp(a, b) != 0;
}

static bool listeners_differ(const struct config *a, const struct config *b)
{
	if (a->listeners_count != b->listeners_count)
		return true;
	for (unsigned i = 0; i < a->listeners_count; i++)
		if (text_differs(a->listeners[i].address, b->listeners[i].address) ||
		    a->listeners[i].port != b->listeners[i].port)
			return true;
	return false;
}

static bool port_differs(const struct config_port *a, const struct config_port *b)
{
	if (a->type != b->type || text_differs(a->interface, b->interface) ||
	    text_differs(a->device, b->device) || text_differs(a->role, b->role))
		return true;
	if (a->rx_descriptors != b->rx_descriptors || a->tx_descriptors != b->tx_descriptors ||
	    a->mtu != b->mtu)
		return true;
	return a->cores_count != b->cores_count;
}

static bool cores_differ(const struct config_port *a, const struct config_port *b)
{
	for (unsigned i = 0; i < a->cores_count && i < b->cores_count; i++)
		if (a->cores[i] != b->cores[i])
			return true;
	return false;
}

static bool ports_differ(const struct config *a, const struct config *b)
{
	if (a->ports_count != b->ports_count)
		return true;
	for (unsigned i = 0; i < a->ports_count; i++)
		if (port_differs(&a->ports[i], &b->ports[i]) ||
		    cores_differ(&a->ports[i], &b->ports[i]))
			return true;
	return false;
}

static bool memory_differs(const struct config_memory *a, const struct config_memory *b)
{
	return a->huge_pages != b->huge_pages || a->hot_table_bytes != b->hot_table_bytes ||
	       a->store_bytes != b->store_bytes || a->packet_buffers != b->packet_buffers ||
	       a->large_buffers != b->large_buffers ||
	       a->channel_ring_entries != b->channel_ring_entries ||
	       a->up_block_bytes != b->up_block_bytes || a->up_blocks != b->up_blocks ||
	       a->down_block_bytes != b->down_block_bytes || a->down_blocks != b->down_blocks;
}

static bool tables_differ(const struct config_limits *a, const struct config_limits *b)
{
	return a->connections != b->connections || a->syn_backlog != b->syn_backlog ||
	       a->requests != b->requests || a->rx_buffer_bytes != b->rx_buffer_bytes ||
	       a->rx_buffers != b->rx_buffers || a->rx_window_bytes != b->rx_window_bytes ||
	       a->connections_per_address != b->connections_per_address ||
	       a->loss_boards != b->loss_boards || a->orphans != b->orphans ||
	       a->store_object_bytes != b->store_object_bytes || a->variants != b->variants ||
	       a->time_waits != b->time_waits || a->tx_queue_bytes != b->tx_queue_bytes;
}

static bool tcp_differs(const struct config_tcp *a, const struct config_tcp *b)
{
	return memcmp(a, b, sizeof(*a)) != 0;
}

static bool admin_differs(const struct config_admin *a, const struct config_admin *b)
{
	return text_differs(a->socket, b->socket) ||
	       text_differs(a->metrics_address, b->metrics_address) ||
	       a->metrics_port != b->metrics_port;
}

static bool l3_differs(const struct config_l3 *a, const struct config_l3 *b)
{
	if (a->addresses_count != b->addresses_count)
		return true;
	for (unsigned i = 0; i < a->addresses_count; i++)
		if (text_differs(a->addresses[i], b->addresses[i]))
			return true;
	return a->backend != b->backend || a->cluster != b->cluster ||
	       text_differs(a->user, b->user) || text_differs(a->password_file, b->password_file) ||
	       text_differs(a->prefix, b->prefix) || a->timeout_ms != b->timeout_ms ||
	       a->connect_ms != b->connect_ms || a->retry_ms != b->retry_ms ||
	       a->failures != b->failures || a->in_flight != b->in_flight ||
	       a->pending_bytes != b->pending_bytes || a->object_bytes != b->object_bytes ||
	       a->compress_bytes != b->compress_bytes || a->memory_bytes != b->memory_bytes ||
	       a->purges_kept != b->purges_kept;
}

/* What only a restart brings about; "" when there is nothing. */
static void restart_text(const struct config *a, const struct config *b, char out[static TEXT_MAX])
{
	const struct {
		bool differs;
		const char *name;
	} parts[] = {
	        {listeners_differ(a, b), "listeners"},
	        {ports_differ(a, b), "ports"},
	        {memory_differs(&a->memory, &b->memory), "memory"},
	        {tables_differ(&a->limits, &b->limits), "limits of tables and buffers"},
	        {tcp_differs(&a->tcp, &b->tcp), "tcp"},
	        {l3_differs(&a->cache.l3, &b->cache.l3), "cache.l3"},
	        {a->cache.warm.notes_bytes != b->cache.warm.notes_bytes, "cache.warm.notes_bytes"},
	        {admin_differs(&a->admin, &b->admin), "admin"},
	        {text_differs(a->run_dir, b->run_dir), "run_dir"},
	};
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].differs)
			at += (size_t)snprintf(out + at, TEXT_MAX - at, "%s%s",
			                       at == 0 ? "restart needed for: " : ", ",
			                       parts[i].name);
}

static void reload_end(struct reload *r, enum status st, const char *text)
{
	if (st == ST_OK)
		log_info("control", "configuration reloaded%s%s", text[0] ? "; " : "", text);
	else
		log_error("control", "reload refused: %s", text);
	r->done(r->arg, st, text);
	config_free(r->config);
	free(r->snapshot);
	free(r);
}

static void reload_commit(struct reload *r)
{
	struct control *ctl = r->ctl;
	struct config *old_config = ctl->config;
	struct snapshot *old_snapshot = ctl->snapshot;
	char text[TEXT_MAX];

	restart_text(ctl->first, r->config, text);
	fetcher_plan_commit(ctl->fetcher);
	ctl->config = r->config;
	ctl->snapshot = r->snapshot;
	r->config = old_config == ctl->first ? NULL : old_config;
	r->snapshot = old_snapshot;
	log_set_level(ctl->config->log_level);
	warm_reloaded(ctl->warm);
	reload_end(r, ST_OK, text);
}

static void cores_answered(void *arg, enum status st, const char *text)
{
	struct reload *r = arg;
	struct control *ctl = r->ctl;

	ctl->reloading = false;
	/* Without a dataplane control changes alone; the next one to attach is told when it
	 * differs. */
	if (st == ST_OK || st == ST_CLOSED) {
		reload_commit(r);
		return;
	}
	fetcher_plan_drop(ctl->fetcher);
	if (upstreams_reload(ctl->upstreams, ctl->config) != ST_OK)
		log_error("control", "cannot go back to the former upstreams");
	reload_end(r, st, text);
}

void control_reload(struct control *ctl, control_done_fn done, void *arg)
{
	struct reload *r = calloc(1, sizeof(*r));
	struct config_error err = {.text = ""};
	enum status st;

	if (r == NULL) {
		done(arg, ST_NOMEM, status_text(ST_NOMEM));
		return;
	}
	*r = (struct reload){.ctl = ctl, .done = done, .arg = arg};
	if (ctl->reloading) {
		reload_end(r, ST_EXISTS, "another reload is under way; try again");
		return;
	}
	st = config_load(ctl->config_path, &r->config, &err);
	if (st == ST_OK)
		st = snapshot_build(r->config, &r->snapshot, &err);
	if (st != ST_OK) {
		reload_end(r, st, err.text);
		return;
	}
	st = upstreams_reload(ctl->upstreams, r->config);
	if (st != ST_OK) {
		reload_end(r, st, "an upstream's address cannot be resolved; see the log");
		return;
	}
	st = fetcher_plan_add(ctl->fetcher, r->snapshot, r->config);
	if (st != ST_OK) {
		reload_end(r, st, status_text(st));
		return;
	}
	ctl->reloading = true;
	chan_server_snapshot(ctl->chan, r->snapshot, cores_answered, r);
}
