/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The one configuration file (YAML) of both processes, as C structures. Read with libcyaml in
 * config*.c only. config_load fills in every default, so that readers never ask "was it set".
 * Unknown keys, wrong types and impossible values are refused with file, line and column (where the
 * parser knows them), what is wrong, and what would be right.
 *
 * Names carry their unit: _ms, _s, _bytes. docs/reference/config.md is made from config_params. */
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#include "lib/base.h"
#include "lib/log.h"
#include "lib/status.h"

enum config_port_type { PORT_AF_XDP, PORT_MEMIF, PORT_AF_PACKET, PORT_TAP, PORT_PCI };
enum config_idle { IDLE_BUSY, IDLE_ADAPTIVE };
enum config_credentials { CREDENTIALS_SEPARATE, CREDENTIALS_BYPASS, CREDENTIALS_SHARED };
enum config_rule_match { RULE_MATCH_KEY, RULE_MATCH_PATTERN };
enum config_purge_scope { PURGE_SCOPE_TENANT, PURGE_SCOPE_ALL };
enum config_switch { CONFIG_OFF, CONFIG_ON };
enum config_bool { CONFIG_FALSE, CONFIG_TRUE };
enum config_cache_mode { CONFIG_CACHE_OFF, CONFIG_CACHE_ORIGIN, CONFIG_CACHE_TTL };
enum config_write_through { WRITE_THROUGH_OFF, WRITE_THROUGH_ON, WRITE_THROUGH_ALWAYS };
enum config_etag { CONFIG_ETAG_OFF, CONFIG_ETAG_WEAK, CONFIG_ETAG_STRONG };
enum config_cookies { COOKIES_OFF, COOKIES_ON_PRESSURE, COOKIES_ALWAYS };
enum config_fast_open { FAST_OPEN_OFF, FAST_OPEN_ON };
enum config_pmtu { CONFIG_PMTU_OFF, CONFIG_PMTU_BLACKHOLE, CONFIG_PMTU_ALWAYS };
/* Which rounds of a core are timed stage by stage: none, one in about 16, or all. */
enum config_stages { CONFIG_STAGES_OFF, CONFIG_STAGES_SAMPLED, CONFIG_STAGES_ALL };
enum config_l3_backend { L3_BACKEND_NONE, L3_BACKEND_MEMORY, L3_BACKEND_REDIS };
enum config_l3_cluster { L3_CLUSTER_OFF, L3_CLUSTER_ON };
enum config_huge { HUGE_AUTO, HUGE_ON, HUGE_OFF };

struct config_listener {
	char *address; /* IPv4 or IPv6 text, required */
	uint16_t port; /* 80 */
};

struct config_port {
	enum config_port_type type;
	char *interface; /* af_xdp, af_packet, tap: the kernel's name */
	char *device;    /* pci: address; memif: socket path */
	char *role;      /* memif: "server" or "client" ("server") */
	unsigned *cores; /* of queue 0, 1, ...; default: CPU 1, or 0 when there is one */
	unsigned cores_count;
	uint32_t rx_descriptors; /* 1024 */
	uint32_t tx_descriptors; /* 1024 */
	uint16_t mtu;            /* 0: as the interface says */
};

/* The fewest packet buffers of a core that the port works with: its descriptors, and what is in
 * hand. AF_XDP's fill and completion rings hold 2048 each besides. */
static inline uint32_t config_port_buffers(const struct config_port *p)
{
	uint32_t least = p->type == PORT_AF_XDP ? 8192 : 2048;

	return max_u32(least, p->rx_descriptors + p->tx_descriptors + 512);
}

struct config_memory {
	enum config_huge huge_pages;   /* auto: when the machine has some free */
	uint64_t hot_table_bytes;      /* a core: 64 MiB */
	uint64_t store_bytes;          /* the node's store (L2), in control; 0: none: 256 MiB */
	uint32_t packet_buffers;       /* a core: 16384 */
	uint32_t large_buffers;        /* a core, where the port cuts segments: 1024 */
	uint32_t channel_ring_entries; /* 4096 */
	uint32_t up_block_bytes;       /* 16384 */
	uint32_t up_blocks;            /* a core: 4096 */
	uint32_t down_block_bytes;     /* 16384 */
	uint32_t down_blocks;          /* 4096 */
};

