/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/config_params.h"

#define NAMES(array)                      \
	{                                 \
		(array), ARRAY_LEN(array) \
	}

static const struct param_name names_log[] = {
        {"error", LOG_ERROR},
        {"warn", LOG_WARN},
        {"info", LOG_INFO},
        {"debug", LOG_DEBUG},
};
static const struct param_name names_idle[] = {
        {"busy", IDLE_BUSY},
        {"adaptive", IDLE_ADAPTIVE},
};
static const struct param_name names_stages[] = {
        {"off", CONFIG_STAGES_OFF},
        {"sampled", CONFIG_STAGES_SAMPLED},
        {"all", CONFIG_STAGES_ALL},
};
static const struct param_name names_port_type[] = {
        {"af_xdp", PORT_AF_XDP}, {"memif", PORT_MEMIF}, {"af_packet", PORT_AF_PACKET},
        {"tap", PORT_TAP},       {"pci", PORT_PCI},
};
static const struct param_name names_huge[] = {
        {"auto", HUGE_AUTO},
        {"on", HUGE_ON},
        {"off", HUGE_OFF},
};
static const struct param_name names_syn_cookies[] = {
        {"off", COOKIES_OFF},
        {"on_pressure", COOKIES_ON_PRESSURE},
        {"always", COOKIES_ALWAYS},
};
static const struct param_name names_congestion[] = {
        {"cubic", CONFIG_CONGESTION_CUBIC},
        {"newreno", CONFIG_CONGESTION_NEWRENO},
};
static const struct param_name names_pacing[] = {
        {"off", CONFIG_PACING_OFF},
        {"initial", CONFIG_PACING_INITIAL},
        {"on", CONFIG_PACING_ON},
};
static const struct param_name names_offload[] = {
        {"off", CONFIG_OFFLOAD_OFF},
        {"auto", CONFIG_OFFLOAD_AUTO},
        {"on", CONFIG_OFFLOAD_ON},
};
static const struct param_name names_ecn[] = {
        {"off", CONFIG_ECN_OFF},
        {"accept", CONFIG_ECN_ACCEPT},
        {"request", CONFIG_ECN_REQUEST},
};
static const struct param_name names_fast_open[] = {
        {"off", FAST_OPEN_OFF},
        {"on", FAST_OPEN_ON},
};
static const struct param_name names_profile[] = {
        {"development", PROFILE_DEVELOPMENT},
        {"staging", PROFILE_STAGING},
        {"production", PROFILE_PRODUCTION},
};
static const struct param_name names_cache_mode[] = {
        {"off", CONFIG_CACHE_OFF},
        {"origin", CONFIG_CACHE_ORIGIN},
        {"ttl", CONFIG_CACHE_TTL},
};
static const struct param_name names_bool[] = {
        {"false", CONFIG_FALSE},
        {"true", CONFIG_TRUE},
};
static const struct param_name names_credentials[] = {
        {"separate", CREDENTIALS_SEPARATE},
        {"bypass", CREDENTIALS_BYPASS},
        {"shared", CREDENTIALS_SHARED},
};
static const struct param_name names_rule_match[] = {
        {"key", RULE_MATCH_KEY},
        {"pattern", RULE_MATCH_PATTERN},
};
static const struct param_name names_purge_scope[] = {
        {"tenant", PURGE_SCOPE_TENANT},
        {"all", PURGE_SCOPE_ALL},
};
static const struct param_name names_write_through[] = {
        {"off", WRITE_THROUGH_OFF},
        {"on", WRITE_THROUGH_ON},
        {"always", WRITE_THROUGH_ALWAYS},
};
static const struct param_name names_etag[] = {
        {"off", CONFIG_ETAG_OFF},
        {"weak", CONFIG_ETAG_WEAK},
        {"strong", CONFIG_ETAG_STRONG},
};
static const struct param_name names_l3_backend[] = {
        {"none", L3_BACKEND_NONE},
        {"memory", L3_BACKEND_MEMORY},
        {"redis", L3_BACKEND_REDIS},
};
static const struct param_name names_off_on[] = {
        {"off", CONFIG_OFF},
        {"on", CONFIG_ON},
};
static const struct param_name names_l3_cluster[] = {
        {"off", L3_CLUSTER_OFF},
        {"on", L3_CLUSTER_ON},
};
static const struct param_name names_pmtu[] = {
        {"off", CONFIG_PMTU_OFF},
        {"blackhole", CONFIG_PMTU_BLACKHOLE},
        {"always", CONFIG_PMTU_ALWAYS},
};

#define STRUCT_top      struct config
#define STRUCT_listener struct config_listener
#define STRUCT_port     struct config_port
#define STRUCT_memory   struct config_memory
#define STRUCT_limits   struct config_limits
#define STRUCT_timeouts struct config_timeouts
#define STRUCT_tcp      struct config_tcp
#define STRUCT_ip       struct config_ip
#define STRUCT_tiers    struct config_tiers
#define STRUCT_l3       struct config_l3
#define STRUCT_warm     struct config_warm
#define STRUCT_upstream struct config_upstream
#define STRUCT_route    struct config_route
#define STRUCT_cache    struct config_cache
#define STRUCT_compress struct config_compress
#define STRUCT_rule     struct config_rule
#define STRUCT_table    struct config_table
#define STRUCT_identity struct config_identity
#define STRUCT_admin    struct config_admin

