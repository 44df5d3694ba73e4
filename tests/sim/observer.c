/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/observer.h"
#include "tests/sim/bytes.h"

#define MSS_V4      536u
#define MSS_V6      1220u
#define WINDOW_MOST (4u << 20) /* that a burst or a lie is ahead of; what is further is absurd */
#define MSS_LEAST   88u        /* smaller offers are raised to this or less, with the options */

static uint32_t max_seq(uint32_t a, uint32_t b)
{
	return sq_lt(a, b) ? b : a;
}

void watch_open(struct watch *w, const struct plan *plan)
{
	*w = (struct watch){.plan = plan};
}

static void syn_came(struct watch *w, const struct view *v)
{
	if (w->syn_in)
		return; /* again, or a lie */
	w->syn_in = true;
	w->client_iss = v->seq;
	w->came = v->seq + 1;
	w->client_shift = v->wscale;
	w->client_mss = v->mss;
	w->ts = v->has_ts;
	w->syn_wnd = v->wnd; /* from where is known with the SYN-ACK */
}

/* What begins beyond the window is not taken, and cannot be acknowledged: unless the answer to what
 * came just before it, in one burst, moves the window first. */
static void bytes_came(struct watch *w, uint32_t lo, uint32_t hi)
{
	if (sq_le(lo, w->offered)) {
		w->came = max_seq(w->came, hi);
		return;
	}
	if (lo - w->offered > WINDOW_MOST)
		return;
	w->early_lo = w->early && sq_lt(w->early_lo, lo) ? w->early_lo : lo;
	w->early_hi = w->early ? max_seq(w->early_hi, hi) : hi;
	w->early = true;
}

/* The window counts if the ACK is not of what was not sent; of what is sent in the same burst, it
 * may be. */
static void ack_came(struct watch *w, uint32_t ack, uint32_t edge)
{
	if (!sq_lt(w->sent, ack)) {
		w->edge = max_seq(w->edge, edge);
		return;
	}
	if (ack - w->sent > WINDOW_MOST)
		return;
	w->early_ack = w->ack_early && sq_lt(w->early_ack, ack) ? w->early_ack : ack;
	w->early_edge = w->ack_early ? max_seq(w->early_edge, edge) : edge;
	w->ack_early = true;
}

void watch_came(struct watch *w, const struct view *v)
{
	uint32_t end = v->seq + v->data_len + (v->flags & PF_FIN ? 1 : 0);
	uint32_t wnd;

	if (v->flags & PF_SYN && !w->syn_out) {
		syn_came(w, v);
		return;
	}
	if (!w->syn_out || v->flags & PF_RST)
		return;
	if (v->flags & PF_SYN) {
		/* What is behind it counts, if the server had not seen our ACK; a lie may begin a
		 * second connection. */
		w->came = max_seq(w->came, v->seq == w->client_iss ? end + 1 : w->came);
		w->blind = true;
		return;
	}
	bytes_came(w, v->seq, end);
	if (!(v->flags & PF_ACK))
		return;
	wnd = v->wnd;
	if (w->client_shift != 255 && (w->server_shift != 255 || w->scale_unsure))
		wnd <<= w->client_shift > 14 ? 14 : w->client_shift;
	ack_came(w, v->ack, v->ack + wnd);
}

static const char *syn_sent(struct watch *w, const struct view *v)
{
	if (v->flags & PF_ACK && w->syn_out && v->ack != w->client_iss + 1)
		w->blind = true; /* a liar began anew */
	if (!(v->flags & PF_ACK) || !w->syn_in || v->ack != w->client_iss + 1)
		return NULL; /* of an older connection of these ports */
	if (w->syn_out) {
		if (v->seq != w->server_iss) {
			w->blind = true;
			w->iss_unsure = true;
			w->scale_unsure |= v->wscale != w->server_shift;
			if (w->server_shift == 255)
				w->server_shift = v->wscale; /* the wider window of the two */
			w->edge = v->seq + 1 + w->syn_wnd;
			w->sent = v->seq + 1;
		}
		return NULL;
	}
	w->syn_out = true;
	w->server_iss = v->seq;
	w->edge = v->seq + 1 + w->syn_wnd;
	w->sent = v->seq + 1;
	w->acked = v->ack;
	w->offered = v->ack + v->wnd;
	w->server_shift = v->wscale;
	w->tsval = v->tsval;
	if (v->wscale != 255 && w->client_shift == 255)
		return "SYN-ACK with a window scale that was not offered";
	if (v->has_ts && !w->ts)
		return "SYN-ACK with timestamps that were not offered";
	w->ts = v->has_ts;
	return NULL;
}

