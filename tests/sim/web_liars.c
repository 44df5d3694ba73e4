/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Peers that ask for objects and misbehave at it. What they get is not looked at; the clients
 * beside them must not notice, and nothing of theirs may be left in the end. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/peer.h"
#include "tests/sim/web_level.h"

#define PORT_LOW  1024u
#define PORT_HIGH 60000u

struct liar {
	struct plan plan;
	struct peer peer;
	bool live;
	char text[512];
};

struct web_liars {
	struct peer_host host;
	struct liar *all;
	struct liar *of_port[65536];
	uint32_t count;
	uint32_t next_port;
	uint32_t next_number;
	struct rng rng;
};

static void liar_sent(void *arg, const void *frame, uint32_t len)
{
	struct sim *sim = arg;

	cable_send(sim->cable, CABLE_UP, frame, len, sim->rig.now_ns);
}

static void liar_wrong(void *arg, struct peer *p, const char *what)
{
	(void)arg;
	(void)p;
	(void)what; /* they are lied to by nobody, but their own lies may confuse them */
}

static void liar_ended(void *arg, struct peer *p)
{
	struct sim *sim = arg;
	struct liar *liar = p->owner;

	liar->live = false;
	sim->liars->of_port[liar->plan.port] = NULL;
}

/* Some requests, one behind the other, of objects of all kinds but uploads. */
static void text_make(struct web_liars *l, struct liar *liar)
{
	uint32_t n = 0;

	for (uint32_t i = 1 + rng_below(&l->rng, 6); i > 0; i--)
		n += (uint32_t)snprintf(liar->text + n, sizeof(liar->text) - n,
		                        "GET /%c/%u HTTP/1.1\r\nHost: sim\r\n\r\n",
		                        "hcp"[rng_below(&l->rng, 3)], rng_below(&l->rng, SIM_IDS));
	liar->plan.text = liar->text;
	liar->plan.up_total = n;
}

static void liar_open(struct sim *sim, struct liar *liar)
{
	struct web_liars *l = sim->liars;
	struct scenario sc = *sim->sc;

	sc.peers = 1000000;
	sc.liars = 1000000;
	sc.v6 = 0;
	sc.echo = 1000000; /* whose answers are not compared */
	*liar = (struct liar){.live = true};
	do {
		l->next_port = l->next_port >= PORT_HIGH ? PORT_LOW : l->next_port + 1;
	} while (l->of_port[l->next_port] != NULL);
	liar->plan.number = l->next_number++;
	liar->plan.port = (uint16_t)l->next_port;
	plan_make(&liar->plan, &sc, &l->rng);
	text_make(l, liar);
	l->of_port[l->next_port] = liar;
	liar->peer.owner = liar;
	peer_open(&l->host, &liar->peer, &liar->plan);
}

uint64_t liars_run(struct sim *sim)
{
	struct web_liars *l = sim->liars;

	if (l == NULL)
		return UINT64_MAX;
	l->host.now_ns = sim->rig.now_ns;
	peer_timers(&l->host);
	for (uint32_t i = 0; i < l->count; i++) {
		if (!l->all[i].live && sim->conns_left > 0)
			liar_open(sim, &l->all[i]);
		else if (l->all[i].live && sim->conns_left == 0 && sim->live == 0)
			peer_drop(&l->host, &l->all[i].peer, false);
	}
	return timerwheel_next_ns(&l->host.wheel);
}

void liars_input(struct sim *sim, const struct cable_frame *f)
{
	struct web_liars *l = sim->liars;
	struct view v;

	if (l == NULL || (f->corrupted && f->caught) || !view_parse(&v, f->bytes, f->len))
		return;
	l->host.now_ns = sim->rig.now_ns;
	if (l->of_port[v.dport] != NULL)
		peer_input(&l->host, &l->of_port[v.dport]->peer, &v);
	else
		peer_refuse(&l->host, &v);
}

bool liars_create(struct sim *sim)
{
	uint32_t count = (uint32_t)((uint64_t)sim->sc->at_once * sim->sc->liars / 1000000);
	struct web_liars *l;
	struct ip_addr a;

	if (count == 0 || sim->sc->lies == 0)
		return true;
	l = calloc(1, sizeof(*l));
	sim->liars = l;
	if (l == NULL)
		return false;
	pattern_init();
	l->count = count;
	l->all = calloc(count, sizeof(l->all[0]));
	l->next_port = PORT_LOW;
	l->rng.s = mix64(sim->seed + 4);
	l->host = (struct peer_host){.mac = {2, 0, 0, 0, 0, 3},
	                             .server_mac = {2, 0, 0, 0, 0, 1},
	                             .v4 = {10, 0, 0, 3},
	                             .server_port = RIG_PORT,
	                             .now_ns = sim->rig.now_ns,
	                             .send = liar_sent,
	                             .wrong = liar_wrong,
	                             .ended = liar_ended,
	                             .arg = sim};
	ip_addr_parse(RIG_SERVER, &a);
	memcpy(l->host.server_v4, a.b + 12, 4);
	peer_host_init(&l->host);
	return l->all != NULL;
}

void liars_destroy(struct sim *sim)
{
	if (sim->liars == NULL)
		return;
	free(sim->liars->all);
	free(sim->liars);
}
