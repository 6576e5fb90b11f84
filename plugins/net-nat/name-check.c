/* SPDX-License-Identifier: MIT */
/*
 * name-check.c - see name-check.h. A client hello of TLS (RFC 8446, 4.1.2; the name in RFC 6066, 3), and the head of an
 * HTTP/1 request (RFC 9112). Called by tcp.
 *
 * THEORY OF OPERATION. The caller has the bytes and calls again with more, so each call begins at the first byte: at
 * most 16 KiB, and few calls. A client hello may be cut into records at any byte: its pieces are put together first.
 */
#include "plugins/net-nat/name-check.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "plugins/net-nat/names.h"
#include "plugins/net/address.h"

/* ---- TLS ---- */

enum {
	TLS_HANDSHAKE = 22,
	TLS_CLIENT_HELLO = 1,
	TLS_RECORD_MAX = 16384,
	TLS_EXTENSION_NAME = 0,
	TLS_EXTENSION_ECH = 0xfe0d, /* RFC 9849 */
	TLS_NAME_HOST = 0,
};

/* What is left of a part of a message. */
struct part {
	const unsigned char *at;
	size_t len;
};

static bool take_number(struct part *part, unsigned bytes, size_t *out)
{
	if (part->len < bytes)
		return false;
	for (*out = 0; bytes; bytes--, part->len--)
		*out = *out << 8 | *part->at++;
	return true;
}

/* A part with a length of that many bytes in front. */
static bool take_part(struct part *part, unsigned length_bytes, struct part *out)
{
	size_t len;

	if (!take_number(part, length_bytes, &len) || len > part->len)
		return false;
	*out = (struct part){ part->at, len };
	part->at += len;
	part->len -= len;
	return true;
}

static bool skip(struct part *part, size_t len)
{
	if (len > part->len)
		return false;
	part->at += len;
	part->len -= len;
	return true;
}

/* The text becomes `name`; false: it is none. */
static bool take_name(const unsigned char *text, size_t len, char name[POLICY_NAME_MAX])
{
	char copy[POLICY_NAME_MAX];
	struct in6_addr address;

	if (!len || len >= sizeof copy || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	/* An address is none, in whichever spelling. */
	return !strpbrk(copy, ":[]/@") && names_normal(copy, name, POLICY_NAME_MAX) == 0 && name[0] &&
	       net_address_parse(name, &address) < 0;
}

static bool read_server_name(struct part extension, char name[POLICY_NAME_MAX])
{
	struct part names, text;
	size_t type;

	/* One name: another behind it is what another server may take. */
	return take_part(&extension, 2, &names) && !extension.len && take_number(&names, 1, &type) &&
	       type == TLS_NAME_HOST && take_part(&names, 2, &text) && !names.len && take_name(text.at, text.len, name);
}

static enum name_check read_hello(struct part hello, char name[POLICY_NAME_MAX])
{
	struct part ignored, extensions, extension;
	bool found = false, encrypted = false;
	size_t type;

	if (!skip(&hello, 2 + 32) || !take_part(&hello, 1, &ignored) || !take_part(&hello, 2, &ignored) ||
	    !take_part(&hello, 1, &ignored) || !take_part(&hello, 2, &extensions) || hello.len)
		return NAME_CHECK_NONE;
	while (extensions.len) {
		if (!take_number(&extensions, 2, &type) || !take_part(&extensions, 2, &extension))
			return NAME_CHECK_NONE;
		encrypted = encrypted || type == TLS_EXTENSION_ECH;
		if (type != TLS_EXTENSION_NAME)
			continue;
		if (found || !read_server_name(extension, name))
			return NAME_CHECK_NONE;
		found = true;
	}
	if (!found)
		return NAME_CHECK_NONE;
	return encrypted ? NAME_CHECK_OUTER : NAME_CHECK_NAME;
}

static enum name_check check_tls(const unsigned char *data, size_t len, char name[POLICY_NAME_MAX])
{
	unsigned char message[NAME_CHECK_MAX];
	struct part left = { data, len }, hello;
	size_t n = 0;

	for (;;) {
		size_t type, major, minor, record, piece;

		/* The bytes of a header that are there must be right already. */
		if ((left.len > 0 && left.at[0] != TLS_HANDSHAKE) || (left.len > 1 && left.at[1] != 3))
			return NAME_CHECK_NONE;
		if (!take_number(&left, 1, &type) || !take_number(&left, 1, &major) || !take_number(&left, 1, &minor) ||
		    !take_number(&left, 2, &record))
			return NAME_CHECK_MORE;
		if (!record || record > TLS_RECORD_MAX)
			return NAME_CHECK_NONE;
		piece = record < left.len ? record : left.len;
		memcpy(message + n, left.at, piece);
		n += piece;
		skip(&left, piece);
		if (n && message[0] != TLS_CLIENT_HELLO)
			return NAME_CHECK_NONE;
		hello = (struct part){ message, n };
		if (n >= 4) {
			struct part body = hello;

			skip(&body, 1);
			take_number(&body, 3, &record);
			if (record > NAME_CHECK_MAX)
				return NAME_CHECK_NONE;
			if (body.len >= record)
				return read_hello((struct part){ body.at, record }, name);
		}
		if (!left.len)
			return NAME_CHECK_MORE;
	}
}

/* ---- HTTP ---- */

static bool is_token(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
	                   (text[i] >= '0' && text[i] <= '9') || (text[i] && strchr("!#$%&'*+-.^_`|~", text[i]))))
		i++;
	return len && i == len;
}

