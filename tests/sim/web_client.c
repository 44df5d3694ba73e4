/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Clients: each connection plays a script of requests and compares every answer with what must
 * come. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/web_level.h"

#define STUCK_NS (240 * NS_PER_S)

static bool was_away(const struct sim *sim, const struct sim_request *r)
{
	return sim->away_ns >= r->sent_ns && sim->away_ns > 0;
}

static void request_make(struct sim *sim, struct sim_request *r)
{
	struct rng *rng = &sim->client_rng;
	uint32_t pick = rng_below(rng, 100);

	*r = (struct sim_request){
	        .kind = pick < 40   ? KIND_HOT
	                : pick < 70 ? KIND_CACHED
	                : pick < 85 ? KIND_PLAIN
	                            : KIND_UPLOAD,
	        .id = rng_below(rng, SIM_IDS),
	        .number = sim->next_number++,
	        .chunked = rng_below(rng, 3) == 0,
	};
	r->head = r->kind != KIND_UPLOAD && rng_below(rng, 12) == 0;
	if (r->kind == KIND_UPLOAD)
		r->up_len = rng_below(rng, 4) == 0 ? rng_below(rng, 60000) : rng_below(rng, 3000);
	cache_ask(sim, r);
	if (r->number >= sim->outcomes_cap) {
		sim->outcomes = realloc(sim->outcomes, 2u * r->number + 1024);
		if (sim->outcomes == NULL)
			abort();
		memset(sim->outcomes + sim->outcomes_cap, 0,
		       2u * r->number + 1024 - sim->outcomes_cap);
		sim->outcomes_cap = 2 * r->number + 1024;
	}
}

static void client_open(struct sim *sim, struct sim_client *c)
{
	struct rng *rng = &sim->client_rng;
	const struct scenario *sc = sim->sc;

	web_free(&c->web);
	*c = (struct sim_client){.count = 1 + rng_below(rng, SIM_SCRIPT)};
	for (uint32_t i = 0; i < c->count; i++)
		request_make(sim, &c->script[i]);
	c->script[c->count - 1].last = rng_below(rng, 3) == 0;
	c->pipelined = rng_chance(rng, sc->pipelined);
	c->half = rng_chance(rng, sc->client_half);
	c->slow = rng_chance(rng, sc->client_slow);
	c->started_ns = sim->rig.now_ns;
	if (rng_chance(rng, sc->client_abort))
		c->abort_ns = sim->rig.now_ns + rng_below(rng, 400) * NS_PER_MS;
	sim->next_port = sim->next_port >= 60000 ? 1025 : sim->next_port + 1;
	if (!web_open(&c->web, &sim->rig, (uint16_t)sim->next_port)) {
		sim_fail(sim, "no room for a connection of the client");
		return;
	}
	c->live = true;
	sim->live++;
	sim->conns_left--;
	sim->stats.conns++;
}

static size_t upload_text(struct sim *sim, const struct sim_request *r, char *to)
{
	size_t n = 0;
	static char body[60000];

	sim_body(KIND_UPLOAD, r->number, 0, body, 0, r->up_len);
	if (!r->chunked) {
		memcpy(to, body, r->up_len);
		return r->up_len;
	}
	for (size_t at = 0; at < r->up_len;) {
		size_t piece = min_size(r->up_len - at, 1 + rng_below(&sim->client_rng, 9000));

		n += (size_t)sprintf(to + n, "%zx\r\n", piece);
		memcpy(to + n, body + at, piece);
		n += piece;
		n += (size_t)sprintf(to + n, "\r\n");
		at += piece;
	}
	return n + (size_t)sprintf(to + n, "0\r\n\r\n");
}

