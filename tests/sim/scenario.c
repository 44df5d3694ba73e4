/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The text of a scenario. One row a key; parser, printer, help and shrinking walk the rows. */
#include "tests/sim/scenario.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "tests/sim/rng.h"

enum value_type {
	TYPE_COUNT,
	TYPE_SEED,
	TYPE_SHARE,
	TYPE_TIME,
	TYPE_RATE,
	TYPE_BYTES,
	TYPE_BOOL,
	TYPE_LEVEL,
	TYPE_LIES,
	TYPE_TEXT,
};

struct row {
	const char *key;
	enum value_type type;
	size_t off;
	const char *about;
	bool fixed; /* not for shrinking */
};

#define TOP(k, t, f, a)                                             \
	{                                                           \
		k, TYPE_##t, offsetof(struct scenario, f), a, false \
	}
#define FIXED(k, t, f, a)                                          \
	{                                                          \
		k, TYPE_##t, offsetof(struct scenario, f), a, true \
	}
#define LINK(k, t, f, a)                                             \
	{                                                            \
		k, TYPE_##t, offsetof(struct link_conf, f), a, false \
	}

static const struct row rows[] = {
        FIXED("off", TEXT, off, "left out of \"all\"; the text says why"),
        FIXED("seed", SEED, seed, "the seed of a kept failure, used when --seed is not given"),
        FIXED("level", LEVEL, level, "tcp (net and tcp, many connections) or web (the whole core)"),
        FIXED("conns", COUNT, conns, "connections in all"),
        FIXED("at_once", COUNT, at_once, "connections at a time"),
        FIXED("v6", SHARE, v6, "connections over IPv6 (tcp)"),
        FIXED("peers", SHARE, peers,
              "connections of the tests' own TCP; the rest is Sluice's (tcp)"),
        TOP("liars", SHARE, liars, "of those: misbehave (web: of at_once, besides the clients)"),
        TOP("lies", LIES, lies, "how: all, none, or names"),
        TOP("quirks", SHARE, quirks, "of all peers: lawful oddities, as tiny segments"),
        FIXED("up_bytes", BYTES, up_bytes, "most that a connection sends (tcp)"),
        FIXED("down_bytes", BYTES, down_bytes, "most that the server sends (tcp)"),
        TOP("echo", SHARE, echo, "connections whose bytes the server sends back (tcp)"),
        TOP("aborted", SHARE, aborted, "connections that one side resets (tcp)"),
        TOP("slow", SHARE, slow, "connections of slow readers, at either end (tcp)"),
        TOP("flood", COUNT, flood, "SYNs a second from addresses that do not answer (tcp)"),
        TOP("ecn", BOOL, ecn, "our own clients ask for ECN (tcp)"),
        TOP("control.fail", SHARE, fail, "requests that the origin fails (web)"),
        TOP("control.broken", SHARE, broken, "bodies that break off (web)"),
        TOP("control.silent", SHARE, silent, "requests without an answer (web)"),
        TOP("control.early", SHARE, early, "uploads refused before they are whole (web)"),
        TOP("control.away", TIME, away_ns, "mean time between two deaths of control (web)"),
        TOP("control.purge", TIME, purge_ns, "mean time between two purges (web)"),
        TOP("control.cache", BOOL, cache,
            "answers vary, are served stale, in parts, from control's stores (web)"),
        TOP("client.abort", SHARE, client_abort, "clients that reset (web)"),
        TOP("client.half", SHARE, client_half, "clients with a FIN behind the last request (web)"),
        TOP("client.slow", SHARE, client_slow, "clients that stop reading at times (web)"),
        TOP("client.pipelined", SHARE, pipelined, "clients that pipeline (web)"),
        TOP("server.scarce", BOOL, scarce, "few blocks, ring entries, receive buffers (web)"),
        TOP("server.conns", COUNT, max_conns, "connection table (tcp)"),
        TOP("server.syn_backlog", COUNT, syn_backlog, "half-open connections (tcp)"),
        TOP("server.rx_bufs", COUNT, rx_bufs, "receive buffers (tcp)"),
        TOP("server.rx_buf_bytes", BYTES, rx_buf_bytes, "size of each, and first window (tcp)"),
        TOP("server.rx_window", BYTES, rx_window, "the largest that it becomes (tcp)"),
        TOP("server.tx_chunks", COUNT, tx_chunks, "send chunks (tcp)"),
        TOP("server.tx_refs", COUNT, tx_refs, "send descriptors (tcp)"),
        TOP("server.packets", COUNT, packets, "packet buffers (tcp)"),
        FIXED("server.idle", TIME, idle_ns, "the server gives up a connection without progress"),
        TOP("server.offload", BOOL, offload, "the port does checksums (tcp)"),
        TOP("server.large_buffers", COUNT, large_buffers,
            "above 0: the port cuts segments, out of so many buffers"),
        FIXED("faults_end", TIME, faults_end_ns, "then faults and bad link end; 0: never"),
        TOP("fault.mtu", COUNT, fault_mtu, "of small_mtu"),
        FIXED("recovery", TIME, recovery_ns, "progress within this after faults_end"),
        FIXED("stuck", TIME, stuck_ns, "progress within this at any time"),
};

