/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/admin/admin_priv.h"

#include "lib/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 128, SOCKET_MODE = 0660, DIR_MODE = 0755 };

/* How long a socket may outlive the process that had it: the kernel takes an io_uring with its
 * files down behind the end of a process, so that one that was killed and started again still finds
 * its own. The waits double, since each look is a connection to whoever listens. */
enum { LINGER_MS = 1000, LINGER_FIRST_MS = 15 };

/* Every directory above the file, as mkdir -p does. path is changed and restored. */
static int dirs_make(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		int rc = mkdir(path, DIR_MODE);
		int err = errno;

		*p = '/';
		if (rc != 0 && err != EEXIST)
			return err;
	}
	return 0;
}

/* Only a socket that nobody listens on is removed; ST_AGAIN: somebody does. */
static enum status stale_try(const struct sockaddr_un *addr)
{
	struct stat sb;

	if (lstat(addr->sun_path, &sb) != 0)
		return errno == ENOENT ? ST_OK : ST_DENIED;
	if (!S_ISSOCK(sb.st_mode)) {
		log_error("admin", "%s exists and is no socket; move it or change admin.socket",
		          addr->sun_path);
		return ST_EXISTS;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return ST_IO;
	int rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
	int err = errno;

	close(fd);
	if (rc == 0 || err == EAGAIN)
		return ST_AGAIN;
	return unlink(addr->sun_path) == 0 || errno == ENOENT ? ST_OK : ST_DENIED;
}

static enum status stale_remove(const struct sockaddr_un *addr)
{
	enum status st = stale_try(addr);

	for (long ms = LINGER_FIRST_MS; st == ST_AGAIN && ms < LINGER_MS; ms *= 2) {
		nanosleep(&(struct timespec){.tv_nsec = ms * (long)NS_PER_MS}, NULL);
		st = stale_try(addr);
	}
	if (st != ST_AGAIN)
		return st;
	log_error("admin", "another sluice-control listens on %s", addr->sun_path);
	return ST_EXISTS;
}

static enum status fail(const char *what, const char *path, int err)
{
	log_error("admin", "%s %s: %s", what, path, strerror(err));
	return err == EACCES || err == EPERM ? ST_DENIED : ST_IO;
}

enum status admin_listen(const char *path, int *fd_out)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(addr.sun_path)) {
		log_error("admin", "admin.socket must have 1 to %zu bytes",
		          sizeof(addr.sun_path) - 1);
		return ST_INVALID;
	}
	memcpy(addr.sun_path, path, len + 1);
	int err = dirs_make(addr.sun_path);

	if (err)
		return fail("cannot make the directory of", path, err);
	enum status st = stale_remove(&addr);

	if (st != ST_OK)
		return st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail("cannot make a socket for", path, errno);
	/* Nobody can connect before listen(), so the mode is never wider than it says. */
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    chmod(path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0) {
		err = errno;
		close(fd);
		return fail("cannot listen on", path, err);
	}
	*fd_out = fd;
	return ST_OK;
}