/* False when the client's TCP has no room for it now. */
static bool request_send(struct sim *sim, struct sim_client *c)
{
	static char text[400000];
	static const char names[] = "hcpu";
	struct sim_request *r = &c->script[c->sent];
	size_t n;

	r->sent_ns = sim->rig.now_ns;
	r->least_version = r->kind == KIND_CACHED ? sim->confirmed[r->id] : 0;
	n = (size_t)sprintf(text, "%s /%c/%u HTTP/1.1\r\nHost: sim\r\nX-N: %u\r\n%s",
	                    r->kind == KIND_UPLOAD ? "POST"
	                    : r->head              ? "HEAD"
	                                           : "GET",
	                    names[r->kind], r->id, r->number,
	                    r->last ? "Connection: close\r\n" : "");
	n += cache_lines(sim, r, text + n);
	if (r->kind == KIND_UPLOAD) {
		if (r->chunked)
			n += (size_t)sprintf(text + n, "Transfer-Encoding: chunked\r\n\r\n");
		else
			n += (size_t)sprintf(text + n, "Content-Length: %u\r\n\r\n", r->up_len);
		n += upload_text(sim, r, text + n);
	} else {
		n += (size_t)sprintf(text + n, "\r\n");
	}
	if (!web_send(&c->web, text, n))
		return false;
	c->sent++;
	sim->stats.requests++;
	if (c->half && c->sent == c->count)
		web_half_close(&c->web);
	return true;
}

static void check_upload(struct sim *sim, const struct sim_request *r, const struct web_answer *a)
{
	static char body[60000];
	char want[64];

	sim_body(KIND_UPLOAD, r->number, 0, body, 0, r->up_len);
	snprintf(want, sizeof(want), "%u %u %016llx", r->number, r->up_len,
	         (unsigned long long)sim_sum(0, body, r->up_len));
	if (a->body.len != strlen(want) || memcmp(a->body.ptr, want, strlen(want)) != 0)
		sim_fail(sim, "upload %u: \"%.*s\" instead of \"%s\"", r->number, (int)a->body.len,
		         a->body.ptr, want);
	sim->stats.uploads++;
}

static void check_body(struct sim *sim, const struct sim_request *r, const struct web_answer *a)
{
	static char want[SIM_BODY_MAX];
	struct span v = web_field(a, "X-V");
	struct span id = web_field(a, "X-Id");
	size_t len = sim_body_len(r->kind, r->id);
	uint32_t version = v.ptr == NULL ? UINT32_MAX : (uint32_t)strtoul(v.ptr, NULL, 10);
	char want_id[32];

	snprintf(want_id, sizeof(want_id), "%u-%u", r->kind, r->id);
	if (!span_eq(id, span_of(want_id, strlen(want_id)))) {
		sim_fail(sim, "request %u: the answer of \"%.*s\" instead of \"%s\"", r->number,
		         (int)id.len, id.ptr, want_id);
		return;
	}
	uint32_t most = r->kind == KIND_CACHED ? sim->versions[r->id] : 0;
	if (version < r->least_version || version > most) {
		sim_fail(sim, "request %u: version %u, allowed are %u to %u", r->number, version,
		         r->least_version, most);
		return;
	}
	cache_check_variant(sim, r, a);
	if (r->head)
		return;
	sim_body(r->kind, r->id, version, want, 0, len);
	struct span right = span_of(want, len);
	if (a->status == 206)
		right = cache_part(sim, r, a, right);
	if (!span_eq(a->body, right))
		sim_fail(sim, "request %u: wrong body of %zu bytes, right are %zu", r->number,
		         a->body.len, right.len);
	sim->stats.body_bytes += right.len;
}

static bool error_is_due(struct sim *sim, const struct sim_request *r, unsigned status)
{
	uint8_t out = sim->outcomes[r->number];

	if (sim->sc->fault_count > 0 && (status == 408 || status == 503))
		return true;
	switch (status) {
	case 403:
		return out & OUT_EARLY;
	case 502:
		return out & OUT_FAILED;
	case 503:
		return was_away(sim, r) || sim->sc->scarce;
	case 504:
		return out & OUT_SILENT;
	default:
		return false;
	}
}

static void answer_check(struct sim *sim, struct sim_client *c, const struct web_answer *a)
{
	const struct sim_request *r = &c->script[c->answered];

	if (a->status == 200 && r->kind == KIND_UPLOAD) {
		check_upload(sim, r, a);
	} else if (a->status == 200 || (a->status == 206 && r->part.len > 0)) {
		check_body(sim, r, a);
	} else {
		sim->stats.errors++;
		if (!error_is_due(sim, r, a->status))
			sim_fail(sim,
			         "request %u (%u of %u, kind %u, %u up bytes%s%s%s, port %u): "
			         "status %u without "
			         "reason",
			         r->number, c->answered + 1, c->count, r->kind, r->up_len,
			         r->chunked ? ", chunked" : "", c->half ? ", half closed" : "",
			         c->pipelined ? ", pipelined" : "", c->web.port, a->status);
	}
	sim->stats.answers++;
	c->answered++;
	c->think_ns = sim->rig.now_ns + rng_below(&sim->client_rng, 60) * NS_PER_MS;
	if (a->closes || c->answered == c->count)
		c->finished = true;
}