struct config_limits {
	uint32_t connections;         /* a core: 65536 */
	uint32_t syn_backlog;         /* a core: 4096 */
	uint32_t orphans;             /* a core: 16384 */
	uint32_t fast_open;           /* a core: 256 */
	uint32_t resets_per_s;        /* a core: 10000 */
	uint32_t requests;            /* requests in progress, a core: 16384 */
	uint32_t head_bytes;          /* 8192; at most up_block_bytes - 4096 */
	uint32_t target_bytes;        /* 4096 */
	uint32_t fields;              /* 64, at most 100 */
	uint64_t body_bytes;          /* 413 above; 0: no limit: 0 */
	uint32_t coders;              /* answers compressed at a time: 32 */
	uint32_t key_body_bytes;      /* body that a cache key is made of: 16384 */
	uint32_t object_bytes;        /* largest object in the hot table: 65536 */
	uint32_t store_object_bytes;  /* largest object in the node's store: 64 MiB */
	uint32_t variants;            /* of one key, in the node's store: 64 */
	uint32_t response_head_bytes; /* of an origin: 12288; at most down_block_bytes - 3072 */
	uint32_t window_bytes;        /* a request's body bytes in flight in the channel: 262144 */
	uint32_t rx_buffer_bytes;     /* first TCP receive window: 65536 */
	uint32_t rx_buffers;          /* receive memory in these units, a core: 2048 */
	uint32_t loss_boards;         /* a core: 1024 */
	uint32_t rx_window_bytes;     /* largest TCP receive window: 4 MiB */
	uint32_t connections_per_address; /* IPv4 address or IPv6 /64, a core; 0: no limit: 0 */
	uint32_t time_waits;              /* a core: 32768 */
	uint32_t tx_queue_bytes;          /* TCP send queue of a connection: 262144 */
	uint32_t requests_per_connection; /* 0: no limit: 0 */
};

struct config_timeouts {
	uint32_t head_ms;       /* first byte to the end of the head: 10000; 408 */
	uint32_t body_ms;       /* between two pieces of a request body: 30000; 408 */
	uint32_t idle_ms;       /* keep-alive connection without a request: 75000 */
	uint32_t send_ms;       /* no progress of a response: 30000; reset */
	uint32_t stall_ms;      /* the same when send memory is short: 5000; reset */
	uint32_t miss_ms;       /* answer of control: 35000; 504 */
	uint32_t miss_grace_ms; /* control is away: 2000; 503 */
	uint32_t refresh_ms;    /* a stale answer's next refresh, if it is still stale: 2000 */
	uint32_t drain_ms;      /* 30000 */
};

enum config_congestion { CONFIG_CONGESTION_CUBIC, CONFIG_CONGESTION_NEWRENO };
enum config_pacing { CONFIG_PACING_OFF, CONFIG_PACING_INITIAL, CONFIG_PACING_ON };
enum config_offload { CONFIG_OFFLOAD_OFF, CONFIG_OFFLOAD_AUTO, CONFIG_OFFLOAD_ON };
enum config_ecn { CONFIG_ECN_OFF, CONFIG_ECN_ACCEPT, CONFIG_ECN_REQUEST };

struct config_tcp {
	uint32_t initial_window; /* segments: 10 */
	enum config_congestion congestion_control;
	enum config_pacing pacing; /* CONFIG_PACING_INITIAL */
	enum config_offload segmentation_offload;
	enum config_ecn ecn;            /* CONFIG_ECN_ACCEPT */
	uint32_t min_rto_ms;            /* 200 */
	uint32_t max_rto_ms;            /* 60000 */
	uint32_t delayed_ack_ms;        /* 40 */
	uint32_t keepalive_idle_ms;     /* 60000 */
	uint32_t keepalive_interval_ms; /* 10000 */
	uint32_t keepalive_probes;      /* 6 */
	uint32_t time_wait_ms;          /* 60000 */
	uint32_t syn_retries;           /* 5 */
	enum config_fast_open fast_open;
	uint32_t fast_open_key_s; /* 86400 */
	enum config_cookies syn_cookies;
	uint32_t syn_cookie_step_s;         /* 60 */
	uint32_t retries;                   /* 12 */
	uint32_t fin_wait_2_ms;             /* 60000 */
	uint32_t orphan_life_ms;            /* 600000 */
	uint32_t persist_max_ms;            /* 60000 */
	uint32_t persist_limit_ms;          /* 300000; 0: none */
	uint32_t user_timeout_ms;           /* 0: retries says */
	uint32_t user_timeout_max_ms;       /* 0: peers have no say */
	uint32_t user_timeout_advertise_ms; /* 0: none */
	uint32_t timestamps_required;       /* 1 */
	uint32_t min_send_mss;              /* 64 */
	enum config_pmtu pmtu_probing;      /* blackhole */
	uint32_t pmtu_age_s;                /* 600 */
};