/* "example.com", "example.com:8080". */
static bool take_authority(const char *text, size_t len, char name[POLICY_NAME_MAX])
{
	const char *colon = memchr(text, ':', len);

	if (colon) {
		for (const char *p = colon + 1; p < text + len; p++)
			if (*p < '0' || *p > '9')
				return false;
		len = (size_t)(colon - text);
	}
	for (size_t i = 0; i < len; i++)
		if (strchr("/?#@[]<>\"", text[i]))
			return false;
	return take_name((const unsigned char *)text, len, name);
}

/*
 * METHOD TARGET HTTP/1.x. A target that names a host itself goes before the header (RFC 9112, 3.2.2), so it is read:
 * *has_target.
 */
static bool read_request_line(const char *line, size_t len, char target_name[POLICY_NAME_MAX], bool *has_target)
{
	const char *target = memchr(line, ' ', len), *end, *version;
	static const char scheme[] = "http://";
	size_t left;

	if (!target || !is_token(line, (size_t)(target - line)))
		return false;
	target++;
	left = len - (size_t)(target - line);
	version = memchr(target, ' ', left);
	if (!version || left - (size_t)(version - target) != strlen(" HTTP/1.1") ||
	    strncmp(version, " HTTP/1.", 8) != 0 || (version[8] != '0' && version[8] != '1'))
		return false;
	*has_target = false;
	if (target[0] == '/')
		return true;
	left = (size_t)(version - target);
	if (left == 1 && target[0] == '*')
		return true;
	if (left < sizeof scheme || strncasecmp(target, scheme, sizeof scheme - 1) != 0)
		return false;
	target += sizeof scheme - 1;
	for (end = target; end < version && *end != '/' && *end != '?' && *end != '#';)
		end++;
	*has_target = true;
	return take_authority(target, (size_t)(end - target), target_name);
}

/* False: a line that servers read differently, or a second Host. */
static bool read_header(const char *line, size_t len, char name[POLICY_NAME_MAX], bool *found)
{
	const char *colon = memchr(line, ':', len), *value, *end = line + len;

	/* No folded lines, no space in front of the colon. */
	if (!colon || !is_token(line, (size_t)(colon - line)))
		return false;
	if (colon - line != 4 || strncasecmp(line, "host", 4) != 0)
		return true;
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (*found || !take_authority(value, (size_t)(end - value), name))
		return false;
	*found = true;
	return true;
}

static enum name_check check_http(const char *data, size_t len, char name[POLICY_NAME_MAX])
{
	char target_name[POLICY_NAME_MAX] = "";
	bool found = false, has_target = false, first = true;
	const char *line = data, *end = data + len;

	for (;;) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		size_t line_len = (size_t)((lf ? lf : end) - line);

		if (!lf) {
			/* What cannot become a request any more has not to be waited for. */
			if (first && line_len && !memchr(line, ' ', line_len) &&
			    (line_len > 32 || !is_token(line, line_len)))
				return NAME_CHECK_NONE;
			return NAME_CHECK_MORE;
		}
		if (!line_len || line[line_len - 1] != '\r' || memchr(line, '\r', --line_len) ||
		    memchr(line, '\0', line_len))
			return NAME_CHECK_NONE;
		if (!first && !line_len)
			break;
		if (first ? !read_request_line(line, line_len, target_name, &has_target)
		          : !read_header(line, line_len, name, &found))
			return NAME_CHECK_NONE;
		first = false;
		line = lf + 1;
	}
	if (!found || (has_target && strcmp(target_name, name) != 0))
		return NAME_CHECK_NONE;
	return NAME_CHECK_NAME;
}

enum name_check name_check(const void *data, size_t len, char name[POLICY_NAME_MAX])
{
	const unsigned char *bytes = data;
	const size_t within = len < NAME_CHECK_MAX ? len : NAME_CHECK_MAX;
	enum name_check found;

	name[0] = '\0';
	if (!within)
		return NAME_CHECK_MORE;
	found = bytes[0] == TLS_HANDSHAKE ? check_tls(bytes, within, name) : check_http(data, within, name);
	if (found == NAME_CHECK_MORE && within == NAME_CHECK_MAX)
		found = NAME_CHECK_NONE;
	if (found != NAME_CHECK_NAME && found != NAME_CHECK_OUTER)
		name[0] = '\0';
	return found;
}
