/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The list of upstreams, as the configuration has them. An upstream that a reload takes out lives
 * on, unlisted, until its last request has ended. */
#include "control/upstream/conn.h"

#include "lib/log.h"
#include "lib/resolve.h"

#include <stdlib.h>

void upstream_ref(struct upstream *up)
{
	up->refs++;
}

static void upstream_free(struct upstream *up)
{
	for (uint32_t i = 0; i < up->addr_count; i++)
		free(up->addrs[i].text);
	free(up->addrs);
	free(up->cfg.name);
	free(up->cfg.host_header);
	free(up);
}

void upstream_unref(struct upstream *up)
{
	if (--up->refs == 0)
		upstream_free(up);
}

const struct config_upstream *upstream_config(const struct upstream *up)
{
	return &up->cfg;
}

struct upstream *upstream_find(struct upstreams *u, const char *name)
{
	for (struct upstream *up = u->list; up != NULL; up = up->next) {
		if (strcmp(up->cfg.name, name) != 0)
			continue;
		upstream_ref(up);
		return up;
	}
	return NULL;
}

/* Everything but the addresses. */
static enum status settings_copy(struct upstream *up, const struct config_upstream *cfg)
{
	char *name = strdup(cfg->name);
	char *host = cfg->host_header != NULL ? strdup(cfg->host_header) : NULL;

	if (name == NULL || (host == NULL && cfg->host_header != NULL)) {
		free(name);
		free(host);
		return ST_NOMEM;
	}
	free(up->cfg.name);
	free(up->cfg.host_header);
	up->cfg = *cfg;
	up->cfg.name = name;
	up->cfg.host_header = host;
	up->cfg.addresses = NULL;
	up->cfg.addresses_count = 0;
	return ST_OK;
}

static enum status upstream_new(struct upstreams *u, const struct config_upstream *cfg,
                                struct upstream **out)
{
	struct upstream *up = calloc(1, sizeof(*up));
	enum status st;
	char error[128];

	if (up == NULL)
		return ST_NOMEM;
	up->all = u;
	up->refs = 1;
	up->queue_end = &up->queue;
	up->addrs = calloc(max_u32(1, cfg->addresses_count), sizeof(*up->addrs));
	st = up->addrs != NULL ? settings_copy(up, cfg) : ST_NOMEM;
	for (uint32_t i = 0; i < cfg->addresses_count && st == ST_OK; i++) {
		struct address *a = &up->addrs[i];

		a->up = up;
		a->text = strdup(cfg->addresses[i]);
		up->addr_count++;
		if (a->text == NULL)
			st = ST_NOMEM;
		else
			st = resolve_address(a->text, &a->sa, &a->sa_len, error);
		if (st == ST_NOTFOUND || st == ST_INVALID)
			log_error("upstream", "upstream '%s': %s", cfg->name, error);
	}
	if (st != ST_OK) {
		upstream_free(up);
		return st;
	}
	*out = up;
	return ST_OK;
}

static bool same_addresses(const struct upstream *up, const struct config_upstream *cfg)
{
	if (up->addr_count != cfg->addresses_count)
		return false;
	for (uint32_t i = 0; i < up->addr_count; i++)
		if (strcmp(up->addrs[i].text, cfg->addresses[i]) != 0)
			return false;
	return true;
}

static void close_idle(struct upstream *up)
{
	upstream_ref(up);
	for (uint32_t i = 0; i < up->addr_count; i++)
		while (up->addrs[i].idle != NULL)
			conn_close(up->addrs[i].idle);
	upstream_unref(up);
}

static void list_retire(struct upstream *list)
{
	while (list != NULL) {
		struct upstream *next = list->next;

		list->next = NULL;
		list->listed = false;
		close_idle(list);
		upstream_unref(list);
		list = next;
	}
}

static struct upstream *take_same(struct upstream **list, const struct config_upstream *cfg)
{
	for (struct upstream **p = list; *p != NULL; p = &(*p)->next) {
		struct upstream *up = *p;

		if (strcmp(up->cfg.name, cfg->name) != 0 || !same_addresses(up, cfg))
			continue;
		*p = up->next;
		up->next = NULL;
		return up;
	}
	return NULL;
}

