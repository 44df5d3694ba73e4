/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How control finds the dataplane: a SOCK_SEQPACKET unix socket on which the dataplane listens. On
 * accept it sends HELLO with the memfd and the eventfds; the open socket is the attachment, its end
 * is the other process's death. Snapshots travel on it as sealed memfds. Not for the hot path. */
#ifndef LIB_CHAN_ATTACH_H
#define LIB_CHAN_ATTACH_H

#include "lib/channel.h"

enum attach_type {
	ATTACH_HELLO = 1,    /* dataplane: fds: memfd, control's eventfd, then one eventfd a core */
	ATTACH_SNAPSHOT,     /* control: fd: memfd with len bytes of struct snapshot */
	ATTACH_SNAPSHOT_OK,  /* dataplane: every core uses snapshot id n */
	ATTACH_SNAPSHOT_BAD, /* dataplane: refused; text says why */
};

#define ATTACH_TEXT_MAX 256u
#define ATTACH_MAX_FDS  (CHAN_MAX_CORES + 2u)

struct attach_msg {
	uint32_t type;     /* enum attach_type */
	uint32_t version;  /* CHAN_VERSION */
	uint64_t n;        /* HELLO: generation; SNAPSHOT*: snapshot id */
	uint64_t len;      /* SNAPSHOT: bytes */
	uint32_t epoch;    /* HELLO: the attach epoch that begins */
	uint32_t fd_count; /* descriptors with this message */
	char text[ATTACH_TEXT_MAX];
};

/* Listens on path (mode 0660; a stale socket file is replaced, a live one gives ST_EXISTS). */
enum status attach_listen(const char *path, int *fd_out);
/* Non-blocking connect; ST_NOTFOUND or ST_CLOSED when no dataplane is there. */
enum status attach_connect(const char *path, int *fd_out);
/* ST_CLOSED when the peer is gone, ST_AGAIN when it would block. fds are duplicated to the peer. */
enum status attach_send(int fd, const struct attach_msg *m, const int *fds);
/* Received descriptors are the caller's (close-on-exec). fds has room for ATTACH_MAX_FDS. A message
 * of another version, a wrong size or a wrong count of descriptors gives ST_VERSION or ST_CORRUPT.
 */
enum status attach_recv(int fd, struct attach_msg *out, int *fds);

#endif
