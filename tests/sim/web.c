/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/web.h"

#include <stdio.h>
#include <stdlib.h>

static void web_read(struct web *w, struct conn *conn)
{
	struct span in = tcp_rx(conn);

	if (in.len > 0) {
		if (w->rx_len + in.len > w->rx_cap) {
			w->rx_cap = 2 * (w->rx_len + in.len);
			w->rx = realloc(w->rx, w->rx_cap);
			if (w->rx == NULL)
				abort();
		}
		memcpy(w->rx + w->rx_len, in.ptr, in.len);
		w->rx_len += in.len;
		tcp_rx_consume(w->rig->client, conn, in.len);
	}
	if (tcp_rx_eof(conn))
		w->eof = true;
}

static void web_event(void *arg, struct rig *rig, struct conn *conn, uint32_t events)
{
	struct web *w = tcp_owner(conn);

	(void)arg;
	(void)rig;
	if (w == NULL)
		return;
	if (events & TCP_EV_OPEN)
		w->open = true;
	if (!w->hold)
		web_read(w, conn);
	if (events & TCP_EV_CLOSED) {
		w->gone = true;
		w->conn = NULL;
	}
}

void web_attach(struct rig *rig)
{
	rig->on_client = web_event;
}

bool web_open(struct web *w, struct rig *rig, uint16_t port)
{
	*w = (struct web){.rig = rig, .port = port};
	w->conn = rig_connect(rig, port);
	if (w->conn != NULL)
		tcp_set_owner(w->conn, w);
	return w->conn != NULL;
}

bool web_send(struct web *w, const void *data, size_t len)
{
	if (w->conn == NULL)
		return false;
	return tcp_tx_copy(w->rig->client, w->conn, data, len) == ST_OK;
}

bool web_text(struct web *w, const char *text)
{
	return web_send(w, text, strlen(text));
}

void web_half_close(struct web *w)
{
	if (w->conn != NULL)
		tcp_shutdown(w->rig->client, w->conn);
}

void web_resume(struct web *w)
{
	w->hold = false;
	if (w->conn != NULL)
		tcp_wake(w->rig->client, w->conn, 0);
}

void web_abort(struct web *w)
{
	struct conn *conn = w->conn;

	if (conn == NULL)
		return;
	w->conn = NULL;
	w->gone = true;
	tcp_set_owner(conn, NULL);
	tcp_abort(w->rig->client, conn);
}

void web_free(struct web *w)
{
	web_abort(w);
	free(w->rx);
	free(w->answer);
	*w = (struct web){0};
}

static bool name_eq(const char *at, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (ascii_lower(at[i]) != ascii_lower(name[i]))
			return false;
	return true;
}

struct span web_field(const struct web_answer *a, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(a->head, "\r\n"); at != NULL; at = strstr(at, "\r\n")) {
		at += 2;
		if (strlen(at) > len && name_eq(at, name, len) && at[len] == ':' &&
		    at[len + 1] == ' ')
			return span_of(at + len + 2, strcspn(at + len + 2, "\r"));
	}
	return (struct span){0};
}

/* One chunk at *at: moves behind it and returns its size; WEB_BAD when it is malformed. */
static enum web_got chunk_read(const struct web *w, size_t *at, size_t *size)
{
	size_t i = *at, n = 0, digits = 0;

	for (; i < w->rx_len && w->rx[i] != '\r'; i++, digits++) {
		char c = w->rx[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || digits == 8)
			return WEB_BAD;
		n = n * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (i + 2 > w->rx_len)
		return WEB_MORE;
	if (digits == 0 || w->rx[i + 1] != '\n')
		return WEB_BAD;
	i += 2;
	if (i + n + 2 > w->rx_len)
		return WEB_MORE;
	if (memcmp(w->rx + i + n, "\r\n", 2) != 0)
		return WEB_BAD;
	*at = i;
	*size = n;
	return WEB_ANSWER;
}

/* Decodes a chunked body behind the head into to; *used: raw bytes with the head. */
static enum web_got body_chunked(const struct web *w, char *to, size_t *used, size_t *len)
{
	size_t at = *used;

	*len = 0;
	for (;;) {
		size_t n = 0;
		enum web_got got = chunk_read(w, &at, &n);

		if (got != WEB_ANSWER)
			return got;
		memcpy(to + *len, w->rx + at, n);
		*len += n;
		at += n + 2;
		if (n == 0)
			break;
	}
	*used = at;
	return WEB_ANSWER;
}

static bool body_forbidden(unsigned status, bool head_only)
{
	return head_only || status == 204 || status == 304;
}

static enum web_got body_take(struct web *w, bool head_only, size_t *used, struct web_answer *out)
{
	struct span length = web_field(out, "Content-Length");
	struct span coding = web_field(out, "Transfer-Encoding");
	char *to = w->answer + *used + 1;
	size_t len = 0;

	out->chunked = coding.ptr != NULL;
	if (out->chunked && (length.ptr != NULL || !span_eq(coding, SPAN_LIT("chunked"))))
		return WEB_BAD;
	if (body_forbidden(out->status, head_only)) {
		out->body = span_of(to, 0);
		return WEB_ANSWER;
	}
	if (out->chunked) {
		enum web_got got = body_chunked(w, to, used, &len);

		if (got != WEB_ANSWER)
			return got;
	} else {
		out->to_eof = length.ptr == NULL;
		len = out->to_eof ? w->rx_len - *used : (size_t)strtoull(length.ptr, NULL, 10);
		if (out->to_eof && !w->eof)
			return w->gone ? WEB_BAD : WEB_MORE;
		if (w->rx_len - *used < len)
			return WEB_MORE;
		memcpy(to, w->rx + *used, len);
		*used += len;
	}
	out->body = span_of(to, len);
	return WEB_ANSWER;
}

enum web_got web_take(struct web *w, bool head_only, struct web_answer *out)
{
	const char *end = w->rx_len == 0 ? NULL : memmem(w->rx, w->rx_len, "\r\n\r\n", 4);
	size_t head = end == NULL ? 0 : (size_t)(end - w->rx) + 4;
	size_t used = head;

	*out = (struct web_answer){0};
	if (end == NULL)
		return WEB_MORE;
	w->answer = realloc(w->answer, w->rx_len + 2);
	if (w->answer == NULL)
		abort();
	memcpy(w->answer, w->rx, head);
	w->answer[head] = '\0';
	out->head = w->answer;
	if (sscanf(w->answer, "HTTP/1.%1u %3u ", &out->minor, &out->status) != 2)
		return WEB_BAD;
	out->closes = span_eq(web_field(out, "Connection"), SPAN_LIT("close"));
	if (out->status >= 200) {
		enum web_got got = body_take(w, head_only, &used, out);

		if (got != WEB_ANSWER)
			return got;
	}
	w->rx_len -= used;
	memmove(w->rx, w->rx + used, w->rx_len);
	if (out->status < 200) {
		w->interim++;
		return web_take(w, head_only, out);
	}
	return WEB_ANSWER;
}
