/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration as the cores read it: one immutable, position-independent block of bytes. The
 * dataplane builds its first one from the file; control builds the next ones on reload and sends
 * them over the attach socket; the dataplane checks every offset (snapshot_check), and swaps the
 * pointer for each core by epoch. Lookup allocates nothing. */
#ifndef LIB_SNAPSHOT_H
#define LIB_SNAPSHOT_H

#include "lib/config.h"
#include "lib/http1.h"
#include "lib/rule_format.h"
#include "lib/span.h"
#include "lib/status.h"

#define SNAPSHOT_MAGIC      0x31504e534c53ull /* "SLSNP1" */
#define SNAPSHOT_VERSION    5u
#define SNAPSHOT_MAX_BYTES  (4u << 20)
#define SNAPSHOT_MAX_PARAMS 16u

struct snap_route {
	uint16_t upstream;  /* index into upstreams of the same configuration */
	uint8_t cache_mode; /* enum config_cache_mode */
	uint8_t param_count;
	uint32_t methods; /* bit (1 << enum http_method) */
	uint32_t ttl_ms;
	uint32_t negative_ttl_ms;
	uint32_t heuristic_max_s;
	uint32_t stale_while_s;
	uint32_t stale_error_s;
	uint32_t pass_ms;
	uint8_t ttl_jitter_pct; /* at most 90 */
	uint8_t heuristic_pct;  /* at most 50 */
	uint8_t etag;           /* enum config_etag */
	uint8_t keyed_body;     /* 1: its rule's key is made of the request's body (POST) */
	uint32_t path_off;      /* the pattern's text, for reports */
	uint32_t path_len;
	uint32_t host_off;
	uint32_t host_len;
	uint32_t program_off; /* the compiled pattern; layout private to snapshot*.c */
	uint32_t program_len;
	uint32_t rule;         /* index + 1 in rules; 0: none */
	uint32_t rule_map_off; /* uint8_t[path_count of the rule]: which parameters its names are */
	uint32_t ttl_min_ms;   /* lifetimes adapt within these (cache/policy.h) */
	uint32_t ttl_max_ms;   /* 0: they do not */
	/* routes[].compress; of no concern to the cores */
	uint32_t types_off; /* "text/plain,text/css" */
	uint32_t types_len;
	uint32_t code_min_bytes;
	uint32_t code_max_bytes;
	uint8_t codings[CONFIG_CODING_COUNT]; /* enum config_coding, the preferred first; 0: no
	                                         more */
	uint8_t levels[CONFIG_CODING_COUNT];  /* by enum config_coding */
	uint32_t range_fill_bytes;            /* cache/policy.h */
	uint8_t write_through;                /* enum config_write_through */
	uint8_t pad[3];                       /* 0 */
};

struct snapshot {
	uint64_t magic;
	uint32_t version;
	uint32_t total_bytes;
	uint64_t id; /* hash of the content after this field: equal content, equal id */
	struct config_limits limits;
	struct config_timeouts timeouts;
	uint32_t idle; /* enum config_idle */
	uint32_t idle_sleep_us;
	uint32_t stages;   /* enum config_stages */
	uint32_t node_off; /* node name, for Via and Cache-Status */
	uint32_t node_len;
	uint32_t route_count;
	uint32_t routes_off; /* struct snap_route[route_count] */
	uint32_t upstream_count;
	uint32_t hosts_off; /* private to snapshot*.c */
	uint32_t host_count;
	uint32_t host_exact; /* private to snapshot*.c */
	struct snap_rules rules;
};

/* Compiles the configuration. The block is malloc'd; free() it. */
enum status snapshot_build(const struct config *cfg, struct snapshot **out,
                           struct config_error *err);
/* Does every offset in a block of len bytes hold? For bytes from another process: after ST_OK no
 * lookup can read outside of the block, whatever the content. */
enum status snapshot_check(const void *mem, size_t len);

enum route_result {
	ROUTE_FOUND,
	ROUTE_NO_HOST,  /* 404 */
	ROUTE_NO_PATH,  /* 404 */
	ROUTE_NO_METHOD /* 405; match->allowed says which there are */
};

struct route_match {
	const struct snap_route *route;
	uint32_t index;
	uint32_t allowed; /* bits of methods that the path has */
	uint32_t param_count;
	struct span params[SNAPSHOT_MAX_PARAMS]; /* in the pattern's order, spans into path */
};

/* Host: exact before "*.suffix" (longest) before "*", case-insensitive. Path: within the host,
 * literal segments before {name} before a trailing "*", the first listed route among equals. HEAD
 * is allowed where GET is. path is percent-encoded as received; dot segments must be gone. */
enum route_result snapshot_route(const struct snapshot *s, struct span host, struct span path,
                                 enum http_method method, struct route_match *out);

static inline struct span snapshot_text(const struct snapshot *s, uint32_t off, uint32_t len)
{
	return span_of((const char *)s + off, len);
}

#endif
