/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/scenario_keys.h"

#define STRUCT_TOP      struct scenario
#define STRUCT_STAGE    struct load_stage
#define STRUCT_ENDPOINT struct load_endpoint
#define STRUCT_KEYS     struct load_keys
#define STRUCT_SIGNING  struct load_sign

#define FIELD(sec, field) \
	.offset = offsetof(STRUCT_##sec, field), .size = sizeof(((STRUCT_##sec *)NULL)->field)
#define ROW(sec, word, what, dflt, about) \
	.section = SECTION_##sec, .key = (word), .value = (what), .def = (dflt), .text = (about)
#define TEXT(sec, word, field, dflt, about)                                               \
	{                                                                                 \
		ROW(sec, word, "text", dflt, about), FIELD(sec, field), .kind = KIND_TEXT \
	}
#define DURATION(sec, word, field, least, most, dflt, about)                                 \
	{                                                                                    \
		ROW(sec, word, "duration", dflt, about), FIELD(sec, field),                  \
		        .kind = KIND_DURATION, .min = (double)(least), .max = (double)(most) \
	}
#define UINT(sec, word, field, least, most, dflt, about)                             \
	{                                                                            \
		ROW(sec, word, #least " to " #most, dflt, about), FIELD(sec, field), \
		        .kind = KIND_UINT, .min = (least), .max = (most)             \
	}
#define REAL(sec, word, field, least, most, dflt, about)                             \
	{                                                                            \
		ROW(sec, word, #least " to " #most, dflt, about), FIELD(sec, field), \
		        .kind = KIND_REAL, .min = (least), .max = (most)             \
	}
#define BOOL(sec, word, field, dflt, about)                                          \
	{                                                                            \
		ROW(sec, word, "`true` or `false`", dflt, about), FIELD(sec, field), \
		        .kind = KIND_BOOL                                            \
	}
#define OWN(sec, word, what, dflt, fn, about)                                     \
	{                                                                         \
		ROW(sec, word, what, dflt, about), .kind = KIND_OWN, .read = (fn) \
	}

const struct scenario_section_info scenario_sections[SECTION_COUNT] = {
        [SECTION_TOP] = {"", "The file itself."},
        [SECTION_STAGE] = {"stages[]",
                           "What the load is, one after the other: so many virtual users, each of "
                           "which waits for its answer (closed), or so many requests a second, "
                           "answered or not (open)."},
        [SECTION_ENDPOINT] = {"endpoints[]",
                              "What is asked. One that needs only its request is written as a "
                              "single line: `- GET /health`."},
        [SECTION_KEYS] = {"keys", "What `{key}` is."},
        [SECTION_SIGNING] = {"signing",
                             "How requests with `sign: true` are signed (`PF-Sig`). The key is "
                             "given in one of three ways, in hex."},
};

#define S_NS    1e9
#define MS_NS   1e6
#define HOUR_NS 3600e9

const struct scenario_key scenario_keys[] = {
        TEXT(TOP, "name", name, "the file's name", "Of the scenario, in reports"),
        TEXT(TOP, "about", about, "none", "What it is for, in a sentence"),
        OWN(TOP, "stages", "list of 1 to 32", NULL, scenario_read_stages, "What the load is"),
        OWN(TOP, "endpoints", "list of 1 to 64", NULL, scenario_read_endpoints, "What is asked"),
        OWN(TOP, "headers", "mapping of up to 32", "none", scenario_read_headers,
            "Fields of all requests; variables are filled in. An endpoint's own comes instead of "
            "one with its name"),
        OWN(TOP, "host", "text", "the server's", scenario_read_host, "The Host field"),
        OWN(TOP, "keys", "mapping", "one key", scenario_read_keys, "What `{key}` is"),
        OWN(TOP, "signing", "mapping", "none", scenario_read_signing,
            "How requests are signed that ask for it"),
        OWN(TOP, "thresholds", "list of up to 32", "none", scenario_read_thresholds,
            "What must hold in the end, as `p95 < 150ms`; `NAME: p99 < 20ms` for an endpoint. "
            "One that does not hold makes the exit code 1"),
        OWN(TOP, "arrival", "`constant` or `poisson`", "`constant`", scenario_read_arrival,
            "Open stages: at even distances, or at random as many independent clients do"),
        UINT(TOP, "connections", connections, 0, 1000000, "0",
             "Open stages: connections kept open; 0: as many as are needed"),
        UINT(TOP, "max_connections", max_connections, 1, 1000000, "10000",
             "Open stages: the most, when the server does not keep up"),
        UINT(TOP, "pipeline", pipeline, 1, 1024, "1", "Requests under way on a connection"),
        UINT(TOP, "requests_per_connection", requests_per_connection, 0, 1000000000, "0",
             "A connection is closed after so many; 0: never, 1: a new one for each"),
        OWN(TOP, "think", "duration, or `1s to 3s`", "0", scenario_read_think,
            "Closed stages: what a user waits between an answer and the next request, evenly"),
        DURATION(TOP, "timeout", timeout_ns, MS_NS, HOUR_NS, "30s",
                 "A request without a whole answer by then is an error"),
        DURATION(TOP, "warmup", warmup_ns, 0, HOUR_NS, "0",
                 "Before the first stage, at its level; not counted"),
        UINT(TOP, "seed", seed, 0, 1000000000000, "1",
             "Of all that is random: a run can be repeated"),

        TEXT(STAGE, "name", name, "`stage 1` and so on", "In reports"),
        OWN(STAGE, "users", "number, or `10 to 50`", "none", scenario_read_users,
            "Virtual users; two numbers: from one to the other, linearly"),
        OWN(STAGE, "rate", "rate, or `1k to 5k`", "none", scenario_read_rate,
            "Requests a second; two: from one to the other, linearly. `users` or `rate` is "
            "required"),
        DURATION(STAGE, "for", duration_ns, MS_NS, 720 * HOUR_NS, NULL, "How long"),

        OWN(ENDPOINT, "request", "`METHOD /target`", NULL, scenario_read_request,
            "Variables are filled in in the target"),
        TEXT(ENDPOINT, "name", name, "the request", "In reports and thresholds"),
        REAL(ENDPOINT, "weight", weight, 0, 1000000, "1", "How often, in proportion to the others"),
        OWN(ENDPOINT, "headers", "mapping of up to 32", "none", scenario_read_endpoint_headers,
            "Fields; variables are filled in"),
        OWN(ENDPOINT, "body", "text", "none", scenario_read_body, "Variables are filled in"),
        OWN(ENDPOINT, "body_bytes", "size up to `16M`", "none", scenario_read_body_bytes,
            "Instead of `body`: so many bytes of text"),
        BOOL(ENDPOINT, "sign", sign, "`false`", "With `PF-Sig`"),
        OWN(ENDPOINT, "expect", "status, or `200 to 404`", "`200 to 399`", scenario_read_expect,
            "Any other status is an error"),

        UINT(KEYS, "count", count, 1, 1000000000000, "1", "`{key}` is 1 to this"),
        REAL(KEYS, "zipf", zipf, 0, 10, "0",
             "How uneven: key k comes in proportion to 1 / k^zipf; 0: all alike. Web traffic is "
             "near 1"),

        OWN(SIGNING, "policy_hash", "64 hex digits", NULL, scenario_read_policy_hash,
            "Hash of the policy that requests are made under"),
        OWN(SIGNING, "mac_key_env", "name", "none", scenario_read_mac_key_env,
            "Environment variable that holds the key"),
        OWN(SIGNING, "mac_key_file", "path", "none", scenario_read_mac_key_file,
            "File that holds the key; a relative path begins at the scenario's folder"),
        OWN(SIGNING, "mac_key", "2 to 128 hex digits", "none", scenario_read_mac_key,
            "The key itself; for tests, since files get around"),
        {.key = NULL},
};