static const struct row link_rows[] = {
        LINK("delay", TIME, delay_ns, "one way"),
        LINK("jitter", TIME, jitter_ns, "more than that, at random, in order"),
        LINK("rate", RATE, rate_bps, "bits a second; 0: no limit"),
        LINK("queue", BYTES, queue_bytes, "in front of the rate; drops what does not fit"),
        LINK("red", SHARE, red, "drops from half of the queue on, so many at its end (RED)"),
        LINK("mark", SHARE, mark, "the same for ECN-capable packets: marks (RFC 3168)"),
        LINK("loss", SHARE, loss, "each packet by itself"),
        LINK("burst.enter", SHARE, burst_enter, "Gilbert-Elliott: into the bad state"),
        LINK("burst.leave", SHARE, burst_leave, "out of it"),
        LINK("burst.loss", SHARE, burst_loss, "lost while in it"),
        LINK("reorder", SHARE, reorder, "come late"),
        LINK("reorder_by", TIME, reorder_ns, "how late at most; 0: four times the delay"),
        LINK("duplicate", SHARE, duplicate, "come twice"),
        LINK("corrupt", SHARE, corrupt, "one bit of the IP packet turned"),
        LINK("corrupt_eth", SHARE, corrupt_eth, "one bit of the Ethernet header turned"),
        LINK("mtu", COUNT, mtu, "IP bytes that pass"),
        LINK("icmp", BOOL, icmp, "says so when a packet is too big"),
};

static const char *const fault_names[] = {
#define X(name, text) #name,
        SIM_FAULTS(X)
#undef X
};
static const char *const fault_texts[] = {
#define X(name, text) text,
        SIM_FAULTS(X)
#undef X
};
static const char *const lie_names[] = {
#define X(name, text) #name,
        SIM_LIES(X)
#undef X
};
static const char *const lie_texts[] = {
#define X(name, text) text,
        SIM_LIES(X)
#undef X
};

const char *fault_name(enum fault_kind kind)
{
	return fault_names[kind];
}

const char *lie_name(enum sim_lie lie)
{
	return lie_names[lie];
}

void scenario_default(struct scenario *sc)
{
	const struct link_conf link = {.delay_ns = NS_PER_MS,
	                               .queue_bytes = 256 * 1024,
	                               .burst_leave = 300000,
	                               .burst_loss = 500000,
	                               .mtu = 1500,
	                               .icmp = true};

	*sc = (struct scenario){
	        .name = "default",
	        .conns = 1000,
	        .at_once = 256,
	        .up = link,
	        .down = link,
	        .peers = 500000,
	        .lies = (1u << LIE_COUNT) - 1,
	        .up_bytes = 20000,
	        .down_bytes = 50000,
	        .max_conns = 4096,
	        .syn_backlog = 1024,
	        .rx_bufs = 1024,
	        .rx_buf_bytes = 65536,
	        .rx_window = 4 << 20,
	        .tx_chunks = 16384,
	        .tx_refs = 32768,
	        .packets = 8192,
	        .idle_ns = 90 * NS_PER_S,
	        .fault_mtu = 1280,
	        .recovery_ns = 130 * NS_PER_S,
	        .stuck_ns = 300 * NS_PER_S,
	};
}

struct unit {
	const char *name;
	double times;
};

