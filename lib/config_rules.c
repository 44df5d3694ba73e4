/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What makes sense together. Runs when every value is there and in its own range. */
#include "lib/config_private.h"
#include "lib/channel.h"
#include "lib/cidr.h"
#include "lib/http1.h"
#include "lib/span.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/un.h>

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
/* The names of sockets in run_dir ("/control.sock") need room too. */
#define RUN_DIR_MAX (SOCKET_PATH_MAX - 32)
#define NODE_MAX    64u
/* A smaller store would be little more than its tables. */
#define STORE_BYTES_MIN (1u << 20)

struct rules {
	const struct doc *doc;
	const struct config *cfg;
	struct config_error *err;
	char path[DOC_MAX_PATH];
};

/* The node of list[i].key, or what is nearest to it. */
static const struct doc_node *item_at(const struct rules *r, const char *list, unsigned i,
                                      const char *key)
{
	const struct doc_node *item = doc_item(doc_key(r->doc->root, list), i);
	const struct doc_node *node = key ? doc_key(item, key) : NULL;

	return node ? node : item;
}

static const struct doc_node *key_at(const struct rules *r, const char *section, const char *key)
{
	const struct doc_node *at = section ? doc_key(r->doc->root, section) : r->doc->root;
	const struct doc_node *node = doc_key(at, key);

	if (node)
		return node;
	return at ? at : r->doc->root;
}

/* wrong goes on after the value's name: "is no ...; write ...". */
static enum status bad_text(struct rules *r, const struct doc_node *node, const char *text,
                            const char *wrong)
{
	return doc_error(r->doc, node, r->err, "%s '%.60s' %s", doc_path(node, r->path), text,
	                 wrong);
}

static bool all_in(const char *text, const char *more)
{
	for (; *text != '\0'; text++)
		if (!(*text >= '0' && *text <= '9') && !(*text >= 'a' && *text <= 'z') &&
		    !(*text >= 'A' && *text <= 'Z') && !strchr(more, *text))
			return false;
	return true;
}

static enum status rules_top(struct rules *r)
{
	const struct config *cfg = r->cfg;

	/* Via's received-by pseudonym is a token (RFC 9110 7.6.3). */
	if (!all_in(cfg->node, "!#$%&'*+-.^_`|~") || strlen(cfg->node) > NODE_MAX)
		return doc_error(r->doc, key_at(r, NULL, "node"), r->err,
		                 "node '%.60s' is no name for a node; write up to 64 letters, "
		                 "digits, '-' and '.'",
		                 cfg->node);
	if (cfg->run_dir[0] != '/' || strlen(cfg->run_dir) > RUN_DIR_MAX)
		return bad_text(r, key_at(r, NULL, "run_dir"), cfg->run_dir,
		                "is no absolute path of at most 75 bytes; write for example "
		                "/run/sluice");
	if (cfg->admin.socket[0] != '/' || strlen(cfg->admin.socket) > SOCKET_PATH_MAX)
		return bad_text(r, key_at(r, "admin", "socket"), cfg->admin.socket,
		                "is no absolute path of at most 107 bytes; write for example "
		                "/run/sluice/admin.sock");
	const char *wrong = config_check_address(cfg->admin.metrics_address);

	if (wrong)
		return bad_text(r, key_at(r, "admin", "metrics_address"),
		                cfg->admin.metrics_address, wrong);
	for (unsigned i = 0; i < cfg->admin.purge_from_count; i++) {
		struct cidr range;

		if (!cidr_parse(cfg->admin.purge_from[i], &range))
			return bad_text(r, doc_item(key_at(r, "admin", "purge_from"), i),
			                cfg->admin.purge_from[i],
			                "is no range of addresses; write for example 10.0.0.0/8, "
			                "2001:db8::/32 or one address");
	}
	return ST_OK;
}

struct ip {
	int family;
	unsigned char bytes[sizeof(struct in6_addr)];
};

static struct ip ip_parse(const char *text)
{
	struct ip ip = {.family = AF_INET};

	if (inet_pton(AF_INET, text, ip.bytes) == 1)
		return ip;
	ip.family = AF_INET6;
	(void)inet_pton(AF_INET6, text, ip.bytes);
	return ip;
}

