/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/iface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool driver_is_veth(int fd, struct ifreq *req)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	req->ifr_data = (void *)&info;
	return ioctl(fd, SIOCETHTOOL, req) == 0 && strcmp(info.driver, "veth") == 0;
}

/* One queue where the driver has no notion of channels. */
static void read_channels(int fd, struct ifreq *req, struct iface *out)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};

	req->ifr_data = (void *)&ch;
	out->rx_queues = 1;
	if (ioctl(fd, SIOCETHTOOL, req) != 0)
		return;
	out->combined = ch.max_combined > 0;
	out->rx_queues = max_u32(1, max_u32(ch.rx_count, ch.combined_count));
}

enum status iface_read(const char *name, struct iface *out)
{
	struct ifreq req = {0};
	enum status st = ST_NOTFOUND;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return ST_IO;
	*out = (struct iface){0};
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFINDEX, &req) != 0)
		goto out_close;
	out->index = req.ifr_ifindex;
	st = ST_IO;
	if (ioctl(fd, SIOCGIFMTU, &req) != 0)
		goto out_close;
	out->mtu = (uint32_t)req.ifr_mtu;
	if (ioctl(fd, SIOCGIFFLAGS, &req) != 0)
		goto out_close;
	out->up = (req.ifr_flags & IFF_UP) != 0;
	read_channels(fd, &req, out);
	out->partial_csum = driver_is_veth(fd, &req);
	st = ST_OK;
out_close:
	close(fd);
	return st;
}

static bool address_is(const struct sockaddr *sa, int family, const void *raw)
{
	if (sa == NULL || sa->sa_family != family)
		return false;
	if (family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, raw, 4) ==
		       0;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, raw, 16) == 0;
}

bool iface_has_address(const char *address, char name[static IF_NAMESIZE])
{
	int family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	struct ifaddrs *list = NULL;
	unsigned char raw[16];
	bool found = false;

	if (inet_pton(family, address, raw) != 1 || getifaddrs(&list) != 0)
		return false;
	for (const struct ifaddrs *a = list; a != NULL && !found; a = a->ifa_next) {
		found = address_is(a->ifa_addr, family, raw);
		if (found)
			snprintf(name, IF_NAMESIZE, "%s", a->ifa_name);
	}
	freeifaddrs(list);
	return found;
}