static const struct unit times[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {NULL, 0}};
static const struct unit rates[] = {
        {"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}, {NULL, 0}};
static const struct unit sizes[] = {{"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit shares[] = {{"%", 1e4}, {NULL, 0}};
static const struct unit counts[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum value_type type)
{
	switch (type) {
	case TYPE_TIME:
		return times;
	case TYPE_RATE:
		return rates;
	case TYPE_BYTES:
		return sizes;
	case TYPE_SHARE:
		return shares;
	default:
		return counts;
	}
}

/* "12.5ms" with the units of its type; NULL when sound, else what is wrong. */
static const char *number_parse(const char *text, enum value_type type, uint64_t *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || !(v >= 0) || v > 1e18)
		return "no number from 0 on";
	if (type == TYPE_SEED) {
		*out = strtoull(text, &end, 10);
		return *end == 0 ? NULL : "no whole number";
	}
	if (v == 0 && *end == 0) {
		*out = 0;
		return NULL;
	}
	for (const struct unit *u = units_of(type); u->name != NULL; u++) {
		if (strcmp(end, u->name) != 0)
			continue;
		*out = (uint64_t)llround(v * u->times);
		if (type == TYPE_SHARE && *out > 1000000)
			return "more than 100%";
		if (type != TYPE_TIME && type != TYPE_RATE && *out > UINT32_MAX)
			return "too large";
		return NULL;
	}
	return type == TYPE_TIME    ? "no unit of time (s, ms, us, ns)"
	       : type == TYPE_RATE  ? "no unit (gbit, mbit, kbit, bit)"
	       : type == TYPE_SHARE ? "no %"
	                            : "no unit is known here but k and m for bytes";
}

static const char *lies_parse(char *text, uint32_t *out)
{
	char *save = NULL;

	*out = 0;
	for (char *w = strtok_r(text, " ,", &save); w != NULL; w = strtok_r(NULL, " ,", &save)) {
		uint32_t i = 0;

		if (strcmp(w, "all") == 0)
			*out = (1u << LIE_COUNT) - 1;
		else if (strcmp(w, "none") != 0) {
			while (i < LIE_COUNT && strcmp(w, lie_names[i]) != 0)
				i++;
			if (i == LIE_COUNT)
				return "no such lie";
			*out |= 1u << i;
		}
	}
	return NULL;
}

static const char *value_parse(const struct row *r, char *text, char *to)
{
	uint64_t v = 0;
	const char *why;
	uint32_t small;

	if (r->type == TYPE_TEXT) {
		snprintf(to, sizeof(((struct scenario *)0)->off), "%s", text);
		return NULL;
	}
	if (r->type == TYPE_BOOL || r->type == TYPE_LEVEL) {
		const char *yes = r->type == TYPE_BOOL ? "true" : "web";
		const char *no = r->type == TYPE_BOOL ? "false" : "tcp";

		if (strcmp(text, yes) != 0 && strcmp(text, no) != 0)
			return r->type == TYPE_BOOL ? "neither true nor false"
			                            : "neither tcp nor web";
		small = strcmp(text, yes) == 0;
		if (r->type == TYPE_BOOL)
			*to = (char)small;
		else
			memcpy(to, &small, sizeof(small));
		return NULL;
	}
	if (r->type == TYPE_LIES) {
		why = lies_parse(text, &small);
		memcpy(to, &small, sizeof(small));
		return why;
	}
	why = number_parse(text, r->type, &v);
	small = (uint32_t)v;
	if (r->type == TYPE_TIME || r->type == TYPE_RATE || r->type == TYPE_SEED)
		memcpy(to, &v, sizeof(v));
	else
		memcpy(to, &small, sizeof(small));
	return why;
}

/* "KIND at TIME for TIME [every TIME]" */
static const char *fault_parse(struct scenario *sc, const char *text)
{
	struct scenario_fault f = {0};
	char kind[24], at[24], len[24], every[24] = "0";
	int n = sscanf(text, "%23s at %23s for %23s every %23s", kind, at, len, every);

	if (n < 3)
		return "not as in \"KIND at TIME for TIME [every TIME]\"";
	if (sc->fault_count == SCENARIO_FAULTS)
		return "too many faults";
	while (f.kind < FAULT_KINDS && strcmp(kind, fault_names[f.kind]) != 0)
		f.kind++;
	if (f.kind == FAULT_KINDS)
		return "no such fault";
	if (number_parse(at, TYPE_TIME, &f.at_ns) || number_parse(len, TYPE_TIME, &f.for_ns) ||
	    number_parse(every, TYPE_TIME, &f.every_ns))
		return "no time";
	sc->faults[sc->fault_count++] = f;
	return NULL;
}

static const struct row *row_find(const struct row *from, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(from[i].key, key) == 0)
			return &from[i];
	return NULL;
}

static const char *line_take(struct scenario *sc, const char *key, char *text)
{
	bool both = strncmp(key, "link.", 5) == 0;
	bool up = both || strncmp(key, "up.", 3) == 0;
	bool down = both || strncmp(key, "down.", 5) == 0;
	const struct row *r;
	const char *why = NULL;
	char copy[256];

	if (strcmp(key, "fault") == 0)
		return fault_parse(sc, text);
	if (!up && !down) {
		r = row_find(rows, ARRAY_LEN(rows), key);
		return r == NULL ? "no such key" : value_parse(r, text, (char *)sc + r->off);
	}
	r = row_find(link_rows, ARRAY_LEN(link_rows), strchr(key, '.') + 1);
	if (r == NULL)
		return "no such key of a link";
	snprintf(copy, sizeof(copy), "%s", text);
	if (up)
		why = value_parse(r, copy, (char *)&sc->up + r->off);
	return down && why == NULL ? value_parse(r, text, (char *)&sc->down + r->off) : why;
}

static const char *sense_check(const struct scenario *sc)
{
	if (sc->conns == 0 || sc->at_once == 0 || sc->at_once > 4096)
		return "conns and at_once must be above 0, at_once at most 4096";
	if (sc->up.mtu < 68 || sc->down.mtu < 68 || sc->up.mtu > 1500 || sc->down.mtu > 1500)
		return "an mtu is from 68 to 1500";
	if (sc->up_bytes > 1u << 30 || sc->down_bytes > 1u << 30)
		return "a connection carries at most 1024m";
	return NULL;
}

bool scenario_parse(struct scenario *sc, const char *text, const char *file,
                    char error[SCENARIO_ERROR])
{
	uint32_t number = 0;

	while (*text != 0) {
		const char *end = strchrnul(text, '\n');
		char line[256];
		char key[64];
		const char *why;
		int at = 0;

		number++;
		snprintf(line, sizeof(line), "%.*s", (int)min_size((size_t)(end - text), 255),
		         text);
		text = *end == 0 ? end : end + 1;
		line[strcspn(line, "#")] = 0;
		for (size_t n = strlen(line); n > 0 && isspace((unsigned char)line[n - 1]); n--)
			line[n - 1] = 0;
		if (line[strspn(line, " \t")] == 0)
			continue;
		if (sscanf(line, " %63[a-z0-9_.] : %n", key, &at) != 1 || at == 0 || line[at] == 0)
			why = "not as in \"key: value\"";
		else
			why = line_take(sc, key, line + at);
		if (why != NULL) {
			snprintf(error, SCENARIO_ERROR, "%s:%u: %s (%.200s)", file, number, why,
			         line);
			return false;
		}
	}
	if (sense_check(sc) != NULL)
		snprintf(error, SCENARIO_ERROR, "%s: %s", file, sense_check(sc));
	return sense_check(sc) == NULL;
}

bool scenario_load(struct scenario *sc, const char *file, const char *dir,
                   char error[SCENARIO_ERROR])
{
	char path[1024];
	static char text[65536];
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	FILE *f = fopen(file, "re");
	size_t n;

	snprintf(path, sizeof(path), "%s", file);
	if (f == NULL && strchr(file, '/') == NULL) {
		snprintf(path, sizeof(path), "%s/%s.sim", dir, file);
		f = fopen(path, "re");
	}
	if (f == NULL) {
		snprintf(error, SCENARIO_ERROR, "%.400s: %s", path, strerror(errno));
		return false;
	}
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	scenario_default(sc);
	snprintf(sc->name, sizeof(sc->name), "%.*s", (int)strcspn(base, "."), base);
	return scenario_parse(sc, text, path, error);
}

static void number_print(FILE *to, enum value_type type, uint64_t v)
{
	const struct unit *u = units_of(type);

	while (u[1].name != NULL && (v == 0 || fmod((double)v, u->times) != 0))
		u++;
	fprintf(to, "%.10g%s", (double)v / u->times, v == 0 && type == TYPE_SHARE ? "%" : u->name);
}

static void value_print(FILE *to, const struct row *r, const char *from)
{
	uint32_t small;
	uint64_t big;

	memcpy(&small, from, sizeof(small));
	if (r->type == TYPE_TEXT) {
		fprintf(to, "%s", from);
	} else if (r->type == TYPE_BOOL) {
		fprintf(to, "%s", *from ? "true" : "false");
	} else if (r->type == TYPE_LEVEL) {
		fprintf(to, "%s", small ? "web" : "tcp");
	} else if (r->type == TYPE_LIES) {
		if (small == 0 || small == (1u << LIE_COUNT) - 1)
			fprintf(to, "%s", small ? "all" : "none");
		else
			for (uint32_t i = 0; i < LIE_COUNT; i++)
				if (small >> i & 1)
					fprintf(to, "%s ", lie_names[i]);
	} else if (r->type == TYPE_TIME || r->type == TYPE_RATE || r->type == TYPE_SEED) {
		memcpy(&big, from, sizeof(big));
		if (r->type == TYPE_SEED)
			fprintf(to, "%llu", (unsigned long long)big);
		else
			number_print(to, r->type, big);
	} else {
		number_print(to, r->type, small);
	}
}

static size_t value_size(const struct row *r)
{
	switch (r->type) {
	case TYPE_TEXT:
		return sizeof(((struct scenario *)0)->off);
	case TYPE_BOOL:
		return 1;
	case TYPE_TIME:
	case TYPE_RATE:
	case TYPE_SEED:
		return 8;
	default:
		return 4;
	}
}

void scenario_print(const struct scenario *sc, FILE *to)
{
	struct scenario plain;

	scenario_default(&plain);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *v = (const char *)sc + rows[i].off;

		if (memcmp(v, (char *)&plain + rows[i].off, value_size(&rows[i])) == 0)
			continue;
		fprintf(to, "%s: ", rows[i].key);
		value_print(to, &rows[i], v);
		fprintf(to, "\n");
	}
	for (size_t i = 0; i < 2 * ARRAY_LEN(link_rows); i++) {
		const struct row *r = &link_rows[i / 2];
		const char *v = (const char *)(i % 2 ? &sc->down : &sc->up) + r->off;

		if (memcmp(v, (char *)&plain.up + r->off, value_size(r)) == 0)
			continue;
		fprintf(to, "%s.%s: ", i % 2 ? "down" : "up", r->key);
		value_print(to, r, v);
		fprintf(to, "\n");
	}
	for (uint32_t i = 0; i < sc->fault_count; i++) {
		const struct scenario_fault *f = &sc->faults[i];

		fprintf(to, "fault: %s at ", fault_names[f->kind]);
		number_print(to, TYPE_TIME, f->at_ns);
		fprintf(to, " for ");
		number_print(to, TYPE_TIME, f->for_ns);
		fprintf(to, " every ");
		number_print(to, TYPE_TIME, f->every_ns);
		fprintf(to, "\n");
	}
}

void scenario_help(FILE *to)
{
	struct scenario plain;

	scenario_default(&plain);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fprintf(to, "  %-20s %s [", rows[i].key, rows[i].about);
		value_print(to, &rows[i], (char *)&plain + rows[i].off);
		fprintf(to, "]\n");
	}
	fprintf(to,
	        "Of the link; \"up.\" (to the server), \"down.\" or \"link.\" (both) in front:\n");
	for (size_t i = 0; i < ARRAY_LEN(link_rows); i++) {
		fprintf(to, "  %-20s %s [", link_rows[i].key, link_rows[i].about);
		value_print(to, &link_rows[i], (char *)&plain.up + link_rows[i].off);
		fprintf(to, "]\n");
	}
	fprintf(to,
	        "\"fault: KIND at TIME for TIME [every TIME]\", up to %u times; every: the mean "
	        "pause:\n",
	        SCENARIO_FAULTS);
	for (size_t i = 0; i < FAULT_KINDS; i++)
		fprintf(to, "  %-20s %s\n", fault_names[i], fault_texts[i]);
	fprintf(to, "Lies:\n");
	for (size_t i = 0; i < LIE_COUNT; i++)
		fprintf(to, "  %-20s %s\n", lie_names[i], lie_texts[i]);
}

