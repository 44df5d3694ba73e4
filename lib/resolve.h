/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of origins and of the shared store's servers. Names are looked up when the
 * configuration is taken into use (start, reload) and not again: getaddrinfo blocks, so a host
 * whose address changes needs a reload. */
#ifndef LIB_RESOLVE_H
#define LIB_RESOLVE_H

#include "lib/base.h"
#include "lib/status.h"

#include <sys/socket.h>

/* text: "host:port" or "[v6]:port". On failure error says why. */
enum status resolve_address(const char *text, struct sockaddr_storage *sa, socklen_t *len,
                            char error[static 128]);

#endif
