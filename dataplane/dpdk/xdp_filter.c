/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/xdp_filter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/net/net.h"

#define MAX_MAPS  16u
#define PATH_ROOM 4096u

enum status xdp_filter_path(char *path, size_t len)
{
	static const char *const places[] = {"%s/../ebpf/xdp_front.o", "%s/../../ebpf/xdp_front.o",
	                                     "%s/../lib/sluice/xdp_front.o",
	                                     "/usr/lib/sluice/xdp_front.o"};
	char dir[PATH_ROOM];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	char *slash;

	if (n < 0)
		return ST_IO;
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		int got = strncmp(places[i], "%s", 2) == 0
		                  ? snprintf(path, len, "%s%s", dir, places[i] + 2)
		                  : snprintf(path, len, "%s", places[i]);

		if (got < 0 || (size_t)got >= len)
			return ST_TOOBIG;
		if (access(path, R_OK) == 0)
			return ST_OK;
	}
	return ST_NOTFOUND;
}

/* The program on the interface: its descriptor, or -1. */
static int attached_prog(int ifindex, struct bpf_prog_info *info, __u32 *map_ids, __u32 map_count)
{
	__u32 len = sizeof(*info);
	__u32 id = 0;
	int fd;

	if (bpf_xdp_query_id(ifindex, 0, &id) != 0 || id == 0)
		return -1;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -1;
	memset(info, 0, sizeof(*info));
	info->nr_map_ids = map_count;
	info->map_ids = (__u64)(uintptr_t)map_ids;
	if (bpf_obj_get_info_by_fd(fd, info, &len) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A socket name in this network namespace, which ends with the process: whoever has it owns the
 * interface, and a program without an owner was left behind by a process that was killed. */
static int claim_name(int ifindex)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n;

	if (fd < 0)
		return -1;
	n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "sluice/xdp/%d", ifindex);
	if (bind(fd, (struct sockaddr *)&sa,
	         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

enum status xdp_filter_claim(const char *name, int ifindex, int *lock_fd, char *err, size_t errlen)
{
	struct bpf_prog_info info;
	__u32 ids[MAX_MAPS];
	int lock = claim_name(ifindex);
	__u32 id = 0;
	int fd;

	if (lock < 0) {
		snprintf(err, errlen, "interface %s is in use by another sluice-dataplane", name);
		return ST_EXISTS;
	}
	fd = attached_prog(ifindex, &info, ids, MAX_MAPS);
	if (fd >= 0) {
		close(fd);
		if (strcmp(info.name, XDP_FRONT_PROG) == 0)
			xdp_filter_detach(ifindex);
	}
	if (bpf_xdp_query_id(ifindex, 0, &id) == 0 && id != 0) {
		close(lock);
		snprintf(err, errlen,
		         "interface %s has an XDP program of somebody else attached (id %u); take "
		         "it "
		         "off with: ip link set dev %s xdp off",
		         name, id, name);
		return ST_EXISTS;
	}
	*lock_fd = lock;
	return ST_OK;
}

static int map_by_name(const __u32 *ids, __u32 count, const char *name)
{
	for (__u32 i = 0; i < count; i++) {
		struct bpf_map_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, name) == 0)
			return fd;
		close(fd);
	}
	return -1;
}

static enum status add_listener(int map, const struct config_listener *l)
{
	struct xdp_front_key key;
	struct ip_addr addr;
	const __u8 one = 1;
	const __u8 every = XDP_FRONT_EVERY_PORT;

	if (!ip_addr_parse(l->address, &addr))
		return ST_INVALID;
	memset(&key, 0, sizeof(key));
	memcpy(key.addr, addr.b, 16);
	if (bpf_map_update_elem(map, &key, l->port == 0 ? &every : &one, BPF_ANY) != 0)
		return errno == E2BIG ? ST_FULL : ST_IO;
	if (l->port == 0)
		return ST_OK;
	key.port = (__u16)((l->port >> 8) | (l->port << 8));
	if (bpf_map_update_elem(map, &key, &one, BPF_ANY) != 0)
		return errno == E2BIG ? ST_FULL : ST_IO;
	return ST_OK;
}

enum status xdp_filter_fill(int ifindex, const struct config *cfg)
{
	struct bpf_prog_info info;
	__u32 ids[MAX_MAPS];
	enum status st = ST_OK;
	int prog = attached_prog(ifindex, &info, ids, MAX_MAPS);
	int map;

	if (prog < 0)
		return ST_NOTFOUND;
	close(prog);
	map = map_by_name(ids, min_u32(info.nr_map_ids, MAX_MAPS), XDP_FRONT_ADDRS);
	if (map < 0)
		return ST_NOTFOUND;
	for (unsigned i = 0; st == ST_OK && i < cfg->listeners_count; i++)
		st = add_listener(map, &cfg->listeners[i]);
	close(map);
	return st;
}

void xdp_filter_detach(int ifindex)
{
	struct bpf_prog_info info;
	__u32 ids[MAX_MAPS];
	int fd = attached_prog(ifindex, &info, ids, MAX_MAPS);

	if (fd < 0)
		return;
	close(fd);
	if (strcmp(info.name, XDP_FRONT_PROG) == 0)
		bpf_xdp_detach(ifindex, 0, NULL);
}