struct config_ip {
	uint32_t fragments;     /* datagrams in reassembly, a core: 64 */
	uint32_t dad_transmits; /* 1 */
	uint32_t icmp_per_s;    /* a core: 1000 */
};

/* The store that nodes share (cache/l3.h). */
struct config_l3 {
	enum config_l3_backend backend; /* none */
	char **addresses;
	unsigned addresses_count;
	enum config_l3_cluster cluster; /* off */
	char *user;                     /* NULL: none */
	char *password_file;            /* NULL: none */
	char *prefix;                   /* "sluice:" */
	uint32_t timeout_ms;            /* 50 */
	uint32_t connect_ms;            /* 500 */
	uint32_t retry_ms;              /* 500 */
	uint32_t failures;              /* 5 */
	uint32_t in_flight;             /* 1024 */
	uint64_t pending_bytes;         /* 64 MiB */
	uint64_t object_bytes;          /* 1 MiB */
	uint32_t compress_bytes;        /* 1024 */
	uint64_t memory_bytes;          /* 64 MiB */
	uint32_t purges_kept;           /* 10000 */
};

/* What is fetched ahead of clients (control/warm.h). */
struct config_warm {
	enum config_switch on_start; /* off */
	char *file;                  /* NULL: hot-list in run_dir */
	uint32_t save_s;             /* 60; 0: never */
	uint32_t entries;            /* 10000 */
	uint64_t notes_bytes;        /* 16 MiB */
	enum config_switch share;    /* off */
	char **peers;                /* "http://host:port" */
	unsigned peers_count;
	uint32_t rate_per_s;  /* 100 */
	uint32_t concurrency; /* 8 */
	uint64_t bytes;       /* 256 MiB */
	uint32_t time_s;      /* 300 */
	uint32_t peer_ms;     /* 10000 */
	uint64_t peer_bytes;  /* 16 MiB */
};

/* Behind the hot tables. */
struct config_tiers {
	struct config_l3 l3;
	struct config_warm warm;
};

enum config_profile { PROFILE_DEVELOPMENT, PROFILE_STAGING, PROFILE_PRODUCTION };

struct config_upstream {
	char *name;
	char **addresses; /* "host:port" or "[v6]:port" */
	unsigned addresses_count;
	enum config_profile profile; /* production */
	/* Defaults come from the profile. */
	uint32_t max_connections;    /* open, an address: 10, 50, 100 */
	uint32_t max_idle;           /* an address: 2, 10, 25 */
	uint32_t idle_timeout_ms;    /* 90000 */
	uint32_t lifetime_ms;        /* 600000, 1800000, 3600000 */
	uint32_t connect_timeout_ms; /* 10000 */
	uint32_t request_timeout_ms; /* 30000 */
	uint32_t keepalive_ms;       /* TCP keepalive: 30000 */
	uint32_t queue;              /* requests that wait for a connection: 16384; 503 above */
	char *host_header;           /* NULL: the client's */
};

struct config_cache {
	enum config_cache_mode mode; /* "off", "origin" (default), "ttl" */
	uint32_t ttl_s;              /* for ttl */
	uint32_t ttl_jitter_percent;
	uint32_t negative_ttl_s;    /* 0: none of their own */
	uint32_t heuristic_percent; /* 0: off */
	uint32_t heuristic_max_s;
	uint32_t stale_while_revalidate_s;
	uint32_t stale_if_error_s;
	enum config_etag etag; /* "off" (default), "weak", "strong" */
	uint32_t pass_s;
	uint32_t range_fill_bytes; /* 0: a Range goes to the origin as it is */
	enum config_write_through write_through;
	char *rule; /* name, or NULL */
};