static const char *data_sent(struct watch *w, const struct view *v)
{
	uint32_t end = v->seq + v->data_len;
	uint32_t mss = w->client_mss > 0 ? w->client_mss : w->plan->v6 ? MSS_V6 : MSS_V4;
	uint32_t off = v->seq - w->server_iss - 1;

	if (v->data_len + v->opts_len > mss && v->data_len + v->opts_len > MSS_LEAST)
		return "a segment above the client's MSS";
	/* Two cookies went out, and either may be the one that was taken up. */
	if (w->iss_unsure)
		return NULL;
	/* A probe of a closed window carries one octet (RFC 9293 3.8.6.1). */
	if (sq_lt(w->edge, end) && !(v->data_len == 1 && end == w->edge + 1))
		return "data beyond the client's window";
	if (w->plan->echo && !w->plan->honest)
		return NULL;
	if (end - w->server_iss - 1 > w->plan->down_total)
		return "data that its owner did not write";
	if (memcmp(v->data, pattern_at(w->plan->down_at, off), v->data_len) != 0)
		return "wrong bytes sent";
	return NULL;
}

static const char *sack_sent(const struct watch *w, const struct view *v)
{
	for (uint32_t i = 0; i < v->sack_count; i++) {
		uint32_t lo = get32(v->sack + 8 * i);
		uint32_t hi = get32(v->sack + 8 * i + 4);

		/* RFC 2883 4: the first may tell what came twice, however old. */
		if (i == 0 && sq_lt(lo, hi) && sq_le(hi, v->ack))
			continue;
		if (!sq_lt(lo, hi) || sq_lt(w->came, hi) || (i > 0 && sq_lt(lo, v->ack)))
			return "a SACK block of what did not come";
	}
	return NULL;
}

static const char *ack_sent(struct watch *w, const struct view *v)
{
	uint32_t shift = w->server_shift != 255 && w->client_shift != 255 ? w->server_shift : 0;
	uint32_t edge = v->ack + (v->wnd << shift);

	if (sq_lt(v->ack, w->acked))
		return "an ACK that goes back";
	if (sq_lt(w->came, v->ack))
		return "an ACK of what did not come";
	w->acked = v->ack;
	/* Rounding to the scale aside, and the FIN's number, which takes no room. */
	if (!w->scale_unsure && sq_lt(edge + (1u << shift), w->offered))
		return "a window taken back";
	w->offered = max_seq(w->offered, edge);
	if (w->early && sq_le(w->early_lo, w->offered))
		w->came = max_seq(w->came, w->early_hi);
	if (!w->ts)
		return sack_sent(w, v);
	if (!v->has_ts)
		return "a segment without timestamp";
	if ((int32_t)(v->tsval - w->tsval) < 0)
		return "a timestamp that goes back";
	w->tsval = v->tsval;
	return sack_sent(w, v);
}

void watch_step(struct watch *w)
{
	w->early = false;
	w->ack_early = false;
}

const char *watch_sent(struct watch *w, const struct view *v)
{
	const char *why;

	if (v->flags & PF_RST || (w->blind && !w->plan->honest))
		return NULL;
	if (v->flags & PF_SYN)
		return syn_sent(w, v);
	if (!w->syn_out || !(v->flags & PF_ACK))
		return w->syn_out ? "neither ACK nor RST nor SYN" : NULL;
	if (w->ack_early && !sq_lt(w->sent, w->early_ack))
		w->edge = max_seq(w->edge, w->early_edge);
	why = v->data_len > 0 ? data_sent(w, v) : NULL;
	w->sent = max_seq(w->sent, v->seq + v->data_len + (v->flags & PF_FIN ? 1 : 0));
	return why != NULL ? why : ack_sent(w, v);
}