static const char *listener_wrong(const struct ip *ip)
{
	static const unsigned char none[sizeof(struct in6_addr)], one[16] = {[15] = 1};

	if (memcmp(ip->bytes, none, sizeof(none)) == 0)
		return "stands for every address; name the one that Sluice shall answer on";
	if (ip->family == AF_INET && ip->bytes[0] == 127)
		return "is a loopback address, which no network port sees; name one of the network";
	if (ip->family == AF_INET6 && memcmp(ip->bytes, one, sizeof(one)) == 0)
		return "is a loopback address, which no network port sees; name one of the network";
	if (ip->family == AF_INET && ip->bytes[0] >= 224)
		return "is a multicast or reserved address; name a unicast one";
	if (ip->family == AF_INET6 && ip->bytes[0] == 0xff)
		return "is a multicast address; name a unicast one";
	if (ip->family == AF_INET6 && memcmp(ip->bytes, none, 10) == 0 && ip->bytes[10] == 0xff &&
	    ip->bytes[11] == 0xff)
		return "is an IPv4-mapped address; write it as IPv4";
	return NULL;
}

static enum status rules_listener(struct rules *r, unsigned i)
{
	const struct config_listener *l = &r->cfg->listeners[i];
	const struct doc_node *node = item_at(r, "listeners", i, "address");
	const char *wrong = config_check_address(l->address);
	struct ip ip;

	if (wrong)
		return bad_text(r, node, l->address, wrong);
	ip = ip_parse(l->address);
	wrong = listener_wrong(&ip);
	if (wrong)
		return bad_text(r, node, l->address, wrong);
	for (unsigned k = 0; k < i; k++) {
		const struct config_listener *other = &r->cfg->listeners[k];
		struct ip other_ip = ip_parse(other->address);

		if (other->port == l->port && memcmp(&ip, &other_ip, sizeof(ip)) == 0)
			return doc_error(r->doc, node, r->err,
			                 "listeners[%u] is the same as listeners[%u]; remove one "
			                 "or give it another port",
			                 i, k);
	}
	return ST_OK;
}

static const char *interface_wrong(const char *name)
{
	/* Ends up in a DPDK device argument, where ',' and '=' have a meaning. */
	if (strlen(name) >= IFNAMSIZ || !all_in(name, "-_.:@"))
		return "is no name of an interface; write up to 15 letters, digits, '-', '_', '.'";
	return NULL;
}

static const char *device_wrong(enum config_port_type type, const char *device)
{
	if (type == PORT_MEMIF)
		return device[0] == '/' && strlen(device) <= SOCKET_PATH_MAX &&
		                       all_in(device, "-_./@+")
		               ? NULL
		               : "is no absolute path of a socket; write for example "
		                 "/run/sluice/memif.sock";
	return all_in(device, ":.") ? NULL : "is no PCI address; write for example 0000:3b:00.0";
}

static enum status rules_port_name(struct rules *r, unsigned i)
{
	const struct config_port *p = &r->cfg->ports[i];
	bool by_device = p->type == PORT_MEMIF || p->type == PORT_PCI;
	const char *name = by_device ? p->device : p->interface;
	const char *other = by_device ? p->interface : p->device;
	const char *key = by_device ? "device" : "interface";
	const struct doc_node *node = item_at(r, "ports", i, key);
	const char *wrong;

	if (other)
		return doc_key_error(
		        r->doc, item_at(r, "ports", i, by_device ? "interface" : "device"), r->err,
		        "ports[%u] is named by '%s', given its type; remove '%s'", i, key,
		        by_device ? "interface" : "device");
	if (!name)
		return doc_error(r->doc, node, r->err,
		                 "ports[%u] has no '%s'; add it, for example: "
		                 "%s: %s",
		                 i, key, key,
		                 p->type == PORT_MEMIF ? "/run/sluice/memif.sock"
		                 : by_device           ? "0000:3b:00.0"
		                                       : "eth1");
	wrong = by_device ? device_wrong(p->type, name) : interface_wrong(name);
	if (wrong)
		return bad_text(r, node, name, wrong);
	for (unsigned k = 0; k < i; k++) {
		const struct config_port *q = &r->cfg->ports[k];
		const char *taken = by_device ? q->device : q->interface;

		if (taken && strcmp(taken, name) == 0)
			return bad_text(r, node, name, "is used by another port; each has its own");
	}
	return ST_OK;
}

static enum status rules_port(struct rules *r, unsigned i)
{
	const struct config_port *p = &r->cfg->ports[i];
	enum status st = rules_port_name(r, i);