/* Content codings for clients; the order is that of enum coding (cache/coding.h). */
enum config_coding {
	CONFIG_CODING_NONE,
	CONFIG_CODING_BR,
	CONFIG_CODING_ZSTD,
	CONFIG_CODING_GZIP,
	CONFIG_CODING_COUNT
};
/* CONFIG_CODING_NONE: not known. */
enum config_coding config_coding_find(const char *name);

/* Which answers of a route are compressed for clients (docs/CACHE.md). */
struct config_compress {
	char **encodings; /* "br", "zstd", "gzip", the preferred one first; none: off */
	unsigned encodings_count;
	char **types; /* media types, with '*' for any run of characters */
	unsigned types_count;
	uint32_t min_bytes;  /* 1024 */
	uint32_t max_bytes;  /* 16777216; of answers that state their length */
	uint32_t br_level;   /* 4 */
	uint32_t zstd_level; /* 3 */
	uint32_t gzip_level; /* 6 */
};

/* Values of requests and what they mean: for the filters alias and unit of templates. */
struct config_table {
	char *name;
	char **values; /* "from=to" */
	unsigned values_count;
};

/* Where a request says whose it is. Until it is verified at the edge, this is the client's word. */
struct config_identity {
	char *tenant_header;
	char *user_header;
	char *policy_header;
	char **credentials; /* fields that prove who asks */
	unsigned credentials_count;
	char *key_secret; /* of the digests in keys; NULL: random at each start */
};

struct config_rule {
	char *name;
	char *key;               /* template; NULL: host, path and query as they are sent */
	enum config_bool public; /* no tenant, policy and credential in the key */
	enum config_credentials credentials;
	enum config_bool any_host; /* the host is not in the key */
	enum config_rule_match match;
	char **reads; /* for a pattern: what answers depend on, or "origin" */
	unsigned reads_count;
	uint32_t check_one_in; /* for a pattern: of its hits */
	char **ignore_query;
	unsigned ignore_query_count;
	uint32_t ttl_s;     /* 0: as the route and the origin say */
	uint32_t ttl_min_s; /* lifetimes adapt within these; ttl_max_s 0: they do not */
	uint32_t ttl_max_s;
	char **tags; /* templates */
	unsigned tags_count;
	char **purges; /* templates */
	unsigned purges_count;
	enum config_purge_scope purge_scope;
};

struct config_route {
	char *host;     /* exact, "*.example.com", or "*" (default) */
	char *path;     // "/v1/items/{id}", "/static/*"; default: every path, "/*"
	char **methods; /* default GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS */
	unsigned methods_count;
	char *upstream; /* name */
	struct config_cache cache;
	struct config_compress compress;
};

struct config_admin {
	char *socket;          /* "/run/sluice/admin.sock" */
	char *metrics_address; /* "127.0.0.1" */
	char **purge_from;     /* ranges of addresses (lib/cidr.h) */
	unsigned purge_from_count;
	uint16_t metrics_port; /* 9900; 0: off */
};

struct config {
	char *node;    /* default: the host's name */
	char *run_dir; /* sockets: "/run/sluice" */
	enum log_level log_level;
	enum config_idle idle;     /* adaptive */
	uint32_t idle_sleep_us;    /* longest sleep of an idle core: 100 */
	enum config_stages stages; /* sampled */
	uint32_t control_spin_us;  /* control polls that long before it sleeps: 20 */
	struct config_listener *listeners;
	unsigned listeners_count;
	struct config_port *ports;
	unsigned ports_count;
	struct config_memory memory;
	struct config_limits limits;
	struct config_timeouts timeouts;
	struct config_tcp tcp;
	struct config_ip ip;
	struct config_tiers cache;
	struct config_upstream *upstreams;
	unsigned upstreams_count;
	struct config_route *routes;
	unsigned routes_count;
	struct config_rule *rules;
	unsigned rules_count;
	struct config_table *tables;
	unsigned tables_count;
	struct config_identity identity;
	struct config_admin admin;
};

#define CONFIG_ERROR_TEXT 512u

struct config_error {
	char text[CONFIG_ERROR_TEXT]; /* "FILE:LINE:COLUMN: what; remedy", complete */
};

/* On success *out is the caller's, to be freed with config_free. */
enum status config_load(const char *path, struct config **out, struct config_error *err);
/* The same from memory; name stands for the file in errors. */
enum status config_parse(const char *text, size_t len, const char *name, struct config **out,
                         struct config_error *err);
void config_free(struct config *cfg);

#endif
