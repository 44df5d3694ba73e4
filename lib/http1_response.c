/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A response head: what an origin says to us. */
#include "lib/http1.h"
#include "lib/http1_scan.h"

#define STATUS_LINE_MIN (sizeof("HTTP/1.1 200") - 1)

/* Does the text so far agree with the pattern? In it 'd' stands for a digit. */
static bool pattern_fits(const char *buf, size_t len, const char *pattern)
{
	for (size_t i = 0; i < len && pattern[i] != '\0'; i++) {
		bool digit = buf[i] >= '0' && buf[i] <= '9';

		if (pattern[i] == 'd' ? !digit : buf[i] != pattern[i])
			return false;
	}
	return true;
}

/* Takes the status line (RFC 9112 4); *pos is then behind it. A missing SP before an absent reason
 * is tolerated: common, and it cannot be read in two ways. */
static enum http_scan status_line(const char *buf, size_t len, struct http_response_head *out,
                                  size_t *pos)
{
	size_t at = STATUS_LINE_MIN;

	if (!pattern_fits(buf, len, "HTTP/1.d ddd"))
		return HTTP_SCAN_BAD;
	if (len <= at)
		return HTTP_SCAN_PARTIAL;
	out->minor = buf[7] == '0' ? 0 : 1;
	out->status = (unsigned)(buf[9] - '0') * 100 + (unsigned)(buf[10] - '0') * 10 +
	              (unsigned)(buf[11] - '0');
	/* RFC 9110 15: nothing outside of 100..599 is valid. */
	if (out->status < 100 || out->status > 599 || (buf[at] != ' ' && buf[at] != '\r'))
		return HTTP_SCAN_BAD;
	if (buf[at] == ' ')
		at++;
	out->reason.ptr = buf + at;
	while (at < len && http1_is_value(buf[at]))
		at++;
	out->reason.len = (size_t)(buf + at - out->reason.ptr);
	if (at == len)
		return HTTP_SCAN_PARTIAL;
	if (buf[at] != '\r' || (at + 1 < len && buf[at + 1] != '\n'))
		return HTTP_SCAN_BAD;
	if (at + 1 == len)
		return HTTP_SCAN_PARTIAL;
	*pos = at + 2;
	return HTTP_SCAN_DONE;
}

enum http_scan http1_parse_response(const char *buf, size_t len, struct http_response_head *out,
                                    size_t *head_len)
{
	size_t pos = 0;
	enum http_scan r = status_line(buf, len, out, &pos);

	if (r == HTTP_SCAN_DONE)
		r = http1_scan_fields(buf, len, &pos, &out->fields);
	if (r == HTTP_SCAN_DONE)
		*head_len = pos;
	return r;
}
