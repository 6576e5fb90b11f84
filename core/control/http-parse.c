/* SPDX-License-Identifier: MIT */
/*
 * http-parse.c - see http-parse.h. Called by http.c.
 *
 * Strict where two readers of the same bytes could disagree on where a request ends (two lengths, a length beside a
 * coding, folded lines, blanks before a colon): such a head is refused. A missing Host is not: on a UNIX socket it says
 * nothing, and a request typed by hand has none.
 */
#include "core/control/http-parse.h"

#include <string.h>
#include <strings.h>

#define BLANKS " \t"

size_t http_head_length(const char *bytes, size_t len, size_t *seen)
{
	size_t at = *seen;
	const char *end;

	/* `at` is where a line begins. */
	while ((end = memchr(bytes + at, '\n', len - at))) {
		size_t line = (size_t)(end - bytes) - at;

		if (line == 0 || (line == 1 && bytes[at] == '\r'))
			return (size_t)(end - bytes) + 1;
		at = (size_t)(end - bytes) + 1;
		*seen = at;
	}
	return 0;
}

/* RFC 9110, 5.6.2 */
static bool is_token(const char *text)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	if (!*text)
		return false;
	for (; *text; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
		    !(*text >= '0' && *text <= '9') && !strchr(marks, *text))
			return false;
	return true;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* Only digits; a number too large to count is larger than what is taken. */
static bool parse_length(const char *text, size_t *out)
{
	size_t n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (n <= HTTP_BODY_MAX)
			n = n * 10 + (size_t)(*text - '0');
	}
	*out = n;
	return true;
}

/* Whether a comma-separated list has the word. */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list) {
		size_t item;

		list += strspn(list, BLANKS ",");
		item = strcspn(list, BLANKS ",");
		if (item == len && strncasecmp(list, word, len) == 0)
			return true;
		list += item;
	}
	return false;
}

static int refuse(int status, const char *text, const char **why)
{
	*why = text;
	return status;
}

/* The next line of the head, with a NUL for its end. NULL: the empty one. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	*at = end + 1;
	*end = '\0';
	if (end > line && end[-1] == '\r')
		end[-1] = '\0';
	return *line ? line : NULL;
}

static int parse_target(char *target, struct http_head *out, const char **why)
{
	char *query;

	if (!is_printable(target))
		return refuse(400, "the path has a character that cannot be in one", why);
	/* The absolute form (RFC 9112, 3.2.2): whose machine it is, the socket says. */
	if (strncasecmp(target, "http://", 7) == 0) {
		target = strchr(target + 7, '/');
		if (!target)
			return refuse(400, "the address has no path", why);
	}
	if (target[0] != '/')
		return refuse(400, "the path does not begin with /", why);
	query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	out->path = target;
	out->query = query && *query ? query : "";
	return 0;
}

/* METHOD SP TARGET SP HTTP/1.x. *old: 1.0 */
static int parse_request_line(char *line, struct http_head *out, bool *old, const char **why)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return refuse(400, "the first line is no request", why);
	*target++ = '\0';
	*version++ = '\0';
	if (!is_token(line))
		return refuse(400, "the first line is no request", why);
	if (strlen(version) != 8 || strncmp(version, "HTTP/", 5) != 0 || version[6] != '.')
		return refuse(400, "the first line names no version of HTTP", why);
	if (version[5] != '1' || version[7] < '0' || version[7] > '9')
		return refuse(505, "this is an HTTP/1.1 server", why);
	*old = version[7] == '0';
	out->head_only = strcmp(line, "HEAD") == 0;
	out->method = out->head_only ? "GET" : line;
	return parse_target(target, out, why);
}

struct fields {
	bool has_length, has_coding, chunked, keep_alive;
};

static int parse_field(char *line, struct http_head *out, struct fields *fields, const char **why)
{
	char *colon = strchr(line, ':'), *value, *end;
	size_t length;

	if (!colon)
		return refuse(400, "a header line has no colon", why);
	*colon = '\0';
	if (!is_token(line))
		return refuse(400, "a header line has no proper name", why);
	value = colon + 1 + strspn(colon + 1, BLANKS);
	end = value + strlen(value);
	while (end > value && strchr(BLANKS, end[-1]))
		*--end = '\0';
	for (const char *c = value; *c; c++)
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return refuse(400, "a header line has a control character", why);
	if (strcasecmp(line, "Content-Length") == 0) {
		if (!parse_length(value, &length) || (fields->has_length && length != out->body_len))
			return refuse(400, "Content-Length is no number", why);
		fields->has_length = true;
		out->body_len = length;
	} else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		fields->has_coding = true;
		fields->chunked = strcasecmp(value, "chunked") == 0;
	} else if (strcasecmp(line, "Connection") == 0) {
		out->close |= list_has(value, "close");
		fields->keep_alive |= list_has(value, "keep-alive");
	} else if (strcasecmp(line, "Expect") == 0) {
		if (strcasecmp(value, "100-continue") != 0)
			return refuse(417, "no other expectation than 100-continue is met", why);
		out->expect_continue = true;
	}
	return 0;
}

int http_head_parse(char *bytes, size_t len, struct http_head *out, const char **why)
{
	struct fields fields = { 0 };
	bool old = false;
	char *at = bytes, *line;
	int status;

	*out = (struct http_head){ .query = "" };
	/* From here on they are strings; the last byte is the \n of the empty line. */
	if (memchr(bytes, '\0', len))
		return refuse(400, "the request has a zero byte", why);
	bytes[len - 1] = '\n';
	line = next_line(&at);
	if (!line)
		return refuse(400, "the first line is no request", why);
	status = parse_request_line(line, out, &old, why);
	/* The empty line ends the head, and is the only one that can: `at` never passes it. */
	while (!status && (line = next_line(&at)))
		status = parse_field(line, out, &fields, why);
	if (status)
		return status;
	if (fields.has_coding && fields.has_length)
		return refuse(400, "both a Content-Length and a Transfer-Encoding", why);
	if (fields.has_coding)
		return fields.chunked ? refuse(411, "a body needs a Content-Length here", why)
		                      : refuse(501, "no transfer coding is known here", why);
	if (out->body_len > HTTP_BODY_MAX)
		return refuse(413, "the body is too large: 64 KiB at most", why);
	if (old) {
		out->close |= !fields.keep_alive;
		out->expect_continue = false; /* RFC 9110, 10.1.1 */
	}
	return 0;
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 417, "Expectation Failed" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}
