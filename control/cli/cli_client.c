/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/cli_client.h"

#include "lib/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	ANSWER_MS = 60000, /* a reload reads a file and waits for every core */
	READ_BYTES = 65536,
	ANSWER_MAX = 64 << 20,
};

static enum status fail(struct cli_client *c, enum status st, const char *hint, const char *fmt,
                        ...) PRINTF(4, 5);

static enum status fail(struct cli_client *c, enum status st, const char *hint, const char *fmt,
                        ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	snprintf(c->hint, sizeof(c->hint), "%s", hint ? hint : "");
	return st;
}

static enum status connect_fail(struct cli_client *c, const char *path, int err)
{
	static const char start[] =
	        "Start it with `sluice-control --config FILE`, or name the socket with "
	        "--socket (admin.socket in the configuration)";

	switch (err) {
	case ENOENT:
		return fail(c, ST_NOTFOUND, start, "There is no socket %s: control is not running?",
		            path);
	case ECONNREFUSED:
		return fail(c, ST_CLOSED, start,
		            "Nobody listens on %s: control is not running any more?", path);
	case EACCES:
	case EPERM:
		return fail(c, ST_DENIED,
		            "Run as root, or as a member of the group that owns the socket",
		            "No permission to open %s", path);
	default:
		return fail(c, ST_IO, NULL, "Cannot connect to %s: %s", path, strerror(err));
	}
}

enum status client_open(struct cli_client *c, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	memset(c, 0, sizeof(*c));
	c->fd = -1;
	if (len == 0 || len >= sizeof(addr.sun_path))
		return fail(c, ST_INVALID, NULL, "The socket's path must have 1 to %zu bytes",
		            sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, len + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return fail(c, ST_IO, NULL, "Cannot make a socket: %s", strerror(errno));
	if (connect(c->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		return connect_fail(c, path, errno);
	return ST_OK;
}

void client_close(struct cli_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->in);
	c->in = NULL;
	c->fd = -1;
}

static enum status request_send(struct cli_client *c, const char *cmd, json_t *args)
{
	json_t *request = json_pack("{s:s, s:O}", "cmd", cmd, "args", args);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	size_t sent = 0;
	enum status st = ST_OK;

	json_decref(request);
	if (!text)
		return fail(c, ST_INVALID, NULL, "An argument is not UTF-8");
	text[len++] = '\n'; /* where the NUL was */
	while (sent < len && st == ST_OK) {
		ssize_t n = send(c->fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			st = fail(c, ST_IO, NULL, "Cannot send: %s", strerror(errno));
	}
	free(text);
	return st;
}

/* Waits for more bytes, until the deadline. */
static enum status more_read(struct cli_client *c, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
	uint64_t now_ns = clock_mono_ns();
	int wait_ms = deadline_ns > now_ns ? (int)((deadline_ns - now_ns) / NS_PER_MS) : 0;

	if (c->in_room - c->in_len < READ_BYTES) {
		size_t room = max_u64(2 * c->in_room, 2 * READ_BYTES);
		char *in = room <= ANSWER_MAX ? realloc(c->in, room) : NULL;

		if (!in)
			return fail(c, ST_TOOBIG, NULL, "The answer is too large");
		c->in = in;
		c->in_room = room;
	}
	if (poll(&pfd, 1, wait_ms) == 0)
		return fail(c, ST_TIMEOUT, "Is sluice-control stuck? Its log may say more",
		            "No answer within %d s", ANSWER_MS / 1000);
	ssize_t n = recv(c->fd, c->in + c->in_len, READ_BYTES, 0);

	if (n > 0) {
		c->in_len += (size_t)n;
		return ST_OK;
	}
	if (n < 0 && errno == EINTR)
		return ST_OK;
	return fail(c, ST_CLOSED, "It may have stopped just now; try again",
	            "sluice-control closed the connection before it answered");
}

/* A line from the server, as JSON; the bytes after it stay. */
static enum status answer_read(struct cli_client *c, json_t **out)
{
	uint64_t deadline_ns = clock_mono_ns() + ANSWER_MS * NS_PER_MS;
	size_t searched = 0;
	json_error_t err;
	char *end;

	while (!(end = c->in_len > searched ? memchr(c->in + searched, '\n', c->in_len - searched)
	                                    : NULL)) {
		searched = c->in_len;
		enum status st = more_read(c, deadline_ns);

		if (st != ST_OK)
			return st;
	}
	size_t line_len = (size_t)(end - c->in);

	*out = json_loadb(c->in, line_len, 0, &err);
	c->in_len -= line_len + 1;
	memmove(c->in, end + 1, c->in_len);
	if (!json_is_object(*out)) {
		json_decref(*out);
		return fail(c, ST_CORRUPT, "Is this socket one of sluice-control?",
		            "The answer is not what sluice-control sends");
	}
	return ST_OK;
}

enum status client_ask(struct cli_client *c, const char *cmd, json_t *args, json_t **result)
{
	json_t *answer = NULL;
	enum status st = request_send(c, cmd, args);

	if (st == ST_OK)
		st = answer_read(c, &answer);
	if (st != ST_OK)
		return st;
	if (json_is_true(json_object_get(answer, "ok"))) {
		*result = json_incref(json_object_get(answer, "result"));
	} else {
		const char *error = json_string_value(json_object_get(answer, "error"));

		st = fail(c, ST_INVALID, json_string_value(json_object_get(answer, "hint")), "%s",
		          error ? error : "Refused without a reason");
	}
	json_decref(answer);
	return st;
}