	if (st != ST_OK)
		return st;
	if (p->type != PORT_MEMIF && doc_key(item_at(r, "ports", i, NULL), "role"))
		return doc_key_error(r->doc, item_at(r, "ports", i, "role"), r->err,
		                     "ports[%u].role is for memif only; remove it", i);
	if (strcmp(p->role, "server") != 0 && strcmp(p->role, "client") != 0)
		return bad_text(r, item_at(r, "ports", i, "role"), p->role,
		                "is neither 'server' nor 'client'");
	if (p->mtu > 0 && p->mtu < 1280)
		return doc_error(r->doc, item_at(r, "ports", i, "mtu"), r->err,
		                 "ports[%u].mtu is %u; it must be 0 or at least 1280 (RFC 8200 5)",
		                 i, p->mtu);
	if (r->cfg->memory.packet_buffers < config_port_buffers(p))
		return doc_error(r->doc, key_at(r, "memory", "packet_buffers"), r->err,
		                 "memory.packet_buffers is %u, too few for the descriptors of "
		                 "ports[%u]; at least %u",
		                 r->cfg->memory.packet_buffers, i, config_port_buffers(p));
	return ST_OK;
}

static enum status core_taken(struct rules *r, unsigned port, unsigned queue)
{
	unsigned cpu = r->cfg->ports[port].cores[queue];
	const struct doc_node *list = item_at(r, "ports", port, "cores");
	const struct doc_node *node = doc_item(list, queue);

	for (unsigned p = 0; p <= port; p++) {
		const struct config_port *q = &r->cfg->ports[p];
		unsigned end = p == port ? queue : q->cores_count;

		for (unsigned k = 0; k < end; k++)
			if (q->cores[k] == cpu)
				return doc_error(r->doc, node ? node : list, r->err,
				                 "ports[%u].cores: CPU %u polls queue %u of "
				                 "ports[%u] already; each queue needs its own",
				                 port, cpu, k, p);
	}
	return ST_OK;
}

static enum status rules_cores(struct rules *r)
{
	enum status st = ST_OK;
	unsigned total = 0;

	for (unsigned p = 0; p < r->cfg->ports_count && st == ST_OK; p++) {
		total += r->cfg->ports[p].cores_count;
		for (unsigned q = 0; q < r->cfg->ports[p].cores_count && st == ST_OK; q++)
			st = core_taken(r, p, q);
		if (st == ST_OK && total > CHAN_MAX_CORES)
			st = doc_error(r->doc, item_at(r, "ports", p, "cores"), r->err,
			               "the ports have %u cores together; at most %u", total,
			               CHAN_MAX_CORES);
	}
	return st;
}

/* One number must not exceed another. */
struct order {
	const char *section;
	const char *key;
	const char *than;     /* its name, for people */
	const char *section2; /* where the other is, when the first is not in the file */
	const char *key2;
	uint64_t value;
	uint64_t most;
};

static enum status rules_orders(struct rules *r)
{
	const struct config *c = r->cfg;
	const struct order orders[] = {
	        {"limits", "head_bytes", "memory.up_block_bytes - 4096", "memory", "up_block_bytes",
	         c->limits.head_bytes, c->memory.up_block_bytes - 4096},
	        {"limits", "response_head_bytes", "memory.down_block_bytes - 3072", "memory",
	         "down_block_bytes", c->limits.response_head_bytes,
	         c->memory.down_block_bytes - 3072},
	        /* A head that does not fit TCP's buffer would never be complete. */
	        {"limits", "head_bytes", "limits.rx_buffer_bytes", "limits", "rx_buffer_bytes",
	         c->limits.head_bytes, c->limits.rx_buffer_bytes},
	        {"limits", "key_body_bytes", "limits.rx_buffer_bytes - limits.head_bytes", "limits",
	         "rx_buffer_bytes", c->limits.key_body_bytes,
	         c->limits.rx_buffer_bytes - c->limits.head_bytes},
	        {"limits", "target_bytes", "limits.head_bytes", "limits", "head_bytes",
	         c->limits.target_bytes, c->limits.head_bytes},
	        {"limits", "object_bytes", "a quarter of memory.hot_table_bytes", "memory",
	         "hot_table_bytes", c->limits.object_bytes, c->memory.hot_table_bytes / 4},
	        {"limits", "store_object_bytes", "a quarter of memory.store_bytes", "memory",
	         "store_bytes", c->memory.store_bytes > 0 ? c->limits.store_object_bytes : 0,
	         c->memory.store_bytes / 4},
	        {"tcp", "min_rto_ms", "tcp.max_rto_ms", "tcp", "max_rto_ms", c->tcp.min_rto_ms,
	         c->tcp.max_rto_ms},
	        {"timeouts", "miss_grace_ms", "timeouts.miss_ms", "timeouts", "miss_ms",
	         c->timeouts.miss_grace_ms, c->timeouts.miss_ms},
	};

