/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request-target and the authority (RFC 9112 3.2, RFC 3986), for http_parse only. */
#ifndef DATAPLANE_HTTP_HTTP_TARGET_H
#define DATAPLANE_HTTP_HTTP_TARGET_H

#include "dataplane/http/http_parse.h"

/* Every '%' begins two hex digits, and none stands for NUL. */
bool http_pct_valid(struct span s);

/* uri-host [ ":" port ]; no userinfo; the host not empty. Port 0: none given. */
bool http_authority_parse(struct span s, struct span *host, uint32_t *port);

/* Takes out->target apart by its form, which out->method decides; sets path, query, and for the
 * absolute form host and host_port. query_at: where the first '?' is, or the target's length.
 * closer: the target holds something that makes a closer look worth while. Returns 0 or the status
 * to refuse it with. */
unsigned http_target_read(struct http_request *out, size_t query_at, bool closer);

#endif