/* New objects for what is new, made first, so that a failure changes nothing. */
static enum status make_fresh(struct upstreams *u, const struct config *cfg,
                              struct upstream **fresh)
{
	for (uint32_t i = 0; i < cfg->upstreams_count; i++) {
		const struct config_upstream *cu = &cfg->upstreams[i];
		struct upstream *have = u->list;
		enum status st;

		while (have != NULL &&
		       (strcmp(have->cfg.name, cu->name) != 0 || !same_addresses(have, cu)))
			have = have->next;
		if (have != NULL)
			continue;
		st = upstream_new(u, cu, &fresh[i]);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status upstreams_reload(struct upstreams *u, const struct config *cfg)
{
	struct upstream **fresh = calloc(max_u32(1, cfg->upstreams_count), sizeof(*fresh));
	struct upstream *old = u->list;
	struct upstream **end = &u->list;
	enum status st;

	if (fresh == NULL)
		return ST_NOMEM;
	st = make_fresh(u, cfg, fresh);
	if (st != ST_OK) {
		for (uint32_t i = 0; i < cfg->upstreams_count; i++)
			if (fresh[i] != NULL)
				upstream_free(fresh[i]);
		free(fresh);
		return st;
	}
	u->list = NULL;
	for (uint32_t i = 0; i < cfg->upstreams_count; i++) {
		struct upstream *up = fresh[i];

		if (up == NULL) {
			up = take_same(&old, &cfg->upstreams[i]);
			/* Without memory for two short texts the former settings go on. */
			(void)settings_copy(up, &cfg->upstreams[i]);
		}
		up->listed = true;
		*end = up;
		end = &up->next;
	}
	free(fresh);
	list_retire(old);
	return ST_OK;
}

enum status upstreams_create(struct control *ctl, struct upstreams **out)
{
	struct upstreams *u = calloc(1, sizeof(*u));
	enum status st;

	if (u == NULL)
		return ST_NOMEM;
	u->ctl = ctl;
	u->dry_end = &u->dry;
	st = upstreams_reload(u, ctl->config);
	if (st != ST_OK) {
		free(u);
		return st;
	}
	*out = u;
	return ST_OK;
}

static void nothing(void *arg)
{
	(void)arg;
}

void upstreams_destroy(struct upstreams *u)
{
	list_retire(u->list);
	u->list = NULL;
	upstreams_drop(u, nothing, NULL);
	while (u->conns > 0)
		loop_once(u->ctl->loop, 10 * NS_PER_MS);
	free(u);
}

void upstreams_buffers(struct upstreams *u)
{
	struct conn *list = u->dry;

	u->dry = NULL;
	u->dry_end = &u->dry;
	while (list != NULL) {
		struct conn *c = list;

		list = c->dry_next;
		c->dry = false;
		conn_recv_update(c);
	}
}

void upstreams_drop(struct upstreams *u, void (*quiet)(void *arg), void *arg)
{
	struct conn *next;

	u->quiet = quiet;
	u->quiet_arg = arg;
	if (u->conns == 0) {
		quiet(arg);
		return;
	}
	u->dropping = true;
	for (struct conn *c = u->all; c != NULL && u->dropping; c = next) {
		next = c->next;
		conn_close(c);
	}
}

bool upstreams_row(const struct upstreams *u, uint32_t index, struct upstream_row *out)
{
	for (const struct upstream *up = u->list; up != NULL; up = up->next) {
		if (index >= up->addr_count) {
			index -= up->addr_count;
			continue;
		}
		const struct address *a = &up->addrs[index];

		*out = (struct upstream_row){
		        .name = up->cfg.name,
		        .address = a->text,
		        .open = a->open,
		        .idle = a->idle_count,
		        /* One queue serves all addresses; the first row shows it. */
		        .waiting = index == 0 ? up->waiting : 0,
		        .requests = a->requests,
		        .reused = a->reused,
		        .connects = a->connects,
		        .connect_errors = a->connect_errors,
		        .timeouts = a->timeouts,
		        .retries = a->retries,
		        .errors = a->errors,
		        .bytes_in = a->bytes_in,
		        .bytes_out = a->bytes_out,
		};
		return true;
	}
	return false;
}