/* The connection ended before all was answered: was there a reason? */
static void client_cut(struct sim *sim, struct sim_client *c)
{
	const struct sim_request *r = &c->script[c->answered];
	uint8_t out = sim->outcomes[r->number];

	sim->stats.cut++;
	c->finished = true;
	if (c->answered >= c->sent || out & (OUT_BROKEN | OUT_EARLY) || was_away(sim, r) ||
	    sim->sc->fault_count > 0) {
		c->web.rx_len = 0;
		return;
	}
	sim_fail(sim,
	         "port %u: the connection ended (%s) with request %u (%u of %u, %s) not answered; "
	         "it "
	         "has %zu bytes of an answer: %.*s",
	         c->web.port, c->web.eof ? "FIN" : "reset", r->number, c->answered + 1, c->count,
	         out & OUT_SEEN ? "seen by control" : "not seen", c->web.rx_len,
	         (int)min_size(c->web.rx_len, 200), c->web.rx_len > 0 ? c->web.rx : "");
}

static void client_read(struct sim *sim, struct sim_client *c)
{
	struct web_answer a;

	while (!c->finished && c->answered < c->sent) {
		enum web_got got = web_take(&c->web, c->script[c->answered].head, &a);

		if (got == WEB_MORE)
			break;
		if (got == WEB_BAD) {
			if (c->web.eof || c->web.gone)
				break;
			sim_fail(sim, "request %u: malformed answer: %.*s",
			         c->script[c->answered].number, (int)min_size(c->web.rx_len, 300),
			         c->web.rx);
			return;
		}
		answer_check(sim, c, &a);
	}
	if (c->finished && c->web.rx_len > 0)
		sim_fail(sim, "port %u: %zu bytes behind the last answer", c->web.port,
		         c->web.rx_len);
	if (!c->finished && (c->web.eof || c->web.gone))
		client_cut(sim, c);
}

static void client_end(struct sim *sim, struct sim_client *c)
{
	c->live = false;
	sim->live--;
}

static void client_run(struct sim *sim, struct sim_client *c)
{
	uint64_t now = sim->rig.now_ns;

	if (c->abort_ns != 0 && now >= c->abort_ns) {
		sim->stats.aborted++;
		web_abort(&c->web);
		client_end(sim, c);
		return;
	}
	if (now - c->started_ns > STUCK_NS) {
		sim_fail(sim, "port %u: stuck with %u of %u requests answered", c->web.port,
		         c->answered, c->count);
		return;
	}
	if (c->slow && now >= c->act_ns) {
		if (c->web.hold)
			web_resume(&c->web);
		else
			c->web.hold = true;
		c->act_ns = now + (5 + rng_below(&sim->client_rng, 300)) * NS_PER_MS;
	}
	while (c->web.open && !c->finished && c->sent < c->count && now >= c->think_ns &&
	       (c->pipelined || c->sent == c->answered) && request_send(sim, c))
		;
	if (c->web.rx_len > 0 || c->web.eof || c->web.gone)
		client_read(sim, c);
	if (c->finished) {
		c->slow = false;
		if (c->web.hold)
			web_resume(&c->web);
		if (c->web.gone)
			client_end(sim, c);
		else
			web_half_close(&c->web);
	}
}

void clients_run(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->client_count && !sim->run->failed; i++) {
		struct sim_client *c = &sim->clients[i];

		if (c->live)
			client_run(sim, c);
		else if (sim->conns_left > 0)
			client_open(sim, c);
	}
}

void clients_destroy(struct sim *sim)
{
	for (uint32_t i = 0; sim->clients != NULL && i < sim->client_count; i++)
		web_free(&sim->clients[i].web);
	free(sim->clients);
	free(sim->outcomes);
}
