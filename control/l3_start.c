/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/l3_start.h"

#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PASSWORD_MAX 512u

static const char *const backend_names[] = {
        [L3_BACKEND_NONE] = "none",
        [L3_BACKEND_MEMORY] = "memory",
        [L3_BACKEND_REDIS] = "redis",
};

/* The file's first line. */
static enum status password_read(const char *path, char out[static PASSWORD_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, PASSWORD_MAX) : -1;
	int why = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		log_error("l3", "cannot read cache.l3.password_file %s: %s", path, strerror(why));
		return ST_IO;
	}
	if (n == PASSWORD_MAX) {
		log_error("l3", "cache.l3.password_file %s: the password is longer than %u bytes",
		          path, PASSWORD_MAX - 1);
		return ST_TOOBIG;
	}
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	if (out[0] == '\0') {
		log_error("l3", "cache.l3.password_file %s: its first line is empty", path);
		return ST_INVALID;
	}
	return ST_OK;
}

enum status l3_start(const struct config *cfg, struct loop *loop, struct l3 **out)
{
	const struct config_l3 *c = &cfg->cache.l3;
	char password[PASSWORD_MAX];
	struct l3_config l3 = {
	        .backend = backend_names[c->backend],
	        .addresses = (const char *const *)c->addresses,
	        .addresses_count = c->addresses_count,
	        .cluster = c->cluster == L3_CLUSTER_ON,
	        .user = c->user,
	        .prefix = c->prefix,
	        .timeout_ms = c->timeout_ms,
	        .connect_ms = c->connect_ms,
	        .retry_ms = c->retry_ms,
	        .failures = c->failures,
	        .in_flight = c->in_flight,
	        .compress_bytes = c->compress_bytes,
	        .pending_bytes = c->pending_bytes,
	        .max_object_bytes = c->object_bytes,
	        .memory_bytes = c->memory_bytes,
	        .purges_kept = c->purges_kept,
	};
	enum status st = ST_OK;

	if (c->backend != L3_BACKEND_NONE && cfg->memory.store_bytes == 0)
		log_warn("l3", "memory.store_bytes is 0: what the shared store has is answered by "
		               "way of the node's store, so without one only purges are shared; "
		               "give it some bytes, or set cache.l3.backend to none");
	if (c->password_file != NULL && c->backend == L3_BACKEND_REDIS) {
		st = password_read(c->password_file, password);
		l3.password = password;
	}
	if (st == ST_OK)
		st = l3_create(out, loop, &l3);
	explicit_bzero(password, sizeof(password));
	return st;
}
