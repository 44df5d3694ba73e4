/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "lib/config.h"
#include "perf/load/dpdk_port.h"

enum status load_port_fail(char err[TRANSPORT_ERR], enum status st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, TRANSPORT_ERR, fmt, ap);
	va_end(ap);
	return st;
}

static const struct device_kind {
	const char *prefix;
	enum config_port_type type;
} device_kinds[] = {
        {"memif:", PORT_MEMIF}, {"af_xdp:", PORT_AF_XDP}, {"af_packet:", PORT_AF_PACKET},
        {"tap:", PORT_TAP},     {"pci:", PORT_PCI},
};

static enum status device_read(struct load_port_plan *p, const char *device,
                               char err[TRANSPORT_ERR])
{
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(device_kinds); i++) {
		const struct device_kind *k = &device_kinds[i];

		if (strncmp(device, k->prefix, strlen(k->prefix)) != 0)
			continue;
		p->type = (int)k->type;
		name = device + strlen(k->prefix);
	}
	if (name == NULL || *name == '\0')
		return load_port_fail(
		        err, ST_INVALID,
		        "the device \"%.100s\" is not known; name one as memif:SOCKET, "
		        "af_xdp:INTERFACE, af_packet:INTERFACE, tap:NAME or pci:ADDRESS",
		        device);
	/* The EAL takes its arguments apart at commas. */
	if (strlen(name) >= sizeof(p->name) || strchr(name, ',') != NULL)
		return load_port_fail(err, ST_INVALID,
		                      "the device's name is too long or holds a comma");
	snprintf(p->name, sizeof(p->name), "%s", name);
	return ST_OK;
}

static void addr_next(struct ip_addr *a)
{
	for (int i = 15; i >= 0 && ++a->b[i] == 0; i--)
		;
}

/* "A" or "A-B", both ends among them. */
static enum status locals_read(struct load_port_plan *p, const char *text, char err[TRANSPORT_ERR])
{
	const char *dash = strchr(text, '-');
	char first[64];
	struct ip_addr at;
	struct ip_addr last;

	snprintf(first, sizeof(first), "%.*s", dash ? (int)min_size((size_t)(dash - text), 63) : 63,
	         text);
	if (!ip_addr_parse(first, &at) || !ip_addr_parse(dash ? dash + 1 : first, &last) ||
	    ip_addr_is_v4(&at) != ip_addr_is_v4(&last))
		return load_port_fail(
		        err, ST_INVALID,
		        "\"%.80s\" is no local address; give one as 10.1.0.2, or a range as "
		        "10.1.0.2-10.1.0.9",
		        text);
	for (p->local_count = 0; p->local_count < NET_MAX_ADDRS; addr_next(&at)) {
		if (ip_addr_eq(&at, &p->server))
			return load_port_fail(err, ST_INVALID,
			                      "the local addresses hold the server's own, %.80s",
			                      text);
		p->locals[p->local_count++] = at;
		if (ip_addr_eq(&at, &last))
			return ST_OK;
	}
	return load_port_fail(
	        err, ST_INVALID,
	        "the local range %.80s holds more than %u addresses, or ends before it begins",
	        text, NET_MAX_ADDRS);
}

static enum status check_families(const struct load_port_plan *p, char err[TRANSPORT_ERR])
{
	bool v4 = ip_addr_is_v4(&p->server);

	if (ip_addr_is_v4(&p->locals[0]) != v4 || ip_addr_is_v4(&p->next_hop) != v4)
		return load_port_fail(
		        err, ST_INVALID,
		        "the server, the local addresses and the next hop must all be IPv4 or "
		        "all be IPv6");
	return ST_OK;
}

enum status load_port_plan_make(struct load_port_plan *out, const struct transport_config *cfg,
                                char err[TRANSPORT_ERR])
{
	enum status st;

	*out = (struct load_port_plan){0};
	if (cfg->device == NULL || cfg->local == NULL)
		return load_port_fail(
		        err, ST_INVALID,
		        "the dpdk transport needs a device (memif:/run/sluice/memif.sock) and "
		        "local addresses (10.1.0.2-10.1.0.9)");
	st = device_read(out, cfg->device, err);
	if (st != ST_OK)
		return st;
	if (cfg->host == NULL || !ip_addr_parse(cfg->host, &out->server))
		return load_port_fail(
		        err, ST_INVALID,
		        "the dpdk transport has no resolver: name the server by its address, "
		        "not as \"%.80s\"",
		        cfg->host ? cfg->host : "");
	if (!ip_addr_parse(cfg->next_hop ? cfg->next_hop : cfg->host, &out->next_hop))
		return load_port_fail(err, ST_INVALID, "the next hop \"%.80s\" is no address",
		                      cfg->next_hop);
	st = locals_read(out, cfg->local, err);
	if (st == ST_OK)
		st = check_families(out, err);
	if (st != ST_OK)
		return st;
	if (cfg->links > (uint64_t)out->local_count * LOAD_ADDR_LINKS_MAX)
		return load_port_fail(
		        err, ST_INVALID,
		        "%u connections to one server need %u local addresses, and there are "
		        "%u; widen the range",
		        cfg->links, (cfg->links - 1) / LOAD_ADDR_LINKS_MAX + 1, out->local_count);
	return ST_OK;
}