	if (c->memory.store_bytes > 0 && c->memory.store_bytes < STORE_BYTES_MIN)
		return doc_error(
		        r->doc, key_at(r, "memory", "store_bytes"), r->err,
		        "memory.store_bytes is %llu; it must be at least %u, or 0 for none",
		        (unsigned long long)c->memory.store_bytes, STORE_BYTES_MIN);
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		const struct order *o = &orders[i];
		const struct doc_node *node = doc_key(doc_key(r->doc->root, o->section), o->key);

		if (o->value <= o->most)
			continue;
		return doc_error(r->doc, node ? node : key_at(r, o->section2, o->key2), r->err,
		                 "%s.%s is %llu; it must be at most %s, which is %llu", o->section,
		                 o->key, (unsigned long long)o->value, o->than,
		                 (unsigned long long)o->most);
	}
	return ST_OK;
}

static enum status rules_addresses(struct rules *r, unsigned i)
{
	const struct config_upstream *u = &r->cfg->upstreams[i];
	const struct doc_node *list = item_at(r, "upstreams", i, "addresses");

	for (unsigned k = 0; k < u->addresses_count; k++) {
		const char *wrong = config_check_endpoint(u->addresses[k]);

		for (unsigned m = 0; m < k && !wrong; m++)
			if (strcmp(u->addresses[m], u->addresses[k]) == 0)
				wrong = "is in the list twice; remove one";
		if (wrong)
			return bad_text(r, doc_item(list, k), u->addresses[k], wrong);
	}
	return ST_OK;
}

static enum status rules_upstream(struct rules *r, unsigned i)
{
	const struct config_upstream *u = &r->cfg->upstreams[i];
	const struct doc_node *name = item_at(r, "upstreams", i, "name");

	if (!all_in(u->name, "-_.") || strlen(u->name) > 64)
		return bad_text(r, name, u->name,
		                "is no name of an upstream; write up to 64 letters, digits, '-', "
		                "'_' and '.'");
	for (unsigned k = 0; k < i; k++)
		if (strcmp(r->cfg->upstreams[k].name, u->name) == 0)
			return doc_error(r->doc, name, r->err,
			                 "upstreams[%u] has the name '%s' of upstreams[%u]; each "
			                 "needs its own",
			                 i, u->name, k);
	if (u->max_idle > u->max_connections)
		return doc_error(
		        r->doc, item_at(r, "upstreams", i, "max_idle"), r->err,
		        "upstreams[%u].max_idle is %u; it must be at most max_connections, "
		        "which is %u",
		        i, u->max_idle, u->max_connections);
	if (u->host_header && !all_in(u->host_header, "-._:[]"))
		return bad_text(r, item_at(r, "upstreams", i, "host_header"), u->host_header,
		                "is no host; write for example origin.example:8080");
	return rules_addresses(r, i);
}

enum status config_check_rules(const struct doc *doc, const struct config *cfg,
                               struct config_error *err)
{
	struct rules r = {.doc = doc, .cfg = cfg, .err = err};
	enum status st = rules_top(&r);

	for (unsigned i = 0; i < cfg->listeners_count && st == ST_OK; i++)
		st = rules_listener(&r, i);
	for (unsigned i = 0; i < cfg->ports_count && st == ST_OK; i++)
		st = rules_port(&r, i);
	if (st == ST_OK)
		st = rules_cores(&r);
	if (st == ST_OK)
		st = rules_orders(&r);
	if (st == ST_OK)
		st = config_check_tiers(doc, cfg, err);
	for (unsigned i = 0; i < cfg->upstreams_count && st == ST_OK; i++)
		st = rules_upstream(&r, i);
	if (st == ST_OK)
		st = config_check_routes(doc, cfg, err);
	if (st == ST_OK)
		st = config_check_compress(doc, cfg, err);
	return st == ST_OK ? config_check_cache_rules(doc, cfg, err) : st;
}