#define ROW(sec, k, kd, words)                                            \
	.section = PARAM_##sec, .key = #k, .kind = (kd), .text = (words), \
	.offset = offsetof(STRUCT_##sec, k), .size = sizeof(((STRUCT_##sec *)0)->k)
#define COUNT(sec, k) .count_offset = offsetof(STRUCT_##sec, k##_count)

static const struct param params[] = {
#define UINT(sec, k, u, lo, hi, d, words) \
	{ROW(sec, k, PARAM_UINT, words), .unit = (u), .min = (lo), .max = (hi), .def = {d, d, d}},
#define POW2(sec, k, u, lo, hi, d, words) \
	{ROW(sec, k, PARAM_UINT, words),  \
	 .unit = (u),                     \
	 .min = (lo),                     \
	 .max = (hi),                     \
	 .def = {d, d, d},                \
	 .pow2 = true},
#define PROFILED(sec, k, u, lo, hi, dev, staging, production, words)                   \
	{ROW(sec, k, PARAM_UINT, words),    .unit = (u),     .min = (lo), .max = (hi), \
	 .def = {dev, staging, production}, .profiled = true},
#define ENUM(sec, k, table, d, words)                                               \
	{ROW(sec, k, PARAM_ENUM, words), .unit = "", .names = NAMES(names_##table), \
	 .def_text = (d)},
#define TEXT(sec, k, d, words) {ROW(sec, k, PARAM_TEXT, words), .unit = "", .def_text = (d)},
#define NEED(sec, k, sample, words) \
	{ROW(sec, k, PARAM_TEXT, words), .unit = "", .example = (sample), .required = true},
#define MAP(sec, k, sub, words) {ROW(sec, k, PARAM_MAP, words), .unit = "", .child = PARAM_##sub},
#define MAPS(sec, k, sub, lo, hi, words) \
	{ROW(sec, k, PARAM_MAPS, words), \
	 COUNT(sec, k),                  \
	 .unit = "",                     \
	 .child = PARAM_##sub,           \
	 .min = (lo),                    \
	 .max = (hi),                    \
	 .required = (lo) > 0},
#define TEXTS(sec, k, lo, hi, d, words)   \
	{ROW(sec, k, PARAM_TEXTS, words), \
	 COUNT(sec, k),                   \
	 .unit = "",                      \
	 .min = (lo),                     \
	 .max = (hi),                     \
	 .def_text = (d),                 \
	 .required = (d) == NULL},
#define UINTS(sec, k, lo, hi, largest, d, words)                                                \
	{ROW(sec, k, PARAM_UINTS, words), COUNT(sec, k),  .unit = "", .min = (lo), .max = (hi), \
	 .item_max = (largest),           .def_text = (d)},
#include "lib/params_each.h"
};

static const struct {
	const char *path;
	const char *text;
	uint32_t size;
} sections[] = {
#define SECTION(id, where, words) {where, words, sizeof(STRUCT_##id)},
#include "lib/params_each.h"
};

/* The rows of a section stand together in params.def. */
struct param_group param_group(enum param_section section)
{
	struct param_group group = {
	        .path = sections[section].path,
	        .text = sections[section].text,
	        .size = sections[section].size,
	};

	for (uint32_t i = 0; i < ARRAY_LEN(params); i++) {
		if (params[i].section != section)
			continue;
		if (group.count == 0)
			group.params = &params[i];
		group.count++;
	}
	return group;
}

const struct param *param_find(enum param_section section, struct span key)
{
	struct param_group group = param_group(section);

	for (uint32_t i = 0; i < group.count; i++)
		if (span_eq(span_cstr(group.params[i].key), key))
			return &group.params[i];
	return NULL;
}

uint64_t param_get(const struct param *p, const void *section_struct)
{
	const char *field = (const char *)section_struct + p->offset;
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (p->size) {
	case sizeof(v64):
		memcpy(&v64, field, sizeof(v64));
		return v64;
	case sizeof(v32):
		memcpy(&v32, field, sizeof(v32));
		return v32;
	default:
		memcpy(&v16, field, sizeof(v16));
		return v16;
	}
}

void param_set(const struct param *p, void *section_struct, uint64_t value)
{
	char *field = (char *)section_struct + p->offset;
	uint32_t v32 = (uint32_t)value;
	uint16_t v16 = (uint16_t)value;

	switch (p->size) {
	case sizeof(value):
		memcpy(field, &value, sizeof(value));
		break;
	case sizeof(v32):
		memcpy(field, &v32, sizeof(v32));
		break;
	default:
		memcpy(field, &v16, sizeof(v16));
		break;
	}
}

bool param_name_value(const struct param_names *names, struct span name, int64_t *out)
{
	for (uint32_t i = 0; i < names->count; i++) {
		if (span_eq(span_cstr(names->names[i].name), name)) {
			*out = names->names[i].value;
			return true;
		}
	}
	return false;
}
