/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/warm_line.h"

#include "lib/hash.h"

#include <stdio.h>

bool warm_line_next(struct span *text, struct span *line)
{
	const char *end;
	size_t len;

	if (text->len == 0)
		return false;
	end = memchr(text->ptr, '\n', text->len);
	len = end != NULL ? (size_t)(end - text->ptr) : text->len;
	*line = span_of(text->ptr, len);
	if (line->len > 0 && line->ptr[line->len - 1] == '\r')
		line->len--;
	len += end != NULL;
	*text = span_of(text->ptr + len, text->len - len);
	return true;
}

static bool is_divider(struct span s)
{
	return s.ptr[0] == '\t' || (s.len > 1 && s.ptr[0] == ' ' && s.ptr[1] == ' ');
}

/* Cuts the part before the next divider off. */
static struct span part_next(struct span *rest)
{
	struct span part = *rest;
	size_t n = 0;

	while (n < rest->len && !is_divider(span_of(rest->ptr + n, rest->len - n)))
		n++;
	part.len = n;
	*rest = span_trim(span_of(rest->ptr + n, rest->len - n));
	return span_trim(part);
}

/* A first word that looks like no URL is a method; with nothing behind it, it is a host. */
static const char *method_read(struct span *line)
{
	size_t n = 0;
	bool url = false;
	struct span word;

	for (; n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t'; n++)
		url |= strchr("./:?@#", line->ptr[n]) != NULL;
	word = span_of(line->ptr, n);
	if (url)
		return NULL;
	if (n == line->len)
		return http_method_parse(word) == HTTP_OTHER ? NULL
		                                             : "there is no URL behind the method";
	*line = span_trim(span_of(line->ptr + n, line->len - n));
	switch (http_method_parse(word)) {
	case HTTP_GET:
		return NULL;
	case HTTP_HEAD:
		return "HEAD is answered by what GET stored; write GET";
	case HTTP_OTHER:
		return "the method is unknown; write for example: GET http://host/path";
	default:
		return "only answers to GET are warmed; take the line out";
	}
}

/* Segments "." and "..": a core refuses such a request. */
static bool has_dots(struct span path)
{
	size_t from = 0;

	for (size_t i = 1; i <= path.len; i++) {
		if (i < path.len && path.ptr[i] != '/')
			continue;
		struct span part = span_of(path.ptr + from + 1, i - from - 1);

		if (span_eq(part, SPAN_LIT(".")) || span_eq(part, SPAN_LIT("..")))
			return true;
		from = i;
	}
	return false;
}

static const char *url_read(struct span url, struct warm_line *out)
{
	const char *slash, *mark;
	size_t host_len;

	if (url.len >= 7 && span_eq_nocase(span_of(url.ptr, 7), SPAN_LIT("http://")))
		url = span_of(url.ptr + 7, url.len - 7);
	else if (url.len >= 8 && span_eq_nocase(span_of(url.ptr, 8), SPAN_LIT("https://")))
		return "this door speaks http; write http://host/path";
	if (memchr(url.ptr, ' ', url.len) != NULL)
		return "the URL has a blank in it; write it as %20, and a tab before fields";
	for (size_t i = 0; i < url.len; i++)
		if (url.ptr[i] <= 0x20 || url.ptr[i] > 0x7e || url.ptr[i] == '#')
			return "the URL has bytes that no URL has; write them as %XX, and leave "
			       "out "
			       "what begins with '#'";
	slash = memchr(url.ptr, '/', url.len);
	host_len = slash != NULL ? (size_t)(slash - url.ptr) : url.len;
	if (host_len == 0 || memchr(url.ptr, '?', host_len) != NULL ||
	    memchr(url.ptr, '@', host_len) != NULL)
		return "there is no host; write for example: http://host/path?query";
	memcpy(out->url, url.ptr, url.len);
	out->host = span_of(out->url, host_len);
	out->target =
	        slash != NULL ? span_of(out->url + host_len, url.len - host_len) : SPAN_LIT("/");
	/* The scheme's port is none in a key (RFC 9110 4.2.3). */
	if (host_len > 3 && memcmp(url.ptr + host_len - 3, ":80", 3) == 0)
		out->host.len -= 3;
	out->path = out->target;
	mark = memchr(out->target.ptr, '?', out->target.len);
	if (mark != NULL) {
		out->path.len = (size_t)(mark - out->target.ptr);
		out->query = span_of(mark + 1, out->target.len - out->path.len - 1);
	}
	return has_dots(out->path) ? "the path has segments '.' or '..'; write it without" : NULL;
}

static const char *fields_read(struct span rest, struct warm_line *out)
{
	char *at = out->text;
	size_t pos = 0;

	for (uint32_t n = 0; rest.len > 0; n++) {
		struct span part = part_next(&rest);

		if (n == HTTP_MAX_FIELDS)
			return "there are more than 100 fields; leave some out";
		memcpy(at, part.ptr, part.len);
		memcpy(at + part.len, "\r\n", 2);
		at += part.len + 2;
	}
	out->fields_len = (size_t)(at - out->text);
	memcpy(at, "\r\n", 2);
	if (http1_scan_fields(out->text, out->fields_len + 2, &pos, &out->fields) !=
	            HTTP_SCAN_DONE ||
	    pos != out->fields_len + 2)
		return "what is behind the URL is no field; write a tab and for example: "
		       "Accept-Language: en";
	return NULL;
}

bool warm_line_empty(struct span line)
{
	line = span_trim(line);
	return line.len == 0 || line.ptr[0] == '#';
}

enum warm_line_kind warm_line_read(struct span line, struct warm_line *out, const char **wrong)
{
	struct span rest, url;

	line = span_trim(line);
	if (warm_line_empty(line))
		return WARM_LINE_EMPTY;
	if (line.len > WARM_LINE_MAX) {
		*wrong = "the line is longer than 8192 bytes; take it out";
		return WARM_LINE_BAD;
	}
	out->query = span_of(NULL, 0);
	*wrong = method_read(&line);
	rest = line;
	url = part_next(&rest);
	if (*wrong == NULL)
		*wrong = url_read(url, out);
	if (*wrong == NULL)
		*wrong = fields_read(rest, out);
	return *wrong == NULL ? WARM_LINE_REQUEST : WARM_LINE_BAD;
}

/* --- lists --- */

size_t warm_list_end(struct span text, uint64_t count, char out[WARM_LIST_END_MAX])
{
	return (size_t)snprintf(out, WARM_LIST_END_MAX, "# end %llu %016llx\n",
	                        (unsigned long long)count,
	                        (unsigned long long)hash64(text.ptr, text.len, 0));
}

/* Lines of requests in a body, good ones or not. */
static uint64_t lines_count(struct span body)
{
	struct span line;
	uint64_t n = 0;

	while (warm_line_next(&body, &line))
		n += !warm_line_empty(line);
	return n;
}

const char *warm_list_check(struct span text, struct span *body, uint64_t *count)
{
	const struct span head = SPAN_LIT(WARM_LIST_HEAD);
	char want[WARM_LIST_END_MAX];
	size_t at = text.len, len;

	if (text.len < head.len || !span_eq(span_of(text.ptr, head.len), head))
		return "it is no hot list: its first line is not '# sluice hot list 1'";
	if (text.ptr[text.len - 1] != '\n')
		return "it is torn: its last line has no end";
	for (at--; at > 0 && text.ptr[at - 1] != '\n'; at--)
		;
	if (at < head.len)
		return "it is torn: its line '# end' is missing";
	*body = span_of(text.ptr + head.len, at - head.len);
	*count = lines_count(*body);
	len = warm_list_end(span_of(text.ptr, at), *count, want);
	if (!span_eq(span_of(want, len), span_of(text.ptr + at, text.len - at)))
		return "it is torn or was changed: its line '# end' does not fit what stands "
		       "before";
	return NULL;
}