bool scenario_reset_value(struct scenario *sc, uint32_t i, bool *changed)
{
	struct scenario plain;
	const struct row *r;
	char *to, *from;

	*changed = false;
	scenario_default(&plain);
	if (i < SCENARIO_FAULTS) {
		if (i < sc->fault_count) {
			memmove(&sc->faults[i], &sc->faults[i + 1],
			        (sc->fault_count - i - 1) * sizeof(sc->faults[0]));
			sc->fault_count--;
			*changed = true;
		}
		return true;
	}
	i -= SCENARIO_FAULTS;
	if (i < LIE_COUNT) {
		*changed = sc->lies >> i & 1 && sc->liars > 0;
		sc->lies &= ~(1u << i);
		return true;
	}
	i -= LIE_COUNT;
	if (i < ARRAY_LEN(rows)) {
		r = &rows[i];
		if (r->fixed || r->type == TYPE_LIES)
			return true;
		to = (char *)sc + r->off;
		from = (char *)&plain + r->off;
	} else {
		i -= (uint32_t)ARRAY_LEN(rows);
		if (i >= 2 * ARRAY_LEN(link_rows))
			return false;
		r = &link_rows[i / 2];
		to = (char *)(i % 2 ? &sc->down : &sc->up) + r->off;
		from = (char *)&plain.up + r->off;
	}
	*changed = memcmp(to, from, value_size(r)) != 0;
	memcpy(to, from, value_size(r));
	return true;
}
